"""The steps on the embedded Hadoop: ours, those before, the recipe's; Spark and `run-local` beside them.

Both steps once each, because they are long; then what step 1 costs per MB, part by part (`bench.split`).
"""

import gzip
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import samples, split
from bench.distinct import write_distinct
from bench.jobs import Arguments, Spent, has_before, our_steps, recipe_steps, run_step, steps_before
from bench.measure import run_once, say
from bench.part import Context, Section, same, table
from bench.peer import Peer, run_local, spark, spark_rdd

FILES = 100
"""The recipe's way, with a map per file, takes a second and more for each."""

HEAD = ("time / ours", "CPU / ours", "both steps: time", "CPU", "step 1: time", "CPU")


@dataclass(frozen=True, slots=True)
class Job:
    """One of the ways on Hadoop: its name, and its steps from the folders of the input and of the run."""

    name: str
    steps: Callable[[Path, Path], list[Arguments]]


OURS = Job("this version", our_steps)
BEFORE = Job("the version before", steps_before)
RECIPE = Job("the recipe's steps", recipe_steps)


def run(context: Context) -> Section:
    """Measure, and compare the answers."""
    work, records = context.work, context.records
    jobs = [OURS, *([BEFORE] if has_before() else [])]
    sparks = [] if context.is_quick else [peer for peer in (spark(context), spark_rdd(context)) if peer]
    peers = [*sparks, run_local()]
    some = samples.sample(work, records)
    inputs = [("", samples.recompressed(work, some))]
    text = []
    if not context.is_quick:
        named = " (ACCEPT, OK, IPv4: all that the recipe's scripts can read)"
        text = _compare(context, named, samples.accepted_ipv4(work, some, FILES), [*jobs, RECIPE], peers)
        inputs = [("", samples.recompressed(work, samples.sample(work, more))) for more in (4 * records, 16 * records)]
        inputs.append((", many talkers", _many_talkers(work, 4 * records, records)))
    for note, source in inputs:
        text += _compare(context, note, source, jobs, peers)
    text.append("In each table, all answers are the same.")
    missing = [name for name, is_there in (("Spark", sparks), (BEFORE.name, has_before())) if not is_there]
    if missing and not context.is_quick:
        text.append(f"Not measured: {', '.join(missing)} (docs/benchmarks.md says what they need).")
    parts, ratios = split.run(context)
    return Section("\n".join([*text, "", *parts]), ratios)


def _many_talkers(work: Path, records: int, talkers: int) -> Path:
    return samples.once(
        work / f"talkers-{talkers}-of-{records}", lambda folder: write_distinct(folder, records, talkers)
    )


def _compare(context: Context, note: str, source: Path, jobs: list[Job], peers: list[Peer]) -> list[str]:
    """Run each way once over an input; return a table, and an empty line."""
    say(f"  {source.name}")
    runs = context.work / "hadoop-runs"
    both: dict[str, Spent] = {}
    first: dict[str, Spent] = {}
    answers: dict[str, str] = {}
    talkers = 0
    for job in jobs:
        say(f"    {job.name}")
        shutil.rmtree(runs, ignore_errors=True)
        one, two = job.steps(source, runs)
        first[job.name] = run_step(one, runs)
        both[job.name] = first[job.name] + run_step(two, runs)
        answers[job.name], talkers = _digest(_lines(runs / "toptalkers"))
    for peer in peers:
        say(f"    {peer.name}")
        output = context.output(f"{peer.name} beside Hadoop")
        shutil.rmtree(output, ignore_errors=True)
        wall, cpu, _ = run_once(peer.command(source, output))
        both[peer.name] = Spent(wall, cpu)
        answers[peer.name], _ = _digest(_lines(output))
    same(answers)
    ours = both[OURS.name]
    rows = [
        [
            name,
            f"{spent.wall_s / ours.wall_s:.2f}",
            f"{spent.cpu_s / ours.cpu_s:.2f}",
            *_times(spent),
            *(_times(first[name]) if name in first else ("", "")),
        ]
        for name, spent in both.items()
    ]
    size = f"{samples.stored_bytes(source) / 1e6:,.0f} MB in {len(list(source.iterdir())):,} files"
    what = f"{samples.count_records(source):,} records{note}, {talkers:,} lines of the answer, {size}"
    return [f"{what}:", "", table(("once each", *HEAD), rows), ""]


def _times(spent: Spent) -> tuple[str, str]:
    return f"{spent.wall_s:.1f} s", f"{spent.cpu_s:.1f} s"


def _lines(answer: Path) -> Iterator[bytes]:
    """Read an answer: one file, or a folder of parts, which may be compressed."""
    for path in sorted(answer.glob("part-*")) if answer.is_dir() else [answer]:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            yield from lines


def _digest(lines: Iterator[bytes]) -> tuple[str, int]:
    """Return the hash of lines, and how many there are: answers of millions of talkers are large."""
    digest, count = hashlib.sha256(), 0
    for line in lines:
        digest.update(line)
        count += 1
    return digest.hexdigest(), count
