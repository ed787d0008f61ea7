"""How an answer is written: `tsv`, `csv`, `json`, `ndjson` for programs, `table` for people; and its tally.

Formats for programs are written as the answer comes, whatever its size.
"""

import csv
import io
import json
from collections.abc import Iterator

from toptalkers.answer.answer import REASONS, Answer, Row, Tally
from toptalkers.answer.presentation import Format
from toptalkers.errors import ToptalkersError
from toptalkers.question.clauses import CLAUSES
from toptalkers.question.query import Query


def format_answer(answer: Answer, format: Format = "tsv") -> Iterator[bytes]:  # noqa: A002 - the option's name
    """Write an answer, in chunks of UTF-8. Reads the answer's chunks."""
    match format:
        case "tsv":
            yield from answer.chunks
        case "csv":
            yield from _format_csv(answer)
        case "json":
            yield from _format_json(answer)
        case "ndjson":
            for row in _rows(answer):
                yield json.dumps(_named(row, answer.query)).encode() + b"\n"
        case "table":
            yield _format_table(answer).encode()


def format_tally(tally: Tally) -> str:
    """Write a tally in words: one line, and one more for each reason why records were skipped."""
    skipped = tally.records_read - tally.counted
    files = f"{tally.files_read:,} file{'' if tally.files_read == 1 else 's'}"
    lines = [f"{tally.records_read:,} records read from {files}: {tally.counted:,} counted, {skipped:,} skipped"]
    lines += [f"  {number:>12,}  {REASONS[reason]}" for reason, number in _in_order(tally)]
    if tally.files_unreadable:
        lines.append(f"  {tally.files_unreadable:,} left out, as said above")
    return "\n".join(lines)


def describe_query(query: Query) -> str:
    """Write a question in words, as one line."""
    return ", ".join(clause.describe(value) for clause, value in query.clauses() if clause.describe)


def _in_order(tally: Tally) -> list[tuple[str, int]]:
    return [(reason, tally.skipped[reason]) for reason in REASONS if tally.skipped.get(reason)]


def _named(row: Row, query: Query) -> dict[str, str | int]:
    rank, (src, dst, port), value = row
    return {"rank": rank, "src": src, "dst": dst, "port": port, query.metric: value}


def _rows(answer: Answer) -> Iterator[Row]:
    try:
        yield from answer.rows()
    except ValueError as error:
        raise ToptalkersError(f"the answer holds a line that is none: {error}") from error


def _format_csv(answer: Answer) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["rank", "src", "dst", "port", answer.query.metric])
    for rank, (src, dst, port), value in _rows(answer):
        writer.writerow([rank, src, dst, port, value])
        if buffer.tell() > 1 << 20:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _format_json(answer: Answer) -> Iterator[bytes]:
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
        yield between + json.dumps(_named(row, query)).encode()
        between = b",\n  "
    yield b"\n ]\n}\n"


def _format_table(answer: Answer) -> str:
    """A table for people, by hand: whatever a terminal's width, an address is in one piece, as it was logged."""
    head = ("#", "source", "destination", "port", answer.query.metric)
    rows = [(str(rank), src, dst, str(port), f"{value:,}") for rank, (src, dst, port), value in _rows(answer)]
    if not rows:
        return "no talkers\n"
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, tuple("-" * width for width in widths), *rows]
    return "".join(_format_line(line, widths) for line in lines)


def _format_line(cells: tuple[str, ...], widths: list[int]) -> str:
    rank, src, dst, port, value = widths
    return f"{cells[0]:>{rank}}  {cells[1]:<{src}}  {cells[2]:<{dst}}  {cells[3]:>{port}}  {cells[4]:>{value}}\n"
