"""Values whose sum exceeds an engine's limit are refused by all engines; sums below it are exact."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests import pipeline
from toptalkers.answer.answer import LARGEST_TOTAL, Tally, TooLargeError
from toptalkers.cli.main import cli
from toptalkers.question.query import Query

LINE = "2 123456789012 eni-0a1 {src} 10.0.0.2 40000 443 6 10 {n} 1793491200 1793491260 ACCEPT OK\n"
MOST = 999_999_999_999_999
NUMBER, REST = divmod(LARGEST_TOTAL, MOST)
"""So many of the largest values, and one of the rest, are just what can be held."""


def run(*arguments: str) -> Result:
    """Ask for bytes."""
    return CliRunner().invoke(cli, ["run-local", "--metric", "bytes", "--format", "tsv", *arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a file that adds up to exactly the limit, and one with one byte more."""
    folder = tmp_path_factory.mktemp("large")
    largest = LINE.format(src="10.0.0.1", n=MOST) * NUMBER + LINE.format(src="10.0.0.1", n=REST)
    (folder / "largest.log").write_text(largest)
    (folder / "one.log").write_text(LINE.format(src="10.0.0.9", n=1))
    return folder / "largest.log", folder / "one.log"


@pytest.mark.parametrize("engine", ["local", "mrjob"])
def test_the_largest_sum_is_exact_and_one_more_is_refused(files: tuple[Path, Path], engine: str) -> None:
    """2^63 - 1 bytes are counted exactly; one more, even in another file, and there is no answer."""
    largest, one = map(str, files)
    result = run(largest, "--engine", engine)
    assert (result.exit_code, result.stdout) == (0, f"10.0.0.1:10.0.0.2:443\t{LARGEST_TOTAL}\n")
    result = run(largest, one, "--engine", engine)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "add up to more than 2^63 - 1" in result.stderr
    assert len(result.stderr.splitlines()) <= 2


@pytest.mark.parametrize("engine", ["local", "mrjob"])
def test_too_much_in_one_file_is_refused(tmp_path: Path, engine: str) -> None:
    """A file with far more than the limit, for one talker, is also refused in one line."""
    (tmp_path / "over.log").write_text(LINE.format(src="10.0.0.1", n=MOST) * (2 * NUMBER + 9))
    result = run(str(tmp_path / "over.log"), "--engine", engine)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "add up to more than 2^63 - 1" in result.stderr


def test_what_a_misfit_adds_up_to_does_not_matter(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A skipped file takes its values back."""
    largest, _ = files
    (tmp_path / "misfit.log").write_text(LINE.format(src="10.0.0.9", n=MOST) * 30 + "no\n" * 10)
    result = run(str(tmp_path / "misfit.log"), str(largest))
    assert (result.exit_code, result.stdout) == (1, f"10.0.0.1:10.0.0.2:443\t{LARGEST_TOTAL}\n")
    assert "misfit.log" in result.stderr


def test_counted_sums_are_bounded_as_well(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Values from the cache add up like values that are read."""
    largest, one = map(str, files)
    cache = str(tmp_path / "cache")
    for _ in range(2):
        assert run(largest, "--cache", cache).exit_code == 0
        assert run(largest, one, "--cache", cache).exit_code == 1


def test_mappers_say_what_their_values_add_up_to(files: tuple[Path, Path]) -> None:
    """Each script reports its total in halves, so that a job's counters show if Hadoop's sums may have overflowed."""
    query = Query.parse(metric="bytes")
    totals: dict[str, int] = {}
    for file in files:
        for name, number in pipeline.count(query, file.read_bytes())[1].items():
            totals[name] = totals.get(name, 0) + number
    with pytest.raises(TooLargeError):
        Tally.from_counters(totals, files_read=2)
    for name in ("values_low", "values_low_bytes"):
        totals[name] -= 1
    assert Tally.from_counters(totals, files_read=2).counted == NUMBER + 2
