"""Records joined to conversations: the compiled kernel against the one in Python, and what it does at its bounds."""

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sanitized import LESS
from tests.strategies import joined_cases
from toptalkers.answer.answer import TooLargeError
from toptalkers.kernel import door, pure
from toptalkers.question.conversations import FOLDED_KEY, record_question
from toptalkers.question.digest import DIGEST_METRICS
from toptalkers.question.query import Query

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

FIELDS = "start end interface-id srcaddr dstaddr srcport dstport protocol packets bytes action tcp-flags"
PAIRS = replace(Query.parse(ports="all", metric="bytes", log_format=FIELDS), pairs=True, count="once")
ONCE = replace(Query.parse(by="srcaddr,dstaddr", ports="all", metric="bytes", log_format=FIELDS), count="once")


def digest_of(query: Query) -> Query:
    """The digest's question with the clauses of another."""
    return replace(query, by=FOLDED_KEY, metric=DIGEST_METRICS, count="records", pairs=False, address=None)


def read_all(kernel: Any, query: Query, contents: Iterable[bytes]) -> list[Any]:
    """Counters of a question, one for each content."""
    counters = []
    for content in contents:
        counter = kernel.Counter(query)
        counter.feed(content)
        counter.end_lines()
        counter.end_file(counts=counter.misfit() is None)
        counters.append(counter)
    return counters


def join(kernel: Any, query: Query, contents: Iterable[bytes]) -> list[object]:
    """Everything that conversations say: lines, number, totals, what was skipped, quality."""
    conversations = kernel.Conversations(query)
    for counter in read_all(kernel, record_question(query), contents):
        conversations.add_records(counter)
        assert counter.talkers == 0
    conversations.finish()
    answer = conversations.folded() if query.by == FOLDED_KEY else conversations
    lines = b"".join(answer.ranked(0))
    assert b"".join(answer.ranked(1)) == lines[: lines.find(b"\n") + 1]
    return [
        lines.splitlines(),
        conversations.talkers,
        conversations.totals,
        conversations.skipped,
        conversations.quality,
    ]


@settings(max_examples=100 // LESS, deadline=None, suppress_health_check=SLOW)
@given(joined_cases(), st.booleans())
def test_both_kernels_join_records_alike(case: tuple[Query, list[bytes]], is_digest: bool) -> None:
    """Lines, their number, totals, skipped records and quality are the same, also the rows of a digest."""
    query, contents = case
    query = digest_of(query) if is_digest else query
    assert join(door, query, contents) == join(pure, query, contents)


def record(**values: str) -> bytes:
    """A line with the columns of FIELDS."""
    usual = ["1793491200", "1793491260", "eni-a", "10.0.0.1", "10.0.0.2", "50000", "443", "6", "1", "40", "ACCEPT", "0"]
    fields = dict(zip(FIELDS.split(), usual, strict=True))
    return (
        " ".join({**fields, **{name.replace("_", "-"): value for name, value in values.items()}}.values()).encode()
        + b"\n"
    )


@pytest.mark.parametrize("kernel", [door, pure], ids=["in C", "in Python"])
@pytest.mark.parametrize("large", ["bytes", "packets"])
@pytest.mark.parametrize("query", [replace(PAIRS, count="records"), PAIRS, ONCE, digest_of(PAIRS)])
def test_sums_that_are_too_large_are_refused(kernel: Any, query: Query, large: str) -> None:
    """Records that add up to more than a sum can hold end in TooLargeError, also copies, and what is not asked for."""
    conversations = kernel.Conversations(query)
    content = record(**{large: "999999999999999"}) * 10_000
    for counter in read_all(kernel, record_question(query), [content]):
        conversations.add_records(counter)
    conversations.finish()
    with pytest.raises(TooLargeError):
        _ = conversations.folded().totals if query.by == FOLDED_KEY else conversations.totals


@pytest.mark.parametrize(
    ("flags", "stays"), [("2 02 002", "2"), ("0 00 -", "00"), ("4294967296 04294967296", "4294967296")]
)
def test_of_copies_with_equal_flags_the_greater_text_stays(flags: str, stays: str) -> None:
    """Flags that are equal as numbers are compared as they were logged."""
    for kernel in (door, pure):
        contents = [record(tcp_flags=text) for text in flags.split()]
        lines, *_ = join(kernel, digest_of(PAIRS), contents)
        assert isinstance(lines, list)
        columns = [line.split(b"\t") for line in lines]
        assert [row[9] for row in columns if row[10] != b"copy"] == [stays.encode()]


def test_an_address_that_moves_often_is_one_talker() -> None:
    """Of a flow with a thousand nodes at a hundred places, those that do not overlap add up."""
    content = b"".join(
        record(
            interface_id=f"eni-{number % 100}", start=str(1793491200 + 200 * number), end=str(1793491260 + 200 * number)
        )
        for number in range(1000)
    )
    assert join(door, ONCE, [content]) == join(pure, ONCE, [content])
    assert join(door, ONCE, [content])[0] == [b"10.0.0.1\t10.0.0.2\t40000"]


def test_tables_grow() -> None:
    """Thousands of endpoints, peers, flows, interfaces and gateways are told apart."""
    layout = f"{FIELDS} pkt-srcaddr pkt-dstaddr"
    query = replace(PAIRS, log_format=Query.parse(log_format=layout).log_format)
    lines = []
    for number in range(8000):
        address = f"10.{number >> 8}.{number & 255}.1"
        usual = record(srcaddr=address, interface_id=f"eni-{number}", srcport=str(1024 + number), tcp_flags="-")
        lines.append(usual[:-1] + f" 192.0.2.{number % 9} -\n".encode())
        lines.append(record(srcaddr=address, dstaddr=f"192.0.2.{number % 9}", srcport="443")[:-1] + b" - -\n")
    assert join(door, query, [b"".join(lines)]) == join(pure, query, [b"".join(lines)])


def test_records_in_a_log_are_added_up_before_they_are_ranked() -> None:
    """A counter of whole records keeps each as a row; whoever looks at its answer sees one line for those alike."""
    query = record_question(ONCE)
    counter, other = read_all(door, query, [record() * 3 + record(bytes="41"), record() * 2])
    counter.absorb(other)
    lines = b"".join(counter.ranked(0)).splitlines()
    assert [line.rpartition(b"\t")[2] for line in lines] == [b"5", b"1"]
    assert (counter.talkers, counter.total) == (2, 6)
    counter.feed(record() + record(bytes="42"))
    counter.end_lines()
    counter.end_file(counts=False)
    assert b"".join(counter.ranked(0)).splitlines() == lines
    packed = door.Counter(query)
    packed.add_packed(counter.pack())
    assert b"".join(packed.ranked(0)).splitlines() == lines


def test_a_log_that_is_spilled_in_the_middle_of_a_file_loses_only_that_file(tmp_path: Path) -> None:
    """Rows of a file that does not count are not fetched back."""
    query = record_question(ONCE)
    with (tmp_path / "sums").open("w+b") as file:
        spilled = door.SpilledSums(file.fileno())
        (counter,) = read_all(door, query, [record() * 3])
        counter.feed(record() + record(bytes="42"))
        spilled.take(counter)
        counter.end_lines()
        counter.end_file(counts=False)
        fetched = door.Counter(query)
        for part in range(door.PARTS):
            spilled.fetch(part, fetched)
    assert [line.rpartition(b"\t")[2] for line in b"".join(fetched.ranked(0)).splitlines()] == [b"3"]


def test_without_memory_nothing_is_answered() -> None:
    """However little memory there is to join records, the end is a MemoryError, or the whole answer."""
    if "ASAN_OPTIONS" in os.environ or sys.platform != "linux":
        return
    program = """
import os, resource, sys
from tests.unit.test_kernel_conversations import ONCE, record, read_all
from toptalkers.kernel import door
from toptalkers.question.conversations import record_question
content = b"".join(
    record(srcaddr=f"10.{n >> 8}.{n & 255}.1", interface_id=f"eni-{n % 900}", srcport=str(1024 + n), tcp_flags="-")
    for n in range(20_000)
)
for kilobytes in (0, 500, 1000, 2000, 3000, 4000, 5000, 6000, 8000, 100_000):
    if os.fork() == 0:
        conversations = door.Conversations(ONCE)
        conversations.add_records(*read_all(door, record_question(ONCE), [content]))
        with open("/proc/self/statm") as file:
            limit = int(file.read().split()[0]) * resource.getpagesize() + (kilobytes << 10)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            conversations.finish()
        except MemoryError:
            os._exit(1)
        os._exit(0 if conversations.talkers == 20_000 else 2)
    print(os.waitstatus_to_exitcode(os.wait()[1]), end=" ", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    codes = done.stdout.split()
    assert len(codes) == 10, done.stderr
    assert codes == sorted(codes, reverse=True)
    assert (codes[0], codes[-1]) == ("1", "0")


@pytest.mark.parametrize("kernel", [pure, door], ids=["in Python", "in C"])
@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("eni-a 0 3700 100; eni-b 3600 3650 100", [100, 0]),
        ("eni-a 3590 3600 100; eni-b 3601 3610 100; eni-c 7200 7210 50", [100, 0, 50]),
        ("eni-a 0 7190 100; eni-b 3600 3650 100; eni-a 7200 7210 50", [100, 0, 50]),
        ("eni-a 0 9000 100; eni-a 3600 3700 30; eni-b 7200 7210 50", [100, 30, 0]),
        ("eni-a 0 3590 100; eni-b 3650 3700 30", [100, 0]),
        ("eni-a 0 3590 100; eni-b 3651 3700 30", [100, 30]),
    ],
    ids=[
        "of equal ends the first",
        "of equal ones that have ended the first",
        "of equal ones before it that of its place",
        "a place lasts as long as its longest record",
        "60 seconds later may be the same",
        "61 seconds later is not the same",
    ],
)
def test_which_hours_are_chosen(kernel: Any, nodes: str, expected: list[int]) -> None:
    """Of several interfaces' hours, a line each, those that are chosen have their bytes, and the others 0."""
    lines = [FIELDS]
    for node in nodes.split(";"):
        interface, start, end, size = node.split()
        times = (1_793_491_200 + int(time) for time in (start, end))
        lines.append("{} {} ".format(*times) + f"{interface} 10.0.0.1 10.0.0.9 40000 443 6 1 {size} ACCEPT 0")
    query = replace(ONCE, by=("hour",))
    found = join(kernel, query, ["\n".join([*lines, ""]).encode()])[0]
    assert isinstance(found, list)
    assert [int(line.rpartition(b"\t")[2]) for line in sorted(found)] == expected


PACKET_FIELDS = f"{FIELDS} pkt-srcaddr pkt-dstaddr"


def answered(kernel: Any, query: Query, records: str) -> list[str]:
    """The lines of an answer, with blanks for tabs, of records `SOURCE PORT DESTINATION PORT PROTOCOL ACTION FLAGS`.

    Then come, if they are others than the record's own, the packet's addresses. All have 100 bytes, at one interface.
    """
    lines = [PACKET_FIELDS]
    for record in records.strip().splitlines():
        source, port, destination, to_port, protocol, action, flags, *packet = record.split()
        ends = f"{source} {destination} {port} {to_port} {protocol} 1 100 {action} {flags}"
        lines.append(f"1793491200 1793491260 eni-a {ends} {' '.join(packet or [source, destination])}")
    found = join(
        kernel,
        replace(query, log_format=Query.parse(log_format=PACKET_FIELDS).log_format),
        ["\n".join([*lines, ""]).encode()],
    )[0]
    assert isinstance(found, list)
    return [line.decode().replace("\t", " ") for line in found]


BOTH_KERNELS = pytest.mark.parametrize("kernel", [pure, door], ids=["in Python", "in C"])


@BOTH_KERNELS
def test_actions_are_flows_of_their_own(kernel: Any) -> None:
    """What was accepted and what was rejected of the same ends is told apart by its action."""
    query = replace(ONCE, by=("action",), action="ALL")
    records = "10.0.0.1 40000 10.0.0.9 443 6 {} 0\n"
    assert answered(kernel, query, "".join(map(records.format, ("ACCEPT", "REJECT", "-")))) == [
        "- 100",
        "ACCEPT 100",
        "REJECT 100",
    ]


@BOTH_KERNELS
@pytest.mark.parametrize(("well_known", "answering"), [("40000", "40001"), ("40001", "40000")])
def test_the_weakest_rule_of_a_flow_is_its_how(kernel: Any, well_known: str, answering: str) -> None:
    """One of two ports of a client is found by peers, the other by the class of ports: the line says the latter."""
    found = answered(
        kernel,
        PAIRS,
        f"""
        10.0.0.1 {well_known} 10.0.0.9 443 17 ACCEPT 0
        10.0.0.1 {answering} 10.0.0.9 443 17 ACCEPT 0
        10.0.0.9 1443 10.0.0.1 {answering} 17 ACCEPT 0
        10.0.0.9 1444 10.0.0.1 {answering} 17 ACCEPT 0
        """,
    )
    assert [line.split()[-1] for line in found if line.startswith("10.0.0.1 10.0.0.9 443 17 200 ")] == ["ports"]


@BOTH_KERNELS
def test_copies_teach_no_gateway(kernel: Any) -> None:
    """A copy with another packet's address makes no gateway, by which a conversation would be left out."""
    found = answered(
        kernel,
        PAIRS,
        """
        10.0.0.1 40000 10.0.1.9 443 6 ACCEPT 0 10.0.0.1 198.51.100.7
        10.0.0.1 40000 10.0.1.9 443 6 ACCEPT 0 10.0.0.1 198.51.100.6
        10.0.1.9 50000 198.51.100.7 443 6 ACCEPT 0
        10.0.1.9 50000 198.51.100.6 443 6 ACCEPT 0
        """,
    )
    assert [line.split()[:2] for line in found] == [["10.0.0.1", "198.51.100.7"], ["10.0.1.9", "198.51.100.6"]]


@BOTH_KERNELS
def test_only_tcp_has_flags(kernel: Any) -> None:
    """A flag of a UDP record opens no connection."""
    (line,) = answered(kernel, PAIRS, "10.0.0.1 443 10.0.0.9 40000 17 ACCEPT 2")
    assert line.split()[:3] == ["10.0.0.9", "10.0.0.1", "443"]
    assert line.endswith(" ports")


@BOTH_KERNELS
def test_without_pairs_ports_are_those_of_destinations(kernel: Any) -> None:
    """A record to a wanted port counts, though its server's port is another."""
    query = replace(ONCE, ports=((0, 1024),), by=("service-port",))
    records = """
        10.0.0.9 2049 10.0.0.1 700 6 ACCEPT 18
        10.0.0.9 2049 10.0.0.1 1025 6 ACCEPT 18
        """
    assert answered(kernel, query, records) == ["2049 100"]


@BOTH_KERNELS
def test_a_rejected_syn_shows_no_server_of_accepted_records(kernel: Any) -> None:
    """Servers and peers are learned of each action by itself."""
    records = "10.0.0.1 443 10.0.0.9 40000 6 REJECT 2\n10.0.0.1 443 10.0.0.9 40000 6 ACCEPT 0"
    found = answered(kernel, replace(PAIRS, action="ALL"), records)
    assert [(*line.split()[:3], line.split()[-1]) for line in found] == [
        ("10.0.0.1", "10.0.0.9", "40000", "syn"),
        ("10.0.0.9", "10.0.0.1", "443", "ports"),
    ]
