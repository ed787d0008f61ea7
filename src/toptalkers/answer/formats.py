"""Formats of an answer: `tsv`, `csv`, `json`, `ndjson` for programs, `table` for people; and of its tally.

All but `table` are written while the answer is read, so it may be larger than memory. `tsv` is the answer as the
engines print it; in `csv`, `json` and `ndjson` the columns have names (`Lines.names`). What is shown beside the sums is
computed here, from the sums; no engine adds it up.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from toptalkers.answer.answer import Answer, Row, Tally
from toptalkers.answer.presentation import Extra, Format, additive
from toptalkers.answer.statement import quality_object
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.protocols import PROTOCOL_NAMES
from toptalkers.flowlog.reasons import WORDS
from toptalkers.question.clauses import CLAUSES, Metric
from toptalkers.question.conversations import HOWS, PAIR_SUMS
from toptalkers.question.digest import FIXED_CLAUSES, is_digest
from toptalkers.question.key import PROTOCOL, Kind, Value
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query
from toptalkers.question.times import format_seconds
from toptalkers.visible import visible, width

Cell = TypeVar("Cell")

UNKNOWN = HOWS[-1]
"""The rule `?`: nothing tells which side is the server."""


def format_answer(answer: Answer, format: Format = "tsv", show: Sequence[Extra] = ()) -> Iterator[bytes]:  # noqa: A002 - the option's name
    """Format an answer as chunks of UTF-8. Reads the answer's chunks.

    Args:
        answer: the answer.
        format: the format.
        show: what is shown beside the sums; `Presentation.check` says whether the question allows it.

    Raises:
        ToptalkersError: a line of the answer is wrong; or shares are to be shown, and a total is not known.

    """
    match format:
        case "tsv":
            yield from map(answer.beside.appended, answer.chunks) if answer.beside else answer.chunks
        case "csv":
            yield from _format_csv(answer, show)
        case "json":
            yield from _format_json(answer, show)
        case "ndjson":
            names = _names(answer, show)
            for values in _values(answer, show):
                yield _object(names, values) + b"\n"
        case "table":
            yield _format_table(answer, show).encode()


def format_tally(tally: Tally) -> str:
    """Format a tally: one line, and one more for each reason why records were skipped."""
    skipped = tally.records_read - tally.counted
    files = f"{tally.files_read:,} file{'' if tally.files_read == 1 else 's'}"
    lines = [f"{tally.records_read:,} records read from {files}: {tally.counted:,} counted, {skipped:,} skipped"]
    lines += [f"  {number:>12,}  {WORDS[reason]}" for reason, number in _in_order(tally)]
    if tally.files_unreadable:
        lines.append(f"  {tally.files_unreadable:,} left out (see above)")
    return "\n".join(lines)


def describe_query(query: Query) -> str:
    """Format a question as one line."""
    clauses = [(clause, value) for clause, value in query.clauses() if clause.describe]
    if is_digest(query):
        clauses = [(clause, value) for clause, value in clauses if clause.name not in FIXED_CLAUSES]
    words = [clause.describe(value) for clause, value in clauses if clause.describe]
    return ", ".join(filter(None, ["digest" if is_digest(query) else "", *words]))


def _in_order(tally: Tally) -> list[tuple[str, int]]:
    return [(reason, tally.skipped[reason]) for reason in WORDS if tally.skipped.get(reason)]


def _object(names: Sequence[str], values: Sequence[object]) -> bytes:
    return json.dumps(dict(zip(names, values, strict=True))).encode()


def _rows(answer: Answer) -> Iterator[Row]:
    try:
        yield from answer.rows()
    except ValueError as error:
        raise ToptalkersError(f"the answer has a wrong line: {error}") from error


class _Derived(NamedTuple):
    """A column that is derived from the sums of its row.

    Attributes:
        name: its name in CSV and JSON.
        title: its title in a table.
        metric: what it is derived from.
        is_share: whether it is a share, in percent; else it is a rate.
        total: what the metric adds up to, for a share; None if that is not known.

    """

    name: str
    title: str
    metric: Metric
    is_share: bool
    total: int | None

    def value(self, query: Query, sums: Sequence[int]) -> float:
        """The percentage to six decimals, or the rate per second to three."""
        values = dict(zip(query.lines.sums, sums, strict=True))
        if not self.is_share:
            return round(values[self.metric] / max(1, values["last"] - values["first"]), 3)
        if self.total is None:
            raise ToptalkersError(
                f"--show shares: it is not known what all {self.metric} add up to, because the run's log is missing",
                hint="without --show shares the answer can be written",
            )
        return round(100 * values[self.metric] / max(1, self.total), 6)


def _derived(query: Query, show: Sequence[Extra], totals: Mapping[str, int]) -> list[_Derived]:
    """The columns that are shown beside the sums, after them: for each metric that adds up, in the order of `show`."""
    return [
        _Derived(f"{metric}_percent", f"% of {metric}", metric, True, totals.get(metric))
        if extra == "shares"
        else _Derived(f"{metric}_per_second", f"{metric}/s", metric, False, None)
        for metric in additive(query)
        for extra in show
    ]


def _names(answer: Answer, show: Sequence[Extra]) -> tuple[str, ...]:
    query, beside = answer.query, answer.beside.names if answer.beside else ()
    return ("rank", *query.lines.names, *(column.name for column in _derived(query, show, {})), *beside)


def _values(answer: Answer, show: Sequence[Extra]) -> Iterator[tuple[Value | float, ...]]:
    """The values of each row, as CSV and JSON have them, in the order of `_names`."""
    query = answer.query
    derived = _derived(query, show, answer.totals)
    are_numbers = additive(query) == query.metric
    beside = answer.beside.labels if answer.beside else _no_labels
    for rank, key, sums, how in _rows(answer):
        printed = sums if are_numbers else _printed(query, sums)
        hows = (how,) if query.pairs else ()
        yield (rank, *key, *printed, *hows, *[column.value(query, sums) for column in derived], *beside(key))


def _no_labels(_: Sequence[Value]) -> Sequence[str]:
    return ()


def _printed(query: Query, sums: Sequence[int]) -> list[Value]:
    return [
        format_seconds(one) if name in TIME_METRICS else one for name, one in zip(query.lines.sums, sums, strict=True)
    ]


def _sums_of_table(query: Query) -> list[tuple[int, str]]:
    """Which sums a table shows, and their titles. Of pairs it shows both directions of the metric that ranks only."""
    names = query.lines.sums
    if not query.pairs:
        return list(enumerate(names))
    first = query.metric[0]
    titles = {first: first, f"{first}_to_server": "to server", f"{first}_to_client": "to client"}
    titles |= {name: name for name in PAIR_SUMS[:3] if name != first}
    return [(names.index(name), title) for name, title in titles.items()]


def _format_csv(answer: Answer, show: Sequence[Extra]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_names(answer, show))
    for values in _values(answer, show):
        writer.writerow(values)
        if buffer.tell() > 1 << 20:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _format_json(answer: Answer, show: Sequence[Extra]) -> Iterator[bytes]:
    query, tally = answer.query, answer.tally
    texts = query.texts()
    told = [clause for clause in CLAUSES if clause.describe and (clause.name in texts or not clause.is_quiet)]
    question = {clause.name: texts.get(clause.name) for clause in told} | {"top": answer.top}
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
    names = _names(answer, show)
    for values in _values(answer, show):
        yield between + _object(names, values)
        between = b",\n  "
    yield b'\n ],\n "quality": ' + json.dumps(quality_object(answer)).encode() + b"\n}\n"


def _format_table(answer: Answer, show: Sequence[Extra]) -> str:
    """A table for people. It never cuts or wraps an address, whatever the terminal's width."""
    query, columns = answer.query, answer.query.lines.columns
    derived = _derived(query, show, answer.totals)
    shown = _sums_of_table(query)
    hows = ("how",) if query.pairs else ()
    at = answer.beside.at if answer.beside else ()
    titles = (*_between([column.title for column in columns], at, ["name"] * len(at)), *(title for _, title in shown))
    head = ("#", *titles, *hows, *(column.title for column in derived))
    rows = [
        (
            str(rank),
            *_between(
                [_shown(column.kind, value) for column, value in zip(columns, key, strict=True)],
                at,
                _shown_names(answer, key),
            ),
            *(_shown_sum(printed[at]) for printed in [_printed(query, sums)] for at, _ in shown),
            *([how] if query.pairs else []),
            *(_shown_derived(column.value(query, sums), column) for column in derived),
        )
        for rank, key, sums, how in _rows(answer)
    ]
    if not rows:
        return "no talkers\n"
    are_left = [not column.kind.is_number or column.kind is PROTOCOL for column in columns]
    is_left = [False, *_between(are_left, at, [True] * len(at))]
    is_left += [title == "how" for title in head[len(is_left) :]]
    widths = [max(map(width, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * size for size in widths]
    lines = [
        "  ".join(_padded(cell, size, left) for cell, size, left in zip(cells, widths, is_left, strict=True))
        for cells in (head, rule, *rows)
    ]
    if query.pairs:
        lines = [line.rstrip() for line in lines]  # `how` is on the left, and often the last
        if any(row[1 + len(titles)] == UNKNOWN for row in rows):
            lines.append(f"{UNKNOWN}: nothing tells which side is the server")
    return "".join(line + "\n" for line in lines)


def _between(cells: Sequence[Cell], at: Sequence[int], names: Sequence[Cell]) -> list[Cell]:
    """The cells of a key, and after each of the columns `at` its name."""
    beside = dict(zip(at, names, strict=True))
    return [one for number, cell in enumerate(cells) for one in (cell, *([beside[number]] if number in beside else []))]


def _shown_names(answer: Answer, key: Sequence[Value]) -> list[str]:
    """The names of a row's addresses, for people; nothing for an address that is called by itself."""
    if answer.beside is None:
        return []
    labels = zip(answer.beside.at, answer.beside.labels(key), strict=True)
    return ["" if label == key[number] else visible(label) for number, label in labels]


def _shown_sum(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _shown(kind: Kind, value: Value) -> str:
    """A value of a key for people: protocols by name, and every character visible."""
    if kind is PROTOCOL and isinstance(value, int):
        return PROTOCOL_NAMES.get(value, str(value))
    return visible(str(value))


def _shown_derived(value: float, column: _Derived) -> str:
    if column.is_share:
        return f"{value:.1f}%"
    return f"{value:,.1f}" if value >= 10 else f"{value:.3f}"


def _padded(cell: str, size: int, is_left: bool) -> str:
    room = " " * (size - width(cell))
    return cell + room if is_left else room + cell
