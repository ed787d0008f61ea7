"""The streaming scripts, run like the pipe in the README, but with chosen splits and reducers."""

import io
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from zlib import crc32

from toptalkers.job import conversations, count_flows, port_filter, sum_counts
from toptalkers.question.conversations import record_question
from toptalkers.question.digest import is_digest
from toptalkers.question.query import Query

STREAMING = Path(count_flows.__file__).parent


def sort_bytes(lines: bytes) -> bytes:
    """Sort like `LC_ALL=C sort`."""
    return b"".join(line + b"\n" for line in sorted(lines.split(b"\n")[:-1]))


def rank(lines: bytes, query: Query | None = None) -> bytes:
    """Sort lines into the order of the answer, as `sort -k2,2nr -k1,1` does on two columns under LC_ALL=C."""
    asked = query or Query()
    keys, at = asked.key_columns, asked.rank_column - 1
    rows = [line.split(b"\t") for line in lines.splitlines()]
    rows.sort(key=lambda row: row[:keys])
    is_time = asked.metric[0] in ("first", "last")
    rows.sort(key=(lambda row: row[at]) if is_time else lambda row: int(row[at]), reverse=True)
    return b"".join(b"\t".join(row) + b"\n" for row in rows)


def count(query: Query, split: bytes) -> tuple[bytes, dict[str, int]]:
    """Run the mapper over one split; return its lines and its counters."""
    out, err = io.BytesIO(), io.StringIO()
    count_flows.main(query.mapper_arguments(), io.BytesIO(split), out, err)
    return out.getvalue(), _counters(err.getvalue())


def _counters(log: str) -> dict[str, int]:
    """The counters that a script has reported."""
    counters = {}
    for line in log.splitlines():
        assert line.startswith("reporter:counter:toptalkers,")
        name, number = line.removeprefix("reporter:counter:toptalkers,").split(",")
        counters[name] = int(number)
    return counters


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
    return _rank_sums(query, counted, top), counters


def _rank_sums(query: Query, counted: bytes, top: int) -> bytes:
    """Add up the lines of a mapper, and rank them."""
    summed = io.BytesIO()
    assert sum_counts.main(query.reducer_arguments(), io.BytesIO(sort_bytes(counted)), summed, io.StringIO()) == 0
    kept = io.BytesIO()
    arguments = [*query.filter_arguments(), "--top", str(top)]
    port_filter.main(arguments, io.BytesIO(summed.getvalue()), kept, io.StringIO())
    return rank(kept.getvalue(), query)


def converse(query: Query, splits: list[bytes], top: int = 0, folder: Path | None = None) -> tuple[bytes, Counter[str]]:
    """Answer a question that joins records, or a digest's, as the steps of Hadoop do, with a mapper per split.

    Returns the ranked lines and all counters but those of sums. The learned table is written into the folder.
    """
    counters: Counter[str] = Counter()

    def run_role(role: str, stdin: bytes, *arguments: str) -> bytes:
        out, err = io.BytesIO(), io.StringIO()
        words = [role, *query.conversation_arguments(), *arguments]
        assert conversations.main(words, io.BytesIO(stdin), out, err) == 0, err.getvalue()
        counters.update(_counters(err.getvalue()))
        return out.getvalue()

    counted = b""
    for split in splits:
        lines, seen = count(record_question(query), split)
        counted += lines
        counters.update({name: number for name, number in seen.items() if not name.startswith("values_")})
    parts = [run_role("distinct", part) for part in _shuffle(counted, conversations.CORE_COLUMNS)]
    facts = b"".join(run_role("learn-map", part) for part in parts)
    table = (folder or Path(tempfile.mkdtemp())) / "learned.tsv"
    table.write_bytes(run_role("learn-reduce", sort_bytes(facts)))
    folded = b"".join(run_role("fold", part, "--learned", str(table)) for part in parts)
    if query.count == "once" and not is_digest(query):
        folded = b"".join(run_role("once", part) for part in _shuffle(folded, conversations.FLOW_COLUMNS))
    return _rank_sums(query, folded, top), counters


def _shuffle(lines: bytes, columns: int) -> list[bytes]:
    """What two reducers get: lines with the same first columns come to the same one, sorted."""
    parts: list[list[bytes]] = [[], []]
    for line in lines.splitlines(keepends=True):
        parts[crc32(b"\t".join(line.split(b"\t")[:columns])) % 2].append(line)
    return [sort_bytes(b"".join(part)) for part in parts]


def run_script(
    name: str, *arguments: str, stdin: bytes, python: str = sys.executable
) -> "subprocess.CompletedProcess[bytes]":
    """Run one script as a program, beside the others, without site packages and without the environment."""
    command = [python, "-I", "-S", name, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=STREAMING)
