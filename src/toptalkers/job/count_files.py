#!/usr/bin/env python3
"""Mapper of step 1: whole files of flow logs in, as they are stored; a line with the sum of each key out.

For Python 3.9 and only its standard library. It travels to cluster nodes beside `count_flows.py`, which has the rules
and the form of the lines, `blocks.py`, in whose blocks the lines come with `--parts N`, and `node_kernel.py`, which
counts with the compiled kernel. A node without a kernel for its machine counts by the rules in Python.

Hadoop cuts files at each delimiter, leaves it out, and hands over frames (`stream.map.input=rawbytes`), big-endian:

    int32 8 | int64 offset in the file | int32 n | n bytes: a length as Hadoop writes it, and so many bytes

An offset of 0 begins the next file. The delimiter (`--delimiter`) is a line feed (`LF`) or, if the names of all files
end in `.gz`, two bytes that stand in compressed data every 64 KiB (`KK`). How a file is compressed is told by its first
bytes, as `run-local` does it.

A file counts whole or not at all. One that is damaged, is no flow log or does not fit its layout is left out: named on
standard error by its number and size, and counted as `files_unreadable` or `misfit_files`. Its stored size is added to
one of the counters `left_out_0` to `left_out_7`, so that its name can be found in a listing.

Two things cannot be seen here: a file of 0 bytes, which gives no frame, and a delimiter at the end of a file. The
second is put back where a compressed file is not complete without it.

Exit code 1, with a line that says why: the input is not made of frames; a file was cut into splits; the values add up
to too much; memory or the disk is full.
"""

from __future__ import annotations

import argparse
import bz2
import gc
import lzma
import os
import re
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, NamedTuple, Protocol, TextIO

if TYPE_CHECKING or __name__ != "__main__":
    from toptalkers.job import blocks, count_flows
else:
    # Hadoop's -files are links in the working directory: Python's own first entry is where this one leads to.
    sys.path.insert(0, os.curdir)
    import blocks
    import count_flows

READ_BYTES = 256 << 10
"""How much of the input is read at a time."""

PIECE_BYTES = 256 << 10
"""How much is unpacked and counted at a time: it stays in a core's caches."""

PIPE_BYTES = 1 << 20
"""How much of the input waits in the pipe, so that Hadoop goes on while this script counts: what Linux allows."""

HEAD_BYTES = 512
"""How many first bytes tell what a file is: those of a tar are the most."""

MOST_LAYERS = 4
"""How many times data may be compressed, as for `run-local`."""

XZ_MEMORY_BYTES = 96 << 20
"""What unpacking xz may take: more than any level of xz needs."""

OTHER_BYTES = 160 << 20
"""How much of a map's memory is not for sums: Python, unpacking, and what is read."""

LEAST_BYTES, MOST_BYTES = 64 << 20, 1 << 30
"""The least and the most memory for sums."""

ROW_BYTES, COLUMN_BYTES = 320, 150
"""Measured: the most that a row of Python's tables takes beside its key, and each more sum of it."""

LINES_PER_CHUNK = 1000

SLOTS = 8
"""Files that are left out are told apart by their stored size, modulo this."""

LEFT_OUT = 1 << 40
"""Added to a slot's counter with each stored size, so that the number of files can be told from their bytes."""

HEADER = struct.Struct(">iqi")

LENGTHS = ((128, 1), (257, 2), (65_538, 3), (16_777_219, 4))
"""How long Hadoop's length is in a frame of up to so many bytes; in any longer one it is 5 bytes."""

FRAME_BEGINS = struct.pack(">ih", 8, 0)
FILE_BEGINS = struct.pack(">iq", 8, 0)
SHORT_FRAME = re.compile(FRAME_BEGINS + rb".{6}\0\0(..)(?:[\0-\x7f]|\x8f.|\x8e..)", re.DOTALL)
"""What is before a line of at most 65,532 bytes in its frame. The group: how long the line is, with Hadoop's length."""


class UnreadableError(Exception):
    """A file is left out; the text says why."""


class FileCounter(Protocol):
    """Counts the lines of one file after the other; Python's is below, the kernel's is in `node_kernel.py`."""

    def feed(self, piece: bytes) -> None:
        """Count the next piece of the current file. A line may go on in the piece after it."""

    def end_lines(self) -> bool:
        """Count the file's last line; whether its lines fit their layout."""

    def end_file(self, *, counts: bool) -> None:
        """Keep what the current file counted, or drop it. The next file begins."""

    def held_bytes(self) -> int:
        """How much memory the sums take."""

    def spill(self) -> None:
        """Move all sums, those of the current file too, to a temporary file in the working directory."""

    def take_lines(self) -> Iterator[bytes]:
        """Yield the lines of all files that count, in chunks. Afterwards there are none."""

    def take_blocks(self, parts: int) -> Iterator[bytes]:
        """Yield the same lines, without `LongValueSum:`, in blocks of so many parts. Afterwards there are none."""

    @property
    def tally(self) -> dict[str, int]:
        """The counters of all files that count, as `count_flows.py` reports them."""


# --- frames ---


def stored_pieces(read: Callable[[int], bytes], delimiter: bytes) -> Iterator[bytes | None]:
    """Read frames; yield None where a file begins, and its bytes in pieces, with its delimiters.

    SystemExit with a message if the input is not made of frames, or a file does not come whole.
    """
    has_begun = False
    expected = 0  # the offset of the next frame, if it is of the same file
    rest = b""  # a frame's header that is not read to its end
    left = 0  # how many bytes of a frame are still to come
    while True:
        data = read(READ_BYTES)
        if not data:
            break
        data = rest + data
        size = len(data)
        at = min(left, size)
        left -= at
        parts = [data[:at]]
        may_be_short = delimiter == b"\n"
        while size - at >= HEADER.size:
            key_bytes, offset, length = HEADER.unpack_from(data, at)
            if key_bytes != 8 or length < 1 or offset < 0:
                sys.exit("count_files.py: the input is not made of frames: stream.map.input=rawbytes is missing")
            start = at + HEADER.size + next((width for most, width in LENGTHS if length <= most), 5)
            if start > size:
                break
            if offset == 0:
                if has_begun:
                    yield b"".join(parts)
                    parts = []
                yield None
                has_begun = True
            elif not has_begun or offset not in (expected, expected + 3):  # behind a byte order mark, left out
                sys.exit("count_files.py: a file was cut into splits, and only whole files can be counted")
            else:
                parts.append(delimiter)
            end = at + HEADER.size + length
            expected = offset + (end - start) + len(delimiter)
            parts.append(data[start:end])
            at = min(end, size)
            left = end - at
            if may_be_short:
                lines, at = short_lines(data, at, expected)
                parts.append(lines)
                expected += len(lines)
                may_be_short = bool(lines)
        rest = data[at:]
        if has_begun:
            yield b"".join(parts)
    if rest or left:
        sys.exit("count_files.py: the input ends within a frame")


def short_lines(data: bytes, at: int, offset: int) -> tuple[bytes, int]:
    """Read many short lines of a file at once: a frame after the other takes ten times as long.

    They are those of all frames from `at`, which is behind a frame, to the last of this file that begins in the data.
    `offset` is that of the first. Bytes like those before a line may stand in a line, too. So each frame that is found
    must be as long as it says: since the first is one, the next is one, and so on. If one is not, there are no lines.

    Returns:
        The lines, with a line feed before each, and where that last frame begins.

    """
    next_file = data.find(FILE_BEGINS, at)
    end = data.rfind(FRAME_BEGINS, at, len(data) - HEADER.size if next_file < 0 else next_file)
    if end > at:
        before, *found = SHORT_FRAME.split(data[at:end])
        lengths, lines = found[::2], found[1::2]
        sizes = tuple([size + 1 + (size > 127) + (size > 255) for size in map(len, lines)])
        joined = b"\n".join([b"", *lines])
        is_whole = not before and struct.unpack(f">{len(lengths)}H", b"".join(lengths)) == sizes
        if is_whole and HEADER.unpack_from(data, end)[1] == offset + len(joined):
            return joined, end
    return b"", at


class StoredFile:
    """The stored bytes of one file, in pieces. Iterate to the end before the next file.

    Attributes:
        size_bytes: how many have come, delimiters included.
        is_packed: whether they are compressed, once it is known.
        is_followed: afterwards, whether there is a next file.

    """

    def __init__(self, pieces: Iterator[bytes | None]) -> None:
        """Take what `stored_pieces` yields after a None."""
        self._pieces = pieces
        self.size_bytes = 0
        self.is_packed = False
        self.is_followed = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces that have not come yet."""
        for piece in () if self.is_followed else self._pieces:
            if piece is None:
                self.is_followed = True
                return
            if piece:
                self.size_bytes += len(piece)
                yield piece


# --- what is in a file ---


class Gzip:
    """A member of a gzip file, with the interface of the decompressors of bzip2 and xz."""

    def __init__(self) -> None:
        """Begin a member."""
        self._member = zlib.decompressobj(wbits=31)
        self._tail = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether it is complete, and its checksum is right."""
        return self._member.eof

    @property
    def unused_data(self) -> bytes:
        """What is behind its end."""
        return self._member.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        """Unpack more of it, at most so many bytes."""
        unpacked = self._member.decompress(self._tail + data if self._tail else data, most)
        self._tail = self._member.unconsumed_tail
        self.needs_input = not self._tail and len(unpacked) < most
        return unpacked


class Packing(NamedTuple):
    """A compression: its name, the first bytes of a member, and what unpacks one."""

    name: str
    magic: bytes
    begin: Callable[[], Any]


GZIP = Packing("gzip", b"\x1f\x8b", Gzip)
BZIP2 = Packing("bzip2", b"BZh", bz2.BZ2Decompressor)
XZ = Packing("xz", b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY_BYTES))
ZSTANDARD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")


def packing_of(head: bytes) -> Packing | None:
    """The compression of data that begins like this; UnreadableError for one that a node cannot unpack."""
    if head.startswith(GZIP.magic):
        return GZIP
    if head.startswith(BZIP2.magic) and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return BZIP2
    if head.startswith(XZ.magic):
        return XZ
    if ZSTANDARD.match(head):
        raise UnreadableError("compressed with Zstandard, which a cluster does not read")
    return None


class Source:
    """Bytes in pieces, none of them empty, of which the first can be looked at."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        """Take the pieces."""
        self._pieces = pieces

    def peek(self, size: int) -> bytes:
        """At least so many first bytes, unless there are fewer."""
        head = b""
        while len(head) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            head += piece
        self._pieces = chain((head,) if head else (), self._pieces)
        return head

    def __iter__(self) -> Iterator[bytes]:
        """Yield all pieces."""
        return self._pieces


def unpacked(file: StoredFile, delimiter: bytes) -> Iterator[bytes]:
    """Unpack the lines of a file, as often as it was compressed, into pieces of at most `PIECE_BYTES`.

    UnreadableError, perhaps only in the middle, if the file is damaged or no text.
    """
    ending = delimiter  # which Hadoop leaves out at the end of a file
    source = Source(iter(file))
    for layer in range(MOST_LAYERS + 1):
        packing = packing_of(source.peek(HEAD_BYTES))
        if packing is None:
            if not layer and len(delimiter) > 1:
                raise UnreadableError("named .gz, but not compressed so")
            break
        if layer == MOST_LAYERS:
            raise UnreadableError(f"compressed more than {MOST_LAYERS} times over")
        file.is_packed = True
        source = Source(members(packing, iter(source), ending))
        ending = b""
    what = other_kind(source.peek(HEAD_BYTES))
    if what:
        raise UnreadableError(f"{what}, which a cluster does not read")
    return iter(source)


def members(packing: Packing, pieces: Iterator[bytes], ending: bytes) -> Iterator[bytes]:
    """Unpack all members of compressed data. `ending` may be missing at its end.

    UnreadableError if it ends early or is damaged, or has more than zeros behind its last member.
    """
    data = next(pieces, b"")
    while data:
        while len(data) < len(packing.magic):
            more = next(pieces, b"")
            if not more:
                break
            data += more
        if not data.startswith(packing.magic[: len(data)]):
            raise UnreadableError(f"{packing.name} with more data after its end")
        member = packing.begin()
        is_added = False
        while not member.eof:
            try:
                piece = member.decompress(data, PIECE_BYTES)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                why = "that ends early" if is_added else f"that is damaged ({error})"
                raise UnreadableError(f"{packing.name} {why}") from error
            if piece:
                yield piece
            data = b""
            if member.needs_input and not member.eof:
                data = next(pieces, b"")
                if not data and not is_added:
                    data, is_added = ending, True
                if not data:
                    raise UnreadableError(f"{packing.name} that ends early")
        data = member.unused_data or next(pieces, b"")
        if is_added and data:
            raise UnreadableError(f"{packing.name} that ends early")
        if data.startswith(b"\0"):  # zeros may pad the last block, as on tapes
            if any(piece.strip(b"\0") for piece in chain((data,), pieces)):
                raise UnreadableError(f"{packing.name} with more data after its end")
            return


OTHER_KINDS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("Parquet", (b"PAR1", b"PARE")),
    ("a zip archive", (b"PK\3\4", b"PK\5\6")),
    ("UTF-16", (b"\xff\xfe", b"\xfe\xff")),
    ("another archive", (
        b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"MSCF\0\0\0\0", b"xar!", b"!<arch>\n", b"070701", b"070702", b"070707",
        b"\xc7\x71", b"\xed\xab\xee\xdb", b"hsqs",
    )),
    ("another compression", (
        b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18", b"\xff\x06\0\0sNaPpY", b"\x82SNAPPY\0", b"LZIP", b"\x89LZO\0",
        b"]\0\0", b"\x1f\x9d", b"\x1f\xa0", b"\x1f\x1e", b"\xce\xb2\xcf\x81",
    )),
    ("encrypted data", (b"-----BEGIN PGP", b"age-encryption.org/", b"Salted__")),
    ("a document, a program or a capture", (
        b"ORC", b"Obj\x01", b"SEQ\x06", b"RCF\x01", b"ARROW1", b"\x89HDF\r\n\x1a\n", b"SQLite format 3\0",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1",
        b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a", b"%PDF-", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"\x7fELF",
        b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ\x90\0",
    )),
    ("markup", (b"<?xml", b"<!doctype html", b"<html")),
)  # fmt: skip
"""The first bytes of files that are no flow logs, or that only `run-local` reads: `records/kinds.py` has the words."""

OTHER_KIND = re.compile(
    b"(?![0-9]+ )(?:" + b"|".join(b"(%b)" % b"|".join(map(re.escape, magics)) for _, magics in OTHER_KINDS) + b")"
)
"""Their beginnings, but never a line that begins with a number, like an account's."""

JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*(?:[\[{\]"]|[\d.]+\s*,))')
"""The beginning of JSON, as `records/wrapping.py` tells it."""

TAR_SUM = re.compile(rb"[ \0]*([0-7]{1,7})[ \0]+")


def other_kind(head: bytes) -> str:
    """What a file is that begins like this, if it is no text that may have flow records; else an empty text."""
    found = OTHER_KIND.match(head) or OTHER_KIND.match(head.lstrip().lower())
    if found and found.lastindex:
        return OTHER_KINDS[found.lastindex - 1][0]
    if JSON.match(head):
        return "JSON"
    return "a tar archive" if is_tar(head) else ""


def is_tar(head: bytes) -> bool:
    """Whether data that begins like this is a tar archive, in an old or a new format."""
    if len(head) < HEAD_BYTES or b"\0" not in head[:HEAD_BYTES]:
        return False
    stored = TAR_SUM.fullmatch(head[148:156])
    return head[257:262] == b"ustar" or (
        stored is not None and bool(head[0]) and int(stored[1], 8) == sum(head[:148]) + 256 + sum(head[156:HEAD_BYTES])
    )


# --- counting ---


class PythonCounter:
    """Counts by the rules of `count_flows.py`; see `FileCounter`. A file's sums are kept apart until it ends."""

    def __init__(self, question: argparse.Namespace) -> None:
        """Take the question, as `count_flows.parse_arguments` returns it."""
        self._file = count_flows.FlowCounter(question)
        self._metrics = self._file.metrics
        self._totals = dict.fromkeys(self._metrics, 0)
        self._records_read = self._counted = 0
        self._skipped = dict.fromkeys(count_flows.REASONS, 0)
        self._spilled: list[BinaryIO] = []
        self._file_spilled: list[BinaryIO] = []
        self._clear()

    def _clear(self) -> None:
        self._tables: list[Counter[bytes]] = [Counter() for _ in self._metrics]
        self._keys = KeyBytes()
        self._file_keys = KeyBytes()

    def feed(self, piece: bytes) -> None:
        """Count the next piece of the current file."""
        self._file.feed(piece)

    def end_lines(self) -> bool:
        """Count the file's last line; whether its lines fit their layout."""
        self._file.end_lines()
        self._file.end_file()
        return not self._file.misfit_files

    def end_file(self, *, counts: bool) -> None:
        """Keep what the current file counted, or drop it."""
        of_file = self._file
        if counts:
            self._records_read += of_file.records_read
            self._counted += of_file.counted
            for reason, number in of_file.skipped.items():
                self._skipped[reason] += number
            for metric, table, more in zip(self._metrics, self._tables, of_file.tables):
                self._totals[metric] += of_file.totals[metric]
                add_up(metric, table, more)
            self._spilled += self._file_spilled
        else:
            for file in self._file_spilled:
                file.close()
        self._file_spilled = []
        self._file_keys = KeyBytes()
        of_file.forget()
        of_file.begin_tally()

    def held_bytes(self) -> int:
        """How much memory the sums take."""
        of_row = ROW_BYTES + COLUMN_BYTES * (len(self._metrics) - 1)
        rows = len(self._tables[0]) + len(self._file.sums)
        return of_row * rows + self._keys.of(self._tables[0]) + self._file_keys.of(self._file.sums)

    def spill(self) -> None:
        """Move all sums to temporary files in the working directory, as lines."""
        self._spilled.append(self._written(self._tables))
        self._file_spilled.append(self._written(self._file.tables))
        self._file.clear()
        self._clear()

    def _written(self, tables: list[Counter[bytes]]) -> BinaryIO:
        file = tempfile.TemporaryFile(dir=os.curdir)  # noqa: SIM115 - until its lines are taken
        file.writelines(count_flows.printed(self._file, tables))
        file.seek(0)
        return file

    def take_lines(self) -> Iterator[bytes]:
        """Yield the lines of all files that count, in chunks. Afterwards there are none."""
        lines = self._taken()
        while some := b"".join(islice(lines, LINES_PER_CHUNK)):
            yield some

    def take_blocks(self, parts: int) -> Iterator[bytes]:
        """Yield the same lines, without `LongValueSum:`, in blocks of so many parts. Afterwards there are none."""
        lines = self._taken()
        if count_flows.is_long_value_sum(self._metrics):
            skipped = len(count_flows.PREFIX)
            lines = (line[skipped:] for line in lines)
        return blocks.divide_lines(lines, len(self._metrics), parts)

    def _taken(self) -> Iterator[bytes]:
        while self._spilled:
            with self._spilled.pop() as file:
                yield from file
        yield from count_flows.printed(self._file, self._tables)
        self._clear()

    @property
    def tally(self) -> dict[str, int]:
        """The counters of all files that count; SystemExit with a message if the values add up to too much."""
        return count_flows.counters_of(self._records_read, self._counted, self._skipped, self._totals)


class KeyBytes:
    """How many bytes the keys of a growing table have. Each is measured once."""

    def __init__(self) -> None:
        """Begin with an empty table."""
        self._measured = self._bytes = 0

    def of(self, table: Counter[bytes]) -> int:
        """The bytes of all keys of the table."""
        self._bytes += sum(map(len, islice(reversed(table), len(table) - self._measured)))
        self._measured = len(table)
        return self._bytes


def add_up(metric: bytes, table: Counter[bytes], more: Counter[bytes]) -> None:
    """Add the sums of one table to another."""
    if metric not in count_flows.TIME_METRICS:
        table.update(more)
        return
    keep = min if metric == b"first" else max
    for key, value in more.items():
        table[key] = keep(table.get(key, value), value)


class Form(NamedTuple):
    """What comes in and what goes out: what divides frames, and in how many parts of blocks, or 0 for lines."""

    delimiter: bytes
    parts: int = 0


class Mapper:
    """Counts the files of one map, and keeps account of those that are left out."""

    def __init__(self, counter: FileCounter, form: Form, bound: int, stdout: BinaryIO, stderr: TextIO) -> None:
        """Take the counter, the form of input and output, and how much memory sums may take."""
        self._counter = counter
        self._delimiter = form.delimiter
        self._parts = form.parts
        self._bound = bound
        self._stdout = stdout
        self._stderr = stderr
        self._files = 0
        self.tally: Counter[str] = Counter()

    def count_all(self, pieces: Iterator[bytes | None]) -> None:
        """Count all files of `stored_pieces`, and print the sums."""
        more = next(pieces, b"") is None
        while more:
            file = StoredFile(pieces)
            self._count(file)
            more = file.is_followed
            if self._counter.held_bytes() >= self._bound:
                self.print_lines()
        self.print_lines()

    def print_lines(self) -> None:
        """Print the sums of all files that count."""
        counter = self._counter
        self._stdout.writelines(counter.take_blocks(self._parts) if self._parts else counter.take_lines())

    def _count(self, file: StoredFile) -> None:
        self._files += 1
        counter = self._counter
        why = ""
        try:
            for piece in unpacked(file, self._delimiter):
                counter.feed(piece)
                if counter.held_bytes() >= self._bound:
                    counter.spill()
        except UnreadableError as error:
            why = str(error)
        fits = counter.end_lines()
        counter.end_file(counts=fits and not why)
        for _ in file:  # what is behind the damage
            pass
        if fits and not why:
            self.tally["files_read"] += 1
            return
        self.tally["files_unreadable" if why else "misfit_files"] += 1
        size = file.size_bytes + (0 if file.is_packed or len(self._delimiter) > 1 else 1)  # the last line feed
        self.tally[f"left_out_{size % SLOTS}"] += LEFT_OUT + size
        self._stderr.write(
            f"count_files.py: file {self._files:,} of this map, {size:,} bytes:"
            f" {why or 'its lines do not fit their layout'}; left out\n"
        )


def memory_bound(environ: Mapping[str, str]) -> int:
    """How much memory sums may take in a map's container, from the job's settings as Hadoop Streaming passes them."""
    try:
        memory = int(environ.get("mapreduce_map_memory_mb", "")) << 20
    except ValueError:
        memory = 0
    if memory <= 0:
        return LEAST_BYTES
    heaps = re.findall(r"-Xmx([0-9]+)([kKmMgG]?)", environ.get("mapreduce_map_java_opts", ""))
    if heaps:
        number, unit = heaps[-1]
        heap = int(number) << {"": 0, "k": 10, "m": 20, "g": 30}[unit.lower()]
    else:
        heap = memory * 4 // 5  # mapreduce.job.heap.memory-mb.ratio
    return max(LEAST_BYTES, min(MOST_BYTES, memory - heap - OTHER_BYTES))


def choose_counter(question: argparse.Namespace) -> tuple[FileCounter, str]:
    """The kernel's counter, or else Python's, and why."""
    try:
        node_kernel: Any = import_module(count_flows.__name__.replace("count_flows", "node_kernel"))
    except ImportError as error:
        return PythonCounter(question), str(error)
    try:
        return node_kernel.KernelCounter(question, node_kernel.load(os.curdir)), ""
    except node_kernel.NoKernelError as error:
        return PythonCounter(question), str(error)


def parse_arguments(arguments: list[str]) -> tuple[Form, argparse.Namespace]:
    """Read the command line: the form, and the question; a wrong value is a usage error, exit code 2."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--delimiter", required=True)
    parser.add_argument("--parts", type=int, default=0)
    own, others = parser.parse_known_args(arguments)
    if not own.delimiter:
        parser.error("--delimiter: it is empty")
    if not 0 <= own.parts <= blocks.MOST_PARTS:
        parser.error(f"--parts: {own.parts} is not from 0 to {blocks.MOST_PARTS}")
    delimiter = b"\n" if own.delimiter == "LF" else own.delimiter.encode()
    return Form(delimiter, own.parts), count_flows.parse_arguments(others)


def main(
    arguments: list[str],
    read: Callable[[int], bytes],
    stdout: BinaryIO,
    stderr: TextIO,
    environ: Mapping[str, str],
) -> None:
    """Run the mapper.

    Args:
        arguments: `--delimiter KK` or `LF`, `--parts N`, and the question's options of `count_flows.py`.
        read: reads at most so many bytes of the frames; no bytes at the end.
        stdout: for the lines, or blocks.
        stderr: for counters, and for a line per file that is left out.
        environ: the job's settings.

    """
    gc.disable()  # nothing here makes cycles, and searching for them takes long
    form, question = parse_arguments(arguments)
    counter, why_python = choose_counter(question)
    if why_python:
        stderr.write(f"count_files.py: counting in Python, about ten times as slow as the kernel: {why_python}\n")
    mapper = Mapper(counter, form, memory_bound(environ), stdout, stderr)
    try:
        mapper.count_all(stored_pieces(read, form.delimiter))
        stdout.flush()
    except MemoryError:
        sys.exit("count_files.py: not enough memory for the sums of a map: raise mapreduce.map.memory.mb")
    except OSError as error:  # the disk is full, or Hadoop has gone
        sys.exit(f"count_files.py: {error.strerror}")
    mapper.tally["maps_by_python" if why_python else "maps_by_kernel"] = 1
    count_flows.report({**counter.tally, **mapper.tally}, stderr)


def widen_pipe(fd: int) -> None:
    """Let more of the input wait, where the system knows how."""
    try:
        import fcntl

        fcntl.fcntl(fd, 1031, PIPE_BYTES)  # F_SETPIPE_SZ, which Python 3.9 does not name
    except (ImportError, OSError):
        pass


if __name__ == "__main__":
    widen_pipe(0)
    main(sys.argv[1:], lambda size: os.read(0, size), sys.stdout.buffer, sys.stderr, os.environ)
