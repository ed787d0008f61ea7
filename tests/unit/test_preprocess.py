"""The Lambda pre-processor keeps every flow record once, and loses nothing that it cannot read."""

import ast
import base64
import gzip
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events import make_events as made
from toptalkers import locations
from toptalkers.capture import parameters, preprocess
from toptalkers.flowlog.fields import DEFAULT_FIELDS, FIELDS
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, format_header, format_log_format, parse_header, parse_log_format

EVENTS = Path(made.__file__).parent
BUCKET = "toptalkers-bucket"
HEADER = format_header(DEFAULT_LAYOUT)
HOUR = "2026/11/23/18"
FIRST = made.FIRST_SEQUENCE
POISON = {
    "truncated-gzip": "truncated-gzip",
    "not-gzip": "not-gzip",
    "not-json": "not-json",
    "not-an-envelope": "not-an-envelope",
    "unknown-message-type": "unknown-message-type",
}


class FakeS3:
    """A bucket in memory: it stores the pre-processor's objects, fails on request, and refuses any other call."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.content_types: dict[str, str] = {}
        self.puts = 0
        self.fail_at: int | None = None

    def put_object(self, **request: Any) -> None:
        if self.puts == self.fail_at:
            raise ConnectionError("S3 is away")
        self.puts += 1
        assert request.pop("Bucket") == BUCKET
        key = request.pop("Key")
        self.objects[key] = request.pop("Body")
        self.metadata[key] = request.pop("Metadata", {})
        self.content_types[key] = request.pop("ContentType")
        assert not request

    def lines(self, prefix: str = "flowlogs/") -> list[str]:
        """Return the decompressed lines of all objects under a prefix."""
        found = sorted(key for key in self.objects if key.startswith(prefix) and key.endswith(".gz"))
        return [line for key in found for line in gzip.decompress(self.objects[key]).decode().splitlines()]


def load(name: str) -> dict[str, Any]:
    """Load a recorded event."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return event


def run(event: dict[str, Any], log_format: str = "", s3: FakeS3 | None = None) -> tuple[dict[str, Any], FakeS3]:
    """Process an event into a bucket in memory."""
    s3 = s3 or FakeS3()
    settings = preprocess.Settings(BUCKET, preprocess.parse_columns(log_format))
    return preprocess.process(event, s3, settings), s3


def captured_key(first: int, last: int) -> str:
    return f"flowlogs/{HOUR}/{made.SHARD}-{first}-{last}.gz"


def test_recorded_events_are_all_there() -> None:
    """Every event of the script has a file beside it, and there is no other."""
    assert {path.stem for path in EVENTS.glob("*.json")} == set(made.EVENTS)


def test_records_are_kept_as_they_came_behind_a_header() -> None:
    """One object per batch: header line, the records in their order, a trailing newline."""
    tally, s3 = run(load("data"))
    key = captured_key(FIRST, FIRST)
    assert list(s3.objects) == [key]
    assert gzip.decompress(s3.objects[key]).decode() == "\n".join([HEADER, made.OK, made.OK_BACK, made.REJECTED, ""])
    assert (tally["kept"], tally["key"], tally["bytes_out"]) == (3, key, len(s3.objects[key]))
    assert s3.content_types[key] == "application/gzip"


@pytest.mark.parametrize("event", [load("control"), {"Records": []}], ids=["control", "empty"])
def test_nothing_is_written_for_a_batch_without_a_record(event: dict[str, Any]) -> None:
    """Only probes, or no record at all, leave no object."""
    tally, s3 = run(event)
    assert (s3.objects, tally["kept"], tally["key"]) == ({}, 0, None)


def test_what_aws_left_out_is_kept() -> None:
    """S10: a record that says that AWS left records out is in the object, even if the batch has no other."""
    tally, s3 = run(made.kinesis_event([made.pack(made.envelope([made.NODATA, made.SKIPDATA]))]))
    assert s3.lines() == [HEADER, made.NODATA, made.SKIPDATA]
    assert (tally["kept"], tally["nodata"], tally["skipdata"], tally["misfits"]) == (2, 1, 1, 0)


def test_one_object_a_batch_named_after_its_bounds() -> None:
    """First and last sequence number are the batch's, even if those records are probes."""
    tally, s3 = run(load("several"))
    assert list(s3.objects) == [captured_key(FIRST, FIRST + 48)]
    assert s3.lines() == [HEADER, made.OK, made.OK_BACK, made.REJECTED]
    assert (tally["stream_records"], tally["control_messages"]) == (4, 2)


def test_records_of_each_log_status_are_kept_in_their_order() -> None:
    """S10: NODATA and SKIPDATA are kept as direct delivery keeps them, and tallied separately."""
    tally, s3 = run(load("nodata"))
    assert s3.lines() == [HEADER, made.NODATA, made.OK, made.SKIPDATA, made.NODATA]
    assert (tally["kept"], tally["nodata"], tally["skipdata"], tally["misfits"]) == (4, 2, 1, 0)


def test_the_field_is_found_by_the_layout() -> None:
    """With a custom format log-status may be first, and the header says so."""
    tally, s3 = run(load("custom-format"), made.CUSTOM_FORMAT)
    assert s3.lines() == ["log-status srcaddr dstaddr dstport bytes vpc-id", made.CUSTOM_OK, made.CUSTOM_NODATA]
    assert tally["nodata"] == 1


def test_a_layout_without_log_status_keeps_what_fits() -> None:
    """Without a status, the number of columns and their values make a misfit."""
    messages = ["10.0.0.1 192.0.2.1 443", "- - -", "10.0.0.1 192.0.2.1"]
    tally, s3 = run(made.kinesis_event([made.pack(made.envelope(messages))]), "srcaddr dstaddr dstport")
    assert s3.lines() == ["srcaddr dstaddr dstport", *messages[:2]]
    assert tally["misfits"] == 1


def test_addresses_pass_unchanged() -> None:
    """IPv6 records are stored as they were logged."""
    assert run(load("ipv6"))[1].lines() == [HEADER, made.IPV6]


FIT = {
    "version": ["2", "11"],
    "srcaddr": ["10.0.0.1", "0.0.0.0", "255.255.255.255", "2001:DB8::1", "::", "::ffff:192.0.2.1", "-"],
    "dstport": ["0", "65535", "-"],
    "tcp-flags": ["19", "-"],
    "bytes": ["0", "99999999999999999999", "-"],
    "action": ["ACCEPT", "REJECT", "-"],
    "vpc-id": ["vpc-0a1b", "-", "10.0.0.300", "1:2", "OK", "~"],
}
MISFIT = {
    "version": ["-", "", "two", "2.0", "-2", "\u0662"],
    "srcaddr": [
        "", "10.0.0", "10.0.0.256", "10.0.0.01", "10.0.0.1.1", "10.0.0.1/8", "1:2", ":::", "1::2::3", "fe80::1%eth0",
        "::g", "1:2:3:4:5:6:7:8:9", "[::1]", "::ffff:192.0.2.256", "eni-0a1b", ":" * 46, ":" * 100_000, "host", "--",
    ],
    "dstport": ["", "443/tcp", "+1", "-1", "0x1", "--", "1,000", "1.5", "\u0661", "1\u00b2"],
    "tcp-flags": ["SYN", ""],
    "bytes": ["1e3", "1 2", "x", "1\x00", "\t1", "1\n", "1\r", "1\x0c", "1\u2028", "1\x85"],
    "action": ["accept", "ACCEPTED", "ALLOW", "", "OK"],
    "vpc-id": ["", "\x1b[2J", "\x00", "\x7f", "\u00e9", "a b", "\ud800", "\U0001f600", "\u00a0", "\ufeff"],
}  # fmt: skip


@pytest.mark.parametrize("column", FIT)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_column_holds_what_its_field_can_be(column: str, place: int) -> None:
    """First, in the middle or last: every possible value of a column is kept, and any other is a misfit."""
    columns = ["interface-id", "region"]
    columns.insert(place, column)

    def record(value: str) -> str:
        values = ["eni-0a1b", "us-east-1"]
        values.insert(place, value)
        return " ".join(values)

    fitting = [record(value) for value in FIT[column]]
    others = [record(value) for value in MISFIT[column]]
    tally, s3 = run(made.kinesis_event([made.pack(made.envelope([*fitting, *others]))]), " ".join(columns))
    assert s3.lines() == [" ".join(columns), *fitting]
    assert [json.loads(line) for line in s3.lines("quarantine/")] == others
    assert tally["misfits"] == len(others)


@pytest.mark.parametrize("status", ["", "-", "ok", "ACCEPT", "OKAY", "NODATA,", "\x1bOK", "OK\n"])
def test_a_log_status_is_one_of_three(status: str) -> None:
    """Any other word there means that the record is of another layout."""
    assert run(made.kinesis_event([made.pack(made.envelope([made.OK[:-2] + status]))]))[0]["misfits"] == 1


@pytest.mark.parametrize("spaces", [" ", "   "])
def test_spaces_behind_a_record_are_no_column(spaces: str) -> None:
    """A record with trailing spaces is kept without them, so that readers of the object find the right columns."""
    assert run(made.kinesis_event([made.pack(made.envelope([made.OK + spaces]))]))[1].lines() == [HEADER, made.OK]


@pytest.mark.parametrize(
    ("layout", "message", "fits"),
    [
        ("srcaddr dstaddr dstport bytes", "dstaddr srcaddr dstport bytes", False),
        ("vpc-id subnet-id", "subnet-id vpc-id", False),
        ("vpc-id subnet-id", "subnet_id vpc_id", False),
        ("vpc-id subnet-id", "a-new-field region", False),
        ("vpc-id subnet-id", "tgw-id resource-type", False),
        ("vpc-id", "instance-id", False),
        ("vpc-id subnet-id", "vpc-0a1b subnet-0a1b", True),
        ("vpc-id subnet-id", "- subnet-id", True),
        ("flow-direction", "egress", True),
    ],
)
def test_a_record_is_no_header_line(layout: str, message: str, fits: bool) -> None:
    """A line that readers would take for a header is a misfit: it would change the meaning of every later line."""
    assert run(made.kinesis_event([made.pack(made.envelope([message]))]), layout)[0]["kept"] == fits


def test_misfits_are_kept_one_object_a_batch() -> None:
    """Records that do not fit the layout are in quarantine as JSON strings, unchanged."""
    tally, s3 = run(load("misfit"))
    key = f"quarantine/{HOUR}/{made.SHARD}-{FIRST}-{FIRST}-misfit.ndjson.gz"
    assert s3.lines() == [HEADER, made.OK, made.OK_BACK]
    assert [json.loads(line) for line in s3.lines("quarantine/")] == [
        made.CUSTOM_OK,
        made.OK.replace(" OK", " ACCEPT"),
        "",
        made.OK + "\n" + made.OK,
    ]
    assert (tally["misfits"], tally["misfit_key"], s3.metadata[key]) == (4, key, {"reason": "misfit"})


@pytest.mark.parametrize("name", POISON)
def test_poison_goes_to_quarantine_and_the_batch_goes_on(name: str) -> None:
    """An undecodable record is kept byte for byte with its reason, and the next record is still stored."""
    tally, s3 = run(load(name))
    key = f"quarantine/{HOUR}/{made.SHARD}-{FIRST}-{POISON[name]}"
    assert s3.objects[key] == base64.b64decode(load(name)["Records"][0]["kinesis"]["data"])
    assert s3.metadata[key] == {"reason": POISON[name]}
    assert tally["quarantined"] == {POISON[name]: 1}
    assert s3.lines() == [HEADER, made.REJECTED]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (gzip.compress(b" " * (preprocess.UNPACKED_BYTES + 1)), "too-large"),
        (gzip.compress(b" " * preprocess.UNPACKED_BYTES) + gzip.compress(b" "), "too-large"),
        (gzip.compress(b"[" + b"{}," * 600_000 + b"0]"), "too-large"),
        (gzip.compress(b'{"messageType":"' + b"x" * (2 * preprocess.VALUE_CHARACTERS) + b'"}'), "too-large"),
        (gzip.compress(b"") * 52_000, "too-many-members"),
        (made.pack(made.envelope([made.OK])) + gzip.compress(b"") * preprocess.GZIP_MEMBERS, "too-many-members"),
        (gzip.compress(b"[" * 200_000), "not-json"),
        (gzip.compress(b"{" + b" " * 3_000_000 + b'"messageType" "x"}'), "not-json"),
        (made.pack(made.envelope([made.OK])) + gzip.compress(b"x"), "not-json"),
        (gzip.compress(b"9" * 5_000), "not-json"),
        (gzip.compress(b"12"), "not-an-envelope"),
        (gzip.compress(b"\xff\xfe\xfd"), "not-json"),
        (gzip.compress(b"[]"), "not-an-envelope"),
        (gzip.compress(b'{"messageType":"DATA_MESSAGE","logEvents":null}'), "not-an-envelope"),
        (gzip.compress(b'{"messageType":"DATA_MESSAGE","logEvents":[{"message":1}]}'), "not-an-envelope"),
        (gzip.compress(b'{"logEvents":[],"messageType":"DATA_MESSAGE","logEvents":[]}'), "not-an-envelope"),
        (gzip.compress(b"{}") + b"tail", "not-gzip"),
        (b"", "not-gzip"),
    ],
    ids=[
        "bomb",
        "bomb-of-members",
        "values",
        "long-value",
        "empty-members",
        "envelope-and-empty-members",
        "deep",
        "no-colon-far-away",
        "two-values",
        "digits",
        "scalar",
        "not-utf8",
        "list",
        "null",
        "number",
        "two-lists",
        "tail",
        "nothing",
    ],
)
def test_hostile_payloads_are_found_out(payload: bytes, reason: str) -> None:
    """Bombs of bytes, of values and of depth, and near-envelopes, each with its own reason."""
    assert run(made.kinesis_event([payload]))[0]["quarantined"] == {reason: 1}


def test_a_piece_may_end_anywhere() -> None:
    """An envelope in two gzip members is read correctly for any end of the first, even in numbers and characters."""
    content = {"a": 12345, "b": -1.5e-7, "é": [True, -1.5e3], **made.envelope([made.OK, "\U0001f600", made.OK_BACK])}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    for end in range(len(text) + 1):
        payload = gzip.compress(text[:end]) + gzip.compress(text[end:])
        tally, s3 = run(made.kinesis_event([payload]))
        assert s3.lines() == [HEADER, made.OK, made.OK_BACK], end
        assert [json.loads(line) for line in s3.lines("quarantine/")] == ["\U0001f600"]
        assert tally["quarantined"] == {}


def test_what_a_batch_costs_is_bounded() -> None:
    """After a batch has taken the allowed effort, later records go to quarantine unread."""
    values = preprocess.BATCH_EFFORT // preprocess.VALUE_EFFORT
    bomb = gzip.compress(b'{"messageType":"CONTROL_MESSAGE","logEvents":[' + b"{}," * values + b"0]}")
    record = made.pack(made.envelope([made.OK_BACK]))
    tally, s3 = run(made.kinesis_event([made.pack(made.envelope([made.OK])), bomb, record]))
    assert tally["quarantined"] == {"too-large": 2}
    assert s3.lines() == [HEADER, made.OK]
    assert list(s3.objects.values()).count(record) == 1


@pytest.mark.parametrize("fail_at", [0, 1, 2])
def test_a_failing_s3_fails_the_batch_and_a_retry_overwrites(fail_at: int) -> None:
    """A failure of any put is raised; the retry leaves the same keys and bytes as a batch without failure."""
    event = made.kinesis_event([b"poison", made.pack(made.envelope([made.OK, "misfit", made.OK_BACK]))])
    whole = run(event)[1]
    assert whole.puts == 3
    s3 = FakeS3()
    s3.fail_at = fail_at
    with pytest.raises(ConnectionError):
        run(event, s3=s3)
    s3.fail_at = None
    run(event, s3=s3)
    assert s3.objects == whole.objects


def test_a_record_of_the_stream_that_is_sent_twice_counts_once() -> None:
    """S8: CloudWatch Logs sends at least once; the same bytes in one batch count once, also between other records."""
    first, second = made.pack(made.envelope([made.OK])), made.pack(made.envelope([made.OK_BACK]))
    tally, s3 = run(made.kinesis_event([first, second, first, first]))
    assert s3.lines() == [HEADER, made.OK, made.OK_BACK]
    assert (tally["kept"], tally["repeated"], tally["stream_records"]) == (2, 2, 4)


def test_equal_records_of_different_log_events_all_count() -> None:
    """S8: log events with other ids are other records, although their messages are the same."""
    one = made.envelope([made.OK])
    other = json.loads(json.dumps(one).replace('"id": "0', '"id": "1'))
    assert run(made.kinesis_event([made.pack(one), made.pack(other)]))[1].lines() == [HEADER, made.OK, made.OK]


def test_batches_with_other_bounds_count_their_overlap_twice() -> None:
    """S8, a documented limit: Lambda may deliver records again in a batch that is cut differently."""
    records = made.kinesis_event([made.pack(made.envelope([record])) for record in (made.OK, made.OK_BACK)])["Records"]
    s3 = FakeS3()
    run({"Records": records}, s3=s3)
    run({"Records": records}, s3=s3)
    assert s3.lines() == [HEADER, made.OK, made.OK_BACK]
    run({"Records": records[1:]}, s3=s3)
    assert sorted(s3.lines()) == sorted([HEADER, made.OK, made.OK_BACK, HEADER, made.OK_BACK])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 10))
def test_batches_that_run_at_a_time_have_keys_of_their_own(cuts: list[int], factor: int) -> None:
    """S3: however a parallelization factor deals a shard's records to batches, no batch overwrites another's object."""
    records = made.kinesis_event([made.control()] * len(cuts))["Records"]
    dealt: dict[int, list[Any]] = {}
    for cut, record in zip(cuts, records, strict=True):
        dealt.setdefault(cut % factor, []).append(record)
    keys = [preprocess.read_batch(batch).captured_key() for batch in dealt.values()]
    assert len(set(keys)) == len(dealt)


def test_the_log_line_is_metrics_too() -> None:
    """The embedded metric format names every metric that it declares, per function, and the line has the tally, too."""
    tally = run(made.kinesis_event([b"poison", made.pack(made.envelope([made.OK, "misfit", made.NODATA]))]))[0]
    line = json.loads(preprocess.format_log_line(tally, "toptalkers-Function", 1795458065123))
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("TopTalkers", [["FunctionName"]])
    assert {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]} == {
        "RecordsKept": 2,
        "RecordsNodata": 1,
        "RecordsSkipdata": 0,
        "RecordsMisfit": 1,
        "Quarantined": 2,
        "BytesOut": tally["bytes_out"],
    }
    assert (line["FunctionName"], line["_aws"]["Timestamp"]) == ("toptalkers-Function", 1795458065123)
    assert line["quarantined"] == {"not-gzip": 1}


def test_keys_are_those_of_the_project() -> None:
    """The Lambda cannot import `locations`; it makes the same keys."""
    batch = preprocess.Batch("shardId-000000000000", "1", "2", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    hour = "2026/01/02/03/shardId-000000000000-1"
    assert batch.captured_key() == f"{locations.CAPTURED}{hour}-2.gz"
    assert locations.CAPTURED_KEY.fullmatch(batch.captured_key())
    assert batch.misfit_key() == f"{locations.QUARANTINE}{hour}-2-misfit.ndjson.gz"
    assert batch.surplus_key() == f"{locations.QUARANTINE}{hour}-2-surplus.ndjson.gz"
    assert batch.quarantine_key("1", "x") == f"{locations.QUARANTINE}{hour}-x"


@pytest.mark.parametrize("text", ["", format_log_format(DEFAULT_LAYOUT), made.CUSTOM_FORMAT, "srcaddr,dstaddr"])
def test_layouts_are_read_as_the_project_reads_them(text: str) -> None:
    """The Lambda reads a log format like `flowlog.layout`, which recognises its header line."""
    columns = preprocess.parse_columns(text)
    assert columns == (parse_log_format(text).columns if text else DEFAULT_FIELDS)
    header = parse_header(" ".join(columns))
    assert header is not None
    assert header.columns == columns


def test_every_field_of_the_project_is_known() -> None:
    """The Lambda recognises a header line by the same names as its readers."""
    assert set(FIELDS) <= preprocess.FIELD_NAMES
    assert preprocess.COLUMN_PATTERNS.keys() <= set(FIELDS)
    assert preprocess.DEFAULT_FIELDS.split() == list(DEFAULT_FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        "${srcaddr}${dstaddr}",
        "${srcaddr}-${dstaddr}",
        "${srcaddr} ${dstaddr} $",
        "${srcaddr} ${dstaddr",
        "${srcaddr} {dstaddr}",
        "${ srcaddr }",
        "${SrcAddr}",
        "${srcaddr} ${}",
        "${srcaddr}\x1b",
        "${srcaddr} ${\u0430ddr}",
        "${srcaddr} " + "${dstaddr}" * 10_000,
        "2",
        "-",
    ],
)
def test_a_log_format_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A malformed LOG_FORMAT stops the function in one line, before any call to S3; the template refuses it, too."""
    monkeypatch.setenv("BUCKET", BUCKET)
    monkeypatch.setenv("LOG_FORMAT", text)
    with pytest.raises(ValueError, match=r"\ALOG_FORMAT: .{,250}\Z"):
        preprocess.handler(load("data"), None)
    assert not re.fullmatch(parameters.LOG_FORMAT_PATTERN, text)


LAMBDA_S3 = {"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}}}


@pytest.mark.parametrize(
    ("event", "what"),
    [
        ({"awslogs": {"data": base64.b64encode(made.control()).decode()}}, "calls the function itself"),
        ({"invocationId": "1", "deliveryStreamArn": "arn", "records": [{"recordId": "1", "data": ""}]}, "Firehose"),
        ({"source": "aws.ec2", "detail-type": "Scheduled\nEvent", "detail": {}}, "EventBridge"),
        ({"Records": [LAMBDA_S3]}, "aws:s3"),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": ""}}]}, "aws:sns"),
        ({"Records": [{"eventSource": "aws:sqs", "body": "x" * 1000}]}, "aws:sqs"),
        ({"Records": [*load("data")["Records"], LAMBDA_S3]}, "aws:s3"),
        ({"Records": [{**load("data")["Records"][0], "kinesis": {}}]}, "incomplete"),
        ({"Records": [None]}, "None"),
        ({"Records": None}, "an event with 'Records'"),
        ({"key1": "value1", "key\n2": 2}, "an event with 'key1'"),
        ({}, "nothing in it"),
        ([], "JSON list"),
        (None, "JSON NoneType"),
        ("text", "JSON str"),
    ],
)
def test_events_of_other_services_are_refused(event: Any, what: str) -> None:
    """One line describes the event and the correct connection of the function, and nothing is written."""
    s3 = FakeS3()
    with pytest.raises(ValueError, match=re.escape(what)) as caught:
        run(event, s3=s3)
    (line,) = str(caught.value).splitlines()
    assert "instead of records of a Kinesis stream" in line
    assert "event source mapping" in line
    assert len(line) < 350
    assert s3.objects == {}


def test_much_poison_shares_one_object() -> None:
    """A batch full of poison takes at most 501 puts, and every record of it is kept with its reason."""
    payloads = [f"poison {number}".encode() for number in range(preprocess.QUARANTINE_OBJECTS + 3)]
    tally, s3 = run(made.kinesis_event([*payloads, made.pack(made.envelope([made.OK]))]))
    assert tally["quarantined"] == {"not-gzip": len(payloads)}
    assert s3.lines() == [HEADER, made.OK]
    surplus = [json.loads(line) for line in s3.lines("quarantine/")]
    assert [base64.b64decode(line["data"]) for line in surplus] == payloads[preprocess.QUARANTINE_OBJECTS :]
    assert [line["sequence"] for line in surplus] == [str(FIRST + 16 * number) for number in (500, 501, 502)]
    assert {line["reason"] for line in surplus} == {"not-gzip"}
    assert set(s3.objects.values()) >= set(payloads[: preprocess.QUARANTINE_OBJECTS])
    assert s3.puts == preprocess.QUARANTINE_OBJECTS + 2


def test_the_file_stands_alone() -> None:
    """It imports only the standard library and modules of Lambda's runtime, so that it can be inline."""
    tree = ast.parse(Path(preprocess.__file__).read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"boto3", "botocore"}


OK_RECORDS = st.integers(0, 65535).map(lambda port: made.OK.replace(" 443 ", f" {port} "))
MESSAGES = st.one_of(
    OK_RECORDS.map(lambda record: ("ok", record)),
    st.sampled_from([made.NODATA, made.SKIPDATA]).map(lambda record: ("silent", record)),
    st.one_of(st.text(max_size=20), OK_RECORDS.map(lambda record: record + "\r"), st.just(made.CUSTOM_OK)).map(
        lambda text: ("misfit", text)
    ),
)
STREAM_RECORDS = st.one_of(
    st.tuples(st.just("data"), st.lists(MESSAGES, max_size=6)),
    st.tuples(st.just("control"), st.none()),
    st.tuples(st.just("binary"), st.binary(max_size=30)),
    st.tuples(st.just("cut"), st.integers(0, 150)),
)


@given(stream_records=st.lists(STREAM_RECORDS, min_size=1, max_size=6))
def test_every_record_lands_once_and_the_rest_is_kept(stream_records: list[tuple[str, Any]]) -> None:
    """Any mixture of envelopes, probes and poison: flow records land once and in order, nothing is lost."""
    kept: list[str] = []
    misfits: list[str] = []
    silent = repeated = 0
    payloads: list[bytes] = []
    poison: dict[str, bytes] = {}
    for number, (kind, content) in enumerate(stream_records):
        if kind == "data":
            payload = made.pack(made.envelope([message for _, message in content]))
            if payload in payloads:
                repeated += 1
                content = []
            kept += [message for sort, message in content if sort != "misfit"]
            misfits += [message for sort, message in content if sort == "misfit"]
            silent += sum(sort == "silent" for sort, _ in content)
            payloads.append(payload)
        elif kind == "control":
            payloads.append(made.control())
        else:
            payloads.append(content if kind == "binary" else made.pack(made.envelope([made.OK]))[:content])
            poison[str(FIRST + 16 * number)] = payloads[-1]
    event = made.kinesis_event(payloads)
    tally, s3 = run(event)
    assert s3.lines() == ([HEADER, *kept] if kept else [])
    assert [json.loads(line) for line in s3.lines("quarantine/")] == misfits
    assert (tally["kept"], tally["misfits"], tally["repeated"]) == (len(kept), len(misfits), repeated)
    assert tally["nodata"] + tally["skipdata"] == silent
    quarantined = {
        key.partition(made.SHARD + "-")[2].partition("-")[0]: body
        for key, body in s3.objects.items()
        if key.startswith("quarantine/") and key != tally["misfit_key"]
    }
    assert quarantined == poison
    before = dict(s3.objects)
    run(event, s3=s3)
    assert s3.objects == before
