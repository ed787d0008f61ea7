"""The whole life of a stack once, over HTTP, against a local AWS that creates what the template declares."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import BotoCoreError

pytest.importorskip("ministack")

pytestmark = pytest.mark.sandbox

# MiniStack alone lacks EMR security configurations, alarms on queries, and the tags of flow logs.
MINISTACK = """
import runpy
from toptalkers.sandbox.ministack_additions import add_to_ministack
add_to_ministack()
runpy.run_module("ministack", run_name="__main__")
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Start a MiniStack on a free port for one test; return the environment to reach it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    region = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    server = subprocess.Popen(
        [sys.executable, "-c", MINISTACK],
        env={
            **clean,
            "GATEWAY_PORT": port,
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": "123456789012",
            "MINISTACK_REGION": "eu-west-1",
            "LOG_LEVEL": "ERROR",
        },
        cwd=tmp_path,
    )
    try:
        yield {
            **clean,
            **region,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "HOME": str(tmp_path),
        }
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


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
    ec2 = boto3.client("ec2")
    for _ in range(100):
        try:
            vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
            break
        except BotoCoreError:
            time.sleep(0.2)
    else:
        pytest.fail("MiniStack does not answer")

    cloudformation = boto3.client("cloudformation")
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

    on = run(environment, "enable-flowlogs", vpc, "vpc-0999", "--no-wait")
    assert on.returncode == 1
    assert "Error: vpc-0999 is not on: there is no such VPC" in on.stderr
    assert "= already" in run(environment, "enable-flowlogs", vpc, "--no-wait").stderr

    s3 = boto3.client("s3")
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
