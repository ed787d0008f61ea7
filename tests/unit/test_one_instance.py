"""One instance instead of a cluster: when it is better, and what run-emr says then."""

import shlex

import pytest
from click.testing import Result

from tests.commands import command
from tests.fake_account import BUCKET, FakeAccount
from toptalkers.runs.cluster.one_instance import MEMORY, MEMORY_PER_BYTE, USABLE, choose_instance, find_better
from toptalkers.runs.cluster.prices import dollars
from toptalkers.runs.cluster.sizing import format_minutes, size_cluster

GB = 10**9


@pytest.fixture
def account() -> FakeAccount:
    """An account with a stack and one captured object."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    return account


def advised(ran: Result) -> list[str]:
    """The words of the last command that run-emr suggests; none if it suggests none."""
    assert ran.exit_code == 0
    lines = ran.stderr.splitlines()
    if not any(line.startswith("One instance is the better way") for line in lines):
        return []
    return shlex.split(lines[-2])[2:]


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (0, "0 minutes"),
        (119, "119 minutes"),
        (120, "2 hours"),
        (2850, "48 hours"),
        (2880, "2.0 days"),
        (14_203, "9.9 days"),
    ],
)
def test_long_durations_are_hours_and_days(minutes: int, text: str) -> None:
    """Nobody has to divide by 60 in the head to see how long a run takes."""
    assert format_minutes(minutes) == text


@pytest.mark.parametrize("size", [0, GB, 100 * GB, 1000 * GB, 10_000 * GB])
@pytest.mark.parametrize("is_joined", [False, True])
@pytest.mark.parametrize("core", [None, 1, 200])
def test_only_what_is_cheaper_and_not_slower_is_better(size: int, core: int | None, *, is_joined: bool) -> None:
    """An instance that takes longer or costs more than the cluster is not suggested, and any other is."""
    sizing = size_cluster(size, is_joined=is_joined, core=core)
    one, cost = choose_instance(size, is_joined=is_joined), dollars(sizing)
    assert cost is not None
    is_better = one is not None and one.dollars < cost and one.minutes <= sizing.minutes
    assert find_better(size, sizing, is_joined=is_joined) == (one if is_better else None)


def test_small_and_large_inputs() -> None:
    """One instance is better for 100 GB, and the cluster for 10 TB."""
    assert find_better(100 * GB, size_cluster(100 * GB)) is not None
    assert find_better(10_000 * GB, size_cluster(10_000 * GB, max_nodes=100)) is None


def test_memory_decides_for_conversations() -> None:
    """Whole records must fit into the half of an instance's memory that run-local takes; else no instance will do."""
    for name, memory in MEMORY.items():
        most = int(memory * USABLE / MEMORY_PER_BYTE)
        one, next_one = choose_instance(most, is_joined=True), choose_instance(most + 1, is_joined=True)
        assert one is not None
        assert one.instance_type == name
        assert next_one is None or next_one.instance_type != name
    assert next_one is None


def test_a_cluster_without_a_known_price_is_not_compared() -> None:
    """No instance is suggested instead of a cluster whose price is not known."""
    assert find_better(GB, size_cluster(GB, instance_type="x2idn.16xlarge")) is None


def test_run_emr_says_so_with_the_commands(account: FakeAccount) -> None:
    """The plan of a small run names the instance, its profile and the whole command, with the user's own options."""
    ran = command(account, "run-emr", "--dry-run", "--since", "2026-11-23T18:00Z", "--until", "2026-11-23T19:00Z")
    assert ran.stderr.splitlines()[-5:] == [
        (
            "One instance is the better way: c7g.4xlarge takes about 4 minutes and $0.04 for the same answer. Start it"
            " in us-east-1 with Amazon Linux 2023 and the instance profile toptalkers-EmrInstanceRole, and on it:"
        ),
        "  cd && sudo dnf install -y python3.11-pip",
        "  python3.11 -m pip install toptalkers",
        (
            f"  python3.11 -m toptalkers run-local s3://{BUCKET}/flowlogs/ --region us-east-1"
            " --since 2026-11-23T18:00:00Z --until 2026-11-23T19:00:00Z --output talkers.tsv.gz"
        ),
        f"  aws s3 cp talkers.tsv.gz s3://{BUCKET}/runs/",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--top 5", "--output talkers.tsv.gz --top 5"),
        ("--by srcaddr --metric bytes", "--by srcaddr --metric bytes --output talkers.tsv.gz"),
        ("--count once --pairs", "--count once --pairs --output talkers.tsv.gz"),
        ("--where 'dst port 443' --ports all", "--where 'dstport = 443' --ports all --output talkers.tsv.gz"),
    ],
)
def test_the_command_asks_the_same_question(account: FakeAccount, words: str, expected: str) -> None:
    """What a user asked for is in the command, and no more than that."""
    got = advised(command(account, "run-emr", "--dry-run", *shlex.split(words)))
    assert got[5:] == shlex.split(expected)


def test_a_digest_is_made_by_its_own_command(account: FakeAccount) -> None:
    """For --digest the command is `digest`, which takes no key and no sums, and needs pyarrow."""
    ran = command(account, "run-emr", "--dry-run", "--digest", "--since", "2026-11-23T18:00Z")
    assert ran.stderr.splitlines()[-3:] == [
        "  python3.11 -m pip install 'toptalkers[parquet]'",
        (
            f"  python3.11 -m toptalkers digest s3://{BUCKET}/flowlogs/ --region us-east-1 --since 2026-11-23T18:00:00Z"
            " --output digest.parquet"
        ),
        f"  aws s3 cp digest.parquet s3://{BUCKET}/runs/",
    ]


def test_inputs_and_accounts_are_kept(account: FakeAccount) -> None:
    """The addresses that were given, and whose logs are read, are those of the command."""
    folder = "mine/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/23/18/"
    name = "123456789012_vpcflowlogs_us-east-1_fl-1_20261123T1800Z_abc.log.gz"
    (content,) = account.fake_s3.objects.values()
    account.fake_s3.objects[folder + name] = content
    where = f"s3://{BUCKET}/mine/"
    got = advised(command(account, "run-emr", "--dry-run", "--input", where, "--from-account", "123456789012"))
    assert got[:5] == ["toptalkers", "run-local", where, "--from-account", "123456789012"]


def test_nothing_is_said_of_a_cluster_that_stays(account: FakeAccount) -> None:
    """With --keep-alive no instance is suggested."""
    assert advised(command(account, "run-emr", "--dry-run", "--keep-alive", "60")) == []
