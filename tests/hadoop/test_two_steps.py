"""The two steps with the project's own scripts: the same bytes from a pipe, the embedded Hadoop, and real daemons."""

import gzip
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.hadoop.conftest import Embedded
from tests.hadoop.pseudo_distributed import QUICK_TASKS, Hadoop
from toptalkers.engines import local
from toptalkers.job import count_flows
from toptalkers.job.bundle import installed_kernels
from toptalkers.job.steps import plan_steps
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs

pytestmark = pytest.mark.hadoop

STREAMING = Path(count_flows.__file__).parent


def planned(source: str, between: str, target: str, kernels: Sequence[str] = ()) -> list[list[str]]:
    """Return the arguments of the two steps, as `run-emr` renders them, for the recipe's question."""
    steps = plan_steps(
        Query(),
        inputs=[source],
        is_gzip=True,
        bundle=f"file://{STREAMING}/",
        kernels=kernels,
        output=target,
        between=between,
        input_bytes=100_000,
        map_slots=2,
    )
    return [list(step.arguments) for step in steps]


@pytest.fixture(scope="module")
def flow_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 2,000 default-format records, some dirty, some IPv6, in six .gz files in two folders."""
    directory = tmp_path_factory.mktemp("flowlogs")
    chance = random.Random(5)
    for number in range(6):
        lines = []
        for _ in range(2000 // 6):
            src, dst = (
                chance.choice([f"10.0.0.{chance.randrange(9)}", f"2001:db8::{chance.randrange(9)}"]) for _ in range(2)
            )
            port = chance.choice([22, 53, 443, 8443, 70000])
            status = chance.choice(["OK"] * 9 + ["NODATA"])
            lines.append(f"2 123456789012 eni-1 {src} {dst} 50000 {port} 6 9 900 1 61 ACCEPT {status}\n")
        path = directory / f"{number % 2:02}" / f"{number}.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress("".join(lines).encode()))
    return directory


@pytest.fixture(scope="module")
def piped(flow_logs: Path) -> bytes:
    """Return the answer of the scripts in a plain pipe."""
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in sorted(flow_logs.rglob("*.gz")))

    def pipe(command: list[str], data: bytes) -> bytes:
        return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, env={"LC_ALL": "C"}).stdout

    counts = pipe([sys.executable, str(STREAMING / "count_flows.py"), "--ports", "0-1024"], lines)
    sums = pipe([sys.executable, str(STREAMING / "sum_counts.py")], pipe(["/usr/bin/sort"], counts))
    kept = pipe([sys.executable, str(STREAMING / "port_filter.py"), "--ports", "0-1024"], sums)
    return pipe(["/usr/bin/sort", "-t\t", "-k2,2nr", "-k1,1"], kept)


def test_embedded(embedded: Embedded, flow_logs: Path, piped: bytes) -> None:
    """Two steps in the embedded Hadoop; the directory between them has no scheme and no folder."""
    aggregate, sort = planned(str(flow_logs), "sums/", "out/")
    first = embedded.run(*aggregate, map_slots=2)
    assert first.exit_code == 0, first.why_failed()
    second = embedded.run(*sort, map_slots=2)
    assert second.exit_code == 0, second.why_failed()
    assert piped
    assert gzip.decompress((embedded.directory / "out" / "part-00000.gz").read_bytes()) == piped
    tally = first.counters["toptalkers"]
    assert tally["records_read"] == 1998
    of_maps = {"files_read", "maps_by_python"}
    assert tally["files_read"] == 6
    records = sum(number for name, number in tally.items() if name not in of_maps)
    assert records == 2 * 1998  # read, and each counted or skipped for one reason


def test_daemons(hadoop: Hadoop, flow_logs: Path, piped: bytes, tmp_path: Path) -> None:
    """The same steps, with the kernels of nodes, on real HDFS and YARN daemons: these bytes, and run-local's tally."""
    hadoop.put(flow_logs, "flowlogs")
    aggregate, sort = planned("flowlogs", "sums/", "sorted/", kernels=installed_kernels())
    counters = hadoop.run_streaming(aggregate)
    hadoop.run_streaming(sort)
    (part,) = hadoop.parts("sorted", tmp_path / "sorted")
    assert gzip.decompress(part) == piped
    answer = local.count_files(Query(), find_inputs([str(flow_logs)]).files)
    assert b"".join(answer.chunks) == piped
    found = counters["toptalkers"]
    assert {name: found.get(name, 0) for name in answer.tally.skipped} == answer.tally.skipped
    assert (found["records_read"], found["counted"]) == (answer.tally.records_read, answer.tally.counted)
    assert found["files_read"] == answer.tally.files_read == 6
    assert (found.get("maps_by_kernel", 0) > 0) == bool(installed_kernels())
    container = QUICK_TASKS["mapreduce.map.memory.mb"]
    assert counters["Map-Reduce Framework"]["Peak Map Physical memory (bytes)"] < int(container) << 20


def test_mrjob_runs_on_the_daemons(hadoop: Hadoop, flow_logs: Path, piped: bytes) -> None:
    """Our mrjob job with `-r hadoop` gives the same bytes there; the mapper's counters come back too."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "toptalkers.job.mrjob_job", "-r", "hadoop", "--no-conf"),
            *("--hadoop-streaming-jar", str(hadoop.streaming_jar)),
            *map(str, sorted(flow_logs.rglob("*.gz"))),
        ],
        env=hadoop.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == piped
    assert b"records_read=1998" in done.stderr
