"""The report: one page of HTML about an answer, for a meeting. `docs/names.md` says what is on it.

Every table of the page is the answer to a question of its own (`Table.query`), and says by which command it is found
again. All of them are filled while the lines of one answer by addresses are read (`report_question`), by the code that
names every answer (`answer/named.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from toptalkers.answer.answer import Answer
from toptalkers.answer.doubts import find_doubts
from toptalkers.answer.formats import format_tally
from toptalkers.answer.named import Collapsed
from toptalkers.answer.quality import HOUR_SECONDS
from toptalkers.answer.statement import format_quality
from toptalkers.errors import ToptalkersError
from toptalkers.names.owners import Names
from toptalkers.names.services import Services
from toptalkers.question.clauses import Action, Metric
from toptalkers.question.named import SERVICE, address_question
from toptalkers.question.query import Query
from toptalkers.question.times import parse_seconds

ZONE_PRICE = 0.01
"""USD per GB that crosses zones, in each direction: AWS's price of data transfer within a Region, "EC2 On-Demand
Pricing"."""

ZONE_PRICE_DATE = "2026-11"
"""When that was the price."""

GB = 10**9

MONTH_HOURS = 730

METRICS: tuple[Metric, ...] = ("bytes", "records")
REFUSED_METRICS: tuple[Metric, ...] = ("records", "bytes")
"""The sums of the tables; the first one ranks. Refused records carry next to no bytes, so that they are counted."""

NO_ACTION = "-"
"""The action of a record whose format has none."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: the values of its key, and its sums by the table's metrics."""

    key: tuple[str, ...]
    sums: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The largest rows of the answer to a question.

    Attributes:
        query: the question.
        titles: the titles of the key's columns.
        rows: the rows that are shown.
        more: how many rows are not shown.
        rest: what these have in all.
        totals: what all rows have in all.
        command: the command that gives the same figures.

    """

    query: Query
    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    more: int
    rest: tuple[int, ...]
    totals: tuple[int, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Zones:
    """What goes between Availability Zones.

    Attributes:
        table: bytes and records by the zones of both sides, where both are known.
        within: bytes within one zone.
        across: bytes from one zone to another.
        unknown: bytes from or to what has no zone, or several.
        price: USD per GB that crosses, in each direction.
        per_gb: USD per counted GB that crosses: twice the price if each conversation is counted once; else the price,
            because the interfaces of both ends log it.

    """

    table: Table
    within: int
    across: int
    unknown: int
    price: float
    per_gb: float

    @property
    def cost(self) -> float:
        """USD for what crossed."""
        return self.across / GB * self.per_gb


@dataclass(frozen=True, slots=True)
class Report:
    """What is on the page.

    Attributes:
        title: its heading.
        made: when it was made, and by which version.
        subject: what was counted, in one sentence.
        action: the action of the records in all tables but `refused`; ALL if no record has an action.
        tally: the tally of the records, in lines.
        statement: how well the numbers hold, in lines.
        doubts: what may be wrong, in a line each.
        counted: records that count.
        files: files that were read.
        window: the first hour and the end of the last one, in seconds since 1970; None if there are none.
        has_names: whether addresses have names.
        conversations: by both sides and the service.
        sources: by who sends.
        targets: by who receives.
        services: by the service.
        hours: by the hour, in its order.
        zones: between zones; None without names.
        refused: refused records by both sides and the service; None if they were not counted.
        counts_once: whether each conversation is counted once.
        sections: what is written after the tables, as HTML.

    """

    title: str
    made: str
    subject: str
    action: Action
    tally: str
    statement: str
    doubts: tuple[str, ...]
    counted: int
    files: int
    window: tuple[int, int] | None
    has_names: bool
    conversations: Table
    sources: Table
    targets: Table
    services: Table
    hours: Table
    zones: Zones | None
    refused: Table | None
    counts_once: bool
    sections: tuple[str, ...] = ()


def report_question(query: Query, names: Names | None) -> Query:
    """The question by addresses whose answer has all that a report needs.

    Args:
        query: which records count; its key and its sums do not matter.
        names: what addresses are called; None if they are not named.

    """
    by = ("hour", "srcaddr", "dstaddr", SERVICE, "action")
    asked = replace(query, by=by, metric=METRICS)
    return address_question(asked, interface=names is not None and names.shares_addresses)


@dataclass(slots=True)
class _Kind:
    """The tables of the records with one action."""

    tables: dict[tuple[str, ...], Collapsed] = field(default_factory=dict)
    lines: int = 0


def build_report(
    answer: Answer,
    query: Query,
    names: Names | None,
    services: Services,
    *,
    command: Callable[[Query, int], str],
    top: int = 10,
    zone_price: float = ZONE_PRICE,
    title: str = "Network report",
    made: str = "",
) -> Report:
    """Read an answer and fill the tables of a report.

    Memory grows with the rows of the tables, shown or not, and with the addresses.

    Args:
        answer: all lines of the answer to `report_question(query, names)`.
        query: which records count.
        names: what addresses are called; None if they are not named.
        services: the names of ports.
        command: the command that answers a question with so many rows (0 for all).
        top: how many rows a table shows.
        zone_price: USD per GB that crosses zones, in each direction.
        title: the heading.
        made: when the report is made, and by which version.

    Raises:
        ToptalkersError: a line of the answer is wrong.
        TooLargeError: sums add up to more than 2^63 - 1.

    """
    keys = _keys(has_names=names is not None)
    kinds = _read(answer, query, keys, names or Names(()), services)
    action: Action = query.action
    if query.action == "ALL":
        action = "ALL" if NO_ACTION in kinds and not {"ACCEPT", "REJECT"} & kinds.keys() else "ACCEPT"
    main = kinds.get(NO_ACTION if action == "ALL" else action) or _Kind(_empty(answer, query, keys, names, services))

    def table(name: str, *titles: str, kept: int = top, shown: int = top) -> Table:
        asked = replace(query, by=keys[name], metric=METRICS, action=action)
        return _table(main.tables[keys[name]], asked, titles, kept, command(asked, shown))

    hours = table("hours", "Hour (UTC)", kept=0, shown=0)
    hours = replace(hours, rows=tuple(sorted(hours.rows, key=lambda row: row.key)))
    refused = None
    if query.action != "ACCEPT" and action != "ALL":
        asked = replace(query, by=keys["conversations"], metric=REFUSED_METRICS, action="REJECT")
        kind = kinds.get("REJECT") or _Kind(_empty(answer, query, keys, names, services))
        found = kind.tables.get(("refused",)) or Collapsed(
            replace(answer, chunks=()), asked, names or Names(()), services
        )
        refused = _table(found, asked, ("From", "To", "Service"), top, command(asked, top))
    doubts = find_doubts(query, answer.tally, answer.quality)
    if action != "ALL" and NO_ACTION in kinds:
        doubts.append("action: some records have none, so that they are in no table")
    return Report(
        title=title,
        made=made,
        subject=describe(query),
        action=action,
        tally=format_tally(answer.tally),
        statement=format_quality(answer),
        doubts=tuple(doubts),
        counted=answer.tally.counted,
        files=answer.tally.files_read,
        window=_window(kinds, keys),
        has_names=names is not None,
        conversations=table("conversations", "From", "To", "Service"),
        sources=table("sources", "From"),
        targets=table("targets", "To"),
        services=table("services", "Service"),
        hours=hours,
        zones=_zones(table("zones", "From zone", "To zone", kept=0, shown=0), names, query, zone_price, top)
        if names
        else None,
        refused=refused,
        counts_once=query.count == "once",
    )
