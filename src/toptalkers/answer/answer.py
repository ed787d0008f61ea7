"""The answer to a question: the ranked talkers, and the tally of the records.

Every engine returns the lines of the answer (`question/lines.py`) in their order, in chunks, so that an answer may be
larger than memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from toptalkers.answer.quality import Quality
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.columns import ColumnBatch
from toptalkers.flowlog.reasons import REASONS
from toptalkers.question.conversations import HOWS, needs_records
from toptalkers.question.digest import is_digest
from toptalkers.question.key import Value
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query

LARGEST_TOTAL = (1 << 63) - 1
"""The largest sum of every engine: Hadoop sums Java longs, and the kernel 64-bit integers."""


MAPS_IN_PYTHON = "maps_by_python"
"""The counter of maps that counted without the kernel."""


class TooLargeError(ToptalkersError):
    """The values add up to more than an engine can hold."""

    def __init__(self) -> None:
        super().__init__(
            "the values add up to more than 2^63 - 1, which no engine can sum",
            hint="ask for less time (--since, --until), or of fewer files",
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records and files an answer was made from, and how many were skipped.

    Attributes:
        records_read: lines that are records, so neither blank lines nor headers.
        counted: records that count for the question.
        skipped: the other records, by the reason (of `WORDS`).
        files_read: files read to their end.
        files_unreadable: files, or arguments, left out because they could not be read, or do not fit their layout.
        misfits: files, or parts of files after a header, whose lines do not fit their layout, but whose sound records
            are counted all the same, because a mapper of lines cannot take back its output.

    """

    records_read: int = 0
    counted: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    files_read: int = 0
    files_unreadable: int = 0
    misfits: int = 0

    @property
    def malformed(self) -> int:
        """How many records are malformed."""
        return sum(number for reason, number in self.skipped.items() if reason.startswith("malformed"))

    def __add__(self, other: Self) -> "Tally":
        """The tally of both parts."""
        skipped = dict(self.skipped)
        for reason, number in other.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + number
        return Tally(
            self.records_read + other.records_read,
            self.counted + other.counted,
            skipped,
            self.files_read + other.files_read,
            self.files_unreadable + other.files_unreadable,
            self.misfits + other.misfits,
        )

    @classmethod
    def from_counters(cls, counters: Mapping[str, int], *, files_read: int, files_unreadable: int = 0) -> Self:
        """Make a tally from the counters that the scripts report (group `toptalkers`), those of all steps.

        `files_unreadable` files were left out before, and `files_read` were given to mappers that count lines. Mappers
        that count whole files report themselves what they read and left out. Records that the mapper counted, and that
        a later step did not, are in `moved_<reason>`.

        Raises:
            TooLargeError: the values add up to more than Hadoop can sum, so its sums may be wrong.

        """
        if any(total > LARGEST_TOTAL for total in _totals(counters).values()):
            raise TooLargeError
        moved = {name.removeprefix(_MOVED): number for name, number in counters.items() if name.startswith(_MOVED)}
        skipped = {reason: counters.get(reason, 0) + moved.get(reason, 0) for reason in (*REASONS, *moved)}
        misfits = counters.get("misfit_files", 0)
        if maps_of(counters):
            files_read = counters.get("files_read", 0)
            files_unreadable += counters.get("files_unreadable", 0) + misfits
            misfits = 0
        return cls(
            counters.get("records_read", 0),
            counters.get("counted", 0) - sum(moved.values()),
            {reason: number for reason, number in skipped.items() if number},
            files_read,
            files_unreadable,
            misfits,
        )


def maps_of(counters: Mapping[str, int]) -> int:
    """How many maps counted whole files, from the counters that the scripts report; 0 if lines were counted."""
    return counters.get("maps_by_kernel", 0) + counters.get(MAPS_IN_PYTHON, 0)


def totals_of(query: Query, counters: Mapping[str, int]) -> dict[str, int]:
    """What the sums of a question add up to, by the metric, from the counters that the mapper reports.

    Empty without counters. A counter that is 0 is not reported.
    """
    if not counters:
        return {}
    totals = _totals(counters)
    if is_digest(query):
        return {}
    if query.joins_records:  # the step that joins them reports what it adds up, also `records`
        return {metric: totals.get(metric, 0) for metric in query.metric if metric not in TIME_METRICS}
    if "" in totals:  # scripts of the first versions, which sum one metric, and do not name it
        totals.setdefault(query.metric[0], totals.pop(""))
    totals["records"] = counters.get("counted", 0)
    return {metric: totals.get(metric, 0) for metric in query.metric if metric not in TIME_METRICS}


def quality_of(query: Query, counters: Mapping[str, int]) -> Quality:
    """How well the numbers of an answer hold, from the counters that the scripts of all steps report."""
    if not counters or not needs_records(query):
        return Quality()
    oriented: dict[str, int] = {how: counters[name] for how, name in _ORIENTED.items() if counters.get(name)}
    quality = Quality(
        oriented=oriented,
        without_flags=counters.get("without_flags", 0),
        without_packet_addresses=counters.get("without_packet_addresses", 0),
    )
    if query.count != "once":
        return quality
    duplicates, collapsed, relayed = (counters.get(name, 0) for name in ("duplicates", "collapsed", "relayed"))
    return replace(quality, duplicates=duplicates, collapsed=collapsed, relayed=relayed)


def _totals(counters: Mapping[str, int]) -> dict[str, int]:
    """The totals of sums, by the names of metrics. A counter of Hadoop is printed as a 64-bit integer: hence halves."""
    totals: dict[str, int] = {}
    for name, number in counters.items():
        half, _, metric = name.removeprefix("values_").partition("_")
        if name.startswith("values_") and half in _HALVES:
            totals[metric] = totals.get(metric, 0) + (number << _HALVES[half])
    return totals


_HALVES = {"high": 32, "low": 0}

_MOVED = "moved_"

_ORIENTED: Mapping[str, str] = {how: f"oriented_{'none' if how == '?' else how}" for how in HOWS}
"""The counters of records by the rule that found their server."""


class Row(NamedTuple):
    """A line of an answer: its rank, from 1; the values of the key; the sums (`Lines.sums`), times in seconds.

    With `--pairs`, `how` says which rule found the server; else it is empty.
    """

    rank: int
    key: tuple[Value, ...]
    sums: tuple[int, ...]
    how: str = ""


@dataclass(slots=True)
class Shown:
    """What the lines hold that were read of an answer: how many they are, and what their first sums add up to."""

    lines: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True)
class NameColumns:
    """The names of addresses beside an answer, one for each column of its key that has addresses.

    Attributes:
        names: the names of these columns in CSV and JSON, such as `src_name`.
        at: the columns of the key that they name, from 0.
        labels: the names for the values of a key.
        appended: whole lines of the answer, each with the names at its end, after a tab each.

    """

    names: tuple[str, ...]
    at: tuple[int, ...]
    labels: Callable[[Sequence[Value]], Sequence[str]]
    appended: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        query: the question.
        chunks: whole lines, in the order of the answer, many in a chunk. Read them once.
        tally: what was read and skipped.
        talkers: how many talkers there are in all; None if not known.
        top: how many of them were asked for, 0 for all.
        totals: what the sums of all talkers add up to, by the metric; without those that are not known. Times have
            none.
        lacks: what the digests lacked that it was made from, in one line each.
        exported: makes all rows in columns of these names, at most so many in a batch, which lasts until the next one
            is made; instead of the chunks. They are sorted by the first four columns. It returns None if it cannot.
            None for other questions than a digest's, and for engines that have lines only.
        quality: how well the numbers hold.
        shown: what the lines hold that were read of the chunks; None if that is not added up.
        beside: the names of the addresses, which every format shows; None for none.

    """

    query: Query
    chunks: Iterable[bytes]
    tally: Tally
    talkers: int | None = None
    top: int = 0
    totals: Mapping[str, int] = field(default_factory=dict)
    lacks: Sequence[str] = ()
    exported: Callable[[Sequence[str], int], Iterator[ColumnBatch] | None] | None = None
    quality: Quality = field(default_factory=Quality)
    shown: Shown | None = None
    beside: NameColumns | None = None

    def rows(self) -> Iterator[Row]:
        """The parsed lines. Reads the chunks; ValueError for a line that is not valid."""
        of = self.query.lines
        lines = (line for chunk in self.chunks for line in chunk.splitlines())
        for rank, line in enumerate(lines, 1):
            yield Row(rank, *of.read(line), of.how(line))
