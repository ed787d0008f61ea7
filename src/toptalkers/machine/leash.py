"""Lets processes die with the one that started them, even when that is killed without a chance to clean up.

The starter holds the other end of a pipe; a shell in the group reads it, and its end, however it came, is the
group's. That needs nothing but `/bin/sh` and `cat`, on Linux as on macOS.
"""

import os
import threading
from collections.abc import Sequence

# The shell becomes the command, so that its process id and exit code are the command's.
_SHELL = 'exec 3<&0 </dev/null; { cat <&3; kill -9 0; } >/dev/null 2>&1 & exec 3<&-; exec "$@"'


def leashed(command: Sequence[str]) -> list[str]:
    """A command that runs the given one on a leash.

    Start it with `start_new_session=True` and a pipe as its standard input. Kill its group in the end, before
    the pipe is closed: the shell that reads is part of it. The command itself gets no input.
    """
    return ["/bin/sh", "-c", _SHELL, "leash", *command]


_is_leashing = False


def leash_forks() -> None:
    """Have each process that is forked from this one, from now on, end when this one has."""
    global _is_leashing  # noqa: PLW0603 - what is registered cannot be taken back, and once is enough
    if _is_leashing:
        return
    _is_leashing = True
    starter = os.getpid()
    is_over, held = os.pipe()

    def begin() -> None:
        if os.getppid() == starter:  # what is forked from a fork has it as its starter
            os.close(held)
            threading.Thread(target=wait, name="leash", daemon=True).start()

    def wait() -> None:
        os.read(is_over, 1)
        os._exit(1)

    os.register_at_fork(after_in_child=begin)
