"""The streaming scripts under the Python of a cluster node, and gawk doing the same work."""

import shutil
import sys
from collections import Counter
from pathlib import Path

from bench import samples
from bench.measure import Command, alternate, wall_ratio
from bench.part import BESIDE_HEAD, Context, Section, beside, same, table
from bench.tools import PEERS, STREAMING, find_python39, version_of

TALKERS, MAPS = 500_000, 4
"""The input of `sum_counts.py`: how many talkers, and from how many maps each comes."""

WANTED_PORTS = (22, 53, 443)
OTHER_PORTS = (5432, 8080, 40001)


def run(context: Context) -> Section:
    """Measure the three scripts."""
    gawk = shutil.which("gawk")
    if gawk is None:
        if context.is_quick:
            return Section("Not measured: gawk is not installed.")
        sys.exit("bench mapper needs gawk, because cluster nodes have it (on Debian: apt install gawk)")
    python = [find_python39(), "-I", "-S"]
    share = 8 if context.is_quick else 1
    files = context.records // 80_000
    lines = samples.joined(context.work, samples.sample(context.work, context.records), files)
    sums = samples.once(context.work / f"sums-{share}", lambda folder: _write_sums(folder, TALKERS // share))
    cases = {
        "count_flows.py": (lines, ["-f", str(PEERS / "count.awk")], f"{files * 40_000:,} records"),
        "sum_counts.py": (
            sums / "sorted.txt",
            ["-F\t", "-f", str(PEERS / "sum.awk")],
            f"{TALKERS // share * MAPS:,} lines, {TALKERS // share:,} talkers",
        ),
        "port_filter.py": (
            sums / "talkers.txt",
            ["-f", str(PEERS / "portfilter.awk")],
            f"{TALKERS // share * MAPS:,} lines, half of them wanted",
        ),
    }
    text, ratios = [], {}
    rates = []
    for script, (source, awk, what) in cases.items():
        ours, gawks = context.output(script), context.output(f"gawk for {script}")
        timings = alternate(
            {
                script: Command([*python, str(STREAMING / script)], ours, source),
                "gawk": Command([gawk, *awk], gawks, source),
            },
            context.runs,
        )
        sameness = same({script: _sums(ours), "gawk": _sums(gawks)})
        ratios[f"{script} / gawk"] = wall_ratio(timings[script], timings["gawk"])
        count = int(what.split(" ")[0].replace(",", ""))
        rates.append(
            [
                f"`{script}`",
                f"{ratios[f'{script} / gawk']:.2f}",
                f"{count / timings[script].median_s / 1e6:.2f} M",
                f"{count / timings['gawk'].median_s / 1e6:.2f} M",
                what,
            ]
        )
        text += ["", f"{what} on standard input. {sameness}", "", table(BESIDE_HEAD, beside(timings, script))]
    head = ("script", "ours / gawk, wall", "ours, lines per second", "gawk", "of")
    intro = (
        f"{version_of(python[0])} (`-I -S`), {version_of(gawk)}; {context.runs} alternating runs after one warm-up run."
    )
    return Section("\n".join([intro, "", table(head, rates), *text]), ratios)


def _write_sums(folder: Path, talkers: int) -> None:
    """Write sums of several maps, sorted as after the shuffle; and distinct talkers, half of them on unwanted ports."""
    addresses = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:10.0.0.9" for number in range(talkers)]
    lines = [f"LongValueSum:{address}:443\t{number}\n" for address in addresses for number in range(1, MAPS + 1)]
    lines.sort()
    (folder / "sorted.txt").write_text("".join(lines))
    ports = WANTED_PORTS + OTHER_PORTS
    with (folder / "talkers.txt").open("w") as out:
        for round_ in range(MAPS):
            out.writelines(
                f"{address}:{ports[(number + round_) % len(ports)]}\t{number % 9999 + 1}\n"
                for number, address in enumerate(addresses)
            )


def _sums(path: Path) -> Counter[bytes]:
    total: Counter[bytes] = Counter()
    for line in path.read_bytes().splitlines():
        talker, _, number = line.partition(b"\t")
        total[talker] += int(number)
    return total
