"""Whether EMR can start a cluster in this account: its roles, its network, the types in the zone, the quota of vCPUs.

EMR accepts the request and ends the cluster while it is STARTING. The words are EMR's, as users report them: "Service
role ... has insufficient EC2 permissions" names neither action nor resource, except for CreateSecurityGroup. The
sandbox's log (`emr.log`) names both, as CloudTrail does on AWS.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from toptalkers.sandbox.emr_cluster import StartFailure
from toptalkers.sandbox.emr_roles import Role, Roles
from toptalkers.sandbox.iam import Decision, Request
from toptalkers.sandbox.offers import instance_types, vcpus_of, zones_of

LOGGER = logging.getLogger(__name__)

DEFAULT_GROUPS = ("ElasticMapReduce-master", "ElasticMapReduce-slave")
"""The security groups that EMR makes in a VPC, and finds there the next time."""

MANAGED_GROUPS = ("EmrManagedMasterSecurityGroup", "EmrManagedSlaveSecurityGroup", "ServiceAccessSecurityGroup")
"""The members of a request that name other groups."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """Where a cluster starts: a subnet, and the security groups of its nodes, None for one that EMR must make."""

    subnet: Json
    vpc: Json
    groups: tuple[Json | None, ...]


@dataclass(frozen=True)
class StartCheck:
    """Checks of clusters that are to start.

    Attributes:
        roles: the roles of the account.
        ec2: a client of EC2.
        account: the account's ID.
        region: the Region.

    """

    roles: Roles
    ec2: Any = field(repr=False)
    account: str
    region: str

    def __call__(self, request: Json, quota: int) -> StartFailure | None:
        """Return why EMR ends a new cluster, or None if it starts.

        Args:
            request: of RunJobFlow, which `Emr` has checked.
            quota: the vCPUs that the account may run on demand, and as many as Spot instances.

        """
        service = self.roles.find(request["ServiceRole"])
        if service is None or not service.trusts("elasticmapreduce.amazonaws.com", self._source()):
            arn = service.arn if service else self._role_arn(request["ServiceRole"])
            return StartFailure("VALIDATION_ERROR", f"EMR service role {arn} is invalid")
        subnets, failure = self._subnets(request)
        if failure:
            return failure
        wanted = sorted({name for name, _, _ in _capacity(request)})
        fitting = [one for one in subnets if all(one["AvailabilityZone"] in self._zones(name) for name in wanted)]
        if not fitting:
            zones = {subnet["AvailabilityZone"] for subnet in subnets}
            missing = next(name for name in wanted if not zones & self._zones(name))
            return StartFailure(
                "VALIDATION_ERROR",
                f"The requested instance type {missing} is not supported in the requested availability zone."
                " Learn more at https://docs.aws.amazon.com/console/elasticmapreduce/ERROR_noinstancetype",
                "VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED",
                {"instance-type": missing, "availability-zone": min(zones)},
            )
        try:
            network = self._network(fitting[0], request["Instances"])
        except ClientError as error:
            return _invalid_network(str(error.response["Error"]["Message"]))
        return self._check_permission(service, request, network) or _check_quota(request, quota)

    def _zones(self, instance_type: str) -> set[str]:
        return set(zones_of(instance_type, self.region))

    def _source(self) -> dict[str, str]:
        cluster = f"arn:aws:elasticmapreduce:{self.region}:{self.account}:cluster/j-0"
        return {"aws:SourceAccount": self.account, "aws:SourceArn": cluster}

    def _role_arn(self, role: str) -> str:
        return role if role.startswith("arn:") else f"arn:aws:iam::{self.account}:role/{role}"

    def _subnets(self, request: Json) -> tuple[list[Json], StartFailure | None]:
        instances = request["Instances"]
        given = instances.get("Ec2SubnetIds") or [one for one in [instances.get("Ec2SubnetId")] if one]
        found = {one["SubnetId"]: one for one in self.ec2.describe_subnets()["Subnets"]}
        if not given:
            default = sorted(one["SubnetId"] for one in found.values() if one.get("DefaultForAz"))
            if not default:
                name = next(name for name, _, _ in _capacity(request))
                message = f"Subnet is required : The specified instance type {name} can only be used in a VPC."
                return [], StartFailure("VALIDATION_ERROR", message)
            return [found[one] for one in default], None
        missing = [one for one in given if one not in found]
        if missing:
            return [], _invalid_network(f"The subnet {missing[0]} does not exist.")
        if len({found[one]["VpcId"] for one in given}) > 1:
            message = "The subnet configuration was invalid: All subnets must be in one VPC."
            return [], StartFailure("VALIDATION_ERROR", message, "VALIDATION_ERROR_SUBNET_NOT_FROM_ONE_VPC")
        return [found[one] for one in given], None

    def _network(self, subnet: Json, instances: Json) -> Network:
        """Find the VPC and the groups; a ClientError of EC2 if a given group does not exist."""
        (vpc,) = self.ec2.describe_vpcs(VpcIds=[subnet["VpcId"]])["Vpcs"]
        groups: list[Json | None] = []
        if given := [instances[one] for one in MANAGED_GROUPS if instances.get(one)]:
            groups += self.ec2.describe_security_groups(GroupIds=given)["SecurityGroups"]
        else:
            all_groups = self.ec2.describe_security_groups()["SecurityGroups"]
            there = {one["GroupName"]: one for one in all_groups if one["VpcId"] == vpc["VpcId"]}
            groups += [there.get(one) for one in DEFAULT_GROUPS]
        return Network(subnet, vpc, tuple(groups))

    def _check_permission(self, service: Role, request: Json, network: Network) -> StartFailure | None:
        for needed in self._needs(request, network):
            if service.may(needed.action, needed.resource, needed.context) != Decision.ALLOWED:
                LOGGER.warning("%s may not %s on %s", service.arn, needed.action, needed.resource)
                message = f"Service role {service.arn} has insufficient EC2 permissions"
                if needed.action == "ec2:CreateSecurityGroup":
                    message += f". EC2 Message: You are not authorized to perform: {needed.action}"
                return StartFailure("VALIDATION_ERROR", message)
        return None

    def _needs(self, request: Json, network: Network) -> Iterator[Request]:
        """Yield the requests that EMR makes to start the cluster, as far as their resources can be told."""
        own = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        is_fleet, instances = "InstanceFleets" in request["Instances"], request["Instances"]
        nodes = self.roles.of_profile(request["JobFlowRole"])
        if nodes:
            yield Request("iam:PassRole", nodes.arn, {"iam:PassedToService": "ec2.amazonaws.com"})
        new = _context("aws:RequestTag", own)
        vpc = self._arn("vpc", network.vpc["VpcId"])
        in_vpc = {"ec2:Vpc": vpc}
        groups = []
        for group in network.groups:
            if group is None:
                create = {"ec2:CreateAction": "CreateSecurityGroup"}
                yield Request("ec2:CreateSecurityGroup", vpc, _tags_of(network.vpc))
                yield Request("ec2:CreateSecurityGroup", self._arn("security-group", "*"), new | in_vpc)
                if own:
                    yield Request("ec2:CreateTags", self._arn("security-group", "*"), new | in_vpc | create)
            tags = _tags_of(group) if group else _context("aws:ResourceTag", own)
            groups.append((self._arn("security-group", group["GroupId"] if group else "sg-new"), tags | in_vpc))
        for arn, context in groups:
            yield Request("ec2:AuthorizeSecurityGroupIngress", arn, context)
        existing = [(self._arn("subnet", network.subnet["SubnetId"]), _tags_of(network.subnet) | in_vpc), *groups]
        made = [(self._arn("instance", "*"), new), (self._arn("volume", "*"), new)]
        other = [
            (self._arn("network-interface", "*"), in_vpc),
            (f"arn:aws:ec2:{self.region}::image/ami-0123456789abcdef0", {}),
        ]
        if "Ec2KeyName" in instances:
            other.append((self._arn("key-pair", instances["Ec2KeyName"]), {}))
        if is_fleet:
            template = self._arn("launch-template", "lt-0123456789abcdef0")
            yield Request("ec2:CreateLaunchTemplate", template, new)
            other.append((template, _context("aws:ResourceTag", own)))
        for action in ("ec2:CreateFleet", "ec2:RunInstances") if is_fleet else ("ec2:RunInstances",):
            for arn, context in (*existing, *made, *other):
                yield Request(action, arn, context)
        if own:
            for arn, context in made:
                yield Request("ec2:CreateTags", arn, context | {"ec2:CreateAction": "RunInstances"})
        if not network.subnet.get("MapPublicIpOnLaunch"):
            for arn, context in (*existing, (self._arn("network-interface", "*"), new | in_vpc)):
                yield Request("ec2:CreateNetworkInterface", arn, context)

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:ec2:{self.region}:{self.account}:{kind}/{name}"


def _invalid_network(why: str) -> StartFailure:
    message = f"The VPC/subnet configuration was invalid: The subnet configuration was invalid: {why}"
    return StartFailure("VALIDATION_ERROR", message)


def _context(prefix: str, tags: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}/{key}": value for key, value in tags.items()}


def _tags_of(resource: Json) -> dict[str, str]:
    tags = {tag["Key"]: tag.get("Value", "") for tag in resource.get("Tags", [])}
    return _context("aws:ResourceTag", tags) | _context("ec2:ResourceTag", tags)


def _capacity(request: Json) -> Iterator[tuple[str, int, bool]]:
    """Yield an instance type, the number of its instances, and whether they are Spot instances, the primary first."""
    instances = request["Instances"]
    for group in instances.get("InstanceGroups", []):
        yield group["InstanceType"], group["InstanceCount"], group.get("Market") == "SPOT"
    for fleet in instances.get("InstanceFleets", []):
        name = fleet["InstanceTypeConfigs"][0]["InstanceType"]
        yield name, fleet.get("TargetOnDemandCapacity", 0), False
        yield name, fleet.get("TargetSpotCapacity", 0), True


def _check_quota(request: Json, quota: int) -> StartFailure | None:
    for is_spot in (False, True):
        wanted = [(name, count) for name, count, of_spot in _capacity(request) if of_spot == is_spot and count]
        known = instance_types()
        if sum(vcpus_of(name) * count for name, count in wanted if name in known) > quota:
            return StartFailure(
                "INTERNAL_ERROR",
                "The request to create the EMR cluster or add EC2 instances to it failed. The number of vCPUs for"
                f" instance type {wanted[-1][0]} exceeds the EC2 service quota for that type. Request a service quota"
                " increase for your AWS account or choose a different instance type and retry the request. For more"
                " information, see https://docs.aws.amazon.com/console/elasticmapreduce/vcpu-limit",
            )
    return None
