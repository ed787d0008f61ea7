"""More talkers than memory: all sums held, and as on a machine that has 2 GiB left; the same answer."""

import hashlib

from bench import samples
from bench.distinct import write_distinct
from bench.measure import Command, RunFailedError, run_once, say
from bench.part import Context, Section, same, table
from bench.tools import TOPTALKERS

RECORDS, TALKERS = 24_000_000, 21_600_000
LIMIT_BYTES = 2 << 30
TIMES = 50


def run(context: Context) -> Section:
    """Measure, once each, for they are long."""
    records, talkers = RECORDS, TALKERS
    if context.records < 4_000_000:
        records, talkers = context.records, context.records * 9 // 10
    folder = samples.once(
        context.work / f"talkers-{talkers}-of-{records}", lambda folder: write_distinct(folder, records, talkers)
    )
    sample = samples.sample(context.work, context.records)
    manifest = context.work / "manifest.txt"
    manifest.write_text("".join(f"{path}\n" for path in sorted(sample.glob("*.gz")) * TIMES))
    what = f"{records:,} records, {talkers:,} talkers"
    answers = context.output("all in memory"), context.output("in 2 GiB")
    commands = {
        what: Command([TOPTALKERS, "run-local", str(folder)], answers[0]),
        f"the same, with 2 GiB of address space (`ulimit -v {LIMIT_BYTES >> 10}`)": Command(
            [TOPTALKERS, "run-local", str(folder)], answers[1], address_space_bytes=LIMIT_BYTES
        ),
        f"`--manifest`: the sample {TIMES} times, {context.records * TIMES:,} records": Command(
            [TOPTALKERS, "run-local", "--manifest", str(manifest)], context.output("manifest")
        ),
    }
    rows, has_failed = [], False
    for name, command in commands.items():
        say(f"  {name}")
        try:
            wall, cpu, peak_mib = run_once(command)
        except RunFailedError as error:
            if command.address_space_bytes is None:
                raise
            # A finding, and no fault of the bench.
            has_failed = True
            rows.append([name, "did not finish", "-", "-"])
            say(str(error))
            continue
        rows.append([name, f"{wall:.1f} s", f"{cpu:.1f} s", f"{peak_mib:,.0f} MiB"])
    text = table(("once each", "time", "CPU", "peak memory"), rows)
    if not has_failed:
        same({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in answers})
        text += "\n\nSame answer from the first two."
    return Section(text)
