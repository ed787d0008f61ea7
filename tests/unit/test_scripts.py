"""The scripts that travel, as programs: self-contained, for the oldest python3 of a cluster node."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import pipeline
from toptalkers.job.bundle import SCRIPTS
from toptalkers.question.query import Query

ROOT = Path(__file__).parents[2]
LOG = (ROOT / "tests/flowlogs/default.log").read_bytes()
ANSWER = (ROOT / "tests/flowlogs/default.tsv").read_bytes()


def python39() -> str | None:
    """Find a Python 3.9: on the path, or among pyenv's."""
    found = shutil.which("python3.9")
    works = found and subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python3.9"))
    return found if works else (str(pyenv[-1]) if pyenv else None)


NO_PROGRAMS = ("blocks.py", "node_kernel.py")
"""Other scripts import these."""

PYTHONS = [sys.executable, *([found] if (found := python39()) else [])]


@pytest.mark.parametrize("python", PYTHONS)
def test_pipe_of_programs(python: str) -> None:
    """Mapper, sort, reducer, filter and sort, each a process with -I -S, give the answer."""
    counted = pipeline.run_script("count_flows.py", stdin=LOG, python=python)
    assert counted.returncode == 0
    assert b"reporter:counter:toptalkers,records_read,10\n" in counted.stderr
    summed = pipeline.run_script("sum_counts.py", stdin=pipeline.sort_bytes(counted.stdout), python=python)
    kept = pipeline.run_script("port_filter.py", stdin=summed.stdout, python=python)
    assert pipeline.rank(kept.stdout) == ANSWER


def test_shell_pipe(tmp_path: Path) -> None:
    """scripts/pipe does the same in a shell, on several files, the first of them without its last line end."""
    (tmp_path / "a.log").write_bytes(LOG.rstrip(b"\n"))
    (tmp_path / "b.log").write_bytes(b"")
    command = [str(ROOT / "scripts/pipe"), str(tmp_path / "b.log"), str(tmp_path / "a.log")]
    done = subprocess.run(
        command, capture_output=True, check=True, env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    )
    assert done.stdout == ANSWER


@pytest.mark.parametrize(
    ("by", "metric"),
    [("srcaddr,dstaddr,dstport", "bytes,last"), ("srcaddr,pair", "records"), ("dstport,protocol", "last,packets")],
)
def test_shell_pipe_of_any_key(tmp_path: Path, by: str, metric: str) -> None:
    """A shell pipe with a key and several sums gives the answer of the same scripts run one by one."""
    (tmp_path / "a.log").write_bytes(LOG)
    query = Query.parse(by=by, metric=metric)
    done = subprocess.run(
        [str(ROOT / "scripts/pipe"), str(tmp_path / "a.log")],
        capture_output=True,
        check=True,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", "BY": by, "METRIC": metric},
    )
    assert done.stdout == pipeline.run(query, [LOG])[0]
    assert done.stdout.count(b"\n") > 1


def test_each_is_checked_for_the_oldest_python() -> None:
    """vermin, in scripts/test, and ruff know of exactly the scripts that travel that they are for Python 3.9."""
    listed = re.search(r"src/toptalkers/job/\{([\w,]+)\}\.py", (ROOT / "scripts/test").read_text())
    assert listed is not None
    assert tuple(f"{name}.py" for name in listed[1].split(",")) == SCRIPTS
    versions = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["per-file-target-version"]
    assert versions == {f"src/toptalkers/job/{name}": "py39" for name in SCRIPTS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_imports_the_standard_library_of_39_alone(name: str) -> None:
    """Scripts import only old, standard modules; the syntax is that of Python 3.9."""
    source = (pipeline.STREAMING / name).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    # `toptalkers.job` is where the scripts are for tests; a node has them side by side.
    assert imported <= {
        "__future__",
        "argparse",
        "bisect",
        "blocks",
        "bz2",
        "calendar",
        "collections",
        "collections.abc",
        "count_flows",
        "ctypes",
        "errno",
        "fcntl",
        "gc",
        "heapq",
        "importlib",
        "ipaddress",
        "itertools",
        "lzma",
        "operator",
        "os",
        "pathlib",
        "platform",
        "port_filter",
        "re",
        "struct",
        "sys",
        "tempfile",
        "time",
        "toptalkers.job",
        "typing",
        "zlib",
    }
    assert source.startswith("#!/usr/bin/env python3\n") == (name not in NO_PROGRAMS)


def test_reducer_refuses_what_it_cannot_sum() -> None:
    """Unsorted lines, or lines that are no counts, cause exit code 1 and a message."""
    unsorted = pipeline.run_script("sum_counts.py", stdin=b"LongValueSum:b\t1\nLongValueSum:a\t1\n")
    assert (unsorted.returncode, unsorted.stderr.count(b"\n")) == (1, 1)
    assert b"LC_ALL=C sort" in unsorted.stderr
    for line in (b"a\t1\n", b"LongValueSum:a\n", b"LongValueSum:a\tx\n", b"LongValueSum:a\t1\nLongValueSum:a\tx\n"):
        assert pipeline.run_script("sum_counts.py", stdin=line).returncode == 1


KEYS = b"""start srcaddr dstaddr srcport dstport tcp-flags bytes end vpc-id
1793491200 10.0.0.1 10.0.1.9 50000 443 2 100 1793491260 vpc-0a
1793491300000 10.0.0.2 10.0.1.9 443 50001 18 50 1793491360000 vpc-0a
1793494800 2001:DB8:0:0:1::1 - - - - 7 1793494801 -
"""


@pytest.mark.parametrize(
    ("by", "metric", "where", "expected"),
    [
        (
            "hour,srcaddr/24/48",
            "bytes",
            "",
            ["2026-11-01T00:00:00Z\t10.0.0.0/24\t150", "2026-11-01T01:00:00Z\t2001:db8::/48\t7"],
        ),
        (
            "service-port,side,client-port",
            "records,first,last",
            "",
            [
                "-\t-\t-\t1\t2026-11-01T01:00:00Z\t2026-11-01T01:00:01Z",
                "443\tdst\t-\t1\t2026-11-01T00:00:00Z\t2026-11-01T00:01:00Z",
                "443\tsrc\t-\t1\t2026-11-01T00:01:40Z\t2026-11-01T00:02:40Z",
            ],
        ),
        ("vpc-id", "last", "vpc-id:t:2d,not", ["vpc-0a\t2026-11-01T00:02:40Z"]),
        ("pair", "records", "srcaddr:a:0a000002-0a000003", ["10.0.0.2\t10.0.1.9\t1"]),
        ("region,pair", "records", "start:n:1793494800-1793494800", ["-\t-\t2001:DB8:0:0:1::1\t1"]),
        ("tcp-flags", "packets", "", []),
    ],
)
@pytest.mark.parametrize("python", PYTHONS)
def test_keys_and_sums_through_a_pipe(python: str, by: str, metric: str, where: str, expected: list[str]) -> None:
    """Networks, times, services, both addresses and texts are keys; sums stand beside each other."""
    words = ["--by", by, "--metric", metric]
    asked = [*words, *(["--where", where] if where else []), "--ports", "all", "--action", "ALL"]
    counted = pipeline.run_script("count_flows.py", *asked, stdin=KEYS, python=python)
    assert counted.returncode == 0, counted.stderr
    summed = pipeline.run_script("sum_counts.py", *words, stdin=pipeline.sort_bytes(counted.stdout), python=python)
    kept = pipeline.run_script("port_filter.py", *words, stdin=summed.stdout, python=python)
    assert kept.stdout.decode().splitlines() == expected


@pytest.mark.parametrize(
    "line", [b"a\t1\t2\n", b"a\tb\t1\n", b"a\tb\t1\tx\n", b"a\tb\tc\t1\t2\n", b"a\tb\t1\t253402300800\n"]
)
def test_reducer_refuses_other_columns(line: bytes) -> None:
    """A line has the columns of the key and one number for each metric, and no time after the year 9999."""
    arguments = ["--by", "srcaddr,dstaddr", "--metric", "bytes,last"]
    done = pipeline.run_script("sum_counts.py", *arguments, stdin=b"A\tb\t1\t5\n" + line)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert pipeline.run_script("sum_counts.py", *arguments, stdin=b"b\ta\t1\t5\na\ta\t1\t5\n").returncode == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("count_flows.py", ["--by", "nonsense"]),
        ("count_flows.py", ["--by", "bytes/24"]),
        ("count_flows.py", ["--by", "srcaddr/33"]),
        ("count_flows.py", ["--by", "srcaddr/24/129"]),
        ("count_flows.py", ["--by", ",".join(f"srcaddr/{bits}" for bits in range(17))]),
        ("count_flows.py", ["--metric", "speed"]),
        ("count_flows.py", ["--metric", "bytes,bytes"]),
        ("sum_counts.py", ["--metric", "bytes,speed"]),
        *(
            ("count_flows.py", ["--where", program])
            for program in (
                "and",
                "not",
                "dstport:n:1-2,srcport:n:1-2",
                "dstport:n:1-2,and",
                "dstport",
                "dstport:n:",
                "dstport:n:2-1",
                "dstport:x:1-2",
                "nonsense:n:1-2",
                "srcaddr:a:0a-0b",
                "vpc-id:t:xx",
                "vpc-id:t:2d:2d",
            )
        ),
        ("count_flows.py", ["--ports", "1-70000"]),
        ("count_flows.py", ["--since", "2026-11-01"]),
        ("count_flows.py", ["--log-format", "srcaddr,nonsense"]),
        ("count_flows.py", ["--log-format", "srcaddr,dstaddr"]),
        ("port_filter.py", ["--ports", "x"]),
        ("port_filter.py", ["--top", "-1"]),
        ("sum_blocks.py", ["--metric", "bytes,speed"]),
        ("sum_blocks.py", ["--metric", "bytes,bytes"]),
        ("sum_blocks.py", ["--metric", ""]),
        ("sort_blocks.py", []),
        ("sort_blocks.py", ["sort"]),
        ("sort_blocks.py", ["map", "--reducers", "0"]),
        ("sort_blocks.py", ["map", "--reducers", "129"]),
        ("sort_blocks.py", ["map", "--ports", "x"]),
        ("sort_blocks.py", ["map", "--top", "-1"]),
    ],
)
def test_wrong_arguments_end_in_2(name: str, arguments: list[str]) -> None:
    """A wrong argument ends the task immediately, with a usage error in its log."""
    done = pipeline.run_script(name, *arguments, stdin=LOG)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"error:" in done.stderr


def test_port_filter_knows_brackets_and_tallies_junk() -> None:
    """The port follows the last colon outside of brackets; lines that are no talkers are counted separately."""
    lines = b"[2001:db8::1]:[2001:db8::443]:8080\t5\n10.0.0.1:[::]:443\t4\njunk\n"
    lines += b"10.0.0.1:10.0.0.2:22\tx\n10.0.0.1:10.0.0.2:22\t7\n"
    done = pipeline.run_script("port_filter.py", "--ports", "22,443", stdin=lines)
    assert done.stdout == b"10.0.0.1:[::]:443\t4\n10.0.0.1:10.0.0.2:22\t7\n"
    assert done.stderr == b"reporter:counter:toptalkers,malformed_talkers,2\n"
    first = pipeline.run_script("port_filter.py", "--top", "1", stdin=lines)
    assert first.stdout == b"10.0.0.1:10.0.0.2:22\t7\n"


def test_first_lines_by_a_time() -> None:
    """Times are ranked as they are printed, the latest first, and ties by the key."""
    lines = b"b\t443\t2026-11-01T01:00:00Z\t9\na\t443\t2026-11-01T01:00:00Z\t1\nc\t1\t2025-12-31T23:59:59Z\t99\n"
    junk = b"d\t1\t1793494800\t5\nd\t2026-11-01T01:00:00Z\t5\n"
    arguments = ["--by", "vpc-id,dstport", "--metric", "first,bytes", "--ports", "22", "--top", "2"]
    done = pipeline.run_script("port_filter.py", *arguments, stdin=lines + junk)
    assert done.stdout == b"a\t443\t2026-11-01T01:00:00Z\t1\nb\t443\t2026-11-01T01:00:00Z\t9\n"
    assert done.stderr == b"reporter:counter:toptalkers,malformed_talkers,2\n"
