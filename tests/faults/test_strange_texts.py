"""Texts that others chose (names, keys, tags, reasons) can neither control a terminal nor forge a line."""

import ast
import json
import os
import tempfile
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

import toptalkers.cli
from tests.commands import command
from tests.fake_account import FakeAccount, refusal
from tests.fake_aws import NOW, FakeAws
from tests.faults.strange import is_harmless, texts
from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.formats import format_answer
from toptalkers.capture.template import render_template
from toptalkers.question.key import is_address
from toptalkers.question.query import Query
from toptalkers.runs.cluster.request import ClusterOptions
from toptalkers.runs.plan import plan_run
from toptalkers.runs.watch import execute_run
from toptalkers.visible import visible

TALK = {"click.echo", "click.secho", "click.confirm", "click.prompt", "print", "sys.stderr.write", "sys.stdout.write"}


@given(texts)
def test_visible_texts_are_one_line_that_shows(text: str) -> None:
    """Every character of the result is printable, for any input; printable texts do not change."""
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert (shown == text) == text.isprintable()
    assert visible(shown) == shown


def test_commands_talk_through_one_door() -> None:
    """Only the module `talk` of the command line prints, echoes, asks or writes to a standard stream."""
    for path in Path(toptalkers.cli.__file__).parent.glob("*.py"):
        if path.name == "talk.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in TALK, f"{path.name}:{node.lineno}"


def run(*arguments: str, account: object = None) -> Result:
    """Run a command; all its messages are harmless."""
    result = command(account, *arguments)
    assert is_harmless(result.stderr), result.stderr
    return result


@settings(max_examples=25)
@given(texts)
def test_names_of_files(text: str) -> None:
    """A file with any name is left out in one line, and its name in --output gives one line of error."""
    raw = os.fsencode("".join(one for one in text if one not in "/\0").encode("utf-8", "replace").decode())[:100]
    name = "n" + os.fsdecode(raw)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(b"PAR1")
        lines = run("run-local", folder).stderr.splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("left out: ")
        missing = run("run-local", folder, "--output", f"{folder}/none/{name}").stderr
        assert missing.startswith("Error: cannot write ")
        assert missing.count("\n") == 1
        assert run("run-local", folder, "--top", name).stderr.count("\n") == 1


@settings(max_examples=25)
@given(texts)
def test_keys_reasons_and_tags_of_status(text: str) -> None:
    """`status` prints as many lines as with harmless texts, and a terminal shows every character."""

    def lines(text: str) -> int:
        aws = FakeAws()
        stack = aws.cfn.add("toptalkers", "CREATE_COMPLETE")
        aws.cfn.bring_up(stack, render_template(), {}, [])
        stack["StackStatusReason"] = text
        aws.store.objects[f"flowlogs/{NOW:%Y/%m/%d/%H}/{text}"] = (1, NOW)
        aws.compute.add("vpc-1", DeliverLogsErrorMessage=text, LogDestinationType=text)
        shown = run("status", account=aws).stdout
        assert is_harmless(shown)
        return shown.count("\n")

    assert lines(text) == lines("harmless")


@settings(max_examples=20)
@given(texts)
def test_reasons_of_runs(text: str) -> None:
    """A reason in run.json or an error of AWS takes one line of `runs` and `fetch-results`."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    plan = plan_run(account.open(), account.site, Query(), options=ClusterOptions(), token="4f2a")  # noqa: S106
    execute_run(account.open(), plan, say=lambda _: None, ask=lambda _: "terminate")
    key = f"runs/{plan.record.run_id}/run.json"
    record = json.loads(account.fake_s3.objects[key])
    account.fake_s3.objects[key] = json.dumps({**record, "state": "FAILED", "reason": text}).encode()
    shown = run("runs", account=account).stdout
    assert is_harmless(shown)
    assert shown.count("\n") == 2
    assert run("fetch-results", plan.record.run_id, account=account).stderr.count("\n") == 1
    account.fake_s3.error = refusal("AccessDenied", text, "ListObjectsV2")
    assert run("runs", account=account).stderr.count("\n") == 1


groups = st.sampled_from(["0", "1", "5", "10", "100", "1234", "a", "b", "ab", "abc", "abcd", "cd", "bed", "bee"])
addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.lists(groups, min_size=2, max_size=6).map(lambda parts: "2001:" + ":".join(parts) + "::1"),
    st.lists(groups, min_size=2, max_size=6).map(lambda parts: "::" + ":".join(parts)),
).filter(is_address)


@given(st.lists(st.tuples(addresses, addresses, st.integers(0, 65535), st.integers(1, 2**63 - 1)), min_size=1))
def test_a_table_holds_addresses_as_they_were_logged(rows: list[tuple[str, str, int, int]]) -> None:
    """Each row of a table is one line, and its words are exactly the rank, the addresses, the port and the sum."""
    chunks = [Query().lines.format((src, dst, port), [number]) for src, dst, port, number in rows]
    table = b"".join(format_answer(Answer(Query(), chunks, Tally()), "table")).decode()
    shown = [line.split() for line in table.splitlines()[2:]]
    assert shown == [[str(at), src, dst, str(port), f"{n:,}"] for at, (src, dst, port, n) in enumerate(rows, 1)]


@pytest.mark.parametrize("text", ["plain", "größer", "日本", "a b"])
def test_texts_that_print_stay(text: str) -> None:
    """Letters of any script and plain spaces are not control characters."""
    assert visible(text) == text
