"""The mapper of whole files: from Hadoop's frames to sums, each file whole or not at all."""

import argparse
import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import node_kernels, pipeline
from tests.frames import MARK, frame, frames_of, records_of
from tests.strategies import cases
from tests.unit.test_scripts import PYTHONS
from toptalkers.engines import local
from toptalkers.job import count_files, count_flows, node_kernel
from toptalkers.job.steps import MAPPER_FILES
from toptalkers.question.query import Query
from toptalkers.records import kinds
from toptalkers.records.files import find_inputs

LOG = (Path(__file__).parents[1] / "flowlogs/default.log").read_bytes()
ANSWER = (Path(__file__).parents[1] / "flowlogs/default.tsv").read_bytes()
HEADER = b"version account-id interface-id srcaddr dstaddr srcport dstport protocol action packets bytes start end\n"
NOT_DEFAULT = HEADER + b"2 123456789012 eni-0a 192.0.2.9 198.51.100.9 40000 22 6 ACCEPT 1 40 1793491200 1793491260\n"
LARGEST_SUM = 64 << 20

Making = Callable[[argparse.Namespace], count_files.FileCounter]
"""Makes a counter for a question."""

COUNTERS: dict[str, Making] = {"python": count_files.PythonCounter}
if node_kernels.FILES:
    COUNTERS["kernel"] = lambda question: node_kernel.KernelCounter(question, node_kernels.load())
by_each_counter = pytest.mark.parametrize("make", COUNTERS.values(), ids=COUNTERS.keys())


class Counted(NamedTuple):
    """What a mapper printed and reported."""

    lines: bytes
    counters: dict[str, int]
    said: list[str]

    @property
    def left_out(self) -> int:
        """How many files did not count."""
        return self.counters.get("files_unreadable", 0) + self.counters.get("misfit_files", 0)


def reading(stdin: bytes, cuts: random.Random | None = None) -> Callable[[int], bytes]:
    """A function that reads bytes as from a pipe: as many as there are, or a random number of them."""
    stream = io.BytesIO(stdin)
    return lambda size: stream.read(size if cuts is None else cuts.randint(1, min(size, cuts.choice([3, 30, 3000]))))


def count(
    files: list[bytes],
    delimiter: bytes = b"KK",
    query: Query | None = None,
    *,
    cuts: random.Random | None = None,
    bound: int = LARGEST_SUM,
    make: Making = count_files.PythonCounter,
) -> Counted:
    """Count files that share a map, divided at a delimiter."""
    counter = make(count_flows.parse_arguments((query or Query()).mapper_arguments()))
    out, err = io.BytesIO(), io.StringIO()
    mapper = count_files.Mapper(counter, count_files.Form(delimiter), bound, out, err)
    mapper.count_all(count_files.stored_pieces(reading(frames_of(files, delimiter), cuts), delimiter))
    counters = {name: number for name, number in {**counter.tally, **mapper.tally}.items() if number}
    return Counted(out.getvalue(), counters, err.getvalue().splitlines())


def answer_of(counted: Counted, query: Query | None = None) -> bytes:
    """Add up and rank the lines of a mapper."""
    return pipeline._rank_sums(query or Query(), counted.lines, 0)


def asked_locally(files: list[tuple[str, bytes]], query: Query) -> tuple[bytes, dict[str, int]]:
    """The answer of run-local's engine, and its tally as the mapper's counters."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files:
            (Path(folder) / name).write_bytes(content)
        answer = local.count_files(query, find_inputs([folder]).files)
        lines = b"".join(answer.chunks)
    tally = answer.tally
    seen = {
        "records_read": tally.records_read,
        "counted": tally.counted,
        **tally.skipped,
        "files_read": tally.files_read,
        "left_out": tally.files_unreadable,
    }
    return lines, {name: number for name, number in seen.items() if number}


def as_locally(counted: Counted) -> dict[str, int]:
    """The counters of a mapper that the local engine has, too."""
    seen = {name: counted.counters.get(name, 0) for name in ("records_read", "counted", *count_flows.REASONS)}
    seen |= {"files_read": counted.counters.get("files_read", 0), "left_out": counted.left_out}
    return {name: number for name, number in seen.items() if number}


# --- frames ---


@pytest.mark.parametrize("delimiter", [b"KK", b"\n"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"a", b"aK", b"K", b"KK", b"KKK", b"KKKK", b"aKK", b"KKa", b"aKKK", b"aKKKa", b"aKaKKa", b"KaKK", b"KKKaK"),
        *(b"\n", b"\n\n", b"a\nb", b"a\n", b"\na"),
        *(b"a" * 127, b"a" * 128, b"a" * 255, b"a" * 256, b"a" * 65_535, b"a" * 65_536, b"KK" + b"a" * 300_000),
    ],
)  # fmt: skip
def test_pieces_are_a_file_again(content: bytes, delimiter: bytes) -> None:
    """The pieces of two files are the files, except for a delimiter at the end of one."""
    first, second = files_again(reading(frames_of([content, b"end"], delimiter)), delimiter)
    assert first + (b"" if content.split(delimiter)[-1] else delimiter) == content
    assert second == b"end"


def files_again(read: Callable[[int], bytes], delimiter: bytes) -> list[bytes]:
    """The files of frames."""
    seen: list[bytes] = []
    for piece in count_files.stored_pieces(read, delimiter):
        if piece is None:
            seen.append(b"")
        else:
            seen[-1] += piece
    return seen


ODD_LINES = st.sampled_from([
    *(b"", b"a", b"a" * 126, b"a" * 127, b"a" * 128, b"a" * 129, b"a" * 255, b"a" * 256, b"a" * 65_535, b"a" * 70_000),
    *(b"\0", b"a\0b", frame(0, b"a"), frame(3, b"a"), frame(3, b"a")[:-1], b"\0\0\0\x08\0\0", b"\0" * 30),
])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.binary(max_size=9) | ODD_LINES, min_size=1, max_size=12), max_size=4),
    st.randoms(use_true_random=False),
)
@example([[b"\0", frame(3, b"\1"), b""]], random.Random(0))  # as if a frame began within the line, at its very place
@example([[b"\0", frame(3, b"a"), b""]], random.Random(0))
@example([[b"\0", frame(3, b"a") + frame(5, b"b"), b"", b"c"], [b"d"]], random.Random(0))
def test_many_lines_at_once(files: list[list[bytes]], cuts: random.Random) -> None:
    """Lines of any length and content come as they were, however many are read at once."""
    contents = [b"".join(line.replace(b"\n", b"") + b"\n" for line in lines) for lines in files]
    contents = [content.removeprefix(MARK) for content in contents]
    stdin = frames_of(contents, b"\n")
    for read in (reading(stdin), reading(stdin, cuts)):
        assert [content + b"\n" for content in files_again(read, b"\n")] == contents


def test_known_cuts() -> None:
    """Frames that were written by hand, byte by byte, are read as the file."""
    assert list(records_of(b"aaKKbKKKKc", b"KK")) == [(0, b"aa"), (4, b"b"), (7, b""), (9, b"c")]
    assert list(records_of(b"abKKK", b"KK")) == [(0, b"ab"), (4, b"K")]
    assert list(records_of(b"abKK", b"KK")) == [(0, b"ab")]
    assert list(records_of(MARK + b"a\nb\n", b"\n")) == [(0, b"a"), (5, b"b")]
    assert frame(4, b"bK") == b"\0\0\0\x08" + b"\0\0\0\0\0\0\0\x04" + b"\0\0\0\x03" + b"\x02bK"


@pytest.mark.parametrize("delimiter", ["KK", "LF"])
@pytest.mark.parametrize(
    ("stdin", "why"),
    [
        (LOG, "not made of frames"),
        (frame(5, b"ab"), "cut into splits"),
        (frame(0, b"a") + frame(77, b"b"), "cut into splits"),
        (frame(0, LOG)[:-1], "ends within a frame"),
        (frame(0, LOG) + b"\0\0\0\x08", "ends within a frame"),
    ],
)
def test_input_that_is_not_whole_files(stdin: bytes, why: str, delimiter: str) -> None:
    """Lines, a later part of a file and half a frame end the mapper with a message, before it prints a sum."""
    out = io.BytesIO()
    with pytest.raises(SystemExit, match=why):
        count_files.main(["--delimiter", delimiter], reading(stdin), out, io.StringIO(), {})
    assert not out.getvalue()


# --- what is in files ---


def members(content: bytes, *sizes: int) -> bytes:
    """Compress content as several members of these sizes, and one for the rest."""
    packed = b""
    for size in sizes:
        packed += gzip.compress(content[:size])
        content = content[size:]
    return packed + gzip.compress(content)


RECORDS = LOG.splitlines(keepends=True)
PACKED = gzip.compress(LOG)


@pytest.mark.parametrize(
    "stored",
    [
        PACKED,
        members(LOG, 7, 100, 0),
        gzip.compress(b"") + PACKED + gzip.compress(b""),
        PACKED + b"\0" * 5000,
        gzip.compress(PACKED),
        gzip.compress(members(PACKED, 100)),
        gzip.compress(bz2.compress(lzma.compress(PACKED))),
        gzip.compress(LOG.replace(b"\n", b"\r\n")),
        gzip.compress(LOG.rstrip(b"\n")),
        gzip.compress(MARK + LOG),
        bz2.compress(LOG),
        bz2.compress(LOG[:77]) + bz2.compress(LOG[77:]),
        lzma.compress(LOG),
    ],
)
@pytest.mark.parametrize("delimiter", [b"KK", b"\n"])
@by_each_counter
def test_compressions(stored: bytes, delimiter: bytes, make: Making) -> None:
    """Members, zeros behind them, nested compressions and line ends are read as run-local reads them."""
    query = Query.parse(ports="443,53,0,22")
    counted = count([stored, gzip.compress(NOT_DEFAULT), stored], delimiter, query, make=make)
    assert counted.counters["files_read"] == 3
    assert counted.said == []
    expected = asked_locally([("a.gz", stored), ("b.gz", gzip.compress(NOT_DEFAULT)), ("c.gz", stored)], query)
    assert (answer_of(counted, query), as_locally(counted)) == expected


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (PACKED[:-1], "gzip that ends early"),
        (PACKED[:-8], "gzip that ends early"),
        (PACKED[:40], "gzip that ends early"),
        (PACKED[:3], "gzip that ends early"),
        (PACKED + PACKED[:30], "gzip that ends early"),
        (PACKED[:-8] + bytes(8), "gzip that is damaged"),
        (PACKED[:20] + b"\xff\xff" + PACKED[22:], "gzip that is damaged"),
        (PACKED + b"garbage", "gzip with more data after its end"),
        (PACKED + b"\0\0garbage", "gzip with more data after its end"),
        (PACKED + bytes(3000) + PACKED, "gzip with more data after its end"),
        (gzip.compress(PACKED[:-2]), "gzip that ends early"),
        (bz2.compress(LOG)[:-3], "bzip2 that ends early"),
        (lzma.compress(LOG)[:-3], "xz that ends early"),
        (b"\x28\xb5\x2f\xfd" + LOG, "Zstandard"),
        (gzip.compress(b"\x28\xb5\x2f\xfd" + LOG), "Zstandard"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(PACKED)))), "more than 4 times"),
        (gzip.compress(LOG.decode().encode("utf-16")), "UTF-16"),
        (gzip.compress(b'{"logEvents": [\n' + LOG), "JSON"),
        (gzip.compress(b"PAR1" + LOG), "Parquet"),
        (gzip.compress(b"PK\3\4" + LOG), "zip"),
    ],
)
@pytest.mark.parametrize("delimiter", [b"KK", b"\n"])
@by_each_counter
def test_left_out(stored: bytes, why: str, delimiter: bytes, make: Making) -> None:
    """A file that is damaged, or that no node reads, is dropped whole, whatever precedes the damage, and is named."""
    counted = count([PACKED, stored, PACKED], delimiter, make=make)
    assert counted.counters["records_read"] == 20
    assert answer_of(counted) == answer_of(count([PACKED, PACKED]))
    assert (counted.counters["files_read"], counted.counters["files_unreadable"]) == (2, 1)
    assert counted.counters[f"left_out_{len(stored) % 8}"] == (1 << 40) + len(stored)
    [line] = counted.said
    assert line.startswith(f"count_files.py: file 2 of this map, {len(stored):,} bytes: ")
    assert why in line


def test_not_what_its_name_says() -> None:
    """Among files named .gz, one that is not compressed is left out; where names tell nothing, it counts."""
    counted = count([LOG, PACKED, NOT_DEFAULT], b"KK")
    assert counted.counters["files_unreadable"] == 2
    assert "named .gz, but not compressed so" in counted.said[0]
    assert answer_of(counted) == ANSWER
    assert count([LOG, PACKED, NOT_DEFAULT], b"\n").counters["files_read"] == 3


@pytest.mark.parametrize("delimiter", [b"\0\0", b"\0"])
@pytest.mark.parametrize("content", [LOG, RECORDS[0] + RECORDS[1][:150], NOT_DEFAULT])
def test_delimiter_at_the_end(content: bytes, delimiter: bytes) -> None:
    """A gzip file that ends in the delimiter, which Hadoop drops, is complete; without another byte, it is not."""
    stored = gzip.compress(content)  # it ends in the length of the content: in two zeros, or in three
    assert stored.endswith(delimiter)
    counted = count([stored, stored], delimiter)
    assert (counted.counters["files_read"], counted.said) == (2, [])
    short = stored.rstrip(b"\0")[:-1] + stored[len(stored.rstrip(b"\0")) :]
    counted = count([short, stored], delimiter)
    assert (counted.counters["files_read"], counted.counters["files_unreadable"]) == (1, 1)


@by_each_counter
def test_misfit_is_dropped_whole(make: Making) -> None:
    """A file whose lines do not fit their layout is dropped with its sums and its tally, which run-local does, too."""
    other = gzip.compress(NOT_DEFAULT.partition(b"\n")[2] * 3)
    counted = count([PACKED, other], make=make)
    assert answer_of(counted) == ANSWER
    assert (counted.counters["misfit_files"], counted.counters["records_read"]) == (1, 10)
    assert "do not fit their layout" in counted.said[0]


@pytest.mark.parametrize(
    "magic", [magic for entry in kinds._KINDS for magic in ([entry[0]] if isinstance(entry[0], bytes) else entry[0])]
)
def test_kinds_that_are_no_flow_logs(magic: bytes) -> None:
    """What run-local knows as another kind of file is left out here, too, even if flow records follow."""
    stored = gzip.compress(magic + b"\n" + LOG)
    assert count([stored]).left_out == 1
    assert asked_locally([("a.gz", stored)], Query())[1] == {"left_out": 1}


def test_a_number_is_no_magic() -> None:
    """A line that begins with the digits of cpio's magic is a line."""
    line = b"070701123456 192.0.2.1 198.51.100.1 443 ACCEPT\n"
    query = Query.parse(log_format="account-id srcaddr dstaddr dstport action")
    assert answer_of(count([gzip.compress(line)], query=query), query) == b"192.0.2.1:198.51.100.1:443\t1\n"


# --- drawn files ---


def damaged(draw: st.DrawFn, packed: bytes) -> bytes:
    """Break a gzip file so that it cannot be complete by accident."""
    kind = draw(st.sampled_from(["short", "sum", "garbage"]))
    if kind == "short":
        return packed[: -draw(st.integers(3, len(packed) - 4))]
    if kind == "sum":
        return packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    return packed + b"garbage"


@st.composite
def maps(draw: st.DrawFn) -> tuple[Query, list[tuple[str, bytes]], bytes]:
    """A question, the files of a map with names, and the delimiter, which is often one that the files have."""
    query, contents = draw(cases())
    is_named = draw(st.booleans())
    files = []
    for number, content in enumerate(contents):
        kind = draw(st.sampled_from(["gzip", "members", "stored", "damaged", "nested", "empty", "other", "plain"]))
        packed = gzip.compress(content, compresslevel=0 if kind == "stored" else 6)
        if kind in ("members", "damaged"):
            cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=3)))
            packed = b"".join(
                gzip.compress(content[a:b]) for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)
            )
        if kind == "damaged":
            packed = damaged(draw, packed)
        elif kind == "nested":
            packed = gzip.compress(packed)
        elif kind == "other":
            packed = bz2.compress(content) if draw(st.booleans()) else lzma.compress(content)
        elif kind == "empty":
            packed = draw(st.sampled_from([gzip.compress(b""), packed + bytes(draw(st.integers(1, 99)))]))
        elif kind == "plain" and content and not is_named:
            packed = content
        files.append((f"{number}.gz" if is_named else f"{number}.log", packed))
    delimiter = b"\n"
    if is_named:
        stored = b"".join(stored for _, stored in files)
        byte = bytes([draw(st.sampled_from([*stored, ord("K")] if stored else b"K"))])
        delimiter = byte * 2
    return query, files, delimiter


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    maps(),
    # Not `st.randoms`, which may stop an example in the middle of a map, with its files of spilled sums open.
    st.builds(random.Random, st.integers(0, 1 << 32)),
    st.sampled_from([LARGEST_SUM, 1, 2000]),
    st.sampled_from(sorted(COUNTERS)),
)
def test_counts_like_run_local(
    case: tuple[Query, list[tuple[str, bytes]], bytes], cuts: random.Random, bound: int, counter: str
) -> None:
    """Any files, damaged ones too, read in any pieces and within any memory, count as the local engine counts them."""
    query, files, delimiter = case
    counted = count(
        [stored for _, stored in files],
        delimiter,
        query,
        cuts=cuts,
        bound=bound,
        make=COUNTERS[counter],
    )
    lines, tally = asked_locally(files, query)
    assert answer_of(counted, query) == lines
    assert as_locally(counted) == tally
    assert len(counted.said) == counted.left_out


# --- memory ---


def many(number: int) -> bytes:
    """So many records, each of another talker."""
    return b"".join(
        b"2 123456789012 eni-0a 10.%d.%d.%d 198.51.100.1 40000 443 6 1 40 1793491200 1793491260 ACCEPT OK\n"
        % (one >> 16, one >> 8 & 255, one & 255)
        for one in range(number)
    )


class Watched:
    """A counter, and what it held and spilled."""

    def __init__(self, counter: count_files.FileCounter) -> None:
        self._counter = counter
        self.most = 0
        self.spills = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._counter, name)

    def held_bytes(self) -> int:
        held = self._counter.held_bytes()
        self.most = max(self.most, held)
        return held

    def spill(self) -> None:
        self.spills += 1
        self._counter.spill()


@by_each_counter
def test_sums_stay_within_their_bound(make: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file spills within it, small files print between them, and the answer is that of one large table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(count_files, "PIECE_BYTES", 10_000)
    large, small = gzip.compress(many(20_000)), gzip.compress(many(900))
    files = [small, large, small, large[:-1], small]
    row = count_files.ROW_BYTES if make is count_files.PythonCounter else node_kernel.ROW_BYTES
    counter = Watched(make(count_flows.parse_arguments([])))
    counted = count(files, make=lambda _: cast("count_files.FileCounter", counter), bound=1000 * row)
    assert counter.spills > 10
    assert counter.most <= 1200 * row
    assert answer_of(counted) == answer_of(count([small, large, small, small]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "mib"),
    [
        ({}, 64),
        ({"mapreduce_map_memory_mb": "3072", "mapreduce_map_java_opts": "-Xmx2458m -XX:+UseSerialGC"}, 454),
        ({"mapreduce_map_memory_mb": "1024", "mapreduce_map_java_opts": "-Xmx819m"}, 64),
        ({"mapreduce_map_memory_mb": "4096", "mapreduce_map_java_opts": "-Xmx1g -Xmx512M"}, 1024),
        ({"mapreduce_map_memory_mb": "4096", "mapreduce_map_java_opts": "-server"}, 659),
        ({"mapreduce_map_memory_mb": "2048", "mapreduce_map_java_opts": "-Xmx1073741824"}, 864),
        ({"mapreduce_map_memory_mb": "-1", "mapreduce_map_java_opts": "-Xmx512m"}, 64),
    ],
)
def test_memory_bound(environ: dict[str, str], mib: int) -> None:
    """Sums take what a map's container has beside Java's heap and 160 MiB, from 64 MiB to 1 GiB."""
    assert count_files.memory_bound(environ) >> 20 == mib


def test_a_bomb_is_unpacked_in_pieces() -> None:
    """A gzip file of 1,000 times its size is never unpacked at once."""
    bomb = gzip.compress(bytes(50_000_000))
    file = count_files.StoredFile(iter([bomb]))
    assert max(map(len, count_files.unpacked(file, b"KK"))) <= count_files.PIECE_BYTES


# --- the program ---


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("delimiter", ["KK", "LF"])
@pytest.mark.parametrize("kernels", [{}, node_kernels.FILES], ids=["python", "kernel"])
def test_program_among_links(python: str, delimiter: str, kernels: dict[str, Path], tmp_path: Path) -> None:
    """As on a node, scripts and kernels are links in the working directory; the answer is the same."""
    scripts = {name: pipeline.STREAMING / name for name in MAPPER_FILES}
    for name, path in (scripts | kernels).items():
        (tmp_path / name).symlink_to(shutil.copy(path, tmp_path / f"of-{name}"))
    files = [PACKED, PACKED[:-5], members(LOG, 9), b"" if delimiter == "KK" else LOG]
    done = subprocess.run(
        [python, "-I", "-S", "count_files.py", "--delimiter", delimiter, "--metric", "records"],
        input=frames_of(files, b"KK" if delimiter == "KK" else b"\n"),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert b"reporter:counter:toptalkers,files_unreadable,1\n" in done.stderr
    by = b"kernel" if kernels else b"python"
    assert b"reporter:counter:toptalkers,maps_by_" + by + b",1\n" in done.stderr
    assert (b"counting in Python, about ten times as slow as the kernel: there is no" in done.stderr) == (not kernels)
    expected = count([PACKED] * (2 if delimiter == "KK" else 3)).lines
    assert sorted(done.stdout.splitlines()) == sorted(expected.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["--delimiter"], ["--delimiter", "KK", "--ports", "x"], ["--delimiter", ""]),
        *(["--delimiter", "KK", "--parts", "-1"], ["--delimiter", "KK", "--parts", "1048577"]),
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    """A wrong command line ends with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        count_files.main(arguments, reading(b""), io.BytesIO(), io.StringIO(), {})
    assert caught.value.code == 2


@by_each_counter
def test_values_too_large_for_hadoop(make: Making) -> None:
    """A map whose values add up to more than 2^63 - 1 ends with a message; those of a file that is dropped do not."""
    query = Query.parse(metric="bytes", ports="all", action="ALL")
    large = gzip.compress(many(1).replace(b" 40 ", b" 999999999999999 ") * 5000)
    assert count([large, large[:-1], large[:-1]], query=query, make=make).counters["counted"] == 5000
    with pytest.raises(SystemExit, match="more than 2"):
        count([large, large], query=query, make=make)


def test_a_reader_that_has_gone_is_said(tmp_path: Path) -> None:
    """When the lines cannot be written, the mapper says so in one line, and fails."""
    for name in MAPPER_FILES:
        shutil.copy(pipeline.STREAMING / name, tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "count_files.py", "--delimiter", "KK"],
        input=frames_of([PACKED], b"KK"),
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        cwd=tmp_path,
    )
    os.close(writer)
    assert done.returncode
    assert b"count_files.py: Broken pipe\n" in done.stderr
