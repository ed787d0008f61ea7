"""One cluster and many questions: what a run does to a cluster that goes on, and what it leaves alone."""

import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount, refusal
from tests.fake_emr import SYSLOG, TRACEBACK
from toptalkers.aws.emr import Nodes
from toptalkers.errors import JobFailedError, ToptalkersError
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import ClusterOptions
from toptalkers.runs.cluster.shared import RunningCluster, find_running, size_running
from toptalkers.runs.plan import RunPlan, plan_run
from toptalkers.runs.record import RunRecord, load_record
from toptalkers.runs.watch import execute_run

ANSWER = b"10.0.0.1:10.0.0.2:443\t7\n"
OTHERS = {
    "Name": "somebody else's",
    "ActionOnFailure": "CONTINUE",
    "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["hadoop-streaming", "-input", "elsewhere"]},
}
MINUTES = 600


@pytest.fixture
def account() -> FakeAccount:
    account = FakeAccount()
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    return account


@pytest.fixture
def cluster(account: FakeAccount) -> str:
    """A cluster that waits for steps, and had one of somebody else."""
    options = ClusterOptions(core=3, keep_alive=MINUTES)
    request = plan_run(account.open(), account.site, Query.parse(), options=options, token="0000").request  # noqa: S106
    request = {**request, "Steps": [OTHERS], "LogUri": f"s3n://{BUCKET}/logs/theirs"}
    account.fake_emr.on_done = lambda: None
    made = str(account.fake_emr.run_job_flow(**request)["JobFlowId"])
    account.clock.sleep(1000)
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    account.fake_emr.requests.clear()
    return made


def state_of(account: FakeAccount, cluster: str) -> str:
    return str(account.fake_emr.clusters[cluster]["Status"]["State"])


def planned(account: FakeAccount, cluster: str) -> RunPlan:
    running = find_running(account.open(), cluster)
    return plan_run(account.open(), account.site, Query.parse(), running=running, token="4f2a")  # noqa: S106


def execute(account: FakeAccount, plan: RunPlan, answer: str = "terminate", said: list[str] | None = None) -> RunRecord:
    return execute_run(
        account.open(),
        plan,
        say=(said if said is not None else []).append,
        ask=lambda _: "leave" if answer == "leave" else "terminate",
    )


def recorded(account: FakeAccount, run_id: str) -> RunRecord:
    record = load_record(account.open().storage, BUCKET, run_id)
    assert record
    return record


def test_one_cluster_many_questions(account: FakeAccount) -> None:
    """--keep-alive starts it, --cluster asks again, each run is judged by its own steps, and nobody ends it."""
    first = command(account, "run-emr", "--keep-alive", "60", "--yes")
    assert first.exit_code == 0
    (request,) = account.fake_emr.requests
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"]
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 3600}
    ((cluster, _),) = account.fake_emr.clusters.items()
    assert f"--cluster {cluster}' asks it another question" in first.stderr
    assert f"'aws emr terminate-clusters --region us-east-1 --cluster-ids {cluster}' ends it now" in first.stderr
    assert "ends after 60 minutes without a step" in first.stderr
    second = command(account, "run-emr", "--cluster", cluster, "--metric", "bytes", "--yes")
    assert second.exit_code == 0
    assert state_of(account, cluster) == "WAITING"
    steps = account.fake_emr.steps(cluster)
    names = [
        f"{step} {ran.stdout.strip()}" for ran in (first, second) for step in ("flowlogs-aggregate", "flowlogs-sort")
    ]
    assert [one["Name"] for one in steps] == names
    assert {one["ActionOnFailure"] for one in steps} == {"CONTINUE"}
    shown = command(account, "runs")
    assert [line.split()[1] for line in shown.stdout.splitlines()[1:]] == ["COMPLETED", "COMPLETED"]
    assert shown.stderr.count(f"the cluster {cluster} is WAITING, and paid for: 'aws emr terminate-clusters ") == 1
    for ran in (first, second):
        fetched = command(account, "fetch-results", ran.stdout.strip())
        assert fetched.stdout.encode() == ANSWER
        assert "10 records read" in fetched.stderr
    account.clock.sleep(3700)
    assert state_of(account, cluster) == "TERMINATED"
    assert command(account, "runs").stderr == ""


def test_what_is_sent(account: FakeAccount, cluster: str) -> None:
    """--dry-run shows the request of AddJobFlowSteps as it is sent, and the cluster's own size."""
    dry = command(account, "run-emr", "--cluster", cluster, "--dry-run")
    assert dry.exit_code == 0
    assert "1 primary, 3 core, all m7g.xlarge (as it is)" in dry.stderr
    assert "it goes on afterwards" in dry.stderr
    sent = json.loads(dry.stdout)
    assert sent["JobFlowId"] == cluster
    assert not account.fake_emr.added
    record = execute(account, planned(account, cluster))
    (request,) = account.fake_emr.added
    assert request.keys() == sent.keys()
    assert record.instances == 4
    assert record.counters["counted"] == 7  # from the cluster's own folder of logs
    assert record.logs == f"s3://{BUCKET}/logs/theirs/"


def test_the_size_of_fleets(account: FakeAccount) -> None:
    """A cluster with fleets has its size read from them."""
    options = ClusterOptions(instance_type="m7g.2xlarge", core=1, task=5, spot=True, keep_alive=60)
    request = plan_run(account.open(), account.site, Query.parse(), options=options, token="0000").request  # noqa: S106
    account.fake_emr.on_done = lambda: None
    cluster = account.fake_emr.run_job_flow(**request)["JobFlowId"]
    account.clock.sleep(1000)
    sizing = planned(account, cluster).sizing
    assert (sizing.instance_type, sizing.core, sizing.task) == ("m7g.2xlarge", 1, 5)


def test_the_primary_node_is_not_a_core_node(account: FakeAccount, cluster: str) -> None:
    """Each role has its type, in whatever order EMR lists the groups."""
    nodes = [Nodes("TASK", "m7g.2xlarge", 2), Nodes("MASTER", "m7g.xlarge", 1), Nodes("CORE", "m7g.4xlarge", 3)]
    nodes.append(Nodes("TASK", "m7g.2xlarge", 0))  # a cluster may have many groups of task nodes
    for listed in itertools.permutations(nodes):
        sizing = size_running(1 << 30, RunningCluster(find_running(account.open(), cluster).cluster, listed))
        assert (sizing.primary_type, sizing.instance_type) == ("m7g.xlarge", "m7g.4xlarge")
        assert (sizing.core, sizing.task) == (3, 2)


def test_a_cluster_that_may_not_be_looked_at(account: FakeAccount, cluster: str) -> None:
    """A denied look is not taken for a cluster that does not exist; one that does not exist has others listed."""
    account.fake_emr.refused = {"DescribeCluster"}
    ran = command(account, "run-emr", "--cluster", cluster, "--yes")
    assert ran.exit_code == 1
    assert "there is no cluster" not in ran.stderr
    assert "elasticmapreduce:DescribeCluster" in ran.stderr
    account.fake_emr.refused = set()
    ran = command(account, "run-emr", "--cluster", "j-0000000000099", "--yes")
    assert "'aws emr list-clusters --region us-east-1 --active' lists others" in ran.stderr


def test_no_roles_are_needed(account: FakeAccount, cluster: str) -> None:
    """Without a stack, a bucket is enough for a cluster that runs already."""
    account.has_stack = False
    ran = command(account, "run-emr", "--bucket", BUCKET, "--cluster", cluster, "--yes")
    assert ran.exit_code == 0
    assert f"'toptalkers fetch-results --bucket {BUCKET} {ran.stdout.strip()}' fetches the answer" in ran.stderr
    assert f"toptalkers run-emr --bucket {BUCKET} --region us-east-1 --cluster {cluster}" in ran.stderr


def test_a_kept_cluster_of_a_run_that_failed_is_named(account: FakeAccount) -> None:
    """It is paid for until it has been idle for long enough, or is ended as the message says."""
    account.fake_emr.failing = ("flowlogs-aggregate", {"steps/s-1/syslog": SYSLOG})
    ran = command(account, "run-emr", "--keep-alive", "600", "--yes")
    assert ran.exit_code == 3
    (cluster,) = account.fake_emr.running
    assert "goes on, and ends when it is idle" in ran.stderr
    assert f"terminate-clusters --region us-east-1 --cluster-ids {cluster}" in ran.stderr


def test_a_step_that_fails(account: FakeAccount, cluster: str) -> None:
    """The reason comes from the cluster's logs, the cluster goes on, and so do the steps of others."""
    account.fake_emr.failing = (
        "flowlogs-aggregate",
        {"steps/s-4/syslog": SYSLOG, "containers/application_1_0001/container_1_0001_01_000002/stderr": TRACEBACK},
    )
    account.fake_emr.on_start = lambda: (
        account.clock.after(1, lambda: account.fake_emr.add_job_flow_steps(JobFlowId=cluster, Steps=[OTHERS]))
        if not account.fake_emr.added[1:]
        else None
    )
    with pytest.raises(JobFailedError, match="ZeroDivisionError"):
        execute(account, planned(account, cluster))
    account.clock.sleep(600)
    assert state_of(account, cluster) == "WAITING"
    assert [one["Status"]["State"] for one in account.fake_emr.steps(cluster) if one["Name"] == OTHERS["Name"]] == [
        "COMPLETED",
        "COMPLETED",
    ]
    assert "TerminateJobFlows" not in account.fake_emr.calls


@pytest.mark.parametrize("answer", ["leave", "terminate"])
@pytest.mark.parametrize("at", [1010, 1100])
def test_ctrl_c(account: FakeAccount, cluster: str, answer: str, at: int) -> None:
    """An interrupt cancels the run's steps, or leaves them; never the cluster."""
    plan = planned(account, cluster)
    account.clock.interrupt_at = [at]
    if answer == "leave":
        assert execute(account, plan, answer).state == "RUNNING"
        account.clock.sleep(600)
        assert [one["Status"]["State"] for one in account.fake_emr.steps(cluster)] == ["COMPLETED"] * 3
    else:
        with pytest.raises(KeyboardInterrupt):
            execute(account, plan, answer)
        assert recorded(account, plan.record.run_id).state == "CANCELLED"
    assert "TerminateJobFlows" not in account.fake_emr.calls
    assert state_of(account, cluster) == "WAITING"


@pytest.mark.parametrize("others", [False, True])
def test_ctrl_c_while_a_cluster_of_our_own_is_kept(account: FakeAccount, others: bool) -> None:
    """The cluster that this command started ends with it, unless others have given it steps in the meantime."""
    plan = plan_run(account.open(), account.site, Query.parse(), options=ClusterOptions(keep_alive=60), token="4f2a")  # noqa: S106
    if others:
        account.clock.after(
            100, lambda: account.fake_emr.add_job_flow_steps(JobFlowId=account.fake_emr.running[0], Steps=[OTHERS])
        )
    account.clock.interrupt_at = [250]
    with pytest.raises(KeyboardInterrupt):
        execute(account, plan)
    account.clock.sleep(300)
    assert bool(account.fake_emr.running) is others


@pytest.mark.parametrize("starts_anyway", [True, False])
def test_an_answer_that_is_lost(account: FakeAccount, cluster: str, starts_anyway: bool) -> None:
    """Steps are never sent twice: they are looked for by the run's name on the cluster."""
    account.fake_emr.start_error = EndpointConnectionError(endpoint_url="https://emr")
    account.fake_emr.starts_anyway = starts_anyway
    plan, said = planned(account, cluster), list[str]()
    if starts_anyway:
        assert execute(account, plan, said=said).state == "COMPLETED"
    else:
        with pytest.raises(ToptalkersError):
            execute(account, plan, said=said)
        assert any("the steps may come all the same" in line for line in said)
    assert len(account.fake_emr.added) == 1
    assert state_of(account, cluster) == "WAITING"
    account.clock.sleep(1000)
    state = command(account, "runs").stdout.splitlines()[1].split()[1]
    assert state == ("COMPLETED" if starts_anyway else "FAILED")


def test_refused_steps(account: FakeAccount, cluster: str) -> None:
    """A refusal is the error, and the run is recorded as failed."""
    account.fake_emr.start_error = refusal("AccessDeniedException", "not authorized", "AddJobFlowSteps")
    plan = planned(account, cluster)
    with pytest.raises(ToptalkersError, match="not authorized"):
        execute(account, plan)
    assert recorded(account, plan.record.run_id).state == "FAILED"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Status": {"State": "TERMINATING"}}, "takes no steps: it is TERMINATING"),
        ({"Status": {"State": "STARTING"}}, "takes no steps: it is STARTING"),
        ({"StepConcurrencyLevel": 5}, "runs 5 steps at a time"),
        ({"ReleaseLabel": "emr-6.15.0"}, "has emr-6.15.0"),
    ],
)
def test_a_cluster_that_does_not_do(account: FakeAccount, cluster: str, changed: dict[str, Any], said: str) -> None:
    """One line says why, and names the command that mends it or lists others; nothing is written."""
    account.fake_emr.described = changed
    ran = command(account, "run-emr", "--cluster", cluster, "--yes")
    assert ran.exit_code == 1
    assert said in ran.stderr
    assert "('aws emr " in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert "PutObject" not in account.fake_s3.calls


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--cluster", "j-0000000000099"), 1, "there is no cluster j-0000000000099 in us-east-1"),
        (("--cluster", "mine"), 2, "'mine' is not the id of a cluster"),
        (("--cluster", "j-1", "--core", "3"), 2, "--core: only for a new cluster, not with --cluster"),
        (("--cluster", "j-1", "--keep-alive", "3"), 2, "--keep-alive: only for a new cluster, not with --cluster"),
        (("--cluster", "j-1", "--service-role", "x"), 2, "--service-role: only for a new cluster"),
        (("--hadoop-cluster", "--cluster", "j-1"), 2, "--cluster: only for EMR, not with --hadoop-cluster"),
    ],
)
def test_what_does_not_go_together(account: FakeAccount, given: tuple[str, ...], code: int, said: str) -> None:
    """One line, before anything is done."""
    ran = command(account, "run-emr", *given)
    assert ran.exit_code == code
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_nodes_that_may_not_be_listed(account: FakeAccount, cluster: str) -> None:
    """Without the right to list them, the run is planned for a cluster of the usual size, and says so."""
    account.fake_emr.refused = {"ListInstanceGroups"}
    ran = command(account, "run-emr", "--cluster", cluster, "--dry-run")
    assert ran.exit_code == 0
    assert "its nodes are not known" in ran.stderr
