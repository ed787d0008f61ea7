"""Whole processes, measured from outside: wall time, CPU time, peak memory; alternating, several times."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Timing:
    """The runs of one command.

    Attributes:
        wall_s: seconds from start to end, a run each.
        cpu_s: seconds of user and system time, a run each.
        peak_mib: the largest resident set of any run, of the process itself.

    """

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    @property
    def median_s(self) -> float:
        """The median wall time."""
        return statistics.median(self.wall_s)

    @property
    def spread(self) -> str:
        """Fastest to slowest."""
        return f"{min(self.wall_s):.2f}-{max(self.wall_s):.2f}"


def run_once(command: Sequence[str], stdin: str | None, stdout: str) -> tuple[float, float, float]:
    """Run a command to its end; gives wall seconds, CPU seconds and peak MiB. Ends the bench when it fails."""
    with open(stdin or os.devnull, "rb") as source, open(stdout, "wb") as sink:  # noqa: PTH123
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=source, stdout=sink, stderr=subprocess.PIPE)
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        talk = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{talk.decode(errors='replace')}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def alternate(
    commands: Mapping[str, Sequence[str]], runs: int, outputs: dict[str, str], stdin: str | None = None
) -> dict[str, Timing]:
    """Run commands in turn, once to warm up and then `runs` times; outputs are left for comparison."""
    timings = {name: Timing() for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            wall, cpu, peak = run_once(command, stdin, outputs[name])
            if number:
                timings[name].wall_s.append(wall)
                timings[name].cpu_s.append(cpu)
            timings[name].peak_mib = max(timings[name].peak_mib, peak)
    return timings


def ratio(one: Timing, other: Timing) -> str:
    """How long one takes of the other's time, by the clock and by the processor: medians of neighbouring runs."""
    wall = statistics.median(a / b for a, b in zip(one.wall_s, other.wall_s, strict=True))
    cpu = statistics.median(a / b for a, b in zip(one.cpu_s, other.cpu_s, strict=True))
    return f"{wall:.2f} wall, {cpu:.2f} CPU"
