"""What a run reads: the folders that the question's time needs, how much that is, and how its files may be glued."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from toptalkers import locations
from toptalkers.aws.storage import StorageGateway, StoredObject
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.streaming.steps import Gluing

EARLIEST_ARRIVAL = timedelta(hours=-1)
LATEST_ARRIVAL = timedelta(hours=2)
"""How far from its start a record can arrive: ten minutes of gathering, ten of delivery (VPC user guide), five of
batching, and what a retry takes; before it, only as far as clocks differ."""

UNREADABLE = (".zst", ".parquet", ".orc", ".zip", ".xz", ".lz4", ".lzo", ".snappy")
"""What Hadoop Streaming cannot read on a cluster: it fails the job, or takes it for text."""

_GIVEN = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9_.:/=@+-]*))?")

_CAPTURED = re.compile(re.escape(locations.CAPTURED) + r"\d{4}/\d\d/\d\d/\d\d/shardId-\d+-\d+-\d+\.gz")
_DELIVERED = re.compile(r"(?:.*/)?" + re.escape(locations.DIRECT) + r".*_vpcflowlogs_[^/]*\.log\.gz")
"""The two kinds of objects that are known to begin with a header: our own Lambda's and AWS's."""

_DATED = re.compile(r"(?:year=|month=|day=|hour=)?(\d{2}|\d{4})/")

FLOW_LOG_FOLDERS = ("vpcflowlogs/", "aws-service=vpcflowlogs/")

_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class RunInput:
    """What a run reads.

    Attributes:
        uris: folders, read with all below them, and files.
        objects: how many objects that is.
        size_bytes: how many bytes, as they lie there, packed.
        gluing: how small objects may share a map.
        notes: what a user should know of it.

    """

    uris: tuple[str, ...]
    objects: int
    size_bytes: int
    gluing: Gluing
    notes: tuple[str, ...] = ()


def pick_input(
    storage: StorageGateway,
    bucket: str,
    *,
    given: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> RunInput:
    """Find what a question has to read.

    Args:
        storage: S3.
        bucket: the stack's, where flow logs are when none are given.
        given: `s3://bucket/folder/` or objects, read whole; the question's time is looked at by the mapper alone.
        since: no record before counts.
        until: no record from then on counts.

    Raises:
        UsageError: what is given is no address of S3, or holds signs that Hadoop would understand otherwise.
        ToptalkersError: there is nothing to read, or something that Hadoop cannot read.

    """
    notes: list[str] = []
    if given:
        places = [_parse_given(uri) for uri in given]
        others = sorted({place for place, _ in places} - {bucket})
        notes += [f"the nodes' role reads s3://{bucket} alone, and must be granted s3://{other}" for other in others]
    else:
        start = whole_hour(since) + EARLIEST_ARRIVAL if since else _EVER[0]
        end = whole_hour(until) + LATEST_ARRIVAL if until else _EVER[1]
        places = [(bucket, key) for key in _own_folders(storage, bucket, start, end, notes)]
    survey = _Survey(bucket)
    uris = []
    for place, key in places:
        before = survey.objects
        found = storage.head(place, key) if key and not key.endswith("/") else None
        if found:
            survey.add(place, "", [found])
        else:
            key = f"{key.rstrip('/')}/" if key else ""
            survey.add(place, key, storage.list(place, key))
        if survey.objects > before:
            uris.append(f"s3://{place}/{key}")
        elif given and not survey.unreadable:
            raise ToptalkersError(f"there is nothing to read at s3://{place}/{key}")
    if survey.unreadable:
        raise ToptalkersError(
            f"{len(survey.unreadable):,} of the objects cannot be read by Hadoop: {', '.join(survey.unreadable[:3])}",
            hint="a gzip object of 0 bytes, or another compression; take them away, or name others with --input",
        )
    if not survey.objects:
        when = " at the time asked for" if since or until else ""
        raise ToptalkersError(
            f"there are no flow logs to read in s3://{bucket}{when}",
            hint="'toptalkers status' shows what arrives; records take up to 15 minutes",
        )
    if not given and len({uri.split("/")[3] for uri in uris}) > 1:
        notes.append(
            f"flow logs come both ways, {locations.CAPTURED} and {locations.DIRECT}; what is logged both ways counts"
            f" twice (--input s3://{bucket}/{locations.CAPTURED} reads one alone)"
        )
    return RunInput(tuple(uris), survey.objects, survey.size_bytes, survey.gluing, tuple(notes))


class _Survey:
    """Counts objects as they are listed, and sees of which kinds they are."""

    def __init__(self, own_bucket: str) -> None:
        self._own_bucket = own_bucket
        self.objects = 0
        self.size_bytes = 0
        self.unreadable: list[str] = []
        self._all_packed = True
        self._all_with_header = True

    def add(self, bucket: str, folder: str, objects: Iterable[StoredObject]) -> None:
        for one in objects:
            below = one.key.removeprefix(folder)
            # Hadoop sees none of these: its own markers, hidden files, and the folders of the S3 console.
            if one.key.endswith("/") or any(part.startswith(("_", ".")) for part in below.split("/")):
                continue
            is_packed = one.key.endswith(".gz")
            if one.key.endswith(UNREADABLE) or (is_packed and not one.size_bytes):
                self.unreadable.append(f"s3://{bucket}/{one.key}")
                continue
            if not one.size_bytes:
                continue
            self.objects += 1
            self.size_bytes += one.size_bytes
            self._all_packed &= is_packed
            ours = bucket == self._own_bucket and _CAPTURED.fullmatch(one.key) is not None
            self._all_with_header &= ours or _DELIVERED.fullmatch(one.key) is not None

    @property
    def gluing(self) -> Gluing:
        if not self._all_packed:
            return "never"
        return "headers" if self._all_with_header else "offsets"


def _parse_given(uri: str) -> tuple[str, str]:
    match = _GIVEN.fullmatch(uri)
    if match is None:
        raise UsageError(
            f"--input: {uri!r} is not an address of S3 that a step can be given",
            hint="s3://bucket/folder/ of letters, digits and _ . - + @ = :, without patterns",
        )
    return match[1], match[2] or ""


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


def span_of_date(date: tuple[int, ...]) -> tuple[datetime, datetime] | None:
    """From when to when a year, month, day or hour is; None when there is no such date."""
    try:
        match date:
            case (year,):
                return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
            case (year, month):
                begin = datetime(year, month, 1, tzinfo=UTC)
                return begin, (begin + timedelta(days=31)).replace(day=1)
            case (year, month, day):
                begin = datetime(year, month, day, tzinfo=UTC)
                return begin, begin + timedelta(days=1)
            case (year, month, day, hour):
                begin = datetime(year, month, day, hour, tzinfo=UTC)
                return begin, begin + timedelta(hours=1)
            case _:
                return None
    except (ValueError, OverflowError):
        return None


def whole_hour(moment: datetime) -> datetime:
    """When its hour began."""
    return moment.replace(minute=0, second=0, microsecond=0)
