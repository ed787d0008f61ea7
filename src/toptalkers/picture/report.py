"""What a report shows: the tables of one page for a meeting. `docs/names.md` says what is on it.

Every table is the answer to a question of its own (`Table.query`), and says by which command it is found again. All of
them are filled while the lines of one answer by addresses are read (`report_question`), by the code that names every
answer (`answer/named.py`). `report_page.py` writes them as HTML.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from toptalkers.answer.answer import Answer
from toptalkers.answer.doubts import find_doubts
from toptalkers.answer.formats import format_tally
from toptalkers.answer.named import Collapsed, pieces
from toptalkers.answer.statement import format_quality
from toptalkers.errors import ToptalkersError
from toptalkers.names.owners import Called, Names, Window
from toptalkers.names.services import Services
from toptalkers.picture.network import ADDRESS_VIEW, Network
from toptalkers.picture.talkers import Talkers, network_of
from toptalkers.question.clauses import Action, Metric
from toptalkers.question.named import OTHER_TIME, SERVICE, NamedPart, address_question
from toptalkers.question.query import Query
from toptalkers.question.times import HOUR_SECONDS, parse_seconds

ZONE_PRICE = 0.01
"""USD per GB that crosses zones, in each direction ("EC2 On-Demand Pricing", data transfer within a Region)."""

ZONE_PRICE_DATE = "November 2026"
"""When it was that."""

GB = 10**9

MONTH_HOURS = 730

METRICS: tuple[Metric, ...] = ("bytes", "records")

REFUSED_METRICS: tuple[Metric, ...] = ("records", "bytes")
"""Of refused records the number ranks: they have next to no bytes."""

NO_ACTION = "-"
"""The action of a record whose format has none."""

NO_ZONE = "none"
"""What stands for the zone of an address that has none, or several."""

VIEWS = ("name", "asg", "sg", "subnet")
"""How the picture of a report can be seen, if addresses are named."""

_REFUSED = "refused"

_DERIVED = ("sources", "targets", "services")
"""The tables that are made of the rows of another: each by one column of `conversations`."""


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
        rows: the rows that are shown.
        more: how many are not.
        totals: what all rows have in all, by the metrics of the question.
        command: the command that gives the same figures.

    """

    query: Query
    rows: tuple[Row, ...]
    more: int
    totals: tuple[int, ...]
    command: str

    @property
    def rest(self) -> tuple[int, ...]:
        """What the rows that are not shown have in all."""
        return tuple(total - sum(row.sums[at] for row in self.rows) for at, total in enumerate(self.totals))


@dataclass(frozen=True, slots=True)
class Zones:
    """What goes from one Availability Zone to another.

    Attributes:
        table: the pairs of zones; its totals are those of all records.
        within: bytes within one zone.
        across: bytes from one zone to another.
        price: USD per GB that crosses, in each direction.
        counts_once: whether each conversation is counted once, so that both directions are paid for each counted GB.
            Else the interfaces of both ends log what crosses, and each log stands for the direction that it pays.

    """

    table: Table
    within: int
    across: int
    price: float
    counts_once: bool

    @property
    def per_gb(self) -> float:
        """USD per counted GB that crossed."""
        return self.price * (2 if self.counts_once else 1)

    @property
    def cost(self) -> float:
        """USD for what crossed."""
        return self.across / GB * self.per_gb

    @property
    def unknown(self) -> int:
        """Bytes to or from what has no zone, or several."""
        return self.table.totals[0] - self.within - self.across


@dataclass(frozen=True, slots=True)
class Report:
    """What is on the page.

    Attributes:
        title: its heading.
        made: when it was made, and by which version.
        subject: which records count, in words.
        action: the action of the records in all tables but `refused`; ALL if no record has an action.
        tally: the tally of the records, in lines.
        statement: how well the numbers hold, in lines; may be empty.
        doubts: what may be wrong, in a line each.
        counted: records that count, of any action.
        files: files that were read.
        hours: bytes and records by the hour in which records start, in the order of hours.
        conversations: by both sides and the service.
        sources: by who sends.
        targets: by who receives.
        services: by the service.
        zones: between zones; None without names.
        refused: refused records by both sides and the service; None if they are not counted.
        has_names: whether addresses are named.
        counts_once: whether each conversation is counted once.
        network: the picture.

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
    hours: Table
    conversations: Table
    sources: Table
    targets: Table
    services: Table
    zones: Zones | None
    refused: Table | None
    has_names: bool
    counts_once: bool
    network: Network

    @property
    def window(self) -> Window | None:
        """From the first hour to the end of the last one; None if no hour is known."""
        hours = [parse_seconds(row.key[0].encode()) for row in self.hours.rows if row.key[0] != "-"]
        return (hours[0], hours[-1] + HOUR_SECONDS) if hours else None


def report_question(query: Query, names: Names | None) -> Query:
    """The question by addresses whose answer has all that a report needs.

    Args:
        query: which records count; its key and its sums do not matter.
        names: what addresses are called; None if they are not named.

    """
    by = ("hour", "srcaddr", "dstaddr", SERVICE, "action")
    return address_question(
        replace(query, by=by, metric=METRICS), interface=names is not None and names.shares_addresses
    )


def keys_of_tables(*, has_names: bool) -> Mapping[str, tuple[str, ...]]:
    """The parts of the key of each table of a report."""
    source, target = ("src.name", "dst.name") if has_names else ("srcaddr", "dstaddr")
    conversations = (source, target, SERVICE)
    keys = {
        "hours": ("hour",),
        "conversations": conversations,
        "sources": (source,),
        "targets": (target,),
        "services": (SERVICE,),
        _REFUSED: conversations,
    }
    return {**keys, "zones": ("src.zone", "dst.zone")} if has_names else keys


def build_report(
    answer: Answer,
    query: Query,
    names: Names | None,
    services: Services,
    *,
    command: Callable[[Query, int], str],
    command_of_view: Callable[[str], str],
    top: int = 10,
    edges: int = 100,
    zone_price: float = ZONE_PRICE,
    title: str,
    made: str,
) -> Report:
    """Read an answer, and fill the tables and the picture of a report.

    Memory grows with the lines of the answer (some 30 bytes each), with the rows of the tables, shown or not, and with
    the addresses.

    Args:
        answer: all lines of the answer to `report_question(query, names)`.
        query: which records count.
        names: what addresses are called; None if they are not named.
        services: the names of ports.
        command: the command that answers a question with so many rows, 0 for all.
        command_of_view: the command that gives the figures of a view of the picture.
        top: how many rows a table shows.
        edges: how many edges a view of the picture has, 0 for all.
        zone_price: USD per GB that crosses zones, in each direction.
        title: the heading.
        made: when the report is made, and by which version.

    Raises:
        ToptalkersError: a line of the answer is wrong.
        TooLargeError: sums add up to more than 2^63 - 1.

    """
    tables = _Tables(answer, query, names, services)
    # The talkers of the picture are read from the same pieces as the tables.
    seen = replace(answer, chunks=tables.watched(pieces(answer)))
    talkers = Talkers(seen, services, by_pairs=False, names=names)
    action = tables.action
    main = NO_ACTION if action == "ALL" else action

    columns = _Columns(3)

    def table(name: str, rows: Iterable[Row], kept: int = top, of: str = main) -> Table:
        asked = tables.question(name, action="ALL" if of == NO_ACTION else of)
        return _table(rows, asked, kept, command(asked, kept))

    doubts = [*find_doubts(query, answer.tally, answer.quality), *tables.doubts()]
    conversations = table("conversations", columns.adding(tables.rows(main, "conversations")))
    sources, targets, ports = (table(name, columns.ranked(at)) for at, name in enumerate(_DERIVED))
    hours = table("hours", tables.rows(main, "hours"), kept=0)
    zones = refused = None
    if names is not None:
        zones = _zones(table("zones", tables.rows(main, "zones"), kept=0), query, zone_price, top)
    if query.action != "ACCEPT" and action != "ALL":
        refused = table(_REFUSED, tables.rows("REJECT", _REFUSED), of="REJECT")
    tables.forget()  # the picture needs the memory
    del columns
    tally, statement = format_tally(answer.tally), format_quality(answer)
    network = network_of(
        talkers,
        replace(query, metric=METRICS),
        names or Names(()),
        views=(ADDRESS_VIEW,) if names is None else VIEWS,
        top=edges,
        command=command_of_view,
        title=title,
        quality="\n".join(filter(None, (tally, statement))),
        made=made,
    )
    return Report(
        title=title,
        made=made,
        subject=_subject(query),
        action=action,
        tally=tally,
        statement=statement,
        doubts=tuple(doubts),
        counted=answer.tally.counted,
        files=answer.tally.files_read,
        hours=replace(hours, rows=tuple(sorted(hours.rows, key=lambda row: row.key))),
        conversations=conversations,
        sources=sources,
        targets=targets,
        services=ports,
        zones=zones,
        refused=refused,
        has_names=names is not None,
        counts_once=query.count == "once",
        network=network,
    )


class _KnownZones(Names):
    """Calls addresses by their zone alone: those without one, or with several, are all called `NO_ZONE`.

    So what is outside of zones does not fill memory with rows that no table shows.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        scopes = [scope for snapshot in names.snapshots for scope in snapshot.scopes]
        of_subnets = {subnet.zone_id for scope in scopes for subnet in scope.subnets}
        of_interfaces = {interface.zone_id for scope in scopes for interface in scope.interfaces}
        self._zones = (of_subnets | of_interfaces) - {""}

    def label(self, part: NamedPart, address: str, window: Window | None = None, interface_id: str = "") -> str:
        """The zone of an address, with `~` if it is of another time."""
        return self._known(self._names.label(part, address, window, interface_id))

    def labels(
        self, parts: Sequence[NamedPart], address: str, window: Window | None = None, interface_id: str = ""
    ) -> Called:
        """Its zones, as `label` calls them."""
        called = self._names.labels(parts, address, window, interface_id)
        return called._replace(labels=list(map(self._known, called.labels)))

    def _known(self, label: str) -> str:
        return label if label.removeprefix(OTHER_TIME) in self._zones else NO_ZONE

    def epoch(self, window: Window | None) -> int:
        """As the names have it."""
        return self._names.epoch(window)

    def vpc_of(self, interface_id: str) -> str:
        """As the names have it."""
        return self._names.vpc_of(interface_id)

    def attached_s(self, address: str) -> int:
        """As the names have it."""
        return self._names.attached_s(address)


class _Tables:
    """All tables of a report by the action of their records, filled as lines are added.

    Attributes:
        actions: the actions of the lines that were added.

    """

    def __init__(self, answer: Answer, query: Query, names: Names | None, services: Services) -> None:
        self.actions: set[str] = set()
        self._answer = answer
        self._query = query
        self._names = names
        self._services = services
        self._keys = keys_of_tables(has_names=names is not None)
        self._made: dict[tuple[str, str], Collapsed] = {}

    @property
    def action(self) -> Action:
        """The action of the records in all tables but that of refused ones; ALL if no record has an action."""
        if self.actions == {NO_ACTION}:
            return "ALL"
        return "ACCEPT" if self._query.action == "ALL" else self._query.action

    def doubts(self) -> Iterator[str]:
        """Yield a line if only some records lack an action."""
        if self.actions > {NO_ACTION}:
            number = sum(row.sums[1] for row in self.rows(NO_ACTION, "hours"))
            yield f"action: {number:,} records have none, so they are neither accepted nor refused, and left out"

    def question(self, name: str, *, action: str = "ALL") -> Query:
        """The question that a table answers."""
        of: Action = "ALL" if action == "ALL" else "ACCEPT" if action == "ACCEPT" else "REJECT"
        metric = REFUSED_METRICS if name == _REFUSED else METRICS
        return replace(self._query, by=self._keys[name], metric=metric, action=of)

    def of(self, action: str, name: str) -> Collapsed:
        """The rows of a table, of records with an action."""
        made = self._made.get((action, name))
        if made is None:
            names = self._names or Names(())
            names = _KnownZones(names) if name == "zones" else names
            made = Collapsed(self._answer, self.question(name), names, self._services)
            self._made[action, name] = made
        return made

    def rows(self, action: str, name: str) -> Iterator[Row]:
        """The rows of a table, of records with an action, in the order of an answer; none if no record has it."""
        width = len(self.question(name).lines.columns)
        for chunk in self.of(action, name).chunks(0):
            for line in chunk.splitlines():
                texts = line.decode().split("\t")
                yield Row(tuple(texts[:width]), tuple(map(int, texts[width:])))

    def forget(self) -> None:
        """Drop all rows."""
        self._made.clear()

    def watched(self, read: Iterator[bytes]) -> Iterator[bytes]:
        """Add pieces of whole lines as they are read; ToptalkersError for a wrong line."""
        try:
            for piece in read:
                self.add(piece)
                yield piece
        except (ValueError, KeyError, IndexError) as error:
            raise ToptalkersError(f"the answer has a wrong line: {error}") from error

    def add(self, piece: bytes) -> None:
        """Add whole lines."""
        if self._query.action != "ALL":
            self._add(self._query.action, piece)
            return
        parts: dict[bytes, list[bytes]] = {}
        for line in piece.splitlines(keepends=True):
            parts.setdefault(line.rsplit(b"\t", 3)[1], []).append(line)
        for action, lines in parts.items():
            self._add(action.decode(), b"".join(lines))

    def _add(self, action: str, piece: bytes) -> None:
        if not piece:
            return
        self.actions.add(action)
        for name in self._keys.keys() - {*_DERIVED}:
            is_only_refused = action == "REJECT" and self._query.action == "ALL"
            if (action == "REJECT") if name == _REFUSED else (name == "hours" or not is_only_refused):
                self.of(action, name).add(piece)


class _Columns:
    """The sums of the first metrics by the values of each column, of the rows that are passed on."""

    def __init__(self, width: int) -> None:
        self._by_column: list[dict[str, list[int]]] = [{} for _ in range(width)]

    def adding(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, and add them up."""
        for row in rows:
            for value, sums in zip(row.key, self._by_column, strict=True):
                known = sums.get(value)
                if known is None:
                    sums[value] = list(row.sums)
                else:
                    for at, number in enumerate(row.sums):
                        known[at] += number
            yield row

    def ranked(self, column: int) -> Iterator[Row]:
        """The rows by the values of one column, in the order of an answer."""
        sums = self._by_column[column]
        order = sorted(sums, key=lambda value: (-sums[value][0], value.encode()))
        return (Row((value,), tuple(sums[value])) for value in order)


def _table(rows: Iterable[Row], query: Query, top: int, command: str) -> Table:
    """The first rows of all rows, which are read to their end; 0 for all."""
    totals = [0] * len(query.metric)
    shown, number = [], 0
    for number, row in enumerate(rows, 1):
        for at, value in enumerate(row.sums):
            totals[at] += value
        if not top or number <= top:
            shown.append(row)
    return Table(query, tuple(shown), number - len(shown), tuple(totals), command)


def _subject(query: Query) -> str:
    """Which records count, in words: the question without its key and sums, which each table has of its own."""
    clauses = ((clause, value) for clause, value in query.clauses() if clause.name not in ("by", "metric"))
    return ", ".join(filter(None, (clause.describe(value) for clause, value in clauses if clause.describe)))


def _zones(pairs: Table, query: Query, price: float, top: int) -> Zones:
    """What goes between zones, from all rows of their table."""
    known = [row for row in pairs.rows if NO_ZONE not in row.key]
    within = sum(row.sums[0] for row in known if _is_within(row.key))
    across = sum(row.sums[0] for row in known) - within
    table = replace(pairs, rows=tuple(known[:top]), more=max(0, len(known) - top))
    return Zones(table, within, across, price, query.count == "once")


def _is_within(zones: Sequence[str]) -> bool:
    source, target = (zone.removeprefix(OTHER_TIME) for zone in zones)
    return source == target
