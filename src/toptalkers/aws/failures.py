"""Translate botocore's errors into errors that a user can act on. The only module that knows both."""

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
"""Temporary failures. `_NO_ANSWER` and `_UNREADABLE` are our own codes, for a service that could not be reached and
for an answer that did not come from the service."""

_ODD = (AttributeError, LookupError, OverflowError, RecursionError, ResponseParserError, TypeError, ValueError)
"""The errors that botocore's parsers, and ours, raise for an answer that has not the service's format."""

SAID_CHARACTERS = 400
"""A service's message is cut to this: a proxy may answer with a whole page."""

_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")

_API = re.compile(r"API: ([a-z0-9-]+:[A-Za-z0-9]+) .*?(?:access denied|not authorized)", re.IGNORECASE)
"""How some resources of CloudFormation tell that the caller may not make them."""

_ACTIONS = {
    # Some of S3's actions have other names than its operations (Amazon S3 user guide, "Required permissions").
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}

_LOG_IN = "set AWS_PROFILE or --profile, or log in with 'aws sso login' or 'aws configure'"


class AwsError(ToptalkersError):
    """AWS refused a request, or its outcome is unknown; `code` is AWS's error code, or empty."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "", is_open: bool = False) -> None:
        """Keep the code beside the two lines; `is_open` sets the property of that name."""
        super().__init__(message, hint=hint)
        self.code = code
        self._is_open = is_open

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later: throttling, or no answer."""
        return self.is_throttled or self.is_open

    @property
    def is_denied(self) -> bool:
        """Whether the caller lacks a permission."""
        return self.code in _DENIED

    @property
    def is_throttled(self) -> bool:
        """Whether AWS refused the request because there were too many."""
        return self.code in _THROTTLED

    @property
    def is_open(self) -> bool:
        """Whether AWS may have done it anyway: the answer is lost, unreadable, or an internal error of AWS."""
        return self._is_open or self.code in _BUSY

    @property
    def is_silent(self) -> bool:
        """Whether nothing answered, so that the next request would get no answer either."""
        return self.code == _NO_ANSWER


def may_be_done(error: BaseException) -> bool:
    """Whether a request that ended in an error may have taken effect: AWS did not refuse it."""
    return not isinstance(error, AwsError) or error.is_open


def code_of(error: ClientError) -> str:
    """Return AWS's error code; empty if the answer has none."""
    return str(error.response.get("Error", {}).get("Code") or "")


def missing_action(reason: str) -> str | None:
    """Return the action that a reason of AWS says is not allowed, such as `iam:CreateRole`; None if it says none."""
    found = _ACTION.search(reason) or _API.search(reason)
    return found[1] if found else None


@contextmanager
def explained(service: str) -> Iterator[None]:
    """Turn botocore's errors inside the block into `AwsError`; usable as a decorator too.

    An answer that did not come from the service (a proxy's page, another server) can cause many errors: a
    ResponseParserError, or a KeyError where a member is read. They all become one error here. A bug of ours in the
    block looks the same; the error's `__cause__` shows it.

    Args:
        service: the prefix of the service's IAM actions, such as `ec2`, for an error that does not name the action.

    Raises:
        AwsError: one line, with AWS's own message if there is one.

    """
    try:
        yield
    except (boto.BotoCoreError, ClientError) as error:
        raise explain(error, service) from error
    except _ODD as error:
        raise AwsError(
            f"the answer of {service} cannot be read: {type(error).__name__}: {_line(error)}",
            hint="did something else answer, such as a proxy or the endpoint in AWS_ENDPOINT_URL?",
            code=_UNREADABLE,
        ) from error


def explain_known(error: BaseException) -> AwsError | None:
    """Explain an error that no gateway caught; None if it is not one of botocore's."""
    return explain(error, "aws") if isinstance(error, (boto.BotoCoreError, ClientError)) else None


def explain(error: boto.BotoCoreError | ClientError, service: str) -> AwsError:
    """Explain an error of botocore, and say what to do about it."""
    if isinstance(error, ClientError):
        return _explain_refusal(error, service)
    if isinstance(error, boto.NoCredentialsError):
        return AwsError("no AWS credentials found", hint=_LOG_IN)
    if isinstance(error, boto.PartialCredentialsError):
        return AwsError(f"the AWS credentials are incomplete: {_line(error)}", hint=_LOG_IN)
    if isinstance(error, (boto.NoRegionError, boto.InvalidRegionError)):
        return AwsError(_line(error), hint="name one with --region or AWS_REGION")
    if isinstance(error, boto.ProfileNotFound):
        return AwsError(_line(error), hint="'aws configure list-profiles' lists the profiles")
    if isinstance(error, (boto.TokenRetrievalError, boto.SSOError)):
        return AwsError(f"the AWS single sign-on session has expired: {_line(error)}", hint="run 'aws sso login'")
    if isinstance(error, boto.CredentialRetrievalError):
        return AwsError(f"no AWS credentials: {_line(error)}", hint=_LOG_IN)
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError)):
        endpoint = error.kwargs.get("endpoint_url") or service
        is_slow = isinstance(error, boto.ReadTimeoutError)
        return AwsError(
            f"{endpoint} does not answer" if is_slow else f"cannot reach {endpoint}",
            hint="does the Region exist, does it offer the service, and can this machine reach it?",
            code=_NO_ANSWER,
        )
    return AwsError(_line(error), is_open=isinstance(error, boto.IncompleteReadError))


def _explain_refusal(error: ClientError, service: str) -> AwsError:
    # The answer fills these in, so they can have any type.
    details: Mapping[str, object] = error.response.get("Error", {})
    code = code_of(error)
    reason = _shorten(str(details.get("Message") or "")) or code
    operation = error.operation_name
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status in (301, 302, 307, 308) or code in ("301", "302", "307", "308"):
        return AwsError(
            f"{service} {operation}: redirected: {reason}",
            hint="is it the right Region, and is there a proxy?",
            code=code,
        )
    if code in _DENIED:
        found = _ACTION.search(reason)
        action = f"{service}:{operation}"
        action = found[1] if found else _ACTIONS.get(action, action)
        return AwsError(f"access denied: you are not allowed to call {action}: {reason}", hint=_GRANT, code=code)
    if code in _EXPIRED:
        return AwsError("the AWS credentials have expired", hint=_LOG_IN, code=code)
    if code in _UNKNOWN_CREDENTIALS:
        return AwsError(
            f"AWS does not accept the credentials: {reason}",
            hint="are they the right ones, and is the Region enabled for the account?",
            code=code,
        )
    if code in _NOT_ENABLED:
        return AwsError(f"the account may not use {service} in this Region: {reason}", code=code)
    if code in _THROTTLED:
        return AwsError(f"AWS throttles {service} {operation}: {reason}", hint="try again later", code=code)
    hint = _NO_BUCKET if code == "NoSuchBucket" else None
    said = f"{service} {operation}: {reason or f'HTTP status {status}'}"
    return AwsError(said, hint=hint, code=code, is_open=status >= 500)


_NO_BUCKET = "'aws s3 ls' lists those of the account; other accounts' are not in that list"
_GRANT = "ask your administrator for that permission"


def _line(error: Exception) -> str:
    text = _shorten(str(error)).rstrip(".")
    return text[:1].lower() + text[1:]


def _shorten(text: str) -> str:
    """Return a text as one line, cut to `SAID_CHARACTERS`."""
    line = " ".join(text[: 10 * SAID_CHARACTERS].split())
    return line if len(line) <= SAID_CHARACTERS else f"{line[:SAID_CHARACTERS]}..."
