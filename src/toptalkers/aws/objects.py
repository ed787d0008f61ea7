"""S3, for reading much: objects listed by folders, and fetched in ranges, several at a time and ahead of the reader.

API operations: ListObjectsV2, GetObject.
"""

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import botocore.exceptions as boto
from botocore.exceptions import ClientError
from urllib3.exceptions import HTTPError

from toptalkers.aws.failures import explain, explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTIONS = 8
"""Ranges fetched at a time: one connection gives a fraction of what a machine's network does."""

PIECE_BYTES = 8 << 20
"""A range. Most flow-log objects are smaller, and so are fetched whole."""

PIECES_AHEAD = 3
"""Of an object that is being read, how many further ranges are fetched already."""

ATTEMPTS = 5
"""How often in a row a range may bring nothing before its object is given up."""

MOST_DENIED = 20
"""So many objects that are denied, before one was had, are a lack of permission, and end the reading."""

_READ_BYTES = 1 << 18

_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
"""Storage classes whose objects must be restored before they can be read (S3 user guide, "Archived objects")."""

_DENIED = {"AccessDenied", "403", "AllAccessDisabled"}
_GONE = {"NoSuchKey", "404", "MethodNotAllowed", "405"}

Part = Literal["all", "some", "none"]


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as it was when it was listed.

    Attributes:
        bucket: the bucket.
        key: the object's key.
        size_bytes: how large it is, as stored.
        etag: changes when the content does.
        archive: the archive that it would first have to be restored from; empty when it can be read.

    """

    bucket: str
    key: str
    size_bytes: int
    etag: str
    archive: str = ""

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.key}"


def archived_in(storage_class: str, *, is_restored: bool) -> str:
    """The archive that an object lies in, by its storage class; empty when it can be read."""
    return storage_class if storage_class in _ARCHIVES and not is_restored else ""


def describe_archive(archive: str) -> str:
    """Say of an archived object why it cannot be read, and what to do."""
    return f"archived ({archive}), and must be restored before it can be read"


def why_object_is_refused(error: ClientError) -> str | None:
    """Why S3 does not give one object, one line; None for an error that says something of all objects."""
    code = error.response.get("Error", {}).get("Code", "")
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


class ObjectReader:
    """Lists and reads objects through the client given.

    Memory is bounded: the pieces ahead of each open stream, and the first piece of each object begun and not opened.
    """

    def __init__(self, client: "S3Client", *, piece_bytes: int = PIECE_BYTES, pause_s: float = 0.2) -> None:
        """Take the client; `pause_s` is the wait before the first further attempt, doubled for each after it."""
        self._client = client
        self._piece_bytes = piece_bytes
        self._pause_s = pause_s
        self._pool = ThreadPoolExecutor(CONNECTIONS, "fetch")
        self._begun: dict[ListedObject, Future[bytes]] = {}
        self._lock = threading.Lock()
        self._denied: set[str] | None = set()

    def walk(self, bucket: str, prefix: str, wanted: Callable[[str], Part]) -> Iterator[ListedObject]:
        """List the objects below a prefix in the order of their keys within a folder.

        Args:
            bucket: the bucket.
            prefix: where their keys begin.
            wanted: says of a folder (a key that ends with `/`) whether all below it is wanted, which takes a request
                a thousand objects; some, which takes a request a folder; or none, which takes no request.

        """
        request: dict[str, Any] = {
            "Bucket": bucket,
            "Prefix": prefix,
            "OptionalObjectAttributes": ["RestoreStatus"],
        }
        if wanted(prefix) == "some":
            request["Delimiter"] = "/"
        folders = []
        with explained("s3"):
            for page in self._client.get_paginator("list_objects_v2").paginate(**request):
                for one in page.get("Contents", []):
                    is_restored = "RestoreExpiryDate" in one.get("RestoreStatus", {})
                    archive = archived_in(one.get("StorageClass", ""), is_restored=is_restored)
                    yield ListedObject(bucket, one["Key"], one["Size"], one["ETag"], archive)
                folders += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
        for folder in folders:
            if wanted(folder) != "none":
                yield from self.walk(bucket, folder, wanted)

    def begin(self, listed: ListedObject) -> None:
        """Begin to fetch an object that will be opened soon."""
        with self._lock:
            if listed not in self._begun:
                self._begun[listed] = self._submit(listed, 0)

    def open(self, listed: ListedObject) -> "ObjectStream":
        """Open an object; reading it raises OSError when it has changed, is gone, or S3 does not give it.

        Reading raises AwsError where AWS refuses all objects: for the credentials, or when the first
        `MOST_DENIED` objects are denied.
        """
        with self._lock:
            first = self._begun.pop(listed, None)
        starts = range(0, listed.size_bytes, self._piece_bytes)
        return ObjectStream(starts, lambda start: self._submit(listed, start), first)

    def _submit(self, listed: ListedObject, start: int) -> Future[bytes]:
        return self._pool.submit(self._fetch, listed, start, min(start + self._piece_bytes, listed.size_bytes))

    def _fetch(self, listed: ListedObject, start: int, end: int) -> bytes:
        """Fetch the bytes in [start, end); a dropped connection goes on where it broke off."""
        data = bytearray()
        failures = 0
        while start + len(data) < end:
            before = len(data)
            reason = "S3 sent less than was asked for"
            try:
                answer = self._client.get_object(
                    Bucket=listed.bucket,
                    Key=listed.key,
                    Range=f"bytes={start + before}-{end - 1}",
                    IfMatch=listed.etag,
                )
                if answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                    raise OSError("the server gives no ranges of objects")
                with answer["Body"] as body:
                    self._denied = None
                    while piece := body.read(_READ_BYTES):
                        data += piece
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code in ("PreconditionFailed", "412", "InvalidRange", "416"):
                    raise OSError("the object changed while it was being read") from error
                why = why_object_is_refused(error)
                if why is None or (code in _DENIED and "kms:" not in why and self._are_all_denied(listed)):
                    raise explain(error, "s3") from error
                raise OSError(why) from error
            except (boto.HTTPClientError, boto.IncompleteReadError, HTTPError) as error:
                reason = str(error).rstrip(".")
            if start + len(data) >= end:
                break
            failures = 0 if len(data) > before else failures + 1
            if failures >= ATTEMPTS:
                raise OSError(f"S3 broke off {failures} times at byte {start + len(data):,}: {reason}")
            time.sleep(self._pause_s * 2**failures)
        return bytes(data)

    def _are_all_denied(self, listed: ListedObject) -> bool:
        """Whether no object was had so far, and enough of them were denied."""
        with self._lock:
            if self._denied is not None:
                self._denied.add(listed.uri)
            return self._denied is not None and len(self._denied) >= MOST_DENIED


class ObjectStream(io.RawIOBase):
    """An object's bytes in order, fetched ahead of the reader."""

    def __init__(
        self, starts: range, submit: Callable[[int], Future[bytes]], first: Future[bytes] | None = None
    ) -> None:
        """Take where pieces start, how to fetch one, and the first one if that was begun."""
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
        """Give up to so many bytes, b"" at the end."""
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
        """Let go of what was not read."""
        for future in self._coming:
            future.cancel()
        self._coming.clear()
        self._starts.clear()
        super().close()
