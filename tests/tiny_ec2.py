"""A tiny EC2 and STS at one local address: pages of what a test puts there, throttling, and refusals.

An account is told by the access key that signs a request: `AKIA` and the account's number, which a role that is assumed
has, too.
"""

import itertools
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

ACCOUNT = "123456789012"

MEMBERS: Mapping[str, tuple[str, str]] = {
    "DescribeNetworkInterfaces": ("networkInterfaceSet", "interfaces"),
    "DescribeInstances": ("reservationSet", "reservations"),
    "DescribeSecurityGroups": ("securityGroupInfo", "groups"),
    "DescribeSubnets": ("subnetSet", "subnets"),
    "DescribeVpcs": ("vpcSet", "vpcs"),
    "DescribePrefixLists": ("prefixListSet", "aws_lists"),
    "DescribeManagedPrefixLists": ("prefixListSet", "lists"),
    "GetManagedPrefixListEntries": ("entrySet", "entries"),
}
"""By operation, the element of its answer, and what the test calls the list."""


class TinyEc2(ThreadingHTTPServer):
    """EC2 and STS.

    Attributes:
        things: by account and Region, by the names in `MEMBERS`, the items as EC2's XML: dictionaries and lists.
        rendered: as `things`, but items that are XML already, for many.
        requests: all operations, in order.
        throttle_every: each request of that number is refused because there are too many; 0 for none.
        denied: operations that the caller may not use, by their names, or by `ACCOUNT:name`.
        fails: operations that are refused from the page of that number on, with an error code.
        delay_s: how long each answer of EC2 takes.
        broken_lists: prefix lists whose entries are refused.
        unknown: accounts whose credentials nobody knows.

    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.things: dict[tuple[str, str], dict[str, list[Any]]] = {}
        self.rendered: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.throttle_every = 0
        self.denied: set[str] = set()
        self.fails: dict[str, tuple[int, str]] = {}
        self.delay_s = 0.0
        self.broken_lists: set[str] = set()
        self.unknown: set[str] = set()
        self.numbers = itertools.count(1)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, *, account: str = ACCOUNT, region: str = "us-east-1", **things: list[Any]) -> None:
        """Put things into an account in a Region, by the names in `MEMBERS`."""
        self.things.setdefault((account, region), {}).update(things)


class _Handler(BaseHTTPRequestHandler):
    server: TinyEc2
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass

    def do_POST(self) -> None:
        """One operation."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        request = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
        operation = request["Action"]
        found = re.search(r"Credential=AKIA(\d+)/\d+/([^/]+)/", self.headers["Authorization"])
        account, region = found.groups() if found else ("", "")
        server = self.server
        server.requests.append(operation)
        number = next(server.numbers)
        if account in server.unknown:
            self._refuse(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        elif server.throttle_every and number % server.throttle_every == 0:
            self._refuse(503, "RequestLimitExceeded", "Request limit exceeded.")
        elif server.denied & {operation, f"{account}:{operation}"}:
            self._refuse(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
        elif operation == "GetCallerIdentity":
            arn = f"arn:aws:iam::{account}:user/u"
            self._answer(200, _sts(operation, f"<Account>{account}</Account><Arn>{arn}</Arn><UserId>u</UserId>"))
        elif operation == "AssumeRole":
            own = request["RoleArn"].split(":")[4]
            keys = f"<AccessKeyId>AKIA{own}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            ends = "<SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>"
            self._answer(200, _sts(operation, f"<Credentials>{keys}{ends}</Credentials>"))
        else:
            self._list(operation, request, account, region)

    def _list(self, operation: str, request: Mapping[str, str], account: str, region: str) -> None:
        member, name = MEMBERS[operation]
        time.sleep(self.server.delay_s)
        items = self.server.rendered.get(name)
        if items is None:
            found = self.server.things.get((account, region), {}).get(name, [])
            if name == "entries":
                found = [one["entry"] for one in found if one["list"] == request["PrefixListId"]]
            items = [f"<item>{_xml(one)}</item>" for one in found]
        start, size = int(request.get("NextToken", 0)), int(request["MaxResults"])
        if request.get("PrefixListId") in self.server.broken_lists:
            self._refuse(400, "IncorrectState", "The prefix list is being deleted")
            return
        page, code = self.server.fails.get(operation, (0, ""))
        if code and start >= page * size:
            self._refuse(503 if code in ("RequestLimitExceeded", "Unavailable") else 400, code, "no more of it")
            return
        token = f"<nextToken>{start + size}</nextToken>" if start + size < len(items) else ""
        listed = "".join(items[start : start + size])
        self._answer(200, f"<{operation}Response><{member}>{listed}</{member}>{token}</{operation}Response>")

    def _refuse(self, status: int, code: str, message: str) -> None:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self._answer(status, f"<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>")

    def _answer(self, status: int, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _sts(operation: str, result: str) -> str:
    return f"<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>"


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(one)}</{name}>" for name, one in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{_xml(one)}</item>" for one in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


def environment(server: TinyEc2, account: str = ACCOUNT) -> dict[str, str]:
    """The environment in which AWS's clients ask this server, as an account."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": f"AKIA{account}",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }


@contextmanager
def tiny_ec2() -> Iterator[TinyEc2]:
    """Run the server until the end of the block."""
    server = TinyEc2()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
