"""Ctrl-C, SIGTERM and SIGHUP: all end a command in the same way, so that none of them leaves more behind."""

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []
_own_process = os.getpid()


def stop_on_signals() -> None:
    """Let each of the signals raise KeyboardInterrupt, except those that our parent process ignores (`nohup`)."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def stop_no_more() -> None:
    """Ignore the signals, because the work is done; but not after a signal, so that the user can send another."""
    if not _received:
        for number in SIGNALS:
            if signal.getsignal(number) is _stop:
                signal.signal(number, signal.SIG_IGN)


def last_signal() -> int | None:
    """Return the signal that came last; None if there was none."""
    return _received[-1] if _received else None


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    if os.getpid() != _own_process:
        # A process that mrjob forked for a task: end it without a message.
        raise SystemExit(128 + number)
    _received.append(number)
    raise KeyboardInterrupt
