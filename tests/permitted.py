"""Compare calls to AWS with the policies of `toptalkers render permissions`.

`Recorder` wraps the function that makes clients, and `policy_allows` evaluates a policy. Conditions are not evaluated.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from toptalkers.permissions import Names, policy_of
from toptalkers.sandbox.iam import Decision, Request, decide

PREFIXES = {"emr": "elasticmapreduce", "service-quotas": "servicequotas"}
"""The prefixes of actions where they differ from boto3's name of the service."""

ACTIONS: Mapping[str, Iterable[str]] = {
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:CopyObject": ["s3:GetObject", "s3:PutObject"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "s3:GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "s3:PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "s3:PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "elasticmapreduce:ListReleaseLabels": ["elasticmapreduce:ListReleaseLabels"],
    # Everybody may ask who they are.
    "sts:GetCallerIdentity": [],
}
"""The actions that an operation needs, where there is not just one of its name (service authorization reference)."""

IMPLIED: Mapping[str, Iterable[str]] = {
    "elasticmapreduce:RunJobFlow": ["elasticmapreduce:AddTags", "elasticmapreduce:PutAutoTerminationPolicy"],
    "ec2:CreateFlowLogs": ["ec2:CreateTags", "logs:CreateLogDelivery"],
    "ec2:DeleteFlowLogs": ["logs:DeleteLogDelivery"],
    "cloudformation:CreateChangeSet": ["cloudformation:TagResource"],
    # S3 uses the key of a bucket that has one (S3 user guide, "Using server-side encryption with AWS KMS keys").
    "s3:GetObject": ["kms:Decrypt"],
    "s3:HeadObject": ["kms:Decrypt"],
    "s3:PutObject": ["kms:GenerateDataKey"],
    "s3:CopyObject": ["kms:Decrypt", "kms:GenerateDataKey"],
}
"""The actions that a service takes in the caller's name during an operation."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call: the service by boto3's name, the operation, the request."""

    service: str
    operation: str
    request: Mapping[str, Any]

    @property
    def needs(self) -> Iterator[tuple[str, str]]:
        """The actions that it needs, each with its resource; `*` where the request does not tell."""
        name = f"{PREFIXES.get(self.service, self.service)}:{self.operation}"
        for action in [*ACTIONS.get(name, [name]), *IMPLIED.get(name, [])]:
            yield action, self._resource(action)

    def _resource(self, action: str) -> str:
        request = self.request
        if action.startswith("s3:"):
            if self.operation == "CopyObject" and action == "s3:GetObject":
                request = request["CopySource"]
            key = request.get("Key")
            if "Delete" in request:
                key = request["Delete"]["Objects"][0]["Key"]
            return f"arn:aws:s3:::{request['Bucket']}" + (f"/{key}" if key else "")
        if self.service == "cloudformation" and (stack := request.get("StackName", "")):
            name = stack.split("/")[1] if stack.startswith("arn:") else stack
            return f"arn:aws:cloudformation:us-east-1:123456789012:stack/{name}/1"
        return "*"


class Recorder:
    """Stands for a client, and records its calls."""

    def __init__(self, client: Any, service: str, calls: list[Call]) -> None:
        self._client, self._service, self._calls = client, service, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "get_paginator":
            return lambda method: _Pages(self, found(method), method)
        if not re.fullmatch(r"[a-z]+_[a-z0-9_]+", name) or name in ("generate_presigned_url", "get_waiter"):
            return found

        def called(**request: Any) -> Any:
            self.record(name, request)
            return found(**request)

        return called

    def record(self, method: str, request: Mapping[str, Any]) -> None:
        operation = "".join(part.capitalize() for part in method.split("_"))
        self._calls.append(Call(self._service, operation, request))


class _Pages:
    def __init__(self, recorder: Recorder, pages: Any, method: str) -> None:
        self._recorder, self._pages, self._method = recorder, pages, method

    def paginate(self, **request: Any) -> Any:
        self._recorder.record(self._method, request)
        return self._pages.paginate(**request)


def recording(make: Callable[..., Any], calls: list[Call]) -> Callable[..., Any]:
    """Wrap a function that makes clients by boto3's names of services."""

    def client(service: str, **options: Any) -> Any:
        return Recorder(make(service, **options), service, calls)

    return client


def policy_allows(policy: Mapping[str, Any], action: str, resource: str) -> bool:
    """Whether a statement allows an action on a resource; on `*`, any resource of a statement is enough."""
    statements = [{key: one[key] for key in ("Effect", "Action", "Resource")} for one in policy["Statement"]]
    if resource == "*":
        return any(action in one["Action"] for one in statements)
    return decide([{"Statement": statements}], Request(action, resource)) is Decision.ALLOWED


def check_permitted(command: str, calls: Iterable[Call], names: Names) -> set[str]:
    """Fail if the policy of a command does not allow one of its calls; return the actions that they need."""
    policy = policy_of([command], names)
    needed = set()
    for call in calls:
        for action, resource in call.needs:
            needed.add(action)
            assert policy_allows(policy, action, resource), (
                f"{command} calls {call.service} {call.operation}, which needs {action} on {resource}:"
                f" add it to COMMANDS[{command!r}] in src/toptalkers/permissions.py"
                " (if the operation needs another action: to ACTIONS in tests/permitted.py)"
            )
    return needed
