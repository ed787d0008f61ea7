"""How a command that answers ends: the same words and exit codes for files here and for a cluster."""

from collections.abc import Mapping

from toptalkers.answer import Tally
from toptalkers.results.formats import format_tally

MISFITS = "misfit_files"
"""The mapper's counter of files most of whose lines do not fit their layout."""

EMPTY = "The answer is empty: no record counts for the question."


def tally_of_counters(counters: Mapping[str, int], *, objects: int, left_out: int = 0) -> Tally:
    """Make a run's tally: of the objects given to a cluster, those that do not fit their layout were not counted.

    Args:
        counters: what the mapper reported.
        objects: how many objects the cluster was given.
        left_out: how many more were asked for, and not given to it.

    """
    misfits = counters.get(MISFITS, 0)
    return Tally.from_counters(counters, files_read=max(0, objects - misfits), files_unreadable=left_out + misfits)


def describe_misfits(counters: Mapping[str, int]) -> str:
    """Say how many files were not counted for their lines, and what to do; empty when there are none."""
    misfits = counters.get(MISFITS, 0)
    if not misfits:
        return ""
    files = "1 file does not fit its" if misfits == 1 else f"{misfits:,} files do not fit their"
    return f"left out: {files} layout (--log-format names the columns, and --log-format auto asks AWS for them)"


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
    return int(bool(tally.files_unreadable or left_out or (strict and tally.malformed)))
