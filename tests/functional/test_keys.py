"""Any key, several sums and --where, on a file of a few lines: every engine gives the answer that is written here."""

from dataclasses import dataclass

import pytest

from tests import pipeline, reference
from tests.functional.test_engines_agree import run_engine
from toptalkers.engines import Engine, hadoop, mrjob
from toptalkers.flowlog.fields import FIELDS
from toptalkers.kernel import door, pure
from toptalkers.question.query import Query

COLUMNS = "start srcaddr dstaddr srcport dstport protocol packets bytes end action log-status vpc-id tcp-flags"
LINES = """\
1793491200 10.0.0.1 10.0.0.2 40000 443 6 10 840 1793491260 ACCEPT OK vpc-0a 2
1793491261 10.0.0.2 10.0.0.1 443 40000 6 8 1200 1793491320 ACCEPT OK vpc-0a 18
1793494800000 10.0.1.7 10.0.0.2 40001 443 17 1 60 1793494801999 ACCEPT OK - 0
1793491205 2001:db8::7 2001:DB8:0:0:1:0:0:9 53 53 17 2 200 1793491206 REJECT OK vpc-b\u00e9 -
1793491210 10.0.0.1 10.0.0.9 - - 1 4 336 1793491215 ACCEPT OK vpc-0a -
1793491211 - - - - - - - 1793491271 - NODATA - -
"""
"""Records of 2026-11-01, midnight UTC, the third of an hour later, in milliseconds."""

HOUR_0, HOUR_1 = "2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z"


@dataclass(frozen=True)
class Example:
    """A question about some lines, and what is said.

    Attributes:
        question: the texts of clauses; of all ports and actions if they are not among them.
        answer: the expected lines.
        skipped: the expected tally.
        lines: what is counted.
        columns: their layout.

    """

    question: dict[str, str]
    answer: list[str]
    skipped: dict[str, int]
    lines: str = LINES
    columns: str = COLUMNS

    @property
    def query(self) -> Query:
        """The question."""
        return Query.parse(**{"ports": "all", "action": "ALL", **self.question})

    @property
    def content(self) -> bytes:
        """A file with a header line."""
        return f"{self.columns}\n{self.lines}".encode("utf-8", "surrogateescape")


def whole(by: str, *answer: str, **question: str) -> Example:
    """A question that all but the record without data answer."""
    return Example({"by": by, **question}, [*answer], {"nodata": 1})


def values(by: str, texts: str, *answer: str, columns: str = "", **skipped: int) -> Example:
    """A question about records of which one column differs; it has no log status."""
    columns = columns or by
    return Example({"by": by}, [*answer], skipped, "".join(f"{text}\n" for text in texts.split()), columns)


def some(where: str, counted: int, **skipped: int) -> Example:
    """An expression, and how many of the records it holds for."""
    tally = {"nodata": 1, **skipped, **({"where": 5 - counted} if counted < 5 else {})}
    answer = [f"{HOUR_0}\t{counted}"] if counted else []
    return Example({"by": "day", "where": where}, answer, tally)


EXAMPLES = {
    "the sources": whole("srcaddr", "10.0.0.1\t2", "10.0.0.2\t1", "10.0.1.7\t1", "2001:db8::7\t1"),
    "ties are in the order of the printed bytes": whole(
        "dstport,protocol", "-\t1\t1", "40000\t6\t1", "443\t17\t1", "443\t6\t1", "53\t17\t1"
    ),
    "the recipe's parts in another order are columns": whole(
        "dstport,srcaddr",
        *("-\t10.0.0.1\t1", "40000\t10.0.0.2\t1", "443\t10.0.0.1\t1", "443\t10.0.1.7\t1", "53\t2001:db8::7\t1"),
    ),
    "networks by the hour": whole(
        "hour,srcaddr/24",
        f"{HOUR_0}\t10.0.0.0/24\t3",
        f"{HOUR_0}\t2001:db8::/64\t1",
        f"{HOUR_1}\t10.0.1.0/24\t1",
    ),
    "networks with a length for IPv6": whole("dstaddr/8/80", "10.0.0.0/8\t4", "2001:db8:0:0:1::/80\t1"),
    "the network of all": whole("dstaddr/0/0", "0.0.0.0/0\t4", "::/0\t1"),
    "minutes": whole("minute", "2026-11-01T00:00:00Z\t3", "2026-11-01T00:01:00Z\t1", "2026-11-01T01:00:00Z\t1"),
    "both directions": whole(
        "pair",
        "10.0.0.1\t10.0.0.2\t2",
        "10.0.0.1\t10.0.0.9\t1",
        "10.0.0.2\t10.0.1.7\t1",
        "2001:DB8:0:0:1:0:0:9\t2001:db8::7\t1",
    ),
    "the service, by flags, by the lower port, of both, of none": whole(
        "service-port,side,client-port", "443\tdst\t-\t2", "-\t-\t-\t1", "443\tsrc\t-\t1", "53\tboth\t53\t1"
    ),
    "texts, one of them missing": whole("vpc-id", "vpc-0a\t3", "-\t1", "vpc-b\u00e9\t1"),
    "all sums": whole(
        "protocol",
        "6\t2040\t18\t2\t2026-11-01T00:00:00Z\t2026-11-01T00:02:00Z",
        "1\t336\t4\t1\t2026-11-01T00:00:10Z\t2026-11-01T00:00:15Z",
        "17\t260\t3\t2\t2026-11-01T00:00:05Z\t2026-11-01T01:00:01Z",
        metric="bytes,packets,records,first,last",
    ),
    "the last seen are first": whole(
        "action", "ACCEPT\t2026-11-01T01:00:01Z\t2436", "REJECT\t2026-11-01T00:00:06Z\t200", metric="last,bytes"
    ),
    "no port is a port that is not wanted": Example(
        {"by": "protocol", "ports": "443"}, ["17\t1", "6\t1"], {"nodata": 1, "ports": 3}
    ),
    "but in the recipe's key it is malformed": Example(
        {}, ["10.0.0.1:10.0.0.2:443\t1", "10.0.0.2:10.0.0.1:40000\t1", "10.0.1.7:10.0.0.2:443\t1",
             "[2001:db8::7]:[2001:DB8:0:0:1:0:0:9]:53\t1"], {"nodata": 1, "malformed_port": 1}
    ),
    "a part that no record has": whole("subnet-id", "-\t5"),
    "the ports of an expression": some("dst port 50-100,443", 3),
    "the addresses of an expression": some("src net in (10.0.0.0/24 2001:db8::/32)", 4),
    "a text, and a missing one": some("vpc-id = -,'vpc-b\u00e9'", 2),
    "a number that is missing is in no range": some("not dst port 0-65535", 1),
    "and, or, not": some("(proto tcp and bytes >= 1k or action = REJECT) and not src port < 100", 1),
    "the service of an expression": some("service-port 443 and side dst", 2),
    "times of an expression are in seconds": some("start = 2026-11-01T01:00:00Z and end = 2026-11-01T01:00:01Z", 1),
    "a condition on a column that the layout lacks": Example(
        {"by": "srcaddr", "where": "subnet-id = -"}, [], {"malformed_columns": 6}
    ),
    "a sum of a column that the layout lacks": Example(
        {"by": "srcaddr", "metric": "first"}, [], {"malformed_columns": 1}, "10.0.0.1\n", "srcaddr"
    ),
    "addresses": values(
        "srcaddr", "- 10.0.0.1 ::ffff:192.0.2.1 010.0.0.1 [::1]", "-\t1", "10.0.0.1\t1", "::ffff:192.0.2.1\t1",
        malformed_address=2,
    ),
    "an IPv4 address in an IPv6 one is printed in groups": values(
        "dstaddr/8/128", "::ffff:192.0.2.1 ::192.0.2.1 1:0:0:2::3 1:0:0:2:0:0:3:4 1:0:2:3:4:5:6:7 -",
        "-\t1", "1:0:0:2::3/128\t1", "1:0:2:3:4:5:6:7/128\t1", "1::2:0:0:3:4/128\t1", "::c000:201/128\t1",
        "::ffff:c000:201/128\t1",
        columns="dstaddr",
    ),
    "protocols": values("protocol", "6 255 0 - 256 06 tcp", "-\t1", "0\t1", "255\t1", "6\t1", malformed_number=3),
    "ports": values("srcport", "0 65535 - 65536 080", "-\t1", "0\t1", "65535\t1", malformed_port=2),
    "numbers are printed as logged": values(
        "tcp-flags", "2 02 - 999999999999999 1000000000000000 x",
        "-\t1", "02\t1", "2\t1", "999999999999999\t1", malformed_number=2,
    ),
    "texts": values(
        "vpc-id", f"vpc-0a \u65e5\u672c - {'x' * 1024} {'x' * 1025} a\x00b \x7f \udcff \udced\udca0\udc80",
        "-\t1", "vpc-0a\t1", f"{'x' * 1024}\t1", "\u65e5\u672c\t1", malformed_text=5,
    ),
    "an empty column is no text, nor is one with a tab": Example(
        {"by": "vpc-id"}, ["vpc-0a\t1"], {"malformed_text": 2}, "vpc-0a x\n x\n\tvpc-0a x\n", "vpc-id subnet-id"
    ),
    "times": values(
        "hour", "3600 99999999999 100000000000 253402300799999 253402300800000 - x",
        "-\t1", "1970-01-01T01:00:00Z\t1", "1973-03-03T09:00:00Z\t1", "5138-11-16T09:00:00Z\t1",
        "9999-12-31T23:00:00Z\t1", malformed_number=2, columns="start",
    ),
}  # fmt: skip

FOR_JOBS = ["all sums", "texts, one of them missing", "the service of an expression"]
"""Examples for the engines that take a second to start."""

each_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def check(example: Example, lines: bytes, seen: dict[str, int]) -> None:
    read = example.content.count(b"\n") - 1
    tally = {"records_read": read, "counted": read - sum(example.skipped.values()), **example.skipped}
    assert lines.decode().splitlines() == example.answer
    assert {name: number for name, number in seen.items() if number and name != "misfit_files"} == {
        name: number for name, number in tally.items() if number
    }


@each_example
def test_the_reference(example: Example) -> None:
    """It follows the rules, too."""
    counted = reference.count(example.query, [example.content], set(FIELDS))
    check(example, counted.lines(), counted.seen)


@each_example
def test_the_pipe_of_scripts(example: Example) -> None:
    """The mapper's lines are summed, filtered and sorted into the answer."""
    check(example, *pipeline.run(example.query, [example.content]))


@pytest.mark.parametrize("counter", [door.Counter, pure.Counter], ids=["kernel", "pure"])
@each_example
def test_the_counters(example: Example, counter: type[door.Counter | pure.Counter]) -> None:
    """The kernel, and the counter that stands in for it, give the answer."""
    made = counter(example.query)
    made.feed(example.content)
    tally = made.end_lines()
    made.end_file(counts=True)
    seen = {"records_read": tally.records_read, "counted": tally.counted, **tally.skipped}
    check(example, b"".join(made.ranked(0)), seen)


@pytest.mark.parametrize(
    ("engine", "name"),
    # The embedded Hadoop has keys of its own in tests/hadoop/test_same_bytes.py.
    [*[(mrjob, name) for name in FOR_JOBS], pytest.param(hadoop, FOR_JOBS[2], marks=pytest.mark.hadoop)],
)
def test_the_jobs(name: str, engine: Engine) -> None:
    """Two files are counted by two mappers, and their sums come together."""
    example = EXAMPLES[name]
    head, *lines = example.content.splitlines(keepends=True)
    bytes_, answer, _ = run_engine(engine, example.query, [head + b"".join(lines[:2]), head + b"".join(lines[2:])])
    tally = {"records_read": answer.tally.records_read, "counted": answer.tally.counted, **answer.tally.skipped}
    check(example, bytes_, tally)
