"""Doubts about an answer, which `--strict` turns into exit code 1."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal, get_args

from toptalkers.question.times import format_seconds

if TYPE_CHECKING:
    from toptalkers.answer.answer import Tally
    from toptalkers.answer.quality import Quality
    from toptalkers.question.query import Query

Doubt = Literal["malformed", "skipdata", "gaps", "servers", "legs"]
"""Records that are malformed; that AWS left out; hours without any; servers that nothing tells; legs behind a gateway
that are counted as conversations of their own."""

DOUBTS: tuple[Doubt, ...] = get_args(Doubt)


def find_doubts(query: "Query", tally: "Tally", quality: "Quality", about: Collection[Doubt] = DOUBTS) -> list[str]:
    """The doubts about an answer of these kinds, in a line each, which begins with the kind."""
    found: dict[Doubt, str] = {}
    if number := tally.malformed:
        found["malformed"] = _number(number, "record is malformed", "records are malformed")
    if number := tally.skipped.get("skipdata", 0):
        windows = _number(number, "window", "windows")
        found["skipdata"] = f"AWS left records out in {windows} (SKIPDATA), so sums are a floor"
    if gaps := quality.gaps:
        first = " to ".join(map(format_seconds, gaps[0]))
        more = f", and {len(gaps) - 1:,} more" if gaps[1:] else ""
        found["gaps"] = f"no record counts from {first}{more}"
    if query.pairs and (number := quality.oriented.get("?", 0)):
        found["servers"] = f"nothing tells the server of {_number(number, 'record', 'records')} (how is ?)"
    is_once = query.count == "once" and query.uses_packet_addresses
    if is_once and (number := quality.without_packet_addresses or 0):
        lacking = _number(number, "record has", "records have")
        found["legs"] = f"{lacking} no pkt-srcaddr and pkt-dstaddr, so what a gateway sent on may be counted again"
    return [f"{kind}: {found[kind]}" for kind in DOUBTS if kind in found and kind in about]


def _number(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
