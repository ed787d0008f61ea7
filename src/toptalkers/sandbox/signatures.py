"""Check who sends requests to the sandbox: it answers only those signed with a key that it issued, and no web page.

The sandbox runs code for its callers, and a port on 127.0.0.1 alone does not protect it: every user of this machine
can reach it, and every page in a browser. Signatures are AWS's version 4 ("Signature Version 4 signing process", IAM
user guide), in the header or in the query; chunked uploads are S3's ("Signature calculations for the Authorization
header: transferring payload in multiple chunks"). By default boto3 still presigns S3's URLs with version 2: these are
accepted, too ("Signing and authenticating REST requests", S3 user guide).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

ALGORITHM = "AWS4-HMAC-SHA256"

UNSIGNED = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
"""The values in place of the body's hash if the body is not signed."""

CHUNKED = ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
"""The values in place of the body's hash if each chunk of the body is signed separately."""

MAX_SKEW = timedelta(minutes=15)

MAX_EXPIRY_S = 7 * 24 * 3600
"""The longest time for which a presigned URL is valid, as on AWS."""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

FindSecret = Callable[[str], str | None]
"""Returns the secret of an access key; None if the key is unknown."""


class UntrustedError(Exception):
    """A request is refused, with AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        """Take the code and the message."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Head:
    """A request without its body.

    Attributes:
        method: in capitals.
        path: as it was sent, still quoted, without the query.
        query: as it was sent, without the question mark.
        headers: by their names in lower case; all values of a repeated header, separated by commas.

    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def join_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers as `Head` has them."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers


@dataclass(frozen=True)
class Signature:
    """A request's signature and what it declares: see `read_signature`."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    moment: str
    expires_s: int | None
    """None for a signature in the header."""

    @property
    def scope(self) -> str:
        """Day, region and service, as they are signed."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def check_caller(headers: Mapping[str, str], port: int) -> None:
    """Refuse requests from web pages, and requests meant for another host.

    A page of another site cannot hide its `Origin`; a page whose domain name resolves to 127.0.0.1 cannot hide its
    `Host`. No AWS SDK sends `Origin`, and all of them send `Host`.

    Raises:
        UntrustedError: it is such a request.

    """
    if headers.get("host", "").lower() not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        raise UntrustedError("AccessDenied", "the sandbox answers only at 127.0.0.1 and localhost")
    if "origin" in headers or headers.get("sec-fetch-site", "none").lower() != "none":
        raise UntrustedError("AccessDenied", "the sandbox does not answer web pages")


def read_signature(head: Head) -> Signature:
    """Find the signature of a request, in its header or else in its query.

    Raises:
        UntrustedError: it has none, or one that cannot be read.

    """
    authorization = head.headers.get("authorization", "")
    if authorization:
        algorithm, _, rest = authorization.partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        found = (algorithm, fields.get("Credential"), fields.get("SignedHeaders"), fields.get("Signature"))
        moment, expires = head.headers.get("x-amz-date", ""), None
    else:
        query = dict(_query_pairs(head.query))
        if "X-Amz-Signature" not in query:
            raise UntrustedError("MissingAuthenticationToken", "the request is not signed")
        names = ("Algorithm", "Credential", "SignedHeaders", "Signature")
        found = tuple(query.get(f"X-Amz-{name}") for name in names)  # type: ignore[assignment]
        moment, expires = query.get("X-Amz-Date", ""), query.get("X-Amz-Expires", "")
    algorithm, credential, signed_headers, signature = found
    scope = (credential or "").split("/")
    if (
        algorithm != ALGORITHM
        or len(scope) != 5
        or scope[4] != "aws4_request"
        or not all(scope)
        or not signature
        or not re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", moment)
        or (expires is not None and not re.fullmatch(r"[0-9]{1,6}", expires))
    ):
        raise UntrustedError("IncompleteSignature", f"the signature is not one of {ALGORITHM}")
    return Signature(
        access_key=scope[0],
        day=scope[1],
        region=scope[2],
        service=scope[3],
        signed_headers=tuple((signed_headers or "").split(";")),
        signature=signature,
        moment=moment,
        expires_s=None if expires is None else int(expires),
    )


def is_old(head: Head) -> bool:
    """Whether a request has a signature of version 2 in its query."""
    return "AWSAccessKeyId" in dict(_query_pairs(head.query)) and "authorization" not in head.headers


def check_old(head: Head, find_secret: FindSecret, now: datetime | None = None) -> None:
    """Check that an S3 URL was presigned with version 2, by a known key, and is still valid. The body is not signed.

    Raises:
        UntrustedError: it was not, or is not.

    """
    query = dict(_query_pairs(head.query))
    secret = find_secret(query["AWSAccessKeyId"])
    if secret is None:
        raise UntrustedError("InvalidClientTokenId", "the access key is none of this sandbox's")
    expires = query.get("Expires", "")
    given = {name.lower(): value.strip() for name, value in (*query.items(), *head.headers.items())}
    amz = [f"{name}:{value}" for name, value in sorted(given.items()) if name.startswith("x-amz-")]
    rest = [
        unquote(part)
        for part in sorted(head.query.split("&"))
        if not re.match(r"(AWSAccessKeyId|Expires|Signature|content-md5|content-type|x-amz-[^=]*)=", part)
    ]
    text = [head.method, given.get("content-md5", ""), given.get("content-type", ""), expires, *amz]
    text.append(head.path + ("?" + "&".join(rest) if rest else ""))
    expected = hmac.digest(secret.encode(), "\n".join(text).encode("utf-8", "replace"), "sha1")
    if not _is_same(base64.b64encode(expected).decode(), query.get("Signature", "")):
        raise UntrustedError("SignatureDoesNotMatch", "the signature is not that of the request and its access key")
    if not re.fullmatch("[0-9]{1,12}", expires) or int(expires) < (now or datetime.now(UTC)).timestamp():
        raise UntrustedError("AccessDenied", "the URL has expired")


def needs_body(head: Head, signature: Signature) -> bool:
    """Whether the signature can be checked only with the body: no header has the body's hash."""
    is_presigned_s3 = signature.expires_s is not None and signature.service == "s3"
    return not is_presigned_s3 and "x-amz-content-sha256" not in head.headers


def check_signature(
    head: Head,
    signature: Signature,
    secret: str | None,
    *,
    body: bytes = b"",
    now: datetime | None = None,
) -> None:
    """Check that a request was signed with a secret, not long ago; `check_body` is the other half.

    Args:
        head: the request.
        signature: its signature, from `read_signature`.
        secret: the secret of its access key; None if that key was not issued.
        body: the body, if `needs_body` is true.
        now: the time of the check; by default the current time.

    Raises:
        UntrustedError: it was not.

    """
    if secret is None:
        raise UntrustedError("InvalidClientTokenId", "the access key is none of this sandbox's")
    _check_moment(signature, now or datetime.now(UTC))
    if "host" not in signature.signed_headers:
        raise UntrustedError("SignatureDoesNotMatch", "the host is not signed")
    request = _canonical_request(head, signature, _body_hash(head, signature, body))
    text = "\n".join([ALGORITHM, signature.moment, signature.scope, _sha256(request.encode("utf-8", "replace"))])
    if not _is_same(_sign(_signing_key(signature, secret), text), signature.signature):
        raise UntrustedError("SignatureDoesNotMatch", "the signature is not that of the request and its access key")


def check_body(head: Head, signature: Signature, secret: str, body: bytes) -> None:
    """Check that the body is the one that the signed headers declare.

    Raises:
        UntrustedError: it is not.

    """
    declared = head.headers.get("x-amz-content-sha256")
    if declared is None or declared in UNSIGNED:
        return
    if declared in CHUNKED:
        if not _are_chunks_signed(body, signature, _signing_key(signature, secret)):
            raise UntrustedError("SignatureDoesNotMatch", "a chunk's signature is not that of the chunk")
    elif not _is_same(_sha256(body), declared):
        raise UntrustedError("XAmzContentSHA256Mismatch", "the body is not the one that was signed")


def _check_moment(signature: Signature, now: datetime) -> None:
    try:
        signed = datetime.strptime(signature.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise UntrustedError("IncompleteSignature", "the time of signing is not valid") from None
    if signature.day != signature.moment[:8]:
        raise UntrustedError("SignatureDoesNotMatch", "the day of the credential is not that of the request")
    good_for = timedelta(seconds=min(signature.expires_s or 0, MAX_EXPIRY_S)) if signature.expires_s else MAX_SKEW
    if signed - now > MAX_SKEW or now - signed > good_for:
        raise UntrustedError("RequestTimeTooSkewed", f"signed at {signature.moment}: too old, or not yet good")


def _body_hash(head: Head, signature: Signature, body: bytes) -> str:
    if signature.expires_s is not None and signature.service == "s3":
        return "UNSIGNED-PAYLOAD"
    return head.headers.get("x-amz-content-sha256") or _sha256(body)


def _canonical_request(head: Head, signature: Signature, body_hash: str) -> str:
    # S3 signs the path as it is sent; the other services quote it again, without its dots.
    path = head.path if signature.service == "s3" else quote(_without_dots(head.path), safe="/~")
    pairs = [(quote(name, safe="~"), quote(value, safe="~")) for name, value in _query_pairs(head.query)]
    if signature.expires_s is not None:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    headers = [f"{name}:{' '.join(head.headers.get(name, '').split())}" for name in signature.signed_headers]
    return "\n".join(
        [
            head.method,
            path or "/",
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            *headers,
            "",
            ";".join(signature.signed_headers),
            body_hash,
        ]
    )


def _query_pairs(query: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in parts]


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part and part != ".":
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _are_chunks_signed(body: bytes, signature: Signature, key: bytes) -> bool:
    """Whether the signature of each chunk, and of the trailers after the last, follows from the previous one."""
    previous, at, size = signature.signature, 0, -1
    while size:
        end = body.find(b"\r\n", at)
        match = re.fullmatch(rb"([0-9a-fA-F]{1,12});chunk-signature=([0-9a-f]{64})", body[at : max(end, at)])
        if match is None:
            return False
        size = int(match[1], 16)
        chunk = body[end + 2 : end + 2 + size]
        at = end + 2 + size
        if size and body[at : at + 2] != b"\r\n":
            return False
        at += 2 if size else 0
        text = [f"{ALGORITHM}-PAYLOAD", signature.moment, signature.scope, previous, EMPTY_SHA256, _sha256(chunk)]
        previous = _sign(key, "\n".join(text))
        if len(chunk) != size or not _is_same(previous, match[2].decode()):
            return False
    rest = [line for line in body[at:].split(b"\r\n") if line]
    if not rest:
        return True
    trailing, (name, _, value) = rest[:-1], rest[-1].partition(b":")
    lines = b"".join(line.strip() + b"\n" for line in trailing)
    text = [f"{ALGORITHM}-TRAILER", signature.moment, signature.scope, previous, _sha256(lines)]
    return name == b"x-amz-trailer-signature" and _is_same(_sign(key, "\n".join(text)), value.decode(errors="replace"))


def _signing_key(signature: Signature, secret: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (signature.day, signature.region, signature.service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8", "replace"), "sha256")
    return key


def _sign(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode("utf-8", "replace"), "sha256").hex()


def _is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
