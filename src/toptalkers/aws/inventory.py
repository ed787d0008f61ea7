"""EC2: what addresses belong to, for a snapshot.

API operations: DescribeNetworkInterfaces, DescribeInstances, DescribeSecurityGroups, DescribeSubnets, DescribeVpcs,
DescribePrefixLists, DescribeManagedPrefixLists, GetManagedPrefixListEntries. A snapshot has a hole for each that fails.
"""

import ipaddress
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from toptalkers.aws.failures import AwsError, explained
from toptalkers.names.snapshot import (
    LISTING,
    Hole,
    Instance,
    Interface,
    PrefixList,
    Rule,
    Scope,
    SecurityGroup,
    Subnet,
    Vpc,
)

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from toptalkers.aws.account import Account

PAGE = 1000
"""The most entries of a page (EC2 API reference); without a size, EC2 fails when there are many interfaces."""

LIST_PAGE = 100
"""The most entries of a page of prefix lists (EC2 API reference)."""

PAUSES_S = (15, 30, 60)
"""The pauses in seconds before a page is asked for again that is throttled even after the attempts of the client."""

Advance = Callable[[int], None]
"""Told how many entries have come since it was last called."""

_Method = Callable[..., Any]
"""An operation of the client."""

_T = TypeVar("_T")


class BrokenOffError(AwsError):
    """A listing that failed at a later page; `found` has the entries before."""

    def __init__(self, error: AwsError, found: list[Any]) -> None:
        """Keep the error's own texts and code."""
        super().__init__(error.message, hint=error.hint, code=error.code, is_open=error.is_open)
        self.found = found


class InventoryGateway:
    """EC2's descriptions of everything that has an address, through the given client."""

    def __init__(self, client: "EC2Client", *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the client, and the function that waits some seconds."""
        self._client = client
        self._sleep = sleep

    def interfaces(self, advance: Advance) -> list[Interface]:
        """Describe all network interfaces."""
        method = self._client.describe_network_interfaces
        return self._all(method, "NetworkInterfaces", _parse_interface, advance)

    def instances(self, advance: Advance) -> list[Instance]:
        """Describe all instances that are not terminated."""
        try:
            found = self._all(self._client.describe_instances, "Reservations", _parse_reservation, advance)
        except BrokenOffError as error:
            error.found = [one for some in error.found for one in some]
            raise
        return [one for some in found for one in some]

    def groups(self, advance: Advance) -> list[SecurityGroup]:
        """Describe all security groups, with their rules."""
        return self._all(self._client.describe_security_groups, "SecurityGroups", _parse_group, advance)

    def subnets(self, advance: Advance) -> list[Subnet]:
        """Describe all subnets."""
        return self._all(self._client.describe_subnets, "Subnets", _parse_subnet, advance)

    def vpcs(self, advance: Advance) -> list[Vpc]:
        """Describe all VPCs."""
        return self._all(self._client.describe_vpcs, "Vpcs", _parse_vpc, advance)

    def aws_prefix_lists(self, advance: Advance) -> list[PrefixList]:
        """Describe the prefix lists of AWS's services, with their networks."""
        return self._all(self._client.describe_prefix_lists, "PrefixLists", _parse_prefix_list, advance)

    def managed_prefix_lists(self, advance: Advance) -> list[PrefixList]:
        """Describe all prefix lists, those of customers and of AWS, without their networks."""
        return self._all(
            self._client.describe_managed_prefix_lists, "PrefixLists", _parse_prefix_list, advance, MaxResults=LIST_PAGE
        )

    def prefix_list_networks(self, list_id: str, advance: Advance) -> list[str]:
        """Return the networks of a prefix list."""
        return self._all(
            self._client.get_managed_prefix_list_entries,
            "Entries",
            lambda one: _network(one["Cidr"]),
            advance,
            MaxResults=LIST_PAGE,
            PrefixListId=list_id,
        )

    def _all(
        self, method: _Method, member: str, parse: Callable[[Any], _T], advance: Advance, **request: Any
    ) -> list[_T]:
        """Ask for all pages. BrokenOffError if one fails."""
        found: list[_T] = []
        ask: dict[str, Any] = {"MaxResults": PAGE, **request}
        try:
            while True:
                answer = self._page(method, ask)
                with explained("ec2"):
                    page = [parse(one) for one in answer[member]]
                    token = answer.get("NextToken")
                found += page
                advance(len(page))
                if not token:
                    return found
                ask["NextToken"] = token
        except AwsError as error:
            raise BrokenOffError(error, found) from error

    def _page(self, method: _Method, request: Mapping[str, Any]) -> Any:
        for pause_s in PAUSES_S:
            try:
                with explained("ec2"):
                    return method(**request)
            except AwsError as error:
                if not error.is_throttled:
                    raise
                self._sleep(pause_s)
        with explained("ec2"):
            return method(**request)


def take_scope(account: "Account", advance: Advance) -> Scope:
    """Ask an account what it has in a Region.

    What cannot be asked leaves a hole; what was listed before a listing broke off is kept.

    Args:
        account: the account in its Region.
        advance: told how many entries have come.

    Raises:
        AwsError: AWS does not accept the credentials.

    """
    taking = _Taking(advance)
    taken_s = int(account.now().timestamp())
    try:
        account_id = account.identity.get().account_id
    except AwsError as error:
        if not (error.is_denied or error.is_passing):
            raise
        taking.holes.append(Hole("sts:GetCallerIdentity", error.message))
        account_id = ""
    ec2 = account.inventory
    vpcs = taking.ask("ec2:DescribeVpcs", ec2.vpcs)
    subnets = taking.ask("ec2:DescribeSubnets", ec2.subnets)
    lists = taking.prefix_lists(ec2)
    groups = taking.ask("ec2:DescribeSecurityGroups", ec2.groups)
    instances = taking.ask("ec2:DescribeInstances", ec2.instances)
    interfaces = taking.ask(LISTING, ec2.interfaces)
    zones = {one.subnet_id: one.zone_id for one in subnets}
    return Scope(
        account_id=account_id,
        region=account.region,
        taken_s=taken_s,
        interfaces=_by_id(
            (replace(one, zone_id=_zone(one.zone_id, zones.get(one.subnet_id, ""))) for one in interfaces),
            "interface_id",
        ),
        instances=_by_id(instances, "instance_id"),
        groups=_by_id(groups, "group_id"),
        subnets=_by_id(subnets, "subnet_id"),
        vpcs=_by_id(vpcs, "vpc_id"),
        prefix_lists=_by_id(lists, "list_id"),
        holes=tuple(taking.holes),
    )


class _Taking:
    """Asks one thing after the other, and notes the holes."""

    def __init__(self, advance: Advance) -> None:
        self.holes: list[Hole] = []
        self._advance = advance
        self._silence = ""
        self._denied: set[str] = set()

    def ask(self, action: str, ask: Callable[[Advance], list[_T]], what: str = "") -> list[_T]:
        """Ask; after a failure, return what had come."""
        if action in self._denied:
            return []
        if self._silence:  # each further request would wait for a minute
            self.holes.append(Hole(action, self._silence))
            return []
        try:
            return ask(self._advance)
        except BrokenOffError as error:
            kept = f"; only the first {len(error.found):,} are here" if error.found else ""
            self.holes.append(Hole(action, f"{what}{error.message}{kept}"))
            if error.is_denied:
                self._denied.add(action)
            if error.is_silent:
                self._silence = error.message
            return error.found

    def prefix_lists(self, ec2: InventoryGateway) -> list[PrefixList]:
        """Ask for all prefix lists with their networks; of a list that refuses, only the name is known."""
        found = self.ask("ec2:DescribePrefixLists", ec2.aws_prefix_lists)
        known = {one.list_id for one in found}
        for one in self.ask("ec2:DescribeManagedPrefixLists", ec2.managed_prefix_lists):
            if one.list_id not in known:
                networks = self.ask(
                    "ec2:GetManagedPrefixListEntries",
                    partial(ec2.prefix_list_networks, one.list_id),
                    f"{one.list_id}: ",
                )
                found.append(replace(one, networks=tuple(networks)))
        return found


def _by_id(found: Iterable[_T], name: str) -> tuple[_T, ...]:
    """Sort, and keep one of those that two pages have, as when something changes between them."""
    by_id = {getattr(one, name): one for one in found}
    return tuple(by_id[one] for one in sorted(by_id))


def _zone(own: str, of_subnet: str) -> str:
    """The id of a zone, such as `use1-az1`, if the interface or its subnet has it; else the zone's name."""
    return of_subnet if of_subnet and not _is_zone_id(own) else own


def _is_zone_id(zone: str) -> bool:
    return "-az" in zone


def _parse_interface(one: Any) -> Interface:
    private = [*one.get("PrivateIpAddresses", ())]
    addresses = [
        _address(each["PrivateIpAddress"]) for each in sorted(private, key=lambda each: not each.get("Primary"))
    ]
    if not addresses and one.get("PrivateIpAddress"):
        addresses = [_address(one["PrivateIpAddress"])]
    addresses += [_address(each["Ipv6Address"]) for each in one.get("Ipv6Addresses", ())]
    public = [
        _address(each[key])
        for each in (one.get("Association", {}), *(each.get("Association", {}) for each in private))
        for key in ("PublicIp", "CarrierIp", "CustomerOwnedIp")
        if each.get(key)
    ]
    prefixes = [each["Ipv4Prefix"] for each in one.get("Ipv4Prefixes", ())]
    prefixes += [each["Ipv6Prefix"] for each in one.get("Ipv6Prefixes", ())]
    attachment = one.get("Attachment", {})
    since = attachment.get("AttachTime")
    return Interface(
        interface_id=one["NetworkInterfaceId"],
        vpc_id=one.get("VpcId", ""),
        subnet_id=one.get("SubnetId", ""),
        zone_id=one.get("AvailabilityZoneId") or one.get("AvailabilityZone", ""),
        addresses=tuple(dict.fromkeys(addresses)),
        public=tuple(dict.fromkeys(public)),
        prefixes=tuple(map(_network, prefixes)),
        kind=one.get("InterfaceType", "interface"),
        description=one.get("Description", ""),
        requester=one.get("RequesterId", ""),
        group_ids=tuple(sorted(each["GroupId"] for each in one.get("Groups", ()))),
        instance_id=attachment.get("InstanceId", ""),
        tags=_tags(one.get("TagSet", ())),
        since_s=int(since.timestamp()) if since else 0,
    )


def _parse_reservation(one: Any) -> list[Instance]:
    return [
        Instance(each["InstanceId"], _tags(each.get("Tags", ())))
        for each in one["Instances"]
        if each.get("State", {}).get("Name") != "terminated"
    ]


def _parse_group(one: Any) -> SecurityGroup:
    rules = [
        *_parse_rules(one.get("IpPermissions", ()), is_inbound=True),
        *_parse_rules(one.get("IpPermissionsEgress", ()), is_inbound=False),
    ]
    return SecurityGroup(
        group_id=one["GroupId"],
        name=one.get("GroupName", ""),
        vpc_id=one.get("VpcId", ""),
        rules=tuple(rules),
        tags=_tags(one.get("Tags", ())),
    )


_OTHERS = (
    ("IpRanges", "CidrIp"),
    ("Ipv6Ranges", "CidrIpv6"),
    ("PrefixListIds", "PrefixListId"),
    ("UserIdGroupPairs", "GroupId"),
)
"""Where a rule has its other sides."""


def _parse_rules(permissions: Iterable[Any], *, is_inbound: bool) -> Iterator[Rule]:
    for one in permissions:
        for member, key in _OTHERS:
            for each in one.get(member, ()):
                yield Rule(is_inbound, one["IpProtocol"], one.get("FromPort", -1), one.get("ToPort", -1), each[key])


def _parse_subnet(one: Any) -> Subnet:
    networks = [one["CidrBlock"]] if one.get("CidrBlock") else []
    return Subnet(
        subnet_id=one["SubnetId"],
        vpc_id=one.get("VpcId", ""),
        zone_id=one.get("AvailabilityZoneId") or one.get("AvailabilityZone", ""),
        networks=tuple(map(_network, [*networks, *_associated(one, "Ipv6")])),
        tags=_tags(one.get("Tags", ())),
    )


def _parse_vpc(one: Any) -> Vpc:
    networks = [one["CidrBlock"]] if one.get("CidrBlock") else []
    networks += [*_associated(one, ""), *_associated(one, "Ipv6")]
    return Vpc(one["VpcId"], tuple(dict.fromkeys(map(_network, networks))), _tags(one.get("Tags", ())))


def _associated(one: Any, family: str) -> Iterator[str]:
    """The networks of a VPC or subnet of a family; one that is being removed may still have addresses."""
    for each in one.get(f"{family}CidrBlockAssociationSet", ()):
        if each.get(f"{family}CidrBlockState", {}).get("State") in ("associated", "disassociating", None):
            yield each[f"{family}CidrBlock"]


def _parse_prefix_list(one: Any) -> PrefixList:
    networks = tuple(map(_network, one.get("Cidrs", ())))
    return PrefixList(one["PrefixListId"], one.get("PrefixListName", ""), networks)


def _tags(tags: Iterable[Any]) -> dict[str, str]:
    return {one["Key"]: one.get("Value", "") for one in tags}


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text)) if ":" in text else text


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))
