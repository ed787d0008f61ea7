"""No message on the stream is ever lost, and the objects in S3 can be read column by column."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events import make_events as made
from tests.reference import is_address
from tests.unit.test_preprocess import FakeS3, run
from toptalkers.capture import preprocess
from toptalkers.flowlog.fields import FIELDS
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, format_log_format, parse_header, parse_log_format

T = TypeVar("T")

NUMBERS = ["srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "tcp-flags"]
ADDRESSES = ["srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"]
TYPED = {"version", "action", "log-status", *NUMBERS, *ADDRESSES}

numbers = st.one_of(st.integers(0, 2**63).map(str), st.just("-"))
addresses = st.one_of(st.ip_addresses().map(str), st.just("-"))
words = st.one_of(
    st.sampled_from(["-", "eni-0a1b2c3d4e5f67890", "vpc-0a1b", "egress", "10.0.0.300", "1:2", "arn:aws:x:::y/z"]),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12),
)
any_text = st.text(max_size=30)
odd_text = st.text(
    st.sampled_from(" -:.1aK\n\r\x00\x0b\x0c\x1b\x7f\x85\u2028\u00e9"),
    max_size=30,
)
layouts = st.one_of(
    st.just(DEFAULT_LAYOUT.columns),
    st.lists(st.sampled_from(list(FIELDS)), min_size=1, max_size=16, unique=True).map(tuple),
)


def fitting(column: str) -> st.SearchStrategy[str]:
    """Draw possible values of a column."""
    if column == "version":
        return st.integers(2, 20).map(str)
    if column == "action":
        return st.sampled_from(["ACCEPT", "REJECT", "-"])
    if column == "log-status":
        return st.sampled_from(["OK", "OK", "NODATA", "SKIPDATA"])
    return numbers if column in NUMBERS else addresses if column in ADDRESSES else words


def records(columns: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw flow records of a layout, some with trailing spaces."""
    return st.tuples(*map(fitting, columns)).map(" ".join).flatmap(lambda line: st.sampled_from([line, line + "  "]))


def mutated(columns: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw flow records of a layout with something else in one column, or at one place."""
    other = st.one_of(words, any_text, odd_text, numbers, addresses, st.sampled_from(["OK", "ok", "", *FIELDS]))

    def replace(drawn: tuple[list[str], int, str]) -> str:
        values, position, value = drawn
        return " ".join([*values[:position], value, *values[position + 1 :]])

    def insert(drawn: tuple[str, int, str]) -> str:
        line, position, text = drawn
        return line[: position % (len(line) + 1)] + text + line[position % (len(line) + 1) :]

    whole = st.tuples(*map(fitting, columns))
    return st.one_of(
        st.tuples(whole.map(list), st.integers(0, len(columns) - 1), other).map(replace),
        st.tuples(whole.map(" ".join), st.integers(0, 500), odd_text).map(insert),
        st.tuples(whole.map(" ".join), st.integers(0, 500)).map(lambda drawn: drawn[0][: drawn[1]]),
    )


def headers() -> st.SearchStrategy[str]:
    """Draw header lines of other layouts, with AWS's names or Athena's."""
    return layouts.map(" ".join).flatmap(lambda line: st.sampled_from([line, line.replace("-", "_")]))


def messages(columns: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Draw any messages of log events."""
    foreign = layouts.flatmap(records)
    return st.one_of(records(columns), mutated(columns), headers(), foreign, any_text, odd_text)


def fits(message: str, columns: tuple[str, ...]) -> bool:
    """The same rule again, without a regular expression for a whole line."""
    values = message.rstrip(" ").split(" ")
    if len(values) != len(columns) or not all(re.fullmatch("[!-~]+", value) for value in values):
        return False
    for column, value in zip(columns, values, strict=True):
        digits = value.isdecimal()
        if column == "version" and not digits:
            return False
        if column in NUMBERS and not (digits or value == "-"):
            return False
        if column in ADDRESSES and value != "-" and not is_address(value):
            return False
        if column == "action" and value not in ("ACCEPT", "REJECT", "-"):
            return False
        if column == "log-status" and value not in ("OK", "NODATA", "SKIPDATA"):
            return False
    return not any(parse_header(line) for line in (message.rstrip(" "), message.rstrip(" ").replace("_", "-")))


def assert_nothing_is_lost(found: list[str], columns: tuple[str, ...], tally: dict[str, Any], s3: FakeS3) -> list[str]:
    """Every message is kept, or in quarantine unchanged; kept ones can be read again."""
    position = columns.index("log-status") if "log-status" in columns else None
    statuses = [
        "misfit" if not fits(text, columns) else "OK" if position is None else text.split(" ")[position]
        for text in found
    ]
    if TYPED & set(columns):
        assert (tally["nodata"], tally["skipdata"], tally["misfits"]) == (
            statuses.count("NODATA"),
            statuses.count("SKIPDATA"),
            statuses.count("misfit"),
        )
    misfits = [json.loads(line) for line in s3.lines("quarantine/") if line.startswith('"')]
    kept = s3.lines()
    assert tally["kept"] == max(0, len(kept) - 1)
    assert Counter(text.rstrip(" ") for text in found) == (
        Counter(kept[1:]) + Counter(text.rstrip(" ") for text in misfits)
    )
    assert set(misfits) <= set(found)
    if not kept:
        return []
    assert parse_header(kept[0]) is not None
    assert kept[0] == " ".join(columns)
    for line in kept[1:]:
        assert fits(line, columns)
        assert len(line.split(" ")) == len(columns)
    return kept[1:]


@settings(max_examples=120)
@given(layouts.flatmap(lambda columns: st.tuples(st.just(columns), st.lists(messages(columns), max_size=8))))
def test_a_message_fits_its_columns_or_is_a_misfit(drawn: tuple[tuple[str, ...], list[str]]) -> None:
    """For any layout and any messages the rule of columns decides, and each object can be read with its header."""
    columns, found = drawn
    log_format = format_log_format(parse_log_format(" ".join(columns)))
    tally, s3 = run(made.kinesis_event([made.pack(made.envelope(found))]), log_format)
    assert_nothing_is_lost(found, columns, tally, s3)


@settings(max_examples=60)
@given(layouts.flatmap(lambda columns: st.tuples(st.just(columns), st.lists(records(columns), max_size=5))))
def test_a_record_of_the_layout_is_no_misfit(drawn: tuple[tuple[str, ...], list[str]]) -> None:
    """Any record of AWS in a layout is kept, whatever its status, unless all of it could be field names."""
    columns, found = drawn
    tally, _ = run(made.kinesis_event([made.pack(made.envelope(found))]), " ".join(columns))
    if TYPED & set(columns):
        assert tally["misfits"] == 0


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), any_text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(any_text, inner, max_size=3)),
    max_leaves=8,
)
log_events = st.fixed_dictionaries(
    {"message": messages(DEFAULT_LAYOUT.columns)},
    optional={"id": st.text(max_size=5), "timestamp": st.integers(), "},{": json_values, "nested": json_values},
)


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """Draw messages and their envelope: keys in any order, any spaces, cut into gzip members anywhere."""
    events: list[dict[str, Any]] = draw(st.lists(log_events, max_size=5))
    members: dict[str, Any] = {"messageType": "DATA_MESSAGE", "logEvents": events}
    members |= draw(st.dictionaries(any_text.filter(lambda name: name not in members), json_values, max_size=3))
    names = draw(st.permutations(list(members)))
    text = json.dumps(
        {name: members[name] for name in names},
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, None, 1])),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\r\n:")])),
    ).encode("utf-8", "surrogatepass")
    text = draw(st.sampled_from([b"", b" \n"])) + text + draw(st.sampled_from([b"", b"\t\r\n "]))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=preprocess.GZIP_MEMBERS - 1)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [event["message"] for event in events], b"".join(gzip.compress(piece, mtime=0) for piece in pieces)


def _once(drawn: Iterable[tuple[T, bytes]]) -> list[tuple[T, bytes]]:
    """Leave out payloads that are the same as an earlier one."""
    return list({payload: (one, payload) for one, payload in drawn}.values())


@settings(max_examples=80)
@given(st.lists(envelopes(), min_size=1, max_size=3))
def test_every_message_of_an_envelope_is_found(drawn: list[tuple[list[str], bytes]]) -> None:
    """In any form and with any cuts, an envelope's messages are found in their order."""
    tally, s3 = run(made.kinesis_event([payload for _, payload in drawn]))
    found = [message for messages_, _ in _once(drawn) for message in messages_]
    assert tally["quarantined"] == {}
    kept = assert_nothing_is_lost(found, DEFAULT_LAYOUT.columns, tally, s3)
    assert kept == [text.rstrip(" ") for text in found if fits(text, DEFAULT_LAYOUT.columns)]


def spoiled(payload: bytes) -> st.SearchStrategy[bytes]:
    """Draw a payload that is cut off, has a changed byte before compression, or other bytes behind it."""
    unpacked = gzip.decompress(payload)
    change = st.tuples(st.integers(0, max(0, len(unpacked) - 1)), st.binary(max_size=3))
    return st.one_of(
        st.integers(0, len(payload) - 1).map(lambda end: payload[:end]),
        change.map(lambda drawn: gzip.compress(unpacked[: drawn[0]] + drawn[1] + unpacked[drawn[0] + 1 :], mtime=0)),
        change.map(lambda drawn: gzip.compress(unpacked + drawn[1], mtime=0)),
        st.binary(max_size=5).map(lambda tail: payload + b"x" + tail),
    )


anything = st.one_of(
    st.binary(max_size=40),
    json_values.map(lambda value: gzip.compress(json.dumps(value).encode(), mtime=0)),
    st.binary(max_size=40).map(lambda content: gzip.compress(content, mtime=0)),
    envelopes().flatmap(lambda drawn: spoiled(drawn[1])),
    st.tuples(json_values, json_values).map(lambda two: made.pack({"messageType": two[0], "logEvents": two[1]})),
    json_values.map(lambda value: made.pack({"messageType": "DATA_MESSAGE", "logEvents": value})),
)


def expected_messages(payload: bytes) -> list[str] | None:
    """Return the messages of a payload, read as a whole, or None if it is no envelope."""
    try:
        unpacked = gzip.decompress(payload)
        pairs = json.loads(unpacked.decode("utf-8"), object_pairs_hook=lambda pairs: [("{", ""), *pairs])
    except (ValueError, OSError, EOFError):
        return None
    if not payload or not isinstance(pairs, list) or pairs[:1] != [("{", "")]:
        return None
    members = dict(pairs)
    lists = [value for name, value in pairs if name == "logEvents"]
    if members.get("messageType") == "CONTROL_MESSAGE":
        return []
    if members.get("messageType") != "DATA_MESSAGE" or len(lists) != 1 or not isinstance(lists[0], list):
        return None
    if lists[0][:1] == [("{", "")]:
        return None
    found = [
        dict(event).get("message") if event and event[0] == ("{", "") else None for event in map(_as_list, lists[0])
    ]
    return found if all(isinstance(message, str) for message in found) else None  # type: ignore[return-value]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@settings(max_examples=120)
@given(st.lists(anything, min_size=1, max_size=3))
def test_any_payload_is_read_as_a_whole_reading_would_or_kept(payloads: list[bytes]) -> None:
    """No bytes fail the batch: a payload that is no envelope for Python's own parser is in quarantine."""
    tally, s3 = run(made.kinesis_event([*payloads, made.pack(made.envelope([made.OK]))]))
    expected = [expected_messages(payload) for payload in payloads]
    assert tally["quarantined"].total() == expected.count(None)
    poison = [key for key in s3.objects if key.startswith("quarantine/") and key != tally["misfit_key"]]
    assert sorted(s3.objects[key] for key in poison) == sorted(
        payload for payload, found in zip(payloads, expected, strict=True) if found is None
    )
    data = [(messages_, payload) for messages_, payload in zip(expected, payloads, strict=True) if messages_]
    found = [message for messages_, _ in _once(data) for message in messages_ or []]
    assert_nothing_is_lost([*found, made.OK], DEFAULT_LAYOUT.columns, tally, s3)


@given(st.one_of(json_values, st.builds(lambda value: {"Records": value}, json_values)))
def test_any_event_is_processed_or_refused_in_one_line(event: Any) -> None:
    """An event that is not of a Kinesis stream, with any content, ends in a ValueError of one line."""
    s3 = FakeS3()
    if event == {"Records": []}:
        run(event, s3=s3)
    else:
        with pytest.raises(ValueError, match=r"\A[^\x00-\x1f]*event source mapping[^\x00-\x1f]*\Z"):
            run(event, s3=s3)
    assert s3.objects == {}
