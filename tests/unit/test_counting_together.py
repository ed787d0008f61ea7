"""Lines that are counted together, at the edges where the result could differ from that of single lines."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import pipeline, reference
from tests.strategies import BAD_NUMBERS, BAD_PORTS, NUMBERS
from toptalkers.flowlog.fields import FIELDS
from toptalkers.job import count_flows, port_filter, sum_counts
from toptalkers.kernel.door import Counter
from toptalkers.question.query import Query

RECORD = b"2 123456789012 eni-1 10.0.0.1 10.0.0.2 49152 443 6 10 840 1793491200 1793491260 ACCEPT OK\n"
OTHER = RECORD.replace(b"10.0.0.1", b"2001:db8::1").replace(b" 443 ", b" 40000 ")
NODATA = b"2 123456789012 eni-1 - - - - - - - 1793491200 1793491260 - NODATA\n"
HEADER = b"version account-id interface-id dstaddr srcaddr srcport dstport protocol packets bytes start end action"
HEADER += b" log-status\n"

ODD = {
    "no data": NODATA,
    "no data, and an action": NODATA.replace(b" - NODATA", b" ACCEPT NODATA"),
    "an unknown status": RECORD.replace(b"OK", b"ok"),
    "rejected": RECORD.replace(b"ACCEPT", b"REJECT"),
    "another version": RECORD.replace(b"2 ", b"5 ", 1),
    "an extra column": RECORD.replace(b"OK", b"OK extra"),
    "a space behind": RECORD.replace(b"OK", b"OK "),
    "a column too few": RECORD.replace(b" 6 ", b" "),
    "one too few, then one too many": RECORD.replace(b" 6 ", b" ") + RECORD.replace(b" 6 ", b" 6 6 "),
    "one too many, then one too few": RECORD.replace(b" 6 ", b" 6 6 ") + RECORD.replace(b" 6 ", b" "),
    "two lines of one's columns": RECORD.replace(b" 49152 ", b"\n"),
    "two lines of one's columns, and a joint without": RECORD.replace(b" eni-1 ", b"\n")
    + RECORD[2:-1]
    + b" 2 "
    + RECORD,
    "a line feed in a column": RECORD.replace(b"49152", b"49\n152"),
    "a blank line": b"\n",
    "spaces, as many as a record has": b" " * 13 + b"\n",
    "blanks, as many as a record has": b" ".join([b"\t"] * 14) + b"\n",
    "an empty version": RECORD[1:],
    "a header": HEADER,
    "a field's name for a version": b"version" + RECORD[1:],
    "a bad port": RECORD.replace(b" 443 ", b" 65536 "),
    "a bad address": RECORD.replace(b"10.0.0.2", b"10.0.0.256"),
    "a bad address, and a bad number": RECORD.replace(b"10.0.0.2", b"-").replace(b" 840 ", b" x "),
    "a bad number": RECORD.replace(b" 840 ", b" 1000000000000000 "),
    "a bad start": RECORD.replace(b" 1793491200 ", b" - "),
    "another time": RECORD.replace(b" 1793491200 ", b" 1793491199999 "),
    "a mark": b"\xef\xbb\xbf" + RECORD,
    "a header behind a mark": b"\xef\xbb\xbf" + HEADER,
    "a header behind a stamp": b"2026-11-01T00:00:00.000Z " + HEADER,
    "a stamp": b"2026-11-01T00:00:00.000Z " + RECORD,
    "two stamps": b"2026-11-01T00:00:00.000Z " * 2 + RECORD,
    "a stamp, then a mark": b"2026-11-01T00:00:00.000Z \xef\xbb\xbf" + RECORD,
    "a Z and a mark inside": RECORD.replace(b"eni-1", b"Z\xef\xbb\xbf"),
}
QUERIES = [
    Query(),
    Query.parse(metric="bytes", action="ALL", ports="all"),
    Query.parse(metric="packets", action="REJECT", ports="22,443"),
    Query.parse(since="2026-11-01"),
    Query.parse(metric="bytes", until="2026-11-02", action="ALL"),
]


def assert_follows_the_rules(query: Query, content: bytes) -> None:
    """The mapper gives the reference's answer and tally, and so does the local engine's kernel."""
    expected = reference.count(query, [content], set(FIELDS))
    assert pipeline.run(query, [content]) == (expected.lines(), expected.seen)
    counter = Counter(query)
    counter.feed(content)
    tally = counter.end_lines()
    assert (counter.misfit() is not None) == expected.misfits[0]
    counter.end_file(counts=True)
    assert b"".join(counter.ranked(0)) == expected.lines()
    seen = {"records_read": tally.records_read, "counted": tally.counted, **tally.skipped}
    assert {name: number for name, number in seen.items() if number} == {
        name: number for name, number in expected.seen.items() if number and name != "misfit_files"
    }


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_odd_line_among_plain_ones(odd: bytes, query: Query) -> None:
    """Any odd line, at any position, and its neighbours count as they would by themselves."""
    plain = RECORD + OTHER + RECORD
    for content in (plain + odd + plain, odd + plain, plain + odd, odd, odd * 2 + plain + odd, plain + odd[:-1]):
        assert_follows_the_rules(query, content)


@pytest.mark.parametrize(
    "columns",
    [
        "srcaddr dstaddr dstport action log-status bytes start",
        "start bytes log-status action dstport dstaddr srcaddr",
        "dstport srcaddr log-status dstaddr bytes start action",
        "action srcaddr dstaddr start dstport log-status bytes",
        "log-status srcaddr dstaddr action start bytes dstport",
        "bytes srcaddr dstaddr dstport action start log-status",
        "srcaddr dstaddr dstport action bytes start",
    ],
)
def test_needed_fields_in_the_first_and_the_last_column(columns: str) -> None:
    """A field that shares its token with the next line's first, or the last line's last, is read correctly."""
    names = columns.split(" ")
    lines = [columns]
    for i in range(12):
        record = {
            "srcaddr": f"10.0.0.{i % 5}",
            "dstaddr": "2001:db8::1" if i % 3 else "10.0.0.300",
            "dstport": str((22, 443, 40000, 70000)[i % 4]),
            "action": ("ACCEPT", "REJECT")[i % 7 == 6],
            "log-status": ("OK", "NODATA")[i % 6 == 5],
            "bytes": str(i * 100),
            "start": str(1793491198 + i),
        }
        lines.append(" ".join(record[name] for name in names))
    for query in QUERIES:
        if "packets" not in query.mapper_arguments():
            assert_follows_the_rules(query, "\n".join(lines).encode())


@pytest.mark.parametrize("offset", range(-2, 3))
def test_blocks_that_end_about_a_line_feed(monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    """A block may end right before, at or after a line end."""
    monkeypatch.setattr(count_flows, "BLOCK_BYTES", 3 * len(RECORD) + offset)
    assert_follows_the_rules(Query(), RECORD * 10 + NODATA + HEADER + RECORD * 10 + RECORD[:20])


def test_ports_together_are_ports_each() -> None:
    """The check of many ports at once gives the same as that of each, by itself and among others."""
    texts = [*(b"%d" % number for number in range(120_000)), *(text.encode() for text in BAD_PORTS)]
    texts += [b"000", b"00000", b"01024", b"065535", b"4\n43", b"443\n"]
    for text in texts:
        is_port = text in count_flows.ALL_PORTS
        assert count_flows.are_ports(text) == is_port, text
        assert count_flows.are_ports(b"22 " + text) == count_flows.are_ports(text + b" 22") == is_port, text


@pytest.mark.parametrize("text", [*NUMBERS, *BAD_NUMBERS])
def test_numbers_together_are_numbers_each(text: str) -> None:
    """The check of many numbers at once gives the same as that of each."""
    for texts in ([text], [text, "1"], ["1", text]):
        encoded = [text.encode() for text in texts]
        assert count_flows.are_numbers(encoded) == all(map(count_flows.NUMBER.fullmatch, encoded))


def sum_counts_of(lines: bytes) -> bytes | None:
    """Return the reducer's output, or None if it refuses."""
    out = io.BytesIO()
    return out.getvalue() if sum_counts.main([], io.BytesIO(lines), out, io.StringIO()) == 0 else None


def test_lines_of_one_talker_alone_are_sums_too() -> None:
    """The only line of a talker is printed as its sum, in any spelling of its number, and is still checked."""
    assert sum_counts_of(b"LongValueSum:a\t5\nLongValueSum:b\t007\nLongValueSum:c\t0") == b"a\t5\nb\t7\nc\t0\n"
    assert sum_counts_of(b"LongValueSum:a\t5 \nLongValueSum:b\t1\nLongValueSum:b\t2\r\n") == b"a\t5\nb\t3\n"
    assert sum_counts_of(b"LongValueSum:a\t0\nLongValueSum:a\t0\n") == b"a\t0\n"
    assert sum_counts_of(b"") == b""
    good = b"LongValueSum:a\t1\n"
    for bad in (b"LongValueSum;\t1\n", b"LongValueSum:b\t\n", b"LongValueSum:b\t1x\n", b"LongValueSum\t1\n", b"\t1\n"):
        assert sum_counts_of(bad) is sum_counts_of(good + bad) is sum_counts_of(bad + good) is None, bad


NO_COUNTS = st.one_of(
    st.integers(max_value=-1).map(lambda number: b"%d" % number),
    st.integers(2**63, 10**30).map(lambda number: b"%d" % number),
    st.integers(20, 9000).map(lambda digits: b"9" * digits),
    st.sampled_from([b"", b" ", b"+1", b"1_0", b"1 0", b"\xb2", b"0x1", b"1e3", b"1.0", b"5\t5", b"-0"]),
    st.binary(max_size=9).filter(lambda text: b"\n" not in text and not text.strip().isdigit()),
)


@given(number=NO_COUNTS, before=st.integers(0, 3))
def test_no_count_is_summed(number: bytes, before: int) -> None:
    """In a talker's first line or a later one: it is refused, in one line, and nothing is summed with it."""
    lines = b"LongValueSum:a\t1\n" * before + b"LongValueSum:a\t" + number + b"\n"
    out, err = io.BytesIO(), io.StringIO()
    assert sum_counts.main([], io.BytesIO(lines), out, err) == 1
    assert (out.getvalue(), err.getvalue().count("\n")) == (b"", 1)
    assert len(err.getvalue()) < 1000


@given(st.lists(st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 9)), min_size=1, max_size=5))
def test_a_sum_is_exact_or_refused(numbers: list[int]) -> None:
    """Up to 2^63 - 1 sums are exact, like Hadoop's; larger ones are refused."""
    total = sum(numbers)
    expected = b"a\t%d\n" % total if total < 2**63 else None
    assert sum_counts_of(b"".join(b"LongValueSum:a\t%d\n" % number for number in numbers)) == expected


@given(
    line=st.one_of(
        st.integers(20, 9000).map(lambda digits: b"10.0.0.1:10.0.0.2:443\t" + b"9" * digits),
        st.integers(16, 9000).map(lambda digits: b"1" * digits + b":10.0.0.2:443\t5"),
        st.integers(46, 9000).map(lambda digits: b"10.0.0.2:[" + b":" * digits + b"]:443\t5"),
        st.just(b"x" * (2 << 20)),
        st.binary(max_size=30).filter(lambda text: b"\n" not in text),
    ),
    top=st.integers(0, 2),
)
def test_lines_of_any_length_are_talkers_or_tallied(line: bytes, top: int) -> None:
    """A line that cannot be a talker and a sum is skipped and reported, for any question."""
    out, err = io.BytesIO(), io.StringIO()
    good = b"10.0.0.1:10.0.0.2:443\t7\n"
    port_filter.main(["--top", str(top)], io.BytesIO(line + b"\n" + good), out, err)
    assert out.getvalue() == good
    assert err.getvalue() == "reporter:counter:toptalkers,malformed_talkers,1\n"


def test_first_lines_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--top`, a dropped talker is never one of the first, even with equal sums or malformed lines nearby."""
    monkeypatch.setattr(port_filter, "LINES_HELD", 3)
    monkeypatch.setattr(port_filter, "BLOCK_BYTES", 50)
    lines = [b"10.0.0.%d:10.0.0.2:%d\t%d\n" % (i * 37 % 101, i % 2000, i * 7919 % 50) for i in range(2000)]
    lines += [b"junk\n", b"10.0.0.1:10.0.0.2:443\t\n", b"\n"]
    lines.append(b"[::1]:[::2]:443\t49")
    kept = [line for line in lines[:2000] if int(line.split(b":")[2].split(b"\t")[0]) <= 1024]
    kept.append(lines[-1] + b"\n")  # others are printed behind it
    kept.sort(key=lambda line: (-int(line.split(b"\t")[1]), line))
    for top in (1, 7, 500):
        out, err = io.BytesIO(), io.StringIO()
        port_filter.main(["--top", str(top)], io.BytesIO(b"".join(lines)), out, err)
        assert out.getvalue() == b"".join(kept[:top])
        assert err.getvalue() == "reporter:counter:toptalkers,malformed_talkers,3\n"


def test_many_lines_of_one_column() -> None:
    """Lines of a layout with one column are counted, however many there are."""
    lines = b"srcaddr\n" + b"10.0.0.1\n10.0.0.2\n10.0.0.1\n" * 1000
    out, err = io.BytesIO(), io.StringIO()
    count_flows.main(["--by", "srcaddr", "--ports", "all", "--action", "ALL"], io.BytesIO(lines), out, err)
    assert sorted(out.getvalue().splitlines()) == [b"LongValueSum:10.0.0.1\t2000", b"LongValueSum:10.0.0.2\t1000"]
