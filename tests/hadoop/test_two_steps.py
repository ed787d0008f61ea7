"""The two steps with the project's own scripts: the same bytes from a pipe, the embedded Hadoop, and real daemons."""

import gzip
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hadoop.conftest import Embedded
from tests.hadoop.pseudo_distributed import Hadoop

pytestmark = pytest.mark.hadoop

STREAMING = Path(__file__).parents[2] / "src" / "toptalkers" / "streaming"
FILES = ",".join(str(STREAMING / name) for name in ("count_flows.py", "port_filter.py"))


def aggregate(source: str, target: str) -> list[str]:
    """Step 1's arguments."""
    return [
        *("-D", "mapreduce.job.reduces=2"),
        *("-D", "stream.map.input.ignoreKey=true"),
        *("-D", "mapreduce.input.fileinputformat.split.maxsize=4000"),
        *("-D", "mapreduce.input.fileinputformat.input.dir.recursive=true"),
        *("-files", FILES),
        *("-inputformat", "org.apache.hadoop.mapred.lib.CombineTextInputFormat"),
        *("-input", source, "-output", target),
        *("-mapper", "python3 count_flows.py --ports 0-1024", "-reducer", "aggregate"),
    ]


def sort(source: str, target: str) -> list[str]:
    """Step 2's arguments."""
    return [
        *("-D", "mapreduce.job.reduces=1"),
        *("-D", "stream.num.map.output.key.fields=2"),
        *("-D", "mapreduce.job.output.key.comparator.class=org.apache.hadoop.mapred.lib.KeyFieldBasedComparator"),
        *("-D", "mapreduce.partition.keycomparator.options=-k2,2nr -k1,1"),
        *("-D", "mapreduce.output.fileoutputformat.compress=true"),  # alone, it gives .deflate
        *("-D", "mapreduce.output.fileoutputformat.compress.codec=org.apache.hadoop.io.compress.GzipCodec"),
        *("-files", FILES),
        *("-input", source, "-output", target),
        *("-mapper", "python3 port_filter.py --ports 0-1024", "-reducer", "cut -f1,2"),
    ]


@pytest.fixture(scope="module")
def flow_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 default-format records, some dirty, some IPv6, in six .gz files in two folders."""
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
    """The answer of the scripts in a plain pipe."""
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in sorted(flow_logs.rglob("*.gz")))

    def pipe(command: list[str], data: bytes) -> bytes:
        return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, env={"LC_ALL": "C"}).stdout

    counts = pipe([sys.executable, str(STREAMING / "count_flows.py"), "--ports", "0-1024"], lines)
    sums = pipe([sys.executable, str(STREAMING / "sum_counts.py")], pipe(["/usr/bin/sort"], counts))
    kept = pipe([sys.executable, str(STREAMING / "port_filter.py"), "--ports", "0-1024"], sums)
    return pipe(["/usr/bin/sort", "-t\t", "-k2,2nr", "-k1,1"], kept)


def test_embedded(embedded: Embedded, flow_logs: Path, piped: bytes) -> None:
    """Two steps in the embedded Hadoop; the directory between them has no scheme and no folder."""
    first = embedded.run(*aggregate(str(flow_logs), "sums"), map_slots=2)
    assert first.exit_code == 0, first.why_failed()
    second = embedded.run(*sort("sums", "out"), map_slots=2)
    assert second.exit_code == 0, second.why_failed()
    assert piped
    assert gzip.decompress((embedded.directory / "out" / "part-00000.gz").read_bytes()) == piped
    tally = first.counters["toptalkers"]
    assert tally["records_read"] == 1998
    assert sum(tally.values()) == 2 * 1998  # read, and each counted or skipped for one reason


def test_daemons(hadoop: Hadoop, flow_logs: Path, piped: bytes, tmp_path: Path) -> None:
    """The same arguments, given to real HDFS and YARN daemons."""
    hadoop.run("fs", "-put", str(flow_logs), "flowlogs")
    hadoop.run("jar", str(hadoop.streaming_jar), *aggregate("flowlogs", "sums"))
    hadoop.run("jar", str(hadoop.streaming_jar), *sort("sums", "sorted"))
    hadoop.run("fs", "-get", "sorted/part-00000.gz", str(tmp_path))
    assert gzip.decompress((tmp_path / "part-00000.gz").read_bytes()) == piped


def test_mrjob_runs_on_the_daemons(hadoop: Hadoop, tmp_path: Path) -> None:
    """The launcher knows all that mrjob asks of a `hadoop` command; counters come back too."""
    job = tmp_path / "job.py"
    job.write_text(
        "from mrjob.job import MRJob\n"
        "class Words(MRJob):\n"
        "    def mapper(self, _, line):\n"
        "        self.increment_counter('toptalkers', 'lines')\n"
        "        yield line, 1\n"
        "    def reducer(self, word, counts):\n"
        "        yield word, sum(counts)\n"
        "if __name__ == '__main__':\n"
        "    Words.run()\n"
    )
    (tmp_path / "in.txt").write_text("a\nb\na\n")
    done = subprocess.run(
        [
            *(sys.executable, str(job), "-r", "hadoop", "--no-bootstrap-mrjob"),
            *("--python-bin", sys.executable, "--hadoop-streaming-jar", str(hadoop.streaming_jar)),
            str(tmp_path / "in.txt"),
        ],
        env=hadoop.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ['"a"\t2', '"b"\t1']
    assert "lines=3" in done.stderr
