"""What the sandbox's EMR refuses while a cluster is STARTING, and to its nodes, by roles, networks and quotas."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import example_run
from toptalkers.sandbox.emr_access import NodeAccess, fail_step
from toptalkers.sandbox.emr_cluster import StartFailure, StepEnd, StepRun
from toptalkers.sandbox.emr_roles import AWS_POLICIES, Roles
from toptalkers.sandbox.emr_start import StartCheck

ACCOUNT, REGION = "123456789012", "us-east-1"
V2 = "arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"
TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}
PASS = {
    "Effect": "Allow",
    "Action": "iam:PassRole",
    "Resource": f"arn:aws:iam::{ACCOUNT}:role/nodes",
    "Condition": {"StringLike": {"iam:PassedToService": "ec2.amazonaws.com*"}},
}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
MANY = 1000


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


class FakeIam:
    """The roles `service` and `nodes`, the instance profile `nodes`."""

    def __init__(self) -> None:
        self.inline: dict[str, list[Any]] = {"service": [PASS], "nodes": []}
        self.attached = {"service": [V2], "nodes": []}
        self.trusted = "elasticmapreduce.amazonaws.com"
        self.condition: dict[str, Any] = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        if RoleName not in self.inline:
            raise refused("NoSuchEntity")
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": self.trusted}}
        document = {"Statement": [{**trust, "Condition": self.condition}]}
        return {"Role": {"Arn": f"arn:aws:iam::{ACCOUNT}:role/{RoleName}", "AssumeRolePolicyDocument": document}}

    def list_role_policies(self, RoleName: str) -> dict[str, Any]:  # noqa: N803
        return {"PolicyNames": ["own"] if self.inline[RoleName] else []}

    def get_role_policy(self, RoleName: str, PolicyName: str) -> dict[str, Any]:  # noqa: N803
        assert PolicyName == "own"
        return {"PolicyDocument": {"Statement": self.inline[RoleName]}}

    def list_attached_role_policies(self, RoleName: str) -> dict[str, Any]:  # noqa: N803
        return {"AttachedPolicies": [{"PolicyArn": one} for one in self.attached[RoleName]]}

    def get_policy(self, PolicyArn: str) -> dict[str, Any]:  # noqa: N803
        assert PolicyArn
        raise refused("NoSuchEntity")

    def get_instance_profile(self, InstanceProfileName: str) -> dict[str, Any]:  # noqa: N803
        if InstanceProfileName != "nodes":
            raise refused("NoSuchEntity")
        return {"InstanceProfile": {"Roles": [{"RoleName": "nodes"}]}}


class FakeEc2:
    """A VPC with a public subnet in zones a and c, which are its default ones, and a private one."""

    def __init__(self) -> None:
        subnet = {"VpcId": "vpc-1", "DefaultForAz": True, "MapPublicIpOnLaunch": True, "Tags": []}
        self.vpc: dict[str, Any] = {"VpcId": "vpc-1", "Tags": []}
        self.subnets: list[dict[str, Any]] = [
            {**subnet, "SubnetId": "subnet-a", "AvailabilityZone": f"{REGION}a"},
            {**subnet, "SubnetId": "subnet-c", "AvailabilityZone": f"{REGION}c"},
            {
                "SubnetId": "subnet-private",
                "VpcId": "vpc-1",
                "AvailabilityZone": f"{REGION}b",
                "MapPublicIpOnLaunch": False,
                "Tags": [],
            },
            {"SubnetId": "subnet-other", "VpcId": "vpc-2", "AvailabilityZone": f"{REGION}b", "Tags": []},
        ]
        self.groups: list[dict[str, Any]] = []

    def tag(self) -> None:
        for one in (self.vpc, *self.subnets):
            one["Tags"] = [TAG]

    def describe_subnets(self) -> dict[str, Any]:
        return {"Subnets": self.subnets}

    def describe_vpcs(self, VpcIds: list[str]) -> dict[str, Any]:  # noqa: N803
        assert VpcIds == ["vpc-1"]
        return {"Vpcs": [self.vpc]}

    def describe_security_groups(self, GroupIds: list[str] | None = None) -> dict[str, Any]:  # noqa: N803
        found = [one for one in self.groups if GroupIds is None or one["GroupId"] in GroupIds]
        if GroupIds and len(found) < len(GroupIds):
            raise refused("InvalidGroup.NotFound")
        return {"SecurityGroups": found}


class Site:
    """An account, and what its EMR says to the product's own request."""

    def __init__(self) -> None:
        self.iam, self.ec2 = FakeIam(), FakeEc2()
        _, self.request = example_run(Query.parse(), bucket="bucket", run_id="run", bundle="code/1")
        self.request |= {"ServiceRole": "service", "JobFlowRole": "nodes"}

    def start(self, *, quota: int = MANY, **instances: Any) -> StartFailure | None:
        self.request["Instances"] |= instances
        check = StartCheck(Roles(self.iam), self.ec2, ACCOUNT, REGION)
        return check(json.loads(json.dumps(self.request)), quota)

    def message(self, **more: Any) -> str:
        failure = self.start(**more)
        assert failure is not None
        return f"{failure.code}: {failure.message}"


INSUFFICIENT = f"VALIDATION_ERROR: Service role arn:aws:iam::{ACCOUNT}:role/service has insufficient EC2 permissions"
NO_GROUP = f"{INSUFFICIENT}. EC2 Message: You are not authorized to perform: ec2:CreateSecurityGroup"


def test_the_policy_is_the_one_of_aws() -> None:
    """The copy of AWS's policy is complete, and limits a launch to networks with its tag."""
    version = json.loads((AWS_POLICIES / "AmazonEMRServicePolicy_v2.json").read_text())["PolicyVersion"]
    assert version["VersionId"] == "v6"
    assert "CreateInTaggedNetwork" in {one["Sid"] for one in version["Document"]["Statement"]}


@pytest.mark.parametrize("subnets", [{}, {"Ec2SubnetId": "subnet-a"}, {"Ec2SubnetId": "subnet-private"}])
def test_f1_aws_own_policy_needs_a_tagged_network(subnets: dict[str, Any]) -> None:
    """F1: with AmazonEMRServicePolicy_v2 alone the product's request starts in tagged networks, in no other."""
    site = Site()
    assert site.message(**subnets) == NO_GROUP
    site.ec2.tag()
    assert site.start() is None


def test_f1_each_part_of_the_network_needs_the_tag() -> None:
    """F1: subnet, VPC and groups that exist already; the words name an action only for a group."""
    site = Site()
    site.ec2.tag()
    site.ec2.subnets[0]["Tags"] = []
    assert site.message(Ec2SubnetId="subnet-a") == INSUFFICIENT
    site.ec2.tag()
    site.ec2.vpc["Tags"] = []
    assert site.message() == NO_GROUP
    site.ec2.groups = [
        {"GroupId": f"sg-{name}", "GroupName": f"ElasticMapReduce-{name}", "VpcId": "vpc-1", "Tags": []}
        for name in ("master", "slave")
    ]
    assert site.message() == INSUFFICIENT  # untagged groups of older clusters
    for group in site.ec2.groups:
        group["Tags"] = [TAG]
    assert site.start() is None  # no group has to be made, so the VPC needs no tag


def test_a_cluster_needs_the_tag_of_the_policy() -> None:
    """When the product no longer tags its clusters, they no longer start."""
    site = Site()
    site.ec2.tag()
    assert TAG in site.request["Tags"]
    site.request["Tags"] = [one for one in site.request["Tags"] if one != TAG]
    assert site.message() == NO_GROUP


def test_a_role_with_own_statements_needs_no_tags() -> None:
    """What a stack's role or a security team's may grant instead."""
    site = Site()
    site.iam.inline["service"], site.iam.attached["service"] = [EVERYTHING], []
    assert site.start() is None
    assert site.start(Ec2SubnetId="subnet-private") is None
    site.iam.inline["service"].append({"Effect": "Deny", "Action": "ec2:CreateNetworkInterface", "Resource": "*"})
    assert site.message() == INSUFFICIENT


def test_the_service_role_must_exist_and_trust_emr() -> None:
    """It is named by name or ARN; the conditions of its trust policy count."""
    site = Site()
    site.ec2.tag()
    site.request["ServiceRole"] = f"arn:aws:iam::{ACCOUNT}:role/service"
    assert site.start() is None
    invalid = f"VALIDATION_ERROR: EMR service role arn:aws:iam::{ACCOUNT}:role/service is invalid"
    site.iam.condition = {"StringEquals": {"aws:SourceAccount": "111122223333"}}
    assert site.message() == invalid
    site.iam.condition, site.iam.trusted = {}, "ec2.amazonaws.com"
    assert site.message() == invalid
    site.request["ServiceRole"] = "missing"
    assert site.message() == f"VALIDATION_ERROR: EMR service role arn:aws:iam::{ACCOUNT}:role/missing is invalid"


def test_the_service_role_must_pass_the_role_of_the_nodes() -> None:
    """AWS's policy passes only EMR_EC2_DefaultRole."""
    site = Site()
    site.ec2.tag()
    site.iam.inline["service"] = []
    assert site.message() == INSUFFICIENT


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Ec2SubnetId": "subnet-none"}, "configuration was invalid: The subnet subnet-none does not exist."),
        ({"Ec2SubnetIds": ["subnet-a", "subnet-other"]}, "All subnets must be in one VPC"),
        ({"EmrManagedMasterSecurityGroup": "sg-none"}, "VPC/subnet configuration was invalid"),
    ],
)
def test_an_invalid_network(given: dict[str, Any], expected: str) -> None:
    """Subnets and groups that EC2 does not have, and subnets of several VPCs."""
    assert expected in Site().message(**given)


def test_without_a_default_vpc_a_subnet_is_required() -> None:
    """EMR takes the default VPC; where there is none, it says so."""
    site = Site()
    for subnet in site.ec2.subnets:
        subnet["DefaultForAz"] = False
    expected = "Subnet is required : The specified instance type m7g.xlarge can only be used in a VPC."
    assert site.message() == f"VALIDATION_ERROR: {expected}"


def test_a_type_must_be_offered_in_the_zone() -> None:
    """The eighth generation is not in zone c; EMR takes another zone if it may."""
    site = Site()
    site.ec2.tag()
    for group in site.request["Instances"]["InstanceGroups"]:
        group["InstanceType"] = "m8g.xlarge"
    assert site.start() is None
    failure = site.start(Ec2SubnetId="subnet-c")
    assert failure is not None
    assert "instance type m8g.xlarge is not supported in the requested availability zone" in failure.message
    assert failure.error_code == "VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED"
    assert failure.data == {"instance-type": "m8g.xlarge", "availability-zone": f"{REGION}c"}


@pytest.mark.parametrize(("quota", "starts"), [(8, True), (7, False), (5, False)])
def test_f6_a_quota_of_vcpus(quota: int, starts: bool) -> None:
    """F6: the smallest cluster has 8 vCPUs; a new account has 5."""
    site = Site()
    site.ec2.tag()
    failure = site.start(quota=quota)
    assert (failure is None) == starts
    if failure:
        assert failure.code == "INTERNAL_ERROR"
        assert "The number of vCPUs for instance type m7g.xlarge exceeds the EC2 service quota" in failure.message


def test_spot_instances_have_a_quota_of_their_own() -> None:
    """Fleets count by their capacity, on demand and Spot apart."""
    site = Site()
    site.ec2.tag()
    del site.request["Instances"]["InstanceGroups"]
    config = [{"InstanceType": "m7g.xlarge", "WeightedCapacity": 1}]
    fleets = [
        {"InstanceFleetType": "MASTER", "TargetOnDemandCapacity": 1, "InstanceTypeConfigs": config},
        {"InstanceFleetType": "CORE", "TargetOnDemandCapacity": 1, "InstanceTypeConfigs": config},
        {"InstanceFleetType": "TASK", "TargetSpotCapacity": 3, "InstanceTypeConfigs": config},
    ]
    assert site.start(quota=12, InstanceFleets=fleets) is None
    assert "EC2 service quota" in site.message(quota=11)


@pytest.mark.parametrize(("market", "least"), [("SPOT", 12), ("ON_DEMAND", 20)])
def test_groups_of_spot_instances_have_that_quota_too(market: str, least: int) -> None:
    """Two nodes on demand and three of a group: that counts with them, unless it is of Spot instances."""
    site = Site()
    site.ec2.tag()
    task = {"InstanceRole": "TASK", "InstanceType": "m7g.xlarge", "InstanceCount": 3, "Market": market}
    site.request["Instances"]["InstanceGroups"].append(task)
    assert site.start(quota=least) is None
    assert "EC2 service quota" in site.message(quota=least - 1)


class FakeS3:
    """Buckets of this account, with their policies; `foreign` is another account's."""

    def __init__(self) -> None:
        self.policies: dict[str, Any] = {"bucket": None, "logs": None}

    def get_bucket_policy(self, Bucket: str) -> dict[str, Any]:  # noqa: N803
        if Bucket not in self.policies:
            raise refused("AccessDenied")
        if self.policies[Bucket] is None:
            raise refused("NoSuchBucketPolicy")
        return {"Policy": json.dumps({"Statement": self.policies[Bucket]})}

    def list_objects_v2(self, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:  # noqa: N803
        assert MaxKeys == 1
        return {"Contents": [{"Key": f"{Prefix.rstrip('/')}/2026/a.gz"}]} if Bucket != "empty" else {}


STEP = (
    "hadoop-streaming",
    "-files",
    "s3://bucket/code/count_flows.py#count.py,s3://bucket/code/aggregate",
    "-D",
    "x=s3://elsewhere/",
    "-input",
    "s3://logs/AWSLogs/*/vpcflowlogs/",
    "-output",
    "s3://bucket/runs/1/toptalkers/",
)


def granting(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{where}"} for action, where in pairs]


ENOUGH = {
    "-files": granting(("s3:GetObject", "bucket/code/*")),
    "-output": granting(("s3:ListBucket", "bucket"), ("s3:PutObject", "bucket/runs/*")),
    "-input": granting(("s3:ListBucket", "logs"), ("s3:GetObject", "logs/AWSLogs/*")),
}


def access(*statements: Mapping[str, Any], s3: FakeS3 | None = None) -> NodeAccess:
    iam = FakeIam()
    iam.inline["nodes"] = list(statements)
    return NodeAccess(Roles(iam), s3 or FakeS3(), ACCOUNT)


def test_f2_nodes_need_every_address_of_a_step() -> None:
    """F2: each option is refused without its statements, with the action that is missing; with all, none is."""
    everything = [one for each in ENOUGH.values() for one in each]
    assert access(*everything).find_denied("nodes", STEP) is None
    for option, statements in ENOUGH.items():
        for missing in statements:
            denied = access(*[one for one in everything if one != missing]).find_denied("nodes", STEP)
            assert denied is not None
            assert (denied.option, denied.action) == (option, missing["Action"])
    assert access(*everything).find_denied("other", STEP) is not None


@pytest.mark.parametrize("given", ["AWSLogs/{1,2}/vpcflowlogs/", "AWSLogs/[12]*", "AWSLogs/x?y/", "AWSLogs/a.gz"])
def test_f2_patterns_are_listed_from_their_beginning(given: str) -> None:
    """A pattern of EMR's step is one address, also with a comma in it."""
    step = [f"s3://logs/{given}" if one.startswith("s3://logs/") else one for one in STEP]
    everything = [one for each in ENOUGH.values() for one in each]
    assert access(*everything).find_denied("nodes", step) is None
    denied = access(*[one for one in everything if "logs" not in one["Resource"]]).find_denied("nodes", step)
    assert denied is not None
    assert denied.uri == f"s3://logs/{given}"


@pytest.mark.parametrize(
    ("principal", "effect", "is_allowed"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/nodes", "Allow", True),
        ("arn:aws:iam::111122223333:role/nodes", "Allow", False),
        ("*", "Deny", False),
    ],
)
def test_a_bucket_of_this_account_may_allow_by_itself(principal: str, effect: str, is_allowed: bool) -> None:
    """In one account, the role's policy or the bucket's is enough; a Deny in either wins."""
    s3 = FakeS3()
    s3.policies["logs"] = [{"Effect": effect, "Action": "s3:*", "Resource": "*", "Principal": {"AWS": principal}}]
    own = [one for option, each in ENOUGH.items() if option != "-input" for one in each]
    more = [EVERYTHING] if effect == "Deny" else []
    assert (access(*own, *more, s3=s3).find_denied("nodes", STEP) is None) == is_allowed


def test_a_bucket_of_another_account_needs_the_role_as_well() -> None:
    """F2: the nodes' role must allow it; the other bucket's policy is asked by S3 itself."""
    step = [one.replace("s3://logs/", "s3://foreign/") for one in STEP]
    own = [one for option, each in ENOUGH.items() if option != "-input" for one in each]
    denied = access(*own).find_denied("nodes", step)
    assert denied is not None
    assert denied.resource == "arn:aws:s3:::foreign"
    grants = granting(("s3:ListBucket", "foreign"), ("s3:GetObject", "foreign/*"))
    assert access(*own, *grants).find_denied("nodes", step) is None


def test_tls_alone_is_what_nodes_use() -> None:
    """A bucket policy that refuses requests without TLS refuses none of a node's."""
    s3 = FakeS3()
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    s3.policies["bucket"] = [
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Principal": "*", "Condition": condition}
    ]
    everything = [one for each in ENOUGH.values() for one in each]
    assert access(*everything, s3=s3).find_denied("nodes", STEP) is None


def test_logs_need_a_place_where_the_nodes_may_write() -> None:
    """LogUri: below the prefix that the role has, nowhere else."""
    nodes = access(*granting(("s3:PutObject", "bucket/logs/*")))
    assert nodes.may_put("nodes", "s3://bucket/logs/run/j-1/steps/s-1/syslog.gz")
    assert not nodes.may_put("nodes", "s3://bucket/other/j-1/steps/s-1/syslog.gz")
    assert not nodes.may_put("other", "s3://bucket/logs/run/j-1/steps/s-1/syslog.gz")


class Ran(Exception):  # noqa: N818 - it is not an error
    """A step began to run."""


@pytest.mark.parametrize(
    ("missing", "log", "words"),
    [
        (
            ("-input", "s3:ListBucket"),
            "syslog",
            "getFileStatus on s3://logs/AWSLogs/*/vpcflowlogs/: software.amazon.awssdk.services.s3.model.S3Exception:",
        ),
        (
            ("-files", "s3:GetObject"),
            "stderr",
            'Exception in thread "main" java.nio.file.AccessDeniedException: s3://bucket/code/count_flows.py: ',
        ),
        (
            ("-output", "s3:PutObject"),
            "syslog",
            'perform: s3:PutObject on resource: "arn:aws:s3:::bucket/runs/1/toptalkers/_SUCCESS" because no identity-',
        ),
    ],
)
def test_a_refused_step_fails_with_the_words_of_s3a(
    missing: tuple[str, str], log: str, words: str, tmp_path: Any
) -> None:
    """The step ends with 1, without a start of Hadoop, and its logs say why as those of a real cluster do."""

    def run(_: StepRun) -> StepEnd:
        raise Ran

    step = StepRun("j-1", "s-1", "aggregate", "1_0001", STEP, tmp_path, tmp_path, "nodes", threading.Event())
    everything = {(option, one["Action"]): one for option, each in ENOUGH.items() for one in each}
    with pytest.raises(Ran):
        access(*everything.values()).run(step, run)
    del everything[missing]
    end = access(*everything.values()).run(step, run)
    assert end.exit_code == 1
    assert words in end.logs[f"steps/s-1/{log}"].decode()
    denied = access(*everything.values()).find_denied("nodes", STEP)
    assert denied is not None
    assert fail_step(step, denied).logs.keys() == end.logs.keys()
