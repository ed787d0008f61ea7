"""From a stored file to the lines in it: opened, unpacked, and without the wrapping of tools.

This module handles what can go wrong while a file on a disk, in a pipe or in S3 is read.
"""

import errno
import io
import os
import select
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from toptalkers.flowlog.columns import ColumnBatch
from toptalkers.question.query import Query
from toptalkers.records.contents import Archive, Begin, Event, Piece, read_contents
from toptalkers.records.files import STDIN_NAME, InputFile, Problem
from toptalkers.records.packing import HEAD_BYTES, is_packed
from toptalkers.records.source import Source, UnreadableError

READ_BYTES = 1 << 20
"""How much of a stored file is read at a time."""

_PATIENCE_MS = 100
"""How long to wait for an idle pipe before asking `is_stopped` again."""

_PACKED_NAMES = (".gz", ".zst", ".bz2")


def read_events(
    file: InputFile,
    piece_bytes: int,
    on_read: Callable[[int], None] = lambda _: None,
    is_stopped: Callable[[], bool] = lambda: False,
    query: Query | None = None,
) -> Iterator[Event]:
    """Yield the parts of a file: one of its own name, or those of an archive; see `records/contents.py`.

    A piece has at most `piece_bytes`, decompressed. `on_read` is called with the number of stored bytes of each read.
    While a pipe is idle, `is_stopped` is called; reading ends when it returns true. Of a Parquet file, the columns that
    `query` needs are read; without a question, it is a problem.

    Raises:
        UnreadableError: the file is missing, may not be read, ends early, is damaged, or changes while it is read.
            Discard what came before: a file counts whole or not at all.

    """
    try:
        with file.open() as stream:
            seeks = stream.seekable() and file.name != STDIN_NAME
            whole = SeekingReader(stream, file.name, file.size_bytes, on_read, is_stopped) if seeks else None
            on_read = whole.on_read if whole else on_read
            source = Source(_stored(stream, file.name, min(READ_BYTES, piece_bytes), on_read, is_stopped))
            if file.name.endswith(_PACKED_NAMES) and (head := source.peek(HEAD_BYTES)) and not is_packed(head):
                raise UnreadableError(f"named {file.name[file.name.rfind('.') :]}, but not compressed so")
            yield from read_contents(file.name, source, piece_bytes, query, whole=whole)
            if whole:
                whole.end()
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error


def read_parts(events: Iterator[Event]) -> Iterator[tuple[Begin | Problem | Archive, Iterator[Piece]]]:
    """Group events into parts, each with its pieces, which must be read before the next part."""
    waiting: list[Event] = []

    def pieces() -> Iterator[Piece]:
        for event in events:
            if not isinstance(event, (bytes, ColumnBatch)):
                waiting.append(event)
                return
            yield event

    while True:
        event = waiting.pop() if waiting else next(events, None)
        if event is None:
            return
        if isinstance(event, Begin):
            own = pieces()
            yield event, own
            for _ in own:
                pass
        elif not isinstance(event, (bytes, ColumnBatch)):
            yield event, iter(())


class SeekingReader(io.RawIOBase):
    """Reads a stored file at any place, for formats that are not read in order, such as Parquet.

    Attributes:
        is_remote: whether each read takes long, so that few large ones are better.

    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        size_bytes: int,
        on_read: Callable[[int], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        """Take an open file. `on_read` gets no more bytes in all than the file has, however often some are read."""
        self._stream = stream
        self._name = name
        self._left = size_bytes
        self._on_read = on_read
        self._is_stopped = is_stopped
        self._before: os.stat_result | None = None
        self.is_remote = _status(stream) is None
        self._lock = threading.Lock()

    def on_read(self, number: int) -> None:
        """Report bytes as read."""
        with self._lock:
            number = min(number, self._left)
            self._left -= number
        self._on_read(number)

    def end(self) -> None:
        """Check that the file did not change while it was read at any place; report what was not read of it.

        Raises:
            UnreadableError: it did.

        """
        if self._before is not None:
            _check_same(self._stream, self._name, self._before)
        self.on_read(self._left)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._before = self._before or _status(self._stream)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        """Read from the place on."""
        if self._is_stopped():
            raise UnreadableError("stopped")
        try:
            data = self._stream.read(size)
            while 0 < len(data) < size and (more := self._stream.read(size - len(data))):
                data += more  # a system reads at most 2 GiB at a time, and S3 sends a range
        except OSError as error:
            raise _unreadable(error) from error
        self.on_read(len(data))
        return data


def read_pieces(file: InputFile, piece_bytes: int, on_read: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Yield all lines of a file in pieces, cut anywhere; an archive's parts one after the other; see `read_events`.

    Raises:
        UnreadableError: as for `read_events`; or a part of the file is not a flow log.

    """
    for event in read_events(file, piece_bytes, on_read):
        if isinstance(event, Problem):
            raise UnreadableError(event.reason)
        if isinstance(event, bytes):
            yield event


def read_blocks(file: InputFile, block_bytes: int, on_read: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Unpack a file into blocks of whole lines; only the last line of all may lack its line end.

    Carriage returns become line feeds: a blank line is not a record, in any engine. A block has about `block_bytes`,
    decompressed; a longer line ends there.

    Raises:
        UnreadableError: as for `read_pieces`.

    """
    return whole_lines(read_pieces(file, block_bytes, on_read), block_bytes)


def whole_lines(pieces: Iterator[bytes], block_bytes: int) -> Iterator[bytes]:
    """Cut pieces into blocks of whole lines, like those of `read_blocks`."""
    rest = b""
    overlong = False
    for data in pieces:
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if overlong:
            start = data.find(b"\n")
            if start < 0:
                continue
            data = data[start:]
            overlong = False
        end = data.rfind(b"\n")
        if end < 0:
            rest += data
            overlong = len(rest) >= block_bytes
        elif not rest and end == len(data) - 1:
            yield data
        else:
            yield rest + data[: end + 1]
            rest = data[end + 1 :]
    if rest:
        yield rest


def _stored(
    stream: BinaryIO, name: str, read_bytes: int, on_read: Callable[[int], None], is_stopped: Callable[[], bool]
) -> Iterator[bytes]:
    """Read a file's bytes as stored; at the end the file must be the same as at the beginning."""
    before = _status(stream)
    is_file = before is not None and stat.S_ISREG(before.st_mode)
    waits: select.poll | None = None
    if before is not None and not is_file and hasattr(select, "poll"):
        waits = select.poll()
        waits.register(stream.fileno(), select.POLLIN)
    length = 0
    while True:
        while waits is not None and not waits.poll(_PATIENCE_MS):
            if is_stopped():
                raise UnreadableError("stopped")
        data: bytes | None = stream.read(read_bytes)
        if data is None:  # another process took the pipe's bytes
            continue
        if not data:
            break
        length += len(data)
        on_read(len(data))
        yield data
    if is_file:
        _check_same(stream, name, before, length)


def _check_same(stream: BinaryIO, name: str, before: os.stat_result | None, length: int | None = None) -> None:
    """Check that a file is the same as before, and has as many bytes as were read; UnreadableError if not."""
    after = _status(stream)
    if before is None or after is None:
        return
    is_another = not after.st_nlink and Path(name).exists()  # another file was put in its place
    is_written = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
    if is_another or is_written or (length is not None and before.st_size and length != before.st_size):
        raise UnreadableError("it changed while it was read; read it again when nothing writes to it")


def _unreadable(error: OSError | ValueError) -> Exception:
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return MemoryError()
    return UnreadableError((isinstance(error, OSError) and error.strerror) or str(error))


def _status(stream: BinaryIO) -> os.stat_result | None:
    """The status of an open file; None when it is not a file of the operating system."""
    try:
        return os.fstat(stream.fileno())
    except (OSError, AttributeError):
        return None
