"""The sample's company as a snapshot: what its addresses belong to."""

from collections import Counter
from ipaddress import ip_address, ip_network

from toptalkers.sample.company import BUSY_HOSTS, HOSTS, OBJECT_STORE, OFFICES, PAYMENT_SERVICE, SERVICES
from toptalkers.sample.snapshot import OFFICES_LIST, STORE_LIST, company_snapshot, group_id
from toptalkers.sample.traffic import sample_lines

SNAPSHOT = company_snapshot()
(SCOPE,) = SNAPSHOT.scopes


def test_every_interface_that_logs_is_known() -> None:
    """The interfaces of the records are those of the snapshot, and each private address has one interface."""
    logged = {line.split(" ")[2] for line in sample_lines(60_000)}
    assert logged == {one.interface_id for one in SCOPE.interfaces} == {host.interface_id for host in HOSTS}
    owned = Counter(address for one in SCOPE.interfaces for address in (*one.addresses, *one.public))
    assert set(owned.values()) == {1}
    assert {host.secondary for host in HOSTS if host.secondary} < set(owned)


def test_addresses_are_in_their_subnets() -> None:
    """Each address is in its interface's subnet, which is in the VPC; public addresses are in no traffic."""
    subnets = {one.subnet_id: one for one in SCOPE.subnets}
    (vpc,) = SCOPE.vpcs
    for one in SCOPE.interfaces:
        subnet = subnets[one.subnet_id]
        assert (subnet.vpc_id, subnet.zone_id) == (one.vpc_id, one.zone_id)
        for address in one.addresses:
            assert any(ip_address(address) in ip_network(network) for network in subnet.networks)
            assert any(ip_address(address) in ip_network(network) for network in vpc.networks)
    outside = {client for service in SERVICES for client in (*service.clients, *service.servers)}
    assert not outside & {address for one in SCOPE.interfaces for address in one.public}


def test_groups_let_in_what_the_company_sends() -> None:
    """The databases take their port from the tiers that ask them, and nothing else but pings; the idle ones nothing."""
    inbound = {
        one.name: {(rule.protocol, rule.from_port, rule.other) for rule in one.rules if rule.is_inbound}
        for one in SCOPE.groups
    }
    assert inbound["orders-db"] == {
        ("icmp", -1, group_id("monitoring")),
        *(("tcp", 5432, group_id(tier)) for tier in ("app", "batch", "orders-db")),
    }
    assert inbound["idle"] == set()
    assert ("tcp", 22, OFFICES_LIST.list_id) in inbound["bastion"]
    assert set(inbound) == {host.tier for host in HOSTS} - {"nat"}


def test_fleets_are_auto_scaling_groups() -> None:
    """The web, application and batch tiers are Auto Scaling groups with all of their instances, others are not."""
    fleets = Counter(one.tags.get("aws:autoscaling:groupName", "") for one in SCOPE.instances)
    instances = sum(host.instance_id != "-" for host in BUSY_HOSTS)
    assert fleets == {"web-asg": 8, "app-asg": 12, "batch-asg": 6, "": instances - 26}


def test_outside_addresses_have_lists() -> None:
    """The offices are in the customer's prefix list; the store is in AWS's list and ranges, payments in a range."""
    for addresses, networks in (
        (OFFICES, OFFICES_LIST.networks),
        (OBJECT_STORE, STORE_LIST.networks),
        (OBJECT_STORE, [one.network for one in SNAPSHOT.ranges if one.service == "S3"]),
        (PAYMENT_SERVICE, [one.network for one in SNAPSHOT.ranges if one.service == "AMAZON"]),
    ):
        nets = [ip_network(network) for network in networks]
        assert all(any(ip_address(address) in net for net in nets) for address in addresses)
