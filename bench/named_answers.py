"""A million lines by addresses become lines by names: reading, naming, adding up and writing, in one process."""

import gzip
import random
import sys
from pathlib import Path

from bench.measure import Command, alternate
from bench.part import Context, columns, table
from bench.tools import ROOT
from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.named import name_answer
from toptalkers.answer.parts import read_whole_lines
from toptalkers.names.owners import read_names
from toptalkers.names.services import read_services
from toptalkers.names.snapshot import Instance, Interface, Scope, SecurityGroup, Snapshot, format_snapshot
from toptalkers.question.named import LOSSLESS_KEY
from toptalkers.question.query import Query

LINES, QUICK_LINES = 1_000_000, 100_000
INTERFACES = 50_000
FLEETS = 60
DAY = 1793491200
PORTS = (443, 5432, 53, 80, 22, 8080, 9092)
KEYS = {
    "by hour, addresses, port and protocol": tuple(word for word in LOSSLESS_KEY if word != "interface-id"),
    "and by interface, of four VPCs": LOSSLESS_KEY,
}
ASKED = "src.asg,dst.asg,service"


def named_answers(context: Context) -> str:
    """Measure, and describe it."""
    lines = QUICK_LINES if context.is_quick else LINES
    snapshot = context.work / "fleets.json.gz"
    interfaces = _write_snapshot(snapshot)
    rows = []
    for name, key in KEYS.items():
        part = context.work / f"lines-{len(key)}-{lines}.gz"
        _write_lines(part, interfaces, key, lines)
        for what, mode in (("only reading the snapshot and the lines", "read"), (f"`{ASKED}`", "name")):
            words = [sys.executable, "-m", "bench.named_answers", mode, str(snapshot), str(part), ",".join(key)]
            title = f"{what}, {name}"
            rows.append(
                [title, *columns(alternate({title: Command(words, environment={"PYTHONPATH": str(ROOT)})}, 3)[title])]
            )
    head = ("whole process", "median", "spread", "CPU", "peak memory")
    return (
        f"An answer of {lines:,} lines, compressed, is named by a snapshot of {INTERFACES:,} interfaces, some attached"
        f" within its day, and added up. `fetch-results --names` does this with the parts of a run.\n\n"
        f"{table(head, rows)}"
    )


def _write_snapshot(path: Path) -> list[Interface]:
    interfaces = [
        Interface(
            f"eni-{number:017x}",
            f"vpc-{number % 4}",
            addresses=(f"10.{number % 4}.{number // 200 % 250}.{number % 200}",),
            group_ids=(f"sg-{number % FLEETS}",),
            instance_id=f"i-{number}",
            since_s=DAY - 490_000 + number * 10,
        )
        for number in range(INTERFACES)
    ]
    instances = [
        Instance(f"i-{number}", {"Name": f"web-{number}", "aws:autoscaling:groupName": f"fleet-{number % FLEETS}"})
        for number in range(INTERFACES)
    ]
    groups = [SecurityGroup(f"sg-{number}", f"group {number}") for number in range(FLEETS)]
    scope = Scope("123456789012", "us-east-1", DAY, tuple(interfaces), tuple(instances), tuple(groups))
    path.write_bytes(gzip.compress(b"".join(format_snapshot(Snapshot((scope,)))), 1))
    return interfaces


def _write_lines(path: Path, interfaces: list[Interface], key: tuple[str, ...], lines: int) -> None:
    drawn = random.Random(0)  # noqa: S311 - not for secrets

    def line(number: int) -> str:
        src, dst = drawn.choice(interfaces), drawn.choice(interfaces)
        values = {
            "hour": f"2026-11-01T{drawn.randrange(24):02}:00:00Z",
            "interface-id": src.interface_id,
            "srcaddr": src.addresses[0],
            "dstaddr": dst.addresses[0] if number % 10 else f"203.0.113.{drawn.randrange(256)}",
            "service-port": str(drawn.choice(PORTS)),
            "protocol": "6",
        }
        return "\t".join([*(values[word] for word in key), str(2_000_000_000 - number)]) + "\n"

    with gzip.open(path, "wt", compresslevel=1) as file:
        file.writelines(map(line, range(lines)))


def main(mode: str, snapshot: str, part: str, key: str) -> None:
    """Read the files, and name the lines if that is asked for."""
    counted = Query.parse(by=key, metric="bytes", ports="all")
    names, services = read_names([Path(snapshot)]), read_services()
    with Path(part).open("rb") as body:
        chunks = read_whole_lines(body, part, counted.lines)
        if mode == "read":
            print(sum(map(len, chunks)))
            return
        query = Query.parse(by=ASKED, metric="bytes", ports="all")
        answer = name_answer(Answer(counted, chunks, Tally()), query, names, services, top=20)
        sys.stdout.buffer.writelines(answer.chunks)


if __name__ == "__main__":
    main(*sys.argv[1:])
