"""Flow records on their way to the stream: nothing lost, nothing doubled, in the format of CloudWatch Logs."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.capture.preprocess import Undecodable, read_envelope
from toptalkers.errors import UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, format_header, parse_log_format
from toptalkers.records.files import find_inputs
from toptalkers.sandbox import envelopes
from toptalkers.sandbox.envelopes import Envelope, make_poison, pack_probe, pack_records
from toptalkers.sandbox.replay import check_layout, sandbox_clients

ENIS = ("eni-0a1b2c3d4e5f67890", "eni-0f9e8d7c6b5a43210")


def record(number: int, eni: str = ENIS[0], status: str = "OK") -> str:
    return f"2 123456789012 {eni} 10.0.1.5 192.0.2.10 {number} 443 6 12 5840 1795457940 1795458000 ACCEPT {status}"


def opened(envelope: Envelope) -> dict[str, Any]:
    content = json.loads(gzip.decompress(envelope.data))
    assert isinstance(content, dict)
    return content


def read_messages(data: bytes) -> list[str] | None:
    """Return the pre-processor's messages of a record of the stream; None for a probe."""
    found: list[str] = []
    return found if read_envelope(data, found.extend, Counter()) else None


lines = st.lists(
    st.one_of(
        st.builds(record, st.integers(0, 65535), st.sampled_from(ENIS), st.sampled_from(["OK", "NODATA"])),
        st.text(min_size=1).filter(lambda text: "\n" not in text),
    ),
    max_size=60,
)


@given(lines)
def test_every_record_travels_once(records: list[str]) -> None:
    """The pre-processor finds the same records, each as often as it was in the source."""
    packed = list(pack_records(records, DEFAULT_LAYOUT))
    unpacked = [message for envelope in packed for message in read_messages(envelope.data) or []]
    assert Counter(unpacked) == Counter(records)
    assert sum(envelope.records for envelope in packed) == len(records)


def test_an_envelope_is_that_of_a_subscription() -> None:
    """One log stream per interface, different ids, the start as time stamp in milliseconds."""
    records = [record(number, ENIS[number % 2]) for number in range(6)]
    packed = [opened(envelope) for envelope in pack_records(records, DEFAULT_LAYOUT)]
    assert {content["logStream"] for content in packed} == {f"{eni}-all" for eni in ENIS}
    for content in packed:
        assert content["messageType"] == "DATA_MESSAGE"
        assert {len(event["id"]) for event in content["logEvents"]} == {56}
        assert len({event["id"] for event in content["logEvents"]}) == 3
        assert {event["timestamp"] for event in content["logEvents"]} == {1795457940000}
        assert all(f" {content['logStream'].removesuffix('-all')} " in e["message"] for e in content["logEvents"])


@pytest.mark.parametrize("padding", [0, 400])
def test_envelopes_stay_within_the_service_s_limits(padding: int) -> None:
    """At most 10,000 events and 1 MiB of them, the limits of PutLogEvents, and full if there are enough."""
    records = [record(number) + " " + "x" * padding for number in range(25_000)]
    packed = list(pack_records(records, DEFAULT_LAYOUT))
    for envelope in packed:
        messages = [event["message"] for event in opened(envelope)["logEvents"]]
        assert len(messages) <= envelopes.BATCH_EVENTS
        assert sum(len(message) + envelopes.EVENT_OVERHEAD_BYTES for message in messages) <= envelopes.BATCH_BYTES
        assert len(envelope.data) < 1 << 20
    by_bytes = envelopes.BATCH_BYTES // (len(records[-1]) + envelopes.EVENT_OVERHEAD_BYTES)
    assert len(packed) <= 25_000 // min(envelopes.BATCH_EVENTS, by_bytes) + 1


def test_what_is_kept_is_counted() -> None:
    """Only records that fit the layout will be stored in S3; by their number a replay knows when it is done."""
    records = [record(1), record(2, status="NODATA"), "too short", record(3) + " more", record(4) + "\u00e9"]
    assert sum(envelope.kept_records for envelope in pack_records(records, DEFAULT_LAYOUT)) == 2


@pytest.mark.parametrize("number", range(10))
def test_poison_is_found_to_be_what_it_is_called(number: int) -> None:
    """The pre-processor gives the intended reason for each kind of poison; the same number has the same bytes."""
    poison = make_poison(number)
    with pytest.raises(Undecodable, match=poison.reason):
        read_messages(poison.data)
    assert make_poison(number) == poison
    assert len({make_poison(other).data for other in range(10)}) == 10


def test_a_probe_carries_no_record() -> None:
    """The pre-processor takes it for a control message."""
    assert read_messages(pack_probe().data) is None


RICH = parse_log_format("${log-status} ${srcaddr} ${dstaddr} ${dstport}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (record(1), None),
        (f"{format_header(DEFAULT_LAYOUT)}\n{record(1)}\n", None),
        (f"{record(1)}\nbroken line\n", None),
        (f"{format_header(DEFAULT_LAYOUT)}\n", None),
        (f"{format_header(RICH)}\nOK 10.0.1.5 192.0.2.10 443\n", "other columns"),
        (f"{record(1)}\n{format_header(RICH)}\nOK 10.0.1.5 192.0.2.10 443\n", "other columns"),
        ("OK 10.0.1.5 192.0.2.10 443\n", "no line has the 14 columns"),
    ],
)
def test_only_files_of_the_stack_s_format_are_taken(tmp_path: Path, text: str, reason: str | None) -> None:
    """CloudWatch lines have no header: all on a stream must be in the format of its reader."""
    (tmp_path / "flow.log").write_text(text)
    (file,) = find_inputs([str(tmp_path / "flow.log")]).files
    found = check_layout(file, DEFAULT_LAYOUT)
    assert found is None if reason is None else reason in (found or "")


@pytest.mark.parametrize("url", ["", "https://kinesis.us-east-1.amazonaws.com"])
def test_nothing_is_replayed_outside_of_a_sandbox(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Artificial traffic must not reach a real account."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(UsageError, match="only in a sandbox"):
        sandbox_clients()
