"""Runs without a record, started by hand or by a schedule: `runs` lists them, fetch-results gets their answers."""

import gzip
from dataclasses import replace
from typing import Any

import pytest

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount
from toptalkers.answer.formats import describe_query
from toptalkers.aws.emr import ClusterGateway, ClusterStep
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import example_run
from toptalkers.runs.others import runs_of

ANSWER = b"10.0.0.1:10.0.0.2:443\t7\n"
NAME = "20261123T180000Z-0001"


def start(account: FakeAccount, name: str = NAME, bucket: str = BUCKET, **question: str) -> str:
    """Start a cluster as `emr/README.md` says; its answer lies in the bucket when the steps are over."""
    query = Query.parse(**question)
    _, request = example_run(query, top=5, bucket=bucket, run_id=name, bundle="code/example/")
    account.fake_emr.on_done = lambda: leave(account, name)
    return str(account.fake_emr.run_job_flow(**request)["JobFlowId"])


def leave(account: FakeAccount, name: str) -> None:
    folder = f"runs/{name}/toptalkers/"
    account.fake_s3.objects |= {f"{folder}part-00000.gz": gzip.compress(ANSWER), f"{folder}_SUCCESS": b""}


def listed(account: FakeAccount) -> list[list[str]]:
    return [line.split(maxsplit=5) for line in command(account, "runs").stdout.splitlines()[1:]]


@pytest.fixture
def account() -> FakeAccount:
    return FakeAccount()


def test_the_question_of_a_run_by_hand_is_read_from_its_steps(account: FakeAccount) -> None:
    """Its key, all metrics, and the expression in words."""
    start(account, by="hour,srcaddr/24", metric="bytes,last", where="src net 10.0.0.0/8 and not vpc-id = vpc-0a1b")
    ((*_, question),) = listed(account)
    assert question.startswith("by hour,srcaddr/24/64, top talkers by bytes, last, where srcaddr = 10.0.0.0/8 and ")
    assert "vpc-id != vpc-0a1b" in question
    assert "ports 0-1024" in question


@pytest.mark.parametrize("more", [{}, {"count": "once"}])
def test_a_run_of_conversations_is_one_run(account: FakeAccount, more: dict[str, str]) -> None:
    """Its steps read what others have learned; together they are one run, whose question has pairs."""
    start(account, pairs="yes", ports="443", where="src net 10.0.0.0/8", **more)
    account.clock.sleep(2000)
    ((_, state, *_, question),) = listed(account)
    assert state == "COMPLETED"
    asked = Query.parse(pairs="yes", ports="443", where="src net 10.0.0.0/8", **more)
    assert question == describe_query(asked)


def test_a_run_by_hand(account: FakeAccount) -> None:
    """It is listed by its cluster's id, with its state and question, and its answer can be fetched by that."""
    cluster = start(account, metric="bytes", ports="all", since="2026-11-23T17:00")
    ((name, state, *_),) = listed(account)
    assert (name, state) == (cluster, "RUNNING")
    early = command(account, "fetch-results", cluster)
    assert early.exit_code == 1
    assert "it is RUNNING" in early.stderr
    account.clock.sleep(1000)
    ((name, state, _, read, hours, question),) = listed(account)
    assert (name, state, read, hours) == (cluster, "COMPLETED", "-", "-")
    assert "top talkers by bytes" in question
    assert "2026-11-23T17:00:00Z" in question
    fetched = command(account, "fetch-results", cluster)
    assert fetched.exit_code == 0
    assert fetched.stdout.encode() == ANSWER
    assert "It is unknown what was skipped" in fetched.stderr
    assert command(account, "fetch-results").exit_code == 1  # the newest is asked for among those with a record


def test_a_run_by_hand_that_fails(account: FakeAccount) -> None:
    """Its state tells, and fetch-results says why there is no answer."""
    account.fake_emr.failing = ("flowlogs-aggregate", {})
    cluster = start(account)
    account.clock.sleep(1000)
    assert [row[:2] for row in listed(account)] == [[cluster, "FAILED"]]
    fetched = command(account, "fetch-results", cluster)
    assert fetched.exit_code == 3
    assert "step flowlogs-aggregate failed" in fetched.stderr


@pytest.mark.parametrize(
    ("states", "cluster_state", "state"),
    [
        (("COMPLETED", "CANCELLED"), "TERMINATING", "CANCELLED"),
        (("CANCELLED", "CANCELLED"), "WAITING", "CANCELLED"),
        (("COMPLETED", "PENDING"), "TERMINATED_WITH_ERRORS", "FAILED"),
        (("COMPLETED", "RUNNING"), "RUNNING", "RUNNING"),
        (("COMPLETED", "FAILED"), "WAITING", "FAILED"),
        (("FAILED", "CANCELLED"), "TERMINATED_WITH_ERRORS", "FAILED"),
    ],
)
def test_the_state_is_that_of_the_steps(
    account: FakeAccount, states: tuple[str, str], cluster_state: str, state: str
) -> None:
    """A step that failed, or was cancelled, decides; steps that wait on a cluster that ends have failed."""
    made = account.open().clusters.describe(start(account))
    cluster = replace(made, state=cluster_state, reason="ended by hand")
    own = account.open().clusters.steps(made.id)
    steps = [replace(step, state=each, reason="") for step, each in zip(own, states, strict=True)]

    class ByHand(ClusterGateway):
        def steps(self, cluster_id: str) -> list[ClusterStep]:
            return steps if cluster_id == made.id else []

    opened = account.open()
    vars(opened)["clusters"] = ByHand(account.fake_emr)  # type: ignore[arg-type]  # the fake knows what is called
    (record,) = runs_of(opened, BUCKET, cluster)
    assert record.state == state
    if states[0] == "FAILED":
        assert record.reason == "step flowlogs-aggregate failed"
    elif state in ("CANCELLED", "FAILED") and "FAILED" not in states:
        assert record.reason == "ended by hand"


def test_runs_with_a_record_are_not_listed_twice(account: FakeAccount) -> None:
    """Our own runs, and runs on a shared cluster, have one row each; the id of the cluster finds the newest."""
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    own = command(account, "run-emr", "--yes").stdout.strip()
    kept = command(account, "run-emr", "--keep-alive", "600", "--yes").stdout.strip()
    (cluster,) = account.fake_emr.running
    again = command(account, "run-emr", "--cluster", cluster, "--yes").stdout.strip()
    by_hand = start(account)
    account.clock.sleep(1000)
    names = [row[0] for row in listed(account)]
    assert sorted(names[:-1]) == sorted([own, kept, again])
    assert names[-1] == by_hand
    assert f"run {again}:" in command(account, "fetch-results", cluster).stderr


def test_steps_by_hand_on_a_shared_cluster(account: FakeAccount) -> None:
    """They are found beside ours, and other programs' steps and buckets are left alone."""
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    command(account, "run-emr", "--keep-alive", "600", "--yes")
    (cluster,) = account.fake_emr.running
    steps = [
        {"Name": "spark", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["spark-submit", "-input", "x"]}},
        *example_run(Query(), bucket="another", run_id=NAME, bundle="code/example/")[1]["Steps"],
        *example_run(Query(), bucket=BUCKET, run_id=NAME, bundle="code/example/")[1]["Steps"],
    ]
    account.fake_emr.on_done = lambda: leave(account, NAME)
    account.fake_emr.add_job_flow_steps(JobFlowId=cluster, Steps=steps)
    account.clock.sleep(1000)
    assert [row[0] for row in listed(account)][1:] == [cluster]
    assert command(account, "fetch-results", cluster).stdout.encode() == ANSWER


def test_without_the_right_to_list_clusters(account: FakeAccount) -> None:
    """They are left out with a note, and the command does not fail."""
    start(account)
    account.fake_emr.refused = {"ListClusters"}
    ran = command(account, "runs")
    assert ran.exit_code == 0
    assert "runs that others started are not shown: access denied" in ran.stderr


def test_a_cluster_without_a_run(account: FakeAccount) -> None:
    """One line says so."""
    cluster = start(account, bucket="another")
    ran = command(account, "fetch-results", cluster)
    assert ran.exit_code == 1
    assert f"the cluster {cluster} has no run that uses the scripts in s3://{BUCKET}/code/" in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["hadoop-streaming"],
        ["hadoop-streaming", "-files"],
        ["-files", f"s3://{BUCKET}/code/x/count_flows.py", "-output", f"s3://{BUCKET}/"],
        ["-files", f"s3://{BUCKET}/code/x/y", "-output", "s3://", "-mapper", "python3 count_flows.py --metric hats"],
        ["-files", f"s3://{BUCKET}/code/x/y", "-output", "s3://elsewhere/x", "-mapper", "cat --top \u0664 --ports"],
    ],
)
def test_odd_steps(account: FakeAccount, arguments: list[str]) -> None:
    """Steps of any form are listed or passed over."""
    request: dict[str, Any] = example_run(Query(), bucket=BUCKET, run_id=NAME, bundle="code/example/")[1]
    step = {"Name": "x", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments}}
    account.fake_emr.run_job_flow(**{**request, "Steps": [step]})
    assert command(account, "runs").exit_code == 0
    (cluster,) = account.fake_emr.clusters
    assert command(account, "fetch-results", cluster).exit_code == 1
