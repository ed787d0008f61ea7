"""What the roles of a cluster may do, by evaluating their policies, and AWS's own beside ours, as IAM would."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.cloudformation import ACCOUNT, REGION, computed
from toptalkers import locations
from toptalkers.capture.roles import ENDPOINT, LAUNCH, RULES
from toptalkers.capture.template import build_template
from toptalkers.sandbox.emr_roles import AWS_POLICIES
from toptalkers.sandbox.iam import Decision, Request, decide

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_ACCOUNT = "111122223333"
TAG = "for-use-with-amazon-emr-managed-policies"
TAGGED = {f"aws:ResourceTag/{TAG}": "true"}
ASKED = {f"aws:RequestTag/{TAG}": "true"}

Statement = Mapping[str, Any]

Touched = tuple[str, str, Mapping[str, str]]
"""An action, one resource that it touches, and the condition keys that EC2 gives for it."""


def allows(
    statements: Iterable[Statement], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    request = Request(action, resource, context or {})
    return decide([{"Statement": list(statements)}], request) is Decision.ALLOWED


def managed_policy(name: str) -> list[Statement]:
    """Return the statements of one of AWS's policies, of which the sandbox keeps a copy."""
    kept = json.loads((AWS_POLICIES / f"{name}.json").read_text(encoding="utf-8"))
    statements: list[Statement] = kept["PolicyVersion"]["Document"]["Statement"]
    return statements


def role_statements(role: Mapping[str, Any]) -> list[Statement]:
    """Return the statements of a role's own policies."""
    return [
        statement for policy in role["Properties"]["Policies"] for statement in policy["PolicyDocument"]["Statement"]
    ]


def resources(parameters: Mapping[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    made: dict[str, Any] = computed(build_template(), parameters or {}, **settings)["Resources"]
    return made


def service_role(parameters: Mapping[str, str] | None = None) -> list[Statement]:
    """Return all that EMR's service role is allowed: what AWS's policy and its own say."""
    return managed_policy("AmazonEMRServicePolicy_v2") + role_statements(resources(parameters)["EmrServiceRole"])


def nodes_role(parameters: Mapping[str, str] | None = None) -> list[Statement]:
    return role_statements(resources(parameters)["EmrInstanceRole"])


def ec2(kind: str, name: str, *, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:ec2:{region}:{account}:{kind}/{name}"


def network(
    tags: Mapping[str, str],
    *,
    subnet: str = ec2("subnet", "subnet-0a1"),
    vpc: str = ec2("vpc", "vpc-0a1"),
    groups: Iterable[str] = (ec2("security-group", "sg-0a1"), ec2("security-group", "sg-0b2")),
    makes_groups: bool = False,
) -> list[Touched]:
    """Return what a launch touches in the network that it finds, with the tags that this has.

    It completes the rules of groups that are there, or makes groups of its own, which it tags.
    """
    found = [(action, resource, tags) for action in LAUNCH for resource in (subnet, *groups)]
    found += [(action, resource, tags) for action in ENDPOINT for resource in (subnet, *groups, vpc)]
    if makes_groups:
        found.append(("ec2:CreateSecurityGroup", vpc, tags))
    return found + [(action, group, tags) for action in RULES for group in groups]


def cluster(made_with: Mapping[str, str]) -> list[Touched]:
    """Return what a launch makes, with the tags that it gives."""
    created = [
        (action, ec2(kind, "*"), made_with)
        for action in ("ec2:RunInstances", "ec2:CreateFleet")
        for kind in ("instance", "volume")
    ]
    return [
        *created,
        ("ec2:CreateLaunchTemplate", ec2("launch-template", "*"), made_with),
        ("ec2:CreateNetworkInterface", ec2("network-interface", "*"), made_with),
        ("ec2:CreateSecurityGroup", ec2("security-group", "*"), made_with),
    ]


def refused(statements: list[Statement], touched: Iterable[Touched]) -> set[tuple[str, str]]:
    """Return the actions that are refused, and on which kind of resource."""
    return {
        (action, resource.split(":")[5].split("/")[0])
        for action, resource, context in touched
        if not allows(statements, action, resource, context)
    }


def test_aws_policy_alone_refuses_a_network_without_tags() -> None:  # F1
    """So the role has statements of its own. They were written for the version of the policy that is kept here."""
    managed = managed_policy("AmazonEMRServicePolicy_v2")
    assert refused(managed, network(TAGGED, makes_groups=True)) == set()
    assert refused(managed, network({}, makes_groups=True)) == {
        *((action, kind) for action in LAUNCH for kind in ("subnet", "security-group")),
        *((action, kind) for action in ENDPOINT for kind in ("subnet", "security-group", "vpc")),
        *((action, "security-group") for action in RULES),
        ("ec2:CreateSecurityGroup", "vpc"),
    }
    assert refused(managed, cluster(ASKED)) == set()


@pytest.mark.parametrize("tags", [{}, TAGGED], ids=["untagged", "tagged"])
@pytest.mark.parametrize("makes_groups", [True, False])
def test_a_cluster_starts_in_an_ordinary_network(tags: dict[str, str], makes_groups: bool) -> None:  # F1
    """With tags or without, and whether EMR makes its security groups or finds old ones."""
    assert refused(service_role(), network(tags, makes_groups=makes_groups) + cluster(ASKED)) == set()


def test_networks_of_others_are_refused() -> None:  # F1
    """Without tags only this account and Region are open; with them it is as AWS has it."""
    for place in ({"account": OTHER_ACCOUNT}, {"region": "us-east-1"}):
        elsewhere = network(
            {},
            subnet=ec2("subnet", "subnet-0a1", **place),
            vpc=ec2("vpc", "vpc-0a1", **place),
            groups=[ec2("security-group", "sg-0a1", **place)],
            makes_groups=True,
        )
        assert not [action for action, arn, tags in elsewhere if allows(service_role(), action, arn, tags)]


def test_what_a_launch_makes_must_have_the_tag() -> None:  # F1
    """Our statements open the network, not the rest: instances, groups and templates are EMR's only when tagged."""
    touched = cluster({})
    assert len(refused(service_role(), touched)) == len(touched)


def test_our_statements_are_what_aws_policy_has_for_tagged_networks() -> None:  # F1
    """No action is added to those of AWS's policy; a new version of it shows here."""
    managed = managed_policy("AmazonEMRServicePolicy_v2")
    by_name = {statement["Sid"]: statement for statement in managed}
    assert sorted(LAUNCH) == sorted(by_name["CreateInTaggedNetwork"]["Action"])
    assert sorted(RULES) == sorted(by_name["ManageSecurityGroups"]["Action"])
    assert sorted(ENDPOINT) == sorted(by_name["CreateAndModifyEmrServiceVPCEndpoint"]["Action"])
    ours = {
        action
        for statement in role_statements(resources()["EmrServiceRole"])
        for action in statement["Action"]
        if action.startswith("ec2:")
    }
    assert ours == {*LAUNCH, *RULES, *ENDPOINT, "ec2:CreateSecurityGroup"}


def test_named_subnets_are_the_only_ones() -> None:  # F1
    """A subnet that is named may be shared by another account; the others are closed."""
    role = service_role({"ClusterSubnets": "subnet-0a1, subnet-0b2"})
    for account in (ACCOUNT, OTHER_ACCOUNT):
        for name in ("subnet-0a1", "subnet-0b2"):
            shared = network(
                {},
                subnet=ec2("subnet", name, account=account),
                vpc=ec2("vpc", "vpc-0a1", account=account),
                makes_groups=True,
            )
            assert refused(role, shared) == set()
    other = network({}, subnet=ec2("subnet", "subnet-0c3"))
    assert refused(role, other) == {(action, "subnet") for action in (*LAUNCH, *ENDPOINT)}


def test_the_service_role_makes_the_role_of_the_first_spot_instance() -> None:  # F10
    """The managed policy does not let it; and it makes no other role."""
    role, action = service_role(), "iam:CreateServiceLinkedRole"
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
    spot = {"iam:AWSServiceName": "spot.amazonaws.com"}
    assert not allows(managed_policy("AmazonEMRServicePolicy_v2"), action, arn, spot)
    assert allows(role, action, arn, spot)
    assert not allows(role, action, arn, {"iam:AWSServiceName": "ecs.amazonaws.com"})
    assert not allows(role, action, arn.replace("spot.", "ecs.").replace("EC2Spot", "ECS"), spot)


@pytest.mark.parametrize("service", ["", "sg-0c3"])
def test_named_security_groups_are_the_only_ones(service: str) -> None:  # F1
    """Two or three groups; the rules of all others stay as they are, and no group is made."""
    role = service_role(
        {
            "ClusterPrimarySecurityGroup": "sg-0a1",
            "ClusterNodeSecurityGroup": "sg-0b2",
            "ClusterServiceSecurityGroup": service,
        }
    )
    named = [ec2("security-group", name) for name in ("sg-0a1", "sg-0b2", service) if name]
    assert refused(role, network({}, groups=named)) == set()
    other = network({}, groups=[ec2("security-group", "sg-0d4")])
    assert refused(role, other) == {(action, "security-group") for action in (*LAUNCH, *RULES, *ENDPOINT)}
    assert refused(role, network({}, groups=named, makes_groups=True)) == {("ec2:CreateSecurityGroup", "vpc")}


@pytest.mark.parametrize(
    ("partition", "service"),
    [("aws", "elasticmapreduce.amazonaws.com"), ("aws-us-gov", "elasticmapreduce.amazonaws.com")]
    + [("aws-cn", "elasticmapreduce.amazonaws.com.cn")],
)
def test_emr_has_its_own_name_in_china(partition: str, service: str) -> None:  # F7
    """It takes the service role under that name, and passes the nodes' role to EC2 under either."""
    made = resources(partition=partition)
    [trusted] = made["EmrServiceRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": service}
    [pass_role] = [one for one in role_statements(made["EmrServiceRole"]) if one["Action"] == "iam:PassRole"]
    for name in ("ec2.amazonaws.com", "ec2.amazonaws.com.cn"):
        assert allows([pass_role], "iam:PassRole", pass_role["Resource"], {"iam:PassedToService": name})
    assert not allows(
        [pass_role], "iam:PassRole", pass_role["Resource"], {"iam:PassedToService": "lambda.amazonaws.com"}
    )


@pytest.mark.parametrize("parameters", [{"KmsKeyArn": KEY}, {"MakeKey": "yes"}], ids=["given", "made"])
def test_a_grant_of_the_key_is_only_for_aws(parameters: dict[str, str]) -> None:  # I4
    """EBS needs a grant; nobody else gets one. The rest of the key's uses needs no condition."""
    role = service_role(parameters)
    key = KEY if "KmsKeyArn" in parameters else f"arn:aws:kms:{REGION}:{ACCOUNT}:key/toptalkers-Key"
    assert allows(role, "kms:CreateGrant", key, {"kms:GrantIsForAWSResource": "true"})
    assert not allows(role, "kms:CreateGrant", key, {"kms:GrantIsForAWSResource": "false"})
    assert not allows(role, "kms:CreateGrant", key)
    assert allows(role, "kms:GenerateDataKeyWithoutPlaintext", key)


READS = {
    "ReadBuckets": "central-flow-logs, other.flow-logs",
    "ReadKmsKeyArns": f"{KEY},{KEY.replace(ACCOUNT, OTHER_ACCOUNT)}",
}


@pytest.mark.parametrize("bucket", ["central-flow-logs", "other.flow-logs"])
def test_nodes_read_the_buckets_that_they_are_told(bucket: str) -> None:  # F2
    """They list and read them, and change nothing there; without the parameter they do not."""
    arn = f"arn:aws:s3:::{bucket}"
    reads = [("s3:ListBucket", arn), ("s3:GetBucketLocation", arn), ("s3:GetObject", f"{arn}/AWSLogs/a/b.log.gz")]
    for action, resource in reads:
        assert allows(nodes_role(READS), action, resource), action
        assert not allows(nodes_role(), action, resource), action
        assert not allows(nodes_role(READS), action, resource.replace(bucket, f"{bucket}-2")), action
    for action in ("s3:PutObject", "s3:DeleteObject"):
        assert not allows(nodes_role(READS), action, f"{arn}/AWSLogs/a/b.log.gz"), action


def test_nodes_use_the_keys_that_they_are_told() -> None:  # F2
    """They decrypt with them, and encrypt nothing."""
    for key in READS["ReadKmsKeyArns"].split(","):
        assert allows(nodes_role(READS), "kms:Decrypt", key)
        assert not allows(nodes_role(READS), "kms:GenerateDataKey", key)
        assert not allows(nodes_role(), "kms:Decrypt", key)


@pytest.mark.parametrize("bucket", ["toptalkers-bucket", "kept"])
def test_nodes_read_the_whole_bucket_and_write_to_runs(bucket: str) -> None:  # P8
    """Hadoop asks for `flowlogs` before it lists `flowlogs/`; input may lie anywhere; only runs write."""
    role = nodes_role({"ExistingBucket": "" if bucket == "toptalkers-bucket" else bucket})
    for key in ("flowlogs", "flowlogs/", "AWSLogs/2026/x.gz", "of-a-colleague/x.gz"):
        assert allows(role, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}"), key
    assert not allows(role, "s3:GetObject", f"arn:aws:s3:::{bucket}-2/x.gz")
    for folder in (locations.RUNS, locations.RUN_LOGS):
        assert allows(role, "s3:PutObject", f"arn:aws:s3:::{bucket}/{folder}20261123T181500Z-4f2a/x")
    assert not allows(role, "s3:PutObject", f"arn:aws:s3:::{bucket}/{locations.CODE}x")


def test_session_manager_reaches_nodes_only_when_asked_for() -> None:  # I6
    """By AWS's own policy on the nodes' role."""
    assert "ManagedPolicyArns" not in resources()["EmrInstanceRole"]["Properties"]
    policies = resources({"NodesSsm": "yes"})["EmrInstanceRole"]["Properties"]["ManagedPolicyArns"]
    assert policies == ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]


def test_every_role_has_the_boundary_and_the_path() -> None:
    """So does the instance profile its role's path; EMR gets ARNs, because a name says nothing of a path."""
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    made = computed(build_template(), {"PermissionsBoundaryArn": boundary, "RolePath": "/network/"})
    roles = [one["Properties"] for one in made["Resources"].values() if one["Type"] == "AWS::IAM::Role"]
    assert len(roles) == 5
    assert {(one["PermissionsBoundary"], one["Path"]) for one in roles} == {(boundary, "/network/")}
    assert made["Resources"]["EmrInstanceProfile"]["Properties"]["Path"] == "/network/"
    outputs = {name: one["Value"] for name, one in made["Outputs"].items()}
    assert outputs["EmrServiceRole"] == f"arn:aws:iam::{ACCOUNT}:role/network/toptalkers-EmrServiceRole"
    assert (
        outputs["EmrInstanceProfile"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/network/toptalkers-EmrInstanceRole"
    )
    outputs = {name: one["Value"] for name, one in computed(build_template(), {})["Outputs"].items()}
    assert (outputs["EmrServiceRole"], outputs["EmrInstanceProfile"]) == (
        "toptalkers-EmrServiceRole",
        "toptalkers-EmrInstanceRole",
    )


def test_the_profile_has_the_role_of_its_name() -> None:
    """EMR takes no other profile, and one without a role gives the nodes nothing."""
    profile = resources()["EmrInstanceProfile"]["Properties"]
    assert profile["Roles"] == [profile["InstanceProfileName"]] == ["toptalkers-EmrInstanceRole"]


@pytest.mark.parametrize(("parameters", "mode"), [({}, "SSE-S3"), ({"KmsKeyArn": KEY}, "SSE-KMS")])
def test_what_emr_encrypts(parameters: dict[str, str], mode: str) -> None:  # I1
    """The parts are those of EMR's guide, "Create a security configuration": a key belongs to its mode and provider."""
    made = resources(parameters)["EmrSecurity"]["Properties"]["SecurityConfiguration"]
    assert made["InstanceMetadataServiceConfiguration"]["MinimumInstanceMetadataServiceVersion"] == 2
    encryption = made["EncryptionConfiguration"]
    assert encryption["EnableAtRestEncryption"] is True
    at_rest = encryption["AtRestEncryptionConfiguration"]
    key = {"AwsKmsKey": KEY} if parameters else {}
    assert at_rest["S3EncryptionConfiguration"] == {"EncryptionMode": mode, **key}
    disks = at_rest.get("LocalDiskEncryptionConfiguration", {})
    assert bool(disks) is bool(parameters)
    assert disks.get("EncryptionKeyProviderType", "AwsKms") == "AwsKms"
