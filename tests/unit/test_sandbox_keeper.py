"""Nothing survives its starter, even if that is killed: commands, process groups, folders."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.processes import is_running, wait_for
from toptalkers.machine.leash import leashed
from toptalkers.machine.scratch import ENGINE_PREFIX, LOCK, remove_abandoned, scratch_folder
from toptalkers.sandbox.keeper import PREFIX

SANDBOX = """
    import subprocess, sys, time
    from toptalkers.machine.scratch import scratch_folder
    from toptalkers.sandbox.keeper import PREFIX, Keeper
    with scratch_folder(PREFIX) as folder:
        keeper = Keeper(folder)
        (folder / "state").write_text("state")
        process = subprocess.Popen(["sh", "-c", sys.argv[1]], start_new_session=sys.argv[2] == "leads")
        keeper.tell(f"command {process.pid}")
        process.wait()
        keeper.tell("ended")
        if sys.argv[3] == "hangs":
            time.sleep(120)
    keeper.close()
"""

STARTER = """
    import subprocess, sys, time
    from toptalkers.machine.leash import leashed
    process = subprocess.Popen(leashed(["sh", "-c", sys.argv[1]]), stdin=subprocess.PIPE, start_new_session=True)
    print(process.wait(), flush=True)
    time.sleep(120)
"""


def start(script: str, *arguments: str, tmp_path: Path) -> "subprocess.Popen[bytes]":
    """Start a script in a folder with a module that must not be imported."""
    cwd = tmp_path.parent
    (cwd / "shutil.py").write_text("raise SystemExit('the module of the current folder')")
    command = [sys.executable, "-P", "-c", textwrap.dedent(script), *arguments]
    return subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=cwd, start_new_session=True)


def pids(folder: Path, count: int) -> list[int]:
    """Return the process ids that a command wrote into a folder, one file each."""
    wait_for(lambda: len([path for path in folder.glob("pid-*") if path.read_text().strip()]) == count)
    return [int(path.read_text()) for path in folder.glob("pid-*")]


@pytest.mark.parametrize("leads", ["leads", "follows"])
@pytest.mark.parametrize(
    "command",
    [
        "echo $$ > {0}/pid-1; exec sleep 100",
        "trap '' TERM; echo $$ > {0}/pid-1; sleep 100; sleep 100",
        "sleep 100 & echo $! > {0}/pid-1; echo $$ > {0}/pid-2; wait",
        "sh -c 'trap \"\" TERM; echo $$ > {0}/pid-1; sleep 100; sleep 100' & echo $$ > {0}/pid-2; wait",
    ],
)
def test_a_killed_sandbox_s_command_and_folder_go(tmp_path: Path, command: str, leads: str) -> None:
    """Commands that do or do not lead a group, obey SIGTERM, have children; and the folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    sandbox = start(SANDBOX, command.format(tmp_path), leads, "", tmp_path=temporary)
    try:
        started = pids(tmp_path, command.count("> {0}"))
        assert all(map(is_running, started))
        assert len(list(temporary.iterdir())) == 1
    finally:
        sandbox.kill()
        sandbox.wait()
    wait_for(lambda: not any(map(is_running, started)))
    wait_for(lambda: not list(temporary.iterdir()))


def test_a_sandbox_that_ends_needs_no_keeper(tmp_path: Path) -> None:
    """If the sandbox has cleaned up, its keeper ends with it, and ends nothing else."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    sandbox = start(SANDBOX, "true", "leads", "", tmp_path=temporary)
    assert sandbox.wait(20) == 0
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_on_a_leash_dies_with_its_starter(tmp_path: Path, number: signal.Signals) -> None:
    """If the starter is killed, the command and its processes end, even those that ignore SIGTERM."""
    command = f"trap '' TERM; sleep 100 & echo $! > {tmp_path}/pid-1; echo $$ > {tmp_path}/pid-2; wait; sleep 100"
    (tmp_path / "temporary").mkdir()
    starter = start(STARTER, command, tmp_path=tmp_path / "temporary")
    try:
        started = pids(tmp_path, 2)
    finally:
        starter.send_signal(number)
        starter.wait()
    wait_for(lambda: not any(map(is_running, started)))


@pytest.mark.parametrize("code", [0, 7])
def test_a_leash_is_not_felt(code: int) -> None:
    """A command on a leash has its own output, arguments and exit code, and no input."""
    process = subprocess.Popen(
        leashed(["sh", "-c", 'cat; echo "$1"; exit $2', "name", "a  'b' $c", str(code)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.read() == b"a  'b' $c\n"
        assert process.wait(20) == code
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("prefix", [PREFIX, ENGINE_PREFIX, ".toptalkers-"])
def test_what_the_dead_left_goes(tmp_path: Path, prefix: str) -> None:
    """An unlocked folder is removed at the next start; others', locked ones and lookalikes stay."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / LOCK).touch()
    for name in ("dead", "young", "pipe", "link"):
        (tmp_path / f"{prefix}{name}").mkdir()
    (tmp_path / f"{prefix}dead" / LOCK).touch()
    (tmp_path / f"{prefix}dead" / "state").mkdir()
    os.mkfifo(tmp_path / f"{prefix}pipe" / LOCK)
    (tmp_path / f"{prefix}link" / LOCK).symlink_to(tmp_path / "elsewhere" / LOCK)
    (tmp_path / f"{prefix}linked").symlink_to(tmp_path / "elsewhere")
    with scratch_folder(prefix, tmp_path) as living:
        assert living.stat().st_mode & 0o777 == 0o700
        remove_abandoned(tmp_path, prefix)
        left = {path.name for path in tmp_path.iterdir()} - {living.name}
        assert living.is_dir()
    assert not living.exists()
    assert f"{prefix}dead" not in left
    assert {"elsewhere", f"{prefix}young", f"{prefix}link", f"{prefix}linked"} <= left
    assert (tmp_path / "elsewhere" / LOCK).exists()
