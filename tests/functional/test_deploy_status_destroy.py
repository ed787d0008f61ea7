"""`status` and `destroy`: the report, and the removal."""

from datetime import timedelta

import pytest

from tests.fake_aws import NOW, FakeAws
from tests.functional.conftest import Run

pytestmark = pytest.mark.usefixtures("deployed")

HOUR = timedelta(hours=1)


def put(aws: FakeAws, prefix: str, age: timedelta, name: str = "x.gz", size: int = 1024**2) -> None:
    """Add an object that arrived some time ago."""
    aws.store.objects[f"{prefix}{NOW - age:%Y/%m/%d/%H}/{name}"] = (size, NOW - age)


def test_status_of_a_stack_that_works(aws: FakeAws, run: Run) -> None:
    """Arrivals of the last hour and day, quarantine, lag and costs are computed from the bucket and the metrics."""
    run("enable-flowlogs", "vpc-1")
    put(aws, "flowlogs/", timedelta(minutes=3, seconds=20), "new.gz")
    put(aws, "flowlogs/", timedelta(minutes=50))
    put(aws, "flowlogs/", 20 * HOUR, size=1024**3)
    put(aws, "flowlogs/", 30 * HOUR)
    put(aws, "quarantine/", HOUR)
    aws.measures.values = {"RecordsKept": 1234567, "IteratorAge": 4000, "IncomingBytes": 10 * 1024**3}
    aws.calls.clear()
    done = run("status")
    assert done.exit_code == 0
    assert aws.mutations == []
    assert "toptalkers in eu-west-1: CREATE_COMPLETE" in done.stdout
    assert "fl-1 on vpc-1: ACCEPT, to cloud-watch-logs: SUCCESS" in done.stdout
    assert "objects: 2 in the last hour, 3 in the last day; the newest 3 min 20 s old: flowlogs/" in done.stdout
    assert "1,234,567 in the last day" in done.stdout
    assert "quarantine   1, batches given up: 0" in done.stdout
    assert "2 shards, lag 4 s at most" in done.stdout
    # 300 GB at $0.50, two shards at $10.95, and a little of S3.
    assert "about $172 a month" in done.stdout
    assert "direct " not in done.stdout


def test_status_of_direct_delivery(aws: FakeAws, run: Run) -> None:
    """Objects that AWS delivers itself are counted where AWS puts them."""
    put(aws, "AWSLogs/123456789012/vpcflowlogs/eu-west-1/", timedelta(minutes=10))
    assert "direct       objects: 1 in the last hour" in run("status").stdout


def test_status_of_direct_delivery_by_the_day(aws: FakeAws, run: Run) -> None:
    """By default AWS makes no folders per hour; objects count as in any other layout."""
    for age in (timedelta(minutes=10), 5 * HOUR, 25 * HOUR):
        day = f"AWSLogs/123456789012/vpcflowlogs/eu-west-1/{NOW - age:%Y/%m/%d}/"
        aws.store.objects[f"{day}{age.seconds}.log.gz"] = (1, NOW - age)
    assert "direct       objects: 1 in the last hour, 2 in the last day" in run("status").stdout


def test_status_finds_what_came_long_ago(aws: FakeAws, run: Run) -> None:
    """If nothing arrived for days, the newest object is still found, with its age."""
    put(aws, "flowlogs/", 76 * HOUR)
    put(aws, "flowlogs/", 100 * HOUR)
    assert "0 in the last day; the newest 3 d 4 h old" in run("status").stdout


def test_status_without_anything(aws: FakeAws, run: Run) -> None:
    """Missing facts are reported as unknown, not guessed; a stack that failed to deploy is shown with its state."""
    said = run("status").stdout
    assert "captured     nothing yet" in said
    assert "not measured in the last hour" in said
    assert "flow log     none is on" in said
    stack = aws.cfn.stacks["toptalkers"]
    stack |= {"StackStatus": "ROLLBACK_COMPLETE", "Outputs": [], "StackStatusReason": "it failed"}
    said = run("status").stdout
    assert "ROLLBACK_COMPLETE" in said
    assert "it failed" in said
    del aws.cfn.stacks["toptalkers"]
    assert run("status").exit_code == 1


def test_status_of_an_older_stack(aws: FakeAws, run: Run) -> None:
    """An output that a stack lacks is named, with the command that adds it."""
    stack = aws.cfn.stacks["toptalkers"]
    for name in ("BucketName", "FunctionName", "LogGroupName", "StreamName"):
        kept, stack["Outputs"] = stack["Outputs"], [one for one in stack["Outputs"] if one["OutputKey"] != name]
        done = run("status")
        stack["Outputs"] = kept
        assert done.exit_code == 1
        assert f"has no output {name} ('toptalkers deploy --stack-name toptalkers' brings it up to date)" in done.stderr


def test_destroy_keeps_the_data(aws: FakeAws, run: Run) -> None:
    """Flow logs are deleted first, then the stack; no object is touched, and the bucket is named."""
    run("enable-flowlogs", "vpc-1")
    put(aws, "flowlogs/", HOUR)
    aws.calls.clear()
    done = run("destroy", input="y\n")
    assert done.exit_code == 0
    assert aws.mutations == ["delete_flow_logs", "delete_stack"]
    assert "kept: s3://toptalkers-bucket" in done.stderr
    assert run("destroy", "--yes").exit_code == 0


def test_destroy_with_the_data(aws: FakeAws, run: Run) -> None:
    """The bucket is emptied, including late objects, and deleted after the stack."""
    for number in range(3):
        put(aws, "flowlogs/", HOUR, f"{number}.gz")
    aws.store.late = ["AWSLogs/late.gz"]
    done = run("destroy", "--delete-data", "--yes")
    assert done.exit_code == 0
    assert "FOR GOOD, with 3 objects, 3.0 MB" in done.stderr
    assert aws.mutations == ["delete_stack", "delete_objects", "delete_bucket", "delete_objects", "delete_bucket"]
    assert aws.store.is_deleted


def test_destroy_of_what_an_earlier_one_kept(aws: FakeAws, run: Run) -> None:
    """The bucket of a deleted stack is deleted only on request."""
    put(aws, "flowlogs/", HOUR)
    run("destroy", "--yes")
    assert "Nothing to do" in run("destroy", "--yes").stderr
    assert "delete_bucket" not in aws.mutations
    assert run("deploy", "--dry-run").exit_code == 0  # leaves a deleted stack of the same name
    done = run("destroy", "--delete-data", "--yes")
    assert done.exit_code == 0
    assert "- delete  bucket toptalkers-bucket, FOR GOOD, with 1 objects" in done.stderr
    assert aws.store.is_deleted
    assert "Nothing to do" in run("destroy", "--delete-data", "--yes").stderr


def test_destroy_asks(aws: FakeAws, run: Run) -> None:
    """A no, no terminal and a dry run change nothing."""
    run("enable-flowlogs", "vpc-1")
    aws.calls.clear()
    assert run("destroy", "--delete-data", input="n\n").exit_code == 1
    assert run("destroy", "--delete-data").exit_code == 2
    dry = run("destroy", "--delete-data", "--dry-run")
    assert dry.exit_code == 0
    assert "- delete  bucket toptalkers-bucket" in dry.stdout
    assert aws.mutations == []


def test_destroy_stops_at_what_fails(aws: FakeAws, run: Run) -> None:
    """As long as a flow log stays, the stack stays; as long as the stack stays, the data stays."""
    run("enable-flowlogs", "vpc-1")
    aws.compute.refuses["fl-1"] = "not now"
    aws.calls.clear()
    assert run("destroy", "--delete-data", "--yes").exit_code == 1
    assert aws.mutations == ["delete_flow_logs"]
    aws.compute.refuses = {}
    aws.cfn.fails_at = {"Function": "it is in use"}
    done = run("destroy", "--delete-data", "--yes")
    assert done.exit_code == 1
    assert "Function (AWS::Some::Thing) failed first: it is in use" in done.stderr
    assert not aws.store.is_deleted
