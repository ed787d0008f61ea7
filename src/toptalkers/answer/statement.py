"""The statement of quality: how well the numbers of an answer hold, for people and as JSON.

It goes with the tally of the records. What an engine, or a question, does not look at is left out, and is null in JSON.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from toptalkers.answer.answer import Answer, Shown
from toptalkers.answer.presentation import additive
from toptalkers.answer.quality import UNKNOWN_INTERFACE
from toptalkers.question.conversations import HOWS
from toptalkers.question.times import format_seconds
from toptalkers.visible import visible

MOST_NAMED = 3
"""How many interfaces, or gaps, are named to people. JSON has all."""

HOW_WORDS = {
    "syn": "TCP flags",
    "peers": "number of peers",
    "ports": "class of port",
    "?": "nothing (a guess)",
}
"""What each rule goes by that finds the server of a record."""


def measured(answer: Answer) -> Answer:
    """The answer with `shown`, which adds up the first sum of the lines while the chunks are read.

    Without `shown` if that would tell nothing: all lines are shown, or it is not known what all of them add up to.
    """
    query = answer.query
    metric = query.metric[0]
    if not answer.top or metric not in additive(query) or not answer.totals.get(metric):
        return answer
    if answer.talkers is not None and answer.talkers <= answer.top:
        return answer
    shown = Shown()

    def chunks() -> Iterator[bytes]:
        at = query.rank_column - 1
        for chunk in answer.chunks:
            lines = chunk.splitlines()
            shown.lines += len(lines)
            shown.value += sum(int(line.split(b"\t", at + 1)[at]) for line in lines)
            yield chunk

    return replace(answer, chunks=chunks(), shown=shown)


def share_shown(answer: Answer) -> float | None:
    """How much of all that counted the lines hold that were read, in percent; None if it was not added up."""
    total = answer.totals.get(answer.query.metric[0])
    return 100 * answer.shown.value / total if answer.shown and total else None


def format_quality(answer: Answer) -> str:
    """Format what is to be known of an answer beside its tally, a line each; `""` for nothing."""
    quality = answer.quality
    lines = []
    if quality.skipdata:
        lines.append(f"SKIPDATA at {_interfaces(quality.skipdata)}: what was logged there is a floor")
    joined = [
        (quality.duplicates, "copy" if quality.duplicates == 1 else "copies"),
        (quality.collapsed, "seen at a second interface"),
        (quality.relayed, "relayed by a gateway"),
    ]
    parts = [f"{number:,} {what}" for number, what in joined if number is not None]
    if parts and (answer.tally.counted or any(number for number, _ in joined)):
        lines.append(f"left out as counted before: {', '.join(parts)}")
    if oriented := [(quality.oriented[how], how) for how in HOWS if quality.oriented.get(how)]:
        lines.append("server found by: " + ", ".join(f"{HOW_WORDS[how]} {number:,}" for number, how in oriented))
    if window := quality.window:
        lines.append(f"counted records start from {_span(window)}")
    if gaps := quality.gaps:
        number = "1 gap" if len(gaps) == 1 else f"{len(gaps):,} gaps"
        lines.append(f"{number} without a counted record: {_some([f'from {_span(gap)}' for gap in gaps])}")
    if (share := share_shown(answer)) is not None and answer.shown:
        rows = "row holds" if answer.shown.lines == 1 else "rows hold"
        lines.append(f"the {answer.shown.lines:,} {rows} {share:.1f}% of all {answer.query.metric[0]}")
    return "\n".join(lines)


def quality_object(answer: Answer) -> dict[str, object]:
    """The quality of an answer for JSON. Read the chunks first."""
    quality = answer.quality
    share = share_shown(answer)
    is_whole = not answer.top or (answer.talkers is not None and answer.talkers <= answer.top)
    has_unknown = answer.tally.skipped.get("skipdata") and not quality.skipdata
    return {
        "duplicates": quality.duplicates,
        "collapsed": quality.collapsed,
        "relayed": quality.relayed,
        "oriented": {how: quality.oriented[how] for how in HOWS if how in quality.oriented} or None,
        "without_tcp_flags": quality.without_flags,
        "without_pkt_addresses": quality.without_packet_addresses,
        "skipdata": None if has_unknown else dict(sorted(quality.skipdata.items())),
        "window": _times(quality.window) if quality.window else None,
        "gaps": [_times(gap) for gap in quality.gaps] if quality.window else None,
        "shown_percent": 100.0 if is_whole else None if share is None else round(share, 6),
    }


def _interfaces(skipdata: Mapping[str, int]) -> str:
    """The interfaces with SKIPDATA, those with most windows first."""
    known = dict(skipdata)
    unnamed = known.pop(UNKNOWN_INTERFACE, 0)
    most = sorted(known.items(), key=lambda one: (-one[1], one[0]))
    names = [f"{visible(name)} in {_windows(number)}" for name, number in most]
    parts = [f"{len(names):,} interface{'' if len(names) == 1 else 's'} ({_some(names)})"] if names else []
    parts += [f"interfaces without a name ({_windows(unnamed)})"] if unnamed else []
    return " and ".join(parts)


def _windows(number: int) -> str:
    return f"{number:,} window{'' if number == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def _span(times: tuple[int, int]) -> str:
    return " to ".join(map(format_seconds, times))


def _times(times: tuple[int, int]) -> dict[str, str]:
    return dict(zip(("from", "until"), map(format_seconds, times), strict=True))
