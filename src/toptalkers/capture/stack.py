"""Deploy the stack: the change set that CloudFormation makes of a plan, and its execution.

`proposed` has CloudFormation make a change set, its own plan, and deletes it again unless it is executed; for a dry run
it never is. `Proposal.execute` deploys it and follows the events. `finish` does what CloudFormation cannot.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from toptalkers.aws.account import Account, Say
from toptalkers.aws.failures import AwsError, may_be_done, missing_action
from toptalkers.aws.stack import TEMPLATE_BODY_BYTES, ChangeSet, Stack, StackEvent
from toptalkers.capture.bucket import mend_bucket, plan_bucket
from toptalkers.capture.our_stack import CHANGE_SET_PREFIX, require_own
from toptalkers.capture.stack_plan import StackPlan
from toptalkers.errors import ToptalkersError
from toptalkers.visible import visible


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
        with _told(say, f"the stack is up, but s3://{plan.bucket.name} does not have its settings yet"):
            bucket = plan_bucket(account, plan.bucket.name, new, own.parameters, own)
            mend_bucket(account, bucket)
        for change in bucket.changes:
            say(f"s3://{bucket.name}: {change}")
    for done, shards in enumerate(plan.more_shards, 1):
        say(f"step {done + 1} of {len(plan.more_shards) + 1}: {shards} shards")
        values = {**dict.fromkeys(keys), "Shards": str(shards)}
        step = replace(plan, kind="UPDATE", parameters=values, tags=stack.tags, more_shards=())
        with (
            _told(say, f"the stream is on its way to {plan.more_shards[-1]} shards"),
            proposed(account, step, say) as proposal,
        ):
            if not proposal.change_set.is_empty:
                stack = proposal.execute(say)
    return stack


@contextmanager
def _told(say: Say, what: str) -> Iterator[None]:
    """Tell how far a deploy is when the block is interrupted, or AWS refuses."""
    try:
        yield
    except BaseException:
        say(f"{what}; run the same deploy again, and it goes on from there")
        raise


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
    """Return a template that fits into a request: one that is too long loses its white space."""
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


def format_outputs(stack: Stack) -> str:
    """Format the outputs of a stack, one per line."""
    width = max((len(key) for key in stack.outputs), default=0)
    return "\n".join(visible(f"{key:<{width}}  {value}") for key, value in sorted(stack.outputs.items()))
