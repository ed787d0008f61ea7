"""What is asked: the one question that every engine answers, parsed and checked in one place.

A `Query` is frozen and complete. Its attributes are the clauses of `clauses.py`, and have the names of the options of
the command line and of the mapper. How much of the answer is shown, and how it is written, is no part of it.
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
        since: records count that start at this time or later; None for no bound.
        until: records count that start before this time; None for no bound.
        log_format: the layout of lines with no header before them; None for the default format.

    """

    key: ClassVar[tuple[str, ...]] = ("srcaddr", "dstaddr", "dstport")
    """The fields whose values together name a talker. The same for every question, so far."""

    metric: Metric = "records"
    ports: PortRanges = ((0, 1024),)
    action: Action = "ACCEPT"
    since: datetime | None = None
    until: datetime | None = None
    log_format: Layout | None = None

    @classmethod
    def parse(cls, **texts: str | None) -> Self:
        """Make a question from a user's texts, by the names of the clauses.

        Args:
            texts: what was written for each clause; None, or no text at all, for its default.

        Raises:
            UsageError: the first value that is wrong, as one line.
            TypeError: there is no clause of that name.

        """
        if unknown := texts.keys() - {clause.name for clause in CLAUSES}:
            raise TypeError(f"a question has no {min(unknown)!r}")
        query = cls(**{clause.name: clause.value(texts.get(clause.name)) for clause in CLAUSES})
        query._check()
        return query

    def clauses(self) -> Iterator[tuple[Clause, Any]]:
        """Give each clause that is set, with its value."""
        for clause in CLAUSES:
            value = getattr(self, clause.name)
            if value is not None:
                yield clause, value

    def texts(self) -> dict[str, str]:
        """The text of each clause that is set, as `parse` reads it back."""
        return {clause.name: clause.format(value) for clause, value in self.clauses()}

    def mapper_arguments(self) -> list[str]:
        """The arguments of `count_flows.py`: no spaces, and nothing that a shell or Hadoop expands."""
        return self._arguments("mapper")

    def filter_arguments(self) -> list[str]:
        """The arguments of `port_filter.py` that depend on the question."""
        return self._arguments("port filter")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is summed per key, in order."""
        return (self.metric,)

    @property
    def lines(self) -> Lines:
        """The lines of the answer."""
        return lines_of(self.key, len(self.metrics))

    @property
    def layout(self) -> Layout:
        """The layout of lines that have no header before them."""
        return self.log_format or DEFAULT_LAYOUT

    @property
    def needed_fields(self) -> tuple[str, ...]:
        """The fields without which a record cannot be counted: of the key, of the conditions, of the sums.

        The log status is read where a layout has it, but is not needed: a record without data has no addresses
        either, so it is never counted.
        """
        conditions = [field for clause, value in self.clauses() for field in clause.needs(value)]
        sums = [metric for metric in self.metrics if metric != "records"]
        return tuple(dict.fromkeys((*self.key, *conditions, *sums)))

    def _arguments(self, script: Script) -> list[str]:
        used = ((clause, value) for clause, value in self.clauses() if script in clause.scripts)
        return [word for clause, value in used for word in (clause.option, clause.word(value))]

    def _check(self) -> None:
        """Check what concerns more than one clause."""
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
