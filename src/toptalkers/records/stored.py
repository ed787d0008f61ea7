"""Flow logs in S3: the one walk to them, for this machine, a cluster and `status`."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from toptalkers import locations
from toptalkers.aws.storage import StorageGateway, StoredObject, describe_archive
from toptalkers.errors import UsageError
from toptalkers.records.files import InputFile, Inputs, Problem, is_hidden
from toptalkers.records.hours import EVER, Arrival, Part

_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")

_TREE = re.compile(
    r"(?:.*/)?(?:flowlogs|vpcflowlogs/[a-z0-9-]+|aws-service=vpcflowlogs/aws-region=[a-z0-9-]+)/(?P<below>(?:[^/]+/)*)"
)
"""A folder in a tree of dates: the one that our Lambda writes, or AWS's direct delivery, plain or Hive."""

_DATE = re.compile(
    r"(?:(?:year=)?([0-9]{4})/(?:(?:month=)?([0-9]{2})/(?:(?:day=)?([0-9]{2})/(?:(?:hour=)?([0-9]{2})/)?)?)?)?"
)

_ABOVE_TREES = re.compile(re.escape(locations.DIRECT) + r"(?:[^/]+/(?:(?:aws-service=)?vpcflowlogs/)?)?")
"""The folders of direct delivery that lead to a tree of dates: of accounts, and of flow logs in them."""

_DELIVERED = re.compile(r"(?:.*/)?" + re.escape(locations.DIRECT) + r".*_vpcflowlogs_[^/]*\.log\.gz")


@dataclass(frozen=True, slots=True)
class Level:
    """One listing of a walk.

    Attributes:
        folder: a prefix of keys; it ends in `/`, except possibly where the walk begins.
        objects: all objects below the folder if `is_deep`, else those directly in it.
        folders: the folders directly in it; empty if `is_deep`.
        is_deep: whether all that is below the folder is wanted.

    """

    folder: str
    objects: Iterable[StoredObject]
    folders: tuple[str, ...] = ()
    is_deep: bool = False


def walk(storage: StorageGateway, bucket: str, prefix: str, wanted: Callable[[str], Part]) -> Iterator[Level]:
    """List the wanted part of what is below a prefix, folders in the order of their names.

    The prefix is listed even if a folder of this name is not wanted. `wanted` tells how much of a folder is wanted:
    `all` takes a request per thousand objects, `some` one per folder, `none` takes none.

    Raises:
        AwsError: the bucket cannot be listed.

    """
    first = wanted(prefix)
    waiting: list[tuple[str, Part]] = [(prefix, "all" if first == "none" else first)]
    while waiting:
        folder, part = waiting.pop()
        if part == "all":
            yield Level(folder, storage.list(bucket, folder), is_deep=True)
        elif part == "some":
            objects, folders = storage.level(bucket, folder)
            waiting += reversed([(one, wanted(one)) for one in folders])
            yield Level(folder, objects, tuple(folders))


def objects_at(storage: StorageGateway, uri: str, arrival: Arrival = EVER) -> Iterator[tuple[str, StoredObject]]:
    """Yield the objects that an address names, itself or below it as a folder, each with its bucket.

    Objects with a part of the name that begins with `.` or `_` are passed over. With a time, folders of dates in which
    nothing arrived are not even listed.

    Raises:
        UsageError: the text is not an address in S3.
        AwsError: the bucket cannot be listed.

    """
    place = _PLACE.fullmatch(uri)
    if place is None:
        raise UsageError(f"{uri!r} is not an address in S3", hint="it is written s3://bucket/folder/")
    bucket, key = place[1], place[2] or ""
    folder = key if not key or key.endswith("/") else f"{key}/"

    def wanted(below: str) -> Part:
        if below != key and not below.startswith(folder):
            return "none"
        return "all" if arrival == EVER else _wanted_in_tree(arrival, below) or "some"

    for level in walk(storage, bucket, key, wanted):
        for listed in level.objects:
            if (listed.key == key or listed.key.startswith(folder)) and is_read(listed.key, folder):
                yield bucket, listed


def find_stored(
    storage: StorageGateway, uris: Iterable[str], *, since: datetime | None = None, until: datetime | None = None
) -> Inputs:
    """Find the objects that addresses name, as files for an engine on this machine; see `objects_at`.

    The time is that of records; `records/hours.py` says when they can have arrived. An archived object is a problem,
    and is not requested.

    Raises:
        UsageError: a text is not an address in S3.
        AwsError: a bucket cannot be listed.

    """
    found: dict[tuple[str, StoredObject], InputFile | None] = {}
    problems: list[Problem] = []
    repeated = 0
    arrival = Arrival.of_records(since, until)
    for uri in uris:
        is_empty = True
        for bucket, listed in objects_at(storage, uri, arrival):
            is_empty = False
            if (bucket, listed) in found:
                repeated += 1
            elif listed.archive:
                found[bucket, listed] = None
                problems.append(Problem(f"s3://{bucket}/{listed.key}", describe_archive(listed.archive)))
            else:
                found[bucket, listed] = _file(storage, bucket, listed)
        if is_empty:
            when = " of the time asked for" if since or until else ""
            problems.append(Problem(uri, f"no objects{when} are there"))
    return Inputs(tuple(file for file in found.values() if file), tuple(problems), repeated)


def dated_folders(
    storage: StorageGateway,
    bucket: str,
    arrival: Arrival,
    *,
    roots: Iterable[str] = (locations.CAPTURED, locations.DIRECT),
    on_odd: Callable[[str], None] = lambda _: None,
) -> Iterator[Level]:
    """List the largest folders of a stack's bucket within a time, and the smallest that overlap it.

    The smallest is a folder of an hour, or of a day that has no hours. `roots` are trees of dates, or folders above
    them. `on_odd` is called with the address of each folder in a tree whose name is not part of a date.
    """

    def wanted(folder: str) -> Part:
        if _TREE.fullmatch(folder) is None:
            return "some" if _ABOVE_TREES.fullmatch(folder) else "none"
        part = _wanted_in_tree(arrival, folder)
        if part is None:
            on_odd(f"s3://{bucket}/{folder}")
        return part or "none"

    for root in roots:
        for level in walk(storage, bucket, root, wanted):
            if level.is_deep or (not level.folders and len(_date_of(level.folder) or ()) >= 3):
                yield level


def newest_object(storage: StorageGateway, bucket: str, tree: str) -> StoredObject | None:
    """The newest object of the last folder of a tree; None when the tree has no folders."""
    folder = tree
    while further := max(storage.folders(bucket, folder), default=""):
        folder = further
    if folder == tree:
        return None
    return max(storage.list(bucket, folder), key=lambda one: one.modified, default=None)


def object_at(storage: StorageGateway, bucket: str, key: str) -> StoredObject | None:
    """The object of exactly this key, by listing: that also finds objects that HeadObject would be denied."""
    if not key or key.endswith("/"):
        return None
    # No key that begins with this one sorts before it.
    first = next(storage.list(bucket, key), None)
    return first if first and first.key == key else None


def is_read(key: str, folder: str) -> bool:
    """Whether an object below a folder is read: it is not a folder's marker, and no part of its name is hidden."""
    return not key.endswith("/") and not any(map(is_hidden, key.removeprefix(folder).split("/")))


def begins_with_header(key: str, *, is_own_bucket: bool) -> bool:
    """Whether an object is of a kind that always begins with a header: our Lambda's, or AWS's direct delivery."""
    ours = is_own_bucket and locations.CAPTURED_KEY.fullmatch(key) is not None
    return ours or _DELIVERED.fullmatch(key) is not None


def _date_of(folder: str) -> tuple[int, ...] | None:
    """The date that a folder's name gives, none of it at the top of a tree; None when the name gives no date."""
    tree = _TREE.fullmatch(folder)
    date = _DATE.fullmatch(tree["below"]) if tree else None
    return tuple(int(number) for number in date.groups() if number) if date else None


def _wanted_in_tree(arrival: Arrival, folder: str) -> Part | None:
    """How much of a folder in a tree of dates is wanted; None when its name is not part of a date."""
    date = _date_of(folder)
    return None if date is None else arrival.part_of(date)


def _file(storage: StorageGateway, bucket: str, listed: StoredObject) -> InputFile:
    return InputFile(
        f"s3://{bucket}/{listed.key}",
        listed.size_bytes,
        partial(storage.open_ahead, bucket, listed),  # type: ignore[arg-type] # of a BinaryIO, only read and close are used
        prefetch=partial(storage.prefetch, bucket, listed),
        version=lambda: listed.etag,
    )
