"""The rules of docs/names.md again, written as plainly as possible: the names of answers are compared with this.

Shares no code with the package but the shape of a snapshot. It looks at every interface for every address, which is
slow and does not matter.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from toptalkers.names.snapshot import Interface, PrefixList, Scope, Snapshot, Subnet, Tags, Vpc

PRIVATE = [
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
    *("fc00::/7", "fe80::/10"),
]
ALWAYS = (-(10**18), 10**18)
"""The window of a row whose time is not known."""

Window = tuple[int, int]
Found = list[tuple[str, str]]
"""Of a scope: the VPC and the label of each owner."""


def contains(network: str, address: str) -> bool:
    """Whether a network has an address; of the other family it has none."""
    one, other = ipaddress.ip_network(network), ipaddress.ip_address(address)
    return one.version == other.version and other in one


def longest(networks: Iterable[str], address: str) -> int:
    """The length of the longest of the networks that contain an address; -1 if none does."""
    return max((ipaddress.ip_network(one).prefixlen for one in networks if contains(one, address)), default=-1)


def same(one: str, other: str) -> bool:
    """Whether two texts are one address, however they are spelled."""
    return ipaddress.ip_address(one) == ipaddress.ip_address(other)


def clean(label: str) -> str:
    """A label as it is printed."""
    return "".join(one if one.isprintable() and one != "|" else "?" for one in label)


@dataclass
class Oracle:
    """What addresses are called by some snapshots, which must not use descriptions other than `DESCRIBED`."""

    snapshots: Sequence[Snapshot]
    within_s: int = 86_400

    def label(self, word: str, address: str, window: Window = ALWAYS, logger: str = "") -> str:
        """What an address is called by a part of a key, without its side: `sg`, `tag:app`."""
        if address == "-":
            return "-"
        owned = self._label(lambda scope: self._of_owners(scope, word, address, window), window, logger)
        if owned:
            return owned
        if word in ("subnet", "vpc", "zone"):
            inside = self._label(lambda scope: self._of_networks(scope, word, address), window, logger)
            if inside:
                return inside
        return self._outside(word, address, window)

    def _label(self, find: Callable[[Scope], Found], window: Window, logger: str) -> str:
        """The labels that the scopes give which count, each with its mark; empty if none has one."""
        vpc = self._vpc_of(logger)
        found = self._counting(find, window, vpc) if vpc else []
        found = found or self._counting(find, window)
        taken: dict[str, list[int]] = defaultdict(list)
        for scope, label in found:
            taken[clean(label)].append(scope.taken_s)
        return "|".join(("" if self._is_of_time(taken[one], window) else "~") + one for one in sorted(taken))

    def _counting(self, find: Callable[[Scope], Found], window: Window, vpc: str = "") -> list[tuple[Scope, str]]:
        """What is found in the scopes that count, in one VPC or in all."""
        histories: dict[tuple[str, str], list[Scope]] = defaultdict(list)
        for snapshot in self.snapshots:
            for scope in snapshot.scopes:
                histories[scope.account_id, scope.region].append(scope)

        def found(scopes: Iterable[Scope]) -> list[tuple[Scope, str]]:
            return [(scope, label) for scope in scopes for own, label in find(scope) if not vpc or own == vpc]

        chosen = []
        for history in histories.values():
            before = [scope.taken_s for scope in history if scope.taken_s < window[0]]
            here = found(scope for scope in history if max(before, default=0) <= scope.taken_s < window[1])
            for later in sorted({scope.taken_s for scope in history if scope.taken_s >= window[1]}):
                here = here or found(scope for scope in history if scope.taken_s == later)
            chosen += here
        return chosen

    def _is_of_time(self, taken: Sequence[int], window: Window) -> bool:
        return any(window[0] - self.within_s <= one <= window[1] + self.within_s for one in taken)

    def _vpc_of(self, logger: str) -> str:
        return next(
            (
                one.vpc_id
                for snapshot in self.snapshots
                for scope in snapshot.scopes
                for one in scope.interfaces
                if one.interface_id == logger
            ),
            "",
        )

    def _of_owners(self, scope: Scope, word: str, address: str, window: Window) -> Found:
        there = [one for one in scope.interfaces if one.since_s < window[1]]
        found = [("", one) for one in there if any(same(own, address) for own in one.public)]
        for vpc in sorted({one.vpc_id for one in there}):
            inside = [one for one in there if one.vpc_id == vpc]
            own = [one for one in inside if any(same(own, address) for own in one.addresses)]
            length = max(longest(one.prefixes, address) for one in inside)
            delegated = [one for one in inside if length >= 0 and longest(one.prefixes, address) == length]
            found += [(vpc, one) for one in own or delegated]
        return [(vpc, self._called(scope, one, word)) for vpc, one in found]

    def _called(self, scope: Scope, one: Interface, word: str) -> str:
        of_instance: Tags = next((i.tags for i in scope.instances if i.instance_id == one.instance_id), {})
        name = of_instance.get("Name") or one.tags.get("Name") or DESCRIBED.get(one.description, ("", ""))[1]
        name = name or one.instance_id or one.interface_id
        subnet = next((s for s in scope.subnets if s.subnet_id == one.subnet_id), Subnet(one.subnet_id))
        vpc = next((v for v in scope.vpcs if v.vpc_id == one.vpc_id), Vpc(one.vpc_id))
        match word:
            case "sg":
                names = {group.group_id: group.name for group in scope.groups}
                return "+".join(sorted(names.get(group) or group for group in one.group_ids)) or name
            case "asg":
                return of_instance.get("aws:autoscaling:groupName") or name
            case "instance":
                return one.instance_id or name
            case "subnet":
                return subnet.tags.get("Name") or one.subnet_id
            case "vpc":
                return vpc.tags.get("Name") or one.vpc_id
            case "zone":
                return one.zone_id
            case "kind":
                return "instance" if one.instance_id else DESCRIBED.get(one.description, ("interface", ""))[0]
        if word.startswith("tag:"):
            key = word.removeprefix("tag:")
            tags = (of_instance, one.tags, subnet.tags, vpc.tags)
            return next((some[key] for some in tags if some.get(key)), name)
        return name

    def _of_networks(self, scope: Scope, word: str, address: str) -> Found:
        if word == "vpc":
            inside = [vpc for vpc in scope.vpcs if longest(vpc.networks, address) >= 0]
            return [(vpc.vpc_id, vpc.tags.get("Name") or vpc.vpc_id) for vpc in inside]
        subnets = [subnet for subnet in scope.subnets if longest(subnet.networks, address) >= 0]
        if word == "zone":
            return [(subnet.vpc_id, subnet.zone_id) for subnet in subnets]
        return [(subnet.vpc_id, subnet.tags.get("Name") or subnet.subnet_id) for subnet in subnets]

    def _outside(self, word: str, address: str, window: Window) -> str:
        aws = self._aws(address)
        if word == "kind":
            is_private = any(contains(network, address) for network in PRIVATE)
            return "aws" if aws else "private" if is_private else "public"
        listed = self._label(lambda scope: [("", one.name) for one in self._lists(scope, address)], window, "")
        return listed or aws or address

    def _lists(self, scope: Scope, address: str) -> list[PrefixList]:
        """The customer's prefix lists whose networks contain an address."""
        own = [one for one in scope.prefix_lists if not one.name.startswith("com.amazonaws.")]
        return [one for one in own if longest(one.networks, address) >= 0]

    def _aws(self, address: str) -> str:
        """`AWS S3 us-east-1`, by the smallest range that contains an address; empty if none does."""
        ranges = [one for snapshot in self.snapshots for one in snapshot.ranges if contains(one.network, address)]
        if not ranges:
            return ""
        places = {"AMAZON": 0, "EC2": 1}
        best = max(ranges, key=lambda one: (ipaddress.ip_network(one.network).prefixlen, places.get(one.service, 2)))
        return f"AWS {best.service} {best.region}"


DESCRIBED = {
    "": ("interface", ""),
    "ELB app/web/50dc6c495c0c9188": ("load-balancer", "ELB app/web"),
    "AWS Lambda VPC ENI-orders-0b5d3f6c-2a4e-4b52-9f1e-6a5f1c0d7e11": ("lambda", "Lambda orders"),
    "Interface for NAT Gateway nat-0123456789abcdef0": ("nat-gateway", "NAT nat-0123456789abcdef0"),
}
"""The descriptions that the oracle understands: the kind of the interface, and its name."""


def named_rows(
    records: Iterable[tuple[int, str, str, str, Sequence[int]]], words: Sequence[str], oracle: Oracle
) -> dict[tuple[str, ...], list[int]]:
    """Add up records by names: each has a start, an interface, a source, a destination and numbers."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for start, interface, src, dst, numbers in records:
        window = start // 3600 * 3600, start // 3600 * 3600 + 3600
        sides = {"src": src, "dst": dst}
        key = []
        for word in words:
            side, _, by = word.partition(".")
            key.append(oracle.label(by, sides[side], window, interface))
        old = sums.setdefault(tuple(key), [0] * len(numbers))
        sums[tuple(key)] = [one + other for one, other in zip(old, numbers, strict=True)]
    return sums
