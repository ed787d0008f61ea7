"""Step 2 in the form of blocks, the sort, and the whole chain of both steps without Hadoop."""

import contextlib
import gc
import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import node_kernels, pipeline
from tests.frames import frames_of
from tests.shuffle import pairs_of, partition, record, shuffled
from tests.strategies import cases
from tests.unit.test_blocks import LARGEST_SUM, LATEST_TIME, METRICS, Limits, lowered, with_kernels
from tests.unit.test_count_files import LOG, PACKED, asked_locally, reading
from tests.unit.test_scripts import PYTHONS
from toptalkers.job import blocks, count_files, port_filter, sort_blocks, sum_blocks
from toptalkers.job.steps import MAPPER_FILES, SORTER_FILES
from toptalkers.question.query import Query


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """The scripts turn off Python's search for cycles; other tests need it."""
    yield
    gc.enable()


COLUMNS = [
    b"a",
    b"ab",
    b"b",
    b"a!",
    b"-",
    b"10.0.0.1",
    b"10.0.0.10",
    b"\xff",
    b"\xc3\xa9",
    b"~" * 1024,
    b"!",
    b"~",
    b"\x80",
]
ADDRESSES = [b"10.0.0.1", b"10.0.0.10", b"192.0.2.1", b"[::1]", b"[2001:db8::1]", b"[2001:db8::]"]
PORTS = [b"22", b"443", b"1024", b"1025", b"8080", b"40000"]
SUMS = [b"%d" % number for number in (0, 1, 1, 2, 9, 10, 1 << 32, LARGEST_SUM)]
TIMES = [sum_blocks.format_time(seconds) for seconds in (0, 1793491199, 1793491200, 1793494800, LATEST_TIME)]
JUNK = [b"junk\n", b"\n", b"a\tx\n", b"a b\t1\n", b"\0\t1\n", b"10.0.0.1:10.0.0.2:443:1\t1\n"]


class Sorting(NamedTuple):
    """Lines of a question in splits, and how many are asked for."""

    query: Query
    top: int
    splits: list[bytes]

    @property
    def arguments(self) -> list[str]:
        """Those of the mapper."""
        return [*self.query.filter_arguments(), "--top", str(self.top)]


@st.composite
def sortings(draw: st.DrawFn) -> Sorting:
    """Lines of any question, each key once, and now and then one that is none."""
    kind = draw(st.sampled_from(["recipe", "recipe", "pairs", "srcaddr", "hour,pair", "vpc-id,dstport,protocol"]))
    if kind == "pairs":
        query = replace(Query.parse(metric=draw(st.sampled_from(["records", "packets", "bytes"]))), pairs=True)
        sums = [SUMS] * 9 + [[b"port"]]
    else:
        metrics = draw(METRICS)
        ports = draw(st.sampled_from(["all", "0-1024", "22,8080"]))
        query = Query.parse(by=None if kind == "recipe" else kind, metric=",".join(metrics), ports=ports)
        sums = [TIMES if metric in ("first", "last") else SUMS for metric in metrics]
    chance = random.Random(draw(st.integers(0, 1 << 32)))
    columns = [ADDRESSES, ADDRESSES, PORTS] if kind == "recipe" else [COLUMNS] * query.key_columns
    between = b":" if kind == "recipe" else b"\t"
    keys = {between.join(map(chance.choice, columns)) for _ in range(draw(st.sampled_from([0, 1, 5, 30, 100])))}
    lines = [b"\t".join([key, *map(chance.choice, sums)]) + b"\n" for key in sorted(keys)]
    lines += chance.choices(JUNK, k=draw(st.sampled_from([0, 0, 2])))
    chance.shuffle(lines)
    splits = [b""] * draw(st.integers(1, 4))
    for line in lines:
        splits[chance.randrange(len(splits))] += line
    if draw(st.booleans()):
        splits = [split.removesuffix(b"\n") for split in splits]
    return Sorting(query, draw(st.sampled_from([0, 0, 0, 1, 5])), splits)


LIMITS = st.builds(
    Limits,
    block_bytes=st.sampled_from([1, 40, 200, 64 << 10]),
    filtered_bytes=st.sampled_from([1, 100, 1 << 16]),
    lines_held=st.sampled_from([0, 3, 1000]),
    run_bytes=st.sampled_from([1, 100, 1000, 32 << 20]),
    fewest_lines=st.sampled_from([1, 2, 5, 100_000]),
)


def mapped(sorting: Sorting, split: bytes, reducers: int) -> tuple[bytes, str]:
    """What the sort's mapper prints and says."""
    out, err = io.BytesIO(), io.StringIO()
    arguments = ["map", "--reducers", str(reducers), *sorting.arguments]
    code = sort_blocks.main(arguments, io.BytesIO(split), out, err)
    assert code == bool(err.getvalue())
    return out.getvalue(), err.getvalue()


def merged(stdin: bytes) -> bytes:
    """What the sort's reducer prints."""
    out, err = io.BytesIO(), io.StringIO()
    assert sort_blocks.main(["merge"], io.BytesIO(stdin), out, err) == 0, err.getvalue()
    return out.getvalue()


def wanted(sorting: Sorting, split: bytes) -> tuple[bytes, str]:
    """What port_filter.py prints of a split, and what the sort says of its malformed lines."""
    out, err = io.BytesIO(), io.StringIO()
    port_filter.main(sorting.arguments, io.BytesIO(split), out, err)
    malformed = err.getvalue().strip().rpartition(",")[2]
    noun = "line" if malformed == "1" else "lines"
    said = f"sort_blocks.py: {malformed} {noun} that the first step did not write\n" if malformed else ""
    return out.getvalue(), said


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(sortings(), st.integers(1, 5), LIMITS)
def test_the_sort(sorting: Sorting, reducers: int, limits: Limits) -> None:
    """However lines are split, blocked and reduced, all wanted ones come in order, and a mapper refuses any others."""
    query = sorting.query
    expected = [wanted(sorting, split) for split in sorting.splits]
    lines = b"".join(own for own, _ in expected)
    with lowered(limits):
        outputs = [mapped(sorting, split, reducers) for split in sorting.splits]
        assert [said for _, said in outputs] == [said for _, said in expected]
        for output, _ in outputs:
            check_sorted_blocks(output, query.key_columns, reducers, limits.block_bytes)
        given_reducers = shuffled((output for output, _ in outputs), reducers, first_bytes=1)
        parts = [merged(stdin) for stdin in given_reducers]
    assert parts == [pipeline.rank(part, query) for part in parts]
    assert sorted(b"".join(parts).splitlines()) == sorted(lines.splitlines())
    if reducers == 1:
        assert parts == [pipeline.rank(lines, query)]


def check_sorted_blocks(output: bytes, key_columns: int, reducers: int, largest: int) -> None:
    """The lines of each block are in order, of one reducer, and few; its key is its reducer and its first line."""
    for key, value in pairs_of(output):
        lines = value.splitlines(keepends=True)
        assert lines == sorted(lines)
        assert key[1:] + b"\n" == lines[0]
        assert len(value) < largest + len(lines[-1])
        keys = [b"\t".join(line[16:].split(b"\t")[:key_columns]) for line in lines]
        assert {crc32(one) % reducers for one in keys} == {key[0]}


def test_a_sorted_block_by_hand() -> None:
    """A line is ranked by how far its sum is below the largest; a block's key is its reducer and its first line."""
    sorting = Sorting(Query(), 0, [])
    output, said = mapped(sorting, b"10.0.0.2:10.0.0.1:22\t1\n10.0.0.1:10.0.0.1:22\t16\n", 1)
    first, second = b"7fffffffffffffef10.0.0.1:10.0.0.1:22\t16", b"7ffffffffffffffe10.0.0.2:10.0.0.1:22\t1"
    assert output == record(b"\0" + first, first + b"\n" + second + b"\n")
    assert said == ""
    assert merged(output) == b"10.0.0.1:10.0.0.1:22\t16\n10.0.0.2:10.0.0.1:22\t1\n"
    assert mapped(sorting, b"10.0.0.2:10.0.0.1:8080\t1\n", 5) == (b"", "")
    assert mapped(sorting, b"", 5) == (b"", "")
    assert merged(b"") == b""


def test_each_reducer_has_a_number() -> None:
    """Of as many reducers as the sort allows, no two numbers come to the same one; of one more, two do."""
    most = sort_blocks.MOST_REDUCERS
    for reducers in range(1, most + 2):
        reached = {partition(bytes([number]), reducers) for number in range(reducers)}
        assert (len(reached) == reducers) == (reducers <= most)


@pytest.mark.parametrize(
    ("stdin", "said"),
    [
        (record(b"\0b", b"b\n") + record(b"\0a", b"a\n"), "not sorted by their keys"),
        (record(b"\1a", b"a\n") + record(b"\0b", b"b\n"), "not sorted by their keys"),
        (record(b"\0b", b"b\n") + record(b"\1a", b"a\n"), "those of several reducers"),
        (record(b"\0b", b"a\n"), "not its first line"),
        (record(b"\0a", b"ab\n"), "not its first line"),
        (record(b"\0\0\0\7", b"a\t1\n"), "not its first line"),
        (b"10.0.0.1:10.0.0.1:22\t16\n", "stream.reduce.input=rawbytes is missing"),
        (record(b"\0a", b"a\n")[:-1], "ends within a block"),
    ],
)
def test_blocks_that_cannot_be_merged(stdin: bytes, said: str) -> None:
    """Blocks out of order, of several reducers, of step 1, or none end the reducer with 1 and a line that says why."""
    out, err = io.BytesIO(), io.StringIO()
    assert sort_blocks.main(["merge"], io.BytesIO(stdin), out, err) == 1
    assert err.getvalue().startswith("sort_blocks.py: ")
    assert said in err.getvalue()
    assert err.getvalue().count("\n") == 1
    with pytest.raises(blocks.BadBlocksError):
        list(sort_blocks.merge(blocks.parse_blocks(io.BytesIO(stdin))))


def test_a_merge_holds_few_lines() -> None:
    """Of 200 runs of 300 lines, no more wait than twice the last block of each run, and all come in order."""
    runs, length, per_block = 200, 300, 10
    lines = [b"%016x%09d\t1\n" % (number, number) for number in range(runs * length)]
    drawn = random.Random(7)
    all_lines = lines.copy()
    drawn.shuffle(all_lines)
    made = []
    for start in range(0, len(lines), length):
        run = sorted(all_lines[start : start + length])
        pieces = [run[at : at + per_block] for at in range(0, length, per_block)]
        made += [blocks.Block(b"\3" + piece[0][:-1], b"".join(piece)) for piece in pieces]
    made.sort()
    fed = most = came = 0

    def watched() -> Iterator[blocks.Block]:
        nonlocal fed, most
        for block in made:
            fed += per_block
            most = max(most, fed - came)
            yield block

    found = []
    with lowered(Limits(fewest_lines=100)):
        for some in sort_blocks.merge(watched()):
            came += len(some)
            found += some
    assert found == lines
    assert most <= 2 * (runs + 2) * per_block


def test_a_run_is_no_larger_than_said() -> None:
    """A mapper sorts about as many bytes together as it may, and prints every run."""
    lines = [b"10.0.0.%d:10.0.0.1:22\t%d\n" % (number % 250, number) for number in range(1000)]
    keep = port_filter.Filter(port_filter.parse_arguments([]))
    with lowered(Limits(run_bytes=3000, filtered_bytes=500)):
        runs = list(sort_blocks.ranked_runs(io.BytesIO(b"".join(lines)), keep))
    assert max(sum(map(len, run)) - 16 * len(run) for run in runs) < 3000 + 600
    assert len(runs) > 5
    assert all(run == sorted(run) for run in runs)
    assert sorted(line[16:] for run in runs for line in run) == sorted(lines)


# --- the whole chain ---


class Chain(NamedTuple):
    """How the steps are run: which mappers and reducers have the kernel, and how many there are."""

    kernels: list[bool]
    parts: int
    reducers: int
    sorters: int


def answered(query: Query, contents: list[bytes], chain: Chain, folders: dict[bool, Path]) -> list[bytes]:
    """What the reducers of the sort print. Each file has a map; the output of each reducer of step 1 has another."""
    outputs = []
    turns = iter(chain.kernels * (len(contents) + chain.reducers))
    for content in contents:
        out = io.BytesIO()
        arguments = ["--delimiter", "LF", "--parts", str(chain.parts), *query.mapper_arguments()]
        with contextlib.chdir(folders[next(turns)]):
            count_files.main(arguments, reading(frames_of([content], b"\n")), out, io.StringIO(), {})
        outputs.append(out.getvalue())
    sums = []
    for stdin in shuffled(outputs, chain.reducers):
        out = io.BytesIO()
        with contextlib.chdir(folders[next(turns)]):
            assert sum_blocks.main(["--metric", ",".join(query.metric)], io.BytesIO(stdin), out, io.StringIO()) == 0
        sums.append(out.getvalue())
    sorted_blocks = [mapped(Sorting(query, 0, []), one, chain.sorters)[0] for one in sums]
    return [merged(stdin) for stdin in shuffled(sorted_blocks, chain.sorters, first_bytes=1)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Working directories with kernels and without."""
    return {True: with_kernels(tmp_path_factory.mktemp("kernel")), False: tmp_path_factory.mktemp("python")}


CHAINS = st.builds(
    Chain,
    st.sampled_from([[True], [False], [True, False], [False, True], [True, False, False]]),
    st.sampled_from([1, 2, 256]),
    st.integers(1, 3),
    st.integers(1, 3),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), CHAINS)
def test_the_steps_answer_like_run_local(
    folders: dict[bool, Path], case: tuple[Query, list[bytes]], chain: Chain
) -> None:
    """With the kernel, in Python, and with both among mappers and reducers, the steps have the local engine's bytes."""
    query, contents = case
    parts = answered(query, contents, chain, folders)
    expected, _ = asked_locally([(f"{number}.log", one) for number, one in enumerate(contents)], query)
    assert parts == [pipeline.rank(part, query) for part in parts]
    assert pipeline.rank(b"".join(parts), query) == expected
    if chain.sorters == 1:
        assert parts == [expected]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("kernels", [{}, node_kernels.FILES], ids=["python", "kernel"])
def test_programs_among_links(python: str, kernels: dict[str, Path], tmp_path: Path) -> None:
    """As on a node, where scripts and kernels are links in the working directory, four programs give the answer."""
    scripts = {name: pipeline.STREAMING / name for name in (*MAPPER_FILES, "sum_blocks.py", *SORTER_FILES)}
    for name, path in (scripts | kernels).items():
        (tmp_path / name).symlink_to(shutil.copy(path, tmp_path / f"of-{name}"))

    def run(name: str, *arguments: str, stdin: bytes) -> bytes:
        command = [python, "-I", "-S", name, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=True, cwd=tmp_path)
        assert (b"in Python" in done.stderr) == (not kernels and name in ("count_files.py", "sum_blocks.py"))
        return done.stdout

    query = Query.parse(by="srcaddr,pair", metric="bytes,first", ports="all", action="ALL")
    arguments = ["--delimiter", "KK", "--parts", "7", *query.mapper_arguments()]
    counted_files = run("count_files.py", *arguments, stdin=frames_of([PACKED, PACKED], b"KK"))
    [stdin] = shuffled([counted_files, counted_files], 1)
    summed = run("sum_blocks.py", "--metric", "bytes,first", stdin=stdin)
    blocked = run("sort_blocks.py", "map", "--reducers", "2", *query.filter_arguments(), "--top", "0", stdin=summed)
    parts = [run("sort_blocks.py", "merge", stdin=one) for one in shuffled([blocked], 2, first_bytes=1)]
    expected, _ = asked_locally([(f"{number}.log", LOG) for number in range(4)], query)
    assert all(parts)
    assert pipeline.rank(b"".join(parts), query) == expected


def test_each_program_refuses_what_is_no_blocks() -> None:
    """As programs, both reducers end with 1 and one line if they get lines of text."""
    for name, arguments in (("sum_blocks.py", []), ("sort_blocks.py", ["merge"])):
        done = pipeline.run_script(name, *arguments, stdin=LOG)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.splitlines()[-1].startswith(name.encode() + b": the input is not made of blocks")
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "stdin"),
    [
        ("sum_blocks.py", [], blocks.format_block(b"\0\0\0\0", b"a\t1\n")),
        ("sort_blocks.py", ["map"], b"10.0.0.1:10.0.0.2:443\t1\n"),
        ("sort_blocks.py", ["merge"], blocks.format_block(b"\0" + b"0" * 16 + b"a\t1", b"0" * 16 + b"a\t1\n")),
    ],
)
def test_a_reader_that_has_gone_is_said(name: str, arguments: list[str], stdin: bytes) -> None:
    """When the output cannot be written, each program says so in one line, and fails."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, name, *arguments],
        input=stdin,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        cwd=pipeline.STREAMING,
    )
    os.close(writer)
    assert done.returncode
    assert f"{name}: Broken pipe\n".encode() in done.stderr
    assert b"Traceback" not in done.stderr
