"""S3: list, read, write, copy and delete the objects of a bucket.

API operations: ListObjectsV2, HeadObject, GetObject, HeadBucket (needs s3:ListBucket); and, changing things, PutObject,
CopyObject, DeleteObjects, DeleteBucket.
"""

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, cast

import botocore.exceptions as boto
from botocore.exceptions import ClientError
from urllib3.exceptions import HTTPError

from toptalkers.aws.failures import AwsError, code_of, explain, explained
from toptalkers.machine.cores import FETCHES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS_PER_REQUEST = 1000
"""The most keys that one DeleteObjects takes (S3 API reference)."""

PIECE_BYTES = 8 << 20
"""The size of a range. Most flow-log objects are smaller and fetched whole."""

RANGE_BYTES = 1 << 20
"""The size of the ranges in which a part of an object is fetched."""

PAUSE_S = 0.2
"""The wait before the first further attempt at a range, doubled for each after it."""

PIECES_AHEAD = 3
"""How many further ranges of an object are fetched while one is being read."""

ATTEMPTS = 5
"""An object is given up after this many attempts in a row without a byte."""

MOST_DENIED = 20
"""If this many objects are denied before the first one is read, a permission is missing, and reading ends."""

_READ_BYTES = 1 << 18

_WITH_ARCHIVES = {"OptionalObjectAttributes": ["RestoreStatus"]}
"""Makes a listing include which archived objects were restored."""

_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
"""Storage classes whose objects must be restored before they can be read (S3 user guide, "Archived objects")."""

_DENIED = {"AccessDenied", "403", "AllAccessDisabled"}
_GONE = {"NoSuchKey", "404", "MethodNotAllowed", "405"}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a bucket, as it was when it was listed.

    Attributes:
        size_bytes: its size as stored.
        modified: when it was written.
        archive: the archive from which it must be restored before it can be read; empty if it can be read.
        etag: changes when the content changes; empty if `head` made this.

    """

    key: str
    size_bytes: int
    modified: datetime
    archive: str = ""
    etag: str = ""


class ObjectRefusedError(AwsError):
    """S3 refuses one object, but perhaps not others. The message has the reason, without the object's name."""


class StorageGateway:
    """S3, through the given client.

    Reading ahead takes bounded memory: the ranges ahead of each open stream, and the first range of each object that
    was prefetched and not opened.
    """

    def __init__(self, client: "S3Client") -> None:
        """Take the client."""
        self._client = client
        self._pool = ThreadPoolExecutor(FETCHES, "fetch")
        self._prefetched: dict[tuple[str, StoredObject], Future[bytes]] = {}
        self._lock = threading.Lock()
        self._denied: set[tuple[str, str]] | None = set()

    @explained("s3")
    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write a whole object, replacing one of the same key."""
        self._client.put_object(Bucket=bucket, Key=key, Body=body)

    @explained("s3")
    def get(self, bucket: str, key: str) -> IO[bytes]:
        """Open an object for reading; bytes are fetched when they are read."""
        return cast("IO[bytes]", self._client.get_object(Bucket=bucket, Key=key)["Body"])

    @explained("s3")
    def first_bytes(self, bucket: str, key: str, count: int) -> bytes:
        """Read the beginning of an object that is not empty.

        Raises:
            ObjectRefusedError: S3 refuses this object: it is archived, gone, encrypted with another key, or another
                account's.

        """
        try:
            with self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{count - 1}")["Body"] as body:
                return body.read(count)
        except ClientError as error:
            reason = _why_refused(error)
            if reason is None:
                raise
            raise ObjectRefusedError(reason, code=code_of(error)) from error

    @explained("s3")
    def copy(self, bucket: str, key: str, to_bucket: str, to_key: str) -> None:
        """Copy an object of at most 5 GiB within S3, without downloading it."""
        self._client.copy_object(CopySource={"Bucket": bucket, "Key": key}, Bucket=to_bucket, Key=to_key)

    @explained("s3")
    def head(self, bucket: str, key: str) -> StoredObject | None:
        """Describe an object; None when there is none."""
        try:
            found = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return StoredObject(key, found["ContentLength"], found["LastModified"])

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        """Yield all objects below a prefix, in the order of their keys; fetch a thousand at a time."""
        for one in self._listed(bucket, prefix, **_WITH_ARCHIVES):
            if isinstance(one, StoredObject):
                yield one

    def level(self, bucket: str, prefix: str) -> tuple[Sequence[StoredObject], Sequence[str]]:
        """Return the objects whose keys have no further `/` after a prefix, and the prefixes one `/` longer."""
        found = list(self._listed(bucket, prefix, Delimiter="/", **_WITH_ARCHIVES))
        return [one for one in found if isinstance(one, StoredObject)], [one for one in found if isinstance(one, str)]

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the prefixes one `/` longer than a prefix, in order."""
        return (one for one in self._listed(bucket, prefix, Delimiter="/") if isinstance(one, str))

    def _listed(self, bucket: str, prefix: str, **options: Any) -> Iterator[StoredObject | str]:
        with explained("s3"), _naming(bucket):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **options)
            for page in pages:
                for one in page.get("Contents", []):
                    is_restored = "RestoreExpiryDate" in one.get("RestoreStatus", {})
                    archive = "" if is_restored or one.get("StorageClass") not in _ARCHIVES else one["StorageClass"]
                    yield StoredObject(one["Key"], one["Size"], one["LastModified"], archive, one.get("ETag", ""))
                for folder in page.get("CommonPrefixes", []):
                    yield folder["Prefix"]

    @explained("s3")
    def delete_many(self, bucket: str, keys: Iterable[str], *, on_deleted: Callable[[int], None]) -> None:
        """Delete objects, a thousand per request; `on_deleted` is called with the number deleted by each.

        Raises:
            AwsError: S3 does not delete one of them; the ones before it are gone.

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
        """Whether a bucket exists and may be listed."""
        try:
            self._client.list_objects_v2(Bucket=bucket, Prefix="", MaxKeys=1)
        except ClientError as error:
            if code_of(error) == "NoSuchBucket":
                return False
            raise
        return True

    def region_of(self, bucket: str) -> str:
        """The name of a bucket's Region; empty if S3 does not tell. A look that is denied is no error."""
        try:
            return self._client.head_bucket(Bucket=bucket).get("BucketRegion", "")
        except (boto.BotoCoreError, ClientError):
            return ""

    @explained("s3")
    def delete_bucket(self, bucket: str) -> bool:
        """Delete an empty bucket; False if it is not empty. True also if there was no such bucket."""
        try:
            self._client.delete_bucket(Bucket=bucket)
        except ClientError as error:
            code = code_of(error)
            if code == "BucketNotEmpty":
                return False
            if code != "NoSuchBucket":
                raise
        return True

    def prefetch(self, bucket: str, listed: StoredObject) -> None:
        """Begin to fetch an object that will be opened soon."""
        with self._lock:
            if (bucket, listed) not in self._prefetched:
                self._prefetched[bucket, listed] = self._submit(bucket, listed, 0)

    def open_ahead(self, bucket: str, listed: StoredObject) -> "ObjectStream":
        """Open a listed object for reading in order; several ranges of it are fetched at a time.

        Reading the stream raises OSError when the object has changed since it was listed, is gone, or is refused. It
        raises AwsError when AWS refuses all objects: the credentials are not valid, or the first `MOST_DENIED` objects
        are denied.
        """
        with self._lock:
            first = self._prefetched.pop((bucket, listed), None)
        starts = range(0, listed.size_bytes, PIECE_BYTES)
        return ObjectStream(starts, lambda start: self._submit(bucket, listed, start), first)

    def open_ranges(self, bucket: str, listed: StoredObject) -> "ObjectRanges":
        """Open a listed object for reading at any place; otherwise like `open_ahead`."""
        with self._lock:
            first = self._prefetched.pop((bucket, listed), None)

        def submit(start: int, end: int) -> Future[bytes]:
            return self._pool.submit(self._fetch, bucket, listed, start, end)

        return ObjectRanges(listed.size_bytes, submit, first)

    def _submit(self, bucket: str, listed: StoredObject, start: int) -> Future[bytes]:
        return self._pool.submit(self._fetch, bucket, listed, start, min(start + PIECE_BYTES, listed.size_bytes))

    def _fetch(self, bucket: str, listed: StoredObject, start: int, end: int) -> bytes:
        """Fetch the bytes in [start, end); after a dropped connection, continue where it broke off."""
        data = bytearray()
        failures = 0
        while start + len(data) < end:
            before = len(data)
            reason = "S3 sent less than was asked for"
            try:
                answer = self._client.get_object(
                    Bucket=bucket,
                    Key=listed.key,
                    Range=f"bytes={start + before}-{end - 1}",
                    IfMatch=listed.etag,
                )
                if answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                    raise OSError("the server does not return ranges of objects")
                with answer["Body"] as body:
                    self._denied = None
                    while piece := body.read(_READ_BYTES):
                        data += piece
            except ClientError as error:
                code = code_of(error)
                if code in ("PreconditionFailed", "412", "InvalidRange", "416"):
                    raise OSError("the object changed while it was being read") from error
                why = _why_refused(error)
                if why is None or (code in _DENIED and "kms:" not in why and self._are_all_denied(bucket, listed.key)):
                    raise explain(error, "s3") from error
                raise OSError(why) from error
            except (boto.HTTPClientError, boto.IncompleteReadError, HTTPError) as error:
                reason = str(error).rstrip(".")
            if start + len(data) >= end:
                break
            failures = 0 if len(data) > before else failures + 1
            if failures >= ATTEMPTS:
                raise OSError(f"S3 broke off {failures} times at byte {start + len(data):,}: {reason}")
            time.sleep(PAUSE_S * 2**failures)
        return bytes(data)

    def _are_all_denied(self, bucket: str, key: str) -> bool:
        """Whether no object was read so far, and enough of them were denied."""
        with self._lock:
            if self._denied is not None:
                self._denied.add((bucket, key))
            return self._denied is not None and len(self._denied) >= MOST_DENIED


class ObjectStream(io.RawIOBase):
    """An object's bytes in order, fetched ahead of the reader."""

    def __init__(
        self, starts: range, submit: Callable[[int], Future[bytes]], first: Future[bytes] | None = None
    ) -> None:
        """Keep the starts of the ranges, the function that fetches one, and the first range if it was prefetched."""
        super().__init__()
        self._starts = deque(starts)
        self._submit = submit
        self._coming: deque[Future[bytes]] = deque()
        self._piece = memoryview(b"")
        if first is not None and self._starts:
            self._starts.popleft()
            self._coming.append(first)

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes; b"" at the end."""
        if not self._piece:
            while self._starts and len(self._coming) <= PIECES_AHEAD:
                self._coming.append(self._submit(self._starts.popleft()))
            if not self._coming:
                return b""
            self._piece = memoryview(self._coming.popleft().result())
        taken = self._piece if size < 0 else self._piece[:size]
        self._piece = self._piece[len(taken) :]
        return bytes(taken)

    def close(self) -> None:
        """Cancel the fetches that were not read."""
        for future in self._coming:
            future.cancel()
        self._coming.clear()
        self._starts.clear()
        super().close()


class ObjectRanges(io.RawIOBase):
    """An object's bytes at any place. A large read is fetched in several ranges at a time."""

    def __init__(
        self, size: int, submit: Callable[[int, int], Future[bytes]], first: Future[bytes] | None = None
    ) -> None:
        """Keep the object's size, the function that fetches [start, end), and the first range if it was prefetched."""
        super().__init__()
        self._size = size
        self._submit = submit
        self._place = 0
        self._first = first

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the place on; b"" at the end."""
        start = self._place
        end = self._size if size < 0 else min(start + size, self._size)
        if self._first and start < PIECE_BYTES:
            data = self._first.result()[start:end]
        else:
            coming = [self._submit(at, min(at + RANGE_BYTES, end)) for at in range(start, end, RANGE_BYTES)]
            data = b"".join(one.result() for one in coming)
        self._place += len(data)
        return data

    def close(self) -> None:
        """Cancel a fetch that was not read."""
        if self._first:
            self._first.cancel()
        super().close()


def describe_archive(archive: str) -> str:
    """Return why an archived object cannot be read."""
    return f"archived ({archive}), and must be restored before it can be read"


@contextmanager
def _naming(bucket: str) -> Iterator[None]:
    """Name the bucket where S3's refusal does not: of another account's it only says "Access Denied"."""
    try:
        yield
    except ClientError as error:
        if code_of(error) not in _DENIED | {"NoSuchBucket"}:
            raise
        refusal = explain(error, "s3")
        if bucket in refusal.message:
            raise
        raise AwsError(f"s3://{bucket}: {refusal.message}", hint=refusal.hint, code=refusal.code) from error


def _why_refused(error: ClientError) -> str | None:
    """Return why S3 refuses one object, in one line; None for an error that concerns all objects."""
    code = code_of(error)
    said = " ".join(error.response.get("Error", {}).get("Message", "").split()).rstrip(".")
    if code in _GONE:
        return "the object is gone"
    if code == "InvalidObjectState":
        return describe_archive(str(error.response.get("StorageClass") or "an archive tier"))
    if code in _DENIED:
        return f"access denied, by another key or another owner: {said}"
    if code == "InvalidRequest" or code.startswith("KMS."):
        return f"S3 does not give it: {said}"
    return None
