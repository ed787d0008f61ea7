"""Cleans up after a sandbox that was killed without a chance to: `python -m toptalkers.sandbox.keeper [FOLDER]`.

The keeper is a process of its own, in a session of its own. It reads what its sandbox tells it, a line each:
`command PID` when that is started, `ended` when it has ended, `over` when all is cleaned up. Without that last
line, the end of its input is the sandbox's death: the command is ended, and the folder removed. MiniStack and EMR
end by themselves (`guarded`).

Whatever the keeper could not do, because it was killed as well, the next start does (`machine/scratch.py`).
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
"""How the folders of sandboxes are named."""

GRACE_SECONDS = 2
"""What a command may take to end after SIGTERM, before it is killed."""

GONE_SECONDS = 3
"""How long a folder must have been gone: what still ends may make it anew."""

REMOVE_SECONDS = 30


class Keeper:
    """A keeper process, as its sandbox sees it."""

    def __init__(self, folder: Path | None) -> None:
        """Start one, for a folder that is to be removed, if any."""
        # As all processes of a sandbox, with -P: Python would look for modules in the user's folder first.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *([str(folder)] if folder else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def tell(self, line: str) -> None:
        """Tell it what happens."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """All is cleaned up: let it go."""
        self.tell("over")
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def main() -> None:
    """Wait for the end of the sandbox, and do what it could not."""
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
    """End a command, the group that it leads, if it does, and all that it started."""
    started = [command, *_descendants(command)]
    leads = False
    with contextlib.suppress(ProcessLookupError):
        leads = os.getpgid(command) == command
    for number, pause_s in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 0)):
        # The group last: without its leader, a killed one's number could be given out anew.
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
    """The processes that a process started, and those that they started; none where there is no `ps`."""
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
    """Remove a folder until it stays away."""
    end = time.monotonic() + REMOVE_SECONDS
    gone_since = time.monotonic()
    while time.monotonic() < end and time.monotonic() - gone_since < GONE_SECONDS:
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            gone_since = time.monotonic()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
