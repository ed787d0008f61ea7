"""The whole story through the command line alone, inside `toptalkers sandbox run`: python -m tests.sandbox.story.

Takes a folder of flow logs and a folder to leave what it got in. Ends with the exit code of the first command that
fails; prints each command before it runs.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import IO

import boto3

from toptalkers.sample.snapshot import RANGES

TOPTALKERS = [sys.executable, "-m", "toptalkers"]


def toptalkers(*arguments: str, expect: int = 0, log: IO[str] | None = None) -> str:
    """Run one command; return its standard output. What it says besides goes to `log`, or to standard error."""
    print("$ toptalkers", shlex.join(arguments), flush=True)
    done = subprocess.run([*TOPTALKERS, *arguments], stdout=subprocess.PIPE, text=True, check=False, stderr=log)
    if done.returncode != expect:
        sys.exit(f"ended with {done.returncode} instead of {expect}: {done.stdout}")
    return done.stdout


def captured(bucket: str, folder: Path) -> None:
    """Copy the objects that the capture chain wrote."""
    s3 = boto3.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="flowlogs/"):
        for found in page.get("Contents", []):
            path = folder / found["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, found["Key"], str(path))


def stack_output(name: str) -> str:
    """Return one output of the stack."""
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName="toptalkers")["Stacks"]
    return next(output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == name)


def tell_names(stored: str, got: Path) -> None:
    """Take a snapshot, name the fetched answer by it, and draw what is stored."""
    ranges = [
        {"ip_prefix": one.network, "region": one.region, "service": one.service, "network_border_group": one.region}
        for one in RANGES
    ]
    (got / "ip-ranges.json").write_text(json.dumps({"prefixes": ranges, "ipv6_prefixes": []}))
    snapshot = got / "network.json.gz"
    toptalkers("snapshot", "--ip-ranges", str(got / "ip-ranges.json"), "--output", str(snapshot))
    # The traffic is of one day, and the snapshot of today.
    naming = ["--names", str(snapshot), "--names-within", "36500d"]
    for name, key in (("by-port.tsv", "src.sg,dst.sg,dstport"), ("by-service.tsv", "src.sg,dst.sg,service")):
        (got / name).write_text(toptalkers("fetch-results", *naming, "--by", key, "--format", "tsv"))
    asked = ["--ports", "all"]
    toptalkers("graph", stored, *naming, *asked, "--metric", "bytes", "--output", str(got / "network.html"))
    toptalkers("graph", stored, *naming, *asked, "--view", "sg", "--output", str(got / "network.dot"))
    toptalkers("report", stored, *naming, "--output", str(got / "report.html"))


def main(source: Path, got: Path, parts: set[str]) -> None:
    """Deploy, enable, replay, run-local from S3, run-emr, fetch-results, disable, destroy."""
    vpc = boto3.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    toptalkers("deploy", "--yes")
    toptalkers("deploy", "--yes")
    toptalkers("enable-flowlogs", vpc, "--traffic", "ALL")
    toptalkers("enable-flowlogs", vpc, "--traffic", "ALL")
    replay = ["--retry"] * ("retry" in parts) + ["--poison", "7"] * ("poison" in parts)
    toptalkers("sandbox", "replay", str(source), "--wait", *replay)
    (got / "status.txt").write_text(toptalkers("status"))
    bucket = stack_output("BucketName")
    captured(bucket, got)
    (got / "stored.tsv").write_text(
        toptalkers("run-local", f"s3://{bucket}/flowlogs/", "--ports", "all", "--metric", "bytes")
    )
    if "emr" in parts:
        toptalkers("run-emr", "--yes", "--ports", "all", "--metric", "bytes")
        (got / "runs.txt").write_text(toptalkers("runs"))
        with (got / "tally.txt").open("w") as log:
            (got / "answer.tsv").write_text(toptalkers("fetch-results", "--format", "tsv", log=log))
        (got / "table.txt").write_text(toptalkers("fetch-results", "--format", "table", "--top", "5"))
        clusters = boto3.client("emr").list_clusters()["Clusters"]
        assert [cluster["Status"]["State"] for cluster in clusters] == ["TERMINATED"]
    if "names" in parts:
        tell_names(f"s3://{bucket}/flowlogs/", got)
    if "conversations" in parts:
        toptalkers("run-emr", "--yes", "--count", "once", "--pairs")
        with (got / "pairs.txt").open("w") as log:
            (got / "pairs.tsv").write_text(toptalkers("fetch-results", "--format", "tsv", log=log))
    toptalkers("disable-flowlogs", "--all")
    flow_logs = boto3.client("ec2").describe_flow_logs()["FlowLogs"]
    assert flow_logs == [], flow_logs
    toptalkers("destroy", "--yes", "--delete-data")
    buckets = [found["Name"] for found in boto3.client("s3").list_buckets()["Buckets"]]
    assert bucket not in buckets


if __name__ == "__main__":
    assert "127.0.0.1" in os.environ["AWS_ENDPOINT_URL"]
    main(Path(sys.argv[1]), Path(sys.argv[2]), set(sys.argv[3:]))
