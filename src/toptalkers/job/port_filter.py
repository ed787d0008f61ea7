#!/usr/bin/env python3
"""Mapper of step 2: the lines of an answer in, those with a wanted destination port out, as they came.

With `--top N` it prints only the first N of its lines, in the order of the answer. Every key has one line, so the
first N of all are among the first N of each mapper, and one reducer is enough for any number of keys. Ports are looked
at only in lines of the recipe's key; of any other key, and of pairs, `--ports` was for an earlier step alone.

Self-contained, for Python 3.9 and only its standard library: it travels to cluster nodes by itself. Lines that are not
a key and its sums are left out, and counted on standard error by the Hadoop counter `malformed_talkers`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import compress
from typing import BinaryIO, TextIO

KEY = (b"srcaddr", b"dstaddr", b"dstport")
"""The fields whose values make a talker, in order."""

ADDRESS = rb"(?:[0-9.]{7,15}|\[[0-9A-Fa-f:.]{2,45}\])"
NUMBER = rb"[0-9]{1,5}"
VALUES = {b"srcaddr": ADDRESS, b"dstaddr": ADDRESS, b"dstport": b"(" + NUMBER + b")"}
"""A pattern per field; the port is the one that is filtered."""

TALKER = b":".join(VALUES.get(field, NUMBER) for field in KEY)

TIME_METRICS = ("first", "last")
SUM, TIME = rb"[0-9]{1,19}", rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
TEXT = rb"[^\x00-\x20\x7f]{1,1024}"

PAIR_COLUMNS = 4
PAIR_SUMS = ("bytes", "packets", "records")
"""A line of `--pairs` has a key, these sums, each of them to the server and to the client, and the rule as a text."""

BLOCK_BYTES = 1 << 16
"""About how many bytes of lines are filtered together."""

LINES_HELD = 1000
"""With `--top N`, this many lines more than twice N are held before they are sorted."""


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


def pattern_of(by: str, metrics: list[str]) -> bytes:
    """The pattern of a line without its line feed. Its groups are the port, or nothing, and the first sum."""
    parts = by.split(",")
    is_recipe = by.encode() == b",".join(KEY)
    key = TALKER if is_recipe else rb"\t".join([TEXT] * (len(parts) + parts.count("pair"))) + b"()"
    first, *others = [TIME if metric in TIME_METRICS else SUM for metric in metrics]
    return key + rb"\t(" + first + b")" + b"".join(rb"\t" + other for other in others)


def pattern_of_pairs(metric: str) -> bytes:
    """The pattern of a line of `--pairs`, with groups as those of `pattern_of`; the metric ranks."""
    sums = [rb"\t(" + SUM + rb")" if one == metric else rb"\t" + SUM for one in PAIR_SUMS]
    directions = (rb"\t" + SUM) * (2 * len(PAIR_SUMS))
    return rb"\t".join([TEXT] * PAIR_COLUMNS) + b"()" + b"".join(sums) + directions + rb"\t" + TEXT


def number_of(total: bytes) -> int:
    """A sum as a number in the same order; a time without its signs."""
    return int(total.translate(None, b"-T:Z"))


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; a wrong value is argparse's usage error, exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--by", default=",".join(field.decode() for field in KEY), help="parts of the key, with commas")
    parser.add_argument("--metric", default="records", help="records, packets, bytes, first, last, with commas")
    parser.add_argument("--ports", default="0-1024", help="0-1024 (the default); 22,443,8000-8999; all")
    parser.add_argument("--pairs", default="no", choices=("yes", "no"), help="whether lines are those of --pairs")
    parser.add_argument("--top", type=int, default=0, help="how many lines to print, 0 (the default) for all")
    options = parser.parse_args(arguments)
    try:
        options.ports = parse_ports(options.ports)
    except ValueError:
        parser.error(f"--ports: {options.ports!r} is not understood")
    options.pairs = options.pairs == "yes"
    if options.pairs and options.metric not in PAIR_SUMS:
        parser.error(f"--metric: {options.metric!r} does not go with --pairs")
    if options.top < 0:
        parser.error(f"--top: {options.top} is below 0")
    return options


class Filter:
    """Keeps the lines of an answer that have a wanted port.

    Attributes:
        malformed: how many lines were no key and its sums.
        key_columns: how many columns, separated by tabs, the key of a line has.

    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Take the options as `parse_arguments` returns them."""
        parts = options.by.split(",")
        is_recipe = options.by.encode() == b",".join(KEY) and not options.pairs
        pattern = (
            pattern_of_pairs(options.metric) if options.pairs else pattern_of(options.by, options.metric.split(","))
        )
        self._line_pattern = re.compile(pattern + rb"\n?")
        self._all_lines = re.compile(b"^" + pattern + b"$", re.MULTILINE)
        self._ports = options.ports if is_recipe else frozenset((b"",))
        self._number = number_of if options.metric.startswith(TIME_METRICS) else int
        self.key_columns = PAIR_COLUMNS if options.pairs else 1 if is_recipe else len(parts) + parts.count("pair")
        self.malformed = 0

    def wanted_lines(self, stdin: BinaryIO) -> Iterator[tuple[list[bytes], list[int]]]:
        """Yield the lines to keep, block by block, and the numbers by which they rank."""
        ports, number = self._ports, self._number
        while lines := stdin.readlines(BLOCK_BYTES):
            if not lines[-1].endswith(b"\n"):  # the last one, behind which others are printed
                lines[-1] += b"\n"
            found = self._all_lines.findall(b"".join(lines))
            if len(found) != len(lines):
                # A line has at most one match, so some have none.
                talkers = [line for line in lines if self._line_pattern.fullmatch(line)]
                self.malformed += len(lines) - len(talkers)
                lines = talkers
            fine = [port in ports for port, _ in found]
            yield list(compress(lines, fine)), [number(total) for _, total in compress(found, fine)]

    def first_lines(self, stdin: BinaryIO, top: int) -> list[tuple[int, bytes]]:
        """The first lines to keep, in the order of the answer, each after the negative of its number.

        Lines of equal numbers compare as their talkers do, because a tab sorts before every character of a talker.
        """
        first: list[tuple[int, bytes]] = []
        least = 0  # lines with a smaller number than the last of the first N are dropped
        for lines, numbers in self.wanted_lines(stdin):
            first += [(-number, line) for number, line in zip(numbers, lines) if number >= least]
            if len(first) >= 2 * top + LINES_HELD:
                first.sort()
                del first[top:]
                least = -first[-1][0]
        return sorted(first)[:top]

    def report(self, stderr: TextIO) -> None:
        """Report what was left out to Hadoop."""
        if self.malformed:
            stderr.write(f"reporter:counter:toptalkers,malformed_talkers,{self.malformed}\n")


def main(arguments: list[str], stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> None:
    """Run the mapper over binary streams."""
    options = parse_arguments(arguments)
    keep = Filter(options)
    if options.top:
        stdout.writelines(line for _, line in keep.first_lines(stdin, options.top))
    else:
        for lines, _ in keep.wanted_lines(stdin):
            stdout.writelines(lines)
    stdout.flush()
    keep.report(stderr)


if __name__ == "__main__":
    main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr)
