"""Read Hadoop's logs: the progress of a job, its counters, and why it failed.

The same rules read the logs of a job on this machine, in the sandbox and on EMR. EMR's log4j pattern also names
the thread, in parentheses behind the logger, and writes `Error: ` before the exception of a task.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

LAST_WORDS = 3
"""How many lines of a log are its last words."""

_EVENT = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ (?P<logger>[^\s:]+)(?: \([^)\n]*\))?: (?P<message>.*)", re.DOTALL
)
"""The first line of an event."""

_ONE_TRACEBACK = r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+.+"
_TRACEBACK = re.compile(
    rf"{_ONE_TRACEBACK}(?:\n\n(?:The above exception|During handling) .*\n\n{_ONE_TRACEBACK})*", re.MULTILINE
)

_EXCEPTION = re.compile(
    r"^(?:Exception in thread \"[^\"]*\" |Error: )?((?:[a-z]\w*\.)+[\w$]*(?:Exception|Error)\b.*)", re.MULTILINE
)
"""The first line of a Java stack trace."""

_ERROR = re.compile(r"^\S+ \S+ ERROR [^\s:]+(?: \([^)\n]*\))?: (.+)", re.MULTILINE)

_NOISE = ("log4j", "SLF4J", "WARNING: ", "Streaming Command Failed!", "Command exiting with ret", "+ ")
"""Beginnings of lines that are in the logs of every step and explain nothing."""

Counters = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class HadoopEvent:
    """The progress of the job, as Hadoop's client reports it."""

    job_id: str
    map_percent: int
    reduce_percent: int


class LogReader:
    """Reads Hadoop's log line by line: job id, progress, and in the end the job's counters.

    `org.apache.hadoop.mapreduce.Job` prints the counters as one event of many lines, groups behind one tab
    and counters behind two. Every task prints its own in the same shape; those are skipped.
    """

    def __init__(self, on_event: Callable[[HadoopEvent], None] | None = None) -> None:
        """`on_event` is called for each progress."""
        self.job_id: str | None = None
        self.counters: dict[str, dict[str, int]] = {}
        self._on_event = on_event
        self._in_counters = False
        self._group: dict[str, int] = {}

    def read_line(self, line: str) -> None:
        """Take the next line of the log, with its line end or without."""
        if event := _EVENT.match(line):
            self._in_counters = False
            if event["logger"] == "org.apache.hadoop.mapreduce.Job":
                self._read_job_event(event["message"])
        elif self._in_counters:
            if line.startswith("\t\t"):
                name, _, value = line.strip().rpartition("=")
                self._group[name.rstrip()] = int(value)
            else:
                self._group = self.counters.setdefault(line.strip(), {})

    def _read_job_event(self, message: str) -> None:
        if match := re.match(r"Running job: (\S+)", message):
            self.job_id = match[1]
        elif match := re.match(r" map (\d+)% reduce (\d+)%", message):
            if self._on_event:
                self._on_event(HadoopEvent(self.job_id or "", int(match[1]), int(match[2])))
        elif message.startswith("Counters: "):
            self._in_counters = True


def read_counters(syslog: str) -> Mapping[str, int] | None:
    """Read the counters of a job's scripts (group `toptalkers`) from its log; None when the log has no counters."""
    reader = LogReader()
    for line in syslog.splitlines():
        reader.read_line(line)
    return reader.counters.get("toptalkers", {}) if reader.counters else None


@dataclass(frozen=True, slots=True)
class Log:
    """What one log contains about a failure.

    Attributes:
        name: where the log is.
        traceback: its first Python traceback, with those that it led to.
        error: Hadoop's reason, one line.
        words: its last lines, at most `LAST_WORDS`, without noise.

    """

    name: str
    traceback: str = ""
    error: str = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, in the program's own words.

    Attributes:
        reason: the words.
        log: the name of their log.
        kind: what the words are. `exit code` only means that some script failed; the script's own log explains it.

    """

    reason: str
    log: str
    kind: Literal["traceback", "error", "exit code", "last words"]


def read_log(name: str, text: str) -> Log:
    """Extract from a log the parts that `explain_failure` needs."""
    traceback = _TRACEBACK.search(text)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(_NOISE)]
    return Log(name, traceback[0] if traceback else "", _find_error(text), tuple(lines[-LAST_WORDS:]))


def explain_failure(
    *, scripts: Iterable[Log], syslog: Log, stderr: Log, controller: Log | None = None
) -> Failure | None:
    """Explain why a job failed: by the first traceback, else by Hadoop's reason, else by the last words.

    Hadoop's reason may be no more than the exit code of a script; then the script's last line is added.

    `scripts` are the standard error of the scripts, one log per task, or one for all; `syslog` and `stderr` are the log
    and the standard error of Hadoop's client; `controller` is EMR's log of the step. None when no log
    explains it.
    """
    scripts = [*scripts]
    client = [syslog, stderr, *([controller] if controller else [])]
    for log in (*scripts, *client):
        if log.traceback:
            return Failure(log.traceback, log.name, "traceback")
    for log in client:
        if log.error and "subprocess failed" not in log.error:
            return Failure(log.error, log.name, "error")
        if log.error:
            said = next((script.words[-1] for script in scripts if script.words), "")
            return Failure(f"{log.error}: {said}" if said else log.error, log.name, "error" if said else "exit code")
    return Failure("\n".join(stderr.words), stderr.name, "last words") if stderr.words else None


def _find_error(text: str) -> str:
    """Find the reason that Hadoop's log gives for a failed job, one line, or empty.

    An exception's last cause is preferred to an error: the client's last word on a failed job is only `Job not
    successful!`. The exception that ended the job is preferred to those that tasks logged before.
    """
    end_of_job = text.find("WARN org.apache.hadoop.mapred.LocalJobRunner: job_")
    if first := _EXCEPTION.search(text, max(0, end_of_job)):
        cause = first[1]
        for line in text[first.end() + 1 :].splitlines():
            if match := re.match(r"Caused by: (.+)", line):
                cause = match[1]
            elif not line.startswith("\t"):
                break
        return cause
    error = _ERROR.search(text)
    return error[1] if error else ""
