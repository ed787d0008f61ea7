"""The company's traffic of one day as flow records: lines in the default format or in the rich one.

A conversation is made once, as the heads and tails of all the records that its interfaces log. Each time it is
drawn, one draw of sizes and one of times come between them. This is fast, and also realistic: both interfaces of a
conversation inside the VPC log the same packets.

The same seed gives the same lines on every platform and Python: the only random function is `Random.random()`, and
the only floating-point operation is multiplication, which IEEE 754 defines to the last bit (powers are not).
"""

import random
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

from toptalkers.sample.company import (
    ACCOUNT_ID,
    BUSY_HOSTS,
    HOSTS,
    IDLE_HOSTS,
    OBJECT_STORE,
    PAYMENT_SERVICE,
    REGION,
    SERVICES,
    TCP,
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
_DRAWN_SIZES = 512
_LOWEST_EPHEMERAL_PORT, _EPHEMERAL_PORTS = 32768, 28232
_LONGEST_CONVERSATION = 6
"""The most records per capture window of one conversation (through NAT)."""

# Which part of a drawn window a record uses: one end's request or reply, the other end's, or a denied request.
_NEAR_REQUEST, _NEAR_REPLY, _FAR_REQUEST, _FAR_REPLY, _DENIED_REQUEST = range(5)

# traffic-path of the flow-log records, for egress only.
_PATH_SAME_VPC, _PATH_VPN, _PATH_INTERNET = "1", "3", "8"

_AWS_SERVICES = dict.fromkeys(OBJECT_STORE, "S3") | dict.fromkeys(PAYMENT_SERVICE, "AMAZON")

_Record = tuple[Callable[[str], None], int, str, str, str]
"""Where its lines go, which part it uses, and the texts before the part, before the flags and after them."""

_Sizes = tuple[str, str, tuple[str, str, str, str, str]]
"""`packets bytes` of a request and of its reply, and the TCP flags of each part."""


def records_by_slice(records: int) -> list[int]:
    """Split a day's records among its slices, more by day than by night; the sum is exact."""
    total = sum(_HOURLY_SHARES) * (SLICES // 24)
    edges = [0]
    for number in range(SLICES):
        edges.append(edges[-1] + _HOURLY_SHARES[number * 24 // SLICES])
    return [records * high // total - records * low // total for low, high in pairwise(edges)]


class _Voice:
    """The state of one service: its open connections, and the sizes that it draws from."""

    __slots__ = ("closing", "connections", "service", "sizes")

    def __init__(self, service: Service, sizes: list[_Sizes]) -> None:
        self.service = service
        self.connections: list[list[_Record] | None] = [None] * service.open_at_once
        self.closing = 1 / service.windows
        self.sizes = sizes


@cache
def _sizes_of_services() -> tuple[list[_Sizes], ...]:
    """Draw the possible sizes of each service. Like the services, they do not depend on the seed."""
    draw = random.Random(FIRST_SECOND).random  # noqa: S311 - made-up traffic, not secrets
    return tuple([_draw_sizes(service, draw) for _ in range(_DRAWN_SIZES)] for service in SERVICES)


def _draw_sizes(service: Service, draw: Callable[[], float]) -> _Sizes:
    """Draw `packets bytes` of a request and of its reply, and the TCP flags of each part."""
    uniform = draw()
    size = uniform * uniform * uniform * uniform

    def format_size(flows: Flows) -> str:
        low, high = flows.packets
        packets = low + int((high - low) * size * (0.8 + 0.2 * draw()))
        low, high = flows.packet_bytes
        return f" {packets} {packets * low + int(packets * (high - low) * draw())}"

    request, reply = "0", "0"
    if service.route in {Route.SCAN, Route.DENIED}:
        request = "2" if service.protocol == TCP else "0"
    elif service.protocol == TCP:
        # SYN 2 and SYN-ACK 18 in the first window, FIN 1 in the last, ORed if these are the same window.
        stage = draw() * service.windows
        if service.windows == 1:
            request, reply = "3", "19"
        elif stage < 1:
            request, reply = "2", "18"
        elif stage < 2:
            request, reply = "1", "1"
    return format_size(service.request), format_size(service.reply), (request, reply, request, reply, request)


class Traffic:
    """A day of the company's traffic, for one seed and one format."""

    def __init__(self, seed: int, *, rich: bool) -> None:
        """Start without connections and records."""
        self._draw = random.Random(seed).random  # noqa: S311 - made-up traffic, not secrets
        self._rich = rich
        self._version = "5" if rich else "2"
        self._voices = [_Voice(service, sizes) for service, sizes in zip(SERVICES, _sizes_of_services(), strict=True)]
        self._turns = [voice for voice in self._voices for _ in range(voice.service.weight)]
        self._lines: dict[Host, list[str]] = {host: [] for host in HOSTS}
        self._nat = {host.subnet.az_id: host for host in hosts_of("nat")}
        self._until_nodata = _RECORDS_PER_NODATA
        self._until_skipdata = _RECORDS_PER_SKIPDATA

    def batches(self, records: int) -> Iterator[list[str]]:
        """Yield that many record lines, without line ends, in batches of up to some ten thousand.

        A batch covers five minutes or a part of them and has the interfaces one after the other, as in real
        deliveries. No batch crosses the end of its slice; `records_by_slice` says where the slices end.
        """
        for number, wanted in enumerate(records_by_slice(records)):
            batches = -(-wanted // _BATCH_RECORDS)
            for part in range(batches):
                begin, end = wanted * part // batches, wanted * (part + 1) // batches
                yield self._batch(
                    FIRST_SECOND + number * SLICE_SECONDS + SLICE_SECONDS * part // batches,
                    SLICE_SECONDS // batches,
                    end - begin,
                )

    def _batch(self, start: int, seconds: int, records: int) -> list[str]:
        draw, rich, turns = self._draw, self._rich, self._turns
        slots = min(256, records)
        times = self._times(start, seconds, slots)
        left = records - self._log_silence(start, seconds, records)
        while left > 0:
            voice = turns[int(draw() * len(turns))]
            connections = voice.connections
            at = int(draw() * len(connections))
            connection = connections[at]
            if connection is None or draw() < voice.closing:
                connection = connections[at] = self._open(voice.service)
            if left < _LONGEST_CONVERSATION:
                # The last conversation of a batch is cut to the records that are left.
                connection = connection[:left]
            request, reply, flags = voice.sizes[int(draw() * _DRAWN_SIZES)]
            near, far, denied = times[(records - left) * slots // records]
            parts = (request + near, reply + near, request + far, reply + far, request + denied)
            if rich:
                for log, part, head, before, after in connection:
                    log(f"{head}{parts[part]}{before}{flags[part]}{after}")
            else:
                for log, part, head, _, _ in connection:
                    log(head + parts[part])
            left -= len(connection)
        lines: list[str] = []
        for of_host in self._lines.values():
            lines += of_host
            of_host.clear()
        return lines

    def _times(self, start: int, seconds: int, slots: int) -> list[tuple[str, str, str]]:
        """Draw capture windows along a batch: `start end action status` as the near, far and denying ends log it."""
        draw = self._draw
        last = FIRST_SECOND + SLICES * SLICE_SECONDS - 1
        times = []
        for slot in range(slots):
            near = start + seconds * slot // slots
            short = draw()
            end = min(near + 2 + int(58 * (1 - short * short * short)), last)
            far = near + int(2 * draw())
            times.append(
                (f" {near} {end} ACCEPT OK", f" {far} {max(far, end)} ACCEPT OK", f" {far} {max(far, end)} REJECT OK")
            )
        return times

    def _log_silence(self, start: int, seconds: int, records: int) -> int:
        """Log the windows without traffic and those that AWS could not record; return how many."""
        self._until_nodata -= records
        self._until_skipdata -= records
        silent: list[tuple[Host, str]] = []
        while self._until_nodata <= 0:
            self._until_nodata += _RECORDS_PER_NODATA
            silent.append((IDLE_HOSTS[int(self._draw() * len(IDLE_HOSTS))], "NODATA"))
        while self._until_skipdata <= 0:
            self._until_skipdata += _RECORDS_PER_SKIPDATA
            silent.append((BUSY_HOSTS[int(self._draw() * len(BUSY_HOSTS))], "SKIPDATA"))
        for host, status in silent:
            begin = start + int(seconds * self._draw())
            end = min(begin + 58, FIRST_SECOND + SLICES * SLICE_SECONDS - 1)
            line = f"{self._version} {ACCOUNT_ID} {host.interface_id} - - - - - - - {begin} {end} - {status}"
            if self._rich:
                line += (
                    f" {VPC_ID} {host.subnet.subnet_id} {host.instance_id} - - - - {REGION} {host.subnet.az_id} - - - -"
                )
            self._lines[host].append(line)
        return len(silent)

    def _open(self, service: Service) -> list[_Record]:
        """Open a connection: make every record of one capture window."""
        draw = self._draw
        uniform = draw()
        preferred = uniform
        for _ in range(service.skew - 1):
            preferred *= uniform
        client = service.clients[int(preferred * len(service.clients))]
        server = service.servers[int(draw() * len(service.servers))]
        if client is server:
            server = service.servers[service.servers.index(server) - 1]
        client_port = service.client_port
        if not client_port and service.port:
            client_port = _LOWEST_EPHEMERAL_PORT + int(_EPHEMERAL_PORTS * draw())
        asks = f" {client_port} {service.port} {service.protocol}"
        answers = f" {service.port} {client_port} {service.protocol}"
        if isinstance(client, Host):
            if isinstance(server, Host):
                return self._inside(client, server, asks, answers, denied=service.route is Route.DENIED)
            return self._through_nat(client, server, service, asks, answers)
        assert isinstance(server, Host)  # noqa: S101 - the table of services has no other kind
        address = server.ipv6 if ":" in client else server.ipv4
        if service.route is Route.SCAN:
            return [self._record(server, _DENIED_REQUEST, client, address, asks)]
        out = _PATH_VPN if service.route is Route.FROM_OFFICE else _PATH_INTERNET
        return [
            self._record(server, _FAR_REQUEST, client, address, asks),
            self._record(server, _FAR_REPLY, address, client, answers, path=out),
        ]

    def _inside(self, client: Host, server: Host, asks: str, answers: str, *, denied: bool) -> list[_Record]:
        asked = self._record(client, _NEAR_REQUEST, client.ipv4, server.ipv4, asks, path=_PATH_SAME_VPC)
        if denied:
            return [asked, self._record(server, _DENIED_REQUEST, client.ipv4, server.ipv4, asks)]
        return [
            asked,
            self._record(server, _FAR_REQUEST, client.ipv4, server.ipv4, asks),
            self._record(server, _FAR_REPLY, server.ipv4, client.ipv4, answers, path=_PATH_SAME_VPC),
            self._record(client, _NEAR_REPLY, server.ipv4, client.ipv4, answers),
        ]

    def _through_nat(self, client: Host, server: str, service: Service, asks: str, answers: str) -> list[_Record]:
        """Log both faces of the NAT gateway as AWS does ("Traffic through a NAT gateway").

        On the gateway's interface, srcaddr and dstaddr have the gateway's own address on its side; only the pkt-
        fields keep the original address.
        """
        nat = self._nat[client.subnet.az_id]
        host, gateway = client.ipv4, nat.ipv4
        nat_port = 1024 + int(64512 * self._draw())
        asks_on = f" {nat_port} {service.port} {service.protocol}"
        answers_on = f" {service.port} {nat_port} {service.protocol}"
        return [
            self._record(client, _NEAR_REQUEST, host, server, asks, path=_PATH_SAME_VPC),
            self._record(nat, _FAR_REQUEST, host, gateway, asks, packet=(host, server)),
            self._record(nat, _FAR_REQUEST, gateway, server, asks_on, path=_PATH_INTERNET),
            self._record(nat, _FAR_REPLY, server, gateway, answers_on),
            self._record(nat, _FAR_REPLY, gateway, host, answers, path=_PATH_SAME_VPC, packet=(server, host)),
            self._record(client, _NEAR_REPLY, server, host, answers),
        ]

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
        """Prepare the records that an interface logs for one direction; `path` is set for outgoing traffic."""
        head = f"{self._version} {ACCOUNT_ID} {host.interface_id} {src} {dst}{ports}"
        if not self._rich:
            return self._lines[host].append, part, head, "", ""
        subnet = host.subnet
        before = f" {VPC_ID} {subnet.subnet_id} {host.instance_id} "
        packet_src, packet_dst = packet or (src, dst)
        after = (
            f" {'IPv6' if ':' in src else 'IPv4'} {packet_src} {packet_dst} {REGION} {subnet.az_id}"
            f" {_AWS_SERVICES.get(packet_src, '-')} {_AWS_SERVICES.get(packet_dst, '-')}"
            f" {'egress' if path else 'ingress'} {path or '-'}"
        )
        return self._lines[host].append, part, head, before, after


def sample_lines(records: int, *, seed: int = 1, rich: bool = False) -> Iterator[str]:
    """Yield a day's record lines, without headers and line ends.

    They come in slices of five minutes, and in a slice one interface after the other, so that a caller can make
    a log stream per interface (the third column). `rich` selects `RICH_LAYOUT`, else
    it is the default.
    """
    for batch in Traffic(seed, rich=rich).batches(records):
        yield from batch
