"""Conversations counted once, and pairs: every engine gives the oracle's answer, byte for byte, and its tally."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import truth
from tests.functional.test_engines_agree import LocalWith, run_engine
from tests.strategies import TOPS, joined_cases
from tests.truth import Truth
from toptalkers.answer.answer import Answer
from toptalkers.engines import local
from toptalkers.engines import mrjob as mrjob_engine
from toptalkers.flowlog.fields import FIELDS
from toptalkers.question.query import Query

KNOWN = set(FIELDS)
LESS = 4 if os.environ.get("TOPTALKERS_PURE") == "1" else 1
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
Case = tuple[Query, list[bytes]]


def compare(answer: Answer, lines: bytes, expected: Truth, top: int) -> None:
    """Check an engine's answer: lines, tally, quality, totals."""
    assert lines == b"".join(expected.lines[: top or None])
    assert {"counted": answer.tally.counted, **answer.tally.skipped} == expected.verdicts
    assert answer.talkers in (len(expected.lines), None)
    quality = answer.quality
    assert {how: number for how, number in quality.oriented.items() if number} == expected.oriented
    found = [number or 0 for number in (quality.duplicates, quality.collapsed, quality.relayed)]
    is_once = answer.query.count == "once"
    assert found == ([expected.duplicates, expected.collapsed, expected.relayed] if is_once else [0, 0, 0])
    assert answer.totals == expected.totals(answer.query)


@settings(max_examples=200 // LESS, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), TOPS)
def test_local_engine_follows_the_rules(case: Case, top: int) -> None:
    """The local engine gives the oracle's lines, tally, quality and totals."""
    query, contents = case
    lines, answer, _ = run_engine(local, query, contents, top)
    compare(answer, lines, truth.answer(query, contents, KNOWN), top)


@settings(max_examples=40 // LESS, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), st.integers(400, 2000), st.randoms(use_true_random=False))
def test_neither_blocks_nor_the_order_of_files_matter(case: Case, block_bytes: int, order: object) -> None:
    """However files are cut into blocks, and in any order of files, the answer is the same."""
    query, contents = case
    expected = truth.answer(query, contents, KNOWN)
    order.shuffle(contents)  # type: ignore[attr-defined]
    engine = LocalWith(block_bytes=block_bytes)
    lines, answer, _ = run_engine(engine, query, contents)
    compare(answer, lines, expected, 0)


@settings(max_examples=5 // LESS or 1, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), TOPS)
def test_mrjob_follows_the_rules(case: Case, top: int) -> None:
    """Mrjob's local runner gives the oracle's answer."""
    query, contents = case
    lines, answer, _ = run_engine(mrjob_engine, query, contents, top)
    compare(answer, lines, truth.answer(query, contents, KNOWN), top)
