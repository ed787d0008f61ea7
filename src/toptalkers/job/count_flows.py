#!/usr/bin/env python3
"""Mapper of step 1: flow-log lines in, `LongValueSum:<talker>` TAB `<sum>` lines out.

Self-contained, for Python 3.9 and only its standard library: it travels to cluster nodes by itself.
Standard output is read by Hadoop's `aggregate` reducer (ValueAggregatorReducer) or by `sum_counts.py`. Skipped records
are reported on standard error as Hadoop counters, one line per reason.

The rules, in the order in which a line is examined. A record is tallied under the first that it fails:

1. A carriage return ends a line, as it does for Hadoop's LineReader. A line of more than 1 MiB is
   `malformed_columns`. A byte order mark and an ISO 8601 time stamp (CloudWatch's export) before a line are
   removed. A blank line is no record.
2. A header line sets the layout: all its columns are shaped like field names, and the first, or more than half of
   them, are known fields. `_` stands for `-`, as Athena writes names.
3. A line splits at each single space; spaces at its end do not count. The wrong number of columns, or a layout without
   a needed field: `malformed_columns`.
4. Log status, if the layout has it: `nodata`, `skipdata`, any other that is not OK: `malformed_status`. If not, a
   record with `-` for both addresses and the port: `nodata`.
5. Action, if the question has one: neither ACCEPT nor REJECT: `malformed_action`.
6. Start (seconds, or milliseconds), if the question has a time: not a number: `malformed_number`.
7. Destination port: not a port: `malformed_port`.
8. Action not wanted: `action`; start outside [since, until): `time`; port not wanted: `ports`.
9. Addresses: not an IP address: `malformed_address`.
10. Packets or bytes: not a number of at most 15 digits: `malformed_number`.

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
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import compress, filterfalse, repeat
from operator import and_, eq, not_
from typing import BinaryIO, Callable, TextIO, TypeVar

T = TypeVar("T")

TALKERS_HELD = 200_000
"""How many talkers are held until their sums are printed: the process needs at most 80 MB."""

BLOCK_BYTES = 128 << 10
"""How much is read and counted at a time: it stays in a core's caches even when split into columns."""

LONGEST_LINE_BYTES = 1 << 20
"""A longer line is malformed."""

LONGEST_OFFSET_BYTES = 32
"""More than the offset and the tab before a line take."""

FEW_BYTES = 4 << 10
"""A piece as short as this is counted line by line if any line is not sound."""

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
"""A start from here on is in milliseconds: in seconds it would be in the year 5138."""

ABSENT = -1
"""The position of a field that a layout lacks."""

KEY = (b"srcaddr", b"dstaddr", b"dstport")
"""The fields that make the key of a sum: a talker."""

KEY_ADDRESSES = tuple(field.endswith(b"addr") for field in KEY)
"""Which of them are addresses."""

NO_KEY = [b"-"] * len(KEY)
"""The values of these fields in a record without data."""

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
OFFSETS = re.compile(rb"^[0-9]+\t", re.MULTILINE)
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


def blocks_of_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Read a stream in blocks of whole lines, without the last line end. Of a line that is too long, part is cut."""
    most = LONGEST_LINE_BYTES + LONGEST_OFFSET_BYTES
    rest = b""
    while True:
        data = stream.read(BLOCK_BYTES)
        if not data:
            break
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if len(rest) > most:
            start = data.find(b"\n")
            if start < 0:
                continue
            data = data[start:]
        end = data.rfind(b"\n")
        if end < 0:
            rest += data
        else:
            yield rest + data[:end]
            rest = data[end + 1 :]
    if rest:
        yield rest


def files_of_block(block: bytes) -> Iterator[tuple[bool, bytes]]:
    """Split a block of `<offset>` TAB `<line>` lines by files. Yields whether a file begins, and its lines.

    The offset is that of the line in its file, by Hadoop's LineRecordReader: at 0, a new file begins.
    """
    start = 0
    while start <= len(block):
        end = block.find(b"\n0\t", start)
        end = len(block) if end < 0 else end
        yield block.startswith(b"0\t", start), OFFSETS.sub(b"", block[start:end])
        start = end + 1


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


class FlowCounter:
    """Counts lines for one question, and keeps the tally.

    `sums` has a sum per raw key: the logged values of the fields of `KEY`, separated by spaces. `flush` is called with
    the counter when it holds `TALKERS_HELD` sums, and empties it.
    """

    def __init__(self, question: argparse.Namespace, flush: Callable[[FlowCounter], None] | None = None) -> None:
        """Take the question, as `parse_arguments` returns it."""
        self.ports = parse_ports(question.ports)
        self.action = question.action.encode()
        self.since = parse_time(question.since) if question.since else None
        self.until = parse_time(question.until) if question.until else None
        self.is_timed = self.since is not None or self.until is not None
        self.metric = question.metric.encode()
        self.headerless = parse_fields(question.log_format) if question.log_format else list(DEFAULT_FIELDS)
        self.flush = flush
        self.sums: Counter[bytes] = Counter()
        self.total = 0
        self.addresses: dict[bytes, bool] = {}
        self.records_read = 0
        self.counted = 0
        self.skipped = dict.fromkeys(REASONS, 0)
        self.misfit_files = 0
        self.begin_file()

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
        self.at_key = [position(name) for name in KEY]
        self.at_port = position(b"dstport")
        self.at_status = position(b"log-status")
        self.at_action = ABSENT if self.action == b"ALL" else position(b"action")
        self.at_start = position(b"start") if self.is_timed else ABSENT
        self.at_value = ABSENT if self.metric == b"records" else position(self.metric)
        needed = [*self.at_key, self.at_port]
        if self.action != b"ALL":
            needed.append(self.at_action)
        if self.is_timed:
            needed.append(self.at_start)
        if self.metric != b"records":
            needed.append(self.at_value)
        self.usable = ABSENT not in needed
        self.telling = [(position(name), judge) for name, judge in TELLING if name in fields]
        # Matches most records at once. Others, like those with IPv6 addresses, are checked column by column.
        self.usual = re.compile(b" ".join(USUAL.get(name, rb"[^ ]*") for name in fields))
        self.at_times = [position(name) for name in (b"start", b"end") if name in fields]
        self.at_sizes = [position(name) for name in (b"packets", b"bytes") if name in fields]

    def count_block(self, block: bytes) -> None:
        """Count a block of whole lines, separated by line feeds (and no carriage returns)."""
        start = 0
        while start < len(block):
            # `blocks_of_lines` adds the rest of the last block; a block that is only a little longer is not cut.
            end = block.find(b"\n", start + BLOCK_BYTES) if len(block) - start > 2 * BLOCK_BYTES else -1
            end = len(block) if end < 0 else end
            self._count_piece(block[start:end])
            start = end + 1
            if self.flush and len(self.sums) >= TALKERS_HELD:
                self.flush(self)

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

        The result is that of `count_line` for each line. The piece is split once, at spaces, so that columns are slices
        and no work is done per line. The last column of a line and the first of the next are then one token, a joint,
        with the line feed between them. All lines have their layout's columns if the numbers of tokens and line feeds
        are right, and every joint has a line feed. A header or a blank line is never sound: it has no port.
        """
        if not self.usable or not piece:
            return False
        if b" \n" in piece or piece[-1:] == b" " or BYTE_ORDER_MARK in piece:
            return False
        last = self.columns - 1
        tokens = piece.split(b" ")
        lines, rest = divmod(len(tokens) - 1, last)
        # Counts line feeds in half the time of `count`.
        if rest or len(piece) - len(piece.replace(b"\n", b"")) != lines - 1:
            return False
        tokens.append(tokens[-1] + b"\n" + tokens[0])  # the last line needs a joint, too
        joints = tokens[last:-2:last] + tokens[-1:]
        distinct = set(joints)
        if not all(b"\n" in joint for joint in distinct):
            return False

        def column(at: int) -> list[bytes]:
            if at == last:
                return [joint.partition(b"\n")[0] for joint in joints]
            if at == 0:
                return [joint.partition(b"\n")[2] for joint in joints[-1:] + joints[:-1]]
            return tokens[at:-1:last]

        # Records without data are sound, and are removed before the columns that they lack are checked.
        skipped: Counter[str] = Counter()
        with_data: list[bool] | None = None
        if self.at_status != ABSENT:
            if self.at_status == last:
                status_of = {joint: joint.partition(b"\n")[0] for joint in distinct}
                statuses = set(status_of.values())
            else:
                statuses = set(column(self.at_status))
            if statuses != {b"OK"}:
                if not statuses <= SOUND_STATUSES:
                    return False
                is_last = self.at_status == last
                texts = list(map(status_of.__getitem__, joints)) if is_last else column(self.at_status)
                skipped = Counter(nodata=texts.count(b"NODATA"), skipdata=texts.count(b"SKIPDATA"))
                with_data = list(map(eq, texts, repeat(b"OK")))

        def of_data(at: int) -> list[bytes]:
            return column(at) if with_data is None else list(compress(column(at), with_data))

        wanted: list[bool] | None = None

        def narrow(found: list[bool], reason: str) -> None:
            nonlocal wanted
            both = found if wanted is None else list(map(and_, wanted, found))
            skipped[reason] += (len(found) if wanted is None else wanted.count(True)) - both.count(True)
            wanted = both

        def of_wanted(texts: Iterable[T]) -> Iterable[T]:
            return texts if wanted is None else compress(texts, wanted)

        if self.at_action != ABSENT:
            actions = of_data(self.at_action)
            number = actions.count(self.action)
            if number != len(actions):
                if number + actions.count(OTHER_ACTION[self.action]) != len(actions):
                    return False
                narrow(list(map(eq, actions, repeat(self.action))), "action")
        if self.at_start != ABSENT:
            starts = of_data(self.at_start)
            if not are_numbers(starts):
                return False
            asked_for = {text: self._is_in_time(text) for text in set(starts)}
            if not all(asked_for.values()):
                narrow(list(map(asked_for.__getitem__, starts)), "time")
        ports = of_data(self.at_port)
        found = list(map(self.ports.__contains__, ports))
        if not all(found):
            if not are_ports(b" ".join(compress(ports, map(not_, found)))):
                return False
            narrow(found, "ports")
        parts = [ports if at == self.at_port else of_data(at) for at in self.at_key]
        talkers = list(map(b" ".join, of_wanted(zip(*parts))))
        if not all(map(self._is_talker, set(filterfalse(self.sums.__contains__, talkers)))):
            return False
        values = [] if self.at_value == ABSENT else list(of_wanted(of_data(self.at_value)))
        if not are_numbers(values):
            return False

        self._sample_sound(tokens, lines)
        if self.at_value == ABSENT:
            self.sums.update(talkers)
        else:
            numbers = list(map(int, values))
            self._add_total(sum(numbers))
            sums = self.sums
            for talker, value in zip(talkers, numbers):
                sums[talker] += value
        self.counted += len(talkers)
        self.records_read += lines
        for reason, number in skipped.items():
            self.skipped[reason] += number
        return True

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
        self.records_read += 1
        reason = "malformed_columns" if is_too_long else self._count_record(columns)
        if reason is None:
            self.counted += 1
        else:
            self.skipped[reason] += 1
        if reason is not None and reason.startswith("malformed"):
            line = b"" if is_too_long else line.rstrip(b" ")
            self.stretch.add_malformed(line)
            self.file_ends_packed |= begins_packed(line)
        else:
            self._sample_sound(columns, 1)

    def _count_record(self, columns: list[bytes]) -> str | None:
        if not self.usable or len(columns) != self.columns:
            return "malformed_columns"
        parts = [columns[at] for at in self.at_key]
        port = columns[self.at_port]
        if self.at_status != ABSENT:
            status = columns[self.at_status]
            if status != b"OK":
                return {b"NODATA": "nodata", b"SKIPDATA": "skipdata"}.get(status, "malformed_status")
        elif parts == NO_KEY:
            return "nodata"
        if self.at_action != ABSENT and columns[self.at_action] not in OTHER_ACTION:
            return "malformed_action"
        if self.at_start != ABSENT and not NUMBER.fullmatch(columns[self.at_start]):
            return "malformed_number"
        if port not in ALL_PORTS:
            return "malformed_port"
        if self.at_action != ABSENT and columns[self.at_action] != self.action:
            return "action"
        if self.at_start != ABSENT and not self._is_in_time(columns[self.at_start]):
            return "time"
        if port not in self.ports:
            return "ports"
        if not all(map(self._is_address, compress(parts, KEY_ADDRESSES))):
            return "malformed_address"
        value = 1
        if self.at_value != ABSENT:
            if not NUMBER.fullmatch(columns[self.at_value]):
                return "malformed_number"
            value = int(columns[self.at_value])
            self._add_total(value)
        self.sums[b" ".join(parts)] += value
        return None

    def _add_total(self, value: int) -> None:
        self.total += value
        if self.total > LARGEST_TOTAL:
            sys.exit("the values add up to more than 2^63 - 1, which Hadoop cannot sum: ask for less time, or of less")

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
PROTOCOLS = frozenset(b"%d" % number for number in range(256))


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
    parser.add_argument("--metric", choices=("records", "packets", "bytes"), default="records")
    parser.add_argument("--by")
    parser.add_argument("--ports", default="0-1024", help="0-1024 (the default); 22,443,8000-8999; all")
    parser.add_argument("--action", choices=("ACCEPT", "REJECT", "ALL"), default="ACCEPT")
    parser.add_argument("--since", help="record start at or after, 2026-11-23T18:00:00Z")
    parser.add_argument("--until", help="record start before, 2026-11-23T18:00:00Z")
    parser.add_argument("--log-format", help="fields of lines without a header, separated by commas")
    parser.add_argument("--offsets", action="store_true", help="lines come behind their offset in their file and a tab")
    question = parser.parse_args(arguments)
    for option, parse in (
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
    if not FlowCounter(question).usable:
        parser.error("--log-format: the format lacks a field that the question needs")
    return question


def main(arguments: list[str], stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> None:
    """Run the mapper over binary streams; SystemExit with a message if the values add up to too much."""

    def flush(counter: FlowCounter) -> None:
        # Not a list, which would take as much memory as the sums.
        stdout.writelines(b"LongValueSum:%b\t%d\n" % (format_talker(key), total) for key, total in counter.sums.items())
        counter.sums.clear()

    gc.disable()  # nothing here makes cycles, and searching a block's many lists for them takes long
    question = parse_arguments(arguments)
    counter = FlowCounter(question, flush)
    for block in blocks_of_lines(stdin):
        if not question.offsets:
            counter.count_block(block)
            continue
        for begins, lines in files_of_block(block):
            if begins:
                counter.end_file()
            counter.count_block(lines)
    counter.end_file()
    flush(counter)
    stdout.flush()
    tally = {
        "records_read": counter.records_read,
        "counted": counter.counted,
        **counter.skipped,
        "misfit_files": counter.misfit_files,
        # In halves, so that the sums of all mappers cannot overflow.
        "values_high": counter.total >> 32,
        "values_low": counter.total & 0xFFFFFFFF,
    }
    for name, number in tally.items():
        if number:
            stderr.write(f"reporter:counter:toptalkers,{name},{number}\n")


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr)
