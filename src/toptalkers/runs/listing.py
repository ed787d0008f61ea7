"""The runs of a stack: their present state, and the choice of an answer among them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from toptalkers import locations
from toptalkers.answer.formats import describe_query
from toptalkers.aws.account import Account
from toptalkers.aws.failures import AwsError
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError
from toptalkers.runs.others import runs_of
from toptalkers.runs.outcome import current_record, is_settled
from toptalkers.runs.record import RecordError, RunRecord, has_answer, list_runs, load_record
from toptalkers.runs.units import format_elapsed, format_size
from toptalkers.visible import visible

CLUSTER_ID = re.compile(r"j-[0-9A-Z]+")


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


def choose_answer(account: Account, bucket: str, run_id: str | None, *, words: str = "") -> tuple[RunRecord, list[str]]:
    """Choose the run to fetch an answer from: the one named, or the newest that has an answer.

    `words` name the bucket or its stack on a command line; they go into the commands of hints.

    Returns:
        The run, and notes for the user about newer ones.

    Raises:
        UsageError: this is no name of a run.
        JobFailedError: the run failed.
        ToptalkersError: there is no such run, or its answer is not there (yet).

    """
    if run_id is None:
        return _newest_answer(account, bucket, words)
    if CLUSTER_ID.fullmatch(run_id):
        return _answer_of_cluster(account, bucket, run_id, words), []
    if not locations.is_run_id(run_id):
        raise UsageError(
            f"{run_id!r} is not the name of a run",
            hint=f"like 20261123T181500Z-4f2a; 'toptalkers runs{words}' lists them",
        )
    record = load_record(account.storage, bucket, run_id)
    if record is None:
        raise ToptalkersError(f"there is no run {run_id} in s3://{bucket}", hint=f"'toptalkers runs{words}' lists them")
    if has_answer(account.storage, bucket, run_id):
        return record, []
    record = current_record(account, bucket, record)
    if record.state in ("FAILED", "CANCELLED"):
        raise JobFailedError(f"the run {run_id} has no answer, it {record.state.lower()}: {record.reason}")
    if not record.is_over:
        raise ToptalkersError(
            f"the run {run_id} has no answer yet: it is {record.state}",
            hint=f"'toptalkers runs{words}' shows its state",
        )
    raise ToptalkersError(f"the run {run_id} has no answer, or not any more, at {record.answer}")


def _answer_of_cluster(account: Account, bucket: str, cluster_id: str, words: str) -> RunRecord:
    """Choose the newest run on a cluster; it may be one without a record."""
    runs = runs_of(account, bucket, account.clusters.describe(cluster_id))
    if not runs:
        raise ToptalkersError(
            f"the cluster {cluster_id} has no run that uses the scripts in s3://{bucket}/{locations.CODE}",
            hint=f"'toptalkers runs{words}' lists the runs",
        )
    record = runs[-1]
    prefix = answer_folder(bucket, record)
    if not prefix.startswith(locations.RUNS):
        raise ToptalkersError(
            f"the answer of the run on the cluster {cluster_id} is not in s3://{bucket}/{locations.RUNS}",
            hint=f"'aws s3 cp --recursive {record.answer} .' copies it",
        )
    if account.storage.head(bucket, f"{prefix}_SUCCESS") is not None:
        return record
    message = f"the run on the cluster {cluster_id} has no answer at {record.answer}: it is {record.state}"
    if record.state in ("FAILED", "CANCELLED"):
        raise JobFailedError(f"{message}: {record.reason}")
    raise ToptalkersError(message, hint=f"'toptalkers runs{words}' shows its state")


def answer_folder(bucket: str, record: RunRecord) -> str:
    """The folder of a run's answer in its bucket; for a run without a record, it is where its steps say."""
    if locations.is_run_id(record.run_id):
        return locations.answer_prefix(record.run_id)
    own = f"s3://{bucket}/"
    return record.answer.removeprefix(own) if record.answer.startswith(own) else ""


def _newest_answer(account: Account, bucket: str, words: str) -> tuple[RunRecord, list[str]]:
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
        raise ToptalkersError(f"there are no runs in s3://{bucket}", hint=f"'toptalkers run-emr{words}' makes one")
    raise ToptalkersError(message, hint=f"'toptalkers runs{words}' lists them")


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
                format_size(one.input_bytes) if locations.is_run_id(one.run_id) else "-",
                f"{one.instance_hours(now):.2f}" if one.state != "UNKNOWN" and one.instances else "-",
                visible(describe_query(one.query)),
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    return "\n".join("  ".join([*map(str.ljust, row[:5], widths), row[5]]) for row in rows)
