"""The S3 keys of the project, which are all in the stack's bucket, and what the name of a bucket looks like.

The Lambda pre-processor, which is self-contained, makes the keys below `CAPTURED` and `QUARANTINE`
(`capture/preprocess.py`); a test checks that the two files agree.
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
"""Batches that Lambda gave up, with their payload. AWS sets the prefix: an S3 on-failure destination
writes `aws/lambda/<event source mapping>/<shard>/YYYY/MM/DD/…`."""

CODE = "code/"
"""The bundles of scripts, by the hash of their content: `code/<sha256>/<file>`."""

RUNS = "runs/"
"""One folder per run."""

RUN_LOGS = "logs/"
"""One folder per run with the logs of its cluster; apart from `RUNS`, so that the bucket can let them expire."""

BUCKET_NAME = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
"""A pattern for the name of a bucket (Amazon S3 user guide, "General purpose bucket naming rules")."""

CAPTURED_KEY = re.compile(
    re.escape(CAPTURED) + r"\d{4}/\d\d/\d\d/\d\d/(?P<shard>shardId-\d+)-(?P<first>\d+)-(?P<last>\d+)\.gz"
)
"""The keys of the objects that the Lambda writes there: the shard, and the bounds of the batch."""

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


def learned_prefix(run_id: str) -> str:
    """The table of what a run has learned from all records: who is a server, and whose address is whose."""
    return f"{RUNS}{run_id}/learned/"


def copies_prefix(run_id: str) -> str:
    """Copies of what a step cannot name of a run's input; removed after the run."""
    return f"{RUNS}{run_id}/input/"


def run_logs_prefix(run_id: str) -> str:
    """The folder of the cluster's logs; EMR decides what is below it."""
    return f"{RUN_LOGS}{run_id}/"


def code_prefix(sha256: str) -> str:
    """A bundle's folder, by the hash of its content."""
    return f"{CODE}{sha256}/"
