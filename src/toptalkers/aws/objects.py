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

_READ_BYTES = 1 << 18

Part = Literal["all", "some", "none"]


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as it was when it was listed; `etag` changes when its content does."""

    bucket: str
    key: str
    size_bytes: int
    etag: str

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.key}"


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

    def walk(self, bucket: str, prefix: str, wanted: Callable[[str], Part]) -> Iterator[ListedObject]:
        """List the objects below a prefix in the order of their keys within a folder.

        Args:
            bucket: the bucket.
            prefix: where their keys begin.
            wanted: says of a folder (a key that ends with `/`) whether all below it is wanted, which takes a request
                a thousand objects; some, which takes a request a folder; or none, which takes no request.

        """
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
        if wanted(prefix) == "some":
            request["Delimiter"] = "/"
        folders = []
        with explained("s3"):
            for page in self._client.get_paginator("list_objects_v2").paginate(**request):
                for one in page.get("Contents", []):
                    yield ListedObject(bucket, one["Key"], one["Size"], one["ETag"])
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
        """Open an object; reading it raises OSError when it has changed, is gone, or cannot be had.

        Reading raises AwsError where AWS refuses: the next object would be refused as well.
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
                    while piece := body.read(_READ_BYTES):
                        data += piece
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code in ("PreconditionFailed", "412", "InvalidRange", "416"):
                    raise OSError("the object changed while it was being read") from error
                if code in ("NoSuchKey", "404"):
                    raise OSError("the object is gone") from error
                raise explain(error, "s3") from error
            except (boto.HTTPClientError, boto.IncompleteReadError, HTTPError) as error:
                reason = str(error).rstrip(".")
            if start + len(data) >= end:
                break
            failures = 0 if len(data) > before else failures + 1
            if failures >= ATTEMPTS:
                raise OSError(f"S3 broke off {failures} times at byte {start + len(data):,}: {reason}")
            time.sleep(self._pause_s * 2**failures)
        return bytes(data)


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
