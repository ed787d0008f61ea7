"""On paper: what the rates measured here mean for 1 TB of compressed flow logs an hour on EMR, step by step.

Rates and sizes are measured; prices and what AWS does are assumptions, all in one place below, and named in the text.
"""

import math
import shutil
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from bench import samples
from bench.hadoop import our_steps, run_steps
from bench.measure import Command, alternate, say
from bench.part import Context, Section, table
from bench.tools import STREAMING, find_python39, version_of

INPUT_BYTES = 10**12

DOLLARS_A_NODE_HOUR = 0.1632 + 0.0408
"""An m7g.xlarge on demand in us-east-1, about: EC2, and EMR's quarter on top."""

OBJECT_BYTES = 5 * 10**6
"""Of one object as direct delivery writes it for a busy interface every five minutes; it may be up to 75 MB."""

KEYS_A_LIST, SECONDS_A_LIST = 1000, 0.1
"""What one ListObjectsV2 gives, and takes, one after the other."""

NODE_BYTES_A_SECOND = 10**9 / 8
"""What an m7g.xlarge reads from the network for hours: its baseline is about 1.9 Gbit/s, half of it is taken here."""

SHUFFLE_SHARE = 0.5
"""Share of a node's network that the shuffle gets while maps still read."""

TALKERS = (1_000_000, 10_000_000, 100_000_000)

SORTED_TALKERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """What was measured, all on one core.

    Attributes:
        record_bytes: text of a record.
        packed_record_bytes: of a record, at gzip's usual level.
        unpacked_per_s: packed bytes that zlib unpacks a second.
        mapped_per_s: records a second through `count_flows.py`.
        step_cpu_s_per_byte: CPU seconds of a whole first step a packed byte more, its JVM's too.
        talkers_a_map: sums that leave the mapper of as many records as a map gets.
        sum_bytes: of one of them.
        ranked_per_s: talkers a second through the second step with its one reducer.

    """

    record_bytes: float
    packed_record_bytes: float
    unpacked_per_s: float
    mapped_per_s: float
    step_cpu_s_per_byte: float
    talkers_a_map: int
    sum_bytes: float
    ranked_per_s: float


def run(context: Context) -> Section:
    """Measure the rates, and do the sums."""
    rates, python = measure(context)
    return Section(f"{_format_rates(rates, python)}\n\n{format_plan(rates)}")


def measure(context: Context) -> tuple[Rates, str]:
    """Measure on one core what the sums need; gives it, and the mapper's Python."""
    work = context.work
    folder = samples.sample(work, context.records)
    small = samples.packed_at(work, samples.some_files(work, folder, max(1, context.records // 160_000)))
    whole = samples.packed_at(work, folder)
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
    more_bytes = samples.packed_bytes(whole) - samples.packed_bytes(small)
    return (
        Rates(
            record_bytes=sum(map(len, texts)) / records,
            packed_record_bytes=samples.packed_bytes(whole) / context.records,
            unpacked_per_s=sum(map(len, packed)) / unpack_s,
            mapped_per_s=context.records / timing.median_cpu_s,
            step_cpu_s_per_byte=(spent[whole].cpu_s - spent[small].cpu_s) / more_bytes,
            talkers_a_map=len(sum_lines),
            sum_bytes=sum(map(len, sum_lines)) / len(sum_lines),
            ranked_per_s=_ranked_per_s(work),
        ),
        version_of(python),
    )


def _ranked_per_s(work: Path) -> float:
    """Run the second step on few talkers and on many: the difference leaves start-up out."""
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
        [f"the same packed (gzip, level {samples.PACKED_LEVEL})", f"{rates.packed_record_bytes:.1f} bytes"],
        [
            f"unpacking with zlib {zlib.ZLIB_RUNTIME_VERSION}, as Java and Hadoop do",
            f"{rates.unpacked_per_s / 1e6:.0f} MB/s packed",
        ],
        [f"`count_flows.py` under {python}", f"{rates.mapped_per_s / 1e6:.2f} M records/s"],
        ["", f"= {rates.mapped_per_s * rates.packed_record_bytes / 1e6:.1f} MB/s packed"],
        [
            "the whole first step on the embedded Hadoop, CPU of JVM and mapper",
            f"{1 / rates.step_cpu_s_per_byte / 1e6:.1f} MB/s packed",
        ],
        ["sums that leave a map", f"{rates.talkers_a_map:,} of {rates.sum_bytes:.0f} bytes"],
        ["the second step, one reducer", f"{rates.ranked_per_s / 1e3:,.0f} k talkers/s"],
    ]
    return table(("measured here, on one core", "rate or size"), rows)


def format_plan(rates: Rates) -> str:
    """The arithmetic, step by step, for the cluster that `run-emr` plans and for one that keeps up with an hour."""
    from toptalkers.job.steps import LARGEST_SPLIT_BYTES, MOST_REDUCERS, REDUCER_BYTES
    from toptalkers.runs.sizing import (
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
    records = INPUT_BYTES / rates.packed_record_bytes
    cpu_s = INPUT_BYTES * rates.step_cpu_s_per_byte
    fixed = STARTING_MINUTES + STEPS_MINUTES
    # Enough to be done with an hour's logs within the hour, start-up and all: else the next hour waits.
    enough = math.ceil(cpu_s / cores / 60 / (60 - fixed))
    maps = math.ceil(INPUT_BYTES / LARGEST_SPLIT_BYTES)
    map_s = LARGEST_SPLIT_BYTES * rates.step_cpu_s_per_byte
    wanted = math.ceil(INPUT_BYTES / (BYTES_PER_VCPU_SECOND * cores * WANTED_MINUTES * 60))
    reducers = min(MOST_REDUCERS, 1 + INPUT_BYTES // REDUCER_BYTES)
    shuffled = maps * rates.talkers_a_map * rates.sum_bytes
    objects = math.ceil(INPUT_BYTES / OBJECT_BYTES)

    steps = [
        ["records", f"10^12 bytes / {rates.packed_record_bytes:.1f}", f"{records / 1e9:.1f} billion"],
        [
            "text",
            f"{records / 1e9:.1f} billion x {rates.record_bytes:.0f} bytes",
            f"{records * rates.record_bytes / 1e12:.1f} TB",
        ],
        [
            "listing",
            f"{objects:,} objects of {OBJECT_BYTES / 1e6:.0f} MB / {KEYS_A_LIST} a call x {SECONDS_A_LIST} s",
            f"{_minutes(objects / KEYS_A_LIST * SECONDS_A_LIST)}, before the first map",
        ],
        [
            "maps",
            f"10^12 / {LARGEST_SPLIT_BYTES >> 20} MiB",
            f"{maps:,}, of {records / maps / 1e6:.1f} M records, {map_s:.0f} s each",
        ],
        [
            "unpacking",
            f"10^12 / {rates.unpacked_per_s / 1e6:.0f} MB/s",
            f"{INPUT_BYTES / rates.unpacked_per_s / 3600:.1f} vCPU hours",
        ],
        [
            "mapper",
            f"{records / 1e9:.1f} billion / {rates.mapped_per_s / 1e6:.2f} M/s",
            f"{records / rates.mapped_per_s / 3600:.1f} vCPU hours",
        ],
        [
            "step 1, all of it",
            f"10^12 / {1 / rates.step_cpu_s_per_byte / 1e6:.1f} MB/s",
            f"{cpu_s / 3600:.1f} vCPU hours",
        ],
        [
            "shuffle",
            f"{maps:,} maps x {rates.talkers_a_map:,} sums x {rates.sum_bytes:.0f} bytes",
            f"{shuffled / 1e9:.0f} GB, to {reducers} reducers",
        ],
    ]
    text = [table(("step", "arithmetic", "result"), steps), ""]

    rows = []
    planned_s = INPUT_BYTES / (BYTES_PER_VCPU_SECOND * cores * planned.core)
    for name, nodes, counting_s in (
        ("`run-emr` plans", planned.core, planned_s),
        ("the same, by the rate measured", planned.core, cpu_s / cores / planned.core),
        ("keeps up with an hour", enough, cpu_s / cores / enough),
    ):
        minutes = fixed + counting_s / 60
        hours = (nodes + 1) * minutes / 60
        rows.append(
            [
                name,
                f"1 + {nodes}",
                f"{fixed} + {counting_s / 60:.0f} = {minutes:.0f}",
                f"{hours:.1f}",
                f"${hours * DOLLARS_A_NODE_HOUR:.2f}",
                _minutes(INPUT_BYTES / NODE_BYTES_A_SECOND / nodes),
                _minutes(shuffled / (NODE_BYTES_A_SECOND * SHUFFLE_SHARE) / nodes),
            ]
        )
    head = (
        f"cluster of {DEFAULT_INSTANCE_TYPE}", "nodes", "minutes", "instance hours", "on demand, about",
        "reading from S3", "shuffle",
    )  # fmt: skip
    text += [
        table(head, rows),
        "",
        (
            f"`run-emr` takes {BYTES_PER_VCPU_SECOND / 2**20:.0f} MiB ({BYTES_PER_VCPU_SECOND / 1e6:.1f} MB)"
            f" a vCPU second for granted; measured: {1 / rates.step_cpu_s_per_byte / 1e6:.1f} MB. To be done in"
            f" {WANTED_MINUTES} minutes it would want {wanted} nodes, but asks for no more than {MOST_NODES} of itself."
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
    text.append(table(("talkers in all", "into the one reducer", "ranked in"), rows))
    return "\n".join(text)


def _minutes(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds / 60:.1f} min"
