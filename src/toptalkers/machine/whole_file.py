"""Files that are whole or absent: written beside their place under another name, and renamed at the end.

The other name is `.NAME.PID.RANDOM.toptalkers`. The writer holds a lock (flock) on it until the rename, so that files
left by a killed process can be told from files that are being written, and removed.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_LEFTOVER = rb"(?s:\.(.*)\.[0-9]+\.[0-9a-f]{16}\.toptalkers)"

_STEM_BYTES = 180
"""Longer names are cut to this: with the rest they stay below the 255 bytes that file systems allow."""


@contextmanager
def whole_file(
    path: Path, *, mode: int | None = None, owner: tuple[int, int] | None = None, folder: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` when the block ends, and does not appear if the block raises.

    Args:
        path: where it will be; an existing file is replaced.
        mode: its permissions; None for those of new files.
        owner: its user and group; None for those of new files.
        folder: where to write it, on the same file system; None for beside `path`.

    Raises:
        OSError: it cannot be written; nothing is left behind.

    """
    stem = os.fsencode(path.name)[:_STEM_BYTES]
    name = b".%b.%d.%b.toptalkers" % (stem, os.getpid(), os.urandom(8).hex().encode())
    hidden = (folder or path.parent) / os.fsdecode(name)
    try:
        # The name is chosen before the file exists, so that a signal at any moment leaves nothing unremoved.
        with os.fdopen(_make_locked(hidden, 0o666 if mode is None else 0o600), "wb") as file:
            yield file
            file.flush()
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove the files that killed processes left in a folder: for one name, or for all.

    Nothing else is touched: a leftover is a regular file of this user, with such a name, that no process has locked.
    A folder that cannot be listed is skipped.
    """
    stem = None if name is None else os.fsencode(name)[:_STEM_BYTES]
    with suppress(OSError), os.scandir(os.fsencode(folder)) as entries:
        for entry in entries:
            match = re.fullmatch(_LEFTOVER, entry.name)
            if match and stem in (None, match[1]):
                with suppress(OSError):
                    _remove_if_dead(entry.path)


def _make_locked(path: Path, mode: int) -> int:
    while True:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with suppress(OSError):  # on a file system without locks, leftovers are never removed
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # another process removed it as a leftover before it was locked


def _remove_if_dead(path: bytes) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(handle).st_nlink:
                os.unlink(path)  # noqa: PTH108 - bytes, which paths do not take
    finally:
        os.close(handle)
