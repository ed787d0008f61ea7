"""The writers of pictures: DOT, GraphML and Mermaid, with labels of any kind."""

import html
import io
import os
import re
import shutil
import subprocess
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.errors import UsageError
from toptalkers.picture.dot import format_dot
from toptalkers.picture.graphml import format_graphml
from toptalkers.picture.mermaid import MOST_CHARACTERS, MOST_EDGES, fit_mermaid, format_markdown, format_mermaid
from toptalkers.picture.network import Edge, Network, Node, Row, View, largest_edges, parse_view
from toptalkers.picture.talkers import kind_of
from toptalkers.picture.words import format_amount, rest_of, width_of
from toptalkers.visible import visible

HOUR = 1_795_431_600

GRAPHVIZ = shutil.which("dot") or ""

HOSTILE = [
    "<script>alert(1)</script>",
    'a"]; click n0 "javascript:alert(1)"',
    "back\\slash\\N\\",
    "&amp;",
    "%%{init: {'theme': 'dark'}}%%",
    "`**bold**`",
    "#quot;",
    "style a:#1;",
    "classDef x fill:#f00;",
    "end",
    "subgraph",
    "]]>",
    "--> n9",
    "\u202egnp.exe",
    "web\ufffe\x0b",
    "{a|b}",
    "日本語 🐙",
    "constructor",
    "2001:db8::1",
    "~web-1|web-2",
    "a\nb\tc",
    "x" * 300,
]


def made(labels: list[str], number: int = 0, *, action: bool = False) -> Network:
    """Return a network whose one view has an edge from each label to the next one, or so many edges."""
    pairs = list(zip(labels, labels[1:] + labels[:1], strict=True)) if not number else []
    pairs += [(labels[at % len(labels)], labels[at // len(labels) % len(labels)]) for at in range(number)]
    edges = tuple(
        Edge(
            a,
            b,
            f"{at}/tcp",
            action and at % 2 == 1,
            (10**9 + 1000 - at, 5),
            ((HOUR, 7),),
            (Row("192.0.2.1", "-", "x", (1, 1)),),
            2,
        )
        for at, (a, b) in enumerate(pairs)
    )
    totals = (sum(edge.sums[0] for edge in edges) + 40, sum(edge.sums[1] for edge in edges) + 3)
    nodes = tuple(Node(label, "instance" if at else "public") for at, label in enumerate(labels))
    view = View("asg", nodes, edges, 3, (40, 3), totals, "toptalkers run-local 'a b/' --by src.asg,dst.asg,service")
    return Network("Who talks to whom: a b/", (view,), ("bytes", "records"), (HOUR,), "all is well", "now")


def dot_of(network: Network) -> str:
    return b"".join(format_dot(network, network.views[0])).decode()


def mermaid_of(network: Network) -> str:
    return b"".join(format_mermaid(network, network.views[0])).decode()


def read_graphml(network: Network) -> "nx.MultiDiGraph[str]":
    return nx.read_graphml(io.BytesIO(b"".join(format_graphml(network, network.views[0]))))


labels = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec="utf-8"), min_size=1)),
    min_size=1,
    max_size=6,
    unique_by=visible,
)

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_NODE = re.compile(
    rf"  (n\d+) \[label={_QUOTED}, tooltip={_QUOTED}, shape=\w+, fillcolor={_QUOTED}, color={_QUOTED}\];"
)
_EDGE = re.compile(
    rf"  (n\d+) -> (n\d+) \[label={_QUOTED}, tooltip={_QUOTED}, penwidth=[0-9.]+, color={_QUOTED}(?:, style=dashed)?\];"
)


def unescaped(text: str) -> str:
    """What Graphviz draws for the text of a label."""
    return html.unescape(re.sub(r"\\(.)", r"\1", text))


@given(labels)
def test_dot_has_every_label_as_it_is(texts: list[str]) -> None:
    """Each line of DOT is a statement whose quoted text, unescaped as Graphviz does, is the label."""
    network = made(texts)
    lines = dot_of(network).splitlines()
    assert lines[-1] == "}"
    found = [match for line in lines[5:-1] if (match := _NODE.fullmatch(line))]
    edges = [match for line in lines[5:-1] if (match := _EDGE.fullmatch(line))]
    assert len(found) + len(edges) == len(lines) - 6
    assert [unescaped(match[2]) for match in found] == [visible(text) for text in texts]
    assert [match[3] for match in edges] == [f"{at}/tcp, 1.0 GB" for at in range(len(edges))]


@pytest.mark.skipif(not GRAPHVIZ and not os.environ.get("CI"), reason="needs Graphviz, which .ci/run installs")
def test_graphviz_draws_hostile_labels() -> None:
    """Graphviz reads the DOT of hostile labels, and draws each as a text."""
    drawn = subprocess.run([GRAPHVIZ, "-Tsvg"], input=dot_of(made(HOSTILE)), capture_output=True, text=True, check=True)
    assert not drawn.stderr.replace("Warning: no hard-coded metrics", "").strip() or "rror" not in drawn.stderr
    texts = [html.unescape(text) for text in re.findall(r"<text[^>]*>(.*?)</text>", drawn.stdout)]
    assert {visible(label).strip() for label in HOSTILE} <= {text.replace("\xa0", " ").strip() for text in texts}


@given(labels)
def test_graphml_is_read_back(texts: list[str]) -> None:
    """Networkx reads from GraphML what was written, with the types of the attributes."""
    network = made(texts, action=True)
    view = network.views[0]
    graph = read_graphml(network)
    assert graph.graph["rest_bytes"] == 40
    assert graph.graph["command"] == view.command
    clean = [re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text) for text in texts]
    assert [graph.nodes[f"n{at}"]["label"] for at in range(len(texts))] == clean
    edges = sorted(graph.edges(data=True), key=lambda edge: -edge[2]["bytes"])
    for (_, _, data), edge in zip(edges, view.edges, strict=True):
        assert data["service"] == edge.service
        assert data["rejected"] is edge.is_rejected
        assert (data["bytes"], data["records"]) == edge.sums
        assert data["hours"] == "2026-11-23T11:00:00Z=7"
        assert data["talkers"] == 3


_MERMAID_NODE = re.compile(
    r'  n\d+(?:\["|\(\["|\[\("|\[\["|\{"|\{\{")([^"]*)(?:"\]\)|"\)\]|"\]\]|"\}\}|"\]|"\}):::kind-[a-z-]+'
)


def drawn_by_mermaid(text: str) -> str:
    """What Mermaid draws for the text of a label: it replaces entities, after it cut some lines."""
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text)


@given(labels)
def test_mermaid_has_every_label_as_it_is(texts: list[str]) -> None:
    """Each label of Mermaid has no character with a meaning but entities, and is the label when these are replaced."""
    text = mermaid_of(made(texts))
    written = [match[1] for line in text.splitlines() if (match := _MERMAID_NODE.fullmatch(line))]
    assert [drawn_by_mermaid(one) for one in written] == [visible(one) for one in texts]
    for one in written:
        assert not re.search(r'["`<>%\\{}\[\]|_*]', one)
        assert not re.search("[#;]", re.sub(r"#\d+;", "", one))
    assert "%%{" not in text
    # Mermaid cuts the last character of such a line.
    assert not re.search(r"style.*:\S*#.*;|classDef.*:\S*#.*;", "\n".join(written))


def test_a_command_cannot_end_a_comment_of_mermaid() -> None:
    """A path with a directive, a line feed or backticks stays within its comment and its block of Markdown."""
    network = made(["a", "b"])
    view = replace(network.views[0], command="toptalkers run-local '%%{init: 1}%%' 'a\x85b' '```'")
    text = b"".join(format_markdown(network, view)).decode()
    assert "%%{init" not in text.partition("```\n")[0]
    assert text.count("\n```mermaid\n") + text.startswith("```mermaid\n") == 1
    assert text.endswith("'a\\x85b' '```'\n````\n")


def test_mermaid_fits() -> None:
    """Of more than Mermaid draws, the largest edges are drawn, and the others are added to the rest."""
    many = made([f"web-{at}" for at in range(40)], 1200)
    view = fit_mermaid(many, many.views[0])
    assert len(view.edges) == MOST_EDGES
    assert view.rest_edges == 1200 - MOST_EDGES + 3
    shown = [sum(edge.sums[at] for edge in view.edges) + view.rest_sums[at] for at in (0, 1)]
    assert tuple(shown) == many.views[0].totals
    long = made(["<" * 300 + str(at) for at in range(60)], 400)
    view = fit_mermaid(long, long.views[0])
    text = b"".join(format_mermaid(long, view)).decode()
    assert 0 < len(view.edges) < 400
    assert len(text) <= MOST_CHARACTERS
    assert view.edges == long.views[0].edges[: len(view.edges)]
    assert {node.label for node in view.nodes} == {end for edge in view.edges for end in (edge.source, edge.target)}


def test_mermaid_marks_rejected_edges() -> None:
    """Rejected edges are dashed and red, by their number in the chart."""
    text = mermaid_of(made(["a", "b"], 4, action=True))
    assert text.count(" -.->|") == 2
    assert "  linkStyle 1,3 stroke:#b91c1c\n" in text
    assert ", rejected" in text


def test_an_empty_network() -> None:
    """A view without edges is written by every writer."""
    network = Network("nothing", (View("address", (), (), 0, (0,), (0,), "x"),), ("bytes",), (), "", "now")
    assert "->" not in dot_of(network)
    assert "-->" not in mermaid_of(network)
    assert not read_graphml(network).nodes
    assert fit_mermaid(network, network.views[0]) == network.views[0]
    assert largest_edges(network.views[0], 0) == network.views[0]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (41_200_000_000, "41.2 GB"),
        (1 << 63, "9,223 PB"),
    ],
)
def test_amounts(number: int, text: str) -> None:
    """Bytes are written in decimal units with three digits or so; other sums in full."""
    assert format_amount("bytes", number) == text
    assert format_amount("records", number) == f"{number:,}"


def test_what_is_not_shown() -> None:
    """The rest is told by number, sum and share."""
    network = made(["a"])
    assert rest_of(network, network.views[0]) == "Not shown: 3 smaller edges with 40 B, 0.0% of all."
    assert rest_of(network, replace(network.views[0], rest_edges=0)) == ""


def test_widths() -> None:
    """Of edges, the largest is the widest, and none is too thin to be seen."""
    edge = made(["a"]).views[0].edges[0]
    widths = [width_of(replace(edge, sums=(number,)), 10**9) for number in (10**9, 10**8, 10**6, 1, 0)]
    assert widths == [6, 4.8, 2.2, 1, 1]


@pytest.mark.parametrize(
    ("text", "view"), [("asg", "asg"), (" SG ", "sg"), ("tag:App", "tag:App"), ("Address", "address"), ("kind", "kind")]
)
def test_views(text: str, view: str) -> None:
    """A view is a property of names, a tag in its own case, or the address."""
    assert parse_view(text) == view


@pytest.mark.parametrize(
    ("text", "hint"), [("asgs", "'asg'"), ("src.vpc", "'vpc'"), ("", "tag:KEY"), ("tag:", "tag:KEY")]
)
def test_no_views(text: str, hint: str) -> None:
    """Another word is no view, and the error says what is."""
    with pytest.raises(UsageError) as error:
        parse_view(text)
    assert hint in str(error.value.hint)


@pytest.mark.parametrize(
    ("label", "kind"),
    [("rds", "rds"), ("~lambda", "lambda"), ("ecs-task|~rds", "ecs-task"), ("-", "none"), ("aws", "aws")],
)
def test_kinds(label: str, kind: str) -> None:
    """A node has one kind, without the mark of another time."""
    assert kind_of(label) == kind
