"""More talkers than memory holds: the answer is the same, nothing is left, and a full disk is one line of error."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import reference
from tests.functional.test_engines_agree import RECORD, LocalWith, run_engine, write_files
from tests.sanitized import LESS
from tests.strategies import TOPS, cases
from toptalkers.cli.main import cli
from toptalkers.engines import Watch, local
from toptalkers.engines import spill as sums
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.fields import FIELDS
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"


def many_talkers(number: int, *, step: int = 1) -> bytes:
    """Write that many records of nearly as many talkers; the sums of a few are larger than the others."""
    talkers = ((i * step) % 16_777_216 for i in range(number))
    return b"".join(
        RECORD.replace(b"10.0.0.1", b"10.%d.%d.%d" % (i >> 16, (i >> 8) & 255, i & 255)) * (1 + (i % 997 == 0))
        for i in talkers
    )


@settings(max_examples=60 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.integers(1, 60), st.integers(200, 4000), TOPS)
def test_spilling_does_not_change_the_answer(
    case: tuple[Query, list[bytes]], rows: int, block_bytes: int, top: int
) -> None:
    """However few sums are held, in files of one block or several, answer and tally are the same as in memory."""
    query, contents = case
    block_bytes = max(
        block_bytes, 1 + max((len(line) for content in contents for line in content.split(b"\n")), default=0)
    )

    expected = reference.count(query, contents, set(FIELDS)).whole
    assert expected
    lines, answer, problems = run_engine(LocalWith(block_bytes=block_bytes, rows_held=rows), query, contents, top)
    _, in_memory, same_problems = run_engine(local, query, contents, top)
    assert lines == expected.lines(top)
    assert (answer.tally, answer.talkers, problems and len(problems)) == (
        in_memory.tally,
        in_memory.talkers,
        same_problems and len(same_problems),
    )


@pytest.mark.parametrize(
    "texts",
    [{}, {"by": "protocol,srcaddr,hour", "metric": "bytes,records"}, {"by": "protocol,srcaddr", "metric": "first"}],
)
@pytest.mark.parametrize("top", [0, 1, 700])
def test_many_rankings_are_merged_in_order(tmp_path: Path, top: int, texts: dict[str, str]) -> None:
    """Rankings longer than one read, with ties, are merged into one, by any key; the folder stays empty."""
    query = Query.parse(**texts)
    contents = [many_talkers(20_000), many_talkers(20_000, step=7), many_talkers(5_000, step=13)]
    files = find_inputs(write_files(tmp_path, contents)).files
    expected = b"".join(local.count_files(query, files, top=top).chunks)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    answer = local.count_files(query, files, top=top, scratch=scratch, rows_held=4_000)
    assert list(scratch.iterdir()) == []
    assert b"".join(answer.chunks) == expected
    assert answer.talkers == len(set(b"".join(contents).splitlines()))


def test_a_file_that_ends_early_takes_its_spilled_sums_with_it(tmp_path: Path) -> None:
    """A file counts as a whole or not at all, even if much of it was on the disk before it proved to be cut off."""
    good, cut = write_files(tmp_path, [many_talkers(500), many_talkers(30_000, step=3)])
    Path(cut).write_bytes(Path(cut).read_bytes()[:-20])
    files = find_inputs([good, cut]).files
    problems: list[object] = []
    answer = local.count_files(
        Query(), files, watch=Watch(on_problem=problems.append), block_bytes=1 << 16, rows_held=1_000
    )
    assert b"".join(answer.chunks) == b"".join(local.count_files(Query(), files[:1]).chunks)
    assert len(problems) == 1


def test_a_full_disk_is_one_line_and_points_to_a_cluster(tmp_path: Path) -> None:
    """Sums that fit neither memory nor disk end in one line, without an answer and without a file left behind."""
    files = write_files(tmp_path, [many_talkers(60_000)])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from toptalkers.engines import local\n"
        "from toptalkers.records import files as inputs\n"
        "from toptalkers.errors import ToptalkersError\n"
        "from toptalkers.question.query import Query\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"  # like a disk of so many bytes
        "files = inputs.find_inputs(sys.argv[1:2]).files\n"
        "try: local.count_files(Query(), files, scratch=Path(sys.argv[2]), rows_held=5_000)\n"
        "except ToptalkersError as error: print(error.message, '|', error.hint)\n"
    )
    command = [sys.executable, "-c", code, files[0], str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("more talkers than fit into memory")
    assert done.stdout.count("\n") == 1
    assert "run-emr" in done.stdout
    assert list(scratch.iterdir()) == []


def test_more_than_parts_can_help_with_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one part of the talkers exceeds memory, the error reports it and suggests a cluster."""
    monkeypatch.setattr(sums, "LEAST_ROWS_HELD", 10)
    files = find_inputs(write_files(tmp_path, [many_talkers(30_000)])).files
    with pytest.raises(ToptalkersError, match="than this machine can rank") as raised:
        local.count_files(Query(), files, scratch=tmp_path, rows_held=20)
    assert "run-emr" in (raised.value.hint or "")


def test_a_manifest_counts_a_file_as_often_as_it_stands(tmp_path: Path) -> None:
    """Two lines of the same path count twice; a path that is no file is skipped by name; no manifest is wrong usage."""
    default = str(FLOWLOGS / "default.log")
    manifest = tmp_path / "files.txt"
    manifest.write_text(f"{default}\n\n{default}\n{tmp_path}/missing.log\n")
    result = CliRunner().invoke(cli, ["run-local", "--manifest", str(manifest)])
    once = (FLOWLOGS / "default.tsv").read_text()
    twice = "".join(
        f"{talker}\t{2 * int(value)}\n" for talker, value in (line.split("\t") for line in once.splitlines())
    )
    assert (result.exit_code, result.stdout) == (1, twice)
    assert "missing.log: No such file or directory" in result.stderr
    assert CliRunner().invoke(cli, ["run-local", "--manifest", str(tmp_path / "none.txt")]).exit_code == 2
    nothing = CliRunner().invoke(cli, ["run-local"])
    assert (nothing.exit_code, nothing.stderr.count("\n")) == (2, 1)
