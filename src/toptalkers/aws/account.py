"""One AWS account in one Region: its clients, a gateway per service, and the clock.

Region, profile and credentials come from where all AWS tools look for them: the environment, ~/.aws, the role of the
instance. boto3 itself obeys `AWS_ENDPOINT_URL`.

With a role to assume, STS is asked for its credentials: sts:AssumeRole on the role, which must trust the caller. They
are asked for again before they expire.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError, ReadTimeoutError

from toptalkers import __version__
from toptalkers.aws.bucket import BucketGateway
from toptalkers.aws.emr import ClusterGateway
from toptalkers.aws.failures import AwsError, explain, explained
from toptalkers.aws.flowlogs import FlowLogGateway
from toptalkers.aws.identity import IdentityGateway
from toptalkers.aws.inventory import InventoryGateway
from toptalkers.aws.metrics import MetricsGateway
from toptalkers.aws.network import NetworkGateway
from toptalkers.aws.odd_answers import refuse_odd_answers
from toptalkers.aws.quotas import QuotaGateway
from toptalkers.aws.stack import StackGateway
from toptalkers.aws.storage import StorageGateway
from toptalkers.aws.stream import StreamGateway
from toptalkers.errors import UsageError
from toptalkers.machine.cores import FETCHES

READ_SECONDS, CONNECT_SECONDS, ATTEMPTS = 9, 5, 5
"""Five attempts outlast a minute of throttling, and a mistyped Region still fails within seconds. A service that never
answers is given up within a minute: five times nine seconds, and at most 15 seconds between them."""

CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    max_pool_connections=2 + FETCHES,
    user_agent_extra=f"toptalkers/{__version__}",
)

ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=20)
"""For a request that must not be repeated; its answer is awaited longer."""

SLOW = Config(read_timeout=30)
"""For listings in large pages, which EC2 takes seconds for."""

PLACES = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
"""Variables that count as unset if they are empty, as for the AWS CLI; botocore would take the empty name."""

SESSION_NAME = "toptalkers"
"""The name of our session in a role, which CloudTrail shows."""

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", re.ASCII)

Say = Callable[[str], None]
"""Tells the user one line."""


def check_role(arn: str, option: str) -> None:
    """Check the ARN of a role that an option names.

    Raises:
        UsageError: it is not that of a role.

    """
    if not _ROLE.fullmatch(arn):
        raise UsageError(f"{option}: {arn!r} is not the ARN of a role", hint="like arn:aws:iam::123456789012:role/name")


@dataclass(frozen=True, slots=True)
class RoleToAssume:
    """A role to act as: its ARN, and the external id that it may demand; empty for none."""

    arn: str
    external_id: str = ""

    def __post_init__(self) -> None:
        """Check the ARN; UsageError if it is not that of a role."""
        check_role(self.arn, "--assume-role")


class MakeClient(Protocol):
    """Makes a client of a service: that of a session, or a fake one in tests."""

    def __call__(self, service: str, *, once: bool = False, slow: bool = False) -> Any:
        """Make a client of a service by boto3's name for it.

        Args:
            service: the name.
            once: whether the client sends each request only once.
            slow: whether the client waits longer for an answer.

        """


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


class Account:
    """An account in a Region. Each gateway is made when it is first used."""

    def __init__(
        self,
        client: MakeClient,
        *,
        region: str,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Keep the functions that make clients, wait some seconds, and tell the time with its zone."""
        self.client = client
        self.region = region
        self.sleep = sleep
        self.now = now

    @cached_property
    def stacks(self) -> StackGateway:
        """CloudFormation."""
        return StackGateway(self.client("cloudformation"), sleep=self.sleep)

    @cached_property
    def flow_logs(self) -> FlowLogGateway:
        """EC2."""
        return FlowLogGateway(self.client("ec2"))

    @cached_property
    def storage(self) -> StorageGateway:
        """S3."""
        return StorageGateway(self.client("s3"))

    @cached_property
    def buckets(self) -> BucketGateway:
        """S3, for the settings of buckets."""
        return BucketGateway(self.client("s3"))

    @cached_property
    def identity(self) -> IdentityGateway:
        """STS."""
        return IdentityGateway(self.client("sts"))

    @cached_property
    def clusters(self) -> ClusterGateway:
        """EMR."""
        return ClusterGateway(self.client("emr"), self.client("emr", once=True))

    @cached_property
    def streams(self) -> StreamGateway:
        """Kinesis."""
        return StreamGateway(self.client("kinesis"))

    @cached_property
    def metrics(self) -> MetricsGateway:
        """CloudWatch."""
        return MetricsGateway(self.client("cloudwatch"))

    @cached_property
    def networks(self) -> NetworkGateway:
        """EC2's networks."""
        return NetworkGateway(self.client("ec2"))

    @cached_property
    def inventory(self) -> InventoryGateway:
        """EC2, for a snapshot."""
        return InventoryGateway(self.client("ec2", slow=True), sleep=self.sleep)

    @cached_property
    def quotas(self) -> QuotaGateway:
        """Service Quotas, asked only once: nothing depends on its answer."""
        return QuotaGateway(self.client("service-quotas", once=True))


def open_account(
    *,
    region: str | None,
    profile: str | None,
    tell: Say,
    role: RoleToAssume | None = None,
    config: Config = CONFIG,
) -> Account:
    """Find Region and credentials. Only a provider of credentials, and a role to assume, send a request for this.

    Args:
        region: its name; None for the Region of the environment.
        profile: its name; None for the profile of the environment.
        tell: told one line whenever a service does not answer.
        role: a role to assume with the credentials that are found.
        config: timeouts and attempts of the clients.

    Raises:
        AwsError: the profile does not exist, no Region is named, there are no credentials, or STS refuses the role.

    """
    for name in PLACES:
        if os.environ.get(name) == "":
            del os.environ[name]
    with explained("sts"):
        # boto3 only knows AWS_DEFAULT_REGION; the AWS CLI and the other SDKs look at AWS_REGION first.
        region = region or os.environ.get("AWS_REGION") or None
        session = boto3.Session(region_name=region, profile_name=profile)
        credentials = session.get_credentials()
    if not session.region_name:
        raise AwsError("no AWS Region", hint="name one with --region or AWS_REGION")
    if credentials is None:
        raise explain(NoCredentialsError(), "sts")
    if role:
        session = _assume(session, role, profile, tell, config)

    def client(service: str, *, once: bool = False, slow: bool = False) -> Any:
        own = config.merge(ONCE) if once else config.merge(SLOW) if slow else config
        with explained(service):
            try:
                made: Any = session.client(service, config=own)  # type: ignore[call-overload]
            except ValueError as error:
                raise AwsError(
                    f"no client of {service} can be made: {error}", hint="is AWS_ENDPOINT_URL or the Region mistyped?"
                ) from error
        refuse_odd_answers(made)
        _tell_silence(made, tell)
        return made

    return Account(client, region=session.region_name)


class _Assumed(CredentialProvider):
    """Provides the credentials of a role, and new ones when they are about to expire."""

    METHOD = "assume-role"

    def __init__(self, refresh: Callable[[], Any]) -> None:
        self._refresh = refresh

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(refresh_using=self._refresh, method=self.METHOD)


def _assume(
    session: boto3.Session, role: RoleToAssume, profile: str | None, tell: Say, config: Config
) -> boto3.Session:
    """Make a session with the credentials of a role, and fetch the first ones."""

    def make_client(service: str, **credentials: Any) -> Any:
        made: Any = session.client(service, config=config, **credentials)  # type: ignore[call-overload]  # any service
        refuse_odd_answers(made)
        _tell_silence(made, tell)
        return made

    fetcher = AssumeRoleCredentialFetcher(
        make_client,
        session.get_credentials(),
        role.arn,
        extra_args={"RoleSessionName": SESSION_NAME, **({"ExternalId": role.external_id} if role.external_id else {})},
    )
    core = botocore.session.Session()
    core.register_component("credential_provider", CredentialResolver([_Assumed(fetcher.fetch_credentials)]))
    assumed = boto3.Session(botocore_session=core, profile_name=profile, region_name=session.region_name)
    with explained("sts"):
        credentials = assumed.get_credentials()
        if credentials:
            credentials.get_frozen_credentials()
    return assumed


def _tell_silence(client: Any, tell: Say) -> None:
    """Have a client tell the user whenever its service does not answer, except the last time, which is an error."""
    service, region = client.meta.service_model.service_id, client.meta.region_name
    most = client.meta.config.retries["total_max_attempts"]

    def on_retry(*, operation: Any, attempts: int, caught_exception: object, **_: object) -> None:
        if isinstance(caught_exception, (ReadTimeoutError, ConnectTimeoutError)) and attempts < most:
            times = f"{attempts} time{'' if attempts == 1 else 's'}"
            tell(f"still waiting for {service} in {region}: {operation.name} was not answered {times} of {most}")

    client.meta.events.register(f"needs-retry.{service.hyphenize()}", on_retry)
