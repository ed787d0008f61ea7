"""Generated docs are up to date, and everything that the docs name exists."""

import json
import re
import shlex
from datetime import date
from pathlib import Path

import pytest
from packaging.version import Version

from tests.render import ROOT, rendered
from toptalkers import __version__

DOCS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", rendered(), ids=lambda path: path.name)
def test_rendered_files_are_up_to_date(path: Path) -> None:
    """The checked-in file is what the code renders; `python -m tests.render` writes it."""
    assert path.read_text() == rendered()[path]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of the docs leads to a file or folder of the repository."""
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_architecture_names_what_is_there() -> None:
    """Rooms and files in the architecture exist, and every room is named."""
    text = (ROOT / "docs/architecture.md").read_text()
    package = ROOT / "src/toptalkers"
    for room in re.findall(r"\*\*`(\w+)/`\*\*", text):
        assert (package / room).is_dir(), room
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"`(\w+)/`", text))


def test_changelog_dates_this_version() -> None:
    """The package's version has a dated heading; headings are newest first, and hold known kinds of change only."""
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    dated = [re.fullmatch(r"\[(\S+)\] - (\d{4}-\d\d-\d\d)", heading) for heading in headings[1:]]
    releases = [(Version(one[1]), date.fromisoformat(one[2])) for one in dated if one]
    assert len(releases) == len(dated), headings
    assert releases == sorted(releases, reverse=True)
    assert Version(__version__) in dict(releases)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_i3_f5_the_recipe_by_hand_asks_for_what_run_emr_asks() -> None:
    """I3, F5: create-cluster has the parts of cluster.json as the options that the AWS CLI has for them."""
    text = (ROOT / "emr/README.md").read_text().replace("\\\n", "")
    (line,) = re.findall(r"aws emr create-cluster (.*)", text)
    words = shlex.split(re.sub(r"\$\((output \w+)\)", r"<\1>", line).rstrip(")").replace("<output ", "<"))
    given: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            given[word] = option = []
        else:
            option.append(word)
    request = json.loads((ROOT / "emr/cluster.json").read_text())
    assert given["--service-role"] == ["<EmrServiceRole>"]
    assert given["--security-configuration"] == ["<EmrSecurityConfiguration>"]
    assert given["--ec2-attributes"] == ["InstanceProfile=<EmrInstanceProfile>"]
    assert given["--release-label"] == [request["ReleaseLabel"]]
    assert given["--log-uri"] == ["s3://$BUCKET/logs/$RUN/"]
    assert re.fullmatch("s3://[^/]+/logs/[^/]+/", request["LogUri"])
    assert given["--steps"] == ["file://steps.json"]
    tags = {f"{one['Key']}={one['Value']}".partition("=")[0] for one in request["Tags"]}
    assert {one.partition("=")[0] for one in given["--tags"]} <= tags
    assert "for-use-with-amazon-emr-managed-policies=true" in given["--tags"]
    assert given["--auto-terminate"] == []
    assert given["--auto-termination-policy"] == [f"IdleTimeout={request['AutoTerminationPolicy']['IdleTimeout']}"]
    assert "--cli-input-json" not in "".join(path.read_text() for path in DOCS)


def test_the_table_of_findings_names_tests_that_exist() -> None:
    """Each finding has a row, and each test of a row is in a file of that name."""
    text = (ROOT / "docs/decisions/0018-an-ordinary-account.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| [FICSP][0-9]+ \|", line)]
    counts = {"F": 11, "I": 6, "C": 6, "S": 12, "P": 8}
    assert [row.split()[1] for row in rows] == [f"{kind}{n + 1}" for kind in counts for n in range(counts[kind])]
    for row in rows:
        name = ""
        for file, test in re.findall(r"`(test_\w+\.py)?::(test_\w+)`", row):
            name = file or name
            paths = (ROOT / "tests").glob(f"*/{name}")
            assert any(f"def {test}(" in path.read_text() for path in paths), (name, test)
