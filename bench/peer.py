"""The peers of `run-local`: each as its own user would write it, in its own process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Command
from bench.part import Context
from bench.tools import PEERS, TOPTALKERS, find_awk, find_java, version_of

RUN_LOCAL = "run-local"
UNPACKING = "unpacking alone"


def _read(output: Path) -> bytes:
    return output.read_bytes()


def _read_parts(output: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(output.glob("part-*")))


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that answers the question.

    Attributes:
        name: for the table, with its version.
        command: makes what is run of the folder to read and the output.
        read: gives the answer from the output; None when there is none.

    """

    name: str
    command: Callable[[Path, Path], Command]
    read: Callable[[Path], bytes] | None = _read


def run_local(*options: str) -> Peer:
    """What is measured: toptalkers itself."""
    return Peer(RUN_LOCAL, lambda folder, output: Command([TOPTALKERS, "run-local", *options, str(folder)], output))


def unpacking() -> Peer:
    """The limit: the same files only unpacked, by the same library, on two threads."""
    script = str(PEERS / "unpack_script.py")
    return Peer(UNPACKING, lambda folder, output: Command([sys.executable, script, str(folder)], output), None)


def quick_peers(context: Context) -> list[Peer]:
    """Those that take seconds, as far as they are there."""
    peers = [
        _script(context, "Polars", "polars", "polars_script.py"),
        _script(context, "DuckDB", "duckdb", "duckdb_script.py", writes_itself=True),
        None if context.is_quick else _script(context, "chdb", "chdb", "chdb_script.py"),
        _awk_pipe(),
    ]
    return [peer for peer in peers if peer]


def spark(context: Context) -> Peer | None:
    """Spark in local mode, if there is a Java for it."""
    java = find_java()
    if not context.tools.has("pyspark") or not java:
        return None
    words = [str(context.tools.python), str(PEERS / "spark_script.py")]
    return Peer(
        f"Spark {context.tools.versions['pyspark']} local, {version_of(java)}",
        lambda folder, output: Command([*words, str(folder), str(output)]),
        _read_parts,
    )


def flowlogs_reader(context: Context) -> Peer | None:
    """The record class of flowlogs-reader, if it is there."""
    return _script(context, "flowlogs-reader", "flowlogs-reader", "flowlogs_reader_script.py")


def recipe() -> Peer:
    """The recipe's scripts, in a pipe."""
    pipe = str(PEERS / "recipe_pipe")
    return Peer("the recipe's scripts", lambda folder, output: Command([pipe, str(folder)], output))


def _script(context: Context, name: str, package: str, script: str, *, writes_itself: bool = False) -> Peer | None:
    """A Python script that prints its answer, or writes it to the file that it is given."""
    if not context.tools.has(package):
        return None
    words = [str(context.tools.python), str(PEERS / script)]

    def command(folder: Path, output: Path) -> Command:
        if writes_itself:
            return Command([*words, str(folder), str(output)])
        return Command([*words, str(folder)], output)

    return Peer(f"{name} {context.tools.versions[package]}", command)


def _awk_pipe() -> Peer | None:
    awk = find_awk()
    if awk is None:
        return None
    pipe, environment = str(PEERS / "awk_pipe"), {"AWK": awk}
    return Peer(
        f"zcat + {version_of(awk)} + sort",
        lambda folder, output: Command([pipe, str(folder)], output, environment=environment),
    )
