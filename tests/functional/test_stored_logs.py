"""`run-local s3://…`: the same answer as from files over any connection, and no more requests than needed."""

import gzip
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.parquet import write_parquet
from tests.tiny_s3 import TinyS3, tiny_s3
from toptalkers.aws import storage
from toptalkers.cli.main import cli
from toptalkers.flowlog.fields import DEFAULT_FIELDS
from toptalkers.records import stored

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
CONTENT = (FLOWLOGS / "default.log").read_bytes()
ANSWER = (FLOWLOGS / "default.tsv").read_text()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyS3]:
    with tiny_s3() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        yield server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["run-local", *arguments])


def times(number: int) -> str:
    """Return the answer for so many copies of the same file."""
    lines = (line.split("\t") for line in ANSWER.splitlines())
    return "".join(f"{talker}\t{number * int(value)}\n" for talker, value in lines)


def test_a_folder_of_several_pages(s3: TinyS3) -> None:
    """All objects below a folder count, on every page; not those beside it, and no markers."""
    for number in range(20):
        s3.objects[f"logs/{number % 3}/{number}.log.gz"] = gzip.compress(CONTENT + b"#" * number)
    s3.objects |= {"logs/": b"", "logs/_SUCCESS": b"x", "logs-of-others/a.log": CONTENT}
    for address in ("s3://bucket/logs/", "s3://bucket/logs"):
        result = run(address)
        assert (result.exit_code, result.stdout) == (0, times(20)), result.stderr
    assert run("s3://bucket/logs/1/1.log.gz", str(FLOWLOGS / "default.log")).stdout == times(2)
    nothing = run("s3://bucket/none/")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "s3://bucket/none/: no objects are there" in nothing.stderr


def test_dropped_connections_go_on_where_they_broke_off(s3: TinyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that break within an object, in any range, again and again, do not change the answer."""
    monkeypatch.setattr(storage, "PIECE_BYTES", 5_000)
    monkeypatch.setattr(storage, "PAUSE_S", 0.001)
    noise = "".join(random.Random(1).choices("abcdefgh", k=60_000)).encode()  # a malformed line that compresses badly
    packed = gzip.compress(CONTENT + noise)
    assert len(packed) > 20_000
    s3.objects |= {"a.log.gz": packed, "b.log": CONTENT}
    s3.faults = {"a.log.gz": [1000, 0, None, 0, 4999, 1, 0, 0, 17], "b.log": [3, 0, 0, 0, 5]}
    result = run("s3://bucket/")
    assert (result.exit_code, result.stdout) == (0, times(2)), result.stderr
    assert s3.faults == {"a.log.gz": [], "b.log": []}
    resumed = [asked for asked, key in s3.requests if key == "b.log"]
    assert resumed[1] == f"bytes=3-{len(CONTENT) - 1}"


def test_what_cannot_be_had_is_left_out_by_name(s3: TinyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that changes while it is read, or always breaks off, is skipped as a whole; the rest counts."""
    monkeypatch.setattr(storage, "PIECE_BYTES", 300)
    monkeypatch.setattr(storage, "PAUSE_S", 0.001)
    s3.objects |= {"changes.log": CONTENT, "drops.log": CONTENT, "good.log": CONTENT}
    s3.faults = {"changes.log": [None, CONTENT.replace(b"443", b"444")], "drops.log": [0] * 500}
    result = run("s3://bucket/")
    assert (result.exit_code, result.stdout) == (1, ANSWER), result.stderr
    assert "s3://bucket/changes.log: the object changed while it was being read" in result.stderr
    assert "s3://bucket/drops.log: S3 broke off 5 times at byte" in result.stderr


def test_one_object_that_s3_refuses_is_left_out_by_name(s3: TinyS3) -> None:
    """Archived or denied objects are named, at any position; all others count."""
    s3.objects |= {f"{number}.log": CONTENT for number in range(9)}
    s3.archived = {"3.log"}
    for refused in ("0.log", "8.log"):
        s3.faults = {refused: [-403]}
        result = run("s3://bucket/")
        assert (result.exit_code, result.stdout) == (1, times(7)), result.stderr
        assert "left out: s3://bucket/3.log: archived (GLACIER)" in result.stderr
        assert f"left out: s3://bucket/{refused}: access denied" in result.stderr
    assert "3.log" not in {key for _, key in s3.requests}


def test_a_refusal_of_all_ends_the_run_in_one_line(s3: TinyS3) -> None:
    """If the first of many objects are all denied, the permission is missing: one line, no answer."""
    s3.objects |= {f"{number}.log": CONTENT for number in range(30)}
    s3.faults = {f"{number}.log": [-403] for number in range(30)}
    result = run("s3://bucket/")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: access denied: you are not allowed to call s3:GetObject")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "tree",
    [
        "flowlogs/{:04}/{:02}/{:02}/{:02}/",
        "AWSLogs/123456789012/vpcflowlogs/eu-central-1/{:04}/{:02}/{:02}/{:02}/",
        (
            "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=eu-central-1/"
            "year={:04}/month={:02}/day={:02}/hour={:02}/"
        ),
    ],
)
def test_only_the_hours_of_the_time_asked_for_are_listed(s3: TinyS3, tree: str) -> None:
    """With --since and --until other hours are neither listed nor read, in each of the three layouts of folders."""
    for year, month, day, hour in [(2025, 1, 1, 1), (2026, 10, 31, 23), (2026, 11, 1, 5)]:
        s3.objects[tree.format(year, month, day, hour) + "a.log"] = CONTENT
    for hour in range(24):
        s3.objects[tree.format(2026, 11, 2, hour) + "a.log"] = CONTENT
    result = run("s3://bucket/", "--since", "2026-11-02T10:00Z", "--until", "2026-11-02T11:00Z")
    assert result.exit_code == 0, result.stderr
    read = {key for asked, key in s3.requests if asked != "list"}
    assert read == {tree.format(2026, 11, 2, hour) + "a.log" for hour in (9, 10, 11, 12)}
    listed = {prefix for asked, prefix in s3.requests if asked == "list"}
    assert not any(tree.format(2026, 11, 2, hour) in listed for hour in (8, 13))
    assert not any(prefix.startswith(tree.partition("{")[0] + "2025") for prefix in listed)


def test_of_a_large_parquet_object_the_needed_columns_are_fetched(
    s3: TinyS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Parquet object gives the answer of its lines, over broken connections, and most of it is not fetched."""
    monkeypatch.setattr(storage, "PAUSE_S", 0.001)
    monkeypatch.setattr(storage, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(stored, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(storage, "RANGE_BYTES", 5_000)
    lines = [line for line in CONTENT.decode().splitlines() if line[0].isdigit()]
    noise = random.Random(1)
    rows = [[*line.split(" "), noise.randbytes(200).hex()] for line in lines * 600]
    columns = [*DEFAULT_FIELDS, "vpc-id"]
    path = write_parquet(tmp_path / "a.parquet", columns, rows, options=", ROW_GROUP_SIZE 2048")
    s3.objects |= {"logs/year=2026/a.parquet": path.read_bytes()}
    s3.faults = {"logs/year=2026/a.parquet": [None, 7, None, 0, 9, None, 100]}
    result = run("s3://bucket/logs/")
    assert (result.exit_code, result.stdout) == (0, times(600)), result.stderr
    asked = [re.fullmatch(r"bytes=(\d+)-(\d+)", text) for text, key in s3.requests if key.endswith(".parquet")]
    fetched = sum(int(one[2]) + 1 - int(one[1]) for one in asked if one)
    assert fetched < path.stat().st_size / 2


def test_a_parquet_object_that_cannot_be_had_is_named(
    s3: TinyS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """S3's reason is given for a Parquet object that it refuses, or that changes; not that it is damaged."""
    rows = [line.split(" ") for line in CONTENT.decode().splitlines() if line[0].isdigit()]
    content = write_parquet(tmp_path / "a.parquet", DEFAULT_FIELDS, rows).read_bytes()
    large = write_parquet(tmp_path / "b.parquet", DEFAULT_FIELDS, rows * 200).read_bytes()
    s3.objects |= {
        "refused.parquet": content,
        "good.parquet": content,
        "without-ending": content,
        "changes.parquet": large,
    }
    s3.faults = {"refused.parquet": [-403], "changes.parquet": [None, large + b"more"]}
    monkeypatch.setattr(storage, "PIECE_BYTES", len(content))
    monkeypatch.setattr(stored, "PIECE_BYTES", len(content))
    monkeypatch.setattr(storage, "RANGE_BYTES", 10_000)
    result = run("s3://bucket/")
    assert (result.exit_code, result.stdout) == (1, times(2)), result.stderr
    assert "s3://bucket/refused.parquet: access denied" in result.stderr
    assert "s3://bucket/changes.parquet: the object changed while it was being read" in result.stderr
