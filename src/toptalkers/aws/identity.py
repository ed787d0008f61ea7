"""STS: whose credentials these are.

API operations: GetCallerIdentity (which needs no permission).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toptalkers.aws.failures import explained

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient


@dataclass(frozen=True, slots=True)
class Identity:
    """The number of the account, and its partition: `aws`, `aws-cn` or `aws-us-gov`."""

    account_id: str
    partition: str


class IdentityGateway:
    """STS, through the given client."""

    def __init__(self, client: "STSClient") -> None:
        """Take the client."""
        self._client = client

    @explained("sts")
    def get(self) -> Identity:
        """Return the account of the credentials."""
        found = self._client.get_caller_identity()
        return Identity(found["Account"], found["Arn"].split(":")[1])
