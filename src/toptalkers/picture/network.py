"""The network: who talks to whom, seen by name, by security group, by subnet and so on. What every picture is made of.

All views are made of the same talkers by addresses (`picture_question`), so that their totals are those of the answer.
`talkers.py` makes them.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from toptalkers.errors import UsageError
from toptalkers.question.clauses import ALL_PORTS, Metric
from toptalkers.question.key import parse_part
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.named import SERVICE, address_question, parse_named
from toptalkers.question.query import Query

MOST_ROWS = 20
"""The most talkers that an edge keeps, the largest first."""

NAMED_VIEWS = ("name", "sg", "asg", "instance", "subnet", "vpc", "zone")
"""By what addresses are seen, if there are names."""

ADDRESS_VIEW = "address"

PAIR_METRICS: tuple[Metric, ...] = ("bytes", "packets", "records")
"""What a picture of pairs shows; the one that ranks comes first."""


class Row(NamedTuple):
    """A talker behind an edge: its addresses as they were logged, its service, and its sums by `Network.metrics`."""

    srcaddr: str
    dstaddr: str
    service: str
    sums: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """Who talks to whom, by which service.

    Attributes:
        source: the label of a node of the same view; with `--pairs`, the client.
        target: the label of a node; with `--pairs`, the server.
        service: such as `https`, `domain/udp`, `8443/tcp`, `icmp`.
        is_rejected: whether its records were rejected. Accepted and rejected records are different edges.
        sums: by `Network.metrics`.
        hours: the first sum by the hour in which records started, in seconds since 1970, ascending; empty if hours are
            not known.
        rows: the largest talkers behind it, at most `MOST_ROWS`, ranked by the first sum.
        rest: how many more there are.

    """

    source: str
    target: str
    service: str
    is_rejected: bool
    sums: tuple[int, ...]
    hours: tuple[tuple[int, int], ...] = ()
    rows: tuple[Row, ...] = ()
    rest: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """Who talks: the label, which is unique in its view, and the kind of its first address, that of its largest talker.

    The kind is one of `docs/names.md` (`instance`, `load-balancer`, ...), `private`, `public` or `aws`; `none` for
    records without an address.
    """

    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class View:
    """The network as seen by one property of its addresses.

    Attributes:
        by: `name`, `sg`, `asg`, `instance`, `subnet`, `vpc`, `zone`, `kind`, `tag:KEY`, or `address`.
        nodes: those of the edges; the largest first, by the first sum of its edges.
        edges: the largest ones, ranked by the first sum.
        rest_edges: how many edges are not among them.
        rest_sums: what these have in all.
        totals: what all edges have in all.
        command: the command that gives just the figures of this view.

    """

    by: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    rest_edges: int
    rest_sums: tuple[int, ...]
    totals: tuple[int, ...]
    command: str


@dataclass(frozen=True)
class Network:
    """What a picture shows.

    Attributes:
        title: what it is of, in one line.
        views: the first one is shown first.
        metrics: what the sums are of; the first one ranks.
        hours: all hours in which records started, in seconds since 1970, ascending; empty if they are not known.
        quality: the tally and how well the numbers hold, in lines.
        made: when it was made, and by which version.

    """

    title: str
    views: tuple[View, ...]
    metrics: tuple[str, ...]
    hours: tuple[int, ...]
    quality: str
    made: str


def largest_edges(view: View, number: int) -> View:
    """The view with the largest of its edges only; the others belong to the rest."""
    if number >= len(view.edges):
        return view
    edges, others = view.edges[:number], view.edges[number:]
    used = {label for edge in edges for label in (edge.source, edge.target)}
    rest = tuple(sum(sums) for sums in zip(view.rest_sums, *(edge.sums for edge in others), strict=True))
    nodes = tuple(node for node in view.nodes if node.label in used)
    return replace(view, nodes=nodes, edges=edges, rest_edges=view.rest_edges + len(others), rest_sums=rest)


def parse_view(text: str) -> str:
    """Read by what a picture sees addresses: `asg`, `tag:app`, `address`; UsageError for anything else."""
    word = text.strip()
    if word.lower() == ADDRESS_VIEW:
        return ADDRESS_VIEW
    if named := parse_named(f"src.{word}"):
        return named.word.partition(".")[2]
    from difflib import get_close_matches

    words = (*NAMED_VIEWS, "kind", ADDRESS_VIEW)
    close = get_close_matches(word.lower().removeprefix("src.").removeprefix("dst."), words, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"a view is {', '.join(words)} or tag:KEY"
    raise UsageError(f"--view: {text!r} is not a view of a network", hint=hint)


def key_of_view(by: str, query: Query) -> tuple[str, ...]:
    """The parts of a key whose answer has the edges of a view: `src.asg,dst.asg,service`.

    With `--action ALL`, the action is among them; but a line of `--pairs` has none.
    """
    sides = ("srcaddr", "dstaddr") if by == ADDRESS_VIEW else (f"src.{by}", f"dst.{by}")
    action = ("action",) if query.action == "ALL" and not query.pairs else ()
    return (*(parse_part(side).word for side in sides), SERVICE, *action)


def picture_question(query: Query, *, interface: bool = False) -> Query:
    """The question that an engine answers for a picture: by hour, addresses, service and action.

    Args:
        query: what is asked; its key does not matter. With `pairs` edges go from clients to servers: if conversations
            are counted once, the engine is asked for the server's side of each flow, which has hours and actions; else
            it is asked for lines of pairs, which have none.
        interface: whether the key also has the interface (`address_question`).

    Raises:
        UsageError: the sums include a time.

    """
    if times := [metric for metric in query.metric if metric in TIME_METRICS]:
        raise UsageError(
            f"--metric {times[0]}: a picture shows sums, and a time is not a sum", hint="bytes, packets and records are"
        )
    action = ("action",) if query.action == "ALL" else ()
    if not query.pairs:
        by = ("srcaddr", "dstaddr", SERVICE, *action)
        return address_question(replace(query, by=by), interface=interface)
    if query.count != "once" or query.ports != ALL_PORTS:
        return query
    metric = (query.metric[0], *(one for one in PAIR_METRICS if one != query.metric[0]))
    by = ("hour", "srcaddr", "dstaddr", "service-port", "side", "protocol", *action)
    return replace(query, by=by, metric=metric, pairs=False)
