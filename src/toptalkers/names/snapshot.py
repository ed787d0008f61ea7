"""A snapshot: what the addresses of an AWS network belonged to at one time. A file of JSON; see `docs/names.md`.

Everything is kept as AWS calls it. What an interface is for, and which name it gives, is told when the file is read
(`interfaces.py`, `owners.py`), so that a better rule helps with old snapshots, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface.

    Attributes:
        interface_id: such as `eni-0123456789abcdef0`.
        vpc_id: its VPC.
        subnet_id: its subnet.
        zone_id: its Availability Zone's id, such as `use1-az1`; its name if AWS gives no id.
        addresses: its private IPv4 addresses, the primary one first, and its IPv6 addresses, in RFC 5952's form.
        public: its public IPv4 addresses, Elastic ones among them.
        prefixes: the IPv4 and IPv6 prefixes delegated to it, such as `10.0.3.16/28`.
        kind: EC2's `InterfaceType`: `interface`, `nat_gateway`, `lambda` ...
        description: as AWS or its owner wrote it.
        requester: the account or service that made it (`RequesterId`); empty if it has none.
        group_ids: its security groups.
        instance_id: the instance that it is attached to; empty if there is none.
        tags: its tags.
        since_s: when it was attached, in seconds since 1970; 0 if that is not known. Before, its addresses were
            another's.

    """

    interface_id: str
    vpc_id: str = ""
    subnet_id: str = ""
    zone_id: str = ""
    addresses: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    kind: str = "interface"
    description: str = ""
    requester: str = ""
    group_ids: tuple[str, ...] = ()
    instance_id: str = ""
    tags: Tags = field(default_factory=dict)
    since_s: int = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance. Its Auto Scaling group, EKS cluster and the like are tags."""

    instance_id: str
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a security group: its direction, protocol (`-1` for all), ports and the other side.

    The other side is a network, a security group's id or a prefix list's id. Ports are -1 where there are none.
    """

    is_inbound: bool
    protocol: str
    from_port: int
    to_port: int
    other: str


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group and its rules."""

    group_id: str
    name: str
    vpc_id: str = ""
    rules: tuple[Rule, ...] = ()
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet, with its networks of both families."""

    subnet_id: str
    vpc_id: str = ""
    zone_id: str = ""
    networks: tuple[str, ...] = ()
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC, with its networks of both families."""

    vpc_id: str
    networks: tuple[str, ...] = ()
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A prefix list: AWS's own (`com.amazonaws.us-east-1.s3`) or a customer's."""

    list_id: str
    name: str
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """What could not be asked: the API's action, such as `ec2:DescribeInstances`, and why, in one line."""

    action: str
    why: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What one account had in one Region at one time.

    Attributes:
        account_id: the account; empty if it is not known.
        region: the Region.
        taken_s: when it was asked for, in seconds since 1970.
        holes: what is missing.

    """

    account_id: str
    region: str
    taken_s: int
    interfaces: tuple[Interface, ...] = ()
    instances: tuple[Instance, ...] = ()
    groups: tuple[SecurityGroup, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    vpcs: tuple[Vpc, ...] = ()
    prefix_lists: tuple[PrefixList, ...] = ()
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """One of AWS's published ranges (`ip-ranges.json`): a network, its service, such as `S3`, and its Region."""

    network: str
    service: str
    region: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is in one file: one scope or several, and AWS's published ranges if the user gave them."""

    scopes: tuple[Scope, ...]
    ranges: tuple[Range, ...] = ()
