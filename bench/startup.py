"""How long the start takes: of commands that read little or nothing, and of single imports."""

import gzip
import sys
from pathlib import Path

from bench import samples
from bench.measure import Command, alternate, wall_ratio
from bench.part import Context, Section, columns, table
from bench.tools import TOPTALKERS

RUNS, QUICK_RUNS = 20, 7
BARE = "`python -c pass`"


def run(context: Context) -> Section:
    """Measure; every time is divided by that of an empty Python program."""
    tiny = samples.once(context.work / "tiny", write_tiny)
    commands = {
        BARE: Command([sys.executable, "-c", "pass"]),
        "`toptalkers --help`": Command([TOPTALKERS, "--help"]),
        "`toptalkers run-local --help`": Command([TOPTALKERS, "run-local", "--help"]),
        "`toptalkers run-local`, 100 records": Command([TOPTALKERS, "run-local", str(tiny)]),
    }
    for package in ("polars", "duckdb"):
        if context.tools.has(package):
            commands[f"`python -c 'import {package}'`"] = Command(
                [str(context.tools.python), "-c", f"import {package}"]
            )
    runs = QUICK_RUNS if context.is_quick else RUNS
    timings = alternate(commands, runs)
    rows = [
        [name, "1" if name == BARE else f"{wall_ratio(timing, timings[BARE]):.1f}", *columns(timing)]
        for name, timing in timings.items()
    ]
    head = ("whole process", "time / bare Python's", "median", "spread", "CPU", "peak memory")
    ratios = {f"{name.strip('`')} / python": wall_ratio(timing, timings[BARE]) for name, timing in timings.items()}
    return Section(f"{runs} alternating runs after one warm-up run.\n\n{table(head, rows)}", ratios)


def write_tiny(folder: Path) -> None:
    """Write 100 records, compressed, into a folder."""
    line = (
        b"2 123456789012 eni-0a1b2c3d4e5f60718 10.0.0.%d 10.0.1.9 40000 443 6 10 8400 1793491200 1793491260 ACCEPT OK\n"
    )
    (folder / "tiny.log.gz").write_bytes(gzip.compress(b"".join(line % number for number in range(100)), mtime=0))
