"""The interface to the counting kernel in C: counters, spilled sums and rankings as Python objects.

The kernel's functions run without the interpreter's lock, so that each thread can count with its own counter. When
the kernel runs out of memory, `MemoryError` is raised; when the disk fails, `OSError`.
"""

import contextlib
import ctypes
import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from ctypes import POINTER, Array, Structure, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import NamedTuple

from toptalkers.answer.answer import LARGEST_TOTAL, Tally, TooLargeError
from toptalkers.answer.quality import Quality
from toptalkers.flowlog.columns import ColumnBatch, ColumnData, Storage
from toptalkers.flowlog.fields import FIELDS
from toptalkers.flowlog.reasons import REASONS
from toptalkers.machine import compiled
from toptalkers.question.clauses import SUMMED_FIELDS
from toptalkers.question.conversations import (
    FOLDED_KEY,
    HOWS,
    PAIR_SUMS,
    RECORD_KEY,
    RECORD_NEEDS,
    folded_question,
    record_question,
)
from toptalkers.question.key import (
    HIGHEST_KNOWN_PORT,
    SERVICE_PARTS,
    TIME_FIELDS,
    TIME_PARTS,
    kind_of,
    parse_part,
)
from toptalkers.question.query import Query

LIBRARY = compiled.LIBRARY

CODE = (LIBRARY, Path(__file__))
"""The files on which the sums depend."""

ROW_BYTES = 200
"""What a talker costs at the worst moment, when its table doubles or the answer is ranked: measured."""

PARTS = 256
"""Into how many parts spilled sums are divided, by a hash of the talker (`kernel.h`)."""

LINES_BYTES = 1 << 20
"""How many bytes of an answer are printed at a time."""

_TALLIED = ("records_read", "counted", *REASONS)
_MOST_SUMS = 10
_NOTES_HELD = 256
_HoursRoom, _SkippingRoom = c_int64 * 32, ctypes.c_char * 4096
_EARLIEST, _LATEST = -(1 << 63), (1 << 63) - 1


def _key_words(key: Sequence[str]) -> Iterator[str]:
    """Yield KIND:FIELD for each column of a key, as `kernel/keys.c` takes them."""
    for part in map(parse_part, key):
        if part.word == "pair":
            yield from ("lesser:srcaddr", "greater:dstaddr")
        elif part.word in SERVICE_PARTS:
            yield f"{part.word}:"
        elif part.word in TIME_PARTS:
            yield f"{part.word}:start"
        else:
            yield f"{part.columns[0].kind.name}:{part.word}"


def _where_words(fields: Iterable[str]) -> Iterator[str]:
    """The fields of an expression as the kernel takes them: their kinds and names."""
    for field in fields:
        if field in SERVICE_PARTS:
            yield f"{field}:{field}"
        elif field in TIME_FIELDS:
            yield f"time:{field}"
        elif field in FIELDS:  # of any other, the kernel says that it is no program
            yield f"{kind_of(field).name}:{field}"


class _Question(Structure):
    _fields_ = (
        ("fields", c_char_p),
        ("headerless", c_char_p),
        ("key", c_char_p),
        ("is_log", c_int32),
        ("key_needs", c_size_t),
        ("sums", c_char_p),
        ("ranked", c_int32),
        ("ports", c_char_p),
        ("action", c_char_p),
        ("since", c_int64),
        ("until", c_int64),
        ("where", c_char_p),
        ("where_fields", c_char_p),
        ("seed", c_uint64),
    )


class _Misfit(Structure):
    _fields_ = (
        ("is_odd", c_int32),
        ("by_header", c_int32),
        ("length", c_int32),
        ("columns", c_int32),
        ("line", c_char * 1024),
        ("fields", c_char * 2048),
    )


class _Findings(Structure):
    _fields_ = (
        ("malformed_address", c_int64),
        ("malformed_port", c_int64),
        ("malformed_number", c_int64),
        ("ports", c_int64),
        ("copies", c_int64),
        ("collapsed", c_int64),
        ("relayed", c_int64),
        ("oriented", c_int64 * len(HOWS)),
        ("without_flags", c_int64),
        ("without_packet_addresses", c_int64),
    )


class _ColumnData(Structure):
    _fields_ = (
        ("storage", c_int32),
        ("offset", c_int64),
        ("values", c_void_p),
        ("valid", c_void_p),
        ("offsets", c_void_p),
        ("texts", c_void_p),
        ("texts_length", c_int64),
    )


_FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "counter_new": (c_void_p, (POINTER(_Question),)),
    "counter_free": (None, (c_void_p,)),
    "counter_feed": (c_int, (c_void_p, c_char_p, c_size_t)),
    "counter_begin_columns": (c_int, (c_void_p, c_char_p)),
    "counter_feed_columns": (c_int, (c_void_p, POINTER(_ColumnData), c_size_t, c_size_t)),
    "counter_end_lines": (c_int, (c_void_p, POINTER(c_int64))),
    "counter_misfit": (c_int, (c_void_p, POINTER(_Misfit))),
    "counter_totals": (c_int64, (c_void_p, POINTER(c_int64))),
    "counter_hours": (c_size_t, (c_void_p, POINTER(c_int64))),
    "counter_skipping": (c_size_t, (c_void_p, c_char_p)),
    "counter_end_file": (None, (c_void_p, c_int)),
    "counter_rows": (c_size_t, (c_void_p,)),
    "counter_talkers": (c_size_t, (c_void_p,)),
    "counter_clear": (None, (c_void_p,)),
    "counter_absorb": (c_int, (c_void_p, c_void_p)),
    "counter_pack": (c_size_t, (c_void_p, c_char_p)),
    "counter_add_packed": (c_int, (c_void_p, c_char_p, c_size_t)),
    "counter_is_packed": (c_int, (c_void_p, c_char_p, c_size_t)),
    "counter_spill": (c_int, (c_void_p, c_void_p)),
    "spill_new": (c_void_p, (c_int,)),
    "spill_free": (None, (c_void_p,)),
    "spill_bytes": (c_int64, (c_void_p,)),
    "spill_rows_of_part": (c_int64, (c_void_p, c_int)),
    "spill_fetch": (c_int, (c_void_p, c_int, c_void_p)),
    "ranking_new": (c_void_p, (c_void_p, c_size_t)),
    "ranking_free": (None, (c_void_p,)),
    "ranking_read": (c_size_t, (c_void_p, c_char_p, c_size_t)),
    "conversations_fold": (c_int, (c_void_p, c_void_p, c_int, c_int, POINTER(_Findings))),
    "conversations_answer": (c_int, (c_void_p, c_void_p, c_int, c_int, c_int, POINTER(_Findings))),
    "conversations_look": (c_int, (c_void_p, POINTER(_Findings))),
    "export_new": (c_void_p, (c_void_p, c_size_t)),
    "export_free": (None, (c_void_p,)),
    "export_next": (c_int64, (c_void_p, POINTER(_ColumnData))),
    "merge_new": (c_void_p, (c_int, POINTER(c_int64), POINTER(c_int64), c_size_t, c_size_t, c_size_t)),
    "merge_free": (None, (c_void_p,)),
    "merge_read": (c_int64, (c_void_p, c_char_p, c_size_t)),
}


_kernel = compiled.load(_FUNCTIONS)


class Misfit(NamedTuple):
    """The first line of a file that does not fit its layout.

    Attributes:
        line: its beginning, at most 1,024 bytes, without a time stamp before it.
        fields: the columns that it should have.
        by_header: whether a header of the file names them.
        is_odd: whether it has these columns, and one of them has a value that its field cannot have.

    """

    line: bytes
    fields: tuple[str, ...]
    by_header: bool
    is_odd: bool


class Counter:
    """Counts the lines of one file after the other for a question. A file counts whole or not at all.

    Attributes:
        has_spilled: whether some of its sums were moved to the disk.
        quality: the interfaces with SKIPDATA and the hours of the files that were counted.

    """

    has_spilled = False
    _columns: tuple[str, ...] = ()

    def __init__(self, query: Query) -> None:
        """Take the question.

        Raises:
            ValueError: the kernel cannot answer it.

        """
        question = self._question(query)
        self._metrics = len(query.metric)
        self._tally = (c_int64 * len(_TALLIED))()
        self._quality = Quality()
        self._hours: set[int] = set()
        self._skipping: list[bytes] = []
        self._hours_room, self._skipping_room = _HoursRoom(), _SkippingRoom()
        ctypes.set_errno(0)
        self.handle = _kernel.counter_new(question)
        if not self.handle:
            if ctypes.get_errno() == errno.EINVAL:
                raise ValueError(f"the kernel cannot answer {query}")
            raise MemoryError

    @staticmethod
    def _question(query: Query) -> _Question:
        wanted = bytearray(1 << 16)
        for low, high in query.ports:
            wanted[low : high + 1] = b"\1" * (high + 1 - low)
        return _Question(
            fields=" ".join(FIELDS).encode(),
            headerless=" ".join(query.layout.columns).encode(),
            key=None if query.is_recipe else " ".join(_key_words(query.by)).encode(),
            is_log=query.by == RECORD_KEY,
            key_needs=len(RECORD_NEEDS) if query.by == RECORD_KEY else 0,
            sums=" ".join(SUMMED_FIELDS.get(metric, metric) for metric in query.metric).encode(),
            ranked=0,
            ports=bytes(wanted),
            action=None if query.action == "ALL" else query.action.encode(),
            since=int(query.since.timestamp()) if query.since else _EARLIEST,
            until=int(query.until.timestamp()) if query.until else _LATEST,
            where=query.where.program.encode() if query.where else None,
            where_fields=" ".join(_where_words(query.where.fields)).encode() if query.where else None,
            seed=int.from_bytes(os.urandom(8)),
        )

    def __del__(self) -> None:
        """Free the memory."""
        if getattr(self, "handle", None):
            _kernel.counter_free(self.handle)

    def feed(self, piece: bytes) -> None:
        """Count the lines in the next piece of the file; a line may go on in the piece after it."""
        if _kernel.counter_feed(self.handle, piece, len(piece)):
            raise MemoryError

    def begin_columns(self, names: Sequence[str]) -> None:
        """Begin a file, or another part of it, whose records come in columns of these names."""
        self._columns = tuple(names)
        if _kernel.counter_begin_columns(self.handle, " ".join(names).encode()):
            raise MemoryError

    def feed_columns(self, batch: ColumnBatch) -> None:
        """Count the records of a batch, as lines with the same columns are counted.

        Raises:
            ValueError: the columns are not those that were begun.

        """
        if batch.names != self._columns:
            raise ValueError(f"the columns {batch.names} are not {self._columns}")
        columns = (_ColumnData * len(batch.columns))(
            *(
                _ColumnData(one.storage, one.offset, one.values, one.valid, one.offsets, one.texts, one.texts_length)
                for one in batch.columns
            )
        )
        if _kernel.counter_feed_columns(self.handle, columns, len(columns), batch.rows):
            if ctypes.get_errno() == errno.EINVAL:
                raise ValueError(f"there are {len(columns)} columns, not {len(batch.names)}, or no file was begun")
            raise MemoryError

    def end_lines(self) -> Tally:
        """Count the file's last line, and return its tally. `end_file` must be called next."""
        if _kernel.counter_end_lines(self.handle, self._tally):
            raise MemoryError
        read, counted, *skipped = self._tally
        return Tally(read, counted, {reason: n for reason, n in zip(REASONS, skipped, strict=True) if n})

    def misfit(self) -> Misfit | None:
        """The first line that does not fit, if the file's lines do not fit their layout.

        Call it between `end_lines` and `end_file`.
        """
        found = _Misfit()
        if not _kernel.counter_misfit(self.handle, found):
            return None
        line = ctypes.string_at(
            ctypes.addressof(found) + _Misfit.line.offset, found.length
        )  # `found.line` ends at a NUL
        fields = found.fields.decode("latin-1").split(" ")
        return Misfit(line, tuple(fields), bool(found.by_header), bool(found.is_odd))

    @property
    def total(self) -> int:
        """What all counted values add up to; of several sums, the largest.

        Raises:
            TooLargeError: they add up to more than a sum can hold, and the sums are wrong.

        """
        return max(self.totals)

    @property
    def totals(self) -> tuple[int, ...]:
        """What all counted values of each metric add up to; 0 for times.

        Raises:
            TooLargeError: one is more than a sum can hold, and the sums are wrong.

        """
        totals = (c_int64 * _MOST_SUMS)()
        if _kernel.counter_totals(self.handle, totals) < 0:
            raise TooLargeError
        return tuple(totals[: self._metrics])

    def end_file(self, *, counts: bool) -> None:
        """Keep the sums of the current file, or drop them."""
        if counts:
            self._take_notes()
        _kernel.counter_end_file(self.handle, counts)

    @property
    def rows(self) -> int:
        """How much is in memory, the current file included, in talkers of the default question (`ROW_BYTES`)."""
        return int(_kernel.counter_rows(self.handle))

    @property
    def talkers(self) -> int:
        """How many talkers whole files have counted."""
        talkers = int(_kernel.counter_talkers(self.handle))
        if talkers == ctypes.c_size_t(-1).value:
            raise MemoryError
        return talkers

    def absorb(self, other: "Counter") -> None:
        """Take over the sums of another counter of the same question. The other counter is empty afterwards."""
        if _kernel.counter_absorb(self.handle, other.handle):
            raise MemoryError
        self.quality, other.quality = self.quality + other.quality, Quality()

    def clear(self) -> None:
        """Forget all sums."""
        _kernel.counter_clear(self.handle)
        self.quality = Quality()

    @property
    def quality(self) -> Quality:
        """What was noted of the files that were counted."""
        if self._hours or self._skipping:
            self._quality += self._noted()
        return self._quality

    @quality.setter
    def quality(self, quality: Quality) -> None:
        self._hours.clear()
        self._skipping.clear()
        self._quality = quality

    def _take_notes(self) -> None:
        """Keep what was noted of the current file, as the kernel writes it: most files say much the same."""
        self._hours.update(_noted_hours(self.handle, self._hours_room))
        if length := _kernel.counter_skipping(self.handle, None):
            if length > len(self._skipping_room):
                self._skipping_room = ctypes.create_string_buffer(2 * length)
            _kernel.counter_skipping(self.handle, self._skipping_room)
            self._skipping.append(ctypes.string_at(self._skipping_room, length))
        if len(self._skipping) == _NOTES_HELD:
            self._quality += self._noted()

    def _noted(self) -> Quality:
        """What was kept of files, which is forgotten."""
        words = b"".join(self._skipping).split(b" ")
        skipdata: dict[str, int] = {}
        for name, times in zip(words[:-1:2], words[1::2], strict=True):
            text = name.decode("utf-8", "backslashreplace")
            skipdata[text] = skipdata.get(text, 0) + int(times)
        noted = Quality(hours=tuple(sorted(self._hours)), skipdata=skipdata)
        self._hours.clear()
        self._skipping.clear()
        return noted

    def pack(self) -> bytes:
        """All sums as bytes, for `add_packed` of a counter of the same question on a machine of the same kind.

        Raises:
            TooLargeError: the sums are wrong, and must not be kept.

        """
        if self.total > LARGEST_TOTAL:
            raise TooLargeError
        room = ctypes.create_string_buffer(_kernel.counter_pack(self.handle, None))
        _kernel.counter_pack(self.handle, room)
        return room.raw

    def add_packed(self, rows: bytes) -> None:
        """Add sums that were packed.

        Raises:
            ValueError: the bytes are no packed sums. Nothing is added.

        """
        if not _kernel.counter_is_packed(self.handle, rows, len(rows)):
            raise ValueError("no packed sums")
        if _kernel.counter_add_packed(self.handle, rows, len(rows)):
            raise MemoryError

    def ranked(self, top: int) -> Iterator[bytes]:
        """The answer's lines in order, in chunks of whole lines; `top` of 0 for all."""
        ranking = _kernel.ranking_new(self.handle, top)
        if not ranking:
            raise MemoryError
        try:
            room = ctypes.create_string_buffer(LINES_BYTES)
            while length := _kernel.ranking_read(ranking, room, LINES_BYTES):
                yield ctypes.string_at(room, length)
        finally:
            _kernel.ranking_free(ranking)

    def exported(self, names: Sequence[str], most: int) -> Iterator[ColumnBatch] | None:
        """The rows of the answer in columns of these names, `most` in a batch; None if a number has over 32 bits.

        Not of the recipe's key, nor of networks. The rows are sorted by the first four columns; those that are equal
        there are in the order of the answer. `kernel.h` says how values are stored. A batch lasts until the next one
        is made, and the counter must not change before the last one.
        """
        export = _Export(self, most)
        if not export.handle:
            if ctypes.get_errno() == errno.ERANGE:
                return None
            raise MemoryError
        return export.batches(tuple(names))


class _Pairs(Counter):
    """The lines of `--pairs`: it is filled by `Conversations`, and counts no files."""

    @staticmethod
    def _question(query: Query) -> _Question:
        question = Counter._question(query)  # noqa: SLF001 - of the class above
        question.key = b"address:client address:server port:port protocol:protocol"
        question.sums = b" ".join([b"bytes"] * len(PAIR_SUMS) + [b"how"])
        question.ranked = PAIR_SUMS.index(query.metric[0])
        question.where = question.where_fields = None
        return question

    @property
    def totals(self) -> tuple[int, ...]:
        """What the values of the first metric add up to."""
        totals = (c_int64 * _MOST_SUMS)()
        if _kernel.counter_totals(self.handle, totals) < 0:
            raise TooLargeError
        return (totals[self._ranked],)

    def __init__(self, query: Query) -> None:
        super().__init__(query)
        self._ranked = PAIR_SUMS.index(query.metric[0])


class Conversations:
    """Joins records, and rows of digests, to the conversations of a question (`docs/conversations.md`).

    Attributes:
        skipped: after `finish`, the records that move from the counted ones to a reason.
        quality: after `finish`, what was found beside the sums.

    """

    def __init__(self, query: Query) -> None:
        """Take the question, which is one that joins records, or that of a digest."""
        self._query = query
        self._is_digest = query.by == FOLDED_KEY
        self._records: Counter | None = None
        self._folded = Counter(folded_question(query))
        self._answer = self._folded if self._is_digest else (_Pairs if query.pairs else Counter)(query)
        self.skipped: dict[str, int] = {}
        self.quality = Quality()

    def add_records(self, counter: Counter) -> None:
        """Take over the rows of a counter of `record_question`, which is empty afterwards."""
        if self._records is None:
            self._records = Counter(record_question(self._query))
            self._records.handle, counter.handle = counter.handle, self._records.handle
        else:
            self._records.absorb(counter)

    def add_folded(self, counter: Counter) -> None:
        """Take over the rows of a counter of `folded_question`, which is empty afterwards."""
        self._folded.absorb(counter)

    def finish(self) -> None:
        """Apply the rules. Afterwards the answer can be read, and no rows can be added."""
        query, found = self._query, _Findings()
        keeps_ports = not query.pairs and _asks_for_high_ports(query)
        if self._records is not None:
            needs_port = query.is_recipe
            arguments = (self._records.handle, self._folded.handle, keeps_ports, needs_port, found)
            if _kernel.conversations_fold(*arguments):
                raise MemoryError
            self._records = None
        is_once = query.count == "once" and not self._is_digest
        if self._is_digest:
            if _kernel.conversations_look(self._folded.handle, found):
                raise MemoryError
        else:
            by = (is_once, query.uses_packet_addresses, keeps_ports)
            if _kernel.conversations_answer(self._folded.handle, self._answer.handle, *by, found):
                raise MemoryError
            self._folded = self._answer
        reasons = ["malformed_address", "malformed_port", "malformed_number", "ports"]
        moved = {reason: getattr(found, reason) for reason in reasons} | {"duplicate": found.copies if is_once else 0}
        self.skipped = {reason: number for reason, number in moved.items() if number}
        self.quality = Quality(
            duplicates=found.copies if is_once else None,
            collapsed=found.collapsed if is_once else None,
            relayed=found.relayed if is_once else None,
            oriented={how: number for how, number in zip(HOWS, found.oriented, strict=True) if number},
            hours=tuple(sorted(_noted_hours(self._folded.handle, _HoursRoom()))),
            without_flags=found.without_flags,
            without_packet_addresses=found.without_packet_addresses,
        )

    @property
    def talkers(self) -> int:
        """How many lines the answer has."""
        return self._answer.talkers

    @property
    def totals(self) -> tuple[int, ...]:
        """What the sums of each metric add up to, 0 for times; with pairs of the first metric only.

        Raises:
            TooLargeError: one is more than a sum can hold, and the sums are wrong.

        """
        return self._answer.totals

    def ranked(self, top: int) -> Iterator[bytes]:
        """The answer's lines in order, in chunks of whole lines; `top` of 0 for all."""
        return self._answer.ranked(top)

    def folded(self) -> Counter:
        """A counter with all folded rows, copies too, for a digest's question."""
        return self._folded


def _asks_for_high_ports(query: Query) -> bool:
    """Whether a key has clients' ports above those that a digest keeps."""
    return "srcport" in query.by or ("dstport" in query.by and query.ports[-1][1] > HIGHEST_KNOWN_PORT)


def _noted_hours(handle: c_void_p, room: Array[c_int64]) -> list[int]:
    """The hours that the kernel noted of a counter's current file, or of the rows that were joined; in no order.

    The room is the caller's, because making the type of an array for each file takes longer than to read the hours.
    """
    number: int = _kernel.counter_hours(handle, None)
    if number > len(room):
        room = (c_int64 * number)()
    if number:
        _kernel.counter_hours(handle, room)
    return room[:number]


class _Export:
    """The rows of a counter in columns."""

    def __init__(self, counter: Counter, most: int) -> None:
        self._counter = counter  # its memory is read
        self.handle = _kernel.export_new(counter.handle, most)

    def __del__(self) -> None:
        """Free the memory."""
        if self.handle:
            _kernel.export_free(self.handle)

    def batches(self, names: tuple[str, ...]) -> Iterator[ColumnBatch]:
        columns = (_ColumnData * len(names))()
        while (rows := _kernel.export_next(self.handle, columns)) > 0:
            yield ColumnBatch(
                names,
                tuple(
                    ColumnData(
                        Storage(one.storage),
                        one.values or 0,
                        one.valid or 0,
                        one.offset,
                        one.offsets or 0,
                        one.texts or 0,
                        one.texts_length,
                    )
                    for one in columns
                ),
                rows,
                self,
            )
        if rows:
            raise MemoryError


class SpilledSums:
    """Sums of counters in a file, divided into parts. Rankings may be written behind them."""

    def __init__(self, fd: int) -> None:
        """Take the descriptor of an open, empty file."""
        self.handle = _kernel.spill_new(fd)
        if not self.handle:
            raise MemoryError

    def __del__(self) -> None:
        """Free the memory."""
        if getattr(self, "handle", None):
            _kernel.spill_free(self.handle)

    @property
    def bytes_(self) -> int:
        """How many bytes of sums are in the file."""
        return int(_kernel.spill_bytes(self.handle))

    def rows_of_part(self, part: int) -> int:
        """How much memory a part takes at most, in talkers of the default question."""
        return int(_kernel.spill_rows_of_part(self.handle, part))

    def take(self, counter: Counter) -> None:
        """Move a counter's sums into the file.

        Raises:
            OSError: the disk cannot hold them.

        """
        counter.has_spilled = True
        if _kernel.counter_spill(counter.handle, self.handle):
            raise _os_error()

    def fetch(self, part: int, into: Counter) -> None:
        """Add the sums of a part to a counter."""
        if _kernel.spill_fetch(self.handle, part, into.handle):
            raise _os_error()


def merge_rankings(fd: int, rankings: list[tuple[int, int]], top: int, columns: int = 1) -> Iterator[bytes]:
    """Merge rankings in a file into one; each is the lines between two offsets. `top` of 0 for all.

    Before its first sum, a line has so many columns that end with a tab: one for the recipe's key.
    """
    if not rankings:
        return
    starts, ends = ((c_int64 * len(rankings))(*offsets) for offsets in zip(*rankings, strict=True))
    merge = _kernel.merge_new(fd, starts, ends, len(rankings), columns, top)
    if not merge:
        raise _os_error()
    try:
        room = ctypes.create_string_buffer(LINES_BYTES)
        while (length := _kernel.merge_read(merge, room, LINES_BYTES)) > 0:
            yield ctypes.string_at(room, length)
        if length:
            raise _os_error()
    finally:
        _kernel.merge_free(merge)


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next piece of a file.

    Returning each piece to the system and allocating it again, page by page, costs a tenth of the whole time. Nothing
    is changed with other C libraries.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):
            mallopt = ctypes.CDLL(None).mallopt
            for m_threshold in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD (malloc.h)
                mallopt(m_threshold, 1 << 30)


def _os_error() -> OSError | MemoryError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number)) if number else MemoryError()
