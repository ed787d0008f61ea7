"""Write the events beside this file again: `python tests/events/make_events.py`.

Each is what Lambda hands to the pre-processor for a Kinesis event source mapping whose stream a CloudWatch
Logs subscription feeds. README.md says what each one proves.
"""

import gzip
import json
from pathlib import Path
from typing import Any

from toptalkers.sandbox import envelopes
from toptalkers.sandbox.envelopes import event_record, wrap

ARRIVAL = 1795458065.123
"""2026-11-23T18:21:05Z, when the first record of each event arrived on the stream."""

SHARD = "shardId-000000000006"
FIRST_SEQUENCE = 49590338271490256608559692538361571095921575989136588898

OK = "2 123456789012 eni-0a1b2c3d4e5f67890 10.0.1.5 192.0.2.10 49152 443 6 12 5840 1795457940 1795458000 ACCEPT OK"
OK_BACK = "2 123456789012 eni-0a1b2c3d4e5f67890 192.0.2.10 10.0.1.5 443 49152 6 10 9120 1795457940 1795458000 ACCEPT OK"
REJECTED = "2 123456789012 eni-0a1b2c3d4e5f67890 198.51.100.7 10.0.1.5 40112 22 6 1 44 1795457940 1795458000 REJECT OK"
NODATA = "2 123456789012 eni-0f9e8d7c6b5a43210 - - - - - - - 1795457940 1795458000 - NODATA"
SKIPDATA = "2 123456789012 eni-0f9e8d7c6b5a43210 - - - - - - - 1795457940 1795458000 - SKIPDATA"
IPV6 = (
    "2 123456789012 eni-0a1b2c3d4e5f67890 2001:db8:1234:a100::5 2001:db8::443 49153 443 6 7 2100"
    " 1795457940 1795458000 ACCEPT OK"
)

CUSTOM_FORMAT = "${log-status} ${srcaddr} ${dstaddr} ${dstport} ${bytes} ${vpc-id}"
CUSTOM_OK = "OK 10.0.1.5 192.0.2.10 443 5840 vpc-0123456789abcdef0"
CUSTOM_NODATA = "NODATA - - - - vpc-0123456789abcdef0"


def envelope(messages: list[str], message_type: str = "DATA_MESSAGE") -> dict[str, Any]:
    """What CloudWatch Logs wraps around log events on their way to a subscription's destination."""
    events = [
        {"id": f"{37680000000000000000000000 + number:056d}", "timestamp": 1795457940000, "message": message}
        for number, message in enumerate(messages)
    ]
    return wrap(events, "eni-0a1b2c3d4e5f67890-all", message_type)


def pack(value: object) -> bytes:
    """Write an envelope as it is on the stream."""
    return envelopes.pack(value, 9)


def control() -> bytes:
    """Make the probe that CloudWatch Logs sends when a subscription is made, and from time to time."""
    probe = "CWL CONTROL MESSAGE: Checking health of destination Kinesis stream."
    return pack({**envelope([probe], "CONTROL_MESSAGE"), "owner": "CloudwatchLogs", "logGroup": "", "logStream": ""})


def kinesis_event(payloads: list[bytes]) -> dict[str, Any]:
    """Make the event of one invocation with these records of the stream."""
    return {
        "Records": [
            event_record(
                payload,
                shard=SHARD,
                sequence=str(FIRST_SEQUENCE + 16 * number),
                partition_key=f"{number:032x}",
                arrival_s=ARRIVAL + number,
                invokeIdentityArn="arn:aws:iam::123456789012:role/toptalkers-FunctionRole",
                awsRegion="us-east-1",
                eventSourceARN="arn:aws:kinesis:us-east-1:123456789012:stream/toptalkers-Stream",
            )
            for number, payload in enumerate(payloads)
        ]
    }


EVENTS = {
    "data": [pack(envelope([OK, OK_BACK, REJECTED]))],
    "control": [control()],
    "several": [control(), pack(envelope([OK])), pack(envelope([OK_BACK, REJECTED])), control()],
    "nodata": [pack(envelope([NODATA, OK, SKIPDATA, NODATA]))],
    "custom-format": [pack(envelope([CUSTOM_OK, CUSTOM_NODATA]))],
    "ipv6": [pack(envelope([IPV6]))],
    "misfit": [pack(envelope([OK, CUSTOM_OK, OK.replace(" OK", " ACCEPT"), "", OK + "\n" + OK, OK_BACK]))],
    "truncated-gzip": [pack(envelope([OK, OK_BACK]))[:-40], pack(envelope([REJECTED]))],
    "not-gzip": [json.dumps(envelope([OK])).encode(), pack(envelope([REJECTED]))],
    "not-json": [gzip.compress(b'{"messageType":"DATA_MESSAGE",', mtime=0), pack(envelope([REJECTED]))],
    "not-an-envelope": [pack({**envelope([OK]), "logEvents": [{"id": "0"}]}), pack(envelope([REJECTED]))],
    "unknown-message-type": [pack(envelope([OK], "OTHER_MESSAGE")), pack(envelope([REJECTED]))],
}


def main() -> None:
    """Write every event."""
    for name, payloads in EVENTS.items():
        text = json.dumps(kinesis_event(payloads), indent=2) + "\n"
        Path(__file__).with_name(f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
