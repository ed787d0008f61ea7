"""A tiny local S3: it lists and sends objects like S3, and breaks off where a test needs it."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE_KEYS = 3


class TinyS3(ThreadingHTTPServer):
    """One bucket. `requests` has all requests; `faults` has, by key, how many bytes the next answers send.

    `archived` has keys that are listed as GLACIER; a fault below 0 is a refusal with that status.
    """

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.archived: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[str, list[int | bytes | None]] = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: TinyS3
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass

    def do_GET(self) -> None:
        """Serve ListObjectsV2 or GetObject."""
        split = urlsplit(self.path)
        _, _, key = unquote(split.path).lstrip("/").partition("/")
        if "list-type" in split.query:
            self._list({name: values[0] for name, values in parse_qs(split.query).items()})
        else:
            self._get(key)

    def _list(self, asked: dict[str, str]) -> None:
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter")
        self.server.requests.append(("list", prefix))
        entries = set()
        for key in self.server.objects:
            if key.startswith(prefix):
                head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                entries.add(prefix + head + cut if delimiter and cut else key)
        rest = sorted(entry for entry in entries if entry > asked.get("continuation-token", ""))
        page = rest[:PAGE_KEYS]
        lines = []
        for entry in page:
            if entry in self.server.objects:
                content = self.server.objects[entry]
                lines.append(
                    f"<Contents><Key>{escape(entry)}</Key><Size>{len(content)}</Size><ETag>{_etag(content)}</ETag>"
                    f"<StorageClass>{'GLACIER' if entry in self.server.archived else 'STANDARD'}</StorageClass>"
                    "<LastModified>2026-11-23T18:00:00.000Z</LastModified></Contents>"
                )
            else:
                lines.append(f"<CommonPrefixes><Prefix>{escape(entry)}</Prefix></CommonPrefixes>")
        more = len(rest) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        self._answer(
            200,
            f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(lines)}"
            "</ListBucketResult>".encode(),
        )

    def _get(self, key: str) -> None:
        self.server.requests.append((self.headers["Range"] or "", key))
        faults = self.server.faults.get(key)
        fault = faults.pop(0) if faults else None
        if isinstance(fault, bytes):
            self.server.objects[key] = fault
        content = self.server.objects.get(key)
        if content is None:
            self._refuse(404, "NoSuchKey")
            return
        if self.headers["If-Match"] not in (None, _etag(content)):
            self._refuse(412, "PreconditionFailed")
            return
        if fault == -403:
            self._refuse(403, "AccessDenied")
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        assert match, "objects are read in ranges"
        body = content[int(match[1]) : int(match[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", _etag(content))
        self.end_headers()
        self.wfile.write(body[:fault] if isinstance(fault, int) else body)
        if isinstance(fault, int):
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@contextmanager
def tiny_s3() -> Iterator[TinyS3]:
    """Run the server until the end of the block."""
    server = TinyS3()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
