"""The input of a run, the size of its cluster, and its record."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fake_account import BUCKET, FakeAccount
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.question.query import Query
from toptalkers.runs.cluster.sizing import size_cluster, vcpus
from toptalkers.runs.input.choice import RunInput, pick_input
from toptalkers.runs.record import RunRecord, format_record, parse_record, question_of
from toptalkers.runs.units import format_size
from toptalkers.sample.writer import write_sample

LINE = b"2 123456789012 eni-0a 10.0.0.1 10.0.1.1 40000 443 6 2 100 1795400000 1795400059 ACCEPT OK\n"
PACKED = gzip.compress(LINE)
AWS_FILE = "123456789012_vpcflowlogs_us-east-1_fl-1_20261123T1800Z_abc.log.gz"
DIRECT = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/23"
HIVE = (
    "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2026/month=11/day=23/hour=18"
)


@pytest.fixture
def account() -> FakeAccount:
    """An account whose bucket is empty."""
    return FakeAccount()


def pick(account: FakeAccount, *given: str, since: str | None = None, until: str | None = None) -> RunInput:
    query = Query.parse(since=since, until=until)
    return pick_input(account.open().storage, account.site, query, given=given, copy_folder="runs/r/input/")


def keys(read: RunInput) -> list[str]:
    return [uri.removeprefix(f"s3://{BUCKET}/") for uri in read.uris]


def test_all_of_it_without_a_time(account: FakeAccount) -> None:
    """The whole folder, and only files that Hadoop would read are counted."""
    account.capture("2026/11/23/18", 100)
    account.capture("2026/11/23/19", 50)
    account.fake_s3.objects |= {"flowlogs/": b"", "flowlogs/_temporary/x.gz": b"x", "flowlogs/.hidden": b"x"}
    account.fake_s3.objects["quarantine/2026/11/23/18/x"] = b"x"
    read = pick(account)
    assert keys(read) == ["flowlogs/"]
    assert (read.objects, read.size_bytes, read.is_gzip, read.notes) == (2, 150, True, ())


def test_hours_with_a_margin(account: FakeAccount) -> None:
    """One hour before, for clocks that differ, two after, for late records; no missing folder."""
    for hour in (15, 16, 17, 19, 21, 22):
        account.capture(f"2026/11/23/{hour}")
    read = pick(account, since="2026-11-23T17:20", until="2026-11-23T19:00")
    assert keys(read) == [f"flowlogs/2026/11/23/{hour}/" for hour in (16, 17, 19)]
    read = pick(account, since="2026-11-23T17:20", until="2026-11-23T19:01")
    assert keys(read)[-1] == "flowlogs/2026/11/23/21/"


def test_whole_days_months_and_years(account: FakeAccount) -> None:
    """A folder that is wholly inside is named once, for any number of hours in it."""
    for hour in ("2025/12/31/22", "2025/12/31/23", "2026/01/01/00", "2026/11/22/01", "2026/11/23/01", "2027/01/01/05"):
        account.capture(hour)
    assert keys(pick(account, since="2026-01-01T00:00", until="2026-11-23T12:00")) == [
        "flowlogs/2025/12/31/23/",
        "flowlogs/2026/01/",
        "flowlogs/2026/11/22/",
        "flowlogs/2026/11/23/01/",
    ]
    assert keys(pick(account, since="2026-01-01T00:00")) == [
        "flowlogs/2025/12/31/23/",
        "flowlogs/2026/",
        "flowlogs/2027/",
    ]


@pytest.mark.parametrize("folder", [DIRECT, f"{DIRECT}/18", HIVE])
def test_direct_delivery(account: FakeAccount, folder: str) -> None:
    """AWS's own layouts: per day, per hour, and Hive's; other services' logs are not read."""
    account.fake_s3.objects[f"{folder}/{AWS_FILE}"] = PACKED
    account.fake_s3.objects["AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/23/x.json.gz"] = b"x"
    read = pick(account, since="2026-11-23T18:00", until="2026-11-23T19:00")
    # An hour's part of a day is told by the names of the files.
    assert keys(read) == [f"{folder}/{AWS_FILE}" if folder == DIRECT else f"{folder}/"]
    assert read.is_gzip
    assert pick(account).objects == 1
    with pytest.raises(ToptalkersError, match="at the time asked for"):
        pick(account, since="2026-11-25T18:00")


def test_both_ways_count_twice(account: FakeAccount) -> None:
    """A message says so."""
    account.capture("2026/11/23/18")
    account.fake_s3.objects[f"{DIRECT}/{AWS_FILE}"] = PACKED
    read = pick(account)
    assert len(read.uris) == 2
    assert "counts twice" in read.notes[0]


@pytest.mark.parametrize(
    ("sizes", "largest"),
    [
        ({"a.gz": 9, f"AWSLogs/{AWS_FILE}": 5}, None),
        ({"a.gz": 90, "plain.log": 1}, "plain.log"),
        ({"b.bz2": 30, "c.xz": 1, "d.GZ": 1}, "b.bz2"),
        ({"b.bz2": 1, "c.xz": 1, "d.GZ": 30}, "d.GZ"),
    ],
)
def test_what_hadoop_could_split(account: FakeAccount, sizes: dict[str, int], largest: str | None) -> None:
    """The largest object that is not named .gz is known, and whether there is any."""
    packs: dict[str, Callable[[bytes], bytes]] = {".bz2": bz2.compress, ".xz": lzma.compress, ".gz": gzip.compress}
    stored = {
        f"mine/{name}": packs.get(f".{name.lower().rpartition('.')[2]}", bytes)(noise(size))
        for name, size in sizes.items()
    }
    account.fake_s3.objects |= stored
    read = pick(account, f"s3://{BUCKET}/mine/")
    assert read.is_gzip == (largest is None)
    assert read.largest_bytes == (len(stored[f"mine/{largest}"]) if largest else 0)
    assert read.uris == (f"s3://{BUCKET}/mine/",)


def noise(records: int) -> bytes:
    """Records that differ, so that more of them are larger when compressed."""
    return b"".join(LINE.replace(b" 100 ", b" %d " % (number * 7919 % 99_991)) for number in range(200 * records))


def test_one_object(account: FakeAccount) -> None:
    """An object can be given instead of a folder; another one with the same prefix is not read."""
    account.fake_s3.objects |= {"mine/a": LINE, "mine/a.gz": b"xx", "mine/ab": b"xxx"}
    read = pick(account, f"s3://{BUCKET}/mine/a")
    assert (read.uris, read.size_bytes) == ((f"s3://{BUCKET}/mine/a",), len(LINE))


def test_what_is_beside_a_sample_is_no_input(account: FakeAccount, tmp_path: Path) -> None:
    """A sample that was uploaded with all of its folder is read without its truth and snapshot, and without a word."""
    report = write_sample(tmp_path, records=300, records_per_file=100)
    for path in (*report.files, report.truth, report.snapshot):
        account.fake_s3.objects[f"mine/{path.name}"] = path.read_bytes()
    read = pick(account, f"s3://{BUCKET}/mine/")
    assert keys(read) == [f"mine/{path.name}" for path in report.files]
    assert read.notes == ()


@pytest.mark.parametrize("name", ["x.gz", "x.zst", "x.log.parquet"])
def test_what_hadoop_cannot_read_is_refused(account: FakeAccount, name: str) -> None:
    """An object that would fail the job, or be taken for text, is named before a cluster is paid for."""
    account.fake_s3.objects |= {"mine/a.gz": PACKED, f"mine/{name}": b"" if name == "x.gz" else b"x"}
    with pytest.raises(
        ToptalkersError, match=f"1 of 2 objects cannot be read on a cluster: .*: s3://{BUCKET}/mine/{name}"
    ):
        pick(account, f"s3://{BUCKET}/mine/")


@pytest.mark.parametrize("name", ["x.log.parquet", "20261123_180000_00001_abcde"])
def test_parquet_is_refused_with_what_reads_it(account: FakeAccount, name: str) -> None:
    """Parquet is refused before a cluster is paid for, by its name or by its first bytes; the hint names run-local."""
    account.fake_s3.objects |= {"mine/a.gz": PACKED, f"mine/{name}": b"PAR1\x15\x04PAR1"}
    with pytest.raises(ToptalkersError, match=f"1 of 2 objects .*: Parquet: s3://{BUCKET}/mine/{name}") as refused:
        pick(account, f"s3://{BUCKET}/mine/")
    assert "toptalkers run-local" in (refused.value.hint or "")
    assert "toptalkers digest" in (refused.value.hint or "")


@pytest.mark.parametrize("uri", ["hdfs:///x", "s3://B/x", "s3://bucket/a b", "s3://bucket/*", "s3://bucket/a,b", "x"])
def test_what_is_no_address(account: FakeAccount, uri: str) -> None:
    """Wrong usage, before any request."""
    with pytest.raises(UsageError):
        pick(account, uri)
    assert not account.fake_s3.calls


def test_sizing() -> None:
    """By the bytes, within limits; by the recipe's rule; as requested; Spot leaves one core node on demand."""
    gib = 1 << 30
    assert (size_cluster(0).core, size_cluster(0).task) == (1, 0)
    assert size_cluster(140 * gib).core == 3
    assert size_cluster(5000 * gib).core == 20
    assert size_cluster(5000 * gib).minutes > size_cluster(140 * gib).minutes
    spot = size_cluster(140 * gib, spot=True)
    assert (spot.core, spot.task, spot.spot) == (1, 2, True)
    asked = size_cluster(0, core=2, task=5, instance_type="r7g.4xlarge")
    assert (asked.instances, asked.map_slots) == (8, 16 * 7)
    assert vcpus("m7g.large") == 2


def test_c3_the_primary_is_small() -> None:
    """C3: large nodes do not make a large primary; it has the same architecture, and --primary-type overrules."""
    asked = size_cluster(0, core=2, instance_type="m7g.16xlarge")
    assert (asked.primary_type, asked.on_demand_vcpus) == ("m7g.xlarge", 4 + 2 * 64)
    for instance_type, primary in (
        ("r6i.4xlarge", "r6i.xlarge"),
        ("m4.large", "m4.large"),
        ("p4d.24xlarge", "p4d.24xlarge"),
        ("im4gn.4xlarge", "im4gn.xlarge"),
    ):
        assert size_cluster(0, instance_type=instance_type).primary_type == primary
    assert size_cluster(0, instance_type="m7g.16xlarge", primary_type="m6g.2xlarge").primary_type == "m6g.2xlarge"
    with pytest.raises(UsageError, match="--primary-type: 'x' is not a type"):
        size_cluster(0, primary_type="x")


def test_s5_the_most_nodes() -> None:
    """S5: --max-nodes moves the limit, and the reason says that there is one."""
    tib = 1 << 40
    assert size_cluster(tib).core == 20
    assert "would need 21 nodes; the limit is 20 (--max-nodes" in size_cluster(tib).reason
    assert size_cluster(tib, max_nodes=100).core == 21
    assert size_cluster(tib, max_nodes=3).core == 3
    assert size_cluster(tib, max_nodes=3, core=7).core == 7


def test_nodes_that_count_in_python_are_more() -> None:
    """A bundle without a kernel for the nodes takes a larger cluster for the same time."""
    gib = 1 << 30
    assert size_cluster(40 * gib).core == 1
    assert size_cluster(40 * gib, has_kernel=False).core == 4
    assert size_cluster(gib, is_joined=True) == size_cluster(gib, is_joined=True, has_kernel=False)


def test_s6_very_many_objects_have_a_larger_primary() -> None:
    """S6: the client that lists them runs there; the plan says why."""
    sizes = [size_cluster(0, objects=objects) for objects in (0, 500_000, 500_001, 1_000_000, 1_000_001, 10**9)]
    assert [one.primary_type.partition(".")[2] for one in sizes] == [
        "xlarge", "xlarge", "2xlarge", "2xlarge", "4xlarge", "8xlarge",
    ]  # fmt: skip
    assert "m7g.2xlarge as primary, to list 1,000,000 objects" in sizes[3].reason
    assert size_cluster(0, objects=10**9, primary_type="m7g.xlarge").primary_type == "m7g.xlarge"


def test_s7_vpc_nodes_as_the_recipe_meant_it() -> None:
    """S7: ten r3.4xlarge of 16 vCPUs per 1,000 nodes, so 160 vCPUs of any type; more if the bytes ask for it."""
    for instance_type, task in (("m7g.xlarge", 40), ("r3.4xlarge", 10), ("m7g.16xlarge", 3)):
        assert size_cluster(0, vpc_nodes=1000, instance_type=instance_type).task == task
    assert (
        "160 vCPUs in 40 task nodes for 1,000 nodes in the VPC, 160 per 1,000" in size_cluster(0, vpc_nodes=1000).reason
    )
    assert size_cluster(0, vpc_nodes=1).task == 1
    by_bytes = size_cluster(1 << 40, vpc_nodes=10)
    assert (by_bytes.core, by_bytes.task) == (1, 19)
    assert "to read, 56.0 MiB per second and node" in by_bytes.reason
    limited = size_cluster(0, vpc_nodes=1000, max_nodes=11)
    assert limited.task == 10
    assert "the limit is 11 nodes (--max-nodes)" in limited.reason


def test_a_record_is_read_as_it_was_written() -> None:
    """Times and the question, too; additions of a later version are ignored."""
    query = Query.parse(
        metric="bytes", ports="22,443", since="2026-11-23T18:00", log_format="${srcaddr} ${dstaddr} ${dstport} "
        "${start} ${action} ${bytes}",
    )  # fmt: skip
    created = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
    record = RunRecord(
        run_id="20261123T181500Z-4f2a",
        stack="toptalkers",
        state="RUNNING",
        question=question_of(query, 7),
        inputs=["s3://bucket/flowlogs/"],
        input_objects=1,
        input_bytes=2,
        answer="s3://bucket/runs/",
        aggregate="",
        versions={"release": "emr-7.14.0"},
        instance_type="m7g.xlarge",
        instances=3,
        created=created,
        cluster="j-1",
    )
    assert parse_record(format_record(record)) == record
    assert parse_record(format_record(record).replace(b"{", b'{"later": 1,', 1)) == record
    assert (record.query, record.top) == (query, 7)
    with_format = format_record(record).replace(b'"top": 7', b'"top": 7, "format": "csv"')
    assert (parse_record(with_format).query, parse_record(with_format).top) == (query, 7)
    assert record.instance_hours(created.replace(hour=20)) == 6.0
    for text in (b"", b"[]", b"{}", format_record(record).replace(b"RUNNING", b"DANCING")):
        with pytest.raises(ToptalkersError, match="cannot be read"):
            parse_record(text)


def test_sizes_in_words() -> None:
    """In the suitable unit."""
    assert [format_size(size) for size in (0, 1023, 1536, 300 << 20, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "300 MiB",
        "5.0 TiB",
    ]
