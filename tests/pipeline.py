"""The streaming scripts, run like the pipe in the README, but with chosen splits and reducers."""

import io
import subprocess
import sys
from pathlib import Path

from toptalkers.job import count_flows, port_filter, sum_counts
from toptalkers.question.query import Query

STREAMING = Path(count_flows.__file__).parent


def sort_bytes(lines: bytes) -> bytes:
    """Sort like `LC_ALL=C sort`."""
    return b"".join(sorted(lines.splitlines(keepends=True)))


def rank(lines: bytes, query: Query | None = None) -> bytes:
    """Sort lines into the order of the answer, as `sort -k2,2nr -k1,1` does on two columns under LC_ALL=C."""
    asked = query or Query()
    keys = asked.key_columns
    rows = [line.split(b"\t") for line in lines.splitlines()]
    rows.sort(key=lambda row: row[:keys])
    is_time = asked.metric[0] in ("first", "last")
    rows.sort(key=(lambda row: row[keys]) if is_time else lambda row: int(row[keys]), reverse=True)
    return b"".join(b"\t".join(row) + b"\n" for row in rows)


def count(query: Query, split: bytes) -> tuple[bytes, dict[str, int]]:
    """Run the mapper over one split; return its lines and its counters."""
    out, err = io.BytesIO(), io.StringIO()
    count_flows.main(query.mapper_arguments(), io.BytesIO(split), out, err)
    counters = {}
    for line in err.getvalue().splitlines():
        assert line.startswith("reporter:counter:toptalkers,")
        name, number = line.removeprefix("reporter:counter:toptalkers,").split(",")
        counters[name] = int(number)
    return out.getvalue(), counters


def run(query: Query, splits: list[bytes], top: int = 0) -> tuple[bytes, dict[str, int]]:
    """Run the whole pipe, one mapper per split; return the ranked lines and the sums of all counters of records."""
    counted, counters = b"", dict[str, int]()
    for split in splits:
        lines, seen = count(query, split)
        counted += lines
        for name, number in seen.items():
            if name.startswith("values_"):
                continue
            counters[name] = counters.get(name, 0) + number
    summed = io.BytesIO()
    assert sum_counts.main(query.reducer_arguments(), io.BytesIO(sort_bytes(counted)), summed, io.StringIO()) == 0
    kept = io.BytesIO()
    arguments = [*query.filter_arguments(), "--top", str(top)]
    port_filter.main(arguments, io.BytesIO(summed.getvalue()), kept, io.StringIO())
    return rank(kept.getvalue(), query), counters


def run_script(
    name: str, *arguments: str, stdin: bytes, python: str = sys.executable
) -> "subprocess.CompletedProcess[bytes]":
    """Run one script as a program, without site packages and without the environment."""
    command = [python, "-I", "-S", str(STREAMING / name), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)
