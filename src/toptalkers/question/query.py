"""The question that every engine answers, parsed and checked in one place.

Its attributes are the clauses of `clauses.py`, with the names of the options of the command line and of the mapper. How
an answer is shown is not part of it (`answer/presentation.py`).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from toptalkers.errors import UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, Layout
from toptalkers.question.clauses import CLAUSES, PAIRS_DEFAULTS, Action, Address, Clause, Count, Metric, Script
from toptalkers.question.conversations import why_no_part
from toptalkers.question.key import RECIPE_KEY, SERVICE_PARTS, parse_part
from toptalkers.question.lines import TIME_METRICS, Lines, lines_of
from toptalkers.question.named import is_named
from toptalkers.question.ranges import Ranges
from toptalkers.question.times import format_time
from toptalkers.question.where import Where


@dataclass(frozen=True, slots=True)
class Query:
    """The question.

    Attributes:
        by: the words of the key's parts (`question/key.py`).
        metric: what is summed; the first one ranks. With `pairs` there is one, which ranks, and all three are summed.
        where: an expression that holds for the records that count; None for all.
        ports: the destination ports that count; with `pairs`, the servers' ports.
        action: the action of the records that count.
        since: the earliest start of the records that count; None for no bound.
        until: the first start that no longer counts; None for no bound.
        log_format: the layout of lines without a header; None for the default format.
        count: whether all records are added up, or each conversation is counted once.
        pairs: whether the answer has a line per client, server and port, with both directions.
        address: which addresses are those of a conversation behind NAT; None for the default.

    """

    by: tuple[str, ...] = RECIPE_KEY
    metric: tuple[Metric, ...] = ("records",)
    where: Where | None = None
    ports: Ranges = ((0, 1024),)
    action: Action = "ACCEPT"
    since: datetime | None = None
    until: datetime | None = None
    log_format: Layout | None = None
    count: Count = "records"
    pairs: bool = False
    address: Address | None = None

    @classmethod
    def parse(cls, **texts: str | None) -> Self:
        """Make a question from a user's texts by the names of the clauses; None, or no text, for the default.

        With `pairs`, some defaults are others (`PAIRS_DEFAULTS`).

        Raises:
            UsageError: a value is wrong, or two contradict each other.
            TypeError: there is no clause of that name.

        """
        if unknown := texts.keys() - {clause.name for clause in CLAUSES}:
            raise TypeError(f"a question has no {min(unknown)!r}")
        values = {clause.name: clause.value(texts.get(clause.name)) for clause in CLAUSES}
        if values["pairs"]:
            for clause in CLAUSES:
                if clause.name in PAIRS_DEFAULTS and texts.get(clause.name) is None:
                    values[clause.name] = clause.parse(PAIRS_DEFAULTS[clause.name])
        query = cls(**values)
        query._check()
        return query

    def clauses(self) -> Iterator[tuple[Clause, Any]]:
        """Yield each clause that is set, with its value; a quiet one only if it differs from its default."""
        for clause in CLAUSES:
            value = getattr(self, clause.name)
            if value is not None and not (clause.is_quiet and value == clause.value(None)):
                yield clause, value

    def texts(self) -> dict[str, str]:
        """The text of each clause that is set, as `parse` reads it back; without a key, if `pairs` has its own."""
        return {
            clause.name: clause.format(value)
            for clause, value in self.clauses()
            if not (self.pairs and clause.name == "by" and not self.is_named)
        }

    def mapper_arguments(self) -> list[str]:
        """The arguments of `count_flows.py`, without spaces or signs that a shell or Hadoop expands."""
        return self._arguments("mapper")

    def reducer_arguments(self) -> list[str]:
        """The arguments of `sum_counts.py`."""
        return self._arguments("reducer")

    def filter_arguments(self) -> list[str]:
        """The arguments of `port_filter.py`, without `--top`."""
        return self._arguments("port filter")

    def conversation_arguments(self) -> list[str]:
        """The arguments of `conversations.py`: `--by`, `--metric` and `--ports` always, the others if they are set."""
        return self._arguments("conversations")

    @property
    def is_named(self) -> bool:
        """Whether the key has parts that are joined after counting (`question/named.py`)."""
        return any(map(is_named, self.by))

    @property
    def joins_records(self) -> bool:
        """Whether records are joined to conversations (`question/conversations.py`)."""
        return self.count == "once" or self.pairs

    @property
    def uses_packet_addresses(self) -> bool:
        """Whether `pkt-srcaddr` and `pkt-dstaddr`, where they are logged, are the addresses of a conversation."""
        return self.joins_records and self.address != "eni"

    @property
    def is_recipe(self) -> bool:
        """Whether the key is the recipe's, whose three parts must all have a value."""
        return self.by == RECIPE_KEY and not self.pairs

    @property
    def key_columns(self) -> int:
        """How many columns, separated by tabs, the key has in a line: the recipe's has one, with colons."""
        return 1 if self.is_recipe else len(self.lines.columns)

    @property
    def line_columns(self) -> int:
        """How many columns, separated by tabs, a line of the answer has."""
        return self.key_columns + len(self.lines.sums) + self.pairs

    @property
    def rank_column(self) -> int:
        """The number of the column that ranks, from 1: the first sum; with `pairs`, that of the metric."""
        return self.key_columns + 1 + self.lines.sums.index(self.metric[0])

    @property
    def lines(self) -> Lines:
        """The lines of the answer."""
        return lines_of(self.by, self.metric, pairs=self.pairs)

    @property
    def layout(self) -> Layout:
        """The layout of lines without a header."""
        return self.log_format or DEFAULT_LAYOUT

    @property
    def needed_fields(self) -> tuple[str, ...]:
        """The fields of the recipe's key, of the conditions and of the sums. A layout without one cannot be counted.

        The log status is not needed: a record without data has no addresses either, so it never counts.
        """
        return tuple(dict.fromkeys(field for clause, value in self.clauses() for field in clause.needs(value)))

    def options_needing(self, fields: Collection[str]) -> list[str]:
        """The options that were given another value than their default, and need one of these fields.

        With the value, if it is one of a few: `--count once`.
        """
        return [
            f"{clause.option} {value}" if clause.choices else clause.option
            for clause, value in self.clauses()
            if value != clause.value(None) and set(clause.needs(value)) & set(fields)
        ]

    @property
    def used_fields(self) -> tuple[str, ...]:
        """The needed fields, and those that are taken for `-` where a layout lacks them, such as those of the key."""
        of_key = [field for word in self.by for field in parse_part(word).fields]
        of_service = ["tcp-flags"] if self.where and set(self.where.fields) & set(SERVICE_PARTS) else []
        return tuple(dict.fromkeys((*self.needed_fields, *of_key, *of_service)))

    def _arguments(self, script: Script) -> list[str]:
        left_out: dict[str, tuple[str, ...]] = {} if script == "conversations" else {"by": RECIPE_KEY}
        if script in ("reducer", "port filter"):
            left_out["metric"] = ("records",)
        used = [
            (clause, value)
            for clause, value in self.clauses()
            if script in clause.scripts and value != left_out.get(clause.name)
        ]
        return [word for clause, value in used for word in (clause.option, clause.word(value))]

    def _check(self) -> None:
        """Check clauses against each other."""
        if self.since and self.until and self.since >= self.until:
            raise UsageError(
                f"--since {format_time(self.since)} is not before --until {format_time(self.until)}",
                hint="records count that start in [since, until)",
            )
        self._check_conversations()
        for field in self.needed_fields:
            if self.log_format is not None and field not in self.log_format:
                hint = "--action ALL counts records of any action" if field == "action" else self._hint_of_plain()
                raise UsageError(
                    f"--log-format: the question needs the field {field!r}, which the format lacks", hint=hint
                )

    def _hint_of_plain(self) -> str | None:
        """What to ask instead if the format lacks only what joining records needs."""
        if not self.joins_records or self.log_format is None:
            return None
        plain = replace(self, count="records", pairs=False, address=None)
        if any(one not in self.log_format for one in plain.needed_fields):
            return None
        return f"without {self._joining} all records are added up, for which the format is enough"

    @property
    def _joining(self) -> str:
        return " and ".join(["--count once"] * (self.count == "once") + ["--pairs"] * self.pairs)

    def _check_conversations(self) -> None:
        """Check what `--count once`, `--pairs` and `--address` do not go with (`docs/conversations.md`)."""
        if not self.joins_records:
            if self.address:
                raise UsageError(
                    f"--address {self.address}: only --count once and --pairs have addresses to choose from",
                    hint="--by pkt-srcaddr,pkt-dstaddr,dstport adds up records by the packets' addresses",
                )
            return
        if self.pairs:
            if self.by != RECIPE_KEY and not all(map(is_named, self.by)):
                raise UsageError(
                    f"--by {','.join(self.by)}: --pairs has a key of its own: client, server, port, protocol",
                    hint="src.name names the client; --count once without --pairs takes any key",
                )
            if len(self.metric) > 1:
                raise UsageError(
                    f"--metric {','.join(self.metric)}: with --pairs it names the one that ranks",
                    hint="bytes, packets and records are shown all the same",
                )
            if self.metric[0] in TIME_METRICS:
                raise UsageError(
                    f"--metric {self.metric[0]}: a line of --pairs has no times",
                    hint="--metric bytes, packets or records ranks; --count once without --pairs has times",
                )
        for word in self.by:
            if not is_named(word) and (why := why_no_part(word)):
                raise UsageError(f"--by {word}: --count once {why[0]}", hint=why[1])
