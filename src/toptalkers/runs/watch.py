"""A run on EMR: launch it, watch it, and end it when it is interrupted.

Upload the bundle, write run.json -> RunJobFlow -> watch cluster and steps -> run.json again. Whatever happens after
RunJobFlow, the cluster ends by itself when its steps are over or one of them fails.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from toptalkers.aws.account import Account, Say
from toptalkers.aws.emr import Cluster, ClusterStep
from toptalkers.aws.failures import AwsError, may_be_done
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError
from toptalkers.job.bundle import read_bundle
from toptalkers.runs.outcome import Watched, failure_of, find_outcome, refusal_of
from toptalkers.runs.plan import RunPlan
from toptalkers.runs.record import RunRecord, store_record
from toptalkers.runs.renamed import copy_renamed, remove_renamed
from toptalkers.runs.units import format_elapsed

POLL_SECONDS = 5

MOST_SILENT = timedelta(minutes=10)
"""How long EMR may be too busy or out of reach before the watch gives up."""

START_ATTEMPTS = 5
"""How often a throttled request for a cluster is sent; it makes no cluster."""

LOOKS, LOOK_SECONDS = 13, 5
"""EMR may still serve a request that it did not answer: how often, and with what pause, to search for its cluster."""

MOST_STARTING = timedelta(minutes=45)
"""A cluster that has not started by then never will: EC2 has no instances for it."""

Ask = Callable[[str], Literal["leave", "terminate"]]


def execute_run(
    account: Account, plan: RunPlan, *, say: Say, ask: Ask, look: Say = lambda _: None, wait: bool = True
) -> RunRecord:
    """Carry out a plan, and watch the run to its end; without `wait`, return as soon as the cluster is started.

    `say` is called with a line for each change, `look` at every poll with a line about the progress, which replaces the
    last such line. When the user interrupts, `ask` is called with the cluster's id, and decides about the cluster.

    Raises:
        JobFailedError: the run failed, for the reason given; the cluster has ended or is ending.
        KeyboardInterrupt: the user interrupted before there was a cluster, or had it terminated.
        ToptalkersError: something else failed; if there is a cluster, it ends by itself.

    """
    say, look = _unfailing(say), _unfailing(look)
    try:
        copy_renamed(account.storage, plan.bucket, plan.input.copies, say)
        record = launch(account, plan, say)
    except BaseException:
        if plan.input.copies:
            remove_renamed(account.storage, plan.bucket, plan.record.run_id, say)
        raise
    if not wait:
        return record
    is_ending = False
    while True:
        try:
            watched = watch(account, record.cluster, say, look)
            break
        except KeyboardInterrupt:
            if is_ending:
                say(f"the cluster {record.cluster} goes on ending by itself")
                raise
            if _is_left(account, record.cluster, say, ask):
                say(f"the cluster {record.cluster} goes on, and ends by itself; 'toptalkers runs' shows its state")
                return record
            is_ending = _end_cluster(account, record.cluster, say)
            if not is_ending:
                raise
        except AwsError as error:
            raise ToptalkersError(
                f"{error.message}; the cluster {record.cluster} of the run {record.run_id} goes on, and ends by itself",
                hint=(f"{error.hint}; then " if error.hint else "")
                + f"'toptalkers runs' shows its state; {way_to_end(account.region, record.cluster)} ends it now",
            ) from error
        except BaseException:
            say(f"the cluster {record.cluster} goes on: {way_to_end(account.region, record.cluster)} ends it now")
            raise
    record = find_outcome(account, plan.bucket, record, watched, say)
    try:
        store_record(account.storage, plan.bucket, record)
    except AwsError as error:
        say(f"run.json is not brought up to date: {error.message}")
    if plan.input.copies:
        remove_renamed(account.storage, plan.bucket, record.run_id, say)
    if record.state == "COMPLETED":
        return record
    if is_ending:
        raise KeyboardInterrupt
    raise failure_of(plan, record, watched)


def _unfailing(tell: Say) -> Say:
    """Ignore errors of `tell`: a terminal that is gone must not stop us from ending a cluster."""

    def told(line: str) -> None:
        with suppress(OSError, ValueError):
            tell(line)

    return told


def launch(account: Account, plan: RunPlan, say: Say) -> RunRecord:
    """Upload the bundle, write run.json, and start the cluster.

    Raises:
        KeyboardInterrupt: the user interrupted; a cluster that comes of the request is told to end.
        AwsError: no cluster was started, or the user was told that there may be one.

    """
    storage, record, cluster = account.storage, plan.record, ""
    upload_bundle(storage, plan.bucket, plan.bundle, say)
    # Before the cluster, so that a missing right to write here is found before anything costs.
    store_record(storage, plan.bucket, record)
    try:
        cluster = _start(account, plan, say)
        say(f"started the cluster {cluster}")
        record = replace(record, state="RUNNING", cluster=cluster)
        store_record(storage, plan.bucket, record)
    except BaseException as error:
        _withdraw(account, plan, cluster, error, say)
        raise
    return record


def upload_bundle(storage: StorageGateway, bucket: str, folder: str, say: Say) -> None:
    """Put the scripts of the steps into a folder, those that are not there."""
    for name, content in read_bundle().items():
        if storage.head(bucket, folder + name) is None:
            storage.put(bucket, folder + name, content)
            say(f"uploaded s3://{bucket}/{folder}{name}")


def is_uploaded(storage: StorageGateway, bucket: str, folder: str) -> bool:
    """Whether all scripts of the steps are in a folder."""
    return all(storage.head(bucket, folder + name) is not None for name in read_bundle())


def way_to_end(region: str, cluster: str) -> str:
    """The command that ends a cluster."""
    return f"'aws emr terminate-clusters --region {region} --cluster-ids {cluster}'"


def way_to_find(region: str, name: str) -> str:
    """The command that prints the ids of the clusters of a name that have not ended."""
    query = f"Clusters[?Name==`{name}`].Id"
    return f"aws emr list-clusters --region {region} --active --query '{query}' --output text"


def _start(account: Account, plan: RunPlan, say: Say) -> str:
    """Ask for the cluster, and find it by its name when the answer is lost; AwsError when none was found."""
    say(f"asking for the cluster {plan.request['Name']}")  # once, and for 20 seconds when EMR keeps silent
    for attempt in range(START_ATTEMPTS):
        try:
            return account.clusters.start(plan.request)
        except AwsError as error:
            if error.is_throttled and attempt + 1 < START_ATTEMPTS:
                account.sleep(2**attempt)
                continue
            if not error.is_open:
                raise refusal_of(plan, error) from error
            say(f"whether a cluster was started is not known: {error.message}")
            found = _look_for(account, plan, say)
            if not found:
                raise
            for twin in found[1:]:
                say("the request came through twice")
                _end_cluster(account, twin, say)
            return found[0]
    raise AssertionError  # pragma: no cover - the last attempt has returned or raised


def _look_for(account: Account, plan: RunPlan, say: Say) -> list[str]:
    """Wait for clusters of the run's name; return their ids, the newest first."""
    say(f"looking for the cluster {plan.request['Name']}, {(LOOKS - 1) * LOOK_SECONDS} seconds at most")
    for look in range(LOOKS):
        if look:
            account.sleep(LOOK_SECONDS)
        try:
            if found := account.clusters.find(str(plan.request["Name"]), around=plan.record.created):
                return found
        except AwsError as error:
            if not error.is_passing or error.is_silent:
                say(f"the clusters cannot be listed: {error.message}")
                break
    return []


def _withdraw(account: Account, plan: RunPlan, cluster: str, error: BaseException, say: Say) -> None:
    """Undo a launch that failed: end the cluster, whose id may be empty, or tell the user that there may be one."""
    record = replace(plan.record, reason=error.message if isinstance(error, ToptalkersError) else "interrupted")
    found = [cluster] if cluster else []
    if not may_be_done(error) and not found:
        record = replace(record, state="FAILED", ended=account.now())
    else:
        record = replace(record, state="RUNNING" if found else "UNKNOWN", cluster=cluster)
        try:
            if not found and not isinstance(error, AwsError):
                found = _look_for(account, plan, say)
        finally:
            if not found:
                name = str(plan.request["Name"])
                say(
                    f"a cluster {name} may come all the same, and be paid for until its steps are done;"
                    f" this finds it: {way_to_find(account.region, name)}"
                    f" - and this ends it: aws emr terminate-clusters --region {account.region} --cluster-ids ID"
                )
        for one in found:
            _end_cluster(account, one, say)
            record = replace(record, state="RUNNING", cluster=one)
    with suppress(AwsError):
        store_record(account.storage, plan.bucket, record)


def _is_left(account: Account, cluster: str, say: Say, ask: Ask) -> bool:
    try:
        return ask(cluster) == "leave"
    except BaseException:
        say(f"the cluster {cluster} goes on: {way_to_end(account.region, cluster)} ends it now")
        raise


def _end_cluster(account: Account, cluster: str, say: Say) -> bool:
    """Tell a cluster to end; return whether EMR accepted that."""
    try:
        account.clusters.terminate(cluster)
    except BaseException as error:
        why = error.message if isinstance(error, AwsError) else "interrupted"
        say(
            f"the cluster {cluster} could not be told to end, and ends by itself after its steps: {why};"
            f" {way_to_end(account.region, cluster)} ends it now"
        )
        if isinstance(error, AwsError):
            return False
        raise
    say(f"the cluster {cluster} is told to end")
    return True


def watch(account: Account, cluster_id: str, say: Say, look: Say) -> Watched:
    """Watch a cluster until it has ended, or is ending with all its steps done.

    EMR's own waiters give up after half an hour. This one outlasts a busy service or a broken connection. A cluster
    that does not start is told to end.

    Raises:
        AwsError: EMR refuses to describe the cluster, or did not answer for too long.

    """
    said: dict[str, str] = {}
    failures, gave_up = 0, ""
    answered = account.now()
    while True:
        try:
            cluster, steps = account.clusters.describe(cluster_id), account.clusters.steps(cluster_id)
            failures, answered = 0, account.now()
            elapsed = answered - (cluster.created or answered)
            _tell_changes(cluster, steps, elapsed, said, say)
            if cluster.has_ended or (cluster.is_ending and steps and all(one.state == "COMPLETED" for one in steps)):
                return Watched(cluster, steps, gave_up)
            look(_progress(cluster, steps, account.now()))
        except AwsError as error:
            failures += 1
            if not error.is_passing or account.now() - answered > MOST_SILENT:
                raise
            if failures == 1:
                minutes = MOST_SILENT.total_seconds() / 60
                say(f"EMR does not say how the cluster is: {error.message}; asked again for {minutes:.0f} minutes")
        else:
            if cluster.is_starting and elapsed > MOST_STARTING and not gave_up:
                took = format_elapsed(elapsed.total_seconds())
                gave_up = f"the cluster has not started within {took}: {cluster.reason}"
                say(gave_up)
                if not _end_cluster(account, cluster_id, say):
                    raise AwsError(gave_up)
        account.sleep(min(POLL_SECONDS * 2**failures, 60))


def _tell_changes(
    cluster: Cluster, steps: Sequence[ClusterStep], elapsed: timedelta, said: dict[str, str], say: Say
) -> None:
    why = f" ({cluster.reason})" if cluster.is_ending and cluster.reason else ""
    lines = {cluster.id: (f"cluster {cluster.id}", f"{cluster.state}{why}")}
    lines |= {step.id: (f"step {step.name}", step.state) for step in steps}
    for key, (what, state) in lines.items():
        if said.get(key) != state and not (key not in said and state == "PENDING"):
            say(f"{format_elapsed(elapsed.total_seconds())}  {what}  {state}")
        said[key] = state


def _progress(cluster: Cluster, steps: Sequence[ClusterStep], now: datetime) -> str:
    running = next((step for step in steps if step.state == "RUNNING"), None)
    begun = (running.started if running else None) or cluster.created or now
    what = f"step {running.name}" if running else f"cluster {cluster.state.lower()}"
    return f"{what}, {format_elapsed((now - begun).total_seconds())}"
