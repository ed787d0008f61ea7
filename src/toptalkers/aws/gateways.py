"""All gateways of one account and Region, each made when first used."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from toptalkers.aws.emr import ClusterGateway
from toptalkers.aws.flowlogs import FlowLogGateway
from toptalkers.aws.metrics import MetricsGateway
from toptalkers.aws.stack import StackGateway
from toptalkers.aws.storage import StorageGateway
from toptalkers.aws.stream import StreamGateway

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_emr import EMRClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client


class ClientSource(Protocol):
    """What makes clients: `aws.session.Clients`, or a test's own."""

    @property
    def region(self) -> str:
        """The Region of all of them."""

    def cloudformation(self) -> "CloudFormationClient":
        """The client of CloudFormation."""

    def cloudwatch(self) -> "CloudWatchClient":
        """The client of CloudWatch."""

    def ec2(self) -> "EC2Client":
        """The client of EC2."""

    def emr(self) -> "EMRClient":
        """The client of EMR."""

    def emr_once(self) -> "EMRClient":
        """A client of EMR that sends each request once."""

    def kinesis(self) -> "KinesisClient":
        """The client of Kinesis."""

    def s3(self) -> "S3Client":
        """The client of S3."""


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


class Gateways:
    """The doors to AWS, the clock, and what waits."""

    def __init__(
        self,
        clients: ClientSource,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Take what makes clients, what waits and what tells the time."""
        self._clients = clients
        self.region = clients.region
        self.sleep = sleep
        self.now = now

    @cached_property
    def stacks(self) -> StackGateway:
        """CloudFormation."""
        return StackGateway(self._clients.cloudformation(), sleep=self.sleep)

    @cached_property
    def flow_logs(self) -> FlowLogGateway:
        """EC2."""
        return FlowLogGateway(self._clients.ec2())

    @cached_property
    def storage(self) -> StorageGateway:
        """S3."""
        return StorageGateway(self._clients.s3())

    @cached_property
    def clusters(self) -> ClusterGateway:
        """EMR."""
        return ClusterGateway(self._clients.emr(), self._clients.emr_once())

    @cached_property
    def streams(self) -> StreamGateway:
        """Kinesis."""
        return StreamGateway(self._clients.kinesis())

    @cached_property
    def metrics(self) -> MetricsGateway:
        """CloudWatch."""
        return MetricsGateway(self._clients.cloudwatch())
