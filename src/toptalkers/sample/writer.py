"""The sample as files: which files, what each is called, what goes into it.

Comes in: how many records, a seed, a layout. Goes out: a folder of flow-log files as CloudWatch's capture, a
custom format or AWS's own delivery leaves them, clean or dirty. The files are planned first, so that nothing
is overwritten by surprise; each is written under a temporary name and renamed, so that there is never half a
file under its real name.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from toptalkers.flowlog.layout import format_header
from toptalkers.sample.company import ACCOUNT_ID, REGION, build_company
from toptalkers.sample.dirt import SORTS_OF_DIRT, Dirt, break_lines
from toptalkers.sample.records import DAY, columns_of, lines_by_minute, plan_minutes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from toptalkers.sample.records import SampleLayout

RECORDS_A_FILE = 40_000
"""No file has more; a file's lines are held in memory while it is written (about 50 MiB in the widest layout)."""

# A dirty sample has at least so many files, so that every sort of dirt occurs, and twice what comes first.
_DIRTY_FILES = 16
_MINUTES_A_DELIVERY = 5
# The fastest: four fifths of the compression for half the time.
_GZIP_LEVEL = 1

_CLEAN = SORTS_OF_DIRT[0]


@dataclass(frozen=True, slots=True)
class SampleReport:
    """What was written. `records` counts flow records, so neither header lines nor `broken_lines`."""

    files: tuple[Path, ...]
    records: int
    broken_lines: int
    bytes_written: int  # as on the disk, compressed or not


@dataclass(frozen=True, slots=True)
class _PlannedFile:
    path: Path
    records: int
    dirt: Dirt


def write_sample(
    out: Path,
    *,
    records: int,
    seed: int = 1,
    layout: SampleLayout = "default",
    dirty: bool = False,
    records_a_file: int = RECORDS_A_FILE,
    progress: Callable[[int], None] | None = None,
) -> SampleReport:
    """Writes `records` flow records into the folder `out`, which is made when it is missing.

    The same arguments give the same file names and the same unpacked bytes on every platform and Python
    version. `records_a_file` is the most a file gets. `progress` is called after each file with the number of
    records written so far.

    Raises ValueError when `records` or `records_a_file` is below 1, and FileExistsError, before anything is
    written, when a file of the sample is there already.
    """
    if records < 1 or records_a_file < 1:
        raise ValueError("a sample and its files need at least 1 record")
    minutes = plan_minutes(records, at_least=_MINUTES_A_DELIVERY * _DIRTY_FILES if dirty and layout == "aws-s3" else 1)
    plan = tuple(_plan_files(out, records, minutes, seed, layout, dirty=dirty, records_a_file=records_a_file))
    for file in plan:
        if file.path.exists():
            raise FileExistsError(f"{file.path} is there already; a sample overwrites nothing")

    lines = lines_by_minute(minutes, seed=seed, layout=layout)
    done = broken = size = 0
    for file in plan:
        content, broken_here = _fill_file(list(islice(lines, file.records)), file.dirt, layout)
        _write_whole(file.path, content)
        done += file.records
        broken += broken_here
        size += len(content)
        if progress is not None:
            progress(done)
    return SampleReport(tuple(file.path for file in plan), done, broken, size)


def _plan_files(
    out: Path,
    records: int,
    minutes: tuple[int, ...],
    seed: int,
    layout: SampleLayout,
    *,
    dirty: bool,
    records_a_file: int,
) -> Iterator[_PlannedFile]:
    number = 0
    for minute, wanted in _plan_deliveries(records, minutes, layout, dirty=dirty, records_a_file=records_a_file):
        while True:
            dirt = SORTS_OF_DIRT[number % len(SORTS_OF_DIRT)] if dirty else _CLEAN
            name = _format_name(number, minute, seed, layout) + ("" if dirt.gzip_members == 0 else ".gz")
            yield _PlannedFile(out / name, 0 if dirt.empty else wanted, dirt)
            number += 1
            if not dirt.empty:
                break


def _plan_deliveries(
    records: int, minutes: tuple[int, ...], layout: SampleLayout, *, dirty: bool, records_a_file: int
) -> Iterator[tuple[int, int]]:
    """Per file with records: the minute it is from (in AWS's delivery) and how many records it has."""
    if layout == "aws-s3":
        deliveries = [
            (first, sum(minutes[first : first + _MINUTES_A_DELIVERY]))
            for first in range(0, len(minutes), _MINUTES_A_DELIVERY)
        ]
    else:
        deliveries = [(0, records)]
        if dirty:
            records_a_file = min(records_a_file, -(-records // _DIRTY_FILES))
    for minute, wanted in deliveries:
        for done in range(0, wanted, records_a_file):
            yield minute, min(records_a_file, wanted - done)


def _format_name(number: int, minute: int, seed: int, layout: SampleLayout) -> str:
    """A file's path below the sample's folder, without `.gz`.

    AWS's own delivery: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
    """
    if layout != "aws-s3":
        return f"flowlogs-{number:04}.log"
    time = DAY + timedelta(minutes=minute)
    unique = hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()[:8]
    return (
        f"AWSLogs/{ACCOUNT_ID}/vpcflowlogs/{REGION}/{time:%Y/%m/%d}/"
        f"{ACCOUNT_ID}_vpcflowlogs_{REGION}_{build_company().flow_log_id}_{time:%Y%m%dT%H%MZ}_{unique}.log"
    )


def _fill_file(lines: list[str], dirt: Dirt, layout: SampleLayout) -> tuple[bytes, int]:
    """A file's bytes, compressed as its dirt has it, and how many broken lines it got."""
    broken = 0
    for soil in dirt.soil:
        lines = soil(lines, columns_of(layout))
    if dirt.breaks_lines:
        lines, broken = break_lines(lines)
    if layout != "default" and not dirt.empty:
        lines.insert(0, format_header(columns_of(layout)) + "\n")
    if dirt.gzip_members == 0:
        return _encode(lines, dirt), broken
    # Without the time of writing, which is not the sample's.
    members = dirt.gzip_members
    each = -(-len(lines) // members) or 1
    parts = [lines[first : first + each] for first in range(0, len(lines), each)] or [[]]
    return b"".join(gzip.compress(_encode(part, dirt), _GZIP_LEVEL, mtime=0) for part in parts), broken


def _encode(lines: list[str], dirt: Dirt) -> bytes:
    text = "".join(lines)
    return (text.replace("\n", "\r\n") if dirt.crlf else text).encode("latin-1")


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
