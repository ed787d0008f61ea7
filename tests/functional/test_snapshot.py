"""`toptalkers snapshot` against a small EC2 over HTTP, with AWS's clients: pages, throttling, refusals, accounts."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from click.testing import CliRunner, Result

from tests.tiny_ec2 import ACCOUNT, MEMBERS, TinyEc2, environment, tiny_ec2
from toptalkers.aws.account import CONFIG, ONCE, Account, open_account
from toptalkers.aws.inventory import take_scope
from toptalkers.cli.main import cli
from toptalkers.cli.options import Opener
from toptalkers.names.snapshot import (
    Instance,
    Interface,
    PrefixList,
    Range,
    Rule,
    Scope,
    SecurityGroup,
    Subnet,
    Vpc,
    read_snapshot,
)
from toptalkers.permissions import SNAPSHOT_READS

OTHER = "111122223333"
ROLE = f"arn:aws:iam::{OTHER}:role/reader"


@pytest.fixture
def ec2(monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyEc2]:
    """A small EC2, which the clients of this process ask."""
    with tiny_ec2() as server:
        for name in [one for one in os.environ if one.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the snapshot goes."""
    return tmp_path / "network.json.gz"


def run(*arguments: str) -> Result:
    """Run the command; any exception but its exit fails the test."""
    result = CliRunner().invoke(cli, ["snapshot", *arguments])
    print(result.stderr)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def interface(number: int, **more: Any) -> dict[str, Any]:
    """An interface as EC2 describes it."""
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return {"networkInterfaceId": f"eni-{number:017x}", "vpcId": "vpc-1", "privateIpAddress": address, **more}


def fill(ec2: TinyEc2, number: int, *, account: str = ACCOUNT, region: str = "us-east-1") -> None:
    """Give an account so many interfaces, and one of all else."""
    ec2.put(
        account=account,
        region=region,
        interfaces=[interface(one) for one in range(number)],
        reservations=[{"instancesSet": [{"instanceId": "i-1", "tagSet": [{"key": "Name", "value": "web-1"}]}]}],
        groups=[{"groupId": "sg-1", "groupName": "web"}],
        subnets=[{"subnetId": "subnet-1", "cidrBlock": "10.0.0.0/24"}],
        vpcs=[{"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/16"}],
        lists=[{"prefixListId": "pl-1", "prefixListName": "office"}],
        entries=[{"list": "pl-1", "entry": {"cidr": "192.0.2.0/24"}}],
    )


def test_everything_that_has_an_address(ec2: TinyEc2, file: Path) -> None:
    """All addresses of an interface, with what they belong to, are in the file as AWS calls it, by their ids."""
    ec2.put(
        interfaces=[
            {
                "networkInterfaceId": "eni-2",
                "vpcId": "vpc-1",
                "subnetId": "subnet-1",
                "availabilityZone": "us-east-1a",
                "description": "",
                "interfaceType": "interface",
                "groupSet": [{"groupId": "sg-2"}, {"groupId": "sg-1"}],
                "attachment": {"instanceId": "i-1", "attachTime": "2026-11-23T10:00:00.000Z"},
                "privateIpAddress": "10.0.0.1",
                "privateIpAddressesSet": [
                    {"privateIpAddress": "10.0.0.9", "primary": False},
                    {"privateIpAddress": "10.0.0.1", "primary": True, "association": {"publicIp": "203.0.113.4"}},
                ],
                "association": {"publicIp": "203.0.113.4"},
                "ipv6AddressesSet": [{"ipv6Address": "2001:0DB8:0:0::1"}],
                "ipv4PrefixSet": [{"ipv4Prefix": "10.0.3.16/28"}],
                "ipv6PrefixSet": [{"ipv6Prefix": "2001:db8:0:0:1::/80"}],
                "tagSet": [{"key": "Name", "value": "<script>\u202e"}],
            },
            {
                "networkInterfaceId": "eni-1",
                "description": "Interface for NAT Gateway nat-1",
                "interfaceType": "nat_gateway",
                "requesterId": "727180483921",
            },
        ],
        reservations=[
            {
                "instancesSet": [
                    {
                        "instanceId": "i-1",
                        "instanceState": {"name": "running"},
                        "tagSet": [{"key": "aws:autoscaling:groupName", "value": "web"}],
                    },
                    {"instanceId": "i-0", "instanceState": {"name": "terminated"}},
                ]
            }
        ],
        groups=[
            {
                "groupId": "sg-1",
                "groupName": "web",
                "vpcId": "vpc-1",
                "ipPermissions": [
                    {
                        "ipProtocol": "tcp",
                        "fromPort": 443,
                        "toPort": 443,
                        "ipRanges": [{"cidrIp": "0.0.0.0/0"}],
                        "ipv6Ranges": [{"cidrIpv6": "::/0"}],
                        "groups": [{"groupId": "sg-2"}],
                        "prefixListIds": [{"prefixListId": "pl-1"}],
                    }
                ],
                "ipPermissionsEgress": [{"ipProtocol": "-1", "ipRanges": [{"cidrIp": "0.0.0.0/0"}]}],
            }
        ],
        subnets=[
            {
                "subnetId": "subnet-1",
                "vpcId": "vpc-1",
                "availabilityZone": "us-east-1a",
                "availabilityZoneId": "use1-az4",
                "cidrBlock": "10.0.0.0/24",
                "ipv6CidrBlockAssociationSet": [
                    {"ipv6CidrBlock": "2001:db8::/64", "ipv6CidrBlockState": {"state": "associated"}},
                    {"ipv6CidrBlock": "2001:db8:1::/64", "ipv6CidrBlockState": {"state": "disassociated"}},
                ],
            }
        ],
        vpcs=[
            {
                "vpcId": "vpc-1",
                "cidrBlock": "10.0.0.0/16",
                "cidrBlockAssociationSet": [
                    {"cidrBlock": "10.0.0.0/16", "cidrBlockState": {"state": "associated"}},
                    {"cidrBlock": "100.64.0.0/16", "cidrBlockState": {"state": "associated"}},
                ],
                "tagSet": [{"key": "Name", "value": "shop"}],
            }
        ],
        aws_lists=[
            {
                "prefixListId": "pl-0",
                "prefixListName": "com.amazonaws.us-east-1.s3",
                "cidrSet": ["198.51.100.0/24"],
            }
        ],
        lists=[
            {"prefixListId": "pl-0", "prefixListName": "com.amazonaws.us-east-1.s3"},
            {"prefixListId": "pl-1", "prefixListName": "office"},
        ],
        entries=[{"list": "pl-1", "entry": {"cidr": "192.0.2.0/24"}}],
    )
    assert run("--output", str(file)).exit_code == 0
    [scope] = read_snapshot(file).scopes
    https = ("tcp", 443, 443)
    assert scope == Scope(
        ACCOUNT,
        "us-east-1",
        scope.taken_s,
        interfaces=(
            Interface(
                "eni-1", kind="nat_gateway", description="Interface for NAT Gateway nat-1", requester="727180483921"
            ),
            Interface(
                "eni-2",
                vpc_id="vpc-1",
                subnet_id="subnet-1",
                zone_id="use1-az4",
                addresses=("10.0.0.1", "10.0.0.9", "2001:db8::1"),
                public=("203.0.113.4",),
                prefixes=("10.0.3.16/28", "2001:db8:0:0:1::/80"),
                group_ids=("sg-1", "sg-2"),
                instance_id="i-1",
                tags={"Name": "<script>\u202e"},
                since_s=1_795_428_000,
            ),
        ),
        instances=(Instance("i-1", {"aws:autoscaling:groupName": "web"}),),
        groups=(
            SecurityGroup(
                "sg-1",
                "web",
                "vpc-1",
                rules=(
                    Rule(True, *https, "0.0.0.0/0"),
                    Rule(True, *https, "::/0"),
                    Rule(True, *https, "pl-1"),
                    Rule(True, *https, "sg-2"),
                    Rule(False, "-1", -1, -1, "0.0.0.0/0"),
                ),
            ),
        ),
        subnets=(Subnet("subnet-1", "vpc-1", "use1-az4", ("10.0.0.0/24", "2001:db8::/64")),),
        vpcs=(Vpc("vpc-1", ("10.0.0.0/16", "100.64.0.0/16"), {"Name": "shop"}),),
        prefix_lists=(
            PrefixList("pl-0", "com.amazonaws.us-east-1.s3", ("198.51.100.0/24",)),
            PrefixList("pl-1", "office", ("192.0.2.0/24",)),
        ),
    )


def test_throttled_at_every_tenth_call(ec2: TinyEc2, file: Path) -> None:
    """It ends whole, with as many calls more as were refused."""
    fill(ec2, 20_500)
    ec2.throttle_every = 10
    ran = run("--output", str(file))
    assert ran.exit_code == 0
    assert "20,500 interfaces, 1 instance, 1 security group, 1 subnet, 1 VPC, 1 prefix list" in ran.stderr
    [scope] = read_snapshot(file).scopes
    assert len(scope.interfaces) == 20_500
    assert scope.holes == ()
    pages = ec2.requests.count("DescribeNetworkInterfaces")
    assert pages in (23, 24), "21 pages, and 2 or 3 refusals"


class Patient(Opener):
    """Opens accounts as the command does, with a clock that is told of pauses and does not wait."""

    def __init__(self, ec2: TinyEc2) -> None:
        self._ec2 = ec2
        self.pauses: list[float] = []

    def open(self, **place: Any) -> Account:
        """Each attempt of the client is the only one, so that the gateway's own pauses are seen."""
        account = open_account(tell=print, config=CONFIG.merge(ONCE), **place)
        account.sleep = self.pauses.append
        return account


def test_a_page_that_stays_throttled_is_asked_for_again(ec2: TinyEc2) -> None:
    """After the client has given up, a page is waited for; the pages before are not asked for again."""
    fill(ec2, 3_000)
    ec2.throttle_every = 3
    patient = Patient(ec2)
    account = patient.open(region=None, profile=None)
    scope = take_scope(account, lambda _: None)
    assert len(scope.interfaces) == 3_000
    assert scope.holes == ()
    assert set(patient.pauses) == {15}
    refused = len(ec2.requests) // 3
    assert len(patient.pauses) == refused
    assert ec2.requests.count("DescribeNetworkInterfaces") - 3 <= refused


def test_what_is_always_throttled_is_a_hole(ec2: TinyEc2) -> None:
    """After 15, 30 and 60 seconds it is given up, and the hole says why; other things are asked all the same."""
    fill(ec2, 5)
    ec2.fails["DescribeInstances"] = (0, "RequestLimitExceeded")
    patient = Patient(ec2)
    scope = take_scope(patient.open(region=None, profile=None), lambda _: None)
    assert patient.pauses == [15, 30, 60]
    [hole] = scope.holes
    assert hole.action == "ec2:DescribeInstances"
    assert hole.why.startswith("AWS throttles ec2 DescribeInstances")
    assert len(scope.interfaces) == 5


def test_a_large_page_may_take_long(ec2: TinyEc2) -> None:
    """Its answer is awaited longer than that of other requests, and is not asked for again."""
    fill(ec2, 1)
    ec2.delay_s = 0.3
    account = open_account(region=None, profile=None, tell=pytest.fail, config=CONFIG.merge(Config(read_timeout=0.1)))
    scope = take_scope(account, lambda _: None)
    assert len(scope.interfaces) == 1
    assert ec2.requests.count("DescribeNetworkInterfaces") == 1


ACTIONS = [*SNAPSHOT_READS, "ec2:GetManagedPrefixListEntries"]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_missing_permission_leaves_a_named_hole(ec2: TinyEc2, file: Path, action: str) -> None:
    """All else is in the file; standard error has the line of the policy that is missing, and the exit code is 1."""
    fill(ec2, 2)
    ec2.denied = {action.removeprefix("ec2:")}
    ran = run("--output", str(file))
    assert ran.exit_code == 1
    assert f'the policy lacks {{"Effect": "Allow", "Action": ["{action}"], "Resource": "*"}}' in ran.stderr
    assert f"{ACCOUNT} us-east-1: without {action}: " in ran.stderr
    [scope] = read_snapshot(file).scopes
    assert [one.action for one in scope.holes] == [action]
    lists = ("interfaces", "instances", "groups", "subnets", "vpcs", "prefix_lists")
    empty = [one for one in lists if not getattr(scope, one)]
    assert len(empty) == (0 if "PrefixList" in action and action != "ec2:DescribeManagedPrefixLists" else 1)


def test_one_prefix_list_that_refuses(ec2: TinyEc2, file: Path) -> None:
    """The networks of the others are asked for all the same; that they may not be asked is said once."""
    fill(ec2, 1)
    ec2.put(
        lists=[{"prefixListId": f"pl-{one}", "prefixListName": f"list {one}"} for one in (1, 2)],
        entries=[{"list": "pl-2", "entry": {"cidr": "192.0.2.0/24"}}],
    )
    ec2.broken_lists = {"pl-1"}
    assert run("--output", str(file)).exit_code == 1
    [scope] = read_snapshot(file).scopes
    assert scope.prefix_lists == (PrefixList("pl-1", "list 1"), PrefixList("pl-2", "list 2", ("192.0.2.0/24",)))
    [hole] = scope.holes
    assert hole.why.startswith("pl-1: ec2 GetManagedPrefixListEntries: ")
    ec2.denied = {"GetManagedPrefixListEntries"}
    assert run("--output", str(file)).stderr.count("without ec2:GetManagedPrefixListEntries") == 1


def test_the_policy_has_all_that_is_asked(ec2: TinyEc2, file: Path) -> None:
    """`render permissions snapshot` allows every operation of a snapshot, and no other."""
    fill(ec2, 1)
    run("--output", str(file))
    asked = {f"ec2:{one}" for one in ec2.requests} - {"ec2:GetCallerIdentity"}
    printed = CliRunner().invoke(cli, ["render", "permissions", "snapshot"]).stdout
    assert set(re.findall(r'"(\w+:\w+)"', printed)) == asked == {f"ec2:{one}" for one in MEMBERS}


def test_what_came_before_a_failure_is_kept(ec2: TinyEc2, file: Path) -> None:
    """A listing that breaks off at its third page has the two pages before, and a hole that says so."""
    fill(ec2, 2_500)
    ec2.fails["DescribeNetworkInterfaces"] = (2, "InvalidParameterValue")
    ran = run("--output", str(file))
    assert ran.exit_code == 1
    [scope] = read_snapshot(file).scopes
    assert len(scope.interfaces) == 2_000
    [hole] = scope.holes
    assert hole.why.endswith("; only the first 2,000 are here")


def test_nothing_may_be_asked(ec2: TinyEc2, file: Path) -> None:
    """A snapshot without anything is an error, and no file."""
    ec2.denied = set(MEMBERS)
    ran = run("--output", str(file))
    assert ran.exit_code == 1
    assert "Error: ec2:DescribeVpcs: access denied" in ran.stderr
    assert "toptalkers render permissions snapshot" in ran.stderr
    assert not file.exists()


def test_credentials_that_are_none(ec2: TinyEc2, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are an error, whether there are none or AWS does not know them."""
    ec2.unknown = {ACCOUNT}
    ran = run("--output", str(file))
    assert ran.exit_code == 1
    assert "Error: AWS does not accept the credentials" in ran.stderr
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    ran = run("--output", str(file))
    assert ran.exit_code == 1
    assert "Error: no AWS credentials found" in ran.stderr
    assert not file.exists()


def profiles(folder: Path, monkeypatch: pytest.MonkeyPatch, **accounts: str) -> None:
    """Make profiles, each with the credentials of an account."""
    config = folder / "config"
    config.write_text(
        "".join(
            f"[profile {name}]\naws_access_key_id = AKIA{account}\naws_secret_access_key = none\nregion = us-east-1\n"
            for name, account in accounts.items()
        )
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


REGIONS = ("--region", "us-east-1", "--region", "eu-west-1")


def scopes_of(file: Path) -> list[tuple[str, str, int]]:
    """The account, the Region, and the number of interfaces of each scope."""
    return [(one.account_id, one.region, len(one.interfaces)) for one in read_snapshot(file).scopes]


@pytest.mark.parametrize("way", ["profiles", "roles"])
def test_all_regions_of_every_account(
    ec2: TinyEc2, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Several profiles, or several roles, and several Regions make one file with a scope for each pair."""
    third = "444455556666"
    for number, (account, region) in enumerate(
        (account, region) for account in (OTHER, third) for region in ("us-east-1", "eu-west-1")
    ):
        fill(ec2, number + 1, account=account, region=region)
    if way == "profiles":
        profiles(tmp_path, monkeypatch, one=OTHER, two=third)
        named = ["--profile", "one", "--profile", "two"]
    else:
        named = ["--assume-role", ROLE, "--assume-role", ROLE.replace(OTHER, third)]
    assert run(*named, *REGIONS, "--output", str(file)).exit_code == 0
    expected = [(OTHER, "us-east-1", 1), (OTHER, "eu-west-1", 2), (third, "us-east-1", 3), (third, "eu-west-1", 4)]
    assert scopes_of(file) == expected


def test_one_profile_without_credentials(
    ec2: TinyEc2, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other accounts are written; the one that failed is a scope with a hole, and the exit code is 1."""
    fill(ec2, 2)
    profiles(tmp_path, monkeypatch, good=ACCOUNT, bad=OTHER)
    ec2.unknown = {OTHER}
    ran = run("--profile", "bad", "--profile", "good", "--profile", "gone", "--output", str(file))
    assert ran.exit_code == 1
    assert "bad: nothing could be asked: AWS does not accept the credentials" in ran.stderr
    assert "gone: nothing could be asked: the config profile (gone) could not be found" in ran.stderr
    assert scopes_of(file) == [("", "", 0), (ACCOUNT, "us-east-1", 2), ("", "", 0)]
    assert [one.action for one in read_snapshot(file).scopes[0].holes] == ["*"]


def test_several_profiles_do_not_assume_roles(ec2: TinyEc2, file: Path) -> None:
    """It would not be clear which assumes which."""
    ran = run("--profile", "a", "--profile", "b", "--assume-role", ROLE, "--output", str(file))
    assert ran.exit_code == 2
    assert "--assume-role takes one --profile" in ran.stderr
    assert ec2.requests == []


def test_published_ranges_are_in_the_file(ec2: TinyEc2, file: Path, tmp_path: Path) -> None:
    """--ip-ranges adds them; a wrong file is an error before AWS is asked."""
    fill(ec2, 1)
    ranges = tmp_path / "ip-ranges.json"
    ranges.write_text('{"prefixes": [{"ip_prefix": "192.0.2.0/24", "service": "S3", "region": "eu-west-1"}]}')
    assert run("--ip-ranges", str(ranges), "--output", str(file)).exit_code == 0
    assert read_snapshot(file).ranges == (Range("192.0.2.0/24", "S3", "eu-west-1"),)
    ec2.requests.clear()
    ranges.write_text("<html>")
    assert run("--ip-ranges", str(ranges), "--output", str(file)).exit_code == 1
    assert ec2.requests == []


def test_the_file_is_whole_or_absent(ec2: TinyEc2, tmp_path: Path) -> None:
    """One that cannot be written is an error before AWS is asked, and a former one stays when AWS refuses."""
    fill(ec2, 1)
    assert run("--output", str(tmp_path / "none" / "a.json")).exit_code == 1
    assert ec2.requests == []
    file = tmp_path / "a.json"
    assert run("--output", str(file)).exit_code == 0
    before = file.read_bytes()
    ec2.unknown = {ACCOUNT}
    assert run("--output", str(file)).exit_code == 1
    assert file.read_bytes() == before
    assert [*tmp_path.iterdir()] == [file]


def test_standard_output(ec2: TinyEc2) -> None:
    """`-` writes the JSON there, and all talk goes to standard error."""
    fill(ec2, 1)
    ran = run("--output", "-")
    assert ran.stdout.startswith('{"toptalkers": "snapshot", "version": 1')
    assert ran.stdout.endswith("}\n")


def test_a_region_of_a_file_is_one_region(
    ec2: TinyEc2, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`region = "eu-west-1"` in toptalkers.toml is for the commands that take one, and this one."""
    fill(ec2, 3, region="eu-west-1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toptalkers.toml").write_text('region = "eu-west-1"\n')
    assert run("--output", str(file)).exit_code == 0
    assert scopes_of(file) == [(ACCOUNT, "eu-west-1", 3)]
