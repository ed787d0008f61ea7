"""Taking everything down: flow logs first, then the stack, and the bucket with its data only when asked."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from toptalkers.aws.failures import AwsError
from toptalkers.aws.flowlogs import FlowLog
from toptalkers.aws.gateways import Gateways
from toptalkers.aws.stack import Stack
from toptalkers.capture.flowlogs import DisablePlan, Say, execute_disable
from toptalkers.capture.ownership import DESCRIPTION, STACK_TAG, find_own
from toptalkers.capture.stack import explain_failure, follow_stack
from toptalkers.errors import ToptalkersError
from toptalkers.visible import visible

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows how far something is: takes what it is and how much in all, gives what is called with each advance."""

BUCKET = "Bucket"
"""The bucket's name in the template."""

LATE_ROUNDS = 5
LATE_SECONDS = 10
"""What is still on its way when a bucket is emptied is waited for so often, so long."""


@dataclass(frozen=True, slots=True)
class DestroyPlan:
    """What destroying would do."""

    name: str
    region: str
    stack: Stack | None
    flow_logs: tuple[FlowLog, ...]
    bucket: str | None
    delete_data: bool
    objects: int = 0
    size_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to destroy."""
        return self.stack is None and not self.flow_logs and self.bucket is None


def plan_destroy(gateways: Gateways, name: str, *, delete_data: bool) -> DestroyPlan:
    """Work out what there is to destroy; nothing is changed for it.

    Raises:
        ToptalkersError: the stack is somebody else's, or busy.

    """
    stack = find_own(gateways, name)
    flow_logs = tuple(gateways.flow_logs.find(tag=(STACK_TAG, name)))
    if stack is None:
        bucket = _bucket_left(gateways, name) if delete_data else None
    elif stack.is_busy:
        raise ToptalkersError(f"the stack {name!r} is {stack.status}", hint="wait until that is over")
    else:
        bucket = stack.outputs.get("BucketName") or gateways.stacks.physical_id(stack.arn, BUCKET)
    objects = size = 0
    if bucket and delete_data:
        for one in gateways.storage.list(bucket):
            objects += 1
            size += one.size_bytes
    return DestroyPlan(name, gateways.region, stack, flow_logs, bucket, delete_data, objects, size)


def _bucket_left(gateways: Gateways, name: str) -> str | None:
    """Find the bucket that the last stack of this name kept when it was deleted; None when there is none any more.

    So the next destroy finishes one that was stopped between the stack and the data.
    """
    for arn in gateways.stacks.deleted(name):
        stack = gateways.stacks.find(arn)
        if stack and not (stack.outputs or stack.description):
            continue  # the shell of a change set that was never executed
        if stack is None or not stack.description.startswith(DESCRIPTION):
            return None
        bucket = stack.outputs.get("BucketName") or gateways.stacks.physical_id(arn, BUCKET)
        if bucket:
            return bucket if gateways.storage.has_bucket(bucket) else None
    return None


def format_destroy(plan: DestroyPlan) -> str:
    """The plan as lines."""
    lines = [f"Plan: destroy {plan.name} in {plan.region}"]
    lines += [f"  - off     {one.resource} ({one.id})" for one in plan.flow_logs]
    if plan.stack:
        lines.append(f"  - delete  stack {plan.name} ({plan.stack.status})")
    if plan.bucket and plan.delete_data:
        amount = f"{plan.objects:,} objects, {plan.size_bytes / 1024**2:,.1f} MB"
        lines.append(f"  - delete  bucket {plan.bucket}, FOR GOOD, with {amount} and what still arrives")
    elif plan.bucket:
        lines.append(f"  = keep    bucket {plan.bucket} with its data")
    return "\n".join(map(visible, lines))


def execute_destroy(gateways: Gateways, plan: DestroyPlan, say: Say, *, progress: Progress) -> None:
    """Do it, in an order in which nothing writes any more when the data goes.

    Raises:
        ToptalkersError: a flow log stays on, the stack is not deleted, or the bucket does not become empty.

    """
    if plan.flow_logs:
        off = DisablePlan(plan.name, plan.region, plan.flow_logs, ())
        with _told(say, f"'toptalkers destroy --stack-name {plan.name}' goes on where this ended"):
            refused = execute_disable(gateways, off, say)
        if refused:
            raise ToptalkersError(
                f"{len(refused)} flow logs stay on, and the stack stays for them: {refused[0].reason}"
            )
    kept = f"s3://{plan.bucket} ('aws s3 rb --force s3://{plan.bucket}' deletes it with its data)"
    if plan.stack:
        # Once the stack is gone, nothing else knows the name of the bucket.
        with _told(say, f"to be deleted by hand when the stack is gone: {kept}" if plan.bucket else ""):
            _delete_stack(gateways, plan.stack, say)
    if plan.bucket and plan.delete_data:
        with _told(say, f"not deleted: {kept}"):
            _delete_bucket(gateways, plan, say, progress)
    elif plan.bucket:
        say(f"kept: {kept}")


@contextmanager
def _told(say: Say, what: str) -> Iterator[None]:
    """Tell what is left when what is done inside breaks off: is interrupted, or AWS does not go on with it."""
    try:
        yield
    except BaseException as error:
        if what and (isinstance(error, AwsError) or not isinstance(error, ToptalkersError)):
            say(what)
        raise


def _delete_stack(gateways: Gateways, stack: Stack, say: Say) -> None:
    since = gateways.stacks.last_event_id(stack.arn)
    gateways.stacks.delete(stack.arn)
    events, after = follow_stack(gateways, stack.arn, since, say)
    if after and after.status != "DELETE_COMPLETE":
        raise ToptalkersError(
            explain_failure(f"the stack {stack.name!r} is not deleted, it is {after.status}", events),
            hint="mend what stands in the way, then destroy again",
        )


def _delete_bucket(gateways: Gateways, plan: DestroyPlan, say: Say, progress: Progress) -> None:
    bucket, storage = str(plan.bucket), gateways.storage
    by_hand = f"'aws s3 rb --force s3://{bucket}' goes on where this ended"
    try:
        with progress("deleting objects", plan.objects) as on_deleted:
            for attempt in range(LATE_ROUNDS):
                if attempt:
                    gateways.sleep(LATE_SECONDS)
                storage.delete_many(bucket, (one.key for one in storage.list(bucket)), on_deleted=on_deleted)
                if storage.delete_bucket(bucket):
                    say(f"deleted: s3://{bucket}")
                    return
    except ToptalkersError as error:
        raise ToptalkersError(error.message, hint=by_hand) from error
    raise ToptalkersError(f"the bucket {bucket} does not become empty: does something still write?", hint=by_hand)
