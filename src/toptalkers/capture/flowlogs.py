"""Flow logs of VPCs, subnets and interfaces: plan to turn them on or off, do it, and await their delivery."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from toptalkers import locations
from toptalkers.aws.account import Account, Say
from toptalkers.aws.failures import AwsError
from toptalkers.aws.flowlogs import Creation, Destination, FlowLog, Kind, Place, Refusal, Traffic
from toptalkers.capture.bucket import mend_bucket_policy
from toptalkers.capture.our_stack import STACK_TAG, OurStack, require_own
from toptalkers.errors import UsageError
from toptalkers.flowlog.layout import NAMED_LAYOUTS, format_log_format, parse_log_format
from toptalkers.question.query import Query
from toptalkers.visible import visible

Way = Literal["stream", "s3"]

KINDS: dict[str, Kind] = {"vpc": "VPC", "subnet": "Subnet", "eni": "NetworkInterface"}

DELIVERY_SECONDS = 120
"""How long to wait until AWS reports whether flow logs are delivered; it usually does within one minute."""

POLL_SECONDS = 5

NITRO_SECONDS = 60
"""The longest time that a record of a Nitro instance's interface covers."""

CHEAPER = (
    "a GB of records costs about twice as much on the stream as with --destination s3, which needs neither Kinesis"
    " nor Lambda; use the stream if you need the records in CloudWatch Logs as well, or within minutes"
)

SHORTER = (
    "--interval 600 is an upper limit: a network interface of a Nitro instance, as most are, makes a record every 60 s"
    " or more often"
)
"""EC2 API reference, CreateFlowLogs, MaxAggregationInterval."""

_MEANINGS = {
    "Access error": "the delivery role or the bucket's policy does not let AWS write",
    "Rate limited": "CloudWatch Logs throttles: more records arrive than the account's quota allows",
    "Unknown error": "an error inside AWS; turn the flow log off and on again",
}


@dataclass(frozen=True, slots=True)
class EnablePlan:
    """The flow logs to make."""

    stack: OurStack
    region: str
    way: Way
    creations: tuple[Creation, ...]
    already: tuple[FlowLog, ...]
    refused: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    leaves_stream_idle: bool = False
    """Whether the stack has a stream, and nothing delivers to it."""


@dataclass(frozen=True, slots=True)
class DisablePlan:
    """The flow logs to delete."""

    stack: str
    region: str
    deletions: tuple[FlowLog, ...]
    notes: tuple[str, ...]


def flow_log_format(text: str) -> str:
    """Convert `default`, `rich` or a format to the syntax of CreateFlowLogs.

    Raises:
        UsageError: the text is none of these, or the format lacks a field of a talker.

    """
    layout = NAMED_LAYOUTS.get(text) or parse_log_format(text)
    if lacking := [field for field in Query.parse().by if field not in layout]:
        raise UsageError(
            f"--log-format: the format lacks {', '.join(lacking)}, without which no talkers can be counted",
            hint="'rich' is a format with every useful field",
        )
    return format_log_format(layout)


def name_format(log_format: str) -> str:
    """Describe a format by its name if it has one, else by its fields."""
    for name, layout in NAMED_LAYOUTS.items():
        if log_format == format_log_format(layout):
            return f"{name} format"
    return f"format '{log_format}'"


def _typed(log_format: str | None) -> str:
    """A format as the shortest argument that names it: `rich`, or its fields in quotes."""
    names = (name for name, layout in NAMED_LAYOUTS.items() if log_format == format_log_format(layout))
    return next(names, f'"{log_format}"'.replace("$", "\\$"))


def kind_of(resource: str) -> Kind:
    """Find the kind of a resource by the prefix of its id.

    Raises:
        UsageError: the id is not that of a VPC, a subnet or a network interface.

    """
    prefix, dash, rest = resource.partition("-")
    if prefix not in KINDS or not dash or not rest.isalnum():
        raise UsageError(
            f"{resource!r} is not the id of a VPC, a subnet or a network interface",
            hint="such ids begin with vpc-, subnet- or eni-",
        )
    return KINDS[prefix]


def plan_enable(
    account: Account,
    stack_name: str,
    resources: Sequence[str] | None,
    *,
    traffic: Traffic,
    way: Way | None,
    interval_seconds: int,
    log_format: str | None,
    tags: Mapping[str, str] | None = None,
) -> EnablePlan:
    """Plan which flow logs to make, over the stream of a stack or straight to its bucket; this only reads.

    Args:
        account: the account and Region.
        stack_name: the name of the stack.
        resources: ids of VPCs, subnets and interfaces; an id given twice counts once. None for all VPCs.
        traffic: which traffic is logged.
        way: how records come to the bucket; None for the stream if the stack has one, else s3.
        interval_seconds: the longest time that a record covers, 60 or 600.
        log_format: the format in the syntax of CreateFlowLogs; None for the stack's.
        tags: tags of the flow logs in addition to the stack's.

    Raises:
        UsageError: an id is of another kind, a tag is one of ours, the stack has no stream, or the stream has another
            format.
        ToptalkersError: the stack does not exist, is not up, or belongs to somebody else.

    """
    for key in tags or ():
        if key.startswith((STACK_TAG.partition(":")[0] + ":", "aws:")):
            raise UsageError(f"--tag: tags named {key.partition(':')[0]}:... are not yours to set")
    given = {resource: kind_of(resource) for resource in resources or ()}
    stack = require_own(account, stack_name)
    way = way or ("stream" if stack.has_stream else "s3")
    if way == "stream" and not stack.has_stream:
        raise UsageError(
            f"the stack {stack_name!r} has no stream",
            hint=f"--destination s3 needs none; 'toptalkers deploy --stack-name {stack_name} --stream' adds one",
        )
    kinds = dict.fromkeys(account.flow_logs.vpcs(stack.account_id), kind_of("vpc-0")) if resources is None else given
    own_format = stack.log_format
    if way == "stream" and log_format not in (None, own_format):
        raise UsageError(
            f"all flow logs on the stream have the stack's format, which is the {name_format(own_format)}",
            hint=f"'toptalkers deploy --stack-name {stack_name} --log-format {_typed(log_format)}' changes it;"
            " --destination s3 takes any",
        )
    log_format = log_format or own_format
    existing = account.flow_logs.find()
    places = account.flow_logs.places(sorted({*kinds, *(one.resource for one in existing)}))
    already, refused, new = [], [], []
    for resource in kinds:
        if resource not in places:
            refused.append(Refusal(resource, f"there is no such {_NOUNS[kinds[resource]]} in {account.region}"))
            continue
        same = [
            one
            for one in existing
            if one.resource == resource and is_into(one, stack, way) and _overlaps(one.traffic, traffic)
        ]
        if not same:
            new.append(resource)
            continue
        # An interval or a format that EC2 leaves out is taken to be as asked.
        as_asked = [
            one
            for one in same
            if one.traffic == traffic
            and one.log_format in ("", log_format)
            and one.interval_seconds in (0, interval_seconds)
        ]
        if as_asked:
            already.append(as_asked[0])
        else:
            refused.append(
                Refusal(
                    resource,
                    f"its flow log {same[0].id} has other settings ({same[0].traffic}, {same[0].interval_seconds} s,"
                    f" {name_format(same[0].log_format)}) and cannot be changed; turn it off first",
                )
            )
    if way == "stream":
        destination = Destination(log_group=stack.log_group, role_arn=stack.delivery_role)
    else:
        destination = Destination(bucket_arn=f"arn:{stack.partition}:s3:::{stack.bucket}")
    creations = tuple(
        Creation(
            kind=kind,
            resources=chosen,
            traffic=traffic,
            destination=destination,
            log_format=log_format,
            interval_seconds=interval_seconds,
            tags={**stack.tags, **(tags or {}), STACK_TAG: stack_name},
        )
        for kind in get_args(Kind)
        if (chosen := tuple(one for one in new if kinds[one] == kind))
    )
    return EnablePlan(
        stack=stack,
        region=account.region,
        way=way,
        creations=creations,
        already=tuple(already),
        refused=tuple(refused),
        warnings=tuple(_overlap_warnings(new, traffic, existing, places, stack)),
        leaves_stream_idle=way == "s3"
        and stack.has_stream
        and not any(is_into(one, stack, "stream") for one in existing),
    )


_NOUNS: dict[Kind, str] = {"VPC": "VPC", "Subnet": "subnet", "NetworkInterface": "network interface"}


def is_into_bucket(flow_log: FlowLog, bucket: str) -> bool:
    """Whether a flow log delivers directly into a bucket."""
    return flow_log.destination_type == "s3" and flow_log.destination.split(":::")[-1].split("/")[0] == bucket


def is_into(flow_log: FlowLog, stack: OurStack, way: Way | None = None) -> bool:
    """Whether a flow log delivers into the stack, by the given way, or by any way for None."""
    into_group = (
        stack.has_stream and flow_log.destination.removesuffix(":*").split(":log-group:")[-1] == stack.log_group
    )
    if flow_log.destination_type == "s3":
        return way in ("s3", None) and is_into_bucket(flow_log, stack.bucket)
    return into_group and way in ("stream", None)


def _overlaps(one: str, other: str) -> bool:
    return one == other or "ALL" in (one, other)


def _overlap_warnings(
    new: Sequence[str], traffic: Traffic, existing: Iterable[FlowLog], places: dict[str, Place], stack: OurStack
) -> Iterable[str]:
    active = [one for one in existing if _overlaps(one.traffic, traffic) and one.resource in places]
    for resource in new:
        for one in active:
            mine, other_place = places[resource], places[one.resource]
            # They share records only if one contains the other, or they are the same.
            if mine.id not in other_place.inside and other_place.id not in mine.inside:
                continue
            if is_into(one, stack):
                yield f"{resource}: {one.id} on {one.resource} delivers the same records here: they would count twice"
            else:
                yield f"{resource}: {one.id} on {one.resource} delivers the same records elsewhere: billed twice"
        for other in new:
            if other != resource and other in places[resource].inside:
                yield f"{resource} is inside {other}, and both are named: its records would count twice"


def format_enable(plan: EnablePlan) -> str:
    """Format a plan as lines."""
    to = "over the stream" if plan.way == "stream" else "straight to the bucket"
    lines = [f"Plan: flow logs of stack {plan.stack.name} in {plan.region}, {to}"]
    for creation in plan.creations:
        settings = f"{creation.traffic}, {creation.interval_seconds} s, {name_format(creation.log_format)}"
        lines += [f"  + on       {resource} ({settings})" for resource in creation.resources]
    lines += [
        f"  = already  {one.resource} ({one.id}"
        + ("" if one.tags.get(STACK_TAG) == plan.stack.name else "; not made by us: disable-flowlogs leaves it alone")
        + ")"
        for one in plan.already
    ]
    lines += [f"  ! not on   {one.resource}: {one.reason}" for one in plan.refused]
    lines += [f"Warning: {warning}" for warning in plan.warnings]
    lines += [f"Note: {note}" for note in _notes(plan)]
    return "\n".join(map(visible, lines))


def _notes(plan: EnablePlan) -> Iterable[str]:
    if not plan.creations:
        return
    if plan.way == "stream":
        yield CHEAPER
    else:
        days = plan.stack.records_expire_days
        yield (
            f"objects below s3://{plan.stack.bucket}/{locations.DIRECT} expire after"
            f" {days} day{'' if days == 1 else 's'};"
            f" 'toptalkers deploy --stack-name {plan.stack.name} --keep-days N' changes it"
        )
        if plan.leaves_stream_idle:
            yield (
                "nothing delivers to the stack's stream, which is paid for all the same:"
                f" 'toptalkers deploy --stack-name {plan.stack.name} --no-stream' removes it"
            )
    if any(one.interval_seconds > NITRO_SECONDS for one in plan.creations):
        yield SHORTER


def execute_enable(account: Account, plan: EnablePlan, say: Say) -> tuple[list[str], list[Refusal]]:
    """Make the flow logs of a plan; return the ids of those made, and what AWS refused.

    With direct delivery, the bucket's policy is read back and mended, also if all flow logs were on already.
    """
    made: list[str] = []
    refused: list[Refusal] = []
    for creation in plan.creations:
        ids, not_done = account.flow_logs.create(creation)
        made += ids
        refused += not_done
        for one in ids:
            say(f"made {one}")
    if plan.way == "s3" and (made or plan.already):
        _mend_policy(account, plan.stack, say)
    return made, refused


def _mend_policy(account: Account, stack: OurStack, say: Say) -> None:
    """Put back what AWS took from the bucket's policy when it made a flow log; a refusal is only told."""
    try:
        put_back = mend_bucket_policy(account, stack)
    except AwsError as error:
        say(
            f"AWS may have replaced the policy of s3://{stack.bucket}, and it cannot be compared: {error.message}; the"
            " same command, by somebody who may read and write the policy, puts it right"
        )
        return
    if put_back:
        say(f"put back into the policy of s3://{stack.bucket}: {', '.join(put_back)}")


def await_delivery(account: Account, stack_name: str, ids: Sequence[str], say: Say) -> list[FlowLog]:
    """Wait until AWS reports whether each flow log is delivered, but not longer than `DELIVERY_SECONDS`.

    Returns the flow logs that are not delivered, each with AWS's error message.
    """
    waiting, failed = set(ids), []
    for _ in range(DELIVERY_SECONDS // POLL_SECONDS):
        # By tag, not by id: an id that is too new to be known would fail the request.
        for one in account.flow_logs.find(tag=(STACK_TAG, stack_name)):
            if one.id not in waiting or not one.delivery:
                continue
            waiting.remove(one.id)
            if one.delivery == "SUCCESS":
                say(f"{one.id} on {one.resource}: delivered")
            else:
                failed.append(one)
                say(f"{one.id} on {one.resource}: not delivered: {explain_delivery(one)}")
        if not waiting:
            return failed
        account.sleep(POLL_SECONDS)
    say(f"AWS does not say yet whether {', '.join(sorted(waiting))} deliver; 'toptalkers status' shows it later")
    return failed


def explain_delivery(flow_log: FlowLog) -> str:
    """Explain AWS's report on the delivery of a flow log."""
    if not flow_log.delivery_error:
        return flow_log.delivery or "not reported yet"
    meaning = _MEANINGS.get(flow_log.delivery_error)
    return flow_log.delivery_error + (f" ({meaning})" if meaning else "")


def plan_disable(account: Account, stack_name: str, ids: Sequence[str] | None) -> DisablePlan:
    """Plan which of a stack's flow logs to delete; this only reads, and the stack need not exist any more.

    `ids` are those of flow logs, or of the resources that they are on; None for all.
    """
    own = account.flow_logs.find(tag=(STACK_TAG, stack_name))
    if ids is None:
        return DisablePlan(stack_name, account.region, tuple(own), ())
    for one in ids:
        if not one.startswith("fl-"):
            kind_of(one)
    chosen = tuple(one for one in own if one.id in ids or one.resource in ids)
    missing = [one for one in ids if not any(one in (found.id, found.resource) for found in chosen)]
    return DisablePlan(
        stack_name,
        account.region,
        chosen,
        tuple(f"{one}: no flow log of stack {stack_name} is on; others are left alone" for one in missing),
    )


def format_disable(plan: DisablePlan) -> str:
    """Format a plan as lines."""
    lines = [f"Plan: flow logs of stack {plan.stack} in {plan.region}"]
    lines += [f"  - off  {one.resource} ({one.id}, {one.traffic}, {one.destination})" for one in plan.deletions]
    if not plan.deletions:
        lines.append("  nothing to turn off")
    return "\n".join(map(visible, lines + [f"Note: {note}" for note in plan.notes]))


def execute_disable(account: Account, plan: DisablePlan, say: Say) -> list[Refusal]:
    """Delete the flow logs of a plan; return what AWS refused."""
    refused = account.flow_logs.delete([one.id for one in plan.deletions])
    kept = {one.resource for one in refused}
    for one in plan.deletions:
        if one.id not in kept:
            say(f"off: {one.resource} ({one.id})")
    for refusal in refused:
        say(f"Error: {refusal.resource} stays on: {refusal.reason}")
    return refused
