"""The runs of a stack: their present state, and the choice of an answer among them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from toptalkers import locations
from toptalkers.answer.formats import describe_query
from toptalkers.aws.account import Account
from toptalkers.aws.failures import AwsError
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError
from toptalkers.runs.outcome import current_record, is_settled
from toptalkers.runs.record import RecordError, RunRecord, has_answer, list_runs, load_record
from toptalkers.runs.units import format_elapsed, format_size
from toptalkers.visible import visible


@dataclass(frozen=True, slots=True)
class RunList:
    """Runs as they are now, and a line for each run whose state is not known."""

    records: Sequence[RunRecord]
    unknown: Sequence[str]


def read_runs(account: Account, bucket: str, limit: int) -> RunList:
    """Read the newest runs; one that cannot be read does not hide the others.

    Raises:
        AwsError: S3 refuses to list or give them.

    """
    records: list[RunRecord] = []
    unknown: list[str] = []
    silence = ""
    for _, run_id in zip(range(limit), list_runs(account.storage, bucket), strict=False):
        try:
            record = load_record(account.storage, bucket, run_id)
        except RecordError as error:
            unknown.append(error.message)
            continue
        if record is None:
            continue
        why = "" if is_settled(record) else silence
        if not why:
            try:
                record = current_record(account, bucket, record)
            except AwsError as error:
                why = error.message
                # An EMR that does not answer is asked once, not for each run: it takes a minute every time.
                silence = why if error.is_silent else ""
        if why:
            unknown.append(f"the state of the run {run_id} is not known: {why}")
            record = replace(record, state="UNKNOWN")
        records.append(record)
    return RunList(records, unknown)


def choose_answer(account: Account, bucket: str, run_id: str | None) -> tuple[RunRecord, list[str]]:
    """Choose the run to fetch an answer from: the one named, or the newest that has an answer.

    Returns:
        The run, and notes for the user about newer ones.

    Raises:
        UsageError: this is no name of a run.
        JobFailedError: the run failed.
        ToptalkersError: there is no such run, or its answer is not there (yet).

    """
    if run_id is None:
        return _newest_answer(account, bucket)
    if not locations.is_run_id(run_id):
        raise UsageError(f"{run_id!r} is not the name of a run", hint="like 20261123T181500Z-4f2a")
    record = load_record(account.storage, bucket, run_id)
    if record is None:
        raise ToptalkersError(f"there is no run {run_id} in s3://{bucket}", hint="'toptalkers runs' lists them")
    if has_answer(account.storage, bucket, run_id):
        return record, []
    record = current_record(account, bucket, record)
    if record.state in ("FAILED", "CANCELLED"):
        raise JobFailedError(f"the run {run_id} has no answer, it {record.state.lower()}: {record.reason}")
    if not record.is_over:
        raise ToptalkersError(
            f"the run {run_id} has no answer yet: it is {record.state}", hint="'toptalkers runs' shows its state"
        )
    raise ToptalkersError(f"the run {run_id} has no answer, or not any more, at {record.answer}")


def _newest_answer(account: Account, bucket: str) -> tuple[RunRecord, list[str]]:
    newer: list[tuple[str, str]] = []
    notes: list[str] = []
    for run_id in list_runs(account.storage, bucket):
        try:
            record = load_record(account.storage, bucket, run_id)
        except RecordError as error:
            notes.append(f"passed over: {error.message}")
            continue
        if record is None:
            continue
        if has_answer(account.storage, bucket, run_id):
            return record, notes + [f"newer, and without an answer: the run {one} is {state}" for one, state in newer]
        try:
            newer.append((run_id, current_record(account, bucket, record).state))
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
    """Write runs as a table: name, state, time taken, size of the input, instance-hours, question."""
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
