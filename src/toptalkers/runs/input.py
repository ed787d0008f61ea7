"""What a run reads: the folders that the question's time needs, and what of them a cluster reads right."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from toptalkers import locations
from toptalkers.aws.objects import describe_archive
from toptalkers.aws.storage import ObjectRefusedError, StorageGateway, StoredObject
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.job.steps import Gluing
from toptalkers.question.query import Query
from toptalkers.records.hours import EARLIEST_ARRIVAL, LATEST_ARRIVAL, span_of_date, whole_hour
from toptalkers.runs.content import LOOK_BYTES, PACKED, Content, judge_content, judge_name

MOST_LOOKED_INTO = 5_000
"""How many objects are looked into whose names do not say how they are packed; a look takes a request."""

SAMPLED = 200
"""Of the others, how many are looked into."""

LOOKS_AT_A_TIME = 8

MOST_COPIED_BYTES = 5 << 30
"""The largest object that S3 copies in one request (S3 API reference, CopyObject)."""

LONGEST_URIS = 8_000
"""How many characters of names a step can be given: it takes some 10,000 for all of its arguments."""

NAMES_SHOWN = 3

_GIVEN = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9_.:/=@+-]*))?")

_CAPTURED = re.compile(re.escape(locations.CAPTURED) + r"\d{4}/\d\d/\d\d/\d\d/shardId-\d+-\d+-\d+\.gz")
_DELIVERED = re.compile(r"(?:.*/)?" + re.escape(locations.DIRECT) + r".*_vpcflowlogs_[^/]*\.log\.gz")
"""The two kinds of objects that are known to begin with a header: our own Lambda's and AWS's."""

_DATED = re.compile(r"(?:year=|month=|day=|hour=)?(\d{2}|\d{4})/")

FLOW_LOG_FOLDERS = ("vpcflowlogs/", "aws-service=vpcflowlogs/")

_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


Place = tuple[str, str]
"""A bucket and a key."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An object that a run reads under another name, in the stack's bucket."""

    bucket: str
    key: str
    to_key: str


@dataclass(frozen=True, slots=True)
class RunInput:
    """What a run reads.

    Attributes:
        uris: folders, read with all below them, and files.
        objects: how many objects that is.
        size_bytes: how many bytes, as they lie there, packed.
        gluing: how small objects may share a map.
        notes: what a user should know of it.
        copies: what is to be copied first, as its name does not say how it is packed.
        left_out: what is not read, though it was asked for: the objects' addresses, and why.

    """

    uris: tuple[str, ...]
    objects: int
    size_bytes: int
    gluing: Gluing
    notes: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


def pick_input(
    storage: StorageGateway,
    bucket: str,
    query: Query,
    *,
    given: Sequence[str] = (),
    renamed: str,
    skips: bool = False,
    on_look: Callable[[int, int], None] = lambda _done, _total: None,
) -> RunInput:
    """Find what a question has to read, and look into it: Hadoop goes by names, and does not see what it misreads.

    All objects are looked into whose names do not say how they are packed, and a sample of the others.

    Args:
        storage: S3.
        bucket: the stack's, where flow logs are when none are given.
        query: the question, whose time chooses among the stack's own flow logs.
        given: `s3://bucket/folder/` or objects, read whole; the question's time is looked at by the mapper alone.
        renamed: the folder in the stack's bucket for copies by better names.
        skips: leave out what a cluster cannot read, instead of raising.
        on_look: told how many objects of how many were looked into.

    Raises:
        UsageError: what is given is no address of S3, or holds signs that Hadoop would understand otherwise.
        ToptalkersError: there is nothing to read, or something that a cluster cannot read.

    """
    notes: list[str] = []
    if given:
        places = [_parse_given(uri) for uri in given]
        others = sorted({place for place, _ in places} - {bucket})
        notes += [f"the nodes' role reads s3://{bucket} alone, and must be granted s3://{other}" for other in others]
    else:
        start = whole_hour(query.since) + EARLIEST_ARRIVAL if query.since else _EVER[0]
        end = whole_hour(query.until) + LATEST_ARRIVAL if query.until else _EVER[1]
        places = [(bucket, key) for key in _own_folders(storage, bucket, start, end, notes)]
    survey = Survey(storage, query)
    for place, key in places:
        found = _object_at(storage, place, key)
        folder = "" if found else f"{key.rstrip('/')}/" if key else ""
        if not survey.add(place, folder, [found] if found else storage.list(place, folder)) and given:
            raise ToptalkersError(f"there is nothing to read at s3://{place}/{key}")
    survey.look(on_look, needs_all=skips)
    if survey.unreadable and not skips:
        raise ToptalkersError(
            f"{len(survey.unreadable):,} of {survey.objects:,} objects cannot be read on a cluster:"
            f" {format_reasons(survey.unreadable)}",
            hint="try 'toptalkers run-local' on them, name others with --input, or leave these out with"
            " --skip-unreadable",
        )
    taken = survey.taken
    if not taken:
        when = " at the time asked for" if query.since or query.until else ""
        where = f"s3://{bucket}{when}" if not given else ", ".join(given)
        passed = survey.neighbours | survey.unreadable
        raise ToptalkersError(
            f"there are no flow logs to read in {where}" + (f": {format_reasons(passed)}" if passed else ""),
            hint=None if given else "'toptalkers status' shows what arrives; records take up to 15 minutes",
        )
    uris, copied = survey.places()
    copies = tuple(
        Copy(*place, f"{renamed}{number:05}-{_plain_name(place[1])}{survey.renamed.get(place, '')}")
        for number, place in enumerate(copied)
    )
    if copies:
        uris.append(f"s3://{bucket}/{renamed}")
        number = "1 object is" if len(copies) == 1 else f"{len(copies):,} objects are"
        why = "Hadoop unpacks by the end of a name" if survey.renamed else "they lie among what is left out"
        notes.append(f"{number} copied to s3://{bucket}/{renamed} until the run is over, as {why}")
    if survey.neighbours:
        notes.append(f"passed over, as they are no flow logs: {format_reasons(survey.neighbours)}")
    if survey.unreadable:
        notes.append(f"left out, as a cluster cannot read them: {format_reasons(survey.unreadable)}")
    if not given and len({uri.split("/")[3] for uri in uris} & {"flowlogs", "AWSLogs"}) > 1:
        notes.append(
            f"flow logs come both ways, {locations.CAPTURED} and {locations.DIRECT}; what is logged both ways counts"
            f" twice (--input s3://{bucket}/{locations.CAPTURED} reads one alone)"
        )
    return RunInput(
        tuple(uris),
        len(taken),
        sum(taken.values()),
        _gluing(taken, survey.renamed, bucket),
        tuple(notes),
        copies,
        tuple(sorted(survey.unreadable.items())),
    )


def format_reasons(found: Mapping[str, str]) -> str:
    """Say of objects what they are: by reason, how many, and the first few by name."""
    by_reason: dict[str, list[str]] = {}
    for uri, reason in found.items():
        by_reason.setdefault(reason, []).append(uri)
    lines = []
    for reason, uris in by_reason.items():
        more = f" and {len(uris) - NAMES_SHOWN:,} more" if len(uris) > NAMES_SHOWN else ""
        lines.append(f"{reason}: {', '.join(uris[:NAMES_SHOWN])}{more}")
    return "; ".join(lines)


class Survey:
    """Objects as they are listed, and what they are.

    Attributes:
        taken: what is read, with its size.
        renamed: of it, what has to have another name, and how that ends.
        unreadable: what a cluster cannot read, by its address, and why.
        neighbours: what is no flow log, by its address, and what it is.

    """

    def __init__(self, storage: StorageGateway, query: Query) -> None:
        """Take S3, and the question that is asked of what lies there."""
        self._storage = storage
        self._query = query
        self._roots: list[tuple[Place, list[Place]]] = []
        self._seen: set[Place] = set()
        self.taken: dict[Place, int] = {}
        self.renamed: dict[Place, str] = {}
        self.unreadable: dict[str, str] = {}
        self.neighbours: dict[str, str] = {}

    @property
    def objects(self) -> int:
        """How many objects Hadoop would read."""
        return len(self._seen)

    def add(self, bucket: str, folder: str, objects: Iterable[StoredObject]) -> bool:
        """Take what lies in a folder, or an object alone; whether that is anything."""
        found: list[Place] = []
        for one in objects:
            below = one.key.removeprefix(folder)
            # Hadoop sees none of these: its own markers, hidden files, and the folders of the S3 console.
            if one.key.endswith("/") or any(part.startswith(("_", ".")) for part in below.split("/")):
                continue
            named = judge_name(one.key)
            if not one.size_bytes and not one.key.endswith(tuple(PACKED)):
                continue
            place = (bucket, one.key)
            found.append(place)
            if place in self._seen:
                continue
            self._seen.add(place)
            if named.kind == "neighbour":
                self.neighbours[f"s3://{bucket}/{one.key}"] = named.what
            elif one.archive:
                self.unreadable[f"s3://{bucket}/{one.key}"] = describe_archive(one.archive)
            elif named.kind == "unreadable" or not one.size_bytes:
                self.unreadable[f"s3://{bucket}/{one.key}"] = named.what or "0 bytes, which is no compressed file"
            else:
                self.taken[place] = one.size_bytes
        self._roots.append(((bucket, folder), found))
        return bool(found)

    def look(self, on_look: Callable[[int, int], None], *, needs_all: bool) -> None:
        """Look into objects: those whose names say nothing, and a sample of the others, or all if one is not right.

        Raises:
            ToptalkersError: some are not right, of more than are looked into, and which they are has to be known:
                they are to have another name, or `needs_all`.

        """
        named = [place for place in self.taken if place[1].endswith(tuple(PACKED))]
        silent = [place for place in self.taken if not place[1].endswith(tuple(PACKED))]
        for places, few in ((silent, MOST_LOOKED_INTO), (named, SAMPLED)):
            looked = _spread(places, few)
            odd = self._look_into(looked, on_look)
            if odd and len(looked) < len(places):
                rest = sorted(set(places) - set(looked))
                if len(rest) > MOST_LOOKED_INTO and (needs_all or self.renamed):
                    raise ToptalkersError(
                        f"of {len(places):,} objects some are not what their names tell Hadoop, and no more than"
                        f" {MOST_LOOKED_INTO:,} are looked into; one is s3://{'/'.join(odd[0])}",
                        hint="name fewer with --input, or have what writes them end their names as they are packed",
                    )
                self._look_into(_spread(rest, MOST_LOOKED_INTO), on_look)

    def _look_into(self, places: Sequence[Place], on_look: Callable[[int, int], None]) -> list[Place]:
        """Look into objects, some at a time; gives those that a cluster does not read right as they are."""
        odd = []
        with ThreadPoolExecutor(LOOKS_AT_A_TIME, "look") as pool:
            try:
                for number, (place, content) in enumerate(zip(places, pool.map(self._look, places), strict=True), 1):
                    if content.kind != "right":
                        odd.append(place)
                        self._judge(place, content)
                    on_look(number, len(places))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return odd

    def places(self) -> tuple[list[str], list[Place]]:
        """Where what is read lies: folders and files that hold nothing else, and files that have to be copied.

        Copied is what needs another name, and what lies alone among so much else that a step cannot be told.

        Raises:
            ToptalkersError: there is too much of that.

        """
        uris: dict[str, None] = {}
        files: dict[str, Place] = {}
        named: set[Place] = set(self.renamed)
        for (bucket, folder), found in self._roots:
            taken = [place[1] for place in found if place in self.taken and place not in named]
            others = [place[1] for place in found if place not in self.taken or place in named]
            named.update(found)
            for key in cover(folder, taken, others) if folder or len(found) != 1 else taken:
                uris[f"s3://{bucket}/{key}"] = None
                if key and not key.endswith("/"):
                    files[f"s3://{bucket}/{key}"] = (bucket, key)
        is_long = sum(map(len, uris)) > LONGEST_URIS and bool(self.renamed or self.unreadable or self.neighbours)
        copied = {
            uri: place
            for uri, place in files.items()
            if (is_long or not _GIVEN.fullmatch(uri)) and self.taken[place] <= MOST_COPIED_BYTES
        }
        uris = {uri: None for uri in uris if uri not in copied}
        is_long &= sum(map(len, uris)) > LONGEST_URIS
        if is_long or len(copied) + len(self.renamed) > MOST_LOOKED_INTO:
            raise ToptalkersError(
                "what is to be read lies in too many places beside what is not:"
                f" {format_reasons({**self.unreadable, **self.neighbours})}",
                hint="name the folders to read with --input, some at a time",
            )
        return list(uris), [
            place for place in self.taken if place in self.renamed or "s3://{}/{}".format(*place) in copied
        ]

    def _look(self, place: Place) -> Content:
        bucket, key = place
        try:
            head = self._storage.first_bytes(bucket, key, LOOK_BYTES)
        except ObjectRefusedError as error:
            return Content("unreadable", error.message)
        return judge_content(key, head, self._query, is_whole=len(head) == self.taken[place])

    def _judge(self, place: Place, content: Content) -> None:
        uri = "s3://{}/{}".format(*place)
        if content.kind == "renamed" and self.taken[place] > MOST_COPIED_BYTES:
            content = Content(
                "unreadable", f"compressed, though its name does not end in {content.what}, and too large to be copied"
            )
        if content.kind == "renamed":
            self.renamed[place] = content.what
        elif content.kind == "neighbour":
            self.neighbours[uri] = content.what
        elif content.kind == "unreadable":
            self.unreadable[uri] = content.what
        if content.kind in ("neighbour", "unreadable"):
            del self.taken[place]


def cover(folder: str, taken: Iterable[str], others: Iterable[str]) -> list[str]:
    """The fewest folders and files below a folder that hold all that is taken and none of the others.

    Args:
        folder: ends in `/`, or is empty for a whole bucket.
        taken: keys below it.
        others: keys below it, none of them taken.

    """
    parted = set()
    for key in others:
        end = len(folder)
        while end >= 0:
            parted.add(key[:end])
            end = key.find("/", end) + 1 or -1
    found: dict[str, None] = {}
    for key in taken:
        end = len(folder)
        while key[:end] in parted:
            end = key.find("/", end) + 1 or len(key)
        found[key[:end]] = None
    return list(found)


def _spread(places: list[Place], most: int) -> list[Place]:
    """So many of them at the most, from the first to the last at even distances."""
    if len(places) <= most:
        return places
    return [places[number * (len(places) - 1) // (most - 1)] for number in range(most)]


def _plain_name(key: str) -> str:
    """The last part of a key, of signs that everybody understands in a path."""
    return re.sub("[^A-Za-z0-9.-]", "-", key.rsplit("/", 1)[-1])[-100:]


def _gluing(taken: Iterable[Place], renamed: Mapping[Place, str], own_bucket: str) -> Gluing:
    """How objects may share a map, by their names."""
    has_headers = True
    for place in taken:
        bucket, key = place
        if not renamed.get(place, key).endswith(".gz"):
            return "never"
        ours = bucket == own_bucket and _CAPTURED.fullmatch(key) is not None
        has_headers &= place not in renamed and (ours or _DELIVERED.fullmatch(key) is not None)
    return "headers" if has_headers else "offsets"


def _parse_given(uri: str) -> tuple[str, str]:
    match = _GIVEN.fullmatch(uri)
    if match is None:
        raise UsageError(
            f"--input: {uri!r} is not an address of S3 that a step can be given",
            hint="s3://bucket/folder/ of letters, digits and _ . - + @ = :, without patterns",
        )
    return match[1], match[2] or ""


def _object_at(storage: StorageGateway, bucket: str, key: str) -> StoredObject | None:
    """The object of that very key; by listing, which tells of objects that HeadObject would be denied."""
    if not key or key.endswith("/"):
        return None
    # No key that begins with this one sorts before it.
    first = next(storage.list(bucket, key), None)
    return first if first and first.key == key else None


def _own_folders(
    storage: StorageGateway, bucket: str, start: datetime, end: datetime, notes: list[str]
) -> Iterator[str]:
    """The folders of the stack's bucket that may hold records that arrived in [start, end)."""
    roots = [locations.CAPTURED]
    for account in storage.folders(bucket, locations.DIRECT):
        for service in storage.folders(bucket, account):
            if service.removeprefix(account) in FLOW_LOG_FOLDERS:
                roots += storage.folders(bucket, service)
    for root in roots:
        if (start, end) == _EVER:
            yield root
        else:
            yield from _dated_folders(storage, bucket, root, (), start, end, notes)


def _dated_folders(
    storage: StorageGateway,
    bucket: str,
    folder: str,
    date: tuple[int, ...],
    start: datetime,
    end: datetime,
    notes: list[str],
) -> Iterator[str]:
    """The largest folders below one that lie in [start, end), and the smallest that reach into it.

    `date` is what the folder's name says so far: year, month, day, hour.
    """
    below = list(storage.folders(bucket, folder)) if len(date) < 4 else []
    if len(date) >= 3 and not below:
        yield folder
        return
    for inner in below:
        name = _DATED.fullmatch(inner.removeprefix(folder))
        inner_date = (*date, int(name[1])) if name else ()
        span = span_of_date(inner_date)
        if span is None:
            notes.append(f"left out, as its name is no part of a date: s3://{bucket}/{inner}")
        elif start <= span[0] and span[1] <= end:
            yield inner
        elif span[0] < end and start < span[1]:
            yield from _dated_folders(storage, bucket, inner, inner_date, start, end, notes)
