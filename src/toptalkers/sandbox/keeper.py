"""Clean up after a sandbox that was killed without a chance to: `python -m toptalkers.sandbox.keeper [FOLDER]`.

The keeper is a process of its own, in its own session. Its sandbox sends it one line per event: `command PID` when the
command has started, `ended` when it has ended, `over` when everything is cleaned up. If its input ends without `over`,
the sandbox is dead: the keeper ends the command and removes the folder. MiniStack and EMR end by themselves
(`guarded`).

If the keeper was killed as well, the next sandbox that starts removes the folder (`machine/scratch.py`).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PREFIX = "toptalkers-sandbox-"
"""The start of the names of sandbox folders."""

GRACE_SECONDS = 2
"""How long a command may take to end after SIGTERM, before it is killed."""

GONE_SECONDS = 3
"""How long a folder must have been gone: a process that is still ending may create it again."""

REMOVE_SECONDS = 30


class Keeper:
    """A keeper process, as seen by its sandbox."""

    def __init__(self, folder: Path | None) -> None:
        """Start a keeper; it removes the folder, if there is one."""
        # -P, as in all processes of a sandbox: otherwise Python would import modules from the user's folder first.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *([str(folder)] if folder else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def tell(self, line: str) -> None:
        """Send it an event."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """Let it end: everything is cleaned up."""
        self.tell("over")
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def main() -> None:
    """Wait for the end of the sandbox, and clean up if it could not."""
    command = None
    for line in sys.stdin:
        match line.split():
            case ["command", pid]:
                command = int(pid)
            case ["ended"]:
                command = None
            case ["over"]:
                return
    if command is not None:
        _end(command)
    if len(sys.argv) > 1:
        _remove(Path(sys.argv[1]))


def _end(command: int) -> None:
    """End a command, all processes that it started, and its process group if it leads one."""
    started = [command, *_descendants(command)]
    leads = False
    with contextlib.suppress(ProcessLookupError):
        leads = os.getpgid(command) == command
    for number, pause_s in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 0)):
        # The group last: once its leader is dead, its number could be reused.
        for pid in reversed(started):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if leads:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(command, number)
        end = time.monotonic() + pause_s
        while time.monotonic() < end and any(map(_is_there, started)):
            time.sleep(0.05)
        started = [pid for pid in started if _is_there(pid)]


def _descendants(pid: int) -> list[int]:
    """Return all processes that a process started, directly or indirectly; none where there is no `ps`."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        ps = ["ps", "-A", "-o", "pid=,ppid="]
        listed = subprocess.run(ps, capture_output=True, text=True, timeout=10, check=True)
        for line in listed.stdout.splitlines():
            child, parent = map(int, line.split())
            children.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        below = children.pop(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _remove(folder: Path) -> None:
    """Remove a folder, again and again until it stays removed."""
    end = time.monotonic() + REMOVE_SECONDS
    gone_since = time.monotonic()
    while time.monotonic() < end and time.monotonic() - gone_since < GONE_SECONDS:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            gone_since = time.monotonic()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
