"""Why a cluster did not start: EMR's real codes and messages, and the command that mends each."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.fake_account import FakeAccount
from toptalkers.question.query import Query
from toptalkers.runs.cluster.causes import find_cause
from toptalkers.runs.cluster.request import ClusterOptions
from toptalkers.runs.plan import RunPlan, plan_run
from toptalkers.runs.site import Site

ROLE = "arn:aws:iam::123456789012:role/EmrRole"

# From EMR's management guide, from EC2's errors, and from users' reports of clusters that ended while STARTING.
MESSAGES = [
    ("permission", f"Service role {ROLE} has insufficient EC2 permissions", "create-tags"),
    (
        "permission",
        (
            f"Service role {ROLE} has insufficient EC2 permissions. EC2 Message: You are not authorized to perform:"
            " ec2:CreateSecurityGroup"
        ),
        "create-tags",
    ),
    (
        "permission",
        (
            "Service-linked role 'AWSServiceRoleForEMRCleanup' for EMR is required. Please create this role directly or"
            " add permission to create it in your IAM entity."
        ),
        "create-service-linked-role --aws-service-name elasticmapreduce.amazonaws.com",
    ),
    # F10
    (
        "permission",
        "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
        "create-service-linked-role --aws-service-name spot.amazonaws.com",
    ),
    ("permission", "AuthFailure.ServiceLinkedRoleCreationNotPermitted", "--aws-service-name spot.amazonaws.com"),
    ("permission", f"EMR service role {ROLE} is invalid", "aws iam get-role --role-name EmrRole"),
    (
        "permission",
        "Failed to provision ec2 instances because 'The requested instance profile EmrNodes is invalid'",
        "aws iam get-instance-profile --instance-profile-name EmrNodes",
    ),
    (
        "permission",
        "The master instance i-0123456789abcdef0 was terminated: Client.InternalError: Client error on launch",
        "aws kms get-key-policy --region us-east-1",
    ),
    # F6
    (
        "quota",
        (
            "The number of vCPUs for instance type m7g.xlarge exceeds the EC2 service quota for that type. Request a"
            " service quota increase for your AWS account or choose a different instance type and retry the request."
        ),
        "--quota-code L-1216C47A --desired-value 8'",
    ),
    (
        "quota",
        (
            "You have requested more vCPU capacity than your current vCPU limit of 5 allows for the instance bucket"
            " that the specified instance type belongs to."
        ),
        "--quota-code L-1216C47A --desired-value 8'",
    ),
    ("quota", "MaxSpotInstanceCountExceeded: Max spot instance count exceeded", "--quota-code L-34B43A08"),
    (
        "capacity",
        "EC2 has insufficient capacity for the requested instance type in the requested Availability Zone",
        "--instance-type",
    ),
    ("capacity", "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ", "--subnet"),
    ("capacity", "INTERNAL_ERROR_SPOT_NO_CAPACITY_PRIMARY", "--subnet"),
    ("capacity", "INTERNAL_ERROR_SPOT_PRICE_INCREASE_PRIMARY", "--subnet"),
    ("capacity", "INSTANCE_FLEET_TIMEOUT", "--subnet"),
    (
        "subnet",
        (
            "The VPC/subnet configuration was invalid: No route to any external sources detected in Route Table for"
            " Subnet: subnet-1 for VPC: vpc-1"
        ),
        "aws ec2 create-vpc-endpoint --region us-east-1 --vpc-id vpc-1 --service-name com.amazonaws.us-east-1.s3",
    ),
    (
        "subnet",
        (
            "The subnet configuration was invalid: Cannot find route to InternetGateway in main RouteTable rtb-1 for"
            " vpc vpc-1."
        ),
        "create-vpc-endpoint",
    ),
    ("subnet", "VALIDATION_ERROR_SUBNET_NOT_FROM_ONE_VPC", "--subnet"),
    ("subnet", "The VPC/subnet configuration was invalid: The subnet subnet-1 does not exist", "describe-subnets"),
    ("subnet", "VALIDATION_ERROR_SECURITY_GROUP_NOT_FROM_ONE_VPC", "security groups"),
    (
        "subnet",
        "ServiceAccessSecurityGroup is missing ingress rule from EmrManagedMasterSecurityGroup on port 9443",
        "security groups",
    ),
    ("key", "VALIDATION_ERROR_INVALID_SSH_KEY_NAME", "aws ec2 describe-key-pairs --region us-east-1"),
    ("key", "The given SSH key name was invalid", "--key-name"),
    ("type", "VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED", "--instance-type"),
    ("type", "Instance type 'm7g.xlarge' is not supported.", "--primary-type"),
    (
        "bootstrap",
        "On the master instance (i-0123456789abcdef0), bootstrap action 1 returned a non-zero return code",
        "aws s3 ls --recursive s3://toptalkers-123456789012/logs/",
    ),
    ("bootstrap", "On the master instance (i-0123456789abcdef0), application provisioning failed", "s3 ls"),
    ("bootstrap", "BOOTSTRAP_FAILURE_INSUFFICIENT_DISK_SPACE_PRIMARY", "s3 ls"),
]


@pytest.fixture(scope="module")
def plan() -> RunPlan:
    """A run with roles of others in a subnet without tags."""
    return make_plan(lambda site: replace(site, is_stack=False, service_role=ROLE, instance_profile="EmrNodes"))


def make_plan(change: Callable[[Site], Site], **options: object) -> RunPlan:
    account = FakeAccount()
    account.capture("2026/11/23/18")
    return plan_run(
        account.open(),
        change(account.site),
        Query.parse(),
        options=ClusterOptions(subnets=("subnet-1",), **options),  # type: ignore[arg-type]
        token="4f2a",  # noqa: S106
    )


@pytest.mark.parametrize(("kind", "message", "mend"), MESSAGES, ids=lambda one: one[:40])
def test_a_cause_has_a_command_that_mends_it(plan: RunPlan, kind: str, message: str, mend: str) -> None:
    """Whether EMR tells it by a code or in words."""
    for codes, words in (((message,), ""), (("VALIDATION_ERROR",), message)):
        found = find_cause(plan, codes, words)
        assert found
        assert found[0] == kind
        assert mend in found[1]
        assert "\n" not in found[1]


def test_f1_a_role_of_the_stack_is_mended_by_deploy() -> None:
    """F1: its own statements let it use networks without tags; a stack of an older version has not got them."""
    message = f"Service role {ROLE} has insufficient EC2 permissions"
    found = find_cause(make_plan(lambda site: site), (), message)
    assert found == ("permission", "'toptalkers deploy --stack-name toptalkers' brings the role up to date")
    theirs = find_cause(make_plan(lambda site: replace(site, is_stack=False)), (), message)
    assert theirs
    assert "'aws ec2 create-tags --region us-east-1 --resources subnet-1 vpc-1 --tags" in theirs[1]
    assert "Key=for-use-with-amazon-emr-managed-policies,Value=true'" in theirs[1]


def test_the_quota_that_is_exceeded() -> None:
    """Spot and on-demand instances have a quota each; what is asked for is what the cluster needs."""
    plan = make_plan(lambda site: site, spot=True, task=5)
    spot = find_cause(plan, (), "Max spot instance count exceeded")
    assert spot
    assert "--quota-code L-34B43A08 --desired-value 20'" in spot[1]


def test_words_that_are_not_known(plan: RunPlan) -> None:
    """No hint is better than a wrong one."""
    assert find_cause(plan, ("INTERNAL_ERROR",), "An internal error occurred.") is None
