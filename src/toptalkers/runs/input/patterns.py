"""Write the addresses of many folders of flow logs as few patterns, which Hadoop expands by listing them itself.

EMR takes about 10,000 characters of arguments for a step. An hour of a hundred accounts in ten Regions is a thousand
folders; their names differ only in the account, the Region, and the last part of the date:

    s3://central/AWSLogs/{111122223333,123456789012}/vpcflowlogs/{eu-central-1,us-east-1}/2026/11/23/{16,17,18}/
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain

_AWS = re.compile(
    r"(?P<head>s3://[^/]+/(?:.*/)?AWSLogs/(?:o-[a-z0-9]+/)?(?:aws-account-id=)?)(?P<account>[0-9]{12})"
    r"(?P<service>/(?:aws-service=)?vpcflowlogs/(?:aws-region=)?)(?P<region>[^/]+)(?P<date>/(?:[^/]+/)*?)(?P<last>[^/]*/?)"
)
"""The address of a folder or a file of one account and Region."""

_ANY = re.compile(r"(?P<head>s3://[^/]+/(?:.*/)?)(?P<last>[^/]+/?)")

_NAMED = re.compile(
    r"[0-9]{12}_vpcflowlogs_[a-z0-9-]+_[^_/]+(?P<hour>_[0-9]{8}T[0-9]{2})[0-9]{2}Z_[^/]*(?P<ending>\.log\.gz)"
)
"""The name of a file that AWS delivered; those of an hour are read together."""


@dataclass
class _Group:
    """Addresses that differ only in some parts."""

    accounts: dict[str, None] = field(default_factory=dict)
    regions: dict[str, None] = field(default_factory=dict)
    lasts: dict[str, None] = field(default_factory=dict)
    uris: list[str] = field(default_factory=list)


def group_addresses(
    uris: Iterable[str], refused: Collection[str], *, all_accounts: bool = False, all_regions: bool = False
) -> list[str]:
    """Write addresses of folders, which end in `/`, and of files as patterns that match them.

    A pattern may also match what does not exist, but nothing that is refused: objects, or folders. With `all_accounts`
    and `all_regions` nothing is refused for its account or Region, and a pattern has a star for them. Addresses whose
    pattern would match something refused stay as they are.
    """
    groups: dict[tuple[str, ...], _Group] = {}
    for uri in uris:
        match = _AWS.fullmatch(uri) or _ANY.fullmatch(uri)
        if match is None:
            groups.setdefault((uri,), _Group()).uris.append(uri)
            continue
        part = match.groupdict(default="")
        last, slash = part["last"].removesuffix("/"), part["last"][-1:] == "/"
        if named := _NAMED.fullmatch(last):
            last = f"*{named['hour']}*{named['ending']}"
        key = (part["head"], part.get("service", ""), part.get("date", ""), "/" if slash else "")
        group = groups.setdefault(key, _Group())
        group.accounts[part.get("account", "")] = group.regions[part.get("region", "")] = group.lasts[last] = None
        group.uris.append(uri)
    return list(
        chain.from_iterable(
            _write(key, group, refused, all_accounts=all_accounts, all_regions=all_regions)
            for key, group in groups.items()
        )
    )


def _write(
    key: tuple[str, ...], group: _Group, refused: Iterable[str], *, all_accounts: bool, all_regions: bool
) -> list[str]:
    if len(group.uris) == 1:
        return group.uris
    head, service, date, slash = key
    accounts = {"*": None} if all_accounts and service else group.accounts
    regions = {"*": None} if all_regions and service else group.regions
    pattern = head + _braces(accounts) + service + _braces(regions) + date + _braces(group.lasts) + slash
    # Below a folder of the pattern everything would be read, but of files only these.
    end = "" if slash else "(?![^/])"
    matches = re.compile(
        re.escape(head) + _regex(accounts) + re.escape(service) + _regex(regions) + re.escape(date)
        + _regex(group.lasts) + slash + end
    ).match  # fmt: skip
    return group.uris if any(map(matches, refused)) else [pattern]


def _braces(words: Iterable[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else "{" + ",".join(words) + "}"


def _regex(words: Iterable[str]) -> str:
    return "(?:" + "|".join(re.escape(word).replace(r"\*", "[^/]*") for word in words) + ")"


def matcher(pattern: str) -> tuple[str, Callable[[str], object]]:
    """Return the address to list for what a pattern means, or an address, and whether it means an object's address.

    A folder means all objects below it.
    """
    fixed = re.match(r"[^*{]*", pattern)
    assert fixed is not None  # noqa: S101 - for the type checker
    if fixed[0] == pattern:
        return pattern, lambda _: True
    text = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\{", "(?:").replace(r"\}", ")").replace(",", "|")
    matches = re.compile(text if pattern.endswith("/") else f"{text}(?:/|$)").match
    return fixed[0].rpartition("/")[0] + "/", matches
