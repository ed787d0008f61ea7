"""The sandbox answers requests that botocore signs with one of its keys, and no others."""

import asyncio
import contextlib
import hashlib
import hmac
import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from toptalkers.sandbox.guard import guarded
from toptalkers.sandbox.signatures import (
    CHUNKED,
    EMPTY_SHA256,
    Head,
    UntrustedError,
    check_body,
    check_caller,
    check_old,
    check_signature,
    is_old,
    read_signature,
)

KEY, SECRET, PORT = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 4566
HOST = f"127.0.0.1:{PORT}"

SIGNERS = {
    "s3": S3SigV4Auth,
    "lambda": SigV4Auth,
    "kinesis": SigV4Auth,
    "s3?": S3SigV4QueryAuth,
    "lambda?": SigV4QueryAuth,
}

PATHS = st.lists(st.text(min_size=1, max_size=6).map(lambda text: quote(text, safe="")), max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
QUERIES = st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=3).map(
    lambda pairs: "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs if name)
)
HEADERS = st.dictionaries(
    st.text(string.ascii_lowercase + "-", min_size=1, max_size=8).map(lambda name: f"x-amz-meta-{name}"),
    st.text(string.ascii_letters + " ;,=", max_size=8),
    max_size=3,
)


def sign(
    service: str, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, secret: str = SECRET
) -> Head:
    """Return a request as botocore signs it; a service with a question mark has it presigned."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, headers={**headers, "Host": HOST}, data=body)
    signer: Any = SIGNERS[service]
    signer(Credentials(KEY, secret), service.rstrip("?"), "us-east-1").add_auth(request)
    _, _, rest = str(request.url).partition(HOST)
    signed_path, _, signed_query = rest.partition("?")
    return Head(method, signed_path, signed_query, {name.lower(): value for name, value in request.headers.items()})


def check(head: Head, body: bytes, now: datetime | None = None, secret: str = SECRET) -> None:
    signature = read_signature(head)
    check_signature(head, signature, {KEY: secret}.get(signature.access_key), body=body, now=now)
    check_body(head, signature, secret, body)


@given(
    st.sampled_from(sorted(SIGNERS)),
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    PATHS,
    QUERIES,
    HEADERS,
    st.binary(max_size=20),
)
@settings(max_examples=300)
def test_what_botocore_signs_is_trusted_and_nothing_else(
    service: str, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    """A signed request passes; with another secret, method, path, query, header or body it does not."""
    body = b"" if "?" in service else body  # botocore would move it into the query
    head = sign(service, method, path, query, headers, body)
    check(head, body)
    others = [
        replace(head, method="PATCH"),
        replace(head, path=head.path + "x"),
        replace(head, query=f"{head.query}&x=1" if head.query else "x=1"),
        replace(head, headers={**head.headers, "host": "localhost:1"}),
        *(replace(head, headers={**head.headers, name: "other"}) for name in headers),
    ]
    for other in others:
        with pytest.raises(UntrustedError, match="signature"):
            check(other, body)
    with pytest.raises(UntrustedError, match="signature"):
        check(head, body, secret=SECRET + "x")
    if service != "s3?":  # S3 does not sign the body of a presigned URL
        with pytest.raises(UntrustedError):
            check(head, body + b"x")


@given(
    st.sampled_from(["GET", "PUT", "DELETE"]),
    PATHS.filter(lambda path: path != "/"),
    st.sampled_from(["", "uploads", "versionId=a%2Fb", "partNumber=1&uploadId=x", "acl"]),
    st.dictionaries(st.sampled_from(["x-amz-security-token", "Content-MD5", "Content-Type"]), st.text("ab+/= ")),
    st.integers(300, 3600),
)
def test_what_botocore_presigns_for_s3_by_default(
    method: str, path: str, query: str, headers: dict[str, str], expires: int
) -> None:
    """A URL of signature version 2 passes until it expires; with another part, or more in its query, it does not."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, headers=headers)
    HmacV1QueryAuth(Credentials(KEY, SECRET), expires).add_auth(request)
    signed_path, _, signed_query = str(request.url).partition(HOST)[2].partition("?")
    head = Head(method, signed_path, signed_query, {"host": HOST})
    assert is_old(head)
    check_old(head, {KEY: SECRET}.get)
    now = datetime.now(UTC)
    for other, secrets, at in (
        (replace(head, method="POST"), {KEY: SECRET}, now),
        (replace(head, path=head.path + "x"), {KEY: SECRET}, now),
        (replace(head, query=head.query + "&Action=CreateUser"), {KEY: SECRET}, now),
        (replace(head, query=head.query.replace("Expires=1", "Expires=2")), {KEY: SECRET}, now),
        (head, {KEY: "other"}, now),
        (head, {}, now),
        (head, {KEY: SECRET}, now + timedelta(seconds=expires + 2)),
    ):
        with pytest.raises(UntrustedError):
            check_old(other, secrets.get, at)


@given(st.integers(-(10**6), 10**6), st.sampled_from(["s3", "s3?"]))
def test_a_signature_is_good_for_its_time(seconds: int, service: str) -> None:
    """A header's is valid for 15 minutes either way, a presigned URL's for the hour that botocore requests."""
    head = sign(service, "GET", "/key", "", {}, b"")
    signed = datetime.strptime(read_signature(head).moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    is_good = -900 <= seconds <= (3600 if service == "s3?" else 900)
    with contextlib.nullcontext() if is_good else pytest.raises(UntrustedError, match="too old"):
        check(head, b"", now=signed + timedelta(seconds=seconds))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "authorization": st.one_of(
                st.text(max_size=40),
                st.text(max_size=40).map(lambda text: f"AWS4-HMAC-SHA256 Credential={text}, SignedHeaders=host"),
                st.text(max_size=9).map(
                    lambda text: (
                        f"AWS4-HMAC-SHA256 Credential={KEY}/20261123/r/s3/aws4_request,"
                        f"SignedHeaders={text},Signature={text}"
                    )
                ),
            ),
            "x-amz-date": st.one_of(st.text(max_size=20), st.just("20269923T000000Z"), st.just("20261123T000000Z")),
            "x-amz-content-sha256": st.one_of(st.text(max_size=9), st.sampled_from(CHUNKED)),
        },
    ),
    st.text(max_size=30),
)
def test_nonsense_is_refused(headers: dict[str, str], query: str) -> None:
    """Anything else in place of a signature is refused, never an internal error."""
    with pytest.raises(UntrustedError):
        check(Head("GET", "/", query, headers), b"")


def test_the_documented_chunked_upload() -> None:
    """The example of the S3 API reference passes, chunk by chunk; with a changed byte or a cut end it does not."""
    head = Head(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        {
            "host": "s3.amazonaws.com",
            "x-amz-date": "20130524T000000Z",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders="
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
            "x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
            "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": "66560",
            "content-length": "66824",
        },
    )
    body = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a" * 65536
        + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a" * 1024
        + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )
    now = datetime(2013, 5, 24, tzinfo=UTC)
    check(head, body, now=now)
    for other in (body.replace(b"aaa", b"aab", 1), body[:-100], b"", body + b"x-amz-more:1\r\n\r\n"):
        with pytest.raises(UntrustedError, match="chunk"):
            check(head, other, now=now)


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4), st.binary(min_size=1, max_size=30), st.data())
def test_chunks_and_what_trails_them(chunks: list[bytes], trailer: bytes, data: st.DataObject) -> None:
    """Chunks that are signed one after the other, with a signed trailer, pass; with any byte changed they do not."""
    head = sign("s3", "PUT", "/bucket/key", "", {}, b"")
    signature = replace(read_signature(head), signature="0" * 64)
    head = replace(head, headers={**head.headers, "x-amz-content-sha256": CHUNKED[1]})
    key = f"AWS4{SECRET}".encode()
    for part in (signature.day, signature.region, signature.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    scope, previous, body = f"{signature.moment}\n{signature.scope}", signature.signature, b""
    for chunk in [*chunks, b""]:
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{scope}\n{previous}\n{EMPTY_SHA256}\n{hashlib.sha256(chunk).hexdigest()}"
        previous = hmac.digest(key, text.encode(), "sha256").hex()
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    line = b"x-amz-checksum:" + trailer.hex().encode()
    text = f"AWS4-HMAC-SHA256-TRAILER\n{scope}\n{previous}\n" + hashlib.sha256(line + b"\n").hexdigest()
    signed = hmac.digest(key, text.encode(), "sha256").hex()
    body += line + f"\r\nx-amz-trailer-signature:{signed}\r\n\r\n".encode()
    check_body(head, signature, SECRET, body)
    at = data.draw(st.integers(0, len(body) - 5))
    changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    with pytest.raises(UntrustedError):
        check_body(head, signature, SECRET, changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "evil.example"},
        {"host": f"evil.example:{PORT}"},
        {"host": "127.0.0.1"},
        {"host": f"127.0.0.1:{PORT + 1}"},
        {"host": f"127.0.0.1:{PORT},evil.example"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"http://127.0.0.1:{PORT}"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_web_pages_are_refused(changes: dict[str, str]) -> None:
    """A foreign Host, any Origin and a browser's headers of another site are refused; SDKs send none of them."""
    check_caller({"host": f"LOCALHOST:{PORT}", "sec-fetch-site": "none"}, PORT)
    with pytest.raises(UntrustedError):
        check_caller({"host": HOST, **changes}, PORT)


class Caller:
    """Call a guarded application; return the answer and the requests that reached it."""

    def __init__(self) -> None:
        self.reached: list[bytes] = []

    async def _application(self, _: Any, receive: Any, send: Any) -> None:
        self.reached.append((await receive())["body"])
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"etag", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})

    def call(self, head: Head, body: bytes = b"", kind: str = "http") -> tuple[int, dict[bytes, bytes], bytes]:
        scope = {
            "type": kind,
            "method": head.method,
            "raw_path": head.path.encode(),
            "query_string": head.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in head.headers.items()],
        }
        parts = [
            {"type": "http.request", "body": body[:3], "more_body": True},
            {"type": "http.request", "body": body[3:], "more_body": False},
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return parts.pop(0)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async def serve() -> None:
            await guarded(self._application, {KEY: SECRET}.get, PORT)(scope, receive, send)

        asyncio.run(serve())
        if kind != "http":
            return 0, {}, repr(sent).encode()
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("service", ["s3", "lambda"])
def test_the_guard_passes_on_what_is_signed(service: str) -> None:
    """The application gets the whole body, and its answer has no headers for other sites' pages."""
    caller = Caller()
    status, headers, body = caller.call(sign(service, "POST", "/x", "", {}, b"a body"), b"a body")
    assert (status, headers, body) == (200, {b"etag": b"1"}, b"done")
    assert caller.reached == [b"a body"]


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        (lambda: Head("POST", "/2015-03-31/functions", "", {"host": HOST}), b"{}", b"MissingAuthenticationToken"),
        (lambda: Head("OPTIONS", "/", "", {"host": HOST, "origin": "http://evil.example"}), b"", b"AccessDenied"),
        (lambda: sign("lambda", "POST", "/", "", {"Origin": "http://evil.example"}, b"{}"), b"{}", b"AccessDenied"),
        (lambda: sign("lambda", "POST", "/", "", {}, b"{}"), b'{"x": 1}', b"SignatureDoesNotMatch"),
        (lambda: sign("s3", "PUT", "/b/k", "", {}, b"signed"), b"other", b"XAmzContentSHA256Mismatch"),
        (lambda: sign("s3", "PUT", "/b/k", "", {}, b"signed", "test"), b"signed", b"SignatureDoesNotMatch"),
    ],
)
def test_the_guard_refuses_the_rest(head: Callable[[], Head], body: bytes, code: bytes) -> None:
    """Nothing of it reaches the application; the answer is 403, has the code, and no page may read it."""
    caller = Caller()
    status, headers, said = caller.call(head(), body)  # signed now, not when tests were collected
    assert (status, caller.reached) == (403, [])
    assert code in said
    assert not [name for name in headers if name.startswith(b"access-control")]


def test_the_guard_refuses_sockets_of_pages_and_bad_json() -> None:
    """A WebSocket is closed, JSON of 100,000 brackets gets our 400; neither reaches the application."""
    caller = Caller()
    assert b"websocket.close" in caller.call(Head("GET", "/", "", {}), kind="websocket")[2]
    for body in (b"[" * 100_000, b"{", b"\xff"):
        head = sign("lambda", "POST", "/", "", {"Content-Type": "application/x-amz-json-1.1"}, body)
        assert caller.call(head, body)[0] == 400
    assert caller.reached == []
