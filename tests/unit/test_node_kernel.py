"""The kernel on a cluster's nodes (`job/node_kernel.py`): the same lines and tally as `job/count_flows.py`."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import hatch_build
from tests import node_kernels, pipeline
from tests.sanitized import LESS
from tests.strategies import cases, joined_cases, joined_queries, queries
from tests.unit.test_scripts import PYTHONS
from toptalkers.job import count_flows, node_kernel
from toptalkers.kernel.door import Counter
from toptalkers.question.conversations import RECORD_NEEDS, record_question
from toptalkers.question.query import Query

LOGS = Path(__file__).parents[1] / "flowlogs"

DRIVER = """
import sys, count_flows, node_kernel
counter = node_kernel.KernelCounter(count_flows.parse_arguments(sys.argv[1:]), node_kernel.load())
counter.feed(sys.stdin.buffer.read())
counter.end_lines()
counter.end_file(counts=True)
counter.spill()
sys.stdout.buffer.writelines(counter.take_lines())
count_flows.report(counter.tally, sys.stderr)
"""


def options_of(query: Query) -> argparse.Namespace:
    return count_flows.parse_arguments(query.mapper_arguments())


def counter_of(query: Query) -> node_kernel.KernelCounter:
    return node_kernel.KernelCounter(options_of(query), node_kernels.load())


def count(counter: node_kernel.KernelCounter, content: bytes) -> bool:
    """Count a file; whether its lines fit their layout."""
    counter.feed(content)
    fits = counter.end_lines()
    counter.end_file(counts=True)
    return fits


def lines_of(counter: node_kernel.KernelCounter) -> list[bytes]:
    return sorted(b"".join(counter.take_lines()).splitlines(keepends=True))


def in_python(query: Query, files: Iterable[bytes]) -> tuple[list[bytes], dict[str, int]]:
    """The lines of `count_flows.py` over whole files, added up, and its tally."""
    counter = count_flows.FlowCounter(options_of(query))
    for content in files:
        counter.feed(content)
        counter.end_lines()
        counter.end_file()
    tally = count_flows.counters_of(counter.records_read, counter.counted, counter.skipped, counter.totals)
    return sorted(count_flows.printed(counter, counter.tables)), tally


def is_misfit(query: Query, content: bytes) -> bool:
    counter = count_flows.FlowCounter(options_of(query))
    counter.feed(content)
    counter.end_lines()
    counter.end_file()
    return counter.misfit_files > 0


def summed(query: Query, lines: list[bytes]) -> list[bytes]:
    """The lines with those of equal keys added up."""
    columns = query.key_columns
    table: dict[bytes, list[int]] = {}
    for line in lines:
        words = line.rstrip(b"\n").split(b"\t")
        key, own = b"\t".join(words[:columns]), list(map(int, words[columns:]))
        known = table.setdefault(key, own)
        if known is not own:
            of = {"first": min, "last": max}
            known[:] = [
                of.get(metric, lambda a, b: a + b)(one, other)
                for metric, one, other in zip(query.metric, known, own, strict=True)
            ]
    return sorted(key + b"".join(b"\t%d" % one for one in sums) + b"\n" for key, sums in table.items())


@settings(max_examples=300 // LESS, deadline=None)
@given(st.one_of(queries(), joined_queries().map(record_question)))
@example(Query.parse(by=",".join(RECORD_NEEDS)))
def test_the_kernel_gets_the_question_that_the_laptop_gives_it(query: Query) -> None:
    """From the options of the mapper comes the same question as from the query, field by field."""
    own, other = node_kernel.question_of(options_of(query)), Counter._question(query)
    for name, _ in node_kernel.Question._fields_:
        one, two = getattr(own, name), getattr(other, name)
        if name == "fields":
            assert sorted(one.split()) == sorted(two.split())
        elif name != "seed":
            assert one == two, name


def test_the_structures_are_those_of_the_laptop() -> None:
    """The question's structure is the same in both doors to the kernel."""
    theirs = type(Counter._question(Query()))
    assert list(node_kernel.Question._fields_) == list(theirs._fields_)


def cut(content: bytes, random: Random) -> Iterator[bytes]:
    """A file in pieces of any size."""
    start = 0
    while start < len(content):
        size = random.choice((1, 7, 300, 5000))
        yield content[start : start + size]
        start += size


@settings(max_examples=200 // LESS, deadline=None)
@given(st.one_of(cases(), joined_cases().map(lambda case: (record_question(case[0]), case[1]))), st.randoms())
def test_counts_like_the_rules_in_python(case: tuple[Query, list[bytes]], random: Random) -> None:
    """The lines and the tally are those of count_flows.py over the files that count, wherever sums go to the disk."""
    query, files = case
    counter = counter_of(query)
    kept: list[bytes] = []
    printed: list[bytes] = []
    spills = random.choice((0, 0.05, 0.5))
    for content in files:
        for piece in cut(content, random):
            counter.feed(piece)
            if random.random() < spills:
                counter.spill()
                assert counter.held_bytes() == 0
        assert counter.end_lines() == (not is_misfit(query, content))
        counts = random.random() < 0.7
        counter.end_file(counts=counts)
        kept += [content] if counts else []
        if random.random() < 0.2:
            printed += lines_of(counter)
    lines, tally = in_python(query, kept)
    assert summed(query, printed + lines_of(counter)) == summed(query, lines)
    assert counter.tally == tally
    assert lines_of(counter) == []


@pytest.mark.parametrize("name", ["default.log", "ipv6.log"])
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--metric", "bytes", "--ports", "all"],
        ["--metric", "first,last,packets", "--by", "hour,srcaddr/24,side", "--action", "ALL", "--ports", "all"],
    ],
)
def test_lines_are_those_of_the_mapper(name: str, arguments: list[str]) -> None:
    """One file that counts gives exactly the lines of count_flows.py, in some order, spilled or not."""
    content = (LOGS / name).read_bytes()
    done = pipeline.run_script("count_flows.py", *arguments, stdin=content)
    options = count_flows.parse_arguments(arguments)
    for spills in (False, True):
        counter = node_kernel.KernelCounter(options, node_kernels.load())
        assert count(counter, content)
        if spills:
            counter.spill()
        assert lines_of(counter) == sorted(done.stdout.splitlines(keepends=True))


def test_a_key_that_begins_like_that_of_records_needs_no_field() -> None:
    """A field that the layout lacks is `-` in a key of one's own, also of the fields that joining records needs."""
    query = Query.parse(by=",".join(RECORD_NEEDS))
    content = b"start interface-id srcaddr dstaddr srcport dstport protocol packets bytes action\n"
    content += b"1793491200 eni-1 10.0.0.1 10.0.0.2 5000 443 6 1 40 ACCEPT\n"
    counter = counter_of(query)
    assert count(counter, content)
    lines = [b"LongValueSum:1793491200\t-\teni-1\t10.0.0.1\t10.0.0.2\t5000\t443\t6\t1\t40\t1\n"]
    assert lines_of(counter) == in_python(query, [content])[0] == lines


def test_many_keys_are_printed_in_chunks_of_whole_lines() -> None:
    """More lines than a chunk holds are all printed, each once, and what counters hold is told."""
    counter = counter_of(Query.parse(ports="all"))
    record = "2 123456789012 eni-1 10.%d.%d.%d 192.0.2.1 50000 443 6 1 40 1793491200 1793491260 ACCEPT OK\n"
    content = "".join(record % (n >> 16, n >> 8 & 255, n & 255) for n in range(70_000)).encode()
    assert count(counter, content)
    assert 70_000 * 32 < counter.held_bytes() < 70_000 * 200
    chunks = list(counter.take_lines())
    assert len(chunks) > 2
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert len(set(b"".join(chunks).splitlines())) == 70_000
    assert counter.held_bytes() == 0


def test_values_that_add_up_to_too_much_end_the_script() -> None:
    """More than 2^63 - 1 is an error with a message, even if the sums were printed in between; less is not."""
    line = b"2 123456789012 eni-1 10.0.0.1 10.0.0.2 1 443 6 1 %d 1793491200 1793491260 ACCEPT OK\n"
    files = [line % (10**15 - 1) * 1000] * 10
    for at_once in (False, True):
        counter = counter_of(Query.parse(metric="bytes"))
        for content in [b"".join(files)] if at_once else files:
            count(counter, content)
            lines_of(counter)
        with pytest.raises(SystemExit, match="add up to more than"):
            _ = counter.tally


def test_values_that_just_add_up_are_printed_from_the_disk() -> None:
    """A total just below 2^63 is printed, whichever part of the spilled sums a value is in."""
    line = "2 123456789012 eni-1 10.0.%d.%d 10.0.0.2 1 443 6 1 999999999999999 1793491200 1793491260 ACCEPT OK\n"
    counter = counter_of(Query.parse(metric="bytes"))
    assert count(counter, "".join(line % divmod(n, 256) for n in range(9223)).encode())
    counter.spill()
    lines = lines_of(counter)
    assert len(lines) == 9223
    assert {line.partition(b"\t")[2] for line in lines} == {b"999999999999999\n"}
    assert counter.tally["values_high"] == 9223 * 999999999999999 >> 32


def test_a_question_that_the_kernel_cannot_answer_is_refused() -> None:
    """A question that the kernel refuses is a NoKernelError that says so, and no crash."""
    options = options_of(Query())
    options.where = "srcport:n:9-9+1-1"  # not ascending
    with pytest.raises(node_kernel.NoKernelError, match="cannot answer"):
        node_kernel.KernelCounter(options, node_kernels.load())


def test_says_why_there_is_no_kernel(tmp_path: Path) -> None:
    """A library that is missing, for another processor, or without a function is an error that says so."""
    name = f"kernel-{platform.machine()}.so"
    with pytest.raises(node_kernel.NoKernelError, match=f"there is no {name} in {tmp_path}"):
        node_kernel.load(str(tmp_path))
    other = "x86_64" if platform.machine() == "aarch64" else "aarch64"
    shutil.copy(hatch_build.JOB / hatch_build.node_library(other), tmp_path / name)
    with pytest.raises(node_kernel.NoKernelError, match=f"{name} cannot be loaded: "):
        node_kernel.load(str(tmp_path))
    (tmp_path / name).unlink()
    import _ctypes

    shutil.copy(_ctypes.__file__, tmp_path / name)  # a library with other functions
    with pytest.raises(node_kernel.NoKernelError, match="counter_new"):
        node_kernel.load(str(tmp_path))


@given(st.integers(0, 99))
def test_a_library_that_is_cut_off_is_not_loaded(percent: int) -> None:
    """A part of a library is an error that says so: to load it would end the process."""
    name = f"kernel-{platform.machine()}.so"
    whole = node_kernels.FILES[name].read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(node_kernel.NoKernelError, match=r"is cut off|cannot be loaded"):
            node_kernel.load(folder)


@pytest.mark.parametrize("python", PYTHONS)
def test_runs_without_the_package(python: str, tmp_path: Path) -> None:
    """With only what it imports and the kernel, it counts on the oldest Python of a node, through the disk."""
    names = ("blocks.py", "count_flows.py", "node_kernel.py")
    files = {name: node_kernels.JOB / name for name in names} | node_kernels.FILES
    for name, path in files.items():
        (tmp_path / name).symlink_to(path)
    content = (LOGS / "default.log").read_bytes()
    arguments = ["--metric", "bytes,last", "--by", "srcaddr,day"]
    code = f"import sys; sys.path.insert(0, {os.curdir!r})" + DRIVER
    command = [python, "-I", "-S", "-c", code, *arguments]
    done = subprocess.run(command, cwd=tmp_path, input=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    expected = pipeline.run_script("count_flows.py", *arguments, stdin=content, python=sys.executable)
    assert sorted(done.stdout.splitlines()) == sorted(expected.stdout.splitlines())
    reported = [line for line in expected.stderr.splitlines() if b"misfit_files" not in line]
    assert done.stderr.splitlines() == reported


def test_no_place_for_sums_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no file can be made for the sums, OSError says so."""
    counter = counter_of(Query())
    count(counter, (LOGS / "default.log").read_bytes())
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(OSError, match="No such file"):
        counter.spill()
