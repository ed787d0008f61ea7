"""Other processes: whether they run, and waiting for what they do."""

import subprocess
import time
from collections.abc import Callable


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Wait until a condition holds; it must within that time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process is alive, and is not a zombie."""
    ps = ["ps", "-o", "stat=", "-p", str(pid)]
    listed = subprocess.run(ps, capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip()) and not listed.stdout.strip().startswith("Z")
