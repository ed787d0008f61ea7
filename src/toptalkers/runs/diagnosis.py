"""Why a step failed, and what it counted: from the logs that EMR puts into S3, some minutes late.

Below `<LogUri>/<cluster>/` (EMR management guide, "View log files"): `steps/<step>/{controller,syslog,stderr}.gz`
hold what Hadoop's client said, `containers/<application>/<container>/stderr.gz` what the scripts said.
"""

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from toptalkers.aws.account import Account, Say
from toptalkers.aws.storage import StoredObject
from toptalkers.hadoop.runtime import LogReader, find_error, find_traceback

POLL_SECONDS = 10
LOG_MINUTES = 6
"""EMR pushes logs every five minutes, and once more when a cluster ends."""

LOG_BYTES = 4 << 20
"""How much of a log is looked at, unpacked."""

MOST_CONTAINERS = 200
"""How many containers' logs are looked at; every attempt at a task has one."""

_THREAD = re.compile(r"^(\S+ \S+ [A-Z]+ \S+) \([^)\n]*\):", re.MULTILINE)
"""What EMR's log4j pattern has more than ours: the thread behind the logger."""

_NOISE = ("log4j", "SLF4J", "WARNING: ", "Streaming Command Failed!", "Command exiting with ret", "+ ")
"""How lines begin that stand in logs of every step, and give no reason."""

LAST_WORDS = 3
"""How many lines of a log are its last words."""

_ERROR_MARK = re.compile(r"^Error: (?=(?:[a-z]\w*\.)+[A-Z])", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a step failed, in the program's own words, and the log that says so."""

    reason: str
    log: str


def diagnose(account: Account, bucket: str, logs: str, cluster: str, step: str) -> Diagnosis | None:
    """Find the first Python traceback of a step's scripts, else Hadoop's reason; None when no log says anything.

    Waits for logs that have not come, `LOG_MINUTES` at most. Hadoop's own reason ends the wait, unless it only
    is that a script failed: then the script's words are waited for. A step's standard error that holds no reason of a
    known shape ends it too, with its last words.

    Args:
        account: the account and Region.
        bucket: where the logs are.
        logs: the key that the run's LogUri has, ending in `/`.
        cluster: its id.
        step: the step's id.

    """
    here = f"{logs}{cluster}/"
    found: Diagnosis | None = None
    unknown: Diagnosis | None = None
    seen: set[StoredObject] = set()
    for _ in range(LOG_MINUTES * 60 // POLL_SECONDS):
        last_words = ""
        for log in _logs_of_scripts(account, bucket, here, step):
            if log in seen:
                continue
            seen.add(log)
            text = _read(account, bucket, log.key)
            if traceback := find_traceback(text):
                return Diagnosis(traceback, f"s3://{bucket}/{log.key}")
            if "/containers/" in log.key and (lines := _words(text)):
                last_words = last_words or lines[-1]
        unknown_before, unknown = unknown, None
        for name in ("syslog", "stderr", "controller"):
            key = f"{here}steps/{step}/{name}.gz"
            text = _plain(_read(account, bucket, key))
            error = find_error(text)
            if error and (found is None or name == "syslog"):
                found = Diagnosis(error, f"s3://{bucket}/{key}")
            elif name == "stderr" and (lines := _words(text)):
                unknown = Diagnosis("\n".join(lines[-LAST_WORDS:]), f"s3://{bucket}/{key}")
        # Once more: the log that knows better may be on its way.
        if unknown and unknown == unknown_before and not found:
            return unknown
        if found and "subprocess failed" not in found.reason:
            return found
        if found and last_words:
            return Diagnosis(f"{found.reason}: {last_words}", found.log)
        account.sleep(POLL_SECONDS)
    return found


def read_counters(account: Account, bucket: str, logs: str, cluster: str, step: str) -> Mapping[str, int]:
    """What a step's scripts counted (group `toptalkers`), from its log; empty when that is not there."""
    reader = LogReader()
    for line in _plain(_read(account, bucket, f"{logs}{cluster}/steps/{step}/syslog.gz")).splitlines():
        reader.read_line(line)
    return reader.counters.get("toptalkers", {})


def await_counters(account: Account, bucket: str, logs: str, cluster: str, step: str, say: Say) -> Mapping[str, int]:
    """What `read_counters` gives, waited for `LOG_MINUTES` at most; a Ctrl-C ends the waiting alone."""
    try:
        for look in range(LOG_MINUTES * 60 // POLL_SECONDS):
            if counters := read_counters(account, bucket, logs, cluster, step):
                return counters
            if not look:
                say(f"waiting for the log that says what was counted, {LOG_MINUTES} minutes at most")
            account.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        say("not waited for any longer")
    return {}


def _logs_of_scripts(account: Account, bucket: str, here: str, step: str) -> list[StoredObject]:
    """The logs of the newest application's containers, as many as are looked at, and the step's own."""
    folder = f"{here}containers/"
    logs = [
        one for one in account.storage.list(bucket, folder) if one.key.rsplit("/", 1)[-1] in ("stderr", "stderr.gz")
    ]
    newest = max((_application(one, folder) for one in logs), default="")
    own = account.storage.head(bucket, f"{here}steps/{step}/stderr.gz")
    return [one for one in logs if _application(one, folder) == newest][:MOST_CONTAINERS] + ([own] if own else [])


def _words(text: str) -> list[str]:
    """The lines of a log that may give a reason."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith(_NOISE)]


def _application(log: StoredObject, folder: str) -> str:
    return log.key.removeprefix(folder).partition("/")[0]


def _read(account: Account, bucket: str, key: str) -> str:
    """The beginning of a log; empty when it is not there."""
    if account.storage.head(bucket, key) is None:
        return ""
    with account.storage.get(bucket, key) as body:
        return _unpack(body, is_packed=key.endswith(".gz")).decode(errors="replace")


def _unpack(body: IO[bytes], *, is_packed: bool) -> bytes:
    if not is_packed:
        return body.read(LOG_BYTES)
    try:
        with gzip.GzipFile(fileobj=body) as unpacked:
            return unpacked.read(LOG_BYTES)
    except (EOFError, OSError, zlib.error):
        return b""  # pushed halfway; it comes again whole


def _plain(text: str) -> str:
    """A log of EMR in the shape of those that the embedded Hadoop writes."""
    return _ERROR_MARK.sub("", _THREAD.sub(r"\1:", text))
