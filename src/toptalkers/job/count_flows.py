#!/usr/bin/env python3
"""Mapper of lines: flow-log lines in, a line with the sum of each key out. The rules that all engines obey are here.

For pipes and for mrjob; on a cluster, `count_files.py` counts whole files by these rules, or has the kernel count them.
Self-contained, for Python 3.9 and only its standard library: it travels to cluster nodes.

One sum that adds up is printed as `LongValueSum:<key>` TAB `<sum>`, for Hadoop's `aggregate` reducer
(ValueAggregatorReducer) or `sum_counts.py`. Otherwise a line is `<key>` TAB `<sum>` TAB `<sum>` ..., for
`sum_counts.py`, with times in seconds since 1970. Skipped records are reported on standard error as Hadoop counters,
one line per reason.

The rules, in the order in which a line is examined. A record is tallied under the first that it fails:

1. A carriage return ends a line, as it does for Hadoop's LineReader. A line of more than 1 MiB is
   `malformed_columns`. A byte order mark and an ISO 8601 time stamp (CloudWatch's export) before a line are
   removed. A blank line is no record.
2. A header line sets the layout: all its columns are shaped like field names, and the first, or more than half of
   them, are known fields. `_` stands for `-`, as Athena writes names.
3. A line splits at each single space; spaces at its end do not count. The wrong number of columns, or a layout without
   a needed field (of the recipe's key, a condition or a sum): `malformed_columns`.
4. Log status, if the layout has it: `nodata`, `skipdata`, any other that is not OK: `malformed_status`. If not, a
   record with `-` for both addresses and the port: `nodata`.
5. Action, if the question has one: neither ACCEPT nor REJECT: `malformed_action`.
6. Start (seconds, or milliseconds from 10^11 on), if the question has a time: not a number: `malformed_number`.
7. Destination port, if the key is the recipe's or not all ports are wanted: not a port: `malformed_port`. With any
   other key `-` is a port that is not wanted.
   Each field of `--where` in the order of the expression, unless it is `-`: not of its kind: `malformed_address`,
   `malformed_port` or `malformed_number`. A time must not be later than the year 9999. A text is never malformed.
   A service looks at srcport, then dstport; TCP flags are never malformed.
8. Action not wanted: `action`; start outside [since, until): `time`; port not wanted: `ports`; the expression does not
   hold: `where`. A test of `-` does not hold, except of the text `-` itself.
9. The recipe's key: an address that is not an IP address: `malformed_address`. The parts of any other key in order: `-`
   and a field that the layout lacks are the value `-`; otherwise not of the part's kind: `malformed_address`,
   `malformed_port`, `malformed_number`, `malformed_text`.
   An address, a port, a number of at most 15 digits and a text (UTF-8, 1 to 1024 bytes, no control characters) stay as
   they were logged. A protocol is 0 to 255. A network is the address cut to its length, IPv6 as in RFC 5952. `minute`,
   `hour` and `day` are the start cut down, `2026-11-23T18:00:00Z`, not later than the year 9999. `pair` is the smaller
   and the larger of srcaddr and dstaddr, compared as bytes. For services see `service_of`.
10. The sums in order: not a number of at most 15 digits, or a time later than the year 9999: `malformed_number`.

A record that is not malformed is sound. A stretch of lines, from the beginning of a file or a header to the next
header or the end, is a misfit if its lines do not fit their layout (`Stretch`). So is a file without a sound record, or
one that ends in compressed bytes. Sound records of a misfit are counted here all the same, because sums may already be
printed; the counter `misfit_files` reports it. Engines that can drop the sums of a file leave misfits out.
"""

from __future__ import annotations

import argparse
import calendar
import gc
import re
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, filterfalse, islice, repeat
from operator import and_, eq, itemgetter, not_, or_
from typing import Any, BinaryIO, Callable, NamedTuple, TextIO, TypeVar

T = TypeVar("T")

TALKERS_HELD = 200_000
"""How many sums are held until they are printed: the process needs at most 80 MB."""

KEY_BYTES_HELD = 32 << 20
"""How many bytes of keys other than the recipe's are held."""

VALUES_KNOWN = 1 << 15
"""How many values of a field are translated before they are forgotten."""

BLOCK_BYTES = 128 << 10
"""How much is read and counted at a time: it stays in a core's caches even when split into columns."""

LONGEST_LINE_BYTES = 1 << 20
"""A longer line is malformed."""

FEW_BYTES = 4 << 10
"""A piece as short as this is counted line by line if any line is not sound."""

PREFIX = b"LongValueSum:"
"""What stands before a key that Hadoop's `aggregate` is to add up."""

LARGEST_TOTAL = (1 << 63) - 1
"""The largest sum of Hadoop's LongValueSum and of the local engine."""

STREAK = 10
"""This many malformed records, or odd samples, in a row make a misfit."""

SAMPLED_FIRST, SAMPLED_EVERY = 64, 256
"""The first sound records of a stretch, and then one in so many, are checked in all telling columns."""

TELLING_BYTES = 4096
"""How much of a malformed line is searched for column names and compressed bytes."""

PACKED = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zX", b"1AY&SY", b"PK\3\4")
"""The first bytes of gzip, Zstandard, xz, bzip2 and zip."""

EPOCH_FROM, EPOCH_UNTIL = 1_000_000_000, 4_000_000_000
"""Seconds from 2001 to 2096. Packets or bytes that look like this are perhaps a time in the wrong column."""

MILLISECONDS_FROM = 100_000_000_000
"""A time from here on is in milliseconds: in seconds it would be in the year 5138."""

LARGEST_TIME = 253_402_300_799
"""The last second of the year 9999."""

ABSENT = -1
"""The position of a field that a layout lacks."""

KEY = (b"srcaddr", b"dstaddr", b"dstport")
"""The fields of the recipe's key: a talker."""

KEY_ADDRESSES = tuple(field.endswith(b"addr") for field in KEY)
"""Which of them are addresses."""

RECORD_KEY = (
    b"start", b"end", b"interface-id", b"srcaddr", b"dstaddr", b"srcport", b"dstport", b"protocol", b"packets",
    b"bytes", b"action", b"tcp-flags", b"pkt-srcaddr", b"pkt-dstaddr",
)  # fmt: skip
"""The key of whole records."""

RECORD_NEEDS = RECORD_KEY[:10]
"""Those of its parts without which records cannot be joined to conversations."""

NO_KEY = [b"-"] * len(KEY)
"""The values of these fields in a record without data."""

ADDRESS_FIELDS = frozenset((b"srcaddr", b"dstaddr", b"pkt-srcaddr", b"pkt-dstaddr"))
PORT_FIELDS = frozenset((b"srcport", b"dstport"))
NUMBER_FIELDS = frozenset((
    b"version", b"packets", b"bytes", b"start", b"end", b"tcp-flags", b"traffic-path", b"encryption-status",
    b"packets-lost-no-route", b"packets-lost-blackhole", b"packets-lost-mtu-exceeded", b"packets-lost-ttl-expired",
))  # fmt: skip
"""The fields whose values are addresses, ports and numbers. Protocols are numbers below 256; all others are texts."""

TIME_FIELDS = frozenset((b"start", b"end"))
TIMES = {b"minute": 60, b"hour": 3600, b"day": 86400}
"""The parts of a key that are times, in seconds."""

PAIR = b"pair"
SERVICE_PARTS = (b"service-port", b"side", b"client-port")
SERVICE_FIELDS = (b"srcport", b"dstport", b"tcp-flags")
"""The fields that tell which port is the service's; the last may be missing."""

DIGEST_PORTS = frozenset((b"server-port", b"peer-port"))
DIGEST_FIELDS = DIGEST_PORTS | {b"server-side", b"how"}
"""The fields that only the rows of a digest have."""

SYN, ACK = 2, 16
HIGHEST_KNOWN_PORT = 1024
"""A client's port is dropped from a service if it is higher than this."""

MOST_COLUMNS = 16
"""The most columns of a key."""

METRICS = {b"records": b"", b"packets": b"packets", b"bytes": b"bytes", b"first": b"start", b"last": b"end"}
"""The field that is summed of each metric. Of `first` the least is kept, of `last` the largest."""

TIME_METRICS = (b"first", b"last")

REASONS = (
    "nodata",
    "skipdata",
    "action",
    "time",
    "ports",
    "where",
    "malformed_columns",
    "malformed_status",
    "malformed_action",
    "malformed_number",
    "malformed_port",
    "malformed_address",
    "malformed_text",
)

# fmt: off
DEFAULT_FIELDS = (
    b"version", b"account-id", b"interface-id", b"srcaddr", b"dstaddr", b"srcport", b"dstport", b"protocol",
    b"packets", b"bytes", b"start", b"end", b"action", b"log-status",
)
FIELDS = frozenset(DEFAULT_FIELDS + (
    b"vpc-id", b"subnet-id", b"instance-id", b"tcp-flags", b"type", b"pkt-srcaddr", b"pkt-dstaddr",
    b"region", b"az-id", b"sublocation-type", b"sublocation-id",
    b"pkt-src-aws-service", b"pkt-dst-aws-service", b"flow-direction", b"traffic-path",
    b"ecs-cluster-arn", b"ecs-cluster-name", b"ecs-container-instance-arn", b"ecs-container-instance-id",
    b"ecs-container-id", b"ecs-second-container-id", b"ecs-service-name", b"ecs-task-definition-arn",
    b"ecs-task-arn", b"ecs-task-id",
    b"reject-reason", b"resource-id", b"encryption-status",
    b"instance-tag", b"instance-tag-2", b"interface-tag", b"interface-tag-2", b"asg-tag", b"asg-tag-2",
    b"interface-type", b"next-hop-interface-id", b"next-hop-subnet-id", b"next-hop-az-id",
    b"next-hop-vpc-id", b"next-hop-interface-type",
    # Only of transit gateways.
    b"resource-type", b"tgw-id", b"tgw-attachment-id", b"tgw-src-vpc-account-id", b"tgw-dst-vpc-account-id",
    b"tgw-src-vpc-id", b"tgw-dst-vpc-id", b"tgw-src-subnet-id", b"tgw-dst-subnet-id", b"tgw-src-eni",
    b"tgw-dst-eni", b"tgw-src-az-id", b"tgw-dst-az-id", b"tgw-pair-attachment-id",
    b"packets-lost-no-route", b"packets-lost-blackhole", b"packets-lost-mtu-exceeded", b"packets-lost-ttl-expired",
))
# fmt: on

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
STAMP = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z(?: |$)"
TIME_STAMP = re.compile(STAMP)
TIME_STAMPS = re.compile(b"^" + STAMP, re.MULTILINE)
FIELD_NAME = re.compile(rb"[a-z][a-z0-9_-]*")
NUMBER = re.compile(rb"[0-9]{1,15}")
OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = re.compile(OCTET + rb"(?:\." + OCTET + rb"){3}")
ALL_PORTS = frozenset(b"%d" % port for port in range(1 << 16))
NO_PORT = re.compile(
    rb" (?:[1-5][0-9]{5}|0[0-9]|[7-9][0-9]{4}|6(?:[0-9]{5}|[6-9][0-9]{3}|5[6-9][0-9]{2}|55[4-9][0-9]|553[6-9])| |$)"
)
"""Finds a number that is not a port, in numbers with a space before each."""
IPV6_GROUP = re.compile(rb"[0-9A-Fa-f]{1,4}")
TEXT = re.compile(rb"[^\x00-\x20\x7f]{1,1024}")
PROTOCOLS = frozenset(b"%d" % number for number in range(256))


def parse_ports(text: str) -> frozenset[bytes]:
    """Read `0-1024`, `22,443,8000-8999` or `all` into the set of wanted ports, each as bytes."""
    if text in ("all", "0-65535"):
        return ALL_PORTS
    wanted: set[int] = set()
    for item in text.split(","):
        first, _, last = item.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 65535:
            raise ValueError(text)
        wanted.update(range(low, high + 1))
    return frozenset(b"%d" % port for port in wanted)


def parse_time(text: str) -> int:
    """Read `2026-11-23T18:00:00Z` into seconds since 1970."""
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def parse_fields(text: str) -> list[bytes]:
    """Read field names, separated by commas or spaces or written `${field}`, into a list of bytes."""
    fields = [name.encode() for name in re.findall(r"[^\s,${}]+", text)]
    unknown = [name.decode() for name in fields if name not in FIELDS]
    if unknown or not fields:
        raise ValueError(text)
    return fields


def parse_header(columns: list[bytes]) -> list[bytes] | None:
    """The field names in a header line's columns; None when the line is no header."""
    if not all(map(FIELD_NAME.fullmatch, columns)):
        return None
    names = [column.replace(b"_", b"-") for column in columns]
    if names[0] in FIELDS or 2 * sum(name in FIELDS for name in names) > len(names):
        return names
    return None


def are_ports(texts: bytes) -> bool:
    """Whether all texts, separated by single spaces, are in `ALL_PORTS`, but faster."""
    return not texts.translate(None, b"0123456789 ") and not NO_PORT.search(b" " + texts)


def are_numbers(texts: list[bytes]) -> bool:
    """Whether all texts match NUMBER, but faster."""
    return not texts or (b"".join(texts).isdigit() and all(texts) and max(map(len, texts)) <= 15)


def is_ipv6(text: bytes) -> bool:
    """Whether a text is an IPv6 address (RFC 4291, section 2.2), without a zone."""
    head, gap, tail = text.partition(b"::")
    if gap:
        groups = (head.split(b":") if head else []) + (tail.split(b":") if tail else [])
    else:
        groups = text.split(b":")
    width = len(groups)
    if groups and IPV4.fullmatch(groups[-1]) and (tail or not gap):
        groups.pop()  # the last 32 bits, written as an IPv4 address, count as two groups
        width += 1
    if not all(map(IPV6_GROUP.fullmatch, groups)):
        return False
    return width <= 7 if gap else width == 8


def is_address(text: bytes) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    return IPV4.fullmatch(text) is not None or is_ipv6(text)


class MalformedError(Exception):
    """A value is not of its kind; `reason` is that of the tally."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Known(dict[Any, Any]):
    """The results of a function by its argument. An argument for which it raises an error is not kept."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, value: object) -> object:
        result = self.function(value)
        if len(self) >= VALUES_KNOWN:
            self.clear()
        self[value] = result
        return result


def seconds_of(text: bytes) -> int:
    """Read a start or an end into seconds since 1970; MalformedError if it is none, or later than the year 9999."""
    if not NUMBER.fullmatch(text):
        raise MalformedError("malformed_number")
    seconds = int(text)
    if seconds >= MILLISECONDS_FROM:
        seconds //= 1000
    if seconds > LARGEST_TIME:
        raise MalformedError("malformed_number")
    return seconds


def format_seconds(seconds: int) -> bytes:
    """Print seconds since 1970 as `2026-11-23T18:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)).encode()


def judge_of(field: bytes) -> Callable[[bytes], object]:
    """Return a function that raises MalformedError for a text that is not of its field's kind."""
    fits: Callable[[bytes], object] = is_text
    reason = "malformed_text"
    if field in ADDRESS_FIELDS:
        fits, reason = is_address, "malformed_address"
    elif field in PORT_FIELDS or field in DIGEST_PORTS:
        fits, reason = ALL_PORTS.__contains__, "malformed_port"
    elif field == b"protocol":
        fits, reason = PROTOCOLS.__contains__, "malformed_number"
    elif field in NUMBER_FIELDS:
        fits, reason = NUMBER.fullmatch, "malformed_number"

    def judge(text: bytes) -> None:
        if not fits(text):
            raise MalformedError(reason)

    return judge


def is_text(text: bytes) -> bool:
    """Whether a text can be part of a key: UTF-8, not too long, without control characters and spaces."""
    if not TEXT.fullmatch(text):
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def bits_of_address(text: bytes) -> int:
    """An address as a number of 32 or 128 bits."""
    if b":" in text:
        from ipaddress import IPv6Address  # rarely needed, and slow to load

        return int(IPv6Address(text.decode()))
    first, second, third, fourth = map(int, text.split(b"."))
    return (first << 24) | (second << 16) | (third << 8) | fourth


def format_ipv6(bits: int) -> str:
    """Print an IPv6 address as RFC 5952 has it, but never with a dotted end."""
    groups = [f"{bits >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)]
    longest, at, start = 1, -1, 0
    for number in range(9):
        if number == 8 or groups[number] != "0":
            if number - start > longest:
                longest, at = number - start, start
            start = number + 1
    if at < 0:
        return ":".join(groups)
    return ":".join(groups[:at]) + "::" + ":".join(groups[at + longest :])


def network_of(text: bytes, short: int, long: int) -> bytes:
    """Cut an address to `short` bits of IPv4 or `long` bits of IPv6: `10.0.0.0/24`."""
    bits = bits_of_address(text)
    if b":" in text:
        return f"{format_ipv6(bits >> (128 - long) << (128 - long))}/{long}".encode()
    bits = bits >> (32 - short) << (32 - short)
    return b"%d.%d.%d.%d/%d" % (bits >> 24, bits >> 16 & 255, bits >> 8 & 255, bits & 255, short)


def service_of(values: tuple[bytes, bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    """The service's port, its side and the client's port of a record's source port, destination port and TCP flags.

    A SYN comes from the client, a SYN with an ACK from the server. Without them, the lower port is the server's. A
    client's port above 1024 is dropped: `-`. So are the side and both ports if the record has no ports.
    MalformedError if one is neither a port nor `-`.
    """
    source, destination, flags_text = values
    for port in (source, destination):
        if port != b"-" and port not in ALL_PORTS:
            raise MalformedError("malformed_port")
    if destination == b"-":
        return (b"-", b"-", b"-") if source == b"-" else (source, b"src", b"-")
    if source == b"-":
        return destination, b"dst", b"-"
    flags = int(flags_text) if NUMBER.fullmatch(flags_text) else 0
    if flags & SYN:
        is_source = flags & ACK != 0
    elif source == destination:
        return source, b"both", source
    else:
        is_source = int(source) < int(destination)
    service, client = (source, destination) if is_source else (destination, source)
    return service, b"src" if is_source else b"dst", client if int(client) <= HIGHEST_KNOWN_PORT else b"-"


class Part(NamedTuple):
    """A part of a key: a field's name, PAIR or a part of a service; and what makes it of their values."""

    source: bytes
    translate: Callable[[Any], bytes]


def parse_key(text: str) -> list[Part]:
    """Read the parts of a key, separated by commas; ValueError if one is unknown."""
    parts = [parse_part(word.encode()) for word in text.split(",")]
    if len(parts) + sum(part.source == PAIR for part in parts) > MOST_COLUMNS:
        raise ValueError(text)
    return parts


def parse_part(word: bytes) -> Part:
    """Read one part of a key, as `Query.by` has it: `srcaddr`, `srcaddr/24/64`, `hour`; ValueError for any other."""
    if word in SERVICE_PARTS:
        return Part(word, itemgetter(SERVICE_PARTS.index(word)))
    if word == PAIR:
        judge = judge_of(b"srcaddr")

        def pair(values: tuple[bytes, bytes]) -> bytes:
            for text in values:
                if text != b"-":
                    judge(text)
            return min(values) + b"\t" + max(values)

        return Part(word, Known(pair).__getitem__)
    field, *lengths = word.split(b"/")
    step = TIMES.get(word)
    if step:
        field = b"start"
    if field not in FIELDS | DIGEST_FIELDS or (lengths and field not in ADDRESS_FIELDS) or len(lengths) > 2:
        raise ValueError(word)
    judge = judge_of(field)
    short, long = [*map(int, lengths), 64][:2] if lengths else (0, 0)
    if not (0 <= short <= 32 and 0 <= long <= 128):
        raise ValueError(word)

    def translate(text: bytes) -> bytes:
        if text == b"-":
            return text
        if step:
            seconds = seconds_of(text)
            return format_seconds(seconds - seconds % step)
        judge(text)
        return network_of(text, short, long) if lengths else text

    return Part(field, Known(translate).__getitem__)


OPERATORS = {b"and": 2, b"or": 2, b"not": 1}
"""The operators of an expression, and how many results before them they take."""


class Test(NamedTuple):
    """A test of an expression: a field's name or a part of a service, and whether one of its values passes."""

    source: bytes
    passes: Callable[[Any], bool]


def parse_where(text: str) -> list[bytes | Test]:
    """Read the program of an expression: tests, and the words `and`, `or`, `not` behind them.

    `FIELD:n:LOW-HIGH+...` tests a number, `FIELD:a:LOW-HIGH+...` an address in hexadecimal digits, `FIELD:t:HEX+HEX`
    the bytes of a text.

    Raises:
        ValueError: the text is none.

    """
    program: list[bytes | Test] = []
    depth = 0
    for word in text.encode().split(b","):
        operands = OPERATORS.get(word)
        if operands is None:
            program.append(parse_test(*word.split(b":")))
            depth += 1
        elif depth < operands:
            raise ValueError(text)
        else:
            program.append(word)
            depth -= operands - 1
    if depth != 1:
        raise ValueError(text)
    return program


def parse_test(source: bytes, kind: bytes = b"", values: bytes = b"", *more: bytes) -> Test:
    """Read one test of an expression; ValueError if it is none."""
    if more or (source not in FIELDS and source not in SERVICE_PARTS):
        raise ValueError(source)
    if kind == b"t":
        holds: Callable[[bytes], bool] = frozenset(
            bytes.fromhex(one.decode()) for one in values.split(b"+")
        ).__contains__
    elif kind == b"n":
        in_ranges = ranges_of([(int(low), int(high)) for low, _, high in split_ranges(values)])
        read = seconds_of if source in TIME_FIELDS else int

        def holds(text: bytes) -> bool:
            return NUMBER.fullmatch(text) is not None and in_ranges(read(text))
    elif kind == b"a":
        ranges = split_ranges(values)
        if not all(len(low) == len(high) in (8, 32) for low, _, high in ranges):
            raise ValueError(values)
        in_short, in_long = (
            ranges_of([(int(low, 16), int(high, 16)) for low, _, high in ranges if len(low) == digits])
            for digits in (8, 32)
        )

        def holds(text: bytes) -> bool:
            return is_address(text) and (in_long if b":" in text else in_short)(bits_of_address(text))
    else:
        raise ValueError(kind)
    if source in SERVICE_PARTS:
        at = SERVICE_PARTS.index(source)
        return Test(source, lambda service: holds(service[at]))
    judge = seconds_of if source in TIME_FIELDS else judge_of(source)
    is_judged = source in NUMBER_FIELDS or source in ADDRESS_FIELDS or source in PORT_FIELDS or source == b"protocol"

    def passes(text: bytes) -> bool:
        if is_judged and text != b"-":
            judge(text)
        return holds(text)

    return Test(source, Known(passes).__getitem__)


def split_ranges(text: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Split `LOW-HIGH+LOW-HIGH`."""
    return [one.partition(b"-") for one in text.split(b"+")]


def ranges_of(ranges: list[tuple[int, int]]) -> Callable[[int], bool]:
    """Return a function that says whether a number is in one of the ranges, which do not overlap."""
    if any(low > high for low, high in ranges):
        raise ValueError(ranges)
    lows, highs = zip(*sorted(ranges)) if ranges else ((), ())

    def in_ranges(number: int) -> bool:
        at = bisect_right(lows, number) - 1
        return at >= 0 and number <= highs[at]

    return in_ranges


def parse_metrics(text: str) -> list[bytes]:
    """Read metrics separated by commas; ValueError if one is unknown, or named twice."""
    metrics = text.encode().split(b",")
    if len(set(metrics)) < len(metrics) or not all(metric in METRICS for metric in metrics):
        raise ValueError(text)
    return metrics


def names_columns(line: bytes) -> bool:
    """Whether a malformed line names columns without being a header: the columns behind it may be in any order."""
    letters = line[:TELLING_BYTES].lower().translate(None, b"\0 -_")
    return b"srcaddr" in letters or b"sourceaddr" in letters


def begins_packed(line: bytes) -> bool:
    """Whether compressed bytes begin in a line."""
    return any(magic in line[:TELLING_BYTES] for magic in PACKED)


class Stretch:
    """Whether the records from a header, or a file's beginning, to the next header or the end fit their layout.

    They are a misfit if `STREAK` records in a row are malformed, or more than one and more than a quarter; or if, of
    the samples of sound records, `STREAK` in a row, more than half, or more than one and more than a quarter are odd: a
    telling column (version, addresses, ports, protocol, packets, bytes, times, action, status) has a value that its
    field cannot have; or if a malformed line names columns.
    """

    def __init__(self) -> None:
        self.sound = 0
        self.malformed = 0
        self.in_row = 0
        self.sampled = 0
        self.odd = 0
        self.odd_in_row = 0
        self.is_told = False

    def add_malformed(self, line: bytes) -> None:
        """Take note of a malformed record; the line is empty if it was too long."""
        self.malformed += 1
        self.in_row += 1
        self.is_told |= self.in_row >= STREAK or names_columns(line)

    def add_sample(self, *, is_odd: bool) -> None:
        """Take note of a sound record that was checked in all telling columns."""
        self.sampled += 1
        self.odd += is_odd
        self.odd_in_row = self.odd_in_row + 1 if is_odd else 0
        self.is_told |= self.odd_in_row >= STREAK

    def is_misfit(self) -> bool:
        """Whether the lines read so far do not fit."""
        too_many = self.malformed > 1 and 4 * self.malformed > self.malformed + self.sound
        too_odd = 2 * self.odd > self.sampled or (self.odd > 1 and 4 * self.odd > self.sampled)
        return self.is_told or too_many or too_odd


class Block:
    """Lines that were split once, at spaces, so that columns are slices and no work is done per line.

    The last column of a line and the first of the next are then one token, a joint, with the line feed between them.
    """

    def __init__(self, tokens: list[bytes], columns: int) -> None:
        """Take the tokens of lines that all have so many columns."""
        self.last = columns - 1
        self.lines = (len(tokens) - 1) // self.last
        tokens.append(tokens[-1] + b"\n" + tokens[0])  # the last line needs a joint, too
        self.tokens = tokens
        self.joints = tokens[self.last : -2 : self.last] + tokens[-1:]
        self.distinct_joints = set(self.joints)

    def column(self, at: int) -> list[bytes]:
        """The texts in a column."""
        if at == self.last:
            text_of = {joint: joint.partition(b"\n")[0] for joint in self.distinct_joints}
            return list(map(text_of.__getitem__, self.joints))
        if at == 0:
            return [joint.partition(b"\n")[2] for joint in self.joints[-1:] + self.joints[:-1]]
        return self.tokens[at : -1 : self.last]

    def distinct(self, at: int) -> Iterable[bytes]:
        """The texts in a column, not all as often as they are there."""
        if at == self.last:
            return (joint.partition(b"\n")[0] for joint in self.distinct_joints)
        return self.column(at)


def split_block(piece: bytes, columns: int) -> Block | None:
    """Split lines that have so many columns; None if one has not, or has blanks or a byte order mark beside them.

    They all have them if the numbers of tokens and line feeds are right, and every joint has a line feed.
    """
    if columns < 2 or not piece or b" \n" in piece or piece[-1:] == b" " or BYTE_ORDER_MARK in piece:
        return None
    tokens = piece.split(b" ")
    lines, rest = divmod(len(tokens) - 1, columns - 1)
    # Counts line feeds in half the time of `count`.
    if rest or len(piece) - len(piece.replace(b"\n", b"")) != lines - 1:
        return None
    block = Block(tokens, columns)
    return block if all(b"\n" in joint for joint in block.distinct_joints) else None


class Selection:
    """The records of a block with data, and which of them are wanted, as far as is known.

    `skipped` has the number of the others, by the reason.
    """

    def __init__(self, block: Block, with_data: list[bool] | None = None, skipped: Counter[str] | None = None) -> None:
        """Take which records have data, None for all, and how many have none."""
        self.block = block
        self.with_data = with_data
        self.skipped = skipped or Counter()
        self.number = block.lines if with_data is None else with_data.count(True)
        self.number_wanted = self.number
        self.are_wanted: list[bool] | None = None
        self.known: dict[int, list[bytes]] = {}

    def texts(self, at: int) -> list[bytes]:
        """The texts in a column of the records with data."""
        if at not in self.known:
            texts = self.block.column(at)
            self.known[at] = texts if self.with_data is None else list(compress(texts, self.with_data))
        return self.known[at]

    def narrow(self, found: list[bool], reason: str) -> None:
        """Leave out, for a reason, the records with data that were not found."""
        both = found if self.are_wanted is None else list(map(and_, self.are_wanted, found))
        number = both.count(True)
        self.skipped[reason] += self.number_wanted - number
        self.are_wanted, self.number_wanted = both, number

    def wanted(self, values: Iterable[T]) -> Iterable[T]:
        """Those of the values of records with data that are of wanted ones."""
        return values if self.are_wanted is None else compress(values, self.are_wanted)


class FlowCounter:
    """Counts lines for one question, and keeps the tally.

    `tables` has a table per metric, with the sum of each key; `sums` is the first. The recipe's key is raw: the logged
    values of the fields of `KEY`, separated by spaces. Any other is as it is printed, its columns separated by tabs.
    `flush` is called with the counter when it is full, and must call `clear`. `weight` is for how many records the
    current line counts: 1, unless a subclass sets it.
    """

    def __init__(self, question: argparse.Namespace, flush: Callable[[FlowCounter], None] | None = None) -> None:
        """Take the question, as `parse_arguments` returns it."""
        by = question.by or ",".join(field.decode() for field in KEY)
        self.is_recipe = by.encode() == b",".join(KEY)
        self.parts = [] if self.is_recipe else parse_key(by)
        is_of_records = by.encode() == b",".join(RECORD_KEY)
        self.metrics = parse_metrics(question.metric)
        self.where = parse_where(question.where) if question.where else []
        self.ports = parse_ports(question.ports)
        self.action = question.action.encode()
        self.since = parse_time(question.since) if question.since else None
        self.until = parse_time(question.until) if question.until else None
        self.is_timed = self.since is not None or self.until is not None
        self.headerless = parse_fields(question.log_format) if question.log_format else list(DEFAULT_FIELDS)
        tested = {test.source for test in self.where if not isinstance(test, bytes)}
        self.looks_at_port = self.is_recipe or self.ports is not ALL_PORTS
        self.needed = {METRICS[metric] for metric in self.metrics} - {b""} | tested.difference(SERVICE_PARTS)
        for fields, is_needed in (
            (KEY, self.is_recipe),
            (RECORD_NEEDS, is_of_records),
            (PORT_FIELDS, not tested.isdisjoint(SERVICE_PARTS)),
            ((b"action",), self.action != b"ALL"),
            ((b"start",), self.is_timed),
            ((b"dstport",), self.looks_at_port),
        ):
            if is_needed:
                self.needed.update(fields)
        self.flush = flush
        self.addresses: dict[bytes, bool] = {}
        self.services = Known(service_of)
        self.rest = b""
        self.forget()
        self.begin_tally()
        self.begin_file()

    def forget(self) -> None:
        """Forget all sums, and what they add up to."""
        self.clear()
        self.totals = dict.fromkeys(self.metrics, 0)

    def begin_tally(self) -> None:
        """Begin to count anew how many records there are of each kind."""
        self.records_read = 0
        self.counted = 0
        self.skipped = dict.fromkeys(REASONS, 0)
        self.misfit_files = 0

    def clear(self) -> None:
        """Forget all sums."""
        self.tables: list[Counter[bytes]] = [Counter() for _ in self.metrics]
        self.sums = self.tables[0]
        self.keys_measured = self.key_bytes = 0

    def begin_file(self) -> None:
        """Begin a file, in the question's layout until a header comes."""
        self.file_has_records = self.file_has_sound = self.file_has_misfit = self.file_ends_packed = False
        self.stretch = Stretch()
        self.set_layout(self.headerless)

    def end_stretch(self) -> None:
        """Judge the stretch that ends here."""
        stretch = self.stretch
        if stretch.is_misfit():
            self.misfit_files += 1
            self.file_has_misfit = True
        self.file_has_sound |= stretch.sound > 0
        self.file_has_records |= stretch.sound + stretch.malformed > 0
        self.stretch = Stretch()

    def end_file(self) -> None:
        """Judge the file that ends here, and begin the next."""
        self.end_stretch()
        has_none = self.file_has_records and not self.file_has_sound
        if (has_none or self.file_ends_packed) and not self.file_has_misfit:
            self.misfit_files += 1
        self.begin_file()

    def set_layout(self, fields: list[bytes]) -> None:
        """Take the columns of the lines that follow."""

        def position(name: bytes) -> int:
            return fields.index(name) if name in fields else ABSENT

        self.columns = len(fields)
        self.usable = self.needed <= set(fields)
        self.at_key = [position(name) for name in KEY]
        self.at_port = position(b"dstport") if self.looks_at_port else ABSENT
        self.at_status = position(b"log-status")
        self.at_action = ABSENT if self.action == b"ALL" else position(b"action")
        self.at_start = position(b"start") if self.is_timed else ABSENT
        self.at_values = [position(METRICS[metric]) for metric in self.metrics]
        self.has_nodata = self.at_status == ABSENT and ABSENT not in self.at_key
        self.position = position
        self.telling = [(position(name), judge) for name, judge in TELLING if name in fields]
        # Matches most records at once. Others, like those with IPv6 addresses, are checked column by column.
        self.usual = re.compile(b" ".join(USUAL.get(name, rb"[^ ]*") for name in fields))
        self.at_times = [position(name) for name in (b"start", b"end") if name in fields]
        self.at_sizes = [position(name) for name in (b"packets", b"bytes") if name in fields]

    def feed(self, piece: bytes) -> None:
        """Count the lines in the next piece of a file. A line may go on in the piece after it."""
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # a blank line is no record
        if len(self.rest) > LONGEST_LINE_BYTES:
            start = piece.find(b"\n")  # the rest of a line that is too long is dropped
            piece = piece[start:] if start >= 0 else b""
        end = piece.rfind(b"\n")
        if end < 0:
            self.rest += piece
        else:
            self.count_block(self.rest + piece[:end] if self.rest else piece[:end])
            self.rest = piece[end + 1 :]

    def end_lines(self) -> None:
        """Count the last line of a file, if it has no line end."""
        rest, self.rest = self.rest, b""
        self.count_block(rest)

    def count_block(self, block: bytes) -> None:
        """Count a block of whole lines, separated by line feeds (and no carriage returns)."""
        start = 0
        while start < len(block):
            # `feed` adds the rest of the last block; a block that is only a little longer is not cut.
            end = block.find(b"\n", start + BLOCK_BYTES) if len(block) - start > 2 * BLOCK_BYTES else -1
            end = len(block) if end < 0 else end
            self._count_piece(block[start:end])
            start = end + 1
            if self.flush and self._is_full():
                self.flush(self)

    def _is_full(self) -> bool:
        if not self.is_recipe:
            new = len(self.sums) - self.keys_measured
            self.key_bytes += sum(map(len, islice(reversed(self.sums), new)))
            self.keys_measured += new
        return len(self.sums) * len(self.tables) >= TALKERS_HELD or self.key_bytes >= KEY_BYTES_HELD

    def _count_piece(self, piece: bytes) -> None:
        """Count lines together if all of them are sound, or else in ever shorter pieces."""
        if len(piece) <= LONGEST_LINE_BYTES and self._count_sound(
            TIME_STAMPS.sub(b"", piece) if b"Z" in piece else piece
        ):
            return
        middle = piece.find(b"\n", len(piece) // 2) if len(piece) > FEW_BYTES else -1
        if middle < 0:
            for line in piece.split(b"\n"):
                self.count_line(line)
        else:
            self._count_piece(piece[:middle])
            self._count_piece(piece[middle + 1 :])

    def _count_sound(self, piece: bytes) -> bool:
        """Count a piece at once if all its lines are sound. Otherwise count nothing and return False.

        The result is that of `count_line` for each line. A header or a blank line is never sound: it has no port, or
        another number of columns.
        """
        block = split_block(piece, self.columns) if self.usable else None
        data = self._with_data(block) if block else None
        if not block or not data:
            return False
        try:
            if not self._keep_wanted(data):
                return False
            talkers = self._keys_of(data)
            numbers = [self._numbers_of(data, metric, at) for metric, at in zip(self.metrics, self.at_values)]
        except MalformedError:
            return False
        self._sample_sound(block.tokens, block.lines)
        for metric, table, own in zip(self.metrics, self.tables, numbers):
            if metric == b"records":
                table.update(talkers)
            elif metric in TIME_METRICS:
                keep = min if metric == b"first" else max
                for talker, value in zip(talkers, own):
                    table[talker] = keep(table.get(talker, value), value)
            else:
                self.totals[metric] += sum(own)
                for talker, value in zip(talkers, own):
                    table[talker] += value
        self.counted += len(talkers)
        self.records_read += block.lines
        for reason, number in data.skipped.items():
            self.skipped[reason] += number
        return True

    def _with_data(self, block: Block) -> Selection | None:
        """The records that have data; None if a status is malformed. Others lack the columns that are checked next."""
        if self.at_status != ABSENT:
            statuses = set(block.distinct(self.at_status))
            if statuses == {b"OK"}:
                return Selection(block)
            if not statuses <= SOUND_STATUSES:
                return None
            texts = block.column(self.at_status)
            skipped = Counter(nodata=texts.count(b"NODATA"), skipdata=texts.count(b"SKIPDATA"))
            return Selection(block, list(map(eq, texts, repeat(b"OK"))), skipped)
        if self.has_nodata and not self.is_recipe:
            with_data = [list(values) != NO_KEY for values in zip(*map(block.column, self.at_key))]
            return Selection(block, with_data, Counter(nodata=with_data.count(False)))
        return Selection(block)

    def _keep_wanted(self, data: Selection) -> bool:
        """Leave the records that are not wanted. False, or MalformedError, if one is malformed."""
        if self.at_action != ABSENT:
            actions = data.texts(self.at_action)
            number = actions.count(self.action)
            if number != len(actions):
                if number + actions.count(OTHER_ACTION[self.action]) != len(actions):
                    return False
                data.narrow(list(map(eq, actions, repeat(self.action))), "action")
        if self.at_start != ABSENT:
            starts = data.texts(self.at_start)
            if not are_numbers(starts):
                return False
            asked_for = {text: self._is_in_time(text) for text in set(starts)}
            if not all(asked_for.values()):
                data.narrow(list(map(asked_for.__getitem__, starts)), "time")
        if self.at_port != ABSENT:
            ports = data.texts(self.at_port)
            found = list(map(self.ports.__contains__, ports))
            if not all(found):
                others = list(compress(ports, map(not_, found)))
                if not self.is_recipe:
                    others = list(filterfalse(b"-".__eq__, others))
                if others and not are_ports(b" ".join(others)):
                    return False
                data.narrow(found, "ports")
        if self.where:
            data.narrow(self._holding(data.texts, data.number), "where")
        return True

    def _keys_of(self, data: Selection) -> list[bytes]:
        """The key of each wanted record; MalformedError if one is malformed."""
        if self.is_recipe:
            talkers = list(map(b" ".join, data.wanted(zip(*map(data.texts, self.at_key)))))
            if not all(map(self._is_talker, set(filterfalse(self.sums.__contains__, talkers)))):
                raise MalformedError("malformed_address")
            return talkers
        values = self._values_of(lambda at: list(data.wanted(data.texts(at))), data.number_wanted)
        parts = [list(map(part.translate, values(part.source))) for part in self.parts]
        return parts[0] if len(parts) == 1 else list(map(b"\t".join, zip(*parts)))

    def _numbers_of(self, data: Selection, metric: bytes, at: int) -> list[int]:
        """The values of a metric in the wanted records, none for `records`; MalformedError if one is malformed."""
        texts = [] if at == ABSENT else list(data.wanted(data.texts(at)))
        if not are_numbers(texts):
            raise MalformedError("malformed_number")
        numbers = list(map(int, texts))
        if metric in TIME_METRICS:
            numbers = [one if one < MILLISECONDS_FROM else one // 1000 for one in numbers]
            if max(numbers, default=0) > LARGEST_TIME:
                raise MalformedError("malformed_number")
        return numbers

    def _values_of(self, column: Callable[[int], list[bytes]], number: int) -> Callable[[bytes], list[Any]]:
        """Return a function that gives the values of a source in some records, for `translate` and `passes`.

        `column` returns the texts in a column. A field that the layout lacks is `-`.
        """
        known: dict[bytes, list[Any]] = {}

        def texts(field: bytes) -> list[bytes]:
            if field not in known:
                at = self.position(field)
                known[field] = [b"-"] * number if at == ABSENT else column(at)
            return known[field]

        def values(source: bytes) -> list[Any]:
            if source == PAIR:
                return list(zip(texts(b"srcaddr"), texts(b"dstaddr")))
            if source not in SERVICE_PARTS:
                return texts(source)
            if PAIR not in known:  # under which no field's texts are
                known[PAIR] = list(map(self.services.__getitem__, zip(*map(texts, SERVICE_FIELDS))))
            return known[PAIR]

        return values

    def _holding(self, column: Callable[[int], list[bytes]], number: int) -> list[bool]:
        """For each of some records, whether the expression holds; MalformedError if a value is not of its kind."""
        values = self._values_of(column, number)
        stack: list[list[bool]] = []
        for one in self.where:
            if isinstance(one, Test):
                stack.append(list(map(one.passes, values(one.source))))
            elif one == b"not":
                stack.append(list(map(not_, stack.pop())))
            else:
                second = stack.pop()
                stack.append(list(map(and_ if one == b"and" else or_, stack.pop(), second)))
        return stack[0]

    def _sample_sound(self, tokens: list[bytes], lines: int) -> None:
        """Take note of sound records, and check all telling columns of some."""
        stretch, last = self.stretch, self.columns - 1
        first = stretch.sound
        stretch.sound += lines
        stretch.in_row = 0
        self.file_ends_packed = False
        beginning = range(first, min(SAMPLED_FIRST, stretch.sound))
        later = range(max(first + -first % SAMPLED_EVERY, SAMPLED_EVERY), stretch.sound, SAMPLED_EVERY)
        for number in (*beginning, *later):
            at = (number - first) * last
            columns = tokens[at : at + last + 1]
            columns[0] = columns[0].rpartition(b"\n")[2]
            columns[-1] = columns[-1].partition(b"\n")[0]
            stretch.add_sample(is_odd=self.is_odd(columns))

    def is_odd(self, columns: list[bytes]) -> bool:
        """Whether a telling column of a record has a value that its field cannot have; `-` tells nothing."""
        if not self.usual.fullmatch(b" ".join(columns)):
            for at, judge in self.telling:
                if columns[at] != b"-" and not judge(columns[at]):
                    return True
        for at in self.at_sizes:
            if len(columns[at]) == 10 and is_epoch(columns[at]):
                return any(columns[at] != b"-" and int(columns[at]) < EPOCH_FROM for at in self.at_times)
        return False

    def count_line(self, line: bytes) -> None:
        """Examine one line by all the rules."""
        is_too_long = len(line) > LONGEST_LINE_BYTES
        if line.startswith(BYTE_ORDER_MARK):
            line = line[3:]
        stamp = TIME_STAMP.match(line)
        if stamp:
            line = line[stamp.end() :]
        columns = line.rstrip(b" ").split(b" ")
        if not is_too_long:
            if not line.strip():
                return
            header = parse_header(columns)
            if header:
                self.end_stretch()
                self.set_layout(header)
                return
        self.weight = 1
        reason = "malformed_columns" if is_too_long else self._count_record(columns)
        self.records_read += self.weight
        if reason is None:
            self.counted += self.weight
        else:
            self.skipped[reason] += self.weight
        if reason is not None and reason.startswith("malformed"):
            line = b"" if is_too_long else line.rstrip(b" ")
            self.stretch.add_malformed(line)
            self.file_ends_packed |= begins_packed(line)
        else:
            self._sample_sound(columns, 1)

    def _count_record(self, columns: list[bytes]) -> str | None:
        if not self.usable or len(columns) != self.columns:
            return "malformed_columns"
        if self.at_status != ABSENT:
            status = columns[self.at_status]
            if status != b"OK":
                return {b"NODATA": "nodata", b"SKIPDATA": "skipdata"}.get(status, "malformed_status")
        elif self.has_nodata and [columns[at] for at in self.at_key] == NO_KEY:
            return "nodata"
        if self.at_action != ABSENT and columns[self.at_action] not in OTHER_ACTION:
            return "malformed_action"
        if self.at_start != ABSENT and not NUMBER.fullmatch(columns[self.at_start]):
            return "malformed_number"
        port = b"" if self.at_port == ABSENT else columns[self.at_port]
        if self.at_port != ABSENT and port not in ALL_PORTS and (self.is_recipe or port != b"-"):
            return "malformed_port"
        try:
            holds = not self.where or self._holding(lambda at: [columns[at]], 1)[0]
            if self.at_action != ABSENT and columns[self.at_action] != self.action:
                return "action"
            if self.at_start != ABSENT and not self._is_in_time(columns[self.at_start]):
                return "time"
            if self.at_port != ABSENT and port not in self.ports:
                return "ports"
            if not holds:
                return "where"
            if self.is_recipe:
                parts = [columns[at] for at in self.at_key]
                if not all(map(self._is_address, compress(parts, KEY_ADDRESSES))):
                    return "malformed_address"
                key = b" ".join(parts)
            else:
                values = self._values_of(lambda at: [columns[at]], 1)
                key = b"\t".join([part.translate(values(part.source)[0]) for part in self.parts])
            numbers = []
            for metric, at in zip(self.metrics, self.at_values):
                if at == ABSENT:
                    numbers.append(self.weight)
                elif metric in TIME_METRICS:
                    numbers.append(seconds_of(columns[at]))
                elif NUMBER.fullmatch(columns[at]):
                    numbers.append(int(columns[at]))
                else:
                    return "malformed_number"
        except MalformedError as error:
            return error.reason
        for metric, table, number in zip(self.metrics, self.tables, numbers):
            if metric in TIME_METRICS:
                table[key] = (min if metric == b"first" else max)(table.get(key, number), number)
            else:
                table[key] += number
                if metric != b"records":
                    self.totals[metric] += number
        return None

    def _is_in_time(self, text: bytes) -> bool:
        start = int(text)
        if start >= MILLISECONDS_FROM:
            start //= 1000
        return (self.since is None or start >= self.since) and (self.until is None or start < self.until)

    def _is_talker(self, key: bytes) -> bool:
        return all(map(self._is_address, compress(key.split(b" "), KEY_ADDRESSES)))

    def _is_address(self, text: bytes) -> bool:
        known = self.addresses.get(text)
        if known is None:
            known = is_address(text)
            if len(self.addresses) >= TALKERS_HELD:
                self.addresses.clear()
            self.addresses[text] = known
        return known


SOUND_STATUSES = frozenset((b"OK", b"NODATA", b"SKIPDATA"))
OTHER_ACTION = {b"ACCEPT": b"REJECT", b"REJECT": b"ACCEPT"}


def is_version(text: bytes) -> bool:
    """Whether a text is a version of flow-log records: one or two digits."""
    return text.isdigit() and len(text) <= 2


def is_epoch(text: bytes) -> bool:
    """Whether a text is a time of this century, in seconds since 1970."""
    return len(text) == 10 and text.isdigit() and EPOCH_FROM <= int(text) < EPOCH_UNTIL


TELLING: tuple[tuple[bytes, Callable[[bytes], object]], ...] = (
    (b"version", is_version),
    (b"srcaddr", is_address),
    (b"dstaddr", is_address),
    (b"pkt-srcaddr", is_address),
    (b"pkt-dstaddr", is_address),
    (b"srcport", ALL_PORTS.__contains__),
    (b"dstport", ALL_PORTS.__contains__),
    (b"protocol", PROTOCOLS.__contains__),
    (b"packets", NUMBER.fullmatch),
    (b"bytes", NUMBER.fullmatch),
    (b"start", NUMBER.fullmatch),
    (b"end", NUMBER.fullmatch),
    (b"action", OTHER_ACTION.__contains__),
    (b"log-status", SOUND_STATUSES.__contains__),
)
"""The columns that show whether lines fit their layout, and which values each may have beside `-`."""

_ADDRESS = rb"(?:" + OCTET + rb"(?:\." + OCTET + rb"){3}|-)"
_PORT = rb"(?:0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|-)"
_NUMBER = rb"(?:[0-9]{1,15}|-)"
USUAL = {
    b"version": rb"(?:[0-9]{1,2}|-)",
    **dict.fromkeys((b"packets", b"bytes", b"start", b"end"), _NUMBER),
    **dict.fromkeys((b"srcaddr", b"dstaddr", b"pkt-srcaddr", b"pkt-dstaddr"), _ADDRESS),
    **dict.fromkeys((b"srcport", b"dstport"), _PORT),
    b"protocol": rb"(?:[0-9]|[1-9][0-9]|-)",
    b"action": rb"(?:ACCEPT|REJECT|-)",
    b"log-status": rb"(?:OK|NODATA|SKIPDATA|-)",
}
"""The values of these columns in nearly all records: a part of what `TELLING` allows."""


def format_talker(key: bytes) -> bytes:
    """Print a raw key as a talker: `192.0.2.1:198.51.100.7:443`, IPv6 in brackets."""
    if b":" in key:
        return b":".join([b"[" + part + b"]" if b":" in part else part for part in key.split(b" ")])
    return key.replace(b" ", b":")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; a wrong value is argparse's usage error, exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--by", help="parts of a key, separated by commas")
    parser.add_argument("--metric", default="records", help="records, packets, bytes, first, last, with commas")
    parser.add_argument("--where", help="the program of an expression")
    parser.add_argument("--ports", default="0-1024", help="0-1024 (the default); 22,443,8000-8999; all")
    parser.add_argument("--action", choices=("ACCEPT", "REJECT", "ALL"), default="ACCEPT")
    parser.add_argument("--since", help="record start at or after, 2026-11-23T18:00:00Z")
    parser.add_argument("--until", help="record start before, 2026-11-23T18:00:00Z")
    parser.add_argument("--log-format", help="fields of lines without a header, separated by commas")
    question = parser.parse_args(arguments)
    for option, parse in (
        ("by", parse_key),
        ("metric", parse_metrics),
        ("where", parse_where),
        ("ports", parse_ports),
        ("since", parse_time),
        ("until", parse_time),
        ("log_format", parse_fields),
    ):
        text = getattr(question, option)
        if text is not None:
            try:
                parse(text)
            except ValueError:
                parser.error("--{}: {!r} is not understood".format(option.replace("_", "-"), text))
    if question.log_format and not FlowCounter(question).usable:
        parser.error("--log-format: the format lacks a field that the question needs")
    return question


def is_long_value_sum(metrics: Sequence[bytes]) -> bool:
    """Whether Hadoop's `aggregate` can make the sums: its name for them is then before each key."""
    return len(metrics) == 1 and metrics[0] not in TIME_METRICS


def printed(counter: FlowCounter, tables: list[Counter[bytes]]) -> Iterator[bytes]:
    """Print sums of a counter's question as lines. Not a list, which would take as much memory as the sums."""
    form = format_talker if counter.is_recipe else bytes
    if is_long_value_sum(counter.metrics):
        return (b"%b%b\t%d\n" % (PREFIX, form(key), total) for key, total in tables[0].items())
    return (b"%b\t%b\n" % (form(key), b"\t".join([b"%d" % table[key] for table in tables])) for key in tables[0])


def counters_of(records_read: int, counted: int, skipped: dict[str, int], totals: dict[bytes, int]) -> dict[str, int]:
    """The Hadoop counters of a tally, by their names; SystemExit with a message if the values add up to too much."""
    if max(totals.values()) > LARGEST_TOTAL:
        sys.exit("the values add up to more than 2^63 - 1, which Hadoop cannot sum: ask for less time, or of less")
    tally = {"records_read": records_read, "counted": counted, **skipped}
    # In halves, so that the sums of all mappers cannot overflow. The first has no name, as there was only one once.
    for number, total in enumerate(totals.items()):
        for name in ["_" + total[0].decode(), *[""][number:]]:
            tally["values_high" + name] = total[1] >> 32
            tally["values_low" + name] = total[1] & 0xFFFFFFFF
    return tally


def report(tally: dict[str, int], stderr: TextIO) -> None:
    """Report counters to Hadoop."""
    for name, number in tally.items():
        if number:
            stderr.write(f"reporter:counter:toptalkers,{name},{number}\n")


def main(arguments: list[str], stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> None:
    """Run the mapper over binary streams; SystemExit with a message if the values add up to too much."""

    def flush(counter: FlowCounter) -> None:
        stdout.writelines(printed(counter, counter.tables))
        counter.clear()

    gc.disable()  # nothing here makes cycles, and searching a block's many lists for them takes long
    question = parse_arguments(arguments)
    counter = FlowCounter(question, flush)
    while piece := stdin.read(BLOCK_BYTES):
        counter.feed(piece)
    counter.end_lines()
    counter.end_file()
    flush(counter)
    stdout.flush()
    tally = counters_of(counter.records_read, counter.counted, counter.skipped, counter.totals)
    report({**tally, "misfit_files": counter.misfit_files}, stderr)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr)
