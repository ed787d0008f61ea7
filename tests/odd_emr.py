"""A local EMR that answers late, never, twice or with garbage: `FakeEmr` behind HTTP, for real clients."""

import functools
import json
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fake_account import FakeAccount
from toptalkers.aws.account import CONFIG, open_account

Mode = Literal[
    "fine",
    "late-request",
    "late-answer",
    "lost-answer",
    "500-after",
    "500-always",
    "garbage-answer",
    "list-fails",
    "garbage-watch",
    "throttle-watch",
    "silent",
]
GARBAGE = b"<html>It works!</html>"
LATE_S = 4
"""The delay of a late request, on the account's clock."""


class OddEmr(ThreadingHTTPServer):
    """Answers according to its mode. `asked` counts the requests by operation."""

    daemon_threads = True

    def __init__(self, account: FakeAccount, mode: Mode, *, garbage: bytes, times: int) -> None:
        """Listen on a free port; `times` is the number of odd answers to the watch."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.account, self.mode, self.garbage, self.times = account, mode, garbage, times
        self.asked: Counter[str] = Counter()
        self.is_over = threading.Event()


class OddAccount(FakeAccount):
    """An account that calls EMR by botocore, over HTTP, at the endpoint in the environment; every sleep is long."""

    shortest_sleep = 30

    def __init__(self, *, attempts: int = 1, read_timeout: float = 20) -> None:
        super().__init__()
        self.told: list[str] = []
        retries: Any = {"mode": "standard", "total_max_attempts": attempts}
        config: Any = Config(read_timeout=read_timeout, retries=retries)
        self._real = open_account(region=self.region, profile=None, tell=self.told.append, config=CONFIG.merge(config))

    def client(self, service: str, *, once: bool = False, slow: bool = False) -> Any:
        return self._real.client(service, once=once, slow=slow) if service == "emr" else super().client(service)


@contextmanager
def odd_emr(account: FakeAccount, mode: Mode, *, garbage: bytes = GARBAGE, times: int = 10**9) -> Iterator[OddEmr]:
    """Serve until the end of the block."""
    with OddEmr(account, mode, garbage=garbage, times=times) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.is_over.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: OddEmr
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: a client's delayed ACK costs 40 ms

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass

    def do_POST(self) -> None:
        """Serve one operation."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        mode, emr = self.server.mode, self.server.account.fake_emr
        self.server.asked[operation] += 1
        starts, looks = operation == "RunJobFlow", operation in ("DescribeCluster", "ListSteps")
        if mode == "silent":
            self.server.is_over.wait(30)
            self.close_connection = True
            return
        if mode == "late-request" and starts:
            request = json.loads(body)
            self.server.account.clock.after(LATE_S, lambda: emr.run_job_flow(**request))
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            self.close_connection = True
            self.server.is_over.wait(30)
            return
        if mode == "list-fails" and operation == "ListClusters":
            self._answer(400, _error("AccessDeniedException"))
            return
        is_odd = looks and self.server.asked[operation] >= 2 and self.server.asked[operation] < 2 + self.server.times
        if mode == "throttle-watch" and is_odd:
            self._answer(400, _error("ThrottlingException"))
            return
        if mode == "garbage-watch" and is_odd:
            self._answer(200, self.server.garbage)
            return
        status, answer = _perform(emr, operation, json.loads(body))
        if starts and mode == "late-answer":
            time.sleep(0.3)
        if starts and mode in ("lost-answer", "list-fails"):
            self.close_connection = True
            return
        if (
            starts
            and mode in ("500-after", "500-always")
            and (mode == "500-always" or self.server.asked[operation] < 2)
        ):
            status, answer = 500, _error("InternalServerException")
        if starts and mode == "garbage-answer":
            answer = self.server.garbage
        self._answer(status, answer)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@functools.cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("emr")


def _perform(emr: Any, operation: str, request: dict[str, Any]) -> tuple[int, bytes]:
    shape: Any = _model().operation_model(operation).input_shape
    for name, member in shape.members.items():
        if name in request and member.type_name == "timestamp":
            request[name] = datetime.fromtimestamp(request[name], UTC)
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    try:
        if name in ("list_steps", "list_clusters"):
            [answer] = emr.get_paginator(name).paginate(**request)
        else:
            answer = getattr(emr, name)(**request)
    except ClientError as error:
        return 400, _error(str(error.response["Error"]["Code"]))
    return 200, json.dumps(answer, default=lambda time: time.timestamp()).encode()


def _error(code: str) -> bytes:
    return json.dumps({"__type": code, "message": "so the test has it"}).encode()
