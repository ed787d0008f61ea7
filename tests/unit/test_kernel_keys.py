"""The parts of a key in the compiled kernel: what is read, how it is printed, and in which order."""

from collections.abc import Callable, Mapping

import pytest

from toptalkers.kernel.door import Counter
from toptalkers.question.query import Query

LAYOUT = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "start", "end", "bytes", "vpc-id", "tcp-flags")
RECORD = ("10.0.0.1", "10.0.0.2", "50000", "443", "6", "1793491200", "1793491260", "40", "vpc-1", "19")


def record(**values: str) -> bytes:
    """A line with some values other than usual; names with underscores."""
    of = dict(zip(LAYOUT, RECORD, strict=True)) | {name.replace("_", "-"): value for name, value in values.items()}
    return " ".join(of.values()).encode() + b"\n"


def count(content: bytes, by: str, metric: str = "records", ports: str = "all") -> tuple[list[str], Mapping[str, int]]:
    """The lines of the answer, and why records were skipped."""
    query = Query.parse(by=by, metric=metric, ports=ports, action="ALL", log_format=" ".join(LAYOUT))
    counter = Counter(query)
    counter.feed(content)
    skipped = counter.end_lines().skipped
    counter.end_file(counts=True)
    return b"".join(counter.ranked(0)).decode().splitlines(), skipped


@pytest.mark.parametrize(
    ("by", "values", "printed"),
    [
        ("srcaddr", {"srcaddr": "2001:DB8::0001"}, "2001:DB8::0001"),
        ("srcaddr", {"srcaddr": "-"}, "-"),
        ("srcaddr/24", {}, "10.0.0.0/24"),
        ("srcaddr/0", {}, "0.0.0.0/0"),
        ("srcaddr/32", {}, "10.0.0.1/32"),
        ("srcaddr/9", {"srcaddr": "10.255.0.1"}, "10.128.0.0/9"),
        ("srcaddr/24", {"srcaddr": "2001:DB8:0:0:1::1"}, "2001:db8::/64"),
        ("srcaddr/24/128", {"srcaddr": "2001:db8:0:0:1:0:0:1"}, "2001:db8::1:0:0:1/128"),
        ("srcaddr/24/128", {"srcaddr": "1:0:2:3:4:5:6:7"}, "1:0:2:3:4:5:6:7/128"),
        ("srcaddr/24/128", {"srcaddr": "::ffff:192.0.2.1"}, "::ffff:c000:201/128"),
        ("srcaddr/24/128", {"srcaddr": "::"}, "::/128"),
        ("srcaddr/24/33", {"srcaddr": "2001:db8:ffff::1"}, "2001:db8:8000::/33"),
        ("srcaddr/24/0", {"srcaddr": "2001:db8::1"}, "::/0"),
        ("srcaddr/24", {"srcaddr": "-"}, "-"),
        ("srcport", {"srcport": "-"}, "-"),
        ("protocol", {"protocol": "255"}, "255"),
        ("bytes", {"bytes": "007"}, "007"),
        ("bytes", {"bytes": "999999999999999"}, "999999999999999"),
        ("tcp-flags", {"tcp_flags": "-"}, "-"),
        ("vpc-id", {"vpc_id": "é" * 512}, "é" * 512),
        ("instance-id", {}, "-"),
        ("flow-direction,srcport", {}, "-\t50000"),
        ("minute", {"start": "1793491259"}, "2026-11-01T00:00:00Z"),
        ("hour", {"start": "1793494799999"}, "2026-11-01T00:00:00Z"),
        ("day", {"start": "1793577599"}, "2026-11-01T00:00:00Z"),
        ("minute", {"start": "253402300799"}, "1978-01-11T21:31:00Z"),
        ("minute", {"start": "253402300799999"}, "9999-12-31T23:59:00Z"),
        ("day", {"start": "951782400"}, "2000-02-29T00:00:00Z"),
        ("hour", {"start": "0"}, "1970-01-01T00:00:00Z"),
        ("hour", {"start": "-"}, "-"),
        ("pair", {"srcaddr": "9.0.0.1"}, "10.0.0.2\t9.0.0.1"),
        ("pair", {"srcaddr": "10.0.0.2", "dstaddr": "10.0.0.10"}, "10.0.0.10\t10.0.0.2"),
        ("pair", {"srcaddr": "2001:db8::1"}, "10.0.0.2\t2001:db8::1"),
        ("pair", {"dstaddr": "-"}, "-\t10.0.0.1"),
        ("service-port,side,client-port", {}, "50000\tsrc\t443"),
        ("service-port,side,client-port", {"tcp_flags": "2"}, "443\tdst\t-"),
        ("side,client-port,service-port", {"srcport": "-"}, "dst\t-\t443"),
        ("srcaddr,dstaddr,dstport", {"srcaddr": "::1"}, "[::1]:10.0.0.2:443"),
    ],
)
def test_values_are_printed(by: str, values: dict[str, str], printed: str) -> None:
    """A value is printed as its part's kind says."""
    assert count(record(**values), by) == ([f"{printed}\t1"], {})


@pytest.mark.parametrize(
    ("by", "values", "reason"),
    [
        ("srcaddr", {"srcaddr": "10.0.0.256"}, "address"),
        ("srcaddr/8", {"srcaddr": "fe80::1%eth0"}, "address"),
        ("srcaddr/8", {"srcaddr": ""}, "address"),
        ("pair", {"srcaddr": "x", "dstaddr": "10.0.0.1"}, "address"),
        ("srcport", {"srcport": "0443"}, "port"),
        ("side", {"srcport": "65536"}, "port"),
        ("protocol", {"protocol": "256"}, "number"),
        ("protocol", {"protocol": "06"}, "number"),
        ("bytes", {"bytes": "1000000000000000"}, "number"),
        ("bytes", {"bytes": "1e3"}, "number"),
        ("hour", {"start": "253402300800000"}, "number"),
        ("hour", {"start": "x"}, "number"),
        ("vpc-id", {"vpc_id": ""}, "text"),
        ("vpc-id", {"vpc_id": "x" * 1025}, "text"),
        ("vpc-id", {"vpc_id": "a\tb"}, "text"),
        ("vpc-id", {"vpc_id": "a\x7f"}, "text"),
        ("srcaddr,dstaddr,dstport", {"srcaddr": "-"}, "address"),
        ("srcaddr,dstaddr,dstport", {"dstport": "-"}, "port"),
    ],
)
def test_values_that_are_none_of_their_kind_are_malformed(by: str, values: dict[str, str], reason: str) -> None:
    """The record is skipped, for the reason of the part's kind."""
    assert count(record(**values), by) == ([], {f"malformed_{reason}": 1})


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"a\x80",
        b"\xc0\xaf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xc3",
    ],
)
def test_a_text_is_utf_8(text: bytes) -> None:
    """What Python cannot decode is malformed, also after a sound text."""
    with pytest.raises(UnicodeDecodeError):
        text.decode()
    content = record() + record().replace(b"vpc-1", text) + record()
    assert count(content, "vpc-id") == (["vpc-1\t2"], {"malformed_text": 1})


def test_a_text_of_one_field_is_no_address_of_another() -> None:
    """A text that is known already is still judged by each part that reads it."""
    content = record(vpc_id="::1", srcaddr="::2") + record(vpc_id="x", srcaddr="::1") + record(srcaddr="x")
    assert count(content, "vpc-id,srcaddr") == (["::1\t::2\t1", "x\t::1\t1"], {"malformed_address": 1})


def test_a_missing_port_is_not_wanted() -> None:
    """For another key than the recipe's, `-` is not a malformed port; a port that is none is one."""
    content = record(dstport="-") + record(dstport="x") + record(dstport="80") + record()
    assert count(content, "srcaddr", ports="443") == (["10.0.0.1\t1"], {"malformed_port": 1, "ports": 2})


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (
            "srcaddr",
            ["-", "1.0.0.0", "10.0.0.1", "10.0.0.10", "10.0.0.2", "10::", "1::", "2.0.0.0", "::1", "a::", "A::"],
        ),
        ("srcaddr/24", ["-", "1.0.0.1", "10.0.0.1", "100.0.0.1", "10::1", "1::1", "2.0.0.1", "::1", "a::1"]),
        ("bytes", ["-", "0", "00", "007", "1", "10", "100", "123456789012345", "2", "3000000000", "7", "999999999"]),
        ("srcport", ["-", "0", "1", "10", "1024", "11", "2", "65535", "7"]),
        ("vpc-id", ["!", "+1", "-", "--", "-a", "0", "a", "aa", "b", "é"]),
        ("start", ["-", "1793491200", "1793491200000", "1793494800"]),
        ("hour", ["-", "3600", "1793491200", "1793494800"]),
    ],
)
def test_ties_are_in_the_order_of_the_printed_bytes(field: str, values: list[str]) -> None:
    """Also of texts and numbers in one column, whichever comes first in the logs; a shorter value before a longer."""
    name = {"hour": "start"}.get(field, field.partition("/")[0]).replace("-", "_")
    for ordered in (values, values[::-1]):
        content = b"".join(record(**{name: value}) for value in ordered)
        found, _ = count(content, f"{field},dstport")
        assert found == sorted(found, key=str.encode)
        assert len(found) == len(values)


def test_the_parts_before_decide() -> None:
    """Of keys with equal sums the first part that differs decides, of others the first sum."""
    lines, _ = count(
        record(srcaddr="10.0.0.9") * 2 + record(dstport="9") + record(dstport="80") + record(dstport="80", srcport="1"),
        "dstaddr,dstport,srcport,srcaddr",
    )
    assert lines == [
        "10.0.0.2\t443\t50000\t10.0.0.9\t2",
        "10.0.0.2\t80\t1\t10.0.0.1\t1",
        "10.0.0.2\t80\t50000\t10.0.0.1\t1",
        "10.0.0.2\t9\t50000\t10.0.0.1\t1",
    ]


def test_first_is_the_least_and_last_the_largest() -> None:
    """Of seconds and milliseconds, over files; the key whose first record is the latest comes first."""
    times = [("1793491260", "1793491320000"), ("1793491200000", "1793491201"), ("1793491230", "1793491999")]
    content = b"".join(record(start=start, end=end) for start, end in times) + record(
        srcaddr="10.0.0.9", start="1793491201"
    )
    for by, keys in (("srcaddr", ["10.0.0.9", "10.0.0.1"]), ("srcaddr,dstaddr,dstport", None)):
        lines, skipped = count(content, by, "first,records,last")
        keys = keys or ["10.0.0.9:10.0.0.2:443", "10.0.0.1:10.0.0.2:443"]
        assert lines == [
            f"{keys[0]}\t2026-11-01T00:00:01Z\t1\t2026-11-01T00:01:00Z",
            f"{keys[1]}\t2026-11-01T00:00:00Z\t3\t2026-11-01T00:13:19Z",
        ]
        assert skipped == {}


def test_each_metric_has_its_total() -> None:
    """Of times there is none."""
    counter = Counter(
        Query.parse(by="srcaddr", metric="bytes,first,records", ports="all", log_format=" ".join(LAYOUT), action="ALL")
    )
    counter.feed(record() + record(bytes="2"))
    counter.end_lines()
    counter.end_file(counts=True)
    assert (counter.totals, counter.total) == ((42, 0, 2), 42)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda rows: rows[:-1],
        lambda rows: rows + b"\0",
        lambda rows: b"\xff\xff" + rows[2:],
        lambda rows: rows.replace(b"vpc-1", b"vpc 1"),
        lambda rows: rows.replace(b"::1", b"::x"),
        lambda rows: rows.replace(b"007", b"00x"),
        lambda rows: rows.replace(b"\1\0-", b"\0\0"),
        lambda rows: rows[:-1] + b"\xff",
    ],
)
def test_what_is_no_packed_key_is_refused(spoilt: Callable[[bytes], bytes]) -> None:
    """Rows that are cut, too long, or have a value that a part cannot have; nothing of them is added."""
    query = Query.parse(by="srcaddr,bytes,side,vpc-id,srcport", ports="all", action="ALL", log_format=" ".join(LAYOUT))
    counter = Counter(query)
    counter.feed(record(srcaddr="::1", bytes="007", srcport="-"))
    counter.end_lines()
    counter.end_file(counts=True)
    rows = counter.pack()
    other = Counter(query)
    with pytest.raises(ValueError, match="no packed"):
        other.add_packed(spoilt(rows))
    assert other.rows == 0
    other.add_packed(rows)
    assert list(other.ranked(0)) == list(counter.ranked(0)) == [b"::1\t007\tdst\tvpc-1\t-\t1\n"]


def test_a_value_is_the_same_after_thousands_of_others() -> None:
    """However often the texts outgrow their room, each has one row, and rows with equal sums are in order."""
    records = [record(vpc_id=f"vpc-{number}", srcaddr=f"2001:db8::{number:x}") for number in range(5000)]
    lines, _ = count(b"".join(records + records[::-1]), "vpc-id,srcaddr")
    assert lines == sorted(f"vpc-{number}\t2001:db8::{number:x}\t2" for number in range(5000))
