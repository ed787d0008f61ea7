"""Make, from flow records, what a CloudWatch Logs subscription puts on a stream: gzipped envelopes of log events.

The format is that of the Amazon CloudWatch Logs user guide, "Log group-level subscription filters". One envelope has
events of one log stream, and flow logs have one log stream per network interface.
"""

import base64
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from toptalkers.capture.preprocess import MISFIT, make_status_reader
from toptalkers.flowlog.layout import Layout

BATCH_BYTES = 1_048_576
"""The largest batch of log events: their UTF-8 bytes, and 26 per event (quotas of PutLogEvents)."""

EVENT_OVERHEAD_BYTES = 26

BATCH_EVENTS = 10_000
"""The most events in a batch (quotas of PutLogEvents)."""

EVENT_BYTES = 262_144 - EVENT_OVERHEAD_BYTES
"""The longest message of an event here: its envelope fits on the stream even if it hardly compresses."""

RECORD_BYTES = 1_048_576 - 256
"""The largest record of the stream (quotas of Kinesis), less its partition key."""

WAITING_EVENTS, WAITING_BYTES = 100_000, 64 << 20
"""How much waits here in total, before the records of all interfaces are sent in unfilled envelopes."""

OWNER = "123456789012"
LOG_GROUP = "toptalkers-FlowLogs"
SUBSCRIPTION = "toptalkers-Subscription"

GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Envelope:
    """One record of the stream.

    Attributes:
        data: its bytes.
        records: how many flow records it contains.
        kept_records: how many of them fit the layout, so that the pre-processor keeps them.

    """

    data: bytes
    records: int
    kept_records: int


@dataclass(frozen=True, slots=True)
class Poison:
    """A record of the stream that no subscription would put there, and the reason that quarantine records for it."""

    data: bytes
    reason: str


def pack_records(lines: Iterable[str], layout: Layout) -> Iterator[Envelope]:
    """Put flow records into envelopes, each record into one, the records of an interface in their order.

    Args:
        lines: flow records without line ends, in the stack's layout, of at most `EVENT_BYTES`.
        layout: which columns of a record hold the interface, the start and the log status.

    """
    waiting: dict[str, list[str]] = {}
    bytes_waiting: Counter[str] = Counter()
    events = size_waiting = 0
    for line in lines:
        interface = _column(line, layout, "interface-id") or "eni-00000000000000000"
        size = len(line.encode()) + EVENT_OVERHEAD_BYTES
        there = waiting.setdefault(interface, [])
        if there and (len(there) == BATCH_EVENTS or bytes_waiting[interface] + size > BATCH_BYTES):
            yield from _pack_lines(there, interface, layout)
            events -= len(there)
            size_waiting -= bytes_waiting.pop(interface)
            there.clear()
        there.append(line)
        bytes_waiting[interface] += size
        events += 1
        size_waiting += size
        if events >= WAITING_EVENTS or size_waiting >= WAITING_BYTES:
            yield from _flush(waiting, layout)
            bytes_waiting.clear()
            events = size_waiting = 0
    yield from _flush(waiting, layout)


def wrap(events: list[dict[str, Any]], log_stream: str, message_type: str = "DATA_MESSAGE") -> dict[str, Any]:
    """Return the message in which CloudWatch Logs sends log events of one log stream."""
    return {
        "messageType": message_type,
        "owner": OWNER,
        "logGroup": LOG_GROUP,
        "logStream": log_stream,
        "subscriptionFilters": [SUBSCRIPTION],
        "logEvents": events,
    }


def pack(message: object, level: int = GZIP_LEVEL) -> bytes:
    """Return a message as a record of the stream has it: JSON, gzipped."""
    return gzip.compress(json.dumps(message, separators=(",", ":")).encode(), level, mtime=0)


def pack_probe() -> Envelope:
    """Make a `CONTROL_MESSAGE`, with which CloudWatch Logs checks whether it can reach the stream."""
    text = "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."
    events = [{"id": "", "timestamp": int(time.time() * 1000), "message": text}]
    about = {"owner": "CloudwatchLogs", "logGroup": "", "subscriptionFilters": []}
    return Envelope(pack(wrap(events, "", "CONTROL_MESSAGE") | about), 0, 0)


def event_record(
    data: bytes, *, shard: str, sequence: str, partition_key: str, arrival_s: float, **more: str
) -> dict[str, Any]:
    """Return a record of the stream as Lambda passes it to a function, in `Records` of an event.

    Args:
        data: the record's bytes.
        shard: the name of its shard.
        sequence: its sequence number.
        partition_key: its partition key.
        arrival_s: when it arrived on the stream, in seconds since 1970.
        more: further members, such as `eventSourceARN`.

    """
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": partition_key,
            "sequenceNumber": sequence,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": arrival_s,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard}:{sequence}",
        "eventName": "aws:kinesis:record",
        **more,
    }


def make_poison(number: int) -> Poison:
    """Make an unreadable record: five kinds in turn; the same number always gives the same bytes."""
    noise = random.Random(number).randbytes(200)  # noqa: S311 - a test's noise
    unknown = {"messageType": "SURPRISE_MESSAGE", "logEvents": [], "number": number}
    kinds = (
        Poison(b"not gzip" + noise, "not-gzip"),
        Poison(gzip.compress(noise, mtime=0)[:-20], "truncated-gzip"),
        Poison(gzip.compress(b"{ not JSON " + noise, mtime=0), "not-json"),
        Poison(pack({"number": number}), "not-an-envelope"),
        Poison(pack(unknown), "unknown-message-type"),
    )
    return kinds[number % len(kinds)]


def _flush(waiting: dict[str, list[str]], layout: Layout) -> Iterator[Envelope]:
    for interface, lines in waiting.items():
        if lines:
            yield from _pack_lines(lines, interface, layout)
    waiting.clear()


def _pack_lines(lines: list[str], interface: str, layout: Layout) -> Iterator[Envelope]:
    """Wrap flow records of one interface in as few envelopes as fit on the stream."""
    now_ms = int(time.time() * 1000)
    events = [
        {"id": f"{now_ms:020d}{number:036d}", "timestamp": _start_ms(line, layout, now_ms), "message": line}
        for number, line in enumerate(lines)
    ]
    data = pack(wrap(events, f"{interface}-all"))
    if len(data) <= RECORD_BYTES or len(lines) == 1:
        read_status = make_status_reader(layout.columns)
        yield Envelope(data, len(lines), sum(read_status(line) != MISFIT for line in lines))
        return
    half = len(lines) // 2
    yield from _pack_lines(lines[:half], interface, layout)
    yield from _pack_lines(lines[half:], interface, layout)


def _start_ms(line: str, layout: Layout, otherwise: int) -> int:
    start = _column(line, layout, "start") or ""
    return int(start) * 1000 if start.isdecimal() and len(start) <= 10 else otherwise


def _column(line: str, layout: Layout, field: str) -> str | None:
    if field not in layout:
        return None
    values = line.split(" ")
    position = layout.position(field)
    return values[position] if position < len(values) else None
