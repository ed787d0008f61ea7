#!/usr/bin/env python3
"""Mapper and reducer of step 2: the lines of step 1 in, in any order; the lines of the answer out, in its order.

    sort_blocks.py map      In: `<key>` TAB `<sum>` TAB ... lines. Out: blocks (`blocks.py`) of ranked lines.
    sort_blocks.py merge    In: these blocks, sorted by their keys. Out: the lines, ranked.

A mapper keeps the lines with a wanted port, or with `--top N` the first N (`port_filter.py`). It sorts as many as its
memory holds into a run, and prints the run in blocks. The key of a block is its first line. So Hadoop hands a reducer
the blocks of all runs in the order of their first lines: once a block has come, all lines before its first are there.
Of each run the reducer holds no more than a few blocks.

A ranked line has 16 hexadecimal digits before it: how far its first sum, or its time as digits, is below the largest.
Bytes then compare as the answer is ordered: by the first sum, descending, and by the key, ascending, because a tab
sorts before every character of a key. Before the key of a block there is a byte with the number of the reducer for its
lines, which `BinaryPartitioner` reads.

For Python 3.9 and only its standard library. Exit code 1, with a line that says why: the input of `map` has other
lines; that of `merge` is not made of such blocks, or they are not sorted, or not those of one reducer; memory is full.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING or __name__ != "__main__":
    from toptalkers.job import blocks, port_filter
else:
    # Hadoop's -files are links in the working directory: Python's own first entry is where this one leads to.
    sys.path.insert(0, os.curdir)
    import blocks
    import port_filter

RUN_BYTES = 32 << 20
"""How many bytes of lines are sorted together. In Python they take about four times as much memory."""

FEWEST_LINES = 100_000
"""At least so many lines are merged together."""

RANK_DIGITS = 16
LARGEST = (1 << 63) - 1

MOST_REDUCERS = 128
"""Their numbers are a byte, which Java takes for negative from 128 on: two of them would come to one reducer."""


def ranked(number: int, line: bytes) -> bytes:
    """A line that sorts by its number, descending, then by itself."""
    return b"%016x%b" % (LARGEST - number, line)


def ranked_runs(stdin: BinaryIO, keep: port_filter.Filter) -> Iterator[list[bytes]]:
    """Rank lines, and sort them into runs of at most about RUN_BYTES."""
    run: list[bytes] = []
    size = 0
    for lines, numbers in keep.wanted_lines(stdin):
        run += map(ranked, numbers, lines)
        size += sum(map(len, lines))
        if size >= RUN_BYTES:
            run.sort()
            yield run
            run, size = [], 0
    run.sort()
    yield run


def blocks_of(run: list[bytes], reducers: int, key_columns: int) -> Iterator[bytes]:
    """Print a sorted run in blocks, those of each reducer for themselves."""
    for reducer, lines in enumerate(divided(run, reducers, key_columns)):
        for some in blocks.join_lines(lines):
            yield blocks.format_block(bytes([reducer]) + some[: some.index(b"\n")], some)


def divided(run: list[bytes], reducers: int, key_columns: int) -> list[list[bytes]]:
    """Divide ranked lines by their keys among reducers, in their order."""
    if reducers == 1:
        return [run]
    of_reducers: list[list[bytes]] = [[] for _ in range(reducers)]
    for line in run:
        key = b"\t".join(line[RANK_DIGITS:].split(b"\t", key_columns)[:key_columns])
        of_reducers[blocks.part_of(key, reducers)].append(line)
    return of_reducers


def merge(parts: Iterator[blocks.Block]) -> Iterator[list[bytes]]:
    """Merge the blocks of sorted runs, and yield their lines in order, in pieces; BadBlocksError if they are others.

    Lines that may still be behind others wait: no more than the last blocks of each run. They are sorted again with at
    least as many new ones, so each line is sorted about twice; and what consists of a few sorted runs sorts fast.
    """
    waiting: list[bytes] = []
    new: list[bytes] = []
    last = b""
    for key, lines in parts:
        if key < last:
            raise blocks.BadBlocksError("the blocks are not sorted by their keys")
        if last and key[:1] != last[:1]:
            raise blocks.BadBlocksError("the blocks are those of several reducers: BinaryPartitioner is missing")
        if not lines.startswith(key[1:] + b"\n"):
            raise blocks.BadBlocksError("the key of a block is not its first line")
        last = key
        if len(new) >= max(FEWEST_LINES, len(waiting)):
            waiting += new
            waiting.sort()
            # Every line that is still to come is not before the first one of this block.
            sure = bisect_left(waiting, key[1:])
            yield waiting[:sure]
            del waiting[:sure]
            new = []
        new += lines.splitlines(keepends=True)
    yield sorted(waiting + new)


def parse_arguments(arguments: list[str]) -> tuple[bool, int, list[str]]:
    """Read the command line: whether to merge, how many reducers there are, and the options of `port_filter.py`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("role", choices=("map", "merge"))
    parser.add_argument("--reducers", type=int, default=1)
    own, others = parser.parse_known_args(arguments)
    if not 1 <= own.reducers <= MOST_REDUCERS:
        parser.error(f"--reducers: {own.reducers} is not from 1 to {MOST_REDUCERS}")
    return own.role == "merge", own.reducers, others


def rank_lines(stdin: BinaryIO, stdout: BinaryIO, reducers: int, options: argparse.Namespace) -> int:
    """Print the lines to keep as blocks of sorted runs. Returns how many lines were malformed."""
    keep = port_filter.Filter(options)
    if options.top:
        runs = iter([[ranked(-number, line) for number, line in keep.first_lines(stdin, options.top)]])
    else:
        runs = ranked_runs(stdin, keep)
    for run in runs:
        stdout.writelines(blocks_of(run, reducers, keep.key_columns))
    return keep.malformed


def main(arguments: list[str], stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> int:
    """Run the mapper or the reducer over binary streams. Returns the exit code."""
    gc.disable()  # nothing here makes cycles, and searching millions of lines for them takes long
    is_merge, reducers, others = parse_arguments(arguments)
    malformed = 0
    try:
        if is_merge:
            for lines in merge(blocks.parse_blocks(stdin)):
                stdout.writelines([line[RANK_DIGITS:] for line in lines])
        else:
            malformed = rank_lines(stdin, stdout, reducers, port_filter.parse_arguments(others))
        stdout.flush()
    except blocks.BadBlocksError as error:
        stderr.write(f"sort_blocks.py: {error}\n")
        return 1
    except MemoryError:
        task = "reduce" if is_merge else "map"
        stderr.write(f"sort_blocks.py: not enough memory for the lines: raise mapreduce.{task}.memory.mb\n")
        return 1
    except OSError as error:  # Hadoop has gone
        stderr.write(f"sort_blocks.py: {error.strerror}\n")
        return 1
    if malformed:
        noun = "line" if malformed == 1 else "lines"
        stderr.write(f"sort_blocks.py: {malformed:,} {noun} that the first step did not write\n")
    return int(malformed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
