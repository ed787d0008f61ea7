"""How an answer is written: `tsv`, `csv`, `json`, `ndjson` for programs, `table` for people; and its tally.

Formats for programs are written as the answer comes, whatever its size.
"""

import csv
import io
import json
from collections.abc import Iterator

from toptalkers.answer import REASONS, Answer, Row, Tally
from toptalkers.query import Query, format_ports, format_time


def format_answer(answer: Answer, *, width: int | None = None) -> Iterator[bytes]:
    """Write an answer in its query's format, in chunks of UTF-8.

    Args:
        answer: what to write; its chunks are read.
        width: for a table, how many columns the terminal has; None for as many as the table needs.

    """
    match answer.query.format:
        case "tsv":
            yield from answer.chunks
        case "csv":
            yield from _format_csv(answer)
        case "json":
            yield from _format_json(answer)
        case "ndjson":
            for row in answer.rows():
                yield json.dumps(_named(row, answer.query)).encode() + b"\n"
        case "table":
            yield _format_table(answer, width).encode()


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
    """Say a question in words, one line."""
    ports = "all ports" if format_ports(query.ports) == "all" else f"ports {format_ports(query.ports)}"
    action = "all actions" if query.action == "ALL" else query.action
    words = [f"top talkers by {query.metric}", ports, action]
    if query.since:
        words.append(f"since {format_time(query.since)}")
    if query.until:
        words.append(f"until {format_time(query.until)}")
    return ", ".join(words)


def _in_order(tally: Tally) -> list[tuple[str, int]]:
    return [(reason, tally.skipped[reason]) for reason in REASONS if tally.skipped.get(reason)]


def _named(row: Row, query: Query) -> dict[str, str | int]:
    rank, (src, dst, port), value = row
    return {"rank": rank, "src": src, "dst": dst, "port": port, query.metric: value}


def _format_csv(answer: Answer) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["rank", "src", "dst", "port", answer.query.metric])
    for rank, (src, dst, port), value in answer.rows():
        writer.writerow([rank, src, dst, port, value])
        if buffer.tell() > 1 << 20:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _format_json(answer: Answer) -> Iterator[bytes]:
    query, tally = answer.query, answer.tally
    question = {
        "metric": query.metric,
        "ports": format_ports(query.ports),
        "action": query.action,
        "since": format_time(query.since) if query.since else None,
        "until": format_time(query.until) if query.until else None,
        "top": query.top,
    }
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
    for row in answer.rows():
        yield between + json.dumps(_named(row, query)).encode()
        between = b",\n  "
    yield b"\n ]\n}\n"


def _format_table(answer: Answer, width: int | None) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("source", overflow="fold")
    table.add_column("destination", overflow="fold")
    table.add_column("port", justify="right")
    table.add_column(answer.query.metric, justify="right")
    for rank, (src, dst, port), value in answer.rows():
        table.add_row(str(rank), src, dst, str(port), f"{value:,}")
    if not table.row_count:
        return "no talkers\n"
    text = io.StringIO()
    console = Console(file=text, width=width or 400, color_system=None, legacy_windows=False)
    console.print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(line for line in lines if line) + "\n"
