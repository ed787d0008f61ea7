"""The streaming scripts under the Python of a cluster node, and gawk doing the same work."""

import platform
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import samples
from bench.distinct import write_distinct
from bench.measure import Command, alternate, cpu_ratio, run_once, say
from bench.part import BESIDE_HEAD, Context, Section, beside, same, table
from bench.tools import PEERS, STREAMING, find_python39, version_of
from toptalkers.job.steps import GZIP_DELIMITER, MAPPER_FILES

TALKERS, MAPS = 500_000, 4
"""The input of `sum_counts.py`: how many talkers, and from how many maps each comes."""

WANTED_PORTS = (22, 53, 443)
OTHER_PORTS = (5432, 8080, 40001)

SUMS_MIB = (64, 256, 1024)
"""Bounds for the sums of a map with many talkers: the least and the most of `count_files.py`, and one between."""

HEAP_MIB, OTHER_MIB = 1024, 160
"""The rest of a map's container: the JVM's heap, and what `count_files.py` sets aside for itself."""

IN_C, IN_PYTHON = "count_files.py with the kernel", "count_files.py in Python"
KERNEL = f"kernel-{platform.machine()}.so"


@dataclass
class _Found:
    """What was measured so far: rows of the first table, the ratios, and the other tables."""

    rates: list[list[str]] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)


def run(context: Context) -> Section:
    """Measure the scripts: of whole files, of lines, and the memory of many talkers."""
    gawk = shutil.which("gawk")
    if gawk is None:
        if context.is_quick:
            return Section("Not measured: gawk is not installed.")
        sys.exit("bench mapper needs gawk, because cluster nodes have it (on Debian: apt install gawk)")
    python = [find_python39(), "-I", "-S"]
    found = _Found()
    mappers = _whole_file_mappers(context, python)
    _whole_files(context, found, mappers, [*python, str(STREAMING / "count_flows.py")], gawk)
    _lines(context, found, python, gawk)
    if not context.is_quick:
        found.text += _memory(context, mappers)
    head = ("script", "ours / gawk, CPU", "ours, per CPU second", "gawk", "of")
    intro = (
        f"{version_of(python[0])} (`-I -S`), {version_of(gawk)}; {context.runs} alternating runs after one warm-up run."
    )
    if IN_C not in mappers:
        intro += f" This installation lacks {KERNEL}, so the kernel was not measured."
    return Section("\n".join([intro, "", table(head, found.rates), *found.text]), found.ratios)


def _whole_file_mappers(context: Context, python: list[str]) -> dict[str, Command]:
    """Return commands of `count_files.py`, each in a folder like a node's; they lack standard input and output."""
    mappers = {}
    for name, kernels in ((IN_C, [KERNEL]), (IN_PYTHON, [])):
        folder = context.work / ("mapper-" + name.rpartition(" ")[2])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if all((STREAMING / one).exists() for one in kernels):
            for one in (*MAPPER_FILES, *kernels):
                shutil.copy(STREAMING / one, folder)
            mappers[name] = Command([*python, "count_files.py", "--delimiter", GZIP_DELIMITER], folder=folder)
    return mappers


def _whole_files(
    context: Context, found: _Found, mappers: Mapping[str, Command], lines_mapper: list[str], gawk: str
) -> None:
    """Measure the mappers of compressed files beside what unpacks with zcat."""
    files = context.records // 80_000
    folder = samples.recompressed(
        context.work, samples.some_files(context.work, samples.sample(context.work, context.records), files)
    )
    frames = samples.framed(context.work, folder, GZIP_DELIMITER.encode())
    commands = {name: replace(mapper, stdin=frames, stdout=context.output(name)) for name, mapper in mappers.items()}
    for name, words in (
        ("zcat, count_flows.py", lines_mapper),
        ("zcat, gawk", [gawk, "-f", str(PEERS / "count.awk")]),
    ):
        pipe = ["bash", "-c", 'folder=$1; shift; zcat "$folder"/*.gz | "$@"', "-", str(folder), *words]
        commands[name] = Command(pipe, context.output(name))
    records = files * 40_000
    what = f"{records:,} records in {files} `.gz` files ({samples.stored_bytes(folder) / 1e6:,.0f} MB)"
    _compare(found, commands, context.runs, records, what)


def _lines(context: Context, found: _Found, python: list[str], gawk: str) -> None:
    """Measure the scripts that read lines."""
    share = 8 if context.is_quick else 1
    files = context.records // 80_000
    lines = samples.joined(context.work, samples.sample(context.work, context.records), files)
    sums = samples.once(context.work / f"sums-{share}", lambda folder: _write_sums(folder, TALKERS // share))
    count = TALKERS // share * MAPS
    cases = (
        ("count_flows.py", lines, ["-f", "count.awk"], files * 40_000, "records"),
        (
            "sum_counts.py",
            sums / "sorted.txt",
            ["-F\t", "-f", "sum.awk"],
            count,
            f"lines, {TALKERS // share:,} talkers",
        ),
        ("port_filter.py", sums / "talkers.txt", ["-f", "portfilter.awk"], count, "lines, half of them wanted"),
    )
    for script, source, awk, number, what in cases:
        commands = {
            script: Command([*python, str(STREAMING / script)], context.output(script), source),
            "gawk": Command([gawk, *awk], context.output(f"gawk for {script}"), source, folder=PEERS),
        }
        _compare(found, commands, context.runs, number, f"{number:,} {what} on standard input")


def _compare(found: _Found, commands: Mapping[str, Command], runs: int, count: int, what: str) -> None:
    """Measure commands that read the same, the last of which is gawk's, and add what was found."""
    timings = alternate(commands, runs)
    sameness = same({name: _sums(command.stdout) for name, command in commands.items() if command.stdout})
    *ours, gawk = timings
    for name in ours:
        found.ratios[f"{name} / gawk"] = cpu_ratio(timings[name], timings[gawk])
        rates = (f"{count / timings[one].median_cpu_s / 1e6:.2f} M" for one in (name, gawk))
        found.rates.append([name, f"{found.ratios[f'{name} / gawk']:.2f}", *rates, what])
    found.text += ["", f"{what}. {sameness}", "", table(BESIDE_HEAD, beside(timings, ours[0]))]


def _memory(context: Context, mappers: Mapping[str, Command]) -> list[str]:
    """Measure a map in which each record has a talker of its own, with several bounds for its sums."""
    records = context.records
    folder = samples.once(
        context.work / f"talkers-{records}-of-{records}", lambda folder: write_distinct(folder, records, records)
    )
    frames = samples.framed(context.work, folder, GZIP_DELIMITER.encode())
    rows, answers = [], {}
    for name, mapper in mappers.items():
        for bound in SUMS_MIB:
            say(f"  {name}, {bound} MiB for sums")
            output = context.output(f"{name} {bound}")
            settings = {
                "mapreduce_map_memory_mb": str(HEAP_MIB + OTHER_MIB + bound),
                "mapreduce_map_java_opts": f"-Xmx{HEAP_MIB}m",
            }
            wall, cpu, peak_mib = run_once(replace(mapper, stdin=frames, stdout=output, environment=settings))
            answers[f"{name} {bound}"] = _digest(output)
            rows.append(
                [
                    f"{name}, {bound} MiB for sums",
                    f"{bound + OTHER_MIB:,} MiB",
                    f"{peak_mib:,.0f} MiB",
                    f"{wall:.1f} s",
                    f"{cpu:.1f} s",
                ]
            )
    same(answers)
    head = ("many talkers, once each", "allowed beside the heap", "peak memory", "time", "CPU")
    return ["", f"{records:,} records of as many talkers in one map. The lines are the same.", "", table(head, rows)]


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


def _digest(path: Path) -> int:
    """Return a number that tells files apart by their lines, in any order, within this process."""
    with path.open("rb") as lines:
        return sum(map(hash, lines))
