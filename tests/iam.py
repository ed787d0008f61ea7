"""What IAM policies allow: a small evaluation of statements, for the parts of the language that ours use."""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import toptalkers

Statement = Mapping[str, Any]

_POLICIES = Path(toptalkers.__file__).parent / "sandbox" / "policies"


def managed_policy(name: str) -> list[Statement]:
    """Return the statements of one of AWS's policies, of which the sandbox keeps a copy."""
    kept = json.loads((_POLICIES / f"{name}.json").read_text(encoding="utf-8"))
    statements: list[Statement] = kept["PolicyVersion"]["Document"]["Statement"]
    return statements


def role_statements(role: Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a role's own policies."""
    return [
        statement for policy in role["Properties"]["Policies"] for statement in policy["PolicyDocument"]["Statement"]
    ]


def allows(
    statements: Iterable[Statement], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether statements allow an action on a resource; `context` has the values of condition keys."""
    matching = [
        one
        for one in statements
        if _matches(one["Action"], action) and _matches(one["Resource"], resource) and _holds(one, context or {})
    ]
    return bool(matching) and all(one["Effect"] == "Allow" for one in matching)


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _matches(patterns: Any, text: str) -> bool:
    # IAM knows * and ? only.
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in _listed(patterns))


def _holds(statement: Statement, context: Mapping[str, str]) -> bool:
    for operator, keys in statement.get("Condition", {}).items():
        for key, wanted in keys.items():
            value = context.get(key)
            if value is None:
                return False
            if operator in ("StringEquals", "Bool"):
                if value not in _listed(wanted):
                    return False
            elif operator in ("StringLike", "ArnLike"):
                if not _matches(wanted, value):
                    return False
            else:
                raise NotImplementedError(operator)
    return True
