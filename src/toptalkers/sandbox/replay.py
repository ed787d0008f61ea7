"""Put flow-log files on a Kinesis stream as a CloudWatch Logs subscription would, and wait until they are in S3.

MiniStack lacks such subscriptions; this replaces them. It only works in a sandbox: real flow logs come by themselves.
"""

import json
import math
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from toptalkers import locations
from toptalkers.aws.failures import explained
from toptalkers.aws.stack import StackGateway
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, Layout, format_log_format, parse_header, parse_log_format
from toptalkers.records.files import InputFile, find_inputs
from toptalkers.records.source import UnreadableError
from toptalkers.records.unpack import read_blocks
from toptalkers.sandbox.envelopes import (
    EVENT_BYTES,
    Envelope,
    Poison,
    event_record,
    make_poison,
    pack_probe,
    pack_records,
)

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

BLOCK_BYTES = 4 << 20

PUT_RECORDS, PUT_BYTES = 500, 4_000_000
"""The most in one PutRecords, and on the stream at a time. Kinesis takes 500 records and 5 MiB with their keys. Lambda
takes at most 6 MB in base64, and MiniStack would pass on everything that is on the stream."""

PROBE_EVERY = 100
"""One probe comes before each group of this many records of the stream."""

POLL_SECONDS = 0.25

QUARANTINED_KEY = re.compile(r"/(?P<shard>shardId-\d+)-(?P<sequence>\d+)-(?P<reason>[a-z-]+)$")


@dataclass(frozen=True)
class Target:
    """The names of a stream, of the function that reads it, and of the bucket where the function writes."""

    stream: str
    function: str
    bucket: str
    layout: Layout
    """The columns of the records on the stream."""


@dataclass(frozen=True)
class PlacedPoison:
    """A poison record, and where it is on the stream."""

    shard: str
    sequence: str
    poison: Poison


@dataclass(frozen=True)
class ReplayReport:
    """What was put on the stream.

    Attributes:
        files: how many files were read.
        records: how many flow records they had.
        kept_records: how many of those the function keeps.
        envelopes: how many data envelopes.
        probes: how many control messages.
        poison: the unreadable records.
        objects: the keys of the objects with these flow records; empty if the replay did not wait.
        retried: how many batches the function got a second time.

    """

    files: int
    records: int
    kept_records: int
    envelopes: int
    probes: int
    poison: tuple[PlacedPoison, ...]
    objects: tuple[str, ...] = ()
    retried: int = 0


@dataclass(frozen=True)
class Clients:
    """The services that a replay talks to."""

    kinesis: "KinesisClient"
    functions: "LambdaClient"
    s3: "S3Client"


def sandbox_clients() -> Clients:
    """Make clients from the environment; UsageError if it is not a sandbox's."""
    try:
        address = urlsplit(os.environ.get("AWS_ENDPOINT_URL", ""))
        is_sandbox = address.hostname in ("127.0.0.1", "localhost") and address.port is not None
    except ValueError:
        is_sandbox = False
    if not is_sandbox:
        raise UsageError("replay works only in a sandbox", hint="toptalkers sandbox run -- COMMAND")
    session = boto3.Session()
    return Clients(session.client("kinesis"), session.client("lambda"), session.client("s3"))


def find_stream(stack_name: str) -> str:
    """Return the name of the stream of our stack; ToptalkersError if there is no such stack."""
    stack = StackGateway(boto3.Session().client("cloudformation")).find(stack_name)
    if stack is None:
        raise ToptalkersError(f"there is no stack {stack_name!r} here", hint="toptalkers deploy")
    if "StreamName" not in stack.outputs:
        raise ToptalkersError(
            f"the stack {stack_name!r} has no stream",
            hint=f"'toptalkers deploy --stack-name {stack_name} --stream' adds one to a stack of toptalkers",
        )
    return stack.outputs["StreamName"]


@explained("lambda")
def find_target(clients: Clients, stream: str) -> Target:
    """Find the function that reads a stream, and its bucket and layout in its settings.

    Raises:
        ToptalkersError: there is no such stream, or no function of ours reads it.

    """
    try:
        arn = clients.kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    except ClientError:
        raise ToptalkersError(f"there is no stream {stream!r} here") from None
    for mapping in clients.functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]:
        function = mapping["FunctionArn"]
        settings = clients.functions.get_function_configuration(FunctionName=function)
        variables = settings.get("Environment", {}).get("Variables", {})
        if "BUCKET" in variables:
            layout = parse_log_format(variables["LOG_FORMAT"]) if variables.get("LOG_FORMAT") else DEFAULT_LAYOUT
            return Target(stream, settings["FunctionName"], variables["BUCKET"], layout)
    raise ToptalkersError(f"no function of toptalkers reads the stream {stream!r}")


@explained("s3")
def replay(
    paths: Sequence[str],
    clients: Clients,
    target: Target,
    *,
    poison: int = 0,
    retry: bool = False,
    wait: bool = False,
    timeout_s: float = 120,
    on_records: Callable[[int], None] = lambda _: None,
) -> ReplayReport:
    """Put the records of flow-log files on a stream.

    All files are checked before anything is put: one that does not fit the stack's layout is refused.

    Args:
        paths: files, folders, globs.
        clients: those of the sandbox.
        target: see `find_target`.
        poison: how many unreadable records to put between the others.
        retry: wait, and then give the function every batch a second time, with the same bounds, as Kinesis does when
            an answer was lost.
        wait: wait until every record is in S3, kept or quarantined.
        timeout_s: how long the function may take for what is on the stream.
        on_records: called with the number of flow records in each envelope.

    Raises:
        UsageError: a file is missing, unreadable or in another layout.
        ToptalkersError: the records are not in S3 in time, a file changed meanwhile, or the sandbox refuses.

    """
    if math.isnan(timeout_s):
        raise UsageError("--timeout must be a number of seconds")
    files = _checked_files(paths, target.layout)
    watch = _Landing(StorageGateway(clients.s3), target.bucket, timeout_s)
    stream = _Stream(clients.kinesis, target.stream)
    counts = dict.fromkeys(("records", "kept_records", "envelopes", "probes"), 0)
    placed: list[PlacedPoison] = []
    bytes_unread = 0
    for round_ in _rounds(_with_probes(_with_poison(pack_records(_records(files), target.layout), poison))):
        size = sum(len(item.data) for item in round_)
        # Unless asked to wait, a replay ends with up to PUT_BYTES still on the stream.
        if bytes_unread and bytes_unread + size > PUT_BYTES:
            watch.wait()
            bytes_unread = 0
        bytes_unread += size
        for item, (shard, sequence) in zip(round_, stream.put([item.data for item in round_]), strict=True):
            if isinstance(item, Poison):
                placed.append(PlacedPoison(shard, sequence, item))
                watch.expect_quarantined(shard, sequence)
                continue
            counts["envelopes" if item.records else "probes"] += 1
            counts["records"] += item.records
            counts["kept_records"] += item.kept_records
            if item.kept_records:
                watch.expect_captured(shard, sequence)
            on_records(item.records)
    objects: tuple[str, ...] = ()
    if wait or retry:
        watch.wait()
        objects = watch.objects()
    retried = retry_batches(clients, target, objects) if retry else 0
    return ReplayReport(files=len(files), poison=tuple(placed), objects=objects, retried=retried, **counts)


def retry_batches(clients: Clients, target: Target, keys: Sequence[str]) -> int:
    """Give the function the batches of objects once more, read from the stream with the same bounds; return how many.

    Raises:
        ToptalkersError: the function fails on one, or the stream no longer has it.

    """
    stream = _Stream(clients.kinesis, target.stream)
    for key in keys:
        match = locations.CAPTURED_KEY.fullmatch(key)
        if match is None:
            raise ToptalkersError(f"not the key of a batch: {key}")
        event = {"Records": stream.read(match["shard"], match["first"], match["last"])}
        answer = clients.functions.invoke(FunctionName=target.function, Payload=json.dumps(event).encode())
        if answer.get("FunctionError"):
            said = answer["Payload"].read().decode(errors="replace")
            raise ToptalkersError(f"the function fails on a batch that it knew: {said[:500]}")
    return len(keys)


def check_layout(file: InputFile, layout: Layout) -> str | None:
    """Return why a file cannot be replayed on a stream of this layout; None if it can.

    A header line must name exactly the layout's columns. Without a header, at least one line of the first block must
    have that many columns. No line may be longer than a log event.
    """
    path = Path(file.name)
    if path.exists() and not path.is_file():
        return "not a file that can be read twice"
    has_header = fits = False
    is_beginning = True
    try:
        for block in read_blocks(file, BLOCK_BYTES):
            text = block.decode(errors="replace")
            if any(len(line.encode()) > EVENT_BYTES for line in text.split("\n") if len(line) > EVENT_BYTES // 3):
                return f"a line is longer than a log event may be, {EVENT_BYTES:,} bytes"
            for match in _MAYBE_HEADER.finditer(text):
                header = parse_header(match[0])
                if header is not None and header != layout:
                    return f"its header names other columns than the stack's: {match[0][:60]}..."
                has_header = has_header or header is not None
            if is_beginning:
                is_beginning = False
                fits = any(line.count(" ") + 1 == len(layout) for line in text.split("\n"))
    except UnreadableError as error:
        return str(error)
    if not fits and not has_header:
        return f"no line has the {len(layout)} columns of the stack's format"
    return None


_MAYBE_HEADER = re.compile(r"^[a-z][a-z0-9-]*(?: [a-z][a-z0-9-]*)*$", re.MULTILINE)


def _checked_files(paths: Sequence[str], layout: Layout) -> tuple[InputFile, ...]:
    if "-" in paths:
        raise UsageError("replay reads its files twice, and standard input can be read only once", hint="name a file")
    inputs = find_inputs(paths)
    problems = [f"{problem.name}: {problem.reason}" for problem in inputs.problems]
    reasons = ((file.name, check_layout(file, layout)) for file in inputs.files)
    problems += [f"{name}: {reason}" for name, reason in reasons if reason]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UsageError(
            f"cannot replay {problems[0]}{more}", hint=f"the stack's format is {format_log_format(layout)}"
        )
    return inputs.files


def _records(files: Iterable[InputFile]) -> Iterator[str]:
    """Yield the flow records of files, without blank lines and header lines (CloudWatch Logs has none)."""
    for file in files:
        try:
            for block in read_blocks(file, BLOCK_BYTES):
                for line in block.decode(errors="replace").split("\n"):
                    if line and not ("a" <= line[0] <= "z" and parse_header(line)):
                        yield line
        except UnreadableError as error:
            raise ToptalkersError(
                f"{file.name} changed while it was read: {error}", hint="some of its records are already on the stream"
            ) from error


def _with_poison(envelopes: Iterable[Envelope], count: int) -> Iterator[Envelope | Poison]:
    """Scatter poison among envelopes, always in the same places; the rest of it comes at the end."""
    chance = random.Random(1)  # noqa: S311 - the places are no secret
    poison = map(make_poison, range(count))
    for envelope in envelopes:
        while chance.random() < 0.5 and (one := next(poison, None)):
            yield one
        yield envelope
    yield from poison


def _with_probes(items: Iterable[Envelope | Poison]) -> Iterator[Envelope | Poison]:
    for number, item in enumerate(items):
        if number % PROBE_EVERY == 0:
            yield pack_probe()
        yield item


def _rounds(items: Iterable[Envelope | Poison]) -> Iterator[list[Envelope | Poison]]:
    """Cut into lists that one PutRecords takes."""
    round_: list[Envelope | Poison] = []
    size = 0
    for item in items:
        if round_ and (len(round_) == PUT_RECORDS or size + len(item.data) > PUT_BYTES):
            yield round_
            round_, size = [], 0
        round_.append(item)
        size += len(item.data)
    if round_:
        yield round_


class _Stream:
    """A Kinesis stream."""

    def __init__(self, client: "KinesisClient", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, data: Sequence[bytes]) -> list[tuple[str, str]]:
        """Put records with random partition keys; return the shard and the sequence number of each."""
        places: dict[int, tuple[str, str]] = {}
        left = list(range(len(data)))
        for attempt in range(10):
            entries = [{"Data": data[number], "PartitionKey": uuid.uuid4().hex} for number in left]
            try:
                answer = self._client.put_records(StreamName=self._name, Records=entries)  # type: ignore[arg-type]
            except (BotoCoreError, ClientError) as error:
                raise ToptalkersError(f"cannot put records on {self._name}: {error}") from None
            for number, result in zip(left, answer["Records"], strict=True):
                if "SequenceNumber" in result:
                    places[number] = (result["ShardId"], result["SequenceNumber"])
            left = [number for number in left if number not in places]
            if not left:
                return [places[number] for number in range(len(data))]
            time.sleep(0.1 * 2**attempt)
        raise ToptalkersError(f"the stream {self._name} refuses records again and again")

    def read(self, shard: str, first: str, last: str) -> list[dict[str, Any]]:
        """Return the records of a shard from one sequence number to another, as an event of Lambda has them."""
        summary = self._client.describe_stream_summary(StreamName=self._name)["StreamDescriptionSummary"]
        iterator: str | None = self._client.get_shard_iterator(
            StreamName=self._name,
            ShardId=shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=first,
        )["ShardIterator"]
        found: list[dict[str, Any]] = []
        while iterator:
            answer = self._client.get_records(ShardIterator=iterator, Limit=1000)
            for record in answer["Records"]:
                found.append(
                    event_record(
                        record["Data"],
                        shard=shard,
                        sequence=record["SequenceNumber"],
                        partition_key=record["PartitionKey"],
                        arrival_s=record["ApproximateArrivalTimestamp"].timestamp(),
                        eventSourceARN=summary["StreamARN"],
                    )
                )
                if record["SequenceNumber"] == last:
                    return found
            iterator = answer.get("NextShardIterator") if answer["Records"] else None
        raise ToptalkersError(f"the stream no longer has records {first} to {last} of {shard}")


class _Landing:
    """Waits until everything that was put on the stream is in the bucket.

    The function reads a shard in order and names an object by the bounds of its batch. So when the last envelope with
    a record to keep is in the bucket, all earlier ones are, too.
    """

    def __init__(self, storage: StorageGateway, bucket: str, timeout_s: float) -> None:
        self._storage = storage
        self._bucket = bucket
        self._timeout_s = timeout_s
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._quarantined: set[tuple[str, str]] = set()

    def expect_captured(self, shard: str, sequence: str) -> None:
        self._first.setdefault(shard, int(sequence))
        self._last[shard] = max(int(sequence), self._last.get(shard, 0))

    def expect_quarantined(self, shard: str, sequence: str) -> None:
        self._quarantined.add((shard, sequence))

    def objects(self) -> tuple[str, ...]:
        """Return the keys of the objects with captured records that were put here, in order."""
        return tuple(
            key
            for key in self._keys(locations.CAPTURED)
            if (match := locations.CAPTURED_KEY.fullmatch(key))
            and int(match["last"]) >= self._first.get(match["shard"], int(match["last"]) + 1)
        )

    def wait(self) -> None:
        """Wait until everything is there; ToptalkersError when the time is over."""
        end = time.monotonic() + self._timeout_s
        while missing := self._missing():
            if time.monotonic() > end:
                raise ToptalkersError(
                    f"after {self._timeout_s:.0f} s {missing} of the stream are not in s3://{self._bucket}/",
                    hint="the reason is in the function's log; --timeout waits longer",
                )
            time.sleep(POLL_SECONDS)

    def _missing(self) -> str | None:
        landed: dict[str, int] = {}
        for key in self._keys(locations.CAPTURED):
            if match := locations.CAPTURED_KEY.fullmatch(key):
                landed[match["shard"]] = max(int(match["last"]), landed.get(match["shard"], 0))
        late = [shard for shard, last in self._last.items() if landed.get(shard, 0) < last]
        if late:
            return f"records of {len(late)} shards"
        if self._quarantined:
            found = {
                (match["shard"], match["sequence"])
                for key in self._keys(locations.QUARANTINE)
                if (match := QUARANTINED_KEY.search(key))
            }
            if unread := len(self._quarantined - found):
                return f"{unread} unreadable records"
        return None

    def _keys(self, prefix: str) -> Iterator[str]:
        return (found.key for found in self._storage.list(self._bucket, prefix))
