"""Runs over an EMR that answers late, never or with garbage, called by botocore: any cluster that may run is named."""

from datetime import timedelta

import pytest
from click.testing import Result

from tests.commands import command
from tests.odd_emr import Mode, OddAccount, odd_emr
from toptalkers.runs.record import parse_record
from toptalkers.runs.watch import MOST_SILENT


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> OddAccount:
    """An account with a stack and one captured object; a job that succeeds leaves an answer."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    account = OddAccount(**getattr(request, "param", {}))
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(b"")
    return account


def run(account: OddAccount, url: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EMR", url)
    return command(account, "run-emr", "--yes")


def state(account: OddAccount) -> str:
    [text] = [text for key, text in account.fake_s3.objects.items() if key.endswith("/run.json")]
    return parse_record(text).state


@pytest.mark.parametrize("mode", ["fine", "late-answer", "lost-answer", "500-after", "500-always", "garbage-answer"])
@pytest.mark.parametrize("account", [{"attempts": 3}], indirect=True, ids=["retrying"])
def test_one_cluster_comes_of_one_run(account: OddAccount, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """Whatever happens to RunJobFlow's answer, the request is sent once, and the run continues with its cluster."""
    with odd_emr(account, mode) as emr:
        done = run(account, f"http://127.0.0.1:{emr.server_address[1]}", monkeypatch)
    assert done.exit_code == 0
    assert emr.asked["RunJobFlow"] == 1
    assert len(account.fake_emr.clusters) == 1
    assert state(account) == "COMPLETED"


def test_ctrl_c_before_the_request_is_served(account: OddAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster that starts seconds later is found by its name and terminated."""
    with odd_emr(account, "late-request") as emr:
        done = run(account, f"http://127.0.0.1:{emr.server_address[1]}", monkeypatch)
    assert done.exit_code == 130
    assert len(account.fake_emr.clusters) == 1
    assert not account.fake_emr.running
    assert "is told to end" in done.stderr
    assert state(account) == "RUNNING"  # the last known state; `runs` asks EMR, and shows CANCELLED


def test_the_clusters_cannot_be_listed(account: OddAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one cluster runs, and the commands that find and terminate it are printed with its name."""
    with odd_emr(account, "list-fails") as emr:
        done = run(account, f"http://127.0.0.1:{emr.server_address[1]}", monkeypatch)
    assert done.exit_code == 1
    [name] = [one["Name"] for one in account.fake_emr.clusters.values()]
    assert f"aws emr list-clusters --region us-east-1 --active --query 'Clusters[?Name==`{name}`].Id'" in done.stderr
    assert "aws emr terminate-clusters --region us-east-1 --cluster-ids" in done.stderr
    assert state(account) == "UNKNOWN"


@pytest.mark.parametrize("mode", ["garbage-watch", "throttle-watch"])
def test_the_watch_is_given_up(account: OddAccount, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """After the announced time; the cluster is named, with the command that ends it, and run.json says RUNNING."""
    with odd_emr(account, mode) as emr:
        done = run(account, f"http://127.0.0.1:{emr.server_address[1]}", monkeypatch)
    assert done.exit_code == 1
    [cluster] = account.fake_emr.clusters
    assert "asked again for 10 minutes" in done.stderr
    assert f"'aws emr terminate-clusters --region us-east-1 --cluster-ids {cluster}' ends it now" in done.stderr
    assert timedelta(seconds=account.clock.seconds) < MOST_SILENT + timedelta(minutes=3)
    assert state(account) == "RUNNING"


@pytest.mark.parametrize(
    "garbage",
    [b"<html>", b"", b"[]", b"\xff\x00", b'{"Cluster": 5, "Steps": 5}', b'{"Cluster": {"Status": {"State": 5}}}'],
)
def test_garbage_is_waited_through(account: OddAccount, monkeypatch: pytest.MonkeyPatch, garbage: bytes) -> None:
    """A few unreadable answers do not end a watch."""
    with odd_emr(account, "garbage-watch", garbage=garbage, times=5) as emr:
        done = run(account, f"http://127.0.0.1:{emr.server_address[1]}", monkeypatch)
    assert done.exit_code == 0
    assert "EMR does not say how the cluster is" in done.stderr


@pytest.mark.parametrize("account", [{"attempts": 2, "read_timeout": 0.3}], indirect=True)
def test_a_service_that_keeps_silent(account: OddAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message names the service, and the command ends with one line."""
    with odd_emr(account, "silent") as emr:
        done = run(account, f"http://127.0.0.1:{emr.server_address[1]}", monkeypatch)
    assert done.exit_code == 1
    assert f"Error: http://127.0.0.1:{emr.server_address[1]}/ does not answer" in done.stderr.splitlines()[-1]
    assert account.told == ["still waiting for EMR in us-east-1: ListReleaseLabels was not answered 1 time of 2"]
