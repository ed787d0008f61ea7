"""What run-emr knows before it asks for a cluster: what the plan shows, and what is refused with a way to mend it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from tests.commands import command
from tests.fake_account import FakeAccount, refusal
from tests.fake_network import subnet, unauthorized
from toptalkers.errors import ToptalkersError
from toptalkers.question.query import Query
from toptalkers.runs.cluster.prices import EC2_PER_VCPU_HOUR, describe_cost, dollars
from toptalkers.runs.cluster.request import ClusterOptions
from toptalkers.runs.cluster.sizing import objects_notes, size_cluster
from toptalkers.runs.plan import format_plan, plan_run

TAG = "for-use-with-amazon-emr-managed-policies"


@pytest.fixture
def account() -> FakeAccount:
    """An account with a stack and one captured object."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    return account


def dry(account: FakeAccount, *arguments: str) -> Result:
    return command(account, "run-emr", "--dry-run", *arguments)


def line(ran: Result, name: str) -> str:
    """Return a line of the plan, without its name."""
    assert ran.exit_code == 0
    (found,) = [one for one in ran.stderr.splitlines() if one.startswith(f"  {name} ")]
    return found.removeprefix(f"  {name} ").strip()


def refused(account: FakeAccount, *arguments: str, code: int = 1) -> str:
    """Run run-emr, which must refuse before it starts anything; return what it says."""
    ran = command(account, "run-emr", "--yes", *arguments)
    assert ran.exit_code == code
    assert not account.fake_emr.requests
    assert "PutObject" not in account.fake_s3.calls
    return ran.stderr


def test_p6_the_plan_of_an_ordinary_run(account: FakeAccount) -> None:
    """P6, C6, I5: network, public addresses, vCPUs of the quota, roles and dollars."""
    account.fake_quotas.vcpus = {"L-1216C47A": 32, "L-34B43A08": 0}
    ran = dry(account)
    assert line(ran, "network") == ("the default VPC, vpc-0; EMR chooses the subnet; the nodes get public addresses")
    assert line(ran, "vCPUs") == "8 on demand, of 32 that the account may run"
    assert line(ran, "roles") == (
        "toptalkers-EmrServiceRole, toptalkers-EmrInstanceRole; security configuration toptalkers-EmrSecurity"
    )
    assert line(ran, "expected") == "12 minutes, 0.4 instance-hours; it ends by itself"
    assert line(ran, "cost") == "about $0.08 for EC2 and EMR"
    assert "Note: the nodes get public addresses" in ran.stderr
    assert "gateway endpoint for S3 (--subnet)" in ran.stderr


def test_p6_the_plan_in_private_subnets(account: FakeAccount) -> None:
    """P6, I5: ids, zones and VPC; no note when no node gets a public address; Spot has a quota of its own."""
    ran = dry(account, "--subnet", "subnet-1", "--subnet", "subnet-2", "--spot", "--task", "3")
    assert line(ran, "network") == (
        "subnet-1, subnet-2 in us-east-1a, us-east-1b, vpc-1; the nodes get no public addresses"
    )
    assert (
        line(ran, "vCPUs") == "8 on demand, of 512 that the account may run; 12 Spot, of 256 that the account may run"
    )
    assert line(ran, "cost") == "at most about $0.20 for EC2 and EMR"
    assert "public addresses, though" not in ran.stderr
    account.fake_network.subnets.append(subnet("subnet-3", is_public=True))
    mixed = dry(account, "--subnet", "subnet-1", "--subnet", "subnet-3")
    assert line(mixed, "network").endswith("vpc-1; the nodes get public addresses in some of them")


def test_p6_subnets_that_the_stack_keeps(account: FakeAccount) -> None:
    """They take the place of the default VPC, and --subnet takes theirs if EMR may use that one."""
    account.fake_network.subnets[1]["Tags"] = [{"Key": TAG, "Value": "true"}]
    site = replace(account.site, subnets=("subnet-2",))
    for options, named in ((ClusterOptions(), "subnet-2"), (ClusterOptions(subnets=("subnet-1",)), "subnet-1")):
        plan = plan_run(account.open(), site, Query.parse(), options=options, token="4f2a")  # noqa: S106
        assert f"  network   {named} in " in format_plan(plan)
        assert plan.request["Instances"]["Ec2SubnetId"] == named


@pytest.mark.parametrize(
    "denied",
    [
        {"DescribeVpcs"},
        {"DescribeSubnets"},
        {"DescribeVpcs", "DescribeSubnets", "DescribeInstanceTypeOfferings"},
    ],
    ids=str,
)
@pytest.mark.parametrize("subnets", [(), ("--subnet", "subnet-1")], ids=["default", "named"])
def test_what_may_not_be_looked_at_is_not_known(
    account: FakeAccount, denied: set[str], subnets: tuple[str, ...]
) -> None:
    """No right to look means no refusal: the run is planned, and says what is not known."""
    account.fake_network.denied = denied
    account.fake_quotas.vcpus = None
    account.fake_emr.types = ()
    ran = dry(account, *subnets)
    assert json.loads(ran.stdout)["Instances"].get("Ec2SubnetId", "") == "".join(subnets[1:])
    looks = {"DescribeSubnets"} if subnets else {"DescribeVpcs", "DescribeSubnets"}
    if hit := sorted(denied & looks, key=["DescribeVpcs", "DescribeSubnets"].index):
        name = "subnet-1" if subnets else "the default VPC"
        assert line(ran, "network") == f"{name}; more is not known (ec2:{hit[0]} is denied)"
    unknown = "Note: whether EC2 offers m7g.xlarge there is not known (ec2:DescribeInstanceTypeOfferings is denied)"
    assert (unknown in ran.stderr) == ("DescribeInstanceTypeOfferings" in denied)
    assert line(ran, "vCPUs") == (
        "8 on demand; how many the account may run is not known (servicequotas:GetServiceQuota is denied)"
    )


def test_types_that_emr_does_not_list(account: FakeAccount) -> None:
    """Whether a release runs on a type may be unknown, too."""

    def list_supported_instance_types(**_: Any) -> None:
        raise unauthorized("elasticmapreduce", "ListSupportedInstanceTypes", "AccessDeniedException")

    account.fake_emr.list_supported_instance_types = list_supported_instance_types  # type: ignore[method-assign, assignment]
    assert (
        "Note: whether emr-7.14.0 runs on m7g.xlarge is not known"
        " (elasticmapreduce:ListSupportedInstanceTypes is denied)" in dry(account).stderr
    )


def test_a_quota_that_cannot_be_read(account: FakeAccount) -> None:
    """Any other error holds up nothing either."""

    class NoQuotas:
        def get_service_quota(self, **_: Any) -> None:
            raise refusal("NoSuchResourceException", "The request failed because the resource does not exist.", "x")

    account.fake_quotas = NoQuotas()  # type: ignore[assignment]
    assert "is not known (servicequotas x: The request failed" in line(dry(account), "vCPUs")


def test_i5_no_default_vpc(account: FakeAccount) -> None:
    """EMR would refuse the cluster; the message says how to choose a subnet, and how to keep it."""
    account.fake_network.default_vpc = ""
    said = refused(account)
    assert "there is no default VPC in us-east-1" in said
    assert "--subnet chooses a subnet, and 'toptalkers deploy --subnet ID' keeps it" in said
    assert "aws ec2 describe-subnets --region us-east-1" in said
    account.fake_network.default_vpc = "vpc-9"
    assert "the default VPC has no subnet in us-east-1" in refused(account)
    assert dry(account, "--subnet", "subnet-1").exit_code == 0


def test_subnets_that_cannot_be(account: FakeAccount) -> None:
    """One that does not exist in the Region, and those of several VPCs, which EMR does not take."""
    said = refused(account, "--subnet", "subnet-1", "--subnet", "subnet-9")
    assert "there is no subnet subnet-9 in us-east-1" in said
    assert "is it in another Region?" in said
    said = refused(account, "--subnet", "subnet-0", "--subnet", "subnet-1", code=2)
    assert "the subnets are not in one VPC: subnet-0 in vpc-0, subnet-1 in vpc-1" in said


def test_f11_a_type_that_the_region_does_not_have(account: FakeAccount) -> None:
    """F11: a similar type is suggested, of the same architecture if there is one."""
    account.fake_network.offers = lambda one, _zone: not one.startswith("m7g")
    assert "EC2 does not offer m7g.xlarge in us-east-1" in refused(account)
    assert "--instance-type m6g.xlarge is possible" in refused(account)
    account.fake_network.offers = lambda one, _zone: one.startswith("m5.")
    assert "--instance-type m5.xlarge is possible" in refused(account)
    assert dry(account, "--instance-type", "m5.xlarge").exit_code == 0
    account.fake_network.offers = lambda _type, _zone: False
    assert dry(account).exit_code == 0, "an answer without any common type is no answer"


def test_f11_a_type_that_the_zone_does_not_have(account: FakeAccount) -> None:
    """F11: a subnet in another zone, or another type in this one; several subnets need one that has all types."""
    account.fake_network.offers = lambda one, zone: zone == "us-east-1b" or one.startswith("m6g")
    said = refused(account, "--subnet", "subnet-1")
    assert "EC2 does not offer m7g.xlarge in us-east-1a" in said
    assert "--instance-type m6g.xlarge is possible there; a --subnet in us-east-1b has m7g.xlarge" in said
    assert dry(account, "--subnet", "subnet-2").exit_code == 0
    assert dry(account, "--subnet", "subnet-1", "--subnet", "subnet-2").exit_code == 0
    account.fake_network.offers = lambda one, zone: one.startswith("m7g" if zone == "us-east-1a" else "m6g")
    said = refused(account, "--subnet", "subnet-1", "--subnet", "subnet-2", "--primary-type", "m6g.xlarge")
    assert "no subnet is in a zone that offers both m7g.xlarge and m6g.xlarge" in said


def test_f11_a_type_that_emr_does_not_have(account: FakeAccount) -> None:
    """F11: each option is checked; the hint is a type that is supported and offered."""
    said = refused(account, "--instance-type", "t3.xlarge")
    assert "emr-7.14.0 does not run on t3.xlarge in us-east-1" in said
    assert "--primary-type m7g.xlarge" not in said
    assert "--instance-type m7g.xlarge is possible" in said
    said = refused(account, "--instance-type", "t3.micro")
    assert "does not run on t3.micro" in said
    said = refused(account, "--primary-type", "m1.medium")
    assert "does not run on m1.medium" in said
    assert "--primary-type m7g.xlarge is possible" in said
    account.fake_emr.types = ()
    assert dry(account, "--instance-type", "m5.xlarge").exit_code == 0, "an empty answer is no answer"


def test_f11_substitutes_of_spot_instances_are_offered(account: FakeAccount) -> None:
    """F11: a fleet names no type that the zone does not offer, or that EMR's release does not run on."""
    account.fake_network.offers = lambda one, zone: zone == "us-east-1b" or not one.startswith("m6g")
    account.fake_emr.types = ("m7g.xlarge", "m6g.xlarge", "r6g.xlarge")
    for named, types in (("subnet-1", ["m7g", "r6g"]), ("subnet-2", ["m7g", "m6g", "r6g"])):
        ran = dry(account, "--spot", "--task", "2", "--subnet", named)
        task = json.loads(ran.stdout)["Instances"]["InstanceFleets"][-1]
        assert [one["InstanceType"] for one in task["InstanceTypeConfigs"]] == [f"{one}.xlarge" for one in types]


def test_f6_more_vcpus_than_the_account_may_run(account: FakeAccount) -> None:
    """F6: a new account may run 5 vCPUs, and the smallest default cluster has 8."""
    account.fake_quotas.vcpus = {"L-1216C47A": 5, "L-34B43A08": 5}
    said = refused(account)
    assert "the cluster needs 8 vCPUs on demand, and the account may run 5 in us-east-1" in said
    assert (
        "'aws service-quotas request-service-quota-increase --region us-east-1 --service-code ec2"
        " --quota-code L-1216C47A --desired-value 8' asks for more" in said
    )
    assert "; the smallest cluster, two m7g.xlarge, needs 8" in said


@pytest.mark.parametrize(
    ("arguments", "quotas", "fits"),
    [
        (("--core", "9"), (16, 0), "--core 3"),
        (("--core", "2", "--task", "7"), (16, 0), "--core 1 --task 2"),
        (("--core", "9", "--task", "2", "--spot"), (16, 64), "--core 3"),
        (("--spot", "--task", "9"), (64, 17), "--task 4"),
        (("--core", "4", "--instance-type", "m7g.4xlarge"), (40, 0), "--core 2"),
    ],
)
def test_f6_a_smaller_cluster_that_fits(
    account: FakeAccount, arguments: tuple[str, ...], quotas: tuple[int, int], fits: str
) -> None:
    """F6: what is suggested is accepted, and one node more is not."""
    account.fake_quotas.vcpus = dict(zip(("L-1216C47A", "L-34B43A08"), quotas, strict=True))
    assert f"; {fits} fits" in refused(account, *arguments)
    words = fits.split()
    assert dry(account, *arguments, *words).exit_code == 0
    refused(account, *arguments, *words[:-1], str(int(words[-1]) + 1))


def test_f6_smaller_types_that_fit(account: FakeAccount) -> None:
    """F6: where not even one node of the type fits."""
    account.fake_quotas.vcpus = {"L-1216C47A": 16, "L-34B43A08": 0}
    smaller = "--core 1 --task 0 --instance-type m7g.xlarge --primary-type m7g.xlarge"
    asked = ("--instance-type", "m7g.4xlarge", "--task", "3")
    assert f"; {smaller} fits" in refused(account, *asked)
    assert dry(account, *asked, *smaller.split()).exit_code == 0


def test_f6_spot_that_the_account_may_not_run(account: FakeAccount) -> None:
    """F6: on demand is another quota."""
    account.fake_quotas.vcpus = {"L-1216C47A": 64, "L-34B43A08": 0}
    assert "without --spot the nodes are on demand" in refused(account, "--spot", "--task", "1")


def test_f6_types_of_another_quota(account: FakeAccount) -> None:
    """The quota of standard instances says nothing about accelerated ones."""
    account.fake_emr.types = ("g5.4xlarge",)
    account.fake_quotas.vcpus = {"L-1216C47A": 0, "L-34B43A08": 0}
    ran = dry(account, "--instance-type", "g5.4xlarge")
    assert line(ran, "vCPUs") == "32 on demand"
    assert line(ran, "cost") == "not known for g5.4xlarge"


def test_f1_roles_of_others_in_a_network_without_tags(account: FakeAccount) -> None:
    """F1: the note has the command for subnet and VPC, without what is tagged already; the stack's role needs none."""

    def noted(**changes: Any) -> str:
        site = replace(account.site, service_role="EmrRole", is_stack=False, **changes)
        options = ClusterOptions(subnets=("subnet-1",))
        plan = plan_run(account.open(), site, Query.parse(), options=options, token="4f2a")  # noqa: S106
        return format_plan(plan)

    assert f"'aws ec2 create-tags --region us-east-1 --resources subnet-1 vpc-1 --tags Key={TAG},Value=true'" in noted()
    account.fake_network.tags["vpc-1"] = {TAG: "true"}
    assert "--resources subnet-1 --tags" in noted()
    account.fake_network.subnets[1]["Tags"] = [{"Key": TAG, "Value": "true"}]
    assert "create-tags" not in noted()
    account.fake_network.subnets[1]["Tags"] = []
    assert "create-tags" not in dry(account, "--subnet", "subnet-1").stderr
    assert "create-tags" in dry(account, "--subnet", "subnet-1", "--service-role", "EmrRole").stderr


def test_f1_subnets_that_the_stacks_role_may_not_use(account: FakeAccount) -> None:
    """F1: those that the stack does not name, and those of another account's VPC; with EMR's tag any will do."""
    tags = account.fake_network.subnets[1]["Tags"]
    account.fake_network.subnets[1]["OwnerId"] = "111122223333"
    said = refused(account, "--subnet", "subnet-1")
    assert "does not let EMR use subnet-1, it belongs to the account 111122223333" in said
    assert "'toptalkers deploy --subnet subnet-1' does" in said
    tags.append({"Key": TAG, "Value": "true"})
    assert dry(account, "--subnet", "subnet-1").exit_code == 0
    tags.clear()
    account.parameters["ClusterSubnets"] = "subnet-1"
    assert dry(account).exit_code == 0
    said = refused(account, "--subnet", "subnet-2")
    assert "the stack toptalkers does not let EMR use subnet-2, only subnet-1" in said
    assert "'toptalkers deploy --subnet subnet-1 --subnet subnet-2' does" in said
    account.fake_network.denied = {"DescribeSubnets"}
    assert dry(account, "--subnet", "subnet-2").exit_code == 0


@pytest.mark.parametrize("size", [1, 10**11])
def test_conversations_take_more_than_a_plain_count(size: int) -> None:
    """More minutes of even the smallest cluster, and a larger one for a large input."""
    plain, joined = size_cluster(size), size_cluster(size, is_joined=True)
    assert joined.minutes > plain.minutes
    assert (joined.core > plain.core) == (size > 1)


def test_more_objects_than_the_primary_node_lists() -> None:
    """A primary node that was given too small is named with what it can list; a chosen one is large enough."""
    assert not objects_notes(size_cluster(1, objects=4_000_000), 4_000_000)
    (note,) = objects_notes(size_cluster(1, objects=4_000_001), 4_000_001)
    assert note.startswith("m7g.8xlarge as primary has memory to list about 4,000,000 objects, and there are 4,000,001")
    assert objects_notes(size_cluster(1, objects=500_001, primary_type="m7g.xlarge"), 500_001)


def test_c6_prices() -> None:
    """C6: EC2 and EMR for all nodes over the expected time; a small run is about eight cents."""
    small = size_cluster(1)
    assert dollars(small) == pytest.approx(2 * 4 * 0.0408 * 1.25 * small.minutes / 60)
    mixed = size_cluster(0, instance_type="r6i.4xlarge", primary_type="m5.xlarge", core=2)
    assert dollars(mixed) == pytest.approx((4 * 0.048 + 32 * 0.063) * 1.25 * mixed.minutes / 60)
    assert describe_cost(small, "eu-west-1") == "about $0.08 for EC2 and EMR, by the prices of us-east-1"
    assert {"m7g", "m6g", "r7g", "r6g", "m7i", "m6i", "r7i", "r6i"} <= set(EC2_PER_VCPU_HOUR)


def test_the_network_is_looked_at_first(account: FakeAccount) -> None:
    """A network that cannot be is not found out only after a million objects were listed."""
    account.fake_network.default_vpc = ""
    account.fake_s3.calls.clear()
    with pytest.raises(ToptalkersError, match="no default VPC"):
        plan_run(account.open(), account.site, Query.parse(), token="4f2a")  # noqa: S106
    assert not account.fake_s3.calls
