"""The gateway to EMR sends the right requests, and reads the answers; botocore's model checks both."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.fake_account import FakeAccount
from toptalkers.aws.emr import AFTER, BEFORE, Cluster, ClusterGateway, ClusterStep
from toptalkers.aws.failures import AwsError
from toptalkers.errors import UsageError
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import ClusterOptions, parse_configurations
from toptalkers.runs.plan import plan_run

NOW = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
OPTIONS = [
    ClusterOptions(),
    ClusterOptions(task=3, spot=True, subnets=("subnet-1", "subnet-2"), key_name="key", tags=(("team", "network"),)),
    ClusterOptions(core=2, task=1, subnets=("subnet-1",)),
    ClusterOptions(instance_type="m7g.16xlarge", spot=True, task=2, primary_type="m6g.2xlarge"),
]


@pytest.fixture
def emr() -> Iterator[tuple[ClusterGateway, Stubber]]:
    """A gateway whose answers must all be used when the test ends."""
    client = boto3.client("emr", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
    with Stubber(client) as stubber:
        yield ClusterGateway(client), stubber
        stubber.assert_no_pending_responses()


def plan_request(options: ClusterOptions) -> Mapping[str, Any]:
    account = FakeAccount()
    account.capture("2026/11/23/18")
    plan = plan_run(account.open(), account.site, Query.parse(), options=options, token="4f2a")  # noqa: S106
    return plan.request


@pytest.mark.parametrize("options", OPTIONS, ids=["groups", "fleets", "a subnet", "a primary"])
def test_requests_fit_the_model(emr: tuple[ClusterGateway, Stubber], options: ClusterOptions) -> None:
    """A run's request is valid for RunJobFlow, and is sent as it was planned."""
    gateway, stubber = emr
    request = plan_request(options)
    stubber.add_response("run_job_flow", {"JobFlowId": "j-1"}, dict(request))
    assert gateway.start(request) == "j-1"


def test_c3_the_primary_has_its_own_type() -> None:
    """C3: in instance groups and in fleets."""
    groups = plan_request(ClusterOptions(instance_type="m7g.16xlarge"))["Instances"]["InstanceGroups"]
    assert [one["InstanceType"] for one in groups] == ["m7g.xlarge", "m7g.16xlarge"]
    fleets = plan_request(OPTIONS[3])["Instances"]["InstanceFleets"]
    assert [one["InstanceTypeConfigs"][0]["InstanceType"] for one in fleets] == [
        "m6g.2xlarge", "m7g.16xlarge", "m7g.16xlarge",
    ]  # fmt: skip


def test_spot_and_subnets_make_fleets() -> None:
    """Core nodes stay on demand; Spot has a choice of types, and a timeout after which on-demand nodes are taken."""
    request = plan_request(OPTIONS[1])
    assert "InstanceGroups" not in request["Instances"]
    primary, core, task = request["Instances"]["InstanceFleets"]
    assert primary["TargetOnDemandCapacity"] == core["TargetOnDemandCapacity"] == 1
    assert task["TargetSpotCapacity"] == 3
    assert len(task["InstanceTypeConfigs"]) > 1
    assert task["LaunchSpecifications"]["SpotSpecification"]["TimeoutAction"] == "SWITCH_TO_ON_DEMAND"
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    assert tags["team"] == "network"
    assert tags["for-use-with-amazon-emr-managed-policies"] == "true"


def test_s4_spot_survives_the_loss_of_a_node() -> None:
    """S4: the application master stays on core nodes, which are on demand. Without Spot nothing is set."""
    settings = {one["Classification"]: one["Properties"] for one in plan_request(OPTIONS[1])["Configurations"]}
    assert settings["yarn-site"]["yarn.node-labels.enabled"] == "true"
    assert settings["yarn-site"]["yarn.node-labels.am.default-node-label-expression"] == "CORE"
    # YARN's own limit holds for all applications; MapReduce's cannot exceed it.
    assert settings["yarn-site"]["yarn.resourcemanager.am.max-attempts"] == "4"
    assert settings["mapred-site"]["mapreduce.am.max-attempts"] == "4"
    assert "Configurations" not in plan_request(OPTIONS[0])


def test_configurations_of_the_user() -> None:
    """They join ours by classification, and win; a classification of its own, with nested ones, is kept."""
    text = b"""[
      {"Classification": "yarn-site", "Properties": {"yarn.node-labels.enabled": "false", "mine": "1"}},
      {"Classification": "hadoop-env", "Configurations": [{"Classification": "export", "Properties": {"A": "b"}}]}
    ]"""
    theirs = parse_configurations(text, name="mine.json")
    merged = {
        one["Classification"]: one
        for one in plan_request(ClusterOptions(spot=True, task=1, configurations=theirs))["Configurations"]
    }
    yarn = merged["yarn-site"]["Properties"]
    assert (yarn["yarn.node-labels.enabled"], yarn["mine"]) == ("false", "1")
    assert yarn["yarn.node-labels.am.default-node-label-expression"] == "CORE"
    assert merged["mapred-site"]
    assert merged["hadoop-env"]["Configurations"] == [{"Classification": "export", "Properties": {"A": "b"}}]
    assert len(plan_request(ClusterOptions(configurations=theirs))["Configurations"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"classification": "yarn-site"}]',
        b'[{"Classification": "yarn-site", "Properties": {"a": true}}]',
        b'[{"Classification": "yarn-site", "Properties": []}]',
        b'[{"Classification": "a", "Configurations": [{"Properties": {}}]}]',
        b"[" * 100_000,
    ],
    ids=lambda content: str(content[:20]),
)
def test_configurations_that_are_none(content: bytes) -> None:
    """One line names the file and what is wrong with it."""
    with pytest.raises(UsageError, match=r"^mine\.json is not a list of EMR's configurations: ") as raised:
        parse_configurations(content, name="mine.json")
    assert "\n" not in raised.value.message


def test_releases_of_all_pages(emr: tuple[ClusterGateway, Stubber]) -> None:
    """The list comes in pages, and botocore has no paginator for it."""
    gateway, stubber = emr
    filters = {"Prefix": "emr-7"}
    stubber.add_response(
        "list_release_labels", {"ReleaseLabels": ["emr-7.14.0"], "NextToken": "t"}, {"Filters": filters}
    )
    stubber.add_response(
        "list_release_labels", {"ReleaseLabels": ["emr-7.13.0"]}, {"Filters": filters, "NextToken": "t"}
    )
    assert gateway.releases("emr-7") == ["emr-7.14.0", "emr-7.13.0"]


def test_f11_types_of_all_pages(emr: tuple[ClusterGateway, Stubber]) -> None:
    """F11: the types that a release runs on come in pages, and botocore has no paginator for them."""
    gateway, stubber = emr
    one, two = ({"SupportedInstanceTypes": [{"Type": each}]} for each in ("m5.xlarge", "m7g.xlarge"))
    stubber.add_response("list_supported_instance_types", {**one, "Marker": "m"}, {"ReleaseLabel": "emr-7.14.0"})
    stubber.add_response("list_supported_instance_types", two, {"ReleaseLabel": "emr-7.14.0", "Marker": "m"})
    assert gateway.supported_types("emr-7.14.0") == {"m5.xlarge", "m7g.xlarge"}


def test_the_codes_of_a_failure(emr: tuple[ClusterGateway, Stubber]) -> None:
    """EMR has codes for some failures, beside its reason."""
    gateway, stubber = emr
    code = "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"
    status = {"State": "TERMINATING", "ErrorDetails": [{"ErrorCode": code, "ErrorMessage": "x"}, {}]}
    stubber.add_response("describe_cluster", {"Cluster": {"Status": status}}, {"ClusterId": "j-1"})
    assert gateway.describe("j-1").error_codes == (code,)


def test_describe(emr: tuple[ClusterGateway, Stubber]) -> None:
    """State, reason and times of a cluster."""
    gateway, stubber = emr
    status = {
        "State": "TERMINATED_WITH_ERRORS",
        "StateChangeReason": {"Code": "STEP_FAILURE", "Message": "Shut down as step failed"},
        "Timeline": {"CreationDateTime": NOW, "EndDateTime": NOW},
    }
    stubber.add_response(
        "describe_cluster", {"Cluster": {"Id": "j-1", "Name": "n", "Status": status}}, {"ClusterId": "j-1"}
    )
    expected = Cluster("j-1", "n", "TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed", NOW, None, NOW)
    assert gateway.describe("j-1") == expected
    assert expected.has_ended


def test_steps_come_in_their_order(emr: tuple[ClusterGateway, Stubber]) -> None:
    """EMR gives the newest first, in pages."""
    gateway, stubber = emr
    failed = {
        "Id": "s-2",
        "Name": "sort",
        "Status": {"State": "FAILED", "FailureDetails": {"Reason": "Unknown Error.", "LogFile": "s3://b/stderr.gz"}},
    }
    done = {"Id": "s-1", "Name": "aggregate", "Status": {"State": "COMPLETED", "Timeline": {"StartDateTime": NOW}}}
    stubber.add_response("list_steps", {"Steps": [failed], "Marker": "m"}, {"ClusterId": "j-1"})
    stubber.add_response("list_steps", {"Steps": [done]}, {"ClusterId": "j-1", "Marker": "m"})
    assert gateway.steps("j-1") == [
        ClusterStep("s-1", "aggregate", "COMPLETED", started=NOW),
        ClusterStep("s-2", "sort", "FAILED", "Unknown Error.", "s3://b/stderr.gz"),
    ]


def test_find_and_terminate(emr: tuple[ClusterGateway, Stubber]) -> None:
    """Only clusters of the name count, in any state, made about that time."""
    gateway, stubber = emr
    clusters = [{"Id": "j-1", "Name": "ours"}, {"Id": "j-2", "Name": "another"}]
    stubber.add_response(
        "list_clusters", {"Clusters": clusters}, {"CreatedAfter": NOW - BEFORE, "CreatedBefore": NOW + AFTER}
    )
    stubber.add_response("terminate_job_flows", {}, {"JobFlowIds": ["j-1"]})
    assert gateway.find("ours", around=NOW) == ["j-1"]
    gateway.terminate("j-1")


@pytest.mark.parametrize(
    ("code", "is_passing"),
    [("ThrottlingException", True), ("InternalServerError", True), ("ExpiredTokenException", False), ("Other", False)],
)
def test_errors_that_pass_by_themselves(emr: tuple[ClusterGateway, Stubber], code: str, is_passing: bool) -> None:
    """A watch waits for a busy service, and for nothing else."""
    gateway, stubber = emr
    stubber.add_client_error("describe_cluster", code)
    with pytest.raises(AwsError) as raised:
        gateway.describe("j-1")
    assert raised.value.is_passing == is_passing
