"""`toptalkers report`: one page about the network, for a meeting."""

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toptalkers.answer.presentation import parse_top
from toptalkers.cli.naming import Naming, naming_options
from toptalkers.cli.options import report_query_options
from toptalkers.cli.params import ENGINE, OUTPUT
from toptalkers.cli.run_local import LocalOptions, answer_from_files, file_options, naming_of
from toptalkers.cli.sections import SectionedCommand
from toptalkers.errors import UsageError
from toptalkers.question.query import Query
from toptalkers.visible import visible

if TYPE_CHECKING:
    from toptalkers.answer.answer import Answer

ENDINGS = (".html", ".htm", ".html.gz", ".htm.gz")


@click.command(cls=SectionedCommand)
@click.argument("paths", nargs=-1, metavar="PATH...")
@report_query_options
@naming_options
@click.option("--top", metavar="N", default="10", show_default=True, help="How many rows a table has, 0 for all.")
@click.option(
    "--edges",
    type=click.IntRange(min=0),
    metavar="N",
    default=100,
    show_default=True,
    help="How many edges the picture has, 0 for all.",
)
@click.option(
    "--zone-price",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    metavar="USD",
    help="What a GB costs that goes from one Availability Zone to another, in each direction.",
)
@click.option("--title", metavar="TEXT", default="Network report", show_default=True, help="The heading of the page.")
@click.option(
    "--output",
    type=OUTPUT,
    required=True,
    metavar="FILE",
    help="Write the page to FILE.html, compressed if it ends in .gz; - is standard output.",
)
@click.option("--engine", type=ENGINE, default="local", show_default=True, help="The engine that counts.")
@file_options
@click.pass_context
def report(
    ctx: click.Context,
    /,
    *,
    query: Query,
    top: str,
    edges: int,
    zone_price: float,
    title: str,
    output: Path | None,
    **given: Any,
) -> None:
    """Write one page for a meeting: who talks to whom, what it costs between zones, what is refused, in words.

    The page needs no server and no network. It has the top talkers by name, the services, pairs of zones, hours,
    refused records, the quality of the data and the picture of 'toptalkers graph', each with the command that gives
    its figures. Bytes are ranked, and records are added up; --count once counts each conversation once. Without --names
    it shows addresses. PATH is as for run-local.

    \b
    Example:
      toptalkers report flowlogs/ --names network.json.gz --output report.html
      toptalkers report november.parquet --names network.json.gz --count once --top 20 --output report.html
      toptalkers report flowlogs/ --since 2026-11-23 --until 2026-11-24 --title 'Monday' --output monday.html
    """
    from toptalkers.machine.memory import explain_no_memory
    from toptalkers.picture.report import METRICS, report_question

    if output is not None and not output.name.lower().endswith(ENDINGS) and not output.is_char_device():
        raise UsageError(
            f"--output {visible(output.name)}: a report is HTML", hint=f"did you mean {visible(output.stem)}.html?"
        )
    if not isfinite(zone_price):
        raise UsageError("--zone-price: it must be a number", hint="AWS's usual price is 0.01")
    rows = parse_top(top)
    options = LocalOptions(output=output, **given)
    naming = naming_of(query, options)
    with explain_no_memory():
        names, services = (naming or Naming()).load()
        known = names if naming and naming.has_names else None
        question = report_question(query, known)
        pictured = replace(query, metric=METRICS)

        def formatted(answer: "Answer") -> "Iterator[bytes]":
            from datetime import UTC, datetime

            from toptalkers import __version__
            from toptalkers.cli.again import command_again, commands_of_view
            from toptalkers.picture.report import build_report
            from toptalkers.picture.report_page import format_report
            from toptalkers.question.times import format_time

            return format_report(
                build_report(
                    answer,
                    query,
                    known,
                    services,
                    command=lambda asked, shown: command_again(asked, options, top=shown),
                    command_of_view=lambda by: commands_of_view(pictured, options, by, top=edges),
                    top=rows,
                    edges=edges,
                    zone_price=zone_price,
                    title=title,
                    made=f"toptalkers {__version__}, {format_time(datetime.now(UTC).replace(microsecond=0))}",
                )
            )

        # The answer is by addresses; the report names them.
        ctx.exit(answer_from_files(question, replace(options, naming=None), 0, formatted, keeps_file=True))
