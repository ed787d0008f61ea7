"""What botocore raises, as errors that a user can act on. The one place that knows both."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import botocore.exceptions as boto
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from toptalkers.errors import ToptalkersError

_DENIED = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "UnauthorizedOperation",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_CREDENTIALS = {
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NOT_ENABLED = {"OptInRequired", "SubscriptionRequiredException"}
_THROTTLED = {
    "LimitExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
}

_NO_ANSWER = "NoAnswer"
_UNREADABLE = "UnreadableAnswer"
_BUSY = {
    _NO_ANSWER,
    _UNREADABLE,
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
}
"""What goes by itself. `_NO_ANSWER` and `_UNREADABLE` are our own words for a service that could not be reached, and
for an answer that is none of the service's."""

_ODD = (AttributeError, LookupError, OverflowError, RecursionError, ResponseParserError, TypeError, ValueError)
"""What botocore's parsers, and ours, raise on an answer of another shape than the service's own."""

SAID_CHARACTERS = 400
"""How much of a service's words is passed on: a proxy may answer with a whole page."""

_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")

_ACTIONS = {
    # S3 names some of its actions otherwise than its operations (Amazon S3 user guide, "Required permissions").
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
}

_LOG_IN = "set AWS_PROFILE or --profile, or log in with 'aws sso login' or 'aws configure'"


class AwsError(ToptalkersError):
    """AWS refused a request, or nobody knows; `code` is AWS's own error code, where there is one."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "", is_open: bool = False) -> None:
        """Keep the code beside the two lines; `is_open` as the property of that name."""
        super().__init__(message, hint=hint)
        self.code = code
        self._is_open = is_open

    @property
    def is_passing(self) -> bool:
        """Whether the same request may well succeed some time later: throttling, or no answer at all."""
        return self.is_throttled or self.is_open

    @property
    def is_throttled(self) -> bool:
        """Whether AWS did not do it because it has too much to do."""
        return self.code in _THROTTLED

    @property
    def is_open(self) -> bool:
        """Whether AWS may have done it all the same: the answer is lost, unreadable, or a failure of its own."""
        return self._is_open or self.code in _BUSY

    @property
    def is_silent(self) -> bool:
        """Whether nobody answered, so that the next request would be waited for in vain as well."""
        return self.code == _NO_ANSWER


def may_be_done(error: BaseException) -> bool:
    """Whether a request that ended in an error may have been served: AWS did not say no."""
    return not isinstance(error, AwsError) or error.is_open


@contextmanager
def explained(service: str) -> Iterator[None]:
    """Turn what botocore raises inside into `AwsError`; usable as a decorator too.

    An answer that is none of the service's (a proxy's page, another server) shows itself in many ways: as a
    ResponseParserError, or as a KeyError where a member is looked up. All of them are one error here. A mistake of
    ours inside looks the same; it is the error's `__cause__`.

    Args:
        service: the prefix of the service's IAM actions, `ec2`, for an error that does not name the action.

    Raises:
        AwsError: one line, with AWS's own words where there are any.

    """
    try:
        yield
    except (boto.BotoCoreError, ClientError) as error:
        raise explain(error, service) from error
    except _ODD as error:
        raise AwsError(
            f"the answer of {service} cannot be read: {type(error).__name__}: {_line(error)}",
            hint="does something else answer in its place: a proxy, or what AWS_ENDPOINT_URL names?",
            code=_UNREADABLE,
        ) from error


def explain_known(error: BaseException) -> AwsError | None:
    """Say what an error that came past all gateways means; None when it is not one of botocore's."""
    return explain(error, "aws") if isinstance(error, (boto.BotoCoreError, ClientError)) else None


def explain(error: boto.BotoCoreError | ClientError, service: str) -> AwsError:
    """Say what an error of botocore means and what to do about it."""
    if isinstance(error, ClientError):
        return _explain_refusal(error, service)
    if isinstance(error, boto.NoCredentialsError):
        return AwsError("no AWS credentials found", hint=_LOG_IN)
    if isinstance(error, boto.PartialCredentialsError):
        return AwsError(f"the AWS credentials are incomplete: {_line(error)}", hint=_LOG_IN)
    if isinstance(error, (boto.NoRegionError, boto.InvalidRegionError)):
        return AwsError(_line(error), hint="name one with --region or AWS_REGION")
    if isinstance(error, boto.ProfileNotFound):
        return AwsError(_line(error), hint="'aws configure list-profiles' names those that exist")
    if isinstance(error, (boto.TokenRetrievalError, boto.SSOError)):
        return AwsError(f"the AWS single sign-on session is over: {_line(error)}", hint="run 'aws sso login'")
    if isinstance(error, boto.CredentialRetrievalError):
        return AwsError(f"no AWS credentials: {_line(error)}", hint=_LOG_IN)
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError)):
        endpoint = error.kwargs.get("endpoint_url") or service
        is_slow = isinstance(error, boto.ReadTimeoutError)
        return AwsError(
            f"{endpoint} does not answer" if is_slow else f"cannot reach {endpoint}",
            hint="does the Region exist, does it offer the service, and is there a way to it from here?",
            code=_NO_ANSWER,
        )
    return AwsError(_line(error), is_open=isinstance(error, boto.IncompleteReadError))


def _explain_refusal(error: ClientError, service: str) -> AwsError:
    # Whoever answers fills these in, with whatever type.
    details: Mapping[str, object] = error.response.get("Error", {})
    code = str(details.get("Code") or "")
    said = _shorten(str(details.get("Message") or "")) or code
    operation = error.operation_name
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status in (301, 302, 307, 308) or code in ("301", "302", "307", "308"):
        return AwsError(
            f"{service} {operation}: sent elsewhere: {said}",
            hint="is it the right Region, and is a proxy in between?",
            code=code,
        )
    if code in _DENIED:
        found = _ACTION.search(said)
        action = f"{service}:{operation}"
        action = found[1] if found else _ACTIONS.get(action, action)
        return AwsError(f"access denied: you are not allowed to call {action}: {said}", hint=_GRANT, code=code)
    if code in _EXPIRED:
        return AwsError("the AWS credentials have expired", hint=_LOG_IN, code=code)
    if code in _UNKNOWN_CREDENTIALS:
        return AwsError(
            f"AWS does not accept the credentials: {said}",
            hint="are they the right ones, and is the Region enabled for the account?",
            code=code,
        )
    if code in _NOT_ENABLED:
        return AwsError(f"the account may not use {service} in this Region: {said}", code=code)
    if code in _THROTTLED:
        return AwsError(f"AWS asks to slow down at {service} {operation}: {said}", hint="try again later", code=code)
    return AwsError(f"{service} {operation}: {said or f'HTTP status {status}'}", code=code, is_open=status >= 500)


_GRANT = "ask your administrator for that permission"


def _line(error: Exception) -> str:
    text = _shorten(str(error)).rstrip(".")
    return text[:1].lower() + text[1:]


def _shorten(text: str) -> str:
    """A text as one line of a bearable length."""
    line = " ".join(text[: 10 * SAID_CHARACTERS].split())
    return line if len(line) <= SAID_CHARACTERS else f"{line[:SAID_CHARACTERS]}..."
