"""The rules of CONTRIBUTING.md about code and tests hold."""

import ast
import re
from pathlib import Path

import pytest

from tests.render import ROOT
from tests.unit.test_imports import FLOORS

TESTS = sorted((ROOT / "tests").rglob("*.py"))
SOURCES = sorted((ROOT / "src").rglob("*.py"))

# Names of other modules that tests may replace.
HELD_STILL = {"sleep", "tempfile.tempdir", "botocore.handlers.uuid.uuid4"}


def replaced_attributes(path: Path) -> list[str]:
    """Return the names that a test file replaces by `setattr`, in the order of its lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            name = next(
                argument.value for argument in node.args if isinstance(argument, ast.Constant) and argument.value
            )
            found.append(str(name))
    return found


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_replace_constants_only(path: Path) -> None:
    """Tests lower limits, which are constants; they replace none of our functions and methods."""
    for name in replaced_attributes(path):
        assert name in HELD_STILL or name.rpartition(".")[2].isupper(), name


def test_the_map_is_the_one_that_imports_follow() -> None:
    """The map in CONTRIBUTING.md has the same floors, in the same order, as the import test."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    drawn = re.search(r"```text\n(.*?)```", text, re.DOTALL)
    assert drawn is not None
    floors = [set(re.findall(r"\w+", line)) for line in drawn[1].split("→")]
    by_floor: dict[int, set[str]] = {}
    for room, floor in FLOORS.items():
        by_floor.setdefault(floor, set()).add(room)
    assert floors == [by_floor[floor] for floor in sorted(by_floor, reverse=True)]


def test_contributing_names_files_that_exist() -> None:
    """Each path in CONTRIBUTING.md is of the repository or of the package; capital letters stand for a name."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    words = re.findall(r"`([\w./-]+)[^`]*`|\]\(([\w./-]+)\)", text)
    paths = [path for word in words for path in word if re.search(r"/|\.(py|md|toml)$", path)]
    assert len(paths) > 40
    for path in paths:
        if not path.startswith(".venv/") and not re.search(r"\b[A-Z]{4}\b", path.removesuffix(".md")):
            assert (ROOT / path).exists() or (ROOT / "src/toptalkers" / path).exists(), path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_sends_to_a_file_that_pip_does_not_install(path: Path) -> None:
    """Texts for users name commands, not files of the repository."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            assert "docs/" not in node.value, node.value
