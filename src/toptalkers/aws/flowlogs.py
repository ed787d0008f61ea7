"""EC2: flow logs, and which VPC and subnet a resource is in.

API operations: DescribeFlowLogs, DescribeVpcs, DescribeSubnets, DescribeNetworkInterfaces; and, changing
things, CreateFlowLogs (with iam:PassRole for the delivery role, and ec2:CreateTags), DeleteFlowLogs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from toptalkers.aws.failures import explained

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

Kind = Literal["VPC", "Subnet", "NetworkInterface"]
Traffic = Literal["ACCEPT", "REJECT", "ALL"]

RESOURCES_PER_REQUEST = 300
"""The most resources that one CreateFlowLogs takes (EC2 API reference)."""

FILTER_VALUES = 200
"""The most values that one filter takes (EC2 API reference, "Filtering")."""


@dataclass(frozen=True, slots=True)
class FlowLog:
    """A flow log as EC2 describes it. `delivery` is SUCCESS, FAILED, or empty while it is unknown."""

    id: str
    resource: str
    traffic: str
    destination_type: str
    destination: str
    """The name of the log group, or the ARN of a bucket or a stream."""
    log_format: str = ""
    interval_seconds: int = 0
    delivery: str = ""
    delivery_error: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A resource that flow logs can be on, and the ids that contain it: its own, its subnet's, its VPC's."""

    id: str
    inside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where flow logs are delivered: to a log group, by a role, or to a bucket."""

    log_group: str = ""
    role_arn: str = ""
    bucket_arn: str = ""


@dataclass(frozen=True, slots=True)
class Creation:
    """Flow logs to create on resources of one kind; only the resource differs."""

    kind: Kind
    resources: tuple[str, ...]
    traffic: Traffic
    destination: Destination
    log_format: str
    interval_seconds: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A resource for which AWS refused, and why."""

    resource: str
    reason: str


class FlowLogGateway:
    """EC2's flow logs, through the given client."""

    def __init__(self, client: "EC2Client") -> None:
        """Take the client."""
        self._client = client

    @explained("ec2")
    def find(self, *, tag: tuple[str, str] | None = None, ids: Sequence[str] = ()) -> list[FlowLog]:
        """Describe all flow logs of the Region, or those with a tag, or those with the given ids."""
        wanted: dict[str, Any] = {}
        if tag:
            wanted["Filters"] = [{"Name": f"tag:{tag[0]}", "Values": [tag[1]]}]
        if ids:
            wanted["FlowLogIds"] = list(ids)
        pages = self._client.get_paginator("describe_flow_logs").paginate(**wanted)
        return [_parse_flow_log(one) for page in pages for one in page["FlowLogs"]]

    @explained("ec2")
    def places(self, ids: Sequence[str]) -> dict[str, Place]:
        """Return the places of VPCs, subnets and interfaces by id, without those that do not exist."""
        kinds: tuple[tuple[str, Any, str, str, tuple[str, ...]], ...] = (
            ("vpc", self._client.get_paginator("describe_vpcs"), "vpc-id", "Vpcs", ("VpcId",)),
            ("subnet", self._client.get_paginator("describe_subnets"), "subnet-id", "Subnets", ("SubnetId", "VpcId")),
            (
                "eni",
                self._client.get_paginator("describe_network_interfaces"),
                "network-interface-id",
                "NetworkInterfaces",
                ("NetworkInterfaceId", "SubnetId", "VpcId"),
            ),
        )
        found: dict[str, Place] = {}
        for prefix, paginator, name, member, names in kinds:
            # By filter, not by id: one id that does not exist would fail the whole request.
            for some in _parts([one for one in ids if one.startswith(f"{prefix}-")], FILTER_VALUES):
                for page in paginator.paginate(Filters=[{"Name": name, "Values": some}]):
                    for one in page[member]:
                        found[one[names[0]]] = Place(one[names[0]], tuple(one[name] for name in names))
        return found

    @explained("ec2")
    def vpcs(self, owner: str) -> list[str]:
        """Return the ids of the Region's VPCs that an account owns; others may be shared with it."""
        filters: Any = [{"Name": "owner-id", "Values": [owner]}]
        pages = self._client.get_paginator("describe_vpcs").paginate(Filters=filters)
        return [one["VpcId"] for page in pages for one in page["Vpcs"]]

    @explained("ec2")
    def create(self, creation: Creation) -> tuple[list[str], list[Refusal]]:
        """Create flow logs; return the ids of the new ones, and what AWS refused."""
        made: list[str] = []
        refused: list[Refusal] = []
        to = creation.destination
        where: dict[str, Any]
        if to.bucket_arn:
            where = {
                "LogDestinationType": "s3",
                "LogDestination": to.bucket_arn,
                # With one folder per hour, a question about an hour reads only that hour.
                "DestinationOptions": {
                    "FileFormat": "plain-text",
                    "HiveCompatiblePartitions": False,
                    "PerHourPartition": True,
                },
            }
        else:
            where = {
                "LogDestinationType": "cloud-watch-logs",
                "LogGroupName": to.log_group,
                "DeliverLogsPermissionArn": to.role_arn,
            }
        for some in _parts(creation.resources, RESOURCES_PER_REQUEST):
            answer = self._client.create_flow_logs(
                ResourceIds=some,
                ResourceType=creation.kind,
                TrafficType=creation.traffic,
                LogFormat=creation.log_format,
                MaxAggregationInterval=creation.interval_seconds,
                TagSpecifications=[
                    {
                        "ResourceType": "vpc-flow-log",
                        "Tags": [{"Key": key, "Value": value} for key, value in creation.tags.items()],
                    }
                ],
                **where,
            )
            made += answer.get("FlowLogIds", [])
            refused += _parse_refusals(answer.get("Unsuccessful", []))
        return made, refused

    @explained("ec2")
    def delete(self, ids: Sequence[str]) -> list[Refusal]:
        """Delete flow logs by id; return what AWS refused."""
        refused: list[Refusal] = []
        for some in _parts(ids, RESOURCES_PER_REQUEST):
            refused += _parse_refusals(self._client.delete_flow_logs(FlowLogIds=some).get("Unsuccessful", []))
        return refused


def _parts(items: Sequence[str], size: int) -> list[list[str]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def _parse_flow_log(one: Any) -> FlowLog:
    return FlowLog(
        id=one["FlowLogId"],
        resource=one["ResourceId"],
        traffic=one.get("TrafficType", ""),
        destination_type=one.get("LogDestinationType", "cloud-watch-logs"),
        destination=one.get("LogGroupName") or one.get("LogDestination", ""),
        log_format=one.get("LogFormat", ""),
        interval_seconds=one.get("MaxAggregationInterval", 0),
        delivery=one.get("DeliverLogsStatus", ""),
        delivery_error=one.get("DeliverLogsErrorMessage", ""),
        created=one.get("CreationTime"),
        tags={tag["Key"]: tag["Value"] for tag in one.get("Tags", [])},
    )


def _parse_refusals(items: Any) -> list[Refusal]:
    return [Refusal(one.get("ResourceId", ""), one.get("Error", {}).get("Message", "no reason given")) for one in items]
