"""From a stored file to what is in it: gzip (any number of members), Zstandard, or plain.

gzip is unpacked with ISA-L, several times faster than zlib, and outside of the interpreter's lock.
"""

import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from isal.igzip_lib import DECOMP_GZIP, IgzipDecompressor, IsalError

from toptalkers.engines.inputs import InputFile

READ_BYTES = 1 << 20
"""What is read of a stored file at a time, at the most."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PARQUET_MAGIC = b"PAR1"


_GZIP_ERROR = cast("type[Exception]", IsalError)  # its stub forgets that it is a class


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


def read_pieces(file: InputFile, piece_bytes: int, on_read: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Unpack a file into pieces, cut anywhere.

    Args:
        file: what to read.
        piece_bytes: how large a piece is, unpacked, at the most.
        on_read: called with the number of stored bytes of each read, for progress.

    Raises:
        UnreadableError: the file is missing, may not be read, ends early, or is damaged. What came before it
            must not be used either: a file counts whole or not at all.

    """
    read_bytes = min(READ_BYTES, piece_bytes)
    damage = _GZIP_ERROR
    try:
        with file.open() as stream:
            head = stream.read(read_bytes)
            while 0 < len(head) < len(ZSTD_MAGIC) and (more := stream.read(read_bytes)):
                head += more
            on_read(len(head))
            if not head:
                raise UnreadableError("empty, 0 bytes")
            if head.startswith(PARQUET_MAGIC):
                raise UnreadableError("a Parquet file; only text flow logs are read")
            if head.startswith(GZIP_MAGIC):
                yield from _members(lambda: IgzipDecompressor(flag=DECOMP_GZIP), head, stream, piece_bytes, on_read)
            elif head.startswith(ZSTD_MAGIC):
                new_frame, damage = _zstd()
                yield from _members(new_frame, head, stream, piece_bytes, on_read)
            elif file.name.endswith((".gz", ".zst")):
                raise UnreadableError(f"named {file.name[file.name.rfind('.') :]}, but not packed so")
            else:
                yield head
                while data := stream.read(read_bytes):
                    on_read(len(data))
                    yield data
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    except damage as error:
        raise UnreadableError(f"damaged: {error}") from error


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
    for data in read_pieces(file, block_bytes, on_read):
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


def _zstd() -> tuple[Callable[[], _Decompressor], type[Exception]]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor, zstd.ZstdError


def _members(
    new_member: Callable[[], _Decompressor],
    data: bytes,
    stream: BinaryIO,
    piece_bytes: int,
    on_read: Callable[[int], None],
) -> Iterator[bytes]:
    def read() -> bytes:
        more = stream.read(READ_BYTES)
        on_read(len(more))
        return more

    magic = data[:2]
    while data:
        if not data.startswith(magic):
            raise UnreadableError("damaged: more data after its end")
        member = new_member()
        while not member.eof:
            unpacked = member.decompress(data, piece_bytes)
            if unpacked:
                yield unpacked
            data = b""
            if member.needs_input and not member.eof:
                data = read()
                if not data:
                    raise UnreadableError("ends early: cut off, or still being written")
        data = member.unused_data
        while not data.strip(b"\0"):  # zeros may fill up the last block, as tar and tapes leave them
            data = read()
            if not data:
                return
        while len(data) < len(magic) and (more := read()):
            data += more
