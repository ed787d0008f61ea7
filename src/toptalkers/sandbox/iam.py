"""Decide by IAM policies whether a request is allowed, as IAM does ("Policy evaluation logic", IAM user guide).

Only what EMR's roles need: identity policies and a permissions boundary, with the condition operators in `_OPERATORS`.
An operator that is not known here raises an error, because to skip a condition would allow too much.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

Policy = Mapping[str, Any]
"""A policy document, parsed."""


class Decision(StrEnum):
    """What policies say about a request."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "implicitDeny"
    """No statement allows it."""
    DENIED = "explicitDeny"
    """A statement denies it, and no other can allow it."""


@dataclass(frozen=True)
class Request:
    """A request to AWS, as IAM sees it.

    Attributes:
        action: such as `s3:GetObject`.
        resource: its ARN.
        context: the condition keys that the request has, and their values. The names of keys, but not those of tags,
            are compared without their case.

    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def decide(policies: Iterable[Policy], request: Request, boundary: Iterable[Policy] | None = None) -> Decision:
    """Decide a request of a role.

    Args:
        policies: all policies of the role, inline and attached.
        request: the request.
        boundary: the role's permissions boundary as a single policy, if it has one: it must allow the request as well.

    Raises:
        ValueError: a condition has an operator that is not known here.

    """
    found = _effects(policies, request)
    limit = {"Allow"} if boundary is None else _effects(boundary, request)
    if "Deny" in found | limit:
        return Decision.DENIED
    return Decision.ALLOWED if "Allow" in found & limit else Decision.NOT_ALLOWED


def decide_by_resource(policy: Policy, request: Request, principals: Iterable[str]) -> Decision:
    """Decide a request by the policy of its resource, such as a bucket policy.

    Args:
        policy: the policy of the resource.
        request: the request.
        principals: the ARNs, or account IDs, by which a statement may name the caller; `*` always names it.

    """
    names = {"*", *principals}
    naming = [one for one in _listed(policy.get("Statement")) if _principals(one) & names]
    return decide([{"Statement": naming}], request)


def _principals(statement: Mapping[str, Any]) -> set[str]:
    given = statement.get("Principal", {})
    return set(_listed(given.get("AWS")) if isinstance(given, Mapping) else _listed(given))


def _effects(policies: Iterable[Policy], request: Request) -> set[str]:
    return {
        str(statement["Effect"])
        for policy in policies
        for statement in _listed(policy.get("Statement"))
        if _applies(statement, request)
    }


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        _names(statement, "Action", request.action, is_caseless=True)
        and _names(statement, "Resource", request.resource)
        and all(
            _holds(operator, key, _listed(expected), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _names(statement: Mapping[str, Any], element: str, value: str, *, is_caseless: bool = False) -> bool:
    """Whether the element, or its opposite such as NotAction, names the value."""
    patterns = statement.get(element)
    if patterns is None:
        return not any(_is_like(value, one, is_caseless=is_caseless) for one in _listed(statement[f"Not{element}"]))
    return any(_is_like(value, one, is_caseless=is_caseless) for one in _listed(patterns))


def _holds(operator: str, key: str, expected: Sequence[str], context: Mapping[str, str]) -> bool:
    value = next((one for name, one in context.items() if _key(name) == _key(key)), None)
    name, _, suffix = operator.partition("IfExists")
    if operator == "Null":
        return (value is None) == (str(expected[0]).lower() == "true")
    if name not in _OPERATORS or suffix:
        raise ValueError(f"the sandbox does not know IAM's operator {operator}")
    is_negative = "Not" in name
    if value is None:
        return is_negative or operator != name
    found = any(_OPERATORS[name](value, str(one)) for one in expected)
    return found != is_negative


def _key(name: str) -> str:
    prefix, slash, tag = name.partition("/")
    return prefix.lower() + slash + tag


def _is_like(value: str, pattern: str, *, is_caseless: bool = False) -> bool:
    return _compiled(pattern, is_caseless).fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str, is_caseless: bool) -> re.Pattern[str]:
    text = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile(text, re.DOTALL | (re.IGNORECASE if is_caseless else 0))


def _is_same(value: str, expected: str) -> bool:
    return value == expected


def _is_same_word(value: str, expected: str) -> bool:
    return value.lower() == expected.lower()


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _is_same,
    "StringNotEquals": _is_same,
    "StringEqualsIgnoreCase": _is_same_word,
    "StringNotEqualsIgnoreCase": _is_same_word,
    "StringLike": _is_like,
    "StringNotLike": _is_like,
    "ArnEquals": _is_like,
    "ArnLike": _is_like,
    "ArnNotEquals": _is_like,
    "ArnNotLike": _is_like,
    "Bool": _is_same_word,
}


def _listed(value: Any) -> list[Any]:
    """Return a list for an element that may be a list, a single value, or missing."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
