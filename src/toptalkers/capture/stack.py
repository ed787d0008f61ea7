"""Deploy the stack: the plan, the change set that CloudFormation makes of it, and its execution.

`plan_stack` only reads. `proposed` has CloudFormation make a change set, its own plan, and deletes it again unless it
is executed; for a dry run it never is. `Proposal.execute` deploys it and follows the events.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from toptalkers.aws.account import Account, Say
from toptalkers.aws.failures import AwsError, may_be_done, missing_action
from toptalkers.aws.stack import TEMPLATE_BODY_BYTES, Change, ChangeSet, Stack, StackEvent
from toptalkers.aws.stream import MOST_RESHARDINGS, reshard
from toptalkers.capture.bucket import BucketPlan, absent_buckets, mend_bucket, plan_bucket
from toptalkers.capture.flowlogs import is_into
from toptalkers.capture.our_stack import CHANGE_SET_PREFIX, STACK_TAG, OurStack, find_own, require_own
from toptalkers.capture.template import ON_DEMAND, render_template
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.layout import format_log_format, parse_log_format
from toptalkers.visible import visible

S3_ONLY = "s3-only"
"""The value of the parameter Capture for a stack without a stream."""

_HELD = (
    "with the stream goes what it holds: the records in the log group, and those that are not in the bucket yet;"
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
    notes = _misfit_notes(account, name, changed) if stack else ()
    shards: tuple[int, ...] = ()
    if stack is not None and stack.has_stream and now.get("Capture") != S3_ONLY and "Shards" in changed:
        shards, more = _plan_shards(account, stack, *changed["Shards"])
        notes += more
    now |= parameters
    _require_pair(now)
    if stack is not None and stack.has_stream and now.get("Capture") == S3_ONLY:
        _refuse_orphans(account, stack)
        notes += (_HELD,)
    if additions.get("ReadBuckets"):
        absent = absent_buckets(account, additions["ReadBuckets"])
        notes += tuple(f"there is no bucket {one!r}: is that its name?" for one in absent)
    bucket = _plan_bucket(account, new, now, parameters, stack)
    notes += _bucket_notes(stack, bucket)
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
        notes=notes,
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
) -> BucketPlan | None:
    """Plan the settings of the bucket that the stack takes over; None when it makes its own.

    Raises:
        UsageError: objects in it would expire, and nobody has said after how many days.
        ToptalkersError: it cannot be taken over.

    """
    name = values.get("ExistingBucket", "")
    if not name:
        return None
    plan = plan_bucket(account, name, template, values, stack)
    for prefix, parameter in plan.shortened:
        if parameter not in given:
            option = "--keep-days D" if parameter == "RecordsExpireDays" else f"--parameter {parameter}=D"
            raise UsageError(
                f"s3://{name}/{prefix} has objects, and they would expire after {values[parameter]} days",
                hint=f"say after how many days they may be deleted, with {option}",
            )
    return plan


def _bucket_notes(stack: OurStack | None, bucket: BucketPlan | None) -> tuple[str, ...]:
    """Tell what there is to say of the bucket that is taken over, and of the one that the stack has."""
    if bucket is None:
        return ()
    notes = tuple(f"s3://{bucket.name}: {note}" for note in bucket.notes)
    before = stack.outputs.get("BucketName") if stack else None
    if before and before != bucket.name:
        notes += (f"the bucket {before} is kept with its data, and not used any more",)
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
        one, hint = declared[key], declared[key].get("Description")
        if one["Type"] == "Number":
            if not value.isdecimal():
                raise UsageError(f"{key}: {value!r} is not a whole number", hint=hint)
            low, high = one.get("MinValue", 0), one.get("MaxValue", math.inf)
            if not low <= int(value) <= high:
                raise UsageError(f"{key}: {value} is not within {low} and {high}", hint=hint)
        if "AllowedValues" in one and value not in map(str, one["AllowedValues"]):
            raise UsageError(f"{key}: {value} is none of {', '.join(map(str, one['AllowedValues']))}", hint=hint)
        items = value.split(",") if one["Type"] == "CommaDelimitedList" else [value]
        for item in items if "AllowedPattern" in one else ():
            if not re.fullmatch(one["AllowedPattern"], item.strip()):
                raise UsageError(f"{key}: {item!r} is not understood", hint=hint)


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
            f"Kinesis at most doubles or halves the {shards} shards of a stream in one update: in {len(steps)} steps, "
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


class Proposal:
    """A change set that waits to be executed."""

    def __init__(self, account: Account, plan: StackPlan, change_set: ChangeSet, name: str) -> None:
        """`change_set`, named `name`, is CloudFormation's own plan."""
        self._name = name
        self._account = account
        self._plan = plan
        self.change_set = change_set
        self.is_executed = False

    def execute(self, say: Say) -> Stack:
        """Execute the change set, tell each event, and return the stack as it is afterwards.

        Raises:
            ToptalkersError: it failed; the message names the first resource that failed, and the reason.

        """
        stacks, name = self._account.stacks, self._plan.name
        before = stacks.find(name)
        arn = before.arn if before else name
        since = stacks.last_event_id(arn)
        # Set before the request: if its answer is lost, it may have been served, and nothing must be deleted.
        self.is_executed = True
        try:
            stacks.execute(self.change_set)
        except BaseException as error:
            self.is_executed = may_be_done(error)
            if self.is_executed:
                say(f"CloudFormation may have begun: 'toptalkers status --stack-name {name}' shows it; if it has not,")
                say(_what_is_left(self._plan, self._name))
            raise
        events, after = follow_stack(self._account, arn, since, say)
        if after is None or after.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            message = explain_failure(f"the stack {name!r} ended as {after.status if after else 'deleted'}", events)
            hint = _way_out(self._plan, after.status if after else "")
            action = missing_action(message)
            if action:
                hint = f"grant {action}: 'toptalkers render permissions deploy' prints all that it needs; {hint}"
            raise ToptalkersError(message, hint=hint)
        return after


def finish(account: Account, plan: StackPlan, stack: Stack, say: Say) -> Stack:
    """Do what must follow the update of a plan, and return the stack as it is afterwards.

    The bucket that is taken over gets its settings, and further updates bring the stream to its number of shards.

    An interrupted one is finished by the same deploy again: its steps begin at the shards that are open then.

    Raises:
        ToptalkersError: one of them failed; the ones before it stay.

    """
    new = json.loads(plan.template)
    keys = new["Parameters"]
    if plan.bucket:
        # Planned again, because only now there is the key that the stack may make.
        own = require_own(account, plan.name)
        bucket = plan_bucket(account, plan.bucket.name, new, own.parameters, own)
        mend_bucket(account, bucket)
        for change in bucket.changes:
            say(f"s3://{bucket.name}: {change}")
    for done, shards in enumerate(plan.more_shards, 1):
        say(f"step {done + 1} of {len(plan.more_shards) + 1}: {shards} shards")
        values = {**dict.fromkeys(keys), "Shards": str(shards)}
        step = replace(plan, kind="UPDATE", parameters=values, tags=stack.tags, more_shards=())
        try:
            with proposed(account, step, say) as proposal:
                if not proposal.change_set.is_empty:
                    stack = proposal.execute(say)
        except BaseException:
            say(f"the stream is on its way to {plan.more_shards[-1]} shards; the same deploy again goes on from there")
            raise
    return stack


def _way_out(plan: StackPlan, status: str) -> str:
    if plan.kind == "CREATE":
        return f"'toptalkers destroy --stack-name {plan.name}' deletes what is left of it; then deploy again"
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return "the stack is as it was before"
    return f"'aws cloudformation continue-update-rollback --stack-name {plan.name}' brings it back"


@contextmanager
def proposed(account: Account, plan: StackPlan, say: Say = lambda _: None) -> Iterator[Proposal]:
    """Have CloudFormation make a change set; unless it is executed in the block, it is deleted at the end of the block.

    A new stack's change set needs an empty stack, a shell in REVIEW_IN_PROGRESS, which is deleted with it. `say` is
    called with what may be left when deleting fails or is interrupted.

    Raises:
        ToptalkersError: CloudFormation cannot make the change set.

    """
    name = f"{CHANGE_SET_PREFIX}{account.now():%Y%m%dT%H%M%S-%f}"
    stacks, proposal = account.stacks, None
    try:
        arn = stacks.create_change_set(
            plan.name,
            name,
            kind=plan.kind,
            template=_packed(plan.template),
            parameters=plan.parameters,
            tags=plan.tags,
            role_arn=plan.role_arn,
        )
    except BaseException as error:
        with suppress(AwsError):
            if may_be_done(error):
                say(_what_is_left(plan, name))
                stacks.delete_change_set(plan.name, name)
            _remove_shell(account, plan, name)
        raise
    try:
        change_set = stacks.read_change_set(arn)
        if change_set.status == "FAILED" and not change_set.is_empty and change_set.reason:
            raise ToptalkersError(f"CloudFormation cannot prepare the change: {change_set.reason}")
        proposal = Proposal(account, plan, change_set, name)
        yield proposal
    finally:
        if proposal is None or not proposal.is_executed:
            _take_back(account, plan, name, say)


def _packed(template: str) -> str:
    """Return a template as it fits in a request: one that is too long goes without its white space."""
    if len(template.encode()) <= TEMPLATE_BODY_BYTES:
        return template
    return json.dumps(json.loads(template), separators=(",", ":"))


def _take_back(account: Account, plan: StackPlan, change_set: str, say: Say) -> None:
    """Delete a change set, and the shell that it was made for; tell what may be left when that fails."""

    def take_back() -> None:
        account.stacks.delete_change_set(plan.name, change_set)
        _remove_shell(account, plan, change_set)

    try:
        take_back()
    except BaseException as error:
        # A second time, so that one Ctrl-C or one lost answer leaves nothing behind.
        try:
            take_back()
        except BaseException:
            say(_what_is_left(plan, change_set))
            raise
        if not isinstance(error, AwsError):
            raise


def _remove_shell(account: Account, plan: StackPlan, change_set: str) -> None:
    """Delete the empty stack that a change set of a new stack leaves behind, unless another change set needs it."""
    stacks = account.stacks
    shell = stacks.find(plan.name) if plan.kind == "CREATE" else None
    if shell is None or shell.status != "REVIEW_IN_PROGRESS":
        return
    if any(one != change_set for one in stacks.change_set_names(plan.name)):
        return
    since = stacks.last_event_id(shell.arn)
    stacks.delete(shell.arn)
    # Otherwise a deploy right after this one would find the shell while it is being deleted.
    for _ in stacks.follow(shell.arn, since):
        pass


def _what_is_left(plan: StackPlan, change_set: str) -> str:
    way = (
        f"'toptalkers destroy --stack-name {plan.name}' takes the stack's empty shell away"
        if plan.kind == "CREATE"
        else f"'aws cloudformation delete-change-set --region {plan.region} --stack-name {plan.name}"
        f" --change-set-name {change_set}' deletes it"
    )
    return f"the change set {change_set} may be left, which changes nothing by itself: deploy again, or {way}"


def follow_stack(account: Account, arn: str, since: str | None, say: Say) -> tuple[list[StackEvent], Stack | None]:
    """Tell events until no operation is under way; return them all, and the stack as it is then."""
    events = []
    try:
        for event in account.stacks.follow(arn, since):
            events.append(event)
            say(format_event(event))
        return events, account.stacks.find(arn)
    except BaseException:
        say("CloudFormation goes on without us; 'toptalkers status' shows how far it is")
        raise


def explain_failure(what: str, events: list[StackEvent]) -> str:
    """Explain a failure by the first resource that failed by itself; the others were only cancelled."""
    for event in events:
        if event.status.endswith("_FAILED") and "cancelled" not in event.reason.lower():
            return f"{what}: {event.resource} ({event.type}) failed first: {event.reason or event.status}"
    return what


def format_event(event: StackEvent) -> str:
    """Format an event as a line."""
    line = f"{event.time:%H:%M:%S}  {event.status:<28}  {event.resource}  {event.type}"
    return line + (f"  {event.reason}" if event.reason and event.status.endswith("FAILED") else "")


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


def format_outputs(stack: Stack) -> str:
    """Format the outputs of a stack, one per line."""
    width = max((len(key) for key in stack.outputs), default=0)
    return "\n".join(visible(f"{key:<{width}}  {value}") for key, value in sorted(stack.outputs.items()))
