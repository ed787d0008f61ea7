"""Lambda: read a batch of a Kinesis stream, write one gzip object of flow records to S3.

Self-contained: it needs only the standard library and the runtime's boto3, because the stack's template has this
file inline. Each record of the stream comes from a CloudWatch Logs subscription: a gzipped JSON envelope
(Amazon CloudWatch Logs user guide, "Log group-level subscription filters").

What happens to each kind of input:

- `CONTROL_MESSAGE` envelopes, CloudWatch's probes, are counted and skipped.
- A flow record that fits the layout is kept; the order stays. This includes records with log-status NODATA and
  SKIPDATA, as in AWS's direct delivery to S3: whoever counts must see that AWS left records out (decision 16).
- A message that does not fit the layout is a misfit: it has another number of columns, a column with a value that
  the layout excludes, or a character other than printable ASCII, or readers would take it for a header. It is tallied,
  and all misfits of the batch are kept in one object under `quarantine/`, one JSON string per line.
- A payload that cannot be decoded, or is larger than any of a stream of flow logs, goes to `quarantine/` unchanged,
  with the reason in its metadata. From the 501st of a batch on they share one object.
- An event that is not of a Kinesis stream is refused: the function is connected to something else.
- A data record of the stream that is the same, byte for byte, as an earlier one of the batch is tallied as repeated
  and skipped: CloudWatch Logs sends at least once, and the ids of its log events are in the bytes.
- A failure of S3 is raised: Lambda retries the whole batch, with the same bounds.

What counts once: every key depends only on the batch's shard, sequence numbers and arrival time, and every object's
bytes only on the batch. So a retry of the same batch overwrites its own objects, and its records count once. Two
batches never have the same key, also when a parallelization factor above 1 deals the records of a shard to several
batches at a time: the key has the sequence number of the batch's first record, and that record is in no other batch.

What may count twice: records that are delivered again in a batch with other bounds, because its key is another one.
Lambda processes each record at least once (Lambda developer guide, "Using Lambda to process records from Amazon Kinesis
Data Streams"). It may cut batches in another way when a poller restarts after a batch was processed but before Lambda
noted that, when the event source mapping is made anew or changed, and when the stream is resharded at that time. The
same is true if CloudWatch Logs sends an envelope again so much later that it comes in another batch.

Memory: an envelope is decompressed and parsed piece by piece, and the output is held compressed, so that the peak
does not depend on the content of the envelope. `bench/preprocessor.py` measures it, and
`tests/unit/test_preprocess_memory.py` checks it. Time: the effort of a batch is limited, and payloads beyond the
limit go to quarantine instead of blocking the shard.
"""

import base64
import codecs
import functools
import json
import os
import re
import socket
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

DEFAULT_FIELDS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)

UNPACKED_BYTES = 24 * 1024 * 1024
"""The largest envelope that is read. A record of the stream has at most 1 MiB; flow logs compress 10 to 20 fold."""

PIECE_BYTES = 128 * 1024
"""How much of an envelope is decompressed at a time."""

VALUE_CHARACTERS = 1024 * 1024
"""The longest text of one JSON value, give or take a piece: CloudWatch Logs accepts no larger log events."""

BATCH_EFFORT = 1024 * 1024 * 1024
"""The most effort that one batch may take, 20 times that of the largest batch of flow logs. It takes well below the
function's timeout even with the least memory, for which Lambda gives a seventh of a processor."""

VALUE_EFFORT = 200
"""The cost of a value in addition to its bytes, in bytes."""

GZIP_MEMBERS = 16
"""The most gzip members in one record of the stream. CloudWatch Logs writes one; even an empty one costs time."""

QUARANTINE_OBJECTS = 500
"""The most objects in quarantine for single records of a batch: each put takes time."""

GZIP_LEVEL = 4
"""Twice as fast as zlib's default of 6; the output is a tenth larger (bench/preprocessor.py)."""

GZIP_WBITS = 31
"""zlib's value for gzip: the header then has no time, so that a retry gives the same bytes."""

METRICS_NAMESPACE = "TopTalkers"

FIELD_NAMES = frozenset(
    f"""{DEFAULT_FIELDS}
    vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type
    sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path ecs-cluster-arn
    ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id
    ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason
    resource-id encryption-status instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2
    interface-type next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id
    next-hop-interface-type resource-type tgw-id tgw-attachment-id tgw-src-vpc-account-id
    tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni
    tgw-dst-eni tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id packets-lost-no-route
    packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired
    """.split()
)
"""Every field of VPC and transit gateway flow logs: readers recognize a header line by one of them."""

FIELD_NAME = re.compile(r"[a-z][a-z0-9-]*")

HEADER_COLUMN = re.compile(r"[a-z][a-z0-9_-]*")

IPV4 = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

ADDRESS = rf"(?:{IPV4}(?:\.{IPV4}){{3}}|-|((?=[0-9A-Fa-f.]*+:)[0-9A-Fa-f:.]{{2,45}}+))"
"""IPv4, no address, or possibly IPv6: that one is captured, and checked again."""

NUMBER = r"(?:-|[0-9]++)"

COLUMN_PATTERNS = {
    "version": "[0-9]++",
    "action": "(?:ACCEPT|REJECT|-)",
    "log-status": "(?P<status>OK|NODATA|SKIPDATA)",
    **dict.fromkeys(["srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"], ADDRESS),
    **dict.fromkeys(["srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "tcp-flags"], NUMBER),
}
"""The patterns of the columns that distinguish layouts."""

ANY_COLUMN = "[!-~]++"

MISFIT = "misfit"


@dataclass(frozen=True)
class Settings:
    """Where objects go, and the columns of the records, by AWS's field names."""

    bucket: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """The records of one invocation: their shard and arrival time, and their bounds."""

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

    def surplus_key(self) -> str:
        """The key of the object with the undecodable records beyond `QUARANTINE_OBJECTS`, one JSON object per line."""
        return f"quarantine/{self.arrival:%Y/%m/%d/%H}/{self.shard}-{self.first}-{self.last}-surplus.ndjson.gz"

    def quarantine_key(self, sequence: str, reason: str) -> str:
        """The key of one stream record that could not be decoded."""
        return f"quarantine/{self.arrival:%Y/%m/%d/%H}/{self.shard}-{sequence}-{reason}"


class Undecodable(Exception):  # noqa: N818 - a finding about the payload, not an error of ours
    """A record of the stream did not come from CloudWatch Logs; the text is the reason, a slug."""


class GzipText:
    """Compresses lines into one gzip member in memory."""

    def __init__(self) -> None:
        """Begin an empty member."""
        self._deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WBITS)
        self._chunks: list[bytes] = []
        self._lines: list[str] = []
        self._characters = 0

    def write(self, *lines: str) -> None:
        """Add lines of ASCII, without their line feeds."""
        self._lines += lines
        self._characters += sum(map(len, lines))
        if self._characters > PIECE_BYTES:
            self._compress()

    def mark(self) -> tuple[Any, int]:
        """Return the current end of the text, for `undo`."""
        self._compress()
        return self._deflate.copy(), len(self._chunks)

    def undo(self, mark: tuple[Any, int]) -> None:
        """Forget what was written after a mark; a mark can be used only once."""
        self._deflate, chunks = mark
        del self._chunks[chunks:]
        self._lines, self._characters = [], 0

    def finish(self) -> bytes:
        """End the member and return its bytes."""
        self._compress()
        self._chunks.append(self._deflate.flush())
        return b"".join(self._chunks)

    def _compress(self) -> None:
        if self._lines:
            self._lines.append("")
            if chunk := self._deflate.compress("\n".join(self._lines).encode("ascii")):
                self._chunks.append(chunk)
            self._lines, self._characters = [], 0


class JsonText:
    """A parser for JSON that comes in pieces; it holds one value at a time.

    Every method raises Undecodable for text that is not JSON, for a value that is too long, and for a batch that takes
    too much effort, and passes on what the pieces raise.
    """

    def __init__(self, pieces: Iterator[str], effort: Counter[str]) -> None:
        """Start before the first piece; `effort` is increased, and shared by all texts of a batch."""
        self._pieces = pieces
        self._effort = effort
        self._text = ""
        self._at = 0
        self._is_fresh = True
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """Return the next character that is not white space; `""` at the end."""
        while True:
            self._at = _SPACE(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_piece():
                return ""

    def take(self, characters: str) -> str:
        """Consume and return the next character, which must be one of these."""
        found = self.peek()
        if not found or found not in characters:
            raise Undecodable("not-json")
        self._at += 1
        return found

    def value(self) -> Any:
        """Consume and return a whole value."""
        self.peek()
        # One by one, values take about twice the time of `_read_run`.
        self._effort["spent"] += 2 * VALUE_EFFORT
        while True:
            end = None
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # An error near the end of the text, or an unterminated string, may only mean that more text is needed.
                if error.pos < len(self._text) - 16 and not error.msg.startswith("Unterminated"):
                    raise Undecodable("not-json") from None
            except (ValueError, RecursionError):
                raise Undecodable("not-json") from None
            if end is None or len(self._text) - end <= 2:
                # A number may continue in the next piece, even after a `.`, `e` or `e-` that is not yet part of it.
                if len(self._text) - self._at > VALUE_CHARACTERS:
                    raise Undecodable("too-large")
                start = self._at
                if self._read_piece():
                    continue
                if end is None:
                    raise Undecodable("not-json")
                end -= start
            self._at = end
            return value

    def items(self) -> Iterator[list[Any]]:
        """Give the values of an array in their order, some at a time."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self._read_run() or [self.value()]
            if self.take(",]") == "]":
                return

    def _read_run(self) -> list[Any]:
        """Consume most values of a piece at once, several times as fast as one by one; none if that fails."""
        # Only once per piece: if the cut is within a string, every attempt would fail.
        cut = self._text.rfind("},{", self._at) + 1 if self._is_fresh else 0
        self._is_fresh = False
        if not cut:
            return []
        try:
            values: list[Any] = json.loads(f"[{self._text[self._at : cut]}]")
        except (ValueError, RecursionError):
            return []
        self._effort["spent"] += VALUE_EFFORT * len(values)
        self._at = cut
        return values

    def members(self) -> Iterator[Any]:
        """Give the names of an object, one by one; the caller must consume the value after each."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                raise Undecodable("not-json")
            name = self.value()
            self.take(":")
            yield name
            if self.take(",}") == "}":
                return

    def _read_piece(self) -> bool:
        try:
            piece = next(self._pieces, "")
        except UnicodeDecodeError:
            raise Undecodable("not-json") from None
        self._effort["spent"] += len(piece)
        if self._effort["spent"] > BATCH_EFFORT:
            raise Undecodable("too-large")
        self._text = self._text[self._at :] + piece
        self._at = 0
        self._is_fresh = True
        return bool(piece)


_SPACE = re.compile(r"[ \t\n\r]*+").match


class Sorter:
    """Sorts the messages of a batch into the flow records that are kept, by log-status, and the misfits."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        """Start with only a header line."""
        self._read_status = make_status_reader(columns)
        self.captured = GzipText()
        self.captured.write(" ".join(columns))
        self.misfits = GzipText()
        self.kept: Counter[str] = Counter()
        self.misfit_count = 0

    def take(self, messages: list[str]) -> None:
        """Write messages, in their order."""
        statuses = list(map(self._read_status, messages))
        # A reader of the object would see a trailing space as one more column.
        kept = [message.rstrip(" ") for message, status in zip(messages, statuses, strict=True) if status != MISFIT]
        self.captured.write(*kept)
        self.kept.update(statuses)
        if len(kept) == len(messages):
            return
        self.misfit_count += self.kept.pop(MISFIT)
        for message, status in zip(messages, statuses, strict=True):
            if status == MISFIT:
                self.misfits.write(json.dumps(message))

    def mark(self) -> tuple[Any, ...]:
        """Return the current state, for `undo`."""
        return self.captured.mark(), self.misfits.mark(), self.kept.copy(), self.misfit_count

    def undo(self, mark: tuple[Any, ...]) -> None:
        """Forget what was taken after a mark; a mark can be used only once."""
        captured, misfits, self.kept, self.misfit_count = mark
        self.captured.undo(captured)
        self.misfits.undo(misfits)


def parse_columns(log_format: str) -> tuple[str, ...]:
    """Read AWS's `${field} ${field}` syntax, or plain names; an empty text means the default format.

    Raises:
        ValueError: a word cannot be a field name; the message is one line.

    """
    words = log_format.replace(",", " ").split()
    names = tuple(word[2:-1] if word.startswith("${") and word.endswith("}") else word for word in words)
    for name in names:
        if not FIELD_NAME.fullmatch(name):
            raise ValueError(
                f"LOG_FORMAT: {name[:100]!r} is not a field name; write it as '${{srcaddr}} ${{dstaddr}}', with spaces"
            )
    return names or tuple(DEFAULT_FIELDS.split())


@functools.lru_cache(maxsize=8)
def make_status_reader(columns: tuple[str, ...]) -> Callable[[str], str]:
    """Make the function that classifies a message: its log-status (OK for a layout without one), or `MISFIT`."""
    patterns: list[str] = []
    for position, name in enumerate(columns):
        known = COLUMN_PATTERNS.get(name, ANY_COLUMN)
        patterns.append(ANY_COLUMN if name in columns[:position] else known)
    fits = re.compile(" ".join(patterns) + " *+").fullmatch
    has_status = "log-status" in columns
    # A header line fits a layout only if every column of it may hold any word.
    any_word = not COLUMN_PATTERNS.keys() & set(columns)

    def read_status(message: str) -> str:
        found = fits(message)
        if found is None or (":" in message and not all(map(_is_ipv6, found.groups()))):
            return MISFIT
        if any_word and _is_header(message):
            return MISFIT
        return found["status"] if has_status else "OK"

    return read_status


def _is_ipv6(text: str | None) -> bool:
    """Whether a captured group is an IPv6 address, empty, or a word without a colon."""
    if text is None or ":" not in text:
        return True
    try:
        socket.inet_pton(socket.AF_INET6, text)
    except OSError:
        return False
    return True


def _is_header(message: str) -> bool:
    """Whether a reader may take a line for a header: it has only names, and one of them is a field's."""
    names = message.split(" ")
    return all(map(HEADER_COLUMN.fullmatch, names)) and any(name.replace("_", "-") in FIELD_NAMES for name in names)


def read_records(event: Any) -> list[dict[str, Any]]:
    """Return the records of an event of a Kinesis stream.

    Raises:
        ValueError: it is another event; one line says what came and how to connect the function.

    """
    records = event.get("Records") if isinstance(event, dict) else None
    if isinstance(records, list) and all(map(_is_kinesis_record, records)):
        return records
    raise ValueError(
        f"got {_name_event(event)} instead of records of a Kinesis stream: let the log group's subscription filter put"
        " its data on a stream, and an event source mapping of that stream call this function"
    )


def _is_kinesis_record(record: Any) -> bool:
    data = record.get("kinesis") if isinstance(record, dict) else None
    return (
        isinstance(data, dict)
        and isinstance(record.get("eventID"), str)
        and isinstance(data.get("sequenceNumber"), str)
        and isinstance(data.get("data"), str)
        and isinstance(data.get("approximateArrivalTimestamp"), int | float)
    )


def _name_event(event: Any) -> str:
    """Describe an event that is not of a Kinesis stream."""
    if not isinstance(event, dict):
        return f"a JSON {type(event).__name__}"
    if "awslogs" in event:
        return "the data of a CloudWatch Logs subscription that calls the function itself"
    if "deliveryStreamArn" in event or isinstance(event.get("records"), list):
        return "records of a Firehose stream to transform"
    if "detail-type" in event:
        return f"an event of EventBridge ({str(event['detail-type'])[:60]!r})"
    records = event.get("Records")
    if isinstance(records, list):
        for record in records:
            if not _is_kinesis_record(record):
                source = record.get("eventSource", record.get("EventSource")) if isinstance(record, dict) else None
                return f"a record of {str(source)[:60]!r}" if source != "aws:kinesis" else "an incomplete record"
    return f"an event with {', '.join(repr(str(name)[:30]) for name in list(event)[:5]) or 'nothing in it'}"


def read_batch(records: list[dict[str, Any]]) -> Batch:
    """Read a batch's bounds from its first and last record (an event has records of only one shard)."""
    first, last = records[0], records[-1]
    return Batch(
        shard=first["eventID"].partition(":")[0],
        first=first["kinesis"]["sequenceNumber"],
        last=last["kinesis"]["sequenceNumber"],
        arrival=datetime.fromtimestamp(first["kinesis"]["approximateArrivalTimestamp"], UTC),
    )


def unpack(payload: bytes) -> Iterator[bytes]:
    """Decompress gzip, of one or several members, in pieces, up to `UNPACKED_BYTES`; Undecodable for anything else."""
    if not payload:
        raise Undecodable("not-gzip")
    room = UNPACKED_BYTES
    for _ in range(GZIP_MEMBERS):
        inflate = zlib.decompressobj(GZIP_WBITS)
        while not inflate.eof:
            try:
                piece = inflate.decompress(payload, PIECE_BYTES)
            except zlib.error:
                raise Undecodable("not-gzip") from None
            payload = inflate.unconsumed_tail
            room -= len(piece)
            if room < 0:
                raise Undecodable("too-large")
            if piece:
                yield piece
            elif not inflate.eof:
                raise Undecodable("truncated-gzip")
        payload = inflate.unused_data
        if not payload:
            return
    raise Undecodable("too-many-members")


def read_envelope(payload: bytes, take: Callable[[list[str]], None], effort: Counter[str]) -> bool:
    """Pass on the messages of one record of the stream, some at a time; True for data, False for a probe.

    Args:
        payload: the record.
        take: called with messages, in their order. They count only if this function returns True.
        effort: the effort of the batch so far; increased.

    Raises:
        Undecodable: it is not an envelope.

    """
    pieces = unpack(payload)
    try:
        return _read_json_envelope(JsonText(codecs.iterdecode(pieces, "utf-8"), effort), take)
    except Undecodable as found:
        if str(found) == "not-json":
            # If it is not gzip either, that is the reason to report.
            for piece in pieces:
                effort["spent"] += len(piece)
        raise


def _read_json_envelope(text: JsonText, take: Callable[[list[str]], None]) -> bool:
    kind: Any = None
    lists, sound = 0, True
    if text.peek() == "{":
        for name in text.members():
            if name == "logEvents":
                lists += 1
                sound = _read_log_events(text, take) and sound
            elif name == "messageType":
                kind = text.value()
            else:
                text.value()
    else:
        text.value()
    if text.peek():
        raise Undecodable("not-json")
    if kind == "CONTROL_MESSAGE":
        return False
    if kind not in ("DATA_MESSAGE", None):
        raise Undecodable("unknown-message-type")
    if kind is None or lists != 1 or not sound:
        raise Undecodable("not-an-envelope")
    return True


def _read_log_events(text: JsonText, take: Callable[[list[str]], None]) -> bool:
    """Pass on the messages of an array of log events; return whether it is one."""
    if text.peek() != "[":
        text.value()
        return False
    sound = True
    for log_events in text.items():
        try:
            messages = [log_event["message"] for log_event in log_events]
        except (KeyError, TypeError):
            sound = False
            continue
        sound = sound and all(isinstance(message, str) for message in messages)
        if sound:
            take(messages)
    return sound


def process(event: dict[str, Any], s3: Any, settings: Settings) -> dict[str, Any]:
    """Write one batch to S3; return the tally of its records.

    Args:
        event: the event that Lambda passes for a Kinesis event source mapping.
        s3: a boto3 S3 client; only its `put_object` is called, and its exceptions are passed on.
        settings: the bucket and the layout.

    Raises:
        ValueError: the event is not of a Kinesis stream.

    """
    records = read_records(event)
    sorter = Sorter(settings.columns)
    tally: dict[str, Any] = {
        "stream_records": len(records),
        "control_messages": 0,
        "repeated": 0,
        "kept": 0,
        "nodata": 0,
        "skipdata": 0,
        "misfits": 0,
        "quarantined": Counter(),
        "bytes_out": 0,
        "key": None,
        "misfit_key": None,
    }
    if not records:
        return tally
    batch = read_batch(records)
    effort: Counter[str] = Counter()
    surplus = GzipText()
    seen: set[str] = set()
    for record in records:
        data = record["kinesis"]["data"]
        if data in seen:
            tally["repeated"] += 1
            continue
        payload = base64.b64decode(data)
        before = sorter.mark()
        is_data = False
        try:
            is_data = read_envelope(payload, sorter.take, effort)
            tally["control_messages"] += not is_data
        except Undecodable as found:
            reason, sequence = str(found), record["kinesis"]["sequenceNumber"]
            tally["quarantined"][reason] += 1
            if tally["quarantined"].total() > QUARANTINE_OBJECTS:
                line = {"sequence": sequence, "reason": reason, "data": data}
                surplus.write(json.dumps(line))
            else:
                s3.put_object(
                    Bucket=settings.bucket,
                    Key=batch.quarantine_key(sequence, reason),
                    Body=payload,
                    ContentType="application/octet-stream",
                    Metadata={"reason": reason},
                )
        if is_data:
            seen.add(data)
        else:
            sorter.undo(before)
    if tally["quarantined"].total() > QUARANTINE_OBJECTS:
        s3.put_object(
            Bucket=settings.bucket,
            Key=batch.surplus_key(),
            Body=surplus.finish(),
            ContentType="application/gzip",
            Metadata={"reason": "surplus"},
        )
    tally["kept"], tally["misfits"] = sorter.kept.total(), sorter.misfit_count
    tally["nodata"], tally["skipdata"] = sorter.kept["NODATA"], sorter.kept["SKIPDATA"]
    if tally["misfits"]:
        tally["misfit_key"] = batch.misfit_key()
        s3.put_object(
            Bucket=settings.bucket,
            Key=tally["misfit_key"],
            Body=sorter.misfits.finish(),
            ContentType="application/gzip",
            Metadata={"reason": MISFIT},
        )
    if tally["kept"]:
        body = sorter.captured.finish()
        tally["bytes_out"] = len(body)
        tally["key"] = batch.captured_key()
        s3.put_object(Bucket=settings.bucket, Key=tally["key"], Body=body, ContentType="application/gzip")
    return tally


def format_log_line(tally: dict[str, Any], function_name: str, time_ms: int) -> str:
    """Format the tally as one JSON line that also sets metrics, in CloudWatch's embedded metric format.

    Each metric name is a custom metric of the account, and billed as one. `RecordsKept` counts all records in the
    object; `RecordsNodata` and `RecordsSkipdata` are among them. `Quarantined` counts objects.
    """
    metrics = {
        "RecordsKept": ("Count", tally["kept"]),
        "RecordsNodata": ("Count", tally["nodata"]),
        "RecordsSkipdata": ("Count", tally["skipdata"]),
        "RecordsMisfit": ("Count", tally["misfits"]),
        "Quarantined": ("Count", sum(tally["quarantined"].values()) + (tally["misfit_key"] is not None)),
        "BytesOut": ("Bytes", tally["bytes_out"]),
    }
    directive = {
        "Namespace": METRICS_NAMESPACE,
        "Dimensions": [["FunctionName"]],
        "Metrics": [{"Name": name, "Unit": unit} for name, (unit, _) in metrics.items()],
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": time_ms, "CloudWatchMetrics": [directive]},
            "FunctionName": function_name,
            **{name: value for name, (_, value) in metrics.items()},
            **tally,
        }
    )


def handler(event: dict[str, Any], context: Any) -> None:
    """Lambda calls this: read the settings from the environment (BUCKET, LOG_FORMAT), print the tally to the log."""
    settings = Settings(os.environ["BUCKET"], parse_columns(os.environ.get("LOG_FORMAT", "")))
    tally = process(event, _s3_client(), settings)
    print(format_log_line(tally, context.function_name, int(time.time() * 1000)))


@functools.cache
def _s3_client() -> Any:
    """Make the client, once per execution environment; tests pass their own and need no boto3."""
    import boto3
    from botocore.config import Config

    # All attempts together take less than the function's timeout: if S3 hangs, the result must be an error and a retry.
    return boto3.client(
        "s3",
        config=Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3}),
    )
