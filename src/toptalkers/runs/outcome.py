"""The outcome of a run, from its cluster, its steps and their logs."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from toptalkers import locations
from toptalkers.aws.account import Account, Say
from toptalkers.aws.emr import Cluster, ClusterStep
from toptalkers.aws.failures import AwsError
from toptalkers.errors import JobFailedError
from toptalkers.runs.cluster.causes import find_cause
from toptalkers.runs.input.access import explain_denied
from toptalkers.runs.logs import StepLogs, await_counters, await_failure, counters_of
from toptalkers.runs.plan import RunPlan
from toptalkers.runs.record import RunRecord, cluster_name, has_answer, step_name

MOST_UNHEARD = timedelta(minutes=10)
"""A run that has no cluster by then is no longer being started."""

BZIP2_FAILURE = re.compile("unexpected end of stream|bad block header|crc error|block overrun|bzip2", re.IGNORECASE)
"""What Hadoop says of bzip2 that is damaged: it unpacks what is named `.bz2` itself, and then fails the step."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A cluster at the end of a watch; `gave_up` is why the watch ended a cluster that did not start, else empty."""

    cluster: Cluster
    steps: Sequence[ClusterStep]
    gave_up: str


def failure_of(plan: RunPlan, record: RunRecord, watched: Watched) -> JobFailedError:
    """Make the error for a run that did not complete, with what mends the cause if it is known.

    Known are causes why a cluster does not start, steps that S3 refused, and damaged bzip2.
    """
    verb = "was terminated" if record.state == "CANCELLED" else "failed"
    cluster, hint = watched.cluster, None
    if not any(step.started for step in watched.steps):
        codes = (*cluster.error_codes, cluster.reason_code)
        cause = find_cause(plan, codes, watched.gave_up or cluster.reason)
        hint = cause[1] if cause else None
    else:
        hint = explain_denied(plan.site, plan.input.uris, record.reason)
        if not plan.input.is_gzip and BZIP2_FAILURE.search(record.reason):
            hint = "an object named .bz2 is damaged: ask 'toptalkers run-local' the same question, it names it"
    return JobFailedError(f"the run {record.run_id} {verb}: {record.reason}", hint=hint)


def refusal_of(plan: RunPlan, error: AwsError) -> AwsError:
    """Make the error for a request of a cluster that EMR refused, with what mends the cause if that is known.

    An error with a hint of its own is returned as it is: among them are permissions that the user lacks, which have
    other causes than those of the roles.
    """
    cause = None if error.hint else find_cause(plan, (error.code,), error.message)
    return AwsError(error.message, hint=cause[1], code=error.code) if cause else error


def find_outcome(account: Account, bucket: str, record: RunRecord, watched: Watched, say: Say) -> RunRecord:
    """Complete the record of a run that is over, with the reason or the counters from its logs."""
    cluster, steps = watched.cluster, own_steps(record, watched.steps)
    record = judged(record, cluster, steps, account.now())
    if not record.is_shared or record.ended is None:
        record = replace(record, ended=cluster.ended or account.now())
    if record.state == "COMPLETED":
        counting = _logs_of_counting(bucket, record, steps)
        if not counting:
            say(f"the cluster {cluster.id} keeps no logs: the tally is not known")
            return record
        with suppress(AwsError):
            record = replace(record, counters=await_counters(account, counting, say))
        return record
    if watched.gave_up:
        return replace(record, state="FAILED", reason=watched.gave_up)
    failed = next((step for step in steps if step.state == "FAILED"), None)
    if not failed:
        return record
    logs = _logs_of(bucket, record, failed)
    if logs is None:
        return replace(record, reason=f"{record.reason}; the cluster {cluster.id} keeps no logs")
    where = failed.log or f"{logs.uri}steps/{failed.id}/"
    say(f"looking for the reason in {logs.uri}")
    try:
        found = await_failure(account, logs)
    except AwsError as error:
        return replace(record, reason=f"{record.reason}; its logs cannot be read: {where}: {error.message}")
    except KeyboardInterrupt:
        return replace(record, reason=f"{record.reason}; its logs: {where}")
    if found is None:
        return replace(record, reason=f"{record.reason}; its logs have not come: {where}")
    why = "; ".join(line.strip() for line in found.reason.splitlines())
    return replace(record, reason=f"step {failed.name} failed: {why}; its log: {found.log}")


def judged(record: RunRecord, cluster: Cluster, steps: Sequence[ClusterStep], now: datetime) -> RunRecord:
    """Update a record by the states of its cluster and of its own steps among the cluster's."""
    steps = own_steps(record, steps)
    last = max((step.ended for step in steps if step.ended), default=now)
    if steps and all(step.state == "COMPLETED" for step in steps):
        ended = last if record.is_shared else cluster.ended or (last if cluster.is_ending else None)
        return replace(record, state="COMPLETED", ended=ended)
    failed = next((step for step in steps if step.state == "FAILED"), None)
    if failed:
        why = f"step {failed.name} failed" + (f": {failed.reason}" if failed.reason else "")
        return replace(record, state="FAILED", reason=why, ended=last if record.is_shared else cluster.ended)
    if record.is_shared and not cluster.is_ending:
        if any(step.state == "CANCELLED" for step in steps):
            return replace(record, state="CANCELLED", reason="its steps were cancelled", ended=last)
        if not steps and now - record.created > MOST_UNHEARD:
            why = f"the cluster {cluster.id} did not get its steps"
            return replace(record, state="FAILED", reason=why, ended=record.created)
    if not cluster.is_ending:
        return replace(record, state="RUNNING")
    why = cluster.reason or cluster.reason_code or cluster.state
    is_wanted = cluster.reason_code == "USER_REQUEST"
    return replace(record, state="CANCELLED" if is_wanted else "FAILED", reason=why, ended=cluster.ended)


def current_record(account: Account, bucket: str, record: RunRecord) -> RunRecord:
    """Update the record of a run: EMR is asked, unless the run is over or EMR has forgotten its cluster.

    A run without a cluster's id was interrupted while it was started. Its cluster is found by its name.
    """
    if not record.cluster and not is_settled(record):
        found = account.clusters.find(cluster_name(record.run_id), around=record.created)
        if not found:
            is_new = record.state == "STARTING" and account.now() - record.created < MOST_UNHEARD
            return record if is_new else replace(record, state="UNKNOWN")
        record = replace(record, state="RUNNING", cluster=found[0])
    if is_settled(record):
        return record
    try:
        cluster, steps = account.clusters.describe(record.cluster), account.clusters.steps(record.cluster)
    except AwsError as error:
        if error.code not in ("InvalidRequestException", "ValidationException"):
            raise
        # EMR forgets clusters after two months.
        done = has_answer(account.storage, bucket, record.run_id)
        return replace(record, state="COMPLETED" if done else "UNKNOWN")
    return judged(record, cluster, steps, account.now())


def is_settled(record: RunRecord) -> bool:
    """Tell whether a record is final, so that EMR need not be asked."""
    return record.is_over and (bool(record.cluster) or record.state != "UNKNOWN")


def tally_of(account: Account, bucket: str, record: RunRecord) -> Mapping[str, int]:
    """The scripts' counters of a run, from its record or else from its log; empty when neither has them."""
    if record.counters or not record.cluster:
        return record.counters
    with suppress(AwsError):
        steps = own_steps(record, account.clusters.steps(record.cluster))
        logs = _logs_of_counting(bucket, record, steps)
        return counters_of(account, logs) if logs else {}
    return {}


def own_steps(record: RunRecord, steps: Sequence[ClusterStep]) -> list[ClusterStep]:
    """Choose a run's steps among those of its cluster, which are all of them if the cluster is for this run only."""
    return [step for step in steps if not record.is_shared or step.name.endswith(step_name("", record.run_id))]


def _logs_of_counting(bucket: str, record: RunRecord, steps: Sequence[ClusterStep]) -> list[StepLogs]:
    """Return where the logs of the steps are whose scripts count records: all but the last, which sorts."""
    return [logs for step in steps[:-1] if (logs := _logs_of(bucket, record, step))]


def _logs_of(bucket: str, record: RunRecord, step: ClusterStep) -> StepLogs | None:
    """Return where a step's logs are; None if its cluster keeps none."""
    if not record.is_shared:
        return StepLogs(bucket, f"{locations.run_logs_prefix(record.run_id)}{record.cluster}/", step.id)
    if not record.logs.startswith("s3://"):
        return None
    place, _, folder = record.logs.removeprefix("s3://").partition("/")
    return StepLogs(place, f"{folder}{record.cluster}/", step.id)
