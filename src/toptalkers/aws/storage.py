"""S3: the objects of a bucket.

API operations: ListObjectsV2, HeadObject, GetObject; and, changing things, PutObject, CopyObject, DeleteObjects,
DeleteBucket.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from toptalkers.aws.failures import AwsError, explained
from toptalkers.aws.objects import archived_in, why_object_is_refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS_PER_REQUEST = 1000
"""The most keys that one DeleteObjects takes (S3 API reference)."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a bucket; `archive` is what it would first have to be restored from, as far as the listing tells."""

    key: str
    size_bytes: int
    modified: datetime
    archive: str = ""


class ObjectRefusedError(AwsError):
    """S3 does not give one object, which says nothing of others; the message says why, without the object's name."""


class StorageGateway:
    """S3 through the client given."""

    def __init__(self, client: "S3Client") -> None:
        """Take the client."""
        self._client = client

    @explained("s3")
    def put(self, bucket: str, key: str, body: bytes | IO[bytes], *, metadata: Mapping[str, str] | None = None) -> None:
        """Write an object whole, over one of the same key."""
        self._client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata or {})

    @explained("s3")
    def get(self, bucket: str, key: str) -> IO[bytes]:
        """Open an object for reading; what is read comes as it is asked for."""
        return cast("IO[bytes]", self._client.get_object(Bucket=bucket, Key=key)["Body"])

    @explained("s3")
    def first_bytes(self, bucket: str, key: str, count: int) -> bytes:
        """Read the beginning of an object that is not empty.

        Raises:
            ObjectRefusedError: S3 does not give this object: it is archived, encrypted otherwise, another's, or gone.

        """
        try:
            with self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{count - 1}")["Body"] as body:
                return body.read(count)
        except ClientError as error:
            reason = why_object_is_refused(error)
            if reason is None:
                raise
            code = error.response.get("Error", {}).get("Code", "")
            raise ObjectRefusedError(reason, code=code) from error

    @explained("s3")
    def copy(self, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
        """Copy an object of at most 5 GiB inside of S3; nothing travels."""
        self._client.copy_object(CopySource={"Bucket": bucket, "Key": key}, Bucket=to_bucket, Key=to_key)

    @explained("s3")
    def head(self, bucket: str, key: str) -> StoredObject | None:
        """Describe an object; None when there is none."""
        try:
            found = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return StoredObject(key, found["ContentLength"], found["LastModified"])

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """Give the objects below a prefix in the order of their keys, a page of a thousand at a time."""
        with explained("s3"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, OptionalObjectAttributes=["RestoreStatus"]
            )
            for page in pages:
                for one in page.get("Contents", []):
                    is_restored = "RestoreExpiryDate" in one.get("RestoreStatus", {})
                    archive = archived_in(one.get("StorageClass", ""), is_restored=is_restored)
                    yield StoredObject(one["Key"], one["Size"], one["LastModified"], archive)

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """Give the prefixes one `/` further than a prefix, in their order."""
        with explained("s3"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
            for page in pages:
                for one in page.get("CommonPrefixes", []):
                    yield one["Prefix"]

    @explained("s3")
    def delete_many(self, bucket: str, keys: Iterable[str], *, on_deleted: Callable[[int], None]) -> None:
        """Delete objects, a thousand a request; `on_deleted` is told the number of each.

        Raises:
            AwsError: S3 would not delete one of them; those before it are gone.

        """
        rest = iter(keys)
        while some := list(islice(rest, KEYS_PER_REQUEST)):
            answer = self._client.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in some], "Quiet": True}
            )
            for error in answer.get("Errors", []):
                raise AwsError(
                    f"s3://{bucket}/{error.get('Key', '')} is not deleted: {error.get('Message', '')}",
                    code=error.get("Code", ""),
                )
            on_deleted(len(some))

    @explained("s3")
    def has_bucket(self, bucket: str) -> bool:
        """Whether a bucket is there, and may be listed."""
        try:
            self._client.list_objects_v2(Bucket=bucket, Prefix="", MaxKeys=1)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
                return False
            raise
        return True

    @explained("s3")
    def delete_bucket(self, bucket: str) -> bool:
        """Delete an empty bucket; whether it was empty, and is gone (or was gone before)."""
        try:
            self._client.delete_bucket(Bucket=bucket)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "BucketNotEmpty":
                return False
            if code != "NoSuchBucket":
                raise
        return True
