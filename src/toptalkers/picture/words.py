"""How the writers of pictures put things into words, and what kinds look like."""

from typing import NamedTuple

from toptalkers.picture.network import Edge, Network, View

_UNITS = ("kB", "MB", "GB", "TB", "PB")


class Look(NamedTuple):
    """What a node of a kind looks like: its shape, as graphviz calls it, and the colours of its area and its line."""

    shape: str
    fill: str
    line: str


_OTHER = Look("box", "#f3f4f6", "#6b7280")

_LOOKS = {
    "instance": Look("box", "#dbeafe", "#1d4ed8"),
    "ecs-task": Look("component", "#ffedd5", "#c2410c"),
    "eks-pod": Look("component", "#ffedd5", "#c2410c"),
    "lambda": Look("component", "#ffedd5", "#c2410c"),
    "rds": Look("cylinder", "#ede9fe", "#6d28d9"),
    "elasticache": Look("cylinder", "#ede9fe", "#6d28d9"),
    "efs": Look("cylinder", "#ede9fe", "#6d28d9"),
    "load-balancer": Look("diamond", "#dcfce7", "#15803d"),
    "nat-gateway": Look("hexagon", "#fef9c3", "#a16207"),
    "transit-gateway": Look("hexagon", "#fef9c3", "#a16207"),
    "vpc-endpoint": Look("hexagon", "#fef9c3", "#a16207"),
    "interface": Look("box", "#dbeafe", "#1d4ed8"),
    "private": Look("box", "#f3f4f6", "#374151"),
    "public": Look("ellipse", "#fee2e2", "#b91c1c"),
    "aws": Look("ellipse", "#fef3c7", "#b45309"),
}
"""Storage is a cylinder, what passes traffic on a hexagon or a diamond, and what is outside an ellipse."""


def look_of(kind: str) -> Look:
    """What a node of a kind looks like."""
    return _LOOKS.get(kind, _OTHER)


def format_amount(metric: str, number: int) -> str:
    """Write a sum for people: bytes as `41.2 GB` (10^9 bytes), others as `1,234`."""
    if metric != "bytes":
        return f"{number:,}"
    if number < 1000:
        return f"{number} B"
    size = float(number)
    for unit in _UNITS:
        size /= 1000
        if size < 999.5 or unit == _UNITS[-1]:
            return f"{size:,.{0 if size >= 99.95 else 1}f} {unit}"
    raise AssertionError


def format_sum(metric: str, number: int) -> str:
    """Write a sum with what it is of: `41.2 GB`, `1,234 records`."""
    amount = format_amount(metric, number)
    return amount if metric == "bytes" else f"{amount} {metric if number != 1 else metric.removesuffix('s')}"


def rest_of(network: Network, view: View) -> str:
    """What is not among the edges of a view, in one sentence; empty if nothing is."""
    if not view.rest_edges:
        return ""
    metric = network.metrics[0]
    total = view.totals[0]
    share = f", {100 * view.rest_sums[0] / total:.1f}% of all" if total else ""
    edges = f"{view.rest_edges:,} smaller edge{'' if view.rest_edges == 1 else 's'}"
    return f"Not shown: {edges} with {format_sum(metric, view.rest_sums[0])}{share}."


def words_of(network: Network, edge: Edge) -> str:
    """What an edge says: `https, 41.2 GB`."""
    metric = network.metrics[0]
    rejected = ", rejected" if edge.is_rejected else ""
    return f"{edge.service}, {format_sum(metric, edge.sums[0])}{rejected}"


def width_of(edge: Edge, largest: int) -> float:
    """How wide the line of an edge is, from 1 to 6, by the logarithm of its share of the largest one."""
    if edge.sums[0] <= 0 or largest <= 0:
        return 1.0
    from math import log10

    return round(max(1.0, 6 + 5 / 4 * log10(edge.sums[0] / largest)), 1)
