"""Cases that fuzzing found stay fixed, and the fuzzer finds, shrinks and keeps the faults that it should."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.fuzz import readers
from tests.fuzz.__main__ import FOUND, drawn
from tests.fuzz.cases import Case, draw, dump, load
from tests.fuzz.compare import Outcome, count_by_kernel, count_by_scripts, difference, shrink

ROOT = Path(__file__).parents[2]


def test_what_was_found_is_mended() -> None:
    """Kernel and scripts agree on each case on which they once differed, and neither crashes."""
    for path in sorted(FOUND.glob("*.json")):
        command = [sys.executable, "-m", "tests.fuzz", "one", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "agrees\n"), path.name + done.stdout + done.stderr


def test_a_seed_draws_the_same_cases() -> None:
    """A seed and a number determine a case, and its JSON is complete."""
    for number in range(50):
        case = drawn(7, number)
        assert case == drawn(7, number) == load(dump(case))
    assert drawn(7, 1) != drawn(8, 1)


def test_cases_count_something() -> None:
    """Many random cases have talkers, many have skipped lines, and all agree."""
    random = Random(5)
    outcomes = []
    for _ in range(150):
        case = draw(random)
        assert difference(case) is None, dump(case)
        outcomes.append(count_by_kernel(case))
    assert sum(outcome.lines.count(b"\n") > 1 for outcome in outcomes) > 20
    names = {name for outcome in outcomes for tally in outcome.tallies for name, _ in tally}
    assert {"counted", "ports", "malformed_columns", "malformed_address", "malformed_port"} <= names


LINE = "2 123456789012 eni-1 10.0.0.1 10.0.0.2 49152 443 6 1 40 1793491200 1793491260 ACCEPT OK\n"


def without_port_22(case: Case) -> Outcome:
    """A kernel that skips lines with the port 22."""
    return count_by_kernel(
        replace(case, files=[[(text, times) for text, times in file if " 22 " not in text] for file in case.files])
    )


def test_a_difference_is_found_and_made_small() -> None:
    """From many files and lines and a long question, only the words that make the difference are kept."""
    wrong = LINE.replace("443", "22")
    case = Case(
        {"metric": "bytes", "ports": "all", "top": "1000"},
        [[(LINE, 30)], [(LINE, 1), (LINE, 2), (wrong, 500), (LINE, 1)], [(LINE, 1)]],
        way="packed",
        cut=7,
    )

    def differs(case: Case) -> bool:
        return difference(case, kernel=without_port_22) is not None

    assert differs(case)
    assert shrink(case, differs) == Case({}, [[("49152 22 6", 1)]])


def test_an_error_is_a_difference() -> None:
    """An unexpected exception is found like a wrong sum; a case that both refuse is no difference."""

    def fails(case: Case) -> Outcome:
        raise MemoryError(case.way)

    def refuses(_: Case) -> Outcome:
        return Outcome(refused=True)

    case = Case({}, [[(LINE, 1)]])
    assert difference(case, kernel=fails) == "MemoryError: one"
    assert difference(case, kernel=refuses, scripts=refuses) is None
    assert "refused" in (difference(case, kernel=refuses) or "")
    assert difference(case) is None
    assert count_by_scripts(case).lines == b"10.0.0.1:10.0.0.2:443\t1\n"


def test_it_says_seed_and_speed_and_knows_its_usage() -> None:
    """A short run exits with 0, and its output is enough to repeat it; wrong usage exits with 2."""
    command = [sys.executable, "-m", "tests.fuzz"]
    done = subprocess.run([*command, "1", "12"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"seed 12\n[0-9]+ cases agree, [0-9]+ per second\n", done.stdout)
    for arguments in ([], ["x"], ["1", "2", "3"]):
        wrong = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


def test_disguised_files_are_read_or_named() -> None:
    """A good file in a random layout, wrapping, compression and archive, damaged or not: its answer, or its name."""
    seen = readers.run(600, 11)
    assert not seen["all", "failed"]
    assert min(seen["all", "read"], seen["all", "named"]) > 100


def test_a_reader_that_loses_lines_is_found() -> None:
    """The fuzzer of readers fails for an incomplete answer without the name of a file."""
    case = next(case for case in (readers.draw(3, number) for number in range(99)) if not case.is_damaged)
    lines = case.plain.splitlines(keepends=True)
    less = replace(case, content=b"".join(lines[: len(lines) // 2]))
    assert readers.outcome(less, readers.QUERIES[2]) == "else"
