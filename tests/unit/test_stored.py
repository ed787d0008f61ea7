"""A laptop and a cluster find the same objects in S3: all that can hold records of the question, and few others."""

import gzip
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_account import BUCKET, FakeAccount
from toptalkers.errors import ToptalkersError
from toptalkers.job.steps import plan_steps
from toptalkers.question.query import Query
from toptalkers.records.stored import Search, find_stored
from toptalkers.records.wanted import ANYWHERE, Origin, Wanted
from toptalkers.runs.input import survey
from toptalkers.runs.input.choice import RunInput, pick_input

PACKED = gzip.compress(
    b"2 123456789012 eni-0a 10.0.0.1 10.0.1.1 40000 443 6 2 100 1795400000 1795400059 ACCEPT OK\n", mtime=0
)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OURS = "flowlogs/{time:%Y/%m/%d/%H}/"
PLAIN = "AWSLogs/{account}/vpcflowlogs/{region}/{time:%Y/%m/%d}/"
PLAIN_HOURS = "AWSLogs/{account}/vpcflowlogs/{region}/{time:%Y/%m/%d/%H}/"
HIVE = "AWSLogs/aws-account-id={account}/aws-service=vpcflowlogs/aws-region={region}/{time:year=%Y/month=%m/day=%d}/"
HIVE_HOURS = HIVE + "{time:hour=%H}/"
PREFIXES = ["", "central/", "o-exampleorgid0/"]
TREES = [OURS, *(prefix + tree for prefix in PREFIXES for tree in (PLAIN, PLAIN_HOURS, HIVE, HIVE_HOURS))]
TREES.append("AWSLogs/o-exampleorgid0/{account}/vpcflowlogs/{region}/{time:%Y/%m/%d}/")
NAME = "{account}_vpcflowlogs_{region}_fl-0123456789abcdef0_{time:%Y%m%dT%H%MZ}_{number:08x}.log.gz"
ACCOUNTS = ["111122223333", "123456789012", "444455556666"]
REGIONS = ["eu-central-1", "us-east-1"]
AGES = st.one_of(st.integers(-300, 300), st.integers(-1_000_000, 1_000_000)).map(lambda age: timedelta(minutes=5 * age))
TIMES = st.none() | AGES.map(lambda age: NOON + age)
ORIGINS = st.builds(Origin, st.frozensets(st.sampled_from(ACCOUNTS)), st.frozensets(st.sampled_from(REGIONS)))
PUTS = st.tuples(
    st.sampled_from(TREES),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(REGIONS),
    AGES,
    st.sampled_from(["{number}.gz", NAME]),
)


def keys_read(account: FakeAccount, read: RunInput) -> set[str]:
    """Return the keys that Hadoop would read: those of the addresses, and all below folders."""
    keys = account.fake_s3.objects
    places = [uri.removeprefix(f"s3://{BUCKET}/") for uri in read.uris]
    return {
        key
        for key in keys
        for place in places
        if key == place or ((place.rstrip("/") != place or not place) and key.startswith(place))
    }


def on_a_cluster(account: FakeAccount, *uris: str, origin: Origin = ANYWHERE, **times: datetime | None) -> set[str]:
    """Return the keys that a run reads; none if there is nothing to read."""
    query = Query(**times)  # type: ignore[arg-type]
    try:
        read = pick_input(
            account.open().storage, account.site, query, given=uris, origin=origin, copy_folder="runs/r/input/"
        )
    except ToptalkersError:
        return set()
    return keys_read(account, read)


def on_a_laptop(account: FakeAccount, *uris: str, origin: Origin = ANYWHERE, **times: datetime | None) -> set[str]:
    """Return the keys that `run-local` reads."""
    files = find_stored(account.open().storage, uris, origin=origin, **times).files
    return {file.name.removeprefix(f"s3://{BUCKET}/") for file in files}


def logs(account: FakeAccount, tree: str, *, of: str, region: str, time: datetime, name: str = "{number}.gz") -> str:
    """Put a file of flow logs where AWS would; return its key."""
    number = len(account.fake_s3.objects)
    key = (tree + name).format(account=of, region=region, time=time, number=number)
    account.fake_s3.objects[key] = PACKED
    return key


@given(st.lists(PUTS, min_size=1, max_size=12), TIMES, TIMES, ORIGINS)
def test_c2_a_laptop_and_a_cluster_find_what_can_hold_records_of_the_question(
    puts: list[tuple[str, str, str, timedelta, str]], since: datetime | None, until: datetime | None, origin: Origin
) -> None:
    """In every layout, for any time, accounts and Regions: C2. The oracle looks at each object by itself."""
    if since and until and since >= until:
        since, until = until, since + timedelta(minutes=1)
    account = FakeAccount()
    must, may = set(), set()
    for tree, of, region, age, name in puts:
        time = NOON + age
        key = logs(account, tree, of=of, region=region, time=time, name=name)
        tells = tree != OURS or name == NAME
        if (origin.accounts and not (tells and of in origin.accounts)) or (
            origin.regions and not (tells and region in origin.regions)
        ):
            continue
        # Records arrive up to an hour before and two after the time they start at, whatever the name tells of the time.
        if (not since or time >= since - timedelta(hours=1)) and (not until or time < until + timedelta(hours=2)):
            must.add(key)
        whole = timedelta(hours=1) if "%H" in tree or name == NAME else timedelta(days=1)
        if (not since or time > since - timedelta(hours=1) - whole) and (
            not until or time < until + timedelta(hours=2) + whole
        ):
            may.add(key)
    here = on_a_laptop(account, f"s3://{BUCKET}/", origin=origin, since=since, until=until)
    assert must <= here <= may
    assert here == on_a_cluster(account, f"s3://{BUCKET}/", origin=origin, since=since, until=until)


@given(st.lists(PUTS, min_size=1, max_size=6), TIMES, ORIGINS, st.data())
def test_c2_any_folder_may_be_named(
    puts: list[tuple[str, str, str, timedelta, str]], since: datetime | None, origin: Origin, data: st.DataObject
) -> None:
    """A bucket, a prefix, AWSLogs, an account's folder, a Region's, a date's, or an object: both find the same."""
    account = FakeAccount()
    keys = [
        logs(account, tree, of=of, region=region, time=NOON + age, name=name) for tree, of, region, age, name in puts
    ]
    key = data.draw(st.sampled_from(keys))
    parts = key.split("/")
    named = "/".join(parts[: data.draw(st.integers(0, len(parts)))])
    uri = f"s3://{BUCKET}/{named}{data.draw(st.sampled_from(['/', ''])) if named and named != key else ''}"
    here = on_a_laptop(account, uri, origin=origin, since=since)
    assert here == on_a_cluster(account, uri, origin=origin, since=since)
    assert all(one == named or one.startswith(named) for one in here)
    if since is None and origin == ANYWHERE:
        assert key in here


@pytest.mark.parametrize("tree", TREES)
def test_a_folder_that_is_named_is_read(tree: str) -> None:
    """For any date: a time selects only below the folder that a user names."""
    account = FakeAccount()
    key = logs(account, tree, of=ACCOUNTS[0], region=REGIONS[0], time=NOON)
    folder = f"s3://{BUCKET}/{key.rpartition('/')[0]}/"
    later = NOON + timedelta(days=9)
    assert on_a_laptop(account, folder, since=later) == on_a_cluster(account, folder, since=later) == {key}


def requests(account: FakeAccount, *uris: str, origin: Origin = ANYWHERE, since: datetime | None = None) -> int:
    """Return how many requests it takes to find what is at addresses; both engines take the same way."""
    account.fake_s3.calls.clear()
    for uri in uris:
        assert list(Search.at(account.open().storage, uri, Wanted.of_records(since, None, origin)))
    return len(account.fake_s3.calls)


def test_neighbours_are_not_listed() -> None:
    """With a time, folders whose names only begin like the address take no request."""
    account = FakeAccount()
    account.fake_s3.objects["logs/2026/x.gz"] = b"x"
    alone = requests(account, f"s3://{BUCKET}/logs", since=NOON)
    account.fake_s3.objects["logs-of-others/2026/11/x.gz"] = b"x"
    assert requests(account, f"s3://{BUCKET}/logs", since=NOON) == alone


def test_other_accounts_regions_services_and_days_take_no_requests() -> None:
    """The cost of one account's hour does not depend on what else is in an organization's bucket."""
    account = FakeAccount()
    wanted = logs(account, PLAIN_HOURS, of=ACCOUNTS[0], region=REGIONS[0], time=NOON)
    origin = Origin(frozenset(ACCOUNTS[:1]), frozenset(REGIONS[:1]))
    alone = requests(account, f"s3://{BUCKET}/AWSLogs/", origin=origin, since=NOON)
    assert alone <= 8  # AWSLogs, the account, its flow logs, the Region, year, month, day, hour
    for other in range(50):
        logs(account, PLAIN_HOURS, of=f"{other:012}", region=REGIONS[0], time=NOON)
        logs(account, PLAIN_HOURS, of=ACCOUNTS[0], region=f"us-west-{other}", time=NOON)
        logs(account, PLAIN_HOURS, of=ACCOUNTS[0], region=REGIONS[0], time=NOON - timedelta(days=1, hours=other))
        trail = re.sub("vpcflowlogs", "CloudTrail", PLAIN_HOURS)
        logs(account, trail, of=ACCOUNTS[0], region=REGIONS[0], time=NOON - timedelta(hours=other))
    assert requests(account, f"s3://{BUCKET}/AWSLogs/", origin=origin, since=NOON) == alone
    found = on_a_cluster(account, f"s3://{BUCKET}/AWSLogs/", origin=origin, since=NOON)
    assert found == {wanted}


def test_a_year_has_four_digits() -> None:
    """A folder below a Region that begins with a month is not taken for a year long ago."""
    account = FakeAccount()
    account.fake_s3.objects["vpcflowlogs/2026/11/23/x.gz"] = b"x"
    assert len(on_a_laptop(account, f"s3://{BUCKET}/", since=NOON)) == 1


def test_what_is_there_instead() -> None:
    """A filter that matches nothing is a problem, in one line that names the accounts or Regions that are there."""
    account = FakeAccount()
    logs(account, PLAIN, of=ACCOUNTS[1], region=REGIONS[1], time=NOON)
    for origin, line in (
        (Origin.parse([ACCOUNTS[0]]), "none of the account 111122223333; accounts there: 123456789012"),
        (Origin.parse([], ["eu-west-1"]), "none of the Region eu-west-1; Regions there: us-east-1"),
        (Origin.parse([ACCOUNTS[1]], ["eu-west-1"]), "none of the Region eu-west-1; Regions there: us-east-1"),
    ):
        inputs = find_stored(account.open().storage, [f"s3://{BUCKET}/"], origin=origin)
        assert [one.reason for one in inputs.problems] == [line]
        with pytest.raises(ToptalkersError, match=re.escape(line)):
            pick_input(account.open().storage, account.site, Query(), origin=origin, copy_folder="runs/r/input/")


def expand(pattern: str) -> re.Pattern[str]:
    """Return what a pattern of Hadoop's matches, itself or as a folder."""
    text = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\{", "(?:").replace(r"\}", ")").replace(",", "|")
    return re.compile(text + ("" if pattern.endswith("/") else "$"))


@given(st.lists(PUTS, min_size=1, max_size=25), TIMES, ORIGINS, st.sets(st.integers(0, 24), max_size=3), st.booleans())
def test_patterns_match_the_same_as_the_addresses(
    puts: list[tuple[str, str, str, timedelta, str]],
    since: datetime | None,
    origin: Origin,
    bad: set[int],
    skips: bool,
) -> None:
    """When addresses are too long for a step, fewer patterns match all that is to be read, and nothing else."""
    account = FakeAccount()
    for number, (tree, of, region, age, name) in enumerate(puts):
        key = logs(account, tree, of=of, region=region, time=NOON + age, name=name)
        if number in bad:
            account.fake_s3.objects[key] = b"no gzip"
    query = Query(since=since)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "LONGEST_URIS", 200)
        try:
            read = pick_input(
                account.open().storage,
                account.site,
                query,
                given=[f"s3://{BUCKET}/"],
                origin=origin,
                copy_folder="runs/r/input/",
                skips=skips,
            )
        except ToptalkersError:
            return
    read_as = read.patterns or read.uris
    objects = {f"s3://{BUCKET}/{key}" for key in account.fake_s3.objects}
    found = {uri for uri in objects if any(expand(one).match(uri) for one in read_as)}
    assert found == {f"s3://{BUCKET}/{key}" for key in keys_read(account, read)}
    assert len(found) == read.objects - len(read.copies)


@pytest.mark.parametrize("tree", [PLAIN, HIVE_HOURS])
@pytest.mark.parametrize("origin", [ANYWHERE, Origin(frozenset(f"{number:012}" for number in range(1, 100)))])
def test_c2_an_hour_of_an_organization_fits_into_a_step(tree: str, origin: Origin) -> None:
    """A hundred accounts in four Regions, each with files of its own, and some without an hour."""
    account = FakeAccount()
    for of in range(100):
        for number, region in enumerate(("eu-central-1", "eu-west-1", "us-east-1", "us-west-2")):
            for hour in range(8):
                if (of + number) % 7 != hour:
                    time = NOON + timedelta(hours=hour)
                    logs(account, tree, of=f"{of:012}", region=region, time=time, name=NAME)
    until = NOON + timedelta(hours=3)
    read = pick_input(
        account.open().storage,
        account.site,
        Query(since=NOON + timedelta(hours=2), until=until),
        given=[f"s3://{BUCKET}/AWSLogs/"],
        origin=origin,
        copy_folder="runs/r/input/",
    )
    assert read.objects > 1000
    assert sum(map(len, read.patterns)) < (8_000 if origin.accounts else 400)
    plan_steps(Query(), inputs=read.uris, patterns=read.patterns, is_gzip=True, bundle="b/", output="o/", between="x/")
