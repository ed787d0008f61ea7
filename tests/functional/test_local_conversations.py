"""Whole records in the local engine: which files count, what the cache keeps, and where memory ends."""

import tarfile
from pathlib import Path

import pytest

from toptalkers.answer.digest import format_digest
from toptalkers.engines import Watch, local
from toptalkers.engines.cache import CountCache
from toptalkers.errors import ToptalkersError
from toptalkers.question.digest import digest_texts
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile, Problem, find_inputs

PAIRS = Query.parse(count="once", pairs="yes")
DIGEST = Query.parse(**digest_texts())

HEADER = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action"


def record(number: int, interface: str = "eni-1") -> str:
    """A record of one of many clients of 10.0.1.1:443."""
    start = 1_793_491_200 + 60 * number
    return f"{interface} 10.0.{number >> 8}.{number & 255} 10.0.1.1 40000 443 6 1 100 {start} {start + 59} ACCEPT"


def write(path: Path, *records: str, header: str = HEADER) -> Path:
    """Write a file of records with a header."""
    path.write_text("\n".join([header, *records, ""]))
    return path


def files(*paths: Path) -> tuple[InputFile, ...]:
    return find_inputs(map(str, paths)).files


def lines(query: Query, *paths: Path) -> bytes:
    """The answer to a question from files."""
    return b"".join(local.count_files(query, files(*paths)).chunks)


@pytest.mark.parametrize(
    ("query", "who"),
    [
        (Query.parse(count="once"), "--count once needs"),
        (PAIRS, "--count once and --pairs need"),
        (DIGEST, "a digest needs"),
    ],
    ids=["once", "pairs", "digest"],
)
def test_a_file_without_interfaces_is_left_out(tmp_path: Path, query: Query, who: str) -> None:
    """It is named, with the field that it lacks; the other file counts."""
    lacks = write(tmp_path / "a.log", record(1).split(" ", 1)[1], header=HEADER.split(" ", 1)[1])
    sound = write(tmp_path / "b.log", record(2))
    problems: list[Problem] = []
    answer = local.count_files(query, files(lacks, sound), watch=Watch(on_problem=problems.append))
    assert b"".join(answer.chunks) == lines(query, sound) != b""
    assert answer.tally.files_unreadable == 1
    ((name, reason, *_),) = [(one.name, one.reason) for one in problems]
    assert name == str(lacks)
    assert f"its header names no interface-id, which {who}" in reason


@pytest.mark.parametrize("query", [PAIRS, Query.parse(pairs="yes"), DIGEST], ids=["once", "pairs", "digest"])
def test_more_records_than_memory_holds(tmp_path: Path, query: Query) -> None:
    """One error says so, how many there is room for, and what to do; the same sums of a plain question are spilled."""
    logs = write(tmp_path / "a.log", *map(record, range(3_000)))
    with pytest.raises(
        ToptalkersError, match="holds every record in memory, and there is room for about 870"
    ) as raised:
        local.count_files(query, files(logs), rows_held=2_000, block_bytes=1 << 12)
    assert "run-emr" in (raised.value.hint or "")
    plain = Query.parse(by="srcaddr,start", ports="all")
    assert (
        b"".join(local.count_files(plain, files(logs), rows_held=2_000, block_bytes=1 << 12).chunks).count(b"\n")
        == 3_000
    )


def test_the_cache_keeps_records_for_any_question_about_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second question reads no file, and has the same answer as without a cache."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("toptalkers.records.files.YOUNGEST_S", -3600.0)
    logs = [write(tmp_path / f"{name}.log", record(1), record(2), record(2)) for name in "ab"]
    other = Query.parse(count="once", by="dstport", ports="all", metric="bytes")
    for query, known in ((PAIRS, 0), (other, 2), (PAIRS, 2)):
        cache = CountCache(tmp_path / "cache", query)
        answer = local.count_files(query, files(*logs), cache=cache)
        assert b"".join(answer.chunks) == lines(query, *logs)
        assert (cache.known, answer.tally.skipped) == (known, {"duplicate": 4})


def test_a_digest_beside_logs(tmp_path: Path) -> None:
    """A digest of one hour and the logs of another give what the logs of both give, with and without a cache."""
    first, second = (write(tmp_path / f"{n}.log", *map(record, range(n, n + 60))) for n in (0, 60))
    digest = tmp_path / "first.parquet"
    digest.write_bytes(b"".join(format_digest(local.count_files(DIGEST, files(first)))))
    for query in (PAIRS, DIGEST, Query.parse(count="once", by="hour", metric="bytes,first", ports="all")):
        assert lines(query, digest, second) == lines(query, first, second) != b""


def test_a_damaged_archive_counts_not_at_all(tmp_path: Path) -> None:
    """The records of its sound parts are taken back."""
    logs, archive = write(tmp_path / "a.log", record(1)), tmp_path / "b.tar"
    with tarfile.open(archive, "w") as out:
        out.add(write(tmp_path / "c.log", *map(record, range(2, 400))), "c.log")
        out.add(tmp_path / "c.log", "d.log")
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2 + 2_000])
    answer = local.count_files(PAIRS, files(logs, archive))
    assert b"".join(answer.chunks) == lines(PAIRS, logs)
    assert (answer.tally.counted, answer.tally.files_unreadable) == (1, 1)


@pytest.mark.parametrize("ports", ["443", "all"])
def test_hours_are_those_of_what_counts(tmp_path: Path, ports: str) -> None:
    """A record that lacks an address, or whose server has another port, covers no hour; so from a digest."""
    query = Query.parse(count="once", pairs="yes", ports=ports)
    first, second, third = record(0), record(120), record(300)
    logs = write(tmp_path / "a.log", first, second.replace("10.0.0.120", "-"), third.replace(" 443 ", " 22 "))
    digest = tmp_path / "a.parquet"
    digest.write_bytes(b"".join(format_digest(local.count_files(DIGEST, files(logs)))))
    hours = [(1_793_491_200 + 3600 * hour) for hour in ((0,) if ports == "443" else (0, 5))]
    for path in (logs, digest):
        answer = local.count_files(query, files(path))
        assert list(answer.quality.hours) == hours
