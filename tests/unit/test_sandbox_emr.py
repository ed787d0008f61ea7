"""The sandbox's EMR, called with boto3: the life of a cluster, refusals, faults."""

import gzip
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toptalkers.sandbox.emr import Emr
from toptalkers.sandbox.emr_cluster import Pace, StepEnd, StepRun, in_thread, with_dying_mapper
from toptalkers.sandbox.emr_endpoint import serve_emr
from toptalkers.sandbox.emr_faults import CALLS_BEFORE_EXPIRY, THROTTLED_CALLS, parse_faults, parse_quota

if TYPE_CHECKING:
    from mypy_boto3_emr import EMRClient

PACE = Pace(starting=0.05, bootstrapping=0.05, terminating=0.05, log_delay=0, idle_scale=0.001)


class FakeHadoop:
    """Runs no step: the step's second argument is its outcome."""

    def __init__(self) -> None:
        self.runs: list[StepRun] = []

    def __call__(self, run: StepRun) -> StepEnd:
        self.runs.append(run)
        client = {"syslog": b"INFO org.apache.hadoop.mapreduce.Job: Running job: job_local1_0001\n"}
        if run.arguments[1] == "hang":
            assert run.stop.wait(20), "nobody stopped the step"
            return StepEnd(143, run.name_logs(client=client, scripts=b""))
        if "python3 -c 1/0" in run.arguments or run.arguments[1] == "fail":
            return StepEnd(1, run.name_logs(client=client, scripts=b"ZeroDivisionError: division by zero\n"))
        return StepEnd(0, run.name_logs(client=client, scripts=b""))


class Sandbox:
    """An endpoint, its client, and what it did."""

    def __init__(self, client: "EMRClient", hadoop: FakeHadoop, objects: dict[str, bytes]) -> None:
        self.emr = client
        self.hadoop = hadoop
        self.objects = objects

    def launch(self, *outcomes: str, **changes: Any) -> str:
        """Run a job flow with one step per outcome; changes apply to `cluster_request`."""
        request = cluster_request(*outcomes)
        request["Instances"] |= changes.pop("Instances", {})
        return self.emr.run_job_flow(**{**request, **changes})["JobFlowId"]

    def status(self, cluster: str) -> dict[str, Any]:
        return dict(self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"])

    def wait(self, cluster: str, *states: str) -> dict[str, Any]:
        return dict(wait_for(lambda: self.status(cluster), lambda status: status["State"] in states))

    def step_states(self, cluster: str) -> list[str]:
        """In the order of the request."""
        return [step["Status"]["State"] for step in reversed(self.emr.list_steps(ClusterId=cluster)["Steps"])]


def wait_for(look: Callable[[], Any], until: Callable[[Any], bool]) -> Any:
    """Poll for at most 20 seconds."""
    end = time.monotonic() + 20
    while not until(seen := look()):
        assert time.monotonic() < end, f"still {seen}"
        time.sleep(0.01)
    return seen


def step(outcome: str, on_failure: str = "TERMINATE_CLUSTER") -> Any:
    return {
        "Name": outcome,
        "ActionOnFailure": on_failure,
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": ["hadoop-streaming", outcome, "-mapper", "cat", "-output", "out"],
        },
    }


def cluster_request(*outcomes: str) -> dict[str, Any]:
    return {
        "Name": "toptalkers",
        "LogUri": "s3://bucket/runs/1/logs/",
        "ReleaseLabel": "emr-7.14.0",
        "Applications": [{"Name": "Hadoop"}],
        "Instances": {
            "InstanceGroups": [
                {"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1},
                {"InstanceRole": "CORE", "InstanceType": "m7g.2xlarge", "InstanceCount": 2, "Market": "ON_DEMAND"},
            ]
        },
        "ServiceRole": "service",
        "JobFlowRole": "profile",
        "Steps": [step(outcome) for outcome in outcomes],
    }


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Serve an EMR endpoint whose steps are run by `FakeHadoop`."""
    objects: dict[str, bytes] = {}
    hadoop = FakeHadoop()

    def put_log(address: str, body: bytes) -> None:
        objects[address] = body

    emulated = Emr(
        state_dir=tmp_path,
        run_step=in_thread(hadoop),
        put_log=put_log,
        pace=PACE,
        has_instance_profile=lambda name: name == "profile",
    )
    with serve_emr(emulated, {"test": "test"}.get) as url:
        client = boto3.client(
            "emr",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - opens nothing
            config=Config(retries={"total_max_attempts": 1}),
        )
        try:
            yield Sandbox(client, hadoop, objects)
        finally:
            client.close()


def test_a_transient_cluster_runs_its_steps_and_ends(sandbox: Sandbox) -> None:
    """Every state in its order, ALL_STEPS_COMPLETED, steps COMPLETED, one home for both steps."""
    cluster = sandbox.launch("ok", "ok too")
    seen: list[str] = []

    def look() -> str:
        state = str(sandbox.status(cluster)["State"])
        if state not in seen:
            seen.append(state)
        return state

    wait_for(look, lambda state: state == "TERMINATED")
    order = ["STARTING", "BOOTSTRAPPING", "RUNNING", "TERMINATING", "TERMINATED"]
    assert seen == [state for state in order if state in seen]
    status = sandbox.status(cluster)
    assert status["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"
    assert status["Timeline"]["EndDateTime"] >= status["Timeline"]["ReadyDateTime"]
    assert sandbox.step_states(cluster) == ["COMPLETED", "COMPLETED"]
    assert [run.arguments[1] for run in sandbox.hadoop.runs] == ["ok", "ok too"]
    assert len({run.work_dir for run in sandbox.hadoop.runs}) == 1
    assert [found["Id"] for found in sandbox.emr.list_clusters(ClusterStates=["TERMINATED"])["Clusters"]] == [cluster]


def test_step_logs_come_to_the_log_uri(sandbox: Sandbox) -> None:
    """They are gzipped below steps/, controller and syslog; the scripts' messages are in the container's log."""
    cluster = sandbox.launch("fail")
    sandbox.wait(cluster, "TERMINATED_WITH_ERRORS")
    failed = sandbox.emr.list_steps(ClusterId=cluster)["Steps"][0]
    address = f"s3://bucket/runs/1/logs/{cluster}/steps/{failed['Id']}/"
    wait_for(lambda: sorted(sandbox.objects), lambda keys: len(keys) == 3)
    assert b"job_local1_0001" in gzip.decompress(sandbox.objects[address + "syslog.gz"])
    assert b"Step failed with exitCode 1" in gzip.decompress(sandbox.objects[address + "controller.gz"])
    (container,) = [key for key in sandbox.objects if "/containers/application_" in key]
    assert b"ZeroDivisionError" in gzip.decompress(sandbox.objects[container])
    assert failed["Status"]["FailureDetails"]["LogFile"] == address + "stderr.gz"


@pytest.mark.parametrize(
    ("on_failure", "states", "end", "code"),
    [
        ("TERMINATE_CLUSTER", ["FAILED", "CANCELLED"], "TERMINATED_WITH_ERRORS", "STEP_FAILURE"),
        ("CANCEL_AND_WAIT", ["FAILED", "CANCELLED"], "TERMINATED", "ALL_STEPS_COMPLETED"),
        ("CONTINUE", ["FAILED", "COMPLETED"], "TERMINATED", "ALL_STEPS_COMPLETED"),
    ],
)
def test_action_on_failure(sandbox: Sandbox, on_failure: str, states: list[str], end: str, code: str) -> None:
    """The effect of a failed step on later steps and on its cluster."""
    cluster = sandbox.launch(Steps=[step("fail", on_failure), step("ok")])
    status = sandbox.wait(cluster, "TERMINATED", "TERMINATED_WITH_ERRORS")
    assert (status["State"], status["StateChangeReason"]["Code"]) == (end, code)
    assert sandbox.step_states(cluster) == states


def test_a_kept_cluster_waits_and_takes_steps_until_its_idle_time_out(sandbox: Sandbox) -> None:
    """WAITING after the last step, RUNNING for an added one, ended by its policy."""
    cluster = sandbox.launch(
        "ok", Instances={"KeepJobFlowAliveWhenNoSteps": True}, AutoTerminationPolicy={"IdleTimeout": 1500}
    )
    sandbox.wait(cluster, "WAITING")
    (added,) = sandbox.emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step("later")])["StepIds"]
    wait_for(lambda: sandbox.step_states(cluster), lambda states: states == ["COMPLETED", "COMPLETED"])
    assert sandbox.emr.describe_step(ClusterId=cluster, StepId=added)["Step"]["Name"] == "later"
    sandbox.wait(cluster, "WAITING")
    sandbox.wait(cluster, "TERMINATED")
    with pytest.raises(ClientError, match="may not be modified"):
        sandbox.emr.add_job_flow_steps(JobFlowId=cluster, Steps=[step("too late")])


def test_terminating_stops_the_running_step(sandbox: Sandbox) -> None:
    """A user's request ends cluster and step."""
    cluster = sandbox.launch("hang", "ok")
    sandbox.wait(cluster, "RUNNING")
    sandbox.emr.terminate_job_flows(JobFlowIds=[cluster])
    assert sandbox.wait(cluster, "TERMINATED")["StateChangeReason"]["Code"] == "USER_REQUEST"
    assert sandbox.step_states(cluster) == ["CANCELLED", "CANCELLED"]


def test_cancelling_steps(sandbox: Sandbox) -> None:
    """A running step is stopped, a pending one never begins, an ended one does not change."""
    cluster = sandbox.launch("ok", "hang", "never", "last")
    wait_for(lambda: sandbox.step_states(cluster), lambda states: states[1] == "RUNNING")
    done, running, pending, _ = [found["Id"] for found in reversed(sandbox.emr.list_steps(ClusterId=cluster)["Steps"])]
    answer = sandbox.emr.cancel_steps(ClusterId=cluster, StepIds=[done, running, pending])
    assert [info["Status"] for info in answer["CancelStepsInfoList"]] == ["FAILED", "SUBMITTED", "SUBMITTED"]
    sandbox.wait(cluster, "TERMINATED")
    assert sandbox.step_states(cluster) == ["COMPLETED", "CANCELLED", "CANCELLED", "COMPLETED"]
    assert [run.arguments[1] for run in sandbox.hadoop.runs] == ["ok", "hang", "last"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ReleaseLabel": "emr-9.0.0"}, "release label is invalid"),
        ({"JobFlowRole": "unknown"}, "Invalid InstanceProfile: unknown"),
        ({"ServiceRole": ""}, "ServiceRole is required"),
        ({"LogUri": "/var/log"}, "S3 location"),
        ({"AutoTerminationPolicy": {"IdleTimeout": 5}}, "between 60 and 604800"),
        ({"Instances": {"InstanceGroups": []}}, "instance groups or instance fleets"),
        ({"Instances": {"TerminationProtected": True}}, "does not protect clusters"),
        ({"Steps": [step("x", "PANIC")]}, "'PANIC' is not one of TERMINATE_JOB_FLOW"),
        ({"Tags": [{"Key": "sandbox:fault", "Value": "nonsense"}]}, "nonsense"),
    ],
)
def test_an_invalid_request_is_refused(sandbox: Sandbox, changes: dict[str, Any], message: str) -> None:
    """Invalid requests are refused as by EMR, with the reason, and no cluster is made."""
    with pytest.raises(ClientError, match=message) as caught:
        sandbox.launch("ok", **changes)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert sandbox.emr.list_clusters()["Clusters"] == []


def test_an_unknown_member_is_refused(sandbox: Sandbox) -> None:
    """A member that the model lacks is refused, even from a client without validation."""
    client = boto3.client(
        "emr",
        endpoint_url=sandbox.emr.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - opens nothing
        config=Config(parameter_validation=False),
    )
    client.meta.events.register(
        "before-call.emr.DescribeCluster",
        lambda params, **_: params.update(body=b'{"ClusterId": "j-1", "Colour": "red"}'),
    )
    with pytest.raises(ClientError, match="Colour"):
        client.describe_cluster(ClusterId="j-1")
    client.close()


def test_an_unknown_operation_or_cluster_is_refused(sandbox: Sandbox) -> None:
    """EMR has more operations than the sandbox: those fail with a clear error."""
    with pytest.raises(ClientError, match="does not know 'ListStudios'"):
        sandbox.emr.list_studios()
    with pytest.raises(ClientError, match="'j-NONE' is not valid"):
        sandbox.emr.describe_cluster(ClusterId="j-NONE")


@pytest.mark.parametrize(
    ("fault", "code", "detail"),
    [
        ("bootstrap-failure", "BOOTSTRAP_FAILURE", "BOOTSTRAP_FAILURE_PRIMARY_WITH_NON_ZERO_CODE"),
        ("no-capacity", "INTERNAL_ERROR", "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY_AZ"),
        ("no-permission", "VALIDATION_ERROR", ""),
        ("invalid-subnet", "VALIDATION_ERROR", ""),
        ("no-spot-role", "VALIDATION_ERROR", ""),
    ],
)
def test_a_cluster_that_does_not_start(sandbox: Sandbox, fault: str, code: str, detail: str) -> None:
    """It ends with errors; its step is CANCELLED and never began."""
    cluster = sandbox.launch("ok", Tags=[{"Key": "sandbox:fault", "Value": fault}])
    status = sandbox.wait(cluster, "TERMINATED_WITH_ERRORS")
    assert status["StateChangeReason"]["Code"] == code
    assert [error["ErrorCode"] for error in status.get("ErrorDetails", [])] == [detail] * bool(detail)
    assert sandbox.step_states(cluster) == ["CANCELLED"]
    assert sandbox.hadoop.runs == []


@pytest.mark.parametrize(("text", "quota"), [("", None), ("late-logs", None), ("quota:8", 8), ("late-logs quota:0", 0)])
def test_a_quota_among_the_faults(text: str, quota: int | None) -> None:
    """It is a number of vCPUs, and no fault."""
    assert parse_quota(text) == quota
    assert all(fault == "late-logs" for fault in parse_faults(text))
    with pytest.raises(ValueError, match="needs a number"):
        parse_quota("quota:many")


def test_a_check_that_breaks_ends_the_cluster(tmp_path: Path) -> None:
    """It does not stay STARTING for ever; the reason is in the sandbox's log."""

    def check(request: Any, quota: int) -> None:
        raise RuntimeError(f"{request['Name']}, {quota}")

    emulated = Emr(state_dir=tmp_path, run_step=in_thread(FakeHadoop()), put_log=print, pace=PACE, check_start=check)
    cluster = emulated.perform("RunJobFlow", cluster_request("ok"))["JobFlowId"]

    def status() -> Any:
        return emulated.perform("DescribeCluster", {"ClusterId": cluster})["Cluster"]["Status"]

    wait_for(lambda: status()["State"], lambda state: state == "TERMINATED_WITH_ERRORS")
    assert status()["StateChangeReason"] == {"Code": "INTERNAL_ERROR", "Message": "An internal error occurred."}


def test_logs_that_may_not_be_written_are_not(tmp_path: Path) -> None:
    """The cluster runs, and its logs are nowhere."""
    written: list[str] = []
    emulated = Emr(
        state_dir=tmp_path,
        run_step=in_thread(FakeHadoop()),
        put_log=lambda address, _: written.append(address),
        pace=PACE,
        may_log=lambda profile, address: profile != "profile" or "syslog" in address,
    )
    cluster = emulated.perform("RunJobFlow", cluster_request("ok"))["JobFlowId"]
    wait_for(lambda: list(written), lambda found: len(found) == 1)
    assert written[0].startswith(f"s3://bucket/runs/1/logs/{cluster}/")


@pytest.mark.parametrize("length", [10_280, 10_281])
def test_a_text_has_its_length(sandbox: Sandbox, length: int) -> None:
    """F9: 10,280 characters in EMR's model, with AWS's words for more."""
    steps = [step("ok")]
    steps[0]["HadoopJarStep"]["Args"].append("x" * length)
    if length == 10_280:
        sandbox.launch(Steps=steps)
        return
    with pytest.raises(ClientError, match="less than or equal to 10280") as caught:
        sandbox.launch(Steps=steps)
    assert "1 validation error detected: Value 'x" in str(caught.value)
    assert "at 'steps.1.member.hadoopJarStep.args.7.member' failed" in str(caught.value)
    assert sandbox.emr.list_clusters()["Clusters"] == []


def test_a_cluster_that_never_starts_can_be_terminated(sandbox: Sandbox) -> None:
    """It stays STARTING until a user terminates it."""
    cluster = sandbox.launch("ok", Tags=[{"Key": "sandbox:fault", "Value": "never-starts"}])
    time.sleep(4 * PACE.starting)
    assert sandbox.status(cluster)["State"] == "STARTING"
    sandbox.emr.terminate_job_flows(JobFlowIds=[cluster])
    sandbox.wait(cluster, "TERMINATED")


def test_the_fault_of_a_step_is_in_its_mapper(sandbox: Sandbox) -> None:
    """The first step is run with a mapper that dies; the others are unchanged."""
    cluster = sandbox.launch("ok", Tags=[{"Key": "sandbox:fault", "Value": "step-failure"}])
    sandbox.wait(cluster, "TERMINATED_WITH_ERRORS")
    assert sandbox.hadoop.runs[0].arguments == with_dying_mapper(step("ok")["HadoopJarStep"]["Args"])
    assert sandbox.emr.list_steps(ClusterId=cluster)["Steps"][0]["Config"]["Args"][3] == "cat"


def test_throttling_ends_after_some_calls(sandbox: Sandbox) -> None:
    """Calls about the cluster are refused as EMR refuses them, then answered."""
    cluster = sandbox.launch("ok", Tags=[{"Key": "sandbox:fault", "Value": "throttling"}])
    for _ in range(THROTTLED_CALLS):
        with pytest.raises(ClientError) as caught:
            sandbox.emr.describe_cluster(ClusterId=cluster)
        assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    sandbox.wait(cluster, "TERMINATED")


def test_credentials_can_expire_in_the_middle(sandbox: Sandbox) -> None:
    """The first calls about a cluster are answered, later ones are not; the cluster continues."""
    cluster = sandbox.launch("ok", Tags=[{"Key": "sandbox:fault", "Value": "expired-credentials"}])
    for _ in range(CALLS_BEFORE_EXPIRY):
        sandbox.status(cluster)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            sandbox.status(cluster)
        assert caught.value.response["Error"]["Code"] == "ExpiredTokenException"
    wait_for(lambda: [run.arguments[1] for run in sandbox.hadoop.runs], lambda runs: runs == ["ok"])


def test_lists_of_what_can_be_asked_for(sandbox: Sandbox) -> None:
    """Releases by prefix; the groups of a cluster, which has no fleets."""
    assert "emr-7.14.0" in sandbox.emr.list_release_labels(Filters={"Prefix": "emr-7"})["ReleaseLabels"]
    cluster = sandbox.launch("hang")
    sandbox.wait(cluster, "RUNNING")
    groups = sandbox.emr.list_instance_groups(ClusterId=cluster)["InstanceGroups"]
    assert [group["RunningInstanceCount"] for group in groups] == [1, 2]
    with pytest.raises(ClientError, match="not instance fleets"):
        sandbox.emr.list_instance_fleets(ClusterId=cluster)


def answer_to(sandbox: Sandbox, *headers: str, body: bytes = b"") -> str:
    """Send a raw request on its own connection; return the status line."""
    address = urlsplit(sandbox.emr.meta.endpoint_url)
    lines = "\r\n".join(["POST / HTTP/1.1", f"Host: {address.netloc}", *headers, "", ""])
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(lines.encode("latin-1") + body)
        return connection.makefile("rb").readline().decode()


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: abc"],
        ["Content-Length: -5"],
        ["Content-Length: +5"],
        ["Content-Length: 1e14"],
        ["Content-Length: 100000000000000"],
        ["Content-Length: 1_0"],
        ["Content-Length:"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Transfer-Encoding: chunked"],
    ],
)
def test_a_length_that_cannot_be_right_is_a_bad_request(
    sandbox: Sandbox, headers: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """It gets 400 and the next connection is answered; standard error stays empty."""
    assert " 400 " in answer_to(sandbox, *headers, body=b"12345")
    assert sandbox.emr.list_clusters()["Clusters"] == []
    assert "Traceback" not in "".join(capfd.readouterr())


@dataclass(frozen=True)
class Nested:
    """Nested values, closed or not, in a short form that pytest can show if a test fails."""

    opening: str
    closing: str
    times: int

    def __bytes__(self) -> bytes:
        return (self.opening * self.times + "1" + self.closing * self.times).encode()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["RunJobFlow", "DescribeCluster", "ListClusters", "Nothing"]),
    st.one_of(
        st.builds(
            Nested,
            st.sampled_from(["[", '{"a":']),
            st.sampled_from(["", "]", "}"]),
            st.sampled_from([1, 300, 100_000]),
        ),
        st.builds(
            Nested, st.just('{"Configurations":['), st.sampled_from(["", "]}"]), st.sampled_from([1, 99, 450, 9999])
        ),
        st.binary(max_size=40),
        st.text(max_size=20).map(lambda text: json.dumps({"Name": text}).encode()),
        st.sampled_from([b'{"Name": "\\ud800"}', b'{"Name": "\\u0000"}', b'{"Name": ' + b"1" * 9000 + b"}", b"NaN"]),
    ),
)
def test_a_body_that_cannot_be_understood_is_a_bad_request(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, operation: str, drawn: bytes | Nested
) -> None:
    """Signed or not, with any body: an answer, never an internal failure, and no traceback in the log."""
    url, body = sandbox.emr.meta.endpoint_url, bytes(drawn)
    request = AWSRequest("POST", url, {"X-Amz-Target": f"ElasticMapReduce.{operation}"}, body)
    SigV4Auth(Credentials("test", "test"), "elasticmapreduce", "us-east-1").add_auth(request)
    for headers, expected in ((dict(request.headers), (200, 400)), ({}, (403,))):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:  # noqa: S310
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        assert status in expected
    assert not [record for record in caplog.records if record.exc_info]


def test_only_its_own_credentials_are_answered(sandbox: Sandbox) -> None:
    """Another key, another secret and an Origin are refused with AWS's codes, and no cluster is made."""
    for key, secret, code in (("test", "wrong", "SignatureDoesNotMatch"), ("other", "test", "InvalidClientTokenId")):
        session = boto3.Session(key, secret, region_name="us-east-1")
        client = session.client("emr", endpoint_url=sandbox.emr.meta.endpoint_url)
        with pytest.raises(ClientError) as caught:
            client.run_job_flow(**cluster_request("ok"))
        client.close()
        assert caught.value.response["Error"]["Code"] == code
        assert ("knows only its root user" in str(caught.value)) == (key == "other")
    sandbox.emr.meta.events.register(
        "before-sign.emr.ListSteps", lambda request, **_: request.headers.add_header("Origin", "http://evil.example")
    )
    with pytest.raises(ClientError, match="does not answer web pages"):
        sandbox.emr.list_steps(ClusterId="j-1")
    assert sandbox.emr.list_clusters()["Clusters"] == []
