"""The rules of `docs/conversations.md` in the scripts that travel: what each role does to a few lines.

`tests/functional/test_conversations.py` compares scripts and kernels with the oracle.
"""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests import pipeline
from tests.functional.test_adversarial import ALL, NAT_GATEWAY, ONCE, Traffic, short
from tests.strategies import joined_cases
from toptalkers.job import conversations, count_flows, sum_counts
from toptalkers.kernel import pure
from toptalkers.question.conversations import (
    CORE_COLUMNS,
    FOLDED_KEY,
    HOWS,
    PAIR_COLUMNS,
    PAIR_SUMS,
    RECORD_KEY,
    SLACK_SECONDS,
    record_question,
)
from toptalkers.question.digest import DIGEST_METRICS
from toptalkers.question.key import HIGHEST_KNOWN_PORT
from toptalkers.question.query import Query

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def pure_answer(query: Query, files: list[bytes]) -> tuple[bytes, pure.Conversations]:
    """Answer a question with the pure kernel; return the lines and what made them."""
    counter = pure.Counter(record_question(query))
    for content in files:
        counter.feed(content)
        counter.end_lines()
        counter.end_file(counts=True)
    joined = pure.Conversations(query)
    joined.add_records(counter)
    assert counter.talkers == 0
    joined.finish()
    return b"".join(joined.ranked(0)), joined


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(joined_cases())
def test_rows_of_a_digest_give_the_same_answer(case: tuple[Query, list[bytes]]) -> None:
    """Folded first, as in a digest, records give the same lines and quality, unless high ports are asked for."""
    query, files = case
    by = () if query.pairs else query.by
    assume("srcport" not in by and ("dstport" not in by or query.ports[-1][1] <= HIGHEST_KNOWN_PORT))
    lines, direct = pure_answer(query, files)
    digest = replace(record_question(query), by=FOLDED_KEY, metric=DIGEST_METRICS)
    _, made = pure_answer(digest, files)
    joined = pure.Conversations(query)
    joined.add_folded(made.folded())
    joined.finish()
    assert b"".join(joined.ranked(0)) == lines
    assert joined.quality.oriented == direct.quality.oriented
    for name in ("duplicates", "collapsed", "relayed"):
        assert getattr(joined.quality, name) == getattr(direct.quality, name)
    assert Counter(joined.skipped) + Counter(made.skipped) == Counter(direct.skipped)


def run_role(role: str, text: str, *arguments: str) -> tuple[list[str], dict[str, int]]:
    """Run a role of the script. Its columns are written with spaces here. Returns sorted lines, and the counters."""
    lines = ["\t".join(line.split()) + "\n" for line in text.strip().splitlines()]
    out, err = io.BytesIO(), io.StringIO()
    assert conversations.main([role, *arguments], io.BytesIO("".join(lines).encode()), out, err) == 0, err.getvalue()
    counters = dict(line.rpartition("toptalkers,")[2].split(",") for line in err.getvalue().splitlines())
    answer = [" ".join(line.split("\t")) for line in out.getvalue().decode().splitlines()]
    return sorted(answer), {name: int(number) for name, number in counters.items()}


def lines_of(text: str) -> list[str]:
    """The lines of a table, with single spaces, sorted."""
    return sorted(" ".join(line.split()) for line in text.strip().splitlines())


@pytest.mark.parametrize("has_flags", [True, False], ids=["with flags", "without flags"])
@pytest.mark.parametrize("traffic", ALL, ids=lambda traffic: traffic.name)
def test_who_talks_to_whom(traffic: Traffic, has_flags: bool) -> None:
    """The steps, and the pure kernel, say of misleading traffic what its table says."""
    content = traffic.content(has_flags=has_flags)
    expected = traffic.pairs if has_flags or traffic.without_flags is None else traffic.without_flags
    query = replace(ONCE, address=traffic.address)
    lines, _ = pipeline.converse(query, [content])
    assert short(lines) == [line.strip() for line in expected.strip().splitlines()]
    assert pure_answer(query, [content])[0] == lines


def test_of_copies_the_one_that_knows_most_stays() -> None:
    """Records alike in 11 columns are copies, whatever format wrote them, and share the addresses of packets."""
    found, counters = run_role(
        "distinct",
        """
        LongValueSum:100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT -  -        -        2
        LongValueSum:100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 18 -        -        1
        LongValueSum:100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 18 10.0.0.1 -        3
        LongValueSum:100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2  10.0.0.1 10.0.0.9 1
        LongValueSum:100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 41 ACCEPT 2  -        -        1
        LongValueSum:100  160 eni-b 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2  -        -        1
        LongValueSum:1000 160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2  -        -        1
        """,
    )
    assert found == lines_of(
        """
        100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT -  10.0.0.1 10.0.0.9 2 copy
        100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 18 10.0.0.1 10.0.0.9 1 -
        100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 18 10.0.0.1 10.0.0.9 3 copy
        100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2  10.0.0.1 10.0.0.9 1 copy
        100  160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 41 ACCEPT 2  -        -        1 -
        100  160 eni-b 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2  -        -        1 -
        1000 160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2  -        -        1 -
        """
    )
    assert counters == {"duplicates": 6}


def test_records_without_values_are_malformed() -> None:
    """All copies of a record without an address, number or time are malformed; without a port only for the recipe."""
    text = """
        LongValueSum:-   160             eni-a 10.0.0.1 10.0.0.9 4 443 6 1 40 ACCEPT - - - 1
        LongValueSum:100 -               eni-a -        10.0.0.9 4 443 6 1 40 ACCEPT - - - 2
        LongValueSum:100 160             eni-a 10.0.0.1 10.0.0.9 4 -   6 - 40 ACCEPT - - - 4
        LongValueSum:100 253402300800000 eni-a 10.0.0.1 10.0.0.9 4 443 6 1 40 ACCEPT - - - 8
        """
    expected = {"moved_malformed_number": 9, "moved_malformed_address": 2, "moved_malformed_port": 4}
    assert run_role("distinct", text) == ([], expected)
    for arguments in (("--by", "srcaddr,dstaddr"), ("--pairs", "yes")):
        expected = {"moved_malformed_number": 13, "moved_malformed_address": 2}
        assert run_role("distinct", text, *arguments) == ([], expected)


RECORDS = """
    100 160 eni-a 10.0.0.1     10.0.0.9 40000 443 6  1 40 ACCEPT 2  -        -           1 -
    100 160 eni-a 10.0.0.1     10.0.0.9 40000 443 6  1 40 ACCEPT 16 -        -           1 copy
    100 160 eni-a 10.0.0.9     10.0.0.1 443 40000 6  1 40 ACCEPT 18 -        -           1 -
    100 160 eni-a 10.0.0.1     10.0.0.9 40000 22  6  1 40 REJECT 2  -        -           1 -
    100 160 eni-a 10.0.0.1     10.0.0.9 40001 22  6  1 40 REJECT 16 -        -           1 -
    100 160 eni-a 10.0.0.2     10.0.0.1 123 123   17 1 40 ACCEPT -  -        -           1 -
    100 160 eni-a 10.0.0.3     10.0.0.1 123 123   17 1 40 ACCEPT -  -        -           1 -
    100 160 eni-n 10.0.0.1     10.0.1.1 40000 80  6  1 40 ACCEPT 16 10.0.0.1 203.0.113.5 1 -
    100 160 eni-6 2001:db8::1  2001:db8::2 0 0    58 1 40 ACCEPT 0  -        -           1 -
    """


def test_what_records_teach() -> None:
    """Servers by flags and peers by number, per action; homes by interface and family; gateways. Copies teach none."""
    facts, _ = run_role("learn-map", RECORDS)
    assert "s ACCEPT 6 10.0.0.9 443" in facts
    assert "h eni-6 6 2001:db8::1 2001:db8::2" in facts
    assert run_role("learn-reduce", "\n".join(facts))[0] == lines_of(
        """
        server ACCEPT 6 10.0.0.9 443
        server REJECT 6 10.0.0.9 22
        peers REJECT 6 10.0.0.9 22 2 0
        peers ACCEPT 17 10.0.0.1 123 1 2
        home eni-a 4 10.0.0.1
        gateway 10.0.1.1 203.0.113.5
        """
    )


def test_facts_of_several_mappers_add_up() -> None:
    """A fact that two mappers found counts once, and the home of an interface is in the rows of both."""
    found, _ = run_role(
        "learn-reduce",
        """
        e ACCEPT 6 10.0.0.9 443 40000 10.0.0.1
        e ACCEPT 6 10.0.0.9 443 40000 10.0.0.1
        e ACCEPT 6 10.0.0.9 443 40000 10.0.0.2
        e ACCEPT 6 10.0.0.9 443 = =
        h eni-a 4 10.0.0.1 10.0.0.2
        h eni-a 4 10.0.0.2 10.0.0.3
        h eni-b 4 - -
        h eni-b 4 10.0.0.2 10.0.0.3
        h eni-c 4 10.0.0.2 10.0.0.3
        """,
    )
    assert found == ["home eni-a 4 10.0.0.2", "peers ACCEPT 6 10.0.0.9 443 1 2"]


def test_high_ports_have_no_peers_with_low_ports() -> None:
    """One who scans well-known ports from port 40000 is no server; one on 32767 may be."""
    lines = [f"e ACCEPT 6 10.0.0.9 {port} {peer} 10.0.0.1" for port in (32767, 32768) for peer in (1022, 1023, 1024)]
    assert run_role("learn-reduce", "\n".join(sorted(lines)))[0] == ["peers ACCEPT 6 10.0.0.9 32767 3 0"]


LEARNED = """
server ACCEPT 6 10.0.0.9 50000
peers ACCEPT 6 10.0.0.9 8080 2 0
peers ACCEPT 6 10.0.0.1 9090 3 0
peers ACCEPT 17 10.0.0.9 123 1 4
peers ACCEPT 17 10.0.0.1 123 1 2
peers ACCEPT 17 10.0.0.2 123 1 3
home eni-a 4 10.0.0.1
home eni-s 4 10.0.0.9
gateway 10.0.1.1 203.0.113.5
"""


@pytest.mark.parametrize(
    ("source", "destination", "protocol", "expected"),
    [
        # A client's port is dropped when the rule of service-port agrees about the server, as it does here by flags.
        ("10.0.0.1 40000", "10.0.0.9 443", "6", "443 dst - ports"),
        ("10.0.0.1 1024", "10.0.0.9 80", "6", "80 dst 1024 ports"),
        ("10.0.0.9 50000", "10.0.0.1 40000", "6", "50000 src 40000 syn"),
        ("10.0.0.1 60000", "10.0.0.9 50000", "6", "50000 dst - syn"),
        ("10.0.0.9 8080", "10.0.0.1 2000", "6", "8080 src 2000 peers"),
        ("10.0.0.9 8080", "10.0.0.1 9090", "6", "8080 src - ?"),  # 3 are not twice 2
        ("10.0.0.1 123", "10.0.0.9 123", "17", "123 dst 123 peers"),
        ("10.0.0.1 123", "10.0.0.2 123", "17", "123 dst 123 ?"),
        ("10.0.0.2 5000", "10.0.0.1 5000", "17", "5000 src 5000 ?"),
        ("10.0.0.1 5000", "10.0.0.1 5000", "17", "5000 dst 5000 ?"),
        ("10.0.0.1 40000", "10.0.0.2 32767", "6", "32767 dst - ports"),
        ("10.0.0.1 49151", "10.0.0.2 32768", "6", "32768 dst - ?"),
        ("10.0.0.1 49152", "10.0.0.2 49151", "6", "49151 dst - ports"),
        ("10.0.0.1 -", "10.0.0.9 443", "6", "443 dst - ?"),
        ("10.0.0.1 443", "10.0.0.9 -", "6", "- dst 443 ?"),
        ("10.0.0.9 5000", "10.0.0.1 -", "6", "5000 src - ?"),
        ("10.0.0.9 2000", "10.0.0.1 3000", "1", "2000 src - ?"),
        ("9.0.0.1 2000", "10.0.0.1 3000", "1", "2000 src - ?"),
    ],
)
def test_server_of_a_record(source: str, destination: str, protocol: str, expected: str, tmp_path: Path) -> None:
    """The server's port and side, what is kept of the client's port, and how the server was found."""
    (address, port), (to, to_port) = source.split(), destination.split()
    line = f"100 160 eni-x {address} {to} {port} {to_port} {protocol} 1 40 ACCEPT - - - 1 -"
    [row], _ = run_role("fold", line, "--learned", str(table(tmp_path)), "--by", ",".join(FOLDED_KEY))
    _, _, _, _, *server, _, _, _, how = row.split()[:11]
    assert " ".join([*server, how]) == expected


def table(folder: Path, text: str = LEARNED) -> Path:
    """Write a learned table."""
    path = folder / "learned.tsv"
    path.write_text("".join("\t".join(line.split()) + "\n" for line in text.strip().splitlines()))
    return path


def test_rows_of_a_digest(tmp_path: Path) -> None:
    """Rows add up by hour and more; copies stay apart; a packet's own address stays; milliseconds become seconds."""
    found, counters = run_role(
        "fold",
        """
        3599          3660          eni-a 10.0.0.1 10.0.0.9 40001 443 6 1 40 ACCEPT 2 -        -           1 -
        3600          3650          eni-a 10.0.0.1 10.0.0.9 40001 443 6 1 40 ACCEPT 2 10.0.0.1 203.0.113.5 1 -
        3600          3660          eni-a 10.0.0.1 10.0.0.9 40001 443 6 1 40 ACCEPT 2 10.0.0.1 10.0.0.9    1 -
        3650          3700          eni-a 10.0.0.1 10.0.0.9 40002 443 6 2 50 ACCEPT 2 -        -           1 -
        3650          3700          eni-a 10.0.0.1 10.0.0.9 40002 443 6 2 50 ACCEPT 2 -        -           3 copy
        1793491200000 1793491260999 eni-a 10.0.0.1 10.0.0.9 40002 443 6 2 50 ACCEPT 2 -        -           1 -
        """,
        *(
            "--learned",
            str(table(tmp_path)),
            "--by",
            ",".join(FOLDED_KEY),
            "--metric",
            "bytes,packets,records,first,last",
        ),
    )
    assert found == lines_of(
        """
        1970-01-01T00:00:00Z eni-a 10.0.0.1 10.0.0.9 443 dst - 6 ACCEPT 2 ports - -            40 1 1 3599 3660
        1970-01-01T01:00:00Z eni-a 10.0.0.1 10.0.0.9 443 dst - 6 ACCEPT 2 ports - 203.0.113.5  40 1 1 3600 3650
        1970-01-01T01:00:00Z eni-a 10.0.0.1 10.0.0.9 443 dst - 6 ACCEPT 2 ports - -            90 3 2 3600 3700
        1970-01-01T01:00:00Z eni-a 10.0.0.1 10.0.0.9 443 dst - 6 ACCEPT 2 copy  - -           150 6 3 3650 3700
        2026-11-01T00:00:00Z eni-a 10.0.0.1 10.0.0.9 443 dst - 6 ACCEPT 2 ports - - 50 2 1 1793491200 1793491260
        """
    )
    read = {"values_low_read_bytes": 370, "values_low_read_packets": 13}
    assert counters == {"oriented_ports": 5, "without_packet_addresses": 3, **read}


def test_nodes_have_places(tmp_path: Path) -> None:
    """A node is of `src` or `dst` if that is the interface's home, else of the interface; translated legs are none."""
    found, counters = run_role(
        "fold",
        """
        100 160 eni-a 10.0.0.1    10.0.0.9    40000 443 6 1 40 ACCEPT 2 -        -           1 -
        100 160 eni-s 10.0.0.1    10.0.0.9    40000 443 6 1 39 ACCEPT 2 -        -           1 -
        100 160 eni-b 10.0.0.1    10.0.0.9    40000 443 6 1 38 ACCEPT 2 -        -           1 -
        100 160 eni-b 10.0.0.1    10.0.0.9    40000 443 6 1 38 ACCEPT 2 -        -           2 copy
        100 160 eni-a 10.0.0.1    203.0.113.5 40000 443 6 1 30 ACCEPT 2 -        -           1 -
        100 160 eni-n 10.0.0.1    10.0.1.1    40000 443 6 1 30 ACCEPT 2 10.0.0.1 203.0.113.5 1 -
        100 160 eni-n 10.0.1.1    203.0.113.5 40000 443 6 1 30 ACCEPT 2 -        -           1 -
        100 160 eni-n 203.0.113.5 10.0.1.1    443 40000 6 1 30 ACCEPT 2 -        -           1 -
        """,
        *("--learned", str(table(tmp_path)), "--count", "once", "--by", "srcaddr"),
    )
    assert found == lines_of(
        """
        10.0.0.1 10.0.0.9    443 dst - 6 ACCEPT src       0 40 1 1 100 160 ports
        10.0.0.1 10.0.0.9    443 dst - 6 ACCEPT dst       0 39 1 1 100 160 ports
        10.0.0.1 10.0.0.9    443 dst - 6 ACCEPT eni:eni-b 0 38 1 1 100 160 ports
        10.0.0.1 203.0.113.5 443 dst - 6 ACCEPT src       0 30 1 1 100 160 ports
        10.0.0.1 203.0.113.5 443 dst - 6 ACCEPT eni:eni-n 0 30 1 1 100 160 ports
        """
    )
    read = {"values_low_read_bytes": 313, "values_low_read_packets": 9}
    assert counters == {"oriented_ports": 7, "relayed": 2, "moved_duplicate": 2, "without_packet_addresses": 6, **read}


def test_clients_ports_are_kept_if_they_are_asked_for(tmp_path: Path) -> None:
    """`--by srcport`, and `--by dstport` of ports above 1024, keep them; `--pairs` does not look at `--by`."""
    line = "100 160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2 - - 1 -"
    kept = {
        ("--by", "srcport", "--ports", "0-1024"): "40000",
        ("--by", "dstport", "--ports", "0-1025"): "40000",
        ("--by", "dstport", "--ports", "0-1024"): "-",
        ("--by", "service-port"): "-",
        ("--ports", "0-1024"): "-",
        (): "40000",
        ("--pairs", "yes"): "-",
    }
    for arguments, port in kept.items():
        [node], _ = run_role("fold", line, "--learned", str(table(tmp_path)), "--count", "once", *arguments)
        assert node.split()[4] == port, arguments


FLOW = "10.0.0.1 10.0.0.9 443 dst - 6 ACCEPT"


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("src 0 500 5 1 100 160", {0: 500}),
        # Two places that log the same hour: the larger.
        ("src 0 500 5 1 100 160; dst 0 400 4 1 90 150", {0: 500}),
        # The same place in two hours adds up, however close; so does another that begins more than 60 s later.
        ("src 0 500 5 1 100 3620; src 3600 400 4 1 3601 3700", {0: 500, 3600: 400}),
        ("src 0 500 5 1 100 3600; dst 3600 400 4 1 3660 3700", {0: 500, 3600: 0}),
        ("src 0 500 5 1 100 3600; dst 3600 400 4 1 3661 3700", {0: 500, 3600: 400}),
        # A window that reaches into the next hour is not added to what the other interface has there.
        ("dst 0 900 9 1 3300 3900; src 0 450 4 1 3300 3590; src 3600 450 5 1 3600 3900", {0: 900, 3600: 0}),
        ("dst 0 900 9 1 3300 3900; src 0 450 4 1 3300 3590; src 3600 451 5 1 3600 3900", {0: 450, 3600: 451}),
        # Through a place's earlier hour, its end stays: the place has been seen until then.
        ("src 0 1 1 1 10 9000; src 3600 5 5 1 3600 3700; dst 7200 3 3 1 7300 7400", {0: 1, 3600: 5, 7200: 0}),
        # Of equal sums the place that was seen first, then src, then dst, then the lesser name.
        ("dst 0 500 5 1 99 160; src 0 500 5 1 100 160", {0: 500}),
        ("src 0 5 5 1 100 160; dst 3600 5 5 1 3601 3660; src 7200 5 5 1 7201 7260", {0: 5, 3600: 5, 7200: 5}),
        # Ends before starts.
        ("src 0 5 5 1 100 0; dst 0 4 4 1 200 0", {0: 9}),
    ],
)
def test_what_was_seen_twice_counts_once(nodes: str, expected: dict[int, int]) -> None:
    """The nodes with the largest sum are chosen that are not of two places at a time, and hours without one stay."""
    rows = "\n".join(f"{FLOW} {node} syn" for node in nodes.split(";"))
    found, counters = run_role("once", rows, "--count", "once", "--by", "hour,srcaddr", "--metric", "bytes")
    names = {hour: f"1970-01-01T0{hour // 3600}:00:00Z" for hour in expected}
    assert found == sorted(f"LongValueSum:{names[hour]} 10.0.0.1 {total}" for hour, total in expected.items())
    assert counters.pop("values_low_bytes") == sum(expected.values())


def test_each_sum_chooses_for_itself() -> None:
    """The largest bytes, packets and records may be of different places; times are those of all nodes."""
    rows = "\n".join(f"{FLOW} {node} syn" for node in ("src 0 500 4 1 100 160", "dst 0 400 5 2 90 150"))
    arguments = ("--count", "once", "--by", "dstaddr/24/64,protocol", "--metric", "bytes,packets,records,first,last")
    found, counters = run_role("once", rows, *arguments)
    assert found == ["10.0.0.0/24 6 500 5 2 90 160"]
    assert counters["collapsed"] == 1


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("srcaddr,dstaddr,dstport", "10.0.0.9:[2001:db8::1]:800"),
        ("srcport,dstport", "443 800"),
        ("service-port,side,client-port", "443 src 800"),
        ("pair,action", "10.0.0.9 2001:db8::1 REJECT"),
        ("day,protocol", "2026-11-01T00:00:00Z 17"),
        ("srcaddr/8/32,dstaddr/8/32", "10.0.0.0/8 2001:db8::/32"),
    ],
)
def test_keys_of_conversations(by: str, expected: str) -> None:
    """A key has the addresses and ports of the flow, and the times of its hours."""
    row = "10.0.0.9 2001:db8::1 443 src 800 17 REJECT dst 1793494800 40 1 1 1793494801 1793494802 peers"
    assert run_role("once", row, "--count", "once", "--by", by)[0] == [f"LongValueSum:{expected} 1"]


def test_pairs_add_up_both_directions_with_the_weakest_how() -> None:
    """Both directions are one pair, from the client's side; `copy` gives way to any rule, and alone becomes `?`."""
    rows = """
        10.0.0.1 10.0.0.9 443 dst - 6 ACCEPT src 0 40  1 1 100 160 syn
        10.0.0.1 10.0.0.9 443 dst 5 6 ACCEPT src 0 400 2 3 100 160 peers
        10.0.0.9 10.0.0.1 443 src - 6 ACCEPT src 0 7   1 1 100 160 syn
        """
    found, counters = run_role("once", rows, "--count", "once", "--pairs", "yes", "--metric", "packets")
    assert found == ["10.0.0.1 10.0.0.9 443 6 447 4 5 440 7 3 1 4 1 peers"]
    assert counters == {"values_low_packets": 4}
    out = io.BytesIO()
    pairs = ["a b 1 6 1 2 3 4 5 6 7 8 9 copy", "a b 1 6 1 2 3 4 5 6 7 8 9 syn", "a b 2 6 1 2 3 4 5 6 7 8 9 copy"]
    lines = "".join(line.replace(" ", "\t") + "\n" for line in pairs).encode()
    assert sum_counts.main(["--pairs", "yes"], io.BytesIO(lines), out, io.StringIO()) == 0
    expected = "a b 1 6 2 4 6 8 10 12 14 16 18 syn\na b 2 6 1 2 3 4 5 6 7 8 9 ?\n"
    assert out.getvalue().decode() == expected.replace(" ", "\t")


def test_pairs_of_all_records_take_copies_and_wanted_ports(tmp_path: Path) -> None:
    """Without `--count once` copies and all legs add up, and records of other servers' ports are moved."""
    found, counters = run_role(
        "fold",
        """
        100 160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2 - - 1 -
        100 160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2 - - 2 copy
        100 160 eni-a 10.0.0.9 10.0.0.1 443 40000 6 1 30 ACCEPT 2 - - 1 -
        100 160 eni-a 10.0.0.1 10.0.0.9 40000 22  6 1 40 ACCEPT 2 - - 1 -
        100 160 eni-a 10.0.0.1 10.0.0.9 40000 22  6 1 40 ACCEPT 2 - - 4 copy
        100 160 eni-a 10.0.0.1 10.0.0.9 -     -   6 1 40 ACCEPT 2 - - 1 -
        """,
        *("--learned", str(table(tmp_path)), "--pairs", "yes", "--ports", "443", "--metric", "bytes"),
    )
    assert found == ["10.0.0.1 10.0.0.9 443 6 150 4 4 120 30 3 1 3 1 ports"]
    values = {"values_low_bytes": 150, "values_low_read_bytes": 390, "values_low_read_packets": 10}
    assert counters == {"oriented_ports": 2, "moved_ports": 6, "without_packet_addresses": 4, **values}


def test_all_is_printed_however_little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one sum, the roles print partial sums that add up to the same answer."""
    content = NAT_GATEWAY.content(has_flags=True)
    expected = {by: pipeline.converse(asked, [content]) for by, asked in QUESTIONS.items()}
    monkeypatch.setattr(conversations, "ROWS_HELD", 1)
    assert {by: pipeline.converse(asked, [content]) for by, asked in QUESTIONS.items()} == expected


QUESTIONS = {
    "pairs": ONCE,
    "records": replace(ONCE, count="records"),
    "once": replace(Query.parse(by="hour,srcaddr", metric="last,bytes"), count="once"),
    "digest": Query.parse(by=",".join(FOLDED_KEY), metric=",".join(DIGEST_METRICS), ports="all"),
}

NODE = f"{FLOW} src 0 1 1 1 1 1 syn"


@pytest.mark.parametrize(
    ("role", "lines"),
    [
        *(
            (role, lines)
            for role in ("distinct", "learn-map", "learn-reduce", "fold", "once")
            for lines in (["nonsense"], ["\xff\tx\t1"], ["e ACCEPT 6 a 1 x y"], [RECORDS.splitlines()[1] + " 3"])
        ),
        ("distinct", ["2 2 eni-a a b 1 2 6 1 1 ACCEPT - - - 1", "1 2 eni-a a b 1 2 6 1 1 ACCEPT - - - 1"]),
        ("distinct", ["2 2 eni-a a b 1 2 6 1 1 ACCEPT - - - many"]),
        ("learn-reduce", ["s ACCEPT 6 b 1", "s ACCEPT 6 a 1"]),
        ("learn-reduce", ["s ACCEPT 6 b"]),
        ("learn-reduce", ["h eni-a"]),
        ("fold", ["x 160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2 - - 1 -"]),
        ("fold", ["1 160 eni-a 10.0.0.1 10.0.0.9 40000 443 6 1 40 ACCEPT 2 - - 1 yes"]),
        ("once", [NODE, NODE.replace("10.0.0.1", "10.0.0.0")]),
        ("once", [NODE.replace("syn", "sin")]),
        ("once", [NODE + " more"]),
    ],
)
def test_bad_input_ends_in_1(role: str, lines: list[str], tmp_path: Path) -> None:
    """Unsorted lines, and lines of something else, end a role with exit code 1 and one line that says so."""
    text = "".join("\t".join(line.split()) + "\n" for line in lines).encode("latin-1")
    arguments = [role, "--learned", str(table(tmp_path)), "--count", "once"]
    err = io.StringIO()
    assert conversations.main(arguments, io.BytesIO(text), io.BytesIO(), err) == 1
    assert err.getvalue().startswith("conversations.py: not ")
    assert err.getvalue().count("\n") == 1


def test_bad_tables_end_in_1(tmp_path: Path) -> None:
    """A learned table that is missing, or something else, ends `fold` with exit code 1."""
    for path in (tmp_path / "none", table(tmp_path, "client ACCEPT 6 a 1")):
        err = io.StringIO()
        assert conversations.main(["fold", "--learned", str(path)], io.BytesIO(), io.BytesIO(), err) == 1
        assert str(path) in err.getvalue() or "not a line of conversations.py learn-reduce" in err.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sum"],
        ["fold"],
        ["once", "--by", "vpc-id"],
        ["once", "--by", "srcaddr/33/64"],
        ["once", "--by", "hour/8/8"],
        ["once", "--metric", "speed"],
        ["once", "--ports", "80-22"],
        ["once", "--ports", "x"],
    ],
)
def test_wrong_arguments_end_in_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong role or clause is a usage error."""
    with pytest.raises(SystemExit) as ended:
        conversations.parse_arguments(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_script_knows_the_facts_of_the_package() -> None:
    """The script cannot import the package; this test compares what both have."""
    assert tuple(name.decode() for name in conversations.RECORD) == RECORD_KEY
    assert tuple(name.decode() for name in conversations.FOLDED) == FOLDED_KEY
    assert conversations.CORE_COLUMNS == CORE_COLUMNS
    assert tuple(name.decode() for name in conversations.HOWS) == ("copy", *HOWS)
    assert conversations.HOWS == sum_counts.HOWS
    assert tuple(name.decode() for name in conversations.SUMS) == DIGEST_METRICS
    assert conversations.SLACK == SLACK_SECONDS
    for name in ("LARGEST_TIME", "MILLISECONDS_FROM", "SYN", "ACK", "HIGHEST_KNOWN_PORT"):
        assert getattr(conversations, name) == getattr(count_flows, name), name
    assert (len(PAIR_COLUMNS), len(PAIR_SUMS)) == (sum_counts.PAIR_COLUMNS, sum_counts.PAIR_SUMS)
