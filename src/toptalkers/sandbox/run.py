"""Run a command with a local AWS around it, and leave nothing behind, however the command or the sandbox ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.machine.scratch import scratch_folder
from toptalkers.sandbox.keeper import PREFIX, Keeper
from toptalkers.sandbox.local_aws import local_aws

GRACE_SECONDS = 10
"""How long a command may take to end by itself after a signal, before it is killed."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(Exception):  # noqa: N818 - it is not an error
    """A signal came while no command was running that could receive it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_in_sandbox(
    command: Sequence[str],
    *,
    enforce_iam: bool = False,
    logs_dir: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Start a local AWS, run a command with its environment, stop everything.

    A signal to end is passed on to the command (a terminal's Ctrl-C reaches it anyway), which then has `GRACE_SECONDS`
    to end by itself. After a Ctrl-C at a terminal it has all the time it wants, so that it can ask the user.

    Args:
        command: the command and its arguments.
        enforce_iam: see `local_aws`.
        logs_dir: keep the logs of MiniStack, EMR and the steps there; by default they are removed.
        say: called with each line of progress.

    Returns:
        The command's exit code; like a shell, 128 plus the signal's number if a signal ended it.

    Raises:
        ToptalkersError: the sandbox does not start, or the command cannot be run.

    """
    if logs_dir is not None and logs_dir.exists() and any(logs_dir.iterdir()):
        raise UsageError(f"{logs_dir} is not empty", hint="the logs of a sandbox need a folder of their own")
    ends = _Ends()
    with contextlib.ExitStack() as stack:
        stack.enter_context(ends.watching())
        try:
            if logs_dir is None:
                state_dir = folder = stack.enter_context(scratch_folder(PREFIX))
            else:
                logs_dir.mkdir(parents=True, exist_ok=True)
                state_dir, folder = logs_dir, None
            ends.keeper = Keeper(folder)
            stack.callback(ends.keeper.close)
            aws = stack.enter_context(local_aws(state_dir.resolve(), enforce_iam=enforce_iam, check_stopped=ends.check))
            say(f"AWS runs at {aws.url}, EMR at {aws.emr_url}; logs in {aws.state_dir}")
            return ends.run(command, aws.environment)
        except _Stopped as stopped:
            return 128 + stopped.number


class _Ends:
    """Signals to end, which go to the command while it runs, and before that to the sandbox that is starting.

    The sandbox checks for them where it can stop: a signal must not strike between the start of a process and the
    moment when the sandbox knows that process.
    """

    def __init__(self) -> None:
        self.keeper: Keeper | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline: float | None = None
        self._number: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Receive the signals until the end of the block."""
        before = {number: signal.signal(number, self._take) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """Raise _Stopped if a signal came."""
        if self._number is not None:
            raise _Stopped(self._number)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command and return its exit code. Unless it has the terminal, all that it started ends with it."""
        self.check()
        has_terminal = _is_at_terminal()
        try:
            process = subprocess.Popen(command, env=environment, start_new_session=not has_terminal)
        except OSError as error:
            raise ToptalkersError(f"cannot run {command[0]}: {error.strerror}") from None
        self._process = process
        if self.keeper is not None:
            self.keeper.tell(f"command {process.pid}")
        if self._number is not None:
            self._take(self._number, None)
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = process.wait(0.1)
                    return 128 - code if code < 0 else code
                if self._deadline is not None and time.monotonic() > self._deadline:
                    self._send(signal.SIGKILL)
        finally:
            self._process = None
            if not has_terminal:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            if self.keeper is not None:
                self.keeper.tell("ended")

    def _take(self, number: int, _: FrameType | None) -> None:
        self._number = number
        if self._process is None or (number == signal.SIGINT and _is_at_terminal()):
            return
        self._send(signal.Signals(number))
        if self._deadline is None:
            self._deadline = time.monotonic() + GRACE_SECONDS

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _is_at_terminal() -> bool:
    """Whether this process is a terminal's foreground job, so that Ctrl-C reaches its child processes as well."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
