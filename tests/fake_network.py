"""A fake EC2 and a fake Service Quotas, as far as a run asks them: subnets, VPCs, offered types, vCPUs."""

from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

ZONES = ("us-east-1a", "us-east-1b")


class FakeNetwork:
    """EC2's client: a default VPC with a public subnet, and a VPC with private ones, `subnet-1` and `subnet-2`.

    Attributes:
        subnets: the subnets, as EC2 describes them.
        default_vpc: the id of the default VPC; empty if there is none.
        tags: the tags of VPCs, by their ids.
        offers: whether a zone offers a type.
        denied: the operations that the caller may not call.
        other: a client for the operations that are not here.

    """

    def __init__(self) -> None:
        self.subnets = [
            subnet("subnet-0", "vpc-0", is_public=True),
            subnet("subnet-1"),
            subnet("subnet-2", zone=ZONES[1]),
        ]
        self.default_vpc = "vpc-0"
        self.tags: dict[str, dict[str, str]] = {}
        self.offers: Callable[[str, str], bool] = lambda _type, _zone: True
        self.denied: set[str] = set()
        self.calls: list[str] = []
        self.other: Any = None

    def describe_vpcs(self, *, Filters: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("DescribeVpcs")
        ((name, values),) = [(one["Name"], one["Values"]) for one in Filters]
        found = {self.default_vpc} - {""} if name == "isDefault" else set(values)
        return {"Vpcs": [{"VpcId": one, "Tags": _tags(self.tags.get(one, {}))} for one in found]}

    def _describe_subnets(self, *, Filters: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("DescribeSubnets")
        ((name, values),) = [(one["Name"], one["Values"]) for one in Filters]
        member = {"subnet-id": "SubnetId", "vpc-id": "VpcId"}[name]
        return {"Subnets": [one for one in self.subnets if one[member] in values]}

    def _describe_instance_type_offerings(self, *, LocationType: str, Filters: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("DescribeInstanceTypeOfferings")
        assert LocationType == "availability-zone"
        return {
            "InstanceTypeOfferings": [
                {"InstanceType": one, "Location": zone, "LocationType": LocationType}
                for one in Filters[0]["Values"]
                for zone in ZONES
                if self.offers(one, zone)
            ]
        }

    def _begin(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self.denied:
            raise unauthorized("ec2", operation)

    def get_paginator(self, name: str) -> Any:
        own = getattr(self, f"_{name}", None)
        return _Pages(own) if own else self._rest("get_paginator")(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._rest(name)

    def _rest(self, name: str) -> Any:
        assert self.other, "a run asks EC2 only for the network and the format"
        return getattr(self.other, name)


class FakeQuotas:
    """The client of Service Quotas; `vcpus` are the quotas by their codes, on demand and Spot; None denies it."""

    def __init__(self) -> None:
        self.vcpus: dict[str, int] | None = {"L-1216C47A": 512, "L-34B43A08": 256}
        self.calls: list[str] = []

    def get_service_quota(self, *, ServiceCode: str, QuotaCode: str) -> dict[str, Any]:  # noqa: N803
        self.calls.append(QuotaCode)
        assert ServiceCode == "ec2"
        if self.vcpus is None:
            raise unauthorized("servicequotas", "GetServiceQuota", "AccessDeniedException")
        return {"Quota": {"QuotaCode": QuotaCode, "Value": float(self.vcpus[QuotaCode])}}


def subnet(
    own: str, vpc: str = "vpc-1", *, zone: str = ZONES[0], is_public: bool = False, **tags: str
) -> dict[str, Any]:
    """Make a subnet as EC2 describes it."""
    return {
        "SubnetId": own,
        "VpcId": vpc,
        "AvailabilityZone": zone,
        "MapPublicIpOnLaunch": is_public,
        "Tags": _tags(tags),
    }


def unauthorized(service: str, operation: str, code: str = "UnauthorizedOperation") -> ClientError:
    """Make the error for a caller who lacks a permission."""
    message = f"User: arn:aws:iam::123456789012:user/x is not authorized to perform: {service}:{operation}"
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


class _Pages:
    def __init__(self, answer: Callable[..., dict[str, Any]]) -> None:
        self._answer = answer

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self._answer(**request)
