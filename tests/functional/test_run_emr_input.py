"""`run-emr` on objects from elsewhere: if a cluster would misread one, it never starts without a message."""

import gzip
import json
from itertools import pairwise

import pytest
from click.testing import Result

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount
from tests.fake_emr import COUNTERS
from toptalkers.runs import survey

LINE = b"2 123456789012 eni-0a 10.0.0.1 10.0.1.1 40000 443 6 2 100 1795400000 1795400059 ACCEPT OK\n"
PACKED = gzip.compress(LINE)
MINE = f"s3://{BUCKET}/mine/"
ANSWER = b"10.0.0.1:10.0.1.1:443\t7\n"


@pytest.fixture
def account() -> FakeAccount:
    """An account with a stack; a job that succeeds leaves an answer."""
    account = FakeAccount()
    account.fake_emr.on_done = lambda: account.leave(ANSWER)
    return account


def ask(account: FakeAccount, *options: str) -> Result:
    return command(account, "run-emr", "--yes", "--input", MINE, *options)


def inputs(account: FakeAccount) -> list[str]:
    """Return the input of the first step."""
    arguments = account.fake_emr.requests[-1]["Steps"][0]["HadoopJarStep"]["Args"]
    return [after for word, after in pairwise(arguments) if word == "-input"]


def put(account: FakeAccount, **objects: bytes) -> None:
    account.fake_s3.objects |= {f"mine/{name}": content for name, content in objects.items()}


@pytest.mark.parametrize("options", [(), ("--skip-unreadable",)])
def test_what_cannot_be_read(account: FakeAccount, options: tuple[str, ...]) -> None:
    """It is refused before a cluster starts, or skipped and named in run.json and by fetch-results; exit code 1."""
    put(account, **{"a.gz": PACKED, "b/c.gz": PACKED, "b/twice.gz": gzip.compress(PACKED), "b/cold.gz": PACKED})
    put(account, **{"b/denied.gz": PACKED})
    account.fake_s3.archived = {"mine/b/cold.gz"}
    account.fake_s3.refused = {"mine/b/denied.gz": ("AccessDenied", "Access Denied")}
    ran = ask(account, *options)
    assert ran.exit_code == 1
    for name in ("twice", "cold", "denied"):
        assert f"{MINE}b/{name}.gz" in ran.stderr
    if not options:
        assert not account.fake_emr.requests
        assert "3 of 5 objects cannot be read on a cluster" in ran.stderr
        return
    assert inputs(account) == [f"{MINE}a.gz", f"{MINE}b/c.gz"]
    run_id = ran.stdout.strip()
    record = json.loads(account.fake_s3.objects[f"runs/{run_id}/run.json"])
    assert [one.partition(": ")[0] for one in record["left_out"]] == [
        f"{MINE}b/{name}.gz" for name in ("cold", "denied", "twice")
    ]
    fetched = command(account, "fetch-results", run_id)
    assert (fetched.exit_code, fetched.stdout.encode()) == (1, ANSWER)
    assert f"left out: {MINE}b/cold.gz: archived (GLACIER)" in fetched.stderr
    assert "3 left out (see above)" in fetched.stderr


def test_names_that_hadoop_does_not_understand(account: FakeAccount) -> None:
    """A compressed object with a wrong ending is copied under a better name; the copies are deleted after the run."""
    put(account, **{"flows-1": PACKED, "b/flows 2": PACKED, "b/plain.gz": PACKED})
    seen: list[dict[str, bytes]] = []
    done = account.fake_emr.on_done

    def look() -> None:
        seen.append(dict(account.fake_s3.objects))
        done()

    account.fake_emr.on_done = look
    ran = ask(account)
    assert ran.exit_code == 0
    folder = f"runs/{ran.stdout.strip()}/input/"
    assert inputs(account) == [f"{MINE}b/plain.gz", f"s3://{BUCKET}/{folder}"]
    assert sorted(key for key in seen[0] if key.startswith(folder)) == [
        f"{folder}00000-flows-2.gz",
        f"{folder}00001-flows-1.gz",
    ]
    assert not any(key.startswith(folder) for key in account.fake_s3.objects)
    assert "2 objects are copied to" in ran.stderr


def test_copies_of_a_run_that_is_not_waited_for(account: FakeAccount) -> None:
    """The copies exist as long as the cluster, and are deleted when the answer is fetched."""
    put(account, flows=PACKED)
    run_id = ask(account, "--no-wait").stdout.strip()
    assert any(key.startswith(f"runs/{run_id}/input/") for key in account.fake_s3.objects)
    account.clock.sleep(1000)
    assert command(account, "fetch-results", run_id).exit_code == 0
    assert not any(key.startswith(f"runs/{run_id}/input/") for key in account.fake_s3.objects)


def test_a_run_that_does_not_start_leaves_no_copies(account: FakeAccount) -> None:
    """Whatever ends it."""
    put(account, flows=PACKED)
    account.fake_emr.start_error = KeyboardInterrupt()
    assert ask(account).exit_code == 130
    assert not any("/input/" in key for key in account.fake_s3.objects)


def test_what_aws_leaves_beside_flow_logs_is_passed_over(account: FakeAccount) -> None:
    """It is not given to the cluster, is reported in one line, and is no failure."""
    put(account, **{"aws-logs-write-test": b"Permission Check Successful", "task/000000.gz": PACKED})
    put(account, **{"AWSLogs/123456789012/CloudTrail/r/x.json.gz": gzip.compress(b'{"Records":[]}')})
    ran = ask(account)
    assert ran.exit_code == 0
    assert inputs(account) == [f"{MINE}task/"]
    (line,) = [line for line in ran.stderr.splitlines() if "passed over" in line]
    assert "aws-logs-write-test" in line
    assert "CloudTrail" in line


def test_misfits_are_said_and_end_with_1(account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    """run-emr and fetch-results both report the files that the mapper did not count because of their columns."""
    monkeypatch.setattr("tests.fake_emr.COUNTERS", COUNTERS.replace("\t\tports=3", "\t\tports=3\n\t\tmisfit_files=2"))
    put(account, **{f"{number}.gz": PACKED for number in range(3)})
    ran = ask(account)
    fetched = command(account, "fetch-results")
    for result in (ran, fetched):
        assert result.exit_code == 1
        assert "2 files, or parts of them, do not fit the layout" in result.stderr
        assert "10 records read from 3 files: 7 counted" in result.stderr
    assert fetched.stdout.encode() == ANSWER


def test_nothing_counted_is_said_at_the_end(account: FakeAccount) -> None:
    """Not only when the answer is fetched."""
    put(account, **{"a.gz": PACKED})
    account.fake_emr.on_done = lambda: account.leave(b"")
    ran = ask(account)
    assert ran.exit_code == 0
    assert "The answer is empty" in ran.stderr


@pytest.mark.parametrize("skips", [False, True])
def test_one_bad_object_of_many_has_all_looked_into(account: FakeAccount, *, skips: bool) -> None:
    """If the sample has a bad object, all objects are checked, and every bad one is named."""
    assert survey.SAMPLED < 600
    put(account, **{f"{number:04}.gz": PACKED for number in range(600)})
    put(account, **{f"{number:04}.gz": LINE for number in range(0, 600, 2)})
    ran = ask(account, *(["--skip-unreadable"] if skips else []))
    assert ran.exit_code == 1
    if skips:
        (folder,) = inputs(account)
        assert folder == f"s3://{BUCKET}/runs/{ran.stdout.strip()}/input/"
        assert account.fake_s3.calls.count("CopyObject") == 300
    else:
        assert "300 of 600 objects" in ran.stderr
        assert "and 297 more" in ran.stderr
        assert not account.fake_emr.requests


def test_an_object_named_twice_is_read_once(account: FakeAccount) -> None:
    """Hadoop would read it once per name."""
    put(account, **{"a.gz": PACKED, "b.gz": PACKED})
    ran = command(account, "run-emr", "--yes", "--input", f"{MINE}a.gz", "--input", MINE, "--input", MINE)
    assert ran.exit_code == 0
    assert inputs(account) == [f"{MINE}a.gz", f"{MINE}b.gz"]


def test_an_object_that_is_named_by_itself(account: FakeAccount) -> None:
    """An archived or denied object is refused like one in a folder; no other object is reported there."""
    put(account, **{"a": LINE, "a.gz": PACKED})
    account.fake_s3.archived = {"mine/a"}
    account.fake_s3.refused = {"mine/a": ("AccessDenied", "Access Denied")}
    for word in ("archived", "access denied"):
        ran = command(account, "run-emr", "--yes", "--input", f"{MINE}a")
        assert ran.exit_code == 1
        assert f"1 of 1 objects cannot be read on a cluster: {word}" in ran.stderr
        account.fake_s3.archived.clear()
    left = command(account, "run-emr", "--yes", "--input", f"{MINE}a", "--skip-unreadable")
    assert left.exit_code == 1
    assert f"there are no flow logs to read in {MINE}a: access denied" in left.stderr
    assert not account.fake_emr.requests
