"""`toptalkers graph`: draw who talks to whom, in one file."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toptalkers.answer.presentation import parse_top
from toptalkers.cli.naming import Naming, naming_options
from toptalkers.cli.options import picture_query_options
from toptalkers.cli.params import OUTPUT
from toptalkers.cli.run_local import LocalOptions, answer_from_files, file_options, naming_of
from toptalkers.cli.sections import SectionedCommand
from toptalkers.cli.talk import say
from toptalkers.errors import UsageError
from toptalkers.question.query import Query
from toptalkers.visible import visible

if TYPE_CHECKING:
    from toptalkers.answer.answer import Answer
    from toptalkers.picture.network import Network

ENDINGS = {
    ".html": "html",
    ".htm": "html",
    ".dot": "dot",
    ".gv": "dot",
    ".graphml": "graphml",
    ".mmd": "mermaid",
    ".md": "markdown",
}
"""The kind of picture by the ending of a file's name, before `.gz`."""

DEFAULT_TOP = {"html": 200}
"""How many edges a picture of a kind has; others have `TEXT_TOP`."""

TEXT_TOP = 50


@click.command(cls=SectionedCommand)
@click.argument("paths", nargs=-1, metavar="PATH...")
@picture_query_options
@naming_options
@click.option(
    "--view",
    metavar="VIEW",
    help="What a node is: name, sg, asg, instance, subnet, vpc, zone, kind, tag:KEY, or address. A page has them all,"
    " and opens with this one.  [default: name with --names, else address]",
)
@click.option(
    "--top", metavar="N", help="How many edges, 0 for all; the rest is added up.  [default: 200 in HTML, else 50]"
)
@click.option(
    "--output",
    type=OUTPUT,
    required=True,
    metavar="FILE",
    help="Write the picture to FILE: a page (.html), Graphviz (.dot, .gv), GraphML (.graphml), Mermaid (.mmd), or"
    " Markdown with Mermaid (.md); compressed if it then ends in .gz.",
)
@file_options
@click.pass_context
def graph(
    ctx: click.Context, /, *, query: Query, view: str | None, top: str | None, output: Path | None, **given: Any
) -> None:
    """Draw the network: who talks to whom, by which service, and how much.

    A page needs no server and no network, and has a view for each way in which --names groups addresses. With
    --action ALL, rejected traffic has edges of its own. With --pairs, edges go from clients to servers, and
    --count once counts each conversation once: recommended. A node is as docs/names.md names it. The page shows the
    command that gives its figures. PATH is as for run-local.

    \b
    Example:
      toptalkers graph flowlogs/ --count once --pairs --names network.json.gz --output network.html
      toptalkers graph flowlogs/ --names network.json.gz --action ALL --view sg --output network.html
      toptalkers graph november.parquet --view subnet --names network.json.gz --top 30 --output network.md
      toptalkers graph flowlogs/ --where 'not src net 10.0.0.0/8' --output outside.dot
    """
    from toptalkers.machine.memory import explain_no_memory
    from toptalkers.picture.network import picture_question

    kind = kind_of_file(output)
    edges = DEFAULT_TOP.get(kind, TEXT_TOP) if top is None else parse_top(top)
    options = LocalOptions(output=output, engine="local", **given)
    naming = naming_of(query, options)
    views = _views(view, naming, every=kind == "html")
    writer = _writer(kind)
    with explain_no_memory():
        names, services = (naming or Naming()).load()
        question = picture_question(query, interface=names.shares_addresses)
        if question.pairs and query.action == "ALL":
            say("Note: rejected traffic has no edges of its own here; --count once --pairs --ports all tells it apart")

        def formatted(answer: "Answer") -> "Iterator[bytes]":
            return writer(_network(answer, query, options, edges, views, names, services))

        # The answer is by addresses; `_network` names them.
        ctx.exit(answer_from_files(question, replace(options, naming=None), 0, formatted, keeps_file=True))


def kind_of_file(output: Path | None) -> str:
    """The kind of picture that a file is to be, by its name; UsageError if that says none."""
    endings = ", ".join(ENDINGS)
    if output is None:
        raise UsageError("--output - has no ending, which says the kind of picture", hint=f"name a file: {endings}")
    name = output.name.lower().removesuffix(".gz")
    ending = Path(name).suffix
    if ending in ENDINGS:
        return ENDINGS[ending]
    from difflib import get_close_matches

    meant = {"svg": ".dot", "png": ".dot", "pdf": ".dot", "xml": ".graphml", "mermaid": ".mmd", "markdown": ".md"}
    close = meant.get(ending[1:]) or next(iter(get_close_matches(ending, ENDINGS, n=1)), None)
    hint = f"did you mean {Path(name).stem}{close}?" if close else "it must have one that says the kind of picture"
    if ending in (".svg", ".png", ".pdf"):
        hint = f"write {Path(name).stem}.dot, and draw it with Graphviz: dot -T{ending[1:]}"
    raise UsageError(f"--output {visible(output.name)}: its ending is none of {endings}", hint=hint)


def _views(view: str | None, naming: Naming | None, *, every: bool) -> tuple[str, ...]:
    """By what the network is seen; the first one is shown first."""
    from toptalkers.picture.network import ADDRESS_VIEW, NAMED_VIEWS, parse_view

    has_names = naming is not None and naming.has_names
    first = parse_view(view) if view else "name" if has_names else ADDRESS_VIEW
    if first not in (ADDRESS_VIEW, "kind") and not has_names:
        raise UsageError(
            f"--view {first}: there are no names, because no --names is given",
            hint="name a snapshot with --names; 'toptalkers snapshot' makes one",
        )
    others = (*(NAMED_VIEWS if has_names else ()), ADDRESS_VIEW) if every else ()
    return tuple(dict.fromkeys((first, *others)))


def _writer(kind: str) -> "Callable[[Network], Iterator[bytes]]":
    """The function that writes a network as a kind of picture. All but a page have its first view only."""
    if kind == "html":
        from toptalkers.picture.page import format_page

        return format_page
    if kind == "dot":
        from toptalkers.picture.dot import format_dot

        return lambda network: format_dot(network, network.views[0])
    if kind == "graphml":
        from toptalkers.picture.graphml import format_graphml

        return lambda network: format_graphml(network, network.views[0])
    from toptalkers.picture.mermaid import fit_mermaid, format_markdown, format_mermaid

    write = format_markdown if kind == "markdown" else format_mermaid

    def fitted(network: "Network") -> "Iterator[bytes]":
        view = network.views[0]
        fitting = fit_mermaid(network, view)
        if len(fitting.edges) < len(view.edges):
            say(f"Note: Mermaid draws no more: {len(fitting.edges):,} edges of {len(view.edges):,}, the largest")
        return write(network, fitting)

    return fitted


def _network(
    answer: "Answer",
    query: Query,
    options: LocalOptions,
    top: int,
    views: tuple[str, ...],
    names: Any,
    services: Any,
) -> "Network":
    from datetime import UTC, datetime

    from toptalkers import __version__
    from toptalkers.answer.formats import format_tally
    from toptalkers.answer.statement import format_quality
    from toptalkers.cli.again import commands_of_view
    from toptalkers.picture.talkers import build_network
    from toptalkers.question.times import format_time

    quality = "\n".join(line for line in (format_tally(answer.tally), format_quality(answer)) if line)
    return build_network(
        answer,
        query,
        names,
        services,
        views=views,
        top=top,
        command=lambda by: commands_of_view(query, options, by, top=top),
        title=_title(options),
        quality=quality,
        made=f"toptalkers {__version__}, {format_time(datetime.now(UTC).replace(microsecond=0))}",
    )


def _title(options: LocalOptions) -> str:
    paths = [visible(path) for path in (*options.paths, *([f"{options.manifest}"] if options.manifest else []))]
    more = f" and {len(paths) - 2:,} more" if paths[2:] else ""
    return f"Who talks to whom: {', '.join(paths[:2])}{more}"
