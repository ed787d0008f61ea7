"""Take everything down: the flow logs, then the stack, and the bucket with its data only when asked.

Flow logs of others that deliver into the stack are not ours to turn off. They are named before and after: one that goes
into the log group delivers nothing any more once the group and its role are gone, and AWS tells nobody.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from toptalkers.aws.account import Account, Say
from toptalkers.aws.failures import AwsError
from toptalkers.aws.flowlogs import FlowLog
from toptalkers.aws.stack import Stack
from toptalkers.capture.flowlogs import DisablePlan, execute_disable, is_into, is_into_bucket
from toptalkers.capture.our_stack import STACK_TAG, OurStack, bucket_left, bucket_of, find_own
from toptalkers.capture.stack import explain_failure, follow_stack
from toptalkers.errors import ToptalkersError
from toptalkers.visible import visible

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows progress: called with a text and a total, it returns a context whose value is called with each advance."""

KEY = "Key"
"""The logical id of the key that the stack makes on request; it is kept for the data."""

LATE_ROUNDS = 5
LATE_SECONDS = 10
"""How often, and with what pause, a bucket is emptied again while objects still arrive."""


@dataclass(frozen=True, slots=True)
class DestroyPlan:
    """The resources to destroy."""

    name: str
    region: str
    stack: OurStack | None
    flow_logs: tuple[FlowLog, ...]
    foreign: tuple[FlowLog, ...]
    """Flow logs of others that deliver into the stack or its bucket."""
    bucket: str | None
    delete_data: bool
    objects: int = 0
    size_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to destroy."""
        return self.stack is None and not self.flow_logs and self.bucket is None

    @property
    def broken(self) -> tuple[FlowLog, ...]:
        """The flow logs of others that will deliver nothing any more."""
        return tuple(one for one in self.foreign if self.delete_data or one.destination_type != "s3")

    @property
    def is_taken_over(self) -> bool:
        """Whether the bucket is one that the stack did not make."""
        return self.stack is not None and bool(self.stack.parameters.get("ExistingBucket"))


def plan_destroy(account: Account, name: str, *, delete_data: bool) -> DestroyPlan:
    """Plan what to destroy; this only reads.

    Raises:
        ToptalkersError: the stack belongs to somebody else, or is busy.

    """
    stack = find_own(account, name)
    all_flow_logs = account.flow_logs.find()
    if stack is None:
        bucket = bucket_left(account, name) if delete_data else None
    elif stack.is_busy:
        raise ToptalkersError(f"the stack {name!r} is {stack.status}", hint="wait until that is over")
    else:
        bucket = bucket_of(account, stack)
    objects = size = 0
    if bucket and delete_data:
        for one in account.storage.list(bucket):
            objects += 1
            size += one.size_bytes
    own = tuple(one for one in all_flow_logs if one.tags.get(STACK_TAG) == name)
    foreign = tuple(
        one
        for one in all_flow_logs
        if one not in own
        and ((stack and stack.is_up and is_into(one, stack)) or (bucket and is_into_bucket(one, bucket)))
    )
    return DestroyPlan(name, account.region, stack, own, foreign, bucket, delete_data, objects, size)


def format_destroy(plan: DestroyPlan) -> str:
    """Format a plan as lines."""
    lines = [f"Plan: destroy {plan.name} in {plan.region}"]
    lines += [f"  - off     {one.resource} ({one.id})" for one in plan.flow_logs]
    if plan.stack:
        lines.append(f"  - delete  stack {plan.name} ({plan.stack.status})")
    if plan.bucket and plan.delete_data:
        amount = f"{plan.objects:,} object{'' if plan.objects == 1 else 's'}, {plan.size_bytes / 1024**2:,.1f} MB"
        whose = ", which the stack did not make," if plan.is_taken_over else ","
        lines.append(f"  - delete  bucket {plan.bucket}{whose} FOR GOOD, with {amount} and what still arrives")
    elif plan.bucket:
        lines.append(f"  = keep    bucket {plan.bucket} with its data")
    for one in plan.foreign:
        end = "will deliver nothing any more" if one in plan.broken else "goes on delivering into the bucket"
        lines.append(f"  ! others  {one.resource} ({one.id}), not made by this stack, {end}")
    return "\n".join(map(visible, lines))


def flow_logs_of_others(count: int) -> str:
    """Count flow logs."""
    return "1 flow log of others" if count == 1 else f"{count:,} flow logs of others"


def execute_destroy(account: Account, plan: DestroyPlan, say: Say, *, progress: Progress) -> None:
    """Execute a plan. When the data is deleted, nothing writes to the bucket any more.

    Raises:
        ToptalkersError: a flow log cannot be turned off, the stack is not deleted, or the bucket does not become empty.

    """
    if plan.flow_logs:
        off = DisablePlan(plan.name, plan.region, plan.flow_logs, ())
        with _told(say, f"'toptalkers destroy --stack-name {plan.name}' goes on where this ended"):
            refused = execute_disable(account, off, say)
        if refused:
            raise ToptalkersError(
                f"{len(refused)} flow logs stay on, and the stack stays for them: {refused[0].reason}"
            )
    # Once the stack is gone, nothing else knows the name of the key.
    makes_key = plan.stack is not None and plan.stack.parameters.get("MakeKey") == "yes"
    key = account.stacks.physical_id(plan.stack.arn, KEY) if plan.stack and makes_key else None
    kept = f"s3://{plan.bucket} ('aws s3 rb --force s3://{plan.bucket}' deletes it with its data)"
    if plan.stack:
        # Once the stack is gone, nothing else knows the name of the bucket.
        with _told(say, f"to be deleted by hand when the stack is gone: {kept}" if plan.bucket else ""):
            _delete_stack(account, plan.stack, say)
    if plan.bucket and plan.delete_data:
        with _told(say, f"not deleted: {kept}"):
            _delete_bucket(account, plan, say, progress)
    elif plan.bucket:
        days = plan.stack.parameters.get("RecordsExpireDays") if plan.stack else None
        keep = f" --keep-days {days}" if days else ""
        name = "" if plan.name == "toptalkers" else f" --stack-name {plan.name}"
        say(f"kept: {kept}; 'toptalkers deploy{name} --bucket {plan.bucket}{keep}' takes it over")
    if key:
        command = f"aws kms schedule-key-deletion --region {account.region} --key-id {key}"
        say(f"kept: the key {key}, which the data may need ('{command}' ends it and its $1 a month)")
    if plan.foreign:
        ids = " ".join(one.id for one in plan.foreign)
        command = f"aws ec2 delete-flow-logs --region {account.region} --flow-log-ids {ids}"
        say(f"left: {flow_logs_of_others(len(plan.foreign))} into the stack or its bucket; to turn off: '{command}'")


@contextmanager
def _told(say: Say, what: str) -> Iterator[None]:
    """Tell what is left when the block is interrupted, or AWS refuses."""
    try:
        yield
    except BaseException as error:
        if what and (isinstance(error, AwsError) or not isinstance(error, ToptalkersError)):
            say(what)
        raise


def _delete_stack(account: Account, stack: Stack, say: Say) -> None:
    since = account.stacks.last_event_id(stack.arn)
    account.stacks.delete(stack.arn)
    events, after = follow_stack(account, stack.arn, since, say)
    if after and after.status != "DELETE_COMPLETE":
        raise ToptalkersError(
            explain_failure(f"the stack {stack.name!r} is not deleted, it is {after.status}", events),
            hint="remove the cause, then destroy again",
        )


def _delete_bucket(account: Account, plan: DestroyPlan, say: Say, progress: Progress) -> None:
    bucket, storage = str(plan.bucket), account.storage
    by_hand = f"'aws s3 rb --force s3://{bucket}' goes on where this ended"
    try:
        with progress("deleting objects", plan.objects) as on_deleted:
            for attempt in range(LATE_ROUNDS):
                if attempt:
                    account.sleep(LATE_SECONDS)
                storage.delete_many(bucket, (one.key for one in storage.list(bucket)), on_deleted=on_deleted)
                if storage.delete_bucket(bucket):
                    say(f"deleted: s3://{bucket}")
                    return
    except ToptalkersError as error:
        raise ToptalkersError(error.message, hint=by_hand) from error
    raise ToptalkersError(f"the bucket {bucket} does not become empty: does something still write?", hint=by_hand)
