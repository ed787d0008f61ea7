"""Conversations counted once, and pairs: every engine gives the oracle's answer, byte for byte, and its tally."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from tests import pipeline, truth
from tests.functional.test_engines_agree import LocalWith, run_engine
from tests.strategies import TOPS, joined_cases
from tests.truth import Truth
from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.quality import Quality
from toptalkers.engines import local
from toptalkers.engines import mrjob as mrjob_engine
from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import FIELDS
from toptalkers.kernel import door, pure
from toptalkers.question.clauses import ALL_PORTS, format_ports
from toptalkers.question.conversations import record_question
from toptalkers.question.digest import check_question, digest_texts
from toptalkers.question.query import Query

KNOWN = set(FIELDS)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
LACKING = ("without_flags", "without_packet_addresses")
Case = tuple[Query, list[bytes]]


def of_digests(query: Query) -> Query:
    """The question of digests that have all of the rows, and only those, that count for a question."""
    texts = {name: text for name, text in query.texts().items() if name in ("since", "until", "where", "log_format")}
    ports = "all" if query.pairs else format_ports(query.ports)
    return Query.parse(**digest_texts(**texts, ports=ports, action=query.action))


def compare(answer: Answer, lines: bytes, expected: Truth, top: int) -> None:
    """Check an engine's answer: lines, tally, quality, totals."""
    assert lines == b"".join(expected.lines[: top or None])
    assert {"counted": answer.tally.counted, **answer.tally.skipped} == expected.verdicts
    assert answer.talkers in (len(expected.lines), None)
    check_quality(answer.quality, expected)
    if answer.tally.files_read:  # without a file, the engines that run scripts know of no totals
        assert answer.totals == expected.totals(answer.query)


def check_quality(quality: Quality, expected: Truth) -> None:
    """Check what is known about how well the numbers hold."""
    assert {how: number for how, number in quality.oriented.items() if number} == expected.oriented
    found = [number or 0 for number in (quality.duplicates, quality.collapsed, quality.relayed)]
    assert found == [expected.duplicates, expected.collapsed, expected.relayed]
    assert [getattr(quality, name) or 0 for name in LACKING] == [getattr(expected, name) for name in LACKING]


def check_counters(query: Query, counters: dict[str, int], expected: Truth) -> None:
    """Check what scripts report."""
    assert expected.reading
    seen = Counter(expected.reading.seen)
    seen.update({f"moved_{reason}": number for reason, number in expected.skipped.items()})
    copies = sum(row.records for row in expected.rows if row.how == "copy")
    seen.update({"duplicates": copies, "relayed": expected.relayed, "collapsed": expected.collapsed})
    seen.update({f"oriented_{'none' if how == '?' else how}": number for how, number in expected.oriented.items()})
    seen.update({name: getattr(expected, name) for name in LACKING})
    for metric, total in expected.totals(query).items() if query.joins_records else ():
        assert (counters.get(f"values_high_{metric}", 0) << 32) + counters.get(f"values_low_{metric}", 0) == total
    assert {name: number for name, number in counters.items() if not name.startswith("values_")} == dict(+seen)


def counted(module: ModuleType, query: Query, contents: list[bytes]) -> Iterator[tuple[Any, Tally]]:
    """Yield a counter of the records of each file, and its tally; both are empty for one that does not fit."""
    for content in contents:
        counter = module.Counter(record_question(query))
        counter.feed(content)
        tally = counter.end_lines()
        fits = counter.misfit() is None and tally.records_read > tally.skipped.get("malformed_columns", 0)
        counter.end_file(counts=fits)
        yield counter, tally if fits else Tally()


def joined(module: ModuleType, query: Query, contents: list[bytes]) -> tuple[Any, Tally]:
    """Have counters and conversations of one kind answer, without an engine around them; and the tally."""
    total = Tally()
    conversations = module.Conversations(query)
    for counter, tally in counted(module, query, contents):
        total += tally
        conversations.add_records(counter)
    conversations.finish()
    return conversations, total


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), TOPS, st.booleans())
def test_scripts_follow_the_rules(case: Case, top: int, is_digest: bool) -> None:
    """The pipe of scripts gives the oracle's lines and tally; for a digest its rows."""
    query, contents = case
    query = of_digests(replace(query, ports=ALL_PORTS)) if is_digest else query
    expected = truth.answer(query, contents, KNOWN, whole=False)
    lines, counters = pipeline.converse(query, contents, top)
    assert lines == b"".join(expected.lines[: top or None])
    check_counters(query, counters, expected)


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), TOPS, st.booleans())
@pytest.mark.parametrize("module", [pure, door], ids=["in Python", "in C"])
def test_kernels_follow_the_rules(module: ModuleType, case: Case, top: int, is_digest: bool) -> None:
    """Both kernels give the oracle's lines, tally, quality and totals; for a digest its rows."""
    query, contents = case
    query = of_digests(replace(query, ports=ALL_PORTS)) if is_digest else query
    expected = truth.answer(query, contents, KNOWN)
    conversations, tally = joined(module, query, contents)
    check_quality(conversations.quality, expected)
    verdicts = Counter({"counted": tally.counted, **tally.skipped})
    verdicts.update(conversations.skipped)
    verdicts["counted"] -= sum(conversations.skipped.values())
    assert verdicts == Counter(expected.verdicts)
    if is_digest:
        assert b"".join(conversations.folded().ranked(0)) == b"".join(expected.lines)
        return
    assert b"".join(conversations.ranked(top)) == b"".join(expected.lines[: top or None])
    assert conversations.talkers == len(expected.lines)
    totals = expected.totals(query)
    metrics = query.metric[:1] if query.pairs else query.metric
    assert conversations.totals == tuple(totals.get(metric, 0) for metric in metrics)


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), TOPS)
@pytest.mark.parametrize("module", [pure, door], ids=["in Python", "in C"])
def test_rows_of_digests_beside_records(module: ModuleType, case: Case, top: int) -> None:
    """Both kernels give the oracle's lines of the rows of a digest of some files and the records of the others."""
    query, contents = case
    try:
        check_question(replace(query, since=None, until=None, where=None))
    except UsageError:
        reject()
    digest = of_digests(query)
    half = len(contents) // 2
    of_records, of_digest = (
        truth.answer(one, some, KNOWN) for one, some in ((query, contents[:half]), (digest, contents[half:]))
    )
    first, _ = joined(module, digest, contents[half:])
    conversations = module.Conversations(query)
    conversations.add_folded(first.folded())
    for counter, _ in counted(module, query, contents[:half]):
        conversations.add_records(counter)
    conversations.finish()
    expected = truth.of_rows(query, [*of_records.rows, *of_digest.rows])
    assert b"".join(conversations.ranked(top)) == b"".join(expected.lines[: top or None])
    assert Counter(conversations.skipped) == expected.skipped + of_records.skipped - Counter(
        {reason: number for reason, number in of_records.skipped.items() if reason in ("ports", "duplicate")}
    )


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), TOPS)
def test_local_engine_follows_the_rules(case: Case, top: int) -> None:
    """The local engine gives the oracle's lines, tally, quality and totals."""
    query, contents = case
    lines, answer, _ = run_engine(local, query, contents, top)
    compare(answer, lines, truth.answer(query, contents, KNOWN), top)


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), st.integers(400, 2000), st.randoms(use_true_random=False))
def test_neither_blocks_nor_the_order_of_files_matter(case: Case, block_bytes: int, order: object) -> None:
    """However files are cut into blocks, and in any order of files, the answer is the same."""
    query, contents = case
    expected = truth.answer(query, contents, KNOWN)
    order.shuffle(contents)  # type: ignore[attr-defined]
    engine = LocalWith(block_bytes=block_bytes)
    lines, answer, _ = run_engine(engine, query, contents)
    compare(answer, lines, expected, 0)


@settings(max_examples=3, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), TOPS)
def test_mrjob_follows_the_rules(case: Case, top: int) -> None:
    """Mrjob's local runner gives the oracle's answer."""
    query, contents = case
    lines, answer, _ = run_engine(mrjob_engine, query, contents, top)
    compare(answer, lines, truth.answer(query, contents, KNOWN), top)
