"""Records in columns: the kernel counts them as it counts lines."""

import dataclasses
from array import array
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.columns import Values, batch
from toptalkers.flowlog.columns import ColumnBatch, Storage
from toptalkers.kernel.door import Counter, Misfit
from toptalkers.question.query import Query
from toptalkers.question.where import Where

COLUMNS: dict[str, Values] = {
    "srcaddr": ["10.0.0.1", "10.0.0.1", "2001:db8::1", None],
    "dstaddr": ["10.0.0.2", "10.0.0.2", "2001:db8::2", "10.0.0.2"],
    "dstport": [443, 443, 22, 22],
    "bytes": [100, 23, 7, 1],
}
ANSWER = b"10.0.0.1:10.0.0.2:443\t123\n[2001:db8::1]:[2001:db8::2]:22\t7\n"
QUERY = Query.parse(action="ALL", metric="bytes")


def count(query: Query, batches: Iterable[ColumnBatch]) -> tuple[bytes, dict[str, int], Misfit | None]:
    """Count batches of one file; return the answer, the tally and the misfit."""
    counter = Counter(query)
    for number, one in enumerate(batches):
        if not number:
            counter.begin_columns(one.names)
        counter.feed_columns(one)
    return finish(counter)


def finish(counter: Counter) -> tuple[bytes, dict[str, int], Misfit | None]:
    tally = counter.end_lines()
    misfit = counter.misfit()
    counter.end_file(counts=True)
    return b"".join(counter.ranked(0)), {"read": tally.records_read, "counted": tally.counted, **tally.skipped}, misfit


@pytest.mark.parametrize("before", [0, 1, 7, 8, 13])
@pytest.mark.parametrize("texts", [Storage.TEXTS, Storage.DICTIONARY])
@pytest.mark.parametrize("numbers", [Storage.INT_32, Storage.INT_64, Storage.TEXTS, Storage.DICTIONARY])
def test_a_value_counts_however_it_is_stored(texts: Storage, numbers: Storage, before: int) -> None:
    """Every storage, at every offset of values and bitmaps, has the same answer."""
    storages = {"srcaddr": texts, "dstaddr": texts, "dstport": numbers, "bytes": numbers}
    answer, tally, _ = count(QUERY, [batch(COLUMNS, storages, before=before)])
    assert answer == ANSWER
    assert tally == {"read": 4, "counted": 3, "malformed_address": 1}


def test_a_column_without_values_is_dashes() -> None:
    """A column that is stored nowhere, or has a value in no row, is `-` in each row."""
    for storage in Storage:
        columns = {**COLUMNS, "srcaddr": [None] * 4}
        _, tally, _ = count(QUERY, [batch(columns, {"srcaddr": storage})])
        assert tally == {"read": 4, "counted": 0, "malformed_address": 4}
    nothing = {name: [None] * 3 for name in COLUMNS}
    _, tally, _ = count(QUERY, [batch(nothing, dict.fromkeys(nothing, Storage.MISSING))])
    assert tally == {"read": 3, "counted": 0, "nodata": 3}


def test_an_index_beyond_its_dictionary_is_no_value() -> None:
    """A damaged file cannot have the kernel read other memory."""
    indices = array("i", [0, 4, -1, 1 << 30])
    whole = batch(
        {**COLUMNS, "srcaddr": ["10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5"]}, {"srcaddr": Storage.DICTIONARY}
    )
    column = dataclasses.replace(whole.columns[0], values=indices.buffer_info()[0])
    _, tally, _ = count(QUERY, [dataclasses.replace(whole, columns=(column, *whole.columns[1:]))])
    assert tally == {"read": 4, "counted": 1, "malformed_address": 3}


def test_an_empty_batch_counts_nothing() -> None:
    """A file of empty batches has no records, and the batches around an empty one count."""
    empty: dict[str, Values] = {name: [] for name in COLUMNS}
    assert count(QUERY, [batch(empty, {}), batch(empty, {})])[1] == {"read": 0, "counted": 0}
    texts = {"srcaddr": Storage.DICTIONARY, "dstaddr": Storage.TEXTS}
    assert count(QUERY, [batch(empty, texts), batch(COLUMNS, {}), batch(empty, texts)])[0] == ANSWER


def test_names_may_have_underscores() -> None:
    """Columns are named as AWS names them in Parquet."""
    columns: dict[str, Values] = {**COLUMNS, "log_status": ["OK", "NODATA", "SKIPDATA", "X"]}
    assert count(QUERY, [batch(columns, {})])[1] == {
        "read": 4,
        "counted": 1,
        "nodata": 1,
        "skipdata": 1,
        "malformed_status": 1,
    }


def test_a_negative_number_is_no_number() -> None:
    """It is malformed, also the least of 64 bits."""
    columns: dict[str, Values] = {**COLUMNS, "bytes": [-1, -(1 << 63), (1 << 63) - 1, 5]}
    assert count(QUERY, [batch(columns, {})])[1] == {
        "read": 4,
        "counted": 0,
        "malformed_number": 3,
        "malformed_address": 1,
    }


def test_a_text_with_spaces_or_line_ends_is_one_value() -> None:
    """Whatever a text holds, it is the value of its own column."""
    odd = ["a b", "10.0.0.1\n10.0.0.1 10.0.0.2 443 5", "", "srcaddr dstaddr dstport bytes"]
    columns: dict[str, Values] = {"vpc-id": odd, **COLUMNS, "srcaddr": ["10.0.0.1"] * 4}
    answer, tally, misfit = count(dataclasses.replace(QUERY, by=("dstport",)), [batch(columns, {})])
    assert (answer, tally["counted"], misfit) == (b"443\t123\n22\t8\n", 4, None)
    program = "vpc-id:t:" + "+".join(text.encode().hex() for text in odd)
    assert count(dataclasses.replace(QUERY, where=Where("", program)), [batch(columns, {})])[1]["counted"] == 4


def test_a_text_that_is_longer_than_a_line_is_malformed() -> None:
    """A row of more than 1 MiB is malformed, as such a line is, and the next row is not."""
    columns: dict[str, Values] = {"vpc-id": ["x" * (1 << 20), "y" * 100_000, "z", "z" * 3_000_000], **COLUMNS}
    assert count(QUERY, [batch(columns, {})])[1] == {"read": 4, "counted": 2, "malformed_columns": 2}


def test_a_row_counts_for_its_records() -> None:
    """The column `records` is the weight of a row in the tally and in the sum of records, and in no other sum."""
    columns: dict[str, Values] = {**COLUMNS, "records": [3, 4, 10, 5]}
    answer, tally, _ = count(dataclasses.replace(QUERY, metric=("records", "bytes")), [batch(columns, {})])
    assert answer == b"[2001:db8::1]:[2001:db8::2]:22\t10\t7\n10.0.0.1:10.0.0.2:443\t7\t123\n"
    assert tally == {"read": 22, "counted": 17, "malformed_address": 5}


def test_a_row_without_a_weight_is_malformed_once() -> None:
    """A weight that is missing, not positive or too large is no number, and the row counts as one."""
    columns: dict[str, Values] = {**COLUMNS, "records": [None, 0, -5, 10**15]}
    assert count(QUERY, [batch(columns, {})])[1] == {"read": 4, "counted": 0, "malformed_number": 4}
    text: dict[str, Values] = {**COLUMNS, "records": ["2", "x", "03", ""]}
    assert count(QUERY, [batch(text, {})])[1] == {"read": 7, "counted": 5, "malformed_number": 2}


def test_the_weight_of_a_file_does_not_reach_the_next() -> None:
    """A line counts for one, also after a file of heavy rows, and the other way round."""
    query = Query.parse(action="ALL")
    counter = Counter(query)
    line = b"srcaddr dstaddr dstport\n192.0.2.1 192.0.2.2 80\n"
    for _ in range(2):
        one = batch({**COLUMNS, "records": [10, 10, 10, 10]}, {})
        counter.begin_columns(one.names)
        counter.feed_columns(one)
        assert counter.end_lines().records_read == 40
        counter.end_file(counts=True)
        counter.feed(line)
        assert counter.end_lines().records_read == 1
        counter.end_file(counts=True)
    assert b"192.0.2.1:192.0.2.2:80\t2\n" in b"".join(counter.ranked(0))


def test_heavy_rows_do_not_hide_a_misfit() -> None:
    """Rows, not their records, say whether a file fits its layout."""
    columns: dict[str, Values] = {name: list(values[:3]) * 4 for name, values in COLUMNS.items()}
    columns["dstport"] = [443, 99999, 99999] * 4
    columns["records"] = [10**6, 1, 1] * 4
    _, tally, misfit = count(QUERY, [batch(columns, {})])
    assert tally == {"read": 4 * (10**6 + 2), "counted": 4 * 10**6, "malformed_port": 8}
    assert misfit is not None
    assert misfit.line == b"10.0.0.1 10.0.0.2 99999 23 1"
    assert (misfit.fields, misfit.by_header, misfit.is_odd) == (tuple(columns), True, False)


def test_other_columns_than_those_that_began_are_refused() -> None:
    """A batch has the columns with which its file began."""
    counter = Counter(QUERY)
    counter.begin_columns(tuple(COLUMNS))
    with pytest.raises(ValueError, match="columns"):
        counter.feed_columns(batch({name: COLUMNS[name] for name in reversed(COLUMNS)}, {}))
    whole = batch(COLUMNS, {})
    with pytest.raises(ValueError, match="3 columns, not 4"):
        counter.feed_columns(dataclasses.replace(whole, columns=whole.columns[:3]))
    with pytest.raises(ValueError, match="columns"):
        Counter(QUERY).feed_columns(whole)


_ADDRESSES = ["10.0.0.1", "10.0.0.2", "192.0.2.77", "2001:db8::1", "2001:DB8::1"], ["x", "10.0.0.300", None]
_PORTS = [0, 22, 443, 1024, 1025, 40000, 65535], [65536, -1, None]
_NUMBERS = [0, 1, 7, 1500, 999_999_999_999_999], [10**15, -3, None]
_TIMES = [1_795_111_200, 1_795_111_200_000, 5], [10**14, None]
DRAWN: dict[str, tuple[Values, Values]] = {
    "srcaddr": _ADDRESSES,
    "dstaddr": _ADDRESSES,
    "srcport": _PORTS,
    "dstport": _PORTS,
    "protocol": ([6, 17, 255], [256, None]),
    "packets": _NUMBERS,
    "bytes": _NUMBERS,
    "start": _TIMES,
    "end": _TIMES,
    "action": (["ACCEPT", "REJECT"], ["x", None]),
    "log-status": (["OK"], ["NODATA", "SKIPDATA", "y", None]),
    "tcp-flags": ([0, 2, 18], [None]),
    "vpc-id": (["vpc-0a", "vpc-0b", "\u00e9", None], ["\udcff", "", "x" * 1025]),
}
"""Of each column, values that it may have, and those that are odd."""
PROGRAMS = [
    "bytes:n:1-1500,protocol:n:6-6,and",
    "service-port:n:443-443,side:t:737263,or",
    "srcaddr:a:0a000000-0a0000ff,dstaddr:a:20010db8000000000000000000000000-20010db8ffffffffffffffffffffffff,or,not",
    "vpc-id:t:2d+7670632d3061,start:n:1795111200-1795111200,and",
    None,
]
KEYS = [
    None,
    "pair,protocol",
    "srcaddr/24/48,hour,dstaddr/0/127",
    "vpc-id,side,service-port,client-port,tcp-flags",
    "srcaddr,dstport,minute,bytes,srcport",
    "region,day,action",
]


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, Values], dict[str, Storage], int]:
    """Draw the columns of a file, mostly sound, how each is stored, and how many rows are passed over."""
    names = draw(st.permutations(list(DRAWN)))
    random = Random(draw(st.integers(0, 1 << 20)))
    rows, one_is_odd_of = random.randrange(20), random.choice([10, 100, 1000])
    columns: dict[str, Values] = {}
    for name in names:
        sound, odd = DRAWN[name]
        columns[name] = [random.choice(sound if random.randrange(one_is_odd_of) else odd) for _ in range(rows)]
    storages = {}
    for name in names:
        are_texts = any(isinstance(value, str) for value in columns[name])
        fitting = [Storage.TEXTS, Storage.DICTIONARY]
        if not are_texts:
            fitting.append(Storage.INT_64)
            if all(value is None or abs(int(value)) < 1 << 31 for value in columns[name]):
                fitting.append(Storage.INT_32)
        storages[name] = draw(st.sampled_from(fitting))
    return columns, storages, draw(st.integers(0, 20))


@settings(max_examples=200, deadline=None)
@given(
    files(),
    st.sampled_from(PROGRAMS),
    st.sampled_from(KEYS),
    st.sampled_from(["records", "bytes", "packets,last,records,first"]),
    st.sampled_from(["ALL", "ACCEPT"]),
    st.sampled_from([None, "2026-11-19T18:00:00Z"]),
    st.sampled_from(["all", "0-1024"]),
)
def test_columns_count_as_lines_do(
    file: tuple[dict[str, Values], dict[str, Storage], int],
    program: str | None,
    by: str | None,
    metric: str,
    action: str,
    since: str | None,
    ports: str,
) -> None:
    """The same records as lines and as columns have the same answer, tally and misfit."""
    columns, storages, before = file
    where = Where("", program) if program else None
    query = dataclasses.replace(Query.parse(by=by, metric=metric, action=action, since=since, ports=ports), where=where)
    lines = [" ".join(columns)]
    for row in zip(*columns.values(), strict=True):
        values = ["-" if value is None else str(value) for value in row]
        lines.append(" ".join("-" if value == "" else value for value in values))
    text = Counter(query)
    text.feed("\n".join(lines).encode(errors="surrogateescape"))
    filled = {name: ["-" if value == "" else value for value in values] for name, values in columns.items()}
    assert count(query, [batch(filled, storages, before=before)]) == finish(text)
