"""Which files are found below a path and under which names, and the handling of changed files and other formats."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.functional.test_wrapped_files import record
from toptalkers.cli.main import cli
from toptalkers.flowlog.fields import DEFAULT_FIELDS
from toptalkers.records.files import InputFile, find_inputs
from toptalkers.records.source import UnreadableError
from toptalkers.records.unpack import read_pieces
from toptalkers.sample.writer import write_sample

LINES = [record(n, "10.0.1.1", 443, 100 * n, "ACCEPT") for n in range(9)]
LOG = "".join(f"{line}\n" for line in LINES).encode()
ANSWER = "".join(sorted(f"10.0.0.{n}:10.0.1.1:443\t1\n" for n in range(9)))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["run-local", *arguments])


def found(*paths: str) -> list[str]:
    return [Path(file.name).name for file in find_inputs(paths).files]


def test_links_are_followed_and_end(tmp_path: Path) -> None:
    """A linked folder is read, by folder and by glob; circular links end, and no file is read twice."""
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "b.log").write_bytes(LOG)
    top = tmp_path / "top"
    top.mkdir()
    (top / "a.log").write_bytes(LOG)
    (top / "linked").symlink_to("../elsewhere")
    for name in ("here", "there"):
        (top / name).symlink_to(".")
        (tmp_path / "elsewhere" / name).symlink_to("../top")
    for path in (str(top), f"{top}/**/*.log", f"{tmp_path}/**/*.log", f"{top}/**", f"{top}/*"):
        assert sorted(found(path)) == ["a.log", "b.log"], path


def test_globs_match_as_a_shell_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets, question marks, hidden names, folders in between, relative paths and names that look like globs."""
    for name in ("a1.log", "a2.log", "b1.log", ".hidden.log", "x/a3.log", "x/y/a4.log", "[z].log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(LOG + name.encode())
    monkeypatch.chdir(tmp_path)
    assert found("a?.log") == ["a1.log", "a2.log"]
    assert found("[ab]1.log") == ["a1.log", "b1.log"]
    assert found("[!a]*.log") == ["[z].log", "b1.log"]
    assert found(".hid*") == [".hidden.log"]
    assert found("x/*/*.log") == ["a4.log"]
    assert sorted(found("**/a*.log")) == ["a1.log", "a2.log", "a3.log", "a4.log"]
    assert sorted(found("**/y/**")) == ["a4.log"]
    assert found("[z].log") == ["[z].log"]


def test_a_file_of_two_names_counts_once(tmp_path: Path) -> None:
    """A hard link is the same file."""
    (tmp_path / "a.log").write_bytes(LOG)
    os.link(tmp_path / "a.log", tmp_path / "b.log")
    result = run(str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, ANSWER)
    assert "read once: 1" in result.stderr


def test_what_is_no_file_is_passed_over_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe or a socket in a folder blocks nobody, names with . or _ are named once; that is no failure."""
    monkeypatch.chdir(tmp_path)
    Path("a.log").write_bytes(LOG)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name in ("_SUCCESS", ".hidden", "_temporary"):
            Path(name).write_bytes(b"")
        for path in (".", "*"):
            result = run(path)
            assert (result.exit_code, result.stdout) == (0, ANSWER) if path == "." else result.stdout == ANSWER
            assert "a pipe" in result.stderr
            assert "a socket" in result.stderr
    result = run(".")
    lines = [line for line in result.stderr.splitlines() if "begins with" in line]
    assert len(lines) == 1
    assert "_temporary" in lines[0]


@pytest.mark.parametrize("change", ["grow", "truncate", "rewrite", "replace"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_changes_while_it_is_read_is_left_out(tmp_path: Path, change: str, packed: bool) -> None:
    """However it changes, the file is not read to its end."""
    path = tmp_path / "a.log"
    content = LOG * 500
    path.write_bytes(gzip.compress(content, 0) if packed else content)
    os.utime(path, (1, 1))
    (file,) = find_inputs([str(path)]).files
    pieces = read_pieces(file, 5_000)
    for _ in range(4):
        next(pieces)
    if change == "grow":
        with path.open("ab") as out:
            out.write(b"more")
    elif change == "truncate":
        os.truncate(path, 150_000)
    elif change == "rewrite":
        path.write_bytes(path.read_bytes())
    else:
        (tmp_path / "new").write_bytes(LOG)
        (tmp_path / "new").replace(path)
    with pytest.raises(UnreadableError):
        list(pieces)


def test_a_read_error_of_one_file_leaves_the_rest(tmp_path: Path) -> None:
    """For any error of the system while one file is read, that file is skipped by name."""
    from toptalkers.engines import Watch, local
    from toptalkers.question.query import Query

    def refuse() -> None:
        raise PermissionError(13, "Access Denied")

    (tmp_path / "a.log").write_bytes(LOG)
    files = [*find_inputs([str(tmp_path)]).files, InputFile("s3://b/archived", 5, refuse)]  # type: ignore[arg-type]
    problems: list[object] = []
    answer = local.count_files(Query(), files, watch=Watch(on_problem=problems.append))
    assert b"".join(answer.chunks).decode() == ANSWER
    assert len(problems) == 1


def test_a_manifest_parts_paths_at_line_feeds_alone(tmp_path: Path) -> None:
    """A path may contain a form feed, a U+2028 or bytes that are not UTF-8; a file with a NUL is no manifest."""
    names = [b"a\x0cb.log", "c\u2028d.log".encode(), b"e\xff.log", b"f\x85g.log"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(LOG)
    manifest = tmp_path / "files"
    manifest.write_bytes(b"".join(os.fsencode(tmp_path) + b"/" + name + b"\n" for name in names))
    result = run("--manifest", str(manifest))
    assert (result.exit_code, result.stdout) == (0, ANSWER.replace("\t1", "\t4"))
    manifest.write_bytes(b"a\0b\n")
    assert run("--manifest", str(manifest)).exit_code == 2


CLOUDTRAIL = json.dumps(
    {"Records": [{"eventVersion": "1.11", "userIdentity": {}, "eventSource": "ec2.amazonaws.com", "eventName": "Run"}]}
)
ALB = (
    "http 2018-07-02T22:23:00.186641Z app/my-lb/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.000 0.001 0.000 200"
    ' 200 34 366 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.46.0" - - arn:aws:x "Root=1-58337262" "-" "-" 0'
)
S3_ACCESS = (
    "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3"
    ' 79a59df9 3E57427F REST.GET.VERSIONING - "GET /bucket?versioning HTTP/1.1" 200 - 113 - 7 - "-" "S3Console/0.4" -'
)
NEIGHBOURS = {
    "aws-logs-write-test": b"Permission Check Successful",
    "trail.json.gz": gzip.compress(CLOUDTRAIL.encode()),
    "digest.json.gz": gzip.compress(b'{"awsAccountId":"1","digestStartTime":"2026-11-23T17:00:00Z","logFiles":[]}'),
    "alb.log.gz": gzip.compress(f"{ALB}\n{ALB}\n".encode()),
    "access": f"{S3_ACCESS}\n".encode(),
    "ConfigWritabilityCheckFile": b"",
    "config.json": b'{"fileVersion":"1.0","configSnapshotId":"a","configurationItems":[]}',
    "ELBAccessLogTestFile": b"Enable AccessLog for ELB: my-lb at 2026-11-23T17:00:00.000Z",
    "manifest.json": b'{"sourceBucket":"a","destinationBucket":"arn:aws:s3:::b","files":[]}',
    "cdn.gz": gzip.compress(b"#Version: 1.0\n#Fields: date time x-edge-location\n2019-12-04\t21:02:31\tLAX1\n"),
}


JSON_NEIGHBOURS = {
    "CloudTrail": {"Records": [{"eventVersion": "1.11", "a": "b" * 9_000, "eventSource": "ec2.amazonaws.com"}]},
    "a CloudTrail digest": {"awsAccountId": "123456789012", "logFiles": [{"s3Bucket": "b"}], "digestStartTime": "2026"},
    "AWS Config": {"fileVersion": "1.0", "configurationItems": [{"relationships": [{"a": {}}]}]},
    "AWS WAF logs": {"timestamp": 1795400000000, "formatVersion": 1, "webaclId": "a", "action": "BLOCK"},
    "Route 53 resolver query logs": {
        "srcaddr": "10.0.0.5",
        "query_name": "a.",
        "srcport": "5",
        "query_timestamp": "2026",
    },
    "GuardDuty findings": {
        "schemaVersion": "2.0",
        "arn": "arn:aws:guardduty:eu-west-1:123456789012:detector/a",
        "id": "a",
    },
}


@pytest.mark.parametrize("what", JSON_NEIGHBOURS)
@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("indent", [None, 2])
def test_keys_of_json_have_no_order(tmp_path: Path, what: str, indent: int | None, *, is_reversed: bool) -> None:
    """The JSON of other AWS services is recognised in any order of keys and any layout."""

    def turned(value: object) -> object:
        if isinstance(value, dict):
            items = [(key, turned(one)) for key, one in value.items()]
            return dict(reversed(items) if is_reversed else items)
        return [turned(one) for one in value] if isinstance(value, list) else value

    (tmp_path / "a.log").write_bytes(LOG)
    (tmp_path / "other.json").write_text(json.dumps(turned(JSON_NEIGHBOURS[what]), indent=indent))
    result = run(str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, ANSWER)
    assert f"no flow logs ({what})" in result.stderr


def test_records_of_fields_are_no_neighbour(tmp_path: Path) -> None:
    """JSON with a log status among its keys is a flow log, whatever its other keys."""
    names = DEFAULT_FIELDS
    rows = [
        {**dict(zip(names, line.split(" "), strict=True)), "query_timestamp": 1, "query_name": "a"} for line in LINES
    ]
    (tmp_path / "a.json").write_text("\n".join(map(json.dumps, rows)))
    assert (run(str(tmp_path)).exit_code, run(str(tmp_path)).stdout) == (0, ANSWER)


@pytest.mark.parametrize("engine", ["local", "mrjob"])
def test_what_aws_leaves_beside_flow_logs_is_no_failure(tmp_path: Path, engine: str) -> None:
    """It is skipped by name, and the exit code is 0, in every engine."""
    for name, content in NEIGHBOURS.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "a.log").write_bytes(LOG)
    result = run(str(tmp_path), "--engine", engine)
    assert (result.exit_code, result.stdout) == (0, ANSWER)
    for name in NEIGHBOURS:
        assert name in result.stderr
    assert "left out" not in result.stderr


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_no_flow_log_is_passed_over_for_its_name_or_beginning(tmp_path: Path, name: str) -> None:
    """Flow logs under another service's name count; a file that only starts as that service's is a failure."""
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / name
    path.write_bytes(gzip.compress(LOG) if name.endswith(".gz") else LOG)
    assert (run(str(path)).exit_code, run(str(path)).stdout) == (0, ANSWER)
    content = NEIGHBOURS[name]
    content = gzip.decompress(content) if name.endswith(".gz") else content
    (tmp_path / "mixed").write_bytes(content + b"\n" * 70_000 + LOG)
    result = run(str(tmp_path / "mixed"))
    assert result.exit_code == 1 or "9 counted" in result.stderr


@pytest.mark.parametrize("engine", ["local", "mrjob"])
def test_junk_beside_good_files_is_a_failure_in_every_engine(tmp_path: Path, engine: str) -> None:
    """A file without any record is named with exit code 1, and its lines are in no tally."""
    (tmp_path / "a.log").write_bytes(LOG)
    (tmp_path / "junk").write_bytes(b"lorem ipsum dolor\n" * 53)
    result = run(str(tmp_path), "--engine", engine)
    assert (result.exit_code, result.stdout) == (1, ANSWER)
    assert "/junk: " in result.stderr
    assert "9 records read from 1 file" in result.stderr


def test_many_left_out_for_one_reason_are_one_line(tmp_path: Path) -> None:
    """Of thousands of files, only a few names and the number are printed."""
    for number in range(1_000):
        (tmp_path / f"{number:04d}.log").write_bytes(b"junk\n" * (1 + number % 7))
    (tmp_path / "a.log").write_bytes(LOG)
    result = run(str(tmp_path))
    lines = [line for line in result.stderr.splitlines() if line.startswith("left out")]
    assert (result.exit_code, len(lines)) == (1, 1)
    assert "1,000 files" in lines[0]
    assert "0000.log" in lines[0]


@pytest.mark.parametrize("engine", ["local", "mrjob"])
@pytest.mark.parametrize("kind", ["standard input", "a pipe", "a pipe without a writer"])
def test_ctrl_c_ends_what_waits_for_input(tmp_path: Path, kind: str, engine: str) -> None:
    """The first interrupt ends the command, with one message and without a fatal error."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "toptalkers", "run-local", "--engine", engine]
    command.append("-" if kind == "standard input" else str(pipe))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        writer = os.open(pipe, os.O_RDWR) if kind == "a pipe" else None
        try:
            time.sleep(1.5)
            process.send_signal(signal.SIGINT)
            code = process.wait(20)
        finally:
            process.kill()
            if writer is not None:
                os.close(writer)
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert code == 130
    assert said.split() == ["Stopped."]


@pytest.fixture(scope="module")
def many_talkers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write a file of 600,000 talkers, and the same cut off."""
    rows = "".join(
        f"2 1 eni-0a1 10.{n >> 16}.{n >> 8 & 255}.{n & 255} 10.0.0.2 4 443 6 1 1 1793491200 1793491260 ACCEPT OK\n"
        for n in range(600_000)
    )
    packed = gzip.compress(rows.encode(), 1)
    folder = tmp_path_factory.mktemp("many")
    (folder / "whole.gz").write_bytes(packed)
    (folder / "cut.gz").write_bytes(packed[: len(packed) * 9 // 10])
    return [folder / "whole.gz", folder / "cut.gz"]


@pytest.mark.parametrize("limit_kib", [150_000, 200_000, 500_000])
def test_no_memory_is_one_line_or_an_answer(many_talkers: list[Path], limit_kib: int) -> None:
    """With little memory a file of many talkers is counted, or one line names what is missing; no traceback."""
    for path in many_talkers:
        script = f"ulimit -v {limit_kib}; exec '{sys.executable}' -m toptalkers run-local '{path}' --top 1"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)  # noqa: S607
        assert done.returncode in (0, 1)
        assert "Traceback" not in done.stderr
        assert "memory" in done.stderr or "cut off" in done.stderr or "600,000 counted" in done.stderr


def test_what_is_beside_a_sample_is_passed_over_in_silence(tmp_path: Path) -> None:
    """Its truth and its snapshot, in a folder, a glob and, by every engine, an archive; others with a name are read."""
    folder = tmp_path / "sample"
    report = write_sample(folder, records=300)
    assert set(found(str(folder)) + found(f"{folder}/*")) == {path.name for path in report.files}
    with tarfile.open(tmp_path / "sample.tar", "w") as archive:
        archive.add(folder, "sample")
    inputs = [[str(folder)], [f"{folder}/*"], [str(tmp_path / "sample.tar")]]
    for arguments in (*inputs, [*inputs[-1], "--engine", "mrjob"]):
        result = run(*arguments)
        assert result.exit_code == 0
        said = result.stderr.replace(str(tmp_path), "")
        assert "truth" not in said
        assert "snapshot" not in said
        assert "300 records read from 1 file:" in result.stderr
    assert "no flow logs (the truth of a sample)" in run(str(folder), str(folder / "truth.json")).stderr
    assert "no flow logs (a snapshot of a network)" in run(str(folder), str(folder / "snapshot.json")).stderr
    (folder / "truth.json").write_bytes(LOG)
    (folder / "snapshot.json").write_bytes(LOG)
    assert "318 records read from 3 files:" in run(str(folder)).stderr
