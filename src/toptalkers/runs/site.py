"""Where runs live: the bucket that holds them, and the roles and the network of their clusters."""

import re
from dataclasses import dataclass, replace

from toptalkers import locations
from toptalkers.aws.account import Account
from toptalkers.capture.our_stack import OurStack, require_own
from toptalkers.errors import UsageError

DEFAULT_PROFILE = "EMR_EC2_DefaultRole"
"""The one profile whose role AmazonEMRServicePolicy_v2 passes."""

LOGS_MARK = "RunLogsExpireDays"
"""A stack with this parameter lets the nodes write logs where runs want them; older ones do not have it."""

_GROUP = re.compile(r"sg-[0-9a-f]+")


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
        tags: the tags of the stack, which its clusters have, too.
        is_stack: whether a stack of ours has made it all; otherwise at least the service role is somebody else's.
        notes: lines that a user should read before a run.
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
    is_stack: bool = True
    tags: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    nodes_role: str = ""

    @property
    def words(self) -> str:
        """What names it on the command line of another command: an option behind a space, or nothing."""
        return _words("" if self.is_stack else self.bucket, self.name)


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """What the user says about where runs live: a stack, or a bucket and roles without a stack.

    A text that is empty is not given. With a stack, what is given takes the place of what the stack has. Attributes
    that are not explained here are those of `Site`.

    Attributes:
        stack_name: the name of the stack; ignored when there is a bucket.
        bucket: the name of a bucket; then there is no stack.

    """

    stack_name: str = "toptalkers"
    bucket: str = ""
    service_role: str = ""
    instance_profile: str = ""
    security_configuration: str = ""
    primary_security_group: str = ""
    node_security_group: str = ""
    service_security_group: str = ""

    @property
    def words(self) -> str:
        """What names the same place on the command line of another command: an option behind a space, or nothing."""
        return _words(self.bucket, self.stack_name)


def find_bucket(account: Account, options: SiteOptions) -> str:
    """Find the bucket that holds the runs. A bucket that is given is taken at its word, without a request.

    Raises:
        UsageError: this is not the name of a bucket.
        ToptalkersError: there is no such stack, or it is not ours, or not up.

    """
    if not options.bucket:
        return require_own(account, options.stack_name).bucket
    if not re.fullmatch(locations.BUCKET_NAME, options.bucket):
        raise UsageError(
            f"--bucket: {options.bucket!r} is not the name of a bucket", hint="without s3:// and without a folder"
        )
    return options.bucket


def find_site(account: Account, options: SiteOptions, *, is_cluster_new: bool = True) -> Site:
    """Find where a new run lives: in the stack that is named, or in a bucket with roles, which makes no request.

    A run on a cluster that runs already needs no roles.

    Raises:
        UsageError: a name is not valid, or an option is missing.
        ToptalkersError: there is no such stack, or it is not ours, not up, or too old.

    """
    _check_groups(options)
    given = {name: getattr(options, name) for name in ("service_role", "instance_profile", "security_configuration")}
    if options.bucket:
        bucket = find_bucket(account, options)
        lacking = " and ".join(
            f"--{name.replace('_', '-')}" for name in ("service_role", "instance_profile") if not given[name]
        )
        if lacking and is_cluster_new:
            raise UsageError(
                f"--bucket is for runs without a stack; {lacking} must be given, too",
                hint="toptalkers.toml can keep them; 'toptalkers deploy' makes a stack that has all of them",
            )
        site = Site(name=bucket, bucket=bucket, is_stack=False, **given)
    else:
        stack = require_own(account, options.stack_name)
        site = site_of(stack)
        site = replace(
            site, is_stack=not given["service_role"], **{name: value for name, value in given.items() if value}
        )
        if options.instance_profile:
            own = site_of(stack).instance_profile
            if is_cluster_new and site.is_stack and options.instance_profile not in (own, DEFAULT_PROFILE):
                raise UsageError(
                    f"--instance-profile: the service role of the stack {stack.name} passes {own} to EC2, and no other",
                    hint="--service-role names a role that may pass it",
                )
            # Then the stack does not decide what the nodes may read.
            site = replace(site, read_buckets=None, nodes_role="")
    if options.primary_security_group:
        given_groups = {options.primary_security_group, options.node_security_group}
        named = {site.security_groups.primary, site.security_groups.nodes, site.security_groups.service}
        if site.is_stack and site.security_groups.primary and not given_groups <= named:
            note = (
                f"the service role of the stack {site.name} uses the security groups {', '.join(sorted(named - {''}))}"
                " and no others, unless they have the tag of EMR's managed policies"
            )
            site = replace(site, notes=(*site.notes, note))
        site = replace(
            site, security_groups=SecurityGroups(options.primary_security_group, options.node_security_group)
        )
    if options.service_security_group:
        site = replace(site, security_groups=replace(site.security_groups, service=options.service_security_group))
    return site


def _check_groups(options: SiteOptions) -> None:
    groups = {
        "--primary-security-group": options.primary_security_group,
        "--node-security-group": options.node_security_group,
        "--service-security-group": options.service_security_group,
    }
    for option, group in groups.items():
        if group and not _GROUP.fullmatch(group):
            raise UsageError(f"{option}: {group!r} is not the id of a security group", hint="like sg-0123456789abcdef0")
    if bool(options.primary_security_group) != bool(options.node_security_group):
        # EMR: "If you specify the EmrManagedMasterSecurityGroup, you must also specify the other."
        raise UsageError("--primary-security-group and --node-security-group go together", hint="give both, or neither")


def site_of(stack: OurStack) -> Site:
    """Take bucket, roles and network from our stack.

    Raises:
        ToptalkersError: the stack is too old.

    """
    return Site(
        name=stack.name,
        bucket=stack.bucket,
        service_role=stack.emr_service_role,
        instance_profile=stack.emr_instance_profile,
        security_configuration=stack.emr_security_configuration,
        subnets=stack.listed("ClusterSubnets"),
        security_groups=SecurityGroups(
            primary=stack.parameters.get("ClusterPrimarySecurityGroup", ""),
            nodes=stack.parameters.get("ClusterNodeSecurityGroup", ""),
            service=stack.parameters.get("ClusterServiceSecurityGroup", ""),
        ),
        read_buckets=frozenset(stack.listed("ReadBuckets")),
        tags=tuple(stack.tags.items()),
        nodes_role=stack.nodes_role,
        notes=() if LOGS_MARK in stack.parameters else (_old_logs(stack.name),),
    )


def _old_logs(name: str) -> str:
    return (
        f"an older version deployed the stack {name}: the nodes may not write logs to {locations.RUN_LOGS}, so that the"
        f" run will not know its tally, or why it failed; 'toptalkers deploy --stack-name {name}' brings it up to date"
    )


def _words(bucket: str, stack_name: str) -> str:
    if bucket:
        return f" --bucket {bucket}"
    return f" --stack-name {stack_name}" if stack_name != SiteOptions().stack_name else ""
