"""What changed between two answers to one question: talkers that are new or gone, and those that grew or shrank.

Memory holds the talkers of the answer before (about 200 bytes each), and the changes that are shown.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import nsmallest
from typing import Literal, NamedTuple, get_args

from toptalkers.answer.presentation import Format
from toptalkers.answer.saved import Talkers, twice, unmarked
from toptalkers.errors import UsageError
from toptalkers.flowlog.protocols import PROTOCOL_NAMES
from toptalkers.question.clauses import CLAUSES, parse_list
from toptalkers.question.conversations import PAIR_COLUMNS
from toptalkers.question.key import parse_part
from toptalkers.visible import quoted, visible, width

Kind = Literal["new", "gone", "grown", "shrunk"]
"""What happened to a talker."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_NOT_COMPARED = ("metric", "since", "until", "log_format")
"""Clauses in which the questions may differ: which sum is compared is looked at by its name."""


class Change(NamedTuple):
    """What happened to a talker: its key, tab-separated, and its sums; None where it was not seen."""

    kind: Kind
    key: str
    before: int | None
    after: int | None

    @property
    def factor(self) -> float | None:
        """By which it grew, to three decimals; below 1 if it shrank. None for new ones and for those gone."""
        return round(self.after / self.before, 3) if self.before and self.after is not None else None

    @property
    def order(self) -> tuple[int, str]:
        """The largest first, by the larger one of both sums, then by the key."""
        return -max(self.before or 0, self.after or 0), self.key


@dataclass(frozen=True)
class Diff:
    """The difference of two answers.

    Attributes:
        columns: the names of the key's columns.
        metric: the sum that was compared.
        changes: what happened, the largest first; not more than were asked for.
        counts: how many talkers of each kind there are in all.
        before: how many talkers the answer before has.
        after: how many talkers the answer after has.

    """

    columns: tuple[str, ...]
    metric: str
    changes: Sequence[Change]
    counts: Counter[Kind] = field(default_factory=Counter)
    before: int = 0
    after: int = 0

    @property
    def summary(self) -> str:
        """The numbers, as one line."""
        found = ", ".join(f"{self.counts[kind]:,} {kind}" for kind in KINDS)
        return f"{self.before:,} talkers before, {self.after:,} after: {found}"


def parse_factor(text: str) -> Fraction:
    """Read a factor above 1; UsageError for anything else."""
    try:
        factor = Fraction(text) if len(text) <= 20 and "/" not in text and "e" not in text.lower() else Fraction(0)
    except ValueError:
        factor = Fraction(0)
    if factor <= 1:
        raise UsageError(f"--factor: {quoted(text)} is not a number above 1", hint="2 is twice as much, 1.5 half again")
    return factor


def parse_kinds(texts: Sequence[str]) -> frozenset[Kind]:
    """Read the words of `--fail-on`, of which `any` means all; UsageError for an unknown word."""
    words = {one for text in texts for one in parse_list("--fail-on", (*KINDS, "any"), text)}
    return frozenset(KINDS if "any" in words else (kind for kind in KINDS if kind in words))


def check_alike(before: Talkers, after: Talkers) -> None:
    """Check that two answers are to one question, apart from its time.

    Raises:
        UsageError: they are not; the message names the clause.

    """
    one, other = before.query, after.query
    are_pairs = [side.columns == PAIR_COLUMNS for side in (before, after)]
    if are_pairs[0] != are_pairs[1]:
        raise _different(before, after, "--pairs", ["yes" if is_pair else "no" for is_pair in are_pairs])
    if one and other:
        for clause in CLAUSES:
            texts = [query.texts().get(clause.name, clause.default or "not given") for query in (one, other)]
            if clause.name not in _NOT_COMPARED and texts[0] != texts[1]:
                raise _different(before, after, clause.option, texts)
    if before.columns != after.columns:
        raise _different(before, after, "--by", [",".join(side.columns) for side in (before, after)])
    if before.metric != after.metric:
        raise _different(before, after, "--metric", [before.metric, after.metric])


def _different(before: Talkers, after: Talkers, option: str, values: Sequence[str]) -> UsageError:
    return UsageError(
        f"these are answers to different questions: {option} is {values[0]} in {before.name}, {values[1]} in"
        f" {after.name}",
        hint="ask both with --pairs, or both without" if option == "--pairs" else f"ask both with the same {option}",
    )


def compare(before: Talkers, after: Talkers, *, factor: Fraction, least: int = 0, top: int = 0) -> Diff:
    """Compare two answers. A name with `~`, of another time, is the same name.

    Args:
        before: the first answer; memory holds its talkers.
        after: the second answer, which is read once.
        factor: a talker that has this many times as much has grown; the other way round, it has shrunk.
        least: leave out talkers with less than this on both sides.
        top: how many changes to return, 0 for all.

    Raises:
        UsageError: these are answers to different questions.
        ToptalkersError: an answer is damaged, or has a talker twice.

    """
    check_alike(before, after)
    before, after = unmarked(before), unmarked(after)
    known: dict[str, int] = {}
    for key, value in before.rows:
        if key in known:
            raise twice(before.name, key)
        known[key] = value
    numbers = [len(known), 0]
    counts: Counter[Kind] = Counter()

    def changes() -> Iterator[Change]:
        for key, value in after.rows:
            numbers[1] += 1
            old = known.pop(key, None)
            if old is None:
                if value >= least:
                    yield Change("new", key, None, value)
            elif max(old, value) >= least and old != value:
                if value * factor.denominator >= old * factor.numerator:
                    yield Change("grown", key, old, value)
                elif old * factor.denominator >= value * factor.numerator:
                    yield Change("shrunk", key, old, value)
        for key, value in known.items():
            if value >= least:
                yield Change("gone", key, value, None)

    def counted() -> Iterator[Change]:
        for one in changes():
            counts[one.kind] += 1
            yield one

    def by_order(one: Change) -> tuple[int, str]:
        return one.order

    found = nsmallest(top, counted(), key=by_order) if top else sorted(counted(), key=by_order)
    return Diff(before.columns, before.metric, found, counts, *numbers)


def format_diff(diff: Diff, format: Format) -> Iterator[bytes]:  # noqa: A002 - the option's name
    """Format a difference as chunks of UTF-8: the change, the key, the sums before and after, and the factor."""
    names = ("change", *diff.columns, "before", "after", "factor")
    match format:
        case "table":
            yield _format_table(diff, names).encode()
        case "tsv":
            for one in diff.changes:
                yield "\t".join(_texts(one)).encode() + b"\n"
        case "csv":
            yield _csv_line(names)
            for one in diff.changes:
                yield _csv_line(_texts(one))
        case "ndjson":
            are_numbers = [*map(_is_number, diff.columns)]
            for one in diff.changes:
                yield _object(names, one, are_numbers) + b"\n"
        case "json":
            head = {"metric": diff.metric, "talkers_before": diff.before, "talkers_after": diff.after}
            content = {**head, "counts": {kind: diff.counts[kind] for kind in KINDS}}
            yield json.dumps(content, indent=1).removesuffix("\n}").encode() + b',\n "changes": ['
            are_numbers = [*map(_is_number, diff.columns)]
            for number, one in enumerate(diff.changes):
                yield (b",\n  " if number else b"\n  ") + _object(names, one, are_numbers)
            yield b"\n ]\n}\n"


def _texts(one: Change) -> list[str]:
    """The values of a line; an empty text where there is none."""
    numbers = [one.before, one.after, one.factor]
    return [one.kind, *one.key.split("\t"), *("" if number is None else str(number) for number in numbers)]


def _object(names: Sequence[str], one: Change, are_numbers: Sequence[bool]) -> bytes:
    key = [
        int(text) if is_number and text.isdecimal() and (text == "0" or text[0] != "0") else text
        for text, is_number in zip(one.key.split("\t"), are_numbers, strict=True)
    ]
    return json.dumps(dict(zip(names, (one.kind, *key, one.before, one.after, one.factor), strict=True))).encode()


def _is_number(column: str) -> bool:
    """Whether the values of a column are numbers in JSON, by its name in an answer."""
    if column == "port":
        return True
    try:
        return parse_part(column.removeprefix("by-")).columns[0].kind.is_number
    except UsageError:
        return False


def _csv_line(values: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue().encode()


def _shown(column: str, value: str) -> str:
    """A value of the key for people: protocols by name."""
    if column == "protocol" and value.isdecimal():
        return PROTOCOL_NAMES.get(int(value), value)
    return visible(value)


def _format_table(diff: Diff, names: Sequence[str]) -> str:
    if not diff.changes:
        return "no changes\n"
    head = (*names[:-3], f"{diff.metric} before", "after", "factor")
    rows = [
        (
            one.kind,
            *map(_shown, diff.columns, one.key.split("\t")),
            *("-" if number is None else f"{number:,}" for number in (one.before, one.after)),
            "-" if one.factor is None else f"{one.factor:,.3g}" if one.factor < 10 else f"{one.factor:,.0f}",
        )
        for one in diff.changes
    ]
    widths = [max(map(width, column)) for column in zip(head, *rows, strict=True)]
    lefts = len(head) - 3

    def padded(cells: Sequence[str]) -> str:
        texts = [
            cell + " " * (size - width(cell)) if at < lefts else " " * (size - width(cell)) + cell
            for at, (cell, size) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(texts).rstrip() + "\n"

    return "".join(map(padded, (head, ["-" * size for size in widths], *rows)))
