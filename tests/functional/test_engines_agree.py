"""All engines give the same bytes for any input, and follow the rules."""

import gzip
import os
import random
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import pipeline, reference
from tests.strategies import TOPS, cases
from toptalkers.answer.answer import Answer
from toptalkers.engines import QUIET, Engine, Watch, local
from toptalkers.engines import mrjob as mrjob_engine
from toptalkers.flowlog.fields import FIELDS
from toptalkers.job import count_flows
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile, Problem, find_inputs

KNOWN = set(FIELDS)
LONGEST = 1 << 20
LESS = 4 if os.environ.get("TOPTALKERS_PURE") == "1" else 1
"""The counter in Python is slower; test_pure.py has it look at more cases by itself."""
SHORT = Query.parse(log_format="srcaddr dstaddr dstport action")

# Blocks of a few lines for the local engine, so that files have several.
RECORD = b"2 123456789012 eni-0a1b2c3d4e5f60718 10.0.0.1 10.0.0.2 40000 443 6 10 8400 1793491200 1793491260 ACCEPT OK\n"


def write_files(folder: Path, contents: list[bytes]) -> list[str]:
    """Write uncompressed files in each compression, in turn: plain, gzip, gzip of several members."""
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.log"
        if number % 3 == 1 and content:
            path = folder / f"{number}.log.gz"
            content = gzip.compress(content)
        elif number % 3 == 2 and content:
            path = folder / f"{number}.log.gz"
            middle = len(content) // 2
            content = gzip.compress(content[:middle]) + gzip.compress(content[middle:])
        path.write_bytes(content)
        paths.append(str(path))
    return paths


class LocalWith:
    """The local engine with other limits, such as `block_bytes`."""

    HONOURS: Collection[str] = ()

    def __init__(self, **bounds: int) -> None:
        """Set the limits."""
        self._bounds = bounds

    def count_files(self, query: Query, files: Sequence[InputFile], *, top: int = 0, watch: Watch = QUIET) -> Answer:
        """Count like the local engine."""
        return local.count_files(query, files, top=top, watch=watch, **self._bounds)  # type: ignore[arg-type]


def run_engine(
    engine: Engine, query: Query, contents: list[bytes], top: int = 0
) -> tuple[bytes, Answer, list[Problem]]:
    """Write files and count them; return the answer's bytes, the answer and the skipped files."""
    problems: list[Problem] = []
    with tempfile.TemporaryDirectory() as folder:
        files = find_inputs(write_files(Path(folder), contents)).files
        answer = engine.count_files(query, files, top=top, watch=Watch(on_problem=problems.append))
        return b"".join(answer.chunks), answer, problems


@settings(max_examples=120 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), TOPS)
@example((SHORT, [b"", b"2026-11-01T00:00:00.000Z 2001:db8::1 10.0.0.1 0 ACCEPT"]), 0)
@example((SHORT, [b"", b"2026-11-01T00:00:00.000Z 2001:db8:0:0:0:0:0:1 fe80:: 0 ACCEPT\n"]), 0)
def test_scripts_and_local_engine_follow_the_rules(case: tuple[Query, list[bytes]], top: int) -> None:
    """The pipe of scripts and the local engine give the reference's answer, byte for byte, and its tally."""
    query, contents = case
    expected = reference.count(query, contents, KNOWN)
    piped, counters = pipeline.run(query, contents, top)
    assert piped == expected.lines(top)
    assert counters == expected.seen
    bytes_, answer, problems = run_engine(local, query, contents, top)
    whole = expected.whole
    assert whole
    assert [problem.name.rpartition("/")[2].partition(".")[0] for problem in problems] == [
        str(number) for number, is_misfit in enumerate(expected.misfits) if is_misfit or not contents[number]
    ]
    assert bytes_ == whole.lines(top)
    assert answer.tally.records_read == whole.seen["records_read"]
    assert {"counted": answer.tally.counted, **answer.tally.skipped} == whole.verdicts
    assert answer.talkers == len(whole.sums)


@settings(max_examples=6 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), TOPS)
def test_mrjob_follows_the_rules(case: tuple[Query, list[bytes]], top: int) -> None:
    """Mrjob's local runner, with one mapper per file and several reducers, gives the reference's answer."""
    query, contents = case
    expected = reference.count(query, contents, KNOWN).whole
    assert expected
    bytes_, answer, _ = run_engine(mrjob_engine, query, contents, top)
    assert bytes_ == expected.lines(top)
    assert {"counted": answer.tally.counted, **answer.tally.skipped} == expected.verdicts


@settings(max_examples=40 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.integers(1, 400), st.randoms(use_true_random=False), TOPS)
@example((Query(), [RECORD * 3 + b"\xff" * 2000 + b"\n" + RECORD]), 100, random.Random(1), 0)
def test_blocks_do_not_matter(
    case: tuple[Query, list[bytes]], block_bytes: int, order: random.Random, top: int
) -> None:
    """However a file is cut into blocks, and in any order of files, the answer is the same."""
    query, contents = case
    block_bytes = max(
        block_bytes, 1 + max((len(line) for content in contents for line in content.split(b"\n")), default=0)
    )
    whole = reference.count(query, contents, KNOWN).whole
    assert whole
    order.shuffle(contents)
    assert run_engine(LocalWith(block_bytes=block_bytes), query, contents, top)[0] == whole.lines(top)


@settings(max_examples=60, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_order_of_lines_and_splits_do_not_matter(case: tuple[Query, list[bytes]], order: random.Random) -> None:
    """Lines without headers between them may come in any order, in any number of splits."""
    query, contents = case
    one_layout = [line for content in contents for line in content.splitlines() if line[:1].isdigit()]
    together, counters = pipeline.run(query, [b"\n".join(one_layout)])
    order.shuffle(one_layout)
    cuts = sorted(order.randrange(len(one_layout) + 1) for _ in range(3))
    splits = [one_layout[a:b] for a, b in zip([0, *cuts], [*cuts, len(one_layout)], strict=True)]
    apart, counters_apart = pipeline.run(query, [b"\n".join(split) + b"\n" for split in splits])
    for seen in (counters, counters_apart):
        seen.pop("misfit_files", None)  # it depends on where the files are split
    assert (together, counters) == (apart, counters_apart)


def test_mapper_starts_again_when_it_holds_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit of a few talkers the mapper prints more often, and the answer is the same."""
    monkeypatch.setattr(count_flows, "TALKERS_HELD", 100)
    lines = b"".join(RECORD.replace(b"10.0.0.1", b"10.0.%d.%d" % (i % 7, i % 50)) for i in range(1000)) * 8
    many, _ = pipeline.count(Query(), lines)
    assert many.count(b"\n") > len(set(many.splitlines()))
    ranked, counters = pipeline.run(Query(), [lines])
    assert counters["counted"] == 8_000
    assert ranked == reference.count(Query(), [lines], KNOWN).lines()


def test_overlong_line_is_one_malformed_record() -> None:
    """A line of many megabytes, without an end, affects neither memory nor the lines around it."""
    content = RECORD + b"x" * (3 << 20) + b"\n" + RECORD
    ranked, counters = pipeline.run(Query(), [content])
    assert ranked == b"10.0.0.1:10.0.0.2:443\t2\n"
    assert counters == {"records_read": 3, "counted": 2, "malformed_columns": 1}
    assert run_engine(local, Query(), [content])[0] == ranked


@pytest.mark.parametrize("number", [LONGEST - 1, LONGEST, LONGEST + 1])
def test_longest_line_is_the_same_for_all(number: int) -> None:
    """A line of 1 MiB counts, and one more byte makes it malformed, in every engine."""
    head = b"srcaddr dstaddr dstport action account-id\n"
    start = b"10.0.0.1 10.0.0.2 443 ACCEPT "
    long = start + b"1" * (number - len(start)) + b"\n"
    good = start + b"1\n"
    content = head + good * 9 + long + good * 2
    ranked, counters = pipeline.run(Query(), [content])
    fits = number <= LONGEST
    assert ranked == b"10.0.0.1:10.0.0.2:443\t%d\n" % (11 + fits)
    assert counters == {"records_read": 12, "counted": 11 + fits, **({} if fits else {"malformed_columns": 1})}
    for block in (1 << 18, 1 << 22):
        assert run_engine(LocalWith(block_bytes=block), Query(), [content])[0] == ranked
