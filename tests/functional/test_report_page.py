"""A report in a real Chromium: screenshots, accessibility, print, and nothing that the console complains about."""

import importlib.resources
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import Browser, find_chromium, open_browser
from tests.functional.test_report import CROSSING, HOSTILE, flows, report_of, run, two_zones, with_names
from tests.render import ROOT
from toptalkers.names.snapshot import format_snapshot
from toptalkers.sample.snapshot import company_snapshot

CHROMIUM = find_chromium()
SHOTS = ROOT / "build/screenshots"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine (CHROMIUM=... names one)"
)

LOOKS = {"light": (1280, 1400, False), "dark": (1280, 1400, True), "narrow": (390, 1400, False)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the browser once; in CI its absence is a failure."""
    assert CHROMIUM, "no Chromium: .ci/run installs it"
    with open_browser(CHROMIUM) as browser:
        yield browser


@pytest.fixture(scope="module", params=[50, 2000])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the made-up company, with so many edges in its picture."""
    folder = tmp_path_factory.mktemp("company")
    assert run("sample", "--records", "50000", "--out", str(folder / "logs")).exit_code == 0
    (folder / "net.json").write_bytes(b"".join(format_snapshot(company_snapshot())))
    report_of(folder, "--names", str(folder / "net.json"), "--edges", str(request.param))
    return (folder / "report.html").rename(folder / f"report-{request.param}.html")


@pytest.mark.parametrize("look", LOOKS)
def test_a_report_fits_the_window(browser: Browser, report: Path, look: str) -> None:
    """In every look the page is no wider than the window, and the console stays silent."""
    width, height, dark = LOOKS[look]
    page = browser.new_page()
    page.look(width=width, height=height, dark=dark)
    page.open(report)
    page.screenshot(SHOTS / f"{report.stem}-{look}.png")
    page.run("document.getElementById('over-time').scrollIntoView()")
    page.screenshot(SHOTS / f"{report.stem}-{look}-over-time.png")
    page.run("document.getElementById('the-network').scrollIntoView()")
    page.screenshot(SHOTS / f"{report.stem}-{look}-network.png")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.complaints == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, report: Path, dark: bool) -> None:
    """A report breaks no serious rule of accessibility that axe-core checks, in light and dark."""
    axe = (importlib.resources.files("axe_core_python") / "axe.min.js").read_text()
    page = browser.new_page()
    page.look(width=1280, height=1400, dark=dark)
    page.open(report)
    page.run("document.querySelectorAll('details').forEach((one) => one.open = true)")
    page.run(axe + ";0")
    found = page.run("axe.run().then((all) => all.violations.map((one) => [one.impact, one.id, one.nodes[0].html]))")
    assert [one for one in found if one[0] in ("serious", "critical")] == []


def test_a_report_prints(browser: Browser, report: Path) -> None:
    """The printed report is a PDF."""
    page = browser.new_page()
    page.open(report)
    page.print(SHOTS / f"{report.stem}.pdf")
    assert (SHOTS / f"{report.stem}.pdf").read_bytes().startswith(b"%PDF")


def test_a_hostile_name_is_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    """The browser shows a name with markup as it is, and runs nothing of it."""
    folder = flows(tmp_path, *CROSSING)
    report_of(folder, *with_names(folder, two_zones(HOSTILE)))
    page = browser.new_page()
    page.open(folder / "report.html")
    assert HOSTILE[:25] in page.run("document.querySelector('#talkers tbody th').textContent")
    assert page.run("document.querySelectorAll('main img, main script[src]').length") == 0
    assert page.complaints == []
