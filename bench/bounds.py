"""How far off a ratio may be before `scripts/bench --quick` fails: generous, for machines are noisy.

Each is at least one and a half times what is seen on a quiet machine: it catches an engine that lost its way, not a
slow afternoon. What is measured well stands in docs/benchmarks.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """A ratio's name, the most it may be, and why so much."""

    ratio: str
    most: float
    reason: str


BOUNDS = (
    Bound("run-local / DuckDB", 0.8, "the aim, of 4 M records; of the quick sample's, start-up is a larger part"),
    Bound("run-local / Polars", 1.0, "the aim, with every line checked by the rules; half of it is what is seen"),
    Bound("run-local / unpacking", 4.0, "the aim is 3 of 4 M records; two is what is seen"),
    Bound("count_flows.py / gawk", 2.5, "the aim is 1.3 of 2 M records; of fewer, Python's start-up weighs more"),
    Bound("sum_counts.py / gawk", 1.5, "the aim is 2 M lines a second, and gawk does less than that"),
    Bound("port_filter.py / gawk", 2.5, "the aim is 2 M lines a second, gawk does a third more"),
    Bound("toptalkers --help / python", 12.0, "the aim is 0.15 s, and a bare Python takes 0.01 s and more"),
    Bound("toptalkers run-local --help / python", 12.0, "the same"),
)


def check(ratios: Mapping[str, float], bounds: tuple[Bound, ...] = BOUNDS) -> tuple[list[str], bool]:
    """Compare what was measured; gives a line a bound, and whether all hold. What was not measured holds."""
    lines, all_hold = [], True
    for bound in bounds:
        got = ratios.get(bound.ratio)
        if got is None:
            lines.append(f"not measured  {bound.ratio}")
            continue
        holds = got <= bound.most
        all_hold &= holds
        verdict = "holds" if holds else "FAR OFF"
        lines.append(f"{verdict:12}  {bound.ratio}: {got:.2f}, expected at most {bound.most:g} ({bound.reason})")
    return lines, all_hold
