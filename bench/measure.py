"""Measure whole processes from outside: wall time, CPU time, peak memory; in several alternating runs."""

import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.02
"""The interval between two samples of a running process."""

LEAST_SECONDS = 0.1
"""Shorter times are shown in milliseconds."""

_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class RunFailedError(Exception):
    """A command ended with an exit code other than 0; the text has the command, the code and its standard error."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its words, its standard output and input (default: dropped, empty), and its additional environment.

    `folder` is its working directory, by default the present one.
    """

    words: Sequence[str]
    stdout: Path | None = None
    stdin: Path | None = None
    environment: Mapping[str, str] | None = None
    address_space_bytes: int | None = None
    folder: Path | None = None


@dataclass
class Timing:
    """The runs of one command.

    Attributes:
        wall_s: seconds from start to end, per run.
        cpu_s: seconds of user and system time of the process and its children, per run.
        peak_mib: the largest resident memory of the process and its children together, in any run.

    """

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    @property
    def median_s(self) -> float:
        """The median wall time."""
        return statistics.median(self.wall_s)

    @property
    def median_cpu_s(self) -> float:
        """The median CPU time."""
        return statistics.median(self.cpu_s)

    @property
    def spread(self) -> str:
        """The fastest and the slowest run, in the unit of the median."""
        low, high = min(self.wall_s), max(self.wall_s)
        if self.median_s < LEAST_SECONDS:
            return f"{low * 1000:.0f}-{high * 1000:.0f}"
        return f"{low:.2f}-{high:.2f}"


def run_once(command: Command) -> tuple[float, float, float]:
    """Run a command to its end; return wall seconds, CPU seconds and peak MiB. RunFailedError if it fails."""
    environment = {**os.environ, **(command.environment or {})}
    limit = command.address_space_bytes

    def set_limit() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    with (
        (command.stdin or Path(os.devnull)).open("rb") as source,
        (command.stdout or Path(os.devnull)).open("wb") as sink,
    ):
        begin = time.perf_counter()
        process = subprocess.Popen(
            command.words,
            stdin=source,
            stdout=sink,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=command.folder,
            preexec_fn=set_limit if limit is not None else None,  # noqa: PLW1509 - none of our threads holds a lock
        )
        watch = _Watch(process.pid)
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        try:
            with process.stderr:
                talk = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
        except BaseException:
            process.kill()
            raise
        finally:
            watch.end()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RunFailedError(
            f"{' '.join(command.words)} ended with {process.returncode}:\n{talk.decode(errors='replace').strip()}"
        )
    # A process that nobody waits for, like Spark's JVM, is missing from the system's total.
    cpu = max(usage.ru_utime + usage.ru_stime, watch.cpu_s)
    return wall, cpu, max(watch.peak_mib, _own_peak_mib(usage))


def alternate(commands: Mapping[str, Command], runs: int, *, warm_up: bool = True) -> dict[str, Timing]:
    """Run commands in turn, `runs` times each, after an uncounted round that fills the caches."""
    timings = {name: Timing() for name in commands}
    for number in range(0 if warm_up else 1, runs + 1):
        for name, command in commands.items():
            say(f"  {name}, {f'run {number} of {runs}' if number else 'warming up'}")
            wall, cpu, peak = run_once(command)
            if number:
                timings[name].wall_s.append(wall)
                timings[name].cpu_s.append(cpu)
            timings[name].peak_mib = max(timings[name].peak_mib, peak)
    return timings


def wall_ratio(one: Timing, other: Timing) -> float:
    """Return one's wall time divided by the other's: the median over neighbouring runs."""
    return _ratio(one.wall_s, other.wall_s)


def cpu_ratio(one: Timing, other: Timing) -> float:
    """Return the same ratio of CPU times."""
    return _ratio(one.cpu_s, other.cpu_s)


def format_seconds(seconds: float) -> str:
    """Format a time for people."""
    return f"{seconds * 1000:.0f} ms" if seconds < LEAST_SECONDS else f"{seconds:.2f} s"


def say(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def _ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    if len(ones) != len(others):
        return statistics.median(ones) / statistics.median(others)
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


def _own_peak_mib(usage: resource.struct_rusage) -> float:
    """Return the system's peak of the largest process; 0 if that may be this process's own memory at the fork."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak, floor = usage.ru_maxrss, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * unit / 2**20 if peak > floor or sys.platform == "darwin" else 0.0


class _Watch:
    """Samples a process and its descendants until `end`. Shared pages count for each process."""

    def __init__(self, pid: int) -> None:
        self.peak_mib = 0.0
        self._cpu_s: dict[int, float] = {}
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all processes, each at its last sample, and therefore a little low."""
        return sum(self._cpu_s.values())

    def end(self) -> None:
        """Stop sampling."""
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        wait = SAMPLE_SECONDS / 10
        while not self._is_over.wait(wait):
            resident_mib = 0.0
            for pid in _family(self._pid):
                cpu_s, mib = _sample(pid)
                resident_mib += mib
                self._cpu_s[pid] = max(cpu_s, self._cpu_s.get(pid, 0.0))
            self.peak_mib = max(self.peak_mib, resident_mib)
            wait = min(wait * 1.5, SAMPLE_SECONDS)


def _family(pid: int) -> list[int]:
    """Return a process and its descendants, as far as the system shows them."""
    pids = [pid]
    for one in pids:
        try:
            for task in os.listdir(f"/proc/{one}/task"):  # noqa: PTH208 - called often
                pids += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return pids


def _sample(pid: int) -> tuple[float, float]:
    """Return CPU seconds and resident MiB of one process; zeros if it is gone or not visible."""
    try:
        # After the name, which may contain anything: fields 14, 15 and 24 of proc(5).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND, int(fields[21]) * _PAGE_MIB
    except (OSError, IndexError):
        return 0.0, 0.0
