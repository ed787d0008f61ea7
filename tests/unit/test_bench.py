"""The bench's report keeps other text unchanged, and its bounds can fail."""

import gzip
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.__main__ import PAGE, PARTS
from bench.bounds import Bound, check
from bench.chart import Panel, draw
from bench.part import same, table
from bench.report import BEGIN, END, replace_section, write_section
from bench.tools import PEERS
from tests.frames import frames_of
from toptalkers.job.steps import GZIP_DELIMITER

PROSE = "# Title\n\n{one}\n\nBy hand, \\1 too.\n\n{two}\nThe end.\n"


def section(part: str, text: str) -> str:
    return f"{BEGIN.format(part=part)}{text}{END.format(part=part)}"


def test_a_part_rewrites_its_own_section_alone(tmp_path: Path) -> None:
    """Writing one part changes no byte outside of its markers, however often it is written."""
    page = tmp_path / "benchmarks.md"
    page.write_text(PROSE.format(one=section("local", "\nold\n"), two=section("emr", "\nkept\n")))
    for text in ("new \\1\n", "newer \\g<0>"):
        write_section(page, "local", text, {"chart.svg": "<svg/>"})
        expected = section("local", f"\n\n{text.strip()}\n\n")
        assert page.read_text() == PROSE.format(one=expected, two=section("emr", "\nkept\n"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmarks.md", "chart.svg"]


@pytest.mark.parametrize("page", ["", section("local", "") * 2, END.format(part="local") + BEGIN.format(part="local")])
def test_a_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    """A missing, doubled or reversed pair of markers is an error, and not a page in disorder."""
    with pytest.raises(ValueError, match="lacks a pair"):
        replace_section(page, "local", "new")


def test_the_page_has_a_place_for_every_part() -> None:
    """`--write` finds the markers of each part in docs/benchmarks.md."""
    page = PAGE.read_text()
    for part in PARTS:
        replace_section(page, part, "new")


def test_a_ratio_far_off_fails() -> None:
    """A ratio above its bound fails and says what was expected; one at its bound, or not measured, does not fail."""
    bounds = (Bound("a / b", 2.0, "the reason"), Bound("c / d", 1.5, "another"), Bound("e / f", 1.0, "none"))
    lines, all_hold = check({"a / b": 2.01, "c / d": 1.5, "not bound": 99}, bounds)
    assert not all_hold
    assert "FAR OFF" in lines[0]
    assert "2.01, expected at most 2 (the reason)" in lines[0]
    assert [line.split("  ")[0] for line in lines[1:]] == ["holds", "not measured"]
    assert check({"a / b": 2.0}, bounds)[1]


def test_different_answers_end_the_bench() -> None:
    """No time is shown if a peer's answer differs."""
    assert same({"ours": b"1", "theirs": b"1"}) == "Same answer: ours; theirs."
    with pytest.raises(SystemExit, match="answers of ours and third differ"):
        same({"ours": b"1", "theirs": b"1", "third": b"2"})


def test_a_chart_is_whole_and_labelled() -> None:
    """A chart is XML, with one point per measurement, both axes named, and round numbers along them."""
    panel = Panel("time over records", "records", "seconds", {"a & b": [(1e6, 0.4), (4e6, 1.3)], "c": [(1e6, 1.0)]})
    root = ET.fromstring(draw([panel], columns=1))  # noqa: S314 - our own
    name = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in root.iter(f"{name}text")]
    assert len(list(root.iter(f"{name}circle"))) == 3
    assert {"records", "seconds", "time over records", "a & b", "1M", "2M", "1"} <= set(texts)


def test_a_table_is_markdown_of_even_width() -> None:
    """Columns are aligned, so that the table can be read in a terminal as on the page."""
    lines = table(("name", "time"), [("a long name", "1 s"), ("b", "10.00 s")]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].startswith("| :--")


@pytest.mark.parametrize("how", ["drop", "unpack", "count"])
def test_a_mapper_that_stops_early_reads_all_and_prints_nothing(how: str) -> None:
    """Each mapper of the split takes the words of count_files.py, reads its input to the end, and sends no line."""
    line = b"2 123456789012 eni-0a1b2c3d 10.0.0.1 10.0.1.9 40000 443 6 10 8400 1793491200 1793491260 ACCEPT OK\n"
    frames = frames_of([gzip.compress(line * 5000), gzip.compress(line)], GZIP_DELIMITER.encode())
    words = [sys.executable, str(PEERS / "frames_script.py"), how, "--delimiter", GZIP_DELIMITER, "--ports", "0-1024"]
    done = subprocess.run(words, input=frames, capture_output=True, check=True)
    assert done.stdout == b""
    assert (b"counter:toptalkers,records_read,5001" in done.stderr) == (how == "count")
