"""From a stored file to blocks of whole lines: gzip (any number of members), Zstandard, or plain.

gzip is unpacked with ISA-L, several times faster than zlib, and outside of the interpreter's lock.
"""

import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from isal import isal_zlib

from toptalkers.engines.inputs import InputFile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

READ_BYTES = 4 << 20
"""What is read of a stored file at a time."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PARQUET_MAGIC = b"PAR1"


_GZIP_ERROR: type[Exception] = cast("type[Exception]", isal_zlib.error)  # its stub forgets that it is a class


class UnreadableError(Exception):
    """A file that cannot be read to its end; the text says why, one line."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _GzipMember:
    """One gzip member, with the interface that the standard library gives its other decompressors."""

    def __init__(self) -> None:
        self._inner = isal_zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


def read_blocks(file: InputFile, block_bytes: int, on_read: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Unpack a file into blocks of whole lines; only the last line of all may lack its line end.

    Carriage returns have become line feeds (a blank line is no record), as every engine has it.

    Args:
        file: what to read.
        block_bytes: about how large a block is, unpacked. A line that is longer than this ends there.
        on_read: called with the number of stored bytes of each read, for progress.

    Raises:
        UnreadableError: the file is missing, may not be read, ends early, or is damaged. What came before it
            must not be used either: a file counts whole or not at all.

    """
    rest = b""
    overlong = False
    for data in _unpacked(file, block_bytes, on_read):
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


def _unpacked(file: InputFile, block_bytes: int, on_read: Callable[[int], None]) -> Iterator[bytes]:
    try:
        with file.open() as stream:
            head = stream.read(READ_BYTES)
            on_read(len(head))
            if not head:
                raise UnreadableError("empty, 0 bytes")
            if head.startswith(PARQUET_MAGIC):
                raise UnreadableError("a Parquet file; only text flow logs are read")
            new_member = _codec(file.name, head)
            if new_member is None:
                yield head
                while data := stream.read(READ_BYTES):
                    on_read(len(data))
                    yield data
            else:
                yield from _members(new_member, head, stream, block_bytes, on_read)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    except (_GZIP_ERROR, zstd.ZstdError) as error:
        raise UnreadableError(f"damaged: {error}") from error


def _codec(name: str, head: bytes) -> Callable[[], _Decompressor] | None:
    if head.startswith(GZIP_MAGIC):
        return _GzipMember
    if head.startswith(ZSTD_MAGIC):
        return zstd.ZstdDecompressor
    if name.endswith((".gz", ".zst")):
        raise UnreadableError(f"named {name[name.rfind('.') :]}, but not packed so")
    return None


def _members(
    new_member: Callable[[], _Decompressor],
    data: bytes,
    stream: BinaryIO,
    block_bytes: int,
    on_read: Callable[[int], None],
) -> Iterator[bytes]:
    magic = data[:2]
    while data:
        if not data.startswith(magic):
            raise UnreadableError("damaged: more data after its end")
        member = new_member()
        while not member.eof:
            unpacked = member.decompress(data, block_bytes)
            if unpacked:
                yield unpacked
            elif not data and not member.eof:
                raise UnreadableError("ends early: cut off, or still being written")
            data = b""
            if member.needs_input and not member.eof:
                data = stream.read(READ_BYTES)
                on_read(len(data))
        data = member.unused_data
        while not data.strip(b"\0"):  # zeros may fill up the last block, as tar and tapes leave them
            data = stream.read(READ_BYTES)
            on_read(len(data))
            if not data:
                return
