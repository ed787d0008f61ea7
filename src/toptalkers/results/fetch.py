"""The answer of a run, out of S3: its part files, any number of them, merged in the answer's order.

Nothing is held but a line of each part, so that an answer of any size passes through.
"""

import gzip
import heapq
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any

from toptalkers.aws.failures import explained
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError
from toptalkers.streaming.port_filter import TALKER_LINE

LINES_PER_CHUNK = 10_000

READ_BYTES = 1 << 20

SUCCESS = "_SUCCESS"
"""What Hadoop's committer writes last (FileOutputCommitter): without it an answer is not whole."""

_GZIP_MAGIC = b"\x1f\x8b"

Ranked = tuple[int, bytes]
"""A line behind the negative of its sum: these compare as lines of the answer do."""


def fetch_answer(storage: StorageGateway, bucket: str, prefix: str, *, top: int = 0) -> Iterator[bytes]:
    """Give the lines of an answer, in chunks, in their order.

    Args:
        storage: S3.
        bucket: where the answer is.
        prefix: the folder that the last step wrote, ending in `/`.
        top: how many lines, 0 for all.

    Raises:
        ToptalkersError: there is no whole answer; or, while it is read, a part holds what is no line of one.

    """
    parts = find_parts(storage, bucket, prefix)
    return _merged(storage, bucket, parts, top)


def find_parts(storage: StorageGateway, bucket: str, prefix: str) -> list[str]:
    """The keys of an answer's part files, in the order of their names.

    Raises:
        ToptalkersError: the job did not finish them.

    """
    keys = [one.key for one in storage.list(bucket, prefix)]
    if prefix + SUCCESS not in keys:
        raise ToptalkersError(f"the answer at s3://{bucket}/{prefix} is not whole: it has no {SUCCESS}")
    return [key for key in keys if key.removeprefix(prefix).startswith("part-")]


def _merged(storage: StorageGateway, bucket: str, parts: list[str], top: int) -> Iterator[bytes]:
    with ExitStack() as stack:
        opened = []
        for key in parts:
            body = stack.enter_context(storage.get(bucket, key))
            opened.append(read_part(body, f"s3://{bucket}/{key}"))
        lines: Iterable[Ranked] = opened[0] if len(opened) == 1 else heapq.merge(*opened)
        rest = islice(lines, top) if top else iter(lines)
        while chunk := b"".join(line for _, line in islice(rest, LINES_PER_CHUNK)):
            yield chunk


def read_part(body: IO[bytes], name: str) -> Iterator[Ranked]:
    """Give the lines of one part file, plain or gzip, each checked, each behind the one before in order.

    Args:
        body: the object as it lies there.
        name: what it is called in an error.

    Raises:
        ToptalkersError: it ends early, or holds what is no line of an answer.

    """
    last: Ranked | None = None
    number = 0
    try:
        for line in _lines(_blocks(body)):
            number += 1
            match = TALKER_LINE.fullmatch(line)
            if match is None:
                raise ToptalkersError(f"{name}: line {number:,} is no talker and sum: {line[:100]!r}")
            if not line.endswith(b"\n"):
                raise ToptalkersError(f"{name}: ends in the middle of line {number:,}")
            ranked = (-int(match[2]), line)
            if last is not None and ranked <= last:
                raise ToptalkersError(f"{name}: line {number:,} is not in the order of an answer: {line[:100]!r}")
            last = ranked
            yield ranked
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ToptalkersError(f"{name}: cannot be unpacked: {error}") from error


def _blocks(body: IO[bytes]) -> Iterator[bytes]:
    """What a part file holds, unpacked when it is packed: by its content, as the name may have been changed."""
    with explained("s3"), io.BufferedReader(_Raw(body), READ_BYTES) as buffered:
        if not buffered.peek(2).startswith(_GZIP_MAGIC):
            while block := buffered.read(READ_BYTES):
                yield block
            return
        with gzip.GzipFile(fileobj=buffered) as unpacked:
            while block := unpacked.read(READ_BYTES):
                yield block


class _Raw(io.RawIOBase):
    """An object's body as io has streams; botocore's can be read, and little else."""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        lines = (rest + block).splitlines(keepends=True)
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        yield from lines
    if rest:
        yield rest
