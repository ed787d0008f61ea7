"""A run on EMR: plan, launch, watch, and what went wrong.

Plan (reads alone) -> upload the bundle, write run.json -> RunJobFlow -> watch cluster and steps -> run.json again.
Whatever happens after RunJobFlow, the cluster ends by itself when its steps are over or one of them fails.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from toptalkers import __version__, locations
from toptalkers.answer.formats import describe_query
from toptalkers.aws.emr import Cluster, ClusterStep
from toptalkers.aws.failures import AwsError, may_be_done
from toptalkers.aws.gateways import Gateways
from toptalkers.aws.stack import Stack
from toptalkers.capture.ownership import STACK_TAG, output_of
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError
from toptalkers.job.bundle import bundle_sha256, read_bundle
from toptalkers.job.steps import Step, emr_steps, plan_steps
from toptalkers.question.query import Query
from toptalkers.runs.diagnosis import await_counters, diagnose, read_counters
from toptalkers.runs.input import RunInput, pick_input
from toptalkers.runs.record import (
    RunRecord,
    cluster_name,
    format_elapsed,
    format_size,
    judged,
    question_of,
    store_record,
)
from toptalkers.runs.renamed import copy_renamed, remove_renamed
from toptalkers.runs.sizing import Sizing, size_cluster
from toptalkers.visible import visible

RELEASE = "emr-7.14.0"
"""Hadoop 3.4.2, Python 3.9 (EMR release guide)."""

POLL_SECONDS = 5
MOST_SILENT = timedelta(minutes=10)
"""How long EMR may be too busy to answer, or out of reach, before the watch is given up."""

START_ATTEMPTS = 5
"""How often a cluster is asked for while EMR asks to slow down: it has made none then."""

LOOKS, LOOK_SECONDS = 13, 5
"""A request of which nothing was heard may still be served: its cluster is looked for so often, so long apart."""

MOST_STARTING = timedelta(minutes=45)
"""A cluster that has not begun its first step by then is not going to: EC2 gives no instances."""

IDLE_SECONDS = 3600
"""The second safety: EMR ends a cluster that does nothing for so long, should the first one fail."""

SPOT_MINUTES = 20
"""How long to wait for Spot instances, before on-demand ones are taken."""

Say = Callable[[str], None]
Look = Callable[[str], None]
Ask = Callable[[str], Literal["leave", "terminate"]]

_RELEASE = re.compile(r"emr-[0-9]+\.[0-9]+\.[0-9]+")
_SUBNET = re.compile(r"subnet-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What a user can say about the cluster; see `size_cluster` for what is left out."""

    instance_type: str | None = None
    core: int | None = None
    task: int | None = None
    vpc_nodes: int | None = None
    spot: bool = False
    release: str = RELEASE
    subnets: tuple[str, ...] = ()
    key_name: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    keep_aggregate: bool = False
    keep_all_ports: bool = False


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would do; `request` is RunJobFlow's, to the byte."""

    bucket: str
    region: str
    record: RunRecord
    input: RunInput
    sizing: Sizing
    bundle: str
    """The bundle's folder, its key."""
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Watched:
    """A cluster at the end of a watch; `gave_up` says why, when it was the watch that ended it."""

    cluster: Cluster
    steps: Sequence[ClusterStep]
    gave_up: str


def plan_run(
    gateways: Gateways,
    stack: Stack,
    query: Query,
    *,
    top: int = 0,
    inputs: Sequence[str] = (),
    options: ClusterOptions | None = None,
    skips: bool = False,
    on_look: Callable[[int, int], None] = lambda _done, _total: None,
    token: str,
) -> RunPlan:
    """Work out what a run would do; nothing is changed for it.

    Args:
        gateways: the account and Region.
        stack: whose bucket and roles are used.
        query: the question.
        top: how many talkers are kept, 0 for all.
        inputs: addresses of S3 to read instead of the stack's own flow logs.
        options: of the cluster.
        skips: leave out what a cluster cannot read, instead of raising.
        on_look: told how many objects of how many were looked into.
        token: four hexadecimal digits, by chance, for the run's name.

    Raises:
        UsageError: an option that cannot be.
        ToptalkersError: there is nothing to read, or something that a cluster cannot read, EMR has no such release,
            or the stack is too old.

    """
    options = options or ClusterOptions()
    _check(options)
    bucket = bucket_of(stack)
    roles = (output_of(stack, "EmrServiceRole"), output_of(stack, "EmrInstanceProfile"))
    _require_release(gateways, options.release)
    created = gateways.now().replace(microsecond=0)
    run_id = locations.format_run_id(created, token)
    read = pick_input(
        gateways.storage,
        bucket,
        query,
        given=inputs,
        renamed=locations.renamed_prefix(run_id),
        skips=skips,
        on_look=on_look,
    )
    sizing = size_cluster(
        read.size_bytes,
        core=options.core,
        task=options.task,
        vpc_nodes=options.vpc_nodes,
        spot=options.spot,
        **({"instance_type": options.instance_type} if options.instance_type else {}),
    )
    if next(gateways.storage.list(bucket, locations.run_prefix(run_id)), None):
        raise ToptalkersError(f"there is a run {run_id} already", hint="try again: the next one has another name")
    sha256 = bundle_sha256()
    bundle = locations.code_prefix(sha256)
    steps = plan_run_steps(bucket, run_id, bundle, query, top, read, options, map_slots=sizing.map_slots)
    record = RunRecord(
        run_id=run_id,
        stack=stack.name,
        state="STARTING",
        question=question_of(query, top),
        inputs=read.uris,
        input_objects=read.objects,
        input_bytes=read.size_bytes,
        answer=f"s3://{bucket}/{locations.answer_prefix(run_id)}",
        aggregate=f"s3://{bucket}/{locations.aggregate_prefix(run_id)}" if options.keep_aggregate else "",
        versions={"toptalkers": __version__, "bundle": sha256, "release": options.release},
        instance_type=sizing.instance_type,
        instances=sizing.instances,
        created=created,
        left_out=[f"{uri}: {reason}" for uri, reason in read.left_out],
    )
    request = cluster_request(
        stack=stack.name,
        bucket=bucket,
        run_id=run_id,
        roles=roles,
        security_configuration=stack.outputs.get("EmrSecurityConfiguration", ""),
        sizing=sizing,
        steps=steps,
        options=options,
    )
    return RunPlan(bucket, gateways.region, record, read, sizing, bundle, request)


def plan_run_steps(
    bucket: str,
    run_id: str,
    bundle: str,
    query: Query,
    top: int,
    read: RunInput,
    options: ClusterOptions,
    *,
    map_slots: int,
) -> tuple[Step, ...]:
    """The steps of a run, everything in its place in the stack's bucket."""
    aggregate = locations.aggregate_prefix(run_id)
    return plan_steps(
        query,
        top=top,
        inputs=read.uris,
        gluing=read.gluing,
        bundle=f"s3://{bucket}/{bundle}",
        output=f"s3://{bucket}/{locations.answer_prefix(run_id)}",
        # Without a scheme it is in the cluster's HDFS, and goes with it.
        between=f"s3://{bucket}/{aggregate}" if options.keep_aggregate else f"toptalkers/{run_id}/aggregate/",
        input_bytes=read.size_bytes,
        map_slots=map_slots,
        keep_aggregate=options.keep_aggregate,
        keep_all_ports=options.keep_all_ports,
    )


def cluster_request(
    *,
    stack: str,
    bucket: str,
    run_id: str,
    roles: tuple[str, str],
    security_configuration: str,
    sizing: Sizing,
    steps: Sequence[Step],
    options: ClusterOptions,
) -> dict[str, Any]:
    """The request of RunJobFlow: a cluster that runs the steps and ends.

    Instance groups, or fleets where several subnets or Spot leave EMR a choice to make.
    """
    instances: dict[str, Any] = {"KeepJobFlowAliveWhenNoSteps": False, "TerminationProtected": False}
    if options.spot or len(options.subnets) > 1:
        instances["InstanceFleets"] = _fleets(sizing)
        if options.subnets:
            instances["Ec2SubnetIds"] = list(options.subnets)
    else:
        instances["InstanceGroups"] = _groups(sizing)
        if options.subnets:
            instances["Ec2SubnetId"] = options.subnets[0]
    if options.key_name:
        instances["Ec2KeyName"] = options.key_name
    tags = dict(options.tags) | {
        STACK_TAG: stack,
        "toptalkers:run": run_id,
        # What EMR's managed policy for its service role asks of a cluster (AmazonEMRServicePolicy_v2).
        "for-use-with-amazon-emr-managed-policies": "true",
    }
    request: dict[str, Any] = {
        "Name": cluster_name(run_id),
        "LogUri": f"s3://{bucket}/{locations.run_logs_prefix(run_id)}",
        "ReleaseLabel": options.release,
        "Applications": [{"Name": "Hadoop"}],
        "Instances": instances,
        "Steps": emr_steps(steps),
        "ServiceRole": roles[0],
        "JobFlowRole": roles[1],
    }
    if security_configuration:
        request["SecurityConfiguration"] = security_configuration
    request["AutoTerminationPolicy"] = {"IdleTimeout": IDLE_SECONDS}
    request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return request


def example_run(
    query: Query, *, top: int = 0, bucket: str, run_id: str, bundle: str, options: ClusterOptions | None = None
) -> tuple[tuple[Step, ...], dict[str, Any]]:
    """The steps and the request of a run over a stack's own flow logs, without looking at any."""
    options = options or ClusterOptions()
    _check(options)
    read = RunInput((f"s3://{bucket}/{locations.CAPTURED}",), 0, 0, "headers")
    sizing = size_cluster(0, core=options.core, task=options.task, spot=options.spot)
    steps = plan_run_steps(bucket, run_id, bundle, query, top, read, options, map_slots=sizing.map_slots)
    request = cluster_request(
        stack="toptalkers",
        bucket=bucket,
        run_id=run_id,
        roles=("toptalkers-EmrServiceRole", "toptalkers-EmrInstanceRole"),
        security_configuration="toptalkers-EmrSecurity",
        sizing=sizing,
        steps=steps,
        options=options,
    )
    return steps, request


def render_request(request: Mapping[str, Any]) -> str:
    """The request as JSON, ending in a line feed; boto3's `run_job_flow(**request)` takes it back."""
    return json.dumps(request, indent=2) + "\n"


def format_plan(plan: RunPlan) -> str:
    """The plan as lines."""
    sizing, record = plan.sizing, plan.record
    nodes = f"1 primary, {sizing.core} core"
    if sizing.task:
        nodes += f", {sizing.task} task{' (Spot)' if sizing.spot else ''}"
    uris = ", ".join(plan.input.uris[:3]) + (", ..." if len(plan.input.uris) > 3 else "")
    lines = [
        f"Plan: run {record.run_id} of the stack {record.stack} in {plan.region}",
        f"  question  {describe_query(record.query)}",
        f"  input     {plan.input.objects:,} objects, {format_size(plan.input.size_bytes)}: {uris}",
        f"  cluster   {record.versions['release']}, {nodes}, all {sizing.instance_type} ({sizing.reason})",
        f"  expected  {sizing.minutes} minutes, {sizing.instance_hours} instance-hours; it ends by itself",
        f"  answer    {record.answer}",
    ]
    if record.aggregate:
        lines.append(f"  aggregate {record.aggregate}")
    lines += [f"Note: {note}" for note in plan.input.notes]
    return "\n".join(map(visible, lines))


def execute_run(
    gateways: Gateways, plan: RunPlan, *, say: Say, ask: Ask, look: Look = lambda _: None, wait: bool = True
) -> RunRecord:
    """Do it, and watch it to its end.

    Args:
        gateways: the account and Region.
        plan: what to do.
        say: told of each change, a line.
        ask: asked what to do with the cluster when the user interrupts; given the cluster's id.
        look: told how far it is at every look, a line that replaces the last.
        wait: False to return when the cluster is on its way.

    Raises:
        JobFailedError: the run failed, with the reason; the cluster has ended, or is ending.
        KeyboardInterrupt: the user interrupted before there was a cluster, or had it terminated.
        ToptalkersError: something else failed; where there is a cluster, it ends by itself.

    """
    say, look = _unfailing(say), _unfailing(look)
    try:
        copy_renamed(gateways.storage, plan.bucket, plan.input.copies, say)
        record = launch(gateways, plan, say)
    except BaseException:
        if plan.input.copies:
            remove_renamed(gateways.storage, plan.bucket, plan.record.run_id, say)
        raise
    if not wait:
        return record
    is_ending = False
    while True:
        try:
            watched = watch(gateways, record.cluster, say, look)
            break
        except KeyboardInterrupt:
            if is_ending:
                say(f"the cluster {record.cluster} goes on ending by itself")
                raise
            if _is_left(gateways, record.cluster, say, ask):
                say(f"the cluster {record.cluster} goes on, and ends by itself; 'toptalkers runs' shows how it is")
                return record
            is_ending = _end_cluster(gateways, record.cluster, say)
            if not is_ending:
                raise
        except AwsError as error:
            raise ToptalkersError(
                f"{error.message}; the cluster {record.cluster} of the run {record.run_id} goes on, and ends by itself",
                hint=(f"{error.hint}; then " if error.hint else "")
                + f"'toptalkers runs' shows how it is; {way_to_end(gateways.region, record.cluster)} ends it now",
            ) from error
        except BaseException:
            say(f"the cluster {record.cluster} goes on: {way_to_end(gateways.region, record.cluster)} ends it now")
            raise
    record = _find_outcome(gateways, plan.bucket, record, watched, say)
    try:
        store_record(gateways.storage, plan.bucket, record)
    except AwsError as error:
        say(f"run.json is not brought up to date: {error.message}")
    if plan.input.copies:
        remove_renamed(gateways.storage, plan.bucket, record.run_id, say)
    if record.state == "COMPLETED":
        return record
    if is_ending:
        raise KeyboardInterrupt
    raise failure_of(record)


def _unfailing(tell: Say) -> Say:
    """What tells, or keeps silent where nobody hears: a terminal that is gone must not keep a cluster from its end."""

    def told(line: str) -> None:
        with suppress(OSError, ValueError):
            tell(line)

    return told


def failure_of(record: RunRecord) -> JobFailedError:
    """What to tell of a run that did not complete."""
    verb = "was terminated" if record.state == "CANCELLED" else "failed"
    hint = None
    if "capacity" in record.reason.lower() or "has not started" in record.reason:
        hint = "another --instance-type, --subnet or Availability Zone may have room"
    return JobFailedError(f"the run {record.run_id} {verb}: {record.reason}", hint=hint)


def launch(gateways: Gateways, plan: RunPlan, say: Say) -> RunRecord:
    """Upload the bundle, write run.json, and start the cluster.

    Raises:
        KeyboardInterrupt: interrupted; should the request come through, its cluster is told to end.
        AwsError: no cluster was started; or, as is said then, it is not known whether one was.

    """
    storage, record, cluster = gateways.storage, plan.record, ""
    for name, content in read_bundle().items():
        key = plan.bundle + name
        if storage.head(plan.bucket, key) is None:
            storage.put(plan.bucket, key, content)
            say(f"uploaded s3://{plan.bucket}/{key}")
    # Before the cluster: who may not write here learns it before anything costs.
    store_record(storage, plan.bucket, record)
    try:
        cluster = _start(gateways, plan, say)
        say(f"started the cluster {cluster}")
        record = replace(record, state="RUNNING", cluster=cluster)
        store_record(storage, plan.bucket, record)
    except BaseException as error:
        _withdraw(gateways, plan, cluster, error, say)
        raise
    return record


def way_to_end(region: str, cluster: str) -> str:
    """The command that ends a cluster."""
    return f"'aws emr terminate-clusters --region {region} --cluster-ids {cluster}'"


def way_to_find(region: str, name: str) -> str:
    """The command that prints the ids of the clusters of a name that have not ended."""
    query = f"Clusters[?Name==`{name}`].Id"
    return f"aws emr list-clusters --region {region} --active --query '{query}' --output text"


def _start(gateways: Gateways, plan: RunPlan, say: Say) -> str:
    """Ask for the cluster, and find it by its name when the answer is lost.

    Raises:
        AwsError: there is none; or, where `is_open`, none was found.

    """
    say(f"asking for the cluster {plan.request['Name']}")  # once, and for 20 seconds when EMR keeps silent
    for attempt in range(START_ATTEMPTS):
        try:
            return gateways.clusters.start(plan.request)
        except AwsError as error:
            if error.is_throttled and attempt + 1 < START_ATTEMPTS:
                gateways.sleep(2**attempt)
                continue
            if not error.is_open:
                raise
            say(f"whether a cluster was started is not known: {error.message}")
            found = _look_for(gateways, plan, say)
            if not found:
                raise
            for twin in found[1:]:
                say("the request came through twice")
                _end_cluster(gateways, twin, say)
            return found[0]
    raise AssertionError  # pragma: no cover - the last attempt has returned or raised


def _look_for(gateways: Gateways, plan: RunPlan, say: Say) -> list[str]:
    """Wait for a cluster of the run's name; its id, of several the newest first, and nothing when none shows."""
    say(f"looking for the cluster {plan.request['Name']}, {(LOOKS - 1) * LOOK_SECONDS} seconds at most")
    for look in range(LOOKS):
        if look:
            gateways.sleep(LOOK_SECONDS)
        try:
            if found := gateways.clusters.find(str(plan.request["Name"]), around=plan.record.created):
                return found
        except AwsError as error:
            if not error.is_passing or error.is_silent:
                say(f"the clusters cannot be listed: {error.message}")
                break
    return []


def _withdraw(gateways: Gateways, plan: RunPlan, cluster: str, error: BaseException, say: Say) -> None:
    """Undo a launch that did not come to its end: end what was started, or say that something may have been.

    Args:
        gateways: the account and Region.
        plan: what was to be done.
        cluster: the cluster, when its id is known.
        error: why.
        say: told of what is done.

    """
    record = replace(plan.record, reason=error.message if isinstance(error, ToptalkersError) else "interrupted")
    found = [cluster] if cluster else []
    if not may_be_done(error) and not found:
        record = replace(record, state="FAILED", ended=gateways.now())
    else:
        record = replace(record, state="RUNNING" if found else "UNKNOWN", cluster=cluster)
        try:
            if not found and not isinstance(error, AwsError):
                found = _look_for(gateways, plan, say)
        finally:
            if not found:
                name = str(plan.request["Name"])
                say(
                    f"a cluster {name} may come all the same, and be paid for until its steps are done;"
                    f" this finds it: {way_to_find(gateways.region, name)}"
                    f" - and this ends it: aws emr terminate-clusters --region {gateways.region} --cluster-ids ID"
                )
        for one in found:
            _end_cluster(gateways, one, say)
            record = replace(record, state="RUNNING", cluster=one)
    with suppress(AwsError):
        store_record(gateways.storage, plan.bucket, record)


def _is_left(gateways: Gateways, cluster: str, say: Say, ask: Ask) -> bool:
    try:
        return ask(cluster) == "leave"
    except BaseException:
        say(f"the cluster {cluster} goes on: {way_to_end(gateways.region, cluster)} ends it now")
        raise


def _end_cluster(gateways: Gateways, cluster: str, say: Say) -> bool:
    """Tell a cluster to end; whether it will."""
    try:
        gateways.clusters.terminate(cluster)
    except BaseException as error:
        why = error.message if isinstance(error, AwsError) else "interrupted"
        say(
            f"the cluster {cluster} could not be told to end, and ends by itself after its steps: {why};"
            f" {way_to_end(gateways.region, cluster)} ends it now"
        )
        if isinstance(error, AwsError):
            return False
        raise
    say(f"the cluster {cluster} is told to end")
    return True


def _find_outcome(gateways: Gateways, bucket: str, record: RunRecord, watched: Watched, say: Say) -> RunRecord:
    """What became of a run, as far as its logs can be read."""
    cluster, steps = watched.cluster, watched.steps
    logs = locations.run_logs_prefix(record.run_id)
    record = replace(judged(record, cluster, steps, gateways.now()), ended=cluster.ended or gateways.now())
    if record.state == "COMPLETED":
        with suppress(AwsError):
            record = replace(record, counters=await_counters(gateways, bucket, logs, record.cluster, steps[0].id, say))
        return record
    failed = next((step for step in steps if step.state == "FAILED"), None)
    if watched.gave_up or not failed:
        return replace(record, state="FAILED", reason=watched.gave_up) if watched.gave_up else record
    where = failed.log or f"s3://{bucket}/{logs}{record.cluster}/steps/{failed.id}/"
    say(f"looking for the reason in s3://{bucket}/{logs}{record.cluster}/")
    try:
        found = diagnose(gateways, bucket, logs, record.cluster, failed.id)
    except AwsError as error:
        return replace(record, reason=f"{record.reason}; its logs cannot be read: {where}: {error.message}")
    except KeyboardInterrupt:
        return replace(record, reason=f"{record.reason}; its logs: {where}")
    if found is None:
        return replace(record, reason=f"{record.reason}; its logs have not come: {where}")
    why = "; ".join(line.strip() for line in found.reason.splitlines())
    return replace(record, reason=f"step {failed.name} failed: {why}; its log: {found.log}")


def watch(gateways: Gateways, cluster_id: str, say: Say, look: Look) -> Watched:
    """Watch a cluster until it has ended, or is ending with all its steps done.

    EMR's own waiters give up after half an hour. A busy service, or a line that breaks, is waited for; a cluster
    that does not start is ended.

    Raises:
        AwsError: EMR refuses to say how it is, or did not answer for too long.

    """
    said: dict[str, str] = {}
    failures, gave_up = 0, ""
    answered = gateways.now()
    while True:
        try:
            cluster, steps = gateways.clusters.describe(cluster_id), gateways.clusters.steps(cluster_id)
            failures, answered = 0, gateways.now()
            elapsed = answered - (cluster.created or answered)
            _tell_changes(cluster, steps, elapsed, said, say)
            if cluster.has_ended or (cluster.is_ending and steps and all(one.state == "COMPLETED" for one in steps)):
                return Watched(cluster, steps, gave_up)
            look(_progress(cluster, steps, gateways.now()))
        except AwsError as error:
            failures += 1
            if not error.is_passing or gateways.now() - answered > MOST_SILENT:
                raise
            if failures == 1:
                minutes = MOST_SILENT.total_seconds() / 60
                say(f"EMR does not say how the cluster is: {error.message}; asked again for {minutes:.0f} minutes")
        else:
            if cluster.is_starting and elapsed > MOST_STARTING and not gave_up:
                why = " ".join(cluster.reason.split())
                gave_up = f"the cluster has not started within {format_elapsed(elapsed.total_seconds())}: {why}"
                say(gave_up)
                if not _end_cluster(gateways, cluster_id, say):
                    raise AwsError(gave_up)
        gateways.sleep(min(POLL_SECONDS * 2**failures, 60))


def _tell_changes(
    cluster: Cluster, steps: Sequence[ClusterStep], elapsed: timedelta, said: dict[str, str], say: Say
) -> None:
    why = f" ({' '.join(cluster.reason.split())})" if cluster.is_ending and cluster.reason else ""
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


def _groups(sizing: Sizing) -> list[dict[str, Any]]:
    counts = {"MASTER": 1, "CORE": sizing.core, "TASK": sizing.task}
    names = {"MASTER": "primary", "CORE": "core", "TASK": "task"}
    return [
        {
            "Name": names[role],
            "InstanceRole": role,
            "InstanceType": sizing.instance_type,
            "InstanceCount": count,
            "Market": "ON_DEMAND",
        }
        for role, count in counts.items()
        if count
    ]


def _fleets(sizing: Sizing) -> list[dict[str, Any]]:
    own = [{"InstanceType": sizing.instance_type, "WeightedCapacity": 1}]
    fleets: list[dict[str, Any]] = [
        {"Name": "primary", "InstanceFleetType": "MASTER", "TargetOnDemandCapacity": 1, "InstanceTypeConfigs": own},
        {
            "Name": "core",
            "InstanceFleetType": "CORE",
            "TargetOnDemandCapacity": sizing.core,
            "InstanceTypeConfigs": own,
        },
    ]
    if sizing.task and sizing.spot:
        fleets.append(
            {
                "Name": "task",
                "InstanceFleetType": "TASK",
                "TargetSpotCapacity": sizing.task,
                "InstanceTypeConfigs": [{"InstanceType": one, "WeightedCapacity": 1} for one in sizing.spot_types],
                "LaunchSpecifications": {
                    "SpotSpecification": {
                        "TimeoutDurationMinutes": SPOT_MINUTES,
                        "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                        "AllocationStrategy": "price-capacity-optimized",
                    }
                },
            }
        )
    elif sizing.task:
        fleets.append(
            {
                "Name": "task",
                "InstanceFleetType": "TASK",
                "TargetOnDemandCapacity": sizing.task,
                "InstanceTypeConfigs": own,
            }
        )
    return fleets


def _check(options: ClusterOptions) -> None:
    if not _RELEASE.fullmatch(options.release):
        raise UsageError(f"--release: {options.release!r} is not a release of EMR", hint=f"like {RELEASE}")
    for subnet in options.subnets:
        if not _SUBNET.fullmatch(subnet):
            raise UsageError(f"--subnet: {subnet!r} is not the id of a subnet", hint="like subnet-0123456789abcdef0")


def _require_release(gateways: Gateways, release: str) -> None:
    known = gateways.clusters.releases("emr-")
    if release not in known:
        known.sort(key=lambda label: [int(part) for part in re.findall("[0-9]+", label)], reverse=True)
        newest = ", ".join(known[:3])
        raise ToptalkersError(
            f"EMR has no {release} in {gateways.region}", hint=f"--release chooses another: {newest}, ..."
        )


def bucket_of(stack: Stack) -> str:
    """The stack's bucket."""
    return output_of(stack, "BucketName")


def tally_of(gateways: Gateways, bucket: str, record: RunRecord) -> Mapping[str, int]:
    """The mapper's counters of a run: as recorded, else from its log; empty when neither has them."""
    if record.counters or not record.cluster:
        return record.counters
    logs = locations.run_logs_prefix(record.run_id)
    with suppress(AwsError):
        steps = gateways.clusters.steps(record.cluster)
        return read_counters(gateways, bucket, logs, record.cluster, steps[0].id) if steps else {}
    return {}
