"""The answer of a job: its part files, in S3 or on this machine, merged in the answer's order.

Memory holds only a little of each part, so an answer may be of any size.
"""

import gzip
import heapq
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any, cast

from isal.igzip import IGzipFile
from isal.igzip_lib import IsalError

from toptalkers.aws.failures import explained
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError
from toptalkers.question.key import LONGEST_TEXT_BYTES, MOST_COLUMNS
from toptalkers.question.lines import Lines
from toptalkers.question.query import Query

LINES_PER_CHUNK = 10_000

READ_BYTES = 1 << 20

SUCCESS = "_SUCCESS"
"""Hadoop's FileOutputCommitter writes this last. Without it an answer is not complete."""

LONGEST_LINE_BYTES = (MOST_COLUMNS + 1) * (LONGEST_TEXT_BYTES + 1)
"""More than the longest line of an answer: a column more is more than all sums have."""

_PART = re.compile(r"part-([0-9]{5,9})(?:\.gz)?")

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_ERROR = cast("type[Exception]", IsalError)  # its type stub does not say that it is a class

_AGAIN = "somebody deleted it, or is copying; 'toptalkers run-emr' asks again"

Ranked = tuple[int, bytes]
"""The negative of a line's sum, and the line: these sort in the order of an answer."""

_DEFAULT = Query().lines


def fetch_answer(
    storage: StorageGateway, bucket: str, prefix: str, *, top: int = 0, lines: Lines = _DEFAULT
) -> Iterator[bytes]:
    """Read the first `top` lines (0 for all) of an answer from S3, in chunks.

    `prefix` is the folder of the last step, ending in `/`; `lines` are the lines of the question.

    Raises:
        ToptalkersError: the answer is not complete; or, while it is read, a part has a wrong line.

    """
    return _fetched(storage, bucket, find_parts(storage, bucket, prefix), top, lines)


def fetch_in_any_order(storage: StorageGateway, bucket: str, prefix: str, lines: Lines) -> Iterator[bytes]:
    """Read all lines of an answer from S3 in chunks, one part after the other: for sums, which need no order.

    It is faster than `fetch_answer`, because it checks only the form of lines. Arguments and errors are the same.
    """
    return _fetched_in_any_order(storage, bucket, find_parts(storage, bucket, prefix), lines)


def _fetched_in_any_order(storage: StorageGateway, bucket: str, keys: Iterable[str], lines: Lines) -> Iterator[bytes]:
    with explained("s3"):
        for key in keys:
            with storage.get(bucket, key) as body:
                yield from read_whole_lines(body, f"s3://{bucket}/{key}", lines)


def read_whole_lines(body: IO[bytes], name: str, lines: Lines) -> Iterator[bytes]:
    """Read one part file, plain or gzip, as chunks of whole lines that have the form of `lines`.

    Raises:
        ToptalkersError: it ends early, or has a wrong line; the error calls it by `name`.

    """
    rest = b""
    try:
        for block in _blocks(body):
            text, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                text += newline
                lines.check(text)
                yield text
            elif len(rest) > LONGEST_LINE_BYTES:
                break
    except ValueError as error:
        raise ToptalkersError(f"{name}: {error}") from None
    except (EOFError, gzip.BadGzipFile, _GZIP_ERROR) as error:
        raise ToptalkersError(f"{name}: cannot be unpacked: {error}") from error
    if rest:
        what = "ends in the middle of a line" if len(rest) <= LONGEST_LINE_BYTES else "has a line that is too long"
        raise ToptalkersError(f"{name}: {what}: {rest[:100]!r}")


def _fetched(storage: StorageGateway, bucket: str, keys: Iterable[str], top: int, lines: Lines) -> Iterator[bytes]:
    with explained("s3"):
        yield from merge_parts(((f"s3://{bucket}/{key}", storage.get(bucket, key)) for key in keys), top, lines)


def merge_parts(parts: Iterable[tuple[str, IO[bytes]]], top: int, lines: Lines = _DEFAULT) -> Iterator[bytes]:
    """Merge part files in the order of an answer, and close them. Yields the first `top` lines (0 for all) in chunks.

    Each part has a name for errors, and is plain or gzip. Errors are those of `read_part`.
    """
    with ExitStack() as stack:
        yield from first_lines([read_part(stack.enter_context(body), name, lines) for name, body in parts], top)


def first_lines(parts: Sequence[Iterable[Ranked]], top: int) -> Iterator[bytes]:
    """Merge the checked lines of parts. Yields the first `top` lines (0 for all) in chunks."""
    lines = iter(parts[0] if len(parts) == 1 else heapq.merge(*parts))
    rest = islice(lines, min(top, sys.maxsize)) if top else lines
    while chunk := b"".join(line for _, line in islice(rest, LINES_PER_CHUNK)):
        yield chunk


def find_parts(storage: StorageGateway, bucket: str, prefix: str) -> list[str]:
    """Find the keys of an answer's part files, in the order of their numbers.

    Every reducer writes one part, numbered from 0, and a compressed part without lines still has 20 bytes. So a part
    that is missing or empty was lost.

    Raises:
        ToptalkersError: the job did not finish, or some parts are missing.

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


def read_part(body: IO[bytes], name: str, lines: Lines = _DEFAULT) -> Iterator[Ranked]:
    """Read and check the lines of one part file, plain or gzip, which errors call by `name`.

    Raises:
        ToptalkersError: it ends early, or has a wrong line, or its lines are not in order.

    """
    try:
        yield from check_lines(_blocks(body), name, lines)
    except (EOFError, gzip.BadGzipFile, _GZIP_ERROR) as error:
        raise ToptalkersError(f"{name}: cannot be unpacked: {error}") from error


def check_lines(blocks: Iterable[bytes], name: str, lines: Lines = _DEFAULT) -> Iterator[Ranked]:
    """Check the lines of one part in blocks that may be cut anywhere; errors as in `read_part`."""
    last: Ranked | None = None
    for number, line in enumerate(_lines(blocks, name), 1):
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


def _blocks(body: IO[bytes]) -> Iterator[bytes]:
    """The decompressed content of a part file. Its first bytes tell the compression, as its name may have changed."""
    with io.BufferedReader(_Raw(body), READ_BYTES) as buffered:
        if not buffered.peek(2).startswith(_GZIP_MAGIC):
            while block := buffered.read(READ_BYTES):
                yield block
            return
        with cast("Any", IGzipFile)(fileobj=buffered) as unpacked:
            while block := unpacked.read(READ_BYTES):
                yield block


class _Raw(io.RawIOBase):
    """Makes a stream for `io` of botocore's body, which has little more than `read`."""

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
        # Checked before more is read: a compressed part of a few megabytes may hold a line larger than memory.
        if len(rest) > LONGEST_LINE_BYTES:
            raise ToptalkersError(
                f"{name}: line {number + 1:,} is longer than {LONGEST_LINE_BYTES:,} bytes: {rest[:100]!r}"
            )
    if rest:
        yield rest
