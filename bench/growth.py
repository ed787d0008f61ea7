"""How the time and memory of `run-local` and DuckDB grow with records, files and talkers; a table and a chart."""

from pathlib import Path

from bench import samples
from bench.chart import Panel, draw
from bench.distinct import write_distinct
from bench.local import measure
from bench.measure import Timing, format_seconds, say
from bench.part import Context, Section, table
from bench.peer import quick_peers, run_local

CHART = "benchmarks-growth.svg"
RUNS = 3
FILES = (1, 10, 100, 1000)


def run(context: Context) -> Section:
    """Measure both with each input, and draw the chart."""
    work, records = context.work, context.records
    default = samples.sample(work, records)
    talkers = (1000, records // 8, records)
    inputs: dict[str, dict[int, Path]] = {
        "records": {n: samples.sample(work, n) for n in (records // 4, records, records * 4)},
        "files": {n: samples.glued(work, default, n) for n in FILES},
        "talkers": {n: _with_talkers(work, records, n) for n in talkers},
    }
    rival = next((peer for peer in quick_peers(context) if peer.name.startswith("DuckDB")), None)
    peers = [run_local(), *([rival] if rival else [])]
    timings: dict[str, dict[int, dict[str, Timing]]] = {}
    for grows, sizes in inputs.items():
        timings[grows] = {}
        for size, folder in sizes.items():
            say(f"  {size:,} {grows}")
            timings[grows][size], _ = measure(context, folder, peers, RUNS)
    constant = {
        "records": "the sample, 40,000 records per file",
        "files": f"the sample's {records:,} records",
        "talkers": f"{records:,} records",
    }
    rows = [
        [f"{size:,} {grows if size > 1 else grows.removesuffix('s')}", constant[grows], *_cells(by_peer)]
        for grows, sizes in timings.items()
        for size, by_peer in sizes.items()
    ]
    head = ["input", "of", "time", "spread", "peak memory"]
    if rival:
        head += [f"{rival.name}: time", "its peak memory"]
    text = [
        f"Medians of {RUNS} alternating runs after one warm-up run; the answers are the same.",
        "",
        table(head, rows),
        "",
        f"![Time and peak memory over records, files and talkers]({CHART})",
    ]
    return Section("\n".join(text), charts={CHART: _chart(timings)})


def _with_talkers(work: Path, records: int, talkers: int) -> Path:
    return samples.once(
        work / f"talkers-{talkers}-of-{records}", lambda folder: write_distinct(folder, records, talkers)
    )


def _cells(by_peer: dict[str, Timing]) -> list[str]:
    ours, *others = by_peer.values()
    cells = [format_seconds(ours.median_s), ours.spread, f"{ours.peak_mib:,.0f} MiB"]
    for other in others:
        cells += [format_seconds(other.median_s), f"{other.peak_mib:,.0f} MiB"]
    return cells


def _chart(timings: dict[str, dict[int, dict[str, Timing]]]) -> str:
    panels = []
    for measured, unit in (("time", "seconds"), ("peak memory", "MiB")):
        for grows, sizes in timings.items():
            lines: dict[str, list[tuple[float, float]]] = {}
            for size, by_peer in sizes.items():
                for name, timing in by_peer.items():
                    value = timing.median_s if measured == "time" else timing.peak_mib
                    lines.setdefault(name, []).append((size, value))
            panels.append(Panel(f"{measured} over {grows}", grows, unit, lines))
    return draw(panels, columns=len(timings))
