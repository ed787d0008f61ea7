"""A small fake account: a clock that only sleeping advances, S3, a stack, and EMR (`fake_emr`)."""

import gzip
import heapq
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from tests.fake_emr import FakeEmr
from tests.fake_network import FakeNetwork, FakeQuotas
from toptalkers.aws.account import Account, RoleToAssume
from toptalkers.capture.our_stack import OurStack
from toptalkers.cli.options import Opener
from toptalkers.runs.site import Site, site_of

BUCKET = "toptalkers-123456789012"

OUTPUTS = {
    "BucketName": BUCKET,
    "LogGroupName": "flow-records",
    "StreamName": "toptalkers-FlowStream",
    "EmrServiceRole": "toptalkers-EmrServiceRole",
    "EmrInstanceProfile": "toptalkers-EmrInstanceRole",
    "EmrSecurityConfiguration": "toptalkers-EmrSecurity",
    "ToptalkersVersion": "0",
}


class FakeClock:
    """Time passes only by sleeping; events that are due happen meanwhile.

    `interrupt_at` lists the seconds since the start at which a Ctrl-C comes, each once.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)) -> None:
        self.start = start
        self.seconds = 0.0
        self.interrupt_at: list[float] = []
        self._numbers = count()
        self._due: list[tuple[float, int, Callable[[], object]]] = []

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        heapq.heappush(self._due, (self.seconds + seconds, next(self._numbers), do))

    def sleep(self, seconds: float) -> None:
        end = self.seconds + seconds
        while self._due and self._due[0][0] <= end:
            self.seconds, _, do = heapq.heappop(self._due)
            do()
        self.seconds = end
        if self.interrupt_at and self.interrupt_at[0] <= end:
            self.interrupt_at.pop(0)
            raise KeyboardInterrupt


class FakeS3:
    """Objects in memory; `calls` are the operations called, and all of them raise `error` if it is set.

    `others` has the objects of other buckets by their names, and `regions` the Regions of buckets that tell theirs.
    `archived` has keys that are listed as GLACIER, `refused` GetObject's refusals by key: a code and a message.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.others: dict[str, dict[str, bytes]] = {}
        self.regions: dict[str, str] = {}
        self.calls: list[str] = []
        self.archived: set[str] = set()
        self.refused: dict[str, tuple[str, str]] = {}
        self.error: ClientError | None = None

    def _begin(self, operation: str, bucket: str) -> None:
        self.calls.append(operation)
        if self.error:
            raise self.error
        assert bucket == BUCKET or bucket in self.others, bucket

    def of(self, bucket: str) -> dict[str, bytes]:
        """The objects of a bucket."""
        return self.objects if bucket == BUCKET else self.others[bucket]

    def head_bucket(self, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        self._begin("HeadBucket", Bucket)
        if Bucket not in self.regions:
            raise refusal("403", "Forbidden", "HeadBucket")
        return {"BucketRegion": self.regions[Bucket]}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("PutObject", Bucket)
        self.objects[Key] = Body
        return {}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:  # noqa: N803
        self._begin("GetObject", Bucket)
        if Key in self.refused:
            raise refusal(*self.refused[Key], "GetObject")
        end = int(Range.partition("-")[2]) + 1 if Range else None
        return {"Body": io.BytesIO(self.of(Bucket)[Key][:end])}

    def copy_object(self, *, CopySource: dict[str, str], Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self._begin("CopyObject", Bucket)
        self.objects[Key] = self.of(CopySource["Bucket"])[CopySource["Key"]]
        return {}

    def delete_objects(self, *, Bucket: str, Delete: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("DeleteObjects", Bucket)
        for one in Delete["Objects"]:
            self.objects.pop(one["Key"], None)
        return {}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self._begin("HeadObject", Bucket)
        if Key not in self.objects:
            raise refusal("404", "Not Found", "HeadObject")
        return {"ContentLength": len(self.objects[Key]), "LastModified": datetime(2026, 11, 23, tzinfo=UTC)}

    def list_objects_v2(
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str,  # noqa: N803
        MaxKeys: int,  # noqa: N803
        ContinuationToken: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        (page,) = _ListObjects(self).paginate(Bucket=Bucket, Prefix=Prefix)
        found = [one for one in page["Contents"] if one["Key"] > ContinuationToken]
        answer: dict[str, Any] = {"Contents": found[:MaxKeys]} if found else {}
        more = {"IsTruncated": True, "NextContinuationToken": found[MaxKeys - 1]["Key"]} if found[MaxKeys:] else {}
        return {"IsTruncated": False, **answer, **more}

    def get_paginator(self, name: str) -> "_ListObjects":
        assert name == "list_objects_v2", name
        return _ListObjects(self)


class _ListObjects:
    def __init__(self, s3: FakeS3) -> None:
        self._s3 = s3

    def paginate(self, *, Bucket: str, Prefix: str, Delimiter: str = "", **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        self._s3._begin("ListObjectsV2", Bucket)
        contents, folders, objects = [], set(), self._s3.of(Bucket)
        for key in sorted(objects):
            if key.startswith(Prefix):
                below = key.removeprefix(Prefix)
                if Delimiter and Delimiter in below:
                    folders.add(Prefix + below.partition(Delimiter)[0] + Delimiter)
                else:
                    modified = datetime(2026, 11, 23, tzinfo=UTC)
                    listed = {"Key": key, "Size": len(objects[key]), "LastModified": modified}
                    if key in self._s3.archived:
                        listed["StorageClass"] = "GLACIER"
                    contents.append(listed)
        yield {"Contents": contents, "CommonPrefixes": [{"Prefix": one} for one in sorted(folders)]}


class FakeCloudFormation:
    """One stack of ours."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self.parameters = parameters

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:  # noqa: N803
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()]
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        arn = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{StackName}/1"
        stack = {"StackName": StackName, "StackId": arn, "StackStatus": "CREATE_COMPLETE"}
        return {"Stacks": [{**stack, "Outputs": outputs, "Parameters": parameters}]}


class FakeAccount(Opener):
    """Opens an `Account` with fake clients; the commands take it as their `obj`.

    Attributes:
        shortest_sleep: seconds; every shorter sleep takes as long.
        parameters: those of the stack.
        has_stack: whether there is one; otherwise no command may ask CloudFormation.

    """

    region = "us-east-1"
    bucket = BUCKET
    shortest_sleep = 0

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.fake_s3 = FakeS3()
        self.fake_ec2: Any = None
        self.fake_network = FakeNetwork()
        self.fake_quotas = FakeQuotas()
        self.parameters = {"RunLogsExpireDays": "30"}
        self.has_stack = True
        self.fake_emr = FakeEmr(self.clock, self._put_log)

    def _put_log(self, uri: str, content: bytes) -> None:
        self.fake_s3.objects[uri.removeprefix(f"s3://{BUCKET}/")] = content

    def open(
        self, *, region: str | None = None, profile: str | None = None, role: RoleToAssume | None = None
    ) -> Account:
        assert region is None
        assert profile in (None, "payer")
        assert role is None
        return Account(
            self.client,
            region=self.region,
            sleep=lambda seconds: self.clock.sleep(max(seconds, self.shortest_sleep)),
            now=self.clock.now,
        )

    def client(self, service: str, *, once: bool = False, slow: bool = False) -> Any:
        del once, slow
        self.fake_network.other = self.fake_ec2
        assert service != "cloudformation" or self.has_stack, "there is no stack to ask for"
        return {
            "cloudformation": FakeCloudFormation(self.parameters),
            "ec2": self.fake_network,
            "emr": self.fake_emr,
            "s3": self.fake_s3,
            "service-quotas": self.fake_quotas,
        }[service]

    @property
    def site(self) -> Site:
        return site_of(self.stack)

    @property
    def stack(self) -> OurStack:
        return OurStack("toptalkers", "arn", "CREATE_COMPLETE", outputs=OUTPUTS, parameters=self.parameters)

    def capture(self, hour: str, size: int = 100, number: int = 0) -> str:
        """Put an object where the Lambda would, for an hour like `2026/11/23/18`; return its key."""
        key = f"flowlogs/{hour}/shardId-000000000000-{number}-{number}.gz"
        self.fake_s3.objects[key] = gzip_of_size(size)
        return key

    def leave(self, answer: bytes) -> None:
        """Put an answer in S3 as the job of the newest run would."""
        record = [key for key in self.fake_s3.objects if key.endswith("/run.json")][-1]
        folder = f"{record.removesuffix('run.json')}toptalkers/"
        self.fake_s3.objects |= {f"{folder}part-00000.gz": gzip.compress(answer), f"{folder}_SUCCESS": b""}


def gzip_of_size(size: int) -> bytes:
    """Make a gzip file of that many bytes (at least 21) without content: the name in its header fills it."""
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (size - 21) + b"\0" + b"\x03\0" + bytes(8)


def refusal(code: str, message: str, operation: str) -> ClientError:
    """Make an error as botocore raises it."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)
