"""How a command that answers ends: the same words and exit codes for files here and for a cluster."""

from collections.abc import Mapping

from toptalkers.answer.answer import Tally
from toptalkers.answer.formats import format_tally

EMPTY = "The answer is empty: no record counts for the question."


def describe_misfits(tally: Tally) -> str:
    """Say how many files were counted only in part, since their lines do not fit, and what to do; `""` for none."""
    if not tally.misfits:
        return ""
    files = "1 file, or part of one, does" if tally.misfits == 1 else f"{tally.misfits:,} files, or parts of them, do"
    return (
        f"not counted whole: {files} not fit the layout; 'toptalkers run-local' names such files"
        " (--log-format names their columns, and --log-format auto asks AWS for them)"
    )


def describe_tally(counters: Mapping[str, int], tally: Tally) -> str:
    """Write a run's tally in words, or say that it is not known."""
    return format_tally(tally) if counters else "What was skipped is not known: the log of the run is not there."


def exit_code(tally: Tally, *, left_out: int = 0, strict: bool = False) -> int:
    """The exit code of a command whose answer is given: 0 when all was read, 1 when something was left out.

    Args:
        tally: the answer's.
        left_out: what was left out and does not stand in the tally.
        strict: whether a malformed record is a failure, too.

    """
    return int(bool(tally.files_unreadable or tally.misfits or left_out or (strict and tally.malformed)))
