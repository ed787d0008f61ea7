"""The rows of a digest in columns, as the compiled kernel exports them."""

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import ADDRESSES, FLAGS, NUMBERS, PORTS, PROTOCOLS, STARTS
from toptalkers.flowlog.columns import ColumnBatch
from toptalkers.kernel import pure
from toptalkers.kernel.columns import lines_of
from toptalkers.kernel.door import Counter
from toptalkers.question.digest import DIGEST_KEY, digest_texts
from toptalkers.question.query import Query
from toptalkers.records.parquet import describe

EITHER_ADDRESS = (*ADDRESSES, "10.0.0.1", "100.0.0.1", "1::", "10::", "-")
VALUES = {
    "interface-id": ["eni-a", "eni-b", "!", "é", "-"],
    "srcaddr": EITHER_ADDRESS,
    "dstaddr": EITHER_ADDRESS,
    "server-port": [*PORTS, "-"],
    "server-side": ["src", "dst"],
    "peer-port": [*PORTS, "-"],
    "protocol": [*PROTOCOLS, "-"],
    "packets": NUMBERS,
    "bytes": NUMBERS,
    "start": [*STARTS, "0", "253402300799999"],
    "end": [*STARTS, "0", "253402300799999"],
    "action": ["ACCEPT", "REJECT"],
    "tcp-flags": [*FLAGS, "007", "2147483647", "-"],
    "how": ["syn", "peers", "ports", "?", "copy"],
    "pkt-srcaddr": ["10.0.0.1", "1::", "-"],
    "pkt-dstaddr": ["-"],
}
QUERY = Query.parse(**digest_texts())
TIMES = (0, len(DIGEST_KEY) + 3, len(DIGEST_KEY) + 4)
FLAGS_AT = DIGEST_KEY.index("tcp-flags")


def feed(counter: Counter | pure.Counter, rows: list[list[str]], *, counts: bool = True) -> None:
    """Count rows with the columns `VALUES`, as one file."""
    columns = [pa.array([None if text == "-" else text for text in texts]) for texts in zip(*rows, strict=True)]
    counter.begin_columns(tuple(VALUES))
    counter.feed_columns(ColumnBatch(tuple(VALUES), tuple(map(describe, columns)), len(rows), columns))
    counter.end_lines()
    counter.end_file(counts=counts)


def count(rows: list[list[str]]) -> Counter:
    counter = Counter(QUERY)
    feed(counter, rows)
    return counter


def row(**values: str) -> list[str]:
    """A row with some values."""
    usual = {"srcaddr": "10.0.0.1", "dstaddr": "192.0.2.1", "start": "1793491200", "end": "1793491260"}
    return list(({name: VALUES[name][0] for name in VALUES} | usual | values).values())


def exported(counter: Counter, most: int) -> list[list[bytes]]:
    """The texts of each row that is exported, `most` rows in a batch."""
    batches = counter.exported(QUERY.lines.names, most)
    assert batches is not None
    return [line.split(b" ")[:-1] for batch in batches for line in lines_of(batch).splitlines()]


def expected(counter: Counter) -> list[list[bytes]]:
    """The same from the lines of the answer."""
    rows = [line.split(b"\t") for line in b"".join(counter.ranked(0)).splitlines()]
    for row in rows:
        for at in TIMES:
            row[at] = b"%d" % (1000 * datetime.fromisoformat(row[at].decode()).timestamp())
        if row[FLAGS_AT] != b"-":
            row[FLAGS_AT] = b"%d" % int(row[FLAGS_AT])
    return sorted(rows, key=lambda row: (int(row[0]), *(b"" if text == b"-" else text for text in row[1:4])))


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows, many of which differ in a few columns only."""
    rows = [[draw(st.sampled_from(values)) for values in VALUES.values()]]
    for _ in range(draw(st.integers(0, 30))):
        one = list(draw(st.sampled_from(rows)))
        for at in draw(st.sets(st.integers(0, len(one) - 1), max_size=3)):
            one[at] = draw(st.sampled_from(list(VALUES.values())[at]))
        rows.append(one)
    return rows


@settings(max_examples=300, deadline=None)
@given(tables(), st.sampled_from([1, 3, 1000]))
def test_exported_rows_are_those_of_the_lines(rows: list[list[str]], most: int) -> None:
    """Rows in columns have the values of the answer's lines, sorted by the first four, then in the answer's order."""
    counter = count(rows)
    assert exported(counter, most) == expected(counter)


@settings(max_examples=100, deadline=None)
@given(tables())
def test_rows_are_counted_as_in_python(rows: list[list[str]]) -> None:
    """The kernel reads the columns that only digests have as the counter in Python does."""
    counters = Counter(QUERY), pure.Counter(QUERY)
    for counter in counters:
        feed(counter, rows)
    of_c, of_python = (b"".join(counter.ranked(0)) for counter in counters)
    assert of_c == of_python


def test_many_addresses() -> None:
    """Each of more addresses than the first room holds has its own text and place."""
    counter = count([row(srcaddr=f"10.{n % 3}.{n * n % 256}.{n % 251}") for n in range(3000)])
    assert len(exported(counter, 1 << 20)) > 2000
    assert exported(counter, 500) == expected(counter)


@pytest.mark.parametrize("flags", ["2147483648", "999999999999999"])
def test_a_number_of_more_than_32_bits_is_not_exported(flags: str) -> None:
    """The counter has only lines then."""
    assert count([row(**{"tcp-flags": flags})]).exported(QUERY.lines.names, 9) is None


def test_rows_of_files_that_do_not_count_are_not_exported() -> None:
    """A file that is dropped leaves no row."""
    counter = count([row()])
    feed(counter, [row(srcaddr="10.0.0.9")], counts=False)
    assert [texts[2] for texts in exported(counter, 9)] == [b"10.0.0.1"]
    counter.clear()
    assert not exported(counter, 9)
