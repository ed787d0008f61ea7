"""The factory of clients: who we are, where, and how patient.

Region, profile and credentials come from where every AWS tool has them (environment, ~/.aws, instance role);
`AWS_ENDPOINT_URL` is obeyed by boto3 itself.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from toptalkers import __version__
from toptalkers.aws.failures import AwsError, explained

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_emr import EMRClient
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client

READ_SECONDS, CONNECT_SECONDS, ATTEMPTS = 9, 5, 5
"""Five attempts ride out a throttled minute, and still let a mistyped Region fail within seconds. A service that
never answers is given up within a minute: five times nine seconds, and at most 15 between them."""

CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    user_agent_extra=f"toptalkers/{__version__}",
)

ONCE = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=20)
"""For a request that must not be repeated; its answer is waited for longer."""

Client = TypeVar("Client", bound=BaseClient)

Tell = Callable[[str], None]

_HTML = re.compile(rb"\s*<(?:!doctype )?html", re.IGNORECASE)


@contextmanager
def _made(service: str) -> Iterator[None]:
    with explained(service):
        try:
            yield
        except ValueError as error:
            raise AwsError(
                f"no client of {service} can be made: {error}", hint="is AWS_ENDPOINT_URL or the Region mistyped?"
            ) from error


class Clients:
    """Clients of one account and Region, each made when asked for.

    Raises:
        AwsError: there is no such profile, no Region is named, or there are no credentials.

    """

    def __init__(
        self,
        *,
        region: str | None = None,
        profile: str | None = None,
        tell: Tell = lambda _: None,
        config: Config = CONFIG,
    ) -> None:
        """Look for Region and credentials; no request is made for it, but by the provider of the credentials.

        Args:
            region: its name; None for what the environment says.
            profile: its name; None for what the environment says.
            tell: told when a service keeps silent, a line.
            config: how patient clients are.

        """
        self._tell = tell
        self._config = config
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

    @_made("cloudformation")
    def cloudformation(self) -> "CloudFormationClient":
        """The client of CloudFormation."""
        return self._ready(self._session.client("cloudformation", config=self._config))

    @_made("cloudwatch")
    def cloudwatch(self) -> "CloudWatchClient":
        """The client of CloudWatch."""
        return self._ready(self._session.client("cloudwatch", config=self._config))

    @_made("ec2")
    def ec2(self) -> "EC2Client":
        """The client of EC2."""
        return self._ready(self._session.client("ec2", config=self._config))

    @_made("emr")
    def emr(self) -> "EMRClient":
        """The client of EMR on EC2."""
        return self._ready(self._session.client("emr", config=self._config))

    @_made("emr")
    def emr_once(self) -> "EMRClient":
        """A client of EMR that sends each request once."""
        return self._ready(self._session.client("emr", config=self._config.merge(ONCE)))

    @_made("kinesis")
    def kinesis(self) -> "KinesisClient":
        """The client of Kinesis Data Streams."""
        return self._ready(self._session.client("kinesis", config=self._config))

    @_made("s3")
    def s3(self) -> "S3Client":
        """The client of S3."""
        return self._ready(self._session.client("s3", config=self._config))

    def _ready(self, client: Client) -> Client:
        refuse_odd_answers(client)
        service = client.meta.service_model.service_id
        config: Any = client.meta.config
        most = config.retries["total_max_attempts"]

        def tell_silence(*, operation: Any, attempts: int, caught_exception: object, **_: object) -> None:
            if isinstance(caught_exception, (ReadTimeoutError, ConnectTimeoutError)) and attempts < most:
                times = f"{attempts} time{'' if attempts == 1 else 's'}"
                self._tell(
                    f"still waiting for {service} in {self.region}: {operation.name} was not answered {times} of {most}"
                )

        client.meta.events.register(f"needs-retry.{service.hyphenize()}", tell_silence)
        return client


def refuse_odd_answers(client: BaseClient) -> None:
    """Have a client raise where an answer is none of the service's.

    botocore finds none of an answer's members in a page of HTML or in an empty body, so that a listing would say that
    nothing is there; and of JSON it passes on whatever types it finds.
    """
    client.meta.events.register("before-parse", _refuse_html)
    client.meta.events.register("after-call", _refuse_types)
    if client.meta.service_model.service_name == "s3":
        client.meta.events.register("after-call.s3.ListObjectsV2", _require_listing)


def _refuse_html(response_dict: Mapping[str, Any], **_: object) -> None:
    body = response_dict["body"]
    if isinstance(body, bytes) and response_dict["status_code"] == 200 and _HTML.match(body):
        raise ResponseParserError("it is a page of HTML")


def _require_listing(parsed: Mapping[str, Any], **_: object) -> None:
    if "Error" not in parsed and "IsTruncated" not in parsed:
        raise ResponseParserError("it is no listing")


def _refuse_types(http_response: Any, parsed: Any, model: Any, **_: object) -> None:
    # What is read out of XML has the model's types, until botocore makes more of it (a template is parsed).
    is_xml = model.service_model.resolved_protocol in ("ec2", "query", "rest-xml")
    if http_response.status_code < 300 and model.output_shape and not is_xml:
        _require_types(parsed, model.output_shape)


_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "timestamp": (datetime,),
}


def _require_types(value: Any, shape: Any) -> None:
    fits: bool = isinstance(value, _TYPES.get(shape.type_name, object))
    if not fits:
        raise ResponseParserError(f"{shape.name} is a {type(value).__name__}")
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                _require_types(value[name], member)
    elif shape.type_name == "list":
        for one in value:
            _require_types(one, shape.member)
    elif shape.type_name == "map":
        for one in value.values():
            _require_types(one, shape.value)
