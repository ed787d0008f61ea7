"""The network as one HTML file, for people: no server, no network, nothing to install.

`format_page` makes the file. Its parts are for other pages, such as the report: `format_head`, `format_graph`,
`format_table`, `format_tail`, in this order.

All texts of the network travel as data: the script puts them in as text, never as HTML. The policy in the head allows
the page's own two scripts by their checksums, and no connection at all.
"""

import base64
import functools
import hashlib
import html
import importlib.resources
import json
from collections.abc import Iterable, Iterator, Sequence

from toptalkers.picture.layout import place
from toptalkers.picture.network import MOST_ROWS, Network, View

CYTOSCAPE = "cytoscape-3.34.4.min.js"
"""The library that draws: Cytoscape.js, MIT licence (assets/cytoscape-LICENSE.txt), as its registry has it."""

MOST_BYTES = 2_900_000
"""How large a page may get before edges keep fewer of the talkers behind them."""

_EXACT_IN_A_BROWSER = 2**53


def format_page(network: Network) -> Iterator[bytes]:
    """Yield the HTML file, in UTF-8, that shows a network."""
    for text in (format_head(network.title), _format_header(network.title), "<main>"):
        yield text.encode()
    for text in format_graph(network):
        yield text.encode()
    yield b"</main>\n"
    yield format_tail().encode()


def format_head(title: str, styles: str = "") -> str:
    """Return a page's start, up to the beginning of its body; `styles` is more CSS."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{_asset('page.css')}{styles}</style>\n</head>\n<body>\n"
    )


def _format_header(title: str) -> str:
    return (
        '<a class="skip" href="#table">Skip to the table</a>\n'
        f"<header><h1>{html.escape(title)}</h1>{format_theme_switch()}</header>\n"
    )


def format_theme_switch() -> str:
    """Return the choice between light and dark; the script makes it work."""
    return (
        '<label class="theme">Colours <select id="theme"><option value="">as the system</option>'
        '<option value="light">light</option><option value="dark">dark</option></select></label>'
    )


def format_graph(network: Network) -> Iterator[str]:
    """Yield the section with the picture, its controls and the table of its edges; once per page.

    Must be followed by `format_tail`, whose script fills it.
    """
    yield _asset("graph.html").format(quality=html.escape(network.quality), made=html.escape(network.made))
    yield f'<script type="application/json" id="network">{_data(network)}</script>\n'


def format_table(
    caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[int] = frozenset()
) -> Iterator[str]:
    """Yield a table of texts, which are escaped here; the columns `numbers` (from 0) are set to the right."""
    kinds = [' class="number"' if column in numbers else "" for column in range(len(headings))]
    titles = "".join(
        f'<th scope="col"{kind}>{html.escape(text)}</th>' for kind, text in zip(kinds, headings, strict=True)
    )
    yield (
        f'<div class="wide" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
        f"<table><caption>{html.escape(caption)}</caption>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n"
    )
    for row in rows:
        cells = (f"<td{kind}>{html.escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
        yield f"<tr>{''.join(cells)}</tr>\n"
    yield "</tbody></table></div>\n"


def format_tail() -> str:
    """Return a page's end, with the scripts."""
    return f"<script>{_asset(CYTOSCAPE)}</script>\n<script>{_asset('page.js')}</script>\n</body>\n</html>\n"


@functools.cache
def _asset(name: str) -> str:
    return (importlib.resources.files("toptalkers.picture") / "assets" / name).read_text(encoding="utf-8")


def _policy() -> str:
    """Return the Content-Security-Policy: these two scripts, and no connection to anywhere.

    Styles may stand in the page, because the library makes some; without images or fonts from elsewhere they can load
    nothing.
    """
    sums = [hashlib.sha256(_asset(name).encode()).digest() for name in (CYTOSCAPE, "page.js")]
    scripts = " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in sums)
    return f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def _data(network: Network) -> str:
    """Return the network as JSON that is safe within a script element.

    If it would be too large, edges keep fewer of their largest talkers, and count the others.
    """
    places = [_places(view) for view in network.views]
    fixed = sum(len(_asset(name)) for name in (CYTOSCAPE, "page.js", "page.css", "graph.html"))
    text = ""
    for most in (MOST_ROWS, 10, 6, 4, 3, 2, 1):
        text = _encode(network, places, most)
        if fixed + len(text) <= MOST_BYTES:
            break
    return text


def _encode(network: Network, places: Sequence[Sequence[tuple[float, float]]], most_rows: int) -> str:
    """Return the JSON. Each text and each talker is in it once; the rest has their numbers."""
    words: dict[str, int] = {}
    talkers: dict[tuple[object, ...], int] = {}
    hour_numbers = {hour: at for at, hour in enumerate(network.hours)}

    def word(text: str) -> int:
        return words.setdefault(text, len(words))

    views = []
    for view, points in zip(network.views, places, strict=True):
        numbers = {node.label: at for at, node in enumerate(view.nodes)}
        edges = []
        for edge in view.edges:
            behind = []
            for row in edge.rows[:most_rows]:
                talker = (word(row.srcaddr), word(row.dstaddr), word(row.service), *map(_number, row.sums))
                behind.append(talkers.setdefault(talker, len(talkers)))
            edges.append(
                [
                    numbers[edge.source],
                    numbers[edge.target],
                    word(edge.service),
                    int(edge.is_rejected),
                    [_number(value) for value in edge.sums],
                    [part for hour, value in edge.hours for part in (hour_numbers[hour], _number(value))],
                    behind,
                    edge.rest + len(edge.rows) - len(behind),
                ]
            )
        views.append(
            {
                "by": view.by,
                "command": view.command,
                "nodes": [
                    [word(node.label), word(node.kind), *point] for node, point in zip(view.nodes, points, strict=True)
                ],
                "edges": edges,
                "rest_edges": view.rest_edges,
                "rest_sums": [_number(value) for value in view.rest_sums],
                "totals": [_number(value) for value in view.totals],
            }
        )
    whole = {
        "title": network.title,
        "metrics": network.metrics,
        "hours": network.hours,
        "words": list(words),
        "talkers": list(talkers),
        "views": views,
    }
    return (
        json.dumps(whole, separators=(",", ":")).replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
    )


def _number(value: int) -> int | str:
    """Return a sum as a browser reads it without loss: as a text, if it is too large for its numbers."""
    return value if value <= _EXACT_IN_A_BROWSER else str(value)


def _places(view: View) -> list[tuple[float, float]]:
    numbers = {node.label: at for at, node in enumerate(view.nodes)}
    return place(len(view.nodes), [(numbers[edge.source], numbers[edge.target]) for edge in view.edges])
