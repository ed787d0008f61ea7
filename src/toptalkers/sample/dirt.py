"""What real life does to flow-log files: the sorts of dirt, and how lines get dirty.

The records stay what they were: dirt adds lines that are no records (headers, broken and blank lines), or
writes a record in another way (order, time stamp before it, line end, unit). Two rules hold throughout, so
that a reader has a chance: lines whose columns are not the default format's have a header before them in the
same file, and a file that switches columns switches back before it ends - files stay readable when glued.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING

from toptalkers.flowlog.layout import Layout, format_header

if TYPE_CHECKING:
    from collections.abc import Callable


_LINES_A_BREAK = 20

_BEGIN = "2 123456789012 eni-0a1b2c3d4e5f60718"
_END = "6 8 3120 1793491200 1793491230 ACCEPT OK"
_BROKEN_LINES = (
    f"{_BEGIN} 10.0.10.21 10.0.10",  # cut short
    "\x00\xff\xfe\x1f\x8b\x08 \x80\x90\"\xc3( \x7f\x01,\t'\xe2\x82",  # no text at all, with a lone quote
    f"{_BEGIN} 10.0.10.21 10.0.10.101 40000 8080",  # too few columns, cut clean
    f"{_BEGIN} - 10.0.10.101 40000 8080 {_END}",
    f"{_BEGIN} 10.0.10.21 - 40000 8080 {_END}",
    f"{_BEGIN} 10.0.10.21 10.0.10.101 40000 70000 {_END}",
    f"{_BEGIN} 10.0.10.21 10.0.10.101 40000 - {_END}",
    f"{_BEGIN} not-an-address 10.0.10.101 40000 8080 {_END}",
    f"{_BEGIN} 10.0.10.21 10.0.10.256 40000 443 {_END}",
    f"{_BEGIN} 10.0.10.21 2001:db8:::1 40000 443 {_END}",
    f"{_BEGIN} 10.0.10.21 10.0.10.101 40000 https {_END}",
    f"{_BEGIN} 10.0.10.21 10.0.10.101 40000 -1 {_END}",
    "Rate limited",
)


@dataclass(frozen=True, slots=True)
class Dirt:
    """A sort of dirt, as what becomes of a file that has it.

    `soil`: what turns a file's record lines, each with its line end, into what is written instead. Lines are
    written as Latin-1, so that every byte can occur.
    """

    name: str
    soil: tuple[Callable[[list[str], Layout], list[str]], ...] = ()
    breaks_lines: bool = False
    crlf: bool = False
    gzip_members: int = 1  # 0: a plain file
    empty: bool = False  # a file without a byte of text


def break_lines(lines: list[str]) -> tuple[list[str], int]:
    """The lines with a broken one after every 20 (one in a shorter list), and how many those are.

    Under no question is a broken line a record: what it lacks - enough columns, an address, the destination
    port - every question needs.
    """
    mixed: list[str] = []
    broken = 0
    for i in range(0, len(lines), _LINES_A_BREAK):
        mixed += lines[i : i + _LINES_A_BREAK]
        mixed.append(_BROKEN_LINES[broken % len(_BROKEN_LINES)] + "\n")
        broken += 1
    return mixed, broken


def _repeat_header(lines: list[str], layout: Layout) -> list[str]:
    header = format_header(layout) + "\n"
    third = -(-len(lines) // 3)
    return [*lines[:third], header, *lines[third : 2 * third], header, *lines[2 * third :]]


def _change_order(lines: list[str], layout: Layout) -> list[str]:
    """The middle of the file in two other orders, each behind its header, the end in the file's own again."""
    quarter = -(-len(lines) // 4)
    mixed = lines[:quarter]
    for i, order in enumerate((tuple(range(len(layout)))[::-1], _interleaved(len(layout))), start=1):
        pick = itemgetter(*order)
        mixed.append(format_header(Layout(pick(layout.columns))) + "\n")
        mixed += [" ".join(pick(line.split())) + "\n" for line in lines[i * quarter : (i + 1) * quarter]]
    return [*mixed, format_header(layout) + "\n", *lines[3 * quarter :]]


def _stamp(lines: list[str], layout: Layout) -> list[str]:
    """CloudWatch Logs' export: the event's time before its message."""
    column = layout.position("start")
    stamps: dict[str, str] = {}
    stamped = []
    for line in lines:
        start = line.split(" ", column + 1)[column]
        stamp = stamps.get(start)
        if stamp is None:
            stamp = stamps[start] = f"{datetime.fromtimestamp(int(start), UTC):%Y-%m-%dT%H:%M:%S}.000Z "
        stamped.append(stamp + line)
    return stamped


def _use_milliseconds(lines: list[str], layout: Layout) -> list[str]:
    column = layout.position("start")
    changed = []
    for line in lines:
        parts = line.split(" ", column + 2)
        parts[column] += "000"
        parts[column + 1] += "999"
        changed.append(" ".join(parts))
    return changed


def _leave_blank_lines(lines: list[str], _layout: Layout) -> list[str]:
    mixed: list[str] = []
    for i in range(0, len(lines), _LINES_A_BREAK):
        mixed += lines[i : i + _LINES_A_BREAK]
        mixed.append("\n")
    return mixed


def _interleaved(columns: int) -> tuple[int, ...]:
    return (*range(1, columns, 2), *range(0, columns, 2))


SORTS_OF_DIRT = (
    Dirt("clean"),
    Dirt("repeated headers", (_repeat_header,)),
    Dirt("changed order", (_change_order,)),
    Dirt("time stamps", (_stamp,)),
    Dirt("broken lines", breaks_lines=True),
    Dirt("blank lines and CRLF", (_leave_blank_lines,), crlf=True),
    Dirt("gzip members", gzip_members=3),
    Dirt("plain", gzip_members=0),
    Dirt("milliseconds", (_use_milliseconds,)),
    Dirt("empty", empty=True),
    Dirt("empty and plain", gzip_members=0, empty=True),
    Dirt("several at once", (_stamp, _leave_blank_lines), gzip_members=2, breaks_lines=True, crlf=True),
)
"""Dirty files have these in turn."""
