"""What a part of a template comes to, for given parameters, as CloudFormation works it out."""

import re
from collections.abc import Callable, Mapping
from typing import Any

_HOLE = re.compile(r"\$\{([^!}][^}]*)\}")


class Resolver:
    """Works out parts of one template. It knows the intrinsic functions that the template uses."""

    def __init__(
        self, template: Mapping[str, Any], values: Mapping[str, str], unknown: Callable[[str], str] = str
    ) -> None:
        """Take the template and what its names stand for.

        Args:
            template: the whole template.
            values: the values of parameters, pseudo parameters, resources (`Bucket`) and attributes (`Bucket.Arn`);
                parameters that are not among them have their defaults.
            unknown: called with any other name, returns its value.

        """
        defaults = {key: str(one.get("Default", "")) for key, one in template.get("Parameters", {}).items()}
        self._conditions = template.get("Conditions", {})
        self._values = {**defaults, **values}
        self._unknown = unknown

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is met."""
        return self._is_true(self._conditions[condition])

    def resolve(self, part: Any) -> Any:
        """Work out a part of the template. What comes to AWS::NoValue is left out."""
        if isinstance(part, list):
            return [found for one in part if (found := self.resolve(one)) is not None]
        if not isinstance(part, dict):
            return part
        if len(part) == 1:
            [(key, value)] = part.items()
            if key == "Ref":
                return None if value == "AWS::NoValue" else self._value(value)
            if key.startswith("Fn::"):
                return self._call(key.removeprefix("Fn::"), value)
        return {key: found for key, one in part.items() if (found := self.resolve(one)) is not None}

    def _value(self, name: str) -> str:
        return self._values[name] if name in self._values else self._unknown(name)

    def _call(self, function: str, value: Any) -> Any:
        if function == "GetAtt":
            return self._value(value if isinstance(value, str) else ".".join(value))
        if function == "If":
            return self.resolve(value[1] if self.holds(value[0]) else value[2])
        if function == "Sub":
            text, more = (value, {}) if isinstance(value, str) else value
            more = self.resolve(more)
            return _HOLE.sub(lambda found: str(more.get(found[1]) or self._value(found[1])), text).replace("${!", "${")
        if function == "Join":
            return value[0].join(map(str, self._list(value[1])))
        if function == "Split":
            return str(self.resolve(value[1])).split(value[0])
        if function == "Select":
            return self._list(value[1])[int(value[0])]
        raise ValueError(f"the template has Fn::{function}, which is not known here")

    def _list(self, value: Any) -> list[Any]:
        """Work out a list, which may be the value of a parameter."""
        found = self.resolve(value)
        return found if isinstance(found, list) else [one.strip() for one in str(found).split(",") if one.strip()]

    def _is_true(self, condition: Mapping[str, Any]) -> bool:
        [(function, value)] = condition.items()
        if function == "Condition":
            return self.holds(value)
        if function == "Fn::Equals":
            return str(self.resolve(value[0])) == str(self.resolve(value[1]))
        met = [self._is_true(one) for one in value]
        return {"Fn::Not": not met[0], "Fn::And": all(met), "Fn::Or": any(met)}[function]
