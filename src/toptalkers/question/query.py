"""What is asked: the one question that every engine understands, parsed and checked in one place.

A `Query` is frozen and complete: whoever holds one need not look at an option again. Its fields are named as
the options are, on the command line and on the mapper's.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal, Self, TypeVar, get_args

from toptalkers.errors import UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, Layout, parse_log_format
from toptalkers.question.key import HIGHEST_PORT
from toptalkers.visible import quoted

Metric = Literal["records", "packets", "bytes"]
Action = Literal["ACCEPT", "REJECT", "ALL"]
Format = Literal["table", "tsv", "csv", "json", "ndjson"]

Choice = TypeVar("Choice", bound=str)

METRICS: tuple[Metric, ...] = get_args(Metric)
ACTIONS: tuple[Action, ...] = get_args(Action)
FORMATS: tuple[Format, ...] = get_args(Format)

PortRanges = tuple[tuple[int, int], ...]
"""Inclusive ranges of ports, ascending, apart from each other."""

ALL_PORTS: PortRanges = ((0, HIGHEST_PORT),)

MOST_TALKERS = 2**63 - 1
"""What the engines count in; more talkers than that there cannot be."""

_NUMBER = re.compile(r"[0-9]{1,19}")
_PORTS_ITEM = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse_ports(text: str) -> PortRanges:
    """Read a port specification: `0-1024`, `22,443,8000-8999`, `all`.

    Raises:
        UsageError: for anything else, a port above 65535, or a range that ends before it begins.

    """
    if text == "all":
        return ALL_PORTS
    hint = "ports are written like 0-1024, 22,443,8000-8999 or all"
    ranges = []
    for item in text.split(","):
        match = _PORTS_ITEM.fullmatch(item)
        if match is None:
            raise UsageError(f"--ports: {quoted(item)} is not a port or a range of ports", hint=hint)
        low, high = int(match[1]), int(match[2] or match[1])
        if max(low, high) > HIGHEST_PORT:
            raise UsageError(f"--ports: {quoted(item)} is above the highest port, {HIGHEST_PORT}", hint=hint)
        if low > high:
            raise UsageError(f"--ports: the range {quoted(item)} ends before it begins", hint=hint)
        ranges.append((low, high))
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def format_ports(ports: PortRanges) -> str:
    """Write ranges of ports as `parse_ports` reads them."""
    if ports == ALL_PORTS:
        return "all"
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ports)


def parse_time(option: str, text: str) -> datetime:
    """Read a point in time, ISO 8601, to the second; without an offset it is UTC.

    Raises:
        UsageError: naming the option, when the text is not one or is finer than a second.

    """
    try:
        time = datetime.fromisoformat(text)
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option}: {quoted(text)} is not a time", hint="times are ISO 8601, in UTC: 2026-11-23T18:00:00Z"
        ) from None
    if time.microsecond:
        raise UsageError(f"{option}: {quoted(text)} is finer than a second", hint="flow logs count in seconds")
    return time


def format_time(time: datetime) -> str:
    """Write a time as `2026-11-23T18:00:00Z`, without a space or a sign that a shell would mind."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def needed_fields(*, metric: Metric, action: Action, timed: bool) -> tuple[str, ...]:
    """The fields that a layout must have for a question to be answerable.

    The log status is looked at where a layout has it, but not needed: a record without data has no addresses
    either, so it is never counted.
    """
    return (
        "srcaddr",
        "dstaddr",
        "dstport",
        *(("action",) if action != "ALL" else ()),
        *(("start",) if timed else ()),
        *((metric,) if metric != "records" else ()),
    )


@dataclass(frozen=True, slots=True)
class Query:
    """The question.

    Attributes:
        metric: what is summed.
        ports: destination ports that count.
        action: the records' action that counts.
        since: records that start at this time or later count; None for no bound.
        until: records that start before this time count; None for no bound.
        log_format: the layout of lines with no header before them; None for the default format.
        top: how many talkers to answer with, 0 for all.
        format: how the answer is written.

    """

    key: ClassVar[tuple[str, ...]] = ("srcaddr", "dstaddr", "dstport")
    """The fields whose values together name a talker. The same for every question, so far."""

    metric: Metric = "records"
    ports: PortRanges = ((0, 1024),)
    action: Action = "ACCEPT"
    since: datetime | None = None
    until: datetime | None = None
    log_format: Layout | None = None
    top: int = 0
    format: Format = "tsv"

    @classmethod
    def parse(
        cls,
        *,
        metric: str = "records",
        ports: str = "0-1024",
        action: str = "ACCEPT",
        since: str | None = None,
        until: str | None = None,
        log_format: str | None = None,
        top: int | str = 0,
        format: str = "tsv",  # noqa: A002 - the option is called so, and keeps its name
    ) -> Self:
        """Make a question from what a user wrote.

        Raises:
            UsageError: one clear line for the first value that is wrong.

        """
        since_time = parse_time("--since", since) if since is not None else None
        until_time = parse_time("--until", until) if until is not None else None
        if since_time and until_time and since_time >= until_time:
            raise UsageError(
                f"--since {format_time(since_time)} is not before --until {format_time(until_time)}",
                hint="records count that start in [since, until)",
            )
        if not _NUMBER.fullmatch(str(top)) or int(top) > MOST_TALKERS:
            raise UsageError(f"--top: {quoted(str(top))} is not a number of talkers", hint="0 asks for all talkers")
        query = cls(
            metric=_one_of("--metric", metric, METRICS),
            ports=parse_ports(ports),
            action=_one_of("--action", action, ACTIONS),
            since=since_time,
            until=until_time,
            log_format=parse_log_format(log_format) if log_format is not None else None,
            top=int(top),
            format=_one_of("--format", format, FORMATS),
        )
        query._require_fields()
        return query

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is summed per key, in order."""
        return (self.metric,)

    @property
    def layout(self) -> Layout:
        """The layout of lines that have no header before them."""
        return self.log_format or DEFAULT_LAYOUT

    @property
    def needed_fields(self) -> tuple[str, ...]:
        """The fields without which a record cannot be counted for this question."""
        return needed_fields(metric=self.metric, action=self.action, timed=bool(self.since or self.until))

    def mapper_arguments(self) -> list[str]:
        """What `count_flows.py` needs to know, as its arguments: no spaces, nothing for a shell to expand."""
        arguments = ["--metric", self.metric, "--ports", format_ports(self.ports), "--action", self.action]
        if self.since:
            arguments += ["--since", format_time(self.since)]
        if self.until:
            arguments += ["--until", format_time(self.until)]
        if self.log_format:
            arguments += ["--log-format", ",".join(self.log_format.columns)]
        return arguments

    def _require_fields(self) -> None:
        for field in self.needed_fields:
            if field not in self.layout:
                hint = "--action ALL counts records of any action" if field == "action" else None
                raise UsageError(
                    f"--log-format: the question needs the field {field!r}, which the format lacks", hint=hint
                )


def _one_of(option: str, text: str, choices: tuple[Choice, ...]) -> Choice:
    for choice in choices:
        if choice == text:
            return choice
    raise UsageError(f"{option}: {quoted(text)} is not one of {', '.join(choices)}")
