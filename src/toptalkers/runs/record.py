"""Runs: what was asked, on which input, on which cluster, and what became of it; kept beside the answer in S3.

`run.json` is written before a cluster is asked for, when it is there, and when the run is over. In between EMR knows
better: `current_record` asks it.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar, cast, get_args

from toptalkers import locations
from toptalkers.answer.formats import describe_query
from toptalkers.answer.presentation import Presentation
from toptalkers.aws.emr import Cluster, ClusterStep
from toptalkers.aws.failures import AwsError, explained
from toptalkers.aws.gateways import Gateways
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError
from toptalkers.question.clauses import format_time
from toptalkers.question.query import Query
from toptalkers.visible import visible

RunState = Literal["STARTING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "UNKNOWN"]
"""`STARTING` until there is a cluster; `UNKNOWN` when neither the record nor EMR says."""

STATES: tuple[RunState, ...] = get_args(RunState)
OVER: tuple[RunState, ...] = ("COMPLETED", "FAILED", "CANCELLED", "UNKNOWN")

RECORD_BYTES = 16 << 20
"""The largest record that is read; ours have some kilobytes, and more for each input named."""

MOST = (1 << 63) - 1

MOST_UNHEARD = timedelta(minutes=10)
"""A run that has no cluster by then is not being started any more."""

_CLUSTER = re.compile(r"|j-[0-9A-Za-z]+")


class RecordError(ToptalkersError):
    """A `run.json` is no record of a run."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `run.json` says.

    Attributes:
        run_id: the run.
        stack: the stack that it belongs to.
        state: how it is, or how it was when it was last written.
        question: the texts of the query, by the names of its clauses, and `top`, how many talkers are kept.
        inputs: what is read.
        input_objects: how many objects that is.
        input_bytes: how many bytes, packed.
        answer: where the answer lies.
        aggregate: where the first step's sums lie, when they are kept; else empty.
        versions: of what the answer depends on: toptalkers, bundle (its hash), release.
        instance_type: of all nodes.
        instances: how many nodes.
        created: when it was asked for.
        cluster: EMR's id, when there is one.
        ended: when it was seen to be over.
        reason: why it failed, one line.
        counters: the mapper's tally, by the names of `flowlog/reasons.py`; empty when not known.
        left_out: what was asked for and is not read: an address and a reason each.

    """

    run_id: str
    stack: str
    state: RunState
    question: Mapping[str, str | int]
    inputs: Sequence[str]
    input_objects: int
    input_bytes: int
    answer: str
    aggregate: str
    versions: Mapping[str, str]
    instance_type: str
    instances: int
    created: datetime
    cluster: str = ""
    ended: datetime | None = None
    reason: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)
    left_out: Sequence[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in OVER

    @property
    def query(self) -> Query:
        """The question."""
        return _parse_question(self.question)[0]

    @property
    def top(self) -> int:
        """How many talkers are kept, 0 for all."""
        return _parse_question(self.question)[1].top

    def instance_hours(self, now: datetime) -> float:
        """What its instances come to, until now or its end; 0 without a cluster."""
        if not self.cluster:
            return 0.0
        return round(self.instances * max(0, ((self.ended or now) - self.created).total_seconds()) / 3600, 2)


def cluster_name(run_id: str) -> str:
    """The name of a run's cluster, by which it is found when its id is not known."""
    return f"toptalkers-{run_id}"


def question_of(query: Query, top: int = 0) -> dict[str, str | int]:
    """The member `question` of a record: a query, and how many talkers are kept, 0 for all."""
    return {**query.texts(), "top": top}


def format_record(record: RunRecord) -> bytes:
    """Write a record as `parse_record` reads it."""
    return json.dumps(asdict(record), indent=1, default=format_time).encode() + b"\n"


def parse_record(text: bytes, *, name: str = "this run.json") -> RunRecord:
    """Read a record; members that this version does not know are passed over.

    Args:
        text: what lies there.
        name: what it is called in an error.

    Raises:
        RecordError: it is none: it is no JSON, or a member, which is named, is missing or of another kind.

    """
    try:
        return _parse_record(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{name} cannot be read: {_line(error)}") from error


def _parse_record(text: bytes) -> RunRecord:
    if len(text) > RECORD_BYTES:
        raise ValueError(f"it is larger than {format_size(RECORD_BYTES)}")
    given = json.loads(text)
    if not isinstance(given, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - one kind of error
    record = RunRecord(
        run_id=_read(given, "run_id", _run_id),
        stack=_read(given, "stack", _shown),
        state=_read(given, "state", _state),
        question=_read(given, "question", _question),
        inputs=_read(given, "inputs", _texts),
        input_objects=_read(given, "input_objects", _number),
        input_bytes=_read(given, "input_bytes", _number),
        answer=_read(given, "answer", _shown),
        aggregate=_read(given, "aggregate", _text),
        versions=_read(given, "versions", lambda value: {key: _text(one) for key, one in _members(value)}),
        instance_type=_read(given, "instance_type", _text),
        instances=_read(given, "instances", _number),
        created=_read(given, "created", _time),
        cluster=_read(given, "cluster", _cluster, ""),
        ended=_read(given, "ended", lambda value: None if value is None else _time(value), None),
        reason=_read(given, "reason", _shown, ""),
        counters=_read(given, "counters", lambda value: {key: _number(one) for key, one in _members(value)}, {}),
        left_out=_read(given, "left_out", lambda value: [visible(one) for one in _texts(value)], []),
    )
    if record.state in ("RUNNING", "COMPLETED") and not record.cluster:
        raise ValueError(f"it has no 'cluster', and is {record.state}")
    return record


Value = TypeVar("Value")


def _read(given: Mapping[str, object], key: str, parse: Callable[[Any], Value], default: Any = ...) -> Value:
    """A member, parsed; an error of its parser names it."""
    if key not in given:
        if default is ...:
            raise ValueError(f"it has no {key!r}")
        return cast("Value", default)
    try:
        return parse(given[key])
    except (ValueError, TypeError, OverflowError, UsageError) as error:
        raise ValueError(f"its {key!r} cannot be: {error}") from error


def _line(error: Exception) -> str:
    return visible(" ".join(str(error).split()))[:200]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} instead of a text")
    return value


def _shown(value: object) -> str:
    return visible(_text(value))


def _texts(value: object) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"a {type(value).__name__} instead of a list")
    return [_text(one) for one in value]


def _members(value: object) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict):
        raise TypeError(f"a {type(value).__name__} instead of an object")
    return value.items()


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise ValueError(f"{str(value)[:30]!r} is no number from 0 to 2^63 - 1")
    return value


def _time(value: object) -> datetime:
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError(f"{value!r} has no offset from UTC")
    return time.astimezone(UTC)


def _run_id(value: object) -> str:
    if not locations.is_run_id(_text(value)):
        raise ValueError(f"{value!r} is not the name of a run")
    return _text(value)


def _cluster(value: object) -> str:
    if not _CLUSTER.fullmatch(_text(value)):
        raise ValueError(f"{value!r} is not the id of a cluster")
    return _text(value)


def _state(value: object) -> RunState:
    for state in STATES:
        if state == value:
            return state
    raise ValueError(f"{str(value)[:30]!r} is none of {', '.join(STATES)}")


def _question(value: object) -> dict[str, str | int]:
    question = {key: _number(one) if key == "top" else _text(one) for key, one in _members(value)}
    _parse_question(question)
    return question


def _parse_question(question: Mapping[str, str | int]) -> tuple[Query, Presentation]:
    """The question of a record, and how its answer is presented; a record may name a format, too."""
    texts = {name: str(text) for name, text in question.items()}
    presentation = Presentation.parse(top=texts.pop("top", None), format=texts.pop("format", None))
    return Query.parse(**texts), presentation


def store_record(storage: StorageGateway, bucket: str, record: RunRecord) -> None:
    """Write a run's record over what is there."""
    storage.put(bucket, locations.run_record_key(record.run_id), format_record(record))


def load_record(storage: StorageGateway, bucket: str, run_id: str) -> RunRecord | None:
    """Read a run's record; None when there is no such run.

    Raises:
        RecordError: there is something, but no record of this run; it is named.

    """
    key = locations.run_record_key(run_id)
    if storage.head(bucket, key) is None:
        return None
    with explained("s3"), storage.get(bucket, key) as body:
        text = body.read(RECORD_BYTES + 1)
    record = parse_record(text, name=f"s3://{bucket}/{key}")
    if record.run_id != run_id:
        raise RecordError(f"s3://{bucket}/{key} cannot be read: its 'run_id' is {record.run_id}")
    return record


def list_runs(storage: StorageGateway, bucket: str) -> Iterator[str]:
    """Give the names of the stack's runs, the newest first."""
    folders = [folder.split("/")[-2] for folder in storage.folders(bucket, locations.RUNS)]
    yield from (name for name in reversed(folders) if locations.is_run_id(name))


def has_answer(storage: StorageGateway, bucket: str, run_id: str) -> bool:
    """Whether a run's answer is there, and whole."""
    return storage.head(bucket, f"{locations.answer_prefix(run_id)}_SUCCESS") is not None


def current_record(gateways: Gateways, bucket: str, record: RunRecord) -> RunRecord:
    """How a run is now, by its cluster; as it is recorded when it is over, or EMR does not know it any more.

    A run without a cluster's id was interrupted while it was started: its cluster is looked for by its name.
    """
    if not record.cluster and not _is_settled(record):
        found = gateways.clusters.find(cluster_name(record.run_id), around=record.created)
        if not found:
            is_new = record.state == "STARTING" and gateways.now() - record.created < MOST_UNHEARD
            return record if is_new else replace(record, state="UNKNOWN")
        record = replace(record, state="RUNNING", cluster=found[0])
    if _is_settled(record):
        return record
    try:
        cluster, steps = gateways.clusters.describe(record.cluster), gateways.clusters.steps(record.cluster)
    except AwsError as error:
        if error.code not in ("InvalidRequestException", "ValidationException"):
            raise
        # EMR forgets clusters after two months.
        done = has_answer(gateways.storage, bucket, record.run_id)
        return replace(record, state="COMPLETED" if done else "UNKNOWN")
    return judged(record, cluster, steps, gateways.now())


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs as they are now, and a line for each of which that is not known."""

    records: Sequence[RunRecord]
    unknown: Sequence[str]


def read_runs(gateways: Gateways, bucket: str, limit: int) -> RunList:
    """Look at the newest runs; one that cannot be read does not hide the others.

    Raises:
        AwsError: S3 refuses to list or give them.

    """
    records: list[RunRecord] = []
    unknown: list[str] = []
    silence = ""
    for _, run_id in zip(range(limit), list_runs(gateways.storage, bucket), strict=False):
        try:
            record = load_record(gateways.storage, bucket, run_id)
        except RecordError as error:
            unknown.append(error.message)
            continue
        if record is None:
            continue
        why = "" if _is_settled(record) else silence
        if not why:
            try:
                record = current_record(gateways, bucket, record)
            except AwsError as error:
                why = error.message
                # Who does not answer is not asked about each run: a minute goes by every time.
                silence = why if error.is_silent else ""
        if why:
            unknown.append(f"how the run {run_id} is, is not known: {why}")
            record = replace(record, state="UNKNOWN")
        records.append(record)
    return RunList(records, unknown)


def _is_settled(record: RunRecord) -> bool:
    """Whether a record says all, so that EMR is not asked."""
    return record.is_over and (bool(record.cluster) or record.state != "UNKNOWN")


def judged(record: RunRecord, cluster: Cluster, steps: Sequence[ClusterStep], now: datetime) -> RunRecord:
    """A record with what its cluster and its steps say."""
    if steps and all(step.state == "COMPLETED" for step in steps):
        last = max((step.ended for step in steps if step.ended), default=now)
        return replace(record, state="COMPLETED", ended=cluster.ended or (last if cluster.is_ending else None))
    failed = next((step for step in steps if step.state == "FAILED"), None)
    if failed:
        why = f"step {failed.name} failed" + (f": {failed.reason}" if failed.reason else "")
        return replace(record, state="FAILED", reason=why, ended=cluster.ended)
    if not cluster.is_ending:
        return replace(record, state="RUNNING")
    why = " ".join(cluster.reason.split()) or cluster.reason_code or cluster.state
    is_wanted = cluster.reason_code == "USER_REQUEST"
    return replace(record, state="CANCELLED" if is_wanted else "FAILED", reason=why, ended=cluster.ended)


def choose_answer(gateways: Gateways, bucket: str, run_id: str | None) -> tuple[RunRecord, list[str]]:
    """Find the run whose answer is asked for: the one named, or the newest that has one.

    Returns:
        The run, and what is to be said of newer ones.

    Raises:
        UsageError: this is no name of a run.
        JobFailedError: the run failed.
        ToptalkersError: there is no such run, or its answer is not there (yet).

    """
    if run_id is None:
        return _newest_answer(gateways, bucket)
    if not locations.is_run_id(run_id):
        raise UsageError(f"{run_id!r} is not the name of a run", hint="like 20261123T181500Z-4f2a")
    record = load_record(gateways.storage, bucket, run_id)
    if record is None:
        raise ToptalkersError(f"there is no run {run_id} in s3://{bucket}", hint="'toptalkers runs' lists them")
    if has_answer(gateways.storage, bucket, run_id):
        return record, []
    record = current_record(gateways, bucket, record)
    if record.state in ("FAILED", "CANCELLED"):
        raise JobFailedError(f"the run {run_id} has no answer, it {record.state.lower()}: {record.reason}")
    if not record.is_over:
        raise ToptalkersError(
            f"the run {run_id} has no answer yet: it is {record.state}", hint="'toptalkers runs' shows how it goes on"
        )
    raise ToptalkersError(f"the run {run_id} has no answer, or not any more, at {record.answer}")


def _newest_answer(gateways: Gateways, bucket: str) -> tuple[RunRecord, list[str]]:
    newer: list[tuple[str, str]] = []
    notes: list[str] = []
    for run_id in list_runs(gateways.storage, bucket):
        try:
            record = load_record(gateways.storage, bucket, run_id)
        except RecordError as error:
            notes.append(f"passed over: {error.message}")
            continue
        if record is None:
            continue
        if has_answer(gateways.storage, bucket, run_id):
            return record, notes + [f"newer, and without an answer: the run {one} is {state}" for one, state in newer]
        try:
            newer.append((run_id, current_record(gateways, bucket, record).state))
        except AwsError as error:
            if error.is_silent:
                raise
            newer.append((run_id, f"UNKNOWN: {error.message}"))
    if newer:
        run_id, state = newer[0]
        message = f"no run has an answer; the newest, {run_id}, is {state}"
    elif notes:
        message = f"no run has an answer that can be read; {notes[0]}"
    else:
        raise ToptalkersError(f"there are no runs in s3://{bucket}", hint="'toptalkers run-emr' makes one")
    raise ToptalkersError(message, hint="'toptalkers runs' lists them")


def format_runs(records: Sequence[RunRecord], now: datetime) -> str:
    """Runs as a table: which, how it is, when, what was asked, how much was read, what it cost."""
    rows = [("run", "state", "took", "read", "instance-hours", "question")]
    for one in records:
        end = one.ended or now
        rows.append(
            (
                visible(one.run_id),
                visible(one.state),
                format_elapsed((end - one.created).total_seconds()) if one.cluster and one.state != "UNKNOWN" else "-",
                format_size(one.input_bytes),
                f"{one.instance_hours(now):.2f}" if one.state != "UNKNOWN" else "-",
                visible(describe_query(one.query)),
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    return "\n".join("  ".join([*map(str.ljust, row[:5], widths), row[5]]) for row in rows)


def format_elapsed(seconds: float) -> str:
    """Write a duration as `0:07:12`."""
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def format_size(size_bytes: int) -> str:
    """Write a size in the unit that suits it."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
