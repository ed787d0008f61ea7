"""The commands in the docs exist, with the options shown; those that need no AWS are run."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.render import ROOT
from toptalkers.cli.main import cli
from toptalkers.flowlog.fields import FIELDS
from toptalkers.names.snapshot import format_snapshot
from toptalkers.sample.snapshot import company_snapshot

DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "emr/README.md"]
SHOWN = re.compile(r"(?<![\w/.-])toptalkers (?=[a-z-])([^`|#&;)\n]+)")


def shown_commands(text: str) -> list[list[str]]:
    """Return the arguments of each `toptalkers` command in code, in console blocks and between backticks."""
    text = text.replace("\\\n", " ")
    code = re.findall(r"```console\n(.*?)```", text, re.DOTALL) + re.findall(r"`(toptalkers [^`]+)`", text)
    found = []
    for piece in code:
        for command in SHOWN.findall(piece):
            arguments = shlex.split(command.replace("…", "").replace("...", ""))
            if arguments and arguments[0] in cli.list_commands(click.Context(cli)):
                found.append(arguments)
            else:
                assert not re.fullmatch(r"[a-z]+(-[a-z]+)*", arguments[0]), f"no such command: {command}"
    return found


COMMANDS = [(path.name, arguments) for path in DOCS for arguments in shown_commands(path.read_text())]


def test_commands_are_found() -> None:
    """The docs show commands, and this test finds many of them."""
    assert len({arguments[0] for _, arguments in COMMANDS}) > 8


@pytest.mark.parametrize(("name", "arguments"), COMMANDS, ids=lambda value: " ".join(value)[:60])
def test_shown_options_exist(name: str, arguments: list[str]) -> None:
    """Click knows each option that a shown command has."""
    del name
    command: click.Command | None = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and arguments:
        command = command.get_command(context, arguments[0])
        arguments = arguments[1:]
        assert command is not None
        context = click.Context(command, parent=context)
    assert command is not None
    command.make_parser(context).parse_args(list(arguments))


OPTIONS = [
    (path.name, options)
    for path in DOCS
    for options in re.findall(r"`(--(?:by|metric|where|count) [^`]+)`", path.read_text())
    if "PARTS" not in options and "EXPRESSION" not in options
]


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: value[:60])
def test_shown_questions_can_be_asked(name: str, options: str, tmp_path: Path) -> None:
    """The options of a question that the docs show are understood, and answered from an empty flow log."""
    del name
    header = tmp_path / "header.log"
    header.write_text(" ".join(FIELDS) + "\n")
    names = tmp_path / "network.json"
    names.write_bytes(b"".join(format_snapshot(company_snapshot())))
    naming = ["--names", str(names)] if re.search(r"\b(src|dst)\.", options) else []
    done = CliRunner().invoke(cli, ["run-local", *shlex.split(options), *naming, "--format", "csv", str(header)])
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1), done.stderr


def test_the_commands_for_own_files_run(tmp_path: Path) -> None:
    """The commands that README.md shows for local files run unchanged, and give an answer."""
    subprocess.run(
        [sys.executable, "-m", "toptalkers", "sample", "--records", "2000", "--layout", "aws-s3", "--out", "flowlogs"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (tmp_path / "AWSLogs/2026").mkdir(parents=True)
    for file in (tmp_path / "flowlogs").rglob("*.gz"):
        (tmp_path / "AWSLogs/2026" / file.name).write_bytes(file.read_bytes())
    section = (ROOT / "README.md").read_text().partition("## Count your own files\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\$ toptalkers (run-local .+)$", section, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        done = subprocess.run(
            [sys.executable, "-m", "toptalkers", *shlex.split(line)],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        assert "records" in done.stderr
    assert (tmp_path / "who-knocks.csv.gz").stat().st_size > 0


def test_the_example_of_conversations_is_what_the_commands_print(tmp_path: Path) -> None:
    """The page of questions shows the sample's plain count, its conversations, and what really was sent."""
    page = (ROOT / "docs/questions.md").read_text()
    example = page[page.index("$ toptalkers sample --records 200000") :].partition("```")[0]
    commands = [line.removeprefix("$ toptalkers ") for line in example.splitlines() if line.startswith("$ toptalkers")]
    made, *asked = [shlex.split(one.replace("sample/", f"{tmp_path}/")) for one in commands]
    assert CliRunner().invoke(cli, made).exit_code == 0
    for one, arguments in zip(commands[1:], asked, strict=True):
        assert f"$ toptalkers {one}\n{CliRunner().invoke(cli, arguments).stdout}$ " in example
    sent = json.loads((tmp_path / "truth.json").read_text())["conversations"][:3]
    lines = ["\t".join(str(one[name]) for name in ("client", "server", "port", "bytes")) for one in sent]
    assert example.endswith("\n".join(["", *lines, ""]))


def test_the_example_of_names_is_what_the_commands_print(tmp_path: Path) -> None:
    """README.md shows the answer by groups and services that the sample and its snapshot give."""
    section = (ROOT / "README.md").read_text().partition("## From addresses to names\n")[2].partition("\n## ")[0]
    example = section.partition("```console\n")[2].partition("```")[0]
    made, asked = re.findall(r"^\$ toptalkers (.+)$", example, re.MULTILINE)
    assert CliRunner().invoke(cli, shlex.split(made.replace("sample/", f"{tmp_path}/"))).exit_code == 0
    done = CliRunner().invoke(cli, shlex.split(asked.replace("sample/", f"{tmp_path}/")))
    assert example == f"$ toptalkers {made}\n$ toptalkers {asked}\n{done.stdout}"
