"""Messages and exit codes of commands that write an answer, the same for local files and for a cluster."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.formats import format_tally
from toptalkers.question.digest import is_digest


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


def absent_parts(answer: Answer) -> tuple[Answer, str]:
    """Look whether a part of the key is `-` in every line of a short answer, which is probably not what was meant.

    Returns the answer, to be used instead of the one that was given, and a note; `""` if there is nothing to say, or
    if the answer is longer than one chunk.
    """
    query = answer.query
    if query.is_recipe or query.pairs or is_digest(query):
        return answer, ""
    chunks = iter(answer.chunks)
    first, second = next(chunks, b""), next(chunks, b"")
    lines = first.splitlines()
    note = ""
    if lines and not second and (not answer.top or len(lines) < answer.top):
        values = zip(*(line.split(b"\t") for line in lines), strict=True)
        names = [
            column.name for column, texts in zip(query.lines.columns, values, strict=False) if set(texts) == {b"-"}
        ]
        if names:
            note = f"no record has {' or '.join(names)}: a flow log has only the fields of its format"
    return replace(answer, chunks=_joined((first, second), chunks)), note


def _joined(read: Iterable[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    return (chunk for chunk in chain(read, rest) if chunk)


def exit_code(tally: Tally, *, strict: bool) -> int:
    """Return 0 if everything was read, 1 if something was left out, or if `strict` and a record is malformed."""
    return int(bool(tally.files_unreadable or tally.misfits or (strict and tally.malformed)))
