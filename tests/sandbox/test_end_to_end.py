"""From a command to an answer, only by the command line, on a local AWS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.permitted import Call, check_permitted
from tests.render import ROOT
from toptalkers.answer.formats import format_tally
from toptalkers.engines import local
from toptalkers.permissions import Names
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs
from toptalkers.sample.writer import write_sample

pytestmark = pytest.mark.sandbox

EVERYTHING = Query.parse(metric="bytes", ports="all", action="ACCEPT")


def answer(folder: Path) -> bytes:
    """The local engine's answer for a folder."""
    return b"".join(local.count_files(EVERYTHING, find_inputs([str(folder)]).files).chunks)


def tell(source: Path, got: Path, *parts: str) -> None:
    """Run the story inside its own sandbox."""
    command = [sys.executable, "-m", "toptalkers", "sandbox", "run", "--logs", str(got.with_suffix(".logs")), "--"]
    command += [sys.executable, "-m", "tests.sandbox.story", str(source), str(got), *parts]
    calls = got.with_suffix(".calls")
    environment = {
        **os.environ,
        "TOPTALKERS_TEST_CALLS": str(calls),
        "PYTHONPATH": str(Path(__file__).parent / "recorder"),
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    made = [json.loads(line) for line in calls.read_text().splitlines()]
    assert {"deploy", "enable-flowlogs", "destroy"} <= {name for name, *_ in made}
    for name, *call in made:
        check_permitted(name, [Call(*call)], Names())


def test_200_000_records_land_once_and_complete(tmp_path: Path) -> None:
    """Every batch given to the Lambda twice, poison between: the objects, also read from S3, count as the source."""
    source, got = tmp_path / "source", tmp_path / "got"
    got.mkdir()
    write_sample(source, records=200_000)
    tell(source, got, "retry", "poison")
    assert answer(got / "flowlogs") == answer(source) == (got / "stored.tsv").read_bytes()
    assert "CREATE_COMPLETE" in (got / "status.txt").read_text()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The story with two runs on a real Hadoop: the folder of its source, and that of what it got."""
    folder = tmp_path_factory.mktemp("told")
    source, got = folder / "source", folder / "got"
    got.mkdir()
    write_sample(source, records=30_000)
    tell(source, got, "emr", "names", "conversations")
    return source, got


def test_from_deploy_to_the_fetched_answer(told: tuple[Path, Path]) -> None:
    """deploy, enable, replay, run-emr on a real Hadoop, fetch-results, disable, destroy: the source's answer."""
    source, got = told
    expected = answer(source)
    assert (got / "answer.tsv").read_bytes() == expected
    # S10: what was skipped is the same as well, reason by reason; only the numbers of files differ.
    reasons = format_tally(local.count_files(EVERYTHING, find_inputs([str(source)]).files).tally).splitlines()[1:]
    assert any("SKIPDATA: AWS left records out, sums are a lower bound" in line for line in reasons)
    assert set(reasons) <= set((got / "tally.txt").read_text().splitlines())
    assert expected.splitlines()[0].decode().partition(":")[0] in (got / "table.txt").read_text()


def test_conversations_on_a_cluster(told: tuple[Path, Path]) -> None:
    """run-emr --count once --pairs gives the bytes of run-local, and says what moved, reason by reason."""
    _, got = told
    query = Query.parse(count="once", pairs="yes")
    here = local.count_files(query, find_inputs([str(got / "flowlogs")]).files)
    assert (got / "pairs.tsv").read_bytes() == b"".join(here.chunks) != b""
    reasons = format_tally(here.tally).splitlines()[1:]
    assert reasons
    assert set(reasons) <= set((got / "pairs.txt").read_text().splitlines())


def test_from_addresses_to_names(told: tuple[Path, Path]) -> None:
    """snapshot, fetch-results --names, graph, report: as run-local names the source by the snapshot of the sample."""
    source, got = told
    command = [sys.executable, "-m", "toptalkers", "run-local", str(source), "--names", str(source / "snapshot.json")]
    command += ["--by", "src.sg,dst.sg,dstport", "--metric", "bytes", "--ports", "all", "--format", "tsv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (got / "by-port.tsv").read_text() == done.stdout
    services = [line.split("\t") for line in (got / "by-service.tsv").read_text().splitlines()]
    assert {("app", "orders-db", "postgresql"), ("batch", "AWS S3 us-east-1", "https")} <= {
        (source, target, service) for source, target, service, _ in services
    }
    assert "~" not in "".join(source + target for source, target, *_ in services)
    for name in ("network.html", "report.html"):
        page = (got / name).read_text()
        assert page.lower().startswith("<!doctype html>")
        assert "orders-db" in page
    assert '"orders-db"' in (got / "network.dot").read_text()


def test_the_demo_itself(tmp_path: Path) -> None:
    """scripts/demo's story succeeds, with the ranked table, and says that both engines gave the same bytes."""
    command = [sys.executable, "-m", "toptalkers", "sandbox", "run", "--", "bash", str(ROOT / "scripts/demo-story")]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "same bytes: " in done.stdout
    by_address, by_name = done.stdout.split("# This was the answer by addresses:")[1].split("# And by names:")
    rows = by_address.splitlines()
    last = [row for row in rows if row.startswith("10 ")][-1].split()
    assert last[3] == "443"
    assert "batch" in by_name
    assert "AWS S3 us-east-1" in by_name


def test_runs_that_go_wrong() -> None:
    """Each fault has its exit code and its reason, and leaves nothing running (tests/sandbox/faults.py)."""
    command = [sys.executable, "-m", "toptalkers", "sandbox", "run", "--", sys.executable, "-m", "tests.sandbox.faults"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
