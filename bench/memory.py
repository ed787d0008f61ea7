"""More talkers than memory: once with all sums in memory, once as on a machine with 2 GiB left; the same answer."""

import hashlib

from bench import samples
from bench.distinct import write_distinct
from bench.measure import Command, run_once, say
from bench.part import Context, Section, same, table
from bench.tools import TOPTALKERS

RECORDS, TALKERS = 24_000_000, 21_600_000
REPEATED = 200_000_000
LIMIT_BYTES = 2 << 30
TIMES = 50


def run(context: Context) -> Section:
    """Measure, only once each, because the runs are long."""
    records, talkers = RECORDS, TALKERS
    if context.records < 4_000_000:
        records, talkers = context.records, context.records * 9 // 10
    folder = samples.once(
        context.work / f"talkers-{talkers}-of-{records}", lambda folder: write_distinct(folder, records, talkers)
    )
    files = sorted(folder.glob("*.gz"))
    repeated = context.work / "talkers.txt"
    repeated.write_text("".join(f"{path}\n" for path in (files * TIMES)[: len(files) * REPEATED // RECORDS]))
    sample = samples.sample(context.work, context.records)
    manifest = context.work / "manifest.txt"
    manifest.write_text("".join(f"{path}\n" for path in sorted(sample.glob("*.gz")) * TIMES))
    limit = f"with 2 GiB of address space (`ulimit -v {LIMIT_BYTES >> 10}`)"
    cases: list[tuple[str, list[str], int | None]] = [
        (f"{records:,} records, {talkers:,} talkers", [str(folder)], None),
        (f"the same, {limit}", [str(folder)], LIMIT_BYTES),
        (f"{records * REPEATED // RECORDS:,} records of them, by `--manifest`", ["--manifest", str(repeated)], None),
        (f"these, {limit}", ["--manifest", str(repeated)], LIMIT_BYTES),
        (f"{context.records * TIMES:,} records of the sample, by `--manifest`", ["--manifest", str(manifest)], None),
    ]
    rows, digests = [], []
    for number, (name, words, address_space_bytes) in enumerate(cases):
        say(f"  {name}")
        output = context.output(f"memory {number}")
        command = Command([TOPTALKERS, "run-local", *words], output, address_space_bytes=address_space_bytes)
        wall, cpu, peak_mib = run_once(command)
        rows.append([name, f"{wall:.1f} s", f"{cpu:.1f} s", f"{peak_mib:,.0f} MiB"])
        digests.append({name: hashlib.sha256(output.read_bytes()).hexdigest()})
    same(digests[0] | digests[1])
    same(digests[2] | digests[3])
    text = table(("once each", "time", "CPU", "peak memory"), rows)
    return Section(f"{text}\n\nThe answers with and without the limit are the same.")
