"""Plan what `deploy` does: the request to CloudFormation, the steps of resharding, the bucket that is taken over.

`plan_stack` only reads. It refuses what AWS would refuse, and what would lose data without a word.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from toptalkers.aws.account import Account
from toptalkers.aws.failures import AwsError
from toptalkers.aws.stack import Change, Stack
from toptalkers.aws.stream import MOST_RESHARDINGS, reshard
from toptalkers.capture.bucket import BucketPlan, absent_buckets, plan_bucket
from toptalkers.capture.costs import ON_DEMAND_MONTH, SHARD_MONTH
from toptalkers.capture.flowlogs import is_into
from toptalkers.capture.our_stack import STACK_TAG, OurStack, bucket_left, find_own
from toptalkers.capture.parameters import ON_DEMAND
from toptalkers.capture.template import render_template
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.layout import format_log_format, parse_log_format
from toptalkers.visible import visible

OPTIONS = {
    "Shards": "--shards",
    "RetentionDays": "--retention-days",
    "LogFormat": "--log-format",
    "AlarmTopicArn": "--alarm-topic",
    "RecordsExpireDays": "--keep-days",
    "ReadBuckets": "--read-bucket",
    "ReadKmsKeyArns": "--read-key",
    "KmsKeyArn": "--kms-key",
    "ClusterSubnets": "--subnet",
    "ClusterPrimarySecurityGroup": "--primary-security-group",
    "ClusterNodeSecurityGroup": "--node-security-group",
    "ClusterServiceSecurityGroup": "--service-security-group",
    "PermissionsBoundaryArn": "--permissions-boundary",
    "RolePath": "--role-path",
}
"""Parameters of the stack that have an option of `deploy`: what the user types, for errors."""

S3_ONLY = "s3-only"
"""The value of the parameter Capture for a stack without a stream."""

_HELD = (
    "what the stream holds is lost with it: the records in the log group, and those that are not in the bucket yet;"
    " 'toptalkers status' shows how late they are"
)

_UPDATABLE = {
    "CREATE_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}


@dataclass(frozen=True, slots=True)
class StackPlan:
    """The request to CloudFormation."""

    name: str
    region: str
    kind: Literal["CREATE", "UPDATE"]
    template: str
    parameters: Mapping[str, str | None]
    """By name; None keeps the value that the stack has."""
    tags: Mapping[str, str]
    is_empty: bool
    """Whether the stack already has this template, these parameters and tags; perhaps `bucket` has changes."""
    changed_parameters: Mapping[str, tuple[str, str]]
    """The parameters that get another value, each with its old and its new value."""
    notes: tuple[str, ...] = ()
    more_shards: tuple[int, ...] = ()
    """The numbers of shards of the updates that must follow this one."""
    bucket: BucketPlan | None = None
    """What is changed of the bucket that the stack takes over; None when it has its own."""
    role_arn: str = ""
    """The role that CloudFormation takes; empty for the one that the stack has, or the caller's rights."""


def plan_stack(
    account: Account,
    name: str,
    *,
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    additions: Mapping[str, Sequence[str]] = MappingProxyType({}),
    role_arn: str = "",
) -> StackPlan:
    """Plan the request to CloudFormation; this only reads.

    Parameters that are not given keep the stack's value, or the template's default. Tags are added to the stack's.

    Args:
        account: where the stack is, or will be.
        name: the name of the stack.
        parameters: new values by name.
        tags: tags of the stack and, through CloudFormation, of its resources.
        additions: by the names of parameters that are lists, what is added to their values.
        role_arn: a role for CloudFormation; it keeps it for all later operations on the stack.

    Raises:
        UsageError: the template lacks a parameter, or does not take its value.
        ToptalkersError: the stack belongs to somebody else, is busy, or is in a state that cannot be updated; or
            Kinesis does not allow that many shards.

    """
    template = render_template()
    new = json.loads(template)
    defaults = {key: str(one.get("Default", "")) for key, one in new["Parameters"].items()}
    check_parameters(new["Parameters"], {**parameters, **{key: ",".join(value) for key, value in additions.items()}})
    stack = find_own(account, name)
    if stack is not None and stack.status == "REVIEW_IN_PROGRESS":
        stack = None
    kept: dict[str, str] = {}
    if stack is not None:
        _refuse_state(stack)
        kept = {key: stack.parameters[key] for key in defaults if key in stack.parameters}
        tags = {**stack.tags, **tags}
    now = {**defaults, **kept, **parameters}
    parameters = {**parameters, **{key: _joined(now[key], value) for key, value in additions.items()}}
    changed = {
        key: (kept.get(key, defaults[key]), value)
        for key, value in parameters.items()
        if value != kept.get(key, defaults[key])
    }
    now |= parameters
    _require_pair(now)
    shards: tuple[int, ...] = ()
    notes: list[str] = []
    if stack is not None:
        notes += _misfit_notes(account, name, changed)
        if stack.has_stream and now["Capture"] == S3_ONLY:
            _refuse_orphans(account, stack)
            notes.append(_HELD)
        elif stack.has_stream and "Shards" in changed:
            shards, more = _plan_shards(account, stack, *changed["Shards"])
            notes += more
    if now["Capture"] != S3_ONLY and (stack is None or {"Shards", "Capture"} & changed.keys()):
        notes.append(_stream_price(now["Shards"]))
    for absent in absent_buckets(account, additions.get("ReadBuckets", ())):
        notes.append(f"there is no bucket {absent!r}: is that its name?")
    bucket, more = _plan_bucket(account, new, now, parameters, stack, name)
    notes += more
    values = {key: parameters.get(key) for key in kept} | dict(parameters)
    if shards:
        values["Shards"] = str(shards[0])
    return StackPlan(
        name=name,
        region=account.region,
        kind="UPDATE" if stack else "CREATE",
        template=template,
        parameters=values,
        tags=tags,
        is_empty=stack is not None and not changed and tags == stack.tags and account.stacks.template(name) == new,
        changed_parameters=changed,
        notes=tuple(notes),
        more_shards=shards[1:],
        bucket=bucket,
        role_arn=role_arn,
    )


def _require_pair(values: Mapping[str, str]) -> None:
    """Refuse one security group without the other: EMR takes both or none (EMR API reference, Ec2InstanceAttributes).

    Raises:
        UsageError: only one of the two is named.

    """
    primary, node = values.get("ClusterPrimarySecurityGroup", ""), values.get("ClusterNodeSecurityGroup", "")
    if bool(primary) != bool(node):
        raise UsageError(
            "EMR takes the security groups of the primary node and of the other nodes together, or none",
            hint="give both --primary-security-group and --node-security-group",
        )


def _refuse_orphans(account: Account, stack: OurStack) -> None:
    """Refuse to delete the log group of flow logs that are on: AWS would drop their records without a word.

    Raises:
        ToptalkersError: there are such flow logs.

    """
    found = [one for one in account.flow_logs.find() if is_into(one, stack, "stream")]
    if not found:
        return
    if all(one.tags.get(STACK_TAG) == stack.name for one in found):
        way = f"toptalkers disable-flowlogs --stack-name {stack.name} {' '.join(one.id for one in found)}"
    else:
        ids = " ".join(one.id for one in found)
        way = f"aws ec2 delete-flow-logs --region {account.region} --flow-log-ids {ids}"
    on = ", ".join(sorted({one.resource for one in found}))
    raise ToptalkersError(
        f"without the stream, the flow logs on {on} would lose their records", hint=f"first '{way}' turns them off"
    )


def _plan_bucket(
    account: Account,
    template: Mapping[str, Any],
    values: Mapping[str, str],
    given: Mapping[str, str],
    stack: OurStack | None,
    stack_name: str,
) -> tuple[BucketPlan | None, tuple[str, ...]]:
    """Plan the settings of the bucket that the stack takes over, or None if it makes its own; and notes about it.

    Raises:
        UsageError: objects in it would expire, and nobody has said after how many days.
        ToptalkersError: it cannot be taken over.

    """
    name = values["ExistingBucket"]
    if not name:
        return None, tuple(_bucket_left_behind(account, stack, name)) if stack else _former_bucket(account, stack_name)
    try:
        plan = plan_bucket(account, name, template, values, stack)
    except AwsError as error:
        if "ExistingBucket" in given:
            raise
        return None, (f"whether s3://{name} has its settings is not known: {error.message}",)
    for prefix, parameter in plan.shortened:
        if parameter not in given:
            option = "--keep-days D" if parameter == "RecordsExpireDays" else f"--parameter {parameter}=D"
            raise UsageError(
                f"s3://{name}/{prefix} has objects, and they would expire after {values[parameter]} days",
                hint=f"say after how many days they may be deleted, with {option}",
            )
    return plan, (*(f"s3://{name}: {note}" for note in plan.notes), *_bucket_left_behind(account, stack, name))


def _former_bucket(account: Account, stack_name: str) -> tuple[str, ...]:
    """Tell of the bucket that a former stack of the name left, which a new stack does not read."""
    with suppress(AwsError):
        bucket = bucket_left(account, stack_name)
        if bucket:
            return (f"a former stack {stack_name} left s3://{bucket} with its data: --bucket {bucket} takes it over",)
    return ()


def _bucket_left_behind(account: Account, stack: OurStack | None, name: str) -> list[str]:
    """Tell what becomes of the bucket that a stack has when it takes over another, or makes one of its own."""
    if stack is None or stack.parameters.get("ExistingBucket", "") == name or not stack.outputs.get("BucketName"):
        return []
    before = stack.bucket
    if before == name:
        return [f"the bucket {name} and its policy stay, but CloudFormation no longer manages them"]
    notes = [f"the bucket {before} is kept with its data, and not used any more"]
    into = [one.resource for one in account.flow_logs.find() if is_into(one, stack, "s3")]
    if into:
        ids = " ".join(sorted(set(into)))
        notes.append(
            f"flow logs go on to {before} until 'toptalkers disable-flowlogs {ids}' and"
            f" 'toptalkers enable-flowlogs {ids} --destination s3'"
        )
    return notes


def _joined(listed: str, more: Sequence[str]) -> str:
    """Add to a list of CloudFormation, without what it has already."""
    have = [one.strip() for one in listed.split(",") if one.strip()]
    return ",".join(dict.fromkeys([*have, *more]))


def check_parameters(declared: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
    """Check values against the parameters that the template declares, as CloudFormation will.

    Raises:
        UsageError: the template lacks the parameter, or does not take the value.

    """
    for key, value in parameters.items():
        if key not in declared:
            raise UsageError(f"the template has no parameter {key!r}", hint=f"it has {', '.join(sorted(declared))}")
        one, hint, named = declared[key], declared[key].get("Description"), OPTIONS.get(key, key)
        if one["Type"] == "Number":
            if not value.isdecimal():
                raise UsageError(f"{named}: {value!r} is not a whole number", hint=hint)
            low, high = one.get("MinValue", 0), one.get("MaxValue", math.inf)
            if not low <= int(value) <= high:
                bounds = f"not from {low} to {high}" if high < math.inf else f"less than {low}"
                raise UsageError(f"{named}: {value} is {bounds}", hint=hint)
        if "AllowedValues" in one and value not in map(str, one["AllowedValues"]):
            raise UsageError(f"{named}: {value} is none of {', '.join(map(str, one['AllowedValues']))}", hint=hint)
        items = value.split(",") if one["Type"] == "CommaDelimitedList" else [value]
        for item in items if "AllowedPattern" in one else ():
            if not re.fullmatch(one["AllowedPattern"], item.strip()):
                raise UsageError(f"{named}: {item!r} is not understood", hint=hint)


def _refuse_state(stack: Stack) -> None:
    if stack.status in _UPDATABLE:
        return
    message = f"the stack {stack.name!r} cannot be updated: it is {stack.status}"
    if stack.is_busy:
        raise ToptalkersError(message, hint="wait until that is over; 'toptalkers status' shows it")
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise ToptalkersError(
            message, hint=f"'aws cloudformation continue-update-rollback --stack-name {stack.name}' brings it back"
        )
    raise ToptalkersError(message, hint=f"'toptalkers destroy --stack-name {stack.name}' deletes it; then deploy again")


def _stream_price(shards: str) -> str:
    """Say what a stream costs as long as there is one."""
    if shards == ON_DEMAND:
        what, dollars = "an on-demand stream", ON_DEMAND_MONTH
    else:
        what, dollars = f"a stream of {shards} shard{'' if shards == '1' else 's'}", int(shards) * SHARD_MONTH
    return f"{what} costs about ${dollars:,.0f} a month in us-east-1, even without records; --no-stream saves it"


def _plan_shards(account: Account, stack: OurStack, old: str, new: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Plan the numbers of shards from a value of the parameter to another, one per update, and what to say of it.

    Raises:
        ToptalkersError: Kinesis does not allow that many updates, or CloudFormation would not see the first of them.

    """
    modes = "Kinesis lets a stream change between a number of shards and on-demand twice in 24 hours"
    notes: tuple[str, ...] = (modes,) if ON_DEMAND in (old, new) else ()
    if new == ON_DEMAND:
        return (), notes
    try:
        stream = account.streams.find(stack.stream)
    except AwsError as error:
        notes += (f"the number of open shards is taken from the stack: {error.message}",)
        stream = None
    # An on-demand stream begins with four (Kinesis developer guide, "Choose the data stream capacity mode").
    shards = stream.shards if stream else 4 if old == ON_DEMAND else int(old)
    target = int(new)
    steps = reshard(shards, target) or (target,)
    if len(steps) > 1 and str(steps[0]) == old:
        # Somebody else changed the stream. CloudFormation would see no change in a step to the value that it has.
        step = steps[0] + (1 if target < shards else -1)
        if step == shards:
            raise ToptalkersError(
                f"the stream has {shards} shards, but the stack {stack.name!r} says {old}",
                hint=f"first 'aws kinesis update-shard-count --region {account.region} --stream-name {stack.stream}"
                f" --scaling-type UNIFORM_SCALING --target-shard-count {old}'",
            )
        steps = (step, *reshard(step, target))
    if len(steps) > MOST_RESHARDINGS:
        most = max(steps[MOST_RESHARDINGS - 1], 1)
        raise ToptalkersError(
            f"Kinesis changes a stream of {shards} shards to {target} in {len(steps)} updates, and allows"
            f" {MOST_RESHARDINGS} in 24 hours",
            hint=f"'toptalkers deploy --stack-name {stack.name} --shards {most}' goes as far as it can",
        )
    if len(steps) > 1:
        note = (
            "Kinesis at most doubles or halves the shards of a stream in one update;"
            f" from {shards} this takes {len(steps)} updates: "
        )
        notes += (note + ", ".join(map(str, steps)),)
    return steps, notes


def _misfit_notes(account: Account, name: str, changed: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    """Tell what happens to flow logs that are on when the format of the stream changes."""
    if "LogFormat" not in changed:
        return ()
    layout = parse_log_format(changed["LogFormat"][1])
    on_stream = [one for one in account.flow_logs.find(tag=(STACK_TAG, name)) if one.destination_type != "s3"]
    other = [one for one in on_stream if one.log_format != format_log_format(layout)]
    if not other:
        return ()
    ids = " ".join(sorted({one.resource for one in other}))
    note = (
        f"the format of the stream changes, and {len(other)} flow logs have another: their records go to quarantine"
        f" until 'toptalkers disable-flowlogs {ids}' and 'toptalkers enable-flowlogs {ids}'"
    )
    return (note,)


def format_plan(plan: StackPlan, changes: tuple[Change, ...]) -> str:
    """Format a plan with the changes of its change set, as lines."""
    verb = "create" if plan.kind == "CREATE" else "update"
    lines = [f"Plan: {verb} the stack {plan.name} in {plan.region}"]
    lines += [f"  {key}: {old!r} -> {new!r}" for key, (old, new) in plan.changed_parameters.items()]
    signs = {"add": "+ add    ", "change": "~ change ", "remove": "- remove "}
    notes = {"yes": ", REPLACES the old one", "perhaps": ", perhaps replaces the old one", "no": ""}
    lines += [f"  {signs[one.action]} {one.resource} ({one.type}{notes[one.replaced]})" for one in changes]
    if not changes and not plan.is_empty:
        lines.append("  no resource; only outputs or tags")
    if plan.bucket:
        lines += [f"  ~ change  s3://{plan.bucket.name}, {one}" for one in plan.bucket.changes]
    lines += [f"Note: {note}" for note in plan.notes]
    return "\n".join(map(visible, lines))
