"""The defects of real flow-log files, one kind per file.

Files are concatenated, exported through CloudWatch, opened with an editor on Windows, cut off by a full disk.
Every kind except the broken lines keeps each record countable, under the rules of `job/count_flows.py`.
Lines are text with one byte per character (Latin-1), because broken ones are not UTF-8.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from operator import itemgetter
from typing import NamedTuple

from toptalkers.flowlog.layout import Layout, format_header

BYTE_ORDER_MARK = "\xef\xbb\xbf"
_RECORDS_PER_BROKEN_LINE = 25


class Dirt(Enum):
    """A file's defect. The first six concern its lines, the last two its compression."""

    RECURRING_HEADERS = "recurring headers"
    COLUMN_ORDERS = "other column orders"
    TIME_STAMPS = "time stamps"
    BROKEN_LINES = "broken lines"
    WINDOWS_LINES = "windows lines"
    MILLISECONDS = "milliseconds"
    MEMBERS = "several gzip members"
    PLAIN = "not compressed"


class DirtyText(NamedTuple):
    """The text of a file, and how many of its lines look like records but are not."""

    text: str
    broken_lines: int = 0


def format_dirty(dirt: Dirt, records: Sequence[str], layout: Layout, *, headed: bool) -> DirtyText:
    """Write record lines of a layout as the text of a file, with that defect in its lines.

    `headed`: whether the file begins with the header of its layout; if not, the layout must be the default one.
    """
    header = format_header(layout)
    head = [header] if headed else []
    third = len(records) // 3
    match dirt:
        case Dirt.RECURRING_HEADERS:
            return _text([*head, *records[:third], header, *records[third : 2 * third], header, *records[2 * third :]])
        case Dirt.COLUMN_ORDERS:
            columns = layout.columns
            backwards, turned = columns[::-1], columns[3:] + columns[:3]
            return _text(
                [
                    *head,
                    *records[:third],
                    " ".join(backwards),
                    *_reordered(records[third : 2 * third], columns, backwards),
                    " ".join(turned),
                    *_reordered(records[2 * third : -1], columns, turned),
                    header,
                    *records[-1:],
                ]
            )
        case Dirt.TIME_STAMPS:
            return _text([*head, *_with_time_stamps(records, layout)])
        case Dirt.BROKEN_LINES:
            return _with_broken_lines(head, records, layout)
        case Dirt.WINDOWS_LINES:
            lines = [*head, *records[:third], "", "   ", *records[third:], ""]
            return DirtyText(BYTE_ORDER_MARK + "".join(f"{line}\r\n" for line in lines))
        case Dirt.MILLISECONDS:
            return _text([*head, *_in_milliseconds(records, layout)])
        case Dirt.MEMBERS | Dirt.PLAIN:
            return _text([*head, *records])


def _text(lines: Sequence[str]) -> DirtyText:
    return DirtyText("\n".join([*lines, ""]))


def _reordered(lines: Sequence[str], columns: Sequence[str], order: Sequence[str]) -> list[str]:
    turn = itemgetter(*(columns.index(column) for column in order))
    return [" ".join(turn(line.split(" "))) for line in lines]


def _with_time_stamps(lines: Sequence[str], layout: Layout) -> list[str]:
    """Put the time stamp of a CloudWatch Logs export, the start, before each record."""
    at = layout.position("start")
    stamps: dict[str, str] = {}
    stamped = []
    for line in lines:
        start = line.split(" ", at + 1)[at]
        stamp = stamps.get(start)
        if stamp is None:
            stamp = stamps[start] = datetime.fromtimestamp(int(start), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        stamped.append(f"{stamp} {line}")
    return stamped


def _in_milliseconds(lines: Sequence[str], layout: Layout) -> list[str]:
    start, end = layout.position("start"), layout.position("end")
    result = []
    for line in lines:
        values = line.split(" ", max(start, end) + 1)
        values[start] += "000"
        values[end] += "999"
        result.append(" ".join(values))
    return result


def _with(field: str, value: str) -> Callable[[str, Layout], str]:
    def break_line(line: str, layout: Layout) -> str:
        values = line.split(" ")
        values[layout.position(field)] = value
        return " ".join(values)

    return break_line


BROKEN: dict[str, Callable[[str, Layout], str]] = {
    "cut short": lambda line, _: line[: len(line) // 2],
    "too few columns": lambda line, _: " ".join(line.split(" ")[:5]),
    "too many spaces": lambda line, _: line.replace(" ", "  "),
    "binary junk": lambda line, _: "\x1f\x8b\x08\x00\xff\xfe\x00\x85\xa0" + line[20:60] + "\x00\xc3\x28\xf0\x9f",
    "no address": _with("srcaddr", "-"),
    "not an address": _with("dstaddr", "10.0.300.7"),
    "a name": _with("srcaddr", "ip-10-0-10-31.ec2.internal"),
    "not an IPv6 address": _with("dstaddr", "2001:db8::1::2"),
    "port too high": _with("dstport", "70000"),
    "no port": _with("dstport", "-"),
    "port by name": _with("dstport", "https"),
    "another log": lambda *_: "END RequestId: 3f2a7c1e-8d0b-4f6a-9c55-0e1d2b3a4c5d",
}
"""Every way to break a line: a function from a record line and its layout to a line that no question counts."""


def _with_broken_lines(head: Sequence[str], records: Sequence[str], layout: Layout) -> DirtyText:
    every = max(1, min(_RECORDS_PER_BROKEN_LINE, len(records) // (2 * len(BROKEN))))
    ways = list(BROKEN.values())
    lines = list(head)
    broken = 0
    for number, line in enumerate(records):
        lines.append(line)
        # Only records that a question for accepted records would otherwise count: a broken NODATA loses nothing.
        if number % every == 0 and " ACCEPT OK" in line:
            lines.append(ways[broken % len(ways)](line, layout))
            broken += 1
            if broken % len(ways) == 0:
                lines.append("")
    return DirtyText("".join(f"{line}\n" for line in lines), broken)
