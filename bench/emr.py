"""On paper: what the rates measured here mean for 1 TB of compressed flow logs per hour on EMR, step by step.

Rates and sizes are measured; prices and the behaviour of AWS are assumptions, all listed below and in the text. The
last table, which docs/choosing.md has as well, compares EMR with a laptop, one instance and Athena by size.
"""

import math
import shutil
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from bench import samples
from bench.jobs import Arguments, Spent, our_steps, run_steps
from bench.measure import say
from bench.part import Context, Section, table
from toptalkers.job.steps import LARGEST_SPLIT_BYTES, MOST_REDUCERS, REDUCER_BYTES, SORTER_BYTES
from toptalkers.runs.cluster.one_instance import PLAIN_TYPE, choose_instance
from toptalkers.runs.cluster.prices import dollars
from toptalkers.runs.cluster.sizing import (
    BYTES_PER_VCPU_SECOND,
    DEFAULT_INSTANCE_TYPE,
    STARTING_MINUTES,
    STEPS_MINUTES,
    size_cluster,
    vcpus,
)

INPUT_BYTES = 10**12

OBJECT_BYTES = 5 * 10**6
"""An object that direct delivery writes for a busy interface every five minutes; it can have up to 75 MB."""

KEYS_PER_LIST, SECONDS_PER_LIST = 1000, 0.1
"""How many keys one ListObjectsV2 returns, and how long it takes; the calls are sequential."""

NODE_BYTES_PER_SECOND = 10**9 / 8
"""How fast an m7g.xlarge can read from the network for hours: about half of its baseline of 1.9 Gbit/s."""

SHUFFLE_SHARE = 0.5
"""The shuffle's share of a node's network while maps still read."""

S3_CPU_S_PER_BYTE = 5e-9
"""CPU seconds to read a byte from S3 instead of a disk.

Measured once by hand: `hadoop fs -cat` of objects of 5 MB by S3A over TLS from a server on the same machine, 300 MB
against 1,500 MB.
"""

TALKERS = (1_000_000, 10_000_000, 100_000_000)

PLANNED_TALKERS = 10_000_000
"""How many talkers the answer to 1 TB may have, for the sum of all work."""

SORTED_TALKERS = 2_000_000

SIZES = {"1 GB": 10**9, "10 GB": 10**10, "100 GB": 10**11, "1 TB": 10**12, "10 TB": 10**13}

LINE_BYTES_PER_SECOND = 10**9 / 8
"""A laptop's line of 1 Gbit/s. Its four cores count more than that."""

EGRESS_DOLLARS_PER_BYTE = 0.09 / 10**9
"""For bytes that leave AWS, the first 10 TB of a month in us-east-1 (EC2's price list of 2026)."""

ATHENA_DOLLARS_PER_BYTE = 5 / 10**12
"""For bytes read, compressed (Athena's price list of 2026, us-east-1); at least 10 MB for a question."""

ATHENA_SECONDS, ATHENA_BYTES_PER_SECOND = 5, 2 * 10**9
"""How fast Athena answers from compressed text: assumed, not measured."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The measurements, all on one core.

    Attributes:
        record_bytes: size of a record as text.
        compressed_record_bytes: size of a record, compressed at gzip's default level.
        decompressed_per_s: compressed bytes that zlib decompresses per second.
        step_cpu_s_per_byte: CPU seconds of a whole first step, JVM included, per additional compressed byte.
        start_cpu_s: CPU seconds of a JVM and a mapper that read one file without a record.
        sums: sums that the first step makes of the sample.
        sum_bytes: size of one of these sums.
        rank_cpu_s: CPU seconds of the second step per additional talker.

    """

    record_bytes: float
    compressed_record_bytes: float
    decompressed_per_s: float
    step_cpu_s_per_byte: float
    start_cpu_s: float
    sums: int
    sum_bytes: float
    rank_cpu_s: float


def run(context: Context) -> Section:
    """Measure the rates, and do the arithmetic."""
    rates = measure(context)
    return Section(f"{_format_rates(rates)}\n\n{format_plan(rates)}\n\n{format_ways()}")


def measure(context: Context) -> Rates:
    """Measure, on one core, the rates for the arithmetic."""
    work = context.work
    folder = samples.sample(work, context.records)
    whole = samples.recompressed(work, folder)
    small = samples.some_files(work, whole, max(1, context.records // 160_000))
    empty = samples.once(work / "one-empty-file", lambda into: _write_empty(into / "empty.log.gz"))
    texts = [text for _, text in samples.unpacked(small)]
    records = sum(text.count(b"\n") for text in texts)

    say("  zlib")
    packed = [path.read_bytes() for path in sorted(small.glob("*.gz"))]
    begin = time.process_time()
    for data in packed:
        zlib.decompress(data, wbits=31)
    unpack_s = time.process_time() - begin

    spent: dict[Path, Spent] = {}
    for source in (empty, small, whole):
        say(f"  step 1 on the embedded Hadoop, {source.name}")
        run_folder = work / "emr-runs" / source.name
        shutil.rmtree(run_folder, ignore_errors=True)
        spent[source] = run_steps([_in_large_maps(our_steps(source, run_folder)[0])], run_folder)
    sums = b"".join(path.read_bytes() for path in sorted(run_folder.glob("aggregate/part-*")))
    more_bytes = samples.stored_bytes(whole) - samples.stored_bytes(small)
    few, many = _rank(work, SORTED_TALKERS // 20), _rank(work, SORTED_TALKERS)
    more_talkers = SORTED_TALKERS - SORTED_TALKERS // 20
    return Rates(
        record_bytes=sum(map(len, texts)) / records,
        compressed_record_bytes=samples.stored_bytes(whole) / context.records,
        decompressed_per_s=sum(map(len, packed)) / unpack_s,
        step_cpu_s_per_byte=(spent[whole].cpu_s - spent[small].cpu_s) / more_bytes,
        start_cpu_s=spent[empty].cpu_s,
        sums=sums.count(b"\n"),
        sum_bytes=len(sums) / sums.count(b"\n"),
        rank_cpu_s=(many.cpu_s - few.cpu_s) / more_talkers,
    )


def _in_large_maps(step: Arguments) -> Arguments:
    """Return a step whose maps are as large as those of 1 TB; for this input, the plan would make smaller ones."""
    name = "mapreduce.input.fileinputformat.split.maxsize="
    return [f"{name}{LARGEST_SPLIT_BYTES}" if word.startswith(name) else word for word in step]


def _write_empty(path: Path) -> None:
    path.write_bytes(zlib.compress(b"", wbits=31))


def _rank(work: Path, talkers: int) -> Spent:
    """Run the second step on so many talkers."""
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
    return run_steps(our_steps(source, folder)[1:], folder)


def _format_rates(rates: Rates) -> str:
    rows = [
        ["text of a record", f"{rates.record_bytes:.0f} bytes"],
        [f"the same, compressed (gzip, level {samples.GZIP_LEVEL})", f"{rates.compressed_record_bytes:.1f} bytes"],
        [f"decompression with zlib {zlib.ZLIB_RUNTIME_VERSION}", f"{_per_mb(1 / rates.decompressed_per_s)} per MB"],
        [
            "more input for the first step on the embedded Hadoop, CPU of JVM, mapper and reducer",
            f"{_per_mb(rates.step_cpu_s_per_byte)} per MB",
        ],
        ["", f"= {1 / rates.step_cpu_s_per_byte / 1e6:.1f} MB/s compressed"],
        ["the same for one file without a record: starting a JVM and a mapper", f"{rates.start_cpu_s:.1f} s"],
        ["reading from S3 over TLS, beyond reading from a disk", f"{_per_mb(S3_CPU_S_PER_BYTE)} per MB"],
        ["sums of the sample", f"{rates.sums:,} of {rates.sum_bytes:.0f} bytes"],
        ["the second step, CPU of map and reducer", f"{rates.rank_cpu_s * 1e6:.1f} us per talker"],
    ]
    return table(("measured here, on one core", "rate or size"), rows)


def format_plan(rates: Rates) -> str:
    """Do the arithmetic, step by step, for the cluster that `run-emr` plans and for one that keeps up with the logs."""
    cores = vcpus(DEFAULT_INSTANCE_TYPE)
    records = INPUT_BYTES / rates.compressed_record_bytes
    maps = math.ceil(INPUT_BYTES / LARGEST_SPLIT_BYTES)
    reducers, sorters = (min(MOST_REDUCERS, 1 + INPUT_BYTES // each) for each in (REDUCER_BYTES, SORTER_BYTES))
    shuffled = maps * rates.sums * rates.sum_bytes
    objects = math.ceil(INPUT_BYTES / OBJECT_BYTES)
    map_s = LARGEST_SPLIT_BYTES * (rates.step_cpu_s_per_byte + S3_CPU_S_PER_BYTE) + rates.start_cpu_s
    work = {
        "step 1": (f"10^12 x {_per_mb(rates.step_cpu_s_per_byte)} per MB", INPUT_BYTES * rates.step_cpu_s_per_byte),
        "reading from S3": (f"10^12 x {_per_mb(S3_CPU_S_PER_BYTE)} per MB", INPUT_BYTES * S3_CPU_S_PER_BYTE),
        "starting the JVMs": (
            f"{maps + reducers + sorters:,} maps and reducers x {rates.start_cpu_s:.1f} s",
            (maps + reducers + sorters) * rates.start_cpu_s,
        ),
        "step 2": (
            f"{PLANNED_TALKERS / 1e6:.0f} M talkers x {rates.rank_cpu_s * 1e6:.1f} us",
            PLANNED_TALKERS * rates.rank_cpu_s,
        ),
    }
    cpu_s = sum(seconds for _, seconds in work.values())
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
            f"{_time(objects / KEYS_PER_LIST * SECONDS_PER_LIST)}, before the first map",
        ],
        [
            "maps",
            f"10^12 / {LARGEST_SPLIT_BYTES >> 20} MiB",
            f"{maps:,}, of {records / maps / 1e6:.1f} M records, {map_s:.0f} s each",
        ],
        [
            "shuffle",
            f"{maps:,} maps x {rates.sums:,} sums x {rates.sum_bytes:.0f} bytes",
            f"{shuffled / 1e9:.0f} GB, to {reducers} reducers",
        ],
        *([name, arithmetic, f"{seconds / 3600:.1f} vCPU hours"] for name, (arithmetic, seconds) in work.items()),
        ["**all of it**", "", f"**{cpu_s / 3600:.1f} vCPU hours**"],
    ]
    fixed = STARTING_MINUTES + STEPS_MINUTES
    planned = size_cluster(INPUT_BYTES)
    # Enough nodes to process an hour's logs within an hour, start-up included: otherwise a backlog grows.
    enough = size_cluster(INPUT_BYTES, core=math.ceil(cpu_s / cores / 60 / (60 - fixed)))
    rows = []
    for name, sizing, seconds in (
        ("`run-emr` plans", planned, INPUT_BYTES / BYTES_PER_VCPU_SECOND),
        ("the same, at the measured rate", planned, cpu_s),
        ("keeps up with the logs", enough, cpu_s),
    ):
        counting = math.ceil(seconds / cores / sizing.core / 60)
        timed = replace(sizing, minutes=fixed + counting)
        rows.append(
            [
                name,
                f"1 + {sizing.core}",
                f"{fixed} + {counting} = {timed.minutes}",
                f"{timed.instance_hours:.1f}",
                f"${dollars(timed) or 0:.2f}",
                _time(INPUT_BYTES / NODE_BYTES_PER_SECOND / sizing.core),
                _time(shuffled / (NODE_BYTES_PER_SECOND * SHUFFLE_SHARE) / sizing.core),
            ]
        )
    head = (
        f"cluster of {DEFAULT_INSTANCE_TYPE}", "nodes", "minutes", "instance hours", "approx. price",
        "reading from S3", "shuffle",
    )  # fmt: skip
    ranked = [
        [
            f"{talkers / 1e6:,.0f} M",
            f"{talkers * rates.sum_bytes / 1e9:.1f} GB",
            _time(talkers * rates.rank_cpu_s / sorters),
        ]
        for talkers in TALKERS
    ]
    return "\n\n".join(
        (
            table(("step", "arithmetic", "result"), steps),
            table(head, rows),
            (
                f"`run-emr` assumes {BYTES_PER_VCPU_SECOND / 2**20:.0f} MiB ({BYTES_PER_VCPU_SECOND / 1e6:.1f} MB) per"
                f" vCPU second; measured, with all of the work above: {INPUT_BYTES / cpu_s / 1e6:.1f} MB."
            ),
            table(("talkers in total", "input of step 2", f"ranked on {sorters} cores, with as many reducers"), ranked),
        )
    )


def format_ways() -> str:
    """Compare the ways to count by the size of the input, in minutes and dollars."""
    rows = []
    for name, size in SIZES.items():
        one, sizing = choose_instance(size), size_cluster(size)
        cost = dollars(sizing)
        assert one is not None  # noqa: S101 - sums need no memory
        assert cost is not None  # noqa: S101 - the default type has a price
        rows.append(
            [
                name,
                _way(size / LINE_BYTES_PER_SECOND, size * EGRESS_DOLLARS_PER_BYTE),
                _way(one.minutes * 60, one.dollars),
                _way(ATHENA_SECONDS + size / ATHENA_BYTES_PER_SECOND, size * ATHENA_DOLLARS_PER_BYTE),
                f"{_way(sizing.minutes * 60, cost)}, {sizing.core} + 1 nodes",
            ]
        )
    head = ("compressed flow logs", "laptop, with the download", f"one {PLAIN_TYPE}", "Athena", "EMR, as planned")
    return table(head, rows)


def _way(seconds: float, cost: float) -> str:
    return f"{_time(seconds)}, ${cost:.2f}" if cost < 100 else f"{_time(seconds)}, ${cost:,.0f}"


def _per_mb(seconds_per_byte: float) -> str:
    return f"{seconds_per_byte * 1e9:.0f} ms"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds >= 100 * 60:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds / 60:.1f} min"
