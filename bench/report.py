"""docs/benchmarks.md has generated sections between markers; the text outside of them is written by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

BEGIN = "<!-- scripts/bench {part} writes from here -->"
END = "<!-- to here: {part} -->"


def replace_section(page: str, part: str, text: str) -> str:
    """Put a part's text between its markers; ValueError unless the page has both, once each and in order."""
    begin, end = BEGIN.format(part=part), END.format(part=part)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page lacks a pair of lines, or has it twice:\n{begin}\n{end}")
    between = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
    return between.sub(lambda _: f"\n\n{text.strip()}\n\n", page)


def write_section(page: Path, part: str, text: str, charts: Mapping[str, str]) -> None:
    """Rewrite a part's section of the page on disk, and the charts beside it."""
    whole = replace_section(page.read_text(), part, text)
    for name, svg in charts.items():
        _write(page.with_name(name), svg)
    _write(page, whole)


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.rename(path)
