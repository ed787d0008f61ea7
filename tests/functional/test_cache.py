"""`--cache`: whatever happens to files, questions and the cache itself, the answer is the same as without it."""

import os
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functional.test_engines_agree import RECORD, write_files
from tests.strategies import files as contents_of_files
from toptalkers.cli.main import cli
from toptalkers.engines import Watch, cache, local
from toptalkers.question.query import Query
from toptalkers.records import files as inputs

QUERIES = [Query(), Query.parse(metric="bytes", ports="all"), Query.parse(action="ALL")]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat new files as old enough: in these tests their times distinguish them."""
    monkeypatch.setattr(inputs, "YOUNGEST_S", -3600.0)


def ask(query: Query, folder: Path, known: cache.CountCache | None = None, top: int = 0) -> tuple[bytes, object, int]:
    """Return the answer's bytes, its tally, and how many files were skipped."""
    problems: list[object] = []
    found = inputs.find_inputs([str(folder)]).files
    answer = local.count_files(query, found, top=top, watch=Watch(on_problem=problems.append), cache=known)
    return b"".join(answer.chunks), answer.tally, len(problems)


def _spoil(entry: Path, kind: int, where: int, other: Path) -> None:
    """Flip a bit of an entry, cut it off, or replace it with another one."""
    content = bytearray(entry.read_bytes())
    if kind == 0 and content:
        content[where % len(content)] ^= 1
    elif kind == 1:
        del content[where % (len(content) + 1) :]
    elif kind == 2:
        content = bytearray(other.read_bytes())
    entry.write_bytes(content)


@settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
@pytest.mark.usefixtures("settled")
@given(st.data())
def test_any_history_gives_the_answer_without_a_cache(data: st.DataObject) -> None:
    """Files are added, changed, removed and restored, entries damaged, cut off or swapped; the question changes."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as kept:
        logs = Path(folder)
        for _ in range(data.draw(st.integers(2, 5))):
            for number in range(3):
                path = logs / f"{number}.log"
                match data.draw(st.integers(0, 4)):
                    case 0:
                        path.write_bytes(data.draw(contents_of_files()))
                    case 1:
                        path.unlink(missing_ok=True)
                    case 2 if path.exists() and path.stat().st_size:
                        # The same size and the same time of change, as far as a user can set it.
                        times, content = path.stat(), path.read_bytes()
                        path.write_bytes(content.replace(b"10.0.0.1", b"10.0.0.9"))
                        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            entries = sorted(path for path in Path(kept).rglob("*") if path.is_file())
            for _ in range(2):
                # The same number of draws in any case: the names of entries, and so their order, differ between runs.
                kind, which, where = (data.draw(st.integers(0, most)) for most in (5, 50, 5000))
                if entries and kind < 3:
                    _spoil(entries[which % len(entries)], kind, where, entries[0])
            query = data.draw(st.sampled_from(QUERIES))
            assert ask(query, logs, cache.CountCache(Path(kept), query)) == ask(query, logs)


@pytest.mark.usefixtures("settled")
def test_only_new_and_changed_files_are_read(tmp_path: Path) -> None:
    """The second run reads nothing; later runs read only new and changed files; another question reads all."""
    logs, kept = tmp_path / "logs", tmp_path / "cache"
    logs.mkdir()
    write_files(logs, [RECORD * 3, RECORD * 4, RECORD * 5])

    def known(query: Query = QUERIES[0], top: int = 0) -> int:
        counts = cache.CountCache(kept, query)
        assert ask(query, logs, counts, top) == ask(query, logs, top=top)
        return counts.known

    assert [known(), known()] == [0, 3]
    (logs / "new.log").write_bytes(RECORD)
    (logs / "0.log").write_bytes(RECORD * 2)
    assert [known(), known()] == [2, 4]
    assert [known(QUERIES[1]), known(QUERIES[1]), known()] == [0, 4, 4]
    assert known(top=1) == 4
    assert not list(kept.rglob(".*"))


def test_a_file_of_this_moment_is_not_kept(tmp_path: Path) -> None:
    """A file that may still change without a change of its times is read again, and so is standard input."""
    logs, kept = tmp_path / "logs", tmp_path / "cache"
    logs.mkdir()
    write_files(logs, [RECORD])
    counts = cache.CountCache(kept, Query())
    ask(Query(), logs, counts)
    assert not [path for path in kept.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("settled")
def test_the_command_says_what_it_knew(tmp_path: Path) -> None:
    """`run-local --cache` separates known files from read ones, repairs a damaged entry, and refuses other engines."""
    [path] = write_files(tmp_path, [RECORD])
    arguments = ["run-local", path, "--cache", str(tmp_path / "cache")]
    first = CliRunner().invoke(cli, arguments)
    [entry] = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    second = CliRunner().invoke(cli, arguments)
    entry.write_bytes(entry.read_bytes()[:-1])
    third = CliRunner().invoke(cli, arguments)
    assert first.stdout == second.stdout == third.stdout == "10.0.0.1:10.0.0.2:443\t1\n"
    assert "not read: 0 of 1 files" in first.stderr
    assert "not read: 1 of 1 files" in second.stderr
    assert "not read: 0 of 1 files; 1 damaged entries made anew" in third.stderr
    assert CliRunner().invoke(cli, [*arguments, "--engine", "mrjob"]).exit_code == 2
