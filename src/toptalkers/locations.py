"""Every S3 key of the project: all of it lies under the stack's bucket.

The Lambda pre-processor makes the same keys by itself (`capture/preprocess.py` is self-contained); a parity
test holds the two equal.
"""

import re
from datetime import UTC, datetime

CAPTURED = "flowlogs/"
"""Flow records that the Lambda wrote, by the hour (UTC) in which the batch's first record arrived."""

DIRECT = "AWSLogs/"
"""Flow logs delivered straight to S3; the layout below is AWS's own (plain or Hive)."""

QUARANTINE = "quarantine/"
"""What the Lambda could not read, as it came, and flow records that do not fit the stack's layout."""

FAILED_BATCHES = "aws/lambda/"
"""Batches that Lambda gave up, with their payload. The prefix is fixed by AWS: an S3 on-failure destination
writes `aws/lambda/<event source mapping>/<shard>/YYYY/MM/DD/…`."""

CODE = "code/"
"""The streaming bundle, by content: `code/<sha256>/<file>`."""

RUNS = "runs/"
"""One folder a run."""


CAPTURED_KEY = re.compile(
    re.escape(CAPTURED) + r"\d{4}/\d\d/\d\d/\d\d/(?P<shard>shardId-\d+)-(?P<first>\d+)-(?P<last>\d+)\.gz"
)
"""What `captured_key` makes."""


def captured_key(arrival: datetime, shard: str, first: str, last: str) -> str:
    """The key of a batch's flow records; the same for a retry, which therefore overwrites.

    Args:
        arrival: when the batch's first record arrived on the stream, aware.
        shard: as Kinesis names it, `shardId-000000000000`.
        first: sequence number of the batch's first record.
        last: sequence number of its last.

    """
    return f"{CAPTURED}{_hour(arrival)}/{shard}-{first}-{last}.gz"


def misfit_key(arrival: datetime, shard: str, first: str, last: str) -> str:
    """The key of a batch's records that do not fit the layout: gzipped, a JSON string a line."""
    return f"{QUARANTINE}{_hour(arrival)}/{shard}-{first}-{last}-misfit.ndjson.gz"


def surplus_key(arrival: datetime, shard: str, first: str, last: str) -> str:
    """The key of a batch's undecodable records beyond the first 500: gzipped, a JSON object per line."""
    return f"{QUARANTINE}{_hour(arrival)}/{shard}-{first}-{last}-surplus.ndjson.gz"


def quarantine_key(arrival: datetime, shard: str, sequence: str, reason: str) -> str:
    """The key of one record of the stream that could not be decoded; arrival is that of its batch."""
    return f"{QUARANTINE}{_hour(arrival)}/{shard}-{sequence}-{reason}"


_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


def format_run_id(created: datetime, token: str) -> str:
    """Name a run, `20261123T181500Z-4f2a`: names sort by age.

    Args:
        created: when the run was asked for, aware.
        token: four hexadecimal digits that tell runs of one second apart.

    """
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{token}"


def is_run_id(text: str) -> bool:
    """Whether a text is a run's name."""
    return _RUN_ID.fullmatch(text) is not None


def run_prefix(run_id: str) -> str:
    """The folder of a run."""
    return f"{RUNS}{run_id}/"


def run_record_key(run_id: str) -> str:
    """What was asked, on which input, and what became of it."""
    return f"{RUNS}{run_id}/run.json"


def answer_prefix(run_id: str) -> str:
    """What the last step writes; whole when it holds `_SUCCESS`."""
    return f"{RUNS}{run_id}/toptalkers/"


def aggregate_prefix(run_id: str) -> str:
    """What the first step writes, for a run that keeps it."""
    return f"{RUNS}{run_id}/aggregate/"


def renamed_prefix(run_id: str) -> str:
    """Copies of what a run reads, by names that tell Hadoop how they are packed; gone when the run is over."""
    return f"{RUNS}{run_id}/input/"


def run_logs_prefix(run_id: str) -> str:
    """The cluster's logs; their layout below is EMR's own."""
    return f"{RUNS}{run_id}/logs/"


def code_prefix(sha256: str) -> str:
    """A bundle's folder, by the hash of its content."""
    return f"{CODE}{sha256}/"


def _hour(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y/%m/%d/%H}"
