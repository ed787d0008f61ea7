"""A question says what is in quarantine of its hours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount, refusal
from toptalkers.question.query import Query
from toptalkers.runs.input.quarantine import COUNTED_AT_MOST, quarantine_note

HOUR = datetime(2026, 11, 23, 18, tzinfo=UTC)


@pytest.fixture
def account() -> FakeAccount:
    """An account in whose quarantine two objects of one hour are, and one of another day."""
    account = FakeAccount()
    for name in ("18/shardId-000000000000-1-not-gzip", "18/shardId-000000000000-2-9-misfit.ndjson.gz"):
        account.fake_s3.objects[f"quarantine/2026/11/23/{name}"] = b"x"
    account.fake_s3.objects["quarantine/2026/11/25/03/shardId-000000000000-7-not-gzip"] = b"x"
    account.fake_s3.objects["quarantine/by-hand/note.txt"] = b"x"
    return account


def note(account: FakeAccount, since: datetime | None = None, until: datetime | None = None) -> str:
    query = replace(Query.parse(), since=since, until=until)
    return quarantine_note(account.open().storage, BUCKET, [f"s3://{BUCKET}/flowlogs/"], query)


def test_the_hours_of_the_question_decide(account: FakeAccount) -> None:
    """S10: objects of the hours in which the records can have arrived are counted, and their folder is named."""
    said = note(account, HOUR, HOUR + timedelta(hours=1))
    assert said.startswith("2 objects are in quarantine, not in the answer: ")
    assert f"'aws s3 ls --recursive s3://{BUCKET}/quarantine/2026/11/23/18/' lists them" in said
    assert note(account, HOUR + timedelta(days=1)).startswith("1 object is in quarantine, ")
    assert note(account, HOUR + timedelta(days=9)) == ""
    assert note(account, until=HOUR - timedelta(days=9)) == ""


def test_only_the_folders_of_the_time_are_listed(account: FakeAccount) -> None:
    """A look takes a request per folder of a date that is partly wanted, and one per folder that is wholly."""
    note(account, HOUR, HOUR + timedelta(hours=1))
    assert len(account.fake_s3.calls) <= 6


def test_many_are_not_counted_to_the_end(account: FakeAccount) -> None:
    """A full quarantine does not hold up a question."""
    for number in range(COUNTED_AT_MOST + 5):
        account.fake_s3.objects[f"quarantine/2026/11/23/18/shardId-000000000000-{number:05}-x"] = b"x"
    assert note(account).startswith("1,000 objects are in quarantine at least, ")


def test_a_look_that_is_denied_is_left_out(account: FakeAccount) -> None:
    """It is a courtesy: a question does not fail for it."""
    account.fake_s3.error = refusal("AccessDenied", "Access Denied", "ListObjectsV2")
    assert note(account) == ""


def test_the_commands_say_it(account: FakeAccount) -> None:
    """S10: the plan of run-emr and fetch-results name what is not in the answer."""
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(b"10.0.0.1:10.0.0.2:443\t7\n")
    asked = ("--since", "2026-11-23T18:00:00Z", "--until", "2026-11-23T19:00:00Z")
    ran = command(account, "run-emr", "--yes", *asked)
    assert ran.exit_code == 0
    assert "Note: 2 objects are in quarantine, not in the answer" in ran.stderr
    fetched = command(account, "fetch-results")
    assert fetched.exit_code == 0
    assert "2 objects are in quarantine, not in the answer" in fetched.stderr


def test_other_input_has_no_quarantine(account: FakeAccount) -> None:
    """Direct delivery and other folders do not come through the pre-processor."""
    folder = f"AWSLogs/123456789012/vpcflowlogs/{account.open().region}/2026/11/23/18/"
    key = account.capture("2026/11/23/18")
    account.fake_s3.objects[f"{folder}a_vpcflowlogs_b.log.gz"] = account.fake_s3.objects.pop(key)
    account.fake_emr.on_done = lambda: account.leave(b"10.0.0.1:10.0.0.2:443\t7\n")
    given = command(account, "run-emr", "--yes", "--input", f"s3://{BUCKET}/{folder}")
    assert given.exit_code == 0
    assert "quarantine" not in given.stderr
    assert "quarantine" not in command(account, "fetch-results").stderr
