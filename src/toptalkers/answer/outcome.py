"""Messages and exit codes of commands that write an answer, the same for local files and for a cluster."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from toptalkers.answer.answer import MAPS_IN_PYTHON, Answer, Tally, maps_of
from toptalkers.answer.formats import format_tally
from toptalkers.answer.quality import Quality
from toptalkers.question.digest import is_digest
from toptalkers.question.key import SERVICE_PARTS
from toptalkers.question.query import Query


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
    return "\n".join(line for line in (empty, describe_misfits(tally), counts, _describe_slow_maps(counters)) if line)


def _describe_slow_maps(counters: Mapping[str, int]) -> str:
    """Say how many maps counted without the kernel; `""` for none."""
    in_python, maps = counters.get(MAPS_IN_PYTHON, 0), maps_of(counters)
    if not in_python:
        return ""
    return (
        f"{in_python:,} of {maps:,} maps counted in Python, which takes several times as long: their nodes had no"
        " kernel that they could load; install toptalkers from a wheel, or see the logs of the maps"
    )


def notes_of_format(query: Query, quality: Quality) -> list[str]:
    """What cannot be told of conversations because the records lack fields, and what would tell it; a line each."""
    notes = []
    needs_server = query.pairs or not {*SERVICE_PARTS}.isdisjoint(query.by)
    if (is_digest(query) or (query.joins_records and needs_server)) and quality.without_flags:
        notes.append(
            f"{_records(quality.without_flags, 'TCP record')} no tcp-flags, which show who opened a connection: servers"
            " were found by peers and ports, too"
        )
    tells_legs = is_digest(query) or (query.count == "once" and query.uses_packet_addresses)
    if tells_legs and quality.without_packet_addresses:
        notes.append(
            f"{_records(quality.without_packet_addresses, 'record')} no pkt-srcaddr and pkt-dstaddr: what a NAT gateway"
            " sent on is counted as a conversation of its own"
        )
    if notes:
        notes[-1] += "; flow logs of 'enable-flowlogs --log-format rich' have these fields"
    return notes


def _records(number: int, what: str) -> str:
    return f"{number:,} {what}{' has' if number == 1 else 's have'}"


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


def exit_code(tally: Tally, doubts: Sequence[str] = ()) -> int:
    """Return 0 if everything was read, 1 if something was left out, or if there are doubts that fail."""
    return int(bool(tally.files_unreadable or tally.misfits or doubts))
