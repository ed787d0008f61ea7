"""Answers that no service should send: every operation of each gateway returns a result, or one line of error."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from traceback import walk_stack
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.aws.account import ATTEMPTS, CONFIG, CONNECT_SECONDS, READ_SECONDS
from toptalkers.aws.emr import ClusterGateway
from toptalkers.aws.failures import AwsError
from toptalkers.aws.flowlogs import Creation, Destination, FlowLogGateway
from toptalkers.aws.metrics import Metric, MetricsGateway
from toptalkers.aws.odd_answers import refuse_odd_answers
from toptalkers.aws.stack import ChangeSet, StackGateway
from toptalkers.aws.storage import StorageGateway
from toptalkers.aws.stream import StreamGateway
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import example_run

NOW = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
CHANGE_SET = ChangeSet("arn:aws:cloudformation:us-east-1:123456789012:changeSet/c/1", "CREATE_COMPLETE", "")
CREATION = Creation("VPC", ("vpc-1",), "ALL", Destination(bucket_arn="arn:aws:s3:::b"), "${srcaddr}", 60, {"a": "b"})
_, REQUEST = example_run(Query.parse(), bucket="bucket", run_id="20261123T181500Z-4f2a", bundle="code/x/")

emr: Any = ClusterGateway
cloudformation: Any = StackGateway
s3: Any = StorageGateway
ec2: Any = FlowLogGateway
kinesis: Any = StreamGateway
cloudwatch: Any = MetricsGateway

READING: list[tuple[str, Any, Callable[[Any], object]]] = [
    ("emr", emr, lambda one: one.releases("emr-")),
    ("emr", emr, lambda one: one.describe("j-1")),
    ("emr", emr, lambda one: one.steps("j-1")),
    ("emr", emr, lambda one: one.find("x", around=NOW)),
    ("emr", emr, lambda one: one.start(REQUEST)),
    ("cloudformation", cloudformation, lambda one: one.find("x")),
    ("cloudformation", cloudformation, lambda one: one.physical_id("x", "Bucket")),
    ("cloudformation", cloudformation, lambda one: one.change_set_names("x")),
    ("cloudformation", cloudformation, lambda one: one.events_since("x", None)),
    ("cloudformation", cloudformation, lambda one: one.last_event_id("x")),
    (
        "cloudformation",
        cloudformation,
        lambda one: one.create_change_set("x", "c", kind="CREATE", template="{}", parameters={}, tags={}),
    ),
    ("cloudformation", cloudformation, lambda one: one.read_change_set("c")),
    ("s3", s3, lambda one: list(one.list("bucket"))),
    ("s3", s3, lambda one: list(one.folders("bucket", "x/"))),
    ("ec2", ec2, lambda one: one.find()),
    ("ec2", ec2, lambda one: one.places(["vpc-1", "subnet-1", "eni-1"])),
    ("kinesis", kinesis, lambda one: one.find("x")),
    (
        "cloudwatch",
        cloudwatch,
        lambda one: one.read([Metric("N", "A", ("D", "v"), "Sum")], since=NOW, until=NOW),
    ),
]
OTHERS: list[tuple[str, Any, Callable[[Any], object]]] = [
    ("emr", emr, lambda one: one.terminate("j-1")),
    ("cloudformation", cloudformation, lambda one: one.template("x")),
    ("cloudformation", cloudformation, lambda one: one.execute(CHANGE_SET)),
    ("cloudformation", cloudformation, lambda one: one.delete("x")),
    ("s3", s3, lambda one: one.head("bucket", "x")),
    ("s3", s3, lambda one: one.get("bucket", "x").read()),
    ("s3", s3, lambda one: one.put("bucket", "x", b"")),
    ("s3", s3, lambda one: one.delete_many("bucket", ["x"], on_deleted=lambda _: None)),
    ("s3", s3, lambda one: one.delete_bucket("bucket")),
    ("ec2", ec2, lambda one: one.create(CREATION)),
    ("ec2", ec2, lambda one: one.delete(["fl-1"])),
]


class Raw(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.getvalue()


ANSWER: list[tuple[int, dict[str, str], bytes]] = []


@cache
def client(service: str) -> Any:
    """Return a client that receives the answer in `ANSWER`, without a network."""
    made: Any = boto3.client(
        service,  # type: ignore[call-overload]
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - no secret
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}),
    )

    def answer(request: Any, **_: object) -> AWSResponse:
        status, headers, body = ANSWER[0]
        return AWSResponse(request.url, status, HTTPHeaders.from_dict(headers), Raw(body))

    made.meta.events.register("before-send", answer)
    refuse_odd_answers(made)
    return made


@contextmanager
def stopped_early() -> Iterator[None]:
    """Let calls go 300 deep from here: to S3, botocore sends a redirected request again until Python stops it.

    Python's limit is 1,000. A request that is not redirected needs fewer than 100.
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(sum(1 for _ in walk_stack(None)) + 300)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def ask(
    operation: tuple[str, Any, Callable[[Any], object]], status: int, body: bytes, content_type: str = "text/plain"
) -> str | None:
    """Return the one line of error for an answer; None if it was accepted."""
    service, gateway, call = operation
    ANSWER[:] = [(status, {"Content-Type": content_type, "Content-Length": str(len(body))}, body)]
    made = client(service)
    try:
        with stopped_early():
            call(gateway(made, **({"sleep": lambda _: None} if gateway is cloudformation else {})))
    except AwsError as error:
        said = error.message
    else:
        return None
    assert "\n" not in said
    assert len(said) < 1000
    return said


PAGES = [
    b"<html><body>It works!</body></html>",
    b"<!DOCTYPE html>\n<html lang=en><title>Sign in</title>",
    b"  \r\n<HTML><HEAD></HEAD></HTML>",
    b"Service Unavailable",
    b"",
    b"\x00\xff\xfe" * 9,
    b"{}",
    b"[]",
    b'"text"',
    b"null",
    b"7",
    b'{"a": {"b": [1, null]}}',
    b"<a><b/></a>",
    b"<" * 9,
    b"x" * 100_000,
]


def cases(operations: Sequence[Any], statuses: Sequence[int]) -> Iterator[Any]:
    """Each operation with each status; those that take long are marked."""
    for operation in operations:
        for status in statuses:
            marks = [pytest.mark.slow] if operation[0] == "s3" and status in (301, 302) else []
            yield pytest.param(operation, status, id=f"{operation[0]}-{status}", marks=marks)


@pytest.mark.parametrize(("operation", "status"), [*cases(READING, [200, 301, 302, 400, 403, 404, 500, 502, 503])])
def test_no_page_is_an_answer(operation: Any, status: int) -> None:
    """Plain text, HTML, JSON, bytes, nothing, with any status: never an empty listing, never a traceback."""
    for page in PAGES:
        said = ask(operation, status, page)
        # For CloudFormation and Kinesis, only 400 or 404 may say that something does not exist.
        assert said or status in (400, 404), (status, page)


@pytest.mark.parametrize(("operation", "status"), [*cases(OTHERS, [200, 301, 400, 403, 404, 500, 503])])
def test_no_page_is_a_traceback(operation: Any, status: int) -> None:
    """Even if the operation's answer has no content."""
    for page in PAGES:
        said = ask(operation, status, page)
        assert said or status in (200, 404), (status, page)


def test_a_template_is_an_answer() -> None:
    """Botocore parses it by itself, into another type than the model's."""
    body = b"""<GetTemplateResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><GetTemplateResult>
        <TemplateBody>{"Resources": {}}</TemplateBody></GetTemplateResult></GetTemplateResponse>"""
    ANSWER[:] = [(200, {"Content-Type": "text/xml"}, body)]
    assert StackGateway(client("cloudformation")).template("x") == {"Resources": {}}


NAMES = [
    *("JobFlowId", "Cluster", "Clusters", "Steps", "Status", "State", "Timeline", "CreationDateTime", "Id", "Name"),
    *("StateChangeReason", "Message", "FailureDetails", "Reason", "ReleaseLabels", "NextToken", "Marker", "__type"),
    *("StreamDescriptionSummary", "StreamStatus", "OpenShardCount", "StreamModeDetails", "MetricDataResults", "Values"),
    *("message", "Error", "Code", "TemplateBody"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["j-1", "m0"]),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.sampled_from(NAMES), some, max_size=5),
)
CLUSTERS = st.fixed_dictionaries({"Cluster": st.fixed_dictionaries({"Status": JSON, "Id": JSON}) | JSON})
STEPS = st.fixed_dictionaries({"Steps": st.lists(st.fixed_dictionaries({"Id": JSON, "Status": JSON}), max_size=2)})


@given(
    st.sampled_from([one for one in READING if one[0] in ("emr", "kinesis", "cloudwatch")]),
    st.sampled_from([200, 200, 400, 500]),
    JSON | CLUSTERS | STEPS,
)
def test_json_of_any_shape(operation: Any, status: int, answer: Any) -> None:
    """With the members' own names, and any types."""
    said = ask(operation, status, json.dumps(answer).encode(), "application/x-amz-json-1.1")
    assert said or status in (200, 400)


ELEMENTS = [
    *("DescribeStacksResponse", "DescribeStacksResult", "Stacks", "member", "StackName", "StackStatus", "Outputs"),
    *("ListBucketResult", "IsTruncated", "Contents", "Key", "Size", "LastModified", "CommonPrefixes", "Prefix"),
    *("DescribeFlowLogsResponse", "flowLogSet", "item", "flowLogId", "Error", "ErrorResponse", "Code", "Message"),
    *("NextToken", "nextToken", "NextContinuationToken", "DeleteResult"),
]
XML = st.recursive(
    st.sampled_from(["", "x", "true", "-1", "9" * 5000, "2026-11-23", "&amp;"]),
    lambda some: st.lists(st.tuples(st.sampled_from(ELEMENTS), some), max_size=4).map(
        lambda found: "".join(f"<{name}>{text}</{name}>" for name, text in found)
    ),
    max_leaves=12,
)


@given(
    st.sampled_from([one for one in READING + OTHERS if one[0] in ("s3", "ec2", "cloudformation")]),
    st.sampled_from([200, 200, 301, 400, 503]),
    st.sampled_from(ELEMENTS),
    XML,
)
def test_xml_of_any_shape(operation: Any, status: int, root: str, inner: str) -> None:
    """With the elements' own names, in any order and depth."""
    ask(operation, status, f"<{root}>{inner}</{root}>".encode(), "text/xml")


def test_a_service_that_never_answers_is_given_up_within_a_minute() -> None:
    """All attempts and the longest pauses between them take at most a minute."""
    pauses = [min(2**number, 20) for number in range(ATTEMPTS - 1)]
    assert ATTEMPTS * max(READ_SECONDS, CONNECT_SECONDS) + sum(pauses) <= 60
    options: Any = CONFIG
    assert options.read_timeout == READ_SECONDS
    assert options.connect_timeout == CONNECT_SECONDS
    assert options.retries == {"mode": "standard", "total_max_attempts": ATTEMPTS}
