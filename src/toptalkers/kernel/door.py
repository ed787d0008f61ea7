"""The door to the counting kernel (`kernel/`, C): counters, spilled sums and rankings as Python objects.

The kernel's functions run outside of the interpreter's lock, so that each thread can count with a counter of its
own. What a function of the kernel cannot do for want of memory becomes `MemoryError`, for want of a disk `OSError`.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from ctypes import (
    POINTER,
    Structure,
    addressof,
    c_char,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import NamedTuple

from toptalkers.answer.answer import LARGEST_TOTAL, REASONS, Tally, TooLargeError
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.fields import FIELDS
from toptalkers.question.query import Query

LIBRARY = Path(__file__).with_name("kernel.so")

CODE = (LIBRARY, Path(__file__))
"""The files on which the sums depend."""

ROW_BYTES = 200
"""What a talker costs at the worst moment, when its table doubles or the answer is ranked: measured."""

PARTS = 256
"""Parts in which sums lie on the disk, by a hash of the talker (`kernel.h`)."""

LINES_BYTES = 1 << 20
"""How much of an answer is printed at a time."""

_TALLIED = ("records_read", "counted", *REASONS)
_EARLIEST, _LATEST = -(1 << 63), (1 << 63) - 1


class _Question(Structure):
    _fields_ = (
        ("fields", c_char_p),
        ("headerless", c_char_p),
        ("ports", c_char_p),
        ("action", c_char_p),
        ("metric", c_char_p),
        ("since", c_int64),
        ("until", c_int64),
        ("timed", c_int32),
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


_FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "counter_new": (c_void_p, (POINTER(_Question),)),
    "counter_free": (None, (c_void_p,)),
    "counter_feed": (c_int, (c_void_p, c_char_p, c_size_t)),
    "counter_end_lines": (c_int, (c_void_p, POINTER(c_int64))),
    "counter_misfit": (c_int, (c_void_p, POINTER(_Misfit))),
    "counter_total": (c_int64, (c_void_p,)),
    "counter_end_file": (None, (c_void_p, c_int)),
    "counter_rows": (c_size_t, (c_void_p,)),
    "counter_talkers": (c_size_t, (c_void_p,)),
    "counter_clear": (None, (c_void_p,)),
    "counter_absorb": (c_int, (c_void_p, c_void_p)),
    "counter_packed_bytes": (c_size_t, (c_void_p,)),
    "counter_pack": (None, (c_void_p, c_char_p)),
    "counter_add_packed": (c_int, (c_void_p, c_char_p, c_size_t)),
    "is_packed": (c_int, (c_char_p, c_size_t)),
    "counter_spill": (c_int, (c_void_p, c_void_p)),
    "spill_new": (c_void_p, (c_int,)),
    "spill_free": (None, (c_void_p,)),
    "spill_bytes": (c_int64, (c_void_p,)),
    "spill_rows_of_part": (c_int64, (c_void_p, c_int)),
    "spill_fetch": (c_int, (c_void_p, c_int, c_void_p)),
    "ranking_new": (c_void_p, (c_void_p, c_size_t)),
    "ranking_free": (None, (c_void_p,)),
    "ranking_read": (c_size_t, (c_void_p, c_char_p, c_size_t)),
    "merge_new": (c_void_p, (c_int, POINTER(c_int64), POINTER(c_int64), c_size_t, c_size_t)),
    "merge_free": (None, (c_void_p,)),
    "merge_read": (c_int64, (c_void_p, c_char_p, c_size_t)),
}


def _load() -> ctypes.CDLL:
    try:
        kernel = ctypes.CDLL(str(LIBRARY), use_errno=True)
    except OSError as error:
        raise ToptalkersError(
            f"the counting kernel cannot be loaded: {error}",
            hint="it is built when toptalkers is installed: pip install --force-reinstall toptalkers",
        ) from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(kernel, name)
        function.restype, function.argtypes = result, arguments
    return kernel


_kernel = _load()


class Misfit(NamedTuple):
    """The first line of a file that does not fit its layout.

    Attributes:
        line: as much of it as tells, without a time stamp before it.
        fields: the columns that it should have.
        by_header: whether a header of the file names them.
        is_odd: whether it has these columns, and one of them holds what it cannot hold.

    """

    line: bytes
    fields: tuple[str, ...]
    by_header: bool
    is_odd: bool


class Counter:
    """Counts the lines of one file after the other for a question; sums of whole files stay.

    Attributes:
        has_spilled: whether some of its sums went to the disk.

    """

    has_spilled = False

    def __init__(self, query: Query) -> None:
        """Take the question."""
        wanted = bytearray(1 << 16)
        for low, high in query.ports:
            wanted[low : high + 1] = b"\1" * (high + 1 - low)
        question = _Question(
            fields=" ".join(FIELDS).encode(),
            headerless=" ".join(query.layout.columns).encode(),
            ports=bytes(wanted),
            action=None if query.action == "ALL" else query.action.encode(),
            metric=None if query.metric == "records" else query.metric.encode(),
            since=int(query.since.timestamp()) if query.since else _EARLIEST,
            until=int(query.until.timestamp()) if query.until else _LATEST,
            timed=bool(query.since or query.until),
            seed=int.from_bytes(os.urandom(8)),
        )
        self._tally = (c_int64 * len(_TALLIED))()
        self.handle = _kernel.counter_new(question)
        if not self.handle:
            raise MemoryError

    def __del__(self) -> None:
        """Give the memory back."""
        if getattr(self, "handle", None):
            _kernel.counter_free(self.handle)

    def feed(self, piece: bytes) -> None:
        """Count the lines in the next piece of the file; a line may go on in the piece after it."""
        if _kernel.counter_feed(self.handle, piece, len(piece)):
            raise MemoryError

    def end_lines(self) -> Tally:
        """Count what is left of the file, and give its tally; then `end_file` says whether the file counts."""
        if _kernel.counter_end_lines(self.handle, self._tally):
            raise MemoryError
        read, counted, *skipped = self._tally
        return Tally(read, counted, {reason: n for reason, n in zip(REASONS, skipped, strict=True) if n})

    def misfit(self) -> Misfit | None:
        """Between `end_lines` and `end_file`: what does not fit, when the file's lines do not fit their layout."""
        found = _Misfit()
        if not _kernel.counter_misfit(self.handle, found):
            return None
        line = ctypes.string_at(addressof(found) + _Misfit.line.offset, found.length)  # `found.line` ends at a NUL
        fields = found.fields.decode("latin-1").split(" ")
        return Misfit(line, tuple(fields), bool(found.by_header), bool(found.is_odd))

    @property
    def total(self) -> int:
        """What all values that it counted add up to.

        Raises:
            TooLargeError: more than a sum can hold; its sums are wrong.

        """
        total = int(_kernel.counter_total(self.handle))
        if total < 0:
            raise TooLargeError
        return total

    def end_file(self, *, counts: bool) -> None:
        """Keep what the file added, or take it back."""
        _kernel.counter_end_file(self.handle, counts)

    @property
    def rows(self) -> int:
        """How many sums are held in memory, those of the file that is being read included."""
        return int(_kernel.counter_rows(self.handle))

    @property
    def talkers(self) -> int:
        """How many talkers whole files have counted."""
        return int(_kernel.counter_talkers(self.handle))

    def absorb(self, other: "Counter") -> None:
        """Take over the sums of another counter of the same question, which is empty then."""
        if _kernel.counter_absorb(self.handle, other.handle):
            raise MemoryError

    def clear(self) -> None:
        """Forget all sums."""
        _kernel.counter_clear(self.handle)

    def pack(self) -> bytes:
        """All sums as bytes, for `add_packed` on a machine of the same kind.

        Raises:
            TooLargeError: the sums are wrong, and must not be kept.

        """
        if self.total > LARGEST_TOTAL:
            raise TooLargeError
        room = ctypes.create_string_buffer(_kernel.counter_packed_bytes(self.handle))
        _kernel.counter_pack(self.handle, room)
        return room.raw

    def add_packed(self, rows: bytes) -> None:
        """Add sums that were packed.

        Raises:
            ValueError: the bytes are no packed sums; none of them is added.

        """
        if not _kernel.is_packed(rows, len(rows)):
            raise ValueError("no packed sums")
        if _kernel.counter_add_packed(self.handle, rows, len(rows)):
            raise MemoryError

    def ranked(self, top: int) -> Iterator[bytes]:
        """The answer's lines, in its order, many at a time; `top` of 0 for all."""
        ranking = _kernel.ranking_new(self.handle, top)
        if not ranking:
            raise MemoryError
        try:
            room = ctypes.create_string_buffer(LINES_BYTES)
            while length := _kernel.ranking_read(ranking, room, LINES_BYTES):
                yield ctypes.string_at(room, length)
        finally:
            _kernel.ranking_free(ranking)


class SpilledSums:
    """Sums of counters in a file, by parts; and rankings, behind them in the same file."""

    def __init__(self, fd: int) -> None:
        """Take an open, empty file."""
        self._fd = fd
        self.handle = _kernel.spill_new(fd)
        if not self.handle:
            raise MemoryError

    def __del__(self) -> None:
        """Give the memory back."""
        if getattr(self, "handle", None):
            _kernel.spill_free(self.handle)

    @property
    def bytes_(self) -> int:
        """How much lies in the file."""
        return int(_kernel.spill_bytes(self.handle))

    def rows_of_part(self, part: int) -> int:
        """How many sums a part holds; a talker may have several."""
        return int(_kernel.spill_rows_of_part(self.handle, part))

    def take(self, counter: Counter) -> None:
        """Move a counter's sums into the file; OSError when the disk cannot hold them."""
        counter.has_spilled = True
        if _kernel.counter_spill(counter.handle, self.handle):
            raise _os_error()

    def fetch(self, part: int, into: Counter) -> None:
        """Add up the sums of a part in a counter."""
        if _kernel.spill_fetch(self.handle, part, into.handle):
            raise _os_error()


def merge_rankings(fd: int, rankings: list[tuple[int, int]], top: int) -> Iterator[bytes]:
    """Merge rankings that lie in a file, each as lines from one offset to another, into one; `top` of 0 for all."""
    if not rankings:
        return
    starts, ends = ((c_int64 * len(rankings))(*offsets) for offsets in zip(*rankings, strict=True))
    merge = _kernel.merge_new(fd, starts, ends, len(rankings), top)
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
    """Have glibc keep what is freed for the next piece of a file.

    Giving each piece back to the system and taking it again, page by page, costs a tenth of the whole time. Other C
    libraries are left as they are.
    """
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (AttributeError, OSError):
            return
        m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
        mallopt(m_mmap_threshold, 1 << 30)
        mallopt(m_trim_threshold, 1 << 30)


def _os_error() -> OSError | MemoryError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number)) if number else MemoryError()
