"""The stack's own role is enough under enforced IAM; and while S3 refuses the Lambda, nothing is lost."""

import json
import os
import time
from pathlib import Path

import boto3
import pytest

from tests.processes import wait_for
from tests.sandbox.test_replay_capture import answer, download
from toptalkers.capture.template import render_template
from toptalkers.sample.writer import write_sample
from toptalkers.sandbox.local_aws import local_aws
from toptalkers.sandbox.replay import find_stream, find_target, replay, sandbox_clients

pytestmark = pytest.mark.sandbox


def test_a_failing_put_loses_nothing(tmp_path: Path) -> None:
    """Without s3:PutObject nothing is written and the batch is retried; with it again, the answer is the source's."""
    source, landed, state = tmp_path / "source", tmp_path / "landed", tmp_path / "aws"
    state.mkdir()
    write_sample(source, records=3_000)
    before = dict(os.environ)
    with local_aws(state, enforce_iam=True) as aws:
        os.environ.clear()
        os.environ.update(aws.environment)
        try:
            session = boto3.Session()  # the default session keeps the keys of an earlier sandbox
            cloudformation, iam = session.client("cloudformation"), session.client("iam")
            cloudformation.create_stack(
                StackName="toptalkers", TemplateBody=render_template(), Capabilities=["CAPABILITY_NAMED_IAM"]
            )
            stack = "toptalkers"
            wait_for(lambda: "CREATE_COMPLETE" in str(cloudformation.describe_stacks(StackName=stack)["Stacks"][0]))
            role = str(
                cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="FunctionRole")[
                    "StackResourceDetail"
                ]["PhysicalResourceId"]
            )
            (policy_name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
            policy = json.loads(
                json.dumps(iam.get_role_policy(RoleName=role, PolicyName=policy_name)["PolicyDocument"])
            )
            without_put = {
                **policy,
                "Statement": [each for each in policy["Statement"] if "s3:PutObject" not in each["Action"]],
            }
            assert len(without_put["Statement"]) == len(policy["Statement"]) - 1

            iam.put_role_policy(RoleName=role, PolicyName=policy_name, PolicyDocument=json.dumps(without_put))
            clients = sandbox_clients()
            target = find_target(clients, find_stream(stack))
            replay([str(source)], clients, target)
            time.sleep(6)
            assert download(clients.s3, target.bucket, "flowlogs/", landed) == {}

            iam.put_role_policy(RoleName=role, PolicyName=policy_name, PolicyDocument=json.dumps(policy))

            def is_all_there() -> bool:
                download(clients.s3, target.bucket, "flowlogs/", landed)
                return landed.exists() and answer(landed) == answer(source)

            wait_for(is_all_there, 90)
        finally:
            os.environ.clear()
            os.environ.update(before)
