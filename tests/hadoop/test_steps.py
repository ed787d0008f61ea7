"""The planned steps on the embedded Hadoop: the same bytes as the local engine, however files share a map."""

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from tests.hadoop.conftest import Embedded
from tests.hadoop.pseudo_distributed import Hadoop
from toptalkers.answer.parts import read_part
from toptalkers.engines import local
from toptalkers.job import count_flows, steps
from toptalkers.job.bundle import installed_kernels
from toptalkers.job.steps import plan_steps
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs
from toptalkers.runs.input.patterns import group_addresses

pytestmark = pytest.mark.hadoop

BUNDLE = f"{Path(count_flows.__file__).parent}/"
DEFAULT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
SWAPPED = "log-status action dstaddr srcaddr dstport bytes"


def default_record(number: int) -> str:
    """Return a record of the default format; few talkers, so that files share them."""
    return f"2 123456789012 eni-1 10.0.0.{number % 5} 10.0.1.{number % 3} 49152 443 6 2 {number} 1 61 ACCEPT OK"


def swapped_record(number: int) -> str:
    """Return a record of another format, which the default one would make malformed or wrong."""
    return f"OK ACCEPT 10.0.1.{number % 3} 10.0.0.{number % 5} 443 {number}"


def lines(*texts: str) -> bytes:
    """Join lines, each with an end."""
    return "".join(f"{text}\n" for text in texts).encode()


WITH_HEADERS = {
    "a.gz": gzip.compress(lines(SWAPPED, *map(swapped_record, range(40)))),
    "b/c.gz": gzip.compress(lines(DEFAULT, *map(default_record, range(50)))),
    "b/d.gz": gzip.compress(lines(SWAPPED, *map(swapped_record, range(7)), DEFAULT, *map(default_record, range(9)))),
}
MIXED = WITH_HEADERS | {
    "e.gz": gzip.compress(lines(*map(default_record, range(60)))),
    "f.gz": gzip.compress(lines(*map(default_record, range(3)), SWAPPED, *map(swapped_record, range(4)))),
    "g.gz": gzip.compress(lines(*map(default_record, range(60)))),
    "h.gz": gzip.compress(lines("", *map(default_record, range(10)))),
    "i.gz": gzip.compress(b""),
}
PLAIN = MIXED | {"j.log": lines(SWAPPED, *map(swapped_record, range(4000)))}
OF_ALL_KINDS = PLAIN | {
    "flows-1-2026": gzip.compress(lines(*map(default_record, range(1000)))),
    "k.bz2": bz2.compress(lines(SWAPPED, *map(swapped_record, range(50)))) + bz2.compress(lines(swapped_record(7))),
    "l": bz2.compress(lines(*map(default_record, range(30)))),
    "m.xz": lzma.compress(lines(*map(default_record, range(20)))),
    "n.gz": gzip.compress(gzip.compress(lines(*map(default_record, range(11))))) * 2,
    "o.log": lines(*map(default_record, range(9))).replace(b"\n", b"\r\n"),
    "p": lines(*map(default_record, range(8)))[:-1],
    "q.log": b"",
}


def run(
    embedded: Embedded, query: Query, *, keeps: bool = False, patterns: Sequence[str] = (), largest_bytes: int = 0
) -> bytes:
    """Run the planned steps over the folder `in`; return the answer as `fetch-results` gives it.

    `largest_bytes` is told to the plan instead of the size of the largest file that is not named .gz.
    """
    files = [path for path in (embedded.directory / "in").rglob("*") if path.is_file()]
    plain = [path.stat().st_size for path in files if path.suffix != ".gz"]
    planned = plan_steps(
        query,
        inputs=["in/"],
        patterns=patterns,
        is_gzip=not plain,
        largest_bytes=largest_bytes or max(plain, default=0),
        bundle=BUNDLE,
        kernels=installed_kernels(),
        output="out/",
        between="toptalkers/run/aggregate/",
        keep_all_ports=keeps,
        keep_aggregate=keeps,
    )
    for step in planned:
        result = embedded.run(*step.arguments, map_slots=2)
        assert result.exit_code == 0, result.why_failed()
    (part,) = embedded.output()
    (embedded.directory / "packed").write_bytes(part)
    with (embedded.directory / "packed").open("rb") as body:
        return b"".join(line for _, line in read_part(body, "part-00000.gz"))


def counted_here(embedded: Embedded, query: Query, top: int = 0) -> bytes:
    """Return the local engine's answer."""
    return b"".join(local.count_files(query, find_inputs([str(embedded.directory / "in")]).files, top=top).chunks)


@pytest.mark.parametrize("largest_bytes", [0, steps.SHARED_BYTES + 1], ids=["sharing maps", "a map per file"])
@pytest.mark.parametrize("files", [WITH_HEADERS, MIXED, PLAIN, OF_ALL_KINDS])
def test_files_of_all_kinds_count_as_they_do_alone(
    embedded: Embedded, files: dict[str, bytes], largest_bytes: int
) -> None:
    """Whatever shares a map, no file's header applies to the next one, and kinds are told by content."""
    embedded.write({f"in/{name}": content for name, content in files.items()})
    query = Query.parse(metric="bytes")
    answer = run(embedded, query, largest_bytes=largest_bytes)
    assert answer == counted_here(embedded, query)
    assert answer.count(b"\n") == 15


def test_files_of_all_kinds_on_daemons(hadoop: Hadoop, tmp_path: Path) -> None:
    """On YARN and HDFS, too, with only the settings that EMR gets: the line feed reaches the nodes as a word."""
    for name, content in OF_ALL_KINDS.items():
        path = tmp_path / "kinds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    hadoop.run("fs", "-put", str(tmp_path / "kinds"), "kinds")
    query = Query.parse(metric="bytes")
    for step in plan_steps(
        query,
        inputs=["kinds"],
        is_gzip=False,
        largest_bytes=max(map(len, OF_ALL_KINDS.values())),
        bundle=f"file://{BUNDLE}",
        kernels=installed_kernels(),
        output="kinds-out/",
        between="kinds-between/",
    ):
        hadoop.run("jar", str(hadoop.streaming_jar), *step.arguments)
    hadoop.run("fs", "-get", "kinds-out/part-00000.gz", str(tmp_path))
    expected = local.count_files(query, find_inputs([str(tmp_path / "kinds")]).files).chunks
    assert gzip.decompress((tmp_path / "part-00000.gz").read_bytes()) == b"".join(expected) != b""


def test_ports_looked_at_in_the_second_step(embedded: Embedded) -> None:
    """With all ports kept the aggregate has them, compressed, and the answer is the same."""
    other = default_record(1).replace(" 443 ", " 8443 ")
    embedded.write({"in/a.gz": gzip.compress(lines(*map(default_record, range(20)), other))})
    query = Query.parse()
    answer = run(embedded, query, keeps=True)
    assert answer == counted_here(embedded, query)
    sums = b"".join(map(gzip.decompress, embedded.output("toptalkers/run/aggregate")))
    assert b":8443\t1\n" in sums


def test_no_sums_are_sorted(embedded: Embedded) -> None:
    """Empty files between the steps, for which there is no map, make an empty answer."""
    embedded.write({"in/a.gz": gzip.compress(lines(*map(default_record, range(9))))})
    assert run(embedded, Query.parse(ports="1")) == b""


def test_top_of_several_mappers(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mapper of the second step sends its own first talkers; the first of all are the first of the output."""
    monkeypatch.setattr(steps, "REDUCER_BYTES", 1)
    monkeypatch.setattr(steps, "SORT_SPLIT_BYTES", 100)
    embedded.write({"in/a.gz": gzip.compress(lines(*map(default_record, range(100))))})
    query = Query.parse(metric="bytes")
    planned = plan_steps(
        query, top=3, inputs=["in/"], is_gzip=True, bundle=BUNDLE, output="out/", between="sums/", input_bytes=3
    )
    for step in planned:
        result = embedded.run(*step.arguments, map_slots=2)
        assert result.exit_code == 0, result.why_failed()
    assert len(embedded.output("sums")) == 4
    (part,) = embedded.output()
    ranked = gzip.decompress(part).splitlines(keepends=True)
    assert len(ranked) > 3
    assert b"".join(ranked[:3]) == counted_here(embedded, query, top=3)


def test_on_a_cluster_that_is_there_already(hadoop: Hadoop, tmp_path: Path) -> None:
    """`run-emr --hadoop-cluster`, and the engine of that name, give the local engine's bytes, and the tally."""
    for name, content in PLAIN.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    hadoop.run("fs", "-put", str(tmp_path / "in"), "/flowlogs")
    # mrjob itself finds the jar of an installed Hadoop below HADOOP_HOME.
    settings = tmp_path / "mrjob.conf"
    settings.write_text(json.dumps({"runners": {"hadoop": {"hadoop_streaming_jar": str(hadoop.streaming_jar)}}}))
    query = Query.parse(metric="bytes")
    expected = b"".join(local.count_files(query, find_inputs([str(tmp_path / "in")]).files, top=9).chunks)
    for command in (
        ["run-emr", "--hadoop-cluster", "--input", "hdfs:///flowlogs/"],
        ["run-local", "--engine", "hadoop-cluster", str(tmp_path / "in")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "toptalkers", *command, "--metric", "bytes", "--top", "9"],
            env={**hadoop.environment, "MRJOB_CONF": str(settings)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == expected
        assert b" counted, " in done.stderr


@pytest.mark.parametrize(
    ("shares", "is_any", "hourly"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_c2_hadoop_reads_what_patterns_match(embedded: Embedded, *, shares: bool, is_any: bool, hourly: bool) -> None:
    """Patterns for the folders, or files, of some accounts, Regions and hours: exactly these are counted."""
    wanted = []
    for number, (of, region, hour) in enumerate(
        product(("111122223333", "123456789012", "444455556666"), ("eu-west-1", "us-east-1"), (16, 17, 18))
    ):
        folder = f"in/AWSLogs/{of}/vpcflowlogs/{region}/2026/11/23/" + f"{hour}/" * hourly
        name = f"{of}_vpcflowlogs_{region}_fl-1_20261123T{hour}05Z_0{number}.log.gz"
        content = gzip.compress(lines(DEFAULT, *map(default_record, range(2**number % 97))))
        embedded.write({folder + name: content})
        if hour < 18 and (is_any or (of != "444455556666" and region == "us-east-1")):
            wanted.append(folder if hourly else folder + name)
    there = sorted(str(one.relative_to(embedded.directory)) for one in (embedded.directory / "in").rglob("*.gz"))
    refused = [one for one in there if not one.startswith(tuple(wanted))]
    patterns = [
        one.removeprefix("s3://x/")
        for one in group_addresses(
            [f"s3://x/{one}" for one in wanted],
            [f"s3://x/{one}" for one in refused],
            all_accounts=is_any,
            all_regions=is_any,
        )
    ]
    assert len(patterns) == 1
    query = Query.parse(metric="bytes")
    answer = run(embedded, query, patterns=patterns, largest_bytes=0 if shares else steps.SHARED_BYTES + 1)
    read = [str(embedded.directory / one) for one in wanted]
    assert answer == b"".join(local.count_files(query, find_inputs(read).files).chunks)
