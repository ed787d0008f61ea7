"""The question that every engine answers, parsed and checked in one place.

Its attributes are the clauses of `clauses.py`, with the names of the options of the command line and of the mapper. How
an answer is shown is not part of it (`answer/presentation.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from toptalkers.errors import UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, Layout
from toptalkers.question.clauses import CLAUSES, Action, Clause, Metric, PortRanges, Script, format_time
from toptalkers.question.key import Lines, lines_of


@dataclass(frozen=True, slots=True)
class Query:
    """The question.

    Attributes:
        metric: what is summed.
        ports: the destination ports that count.
        action: the action of the records that count.
        since: the earliest start of the records that count; None for no bound.
        until: the first start that no longer counts; None for no bound.
        log_format: the layout of lines without a header; None for the default format.

    """

    key: ClassVar[tuple[str, ...]] = ("srcaddr", "dstaddr", "dstport")
    """The fields that name a talker: so far, the same for every question."""

    metric: Metric = "records"
    ports: PortRanges = ((0, 1024),)
    action: Action = "ACCEPT"
    since: datetime | None = None
    until: datetime | None = None
    log_format: Layout | None = None

    @classmethod
    def parse(cls, **texts: str | None) -> Self:
        """Make a question from a user's texts by the names of the clauses; None, or no text, for the default.

        Raises:
            UsageError: a value is wrong, or two contradict each other.
            TypeError: there is no clause of that name.

        """
        if unknown := texts.keys() - {clause.name for clause in CLAUSES}:
            raise TypeError(f"a question has no {min(unknown)!r}")
        query = cls(**{clause.name: clause.value(texts.get(clause.name)) for clause in CLAUSES})
        query._check()
        return query

    def clauses(self) -> Iterator[tuple[Clause, Any]]:
        """Yield each clause that is set, with its value."""
        for clause in CLAUSES:
            value = getattr(self, clause.name)
            if value is not None:
                yield clause, value

    def texts(self) -> dict[str, str]:
        """The text of each clause that is set, as `parse` reads it back."""
        return {clause.name: clause.format(value) for clause, value in self.clauses()}

    def mapper_arguments(self) -> list[str]:
        """The arguments of `count_flows.py`, without spaces or signs that a shell or Hadoop expands."""
        return self._arguments("mapper")

    def filter_arguments(self) -> list[str]:
        """The arguments of `port_filter.py`, without `--top`."""
        return self._arguments("port filter")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The sums per key, in order."""
        return (self.metric,)

    @property
    def lines(self) -> Lines:
        """The lines of the answer."""
        return lines_of(self.key, len(self.metrics))

    @property
    def layout(self) -> Layout:
        """The layout of lines without a header."""
        return self.log_format or DEFAULT_LAYOUT

    @property
    def needed_fields(self) -> tuple[str, ...]:
        """The fields of the key, of the conditions and of the sums.

        The log status is not needed: a record without data has no addresses either, so it never counts.
        """
        conditions = [field for clause, value in self.clauses() for field in clause.needs(value)]
        sums = [metric for metric in self.metrics if metric != "records"]
        return tuple(dict.fromkeys((*self.key, *conditions, *sums)))

    def _arguments(self, script: Script) -> list[str]:
        used = ((clause, value) for clause, value in self.clauses() if script in clause.scripts)
        return [word for clause, value in used for word in (clause.option, clause.word(value))]

    def _check(self) -> None:
        """Check clauses against each other."""
        if self.since and self.until and self.since >= self.until:
            raise UsageError(
                f"--since {format_time(self.since)} is not before --until {format_time(self.until)}",
                hint="records count that start in [since, until)",
            )
        for field in self.needed_fields:
            if field not in self.layout:
                hint = "--action ALL counts records of any action" if field == "action" else None
                raise UsageError(
                    f"--log-format: the question needs the field {field!r}, which the format lacks", hint=hint
                )
