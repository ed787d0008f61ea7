"""Where runs live: the bucket that holds them, and the roles and the network of their clusters."""

from dataclasses import dataclass

from toptalkers.capture.our_stack import OurStack


@dataclass(frozen=True, slots=True)
class SecurityGroups:
    """The security groups of a cluster, by their ids; empty for those that EMR makes or finds itself."""

    primary: str = ""
    nodes: str = ""
    service: str = ""
    """The one for EMR's access to a private subnet."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where runs live.

    Attributes:
        name: the name of the stack, or of what takes its place; it is the value of the clusters' tag.
        bucket: the bucket that holds runs, the bundle, and by default the flow logs.
        service_role: the name or ARN of the role that EMR runs under.
        instance_profile: the name or ARN of the instance profile of a cluster's nodes.
        security_configuration: the name of EMR's security configuration; empty for none.
        subnets: the ids of the subnets of clusters; of several, EMR chooses. Empty for EMR's own choice.
        security_groups: the security groups of clusters.
        read_buckets: the names of other buckets that the nodes may read; None when that is not known.
        nodes_role: the ARN of the nodes' role; empty when it is not known.

    """

    name: str
    bucket: str
    service_role: str
    instance_profile: str
    security_configuration: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: SecurityGroups = SecurityGroups()
    read_buckets: frozenset[str] | None = None
    nodes_role: str = ""


def site_of(stack: OurStack) -> Site:
    """Take bucket, roles and network from our stack.

    Raises:
        ToptalkersError: the stack is too old.

    """

    def listed(parameter: str) -> tuple[str, ...]:
        return tuple(one.strip() for one in stack.parameters.get(parameter, "").split(",") if one.strip())

    role_path = stack.parameters.get("RolePath", "/")
    return Site(
        name=stack.name,
        bucket=stack.bucket,
        service_role=stack.emr_service_role,
        instance_profile=stack.emr_instance_profile,
        security_configuration=stack.emr_security_configuration,
        subnets=listed("ClusterSubnets"),
        security_groups=SecurityGroups(
            primary=stack.parameters.get("ClusterPrimarySecurityGroup", ""),
            nodes=stack.parameters.get("ClusterNodeSecurityGroup", ""),
            service=stack.parameters.get("ClusterServiceSecurityGroup", ""),
        ),
        read_buckets=frozenset(listed("ReadBuckets")),
        # Of the stack's own, role and instance profile have the same name.
        nodes_role=f"arn:{stack.arn.split(':')[1]}:iam::{stack.account_id}:role{role_path}{stack.emr_instance_profile}"
        if stack.account_id
        else "",
    )
