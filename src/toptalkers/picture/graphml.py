"""The network in GraphML, which Gephi, yEd, Cytoscape and networkx read."""

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

from toptalkers.picture.network import Network, View
from toptalkers.question.times import format_seconds

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot have, however they are written."""

_HEAD = b"""<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">
"""

_GRAPH = ("title", "view", "rest_edges", "command", "quality", "made")


def format_graphml(network: Network, view: View) -> Iterator[bytes]:
    """Write a view as a directed graph, whose attributes have types: sums are long, `rejected` is boolean.

    Two nodes may have several edges, one per service. `hours` has the first sum by hour, as
    `2026-11-23T17:00:00Z=12 2026-11-23T18:00:00Z=7`.
    """
    values = {
        "title": network.title,
        "view": view.by,
        "rest_edges": str(view.rest_edges),
        "command": view.command,
        "quality": network.quality,
        "made": network.made,
    }
    yield _HEAD
    keys = [
        *(("graph", name, "long" if name == "rest_edges" else "string") for name in _GRAPH),
        *(("graph", f"rest_{metric}", "long") for metric in network.metrics),
        ("node", "label", "string"),
        ("node", "kind", "string"),
        ("edge", "service", "string"),
        ("edge", "rejected", "boolean"),
        *(("edge", metric, "long") for metric in network.metrics),
        ("edge", "hours", "string"),
        ("edge", "talkers", "long"),
    ]
    for of, name, kind in keys:
        yield f'  <key id="{of}_{name}" for="{of}" attr.name="{name}" attr.type="{kind}"/>\n'.encode()
    yield b'  <graph id="toptalkers" edgedefault="directed">\n'
    for name in _GRAPH:
        yield _data("    ", f"graph_{name}", values[name])
    for metric, number in zip(network.metrics, view.rest_sums, strict=True):
        yield _data("    ", f"graph_rest_{metric}", str(number))
    names = {node.label: f"n{number}" for number, node in enumerate(view.nodes)}
    for node in view.nodes:
        yield f'    <node id="{names[node.label]}">\n'.encode()
        yield _data("      ", "node_label", node.label) + _data("      ", "node_kind", node.kind)
        yield b"    </node>\n"
    for number, edge in enumerate(view.edges):
        yield f'    <edge id="e{number}" source="{names[edge.source]}" target="{names[edge.target]}">\n'.encode()
        yield _data("      ", "edge_service", edge.service)
        yield _data("      ", "edge_rejected", "true" if edge.is_rejected else "false")
        for metric, value in zip(network.metrics, edge.sums, strict=True):
            yield _data("      ", f"edge_{metric}", str(value))
        if edge.hours:
            hours = " ".join(f"{format_seconds(hour)}={value}" for hour, value in edge.hours)
            yield _data("      ", "edge_hours", hours)
        yield _data("      ", "edge_talkers", str(len(edge.rows) + edge.rest))
        yield b"    </edge>\n"
    yield b"  </graph>\n</graphml>\n"


def _data(indent: str, key: str, text: str) -> bytes:
    # A reader would turn a carriage return that is not escaped into a line feed.
    clean = escape(_NOT_XML.sub("?", text), {"\r": "&#13;"})
    return f'{indent}<data key="{key}">{clean}</data>\n'.encode()
