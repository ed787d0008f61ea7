"""Another user of this machine, or a web page, tries what it can: stranger.py URL EMR_URL STATE_FOLDER FILE.

Becomes a user without rights when it is root. Prints the status of each answer as JSON; FILE is what its step would
make.
"""

import http.client
import json
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

NOBODY = 65534

SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential={}/20261123/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=" + "0" * 64
)


def become_nobody(state: str) -> None:
    """Give up all rights, and check that the sandbox's folder is closed."""
    "".encode("idna")  # sockets need it; the new user may not be able to read it later
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        next(Path(state).iterdir())
    except PermissionError:
        return
    sys.exit("the state folder is open")


def ask(to: str, method: str, path: str, headers: dict[str, str], body: str | None) -> int:
    """Return the status of an answer, which no page of another site may read."""
    connection = http.client.HTTPConnection(urlsplit(to).netloc, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]
    return answer.status


def ask_with_length(to: str, length: str) -> int:
    """Return the status of the answer to a request of which only the head is sent."""
    address = urlsplit(to)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        head = ["POST / HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {length}", "", ""]
        connection.sendall("\r\n".join(head).encode())
        return int(connection.makefile("rb").readline().split()[1])


def main(url: str, emr_url: str, state: str, touched: str) -> None:
    """Try everything."""
    if os.geteuid() == 0:
        become_nobody(state)
    arguments = ["hadoop-streaming", "-input", "/etc/passwd", "-output", "out", "-mapper", f"touch {touched}"]
    group = {"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1}
    job = {
        "Name": "x",
        "ReleaseLabel": "emr-7.14.0",
        "ServiceRole": "s",
        "JobFlowRole": "p",
        "Steps": [{"Name": "s", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments}}],
        "Instances": {"InstanceGroups": [group]},
    }
    function = {"FunctionName": "f", "Runtime": "python3.14", "Handler": "i.h", "Role": "r", "Code": {}}
    ways: list[dict[str, str]] = [
        {},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ]
    for key in ("test", "123456789012"):
        for service in ("s3", "lambda", "elasticmapreduce"):
            signature = SIGNATURE.format(key, service)
            ways.append({"Authorization": signature, "X-Amz-Date": "20261123T000000Z"})
    statuses = []
    for way in ways:
        headers = {"Content-Type": "text/plain", "X-Amz-Target": "ElasticMapReduce.RunJobFlow", **way}
        statuses += [
            ask(emr_url, "POST", "/", headers, json.dumps(job)),
            ask(url, "POST", "/2015-03-31/functions", headers, json.dumps(function)),
            ask(url, "GET", "/_ministack/health", way, None),
            ask(url, "POST", "/_ministack/reset", way, None),
            ask(url, "OPTIONS", "/bucket/key", way, None),
        ]
    statuses += [ask_with_length(to, length) for to in (url, emr_url) for length in ("abc", "-5", "1e14")]
    print(json.dumps(statuses))


if __name__ == "__main__":
    main(*sys.argv[1:])
