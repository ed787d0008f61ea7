#!/usr/bin/env python3
"""Reducer of step 1: the blocks of `count_files.py` in, a line with the sums of each key out, in no order.

    In: blocks (`blocks.py`) whose key is the number of a part, of `<key>` TAB `<sum>` TAB `<sum>` ...
    Out: the same lines, each key once, and times as `2026-11-23T18:00:00Z`.

All lines of a key are in one part, and Hadoop hands over the blocks of a part one after the other. So only the sums of
one part have to be in memory. They are added up by the kernel that travels beside this script, or in Python where it
cannot be loaded; the lines are the same.

For Python 3.9 and only its standard library. Exit code 1, with a line that says why: the input is not made of such
blocks; values add up to more than 2^63 - 1; memory is full.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from operator import add
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Protocol, TextIO

if TYPE_CHECKING or __name__ != "__main__":
    from toptalkers.job import blocks
else:
    # Hadoop's -files are links in the working directory: Python's own first entry is where this one leads to.
    sys.path.insert(0, os.curdir)
    import blocks

LARGEST_SUM = (1 << 63) - 1
"""The largest sum of Hadoop's LongValueSum and of the local engine."""

LARGEST_TIME = 253_402_300_799
"""The last second of the year 9999."""

MOST_DIGITS = 19

MOST_KEY_BYTES = 16 * 1025
"""A key has at most 16 columns of 1024 bytes. `kernel/blocks.c` has the same rule."""

SUMS: dict[str, Callable[[int, int], int]] = {"records": add, "packets": add, "bytes": add, "first": min, "last": max}
"""How two values of a metric become one."""

TIME_METRICS = ("first", "last")

LINES_PER_CHUNK = 1000


class Adder(Protocol):
    """Adds up the lines of one part after the other; Python's is below, the kernel's is in `node_kernel.py`."""

    def add(self, lines: bytes) -> None:
        """Add whole lines; BadLineError if one is none."""

    def take_lines(self) -> Iterator[bytes]:
        """Yield the lines of all sums in chunks; BadLineError if one is too large. Then there are none."""


class PythonAdder:
    """Adds up in Python; see `Adder`."""

    def __init__(self, metrics: list[str]) -> None:
        """Take the metrics of a line's sums."""
        self._metrics = metrics
        self._both = [SUMS[metric] for metric in metrics]
        self._sums: dict[bytes, list[int]] = {}

    def add(self, lines: bytes) -> None:
        """Add whole lines."""
        width = len(self._metrics)
        if not lines.endswith(b"\n"):
            raise blocks.BadLineError(f"not whole lines: {lines[-200:]!r}")
        for line in lines[:-1].split(b"\n"):
            key, *numbers = line.rsplit(b"\t", width)
            if not 0 < len(key) <= MOST_KEY_BYTES or len(numbers) != width:
                raise blocks.BadLineError(f"not a line of {width} sums: {line[:200]!r}")
            values = [number_of(number, line) for number in numbers]
            known = self._sums.get(key)
            if known is not None:
                values = [both(*pair) for both, *pair in zip(self._both, known, values)]
            self._sums[key] = values

    def take_lines(self) -> Iterator[bytes]:
        """Yield the lines of all sums in chunks."""
        printed = (self._printed(key, sums) for key, sums in self._sums.items())
        while lines := b"".join(islice(printed, LINES_PER_CHUNK)):
            yield lines
        self._sums = {}

    def _printed(self, key: bytes, sums: list[int]) -> bytes:
        texts = [key]
        for metric, total in zip(self._metrics, sums):
            if total > (LARGEST_TIME if metric in TIME_METRICS else LARGEST_SUM):
                raise blocks.BadLineError(f"the values of {key[:100]!r} add up to more than 2^63 - 1, or are too late")
            texts.append(format_time(total) if metric in TIME_METRICS else b"%d" % total)
        return b"\t".join(texts) + b"\n"


def number_of(text: bytes, line: bytes) -> int:
    """Read a sum; BadLineError if it is none."""
    if not text.isdigit() or len(text) > MOST_DIGITS or int(text) > LARGEST_SUM:
        raise blocks.BadLineError(f"not a line of sums: {line[:200]!r}")
    return int(text)


def format_time(seconds: int) -> bytes:
    """Print a time in seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)).encode()


def add_up(parts: Iterable[blocks.Block], adder: Adder) -> Iterator[bytes]:
    """Yield the lines of all parts in chunks; BadLineError, or BadBlocksError if a part comes twice."""
    current = b""
    for key, lines in parts:
        if key != current:
            if key < current:
                raise blocks.BadBlocksError("the blocks are not sorted by their parts")
            yield from adder.take_lines()
            current = key
        adder.add(lines)
    yield from adder.take_lines()


def choose_adder(metrics: list[str]) -> tuple[Adder, str]:
    """The kernel's adder, or else Python's, and why."""
    try:
        node_kernel: Any = import_module(blocks.__name__.replace("blocks", "node_kernel"))
    except ImportError as error:
        return PythonAdder(metrics), str(error)
    try:
        return node_kernel.KernelAdder(metrics, node_kernel.load(os.curdir)), ""
    except node_kernel.NoKernelError as error:
        return PythonAdder(metrics), str(error)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; a wrong value is argparse's usage error, exit code 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--metric", default="records", help="records, packets, bytes, first, last, with commas")
    options = parser.parse_args(arguments)
    options.metric = options.metric.split(",")
    if len(set(options.metric)) < len(options.metric) or not all(metric in SUMS for metric in options.metric):
        parser.error(f"--metric: {','.join(options.metric)!r} is not understood")
    return options


def main(arguments: list[str], stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> int:
    """Run the reducer over binary streams. Returns the exit code."""
    options = parse_arguments(arguments)
    adder, why_python = choose_adder(options.metric)
    if why_python:
        stderr.write(f"sum_blocks.py: adding up in Python, which takes longer: {why_python}\n")
    try:
        stdout.writelines(add_up(blocks.parse_blocks(stdin), adder))
        stdout.flush()
    except (blocks.BadLineError, blocks.BadBlocksError) as error:
        stderr.write(f"sum_blocks.py: {error}\n")
        return 1
    except MemoryError:
        stderr.write("sum_blocks.py: not enough memory for the sums of a part: raise mapreduce.reduce.memory.mb\n")
        return 1
    except OSError as error:  # Hadoop has gone
        stderr.write(f"sum_blocks.py: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
