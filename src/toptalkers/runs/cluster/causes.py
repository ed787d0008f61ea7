"""Why a cluster did not start, and what to do: EMR's codes and messages, and the command that mends each.

The codes are those of the EMR management guide, "Error codes with ErrorDetail information in Amazon EMR". Where EMR has
no code, the message decides, though AWS may change its words: those here are from the guide's "VPC errors", and from
users' reports of real clusters.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from toptalkers.runs.cluster.ahead import way_to_list_subnets, way_to_more, way_to_tag
from toptalkers.runs.plan import RunPlan

Kind = Literal["permission", "quota", "capacity", "subnet", "type", "key", "bootstrap"]


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause of failure: the codes or messages of EMR that tell it, and what mends it in a plan."""

    kind: Kind
    pattern: re.Pattern[str]
    mend: Callable[[RunPlan, re.Match[str]], str]


def find_cause(plan: RunPlan, codes: Sequence[str], message: str) -> tuple[Kind, str] | None:
    """Find why a cluster did not start: the kind, and what to do. None if EMR's words are not known.

    `codes` are EMR's codes: those of the error details, and that of the cluster's change of state. `message` is EMR's
    reason for the change.
    """
    said = "\n".join((*codes, message))
    for cause in _CAUSES:
        if found := cause.pattern.search(said):
            return cause.kind, cause.mend(plan, found)
    return None


def _make_linked_role(service: str) -> Callable[[RunPlan, re.Match[str]], str]:
    return lambda _plan, _found: (
        f"'aws iam create-service-linked-role --aws-service-name {service}' makes the role, once per account"
    )


def _grant(plan: RunPlan, _: re.Match[str]) -> str:
    if plan.site.is_stack:
        return f"'toptalkers deploy --stack-name {plan.site.name}' brings the role up to date"
    resources = plan.network.resources or ("SUBNET-ID", "VPC-ID")
    return (
        "a role that only has AmazonEMRServicePolicy_v2 uses tagged networks, and passes no roles but EMR's own:"
        f" {way_to_tag(plan.region, resources)} tags this one"
    )


def _check_role(plan: RunPlan, _: re.Match[str]) -> str:
    role = plan.site.service_role.rpartition("/")[2]
    return f"'aws iam get-role --role-name {role}' shows whether elasticmapreduce.amazonaws.com may assume it"


def _check_profile(plan: RunPlan, _: re.Match[str]) -> str:
    profile = plan.site.instance_profile.rpartition("/")[2]
    return (
        f"'aws iam get-instance-profile --instance-profile-name {profile}' shows whether it has a role;"
        " EC2 may not know a new one yet: try again in a minute"
    )


def _allow_key(plan: RunPlan, _: re.Match[str]) -> str:
    return (
        f"the role {plan.site.service_role} may not use the KMS key of the nodes' disks:"
        f" 'aws kms get-key-policy --region {plan.region} --key-id KEY-ID --policy-name default' shows who may"
    )


def _raise_quota(plan: RunPlan, found: re.Match[str]) -> str:
    is_spot = "spot" in found[0].lower()
    needed = plan.sizing.spot_vcpus if is_spot else plan.sizing.on_demand_vcpus
    more = way_to_more(plan.region, "Spot" if is_spot else "on demand", needed)
    return f"{more}; what else runs in the account counts as well: fewer --core or --task need less"


def _other_place(_plan: RunPlan, _found: re.Match[str]) -> str:
    return "another --instance-type, --subnet or Availability Zone may have room"


def _other_type(_plan: RunPlan, _found: re.Match[str]) -> str:
    return "--instance-type or --primary-type chooses another, or --subnet a subnet in another zone"


def _give_route(plan: RunPlan, _: re.Match[str]) -> str:
    vpc = plan.network.vpc or "VPC-ID"
    return (
        f"the nodes need a way to S3: 'aws ec2 create-vpc-endpoint --region {plan.region} --vpc-id {vpc}"
        f" --service-name com.amazonaws.{plan.region}.s3 --route-table-ids ROUTE-TABLE-ID' makes one,"
        " or --subnet chooses a subnet that has one"
    )


def _other_subnet(plan: RunPlan, _: re.Match[str]) -> str:
    return f"--subnet chooses another; {way_to_list_subnets(plan.region)}"


def _other_groups(_plan: RunPlan, _found: re.Match[str]) -> str:
    return "EMR makes groups that fit when none are named: see the section on security groups in its management guide"


def _other_key(plan: RunPlan, _: re.Match[str]) -> str:
    return f"'aws ec2 describe-key-pairs --region {plan.region}' lists the key pairs of the Region, for --key-name"


def _read_node_logs(plan: RunPlan, _: re.Match[str]) -> str:
    logs = plan.request.get("LogUri", plan.record.logs)
    return (
        f"'aws s3 ls --recursive {logs}' lists the logs of the nodes, under node/;"
        " wrong --configurations, or nodes without a way to S3, are what stops them"
    )


def _cause(kind: Kind, pattern: str, mend: Callable[[RunPlan, re.Match[str]], str]) -> Cause:
    return Cause(kind, re.compile(pattern, re.IGNORECASE), mend)


_CAUSES = (
    _cause("permission", "AWSServiceRoleForEMRCleanup", _make_linked_role("elasticmapreduce.amazonaws.com")),
    _cause(
        "permission",
        "AWSServiceRoleForEC2Spot|ServiceLinkedRoleCreationNotPermitted|service-linked role for EC2 Spot",
        _make_linked_role("spot.amazonaws.com"),
    ),
    _cause("permission", "insufficient EC2 permissions|UnauthorizedOperation|not authorized to perform", _grant),
    _cause("permission", "service role [^\n]*is invalid", _check_role),
    _cause("permission", "instance ?profile [^\n]*is invalid|invalid instance ?profile", _check_profile),
    # EC2 says no more about a key that it may not use (EC2 user guide, "Troubleshoot instance launch issues").
    _cause("permission", "Client error on launch|InvalidKMSKey|KMSKey|KMS key", _allow_key),
    # Before capacity: EC2 says "more vCPU capacity than your current vCPU limit".
    _cause(
        "quota",
        "[^\n]*(?:VcpuLimitExceeded|InstanceLimitExceeded|vCPU limit|service quota"
        "|MaxSpotInstanceCountExceeded|max spot instance count exceeded)[^\n]*",
        _raise_quota,
    ),
    _cause("type", "INSTANCE_TYPE_NOT_SUPPORTED|instance type [^\n]*is not supported", _other_type),
    _cause("subnet", "route to|does not have route", _give_route),
    _cause("subnet", "SECURITY_GROUP|security ?group|block public access", _other_groups),
    _cause("subnet", "SUBNET_NOT_FROM_ONE_VPC|subnet configuration was invalid|\\bsubnet\\b", _other_subnet),
    _cause("key", "INVALID_SSH_KEY_NAME|SSH key|key ?pair", _other_key),
    _cause("capacity", "CAPACITY|SPOT_PRICE_INCREASE|INSTANCE_FLEET_TIMEOUT|has not started within", _other_place),
    _cause("bootstrap", "BOOTSTRAP_FAILURE|bootstrap action|application provisioning failed", _read_node_logs),
)
"""In the order in which they are tried."""
