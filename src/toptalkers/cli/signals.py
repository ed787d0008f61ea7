"""Ctrl-C, SIGTERM and SIGHUP: all end a command in the same way, so that each leaves as little behind."""

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []
_own_process = os.getpid()


def stop_on_signals() -> None:
    """Let each of the signals raise KeyboardInterrupt, but for those that who started us had ignored (`nohup`)."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def stop_no_more() -> None:
    """Ignore the signals, as all is done and said; unless one came, and somebody may grow impatient."""
    if not _received:
        for number in SIGNALS:
            if signal.getsignal(number) is _stop:
                signal.signal(number, signal.SIG_IGN)


def last_signal() -> int | None:
    """The signal that came last; None when none did."""
    return _received[-1] if _received else None


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    if os.getpid() != _own_process:
        # A process that mrjob forked for a task: it ends its script, and has nothing to say.
        raise SystemExit(128 + number)
    _received.append(number)
    raise KeyboardInterrupt
