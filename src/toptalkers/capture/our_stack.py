"""Our stack: which stack is ours, and its outputs by name."""

from dataclasses import dataclass, fields

from toptalkers.aws.account import Account
from toptalkers.aws.stack import Stack
from toptalkers.errors import ToptalkersError

MARKER = "ToptalkersVersion"
"""A stack with this output is ours."""

DESCRIPTION = "toptalkers:"
"""The beginning of our template's description. It marks a stack of ours that failed before it had outputs."""

STACK_TAG = "toptalkers:stack"
"""The tag of the flow logs that we make; its value is the name of the stack."""

FILTER_NAME = "toptalkers"
"""The name of the subscription filter, and a dimension of its metrics."""

DEFAULT_EXPIRE_DAYS = 7
"""The default of the parameter RecordsExpireDays."""

BUCKET = "Bucket"
"""The logical id of the bucket in the template."""

CHANGE_SET_PREFIX = "toptalkers-"
"""The beginning of the names of our change sets."""


class _Output:
    """An output of our stack, by its name in the template; `of_stream` if only a stack with a stream has it."""

    def __init__(self, name: str, *, of_stream: bool = False) -> None:
        self._name = name
        self._of_stream = of_stream

    def __get__(self, stack: "OurStack", _: type | None = None) -> str:
        value = stack.outputs.get(self._name)
        if value:
            return value
        if self._of_stream and stack.is_up and not stack.has_stream:
            raise ToptalkersError(
                f"the stack {stack.name!r} captures to S3 only: it has no stream, function or log group",
                hint=f"'toptalkers deploy --stack-name {stack.name} --stream' adds them",
            )
        raise ToptalkersError(
            f"the stack {stack.name!r} has no output {self._name}",
            hint=f"'toptalkers deploy --stack-name {stack.name}' brings it up to date",
        )


@dataclass(frozen=True, slots=True)
class OurStack(Stack):
    """A stack of ours, in any state.

    Asking for an output that it lacks raises ToptalkersError: an older version made the stack, it is not up, or it
    captures to S3 only. Outputs are not checked before they are asked for, so that a command only needs those that
    it uses.
    """

    version = _Output(MARKER)
    """The version of toptalkers that deployed it last."""
    bucket = _Output("BucketName")
    """The name of the bucket that holds records, code and runs."""
    log_group = _Output("LogGroupName", of_stream=True)
    """The name of the log group that flow logs are delivered to."""
    delivery_role = _Output("DeliverLogsPermissionArn", of_stream=True)
    """The ARN of the role that delivers flow logs."""
    log_format = _Output("LogFormat")
    """The format of the stack's flow logs, as CreateFlowLogs takes it."""
    stream = _Output("StreamName", of_stream=True)
    """The name of the Kinesis stream."""
    function = _Output("FunctionName", of_stream=True)
    """The name of the Lambda function."""
    emr_service_role = _Output("EmrServiceRole")
    """The name of the role that EMR runs under, or its ARN when it has a path."""
    emr_instance_profile = _Output("EmrInstanceProfile")
    """The name of the instance profile of a cluster's nodes, or its ARN when it has a path."""

    @property
    def is_up(self) -> bool:
        """Whether it has come up, so that it has outputs."""
        return MARKER in self.outputs

    @property
    def has_stream(self) -> bool:
        """Whether it captures by a stream; otherwise flow logs can only be delivered directly to the bucket."""
        return "StreamName" in self.outputs

    @property
    def records_expire_days(self) -> int:
        """How many days the bucket keeps flow records, 7 unless the stack says otherwise."""
        days = self.parameters.get("RecordsExpireDays", "")
        return int(days) if days.isdecimal() else DEFAULT_EXPIRE_DAYS

    @property
    def account_id(self) -> str:
        """The number of the AWS account."""
        return self.arn.split(":")[4] if self.arn.count(":") > 3 else ""

    @property
    def partition(self) -> str:
        """The part of AWS that it is in, such as `aws` or `aws-cn`."""
        return self.arn.split(":")[1]

    @property
    def nodes_role(self) -> str:
        """The ARN of the role of a cluster's nodes, which has the name and the path of its instance profile."""
        profile = self.emr_instance_profile
        if profile.startswith("arn:"):
            return profile.replace(":instance-profile/", ":role/")
        return f"arn:{self.partition}:iam::{self.account_id}:role/{profile}" if self.account_id else ""

    def listed(self, parameter: str) -> tuple[str, ...]:
        """The members of a parameter that is a list."""
        return tuple(one.strip() for one in self.parameters.get(parameter, "").split(",") if one.strip())

    @property
    def emr_security_configuration(self) -> str:
        """The name of EMR's security configuration; empty for none."""
        return self.outputs.get("EmrSecurityConfiguration", "")


def find_own(account: Account, name: str) -> OurStack | None:
    """Find our stack of a name, in any state; None when there is no stack of that name.

    A stack that is only a shell for change sets counts as ours when all its change sets are ours.

    Raises:
        ToptalkersError: the stack of that name is not ours.

    """
    stack = account.stacks.find(name)
    if stack is None or stack.status == "DELETE_COMPLETE":
        return None
    if stack.status == "REVIEW_IN_PROGRESS":
        is_ours = all(one.startswith(CHANGE_SET_PREFIX) for one in account.stacks.change_set_names(name))
    else:
        is_ours = MARKER in stack.outputs or (not stack.outputs and stack.description.startswith(DESCRIPTION))
    if stack.status == "DELETE_IN_PROGRESS" and not (stack.outputs or stack.description):
        # The shell of a change set, which does not say whose it was.
        raise ToptalkersError(f"the stack {name!r} is {stack.status}", hint="wait until that is over")
    if not is_ours:
        raise ToptalkersError(
            f"the stack {name!r} in {account.region} is somebody else's: it has no output {MARKER}",
            hint="choose another name with --stack-name",
        )
    return OurStack(**{one.name: getattr(stack, one.name) for one in fields(stack)})


def require_own(account: Account, name: str) -> OurStack:
    """Find our stack of a name, which must be up.

    Raises:
        ToptalkersError: there is none, it is not ours, or it never came up.

    """
    stack = find_own(account, name)
    if stack is None or stack.status == "REVIEW_IN_PROGRESS":
        raise no_stack(account, name)
    if not stack.is_up:
        raise ToptalkersError(
            f"the stack {name!r} is not up: {stack.status}", hint=f"'toptalkers status --stack-name {name}' says more"
        )
    return stack


def bucket_of(account: Account, stack: Stack) -> str | None:
    """Find the bucket of a stack of ours in any state; None when it never had one."""
    given = stack.outputs.get("BucketName") or stack.parameters.get("ExistingBucket")
    return given or account.stacks.physical_id(stack.arn, BUCKET)


def bucket_left(account: Account, name: str) -> str | None:
    """Find the bucket that the last stack of this name kept when it was deleted; None when there is none any more.

    So the next destroy finishes one that was stopped between the stack and the data, and the next deploy can name it.
    """
    for arn in account.stacks.deleted(name):
        stack = account.stacks.find(arn)
        if stack and not (stack.outputs or stack.description):
            continue  # the shell of a change set that was never executed
        if stack is None or not stack.description.startswith(DESCRIPTION):
            return None
        bucket = bucket_of(account, stack)
        if bucket:
            return bucket if account.storage.has_bucket(bucket) else None
    return None


def no_stack(account: Account, name: str) -> ToptalkersError:
    """Make the error for a stack that does not exist."""
    return ToptalkersError(
        f"there is no stack {name!r} in {account.region}",
        hint="'toptalkers deploy' makes it; --stack-name and --region choose another",
    )
