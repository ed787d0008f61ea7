"""Blocks of lines, and step 1 in the form of them: lines are divided into parts, and those of a part added up."""

import contextlib
import ctypes
import errno
import io
import re
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import node_kernels
from tests.frames import frames_of
from tests.sanitized import LESS
from tests.shuffle import pairs_of, record
from tests.strategies import cases
from tests.unit.test_count_files import COUNTERS, LOG, Making, reading
from toptalkers.job import blocks, count_files, count_flows, node_kernel, port_filter, sort_blocks, steps, sum_blocks
from toptalkers.question.clauses import METRICS as METRIC_NAMES
from toptalkers.question.key import LONGEST_TEXT_BYTES, MOST_COLUMNS
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query

PREFIX = b"LongValueSum:"
LARGEST_SUM = (1 << 63) - 1
LATEST_TIME = 253_402_300_799
LARGEST_BLOCK = 64 << 10

Adding = Callable[[list[str]], sum_blocks.Adder]
"""Makes an adder for the metrics of a line."""

ADDERS: dict[str, Adding] = {"python": sum_blocks.PythonAdder}
if node_kernels.FILES:
    ADDERS["kernel"] = lambda metrics: node_kernel.KernelAdder(metrics, node_kernels.load())
by_each_adder = pytest.mark.parametrize("make", ADDERS.values(), ids=ADDERS.keys())
with_the_kernel = pytest.mark.skipif(not node_kernels.FILES, reason="there is no kernel")


class Limits(NamedTuple):
    """The limits of the scripts."""

    block_bytes: int = blocks.BLOCK_BYTES
    grouped_bytes: int = blocks.GROUPED_BYTES
    piece_bytes: int = count_files.PIECE_BYTES
    filtered_bytes: int = port_filter.BLOCK_BYTES
    lines_held: int = port_filter.LINES_HELD
    run_bytes: int = sort_blocks.RUN_BYTES
    fewest_lines: int = sort_blocks.FEWEST_LINES


@contextlib.contextmanager
def lowered(limits: Limits) -> Iterator[None]:
    """Lower limits for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", limits.block_bytes)
        patch.setattr(blocks, "GROUPED_BYTES", limits.grouped_bytes)
        patch.setattr(count_files, "PIECE_BYTES", limits.piece_bytes)
        patch.setattr(port_filter, "BLOCK_BYTES", limits.filtered_bytes)
        patch.setattr(port_filter, "LINES_HELD", limits.lines_held)
        patch.setattr(sort_blocks, "RUN_BYTES", limits.run_bytes)
        patch.setattr(sort_blocks, "FEWEST_LINES", limits.fewest_lines)
        yield


# --- blocks ---


def test_a_block_by_hand() -> None:
    """A block that was written by hand, byte by byte, is what is written and read."""
    by_hand = b"\0\0\0\x02" + b"\0\x07" + b"\0\0\0\x08" + b"a\t1\nb\t2\n"
    assert blocks.format_block(b"\0\x07", b"a\t1\nb\t2\n") == by_hand
    assert list(blocks.parse_blocks(io.BytesIO(by_hand * 2))) == [(b"\0\x07", b"a\t1\nb\t2\n")] * 2
    assert list(pairs_of(by_hand)) == [(b"\0\x07", b"a\t1\nb\t2\n")]


PAIRS = st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=300)), max_size=5)


@given(PAIRS)
def test_blocks_are_read_as_they_were_written(pairs: list[tuple[bytes, bytes]]) -> None:
    """Any keys and values are written as Hadoop reads them, and come back."""
    written = b"".join(blocks.format_block(*pair) for pair in pairs)
    assert written == b"".join(record(*pair) for pair in pairs)
    assert list(blocks.parse_blocks(io.BytesIO(written))) == pairs == list(pairs_of(written))


@settings(max_examples=40)
@given(PAIRS)
def test_blocks_that_are_cut_off(pairs: list[tuple[bytes, bytes]]) -> None:
    """Wherever an input ends but between two blocks, it is refused, after the whole blocks have come."""
    ends = [0]
    for pair in pairs:
        ends.append(ends[-1] + len(record(*pair)))
    written = b"".join(record(*pair) for pair in pairs)
    for end in range(len(written)):
        whole = pairs[: sum(one <= end for one in ends) - 1]
        found = blocks.parse_blocks(io.BytesIO(written[:end]))
        assert [next(found) for _ in whole] == whole
        if end in ends:
            assert list(found) == []
        else:
            with pytest.raises(blocks.BadBlocksError):
                next(found)


NO_BLOCKS = [
    LOG,
    b"10.0.0.1:10.0.0.2:443\t1\n",
    b"a\t1\n",
    b"\xff\xff\xff\xffa",  # -1
    b"\x80\0\0\0",
    b"\0\0\0\x01a\xff\xff\xff\xff",
    b"\0\0\0\0\x80\0\0\0",
    b"\x7f\xff\xff\xffabc",  # 2^31 - 1
    b"\0\0\0\x01a\x7f\xff\xff\xffabc",
    b"\0\0\0\x01a" + (blocks.MOST_BYTES + 1).to_bytes(4, "big"),
]


@pytest.mark.parametrize("stdin", NO_BLOCKS)
def test_what_is_no_block_takes_no_memory(stdin: bytes, tmp_path: Path) -> None:
    """Lines, negative lengths, and lengths of gigabytes are refused, and nothing of that size is allocated."""
    (tmp_path / "stdin").write_bytes(stdin)
    tracemalloc.start()
    try:
        with (tmp_path / "stdin").open("rb") as file, pytest.raises(blocks.BadBlocksError):
            list(blocks.parse_blocks(file))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"\0", b"\0\0\0", b"\x01", b"a", b"\xff"])).map(b"".join))
def test_any_bytes_are_blocks_or_refused(stdin: bytes) -> None:
    """Nothing but BadBlocksError comes of any input, and what is read is what was written."""
    try:
        found = list(blocks.parse_blocks(io.BytesIO(stdin)))
    except blocks.BadBlocksError:
        return
    assert b"".join(record(*one) for one in found) == stdin


@given(st.lists(st.binary(max_size=30).map(lambda line: line + b"\n"), max_size=20), st.integers(1, 90))
def test_joined_lines(lines: list[bytes], size: int) -> None:
    """Joined lines are the lines in their order, in pieces that are as large as asked for by their last line alone."""
    with lowered(Limits(block_bytes=size)):
        pieces = list(blocks.join_lines(lines))
    assert b"".join(pieces) == b"".join(lines)
    assert all(len(piece) >= size for piece in pieces[:-1])
    at = iter(lines)
    for piece in pieces:
        own: list[bytes] = []
        while sum(map(len, own)) < len(piece):
            own.append(next(at))
        assert sum(map(len, own[:-1])) < size


@given(st.binary(), st.integers(1, blocks.MOST_PARTS))
@example(b"123456789", 1 << 20)  # the checksum that every description of CRC-32 names
def test_the_part_of_a_key(key: bytes, parts: int) -> None:
    """A key's part is its CRC-32, modulo the number of parts."""
    assert blocks.part_of(b"123456789", 1 << 32) == 0xCBF43926
    assert blocks.part_of(key, parts) == crc32(key) % parts


# --- dividing ---


class Line(NamedTuple):
    """A line of some part."""

    part: int
    line: bytes


def lines_of(output: bytes, largest: int = LARGEST_BLOCK) -> list[Line]:
    """The lines of blocks of parts, no larger than so many bytes and one line."""
    found = []
    for key, value in pairs_of(output):
        assert len(key) == 4
        lines = re.findall(b"[^\n]*\n", value)
        assert 0 < len(value) == sum(map(len, lines)) < largest + len(lines[-1])
        found += [Line(int.from_bytes(key, "big"), line) for line in lines]
    return found


def counted(make: Making, query: Query, contents: list[bytes], bound: int, parts: int) -> bytes:
    """What a mapper prints that counts files."""
    out = io.BytesIO()
    counter = make(count_flows.parse_arguments(query.mapper_arguments()))
    mapper = count_files.Mapper(counter, count_files.Form(b"\n", parts), bound, out, io.StringIO())
    mapper.count_all(count_files.stored_pieces(reading(frames_of(contents, b"\n")), b"\n"))
    return out.getvalue()


Sums = dict[bytes, list[int]]


def added(metrics: Iterable[str], lines: Iterable[bytes]) -> Sums:
    """Add up lines: the oracle."""
    metrics = tuple(metrics)
    table: Sums = {}
    for line in lines:
        key, *texts = line.rstrip(b"\n").rsplit(b"\t", len(metrics))
        row = table.setdefault(key, [])
        for number, (metric, text) in enumerate(zip(metrics, texts, strict=True)):
            value = int(text)
            if len(row) == number:
                row.append(value)
            elif metric == "first":
                row[number] = min(row[number], value)
            elif metric == "last":
                row[number] = max(row[number], value)
            else:
                row[number] += value
    return table


@settings(max_examples=60 // LESS, suppress_health_check=[HealthCheck.too_slow])
@given(
    cases(),
    st.sampled_from([1, 2, 3, 7, 256, 99 * 256]),
    st.sampled_from([64 << 20, 64 << 20, 1, 2000]),
    st.sampled_from([1, 60, LARGEST_BLOCK]),
    st.sampled_from([40_000, 8 << 20]),
)
def test_dividing_keeps_the_lines(
    case: tuple[Query, list[bytes]], parts: int, bound: int, block: int, grouped: int
) -> None:
    """Each counter prints the lines of its sums, without Hadoop's word, in the parts of their keys."""
    query, contents = case
    width, sums = len(query.metric), []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        limits = Limits(block_bytes=block, grouped_bytes=grouped, piece_bytes=500)
        with lowered(limits):
            for name, make in COUNTERS.items():
                lines = counted(make, query, contents, bound, 0).splitlines(keepends=True)
                output = counted(make, query, contents, bound, parts)
                divided = lines_of(output, block if name == "python" else LARGEST_BLOCK)
                assert sorted(line for _, line in divided) == sorted(line.removeprefix(PREFIX) for line in lines)
                assert all(part == crc32(line.rsplit(b"\t", width)[0]) % parts for part, line in divided)
                sums.append(added(query.metric, (line for _, line in divided)))
    assert sums[0] == sums[-1]


def test_divided_lines_by_hand() -> None:
    """Of two parts and blocks of about ten bytes, three lines of one part make two blocks."""
    assert (crc32(b"a\tx") % 2, crc32(b"c\tx") % 2, crc32(b"d\tx") % 2) == (0, 0, 1)
    lines = [b"a\tx\t1\t7\n", b"d\tx\t5\t7\n", b"c\tx\t22\t7\n", b"a\tx\t3\t7\n"]
    with lowered(Limits(block_bytes=10)):
        divided = [*blocks.divide_lines(lines, 2, 2)]
    assert divided == [
        b"\0\0\0\4\0\0\0\0" + b"\0\0\0\x11a\tx\t1\t7\nc\tx\t22\t7\n",
        b"\0\0\0\4\0\0\0\0" + b"\0\0\0\x08a\tx\t3\t7\n",
        b"\0\0\0\4\0\0\0\1" + b"\0\0\0\x08d\tx\t5\t7\n",
    ]


@given(st.lists(st.binary(min_size=1, max_size=9).map(lambda key: key.replace(b"\n", b"a") + b"\t1\n"), max_size=40))
def test_groups_of_lines(lines: list[bytes]) -> None:
    """However few lines are held, all are divided, and few lines are in each block."""
    for grouped in (1, 30):
        with lowered(Limits(grouped_bytes=grouped)):
            output = b"".join(blocks.divide_lines(lines, 1, 3))
        assert sorted(lines_of(output, grouped)) == sorted(Line(crc32(one[:-3]) % 3, one) for one in lines)


def divided_by_kernel(lines: bytes, skipped: int, width: int, parts: int) -> bytes | None:
    """What `blocks_divide` prints; None if it refuses. Both rooms end where they must, for the sanitizers."""
    stored = (ctypes.c_char * len(lines)).from_buffer_copy(lines)
    room = (ctypes.c_char * (len(lines) + node_kernel.FRAME_BYTES * lines.count(b"\n")))()
    ctypes.set_errno(0)
    length = node_kernels.load().blocks_divide(stored, len(lines), skipped, width, parts, room)
    assert (length < 0) == (ctypes.get_errno() == errno.EINVAL)
    return None if length < 0 else room.raw[:length]


NO_LINE_FEED = st.binary(max_size=6) | st.sampled_from([b"k", b"\t", b"a\0b\t", b"x" * 1024, b"y" * 16_000])
NO_LINE_FEED = NO_LINE_FEED.map(lambda text: text.replace(b"\n", b"?"))


@with_the_kernel
@settings(max_examples=200 // LESS)
@given(
    st.lists(st.tuples(NO_LINE_FEED, st.integers(0, LARGEST_SUM)), max_size=60),
    st.integers(1, 10),
    st.sampled_from([1, 2, 3, 1000, 99 * 256]),
    st.sampled_from([b"", PREFIX]),
)
@example([(b"k%03d" % number + b"\0" * 900, number) for number in range(400)], 1, 2, PREFIX)  # several blocks of a part
@example([(b"k" * 16_381, 1)] * 5, 1, 1, b"")  # four lines that are just a block
def test_both_divide_alike(keys: list[tuple[bytes, int]], width: int, parts: int, prefix: bytes) -> None:
    """Of any keys, the kernel makes the same blocks as Python, in the order of their parts."""
    lines = [key + b"\t%d" % number * width + b"\n" for key, number in keys]
    expected = [record(*pair) for one in blocks.divide_lines(lines, width, parts) for pair in pairs_of(one)]
    expected.sort(key=lambda one: one[4:8])
    divided = divided_by_kernel(b"".join(prefix + line for line in lines), len(prefix), width, parts)
    assert divided == b"".join(expected)


@with_the_kernel
@settings(max_examples=200 // LESS)
@given(
    st.lists(st.sampled_from([b"\n", b"\t", b"a", b"1", b"\0", b"LongValueSum:", b"x" * 3000]), max_size=20),
    st.sampled_from([0, 0, 1, 13]),
    st.integers(1, 3),
)
def test_what_cannot_be_divided(texts: list[bytes], skipped: int, width: int) -> None:
    """A line without its line feed, or with fewer sums than said, is an error; any others are divided."""
    lines = b"".join(texts)
    is_fine = lines[-1:] in (b"", b"\n") and all(
        line[skipped:].count(b"\t") >= width for line in lines.split(b"\n")[:-1]
    )
    divided = divided_by_kernel(lines, skipped, width, 2)
    assert (divided is not None) == is_fine
    if divided is not None:
        found = [line for _, value in pairs_of(divided) for line in value.split(b"\n")[:-1]]
        assert sorted(found) == sorted(line[skipped:] for line in lines.split(b"\n")[:-1])


def test_the_scripts_have_the_limits_of_the_package() -> None:
    """The metrics, how long a key is, the largest sum and the parts of a map are those that the package has."""
    assert set(sum_blocks.SUMS) == set(node_kernel.SUM_WORDS) == set(METRIC_NAMES)
    assert set(sum_blocks.TIME_METRICS) == set(TIME_METRICS)
    assert sum_blocks.MOST_KEY_BYTES == MOST_COLUMNS * (LONGEST_TEXT_BYTES + 1)
    assert sum_blocks.LARGEST_SUM == sort_blocks.LARGEST == count_flows.LARGEST_TOTAL
    assert steps.PARTS_PER_REDUCER * steps.MOST_REDUCERS <= blocks.MOST_PARTS
    assert steps.MOST_REDUCERS <= sort_blocks.MOST_REDUCERS


@with_the_kernel
def test_the_kernel_has_the_limits_of_the_scripts() -> None:
    """The size of a block and the last time are the same in C and in Python."""
    source = (Path(node_kernels.JOB).parent / "kernel/blocks.c").read_text()
    assert f"BLOCK_BYTES = {blocks.BLOCK_BYTES >> 10} << 10" in source
    assert f"LATEST_TIME = {sum_blocks.LARGEST_TIME};" in source


# --- adding up ---


def refusable(adder: sum_blocks.Adder, parts: list[tuple[int, bytes]]) -> list[bytes] | None:
    """The lines of an adder over numbered parts; None if it refuses."""
    given_blocks = (blocks.Block(number.to_bytes(4, "big"), lines) for number, lines in parts)
    try:
        return b"".join(sum_blocks.add_up(given_blocks, adder)).split(b"\n")[:-1]
    except blocks.BadLineError:
        return None


def printed(metrics: list[str], table: Sums) -> list[bytes] | None:
    """The sorted lines of sums; None if one is too large, or too late."""
    lines = []
    for key, row in table.items():
        texts = [key]
        for metric, value in zip(metrics, row, strict=True):
            if value > (LATEST_TIME if metric in ("first", "last") else LARGEST_SUM):
                return None
            texts.append(sum_blocks.format_time(value) if metric in ("first", "last") else b"%d" % value)
        lines.append(b"\t".join(texts))
    return sorted(lines)


METRICS = st.lists(st.sampled_from(["records", "packets", "bytes", "first", "last"]), min_size=1, unique=True)
ADDED_KEYS = st.sampled_from([b"a", b"b", b"a\tb", b"\0", b"\t", b"\xff", b"10.0.0.1:10.0.0.2:443", b"z" * 16_384]) | (
    st.binary(min_size=1, max_size=4).map(lambda key: key.replace(b"\n", b"?"))
)
NUMBERS = st.sampled_from([b"0", b"1", b"7", b"007", b"1793491200", b"253402300799", b"253402300799"])
LARGE = st.sampled_from([b"253402300800", b"%d" % (LARGEST_SUM - 1), b"%d" % LARGEST_SUM, b"%d" % (1 << 62)])
PARTS = st.lists(
    st.lists(
        st.lists(st.tuples(ADDED_KEYS, st.tuples(*[NUMBERS] * 5)), min_size=1, max_size=30), min_size=1, max_size=3
    ),
    max_size=4,
)


@settings(max_examples=100 // LESS, suppress_health_check=[HealthCheck.too_slow])
@given(METRICS, PARTS, st.lists(st.tuples(ADDED_KEYS, st.tuples(*[NUMBERS | LARGE] * 5)), max_size=3))
def test_adding_up(
    metrics: list[str],
    drawn: list[list[list[tuple[bytes, tuple[bytes, ...]]]]],
    large: list[tuple[bytes, tuple[bytes, ...]]],
) -> None:
    """Both adders print the sums of each part, of any keys, or both refuse those that are too large or too late."""
    if large:
        drawn = [*drawn, [large]]
    parts, expected = [], list[bytes]()
    is_refused = False
    for number, pieces in enumerate(drawn):
        texts = [[b"\t".join([key, *sums[: len(metrics)]]) + b"\n" for key, sums in piece] for piece in pieces]
        parts += [(number, b"".join(lines)) for lines in texts]
        lines = printed(metrics, added(metrics, [line for piece in texts for line in piece]))
        is_refused = is_refused or lines is None
        expected += lines or []
    for make in ADDERS.values():
        found = refusable(make(metrics), parts)
        assert (found is None) == is_refused
        assert found is None or sorted(found) == sorted(expected)


@by_each_adder
def test_sums_by_hand(make: Adding) -> None:
    """Three lines of two keys, in two blocks, are two lines with sums, the earliest and the latest time."""
    parts = [(3, b"a\tb\t1\t40\t60\nc\td\t5\t7\t253402300799\n"), (3, b"a\tb\t2\t30\t59\n"), (4, b"a\tb\t9\t0\t0\n")]
    assert sorted(refusable(make(["bytes", "first", "last"]), parts) or []) == [
        b"a\tb\t3\t1970-01-01T00:00:30Z\t1970-01-01T00:01:00Z",
        b"a\tb\t9\t1970-01-01T00:00:00Z\t1970-01-01T00:00:00Z",
        b"c\td\t5\t1970-01-01T00:00:07Z\t9999-12-31T23:59:59Z",
    ]


@by_each_adder
def test_the_largest_sums(make: Adding) -> None:
    """Sums of 2^63 - 1 are printed, one more is refused; of times, the year 10000 is, unless an earlier one counts."""
    half = 1 << 62
    assert refusable(make(["bytes"]), [(0, b"a\t%d\na\t%d\n" % (half, half - 1))]) == [b"a\t%d" % LARGEST_SUM]
    assert refusable(make(["bytes"]), [(0, b"a\t%d\na\t%d\n" % (half, half))]) is None
    assert refusable(make(["bytes"]), [(0, b"a\t%d\n" % half), (1, b"a\t%d\n" % half)]) is not None
    for metric in ("first", "last"):
        assert refusable(make([metric]), [(0, b"a\t253402300800\n")]) is None
        assert (refusable(make([metric]), [(0, b"a\t253402300800\na\t5\n")]) is None) == (metric == "last")


WRONG_LINES = [
    *(
        b"\n",
        b"a\n",
        b"\t1\n",
        b"a\t\n",
        b"a\tx\n",
        b"a\t-1\n",
        b"a\t+1\n",
        b"a\t 1\n",
        b"a\t1 \n",
        b"a\t1\0\n",
        b"a\t1.5\n",
    ),
    *(b"a\t1_0\n", b"a\t\xd9\xa4\n", b"a\t1\r\n", b"a\t9223372036854775808\n", b"a\t9999999999999999999\n"),
    *(b"a\t00000000000000000001\n", b"a\t10000000000000000000\n", b"z" * 16_401 + b"\t1\n", b"a\t1", b"a", b"\t", b""),
]


@pytest.mark.parametrize("wrong", WRONG_LINES)
@pytest.mark.parametrize("before", [b"", b"a\t1\n", b"a\t1\n" * 40])
@by_each_adder
def test_wrong_lines(wrong: bytes, before: bytes, make: Adding) -> None:
    """A line without a key, its number or its end is refused, wherever it comes."""
    adder = make(["bytes"])
    with pytest.raises(blocks.BadLineError):
        adder.add(before + wrong if wrong else b"")
    adder = make(["last", "bytes"])
    with pytest.raises(blocks.BadLineError):
        adder.add((before + wrong).replace(b"\t", b"\t1\t") if wrong else b"")
    if wrong.endswith(b"\n"):
        with pytest.raises(blocks.BadLineError):
            make(["bytes"]).add(before + wrong + b"b\t1\n")


def test_a_sum_is_missing() -> None:
    """A line of one sum is no line of two, and a number of no digits is no sum, in any place."""
    for make in ADDERS.values():
        for line in (b"a\t1\n", b"\t1\t1\n", b"a\t\t1\n", b"a\t1\t\n", b"a\tb\t1\n", b"1\t\t\n"):
            assert refusable(make(["bytes", "records"]), [(0, line)]) is None
        assert refusable(make(["bytes", "records"]), [(0, b"1\t1\t1\n")]) == [b"1\t1\t1"]


def is_line(line: bytes, width: int) -> bool:
    """Whether an adder takes a line, by another rule."""
    found = re.fullmatch(rb"(?s)(.{1,16400})((?:\t[0-9]{1,19}){%d})" % width, line)
    return found is not None and max(map(int, found[2].split())) <= LARGEST_SUM


@settings(max_examples=300 // LESS)
@given(
    st.lists(st.sampled_from([b"\n", b"\t", b"\t", b"1", b"0", b"a", b"\0", b"99999999", b"\t1\n"]), max_size=30),
    st.integers(1, 3),
)
def test_both_refuse_the_same(texts: list[bytes], width: int) -> None:
    """Of any bytes, both adders take those that are whole lines of keys and sums, and print the same for them."""
    lines = b"".join(texts)
    is_fine = lines.endswith(b"\n") and all(is_line(line, width) for line in lines[:-1].split(b"\n"))
    metrics = ["packets", "bytes", "records"][:width]
    expected = printed(metrics, added(metrics, lines[:-1].split(b"\n"))) if is_fine else None
    for make in ADDERS.values():
        found = refusable(make(metrics), [(0, lines)])
        assert (None if found is None else sorted(found)) == expected


@by_each_adder
def test_very_many_keys(make: Adding) -> None:
    """Tables that grow, and shrink again for the next part, lose no key, and lines come in whole chunks."""
    adder = make(["bytes", "last"])
    for keys in (70_000, 1, 20_000, 0, 3000):
        lines = [b"%d.%d\t%d\t%d\n" % (number % 7, number, number, number) for number in range(keys)]
        for start in range(0, keys, 1500):
            adder.add(b"".join(lines[start : start + 1500]))
        for start in range(0, keys, 9000):
            adder.add(b"".join(lines[start : start + 1500]))
        twice = {number for start in range(0, keys, 9000) for number in range(start, min(start + 1500, keys))}
        expected = [
            b"%d.%d\t%d\t%b\n" % (number % 7, number, number * (1 + (number in twice)), sum_blocks.format_time(number))
            for number in range(keys)
        ]
        chunks = list(adder.take_lines())
        assert all(chunk.endswith(b"\n") for chunk in chunks)
        assert max(map(len, chunks), default=0) <= 1 << 20
        assert sorted(b"".join(chunks).splitlines(keepends=True)) == sorted(expected)
    assert list(adder.take_lines()) == []


@by_each_adder
def test_the_longest_keys(make: Adding) -> None:
    """More keys of 16 KiB than the kernel prints at once are all printed, and so is the longest that a step makes."""
    keys = [b"%05d" % number + b"\xff" * 16_379 for number in range(150)] + [b"\t".join([b"x" * 1024] * 16)]
    adder = make(["bytes"])
    for _ in range(2):
        for key in keys:
            adder.add(key + b"\t%d\n" % LARGEST_SUM)
        assert sorted(b"".join(adder.take_lines()).splitlines()) == [key + b"\t%d" % LARGEST_SUM for key in keys]


@with_the_kernel
def test_more_sums_than_the_kernel_has_room_for() -> None:
    """An adder of more sums than a line can have is not made."""
    kernel = node_kernels.load()
    assert kernel.adder_new(bytes(node_kernel.MOST_SUMS + 1), node_kernel.MOST_SUMS + 1, 0) is None
    most = kernel.adder_new(bytes(node_kernel.MOST_SUMS), node_kernel.MOST_SUMS, 0)
    assert most is not None
    kernel.adder_free(most)


def in_parts(*parts: tuple[int, bytes]) -> bytes:
    """The blocks of parts."""
    return b"".join(record(number.to_bytes(4, "big"), lines) for number, lines in parts)


@pytest.mark.parametrize("has_kernel", [False, *([True] if node_kernels.FILES else [])])
@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (in_parts((1, b"a\t1\n"), (0, b"b\t1\n")), "the blocks are not sorted by their parts"),
        (in_parts((1, b"a\t1\n"))[:-1], "the input ends within a block"),
        (b"a\t1\nb\t1\n", "the input is not made of blocks: stream.reduce.input=rawbytes is missing"),
        (b"\0\0\0\0\xff\xff\xff\xff", "the input is not made of blocks"),
        (in_parts((1, b"a\t1\n"), (1, b"a\n")), "a line"),
        (in_parts((1, b"a\t1\n"), (1, b"a\t1")), "line"),
        (in_parts((1, b"")), "line"),
        (in_parts((1, b"a\t%d\n" % LARGEST_SUM * 2)), "add up to more than 2^63 - 1"),
    ],
)
def test_the_reducer_says_why_it_fails(
    stdin: bytes, said: str, has_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that are not sorted, or none, wrong lines and too large sums end it with 1 and one line that says why."""
    monkeypatch.chdir(with_kernels(tmp_path) if has_kernel else tmp_path)
    out, err = io.BytesIO(), io.StringIO()
    assert sum_blocks.main([], io.BytesIO(stdin), out, err) == 1
    *notes, why = err.getvalue().splitlines()
    assert why.startswith("sum_blocks.py: ")
    assert said in why
    assert len(notes) == (0 if has_kernel else 1)


def with_kernels(folder: Path) -> Path:
    """Link the kernels into a folder."""
    for name, path in node_kernels.FILES.items():
        (folder / name).symlink_to(path)
    return folder


@pytest.mark.parametrize("has_kernel", [False, *([True] if node_kernels.FILES else [])])
def test_the_reducer_says_that_there_is_no_kernel(
    has_kernel: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a kernel beside it the sums are the same, and one line says why they took longer."""
    monkeypatch.chdir(with_kernels(tmp_path) if has_kernel else tmp_path)
    stdin = in_parts((0, b"a\t1\t5\n"), (0, b"a\t2\t4\n"), (7, b"b\t1\t0\n"))
    out, err = io.BytesIO(), io.StringIO()
    assert sum_blocks.main(["--metric", "records,last"], io.BytesIO(stdin), out, err) == 0
    assert out.getvalue() == b"a\t3\t1970-01-01T00:00:05Z\nb\t1\t1970-01-01T00:00:00Z\n"
    note = "sum_blocks.py: adding up in Python, which takes longer: there is no kernel-"
    assert err.getvalue().startswith(note) == (not has_kernel)
    assert err.getvalue().count("\n") == (not has_kernel)
