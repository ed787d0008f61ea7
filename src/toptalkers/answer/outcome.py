"""Messages and exit codes of commands that write an answer, the same for local files and for a cluster."""

from collections.abc import Mapping

from toptalkers.answer.answer import Tally
from toptalkers.answer.formats import format_tally


def describe_misfits(tally: Tally) -> str:
    """Format how many files were counted only in part because their lines do not fit; `""` for none."""
    if not tally.misfits:
        return ""
    files = "1 file, or part of one, does" if tally.misfits == 1 else f"{tally.misfits:,} files, or parts of them, do"
    return (
        f"not counted completely: {files} not fit the layout; 'toptalkers run-local' names such files"
        " (--log-format names their columns, and --log-format auto asks AWS for them)"
    )


def describe_outcome(counters: Mapping[str, int], tally: Tally, *, is_empty: bool) -> str:
    """Format what is to be known of a run's answer. Without counters the tally is unknown."""
    empty = "The answer is empty: no record counts for the question." if is_empty else ""
    counts = format_tally(tally) if counters else "It is unknown what was skipped: the run's log is missing."
    return "\n".join(line for line in (empty, describe_misfits(tally), counts) if line)


def exit_code(tally: Tally, *, strict: bool) -> int:
    """Return 0 if everything was read, 1 if something was left out, or if `strict` and a record is malformed."""
    return int(bool(tally.files_unreadable or tally.misfits or (strict and tally.malformed)))
