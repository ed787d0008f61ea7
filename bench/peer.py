"""The peers of `run-local`: each as its own users would write it, in its own process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Command
from bench.part import Context
from bench.tools import PEERS, TOPTALKERS, find_awk, find_java, version_of

RUN_LOCAL = "run-local"
UNPACKING = "decompression only"


def _read(output: Path) -> bytes:
    return output.read_bytes()


def _read_parts(output: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(output.glob("part-*")))


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that answers the question.

    Attributes:
        name: for the table, with its version.
        command: makes the command from the input folder and the output file.
        read: reads the answer from the output; None if there is no answer.

    """

    name: str
    command: Callable[[Path, Path], Command]
    read: Callable[[Path], bytes] | None = _read


def run_local(*options: str) -> Peer:
    """Return toptalkers itself."""
    return Peer(RUN_LOCAL, lambda folder, output: Command([TOPTALKERS, "run-local", *options, str(folder)], output))


def unpacking() -> Peer:
    """Return the limit: the same files, only decompressed, by the same library, on two threads."""
    script = str(PEERS / "unpack_script.py")
    return Peer(UNPACKING, lambda folder, output: Command([sys.executable, script, str(folder)], output), None)


def quick_peers(context: Context) -> list[Peer]:
    """Return the installed peers that take only seconds."""
    peers = [
        _script(context, "Polars", "polars", "polars_script.py"),
        _script(context, "DuckDB", "duckdb", "duckdb_script.py", writes_itself=True),
        None if context.is_quick else _script(context, "chdb", "chdb", "chdb_script.py"),
        _awk_pipe(),
    ]
    return [peer for peer in peers if peer]


def spark(context: Context) -> Peer | None:
    """Return Spark with a DataFrame in local mode, if it is installed and there is a Java for it."""
    return _spark(context, "", "spark_script.py")


def spark_rdd(context: Context) -> Peer | None:
    """Return Spark with RDDs, which Python code reads, under the same conditions."""
    return _spark(context, " RDD", "spark_rdd_script.py")


def flowlogs_reader(context: Context) -> Peer | None:
    """Return the record class of flowlogs-reader, if it is installed."""
    return _script(context, "flowlogs-reader", "flowlogs-reader", "flowlogs_reader_script.py")


def recipe() -> Peer:
    """Return the recipe's scripts, in a pipe."""
    pipe = str(PEERS / "recipe_pipe")
    return Peer("the recipe's scripts", lambda folder, output: Command([pipe, str(folder)], output))


def _script(context: Context, name: str, package: str, script: str, *, writes_itself: bool = False) -> Peer | None:
    """Return a Python script that prints its answer, or writes it to a given file."""
    if not context.tools.has(package):
        return None
    words = [str(context.tools.python), str(PEERS / script)]

    def command(folder: Path, output: Path) -> Command:
        if writes_itself:
            return Command([*words, str(folder), str(output)])
        return Command([*words, str(folder)], output)

    return Peer(f"{name} {context.tools.versions[package]}", command)


def _spark(context: Context, api: str, script: str) -> Peer | None:
    java = find_java()
    if not context.tools.has("pyspark") or not java:
        return None
    words = [str(context.tools.python), str(PEERS / script)]
    environment = {"PYSPARK_PYTHON": str(context.tools.python)}
    return Peer(
        f"Spark {context.tools.versions['pyspark']}{api} local, {version_of(java)}",
        lambda folder, output: Command([*words, str(folder), str(output)], environment=environment),
        _read_parts,
    )


def _awk_pipe() -> Peer | None:
    awk = find_awk()
    if awk is None:
        return None
    pipe, environment = str(PEERS / "awk_pipe"), {"AWK": awk}
    return Peer(
        f"zcat + {version_of(awk)} + sort",
        lambda folder, output: Command([pipe, str(folder)], output, environment=environment),
    )
