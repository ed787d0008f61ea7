"""How an answer is presented: how many of its lines, and in which format."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self, get_args

from toptalkers.errors import UsageError
from toptalkers.question.clauses import Clause, parse_choice
from toptalkers.visible import quoted

Format = Literal["table", "tsv", "csv", "json", "ndjson"]

FORMATS: tuple[Format, ...] = get_args(Format)

MOST_TALKERS = 2**63 - 1
"""The largest number of the engines."""

_NUMBER = re.compile(r"[0-9]{1,19}")


def parse_top(text: str) -> int:
    """Read a number of talkers, 0 for all; UsageError for anything else."""
    if not _NUMBER.fullmatch(text) or int(text) > MOST_TALKERS:
        raise UsageError(f"--top: {quoted(text)} is not a number of talkers", hint="0 asks for all talkers")
    return int(text)


TOP = Clause(
    name="top",
    help="How many talkers, 0 for all.",
    parse=parse_top,
    default="0",
    form="N",
    describe=None,
    scripts=("port filter",),
)

FORMAT = Clause(
    name="format",
    help="How the answer is written.",
    parse=partial(parse_choice, "--format", FORMATS),
    default="tsv",
    choices=FORMATS,
    describe=None,
    scripts=(),
)


@dataclass(frozen=True, slots=True)
class Presentation:
    """How an answer is presented.

    Attributes:
        top: how many talkers are shown, 0 for all.
        format: how the answer is written.

    """

    top: int = 0
    format: Format = "tsv"

    @classmethod
    def parse(cls, *, top: str | None = None, format: str | None = None) -> Self:  # noqa: A002 - the option's name
        """Read a user's texts; None for the default. UsageError if one is wrong."""
        return cls(TOP.value(top), FORMAT.value(format))


def fewer(top: int, kept: int) -> int:
    """How many lines to show if `top` are asked for and `kept` were kept; 0 for all."""
    return min((number for number in (top, kept) if number), default=0)
