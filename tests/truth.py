"""The rules of docs/conversations.md again, written as plainly as possible: every engine is compared with this.

Shares no code with the package except the question. It is built on `tests/reference.py`, which reads the records.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests import reference
from tests.reference import LAST_SECOND, RECIPE, Record
from toptalkers.question.conversations import record_question
from toptalkers.question.query import Query

HAS_PORTS = ("6", "17", "33", "132", "136")
WEAKEST = ("syn", "peers", "ports", "?")
CORE = (
    *("start", "end", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport"),
    *("protocol", "packets", "bytes", "action"),
)
SUMS = ("bytes", "packets", "records")
FEW_NODES = 9
"""Of so many, the largest sum is also found by trying all."""

Endpoint = tuple[str, str, str, str]
"""A protocol, an address, a port and an action."""

Place = tuple[int, str]
"""Where a flow was seen: 0 for `src`, 1 for `dst`, 2 and its name for another interface."""


class Row(NamedTuple):
    """A row of stage 2, with the names of `FOLDED_KEY` and `DIGEST_METRICS`; times in seconds."""

    hour: int
    interface: str
    srcaddr: str
    dstaddr: str
    port: str
    side: str
    peer_port: str
    protocol: str
    action: str
    flags: str
    how: str
    pkt_srcaddr: str
    pkt_dstaddr: str
    bytes: int
    packets: int
    records: int
    first: int
    last: int

    @property
    def key(self) -> tuple[object, ...]:
        """What rows are told apart by."""
        return self[:13]

    @property
    def family(self) -> str:
        """Which home of the interface this row is about."""
        return "IPv6" if ":" in self.srcaddr else "IPv4"


def line_of(row: Row) -> bytes:
    """A row as a line of the answer to a digest's question."""
    texts = [_time(row.hour), *map(str, row[1:16]), _time(row.first), _time(row.last)]
    return "\t".join(texts).encode("latin-1") + b"\n"


class Flow(NamedTuple):
    """One direction of a conversation."""

    src: str
    dst: str
    port: str
    side: str
    peer_port: str
    protocol: str
    action: str


@dataclass
class Node:
    """What one place logged of a flow in an hour."""

    hour: int
    place: Place
    values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    first: int = LAST_SECOND
    last: int = 0
    hows: set[str] = field(default_factory=set)
    end: int = 0

    def add(self, row: Row) -> None:
        """Add what a row says."""
        for name in SUMS:
            self.values[name] += getattr(row, name)
        self.first, self.last = min(self.first, row.first), max(self.last, row.last)
        self.hows.add(row.how)

    @property
    def order(self) -> tuple[int, Place, int]:
        """The order in which nodes are looked at."""
        return self.first, self.place, self.hour


@dataclass
class Truth:
    """The answer.

    Attributes:
        lines: the lines, all of them, in their order.
        rows: the rows of stage 2.
        skipped: records that move from the counted ones, by the reason.
        duplicates: copies.
        collapsed: records that another place logged as well.
        relayed: records of translated legs.
        oriented: records that are no copies, by the rule that found their server.
        without_flags: TCP records that are no copies and have no flags.
        without_packet_addresses: records that are no copies and have neither packet address.
        reading: what was read, before records move.

    """

    lines: list[bytes] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    collapsed: int = 0
    relayed: int = 0
    oriented: Counter[str] = field(default_factory=Counter)
    without_flags: int = 0
    without_packet_addresses: int = 0
    reading: reference.Reference | None = None

    @property
    def verdicts(self) -> dict[str, int]:
        """How many records counted, and how many were skipped for each reason."""
        assert self.reading
        verdicts = Counter(self.reading.verdicts)
        verdicts.update(self.skipped)
        verdicts["counted"] -= sum(self.skipped.values())
        return {name: number for name, number in verdicts.items() if number or name == "counted"}

    def totals(self, query: Query) -> dict[str, int]:
        """What the sums add up to: of `--pairs` that of the first metric only; of times nothing."""
        rows = [line.rstrip(b"\n").split(b"\t") for line in self.lines]
        if query.pairs:
            return {query.metric[0]: sum(int(row[4 + SUMS.index(query.metric[0])]) for row in rows)}
        at = {metric: at - len(query.metric) for at, metric in enumerate(query.metric)}
        return {metric: sum(int(row[column]) for row in rows) for metric, column in at.items() if metric in SUMS}


def answer(query: Query, files: list[bytes], known_fields: set[str], *, whole: bool = True) -> Truth:
    """Answer a joining question, or a digest's, from uncompressed files.

    With `whole`, files that do not fit their layout are left out, as an engine on a laptop does.
    """
    reading = reference.count(record_question(query), files, known_fields)
    reading = (reading.whole if whole else None) or reading
    staying, copies, skipped = find_copies(query, reading.records)
    truth = of_rows(query, fold(query, staying, copies), skipped)
    truth.without_flags = sum(one["protocol"] == "6" and one.get("tcp-flags", "-") == "-" for one in staying)
    packet = [{one.get("pkt-srcaddr", "-"), one.get("pkt-dstaddr", "-")} for one in staying]
    truth.without_packet_addresses = packet.count({"-"})
    truth.reading = reading
    return truth


def of_rows(query: Query, rows: Iterable[Row], skipped: Counter[str] | None = None) -> Truth:
    """Answer from the rows of stage 2, and from what was skipped before."""
    truth = Truth(rows=_added_up(rows), skipped=Counter(skipped or {}))
    is_once = query.count == "once"
    own = [row for row in truth.rows if row.how != "copy"]
    counted = own if is_once else truth.rows
    if is_once:
        truth.duplicates = sum(row.records for row in truth.rows if row.how == "copy")
        truth.skipped["duplicate"] += truth.duplicates
    if query.pairs:
        truth.skipped["ports"] += sum(row.records for row in counted if not _is_asked(query, row))
        counted = [row for row in counted if _is_asked(query, row)]
    for row in counted:
        if row.how != "copy":
            truth.oriented[row.how] += row.records
    if is_once:
        legs: set[Row] = set() if query.address == "eni" else _other_legs(own)
        truth.relayed = sum(row.records for row in counted if row in legs)
        seen = [row for row in counted if row not in legs]
        nodes = {flow: _chosen_once(of_flow) for flow, of_flow in _nodes(query, seen, _homes(own)).items()}
        truth.collapsed = sum(row.records for row in seen)
        truth.collapsed -= sum(node.values["records"] for of_flow in nodes.values() for node in of_flow)
    else:
        nodes = _nodes(query, counted, {})
    if query.pairs:
        truth.lines = _pairs(query, nodes)
    elif is_once:
        truth.lines = _by_key(query, nodes)
    else:  # a digest
        truth.lines = [line_of(row) for row in truth.rows]
    truth.skipped = +truth.skipped
    return truth


# From records to rows


def find_copies(query: Query, records: Sequence[Record]) -> tuple[list[Record], list[Record], Counter[str]]:
    """Return the records that stay, those that are copies of these, and how many are malformed."""
    skipped: Counter[str] = Counter()
    alike: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in records:
        reason = _why_malformed(query, record)
        if reason:
            skipped[reason] += 1
        else:
            alike[tuple(record.get(name, "-") for name in CORE)].append(record)
    staying, copies = [], []
    for group in alike.values():
        group.sort(key=_rank_of_copy)
        staying.append(group[-1])
        copies += group[:-1]
    return staying, copies, skipped


def fold(query: Query, staying: Sequence[Record], copies: Sequence[Record]) -> list[Row]:
    """Find servers, and leave out clients' ports. Returns a row per record."""
    known = _Known(staying)
    rows = [_row(query, record, *known.server(record)) for record in staying]
    return rows + [_row(query, record, known.server(record)[0], "copy") for record in copies]


def _why_malformed(query: Query, record: Record) -> str | None:
    if "-" in (record["srcaddr"], record["dstaddr"]):
        return "malformed_address"
    if query.by == RECIPE and not query.pairs and record["dstport"] == "-":
        return "malformed_port"
    if "-" in (record["packets"], record["bytes"], record["start"], record["end"]):
        return "malformed_number"
    if max(_seconds(record["start"]), _seconds(record["end"])) > LAST_SECOND:
        return "malformed_number"
    return None


def _seconds(text: str) -> int:
    return int(text) if int(text) < 10**11 else int(text) // 1000


def _time(seconds: int) -> str:
    return reference._time(seconds)


def _flags(record: Record) -> int:
    text = record.get("tcp-flags", "-")
    return -1 if text == "-" else int(text)


def _rank_of_copy(record: Record) -> tuple[int, bytes, bytes, bytes]:
    texts = [record.get(name, "-").encode("latin-1") for name in ("pkt-srcaddr", "pkt-dstaddr")]
    source, destination = (b"" if text == b"-" else text for text in texts)
    return _flags(record), source, destination, record.get("tcp-flags", "-").encode()


def _endpoints(record: Record) -> tuple[Endpoint, Endpoint] | None:
    """Source and destination, or None for a record without ports."""
    if record["protocol"] not in HAS_PORTS or "-" in (record["srcport"], record["dstport"]):
        return None
    protocol, action = record["protocol"], record.get("action", "-")
    addresses = _packet_addresses(record)
    source = (protocol, addresses[0], record["srcport"], action)
    return source, (protocol, addresses[1], record["dstport"], action)


def _packet_addresses(record: Record) -> tuple[str, str]:
    """Those of the packet where they are logged: all legs of a conversation have the same."""
    source, destination = (record.get(f"pkt-{name}", "-") for name in ("srcaddr", "dstaddr"))
    return record["srcaddr"] if source == "-" else source, record["dstaddr"] if destination == "-" else destination


class _Known:
    """What is known about endpoints."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.servers: set[Endpoint] = set()
        self.senders: dict[Endpoint, set[Endpoint]] = defaultdict(set)
        for record in records:
            two = _endpoints(record)
            if two is None:
                continue
            source, destination = two
            flags = max(_flags(record), 0)
            if record["protocol"] == "6" and flags & 2:
                self.servers.add(source if flags & 16 else destination)
            self.senders[destination].add(source)

    def server(self, record: Record) -> tuple[str, str]:
        """The side of the server, `src` or `dst`, and the rule that tells."""
        two = _endpoints(record)
        if two is None:
            addresses = _packet_addresses(record)
            return ("src" if addresses[0].encode() > addresses[1].encode() else "dst"), "?"
        source, destination = two
        if (source in self.servers) != (destination in self.servers):
            return ("src" if source in self.servers else "dst"), "syn"
        numbers = [self._peers(one, are_equal=source[2] == destination[2]) for one in two]
        if max(numbers) >= 2 and max(numbers) >= 2 * min(numbers):
            return ("src" if numbers[0] > numbers[1] else "dst"), "peers"
        ports = [int(one[2]) for one in two]
        classes = [sum(port >= bound for bound in (1024, 32768, 49152)) for port in ports]
        if classes[0] != classes[1]:
            return ("src" if classes[0] < classes[1] else "dst"), "ports"
        if ports[0] != ports[1]:
            return ("src" if ports[0] < ports[1] else "dst"), "?"
        return ("src" if source[1].encode() > destination[1].encode() else "dst"), "?"

    def _peers(self, endpoint: Endpoint, *, are_equal: bool) -> int:
        senders = self.senders.get(endpoint, set())
        if int(endpoint[2]) >= 32768:
            senders = {sender for sender in senders if int(sender[2]) >= 1024}
        return len(senders if are_equal else {sender[2] for sender in senders})


def _keeps_ports(query: Query) -> bool:
    """Whether the question asks for clients' ports above 1024."""
    high = query.ports[-1][1] > 1024 if query.ports else False
    by = () if query.pairs else query.by
    return "srcport" in by or ("dstport" in by and high)


def _is_low(port: str) -> bool:
    return port != "-" and int(port) <= 1024


def _row(query: Query, record: Record, side: str, how: str) -> Row:
    """A record as a row of stage 2."""
    port, peer_port = (record[name] for name in (("srcport", "dstport") if side == "src" else ("dstport", "srcport")))
    service = reference._service(record)["side"]
    if not (_keeps_ports(query) or _is_low(peer_port) or service != side):
        peer_port = "-"
    packet = [record.get(f"pkt-{name}", "-") for name in ("srcaddr", "dstaddr")]
    start, end = _seconds(record["start"]), _seconds(record["end"])
    return Row(
        start // 3600 * 3600,
        record["interface-id"],
        record["srcaddr"],
        record["dstaddr"],
        port,
        side,
        peer_port,
        record["protocol"],
        record.get("action", "-"),
        record.get("tcp-flags", "-"),
        how,
        "-" if packet[0] == record["srcaddr"] else packet[0],
        "-" if packet[1] == record["dstaddr"] else packet[1],
        int(record["bytes"]),
        int(record["packets"]),
        1,
        start,
        end,
    )


def _added_up(rows: Iterable[Row]) -> list[Row]:
    """Rows with the same key become one. In the order of a digest's lines."""
    alike: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        alike[row.key].append(row)
    added = [
        group[0]._replace(
            **{name: sum(getattr(row, name) for row in group) for name in SUMS},
            first=min(row.first for row in group),
            last=max(row.last for row in group),
        )
        for group in alike.values()
    ]
    return sorted(added, key=lambda row: (-row.bytes, line_of(row).split(b"\t")[:13]))


# Once


def _addresses(query: Query, row: Row) -> tuple[str, str]:
    if query.address == "eni":
        return row.srcaddr, row.dstaddr
    source = row.srcaddr if row.pkt_srcaddr == "-" else row.pkt_srcaddr
    return source, row.dstaddr if row.pkt_dstaddr == "-" else row.pkt_dstaddr


def _other_legs(rows: Sequence[Row]) -> set[Row]:
    gateways = set()
    for row in rows:
        if row.pkt_dstaddr != "-":
            gateways.add((row.dstaddr, row.pkt_dstaddr))
        if row.pkt_srcaddr != "-":
            gateways.add((row.srcaddr, row.pkt_srcaddr))
    return {
        row
        for row in rows
        if (row.pkt_srcaddr, row.pkt_dstaddr) == ("-", "-")
        and {(row.srcaddr, row.dstaddr), (row.dstaddr, row.srcaddr)} & gateways
    }


def _homes(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """The home of an interface in a family, if it has one."""
    common: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        of_row = {row.srcaddr, row.dstaddr}
        key = (row.interface, row.family)
        common[key] = common.get(key, of_row) & of_row
    return {key: next(iter(both)) for key, both in common.items() if len(both) == 1}


def _nodes(query: Query, rows: Sequence[Row], homes: dict[tuple[str, str], str]) -> dict[Flow, list[Node]]:
    nodes: dict[Flow, dict[tuple[int, Place], Node]] = defaultdict(dict)
    for row in rows:
        source, destination = _addresses(query, row)
        home = homes.get((row.interface, row.family))
        if home == source:
            place: Place = (0, "")
        elif home == destination:
            place = (1, "")
        else:
            place = (2, row.interface)
        # What one interface logs with a SYN, another splits in two: the same connection may have lost its port in one.
        peer_port = row.peer_port if _keeps_ports(query) or _is_low(row.peer_port) else "-"
        flow = Flow(source, destination, row.port, row.side, peer_port, row.protocol, row.action)
        nodes[flow].setdefault((row.hour, place), Node(row.hour, place)).add(row)
    return {flow: sorted(of_flow.values(), key=lambda node: node.order) for flow, of_flow in nodes.items()}


def _chosen_once(nodes: list[Node]) -> list[Node]:
    """The same nodes, with 0 for each value that was not chosen."""
    for node in nodes:
        node.end = max(other.last for other in nodes if other.place == node.place and other.hour <= node.hour)
    chosen = {name: _choose(nodes, name) for name in SUMS}
    return [
        replace(node, values={name: node.values[name] if at in chosen[name] else 0 for name in SUMS})
        for at, node in enumerate(nodes)
    ]


def _choose(nodes: Sequence[Node], name: str) -> set[int]:
    """The numbers of the nodes that have the largest sum without anything that was seen twice."""
    best: list[int] = []
    came_from: list[int | None] = []
    for at, node in enumerate(nodes):
        of_place = [one for one in range(at) if nodes[one].place == node.place]
        ended = [one for one in range(at) if nodes[one].end + 60 < node.first]
        candidates = [*([max(of_place, key=lambda one: nodes[one].hour)] if of_place else []), *ended]
        before = max(candidates, key=lambda one: best[one], default=None)  # the first of equal ones
        best.append(node.values[name] + (0 if before is None else best[before]))
        came_from.append(before)
    at_last: int | None = best.index(max(best))
    chosen = set()
    while at_last is not None:
        chosen.add(at_last)
        at_last = came_from[at_last]
    total = sum(nodes[one].values[name] for one in chosen)
    if len(nodes) <= FEW_NODES:
        assert total == _largest_sum(nodes, name)
    return chosen


def _largest_sum(nodes: Sequence[Node], name: str) -> int:
    """The largest sum of nodes of which two neighbours are of one place, or one ended before the other began."""
    return max(
        sum(node.values[name] for node in some)
        for number in range(len(nodes) + 1)
        for some in itertools.combinations(nodes, number)
        if all(one.place == next_.place or one.end + 60 < next_.first for one, next_ in itertools.pairwise(some))
    )


# The lines


def _by_key(query: Query, nodes: dict[Flow, list[Node]]) -> list[bytes]:
    """The lines of the question's key."""
    sums = reference.Reference(query.metric)
    for flow, of_flow in nodes.items():
        for node in of_flow:
            known = {**node.values, "first": node.first, "last": node.last}
            sums.add(_key(query, flow, node), [known[metric] for metric in query.metric])
    return sums.lines().splitlines(keepends=True)


def _key(query: Query, flow: Flow, node: Node) -> bytes:
    peer_port = flow.peer_port
    source_port, destination_port = (flow.port, peer_port) if flow.side == "src" else (peer_port, flow.port)
    if query.by == RECIPE:
        texts = [f"[{text}]" if ":" in text else text for text in flow[:2]]
        return ":".join([*texts, destination_port]).encode("latin-1")
    known = {
        "hour": _time(node.hour),
        "day": _time(node.hour // 86400 * 86400),
        "srcaddr": flow.src,
        "dstaddr": flow.dst,
        "pair": "\t".join(sorted(flow[:2], key=str.encode)),
        "srcport": source_port,
        "dstport": destination_port,
        "service-port": flow.port,
        "side": flow.side,
        "client-port": peer_port if peer_port != "-" and int(peer_port) <= 1024 else "-",
        "protocol": flow.protocol,
        "action": flow.action,
    }
    columns = []
    for part in query.by:
        if "/" in part:
            name, short, long = part.split("/")
            columns.append(reference._network(known[name], int(short), int(long)))
        else:
            columns.append(known[part])
    return "\t".join(columns).encode("latin-1")


def _is_asked(query: Query, row: Row) -> bool:
    """Whether `--ports` has the server's port of a pair."""
    if query.ports == ((0, 65535),):
        return True
    return row.port != "-" and any(low <= int(row.port) <= high for low, high in query.ports)


def _pairs(query: Query, nodes: dict[Flow, list[Node]]) -> list[bytes]:
    """The lines of `--pairs`."""
    sums: dict[tuple[str, str, str, str], dict[str, Counter[str]]] = {}
    hows: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for flow, of_flow in nodes.items():
        client, server = (flow.dst, flow.src) if flow.side == "src" else (flow.src, flow.dst)
        pair = (client, server, flow.port, flow.protocol)
        both = sums.setdefault(pair, {"to_server": Counter(), "to_client": Counter()})
        for node in of_flow:
            both["to_client" if flow.side == "src" else "to_server"].update(node.values)
            hows[pair] |= node.hows - {"copy"}
    lines: list[tuple[int, bytes, bytes]] = []
    for pair, both in sums.items():
        whole = {name: both["to_server"][name] + both["to_client"][name] for name in SUMS}
        columns = [*whole.values()]
        columns += [both[way][name] for name in SUMS for way in ("to_server", "to_client")]
        how = max(hows[pair], key=WEAKEST.index, default="?")
        key = "\t".join(pair).encode("latin-1")
        lines.append((-whole[query.metric[0]], key, "\t".join(["", *map(str, columns), how]).encode()))
    return [key + rest + b"\n" for _, key, rest in sorted(lines)]
