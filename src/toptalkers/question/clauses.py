"""The clauses of a question: one row per clause.

The options of the command line, the arguments of the mapper and the port filter, the question in `run.json` and in an
answer, the words of a plan and the keys of the cache come from these rows. `Query.parse` checks clauses together.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar, get_args

from toptalkers.errors import UsageError
from toptalkers.flowlog.layout import format_log_format, parse_log_format
from toptalkers.question.conversations import RECORD_KEY, RECORD_NEEDS
from toptalkers.question.key import HIGHEST_PORT, RECIPE_KEY, SERVICE_FIELDS, SERVICE_PARTS, parse_key
from toptalkers.question.ranges import Ranges, merge_ranges
from toptalkers.question.times import format_time, read_time
from toptalkers.question.where import format_program, format_where, parse_program, parse_where
from toptalkers.visible import quoted

Metric = Literal["records", "packets", "bytes", "first", "last"]
Action = Literal["ACCEPT", "REJECT", "ALL"]
Count = Literal["records", "once"]
Address = Literal["eni", "pkt"]

METRICS: tuple[Metric, ...] = get_args(Metric)
ACTIONS: tuple[Action, ...] = get_args(Action)
COUNTS: tuple[Count, ...] = get_args(Count)
ADDRESSES: tuple[Address, ...] = get_args(Address)

Choice = TypeVar("Choice", bound=str)

SUMMED_FIELDS: dict[Metric, str] = {"packets": "packets", "bytes": "bytes", "first": "start", "last": "end"}
"""The field of each metric; `records` has none. Of `first` the least is kept, of `last` the largest."""

ALL_PORTS: Ranges = ((0, HIGHEST_PORT),)

Script = Literal["mapper", "reducer", "port filter", "conversations"]
"""A script that takes clauses as options: `count_flows.py`, `sum_counts.py`, `port_filter.py`, `conversations.py`."""

LONGEST_WORD = 40
"""Of a wrong word, so much is compared with the right ones."""

_PORTS_ITEM = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause: an option of the command line, and an attribute of `Query` or `Presentation`.

    Attributes:
        name: the name of the attribute and of the option.
        help: the help text of the option.
        parse: reads the value from a user's text; raises UsageError, which names the option.
        format: writes a value so that `parse` reads it back.
        default: the text that is parsed if the option is not given; None if the value is None then.
        choices: all texts that `parse` accepts; empty if they cannot be listed.
        form: the placeholder in the help for a value that cannot be listed.
        needs: returns the flow-log fields that a value needs in a record.
        describe: writes a value for people; None for a clause that plans and answers do not show.
        scripts: the scripts that take the clause as an option.
        format_word: writes a value for a script, without spaces or signs that Hadoop expands; None for `format`.
        parse_word: reads what `format_word` wrote; None for `parse`.
        is_flag: whether the option takes no value on the command line; its text is `yes` or `no`.
        is_quiet: whether the clause is left out, wherever a question is written, when it has its default. So what older
            versions wrote and read stays the same, and so do the names that are made from a question.

    """

    name: str
    help: str
    parse: Callable[[str], Any]
    format: Callable[[Any], str] = str
    default: str | None = None
    choices: tuple[str, ...] = ()
    form: str = ""
    needs: Callable[[Any], tuple[str, ...]] = lambda _: ()
    describe: Callable[[Any], str] | None
    scripts: tuple[Script, ...]
    format_word: Callable[[Any], str] | None = None
    parse_word: Callable[[str], Any] | None = None
    is_flag: bool = False
    is_quiet: bool = False

    @property
    def option(self) -> str:
        """The option of the program and of the scripts: `--log-format`."""
        return "--" + self.name.replace("_", "-")

    @property
    def metavar(self) -> str:
        """The placeholder of the value in the help: `[records|packets|bytes]`, `SPEC`; empty for a flag."""
        if self.is_flag:
            return ""
        return f"[{'|'.join(self.choices)}]" if self.choices else self.form

    def value(self, text: str | None) -> Any:
        """The value of a user's text; None for an option that is not given."""
        text = self.default if text is None else text
        return None if text is None else self.parse(text)

    def word(self, value: Any) -> str:
        """A value as a script's argument."""
        return (self.format_word or self.format)(value)

    def text_of(self, word: str) -> str:
        """The user's text of a script's argument; UsageError if a script would not take it."""
        return self.format((self.parse_word or self.parse)(word))


def parse_choice(option: str, choices: tuple[Choice, ...], text: str) -> Choice:
    """Read one of several words; UsageError for any other, which names the option."""
    for choice in choices:
        if choice == text:
            return choice
    from difflib import get_close_matches

    by_case = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(text.casefold()[:LONGEST_WORD], by_case, n=1)
    hint = f"did you mean {by_case[close[0]]!r}?" if close else None
    raise UsageError(f"{option}: {quoted(text)} is not one of {', '.join(choices)}", hint=hint)


def parse_flag(option: str, text: str) -> bool:
    """Read `yes` or `no`; UsageError for anything else, which names the option."""
    return parse_choice(option, ("yes", "no"), text) == "yes"


def parse_list(option: str, choices: tuple[Choice, ...], text: str) -> tuple[Choice, ...]:
    """Read some of several words, separated by commas, in lower or upper case; each may be named once.

    Raises:
        UsageError: a word is unknown, or named twice; the error names the option.

    """
    words = tuple(parse_choice(option, choices, word.strip().lower()) for word in text.split(","))
    for word in words:
        if words.count(word) > 1:
            raise UsageError(f"{option} names {word!r} twice")
    return words


def parse_metrics(text: str) -> tuple[Metric, ...]:
    """Read metrics separated by commas, of which the first ranks; UsageError as `parse_list`."""
    return parse_list("--metric", METRICS, text)


def parse_ports(text: str) -> Ranges:
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
    return merge_ranges(ranges)


def format_ports(ports: Ranges) -> str:
    """Write ranges of ports so that `parse_ports` reads them back."""
    if ports == ALL_PORTS:
        return "all"
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ports)


def parse_time(option: str, text: str) -> datetime:
    """Read a point in time, ISO 8601, to the second; without an offset it is UTC.

    Raises:
        UsageError: the text is not a time, or is finer than a second; the error names the option.

    """
    time = read_time(text)
    if time is None:
        raise UsageError(
            f"{option}: {quoted(text)} is not a time", hint="times are ISO 8601, in UTC: 2026-11-23T18:00:00Z"
        )
    if time.microsecond:
        raise UsageError(f"{option}: {quoted(text)} is finer than a second", hint="flow logs count in seconds")
    return time


def _bound(name: str, help: str) -> Clause:  # noqa: A002 - as in `Clause`
    return Clause(
        name=name,
        help=help,
        parse=partial(parse_time, f"--{name}"),
        format=format_time,
        form="T",
        needs=lambda _: ("start",),
        describe=lambda time: f"{name} {format_time(time)}",
        scripts=("mapper",),
    )


CLAUSES: tuple[Clause, ...] = (
    Clause(
        name="by",
        help="What is counted: parts separated by commas. A part is any field (srcaddr, vpc-id), a network (srcaddr/24,"
        " dstaddr/16/48), a time (hour, day, minute), pair (both directions of two addresses), service-port, side or"
        " client-port. With --names also src.name, dst.sg, src.asg and the like; service needs none. For example:"
        " srcaddr; dstport,protocol; hour,srcaddr/24.",
        parse=parse_key,
        format=",".join,
        default=",".join(RECIPE_KEY),
        form="PARTS",
        needs=lambda key: RECIPE_KEY if key == RECIPE_KEY else RECORD_NEEDS if key == RECORD_KEY else (),
        describe=lambda key: "" if key == RECIPE_KEY else f"by {','.join(key)}",
        scripts=("mapper", "reducer", "port filter", "conversations"),
    ),
    Clause(
        name="metric",
        help="What is summed: records, packets, bytes; first, last (the times seen). Several are separated by commas,"
        " and the first one ranks: bytes,records,last.",
        parse=parse_metrics,
        format=",".join,
        default="records",
        form="METRICS",
        needs=lambda metrics: tuple(SUMMED_FIELDS[metric] for metric in metrics if metric in SUMMED_FIELDS),
        describe=lambda metrics: f"top talkers by {', '.join(metrics)}",
        scripts=("mapper", "reducer", "port filter", "conversations"),
    ),
    Clause(
        name="where",
        help="The records that count: 'src net 10.0.0.0/16 and not dst port 443', 'bytes > 1000000 and proto udp',"
        " 'vpc-id = vpc-0a1b'. --ports and --action hold as well.",
        parse=parse_where,
        format=format_where,
        form="'EXPRESSION'",
        needs=lambda where: tuple(
            field for word in where.fields for field in (SERVICE_FIELDS[:2] if word in SERVICE_PARTS else (word,))
        ),
        describe=lambda where: f"where {where.short}",
        scripts=("mapper",),
        format_word=format_program,
        parse_word=parse_program,
    ),
    Clause(
        name="ports",
        help="The destination ports that count: 0-1024; 22,443,8000-8999; all.",
        parse=parse_ports,
        format=format_ports,
        default="0-1024",
        form="SPEC",
        needs=lambda ports: () if ports == ALL_PORTS else ("dstport",),
        describe=lambda ports: "all ports" if ports == ALL_PORTS else f"ports {format_ports(ports)}",
        scripts=("mapper", "port filter", "conversations"),
    ),
    Clause(
        name="action",
        help="The action of the records that count.",
        parse=partial(parse_choice, "--action", ACTIONS),
        default="ACCEPT",
        choices=ACTIONS,
        needs=lambda action: () if action == "ALL" else ("action",),
        describe=lambda action: "all actions" if action == "ALL" else str(action),
        scripts=("mapper",),
    ),
    _bound("since", "Count records that start at T or later (ISO 8601, UTC)."),
    _bound("until", "Count records that start before T (ISO 8601, UTC)."),
    Clause(
        name="log_format",
        help="The columns of lines without a header, in AWS's ${field} syntax, or only the names, as Vector, Athena and"
        " Terraform also write them; auto takes them from the flow log that wrote the files.  [default: AWS's default"
        " format]",
        parse=parse_log_format,
        format=format_log_format,
        form="'FORMAT'",
        describe=None,
        scripts=("mapper",),
        format_word=lambda layout: ",".join(layout.columns),
    ),
    Clause(
        name="count",
        help="What is added up: all records; or each conversation once, whatever interfaces, NAT gateways and flow logs"
        " logged it as well.",
        parse=partial(parse_choice, "--count", COUNTS),
        default="records",
        choices=COUNTS,
        needs=lambda count: RECORD_NEEDS if count == "once" else (),
        describe=lambda count: "each conversation once" if count == "once" else "",
        scripts=("conversations",),
        is_quiet=True,
    ),
    Clause(
        name="pairs",
        help="One line for each client, server and port, with bytes, packets and records of both directions. --metric"
        " says which of them ranks (default bytes); --ports are those of servers (default all).",
        parse=partial(parse_flag, "--pairs"),
        format=lambda pairs: "yes" if pairs else "no",
        default="no",
        needs=lambda pairs: RECORD_NEEDS if pairs else (),
        describe=lambda pairs: "in pairs of client and server" if pairs else "",
        scripts=("reducer", "port filter", "conversations"),
        is_flag=True,
        is_quiet=True,
    ),
    Clause(
        name="address",
        help="With --count once or --pairs, which addresses a conversation behind NAT has: the packets' own, where they"
        " are logged (pkt, the default), or those of the interfaces (eni).",
        parse=partial(parse_choice, "--address", ADDRESSES),
        choices=ADDRESSES,
        describe=lambda address: f"addresses of the {'packets' if address == 'pkt' else 'interfaces'}",
        scripts=("conversations",),
        is_quiet=True,
    ),
)
"""Every clause of a `Query`, in the order of the command line."""

PAIRS_DEFAULTS = {"metric": "bytes", "ports": "all"}
"""The texts of the clauses that have another default with `--pairs`."""
