"""Kinesis: the stream that flow records arrive on.

API operations: DescribeStreamSummary.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from toptalkers.aws.failures import code_of, explained

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

MOST_RESHARDINGS = 10
"""How often the shards of a stream can be changed in any 24 hours (Kinesis API reference, UpdateShardCount)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream; for an on-demand stream, AWS chooses the number of shards."""

    name: str
    status: str
    shards: int
    is_on_demand: bool


class StreamGateway:
    """Kinesis, through the given client."""

    def __init__(self, client: "KinesisClient") -> None:
        """Take the client."""
        self._client = client

    @explained("kinesis")
    def find(self, name: str) -> Stream | None:
        """Describe a stream; None if it does not exist."""
        try:
            found = self._client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return None
            raise
        return Stream(
            name=name,
            status=found["StreamStatus"],
            shards=found.get("OpenShardCount", 0),
            is_on_demand=found.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND",
        )


def reshard(shards: int, target: int) -> tuple[int, ...]:
    """Return the numbers of shards, one per update, that lead from one number to another; empty when they are equal.

    One update at most doubles the open shards, and leaves at least half of them (Kinesis API reference,
    UpdateShardCount). So each step can also be rolled back.
    """
    steps = []
    while shards != target:
        shards = min(target, 2 * shards) if target > shards else max(target, (shards + 1) // 2)
        steps.append(shards)
    return tuple(steps)
