"""EMR's API over HTTP: AWS JSON 1.1, one POST an operation, checked against botocore's model of the service.

A request whose members, types or enumerated values do not fit the model is refused, as is an operation that
the sandbox does not have: whoever relies on it should know at once. Signatures are not looked at.
"""

import json
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from toptalkers.sandbox.emr_service import EmrService, RefusedError

LOGGER = logging.getLogger(__name__)

TARGET_PREFIX = "ElasticMapReduce."

CONTENT_TYPE = "application/x-amz-json-1.1"


@contextmanager
def serve_emr(service: EmrService, *, port: int = 0) -> Iterator[str]:
    """Serve on 127.0.0.1 until the end of the block; gives the endpoint's URL. Clusters are ended with it."""
    model = botocore.session.Session().get_service_model("emr")
    operations = service.operations()

    def perform(operation: str, body: bytes) -> dict[str, Any]:
        if operation not in operations:
            raise RefusedError("UnknownOperationException", f"the sandbox's EMR does not know {operation!r}")
        operation_model = model.operation_model(operation)
        request = _read_request(body)
        _check(request, operation_model.input_shape, "request")
        answer = operations[operation](request)
        # What the model does not have, clients would drop without a word.
        if operation_model.output_shape is not None:
            _check(answer, operation_model.output_shape, "answer")
        return answer

    class Handler(BaseHTTPRequestHandler):
        """One connection."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer one operation."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = self.headers.get("X-Amz-Target", "").removeprefix(TARGET_PREFIX)
            try:
                answer = perform(operation, body)
            except RefusedError as error:
                LOGGER.warning("%s refused: %s: %s", operation, error.code, error)
                # Both spellings: some of EMR's errors have `Message` in the model.
                self._answer(400, {"__type": error.code, "message": str(error), "Message": str(error)})
            except Exception:
                LOGGER.exception("%s failed", operation)
                self._answer(500, {"__type": "InternalServerException", "Message": "see the sandbox's log"})
            else:
                LOGGER.info("%s %s", operation, body.decode(errors="replace"))
                self._answer(200, answer)

        def _answer(self, status: int, answer: Mapping[str, Any]) -> None:
            body = json.dumps(answer, default=_format_moment).encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing: each operation is logged above."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="emr", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        service.stop()
        server.shutdown()
        thread.join()
        server.server_close()


def _read_request(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        raise RefusedError("SerializationException", "the body is not JSON") from None
    if not isinstance(request, dict):
        raise RefusedError("SerializationException", "the body is not a JSON object")
    return request


def _check(value: dict[str, Any], shape: Shape | None, what: str) -> None:
    if shape is None:
        if value:
            raise RefusedError("ValidationException", f"{what}: takes no members")
        return
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise RefusedError("ValidationException", f"{what}: {report.generate_report()}")
    for problem in _wrong_enums(value, shape, what):
        raise RefusedError("ValidationException", problem)


def _wrong_enums(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Values that are not among those that the model enumerates; botocore itself lets them pass."""
    if isinstance(shape, StructureShape):
        for name, member in cast("Mapping[str, Any]", value).items():
            yield from _wrong_enums(member, shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for number, member in enumerate(value):
            yield from _wrong_enums(member, shape.member, f"{path}[{number}]")
    elif isinstance(shape, MapShape):
        for name, member in value.items():
            yield from _wrong_enums(member, shape.value, f"{path}.{name}")
    elif isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is not one of {', '.join(shape.enum)}"


def _format_moment(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"not JSON: {value!r}")
