"""Formats of an answer: `tsv`, `csv`, `json`, `ndjson` for programs, `table` for people; and of its tally.

All but `table` are written while the answer is read, so it may be larger than memory.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence

from toptalkers.answer.answer import Answer, Row, Tally
from toptalkers.answer.presentation import Format
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.reasons import REASONS
from toptalkers.question.clauses import CLAUSES
from toptalkers.question.query import Query


def format_answer(answer: Answer, format: Format = "tsv") -> Iterator[bytes]:  # noqa: A002 - the option's name
    """Format an answer as chunks of UTF-8. Reads the answer's chunks."""
    names = ("rank", *(column.name for column in answer.query.lines.columns), *answer.query.metric)
    match format:
        case "tsv":
            yield from answer.chunks
        case "csv":
            yield from _format_csv(answer, names)
        case "json":
            yield from _format_json(answer, names)
        case "ndjson":
            for row in _rows(answer):
                yield _object(names, row) + b"\n"
        case "table":
            yield _format_table(answer).encode()


def format_tally(tally: Tally) -> str:
    """Format a tally: one line, and one more for each reason why records were skipped."""
    skipped = tally.records_read - tally.counted
    files = f"{tally.files_read:,} file{'' if tally.files_read == 1 else 's'}"
    lines = [f"{tally.records_read:,} records read from {files}: {tally.counted:,} counted, {skipped:,} skipped"]
    lines += [f"  {number:>12,}  {REASONS[reason]}" for reason, number in _in_order(tally)]
    if tally.files_unreadable:
        lines.append(f"  {tally.files_unreadable:,} left out (see above)")
    return "\n".join(lines)


def describe_query(query: Query) -> str:
    """Format a question as one line."""
    return ", ".join(filter(None, (clause.describe(value) for clause, value in query.clauses() if clause.describe)))


def _in_order(tally: Tally) -> list[tuple[str, int]]:
    return [(reason, tally.skipped[reason]) for reason in REASONS if tally.skipped.get(reason)]


def _object(names: Sequence[str], row: Row) -> bytes:
    return json.dumps(dict(zip(names, (row.rank, *row.key, *row.sums), strict=True))).encode()


def _rows(answer: Answer) -> Iterator[Row]:
    try:
        yield from answer.rows()
    except ValueError as error:
        raise ToptalkersError(f"the answer has a wrong line: {error}") from error


def _format_csv(answer: Answer, names: Sequence[str]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for rank, key, sums in _rows(answer):
        writer.writerow((rank, *key, *sums))
        if buffer.tell() > 1 << 20:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _format_json(answer: Answer, names: Sequence[str]) -> Iterator[bytes]:
    query, tally = answer.query, answer.tally
    texts = query.texts()
    question = {clause.name: texts.get(clause.name) for clause in CLAUSES if clause.describe} | {"top": answer.top}
    counts = {
        "records_read": tally.records_read,
        "counted": tally.counted,
        "skipped": dict(_in_order(tally)),
        "files_read": tally.files_read,
        "files_unreadable": tally.files_unreadable,
    }
    head = {"query": question, "tally": counts, "talkers_in_all": answer.talkers}
    yield json.dumps(head, indent=1).removesuffix("\n}").encode() + b',\n "talkers": ['
    between = b"\n  "
    for row in _rows(answer):
        yield between + _object(names, row)
        between = b",\n  "
    yield b"\n ]\n}\n"


def _format_table(answer: Answer) -> str:
    """A table for people. It never cuts or wraps an address, whatever the terminal's width."""
    columns, metrics = answer.query.lines.columns, answer.query.metric
    head = ("#", *(column.title for column in columns), *metrics)
    rows = [(str(rank), *map(str, key), *(f"{number:,}" for number in sums)) for rank, key, sums in _rows(answer)]
    if not rows:
        return "no talkers\n"
    signs = (">", *(">" if column.kind.is_number else "<" for column in columns), *(">" for _ in metrics))
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    line = "  ".join(f"{{:{sign}{width}}}" for sign, width in zip(signs, widths, strict=True)) + "\n"
    return "".join(line.format(*cells) for cells in (head, ["-" * width for width in widths], *rows))
