"""The steps on real HDFS and YARN daemons: what tasks cost beyond their start, and how much memory a map takes."""

import gzip
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import samples
from bench.distinct import write_distinct
from bench.jobs import Arguments, has_before, our_steps, steps_before
from bench.measure import RunFailedError, say
from bench.part import Context, Section, same, table
from tests.hadoop.pseudo_distributed import Hadoop, pseudo_distributed
from toptalkers.hadoop.logs import Counters
from toptalkers.job.count_files import memory_bound

NODE_MIB = 10 << 10

HEAP = "-Xmx2458m"

TASKS = {
    "mapreduce.map.memory.mb": "3072",
    "mapreduce.map.java.opts": HEAP,
    "mapreduce.reduce.memory.mb": "3072",
    "mapreduce.reduce.java.opts": HEAP,
}
"""Containers of 3 GiB, four fifths of them for the JVM, which compiles as it does by default."""

CONTAINERS_MIB = (1024, 3072)
"""The containers in which the memory of a map is measured."""

SPLIT = "mapreduce.input.fileinputformat.split.maxsize"

FRAMEWORK = "Map-Reduce Framework"

LAST_CONTAINER_S = 120

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Run:
    """A step that has run.

    Attributes:
        wall_s: seconds from the client's start to its end.
        containers_s: CPU seconds of all containers: maps, reducers, the application master, and their scripts.
        daemons_s: CPU seconds of the four daemons themselves.
        counters: the counters of the job.

    """

    wall_s: float
    containers_s: float
    daemons_s: float
    counters: Counters

    @property
    def maps(self) -> int:
        """How many maps were started."""
        return next(group["Launched map tasks"] for group in self.counters.values() if "Launched map tasks" in group)

    @property
    def map_mib(self) -> float:
        """The most memory that a map's container took, scripts included, by YARN's own counter."""
        return self.counters[FRAMEWORK]["Peak Map Physical memory (bytes)"] / 2**20


def run(context: Context) -> Section:
    """Measure each job once, with few talkers in two sizes; then one map with many talkers."""
    folder = context.work / "yarn"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    sources = [
        samples.recompressed(context.work, samples.sample(context.work, records))
        for records in (context.records, 4 * context.records)
    ]
    jobs: dict[str, Callable[[Path, Path], list[Arguments]]] = {"this version": our_steps}
    if has_before():
        jobs["the version before"] = steps_before
    rows: list[list[str]] = []
    answers: dict[str, object] = {}
    with pseudo_distributed(folder / "cluster", node_mib=NODE_MIB, tasks=TASKS) as hadoop:
        for source in sources:
            hadoop.put(source, source.name)
        for name, plan in jobs.items():
            of_sizes = []
            for source in sources:
                say(f"  {name}, {source.name}")
                work = folder / f"{name.replace(' ', '-')}-{source.name}"
                of_sizes.append([_run(hadoop, _from_hdfs(step, source), work) for step in plan(source, work)])
                answers[name] = answers.get(name, "") + _answer(hadoop, work)  # type: ignore[operator]
            rows += _rows(name, of_sizes, [samples.stored_bytes(source) for source in sources])
        memory = _many_talkers(context, hadoop, folder)
    sizes = " and ".join(f"{samples.stored_bytes(source) / 1e6:.0f}" for source in sources)
    head = ("step", "maps", "CPU of containers", "per MB more", "CPU of daemons", "time")
    return Section(
        f"{context.records:,} and {4 * context.records:,} records, {sizes} MB compressed. {same(answers)}\n\n"
        f"{table(head, rows)}\n\n{memory}"
    )


def _rows(name: str, of_sizes: Sequence[Sequence[Run]], sizes: Sequence[int]) -> list[list[str]]:
    """A row per step; `of_sizes` has the steps of each size, of which `sizes` has the bytes."""
    megabytes_more = (sizes[-1] - sizes[0]) / 1e6
    return [
        [
            f"{name}, step {number}",
            " / ".join(str(one.maps) for one in runs),
            " / ".join(f"{one.containers_s:.1f} s" for one in runs),
            f"{(runs[-1].containers_s - runs[0].containers_s) / megabytes_more * 1000:.0f} ms",
            " / ".join(f"{one.daemons_s:.1f} s" for one in runs),
            " / ".join(f"{one.wall_s:.0f} s" for one in runs),
        ]
        for number, runs in enumerate(zip(*of_sizes, strict=True), 1)
    ]


def _many_talkers(context: Context, hadoop: Hadoop, folder: Path) -> str:
    """One map that gets as many talkers as a quarter of its records, in containers of different size."""
    records, talkers = 4 * context.records, context.records
    source = samples.once(
        context.work / f"talkers-{talkers}-of-{records}", lambda made: write_distinct(made, records, talkers)
    )
    hadoop.put(source, source.name)
    rows = []
    for container_mib in CONTAINERS_MIB:
        say(f"  many talkers, {container_mib} MiB")
        work = folder / f"memory-{container_mib}"
        step = _from_hdfs(our_steps(source, work)[0], source)
        settings = {"mapreduce.map.memory.mb": str(container_mib), SPLIT: str(1 << 40)}
        at = step.index("-files")
        step[at:at] = [word for name, value in settings.items() for word in ("-D", f"{name}={value}")]
        done = _run(hadoop, step, work)
        options = next(word for word in step if word.startswith("mapreduce.map.java.opts=")).partition("=")[2]
        bound = memory_bound({"mapreduce_map_memory_mb": str(container_mib), "mapreduce_map_java_opts": options})
        rows.append(
            [
                f"{container_mib:,} MiB",
                options.split()[0],
                f"{bound >> 20:,} MiB",
                f"{done.map_mib:,.0f} MiB",
                f"{done.containers_s:.1f} s",
            ]
        )
        hadoop.run("fs", "-rm", "-r", "-skipTrash", "aggregate")
    head = ("container of a map", "heap", "bound of the sums", "peak of the container", "CPU of containers")
    return f"One map with {talkers:,} talkers in {records:,} records:\n\n{table(head, rows)}"


def _from_hdfs(step: Arguments, source: Path) -> list[str]:
    """The step with the copy in HDFS as its input."""
    return [source.name if word == str(source) else word for word in step]


def _run(hadoop: Hadoop, step: Sequence[str], work: Path) -> Run:
    node_manager = hadoop.daemons["nodemanager"]
    others = _children(node_manager)
    begin, (tasks, daemons) = time.perf_counter(), _cpu_s(hadoop)
    counters = hadoop.run_streaming(step, work)
    wall = time.perf_counter() - begin
    _wait_for_containers(node_manager, others)
    tasks_after, daemons_after = _cpu_s(hadoop)
    return Run(wall, tasks_after - tasks, daemons_after - daemons, counters)


def _children(pid: int) -> set[str]:
    """The process ids of a process's children."""
    return {one for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()}


def _wait_for_containers(node_manager: int, others: set[str]) -> None:
    """Wait until the last container, that of the application master, has ended, some seconds after its job.

    `others` are the children of the NodeManager that are no containers.
    """
    deadline = time.monotonic() + LAST_CONTAINER_S
    while _children(node_manager) - others:
        if time.monotonic() > deadline:
            raise RunFailedError(f"containers still run {LAST_CONTAINER_S} seconds after the job")
        time.sleep(0.2)


def _cpu_s(hadoop: Hadoop) -> tuple[float, float]:
    """CPU seconds of all containers that have ended, which are children of the NodeManager, and of the daemons."""
    containers, daemons = 0.0, 0.0
    for name, pid in hadoop.daemons.items():
        # After the name, which may contain anything: fields 14 to 17 of proc(5), own times and those of children.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        daemons += (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
        if name == "nodemanager":
            containers = (int(fields[13]) + int(fields[14])) / _TICKS_PER_SECOND
    return containers, daemons


def _answer(hadoop: Hadoop, work: Path) -> str:
    """The hash of the answer; the folders of both steps are deleted."""
    parts = hadoop.parts("toptalkers", work / "answer")
    hadoop.run("fs", "-rm", "-r", "-skipTrash", "toptalkers", "aggregate")
    return hashlib.sha256(b"".join(map(gzip.decompress, parts))).hexdigest()
