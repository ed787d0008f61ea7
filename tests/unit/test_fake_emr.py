"""The emulated EMR on a clock that the test controls, as the tests of runs rely on it."""

import pytest

from tests.fake_account import BUCKET, FakeAccount
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import example_run


@pytest.fixture
def account() -> FakeAccount:
    """A fake account."""
    return FakeAccount()


def start(account: FakeAccount) -> str:
    _, request = example_run(Query.parse(), bucket=BUCKET, run_id="20261123T181500Z-4f2a", bundle="code/x/")
    return str(account.fake_emr.run_job_flow(**request)["JobFlowId"])


def states(account: FakeAccount, cluster: str) -> tuple[str, ...]:
    steps = account.fake_emr.steps(cluster)
    return (
        account.fake_emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"],
        *(step["Status"]["State"] for step in steps),
    )


def test_states_pass_with_the_clock(account: FakeAccount) -> None:
    """From STARTING to TERMINATED, one step after the other; logs are written after their delay."""
    cluster = start(account)
    seen: list[tuple[str, ...]] = []
    while not seen or seen[-1][0] != "TERMINATED":
        seen.append(states(account, cluster))
        account.clock.sleep(30)
    assert list(dict.fromkeys(seen)) == [
        ("STARTING", "PENDING", "PENDING"),
        ("BOOTSTRAPPING", "PENDING", "PENDING"),
        ("RUNNING", "RUNNING", "PENDING"),
        ("RUNNING", "COMPLETED", "RUNNING"),
        ("TERMINATING", "COMPLETED", "COMPLETED"),
        ("TERMINATED", "COMPLETED", "COMPLETED"),
    ]
    assert [key for key in account.fake_s3.objects if key.endswith("steps/s-1/syslog.gz")]


def test_a_failed_step_cancels_the_next(account: FakeAccount) -> None:
    """As ActionOnFailure TERMINATE_CLUSTER has it."""
    account.fake_emr.failing = ("flowlogs-aggregate", {})
    cluster = start(account)
    account.clock.sleep(1000)
    assert states(account, cluster) == ("TERMINATED_WITH_ERRORS", "FAILED", "CANCELLED")


def test_termination_stays(account: FakeAccount) -> None:
    """Events that were due after the cluster was terminated do not happen."""
    cluster = start(account)
    account.clock.sleep(130)
    account.fake_emr.terminate_job_flows(JobFlowIds=[cluster])
    assert account.fake_emr.running == []
    account.clock.sleep(1000)
    assert states(account, cluster) == ("TERMINATED", "CANCELLED", "CANCELLED")


def test_it_is_loud(account: FakeAccount) -> None:
    """Requests that do not fit the model, and unknown operations, are errors."""
    with pytest.raises(AssertionError, match="Missing required parameter"):
        account.fake_emr.run_job_flow(Name="x")
    with pytest.raises(AttributeError):
        account.fake_emr.list_studios()
    with pytest.raises(KeyError):
        account.fake_emr.get_paginator("list_instances")
