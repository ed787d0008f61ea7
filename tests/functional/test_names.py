"""From addresses to names, from end to end: the rules of docs/names.md, one short case for each.

A case has snapshots, records, and the lines that `run-local --names` answers with.
"""

import base64
import csv
import gzip
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyarrow import parquet

from toptalkers.cli.main import cli
from toptalkers.names.kept import NAMES_KEY, parse_kept
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
    format_snapshot,
)

HEAD = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"


def at(text: str) -> int:
    """A time of one day in November, such as `10:30`, or of another day of it, such as `03 10:30`; in seconds."""
    day, _, time = text.rpartition(" ")
    return int(datetime.fromisoformat(f"2026-11-{day or '02'}T{time}:00+00:00").astimezone(UTC).timestamp())


def flow(time: str, src: str, dst: str, octets: int, *, by: str = "eni-log", port: int = 443, protocol: int = 6) -> str:
    """A record that the interface `by` logged."""
    return f"{by} {src} {dst} 50000 {port} {protocol} 1 {octets} {at(time)} {at(time) + 60} ACCEPT OK"


def taken(time: str, *interfaces: Interface, account: str = "123456789012", **parts: Any) -> Snapshot:
    """A snapshot of one account, taken at a time."""
    return Snapshot((Scope(account, "us-east-1", at(time), interfaces=interfaces, **parts),))


def eni(number: str, *addresses: str, vpc: str = "vpc-a", **more: Any) -> Interface:
    """An interface with these addresses."""
    return Interface(f"eni-{number}", vpc_id=vpc, addresses=addresses, **more)


def web(number: int) -> Instance:
    """An instance of the web tier."""
    return Instance(f"i-web{number}", {"Name": f"web-{number}", "aws:autoscaling:groupName": "web"})


def groups(**names: str) -> tuple[SecurityGroup, ...]:
    """Security groups: names by the number of their id."""
    return tuple(SecurityGroup(f"sg-{number}", name) for number, name in names.items())


WEB_1 = eni("1", "10.0.0.1", instance_id="i-web1", group_ids=("sg-1",))
WEB_2 = eni("2", "10.0.0.2", instance_id="i-web2", group_ids=("sg-1",))
ORDERS = eni(
    "9",
    "10.0.1.9",
    description="RDSNetworkInterface",
    requester="amazon-rds",
    group_ids=("sg-9",),
    tags={"Name": "orders-db"},
)
TIERS: dict[str, Any] = {"instances": (web(1), web(2)), "groups": groups(**{"1": "web tier", "9": "orders database"})}
MORNING = taken("09:00", WEB_1, WEB_2, ORDERS, **TIERS)


@dataclass(frozen=True)
class Case:
    """What is asked, and what is answered.

    Attributes:
        says: the rule that it shows.
        snapshots: the files that `--names` is given, in this order.
        records: lines of a flow log.
        by: the key.
        lines: the answer.
        options: further options.

    """

    says: str
    snapshots: tuple[Snapshot, ...]
    records: tuple[str, ...]
    by: str
    lines: tuple[str, ...]
    options: tuple[str, ...] = field(default=())


TO = "198.51.100.7"
BEFORE = taken("08:00", eni("1", "10.0.0.5", instance_id="i-web1"), instances=(web(1),))
AFTER = taken("12:00", eni("2", "10.0.0.5", instance_id="i-web2", since_s=at("11:20")), instances=(web(2),))
INSIDE = taken("11:30", eni("2", "10.0.0.5", instance_id="i-web2"), instances=(web(2),))
TWO_VPCS = taken(
    "08:00",
    eni("a", "10.0.0.5", vpc="vpc-a", tags={"Name": "blue"}),
    eni("b", "10.0.0.5", vpc="vpc-b", tags={"Name": "green"}),
    eni("log", "10.0.0.7", vpc="vpc-a"),
    eni("gol", "10.0.0.8", vpc="vpc-b"),
    eni("far", "10.9.0.8", vpc="vpc-c"),
    vpcs=(Vpc("vpc-a", ("10.0.0.0/16",), {"Name": "left"}), Vpc("vpc-b", ("10.0.0.0/16",), {"Name": "right"})),
)
REPLY = f"eni-log {TO} 10.0.0.5 443 50000 6 1 70 {at('09:30')} {at('09:30')} ACCEPT OK"
MANY = tuple(f"10.0.7.{number}" for number in range(1, 31))

CASES = [
    Case(
        "A fleet is one row: the sums of its members are added up.",
        (MORNING,),
        (
            flow("10:00", "10.0.0.1", "10.0.1.9", 30, port=5432),
            flow("10:00", "10.0.0.2", "10.0.1.9", 11, port=5432),
            flow("11:30", "10.0.1.9", "10.0.0.2", 5, port=5432),
        ),
        "src.asg,dst.sg,service",
        ("web\torders database\tpostgresql\t41", "orders-db\tweb tier\tpostgresql\t5"),
    ),
    Case(
        "A reused address: each record is named by the snapshot nearest before it.",
        (BEFORE, AFTER),
        (flow("09:30", "10.0.0.5", TO, 30), flow("13:30", "10.0.0.5", TO, 7)),
        "src.name",
        ("web-1\t30", "web-2\t7"),
    ),
    Case(
        "The order of the files does not matter.",
        (AFTER, BEFORE),
        (flow("09:30", "10.0.0.5", TO, 30), flow("13:30", "10.0.0.5", TO, 7)),
        "src.name",
        ("web-1\t30", "web-2\t7"),
    ),
    Case(
        "Two owners within the hour of a record are said, not guessed; other hours have one.",
        (BEFORE, INSIDE),
        (flow("10:59", "10.0.0.5", TO, 30), flow("11:10", "10.0.0.5", TO, 7), flow("12:00", "10.0.0.5", TO, 3)),
        "src.name",
        ("web-1\t30", "web-1|web-2\t7", "web-2\t3"),
    ),
    Case(
        "Two owners of one group are that group.",
        (BEFORE, INSIDE),
        (flow("10:59", "10.0.0.5", TO, 30), flow("11:10", "10.0.0.5", TO, 7), flow("12:00", "10.0.0.5", TO, 3)),
        "src.asg",
        ("web\t40",),
    ),
    Case(
        "A snapshot that is older than --names-within marks its names.",
        (BEFORE,),
        (flow("03 07:59", "10.0.0.5", TO, 30), flow("03 09:00", "10.0.0.5", TO, 7)),
        "src.name",
        ("web-1\t30", "~web-1\t7"),
    ),
    Case(
        "--names-within says how old a name may be.",
        (BEFORE,),
        (flow("08:30", "10.0.0.5", TO, 30), flow("11:10", "10.0.0.5", TO, 7)),
        "src.name",
        ("web-1\t30", "~web-1\t7"),
        ("--names-within", "2h"),
    ),
    Case(
        "A snapshot from before the instance: the first later one that has the address names it.",
        (taken("08:00"), taken("12:00", WEB_1, **TIERS)),
        (flow("09:30", "10.0.0.1", TO, 30), flow("12:30", "10.0.0.1", TO, 7)),
        "src.name",
        ("web-1\t37",),
    ),
    Case(
        "A snapshot that is younger than --names-within marks its names, too.",
        (taken("08:00"), taken("12:00", WEB_1, **TIERS)),
        (flow("09:30", "10.0.0.1", TO, 30), flow("12:30", "10.0.0.1", TO, 7)),
        "src.name",
        ("~web-1\t30", "web-1\t7"),
        ("--names-within", "1h"),
    ),
    Case(
        "An address that was given back has no name: the snapshots before the last one do not count.",
        (BEFORE, taken("09:00")),
        (flow("08:30", "10.0.0.5", TO, 30), flow("10:30", "10.0.0.5", TO, 7)),
        "src.name",
        ("web-1\t30", "10.0.0.5\t7"),
    ),
    Case(
        "An interface that was attached later is not the owner: the address keeps its number.",
        (AFTER,),
        (flow("10:30", "10.0.0.5", TO, 30), flow("11:10", "10.0.0.5", TO, 7), flow("12:30", "10.0.0.5", TO, 3)),
        "src.name",
        ("10.0.0.5\t30", "web-2\t10"),
    ),
    Case(
        "Two VPCs with one range: the interface that logged the record tells the owner.",
        (TWO_VPCS,),
        (flow("09:00", "10.0.0.5", TO, 30), flow("09:00", "10.0.0.5", TO, 7, by="eni-gol")),
        "src.name,src.vpc",
        ("blue\tleft\t30", "green\tright\t7"),
    ),
    Case(
        "Two VPCs with one range: an interface of a third VPC, or an unknown one, tells nothing.",
        (TWO_VPCS,),
        (flow("09:00", "10.0.0.5", TO, 30, by="eni-far"), flow("09:00", "10.0.0.5", TO, 7, by="eni-unknown")),
        "src.name",
        ("blue|green\t37",),
    ),
    Case(
        "Two VPCs with one range: conversations that are counted once have no interface, so both owners are said.",
        (TWO_VPCS,),
        (flow("09:00", "10.0.0.5", TO, 30), flow("09:00", "10.0.0.5", "203.0.113.9", 7, by="eni-gol")),
        "src.name",
        ("blue|green\t37",),
        ("--count", "once"),
    ),
    Case(
        "Two VPCs with one range: an address without an owner is in the VPC of the interface that logged it.",
        (TWO_VPCS,),
        (flow("09:00", "10.0.0.77", TO, 30), flow("09:00", "10.0.0.77", TO, 7, by="eni-gol")),
        "src.vpc",
        ("left\t30", "right\t7"),
    ),
    Case(
        "An interface with thirty addresses is one name.",
        (taken("08:00", eni("m", *MANY, tags={"Name": "proxy"})),),
        tuple(flow("09:00", one, TO, 2) for one in MANY),
        "src.name",
        ("proxy\t60",),
    ),
    Case(
        "A Fargate task is named by its interface, which has no instance.",
        (
            taken(
                "08:00",
                eni(
                    "f",
                    "10.0.2.4",
                    description="arn:aws:ecs:us-east-1:123456789012:attachment/0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0",
                    tags={"aws:ecs:serviceName": "checkout", "Name": "checkout task"},
                    group_ids=("sg-9",),
                ),
                groups=groups(**{"9": "tasks"}),
            ),
        ),
        (flow("09:00", "10.0.2.4", TO, 30),),
        "src.name,src.kind,src.sg,src.tag:aws:ecs:serviceName,src.instance",
        ("checkout task\tecs-task\ttasks\tcheckout\tcheckout task\t30",),
    ),
    Case(
        "A Lambda in a VPC is called after its function.",
        (
            taken(
                "08:00",
                eni(
                    "l",
                    "10.0.2.5",
                    kind="lambda",
                    description="AWS Lambda VPC ENI-orders-0b5d3f6c-2a4e-4b52-9f1e-6a5f1c0d7e11",
                    requester="AROAEXAMPLE:orders",
                ),
            ),
        ),
        (flow("09:00", "10.0.2.5", TO, 30),),
        "src.name,src.kind",
        ("Lambda orders\tlambda\t30",),
    ),
    Case(
        "A Network Load Balancer that keeps the client's address: its targets see the client, and answer it.",
        (
            taken(
                "08:00",
                eni(
                    "n",
                    "10.0.3.1",
                    kind="network_load_balancer",
                    description="ELB net/front/50dc6c495c0c9188",
                    requester="amazon-elb",
                    public=("198.51.100.40",),
                ),
                WEB_1,
                **TIERS,
            ),
        ),
        (
            flow("09:00", "203.0.113.80", "198.51.100.40", 50, by="eni-n"),
            flow("09:00", "203.0.113.80", "10.0.0.1", 49, by="eni-1"),
            flow("09:00", "10.0.3.1", "10.0.0.1", 3, by="eni-1"),
        ),
        "src.name,dst.name",
        ("203.0.113.80\tELB net/front\t50", "203.0.113.80\tweb-1\t49", "ELB net/front\tweb-1\t3"),
    ),
    Case(
        "Pods of EKS have addresses of a delegated prefix; the longest prefix tells, and its own address before it.",
        (
            taken(
                "08:00",
                eni("1", "10.0.0.1", prefixes=("10.0.4.0/28",), instance_id="i-web1"),
                eni("2", "10.0.0.2", prefixes=("2001:db8:4::/80", "10.0.4.16/28"), instance_id="i-web2"),
                eni("3", "10.0.4.17", tags={"Name": "own"}),
                instances=(web(1), web(2)),
            ),
        ),
        (
            flow("09:00", "10.0.4.15", TO, 30),
            flow("09:00", "10.0.4.16", TO, 7),
            flow("09:00", "10.0.4.17", TO, 3),
            flow("09:00", "2001:db8:4::a", "2001:db8::9", 2),
        ),
        "src.name",
        ("web-1\t30", "web-2\t9", "own\t3"),
    ),
    Case(
        "AWS's ranges, private and public addresses are told apart.",
        (
            Snapshot(
                taken("08:00", WEB_1, **TIERS).scopes,
                ranges=(
                    Range("198.51.100.0/24", "AMAZON", "us-east-1"),
                    Range("198.51.100.0/24", "S3", "us-east-1"),
                    Range("2001:db8:f::/48", "EC2", "eu-central-1"),
                ),
            ),
        ),
        (
            flow("09:00", "10.0.0.1", "198.51.100.7", 30),
            flow("09:00", "10.0.0.1", "203.0.113.9", 7),
            flow("09:00", "10.0.0.1", "192.168.4.4", 3),
            flow("09:00", "10.0.0.1", "2001:db8:f::1", 2),
            flow("09:00", "10.0.0.1", "100.64.9.9", 1),
        ),
        "dst.name,dst.kind",
        (
            "AWS S3 us-east-1\taws\t30",
            "203.0.113.9\tpublic\t7",
            "192.168.4.4\tprivate\t3",
            "AWS EC2 eu-central-1\taws\t2",
            "100.64.9.9\tprivate\t1",
        ),
    ),
    Case(
        "A customer's prefix list names addresses without an owner, before AWS's own lists do.",
        (
            taken(
                "08:00",
                eni("1", "192.0.2.1", tags={"Name": "ours"}),
                prefix_lists=(
                    PrefixList("pl-1", "offices", ("192.0.2.0/24",)),
                    PrefixList("pl-2", "com.amazonaws.us-east-1.s3", ("192.0.2.0/24", "198.51.100.0/24")),
                ),
            ),
        ),
        (
            flow("09:00", "192.0.2.1", TO, 30),
            flow("09:00", "192.0.2.2", TO, 7),
        ),
        "src.name,dst.name",
        ("ours\tAWS S3 us-east-1\t30", "offices\tAWS S3 us-east-1\t7"),
    ),
    Case(
        "One IPv6 address has one name, however it is spelled.",
        (taken("08:00", eni("6", "2001:db8::1", tags={"Name": "six"})),),
        (
            flow("09:00", "2001:DB8:0:0:0:0:0:1", "2001:db8::9", 30),
            flow("09:00", "2001:db8::0001", "2001:db8::9", 7),
        ),
        "src.name,dst.name",
        ("six\t2001:db8::9\t37",),
    ),
    Case(
        "Snapshots of several accounts are taken together, each with its own times.",
        (
            taken("08:00", eni("1", "10.0.0.1", tags={"Name": "one"}), account="111122223333"),
            taken("08:30", eni("2", "10.1.0.1", tags={"Name": "two"}), account="123456789012"),
        ),
        (flow("10:00", "10.0.0.1", "10.1.0.1", 30), flow("10:00", "10.1.0.1", "10.0.0.1", 7)),
        "src.name,dst.name",
        ("one\ttwo\t30", "two\tone\t7"),
    ),
    Case(
        "What lacks a name is called by what it has: a group's id, an instance's id, an interface's id.",
        (
            taken(
                "08:00",
                eni("1", "10.0.0.1", group_ids=("sg-2", "sg-1"), instance_id="i-1", subnet_id="subnet-1"),
                eni("2", "10.0.0.2", tags={"Name": ""}, subnet_id="subnet-1"),
                groups=groups(**{"1": "web"}),
            ),
        ),
        (flow("09:00", "10.0.0.1", TO, 30), flow("09:00", "10.0.0.2", TO, 7)),
        "src.name,src.sg,src.asg,src.instance,src.subnet,src.vpc",
        (
            "i-1\tsg-2+web\ti-1\ti-1\tsubnet-1\tvpc-a\t30",
            "eni-2\teni-2\teni-2\teni-2\tsubnet-1\tvpc-a\t7",
        ),
    ),
    Case(
        "Subnets, VPCs and zones name an address without an owner, too.",
        (
            taken(
                "08:00",
                subnets=(Subnet("subnet-1", "vpc-a", "use1-az1", ("10.0.0.0/24",), {"Name": "apps"}),),
                vpcs=(Vpc("vpc-a", ("10.0.0.0/16",)),),
            ),
        ),
        (flow("09:00", "10.0.0.9", TO, 30), flow("09:00", "10.0.1.9", TO, 7)),
        "src.name,src.subnet,src.vpc,src.zone",
        ("10.0.0.9\tapps\tvpc-a\tuse1-az1\t30", "10.0.1.9\t10.0.1.9\tvpc-a\t10.0.1.9\t7"),
    ),
    Case(
        "A tag is the instance's, else the interface's, the subnet's, the VPC's.",
        (
            taken(
                "08:00",
                eni("1", "10.0.0.1", instance_id="i-1", tags={"app": "interface"}),
                eni("2", "10.0.0.2", tags={"app": "interface"}),
                eni("3", "10.0.0.3", subnet_id="subnet-1"),
                eni("4", "10.0.0.4"),
                instances=(Instance("i-1", {"app": "instance", "App": "another"}),),
                subnets=(Subnet("subnet-1", "vpc-a", tags={"app": "subnet"}),),
                vpcs=(Vpc("vpc-a", tags={"app": "vpc"}),),
            ),
        ),
        tuple(flow("09:00", f"10.0.0.{number}", TO, 10 - number) for number in range(1, 5)),
        "src.tag:app",
        ("instance\t9", "interface\t8", "subnet\t7", "vpc\t6"),
    ),
    Case(
        "With --pairs, src. is the client and dst. the server, whoever sent.",
        (BEFORE,),
        (REPLY, flow("09:30", "10.0.0.5", TO, 30)),
        "src.name,dst.name,service",
        (f"web-1\t{TO}\thttps\t100\t2\t2\t30\t70\t1\t1\t1\t1\tports",),
        ("--count", "once", "--pairs"),
    ),
    Case(
        "A line of --pairs has no hour: it is named for all hours of the answer.",
        (BEFORE, INSIDE),
        (REPLY, flow("09:30", "10.0.0.5", TO, 30), flow("12:30", "10.0.0.5", TO, 8)),
        "src.name,dst.name,service",
        (f"web-1|web-2\t{TO}\thttps\t108\t3\t3\t38\t70\t2\t1\t2\t1\tports",),
        ("--count", "once", "--pairs"),
    ),
    Case(
        "Plain parts stay beside named ones; services of other protocols say theirs.",
        (MORNING,),
        (
            flow("10:00", "10.0.0.1", TO, 30, port=53, protocol=17),
            flow("11:00", "10.0.0.2", TO, 7, port=53, protocol=17),
            flow("11:30", "10.0.0.1", TO, 3, port=53, protocol=17),
        ),
        "hour,src.asg,dstaddr,service",
        (
            f"2026-11-02T10:00:00Z\tweb\t{TO}\tdomain/udp\t30",
            f"2026-11-02T11:00:00Z\tweb\t{TO}\tdomain/udp\t10",
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_a_rule_of_names(case: Case, tmp_path: Path) -> None:
    """Each case is answered as its rule says."""
    assert answer(case, tmp_path) == list(case.lines)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_a_digest_keeps_its_names(case: Case, tmp_path: Path) -> None:
    """A digest that keeps names, and a digest of digests, answer each case without --names as the records do."""
    logs, options = tmp_path / "logs", options_of(case, tmp_path)
    logs.mkdir()
    half = len(case.records) // 2
    each = []
    for number, records in enumerate([case.records[:half], case.records[half:]]):
        (logs / f"{number}.log").write_text("\n".join([HEAD, *records, ""]))
        each.append(str(tmp_path / f"{number}.parquet"))
        run("digest", str(logs / f"{number}.log"), *naming_of(case, tmp_path), "--output", each[-1])
    whole = str(tmp_path / "whole.parquet")
    run("digest", *each, "--output", whole)
    plain = options[options.index("--by") :]
    assert run("run-local", whole, *plain) == list(case.lines)
    assert run("run-local", *each, *plain) == list(case.lines)


def run(*arguments: str) -> list[str]:
    """The lines that a command prints."""
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result.stdout.splitlines()


def answer(case: Case, folder: Path) -> list[str]:
    """The lines that `run-local` prints."""
    (folder / "logs").mkdir(parents=True)
    (folder / "logs/a.log").write_text("\n".join([HEAD, *case.records, ""]))
    return run("run-local", str(folder / "logs"), *options_of(case, folder))


def options_of(case: Case, folder: Path) -> list[str]:
    """The options that ask a case, with the files of its snapshots."""
    return [*naming_of(case, folder), "--by", case.by, "--metric", "bytes", "--ports", "all", *case.options]


def naming_of(case: Case, folder: Path) -> list[str]:
    """The options that name the files of the snapshots of a case."""
    files = []
    for number, snapshot in enumerate(case.snapshots):
        file = folder / f"{number}.json"
        file.write_bytes(b"".join(format_snapshot(snapshot)))
        files += ["--names", str(file)]
    return files


DAYS = {
    "before": (flow("02 10:00", "10.0.0.1", "10.0.1.9", 30), flow("02 10:00", "10.0.0.2", TO, 5)),
    "after": (
        flow("04 10:00", "10.0.0.1", "10.0.1.9", 40),
        flow("04 10:00", "10.0.0.2", "10.0.1.9", 50),
        flow("04 10:00", "10.0.0.1", "203.0.113.9", 8),
    ),
}
CHANGES = [
    "grown\tweb\torders database\t30\t90\t3.0",
    "new\tweb\t203.0.113.9\t\t8\t",
    f"gone\tweb\t{TO}\t5\t\t",
]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """A folder with the logs of two days, and one snapshot, which is too old for the second of them."""
    (tmp_path / "network.json").write_bytes(b"".join(format_snapshot(MORNING)))
    for name, records in DAYS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.log").write_text("\n".join([HEAD, *records, ""]))
    return tmp_path


QUESTION = ["--by", "src.asg,dst.sg", "--metric", "bytes", "--ports", "all"]


def saved(folder: Path, kind: str) -> list[str]:
    """The answers of both days by names, in files of a format."""
    files = []
    for name in DAYS:
        files.append(str(folder / f"{name}.{kind}"))
        options = ["--names", str(folder / "network.json"), "--format", kind, "--output", files[-1]]
        run("run-local", str(folder / name), *QUESTION, *options)
    return files


@pytest.mark.parametrize("form", ["logs", "digests", "csv", "tsv", "json", "ndjson"])
def test_changes_by_names(days: Path, form: str) -> None:
    """Two days are compared by names, from any form of their answers, and a name with `~` is the same name."""
    names = ["--names", str(days / "network.json")]
    if form == "logs":
        sides = [*(str(days / name) for name in DAYS), *names]
    elif form == "digests":
        sides = [str(days / f"{name}.parquet") for name in DAYS]
        for name, file in zip(DAYS, sides, strict=True):
            run("digest", str(days / name), *names, "--output", file)
    else:
        sides = saved(days, form)
        assert "~web" in Path(sides[1]).read_text()
    assert run("diff", *sides, *QUESTION, "--format", "tsv") == CHANGES


@pytest.mark.parametrize(("command", "output"), [("graph", "n.dot"), ("graph", "n.html"), ("report", "r.html")])
def test_pictures_of_a_digest_that_keeps_names(days: Path, command: str, output: str) -> None:
    """Of a digest that keeps names, graph and report have names without --names."""
    digest = str(days / "day.parquet")
    run("digest", str(days / "before"), "--names", str(days / "network.json"), "--output", digest)
    run(command, digest, "--ports", "all", "--output", str(days / output))
    content = (days / output).read_text()
    assert "web-1" in content
    assert "orders-db" in content


def test_a_question_by_names_needs_names(days: Path) -> None:
    """Without --names, and without a digest that keeps names, a question by names is refused in one line."""
    digest = str(days / "day.parquet")
    run("digest", str(days / "before"), "--output", digest)
    for command in (["run-local", digest], ["run-local", str(days / "before")], ["diff", digest, digest]):
        refused = CliRunner().invoke(cli, [*command, *QUESTION])
        assert refused.exit_code == 2
        assert "--by src.asg: there are no names" in refused.stderr


def test_names_that_are_given_take_the_place_of_kept_ones(days: Path) -> None:
    """--names beside a digest that keeps names is used alone, also for a new digest."""
    other = days / "other.json"
    other.write_bytes(b"".join(format_snapshot(taken("09:00", eni("1", "10.0.0.1", tags={"Name": "other"})))))
    digest, again = str(days / "day.parquet"), str(days / "again.parquet")
    run("digest", str(days / "before"), "--names", str(days / "network.json"), "--output", digest)
    run("digest", digest, "--names", str(other), "--output", again)
    plain = ["--by", "src.name", "--metric", "bytes", "--ports", "all"]
    assert run("run-local", digest, *plain) == ["web-1\t30", "web-2\t5"]
    assert run("run-local", digest, "--names", str(other), *plain) == ["other\t30", "10.0.0.2\t5"]
    assert run("run-local", again, *plain) == ["other\t30", "10.0.0.2\t5"]


def test_a_digest_without_names_beside_one_with_names(days: Path) -> None:
    """Which of the digests keep no names is said; those of the others name all."""
    one, other = str(days / "one.parquet"), str(days / "other.parquet")
    run("digest", str(days / "before"), "--names", str(days / "network.json"), "--output", one)
    run("digest", str(days / "after"), "--output", other)
    result = CliRunner().invoke(cli, ["run-local", one, other, *QUESTION])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "~web\t~orders database\t90"
    assert f"Note: {other} keeps no names; its addresses are named by the digests that keep some" in result.stderr


def test_digests_of_snapshots_of_different_times(days: Path) -> None:
    """That a digest lacks a newer snapshot is said if it counts for its records; not if it was taken after them."""
    later = {"03": taken("03 09:00", WEB_1, **TIERS), "05": taken("05 09:00", WEB_1, **TIERS)}
    files = {"before": [], "after": ["--names", str(days / "03.json")], "latest": ["--names", str(days / "05.json")]}
    for number, snapshot in later.items():
        (days / f"{number}.json").write_bytes(b"".join(format_snapshot(snapshot)))
    for name, more in files.items():
        logs = str(days / ("before" if name == "before" else "after"))
        run("digest", logs, "--names", str(days / "network.json"), *more, "--output", str(days / f"{name}.parquet"))

    def notes(*names: str) -> list[str]:
        asked = CliRunner().invoke(cli, ["run-local", *(str(days / f"{name}.parquet") for name in names), *QUESTION])
        assert asked.exit_code == 0
        return [line for line in asked.stderr.splitlines() if line.startswith("Note:")]

    assert notes("before", "after") == []
    older = f"Note: {days / 'latest.parquet'} keeps older snapshots than others; its addresses may lack names"
    assert notes("after", "latest") == [older]


def test_damaged_names_in_a_digest(days: Path) -> None:
    """Names that cannot be read are said in one line, with what to do; questions without names do not need them."""
    digest = days / "day.parquet"
    run("digest", str(days / "before"), "--names", str(days / "network.json"), "--output", str(digest))
    table = parquet.read_table(digest)
    for text in (b"x", b"eJw=", base64.b64encode(gzip.compress(b"{}"))):
        parquet.write_table(table.replace_schema_metadata({**table.schema.metadata, NAMES_KEY: text}), digest)
        damaged = CliRunner().invoke(cli, ["run-local", str(digest), *QUESTION])
        assert damaged.exit_code == 1
        assert str(digest) in damaged.stderr
        assert "--names" in damaged.stderr
        assert "Traceback" not in damaged.stderr
        assert len(run("run-local", str(digest), "--by", "srcaddr", "--ports", "all")) == 2


HOSTILE = [
    *(
        "a\tb",
        "a\nb",
        "a\rb",
        "a|b",
        'say "hi"',
        "a,b",
        "<script>alert(1)</script>",
        "\u202eevil",
        "\x1b[31m",
        "\u2028",
    ),
    *("\U0001f600", "caf\u00e9", "constructor", "__proto__", "=1+1", "x" * 300, "", "\\N", "null", "%s{0}", "~", "a:b"),
]


def test_hostile_labels_keep_the_form_of_every_format(tmp_path: Path) -> None:
    """Whatever tags hold, each format has a row per talker with all its columns, and the same labels in all of them."""
    owners = [
        eni(f"{number}", f"10.0.{number}.1", tags={"Name": text, "__proto__": text, "constructor": text})
        for number, text in enumerate(HOSTILE)
    ]
    (tmp_path / "n.json").write_bytes(b"".join(format_snapshot(taken("09:00", *owners))))
    records = [flow("09:00", f"10.0.{number}.1", TO, 1000 - number) for number in range(len(HOSTILE))]
    (tmp_path / "a.log").write_text("\n".join([HEAD, *records, ""]))
    words = ["src.name", "src.tag:__proto__", "src.tag:constructor"]
    options = ["--names", str(tmp_path / "n.json"), "--by", ",".join(["srcaddr", *words]), "--metric", "bytes"]

    def printed(kind: str) -> str:
        asked = ["run-local", str(tmp_path / "a.log"), *options, "--ports", "all", "--format", kind]
        return CliRunner().invoke(cli, asked).stdout

    rows = [line.split("\t") for line in printed("tsv").split("\n")[:-1]]
    assert len(rows) == len(HOSTILE)
    assert {len(row) for row in rows} == {5}
    assert all(label.isprintable() and "|" not in label and label for row in rows for label in row)
    assert [row[1:] for row in csv.reader(io.StringIO(printed("csv")))][1:] == rows
    of_json = json.loads(printed("json"))["talkers"]
    assert [[str(one[word]) for word in ("srcaddr", *words, "bytes")] for one in of_json] == rows
    assert [json.loads(line) for line in printed("ndjson").splitlines()] == of_json
    table = printed("table").split("\n")
    assert len(table) == len(rows) + 3
    assert all(line.isprintable() for line in table)


def test_a_digest_keeps_only_what_its_addresses_need(days: Path) -> None:
    """Interfaces of other addresses are left out, and the digest is the same each time it is made."""
    many = tuple(eni(f"m{number}", f"10.7.{number >> 8}.{number & 255}") for number in range(2000))
    (days / "network.json").write_bytes(b"".join(format_snapshot(taken("09:00", WEB_1, WEB_2, ORDERS, *many, **TIERS))))
    kept = []
    for name in ("one.parquet", "two.parquet"):
        run("digest", str(days / "before"), "--names", str(days / "network.json"), "--output", str(days / name))
        kept.append(parquet.read_metadata(days / name).metadata[NAMES_KEY])
    assert kept[0] == kept[1]
    [scope] = parse_kept(kept[0], "one.parquet").scopes
    assert [one.interface_id for one in scope.interfaces] == ["eni-1", "eni-2", "eni-9"]
    assert len(kept[0]) < 2000
