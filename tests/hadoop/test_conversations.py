"""Conversations on the embedded Hadoop: the bytes, the tally and the quality of the local engine."""

import gzip
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hadoop.pseudo_distributed import Hadoop
from toptalkers.engines import hadoop as embedded_hadoop
from toptalkers.engines import local
from toptalkers.job import count_flows
from toptalkers.job.steps import plan_steps
from toptalkers.question.digest import digest_texts
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs

pytestmark = pytest.mark.hadoop

FIELDS = (
    "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags"
    " pkt-srcaddr pkt-dstaddr"
)
PORTS = [22, 53, 123, 443, 1024, 1025, 33_000, 40_000, 50_000, "-"]


def record(chance: random.Random) -> str:
    """A record of few endpoints, so that interfaces, hours, gateways and copies meet; some are dirty."""
    hosts = [f"10.0.0.{number}" for number in range(6)]
    if chance.random() < 0.1:
        hosts = [f"2001:db8::{number}" for number in range(4)]
    addresses = chance.choices(hosts, k=2)
    own = [address if chance.random() < 0.8 else chance.choice(hosts) for address in addresses]
    start = 1_793_491_200 + chance.randrange(0, 8_000, 30)
    times = [start, start + chance.choice([0, 59, 600])]
    if chance.random() < 0.05:
        times = [1000 * time for time in times]
    if chance.random() < 0.03:
        addresses[chance.randrange(2)] = chance.choice(["-", "x"])
    values = [
        f"eni-{chance.randrange(4)}",
        *addresses,
        *chance.choices(PORTS, k=2),
        chance.choice([6, 6, 6, 17, 1]),
        *(chance.choice([chance.randrange(900), "-"]) if chance.random() < 0.02 else 7 for _ in range(2)),
        *times,
        chance.choice(["ACCEPT", "ACCEPT", "REJECT"]),
        chance.choice(["OK"] * 20 + ["NODATA", "SKIPDATA"]),
        chance.choice(["-", 0, 2, 18, 16]),
        *own,
    ]
    return " ".join(map(str, values))


def write_dirty(folder: Path) -> None:
    """Write records in three files; some twice, some in a file without flags, one file is no flow log."""
    chance = random.Random(7)
    records = [record(chance) for _ in range(1_500)]
    records += chance.choices(records, k=300)
    for number in range(3):
        content = "\n".join([FIELDS, *records[number::3], ""])
        (folder / f"{number}.gz").write_bytes(gzip.compress(content.encode()))
    short = [" ".join(one.split(" ")[:12]) for one in chance.choices(records, k=100)]
    (folder / "short.log").write_text("\n".join([" ".join(FIELDS.split(" ")[:12]), *short, ""]))
    (folder / "no-interface.log").write_text("srcaddr dstaddr dstport action\n10.0.0.1 10.0.0.2 443 ACCEPT\n" * 9)


@pytest.mark.parametrize(
    "asked",
    [
        {"count": "once", "pairs": "yes"},
        {"count": "once", "by": "hour,srcaddr/24,dstport", "metric": "bytes,first,last", "ports": "all"},
        {"count": "once"},
        {"pairs": "yes", "metric": "packets", "ports": "0-1024", "address": "eni", "action": "ALL"},
        digest_texts(),
    ],
    ids=["once-pairs", "once-by", "once", "pairs", "digest"],
)
def test_the_embedded_hadoop_as_the_local_engine(tmp_path: Path, asked: dict[str, str | None]) -> None:
    """Lines, tally and quality are the same on dirty records, and so are the totals that are known."""
    write_dirty(tmp_path)
    query = Query.parse(**asked)
    files = find_inputs([str(tmp_path)]).files
    here, there = (engine.count_files(query, files) for engine in (local, embedded_hadoop))
    lines = b"".join(here.chunks)
    assert b"".join(there.chunks) == lines
    assert lines.count(b"\n") > 5
    assert there.tally == here.tally
    assert here.tally.files_unreadable == 1
    assert (there.quality.duplicates, there.quality.collapsed, there.quality.relayed, there.quality.oriented) == (
        *(here.quality.duplicates, here.quality.collapsed, here.quality.relayed),
        {how: number for how, number in here.quality.oriented.items() if number},
    )
    if there.totals:
        assert there.totals == here.totals


PAIRS = Query.parse(count="once", pairs="yes")

IN_JOBS = """
import sys
from contextlib import ExitStack
from pathlib import Path
from toptalkers.job.mrjob_job import run_jobs
from toptalkers.question.query import Query

jar, folder, *paths = sys.argv[1:]
arguments = ["--top", "0", "-r", "hadoop", "--no-conf", "--hadoop-streaming-jar", jar]
with ExitStack() as stack:
    query = Query.parse(count="once", pairs="yes")
    runner, counters = run_jobs(query, arguments, paths, Path(folder), stack)
    sys.stdout.buffer.writelines(runner.cat_output())
    print(counters["counted"], counters["moved_duplicate"], file=sys.stderr)
"""


def write_clean(folder: Path) -> bytes:
    """Write records in two files with headers, and return the local engine's pairs."""
    chance = random.Random(8)
    records = [record(chance) for _ in range(600)]
    for number in range(2):
        content = "\n".join([FIELDS, *records[number::2], *records[:50], ""])
        (folder / f"{number}.gz").write_bytes(gzip.compress(content.encode()))
    return b"".join(local.count_files(PAIRS, find_inputs([str(folder)]).files).chunks)


def test_the_steps_on_daemons(hadoop: Hadoop, tmp_path: Path) -> None:
    """On real HDFS and YARN the table of the second step reaches the mappers of the third."""
    logs = tmp_path / "conversations"
    logs.mkdir()
    expected = write_clean(logs)
    hadoop.run("fs", "-put", str(logs), "conversations")
    steps = plan_steps(
        PAIRS,
        inputs=["conversations"],
        is_gzip=True,
        bundle=f"file://{Path(count_flows.__file__).parent}/",
        output="pairs/",
        between="between/",
        learned="hdfs:///learned/",
        input_bytes=300 << 20,  # three reducers
        map_slots=2,
    )
    for step in steps:
        hadoop.run("jar", str(hadoop.streaming_jar), *step.arguments)
    hadoop.run("fs", "-get", "pairs/part-00000.gz", str(tmp_path))
    assert gzip.decompress((tmp_path / "part-00000.gz").read_bytes()) == expected != b""


def test_the_jobs_of_mrjob_on_daemons(hadoop: Hadoop, tmp_path: Path) -> None:
    """Three jobs, one after the other, give the same bytes; mrjob uploads the table."""
    logs = tmp_path / "logs"
    logs.mkdir()
    expected = write_clean(logs)
    done = subprocess.run(
        [sys.executable, "-c", IN_JOBS, str(hadoop.streaming_jar), str(tmp_path), *map(str, sorted(logs.iterdir()))],
        env=hadoop.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert done.stdout == expected != b""
