"""The commands as a user types them: output, messages and exit codes."""

import csv
import gzip
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from toptalkers.cli.main import COMMANDS, SECTIONS, cli
from toptalkers.cli.sections import SectionedCommand

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
DEFAULT = str(FLOWLOGS / "default.log")
ANSWER = (FLOWLOGS / "default.tsv").read_text()


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin)


def test_answer_on_stdout_and_tally_on_stderr() -> None:
    """A pipe gets the recipe's own format and all talkers; everything else goes to standard error."""
    result = run("run-local", DEFAULT)
    assert (result.exit_code, result.stdout) == (0, ANSWER)
    assert "10 records read from 1 file: 5 counted, 5 skipped" in result.stderr
    assert "log status SKIPDATA" in result.stderr


CORE = "start end interface-id srcaddr dstaddr srcport dstport protocol packets bytes action log-status"
SEEN = """
1764000000 1764000059 {} 192.0.2.7 10.0.2.11 40001 443 6 10 1000 ACCEPT OK
1764000000 1764000059 {} 10.0.2.11 192.0.2.7 443 40001 6 20 9000 ACCEPT OK
1764000000 1764000059 {} 192.0.2.7 10.0.2.11 0 0 1 1 84 ACCEPT OK
"""


def _seen(fields: str, *more: str) -> bytes:
    """What two interfaces log of a connection and a ping, with further fields: of requests, replies and pings."""
    columns = [" " + words if words else "" for words in more or ("", "", "")]
    lines = [SEEN.format(*[interface] * 3).strip().split("\n") for interface in ("eni-a", "eni-b")]
    records = [line + columns[at] for both in lines for at, line in enumerate(both)]
    return "\n".join([f"{CORE} {fields}".strip(), *records, ""]).encode()


def test_pairs_as_a_user_sees_them() -> None:
    """Each conversation once, its server, both directions, what nothing tells, and what the format lacks."""
    result = run("run-local", "-", "--count", "once", "--pairs", "--format", "table", stdin=_seen(""))
    assert result.exit_code == 0
    assert result.stdout == (
        "#  client     server     port  proto   bytes  to server  to client  packets  records  how\n"
        "-  ---------  ---------  ----  -----  ------  ---------  ---------  -------  -------  -----\n"
        "1  192.0.2.7  10.0.2.11   443  tcp    10,000      1,000      9,000       30        2  ports\n"
        "2  10.0.2.11  192.0.2.7     0  icmp       84          0         84        1        1  ?\n"
        "?: nothing tells which side is the server\n"
    )
    assert "Note: 4 TCP records have no tcp-flags" in result.stderr
    assert "Note: 6 records have no pkt-srcaddr and pkt-dstaddr" in result.stderr
    rich = _seen("tcp-flags pkt-srcaddr pkt-dstaddr", *["2 192.0.2.7 10.0.2.11", "18 10.0.2.11 192.0.2.7", "0 - -"])
    result = run("run-local", "-", "--pairs", stdin=rich)
    first = "192.0.2.7 10.0.2.11 443 6 20000 60 4 2000 18000 20 40 2 2 syn"
    assert result.stdout.splitlines()[0] == first.replace(" ", "\t")
    assert "Note:" not in result.stderr


def test_a_digest_says_what_the_format_of_its_records_lacked(tmp_path: Path) -> None:
    """The notes of a digest, and of one made of it, are those of the records, and --strict fails for its legs."""
    digest = str(tmp_path / "d.parquet")
    again = str(tmp_path / "again.parquet")
    made = run("digest", "-", "--output", digest, stdin=_seen(""))
    assert made.exit_code == 0
    assert "Note: 6 records have no pkt-srcaddr and pkt-dstaddr" in made.stderr
    assert run("digest", digest, "--output", again).exit_code == 0
    result = run("run-local", again, "--count", "once", "--pairs", "--strict", "--tolerate", "servers")
    assert result.exit_code == 1
    assert "Error: --strict: legs: 6 records" in result.stderr
    assert result.stdout == run("run-local", "-", "--count", "once", "--pairs", stdin=_seen("")).stdout
    assert "Note: 4 TCP records have no tcp-flags" in result.stderr
    assert "Note: 6 records have no pkt-srcaddr and pkt-dstaddr" in result.stderr
    assert "Note:" not in run("run-local", again, "--by", "srcaddr").stderr


def test_a_format_that_cannot_be_joined_is_named() -> None:
    """Without interface-id the file is left out, with what needs it; without the option its records add up."""
    content = _seen("").replace(b"interface-id", b"vpc-id")
    result = run("run-local", "-", "--count", "once", stdin=content)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "its header names no interface-id, which --count once needs: ask without, or of other files" in result.stderr
    result = run("run-local", "-", "--count", "once", "--pairs", stdin=content)
    assert "its header names no interface-id, which --count once and --pairs need: ask without" in result.stderr
    assert run("run-local", "-", stdin=content).stdout == "192.0.2.7:10.0.2.11:0\t2\n192.0.2.7:10.0.2.11:443\t2\n"


def test_standard_input_plain_and_packed() -> None:
    """`-` is standard input, compressed or not."""
    content = Path(DEFAULT).read_bytes()
    assert run("run-local", "-", stdin=content).stdout == ANSWER
    assert run("run-local", "-", stdin=gzip.compress(content)).stdout == ANSWER


def test_folders_globs_and_repeats(tmp_path: Path) -> None:
    """Folders are searched, globs match, markers and hidden files are skipped, a file named twice is read once."""
    below = tmp_path / "AWSLogs" / "aws-account-id=123456789012" / "year=2026"
    below.mkdir(parents=True)
    (below / "a.log").write_bytes(Path(DEFAULT).read_bytes())
    for marker in ("_SUCCESS", ".DS_Store"):
        (below / marker).write_text("no flow log")
    for path in (str(tmp_path), f"{tmp_path}/**/*.log", f"{tmp_path}/AWSLogs/*"):
        result = run("run-local", path)
        assert (result.exit_code, result.stdout) == (0, ANSWER)
    result = run("run-local", str(tmp_path), str(below / "a.log"))
    assert (result.exit_code, result.stdout) == (0, ANSWER)
    assert "read once: 1" in result.stderr


@pytest.mark.parametrize("engine", ["local", "mrjob"])
def test_what_cannot_be_read_is_named_and_the_rest_counts(tmp_path: Path, engine: str) -> None:
    """Missing, cut off, damaged, empty, misnamed, Parquet, no files: one line each, an answer, exit code 1."""
    packed = gzip.compress(Path(DEFAULT).read_bytes())
    (tmp_path / "good.log.gz").write_bytes(packed)
    (tmp_path / "cut.log.gz").write_bytes(packed[:-20])
    (tmp_path / "damaged.log.gz").write_bytes(packed[:30] + b"\0\0\0\0" + packed[34:])
    (tmp_path / "trailing.log.gz").write_bytes(packed + b"more")
    (tmp_path / "empty.log.gz").write_bytes(b"")
    (tmp_path / "plain.log.gz").write_bytes(Path(DEFAULT).read_bytes())
    (tmp_path / "cut.log.zst").write_bytes(b"\x28\xb5\x2f\xfd\x00")
    (tmp_path / "talkers.parquet").write_bytes(b"PAR1....PAR1")
    (tmp_path / "folder").mkdir()
    paths = sorted(str(path) for path in tmp_path.iterdir()) + [str(tmp_path / "missing.log"), str(tmp_path / "*.csv")]
    result = run("run-local", "--engine", engine, *paths)
    assert (result.exit_code, result.stdout) == (1, ANSWER)
    for name, reason in {
        "cut.log.gz": "ends early",
        "damaged.log.gz": "damaged",
        "trailing.log.gz": "more data after its end",
        "empty.log.gz": "empty, 0 bytes",
        "plain.log.gz": "named .gz, but not compressed so",
        "cut.log.zst": "ends early",
        "talkers.parquet": "Parquet file",
        "folder": "the folder holds no files",
        "missing.log": "no such file or folder",
        "*.csv": "no file matches",
    }.items():
        lines = [line for line in result.stderr.splitlines() if f"/{name}: " in line]
        assert len(lines) == 1, name
        assert reason in lines[0]


def test_a_binary_file_is_no_flow_log(tmp_path: Path) -> None:
    """A file without any record is skipped by name, not tallied as thousands of malformed records."""
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    result = run("run-local", str(tmp_path), DEFAULT)
    assert (result.exit_code, result.stdout) == (1, ANSWER)
    assert "picture.png: " in result.stderr
    assert "10 records read from 1 file" in result.stderr


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A file that the system refuses to open is skipped by name, with the system's reason."""
    (tmp_path / "loop.log").symlink_to("loop.log")
    result = run("run-local", str(tmp_path))
    assert result.exit_code == 1
    assert "loop.log: Too many levels of symbolic links" in result.stderr


def test_strict_fails_after_the_answer() -> None:
    """--strict gives the same answer, and exit code 1 even if there are only malformed records."""
    path = str(FLOWLOGS / "malformed.log")
    assert run("run-local", path).exit_code == 0
    result = run("run-local", "--strict", path)
    assert (result.exit_code, result.stdout) == (1, (FLOWLOGS / "malformed.tsv").read_text())
    assert "5 records are malformed" in result.stderr


def test_strict_fails_for_each_doubt_that_is_not_tolerated() -> None:
    """--strict names SKIPDATA and gaps in a line each; --tolerate takes the code 1 away, and names no other doubt."""
    flow = b"2 123456789012 eni-1 192.0.2.1 198.51.100.7 50000 443 6 1 100 %d %d ACCEPT OK\n"
    lost = b"2 123456789012 eni-1 - - - - - - - 1700000000 1700000060 - SKIPDATA\n"
    lines = flow % (1700000000, 1700000060) + lost + flow % (1700010000, 1700010060)
    result = run("run-local", "-", "--strict", stdin=lines)
    assert (result.exit_code, result.stdout) == (1, "192.0.2.1:198.51.100.7:443\t2\n")
    found = [line.split(": ")[2] for line in result.stderr.splitlines() if line.startswith("Error: --strict")]
    assert found == ["skipdata", "gaps"]
    for tolerated, code in (("skipdata,gaps", 0), ("gaps", 1)):
        assert run("run-local", "-", "--strict", "--tolerate", tolerated, stdin=lines).exit_code == code
    assert run("run-local", "-", stdin=lines).exit_code == 0
    unknown = run("run-local", "-", "--strict", "--tolerate", "gap", stdin=lines)
    assert (unknown.exit_code, "did you mean 'gaps'?" in unknown.stderr) == (2, True)
    assert "--strict, which is not given" in run("run-local", "--tolerate", "gaps", DEFAULT).stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--ports", "70000"], "Error: --ports: '70000' is above the highest port, 65535"),
        (["--since", "yesterday"], "Error: --since: 'yesterday' is not a time"),
        (["--log-format", "${dstadr}"], "Error: the log format has an unknown field 'dstadr'"),
        (["--top", "many"], "Error: --top: 'many' is not a number of talkers"),
        (["--engine", "abacus"], "Error: Invalid value for '--engine': 'abacus' is not one of"),
        (["--nonsense"], "Error: No such option"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], line: str) -> None:
    """Wrong usage gives one line on stderr, nothing on stdout, and exit code 2."""
    result = run("run-local", DEFAULT, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_formats() -> None:
    """Every format has the same rows."""
    rows = [("198.51.100.17", "10.0.0.10", 443, 2), ("10.0.1.20", "10.0.0.2", 53, 1)]
    options = ["run-local", DEFAULT, "--top", "2", "--format"]
    table = run(*options, "table").stdout
    assert [line.split()[1:4] for line in table.splitlines()[2:]] == [
        [src, dst, str(port)] for src, dst, port, _ in rows
    ]
    parsed = list(csv.DictReader(io.StringIO(run(*options, "csv").stdout)))
    assert [(row["src"], row["dst"], int(row["port"]), int(row["records"])) for row in parsed] == rows
    document = json.loads(run(*options, "json").stdout)
    assert [(row["src"], row["dst"], row["port"], row["records"]) for row in document["talkers"]] == rows
    assert document["tally"]["counted"] == 5
    assert document["talkers_in_all"] == 4
    lines = [json.loads(line) for line in run(*options, "ndjson").stdout.splitlines()]
    assert lines == document["talkers"]


def run_on_terminal(*arguments: str) -> str:
    """Run a command whose standard output is a terminal; give what the terminal shows."""
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        try:
            command = [sys.executable, "-m", "toptalkers", *arguments]
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL, check=True)
            os.write(theirs, b"end of it")
            shown = b""
            while not shown.endswith(b"end of it"):
                shown += terminal.read(4096)
        finally:
            os.close(theirs)
    return shown.removesuffix(b"end of it").decode().replace("\r\n", "\n")


@pytest.mark.parametrize("engine", ["local", "mrjob"])
def test_shares_are_of_all_that_counted(engine: str) -> None:
    """Also of what --top leaves out, for each metric that adds up."""
    options = ("--by", "dstport", "--metric", "bytes,records", "--format", "csv", "--engine", engine)
    lines = run("run-local", *options, "--show", "shares", "--top", "1", DEFAULT).stdout.splitlines()
    everything = [line.split(",") for line in run("run-local", *options, DEFAULT).stdout.splitlines()[1:]]
    assert len(everything) > 1
    assert lines[0] == "rank,dstport,bytes,records,bytes_percent,records_percent"
    shares = [100 * int(everything[0][at]) / sum(int(row[at]) for row in everything) for at in (2, 3)]
    assert [float(text) for text in lines[1].split(",")[4:]] == pytest.approx(shares, abs=1e-6)


def test_a_terminal_gets_a_table_of_the_first_twenty(tmp_path: Path) -> None:
    """Unless something else is asked for; a file gets all talkers, wherever the command was typed."""
    record = "2 123456789012 eni-1 10.0.0.1 10.0.0.{} 40000 443 6 10 840 1795457940 1795457990 ACCEPT OK\n"
    logs, out = tmp_path / "flows.log", tmp_path / "out"
    logs.write_text("".join(map(record.format, range(2, 32))))
    table = run_on_terminal("run-local", str(logs))
    assert table == run("run-local", str(logs), "--format", "table", "--top", "20").stdout
    assert table.count("10.0.0.1 ") == 20
    everything = run("run-local", str(logs)).stdout
    assert everything.count("\n") == 30
    assert run_on_terminal("run-local", str(logs), "--format", "tsv", "--top", "0") == everything
    assert run_on_terminal("run-local", str(logs), "--output", str(out)) == ""
    assert out.read_text() == everything


def test_empty_answer_in_every_format() -> None:
    """An answer without talkers is an answer: well-formed, with exit code 0."""
    options = ["run-local", DEFAULT, "--ports", "9", "--format"]
    assert run(*options, "tsv").stdout == ""
    assert run(*options, "table").stdout == "no talkers\n"
    assert run(*options, "csv").stdout == "rank,src,dst,port,records\n"
    assert json.loads(run(*options, "json").stdout)["talkers"] == []
    assert run(*options, "ndjson").exit_code == 0


def test_output_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """--output writes plain or gzip by its name, leaves no temporary file, and reports a file that it cannot write."""
    assert run("run-local", DEFAULT, "--output", str(tmp_path / "a.tsv")).stdout == ""
    assert (tmp_path / "a.tsv").read_text() == ANSWER
    run("run-local", DEFAULT, "--output", str(tmp_path / "a.tsv.gz"))
    assert gzip.decompress((tmp_path / "a.tsv.gz").read_bytes()).decode() == ANSWER
    result = run("run-local", DEFAULT, "--output", str(tmp_path / "no" / "a.tsv"))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot write {tmp_path}/no/a.tsv: No such file or directory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tsv", "a.tsv.gz"]


def test_sample_writes_and_refuses_to_overwrite(tmp_path: Path) -> None:
    """`sample` fills a folder that `run-local` reads, and never overwrites a file."""
    arguments = ["sample", "--records", "1000", "--out", str(tmp_path / "made"), "--dirty"]
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert again.exit_code == 1
    assert "already" in again.stderr
    assert run("run-local", str(tmp_path / "made")).exit_code == 0


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    """--help explains each command and shows an example."""
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.stdout


@pytest.mark.parametrize("command", ["", "run-local", "run-emr", "render steps", "sandbox run"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_docs_show_what_the_program_says(command: str, option: str) -> None:
    """docs/cli.md has each command's help as a terminal of 100 columns shows it."""
    done = subprocess.run(
        [sys.executable, "-m", "toptalkers", *command.split(), option],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    docs = (FLOWLOGS.parents[1] / "docs/cli.md").read_text()
    assert f"## {f'toptalkers {command}'.rstrip()}\n\n```text\n{done.stdout}```\n" in docs
    assert "..." not in done.stdout.partition("\nOptions:")[2].partition("\n\n")[2]


@pytest.mark.parametrize("command", ["run-local", "run-emr", "deploy", "render schedule", "render athena"])
def test_many_options_stand_in_sections(command: str) -> None:
    """Each option is listed once, and at most five are left for the last section, `Options`."""
    found: click.Command | None = cli
    for name in command.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(cli), name)
    assert isinstance(found, SectionedCommand)
    shown = [one for one in found.params if isinstance(one, click.Option) and not one.hidden]
    listed = [
        [line.split(",")[0].split()[0] for line in section.splitlines()[1:] if line.startswith("  -")]
        for section in run(*command.split(), "--help").stdout.split("\n\n")
        if section.splitlines()[0].endswith(":") and "Example" not in section
    ]
    assert sorted(name for names in listed for name in names) == sorted(
        [*(one.opts[0] if one.opts[0] != "--yes" else "-y" for one in shown), "-h"]
    )
    assert len(listed[-1]) <= 5


def test_every_command_has_a_section() -> None:
    """`--help` lists each command once, under its purpose, and cuts no text off."""
    stdout = run("--help").stdout
    for section, names in SECTIONS.items():
        listed = stdout.partition(f"\n{section}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in listed.splitlines() if line[2] != " "] == list(names)
        assert "..." not in listed


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("run-loca", " Did you mean 'run-local'? "),
        ("deply", " Did you mean 'deploy'? "),
        ("zzz", " (see"),
    ],
)
def test_a_command_that_is_not_one_gets_those_like_it(name: str, hint: str) -> None:
    """One line names the command that was probably meant, if there is a similar one; the exit code is 2."""
    result = run(name)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"Error: No such command {name!r}")
    assert hint in result.stderr


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """The completion script is for bash, and completes `run-`, `--eng` and an engine's name."""

    def complete(*words: str) -> list[str]:
        environment = {**os.environ, "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        return toptalkers({**environment, "_TOPTALKERS_COMPLETE": "bash_complete"}).split()

    def toptalkers(environment: dict[str, str]) -> str:
        command = [sys.executable, "-c", "from toptalkers.__main__ import main; main()"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    script = tmp_path / "complete.bash"
    script.write_text(toptalkers({**os.environ, "_TOPTALKERS_COMPLETE": "bash_source"}))
    sourced = subprocess.run(
        ["/bin/bash", "-c", f". {script}; complete -p toptalkers"], capture_output=True, text=True, check=True
    )
    assert "toptalkers" in sourced.stdout
    assert sorted(complete("toptalkers", "run-")) == ["plain,run-emr", "plain,run-local"]
    assert complete("toptalkers", "run-local", "--eng") == ["plain,--engine"]
    assert complete("toptalkers", "run-local", "--engine", "l") == ["plain,local"]


def test_run_as_a_program_in_a_pipe() -> None:
    """As a separate process, it ends quietly if its reader stops after one line."""
    toptalkers = f"{sys.executable} -m toptalkers run-local"
    command = f"{toptalkers} {FLOWLOGS} 2>&1 > /dev/null | cat; {toptalkers} {DEFAULT} 2> /dev/null | head -1"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.endswith(ANSWER.splitlines()[0] + "\n")
    assert "Traceback" not in done.stdout + done.stderr
