"""GitHub's files, checked before GitHub reads them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.render import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = ROOT / ".github/ISSUE_TEMPLATE"


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    """The jobs of a workflow, by name."""
    return dict(yaml.safe_load(path.read_text())["jobs"])


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", sorted(set(FORMS.glob("*.yml")) - {FORMS / "config.yml"})),
        ("github-issue-config", [FORMS / "config.yml"]),
    ],
)
def test_files_have_the_form_that_github_wants(schema: str, files: list[Path]) -> None:
    """Workflows and issue forms fit the published schemas."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_workflows_pass_actionlint() -> None:
    """Expressions, runners, inputs of actions and shell lines are sound; CI installs actionlint."""
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("needs actionlint, which its package downloads from GitHub")
    done = subprocess.run([actionlint, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_do_little(path: Path) -> None:
    """A workflow may read the repository; only the job that publishes may do more, in its environment."""
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    for name, job in jobs(path).items():
        assert ("permissions" in job) == (name == "publish")
        assert "environment" in job or name != "publish"
        assert job["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_hold_no_logic_of_their_own(path: Path) -> None:
    """Each command is one line: a script of this repository, or the installation of a tool."""
    for job in jobs(path).values():
        for command in (step["run"] for step in job["steps"] if "run" in step):
            assert re.fullmatch(r"(scripts|\.ci)/[^\n;&|]+|(sudo apt-get|pipx) install [^\n;&|]+", command), command
            if not command.startswith(("sudo", "pipx")):
                assert (ROOT / command.split()[0]).is_file()
