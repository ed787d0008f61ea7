"""EC2: the subnets that a cluster's nodes are put in, and where types of instances are offered.

API operations: DescribeSubnets, DescribeVpcs, DescribeInstanceTypeOfferings. A run does without those that are denied.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toptalkers.aws.failures import explained

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet.

    Attributes:
        vpc: the id of its VPC.
        zone: the name of its Availability Zone.
        is_public: whether instances get public addresses there.
        tags: its tags.
        owner: the number of the account whose it is, which may share it with others; empty if EC2 does not say.

    """

    id: str
    vpc: str
    zone: str = ""
    is_public: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""


class NetworkGateway:
    """EC2's networks, through the given client."""

    def __init__(self, client: "EC2Client") -> None:
        """Take the client."""
        self._client = client

    @explained("ec2")
    def subnets(self, ids: Sequence[str]) -> list[Subnet]:
        """Describe the subnets of these ids, in this order, without those that do not exist in the Region."""
        found = {one.id: one for one in self._subnets({"Name": "subnet-id", "Values": list(ids)})}
        return [found[one] for one in dict.fromkeys(ids) if one in found]

    @explained("ec2")
    def subnets_of(self, vpc: str) -> list[Subnet]:
        """Describe the subnets of a VPC."""
        return list(self._subnets({"Name": "vpc-id", "Values": [vpc]}))

    @explained("ec2")
    def default_vpc(self) -> str:
        """Return the id of the Region's default VPC; empty if there is none."""
        found = self._client.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
        return found[0]["VpcId"] if found else ""

    @explained("ec2")
    def vpc_tags(self, vpc: str) -> dict[str, str]:
        """Return the tags of a VPC; empty if it does not exist."""
        found = self._client.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Vpcs"]
        return {tag["Key"]: tag["Value"] for one in found for tag in one.get("Tags", [])}

    @explained("ec2")
    def zones_offering(self, types: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the Availability Zones that offer these types, by type, without the types that no zone offers."""
        pages = self._client.get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": sorted(set(types))}]
        )
        zones: dict[str, frozenset[str]] = {}
        for page in pages:
            for one in page["InstanceTypeOfferings"]:
                zones[one["InstanceType"]] = zones.get(one["InstanceType"], frozenset()) | {one["Location"]}
        return zones

    def _subnets(self, condition: "FilterTypeDef") -> Iterable[Subnet]:
        for page in self._client.get_paginator("describe_subnets").paginate(Filters=[condition]):
            for one in page["Subnets"]:
                yield Subnet(
                    id=one["SubnetId"],
                    vpc=one["VpcId"],
                    zone=one.get("AvailabilityZone", ""),
                    is_public=one.get("MapPublicIpOnLaunch", False),
                    tags={tag["Key"]: tag["Value"] for tag in one.get("Tags", [])},
                    owner=one.get("OwnerId", ""),
                )
