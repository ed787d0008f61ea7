"""The plan of a run: its input, its cluster, and where its answer goes. Planning changes nothing in the account."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toptalkers import __version__, locations
from toptalkers.answer.formats import describe_query
from toptalkers.aws.account import Account
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.job.bundle import NO_KERNELS, bundle_sha256, installed_kernels
from toptalkers.question.conversations import needs_records
from toptalkers.question.query import Query
from toptalkers.records.wanted import ANYWHERE, Origin
from toptalkers.runs.cluster.ahead import (
    Network,
    check_subnets,
    check_types,
    check_vcpus,
    describe_network,
    find_network,
    find_offers,
    network_notes,
)
from toptalkers.runs.cluster.one_instance import OneInstance, find_better
from toptalkers.runs.cluster.prices import describe_cost
from toptalkers.runs.cluster.request import RELEASE, ClusterOptions, plan_request
from toptalkers.runs.cluster.shared import OLDEST_MAJOR, RunningCluster, is_too_old, share_steps, size_running
from toptalkers.runs.cluster.sizing import Sizing, format_minutes, objects_notes, size_cluster
from toptalkers.runs.input.choice import RunInput, pick_input
from toptalkers.runs.input.quarantine import quarantine_note
from toptalkers.runs.record import RunRecord, question_of
from toptalkers.runs.site import Site
from toptalkers.runs.units import format_size
from toptalkers.visible import visible

_RELEASE = re.compile(r"emr-[0-9]+\.[0-9]+\.[0-9]+")
_SUBNET = re.compile(r"subnet-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The plan of a run, whose first record is `record`.

    `bundle` is the key of the bundle's folder in the runs' bucket. `request` is that of RunJobFlow, exactly as it is
    sent; on a cluster that runs already, `running`, it is that of AddJobFlowSteps. `vcpus` says how many vCPUs it
    needs, and of how many; `notes` are lines that a user should read. `better` is one instance that is cheaper than the
    cluster and not slower; None if there is none, and for a cluster that is kept for more questions.
    """

    site: Site
    bucket: str
    region: str
    record: RunRecord
    input: RunInput
    sizing: Sizing
    bundle: str
    request: Mapping[str, Any]
    network: Network
    vcpus: str
    notes: tuple[str, ...]
    running: RunningCluster | None = None
    better: OneInstance | None = None


def plan_run(
    account: Account,
    site: Site,
    query: Query,
    *,
    top: int = 0,
    inputs: Sequence[str] = (),
    origin: Origin = ANYWHERE,
    options: ClusterOptions | None = None,
    skips: bool = False,
    on_look: Callable[[int, int], None] = lambda _done, _total: None,
    running: RunningCluster | None = None,
    token: str,
) -> RunPlan:
    """Plan a run at a site; this changes nothing in the account.

    `top` is how many talkers are kept, 0 for all. `inputs` are addresses in S3 to read instead of the flow logs in the
    site's bucket; see `pick_input`, also for `origin`, `skips` and `on_look`. `running` is a cluster that runs already,
    and takes the steps, instead of one by `options`. `token` is four random hexadecimal digits, for the run's name.

    Raises:
        UsageError: an option is not valid.
        ToptalkersError: there is nothing to read, or a cluster cannot read some object; EMR has no such release, or the
            cluster cannot start for another reason that can be known before.

    """
    options = options or ClusterOptions()
    _check(options, query)
    bucket = site.bucket
    network = Network((), ())
    if running is None:
        _require_release(account, options.release)
        network = find_network(account, options.subnets or site.subnets)
        check_subnets(site, network)
    created = account.now().replace(microsecond=0)
    run_id = locations.format_run_id(created, token)
    read = pick_input(
        account.storage,
        site,
        query,
        given=inputs,
        origin=origin,
        region=account.region,
        copy_folder=locations.copies_prefix(run_id),
        skips=skips,
        on_look=on_look,
    )
    kernels = installed_kernels()
    sizing = _size(query, read, options, running, has_kernel=bool(kernels))
    unknown: tuple[str, ...] = ()
    vcpus = ""
    if running is None:
        offers = find_offers(account, options.release, sizing)
        check_types(offers, network, sizing, release=options.release, region=account.region)
        suitable = tuple(one for one in sizing.substitutes if offers.suits(one, network.zones))
        sizing, unknown = replace(sizing, substitutes=suitable), offers.notes
        vcpus = check_vcpus(account, sizing)
    if next(account.storage.list(bucket, locations.run_prefix(run_id)), None):
        raise ToptalkersError(f"there is a run {run_id} already", hint="try again: the next one has another name")
    if note := quarantine_note(account.storage, bucket, read.uris, query):
        read = replace(read, notes=(*read.notes, note))
    sha256 = bundle_sha256()
    bundle = locations.code_prefix(sha256)
    record = RunRecord(
        run_id=run_id,
        stack=site.name,
        state="STARTING",
        question=question_of(query, top),
        inputs=read.patterns or read.uris,
        input_objects=read.objects,
        input_bytes=read.size_bytes,
        answer=f"s3://{bucket}/{locations.answer_prefix(run_id)}",
        aggregate=f"s3://{bucket}/{locations.aggregate_prefix(run_id)}" if options.keep_aggregate else "",
        versions={
            "toptalkers": __version__,
            "bundle": sha256,
            "release": running.cluster.release if running else options.release,
        },
        instance_type=sizing.instance_type,
        instances=sum(one.count for one in running.nodes) if running and running.nodes else sizing.instances,
        created=created,
        cluster=running.cluster.id if running else "",
        left_out=[f"{uri}: {reason}" for uri, reason in read.left_out],
    )
    _, request = plan_request(
        query,
        top=top,
        site=site,
        run_id=run_id,
        bundle=bundle,
        kernels=kernels,
        read=read,
        sizing=sizing,
        options=options,
    )
    if running:
        record = replace(record, is_shared=True, logs=running.cluster.log_uri)
        request = {"JobFlowId": running.cluster.id, "Steps": share_steps(request["Steps"], run_id)}
    elif options.keep_alive is not None:
        record = replace(record, is_shared=True, logs=request["LogUri"])
    return RunPlan(
        site,
        bucket,
        account.region,
        record,
        read,
        sizing,
        bundle,
        request,
        network,
        vcpus,
        (
            *read.notes,
            *(() if kernels else (NO_KERNELS,)),
            *objects_notes(sizing, read.objects),
            *unknown,
            *network_notes(account, site, network),
        ),
        running,
        None if record.is_shared else find_better(read.size_bytes, sizing, is_joined=needs_records(query)),
    )


def _size(
    query: Query, read: RunInput, options: ClusterOptions, running: RunningCluster | None, *, has_kernel: bool
) -> Sizing:
    """Size a new cluster for the input, or describe the one that runs already."""
    is_joined = needs_records(query)
    if running:
        return size_running(read.size_bytes, running, is_joined=is_joined, has_kernel=has_kernel)
    return size_cluster(
        read.size_bytes,
        objects=read.objects,
        is_joined=is_joined,
        has_kernel=has_kernel,
        primary_type=options.primary_type,
        core=options.core,
        task=options.task,
        vpc_nodes=options.vpc_nodes,
        max_nodes=options.max_nodes,
        spot=options.spot,
        **({"instance_type": options.instance_type} if options.instance_type else {}),
    )


def format_plan(plan: RunPlan) -> str:
    """Write the plan as lines of text."""
    sizing, record, site = plan.sizing, plan.record, plan.site
    nodes = f"1 primary, {sizing.core} core"
    if sizing.task:
        nodes += f", {sizing.task} task{' (Spot)' if sizing.spot else ''}"
    types = f"all {sizing.instance_type}"
    if sizing.primary_type != sizing.instance_type:
        types = f"the primary {sizing.primary_type}, the others {sizing.instance_type}"
    roles = f"{site.service_role}, {site.instance_profile}; security configuration "
    roles += site.security_configuration or "none"
    uris = ", ".join(plan.input.uris[:3]) + (", ..." if len(plan.input.uris) > 3 else "")
    which = f"{record.cluster}, which runs already: " if plan.running else ""
    where = (
        f"of the stack {record.stack}" if record.stack != plan.bucket else f"in s3://{plan.bucket}, without a stack,"
    )
    objects = "1 object" if plan.input.objects == 1 else f"{plan.input.objects:,} objects"
    lines = [
        f"Plan: run {record.run_id} {where} in {plan.region}",
        f"  question  {describe_query(record.query)}",
        f"  input     {objects}, {format_size(plan.input.size_bytes)}: {uris}",
        f"  cluster   {which}{record.versions['release']}, {nodes}, {types} ({sizing.reason})",
        *(
            ()
            if plan.running
            else (
                f"  network   {describe_network(plan.network)}",
                f"  vCPUs     {plan.vcpus}",
                f"  roles     {roles}",
            )
        ),
        f"  expected  {_expected(sizing)}; {_end_of_cluster(plan)}",
        f"  cost      {describe_cost(sizing, plan.region)}",
        f"  answer    {record.answer}",
    ]
    if record.aggregate:
        lines.append(f"  aggregate {record.aggregate}")
    lines += [f"Note: {note}" for note in plan.notes]
    return "\n".join(map(visible, lines))


def _expected(sizing: Sizing) -> str:
    return f"{format_minutes(sizing.minutes)}, {sizing.instance_hours:,} instance-hours"


def _end_of_cluster(plan: RunPlan) -> str:
    if plan.running:
        return "more if the cluster has other steps to do first; it goes on afterwards"
    if plan.record.is_shared:
        idle = plan.request["AutoTerminationPolicy"]["IdleTimeout"] // 60
        return f"it goes on afterwards, and ends after {idle:,} minutes without a step"
    return "it ends by itself"


def _require_release(account: Account, release: str) -> None:
    known = account.clusters.releases("emr-")
    if release not in known:
        known.sort(key=lambda label: [int(part) for part in re.findall("[0-9]+", label)], reverse=True)
        newest = ", ".join(known[:3])
        raise ToptalkersError(
            f"EMR has no {release} in {account.region}", hint=f"--release chooses another: {newest}, ..."
        )


def _check(options: ClusterOptions, query: Query) -> None:
    if options.keep_all_ports and query.joins_records:
        raise UsageError(
            "--keep-all-ports does not go with --count once and --pairs, which look at ports before the last step",
            hint="leave it out",
        )
    if options.keep_all_ports and query.joins_records:
        raise UsageError(
            "--keep-all-ports is for a plain count: conversations are found before the last step",
            hint="leave it out, or leave out --count and --pairs",
        )
    if options.keep_all_ports and not query.is_recipe:
        raise UsageError(
            "--keep-all-ports is for the key srcaddr,dstaddr,dstport: no other tells the second step the port",
            hint="leave it out, or leave out --by",
        )
    if not _RELEASE.fullmatch(options.release):
        raise UsageError(f"--release: {options.release!r} is not a release of EMR", hint=f"like {RELEASE}")
    if is_too_old(options.release):
        raise UsageError(
            f"--release: {options.release} is too old: the steps need Python 3.9 and Hadoop 3.3.2",
            hint=f"emr-{OLDEST_MAJOR}.0.0 or later has both, like {RELEASE}",
        )
    for subnet in options.subnets:
        if not _SUBNET.fullmatch(subnet):
            raise UsageError(f"--subnet: {subnet!r} is not the id of a subnet", hint="like subnet-0123456789abcdef0")
