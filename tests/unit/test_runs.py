"""run.json is a record, or one line of error with its name; an unreadable one does not hide the others."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount, refusal
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import example_run
from toptalkers.runs.listing import format_runs
from toptalkers.runs.record import RECORD_BYTES, RecordError, RunRecord, format_record, parse_record, question_of

NOW = datetime(2026, 11, 23, 19, 15, tzinfo=UTC)
RECORD = RunRecord(
    run_id="20261123T181500Z-4f2a",
    stack="toptalkers",
    state="COMPLETED",
    question=question_of(Query.parse(since="2026-11-23T18:00", until="2026-11-23T19:00"), 7),
    inputs=["s3://bucket/flowlogs/"],
    input_objects=1,
    input_bytes=2,
    answer="s3://bucket/runs/",
    aggregate="",
    versions={"release": "emr-7.14.0"},
    instance_type="m7g.xlarge",
    instances=3,
    created=datetime(2026, 11, 23, 18, 15, tzinfo=UTC),
    cluster="j-1",
    counters={"counted": 1},
)
MEMBERS: dict[str, Any] = json.loads(format_record(RECORD))

TIMES = ["2026-11-23T18:15:00Z", "2026-11-23", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "noon"]
ODD_TEXTS = [*TIMES, "\ud800", "\x1b]0;x\x07", "../../x", "COMPLETED", "UNKNOWN", "0-1024", "\u0664", "9" * 5000]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 2**63, 2**63 - 1, 10**400])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(ODD_TEXTS)
)
JSON = st.recursive(
    LEAVES, lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some, max_size=3)
)
QUESTIONS = st.dictionaries(
    st.sampled_from(
        ["by", "metric", "where", "ports", "action", "top", "since", "until", "log_format", "format", "other"]
    ),
    JSON,
)


def test_a_record_reads_no_file_of_this_machine(tmp_path: Path) -> None:
    """An expression with a file is for the command line; a record has values, and perhaps a stranger wrote it."""
    (tmp_path / "list").write_text("443")
    kept = {**MEMBERS, "question": question_of(Query.parse(where="dst port 443"))}
    text = json.dumps(kept).encode()
    assert parse_record(text).query.where == Query.parse(where="dst port 443").where
    with pytest.raises(RecordError, match="its question names a file in --where"):
        parse_record(text.replace(b"= 443", f"= @{tmp_path}/list".encode()))


def test_a_record_without_a_key_is_of_the_recipe() -> None:
    """Older versions wrote neither `by` nor `where`, and one metric."""
    question = {"metric": "bytes", "ports": "all", "action": "ACCEPT", "top": 0}
    record = parse_record(json.dumps({**MEMBERS, "question": question}).encode())
    assert record.query == Query.parse(metric="bytes", ports="all")
    assert record.query.is_recipe


def check(text: bytes) -> None:
    """It is a record that supports every command, or one line."""
    try:
        record = parse_record(text)
    except RecordError as error:
        said = error.message
    else:
        format_runs([record], NOW).encode()
        assert parse_record(format_record(record)) == record
        said = record.stack
    assert said.isprintable()


@given(st.dictionaries(st.sampled_from([*MEMBERS, "later"]), JSON, max_size=4), st.sets(st.sampled_from([*MEMBERS])))
def test_members_of_any_shape(others: dict[str, Any], missing: set[str]) -> None:
    """Any member may be missing, or be any JSON."""
    kept = {key: value for key, value in (MEMBERS | others).items() if key in others or key not in list(missing)[:1]}
    check(json.dumps(kept).encode())


@given(QUESTIONS)
def test_questions_of_any_shape(question: dict[str, Any]) -> None:
    """The question may have any options, with any values."""
    check(json.dumps(MEMBERS | {"question": question}).encode())


@given(JSON.map(lambda one: json.dumps(one).encode()) | st.binary(max_size=40))
def test_anything_instead_of_a_record(text: bytes) -> None:
    """Any JSON, and any bytes."""
    with pytest.raises(RecordError):
        parse_record(text)
    check(text)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"9" * 5000, b" " * (RECORD_BYTES + 1), b"\xff\xfe", b""])
def test_what_parsers_stumble_over(text: bytes) -> None:
    """Deep nesting, long numbers, too many bytes, no UTF-8, nothing."""
    with pytest.raises(RecordError, match=r"this run\.json cannot be read: "):
        parse_record(text)


OPTIONAL = ("cluster", "ended", "reason", "counters", "left_out", "is_shared", "logs")


@pytest.mark.parametrize("key", [key for key in MEMBERS if key not in OPTIONAL])
def test_the_member_is_named(key: str) -> None:
    """One with a missing member, and one of another kind."""
    for odd in (None, 3.5):
        with pytest.raises(RecordError, match=f"'{key}'"):
            parse_record(json.dumps(MEMBERS | {key: odd}).encode())
    with pytest.raises(RecordError, match=f"it has no '{key}'"):
        parse_record(json.dumps({one: value for one, value in MEMBERS.items() if one != key}).encode())


def put(account: FakeAccount, run_id: str, text: bytes) -> None:
    account.fake_s3.objects[f"runs/{run_id}/run.json"] = text


def put_record(account: FakeAccount, run_id: str, **more: Any) -> None:
    put(account, run_id, json.dumps(MEMBERS | {"run_id": run_id} | more).encode())


FINE, BROKEN, NEWEST = "20261123T181500Z-4f2a", "20261123T181600Z-4f2a", "20261123T181700Z-4f2a"


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", json.dumps(MEMBERS | {"run_id": "../../x"}).encode()])
def test_a_broken_record_hides_no_other(text: bytes) -> None:
    """`runs` shows the others, names the broken one and exits with 1; fetch-results skips it, or says so."""
    account = FakeAccount()
    put_record(account, FINE)
    put(account, BROKEN, text)
    put_record(account, NEWEST)
    listed = command(account, "runs")
    assert listed.exit_code == 1
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["run", NEWEST, FINE]
    assert f"s3://{BUCKET}/runs/{BROKEN}/run.json cannot be read: " in listed.stderr
    assert f"runs/{BROKEN}/run.json cannot be read" in command(account, "fetch-results", BROKEN).stderr
    newest = command(account, "fetch-results")
    assert newest.exit_code == 1
    assert f"the newest, {NEWEST}, is COMPLETED" in newest.stderr


def test_only_broken_records() -> None:
    """The message does not claim that there are no runs."""
    account = FakeAccount()
    put(account, BROKEN, b"{")
    for done in (command(account, "runs"), command(account, "fetch-results")):
        assert done.exit_code == 1
        assert "there are no runs" not in done.stderr.lower()
        assert BROKEN in done.stderr


def test_a_cluster_that_emr_does_not_tell_of() -> None:
    """Its run is shown as UNKNOWN, with the reason; the others are shown as usual."""
    account = FakeAccount()
    put_record(account, FINE)
    put_record(account, NEWEST, state="RUNNING", cluster="j-2")
    account.fake_emr.errors = [refusal("AccessDeniedException", "no", "DescribeCluster")]
    listed = command(account, "runs")
    assert listed.exit_code == 1
    assert [line.split()[1] for line in listed.stdout.splitlines()] == ["state", "UNKNOWN", "COMPLETED"]
    assert f"the state of the run {NEWEST} is not known: access denied" in listed.stderr


def test_an_emr_that_does_not_answer_is_asked_once() -> None:
    """All runs whose state only EMR knows are UNKNOWN then; ended ones are shown as usual."""
    account = FakeAccount()
    put_record(account, FINE)
    put_record(account, BROKEN, state="RUNNING", cluster="j-1")
    put_record(account, NEWEST, state="RUNNING", cluster="j-2")
    account.fake_emr.errors = [EndpointConnectionError(endpoint_url="https://x")] * 9  # type: ignore[list-item]
    listed = command(account, "runs", "--limit", str(10**30))
    assert listed.exit_code == 1
    assert [line.split()[1] for line in listed.stdout.splitlines()] == ["state", "UNKNOWN", "UNKNOWN", "COMPLETED"]
    assert len(account.fake_emr.calls) == 1


@pytest.mark.parametrize("state", ["STARTING", "UNKNOWN"])
@pytest.mark.parametrize("comes", [False, True])
def test_a_run_whose_cluster_nobody_knows(state: str, comes: bool) -> None:
    """Its cluster is found by its name, as after a command that was killed before it got an answer."""
    account = FakeAccount()
    put_record(account, FINE, state=state, cluster="")
    if comes:
        _, request = example_run(Query.parse(), bucket=BUCKET, run_id=FINE, bundle="code/x/")
        account.fake_emr.run_job_flow(**request)
    listed = command(account, "runs")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[1].split()[1] == ("RUNNING" if comes else state)
    account.clock.sleep(3600)
    assert command(account, "runs").stdout.splitlines()[1].split()[1] == ("COMPLETED" if comes else "UNKNOWN")
