"""The made-up company whose VPC the sample comes from, and the world outside it.

One VPC, 10.0.0.0/16 with an IPv6 block, in two Availability Zones: load balancers, NAT gateways and a bastion in
the public subnets; web, application, batch and file-transfer instances in the private ones, with directory servers
(DNS, NTP, LDAP) and monitoring beside them; databases and caches in the data subnets; a few interfaces without traffic.
Outside: customers, partners, offices behind a VPN, internet services such as an S3-like store, and scanners.

Its flow logs are as good and as bad as real ones: some interfaces have windows of 600 seconds, some lose records, one
tier is logged by two flow logs, and one instance is called by its secondary address.

The company is the same for every seed; only its traffic differs. One list of its names therefore fits every sample.
Addresses are from RFC 5737, RFC 3849 and 10.0.0.0/8; the account is the one in AWS's documentation.

Two things are missing because VPC flow logs do not capture them (AWS, "Flow log limitations"): DNS to the
Amazon resolver, so the company runs its own name servers, and time from 169.254.169.123.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"


def resource_id(prefix: str, name: str) -> str:
    """Make an id like EC2's, such as `eni-` and 17 hexadecimal digits, always the same for the same name."""
    return f"{prefix}-0{hashlib.sha256(f'{prefix} {name}'.encode()).hexdigest()[:16]}"


VPC_ID = resource_id("vpc", "company")
FLOW_LOG_ID = resource_id("fl", "company")


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet: its id, its zone's id and the prefixes of its IPv4 /24 and its IPv6 /64."""

    subnet_id: str
    az_id: str
    ipv4_head: str
    ipv6_head: str


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """One network interface and its host; it is equal only to itself.

    `instance_id` is `-` where AWS owns the machine. `ipv6` is set only for the load balancers. `secondary` is the
    IPv4 address by which others call it, if that is not its primary one: its own interface logs the primary one all the
    same, and the secondary one only as the packet's address (AWS, "Flow log limitations"). `window_s` is the longest
    time from a record's start to its end.
    """

    name: str
    tier: str
    subnet: Subnet
    interface_id: str
    instance_id: str
    ipv4: str
    ipv6: str
    secondary: str = ""
    window_s: int = 60


def _build_subnets() -> dict[str, tuple[Subnet, Subnet]]:
    def subnet(kind: str, number: int, az_id: str) -> Subnet:
        name = f"{kind} {az_id}"
        return Subnet(resource_id("subnet", name), az_id, f"10.0.{number}.", f"2001:db8:1234:1a{number:02x}::")

    return {
        kind: (subnet(kind, number, "use1-az1"), subnet(kind, number + 1, "use1-az2"))
        for kind, number in (("public", 0), ("private", 10), ("data", 20))
    }


# tier, subnets, number of interfaces, the first one's host number, whether the interfaces belong to own instances
_TIERS = (
    ("load-balancer", "public", 3, 10, False),
    ("nat", "public", 2, 220, False),
    ("bastion", "public", 1, 22, True),
    ("network-load-balancer", "public", 2, 16, False),
    ("internal-load-balancer", "private", 2, 10, False),
    ("web", "private", 8, 31, True),
    ("app", "private", 12, 101, True),
    ("batch", "private", 6, 151, True),
    ("directory", "private", 2, 53, True),
    ("monitoring", "private", 1, 40, True),
    ("transfer", "private", 2, 71, True),
    ("orders-db", "data", 3, 54, False),
    ("content-db", "data", 2, 33, False),
    ("cache", "data", 2, 63, False),
    ("idle", "data", 4, 240, False),
)

_LONG_WINDOWS = {"batch-5", "batch-6", "orders-db-3", "content-db-2"}
"""The interfaces of older instances, whose records are of up to ten minutes."""

_SECONDARY = {"app-4": 204}
"""The host number of the secondary address of an instance."""


def _build_hosts() -> tuple[Host, ...]:
    subnets = _build_subnets()
    hosts = []
    for tier, kind, how_many, first, own in _TIERS:
        for number in range(how_many):
            name = f"{tier}-{number + 1}"
            subnet = subnets[kind][number % 2]
            hosts.append(
                Host(
                    name=name,
                    tier=tier,
                    subnet=subnet,
                    interface_id=resource_id("eni", name),
                    instance_id=resource_id("i", name) if own else "-",
                    ipv4=f"{subnet.ipv4_head}{first + number}",
                    ipv6=f"{subnet.ipv6_head}{first + number:x}" if tier == "load-balancer" else "-",
                    secondary=f"{subnet.ipv4_head}{_SECONDARY[name]}" if name in _SECONDARY else "",
                    window_s=600 if name in _LONG_WINDOWS else 60,
                )
            )
    return tuple(hosts)


HOSTS = _build_hosts()
"""Every interface of the VPC, by tier; within a tier, the zones alternate."""


def hosts_of(*tiers: str) -> tuple[Host, ...]:
    """Return the hosts of some tiers, in the order of `HOSTS`."""
    return tuple(host for host in HOSTS if host.tier in tiers)


IDLE_HOSTS = hosts_of("idle")
BUSY_HOSTS = tuple(host for host in HOSTS if host.tier != "idle")
_INSTANCES = tuple(host for host in HOSTS if host.instance_id != "-")
LOSSY_HOSTS = tuple(host for host in HOSTS if host.name in {"bastion-1", "orders-db-2", "cache-1"})
"""The interfaces that lose records now and then. They do not talk to each other: a lost record is at the other end."""
TWICE_LOGGED_TIER = "network-load-balancer"
"""The tier with flow logs of its own besides those of the VPC: all of its records come twice."""


def _scattered(addresses: Iterable[str]) -> tuple[str, ...]:
    """Shuffle addresses, the same way every time, so that the busiest are not those with the lowest numbers."""
    return tuple(sorted(addresses, key=lambda address: hashlib.sha256(address.encode()).digest()))


CUSTOMERS_IPV4 = _scattered(f"{net}.{host}" for host in range(1, 255) for net in ("198.51.100", "192.0.2"))
CUSTOMERS_IPV6 = tuple(
    f"2001:db8:{0x4000 + number % 61:x}:{number * 2654435761 % 65521 + 1:x}:{number * 40503 % 65521 + 1:x}"
    f":{number * 48271 % 65521 + 1:x}:{number * 69621 % 65521 + 1:x}:{number * 16807 % 65521 + 1:x}"
    for number in range(1, 24_001)
)
OFFICES = _scattered(f"10.{128 + branch % 8}.{branch}.{host}" for host in range(20, 220) for branch in range(1, 61))
OBJECT_STORE = tuple(f"203.0.113.{host}" for host in range(16, 48))
PARTNERS = tuple(f"203.0.113.{host}" for host in range(3, 13))
PAYMENT_SERVICE = ("203.0.113.81", "203.0.113.82")
PACKAGE_MIRROR = ("203.0.113.100", "203.0.113.101", "203.0.113.102")
TIME_SERVERS = ("203.0.113.123", "203.0.113.124")
SCANNERS = _scattered(
    [f"203.0.113.{host}" for host in range(130, 255)]
    + [f"198.51.100.{host}" for host in range(7, 250, 9)]
    + [f"192.0.2.{host}" for host in range(5, 250, 11)]
)


class Route(Enum):
    """How a conversation crosses the VPC, which decides which interfaces log it."""

    INSIDE = auto()
    """Between two hosts of the VPC: both interfaces log both directions, 4 records."""
    FROM_INTERNET = auto()
    """From an internet client to a public interface, the only one to log it: 2 records."""
    FROM_OFFICE = auto()
    """From an office through the VPN: 2 records."""
    THROUGH_NAT = auto()
    """To the internet through the zone's NAT gateway: the host logs 2 records, the gateway's two faces 4."""
    THROUGH_BALANCER = auto()
    """From the internet through a load balancer that keeps the client's address: 2 records at it, 2 at the server."""
    DENIED = auto()
    """Inside, but denied by the server's security group: ACCEPT at the client, REJECT at the server, no reply."""
    SCAN = auto()
    """From the internet to a port that no security group allows: one REJECT record."""


TCP, UDP, ICMP = 6, 17, 1


@dataclass(frozen=True, slots=True)
class Flows:
    """The traffic of one direction in a capture window: ranges of packets, and of bytes per packet."""

    packets: tuple[int, int]
    packet_bytes: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of traffic: its clients, its servers and its size.

    Attributes:
        name: for readers of this file only.
        weight: how often it is drawn, relative to the weights of all others.
        route: which interfaces log it.
        clients: the hosts of the VPC or the outside addresses that send requests; the first ones send most.
        servers: the hosts or addresses that reply; behind a load balancer that keeps addresses, those behind it.
        port: the destination port of requests; 0 for ICMP.
        protocol: the IANA number.
        windows: the average lifetime of a connection in capture windows; 1 means one connection per request.
        open_at_once: how many connections are open at a time, or more if there are too many records for them.
        request: the traffic from client to server.
        reply: the traffic from server to client.
        skew: how much the first clients are preferred: the power to which a uniform draw is raised.
        client_port: a fixed source port (NTP's 123); 0 for an ephemeral one, and for ICMP.

    """

    name: str
    weight: int
    route: Route
    clients: tuple[Host, ...] | tuple[str, ...]
    servers: tuple[Host, ...] | tuple[str, ...]
    port: int
    protocol: int
    windows: int
    open_at_once: int
    request: Flows
    reply: Flows
    skew: int = 2
    client_port: int = 0


_SMALL_TCP = Flows((4, 40), (52, 220))
_PAGE = Flows((6, 900), (300, 1400))
_BULK = Flows((40, 60_000), (900, 1460))
_DATAGRAM = Flows((1, 3), (58, 90))
_ACKS = Flows((20, 24_000), (40, 60))
_PROBE = Flows((1, 3), (40, 60))

_LB, _WEB, _APP, _BATCH = hosts_of("load-balancer"), hosts_of("web"), hosts_of("app"), hosts_of("batch")
_TRANSFER, _NTP_CLIENTS = hosts_of("transfer"), tuple(host for host in _INSTANCES if host.tier != "directory")
_PINGED = tuple(host for host in BUSY_HOSTS if host.tier != TWICE_LOGGED_TIER)
_INTERNAL_LB, _DIRECTORY = hosts_of("internal-load-balancer"), hosts_of("directory")
_BASTION, _MONITORING = hosts_of("bastion"), hosts_of("monitoring")
_ORDERS, _CONTENT, _CACHE = hosts_of("orders-db"), hosts_of("content-db"), hosts_of("cache")
_PUBLIC = hosts_of("load-balancer", "nat", "bastion")


def _scan(port: int, weight: int, *, protocol: int = TCP) -> Service:
    return Service(
        f"scan of {port}", weight, Route.SCAN, SCANNERS, _PUBLIC, port, protocol, 2, 40, _PROBE, _PROBE, skew=3
    )


# fmt: off
SERVICES = (
    Service("shop", 200, Route.FROM_INTERNET, CUSTOMERS_IPV4, _LB, 443, TCP, 3, 600, _SMALL_TCP, _PAGE, skew=4),
    Service("shop in clear", 22, Route.FROM_INTERNET, CUSTOMERS_IPV4, _LB, 80, TCP, 1, 60, _SMALL_TCP, _SMALL_TCP, 4),
    Service("shop over IPv6", 72, Route.FROM_INTERNET, CUSTOMERS_IPV6, _LB, 443, TCP, 3, 300, _SMALL_TCP, _PAGE, 4),
    Service("back office", 80, Route.FROM_OFFICE, OFFICES, _INTERNAL_LB, 443, TCP, 4, 300, _SMALL_TCP, _PAGE, skew=4),
    Service("office names", 24, Route.FROM_OFFICE, OFFICES, _DIRECTORY, 53, UDP, 1, 50, _DATAGRAM, _DATAGRAM, 3),
    Service("pages", 130, Route.INSIDE, _LB, _WEB, 80, TCP, 25, 90, _SMALL_TCP, _PAGE, skew=1),
    Service("back-office pages", 20, Route.INSIDE, _INTERNAL_LB, _APP, 8080, TCP, 25, 40, _SMALL_TCP, _PAGE, skew=1),
    Service("application", 120, Route.INSIDE, _WEB, _APP, 8080, TCP, 20, 160, _SMALL_TCP, _PAGE),
    Service("orders", 60, Route.INSIDE, _APP, _ORDERS, 5432, TCP, 120, 72, _SMALL_TCP, _PAGE),
    Service("replication", 6, Route.INSIDE, _ORDERS[:1], _ORDERS[1:], 5432, TCP, 900, 2, _BULK, _ACKS),
    Service("content", 24, Route.INSIDE, _WEB, _CONTENT, 3306, TCP, 120, 32, _SMALL_TCP, _PAGE),
    Service("cache", 56, Route.INSIDE, _APP, _CACHE, 6379, TCP, 200, 48, _SMALL_TCP, _SMALL_TCP),
    Service("names", 40, Route.INSIDE, _INSTANCES, _DIRECTORY, 53, UDP, 1, 40, _DATAGRAM, _DATAGRAM, skew=1),
    Service("long names", 2, Route.INSIDE, _INSTANCES, _DIRECTORY, 53, TCP, 1, 10, _SMALL_TCP, _SMALL_TCP),
    Service("accounts", 8, Route.INSIDE, _APP, _DIRECTORY, 389, TCP, 12, 20, _SMALL_TCP, _SMALL_TCP),
    Service("time", 8, Route.INSIDE, _NTP_CLIENTS, _DIRECTORY, 123, UDP, 9, 30, _DATAGRAM, _DATAGRAM, 1, 123),
    Service("true time", 2, Route.THROUGH_NAT, _DIRECTORY, TIME_SERVERS, 123, UDP, 9, 4, _DATAGRAM, _DATAGRAM, skew=1),
    Service("data lake, up", 12, Route.THROUGH_NAT, _BATCH, OBJECT_STORE, 443, TCP, 6, 24, _BULK, _ACKS),
    Service("data lake, down", 8, Route.THROUGH_NAT, _BATCH, OBJECT_STORE, 443, TCP, 6, 16, _ACKS, _BULK),
    Service("payments", 8, Route.THROUGH_NAT, _APP, PAYMENT_SERVICE, 443, TCP, 4, 16, _SMALL_TCP, _SMALL_TCP),
    Service("updates", 3, Route.THROUGH_NAT, _INSTANCES, PACKAGE_MIRROR, 443, TCP, 2, 6, _ACKS, _BULK),
    Service("partners' files", 6, Route.THROUGH_BALANCER, PARTNERS, _TRANSFER, 22, TCP, 8, 10, _BULK, _ACKS),
    Service("exports", 10, Route.INSIDE, _BATCH, _ORDERS[1:], 5432, TCP, 60, 12, _SMALL_TCP, _BULK),
    Service("administration", 2, Route.FROM_OFFICE, OFFICES[:12], _BASTION, 22, TCP, 60, 4, _SMALL_TCP, _SMALL_TCP),
    Service("shells", 4, Route.INSIDE, _BASTION, _INSTANCES, 22, TCP, 60, 6, _SMALL_TCP, _SMALL_TCP),
    Service("metrics", 16, Route.INSIDE, _MONITORING, _INSTANCES, 9100, TCP, 300, 31, _SMALL_TCP, _PAGE, skew=1),
    Service("ping", 6, Route.INSIDE, _MONITORING, _PINGED, 0, ICMP, 60, 40, Flows((1, 5), (84, 84)),
            Flows((1, 5), (84, 84)), skew=1),
    Service("ping from outside", 4, Route.FROM_INTERNET, CUSTOMERS_IPV4, _LB, 0, ICMP, 6, 10, Flows((1, 5), (84, 84)),
            Flows((1, 5), (84, 84))),
    Service("old report", 8, Route.DENIED, _BATCH[:2], _CONTENT, 3306, TCP, 1, 4, _PROBE, _PROBE),
    _scan(22, 30), _scan(23, 40), _scan(3389, 24), _scan(445, 20), _scan(5900, 6), _scan(8080, 8), _scan(1433, 6),
    _scan(6379, 6), _scan(2222, 4), _scan(25, 3), _scan(161, 3, protocol=UDP), _scan(5060, 4, protocol=UDP),
    _scan(8443, 3), _scan(9200, 3), _scan(27017, 3),
)
# fmt: on
"""All the traffic of the company."""
