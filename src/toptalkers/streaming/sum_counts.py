#!/usr/bin/env python3
"""Reducer of step 1 for a plain pipe or mrjob: sorted `LongValueSum:<talker>` TAB `<n>` in, `<talker>` TAB `<sum>` out.

Does what Hadoop's `aggregate` (ValueAggregatorReducer with LongValueSum) does on a cluster. Lines of one talker
must stand together, as `LC_ALL=C sort` and Hadoop's shuffle leave them: lines in any other order, or lines that
are no counts, end it with exit code 1 rather than in a wrong sum.

Self-contained, for Python 3.9 and its standard library alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO, TextIO

PREFIX = b"LongValueSum:"


class BadInputError(Exception):
    """The input is not what this reducer can sum."""


def sum_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give `<talker>` TAB `<sum>` lines for sorted count lines; BadInputError when they are not."""
    current = None
    total = 0
    for line in lines:
        key, tab, number = line.partition(b"\t")
        if key == current:
            total += int(number)
            continue
        if not tab or not key.startswith(PREFIX) or not number.strip().isdigit():
            raise BadInputError(f"not a LongValueSum line: {line[:200]!r}")
        if current is not None:
            if key < current:
                raise BadInputError(f"not sorted by bytes (use LC_ALL=C sort): {line[:200]!r}")
            yield b"%b\t%d\n" % (current[13:], total)
        current = key
        total = int(number)
    if current is not None:
        yield b"%b\t%d\n" % (current[13:], total)


def main(stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> int:
    """Run the reducer over binary streams; gives the exit code."""
    try:
        stdout.writelines(sum_lines(stdin))
    except (BadInputError, ValueError) as error:
        stderr.write(f"sum_counts.py: {error}\n")
        return 1
    stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
