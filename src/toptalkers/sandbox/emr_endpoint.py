"""The emulated EMR's API over HTTP: AWS JSON 1.1, one POST per operation.

Requests that `Emr.perform` refuses get the status 400, those that `signatures` does not trust 403.
"""

import json
import logging
import re
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn

from toptalkers.sandbox.emr import Emr, RefusedError, check_answer
from toptalkers.sandbox.signatures import (
    FindSecret,
    Head,
    UntrustedError,
    check_body,
    check_caller,
    check_signature,
    join_headers,
    read_signature,
)

LOGGER = logging.getLogger(__name__)

TARGET_PREFIX = "ElasticMapReduce."

CONTENT_TYPE = "application/x-amz-json-1.1"

MAX_BODY_BYTES = 1 << 24
"""More than EMR's own limits: 256 steps with 10,240 characters each."""

IDLE_SECONDS = 120
"""How long a connection may wait for its next bytes."""


@contextmanager
def serve_emr(emr: Emr, find_secret: FindSecret) -> Iterator[str]:
    """Serve on 127.0.0.1 until the end of the block, and yield the endpoint's URL; then end all clusters.

    Args:
        emr: serves the operations.
        find_secret: returns the secret of an access key; only requests signed with it are served.

    """

    class Handler(BaseHTTPRequestHandler):
        """One connection."""

        protocol_version = "HTTP/1.1"
        timeout = IDLE_SECONDS

        def do_POST(self) -> None:
            """Answer one operation."""
            operation = self.headers.get("X-Amz-Target", "").removeprefix(TARGET_PREFIX)
            try:
                body = self._trusted_body()
                answer = emr.perform(operation, _read_request(body))
                check_answer(operation, answer)
            except UntrustedError as error:
                self._refuse(403, operation, error.code, str(error))
            except RefusedError as error:
                self._refuse(400, operation, error.code, str(error))
            except RecursionError:
                self._refuse(400, operation, "SerializationException", "the body is nested too deep")
            except Exception:
                LOGGER.exception("%s failed", operation)
                self._answer(500, {"__type": "InternalServerException", "Message": "see the sandbox's log"})
            else:
                LOGGER.info("%s %s", operation, body.decode(errors="replace"))
                self._answer(200, answer)

        def _trusted_body(self) -> bytes:
            headers = join_headers(self.headers.items())
            length = headers.get("content-length", "0")
            if "transfer-encoding" in headers or not re.fullmatch("[0-9]{1,8}", length) or int(length) > MAX_BODY_BYTES:
                self.close_connection = True  # the beginning of the next request is unknown
                raise RefusedError("SerializationException", "the request has no valid Content-Length")
            path, _, query = self.path.partition("?")
            head = Head(self.command, path, query, headers)
            try:
                check_caller(headers, port)
                signature = read_signature(head)
                secret = find_secret(signature.access_key)
                if secret is None:
                    _refuse_key()
            except UntrustedError:
                # A caller that is still sending would not see the answer, so the body is read and dropped.
                for at in range(0, int(length), 1 << 16):
                    self.rfile.read(min(1 << 16, int(length) - at))
                raise
            body = self.rfile.read(int(length))
            check_signature(head, signature, secret, body=body)
            check_body(head, signature, secret or "", body)
            return body

        def _refuse(self, status: int, operation: str, code: str, message: str) -> None:
            LOGGER.warning("%s refused: %s: %s", ascii(operation), code, message[:1000])
            # Both spellings: some of EMR's errors have `Message` in the model.
            self._answer(status, {"__type": code, "message": message, "Message": message})

        def _answer(self, status: int, answer: Mapping[str, Any]) -> None:
            body = json.dumps(answer, default=_format_moment).encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Do nothing: each operation is logged above."""

    server = _Server(("127.0.0.1", 0), Handler)
    port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="emr", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        emr.stop()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's names
        """Log a broken connection in one line; it is the caller's fault."""
        LOGGER.warning("a connection failed: %r", sys.exc_info()[1])


def _refuse_key() -> NoReturn:
    """Refuse a key that is not the root user's: only MiniStack's process knows the others."""
    raise UntrustedError("InvalidClientTokenId", "the sandbox's EMR knows only its root user, no other users and roles")


def _read_request(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        raise RefusedError("SerializationException", "the body is not JSON") from None
    if not isinstance(request, dict):
        raise RefusedError("SerializationException", "the body is not a JSON object")
    try:
        text = json.dumps(request, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RefusedError("SerializationException", "the body has half a character in it") from None
    if rb"\u0000" in text:
        raise RefusedError("SerializationException", "the body has a NUL character in it")
    return request


def _format_moment(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"not JSON: {value!r}")
