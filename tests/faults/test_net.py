"""Whatever goes wrong, a user sees one line and an exit code, and no traceback unless asked for."""

import builtins
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import botocore.exceptions
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.strange import is_harmless, texts
from toptalkers.aws.account import RoleToAssume
from toptalkers.cli.main import cli
from toptalkers.cli.options import Opener
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
DEFAULT = str(FLOWLOGS / "default.log")
ANSWER = (FLOWLOGS / "default.tsv").read_text()
TOPTALKERS = f"{sys.executable} -m toptalkers"
COMMANDS = [["status"], ["runs"], ["fetch-results"], ["deploy", "--yes"], ["run-local", "s3://bucket/"], ["run-emr"]]


class Broken(Opener):
    """No account: asking for it raises an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def open(self, *, region: str | None, profile: str | None, role: RoleToAssume | None = None) -> NoReturn:
        del region, profile, role
        raise self.error


def _of_builtins() -> list[type[BaseException]]:
    found = [one for one in vars(builtins).values() if isinstance(one, type) and issubclass(one, BaseException)]
    unlike = (SystemExit, Warning, BrokenPipeError, KeyboardInterrupt, BaseExceptionGroup)
    return [one for one in found if not issubclass(one, (*unlike, UnicodeError))]


def _made(kind: type[BaseException], text: str) -> BaseException:
    return kind(5, text, text) if issubclass(kind, OSError) else kind(text)


errors = st.one_of(
    st.builds(_made, st.sampled_from(_of_builtins()), texts),
    st.builds(UnicodeDecodeError, st.just("utf-8"), st.binary(min_size=1), st.just(0), st.just(1), texts),
    st.builds(lambda text: ExceptionGroup(text, [ValueError(text)]), texts),
    st.builds(ToptalkersError, texts, hint=texts),
    st.builds(lambda text: botocore.exceptions.ClientError({"Error": {"Code": text, "Message": text}}, "Get"), texts),
    st.builds(lambda text: botocore.exceptions.EndpointConnectionError(endpoint_url=text), texts),
    st.builds(lambda text: botocore.exceptions.ProfileNotFound(profile=text), texts),
)


@settings(max_examples=200)
@given(errors, st.sampled_from(COMMANDS))
def test_any_error_is_one_line(error: BaseException, command: list[str]) -> None:
    """Each error, with any text in it, gives one harmless line, exit code 1, and no traceback."""
    result = CliRunner().invoke(cli, command, obj=Broken(error))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert is_harmless(result.stderr)


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError("x"), 2), (JobFailedError("x"), 3), (KeyboardInterrupt(), 130)]
)
def test_exit_codes(error: BaseException, code: int) -> None:
    """Wrong usage ends with 2, a failed job with 3, Ctrl-C with 130; each says one line."""
    result = CliRunner().invoke(cli, ["status"], obj=Broken(error))
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)


def test_an_unexpected_error_says_where_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is shown with its place and what to report; TOPTALKERS_DEBUG=1 shows the traceback."""
    result = CliRunner().invoke(cli, ["status"], obj=Broken(LookupError("gone")))
    assert "unexpected LookupError at cli/options.py:" in result.stderr
    assert "TOPTALKERS_DEBUG=1" in result.stderr
    monkeypatch.setenv("TOPTALKERS_DEBUG", "1")
    result = CliRunner().invoke(cli, ["status"], obj=Broken(LookupError("gone")))
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("Error: unexpected LookupError")


def shell(command: str, **environment: str) -> tuple[int, str, str]:
    """Run a command in a shell; it never shows a traceback, or Python's messages about streams at exit."""
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_closed_streams(tmp_path: Path) -> None:
    """Without standard error the answer is complete; without input or output there is one line; no file is harmed."""
    ask = f"{TOPTALKERS} run-local {DEFAULT}"
    assert shell(f"{ask} 2>&-") == (0, ANSWER, "")
    code, shown, stderr = shell(f"{ask} >&-")
    assert (code, shown) == (1, "")
    assert stderr.startswith("Error: cannot write to standard output: ")
    code, shown, stderr = shell(f"{TOPTALKERS} run-local - <&-")
    assert (code, shown) == (1, "")
    assert stderr.startswith("left out: standard input: ")
    assert shell(f"{ask} --output {tmp_path}/a <&- >&- 2>&-") == (0, "", "")
    assert (tmp_path / "a").read_text() == ANSWER
    assert shell(f"{ask} --format nonsense <&- >&- 2>&-") == (2, "", "")
    assert shell(f"{TOPTALKERS} deploy <&- >&- 2>&-", AWS_ENDPOINT_URL="http://127.0.0.1:9")[0] == 1


@pytest.mark.parametrize(
    "command",
    ["run-local {logs} --format tsv", "run-local {logs} --format csv", "run-local {logs} --format json",
     "run-local {logs} --format table", "run-local {logs} --format ndjson", "render template", "render steps"],
)  # fmt: skip
def test_an_output_that_is_full_or_not_read(tmp_path: Path, command: str) -> None:
    """A full standard output gives one line and exit code 1; one that nobody reads gives no line and exit code 1."""
    command = f"{TOPTALKERS} {command.format(logs=DEFAULT)}"
    code, _, stderr = shell(f"ulimit -f 0; exec {command} > {tmp_path}/full")
    assert code == 1
    assert stderr == "Error: cannot write to standard output: File too large\n"
    read, written = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command.split(), stdout=written, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(written)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_standard_error_costs_no_answer(tmp_path: Path) -> None:
    """Messages that cannot be written are dropped; the answer and the exit code are the same."""
    assert shell(f"ulimit -f 0; exec {TOPTALKERS} run-local {DEFAULT} 2> {tmp_path}/full") == (0, ANSWER, "")
    read, written = os.pipe()
    os.close(read)
    command = [*TOPTALKERS.split(), "run-local", DEFAULT]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=written, text=True, check=False)
    finally:
        os.close(written)
    assert (done.returncode, done.stdout) == (0, ANSWER)


def test_an_output_file_that_does_not_fit(tmp_path: Path) -> None:
    """A limit on file sizes gives one line, and leaves no file, neither half nor whole."""
    code, shown, stderr = shell(f"ulimit -f 0; exec {TOPTALKERS} run-local {DEFAULT} --output {tmp_path}/a")
    assert (code, shown) == (1, "")
    assert stderr == f"Error: cannot write {tmp_path}/a: File too large\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_any_encoding(tmp_path: Path, encoding: str) -> None:
    """Characters that the terminal's encoding lacks are escaped, in any encoding; the answer does not change."""
    (tmp_path / "größe-日本.parquet").write_bytes(b"PAR1")
    command = f"{TOPTALKERS} run-local {DEFAULT} {tmp_path} 2> /dev/null"
    assert shell(command, PYTHONIOENCODING=encoding, LC_ALL="C")[:2] == (1, ANSWER)
    done = subprocess.run(
        [*TOPTALKERS.split(), "run-local", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert "left out" in done.stderr.decode(encoding, "replace")
