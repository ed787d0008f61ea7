"""Ctrl-C, SIGTERM and SIGHUP leave nothing behind and give exit codes; the next start removes what SIGKILL leaves."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fake_account import FakeAccount
from tests.processes import is_running, wait_for
from toptalkers.cli.main import cli
from toptalkers.machine.scratch import ENGINE_PREFIX, LOCK
from toptalkers.sample.writer import write_sample

TOPTALKERS = [sys.executable, "-m", "toptalkers"]
FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

WRITING = """
import sys, time
from pathlib import Path
import click
from toptalkers.cli import failures, signals
from toptalkers.answer.output import write_output

def chunks():
    yield b"half"
    print("ready", flush=True)
    for _ in range(600):  # not one long sleep: a signal just before it would only be noticed after it
        time.sleep(0.1)

class Forever(failures.FailureGroup):
    def get_command(self, ctx, name):
        return click.Command(name, callback=lambda: write_output(chunks(), Path(sys.argv[1])))

signals.stop_on_signals()
Forever()(["write"])
"""
"""A command that never finishes writing its --output."""


def writing(output: Path) -> "subprocess.Popen[str]":
    """Start such a command, and wait until it has begun to write."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(output)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert list(output.parent.iterdir())
    return process


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_in_the_middle_of_writing(tmp_path: Path, number: signal.Signals) -> None:
    """No file is left, there is one line, and the exit code is 128 plus the signal's number."""
    process = writing(tmp_path / "o.csv.gz")
    process.send_signal(number)
    assert process.communicate(timeout=60) == ("", "Stopped.\n")
    assert process.returncode == 128 + number
    assert not list(tmp_path.iterdir())


def test_what_a_killed_one_left_goes_at_the_next_start(tmp_path: Path) -> None:
    """The next command with the same --output removes it; files of living writers and all other files stay."""
    (tmp_path / ".o.csv.gz.mine").touch()
    killed, living = writing(tmp_path / "o.csv.gz"), writing(tmp_path / "o.csv.gz")
    killed.kill()
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 3
    try:
        command = [*TOPTALKERS, "render", "template", "--output", str(tmp_path / "o.csv.gz")]
        subprocess.run(command, check=True, capture_output=True)
        left = sorted(path.name for path in tmp_path.iterdir())
    finally:
        living.kill()
        living.communicate()
    assert [name for name in left if not name.endswith(".toptalkers")] == [".o.csv.gz.mine", "o.csv.gz"]
    assert [name.split(".")[-3] for name in left if name.endswith(".toptalkers")] == [str(living.pid)]


ASKING = """
import click
from toptalkers.cli import failures, signals, talk

class Asking(failures.FailureGroup):
    def get_command(self, ctx, name):
        return click.Command(name, callback=lambda: talk.confirm("Really?", yes=False))

signals.stop_on_signals()
print("ready", flush=True)
Asking()(["ask"])
"""
"""A command that asks, and waits for the answer."""


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_while_something_is_asked(number: signal.Signals) -> None:
    """The signal is not an answer, and is not mistaken for the end of the input."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    _, stderr = process.communicate()
    assert stderr.endswith("Stopped.\n")
    assert "ended" not in stderr


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough logs that counting them takes a while."""
    folder = tmp_path_factory.mktemp("logs")
    write_sample(folder, records=300_000)
    for path in folder.rglob("*.gz"):
        os.utime(path, (1, 1))
    return folder


@pytest.mark.parametrize("number", STOPPING)
def test_signals_at_any_time(tmp_path: Path, logs: Path, number: signal.Signals) -> None:
    """Whenever the signal comes, there is no hang, no traceback, no temporary file, and no half answer."""
    command = [*TOPTALKERS, "run-local", str(logs), "--ports", "all", "--output"]
    subprocess.run([*command, str(tmp_path / "whole.csv.gz")], check=True, capture_output=True)
    whole = (tmp_path / "whole.csv.gz").read_bytes()
    output, cache = tmp_path / "out" / "o.csv.gz", tmp_path / "cache"
    output.parent.mkdir()
    drawn = random.Random(number)
    for _ in range(4):
        process = subprocess.Popen(
            [*command, str(output), "--cache", str(cache)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not cache.exists() and process.poll() is None:  # Python itself takes a while to start
            time.sleep(0.01)
        time.sleep(drawn.uniform(0, 0.8))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in (0, 128 + number), stderr
        assert "Traceback" not in stderr
        assert process.returncode == 0 or stderr == "Stopped.\n"
        assert not list(tmp_path.rglob(".*"))
        # If the signal comes when the answer is there already, it stays.
        assert output.read_bytes() == whole if output.exists() else process.returncode != 0
        output.unlink(missing_ok=True)
        shutil.rmtree(cache)


@pytest.mark.parametrize("number", STOPPING)
def test_signals_to_an_engine_of_many_processes(tmp_path: Path, number: signal.Signals) -> None:
    """Its processes end with it, without a message and without a file, whenever the signal comes."""
    drawn = random.Random(number)
    for _ in range(2):
        process = asking("mrjob", tmp_path)
        time.sleep(drawn.uniform(0, 0.6))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in (0, 128 + number), stderr
        assert process.returncode == 0 or stderr == "Stopped.\n"
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ["mrjob", pytest.param("hadoop", marks=pytest.mark.hadoop)])
def test_what_a_killed_engine_left_goes_at_the_next_start(tmp_path: Path, engine: str) -> None:
    """Its temporary folder is removed as soon as its last process has ended; everything else stays."""
    (tmp_path / "toptalkers-engine-mine").mkdir()
    process = asking(engine, tmp_path)
    process.kill()
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    for _ in range(20):
        asking(engine, tmp_path).communicate()
        if [path.name for path in tmp_path.iterdir()] == ["toptalkers-engine-mine"]:
            return
        time.sleep(0.2)
    raise AssertionError(list(tmp_path.rglob("*")))


@pytest.mark.parametrize("is_late", [False, True])
def test_forked_processes_end_with_the_one_that_forked_them(is_late: bool) -> None:
    """They end even if it is killed while they wait for something that never comes, or before they have begun."""
    script = """
        import os, sys, time
        from toptalkers.machine.leash import leash_forks
        starter = os.getpid()
        def wait_for_its_end():
            while os.getppid() == starter:
                time.sleep(0.01)
        if sys.argv[1:] == ["late"]:
            os.register_at_fork(after_in_child=wait_for_its_end)
        leash_forks()
        leash_forks()
        if not (child := os.fork()):
            time.sleep(100)
        print(child, flush=True)
        time.sleep(100)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *(["late"] if is_late else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    wait_for(lambda: not is_running(child), 20)


def asking(engine: str, scratch: Path) -> "subprocess.Popen[str]":
    """Start a count, and wait until its engine has a locked folder for its files."""
    before = set(scratch.glob(f"{ENGINE_PREFIX}*/{LOCK}"))
    process = subprocess.Popen(
        [*TOPTALKERS, "run-local", str(FLOWLOGS / "default.log"), "--engine", engine],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    # Other files do not matter: `tempfile` first writes one to try the folder.
    while not set(scratch.glob(f"{ENGINE_PREFIX}*/{LOCK}")) - before and process.poll() is None:
        time.sleep(0.01)
    return process


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    """With an ignored SIGHUP, as under `nohup`, that signal ends nothing."""
    command = f'trap "" HUP; exec {sys.executable} -m toptalkers run-local -'
    process = subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(1)
    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate("", timeout=60)
    assert process.returncode == 1
    assert "standard input" in stderr


@pytest.mark.parametrize("seconds", [5, 150, 260])
def test_a_run_that_is_stopped_ends_its_cluster(seconds: int) -> None:
    """If nobody can be asked, an interrupted run-emr ends the cluster, says so, and exits with 130."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    account.clock.interrupt_at = [seconds]
    result = CliRunner().invoke(cli, ["run-emr", "--yes"], obj=account)
    assert result.exit_code == 130
    assert result.stderr.endswith("Stopped.\n")
    assert [one["Status"]["State"] for one in account.fake_emr.clusters.values()] == ["TERMINATED"]
