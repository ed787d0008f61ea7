"""The input and the result of every part of the bench."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Timing, cpu_ratio, format_seconds, wall_ratio
from bench.tools import Tools


@dataclass(frozen=True, slots=True)
class Context:
    """How to measure.

    Attributes:
        work: the folder of samples and answers.
        runs: how many runs of each quick command.
        records: the size of the main sample.
        tools: the peers.
        is_quick: whether to measure less of everything, for CI.

    """

    work: Path
    runs: int
    records: int
    tools: Tools
    is_quick: bool = False

    def output(self, name: str) -> Path:
        """Return the file of an answer."""
        return self.work / f"answer-{name.replace(' ', '-').replace('/', '-')}"


@dataclass(frozen=True, slots=True)
class Section:
    """The result of a part.

    Attributes:
        text: Markdown, for people.
        ratios: by name, for `bench.bounds`.
        charts: SVG by file name, to be written beside the page.

    """

    text: str
    ratios: Mapping[str, float] = field(default_factory=dict)
    charts: Mapping[str, str] = field(default_factory=dict)


def same(answers: Mapping[str, object]) -> str:
    """Exit unless all answers are the same; return a sentence that says so."""
    (first, expected), *others = answers.items()
    for name, answer in others:
        if answer != expected:
            sys.exit(f"the answers of {first} and {name} differ: see the work folder")
    return f"Same answer: {'; '.join(answers)}."


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a Markdown table that is also readable as text; all columns except the first are for numbers."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        return f"| {' | '.join([first.strip().ljust(widths[0]), *others])} |"

    rule = [":".ljust(widths[0], "-"), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), line(rule), *(line(row) for row in cells[1:])])


BESIDE_HEAD = ("whole process", "ours / it, wall", "ours / it, CPU", "median", "spread", "CPU", "peak memory")


def beside(timings: Mapping[str, Timing], ours: str) -> list[list[str]]:
    """Return rows for `BESIDE_HEAD`: the ratios come first, ours in the first row."""
    return [
        [
            name,
            "1" if name == ours else f"{wall_ratio(timings[ours], timing):.2f}",
            "1" if name == ours else f"{cpu_ratio(timings[ours], timing):.2f}",
            *columns(timing),
        ]
        for name, timing in timings.items()
    ]


def columns(timing: Timing) -> list[str]:
    """Format median, spread, CPU time and peak."""
    return [
        format_seconds(timing.median_s),
        timing.spread,
        format_seconds(timing.median_cpu_s),
        f"{timing.peak_mib:,.0f} MiB",
    ]
