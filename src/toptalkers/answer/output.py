"""Write an answer to standard output, or to a file that is whole or absent."""

import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from toptalkers.errors import ToptalkersError
from toptalkers.machine.whole_file import remove_leftovers, whole_file


def check_output(output: Path) -> None:
    """Check that a file can be written, before there is anything to write; remove what killed processes left of it.

    Raises:
        ToptalkersError: it is a folder, a disk or a socket, is read-only or another user's, or cannot be created.

    """
    target = Path(os.path.realpath(output))
    try:
        before = _status(output)
        if before is None:
            (target.parent / ".").stat()
        elif stat.S_ISREG(before.st_mode):
            target.stat()  # a deleted file that is still open somewhere cannot be replaced
    except OSError as error:
        raise ToptalkersError(f"cannot write {output}: {error.strerror or error}") from error
    if before is not None and not _can_be_written(before.st_mode):
        what = "a folder" if stat.S_ISDIR(before.st_mode) else "not a file, pipe or terminal"
        raise ToptalkersError(f"cannot write {output}: it is {what}")
    if before is None or (stat.S_ISREG(before.st_mode) and not _is_stdout(before)):
        if before is not None:
            _require_ours(output, before)
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise ToptalkersError(f"cannot write {output}: the folder {target.parent} is read-only")
        remove_leftovers(target.parent, target.name)


def write_output(chunks: Iterable[bytes], output: Path | None) -> None:
    """Write chunks to a file, compressed if its name ends in `.gz`, or to standard output if `output` is None.

    A regular file is written under a temporary name beside it and renamed, so that it is never half written; it keeps
    the mode and owner of the file that it replaces, but not its ACL. If it is a link, the link stays and its target is
    written. A pipe, a terminal or another character device is written directly.

    Raises:
        ToptalkersError: it cannot be written.
        BrokenPipeError: the reader of standard output has stopped.

    """
    if output is None:
        write_stdout(chunks)
        return
    check_output(output)
    before = _status(output)
    if output.suffix == ".gz":
        chunks = _compressed(chunks)
    if before is not None and _is_stdout(before):
        write_stdout(chunks)
        return
    try:
        if before is not None and not stat.S_ISREG(before.st_mode):
            with output.open("wb") as stream:
                stream.writelines(chunks)
            return
        mode = None if before is None else stat.S_IMODE(before.st_mode)
        owner = None if before is None else (before.st_uid, before.st_gid)
        with whole_file(Path(os.path.realpath(output)), mode=mode, owner=owner) as file:
            file.writelines(chunks)
    except OSError as error:
        raise ToptalkersError(f"cannot write {output}: {error.strerror or error}") from error


def write_stdout(chunks: Iterable[bytes]) -> None:
    """Write chunks to standard output.

    Raises:
        ToptalkersError: it is closed or full.
        BrokenPipeError: its reader has stopped.

    """
    if sys.stdout is None:  # Python was started without one
        raise ToptalkersError("cannot write to standard output: it is closed")
    sys.stdout.flush()
    for chunk in chunks:
        _write(chunk)
    _write(b"")


def _write(chunk: bytes) -> None:
    try:
        sys.stdout.buffer.write(chunk)
        if not chunk:
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ToptalkersError(f"cannot write to standard output: {error.strerror or error}") from error


def _status(output: Path) -> os.stat_result | None:
    """Return the status of a file, or of a link's target; None if it does not exist."""
    try:
        return output.stat()
    except FileNotFoundError:
        return None


def _can_be_written(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _is_stdout(status: os.stat_result) -> bool:
    """Whether standard output goes to this file: `/dev/stdout`, or the file after the shell's `>`."""
    try:
        return os.path.samestat(status, os.fstat(sys.stdout.fileno()))
    except (AttributeError, OSError, ValueError):
        return False


def _require_ours(output: Path, before: os.stat_result) -> None:
    # Root may write any file; but if a user made a file read-only, that holds for root as well.
    if not before.st_mode & 0o222 or not os.access(output, os.W_OK):
        raise ToptalkersError(f"cannot write {output}: it is read-only", hint="remove it first, or name another")
    if os.geteuid() not in (0, before.st_uid):
        raise ToptalkersError(
            f"cannot write {output}: it belongs to another user", hint="remove it first, or name another"
        )


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
