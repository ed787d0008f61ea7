"""An answer comes out of its part files as it went in: any number of them, packed or plain, or not at all."""

import gzip
import io
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from typing import IO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_account import BUCKET, FakeAccount
from toptalkers.errors import ToptalkersError
from toptalkers.results.fetch import fetch_answer, read_part

PREFIX = "runs/20261123T181500Z-4f2a/toptalkers/"


def fetch(parts: list[bytes], *, success: bool = True, top: int = 0) -> bytes:
    """Fetch an answer of these part files."""
    account = FakeAccount()
    for number, part in enumerate(parts):
        suffix = ".gz" if part.startswith(b"\x1f\x8b") else ""
        account.fake_s3.objects[f"{PREFIX}part-{number:05}{suffix}"] = part
    if success:
        account.fake_s3.objects[f"{PREFIX}_SUCCESS"] = b""
    return b"".join(fetch_answer(account.gateways().storage, BUCKET, PREFIX, top=top))


def order(line: bytes) -> tuple[int, bytes]:
    talker, _, value = line.partition(b"\t")
    return -int(value), talker


LINES = st.dictionaries(st.integers(0, 400), st.integers(0, 30), max_size=60).map(
    lambda sums: sorted(
        (b"10.0.0.%d:[2001:db8::%x]:443\t%d\n" % (talker % 250, talker, value) for talker, value in sums.items()),
        key=order,
    )
)


@given(LINES, st.integers(1, 5), st.integers(0, 70), st.booleans())
def test_parts_come_together_in_order(lines: list[bytes], parts: int, top: int, packed: bool) -> None:
    """However the lines lie in parts, each in order, the answer is the same; its first N are the first N."""
    written = [b"".join(lines[at::parts]) for at in range(parts)]
    if packed:
        written = [gzip.compress(part) for part in written[:-1]] + written[-1:]
    assert fetch(written, top=top) == b"".join(lines[:top] if top else lines)


def test_an_empty_answer_is_one() -> None:
    """No lines, in a part of nothing, a packed part of nothing, or no part."""
    assert fetch([]) == fetch([b""]) == fetch([gzip.compress(b"")]) == b""


LINE = b"10.0.0.1:10.0.0.2:443\t7\n"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (b"10.0.0.1:10.0.0.2:443\n", "line 1 is no talker and sum"),
        (LINE + b"<html>\n", "line 2 is no talker and sum"),
        (LINE[:-1], "ends in the middle of line 1"),
        (LINE + b"10.0.0.1:10.0.0.2:80\t8\n", "line 2 is not in the order"),
        (LINE + LINE, "line 2 is not in the order"),
        (gzip.compress(LINE * 1000)[:-12], "cannot be unpacked"),
        (gzip.compress(LINE) + b"junk", "cannot be unpacked"),
    ],
)
def test_what_is_no_answer_is_refused(part: bytes, said: str) -> None:
    """A broken part is named, with the line."""
    with pytest.raises(ToptalkersError, match=said):
        fetch([LINE, part])


def test_without_success_there_is_none() -> None:
    """A job that did not end left parts, but no _SUCCESS."""
    with pytest.raises(ToptalkersError, match="it has no _SUCCESS"):
        fetch([LINE], success=False)


class Endless:
    """An object that goes on as long as it is read, a line at a time, values falling."""

    def __init__(self) -> None:
        self._lines = (b"10.0.0.1:10.0.0.2:443\t%d\n" % (10**12 - number) for number in itertools.count())
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += b"".join(itertools.islice(self._lines, 1000))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def test_an_answer_of_any_size_passes_through() -> None:
    """300,000 lines of an object without an end take no more than some megabytes."""
    lines: Iterator[object] = read_part(cast("IO[bytes]", Endless()), "part-00000")
    tracemalloc.start()
    for _ in itertools.islice(lines, 300_000):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20


def test_packed_by_content_not_by_name() -> None:
    """A part that was unpacked on the way keeps its name."""
    for pack in cast("list[Callable[[bytes], bytes]]", [bytes, gzip.compress]):
        with io.BytesIO(pack(LINE)) as body:
            assert [line for _, line in read_part(body, "part-00000.gz")] == [LINE]
