"""`--where` on the engines: each counts the records for which an expression holds, and no others."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import pipeline
from tests.wheres import FIELDS, SERVICE, Drawn, holds, records, wheres
from toptalkers.kernel import door, pure
from toptalkers.question.query import Query

NUMBER = "resource-id"
"""The field that has the number of a record in the file."""

TESTED = tuple(field for field in FIELDS if field not in SERVICE)
COLUMNS = (*TESTED, "log-status", NUMBER)


def line_of(record: dict[str, str], number: int) -> str:
    return " ".join([record.get(field, "-") for field in TESTED] + ["OK", str(number)])


def numbers_in(answer: bytes) -> set[str]:
    return {line.split(b"\t")[0].decode() for line in answer.splitlines()}


def has_no_space(record: dict[str, str]) -> bool:
    return not any(" " in value for value in record.values())


@settings(max_examples=60)
@given(wheres(), st.lists(records().filter(has_no_space), min_size=1, max_size=20))
def test_every_engine_counts_the_records_for_which_an_expression_holds(
    drawn: Drawn, given_records: list[dict[str, str]]
) -> None:
    """The kernel, the counter in Python and the mapper, which the clusters run."""
    query = Query.parse(by=NUMBER, where=drawn.text, ports="all", action="ALL", log_format=" ".join(COLUMNS))
    numbered = enumerate(given_records, 1)
    content = "".join(f"{line_of(record, number)}\n" for number, record in numbered).encode()
    expected = {str(number) for number, record in enumerate(given_records, 1) if holds(drawn.tree, record)}
    for counters in (door, pure):
        counter = counters.Counter(query)
        counter.feed(content)
        seen = counter.end_lines()
        counter.end_file(counts=True)
        assert numbers_in(b"".join(counter.ranked(0))) == expected
        assert (seen.counted, seen.skipped.get("where", 0)) == (len(expected), len(given_records) - len(expected))
    lines, _ = pipeline.run(query, [content])
    assert numbers_in(lines) == expected
