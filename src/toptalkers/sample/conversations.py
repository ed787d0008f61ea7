"""What the company's machines and the outside world say to each other, and which interfaces log it.

A conversation is one client, one server and one service. It comes with its sightings: the interfaces whose
flow log shows it. One between two instances is logged by both; one with a customer only by the load
balancer; one through the NAT gateway three times, because the gateway logs its inner and its outer side
(https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html).

What flow logs leave out is left out here too: questions to the VPC's own resolver (10.0.0.2) and to the time
service at 169.254.169.123 are never logged
(https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-limitations.html), so the company runs its own name
servers and asks public time servers.

Only integers and single float operations here: `sum()` over floats and the `math` functions give other last
digits on other versions and platforms, and the sample must not differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toptalkers.sample.company import NO_VALUE, Company, Interface, OutsideWorld

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

TCP = 6
UDP = 17
ICMP = 1
ICMP_V6 = 58

# AWS's numbers for the way a packet left (field traffic-path).
_PATH_INSIDE_VPC = "1"
_PATH_GATEWAY_ENDPOINT = "7"
_PATH_INTERNET_GATEWAY = "8"

# Largest packet: across the internet, and between instances of a VPC (jumbo frames); bytes.
_INTERNET = 1500
_INSIDE = 9001
# TCP and IP headers with time stamps, bytes.
_HEADERS_IPV4 = 52
_HEADERS_IPV6 = 72

_VOLUMES = 256  # different sizes a service's exchanges have

# The ports Linux hands out to clients (net.ipv4.ip_local_port_range).
_EPHEMERAL = range(32768, 61000)


@dataclass(frozen=True, slots=True)
class Volume:
    """Packets and bytes (headers included) of one exchange: as sent by the client, and as sent back."""

    request_packets: int
    request_bytes: int
    reply_packets: int
    reply_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A port, the ports its clients use, how much is said, and the TCP flags of (request, reply) records.

    The flags' proportions are the list's: a list of four with one (0, 0) means a quarter of the records fell
    in the middle of a long connection.
    """

    port: int
    protocol: int
    client_ports: Sequence[int]
    volumes: tuple[Volume, ...]
    tcp_flags: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class End:
    """One end of a conversation as an interface sees it.

    `address` goes into srcaddr or dstaddr, `packet_address` into pkt-srcaddr or pkt-dstaddr: they differ where
    a NAT gateway stands between.
    """

    address: str
    packet_address: str
    aws_service: str = NO_VALUE


@dataclass(frozen=True, slots=True)
class Sighting:
    """How one interface logs a conversation."""

    interface: Interface
    client: End
    server: End
    at_client: bool  # the request leaves through this interface
    path: str  # traffic-path of what leaves
    action: str = "ACCEPT"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One client, one server, one service, seen by these interfaces. Without a reply, requests only."""

    service: Service
    sightings: tuple[Sighting, ...]
    replied: bool = True

    @property
    def records(self) -> int:
        """Flow records that one exchange leaves."""
        return len(self.sightings) * (2 if self.replied else 1)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Conversations of one sort, loudest first, and their part of all exchanges: `share` of the sum of all shares."""

    share: int
    conversations: tuple[Conversation, ...]


def build_crowds(company: Company, world: OutsideWorld, rng: random.Random) -> tuple[Crowd, ...]:
    """Everything that is said. `rng` decides who is loud and how much is said; the same state, the same answer."""
    balancers = company.having_role("load-balancer")
    web = company.having_role("web")
    app = company.having_role("app")
    postgresql = company.having_role("postgresql")
    replica = company.having_role("postgresql-replica")
    mysql = company.having_role("mysql")
    cache = company.having_role("cache")
    batch = company.having_role("batch")
    bastion = company.having_role("bastion")
    monitoring = company.having_role("monitoring")
    name_servers = company.having_role("name-server")
    own_machines = bastion + monitoring + batch + app + web
    talking = own_machines + postgresql + replica + mysql + cache

    https = _tcp_service(443, rng, request=(300, 12_000), reply=(900, 4_000_000), packet=_INTERNET)
    https_ipv6 = _tcp_service(
        443, rng, request=(300, 12_000), reply=(900, 4_000_000), packet=_INTERNET, headers=_HEADERS_IPV6
    )
    http = _tcp_service(80, rng, request=(250, 1_200), reply=(200, 3_000), packet=_INTERNET)
    front = _tcp_service(80, rng, request=(400, 14_000), reply=(900, 2_000_000), pooled=True)
    api = _tcp_service(8080, rng, request=(350, 30_000), reply=(500, 900_000), pooled=True)
    postgres_query = _tcp_service(5432, rng, request=(120, 60_000), reply=(300, 6_000_000), pooled=True)
    mysql_query = _tcp_service(3306, rng, request=(120, 40_000), reply=(200, 2_000_000), pooled=True)
    replication = _tcp_service(5432, rng, request=(200, 20_000), reply=(50_000, 90_000_000), pooled=True)
    cache_query = _tcp_service(6379, rng, request=(60, 20_000), reply=(50, 200_000), pooled=True)
    upload = _tcp_service(443, rng, request=(20_000, 300_000_000), reply=(700, 60_000), packet=_INTERNET)
    partner_api = _tcp_service(443, rng, request=(600, 30_000), reply=(700, 300_000), packet=_INTERNET)
    shell = _tcp_service(22, rng, request=(900, 60_000), reply=(1_500, 900_000), packet=_INTERNET)
    scrape = _tcp_service(9100, rng, request=(220, 260), reply=(18_000, 40_000))
    lookup = _udp_service(53, rng, request=(28 + 31, 28 + 64), reply=(28 + 47, 28 + 480))
    time = _udp_service(123, rng, request=(76, 76), reply=(76, 76))
    ping = _ping(ICMP, rng)
    ping_ipv6 = _ping(ICMP_V6, rng)

    outside = [_from_outside(customer, balancer, https) for customer in world.customers for balancer in balancers]
    outside_ipv6 = [
        _from_outside(customer, balancer, https_ipv6) for customer in world.customers_ipv6 for balancer in balancers
    ]
    redirected = [_from_outside(customer, balancer, http) for customer in world.customers for balancer in balancers]
    pinged = [_from_outside(one, balancer, ping) for one in world.customers[:20] for balancer in balancers]
    pinged_ipv6 = [
        _from_outside(one, balancer, ping_ipv6) for one in world.customers_ipv6[:10] for balancer in balancers
    ]
    return (
        _crowd(2400, outside, rng),
        _crowd(1000, outside_ipv6, rng),
        _crowd(330, redirected, rng),
        _crowd(1250, _everyone_to_everyone(balancers, web, front), rng),
        _crowd(1150, _everyone_to_everyone(web, app, api), rng),
        _crowd(560, _everyone_to_everyone(app, postgresql, postgres_query), rng),
        _crowd(240, _everyone_to_everyone(app, replica, postgres_query), rng),
        _crowd(200, _everyone_to_everyone(app[:3] + batch[:1], mysql, mysql_query), rng),
        _crowd(620, _everyone_to_everyone(app, cache, cache_query), rng),
        _crowd(90, _everyone_to_everyone(batch, replica, postgres_query), rng),
        _crowd(40, _everyone_to_everyone(replica, postgresql, replication), rng),
        _crowd(700, _everyone_to_everyone(talking, name_servers, lookup), rng),
        _crowd(60, _through_nat(company, name_servers, world.name_servers, lookup), rng),
        _crowd(110, _through_nat(company, own_machines + name_servers, world.time_servers, time), rng),
        _crowd(190, _through_nat(company, app, world.partners, partner_api), rng),
        _crowd(130, [_to_object_store(one, store, upload) for one in batch for store in world.object_store], rng),
        _crowd(30, [_from_outside(one, bastion[0], shell) for one in world.administrators], rng),
        _crowd(45, _everyone_to_everyone(bastion, app + web + batch + monitoring, shell), rng),
        _crowd(150, _everyone_to_everyone(monitoring, talking, scrape), rng),
        _crowd(60, _everyone_to_everyone(monitoring, batch + app + web, ping), rng),
        _crowd(30, pinged, rng),
        _crowd(15, pinged_ipv6, rng),
        _crowd(1800, _scans(company, world, rng), rng),
        _crowd(45, _refused_inside(company), rng),
    )


def _crowd(share: int, conversations: Iterable[Conversation], rng: random.Random) -> Crowd:
    # random.shuffle would do, but only random() promises its numbers from version to version.
    return Crowd(share, tuple(sorted(conversations, key=lambda _: rng.random())))


def _everyone_to_everyone(
    clients: Sequence[Interface], servers: Sequence[Interface], service: Service
) -> list[Conversation]:
    return [_inside(client, server, service) for client in clients for server in servers if client != server]


def _inside(client: Interface, server: Interface, service: Service) -> Conversation:
    ends = (_end(client.address), _end(server.address))
    return Conversation(
        service,
        (
            Sighting(client, *ends, at_client=True, path=_PATH_INSIDE_VPC),
            Sighting(server, *ends, at_client=False, path=_PATH_INSIDE_VPC),
        ),
    )


def _from_outside(
    client: str, server: Interface, service: Service, *, action: str = "ACCEPT", replied: bool = True
) -> Conversation:
    address = server.ipv6_address if ":" in client else server.address
    sighting = Sighting(
        server, _end(client), _end(address), at_client=False, path=_PATH_INTERNET_GATEWAY, action=action
    )
    return Conversation(service, (sighting,), replied)


def _to_object_store(client: Interface, store: str, service: Service) -> Conversation:
    server = End(store, store, aws_service="S3")
    return Conversation(
        service, (Sighting(client, _end(client.address), server, at_client=True, path=_PATH_GATEWAY_ENDPOINT),)
    )


def _through_nat(
    company: Company, clients: Sequence[Interface], servers: Sequence[str], service: Service
) -> list[Conversation]:
    gateways = {gateway.subnet.az_id: gateway for gateway in company.having_role("nat")}
    conversations = []
    for client in clients:
        gateway = gateways[client.subnet.az_id]
        inner, outer = _end(client.address), _end(gateway.address)
        for address in servers:
            server = _end(address)
            hidden = End(gateway.address, address)
            sightings = (
                Sighting(client, inner, server, at_client=True, path=_PATH_INSIDE_VPC),
                Sighting(gateway, inner, hidden, at_client=False, path=_PATH_INSIDE_VPC),
                Sighting(gateway, outer, server, at_client=True, path=_PATH_INTERNET_GATEWAY),
            )
            conversations.append(Conversation(service, sightings))
    return conversations


def _end(address: str) -> End:
    return End(address, address)


def _scans(company: Company, world: OutsideWorld, rng: random.Random) -> list[Conversation]:
    """Strangers trying doors on the public interfaces: one SYN or three, refused, never answered."""
    doors, doors_ipv6 = (
        [
            Service(port, TCP, _EPHEMERAL, _knock(*sizes), ((2, 0),))
            for port in (22, 23, 3389, 445, 5900, 1433, 3306, 8080, 6379, 9200, 2375, 21, 25, 5432, 27017, 139)
        ]
        + [Service(port, UDP, _EPHEMERAL, _knock(*sizes), ((0, 0),)) for port in (5060, 161, 1900)]
        for sizes in ((40, 44, 52, 60), (60, 64, 72, 80))
    )
    targets = company.having_role("load-balancer", "nat", "bastion")
    scans = []
    for stranger in world.scanners + world.scanners_ipv6:
        for _ in range(5):
            # The first doors of the list more often than the last.
            tried = int(rng.random() * rng.random() * len(doors))
            door = (doors_ipv6 if ":" in stranger else doors)[tried]
            target = targets[rng.randrange(len(targets))]
            scans.append(_from_outside(stranger, target, door, action="REJECT", replied=False))
    return scans


def _refused_inside(company: Company) -> list[Conversation]:
    """Machines that try what their security groups forbid: the client's side lets it out, the server's does not."""
    refused = []
    for clients, servers, port in (
        ("web", "postgresql", 5432),
        ("batch", "cache", 6379),
        ("monitoring", "mysql", 3306),
    ):
        service = Service(port, TCP, _EPHEMERAL, _knock(60), ((2, 0),))
        for client in company.having_role(clients):
            server = company.having_role(servers)[0]
            ends = (_end(client.address), _end(server.address))
            sightings = (
                Sighting(client, *ends, at_client=True, path=_PATH_INSIDE_VPC),
                Sighting(server, *ends, at_client=False, path=_PATH_INSIDE_VPC, action="REJECT"),
            )
            refused.append(Conversation(service, sightings, replied=False))
    return refused


def _knock(*sizes: int) -> tuple[Volume, ...]:
    """A packet of one of these sizes, bytes, or the same one tried again once or twice."""
    return tuple(Volume(packets, packets * size, 0, 0) for packets in (1, 1, 1, 2, 3) for size in sizes)


def _tcp_service(
    port: int,
    rng: random.Random,
    *,
    request: tuple[int, int],
    reply: tuple[int, int],
    packet: int = _INSIDE,
    headers: int = _HEADERS_IPV4,
    pooled: bool = False,
) -> Service:
    """A TCP service. `request` and `reply`: smallest and largest payload; `packet`: the largest packet; in bytes."""
    volumes = []
    for _ in range(_VOLUMES):
        sent, answered = _heavy_tailed(*request, rng), _heavy_tailed(*reply, rng)
        payload = packet - headers
        full_out, full_in = -(-sent // payload), -(-answered // payload)
        # Two more packets each for opening and closing, and an acknowledgement for every second full packet.
        out, back = full_out + full_in // 2 + 2, full_in + full_out // 2 + 2
        volumes.append(Volume(out, sent + headers * out, back, answered + headers * back))
    if pooled:
        # Connection pools keep their connections: few client ports, and mostly the middle of a connection.
        ports = tuple(_EPHEMERAL[rng.randrange(len(_EPHEMERAL))] for _ in range(160))
        return Service(port, TCP, ports, tuple(volumes), ((0, 0), (3, 19), (0, 0), (2, 18), (1, 1)))
    return Service(port, TCP, _EPHEMERAL, tuple(volumes), ((3, 19), (3, 19), (2, 18), (3, 19), (0, 0), (1, 1)))


def _udp_service(port: int, rng: random.Random, *, request: tuple[int, int], reply: tuple[int, int]) -> Service:
    """A UDP service of one question and one answer a packet, sizes in bytes with headers."""
    volumes = []
    for _ in range(_VOLUMES):
        packets = _heavy_tailed(1, 12, rng)
        sent = rng.randrange(request[0], request[1] + 1)
        answered = rng.randrange(reply[0], reply[1] + 1)
        volumes.append(Volume(packets, packets * sent, packets, packets * answered))
    return Service(port, UDP, _EPHEMERAL, tuple(volumes), ((0, 0),))


def _ping(protocol: int, rng: random.Random) -> Service:
    """Echo requests and replies of 84 bytes (104 over IPv6), one a second; ICMP has no ports, AWS prints 0."""
    size = 84 if protocol == ICMP else 104
    volumes = []
    for _ in range(_VOLUMES):
        packets = (1, 4, 5, 10, 59)[rng.randrange(5)]
        volumes.append(Volume(packets, packets * size, packets, packets * size))
    return Service(0, protocol, (0,), tuple(volumes), ((0, 0),))


def _heavy_tailed(smallest: int, largest: int, rng: random.Random) -> int:
    """A Pareto draw (exponent 1), cut at `largest`: half the draws are below twice the smallest."""
    return min(largest, int(smallest / (1.0 - rng.random())))
