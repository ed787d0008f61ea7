"""The network in Mermaid, which GitHub, GitLab and many wikis draw."""

import json
import re
from collections.abc import Iterator

from toptalkers.picture.network import Network, View, largest_edges
from toptalkers.picture.words import look_of, rest_of, words_of
from toptalkers.visible import visible

MOST_EDGES = 500
MOST_CHARACTERS = 50_000
"""What Mermaid draws (its `maxEdges` and `maxTextSize`): a larger text is not drawn at all, but for an error."""

_PLAIN = re.compile(r"[^\w .,:/+~()=@-]|_")
"""What is written as an entity: a quote ends a label, a backtick begins Markdown, `%%` a directive, `<` a tag, `#` an
entity."""

_STYLE = re.compile("style|classdef", re.IGNORECASE)

_SHAPES = {
    "box": ("[", "]"),
    "component": ("[[", "]]"),
    "cylinder": ("[(", ")]"),
    "diamond": ("{", "}"),
    "hexagon": ("{{", "}}"),
    "ellipse": ("([", "])"),
}


def fit_mermaid(network: Network, view: View) -> View:
    """The view with as many of its edges, the largest first, as Mermaid draws."""
    low, high = 0, min(MOST_EDGES, len(view.edges))
    while low < high:  # the length grows with the edges
        middle = (low + high + 1) // 2
        size = sum(len(chunk.decode()) for chunk in format_mermaid(network, largest_edges(view, middle)))
        low, high = (middle, high) if size <= MOST_CHARACTERS else (low, middle - 1)
    return largest_edges(view, low)


def format_mermaid(network: Network, view: View) -> Iterator[bytes]:
    """Write a view as a flowchart. Mermaid draws it if it is as small as `fit_mermaid` makes it."""
    yield f"---\ntitle: {json.dumps(f'{visible(network.title)}, by {visible(view.by)}')}\n---\nflowchart LR\n".encode()
    for text in (rest_of(network, view), view.command, network.made):
        for line in text.split("\n"):
            if line:
                yield f"  %% {_comment(line)}\n".encode()
    names = {node.label: f"n{number}" for number, node in enumerate(view.nodes)}
    for node in view.nodes:
        begin, end = _SHAPES[look_of(node.kind).shape]
        yield f'  {names[node.label]}{begin}"{_escaped(node.label)}"{end}:::{_class(node.kind)}\n'.encode()
    for edge in view.edges:
        arrow = "-.->" if edge.is_rejected else "-->"
        words = _escaped(words_of(network, edge))
        yield f'  {names[edge.source]} {arrow}|"{words}"| {names[edge.target]}\n'.encode()
    if rejected := [str(number) for number, edge in enumerate(view.edges) if edge.is_rejected]:
        yield f"  linkStyle {','.join(rejected)} stroke:#b91c1c\n".encode()
    for kind in dict.fromkeys(node.kind for node in view.nodes):
        look = look_of(kind)
        yield f"  classDef {_class(kind)} fill:{look.fill},stroke:{look.line},color:#111827\n".encode()


def format_markdown(network: Network, view: View) -> Iterator[bytes]:
    """Write a view as Markdown with a Mermaid diagram, which GitHub and others show as a picture."""
    yield b"```mermaid\n"
    yield from format_mermaid(network, view)
    yield b"```\n"
    if rest := rest_of(network, view):
        yield f"\n{rest}\n".encode()
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", view.command)), default=0))
    command = "\n".join(map(visible, view.command.split("\n")))
    yield f"\n{fence}sh\n{command}\n{fence}\n".encode()


def _escaped(text: str) -> str:
    text = _PLAIN.sub(lambda match: f"#{ord(match[0])};", visible(text))
    # Mermaid cuts the last character of a line with `style` or `classDef`, a colon and an entity after it.
    return text.replace(":", "#58;") if _STYLE.search(text) else text


def _comment(text: str) -> str:
    # A directive counts wherever it stands, and three backticks would end the block in Markdown.
    return visible(text).replace("%%{", "%% {").replace("```", "` ` `")


def _class(kind: str) -> str:
    """The name of a class; `kind-` before it, because `end` or `default` have a meaning of their own."""
    return "kind-" + re.sub(r"[^a-z0-9-]", "-", kind.lower())
