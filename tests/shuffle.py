"""Hadoop's shuffle of blocks: a model of its reader of raw bytes, of two partitioners, and of its sort.

It shares no code with `job/blocks.py`.
"""

from collections.abc import Iterable, Iterator

Pair = tuple[bytes, bytes]
"""The key and the value of a record."""


def pairs_of(output: bytes) -> Iterator[Pair]:
    """Read what a script prints with `stream.map.output=rawbytes`, to its very end."""
    at = 0

    def read() -> bytes:
        nonlocal at
        size = int.from_bytes(output[at : at + 4], "big", signed=True)
        assert 0 <= size <= len(output) - at - 4
        at += 4 + size
        return output[at - size : at]

    while at < len(output):
        yield read(), read()


def record(key: bytes, value: bytes) -> bytes:
    """Write one record, as `stream.reduce.input=rawbytes` does."""
    return b"".join(len(one).to_bytes(4, "big") + one for one in (key, value))


def partition(key: bytes, reducers: int) -> int:
    """The reducer of these bytes of a key (`WritableComparator.hashBytes`): Java takes them for signed numbers."""
    value = 1
    for byte in key:
        value = 31 * value + (byte - 256 if byte > 127 else byte)
    return (value & 0x7FFF_FFFF) % reducers


def shuffled(outputs: Iterable[bytes], reducers: int, first_bytes: int | None = None) -> list[bytes]:
    """What each reducer gets of the mappers' outputs.

    Keys are divided by all of their bytes (`HashPartitioner`), or only so many first ones (`BinaryPartitioner`).
    """
    of_reducers: list[list[Pair]] = [[] for _ in range(reducers)]
    for output in outputs:
        for key, value in pairs_of(output):
            of_reducers[partition(key[:first_bytes], reducers)].append((key, value))
    return [b"".join(record(*pair) for pair in sorted(pairs, key=lambda one: one[0])) for pairs in of_reducers]
