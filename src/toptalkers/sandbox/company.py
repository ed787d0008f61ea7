"""The sample's company in MiniStack's EC2: what `toptalkers snapshot` finds there belongs to the records of the sample.

Its VPC, subnets, security groups, instances and interfaces are put into MiniStack's own state, with their ids, when it
starts, so that every action of EC2 knows them. No call could make them: MiniStack 1.5.33 ignores a given private
address. An Auto Scaling group is there only as AWS's tag on its instances.

Where MiniStack's answers lack what AWS's have, they are completed here, for all interfaces, subnets and VPCs:

- An interface's secondary, IPv6 and public addresses, its requester, and no instance if it is attached to none.
- The IPv6 networks of subnets and VPCs.
- The filters of DescribeNetworkInterfaces.
- Pages: `MaxResults` and `NextToken`.
- Throttling, by the numbers of EC2's developer guide ("Request throttling for the Amazon EC2 API").
- The networks of S3's prefix list are those of the company's store.
"""

import base64
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from toptalkers.names.snapshot import Instance, Interface, PrefixList, Scope, SecurityGroup, Tags
from toptalkers.sample.snapshot import ATTACHED_S, STORE_LIST, company_snapshot

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

PAGES = {
    "DescribeInstances": ("reservationSet", 5, 1000),
    "DescribeNetworkInterfaces": ("networkInterfaceSet", 5, 1000),
    "DescribeSecurityGroups": ("securityGroupInfo", 5, 1000),
    "DescribeSubnets": ("subnetSet", 5, 1000),
    "DescribeVpcs": ("vpcSet", 5, 1000),
    "DescribePrefixLists": ("prefixListSet", 5, 1000),
    "DescribeManagedPrefixLists": ("prefixListSet", 1, 100),
    "GetManagedPrefixListEntries": ("entrySet", 1, 100),
}
"""Actions whose answers come in pages: the element with the items, and the least and most of `MaxResults`."""

BUCKET, WHOLE_BUCKET = (100, 20), (50, 10)
"""How many requests an action takes at once, and per second: any, and those of `COSTLY` for all that there is."""

COSTLY = frozenset({"DescribeInstances", "DescribeNetworkInterfaces", "DescribeSecurityGroups"})
"""Actions that take fewer requests without filters and pages."""

FILTERS = {
    "network-interface-id": "networkInterfaceId",
    "subnet-id": "subnetId",
    "vpc-id": "vpcId",
    "availability-zone": "availabilityZone",
    "description": "description",
    "interface-type": "interfaceType",
    "requester-id": "requesterId",
    "status": "status",
    "group-id": "groupSet/item/groupId",
    "attachment.instance-id": "attachment/instanceId",
    "private-ip-address": "privateIpAddress",
    "addresses.private-ip-address": "privateIpAddressesSet/item/privateIpAddress",
}
"""Filters of DescribeNetworkInterfaces, and where their values are in an item."""

_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


def add_company(ec2: dict[str, Any]) -> None:
    """Put the company into MiniStack's EC2, and complete its answers; KeyError if it lacks one of the names.

    Args:
        ec2: the names of MiniStack's module.

    """
    (scope,) = company_snapshot().scopes
    _add_state(ec2, scope)
    _complete(ec2)
    actions = ec2["_ACTION_MAP"]
    parameter = ec2["_p"]
    actions["DescribeNetworkInterfaces"] = _filtering(
        actions["DescribeNetworkInterfaces"], ec2["_parse_filters"], ec2["_error"]
    )
    for action, (element, least, most) in PAGES.items():
        paged = _paging(actions[action], element, (least, most), parameter, ec2["_error"])
        actions[action] = _throttling(paged, ec2["_error"], is_costly=action in COSTLY)


def _add_state(ec2: Mapping[str, Any], scope: Scope) -> None:
    account, tags = scope.account_id, ec2["_tags"]
    zones = {one.subnet_id: ec2["_zone_name_for_az_id"](one.zone_id) for one in scope.subnets}
    for vpc in scope.vpcs:
        ec2["_vpcs"][vpc.vpc_id] = {
            "VpcId": vpc.vpc_id, "CidrBlock": vpc.networks[0], "Ipv6Networks": vpc.networks[1:], "State": "available",
            "IsDefault": False, "DhcpOptionsId": "dopt-00000001", "InstanceTenancy": "default", "OwnerId": account,
        }  # fmt: skip
    for subnet in scope.subnets:
        ec2["_subnets"][subnet.subnet_id] = {
            "SubnetId": subnet.subnet_id, "VpcId": subnet.vpc_id, "CidrBlock": subnet.networks[0],
            "Ipv6Networks": subnet.networks[1:], "AvailabilityZone": zones[subnet.subnet_id],
            "AvailabilityZoneId": subnet.zone_id, "AvailableIpAddressCount": 240, "State": "available",
            "DefaultForAz": False, "MapPublicIpOnLaunch": False, "OwnerId": account,
        }  # fmt: skip
    names = {one.group_id: one.name for one in scope.groups}
    for group in scope.groups:
        ec2["_security_groups"][group.group_id] = _group(group, account)
    of_instance = {one.instance_id: one for one in scope.interfaces if one.instance_id}
    for instance in scope.instances:
        interface = of_instance[instance.instance_id]
        ec2["_instances"][instance.instance_id] = _instance(instance, interface, zones[interface.subnet_id], names)
    for interface in scope.interfaces:
        ec2["_network_interfaces"][interface.interface_id] = _interface(
            interface, account, zones[interface.subnet_id], names
        )
    for one in scope.prefix_lists:
        if one != STORE_LIST:
            ec2["_prefix_lists"][one.list_id] = _prefix_list(one, account, scope.region)
    for resource_id, of_resource in _tagged(scope):
        if of_resource:
            tags[resource_id] = [{"Key": key, "Value": value} for key, value in of_resource.items()]


def _tagged(scope: Scope) -> Iterator[tuple[str, Tags]]:
    yield from ((one.vpc_id, one.tags) for one in scope.vpcs)
    yield from ((one.subnet_id, one.tags) for one in scope.subnets)
    yield from ((one.group_id, one.tags) for one in scope.groups)
    yield from ((one.instance_id, one.tags) for one in scope.instances)
    yield from ((one.interface_id, one.tags) for one in scope.interfaces)


def _group(group: SecurityGroup, account: str) -> dict[str, Any]:
    permissions: dict[bool, dict[tuple[str, int, int], dict[str, Any]]] = {True: {}, False: {}}
    for rule in group.rules:
        permission = permissions[rule.is_inbound].setdefault(
            (rule.protocol, rule.from_port, rule.to_port),
            {
                "IpProtocol": rule.protocol, "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [],
                "UserIdGroupPairs": [],
                **({} if rule.protocol == "-1" else {"FromPort": rule.from_port, "ToPort": rule.to_port}),
            },
        )  # fmt: skip
        if rule.other.startswith("sg-"):
            permission["UserIdGroupPairs"].append({"GroupId": rule.other})
        elif rule.other.startswith("pl-"):
            permission["PrefixListIds"].append({"PrefixListId": rule.other})
        elif ":" in rule.other:
            permission["Ipv6Ranges"].append({"CidrIpv6": rule.other})
        else:
            permission["IpRanges"].append({"CidrIp": rule.other})
    return {
        "GroupId": group.group_id, "GroupName": group.name, "Description": f"{group.name} of the sample's company",
        "VpcId": group.vpc_id, "OwnerId": account, "IpPermissions": list(permissions[True].values()),
        "IpPermissionsEgress": list(permissions[False].values()),
    }  # fmt: skip


def _groups_of(interface: Interface, names: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"GroupId": one, "GroupName": names[one]} for one in interface.group_ids]


def _instance(instance: Instance, interface: Interface, zone: str, names: Mapping[str, str]) -> dict[str, Any]:
    address = interface.addresses[0]
    return {
        "InstanceId": instance.instance_id, "ImageId": "ami-00000000", "State": {"Code": 16, "Name": "running"},
        "InstanceType": "m7g.large", "LaunchTime": _format_time(ATTACHED_S),
        "Placement": {"AvailabilityZone": zone, "Tenancy": "default"},
        "PrivateDnsName": f"ip-{address.replace('.', '-')}.ec2.internal", "PrivateIpAddress": address,
        "PublicDnsName": "", "PublicIpAddress": "".join(interface.public[:1]), "SubnetId": interface.subnet_id,
        "VpcId": interface.vpc_id, "Architecture": "arm64", "RootDeviceType": "ebs", "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [], "Virtualization": "hvm", "Hypervisor": "xen", "Monitoring": {"State": "disabled"},
        "SecurityGroups": _groups_of(interface, names), "AmiLaunchIndex": 0,
    }  # fmt: skip


def _interface(interface: Interface, account: str, zone: str, names: Mapping[str, str]) -> dict[str, Any]:
    digits = interface.interface_id[-10:]
    return {
        "NetworkInterfaceId": interface.interface_id, "SubnetId": interface.subnet_id, "VpcId": interface.vpc_id,
        "AvailabilityZone": zone, "AvailabilityZoneId": interface.zone_id, "Description": interface.description,
        "OwnerId": account, "Status": "in-use", "PrivateIpAddress": interface.addresses[0],
        "Addresses": interface.addresses, "Public": interface.public, "RequesterId": interface.requester,
        "InterfaceType": interface.kind, "SourceDestCheck": True, "Groups": _groups_of(interface, names),
        "MacAddress": ":".join(["02", *(digits[at : at + 2] for at in range(0, 10, 2))]),
        "Attachment": {
            "AttachmentId": f"eni-attach-{interface.interface_id[4:]}", "InstanceId": interface.instance_id,
            "DeviceIndex": 0 if interface.instance_id else 1, "Status": "attached",
            "AttachTime": _format_time(interface.since_s),
        },
    }  # fmt: skip


def _prefix_list(one: PrefixList, account: str, region: str) -> dict[str, Any]:
    return {
        "PrefixListId": one.list_id, "PrefixListName": one.name, "State": "create-complete", "AddressFamily": "IPv4",
        "MaxEntries": 10, "Version": 1, "OwnerId": account,
        "PrefixListArn": f"arn:aws:ec2:{region}:{account}:prefix-list/{one.list_id}",
        "Entries": [{"Cidr": network} for network in one.networks],
    }  # fmt: skip


def _format_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.000Z}"


def _complete(ec2: dict[str, Any]) -> None:
    """Let MiniStack write what AWS writes of interfaces, subnets, VPCs and S3's prefix list."""
    of_interface, of_subnet, of_vpc = (ec2[f"_{one}_fields_xml"] for one in ("eni", "subnet", "vpc"))

    def interface_xml(eni: Mapping[str, Any], tag: str = "item") -> str:
        text: str = of_interface(eni, tag=tag)
        addresses: Iterable[str] = eni.get("Addresses", (eni["PrivateIpAddress"],))
        private = [one for one in addresses if ":" not in one]
        ipv6 = [one for one in addresses if ":" in one]
        public = list(eni.get("Public", ()))
        items = "".join(
            f"<item><privateIpAddress>{one}</privateIpAddress><primary>{str(not place).lower()}</primary>"
            f"{_association(public[place : place + 1])}</item>"
            for place, one in enumerate(private)
        )
        more = f"<ipv6AddressesSet>{''.join(f'<item><ipv6Address>{one}</ipv6Address></item>' for one in ipv6)}"
        more += f"</ipv6AddressesSet>{_association(public[:1])}"
        if eni.get("RequesterId"):
            more += f"<requesterId>{eni['RequesterId']}</requesterId><requesterManaged>true</requesterManaged>"
        if eni.get("AvailabilityZoneId"):
            more += f"<availabilityZoneId>{eni['AvailabilityZoneId']}</availabilityZoneId>"
        text = re.sub(
            "<privateIpAddressesSet>.*?</privateIpAddressesSet>",
            lambda _: f"<privateIpAddressesSet>{items}</privateIpAddressesSet>{more}",
            text,
            flags=re.DOTALL,
        )
        return text.replace("<instanceId></instanceId>", "<instanceOwnerId>aws</instanceOwnerId>")

    def with_ipv6(write: Callable[..., str], before: str) -> Callable[..., str]:
        def network_xml(network: Mapping[str, Any], tag: str = "item") -> str:
            text = write(network, tag=tag)
            items = "".join(
                f"<item><ipv6CidrBlock>{one}</ipv6CidrBlock>"
                "<ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item>"
                for one in network.get("Ipv6Networks", ())
            )
            end = f"<ipv6CidrBlockAssociationSet>{items}</ipv6CidrBlockAssociationSet>"
            return text.replace(before, end + before, 1) if items else text

        return network_xml

    ec2["_eni_fields_xml"] = interface_xml
    ec2["_subnet_fields_xml"] = with_ipv6(of_subnet, "<defaultForAz>")
    ec2["_vpc_fields_xml"] = with_ipv6(of_vpc, "<dhcpOptionsId>")
    id_of_list = ec2["_aws_pl_id_from_name"]
    made_up = ec2["_aws_prefix_list_to_cidr"](STORE_LIST.name)
    ec2["_aws_pl_id_from_name"] = lambda name: STORE_LIST.list_id if name == STORE_LIST.name else id_of_list(name)
    actions = ec2["_ACTION_MAP"]
    for action in ("DescribePrefixLists", "GetManagedPrefixListEntries"):
        actions[action] = _replacing(actions[action], made_up)


def _replacing(describe: Callable[[Any], Answer], made_up: str) -> Callable[[Any], Answer]:
    """Put the networks of the company's store in the place of the network that MiniStack makes up for S3."""

    def describe_lists(params: Any) -> Answer:
        status, headers, body = describe(params)

        def networks(match: re.Match[str]) -> str:
            return "".join(match[0].replace(made_up, one) for one in STORE_LIST.networks)

        item = f"<item>(?:(?!<item>).)*?{re.escape(made_up)}.*?</item>"
        return status, headers, re.sub(item, networks, body.decode(), flags=re.DOTALL).encode()

    return describe_lists


def _association(public: list[str]) -> str:
    return "".join(f"<association><publicIp>{one}</publicIp></association>" for one in public)


def _filtering(
    describe: Callable[[Any], Answer],
    read_filters: Callable[[Any], Mapping[str, list[str]]],
    refuse: Callable[[str, str, int], Answer],
) -> Callable[[Any], Answer]:
    def describe_filtered(params: Any) -> Answer:
        filters = read_filters(params)
        for name in filters:
            if name not in FILTERS and not name.startswith("tag:"):
                return refuse("InvalidParameterValue", f"The filter '{name}' is invalid", 400)
        answer = describe(params)
        if answer[0] != 200 or not filters:
            return answer
        tree = ET.fromstring(answer[2])  # noqa: S314 - MiniStack's own text
        items = _child(tree, "networkInterfaceSet")
        for item in list(items):
            if not all(_values(item, name) & set(values) for name, values in filters.items()):
                items.remove(item)
        return _with_body(answer, tree)

    return describe_filtered


def _values(item: ET.Element, name: str) -> set[str]:
    """Return the values of a filter that an item has."""
    if name.startswith("tag:"):
        tags = item.findall(_path("tagSet/item"))
        return {one.findtext(_path("value"), "") for one in tags if one.findtext(_path("key")) == name[4:]}
    return {one.text or "" for one in item.findall(_path(FILTERS[name]))}


def _paging(
    describe: Callable[[Any], Answer],
    element: str,
    limits: tuple[int, int],
    parameter: Callable[..., str],
    refuse: Callable[[str, str, int], Answer],
) -> Callable[[Any], Answer]:
    """Give an action's answer in pages. A token says where its page begins."""
    least, most = limits

    def describe_page(params: Any) -> Answer:
        size, token = parameter(params, "MaxResults"), parameter(params, "NextToken")
        if size and not (size.isdecimal() and least <= int(size) <= most):
            message = f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value of {least} to {most}."
            return refuse("InvalidParameterValue", message, 400)
        first = _read_token(token)
        if first is None:
            return refuse("InvalidNextToken", "The token is not valid.", 400)
        answer = describe(params)
        if answer[0] != 200 or not (size or token):
            return answer
        tree = ET.fromstring(answer[2])  # noqa: S314 - MiniStack's own text
        items = _child(tree, element)
        end = first + int(size or most)
        all_items = list(items)
        for item in all_items[:first] + all_items[end:]:
            items.remove(item)
        if end < len(all_items):
            ET.SubElement(tree, f"{{{_NAMESPACE}}}nextToken").text = _format_token(end)
        return _with_body(answer, tree)

    return describe_page


class _Bucket:
    """Tokens, each for one request; full at first."""

    def __init__(self, size: int, per_second: int) -> None:
        self._size, self._per_second = size, per_second
        self._left, self._last = float(size), time.monotonic()

    def take(self) -> bool:
        """Take a token; False if there is none."""
        now = time.monotonic()
        self._left = min(self._size, self._left + (now - self._last) * self._per_second)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _throttling(
    describe: Callable[[Any], Answer], refuse: Callable[[str, str, int], Answer], *, is_costly: bool
) -> Callable[[Any], Answer]:
    """Refuse what is more than an action takes."""
    bucket = _Bucket(*BUCKET)
    of_whole = _Bucket(*WHOLE_BUCKET) if is_costly else bucket

    def describe_in_time(params: Any) -> Answer:
        # Filters and lists of ids are numbered: Filter.1.Name, InstanceId.1.
        is_part = any(name in ("MaxResults", "NextToken") or "." in name for name in params)
        if not (bucket if is_part else of_whole).take():
            return refuse("RequestLimitExceeded", "Request limit exceeded.", 503)
        return describe(params)

    return describe_in_time


def _format_token(first: int) -> str:
    return base64.urlsafe_b64encode(f"from {first}".encode()).decode()


def _read_token(token: str) -> int | None:
    """Return where a page begins: 0 without a token, None for one that none of our answers had."""
    if not token:
        return 0
    try:
        match = re.fullmatch(r"from ([0-9]{1,9})", base64.urlsafe_b64decode(token).decode())
    except ValueError:
        return None
    return int(match[1]) if match else None


def _path(path: str) -> str:
    return "/".join(f"{{{_NAMESPACE}}}{part}" for part in path.split("/"))


def _child(tree: ET.Element, name: str) -> ET.Element:
    found = tree.find(_path(name))
    assert found is not None  # noqa: S101 - MiniStack's answer always has it
    return found


def _with_body(answer: Answer, tree: ET.Element) -> Answer:
    ET.register_namespace("", _NAMESPACE)
    return answer[0], answer[1], ET.tostring(tree, encoding="utf-8", xml_declaration=True)
