"""How a command that gives an answer ends: the same words and exit codes for local files and for a cluster."""

from collections.abc import Mapping

from toptalkers.answer.answer import Tally
from toptalkers.answer.formats import format_tally

EMPTY = "The answer is empty: no record counts for the question."


def describe_misfits(tally: Tally) -> str:
    """Say how many files were counted only in part because their lines do not fit, and what to do; `""` for none."""
    if not tally.misfits:
        return ""
    files = "1 file, or part of one, does" if tally.misfits == 1 else f"{tally.misfits:,} files, or parts of them, do"
    return (
        f"not counted completely: {files} not fit the layout; 'toptalkers run-local' names such files"
        " (--log-format names their columns, and --log-format auto asks AWS for them)"
    )


def describe_tally(counters: Mapping[str, int], tally: Tally) -> str:
    """Write a run's tally in words, or say that it is unknown."""
    return format_tally(tally) if counters else "It is unknown what was skipped: the run's log is missing."


def exit_code(tally: Tally, *, left_out: int = 0, strict: bool = False) -> int:
    """Return the exit code of a command that gave an answer: 0 if everything was read, 1 if something was left out.

    Args:
        tally: the answer's tally.
        left_out: how many files were left out that the tally does not include.
        strict: whether a malformed record is a failure, too.

    """
    return int(bool(tally.files_unreadable or tally.misfits or left_out or (strict and tally.malformed)))
