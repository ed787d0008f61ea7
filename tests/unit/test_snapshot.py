"""Snapshots: what is written is read back, and what is no snapshot is one clear error."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.errors import ToptalkersError
from toptalkers.names.interfaces import PATTERNS, describe
from toptalkers.names.kept import merged
from toptalkers.names.owners import Names
from toptalkers.names.ranges import read_ip_ranges
from toptalkers.names.snapshot import (
    EVERYTHING,
    LATEST_S,
    LISTING,
    Hole,
    Instance,
    Interface,
    PrefixList,
    Range,
    Rule,
    Scope,
    SecurityGroup,
    Snapshot,
    Subnet,
    Vpc,
    format_snapshot,
    parse_snapshot,
    read_snapshot,
)
from toptalkers.question.named import NamedPart

TEXT = st.text(st.characters(exclude_categories=()), max_size=4)
TAGS = st.dictionaries(TEXT, TEXT, max_size=3)
ADDRESSES = st.lists(st.ip_addresses().map(str), max_size=3).map(tuple)
NETWORKS = st.lists(st.sampled_from(["10.0.0.0/16", "2001:db8::/56", "192.0.2.1/32"]), max_size=2).map(tuple)


def built(kind: type, **attributes: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Things with these attributes, and texts and numbers for the others."""
    return st.builds(kind, **attributes)


def lists(one: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(one, max_size=3).map(tuple)


TEXTS = st.lists(TEXT, max_size=2).map(tuple)
NUMBERS = st.integers(-1, LATEST_S - 1)
RULES = built(Rule, is_inbound=st.booleans(), protocol=TEXT, from_port=NUMBERS, to_port=NUMBERS, other=TEXT)
INTERFACES = built(
    Interface,
    interface_id=TEXT,
    vpc_id=TEXT,
    addresses=ADDRESSES,
    public=ADDRESSES,
    prefixes=NETWORKS,
    description=TEXT,
    group_ids=TEXTS,
    tags=TAGS,
    since_s=NUMBERS,
)
SCOPES = built(
    Scope,
    account_id=TEXT,
    region=TEXT,
    taken_s=NUMBERS,
    interfaces=lists(INTERFACES),
    instances=lists(built(Instance, instance_id=TEXT, tags=TAGS)),
    groups=lists(built(SecurityGroup, group_id=TEXT, name=TEXT, rules=lists(RULES), tags=TAGS)),
    subnets=lists(built(Subnet, subnet_id=TEXT, networks=NETWORKS, tags=TAGS)),
    vpcs=lists(built(Vpc, vpc_id=TEXT, networks=NETWORKS, tags=TAGS)),
    prefix_lists=lists(built(PrefixList, list_id=TEXT, name=TEXT, networks=NETWORKS)),
    holes=lists(built(Hole, action=TEXT, why=TEXT)),
)
RANGES = built(Range, network=st.just("192.0.2.0/24"), service=TEXT, region=TEXT)
SNAPSHOTS = built(Snapshot, scopes=lists(SCOPES), ranges=lists(RANGES))

WEB = Interface("eni-1", addresses=("10.0.0.1",), tags={"Name": "web-1"})
SMALL = Snapshot(
    (Scope("123456789012", "us-east-1", 1_795_428_000, interfaces=(WEB, Interface("eni-2", addresses=("10.0.0.2",)))),),
    (Range("192.0.2.0/24", "S3", "us-east-1"),),
)


@given(SNAPSHOTS)
def test_a_snapshot_is_read_as_it_was_written(snapshot: Snapshot) -> None:
    """All that AWS can say survives, control characters and lone surrogates among it, also compressed."""
    content = b"".join(format_snapshot(snapshot))
    assert parse_snapshot(content, "a.json") == snapshot
    assert parse_snapshot(gzip.compress(content), "a.json") == snapshot
    json.loads(content)


def test_one_interface_has_one_line() -> None:
    """A diff of two snapshots names the interface that changed, and only it."""
    before = b"".join(format_snapshot(SMALL)).decode().split("\n")
    changed = Interface("eni-2", addresses=("10.0.0.3",))
    [scope] = SMALL.scopes
    after = b"".join(
        format_snapshot(Snapshot((Scope(scope.account_id, scope.region, scope.taken_s, (WEB, changed)),), SMALL.ranges))
    )
    differing = [(one, other) for one, other in zip(before, after.decode().split("\n"), strict=True) if one != other]
    assert differing == [
        (
            '{"interface_id": "eni-2", "addresses": ["10.0.0.2"]}]}],',
            '{"interface_id": "eni-2", "addresses": ["10.0.0.3"]}]}],',
        )
    ]


def test_what_a_later_version_adds_is_ignored() -> None:
    """Unknown keys at every depth change nothing."""
    found = json.loads(b"".join(format_snapshot(SMALL)))
    for one in (found, found["scopes"][0], found["scopes"][0]["interfaces"][0], found["ranges"][0]):
        one["colour"] = {"a": [1]}
    assert parse_snapshot(json.dumps(found).encode(), "a.json") == SMALL


SAID = b"".join(format_snapshot(SMALL))
PACKED = gzip.compress(SAID, mtime=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.json is not JSON: expecting value in line 1"),
        (SAID[:-3], "a.json is not JSON: "),
        (b"\xff", "a.json is not JSON: it is not UTF-8"),
        (b"[" * 100_000, "a.json is not JSON: it is nested too deeply"),
        (b"[]", "a.json is not a snapshot"),
        (b'{"syncToken": "1", "prefixes": []}', "a.json is not a snapshot"),
        (
            SAID.replace(b'"version": 1', b'"version": 2'),
            "a.json is a snapshot of version '2', and only 1 is known here",
        ),
        (SAID.replace(b'"version": 1', b'"version": true'), "a.json is a snapshot of version 'True'"),
        (PACKED[:-9], "a.json is cut off: its gzip stream has no end"),
        (PACKED[:-8] + b"x" * 8, "a.json is damaged: "),
        (
            SAID.replace(b'"10.0.0.2"', b'"10.0.0.256"'),
            "a.json: scopes[0].interfaces[1].addresses[0]: '10.0.0.256' is not an address",
        ),
        (SAID.replace(b'"10.0.0.2"', b"7"), "a.json: scopes[0].interfaces[1].addresses[0]: 7 is not an address"),
        (SAID.replace(b'["10.0.0.2"]', b"null"), "a.json: scopes[0].interfaces[1].addresses: null is not a list"),
        (SAID.replace(b'"web-1"', b"1.5"), "a.json: scopes[0].interfaces[0].tags.Name: 1.5 is not a text"),
        (SAID.replace(b'"interface_id": "eni-2", ', b""), "a.json: scopes[0].interfaces[1]: 'interface_id' is "),
        (SAID.replace(b"1795428000", b'"now"'), "a.json: scopes[0].taken_s: 'now' is not a number from -1 to "),
        (SAID.replace(b"1795428000", b"9" * 12), "a.json: scopes[0].taken_s: 999999999999 is not a number from -1 to "),
        (SAID.replace(b"192.0.2.0/24", b"192.0.2.1/24"), "a.json: ranges[0].network: '192.0.2.1/24' is not a network"),
        (b'{"toptalkers": "snapshot", "version": 1}', "a.json: the file: 'scopes' is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(content: bytes, said: str) -> None:
    """The error names the file, the place in it and the value."""
    with pytest.raises(ToptalkersError) as error:
        parse_snapshot(content, "a.json")
    assert error.value.message.startswith(said)


@given(st.data())
def test_a_changed_file_is_a_snapshot_or_one_error(data: st.DataObject) -> None:
    """Whatever value is put into the file, and wherever, nothing else is raised."""
    found = json.loads(SAID)
    inside = found
    while True:
        key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        if not isinstance(inside[key], (dict, list)) or not inside[key] or data.draw(st.booleans()):
            break
        inside = inside[key]
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    inside[key] = data.draw(leaves | st.lists(leaves, max_size=2) | st.dictionaries(TEXT, leaves, max_size=2))
    said = "a.json"
    try:
        snapshot = parse_snapshot(json.dumps(found).encode(), "a.json")
        assert parse_snapshot(b"".join(format_snapshot(snapshot)), "a.json") == snapshot
    except ToptalkersError as error:
        said = error.message
    assert said.startswith("a.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(ToptalkersError, match=r"cannot read .*gone\.json: No such file"):
        read_snapshot(tmp_path / "gone.json")


def test_merged_snapshots() -> None:
    """Scopes that are in two files are once in the merged one; the scopes are in the order of their times."""
    [scope] = SMALL.scopes
    earlier = Scope(scope.account_id, scope.region, scope.taken_s - 1)
    assert merged([SMALL, Snapshot((earlier, scope))]) == Snapshot((earlier, scope), SMALL.ranges)


def test_published_ranges(tmp_path: Path) -> None:
    """Both families are read; a range that the file has twice is there once."""
    file = tmp_path / "ip-ranges.json"
    v4 = {"ip_prefix": "192.0.2.0/24", "region": "eu-west-1", "service": "S3", "network_border_group": "eu-west-1"}
    v6 = {"ipv6_prefix": "2001:db8::/32", "region": "GLOBAL", "service": "CLOUDFRONT"}
    file.write_text(json.dumps({"syncToken": "1", "prefixes": [v4, v4], "ipv6_prefixes": [v6]}))
    ranges = (Range("192.0.2.0/24", "S3", "eu-west-1"), Range("2001:db8::/32", "CLOUDFRONT", "GLOBAL"))
    assert read_ip_ranges(file) == ranges
    file.write_bytes(gzip.compress(file.read_bytes()))
    assert read_ip_ranges(file) == ranges


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>", "ip-ranges.json is not JSON"),
        (b'{"toptalkers": "snapshot"}', "ip-ranges.json does not have AWS's published ranges"),
        (b'{"prefixes": [{}]}', r"ip-ranges.json: prefixes\[0\] is not a range with its service and Region"),
        (b'{"prefixes": [], "ipv6_prefixes": 1}', r"ip-ranges.json: ipv6_prefixes\[0\] is not a range"),
        (
            b'{"prefixes": [{"ip_prefix": "192.0.2.1/24", "service": "S3", "region": "x"}]}',
            r"ip-ranges.json: prefixes\[0\] is not a range",
        ),
    ],
)
def test_other_files_are_no_ranges(tmp_path: Path, content: bytes, said: str) -> None:
    """The error names the file and the entry."""
    file = tmp_path / "ip-ranges.json"
    file.write_bytes(content)
    with pytest.raises(ToptalkersError, match=said):
        read_ip_ranges(file)


UUID = "0b7c1f7e-97f6-4f2c-8b0e-5a4c1f6a3e21"


@pytest.mark.parametrize(
    ("description", "kind", "name"),
    [
        (f"arn:aws:ecs:us-east-1:123456789012:attachment/{UUID}", "ecs-task", "ECS task 10.0.0.1"),
        (f"AWS Lambda VPC ENI-orders-to-stock-{UUID}", "lambda", "Lambda orders-to-stock"),
        ("AWS Lambda VPC ENI-orders", "lambda", "Lambda orders"),
        (f"AWS Lambda VPC ENI: {UUID}", "lambda", "Lambda 10.0.0.1"),
        ("RDSNetworkInterface", "rds", "RDS 10.0.0.1"),
        ("Network interface for DBProxy orders", "rds", "RDS Proxy orders"),
        ("ElastiCache orders-001", "elasticache", "ElastiCache orders-001"),
        ("ElastiCache+orders-0001-001", "elasticache", "ElastiCache orders-0001-001"),
        ("ELB app/web/50dc6c495c0c9188", "load-balancer", "ELB app/web"),
        ("ELB net/web/50dc6c495c0c9188", "load-balancer", "ELB net/web"),
        ("ELB gwy/firewall/50dc6c495c0c9188", "load-balancer", "ELB gwy/firewall"),
        ("ELB old-web", "load-balancer", "ELB old-web"),
        ("Interface for NAT Gateway nat-0123456789abcdef0", "nat-gateway", "NAT nat-0123456789abcdef0"),
        (
            "Network Interface for Transit Gateway Attachment tgw-attach-0123456789abcdef0",
            "transit-gateway",
            "TGW tgw-attach-0123456789abcdef0",
        ),
        ("VPC Endpoint Interface vpce-0123456789abcdef0", "vpc-endpoint", "VPC endpoint vpce-0123456789abcdef0"),
        ("EFS mount target for fs-01234567 (fsmt-89abcdef)", "efs", "EFS fs-01234567"),
        ("aws-k8s-branch-eni", "eks-pod", "EKS 10.0.0.1"),
        ("Amazon EKS prod", "interface", "EKS cluster prod"),
        ("AWS created network interface for directory d-0123456789", "interface", "Directory d-0123456789"),
        ("RedshiftNetworkInterface", "interface", "Redshift 10.0.0.1"),
        ("DMSNetworkInterface", "interface", "DMS 10.0.0.1"),
        ("ES search", "interface", "OpenSearch search"),
        (
            f"DO NOT DELETE - Amazon MSK network interface for cluster arn:aws:kafka:us-east-1:1:cluster/bus/{UUID}-2.",
            "interface",
            "MSK bus",
        ),
        ("Attached to Glue using role: arn:aws:iam::123456789012:role/team/etl", "interface", "Glue team/etl"),
        ("made by hand for the printer", "interface", "eni-1"),
        ("", "interface", "eni-1"),
    ],
)
def test_what_a_description_says(description: str, kind: str, name: str) -> None:
    """Each form of a description gives its kind and a name; what names only the service gets the address."""
    assert describe(Interface("eni-1", addresses=("10.0.0.1",), description=description)) == (kind, name)


def test_every_pattern_says_where_it_is_from() -> None:
    """And has a kind of docs/names.md."""
    page = (Path(__file__).parents[2] / "docs/names.md").read_text()
    for pattern in PATTERNS:
        assert pattern.source
        assert f"`{pattern.kind}`" in page


def test_a_name_tag_comes_first() -> None:
    """The instance's, then the interface's own, then the description; an empty tag is none."""
    nat = Interface("eni-1", description="Interface for NAT Gateway nat-0", tags={"Name": "way out"})
    assert describe(nat) == ("nat-gateway", "way out")
    own = Interface("eni-1", instance_id="i-1", tags={"Name": "second card"}, description="ELB app/faked/1")
    assert describe(own, Instance("i-1", {"Name": "web-1"})) == ("instance", "web-1")
    assert describe(own, Instance("i-1", {"Name": ""})) == ("instance", "second card")
    assert describe(Interface("eni-1", instance_id="i-1"), None) == ("instance", "i-1")


def test_a_task_has_the_name_of_its_service() -> None:
    """Not that of the instance that it runs on; with its cluster, because another may have such a service."""
    tags = {"aws:ecs:clusterName": "prod", "aws:ecs:serviceName": "orders"}
    host = Instance("i-1", {"Name": "ecs-host"})
    assert describe(Interface("eni-1", instance_id="i-1", tags=tags), host) == ("ecs-task", "ECS prod/orders")


def test_a_pod_has_the_name_of_its_node_or_cluster() -> None:
    """An interface of the CNI has addresses of pods: the node's name says most, then the cluster's."""
    pods = Interface(
        "eni-1",
        description="aws-K8S-i-0123456789abcdef0",
        instance_id="i-0123456789abcdef0",
        tags={"cluster.k8s.amazonaws.com/name": "prod"},
    )
    assert describe(pods, Instance("i-0123456789abcdef0", {"Name": "node-1"})) == ("eks-pod", "node-1")
    assert describe(pods) == ("eks-pod", "EKS prod")
    branch = Interface("eni-2", description="aws-k8s-branch-eni", tags={"kubernetes.io/cluster/prod": "owned"})
    assert describe(branch) == ("eks-pod", "EKS prod")


@pytest.mark.parametrize(
    ("kind", "requester", "expected"),
    [
        ("nat_gateway", "", ("nat-gateway", "NAT 10.0.0.1")),
        ("transit_gateway", "", ("transit-gateway", "TGW 10.0.0.1")),
        ("gateway_load_balancer_endpoint", "", ("vpc-endpoint", "VPC endpoint 10.0.0.1")),
        ("lambda", "AROAEXAMPLE:orders", ("lambda", "Lambda orders")),
        ("lambda", "123456789012:awslambda_1", ("lambda", "Lambda 10.0.0.1")),
        ("interface", "amazon-elb", ("load-balancer", "ELB 10.0.0.1")),
        ("interface", "amazon-rds", ("rds", "RDS 10.0.0.1")),
        ("efa", "", ("interface", "eni-1")),
    ],
)
def test_type_and_requester_help_where_the_description_does_not(
    kind: str, requester: str, expected: tuple[str, str]
) -> None:
    """EC2's type, then who made the interface."""
    interface = Interface("eni-1", addresses=("10.0.0.1",), kind=kind, requester=requester)
    assert describe(interface) == expected


@pytest.mark.parametrize("action", [EVERYTHING, LISTING])
def test_a_scope_that_lacks_interfaces_takes_no_name_away(action: str) -> None:
    """It does not say that an address was given back; it counts if there is no other."""
    whole = Scope("123456789012", "us-east-1", 1_000, interfaces=(WEB,))
    broken = Scope("123456789012", "us-east-1", 50_000, holes=(Hole(action, "throttled"),))
    part, window = NamedPart("src", "name"), (60_000, 63_600)
    for scopes in ((whole, broken), (broken, whole)):
        assert Names([Snapshot(scopes)]).label(part, "10.0.0.1", window) == "web-1"
    some = Scope("123456789012", "us-east-1", 50_000, interfaces=(WEB,), holes=(Hole(action, "throttled"),))
    assert Names([Snapshot((some,))]).label(part, "10.0.0.1", window) == "web-1"
    given_back = Scope("123456789012", "us-east-1", 50_000)
    assert Names([Snapshot((whole, given_back))]).label(part, "10.0.0.1", window) == "10.0.0.1"
