"""The made-up company whose VPC the sample comes from, and the world outside it.

One VPC, 10.0.0.0/16 with an IPv6 block, in two Availability Zones: a load balancer, NAT gateways and a
bastion in front; web, application and batch instances behind; databases, caches, name servers and
monitoring beside them; a handful of interfaces that hardly ever talk. Outside: customers, administrators,
partners, an S3-like store, time servers and scanners.

The company is the same for every seed - only what it says differs - so that one list of its names fits every
sample. All addresses are RFC 5737, RFC 3849 or 10.0.0.0/16; the account is AWS's documentation account.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from ipaddress import IPv6Address

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"
NO_VALUE = "-"

_COMPANY_SEED = 20261101


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet: its id, its zone's id (not name: ids mean the same in every account) and its address blocks."""

    subnet_id: str
    az_id: str
    ipv4_prefix: str  # the first three numbers, "10.0.0"
    ipv6_prefix: str  # the first four groups, "2001:db8:1234:a100"


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface (ENI). `instance_id` is `-` where AWS owns the machine (load balancer, NAT, RDS)."""

    number: int  # position in Company.interfaces
    interface_id: str
    role: str
    address: str
    ipv6_address: str
    instance_id: str
    subnet: Subnet


@dataclass(frozen=True, slots=True)
class Company:
    """The VPC and every interface in it, idle ones first, the load balancer's last."""

    vpc_id: str
    flow_log_id: str
    interfaces: tuple[Interface, ...]

    def having_role(self, *roles: str) -> tuple[Interface, ...]:
        """The interfaces of these roles, in the company's order."""
        return tuple(interface for interface in self.interfaces if interface.role in roles)


@dataclass(frozen=True, slots=True)
class OutsideWorld:
    """Addresses that are not the company's, as they are printed in a record."""

    customers: tuple[str, ...]
    customers_ipv6: tuple[str, ...]
    administrators: tuple[str, ...]
    partners: tuple[str, ...]
    object_store: tuple[str, ...]
    time_servers: tuple[str, ...]
    name_servers: tuple[str, ...]
    scanners: tuple[str, ...]
    scanners_ipv6: tuple[str, ...]


# (tier, third number of the zone-a block; zone b's is one higher)
_TIERS = (("public", 0), ("app", 10), ("data", 20), ("batch", 30))

# (role, tier, interfaces, first host number, whether an instance of the company's own is behind it).
# They take turns between the zones, the first in zone a; the replica stands away from its primary.
_ROLES = (
    ("idle-function", "app", 8, 200, False),
    ("idle-endpoint", "data", 4, 240, False),
    ("monitoring", "app", 1, 40, True),
    ("bastion", "public", 1, 22, True),
    ("batch", "batch", 4, 11, True),
    ("nat", "public", 2, 220, False),
    ("mysql", "data", 1, 33, False),
    ("postgresql-replica", "data", 1, 55, False),
    ("postgresql", "data", 1, 54, False),
    ("cache", "data", 2, 63, False),
    ("name-server", "app", 2, 53, True),
    ("app", "app", 6, 101, True),
    ("web", "app", 6, 21, True),
    ("load-balancer", "public", 2, 10, False),
)


def build_company() -> Company:
    """The company: equal every time."""
    rng = random.Random(_COMPANY_SEED)  # noqa: S311 - made-up ids, not secrets
    vpc_id = _resource_id("vpc", rng)
    flow_log_id = _resource_id("fl", rng)
    subnets = {
        tier: tuple(
            Subnet(_resource_id("subnet", rng), az_id, f"10.0.{third + zone}", f"2001:db8:1234:a1{third + zone:02x}")
            for zone, az_id in enumerate(("use1-az1", "use1-az2"))
        )
        for tier, third in _TIERS
    }
    interfaces: list[Interface] = []
    for role, tier, how_many, host, own_instance in _ROLES:
        for i in range(how_many):
            subnet = subnets[tier][(i + (role == "postgresql-replica")) % 2]
            interfaces.append(
                Interface(
                    number=len(interfaces),
                    interface_id=_resource_id("eni", rng),
                    role=role,
                    address=f"{subnet.ipv4_prefix}.{host + i}",
                    ipv6_address=_ipv6_host(subnet.ipv6_prefix, rng),
                    instance_id=_resource_id("i", rng) if own_instance else NO_VALUE,
                    subnet=subnet,
                )
            )
    return Company(vpc_id, flow_log_id, tuple(interfaces))


def build_outside_world() -> OutsideWorld:
    """The world outside: the same addresses every time; who among them is loud is the seed's affair."""
    rng = random.Random(_COMPANY_SEED + 1)  # noqa: S311 - made-up addresses, not secrets
    networks = [f"2001:db8:{rng.randrange(0x2000, 0xFFFF):x}:{rng.randrange(0xFFFF):x}" for _ in range(90)]
    return OutsideWorld(
        customers=tuple(f"203.0.113.{i}" for i in range(1, 255))
        + tuple(f"198.51.100.{i}" for i in range(1, 190))
        + tuple(f"192.0.2.{i}" for i in range(1, 100)),
        customers_ipv6=tuple(_ipv6_host(networks[i % len(networks)], rng) for i in range(360)),
        administrators=("198.51.100.190", "198.51.100.191", "203.0.113.77"),
        partners=tuple(f"198.51.100.{i}" for i in range(200, 212)),
        object_store=tuple(f"198.51.100.{i}" for i in range(240, 248)),
        time_servers=("198.51.100.230", "198.51.100.231"),
        name_servers=("198.51.100.220", "198.51.100.221", "198.51.100.222"),
        scanners=tuple(f"192.0.2.{i}" for i in range(130, 250)),
        scanners_ipv6=tuple(f"2001:db8:bad:{i:x}::{i + 1:x}" for i in range(1, 13)),
    )


def _resource_id(kind: str, rng: random.Random) -> str:
    return f"{kind}-0{rng.getrandbits(64):016x}"


def _ipv6_host(prefix: str, rng: random.Random) -> str:
    """A host of a /64 as AWS prints it: lower case, compressed. Every third one has a short, hand-given number."""
    host = rng.randrange(1, 0x200) if rng.randrange(3) == 0 else rng.getrandbits(64)
    return str(IPv6Address(int(IPv6Address(f"{prefix}::")) | host))
