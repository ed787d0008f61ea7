"""`run-local` with other keys, sums and conditions, beside DuckDB and Polars; Parquet; the digest."""

from pathlib import Path

from bench import samples
from bench.local import measure
from bench.measure import Command, Timing, alternate, cpu_ratio, format_seconds, wall_ratio
from bench.part import Context, Section, same, table
from bench.peer import RUN_LOCAL, Peer, run_local
from bench.tools import PEERS, TOPTALKERS

FIVE_TERMS = "src net 10.0.0.0/16 and not host 10.0.1.11 and dst port 443 and bytes > 1000 and proto tcp"
THREE_METRICS = "bytes,packets,records"

QUESTIONS: dict[str, tuple[str, list[str]]] = {
    "the default": ("default", []),
    "`--by srcaddr`": ("srcaddr", ["--by", "srcaddr"]),
    "`--by dstport,protocol`": ("ports", ["--by", "dstport,protocol"]),
    "`--by hour,srcaddr/24`": ("networks", ["--by", "hour,srcaddr/24"]),
    "`--where` with five terms": ("where", ["--where", FIVE_TERMS, "--ports", "0-1024"]),
    f"`--metric {THREE_METRICS}`": ("metrics", ["--metric", THREE_METRICS]),
    "a key of three parts, three metrics, five terms": (
        "together",
        ["--by", "hour,srcaddr/24,dstport", "--metric", THREE_METRICS, "--where", FIVE_TERMS, "--ports", "0-1024"],
    ),
}
"""Questions: the name that the peers' scripts know, and our options."""

QUICK_QUESTIONS = ("the default", "`--by hour,srcaddr/24`", "a key of three parts, three metrics, five terms")

FROM_DIGEST = {
    "`--by srcaddr`": ["--by", "srcaddr"],
    "`--by service-port,protocol`": ["--by", "service-port,protocol"],
    "`--by hour,srcaddr/24`": ["--by", "hour,srcaddr/24"],
    "`--by pair`, four metrics": ["--by", "pair", "--metric", "bytes,packets,records,last"],
    "`--where`": ["--by", "dstaddr", "--where", "src net 10.0.0.0/16 and proto tcp"],
}
"""Questions that a digest answers, all of all ports."""


def run(context: Context) -> Section:
    """Measure; with --quick, only some questions about the text."""
    folder = samples.sample(context.work, context.records)
    names = QUICK_QUESTIONS if context.is_quick else tuple(QUESTIONS)
    rows: list[list[str]] = []
    ratios: dict[str, float] = {}
    default: Timing | None = None
    for name in names:
        question, options = QUESTIONS[name]
        peers = [run_local(*options), *_peers(context, question)]
        timings, _ = measure(context, folder, peers, context.runs)
        ours = timings[RUN_LOCAL]
        default = default or ours
        rows.append([name, *_cells(ours, default), *_ratios(timings)])
        ratios |= {
            f"{question}: run-local / {peer.split(' ')[0]}": wall_ratio(ours, timing)
            for peer, timing in timings.items()
            if peer != RUN_LOCAL
        }
    versions = [peer.name for peer in _peers(context, "default")]
    head = ["question", "time / default's", "median", "CPU", "peak memory"]
    head += [f"ours / {name}, {what}" for name in versions for what in ("wall", "CPU")]
    text = [
        f"{context.records:,} records; {context.runs} alternating runs after one warm-up run. Same answers.",
        "",
        table(head, rows),
    ]
    if not context.is_quick:
        text += ["", *_parquet(context, folder), "", *_digest(context, folder)]
    return Section("\n".join(text), ratios)


def _peers(context: Context, question: str) -> list[Peer]:
    return [
        peer
        for peer in (
            _script(context, "DuckDB", "duckdb_keys.py", question, writes_itself=True),
            _script(context, "Polars", "polars_keys.py", question),
        )
        if peer
    ]


def _script(context: Context, name: str, script: str, question: str, *, writes_itself: bool = False) -> Peer | None:
    if not context.tools.has(name.lower()):
        return None
    words = [str(context.tools.python), str(PEERS / script), question]

    def command(source: Path, output: Path) -> Command:
        if writes_itself:
            return Command([*words, str(source), str(output)])
        return Command([*words, str(source)], output)

    return Peer(f"{name} {context.tools.versions[name.lower()]}", command)


def _cells(timing: Timing, default: Timing) -> list[str]:
    ratio = "1" if timing is default else f"{wall_ratio(timing, default):.2f}"
    return [ratio, format_seconds(timing.median_s), format_seconds(timing.median_cpu_s), f"{timing.peak_mib:,.0f} MiB"]


def _ratios(timings: dict[str, Timing]) -> list[str]:
    ours = timings[RUN_LOCAL]
    others = [timing for name, timing in timings.items() if name != RUN_LOCAL]
    return [f"{ratio(ours, timing):.2f}" for timing in others for ratio in (wall_ratio, cpu_ratio)]


def _parquet(context: Context, folder: Path) -> list[str]:
    """Measure questions about the same records in a Parquet file, which DuckDB writes and reads, too."""
    duckdb = _script(context, "DuckDB", "duckdb_keys.py", "default", writes_itself=True)
    if duckdb is None:
        return ["Parquet was not measured, because DuckDB is not installed."]
    file = samples.parquet(context.work, folder, str(context.tools.python))
    text, _ = measure(context, folder, [run_local()], context.runs)
    rows = []
    for name in ("the default", "`--by srcaddr`", "`--by hour,srcaddr/24`"):
        question, options = QUESTIONS[name]
        peers = [run_local(*options), *_peers(context, question)[:1]]
        timings, _ = measure(context, file, peers, context.runs)
        measure(context, folder, [Peer("text", run_local(*options).command)], 1, warm_up=False)
        same({"text": context.output("text").read_bytes(), "Parquet": context.output(RUN_LOCAL).read_bytes()})
        rows.append([name, *_cells(timings[RUN_LOCAL], text[RUN_LOCAL]), *_ratios(timings)])
    head = ["question", "time / default's of text", "median", "CPU", "peak memory"]
    head += [f"ours / {duckdb.name}, {what}" for what in ("wall", "CPU")]
    size = file.stat().st_size / 1e6
    return [f"The same records in one Parquet file ({size:,.0f} MB), and the same answers:", "", table(head, rows)]


def _digest(context: Context, folder: Path) -> list[str]:
    """Measure how long a digest takes to make, and questions from one of four times as many records."""
    made = context.work / "made.parquet"
    timings = alternate(
        {
            RUN_LOCAL: run_local().command(folder, context.output(RUN_LOCAL)),
            "digest": Command([TOPTALKERS, "digest", str(folder), "--output", str(made)]),
        },
        context.runs,
    )
    making = wall_ratio(timings["digest"], timings[RUN_LOCAL])
    larger = samples.sample(context.work, context.records * 4)
    digest = context.work / f"digest-{context.records * 4}.parquet"
    alternate({"digest": Command([TOPTALKERS, "digest", str(larger), "--output", str(digest)])}, 1, warm_up=False)
    rows = []
    for name, options in FROM_DIGEST.items():
        every = [*options, "--ports", "all", "--action", "ALL"]
        answers = {source.name: context.output(f"from {source.name}") for source in (larger, digest)}
        commands = {source.name: run_local(*every).command(source, answers[source.name]) for source in (larger, digest)}
        raw = alternate({larger.name: commands[larger.name]}, 1, warm_up=False)
        few = alternate({digest.name: commands[digest.name]}, context.runs)
        same({source: path.read_bytes() for source, path in answers.items()})
        timing = few[digest.name]
        rows.append(
            [
                name,
                format_seconds(timing.median_s),
                timing.spread,
                format_seconds(timing.median_cpu_s),
                f"{timing.peak_mib:,.0f} MiB",
                f"{wall_ratio(timing, raw[larger.name]):.2f}",
            ]
        )
    made_in = (
        f"The digest of {context.records:,} records is made in {format_seconds(timings['digest'].median_s)}"
        f" ({timings['digest'].peak_mib:,.0f} MiB), {making:.2f} times the default question's time, and has"
        f" {made.stat().st_size / 1e6:.1f} MB. From the digest of {context.records * 4:,} records"
        f" ({digest.stat().st_size / 1e6:.1f} MB), the answers are the same as from the records:"
    )
    return [made_in, "", table(("question", "median", "spread", "CPU", "peak memory", "time / from the records"), rows)]
