"""The company's traffic of one day as flow records: lines in the default format or in the rich one.

A connection is made once, as the heads and tails of all the records that its interfaces log. Each time it is
drawn, one draw of sizes and one of times come between them. This is fast, and also realistic: both interfaces of a
connection inside the VPC log the same packets. A connection is drawn again only after its last record has ended.

What was really sent is added up meanwhile (`Traffic.truth`). Some records do not tell it as it was: they are lost, or
come twice.

The same seed gives the same lines on every platform and Python: the only random function is `Random.random()`, and
the only floating-point operation is multiplication, which IEEE 754 defines to the last bit (powers are not).
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count, pairwise

from toptalkers.sample.company import (
    ACCOUNT_ID,
    HOSTS,
    IDLE_HOSTS,
    LOSSY_HOSTS,
    OBJECT_STORE,
    PAYMENT_SERVICE,
    REGION,
    SERVICES,
    TCP,
    TWICE_LOGGED_TIER,
    VPC_ID,
    Flows,
    Host,
    Route,
    Service,
    hosts_of,
)

FIRST_SECOND = 1_793_491_200
"""2026-11-01T00:00:00Z, in seconds since 1970."""

SLICE_SECONDS = 300
"""AWS delivers about every five minutes."""

SLICES = 288
"""Five-minute slices in the day."""

_HOURLY_SHARES = (5, 4, 3, 3, 3, 4, 6, 9, 12, 14, 15, 15, 14, 14, 15, 15, 14, 13, 13, 14, 13, 11, 9, 7)
_BATCH_RECORDS = 20_000
_RECORDS_PER_NODATA = 80
_RECORDS_PER_SKIPDATA = 1500
_LOST_AT_ONCE = 5
_RECORDS_PER_REDELIVERY = 20_000
_REDELIVERED = 30
"""So many records come a second time, in the next batch."""

_DRAWN_SIZES = 512
_LOWEST_EPHEMERAL_PORT, _EPHEMERAL_PORTS = 32768, 28232
_NAT_PORTS = 64512
_WINDOW_SECONDS = 60
_DENIED_ROUTES = frozenset({Route.SCAN, Route.DENIED})
_LONGEST_CONVERSATION = 6
"""The most records per capture window of one conversation (through NAT)."""

_DIGIT_BITS = 64

_MOST_CONNECTIONS = 10_000
"""At most so many connections of a service are open at a time, so that memory is bounded."""

_MOST_LATE = 12
"""About so many records of a batch come with the next one, or more if some are delivered again."""

_LONG_WINDOWS = 10
"""The windows of other interfaces in one of an interface with long windows."""

# Which part of a drawn window a record uses: one end's request or reply, the other end's, or a denied request.
_NEAR_REQUEST, _NEAR_REPLY, _FAR_REQUEST, _FAR_REPLY, _DENIED_REQUEST = range(5)

# traffic-path of the flow-log records, for egress only.
_PATH_SAME_VPC, _PATH_VPN, _PATH_INTERNET = "1", "3", "8"

_AWS_SERVICES = dict.fromkeys(OBJECT_STORE, "S3") | dict.fromkeys(PAYMENT_SERVICE, "AMAZON")

_Record = tuple[Callable[[str], None], int, str, str, str]
"""Where its lines go, which part it uses, and the texts before the part, before the flags and after them."""

_Sizes = tuple[str, str, int]
"""`packets bytes` of a request and of its reply, and the four numbers as `_pack` has them."""

_Flags = tuple[str, str, str, str, str]
"""The TCP flags of each part."""

_Times = tuple[str, str, str, int, int]
"""`start end action status` as the near, far and denying ends log it, the earliest start and the latest end."""

Talk = tuple[str, str, int, int]
"""A conversation: client, server, the server's port, protocol."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent in one conversation, both ways, and over how many connections."""

    talk: Talk
    packets_to_server: int
    bytes_to_server: int
    packets_to_client: int
    bytes_to_client: int
    connections: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What was really sent in a day, and what the records lack or have too many of.

    Attributes:
        conversations: those that were accepted at both ends; most bytes first, then by client, server, port, protocol.
        denied: attempts that the server's side rejected, in the same order.
        lost: how many records of an interface were lost, by its id.
        duplicates: how many records are exact copies of others.

    """

    conversations: list[Sent]
    denied: list[Sent]
    lost: dict[str, int]
    duplicates: int


def records_by_slice(records: int) -> list[int]:
    """Split a day's records among its slices, more by day than by night; the sum is exact."""
    total = sum(_HOURLY_SHARES) * (SLICES // 24)
    edges = [0]
    for number in range(SLICES):
        edges.append(edges[-1] + _HOURLY_SHARES[number * 24 // SLICES])
    return [records * high // total - records * low // total for low, high in pairwise(edges)]


def _pack(*numbers: int) -> int:
    """Make one number of some below 2^64, so that one addition adds all of them."""
    return sum(number << _DIGIT_BITS * place for place, number in enumerate(numbers))


def _unpack(packed: int, numbers: int) -> list[int]:
    """Make as many numbers again of the sum of what `_pack` made."""
    return [packed >> _DIGIT_BITS * place & (1 << _DIGIT_BITS) - 1 for place in range(numbers)]


_A_CONNECTION = _pack(0, 0, 0, 0, 1)


class _Sum:
    """What was sent in a conversation: packets and bytes to the server, to the client, and connections; see `_pack`."""

    __slots__ = ("packed",)

    def __init__(self) -> None:
        self.packed = 0


class _Connection:
    """A connection: what its interfaces log, when they did last, and what was sent in its conversation.

    Attributes:
        records: those of interfaces with short windows.
        slow: those of interfaces with long windows.
        sent: the sum of its conversation.
        last: when its last record ended; 0 before the first.

    """

    __slots__ = ("last", "records", "sent", "slow")

    def __init__(self, records: list[_Record], slow: list[_Record], sent: _Sum) -> None:
        self.records = records
        self.slow = slow
        self.sent = sent
        self.last = 0


def _parts(request: str, reply: str, time: _Times) -> tuple[str, str, str, str, str]:
    near, far, denied, _, _ = time
    return request + near, reply + near, request + far, reply + far, request + denied


def _joined(first: _Times, last: _Times) -> _Times:
    """The time from the beginning of one window to the end of another."""
    near, far, denied = (
        f" {one.split(' ', 2)[1]} {other.split(' ', 2)[2]}" for one, other in zip(first[:3], last[:3], strict=True)
    )
    return near, far, denied, first[3], last[4]


class _Voice:
    """The state of one service: its open connections, and the sizes and flags that it draws from."""

    __slots__ = (
        "closing",
        "connections",
        "flags",
        "has_two_ends",
        "is_denied",
        "next_port",
        "of_pair",
        "service",
        "sizes",
        "turn",
    )

    def __init__(self, service: Service, sizes: list[_Sizes], next_port: Iterator[int]) -> None:
        self.service = service
        self.connections: list[_Connection | None] = [None] * service.open_at_once
        self.turn = 0
        self.closing = 1 / service.windows
        self.sizes = sizes
        self.flags = _flags(service)
        self.has_two_ends = service.route in {Route.INSIDE, Route.THROUGH_NAT, Route.THROUGH_BALANCER}
        self.is_denied = service.route in _DENIED_ROUTES
        self.next_port = next_port
        self.of_pair: dict[tuple[object, object], _Connection] = {}
        """The only connection of a client and a server, if the service has only one port for clients."""


def _flags(service: Service) -> tuple[_Flags, _Flags, _Flags, _Flags]:
    """The flags in a window amid a connection, in its last one, in its first one, and in its only one.

    SYN is 2, SYN-ACK 18, FIN 1; AWS ORs those of a window, and logs no others.
    """
    if service.protocol != TCP:
        plain = ("0", "0", "0", "0", "0")
        return plain, plain, plain, plain
    tried = "2"
    return (
        ("0", "0", "0", "0", tried),
        ("1", "1", "1", "1", tried),
        ("2", "18", "2", "18", tried),
        ("3", "19", "3", "19", tried),
    )


@cache
def _sizes_of_services() -> tuple[list[_Sizes], ...]:
    """Draw the possible sizes of each service. Like the services, they do not depend on the seed."""
    draw = random.Random(FIRST_SECOND).random  # noqa: S311 - made-up traffic, not secrets
    return tuple([_draw_sizes(service, draw) for _ in range(_DRAWN_SIZES)] for service in SERVICES)


def _draw_sizes(service: Service, draw: Callable[[], float]) -> _Sizes:
    """Draw the packets and bytes of a request and of its reply, which is nothing if the request is denied."""
    uniform = draw()
    size = uniform * uniform * uniform * uniform

    def draw_size(flows: Flows) -> tuple[int, int]:
        low, high = flows.packets
        packets = low + int((high - low) * size * (0.8 + 0.2 * draw()))
        low, high = flows.packet_bytes
        return packets, packets * low + int(packets * (high - low) * draw())

    request, reply = draw_size(service.request), draw_size(service.reply)
    if service.route in _DENIED_ROUTES:
        reply = 0, 0
    return f" {request[0]} {request[1]}", f" {reply[0]} {reply[1]}", _pack(*request, *reply)


class Traffic:
    """A day of the company's traffic, for one seed and one format."""

    def __init__(self, seed: int, *, rich: bool) -> None:
        """Start without connections and records."""
        self._draw = random.Random(seed).random  # noqa: S311 - made-up traffic, not secrets
        self._rich = rich
        self._version = "5" if rich else "2"
        # The services of one port share their clients' ports: none is used again before all others were.
        next_ports = {
            (service.port, service.protocol): count(int(_EPHEMERAL_PORTS * self._draw())) for service in SERVICES
        }
        self._voices = [
            _Voice(service, sizes, next_ports[service.port, service.protocol])
            for service, sizes in zip(SERVICES, _sizes_of_services(), strict=True)
        ]
        self._turns = [voice for voice in self._voices for _ in range(voice.service.weight)]
        self._lines: dict[Host, list[str]] = {host: [] for host in HOSTS}
        self._begins = {
            host: (lines.append, f"{self._version} {ACCOUNT_ID} {host.interface_id} ")
            for host, lines in self._lines.items()
        }
        self._logged_again: list[str] = []  # by the second flow log of one tier
        self._late: list[str] = []
        self._nat = {host.subnet.az_id: (host, count(int(_NAT_PORTS * self._draw()))) for host in hosts_of("nat")}
        self._balancers = {host.subnet.az_id: host for host in hosts_of(TWICE_LOGGED_TIER)}
        self._until_nodata = _RECORDS_PER_NODATA
        self._until_skipdata = _RECORDS_PER_SKIPDATA
        self._until_redelivery = _RECORDS_PER_REDELIVERY // 10
        self._sent: dict[Talk, _Sum] = {}
        self._denied: dict[Talk, _Sum] = {}
        self._lost: dict[str, int] = {}
        self._duplicates = 0

    def batches(self, records: int) -> Iterator[list[str]]:
        """Yield that many record lines, without line ends, in batches of up to some ten thousand.

        A batch covers five minutes or a part of them and has the interfaces one after the other, as in real
        deliveries. No batch crosses the end of its slice; `records_by_slice` says where the slices end. Some records
        come late: they began up to ten minutes before their slice, or belong to the end of the batch before.
        """
        rest = records
        for number, wanted in enumerate(records_by_slice(records)):
            batches = -(-wanted // _BATCH_RECORDS)
            for part in range(batches):
                begin, end = wanted * part // batches, wanted * (part + 1) // batches
                rest -= end - begin
                yield self._batch(
                    FIRST_SECOND + number * SLICE_SECONDS + SLICE_SECONDS * part // batches,
                    SLICE_SECONDS // batches,
                    end - begin,
                    rest,
                )

    def truth(self) -> Truth:
        """Tell what was sent in the batches so far."""
        return Truth(_in_order(self._sent), _in_order(self._denied), dict(self._lost), self._duplicates)

    def _batch(self, start: int, seconds: int, records: int, rest: int) -> list[str]:
        """Make a batch; `rest` is how many records are to come after it."""
        times = self._times(start, seconds, min(256, records))
        left = records - len(self._late)
        left -= self._log_nodata(start, seconds, records, max(0, left))
        left = self._fill(times, records, left, rest)
        left = self._fill(times, records, left + self._lose(records), rest)
        self._duplicates += len(self._logged_again)
        lines = self._late
        for of_host in (*self._lines.values(), self._logged_again):
            lines += of_host
            of_host.clear()
        self._late = lines[records:]
        del lines[records:]
        self._redeliver(lines, rest)
        return lines

    def _fill(self, times: list[_Times], records: int, left: int, rest: int) -> int:
        """Log records until none of a batch's is left to be made; return by how many they are too many, negative."""
        draw, rich, turns, slots = self._draw, self._rich, self._turns, len(times)
        many = len(turns)
        parts: tuple[str, ...]
        while left > 0:
            voice = turns[int(draw() * many)]
            time = times[(records - left) * slots // records]
            near, far, denied, start, end = time
            connections = voice.connections
            # In turn, so that the one that is due has rested longest.
            at = voice.turn = (voice.turn or len(connections)) - 1
            connection = connections[at]
            if connection is None:
                connection = connections[at] = self._open(voice)
            last = connection.last
            if last >= start:
                at = self._find(voice, at, start)
                connection = connections[at]
                if connection is None:
                    continue
                last = connection.last
            of_window = connection.records
            if left < _LONGEST_CONVERSATION and len(of_window) + len(connection.slow) > left + rest:
                continue
            uniform = draw()
            closes = uniform < voice.closing
            if closes:
                connections[at] = None
            if connection.slow:
                most = min(left + rest, max(left, _MOST_LATE))
                left -= self._log_long_window(voice, connection, time, most, closes=closes)
                continue
            request, reply, packed = voice.sizes[int(uniform * _DRAWN_SIZES)]
            connection.sent.packed += packed if last else packed + _A_CONNECTION
            connection.last = end
            if voice.has_two_ends:
                parts = (request + near, reply + near, request + far, reply + far)
            elif voice.is_denied:
                parts = (request + near, "", "", "", request + denied)
            else:
                parts = ("", "", request + far, reply + far)
            if rich:
                flags = voice.flags[closes if last else 2 + closes]
                for log, part, head, before, after in of_window:
                    log(f"{head}{parts[part]}{before}{flags[part]}{after}")
            else:
                for log, part, head, _, _ in of_window:
                    log(head + parts[part])
            left -= len(of_window)
        return left

    def _find(self, voice: _Voice, at: int, start: int) -> int:
        """Find the place of a connection that has no record at a time, below a place; None is there if none has."""
        connections = voice.connections
        for step in range(1, 4):
            place = (at - step) % len(connections)
            connection = connections[place]
            if connection is None:
                connection = connections[place] = self._open(voice)
            if connection.last < start:
                return place
        connection = self._open(voice)
        if connection.last >= start:
            connections[at] = None
        elif len(connections) < _MOST_CONNECTIONS:
            connections.append(connection)
            return len(connections) - 1
        else:
            connections[at] = connection
        return at

    def _log_long_window(self, voice: _Voice, connection: _Connection, time: _Times, most: int, *, closes: bool) -> int:
        """Log some windows in a row, up to a time, as one record of the slow interfaces; return how many records.

        The slow ones have the sums of the others. There are at most so many records as are given.
        """
        draw, sizes = self._draw, voice.sizes
        start = time[3]
        uniform = draw()
        windows = 1 + int(_LONG_WINDOWS * uniform * uniform * uniform) if voice.closing < 1 else 1
        free = max(connection.last + 1, FIRST_SECOND)
        windows = min(windows, 1 + (start - free) // _WINDOW_SECONDS)
        fast, slow = connection.records, connection.slow
        if fast:
            windows = max(1, min(windows, (most - len(slow)) // len(fast)))
        opens = not connection.last
        total = 0
        begin = time
        for before in range(windows - 1, 0, -1):
            of_window = self._window(start - before * _WINDOW_SECONDS)
            request, reply, packed = sizes[int(draw() * _DRAWN_SIZES)]
            is_first = not total
            if is_first:
                begin = of_window
            total += packed
            self._log(fast, _parts(request, reply, of_window), voice.flags[2 * (opens and is_first)])
        request, reply, packed = sizes[int(draw() * _DRAWN_SIZES)]
        parts = _parts(request, reply, time)
        self._log(fast, parts, voice.flags[2 * (opens and not total) + closes])
        if total:
            numbers = _unpack(total + packed, 4)
            parts = _parts(f" {numbers[0]} {numbers[1]}", f" {numbers[2]} {numbers[3]}", _joined(begin, time))
        self._log(slow, parts, voice.flags[2 * opens + closes])
        connection.sent.packed += total + packed + _A_CONNECTION * opens
        connection.last = time[4]
        return len(slow) + len(fast) * windows

    def _log(self, records: list[_Record], parts: tuple[str, ...], flags: _Flags) -> None:
        for log, part, head, before, after in records:
            log(f"{head}{parts[part]}{before}{flags[part]}{after}" if self._rich else head + parts[part])

    def _times(self, start: int, seconds: int, slots: int) -> list[_Times]:
        """Draw capture windows along a batch."""
        return [self._window(start + seconds * slot // slots) for slot in range(slots)]

    def _window(self, near: int) -> _Times:
        """Draw how a window of up to a minute is logged; the two ends differ by up to a second."""
        draw = self._draw
        last = FIRST_SECOND + SLICES * SLICE_SECONDS - 1
        short = draw()
        end = min(near + 1 + int(58 * (1 - short * short * short)), last)
        uniform = draw()
        far, far_end = near + int(2 * uniform), min(end + int(4 * uniform) % 2, last)
        far = min(far, far_end)
        return f" {near} {end} ACCEPT OK", f" {far} {far_end} ACCEPT OK", f" {far} {far_end} REJECT OK", near, far_end

    def _log_nodata(self, start: int, seconds: int, records: int, most: int) -> int:
        """Log the windows without traffic, at most so many; return how many."""
        self._until_nodata -= records
        silent = 0
        while self._until_nodata <= 0 and silent < most:
            self._until_nodata += _RECORDS_PER_NODATA
            silent += 1
            host = IDLE_HOSTS[int(self._draw() * len(IDLE_HOSTS))]
            self._log_silence(host, start + int(seconds * self._draw()), "NODATA")
        return silent

    def _lose(self, records: int) -> int:
        """Lose a few records of an interface that began within a minute, and log that; return how many are missing."""
        missing = 0
        self._until_skipdata -= records
        while self._until_skipdata <= 0:
            host = LOSSY_HOSTS[int(self._draw() * len(LOSSY_HOSTS))]
            lines = [line for line in self._lines[host] if " OK" in line]
            if not lines:
                break
            at = int(self._draw() * len(lines))
            begin = _start(lines[at])
            lost = 0
            while lost < _LOST_AT_ONCE and at < len(lines) and begin <= _start(lines[at]) < begin + _WINDOW_SECONDS:
                self._lines[host].remove(lines[at])
                at += 1
                lost += 1
            self._log_silence(host, begin, "SKIPDATA")
            self._until_skipdata += _RECORDS_PER_SKIPDATA
            self._lost[host.interface_id] = self._lost.get(host.interface_id, 0) + lost
            missing += lost - 1
        return missing

    def _log_silence(self, host: Host, begin: int, status: str) -> None:
        end = min(begin + 58, FIRST_SECOND + SLICES * SLICE_SECONDS - 1)
        line = f"{self._version} {ACCOUNT_ID} {host.interface_id} - - - - - - - {begin} {end} - {status}"
        if self._rich:
            line += f" {VPC_ID} {host.subnet.subnet_id} {host.instance_id} - - - - {REGION} {host.subnet.az_id} - - - -"
        self._lines[host].append(line)

    def _redeliver(self, lines: list[str], rest: int) -> None:
        """Let some records of a batch come again in the next one, from time to time."""
        self._until_redelivery -= len(lines)
        again = lines[:_REDELIVERED]
        if self._until_redelivery <= 0 and len(self._late) + len(again) <= rest:
            self._until_redelivery += _RECORDS_PER_REDELIVERY
            self._late += again
            self._duplicates += sum(" OK" in line for line in again)

    def _open(self, voice: _Voice) -> _Connection:
        """Open a connection: make every record of one capture window."""
        draw, service = self._draw, voice.service
        uniform = draw()
        preferred = uniform
        for _ in range(service.skew - 1):
            preferred *= uniform
        client = service.clients[int(preferred * len(service.clients))]
        server = service.servers[int(draw() * len(service.servers))]
        if client is server:
            server = service.servers[service.servers.index(server) - 1]
        if service.client_port or not service.port:
            known = voice.of_pair.get((client, server))
            if known is None:
                known = voice.of_pair[client, server] = self._connect(voice, client, server, service.client_port)
            return known
        number = next(voice.next_port) * 17389 % _EPHEMERAL_PORTS
        return self._connect(voice, client, server, _LOWEST_EPHEMERAL_PORT + number)

    def _connect(self, voice: _Voice, client: Host | str, server: Host | str, client_port: int) -> _Connection:
        service = voice.service
        route, port, protocol = service.route, service.port, service.protocol
        asks = f" {client_port} {port} {protocol}"
        answers = f" {port} {client_port} {protocol}"
        slow: list[_Record] = []
        if isinstance(server, str):
            assert isinstance(client, Host)  # noqa: S101 - the table of services has no other kind
            source, target = client.ipv4, server
            at_client, records = self._through_nat(client, server, service, asks, answers)
            if client.window_s == _WINDOW_SECONDS:
                records += at_client
            else:
                slow = at_client
        elif isinstance(client, Host):
            source, target = client.ipv4, server.secondary or server.ipv4
            at_client, at_server = self._inside(client, server, target, asks, answers, denied=voice.is_denied)
            records = []
            for host, of_host in ((client, at_client), (server, at_server)):
                if host.window_s == _WINDOW_SECONDS:
                    records += of_host
                else:
                    slow += of_host
        else:
            source, target = client, server.ipv6 if ":" in client else server.ipv4
            records = self._from_outside(route, source, server, target, asks, answers)
        sums = self._denied if voice.is_denied else self._sent
        talk = (source, target, port, protocol)
        sent = sums.get(talk)
        if sent is None:
            sent = sums[talk] = _Sum()
        return _Connection(records, slow, sent)

    def _inside(
        self, client: Host, server: Host, target: str, asks: str, answers: str, *, denied: bool
    ) -> tuple[list[_Record], list[_Record]]:
        """Log at both ends; the server's own interface knows it by its primary address."""
        source, own = client.ipv4, server.ipv4
        to_own, from_own = ((source, target), (target, source)) if own != target else (None, None)
        asked = self._record(client, _NEAR_REQUEST, source, target, asks, path=_PATH_SAME_VPC)
        if denied:
            return [asked], [self._record(server, _DENIED_REQUEST, source, own, asks, packet=to_own)]
        return [asked, self._record(client, _NEAR_REPLY, target, source, answers)], [
            self._record(server, _FAR_REQUEST, source, own, asks, packet=to_own),
            self._record(server, _FAR_REPLY, own, source, answers, path=_PATH_SAME_VPC, packet=from_own),
        ]

    def _through_nat(
        self, client: Host, server: str, service: Service, asks: str, answers: str
    ) -> tuple[list[_Record], list[_Record]]:
        """Log at the client, and both faces of the NAT gateway as AWS does ("Traffic through a NAT gateway").

        On the gateway's interface, srcaddr and dstaddr have the gateway's own address on its side; only the pkt-
        fields keep the original address.
        """
        nat, next_port = self._nat[client.subnet.az_id]
        host, gateway = client.ipv4, nat.ipv4
        nat_port = 1024 + next(next_port) * 40505 % _NAT_PORTS
        asks_on = f" {nat_port} {service.port} {service.protocol}"
        answers_on = f" {service.port} {nat_port} {service.protocol}"
        return [
            self._record(client, _NEAR_REQUEST, host, server, asks, path=_PATH_SAME_VPC),
            self._record(client, _NEAR_REPLY, server, host, answers),
        ], [
            self._record(nat, _FAR_REQUEST, host, gateway, asks, packet=(host, server)),
            self._record(nat, _FAR_REQUEST, gateway, server, asks_on, path=_PATH_INTERNET),
            self._record(nat, _FAR_REPLY, server, gateway, answers_on),
            self._record(nat, _FAR_REPLY, gateway, host, answers, path=_PATH_SAME_VPC, packet=(server, host)),
        ]

    def _from_outside(
        self, route: Route, client: str, server: Host, target: str, asks: str, answers: str
    ) -> list[_Record]:
        """Log at the server, and at the zone's load balancer if there is one, which keeps the client's address."""
        if route is Route.SCAN:
            return [self._record(server, _DENIED_REQUEST, client, target, asks)]
        out = _PATH_VPN if route is Route.FROM_OFFICE else _PATH_INTERNET
        records = [
            self._record(server, _FAR_REQUEST, client, target, asks),
            self._record(server, _FAR_REPLY, target, client, answers, path=out),
        ]
        if route is Route.THROUGH_BALANCER:
            balancer = self._balancers[server.subnet.az_id]
            own = balancer.ipv4
            at_balancer = [
                self._record(balancer, _NEAR_REQUEST, client, own, asks, packet=(client, target)),
                self._record(balancer, _NEAR_REPLY, own, client, answers, path=out, packet=(target, client)),
            ]
            records += at_balancer
            records += [(self._logged_again.append, *record[1:]) for record in at_balancer]
        return records

    def _record(
        self,
        host: Host,
        part: int,
        src: str,
        dst: str,
        ports: str,
        *,
        path: str = "",
        packet: tuple[str, str] | None = None,
    ) -> _Record:
        """Prepare the record that an interface logs for one direction; `path` is set for outgoing traffic."""
        log, begin = self._begins[host]
        head = f"{begin}{src} {dst}{ports}"
        if not self._rich:
            return log, part, head, "", ""
        subnet = host.subnet
        before = f" {VPC_ID} {subnet.subnet_id} {host.instance_id} "
        packet_src, packet_dst = packet or (src, dst)
        after = (
            f" {'IPv6' if ':' in src else 'IPv4'} {packet_src} {packet_dst} {REGION} {subnet.az_id}"
            f" {_AWS_SERVICES.get(packet_src, '-')} {_AWS_SERVICES.get(packet_dst, '-')}"
            f" {'egress' if path else 'ingress'} {path or '-'}"
        )
        return log, part, head, before, after


def _in_order(sent: dict[Talk, _Sum]) -> list[Sent]:
    """The conversations of which something was sent, those with most bytes first."""
    found = [Sent(talk, *_unpack(of_talk.packed, 5)) for talk, of_talk in sent.items() if of_talk.packed]
    return sorted(found, key=lambda one: (-one.bytes_to_server - one.bytes_to_client, one.talk))


def _start(line: str) -> int:
    return int(line.split(" ", 11)[10])


def sample_lines(records: int, *, seed: int = 1, rich: bool = False) -> Iterator[str]:
    """Yield a day's record lines, without headers and line ends.

    They come in slices of five minutes, and in a slice one interface after the other, so that a caller can make
    a log stream per interface (the third column). `rich` selects `RICH_LAYOUT`, else
    it is the default.
    """
    for batch in Traffic(seed, rich=rich).batches(records):
        yield from batch
