"""`toptalkers digest`: make a small Parquet file, from which later questions are answered."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toptalkers.cli.naming import Naming, names_to_keep, with_kept
from toptalkers.cli.options import digest_query_options
from toptalkers.cli.params import OUTPUT
from toptalkers.cli.run_local import LocalOptions, answer_from_files, file_options
from toptalkers.cli.sections import SectionedCommand
from toptalkers.cli.talk import say
from toptalkers.question.clauses import ALL_PORTS, format_ports
from toptalkers.question.query import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toptalkers.answer.answer import Answer
    from toptalkers.cli.naming import Keep
    from toptalkers.records.files import Inputs


@click.command(cls=SectionedCommand)
@click.argument("paths", nargs=-1, metavar="PATH...")
@digest_query_options
@click.option(
    "--names",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Keep in the digest what this snapshot of 'toptalkers snapshot' says of its addresses, so that later questions"
    " need no --names. Without it, the names are kept that the digests among PATH have.",
)
@click.option("--output", type=OUTPUT, required=True, metavar="FILE", help="Write the digest to FILE, named *.parquet.")
@file_options
@click.pass_context
def digest(ctx: click.Context, /, *, query: Query, names: tuple[Path, ...], output: Path | None, **given: Any) -> None:
    """Make a digest: a small Parquet file, from which run-local answers later questions in a second.

    It has one row for each hour, interface, source, destination, server's port, side, protocol, action and TCP flags,
    with the sums of bytes, packets and records. Of the two ports the server's is kept; docs/digest.md says which
    questions this rules out. PATH is as for run-local, and may be a digest, too: a month of them becomes one. Needs
    pyarrow: pip install 'toptalkers[parquet]'.

    \b
    Example:
      toptalkers digest flowlogs/ --output november.parquet
      toptalkers run-local november.parquet --by srcaddr,service-port --metric bytes --top 10
      toptalkers run-local november.parquet --count once --pairs --action ALL --top 10
      toptalkers digest 2026-11-*.parquet --output november.parquet
      toptalkers digest flowlogs/ --names network.json.gz --output november.parquet
      toptalkers run-local november.parquet --by src.asg,dst.sg,service --metric bytes --ports all --top 10
    """
    from toptalkers.answer.digest import check_output_name, format_digest
    from toptalkers.machine.arrow import prepare_pyarrow
    from toptalkers.machine.memory import explain_no_memory
    from toptalkers.runs.units import format_size

    file = check_output_name(output)
    prepare_pyarrow("writing Parquet")
    rows = 0
    keep: Keep | None = None

    def on_inputs(inputs: "Inputs") -> None:
        nonlocal keep
        keep = names_to_keep(with_kept(Naming(names), inputs.files))

    def formatted(answer: "Answer") -> "Iterator[bytes]":
        nonlocal rows
        rows = answer.talkers or 0
        return format_digest(answer, keep)

    options = LocalOptions(output=file, engine="local", **given)
    with explain_no_memory():
        code = answer_from_files(query, options, 0, formatted, keeps_file=True, on_inputs=on_inputs)
    written = f"{rows:,} row{'' if rows == 1 else 's'}, {format_size(file.stat().st_size)}"
    say(f"{written}; ask it: {_first_question(file, query)}" if rows else f"{written}: no record counts")
    ctx.exit(code)


def _first_question(file: Path, query: Query) -> str:
    """A command that a digest answers, whatever actions and ports it has."""
    words = ["toptalkers", "run-local", str(file), "--by", "srcaddr,service-port", "--metric", "bytes"]
    usual = Query.parse()
    if query.action not in ("ALL", usual.action):
        words += ["--action", query.action]
    if query.ports not in (ALL_PORTS, usual.ports):
        words += ["--ports", format_ports(query.ports)]
    return shlex.join(words)
