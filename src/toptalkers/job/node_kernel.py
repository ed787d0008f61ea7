"""The compiled counting kernel on a cluster's nodes: counts the files of a map, and prints the sums of each key.

For Python 3.9 and only its standard library. It travels with `kernel-<machine>.so`, which is loaded from the working
directory, and with `count_flows.py`, which has the rules in Python and reads the options. The answer is the same.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import tempfile
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from toptalkers.job import blocks, count_flows
else:  # on a node, the scripts are beside each other
    import blocks
    import count_flows

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

PARTS = 256
"""Into how many parts spilled sums are divided, by a hash of the key (`kernel.h`)."""

ROW_BYTES = 128
"""How much memory a sum of the recipe's key takes at most: when the table is full and about to double, its 32 bytes are
there three times, and a quarter of the slots is free."""

LINES_BYTES = 1 << 20
"""How many bytes of lines are printed at a time."""

FRAME_BYTES = 12
"""How many bytes a block has beside its lines."""

SHORTEST_LINE_BYTES = 4
"""A key of one byte, a tab, a sum of one digit, a line feed."""

SUM_WORDS = {"records": 0, "packets": 0, "bytes": 0, "first": 1, "last": 2}
"""How the kernel makes a sum of a metric (`kernel.h`, enum sum)."""

NO_ROOM, WRONG_LINE = 1, 2
"""Results of `adder_add` (`kernel.h`, enum added)."""

TOO_LARGE = "values add up to more than 2^63 - 1, or are too late"

ELF_HEADER = struct.Struct("<40xQ10xHH2x")
"""Of a 64-bit library, where its table of sections is, at its end: the offset, and the size and number of entries."""

MOST_SUMS = 10
MISFIT_BYTES = 16 + 1024 + 2048
EARLIEST, LATEST = -(1 << 63), (1 << 63) - 1


class NoKernelError(Exception):
    """The kernel cannot be loaded, or cannot answer the question; the text says why."""


class Question(Structure):
    """The question, as `kernel.h` has it."""

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


FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "counter_new": (c_void_p, (POINTER(Question),)),
    "counter_free": (None, (c_void_p,)),
    "counter_feed": (c_int, (c_void_p, c_char_p, c_size_t)),
    "counter_end_lines": (c_int, (c_void_p, POINTER(c_int64))),
    "counter_misfit": (c_int, (c_void_p, c_char_p)),
    "counter_totals": (c_int64, (c_void_p, POINTER(c_int64))),
    "counter_end_file": (None, (c_void_p, c_int)),
    "counter_rows": (c_size_t, (c_void_p,)),
    "counter_clear": (None, (c_void_p,)),
    "counter_print": (c_int64, (c_void_p, POINTER(c_size_t), c_char_p, c_size_t)),
    "counter_spill": (c_int, (c_void_p, c_void_p)),
    "spill_new": (c_void_p, (c_int,)),
    "spill_free": (None, (c_void_p,)),
    "spill_fetch": (c_int, (c_void_p, c_int, c_void_p)),
    "blocks_divide": (c_int64, (c_char_p, c_size_t, c_size_t, c_size_t, c_uint32, c_char_p)),
    "adder_new": (c_void_p, (c_char_p, c_size_t, c_uint64)),
    "adder_free": (None, (c_void_p,)),
    "adder_add": (c_int, (c_void_p, c_char_p, c_size_t)),
    "adder_print": (c_int64, (c_void_p, c_char_p, c_size_t)),
    "adder_clear": (c_int, (c_void_p,)),
}


def load(folder: str = ".") -> ctypes.CDLL:
    """Load the kernel for this machine's processor from a folder, and prepare this process for pieces of files.

    Raises:
        NoKernelError: there is none, or it is not for this machine, or of another version.

    """
    name = f"kernel-{platform.machine()}.so"
    path = os.path.join(os.path.abspath(folder), name)  # noqa: PTH100, PTH118 - scripts for nodes start without pathlib
    if not os.path.exists(path):  # noqa: PTH110
        raise NoKernelError(f"there is no {name} in {os.path.dirname(path)}")  # noqa: PTH120
    if is_cut(path):
        raise NoKernelError(f"{name} is cut off")
    try:
        library = ctypes.CDLL(path, use_errno=True)
        for function, (result, arguments) in FUNCTIONS.items():
            of_library = getattr(library, function)
            of_library.restype, of_library.argtypes = result, arguments
    except (OSError, AttributeError) as error:  # AttributeError: it lacks a function
        raise NoKernelError(f"{name} cannot be loaded: {error}") from error
    keep_freed_memory()
    return library


def is_cut(path: str) -> bool:
    """Whether a library for Linux ends before its last table does: to load it would end this process."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            head = file.read(ELF_HEADER.size)
            if len(head) < ELF_HEADER.size or not head.startswith(b"\x7fELF"):
                return False  # the system says what it is
            table, entry_bytes, entries = ELF_HEADER.unpack(head)
            return bool(file.seek(0, os.SEEK_END) < table + entry_bytes * entries)
    except OSError:
        return False


def keep_freed_memory() -> None:
    """Have glibc keep what a piece of a file took for the next one: a few MB, which saves a twentieth of the time."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD (malloc.h): larger room still goes back to the system at once
    mallopt(-1, 16 << 20)  # M_TRIM_THRESHOLD


def question_of(options: argparse.Namespace) -> Question:
    """The question for the kernel of options as `count_flows.parse_arguments` returns them."""
    wanted = bytearray(1 << 16)
    for port in count_flows.parse_ports(options.ports):
        wanted[int(port)] = 1
    by = (options.by or b",".join(count_flows.KEY).decode()).encode().split(b",")
    is_of_records = by == list(count_flows.RECORD_KEY)
    metrics = count_flows.parse_metrics(options.metric)
    tests = count_flows.parse_where(options.where) if options.where else []
    sources = dict.fromkeys(test.source for test in tests if isinstance(test, count_flows.Test))
    headerless = count_flows.parse_fields(options.log_format) if options.log_format else count_flows.DEFAULT_FIELDS
    return Question(
        fields=b" ".join(sorted(count_flows.FIELDS)),
        headerless=b" ".join(headerless),
        key=None if by == list(count_flows.KEY) else b" ".join(map(key_word, by)),
        is_log=is_of_records,
        key_needs=len(count_flows.RECORD_NEEDS) if is_of_records else 0,
        sums=b" ".join([count_flows.METRICS[metric] or metric for metric in metrics]),
        ranked=0,
        ports=bytes(wanted),
        action=None if options.action == "ALL" else options.action.encode(),
        since=count_flows.parse_time(options.since) if options.since else EARLIEST,
        until=count_flows.parse_time(options.until) if options.until else LATEST,
        where=options.where.encode() if options.where else None,
        where_fields=b" ".join(map(tested_word, sources)) if options.where else None,
        seed=int.from_bytes(os.urandom(8), "little"),
    )


def key_word(part: bytes) -> bytes:
    """A part of a key, as the kernel takes it: KIND:FIELD."""
    if part == count_flows.PAIR:
        return b"lesser:srcaddr greater:dstaddr"
    if part in count_flows.SERVICE_PARTS:
        return part + b":"
    if part in count_flows.TIMES:
        return part + b":start"
    if b"/" in part:
        return b"network:" + part + (b"/64" if part.count(b"/") == 1 else b"")
    return kind_of(part) + b":" + part


def tested_word(field: bytes) -> bytes:
    """A field of an expression, as the kernel takes it: KIND:FIELD."""
    if field in count_flows.SERVICE_PARTS:
        return field + b":" + field
    return (b"time" if field in count_flows.TIME_FIELDS else kind_of(field)) + b":" + field


def kind_of(field: bytes) -> bytes:
    """The kind of a field's values, as the kernel calls it."""
    if field in count_flows.ADDRESS_FIELDS:
        return b"address"
    if field in count_flows.PORT_FIELDS or field in count_flows.DIGEST_PORTS:
        return b"port"
    if field == b"protocol":
        return b"protocol"
    return b"number" if field in count_flows.NUMBER_FIELDS else b"text"


class KernelCounter:
    """Counts one file after the other for a question. A file counts whole or not at all.

    It raises MemoryError when memory is used up, and OSError when the disk cannot hold the sums.
    """

    _handle: int | None = None
    _spilled: int | None = None

    def __init__(self, options: argparse.Namespace, library: ctypes.CDLL) -> None:
        """Take the options as `count_flows.parse_arguments` returns them, and what `load` returned.

        Raises:
            NoKernelError: the kernel cannot answer the question.

        """
        self._kernel = library
        self._metrics = count_flows.parse_metrics(options.metric)
        self._of_file = (c_int64 * (2 + len(count_flows.REASONS)))()
        self._of_sums = (c_int64 * MOST_SUMS)()
        self._misfit = ctypes.create_string_buffer(MISFIT_BYTES)
        self._numbers = [0] * len(self._of_file)
        self._totals, self._totals_of_printed = [0] * MOST_SUMS, [0] * MOST_SUMS
        self._question = question_of(options)
        self._begin()

    def _begin(self) -> None:
        """Begin with an empty table."""
        if self._handle:
            self._kernel.counter_free(self._handle)
        ctypes.set_errno(0)
        self._handle = self._kernel.counter_new(byref(self._question))
        if not self._handle:
            if ctypes.get_errno() == errno.EINVAL:
                raise NoKernelError("the kernel cannot answer the question")
            raise MemoryError

    def __del__(self) -> None:
        """Free the memory."""
        self._forget_spilled()
        if self._handle:
            self._kernel.counter_free(self._handle)

    def feed(self, piece: bytes) -> None:
        """Count the lines in the next piece of the current file; a line may go on in the piece after it."""
        if self._kernel.counter_feed(self._handle, piece, len(piece)):
            raise MemoryError

    def end_lines(self) -> bool:
        """Count the file's last line. Returns whether its lines fit their layout. `end_file` must be called next."""
        if self._kernel.counter_end_lines(self._handle, self._of_file):
            raise MemoryError
        return not self._kernel.counter_misfit(self._handle, self._misfit)

    def end_file(self, *, counts: bool) -> None:
        """Keep the sums of the current file and its tally, or drop both."""
        self._kernel.counter_end_file(self._handle, counts)
        if not counts:
            return
        self._numbers = [one + other for one, other in zip(self._numbers, self._of_file)]
        is_sound = self._kernel.counter_totals(self._handle, self._of_sums) >= 0
        totals = self._of_sums if is_sound else [count_flows.LARGEST_TOTAL + 1] * MOST_SUMS
        self._totals = [one + other for one, other in zip(self._totals_of_printed, totals)]

    def held_bytes(self) -> int:
        """How much memory the sums take, those of the current file included."""
        return int(self._kernel.counter_rows(self._handle)) * ROW_BYTES

    def spill(self) -> None:
        """Move all sums to a temporary file in the working directory, also those of the current file."""
        if self._spilled is None:
            self._file = tempfile.TemporaryFile(dir=os.getcwd())  # noqa: PTH109, SIM115 - it is open for as long as self
            self._spilled = self._kernel.spill_new(self._file.fileno())
        if not self._spilled or self._kernel.counter_spill(self._handle, self._spilled):
            raise self._error()

    def take_lines(self) -> Iterator[bytes]:
        """Yield the lines of all sums in chunks, in no order; then there are none. Not within a file."""
        return self._taken(LINES_BYTES)

    def take_blocks(self, parts: int) -> Iterator[bytes]:
        """Yield the same lines in blocks, divided into so many parts, as `blocks.divide_lines` does it."""
        skipped = len(count_flows.PREFIX) if count_flows.is_long_value_sum(self._metrics) else 0
        width = len(self._metrics)
        for lines in self._taken(blocks.GROUPED_BYTES):
            # A part has one block that is not full.
            most = min(parts, len(lines) // SHORTEST_LINE_BYTES) + len(lines) // blocks.BLOCK_BYTES
            room = ctypes.create_string_buffer(len(lines) + FRAME_BYTES * most)
            length = self._kernel.blocks_divide(lines, len(lines), skipped, width, parts, room)
            if length < 0:
                raise MemoryError
            yield ctypes.string_at(room, length)

    def _taken(self, room_bytes: int) -> Iterator[bytes]:
        room = ctypes.create_string_buffer(room_bytes)
        if self._spilled is None:
            yield from self._printed(room)
        else:
            self.spill()
            self._begin()  # a part is small, and to read and to clear all of a large table for each would take long
            for part in range(PARTS):
                if self._kernel.spill_fetch(self._spilled, part, self._handle):
                    raise self._error()
                yield from self._printed(room)
        self._forget_spilled()
        self._totals_of_printed = self._totals

    def _printed(self, room: ctypes.Array[ctypes.c_char]) -> Iterator[bytes]:
        at = c_size_t(0)
        while (length := self._kernel.counter_print(self._handle, byref(at), room, len(room))) > 0:
            yield ctypes.string_at(room, length)
        if length < 0:
            raise MemoryError
        self._kernel.counter_clear(self._handle)

    def _forget_spilled(self) -> None:
        if self._spilled is not None:
            self._kernel.spill_free(self._spilled)
            self._spilled = None
            self._file.close()

    @staticmethod
    def _error() -> OSError | MemoryError:
        number = ctypes.get_errno()
        return OSError(number, os.strerror(number)) if number else MemoryError()

    @property
    def tally(self) -> dict[str, int]:
        """The counters of all files that count; SystemExit with a message if the values add up to too much."""
        totals = {metric: 0 if metric == b"records" else total for metric, total in zip(self._metrics, self._totals)}
        read, counted, *skipped = self._numbers
        return count_flows.counters_of(read, counted, dict(zip(count_flows.REASONS, skipped)), totals)


class KernelAdder:
    """Adds up the lines of one part after the other; see `sum_blocks.Adder`. MemoryError when memory is used up."""

    _handle: int | None = None

    def __init__(self, metrics: list[str], library: ctypes.CDLL) -> None:
        """Take the metrics of a line's sums, and what `load` returned."""
        self._kernel = library
        seed = int.from_bytes(os.urandom(8), "little")
        self._handle = library.adder_new(bytes([SUM_WORDS[metric] for metric in metrics]), len(metrics), seed)
        if not self._handle:
            raise MemoryError
        self._room = ctypes.create_string_buffer(LINES_BYTES)

    def __del__(self) -> None:
        """Free the memory."""
        if self._handle:
            self._kernel.adder_free(self._handle)

    def add(self, lines: bytes) -> None:
        """Add whole lines; `blocks.BadLineError` if one is none, or a sum is too large."""
        result = self._kernel.adder_add(self._handle, lines, len(lines))
        if result == NO_ROOM:
            raise MemoryError
        if result:
            raise blocks.BadLineError("a line without its sums" if result == WRONG_LINE else TOO_LARGE)

    def take_lines(self) -> Iterator[bytes]:
        """Yield the lines of all sums in chunks; `blocks.BadLineError` if a time is too late. Then there are none."""
        while (length := self._kernel.adder_print(self._handle, self._room, LINES_BYTES)) > 0:
            yield ctypes.string_at(self._room, length)
        if length < 0:
            raise blocks.BadLineError(TOO_LARGE)
        if self._kernel.adder_clear(self._handle):
            raise MemoryError
