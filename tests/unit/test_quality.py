"""What is noted of records beside their sums, and the statement that is made of it."""

import json
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.formats import format_answer
from toptalkers.answer.quality import Quality
from toptalkers.answer.statement import format_quality, measured, quality_object
from toptalkers.kernel import door, pure
from toptalkers.question.query import Query

HOUR = 1700000000 // 3600 * 3600


def record(start: object = HOUR, interface: str = "eni-1", status: str = "OK", port: int = 443) -> bytes:
    flow = f"192.0.2.1 198.51.100.7 50000 {port} 6 1 100"
    return f"2 123456789012 {interface} {flow} {start} {start} ACCEPT {status}\n".encode()


def noted(kernel: object, lines: bytes, query: Query, *, counts: bool = True) -> Quality:
    counter = kernel.Counter(query)  # type: ignore[attr-defined]
    counter.feed(lines)
    counter.end_lines()
    counter.end_file(counts=counts)
    found: Quality = counter.quality
    return found


@pytest.fixture(params=[door, pure], ids=["door", "pure"])
def kernel(request: pytest.FixtureRequest) -> object:
    return request.param


def test_only_counted_records_cover_their_hours(kernel: object) -> None:
    """A record that another port leaves out covers no hour, and milliseconds are read as seconds."""
    lines = record(HOUR) + record(HOUR + 3600, port=5000) + record((HOUR + 7200) * 1000) + record("-")
    found = noted(kernel, lines, Query.parse())
    assert found.hours == (HOUR, HOUR + 7200)
    assert found.window == (HOUR, HOUR + 3 * 3600)
    assert found.gaps == [(HOUR + 3600, HOUR + 7200)]


def test_an_hour_ends_with_its_last_second(kernel: object) -> None:
    """The first and the last second of an hour are of that hour, and those beside it of others."""
    starts = [HOUR + 3599, HOUR, HOUR + 3600, HOUR - 1, HOUR]
    assert noted(kernel, b"".join(map(record, starts)), Query.parse()).hours == (HOUR - 3600, HOUR, HOUR + 3600)


def test_skipdata_is_noted_by_interface(kernel: object) -> None:
    """SKIPDATA is counted per interface, whatever else its line has, and as - where a name is too long."""
    lines = b"".join(record("-", name, "SKIPDATA") for name in ("eni-2", "eni-3", "eni-2", "e" * 60))
    assert noted(kernel, lines, Query.parse()).skipdata == {"eni-2": 2, "eni-3": 1, "-": 1}


def test_the_notes_of_many_files_add_up(kernel: object) -> None:
    """Of 600 files all windows and all hours are kept, also after a look at those of the first ones."""
    counter = kernel.Counter(Query.parse())  # type: ignore[attr-defined]
    for number in range(600):
        counter.feed(record(HOUR + 3600 * number) + record("-", "eni-2", "SKIPDATA"))
        counter.end_lines()
        counter.end_file(counts=True)
        if number == 10:
            assert counter.quality.skipdata == {"eni-2": 11}
    assert counter.quality == Quality(skipdata={"eni-2": 600}, hours=tuple(range(HOUR, HOUR + 600 * 3600, 3600)))


def test_a_layout_without_interfaces_names_none(kernel: object) -> None:
    """Without the field interface-id the windows with SKIPDATA are those of an interface without a name."""
    lines = b"srcaddr dstaddr dstport action log-status\n- - - - SKIPDATA\n192.0.2.1 192.0.2.2 53 ACCEPT OK\n"
    assert noted(kernel, lines, Query.parse()) == Quality(skipdata={"-": 1})


def test_the_last_column_may_name_the_interface(kernel: object) -> None:
    """An interface behind all columns that the question needs is named."""
    lines = b"srcaddr dstaddr dstport log-status action x interface-id\n- - - SKIPDATA - - eni-9\n"
    assert noted(kernel, lines, Query.parse()).skipdata == {"eni-9": 1}


def test_a_file_that_does_not_count_leaves_no_note(kernel: object) -> None:
    """Neither hours nor interfaces are kept of a file that is left out."""
    assert noted(kernel, record() + record(status="SKIPDATA"), Query.parse(), counts=False) == Quality()


def test_absorbed_counters_hand_over_their_notes(kernel: object) -> None:
    """A counter that absorbs another one has the notes of both, and the other has none."""
    one, other = (kernel.Counter(Query.parse()) for _ in range(2))  # type: ignore[attr-defined]
    for counter, start in ((one, HOUR), (other, HOUR + 3600)):
        counter.feed(record(start) + record(interface="eni-2", status="SKIPDATA"))
        counter.end_lines()
        counter.end_file(counts=True)
    one.absorb(other)
    assert one.quality == Quality(skipdata={"eni-2": 2}, hours=(HOUR, HOUR + 3600))
    assert other.quality == Quality()


def test_more_interfaces_than_are_kept_lose_their_names() -> None:
    """Of 5,000 interfaces with SKIPDATA the kernel names 4,096 at most, and counts all windows."""
    found = noted(door, b"".join(record("-", f"eni-{n}", "SKIPDATA") for n in range(5000)), Query.parse())
    assert len(found.skipdata) <= 4097
    assert sum(found.skipdata.values()) == 5000


STARTS = st.one_of(
    st.integers(HOUR - 4000, HOUR + 8000),
    st.integers(0, 1 << 50),
    st.text("0123456789:-a", min_size=1, max_size=12),
)
LINES = st.lists(
    st.builds(record, STARTS, st.sampled_from(["eni-1", "eni-2", "-", "e" * 56]), st.sampled_from(["OK", "SKIPDATA"]))
)


@given(LINES, st.sampled_from([{}, {"metric": "first,last"}, {"by": "hour"}, {"since": "2023-11-14T22:00Z"}]))
def test_both_kernels_note_the_same(lines: list[bytes], question: dict[str, str]) -> None:
    """The kernel in C and the one in Python note the same hours and interfaces, also of damaged starts."""
    query = Query.parse(**question)
    assert noted(door, b"".join(lines), query) == noted(pure, b"".join(lines), query)


def test_quality_adds_up() -> None:
    """Numbers that are known of one part only are those of both, and hours are joined."""
    one = Quality(duplicates=2, oriented={"syn": 1}, skipdata={"eni-1": 1}, hours=(0, 7200))
    other = Quality(duplicates=3, relayed=1, oriented={"syn": 2, "?": 1}, skipdata={"eni-1": 1}, hours=(3600, 7200))
    both = Quality(5, None, 1, {"syn": 3, "?": 1}, {"eni-1": 2}, (0, 3600, 7200))
    assert one + other == both
    left_out = Quality(collapsed=1, relayed=10, without_flags=100, without_packet_addresses=1000)
    assert left_out + left_out == Quality(None, 2, 20, without_flags=200, without_packet_addresses=2000)
    assert Quality() + one == one + Quality() == one


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        {},
        {"skipdata": {"a": -1}, "hours": []},
        {"skipdata": {"a": 0}, "hours": []},
        {"skipdata": {}, "hours": [1]},
    ],
)
def test_damaged_notes_are_refused(damaged: object) -> None:
    """What `noted` did not make is no quality."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        Quality.parse(damaged)


def test_notes_are_read_back() -> None:
    """The notes of an entry of the cache are those that were kept."""
    one = Quality(skipdata={"eni-1": 2}, hours=(3600,))
    assert Quality.parse(json.loads(json.dumps(one.noted()))) == one


QUALITY = Quality(
    duplicates=1,
    collapsed=20,
    relayed=3000,
    oriented={"?": 1, "syn": 5},
    skipdata={"eni-4": 1, "eni-2": 3, "eni-1": 1, "eni-3": 1, "-": 1},
    hours=(0, 3600, 4 * 3600),
)
LINES_OF_TWO = b"192.0.2.1:192.0.2.2:53\t6\n192.0.2.1:192.0.2.2:80\t2\n"


def test_the_statement_has_a_line_for_each_doubt() -> None:
    """People read what was collapsed, how servers were found, which interfaces lost records, and what is shown."""
    answer = measured(Answer(Query.parse(), [LINES_OF_TWO], Tally(), 3, 2, {"records": 10}, quality=QUALITY))
    list(answer.chunks)
    most, floor = "eni-2 in 3 windows, eni-1 in 1 window, eni-3 in 1 window", "what was logged there is a floor"
    assert format_quality(answer).splitlines() == [
        f"SKIPDATA at 4 interfaces ({most} and 1 more) and interfaces without a name (1 window): {floor}",
        "left out as counted before: 1 copy, 20 seen at a second interface, 3,000 relayed by a gateway",
        "server found by: TCP flags 5, nothing (a guess) 1",
        "counted records start from 1970-01-01T00:00:00Z to 1970-01-01T05:00:00Z",
        "1 gap without a counted record: from 1970-01-01T02:00:00Z to 1970-01-01T04:00:00Z",
        "the 2 rows hold 80.0% of all records",
    ]


@pytest.mark.parametrize("metric", ["bytes", "packets", "records"])
def test_pairs_hold_a_share_of_the_metric_that_ranks(metric: Literal["bytes", "packets", "records"]) -> None:
    """With --pairs the share is that of the ranking metric, whichever column it is."""
    line = b"192.0.2.1\t192.0.2.2\t443\t6\t60\t50\t40\t1\t59\t2\t48\t3\t37\tsyn\n"
    value = {"bytes": 60, "packets": 50, "records": 40}[metric]
    answer = measured(Answer(Query.parse(pairs="yes", metric=metric), [line], Tally(), 3, 1, {metric: 4 * value}))
    assert list(answer.chunks) == [line]
    assert format_quality(answer) == f"the 1 row holds 25.0% of all {metric}"


def test_nothing_known_is_nothing_said() -> None:
    """Of an answer without any of this there is no statement, and JSON has nulls."""
    answer = Answer(Query.parse(), [LINES_OF_TWO], Tally(skipped={"skipdata": 3}), top=2)
    assert format_quality(answer) == ""
    assert {value for name, value in quality_object(answer).items()} == {None}


def test_json_ends_with_the_quality() -> None:
    """The JSON of an answer has the quality behind the talkers, as it is known only then."""
    answer = measured(Answer(Query.parse(), [LINES_OF_TWO], Tally(), 3, 2, {"records": 10}, quality=QUALITY))
    found = json.loads(b"".join(format_answer(answer, "json")))
    assert [*found][-2:] == ["talkers", "quality"]
    assert found["quality"] == {
        "duplicates": 1,
        "collapsed": 20,
        "relayed": 3000,
        "oriented": {"syn": 5, "?": 1},
        "without_tcp_flags": None,
        "without_pkt_addresses": None,
        "skipdata": {"-": 1, "eni-1": 1, "eni-2": 3, "eni-3": 1, "eni-4": 1},
        "window": {"from": "1970-01-01T00:00:00Z", "until": "1970-01-01T05:00:00Z"},
        "gaps": [{"from": "1970-01-01T02:00:00Z", "until": "1970-01-01T04:00:00Z"}],
        "shown_percent": 80.0,
    }


def test_all_rows_hold_everything() -> None:
    """Where all talkers are shown, nothing is added up, and the share is 100 %."""
    answer = Answer(Query.parse(), [LINES_OF_TWO], Tally(), 2, 0, {"records": 8})
    assert measured(answer) is answer
    assert quality_object(answer)["shown_percent"] == 100.0
    assert measured(replace(answer, top=2)).shown is None
