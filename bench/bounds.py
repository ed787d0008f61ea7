"""How large a ratio may be before `scripts/bench --quick` fails: generous, because machines are noisy.

Each bound is at least 1.5 times the ratio on a quiet machine: it catches a regression, not a busy machine.
docs/benchmarks.md has the exact measurements.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """A ratio's name, its upper bound, and the reason for the bound."""

    ratio: str
    most: float
    reason: str


BOUNDS = (
    Bound("run-local / DuckDB", 0.8, "the aim for 4 M records; with the quick sample, start-up is a larger part"),
    Bound("run-local / Polars", 1.0, "the aim, with every line checked by the rules; 0.5 is usual"),
    Bound("run-local / decompression", 4.0, "the aim for 4 M records is 3; 2 is usual"),
    Bound("networks: run-local / DuckDB", 1.0, "the aim for 4 M records; with the quick sample, start-up weighs more"),
    Bound("networks: run-local / Polars", 1.5, "the aim for 4 M records is 1"),
    Bound("together: run-local / DuckDB", 1.0, "the same, with three sums and a condition of five terms"),
    Bound("together: run-local / Polars", 1.5, "the aim for 4 M records is 1"),
    Bound("count_files.py with the kernel / gawk", 0.7, "gawk's time has zcat's; 0.45 is usual, half of it start-up"),
    Bound("count_files.py in Python / gawk", 3.0, "the same; 2 is usual"),
    Bound("count_flows.py / gawk", 3.5, "1.3 to 2.3, by the processor; with fewer records, start-up weighs more"),
    Bound("sum_counts.py / gawk", 1.5, "the aim is 2 M lines per second, and gawk is slower than that"),
    Bound("port_filter.py / gawk", 2.5, "the aim is 2 M lines per second, and gawk is a third faster"),
    Bound("step 1, CPU per MB: this version / before", 0.5, "the aim is a quarter; start-up's noise weighs in --quick"),
    Bound("toptalkers --help / python", 12.0, "the aim is 0.15 s, and a bare Python takes 0.01 s and more"),
    Bound("toptalkers run-local --help / python", 12.0, "the same"),
)


def check(ratios: Mapping[str, float], bounds: tuple[Bound, ...] = BOUNDS) -> tuple[list[str], bool]:
    """Compare ratios with their bounds; return one line per bound, and whether all hold. A missing ratio holds."""
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
