"""The measured jobs, as the arguments of their steps: this version's, those of the version before, the recipe's."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import samples
from bench.measure import RunFailedError
from bench.tools import PEERS, ROOT

BEFORE = "9b59e47"
"""The last commit whose mapper got lines from Hadoop, and counted in Python."""

SORTER = "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"
COMBINED = "org.apache.hadoop.mapred.lib.CombineTextInputFormat"
SLOTS = os.cpu_count() or 1

Arguments = Sequence[str]


@dataclass(frozen=True, slots=True)
class Spent:
    """The wall time of a run, and its CPU time on all processors, both in seconds."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: "Spent") -> "Spent":
        """Add up two runs, one after the other."""
        return Spent(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


def our_steps(source: Path, folder: Path) -> list[Arguments]:
    """Return the steps that `run-emr` plans, and write the scripts to where the steps expect them."""
    from toptalkers.job.bundle import installed_kernels, read_bundle
    from toptalkers.job.steps import plan_steps
    from toptalkers.question.query import Query

    _write_code(folder, read_bundle())
    steps = plan_steps(
        Query(),
        inputs=[str(source)],
        is_gzip=True,
        bundle="code/",
        kernels=installed_kernels(),
        output="toptalkers/",
        between="aggregate/",
        input_bytes=samples.stored_bytes(source),
        map_slots=SLOTS,
    )
    return [step.arguments for step in steps]


def steps_before(source: Path, folder: Path) -> list[Arguments]:
    """Return the steps that `plan_steps` of `BEFORE` made, and write its scripts, from this repository's history.

    RunFailedError if that commit is not in this copy of the repository.
    """
    names = ("count_flows.py", "port_filter.py")
    _write_code(folder, {name: _read_committed(f"src/toptalkers/job/{name}") for name in names})
    split_bytes = max(8 << 20, min(64 << 20, -(-samples.stored_bytes(source) // (2 * SLOTS))))
    of_both = {"mapreduce.job.reduces": "1", "mapreduce.reduce.speculative": "false"}
    aggregate = {
        "mapreduce.job.reduce.slowstart.completedmaps": "0.9",
        "mapreduce.input.fileinputformat.input.dir.recursive": "true",
        "mapreduce.input.fileinputformat.split.maxsize": str(split_bytes),
        "stream.map.input.ignoreKey": "false",
    }
    sort = {
        "stream.num.map.output.key.fields": "2",
        "mapreduce.job.output.key.comparator.class": SORTER,
        "mapreduce.partition.keycomparator.options": "-k2,2nr -k1,1",
        "mapreduce.output.fileoutputformat.compress": "true",
        "mapreduce.output.fileoutputformat.compress.codec": "org.apache.hadoop.io.compress.GzipCodec",
    }
    mapper = "python3 count_flows.py --metric records --ports 0-1024 --action ACCEPT --offsets"
    return [
        [*_settings(of_both | aggregate), "-files", "code/count_flows.py", "-inputformat", COMBINED]
        + ["-input", str(source), "-output", "aggregate/", "-mapper", mapper, "-reducer", "aggregate"],
        [*_settings(of_both | sort), "-files", "code/port_filter.py", "-input", "aggregate/", "-output", "toptalkers/"]
        + ["-mapper", "cat", "-reducer", "cut -f1,2"],
    ]


def recipe_steps(source: Path, folder: Path) -> list[Arguments]:
    """Return the recipe's steps: `shlex`, one output line per record, one map per file, ports filtered in step 2."""
    names = ("recipe_mapper.py", "portfilter.awk")
    _write_code(folder, {name: (PEERS / name).read_bytes() for name in names})
    one_reducer = {"mapreduce.job.reduces": "1"}
    # Ordered ties and clean lines make the answers comparable; they cost nothing here.
    order = {"mapreduce.partition.keycomparator.options": "-k2,2nr -k1,1"}
    sort = {"mapreduce.job.output.key.comparator.class": SORTER, "stream.num.map.output.key.fields": "2"}
    return [
        [*_settings(one_reducer), "-files", "code/recipe_mapper.py", "-mapper", "python3 recipe_mapper.py"]
        + ["-reducer", "aggregate", "-input", str(source), "-output", "aggregate/"],
        [*_settings(sort | order | one_reducer), "-files", "code/portfilter.awk", "-mapper", "awk -f portfilter.awk"]
        + ["-reducer", "cut -f1,2", "-input", "aggregate/", "-output", "toptalkers/"],
    ]


def with_mapper(step: Arguments, folder: Path, how: str) -> Arguments:
    """Return a step of whole files whose mapper goes only as far as `bench/peers/frames_script.py` says."""
    script = "frames_script.py"
    shutil.copy(PEERS / script, folder / "code")
    changed = list(step)
    files, mapper = changed.index("-files") + 1, changed.index("-mapper") + 1
    changed[files] += f",code/{script}"
    python, _, *words = changed[mapper].split(" ")
    changed[mapper] = " ".join([python, script, how, *words])
    return changed


def with_maps(step: Arguments, source: Path, maps: int) -> Arguments:
    """Return a step that divides its input among so many maps."""
    split = "mapreduce.input.fileinputformat.split.maxsize="
    size = -(-samples.stored_bytes(source) // maps)
    return [f"{split}{size}" if word.startswith(split) else word for word in step]


def run_steps(steps: Sequence[Arguments], folder: Path) -> Spent:
    """Run steps one after another; `Spent` is of all of them."""
    spent = Spent(0, 0)
    for step in steps:
        spent += run_step(step, folder)
    return spent


def run_step(step: Arguments, folder: Path) -> Spent:
    """Run a step on the embedded Hadoop. RunFailedError if it fails."""
    from toptalkers.hadoop.runtime import run_streaming

    begin, cpu = time.perf_counter(), _children_cpu_s()
    result = run_streaming(step, work_dir=folder, map_slots=SLOTS)
    if result.exit_code:
        raise RunFailedError(f"a step failed: {result.why_failed()}")
    return Spent(time.perf_counter() - begin, _children_cpu_s() - cpu)


@contextmanager
def second_compiler() -> Iterator[None]:
    """Let the JVM use its second compiler, C2, too, as it does by default; the embedded Hadoop has only C1."""
    from toptalkers.hadoop import runtime

    flags = runtime.JVM_FLAGS
    runtime.JVM_FLAGS = tuple(flag for flag in flags if "TieredStopAtLevel" not in flag)  # type: ignore[assignment]
    try:
        yield
    finally:
        runtime.JVM_FLAGS = flags


def has_before() -> bool:
    """Whether this copy of the repository has the commit `BEFORE`."""
    return _git("cat-file", "-e", f"{BEFORE}^{{commit}}") is not None


def _read_committed(path: str) -> bytes:
    content = _git("show", f"{BEFORE}:{path}")
    if content is None:
        raise RunFailedError(f"{path} of commit {BEFORE} cannot be read: this copy of the repository lacks it")
    return content


def _git(*words: str) -> bytes | None:
    """Return what a command of Git prints; None if it fails, or there is no Git."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "-C", str(ROOT), *words], capture_output=True, check=False)
    return None if done.returncode else done.stdout


def _write_code(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "code").mkdir(parents=True)
    for name, content in files.items():
        (folder / "code" / name).write_bytes(content)


def _settings(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-D", f"{name}={value}")]


def _children_cpu_s() -> float:
    """Return the CPU time of all child processes that have ended: the JVM, and the scripts that it started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
