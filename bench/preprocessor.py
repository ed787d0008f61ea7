"""The Lambda pre-processor's rate on one core, and its peak memory for the largest events."""

import json
import subprocess
import sys

from bench.part import Context, Section, table
from bench.tools import ROOT


def run(context: Context) -> Section:
    """Run `scripts/bench-lambda`, and format its lines as a table."""
    del context
    words = [sys.executable, str(ROOT / "scripts/bench-lambda")]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    rows = []
    for line in done.stdout.splitlines():
        case = json.loads(line)
        rate = case["records_per_second"]
        rows.append(
            [
                case["case"].replace("_", " "),
                f"{case['event_mib']} MiB",
                f"{case['unpacked_mib']:,.0f} MiB",
                f"{case['unpacked_mib_per_second']:.0f}",
                f"{rate:,}" if rate else "-",
                f"{case['peak_mib']} MiB",
            ]
        )
    head = ("event", "size", "uncompressed", "MiB per CPU second", "records per CPU second", "peak memory")
    return Section(table(head, rows))
