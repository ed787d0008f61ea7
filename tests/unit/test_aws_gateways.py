"""The gateways send AWS the right requests, and read its answers correctly; botocore's models check both."""

import ast
import io
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

import toptalkers.aws
from toptalkers.aws.bucket import BucketGateway, BucketSettings
from toptalkers.aws.failures import AwsError
from toptalkers.aws.flowlogs import Creation, Destination, FlowLog, FlowLogGateway, Place, Refusal
from toptalkers.aws.identity import Identity, IdentityGateway
from toptalkers.aws.metrics import Metric, MetricsGateway
from toptalkers.aws.network import NetworkGateway, Subnet
from toptalkers.aws.quotas import QuotaGateway
from toptalkers.aws.stack import QUIET_POLLS, Change, ChangeSet, Stack, StackGateway
from toptalkers.aws.storage import ObjectRefusedError, StorageGateway, StoredObject
from toptalkers.aws.stream import Stream, StreamGateway, reshard

NOW = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
ARN = "arn:aws:cloudformation:eu-west-1:123456789012:stack/toptalkers/1"
CHANGE_SET = "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/c/1"


class Stubs:
    """Clients that give only the prepared answers."""

    def __init__(self) -> None:
        self.stubbers: list[Stubber] = []

    def __call__(self, service: str) -> tuple[Any, Stubber]:
        client = boto3.client(
            service,  # type: ignore[call-overload]
            region_name="eu-west-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",  # noqa: S106 - no secret
        )
        stubber = Stubber(client)
        stubber.activate()
        self.stubbers.append(stubber)
        return client, stubber


@pytest.fixture
def stubs() -> Iterator[Stubs]:
    """Clients whose answers must all be used when the test ends."""
    stubs = Stubs()
    yield stubs
    for stubber in stubs.stubbers:
        stubber.assert_no_pending_responses()


def stack(status: str, **more: Any) -> dict[str, Any]:
    return {
        "Stacks": [
            {"StackName": "toptalkers", "StackId": ARN, "StackStatus": status, "CreationTime": NOW, **more},
        ]
    }


def test_a_stack_is_found(stubs: Stubs) -> None:
    """Outputs, parameters and tags are found by their names; None if there is no stack; other refusals are errors."""
    client, stub = stubs("cloudformation")
    stub.add_response(
        "describe_stacks",
        stack(
            "CREATE_COMPLETE",
            Outputs=[{"OutputKey": "BucketName", "OutputValue": "b"}],
            Parameters=[{"ParameterKey": "Shards", "ParameterValue": "2"}],
            Tags=[{"Key": "team", "Value": "network"}],
            Description="d",
        ),
        {"StackName": "toptalkers"},
    )
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id x does not exist")
    stub.add_client_error("describe_stacks", "ValidationError", "1 validation error detected")
    gateway = StackGateway(client)
    assert gateway.find("toptalkers") == Stack(
        "toptalkers", ARN, "CREATE_COMPLETE", "", "d", {"BucketName": "b"}, {"Shards": "2"}, {"team": "network"}
    )
    assert gateway.find("x") is None
    with pytest.raises(AwsError, match="1 validation error"):
        gateway.find("?")


def test_a_change_set_is_made_waited_for_and_read_to_its_end(stubs: Stubs) -> None:
    """Parameters, tags and the capability are sent; every page of its changes is read."""
    client, stub = stubs("cloudformation")
    slept: list[float] = []
    stub.add_response(
        "create_change_set",
        {"Id": CHANGE_SET, "StackId": ARN},
        {
            "StackName": "toptalkers",
            "ChangeSetName": "c",
            "ChangeSetType": "UPDATE",
            "TemplateBody": "{}",
            "Parameters": [
                {"ParameterKey": "Shards", "UsePreviousValue": True},
                {"ParameterKey": "RetentionDays", "ParameterValue": "3"},
            ],
            "Tags": [{"Key": "team", "Value": "network"}],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        },
    )
    asked = {"ChangeSetName": CHANGE_SET}
    stub.add_response("describe_change_set", {"Status": "CREATE_IN_PROGRESS"}, asked)
    first = {"Action": "Modify", "LogicalResourceId": "A", "ResourceType": "T", "Replacement": "Conditional"}
    second = {"Action": "Remove", "LogicalResourceId": "B", "ResourceType": "T"}
    stub.add_response(
        "describe_change_set",
        {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": first}], "NextToken": "t"},
        asked,
    )
    stub.add_response(
        "describe_change_set",
        {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": second}]},
        {**asked, "NextToken": "t"},
    )
    gateway = StackGateway(client, sleep=slept.append)
    arn = gateway.create_change_set(
        "toptalkers",
        "c",
        kind="UPDATE",
        template="{}",
        parameters={"Shards": None, "RetentionDays": "3"},
        tags={"team": "network"},
    )
    made = gateway.read_change_set(arn)
    assert made.changes == (Change("change", "A", "T", "perhaps"), Change("remove", "B", "T"))
    assert len(slept) == 1


def test_a_template_too_large_is_not_sent(stubs: Stubs) -> None:
    """CloudFormation takes 51,200 bytes in a request, and no more."""
    client, _ = stubs("cloudformation")
    with pytest.raises(AwsError, match="51200"):
        StackGateway(client).create_change_set("s", "c", kind="CREATE", template=" " * 51_201, parameters={}, tags={})


def test_change_sets_are_executed_and_deleted(stubs: Stubs) -> None:
    """The resources of a failed create are deleted, even a bucket with a policy to keep it."""
    client, stub = stubs("cloudformation")
    stub.add_response("execute_change_set", {}, {"ChangeSetName": CHANGE_SET, "RetainExceptOnCreate": True})
    named = {"StackName": "toptalkers", "ChangeSetName": "c"}
    stub.add_client_error("delete_change_set", "InvalidChangeSetStatus", "it is being made", expected_params=named)
    stub.add_response("delete_change_set", {}, named)
    stub.add_client_error("delete_change_set", "ValidationError", "Stack [toptalkers] does not exist")
    stub.add_client_error("delete_change_set", "ChangeSetNotFound", "ChangeSet [c] does not exist")
    stub.add_client_error("delete_change_set", "AccessDenied", "no")
    stub.add_response("delete_stack", {}, {"StackName": ARN})
    summary = {"ChangeSetName": "toptalkers-1"}
    stub.add_response("list_change_sets", {"Summaries": [summary]}, {"StackName": "toptalkers"})
    stub.add_response("get_template", {"TemplateBody": '{"Resources": {}}'}, {"StackName": "toptalkers"})
    stub.add_response("get_template", {"TemplateBody": "Resources:\n"}, {"StackName": "toptalkers"})
    detail = {
        "LogicalResourceId": "Bucket",
        "PhysicalResourceId": "b",
        "ResourceType": "AWS::S3::Bucket",
        "LastUpdatedTimestamp": NOW,
        "ResourceStatus": "CREATE_COMPLETE",
    }
    asked = {"StackName": ARN, "LogicalResourceId": "Bucket"}
    stub.add_response("describe_stack_resource", {"StackResourceDetail": detail}, asked)
    stub.add_client_error("describe_stack_resource", "ValidationError", "does not exist", expected_params=asked)
    gateway = StackGateway(client, sleep=lambda _: None)
    gateway.execute(ChangeSet(CHANGE_SET, "CREATE_COMPLETE", ""))
    for _ in range(3):
        gateway.delete_change_set("toptalkers", "c")
    with pytest.raises(AwsError, match="access denied"):
        gateway.delete_change_set("toptalkers", "c")
    gateway.delete(ARN)
    assert gateway.change_set_names("toptalkers") == ["toptalkers-1"]
    assert gateway.template("toptalkers") == {"Resources": {}}
    assert gateway.template("toptalkers") == {}
    assert gateway.physical_id(ARN, "Bucket") == "b"
    assert gateway.physical_id(ARN, "Bucket") is None


def test_deleted_stacks_of_a_name(stubs: Stubs) -> None:
    """Over pages, the newest first, without those of other names."""
    client, stub = stubs("cloudformation")
    old, new = ({"StackName": "s", "StackId": f"a-{day}", "CreationTime": NOW.replace(day=day)} for day in (1, 2))
    both = [{**one, "StackStatus": "DELETE_COMPLETE"} for one in (old, new, {**new, "StackName": "x"})]
    asked = {"StackStatusFilter": ["DELETE_COMPLETE"]}
    stub.add_response("list_stacks", {"StackSummaries": both[:1], "NextToken": "t"}, asked)
    stub.add_response("list_stacks", {"StackSummaries": both[1:]}, {**asked, "NextToken": "t"})
    assert StackGateway(client).deleted("s") == ["a-2", "a-1"]


def event(number: int) -> dict[str, Any]:
    return {"StackId": ARN, "EventId": str(number), "StackName": "toptalkers", "Timestamp": NOW}


def test_events_are_followed_once_each_in_their_order(stubs: Stubs) -> None:
    """From the last known event, over polls and pages, until the operation ends; nothing is reported twice."""
    client, stub = stubs("cloudformation")
    looks = [
        ("CREATE_COMPLETE", [event(0)], None),  # asked for, not yet begun
        ("UPDATE_IN_PROGRESS", [event(2), event(1)], None),
        ("UPDATE_COMPLETE", [event(4)], [event(3), event(2)]),
    ]
    for status, page, next_page in looks:
        stub.add_response("describe_stacks", stack(status), {"StackName": ARN})
        token = {"NextToken": "t"} if next_page else {}
        stub.add_response("describe_stack_events", {"StackEvents": page, **token}, {"StackName": ARN})
        if next_page:
            stub.add_response("describe_stack_events", {"StackEvents": next_page}, {"StackName": ARN, "NextToken": "t"})
    slept: list[float] = []
    followed = list(StackGateway(client, sleep=slept.append).follow(ARN, "0"))
    assert [one.id for one in followed] == ["1", "2", "3", "4"]
    assert len(slept) == 2


def test_following_ends_where_nothing_happens(stubs: Stubs) -> None:
    """An operation that never begins is not awaited forever."""
    client, stub = stubs("cloudformation")
    for _ in range(QUIET_POLLS + 1):
        stub.add_response("describe_stacks", stack("CREATE_COMPLETE"))
        stub.add_response("describe_stack_events", {"StackEvents": [event(0)]})
    assert list(StackGateway(client, sleep=lambda _: None).follow(ARN, "0")) == []


def test_flow_logs_are_found(stubs: Stubs) -> None:
    """By tag or all, over pages, with AWS's state of their delivery."""
    client, stub = stubs("ec2")
    stub.add_response(
        "describe_flow_logs",
        {
            "FlowLogs": [
                {
                    "FlowLogId": "fl-1",
                    "ResourceId": "vpc-1",
                    "TrafficType": "ALL",
                    "LogDestinationType": "cloud-watch-logs",
                    "LogGroupName": "g",
                    "LogFormat": "${srcaddr}",
                    "MaxAggregationInterval": 60,
                    "DeliverLogsStatus": "FAILED",
                    "DeliverLogsErrorMessage": "Access error",
                    "Tags": [{"Key": "toptalkers:stack", "Value": "toptalkers"}],
                }
            ],
            "NextToken": "t",
        },
        {"Filters": [{"Name": "tag:toptalkers:stack", "Values": ["toptalkers"]}]},
    )
    stub.add_response(
        "describe_flow_logs",
        {
            "FlowLogs": [
                {
                    "FlowLogId": "fl-2",
                    "ResourceId": "vpc-2",
                    "LogDestination": "arn:aws:s3:::b",
                    "LogDestinationType": "s3",
                }
            ]
        },
        {"Filters": [{"Name": "tag:toptalkers:stack", "Values": ["toptalkers"]}], "NextToken": "t"},
    )
    tags = {"toptalkers:stack": "toptalkers"}
    assert FlowLogGateway(client).find(tag=("toptalkers:stack", "toptalkers")) == [
        FlowLog(
            "fl-1", "vpc-1", "ALL", "cloud-watch-logs", "g", "${srcaddr}", 60, "FAILED", "Access error", tags
        ),
        FlowLog("fl-2", "vpc-2", "", "s3", "arn:aws:s3:::b"),
    ]  # fmt: skip


def test_places_are_asked_for_by_filter(stubs: Stubs) -> None:
    """As a filter, so that an id that does not exist is left out and does not fail the request."""
    client, stub = stubs("ec2")
    stub.add_response(
        "describe_vpcs", {"Vpcs": [{"VpcId": "vpc-1"}]}, {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1", "vpc-9"]}]}
    )
    stub.add_response(
        "describe_subnets",
        {"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1"}]},
        {"Filters": [{"Name": "subnet-id", "Values": ["subnet-1"]}]},
    )
    stub.add_response(
        "describe_network_interfaces",
        {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "SubnetId": "subnet-1", "VpcId": "vpc-1"}]},
        {"Filters": [{"Name": "network-interface-id", "Values": ["eni-1"]}]},
    )
    assert FlowLogGateway(client).places(["vpc-1", "vpc-9", "subnet-1", "eni-1", "tgw-1"]) == {
        "vpc-1": Place("vpc-1", ("vpc-1",)),
        "subnet-1": Place("subnet-1", ("subnet-1", "vpc-1")),
        "eni-1": Place("eni-1", ("eni-1", "subnet-1", "vpc-1")),
    }


def creation(count: int, destination: Destination) -> Creation:
    ids = tuple(f"vpc-{number}" for number in range(count))
    return Creation("VPC", ids, "ACCEPT", destination, "${srcaddr}", 600, {"toptalkers:stack": "s"})


def request(ids: list[str], **more: Any) -> dict[str, Any]:
    return {
        "ResourceIds": ids,
        "ResourceType": "VPC",
        "TrafficType": "ACCEPT",
        "LogFormat": "${srcaddr}",
        "MaxAggregationInterval": 600,
        "TagSpecifications": [{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "toptalkers:stack", "Value": "s"}]}],
        **more,
    }


def test_flow_logs_are_made_300_at_a_time(stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the stream with group and role, to S3 with folders per hour; refusals are returned with their reasons."""
    # The token that identifies retries is random; boto3 adds it.
    monkeypatch.setattr("botocore.handlers.uuid.uuid4", lambda: "token")
    client, stub = stubs("ec2")
    ids = [f"vpc-{number}" for number in range(301)]
    to_group = {
        "LogDestinationType": "cloud-watch-logs",
        "LogGroupName": "g",
        "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/r",
    }
    stub.add_response("create_flow_logs", {"FlowLogIds": ["fl-1"]}, request(ids[:300], **to_group))
    refused = {"ResourceId": "vpc-300", "Error": {"Code": "FlowLogAlreadyExists", "Message": "there is one"}}
    stub.add_response("create_flow_logs", {"Unsuccessful": [refused]}, request(ids[300:], **to_group))
    stub.add_response(
        "create_flow_logs",
        {"FlowLogIds": ["fl-2"]},
        request(
            ["vpc-0"],
            LogDestinationType="s3",
            LogDestination="arn:aws:s3:::b",
            DestinationOptions={
                "FileFormat": "plain-text",
                "HiveCompatiblePartitions": False,
                "PerHourPartition": True,
            },
        ),
    )
    stub.add_response("delete_flow_logs", {"Unsuccessful": [refused]}, {"FlowLogIds": ["fl-1", "vpc-300"]})
    gateway = FlowLogGateway(client)
    group = Destination(log_group="g", role_arn="arn:aws:iam::123456789012:role/r")
    refusal = Refusal("vpc-300", "there is one")
    assert gateway.create(creation(301, group)) == (["fl-1"], [refusal])
    assert gateway.create(creation(1, Destination(bucket_arn="arn:aws:s3:::b"))) == (["fl-2"], [])
    assert gateway.delete(["fl-1", "vpc-300"]) == [refusal]


def test_objects_are_listed_read_and_written(stubs: Stubs) -> None:
    """Over pages, lazily; None for a missing object."""
    client, stub = stubs("s3")
    folder = {"Bucket": "b", "Prefix": "p/"}
    asked = {**folder, "OptionalObjectAttributes": ["RestoreStatus"]}
    listed = [
        {"Key": "p/1", "Size": 7, "LastModified": NOW, "StorageClass": "STANDARD"},
        {"Key": "p/2", "Size": 7, "LastModified": NOW, "StorageClass": "GLACIER"},
    ]
    restored = {
        "Key": "p/3",
        "Size": 7,
        "LastModified": NOW,
        "StorageClass": "DEEP_ARCHIVE",
        "RestoreStatus": {"IsRestoreInProgress": False, "RestoreExpiryDate": NOW},
    }
    stub.add_response("list_objects_v2", {"Contents": listed, "IsTruncated": True, "NextContinuationToken": "t"}, asked)
    stub.add_response(
        "list_objects_v2", {"Contents": [restored], "IsTruncated": False}, {**asked, "ContinuationToken": "t"}
    )
    stub.add_response("list_objects_v2", {"CommonPrefixes": [{"Prefix": "p/q/"}]}, {**folder, "Delimiter": "/"})
    stub.add_response("head_object", {"ContentLength": 7, "LastModified": NOW}, {"Bucket": "b", "Key": "p/1"})
    stub.add_client_error("head_object", "404", "Not Found")
    stub.add_client_error("head_object", "403", "Forbidden")
    stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"seven b"), 7)}, {"Bucket": "b", "Key": "p/1"})
    stub.add_response("put_object", {}, {"Bucket": "b", "Key": "k", "Body": b"x"})
    gateway = StorageGateway(client)
    assert list(gateway.list("b", "p/")) == [
        StoredObject("p/1", 7, NOW),
        StoredObject("p/2", 7, NOW, "GLACIER"),
        StoredObject("p/3", 7, NOW),
    ]
    assert list(gateway.folders("b", "p/")) == ["p/q/"]
    assert gateway.head("b", "p/1") == StoredObject("p/1", 7, NOW)
    assert gateway.head("b", "p/2") is None
    with pytest.raises(AwsError, match="not allowed to call s3:GetObject"):
        gateway.head("b", "p/3")
    assert gateway.get("b", "p/1").read() == b"seven b"
    gateway.put("b", "k", b"x")


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("InvalidObjectState", "The operation is not valid for the object's storage class", "archived"),
        ("AccessDenied", "User is not authorized to perform: kms:Decrypt", "another key or another owner"),
        ("InvalidRequest", "The object was stored using a form of Server Side Encryption", "Server Side Encryption"),
        ("KMS.DisabledException", "The key is disabled.", "The key is disabled"),
        ("NoSuchKey", "The specified key does not exist.", "gone"),
    ],
)
def test_one_object_that_s3_does_not_give(stubs: Stubs, code: str, message: str, said: str) -> None:
    """It differs from an error about all objects, such as expired credentials."""
    client, stub = stubs("s3")
    stub.add_client_error("get_object", code, message)
    stub.add_client_error("get_object", "ExpiredToken", "The provided token has expired.")
    asked = {"Bucket": "b", "Key": "k", "Range": "bytes=0-9"}
    stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"0123456789"), 10)}, asked)
    copied = {"CopySource": {"Bucket": "b", "Key": "k"}, "Bucket": "c", "Key": "to"}
    stub.add_response("copy_object", {}, copied)
    gateway = StorageGateway(client)
    with pytest.raises(ObjectRefusedError, match=said):
        gateway.first_bytes("b", "k", 10)
    with pytest.raises(AwsError, match="have expired") as raised:
        gateway.first_bytes("b", "k", 10)
    assert not isinstance(raised.value, ObjectRefusedError)
    assert gateway.first_bytes("b", "k", 10) == b"0123456789"
    gateway.copy("b", "k", "c", "to")


def test_objects_are_deleted_a_thousand_at_a_time(stubs: Stubs) -> None:
    """Progress is reported for each request; an object that is not deleted ends it, and is named."""
    client, stub = stubs("s3")
    keys = [f"k{number}" for number in range(1001)]
    for some, answer in ((keys[:1000], {}), (keys[1000:], {"Errors": [{"Key": "k1000", "Message": "locked"}]})):
        stub.add_response(
            "delete_objects",
            answer,
            {"Bucket": "b", "Delete": {"Objects": [{"Key": key} for key in some], "Quiet": True}},
        )
    told: list[int] = []
    gateway = StorageGateway(client)
    with pytest.raises(AwsError, match="s3://b/k1000 is not deleted: locked"):
        gateway.delete_many("b", iter(keys), on_deleted=told.append)
    assert told == [1000]
    for code in ("BucketNotEmpty", "NoSuchBucket"):
        stub.add_client_error("delete_bucket", code, "", expected_params={"Bucket": "b"})
        assert gateway.delete_bucket("b") is (code == "NoSuchBucket")


def test_the_stream_and_its_measures(stubs: Stubs) -> None:
    """Sums and maxima over all values of all pages; None if nothing was measured."""
    client, stub = stubs("kinesis")
    stub.add_response(
        "describe_stream_summary",
        {
            "StreamDescriptionSummary": {
                "StreamName": "s",
                "StreamARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/s",
                "StreamStatus": "ACTIVE",
                "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
                "RetentionPeriodHours": 24,
                "StreamCreationTimestamp": NOW,
                "EnhancedMonitoring": [],
                "OpenShardCount": 4,
            }
        },
        {"StreamName": "s"},
    )
    stub.add_client_error("describe_stream_summary", "ResourceNotFoundException", "no such stream")
    assert StreamGateway(client).find("s") == Stream("s", "ACTIVE", 4, is_on_demand=True)
    assert StreamGateway(client).find("t") is None

    client, stub = stubs("cloudwatch")

    def query(number: int, name: str, statistic: str) -> dict[str, Any]:
        metric = {"Namespace": "N", "MetricName": name, "Dimensions": [{"Name": "D", "Value": "v"}]}
        return {"Id": f"m{number}", "MetricStat": {"Metric": metric, "Period": 300, "Stat": statistic}}

    asked = {
        "MetricDataQueries": [query(0, "A", "Sum"), query(1, "B", "Maximum"), query(2, "C", "Sum")],
        "StartTime": NOW - timedelta(hours=1),
        "EndTime": NOW,
    }
    pages: list[dict[str, Any]] = [
        {"MetricDataResults": [{"Id": "m0", "Values": [1.0, 2.0]}, {"Id": "m1", "Values": [5.0]}], "NextToken": "t"},
        {"MetricDataResults": [{"Id": "m0", "Values": [4.0]}, {"Id": "m1", "Values": [3.0]}]},
    ]
    stub.add_response("get_metric_data", pages[0], asked)
    stub.add_response("get_metric_data", pages[1], {**asked, "NextToken": "t"})
    metrics = [Metric("N", "A", ("D", "v"), "Sum"), Metric("N", "B", ("D", "v"), "Maximum")]
    metrics.append(Metric("N", "C", ("D", "v"), "Sum"))
    read = MetricsGateway(client).read(metrics, since=NOW - timedelta(hours=1), until=NOW)
    assert read == [7.0, 5.0, None]


def test_a_metric_with_more_dimensions_is_searched_for(stubs: Stubs) -> None:
    """S1: AWS reports a subscription's metrics under one or three dimensions; both found, they do not add up."""
    client, stub = stubs("cloudwatch")
    terms = 'Namespace="AWS/Logs" MetricName="DeliveryThrottling" LogGroupName="g"'
    asked = {
        "MetricDataQueries": [{"Id": "m0", "Expression": f"SEARCH('{terms}', 'Sum', 300)"}],
        "StartTime": NOW - timedelta(hours=1),
        "EndTime": NOW,
    }
    results = [{"Id": "m0", "Label": label, "Values": [3.0, 4.0]} for label in ("g", "g Kinesis toptalkers")]
    stub.add_response("get_metric_data", {"MetricDataResults": results, "NextToken": "t"}, asked)
    rest = {"MetricDataResults": [{"Id": "m0", "Label": "g", "Values": [1.0]}]}
    stub.add_response("get_metric_data", rest, {**asked, "NextToken": "t"})
    metric = Metric("AWS/Logs", "DeliveryThrottling", ("LogGroupName", "g"), "Sum", has_more_dimensions=True)
    assert MetricsGateway(client).read([metric], since=NOW - timedelta(hours=1), until=NOW) == [8.0]


def test_vpcs_of_the_account(stubs: Stubs) -> None:
    """VPCs that another account shares are not ours to log."""
    client, stub = stubs("ec2")
    stub.add_response(
        "describe_vpcs",
        {"Vpcs": [{"VpcId": "vpc-1"}]},
        {"Filters": [{"Name": "owner-id", "Values": ["123456789012"]}]},
    )
    assert FlowLogGateway(client).vpcs("123456789012") == ["vpc-1"]


def test_settings_of_a_bucket(stubs: Stubs) -> None:
    """All are read, also where there are none, and written as S3 takes them, of the expected owner only."""
    client, stub = stubs("s3")
    where = ("b", "123456789012")
    of = {"Bucket": where[0], "ExpectedBucketOwner": where[1]}
    for constraint in ("eu-west-1", "EU", None):
        stub.add_response("get_bucket_location", {"LocationConstraint": constraint} if constraint else {}, of)
    stub.add_client_error("get_bucket_location", "NoSuchBucket", "it does not exist", expected_params=of)
    gateway = BucketGateway(client)
    found = [gateway.region(*where) for _ in range(4)]
    assert found == ["eu-west-1", "eu-west-1", "us-east-1", None]

    for operation, code in (
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_public_access_block", "NoSuchPublicAccessBlockConfiguration"),
        ("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("get_bucket_ownership_controls", "OwnershipControlsNotFoundError"),
        ("get_bucket_policy", "NoSuchBucketPolicy"),
    ):
        stub.add_client_error(operation, code, "there is none", expected_params=of)
    assert gateway.settings(*where) == BucketSettings({}, (), {}, {}, "")

    rule = {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 7}}
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    encryption = {"ServerSideEncryptionConfiguration": {"Rules": [default]}}
    block = {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}}
    owner = {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}
    sizes = {"TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    stub.add_response("get_bucket_lifecycle_configuration", {"Rules": [rule], **sizes}, of)
    stub.add_response("get_public_access_block", block, of)
    stub.add_response("get_bucket_encryption", encryption, of)
    stub.add_response("get_bucket_ownership_controls", owner, of)
    stub.add_response("get_bucket_policy", {"Policy": '{"Statement": []}'}, of)
    settings = gateway.settings(*where)
    assert settings.rules == (rule,)
    assert (settings.encryption, settings.ownership) == (default, "BucketOwnerEnforced")

    stub.add_response("put_bucket_policy", {}, {**of, "Policy": '{"Statement": []}'})
    stub.add_response(
        "put_bucket_lifecycle_configuration", {}, {**of, "LifecycleConfiguration": {"Rules": [rule]}, **sizes}
    )
    stub.add_response("put_public_access_block", {}, {**of, **block})
    stub.add_response("put_bucket_encryption", {}, {**of, **encryption})
    stub.add_response("put_bucket_ownership_controls", {}, {**of, **owner})
    gateway.put_policy(*where, settings.policy)
    gateway.put_rules(*where, settings.rules, settings.size_rule)
    gateway.put_public_access_block(*where, settings.public_access_block)
    gateway.put_encryption(*where, settings.encryption)
    gateway.put_ownership(*where, settings.ownership)


def test_whose_credentials_these_are(stubs: Stubs) -> None:
    """The account, and the partition of its ARN."""
    client, stub = stubs("sts")
    answer = {"Account": "123456789012", "Arn": "arn:aws-cn:iam::123456789012:user/u"}
    stub.add_response("get_caller_identity", answer, {})
    assert IdentityGateway(client).get() == Identity("123456789012", "aws-cn")


def test_every_step_of_resharding_is_allowed() -> None:
    """F3: each at most doubles, none leaves less than half, and there are no more of them than needed."""
    for shards in range(1, 40):
        for target in range(1, 40):
            steps = (shards, *reshard(shards, target))
            assert steps[-1] == target
            for before, after in pairwise(steps):
                assert after <= 2 * before
                assert 2 * after >= before
            largest, smallest = max(shards, target), min(shards, target)
            assert len(steps) - 1 == math.ceil(math.log2(largest / smallest))


@pytest.mark.parametrize("name", ["stack", "flowlogs", "storage", "stream", "metrics", "emr", "bucket", "identity"])
def test_docstrings_list_the_operations_used(name: str) -> None:
    """A gateway's docstring lists exactly the operations that it calls, for IAM policies."""
    tree = ast.parse((Path(toptalkers.aws.__path__[0]) / f"{name}.py").read_text(encoding="utf-8"))
    used = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if ast.unparse(node.func.value) in ("self._client", "self._client_once"):
            called = node.func.attr
            if called == "get_paginator":
                assert isinstance(node.args[0], ast.Constant)
                called = str(node.args[0].value)
            used.add("".join(part.capitalize() for part in called.split("_")))
    stated = (ast.get_docstring(tree) or "").split("API operations:")[1]
    stated = re.sub(r"\(.*?\)", "", stated, flags=re.DOTALL)
    assert set(re.findall(r"[A-Z][a-z]+[A-Z]\w+", stated)) == used


def test_subnets_in_the_order_of_their_ids(stubs: Stubs) -> None:
    """Those that do not exist are left out, as a filter does and ids in the request do not."""
    client, stubber = stubs("ec2")
    described = {
        "SubnetId": "subnet-2",
        "VpcId": "vpc-1",
        "AvailabilityZone": "eu-west-1b",
        "MapPublicIpOnLaunch": True,
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    found = [described, {"SubnetId": "subnet-1", "VpcId": "vpc-1"}]
    wanted = {"Filters": [{"Name": "subnet-id", "Values": ["subnet-1", "subnet-3", "subnet-2"]}]}
    stubber.add_response("describe_subnets", {"Subnets": found}, wanted)
    assert NetworkGateway(client).subnets(["subnet-1", "subnet-3", "subnet-2"]) == [
        Subnet("subnet-1", "vpc-1"),
        Subnet("subnet-2", "vpc-1", "eu-west-1b", is_public=True, tags={"a": "b"}),
    ]


def test_the_default_vpc(stubs: Stubs) -> None:
    """A Region has one or none; its subnets are found by its id, and so are its tags."""
    client, stubber = stubs("ec2")
    gateway = NetworkGateway(client)
    asked = {"Filters": [{"Name": "isDefault", "Values": ["true"]}]}
    stubber.add_response("describe_vpcs", {"Vpcs": [{"VpcId": "vpc-1"}]}, asked)
    assert gateway.default_vpc() == "vpc-1"
    stubber.add_response("describe_vpcs", {"Vpcs": []}, asked)
    assert not gateway.default_vpc()
    by_vpc = {"Filters": [{"Name": "vpc-id", "Values": ["vpc-1"]}]}
    stubber.add_response("describe_subnets", {"Subnets": [{"SubnetId": "subnet-1", "VpcId": "vpc-1"}]}, by_vpc)
    assert gateway.subnets_of("vpc-1") == [Subnet("subnet-1", "vpc-1")]
    stubber.add_response("describe_vpcs", {"Vpcs": [{"VpcId": "vpc-1", "Tags": [{"Key": "a", "Value": "b"}]}]}, by_vpc)
    assert gateway.vpc_tags("vpc-1") == {"a": "b"}


def test_zones_that_offer_types(stubs: Stubs) -> None:
    """EC2 names only what is offered, a line per zone."""
    client, stubber = stubs("ec2")
    offered = [
        {"InstanceType": one, "LocationType": "availability-zone", "Location": zone}
        for one, zone in (("m7g.xlarge", "eu-west-1a"), ("m7g.xlarge", "eu-west-1b"), ("m5.xlarge", "eu-west-1a"))
    ]
    filters = [{"Name": "instance-type", "Values": ["m5.xlarge", "m7g.xlarge", "x9.xlarge"]}]
    stubber.add_response(
        "describe_instance_type_offerings",
        {"InstanceTypeOfferings": offered},
        {"LocationType": "availability-zone", "Filters": filters},
    )
    assert NetworkGateway(client).zones_offering(["m7g.xlarge", "x9.xlarge", "m5.xlarge", "m5.xlarge"]) == {
        "m7g.xlarge": {"eu-west-1a", "eu-west-1b"},
        "m5.xlarge": {"eu-west-1a"},
    }


def test_f6_quotas_of_vcpus(stubs: Stubs) -> None:
    """F6: on-demand and Spot instances have a quota each."""
    client, stubber = stubs("service-quotas")
    for code, value in (("L-1216C47A", 5.0), ("L-34B43A08", 32.0)):
        stubber.add_response(
            "get_service_quota", {"Quota": {"Value": value}}, {"ServiceCode": "ec2", "QuotaCode": code}
        )
    gateway = QuotaGateway(client)
    assert (gateway.vcpus("on demand"), gateway.vcpus("Spot")) == (5, 32)
