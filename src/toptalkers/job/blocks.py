"""Blocks: many lines that Hadoop moves and sorts as one record. The scripts of the steps import this.

Hadoop takes some microseconds for each record of a shuffle, several times what adding up or sorting a line costs. So
mappers and reducers hand over blocks (`rawbytes` in `stream.map.output` and `stream.reduce.input`), big-endian:

    int32 n | n bytes, the key | int32 m | m bytes, the value: whole lines

Hadoop sorts blocks by the bytes of their keys. What keys are, is said where blocks are made.

For Python 3.9 and only its standard library.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple
from zlib import crc32

BLOCK_BYTES = 64 << 10
"""About how many bytes of lines a block has: Hadoop's cost of a record is then that of a few lines."""

GROUPED_BYTES = 8 << 20
"""How many bytes of lines are divided into parts together."""

MOST_BYTES = 16 << 20
"""No key and no value is as long as this. What is no block would often be one of gigabytes."""

MOST_PARTS = 1 << 20
"""Each has room of its own while lines are divided."""

LENGTH = struct.Struct(">i")
PART = struct.Struct(">I")


class BadBlocksError(Exception):
    """The input is not made of blocks, or not of those that a script takes."""


class BadLineError(Exception):
    """A line is not one of a key and its sums, or a sum is too large."""


class Block(NamedTuple):
    """A record of the shuffle."""

    key: bytes
    lines: bytes


def format_block(key: bytes, lines: bytes) -> bytes:
    """Write a block."""
    return b"%b%b%b%b" % (LENGTH.pack(len(key)), key, LENGTH.pack(len(lines)), lines)


def parse_blocks(stream: BinaryIO) -> Iterator[Block]:
    """Read blocks to the end of a stream; BadBlocksError if there is anything else, or the last one is not whole."""

    def read(size: int) -> bytes:
        found = stream.read(size)
        if len(found) < size:
            raise BadBlocksError("the input ends within a block")
        return found

    while head := stream.read(LENGTH.size):
        key_bytes = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else -1
        if not 0 <= key_bytes <= MOST_BYTES:
            raise BadBlocksError("the input is not made of blocks: stream.reduce.input=rawbytes is missing")
        key = read(key_bytes)
        (size,) = LENGTH.unpack(read(LENGTH.size))
        if not 0 <= size <= MOST_BYTES:
            raise BadBlocksError("the input is not made of blocks")
        yield Block(key, read(size))


def part_of(key: bytes, parts: int) -> int:
    """To which part a key belongs, wherever it is counted. `kernel/blocks.c` has the same rule."""
    return crc32(key) % parts


def divide_lines(lines: Iterable[bytes], sums: int, parts: int) -> Iterator[bytes]:
    """Divide the lines of a counter into blocks, whose keys are the numbers of their parts.

    Args:
        lines: `<key>` TAB `<sum>` TAB `<sum>` ..., each with its line feed.
        sums: how many sums a line has.
        parts: how many parts there are.

    """
    groups: dict[int, list[bytes]] = {}
    held = 0
    for line in lines:
        groups.setdefault(part_of(line.rsplit(b"\t", sums)[0], parts), []).append(line)
        held += len(line)
        if held >= GROUPED_BYTES:
            yield from _blocks_of(groups)
            groups, held = {}, 0
    yield from _blocks_of(groups)


def _blocks_of(groups: dict[int, list[bytes]]) -> Iterator[bytes]:
    for part, lines in groups.items():
        for some in join_lines(lines):
            yield format_block(PART.pack(part), some)


def join_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines to pieces of about BLOCK_BYTES, in their order."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
