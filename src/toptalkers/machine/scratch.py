"""Temporary folders that nothing leaves behind: what a killed process could not remove, the next start does."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENGINE_PREFIX = "toptalkers-engine-"
"""How the folders of engines are named that pack files for others to read."""

LOCK = "lock"
"""A file in each folder; as long as who made the folder lives, it is locked."""


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder that only this user can look into, until the end of the block; what the dead left goes first.

    Args:
        prefix: how its name begins, and those of its kind that are looked for.
        parent: where it is; None for the system's temporary folder (`TMPDIR`).

    """
    parent = parent or Path(tempfile.gettempdir())
    remove_abandoned(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        # Under its name only when it is locked: another that starts now would take this one for dead.
        new = folder / f"{LOCK}.new"
        with new.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / LOCK)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove this user's folders whose names begin so, and whose locks nobody holds: who made them is dead."""
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
