"""The streaming scripts, run like the pipe in the README, but with chosen splits and reducers."""

import io
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from toptalkers.job import conversations, count_flows, port_filter, sum_counts
from toptalkers.question.conversations import record_question
from toptalkers.question.query import Query

STREAMING = Path(count_flows.__file__).parent


def sort_bytes(lines: bytes) -> bytes:
    """Sort like `LC_ALL=C sort`."""
    return b"".join(line + b"\n" for line in sorted(lines.split(b"\n")[:-1]))


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


def joined(query: Query, splits: list[bytes], top: int = 0) -> tuple[bytes, Counter[str]]:
    """Run the scripts of a question that joins records: one mapper per split, and two of each later one.

    Returns the ranked lines, and the sums of all counters. The rows of a digest are ranked, too.
    """
    counters: Counter[str] = Counter()
    counted = []
    for split in splits:
        lines, seen = count(record_question(query), split)
        counted.append(lines)
        counters.update({name: number for name, number in seen.items() if not name.startswith("values_")})
    words = query.conversation_arguments()

    def role(name: str, inputs: Sequence[bytes], *more: str) -> list[bytes]:
        outputs = []
        for lines in inputs:
            out, err = io.BytesIO(), io.StringIO()
            assert conversations.main([name, *words, *more], io.BytesIO(lines), out, err) == 0, err.getvalue()
            outputs.append(out.getvalue())
            for line in err.getvalue().splitlines():
                counter, number = line.removeprefix("reporter:counter:toptalkers,").split(",")
                counters[counter] += int(number)
        return outputs

    told = role("distinct", _shuffled(counted, conversations.CORE_COLUMNS))
    facts = role("learn-map", told)
    table = role("learn-reduce", [sort_bytes(b"".join(facts))])
    with tempfile.NamedTemporaryFile() as learned:
        learned.write(b"".join(table))
        learned.flush()
        folded = role("fold", told, "--learned", learned.name)
    sums = role("once", _shuffled(folded, conversations.FLOW_COLUMNS)) if query.count == "once" else folded
    summed = io.BytesIO()
    assert (
        sum_counts.main(query.reducer_arguments(), io.BytesIO(sort_bytes(b"".join(sums))), summed, io.StringIO()) == 0
    )
    kept = io.BytesIO()
    arguments = [*query.filter_arguments(), "--top", str(top)]
    port_filter.main(arguments, io.BytesIO(summed.getvalue()), kept, io.StringIO())
    rows = [line.split(b"\t") for line in kept.getvalue().splitlines()]
    rows.sort(key=lambda row: row[: query.key_columns])
    at = query.rank_column - 1
    rows.sort(
        key=lambda row: row[at] if query.metric[0] in ("first", "last") else b"%020d" % int(row[at]), reverse=True
    )
    return b"".join(b"\t".join(row) + b"\n" for row in rows), counters


def _shuffled(outputs: Sequence[bytes], columns: int) -> list[bytes]:
    """What two reducers get: lines with the same first columns come to the same one, sorted."""
    parts = [bytearray(), bytearray()]
    for line in b"".join(outputs).splitlines(keepends=True):
        parts[crc32(b"\t".join(line.split(b"\t")[:columns])) % 2] += line
    return [sort_bytes(bytes(part)) for part in parts]


def run_script(
    name: str, *arguments: str, stdin: bytes, python: str = sys.executable
) -> "subprocess.CompletedProcess[bytes]":
    """Run one script as a program, without site packages and without the environment."""
    command = [python, "-I", "-S", str(STREAMING / name), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)
