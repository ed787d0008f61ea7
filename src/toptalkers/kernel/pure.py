"""The counting kernel in Python, for a machine where the compiled one is not to be had: the same doors as `door.py`.

Lines are read by the mapper of the cluster (`job/count_flows.py`), which knows the rules. Memory holds the sums, and
they go to the disk in the same way as the compiled kernel's; a sum takes more room here (`ROW_BYTES`). It counts about
a tenth as fast, and threads do not make it faster.
"""

import collections
import copy
import functools
import heapq
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from toptalkers.answer.answer import LARGEST_TOTAL, Tally, TooLargeError
from toptalkers.flowlog.reasons import REASONS
from toptalkers.job import count_flows
from toptalkers.job.count_flows import LONGEST_LINE_BYTES, begins_packed, names_columns
from toptalkers.question.query import Query

CODE = (Path(__file__), Path(count_flows.__file__))
"""The files on which the sums depend."""

ROW_BYTES = 400
"""What a talker costs at the worst moment, when the answer is ranked: measured."""

PARTS = 256
"""The number of parts in which sums are kept on the disk, by a hash of the talker."""

LINES_TOGETHER = 10_000
"""How many lines of an answer are printed at a time."""

READ_BYTES = 64 << 10
"""How much of each ranking is read at a time while they are merged."""

SHOWN_BYTES = 1024
"""How much of a line is kept to say what is wrong with it."""

_JUDGES = [dict(count_flows.TELLING)[field] for field in count_flows.KEY]
"""For each part of a key, whether a text can be its value."""

Sums = dict[bytes, int]
"""Sums by talker, as the mapper has them: `<src> <dst> <port>`."""


class Misfit(NamedTuple):
    """The first line of a file that does not fit its layout; see `door.Misfit`."""

    line: bytes
    fields: tuple[str, ...]
    by_header: bool
    is_odd: bool


class _Mapper(count_flows.FlowCounter):
    """The mapper, which also keeps the first line of a file that does not fit, and counts values beyond all bounds."""

    @classmethod
    def of(cls, query: Query) -> "_Mapper":
        """A mapper for a question, with no sums. The question is parsed once: the set of its ports may be large."""
        mapper = copy.copy(_mapper_of(tuple(query.mapper_arguments())))
        mapper.sums, mapper.addresses, mapper.skipped = collections.Counter(), {}, dict.fromkeys(REASONS, 0)
        mapper.begin_file()
        return mapper

    def begin_file(self) -> None:
        self.example: Misfit | None = None
        super().begin_file()

    def set_layout(self, fields: list[bytes]) -> None:
        self.fields = fields
        super().set_layout(fields)

    def count_line(self, line: bytes) -> None:
        stretch, malformed, was_told = self.stretch, self.stretch.malformed, self.stretch.is_told
        ended_packed = self.file_ends_packed
        super().count_line(line)
        if self.stretch is not stretch or stretch.malformed == malformed:
            return
        is_too_long = len(line) > LONGEST_LINE_BYTES
        line = line.removeprefix(count_flows.BYTE_ORDER_MARK)
        stamp = count_flows.TIME_STAMP.match(line)
        line = line[stamp.end() if stamp else 0 :].rstrip(b" ")
        tells_more = not is_too_long and (names_columns(line) or (not ended_packed and begins_packed(line)))
        if tells_more and not was_told:
            self.example = None
        self._keep_example(line, is_odd=False)

    def is_odd(self, columns: list[bytes]) -> bool:
        is_odd = super().is_odd(columns)
        if is_odd:
            self._keep_example(b" ".join(columns), is_odd=True)
        return is_odd

    def _keep_example(self, line: bytes, *, is_odd: bool) -> None:
        if self.example is None:
            by_header = self.fields is not self.headerless
            fields = tuple(name.decode("latin-1") for name in self.fields)
            self.example = Misfit(line[:SHOWN_BYTES], fields, by_header, is_odd)

    def _add_total(self, value: int) -> None:
        self.total += value


@functools.lru_cache(maxsize=4)
def _mapper_of(arguments: tuple[str, ...]) -> _Mapper:
    return _Mapper(count_flows.parse_arguments(list(arguments)))


class Counter:
    """Counts the lines of one file after the other for a question; see `door.Counter`."""

    def __init__(self, query: Query) -> None:
        """Take the question."""
        self.has_spilled = False
        self._mapper = _Mapper.of(query)
        self._sums: Sums = {}
        self._total = 0
        self._rest = b""
        self._misfit: Misfit | None = None
        self._provisional: list[tuple[SpilledSums, list[_Segment]]] = []

    def feed(self, piece: bytes) -> None:
        """Count the lines in the next piece of the file; a line may go on in the piece after it."""
        if b"\r" in piece:
            piece = piece.replace(b"\r", b"\n")  # of two line ends in a row, the second ends a blank line
        if len(self._rest) > LONGEST_LINE_BYTES:
            start = piece.find(b"\n")  # the rest of a line that is too long in any case
            piece = piece[start:] if start >= 0 else b""
        end = piece.rfind(b"\n")
        if end < 0:
            self._rest += piece
        else:
            self._mapper.count_block(self._rest + piece[:end])
            self._rest = piece[end + 1 :]

    def end_lines(self) -> Tally:
        """Count what is left of the file, and give its tally; then `end_file` says whether the file counts."""
        mapper = self._mapper
        mapper.count_block(self._rest)
        self._rest = b""
        example = mapper.example
        mapper.end_file()
        self._misfit = example if mapper.misfit_files else None
        skipped = {reason: number for reason in REASONS if (number := mapper.skipped[reason])}
        tally = Tally(mapper.records_read, mapper.counted, skipped)
        if mapper.metric == b"records":  # which the mapper does not add up
            mapper.total += mapper.counted
        mapper.records_read = mapper.counted = mapper.misfit_files = 0
        mapper.skipped = dict.fromkeys(REASONS, 0)
        return tally

    def misfit(self) -> Misfit | None:
        """Between `end_lines` and `end_file`: what does not fit, when the file's lines do not fit their layout."""
        return self._misfit

    @property
    def total(self) -> int:
        """What all values that it counted add up to.

        Raises:
            TooLargeError: more than a sum may be.

        """
        total = self._total + self._mapper.total
        if total > LARGEST_TOTAL:
            raise TooLargeError
        return total

    def end_file(self, *, counts: bool) -> None:
        """Keep what the file added, or take it back."""
        if counts:
            _add(self._sums, self._mapper.sums)
            self._total += self._mapper.total
            for spilled, segments in self._provisional:
                spilled.keep(segments)
        self._mapper.sums.clear()
        self._mapper.total = 0
        self._provisional.clear()
        self._misfit = None

    @property
    def rows(self) -> int:
        """How many sums are held in memory, those of the file that is being read included."""
        return len(self._sums) + len(self._mapper.sums)

    @property
    def talkers(self) -> int:
        """How many talkers whole files have counted."""
        return len(self._sums)

    def absorb(self, other: "Counter") -> None:
        """Take over the sums of another counter of the same question, which is empty then."""
        _add(self._sums, other._sums)  # noqa: SLF001 - of the same class
        self._total += other._total  # noqa: SLF001
        other.clear()

    def clear(self) -> None:
        """Forget all sums."""
        self._sums.clear()
        self._mapper.sums.clear()
        self._total = self._mapper.total = 0

    def pack(self) -> bytes:
        """All sums as bytes, for `add_packed`.

        Raises:
            TooLargeError: the sums are wrong, and must not be kept.

        """
        _ = self.total
        return _rows(self._sums)

    def add_packed(self, rows: bytes) -> None:
        """Add sums that were packed.

        Raises:
            ValueError: the bytes are no packed sums; none of them is added.

        """
        sums: Sums = {}
        for row in rows.splitlines():
            key, _, value = row.rpartition(b" ")
            if not all(judge(part) for judge, part in zip(_JUDGES, key.split(b" "), strict=True)):
                raise ValueError("no packed sums")
            sums[key] = int(value)
        total = sum(sums.values())
        if min(sums.values(), default=0) < 0 or total > LARGEST_TOTAL:
            raise ValueError("no packed sums")
        _add(self._sums, sums)
        self._total += total

    def ranked(self, top: int) -> Iterator[bytes]:
        """The answer's lines, in its order, many at a time; `top` of 0 for all."""
        rows = ((-value, count_flows.format_talker(key)) for key, value in self._sums.items())
        ranking = heapq.nsmallest(top, rows) if top else sorted(rows)
        return _printed(iter(ranking))

    def take_sums(self, spilled: "SpilledSums") -> None:
        """Give all sums away, those of whole files and those of the file that is being read."""
        self.has_spilled = True
        spilled.keep(spilled.write(self._sums))
        self._sums.clear()
        if self._mapper.sums:
            self._provisional.append((spilled, spilled.write(self._mapper.sums)))
            self._mapper.sums.clear()


class _Segment(NamedTuple):
    """Sums of one part that are next to each other in the file."""

    part: int
    offset: int
    length: int
    rows: int


class SpilledSums:
    """Sums of counters in a file, by parts; and rankings, behind them in the same file."""

    def __init__(self, fd: int) -> None:
        """Take an open, empty file."""
        self._fd = fd
        self._lock = threading.Lock()
        self._segments: list[list[_Segment]] = [[] for _ in range(PARTS)]
        self.bytes_ = 0
        """The size of the file."""

    def rows_of_part(self, part: int) -> int:
        """How many sums a part holds; a talker may have several."""
        return sum(segment.rows for segment in self._segments[part])

    def take(self, counter: Counter) -> None:
        """Move a counter's sums into the file; OSError when the disk cannot hold them."""
        counter.take_sums(self)

    def fetch(self, part: int, into: Counter) -> None:
        """Add up the sums of a part in a counter."""
        for segment in self._segments[part]:
            into.add_packed(os.pread(self._fd, segment.length, segment.offset))

    def write(self, sums: Sums) -> list[_Segment]:
        """Write sums to the end of the file; they count when they are kept."""
        parts: list[list[bytes]] = [[] for _ in range(PARTS)]
        for key, value in sums.items():
            parts[crc32(key) % PARTS].append(b"%b %d\n" % (key, value))
        rows = b"".join(itertools.chain.from_iterable(parts))
        with self._lock:
            offset = self.bytes_
            self.bytes_ += len(rows)
        segments = []
        for part, own in enumerate(parts):
            length = sum(map(len, own))
            segments.append(_Segment(part, offset, length, len(own)))
            offset += length
        rest = memoryview(rows)
        while rest:
            rest = rest[os.pwrite(self._fd, rest, offset - len(rest)) :]
        return [segment for segment in segments if segment.rows]

    def keep(self, segments: list[_Segment]) -> None:
        """Have what was written count."""
        for segment in segments:
            self._segments[segment.part].append(segment)


def merge_rankings(fd: int, rankings: list[tuple[int, int]], top: int) -> Iterator[bytes]:
    """Merge rankings in a file, each the lines from one offset to another, into one; `top` of 0 for all."""
    merged = heapq.merge(*(_read_ranking(fd, start, end) for start, end in rankings))
    return _printed(itertools.islice(merged, top or None))


def keep_freed_memory() -> None:
    """Nothing to do in Python."""


def _read_ranking(fd: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    rest = b""
    while start < end:
        data = os.pread(fd, min(READ_BYTES, end - start), start)
        start += len(data)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            talker, _, value = line.partition(b"\t")
            yield -int(value), talker


def _printed(ranking: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    while lines := [b"%b\t%d\n" % (talker, -value) for value, talker in itertools.islice(ranking, LINES_TOGETHER)]:
        yield b"".join(lines)


def _rows(sums: Sums) -> bytes:
    return b"".join([b"%b %d\n" % row for row in sums.items()])


def _add(sums: Sums, more: Sums) -> None:
    for key, value in more.items():
        sums[key] = sums.get(key, 0) + value
