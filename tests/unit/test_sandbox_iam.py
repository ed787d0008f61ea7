"""The sandbox's evaluation of IAM policies, by the rules of the IAM user guide."""

import json
from typing import Any

import pytest

from toptalkers.sandbox.iam import Decision, Request, decide, decide_by_resource

GET = Request("s3:GetObject", "arn:aws:s3:::logs/AWSLogs/a.gz", {"aws:SecureTransport": "false"})
LAUNCH = Request(
    "ec2:RunInstances",
    "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-0a",
    {"aws:ResourceTag/Use": "emr", "ec2:Vpc": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-0a"},
)


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.mark.parametrize(
    ("statement", "request_", "is_allowed"),
    [
        (allow("s3:GetObject", "arn:aws:s3:::logs/*"), GET, True),
        (allow(["s3:PutObject", "S3:get*"], ["arn:aws:s3:::x", "arn:aws:s3:::logs/AWSLogs/*"]), GET, True),
        (allow("s3:GetObject", "arn:aws:s3:::logs/awslogs/*"), GET, False),  # resources have a case, actions do not
        (allow("s3:GetObject", "arn:aws:s3:::logs"), GET, False),
        (allow("s3:GetObject", "arn:aws:s3:::logs/AWSLogs/?.gz"), GET, True),
        (allow("s3:GetObject", "arn:aws:s3:::logs/AWSLogs/?gz"), GET, False),
        ({"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}, GET, True),
        ({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, GET, False),
        ({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::logs/*"}, GET, False),
        (allow("*", Condition={"StringEquals": {"aws:ResourceTag/Use": ["spark", "emr"]}}), LAUNCH, True),
        (allow("*", Condition={"StringEquals": {"AWS:resourcetag/Use": "emr"}}), LAUNCH, True),
        (allow("*", Condition={"StringEquals": {"aws:ResourceTag/use": "emr"}}), LAUNCH, False),  # tags have a case
        (allow("*", Condition={"StringEquals": {"aws:RequestTag/Use": "emr"}}), LAUNCH, False),
        (allow("*", Condition={"StringEqualsIfExists": {"aws:RequestTag/Use": "emr"}}), LAUNCH, True),
        (allow("*", Condition={"StringNotEquals": {"aws:RequestTag/Use": "emr"}}), LAUNCH, True),
        (allow("*", Condition={"StringNotEquals": {"aws:ResourceTag/Use": ["x", "emr"]}}), LAUNCH, False),
        (allow("*", Condition={"StringLike": {"aws:ResourceTag/Use": "e*"}}), LAUNCH, True),
        (allow("*", Condition={"ArnLike": {"ec2:Vpc": "arn:aws:ec2:*:123456789012:vpc/*"}}), LAUNCH, True),
        (allow("*", Condition={"ArnNotLike": {"ec2:Vpc": "arn:aws:ec2:*:123456789012:vpc/*"}}), LAUNCH, False),
        (allow("*", Condition={"Bool": {"aws:SecureTransport": False}}), GET, True),
        (allow("*", Condition={"Bool": {"aws:SecureTransport": "true"}}), GET, False),
        (allow("*", Condition={"Null": {"aws:RequestTag/Use": "true", "ec2:Vpc": "false"}}), LAUNCH, True),
        (
            allow("*", Condition={"StringEquals": {"aws:ResourceTag/Use": "emr"}, "ArnLike": {"ec2:Vpc": "x"}}),
            LAUNCH,
            False,
        ),
    ],
)
def test_one_statement(statement: dict[str, Any], request_: Request, is_allowed: bool) -> None:
    """Wildcards, opposites, and every kind of condition: any value of a key, all keys, all operators."""
    decision = Decision.ALLOWED if is_allowed else Decision.NOT_ALLOWED
    assert decide([policy(statement)], request_) == decision
    assert decide([{"Statement": statement}], request_) == decision  # a single statement needs no list
    denied = json.loads(json.dumps(statement).replace('"Allow"', '"Deny"'))
    assert (decide([policy(allow("*")), policy(denied)], request_) == Decision.DENIED) == is_allowed


def test_a_boundary_limits_and_grants_nothing() -> None:
    """A request needs the policies and the boundary; a Deny in either wins."""
    everything, nothing = policy(allow("*")), policy(allow("ec2:*"))
    assert decide([everything], GET, boundary=[everything]) == Decision.ALLOWED
    assert decide([everything], GET, boundary=[nothing]) == Decision.NOT_ALLOWED
    assert decide([nothing], GET, boundary=[everything]) == Decision.NOT_ALLOWED
    assert decide([], GET) == Decision.NOT_ALLOWED
    denying = policy({"Effect": "Deny", "Action": "s3:*", "Resource": "*"})
    assert decide([everything], GET, boundary=[denying]) == Decision.DENIED


def test_an_unknown_operator_is_an_error() -> None:
    """To skip a condition would allow too much."""
    with pytest.raises(ValueError, match="IpAddress"):
        decide([policy(allow("*", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}))], GET)


@pytest.mark.parametrize(
    ("principal", "is_named"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": ["arn:aws:iam::111122223333:role/x", "arn:aws:iam::123456789012:role/nodes"]}, True),
        ({"AWS": "arn:aws:iam::111122223333:role/nodes"}, False),
        ({"Service": "delivery.logs.amazonaws.com"}, False),
    ],
)
def test_the_policy_of_a_bucket(principal: Any, is_named: bool) -> None:
    """A statement counts for those that it names."""
    bucket_policy = policy({**allow("s3:*"), "Principal": principal})
    decision = decide_by_resource(bucket_policy, GET, ["arn:aws:iam::123456789012:role/nodes"])
    assert decision == (Decision.ALLOWED if is_named else Decision.NOT_ALLOWED)
