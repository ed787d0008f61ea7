"""The record of a run, `run.json`, beside its answer in S3: the question, the input, the cluster and the outcome.

It is written before the cluster is requested, when there is a cluster, and when the run is over. In between, EMR knows
better: `outcome.current_record` asks EMR.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from toptalkers import locations
from toptalkers.answer.presentation import Presentation
from toptalkers.aws.failures import explained
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.question.query import Query
from toptalkers.question.times import format_time
from toptalkers.question.where import names_a_file
from toptalkers.runs.units import format_size
from toptalkers.visible import visible

RunState = Literal["STARTING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "UNKNOWN"]
"""`STARTING` until there is a cluster; `UNKNOWN` when neither the record nor EMR tells."""

OVER: tuple[RunState, ...] = ("COMPLETED", "FAILED", "CANCELLED", "UNKNOWN")

RECORD_BYTES = 16 << 20
"""The largest record that is read; ours have some kilobytes, and more for each input that is named."""

MOST = (1 << 63) - 1

_CLUSTER = re.compile(r"|j-[0-9A-Za-z]+")


class RecordError(ToptalkersError):
    """A `run.json` is not a record of a run."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The content of `run.json`.

    Attributes:
        run_id: the name of the run.
        stack: the stack that it belongs to; without a stack, the bucket that it is in.
        state: its state when the record was last written.
        question: the texts of the query, by the names of its clauses, and `top`, how many talkers are kept.
        inputs: the addresses that are read, or the patterns that a step is given instead of many.
        input_objects: how many objects are read.
        input_bytes: their size in bytes, compressed.
        answer: the address of the answer.
        aggregate: the address of the first step's sums when they are kept, else empty.
        versions: the versions that the answer depends on: toptalkers, bundle (its hash), release.
        instance_type: the type of all nodes.
        instances: how many nodes there are.
        created: when the run was asked for.
        cluster: EMR's id of the cluster; empty when there is none.
        ended: when the run was seen to be over.
        reason: why the run failed, one line.
        counters: what the scripts of all steps tell, such as the mapper's tally by the names of `flowlog/reasons.py`;
            empty when not known.
        left_out: objects that were asked for and are not read, an address and a reason each.
        is_shared: whether the cluster goes on after the run, and may run other steps: then the run's steps are those
            with its name in theirs (`step_name`), and only they tell the run's state.
        logs: the address of the folder of a shared cluster's logs; empty when it keeps none.

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
    is_shared: bool = False
    logs: str = ""

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
        """Compute the instance-hours of its cluster until `now` or its end; 0 without a cluster."""
        if not self.cluster:
            return 0.0
        return round(self.instances * max(0, ((self.ended or now) - self.created).total_seconds()) / 3600, 2)


def cluster_name(run_id: str) -> str:
    """The name of a run's cluster, to find it by when its id is not known."""
    return f"toptalkers-{run_id}"


def step_name(step: str, run_id: str) -> str:
    """The name of a run's step on a cluster that runs other steps, too."""
    return f"{step} {run_id}"


def question_of(query: Query, top: int = 0) -> dict[str, str | int]:
    """The member `question` of a record: a query, and how many talkers are kept, 0 for all."""
    return {**query.texts(), "top": top}


def format_record(record: RunRecord) -> bytes:
    """Write a record as `parse_record` reads it."""
    return json.dumps(asdict(record), indent=1, default=format_time).encode() + b"\n"


def parse_record(text: bytes, *, name: str = "this run.json") -> RunRecord:
    """Read a record from the content of an object; members that this version does not know are ignored.

    Raises:
        RecordError: it is not a record: not JSON, or a member, which is named, is missing or of another kind. The error
            begins with `name`.

    """
    try:
        return _parse_record(text)
    except (ValueError, RecursionError) as error:
        why = visible(" ".join(str(error).split()))[:200]
        raise RecordError(f"{name} cannot be read: {why}") from error


def _parse_record(text: bytes) -> RunRecord:
    if len(text) > RECORD_BYTES:
        raise ValueError(f"it is larger than {format_size(RECORD_BYTES)}")
    given = json.loads(text)
    if not isinstance(given, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - one kind of error
    values = {}
    for one in fields(RunRecord):
        if one.name in given:
            try:
                values[one.name] = _PARSERS[one.name](given[one.name])
            except (ValueError, TypeError, OverflowError, UsageError) as error:
                raise ValueError(f"its {one.name!r} cannot be: {error}") from error
        elif one.default is MISSING and one.default_factory is MISSING:
            raise ValueError(f"it has no {one.name!r}")
    record = RunRecord(**values)
    if record.state in ("RUNNING", "COMPLETED") and not record.cluster:
        raise ValueError(f"it has no 'cluster', and is {record.state}")
    return record


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
        raise ValueError(f"{str(value)[:30]!r} is not a number from 0 to 2^63 - 1")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"a {type(value).__name__} instead of true or false")
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
    states: tuple[RunState, ...] = get_args(RunState)
    for state in states:
        if state == value:
            return state
    raise ValueError(f"{str(value)[:30]!r} is none of {', '.join(states)}")


def _question(value: object) -> dict[str, str | int]:
    question = {key: _number(one) if key == "top" else _text(one) for key, one in _members(value)}
    _parse_question(question)
    return question


def _parse_question(question: Mapping[str, str | int]) -> tuple[Query, Presentation]:
    """The question of a record, and how its answer is presented; a record may name a format, too."""
    texts = {name: str(text) for name, text in question.items()}
    if names_a_file(texts.get("where", "")):  # of this machine, and the record is perhaps a stranger's
        raise ValueError("its question names a file in --where")
    presentation = Presentation.parse(top=texts.pop("top", None), format=texts.pop("format", None))
    return Query.parse(**texts), presentation


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "run_id": _run_id,
    "stack": _shown,
    "state": _state,
    "question": _question,
    "inputs": _texts,
    "input_objects": _number,
    "input_bytes": _number,
    "answer": _shown,
    "aggregate": _text,
    "versions": lambda value: {key: _text(one) for key, one in _members(value)},
    "instance_type": _text,
    "instances": _number,
    "created": _time,
    "cluster": _cluster,
    "ended": lambda value: None if value is None else _time(value),
    "reason": _shown,
    "counters": lambda value: {key: _number(one) for key, one in _members(value)},
    "left_out": lambda value: [visible(one) for one in _texts(value)],
    "is_shared": _flag,
    "logs": _shown,
}
"""By the names of the record's members; a parser raises ValueError, TypeError, OverflowError or UsageError."""


def store_record(storage: StorageGateway, bucket: str, record: RunRecord) -> None:
    """Write a run's record, replacing the one before."""
    storage.put(bucket, locations.run_record_key(record.run_id), format_record(record))


def load_record(storage: StorageGateway, bucket: str, run_id: str) -> RunRecord | None:
    """Read a run's record; None when there is no such run.

    Raises:
        RecordError: the object is not a record of this run; the error names it.

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
    """Yield the names of the runs in a bucket, the newest first."""
    folders = [folder.split("/")[-2] for folder in storage.folders(bucket, locations.RUNS)]
    yield from (name for name in reversed(folders) if locations.is_run_id(name))


def has_answer(storage: StorageGateway, bucket: str, run_id: str) -> bool:
    """Whether a run's answer is complete."""
    return storage.head(bucket, f"{locations.answer_prefix(run_id)}_SUCCESS") is not None
