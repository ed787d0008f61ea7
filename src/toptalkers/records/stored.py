"""Flow logs in S3: the one walk to them, for this machine, a cluster and `status`."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain, islice

from toptalkers import locations
from toptalkers.aws.storage import KEYS_PER_REQUEST, PIECE_BYTES, StorageGateway, StoredObject, describe_archive
from toptalkers.errors import UsageError
from toptalkers.records.files import InputFile, Inputs, Problem, is_hidden
from toptalkers.records.hours import Part
from toptalkers.records.wanted import ANYWHERE, EVERYTHING, Origin, Source, Wanted, leads_to_accounts, other_service

LISTED_AT_A_TIME = 8
"""How many folders are listed at a time: an organization has hundreds, and each takes a request."""

NAMES_SHOWN = 5

_PLACE = re.compile(rf"s3://({locations.BUCKET_NAME})(?:/(.*))?")


@dataclass
class Search:
    """The objects that are wanted below an address, found while they are taken from it, in one pass.

    Attributes:
        bucket: the name of a bucket.
        folder: a folder of it, which ends in `/`, or empty for the whole bucket; empty for a single object, too.
        wanted: what is wanted.
        cut: folders with something that is not wanted, and objects that are not: no folder above one may be read whole.
        services: the folders of other AWS services that were passed over, with the names of these.
        accounts: the accounts that the names of folders and objects tell, wanted or not.
        regions: the Regions that they tell, of the accounts that are wanted.

    """

    storage: StorageGateway
    bucket: str
    key: str
    wanted: Wanted = EVERYTHING
    folder: str = ""
    cut: list[str] = field(default_factory=list)
    services: dict[str, str] = field(default_factory=dict)
    accounts: set[str] = field(default_factory=set)
    regions: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, storage: StorageGateway, uri: str, wanted: Wanted = EVERYTHING) -> "Search":
        """Search at an address.

        Raises:
            UsageError: the text is not an address in S3.

        """
        place = _PLACE.fullmatch(uri)
        if place is None:
            raise UsageError(f"{uri!r} is not an address in S3", hint="it is written s3://bucket/folder/")
        return cls(storage, place[1], place[2] or "", wanted)

    def __iter__(self) -> Iterator[StoredObject]:
        """Yield the object that the address names; if there is none, those below it as a folder, in order.

        Objects with a part of the name that begins with `.` or `_` are passed over. An address of a date is read for
        any time; the time selects only below it.

        Raises:
            AwsError: the bucket cannot be listed.

        """
        if named := object_at(self.storage, self.bucket, self.key):
            if self._takes(named):
                yield named
            return
        self.folder = self.key if not self.key or self.key.endswith("/") else f"{self.key}/"
        for level in _walk(self.storage, self.bucket, self.folder, self._first_part(), self._part_of):
            for listed in level:
                if is_read(listed.key, self.folder) and self._takes(listed):
                    yield listed

    def _first_part(self) -> Part:
        """How much of the folder of the address is listed."""
        self._see(self.folder)
        part = self.wanted.part_of(self.folder)
        if part == "none":
            has_origin = Wanted(origin=self.wanted.origin).part_of(self.folder) != "none"
            return "all" if has_origin or other_service(self.folder) else "none"
        if self.wanted.is_cut(self.folder):
            self.cut.append(self.folder)
        if self.wanted == EVERYTHING and part == "all":
            # One listing of all below it is the cheapest, unless it holds the folders of AWS's services.
            folders = islice(self.storage.folders(self.bucket, self.folder), KEYS_PER_REQUEST)
            return "some" if any(map(leads_to_accounts, folders)) else "all"
        return part

    def _part_of(self, folder: str) -> Part:
        self._see(folder)
        part = self.wanted.part_of(folder)
        if part == "none" or self.wanted.is_cut(folder):
            self.cut.append(folder)
        if service := other_service(folder):
            self.services[folder] = service
        return part

    def _takes(self, listed: StoredObject) -> bool:
        if self.wanted.origin != ANYWHERE:
            self._see(listed.key)
        if self.wanted.has(listed.key):
            return True
        self.cut.append(listed.key)
        return False

    def _see(self, key: str) -> None:
        """Remember whose flow logs there are."""
        source = Source.of(key)
        if source.account:
            self.accounts.add(source.account)
        if source.region and source.account in (self.wanted.origin.accounts or {source.account}):
            self.regions.add(source.region)


def find_stored(
    storage: StorageGateway,
    uris: Iterable[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    origin: Origin = ANYWHERE,
) -> Inputs:
    """Find the objects that addresses name, as files for an engine on this machine; see `Search`.

    The time is that of records; `records/hours.py` says when they can have arrived. An archived object is a problem,
    and is not requested.

    Raises:
        UsageError: a text is not an address in S3.
        AwsError: a bucket cannot be listed.

    """
    found: dict[tuple[str, StoredObject], InputFile | None] = {}
    problems: list[Problem] = []
    repeated = 0
    searches = [Search.at(storage, uri, Wanted.of_records(since, until, origin)) for uri in uris]
    for search in searches:
        bucket, is_empty = search.bucket, True
        for listed in search:
            is_empty = False
            if (bucket, listed) in found:
                repeated += 1
            elif listed.archive:
                found[bucket, listed] = None
                problems.append(Problem(f"s3://{bucket}/{listed.key}", describe_archive(listed.archive)))
            else:
                found[bucket, listed] = _file(storage, bucket, listed)
        if is_empty and origin == ANYWHERE:
            when = " of the time asked for" if since or until else ""
            problems.append(Problem(f"s3://{bucket}/{search.key}", f"no objects{when} are there"))
        for folder, service in search.services.items():
            problems.append(Problem(f"s3://{bucket}/{folder}", service, is_failure=False))
    problems += [Problem("flow logs", line) for line in describe_missing(searches, origin)]
    if not found and not problems:
        problems.append(Problem(str(origin), "no objects of the time asked for are there"))
    return Inputs(tuple(file for file in found.values() if file), tuple(problems), repeated)


def describe_missing(searches: Iterable[Search], origin: Origin) -> Iterator[str]:
    """Yield a line for accounts, and one for Regions, that were asked for and not found, with those that there are."""
    searches = list(searches)
    for what, asked, there in (
        ("account", origin.accounts, set().union(*(one.accounts for one in searches))),
        ("Region", origin.regions, set().union(*(one.regions for one in searches))),
    ):
        if missing := sorted(asked - there):
            known = _some(sorted(there)) if there else "none that a name tells"
            yield f"none of the {what} {' or '.join(missing)}; {what}s there: {known}"


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


def _walk(
    storage: StorageGateway, bucket: str, folder: str, part: Part, part_of: Callable[[str], Part]
) -> Iterator[Iterable[StoredObject]]:
    """Yield the objects of each listing below a folder, folders in the order of their names.

    To list `all` of a folder takes a request per thousand objects; `some` takes one, and those of its folders; `none`
    takes no request. Meanwhile the next folders are being listed.
    """

    def listing(folder: str, part: Part) -> tuple[Iterable[StoredObject], Sequence[str]]:
        if part == "some":
            return storage.level(bucket, folder)
        below = storage.list(bucket, folder)
        return chain(list(islice(below, KEYS_PER_REQUEST)), below), ()

    waiting = [(folder, part)] if part != "none" else []
    begun: dict[str, Future[tuple[Iterable[StoredObject], Sequence[str]]]] = {}
    with ThreadPoolExecutor(LISTED_AT_A_TIME, "list") as pool:
        try:
            while waiting:
                for one in waiting[-LISTED_AT_A_TIME:] if len(waiting) > 1 else ():
                    if one[0] not in begun:
                        begun[one[0]] = pool.submit(listing, *one)
                folder, part = waiting.pop()
                coming = begun.pop(folder, None)
                objects, folders = coming.result() if coming else listing(folder, part)
                yield objects
                waiting += reversed([(one, kind) for one in folders if (kind := part_of(one)) != "none"])
        finally:
            for coming in begun.values():
                coming.cancel()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _file(storage: StorageGateway, bucket: str, listed: StoredObject) -> InputFile:
    in_order = not listed.key.endswith(".parquet")
    opens = storage.open_ahead if in_order else storage.open_ranges
    return InputFile(
        f"s3://{bucket}/{listed.key}",
        listed.size_bytes,
        partial(opens, bucket, listed),  # type: ignore[arg-type] # of a BinaryIO, only a few methods are used
        prefetch=partial(storage.prefetch, bucket, listed)
        if in_order or listed.size_bytes <= PIECE_BYTES
        else _nothing,
        version=lambda: listed.etag,
    )


def _nothing() -> None:
    """Of a large Parquet file, the first bytes say nothing about which are needed."""
