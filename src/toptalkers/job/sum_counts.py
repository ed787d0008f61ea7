#!/usr/bin/env python3
"""Reducer of step 1: the sorted lines of `count_flows.py` in, a line with the sums of each key out.

For one sum that adds up, its input is `LongValueSum:<key>` TAB `<n>`, and it does in a plain pipe or mrjob the work of
Hadoop's `aggregate` (ValueAggregatorReducer with LongValueSum). For several sums, or times, its input is `<key>` TAB
`<n>` TAB `<n>` ..., and it is the reducer on a cluster, too. It prints times as `2026-11-23T18:00:00Z`. With
`--pairs yes` its input is the lines of `conversations.py`: client, server, port, protocol, nine sums, and how the
server was found, of which the weakest stays.

Lines must be sorted, as by `LC_ALL=C sort` or Hadoop's shuffle. Lines in any other order, or lines that are no sums,
end it with exit code 1 instead of a wrong sum.

Self-contained, for Python 3.9 and only its standard library.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from operator import add
from typing import BinaryIO, Callable, TextIO

PREFIX = b"LongValueSum:"
BEHIND = b"LongValueSum;"
"""The first text in byte order after all that begin with PREFIX: texts between the two have the prefix."""

ZERO, LINE_FEED = b"0\n"

LARGEST_SUM = (1 << 63) - 1
"""Hadoop cannot sum more, so it is an error here, too."""

SURE_DIGITS, MOST_DIGITS = 18, 19
"""The most digits of a number that is surely not larger, and of one that may not be."""


RECIPE_KEY = "srcaddr,dstaddr,dstport"

SUMS: dict[str, Callable[[int, int], int]] = {"records": add, "packets": add, "bytes": add, "first": min, "last": max}
"""How two values of a metric become one."""

TIME_METRICS = ("first", "last")

LARGEST_TIME = 253_402_300_799
"""The last second of the year 9999."""


PAIR_COLUMNS, PAIR_SUMS = 4, 9

HOWS = (b"copy", b"syn", b"peers", b"ports", b"?")
"""How the server of a pair was found, the weakest last. Copies have no say in it; if there is nothing else: `?`."""


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


def sum_rows(lines: Iterable[bytes], columns: int, metrics: list[str]) -> Iterator[bytes]:
    """Yield `<key>` TAB `<sum>` TAB `<sum>` ... lines for sorted lines; BadInputError if they are not.

    A key has some columns, separated by tabs.
    """
    prefix = PREFIX if is_long_value_sum(metrics) else b""
    both = [SUMS[metric] for metric in metrics]
    current, sums = b"", [0]
    for line in lines:
        key, *numbers = line.rsplit(b"\t", len(metrics))
        if not key.startswith(prefix) or key.count(b"\t") != columns - 1 or len(numbers) != len(metrics):
            raise BadInputError(f"not a line of these columns: {line[:200]!r}")
        values = [_number(number, line) for number in numbers]
        if key == current:
            sums = [one(*pair) for one, pair in zip(both, zip(sums, values))]
            continue
        if key < current:
            raise BadInputError(f"not sorted by bytes (use LC_ALL=C sort): {line[:200]!r}")
        if current:
            yield _row(current[len(prefix) :], metrics, sums)
        current, sums = key, values
    if current:
        yield _row(current[len(prefix) :], metrics, sums)


def sum_pairs(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a line per pair for sorted lines of `conversations.py`, with its weakest how; BadInputError for others."""
    current, sums, weakest = b"", [0], 0
    for line in lines:
        key, *numbers, how = line.rstrip(b"\t\n").rsplit(b"\t", PAIR_SUMS + 1)
        if key.count(b"\t") != PAIR_COLUMNS - 1 or len(numbers) != PAIR_SUMS or how not in HOWS:
            raise BadInputError(f"not a line of a pair: {line[:200]!r}")
        values = [_number(number, line) for number in numbers]
        if key == current:
            sums = list(map(add, sums, values))
            weakest = max(weakest, HOWS.index(how))
            continue
        if key < current:
            raise BadInputError(f"not sorted by bytes (use LC_ALL=C sort): {line[:200]!r}")
        if current:
            yield _pair(current, sums, weakest)
        current, sums, weakest = key, values, HOWS.index(how)
    if current:
        yield _pair(current, sums, weakest)


def _pair(key: bytes, sums: list[int], weakest: int) -> bytes:
    row = _row(key, ["bytes"] * PAIR_SUMS, sums)
    return b"%b\t%b\n" % (row[:-1], HOWS[weakest or -1])


def _row(key: bytes, metrics: list[str], sums: list[int]) -> bytes:
    texts = []
    for metric, total in zip(metrics, sums):
        if total > (LARGEST_TIME if metric in TIME_METRICS else LARGEST_SUM):
            raise BadInputError(f"the values of {key[:100]!r} add up to more than 2^63 - 1, or are too late")
        if metric in TIME_METRICS:
            texts.append(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(total)).encode())
        else:
            texts.append(b"%d" % total)
    return b"\t".join([key, *texts]) + b"\n"


def is_long_value_sum(metrics: list[str]) -> bool:
    """Whether Hadoop's `aggregate` can make the sums."""
    return len(metrics) == 1 and metrics[0] not in TIME_METRICS


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; a wrong value is argparse's usage error, exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--by", default=RECIPE_KEY, help="parts of the key, separated by commas")
    parser.add_argument("--metric", default="records", help="records, packets, bytes, first, last, with commas")
    parser.add_argument("--pairs", choices=("yes", "no"), default="no", help="the lines are those of pairs")
    options = parser.parse_args(arguments)
    options.metric = options.metric.split(",")
    if not all(metric in SUMS for metric in options.metric):
        parser.error(f"--metric: {','.join(options.metric)!r} is not understood")
    return options


def main(arguments: list[str], stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> int:
    """Run the reducer over binary streams. Returns the exit code."""
    options = parse_arguments(arguments)
    parts = options.by.split(",")
    if options.pairs == "yes":
        lines = sum_pairs(stdin)
    elif options.by != RECIPE_KEY:
        lines = sum_rows(stdin, len(parts) + parts.count("pair"), options.metric)
    elif is_long_value_sum(options.metric):
        lines = sum_lines(stdin)
    else:
        lines = sum_rows(stdin, 1, options.metric)
    try:
        stdout.writelines(lines)
    except BadInputError as error:
        stderr.write(f"sum_counts.py: {error}\n")
        return 1
    stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
