"""Temporary folders that are always removed: if a process is killed, the next one to start removes its folder."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENGINE_PREFIX = "toptalkers-engine-"
"""The start of the names of folders where an engine compresses files for other programs to read."""

LOCK = "lock"
"""A file in each folder; it is locked as long as the process that made the folder is alive."""


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a folder that only this user can read, until the end of the block; first remove abandoned ones.

    Args:
        prefix: the start of its name; abandoned folders with the same prefix are removed.
        parent: where to make it; None for the system's temporary folder (`TMPDIR`).

    """
    parent = parent or Path(tempfile.gettempdir())
    remove_abandoned(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        # The lock file gets its name only once it is locked: otherwise a starting process could remove this folder.
        new = folder / f"{LOCK}.new"
        with new.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / LOCK)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove this user's folders with this prefix whose lock nobody holds: the process that made them is dead."""
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
