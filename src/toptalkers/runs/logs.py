"""The logs of a step, which EMR writes to S3 some minutes late: why the step failed, and its counters.

Below `<LogUri>/<cluster>/` (EMR management guide, "View log files"), `steps/<step>/{controller,syslog,stderr}.gz` are
the logs of Hadoop's client, and `containers/<application>/<container>/stderr.gz` those of the scripts.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toptalkers.aws.account import Account, Say
from toptalkers.aws.storage import StoredObject
from toptalkers.hadoop.logs import Failure, Log, explain_failure, read_counters, read_log

POLL_SECONDS = 10
LOG_MINUTES = 6
"""EMR writes logs every five minutes, and once more when a cluster ends."""

LOG_BYTES = 4 << 20
"""How much of a log is read, uncompressed."""

MOST_CONTAINERS = 200
"""How many containers' logs are read. Every attempt at a task has a container."""


@dataclass(frozen=True, slots=True)
class StepLogs:
    """Where the logs of a step are; `folder` is the key of the cluster's logs and ends in `/`."""

    bucket: str
    folder: str
    step: str

    @property
    def uri(self) -> str:
        """The address of the cluster's logs."""
        return f"s3://{self.bucket}/{self.folder}"

    def key(self, name: str) -> str:
        """The key of one of the step's own logs."""
        return f"{self.folder}steps/{self.step}/{name}.gz"


def await_failure(account: Account, logs: StepLogs) -> Failure | None:
    """Explain why a step failed, as `explain_failure` does; None when no log gives a reason.

    Waits `LOG_MINUTES` at most for missing logs. A traceback or Hadoop's reason ends the wait. The exit code of a
    script does not: the script's own log comes later. Last words end it when the next poll finds nothing better.
    """
    scripts: dict[StoredObject, Log] = {}
    before = None
    for _ in range(LOG_MINUTES * 60 // POLL_SECONDS):
        listed = _list_scripts(account, logs)
        for one in listed:
            if one not in scripts:
                scripts[one] = _read_log(account, logs, one.key)
        syslog, stderr, controller = (
            _read_log(account, logs, logs.key(name)) for name in ("syslog", "stderr", "controller")
        )
        found = explain_failure(
            scripts=[scripts[one] for one in listed], syslog=syslog, stderr=stderr, controller=controller
        )
        if found and (found.kind in ("traceback", "error") or (found.kind == "last words" and found == before)):
            return found
        before = found
        account.sleep(POLL_SECONDS)
    return before


def counters_of(account: Account, logs: Sequence[StepLogs]) -> Mapping[str, int]:
    """Read the counters of some steps' scripts, added up; empty when the log of one is missing, or has none."""
    total = Counter[str]()
    for one in logs:
        counters = read_counters(_read(account, one.bucket, one.key("syslog")))
        if counters is None:
            return {}
        total.update(counters)
    return dict(total)


def await_counters(account: Account, logs: Sequence[StepLogs], say: Say) -> Mapping[str, int]:
    """Read like `counters_of`, waiting for the log `LOG_MINUTES` at most; a Ctrl-C ends only the wait."""
    try:
        for look in range(LOG_MINUTES * 60 // POLL_SECONDS):
            if counters := counters_of(account, logs):
                return counters
            if not look:
                say(f"waiting for the log with the counters, {LOG_MINUTES} minutes at most")
            account.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        say("the wait is over")
    return {}


def _list_scripts(account: Account, logs: StepLogs) -> list[StoredObject]:
    """List the logs of the newest application's containers, at most `MOST_CONTAINERS`."""
    folder = f"{logs.folder}containers/"
    found: dict[str, list[StoredObject]] = {}
    for one in account.storage.list(logs.bucket, folder):
        if one.key.rsplit("/", 1)[-1] in ("stderr", "stderr.gz"):
            found.setdefault(one.key.removeprefix(folder).partition("/")[0], []).append(one)
    return found[max(found)][:MOST_CONTAINERS] if found else []


def _read_log(account: Account, logs: StepLogs, key: str) -> Log:
    return read_log(f"s3://{logs.bucket}/{key}", _read(account, logs.bucket, key))


def _read(account: Account, bucket: str, key: str) -> str:
    """Read the beginning of a log; empty when it is not there, or not yet whole."""
    if account.storage.head(bucket, key) is None:
        return ""
    with account.storage.get(bucket, key) as body:
        if not key.endswith(".gz"):
            return body.read(LOG_BYTES).decode(errors="replace")
        try:
            with gzip.GzipFile(fileobj=body) as unpacked:
                return unpacked.read(LOG_BYTES).decode(errors="replace")
        except (EOFError, OSError, zlib.error):
            return ""
