"""Which stack and which flow logs are ours."""

from toptalkers.aws.gateways import Gateways
from toptalkers.aws.stack import Stack
from toptalkers.errors import ToptalkersError

MARKER = "ToptalkersVersion"
"""The output by which a stack is known as ours."""

DESCRIPTION = "toptalkers:"
"""How our template's description begins: what a stack has that failed before it had outputs."""

STACK_TAG = "toptalkers:stack"
"""The tag of the flow logs that we make; its value is the stack's name."""

CHANGE_SET_PREFIX = "toptalkers-"
"""How the names of our change sets begin."""


def find_own(gateways: Gateways, name: str) -> Stack | None:
    """Find a stack of ours, in whatever state; None when there is none of that name.

    A stack that so far is only a change set under review counts as ours when all its change sets are.

    Raises:
        ToptalkersError: the stack of that name is not ours.

    """
    stack = gateways.stacks.find(name)
    if stack is None or stack.status == "DELETE_COMPLETE":
        return None
    if stack.status == "REVIEW_IN_PROGRESS":
        ours = all(one.startswith(CHANGE_SET_PREFIX) for one in gateways.stacks.change_set_names(name))
    else:
        ours = MARKER in stack.outputs or (not stack.outputs and stack.description.startswith(DESCRIPTION))
    if stack.status == "DELETE_IN_PROGRESS" and not (stack.outputs or stack.description):
        # The shell of a change set on its way out, which does not say whose it was.
        raise ToptalkersError(f"the stack {name!r} is {stack.status}", hint="wait until that is over")
    if not ours:
        raise ToptalkersError(
            f"the stack {name!r} in {gateways.region} is somebody else's: it has no output {MARKER}",
            hint="choose another name with --stack-name",
        )
    return stack


def require_own(gateways: Gateways, name: str) -> Stack:
    """Find a stack of ours that is up.

    Raises:
        ToptalkersError: there is none, it is not ours, or it never came up.

    """
    stack = find_own(gateways, name)
    if stack is None or stack.status == "REVIEW_IN_PROGRESS":
        raise ToptalkersError(
            f"there is no stack {name!r} in {gateways.region}",
            hint="'toptalkers deploy' makes it; --stack-name and --region choose another",
        )
    if MARKER not in stack.outputs:
        raise ToptalkersError(
            f"the stack {name!r} is not up: {stack.status}", hint=f"'toptalkers status --stack-name {name}' says more"
        )
    return stack


def output_of(stack: Stack, name: str) -> str:
    """An output of a stack of ours.

    Raises:
        ToptalkersError: the stack was made by a version that had none of it.

    """
    if not stack.outputs.get(name):
        raise ToptalkersError(
            f"the stack {stack.name!r} has no output {name}",
            hint=f"'toptalkers deploy --stack-name {stack.name}' brings it up to date",
        )
    return stack.outputs[name]


def bucket_of(stack: Stack) -> str:
    """Give the name of our stack's bucket; ToptalkersError as in `output_of`."""
    return output_of(stack, "BucketName")
