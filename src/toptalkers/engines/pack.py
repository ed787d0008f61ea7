"""Gzip copies of files for engines whose job reads a folder. A gzip file is never split, so each counts whole."""

import gzip
from collections.abc import Sequence
from operator import add
from pathlib import Path

from toptalkers.answer.answer import LARGEST_TOTAL, Tally, TooLargeError
from toptalkers.engines import Watch
from toptalkers.errors import UsageError
from toptalkers.kernel.counter import Counter
from toptalkers.question.conversations import counted_question
from toptalkers.question.query import Query
from toptalkers.records.contents import Archive
from toptalkers.records.files import InputFile, Problem
from toptalkers.records.misfits import why_left_out
from toptalkers.records.source import UnreadableError
from toptalkers.records.unpack import read_events, read_parts, whole_lines

_BLOCK_BYTES = 4 << 20

_MOST_ROWS = 1_000_000
"""How many sums are held at most while a file is checked. The sums themselves are not used."""

LONGEST_COMMAND = 100_000
"""How long the mapper's arguments may be. Linux takes 128 KiB in one argument, and the step's command is one."""


def pack_files(query: Query, files: Sequence[InputFile], folder: Path, watch: Watch) -> tuple[list[Path], Tally]:
    """Write each readable file, or part of an archive, as a gzip file into a folder.

    A plain file would be split by lines or blocks, and its header would reach only the first mapper. A damaged file
    would fail the whole job. Files that are damaged, or do not fit their layout, are left out and reported to
    `watch.on_problem`.

    Returns:
        The paths, in the order of the files; and a tally of how many parts were read and left out.

    Raises:
        TooLargeError: the values add up to more than Hadoop can sum.
        UsageError: the question is too long for a command.

    """
    counted = counted_question(query)
    if sum(map(len, counted.mapper_arguments())) > LONGEST_COMMAND:
        raise UsageError(
            "--where is too long for the command of a mapper",
            hint="put less into its lists, or leave --engine out: run-local alone takes any length",
        )
    packed: list[Path] = []
    tally = Tally()
    total = [0] * len(counted.metric)
    for file in files:
        own: list[Path] = []
        problems: list[Problem] = []
        own_total = [0] * len(counted.metric)
        try:
            own_total = _pack_file(query, file, folder, len(packed), own, problems, watch)
        except UnreadableError as error:
            for path in own:
                path.unlink(missing_ok=True)
            own, problems = [], [Problem(file.name, str(error))]
        total = list(map(add, total, own_total))
        if max(total) > LARGEST_TOTAL:
            raise TooLargeError
        for problem in problems:
            watch.on_problem(problem)
        packed += own
        tally += Tally(files_read=len(own), files_unreadable=sum(problem.is_failure for problem in problems))
    return packed, tally


def _pack_file(
    query: Query,
    file: InputFile,
    folder: Path,
    number: int,
    packed: list[Path],
    problems: list[Problem],
    watch: Watch,
) -> list[int]:
    """Compress the parts of a file. Returns the totals of its values."""
    counted = counted_question(query)
    total = [0] * len(counted.metric)
    for part, pieces in read_parts(read_events(file, _BLOCK_BYTES, watch.on_read)):
        if isinstance(part, Archive):
            continue
        if isinstance(part, Problem):
            problems.append(part)
            continue
        path = folder / f"{number + len(packed):06d}.gz"
        packed.append(path)
        judge = Counter(counted)
        own_total = [0] * len(counted.metric)
        with gzip.open(path, "wb", compresslevel=1) as stream:
            lines = (piece for piece in pieces if isinstance(piece, bytes))  # without a question, all are
            for block in whole_lines(lines, _BLOCK_BYTES):
                stream.write(block)
                judge.feed(block)
                if judge.rows > _MOST_ROWS:
                    own_total = list(map(add, own_total, judge.totals))
                    judge.clear()
        if reason := why_left_out(judge, judge.end_lines(), query, part.wrapping):
            path.unlink()
            packed.pop()
            problems.append(Problem(part.name, reason))
        else:
            total = [sum(numbers) for numbers in zip(total, own_total, judge.totals, strict=True)]
    return total
