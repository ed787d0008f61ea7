"""CloudFormation: stacks, change sets, events.

API operations: DescribeStacks, ListStacks, DescribeStackResource, DescribeStackEvents, GetTemplate, ListChangeSets,
DescribeChangeSet; and, changing things, CreateChangeSet (with iam:PassRole for a role that CloudFormation is to
take), ExecuteChangeSet, DeleteChangeSet, DeleteStack. A dry run of deploy also calls CreateChangeSet and
DeleteChangeSet and, when the stack is new, DeleteStack.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from toptalkers.aws.failures import AwsError, code_of, explained

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef

ChangeSetKind = Literal["CREATE", "UPDATE"]

TEMPLATE_BODY_BYTES = 51_200
"""The largest template that fits in a request (CloudFormation quotas)."""

POLL_SECONDS = 2.0

QUIET_POLLS = 10
"""After this many polls without an event, nothing is happening to a stack."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it."""

    name: str
    arn: str
    status: str
    reason: str = ""
    description: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether an operation is under way."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one resource; `replaced` is CloudFormation's yes, perhaps or no."""

    action: Literal["add", "change", "remove"]
    resource: str
    type: str
    replaced: Literal["yes", "perhaps", "no"] = "no"


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change set that is ready, or that failed, with CloudFormation's reason."""

    arn: str
    status: str
    reason: str
    changes: tuple[Change, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it failed only because there is nothing to change."""
        return self.status == "FAILED" and (
            "didn't contain changes" in self.reason or "No updates are to be performed" in self.reason
        )


@dataclass(frozen=True, slots=True)
class StackEvent:
    """An event of one resource of a stack, or of the stack itself."""

    id: str
    time: datetime
    resource: str
    type: str
    status: str
    reason: str = ""


class StackGateway:
    """CloudFormation, through the given client."""

    def __init__(self, client: "CloudFormationClient", *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Keep the client, and the function that waits between two polls."""
        self._client = client
        self._sleep = sleep

    @explained("cloudformation")
    def find(self, name: str) -> Stack | None:
        """Describe a stack by name or ARN; None if there is none."""
        try:
            found = self._client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if _is_missing(error):
                return None
            raise
        if not found:
            return None
        stack = found[0]
        return Stack(
            name=stack["StackName"],
            arn=stack.get("StackId", name),
            status=stack["StackStatus"],
            reason=stack.get("StackStatusReason", ""),
            description=stack.get("Description", ""),
            outputs={one.get("OutputKey", ""): one.get("OutputValue", "") for one in stack.get("Outputs", [])},
            parameters={
                one.get("ParameterKey", ""): one.get("ParameterValue", "") for one in stack.get("Parameters", [])
            },
            tags={one["Key"]: one["Value"] for one in stack.get("Tags", [])},
        )

    @explained("cloudformation")
    def deleted(self, name: str) -> list[str]:
        """List the ARNs of deleted stacks of a name, the newest first; CloudFormation keeps them for 90 days."""
        pages = self._client.get_paginator("list_stacks").paginate(StackStatusFilter=["DELETE_COMPLETE"])
        found = [one for page in pages for one in page["StackSummaries"] if one["StackName"] == name]
        found.sort(key=lambda one: one["CreationTime"], reverse=True)
        return [one.get("StackId", "") for one in found]

    @explained("cloudformation")
    def template(self, name: str) -> dict[str, Any]:
        """Return the template of a stack; empty when it is not JSON."""
        body: object = self._client.get_template(StackName=name).get("TemplateBody", "")
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError:
                return {}
        return dict(body) if isinstance(body, Mapping) else {}

    @explained("cloudformation")
    def physical_id(self, name: str, resource: str) -> str | None:
        """Return the name of a stack's resource in AWS; None if it has none."""
        try:
            detail = self._client.describe_stack_resource(StackName=name, LogicalResourceId=resource)
        except ClientError as error:
            if code_of(error) == "ValidationError":
                return None
            raise
        return detail["StackResourceDetail"].get("PhysicalResourceId") or None

    @explained("cloudformation")
    def change_set_names(self, name: str) -> list[str]:
        """List the names of the change sets of a stack."""
        pages = self._client.get_paginator("list_change_sets").paginate(StackName=name)
        return [one.get("ChangeSetName", "") for page in pages for one in page["Summaries"]]

    @explained("cloudformation")
    def create_change_set(
        self,
        name: str,
        change_set: str,
        *,
        kind: ChangeSetKind,
        template: str,
        parameters: Mapping[str, str | None],
        tags: Mapping[str, str],
        role_arn: str = "",
    ) -> str:
        """Ask CloudFormation for the changes that a template would make. CREATE makes an empty stack for them.

        Args:
            name: the name of the stack.
            change_set: a name for the change set.
            kind: CREATE for a stack that does not exist yet.
            template: the template, as JSON.
            parameters: the values by name; None keeps the stack's value.
            tags: all tags of the stack.
            role_arn: the role that CloudFormation takes, now and later; empty for the one that it has, or the caller's
                rights.

        Returns:
            The ARN of the change set.

        """
        if len(template.encode()) > TEMPLATE_BODY_BYTES:
            raise AwsError(f"a template of more than {TEMPLATE_BODY_BYTES} bytes does not fit in the request")
        values: list[ParameterTypeDef] = [
            {"ParameterKey": key, "UsePreviousValue": True}
            if value is None
            else {"ParameterKey": key, "ParameterValue": value}
            for key, value in parameters.items()
        ]
        role: dict[str, Any] = {"RoleARN": role_arn} if role_arn else {}
        return self._client.create_change_set(
            StackName=name,
            ChangeSetName=change_set,
            ChangeSetType=kind,
            TemplateBody=template,
            Parameters=values,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            **role,
        )["Id"]

    @explained("cloudformation")
    def read_change_set(self, arn: str) -> ChangeSet:
        """Wait until a change set is ready or has failed, and read all its changes."""
        while True:
            seen = self._client.describe_change_set(ChangeSetName=arn)
            if seen["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                break
            self._sleep(POLL_SECONDS)
        status, reason, changes = seen["Status"], seen.get("StatusReason", ""), list(seen.get("Changes", []))
        tokens: set[str] = set()
        while (token := seen.get("NextToken")) and token not in tokens:
            tokens.add(token)
            seen = self._client.describe_change_set(ChangeSetName=arn, NextToken=token)
            changes += seen.get("Changes", [])
        return ChangeSet(arn, status, reason, tuple(_parse_change(one["ResourceChange"]) for one in changes))

    @explained("cloudformation")
    def execute(self, change_set: ChangeSet) -> None:
        """Start a change set. If it fails, CloudFormation deletes what it created, even a bucket that is to be kept."""
        self._client.execute_change_set(ChangeSetName=change_set.arn, RetainExceptOnCreate=True)

    @explained("cloudformation")
    def delete_change_set(self, name: str, change_set: str) -> None:
        """Delete a change set of a stack, both by name. Nothing is done when either does not exist."""
        for polls_left in reversed(range(QUIET_POLLS)):
            try:
                self._client.delete_change_set(StackName=name, ChangeSetName=change_set)
            except ClientError as error:
                if code_of(error) == "ChangeSetNotFound" or _is_missing(error):
                    return
                # CloudFormation does not delete a change set that it is still making.
                if code_of(error) != "InvalidChangeSetStatus" or not polls_left:
                    raise
                self._sleep(POLL_SECONDS)
            else:
                return

    @explained("cloudformation")
    def delete(self, name: str) -> None:
        """Begin to delete a stack, by name or ARN."""
        self._client.delete_stack(StackName=name)

    @explained("cloudformation")
    def events_since(self, arn: str, seen: str | None) -> list[StackEvent]:
        """List the events after the one with the given id, or all events for None; the oldest first."""
        new: list[StackEvent] = []
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=arn):
            for one in page["StackEvents"]:
                if one["EventId"] == seen:
                    return new[::-1]
                new.append(
                    StackEvent(
                        id=one["EventId"],
                        time=one["Timestamp"],
                        resource=one.get("LogicalResourceId", ""),
                        type=one.get("ResourceType", ""),
                        status=one.get("ResourceStatus", ""),
                        reason=one.get("ResourceStatusReason", ""),
                    )
                )
        return new[::-1]

    @explained("cloudformation")
    def last_event_id(self, arn: str) -> str | None:
        """Return the id of the newest event, from where events are followed; None when there is none."""
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=arn)
        return next((one["EventId"] for page in pages for one in page["StackEvents"]), None)

    def follow(self, arn: str, since: str | None) -> Iterator[StackEvent]:
        """Yield the events after `since` as they happen, until no operation is under way."""
        quiet = 0
        while True:
            # The state comes first: an event between the two requests is then seen in this round or the next.
            stack = self.find(arn)
            for event in self.events_since(arn, since):
                since, quiet = event.id, QUIET_POLLS
                yield event
            if stack is None:
                return
            if not stack.is_busy:
                # An operation begins a moment after the request, and only then has events.
                quiet += 1
                if quiet > QUIET_POLLS:
                    return
            self._sleep(POLL_SECONDS)


def _is_missing(error: ClientError) -> bool:
    return "does not exist" in error.response.get("Error", {}).get("Message", "")


def _parse_change(change: Any) -> Change:
    actions: dict[str, Literal["add", "change", "remove"]] = {"Add": "add", "Import": "add", "Remove": "remove"}
    replaced: dict[str, Literal["yes", "perhaps"]] = {"True": "yes", "Conditional": "perhaps"}
    return Change(
        action=actions.get(change["Action"], "change"),
        resource=change["LogicalResourceId"],
        type=change["ResourceType"],
        replaced=replaced.get(change.get("Replacement", ""), "no"),
    )
