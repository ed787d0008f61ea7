"""The page: how long a browser computes until a large picture is drawn and can be used."""

import os
import statistics

from bench.part import Context, Section, table
from tests.chromium import Browser, find_chromium, open_browser
from tests.networks import made_network, made_view
from toptalkers.picture.page import format_page

COUNTS, QUICK_COUNTS = (200, 1000, 2000), (2000,)
"""How many edges the first view has."""

RUNS = 5


def run(context: Context) -> Section:
    """Measure."""
    chromium = find_chromium()
    if chromium is None:
        return Section("No Chromium on this machine.")
    rows = []
    with open_browser(chromium) as browser:
        version = browser.call("Browser.getVersion", {})["product"].rpartition("/")[2]
        for count in QUICK_COUNTS if context.is_quick else COUNTS:
            path = context.work / f"page-{count}.html"
            network = made_network(made_view("name", count), made_view("sg", 300), made_view("subnet", 30))
            path.write_bytes(b"".join(format_page(network)))
            found = [_measure(browser, path.as_uri()) for _ in range(RUNS + 1)][1:]
            drawn, done, wall = (statistics.median(column) for column in zip(*found, strict=True))
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            rows.append([f"{count:,}", size, f"{drawn:.2f} s", f"{done:.2f} s", f"{wall:.2f} s"])
    head = ("edges", "file", "CPU until drawn", "CPU until idle", "drawn after")
    return Section(
        f"`toptalkers graph`'s page in Chromium {version} without a screen and without a graphics card, 1,280 by 900:"
        f" the CPU time of the page's main thread until the picture is drawn, and until nothing is left to do."
        f" Median of {RUNS}; the machine's load was {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
        f"\n\n{table(head, rows)}"
    )


def _measure(browser: Browser, address: str) -> tuple[float, float, float]:
    """Open a page; return the seconds of CPU until it is drawn, and until it is idle, and the seconds until drawn."""
    page = browser.new_page()
    page.look(width=1280, height=900)
    page.call("Performance.enable", timeDomain="threadTicks")

    def used() -> float:
        metrics = page.call("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    before = used()
    page.call("Page.navigate", url=address)
    page.wait("document.readyState === 'complete' && document.documentElement.dataset.ready !== undefined")
    drawn = used() - before
    wall = float(page.run("document.documentElement.dataset.ready")) / 1000
    page.run("new Promise((done) => setTimeout(() => requestIdleCallback(done), 1000))")
    done = used() - before
    page.call("Page.close")
    return drawn, done, wall
