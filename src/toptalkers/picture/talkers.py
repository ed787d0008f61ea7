"""From an answer by addresses to a network.

`Talkers` holds the lines in arrays: some 30 bytes for each, beside the addresses. A view is made in two passes: the
first adds up the first sum of every edge, and the second collects what is behind the largest.
"""

import heapq
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, compress, count, islice, repeat

from toptalkers.answer.answer import Answer
from toptalkers.errors import ToptalkersError
from toptalkers.machine.collector import without_collector
from toptalkers.machine.numbers import Numbers
from toptalkers.names.owners import Names, Window
from toptalkers.names.services import Services
from toptalkers.picture.network import (
    ADDRESS_VIEW,
    MOST_ROWS,
    PAIR_METRICS,
    Edge,
    Network,
    Node,
    Row,
    View,
    key_of_view,
)
from toptalkers.question.named import BETWEEN_OWNERS, OTHER_TIME, NamedPart, parse_named
from toptalkers.question.query import Query
from toptalkers.question.times import HOUR_SECONDS, parse_seconds

_KIND = NamedPart("src", "kind")

_Port = tuple[bytes, bytes, bool]
"""The port of a service, its protocol, and whether the record was rejected."""

_End = tuple[str, Window | None, str]
"""Who talks: an address, its window of time, and the interface that logged it; empty if that is not known."""


class _Ends:
    """Numbers the ends of lines in the order in which they appear; equal ones where nothing can change their names."""

    def __init__(self, names: Names | None, window: Window | None) -> None:
        self.ends: list[_End] = []
        self.names = names
        self.known: dict[tuple[bytes, object, str], int] = {}
        self.addresses: dict[bytes, bytes] = {}
        self._window = window
        self._logged: dict[tuple[bytes, bytes], _Logged] = {}

    def logged(self, hour: bytes, interface: bytes) -> "_Logged":
        """The numbers of those that one interface logged in one hour; empty for what is not known."""
        found = self._logged.get((hour, interface))
        if found is None:
            window = self._window
            if hour:
                start = parse_seconds(hour)
                window = (start, start + HOUR_SECONDS)
            found = self._logged[hour, interface] = _Logged(self, window, interface.decode())
        return found


class _Logged(dict[bytes, int]):
    """The numbers of ends by their address: of those with one window and one interface."""

    def __init__(self, every: _Ends, window: Window | None, interface: str) -> None:
        self._every = every
        self._window = window
        self._interface = interface
        self._epoch = every.names.epoch(window) if every.names else 0
        self._vpc = every.names.vpc_of(interface) if every.names else ""

    def __missing__(self, text: bytes) -> int:
        every = self._every
        text = every.addresses.setdefault(text, text)
        kind: tuple[bytes, object, str] = (text, self._window, self._interface)
        address = text.decode()
        if every.names and self._window:
            # A name holds for all windows of one epoch after the interfaces were attached, and within a VPC.
            is_settled = every.names.attached_s(address) < self._window[1]
            kind = (text, self._epoch if is_settled else self._window, self._vpc)
        number = every.known.setdefault(kind, len(every.ends))
        if number == len(every.ends):
            every.ends.append((address, self._window, self._interface))
        self[text] = number
        return number


class _Talks:
    """The lines of an answer, added up over hours: one talk for each source, target, service and action.

    Attributes:
        src: the numbers of the sources.
        dst: the numbers of the targets.
        service: the numbers of services and actions, as in `Talkers.service`.
        sums: by metric, and by talk.
        ranked: all talks, the largest first.

    """

    def __init__(self, talkers: "Talkers") -> None:
        self.src, self.dst, self.service = talkers.src, talkers.dst, talkers.service
        self.sums: Sequence[Sequence[int]] = talkers.sums
        self._hour, self._values = talkers.hour, talkers.sums[0]
        # Of each line, the one before it with the same talk, and the last line of each talk.
        self._before: array[int] | None = None
        self._last: array[int] | None = None
        keys = list(_keys(range(len(talkers.ends)), 2 * len(talkers.services), self.src, self.dst, self.service))
        different = dict.fromkeys(keys)
        if len(different) < len(keys):
            number_of = dict(zip(different, count(), strict=False))
            self._add_up(array("I", map(number_of.__getitem__, keys)))
        del different, keys
        first = self.sums[0]
        self.ranked = array("I", sorted(range(len(self.src)), key=first.__getitem__, reverse=True))
        self._talker = self._talkers([end[0] for end in talkers.ends], 2 * len(talkers.services))

    def _add_up(self, of_line: "array[int]") -> None:
        lines = array("I")
        before = array("i", [-1]) * len(of_line)
        for line, talk in enumerate(of_line):
            if talk == len(lines):
                lines.append(line)
        last = array("i", [-1]) * len(lines)
        for line, talk in enumerate(of_line):
            before[line] = last[talk]
            last[talk] = line
        self._before, self._last = before, last
        sums = [[0] * len(lines) for _ in self.sums]
        for added, values in zip(sums, self.sums, strict=True):
            for talk, value in zip(of_line, values, strict=True):
                added[talk] += value
        self.sums = sums
        self.src, self.dst, self.service = (
            array("I", map(values.__getitem__, lines)) for values in (self.src, self.dst, self.service)
        )

    def _talkers(self, addresses: Sequence[str], kinds: int) -> "array[int] | None":
        """By talk, the first one with the same addresses; None if each talk has its own."""
        numbers: Numbers[str] = Numbers()
        of_end = [numbers[address] for address in addresses]
        if len(numbers) == len(of_end):
            return None
        firsts: dict[int, int] = {}
        keys = _keys(of_end, kinds, self.src, self.dst, self.service)
        return array("I", (firsts.setdefault(key, talk) for talk, key in enumerate(keys)))

    def hours(self, talks: Iterable[int]) -> dict[int, int]:
        """The first sum of some talks by the number of the hour."""
        found: dict[int, int] = {}
        hour, values, before, last = self._hour, self._values, self._before, self._last
        if before is None or last is None:
            for line in talks:
                found[hour[line]] = found.get(hour[line], 0) + values[line]
            return found
        for talk in talks:
            line = last[talk]
            while line >= 0:
                found[hour[line]] = found.get(hour[line], 0) + values[line]
                line = before[line]
        return found

    def of_talkers(self, talks: Sequence[int]) -> tuple[Sequence[int], Sequence[Sequence[int]]]:
        """The talks, added up where their addresses are the same: numbers of talks, and their sums by metric."""
        columns = [list(map(values.__getitem__, talks)) for values in self.sums]
        if self._talker is None:
            return talks, columns
        numbers: Numbers[int] = Numbers()
        at = [numbers[talker] for talker in map(self._talker.__getitem__, talks)]
        added = [[0] * len(numbers) for _ in columns]
        for column, values in zip(added, columns, strict=True):
            for number, value in zip(at, values, strict=True):
                column[number] += value
        return list(numbers), added


def _keys(
    of_end: Sequence[int], kinds: int, src: Iterable[int], dst: Iterable[int], service: Iterable[int]
) -> Iterator[int]:
    """A number for each line, which tells its ends, as `of_end` numbers them, and its service apart."""
    wide = (max(of_end, default=0) + 1) * kinds
    firsts = [number * wide for number in of_end]
    seconds = [number * kinds for number in of_end]
    ends = map(operator.add, map(firsts.__getitem__, src), map(seconds.__getitem__, dst))
    return map(operator.add, ends, service)


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
        ports: Numbers[_Port] = Numbers()
        labels: Numbers[str] = Numbers()
        hours: Numbers[bytes] = Numbers()
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
        self._known_outside: tuple[Names, list[tuple[str, bool] | None]] | None = None

    def _add(self, chunk: bytes, ends: _Ends, ports: Numbers[_Port], hours: Numbers[bytes]) -> None:
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
        nothing: Sequence[bytes] = (b"",)
        logged_in = column("hour") if self._keeps_hour else nothing
        logged_by = column("interface-id") if self._keeps_interface else nothing
        if len({*logged_in}) == 1 and len({*logged_by}) == 1:
            numbers = map(ends.logged(logged_in[0], logged_by[0]).__getitem__, both)
        else:
            number = len(sources)
            logged = map(
                ends.logged,
                logged_in if self._keeps_hour else repeat(b"", number),
                logged_by if self._keeps_interface else repeat(b"", number),
            )
            numbers = map(operator.getitem, (one for one in logged for _ in (0, 1)), both)
        found = array("I", numbers)
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
    def _talks(self) -> _Talks:
        return _Talks(self)

    def _outside(self, names: Names) -> Sequence[tuple[str, bool] | None]:
        """What `Names.outside` says of each end."""
        if self._known_outside is None or self._known_outside[0] is not names:
            self._known_outside = (names, [names.outside(address) for address, _, _ in self.ends])
        return self._known_outside[1]

    def _labels(self, by: str, names: Names) -> list[str]:
        """What each end is called."""
        if by == ADDRESS_VIEW:
            return [address for address, _, _ in self.ends]
        part = parse_named(f"src.{by}")
        if part is None:
            raise ValueError(f"no view: {by}")
        if by == "kind":
            return [names.label(part, *end) for end in self.ends]
        by_network = by in ("subnet", "vpc", "zone")
        return [
            names.label(part, *end) if known is None or (by_network and known[1]) else known[0]
            for end, known in zip(self.ends, self._outside(names), strict=True)
        ]

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
        label_of = self._labels(by, names)
        numbers: Numbers[str] = Numbers()
        of_end = [numbers[label] for label in label_of]
        labels = list(numbers)
        kinds = 2 * len(self.services)

        def words(key: int) -> tuple[str, str, str, bool]:
            ends, kind = divmod(key, kinds)
            source, target = divmod(ends, len(labels))
            service, is_rejected = divmod(kind, 2)
            return labels[source], labels[target], self.services[service], bool(is_rejected)

        def text(key: int) -> bytes:
            *parts, is_rejected = words(key)
            return "\t".join((*parts, *(["REJECT" if is_rejected else "ACCEPT"] * has_action))).encode()

        # A talk between two that share their labels with nobody is an edge of its own; only the others are added up.
        talks = self._talks
        sharing = _sharing(of_end, len(labels))
        is_mixed = bytes(map(operator.or_, map(sharing.__getitem__, talks.src), map(sharing.__getitem__, talks.dst)))
        mixed = array("I", compress(range(len(is_mixed)), is_mixed))

        def keys_of(chosen: Sequence[int]) -> Iterator[int]:
            columns = (map(values.__getitem__, chosen) for values in (talks.src, talks.dst, talks.service))
            return _keys(of_end, kinds, *columns)

        keys = array("q", keys_of(mixed)) if len(labels) ** 2 * kinds < 1 << 63 else list(keys_of(mixed))
        first = talks.sums[0]
        sums: dict[int, int] = {}
        of = sums.get
        for key, value in zip(keys, map(first.__getitem__, mixed), strict=True):
            sums[key] = of(key, 0) + value
        found = len(sums) + len(is_mixed) - len(mixed)
        alone: list[int] = []
        for talk in talks.ranked:
            if is_mixed[talk]:
                continue
            if top and len(alone) >= top and first[talk] < first[alone[top - 1]]:
                break
            alone.append(talk)
        keys_alone = list(keys_of(alone))
        sums.update(zip(keys_alone, map(first.__getitem__, alone), strict=True))
        ranked = _largest(sums, top, text)
        sums.clear()
        behind: dict[int, list[int]] = {key: [] for key in ranked}
        for talk, edge in chain(
            zip(mixed, map(behind.get, keys), strict=True), zip(alone, map(behind.get, keys_alone), strict=True)
        ):
            if edge is not None:
                edge.append(talk)
        edges = tuple(self._edge(words(key), behind[key]) for key in ranked)
        shown = [sum(edge.sums[at] for edge in edges) for at in range(len(self.metrics))]
        first_end = dict(zip(reversed(label_of), reversed(self.ends), strict=True))
        return View(
            by,
            _nodes(edges, first_end, names),
            edges,
            found - len(edges),
            tuple(total - some for total, some in zip(self.totals, shown, strict=True)),
            self.totals,
            command,
        )

    def _edge(self, words: tuple[str, str, str, bool], behind: Sequence[int]) -> Edge:
        talks = self._talks

        def who(talk: int) -> tuple[str, str, str]:
            source, target = self.ends[talks.src[talk]][0], self.ends[talks.dst[talk]][0]
            return source, target, self.services[talks.service[talk] // 2]

        talkers, columns = talks.of_talkers(behind)
        sums = tuple(map(sum, columns))
        first = dict(zip(talkers, columns[0], strict=True))
        largest = _largest(first, MOST_ROWS, lambda talk: "\t".join(who(talk)).encode())
        at = {talk: number for number, talk in enumerate(talkers)} if len(talkers) > 1 else dict.fromkeys(talkers, 0)
        rows = tuple(Row(*who(talk), tuple(column[at[talk]] for column in columns)) for talk in largest)
        hours: tuple[tuple[int, int], ...] = ()
        if len(self.hours) == 1:
            hours = ((self.hours[0], sums[0]),)
        elif self.hours:
            hours = tuple(sorted((self._hour_of[when], value) for when, value in talks.hours(behind).items()))
        return Edge(*words, sums, hours, rows, len(first) - len(largest))


def _sharing(of_end: Sequence[int], count: int) -> bytes:
    """By end, 1 if its number is that of other ends, too, else 0."""
    having = [0] * count
    for number in of_end:
        having[number] += 1
    return bytes(having[number] > 1 for number in of_end)


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
    kind = label.removeprefix(OTHER_TIME).partition(BETWEEN_OWNERS)[0]
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
    with without_collector():
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
    with without_collector():
        seen = tuple(talkers.view(by, names, top=top, command=command(by), has_action=has_action) for by in views)
    return Network(title, seen, talkers.metrics, talkers.hours, quality, made)
