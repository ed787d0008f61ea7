"""Sphinx builds the site from the Markdown files of the repository as they are: `scripts/docs`."""

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
FIRST = ["cli", "where", "permissions", "operations", "choosing", "benchmarks", "architecture"]
OTHERS = sorted({path.stem for path in (ROOT / "docs").glob("*.md")} - {*FIRST})
CONTENTS = {
    "README": [
        *(f"docs/{name}" for name in [*FIRST, *OTHERS]),
        "emr/README",
        "docs/decisions/README",
        "CHANGELOG",
        "Security <SECURITY>",
        "CONTRIBUTING",
        "Releasing <RELEASING>",
    ],
    "docs/decisions/README": [path.stem for path in sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))],
}
"""The pages below a page. On GitHub nobody misses them, so the Markdown does not hold them."""

project = "toptalkers"
project_copyright = "The toptalkers developers"
version = release = re.findall(r'__version__ = "(.*)"', (ROOT / "src/toptalkers/__init__.py").read_text())[0]

root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "emr/*.md"]
exclude_patterns = [".*", "bench", "build", "dist", "locks", "scripts", "src", "tests"]
extensions = ["myst_parser"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"toptalkers {release}"
html_copy_source = False
html_show_sphinx = False
html_use_index = False


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Add the pages below a page to its source."""
    del app
    if page in CONTENTS:
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", "", *CONTENTS[page], "```\n"])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
