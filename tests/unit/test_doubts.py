"""The doubts about an answer that `--strict` turns into exit code 1."""

import pytest

from toptalkers.answer.answer import Tally
from toptalkers.answer.doubts import DOUBTS, Doubt, find_doubts
from toptalkers.answer.quality import Quality
from toptalkers.question.query import Query

TALLY = Tally(20, 10, {"skipdata": 2, "malformed_port": 1, "nodata": 7})
QUALITY = Quality(oriented={"syn": 5, "?": 1}, hours=(0, 7200, 4 * 3600), without_packet_addresses=3)
ONCE = Query.parse(count="once", pairs="yes")

LINES = [
    "malformed: 1 record is malformed",
    "skipdata: AWS left records out in 2 windows (SKIPDATA), so sums are a floor",
    "gaps: no record counts from 1970-01-01T01:00:00Z to 1970-01-01T02:00:00Z, and 1 more",
    "servers: nothing tells the server of 1 record (how is ?)",
    "legs: 3 records have no pkt-srcaddr and pkt-dstaddr, so what a gateway sent on may be counted again",
]


def test_every_doubt_has_a_line_of_its_own() -> None:
    """Each kind of doubt is one line, in their order, that begins with its name."""
    assert find_doubts(ONCE, TALLY, QUALITY) == LINES


@pytest.mark.parametrize("kind", DOUBTS)
def test_only_the_kinds_asked_about_are_found(kind: Doubt) -> None:
    """Of all doubts only those of a named kind are found, and none when none is named."""
    assert find_doubts(ONCE, TALLY, QUALITY, [kind]) == [line for line in LINES if line.startswith(f"{kind}:")]
    assert find_doubts(ONCE, TALLY, QUALITY, ()) == []


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ({}, []),
        ({"pairs": "yes"}, ["servers"]),
        ({"count": "once"}, ["legs"]),
        ({"count": "once", "pairs": "yes", "address": "eni"}, ["servers"]),
        ({"count": "once", "pairs": "yes"}, ["servers", "legs"]),
    ],
)
def test_doubts_about_conversations_need_such_a_question(question: dict[str, str], kinds: list[str]) -> None:
    """A plain count has no doubt about servers, and addresses of interfaces none about legs behind a gateway."""
    quality = Quality(oriented={"?": 1}, without_packet_addresses=3)
    found = find_doubts(Query.parse(**question), Tally(1, 1), quality)
    assert [line.partition(":")[0] for line in found] == kinds


def test_a_sound_answer_has_no_doubts() -> None:
    """Records that were left out on purpose, and hours side by side, are no doubt."""
    tally = Tally(9, 3, {"nodata": 1, "action": 1, "ports": 3, "where": 1})
    assert find_doubts(ONCE, tally, Quality(oriented={"syn": 3}, hours=(0, 3600))) == []
