"""Handle standard streams that are closed, full or of another encoding."""

import os
import sys
from typing import TextIO


def open_closed_streams() -> None:
    """Open a placeholder for each closed standard stream, so that no file opened later gets its number.

    Reading from a closed input fails, and so does writing to a closed output; messages to a closed standard error
    are lost.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, flags)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", buffering=1, closefd=False)


def show_any_text() -> None:
    """Write characters that a stream's encoding lacks as Python escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def flush_or_drop(stream: TextIO | None) -> OSError | None:
    """Flush a stream; if that fails, drop its buffer, so that Python does not report it again at exit.

    Returns:
        The error if it failed, else None.

    """
    if stream is None or stream.closed:
        return None
    try:
        stream.flush()
    except OSError as error:
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, stream.fileno())
        os.close(handle)
        return error
    return None
