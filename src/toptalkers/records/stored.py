"""Flow logs in S3 as input for an engine on this machine: `s3://bucket/prefix` in, files to read out."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from toptalkers.aws.objects import ListedObject, ObjectReader, Part, describe_archive
from toptalkers.errors import UsageError
from toptalkers.records.files import InputFile, Inputs, Problem
from toptalkers.records.hours import EARLIEST_ARRIVAL, LATEST_ARRIVAL, span_of_date, whole_hour

_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")

_DATED_FOLDER = re.compile(
    r"(?:.*/)?(?:flowlogs|vpcflowlogs/[a-z0-9-]+|aws-service=vpcflowlogs/aws-region=[a-z0-9-]+)/"
    r"((?:(?:year=|month=|day=|hour=)?[0-9]{2,4}/){1,4})"
)
"""A folder of a date: below what our Lambda writes, or AWS's direct delivery, plain or Hive."""


def find_stored(
    reader: ObjectReader, uris: Iterable[str], *, since: datetime | None = None, until: datetime | None = None
) -> Inputs:
    """Find the objects that addresses name, as files for an engine.

    An address is an object, or a folder with all below it, but for names that begin with `.` or `_`. With a time,
    folders of hours, days, months or years in which none of its records can have arrived are not even listed (the
    margins are those of `records/hours.py`). What lies in an archive is not asked for: it is a problem, by its name.

    Raises:
        UsageError: an address is none.
        AwsError: a bucket cannot be listed.

    """
    found: dict[ListedObject, InputFile] = {}
    archived: set[str] = set()
    problems: list[Problem] = []
    repeated = 0
    for uri in uris:
        place = _PLACE.fullmatch(uri)
        if place is None:
            raise UsageError(f"{uri!r} is no address in S3", hint="it is written s3://bucket/folder/")
        bucket, key = place[1], place[2] or ""
        folder = key if not key or key.endswith("/") else f"{key}/"
        before = len(found) + len(archived) + repeated
        for listed in reader.walk(bucket, key, partial(_wanted, since=since, until=until)):
            if listed.key != key and not listed.key.startswith(folder):
                continue
            below = listed.key.removeprefix(folder)
            if listed.key.endswith("/") or any(name.startswith((".", "_")) for name in below.split("/")):
                continue
            if listed in found or listed.uri in archived:
                repeated += 1
            elif listed.archive:
                archived.add(listed.uri)
                problems.append(Problem(listed.uri, describe_archive(listed.archive)))
            else:
                found[listed] = _file(reader, listed)
        if len(found) + len(archived) + repeated == before:
            when = " of the time asked for" if since or until else ""
            problems.append(Problem(uri, f"no objects{when} are there"))
    return Inputs(tuple(found.values()), tuple(problems), repeated)


def _wanted(folder: str, *, since: datetime | None, until: datetime | None) -> Part:
    if since is None and until is None:
        return "all"
    dated = _DATED_FOLDER.fullmatch(folder)
    if dated is None:
        return "some"
    date = tuple(int(number) for number in re.findall("[0-9]+", dated[1]))
    span = span_of_date(date)
    if span is None:
        return "all"
    begin = whole_hour(since) + EARLIEST_ARRIVAL if since else datetime.min.replace(tzinfo=UTC)
    end = whole_hour(until) + LATEST_ARRIVAL if until else datetime.max.replace(tzinfo=UTC)
    if span[1] <= begin or span[0] >= end:
        return "none"
    is_whole = begin <= span[0] and span[1] <= end
    return "all" if is_whole or len(date) == 4 else "some"


def _file(reader: ObjectReader, listed: ListedObject) -> InputFile:
    return InputFile(
        listed.uri,
        listed.size_bytes,
        partial(reader.open, listed),  # type: ignore[arg-type] # of a BinaryIO, reading and closing is all that is used
        prefetch=partial(reader.begin, listed),
        version=lambda: listed.etag,
    )
