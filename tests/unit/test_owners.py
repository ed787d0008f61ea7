"""Who an address belonged to, and what it is called: a short case for each rule of docs/names.md."""

from dataclasses import replace

import pytest

from toptalkers.names.owners import Names, Window
from toptalkers.names.snapshot import (
    Instance,
    Interface,
    PrefixList,
    Range,
    Scope,
    SecurityGroup,
    Snapshot,
    Subnet,
    Vpc,
)
from toptalkers.question.named import parse_named

HOUR = 3600
DAY = 24 * HOUR
MORNING = 1_793_000_000 // DAY * DAY + 8 * HOUR


def hour(number: int) -> Window:
    """The hour that begins so many hours after the morning."""
    return MORNING + number * HOUR, MORNING + (number + 1) * HOUR


def scope(*interfaces: Interface, after: int = 0, account: str = "123456789012", **parts: tuple[object, ...]) -> Scope:
    """What an account had, so many seconds after the morning."""
    return Scope(account, "us-east-1", MORNING + after, interfaces, **parts)  # type: ignore[arg-type]


def names(*scopes: Scope, ranges: tuple[Range, ...] = (), within_s: int = DAY) -> Names:
    return Names([Snapshot((one,), ranges) for one in scopes], within_s=within_s)


def label(found: Names, address: str, by: str = "name", window: Window | None = None, interface: str = "") -> str:
    part = parse_named(f"src.{by}")
    assert part is not None
    return found.label(part, address, window, interface)


def eni(name: str, *addresses: str, vpc: str = "vpc-a", **more: object) -> Interface:
    """An interface that is called as its tag says."""
    return Interface(f"eni-{name}", vpc_id=vpc, addresses=addresses, tags={"Name": name}, **more)  # type: ignore[arg-type]


WEB = eni("web", "10.0.0.5", "2001:db8::5", public=("198.51.100.5",), instance_id="i-1", group_ids=("sg-2", "sg-1"))
FLEET = scope(
    replace(WEB, tags={}, subnet_id="subnet-1", zone_id="use1-az1"),
    eni("db", "10.0.1.9", group_ids=("sg-9",), subnet_id="subnet-2", zone_id="use1-az2"),
    instances=(Instance("i-1", {"Name": "web-1", "aws:autoscaling:groupName": "web", "app": "shop"}),),
    groups=(SecurityGroup("sg-1", "web tier"), SecurityGroup("sg-2", "all hosts")),
    subnets=(Subnet("subnet-1", "vpc-a", "use1-az1", ("10.0.0.0/24",), {"Name": "front", "team": "a"}),),
    vpcs=(Vpc("vpc-a", ("10.0.0.0/16", "2001:db8::/56"), {"owner": "net"}),),
)


@pytest.mark.parametrize(
    ("by", "web", "db"),
    [
        ("name", "web-1", "db"),
        ("sg", "all hosts+web tier", "sg-9"),
        ("asg", "web", "db"),
        ("instance", "i-1", "db"),
        ("subnet", "front", "subnet-2"),
        ("vpc", "vpc-a", "vpc-a"),
        ("zone", "use1-az1", "use1-az2"),
        ("kind", "instance", "interface"),
        ("tag:app", "shop", "db"),
        ("tag:team", "a", "db"),
        ("tag:owner", "net", "net"),
    ],
)
def test_an_owner_is_called_by_each_property(by: str, web: str, db: str) -> None:
    """An instance and an interface without one are called as the table of docs/names.md says."""
    found = names(FLEET)
    assert [label(found, address, by) for address in ("10.0.0.5", "10.0.1.9")] == [web, db]


@pytest.mark.parametrize("address", ["2001:db8::5", "2001:DB8:0:0::0005", "198.51.100.5"])
def test_an_address_is_found_however_it_is_spelled(address: str) -> None:
    """IPv6 addresses in any spelling, and public addresses, have their owner."""
    assert label(names(FLEET), address) == "web-1"


@pytest.mark.parametrize(
    ("by", "said"), [("name", "10.0.0.77"), ("subnet", "front"), ("vpc", "vpc-a"), ("zone", "use1-az1")]
)
def test_an_address_without_an_owner_has_a_subnet(by: str, said: str) -> None:
    """The networks of subnets and VPCs tell where an address is that nobody has."""
    assert label(names(FLEET), "10.0.0.77", by) == said


OLD = scope(eni("old", "10.0.0.5"))
NEW = scope(eni("new", "10.0.0.5", since_s=MORNING + 2 * HOUR), after=4 * HOUR)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (hour(0), "old"),  # taken at its start
        (hour(3), "old"),
        (hour(4), "new|old"),  # the second snapshot is taken within it
        (hour(5), "new"),
        (hour(4 + 25), "~new"),  # more than a day later
        (hour(-1), "old"),  # no snapshot is older: the first one counts
        (hour(-25), "old"),
        (hour(-26), "~old"),  # more than a day earlier
        (None, "new|old"),
    ],
)
def test_a_reused_address_is_named_by_the_snapshot_before(window: Window | None, said: str) -> None:
    """An address that changed hands is its owner's by the last snapshot before the window, and by those within it."""
    assert label(names(NEW, OLD), "10.0.0.5", window=window) == said


def test_a_snapshot_from_before_the_instance_leaves_it_to_a_later_one() -> None:
    """An address that the snapshot before lacks is named by the first later one, if it was attached by then."""
    found = names(scope(eni("other", "10.0.0.6")), NEW)
    assert label(found, "10.0.0.5", window=hour(1)) == "10.0.0.5"
    assert label(found, "10.0.0.5", window=hour(2)) == "new"
    assert label(found, "10.0.0.5", window=hour(5)) == "new"


TWO_VPCS = scope(
    eni("blue", "10.0.0.5", vpc="vpc-a"),
    eni("green", "10.0.0.5", vpc="vpc-b"),
    eni("green-2", "10.0.0.6", vpc="vpc-b"),
    eni("far", "10.7.0.6", vpc="vpc-c"),
)


@pytest.mark.parametrize(
    ("address", "interface", "said"),
    [
        ("10.0.0.5", "eni-blue", "blue"),
        ("10.0.0.5", "eni-green-2", "green"),
        ("10.0.0.5", "eni-far", "blue|green"),
        ("10.0.0.5", "-", "blue|green"),
        ("10.0.0.6", "eni-blue", "green-2"),
    ],
)
def test_two_vpcs_with_one_range_are_told_apart_by_the_logger(address: str, interface: str, said: str) -> None:
    """The VPC of the interface that logged a record has the owner; without one of its own, all others are said."""
    assert label(names(TWO_VPCS), address, interface=interface) == said


def test_a_later_owner_in_the_vpc_of_the_logger_beats_another_vpc() -> None:
    """An instance that started after the snapshot is not mistaken for its double in another VPC."""
    later = scope(*TWO_VPCS.interfaces, after=DAY)
    before = scope(*TWO_VPCS.interfaces[1:])
    assert label(names(before, later), "10.0.0.5", window=hour(2), interface="eni-blue") == "blue"


def test_labels_that_the_logger_may_change_are_told() -> None:
    """A zone that an interface lacks is of the logger's VPC if networks of several contain the address; a name is not."""
    found = names(
        scope(
            eni("web", "10.0.0.5"),
            eni("other", "10.0.9.9", vpc="vpc-b"),
            subnets=(Subnet("a", "vpc-a", "az1", ("10.0.0.0/24",)), Subnet("b", "vpc-b", "az2", ("10.0.0.0/24",))),
        )
    )
    zone, name = parse_named("src.zone"), parse_named("src.name")
    assert zone
    assert name
    assert found.labels([zone], "10.0.0.5", hour(0), "eni-web") == (["az1"], 0, True)
    assert found.labels([zone], "10.0.0.5", hour(0), "eni-other") == (["az2"], 0, True)
    assert found.labels([name], "10.0.0.5", hour(0), "eni-other") == (["web"], 0, False)


def test_shared_addresses_are_noticed() -> None:
    """It is known whether VPCs share addresses or networks; a public address that moved is not shared."""
    assert names(TWO_VPCS).shares_addresses
    assert names(scope(eni("a", "10.0.0.5"), eni("b", vpc="vpc-b", prefixes=("10.0.0.0/28",)))).shares_addresses
    ranges = (Vpc("vpc-a", ("10.0.0.0/16",)), Vpc("vpc-b", ("10.0.0.0/20",)))
    assert names(scope(vpcs=ranges)).shares_addresses
    assert not names(FLEET, replace(FLEET, taken_s=MORNING + 1)).shares_addresses
    moved = [eni("a", public=("198.51.100.5",)), eni("b", vpc="vpc-b", public=("198.51.100.5",))]
    assert not names(scope(moved[0]), scope(moved[1], after=1)).shares_addresses


def test_thirty_addresses_and_delegated_prefixes_belong_to_one_interface() -> None:
    """An address is its interface's by any of its addresses, and by the longest delegated prefix around it."""
    many = tuple(f"10.0.7.{number}" for number in range(1, 31))
    node = eni("node", *many, prefixes=("10.0.3.0/24", "2001:db8:0:1::/80"))
    pod = eni("pod", "10.0.3.17", prefixes=("10.0.3.32/28",))
    found = names(scope(node, pod))
    assert {label(found, address) for address in many} == {"node"}
    asked = ["10.0.3.16", "10.0.3.17", "10.0.3.33", "2001:db8:0:1::ffff", "2001:db8:0:1:1::"]
    assert [label(found, address) for address in asked] == ["node", "pod", "pod", "node", "2001:db8:0:1:1::"]


def test_several_accounts_name_an_address_together() -> None:
    """Accounts have times of their own: that one was asked later does not hide what another one has."""
    one, other = (
        scope(eni("a", "10.0.0.5")),
        scope(eni("b", "10.1.0.5", vpc="vpc-b"), account="210987654321", after=HOUR),
    )
    found = names(one, other)
    assert [label(found, address, window=hour(2)) for address in ("10.0.0.5", "10.1.0.5")] == ["a", "b"]


def test_a_name_of_the_right_time_needs_no_mark() -> None:
    """Only a name that no snapshot of the right time gives is marked, and labels are sorted without the mark."""
    found = names(scope(eni("b", "10.0.0.5")), scope(eni("a", "10.0.0.5", vpc="vpc-b"), account="2", after=2 * DAY))
    assert label(found, "10.0.0.5", window=hour(1)) == "~a|b"


LISTED = scope(
    prefix_lists=(
        PrefixList("pl-1", "offices", ("203.0.113.0/24",)),
        PrefixList("pl-2", "berlin", ("203.0.113.64/26",)),
        PrefixList("pl-3", "com.amazonaws.us-east-1.dynamodb", ("192.0.2.0/25",)),
        PrefixList("pl-4", "com.amazonaws.global.cloudfront.origin-facing", ("192.0.2.128/25",)),
    )
)
RANGES = (
    Range("198.51.100.0/24", "AMAZON", "us-east-1"),
    Range("198.51.100.0/24", "S3", "us-east-1"),
    Range("198.51.100.0/26", "EC2", "us-east-1"),
)


@pytest.mark.parametrize(
    ("address", "said", "kind"),
    [
        ("203.0.113.9", "offices", "public"),
        ("203.0.113.70", "berlin|offices", "public"),
        ("192.0.2.1", "AWS DYNAMODB us-east-1", "aws"),
        ("192.0.2.200", "AWS CLOUDFRONT_ORIGIN_FACING GLOBAL", "aws"),
        ("198.51.100.200", "AWS S3 us-east-1", "aws"),
        ("198.51.100.7", "AWS EC2 us-east-1", "aws"),
        ("8.8.8.8", "8.8.8.8", "public"),
        ("10.200.0.1", "10.200.0.1", "private"),
        ("100.64.0.1", "100.64.0.1", "private"),
        ("169.254.169.254", "169.254.169.254", "private"),
        ("FE80::1", "FE80::1", "private"),
        ("fd00::1", "fd00::1", "private"),
        ("2001:db8::1", "2001:db8::1", "public"),
        ("-", "-", "-"),
    ],
)
def test_an_address_of_nobody_is_told_apart(address: str, said: str, kind: str) -> None:
    """An address without an owner is a list's, AWS's, or stays as it was logged; its kind is private, public or aws."""
    found = names(LISTED, ranges=RANGES)
    assert (label(found, address), label(found, address, "kind")) == (said, kind)


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("a|b", "a?b"),
        ("tab\there", "tab?here"),
        ("\ud800", "?"),
        ("\u202eevil", "?evil"),
        ("", "i-1"),
    ],
)
def test_labels_can_be_printed(tag: str, said: str) -> None:
    """What cannot be printed, and what stands between labels, is a question mark; an empty tag is none."""
    found = names(scope(replace(WEB, tags={}), instances=(Instance("i-1", {"Name": tag}),)))
    assert label(found, "10.0.0.5") == said
