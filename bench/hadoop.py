"""The two steps on the embedded Hadoop: this bundle, the recipe's own steps, and Spark. Once each."""

import gzip
import os
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import samples
from bench.measure import run_once, say
from bench.part import Context, Section, same, table
from bench.peer import run_local, spark
from bench.tools import PEERS, STREAMING

FILES = 100
COMPARATOR = "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"
OURS, RECIPE = "toptalkers", "the recipe"


@dataclass(frozen=True, slots=True)
class Spent:
    """The wall time of a run, and its CPU time on all processors."""

    wall_s: float
    cpu_s: float


def run(context: Context) -> Section:
    """Measure, and compare the answers."""
    source = samples.accepted_ipv4(context.work, samples.sample(context.work, context.records), FILES)
    runs = context.work / "hadoop-runs"
    shutil.rmtree(runs, ignore_errors=True)
    spent: dict[str, Spent] = {}
    answers: dict[str, bytes] = {}

    say("  toptalkers' steps")
    ours = runs / "ours"
    spent[OURS] = run_steps(our_steps(source, ours), ours)
    answers[OURS] = b"".join(gzip.decompress(p.read_bytes()) for p in sorted(ours.glob("toptalkers/part-*")))

    say("  the recipe's steps; this takes some minutes")
    recipe = runs / "recipe"
    spent[RECIPE] = run_steps(_recipe_steps(source, recipe), recipe)
    answers[RECIPE] = b"".join(p.read_bytes() for p in sorted(recipe.glob("toptalkers/part-*")))

    missing = ""
    rival = spark(context)
    for peer in (rival, run_local()):
        if peer is None:
            missing = "Spark was not measured: it needs pyspark and a system Java.\n"
            continue
        say(f"  {peer.name}")
        output = context.output(f"{peer.name} beside Hadoop")
        shutil.rmtree(output, ignore_errors=True)
        wall, cpu, _ = run_once(peer.command(source, output))
        spent[peer.name] = Spent(wall, cpu)
        assert peer.read is not None  # noqa: S101 - both give an answer
        answers[peer.name] = peer.read(output)

    sameness = same(answers)
    rows = [
        [
            name,
            f"{one.wall_s / spent[OURS].wall_s:.2f}",
            f"{one.wall_s:.1f} s",
            f"{one.cpu_s:.1f} s",
        ]
        for name, one in spent.items()
    ]
    head = ("both steps, once each", "time / ours", "time", "CPU")
    records, files = samples.count_records(source), len(list(source.iterdir()))
    intro = (
        f"{records:,} records (ACCEPT, OK, IPv4: all that the recipe's scripts can read) in {files:,} files. {sameness}"
    )
    return Section(f"{intro}\n{missing}\n{table(head, rows)}")


def our_steps(source: Path, folder: Path) -> list[tuple[str, ...]]:
    """Return the steps that `run-emr` plans, and copy the scripts to where the steps expect them."""
    from toptalkers.job.steps import plan_steps
    from toptalkers.question.query import Query

    (folder / "code").mkdir(parents=True)
    for name in ("count_files.py", "count_flows.py", "node_kernel.py", "port_filter.py"):
        shutil.copy(STREAMING / name, folder / "code")
    steps = plan_steps(
        Query(),
        inputs=[str(source)],
        is_gzip=True,
        bundle="code/",
        output="toptalkers/",
        between="aggregate/",
        input_bytes=samples.stored_bytes(source),
        map_slots=os.cpu_count() or 1,
    )
    return [step.arguments for step in steps]


def run_steps(steps: Sequence[Sequence[str]], folder: Path) -> Spent:
    """Run steps one after another."""
    from toptalkers.hadoop.runtime import run_streaming

    begin, cpu = time.perf_counter(), _children_cpu_s()
    for arguments in steps:
        result = run_streaming(arguments, work_dir=folder, map_slots=os.cpu_count() or 1)
        if result.exit_code:
            sys.exit(f"a step failed: {result.why_failed()}")
    return Spent(time.perf_counter() - begin, _children_cpu_s() - cpu)


def _recipe_steps(source: Path, folder: Path) -> list[list[str]]:
    """Return the recipe's steps: `shlex`, one output line per record, one map per file, ports filtered in step 2."""
    (folder / "code").mkdir(parents=True)
    for name in ("recipe_mapper.py", "portfilter.awk"):
        shutil.copy(PEERS / name, folder / "code")
    return [
        ["-D", "mapreduce.job.reduces=1", "-files", "code/recipe_mapper.py", "-mapper", "python3 recipe_mapper.py"]
        + ["-reducer", "aggregate", "-input", str(source), "-output", "aggregate/"],
        ["-D", f"mapreduce.job.output.key.comparator.class={COMPARATOR}", "-D", "stream.num.map.output.key.fields=2"]
        # Ordered ties and clean lines make the answers comparable; they cost nothing here.
        + ["-D", "mapreduce.partition.keycomparator.options=-k2,2nr -k1,1", "-D", "mapreduce.job.reduces=1"]
        + ["-files", "code/portfilter.awk", "-mapper", "awk -f portfilter.awk", "-reducer", "cut -f1,2"]
        + ["-input", "aggregate/", "-output", "toptalkers/"],
    ]


def _children_cpu_s() -> float:
    """Return the CPU time of all child processes that have ended: the JVM, and the scripts that it started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
