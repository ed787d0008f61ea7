"""Runs a cluster's steps: each a process of its own with the embedded Hadoop, so that it can be stopped for sure.

A process, because stopping a step means stopping a JVM and its scripts: SIGTERM makes the process end them.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.runtime import S3Endpoint, run_streaming
from toptalkers.sandbox.emr_cluster import StepRun
from toptalkers.sandbox.guarded import die_with_parent

STOP_SECONDS = 10
"""What a stopped step may take before it is killed."""

HADOOP_SAYS = ("Streaming Command Failed!", "Exception in thread", "ERROR ", "Error: ", "Usage: ", "Try -help")
"""How a line begins that Hadoop's client, and no script, writes to standard error; what follows is its as well."""


@dataclass(frozen=True)
class HadoopStepRunner:
    """Runs steps against one S3."""

    s3: S3Endpoint
    map_slots: int = os.cpu_count() or 2

    def __call__(self, run: StepRun) -> int:
        """Run a step to its end, or until it is stopped; its exit code."""
        if run.arguments[:1] != ("hadoop-streaming",):
            (run.log_dir / "stderr").write_text(f"the sandbox runs hadoop-streaming alone, not {run.arguments[:1]}\n")
            return 1
        order = {
            "arguments": run.arguments[1:],
            "work_dir": str(run.work_dir),
            "log_dir": str(run.log_dir),
            "map_slots": self.map_slots,
            "s3": asdict(self.s3),
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
            _stop(process)
        _part_stderr(run.log_dir)
        return process.returncode


def main() -> None:
    """The process: take an order as a line of JSON on standard input, exit with Hadoop's exit code."""
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
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what stops the JVM must not be stopped
    sys.exit(128 + number)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _part_stderr(log_dir: Path) -> None:
    """Separate what scripts wrote to standard error from what Hadoop's client did, as on a cluster."""
    path, runner = log_dir / "stderr", log_dir / "runner"
    if not path.exists():
        runner.rename(path)  # it broke down before Hadoop began
        return
    lines = path.read_bytes().decode(errors="replace").splitlines(keepends=True)
    first = next((number for number, line in enumerate(lines) if line.startswith(HADOOP_SAYS)), len(lines))
    (log_dir / "container-stderr").write_text("".join(lines[:first]))
    path.write_text("".join(lines[first:]))


if __name__ == "__main__":
    main()
