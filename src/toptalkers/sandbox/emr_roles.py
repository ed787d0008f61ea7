"""The roles of a cluster, as IAM has them: what EMR itself may do in EC2, and what the nodes may do in S3.

MiniStack keeps roles and policies, but its IAM does not decide for EMR, which is not a part of it.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from toptalkers.sandbox.iam import Decision, Policy, Request, decide

LOGGER = logging.getLogger(__name__)

AWS_POLICIES = Path(__file__).parent / "policies"
"""AWS's own managed policies that the roles of a cluster have, each in a file of its name."""


@dataclass(frozen=True)
class Role:
    """A role with all that decides about its requests.

    Attributes:
        arn: its ARN.
        trust: its trust policy.
        policies: its policies, inline and attached.
        boundary: its permissions boundary as a single policy; None without one.

    """

    arn: str
    trust: Policy
    policies: tuple[Policy, ...]
    boundary: tuple[Policy, ...] | None = None

    @property
    def name(self) -> str:
        """Its name, without its path."""
        return self.arn.rpartition("/")[2]

    def may(self, action: str, resource: str, context: Mapping[str, str] | None = None) -> Decision:
        """Decide whether it may do something, by its own policies."""
        return decide(self.policies, Request(action, resource, context or {}), self.boundary)

    def trusts(self, service: str, context: Mapping[str, str]) -> bool:
        """Whether a service, such as `ec2.amazonaws.com`, may assume it."""
        statements = self.trust.get("Statement", [])
        naming = [
            {**one, "Resource": "*"}
            for one in (statements if isinstance(statements, list) else [statements])
            if service in str(one.get("Principal", {}).get("Service", ""))
        ]
        request = Request("sts:AssumeRole", self.arn, context)
        return decide([{"Statement": naming}], request) == Decision.ALLOWED


@dataclass(frozen=True)
class Roles:
    """The roles of an account.

    Attributes:
        iam: a client of IAM.

    """

    iam: Any = field(repr=False)

    def find(self, role: str) -> Role | None:
        """Find a role by its name or ARN."""
        name = role.rpartition("/")[2]
        try:
            found = self.iam.get_role(RoleName=name)["Role"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchEntity":
                return None
            raise
        inline = [
            self.iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"]
            for one in self.iam.list_role_policies(RoleName=name)["PolicyNames"]
        ]
        attached = self.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        boundary = found.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return Role(
            arn=found["Arn"],
            trust=_parsed(found["AssumeRolePolicyDocument"]),
            policies=tuple(map(_parsed, inline)) + tuple(self._managed(one["PolicyArn"]) for one in attached),
            boundary=(self._managed(boundary),) if boundary else None,
        )

    def of_profile(self, profile: str) -> Role | None:
        """Find the role of an instance profile, by the profile's name or ARN; None without a role."""
        try:
            found = self.iam.get_instance_profile(InstanceProfileName=profile.rpartition("/")[2])["InstanceProfile"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchEntity":
                return None
            raise
        return self.find(found["Roles"][0]["RoleName"]) if found["Roles"] else None

    def _managed(self, arn: str) -> Policy:
        """Return a managed policy; an empty one, which grants nothing, if it is one of AWS's that is not here."""
        if policy := _aws_policy(arn):
            return policy
        try:
            version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            document = self.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        except ClientError as error:
            LOGGER.warning("the sandbox does not have %s, so it grants nothing: %s", arn, error)
            return {}
        return _parsed(document)


@cache
def _aws_policy(arn: str) -> Policy | None:
    path = AWS_POLICIES / f"{arn.rpartition('/')[2]}.json"
    if ":iam::aws:policy/" not in arn or not path.exists():
        return None
    document: Policy = json.loads(path.read_text())["PolicyVersion"]["Document"]
    return document


def _parsed(document: Any) -> Policy:
    policy: Policy = json.loads(document) if isinstance(document, str) else document
    return policy
