"""The sample must be believable flow logs, the same ones everywhere: other tests and measurements rest on it."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections import Counter
from datetime import timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeAlias, get_args

import pytest

from toptalkers.flowlog.layout import DEFAULT_LAYOUT, parse_header
from toptalkers.sample.company import ACCOUNT_ID, build_company
from toptalkers.sample.dirt import SORTS_OF_DIRT, break_lines
from toptalkers.sample.packaged import packaged_sample, write_packaged_sample
from toptalkers.sample.records import DAY, SampleLayout, columns_of, plan_minutes, sample_lines
from toptalkers.sample.writer import write_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Record: TypeAlias = dict[str, str]

LAYOUTS: tuple[SampleLayout, ...] = get_args(SampleLayout)
NETWORKS = tuple(
    ip_network(block) for block in ("10.0.0.0/16", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
TIME_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")
MIDNIGHT = int(DAY.timestamp())


def unpack(path: Path) -> bytes:
    """A file's bytes as a reader meets them: all members of a `.gz`, a plain file as it is."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def parse_lines(lines: Iterable[str], columns: tuple[str, ...] = DEFAULT_LAYOUT.columns) -> list[Record | None]:
    """Each record by its nearest header's columns, None for a line that has not as many."""
    records: list[Record | None] = []
    for line in lines:
        text = TIME_STAMP.sub("", line.rstrip("\r"), count=1)
        header = parse_header(text)
        if header is not None:
            columns = header.columns
        elif text:
            values = text.split(" ")
            records.append(dict(zip(columns, values, strict=True)) if len(values) == len(columns) else None)
    return records


def parse_file(path: Path) -> list[Record | None]:
    """The records of one file."""
    return parse_lines(unpack(path).decode("latin-1").split("\n"))


@cache
def is_documentation_address(text: str) -> bool:
    """Whether it is an address nobody has, printed as AWS prints it."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return str(address) == text and any(address in network for network in NETWORKS)


def is_sound(record: Record | None) -> bool:
    """Whether a record is shaped as AWS documents it, silent ones included."""
    if record is None or record["account-id"] != ACCOUNT_ID or not record["interface-id"].startswith("eni-0"):
        return False
    observed = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "action")
    if record["log-status"] in {"NODATA", "SKIPDATA"}:
        return all(record[field] == "-" for field in observed)
    try:
        source_port, port, protocol, packets, size = (int(record[field]) for field in observed[2:7])
    except ValueError:
        return False
    return (
        all(is_documentation_address(record[field]) for field in ("srcaddr", "dstaddr"))
        and all(0 <= number <= 65535 for number in (source_port, port))
        and protocol in {1, 6, 17, 58}
        and (protocol not in {1, 58} or source_port == port == 0)
        and packets >= 1
        and 40 * packets <= size <= 9001 * packets
        and record["action"] in {"ACCEPT", "REJECT"}
        and record["log-status"] == "OK"
    )


@cache
def records_of(layout: SampleLayout) -> list[Record]:
    """25,000 records of a clean sample, parsed once for all tests that look at them."""
    lines = (line.removesuffix("\n") for line in sample_lines(25_000, layout=layout))
    return [record for record in parse_lines(lines, columns_of(layout).columns) if record is not None]


def conversations(layout: SampleLayout = "default") -> list[Record]:
    """The records that are not silent."""
    return [record for record in records_of(layout) if record["log-status"] == "OK"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_clean_record_is_shaped_as_aws_documents(tmp_path: Path, layout: SampleLayout) -> None:
    """Each record of each layout has its columns, documentation addresses, and packets that can carry its bytes."""
    report = write_sample(tmp_path, records=6_000, layout=layout)
    records = [record for file in report.files for record in parse_file(file)]

    assert len(records) == report.records == 6_000
    assert [record for record in records if not is_sound(record)] == []
    assert report.bytes_written == sum(file.stat().st_size for file in report.files)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_dirty_sample_loses_no_record(tmp_path: Path, layout: SampleLayout) -> None:
    """Dirt adds lines and rewrites records but leaves as many sound ones as were asked for."""
    report = write_sample(tmp_path, records=3_000, layout=layout, dirty=True)
    records = [record for file in report.files for record in parse_file(file)]

    assert sum(is_sound(record) for record in records) == report.records == 3_000
    assert sum(not is_sound(record) for record in records) == report.broken_lines > 0


def test_dirt_leaves_the_records_of_the_clean_sample(tmp_path: Path) -> None:
    """A question has the same answer on the dirty sample as on the clean one, broken lines left out."""
    fields = ("interface-id", "srcaddr", "dstaddr", "dstport", "bytes", "log-status")
    clean, dirty = (
        Counter(
            tuple(record[field] for field in fields)
            for file in write_sample(tmp_path / str(soiled), records=3_000, dirty=soiled).files
            for record in parse_file(file)
            if record is not None and is_sound(record)
        )
        for soiled in (False, True)
    )
    assert dirty == clean


def test_dirty_files_read_the_same_when_glued(tmp_path: Path) -> None:
    """No dirty file leaves columns of its own to the headerless one behind it."""
    files = write_sample(tmp_path, records=3_000, dirty=True).files
    one_by_one = [record for file in files for record in parse_file(file)]
    glued = parse_lines(b"".join(unpack(file) for file in files).decode("latin-1").split("\n"))

    assert glued == one_by_one


def test_rich_records_tell_the_same_story_as_default_ones() -> None:
    """Another layout shows the same traffic: only the version differs in the columns that both have."""
    shared = DEFAULT_LAYOUT.columns[1:]
    rich, default = (
        [[record[field] for field in shared] for record in records_of(layout)] for layout in ("rich", "default")
    )
    assert rich == default
    assert {record["version"] for record in records_of("rich")} == {"5"}
    assert {record["version"] for record in records_of("default")} == {"2"}


def test_rich_columns_agree_with_each_other() -> None:
    """Type, direction, path, service and TCP flags follow from addresses, interface and protocol."""
    by_id = {interface.interface_id: interface for interface in build_company().interfaces}
    for record in conversations("rich"):
        interface = by_id[record["interface-id"]]
        own = {interface.address, interface.ipv6_address}
        egress = record["srcaddr"] in own
        assert egress or record["dstaddr"] in own
        assert record["flow-direction"] == ("egress" if egress else "ingress")
        assert (record["traffic-path"] == "-") == (not egress)
        assert record["type"] == ("IPv6" if ":" in record["srcaddr"] else "IPv4")
        assert record["subnet-id"] == interface.subnet.subnet_id
        assert record["tcp-flags"] == "0" or record["protocol"] == "6"
        assert record["pkt-dst-aws-service"] == ("S3" if record["traffic-path"] == "7" else "-")


def test_nat_gateways_log_the_inner_and_the_outer_side() -> None:
    """Where the addresses of record and packet differ, a NAT gateway's interface stands between."""
    gateways = {gateway.interface_id for gateway in build_company().having_role("nat")}
    translated = [record for record in conversations("rich") if record["dstaddr"] != record["pkt-dstaddr"]]

    assert translated
    assert {record["interface-id"] for record in translated} == gateways


def test_shares_are_those_of_a_real_vpc() -> None:
    """Refused, silent, IPv6, UDP and ICMP records are there, and none of them is the rule."""
    records = records_of("default")
    counts = Counter(
        chain.from_iterable((record["action"], record["log-status"], "p" + record["protocol"]) for record in records)
    )
    counts["IPv6"] = sum(":" in record["srcaddr"] for record in records)
    share = {what: count / len(records) for what, count in counts.items()}

    assert 0.85 < share["ACCEPT"] < 0.97
    assert 0.02 < share["REJECT"] < 0.12
    assert 0.002 < share["NODATA"] < 0.03
    assert 0.0002 < share["SKIPDATA"] < 0.005
    assert 0.03 < share["IPv6"] < 0.20
    assert 0.05 < share["p17"] < 0.20
    assert 0.002 < share["p1"] < 0.03
    assert 0 < share["p58"] < 0.01


def test_few_pairs_take_most_of_it() -> None:
    """Talkers are heavy-tailed: a twentieth of the pairs has half the records and two thirds of the bytes."""
    records, size = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for record in conversations():
        pair = (record["srcaddr"], record["dstaddr"])
        records[pair] += 1
        size[pair] += int(record["bytes"])

    def share_of_top(counts: Counter[tuple[str, str]]) -> float:
        return sum(count for _, count in counts.most_common(len(counts) // 20)) / counts.total()

    assert len(records) > 1_000
    assert share_of_top(records) > 0.5
    assert share_of_top(size) > 0.66


def test_both_interfaces_log_a_conversation_inside_the_vpc() -> None:
    """What one instance says to another is in the logs twice, once an interface, with the same figures."""
    by_address = {interface.address: interface for interface in build_company().interfaces}
    figures = ("srcaddr", "dstaddr", "srcport", "dstport", "packets", "bytes", "start", "end")
    seen: dict[tuple[str, ...], set[str]] = {}
    for record in conversations():
        ends = (record["srcaddr"], record["dstaddr"])
        inside = all(end in by_address and by_address[end].role != "nat" for end in ends)
        if record["action"] == "ACCEPT" and inside:
            seen.setdefault(tuple(record[field] for field in figures), set()).add(record["interface-id"])

    twice = sum({by_address[key[0]].interface_id, by_address[key[1]].interface_id} <= ids for key, ids in seen.items())
    # The rest: a server that refused, and exchanges cut off where a minute is full.
    assert twice > 0.97 * len(seen)
    assert twice > 3_000


@pytest.mark.parametrize(
    ("client", "server", "port"),
    [
        (None, "load-balancer", "443"),
        (None, "load-balancer", "80"),
        (None, "bastion", "22"),
        ("load-balancer", "web", "80"),
        ("web", "app", "8080"),
        ("app", "postgresql", "5432"),
        ("app", "mysql", "3306"),
        ("app", "cache", "6379"),
        ("web", "name-server", "53"),
        ("app", "nat", "123"),
        ("batch", None, "443"),
        ("bastion", "web", "22"),
    ],
)
def test_the_tiers_talk_as_tiers_do(client: str | None, server: str | None, port: str) -> None:
    """Each tier asks the next one's port and is answered at an ephemeral port; None is the world outside."""
    role = {interface.address: interface.role for interface in build_company().interfaces}
    asked = {
        (record["srcaddr"], record["srcport"], record["dstaddr"], port)
        for record in conversations()
        if record["dstport"] == port
        and (role.get(record["srcaddr"]), role.get(record["dstaddr"])) == (client, server)
        and record["action"] == "ACCEPT"
        and ":" not in record["srcaddr"]
    }
    answered = {
        (record["dstaddr"], record["dstport"], record["srcaddr"], record["srcport"]) for record in conversations()
    }
    assert asked
    assert all(32768 <= int(client_port) <= 60999 for _, client_port, _, _ in asked)
    assert len(asked & answered) >= 0.9 * len(asked)


def test_strangers_knock_and_are_refused() -> None:
    """The usual doors are tried, by a packet or three."""
    refused = [record for record in conversations() if record["action"] == "REJECT"]

    assert {"22", "23", "445", "3389", "5900"} <= {record["dstport"] for record in refused}
    assert max(int(record["packets"]) for record in refused) <= 3


def test_silent_records_are_exactly_those_of_aws() -> None:
    """A version-2 NODATA line reads as the one in the VPC user guide; the custom format fills up with dashes."""
    shape = re.compile(rf"2 {ACCOUNT_ID} eni-0[0-9a-f]{{16}}( -){{7}} \d{{10}} \d{{10}} - (NODATA|SKIPDATA)\n")
    silent = [line for line in sample_lines(20_000) if " - - - - - - - " in line]

    assert {"NODATA", "SKIPDATA"} == {line.split()[-1] for line in silent}
    assert [line for line in silent if not shape.fullmatch(line)] == []
    rich = next(line for line in sample_lines(2_000, layout="rich") if " NODATA" in line)
    assert rich.endswith(" NODATA" + " -" * 13 + "\n")


@pytest.mark.parametrize("records", [1, 249, 5_000, 400_000, 4_000_000])
def test_a_day_holds_every_sample(records: int) -> None:
    """The minutes planned add up to the records asked for and leave the last minute of the day free."""
    minutes = plan_minutes(records)

    assert sum(minutes) == records
    assert len(minutes) < 24 * 60


def test_times_lie_in_their_minute() -> None:
    """No record takes longer than a minute, none lies outside the day, and minutes follow each other."""
    times = [(int(record["start"]), int(record["end"])) for record in records_of("default")]

    assert all(start // 60 == end // 60 and start <= end for start, end in times)
    assert [start // 60 for start, _ in times] == sorted(start // 60 for start, _ in times)
    assert times[0][0] >= MIDNIGHT
    assert times[-1][1] < MIDNIGHT + int(timedelta(days=1).total_seconds())


@pytest.mark.parametrize(
    ("layout", "dirty", "digest"),
    [
        ("default", False, "0afed84ccf4bc3da0992a232f4a87d33e3aded8d7337589c53c50f9ff0710599"),
        ("default", True, "dc217b7e65389bc7bde919d37f0ca676be5fbd7788525e5285b6006079d5b107"),
        ("rich", False, "8018f08391885a2f58c79c143e162da9b5335292e95ee9fceaea38a483f41990"),
        ("rich", True, "f333a33fa0fbe1f9b46a8e9574700b2c2905aeb9bce6c5ec3c652a7ae41cb25f"),
        ("aws-s3", False, "31ab640b1fc0b0e3e69c525d44dfc0bc40573107c19e7c6ad8e5d37cfb9c8812"),
        ("aws-s3", True, "5e423164ae45822e635077078d2bd91ec9594a3dbc7fef34f8d4a6ba6d03d0f4"),
    ],
)
def test_a_seed_gives_the_same_bytes_everywhere(
    tmp_path: Path, layout: SampleLayout, *, dirty: bool, digest: str
) -> None:
    """File names and unpacked bytes are pinned: every platform and Python version must make these very ones."""
    report = write_sample(tmp_path, records=2_000, seed=7, layout=layout, dirty=dirty)
    content = hashlib.sha256()
    for file in report.files:
        content.update(file.relative_to(tmp_path).as_posix().encode() + b"\0" + unpack(file))

    assert content.hexdigest() == digest


def test_another_seed_gives_other_traffic_of_the_same_company() -> None:
    """A seed changes what is said, not who the company is."""
    first, second = ([line for line in sample_lines(8_000, seed=seed) if line.endswith("OK\n")] for seed in (1, 2))
    assert not set(first) & set(second)
    assert {line.split()[2] for line in first} == {line.split()[2] for line in second}


def test_watching_the_progress_changes_nothing(tmp_path: Path) -> None:
    """`progress` hears of every file, and the files are the same as without it."""
    heard: list[int] = []
    watched = write_sample(tmp_path / "watched", records=900, records_a_file=400, progress=heard.append)
    alone = write_sample(tmp_path / "alone", records=900, records_a_file=400)

    assert heard == [400, 800, 900]
    assert [file.name for file in watched.files] == [file.name for file in alone.files]
    assert [file.read_bytes() for file in watched.files] == [file.read_bytes() for file in alone.files]


def test_lines_without_files_are_those_of_the_files(tmp_path: Path) -> None:
    """A replay of `sample_lines` sends what the files hold, and need not take all of it."""
    (file,) = write_sample(tmp_path, records=1_500).files

    assert "".join(sample_lines(1_500)).encode() == unpack(file)
    assert len(list(islice(sample_lines(10**9), 5))) == 5


def test_default_files_are_numbered_headerless_and_full(tmp_path: Path) -> None:
    """Only the last file has fewer records than a file gets, and none has a header."""
    report = write_sample(tmp_path, records=90_000)
    texts = [unpack(file) for file in report.files]

    assert [file.name for file in report.files] == [f"flowlogs-000{i}.log.gz" for i in range(3)]
    assert [text.count(b"\n") for text in texts] == [40_000, 40_000, 10_000]
    assert not any(b"version" in text for text in texts)
    assert sorted(tmp_path.iterdir()) == list(report.files)


@pytest.mark.parametrize("dirty", [False, True])
def test_rich_files_begin_with_their_header(tmp_path: Path, *, dirty: bool) -> None:
    """Each file with any text says its columns first: only the default format's may go unsaid."""
    for file in write_sample(tmp_path, records=500, layout="rich", dirty=dirty).files:
        first = unpack(file).decode("latin-1").split("\n")[0].rstrip("\r")
        assert first == "" or parse_header(first) == columns_of("rich")


def test_aws_s3_files_are_those_of_aws_delivery(tmp_path: Path) -> None:
    """Keys, header line and times follow AWS's delivery: a file holds the records of its five minutes."""
    report = write_sample(tmp_path, records=8_000, layout="aws-s3")
    shape = re.compile(
        rf"AWSLogs/{ACCOUNT_ID}/vpcflowlogs/us-east-1/2026/11/01/"
        rf"{ACCOUNT_ID}_vpcflowlogs_us-east-1_fl-0[0-9a-f]{{16}}_20261101T(\d\d)(\d\d)Z_[0-9a-f]{{8}}\.log\.gz"
    )
    assert len(report.files) == 7  # of 32 minutes
    for file in report.files:
        key = shape.fullmatch(file.relative_to(tmp_path).as_posix())
        assert key is not None
        assert parse_header(unpack(file).decode().partition("\n")[0]) == DEFAULT_LAYOUT
        begin = MIDNIGHT + 3600 * int(key[1]) + 60 * int(key[2])
        assert all(record is not None and begin <= int(record["start"]) < begin + 300 for record in parse_file(file))


HEADER = " ".join(DEFAULT_LAYOUT.columns).encode()
GZIP_MEMBER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
DIRT_SHOWS: dict[str, Callable[[bytes, bytes], bool]] = {
    "clean": lambda raw, text: raw.count(GZIP_MEMBER) == 1 and text.count(b"\n") == text.count(b"2 123456789012 "),
    "repeated headers": lambda _, text: not text.startswith(HEADER) and text.count(HEADER) == 2,
    "changed order": lambda _, text: (
        (text.count(b"\nlog-status action end "), text.count(b"\naccount-id srcaddr "), text.count(HEADER)) == (1, 1, 1)
    ),
    "time stamps": lambda _, text: text.startswith(b"2026-11-01T00:0") and text.count(b".000Z 2 ") > 50,
    "broken lines": lambda _, text: b"\x00\xff\xfe" in text and b" 10.0.10\n" in text,
    "blank lines and CRLF": lambda _, text: b"\r\n\r\n" in text and b"OK\n" not in text,
    "gzip members": lambda raw, _: raw.count(GZIP_MEMBER) == 3,
    "plain": lambda raw, text: raw == text != b"",
    "milliseconds": lambda _, text: re.search(rb" 1793\d{6}000 1793\d{6}999 ", text) is not None,
    "empty": lambda raw, text: raw != b"" == text,
    "empty and plain": lambda raw, _: raw == b"",
    "several at once": lambda raw, text: (
        all(part in text for part in (b".000Z 2 ", b"\r\n\r\n", b"\x00\xff\xfe")) and raw.count(GZIP_MEMBER) == 2
    ),
}


def test_every_sort_of_dirt_is_there(tmp_path: Path) -> None:
    """Each sort shows in its file's bytes, even in a small dirty sample."""
    report = write_sample(tmp_path, records=1_600, dirty=True)

    assert len(report.files) >= len(SORTS_OF_DIRT)
    for dirt, file in zip(SORTS_OF_DIRT, report.files, strict=False):
        assert DIRT_SHOWS[dirt.name](file.read_bytes(), unpack(file)), dirt.name


def test_broken_lines_are_of_every_sort() -> None:
    """Cut-short, binary, addressless and portless lines come in turn, one after every twenty records."""
    lines, broken = break_lines(["record\n"] * 260)

    assert broken == 13
    assert len(lines) == 273
    assert len(set(lines)) == 14


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_overwritten(tmp_path: Path, layout: SampleLayout) -> None:
    """One file in the way, even the last one, and nothing at all is written."""
    last = write_sample(tmp_path / "first", records=900, records_a_file=300, layout=layout).files[-1]
    in_the_way = tmp_path / "second" / last.relative_to(tmp_path / "first")
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("mine")

    with pytest.raises(FileExistsError, match=re.escape(in_the_way.name)):
        write_sample(tmp_path / "second", records=900, records_a_file=300, layout=layout)
    assert [file for file in (tmp_path / "second").rglob("*") if file.is_file()] == [in_the_way]
    assert in_the_way.read_text() == "mine"


def test_a_sample_of_nothing_is_refused(tmp_path: Path) -> None:
    """No records, no sample, and no folder either."""
    with pytest.raises(ValueError, match="at least 1 record"):
        write_sample(tmp_path / "none", records=0)
    with pytest.raises(ValueError, match="at least 1 record"):
        sample_lines(0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("records", [1, 17])
def test_the_smallest_samples_are_whole(tmp_path: Path, layout: SampleLayout, records: int) -> None:
    """However few records are asked for, clean or dirty, that many are there."""
    for dirty in (False, True):
        report = write_sample(tmp_path / str(dirty), records=records, layout=layout, dirty=dirty)
        assert sum(is_sound(record) for file in report.files for record in parse_file(file)) == records


def test_the_packaged_sample_is_what_the_generator_makes(tmp_path: Path) -> None:
    """The checked-in files are up to date, small, and all there is in their folder."""
    made = {file.name: unpack(file) for file in write_packaged_sample(tmp_path).files}
    with packaged_sample() as folder:
        packaged = {file.name: unpack(file) for file in folder.iterdir()}
        size = sum(file.stat().st_size for file in folder.iterdir())

    assert packaged == made
    assert sum(text.count(b"\n") for text in packaged.values()) == 5_000
    assert size <= 150_000
