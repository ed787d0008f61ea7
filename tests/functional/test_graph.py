"""`toptalkers graph` from end to end: every figure is that of the command that the picture shows."""

import csv
import io
import shlex
from pathlib import Path

import networkx as nx
import pytest

from tests.commands import command
from toptalkers.names.services import read_services
from toptalkers.names.snapshot import format_snapshot
from toptalkers.sample.snapshot import company_snapshot
from toptalkers.sample.writer import write_sample

Figures = dict[tuple[str, ...], tuple[int, ...]]
"""Sums by source, destination, service and action."""

METRICS = ("bytes", "packets", "records")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample's flow logs, with defects, and what its addresses belong to."""
    folder = tmp_path_factory.mktemp("graph")
    write_sample(folder / "flow logs", records=3000, layout="rich", seed=5, dirty=True)
    (folder / "names.json").write_bytes(b"".join(format_snapshot(company_snapshot())))
    return folder


def drawn(folder: Path, *options: str) -> "nx.MultiDiGraph[str]":
    file = folder / "network.graphml"
    command(None, "graph", str(folder / "flow logs"), *options, "--output", str(file))
    return nx.read_graphml(file, force_multigraph=True)


def figures_of(graph: "nx.MultiDiGraph[str]", metrics: tuple[str, ...]) -> Figures:
    label = nx.get_node_attributes(graph, "label")
    found: Figures = {}
    for a, b, data in sorted(graph.edges(data=True), key=lambda edge: -edge[2]["bytes"]):
        action = "REJECT" if data["rejected"] else "ACCEPT"
        found[label[a], label[b], data["service"], action] = tuple(data[metric] for metric in metrics)
    return found


def asked(line: str, metrics: tuple[str, ...]) -> Figures:
    """Run the command of a picture, and return its figures."""
    words = shlex.split(line)
    assert words[:2] == ["toptalkers", "run-local"]
    answer = command(None, *words[1:], "--format", "csv").stdout
    action = "REJECT" if "--action REJECT" in line else "ACCEPT"
    found: Figures = {}
    for row in csv.DictReader(io.StringIO(answer)):
        sides = [text for name, text in row.items() if name.startswith(("src", "dst", "client", "server"))]
        service = row["service"] if "service" in row else read_services().label(row["port"], row["protocol"])
        key = (*sides, service, row.get("action", action))
        assert key not in found
        found[key] = tuple(int(row[metric]) for metric in metrics)
    return found


ACTIONS = ["--action", "ALL"]
ONCE = ["--count", "once", *ACTIONS]


@pytest.mark.parametrize(
    ("view", "options"),
    [
        *((view, ACTIONS) for view in ("name", "sg", "asg", "instance", "subnet", "vpc", "zone", "kind", "tag:Name")),
        ("address", ACTIONS),
        ("name", []),
        *((view, ONCE) for view in ("name", "zone")),
        *((view, [*ONCE, "--pairs"]) for view in ("name", "asg", "address")),
    ],
)
def test_every_figure_is_that_of_the_command(folder: Path, view: str, options: list[str]) -> None:
    """All edges of a view have the sums of the lines of the view's command, and no line is missing."""
    graph = drawn(folder, "--names", str(folder / "names.json"), "--view", view, "--top", "0", *options)
    metrics = METRICS if "--pairs" in options else ("bytes", "records")
    expected: Figures = {}
    for line in graph.graph["command"].splitlines():
        expected |= asked(line, metrics)
    assert figures_of(graph, metrics) == expected
    assert len(expected) > 3


@pytest.mark.parametrize(
    "options", [["--pairs", "--ports", "443,5432"], ["--pairs", "--action", "REJECT"], ["--pairs", "--action", "ALL"]]
)
def test_pairs_without_hours(folder: Path, options: list[str]) -> None:
    """Lines of pairs that are not counted once make edges from clients to servers, too."""
    graph = drawn(folder, "--top", "0", "--metric", "records", *options)
    assert figures_of(graph, METRICS) == asked(graph.graph["command"], METRICS)
    assert not any("hours" in data for _, _, data in graph.edges(data=True))


@pytest.mark.parametrize("view", ["asg", "zone", "address"])
def test_the_top_and_the_rest_are_all(folder: Path, view: str) -> None:
    """The largest edges are the first lines of the command, in its order, and with the rest they are all there is."""
    names = ["--names", str(folder / "names.json"), "--view", view]
    whole, some = (drawn(folder, *names, "--top", top) for top in ("0", "5"))
    every = figures_of(whole, ("bytes", "records"))
    first = figures_of(some, ("bytes", "records"))
    assert list(first.items()) == list(asked(some.graph["command"], ("bytes", "records")).items())
    assert len(first) == 5
    assert some.graph["rest_edges"] == len(every) - 5
    for at, metric in enumerate(("bytes", "records")):
        total = sum(sums[at] for sums in every.values())
        assert sum(sums[at] for sums in first.values()) + some.graph[f"rest_{metric}"] == total
    largest = sorted((data for _, _, data in some.edges(data=True)), key=lambda data: -data["bytes"])
    hours = [data["hours"].split() for data in largest]
    assert [sum(int(one.partition("=")[2]) for one in each) for each in hours] == [sums[0] for sums in first.values()]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--output", "n.svg"], "write n.dot, and draw it with Graphviz: dot -Tsvg"),
        (["--output", "n.dott"], "did you mean n.dot?"),
        (["--output", "-"], "the kind of picture"),
        (["--output", "n.dot", "--view", "asg"], "no --names is given"),
        (["--output", "n.dot", "--metric", "bytes,last"], "a time is not a sum"),
        (["--output", "n.dot", "--top", "x"], "is not a number of talkers"),
    ],
)
def test_wrong_usage(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: str) -> None:
    """Wrong usage is said in one line, with exit code 2, and nothing is written."""
    monkeypatch.chdir(folder)
    result = command(None, "graph", "flow logs", *arguments)
    assert result.exit_code == 2
    assert error in result.stderr
    assert not list(folder.glob("n.*"))


def test_a_picture_is_whole_or_absent(folder: Path, tmp_path: Path) -> None:
    """If nothing could be read, a picture that was there stays."""
    file = tmp_path / "network.dot"
    file.write_text("before")
    assert command(None, "graph", str(tmp_path / "absent"), "--output", str(file)).exit_code == 1
    assert file.read_text() == "before"
    command(None, "graph", str(folder / "flow logs"), "--output", f"{file}.gz")
    assert Path(f"{file}.gz").read_bytes()[:2] == b"\x1f\x8b"
