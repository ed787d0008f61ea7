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
from collections.abc import Collection, Iterable, Iterator
from itertools import compress, filterfalse, repeat
from operator import contains, eq, not_
from typing import BinaryIO, Callable, TextIO, TypeVar

T = TypeVar("T")

TALKERS_HELD = 200_000
"""Distinct talkers held before they are printed and counting starts again: at most 80 MB resident in all."""

BLOCK_BYTES = 128 << 10
"""What is read and counted at a time: little enough to stay in a core's caches, split into columns and all."""

LONGEST_LINE_BYTES = 1 << 20
"""Of a longer line only about this much is looked at."""

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
MARKED_LINE = b"\n" + BYTE_ORDER_MARK
STAMP = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z(?: |$)"
TIME_STAMP = re.compile(STAMP)
TIME_STAMPS = re.compile(b"^" + STAMP, re.MULTILINE)
OFFSETS = re.compile(rb"^[0-9]+\t", re.MULTILINE)
FIELD_NAME = re.compile(rb"[a-z][a-z0-9-]*")
NUMBER = re.compile(rb"[0-9]{1,15}")
OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = re.compile(OCTET + rb"(?:\." + OCTET + rb"){3}")
PORT = re.compile(rb"0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6(?:[0-4][0-9]{3}|5(?:[0-4][0-9]{2}|5(?:[0-2][0-9]|3[0-5])))")
NO_PORT = re.compile(
    rb" (?:[1-5][0-9]{5}|0[0-9]|[7-9][0-9]{4}|6(?:[0-9]{5}|[6-9][0-9]{3}|5[6-9][0-9]{2}|55[4-9][0-9]|553[6-9])| |$)"
)
"""Finds what is no port in digits parted by spaces, with a space before them."""
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


def are_joints(tokens: Collection[bytes]) -> bool:
    """Whether each token parts two lines, the second of which is neither blank nor a header."""
    texts = b"\n".join(tokens).split(b"\n")
    firsts = texts[1::2]
    return all(map(contains, tokens, repeat(b"\n"))) and FIELDS.isdisjoint(firsts) and all(map(bytes.strip, firsts))


def are_ports(texts: bytes) -> bool:
    """Whether all of these texts, parted by single spaces, are ports: the same as PORT says of each, but faster."""
    return not texts.translate(None, b"0123456789 ") and not NO_PORT.search(b" " + texts)


def are_numbers(texts: list[bytes]) -> bool:
    """Whether all of these texts are numbers: the same as NUMBER says of each, but faster."""
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
        self.at_status = position(b"log-status")
        self.at_action = ABSENT if self.action == b"ALL" else position(b"action")
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
            # A block as it was read is a little longer than was read, and not worth cutting.
            end = block.find(b"\n", start + BLOCK_BYTES) if len(block) - start > 2 * BLOCK_BYTES else -1
            end = len(block) if end < 0 else end
            self._count_piece(block[start:end])
            start = end + 1
            if self.flush and len(self.sums) >= TALKERS_HELD:
                self.flush(self)

    def _count_piece(self, piece: bytes) -> None:
        stripped = TIME_STAMPS.sub(b"", piece) if b"Z" in piece else piece
        is_marked = b"\xef" in piece and (stripped.startswith(BYTE_ORDER_MARK) or MARKED_LINE in stripped)
        if is_marked or (b"Z" in stripped and TIME_STAMPS.search(stripped)):
            # What is left to remove before a line is removed line by line.
            for line in piece.split(b"\n"):
                self.count_line(line)
        elif not self._count_plain(stripped.removesuffix(b"\n")):
            self._count_mixed(stripped.split(b"\n"))

    def _count_mixed(self, lines: list[bytes]) -> None:
        """Count lines some of which are odd or headers: those one by one, and the others together."""
        plain: list[bytes] = []
        for line in lines:
            first = line.partition(b" ")[0]
            may_be_header = first in FIELDS
            if self.usable and line.count(b" ") == self.columns - 1 and first.strip() and not may_be_header:
                plain.append(line)
                continue
            if may_be_header:
                # It may change the layout, and not that of the lines before it.
                self._count_plain(b"\n".join(plain))
                plain = []
            self.count_line(line)
        self._count_plain(b"\n".join(plain))

    def _count_plain(self, piece: bytes) -> bool:
        """Count lines that all have just the layout's columns, together; or say that they have not, and count none.

        Comes to what `count_line` comes to for each of them. The piece is split once, at spaces, so that columns are
        slices, and nothing is done a line at a time. The last column of a line and the first of the next then stand
        in one token, a joint, with the line feed between them: all lines have just their columns when there are as
        many tokens as that makes, and as many line feeds, and one of them in each joint.
        """
        if not self.usable or not piece:
            return not piece
        last = self.columns - 1
        tokens = piece.split(b" ")
        lines, rest = divmod(len(tokens) - 1, last)
        # This counts line feeds in half the time that `count` takes.
        if rest or len(piece) - len(piece.replace(b"\n", b"")) != lines - 1:
            return False
        tokens[-1] += b"\n" + tokens[0]  # so that the end of the last line is a joint, too
        joints = tokens[last::last]
        skipped: Counter[str] = Counter()
        verdicts: list[list[bool]] = []

        def column(at: int) -> list[bytes]:
            if at == last:
                return [joint.partition(b"\n")[0] for joint in joints]
            if at == 0:
                return [joint.partition(b"\n")[2] for joint in joints[-1:] + joints[:-1]]
            return tokens[at::last]

        def kept(texts: Iterable[T]) -> Iterable[T]:
            """What is left of a column after the verdicts so far."""
            for fine in verdicts:
                texts = compress(texts, fine)
            return texts

        def judge_each(texts: list[bytes], judge: Callable[[bytes], str | None]) -> None:
            """Add the verdict on what is left of a column, by what is said of each text in it."""
            reasons = {text: judge(text) for text in set(texts)}
            if any(reasons.values()):
                found = list(map(reasons.__getitem__, texts))
                skipped.update(filter(None, found))
                verdicts.append(list(map(not_, found)))

        # Action before log status, although the status comes first in the tally: what has no data has no action.
        ok = b"OK"
        if self.at_status == ABSENT:
            statuses = [ok] * lines
        elif self.at_status == last:
            ok += b"\n" + tokens[0]
            statuses = joints
        else:
            statuses = column(self.at_status)
        out: Counter[bytes] = Counter()
        if self.at_action != ABSENT:
            fine = list(map(eq, column(self.at_action), repeat(self.action)))
            out = Counter(compress(statuses, map(not_, fine)))
            if out:
                verdicts.append(fine)
        all_ok = statuses.count(ok) - out[ok] == lines - sum(out.values())
        if not are_joints({ok, *out} if statuses is joints and all_ok else set(joints)):
            return False
        for status, number in out.items():
            skipped[self._judge_status(status) or "action"] += number
        if not all_ok:
            judge_each(list(kept(statuses)), self._judge_status)

        if self.at_start != ABSENT:
            judge_each(list(kept(column(self.at_start))), self._judge_start)

        srcs, dsts, ports = column(self.at_src), column(self.at_dst), column(self.at_port)
        left = list(kept(ports))
        fine = list(map(self.ports.__contains__, left))
        unwanted = len(fine) - fine.count(True)
        if unwanted:
            if are_ports(b" ".join(compress(left, map(not_, fine)))):
                skipped["ports"] += unwanted
                verdicts.append(fine)
            else:
                judge_each(left, self._judge_port)

        keys = list(map(b" ".join, kept(zip(srcs, dsts, ports))))
        sums = self.sums
        if not all(map(self._is_talker, set(filterfalse(sums.__contains__, keys)))):
            judge_each(keys, lambda key: None if self._is_talker(key) else "malformed_address")
            keys = list(compress(keys, verdicts[-1]))
        if self.at_value == ABSENT:
            sums.update(keys)
        else:
            values = list(kept(column(self.at_value)))
            if not are_numbers(values):
                judge_each(values, lambda text: None if NUMBER.fullmatch(text) else "malformed_number")
                keys, values = list(compress(keys, verdicts[-1])), list(compress(values, verdicts[-1]))
            for key, value in zip(keys, map(int, values)):
                sums[key] += value

        self.records_read += lines
        self.counted += len(keys)
        for reason, number in skipped.items():
            self.skipped[reason] += number
        return True

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
        src, dst, port = fields[self.at_src], fields[self.at_dst], fields[self.at_port]
        reason = self._judge_status(fields[self.at_status]) if self.at_status != ABSENT else None
        if reason is None and self.at_action != ABSENT and fields[self.at_action] != self.action:
            reason = "action"
        if reason is None and self.at_start != ABSENT:
            reason = self._judge_start(fields[self.at_start])
        if reason is None:
            reason = self._judge_port(port)
        if reason is not None:
            return reason
        key = src + b" " + dst + b" " + port
        if not self._is_talker(key):
            return "malformed_address"
        value = 1
        if self.at_value != ABSENT:
            if not NUMBER.fullmatch(fields[self.at_value]):
                return "malformed_number"
            value = int(fields[self.at_value])
        self.sums[key] += value
        return None

    def _judge_status(self, text: bytes) -> str | None:
        status = text.partition(b"\n")[0]  # what stands behind a line feed is the next line's
        if status == b"OK":
            return None
        return {b"NODATA": "nodata", b"SKIPDATA": "skipdata"}.get(status, "other_status")

    def _judge_start(self, text: bytes) -> str | None:
        if not NUMBER.fullmatch(text):
            return "malformed_number"
        start = int(text)
        if start >= MILLISECONDS_FROM:
            start //= 1000
        if (self.since is not None and start < self.since) or (self.until is not None and start >= self.until):
            return "time"
        return None

    def _judge_port(self, text: bytes) -> str | None:
        if text in self.ports:
            return None
        return "ports" if PORT.fullmatch(text) else "malformed_port"

    def _is_talker(self, key: bytes) -> bool:
        src, dst, _ = key.split(b" ")
        return self._is_address(src) and self._is_address(dst)

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
        # Not a list: it would be as large as all that is held.
        stdout.writelines(b"LongValueSum:%b\t%d\n" % (format_talker(key), total) for key, total in counter.sums.items())
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
