"""Traffic that was really sent, packet by packet, and what interfaces log of it, each in windows of its own."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

MIDNIGHT = 1_793_491_200
HOSTS = {f"10.0.0.{number}": f"eni-{number}" for number in range(1, 5)}
OUTSIDE = ("198.51.100.7", "198.51.100.8")
GATEWAY, GATEWAY_INTERFACE = "10.0.9.9", "eni-nat"
SERVERS = (22, 443, 8080, 33000, 40000, 50000)
COLUMNS = (
    "interface-id srcaddr dstaddr srcport dstport protocol pkt-srcaddr pkt-dstaddr packets bytes start end action"
    " tcp-flags"
)

Ends = frozenset[str]
"""The two addresses of a conversation, whoever is the client."""


class Leg(NamedTuple):
    """What records are told apart by, beside time."""

    interface: str
    source: str
    destination: str
    source_port: int
    port: int
    protocol: int
    packet_source: str
    packet_destination: str


class Packet(NamedTuple):
    """A packet as an interface sees it."""

    leg: Leg
    time: int
    size: int
    flags: int


@dataclass
class Network:
    """Hosts that talk through their interfaces, one of which may move, and through a NAT gateway.

    Attributes:
        random: where all draws come from.
        has_flags: whether records have `tcp-flags`.
        loses: whether interfaces lose records, log times up to 60 seconds late, and deliver some twice.
        sent: the bytes of each conversation.

    """

    random: Random
    has_flags: bool
    loses: bool
    sent: dict[tuple[Ends, int], int] = field(default_factory=lambda: defaultdict(int))

    def content(self) -> bytes:
        """A file of what was logged of some conversations."""
        moving, when = self.random.choice(list(HOSTS)), MIDNIGHT + self.random.randrange(7200)
        interfaces = {host: [(0, interface)] for host, interface in HOSTS.items()}
        interfaces[moving].append((when, "eni-new"))
        packets = [packet for _ in range(self.random.randint(1, 6)) for packet in self._talk(interfaces)]
        lines = list(self._records(packets))
        if self.loses:
            lines += [line for line in lines if self.random.random() < 0.1]
        self.random.shuffle(lines)
        return "\n".join([COLUMNS, *lines, ""]).encode()

    def _talk(self, interfaces: dict[str, list[tuple[int, str]]]) -> Iterator[Packet]:
        client = self.random.choice(list(HOSTS))
        server = self.random.choice([host for host in (*HOSTS, *OUTSIDE) if host != client])
        port, protocol = self.random.choice(SERVERS), self.random.choice([6, 6, 6, 17])
        for _ in range(self.random.randint(1, 4)):
            low = self.random.choice([20, 700, 5000])
            own = self.random.choice([self.random.randint(32768, 60999), self.random.randint(1024, 65535), low])
            begin, step = MIDNIGHT - 600 + self.random.randrange(7200), self.random.choice([1, 10, 60, 200])
            for number in range(self.random.randint(1, 20)):
                for ends, ports, flags in (((client, server), (own, port), 2), ((server, client), (port, own), 18)):
                    size, time = self.random.choice([40, 1500, 9000]), begin + number * step
                    self.sent[frozenset(ends), protocol] += size
                    for host in ends:
                        interface = [name for since, name in interfaces.get(host, []) if since <= time][-1:]
                        legs = [Leg(one, *ends, *ports, protocol, *ends) for one in interface]
                        legs += _translated(ends, ports, protocol) if host in OUTSIDE else []
                        for leg in legs:
                            yield Packet(leg, time, size, flags if number == 0 and protocol == 6 else 0)

    def _records(self, packets: list[Packet]) -> Iterator[str]:
        windows = {leg.interface: (self.random.choice([60, 600]), self.random.randrange(600)) for leg, *_ in packets}
        logged: dict[tuple[Leg, int], list[Packet]] = defaultdict(list)
        for packet in packets:
            seconds, phase = windows[packet.leg.interface]
            logged[packet.leg, (packet.time + phase) // seconds].append(packet)
        for (leg, _), of_window in logged.items():
            late = [self.random.choice([0, self.random.randint(0, 60)]) if self.loses else 0 for _ in range(2)]
            start = min(packet.time for packet in of_window) + late[0]
            end = max(start, max(packet.time for packet in of_window) + late[1])
            flags = 0
            for packet in of_window:
                flags |= packet.flags
            sums = len(of_window), sum(packet.size for packet in of_window)
            if not self.loses or self.random.random() > 0.15:
                yield " ".join(map(str, (*leg, *sums, start, end, "ACCEPT", flags if self.has_flags else "-")))


def _translated(ends: tuple[str, str], ports: tuple[int, int], protocol: int) -> list[Leg]:
    """Both legs at the gateway, which gives a connection a port of its own."""
    if ends[1] in OUTSIDE:
        own = (1024 + ports[0] % 60000, ports[1])
        return [
            Leg(GATEWAY_INTERFACE, ends[0], GATEWAY, *ports, protocol, *ends),
            Leg(GATEWAY_INTERFACE, GATEWAY, ends[1], *own, protocol, GATEWAY, ends[1]),
        ]
    own = (ports[0], 1024 + ports[1] % 60000)
    return [
        Leg(GATEWAY_INTERFACE, ends[0], GATEWAY, *own, protocol, ends[0], GATEWAY),
        Leg(GATEWAY_INTERFACE, GATEWAY, ends[1], *ports, protocol, *ends),
    ]
