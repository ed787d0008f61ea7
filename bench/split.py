"""What the first step costs for each MB of compressed input beyond its start-up, part by part.

The same step over two inputs, with as many maps: the difference of its CPU times, divided by that of the sizes, has
nothing of what a job and its maps cost in any case. Mappers that stop early tell the parts apart.
"""

import contextlib
import shutil
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench import samples
from bench.jobs import (
    Arguments,
    Spent,
    has_before,
    our_steps,
    run_step,
    run_steps,
    second_compiler,
    steps_before,
    with_mapper,
    with_maps,
)
from bench.measure import say
from bench.part import Context, table
from bench.startup import write_tiny

RUNS = 3
MAPS = 4

RATIO = "step 1, CPU per MB: this version / before"

STOPS: Mapping[str, str] = {
    "drop": "Hadoop reads and hands over",
    "unpack": "decompression by Python's zlib",
    "count": "counting, and forming the lines",
}
"""How far a mapper goes, and what it does more than the one before it."""

LAST_PART = "sorting, shuffle, adding up"
OURS, BEFORE = "this version", "the version before"
SECOND = ", with the second compiler"


@dataclass(frozen=True, slots=True)
class Case:
    """A first step to be measured: how to make it, from the folders of the input and of the run, and on which JVM."""

    make: Callable[[Path, Path], Arguments]
    has_second_compiler: bool = False


def run(context: Context) -> tuple[list[str], dict[str, float]]:
    """Measure, in alternating runs; return lines of Markdown, and the ratio for `bench.bounds`."""
    few, many = context.records, context.records * 4
    sources = [samples.recompressed(context.work, samples.sample(context.work, number)) for number in (few, many)]
    sizes = [samples.stored_bytes(source) for source in sources]
    cases = _cases(is_quick=context.is_quick)
    runs = 1 if context.is_quick else RUNS
    seconds: dict[str, list[list[float]]] = {name: [[], []] for name in cases}
    for number in range(runs):
        for name, case in cases.items():
            for source, of_source in zip(sources, seconds[name], strict=True):
                spent = _run(context, case, source)
                of_source.append(spent.cpu_s)
                say(f"  step 1, {name}, {source.name}, run {number + 1} of {runs}: {spent.cpu_s:.2f} s of CPU")
    megabytes = (sizes[1] - sizes[0]) / 1e6
    costs = {
        name: 1000 * (statistics.median(more) - statistics.median(less)) / megabytes
        for name, (less, more) in seconds.items()
    }
    what = f"CPU per MB of gzip, of {megabytes:,.0f} MB more; {'once' if runs == 1 else f'median of {runs} runs'}"
    ratios = {RATIO: costs[OURS] / costs[BEFORE]} if BEFORE in costs else {}
    return [*_startup(context), table((what, "CPU", "this version / it"), _rows(costs))], ratios


def _cases(*, is_quick: bool) -> dict[str, Case]:
    def ours(source: Path, folder: Path) -> Arguments:
        return with_maps(our_steps(source, folder)[0], source, MAPS)

    def stopping(how: str) -> Case:
        return Case(lambda source, folder: with_mapper(ours(source, folder), folder, how))

    def before(source: Path, folder: Path) -> Arguments:
        return with_maps(steps_before(source, folder)[0], source, MAPS)

    cases = {OURS: Case(ours)}
    if not is_quick:
        cases = {how: stopping(how) for how in STOPS} | cases | {OURS + SECOND: Case(ours, has_second_compiler=True)}
    if has_before():
        cases[BEFORE] = Case(before)
        if not is_quick:
            cases[BEFORE + SECOND] = Case(before, has_second_compiler=True)
    return cases


def _run(context: Context, case: Case, source: Path) -> Spent:
    folder = context.work / "hadoop-runs"
    shutil.rmtree(folder, ignore_errors=True)
    with second_compiler() if case.has_second_compiler else contextlib.nullcontext():
        return run_step(case.make(source, folder), folder)


def _startup(context: Context) -> list[str]:
    """Measure both steps with next to no input."""
    tiny = samples.once(context.work / "tiny", write_tiny)
    folder = context.work / "hadoop-runs"
    shutil.rmtree(folder, ignore_errors=True)
    steps = our_steps(tiny, folder)
    one = run_step(steps[0], folder)
    both = one + run_steps(steps[1:], folder)
    text = f"step 1 takes {one.wall_s:.1f} s ({one.cpu_s:.1f} s of CPU), both {both.wall_s:.1f} s ({both.cpu_s:.1f} s)"
    return [f"Start-up: with 100 records, {text}.", ""]


def _rows(costs: Mapping[str, float]) -> list[list[str]]:
    rows = []
    if all(how in costs for how in STOPS):
        until = [0.0, *(costs[how] for how in STOPS), costs[OURS]]
        parts = (one - other for other, one in pairwise(until))
        rows = [[what, f"{part:.0f} ms", ""] for what, part in zip((*STOPS.values(), LAST_PART), parts, strict=True)]
    for name, cost in costs.items():
        if name not in STOPS:
            rival = costs[OURS + SECOND if name.endswith(SECOND) else OURS]
            rows.append([f"**step 1, {name}**", f"**{cost:.0f} ms**", f"{rival / cost:.2f}" if BEFORE in name else ""])
    return rows
