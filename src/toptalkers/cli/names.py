"""`toptalkers names`: who has which address, by snapshots."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

import click

from toptalkers.cli.naming import parse_within
from toptalkers.cli.params import OUTPUT
from toptalkers.cli.talk import is_terminal, say
from toptalkers.errors import UsageError
from toptalkers.question.named import PROPERTIES, NamedPart, parse_named
from toptalkers.visible import quoted, visible, width

ADDRESS = "address"
"""The title of the first column."""

LINES_PER_CHUNK = 10_000

Format = Literal["table", "tsv", "csv", "json"]

Row = tuple[str, ...]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--by",
    default="kind,sg,asg,name",
    show_default=True,
    metavar="LIST",
    help=f"The columns beside the address: {', '.join(PROPERTIES[:-1])}, tag:KEY.",
)
@click.option("--at", "at_time", metavar="TIME", help="Who had the addresses at this time.  [default: at any time]")
@click.option(
    "--names-within",
    metavar="TIME",
    default="24h",
    show_default=True,
    help="With --at, mark a name with ~ if its snapshot is older or younger than this: 90m, 24h, 7d.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(get_args(Format)),
    help="[default: table on a terminal, else tsv]",
)
@click.option("--output", type=OUTPUT, metavar="FILE", help="Write to FILE instead of standard output.")
def names(
    *,
    files: tuple[Path, ...],
    by: str,
    at_time: str | None,
    names_within: str,
    format_: Format | None,
    output: Path | None,
) -> None:
    """List who has which address, by snapshots: a line per address, or delegated prefix, and owner.

    FILE is what 'toptalkers snapshot' wrote; several are taken together. Lines are in the order of the addresses. In
    TSV there is no line with titles. What an owner does not have is -.

    \b
    Example:
      toptalkers names network.json.gz
      toptalkers names monday.json.gz friday.json.gz --at 2026-11-25T10:00:00Z --by asg,zone,tag:app
      toptalkers names network.json.gz --format tsv | grep -w 10.0.3.17
    """
    from toptalkers.answer.output import write_output
    from toptalkers.names.owners import read_names
    from toptalkers.question.clauses import parse_time

    parts = _parse_parts(by)
    time = _seconds(parse_time("--at", at_time)) if at_time else None
    found = read_names(files, within_s=parse_within(names_within))
    rows = found.table(parts, None if time is None else (time, time + 1))
    if format_ is None:
        format_ = "table" if output is None and is_terminal(sys.stdout) else "tsv"
    titles = (ADDRESS, *(_word(part) for part in parts))
    write_output(format_rows(titles, rows, format_), output)
    if not any(scope.interfaces for one in found.snapshots for scope in one.scopes):
        say("Note: no snapshot here has an interface, so there are no addresses")
    holes = [hole.action for one in found.snapshots for scope in one.scopes for hole in scope.holes]
    if holes:
        say(f"Note: what is said may be less than there is: not asked was {', '.join(sorted(set(holes)))}")


def _parse_parts(text: str) -> list[NamedPart]:
    """Read the value of --by; UsageError if a part is none."""
    parts = []
    for word in text.split(","):
        part = parse_named(f"src.{word.strip()}")
        if part is None:
            from difflib import get_close_matches

            near = get_close_matches(word.strip().lower(), PROPERTIES, n=1)
            raise UsageError(
                f"--by: {quoted(word.strip())} is not one of {', '.join(PROPERTIES[:-1])}, tag:KEY",
                hint=f"did you mean {near[0]!r}?" if near else None,
            )
        parts.append(part)
    if twice := [_word(part) for number, part in enumerate(parts) if part in parts[:number]]:
        raise UsageError(f"--by: {twice[0]!r} is given twice")
    return parts


def _word(part: NamedPart) -> str:
    return part.word.partition(".")[2]


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def format_rows(titles: Sequence[str], rows: Iterable[Row], form: Format) -> Iterator[bytes]:
    """Write rows of texts as chunks of UTF-8: a table with titles, TSV without, CSV with, or a list of JSON objects."""
    if form == "table":
        yield from _lines(_table(titles, list(rows)))
    elif form == "tsv":
        yield from _lines("\t".join(row) for row in rows)
    elif form == "csv":
        yield from _lines(_csv_line(row) for row in chain([titles], rows))
    else:
        objects = (json.dumps(dict(zip(titles, row, strict=True)), ensure_ascii=False) for row in rows)
        first = next(objects, None)
        yield b"[]\n" if first is None else b"[\n" + first.encode()
        yield from (b",\n" + one.encode() for one in objects)
        yield b"" if first is None else b"\n]\n"


def _lines(texts: Iterable[str]) -> Iterator[bytes]:
    some: list[str] = []
    for text in texts:
        some.append(text + "\n")
        if len(some) == LINES_PER_CHUNK:
            yield "".join(some).encode()
            some = []
    yield "".join(some).encode()


def _csv_line(row: Row | Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(row)
    return buffer.getvalue()


def _table(titles: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        yield "no addresses"
        return
    shown = [tuple(map(visible, row)) for row in rows]
    heads = tuple(map(visible, titles))
    sizes = [max(map(width, column)) for column in zip(heads, *shown, strict=True)]
    for row in (heads, tuple("-" * size for size in sizes), *shown):
        cells = (cell + " " * (size - width(cell)) for cell, size in zip(row, sizes, strict=True))
        yield "  ".join(cells).rstrip()
