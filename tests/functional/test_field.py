"""Files from elsewhere, one of each kind, through every engine: read correctly, or named with their kind."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from toptalkers.capture import preprocess
from toptalkers.cli.main import cli

FIELD = Path(__file__).parents[1] / "field"
ANSWER = (FIELD / "answer.tsv").read_text()

ENGINES = ["local", "mrjob", pytest.param("hadoop", marks=pytest.mark.hadoop)]

UNDERSCORES = (
    "version account_id interface_id srcaddr dstaddr dstport srcport protocol bytes packets start end action log_status"
)

READ = {
    "json-message.log": [],
    "cli-tail.log": [],
    "insights.csv": [],
    "archive.tar.gz": [],
    "swapped.tar.gz": [],
    "flows-1-2026-11-23-17-00-00-0a1b": [],
    "packed.log.bz2": [],
    "twice.log.gz": [],
    "envelopes.gz": [],
    "no-action-all.log": ["--action", "ALL"],
    "export": [],
    "underscores.log": ["--log-format", UNDERSCORES],
}

NAMED = {
    "alphabetical-no-header.log": "29 columns, and the default format has 14; .* --log-format",
    "other-format-no-header.log": "27 columns, and the default format has 14; .* --log-format",
    "tgw-no-header.log": "transit gateway records: ask with --log-format transit-gateway --action ALL",
    "no-action.log": "no action.*--action ALL",
}

OTHER_FORMAT = (
    "account-id vpc-id subnet-id interface-id instance-id srcaddr srcport dstaddr dstport protocol packets bytes action"
    " log-status start end flow-direction traffic-path tcp-flags pkt-srcaddr pkt-src-aws-service pkt-dstaddr"
    " pkt-dst-aws-service region az-id sublocation-type sublocation-id"
)


def run(path: Path, engine: str, *arguments: str) -> tuple[int, str, str]:
    """Run `run-local`; return exit code, answer and messages."""
    given = ["run-local", str(path), "--engine", engine, "--format", "tsv", *arguments]
    result = CliRunner().invoke(cli, given)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", READ)
def test_known_by_sight_and_read(name: str, engine: str) -> None:
    """The wrapping or compression of other tools does not change the answer."""
    code, answer, said = run(FIELD / name, engine, *READ[name])
    assert (code, answer) == (0, ANSWER), said


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NAMED)
def test_not_known_and_named(name: str, engine: str) -> None:
    """A file in an undeclared layout is named, with its apparent layout, and the exit code is 1."""
    code, answer, said = run(FIELD / name, engine)
    assert (code, answer) == (1, "")
    assert re.search(f"{name}: .*{NAMED[name]}", said)


def test_named_and_then_asked_for() -> None:
    """With the option that the message about a file recommends, the file is read."""
    assert run(FIELD / "no-action.log", "local", "--action", "ALL")[:2] == (0, ANSWER)
    right = (FIELD / "other.tsv").read_text()
    assert run(FIELD / "other-format-no-header.log", "local", "--log-format", OTHER_FORMAT)[:2] == (0, right)
    gateway = run(FIELD / "tgw-no-header.log", "local", "--log-format", "transit-gateway", "--action", "ALL")
    assert gateway[:2] == (0, ANSWER)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("as_text", [True, False])
def test_a_linked_folder_is_read(tmp_path: Path, engine: str, as_text: bool) -> None:
    """A folder with a link to another one is read with it, even if the link was copied as text."""
    shutil.copytree(FIELD / "linked", tmp_path / "linked")
    link = tmp_path / "linked" / "logs" / "more"
    if as_text:
        link.write_text("../elsewhere")
    else:
        link.symlink_to("../elsewhere")
    code, answer, said = run(tmp_path / "linked" / "logs", engine)
    assert (code, answer) == (0, ANSWER), said


@pytest.mark.parametrize(
    "text",
    [
        "../elsewhere\n",
        " ../elsewhere",
        "elsewhere",
        "../nowhere",
        "/elsewhere",
        "..\0/elsewhere",
        "../elsewhere/b.log",
    ],
)
def test_a_text_that_is_no_link_is_named(tmp_path: Path, text: str) -> None:
    """A small file that is no link to a folder is treated like others, and named because it is no flow log."""
    shutil.copytree(FIELD / "linked", tmp_path / "linked")
    (tmp_path / "linked" / "logs" / "more").write_text(text)
    code, answer, said = run(tmp_path / "linked" / "logs", "local")
    assert code == 1
    assert answer == run(FIELD / "linked" / "logs" / "a.log", "local")[1] != ANSWER
    assert "left out: " in said


def test_the_lambda_takes_no_other_format() -> None:
    """The function takes each record of another format for a misfit, and writes none below our header."""

    class Storage:
        def put_object(self, **_: object) -> None:
            pass

    event = json.loads((FIELD / "lambda-other-format.json").read_text())
    settings = preprocess.Settings("toptalkers-bucket", preprocess.parse_columns(""))
    tally = preprocess.process(event, Storage(), settings)
    assert (tally["kept"], tally["misfits"]) == (0, 5)
