"""An answer is read from its part files unchanged: any number of them, compressed or plain, or not at all."""

import gzip
import io
import ipaddress
import itertools
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import IO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_account import BUCKET, FakeAccount
from toptalkers.answer.parts import fetch_answer, read_part
from toptalkers.errors import ToptalkersError

PREFIX = "runs/20261123T181500Z-4f2a/toptalkers/"


def fetch(parts: list[bytes], *, success: bool = True, top: int = 0) -> bytes:
    """Fetch an answer from these part files."""
    account = FakeAccount()
    for number, part in enumerate(parts):
        suffix = ".gz" if part.startswith(b"\x1f\x8b") else ""
        account.fake_s3.objects[f"{PREFIX}part-{number:05}{suffix}"] = part
    if success:
        account.fake_s3.objects[f"{PREFIX}_SUCCESS"] = b""
    return b"".join(fetch_answer(account.open().storage, BUCKET, PREFIX, top=top))


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
    """However the lines are distributed over parts, each in order, the answer is the same; so are its first N."""
    written = [b"".join(lines[at::parts]) for at in range(parts)]
    written = [gzip.compress(part) if packed or not part else part for part in written]
    assert fetch(written, top=top) == b"".join(lines[:top] if top else lines)


def test_an_empty_answer_is_one() -> None:
    """No lines, in compressed empty parts."""
    assert fetch([gzip.compress(b"")]) == fetch([gzip.compress(b"")] * 3) == b""


@given(st.integers(1, 5), st.data())
def test_a_part_that_is_gone_or_empty_is_an_error(number: int, data: st.DataObject) -> None:
    """Any missing part beside _SUCCESS is noticed, except the last of several."""
    account = FakeAccount()
    keys = [f"{PREFIX}part-{at:05}.gz" for at in range(number)]
    account.fake_s3.objects = dict.fromkeys(keys, gzip.compress(LINE)) | {f"{PREFIX}_SUCCESS": b""}
    lost = data.draw(st.sampled_from(keys))
    if data.draw(st.booleans()) or (lost == keys[-1] and number > 1):
        account.fake_s3.objects[lost] = b""
    else:
        del account.fake_s3.objects[lost]
    with pytest.raises(ToptalkersError, match=r"is not whole: .*(is gone|is empty)"):
        fetch_answer(account.open().storage, BUCKET, PREFIX)


@pytest.mark.parametrize(
    ("name", "said"),
    [("part-../../x", "no name of a part"), ("part-x", "no name"), ("part-00000", "part 0 twice")],
)
def test_names_that_no_job_gives(name: str, said: str) -> None:
    """They are neither read nor ignored."""
    account = FakeAccount()
    account.fake_s3.objects = {f"{PREFIX}{one}": gzip.compress(LINE) for one in ("_SUCCESS", "part-00000.gz", name)}
    with pytest.raises(ToptalkersError, match=said):
        fetch_answer(account.open().storage, BUCKET, PREFIX)


ODD_BITS = ["10.0.0.1", "[::1]", "[::::]", "999.0.0.1", "1.2.3", ":", "443", "999.1", "70000", "0443", "\t", "-7", "7"]
ODD_LINES = st.lists(st.sampled_from([*ODD_BITS, "9" * 38, "9" * 5000, "\r", " ", "\x1b", "é"]), max_size=9).map(
    "".join
)
NEARLY = st.tuples(*[st.sampled_from(ODD_BITS)] * 3, st.sampled_from(["7", "07", "", "-7", "9" * 38, "9" * 39])).map(
    lambda bits: f"{bits[0]}:{bits[1]}:{bits[2]}\t{bits[3]}"
)


def is_talker(text: str) -> bool:
    """Whether a text is two addresses and a port, by the standard library; it may raise ValueError."""
    match = re.fullmatch(r"(?:\[(.*)\]|([0-9.]*)):(?:\[(.*)\]|([0-9.]*)):(0|[1-9][0-9]{0,4})", text)
    if match is None:
        return False
    src6, src4, dst6, dst4, port = match.groups()
    for six, four in ((src6, src4), (dst6, dst4)):
        ipaddress.IPv4Address(four) if six is None else ipaddress.IPv6Address(six)
    return int(port) <= 65535


@given(ODD_LINES | NEARLY, st.booleans())
def test_odd_lines(odd: str, packed: bool) -> None:
    """A line passes if it is a talker and a sum that every format can write; otherwise the part and line are named."""
    line = odd.encode() + b"\n"
    talker, _, value = odd.partition("\t")
    try:
        is_fine = is_talker(talker) and re.fullmatch(r"0|[1-9][0-9]{0,37}", value) is not None
    except ValueError:
        is_fine = False
    part = gzip.compress(line) if packed else line
    if is_fine:
        assert fetch([part]) == line
        return
    with pytest.raises(ToptalkersError) as raised:
        fetch([part])
    assert f"s3://{BUCKET}/{PREFIX}part-00000" in raised.value.message
    assert "line 1 is no talker" in raised.value.message or "longer than 17,425 bytes" in raised.value.message
    assert raised.value.message.isprintable()


@pytest.mark.parametrize("byte", [b"9", b"\r", b"\x00", b"1.0.0.0:1.0.0.0:1\t1"])
def test_a_part_without_line_feeds(byte: bytes) -> None:
    """It takes no more than one block, for a line of any length."""
    source = gzip.compress(byte * ((64 << 20) // len(byte)))
    tracemalloc.start()
    with pytest.raises(ToptalkersError, match="line 1 is longer than 17,425 bytes"):
        fetch([source])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


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
    """A job that did not end leaves parts, but no _SUCCESS."""
    with pytest.raises(ToptalkersError, match="it has no _SUCCESS"):
        fetch([LINE], success=False)


class Endless:
    """An endless object, one line at a time, with falling values."""

    def __init__(self) -> None:
        self._lines = (b"10.0.0.1:10.0.0.2:443\t%d\n" % (10**12 - number) for number in itertools.count())
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += b"".join(itertools.islice(self._lines, 1000))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def test_an_answer_of_any_size_passes_through() -> None:
    """100,000 lines of an endless object take only a few megabytes."""
    lines: Iterator[object] = read_part(cast("IO[bytes]", Endless()), "part-00000")
    tracemalloc.start()
    for _ in itertools.islice(lines, 100_000):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_packed_by_content_not_by_name() -> None:
    """A part that was decompressed on the way keeps its name."""
    for pack in cast("list[Callable[[bytes], bytes]]", [bytes, gzip.compress]):
        with io.BytesIO(pack(LINE)) as body:
            assert [line for _, line in read_part(body, "part-00000.gz")] == [LINE]
