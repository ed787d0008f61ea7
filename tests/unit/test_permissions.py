"""The policies that `render permissions` prints: valid, no wider than needed, and small enough for IAM."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cfnlint  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner

from tests.permitted import Call, check_permitted, policy_allows
from tests.render import ROOT
from toptalkers.capture.template import build_template
from toptalkers.cli.main import SECTIONS, cli
from toptalkers.permissions import COMMANDS, POLICY_CHARACTERS, RESOURCE_ACTIONS, Names, policy_of, render_policy

DATA = Path(cfnlint.__file__).parent / "data"
KNOWN = json.loads((DATA / "AdditionalSpecs/Policies.json").read_text())
EVERY = Names(account="123456789012", region="eu-west-1")


def handlers(kind: str) -> set[str]:
    """The actions of a resource type's handlers, from CloudFormation's registry, in cfn-lint's copy."""
    found: set[str] = set()
    # A Region with an older version of the type has a file of its own.
    for path in (DATA / "schemas/resources").glob("*.json"):
        schema = json.loads(path.read_text())
        if schema.get("typeName") == kind:
            found |= {one for handler in schema["handlers"].values() for one in handler["permissions"]}
    return found


def test_each_command_that_talks_to_aws_has_a_policy() -> None:
    """Only the commands that never do have none."""
    commands = {name for names in SECTIONS.values() for name in names}
    assert commands - set(COMMANDS) - {"names"} == {"sample", "sandbox", "render"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_policy_has_only_actions_that_exist(command: str) -> None:
    """Each action is known to IAM; none has a pattern."""
    for statement in policy_of([command], EVERY)["Statement"]:
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            assert name.lower() in KNOWN[service]["Actions"], action


@pytest.mark.parametrize("command", COMMANDS)
def test_a_policy_fits(command: str) -> None:
    """IAM takes it as one managed policy."""
    assert len("".join(render_policy(policy_of([command], EVERY)).split())) <= POLICY_CHARACTERS


@pytest.mark.parametrize("command", COMMANDS)
def test_everything_that_has_a_resource_is_narrowed(command: str) -> None:
    """`*` is only for actions that IAM gives no resource types, or whose resources have no names to go by."""
    nameless = {"elasticmapreduce:CreateSecurityConfiguration", "elasticmapreduce:DeleteSecurityConfiguration"}
    nameless |= {"lambda:CreateEventSourceMapping", "lambda:DeleteEventSourceMapping", "lambda:GetEventSourceMapping"}
    nameless |= {"lambda:UpdateEventSourceMapping", "logs:DescribeLogGroups", "cloudwatch:GetMetricData"}
    for statement in policy_of([command], EVERY)["Statement"]:
        if statement["Resource"] != ["*"]:
            continue
        for action in set(statement["Action"]) - nameless:
            service, _, name = action.partition(":")
            if service != "kms":
                assert not KNOWN[service]["Actions"][name.lower()].get("Resources"), action


@pytest.mark.parametrize("command", COMMANDS)
def test_what_has_no_resource_is_allowed_on_all(command: str) -> None:
    """IAM never matches the ARN of a resource with an action that has no resource types."""
    for statement in policy_of([command], EVERY)["Statement"]:
        for action in statement["Action"] if statement["Resource"] != ["*"] else ():
            service, _, name = action.partition(":")
            assert KNOWN[service]["Actions"][name.lower()].get("Resources"), action


def test_keys_are_used_through_s3_for_our_buckets_only() -> None:
    """F4: a bucket with a customer's key; with a bucket key, its ARN is the context, without one the object's."""
    names = replace(EVERY, bucket="own", read_buckets=("another",))
    [use] = [one for one in policy_of(["run-local"], names)["Statement"] if "kms:Decrypt" in one["Action"]]
    assert use["Action"] == ["kms:Decrypt"]
    assert use["Condition"]["StringLike"] == {
        "kms:ViaService": "s3.*.amazonaws.com*",
        "kms:EncryptionContext:aws:s3:arn": [
            *("arn:aws:s3:::own", "arn:aws:s3:::another", "arn:aws:s3:::own/*", "arn:aws:s3:::another/*")
        ],
    }
    for command in ("run-emr", "fetch-results", "runs"):
        statements = policy_of([command], names)["Statement"]
        writes = any("kms:GenerateDataKey" in one["Action"] for one in statements)
        assert writes == any("s3:PutObject" in one["Action"] for one in statements), command


def test_all_that_changes_keys_goes_through_cloudformation() -> None:
    """The stack's key has no name before it is made, so that the resource cannot be narrower."""
    for statement in policy_of(["deploy"], EVERY)["Statement"]:
        if any(re.match("kms:|elasticmapreduce:", one) for one in statement["Action"]):
            called = {"aws:CalledVia": "cloudformation.amazonaws.com"}
            assert statement["Condition"] == {"ForAnyValue:StringEquals": called}


def test_only_flow_logs_are_tagged() -> None:
    """And only when they are made."""
    [tag] = [one for one in policy_of(["enable-flowlogs"], EVERY)["Statement"] if "ec2:CreateTags" in one["Action"]]
    assert tag["Action"] == ["ec2:CreateTags"]
    assert tag["Resource"] == ["arn:aws:ec2:eu-west-1:123456789012:vpc-flow-log/*"]
    assert tag["Condition"] == {"StringEquals": {"ec2:CreateAction": "CreateFlowLogs"}}


def test_a_role_of_cloudformation_is_passed_and_makes_the_resources() -> None:
    """The person then makes nothing but the change set; a bucket that is taken over is changed in their name."""
    role = "arn:aws:iam::123456789012:role/cfn"
    statements = policy_of(["deploy"], replace(EVERY, cloudformation_role=role))["Statement"]
    [passed] = [one for one in statements if "iam:PassRole" in one["Action"]]
    assert passed["Resource"] == [role]
    assert passed["Condition"] == {"StringLike": {"iam:PassedToService": "cloudformation.amazonaws.com*"}}
    actions = {action for one in statements for action in one["Action"]}
    assert {one.partition(":")[0] for one in actions} == {"cloudformation", "ec2", "iam", "kinesis", "s3"}
    assert {"s3:PutBucketPolicy", "s3:PutLifecycleConfiguration"} < actions
    assert "s3:CreateBucket" not in actions
    printed = CliRunner().invoke(cli, ["render", "permissions", "deploy", "--cloudformation-role", role])
    assert role in printed.stdout


def test_cloudformation_may_do_what_the_template_needs() -> None:
    """Each resource type has a row, and a row has only what the handlers of the type call."""
    types = {one["Type"] for one in build_template()["Resources"].values()}
    assert types - set(RESOURCE_ACTIONS) == set()
    for kind, (making, deleting) in RESOURCE_ACTIONS.items():
        extra = {*making, *deleting} - handlers(kind)
        assert extra <= {"kinesis:TagResource"}, kind


NOT_ASKED = {
    "AWS::IAM::Role": {"iam:UpdateRoleDescription"},
    "AWS::KMS::Key": {"kms:EnableKey", "kms:UpdateKeyDescription"},
    "AWS::Kinesis::Stream": {
        "kinesis:UpdateMaxRecordSize",
        "kinesis:UpdateStreamRecordDistributionStrategy",
        "kinesis:UpdateStreamWarmThroughput",
    },
    "AWS::Lambda::Function": {
        "kms:CreateGrant",
        "lambda:DeleteFunctionCodeSigningConfig",
        "lambda:DeleteFunctionConcurrency",
    },
    "AWS::Logs::LogGroup": {
        "logs:CreateLogDelivery",
        "logs:DeleteDataProtectionPolicy",
        "logs:DeleteIndexPolicy",
        "logs:DeleteResourcePolicy",
        "logs:DeleteRetentionPolicy",
    },
}
"""What handlers make, change or delete only for properties that the template does not have, or does not change."""


@pytest.mark.parametrize("kind", sorted(set(RESOURCE_ACTIONS) - {"AWS::S3::Bucket"}))
def test_no_handler_lacks_what_makes_changes_or_deletes(kind: str) -> None:
    """A row has each such action of its type, and what reads tags; most of a bucket's are for what we do not use."""
    making, deleting = RESOURCE_ACTIONS[kind]
    lacking = handlers(kind) - {*making, *deleting} - NOT_ASKED.get(kind, set())
    verbs = ("Create", "Update", "Delete", "TagResource", "UntagResource", "ListTagsForResource")
    assert not [one for one in lacking if one.partition(":")[2].startswith(verbs)]


def called_operations() -> Iterator[Call]:
    """The operations that the gateways call, from their source."""
    for path in sorted((ROOT / "src/toptalkers/aws").glob("*.py")):
        text = path.read_text()
        # There are no types of Service Quotas among those that we install.
        services = re.findall(r"from mypy_boto3_(\w+) import|the client of `([a-z-]+)`", text)
        methods = re.findall(r"self\._client\w*\.([a-z0-9_]+)[(,]", text) + re.findall(
            r'get_paginator\("(\w+)"\)', text
        )
        for method in set(methods) - {"get_paginator"}:
            operation = "".join(part.capitalize() for part in method.split("_"))
            yield Call("".join(services[0]).replace("_", "-"), operation, {"Bucket": "", "CopySource": {"Bucket": ""}})


REASONS = {
    "iam:PassRole": "roles are passed to EMR, to flow logs, and by CloudFormation",
    "iam:CreateServiceLinkedRole": "the first cluster and the first Spot instance of an account make AWS's own roles",
    "cloudformation:UntagResource": "an update whose tags changed",
}
"""Actions that no operation of ours is named after, with the reasons why they are granted."""


def test_no_action_is_granted_that_nothing_needs() -> None:
    """Each comes from an operation of a gateway, from what CloudFormation does for us, or has a reason."""
    needed = {action for call in called_operations() for action, _ in call.needs}
    needed |= {one for making, deleting in RESOURCE_ACTIONS.values() for one in (*making, *deleting)}
    granted = {one for statement in policy_of(COMMANDS, EVERY)["Statement"] for one in statement["Action"]}
    assert granted - needed - set(REASONS) == set()


def test_event_source_mappings_are_tagged() -> None:
    """`deploy --tag` tags them as well, and they have no name to go by."""
    mapping = "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:1"
    assert policy_allows(policy_of(["deploy"], EVERY), "lambda:TagResource", mapping)


def test_direct_delivery_needs_log_delivery() -> None:
    """F4: CreateFlowLogs to S3 needs logs:CreateLogDelivery, DeleteFlowLogs its opposite."""
    assert policy_allows(policy_of(["enable-flowlogs"], EVERY), "logs:CreateLogDelivery", "*")
    for command in ("disable-flowlogs", "destroy"):
        assert policy_allows(policy_of([command], EVERY), "logs:DeleteLogDelivery", "*")


def test_a_call_without_a_row_is_found() -> None:
    """The check of the other tests fails with what to do."""
    with pytest.raises(AssertionError, match=r"needs kinesis:PutRecord .* add it to COMMANDS\['status'\]"):
        check_permitted("status", [Call("kinesis", "PutRecord", {})], Names())
    other = Call("s3", "GetObject", {"Bucket": "another", "Key": "flowlogs/x"})
    with pytest.raises(AssertionError, match="arn:aws:s3:::another/flowlogs/x"):
        check_permitted("run-emr", [other], Names(bucket="own"))
    assert check_permitted("run-emr", [other], Names(bucket="own", read_buckets=("another",))) == {
        "kms:Decrypt",
        "s3:GetObject",
    }


def test_the_command_prints_one_policy() -> None:
    """For one command, with names; for all, with a note that it is too large for IAM."""
    one = CliRunner().invoke(cli, ["render", "permissions", "run-emr", "--bucket", "own", "--account", "123456789012"])
    assert one.exit_code == 0
    assert one.stderr == ""
    assert "arn:aws:s3:::own/runs/*" in one.stdout
    every = CliRunner().invoke(cli, ["render", "permissions"])
    assert json.loads(every.stdout)["Version"] == "2012-10-17"
    assert "name fewer commands" in every.stderr
    wrong = CliRunner().invoke(cli, ["render", "permissions", "run-er"])
    assert wrong.exit_code == 2
