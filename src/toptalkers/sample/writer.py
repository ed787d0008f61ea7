"""Write the sample as files, with their layouts, names and compression; clean, or with the defects of real files.

Nothing is overwritten, and no file is ever visible half written: each is written under a hidden name and renamed.
"""

import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Literal

from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, RICH_LAYOUT, Layout, format_header
from toptalkers.flowlog.truth import SNAPSHOT_NAME, TRUTH_NAME
from toptalkers.machine.arrow import require_pyarrow
from toptalkers.machine.whole_file import whole_file
from toptalkers.names.snapshot import format_snapshot
from toptalkers.sample.company import ACCOUNT_ID, FLOW_LOG_ID, REGION
from toptalkers.sample.dirt import Dirt, format_dirty
from toptalkers.sample.parquet import to_parquet
from toptalkers.sample.snapshot import company_snapshot
from toptalkers.sample.traffic import FIRST_SECOND, SLICE_SECONDS, SLICES, Traffic, records_by_slice
from toptalkers.sample.truth import format_truth

SampleLayout = Literal["default", "rich", "aws-s3"]
FileFormat = Literal["text", "parquet"]

RECORDS_PER_FILE = 40_000
"""About as many as a file of a busy VPC has; a file's text is held in memory."""

_DIRTY_TURNS = (*Dirt, *[None] * len(Dirt))
"""The defects of the files in turn: half of the files are clean."""

_RECORDS_WORTH_A_FILE = 5_000
_SLICES_PER_FILE = (1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 36)
"""From five minutes per file to three hours, so that a day has at least eight files."""


@dataclass(frozen=True, slots=True)
class SampleReport:
    """What was written.

    Attributes:
        files: every file of records, in their order.
        records: records written, including those with log status NODATA and SKIPDATA.
        bytes_written: the size of these files on disk.
        truth: the file with the conversations that were really sent; see `sample/truth.py`.
        snapshot: the file with what the addresses belong to; see `sample/snapshot.py`.
        broken_lines: lines among the records that no question counts; 0 unless dirty.

    """

    files: tuple[Path, ...]
    records: int
    bytes_written: int
    truth: Path
    snapshot: Path
    broken_lines: int = 0


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A planned file: its name below the folder, how many of the day's next records it takes, its defect."""

    name: PurePosixPath
    records: int
    dirt: Dirt | None = None


def write_sample(
    out: Path,
    *,
    records: int,
    seed: int = 1,
    layout: SampleLayout = "default",
    dirty: bool = False,
    file_format: FileFormat = "text",
    progress: Callable[[int], None] = lambda _: None,
    records_per_file: int = RECORDS_PER_FILE,
) -> SampleReport:
    """Write realistic flow logs of one day, 2026-11-01 UTC, into a folder.

    Beside them is `truth.json`, what was really sent, and `snapshot.json`, what the addresses belong to.

    The same arguments give the same files, names and uncompressed bytes of text, on every platform and Python.

    Args:
        out: the folder; created if it is missing.
        records: how many records in all.
        seed: selects one of the possible days.
        layout: `default`, version-2 lines without a header; `rich`, a custom format of versions 2 to 5 with
            headers; `aws-s3`, version 2 with headers in the tree of AWS's own delivery to S3.
        dirty: add the defects of real files, in every other run of files, and an empty file at the end.
        file_format: gzip files of lines, or Parquet files as AWS delivers them.
        progress: called after each file with the records written so far.
        records_per_file: the most records in one file; memory grows with it.

    Raises:
        UsageError: there is less than one record, or Parquet is to be dirty.
        ToptalkersError: Parquet needs pyarrow; or one of the files already exists (then nothing is written), or cannot
            be written.

    """
    is_parquet = file_format == "parquet"
    if is_parquet and dirty:
        raise UsageError("--dirty is for text: the defects are those of lines")
    if is_parquet:
        require_pyarrow("writing Parquet")
    plan = plan_files(
        records, seed=seed, layout=layout, dirty=dirty, file_format=file_format, records_per_file=records_per_file
    )
    _refuse_to_overwrite(
        out, [*(planned.name for planned in plan), PurePosixPath(TRUTH_NAME), PurePosixPath(SNAPSHOT_NAME)]
    )
    columns = RICH_LAYOUT if layout == "rich" else DEFAULT_LAYOUT
    traffic = Traffic(seed, rich=layout == "rich")
    lines = chain.from_iterable(traffic.batches(records))
    written: list[Path] = []
    records_done = bytes_done = broken_lines = 0
    for planned in plan:
        if is_parquet:
            data, broken = to_parquet(list(islice(lines, planned.records)), columns), 0
        else:
            data, broken = _pack(planned, lines, columns, headed=layout != "default")
        path = out / planned.name
        _write_whole(path, [data])
        written.append(path)
        records_done += planned.records
        bytes_done += len(data)
        broken_lines += broken
        progress(records_done)
    truth = out / TRUTH_NAME
    _write_whole(truth, format_truth(traffic.truth(), seed=seed, records=records, layout=layout))
    snapshot = out / SNAPSHOT_NAME
    _write_whole(snapshot, format_snapshot(company_snapshot()))
    return SampleReport(tuple(written), records_done, bytes_done, truth, snapshot, broken_lines)


def plan_files(
    records: int,
    *,
    seed: int = 1,
    layout: SampleLayout = "default",
    dirty: bool = False,
    file_format: FileFormat = "text",
    records_per_file: int = RECORDS_PER_FILE,
) -> tuple[PlannedFile, ...]:
    """Plan the files of a sample, in the order of their records; arguments as for `write_sample`."""
    if records < 1 or records_per_file < 1:
        raise UsageError("a sample needs at least one record, in all and in a file")
    if dirty:
        # Each kind of defect needs a file, and the last file is the empty one.
        records_per_file = min(records_per_file, -(-records // len(Dirt)))
    parts = _aws_parts(records, seed, records_per_file) if layout == "aws-s3" else _parts(records, records_per_file)
    plan = []
    for number, (stem, count) in enumerate(parts):
        dirt = _DIRTY_TURNS[number % len(_DIRTY_TURNS)] if dirty and count else None
        if count or dirty:
            ending = ".parquet" if file_format == "parquet" else "" if dirt is Dirt.PLAIN else ".gz"
            plan.append(PlannedFile(PurePosixPath(f"{stem}{ending}"), count, dirt))
    return tuple(plan)


def _parts(records: int, records_per_file: int) -> Iterator[tuple[str, int]]:
    """Yield the files' names without `.gz`, and their numbers of records; an empty file at the end."""
    files = -(-records // records_per_file)
    for number in range(files):
        yield f"flowlogs-{number:04d}.log", min(records_per_file, records - number * records_per_file)
    yield f"flowlogs-{files:04d}.log", 0


def _aws_parts(records: int, seed: int, records_per_file: int) -> Iterator[tuple[str, int]]:
    """Yield the same in AWS's own folders, by time (Amazon VPC user guide, "Flow log files")."""
    by_slice = records_by_slice(records)
    wanted = min(_RECORDS_WORTH_A_FILE, records_per_file)
    together = next((n for n in _SLICES_PER_FILE if records * n >= wanted * SLICES), _SLICES_PER_FILE[-1])
    for first in range(0, SLICES, together):
        count = sum(by_slice[first : first + together])
        time = datetime.fromtimestamp(FIRST_SECOND + first * SLICE_SECONDS, UTC)
        files = -(-count // records_per_file)
        for part in range(files):
            yield _aws_name(time, f"{seed} {part}"), count * (part + 1) // files - count * part // files
    yield _aws_name(time, f"{seed} empty"), 0


def _aws_name(time: datetime, of: str) -> str:
    unique = hashlib.sha256(f"{time:%H%M} {of}".encode()).hexdigest()[:8]
    return (
        f"AWSLogs/{ACCOUNT_ID}/vpcflowlogs/{REGION}/{time:%Y/%m/%d}/"
        f"{ACCOUNT_ID}_vpcflowlogs_{REGION}_{FLOW_LOG_ID}_{time:%Y%m%dT%H%MZ}_{unique}.log"
    )


def _pack(planned: PlannedFile, lines: Iterator[str], columns: Layout, *, headed: bool) -> tuple[bytes, int]:
    """Take a file's records from the day; return the file's bytes, and how many of its lines are broken."""
    records = list(islice(lines, planned.records))
    if not records:
        return _compress(b""), 0
    if planned.dirt is None:
        head = [format_header(columns)] if headed else []
        return _compress("\n".join([*head, *records, ""]).encode("ascii")), 0
    text, broken = format_dirty(planned.dirt, records, columns, headed=headed)
    data = text.encode("latin-1")
    if planned.dirt is Dirt.PLAIN:
        return data, broken
    if planned.dirt is Dirt.MEMBERS:
        # Cut anywhere, even within a line: the members are one stream (RFC 1952, section 2.2).
        third = len(data) // 3
        return _compress(data[:third]) + _compress(data[third : 2 * third]) + _compress(data[2 * third :]), broken
    return _compress(data), broken


def _compress(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=0)


def _refuse_to_overwrite(out: Path, names: Iterable[PurePosixPath]) -> None:
    if out.exists() and not out.is_dir():
        raise ToptalkersError(f"{out} is not a folder", hint="name a folder that is empty or does not exist yet")
    for name in names:
        if (out / name).exists():
            raise ToptalkersError(
                f"{out / name} already exists", hint="name an empty folder, or remove the files first"
            )


def _write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.writelines(pieces)
    except OSError as error:
        raise ToptalkersError(f"cannot write {path}: {error.strerror or error}") from error
