"""`run-local` and what its users would choose instead; the same traffic in other layouts; other questions."""

from collections.abc import Sequence
from pathlib import Path

from bench import samples
from bench.measure import Timing, alternate, say, wall_ratio
from bench.part import BESIDE_HEAD, Context, Section, beside, columns, same, table
from bench.peer import RUN_LOCAL, Peer, flowlogs_reader, quick_peers, recipe, run_local, spark, unpacking

QUESTIONS = {
    "the default": [],
    "`--metric bytes`": ["--metric", "bytes"],
    "`--ports all`": ["--ports", "all"],
    "`--action ALL`": ["--action", "ALL"],
    "six hours of the day": ["--since", "2026-11-01T06:00:00Z", "--until", "2026-11-01T12:00:00Z"],
    "`--top 20`": ["--top", "20"],
}


def run(context: Context) -> Section:
    """Measure; with --quick, only the first table."""
    folder = samples.sample(context.work, context.records)
    timings, sameness = measure(context, folder, [run_local(), unpacking(), *quick_peers(context)], context.runs)
    text = [
        _input(folder, context.records),
        sameness,
        _runs(context.runs),
        "",
        table(BESIDE_HEAD, beside(timings, RUN_LOCAL)),
    ]
    ratios = {
        f"run-local / {name.split(' ')[0]}": wall_ratio(timings[RUN_LOCAL], timing)
        for name, timing in timings.items()
        if name != RUN_LOCAL
    }
    if not context.is_quick:
        text += ["", *_slow(context, folder), "", *_layouts(context, folder), "", *_questions(context, folder)]
    return Section("\n".join(text), ratios)


def measure(
    context: Context, folder: Path, peers: Sequence[Peer], runs: int, *, warm_up: bool = True
) -> tuple[dict[str, Timing], str]:
    """Run peers in turn over a folder, and compare their answers; return the times, and a sentence on the answers."""
    timings = alternate(
        {peer.name: peer.command(folder, context.output(peer.name)) for peer in peers}, runs, warm_up=warm_up
    )
    return timings, same({peer.name: peer.read(context.output(peer.name)) for peer in peers if peer.read})


def _slow(context: Context, folder: Path) -> list[str]:
    """Measure slow peers, with less data and only once, each next to run-local with the same input."""
    whole = f"{context.records:,}"
    quarter, tenth = max(1, context.records // 160_000), max(1, context.records // 400_000)
    some = samples.some_files(context.work, folder, quarter)
    accepted = samples.accepted_ipv4(context.work, folder, tenth)
    cases: list[tuple[Peer | None, Path, str, str]] = [
        (spark(context), folder, whole, ""),
        (flowlogs_reader(context), some, f"{samples.count_records(some):,}", ""),
        (recipe(), accepted, f"{samples.count_records(accepted):,}", " (ACCEPT, OK, IPv4)"),
    ]
    rows, missing = [], []
    for (peer, source, records, note), wanted in zip(cases, ("Spark", "flowlogs-reader", "the recipe"), strict=True):
        if peer is None:
            missing.append(wanted)
            continue
        ours, _ = measure(context, source, [run_local()], context.runs)
        theirs, _ = measure(context, source, [peer], 1, warm_up=False)
        same(
            {
                RUN_LOCAL: context.output(RUN_LOCAL).read_bytes(),
                peer.name: (peer.read or Path.read_bytes)(context.output(peer.name)),
            }
        )
        mine, its = ours[RUN_LOCAL], theirs[peer.name]
        rows.append(
            [
                peer.name,
                f"{records}{note}",
                f"{wall_ratio(mine, its):.3f}",
                f"{mine.median_cpu_s / its.median_cpu_s:.3f}",
                f"{mine.median_s:.2f} s",
                f"{its.median_s:.1f} s",
                f"{its.median_cpu_s:.1f} s",
                f"{its.peak_mib:,.0f} MiB",
            ]
        )
    head = (
        "slow, so only once, with less",
        "records",
        "ours / it, wall",
        "ours / it, CPU",
        "ours",
        "it",
        "its CPU",
        "its peak memory",
    )
    text = [table(head, rows), "", "Here, too, the answers are the same."]
    if missing:
        text.append(f"Not measured, because not installed: {', '.join(missing)}.")
    return text


def _layouts(context: Context, folder: Path) -> list[str]:
    """Measure the same traffic in other layouts: the time divided by that of the clean default files."""
    work, records = context.work, context.records
    custom = samples.custom(work, folder)
    cases: dict[str, tuple[Path, list[str]]] = {
        "default, no headers, `.gz`": (folder, []),
        "AWS's S3 delivery (`--layout aws-s3`)": (samples.sample(work, records, "aws-s3"), []),
        f"custom, `--log-format`, {len(samples.CUSTOM_FIELDS)} columns": (
            custom,
            ["--log-format", samples.CUSTOM_FORMAT],
        ),
        "rich, headers (`--layout rich`)": (samples.sample(work, records, "rich"), []),
        "dirty mix (`--dirty`)": (samples.sample(work, records, dirty=True), []),
        "default, `.zst`": (samples.zstandard(work, folder), []),
        "default, plain": (samples.plain(work, folder), []),
    }
    timings = alternate(
        {
            name: run_local(*options).command(source, context.output(f"layout {number}"))
            for number, (name, (source, options)) in enumerate(cases.items())
        },
        context.runs,
    )
    sameness = same({name: context.output(f"layout {number}").read_bytes() for number, name in enumerate(cases)})
    first = next(iter(cases))
    rows = [
        [
            name,
            "1" if name == first else f"{wall_ratio(timings[name], timings[first]):.2f}",
            *columns(timings[name]),
            f"{samples.stored_bytes(source) / 1e6:,.0f} MB",
        ]
        for name, (source, _) in cases.items()
    ]
    head = ("the same records as", "time / default's", "median", "spread", "CPU", "peak memory", "files")
    return [table(head, rows), "", sameness if len(sameness) < 60 else "All answers are the same."]


def _questions(context: Context, folder: Path) -> list[str]:
    """Measure other questions: the time divided by that of the default question."""
    timings = alternate(
        {name: run_local(*options).command(folder, context.output("question")) for name, options in QUESTIONS.items()},
        context.runs,
    )
    first = next(iter(QUESTIONS))
    rows = [
        [name, "1" if name == first else f"{wall_ratio(timing, timings[first]):.2f}", *columns(timing)]
        for name, timing in timings.items()
    ]
    return [table(("question", "time / default's", "median", "spread", "CPU", "peak memory"), rows)]


def _input(folder: Path, records: int) -> str:
    text = sum(len(text) for _, text in samples.unpacked(folder))
    files = len(list(folder.glob("*.gz")))
    say(f"  {folder.name}: {text / 1e6:,.0f} MB")
    return (
        f"{records:,} default-format records in {files:,} `.gz` files"
        f" ({samples.stored_bytes(folder) / 1e6:,.0f} MB, {text / 1e6:,.0f} MB uncompressed)."
    )


def _runs(runs: int) -> str:
    return f"{runs} alternating runs after one warm-up run."
