"""What a network interface is for, and what it is called: from its description, its type, its requester and its tags.

AWS documents few of the descriptions that its services write. The others are as they are found in configurations and
answers of the API that people published, and in tools that live on them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from toptalkers.names.snapshot import Instance, Interface

NAME_TAG = "Name"

GROUP_TAG = "aws:autoscaling:groupName"
"""The tag with an instance's Auto Scaling group."""

CLUSTER_TAG, SERVICE_TAG = "aws:ecs:clusterName", "aws:ecs:serviceName"
"""Tags that ECS puts on the interface of a task, if its service has `enableECSManagedTags` (ECS developer guide,
"Tagging Amazon ECS resources")."""

EKS_TAGS = ("cluster.k8s.amazonaws.com/name", "eks:cluster-name")
"""Tags with the name of an EKS cluster, which its CNI puts on interfaces (github.com/aws/amazon-vpc-cni-k8s)."""

_OWNED_CLUSTER = "kubernetes.io/cluster/"
"""A tag that begins like this ends with the name of a cluster."""

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a description says.

    Attributes:
        kind: a kind of `docs/names.md`.
        label: the name that it gives; `{}` stands for the group of the pattern.
        description: a regular expression for the beginning of the description.
        source: where the form of the description is from.

    """

    kind: str
    label: str
    description: re.Pattern[str]
    source: str


def _pattern(kind: str, label: str, description: str, source: str) -> Pattern:
    return Pattern(kind, label, re.compile(description), source)


_CUSTODIAN = "github.com/cloud-custodian/cloud-custodian: the types of interfaces in flow logs"
_PUBLISHED = "interfaces of real accounts, as published on GitHub"

PATTERNS: tuple[Pattern, ...] = (
    _pattern("ecs-task", "ECS task", r"arn:aws[a-z-]*:ecs:[^:]*:[^:]*:attachment/", _CUSTODIAN),
    _pattern("eks-pod", "EKS", r"aws-K8S-(?:i-|branch|trunk)|aws-k8s-branch-eni", "EKS best practices guide"),
    _pattern(
        "lambda",
        "Lambda {}",
        rf"AWS Lambda VPC ENI-(.+?)(?:-{_UUID})?$",
        "re:Post, 'Why can't I detach or delete an elastic network interface that Lambda created?'",
    ),
    _pattern("lambda", "Lambda", r"AWS Lambda VPC ENI", _CUSTODIAN),
    _pattern("rds", "RDS Proxy {}", r"Network interface for DBProxy (\S+)", _CUSTODIAN),
    _pattern("rds", "RDS", r"RDSNetworkInterface", _CUSTODIAN),
    _pattern("elasticache", "ElastiCache {}", r"ElastiCache[ +](\S+)", _CUSTODIAN),
    _pattern("elasticache", "ElastiCache", r"ElastiCache", _CUSTODIAN),
    _pattern(
        "load-balancer",
        "ELB {}",
        r"ELB ((?:app|net|gwy)/[^/]+)/",
        "Elastic Load Balancing user guides, 'ELB app/load-balancer-name/load-balancer-id'",
    ),
    _pattern("load-balancer", "ELB {}", r"ELB (\S+)", "user guide for Classic Load Balancers, 'ELB name'"),
    _pattern("nat-gateway", "NAT {}", r"Interface for NAT Gateway (nat-\w+)", _CUSTODIAN),
    _pattern(
        "transit-gateway",
        "TGW {}",
        r"Network Interface for Transit Gateway Attachment (tgw-attach-\w+)",
        _CUSTODIAN,
    ),
    _pattern(
        "vpc-endpoint",
        "VPC endpoint {}",
        r"VPC Endpoint Interface (vpce-\w+)",
        "VPC user guide, 'VPC Endpoint Interface vpce-...'",
    ),
    _pattern("efs", "EFS {}", r"EFS mount target for (fs-\w+)", _CUSTODIAN),
    _pattern("interface", "EKS cluster {}", r"Amazon EKS (\S+)", "EKS user guide, 'Amazon EKS cluster-name'"),
    _pattern(
        "interface",
        "Directory {}",
        r"AWS created network interface for directory (d-\w+)",
        "Directory Service administration guide",
    ),
    _pattern("interface", "Redshift", r"RedshiftNetworkInterface", _CUSTODIAN),
    _pattern("interface", "DMS", r"DMSNetworkInterface", _CUSTODIAN),
    _pattern("interface", "DAX {}", r"DAX (\S+)", _CUSTODIAN),
    _pattern("interface", "OpenSearch {}", r"ES (\S+)", _PUBLISHED),
    _pattern("interface", "MSK {}", r".*Amazon MSK network interface for cluster arn:\S+:cluster/([^/]+)/", _PUBLISHED),
    _pattern("interface", "Firehose {}", r"Amazon Kinesis Firehose - ([^\s.]+)", _PUBLISHED),
    _pattern("interface", "Glue {}", r"Attached to Glue using role: arn:\S+:role/(\S+)", _PUBLISHED),
    _pattern("interface", "CloudHSM {}", r"CloudHsm ENI (\S+)", _CUSTODIAN),
    _pattern("interface", "API Gateway", r"ENI managed by APIGateway", _CUSTODIAN),
    _pattern("interface", "CodeStar", r"AWS CodeStar Connections", _CUSTODIAN),
    _pattern("interface", "EMR", r"AWS ElasticMapReduce", _CUSTODIAN),
    _pattern("interface", "WorkSpaces", r"Created By Amazon Workspaces", _PUBLISHED),
)
"""In this order: the first one that fits counts."""

TYPES: Mapping[str, tuple[str, str]] = {
    "nat_gateway": ("nat-gateway", "NAT"),
    "natGateway": ("nat-gateway", "NAT"),
    "transit_gateway": ("transit-gateway", "TGW"),
    "lambda": ("lambda", "Lambda"),
    "load_balancer": ("load-balancer", "ELB"),
    "network_load_balancer": ("load-balancer", "ELB"),
    "gateway_load_balancer": ("load-balancer", "ELB"),
    "vpc_endpoint": ("vpc-endpoint", "VPC endpoint"),
    "gateway_load_balancer_endpoint": ("vpc-endpoint", "VPC endpoint"),
    "efs": ("efs", "EFS"),
    "branch": ("eks-pod", "EKS"),
    "quicksight": ("interface", "QuickSight"),
    "global_accelerator_managed": ("interface", "Global Accelerator"),
    "api_gateway_managed": ("interface", "API Gateway"),
}
"""By EC2's `InterfaceType` (EC2 API reference), where the description says nothing: the kind and the name."""

REQUESTERS: Mapping[str, tuple[str, str]] = {
    "amazon-elb": ("load-balancer", "ELB"),
    "amazon-elasticache": ("elasticache", "ElastiCache"),
    "amazon-rds": ("rds", "RDS"),
    "amazon-redshift": ("interface", "Redshift"),
}
"""By the requester, where description and type say nothing: the kind and the name."""


def describe(interface: Interface, instance: Instance | None = None) -> tuple[str, str]:
    """Tell what an interface is for, and what it is called, after `docs/names.md`.

    A tag without a value counts as none. An ECS task has its service's name, and not that of the instance that it runs
    on. Where the description says only the service, such as for RDS, the first address tells one from another.

    Args:
        interface: the interface.
        instance: the instance that it is attached to, if it is known.

    Returns:
        Its kind, and its name, which is never empty.

    """
    kind, said = _say(interface)
    own = interface.tags.get(NAME_TAG, "")
    host = instance.tags.get(NAME_TAG, "") if instance else ""
    by_name = (own, said) if kind == "ecs-task" else (host, own, said)
    return kind, next((one for one in by_name if one), "") or interface.instance_id or interface.interface_id


def _say(interface: Interface) -> tuple[str, str]:
    """The kind, and the name that description, tags, type and requester give; empty if they give none."""
    if service := interface.tags.get(SERVICE_TAG):
        cluster = interface.tags.get(CLUSTER_TAG)
        return "ecs-task", f"ECS {cluster}/{service}" if cluster else f"ECS {service}"
    for pattern in PATTERNS:
        # What its owner wrote on the interface of an instance says nothing.
        if interface.instance_id and pattern.kind not in ("ecs-task", "eks-pod"):
            continue
        if found := pattern.description.match(interface.description):
            if found.groups():
                return pattern.kind, pattern.label.format(found[1])
            return _distinct(pattern.kind, pattern.label, interface)
    if interface.instance_id:
        return "instance", ""
    for known, key in ((TYPES, interface.kind), (REQUESTERS, interface.requester)):
        if key in known:
            return _distinct(*known[key], interface)
    return "interface", ""


def _distinct(kind: str, label: str, interface: Interface) -> tuple[str, str]:
    """Complete a name that many interfaces have."""
    if kind == "eks-pod":
        cluster = next((interface.tags[one] for one in EKS_TAGS if interface.tags.get(one)), "")
        owned = (one.removeprefix(_OWNED_CLUSTER) for one in interface.tags if one.startswith(_OWNED_CLUSTER))
        cluster = cluster or next(owned, "")
        if cluster:
            return kind, f"EKS {cluster}"
        if interface.instance_id:
            return kind, ""
    if kind == "ecs-task" and (cluster := interface.tags.get(CLUSTER_TAG, "")):
        return kind, f"ECS {cluster}"
    if kind == "lambda" and (function := _function_of(interface.requester)):
        return kind, f"Lambda {function}"
    address = (*interface.addresses, interface.interface_id)[0]
    return kind, f"{label} {address}"


def _function_of(requester: str) -> str:
    """The function that an older interface of Lambda was made for: its role's session has the function's name."""
    role, _, function = requester.partition(":")
    return function if role.startswith("AROA") and not function.startswith("awslambda") else ""
