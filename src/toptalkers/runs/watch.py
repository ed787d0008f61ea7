"""A run on EMR: launch it, watch it, and end it when it is interrupted.

Upload the bundle, write run.json -> RunJobFlow -> watch cluster and steps -> run.json again. Whatever happens after
RunJobFlow, the cluster ends by itself when its steps are over or one of them fails. On a cluster that runs already,
AddJobFlowSteps takes the place of RunJobFlow, and CancelSteps that of TerminateJobFlows: the cluster goes on.
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
from toptalkers.runs.input.copies import make_copies, remove_copies
from toptalkers.runs.outcome import Watched, failure_of, find_outcome, own_steps, refusal_of
from toptalkers.runs.plan import RunPlan
from toptalkers.runs.record import RunRecord, cluster_name, store_record
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
    last such line. When the user interrupts, `ask` is called with a line about what runs, and decides about it.

    Raises:
        JobFailedError: the run failed, for the reason given; the cluster has ended or is ending, if it was the run's.
        KeyboardInterrupt: the user interrupted before there was a cluster, or had it or the steps ended.
        ToptalkersError: something else failed; if there is a cluster of the run's own, it ends by itself.

    """
    say, look = _unfailing(say), _unfailing(look)
    try:
        make_copies(account.storage, plan.bucket, plan.input.copies, say)
        record = launch(account, plan, say)
    except BaseException:
        if plan.input.copies:
            remove_copies(account.storage, plan.bucket, plan.record.run_id, say)
        raise
    if not wait:
        return record
    is_ending = False
    while True:
        try:
            watched = watch(account, record, say, look)
            break
        except KeyboardInterrupt:
            if is_ending:
                if plan.running:
                    say(f"EMR goes on cancelling the steps on the cluster {record.cluster}")
                else:
                    say(f"the cluster {record.cluster} goes on ending by itself")
                raise
            if _is_left(account, plan, record, say, ask):
                say(f"{_goes_on(plan, record)}; 'toptalkers runs{plan.site.words}' shows its state")
                return record
            is_ending = _end_run(account, plan, record, say)
            if not is_ending:
                raise
        except AwsError as error:
            raise ToptalkersError(
                f"{error.message}; {_goes_on(plan, record)}",
                hint=(f"{error.hint}; then " if error.hint else "")
                + f"'toptalkers runs{plan.site.words}' shows its state; {_way_to_stop(account, plan, record)}",
            ) from error
        except BaseException:
            say(f"{_goes_on(plan, record)}: {_way_to_stop(account, plan, record)}")
            raise
    record = find_outcome(account, plan.bucket, record, watched, say)
    try:
        store_record(account.storage, plan.bucket, record)
    except AwsError as error:
        say(f"run.json is not brought up to date: {error.message}")
    if plan.input.copies:
        remove_copies(account.storage, plan.bucket, record.run_id, say)
    if record.state == "COMPLETED":
        return record
    if is_ending:
        raise KeyboardInterrupt
    if record.is_shared and not plan.running and not watched.cluster.is_ending:
        say(f"{_goes_on(plan, record)}; {_way_to_stop(account, plan, record)}")
    raise failure_of(plan, record, watched)


def _unfailing(tell: Say) -> Say:
    """Ignore errors of `tell`: a terminal that is gone must not stop us from ending a cluster."""

    def told(line: str) -> None:
        with suppress(OSError, ValueError):
            tell(line)

    return told


def launch(account: Account, plan: RunPlan, say: Say) -> RunRecord:
    """Upload the bundle, write run.json, and start the cluster, or add the steps to the one that runs.

    Raises:
        KeyboardInterrupt: the user interrupted; whatever the request started is told to end.
        AwsError: no cluster was started, or the user was told that there may be one.

    """
    storage, record, cluster = account.storage, plan.record, ""
    upload_bundle(storage, plan.bucket, plan.bundle, say)
    # Before the cluster, so that a missing right to write here is found before anything costs.
    store_record(storage, plan.bucket, record)
    try:
        cluster = _start(account, plan, say)
        say(f"added the steps to the cluster {cluster}" if plan.running else f"started the cluster {cluster}")
        record = replace(record, state="RUNNING", cluster=cluster)
        store_record(storage, plan.bucket, record)
    except BaseException as error:
        _withdraw(account, plan, cluster, error, say)
        raise
    return record


def upload_bundle(storage: StorageGateway, bucket: str, folder: str, say: Say) -> None:
    """Upload those scripts of the steps that a folder lacks."""
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


def _goes_on(plan: RunPlan, record: RunRecord) -> str:
    if plan.running:
        return f"the steps of the run {record.run_id} go on, on the cluster {record.cluster}"
    end = "ends when it is idle" if record.is_shared else "ends by itself"
    return f"the cluster {record.cluster} of the run {record.run_id} goes on, and {end}"


def _way_to_stop(account: Account, plan: RunPlan, record: RunRecord) -> str:
    if plan.running:
        return (
            f"'aws emr list-steps --region {account.region} --cluster-id {record.cluster}' shows the ids of its steps"
            " for 'aws emr cancel-steps'"
        )
    return f"{way_to_end(account.region, record.cluster)} ends it now"


def way_to_find(region: str, name: str) -> str:
    """The command that prints the ids of the clusters of a name that have not ended."""
    query = f"Clusters[?Name==`{name}`].Id"
    return f"aws emr list-clusters --region {region} --active --query '{query}' --output text"


def _start(account: Account, plan: RunPlan, say: Say) -> str:
    """Ask for the cluster, and if the answer is lost, find it by its name; AwsError if none is found.

    On a cluster that runs already, ask for the steps, and find them by their names.
    """
    # Once, and for 20 seconds when EMR keeps silent.
    say(f"asking the cluster {plan.record.cluster}" if plan.running else f"asking for the cluster {_name(plan)}")
    for attempt in range(START_ATTEMPTS):
        try:
            if plan.running:
                account.clusters.add_steps(plan.running.cluster.id, plan.request["Steps"])
                return plan.running.cluster.id
            return account.clusters.start(plan.request)
        except AwsError as error:
            if error.is_throttled and attempt + 1 < START_ATTEMPTS:
                account.sleep(2**attempt)
                continue
            if not error.is_open:
                raise refusal_of(plan, error) from error
            what = "the steps were added" if plan.running else "a cluster was started"
            say(f"whether {what} is not known: {error.message}")
            found = _look_for(account, plan, say)
            if not found:
                raise
            for twin in found[1:]:
                say("the request came through twice")
                _end_cluster(account, twin, say)
            return found[0]
    raise AssertionError  # pragma: no cover - the last attempt has returned or raised


def _look_for(account: Account, plan: RunPlan, say: Say) -> list[str]:
    """Wait for clusters of the run's name, the newest first, or for the cluster to have its steps; return the ids."""
    what = f"its steps on the cluster {plan.record.cluster}" if plan.running else f"the cluster {_name(plan)}"
    say(f"looking for {what}, {(LOOKS - 1) * LOOK_SECONDS} seconds at most")
    for look in range(LOOKS):
        if look:
            account.sleep(LOOK_SECONDS)
        try:
            if plan.running:
                steps = account.clusters.steps(plan.running.cluster.id)
                found = [plan.running.cluster.id] if own_steps(plan.record, steps) else []
            else:
                found = account.clusters.find(_name(plan), around=plan.record.created)
            if found:
                return found
        except AwsError as error:
            if not error.is_passing or error.is_silent:
                say(f"the {'steps' if plan.running else 'clusters'} cannot be listed: {error.message}")
                break
    return []


def _withdraw(account: Account, plan: RunPlan, cluster: str, error: BaseException, say: Say) -> None:
    """Undo a launch that failed: end the cluster, whose id may be empty, or tell the user that there may be one."""
    record = replace(plan.record, reason=error.message if isinstance(error, ToptalkersError) else "interrupted")
    found = [cluster] if cluster else []
    if not may_be_done(error) and not found:
        record = replace(record, state="FAILED", ended=account.now())
    else:
        if not plan.running:
            record = replace(record, state="RUNNING" if found else "UNKNOWN", cluster=cluster)
        try:
            if not found and not isinstance(error, AwsError):
                found = _look_for(account, plan, say)
        finally:
            if not found and plan.running:
                say(f"the steps may come all the same: {_way_to_stop(account, plan, record)}")
            elif not found:
                name = _name(plan)
                say(
                    f"a cluster {name} may come all the same, and be paid for until its steps are done;"
                    f" this finds it: {way_to_find(account.region, name)}"
                    f" - and this ends it: aws emr terminate-clusters --region {account.region} --cluster-ids ID"
                )
        for one in found:
            record = replace(record, state="RUNNING", cluster=one)
            _end_run(account, plan, record, say)
    with suppress(AwsError):
        store_record(account.storage, plan.bucket, record)


def _name(plan: RunPlan) -> str:
    return cluster_name(plan.record.run_id)


def _is_left(account: Account, plan: RunPlan, record: RunRecord, say: Say, ask: Ask) -> bool:
    what = f"The cluster {record.cluster} is running, and is paid for until its steps are done."
    if plan.running:
        what = f"The steps of the run {record.run_id} are on the cluster {record.cluster}, which goes on in any case."
    try:
        return ask(what) == "leave"
    except BaseException:
        say(f"{_goes_on(plan, record)}: {_way_to_stop(account, plan, record)}")
        raise


def _end_run(account: Account, plan: RunPlan, record: RunRecord, say: Say) -> bool:
    """Tell a run's cluster to end; or its steps only, if others may need the cluster. Return whether EMR accepted."""
    if not record.is_shared:
        return _end_cluster(account, record.cluster, say)
    try:
        steps = account.clusters.steps(record.cluster)
        own = own_steps(record, steps)
        if not plan.running and len(own) == len(steps):
            return _end_cluster(account, record.cluster, say)
        account.clusters.cancel_steps(record.cluster, [step.id for step in own if not step.is_over])
    except AwsError as error:
        say(f"the steps could not be cancelled: {error.message}; {_way_to_stop(account, plan, record)}")
        return False
    say(f"the steps are told to end; the cluster {record.cluster} goes on")
    return True


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


def watch(account: Account, record: RunRecord, say: Say, look: Say) -> Watched:
    """Watch a run's cluster until it has ended, or is ending with all its steps done.

    On a shared cluster, only the run's own steps are watched, until they are over.

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
            cluster = account.clusters.describe(record.cluster)
            steps = own_steps(record, account.clusters.steps(record.cluster))
            failures, answered = 0, account.now()
            elapsed = answered - (record.created if record.is_shared else cluster.created or answered)
            _tell_changes(cluster, steps, elapsed, said, say)
            if cluster.has_ended or (cluster.is_ending and steps and all(one.state == "COMPLETED" for one in steps)):
                return Watched(cluster, steps, gave_up)
            if record.is_shared and steps and all(one.is_over for one in steps):
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
                if not _end_cluster(account, record.cluster, say):
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
