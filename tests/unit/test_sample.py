"""The sample keeps its promises: realistic, the same everywhere, and dirty only on request."""

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import chain, islice, pairwise
from operator import le
from pathlib import Path
from typing import NamedTuple

import pytest
from pyarrow import parquet

from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.fields import FIELDS, FieldType
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, RICH_LAYOUT, Layout, parse_header
from toptalkers.job import count_flows
from toptalkers.names.snapshot import read_snapshot
from toptalkers.question.key import is_address
from toptalkers.sample.bundled import BUNDLED_RECORDS, bundled_sample, write_bundled_sample
from toptalkers.sample.company import ACCOUNT_ID, BUSY_HOSTS, HOSTS, IDLE_HOSTS, LOSSY_HOSTS, TWICE_LOGGED_TIER
from toptalkers.sample.dirt import BROKEN, Dirt
from toptalkers.sample.snapshot import company_snapshot
from toptalkers.sample.traffic import FIRST_SECOND, Traffic, Truth, sample_lines
from toptalkers.sample.writer import SampleLayout, SampleReport, plan_files, write_sample

LAYOUTS: tuple[SampleLayout, ...] = ("default", "rich", "aws-s3")
ALLOWED = [
    ip_network(text) for text in ("10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]

# Made on Python 3.11, Linux x86-64. A change here changes everyone's samples: say so in the change log.
PINNED = {
    ("default", False): "0ba1c367a756191d299304ba15dc8c94ecccd3c6e8d3fa57f05c6e6ae4eac16e",
    ("default", True): "573c1c5c28e99058e626086c7a6afd9d64a948c9b99fc21b071e6d31f4d97573",
    ("rich", False): "3efeb74fcce09cb9ae575a17616738a6a0ec921900a27ad867bc615aa515d372",
    ("rich", True): "9f0978903e2182882f3c5326e403603860612383d935b7bcc58ee0bc8c3571b9",
    ("aws-s3", False): "b4c81f7ed63bd237ae1fb7fa9b6cebed1bfc3f8d031f49b4e84fbf3fa015d10c",
    ("aws-s3", True): "d2cd14a2174495b25221718611ef546cd36498a216c3881a42ed1de584d55f58",
}


LONGEST_WINDOW = {host.interface_id: host.window_s for host in HOSTS}


def unpacked(path: Path) -> bytes:
    """Read a file of the sample, decompressed."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def digest(out: Path, report: SampleReport) -> str:
    """Hash the names and the decompressed bytes of all files, in their order."""
    sha = hashlib.sha256()
    for path in report.files:
        data = unpacked(path)
        sha.update(f"{path.relative_to(out).as_posix()} {len(data)}\n".encode() + data)
    return sha.hexdigest()


def records_of(path: Path) -> Iterator[dict[str, str]]:
    """Read a clean file's records by its header, or as the default format if it has none."""
    layout = DEFAULT_LAYOUT
    for line in unpacked(path).decode("ascii").splitlines():
        header = parse_header(line)
        if header:
            layout = header
        else:
            yield dict(zip(layout.columns, line.split(" "), strict=True))


def count(report: SampleReport) -> tuple[dict[bytes, int], count_flows.FlowCounter]:
    """Count every talker of a sample with the job's own mapper, one file at a time."""
    counter = count_flows.FlowCounter(count_flows.parse_arguments(["--ports", "all", "--action", "ALL"]))
    for path in report.files:
        counter.begin_file()
        counter.count_block(unpacked(path).replace(b"\r", b"\n").removesuffix(b"\n"))
    return counter.sums, counter


class Sample(NamedTuple):
    """Lines of the rich format, and the truth about them."""

    lines: list[str]
    truth: Truth


@pytest.fixture(scope="module")
def sample() -> Sample:
    """One day of 60,000 records in the rich format, with the truth."""
    traffic = Traffic(2, rich=True)
    return Sample(list(chain.from_iterable(traffic.batches(60_000))), traffic.truth())


@pytest.fixture(scope="module")
def day() -> list[dict[str, str]]:
    """One day of 40,000 records in the rich format, which has the default one's columns first."""
    return [
        dict(zip(RICH_LAYOUT.columns, line.split(" "), strict=True)) for line in sample_lines(40_000, seed=3, rich=True)
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_record_is_typed_as_its_columns_say(tmp_path: Path, layout: SampleLayout) -> None:
    """Each line of a clean sample has the columns of its layout, with values of AWS's types and ranges."""
    report = write_sample(tmp_path, records=6_000, layout=layout)
    seen = 0
    for path in report.files:
        first = unpacked(path).decode("ascii").splitlines()[0]
        assert (parse_header(first) is None) == (layout == "default")
        for record in records_of(path):
            seen += 1
            assert set(record) == set(RICH_LAYOUT.columns if layout == "rich" else DEFAULT_LAYOUT.columns)
            assert record["version"] == ("5" if layout == "rich" else "2")
            assert record["account-id"] == ACCOUNT_ID
            assert FIRST_SECOND <= int(record["start"]) <= int(record["end"]) < FIRST_SECOND + 86_400
            assert int(record["end"]) - int(record["start"]) <= LONGEST_WINDOW[record["interface-id"]]
            if record["log-status"] == "OK":
                assert is_address(record["srcaddr"])
                assert is_address(record["dstaddr"])
                for name, value in record.items():
                    if FIELDS[name].type is not FieldType.STRING and name != "traffic-path":
                        assert value.isdecimal(), name
                assert int(record["dstport"]) <= 65535
                assert 28 * int(record["packets"]) <= int(record["bytes"]) <= 1500 * int(record["packets"])
    assert seen == report.records == 6_000


def test_records_without_traffic_are_shaped_as_aws_shapes_them() -> None:
    """NODATA and SKIPDATA have `-` from source to bytes and as action, and a window."""
    silent = [line for line in sample_lines(20_000) if not line.endswith(" OK")]
    assert {line.rpartition(" ")[2] for line in silent} == {"NODATA", "SKIPDATA"}
    for line in silent:
        fields = line.split(" ")
        assert fields[3:10] == ["-"] * 7
        assert fields[12] == "-"
        assert int(fields[10]) <= int(fields[11])


def test_addresses_are_for_documentation_or_private(day: list[dict[str, str]]) -> None:
    """No address of the sample can belong to anyone: only RFC 5737, RFC 3849 and 10.0.0.0/8."""
    fields = ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr")
    for text in {record[field] for record in day for field in fields} - {"-"}:
        address = ip_address(text)
        networks: list[IPv4Network | IPv6Network] = [net for net in ALLOWED if net.version == address.version]
        assert any(address in net for net in networks), text
        assert str(address) == text, "as AWS prints it"


def test_shares_are_those_of_a_real_vpc(day: list[dict[str, str]]) -> None:
    """Some noise, some IPv6, all protocols, every interface, and few talkers with most of the traffic."""
    of_status = Counter(record["log-status"] for record in day)
    assert 0.005 < of_status["NODATA"] / len(day) < 0.03
    assert 0.0002 < of_status["SKIPDATA"] / len(day) < 0.005
    talking = [record for record in day if record["log-status"] == "OK"]
    assert 0.02 < sum(record["action"] == "REJECT" for record in talking) / len(talking) < 0.15
    assert 0.02 < sum(record["type"] == "IPv6" for record in talking) / len(talking) < 0.3
    assert {record["protocol"] for record in talking} == {"1", "6", "17"}
    assert all(record["srcport"] == record["dstport"] == "0" for record in talking if record["protocol"] == "1")
    assert {record["interface-id"] for record in talking} == {host.interface_id for host in BUSY_HOSTS}
    assert {host.interface_id for host in HOSTS} - {record["interface-id"] for record in day} == set()
    assert {record["interface-id"] for record in day if record["log-status"] == "NODATA"} == {
        host.interface_id for host in IDLE_HOSTS
    }
    asked = Counter(
        (record["srcaddr"], record["dstaddr"], record["dstport"])
        for record in talking
        if record["action"] == "ACCEPT" and int(record["dstport"]) <= 1024
    )
    loud = asked.most_common(len(asked) // 10)
    assert sum(records for _, records in loud) > 0.5 * asked.total()
    assert {"22", "53", "80", "123", "389", "443"} <= {port for _, _, port in asked}
    ephemeral = sum(32768 <= int(record["dstport"]) <= 60999 for record in talking) / len(talking)
    assert 0.3 < ephemeral < 0.6, "about every other record is a reply"


Talk = tuple[str, str, int, int]


def talked(sample: Sample) -> dict[Talk, dict[str, list[int]]]:
    """Add up what each interface logged of each conversation of the truth: packets, bytes, both back; copies once."""
    sums: dict[Talk, dict[str, list[int]]] = {sent.talk: {} for sent in sample.truth.conversations}
    for line in set(sample.lines):
        record = dict(zip(RICH_LAYOUT.columns, line.split(" "), strict=True))
        if record["action"] != "ACCEPT":
            continue
        source, target = record["pkt-srcaddr"], record["pkt-dstaddr"]
        asked = (source, target, int(record["dstport"]), int(record["protocol"]))
        answered = (target, source, int(record["srcport"]), int(record["protocol"]))
        talk, at = (asked, 0) if asked in sums else (answered, 2)
        if talk in sums:
            of_interface = sums[talk].setdefault(record["interface-id"], [0, 0, 0, 0])
            of_interface[at] += int(record["packets"])
            of_interface[at + 1] += int(record["bytes"])
    return sums


def test_the_truth_is_what_one_end_logged(sample: Sample) -> None:
    """Of each conversation, the interface that logged most has the truth, or less if it lost records; none has more."""
    lossy = {host.interface_id for host in LOSSY_HOSTS}
    assert set(sample.truth.lost) == lossy
    sums = talked(sample)
    floors = 0
    for sent in sample.truth.conversations:
        true = [sent.packets_to_server, sent.bytes_to_server, sent.packets_to_client, sent.bytes_to_client]
        for interface, logged in sums[sent.talk].items():
            assert logged == true or (interface in lossy and all(map(le, logged, true))), sent
        floors += true not in sums[sent.talk].values()
    assert floors < 5


def test_every_connection_begins_with_a_syn(sample: Sample) -> None:
    """An interface that loses nothing has logged as many SYNs to a server as the truth has connections of TCP."""
    lossy = {host.interface_id for host in LOSSY_HOSTS}
    opened: Counter[tuple[Talk, str]] = Counter()
    for line in set(sample.lines):
        record = dict(zip(RICH_LAYOUT.columns, line.split(" "), strict=True))
        if record["action"] == "ACCEPT" and record["tcp-flags"] in ("2", "3"):
            talk = (record["pkt-srcaddr"], record["pkt-dstaddr"], int(record["dstport"]), 6)
            opened[talk, record["interface-id"]] += 1
    connections = {sent.talk: sent.connections for sent in sample.truth.conversations}
    checked = {
        talk: number for (talk, interface), number in opened.items() if talk in connections and interface not in lossy
    }
    assert len(checked) > 500
    assert checked == {talk: connections[talk] for talk in checked}


def test_both_interfaces_log_a_conversation_inside(sample: Sample) -> None:
    """Inside the VPC, and behind a balancer that keeps addresses, two interfaces log a conversation; else one does."""
    inside = {address for host in HOSTS for address in (host.ipv4, host.secondary)}
    balanced = {host.ipv4 for host in HOSTS if host.tier == "transfer"}
    sums = talked(sample)
    assert {sent.talk[1] for sent in sample.truth.conversations} >= {"10.0.11.204", *balanced}
    for (client, server, port, _), of_interface in sums.items():
        is_balanced = server in balanced and (client not in inside) and port == 22
        both_log = client in inside or is_balanced
        assert len(of_interface) == 2 if both_log else 1, (client, server)


def test_records_of_a_connection_never_overlap(sample: Sample) -> None:
    """An interface's records of the same addresses, ports and protocol follow each other in time."""
    windows: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for line in {line for line in sample.lines if " OK" in line}:
        fields = line.split(" ")
        windows.setdefault((*fields[2:8], fields[12]), []).append((int(fields[10]), int(fields[11])))
    longest: Counter[str] = Counter()
    for (interface, *_), of_connection in windows.items():
        of_connection.sort()
        assert all(before[1] < after[0] for before, after in pairwise(of_connection))
        longest[interface] = max(longest[interface], *(end - start for start, end in of_connection))
    assert {host.interface_id for host in HOSTS if host.window_s == 600} == {
        interface for interface, seconds in longest.items() if seconds > 60
    }


def test_the_first_window_has_syn_and_the_last_fin(sample: Sample) -> None:
    """A TCP connection's earliest record has SYN, with ACK from the server; FIN is only in its last one."""
    flags: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    lossy = {host.interface_id for host in LOSSY_HOSTS}
    for line in set(sample.lines):
        record = dict(zip(RICH_LAYOUT.columns, line.split(" "), strict=True))
        if record["protocol"] == "6" and record["action"] == "ACCEPT" and record["interface-id"] not in lossy:
            key = tuple(record[name] for name in ("interface-id", "srcaddr", "dstaddr", "srcport", "dstport"))
            flags.setdefault(key, []).append((int(record["start"]), int(record["tcp-flags"])))
    for (*_, srcport, dstport), of_connection in flags.items():
        of_connection.sort()
        answers = int(srcport) in {22, 53, 80, 389, 443, 3306, 5432, 6379, 8080, 9100} and int(dstport) >= 1024
        assert of_connection[0][1] & 18 == (18 if answers else 2)
        assert not any(flag & 18 for _, flag in of_connection[1:])
        assert not any(flag & 1 for _, flag in of_connection[:-1])


def test_copies_are_exact_and_few(sample: Sample) -> None:
    """About one record of 200 is a copy; the tier with two flow logs has all of its records twice or more."""
    of_line = Counter(line for line in sample.lines if " OK" in line)
    assert of_line.total() - len(of_line) == sample.truth.duplicates
    assert 0.003 < sample.truth.duplicates / len(sample.lines) < 0.008
    twice = {host.interface_id for host in HOSTS if host.tier == TWICE_LOGGED_TIER}
    assert {times for line, times in of_line.items() if line.split(" ")[2] in twice} <= {2, 3, 4}
    assert any(times > 1 for line, times in of_line.items() if line.split(" ")[2] not in twice)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_truth_is_in_a_file(tmp_path: Path, layout: SampleLayout) -> None:
    """`truth.json` has a conversation per line, most bytes first; it depends neither on dirt nor on the fields."""
    report = write_sample(tmp_path / "clean", records=3_000, layout=layout)
    assert report.truth == tmp_path / "clean" / "truth.json"
    assert report.truth not in report.files
    text = report.truth.read_text("ascii")
    truth = json.loads(text)
    assert {name: truth[name] for name in ("version", "seed", "records", "layout")} == {
        "version": 1, "seed": 1, "records": 3_000, "layout": layout,
    }  # fmt: skip
    for name in ("conversations", "denied"):
        rows = truth[name]
        assert rows
        assert rows == sorted(
            rows, key=lambda row: (-row["bytes"], row["client"], row["server"], row["port"], row["protocol"])
        )
        for row in rows:
            assert f"{json.dumps(row)}" in text
            assert row["bytes"] == row["bytes_to_server"] + row["bytes_to_client"]
            assert row["packets"] == row["packets_to_server"] + row["packets_to_client"]
            assert row["connections"] > 0
            assert (row["port"] == 0) == (row["protocol"] == 1)
    dirty = write_sample(tmp_path / "dirty", records=3_000, layout=layout, dirty=True)
    other = write_sample(tmp_path / "rich", records=3_000, layout="rich")
    assert dirty.truth.read_text() == text
    assert json.loads(other.truth.read_text())["conversations"] == truth["conversations"]


def test_the_snapshot_is_in_a_file(tmp_path: Path) -> None:
    """`snapshot.json` is the company's snapshot, whatever the seed and the layout; it is none of the records' files."""
    for seed, layout in enumerate(LAYOUTS):
        report = write_sample(tmp_path / layout, records=10, seed=seed, layout=layout)
        assert report.snapshot == tmp_path / layout / "snapshot.json"
        assert report.snapshot not in report.files
        assert read_snapshot(report.snapshot) == company_snapshot()


def test_the_largest_conversations_differ() -> None:
    """Among the 100 conversations with most bytes no two have equal sums."""
    traffic = Traffic(5, rich=False)
    assert sum(map(len, traffic.batches(200_000))) == 200_000
    sums = [sent.bytes_to_server + sent.bytes_to_client for sent in traffic.truth().conversations[:101]]
    assert len(set(sums)) == 101


def test_the_nat_gateway_hides_who_asks(day: list[dict[str, str]]) -> None:
    """On the gateway's interface srcaddr and dstaddr are the gateway's; the pkt- fields have the original ones."""
    gateways = {host.interface_id: host.ipv4 for host in HOSTS if host.tier == "nat"}
    through = [
        record
        for record in day
        if record["interface-id"] in gateways and record["action"] == "ACCEPT" and record["protocol"] == "6"
        if record["srcaddr"] != record["pkt-srcaddr"] or record["dstaddr"] != record["pkt-dstaddr"]
    ]
    assert through
    assert all(gateways[record["interface-id"]] in (record["srcaddr"], record["dstaddr"]) for record in through)


@pytest.mark.parametrize(("layout", "dirty"), PINNED)
def test_the_same_sample_everywhere(tmp_path: Path, layout: SampleLayout, dirty: bool) -> None:
    """Names and decompressed bytes depend only on the arguments, not on platform, Python or time."""
    report = write_sample(tmp_path, records=3_000, seed=7, layout=layout, dirty=dirty)
    assert digest(tmp_path, report) == PINNED[layout, dirty]


def test_another_seed_is_another_day() -> None:
    """Seeds differ from the first records on."""
    assert list(islice(sample_lines(1_000, seed=1), 50)) != list(islice(sample_lines(1_000, seed=2), 50))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dirt_changes_no_count(tmp_path: Path, layout: SampleLayout) -> None:
    """Counted by the job's own mapper, a dirty sample gives the clean one's talkers; broken lines do not count."""
    clean = write_sample(tmp_path / "clean", records=6_000, layout=layout)
    dirty = write_sample(tmp_path / "dirty", records=6_000, layout=layout, dirty=True)
    clean_sums, clean_counter = count(clean)
    dirty_sums, dirty_counter = count(dirty)
    assert dirty_sums == clean_sums
    assert dirty_counter.records_read == clean_counter.records_read + dirty.broken_lines
    assert dirty.broken_lines >= len(BROKEN)
    assert clean.broken_lines == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_dirt_is_there(tmp_path: Path, layout: SampleLayout) -> None:
    """A dirty sample of any layout has one file of each kind, true to its name."""
    plan = plan_files(6_000, layout=layout, dirty=True)
    report = write_sample(tmp_path, records=6_000, layout=layout, dirty=True)
    of_kind = {
        planned.dirt: (path.read_bytes(), unpacked(path)) for planned, path in zip(plan, report.files, strict=True)
    }
    assert set(Dirt) <= set(of_kind)
    assert [unpacked(path) for path in report.files].count(b"") == 1
    assert report.files[-1].stat().st_size > 0, "nothing, but a valid gzip of it"

    def headers(dirt: Dirt) -> list[Layout]:
        found = [parse_header(line.decode("latin-1")) for line in of_kind[dirt][1].splitlines()]
        return [header for header in found if header]

    head = 0 if layout == "default" else 1
    assert len(headers(Dirt.RECURRING_HEADERS)) == head + 2
    assert len(set(headers(Dirt.RECURRING_HEADERS))) == 1
    assert len(set(headers(Dirt.COLUMN_ORDERS))) == 3
    stamped = of_kind[Dirt.TIME_STAMPS][1].splitlines()[head:]
    assert all(line.startswith(b"2026-11-01T") and line[23:25] == b"Z " for line in stamped)
    assert b"\n\n" in of_kind[Dirt.BROKEN_LINES][1]
    assert b" 70000 " in of_kind[Dirt.BROKEN_LINES][1]
    assert b"\x00" in of_kind[Dirt.BROKEN_LINES][1]
    windows = of_kind[Dirt.WINDOWS_LINES][1]
    assert windows.startswith(b"\xef\xbb\xbf")
    assert windows.count(b"\r\n") == windows.count(b"\n") == windows.count(b"\r") > 0
    in_milliseconds = of_kind[Dirt.MILLISECONDS][1].splitlines()[head:]
    assert all(len(line.split(b" ")[10]) == 13 for line in in_milliseconds)
    member = zlib.decompressobj(wbits=31)
    member.decompress(of_kind[Dirt.MEMBERS][0])
    assert member.unused_data
    assert of_kind[Dirt.PLAIN][0] == of_kind[Dirt.PLAIN][1] != b""


def test_files_are_named_by_their_layout(tmp_path: Path) -> None:
    """The default layout numbers its files; AWS's has its own tree, and names that sort by time."""
    plain = write_sample(tmp_path / "default", records=100, records_per_file=40)
    assert [path.name for path in plain.files] == [f"flowlogs-000{n}.log.gz" for n in range(3)]
    report = write_sample(tmp_path / "aws", records=2_000, layout="aws-s3", records_per_file=300)
    folder = tmp_path / "aws" / "AWSLogs" / ACCOUNT_ID / "vpcflowlogs" / "us-east-1" / "2026" / "11" / "01"
    assert {path.parent for path in report.files} == {folder}
    assert len({path.name for path in report.files}) == len(report.files) > 8
    for path in report.files:
        account, kind, region, flow_log, time, rest = path.name.split("_")
        assert (account, kind, region, flow_log[:4]) == (ACCOUNT_ID, "vpcflowlogs", "us-east-1", "fl-0")
        assert time[:9] == "20261101T"
        assert rest.endswith(".log.gz")
        begin = FIRST_SECOND + int(time[9:11]) * 3600 + int(time[11:13]) * 60
        assert all(begin - 1800 <= int(record["start"]) < begin + 3 * 3600 for record in records_of(path))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """If a folder has one of the files, it is refused before anything is written."""
    there = tmp_path / "flowlogs-0001.log.gz"
    there.write_bytes(b"mine")
    with pytest.raises(ToptalkersError, match="flowlogs-0001") as failure:
        write_sample(tmp_path, records=100, records_per_file=50)
    assert failure.value.hint
    assert list(tmp_path.iterdir()) == [there]
    assert there.read_bytes() == b"mine"


def test_a_stopped_run_leaves_whole_files_only(tmp_path: Path) -> None:
    """An interrupt between two files leaves complete files, and no hidden leftovers."""

    def stop_after_second(records_written: int) -> None:
        if records_written == 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path, records=200, records_per_file=40, progress=stop_after_second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flowlogs-0000.log.gz", "flowlogs-0001.log.gz"]


def test_progress_counts_records(tmp_path: Path) -> None:
    """After each file, progress has the number of records so far."""
    told: list[int] = []
    report = write_sample(tmp_path, records=100, records_per_file=40, progress=told.append)
    assert told == [40, 80, 100]
    assert report.bytes_written == sum(path.stat().st_size for path in report.files)


def test_a_sample_of_nothing_is_refused(tmp_path: Path) -> None:
    """A sample without records is wrong usage, not an empty folder."""
    with pytest.raises(UsageError):
        write_sample(tmp_path / "none", records=0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_very_small_sample_has_its_records(tmp_path: Path, layout: SampleLayout, dirty: bool) -> None:
    """One record and seven are written as asked, whatever the layout."""
    for records in (1, 7):
        report = write_sample(tmp_path / str(records), records=records, layout=layout, dirty=dirty)
        _, counter = count(report)
        assert counter.records_read == report.records + report.broken_lines == records + report.broken_lines


def test_batches_do_not_grow_with_the_sample() -> None:
    """For any size of the sample, memory is bounded."""
    batches = list(islice(Traffic(1, rich=False).batches(10**10), 3))
    assert all(10_000 <= len(batch) <= 20_000 for batch in batches)


def test_the_bundled_sample_is_what_the_generator_writes(tmp_path: Path) -> None:
    """The files in the package are the output of `python -m toptalkers.sample.bundled`, and small."""
    report = write_bundled_sample(tmp_path)
    with bundled_sample() as folder:
        carried = sorted(folder.glob("*.log.gz"))
        assert [path.name for path in carried] == [path.name for path in report.files]
        assert [unpacked(path) for path in carried] == [unpacked(path) for path in report.files]
        assert sum(path.stat().st_size for path in carried) <= 150_000
    assert report.records == BUNDLED_RECORDS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parquet_has_the_records_of_text_in_the_types_of_aws(tmp_path: Path, layout: SampleLayout) -> None:
    """As Parquet, the same records come in the columns that AWS delivers, named with underscores."""
    text = write_sample(tmp_path / "text", records=3000, layout=layout)
    stored = write_sample(tmp_path / "parquet", records=3000, layout=layout, file_format="parquet")
    assert [str(path.relative_to(tmp_path / "parquet")) for path in stored.files] == [
        str(path.relative_to(tmp_path / "text")).removesuffix(".gz") + ".parquet" for path in text.files
    ]
    columns = (RICH_LAYOUT if layout == "rich" else DEFAULT_LAYOUT).columns
    rows = []
    for path in stored.files:
        table = parquet.ParquetFile(path).read()
        assert table.schema.names == [name.replace("-", "_") for name in columns]
        types = {FieldType.INT_32: "int32", FieldType.INT_64: "int64", FieldType.STRING: "string"}
        assert [str(one) for one in table.schema.types] == [types[FIELDS[name].type] for name in columns]
        rows += [" ".join("-" if one is None else str(one) for one in row.values()) for row in table.to_pylist()]
    lines = [line for path in text.files for line in unpacked(path).decode().splitlines() if line[0].isdigit()]
    assert rows == lines


def test_dirty_parquet_is_refused(tmp_path: Path) -> None:
    """The defects are those of lines, so that Parquet cannot have them."""
    with pytest.raises(UsageError, match="--dirty is for text"):
        write_sample(tmp_path / "none", records=10, dirty=True, file_format="parquet")
    assert not (tmp_path / "none").exists()
