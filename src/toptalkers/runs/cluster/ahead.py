"""What can be known about a cluster before it is asked for: where its nodes will be, and whether they can be had there.

EMR finds out the same some minutes later, and the cluster ends while it is STARTING. Every look at the account is
optional: what is denied, or does not answer, is "not known", and stops nothing.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from toptalkers.aws.account import Account
from toptalkers.aws.failures import AwsError
from toptalkers.aws.network import Subnet
from toptalkers.aws.quotas import CODES, Market
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.runs.cluster.sizing import Sizing, is_standard, similar_types, vcpus
from toptalkers.runs.site import Site

MANAGED_TAG: Final = "for-use-with-amazon-emr-managed-policies"
"""Without this tag, with the value `true`, AmazonEMRServicePolicy_v2 does not let a role use a subnet or a VPC."""

COMMON_FAMILIES = ("m7g", "m6g", "m7i", "m6i", "m5")
"""The families to suggest for one that is not offered. Every Region has one of them, so an answer without any of them
tells nothing."""

_ACTION = re.compile(r"call ([a-z0-9-]+:[A-Za-z0-9]+)")


@dataclass(frozen=True, slots=True)
class Network:
    """The network of a cluster.

    Attributes:
        subnets: the subnets that EMR may choose from; empty when they are not known.
        named: the ids that were asked for; empty when EMR takes the default VPC.
        unknown: why the subnets are not known; empty when they are.

    """

    subnets: tuple[Subnet, ...]
    named: tuple[str, ...]
    unknown: str = ""

    @property
    def vpc(self) -> str:
        """The id of the VPC; empty when it is not known."""
        return self.subnets[0].vpc if self.subnets else ""

    @property
    def zones(self) -> tuple[str, ...]:
        """The Availability Zones of the subnets, as far as they are known."""
        return tuple(dict.fromkeys(one.zone for one in self.subnets if one.zone))

    @property
    def is_public(self) -> bool:
        """Whether nodes may get public addresses."""
        return any(one.is_public for one in self.subnets)

    @property
    def resources(self) -> tuple[str, ...]:
        """The ids of the subnets and the VPC, as far as they are known."""
        subnets = self.named or tuple(one.id for one in self.subnets)
        return (*subnets, self.vpc) if self.vpc else subnets


def find_network(account: Account, subnets: Sequence[str]) -> Network:
    """Find the subnets of a cluster by their ids; without ids, those of the default VPC, which EMR then takes.

    Raises:
        UsageError: the subnets belong to several VPCs.
        ToptalkersError: a subnet does not exist, or there is no default VPC.

    """
    listing = way_to_list_subnets(account.region)
    try:
        if not subnets:
            vpc = account.networks.default_vpc()
            found = account.networks.subnets_of(vpc) if vpc else []
            if not found:
                what = "the default VPC has no subnet" if vpc else "there is no default VPC"
                raise ToptalkersError(
                    f"{what} in {account.region}, so that EMR does not know where to put the nodes",
                    hint=f"--subnet chooses a subnet, and 'toptalkers deploy --subnet ID' keeps it; {listing}",
                )
            return Network(tuple(found), ())
        found = account.networks.subnets(subnets)
    except AwsError as error:
        return Network((), tuple(subnets), unknown=_why(error))
    if missing := [one for one in subnets if one not in {each.id for each in found}]:
        raise ToptalkersError(
            f"there is no subnet {missing[0]} in {account.region}", hint=f"is it in another Region? {listing}"
        )
    if len({one.vpc for one in found}) > 1:
        places = ", ".join(f"{one.id} in {one.vpc}" for one in found)
        raise UsageError(f"the subnets are not in one VPC: {places}", hint="name subnets of one VPC with --subnet")
    return Network(tuple(found), tuple(subnets))


def check_subnets(site: Site, network: Network) -> None:
    """Check that the service role of a stack of ours may use the subnets, as far as they are known.

    Without names it may use those of its account, and with names only those (`capture/roles.py`); AWS's own policy
    opens those that have the tag.

    Raises:
        ToptalkersError: it may not use one of them.

    """
    if not site.is_stack:
        return
    account = site.nodes_role.split(":")[4] if site.nodes_role else ""
    for one in network.subnets:
        is_open = one.id in site.subnets if site.subnets else not account or one.owner in ("", account)
        if is_open or one.tags.get(MANAGED_TAG) == "true":
            continue
        names = " ".join(f"--subnet {each}" for each in dict.fromkeys((*site.subnets, *network.named)))
        other = f"only {', '.join(site.subnets)}" if site.subnets else f"it belongs to the account {one.owner}"
        raise ToptalkersError(
            f"the stack {site.name} does not let EMR use {one.id}, {other}",
            hint=f"'toptalkers deploy{site.words} {names}' does",
        )


def describe_network(network: Network) -> str:
    """Write where the nodes will be, and whether they get public addresses."""
    if network.unknown:
        return f"{', '.join(network.named) or 'the default VPC'}; more is not known ({network.unknown})"
    zones = ", ".join(network.zones)
    names = ", ".join(network.named)
    where = f"{names} in {zones}, {network.vpc}" if names else f"the default VPC, {network.vpc}; EMR chooses the subnet"
    if not network.is_public:
        return f"{where}; the nodes get no public addresses"
    some = "" if all(one.is_public for one in network.subnets) else " in some of them"
    return f"{where}; the nodes get public addresses{some}"


def network_notes(account: Account, site: Site, network: Network) -> list[str]:
    """List what the user should know about the network: public addresses, and tags that a role may need."""
    notes = []
    if network.is_public:
        notes.append(
            "the nodes get public addresses, though EMR's security groups let nobody in; in a private subnet"
            " with a gateway endpoint for S3 (--subnet) they get none"
        )
    if not site.is_stack and network.subnets:
        lacking = [one.id for one in network.subnets if one.tags.get(MANAGED_TAG) != "true"]
        try:
            # EMR needs the VPC for security groups of its own.
            if not site.security_groups.primary and account.networks.vpc_tags(network.vpc).get(MANAGED_TAG) != "true":
                lacking.append(network.vpc)
        except AwsError:
            lacking.append(network.vpc)
        if lacking:
            notes.append(
                f"a role with AmazonEMRServicePolicy_v2 uses only networks with a tag; if {site.service_role} has no"
                f" more than that policy, {way_to_tag(account.region, lacking)} lets it use this one"
            )
    return notes


@dataclass(frozen=True, slots=True)
class Offers:
    """Where which types of instances are offered.

    Attributes:
        supported: the types that EMR's release runs on; empty when they are not known.
        zones: the zones that offer the types that were asked for; empty when they are not known.
        notes: lines that a user should read, about what is not known.

    """

    supported: frozenset[str]
    zones: Mapping[str, frozenset[str]]
    notes: tuple[str, ...]

    def suits(self, instance_type: str, places: Collection[str]) -> bool:
        """Whether a type can be had, as far as that is known, in one of these zones, or without zones anywhere."""
        if self.supported and instance_type not in self.supported:
            return False
        offering = self.zones.get(instance_type, frozenset())
        return not self.zones or bool(offering.intersection(places) if places else offering)


def find_offers(account: Account, release: str, sizing: Sizing) -> Offers:
    """Look up where the types of a cluster, and others that can take their places, are offered."""
    types = tuple(dict.fromkeys((sizing.primary_type, sizing.instance_type)))
    supported: frozenset[str] = frozenset()
    zones: Mapping[str, frozenset[str]] = {}
    names, notes = " and ".join(types), []
    try:
        supported = account.clusters.supported_types(release)
    except AwsError as error:
        notes.append(f"whether {release} runs on {names} is not known ({_why(error)})")
    try:
        zones = account.networks.zones_offering([*types, *(one for each in types for one in _alternatives(each))])
    except AwsError as error:
        notes.append(f"whether EC2 offers {names} there is not known ({_why(error)})")
    return Offers(supported, zones, tuple(notes))


def check_types(offers: Offers, network: Network, sizing: Sizing, *, release: str, region: str) -> None:
    """Check that EMR's release runs on the types of a cluster, and that EC2 offers them where a subnet is.

    Raises:
        ToptalkersError: one of them does not; the hint names a type that does.

    """
    # What the user names comes first: the primary node's type may only follow from it.
    wanted = {"--instance-type": sizing.instance_type, "--primary-type": sizing.primary_type}
    if sizing.primary_type == sizing.instance_type:
        del wanted["--primary-type"]
    for option, instance_type in wanted.items():
        if offers.suits(instance_type, network.zones):
            continue
        other = next((one for one in _alternatives(instance_type) if offers.suits(one, network.zones)), "")
        hint = f"{option} {other} is possible there" if other else f"{option} chooses another type"
        if offers.supported and instance_type not in offers.supported:
            raise ToptalkersError(f"{release} does not run on {instance_type} in {region}", hint=hint)
        where = region
        if offering := sorted(offers.zones.get(instance_type, ())):
            where = ", ".join(network.zones)
            hint += f"; a --subnet in {', '.join(offering)} has {instance_type}"
        raise ToptalkersError(f"EC2 does not offer {instance_type} in {where}", hint=hint)
    if offers.zones and network.zones:
        common = frozenset.intersection(frozenset(network.zones), *(offers.zones[one] for one in wanted.values()))
        if not common:
            raise ToptalkersError(
                f"no subnet is in a zone that offers both {' and '.join(wanted.values())}",
                hint=f"--primary-type {sizing.instance_type} takes one type for all nodes",
            )


def check_vcpus(account: Account, sizing: Sizing) -> str:
    """Write how many vCPUs a cluster needs, and how many the account may run.

    The other instances of the account count as well, so that EC2 can refuse a cluster that is small enough here.

    Raises:
        ToptalkersError: the cluster needs more than the account may run at all.

    """
    needs: dict[Market, int] = {"on demand": sizing.on_demand_vcpus, "Spot": sizing.spot_vcpus}
    has_quota = is_standard(sizing.instance_type) and is_standard(sizing.primary_type)
    parts = []
    for market, need in needs.items():
        if not need:
            continue
        if not has_quota:
            parts.append(f"{need} {market}")
            continue
        try:
            quota = account.quotas.vcpus(market)
        except AwsError as error:
            parts.append(f"{need} {market}; how many the account may run is not known ({_why(error)})")
            continue
        if need > quota:
            raise ToptalkersError(
                f"the cluster needs {need} vCPUs {market}, and the account may run {quota} in {account.region}",
                hint=f"{way_to_more(account.region, market, need)}{_smaller(sizing, market, quota)}",
            )
        parts.append(f"{need} {market}, of {quota:,} that the account may run")
    return "; ".join(parts)


def way_to_list_subnets(region: str) -> str:
    """The command that lists the subnets of a Region."""
    return (
        f"'aws ec2 describe-subnets --region {region} --output text"
        ' --query "Subnets[].[SubnetId,VpcId,AvailabilityZone]"\' lists them'
    )


def way_to_tag(region: str, resources: Iterable[str]) -> str:
    """The command that tags a network for EMR's managed policy."""
    return (
        f"'aws ec2 create-tags --region {region} --resources {' '.join(resources)} --tags Key={MANAGED_TAG},Value=true'"
    )


def way_to_more(region: str, market: Market, vcpus_needed: int) -> str:
    """The command that asks AWS for a larger quota."""
    return (
        f"'aws service-quotas request-service-quota-increase --region {region} --service-code ec2"
        f" --quota-code {CODES[market]} --desired-value {vcpus_needed}' asks for more"
    )


def _smaller(sizing: Sizing, market: Market, quota: int) -> str:
    """Say which smaller cluster of the same types fits into a quota."""
    if market == "Spot":
        fitting = quota // vcpus(sizing.instance_type)
        return f"; --task {fitting} fits" if fitting else "; without --spot the nodes are on demand"
    fitting = (quota - vcpus(sizing.primary_type)) // vcpus(sizing.instance_type)
    if fitting < 1:
        small = f"{sizing.instance_type.partition('.')[0]}.xlarge"
        least = 2 * vcpus(small)
        if least > quota:
            return f"; the smallest cluster, two {small}, needs {least}"
        return f"; --core 1 --task 0 --instance-type {small} --primary-type {small} fits, and takes longer"
    if not sizing.task or sizing.spot:
        return f"; --core {fitting} fits, and takes longer"
    return f"; --core 1 --task {fitting - 1} fits, and takes longer"


def _alternatives(instance_type: str) -> tuple[str, ...]:
    size = instance_type.partition(".")[2]
    common = [f"{family}.{one}" for one in (size, "xlarge") for family in COMMON_FAMILIES]
    others = (*similar_types(instance_type), *common)
    return tuple(one for one in dict.fromkeys(others) if one != instance_type)


def _why(error: AwsError) -> str:
    found = _ACTION.search(error.message)
    return f"{found[1]} is denied" if error.is_denied and found else error.message
