"""On paper: what the rates measured here mean for 1 TB of compressed flow logs per hour on EMR, step by step.

Rates and sizes are measured; prices and the behaviour of AWS are assumptions, all listed below and in the text.
"""

import math
import shutil
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from bench import samples
from bench.jobs import our_steps, run_steps
from bench.measure import Command, alternate, say
from bench.part import Context, Section, table
from bench.tools import STREAMING, find_python39, version_of

INPUT_BYTES = 10**12

DOLLARS_PER_NODE_HOUR = 0.1632 + 0.0408
"""About the price of an m7g.xlarge on demand in us-east-1: EC2, plus a quarter of it for EMR."""

OBJECT_BYTES = 5 * 10**6
"""An object that direct delivery writes for a busy interface every five minutes; it can have up to 75 MB."""

KEYS_PER_LIST, SECONDS_PER_LIST = 1000, 0.1
"""How many keys one ListObjectsV2 returns, and how long it takes; the calls are sequential."""

NODE_BYTES_PER_SECOND = 10**9 / 8
"""How fast an m7g.xlarge can read from the network for hours: about half of its baseline of 1.9 Gbit/s."""

SHUFFLE_SHARE = 0.5
"""The shuffle's share of a node's network while maps still read."""

TALKERS = (1_000_000, 10_000_000, 100_000_000)

SORTED_TALKERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """The measurements, all on one core.

    Attributes:
        record_bytes: size of a record as text.
        compressed_record_bytes: size of a record, compressed at gzip's default level.
        decompressed_per_s: compressed bytes that zlib decompresses per second.
        mapped_per_s: records that `count_flows.py` reads per second.
        step_cpu_s_per_byte: CPU seconds of a whole first step, JVM included, per additional compressed byte.
        sums_per_map: sums that a mapper writes for as many records as a map gets.
        sum_bytes: size of one of these sums.
        ranked_per_s: talkers per second through the second step, with its one reducer.

    """

    record_bytes: float
    compressed_record_bytes: float
    decompressed_per_s: float
    mapped_per_s: float
    step_cpu_s_per_byte: float
    sums_per_map: int
    sum_bytes: float
    ranked_per_s: float


def run(context: Context) -> Section:
    """Measure the rates, and do the arithmetic."""
    rates, python = measure(context)
    return Section(f"{_format_rates(rates, python)}\n\n{format_plan(rates)}")


def measure(context: Context) -> tuple[Rates, str]:
    """Measure, on one core, the rates for the arithmetic; return them and the mapper's Python."""
    work = context.work
    folder = samples.sample(work, context.records)
    small = samples.recompressed(work, samples.some_files(work, folder, max(1, context.records // 160_000)))
    whole = samples.recompressed(work, folder)
    texts = [text for _, text in samples.unpacked(small)]
    records = sum(text.count(b"\n") for text in texts)

    say("  zlib")
    packed = [path.read_bytes() for path in sorted(small.glob("*.gz"))]
    begin = time.process_time()
    for data in packed:
        zlib.decompress(data, wbits=31)
    unpack_s = time.process_time() - begin

    lines = samples.joined(work, folder, math.ceil(context.records / 40_000))
    python = find_python39()
    sums = context.output("map")
    name = "count_flows.py"
    words = [python, "-I", "-S", str(STREAMING / name)]
    timing = alternate({name: Command(words, sums, lines)}, 3)[name]
    sum_lines = sums.read_bytes().splitlines(keepends=True)

    spent = {}
    for source in (small, whole):
        say(f"  step 1 on the embedded Hadoop, {source.name}")
        run_folder = work / "emr-runs" / source.name
        shutil.rmtree(run_folder, ignore_errors=True)
        spent[source] = run_steps(our_steps(source, run_folder)[:1], run_folder)
    more_bytes = samples.stored_bytes(whole) - samples.stored_bytes(small)
    return (
        Rates(
            record_bytes=sum(map(len, texts)) / records,
            compressed_record_bytes=samples.stored_bytes(whole) / context.records,
            decompressed_per_s=sum(map(len, packed)) / unpack_s,
            mapped_per_s=context.records / timing.median_cpu_s,
            step_cpu_s_per_byte=(spent[whole].cpu_s - spent[small].cpu_s) / more_bytes,
            sums_per_map=len(sum_lines),
            sum_bytes=sum(map(len, sum_lines)) / len(sum_lines),
            ranked_per_s=_ranked_per_s(work),
        ),
        version_of(python),
    )


def _ranked_per_s(work: Path) -> float:
    """Run the second step on few and on many talkers: the difference excludes the start-up."""
    times = []
    for talkers in (SORTED_TALKERS // 20, SORTED_TALKERS):
        say(f"  step 2 on the embedded Hadoop, {talkers:,} talkers")
        folder = work / "emr-runs" / f"sort-{talkers}"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "aggregate").mkdir(parents=True)
        with (folder / "aggregate/part-00000").open("w") as out:
            for number in range(talkers):
                talker = number * 2_654_435_761 & 0xFFFFFFFF
                octets = f"{talker >> 24}.{talker >> 16 & 255}.{talker >> 8 & 255}"
                out.write(f"10.{octets}:10.0.0.{talker & 255}:443\t{talker % 5000 + 1}\n")
        source = folder / "empty"
        source.mkdir()
        times.append(run_steps(our_steps(source, folder)[1:], folder).wall_s)
    return (SORTED_TALKERS - SORTED_TALKERS // 20) / (times[1] - times[0])


def _format_rates(rates: Rates, python: str) -> str:
    rows = [
        ["text of a record", f"{rates.record_bytes:.0f} bytes"],
        [f"the same, compressed (gzip, level {samples.GZIP_LEVEL})", f"{rates.compressed_record_bytes:.1f} bytes"],
        [
            f"decompression with zlib {zlib.ZLIB_RUNTIME_VERSION}, as in Java and Hadoop",
            f"{rates.decompressed_per_s / 1e6:.0f} MB/s compressed",
        ],
        [f"`count_flows.py` under {python}", f"{rates.mapped_per_s / 1e6:.2f} M records/s"],
        ["", f"= {rates.mapped_per_s * rates.compressed_record_bytes / 1e6:.1f} MB/s compressed"],
        [
            "the whole first step on the embedded Hadoop, CPU of JVM and mapper",
            f"{1 / rates.step_cpu_s_per_byte / 1e6:.1f} MB/s compressed",
        ],
        ["sums that a map writes", f"{rates.sums_per_map:,} of {rates.sum_bytes:.0f} bytes"],
        ["the second step, one reducer", f"{rates.ranked_per_s / 1e3:,.0f} k talkers/s"],
    ]
    return table(("measured here, on one core", "rate or size"), rows)


def format_plan(rates: Rates) -> str:
    """Do the arithmetic, step by step, for the cluster that `run-emr` plans and for one that keeps up with the logs."""
    from toptalkers.job.steps import LARGEST_SPLIT_BYTES, MOST_REDUCERS, REDUCER_BYTES
    from toptalkers.runs.cluster.sizing import (
        BYTES_PER_VCPU_SECOND,
        DEFAULT_INSTANCE_TYPE,
        MOST_NODES,
        STARTING_MINUTES,
        STEPS_MINUTES,
        WANTED_MINUTES,
        size_cluster,
        vcpus,
    )

    planned = size_cluster(INPUT_BYTES)
    cores = vcpus(DEFAULT_INSTANCE_TYPE)
    records = INPUT_BYTES / rates.compressed_record_bytes
    cpu_s = INPUT_BYTES * rates.step_cpu_s_per_byte
    fixed = STARTING_MINUTES + STEPS_MINUTES
    # Enough nodes to process an hour's logs within an hour, start-up included: otherwise a backlog grows.
    enough = math.ceil(cpu_s / cores / 60 / (60 - fixed))
    maps = math.ceil(INPUT_BYTES / LARGEST_SPLIT_BYTES)
    map_s = LARGEST_SPLIT_BYTES * rates.step_cpu_s_per_byte
    wanted = math.ceil(INPUT_BYTES / (BYTES_PER_VCPU_SECOND * cores * WANTED_MINUTES * 60))
    reducers = min(MOST_REDUCERS, 1 + INPUT_BYTES // REDUCER_BYTES)
    shuffled = maps * rates.sums_per_map * rates.sum_bytes
    objects = math.ceil(INPUT_BYTES / OBJECT_BYTES)

    steps = [
        ["records", f"10^12 bytes / {rates.compressed_record_bytes:.1f}", f"{records / 1e9:.1f} billion"],
        [
            "text",
            f"{records / 1e9:.1f} billion x {rates.record_bytes:.0f} bytes",
            f"{records * rates.record_bytes / 1e12:.1f} TB",
        ],
        [
            "listing",
            f"{objects:,} objects of {OBJECT_BYTES / 1e6:.0f} MB / {KEYS_PER_LIST} per call x {SECONDS_PER_LIST} s",
            f"{_minutes(objects / KEYS_PER_LIST * SECONDS_PER_LIST)}, before the first map",
        ],
        [
            "maps",
            f"10^12 / {LARGEST_SPLIT_BYTES >> 20} MiB",
            f"{maps:,}, of {records / maps / 1e6:.1f} M records, {map_s:.0f} s each",
        ],
        [
            "decompression",
            f"10^12 / {rates.decompressed_per_s / 1e6:.0f} MB/s",
            f"{INPUT_BYTES / rates.decompressed_per_s / 3600:.1f} vCPU hours",
        ],
        [
            "mapper",
            f"{records / 1e9:.1f} billion / {rates.mapped_per_s / 1e6:.2f} M/s",
            f"{records / rates.mapped_per_s / 3600:.1f} vCPU hours",
        ],
        [
            "whole step 1",
            f"10^12 / {1 / rates.step_cpu_s_per_byte / 1e6:.1f} MB/s",
            f"{cpu_s / 3600:.1f} vCPU hours",
        ],
        [
            "shuffle",
            f"{maps:,} maps x {rates.sums_per_map:,} sums x {rates.sum_bytes:.0f} bytes",
            f"{shuffled / 1e9:.0f} GB, to {reducers} reducers",
        ],
    ]
    text = [table(("step", "arithmetic", "result"), steps), ""]

    rows = []
    planned_s = INPUT_BYTES / (BYTES_PER_VCPU_SECOND * cores * planned.core)
    for name, nodes, counting_s in (
        ("`run-emr` plans", planned.core, planned_s),
        ("the same, at the measured rate", planned.core, cpu_s / cores / planned.core),
        ("keeps up with the logs", enough, cpu_s / cores / enough),
    ):
        minutes = fixed + counting_s / 60
        hours = (nodes + 1) * minutes / 60
        rows.append(
            [
                name,
                f"1 + {nodes}",
                f"{fixed} + {counting_s / 60:.0f} = {minutes:.0f}",
                f"{hours:.1f}",
                f"${hours * DOLLARS_PER_NODE_HOUR:.2f}",
                _minutes(INPUT_BYTES / NODE_BYTES_PER_SECOND / nodes),
                _minutes(shuffled / (NODE_BYTES_PER_SECOND * SHUFFLE_SHARE) / nodes),
            ]
        )
    head = (
        f"cluster of {DEFAULT_INSTANCE_TYPE}", "nodes", "minutes", "instance hours", "approx. price",
        "reading from S3", "shuffle",
    )  # fmt: skip
    text += [
        table(head, rows),
        "",
        (
            f"`run-emr` assumes {BYTES_PER_VCPU_SECOND / 2**20:.0f} MiB ({BYTES_PER_VCPU_SECOND / 1e6:.1f} MB)"
            f" per vCPU second; measured: {1 / rates.step_cpu_s_per_byte / 1e6:.1f} MB. To finish in"
            f" {WANTED_MINUTES} minutes it would need {wanted} nodes; its automatic limit is {MOST_NODES}."
        ),
        "",
    ]
    rows = [
        [
            f"{talkers / 1e6:,.0f} M",
            f"{talkers * rates.sum_bytes / 1e9:.1f} GB",
            _minutes(talkers / rates.ranked_per_s),
        ]
        for talkers in TALKERS
    ]
    text.append(table(("talkers in total", "input of the one reducer", "ranked in"), rows))
    return "\n".join(text)


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds / 60:.1f} min"
