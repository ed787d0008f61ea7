"""The page in a real Chromium: what is shown, how it is reached, what it costs, and what it must not do."""

import hashlib
import importlib.resources
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import Browser, Page, find_chromium, open_browser
from tests.networks import HOURS, made_network, made_view
from tests.render import ROOT
from toptalkers.picture.network import Edge, Network, Node, Row, View
from toptalkers.picture.page import CYTOSCAPE, format_page

CHROMIUM = find_chromium()
SHOTS = ROOT / "build/screenshots"

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine (CHROMIUM=... names one)"
)

BAD = "<script>alert(1)</script>"
SMALL = Network(
    "From <web> & co",
    (
        View(
            "name",
            (Node("web", "instance"), Node("orders", "rds"), Node(BAD, "public")),
            (
                Edge(
                    "web",
                    "orders",
                    "postgresql",
                    False,
                    (41_000_000_000, 9),
                    ((HOURS[0], 40_000_000_000), (HOURS[1], 1_000_000_000)),
                    (Row("10.0.0.1", "10.0.1.1", "postgresql", (41_000_000_000, 9)),),
                    2,
                ),
                Edge(
                    BAD,
                    "web",
                    "ssh",
                    True,
                    (700, 3),
                    ((HOURS[1], 700),),
                    (Row("192.0.2.1", "10.0.0.1", "ssh", (700, 3)),),
                ),
            ),
            1,
            (50, 1),
            (41_000_000_750, 13),
            "toptalkers run-local logs --by 'src.name,dst.name,service'",
        ),
        View(
            "sg",
            (Node("web-sg", "instance"),),
            (Edge("web-sg", "web-sg", "https", False, (9_007_199_254_740_993, 1)),),
            0,
            (0, 0),
            (9_007_199_254_740_993, 1),
            "toptalkers run-local logs --by src.sg,dst.sg,service",
        ),
    ),
    ("bytes", "packets"),
    HOURS[:2],
    "2 records <read>",
    "Made now",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser once; in CI its absence is a failure."""
    assert CHROMIUM, "no Chromium: .ci/run installs it"
    with open_browser(CHROMIUM) as browser:
        yield browser


def opened(
    browser: Browser, folder: Path, network: Network, *, width: int = 1280, height: int = 900, dark: bool = False
) -> Page:
    """Open a network's page."""
    path = folder / "page.html"
    path.write_bytes(b"".join(format_page(network)))
    page = browser.new_page()
    page.look(width=width, height=height, dark=dark)
    page.open(path)
    return page


def text(page: Page, element: str) -> str:
    """Return what an element says."""
    said = page.run(f"document.getElementById('{element}').innerText")
    assert isinstance(said, str)
    return said


def set_value(page: Page, element: str, value: str) -> None:
    """Set a control as its user would, and wait until the page has followed."""
    page.run(
        f"(() => {{ const one = document.getElementById('{element}'); one.value = {json.dumps(value)};"
        "one.dispatchEvent(new Event('input')); one.dispatchEvent(new Event('change'));"
        "return new Promise((done) => setTimeout(done, 200)); })()"
    )


def test_the_library_is_the_registrys() -> None:
    """Cytoscape.js is version 3.34.4, unchanged, with its licence beside it."""
    assets = importlib.resources.files("toptalkers.picture") / "assets"
    library = (assets / CYTOSCAPE).read_bytes()
    assert hashlib.sha256(library).hexdigest() == "081591ab735b2b6a3b31a3c60f8f3a3e2fee8c92939e0c7820ad1208571b6cd8"
    assert b'version="3.34.4"' in library
    assert "The Cytoscape Consortium" in (assets / "cytoscape-LICENSE.txt").read_text()


def test_a_page_of_2000_edges_is_small() -> None:
    """Two thousand edges with hours and talkers, in three views, stay below 3 MB."""
    network = made_network(made_view("name", 2000), made_view("sg", 300), made_view("subnet", 30))
    assert len(b"".join(format_page(network))) < 3_000_000


def test_the_same_network_gives_the_same_bytes() -> None:
    """Nothing in a page depends on when or how often it is made."""
    assert [*format_page(made_network(made_view("name", 200)))] == [*format_page(made_network(made_view("name", 200)))]


def test_texts_are_escaped_in_the_file() -> None:
    """Neither a label nor the title can end the data or begin an element."""
    page = b"".join(format_page(SMALL)).decode()
    assert BAD not in page
    assert "From &lt;web&gt; &amp; co" in page
    assert "2 records &lt;read&gt;" in page


@needs_chromium
class TestInChromium:
    """What a reader sees."""

    def test_a_hostile_label_is_text(self, browser: Browser, tmp_path: Path) -> None:
        """A name that is a script is shown as it is, runs nothing, and the console stays silent."""
        page = opened(browser, tmp_path, SMALL)
        page.run("window.alert = () => { window.alerted = true; }")
        assert f"{BAD} → web" in text(page, "table")
        assert page.run("window.alerted === undefined && document.querySelectorAll('#table script').length === 0")
        assert page.complaints == []

    def test_nothing_to_draw_is_said(self, browser: Browser, tmp_path: Path) -> None:
        """A network without edges says so and where the reason is, and no limit is above what there is."""
        page = opened(browser, tmp_path, made_network(View("name", (), (), 0, (0,), (0,), "toptalkers run-local logs")))
        assert text(page, "said").startswith("There is nothing to draw, because no record counts.")
        assert text(page, "most-said") == "0 of 0"
        assert page.complaints == []

    def test_the_figures_are_exact(self, browser: Browser, tmp_path: Path) -> None:
        """The table has each sum to the last digit, even those that a browser's numbers cannot hold."""
        page = opened(browser, tmp_path, SMALL)
        assert "41 GB 41,000,000,000" in text(page, "table")
        assert text(page, "said").startswith("Shown: 2 edges of 3, with 41 GB of 41 GB")
        assert text(page, "command") == SMALL.views[0].command
        set_value(page, "view", "1")
        assert "9,007,199,254,740,993" in text(page, "table")
        assert text(page, "command") == SMALL.views[1].command

    def test_hours_search_and_limits_choose_edges(self, browser: Browser, tmp_path: Path) -> None:
        """An hour gives its own sums, a search what it finds by name, service or address, a limit the largest edges."""
        page = opened(browser, tmp_path, SMALL)
        set_value(page, "hours-from", "1")
        assert "1.0 GB 1,000,000,000" in text(page, "table")
        set_value(page, "hours-from", "0")
        set_value(page, "search", "192.0.2.1")
        assert "ssh" in text(page, "table")
        assert "postgresql" not in text(page, "table")
        set_value(page, "search", "")
        set_value(page, "most", "1")
        assert "ssh" not in text(page, "table")
        assert "The rest: 2 edges, with 750 B" in text(page, "said")
        assert page.complaints == []

    def test_kinds_and_verdicts_can_be_hidden(self, browser: Browser, tmp_path: Path) -> None:
        """Without a kind of node, or without rejected records, their edges are not drawn, nor in the table."""
        page = opened(browser, tmp_path, SMALL)
        page.run("document.querySelector('[data-kind=rds]').click()")
        assert "postgresql" not in text(page, "table")
        page.run("document.getElementById('rejected').click()")
        assert text(page, "said").startswith("Shown: 0 edges of 3")
        assert page.run("document.getElementById('picture')._cyreg.cy.edges().not('.gone').length") == 0

    def test_the_picture_fits_a_window_that_gets_narrow(self, browser: Browser, tmp_path: Path) -> None:
        """After a change of the window's width, every node is within the picture."""
        page = opened(browser, tmp_path, SMALL)
        page.look(width=390, height=844)
        drawn = "document.getElementById('picture')._cyreg.cy"
        page.wait(f"innerWidth === 390 && {drawn}.width() < 390")
        beyond = "(one) => one.renderedPosition().x < 0 || one.renderedPosition().x > 390"
        page.wait(f"!{drawn}.nodes().some({beyond})")

    def test_a_click_on_an_edge_shows_its_talkers(self, browser: Browser, tmp_path: Path) -> None:
        """The panel has the talkers behind the edge that was clicked, and how many more there are."""
        page = opened(browser, tmp_path, SMALL)
        x, y = page.run(
            "(() => { const cy = document.getElementById('picture')._cyreg.cy;"
            "const at = cy.getElementById('e0').renderedMidpoint();"
            "const box = document.getElementById('picture').getBoundingClientRect();"
            "return [box.x + at.x, box.y + at.y]; })()"
        )
        page.click(x, y)
        page.wait("!document.getElementById('panel').hidden")
        assert "10.0.1.1" in text(page, "panel")
        assert "And 2 smaller talkers." in text(page, "panel")

    def test_a_keyboard_alone_reaches_every_row(self, browser: Browser, tmp_path: Path) -> None:
        """Tab comes to every edge of the table, and Enter opens the talkers behind it."""
        page = opened(browser, tmp_path, made_network(made_view("name", 12)))
        reached = set()
        for _ in range(150):
            page.press("Tab")
            edge = page.run("document.activeElement.dataset.edge")
            if edge is not None and edge not in reached:
                reached.add(edge)
                page.press("Enter")
                assert page.run("document.activeElement.getAttribute('aria-expanded')") == "true"
                assert page.run(f"document.getElementById('talkers-{edge}').innerText.includes('192.0.2.')")
        assert reached == {str(number) for number in range(12)}

    def test_more_rows_come_by_the_keyboard(self, browser: Browser, tmp_path: Path) -> None:
        """The button below the table gives all rows, and the focus goes to the first new one."""
        page = opened(browser, tmp_path, made_network(made_view("name", 450)))
        page.run("document.getElementById('all-rows').focus()")
        page.press("Enter")
        assert page.run("document.querySelectorAll('#table button.open').length") == 450
        assert page.run("document.activeElement.dataset.edge") == "200"

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_axe_finds_nothing_serious(self, browser: Browser, tmp_path: Path, dark: bool) -> None:
        """The page with an open row and an open panel breaks no rule of accessibility that axe-core checks."""
        axe = (importlib.resources.files("axe_core_python") / "axe.min.js").read_text()
        page = opened(browser, tmp_path, SMALL, dark=dark)
        page.run("document.querySelector('#table button.open').click()")
        page.run("document.getElementById('picture')._cyreg.cy.getElementById('e1').emit('tap'); 0")
        page.run(axe + ";0")
        found = page.run(
            "axe.run().then((all) => all.violations.map((one) => [one.impact, one.id, one.nodes[0].html]))"
        )
        assert found == []

    @pytest.mark.parametrize("count", [50, 2000])
    def test_how_it_looks(self, browser: Browser, tmp_path: Path, count: int) -> None:
        """Light, dark and narrow, few edges or many: something is drawn, and nothing is wider than the window."""
        network = made_network(made_view("name", count), made_view("sg", 40))
        for name, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 390, False)):
            page = opened(browser, tmp_path, network, width=width, height=1100, dark=dark)
            page.wait("document.getElementById('picture')._cyreg.cy.nodes().some((one) => one.style('label'))")
            page.screenshot(SHOTS / f"page-{count}-{name}.png")
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
            # The main sum is on the screen without scrolling sideways.
            sums = "document.querySelector('#table td.number').getBoundingClientRect()"
            assert page.run(f"{sums}.right <= innerWidth")
            zoom = page.run("document.getElementById('picture')._cyreg.cy.zoom()")
            assert zoom > 0.05
            print(f"{count} edges, {name}: drawn after {page.run('document.documentElement.dataset.ready')} ms")
            assert page.complaints == []
        if count == 50:
            page.print(SHOTS / "page-50.pdf")
