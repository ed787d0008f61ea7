"""The counting kernel in Python, with the interface of `door.py`, where the compiled kernel cannot be loaded.

The mapper of the cluster (`job/count_flows.py`) reads the lines and applies the rules. Sums take more memory than in
the compiled kernel (`ROW_BYTES`), and go to the disk in the same way. This kernel is about a tenth as fast, and threads
do not make it faster.
"""

import collections
import contextlib
import copy
import functools
import heapq
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import add
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from toptalkers.answer.answer import LARGEST_TOTAL, Tally, TooLargeError
from toptalkers.answer.quality import UNKNOWN_INTERFACE, Quality
from toptalkers.flowlog.columns import ColumnBatch
from toptalkers.flowlog.reasons import REASONS
from toptalkers.job import conversations, count_flows
from toptalkers.job.count_flows import LONGEST_LINE_BYTES, begins_packed, names_columns
from toptalkers.kernel.columns import header_of, lines_of
from toptalkers.question.clauses import ALL_PORTS
from toptalkers.question.conversations import HOWS
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query
from toptalkers.question.times import HOUR_SECONDS, LARGEST_TIME, parse_seconds

CODE = (Path(__file__), Path(count_flows.__file__), Path(conversations.__file__))
"""The files on which the sums depend."""

ROW_BYTES = 400
"""Measured: the most memory per talker, which it takes while the answer is ranked."""

SPILLED_ROW_BYTES = 100
"""More than a row of the default question takes on the disk."""

PARTS = 256
"""Into how many parts spilled sums are divided, by a hash of the talker."""

LINES_PER_CHUNK = 10_000

READ_BYTES = 64 << 10
"""How much of a ranking is read at a time while rankings are merged."""

LONGEST_NAME = 55
"""The longest name of an interface that is kept (`LONGEST_NAME` in `reader.h`)."""

SHOWN_BYTES = 1024
"""How much of a line that does not fit is kept."""

Sums = list[collections.Counter[bytes]]
"""A table for each metric, with the sum of each key as the mapper has it."""


class Misfit(NamedTuple):
    """The first line of a file that does not fit its layout; see `door.Misfit`."""

    line: bytes
    fields: tuple[str, ...]
    by_header: bool
    is_odd: bool


class _Mapper(count_flows.FlowCounter):
    """The mapper, which also keeps the first line of a file that does not fit."""

    @classmethod
    def of(cls, query: Query) -> "_Mapper":
        """A mapper without sums. A question is parsed only once, because its set of ports may be large."""
        mapper = copy.copy(_mapper_of(tuple(query.mapper_arguments())))
        mapper.addresses = {}
        mapper.forget()
        mapper.begin_tally()
        mapper.begin_file()
        return mapper

    def begin_file(self) -> None:
        self.example: Misfit | None = None
        self.hours: set[bytes] = set()
        self.skipping: collections.Counter[bytes] = collections.Counter()
        super().begin_file()

    def set_layout(self, fields: list[bytes]) -> None:
        self.fields = fields
        self.at_weight = count_flows.ABSENT
        super().set_layout(fields)
        self.at_noted = self.position(b"start")
        self.at_interface = self.position(b"interface-id")

    def _count_sound(self, piece: bytes) -> bool:
        self.noted: tuple[set[bytes], list[bytes]] = set(), []
        is_sound = self.at_weight == count_flows.ABSENT and super()._count_sound(piece)
        if is_sound:
            starts, interfaces = self.noted
            self.hours |= starts
            self.skipping.update(interfaces)
        return is_sound

    def _with_data(self, block: count_flows.Block) -> count_flows.Selection | None:
        data = super()._with_data(block)
        if data and data.skipped["skipdata"]:
            statuses = block.column(self.at_status)
            names = (
                itertools.repeat(b"-") if self.at_interface == count_flows.ABSENT else block.column(self.at_interface)
            )
            self.noted[1].extend(name for name, status in zip(names, statuses, strict=False) if status == b"SKIPDATA")
        return data

    def _keys_of(self, data: count_flows.Selection) -> list[bytes]:
        if self.at_noted != count_flows.ABSENT:
            self.noted[0].update(map(_first_digits, set(data.wanted(data.texts(self.at_noted)))))
        return super()._keys_of(data)

    def _count_record(self, columns: list[bytes]) -> str | None:
        if self.at_weight != count_flows.ABSENT and self.usable and len(columns) == self.columns:
            weight = columns[self.at_weight]
            if not count_flows.NUMBER.fullmatch(weight) or not int(weight):
                return "malformed_number"
            self.weight = int(weight)
        reason = super()._count_record(columns)
        if reason is None and self.at_noted != count_flows.ABSENT:
            self.hours.add(_first_digits(columns[self.at_noted]))
        elif reason == "skipdata":
            self.skipping[b"-" if self.at_interface == count_flows.ABSENT else columns[self.at_interface]] += 1
        return reason

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


@functools.lru_cache(maxsize=4)
def _mapper_of(arguments: tuple[str, ...]) -> _Mapper:
    return _Mapper(count_flows.parse_arguments(list(arguments)))


def _first_digits(start: bytes) -> bytes:
    """A time in the same hour, alike for many: an hour begins at a multiple of 100 seconds."""
    return start[:8] + b"00" if len(start) == 10 and start.isdigit() else start


def _quality(starts: Iterable[bytes], skipping: Mapping[bytes, int]) -> Quality:
    hours = set()
    for text in starts:
        with contextlib.suppress(count_flows.MalformedError):
            hours.add(count_flows.seconds_of(text) // HOUR_SECONDS * HOUR_SECONDS)
    names: collections.Counter[str] = collections.Counter()
    for name, number in skipping.items():
        is_name = 0 < len(name) <= LONGEST_NAME
        names[name.decode("utf-8", "backslashreplace") if is_name else UNKNOWN_INTERFACE] += number
    return Quality(hours=tuple(sorted(hours)), skipdata=names)


class Counter:
    """Counts the lines of one file after the other for a question; see `door.Counter`."""

    def __init__(self, query: Query) -> None:
        self.has_spilled = False
        self.quality = Quality()
        self._mapper = _Mapper.of(query)
        self._metrics = query.metric
        self._lines = query.lines
        self._sums: Sums = [collections.Counter() for _ in query.metric]
        self._weight = 1 + (len(query.metric) + len(query.lines.columns) - 2) // 4  # measured: more than it takes
        self._totals = [0] * len(query.metric)
        self._misfit: Misfit | None = None
        self._noted = Quality()
        self._provisional: list[tuple[SpilledSums, list[_Segment]]] = []

    def feed(self, piece: bytes) -> None:
        """Count the lines in the next piece of a file. A line may continue in the piece after it."""
        self._mapper.feed(piece)

    def begin_columns(self, names: tuple[str, ...]) -> None:
        """Begin a file, or another part of it, whose records come in columns of these names."""
        self.feed(header_of(names))
        if "records" in names:
            self._mapper.at_weight = names.index("records")

    def feed_columns(self, batch: ColumnBatch) -> None:
        """Count the records of a batch, as lines with the same columns are counted."""
        self.feed(lines_of(batch))

    def end_lines(self) -> Tally:
        """Count the file's last line, and return its tally. `end_file` must be called next."""
        mapper = self._mapper
        mapper.end_lines()
        example = mapper.example
        self._noted = _quality(mapper.hours, mapper.skipping)
        mapper.end_file()
        self._misfit = example if mapper.misfit_files else None
        skipped = {reason: number for reason in REASONS if (number := mapper.skipped[reason])}
        tally = Tally(mapper.records_read, mapper.counted, skipped)
        if b"records" in mapper.totals:  # which the mapper does not add up
            mapper.totals[b"records"] += mapper.counted
        mapper.begin_tally()
        return tally

    def misfit(self) -> Misfit | None:
        """Between `end_lines` and `end_file`: the first line that does not fit, if the file does not fit its layout."""
        return self._misfit

    @property
    def totals(self) -> tuple[int, ...]:
        """What the values of each metric add up to, 0 for times; TooLargeError if it is more than a sum may be."""
        totals = tuple(map(add, self._totals, self._mapper.totals.values()))
        if max(totals) > LARGEST_TOTAL:
            raise TooLargeError
        return totals

    @property
    def total(self) -> int:
        """The largest of `totals`."""
        return max(self.totals)

    def end_file(self, *, counts: bool) -> None:
        """Keep the sums of the current file, or drop them."""
        if counts:
            self.quality += self._noted
            self._add(self._mapper.tables, self._mapper.totals.values())
            for spilled, segments in self._provisional:
                spilled.keep(segments)
        self._mapper.forget()
        self._provisional.clear()
        self._misfit = None

    @property
    def rows(self) -> int:
        """How much is in memory, that of the current file included, in rows of the default question."""
        return (len(self._sums[0]) + len(self._mapper.sums)) * self._weight

    @property
    def talkers(self) -> int:
        """How many talkers whole files have counted."""
        return len(self._sums[0])

    def absorb(self, other: "Counter") -> None:
        """Take over the sums of another counter of the same question. The other counter is empty afterwards."""
        self._add(other._sums, other._totals)  # noqa: SLF001 - of the same class
        self.quality += other.quality
        other.clear()

    def clear(self) -> None:
        """Forget all sums."""
        self._sums = [collections.Counter() for _ in self._metrics]
        self._totals = [0] * len(self._metrics)
        self._mapper.forget()
        self.quality = Quality()

    def pack(self) -> bytes:
        """All sums as bytes, for `add_packed`; TooLargeError if they are too large."""
        _ = self.total
        return b"".join(_packed(self._sums))

    def add_packed(self, rows: bytes) -> None:
        """Add packed sums; ValueError, and nothing is added, if the bytes are no packed sums."""
        sums: Sums = [collections.Counter() for _ in self._metrics]
        for row in rows.splitlines():
            key, *values = row.rsplit(b" ", len(sums))
            if len(values) < len(sums) or not all(map(bytes.isdigit, values)):
                raise ValueError("no packed sums")
            for metric, table, value in zip(self._metrics, sums, values, strict=True):
                table[key] = int(value)
                if _is_time(metric) and table[key] > LARGEST_TIME:
                    raise ValueError("no packed sums")
            self._lines.rank(self._line(key, sums))  # ValueError for a key that is none
        totals = [0 if _is_time(metric) else table.total() for metric, table in zip(self._metrics, sums, strict=True)]
        if max(totals) > LARGEST_TOTAL:
            raise ValueError("no packed sums")
        self._add(sums, totals)

    def ranked(self, top: int) -> Iterator[bytes]:
        """The answer's lines in order, in chunks of whole lines; `top` of 0 for all."""
        rows = ((-value, self._line(key, self._sums)) for key, value in self._sums[0].items())
        ranking = heapq.nsmallest(top, rows) if top else sorted(rows)
        return _printed(iter(ranking))

    def exported(self, names: Sequence[str], most: int) -> None:
        """Return None: this counter has lines only."""

    def add_sums(self, rows: Mapping[bytes, Sequence[int]]) -> None:
        """Add the sums of keys that are printed as they are."""
        tables: Sums = [collections.Counter() for _ in self._metrics]
        for key, row in rows.items():
            for table, value in zip(tables, row, strict=False):
                table[key] = value
        self._add(
            tables,
            [0 if _is_time(metric) else table.total() for metric, table in zip(self._metrics, tables, strict=True)],
        )

    def take_sums(self, spilled: "SpilledSums") -> None:
        """Move all sums, those of the current file included."""
        self.has_spilled = True
        spilled.keep(spilled.write(self._sums))
        self._sums = [collections.Counter() for _ in self._metrics]
        if self._mapper.sums:
            self._provisional.append((spilled, spilled.write(self._mapper.tables)))
            self._mapper.clear()

    def _add(self, sums: Sums, totals: Iterable[int]) -> None:
        """Add sums, each of which the first of these tables has, and what they add up to."""
        self._totals = list(map(add, self._totals, totals))
        for metric, table, more in zip(self._metrics, self._sums, sums, strict=True):
            if not _is_time(metric):
                for key, value in more.items():
                    table[key] += value
                continue
            keep = min if metric == "first" else max
            for key, value in more.items():
                table[key] = keep(table.get(key, value), value)

    def _line(self, key: bytes, sums: Sums) -> bytes:
        printed = count_flows.format_talker(key) if self._mapper.is_recipe else key
        values = [table[key] for table in sums]
        texts = [
            count_flows.format_seconds(value) if _is_time(metric) else b"%d" % value
            for metric, value in zip(self._metrics, values, strict=True)
        ]
        return b"\t".join([printed, *texts]) + b"\n"


class _Segment(NamedTuple):
    """Sums of one part, side by side in the file."""

    part: int
    offset: int
    length: int
    rows: int


class SpilledSums:
    """Sums of counters in an open file, divided into parts. Rankings may be written behind them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._segments: list[list[_Segment]] = [[] for _ in range(PARTS)]
        self.bytes_ = 0
        """The size of the file."""

    def rows_of_part(self, part: int) -> int:
        """How much memory a part takes at most, in rows of the default question; a talker may have several."""
        return sum(max(segment.rows, segment.length // SPILLED_ROW_BYTES) for segment in self._segments[part])

    def take(self, counter: Counter) -> None:
        """Move a counter's sums into the file; OSError if the disk cannot hold them."""
        counter.take_sums(self)

    def fetch(self, part: int, into: Counter) -> None:
        """Add the sums of a part to a counter."""
        for segment in self._segments[part]:
            into.add_packed(os.pread(self._fd, segment.length, segment.offset))

    def write(self, sums: Sums) -> list[_Segment]:
        """Write sums to the end of the file. They count only after `keep`."""
        parts: list[list[bytes]] = [[] for _ in range(PARTS)]
        for key, row in zip(sums[0], _packed(sums), strict=True):
            parts[crc32(key) % PARTS].append(row)
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
        for segment in segments:
            self._segments[segment.part].append(segment)


class Conversations:
    """Joins the rows of counters to conversations; see `door.Conversations`.

    The scripts of the cluster (`job/conversations.py`) apply the rules. All records are held as lines.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        ports = None if query.ports == ALL_PORTS else frozenset(_ports_of(query))
        self._question = conversations.Question(
            by=tuple(word.encode() for word in query.by),
            metrics=tuple(metric.encode() for metric in query.metric),
            ports=ports,
            once=query.count == "once",
            pairs=query.pairs,
            packet_addresses=query.uses_packet_addresses,
        )
        self._records: list[bytes] = []
        self._folded: list[bytes] = []
        self._sums: dict[bytes, list[int]] = {}
        self._read = [0]
        self.skipped: dict[str, int] = {}
        self.quality = Quality()

    def add_records(self, counter: Counter) -> None:
        """Take over the rows of a counter of `record_question`."""
        self._records += _lines_of(counter)

    def add_folded(self, counter: Counter) -> None:
        """Take over the rows of a counter of `folded_question`."""
        self._folded += _lines_of(counter)

    def finish(self) -> None:
        """Apply the rules."""
        question, tally = self._question, conversations.Tally()
        self._records.sort()
        # Held as lines, because columns take five times as much memory.
        records = list(conversations.distinct(self._records, question, tally))
        self._records.clear()
        rows = [_read_folded(line) for line in self._folded]
        self._folded.clear()
        facts = conversations.Facts()
        for record, _, is_copy in map(conversations.read_distinct, records):
            if not is_copy:
                facts.add_record(record)
        for key, row in rows:
            if row[5] != conversations.COPY:
                facts.add_row(*key[1:4], *key[10:])
        learned = conversations.Learned.read(conversations.learn_reduce(sorted(facts.lines())))
        folding = conversations.Folding(question, learned, tally)
        for record, number, is_copy in map(conversations.read_distinct, records):
            folding.add_record(record, number, is_copy=is_copy)
        for key, row in rows:
            folding.add_row(key, row)
        self._read = folding.read
        if question.is_digest:
            self._sums = folding.sums
        elif question.once:
            once = conversations.Once(question, tally)
            for flow, nodes in conversations.flows_of(sorted(folding.lines())):
                once.add_flow(flow, nodes)
            self._sums = once.sums
        else:
            self._sums = folding.sums
        self._state(tally, folding.hours)

    @property
    def talkers(self) -> int:
        """How many lines the answer has."""
        return len(self._sums)

    @property
    def totals(self) -> tuple[int, ...]:
        """What the sums of each metric add up to, 0 for times, with pairs of the first only.

        Raises:
            TooLargeError: bytes or packets of all records, copies included, add up to more than a sum can hold.

        """
        totals = tuple(
            0 if _is_time(metric) else sum(row[at] for row in self._sums.values()) for metric, at in self._places()
        )
        if max(*totals, *self._read) > LARGEST_TOTAL:
            raise TooLargeError
        return totals

    def ranked(self, top: int) -> Iterator[bytes]:
        """The answer's lines in order, in chunks of whole lines; `top` of 0 for all."""
        _, first = self._places()[0]
        rows = ((-row[first], self._line(key, row)) for key, row in self._sums.items())
        return _printed(iter(heapq.nsmallest(top, rows) if top else sorted(rows)))

    def folded(self) -> "Counter":
        """For a digest's question: a counter with all folded rows."""
        counter = Counter(self._query)
        counter.add_sums(self._sums)
        return counter

    def _state(self, tally: conversations.Tally, hours: set[int]) -> None:
        """Take note of what was skipped, and of the quality."""
        moved = {name.removeprefix("moved_"): number for name, number in tally.items() if name.startswith("moved_")}
        is_once = self._question.once and not self._question.is_digest
        self.skipped = moved
        oriented = {how: tally.get(name, 0) for how, name in zip(HOWS, conversations.COUNTERS[1:], strict=True)}
        self.quality = Quality(
            duplicates=moved.get("duplicate", 0) if is_once else None,
            collapsed=tally.get("collapsed", 0) if is_once else None,
            relayed=tally.get("relayed", 0) if is_once else None,
            oriented={how: number for how, number in oriented.items() if number},
            hours=tuple(sorted(hours)),
            without_flags=tally.get("without_flags", 0),
            without_packet_addresses=tally.get("without_packet_addresses", 0),
        )

    def _places(self) -> list[tuple[str, int]]:
        """The metrics that have totals, and where their sums are."""
        return [
            (metric, conversations.SUMS.index(metric.encode()))
            for metric in (self._query.metric[:1] if self._question.pairs else self._query.metric)
        ]

    def _line(self, key: bytes, row: list[int]) -> bytes:
        if self._question.pairs:
            return b"%b\t%b\n" % (key, conversations.format_pair(row).replace(b"copy", b"?"))
        texts = [
            conversations.format_seconds(row[at]) if _is_time(metric) else b"%d" % row[at]
            for metric, at in self._places()
        ]
        return b"\t".join([key, *texts]) + b"\n"


def _ports_of(query: Query) -> Iterator[bytes]:
    for low, high in query.ports:
        for port in range(low, high + 1):
            yield b"%d" % port


def _lines_of(counter: Counter) -> list[bytes]:
    """The lines of a counter, which is empty afterwards."""
    lines = [line for chunk in counter.ranked(0) for line in chunk.splitlines()]
    counter.clear()
    return lines


def _read_folded(line: bytes) -> tuple[tuple[Any, ...], list[int]]:
    """Read a row of a digest: the columns of its key without `how`, with the hour in seconds, and its sums."""
    hour, *texts, how, packet_source, packet_destination, size, packets, records, first, last = line.split(b"\t")
    sums = [int(size), int(packets), int(records), parse_seconds(first), parse_seconds(last)]
    return (parse_seconds(hour), *texts, packet_source, packet_destination), [*sums, conversations.HOWS.index(how)]


def merge_rankings(fd: int, rankings: list[tuple[int, int]], top: int, columns: int = 1) -> Iterator[bytes]:
    """Merge rankings in a file into one; each is the lines between two offsets. `top` of 0 for all.

    The key of a line has so many columns.
    """
    merged = heapq.merge(*(_read_ranking(fd, start, end, columns) for start, end in rankings))
    return _printed(itertools.islice(merged, top or None))


def keep_freed_memory() -> None:
    """Do nothing: Python manages memory itself."""


def _read_ranking(fd: int, start: int, end: int, columns: int) -> Iterator[tuple[int, bytes]]:
    rest = b""
    while start < end:
        data = os.pread(fd, min(READ_BYTES, end - start), start)
        start += len(data)
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            first = line.split(b"\t", columns + 1)[columns]
            yield -int(first.translate(None, b"-T:Z")), line + b"\n"  # a time without its signs has the same order


def _printed(ranking: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    while lines := [line for _, line in itertools.islice(ranking, LINES_PER_CHUNK)]:
        yield b"".join(lines)


def _packed(sums: Sums) -> Iterator[bytes]:
    """The rows of sums, in the order of the first table: the key, and a space before each sum."""
    for key in sums[0]:
        yield b" ".join([key, *(b"%d" % table[key] for table in sums)]) + b"\n"


def _is_time(metric: str) -> bool:
    return metric in TIME_METRICS
