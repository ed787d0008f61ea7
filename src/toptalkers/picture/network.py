"""The network: who talks to whom, seen by name, by security group, by subnet and so on. What every picture is made of.

All views are made of the same talkers by addresses, so that their totals are those of the answer.
"""

from dataclasses import dataclass
from typing import NamedTuple

MOST_ROWS = 20
"""The most talkers that an edge keeps, the largest first."""


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
    """Who talks: the label, which is unique in its view, and the kind of its first address.

    The kind is one of `docs/names.md` (`instance`, `load-balancer`, ...), `private`, `public` or `aws`; `none` for
    records without an address.
    """

    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class View:
    """The network as seen by one property of its addresses.

    Attributes:
        by: `name`, `sg`, `asg`, `instance`, `subnet`, `vpc`, `zone`, or `address`.
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
