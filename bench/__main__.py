"""Compare toptalkers with what users would choose instead, by whole processes.

No time is shown before all answers are equal. Ratios come first, because they hold on other machines and seconds do
not. Tables (Markdown) go to standard output, progress to standard error. Samples are made once and kept.
"""

import argparse
import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.bounds import check
from bench.measure import RunFailedError, say
from bench.part import Context, Section
from bench.report import write_section
from bench.tools import ROOT, find_tools, machine

PARTS = {
    "local": ("local", "run-local and its peers; other layouts, other questions"),
    "keys": ("keys", "other keys, sums and conditions beside DuckDB and Polars; Parquet; the digest"),
    "truth": ("truth", "who really talked: --count once --pairs and others beside a known truth"),
    "growth": ("growth", "run-local by number of records, files, talkers; a table and a chart"),
    "mapper": ("mapper", "the streaming scripts under Python 3.9, and gawk"),
    "hadoop": ("hadoop", "both steps on the embedded Hadoop, and its peers; what a MB costs, part by part"),
    "yarn": ("yarn", "both steps on HDFS and YARN daemons, and the memory of a map"),
    "lambda": ("preprocessor", "the Lambda pre-processor"),
    "startup": ("startup", "start-up of commands, and of imports"),
    "memory": ("memory", "more talkers than memory"),
    "names": ("names", "a snapshot of 50,000 network interfaces"),
    "page": ("page", "the page of graph in Chromium"),
    "emr": ("emr", "on paper: what the rates mean for 1 TB per hour on EMR"),
}
QUICK_PARTS = ("local", "keys", "mapper", "startup")
OPTIONALLY_QUICK = ("hadoop",)
"""Those that need more than the quick environment has, so that `--quick` measures them only if they are named."""

RECORDS, QUICK_RECORDS = 4_000_000, 1_000_000
RUNS, QUICK_RUNS = 5, 3
PAGE = ROOT / "docs/benchmarks.md"


def main() -> int:
    """Run the named parts, or all."""
    options = _parse_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    context = Context(
        work=options.work.resolve(),
        runs=options.runs or (QUICK_RUNS if options.quick else RUNS),
        records=options.records or (QUICK_RECORDS if options.quick else RECORDS),
        tools=find_tools(options.peers_python),
        is_quick=options.quick,
    )
    ratios: dict[str, float] = {}
    for part in options.parts or (QUICK_PARTS if options.quick else PARTS):
        say(f"{part}: {PARTS[part][1]}")
        section: Section = importlib.import_module(f"bench.{PARTS[part][0]}").run(context)
        text = f"{section.text.strip()}\n\n*{datetime.now(UTC):%Y-%m-%d}, {machine()}.*"
        print(f"\n## {part}\n\n{text}", flush=True)
        ratios |= section.ratios
        if options.write:
            write_section(PAGE, part, text, section.charts)
            say(f"written: section {part} of {PAGE.relative_to(ROOT)}")
    if options.quick:
        lines, all_hold = check(ratios)
        print("\n## Expected\n")
        print("\n".join(lines))
        return 0 if all_hold else 1
    return 0


def _parse_arguments() -> argparse.Namespace:
    width = max(map(len, PARTS))
    parts = "\n".join(f"  {name:{width}}  {description}" for name, (_, description) in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        epilog=f"parts:\n{parts}\n\nexample:\n  scripts/bench local startup --write",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; by default everything")
    parser.add_argument("--runs", type=int, metavar="N", help=f"runs of each quick command (default {RUNS})")
    parser.add_argument(
        "--records",
        type=int,
        metavar="N",
        help=f"records of the main sample (default {RECORDS:,}), a multiple of 40000",
    )
    parser.add_argument("--write", action="store_true", help="write each table into its section of docs/benchmarks.md")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"for CI: {', '.join(QUICK_PARTS)}, with less data and light peers; exit code 1 if a ratio is far off",
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build/bench", metavar="DIR", help="the folder of samples")
    parser.add_argument("--peers-python", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if options.quick and (options.write or set(options.parts) - {*QUICK_PARTS, *OPTIONALLY_QUICK}):
        parser.error(f"--quick is only for {', '.join(QUICK_PARTS + OPTIONALLY_QUICK)}, and not for --write")
    if options.records is not None and (options.records < 160_000 or options.records % 40_000):
        parser.error("--records: a multiple of 40000, at least 160000")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RunFailedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
