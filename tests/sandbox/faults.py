"""Runs that go wrong, inside `toptalkers sandbox run`: python -m tests.sandbox.faults; exits with 0 if all is right."""

import gzip
import os
import signal
import subprocess
import sys
import time
from typing import Any

import boto3

TOPTALKERS = [sys.executable, "-m", "toptalkers"]
HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
RECORD = "2 123456789012 eni-1 10.0.0.1 10.0.0.2 49152 443 6 1 1 1 61 ACCEPT OK"


def toptalkers(*arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run one command, and check its end."""
    done = subprocess.run([*TOPTALKERS, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == expect, done
    return done


def clusters(*states: str) -> list[Any]:
    """Return the clusters in these states, or in any."""
    asked: Any = {"ClusterStates": list(states)} if states else {}
    return list(boto3.client("emr").list_clusters(**asked)["Clusters"])


def main() -> None:
    """A step that fails, with a late log; no capacity; throttling; Ctrl-C; nothing is left running."""
    toptalkers("deploy", "--yes")
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName="toptalkers")["Stacks"]
    bucket = next(one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "BucketName")
    empty = toptalkers("run-emr", "--yes", expect=1)
    assert "no flow logs to read" in empty.stderr, empty
    assert not clusters()
    body = gzip.compress(f"{HEADER}\n{RECORD}\n".encode())
    key = "flowlogs/2026/11/23/18/shardId-000000000000-1-1.gz"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    failed = toptalkers("run-emr", "--yes", "--tag", "sandbox:fault=step-failure late-logs", expect=3)
    assert "step flowlogs-aggregate failed: Traceback" in failed.stderr, failed
    assert "ZeroDivisionError" in failed.stderr, failed
    assert "/containers/" in failed.stderr, failed

    nowhere = toptalkers("run-emr", "--yes", "--tag", "sandbox:fault=no-capacity", expect=3)
    assert "insufficient capacity" in nowhere.stderr, nowhere

    running = subprocess.Popen(
        [*TOPTALKERS, "run-emr", "--yes", "--tag", "sandbox:fault=never-starts"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not clusters("STARTING"):
        time.sleep(0.2)
    time.sleep(3)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130, said
    assert "is told to end" in said, said

    slow = toptalkers("run-emr", "--yes", "--tag", "sandbox:fault=throttling")
    assert toptalkers("fetch-results", slow.stdout.strip()).stdout == "10.0.0.1:10.0.0.2:443\t1\n"
    states = [line.split()[1] for line in toptalkers("runs").stdout.splitlines()[1:]]
    assert states == ["COMPLETED", "CANCELLED", "FAILED", "FAILED"], states
    assert not clusters("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")


if __name__ == "__main__":
    assert "127.0.0.1" in os.environ["AWS_ENDPOINT_URL"]
    main()
