"""The network in DOT, the language of Graphviz."""

from collections.abc import Iterator

from toptalkers.picture.network import Network, View
from toptalkers.picture.words import look_of, rest_of, width_of, words_of
from toptalkers.visible import visible


def format_dot(network: Network, view: View) -> Iterator[bytes]:
    r"""Write a view as a directed graph; its label says what is not shown, and which command gives the figures.

    Every text is quoted, so that none is read as DOT, as an escape (`\N`) or as an entity (`&amp;`).
    """
    title = [network.title, f"by {view.by}", rest_of(network, view), view.command]
    label = r"\l".join(_escaped(line) for text in title for line in text.split("\n") if line) + r"\l"
    yield (
        f"// {visible(network.made)}\n"
        f'digraph "toptalkers" {{\n'
        f'  graph [label="{label}", labelloc=t, labeljust=l, rankdir=LR, fontname="Helvetica", charset="UTF-8"];\n'
        f'  node [style=filled, fontname="Helvetica"];\n'
        f'  edge [fontname="Helvetica", fontsize=10];\n'
    ).encode()
    names = {node.label: f"n{number}" for number, node in enumerate(view.nodes)}
    for node in view.nodes:
        look = look_of(node.kind)
        label, kind = _escaped(node.label), _escaped(node.kind)
        yield (
            f'  {names[node.label]} [label="{label}", tooltip="{label}: {kind}", shape={look.shape},'
            f' fillcolor="{look.fill}", color="{look.line}"];\n'
        ).encode()
    largest = max((edge.sums[0] for edge in view.edges), default=0)
    for edge in view.edges:
        words = _escaped(words_of(network, edge))
        ends = f"{_escaped(edge.source)} to {_escaped(edge.target)}"
        drawn = f'penwidth={width_of(edge, largest)}, color="{"#b91c1c" if edge.is_rejected else "#4b5563"}"'
        dashed = ", style=dashed" if edge.is_rejected else ""
        yield (
            f'  {names[edge.source]} -> {names[edge.target]} [label="{words}", tooltip="{ends}: {words}",'
            f" {drawn}{dashed}];\n"
        ).encode()
    yield b"}\n"


def _escaped(text: str) -> str:
    r"""A text within the quotes of a label: `\` begins an escape there, and `&` an entity."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
