"""A laptop, a cluster and `status` find the same objects in S3."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_account import BUCKET, FakeAccount
from toptalkers.records.hours import Arrival
from toptalkers.records.stored import dated_folders, find_stored

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TREES = [
    "flowlogs/{:%Y/%m/%d/%H}/",
    "AWSLogs/123456789012/vpcflowlogs/eu-west-1/{:%Y/%m/%d/%H}/",
    "AWSLogs/123456789012/vpcflowlogs/eu-west-1/{:%Y/%m/%d}/",
    (
        "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=eu-west-1/"
        "{:year=%Y/month=%m/day=%d/hour=%H}/"
    ),
]
AGES = st.one_of(st.integers(-30, 30), st.integers(-20_000, 20_000)).map(lambda hours: timedelta(hours=hours))
TIMES = st.none() | AGES.map(lambda age: NOON + age)


@given(st.sampled_from(TREES), st.lists(AGES, min_size=1, max_size=20), TIMES, TIMES)
def test_a_laptop_and_a_cluster_find_the_same(
    tree: str, ages: list[timedelta], since: datetime | None, until: datetime | None
) -> None:
    """In each layout of folders, for any time."""
    account = FakeAccount()
    for number, age in enumerate(ages):
        account.fake_s3.objects[f"{tree.format(NOON + age)}{number}.gz"] = b"x"
    storage = account.open().storage
    here = {file.name for file in find_stored(storage, [f"s3://{BUCKET}/"], since=since, until=until).files}
    levels = list(dated_folders(storage, BUCKET, Arrival.of_records(since, until)))
    assert here == {f"s3://{BUCKET}/{one.key}" for level in levels for one in level.objects}
    for level in levels:
        assert all(key in here for key in here if key.startswith(f"s3://{BUCKET}/{level.folder}"))


@pytest.mark.parametrize("tree", TREES)
def test_a_folder_that_is_named_is_read(tree: str) -> None:
    """For any date: a time selects only below the folder that a user names."""
    account = FakeAccount()
    folder = tree.format(NOON)
    account.fake_s3.objects[f"{folder}x.gz"] = b"x"
    found = find_stored(account.open().storage, [f"s3://{BUCKET}/{folder}"], since=NOON + timedelta(days=9))
    assert [file.name for file in found.files] == [f"s3://{BUCKET}/{folder}x.gz"]


def test_neighbours_are_not_listed() -> None:
    """With a time, folders whose names only begin like the address take no request."""
    account = FakeAccount()
    account.fake_s3.objects["logs/2026/x.gz"] = b"x"
    storage = account.open().storage

    def requests() -> int:
        account.fake_s3.calls.clear()
        assert len(find_stored(storage, [f"s3://{BUCKET}/logs"], since=NOON).files) == 1
        return len(account.fake_s3.calls)

    alone = requests()
    account.fake_s3.objects["logs-of-others/2026/11/x.gz"] = b"x"
    assert requests() == alone


def test_a_year_has_four_digits() -> None:
    """A folder below a Region that begins with a month is not taken for a year long ago."""
    account = FakeAccount()
    account.fake_s3.objects["vpcflowlogs/2026/11/23/x.gz"] = b"x"
    found = find_stored(account.open().storage, [f"s3://{BUCKET}/"], since=NOON)
    assert len(found.files) == 1
