"""Make a process end with the sandbox that started it, even when the sandbox is killed without a chance to clean up.

The sandbox holds the other end of the process's standard input and never writes to it again, so the input ends when
the sandbox ends.
"""

import os
import sys
import threading
from collections.abc import Callable


def die_with_parent(end: Callable[[], None]) -> None:
    """Call `end`, in a thread of its own, when standard input ends."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        end()

    threading.Thread(target=watch, name="parent", daemon=True).start()
