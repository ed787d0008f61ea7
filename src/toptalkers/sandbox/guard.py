"""The guard before MiniStack: an ASGI application that passes on only the requests that `signatures` trusts.

It runs in MiniStack's own process, where the keys that IAM and STS issued are known. There is no way around it:
MiniStack's web server serves the guard, and listens nowhere else.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from toptalkers.sandbox.signatures import (
    FindSecret,
    Head,
    UntrustedError,
    check_body,
    check_caller,
    check_old,
    check_signature,
    is_old,
    join_headers,
    needs_body,
    read_signature,
)

MAX_BODY_BYTES = 1 << 27
"""The limit for a request whose signature cannot be checked without its body; a function's code is the largest."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class _HungUpError(Exception):
    """The caller went away before the end of its request."""


def guarded(application: Application, find_secret: FindSecret, port: int) -> Application:
    """Put the guard before an application that is served at a port of 127.0.0.1.

    Args:
        application: gets the trusted requests, with their bodies already read.
        find_secret: returns the secret of an access key.
        port: the port where both are served.

    """

    async def guard(scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # none of our commands needs one
            return
        service, incoming = "", _Body(receive)
        try:
            try:
                head = _read_head(scope)
                check_caller(head.headers, port)
                if is_old(head):
                    service = "s3"
                    check_old(head, find_secret)
                    await application(scope, receive, _without_cors(send))
                    return
                signature = read_signature(head)
                service = signature.service
                secret = find_secret(signature.access_key)
                if secret is None or not needs_body(head, signature):
                    check_signature(head, signature, secret)
                    body = await incoming.read(None)
                else:
                    body = await incoming.read(MAX_BODY_BYTES)
                    check_signature(head, signature, secret, body=body)
                check_body(head, signature, secret or "", body)
            except UntrustedError as error:
                await incoming.discard()
                await _answer(send, 403, service, error.code, str(error), has_body=scope["method"] != "HEAD")
                return
        except _HungUpError:
            return
        if service != "s3" and "json" in head.headers.get("content-type", "") and not _is_json(body):
            await _answer(send, 400, service, "SerializationException", "the body is not JSON", has_body=True)
            return
        await application(scope, _again(body, receive), _without_cors(send))

    return guard


def _read_head(scope: Any) -> Head:
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    pairs = ((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in scope["headers"])
    return Head(scope["method"].upper(), path, query, join_headers(pairs))


class _Body:
    """The body of one request, while it arrives."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False

    async def read(self, most: int | None) -> bytes:
        parts, size = [], 0
        while not self._is_over:
            parts.append(await self._part())
            size += len(parts[-1])
            if most is not None and size > most:
                raise UntrustedError("RequestEntityTooLarge", f"more than {most} bytes: send their hash in a header")
        return b"".join(parts)

    async def discard(self) -> None:
        """Read the rest: a caller that is still sending would not see the answer."""
        left = MAX_BODY_BYTES
        while left > 0 and not self._is_over:
            left -= len(await self._part())

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise _HungUpError
        self._is_over = not message.get("more_body", False)
        return bytes(message.get("body", b""))


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return False
    return True


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that returns the body that was already read, and then the next messages."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def _without_cors(send: Send) -> Send:
    """Return a `send` that drops the headers that would let pages of other sites read the answer."""

    async def send_without(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Iterable[tuple[bytes, bytes]] = message.get("headers", [])
            kept = [(name, value) for name, value in headers if not name.lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return send_without


async def _answer(send: Send, status: int, service: str, code: str, message: str, *, has_body: bool) -> None:
    """Refuse a request, in the format that the service's clients understand."""
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    kind = "text/xml"
    if service == "s3":
        text = error
    elif service == "ec2":
        text = f"<Response><Errors>{error}</Errors></Response>"
    elif service in ("cloudformation", "iam", "sts"):
        text = f"<ErrorResponse>{error}</ErrorResponse>"
    else:
        text, kind = json.dumps({"__type": code, "message": message}), "application/json"
    body = text.encode() if has_body else b""
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", code.encode()),
        (b"connection", b"close"),  # the rest of the body may be too long to read
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
