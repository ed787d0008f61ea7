"""Who an address belonged to at a time. The rules are those of `docs/names.md`."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from toptalkers.errors import ToptalkersError
from toptalkers.machine.collector import without_collector
from toptalkers.names.interfaces import GROUP_TAG, NAME_TAG, describe
from toptalkers.names.networks import Address, Network, Networks, format_network, parse_address, parse_network
from toptalkers.names.snapshot import (
    EVERYTHING,
    LISTING,
    Instance,
    Interface,
    Range,
    Scope,
    Snapshot,
    Subnet,
    Vpc,
    read_snapshot,
)
from toptalkers.question.named import BETWEEN_OWNERS, OTHER_TIME, NamedPart
from toptalkers.question.times import DAY_SECONDS
from toptalkers.visible import quoted

Window = tuple[int, int]
"""Seconds since 1970: [from, until)."""

PRIVATE = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
    "100.64.0.0/10",  # RFC 6598
    "fc00::/7",  # RFC 4193
    *("169.254.0.0/16", "fe80::/10"),  # link-local: RFC 3927, RFC 4291
)
"""The networks whose addresses are private."""

BETWEEN_GROUPS = "+"
UNKNOWN = "-"
"""What a record has in place of an address that it does not know."""

AWS_LIST = "com.amazonaws."
"""How the names of AWS's own prefix lists begin; a customer's may not."""

_FOREVER = 1 << 62


class Called(NamedTuple):
    """What an address is called.

    Attributes:
        labels: by the parts that were asked for.
        attached_s: as `Names.attached_s` says.
        depends_on_logger: whether the interface that logged the record may tell more, because several VPCs have the
            address, or a network around it that a label may be from.

    """

    labels: list[str]
    attached_s: int
    depends_on_logger: bool


class Names:
    """What addresses are called.

    Attributes:
        snapshots: what it was made from.
        within_s: how far from a window, in seconds, a snapshot may be whose names need no `~`.

    """

    snapshots: tuple[Snapshot, ...]
    within_s: int

    def __init__(self, snapshots: Iterable[Snapshot], *, within_s: int = DAY_SECONDS) -> None:
        """Take snapshots; their order does not matter.

        Args:
            snapshots: what addresses belonged to, at one time or at several.
            within_s: how far from a window, in seconds, a snapshot may be whose names need no `~`.

        Raises:
            ToptalkersError: a snapshot has an address or a network that is none.

        """
        self.snapshots = tuple(snapshots)
        self.within_s = within_s
        self._owners: Networks[_Claim] = Networks()
        self._subnets: Networks[_Claim] = Networks()
        self._vpcs: Networks[_Claim] = Networks()
        self._lists: Networks[_Claim] = Networks()
        self._ranges: Networks[Range] = Networks()
        self._vpc_of: dict[str, str] = {}
        self._private: Networks[None] = Networks()
        for text in PRIVATE:
            self._private.add(_network(text, "RFC"), None)
        self._histories: list[list[int]] = []
        self._take_scopes()
        self._take_ranges()
        # What was found so far. A label holds for all windows with the same scopes before, in and after them
        # (`_When.epoch`), if they end after the last of the owners was attached, which stands before it.
        self._whens: dict[Window | None, _When] = {}
        self._epochs: dict[tuple[_Span, ...], int] = {}
        self._labels: defaultdict[str, dict[tuple[str, int, str], tuple[int, str]]] = defaultdict(dict)
        self._labels_of_windows: dict[tuple[str, str, Window | None, str], str] = {}

    def label(self, part: NamedPart, address: str, window: Window | None = None, interface_id: str = "") -> str:
        """What one address is called; with `~` before it if the name is of another time.

        Args:
            part: what it is called by; its side does not matter.
            address: as it was logged; `-` stays `-`.
            window: the time of the record; None if it is not known.
            interface_id: the interface that logged it; empty or `-` if that is not known.

        """
        when = self._whens.get(window) or self._when(window)
        vpc_id = self._vpc_of.get(interface_id, "") if interface_id else ""
        known = self._labels[part.by + part.tag].get((address, when.epoch, vpc_id))
        if known and known[0] < when.until:
            return known[1]
        return self._find_label(part, address, window, vpc_id)

    def labels(
        self, parts: Sequence[NamedPart], address: str, window: Window | None = None, interface_id: str = ""
    ) -> "Called":
        """What one address is called by several parts, as `label` says. Nothing is kept."""
        number = parse_address(address)
        if number is None:
            return Called([_clean(address)] * len(parts), -1, depends_on_logger=False)
        when, vpc_id = self._when(window), self.vpc_of(interface_id)
        claims = self._owners.around(number)
        owners = self._owners_of(claims, when, vpc_id)
        labels = [self._label(part, number, owners, when, vpc_id) or address for part in parts]
        depends = _has_several_vpcs(claims) or any(
            part.by in _TEXTS_BY_NETWORK and _has_several_vpcs(self._networks_of(part).around(number)) for part in parts
        )
        return Called(labels, _last_attached(claims), depends_on_logger=depends)

    def epoch(self, window: Window | None) -> int:
        """A number that windows share for which the same scopes count.

        A label holds for all windows of one epoch that end after `attached_s`, and for all interfaces of one VPC.
        """
        return self._when(window).epoch

    def vpc_of(self, interface_id: str) -> str:
        """The VPC of an interface, by any of the scopes; empty if it is not known."""
        return self._vpc_of.get(interface_id, "")

    def attached_s(self, address: str) -> int:
        """When the last of the interfaces was attached that have, or had, an address; -1 if there is none."""
        number = parse_address(address)
        return _last_attached(self._owners.around(number)) if number else -1

    def outside(self, address: str) -> tuple[str, bool] | None:
        """What an address is called that no interface and no prefix list has at any time.

        Args:
            address: as it was logged.

        Returns:
            Its label by all parts but `kind` and, if a subnet or a VPC contains it, `subnet`, `vpc` and `zone`; and
            whether one does. None if time or the interface that logged it may tell more.

        """
        number = parse_address(address)
        if number is None or self._owners.around(number) or self._lists.around(number):
            return None
        ranges = self._ranges.around(number)
        label = _clean(f"AWS {ranges[0][1].service} {ranges[0][1].region}") if ranges else address
        return label, bool(self._subnets.around(number) or self._vpcs.around(number))

    @cached_property
    def shares_addresses(self) -> bool:
        """Whether VPCs share addresses, so that the interface that logged a record tells more."""
        # Two networks are apart, or one contains the other: then it is among those that were begun and not yet ended.
        begun: list[tuple[Network, str]] = []
        for network, vpc_id in sorted(self._networks_of_vpcs()):
            while begun and (begun[-1][0].bits != network.bits or begun[-1][0].last < network.number):
                begun.pop()
            if begun and begun[-1][1] != vpc_id:
                return True
            begun.append((network, vpc_id))
        return False

    def table(self, parts: Sequence[NamedPart], window: Window | None = None) -> Iterator[tuple[str, ...]]:
        """List who has which address: a row per owner, with the address, or a delegated prefix, and its labels.

        Args:
            parts: what owners are called by; their sides do not matter. What an owner does not have is `-`.
            window: the time; None for all times.

        Returns:
            The rows, in the order of the addresses, IPv4 first.

        """
        when = self._when(window)
        for network, claims in self._owners:
            address = Address(network.bits, network.number)
            chosen = self._choose([one for one in claims if one.since_s < when.until], when, "")
            rows = {
                tuple(
                    _marked(text, is_old)
                    if (text := self._text(claim, part))
                    else self._place(part, address, when, claim.vpc_id) or UNKNOWN
                    for part in parts
                )
                for claim, is_old in chosen
            }
            for row in sorted(rows):
                yield format_network(network), *row

    def only(self, addresses: Collection[str], interface_ids: Collection[str] = ()) -> tuple[Snapshot, ...]:
        """The part of the snapshots that names these addresses as the whole does, however old their records are.

        Args:
            addresses: addresses, as they were logged.
            interface_ids: interfaces that logged records. Only their VPC is kept, if no address is theirs.

        Returns:
            The snapshots, each with all its scopes. The rules of groups, which give no name, are left out.

        """
        numbers = {number for address in addresses if (number := parse_address(address))}
        wanted = _Wanted(numbers, frozenset(interface_ids))
        for table in (self._owners, self._subnets, self._vpcs):
            for number in numbers:
                wanted.things.update(id(claim.thing) for _, claim in table.around(number))
        return tuple(wanted.part_of(snapshot) for snapshot in self.snapshots)

    def _take_scopes(self) -> None:
        histories: dict[tuple[str, str], list[Scope]] = defaultdict(list)
        for snapshot in self.snapshots:
            for scope in snapshot.scopes:
                histories[scope.account_id, scope.region].append(scope)
        for history, (_, every) in enumerate(sorted(histories.items())):
            # A scope without its interfaces does not say that addresses were given back.
            scopes = [scope for scope in every if not _lacks_interfaces(scope)] or every
            taken = sorted({scope.taken_s for scope in scopes})
            self._histories.append(taken)
            for scope in scopes:
                self._take_scope(scope, _Place(scope, history, taken.index(scope.taken_s)))

    def _take_scope(self, scope: Scope, place: "_Place") -> None:
        for interface in scope.interfaces:
            self._vpc_of.setdefault(interface.interface_id, interface.vpc_id)
            claim = _Claim(place, interface.vpc_id, interface.since_s, interface)
            for text in (*interface.addresses, *interface.prefixes):
                self._owners.add(_network(text, interface.interface_id), claim)
            if interface.public:
                # A public address is in no VPC: it exists once, and the VPC of a record does not tell who had it.
                claim = _Claim(place, "", interface.since_s, interface)
                for text in interface.public:
                    self._owners.add(_network(text, interface.interface_id), claim)
        for subnet in scope.subnets:
            for text in subnet.networks:
                self._subnets.add(_network(text, subnet.subnet_id), _Claim(place, subnet.vpc_id, 0, subnet))
        for vpc in scope.vpcs:
            for text in vpc.networks:
                self._vpcs.add(_network(text, vpc.vpc_id), _Claim(place, vpc.vpc_id, 0, vpc))
        for one in scope.prefix_lists:
            for text in one.networks if not one.name.startswith(AWS_LIST) else ():
                self._lists.add(_network(text, one.list_id), _Claim(place, "", 0, one))

    def _take_ranges(self) -> None:
        ranges = {one for snapshot in self.snapshots for one in snapshot.ranges}
        for snapshot in self.snapshots:
            for scope in snapshot.scopes:
                for listed in scope.prefix_lists:
                    if listed.name.startswith(AWS_LIST):
                        service, region = _service_of_list(listed.name)
                        ranges |= {Range(network, service, region) for network in listed.networks}
        for one in sorted(ranges, key=_rank_of_range):
            self._ranges.add(_network(one.network, "AWS's ranges"), one)

    def _networks_of_vpcs(self) -> Iterator[tuple[Network, str]]:
        for table in (self._owners, self._subnets, self._vpcs):
            for network, claims in table:
                yield from {(network, claim.vpc_id) for claim in claims if claim.vpc_id}

    def _when(self, window: Window | None) -> "_When":
        when = self._whens.get(window)
        if when is None:
            spans = tuple(self._span(taken, window) for taken in self._histories)
            epoch = self._epochs.setdefault(spans, len(self._epochs))
            when = self._whens[window] = _When(epoch, spans, window[1] if window else _FOREVER)
        return when

    def _span(self, taken: Sequence[int], window: Window | None) -> "_Span":
        if window is None:
            return _Span(0, 0, len(taken), len(taken))
        inside, after = bisect_left(taken, window[0]), bisect_left(taken, window[1])
        return _Span(
            first=max(0, inside - 1),
            from_near=bisect_left(taken, window[0] - self.within_s),
            after=after,
            to_near=bisect_right(taken, window[1] + self.within_s),
        )

    def _find_label(self, part: NamedPart, address: str, window: Window | None, vpc_id: str) -> str:
        """Find a label that is not known yet."""
        by_window = (part.by + part.tag, address, window, vpc_id)
        label = self._labels_of_windows.get(by_window)
        if label is not None:
            return label
        number, when = parse_address(address), self._when(window)
        if number is None:
            label, last = _clean(address), -1
        else:
            claims = self._owners.around(number)
            last = _last_attached(claims)
            label = self._label(part, number, self._owners_of(claims, when, vpc_id), when, vpc_id) or address
        if last < when.until:
            self._labels[part.by + part.tag][address, when.epoch, vpc_id] = last, label
        else:
            self._labels_of_windows[by_window] = label
        return label

    def _owners_of(
        self, claims: Sequence[tuple[int, "_Claim"]], when: "_When", vpc_id: str
    ) -> list[tuple["_Claim", bool]]:
        """The owners of an address of a window, each with whether it is of another time."""
        if len(claims) == 1:  # as most addresses have: nothing is to be chosen
            [(_, one)] = claims
            return _in_time([one], when) if one.since_s < when.until else []
        return self._choose(_longest([one for one in claims if one[1].since_s < when.until]), when, vpc_id)

    def _label(
        self, part: NamedPart, address: Address, owners: Sequence[tuple["_Claim", bool]], when: "_When", vpc_id: str
    ) -> str:
        """The label of an address; empty if it is the address itself."""
        label = _joined([(self._text(claim, part), is_old) for claim, is_old in owners]) if owners else ""
        return label or self._place(part, address, when, vpc_id) or self._outside(part, address, when)

    def _choose(self, claims: Sequence["_Claim"], when: "_When", vpc_id: str) -> list[tuple["_Claim", bool]]:
        """Choose the claims that count for a window, each with whether it is of another time."""
        own = [one for one in claims if one.vpc_id == vpc_id] if vpc_id and len(claims) > 1 else []
        return _in_time(own, when) or _in_time(claims, when)

    def _text(self, claim: "_Claim", part: NamedPart) -> str:
        """What an interface is called; empty if it does not have that."""
        text = claim.place.text(claim.thing, part.by, part.tag)
        return _clean(text) if text else ""

    def _place(self, part: NamedPart, address: Address, when: "_When", vpc_id: str) -> str:
        """The label of an address by the networks of subnets or VPCs; empty if none contains it."""
        if part.by not in _TEXTS_BY_NETWORK:
            return ""
        chosen = self._choose([claim for _, claim in self._networks_of(part).around(address)], when, vpc_id)
        text = _TEXTS_BY_NETWORK[part.by]
        return _joined([(_clean(found) if (found := text(claim.thing)) else "", is_old) for claim, is_old in chosen])

    def _networks_of(self, part: NamedPart) -> "Networks[_Claim]":
        """The networks that a part of `_TEXTS_BY_NETWORK` is named by."""
        return self._vpcs if part.by == "vpc" else self._subnets

    def _outside(self, part: NamedPart, address: Address, when: "_When") -> str:
        """The label of an address without an owner; empty if it is the address itself."""
        ranges = self._ranges.around(address)
        if part.by == "kind":
            return "aws" if ranges else "private" if self._private.around(address) else "public"
        lists = _in_time([claim for _, claim in self._lists.around(address)], when)
        label = _joined([(_clean(claim.thing.name), is_old) for claim, is_old in lists])
        if label or not ranges:
            return label
        return _clean(f"AWS {ranges[0][1].service} {ranges[0][1].region}")


def read_names(paths: Iterable[Path], *, within_s: int = DAY_SECONDS) -> Names:
    """Read snapshots from files. ToptalkersError for one that cannot be read, or is none."""
    with without_collector():
        return Names([read_snapshot(path) for path in paths], within_s=within_s)


class _Place:
    """A scope: where it stands among the scopes of its account and Region, and what it has, by id.

    Attributes:
        history: the number of its account and Region.
        position: the number of its time there, from 0.

    """

    __slots__ = ("_groups", "_instances", "_subnets", "_vpcs", "history", "position")

    def __init__(self, scope: Scope, history: int, position: int) -> None:
        self.history = history
        self.position = position
        self._instances: dict[str, Instance] = {one.instance_id: one for one in scope.instances}
        self._groups = {one.group_id: one.name for one in scope.groups}
        self._subnets = {one.subnet_id: one for one in scope.subnets}
        self._vpcs = {one.vpc_id: one for one in scope.vpcs}

    def text(self, one: Interface, by: str, tag: str) -> str:
        """What an interface is called, as AWS has it; empty if it does not have that."""
        instance = self._instances.get(one.instance_id)
        match by:
            case "sg":
                found = BETWEEN_GROUPS.join(sorted(self._groups.get(group) or group for group in one.group_ids))
            case "asg":
                found = instance.tags.get(GROUP_TAG, "") if instance else ""
            case "instance":
                found = one.instance_id
            case "tag":
                things = (instance, one, self._subnets.get(one.subnet_id), self._vpcs.get(one.vpc_id))
                tagged = (thing.tags.get(tag) for thing in things if thing)
                found = next(filter(None, tagged), "")
            case "subnet":
                subnet = self._subnets.get(one.subnet_id)
                return _name_of_subnet(subnet) if subnet else one.subnet_id
            case "vpc":
                vpc = self._vpcs.get(one.vpc_id)
                return _name_of_vpc(vpc) if vpc else one.vpc_id
            case "zone":
                subnet = self._subnets.get(one.subnet_id)
                return one.zone_id or (subnet.zone_id if subnet else "")
            case "kind":
                return describe(one, instance)[0]
            case _:
                found = ""
        return found or describe(one, instance)[1]


def _lacks_interfaces(scope: Scope) -> bool:
    return any(hole.action in (EVERYTHING, LISTING) for hole in scope.holes)


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """That a network belongs to something, as one scope has it.

    Attributes:
        place: the scope.
        vpc_id: the VPC in which the network is; empty for one that is in none, such as a public address.
        since_s: from when on.
        thing: an interface, a subnet, a VPC or a prefix list.

    """

    place: _Place
    vpc_id: str
    since_s: int
    thing: Any


class _Span(NamedTuple):
    """Which scopes of an account and Region count for a window: from `first` up to `after`, and those after it.

    The names of those from `from_near` up to `to_near` are not of another time.
    """

    first: int
    from_near: int
    after: int
    to_near: int

    def is_near(self, position: int) -> bool:
        """Whether a scope was taken near enough to the window that its names need no mark."""
        return self.from_near <= position < self.to_near


@dataclass(frozen=True, slots=True)
class _When:
    """A window, by the scopes that count for it; windows with the same ones are of one epoch."""

    epoch: int
    spans: tuple[_Span, ...]
    until: int


def _in_time(claims: Sequence[_Claim], when: _When) -> list[tuple[_Claim, bool]]:
    """The claims that count for a window, each with whether it is of another time.

    Of each account and Region, those of the scopes that count; in their absence, those of the first later one.
    """
    if not claims:
        return []
    if len(claims) == 1:
        [one] = claims
        span, position = when.spans[one.place.history], one.place.position
        return [(one, not span.is_near(position))] if position >= span.first else []
    counting: dict[int, list[_Claim]] = {}
    later: dict[int, list[_Claim]] = {}
    for one in claims:
        history, position = one.place.history, one.place.position
        span = when.spans[history]
        if span.first <= position < span.after:
            counting.setdefault(history, []).append(one)
        elif position >= span.after:
            first = later.setdefault(history, [])
            if first and position < first[0].place.position:
                first.clear()
            if not first or position == first[0].place.position:
                first.append(one)
    chosen = [one for found in (later | counting).values() for one in found]
    return [(one, not when.spans[one.place.history].is_near(one.place.position)) for one in chosen]


def _last_attached(claims: Sequence[tuple[int, _Claim]]) -> int:
    return max([claim.since_s for _, claim in claims]) if claims else -1


def _has_several_vpcs(claims: Sequence[tuple[int, _Claim]]) -> bool:
    return len(claims) > 1 and len({claim.vpc_id for _, claim in claims}) > 1


def _longest(claims: Sequence[tuple[int, _Claim]]) -> list[_Claim]:
    """In each VPC of a scope, those by the longest prefix. Claims come with the lengths, the longest first."""
    if len(claims) < 2:
        return [claim for _, claim in claims]
    longest: dict[tuple[_Place, str], int] = {}
    return [one for length, one in claims if longest.setdefault((one.place, one.vpc_id), length) == length]


def _joined(texts: Sequence[tuple[str, bool]]) -> str:
    """All labels, sorted, each once; one of another time is marked if it is of no other. Empty ones are left out."""
    labels: dict[str, bool] = {}
    if len(texts) == 1:
        [(text, is_old)] = texts
        return _marked(text, is_old) if text else ""
    for text, is_old in texts:
        if text:
            labels[text] = labels.get(text, True) and is_old
    return BETWEEN_OWNERS.join(_marked(text, is_old) for text, is_old in sorted(labels.items()))


def _marked(text: str, is_old: bool) -> str:
    return OTHER_TIME + text if is_old else text


def _clean(text: str) -> str:
    """A label, with `?` for what cannot be printed, and for what stands between labels."""
    if text.isprintable() and BETWEEN_OWNERS not in text:
        return text
    return "".join(one if one.isprintable() and one != BETWEEN_OWNERS else "?" for one in text)


def _name_of_subnet(subnet: Subnet) -> str:
    return subnet.tags.get(NAME_TAG) or subnet.subnet_id


def _name_of_vpc(vpc: Vpc) -> str:
    return vpc.tags.get(NAME_TAG) or vpc.vpc_id


def _zone_of_subnet(subnet: Subnet) -> str:
    return subnet.zone_id


_TEXTS_BY_NETWORK: Mapping[str, Callable[[Any], str]] = {
    "subnet": _name_of_subnet,
    "vpc": _name_of_vpc,
    "zone": _zone_of_subnet,
}
"""What the network around an address tells of it."""


def _service_of_list(name: str) -> tuple[str, str]:
    """The service and the Region of one of AWS's prefix lists, as its published ranges call them."""
    region, _, service = name.removeprefix(AWS_LIST).partition(".")
    service = service.removeprefix("ipv6.").replace(".", "_").replace("-", "_").upper()
    return service, "GLOBAL" if region == "global" else region


def _rank_of_range(one: Range) -> tuple[bool, bool, str, str]:
    """Of ranges with one network, the first says most: AMAZON has all of AWS, and EC2 what other services run on."""
    return one.service == "AMAZON", one.service == "EC2", one.service, one.region


def _network(text: str, owner: str) -> Network:
    network = parse_network(text)
    if network is None:
        raise ToptalkersError(f"the snapshot of {owner} has {quoted(text)} for an address")
    return network


class _Wanted:
    """What is wanted of snapshots: what some addresses belong to."""

    def __init__(self, numbers: Collection[Address], interface_ids: Collection[str]) -> None:
        self.interface_ids = interface_ids
        self.things: set[int] = set()
        self._sorted = sorted(numbers)

    def part_of(self, snapshot: Snapshot) -> Snapshot:
        """The part of a snapshot that is wanted."""
        ranges = tuple(one for one in snapshot.ranges if self._is_around(one.network))
        return Snapshot(tuple(map(self._part_of_scope, snapshot.scopes)), ranges)

    def _part_of_scope(self, scope: Scope) -> Scope:
        interfaces = [one for one in scope.interfaces if id(one) in self.things]
        loggers = [
            Interface(one.interface_id, one.vpc_id)
            for one in scope.interfaces
            if one.interface_id in self.interface_ids and id(one) not in self.things
        ]
        instances = {one.instance_id for one in interfaces}
        groups = {group for one in interfaces for group in one.group_ids}
        subnets = {one.subnet_id for one in interfaces}
        vpcs = {one.vpc_id for one in interfaces}
        lists = (
            replace(one, networks=tuple(network for network in one.networks if self._is_around(network)))
            for one in scope.prefix_lists
        )
        return replace(
            scope,
            interfaces=(*interfaces, *loggers),
            instances=tuple(one for one in scope.instances if one.instance_id in instances),
            groups=tuple(replace(one, rules=(), tags={}) for one in scope.groups if one.group_id in groups),
            subnets=tuple(one for one in scope.subnets if one.subnet_id in subnets or id(one) in self.things),
            vpcs=tuple(one for one in scope.vpcs if one.vpc_id in vpcs or id(one) in self.things),
            prefix_lists=tuple(one for one in lists if one.networks),
        )

    def _is_around(self, text: str) -> bool:
        """Whether a network contains one of the addresses."""
        network = parse_network(text)
        if network is None:
            return False
        at = bisect_left(self._sorted, Address(network.bits, network.number))
        return at < len(self._sorted) and self._sorted[at] <= Address(network.bits, network.last)
