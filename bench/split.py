"""What the first step costs for each MB of compressed input beyond its start-up, part by part.

A step whose mapper stops early, over two inputs of the same kind: the difference of their CPU times, divided by that of
their sizes, excludes what a job and its maps cost in any case.
"""

import contextlib
import shutil
import statistics
from collections.abc import Callable, Mapping
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
)
from bench.measure import say
from bench.part import Context, table
from bench.startup import write_tiny

RUNS = 3

WHOLE, BEFORE = "whole step", "before"
Step = Callable[[Path, Path], Arguments]
"""Makes a first step from the folders of the input and of the run."""

STOPS: Mapping[str, str] = {
    "drop": "the JVM hands over, and the mapper throws away",
    "unpack": "unpacking with Python's zlib",
    "count": "counting, and printing the sums",
    WHOLE: "sorting, shuffle, adding up",
}
"""How far each mapper goes, and what it does more than the one before it."""


def run(context: Context) -> tuple[list[str], dict[str, float]]:
    """Measure with the JVM of the embedded Hadoop, and with that of a cluster; return lines and ratios."""
    work = context.work
    small, large = (samples.recompressed(work, samples.sample(work, n)) for n in (context.records, context.records * 4))
    megabytes = (samples.stored_bytes(large) - samples.stored_bytes(small)) / 1e6
    runs = 1 if context.is_quick else RUNS
    steps = _steps(is_quick=context.is_quick)
    costs: dict[str, dict[str, float]] = {}
    for compilers in ("C1",) if context.is_quick else ("C1", "C1 and C2"):
        seconds: dict[str, dict[Path, list[float]]] = {name: {small: [], large: []} for name in steps}
        with contextlib.nullcontext() if compilers == "C1" else second_compiler():
            for number in range(runs):
                for name, step in steps.items():
                    for source in (small, large):
                        say(f"  step 1, {name}, {compilers}, {source.name}, run {number + 1} of {runs}")
                        seconds[name][source].append(_run(context, step, source).cpu_s)
        costs[compilers] = {
            name: 1000 * (statistics.median(of[large]) - statistics.median(of[small])) / megabytes
            for name, of in seconds.items()
        }
    ratios = (
        {"step 1, CPU per MB: this version / before": costs["C1"][WHOLE] / costs["C1"][BEFORE]} if has_before() else {}
    )
    return [*_startup(context), *_table(costs, megabytes, runs)], ratios


def _steps(*, is_quick: bool) -> dict[str, Step]:
    def stopping(how: str) -> Step:
        return lambda source, folder: with_mapper(our_steps(source, folder)[0], folder, how)

    steps: dict[str, Step] = {} if is_quick else {how: stopping(how) for how in STOPS if how != WHOLE}
    steps[WHOLE] = lambda source, folder: our_steps(source, folder)[0]
    if has_before():
        steps[BEFORE] = lambda source, folder: steps_before(source, folder)[0]
    return steps


def _run(context: Context, step: Step, source: Path) -> Spent:
    folder = context.work / "hadoop-runs"
    shutil.rmtree(folder, ignore_errors=True)
    return run_step(step(source, folder), folder)


def _startup(context: Context) -> list[str]:
    """Measure both steps with next to no input."""
    tiny = samples.once(context.work / "tiny", write_tiny)
    folder = context.work / "hadoop-runs"
    one = _run(context, lambda source, folder: our_steps(source, folder)[0], tiny)
    shutil.rmtree(folder, ignore_errors=True)
    both = run_steps(our_steps(tiny, folder), folder)
    steps = f"step 1 takes {one.wall_s:.1f} s ({one.cpu_s:.1f} s of CPU), both {both.wall_s:.1f} s ({both.cpu_s:.1f} s)"
    return [f"Start-up: with 100 records, {steps}.", ""]


def _table(costs: Mapping[str, Mapping[str, float]], megabytes: float, runs: int) -> list[str]:
    rows = []
    if all(how in cost for how in STOPS for cost in costs.values()):
        before = [0.0] * len(costs)
        for how, what in STOPS.items():
            until = [cost[how] for cost in costs.values()]
            rows.append([what, *(f"{one - other:.0f} ms" for one, other in zip(until, before, strict=True))])
            before = until
    rows.append(["**step 1, this version**", *(f"**{cost[WHOLE]:.0f} ms**" for cost in costs.values())])
    if all(BEFORE in cost for cost in costs.values()):
        rows.append(["step 1, the version before", *(f"{cost[BEFORE]:.0f} ms" for cost in costs.values())])
        rows.append(["this version / before", *(f"{cost[WHOLE] / cost[BEFORE]:.2f}" for cost in costs.values())])
    head = {"C1": "embedded Hadoop (C1)", "C1 and C2": "a cluster's JVM (C1 and C2)"}
    of = f"CPU for each MB of gzip, of {megabytes:,.0f} MB more; {'once' if runs == 1 else f'median of {runs} runs'}"
    return [table((of, *(head[compilers] for compilers in costs)), rows)]
