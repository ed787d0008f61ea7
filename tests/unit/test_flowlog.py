"""Fields, layouts and talkers; and the equal knowledge of the scripts that travel."""

import re

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
from toptalkers.job import count_flows, port_filter
from toptalkers.question.key import RECIPE_KEY, is_address, is_ipv6
from toptalkers.question.query import Query

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
    assert tuple(not column.kind.is_number for column in LINES.columns) == count_flows.KEY_ADDRESSES


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
