"""The lines of an answer: printed, read and checked alike for every kind of key."""

import ipaddress
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.question.clauses import METRICS
from toptalkers.question.conversations import HOWS, PAIR_COLUMNS, PAIR_SUMS
from toptalkers.question.key import RECIPE_KEY, Value, parse_key
from toptalkers.question.lines import TIME_METRICS, lines_of
from toptalkers.question.times import LARGEST_TIME, format_seconds, parse_seconds

ADDRESSES = st.ip_addresses().map(str)
PORTS = st.integers(0, 65535)
TIMES = st.integers(0, LARGEST_TIME)


def _network(version: Literal[4, 6], length: int) -> st.SearchStrategy[str]:
    def cut(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        return str(ipaddress.ip_network((address, length), strict=False))

    return st.ip_addresses(v=version).map(cut)


VALUES: dict[str, st.SearchStrategy[Value]] = {
    "srcaddr": ADDRESSES,
    "pkt-dstaddr": ADDRESSES,
    "dstport": PORTS,
    "protocol": st.integers(0, 255),
    "tcp-flags": st.integers(0, 10**15 - 1) | st.just("007"),
    "vpc-id": st.text(st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=0x21), min_size=1).filter(
        lambda text: len(text.encode()) <= 1024 and text != "-"
    ),
    "srcaddr/24": _network(4, 24) | _network(6, 64),
    "hour": TIMES.map(lambda seconds: format_seconds(seconds - seconds % 3600)),
    "service-port": PORTS,
    "side": st.sampled_from(["src", "dst", "both"]),
    "client-port": st.integers(0, 1024),
}


@given(st.data())
def test_lines_survive_printing(data: st.DataObject) -> None:
    """Any values of any parts, `-` among them, and any sums are read from the line that they are printed as."""
    parts = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=5, unique=True))
    metrics = tuple(data.draw(st.lists(st.sampled_from(METRICS), min_size=1, unique=True)))
    values = tuple(data.draw(VALUES[part] | st.just("-")) for part in parts)
    sums = tuple(data.draw(TIMES if metric in TIME_METRICS else st.integers(0, 10**38 - 1)) for metric in metrics)
    lines = lines_of(parse_key(",".join(parts)), metrics)
    printed = [
        format_seconds(one) if metric in TIME_METRICS else one for metric, one in zip(metrics, sums, strict=True)
    ]
    line = lines.format(values, printed)
    assert line.count(b"\t") == len(values) + len(sums) - 1
    assert lines.read(line) == lines.read(line.rstrip(b"\n")) == (values, sums)
    assert lines.rank(line) == sums[0]


@given(ADDRESSES, ADDRESSES, PORTS, st.lists(st.sampled_from(METRICS), min_size=1, unique=True), TIMES)
def test_the_recipes_lines_survive_printing_with_any_sums(
    src: str, dst: str, port: int, metrics: list[str], seconds: int
) -> None:
    """Colons of a time are not those of a talker, and brackets only of IPv6."""
    lines = lines_of(RECIPE_KEY, tuple(metrics))
    line = lines.format((src, dst, port), [format_seconds(seconds) if one in TIME_METRICS else 7 for one in metrics])
    sums = tuple(seconds if one in TIME_METRICS else 7 for one in metrics)
    assert lines.read(line) == ((src, dst, port), sums)
    assert lines.rank(line) == sums[0]
    assert line.count(b"[") == (":" in src) + (":" in dst)


@given(
    st.tuples(ADDRESSES, ADDRESSES, PORTS | st.just("-"), st.integers(0, 255) | st.just("-")),
    st.lists(st.integers(0, 10**38 - 1), min_size=9, max_size=9),
    st.sampled_from(HOWS),
    st.sampled_from(["bytes", "packets", "records"]),
)
def test_lines_of_pairs_survive_printing(key: tuple[Value, ...], sums: list[int], how: str, metric: str) -> None:
    """The key, nine sums and the rule that found the server; the metric's sum ranks."""
    lines = lines_of(RECIPE_KEY, (metric,), pairs=True)
    line = lines.format(key, [*sums, how])
    assert lines.read(line) == (key, tuple(sums))
    assert lines.how(line) == lines.how(line.rstrip()) == how
    assert lines.rank(line) == sums[["bytes", "packets", "records"].index(metric)]
    assert lines.names == (*PAIR_COLUMNS, *PAIR_SUMS, "how")


@pytest.mark.parametrize(
    "line",
    [
        b"192.0.2.1\t192.0.2.2\t443\t6\t9\t9\t9\t4\t5\t4\t5\t4\t5",
        b"192.0.2.1\t192.0.2.2\t443\t6\t9\t9\t9\t4\t5\t4\t5\t4\t5\tcopy",
        b"192.0.2.1\t192.0.2.2\t443\t6\t9\t9\t9\t4\t5\t4\t5\t4\t5\t?\t",
        b"192.0.2.1\t192.0.2.2\t443\t6\t9\t9\t9\t4\t5\t4\t5\t4\t05\t?",
        b"192.0.2.1\t192.0.2.2\t443\ttcp\t9\t9\t9\t4\t5\t4\t5\t4\t5\t?",
        b"192.0.2.1\t192.0.2.256\t443\t6\t9\t9\t9\t4\t5\t4\t5\t4\t5\t?",
        b"192.0.2.1:192.0.2.2:443\t9",
    ],
)
def test_what_is_no_line_of_pairs(line: bytes) -> None:
    """A line without its rule or with another one, of more columns, or with a value that its part cannot have."""
    lines = lines_of(RECIPE_KEY, ("bytes",), pairs=True)
    for read in (lines.read, lines.rank):
        with pytest.raises(ValueError, match="not a"):
            read(line + b"\n")


@pytest.mark.parametrize(
    ("key", "metrics", "line"),
    [
        ("srcaddr", "records", b"10.0.0.256\t7"),
        ("srcaddr", "records", b"[2001:db8::1]\t7"),
        ("srcaddr", "records", b"\t7"),
        ("srcaddr", "records", b"10.0.0.1"),
        ("srcaddr", "records", b"10.0.0.1\t"),
        ("srcaddr", "records", b"10.0.0.1\t07"),
        ("srcaddr", "records", b"10.0.0.1\t-7"),
        ("srcaddr", "records", b"10.0.0.1\t7\t7"),
        ("srcaddr", "bytes,last", b"10.0.0.1\t7"),
        ("srcaddr", "bytes,last", b"10.0.0.1\t7\t1793491200"),
        ("srcaddr", "last", b"10.0.0.1\t2026-11-31T00:00:00Z"),
        ("srcaddr/24", "records", b"10.0.0.0/33\t7"),
        ("srcaddr/24", "records", b"2001:db8::/129\t7"),
        ("srcaddr/24", "records", b"10.0.0.0\t7"),
        ("srcaddr,dstport", "records", b"10.0.0.1\t65536\t7"),
        ("srcaddr,dstport", "records", b"10.0.0.1:443\t7"),
        ("protocol", "records", b"256\t7"),
        ("protocol", "records", b"06\t7"),
        ("hour", "records", b"2026-02-30T18:00:00Z\t7"),
        ("hour", "records", b"2026-11-23 18:00:00\t7"),
        ("side", "records", b"neither\t7"),
        ("tcp-flags", "records", b"1000000000000000\t7"),
        ("vpc-id", "records", b"\xff\t7"),
        ("vpc-id", "records", b"a b\t7"),
        ("vpc-id", "records", b"a\x7f\t7"),
        ("vpc-id", "records", b"a" * 1025 + b"\t7"),
        ("srcaddr,dstaddr,dstport", "records", b"10.0.0.1:10.0.0.2:-\t7"),
        ("srcaddr,dstaddr,dstport", "records", b"10.0.0.1\t10.0.0.2\t443\t7"),
        ("dstaddr,srcaddr,dstport", "records", b"10.0.0.1:10.0.0.2:443\t7"),
    ],
)
def test_what_is_no_line_of_an_answer(key: str, metrics: str, line: bytes) -> None:
    """A line of another key, of other metrics, or with a value that its part cannot have, is refused."""
    lines = lines_of(parse_key(key), tuple(metrics.split(",")))
    for read in (lines.read, lines.rank):
        with pytest.raises(ValueError, match=r"not a|decode|range|month|[Ii]nvalid"):
            read(line + b"\n")


def test_a_key_and_a_metric_of_one_name() -> None:
    """Each column of CSV and JSON has another name: the key's is then called `by-bytes`."""
    assert lines_of(("bytes",), ("bytes", "records")).names == ("by-bytes", "bytes", "records")
    assert lines_of(("bytes",), ("records",)).names == ("bytes", "records")


@given(TIMES)
def test_times_survive_printing(seconds: int) -> None:
    """Up to the last second of the year 9999, in 20 characters."""
    text = format_seconds(seconds)
    assert len(text) == 20
    assert parse_seconds(text.encode()) == seconds
