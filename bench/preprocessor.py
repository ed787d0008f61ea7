"""The Lambda pre-processor: uncompressed megabytes per second on one core, and peak memory.

Each case runs in a new process, so that its peak resident memory is its own (boto3 and an S3 client are
loaded as on Lambda; nothing is sent). `python -m bench.preprocessor` prints one JSON line per case to standard output.
"""

import argparse
import functools
import gzip
import itertools
import json
import random
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.part import Context, Section, table
from bench.tools import ROOT

EVENT_BYTES = 6 * 1024 * 1024
"""Lambda's limit for one event of an event source mapping."""

STREAM_RECORD_BYTES = 1024 * 1024
"""Kinesis' default limit for one record."""

SEED = 7

RUNS = 3

CORE_MB = 1769
"""The memory for which Lambda gives a whole core (Lambda developer guide, "Configure Lambda function memory")."""

MEMORIES = (256, 512, 1024, 1769)

FACTORS = (1, 2, 4)
"""Parallelization factors: so many batches of a shard at a time."""

RATIO = 10
"""How many times larger an envelope of flow logs is than its gzip, to be careful: 8 to 15 times is usual."""

SHARD_BYTES = 10**6
"""What a shard takes per second (Kinesis Data Streams developer guide, "Quotas and limits")."""

SHARD_READ = 2.0
"""What all consumers together read from a shard, in MB per second (same page)."""

Event = tuple[str, int]
"""An event of Lambda, as JSON, and how many uncompressed bytes are in it."""


def run(context: Context) -> Section:
    """Run the usual cases, and format the measurements as a table."""
    del context
    rows = []
    cases = [min(tries, key=lambda one: one["cpu_seconds"]) for tries in zip(*_measured(RUNS), strict=True)]
    for case in cases:
        rate = case["records_per_second"]
        rows.append(
            [
                case["case"].replace("_", " "),
                f"{case['event_mib']} MiB",
                f"{case['unpacked_mib']:,.0f} MiB",
                f"{case['unpacked_mib_per_second']:.0f}",
                f"{rate:,}" if rate else "-",
                f"{case['peak_mib']} MiB",
            ]
        )
    head = ("event", "size", "uncompressed", "MiB per CPU second", "records per CPU second", "peak memory")
    share_head = ("memory", "of a core", "MiB/s uncompressed", *(f"factor {factor}" for factor in FACTORS))
    return Section(
        f"{table(head, rows)}\n\n"
        f"The fastest of {RUNS} runs each. For the first event, this is what a function does with its share of a core."
        "\n"
        "The last columns say how many full shards it keeps up with, by the parallelization factor: a shard takes\n"
        f"1 MB/s, here compressed at 1:{RATIO}, and at most {SHARD_READ} MB/s are read from it.\n\n"
        + table(share_head, [_share(memory, cases[0]["unpacked_mib_per_second"]) for memory in MEMORIES])
    )


def _measured(runs: int) -> Iterator[list[dict[str, Any]]]:
    for _ in range(runs):
        yield list(measure_each(usual()))


def _share(memory: int, rate: float) -> list[str]:
    """Compute what a function of some memory does, from the rate in uncompressed MiB per second of a whole core."""
    share = memory / CORE_MB
    # One event is processed on one core.
    speed = rate * min(1.0, share)
    shards = [min(SHARD_READ, speed * factor * 2**20 / RATIO / SHARD_BYTES) for factor in FACTORS]
    return [f"{memory:,} MB", f"{share:.2f}", f"{speed:.0f}", *(f"{one:.1f}" for one in shards)]


def main() -> None:
    """Measure the usual cases, or those that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m bench.preprocessor", description=__doc__)
    parser.add_argument("--hostile", action="store_true", help="also cases that take the most memory or time")
    parser.add_argument(
        "--widest", action="store_true", help="one process for all cases that take memory, without boto3"
    )
    parser.add_argument("--measure", metavar="MIB", help="process the event on standard input")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(float(arguments.measure))))
    elif arguments.widest:
        for name, make_event in widest().items():
            process(json.loads(make_event()[0]))
            print(json.dumps({"case": name, "peak_mib": peak_mib()}), flush=True)
    else:
        for case in measure_each(usual() | widest() | longest() if arguments.hostile else usual()):
            print(json.dumps(case), flush=True)


def measure_each(cases: dict[str, Callable[[], Event]]) -> Iterator[dict[str, Any]]:
    """Make each event, and pass it to a new process of this module, which processes it."""
    for name, make_event in cases.items():
        event_text, unpacked_bytes = make_event()
        command = [sys.executable, "-m", "bench.preprocessor", "--measure", str(unpacked_bytes / 2**20)]
        done = subprocess.run(command, input=event_text, text=True, stdout=subprocess.PIPE, check=True, cwd=ROOT)
        yield {"case": name, **json.loads(done.stdout)}


def measure(unpacked_mib: float) -> dict[str, Any]:
    """Process the event on standard input, and return the measurements."""
    import boto3

    # The client takes memory, as on Lambda; nothing is sent.
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")  # noqa: S106
    # Lambda's runtime parses the event's text too, and drops it before it calls the handler.
    event_text = sys.stdin.read()
    event = json.loads(event_text)
    event_bytes = len(event_text)
    del event_text
    began = time.process_time()
    tally = process(event)
    seconds = time.process_time() - began
    client.close()
    return {
        "event_mib": round(event_bytes / 2**20, 1),
        "unpacked_mib": round(unpacked_mib, 1),
        "kept": tally["kept"],
        "misfits": tally["misfits"],
        "quarantined": tally["quarantined"],
        "out_mib": round(tally["bytes_out"] / 2**20, 1),
        "cpu_seconds": round(seconds, 2),
        "unpacked_mib_per_second": round(unpacked_mib / seconds, 1),
        "records_per_second": round(tally["kept"] / seconds),
        "peak_mib": peak_mib(),
    }


def process(event: dict[str, Any]) -> dict[str, Any]:
    """Process an event with the pre-processor."""
    from toptalkers.capture import preprocess

    return preprocess.process(event, SinkS3(), preprocess.Settings("bucket", preprocess.parse_columns("")))


def peak_mib() -> int:
    """Return this process's peak memory."""
    status = Path("/proc/self/status")
    if status.exists():
        # The value of getrusage starts at the parent's memory at the fork.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20


class SinkS3:
    """Accepts objects and drops them."""

    def put_object(self, **_request: Any) -> None:
        """Accept an object."""


def typical() -> Event:
    """Make the largest event of ordinary envelopes: about 1 MB of records each, as CloudWatch Logs batches them."""
    return _fill(lambda random_: _envelope(random_, 4500))


def large_envelopes() -> Event:
    """Make the largest event of the largest records of the stream: 1 MiB compressed."""
    return _fill(lambda random_: _envelope(random_, 22_000))


def repetitive() -> Event:
    """Make the event with the most content: one record repeated, just below the limit of one envelope."""
    count = 100_000
    event = {"id": "0" * 56, "timestamp": 1700000000000, "message": _record(random.Random(SEED))}  # noqa: S311
    text = json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [event] * count}).encode()
    payload = gzip.compress(text, 9)
    return _event_text([_distinct(payload, number) for number in range(20)]), len(text) * 20


def usual() -> dict[str, Callable[[], Event]]:
    """Return the cases of flow logs, by name, and the worst text."""
    texts = {
        f"message of {name}": functools.partial(_one_record, *MESSAGE, TEXTS[name]) for name in ("spaces", "emoji")
    }
    return {case.__name__: case for case in (typical, large_envelopes, repetitive)} | texts


MESSAGE = (b'{"messageType":"DATA_MESSAGE","logEvents":[{"message":"', b'"}]}')
LOG_EVENTS = (b'{"messageType":"DATA_MESSAGE","logEvents":[', b"0]}")
MEMBERS = (b"{", b'"messageType":"DATA_MESSAGE","logEvents":[]}')
VALUE = (b'{"a":[', b"0]}")
NAME = (b'{"', b'":0}')
BARE = (b"", b"")

TEXTS = {
    "spaces": b" ",
    "letters and emoji": b"x" * 9_000 + "\U0001f600".encode(),
    "emoji": "\U0001f600".encode(),
    "latin": "\u00e9".encode(),
    "escaped NUL": rb"\u0000",
    "escaped emoji": rb"\ud83d\ude00",
    "escaped quotes": rb"\"",
    "commas between objects": b"},{",
}
"""Texts that take more memory when parsed, or are hard to cut."""

WIDEST_TEXTS = ("letters and emoji", "emoji", "escaped emoji")

STRUCTURES = {
    "empty messages": b'{"message":""},',
    "empty objects": b"{},",
    "objects of lists": b'{"a":[]},',
    "objects of names": b'{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0},',
    "nesting": b"[" * 400 + b"]" * 400 + b",",
    "line feeds": b"\n",
    "open lists": b"[",
    "open objects": b'{"a":',
}
"""Structures that are short as text but large in memory."""


def widest() -> dict[str, Callable[[], Event]]:
    """Return the cases that take the most memory: one record of the stream each, at the limit of an envelope.

    Of the texts that are read value by value, only the widest are here: the others take time, but not more memory.
    """
    shapes = {
        "message": (MESSAGE, TEXTS),
        "name": (NAME, {name: TEXTS[name] for name in ("spaces", "emoji", "escaped quotes")}),
        "log events": (
            LOG_EVENTS,
            {name: filling for name, filling in STRUCTURES.items() if name != "empty messages"}
            | {
                f"messages of {name}": _message(TEXTS[name]) for name in ("letters and emoji", "emoji", "escaped emoji")
            },
        ),
        "value": (VALUE, STRUCTURES),
        "members": (MEMBERS, {"long names": b'"' + b"x" * 1_000_000 + b'":0,'}),
        "text": (BARE, {"spaces": b" ", "digits": b"9", "NUL": b"\0", "letters": b"x"}),
    }
    return {
        f"{shape} of {name}": functools.partial(_one_record, *ends, filling)
        for shape, (ends, fillings) in shapes.items()
        for name, filling in fillings.items()
    }


def longest() -> dict[str, Callable[[], Event]]:
    """Return the cases that take the most time, each with as much as fits in an event."""

    def repeat(payload: bytes, unpacked: int = 0) -> Event:
        count = min(10_000, EVENT_BYTES // (len(payload) * 4 // 3 + 500))
        return _event_text([_distinct(payload, number) for number in range(count)]), unpacked * count

    text, _ = _envelope(random.Random(SEED), 22_000)  # noqa: S311
    odd = text.replace(b"ACCEPT", rb"\u0000\ud83d\ude00")
    return {
        "empty gzip members": lambda: repeat(gzip.compress(b"", mtime=0) * (STREAM_RECORD_BYTES // 20)),
        "poison": lambda: repeat(b"poisoned"),
        "misfits": lambda: repeat(gzip.compress(odd), len(odd)),
        "bombs of empty messages": lambda: repeat(*_pack(*LOG_EVENTS, STRUCTURES["empty messages"])),
        "bombs of numbers": lambda: repeat(*_pack(*LOG_EVENTS, b"1.5,")),
        "bombs of names": lambda: repeat(*_pack(*MEMBERS, b'"a":{},')),
        "bombs of spaces": lambda: repeat(*_pack(*BARE, b" ")),
    }


def _message(text: bytes) -> bytes:
    """Make a log event, just below the limit of a value."""
    from toptalkers.capture import preprocess

    return b'{"message":"' + text * ((preprocess.VALUE_CHARACTERS - 100) // len(text)) + b'"},'


def _one_record(head: bytes, tail: bytes, filling: bytes) -> Event:
    payload, size = _pack(head, tail, filling)
    return _event_text([payload]), size


def _pack(head: bytes, tail: bytes, filling: bytes) -> tuple[bytes, int]:
    """Compress the longest text of a head, a repeated filling, and a tail; return it and its uncompressed size."""
    from toptalkers.capture import preprocess

    count = (preprocess.UNPACKED_BYTES - len(head) - len(tail)) // len(filling)
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    # In pieces, so that this process does not hold the whole text.
    block = max(1, 65_536 // len(filling))
    middle = itertools.chain(itertools.repeat(filling * block, count // block), [filling * (count % block)])
    packed = b"".join(deflate.compress(piece) for piece in itertools.chain([head], middle, [tail]))
    return packed + deflate.flush(), len(head) + len(filling) * count + len(tail)


def _fill(make_envelope: Any) -> Event:
    """Repeat a few different envelopes until the event reaches its limit."""
    random_ = random.Random(SEED)  # noqa: S311
    kinds = [make_envelope(random_) for _ in range(3)]
    payloads: list[bytes] = []
    unpacked = size = 0
    while True:
        text, packed = kinds[len(payloads) % len(kinds)]
        if len(packed) > STREAM_RECORD_BYTES:
            raise ValueError(f"an envelope of {len(packed)} bytes does not fit in a record of the stream")
        size += len(packed) * 4 // 3 + 500
        if size > EVENT_BYTES:
            return _event_text(payloads), unpacked
        payloads.append(_distinct(packed, len(payloads)))
        unpacked += len(text)


def _distinct(payload: bytes, number: int) -> bytes:
    """Return the same gzip with another time in its header: the pre-processor skips a payload that it has seen."""
    return payload[:4] + number.to_bytes(4, "little") + payload[8:]


def _envelope(random_: random.Random, count: int) -> tuple[bytes, bytes]:
    from toptalkers.sandbox.envelopes import pack, wrap

    events = [
        {
            # Like CloudWatch's: the first digits grow with time, the others vary.
            "id": f"3768{number:012d}{random_.getrandbits(64):040d}",
            "timestamp": 1700000000000 + number,
            "message": _record(random_),
        }
        for number in range(count)
    ]
    packed = pack(wrap(events, "eni-0a1b2c3d4e5f67890-all"))
    return gzip.decompress(packed), packed


def _record(random_: random.Random) -> str:
    start = 1700000000 + random_.randrange(600)
    status = "OK" if random_.random() < 0.98 else "NODATA"
    return (
        f"2 123456789012 eni-0a1b2c3d4e5f6789{random_.randrange(10)}"
        f" 10.0.{random_.randrange(4)}.{random_.randrange(256)} 10.0.{random_.randrange(4)}.{random_.randrange(256)}"
        f" {random_.randrange(1024, 65536)} {random_.choice((22, 53, 80, 443, 8080))} 6"
        f" {random_.randrange(1, 200)} {random_.randrange(40, 200_000)} {start} {start + 60} ACCEPT {status}"
    )


def _event_text(payloads: list[bytes]) -> str:
    from toptalkers.sandbox.envelopes import event_record

    records = [
        event_record(
            payload,
            shard="shardId-000000000000",
            sequence=f"{number:056d}",
            partition_key="0" * 32,
            arrival_s=1700000000.5,
            awsRegion="us-east-1",
        )
        for number, payload in enumerate(payloads)
    ]
    return json.dumps({"Records": records})


if __name__ == "__main__":
    main()
