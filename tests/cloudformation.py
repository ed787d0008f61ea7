"""What CloudFormation makes of a template with parameters: its conditions decided, its functions computed.

`reduced` leaves a template without conditions, for tools that check templates but do not decide conditions. `computed`
gives plain texts, with an ARN for every resource. Both refuse a reference to what is not made.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

ACCOUNT, REGION, STACK = "123456789012", "eu-west-1", "toptalkers"

_NOTHING = object()


def reduced(template: Mapping[str, Any], parameters: Mapping[str, str], *, partition: str = "aws") -> dict[str, Any]:
    """Return the template without conditions, and without what the parameters leave out of it.

    Raises:
        KeyError: something that is made refers to something that is not.

    """
    return _Stack(template, parameters, partition).reduce()


def computed(template: Mapping[str, Any], parameters: Mapping[str, str], *, partition: str = "aws") -> dict[str, Any]:
    """Return resources and outputs, with texts in place of functions.

    Raises:
        KeyError: something that is made refers to something that is not.

    """
    stack = _Stack(template, parameters, partition)
    made = stack.reduce()
    return {part: stack.compute(made[part]) for part in ("Resources", "Outputs")}


class _Stack:
    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str], partition: str) -> None:
        self._template = template
        self._values: dict[str, Any] = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::StackName": STACK,
            "AWS::Partition": partition,
            "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        }
        assert parameters.keys() <= template["Parameters"].keys(), parameters
        for name, one in template["Parameters"].items():
            value = parameters.get(name, str(one["Default"]))
            is_list = one["Type"] == "CommaDelimitedList"
            members = [member.strip() for member in value.split(",")] if is_list else [value]
            pattern = one.get("AllowedPattern", ".*")
            assert all(re.fullmatch(pattern, member) for member in members), (name, value)
            assert value in map(str, one.get("AllowedValues", [value])), (name, value)
            self._values[name] = members if is_list else value
        self._made = {
            name: one for name, one in template["Resources"].items() if self._holds(one.get("Condition", True))
        }

    def reduce(self) -> dict[str, Any]:
        """Decide conditions, and look at every reference."""
        outputs = self._template["Outputs"].items()
        made = {
            **self._template,
            "Resources": self._made,
            "Outputs": {name: one for name, one in outputs if self._holds(one.get("Condition", True))},
        }
        del made["Conditions"]
        made["Resources"], made["Outputs"] = (
            {
                name: self._decide({key: value for key, value in one.items() if key != "Condition"})
                for name, one in all_.items()
            }
            for all_ in (made["Resources"], made["Outputs"])
        )
        return made

    def compute(self, value: Any) -> Any:
        """Compute the functions of a value whose conditions are decided."""
        if isinstance(value, list):
            return [self.compute(one) for one in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, given)] = value.items()
            if name == "Ref":
                return self._values[given] if given in self._values else self._name(given)
            if name in self._FUNCTIONS:
                return self._FUNCTIONS[name](self, given)
        return {name: self.compute(one) for name, one in value.items()}

    def _holds(self, condition: Any) -> bool:
        if isinstance(condition, bool):
            return condition
        if isinstance(condition, str):
            return self._holds(self._template["Conditions"][condition])
        [(name, given)] = condition.items()
        if name == "Condition":
            return self._holds(given)
        if name == "Fn::Equals":
            return bool(self.compute(given[0]) == self.compute(given[1]))
        if name == "Fn::Not":
            return not self._holds(given[0])
        return {"Fn::And": all, "Fn::Or": any}[name]([self._holds(one) for one in given])

    def _decide(self, value: Any) -> Any:
        if isinstance(value, list):
            return [one for one in map(self._decide, value) if one is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, given)] = value.items()
            if name == "Fn::If":
                return self._decide(given[1] if self._holds(given[0]) else given[2])
            if name == "Ref":
                return _NOTHING if given == "AWS::NoValue" else self._known(given) and value
            if name == "Fn::GetAtt":
                assert given[0] in self._made, f"{given[0]} is not made"
            if name == "Fn::Sub":
                text, own = (given, {}) if isinstance(given, str) else given
                for word in set(_WORDS.findall(text)) - own.keys():
                    self._known(word.partition(".")[0])
        decided = {name: self._decide(one) for name, one in value.items()}
        return {name: one for name, one in decided.items() if one is not _NOTHING}

    def _known(self, name: str) -> bool:
        if name not in self._values and name not in self._made:
            raise KeyError(f"{name} is not made")
        return True

    def _name(self, resource: str) -> str:
        made = self._made[resource]
        if made["Type"] == "AWS::IAM::InstanceProfile":
            return str(self.compute(made["Properties"]["InstanceProfileName"]))
        return f"{STACK}-{resource}".lower() if made["Type"] == "AWS::S3::Bucket" else f"{STACK}-{resource}"

    def _sub(self, given: Any) -> str:
        text, own = (given, {}) if isinstance(given, str) else given
        own = {name: self.compute(value) for name, value in own.items()}

        def replace(found: re.Match[str]) -> str:
            name, _, attribute = found[1].partition(".")
            if name in own:
                return str(own[name])
            return str(self._get_att([name, attribute]) if attribute else self.compute({"Ref": name}))

        return re.sub(r"\$\{!", "${", _WORDS.sub(replace, text))

    def _get_att(self, given: list[str]) -> str:
        name, attribute = given
        assert attribute == "Arn", given
        kind, partition = self._made[name]["Type"], self._values["AWS::Partition"]
        if kind == "AWS::S3::Bucket":
            return f"arn:{partition}:s3:::{self._name(name)}"
        if kind in ("AWS::IAM::Role", "AWS::IAM::InstanceProfile"):
            what = "role" if kind.endswith("Role") else "instance-profile"
            return f"arn:{partition}:iam::{ACCOUNT}:{what}{self._values['RolePath']}{self._name(name)}"
        service, what = kind.lower().split("::")[1:]
        return f"arn:{partition}:{service}:{REGION}:{ACCOUNT}:{what}/{self._name(name)}"

    def _join(self, given: Any) -> str:
        parts = self.compute(given[1])
        assert isinstance(given[0], str), "CloudFormation joins with fixed text only"
        assert isinstance(parts, list)
        return given[0].join(parts)

    def _split(self, given: Any) -> list[str]:
        text = self.compute(given[1])
        assert isinstance(text, str)
        return text.split(given[0])

    def _select(self, given: Any) -> str:
        return str(self.compute(given[1])[int(given[0])])

    _FUNCTIONS: Mapping[str, Callable[["_Stack", Any], Any]] = {
        "Fn::Sub": _sub,
        "Fn::GetAtt": _get_att,
        "Fn::Join": _join,
        "Fn::Split": _split,
        "Fn::Select": _select,
    }


_WORDS = re.compile(r"\$\{([A-Za-z][A-Za-z0-9:.]*)\}")
