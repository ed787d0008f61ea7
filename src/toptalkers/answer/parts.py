"""The answer of a run, out of S3: its part files, any number of them, merged in the answer's order.

Nothing is held but a line of each part, so that an answer of any size passes through.
"""

import gzip
import heapq
import io
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any

from toptalkers.aws.failures import explained
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError
from toptalkers.question.key import Lines
from toptalkers.question.query import Query

LINES_PER_CHUNK = 10_000

READ_BYTES = 1 << 20

SUCCESS = "_SUCCESS"
"""What Hadoop's committer writes last (FileOutputCommitter): without it an answer is not whole."""

LONGEST_LINE_BYTES = 1024
"""Far more than the longest line of an answer: two addresses, a port and a sum have about 150 bytes."""

_PART = re.compile(r"part-([0-9]{5,9})(?:\.gz)?")

_GZIP_MAGIC = b"\x1f\x8b"

_AGAIN = "somebody deleted it, or is copying; 'toptalkers run-emr' asks again"

Ranked = tuple[int, bytes]
"""A line behind the negative of its sum: these compare as lines of the answer do."""


_DEFAULT = Query().lines


def fetch_answer(
    storage: StorageGateway, bucket: str, prefix: str, *, top: int = 0, lines: Lines = _DEFAULT
) -> Iterator[bytes]:
    """Give the lines of an answer, in chunks, in their order.

    Args:
        storage: S3.
        bucket: where the answer is.
        prefix: the folder that the last step wrote, ending in `/`.
        top: how many lines, 0 for all.
        lines: the lines of the answer's question.

    Raises:
        ToptalkersError: there is no whole answer; or, while it is read, a part holds what is no line of one.

    """
    parts = find_parts(storage, bucket, prefix)
    return _merged(storage, bucket, parts, top, lines)


def find_parts(storage: StorageGateway, bucket: str, prefix: str) -> list[str]:
    """The keys of an answer's part files, in the order of their names.

    Every reducer writes its part, numbered from 0, and a packed part of no lines still has 20 bytes. So a part that
    is not there, or that is empty, was lost.

    Raises:
        ToptalkersError: the job did not finish them, or they are not all there any more.

    """
    where = f"the answer at s3://{bucket}/{prefix} is not whole"
    found = list(storage.list(bucket, prefix))
    if prefix + SUCCESS not in (one.key for one in found):
        raise ToptalkersError(f"{where}: it has no {SUCCESS}")
    parts: dict[int, str] = {}
    for one in found:
        name = one.key.removeprefix(prefix)
        if not name.startswith("part-"):
            continue
        match = _PART.fullmatch(name)
        if match is None:
            raise ToptalkersError(f"the answer at s3://{bucket}/{prefix} has {name!r}, which is no name of a part")
        if int(match[1]) in parts:
            raise ToptalkersError(f"the answer at s3://{bucket}/{prefix} has the part {int(match[1])} twice")
        if not one.size_bytes:
            raise ToptalkersError(f"{where}: {name} is empty", hint=_AGAIN)
        parts[int(match[1])] = one.key
    for number in range(max(parts, default=0) + 1):
        if number not in parts:
            raise ToptalkersError(f"{where}: the part {number} is gone", hint=_AGAIN)
    return [parts[number] for number in sorted(parts)]


def _merged(storage: StorageGateway, bucket: str, parts: list[str], top: int, lines: Lines) -> Iterator[bytes]:
    with ExitStack() as stack:
        opened = []
        for key in parts:
            body = stack.enter_context(storage.get(bucket, key))
            opened.append(read_part(body, f"s3://{bucket}/{key}", lines))
        ranked: Iterable[Ranked] = opened[0] if len(opened) == 1 else heapq.merge(*opened)
        rest = islice(ranked, min(top, sys.maxsize)) if top else iter(ranked)
        while chunk := b"".join(line for _, line in islice(rest, LINES_PER_CHUNK)):
            yield chunk


def read_part(body: IO[bytes], name: str, lines: Lines = _DEFAULT) -> Iterator[Ranked]:
    """Give the lines of one part file, plain or gzip, each checked, each behind the one before in order.

    Args:
        body: the object as it lies there.
        name: what it is called in an error.
        lines: the lines of the answer's question.

    Raises:
        ToptalkersError: it ends early, or holds what is no line of an answer.

    """
    last: Ranked | None = None
    number = 0
    try:
        for line in _lines(_blocks(body), name):
            number += 1
            try:
                value = lines.rank(line)
            except ValueError:
                raise ToptalkersError(f"{name}: line {number:,} is no talker and sum: {line[:100]!r}") from None
            if not line.endswith(b"\n"):
                raise ToptalkersError(f"{name}: ends in the middle of line {number:,}")
            ranked = (-value, line)
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


def _lines(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    rest = b""
    number = 0
    for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield line + b"\n"
        number += len(lines)
        # Before more is read: a packed part of some megabytes may hold a line that no memory holds.
        if len(rest) > LONGEST_LINE_BYTES:
            raise ToptalkersError(
                f"{name}: line {number + 1:,} is longer than {LONGEST_LINE_BYTES:,} bytes: {rest[:100]!r}"
            )
    if rest:
        yield rest
