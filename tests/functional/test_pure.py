"""The counter in Python gives the same as the compiled kernel: sums, tallies, verdicts and their texts."""

import _ctypes
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.columns import Values, batch
from tests.functional.test_engines_agree import RECORD
from tests.render import ROOT
from tests.strategies import cases
from toptalkers.answer.answer import Tally, TooLargeError
from toptalkers.kernel import door, pure
from toptalkers.question.query import Query

FLOWLOGS = ROOT / "tests/flowlogs"
BAD = RECORD.replace(b"ACCEPT", b"ACCEPTED")
ODD = RECORD.replace(b" 6 ", b" 999 ")


def read(counter: door.Counter | pure.Counter, content: bytes, cut: int) -> tuple[Tally, object, bool]:
    """Count a file in pieces of so many bytes; it counts if it fits."""
    for start in range(0, len(content), cut):
        counter.feed(content[start : start + cut])
    tally, misfit = counter.end_lines(), counter.misfit()
    counter.end_file(counts=misfit is None)
    return tally, misfit and tuple(misfit), misfit is None


def lines(counter: door.Counter | pure.Counter, top: int = 0) -> bytes:
    return b"".join(counter.ranked(top))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.integers(1, 3000))
@example((Query(), [RECORD * 70 + BAD * 3 + ODD * 400]), 999)
@example((Query(), [b"\xef\xbb\xbf2026-11-01T00:00:00Z " + ODD + BAD + RECORD]), 7)
@example((Query(), [RECORD * 40 + BAD + BAD.replace(b"eni", b"srcaddr") + BAD]), 1 << 20)
@example((Query(), [RECORD * 40 + b"\x1f\x8b\x08 packed \r\n\r" + BAD, RECORD * 9 + b"x" * (3 << 20), RECORD]), 1 << 18)
@example((Query(), [b"srcaddr dstaddr dstport action\n10.0.0.1 10.0.0.2 443 ACCEPT  \n" + BAD * 20]), 64)
def test_every_file_is_judged_alike(case: tuple[Query, list[bytes]], cut: int) -> None:
    """Tally, verdict and example of each file, and the sums of the fitting files, for any cuts."""
    query, contents = case
    ours, theirs = pure.Counter(query), door.Counter(query)
    for content in contents:
        assert read(ours, content, cut) == read(theirs, content, cut)
    assert lines(ours) == lines(theirs)
    assert lines(ours, 3) == lines(theirs, 3)
    assert (ours.talkers, ours.total) == (theirs.talkers, theirs.total)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.integers(1, 9), st.booleans())
def test_sums_that_travel_are_the_sums(case: tuple[Query, list[bytes]], every: int, last_counts: bool) -> None:
    """Absorbed, serialised, or moved to the disk in the middle of a file that counts or not: the answer is the same."""
    query, contents = case
    whole, absorbing, unpacking, disk = (pure.Counter(query) for _ in range(4))
    with tempfile.TemporaryFile(buffering=0) as file:
        spilled = pure.SpilledSums(file.fileno())
        for number, content in enumerate(contents):
            counts = last_counts or number + 1 < len(contents)
            part = pure.Counter(query)
            for counter in (whole, part, disk):
                for start in range(0, len(content), 200):
                    counter.feed(content[start : start + 200])
                    if counter is disk and start // 200 % every == 0:
                        spilled.take(disk)
                counter.end_lines()
                counter.end_file(counts=counts)
            unpacking.add_packed(part.pack())
            absorbing.absorb(part)
            assert (part.rows, lines(part)) == (0, b"")
        spilled.take(disk)
        end, rankings = spilled.bytes_, []
        for part_number in range(pure.PARTS):
            fetched = pure.Counter(query)
            spilled.fetch(part_number, fetched)
            ranked = lines(fetched)
            os.pwrite(file.fileno(), ranked, end)
            rankings.append((end, end + len(ranked)))
            end += len(ranked)
        for top in (0, 2):
            assert b"".join(pure.merge_rankings(file.fileno(), rankings, top, query.key_columns)) == lines(whole, top)
    assert lines(absorbing) == lines(unpacking) == lines(whole)


@pytest.mark.parametrize("rows", [b"junk", b"10.0.0.1 10.0.0.2 443 -1\n", b"10.0.0.1 10.0.0.2 70000 1\n", b"a b 1 1\n"])
def test_what_is_no_packed_sum_is_refused(rows: bytes) -> None:
    """No part of it is added."""
    counter = pure.Counter(Query())
    with pytest.raises(ValueError, match=r"no packed sums|not a line"):
        counter.add_packed(b"10.0.0.1 10.0.0.2 443 1\n" + rows)
    assert counter.rows == 0


@pytest.mark.parametrize("last", [2, 0, -1, None, 10**15])
def test_rows_that_count_for_several_records(last: int | None) -> None:
    """A row's column `records` is its weight, as in the kernel; a file of lines after it has none."""
    columns: dict[str, Values] = {
        "srcaddr": ["10.0.0.1", "10.0.0.2", None, "10.0.0.1"],
        "bytes": [5, 6, 7, 8],
        "log-status": ["OK", "NODATA", "OK", "OK"],
        "records": [1000, 3, 7, last],
    }
    query = Query.parse(by="srcaddr", metric="records,bytes", ports="all", action="ALL")
    results = []
    for counter in (pure.Counter(query), door.Counter(query)):
        counter.begin_columns(tuple(columns))
        counter.feed_columns(batch(columns, {}))
        found = [counter.end_lines()]
        counter.end_file(counts=True)
        counter.feed(b"srcaddr bytes records\n10.0.0.1 1 5\n")
        found.append(counter.end_lines())
        counter.end_file(counts=True)
        results.append((found, lines(counter), counter.totals))
    assert results[0] == results[1]
    assert results[0][0][0].skipped["nodata"] == 3


def test_too_large_a_total_is_refused() -> None:
    """As in the kernel: a file that does not count takes its values back, one that counts keeps them."""
    query = Query.parse(metric="bytes", action="ALL", log_format="srcaddr dstaddr dstport bytes")
    line = b"10.0.0.1 10.0.0.2 443 999999999999999\n"
    counter = pure.Counter(query)
    for number, counts in ((9223, True), (1, False)):
        counter.feed(line * number)
        counter.end_lines()
        counter.end_file(counts=counts)
    assert counter.total == 9223 * 999999999999999
    counter.feed(line)
    with pytest.raises(TooLargeError):
        _ = counter.total


def test_it_has_the_doors_of_the_kernel() -> None:
    """The objects that `counter.py` takes from either have the same methods, with the same parameters."""
    for name in ("Counter", "SpilledSums"):
        for method, function in inspect.getmembers(getattr(door, name), inspect.isfunction):
            if not method.startswith("_"):
                ours = getattr(getattr(pure, name), method)
                assert list(inspect.signature(ours).parameters) == list(inspect.signature(function).parameters), method
    assert inspect.signature(pure.merge_rankings) == inspect.signature(door.merge_rankings)
    assert (pure.PARTS, pure.Misfit._fields) == (door.PARTS, door.Misfit._fields)


@pytest.mark.parametrize("is_old", [False, True])
def test_without_a_kernel_it_counts_and_says_so_once(tmp_path: Path, is_old: bool) -> None:
    """A package without its kernel, or with that of another version, gives the same answer, and says why it is slow."""
    shutil.copytree(ROOT / "src/toptalkers", tmp_path / "toptalkers", ignore=shutil.ignore_patterns("*.so"))
    if is_old:
        shutil.copy(_ctypes.__file__, tmp_path / "toptalkers/kernel/kernel.so")  # any library with other functions
    command = [sys.executable, "-m", "toptalkers", "run-local", "--ports", "all", str(FLOWLOGS)]
    without, forced, compiled = (
        subprocess.run(command, env={**os.environ, **extra}, cwd=ROOT, capture_output=True, text=True, check=False)
        for extra in ({"PYTHONPATH": str(tmp_path)}, {"TOPTALKERS_PURE": "1"}, {})
    )
    for done, reason in ((without, "kernel.so"), (forced, "TOPTALKERS_PURE")):
        said, _, rest = done.stderr.partition("\n")
        assert (done.returncode, done.stdout, rest) == (compiled.returncode, compiled.stdout, compiled.stderr)
        assert said.startswith("counting in Python")
        assert reason in said


def test_the_local_engine_is_the_same_with_it() -> None:
    """Its own tests, and those of the cache, of too large sums and whole records, pass with the counter in Python."""
    names = ("engines_agree", "cache", "bigger_than_memory", "local_conversations")
    tests = [f"tests/functional/test_{name}.py" for name in names]
    others = "mrjob or mapper or order_of_lines or line_is or overlong or manifest or command"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"not ({others})", *tests],
        cwd=ROOT,
        env={**os.environ, "TOPTALKERS_PURE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
