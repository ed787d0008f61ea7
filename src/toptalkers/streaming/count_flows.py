#!/usr/bin/env python3
"""Mapper of step 1: flow-log lines in, `LongValueSum:<talker>` TAB `<sum>` lines out.

Self-contained, for Python 3.9 and its standard library alone: it travels to cluster nodes by itself.
Standard output is the data contract with Hadoop's `aggregate` reducer (ValueAggregatorReducer) and with
`sum_counts.py`. What was skipped is reported on standard error as Hadoop counters, a line a reason.

The rules, in the order in which a line is examined; the first that fails decides under what it is tallied:

1. A carriage return ends a line, as it does for Hadoop's LineReader. A byte order mark and an ISO 8601 time
   stamp (CloudWatch's export) before a line are removed. A blank line is no record.
2. A header line (first column a known field, all columns shaped like field names) sets the layout.
3. A line splits at each single space. Fewer columns than its layout has, or a layout without a needed field:
   `malformed_columns`.
4. Log status, where the layout has it: `nodata`, `skipdata`, any other that is not OK: `other_status`.
5. Another action than asked for: `action`.
6. Start (seconds, or milliseconds): not a number `malformed_number`, outside [since, until) `time`.
7. Destination port: not a port `malformed_port`, not wanted `ports`.
8. Addresses: not an IP address `malformed_address`.
9. Packets or bytes: not a number of at most 15 digits `malformed_number`. (So that sums fit a Java long.)
"""

from __future__ import annotations

import argparse
import calendar
import gc
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, Callable, TextIO

TALKERS_HELD = 200_000
"""Distinct talkers held before they are printed and counting starts again: at most 80 MB resident in all."""

BLOCK_BYTES = 1 << 16
"""What is read and counted at a time: little enough to stay in a core's caches."""

LONGEST_LINE_BYTES = 1 << 20
"""Of a longer line only about this much is looked at."""

FEW_LINES = 16
"""Lines are counted together down to so few of them, and then one by one."""

MILLISECONDS_FROM = 100_000_000_000
"""A start from here on is in milliseconds: as seconds it would be in the year 5138."""

ABSENT = -1
"""The position of a field that a layout lacks."""

REASONS = (
    "nodata",
    "skipdata",
    "other_status",
    "action",
    "time",
    "ports",
    "malformed_columns",
    "malformed_number",
    "malformed_port",
    "malformed_address",
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
))
# fmt: on

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
STAMP = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z(?: |$)"
TIME_STAMP = re.compile(STAMP)
TIME_STAMPS = re.compile(b"^" + STAMP, re.MULTILINE)
NEITHER_SPACE_NOR_LINE_FEED = bytes(byte for byte in range(256) if byte not in b" \n")
OFFSETS = re.compile(rb"^[0-9]+\t", re.MULTILINE)
FIELD_NAME = re.compile(rb"[a-z][a-z0-9-]*")
NUMBER = re.compile(rb"[0-9]{1,15}")
OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = re.compile(OCTET + rb"(?:\." + OCTET + rb"){3}")
PORT = re.compile(rb"0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6(?:[0-4][0-9]{3}|5(?:[0-4][0-9]{2}|5(?:[0-2][0-9]|3[0-5])))")
IPV6_GROUP = re.compile(rb"[0-9A-Fa-f]{1,4}")


def parse_ports(text: str) -> frozenset[bytes]:
    """Read `0-1024`, `22,443,8000-8999` or `all` into the set of wanted ports, each as bytes."""
    wanted: set[int] = set()
    for item in ("0-65535" if text == "all" else text).split(","):
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
    """Read field names, parted by commas or spaces or written `${field}`, into a list of bytes."""
    fields = [name.encode() for name in re.findall(r"[^\s,${}]+", text)]
    unknown = [name.decode() for name in fields if name not in FIELDS]
    if unknown or not fields:
        raise ValueError(text)
    return fields


def parse_header(columns: list[bytes]) -> bool:
    """Whether these columns are a header line's."""
    return columns[0] in FIELDS and all(FIELD_NAME.fullmatch(column) for column in columns)


def is_ipv6(text: bytes) -> bool:
    """Whether a text is an IPv6 address (RFC 4291, section 2.2), without a zone."""
    head, gap, tail = text.partition(b"::")
    if gap:
        groups = (head.split(b":") if head else []) + (tail.split(b":") if tail else [])
    else:
        groups = text.split(b":")
    width = len(groups)
    if groups and IPV4.fullmatch(groups[-1]) and (tail or not gap):
        groups.pop()  # the last 32 bits written as an IPv4 address stand for two groups
        width += 1
    if not all(map(IPV6_GROUP.fullmatch, groups)):
        return False
    return width <= 7 if gap else width == 8


def blocks_of_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Read a stream and give blocks of whole lines, without the last line end."""
    rest = b""
    overlong = False
    while True:
        data = stream.read(BLOCK_BYTES)
        if not data:
            break
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if overlong:
            start = data.find(b"\n")
            if start < 0:
                continue
            data = data[start:]
            overlong = False
        end = data.rfind(b"\n")
        if end < 0:
            rest += data
            overlong = len(rest) >= LONGEST_LINE_BYTES
        else:
            yield rest + data[:end]
            rest = data[end + 1 :]
    if rest:
        yield rest


def files_of_block(block: bytes) -> Iterator[tuple[bool, bytes]]:
    """Part a block of `<offset>` TAB `<line>` lines by files; gives whether a file begins, and its lines alone.

    The offset is where Hadoop's LineRecordReader found a line in its file: 0 is the first line of the next.
    """
    start = 0
    while start <= len(block):
        end = block.find(b"\n0\t", start)
        end = len(block) if end < 0 else end
        yield block.startswith(b"0\t", start), OFFSETS.sub(b"", block[start:end])
        start = end + 1


class FlowCounter:
    """Counts lines for one question, and keeps the tally of all that it saw.

    `sums` holds raw keys, `<src> <dst> <port>` as bytes, to their sums; `flush` is called with the counter when
    it holds `TALKERS_HELD` of them, and empties it.
    """

    def __init__(self, question: argparse.Namespace, flush: Callable[[FlowCounter], None] | None = None) -> None:
        """Take the question, as `parse_arguments` gives it, and what to do with full sums."""
        self.ports = parse_ports(question.ports)
        self.action = question.action.encode()
        self.since = parse_time(question.since) if question.since else None
        self.until = parse_time(question.until) if question.until else None
        self.metric = question.metric.encode()
        self.headerless = parse_fields(question.log_format) if question.log_format else list(DEFAULT_FIELDS)
        self.flush = flush
        self.sums: Counter[bytes] = Counter()
        self.addresses: dict[bytes, bool] = {}
        self.known_ports = set(self.ports)
        self.records_read = 0
        self.counted = 0
        self.skipped = dict.fromkeys(REASONS, 0)
        self.begin_file()

    def begin_file(self) -> None:
        """Forget the last file's header: what follows is in the question's layout until a header says else."""
        self.set_layout(self.headerless)

    def set_layout(self, fields: list[bytes]) -> None:
        """Take the columns of the lines that follow."""

        def position(name: bytes) -> int:
            return fields.index(name) if name in fields else ABSENT

        self.fields = fields
        self.columns = len(fields)
        self.at_src, self.at_dst, self.at_port = (
            position(b"srcaddr"),
            position(b"dstaddr"),
            position(b"dstport"),
        )
        self.at_status, self.at_action = position(b"log-status"), position(b"action")
        self.at_start = position(b"start") if self.since is not None or self.until is not None else ABSENT
        self.at_value = ABSENT if self.metric == b"records" else position(self.metric)
        needed = [self.at_src, self.at_dst, self.at_port]
        if self.action != b"ALL":
            needed.append(self.at_action)
        if self.since is not None or self.until is not None:
            needed.append(self.at_start)
        if self.metric != b"records":
            needed.append(self.at_value)
        self.usable = ABSENT not in needed

    def count_block(self, block: bytes) -> None:
        """Count a block of whole lines, parted by line feeds (and no carriage returns)."""
        start = 0
        while start < len(block):
            end = block.find(b"\n", start + BLOCK_BYTES)
            end = len(block) if end < 0 else end
            self._count_piece(block[start:end])
            start = end + 1
            if self.flush and len(self.sums) >= TALKERS_HELD:
                self.flush(self)

    def _count_piece(self, piece: bytes) -> None:
        stripped = TIME_STAMPS.sub(b"", piece) if b"Z" in piece else piece
        if b"Z" in stripped or b"\xef" in stripped:
            # What is left to remove before a line is removed line by line.
            for line in piece.split(b"\n"):
                self.count_line(line)
        else:
            self._count_together(stripped.removesuffix(b"\n"))

    def _count_together(self, piece: bytes) -> None:
        """Count lines together where they are plain, and else halve them: one odd line costs only its neighbours."""
        lines = piece.split(b"\n")
        if self._count_plain(piece, lines):
            return
        if len(lines) <= FEW_LINES:
            for line in lines:
                self.count_line(line)
            return
        middle = len(lines) // 2
        self._count_together(b"\n".join(lines[:middle]))
        self._count_together(b"\n".join(lines[middle:]))

    def _count_plain(self, piece: bytes, lines: list[bytes]) -> bool:
        """Count lines that plainly are of the layout, all together; or say that they are not, and count none.

        Comes to what `count_line` comes to for each of them. That all have just the layout's columns is seen
        from what is left of the piece without all but spaces and line feeds.
        """
        if not self.usable or self.at_status == ABSENT or self.at_action == ABSENT:
            return False
        shape = b" " * (self.columns - 1) + b"\n"
        if piece.translate(None, NEITHER_SPACE_NOR_LINE_FEED) != (shape * len(lines))[:-1]:
            return False
        rows, odd, out_of_action = self._rows(lines)
        if self.since is not None or self.until is not None:
            in_time = self._in_time(rows)
            if in_time is None:
                return False
            out_of_time = len(rows) - len(in_time)
            rows = in_time
        else:
            out_of_time = 0
        ports, at_src, at_dst, at_port, at_value = self.ports, self.at_src, self.at_dst, self.at_port, self.at_value
        if not self.known_ports.issuperset([row[at_port] for row in rows]):
            new_ports = {row[at_port] for row in rows} - self.known_ports
            if not all(map(PORT.fullmatch, new_ports)):
                return False
            self.known_ports |= new_ports
        records = len(rows)
        rows = [row for row in rows if row[at_port] in ports]
        keys = [row[at_src] + b" " + row[at_dst] + b" " + row[at_port] for row in rows]
        values = [] if at_value == ABSENT else [row[at_value] for row in rows]
        sums = self.sums
        for key in [key for key in set(keys) if key not in sums]:
            src, dst, _ = key.split(b" ")
            if not self._is_address(src) or not self._is_address(dst):
                return False
        if not all(map(NUMBER.fullmatch, values)):
            return False
        if any(parse_header(line.split(b" ")) for line in odd):
            return False

        if at_value == ABSENT:
            sums.update(keys)
        else:
            for key, value in zip(keys, values):
                sums[key] += int(value)
        self.records_read += len(lines) - len(odd)
        self.counted += len(keys)
        self.skipped["action"] += out_of_action
        self.skipped["time"] += out_of_time
        self.skipped["ports"] += records - len(rows)
        for line in odd:
            self.count_line(line)
        return True

    def _rows(self, lines: list[bytes]) -> tuple[list[list[bytes]], list[bytes], int]:
        """Sort lines: records that are OK and of the action, split; odd lines; how many are of the other action."""
        at_status, at_action = self.at_status, self.at_action
        any_action, action = self.action == b"ALL", self.action
        other_action = b"REJECT" if action == b"ACCEPT" else b"ACCEPT"
        splits = max(self.at_src, self.at_dst, self.at_port, self.at_value, self.at_start) + 1
        if at_action == self.columns - 2 and at_status == self.columns - 1:
            # As in the default format: one look at a line's end instead of two at its columns.
            wanted = b" OK" if any_action else b" " + action + b" OK"
            rows = [line.split(b" ", splits) for line in lines if line.endswith(wanted)]
            if len(rows) == len(lines):
                return rows, [], 0
            rest = [line for line in lines if not line.endswith(wanted)]
            other = b" " + other_action + b" OK"
            odd = [line for line in rest if not line.endswith(other)]
            return rows, odd, len(rest) - len(odd)
        splits = max(splits, at_status + 1, at_action + 1)
        rows, odd, out_of_action = [], [], 0
        for line in lines:
            row = line.split(b" ", splits)
            if row[at_status] == b"OK" and (any_action or row[at_action] == action):
                rows.append(row)
            elif row[at_status] == b"OK" and row[at_action] == other_action:
                out_of_action += 1
            else:
                odd.append(line)
        return rows, odd, out_of_action

    def _in_time(self, rows: list[list[bytes]]) -> list[list[bytes]] | None:
        """The rows that start in [since, until); None when a start is not a number."""
        at_start, since = self.at_start, self.since or 0
        until = MILLISECONDS_FROM if self.until is None else self.until
        inside = []
        for row in rows:
            text = row[at_start]
            if not text.isdigit() or len(text) > 15:
                return None
            start = int(text)
            if start >= MILLISECONDS_FROM:
                start //= 1000
            if since <= start < until:
                inside.append(row)
        return inside

    def count_line(self, line: bytes) -> bool:
        """Examine one line by all the rules. True when it was a header, and the layout has changed."""
        if line.startswith(BYTE_ORDER_MARK):
            line = line[3:]
        stamp = TIME_STAMP.match(line)
        if stamp:
            line = line[stamp.end() :]
        if not line.strip():
            return False
        fields = line.split(b" ")
        if parse_header(fields):
            self.set_layout(fields)
            return True
        self.records_read += 1
        reason = self._count_record(fields)
        if reason is None:
            self.counted += 1
        else:
            self.skipped[reason] += 1
        return False

    def _count_record(self, fields: list[bytes]) -> str | None:
        if not self.usable or len(fields) < self.columns:
            return "malformed_columns"
        if self.at_status != ABSENT:
            status = fields[self.at_status]
            if status != b"OK":
                return {b"NODATA": "nodata", b"SKIPDATA": "skipdata"}.get(status, "other_status")
        if self.action != b"ALL" and fields[self.at_action] != self.action:
            return "action"
        if self.since is not None or self.until is not None:
            if not NUMBER.fullmatch(fields[self.at_start]):
                return "malformed_number"
            start = int(fields[self.at_start])
            if start >= MILLISECONDS_FROM:
                start //= 1000
            if (self.since is not None and start < self.since) or (self.until is not None and start >= self.until):
                return "time"
        src, dst, port = fields[self.at_src], fields[self.at_dst], fields[self.at_port]
        if port not in self.ports:
            return "ports" if PORT.fullmatch(port) else "malformed_port"
        if not self._is_address(src) or not self._is_address(dst):
            return "malformed_address"
        value = 1
        if self.at_value != ABSENT:
            if not NUMBER.fullmatch(fields[self.at_value]):
                return "malformed_number"
            value = int(fields[self.at_value])
        key = src + b" " + dst + b" " + port
        self.sums[key] += value
        return None

    def _is_address(self, text: bytes) -> bool:
        known = self.addresses.get(text)
        if known is None:
            known = IPV4.fullmatch(text) is not None or is_ipv6(text)
            if len(self.addresses) >= TALKERS_HELD:
                self.addresses.clear()
            self.addresses[text] = known
        return known


def format_talker(key: bytes) -> bytes:
    """Print a raw key as a talker: `192.0.2.1:198.51.100.7:443`, IPv6 in brackets."""
    if b":" in key:
        src, dst, port = key.split(b" ")
        src = b"[" + src + b"]" if b":" in src else src
        dst = b"[" + dst + b"]" if b":" in dst else dst
        return src + b":" + dst + b":" + port
    return key.replace(b" ", b":")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; a wrong value is argparse's usage error, exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--metric", choices=("records", "packets", "bytes"), default="records")
    parser.add_argument("--ports", default="0-1024", help="0-1024 (the default); 22,443,8000-8999; all")
    parser.add_argument("--action", choices=("ACCEPT", "REJECT", "ALL"), default="ACCEPT")
    parser.add_argument("--since", help="record start at or after, 2026-11-23T18:00:00Z")
    parser.add_argument("--until", help="record start before, 2026-11-23T18:00:00Z")
    parser.add_argument("--log-format", help="fields of lines without a header, parted by commas")
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
    """Run the mapper over binary streams."""

    def flush(counter: FlowCounter) -> None:
        stdout.writelines(
            [b"LongValueSum:%b\t%d\n" % (format_talker(key), total) for key, total in counter.sums.items()]
        )
        counter.sums.clear()

    gc.disable()  # nothing here makes cycles, and looking for them among a block's many lists takes long
    question = parse_arguments(arguments)
    counter = FlowCounter(question, flush)
    for block in blocks_of_lines(stdin):
        if not question.offsets:
            counter.count_block(block)
            continue
        for begins, lines in files_of_block(block):
            if begins:
                counter.begin_file()
            counter.count_block(lines)
    flush(counter)
    stdout.flush()
    tally = {"records_read": counter.records_read, "counted": counter.counted, **counter.skipped}
    for name, number in tally.items():
        if number:
            stderr.write(f"reporter:counter:toptalkers,{name},{number}\n")


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr)
