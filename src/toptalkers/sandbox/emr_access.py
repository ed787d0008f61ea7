"""What the nodes of a cluster may do in S3: the policies of their role, and those of the buckets of this account.

A bucket of another account allows or refuses by its own policy, as MiniStack does at each request of a step; the
role of the nodes must allow it as well, and that is decided here.

The words are those of Hadoop 3.4.2 (S3A) and S3. S3A looks at a path with HEAD first; the answer to HEAD has no body,
so the exception says `null` where S3's message would be.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from toptalkers.sandbox.emr_cluster import StepEnd, StepRun
from toptalkers.sandbox.emr_roles import Role, Roles
from toptalkers.sandbox.iam import Decision, Policy, Request, decide_by_resource

NODE = "i-0123456789abcdef0"
"""The instance whose session asks."""


@dataclass(frozen=True)
class Denied:
    """A request of a step that S3 refuses.

    Attributes:
        option: the option of the step that needs it, such as `-input`.
        uri: the address in the option.
        action: such as `s3:ListBucket`.
        resource: the ARN of the bucket or object.
        decision: why it is refused.
        role: the ARN of the session.

    """

    option: str
    uri: str
    action: str
    resource: str
    decision: Decision
    role: str

    def message(self) -> str:
        """Return the message of the exception that Hadoop logs."""
        key = urlsplit(self.uri).path.lstrip("/")
        what = "Writing Object" if self.action == "s3:PutObject" else "getFileStatus"
        where = key if self.action == "s3:PutObject" else self.uri
        why = f'User: {self.role} is not authorized to perform: {self.action} on resource: "{self.resource}" '
        if self.decision == Decision.DENIED:
            why += "with an explicit deny"
        else:
            why += f"because no identity-based policy allows the {self.action} action"
        if key and self.action != "s3:PutObject":
            why = "null"
        request = f"Request ID: {secrets.token_hex(8).upper()}, Extended Request ID: {secrets.token_urlsafe(57)}"
        return (
            f"{where}: {what} on {where}: software.amazon.awssdk.services.s3.model.S3Exception: {why}"
            f" (Service: S3, Status Code: 403, {request}) (SDK Attempt Count: 1)"
            f":{'null' if why == 'null' else 'AccessDenied'}"
        )


@dataclass(frozen=True)
class NodeAccess:
    """The access of nodes to S3.

    Attributes:
        roles: the roles of the account.
        s3: a client of S3.
        account: the account's ID.

    """

    roles: Roles
    s3: Any = field(repr=False)
    account: str

    def find_denied(self, profile: str, arguments: Sequence[str]) -> Denied | None:
        """Find the first request of a step that S3 refuses to the role of an instance profile."""
        role = self.roles.of_profile(profile)
        for option, uri in _addresses(arguments):
            address = urlsplit(uri)
            bucket, key = f"arn:aws:s3:::{address.netloc}", address.path.strip("/")
            policy, is_own = self._bucket_policy(address.netloc)
            for action, resource, prefix in self._needs(option, bucket, key):
                decision = self._decide(role, action, resource, prefix, policy, is_own=is_own)
                if decision != Decision.ALLOWED:
                    return Denied(option, uri, action, resource, decision, self._session(role))
        return None

    def may_put(self, profile: str, address: str) -> bool:
        """Whether the nodes may put an object at an `s3://` address."""
        parts = urlsplit(address)
        policy, is_own = self._bucket_policy(parts.netloc)
        resource = f"arn:aws:s3:::{parts.netloc}{parts.path}"
        role = self.roles.of_profile(profile)
        return self._decide(role, "s3:PutObject", resource, "", policy, is_own=is_own) == Decision.ALLOWED

    def run(self, step: StepRun, run: Callable[[StepRun], StepEnd]) -> StepEnd:
        """Run a step with a runner, or let it fail as Hadoop does if S3 refuses one of its requests."""
        denied = self.find_denied(step.instance_profile, step.arguments)
        return fail_step(step, denied) if denied else run(step)

    def _needs(self, option: str, bucket: str, key: str) -> Iterator[tuple[str, str, str]]:
        """Yield action, resource and the prefix of a listing for an option's address."""
        folder = re.split(r"[*?\[{]", key)[0]  # S3A lists what is before the first sign of a pattern
        if option != "-files":
            yield "s3:ListBucket", bucket, folder
        if option == "-output":
            yield "s3:PutObject", f"{bucket}/{key}/_SUCCESS", ""
        elif option == "-files":
            yield "s3:GetObject", f"{bucket}/{key}", ""
        elif example := self._example(bucket.rpartition(":")[2], folder):
            yield "s3:GetObject", f"{bucket}/{example}", ""

    def _example(self, bucket: str, prefix: str) -> str:
        """Return the key of an object below a prefix; empty if there is none, or if it cannot be listed."""
        try:
            listed = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents", [])
        except ClientError:
            return ""
        return str(listed[0]["Key"]) if listed else ""

    def _bucket_policy(self, bucket: str) -> tuple[Policy, bool]:
        """Return the policy of a bucket, empty without one, and whether it is a bucket of this account."""
        try:
            return json.loads(self.s3.get_bucket_policy(Bucket=bucket)["Policy"]), True
        except ClientError as error:
            return {}, error.response["Error"]["Code"] not in ("AccessDenied", "MethodNotAllowed")

    def _decide(
        self, role: Role | None, action: str, resource: str, prefix: str, policy: Policy, *, is_own: bool
    ) -> Decision:
        if role is None:
            return Decision.NOT_ALLOWED
        context = {"aws:SecureTransport": "true", "aws:PrincipalArn": role.arn, "aws:PrincipalAccount": self.account}
        if action == "s3:ListBucket":
            context["s3:prefix"] = prefix
        if is_own:
            context["aws:ResourceAccount"] = context["s3:ResourceAccount"] = self.account
        own = role.may(action, resource, context)
        named = decide_by_resource(policy, Request(action, resource, context), [role.arn, self._session(role)])
        if Decision.DENIED in (own, named):
            return Decision.DENIED
        is_allowed = own == Decision.ALLOWED or (is_own and named == Decision.ALLOWED)
        return Decision.ALLOWED if is_allowed else Decision.NOT_ALLOWED

    def _session(self, role: Role | None) -> str:
        return f"arn:aws:sts::{self.account}:assumed-role/{role.name if role else 'none'}/{NODE}"


def fail_step(step: StepRun, denied: Denied) -> StepEnd:
    """End a step as Hadoop does when S3 refuses a request: at its start, or in a task if it cannot write."""
    message, now = denied.message(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S},000"
    if denied.option == "-files":
        client = {"stderr": f'Exception in thread "main" java.nio.file.AccessDeniedException: {message}\n'}
    elif denied.action == "s3:PutObject":
        client = {
            "syslog": f"{now} INFO org.apache.hadoop.mapreduce.Job (main): Task Id : attempt_1_0001_r_000000_0,"
            f" Status : FAILED\nError: java.nio.file.AccessDeniedException: {message}\n"
            "\tat org.apache.hadoop.fs.s3a.S3AUtils.translateException(S3AUtils.java:271)\n\n"
            f"{now} ERROR org.apache.hadoop.streaming.StreamJob (main): Job not successful!\n",
            "stderr": "Streaming Command Failed!\n",
        }
    else:
        client = {
            "syslog": f"{now} ERROR org.apache.hadoop.streaming.StreamJob (main): Error Launching job : {message}\n",
            "stderr": "Streaming Command Failed!\n",
        }
    named: Mapping[str, bytes] = {name: text.encode() for name, text in client.items()}
    return StepEnd(1, step.name_logs(client=named, scripts=b""))


def _addresses(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the options of a step that take addresses in S3, each with one address."""
    order = {"-files": 0, "-output": 1, "-input": 2}  # as Hadoop looks at them
    found = [
        (option, uri.partition("#")[0])
        for option, value in pairwise(arguments)
        if option in order
        for uri in (value.split(",") if option == "-files" else [value])
        if uri.startswith("s3://")
    ]
    return iter(sorted(found, key=lambda pair: order[pair[0]]))
