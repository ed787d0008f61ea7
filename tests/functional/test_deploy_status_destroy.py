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
    for name in ("BucketName", "FunctionName", "LogGroupName"):
        kept, stack["Outputs"] = stack["Outputs"], [one for one in stack["Outputs"] if one["OutputKey"] != name]
        done = run("status")
        stack["Outputs"] = kept
        assert done.exit_code == 1
        assert f"has no output {name} ('toptalkers deploy --stack-name toptalkers' brings it up to date)" in done.stderr


def without_stream(aws: FakeAws) -> None:
    """Make the stack one that captures by direct delivery alone (Capture=s3-only)."""
    stack = aws.cfn.stacks["toptalkers"]
    of_stream = {"StreamName", "FunctionName", "LogGroupName", "DeliverLogsPermissionArn", "S3LogLocation"}
    stack["Outputs"] = [one for one in stack["Outputs"] if one["OutputKey"] not in of_stream]


def set_parameter(aws: FakeAws, name: str, value: str) -> None:
    """Give the stack a parameter."""
    aws.cfn.stacks["toptalkers"]["Parameters"].append({"ParameterKey": name, "ParameterValue": value})


def problems(run: Run) -> list[str]:
    """The problems that `status` reports."""
    return [
        line.removeprefix("problem").strip() for line in run("status").stdout.splitlines() if line.startswith("problem")
    ]


def test_status_of_a_stack_without_a_stream(aws: FakeAws, run: Run) -> None:
    """C1, P5: no shard is paid for, nothing of a stream is asked for or shown, and days kept are the stack's."""
    without_stream(aws)
    aws.cfn.stacks["toptalkers"]["Parameters"] = []
    set_parameter(aws, "RecordsExpireDays", "30")
    put(aws, "AWSLogs/123456789012/vpcflowlogs/eu-west-1/", timedelta(minutes=10), size=1024**3)
    aws.calls.clear()
    said = run("status").stdout
    assert {"get_metric_data", "describe_stream_summary"}.isdisjoint(name for name, _ in aws.calls)
    assert "direct       objects: 1 in the last hour" in said
    assert "stream       none: " in said
    assert "toptalkers deploy --stack-name toptalkers --stream" in said
    assert "S3, 30 days of records" in said
    assert "shard" not in said
    assert not any(word in said for word in ("captured", "records  ", "quarantine", "problem"))


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("DeliveryThrottling", "12,345 records of the last day did not fit on the stream at once"),
        ("WriteProvisionedThroughputExceeded", "the stream refused 12,345 writes in the last day, as a shard was full"),
    ],
)
def test_status_sees_a_stream_that_is_too_small(aws: FakeAws, run: Run, metric: str, said: str) -> None:
    """S1: throttled delivery and a full shard are problems, with the next number of shards that Kinesis allows."""
    put(aws, "flowlogs/", timedelta(minutes=3))
    assert problems(run) == []
    aws.measures.values = {metric: 12345}
    (problem,) = problems(run)
    assert said in problem
    assert "'toptalkers deploy --stack-name toptalkers --shards 4'" in problem


def test_status_sees_records_that_the_subscription_loses(aws: FakeAws, run: Run) -> None:
    """S1: an error of the delivery to the stream is a problem of its own."""
    aws.measures.values = {"DeliveryErrors": 7}
    (problem,) = problems(run)
    assert "7 records of the last day met an error" in problem
    assert "detect-stack-drift --stack-name toptalkers" in problem


@pytest.mark.parametrize("way", ["stream", "s3"])
def test_status_sees_that_nothing_arrives(aws: FakeAws, run: Run, way: str) -> None:
    """S2: flow logs that bring nothing are a problem, once they had the time; a failed one has its own reason."""
    assert problems(run) == []
    run("enable-flowlogs", "vpc-1", "--destination", way)
    (problem,) = problems(run)
    assert "in the last hour, although flow logs are on: 'aws " in problem
    (flow_log,) = aws.compute.flow_logs
    flow_log["CreationTime"] = NOW - timedelta(minutes=10)
    assert problems(run) == []
    flow_log["CreationTime"] = NOW - 2 * HOUR
    assert problems(run) == [problem]
    flow_log["DeliverLogsStatus"] = "FAILED"
    assert problems(run) == []
    flow_log["DeliverLogsStatus"] = "SUCCESS"
    put(aws, "flowlogs/" if way == "stream" else "AWSLogs/123456789012/vpcflowlogs/eu-west-1/", timedelta(minutes=3))
    assert problems(run) == []


def test_status_sees_records_that_stop_at_the_function(aws: FakeAws, run: Run) -> None:
    """S2: if records reach the log group but not the bucket, the function is to be looked at."""
    run("enable-flowlogs", "vpc-1")
    aws.measures.values = {"IncomingLogEvents": 500}
    (problem,) = problems(run)
    assert "500 records came to the log group in the last hour, but none to the bucket" in problem
    assert "aws lambda get-function --function-name the-FunctionName" in problem


def test_status_shows_what_aws_left_out(aws: FakeAws, run: Run) -> None:
    """S10: records that say SKIPDATA are among those that were captured, and named."""
    aws.measures.values = {"RecordsKept": 30_000, "RecordsSkipdata": 20}
    assert "20 of the last day say SKIPDATA: AWS left records out, sums are a lower bound" in run("status").stdout


def test_status_without_the_right_to_read_metrics(aws: FakeAws, run: Run) -> None:
    """Measures that may not be read are named, and the rest is shown."""
    aws.failing["get_metric_data"] = ("AccessDenied", "not authorized to perform: cloudwatch:GetMetricData")
    done = run("status")
    assert done.exit_code == 0
    assert "not measured in the last hour" in done.stdout
    assert "note         CloudWatch's measures are not read: " in done.stdout


def test_destroy_names_flow_logs_of_others(aws: FakeAws, run: Run) -> None:
    """P1: flow logs of others into the stack are named in the plan, in the question and at the end, and stay on."""
    theirs = aws.compute.add("vpc-1", LogGroupName="flow-records")
    direct = aws.compute.add("vpc-2", LogDestinationType="s3", LogDestination="arn:aws:s3:::toptalkers-bucket/x")
    aws.compute.add("vpc-2", LogDestinationType="s3", LogDestination="arn:aws:s3:::elsewhere")
    plan = run("destroy", "--dry-run").stdout
    assert f"! others  vpc-1 ({theirs}), not made by this stack, will deliver nothing any more" in plan
    assert f"! others  vpc-2 ({direct}), not made by this stack, goes on delivering into the bucket" in plan
    assert "elsewhere" not in plan
    assert plan.count("! others") == 2
    assert "nothing any more" in run("destroy", "--delete-data", "--dry-run").stdout.partition(direct)[2]
    asked = run("destroy", input="n\n")
    assert asked.exit_code == 1
    assert "Destroy it, and break 1 flow log of others?" in asked.stderr
    assert aws.mutations == []
    done = run("destroy", "--yes")
    assert done.exit_code == 0
    assert aws.mutations == ["delete_stack"]
    assert f"aws ec2 delete-flow-logs --region eu-west-1 --flow-log-ids {theirs} {direct}" in done.stderr


def test_destroy_of_a_stack_without_a_stream(aws: FakeAws, run: Run) -> None:
    """C1: there is no log group to look for flow logs of."""
    without_stream(aws)
    theirs = aws.compute.add("vpc-1", LogGroupName="")
    done = run("destroy", "--yes")
    assert done.exit_code == 0
    assert theirs not in done.stderr


def test_destroy_keeps_a_bucket_that_was_taken_over(aws: FakeAws, run: Run) -> None:
    """F2: a bucket that the stack did not make stays, and the plan to delete its data says whose it is."""
    set_parameter(aws, "ExistingBucket", "toptalkers-bucket")
    put(aws, "flowlogs/", HOUR)
    said = run("destroy", "--delete-data", "--dry-run").stdout
    assert "bucket toptalkers-bucket, which the stack did not make, FOR GOOD" in said
    assert "kept: s3://toptalkers-bucket" in run("destroy", "--yes").stderr
    assert not aws.store.is_deleted


def test_destroy_names_the_key_that_stays(aws: FakeAws, run: Run) -> None:
    """I1: a key that the stack made stays for the data, and is billed: the end says how to delete it."""
    set_parameter(aws, "MakeKey", "yes")
    assert "aws kms schedule-key-deletion --region eu-west-1 --key-id" in run("destroy", "--yes").stderr


def test_destroy_keeps_the_data(aws: FakeAws, run: Run) -> None:
    """Flow logs are deleted first, then the stack; no object is touched, and the bucket is named."""
    run("enable-flowlogs", "vpc-1")
    put(aws, "flowlogs/", HOUR)
    aws.calls.clear()
    done = run("destroy", input="y\n")
    assert done.exit_code == 0
    assert aws.mutations == ["delete_flow_logs", "delete_stack"]
    assert "kept: s3://toptalkers-bucket" in done.stderr
    assert "'toptalkers deploy --bucket toptalkers-bucket --keep-days 7' takes it over" in done.stderr
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
    assert "- delete  bucket toptalkers-bucket, FOR GOOD, with 1 object, " in done.stderr
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
