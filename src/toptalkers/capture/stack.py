"""The stack: what would change, its change set, and following what happens.

Plan (reads alone) -> proposal (a change set, CloudFormation's own plan) -> execution -> outputs.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from toptalkers.aws.failures import AwsError, may_be_done
from toptalkers.aws.gateways import Gateways
from toptalkers.aws.stack import Change, ChangeSet, Stack, StackEvent
from toptalkers.capture.ownership import CHANGE_SET_PREFIX, STACK_TAG, find_own
from toptalkers.capture.prediction import default_parameters, predict_changes
from toptalkers.capture.template import render_template
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.layout import format_log_format, parse_log_format
from toptalkers.visible import visible

Say = Callable[[str], None]

_UPDATABLE = {
    "CREATE_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What deploying would do."""

    name: str
    region: str
    kind: Literal["CREATE", "UPDATE"]
    template: str
    parameters: Mapping[str, str | None]
    """By name; None keeps the value that the stack has."""
    tags: Mapping[str, str]
    changes: tuple[Change, ...]
    is_empty: bool
    """Template, parameters and tags are what the stack has already."""
    changed_parameters: Mapping[str, tuple[str, str]]
    """Of parameters that get another value: the old one and the new one."""
    notes: tuple[str, ...] = ()


def plan_stack(
    gateways: Gateways, name: str, *, parameters: Mapping[str, str], tags: Mapping[str, str], template: str = ""
) -> StackPlan:
    """Work out what deploying would do; nothing is changed for it.

    Args:
        gateways: the account and Region.
        name: the stack.
        parameters: values given now; the others keep what the stack has, or the template's default.
        tags: given now, added to those that the stack has.
        template: another template than ours, for trying things out.

    Raises:
        UsageError: a parameter that the template lacks.
        ToptalkersError: the stack is somebody else's, is busy, or is in a state that cannot be updated.

    """
    template = template or render_template()
    defaults = default_parameters(template)
    check_parameters(template, parameters)
    stack = find_own(gateways, name)
    if stack is None or stack.status == "REVIEW_IN_PROGRESS":
        return StackPlan(
            name=name,
            region=gateways.region,
            kind="CREATE",
            template=template,
            parameters=parameters,
            tags=tags,
            changes=predict_changes({}, {}, json.loads(template), parameters),
            is_empty=False,
            changed_parameters={
                key: (defaults[key], value) for key, value in parameters.items() if value != defaults[key]
            },
        )
    _refuse_state(stack)
    kept = {key: stack.parameters[key] for key in defaults if key in stack.parameters}
    changed = {
        key: (kept.get(key, defaults[key]), value)
        for key, value in parameters.items()
        if value != kept.get(key, defaults[key])
    }
    old, new = gateways.stacks.template(name), json.loads(template)
    return StackPlan(
        name=name,
        region=gateways.region,
        kind="UPDATE",
        template=template,
        parameters={key: parameters.get(key) for key in kept} | dict(parameters),
        tags={**stack.tags, **tags},
        changes=predict_changes(old, stack.parameters, new, {**kept, **parameters}),
        is_empty=old == new and not changed and {**stack.tags, **tags} == stack.tags,
        changed_parameters=changed,
        notes=_misfit_notes(gateways, name, changed),
    )


def check_parameters(template: str, parameters: Mapping[str, str]) -> None:
    """Hold values to what the template says of its parameters, as CloudFormation will.

    Raises:
        UsageError: the template lacks the parameter, or does not take the value.

    """
    declared = json.loads(template)["Parameters"]
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
        if "AllowedPattern" in one and not re.fullmatch(one["AllowedPattern"], value):
            raise UsageError(f"{key}: {value!r} is not understood", hint=hint)


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
    raise ToptalkersError(
        message, hint=f"'toptalkers destroy --stack-name {stack.name}' takes it away, then deploy again"
    )


def _misfit_notes(gateways: Gateways, name: str, changed: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    """What becomes of flow logs that are on when the stream's format changes."""
    if "LogFormat" not in changed:
        return ()
    layout = parse_log_format(changed["LogFormat"][1])
    on_stream = [one for one in gateways.flow_logs.find(tag=(STACK_TAG, name)) if one.destination_type != "s3"]
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
    """A change set that waits for a yes."""

    def __init__(self, gateways: Gateways, plan: StackPlan, change_set: ChangeSet, name: str) -> None:
        """Hold what `execute` needs; `name` is the change set's."""
        self._name = name
        self._gateways = gateways
        self._plan = plan
        self._change_set = change_set
        self.is_executed = False

    @property
    def is_empty(self) -> bool:
        """Whether CloudFormation finds nothing to change."""
        return self._change_set.is_empty

    @property
    def changes(self) -> tuple[Change, ...]:
        """CloudFormation's own plan."""
        return self._change_set.changes

    def execute(self, say: Say) -> Stack:
        """Do it, telling each event, and give the stack as it is then.

        Raises:
            ToptalkersError: it failed; with the first resource that did, and why.

        """
        stacks, name = self._gateways.stacks, self._plan.name
        before = stacks.find(name)
        arn = before.arn if before else name
        since = stacks.last_event_id(arn)
        # Before the request: when its answer does not come, it may have been served, and nothing is taken back.
        self.is_executed = True
        try:
            stacks.execute(self._change_set)
        except BaseException as error:
            self.is_executed = may_be_done(error)
            if self.is_executed:
                say(f"CloudFormation may have begun: 'toptalkers status --stack-name {name}' shows it; if it has not,")
                say(_what_is_left(self._plan, self._name))
            raise
        events, after = follow_stack(self._gateways, arn, since, say)
        if after is None or after.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise ToptalkersError(
                explain_failure(f"the stack {name!r} ended as {after.status if after else 'deleted'}", events),
                hint=_way_out(self._plan, after.status if after else ""),
            )
        return after


def _way_out(plan: StackPlan, status: str) -> str:
    if plan.kind == "CREATE":
        return f"'toptalkers destroy --stack-name {plan.name}' takes away what is left of it, then deploy again"
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return "the stack is again as it was before"
    return f"'aws cloudformation continue-update-rollback --stack-name {plan.name}' brings it back"


@contextmanager
def proposed(gateways: Gateways, plan: StackPlan, say: Say = lambda _: None) -> Iterator[Proposal]:
    """Have CloudFormation prepare a plan; what is not executed inside is taken back on leaving.

    Args:
        gateways: the account and Region.
        plan: what to prepare.
        say: told of what may be left, when taking back fails or is interrupted.

    Raises:
        ToptalkersError: CloudFormation cannot make a change set of it.

    """
    name = f"{CHANGE_SET_PREFIX}{gateways.now():%Y%m%dT%H%M%S-%f}"
    try:
        change_set = gateways.stacks.create_change_set(
            plan.name, name, kind=plan.kind, template=plan.template, parameters=plan.parameters, tags=plan.tags
        )
    except BaseException as error:
        if may_be_done(error):
            say(_what_is_left(plan, name))
        with suppress(AwsError):
            _remove_shell(gateways, plan)
        raise
    proposal = Proposal(gateways, plan, change_set, name)
    try:
        if change_set.status == "FAILED" and not change_set.is_empty:
            raise ToptalkersError(f"CloudFormation cannot prepare the change: {change_set.reason}")
        yield proposal
    finally:
        if not proposal.is_executed:
            try:
                gateways.stacks.delete_change_set(change_set)
                _remove_shell(gateways, plan)
            except BaseException:
                say(_what_is_left(plan, name))
                raise


def _remove_shell(gateways: Gateways, plan: StackPlan) -> None:
    """Delete the empty shell that a change set of a new stack leaves behind; what is more than that is not touched."""
    shell = gateways.stacks.find(plan.name) if plan.kind == "CREATE" else None
    if shell and shell.status == "REVIEW_IN_PROGRESS":
        since = gateways.stacks.last_event_id(shell.arn)
        gateways.stacks.delete(shell.arn)
        # A deploy right after this one would meet the shell on its way out.
        for _ in gateways.stacks.follow(shell.arn, since):
            pass


def _what_is_left(plan: StackPlan, change_set: str) -> str:
    way = (
        f"'toptalkers destroy --stack-name {plan.name}' takes the stack's empty shell away"
        if plan.kind == "CREATE"
        else f"'aws cloudformation delete-change-set --region {plan.region} --stack-name {plan.name}"
        f" --change-set-name {change_set}' deletes it"
    )
    return f"the change set {change_set} may be left, which changes nothing by itself: deploy again, or {way}"


def follow_stack(gateways: Gateways, arn: str, since: str | None, say: Say) -> tuple[list[StackEvent], Stack | None]:
    """Tell events until no operation is under way, and give them all, with the stack as it is then."""
    events = []
    try:
        for event in gateways.stacks.follow(arn, since):
            events.append(event)
            say(format_event(event))
        return events, gateways.stacks.find(arn)
    except BaseException:
        say("CloudFormation goes on without us; 'toptalkers status' shows how far it is")
        raise


def explain_failure(what: str, events: list[StackEvent]) -> str:
    """Name the first resource that failed on its own account; the others were only cancelled."""
    for event in events:
        if event.status.endswith("_FAILED") and "cancelled" not in event.reason.lower():
            return f"{what}: {event.resource} ({event.type}) failed first: {event.reason or event.status}"
    return what


def format_event(event: StackEvent) -> str:
    """One line of an event."""
    line = f"{event.time:%H:%M:%S}  {event.status:<28}  {event.resource}  {event.type}"
    return line + (f"  {event.reason}" if event.reason and event.status.endswith("FAILED") else "")


def format_plan(plan: StackPlan, changes: tuple[Change, ...], *, is_exact: bool) -> str:
    """The plan as lines.

    Args:
        plan: what is planned.
        changes: the resources of it, predicted or CloudFormation's own.
        is_exact: whether they are CloudFormation's own, which alone knows what is replaced.

    """
    verb = "create" if plan.kind == "CREATE" else "update"
    lines = [f"Plan: {verb} the stack {plan.name} in {plan.region}"]
    lines += [f"  {key}: {old!r} -> {new!r}" for key, (old, new) in plan.changed_parameters.items()]
    signs = {"add": "+ add    ", "change": "~ change ", "remove": "- remove "}
    notes = {"yes": ", REPLACES the old one", "perhaps": ", perhaps replaces the old one", "no": ""}
    lines += [f"  {signs[one.action]} {one.resource} ({one.type}{notes[one.replaced]})" for one in changes]
    if not changes:
        lines.append("  no resource; outputs or tags alone")
    if plan.kind == "UPDATE" and changes and not is_exact:
        lines.append("  what a change replaces, and what follows from it, CloudFormation says when it prepares it")
    lines += [f"Note: {note}" for note in plan.notes]
    return "\n".join(map(visible, lines))


def format_outputs(stack: Stack) -> str:
    """The outputs of a stack, a line each."""
    width = max((len(key) for key in stack.outputs), default=0)
    return "\n".join(visible(f"{key:<{width}}  {value}") for key, value in sorted(stack.outputs.items()))
