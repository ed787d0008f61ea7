"""Fields, layouts and talkers; and the equal knowledge of the scripts that travel."""

import io
import re
from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import is_address as is_address_by_the_library
from tests.render import ROOT
from tests.strategies import ADDRESSES, BAD_ADDRESSES, BAD_PORTS, PORTS
from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import DEFAULT_FIELDS, FIELDS, TRANSIT_GATEWAY_FIELDS, FieldType
from toptalkers.flowlog.layout import (
    DEFAULT_LAYOUT,
    Layout,
    format_header,
    format_log_format,
    parse_header,
    parse_log_format,
)
from toptalkers.flowlog.reasons import REASONS
from toptalkers.job import count_flows, port_filter, sum_counts
from toptalkers.question.clauses import METRICS, SUMMED_FIELDS
from toptalkers.question.conversations import RECORD_KEY, RECORD_NEEDS
from toptalkers.question.key import (
    ADDRESS,
    HIGHEST_KNOWN_PORT,
    LONGEST_TEXT_BYTES,
    MOST_COLUMNS,
    NUMBER,
    PORT,
    PROTOCOL,
    RECIPE_KEY,
    SERVICE_FIELDS,
    SERVICE_PARTS,
    TEXT,
    TIME_PARTS,
    is_address,
    is_ipv6,
    kind_of,
)
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query
from toptalkers.question.times import LARGEST_TIME

LINES = Query().lines


def test_fields_are_those_of_versions_2_to_11() -> None:
    """VPCs have 54 fields, 14 of them in the default format; only transit gateways have 18 more."""
    assert len([field for field in FIELDS.values() if field.version != 6]) == 54
    assert len(DEFAULT_FIELDS) == 14
    assert len([field for field in FIELDS.values() if field.version == 6]) == 18
    assert len(set(TRANSIT_GATEWAY_FIELDS)) == len(TRANSIT_GATEWAY_FIELDS) == 36
    assert set(TRANSIT_GATEWAY_FIELDS) <= set(FIELDS)
    assert {field.version for field in FIELDS.values()} == set(range(2, 12))
    assert FIELDS["bytes"].type is FieldType.INT_64
    assert FIELDS["instance-tag-2"].version == 11


def test_mapper_knows_the_same_fields_and_reasons() -> None:
    """The scripts cannot import the package; this test compares their facts with the package's."""
    assert {name.decode() for name in count_flows.FIELDS} == set(FIELDS)
    assert tuple(name.decode() for name in count_flows.DEFAULT_FIELDS) == DEFAULT_FIELDS
    assert tuple(REASONS) == count_flows.REASONS
    tallies = re.search(r"enum tally \{(.*?)\}", (ROOT / "src/toptalkers/kernel/kernel.h").read_text(), re.DOTALL)
    assert tallies is not None
    assert re.findall(r"\w+", tallies[1].lower()) == ["records_read", "counted", *REASONS, "tallies"]
    assert tuple(name.decode() for name in count_flows.KEY) == Query().by
    assert port_filter.KEY == count_flows.KEY
    assert tuple(name.decode() for name in count_flows.RECORD_KEY) == RECORD_KEY
    assert tuple(name.decode() for name in count_flows.RECORD_NEEDS) == RECORD_NEEDS
    assert sum_counts.RECIPE_KEY.encode() == b",".join(count_flows.KEY)
    assert tuple(not column.kind.is_number for column in LINES.columns) == count_flows.KEY_ADDRESSES


def test_scripts_know_the_same_parts_and_metrics() -> None:
    """The kinds of fields, the parts of a key, its limits and the metrics are those of the package."""
    kinds = {
        ADDRESS: count_flows.ADDRESS_FIELDS,
        PORT: count_flows.PORT_FIELDS,
        PROTOCOL: {b"protocol"},
        NUMBER: count_flows.NUMBER_FIELDS,
    }
    for field in FIELDS:
        assert kind_of(field) is next((kind for kind, names in kinds.items() if field.encode() in names), TEXT), field
    assert {name.decode() for name in count_flows.TIMES} == set(TIME_PARTS)
    assert tuple(name.decode() for name in count_flows.SERVICE_PARTS) == SERVICE_PARTS
    assert tuple(name.decode() for name in count_flows.SERVICE_FIELDS) == SERVICE_FIELDS
    assert count_flows.HIGHEST_KNOWN_PORT == HIGHEST_KNOWN_PORT
    assert count_flows.MOST_COLUMNS == MOST_COLUMNS
    assert count_flows.LARGEST_TIME == sum_counts.LARGEST_TIME == LARGEST_TIME
    assert {name.decode(): field.decode() for name, field in count_flows.METRICS.items() if field} == SUMMED_FIELDS
    assert tuple(name.decode() for name in count_flows.METRICS) == tuple(sum_counts.SUMS) == METRICS
    assert tuple(name.decode() for name in count_flows.TIME_METRICS) == TIME_METRICS
    assert port_filter.TIME_METRICS == sum_counts.TIME_METRICS == TIME_METRICS
    text = b"x" * LONGEST_TEXT_BYTES
    assert count_flows.is_text(text)
    assert not count_flows.is_text(text + b"x")
    assert re.fullmatch(port_filter.TEXT, text)


@given(st.lists(st.sampled_from([*FIELDS, *TIME_PARTS, "pair", *SERVICE_PARTS]), min_size=1, max_size=6, unique=True))
def test_scripts_know_how_many_columns_a_key_has(words: list[str]) -> None:
    """A line of a key with any parts fits the port filter's pattern, and has the columns that the reducer expects."""
    query = Query.parse(by=",".join(words), ports="all", action="ALL")
    columns = len(query.lines.columns)
    assert query.key_columns == columns
    line = b"\t".join([b"x"] * columns) + b"\t7"
    assert re.fullmatch(port_filter.pattern_of(",".join(query.by), ["records"]), line)
    out = io.BytesIO()
    assert sum_counts.main(query.reducer_arguments(), io.BytesIO(b"LongValueSum:" + line), out, io.StringIO()) == 0
    assert out.getvalue() == line + b"\n"


@given(st.lists(st.sampled_from(list(FIELDS)), min_size=1, unique=True))
def test_layouts_survive_both_ways_of_writing_them(names: list[str]) -> None:
    """AWS's format syntax, a mapper's comma list and a header line all give the layout again."""
    layout = Layout(tuple(names))
    assert parse_log_format(format_log_format(layout)) == layout
    assert parse_log_format(",".join(names)) == layout
    assert parse_header(format_header(layout)) == layout


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (format_header(DEFAULT_LAYOUT), True),
        ("srcaddr dstaddr a-field-of-the-future-2", True),
        ("version", True),
        ("a-field-of-the-future srcaddr", False),
        ("a-field-of-the-future srcaddr dstaddr", True),
        ("account_id srcaddr log_status", True),
        ("srcaddr dstaddr  ", True),
        ("srcaddr  dstaddr", False),
        ("eni-0a1b2c srcaddr dstaddr", True),
        ("accept ok", False),
        ("2 123456789012 eni-1 10.0.0.1", False),
        ("version 2", False),
        ("version  account-id", False),
        ("", False),
    ],
)
def test_what_is_a_header_line(line: str, header: bool) -> None:
    """Only names of columns, the first or most of them known: a header, for the package and for the mapper."""
    assert (parse_header(line) is not None) == header
    assert (count_flows.parse_header(line.rstrip().encode().split(b" ")) is not None) == header


def test_unknown_format_fields_are_named() -> None:
    """A field with a typing error is named, not ignored."""
    with pytest.raises(UsageError, match="unknown field 'dst-addr'"):
        parse_log_format("${srcaddr} ${dst-addr}")


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 65535))
def test_talkers_survive_printing(src: object, dst: object, port: int) -> None:
    """Any two addresses and a port are parsed from their printed form; IPv6 is in brackets."""
    talker = str(src), str(dst), port
    printed = LINES.format(talker, [7])
    assert LINES.read(printed) == (talker, (7,))
    assert LINES.rank(printed) == 7
    assert printed.count(b"[") == sum(":" in address for address in talker[:2])
    assert count_flows.format_talker(f"{src} {dst} {port}".encode()) + b"\t7\n" == printed
    assert re.fullmatch(port_filter.pattern_of(",".join(RECIPE_KEY), ["bytes"]) + b"\n", printed)


@pytest.mark.parametrize(
    "text", ["10.0.0.1:10.0.0.2", "10.0.0.1:10.0.0.2:65536", "::1:::2:80", "[10.0.0.1]:10.0.0.2:1", ""]
)
def test_what_is_no_talker(text: str) -> None:
    """IPv6 without brackets is ambiguous, and is refused like any other malformed talker."""
    for read in (LINES.read, LINES.rank):
        with pytest.raises(ValueError, match=r"not a line of the answer|not an address"):
            read(f"{text}\t7\n".encode())


@given(
    st.sampled_from(ADDRESSES + BAD_ADDRESSES)
    | st.ip_addresses().map(str)
    | st.ip_addresses(v=6).map(lambda address: address.exploded)
    | st.text("0123456789abcdefABCDEFg:.%", max_size=24)
)
def test_addresses_are_what_the_standard_library_takes(text: str) -> None:
    """Our own grammar, which needs no library, agrees with `ipaddress`."""
    expected = is_address_by_the_library(text)
    assert is_address(text) == expected
    encoded = text.encode()
    assert (count_flows.IPV4.fullmatch(encoded) is not None or count_flows.is_ipv6(encoded)) == expected
    if ":" in text:
        assert is_ipv6(text) == expected


@pytest.mark.parametrize("text", PORTS)
def test_ports(text: str) -> None:
    """A plain decimal from 0 to 65535 is a port."""
    assert LINES.read(f"10.0.0.1:10.0.0.2:{text}\t7".encode())[0][2] == int(text)
    assert text.encode() in count_flows.ALL_PORTS


@pytest.mark.parametrize("text", BAD_PORTS)
def test_what_is_no_port(text: str) -> None:
    """Signs, leading zeros, larger numbers and other scripts' digits are no port."""
    with pytest.raises(ValueError, match=r"not a line of the answer|not an address"):
        LINES.read(f"10.0.0.1:10.0.0.2:{text}\t7".encode())
    assert text.encode() not in count_flows.ALL_PORTS


def test_the_port_pattern_takes_just_the_ports() -> None:
    """Of all numbers up to six digits the mapper's pattern takes exactly 0 to 65535."""
    taken = [number for number in range(100_000) if b"%d" % number in count_flows.ALL_PORTS]
    assert taken == list(range(65536))


@given(st.lists(st.sampled_from([0, 0, 1, 0xDB8, 0xFFFF]), min_size=8, max_size=8), st.integers(0, 128))
def test_the_mapper_prints_networks_as_python_does(groups: list[int], length: int) -> None:
    """Any run of zero groups, at any place, is compressed as `ipaddress` compresses it."""
    address = ":".join(f"{group:x}" for group in groups)
    expected = str(IPv6Network(f"{address}/{length}", strict=False))
    if "." not in expected:  # later versions of Python print some addresses with a dotted end
        assert count_flows.network_of(address.encode(), 24, length) == expected.encode()
