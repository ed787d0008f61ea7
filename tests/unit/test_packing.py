"""Compressed data on this machine: cut anywhere, and judged as the mapper on a cluster judges it."""

import gzip
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.job import count_files
from toptalkers.records.packing import unpacked
from toptalkers.records.source import Source, UnreadableError

LINES = b"2 123456789012 eni-0a 192.0.2.1 198.51.100.1 40000 443 6 1 40 1793491200 1793491260 ACCEPT OK\n" * 3
CHECKED, EXTRA, NAME, COMMENT = 2, 4, 8, 16
"""The flags of a gzip header's optional parts (RFC 1952)."""


def member(flags: int, text: bytes = b"flows.log") -> bytes:
    """A gzip member whose header has the parts that the flags tell."""
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    head += struct.pack("<H", len(text)) + text if flags & EXTRA else b""
    head += (text + b"\0") * (bool(flags & NAME) + bool(flags & COMMENT))
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & CHECKED else b""
    return head + zlib.compress(LINES, wbits=-15) + struct.pack("<II", zlib.crc32(LINES), len(LINES))


def read_here(stored: bytes, cuts: list[int]) -> bytes | None:
    """What `run-local` unpacks of data that comes in pieces; None if it is damaged."""
    ends = sorted({0, len(stored), *(cut % (len(stored) + 1) for cut in cuts)})
    try:
        return b"".join(unpacked(Source(iter([stored[a:b] for a, b in pairwise(ends)])), 1 << 18))
    except UnreadableError:
        return None


def read_on_a_node(stored: bytes) -> bytes | None:
    """What the mapper unpacks; None if it is damaged."""
    pieces: Iterator[bytes | None] = iter([stored, None])
    try:
        return b"".join(count_files.unpacked(count_files.StoredFile(pieces), b""))
    except count_files.UnreadableError:
        return None


@given(
    st.lists(st.integers(0, 31), min_size=1, max_size=3),
    st.lists(st.integers(0, 999), max_size=5) | st.just([*range(999)]),
)
def test_gzip_headers_may_be_cut_anywhere(flags: list[int], cuts: list[int]) -> None:
    """Members with any optional parts in their headers are read whole, in whatever pieces they come."""
    stored = b"".join(map(member, flags))
    assert read_here(stored, cuts) == read_on_a_node(stored) == LINES * len(flags)


@pytest.mark.parametrize("flag", [0x20, 0x40, 0x80])
def test_unknown_flags_are_damage(flag: int) -> None:
    """A header with a flag that RFC 1952 reserves is refused here as on a node."""
    assert read_here(member(flag), []) is read_on_a_node(member(flag)) is None


@pytest.mark.parametrize("zeros", [1, 40])
@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("cuts", [(), (0,), (-1,), (40,), (0, 40)], ids=str)
def test_nothing_follows_padding(zeros: int, goes_on: bool, cuts: tuple[int, ...]) -> None:
    """Zeros may end the data; a member behind them is damage, wherever the pieces end."""
    packed = gzip.compress(LINES)
    stored = packed + bytes(zeros) + (packed if goes_on else b"")
    assert (
        read_here(stored, [len(packed) + cut for cut in cuts]) == read_on_a_node(stored) == (None if goes_on else LINES)
    )


def test_a_header_without_an_end_is_damage() -> None:
    """A name of many megabytes is not kept in memory to look for its end."""
    assert (
        read_here(b"\x1f\x8b\x08" + bytes([NAME]) + bytes(6) + b"x" * (3 << 20), [*range(0, 3 << 20, 1 << 16)]) is None
    )
