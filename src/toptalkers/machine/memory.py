"""How much memory this process may still take, by the tightest limit that applies."""

import errno
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toptalkers.errors import ToptalkersError

UNKNOWN_BYTES = 2 << 30
"""The assumption where nothing can be measured."""

_MEMINFO = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")
_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


@contextmanager
def explain_no_memory() -> Iterator[None]:
    """Turn any error caused by a lack of memory (for sums, threads, processes or libraries) into one line.

    Raises:
        ToptalkersError: there is not enough memory.

    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError, ImportError) as error:
        is_memory = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        if not is_memory and not any(words in str(error) for words in _NO_MEMORY):
            raise
        raise ToptalkersError(
            "there is not enough memory for the sums",
            hint="leave more memory free, or ask a cluster: toptalkers run-emr",
        ) from error


_NO_MEMORY = ("can't start new thread", "failed to map segment", "annot allocate memory")


def available_bytes() -> int:
    """Return how much memory may still be taken: what the system has free, within cgroup and `ulimit -v` limits."""
    found = [_system_bytes(), _below_cgroup_bytes(), _below_limit_bytes()]
    return min((bytes_ for bytes_ in found if bytes_ is not None), default=UNKNOWN_BYTES)


def _system_bytes() -> int | None:
    try:
        for line in _MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    try:
        # Elsewhere, half of the physical memory: the use by other processes is unknown.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError):
        return None


def _below_cgroup_bytes() -> int | None:
    """The memory that the cgroup (version 2) of a container or service, and its parents, still allow."""
    try:
        own = next(line for line in _CGROUP.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    folder = _CGROUP_ROOT / own.removeprefix("0::").strip("/")
    left: int | None = None
    while folder.is_relative_to(_CGROUP_ROOT):
        try:
            limit = (folder / "memory.max").read_text().strip()
            if limit != "max":
                here = max(0, int(limit) - int((folder / "memory.current").read_text()))
                left = here if left is None else min(left, here)
        except OSError:
            pass
        folder = folder.parent
    return left


def _below_limit_bytes() -> int | None:
    """The address space that `ulimit -v` still allows; libraries and threads already use some."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or sys.platform != "linux":
        return None
    taken = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    return max(0, limit - taken)
