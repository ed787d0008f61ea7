"""Decompress gzip, Zstandard, bzip2 and xz, recognized by their first bytes, not by a file name.

gzip is decompressed with ISA-L, several times faster than zlib, and outside the interpreter's lock.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple, Protocol, cast

from isal.igzip_lib import DECOMP_GZIP, IgzipDecompressor, IsalError

from toptalkers.records.source import Source, UnreadableError

MOST_LAYERS = 4
"""How many times data may be compressed: Firehose compresses what CloudWatch Logs compressed; more is a trap."""

HEAD_BYTES = 10
"""How many first bytes identify a compression."""

_XZ_MEMORY_BYTES = 256 << 20
_LONGEST_HEADER_BYTES = 1 << 20
"""More than a gzip header has, unless it is a trap."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BZIP2_MAGIC = b"BZh"
_XZ_MAGIC = b"\xfd7zXZ\0"
_GZIP_ERROR = cast("type[Exception]", IsalError)  # its type stub does not say that it is a class


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Packing(NamedTuple):
    """A compression: how a member begins, its decompressor, and the error that this raises for damaged data."""

    magic: bytes
    new_member: Callable[[], _Decompressor]
    damage: type[Exception]


def unpacked(source: Source, piece_bytes: int) -> Source:
    """Decompress data into pieces of at most `piece_bytes`, as often as it was compressed; other data is unchanged.

    Raises:
        UnreadableError: it is compressed too many times; or, during the iteration, it ends early or is damaged.

    """
    for _ in range(MOST_LAYERS):
        packing = _packing(source.peek(HEAD_BYTES))
        if packing is None:
            return source
        source = Source(_members(packing, iter(source), piece_bytes))
    if _packing(source.peek(HEAD_BYTES)) is not None:
        raise UnreadableError(f"compressed more than {MOST_LAYERS} times over")
    return source


def is_packed(head: bytes) -> bool:
    """Whether data that begins like this is compressed in a known way."""
    return _packing(head) is not None


def holds_packed(lines: bytes) -> bool:
    """Whether compressed data, or a zip, begins somewhere among lines; `tells_misfit` of the mapper checks the same."""
    return any(magic in lines for magic in (b"\x1f\x8b\x08", _ZSTD_MAGIC, _XZ_MAGIC[:4], b"1AY&SY", b"PK\3\4"))


def _packing(head: bytes) -> _Packing | None:
    if head.startswith(_GZIP_MAGIC):
        return _Packing(_GZIP_MAGIC, lambda: IgzipDecompressor(flag=DECOMP_GZIP), _GZIP_ERROR)
    if head.startswith(_ZSTD_MAGIC) or _is_skippable(head):
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        return _Packing(_ZSTD_MAGIC, zstd.ZstdDecompressor, zstd.ZstdError)
    if head.startswith(_BZIP2_MAGIC) and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        import bz2

        return _Packing(_BZIP2_MAGIC, bz2.BZ2Decompressor, OSError)
    if head.startswith(_XZ_MAGIC):
        import lzma

        def new_member() -> _Decompressor:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY_BYTES)

        return _Packing(_XZ_MAGIC, new_member, lzma.LZMAError)
    return None


def _is_skippable(head: bytes) -> bool:
    """Whether a Zstandard frame without data begins here; pzstd writes one before each of its frames."""
    return 0x50 <= head[0] <= 0x5F and head[1:4] == b"\x2a\x4d\x18" if len(head) >= 4 else False


def _members(packing: _Packing, pieces: Iterator[bytes], piece_bytes: int) -> Iterator[bytes]:
    cut_off = "ends early: cut off, or still being written"
    data = b""

    def fill(size: int) -> bool:
        nonlocal data
        while len(data) < size and (more := next(pieces, b"")):
            data += more
        return len(data) >= size

    fill(HEAD_BYTES)
    while data:
        if packing.magic == _ZSTD_MAGIC and _is_skippable(data):
            size = 8 + int.from_bytes(data[4:8], "little") if fill(8) else 8
            while size > len(data):
                size -= len(data)
                data = next(pieces, b"")
                if not data:
                    raise UnreadableError(cut_off)
            data = data[size:]
            fill(HEAD_BYTES)
            continue
        if not data.startswith(packing.magic[: len(data)]):
            raise UnreadableError("damaged: more data after its end")
        if packing.magic == _GZIP_MAGIC:
            # ISA-L calls a header of several parts damaged if it comes in pieces.
            while not _has_gzip_header(data) and len(data) < _LONGEST_HEADER_BYTES and fill(len(data) + 1):
                pass
            if any(flags & 0xE0 for flags in data[3:4]):  # zlib, and so a cluster, refuses them as well
                raise UnreadableError("damaged: unknown flags in its header")
        member = packing.new_member()
        while not member.eof:
            try:
                unpacked_data = member.decompress(data, piece_bytes)
            except (packing.damage, EOFError, ValueError) as error:
                raise UnreadableError(f"damaged: {error}") from error
            if unpacked_data:
                yield unpacked_data
            data = b""
            if member.needs_input and not member.eof:
                data = next(pieces, b"")
                if not data:
                    raise UnreadableError(cut_off)
        data = member.unused_data or next(pieces, b"")
        if data.startswith(b"\0"):  # zeros may pad the last block, as on tapes and in tar files
            if any(piece.strip(b"\0") for piece in chain((data,), pieces)):
                raise UnreadableError("damaged: more data after its end")
            return
        fill(HEAD_BYTES)


def _has_gzip_header(data: bytes) -> bool:
    """Whether data begins with a whole gzip header (RFC 1952)."""
    end = 10
    flags = data[3] if len(data) >= end else 0
    if flags & 4:
        end = 12 + int.from_bytes(data[10:12], "little")
    for text in (8, 16):
        if flags & text:
            end = data.find(b"\0", end) + 1 or len(data) + 1
    return end + (flags & 2) <= len(data)
