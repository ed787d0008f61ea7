"""S3: the settings of a bucket.

API operations: GetBucketLocation, GetBucketPolicy, GetBucketLifecycleConfiguration, GetPublicAccessBlock,
GetBucketEncryption, GetBucketOwnershipControls; and, changing things, PutBucketPolicy,
PutBucketLifecycleConfiguration, PutPublicAccessBlock, PutBucketEncryption, PutBucketOwnershipControls.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from toptalkers.aws.failures import code_of, explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NONE = {
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "OwnershipControlsNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
}
"""The codes for a setting that a bucket does not have (S3 API reference)."""


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """The settings of a bucket, each as the S3 API has it; empty where there is none.

    Attributes:
        policy: the bucket policy.
        rules: the lifecycle rules.
        size_rule: which sizes the rules move to other storage classes (TransitionDefaultMinimumObjectSize).
        public_access_block: PublicAccessBlockConfiguration.
        encryption: the rule of the default encryption.
        ownership: ObjectOwnership.

    """

    policy: Mapping[str, Any]
    rules: tuple[Mapping[str, Any], ...]
    public_access_block: Mapping[str, bool]
    encryption: Mapping[str, Any]
    ownership: str
    size_rule: str = ""


class BucketGateway:
    """S3, through the given client. Each request is refused by S3 if the bucket is not that account's."""

    def __init__(self, client: "S3Client") -> None:
        """Take the client."""
        self._client = client

    @explained("s3")
    def region(self, bucket: str, owner: str) -> str | None:
        """Return the Region of an account's bucket; None when there is no such bucket."""
        try:
            found = self._client.get_bucket_location(Bucket=bucket, ExpectedBucketOwner=owner)
        except ClientError as error:
            if code_of(error) == "NoSuchBucket":
                return None
            raise
        # The two Regions that are older than their names (S3 API reference, GetBucketLocation).
        place = str(dict(found).get("LocationConstraint") or "us-east-1")
        return "eu-west-1" if place == "EU" else place

    @explained("s3")
    def policy(self, bucket: str, owner: str) -> Mapping[str, Any]:
        """Return the policy of a bucket; empty when it has none."""
        found = _or_none(lambda: self._client.get_bucket_policy(Bucket=bucket, ExpectedBucketOwner=owner))
        return dict(json.loads(found["Policy"])) if found else {}

    @explained("s3")
    def settings(self, bucket: str, owner: str) -> BucketSettings:
        """Return all settings of a bucket."""
        of: Any = {"Bucket": bucket, "ExpectedBucketOwner": owner}
        lifecycle = _or_none(lambda: self._client.get_bucket_lifecycle_configuration(**of))
        block = _or_none(lambda: self._client.get_public_access_block(**of))
        encryption = _or_none(lambda: self._client.get_bucket_encryption(**of))
        controls = _or_none(lambda: self._client.get_bucket_ownership_controls(**of))
        rules = encryption.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        owners = controls.get("OwnershipControls", {}).get("Rules", [])
        return BucketSettings(
            policy=self.policy(bucket, owner),
            rules=tuple(lifecycle.get("Rules", ())),
            public_access_block=block.get("PublicAccessBlockConfiguration", {}),
            encryption=rules[0] if rules else {},
            ownership=owners[0]["ObjectOwnership"] if owners else "",
            size_rule=lifecycle.get("TransitionDefaultMinimumObjectSize", ""),
        )

    @explained("s3")
    def put_policy(self, bucket: str, owner: str, policy: Mapping[str, Any]) -> None:
        """Replace the whole policy of a bucket."""
        self._client.put_bucket_policy(Bucket=bucket, ExpectedBucketOwner=owner, Policy=json.dumps(policy))

    @explained("s3")
    def put_rules(self, bucket: str, owner: str, rules: Sequence[Mapping[str, Any]], size_rule: str) -> None:
        """Replace all lifecycle rules of a bucket."""
        sizes: Any = {"TransitionDefaultMinimumObjectSize": size_rule} if size_rule else {}
        configuration: Any = {"Rules": list(rules)}
        self._client.put_bucket_lifecycle_configuration(
            Bucket=bucket, ExpectedBucketOwner=owner, LifecycleConfiguration=configuration, **sizes
        )

    @explained("s3")
    def put_public_access_block(self, bucket: str, owner: str, block: Mapping[str, bool]) -> None:
        """Replace the settings that block public access."""
        configuration: Any = dict(block)
        self._client.put_public_access_block(
            Bucket=bucket, ExpectedBucketOwner=owner, PublicAccessBlockConfiguration=configuration
        )

    @explained("s3")
    def put_encryption(self, bucket: str, owner: str, rule: Mapping[str, Any]) -> None:
        """Replace the default encryption."""
        configuration: Any = {"Rules": [rule]}
        self._client.put_bucket_encryption(
            Bucket=bucket, ExpectedBucketOwner=owner, ServerSideEncryptionConfiguration=configuration
        )

    @explained("s3")
    def put_ownership(self, bucket: str, owner: str, ownership: str) -> None:
        """Replace who owns the objects of a bucket."""
        controls: Any = {"Rules": [{"ObjectOwnership": ownership}]}
        self._client.put_bucket_ownership_controls(Bucket=bucket, ExpectedBucketOwner=owner, OwnershipControls=controls)


def _or_none(ask: Callable[[], Any]) -> Any:
    """Return an answer; empty when the bucket has no such setting."""
    try:
        return ask()
    except ClientError as error:
        if code_of(error) in _NONE:
            return {}
        raise
