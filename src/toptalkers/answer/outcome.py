"""Messages and exit codes of commands that write an answer, the same for local files and for a cluster."""

from collections.abc import Mapping

from toptalkers.answer.answer import Tally
from toptalkers.answer.formats import format_tally

EMPTY = "The answer is empty: no record counts for the question."


def describe_misfits(tally: Tally) -> str:
    """Format how many files were counted only in part because their lines do not fit; `""` for none."""
    if not tally.misfits:
        return ""
    files = "1 file, or part of one, does" if tally.misfits == 1 else f"{tally.misfits:,} files, or parts of them, do"
    return (
        f"not counted completely: {files} not fit the layout; 'toptalkers run-local' names such files"
        " (--log-format names their columns, and --log-format auto asks AWS for them)"
    )


def describe_tally(counters: Mapping[str, int], tally: Tally) -> str:
    """Format a run's tally; without counters it is unknown."""
    return format_tally(tally) if counters else "It is unknown what was skipped: the run's log is missing."


def exit_code(tally: Tally, *, strict: bool) -> int:
    """Return 0 if everything was read, 1 if something was left out, or if `strict` and a record is malformed."""
    return int(bool(tally.files_unreadable or tally.misfits or (strict and tally.malformed)))
