"""Which folders and objects in S3 can hold the flow logs that are asked for, by their names alone.

AWS delivers flow logs to (Amazon VPC user guide, "Flow log files"; the hour is an option):

    [prefix/]AWSLogs/<account>/vpcflowlogs/<region>/YYYY/MM/DD/[HH/]
    [prefix/]AWSLogs/aws-account-id=<account>/aws-service=vpcflowlogs/aws-region=<region>/year=/month=/day=/[hour=/]

in files `<account>_vpcflowlogs_<region>_<flow log>_<YYYYMMDDTHHmm>Z_<hash>.log.gz`. The time in a name is that of the
end of the five minutes when the records were collected. Other services deliver to their own folders of an account; an
organization's CloudTrail has the organization's id before it: `AWSLogs/o-<id>/<account>/CloudTrail/`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from toptalkers import locations
from toptalkers.errors import UsageError
from toptalkers.records.hours import EVER, Arrival, Part

_ORGANIZATION = "o-[a-z0-9]{10,32}"

_ACCOUNT = re.compile(
    rf"(?:.*/)?{locations.DIRECT}(?:{_ORGANIZATION}/)?(?:aws-account-id=)?(?P<account>[0-9]{{12}})/"
    r"(?:(?:aws-service=)?(?P<service>[^/]+)/(?:(?:aws-region=)?(?P<region>[a-z]{2,}(?:-[a-z]+)+-[0-9]+)/)?)?"
)
"""The beginning of a name in the tree of direct delivery: an account, a service of it, and a Region of that."""

_TREE = re.compile(
    r"(?:.*/)?(?:flowlogs|vpcflowlogs/[a-z0-9-]+|aws-service=vpcflowlogs/aws-region=[a-z0-9-]+)/(?P<below>(?:[^/]+/)*)"
)
"""A folder in a tree of dates: the one that our Lambda writes, or AWS's direct delivery, plain or Hive."""

_DATE = re.compile(
    r"(?:(?:year=)?([0-9]{4})/(?:(?:month=)?([0-9]{2})/(?:(?:day=)?([0-9]{2})/(?:(?:hour=)?([0-9]{2})/)?)?)?)?"
)

_ABOVE_TREES = re.compile(
    rf"(?:.*/)?(?:{_ORGANIZATION}/|{locations.DIRECT}(?:{_ORGANIZATION}/)?(?:(?:aws-account-id=)?[0-9]{{12}}/)?)"
)
"""A folder that holds those of accounts, or of an account's services; only some of them lead to flow logs."""

_NAME = re.compile(
    r"(?P<account>[0-9]{12})_vpcflowlogs_(?P<region>[a-z0-9-]+)_[^_/]+"
    r"_(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})T(?P<hour>[0-9]{2})[0-9]{2}Z_[^/]*"
)

_ACCOUNT_ID = re.compile("[0-9]{12}")
_REGION_NAME = re.compile("[a-z]{2,}(?:-[a-z]+)+-[0-9]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose flow logs are wanted: those of these accounts and Regions; empty for all."""

    accounts: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, accounts: Iterable[str] = (), regions: Iterable[str] = ()) -> Self:
        """Take the ids of accounts and the names of Regions, as they are given to a command.

        Raises:
            UsageError: one of them cannot be an account's id or a Region's name.

        """
        origin = cls(frozenset(accounts), frozenset(regions))
        for account in sorted(origin.accounts):
            if not _ACCOUNT_ID.fullmatch(account):
                raise UsageError(f"--from-account: {account!r} is not an account's id", hint="12 digits")
        for region in sorted(origin.regions):
            if not _REGION_NAME.fullmatch(region):
                raise UsageError(f"--from-region: {region!r} is not a Region's name", hint="like eu-central-1")
        return origin

    def __str__(self) -> str:
        """Name the accounts and the Regions."""
        named = [(self.accounts, "account"), (self.regions, "Region")]
        return ", ".join(f"{what} {' or '.join(sorted(some))}" for some, what in named if some)


ANYWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Source:
    """Whose flow logs a name tells, an account's and a Region's; empty where it tells nothing."""

    account: str = ""
    region: str = ""

    @classmethod
    def of(cls, key: str) -> Self:
        """Read the name of a folder, which ends in `/`, or of an object: its own name, else those of its folders."""
        if name := _NAME.fullmatch(key.rpartition("/")[2]):
            return cls(name["account"], name["region"])
        if folder := _ACCOUNT.match(key):
            return cls(folder["account"], folder["region"] or "")
        return cls()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which flow logs are wanted: those that arrived in a time, of some accounts and Regions."""

    arrival: Arrival = EVER
    origin: Origin = ANYWHERE

    @classmethod
    def of_records(cls, since: datetime | None, until: datetime | None, origin: Origin = ANYWHERE) -> Self:
        """Those that can hold records that started in [since, until); None for no bound."""
        return cls(Arrival.of_records(since, until), origin)

    def part_of(self, folder: str) -> Part:
        """How much of a folder must be listed: its name ends in `/`, or is empty for a whole bucket.

        A folder is `none` only if its name says so; what cannot be told is listed.
        """
        if not self._has_origin(Source.of(folder), when_unknown=True) or other_service(folder):
            return "none"
        date = date_of(folder)
        if date is not None and (part := self.arrival.part_of(date)):
            return part
        return "some" if self != EVERYTHING or _ABOVE_TREES.fullmatch(folder) else "all"

    def has(self, key: str) -> bool:
        """Whether an object of a listed folder is wanted. If accounts or Regions are named, its name must tell them."""
        name = _NAME.fullmatch(key.rpartition("/")[2]) if self.arrival != EVER else None
        if name:
            hour = [int(name[part]) for part in ("year", "month", "day", "hour")]
            if self.arrival.part_of(hour) == "none":
                return False
        return self.origin == ANYWHERE or self._has_origin(Source.of(key), when_unknown=False)

    def is_cut(self, folder: str) -> bool:
        """Whether the time wanted begins or ends within a folder of dates."""
        date = date_of(folder)
        return date is not None and self.arrival.part_of(date) == "some"

    def _has_origin(self, source: Source, *, when_unknown: bool) -> bool:
        pairs = ((source.account, self.origin.accounts), (source.region, self.origin.regions))
        return all(not some or (one in some if one else when_unknown) for one, some in pairs)


EVERYTHING = Wanted()


def other_service(folder: str) -> str:
    """The service whose folder of an account this is, if it is another one than flow logs; else empty."""
    match = _ACCOUNT.fullmatch(folder)
    service = match["service"] if match and not match["region"] else None
    return service if service and service.lower() != "vpcflowlogs" else ""


def leads_to_accounts(folder: str) -> bool:
    """Whether a folder holds those of accounts, or of an account's services, in AWS's own tree."""
    return _ABOVE_TREES.fullmatch(folder) is not None


def date_of(folder: str) -> tuple[int, ...] | None:
    """The date that a folder's name gives, none of it at the top of a tree; None when the name gives no date."""
    tree = _TREE.fullmatch(folder)
    date = _DATE.fullmatch(tree["below"]) if tree else None
    return tuple(int(number) for number in date.groups() if number) if date else None
