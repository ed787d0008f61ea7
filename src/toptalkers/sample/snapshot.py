"""What the company's addresses belong to, as `toptalkers snapshot` finds it in AWS.

It is the same for every sample. Machines of the company are instances; those of the tiers `web`, `app` and `batch` are
in Auto Scaling groups. Load balancers, databases and the like are interfaces that a service of AWS made; their
descriptions are as AWS writes them.
"""

from collections.abc import Iterable, Iterator

from toptalkers.names.interfaces import GROUP_TAG
from toptalkers.names.snapshot import (
    Instance,
    Interface,
    PrefixList,
    Range,
    Rule,
    Scope,
    SecurityGroup,
    Snapshot,
    Subnet,
    Tags,
    Vpc,
)
from toptalkers.sample.company import (
    ACCOUNT_ID,
    HOSTS,
    ICMP,
    REGION,
    SERVICES,
    TCP,
    TWICE_LOGGED_TIER,
    VPC_ID,
    Host,
    Route,
    resource_id,
)
from toptalkers.sample.traffic import FIRST_SECOND

TAKEN_S = FIRST_SECOND
"""The snapshot is of the day's first second, so that it is in time for all of its traffic."""

ATTACHED_S = 1_790_812_800
"""2026-10-01T00:00:00Z: all interfaces were attached long before the day of the sample."""

_SCALED_TIERS = ("web", "app", "batch")
_GROUPLESS_TIERS = ("nat",)
"""NAT gateways have no security groups."""

_APPS = {
    "web": "shop", "app": "shop", "batch": "data-lake", "transfer": "partners",
    "bastion": "platform", "directory": "platform", "monitoring": "platform",
}  # fmt: skip
"""The tag `app` of instances, by tier."""

_PUBLIC = ("load-balancer", "nat", "bastion", "network-load-balancer")
_FIRST_PUBLIC = 60
"""The tiers with public addresses, and the host number of the first one in 203.0.113.0/24."""

_KINDS = {"nat": "nat_gateway", "network-load-balancer": "network_load_balancer"}
_IDLE_KINDS = ("efs", "vpc_endpoint", "lambda", "interface")
"""EC2's interface types, by tier, and of the interfaces without traffic."""

_REQUESTERS = {
    "load-balancer": "amazon-elb", "network-load-balancer": "amazon-elb", "internal-load-balancer": "amazon-elb",
    "orders-db": "amazon-rds", "content-db": "amazon-rds", "cache": "amazon-elasticache",
}  # fmt: skip

_PROTOCOLS = {TCP: "tcp", 17: "udp", ICMP: "icmp"}
_EVERYWHERE = ("0.0.0.0/0", "::/0")

OFFICES_LIST = PrefixList(resource_id("pl", "offices"), "offices", ("10.128.0.0/13",))
STORE_LIST = PrefixList(
    resource_id("pl", "store"), f"com.amazonaws.{REGION}.s3", ("203.0.113.16/28", "203.0.113.32/28")
)
RANGES = (
    *(Range(network, "S3", REGION) for network in STORE_LIST.networks),
    Range("203.0.113.80/30", "AMAZON", REGION),
)
"""The published ranges of the company's internet services that are AWS's."""


def company_snapshot() -> Snapshot:
    """Return what the company's addresses belong to; every list in the order of its ids."""
    return Snapshot(
        scopes=(
            Scope(
                account_id=ACCOUNT_ID,
                region=REGION,
                taken_s=TAKEN_S,
                interfaces=tuple(sorted(map(_interface, HOSTS), key=lambda one: one.interface_id)),
                instances=tuple(sorted(_instances(), key=lambda one: one.instance_id)),
                groups=tuple(sorted(_groups(), key=lambda one: one.group_id)),
                subnets=tuple(sorted(_subnets(), key=lambda one: one.subnet_id)),
                vpcs=(
                    Vpc(VPC_ID, ("10.0.0.0/16", "2001:db8:1234:1a00::/56"), {"Name": "company", "env": "production"}),
                ),
                prefix_lists=tuple(sorted((OFFICES_LIST, STORE_LIST), key=lambda one: one.list_id)),
            ),
        ),
        ranges=RANGES,
    )


def group_id(tier: str) -> str:
    """Return the id of a tier's security group."""
    return resource_id("sg", tier)


def scaling_group(tier: str) -> str:
    """Return the name of a tier's Auto Scaling group; empty if it has none."""
    return f"{tier}-asg" if tier in _SCALED_TIERS else ""


def _interface(host: Host) -> Interface:
    public = [one for tier in _PUBLIC for one in HOSTS if one.tier == tier]
    return Interface(
        interface_id=host.interface_id,
        vpc_id=VPC_ID,
        subnet_id=host.subnet.subnet_id,
        zone_id=host.subnet.az_id,
        addresses=tuple(one for one in (host.ipv4, host.secondary, host.ipv6) if one not in ("", "-")),
        public=(f"203.0.113.{_FIRST_PUBLIC + public.index(host)}",) if host in public else (),
        kind=_IDLE_KINDS[_number(host) - 1] if host.tier == "idle" else _KINDS.get(host.tier, "interface"),
        description=_description(host),
        requester=_REQUESTERS.get(host.tier, ""),
        group_ids=() if host.tier in _GROUPLESS_TIERS else (group_id(host.tier),),
        instance_id=host.instance_id.strip("-"),
        since_s=ATTACHED_S,
    )


def _number(host: Host) -> int:
    return int(host.name.rpartition("-")[2])


def _description(host: Host) -> str:
    """What AWS writes into the description of an interface that it makes."""
    unique = resource_id("", host.tier)[2:]
    match host.tier:
        case "load-balancer":
            return f"ELB app/shop/{unique}"
        case "internal-load-balancer":
            return f"ELB app/back-office/{unique}"
        case "network-load-balancer":
            return f"ELB net/partner-files/{unique}"
        case "nat":
            return f"Interface for NAT Gateway {resource_id('nat', host.name)}"
        case "orders-db" | "content-db":
            return "RDSNetworkInterface"
        case "cache":
            return f"ElastiCache sessions-00{_number(host)}"
    if host.tier != "idle":
        return ""
    return (
        f"EFS mount target for {resource_id('fs', 'pictures')} ({resource_id('fsmt', 'pictures')})",
        f"VPC Endpoint Interface {resource_id('vpce', 'secrets')}",
        "AWS Lambda VPC ENI-thumbnails-0c7b2f3e-5d5a-4a0e-9a5e-3b1f0e6d2c41",
        f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:attachment/6d1f2a34-8f0b-4f43-9f0e-2b7c9d5e1a60",
    )[_number(host) - 1]


def _instances() -> Iterator[Instance]:
    for host in HOSTS:
        if host.instance_id == "-":
            continue
        tags: Tags = {"Name": host.name, "app": _APPS[host.tier]}
        scaled = scaling_group(host.tier)
        yield Instance(host.instance_id, {**tags, GROUP_TAG: scaled} if scaled else tags)


def _subnets() -> Iterator[Subnet]:
    for subnet in dict.fromkeys(host.subnet for host in HOSTS):
        number = int(subnet.ipv4_head.split(".")[2])
        kind = {0: "public", 1: "private", 2: "data"}[number // 10]
        networks = (f"{subnet.ipv4_head}0/24", f"{subnet.ipv6_head}/64")
        yield Subnet(subnet.subnet_id, VPC_ID, subnet.az_id, networks, {"Name": f"{kind}-{'ab'[number % 10]}"})


def _groups() -> Iterator[SecurityGroup]:
    """A security group per tier: what the company's services send is let in, and all is let out."""
    out = tuple(Rule(False, "-1", -1, -1, other) for other in _EVERYWHERE)
    for tier in dict.fromkeys(host.tier for host in HOSTS):
        if tier not in _GROUPLESS_TIERS:
            yield SecurityGroup(group_id(tier), tier, VPC_ID, (*_as_aws_lists(_inbound(tier)), *out))


def _as_aws_lists(rules: Iterable[Rule]) -> list[Rule]:
    """Order rules as EC2 answers: by protocol and port, then IPv4 networks, IPv6 networks, prefix lists, groups."""
    once = dict.fromkeys(rules)
    ports = list(dict.fromkeys((rule.protocol, rule.from_port) for rule in once))

    def place(rule: Rule) -> tuple[int, int]:
        kinds = (True, ":" in rule.other, rule.other.startswith("pl-"), rule.other.startswith("sg-"))
        return ports.index((rule.protocol, rule.from_port)), max(place for place, holds in enumerate(kinds) if holds)

    return sorted(once, key=place)


def _inbound(tier: str) -> Iterator[Rule]:
    for service in SERVICES:
        servers = {server.tier for server in service.servers if isinstance(server, Host)}
        if service.route is Route.THROUGH_BALANCER:
            servers.add(TWICE_LOGGED_TIER)
        if service.route in (Route.DENIED, Route.SCAN) or tier not in servers:
            continue
        if service.route is Route.FROM_OFFICE:
            others = {OFFICES_LIST.list_id: None}
        else:
            others = {
                group_id(client.tier) if isinstance(client, Host) else _EVERYWHERE[":" in client]: None
                for client in service.clients
            }
        ports = (-1, -1) if service.protocol == ICMP else (service.port, service.port)
        for other in others:
            yield Rule(True, _PROTOCOLS[service.protocol], *ports, other)
