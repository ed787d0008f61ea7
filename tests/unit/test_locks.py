"""Dependencies: bounded for users in pyproject.toml, and pinned by hash in locks/ for contributors and CI."""

import importlib.metadata
import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import hatch_build

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PYPROJECT["dependency-groups"]
LOCKS = sorted(path.stem for path in (ROOT / "locks").iterdir())
WHERE = [
    {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": system}
    for python, system in itertools.product(("3.11", "3.12", "3.13", "3.14"), ("linux", "darwin"))
]
"""Where CI installs them."""


def group(name: str) -> Iterator[str]:
    """Return the requirements of a dependency group, including those of included groups."""
    for entry in GROUPS[name]:
        if isinstance(entry, str):
            yield entry
        else:
            yield from group(entry["include-group"])


USERS = PYPROJECT["project"]["dependencies"]
PARQUET = PYPROJECT["project"]["optional-dependencies"]["parquet"]
SANDBOX = PYPROJECT["project"]["optional-dependencies"]["sandbox"]
ASKED = {
    "users": [*USERS, *group("build")],
    "sandbox": [*USERS, *SANDBOX, *group("build")],
    "contributors": [*USERS, *PARQUET, *SANDBOX, *group("test"), *group("lint")],
    "compiler": [*group("compiler")],
    "peers": [*group("bench")],
    "peers-quick": [*group("bench-quick")],
    "checkov": [*group("checkov")],
    "aws-cli": [*group("aws-cli")],
    "docs": [*group("docs")],
    "release": [*group("release")],
    "lock": [*group("lock")],
}
"""What each file of locks/ is to hold, as scripts/lock makes them."""

ALL = sorted({*PYPROJECT["build-system"]["requires"], *itertools.chain(*ASKED.values())})


def pins(name: str, where: dict[str, str]) -> dict[str, Version]:
    """Return the versions that a file of locks/ pins on a machine."""
    lines = (ROOT / f"locks/{name}.txt").read_text().replace("\\\n", "").splitlines()
    found = [Requirement(re.sub(r"\s+--hash=\S+", "", line)) for line in lines]
    held = [one for one in found if one.marker is None or one.marker.evaluate(where)]
    assert len({one.name for one in held}) == len(held), "a package is pinned twice"
    return {canonicalize_name(one.name): Version(str(one.specifier).removeprefix("==")) for one in held}


def next_major(version: Version) -> Version:
    """Return the first later version that may be incompatible: for 0.x that is the next minor version."""
    return Version(f"0.{version.minor + 1}" if version.major == 0 else f"{version.major + 1}")


def test_all_that_is_asked_for_is_looked_at() -> None:
    """Each file of locks/ and each group of pyproject.toml is in the list of the other tests."""
    assert sorted(ASKED) == LOCKS
    assert {one for name in GROUPS for one in group(name)} <= set(ALL)
    assert list(PYPROJECT["project"]["optional-dependencies"]) == ["parquet", "sandbox"]


@pytest.mark.parametrize("asked", ALL)
def test_a_dependency_ends_before_the_next_major_version(asked: str) -> None:
    """The first version of each package that may be incompatible with the pinned one is not allowed."""
    requirement = Requirement(asked)
    name = canonicalize_name(requirement.name)
    pinned = {found[name] for lock in LOCKS for where in WHERE if name in (found := pins(lock, where))}
    assert pinned
    for version in pinned:
        assert not requirement.specifier.contains(next_major(version)), f"{asked} has no upper bound"


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("where", WHERE, ids=lambda where: f"{where['python_version']}-{where['sys_platform']}")
def test_a_lock_is_what_pyproject_allows(lock: str, where: dict[str, str]) -> None:
    """Each lock has an allowed version of every requirement; otherwise run scripts/lock."""
    pinned = pins(lock, where)
    for requirement in map(Requirement, ASKED[lock]):
        if requirement.marker is None or requirement.marker.evaluate(where):
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), str(requirement)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_by_hash_and_names_no_host(lock: str) -> None:
    """Each line is one version of a package with its hashes, without an index: that is each machine's choice."""
    text = (ROOT / f"locks/{lock}.txt").read_text()
    pinned = r"[a-z0-9.-]+==[^ ;\\]+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(f"({pinned})+", text)
    assert "://" not in text


@pytest.mark.parametrize(("part", "whole"), [("users", "sandbox"), ("sandbox", "contributors")])
def test_what_users_of_the_scripts_get_is_what_was_tested(part: str, whole: str) -> None:
    """A smaller lock pins only what the larger one pins."""
    for where in WHERE:
        assert pins(part, where).items() <= pins(whole, where).items()


def test_all_that_is_installed_here_is_in_the_lock() -> None:
    """These tests run with exactly the pinned versions; otherwise remove .venv and run scripts/test."""
    pinned = pins("contributors", {})
    with_python = {"pip", "setuptools", "toptalkers"}
    installed = {
        canonicalize_name(one.metadata["Name"]): Version(one.version) for one in importlib.metadata.distributions()
    }
    strays = {name: str(version) for name, version in installed.items() if pinned.get(name) != version}
    assert strays.keys() <= with_python, strays


def test_the_build_asks_for_the_same_compiler() -> None:
    """The compiler that hatch_build.py installs for a build is the one that the tests know."""
    hook = object.__new__(hatch_build.KernelBuildHook)
    assert hook.dependencies() == GROUPS["compiler"]
