#!/usr/bin/env python3
"""Reducer of step 1 for a plain pipe or mrjob: sorted `LongValueSum:<talker>` TAB `<n>` in, `<talker>` TAB `<sum>` out.

It does the work of Hadoop's `aggregate` (ValueAggregatorReducer with LongValueSum) on a cluster. Lines must be sorted,
as by `LC_ALL=C sort` or Hadoop's shuffle. Lines in any other order, or lines that are no counts, end it with exit code
1 instead of a wrong sum.

Self-contained, for Python 3.9 and only its standard library.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TextIO

PREFIX = b"LongValueSum:"
BEHIND = b"LongValueSum;"
"""The first text in byte order after all that begin with PREFIX: texts between the two have the prefix."""

ZERO, LINE_FEED = b"0\n"

LARGEST_SUM = (1 << 63) - 1
"""Hadoop cannot sum more, so it is an error here, too."""

SURE_DIGITS, MOST_DIGITS = 18, 19
"""The most digits of a number that is surely not larger, and of one that may not be."""


class BadInputError(Exception):
    """The input is not what this reducer can sum."""


def sum_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `<talker>` TAB `<sum>` lines for sorted count lines; BadInputError if they are not."""
    current, first, more = BEHIND + b"\t", b"", 0  # no key holds a tab, and none has been seen
    for line in lines:
        key, tab, number = line.partition(b"\t")
        if key == current:
            more += _number(number, line)
            continue
        if first:
            yield _sum_line(first, more) if more else first[13:]
        # The only line of a talker, if it is clearly a count, is printed without its prefix.
        if not (
            current < key < BEHIND
            and number[:-1].isdigit()
            and number[-1] == LINE_FEED
            and number[0] != ZERO
            and len(number) <= SURE_DIGITS + 1
        ):
            if not tab or not key.startswith(PREFIX):
                raise BadInputError(f"not a LongValueSum line: {line[:200]!r}")
            if first and key < current:
                raise BadInputError(f"not sorted by bytes (use LC_ALL=C sort): {line[:200]!r}")
            line = b"%b\t%d\n" % (key, _number(number, line))
        current, first, more = key, line, 0
    if first:
        yield _sum_line(first, more) if more else first[13:]


def _number(text: bytes, line: bytes) -> int:
    digits = text.strip()
    if not digits.isdigit() or len(digits) > MOST_DIGITS or int(digits) > LARGEST_SUM:
        raise BadInputError(f"not a LongValueSum line: {line[:200]!r}")
    return int(digits)


def _sum_line(first: bytes, more: int) -> bytes:
    """The line to print for a talker's first line and the sum of its others."""
    key, _, number = first.partition(b"\t")
    total = int(number) + more
    if total > LARGEST_SUM:
        raise BadInputError(f"the values of {key[13:][:100]!r} add up to more than 2^63 - 1")
    return b"%b\t%d\n" % (key[13:], total)


def main(stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> int:
    """Run the reducer over binary streams. Returns the exit code."""
    try:
        stdout.writelines(sum_lines(stdin))
    except BadInputError as error:
        stderr.write(f"sum_counts.py: {error}\n")
        return 1
    stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
