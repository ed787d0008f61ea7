"""The network: who talks to whom, seen by name, by security group, by subnet and so on. What every picture is made of.

All views are made of the same talkers by addresses (`picture_question`), so that their totals are those of the answer.
`Talkers` holds these in arrays: some 30 bytes for each line, beside the addresses. A view is made in two passes: the
first adds up the first sum of every edge, and the second collects what is behind the largest.
"""

import heapq
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, repeat
from typing import Any, NamedTuple

from toptalkers.answer.answer import Answer
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.names.owners import Names, Window
from toptalkers.names.services import Services
from toptalkers.question.clauses import ALL_PORTS, Metric
from toptalkers.question.key import parse_part
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.named import SERVICE, NamedPart, address_question, parse_named
from toptalkers.question.query import Query
from toptalkers.question.times import parse_seconds

MOST_ROWS = 20
"""The most talkers that an edge keeps, the largest first."""

NAMED_VIEWS = ("name", "sg", "asg", "instance", "subnet", "vpc", "zone")
"""By what addresses are seen, if there are names."""

ADDRESS_VIEW = "address"

PAIR_METRICS: tuple[Metric, ...] = ("bytes", "packets", "records")
"""What a picture of pairs shows; the one that ranks comes first."""

HOUR_SECONDS = 3600

_KIND = NamedPart("src", "kind")


class Row(NamedTuple):
    """A talker behind an edge: its addresses as they were logged, its service, and its sums by `Network.metrics`."""

    srcaddr: str
    dstaddr: str
    service: str
    sums: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """Who talks to whom, by which service.

    Attributes:
        source: the label of a node of the same view; with `--pairs`, the client.
        target: the label of a node; with `--pairs`, the server.
        service: such as `https`, `domain/udp`, `8443/tcp`, `icmp`.
        is_rejected: whether its records were rejected. Accepted and rejected records are different edges.
        sums: by `Network.metrics`.
        hours: the first sum by the hour in which records started, in seconds since 1970, ascending; empty if hours are
            not known.
        rows: the largest talkers behind it, at most `MOST_ROWS`, ranked by the first sum.
        rest: how many more there are.

    """

    source: str
    target: str
    service: str
    is_rejected: bool
    sums: tuple[int, ...]
    hours: tuple[tuple[int, int], ...] = ()
    rows: tuple[Row, ...] = ()
    rest: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """Who talks: the label, which is unique in its view, and the kind of its first address, that of its largest talker.

    The kind is one of `docs/names.md` (`instance`, `load-balancer`, ...), `private`, `public` or `aws`; `none` for
    records without an address.
    """

    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class View:
    """The network as seen by one property of its addresses.

    Attributes:
        by: `name`, `sg`, `asg`, `instance`, `subnet`, `vpc`, `zone`, `kind`, `tag:KEY`, or `address`.
        nodes: those of the edges; the largest first, by the first sum of its edges.
        edges: the largest ones, ranked by the first sum.
        rest_edges: how many edges are not among them.
        rest_sums: what these have in all.
        totals: what all edges have in all.
        command: the command that gives just the figures of this view.

    """

    by: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    rest_edges: int
    rest_sums: tuple[int, ...]
    totals: tuple[int, ...]
    command: str


@dataclass(frozen=True)
class Network:
    """What a picture shows.

    Attributes:
        title: what it is of, in one line.
        views: the first one is shown first.
        metrics: what the sums are of; the first one ranks.
        hours: all hours in which records started, in seconds since 1970, ascending; empty if they are not known.
        quality: the tally and how well the numbers hold, in lines.
        made: when it was made, and by which version.

    """

    title: str
    views: tuple[View, ...]
    metrics: tuple[str, ...]
    hours: tuple[int, ...]
    quality: str
    made: str


def largest_edges(view: View, number: int) -> View:
    """The view with the largest of its edges only; the others belong to the rest."""
    if number >= len(view.edges):
        return view
    edges, others = view.edges[:number], view.edges[number:]
    used = {label for edge in edges for label in (edge.source, edge.target)}
    rest = tuple(sum(sums) for sums in zip(view.rest_sums, *(edge.sums for edge in others), strict=True))
    nodes = tuple(node for node in view.nodes if node.label in used)
    return replace(view, nodes=nodes, edges=edges, rest_edges=view.rest_edges + len(others), rest_sums=rest)


def parse_view(text: str) -> str:
    """Read by what a picture sees addresses: `asg`, `tag:app`, `address`; UsageError for anything else."""
    word = text.strip()
    if word.lower() == ADDRESS_VIEW:
        return ADDRESS_VIEW
    if named := parse_named(f"src.{word}"):
        return named.word.partition(".")[2]
    from difflib import get_close_matches

    words = (*NAMED_VIEWS, "kind", ADDRESS_VIEW)
    close = get_close_matches(word.lower().removeprefix("src.").removeprefix("dst."), words, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"a view is {', '.join(words)} or tag:KEY"
    raise UsageError(f"--view: {text!r} is none of a network", hint=hint)


def key_of_view(by: str, query: Query) -> tuple[str, ...]:
    """The parts of a key whose answer has the edges of a view: `src.asg,dst.asg,service`.

    With `--action ALL`, the action is among them; but a line of `--pairs` has none.
    """
    sides = ("srcaddr", "dstaddr") if by == ADDRESS_VIEW else (f"src.{by}", f"dst.{by}")
    action = ("action",) if query.action == "ALL" and not query.pairs else ()
    return (*(parse_part(side).word for side in sides), SERVICE, *action)


def picture_question(query: Query, *, interface: bool = False) -> Query:
    """The question that an engine answers for a picture: by hour, addresses, service and action.

    Args:
        query: what is asked; its key does not matter. With `pairs` edges go from clients to servers: if conversations
            are counted once, the engine is asked for the server's side of each flow, which has hours and actions; else
            it is asked for lines of pairs, which have none.
        interface: whether the key also has the interface (`address_question`).

    Raises:
        UsageError: the sums include a time.

    """
    if times := [metric for metric in query.metric if metric in TIME_METRICS]:
        raise UsageError(
            f"--metric {times[0]}: a picture shows sums, and a time is none", hint="bytes, packets and records are"
        )
    action = ("action",) if query.action == "ALL" else ()
    if not query.pairs:
        by = ("srcaddr", "dstaddr", SERVICE, *action)
        return address_question(replace(query, by=by), interface=interface)
    if query.count != "once" or query.ports != ALL_PORTS:
        return query
    metric = (query.metric[0], *(one for one in PAIR_METRICS if one != query.metric[0]))
    by = ("hour", "srcaddr", "dstaddr", "service-port", "side", "protocol", *action)
    return replace(query, by=by, metric=metric, pairs=False)


class _Numbers(dict[Any, int]):
    """Numbers texts, or other keys, in the order in which they appear."""

    def __missing__(self, text: Any) -> int:
        number = self[text] = len(self)
        return number


class _Texts(_Numbers):
    """Numbers texts, and has them by their numbers."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def __missing__(self, text: bytes) -> int:
        self.texts.append(text)
        return super().__missing__(text)


_End = tuple[str, Window | None, str]
"""Who talks: an address, its window of time, and the interface that logged it; empty if that is not known."""


class _Ends(dict[int, int]):
    """Numbers the ends of lines in the order in which they appear; equal ones where nothing can change their names.

    A key is made of the numbers of an address, an hour and an interface, 20 bits for each of the latter two.
    """

    def __init__(self, names: Names | None, window: Window | None) -> None:
        self.ends: list[_End] = []
        self.addresses, self.hours, self.interfaces = _Texts(), _Texts(), _Texts()
        self._names = names
        self._window = window
        self._known: dict[tuple[int, object, str], int] = {}

    def __missing__(self, key: int) -> int:
        address = self.addresses.texts[key >> 40]
        hour = self.hours.texts[key >> 20 & 0xFFFFF] if self.hours else b""
        interface = self.interfaces.texts[key & 0xFFFFF] if self.interfaces else b""
        window = self._window
        if hour:
            start = parse_seconds(hour)
            window = (start, start + HOUR_SECONDS)
        end = (address.decode(), window, interface.decode())
        kind: tuple[int, object, str] = (key >> 40, window, end[2])
        if self._names and window:
            # A name holds for all windows of one epoch after the interfaces were attached, and within a VPC.
            is_settled = self._names.attached_s(end[0]) < window[1]
            kind = (key >> 40, self._names.epoch(window) if is_settled else window, self._names.vpc_of(end[2]))
        number = self._known.setdefault(kind, len(self.ends))
        if number == len(self.ends):
            self.ends.append(end)
        self[key] = number
        return number


class Talkers:
    """All lines of an answer to `picture_question`, in arrays.

    Attributes:
        metrics: what the sums are of.
        hours: the hours of the lines, in seconds since 1970, ascending; empty if lines have none.
        services: labels by number.
        ends: who talks, by number, in the order of the lines.

    """

    def __init__(self, answer: Answer, services: Services, *, by_pairs: bool, names: Names | None) -> None:
        """Read the chunks of an answer.

        Args:
            answer: its key has `srcaddr`, `dstaddr`, `service-port` and `protocol`, or it is of pairs.
            services: the names of ports.
            by_pairs: whether edges go from clients to servers; then addresses are named for all hours at once, as
                lines of pairs are.
            names: what addresses are called in views; None if they are not named.

        Raises:
            ToptalkersError: a line is wrong.

        """
        query = answer.query
        columns = query.lines.names
        self.metrics = query.lines.sums
        if query.pairs:
            self.metrics = (query.metric[0], *(one for one in PAIR_METRICS if one != query.metric[0]))
        self._sums_at = [columns.index(metric) for metric in self.metrics]
        self._at = {one.name: at for at, one in enumerate(query.lines.columns)}
        self._is_rejected = query.action == "REJECT"
        self._source, self._target = ("client", "server") if query.pairs else ("srcaddr", "dstaddr")
        self._port = "port" if query.pairs else "service-port"
        self._width = query.line_columns
        self._keeps_hour = names is not None and "hour" in self._at and not by_pairs
        self._keeps_interface = names is not None and "interface-id" in self._at
        self._turns = by_pairs and "side" in self._at
        self.src, self.dst, self.service, self.hour = array("I"), array("I"), array("I"), array("I")
        self.sums = [array("q") for _ in self.metrics]
        ends = _Ends(names, answer.quality.window)
        ports, labels, hours = _Numbers(), _Numbers(), _Numbers()
        service_of: list[int] = []
        try:
            for chunk in answer.chunks:
                self._add(chunk, ends, ports, hours)
                for port, protocol, is_rejected in islice(ports, len(service_of), None):
                    text = services.label(port.decode(), protocol.decode())
                    service_of.append(2 * labels[text] + is_rejected)
            self._hour_of = [parse_seconds(one) for one in hours]
        except (ValueError, IndexError, OverflowError) as error:
            raise ToptalkersError(f"the answer has a wrong line: {error}") from error
        self.service = array("I", map(service_of.__getitem__, self.service))
        self.services = list(labels)
        self.hours = tuple(sorted(self._hour_of))
        self.ends = ends.ends

    def _add(self, chunk: bytes, ends: _Ends, ports: _Numbers, hours: _Numbers) -> None:
        fields = chunk.replace(b"\n", b"\t").split(b"\t")
        width = self._width
        if len(fields) == 1:
            return
        if len(fields) % width != 1 or fields.pop():
            raise ValueError(chunk[:100].decode(errors="replace"))

        def column(name: str) -> list[bytes]:
            return fields[self._at[name] :: width]

        sources, targets = column(self._source), column(self._target)
        if self._turns:
            for at, side in enumerate(column("side")):
                if side == b"src":
                    sources[at], targets[at] = targets[at], sources[at]
        # One after the other, so that ends are numbered in the order of the lines.
        both = sources + targets
        both[::2], both[1::2] = sources, targets
        keys: Iterable[int] = map(operator.lshift, map(ends.addresses.__getitem__, both), repeat(40))
        if self._keeps_hour:
            numbers = list(map(ends.hours.__getitem__, column("hour")))
            keys = map(operator.or_, keys, _twice(map(operator.lshift, numbers, repeat(20))))
        if self._keeps_interface:
            keys = map(operator.or_, keys, _twice(map(ends.interfaces.__getitem__, column("interface-id"))))
        found = array("I", map(ends.__getitem__, keys))
        self.src.extend(found[::2])
        self.dst.extend(found[1::2])
        rejected: Iterable[bool] = repeat(self._is_rejected)
        if "action" in self._at:
            rejected = map(b"REJECT".__eq__, column("action"))
        services = zip(column(self._port), column("protocol"), rejected, strict=False)
        self.service.extend(map(ports.__getitem__, services))
        if "hour" in self._at:
            self.hour.extend(map(hours.__getitem__, column("hour")))
        for values, at in zip(self.sums, self._sums_at, strict=True):
            values.extend(map(int, fields[at::width]))

    def __len__(self) -> int:
        return len(self.src)

    @property
    def totals(self) -> tuple[int, ...]:
        """What all lines have in all."""
        return tuple(map(sum, self.sums))

    @cached_property
    def _behind(self) -> "tuple[array[int], list[int], list[tuple[str, str, str]]]":
        """The lines by talker: the number of each line's, its sums packed into one number, and who the talkers are."""
        addresses = _Numbers()
        of_end = [addresses[end[0]] for end in self.ends]
        texts, wide, kinds = list(addresses), len(addresses), 2 * len(self.services)
        firsts = [number * wide * kinds for number in of_end]
        seconds = [number * kinds for number in of_end]
        talkers = _Numbers()
        ends = map(operator.add, map(firsts.__getitem__, self.src), map(seconds.__getitem__, self.dst))
        numbers = array("I", map(talkers.__getitem__, map(operator.add, ends, self.service)))
        packed: Iterable[int] = self.sums[0]
        for more in self.sums[1:]:
            packed = map(operator.or_, map(operator.lshift, packed, repeat(64)), more)
        who = []
        for key in talkers:
            pair, kind = divmod(key, kinds)
            source, target = divmod(pair, wide)
            who.append((texts[source], texts[target], self.services[kind // 2]))
        return numbers, list(packed), who

    def view(self, by: str, names: Names, *, top: int, command: str, has_action: bool = False) -> View:
        """The network seen by a property.

        Args:
            by: a word of `parse_view`.
            names: what addresses are called.
            top: how many edges are kept, 0 for all.
            command: the command that gives its figures.
            has_action: whether accepted and rejected edges are told apart in the answer of this command: it decides
                the order of edges with the same sum.

        """
        label_of = _labels(self.ends, by, names)
        numbers = _Numbers()
        of_end = [numbers[label] for label in label_of]
        labels = list(numbers)
        kinds = 2 * len(self.services)
        firsts = [number * len(labels) * kinds for number in of_end]
        seconds = [number * kinds for number in of_end]

        ends = map(operator.add, map(firsts.__getitem__, self.src), map(seconds.__getitem__, self.dst))
        numbered = map(operator.add, ends, self.service)
        keys = array("q", numbered) if len(labels) ** 2 * kinds < 1 << 63 else list(numbered)
        sums: dict[int, int] = {}
        of = sums.get
        for key, value in zip(keys, self.sums[0], strict=True):
            sums[key] = of(key, 0) + value

        def words(key: int) -> tuple[str, str, str, bool]:
            ends, kind = divmod(key, kinds)
            source, target = divmod(ends, len(labels))
            service, is_rejected = divmod(kind, 2)
            return labels[source], labels[target], self.services[service], bool(is_rejected)

        def text(key: int) -> bytes:
            *parts, is_rejected = words(key)
            return "\t".join((*parts, *(["REJECT" if is_rejected else "ACCEPT"] * has_action))).encode()

        ranked = _largest(sums, top, text)
        found = len(sums)
        sums.clear()
        behind = {key: _Behind() for key in ranked}
        self._look_behind(keys, behind)
        edges = tuple(self._edge(words(key), behind[key]) for key in ranked)
        shown = [sum(edge.sums[at] for edge in edges) for at in range(len(self.metrics))]
        return View(
            by,
            _nodes(edges, {label: self.ends[at] for at, label in _first_of_each(label_of)}, names),
            edges,
            found - len(edges),
            tuple(total - some for total, some in zip(self.totals, shown, strict=True)),
            self.totals,
            command,
        )

    def _look_behind(self, keys: Iterable[int], behind: "dict[int, _Behind]") -> None:
        """Collect the lines of the largest edges."""
        numbers, packed, _ = self._behind
        of = behind.get
        chosen = [(at, edge) for at, edge in enumerate(map(of, keys)) if edge is not None]
        for at, edge in chosen:
            talkers, talker = edge.talkers, numbers[at]
            talkers[talker] = talkers.get(talker, 0) + packed[at]
        if len(self.hours) > 1:
            first, hour = self.sums[0], self.hour
            for at, edge in chosen:
                hours, when = edge.hours, hour[at]
                hours[when] = hours.get(when, 0) + first[at]

    def _edge(self, words: tuple[str, str, str, bool], behind: "_Behind") -> Edge:
        who = self._behind[2]
        shift = 64 * (len(self.metrics) - 1)
        first = {talker: packed >> shift for talker, packed in behind.talkers.items()}
        largest = _largest(first, MOST_ROWS, lambda talker: "\t".join(who[talker]).encode())
        sums = self._unpacked(sum(behind.talkers.values()))
        hours = tuple(sorted((self._hour_of[when], value) for when, value in behind.hours.items()))
        if len(self.hours) == 1:
            hours = ((self.hours[0], sums[0]),)
        rows = tuple(Row(*who[talker], self._unpacked(behind.talkers[talker])) for talker in largest)
        return Edge(*words, sums, hours, rows, len(first) - len(largest))

    def _unpacked(self, packed: int) -> tuple[int, ...]:
        number = len(self.metrics)
        return tuple(packed >> 64 * (number - 1 - at) & (1 << 64) - 1 for at in range(number))


def _twice(numbers: Iterable[int]) -> Iterator[int]:
    """Each number two times: for both ends of a line."""
    return (number for one in numbers for number in (one, one))


class _Behind:
    """What is behind an edge: the sums by talker, 64 bits for each, and the first sum by the number of the hour."""

    __slots__ = ("hours", "talkers")

    def __init__(self) -> None:
        self.talkers: dict[int, int] = {}
        self.hours: dict[int, int] = {}


def _labels(ends: Iterable[_End], by: str, names: Names) -> list[str]:
    if by == ADDRESS_VIEW:
        return [address for address, _, _ in ends]
    part = parse_named(f"src.{by}")
    if part is None:
        raise ValueError(f"no view: {by}")
    return [names.label(part, *end) for end in ends]


def _first_of_each(labels: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Each label with the place where it is first."""
    seen: set[str] = set()
    for at, label in enumerate(labels):
        if label not in seen:
            seen.add(label)
            yield at, label


def _nodes(edges: Sequence[Edge], end_of: dict[str, _End], names: Names) -> tuple[Node, ...]:
    """The nodes of edges, the largest first; of equal ones the one that comes first."""
    sizes: dict[str, int] = {}
    for edge in edges:
        for label in dict.fromkeys((edge.source, edge.target)):
            sizes[label] = sizes.get(label, 0) + edge.sums[0]
    ranked = sorted(sizes, key=lambda label: -sizes[label])
    return tuple(Node(label, kind_of(names.label(_KIND, *end_of[label]))) for label in ranked)


def kind_of(label: str) -> str:
    """The kind that a label of `kind` says, without the mark of another time; the first of several."""
    kind = label.removeprefix("~").partition("|")[0]
    return "none" if kind in ("-", "") else kind


def _largest(sums: dict[int, int], top: int, text: Callable[[int], bytes]) -> list[int]:
    """The keys of the largest sums, `top` of them, 0 for all; equal ones in the order of their texts."""
    if top and len(sums) > top:
        least = heapq.nlargest(top, sums.values())[-1]
        ranked = sorted((-value, text(key), key) for key, value in sums.items() if value >= least)
        return [key for _, _, key in ranked[:top]]
    return [key for _, _, key in sorted((-value, text(key), key) for key, value in sums.items())]


def build_network(
    answer: Answer,
    query: Query,
    names: Names,
    services: Services,
    *,
    views: Sequence[str],
    top: int,
    command: Callable[[str], str],
    title: str,
    quality: str,
    made: str,
) -> Network:
    """Make a network from an answer, whose chunks are read.

    Args:
        answer: all talkers of `picture_question(query)`.
        query: the question.
        names: the names of addresses.
        services: the names of ports.
        views: by what it is seen; the first one is shown first.
        top: how many edges each view has, 0 for all.
        command: the command that gives the figures of a view.
        title: see `Network`.
        quality: see `Network`.
        made: see `Network`.

    Raises:
        ToptalkersError: a line of the answer is wrong.

    """
    is_named = any(view != ADDRESS_VIEW for view in views)
    talkers = Talkers(answer, services, by_pairs=query.pairs, names=names if is_named else None)
    return network_of(
        talkers, query, names, views=views, top=top, command=command, title=title, quality=quality, made=made
    )


def network_of(
    talkers: Talkers,
    query: Query,
    names: Names,
    *,
    views: Sequence[str],
    top: int,
    command: Callable[[str], str],
    title: str,
    quality: str,
    made: str,
) -> Network:
    """Make a network from talkers that are read; as `build_network`."""
    has_action = "action" in key_of_view(ADDRESS_VIEW, query)
    seen = tuple(talkers.view(by, names, top=top, command=command(by), has_action=has_action) for by in views)
    return Network(title, seen, talkers.metrics, talkers.hours, quality, made)
