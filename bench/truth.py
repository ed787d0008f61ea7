"""How well lists of top talkers name who really talked: `--count once --pairs` and others, beside a known truth.

`toptalkers sample` writes down which conversations it made its records from (`truth.json`). Each way of counting gives
its first 100 lines. A line names a conversation if its addresses and its port are those of the client, the server and
the server's port; what it says of bytes is compared with what was sent in the directions that it adds up.
"""

import json
import re
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from bench import samples
from bench.measure import Command, alternate, say
from bench.part import BESIDE_HEAD, Context, Section, beside, table
from bench.tools import PEERS, TOPTALKERS

TOP = 100
SEEDS = range(1, 11)
RECORDS = 200_000

PLAIN = ("--by", "srcaddr,dstaddr,dstport", "--metric", "bytes", "--ports", "all")
_PART = re.compile(r"(?<=\[)[^]]*(?=\])|[^:\[\]]+")
"""A part of the recipe's key: between colons, an IPv6 address in brackets."""

Way = Literal["to server", "to client"]
BOTH: tuple[Way, ...] = ("to server", "to client")


class Talk(NamedTuple):
    """What a conversation is known by."""

    client: str
    server: str
    port: int
    protocol: int


class Claim(NamedTuple):
    """What a line says: that a conversation had so many bytes in these directions; None if it does not say how many."""

    talk: Talk
    bytes_sent: int | None
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """What was really sent.

    Attributes:
        sent: the bytes of each conversation by direction; those with most bytes come first.

    """

    sent: dict[Talk, dict[Way, int]]

    @classmethod
    def read(cls, folder: Path) -> "Truth":
        """Read the truth of a sample."""
        known = json.loads((folder / "truth.json").read_text())
        return cls(
            {
                Talk(one["client"], one["server"], one["port"], one["protocol"]): {
                    "to server": one["bytes_to_server"],
                    "to client": one["bytes_to_client"],
                }
                for one in known["conversations"]
            }
        )

    @property
    def top(self) -> list[Talk]:
        """The largest conversations."""
        return list(self.sent)[:TOP]


@dataclass(frozen=True, slots=True)
class Score:
    """How well a list names the largest conversations.

    Attributes:
        named: how many of them.
        is_in_order: whether it names all of them, and in their order.
        errors: of each that it names, how far its bytes are above (or below) what was sent: 1.0 is twice as many.

    """

    named: int
    is_in_order: bool
    errors: list[float]


def score(truth: Truth, claims: Iterable[Claim]) -> Score:
    """Compare the lines of a list with the truth. Lines of the same conversation are added up."""
    top = set(truth.top)
    order: dict[Talk, None] = {}
    said: dict[Talk, int] = defaultdict(int)
    ways: dict[Talk, set[Way]] = defaultdict(set)
    for claim in claims:
        order[claim.talk] = None
        if claim.bytes_sent is not None:
            said[claim.talk] += claim.bytes_sent
            ways[claim.talk].update(claim.ways)
    sent = {talk: sum(truth.sent[talk][way] for way in ways[talk]) for talk in truth.top if talk in said}
    errors = [said[talk] / number - 1 for talk, number in sent.items()]
    return Score(len(top & order.keys()), list(order) == truth.top, errors)


def once(folder: Path, truth: Truth, *, top: int = TOP) -> list[Claim]:
    """Return what `--count once --pairs` says, in so many lines (0 for all)."""
    del truth
    rows = _run([TOPTALKERS, "run-local", "--count", "once", "--pairs", "--top", str(top), str(folder)])
    return [Claim(_talk(*row[:4]), int(row[4]), BOTH) for row in rows]


def plain(folder: Path, truth: Truth) -> list[Claim]:
    """Return what a sum by source, destination and destination port says."""
    rows = _run([TOPTALKERS, "run-local", *PLAIN, "--top", str(TOP), str(folder)])
    return [Claim(_named_by(truth, talker), int(size), ("to server",)) for talker, size in rows]


def recipe(folder: Path, truth: Truth) -> list[Claim]:
    """Return what the default question says, which counts records."""
    rows = _run([TOPTALKERS, "run-local", "--top", str(TOP), str(folder)])
    return [Claim(_named_by(truth, talker), None, ()) for talker, _ in rows]


def duckdb(python: str, how: str, folder: Path, truth: Truth) -> list[Claim]:
    """Return what DuckDB says."""
    del truth
    rows = _run([python, str(PEERS / "duckdb_truth.py"), str(folder), how])
    ways: tuple[Way, ...] = ("to server",) if how == "plain" else BOTH
    return [Claim(_talk(*row[:4]), int(row[4]), ways) for row in rows]


def flowlogs_reader(python: str, folder: Path, truth: Truth) -> list[Claim]:
    """Return what flowlogs-reader says; a flow from the server names its conversation as well."""
    claims = []
    for source, destination, source_port, port, protocol, size in _run(
        [python, str(PEERS / "flowlogs_reader_truth.py"), str(folder)]
    ):
        talk = _talk(source, destination, port, protocol)
        back = _talk(destination, source, source_port, protocol)
        is_back = talk not in truth.sent and back in truth.sent
        claims.append(Claim(back if is_back else talk, int(size), ("to client",) if is_back else ("to server",)))
    return claims


def _talk(client: str, server: str, port: str, protocol: str) -> Talk:
    return Talk(client, server, int(port), int(protocol))


def _named_by(truth: Truth, talker: str) -> Talk:
    """The conversation that a talker of the recipe's key names. It has no protocol: any that the truth has will do."""
    source, destination, port = _PART.findall(talker)
    talks = [Talk(source, destination, int(port), protocol) for protocol in (6, 17, 1)]
    return next((talk for talk in talks if talk in truth.sent), talks[0])


def _run(words: Sequence[str]) -> list[list[str]]:
    """The rows that a program prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def run(context: Context) -> Section:
    """Compare all ways on the samples of ten seeds."""
    ways: dict[str, tuple[str, Callable[[Path, Truth], list[Claim]]]] = {
        "**`--count once --pairs`**": ("rich", once),
        f"a plain sum: `{' '.join(PLAIN)}`": ("rich", plain),
        "the recipe's default, which counts records": ("rich", recipe),
    }
    python = context.tools.python or ""
    versions = context.tools.versions
    if context.tools.has("duckdb"):
        name = f"DuckDB {versions['duckdb']}"
        ways[f"{name}: `GROUP BY` source, destination, destination port"] = ("rich", partial(duckdb, python, "plain"))
        ways[f"{name}: the lower port is the server's, both directions"] = ("rich", partial(duckdb, python, "lower"))
        expert = f"{name}: the same without copies, of the packets' addresses and each hour's largest interface"
        ways[expert] = ("rich", partial(duckdb, python, "expert"))
    if context.tools.has("flowlogs-reader"):
        name = f"flowlogs-reader {versions['flowlogs-reader']}: `aggregated_records`"
        ways[name] = ("rich", partial(flowlogs_reader, python))
    ways["`--count once --pairs`, the default format (no flags, no packet addresses)"] = ("default", once)
    scores: dict[str, list[Score]] = {name: [] for name in ways}
    for seed in SEEDS:
        say(f"  seed {seed}")
        for name, (layout, way) in ways.items():
            folder = samples.sample(context.work, RECORDS, layout, seed=seed)
            truth = Truth.read(folder)
            scores[name].append(score(truth, way(folder, truth)))
    rows = [_cells(name, of_seeds) for name, of_seeds in scores.items()]
    head = ("way of counting", "named", "in worst sample", "in true order", "median error of bytes", "largest")
    text = [
        (
            f"{len(SEEDS)} samples of {RECORDS:,} records, seeds {SEEDS[0]} to {SEEDS[-1]}. *Named*: of the {TOP}"
            f" conversations with most bytes, how many are named by the first {TOP} lines, on average."
        ),
        "",
        table(head, rows),
    ]
    if context.tools.has("duckdb"):
        text += _times(context)
    return Section("\n".join(text))


def _times(context: Context) -> list[str]:
    """Measure `--count once --pairs` beside DuckDB's best way of the ways above."""
    folder = samples.sample(context.work, context.records, "rich")
    ours = "`run-local --count once --pairs --top 100`"
    commands = {
        ours: Command([TOPTALKERS, "run-local", "--count", "once", "--pairs", "--top", str(TOP), str(folder)]),
        f"DuckDB {context.tools.versions['duckdb']}, without copies, each hour's largest interface": Command(
            [context.tools.python or "", str(PEERS / "duckdb_truth.py"), str(folder), "expert"]
        ),
    }
    timings = alternate(commands, context.runs)
    return [
        "",
        f"Time of two of these ways, {context.records:,} records in the rich format. Their answers differ, as above.",
        "",
        table(BESIDE_HEAD, beside(timings, ours)),
    ]


def _cells(name: str, scores: Sequence[Score]) -> list[str]:
    named = [one.named for one in scores]
    errors = [error for one in scores for error in one.errors]
    ordered = sum(one.is_in_order for one in scores)
    cells = [f"{statistics.mean(named):.0f}", str(min(named)), f"{ordered} of {len(scores)}"]
    if not errors:
        return [name, *cells, "no bytes", "no bytes"]
    return [name, *cells, _percent(statistics.median(errors)), _percent(max(errors, key=abs))]


def _percent(error: float) -> str:
    return "0 %" if error == 0 else f"{error * 100:+,.1f} %"
