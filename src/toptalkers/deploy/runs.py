"""Runs: what was asked, on which input, on which cluster, and what became of it; kept beside the answer in S3.

`run.json` is written before a cluster is asked for, when it is there, and when the run is over. In between EMR knows
better: `current_record` asks it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal, get_args

from toptalkers import locations
from toptalkers.aws.cluster import Cluster, ClusterStep
from toptalkers.aws.failures import AwsError
from toptalkers.aws.gateways import Gateways
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError
from toptalkers.flowlog.layout import format_log_format
from toptalkers.query import Query, format_ports, format_time
from toptalkers.results.formats import describe_query

RunState = Literal["STARTING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "UNKNOWN"]
"""`STARTING` until there is a cluster; `UNKNOWN` when neither the record nor EMR says."""

STATES: tuple[RunState, ...] = get_args(RunState)
OVER: tuple[RunState, ...] = ("COMPLETED", "FAILED", "CANCELLED", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `run.json` says.

    Attributes:
        run_id: the run.
        stack: the stack that it belongs to.
        state: how it is, or how it was when it was last written.
        question: the query's options, by their names in `Query.parse`.
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
        counters: the mapper's tally, by the names of `answer.REASONS`; empty when not known.
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
        return Query.parse(**self.question)  # type: ignore[arg-type]

    def instance_hours(self, now: datetime) -> float:
        """What its instances come to, until now or its end; 0 without a cluster."""
        if not self.cluster:
            return 0.0
        return round(self.instances * ((self.ended or now) - self.created).total_seconds() / 3600, 2)


def question_of(query: Query) -> dict[str, str | int]:
    """A query as the options of `Query.parse`, those that are set."""
    options: dict[str, str | int] = {
        "metric": query.metric,
        "ports": format_ports(query.ports),
        "action": query.action,
        "top": query.top,
    }
    if query.since:
        options["since"] = format_time(query.since)
    if query.until:
        options["until"] = format_time(query.until)
    if query.log_format:
        options["log_format"] = format_log_format(query.log_format)
    return options


def format_record(record: RunRecord) -> bytes:
    """Write a record as `parse_record` reads it."""
    return json.dumps(asdict(record), indent=1, default=format_time).encode() + b"\n"


def parse_record(text: bytes) -> RunRecord:
    """Read a record; members that this version does not know are passed over.

    Raises:
        ToptalkersError: it is none.

    """
    try:
        given: dict[str, Any] = json.loads(text)
        known = {one.name: given[one.name] for one in fields(RunRecord) if one.name in given}
        for name in ("created", "ended"):
            known[name] = datetime.fromisoformat(known[name]) if known.get(name) else None
        record = RunRecord(**known)
    except (ValueError, TypeError, AttributeError) as error:
        raise ToptalkersError(f"this run.json cannot be read: {error}") from error
    if record.state not in STATES or record.created is None:
        raise ToptalkersError(f"this run.json cannot be read: its state is {record.state!r}")
    return record


def store_record(storage: StorageGateway, bucket: str, record: RunRecord) -> None:
    """Write a run's record over what is there."""
    storage.put(bucket, locations.run_record_key(record.run_id), format_record(record))


def load_record(storage: StorageGateway, bucket: str, run_id: str) -> RunRecord | None:
    """Read a run's record; None when there is no such run.

    Raises:
        ToptalkersError: there is something, but no record.

    """
    key = locations.run_record_key(run_id)
    if storage.head(bucket, key) is None:
        return None
    with storage.get(bucket, key) as body:
        return parse_record(body.read())


def list_runs(storage: StorageGateway, bucket: str) -> Iterator[str]:
    """Give the names of the stack's runs, the newest first."""
    folders = [folder.split("/")[-2] for folder in storage.folders(bucket, locations.RUNS)]
    yield from (name for name in reversed(folders) if locations.is_run_id(name))


def has_answer(storage: StorageGateway, bucket: str, run_id: str) -> bool:
    """Whether a run's answer is there, and whole."""
    return storage.head(bucket, f"{locations.answer_prefix(run_id)}_SUCCESS") is not None


def current_record(gateways: Gateways, bucket: str, record: RunRecord) -> RunRecord:
    """How a run is now, by its cluster; as it is recorded when it is over, or EMR does not know it any more."""
    if record.is_over or not record.cluster:
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
    newer: list[RunRecord] = []
    for run_id in list_runs(gateways.storage, bucket):
        record = load_record(gateways.storage, bucket, run_id)
        if record is None:
            continue
        if has_answer(gateways.storage, bucket, run_id):
            break
        newer.append(current_record(gateways, bucket, record))
    else:
        if not newer:
            raise ToptalkersError(f"there are no runs in s3://{bucket}", hint="'toptalkers run-emr' makes one")
        raise ToptalkersError(
            f"no run has an answer; the newest, {newer[0].run_id}, is {newer[0].state}",
            hint="'toptalkers runs' lists them",
        )
    return record, [f"newer, and without an answer: the run {one.run_id} is {one.state}" for one in newer]


def format_runs(records: Sequence[RunRecord], now: datetime) -> str:
    """Runs as a table: which, how it is, when, what was asked, how much was read, what it cost."""
    rows = [("run", "state", "took", "read", "instance-hours", "question")]
    for one in records:
        end = one.ended or now
        rows.append(
            (
                one.run_id,
                one.state,
                format_elapsed((end - one.created).total_seconds()) if one.cluster and one.state != "UNKNOWN" else "-",
                format_size(one.input_bytes),
                f"{one.instance_hours(now):.2f}" if one.state != "UNKNOWN" else "-",
                describe_query(one.query),
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    return "\n".join("  ".join([*map(str.ljust, row[:5], widths), row[5]]) for row in rows)


def format_elapsed(seconds: float) -> str:
    """Write a duration as `0:07:12`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def format_size(size_bytes: int) -> str:
    """Write a size in the unit that suits it."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
