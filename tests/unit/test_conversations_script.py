"""The rules of `docs/conversations.md`: in the scripts that travel, and in the pure kernel, which uses them."""

from hypothesis import HealthCheck, given, settings

from tests import pipeline, truth
from tests.strategies import joined_cases
from toptalkers.flowlog.fields import FIELDS
from toptalkers.kernel import pure
from toptalkers.question.conversations import record_question
from toptalkers.question.query import Query

KNOWN = set(FIELDS)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def pure_answer(query: Query, files: list[bytes]) -> tuple[bytes, pure.Conversations]:
    """Answer a question with the pure kernel; return the lines and what made them."""
    counter = pure.Counter(record_question(query))
    for content in files:
        counter.feed(content)
        counter.end_lines()
        counter.end_file(counts=True)
    joined = pure.Conversations(query)
    joined.add_records(counter)
    assert counter.talkers == 0
    joined.finish()
    return b"".join(joined.ranked(0)), joined


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(joined_cases())
def test_pure_kernel_follows_the_rules(case: tuple[Query, list[bytes]]) -> None:
    """The pure kernel gives the oracle's lines, quality and totals."""
    query, files = case
    expected = truth.answer(query, files, KNOWN, whole=False)
    lines, joined = pure_answer(query, files)
    assert lines == b"".join(expected.lines)
    assert joined.skipped == expected.skipped
    assert joined.quality.oriented == expected.oriented
    if query.count == "once":
        found = (joined.quality.duplicates, joined.quality.collapsed, joined.quality.relayed)
        assert found == (expected.duplicates, expected.collapsed, expected.relayed)
    assert joined.talkers == len(expected.lines)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(joined_cases())
def test_steps_follow_the_rules(case: tuple[Query, list[bytes]]) -> None:
    """The scripts, one after the other with sorts between them, give the oracle's lines and counters."""
    query, files = case
    expected = truth.answer(query, files, KNOWN, whole=False)
    lines, counters = pipeline.converse(query, files)
    assert lines == b"".join(expected.lines)
    moved = {name.removeprefix("moved_"): number for name, number in counters.items() if name.startswith("moved_")}
    assert moved == expected.skipped
    assert (counters["collapsed"], counters["relayed"]) == (expected.collapsed, expected.relayed)
