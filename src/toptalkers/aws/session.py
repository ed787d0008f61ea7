"""The factory of clients: who we are, where, and how patient.

Region, profile and credentials come from where every AWS tool has them (environment, ~/.aws, instance role);
`AWS_ENDPOINT_URL` is obeyed by boto3 itself.
"""

import os
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from toptalkers import __version__
from toptalkers.aws.failures import AwsError, explained

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_emr import EMRClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client

CONFIG = Config(
    # Five attempts ride out a throttled minute, and still let a mistyped Region fail within seconds.
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=10,
    user_agent_extra=f"toptalkers/{__version__}",
)


class Clients:
    """Clients of one account and Region, each made when asked for.

    Raises:
        AwsError: there is no such profile, no Region is named, or there are no credentials.

    """

    def __init__(self, *, region: str | None = None, profile: str | None = None) -> None:
        """Look for Region and credentials; no request is made for it, but by the provider of the credentials."""
        with explained("sts"):
            # boto3 knows AWS_DEFAULT_REGION alone; the AWS CLI and the other SDKs look at AWS_REGION first.
            region = region or os.environ.get("AWS_REGION") or None
            self._session = boto3.Session(region_name=region, profile_name=profile)
            found = self._session.get_credentials()
        if self._session.region_name is None:
            raise AwsError("no AWS Region", hint="name one with --region or AWS_REGION")
        if found is None:
            raise AwsError(
                "no AWS credentials found",
                hint="set AWS_PROFILE or --profile, or log in with 'aws sso login' or 'aws configure'",
            )
        self.region: str = self._session.region_name

    @explained("cloudformation")
    def cloudformation(self) -> "CloudFormationClient":
        """The client of CloudFormation."""
        return self._session.client("cloudformation", config=CONFIG)

    @explained("cloudwatch")
    def cloudwatch(self) -> "CloudWatchClient":
        """The client of CloudWatch."""
        return self._session.client("cloudwatch", config=CONFIG)

    @explained("ec2")
    def ec2(self) -> "EC2Client":
        """The client of EC2."""
        return self._session.client("ec2", config=CONFIG)

    @explained("elasticmapreduce")
    def emr(self) -> "EMRClient":
        """The client of EMR on EC2."""
        return self._session.client("emr", config=CONFIG)

    @explained("kinesis")
    def kinesis(self) -> "KinesisClient":
        """The client of Kinesis Data Streams."""
        return self._session.client("kinesis", config=CONFIG)

    @explained("s3")
    def s3(self) -> "S3Client":
        """The client of S3."""
        return self._session.client("s3", config=CONFIG)
