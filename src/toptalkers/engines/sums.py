"""Sums by talker that may be more than memory holds.

Partial sums gather in memory; when they pass a bound they go to a file in the temporary folder, in parts by a hash
of the talker, so that all sums of one talker lie in the same part of every run. At the end parts are added up a few
at a time, each by itself, ranked, and merged: the answer streams from the disk. A question that fits never touches
the disk.

The file has no name: it is gone when the process is, however it ends.
"""

import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from toptalkers.engines.memory import available_bytes
from toptalkers.errors import ToptalkersError

SCHEMA = {"src": pl.String, "dst": pl.String, "port": pl.String, "value": pl.Int64}

MERGE_ROWS = 2_000_000
"""Partial sums are added up when there are this many more of them than talkers known."""

PARTS = 256
"""Parts of a run. One part of all runs must fit into memory: so this bounds what a machine can do at all."""

ROW_BYTES = 400
"""What a row of partial sums costs at the worst moment, when rows are grouped: measured."""

LEAST_ROWS_HELD = 500_000

_CHUNK_ROWS = 50_000
_SEED = 20_261_123


@dataclass(frozen=True, slots=True)
class _Segment:
    """Some rows in the spill file."""

    offset: int
    size_bytes: int
    rows: int


Run = dict[int, _Segment]
"""Sums that were written together: their segment by part."""


def default_rows_held() -> int:
    """How many rows of partial sums may be held: half of the memory that is left for them."""
    return max(LEAST_ROWS_HELD, available_bytes() // 2 // ROW_BYTES)


class Spill:
    """The file in which rows wait, made when first needed."""

    def __init__(self, folder: Path | None) -> None:
        """Take the folder; None for the system's temporary one (`TMPDIR`)."""
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0

    def write(self, rows: pl.DataFrame) -> _Segment:
        """Append rows.

        Raises:
            ToptalkersError: the disk is full, or cannot be written.

        """
        packed = io.BytesIO()
        rows.write_ipc(packed, compression="lz4")
        try:
            if self._file is None:
                # Without a buffer, which a full disk would leave to be written again when the file is closed.
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - see close()
            self._file.seek(self._end)
            rest = packed.getbuffer()
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            folder = self._folder or tempfile.gettempdir()
            raise ToptalkersError(
                f"more talkers than fit into memory, and {folder} cannot hold their sums"
                f" ({self._end / 1e9:.1f} GB so far): {error.strerror or error}",
                hint="point TMPDIR, or --output, to a larger disk, or ask a cluster: toptalkers run-emr",
            ) from error
        segment = _Segment(self._end, packed.tell(), rows.height)
        self._end += segment.size_bytes
        return segment

    def read(self, segment: _Segment) -> pl.DataFrame:
        """Give rows back."""
        if self._file is None:
            raise ValueError("nothing was written")
        self._file.seek(segment.offset)
        return pl.read_ipc(io.BytesIO(self._file.read(segment.size_bytes)))

    def close(self) -> None:
        """Give the disk back."""
        if self._file is not None:
            self._file.close()
            self._file = None


class PartialSums:
    """Sums by talker, some of them in memory and some in the spill."""

    def __init__(self, spill: Spill, rows_held: int) -> None:
        """Take where to spill, and from how many rows on."""
        self._spill = spill
        self._rows_held = rows_held
        self._sums = pl.DataFrame(schema=SCHEMA)
        self._partial: list[pl.DataFrame] = []
        self._partial_rows = 0
        self._runs: list[Run] = []

    @property
    def is_spilled(self) -> bool:
        """Whether some of the sums are on the disk."""
        return bool(self._runs)

    def add(self, sums: pl.DataFrame) -> None:
        """Add rows of `SCHEMA`; a talker may stand in several."""
        self._partial.append(sums)
        self._partial_rows += sums.height
        if self._partial_rows >= min(max(MERGE_ROWS, self._sums.height), self._rows_held - self._sums.height):
            self._merge()
            if self._sums.height > self._rows_held // 2:
                self._write_run()

    def absorb(self, other: "PartialSums") -> None:
        """Take over all of another's, of the same spill; the other must not be used any more."""
        runs, rows = other.let_go()
        self._runs += runs
        for sums in rows:
            self.add(sums)

    def let_go(self) -> tuple[list[Run], list[pl.DataFrame]]:
        """Give up what was spilled and what is in memory."""
        return self._runs, [rows for rows in (self._sums, *self._partial) if rows.height]

    def in_memory(self) -> pl.DataFrame:
        """All sums, a row a talker, when none is spilled."""
        self._merge()
        return self._sums

    def ranked(self, top: int) -> tuple[Iterator[pl.DataFrame], int]:
        """The printed talkers in the order of the answer (`talker`, `value`), and how many there are in all.

        Args:
            top: how many to give, 0 for all.

        """
        if not self._runs:
            sums = self.in_memory()
            return iter([_rank(_print_talkers(_may_be_among(sums, top)), top)]), sums.height
        self._merge()
        self._write_run()
        self._sums = self._sums.clear()
        talkers = 0
        rankings: list[list[_Segment]] = []
        for parts in self._groups_of_parts():
            together = [self._spill.read(run[part]) for part in parts for run in self._runs if part in run]
            sums = _add_up(pl.concat(together), ["talker"])
            del together
            talkers += sums.height
            ranked = _rank(_may_be_among(sums, top), top)
            rankings.append([self._spill.write(rows) for rows in ranked.iter_slices(_CHUNK_ROWS)])
        return self._merged(rankings, top), talkers

    def _merge(self) -> None:
        if self._partial:
            self._sums = _add_up(pl.concat([self._sums, *self._partial]), ["src", "dst", "port"])
            self._partial = []
            self._partial_rows = 0

    def _write_run(self) -> None:
        rows = _print_talkers(self._sums)
        self._sums = self._sums.clear()
        by_part = rows.with_columns(part=(pl.col("talker").hash(_SEED) % PARTS).cast(pl.UInt16)).partition_by(
            "part", as_dict=True, include_key=False
        )
        del rows
        self._runs.append({part: self._spill.write(by_part.pop((part,))) for (part,) in list(by_part)})

    def _groups_of_parts(self) -> Iterator[list[int]]:
        """Neighbouring parts that fit into memory together."""
        group: list[int] = []
        group_rows = 0
        for part in range(PARTS):
            rows = sum(run[part].rows for run in self._runs if part in run)
            if not rows:
                continue
            if group and group_rows + rows > self._rows_held // 2:
                yield group
                group, group_rows = [], 0
            group.append(part)
            group_rows += rows
        if group:
            yield group

    def _merged(self, rankings: Sequence[Sequence[_Segment]], top: int) -> Iterator[pl.DataFrame]:
        """Merge rankings into one, holding a chunk or two of each.

        Of each ranking the rows can go that stand before the least advanced ranking's last row in memory.
        """
        given = 0
        try:
            waiting = [iter(segments) for segments in rankings]
            held = [pl.DataFrame(schema={"talker": pl.String, "value": pl.Int64}) for _ in rankings]
            ended = [False] * len(rankings)
            while True:
                for number, segments in enumerate(waiting):
                    while not ended[number] and held[number].height < _CHUNK_ROWS // 2:
                        segment = next(segments, None)
                        if segment is None:
                            ended[number] = True
                        else:
                            held[number] = pl.concat([held[number], self._spill.read(segment)], rechunk=True)
                bounds = [_place(rows, rows.height - 1) for rows, end in zip(held, ended, strict=True) if not end]
                cuts = [_rows_up_to(rows, min(bounds)) if bounds else rows.height for rows in held]
                ready = pl.concat([rows[:cut] for rows, cut in zip(held, cuts, strict=True)])
                held = [rows[cut:] for rows, cut in zip(held, cuts, strict=True)]
                ranked = _rank(ready, top - given if top else 0)
                given += ranked.height
                yield ranked
                if not bounds or (top and given >= top):
                    return
        finally:
            self._spill.close()


def _add_up(sums: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    return sums.lazy().group_by(by).agg(pl.col("value").sum()).collect(engine="streaming")


def _print_talkers(sums: pl.DataFrame) -> pl.DataFrame:
    def bracketed(address: str) -> pl.Expr:
        column = pl.col(address)
        ipv6 = column.str.contains(":", literal=True)
        return pl.when(ipv6).then(pl.format("[{}]", column)).otherwise(column)

    return sums.select(
        pl.concat_str(bracketed("src"), bracketed("dst"), "port", separator=":").alias("talker"), "value"
    )


def _may_be_among(sums: pl.DataFrame, top: int) -> pl.DataFrame:
    """All that may be among the first, ties included, before anything is printed or sorted."""
    if 0 < top < sums.height:
        return sums.filter(pl.col("value") >= sums["value"].top_k(top).min())
    return sums


def _rank(printed: pl.DataFrame, top: int) -> pl.DataFrame:
    """The order of the answer: sum descending, then the printed talker ascending, as bytes."""
    # The streaming engine sorts many talkers in a third of the other's time.
    ranked = printed.lazy().sort("value", "talker", descending=[True, False]).collect(engine="streaming")
    return ranked.head(top) if top else ranked


def _place(ranked: pl.DataFrame, number: int) -> tuple[int, str]:
    """Where a row stands in the order of the answer; a smaller one stands before."""
    talker, value = ranked.row(number)
    return -value, talker


def _rows_up_to(ranked: pl.DataFrame, last: tuple[int, str]) -> int:
    """How many of the rows stand at or before a place."""
    low, high = 0, ranked.height
    while low < high:
        middle = (low + high) // 2
        if _place(ranked, middle) <= last:
            low = middle + 1
        else:
            high = middle
    return low
