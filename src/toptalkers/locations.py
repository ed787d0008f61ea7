"""Every S3 key of the project; all of them are in the stack's bucket.

The Lambda pre-processor builds the same keys with its own code (`capture/preprocess.py` is self-contained); a parity
test checks that the two agree.
"""

import re
from datetime import UTC, datetime

CAPTURED = "flowlogs/"
"""Flow records that the Lambda wrote, by the hour (UTC) when the batch's first record arrived."""

DIRECT = "AWSLogs/"
"""Flow logs delivered straight to S3; the layout below is AWS's own (plain or Hive)."""

QUARANTINE = "quarantine/"
"""Unchanged payloads that the Lambda could not read, and flow records that do not fit the stack's layout."""

FAILED_BATCHES = "aws/lambda/"
"""Batches that Lambda gave up on, with their payload. AWS fixes the prefix: an S3 on-failure destination
writes `aws/lambda/<event source mapping>/<shard>/YYYY/MM/DD/…`."""

CODE = "code/"
"""The streaming bundles, by the hash of their content: `code/<sha256>/<file>`."""

RUNS = "runs/"
"""One folder per run."""


CAPTURED_KEY = re.compile(
    re.escape(CAPTURED) + r"\d{4}/\d\d/\d\d/\d\d/(?P<shard>shardId-\d+)-(?P<first>\d+)-(?P<last>\d+)\.gz"
)
"""What `captured_key` makes."""


def captured_key(arrival: datetime, shard: str, first: str, last: str) -> str:
    """The key of a batch's flow records. A retry has the same key, so it overwrites the object.

    Args:
        arrival: when the batch's first record arrived on the stream (an aware datetime).
        shard: its Kinesis name, `shardId-000000000000`.
        first: sequence number of the batch's first record.
        last: sequence number of its last.

    """
    return f"{CAPTURED}{_hour(arrival)}/{shard}-{first}-{last}.gz"


def misfit_key(arrival: datetime, shard: str, first: str, last: str) -> str:
    """The key of a batch's records that do not fit the layout: gzipped, one JSON string per line."""
    return f"{QUARANTINE}{_hour(arrival)}/{shard}-{first}-{last}-misfit.ndjson.gz"


def surplus_key(arrival: datetime, shard: str, first: str, last: str) -> str:
    """The key of a batch's undecodable records beyond the first 500: gzipped, one JSON object per line."""
    return f"{QUARANTINE}{_hour(arrival)}/{shard}-{first}-{last}-surplus.ndjson.gz"


def quarantine_key(arrival: datetime, shard: str, sequence: str, reason: str) -> str:
    """The key of one stream record that could not be decoded; `arrival` is that of its batch."""
    return f"{QUARANTINE}{_hour(arrival)}/{shard}-{sequence}-{reason}"


_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


def format_run_id(created: datetime, token: str) -> str:
    """Make the name of a run, such as `20261123T181500Z-4f2a`: names sort by age.

    Args:
        created: when the run was requested (an aware datetime).
        token: four hexadecimal digits that distinguish runs of the same second.

    """
    return f"{created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{token}"


def is_run_id(text: str) -> bool:
    """Whether a text is a run's name."""
    return _RUN_ID.fullmatch(text) is not None


def run_prefix(run_id: str) -> str:
    """The folder of a run."""
    return f"{RUNS}{run_id}/"


def run_record_key(run_id: str) -> str:
    """The key of the run's record: its question, its input and its outcome."""
    return f"{RUNS}{run_id}/run.json"


def answer_prefix(run_id: str) -> str:
    """The folder that the last step writes; complete when it contains `_SUCCESS`."""
    return f"{RUNS}{run_id}/toptalkers/"


def aggregate_prefix(run_id: str) -> str:
    """The folder that the first step writes, in a run that keeps it."""
    return f"{RUNS}{run_id}/aggregate/"


def renamed_prefix(run_id: str) -> str:
    """Copies of a run's input, with names that tell Hadoop how they are compressed; removed after the run."""
    return f"{RUNS}{run_id}/input/"


def run_logs_prefix(run_id: str) -> str:
    """The folder of the cluster's logs; EMR decides what is below it."""
    return f"{RUNS}{run_id}/logs/"


def code_prefix(sha256: str) -> str:
    """A bundle's folder, by the hash of its content."""
    return f"{CODE}{sha256}/"


def _hour(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y/%m/%d/%H}"
