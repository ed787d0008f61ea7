"""What a template would change in a stack, worked out without asking CloudFormation to prepare it.

This is the plan of a dry run. It resolves parameters and conditions as CloudFormation does, and compares
resource by resource. Whether a change replaces a resource, only a change set can say.
"""

import json
from collections.abc import Mapping
from typing import Any

from toptalkers.aws.stack import Change

Template = Mapping[str, Any]

_MISSING = object()


def predict_changes(
    old: Template, old_parameters: Mapping[str, str], new: Template, new_parameters: Mapping[str, str]
) -> tuple[Change, ...]:
    """Compare two templates under their parameters.

    Args:
        old: the template of the stack, empty when there is none.
        old_parameters: the values that the stack has.
        new: the template to come.
        new_parameters: the values it will have; a parameter that is left out has its default.

    Returns:
        Changes in the order of the new template, what is removed last.

    """
    before = resolve_resources(old, old_parameters)
    after = resolve_resources(new, new_parameters)
    changes = [
        Change("add" if name not in before else "change", name, resource["Type"])
        for name, resource in after.items()
        if before.get(name) != resource
    ]
    changes += [Change("remove", name, before[name]["Type"]) for name in before if name not in after]
    return tuple(changes)


def resolve_resources(template: Template, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The resources that a template makes under parameters, with these put in wherever they are named."""
    values = {name: str(one.get("Default", "")) for name, one in template.get("Parameters", {}).items()}
    values |= {name: value for name, value in parameters.items() if name in values}
    conditions: dict[str, bool] = {}
    for name, condition in template.get("Conditions", {}).items():
        conditions[name] = _holds(condition, values, conditions)
    return {
        name: _resolve(resource, values, conditions)
        for name, resource in template.get("Resources", {}).items()
        if conditions.get(resource.get("Condition"), True)
    }


def default_parameters(template: str) -> dict[str, str]:
    """The parameters of a template with their defaults, as text."""
    return {name: str(one.get("Default", "")) for name, one in json.loads(template)["Parameters"].items()}


def _holds(condition: Any, values: Mapping[str, str], conditions: Mapping[str, bool]) -> bool:
    [(name, operands)] = condition.items()
    if name == "Condition":
        return conditions[operands]
    if name == "Fn::Equals":
        left, right = (_resolve(one, values, conditions) for one in operands)
        return bool(left == right)
    found = [_holds(one, values, conditions) for one in operands]
    return {"Fn::Not": not found[0], "Fn::And": all(found), "Fn::Or": any(found)}[name]


def _resolve(node: Any, values: Mapping[str, str], conditions: Mapping[str, bool]) -> Any:
    if isinstance(node, list):
        items = [_resolve(one, values, conditions) for one in node]
        return [one for one in items if one is not _MISSING]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        [(name, operand)] = node.items()
        if name == "Ref" and operand == "AWS::NoValue":
            return _MISSING
        if name == "Ref" and operand in values:
            return values[operand]
        if name == "Fn::If" and operand[0] in conditions:
            return _resolve(operand[1 if conditions[operand[0]] else 2], values, conditions)
        if name == "Fn::Sub" and isinstance(operand, str):
            for parameter, value in values.items():
                operand = operand.replace(f"${{{parameter}}}", value)
            return {name: operand}
    resolved = {name: _resolve(one, values, conditions) for name, one in node.items()}
    return {name: one for name, one in resolved.items() if one is not _MISSING}
