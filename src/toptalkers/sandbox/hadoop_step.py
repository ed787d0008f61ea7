"""Run a cluster's steps, each in a process of its own with the embedded Hadoop, so that it can always be stopped.

On SIGTERM, the process ends the JVM and its scripts.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.runtime import S3Endpoint, run_streaming
from toptalkers.sandbox.emr_cluster import StepEnd, StepRun
from toptalkers.sandbox.guarded import die_with_parent

STOP_SECONDS = 10
"""How long a step may take to stop before it is killed."""

HADOOP_SAYS = ("Streaming Command Failed!", "Exception in thread", "ERROR ", "Error: ", "Usage: ", "Try -help")
"""Beginnings of lines that only Hadoop's client writes to standard error; all lines after such a line are its own."""


def run_step(s3: S3Endpoint, run: StepRun) -> StepEnd:
    """Run a step of a cluster, which reads and writes one S3, to its end or until it is stopped."""
    if run.arguments[:1] != ("hadoop-streaming",):
        stderr = f"the sandbox runs only hadoop-streaming, not {run.arguments[:1]}\n".encode()
        return StepEnd(1, run.name_logs(client={"stderr": stderr}, scripts=b""))
    run.work_dir.mkdir(parents=True, exist_ok=True)
    run.log_dir.mkdir(parents=True)
    order = {
        "arguments": run.arguments[1:],
        "work_dir": str(run.work_dir),
        "log_dir": str(run.log_dir),
        "map_slots": os.cpu_count() or 2,
        "s3": asdict(s3),
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=(run.log_dir / "runner").open("wb"),
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 - for the type checker
    with process.stdin as stdin, contextlib.suppress(BrokenPipeError):
        stdin.write(json.dumps(order).encode() + b"\n")
        stdin.flush()
        while process.poll() is None and not run.stop.wait(0.05):
            pass
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
    process.wait()
    syslog = run.log_dir / "syslog"
    scripts, stderr = _separate_stderr(run.log_dir)
    client = {"syslog": syslog.read_bytes() if syslog.exists() else b"", "stderr": stderr}
    return StepEnd(process.returncode, run.name_logs(client=client, scripts=scripts))


def main() -> None:
    """Read an order as one line of JSON from standard input, run it, and exit with Hadoop's exit code."""
    signal.signal(signal.SIGTERM, _leave)
    order = json.loads(sys.stdin.readline())
    die_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    log_dir = Path(order["log_dir"])
    try:
        result = run_streaming(
            order["arguments"],
            work_dir=Path(order["work_dir"]),
            map_slots=order["map_slots"],
            s3=S3Endpoint(**order["s3"]),
            log_dir=log_dir,
        )
    except ToptalkersError as error:
        (log_dir / "stderr").write_text(f"Error: {error.message}" + (f" ({error.hint})\n" if error.hint else "\n"))
        sys.exit(1)
    sys.exit(result.exit_code)


def _leave(number: int, _: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not stop the code that stops the JVM
    sys.exit(128 + number)


def _separate_stderr(log_dir: Path) -> tuple[bytes, bytes]:
    """Return the standard error of the scripts and of Hadoop's client, which EMR keeps in separate logs."""
    path = log_dir / "stderr"
    if not path.exists():
        return b"", (log_dir / "runner").read_bytes()  # it failed before Hadoop began
    lines = path.read_bytes().decode(errors="replace").splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.startswith(HADOOP_SAYS)), len(lines))
    return "".join(lines[:first]).encode(), "".join(lines[first:]).encode()


if __name__ == "__main__":
    main()
