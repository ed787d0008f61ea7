"""Make processes end with their parent, even when the parent is killed without a chance to clean up.

The parent holds one end of a pipe, and a shell in the child's process group reads the other. When the pipe closes,
for whatever reason, the shell kills the group. This needs only `/bin/sh` and `cat`, on Linux and on macOS.
"""

import os
import threading
from collections.abc import Sequence

# The shell becomes the command, so that its process id and exit code are the command's.
_SHELL = 'exec 3<&0 </dev/null; { cat <&3; kill -9 0; } >/dev/null 2>&1 & exec 3<&-; exec "$@"'


def leashed(command: Sequence[str]) -> list[str]:
    """Return a command that runs the given one on a leash.

    Start it with `start_new_session=True` and a pipe as its standard input. At the end, kill its process group
    before closing the pipe: the shell that reads the pipe belongs to the group. The command itself gets no input.
    """
    return ["/bin/sh", "-c", _SHELL, "leash", *command]


_is_leashing = False


def leash_forks() -> None:
    """Make every process that is forked from this one, from now on, end when this one ends."""
    global _is_leashing  # noqa: PLW0603 - a registration cannot be undone, and one is enough
    if _is_leashing:
        return
    _is_leashing = True
    starter = forker = os.getpid()
    is_over, held = os.pipe()

    def note() -> None:
        nonlocal forker
        forker = os.getpid()

    def begin() -> None:
        # Not `os.getppid()`: the starter may be dead by now.
        if forker == starter:  # a process forked from a fork does without
            os.close(held)
            threading.Thread(target=wait, name="leash", daemon=True).start()

    def wait() -> None:
        os.read(is_over, 1)
        os._exit(1)

    os.register_at_fork(before=note, after_in_child=begin)
