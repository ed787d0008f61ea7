"""Lambda: a batch of a Kinesis stream in, one gzip object of flow records in S3 out.

Self-contained, the standard library and the runtime's boto3 alone: the stack's template carries this file
inline. Each record of the stream is what a CloudWatch Logs subscription puts there: a gzipped JSON envelope
(Amazon CloudWatch Logs user guide, "Log group-level subscription filters").

What happens to what comes in:

- `CONTROL_MESSAGE` envelopes, CloudWatch's probes, are counted and skipped.
- A flow record whose log-status is OK is kept, in the order in which it came. NODATA and SKIPDATA are
  tallied. A layout without log-status keeps every record that fits it.
- A flow record that does not fit the layout (too few columns, a log-status that AWS does not have, more than
  one line, characters that no field has) is a misfit: tallied, and all misfits of the batch are kept in one
  object under `quarantine/`, a JSON line each.
- A payload that cannot be decoded goes to `quarantine/` byte for byte, the reason in its metadata.
- A failure of S3 is raised: Kinesis sends the whole batch again, with the same bounds. Every key is made of
  the batch's shard, sequence numbers and arrival time, and every object's bytes of the batch alone, so that a
  retry overwrites itself and nothing counts twice.

Memory: of the unpacked batch one envelope at a time is held (at most `UNPACKED_BYTES` and
`JSON_VALUES`), and what is to be written, compressed. `scripts/bench-lambda` measures it.
"""

import base64
import functools
import json
import os
import re
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DEFAULT_FIELDS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)

UNPACKED_BYTES = 24 * 1024 * 1024
"""The largest envelope that is read. A record of the stream has at most 1 MiB; flow logs pack 10 to 20 fold."""

JSON_VALUES = 600_000
"""The most values in one envelope: each takes far more memory than text (a flow record brings 4)."""

GZIP_LEVEL = 4
"""Twice as fast as zlib's own 6, a tenth larger (scripts/bench-lambda)."""

GZIP_WBITS = 31
"""zlib's sign for a gzip member: its header then has no time, so that a retry gives the same bytes."""

DROPPED_STATUS = {"NODATA": "nodata", "SKIPDATA": "skipdata"}

METRICS_NAMESPACE = "TopTalkers"

FIELD_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class Settings:
    """Where objects go, and the columns of the records, by AWS's field names."""

    bucket: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """One invocation's records: where and when they were put on the stream, and their bounds."""

    shard: str
    first: str
    last: str
    arrival: datetime

    def captured_key(self) -> str:
        """The key of the object with the flow records."""
        return f"flowlogs/{self.arrival:%Y/%m/%d/%H}/{self.shard}-{self.first}-{self.last}.gz"

    def misfit_key(self) -> str:
        """The key of the object with the flow records that do not fit the layout."""
        return f"quarantine/{self.arrival:%Y/%m/%d/%H}/{self.shard}-{self.first}-{self.last}-misfit.ndjson.gz"

    def quarantine_key(self, sequence: str, reason: str) -> str:
        """The key of one record of the stream that could not be decoded."""
        return f"quarantine/{self.arrival:%Y/%m/%d/%H}/{self.shard}-{sequence}-{reason}"


class Undecodable(Exception):  # noqa: N818 - a finding about the payload, not an error of ours
    """A record of the stream that is not what CloudWatch Logs puts there; its text is the reason, a slug."""


class GzipText:
    """Lines on their way into one gzip member in memory."""

    def __init__(self) -> None:
        """Begin an empty member."""
        self._deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS)
        self._chunks: list[bytes] = []

    def write(self, text: str) -> None:
        """Add ASCII text."""
        self._chunks.append(self._deflate.compress(text.encode("ascii")))

    def finish(self) -> bytes:
        """End the member and hand over its bytes."""
        self._chunks.append(self._deflate.flush())
        return b"".join(self._chunks)


def parse_columns(log_format: str) -> tuple[str, ...]:
    """Read AWS's `${field} ${field}` syntax, or plain names; nothing at all means the default format.

    Raises:
        ValueError: for what cannot be a field name.

    """
    names = tuple(re.sub(r"\$\{([^{}\s]*)\}", r"\1", log_format).replace(",", " ").split())
    for name in names:
        if not FIELD_NAME.fullmatch(name):
            raise ValueError(f"LOG_FORMAT: {name!r} is not a field name")
    return names or tuple(DEFAULT_FIELDS.split())


def read_batch(records: list[dict[str, Any]]) -> Batch:
    """Take a batch's bounds from its first and last record (an event has records of one shard only)."""
    first, last = records[0], records[-1]
    return Batch(
        shard=first["eventID"].partition(":")[0],
        first=first["kinesis"]["sequenceNumber"],
        last=last["kinesis"]["sequenceNumber"],
        arrival=datetime.fromtimestamp(first["kinesis"]["approximateArrivalTimestamp"], UTC),
    )


def unpack(payload: bytes) -> bytes:
    """Undo gzip, one member or several, up to `UNPACKED_BYTES`; Undecodable for anything else."""
    unpacked = b""
    while True:
        inflate = zlib.decompressobj(GZIP_WBITS)
        try:
            unpacked += inflate.decompress(payload, UNPACKED_BYTES + 1 - len(unpacked))
        except zlib.error:
            raise Undecodable("not-gzip") from None
        if len(unpacked) > UNPACKED_BYTES:
            raise Undecodable("too-large")
        if not inflate.eof:
            raise Undecodable("truncated-gzip" if payload else "not-gzip")
        payload = inflate.unused_data
        if not payload:
            return unpacked


def parse_envelope(unpacked: bytes) -> list[str] | None:
    """Take the messages out of an envelope; None for a probe, Undecodable for what is no envelope."""
    if sum(unpacked.count(opening) for opening in (b",", b"[", b"{")) > JSON_VALUES:
        raise Undecodable("too-large")
    try:
        envelope = json.loads(unpacked)
    except (ValueError, RecursionError):
        raise Undecodable("not-json") from None
    if not isinstance(envelope, dict) or "messageType" not in envelope:
        raise Undecodable("not-an-envelope")
    if envelope["messageType"] == "CONTROL_MESSAGE":
        return None
    if envelope["messageType"] != "DATA_MESSAGE":
        raise Undecodable("unknown-message-type")
    try:
        messages = [log_event["message"] for log_event in envelope["logEvents"]]
    except (KeyError, TypeError):
        raise Undecodable("not-an-envelope") from None
    if not all(isinstance(message, str) for message in messages):
        raise Undecodable("not-an-envelope")
    return messages


def process(event: dict[str, Any], s3: Any, settings: Settings) -> dict[str, Any]:
    """Carry one batch to S3; the tally of what became of its records comes back.

    Args:
        event: what Lambda hands over for a Kinesis event source mapping.
        s3: a boto3 S3 client; of it `put_object` is called, and what it raises is passed on.
        settings: the bucket and the layout.

    """
    tally: dict[str, Any] = {
        "stream_records": len(event["Records"]),
        "control_messages": 0,
        "kept": 0,
        "dropped": Counter({"nodata": 0, "skipdata": 0, "misfit": 0}),
        "quarantined": Counter(),
        "bytes_out": 0,
        "key": None,
        "misfit_key": None,
    }
    if not event["Records"]:
        return tally
    batch = read_batch(event["Records"])
    captured = GzipText()
    captured.write(" ".join(settings.columns) + "\n")
    misfits = GzipText()
    for record in event["Records"]:
        payload = base64.b64decode(record["kinesis"]["data"])
        try:
            messages = parse_envelope(unpack(payload))
        except Undecodable as found:
            reason = str(found)
            sequence = record["kinesis"]["sequenceNumber"]
            s3.put_object(
                Bucket=settings.bucket,
                Key=batch.quarantine_key(sequence, reason),
                Body=payload,
                ContentType="application/octet-stream",
                Metadata={"reason": reason},
            )
            tally["quarantined"][reason] += 1
            continue
        if messages is None:
            tally["control_messages"] += 1
            continue
        tally["kept"] += _sort_messages(messages, settings.columns, captured, misfits, tally["dropped"])
        # Two envelopes at once would be the peak of memory.
        del messages
    if tally["dropped"]["misfit"]:
        tally["misfit_key"] = batch.misfit_key()
        s3.put_object(
            Bucket=settings.bucket,
            Key=tally["misfit_key"],
            Body=misfits.finish(),
            ContentType="application/gzip",
            Metadata={"reason": "misfit"},
        )
    if tally["kept"]:
        body = captured.finish()
        tally["bytes_out"] = len(body)
        tally["key"] = batch.captured_key()
        s3.put_object(Bucket=settings.bucket, Key=tally["key"], Body=body, ContentType="application/gzip")
    return tally


def format_log_line(tally: dict[str, Any], function_name: str, time_ms: int) -> str:
    """Write the tally as one JSON line that is also metrics, in CloudWatch's embedded metric format.

    Each metric name is a custom metric of the account, and billed as such.
    """
    units = {"RecordsKept": "Count", "Quarantined": "Count", "BytesOut": "Bytes"}
    values = {
        "RecordsKept": tally["kept"],
        "Quarantined": sum(tally["quarantined"].values()) + (tally["misfit_key"] is not None),
        "BytesOut": tally["bytes_out"],
    }
    for reason, count in tally["dropped"].items():
        units[f"RecordsDropped{reason.capitalize()}"] = "Count"
        values[f"RecordsDropped{reason.capitalize()}"] = count
    directive = {
        "Namespace": METRICS_NAMESPACE,
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": name, "Unit": unit} for name, unit in units.items()],
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": time_ms, "CloudWatchMetrics": [directive]},
            "FunctionName": function_name,
            **values,
            **tally,
        }
    )


def handler(event: dict[str, Any], context: Any) -> None:
    """What Lambda calls: settings from the environment (BUCKET, LOG_FORMAT), the tally to the log."""
    settings = Settings(os.environ["BUCKET"], parse_columns(os.environ.get("LOG_FORMAT", "")))
    tally = process(event, _s3_client(), settings)
    print(format_log_line(tally, context.function_name, int(time.time() * 1000)))


@functools.cache
def _s3_client() -> Any:
    """Make the client once an execution environment; tests pass their own and need no boto3."""
    import boto3
    from botocore.config import Config

    # Above all tries stands the function's timeout: a hanging S3 must end in an error that is retried.
    return boto3.client(
        "s3",
        config=Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}),
    )


def _sort_messages(
    messages: list[str], columns: tuple[str, ...], captured: GzipText, misfits: GzipText, dropped: Counter[str]
) -> int:
    """Write an envelope's messages to where they belong; how many flow records were kept."""
    width = len(columns)
    status_column = columns.index("log-status") if "log-status" in columns else None
    kept: list[str] = []
    for message in messages:
        values = message.split(" ")
        status = values[status_column] if status_column is not None and len(values) >= width else "OK"
        if len(values) < width or not message.isascii() or "\n" in message or "\r" in message:
            status = "misfit"
        if status == "OK":
            kept.append(message)
        elif status in DROPPED_STATUS:
            dropped[DROPPED_STATUS[status]] += 1
        else:
            dropped["misfit"] += 1
            misfits.write(json.dumps(message) + "\n")
    if kept:
        captured.write("\n".join(kept) + "\n")
    return len(kept)
