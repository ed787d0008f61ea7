"""How an answer is presented: how many of its lines, in which format, and with what beside the sums."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self, get_args

from toptalkers.errors import UsageError
from toptalkers.question.clauses import Clause, Metric, parse_choice, parse_list
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query
from toptalkers.visible import quoted

Format = Literal["table", "tsv", "csv", "json", "ndjson"]

FORMATS: tuple[Format, ...] = get_args(Format)

Extra = Literal["shares", "rates"]
"""What can be shown beside a sum: its percentage of all that counted; and the sum per second."""

EXTRAS: tuple[Extra, ...] = get_args(Extra)

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

SHOW = Clause(
    name="show",
    help="Beside each sum: its share of all that counted, in percent (shares); the sum per second between first and"
    " last, which must be among the metrics (rates). Both: shares,rates.",
    parse=partial(parse_list, "--show", EXTRAS),
    format=",".join,
    form="[shares|rates]",
    describe=None,
    scripts=(),
)


@dataclass(frozen=True, slots=True)
class Presentation:
    """How an answer is presented.

    Attributes:
        top: how many talkers are shown, 0 for all.
        format: how the answer is written.
        show: what is shown beside the sums, in the order of the columns.

    """

    top: int = 0
    format: Format = "tsv"
    show: tuple[Extra, ...] = ()

    @classmethod
    def parse(cls, *, top: str | None = None, format: str | None = None, show: str | None = None) -> Self:  # noqa: A002 - the option's name
        """Read a user's texts; None for the default. UsageError if one is wrong, or two contradict each other."""
        one = cls(TOP.value(top), FORMAT.value(format), SHOW.value(show) or ())
        if one.show and one.format == "tsv":
            hint = "--format table, csv, json or ndjson"
            if format is None:
                hint = f"tsv is the default where no terminal reads the answer; name {hint}"
            raise UsageError("--show adds columns, which --format tsv cannot have", hint=hint)
        return one

    def check(self, query: Query) -> None:
        """Check that an answer to a question can be presented in this way.

        Raises:
            UsageError: it lacks the sums that are needed; the message names them.

        """
        metrics = ",".join(query.metric)
        if self.show and not additive(query):
            raise UsageError(
                f"--show {','.join(self.show)}: of the times in --metric {metrics} there are no shares or rates",
                hint=f"name a metric that adds up, such as --metric {metrics},bytes",
            )
        if "rates" in self.show and query.pairs:
            raise UsageError("--show rates: a line of --pairs has no times", hint="--show shares goes with --pairs")
        if "rates" in self.show and (lacking := [one for one in TIME_METRICS if one not in query.metric]):
            raise UsageError(
                f"--show rates needs the times between which the sums were counted; --metric {metrics} lacks"
                f" {' and '.join(lacking)}",
                hint=f"ask with --metric {','.join((metrics, *lacking))}",
            )


def additive(query: Query) -> tuple[Metric, ...]:
    """The metrics of a question that add up: all but times."""
    return tuple(metric for metric in query.metric if metric not in TIME_METRICS)


def fewer(top: int, kept: int) -> int:
    """How many lines to show if `top` are asked for and `kept` were kept; 0 for all."""
    return min((number for number in (top, kept) if number), default=0)
