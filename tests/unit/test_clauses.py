"""The table of clauses: each clause reaches its option, script, record, plan and cache."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import joined_queries, queries
from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.formats import describe_query, format_answer
from toptalkers.answer.presentation import FORMAT, SHOW, TOP, Presentation, fewer
from toptalkers.cli.fetch_results import fetch_results
from toptalkers.cli.options import query_options
from toptalkers.cli.render import cluster, steps
from toptalkers.cli.run_emr import run_emr
from toptalkers.cli.run_local import run_local
from toptalkers.engines.cache import CountCache
from toptalkers.flowlog.fields import FIELDS
from toptalkers.job import conversations, count_flows, port_filter, sum_counts
from toptalkers.question.clauses import CLAUSES, SUMMED_FIELDS, Clause
from toptalkers.question.query import Query
from toptalkers.runs.record import question_of

OTHER = {
    "by": "pair,hour",
    "metric": "bytes",
    "where": "dstport = 443",
    "ports": "22,443",
    "action": "REJECT",
    "since": "2026-11-01T00:00:00Z",
    "until": "2026-11-02T00:00:00Z",
    "log_format": "${start} ${action} ${srcaddr} ${dstaddr} ${dstport} ${packets} ${bytes}",
    "count": "once",
    "pairs": "yes",
    "address": "eni",
}
"""For each clause, a text that stands for another value than its default."""

BESIDE = {"pairs": {"ports": "0-1024", "metric": "records"}, "address": {"count": "once"}}
"""For some clauses, what must be asked beside that text, so that nothing else changes."""

each_clause = pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.name)


def test_every_clause_is_an_attribute_and_every_attribute_a_clause() -> None:
    """In the same order, with the same default."""
    assert tuple(clause.name for clause in CLAUSES) == tuple(field.name for field in fields(Query)) == tuple(OTHER)
    assert (TOP.name, FORMAT.name, SHOW.name) == tuple(field.name for field in fields(Presentation))
    assert [clause.value(None) for clause in CLAUSES] == [getattr(Query(), clause.name) for clause in CLAUSES]


@each_clause
def test_a_clause_is_an_option_wherever_a_question_is_asked(clause: Clause) -> None:
    """With its help, its choices or form, and its default."""
    for command in (run_local, run_emr, steps, cluster):
        shown = " ".join(command.get_help(click.Context(command, terminal_width=200)).split())
        form = f"/ --no-{clause.name}" if clause.is_flag else clause.metavar
        assert " ".join(f"{clause.option} {form} {clause.help}".split()) in shown
        if clause.default is not None and not clause.is_flag:
            assert f"{clause.help} [default: {clause.default}]" in shown


def test_what_belongs_to_the_answer_is_an_option_wherever_one_is_written() -> None:
    """--top and --format, with both of their defaults, and --show."""
    for command in (run_local, fetch_results):
        shown = " ".join(command.get_help(click.Context(command, terminal_width=200)).split())
        assert f"--top N {TOP.help} [default: 20 on a terminal, else 0]" in shown
        assert f"{FORMAT.metavar} {FORMAT.help} [default: table on a terminal, else tsv]" in shown
        assert f"{SHOW.metavar} {SHOW.help}" in shown


@each_clause
def test_another_value_changes_all_that_depends_on_it(clause: Clause, tmp_path: Path) -> None:
    """The scripts' arguments, run.json, the plan, the question in a JSON answer, a cache entry's identity."""
    beside = BESIDE.get(clause.name, {})
    plain = Query.parse(**({} if clause.is_flag else beside))
    other = Query.parse(**{clause.name: OTHER[clause.name]}, **beside)
    assert plain != other
    assert (plain.mapper_arguments() != other.mapper_arguments()) == ("mapper" in clause.scripts)
    assert (plain.reducer_arguments() != other.reducer_arguments()) == ("reducer" in clause.scripts)
    assert (plain.filter_arguments() != other.filter_arguments()) == ("port filter" in clause.scripts)
    assert (plain.conversation_arguments() != other.conversation_arguments()) == ("conversations" in clause.scripts)
    assert question_of(other)[clause.name] == OTHER[clause.name]
    assert (describe_query(plain) != describe_query(other)) == (clause.describe is not None)
    asked = [b"".join(format_answer(Answer(query, [], Tally()), "json")) for query in (plain, other)]
    assert (asked[0] != asked[1]) == (clause.describe is not None)
    caches = [CountCache(tmp_path, query) for query in (plain, other)]
    are_others = "mapper" in clause.scripts or clause.name in ("count", "pairs")  # with these, records are kept whole
    assert (caches[0]._question != caches[1]._question) == are_others


@each_clause
def test_scripts_take_the_options_of_their_clauses(clause: Clause) -> None:
    """A script refuses unknown clauses, so that a question is never answered in part."""
    word = clause.word(clause.parse(OTHER[clause.name]))
    for script, parse in (
        ("mapper", count_flows.parse_arguments),
        ("reducer", sum_counts.parse_arguments),
        ("port filter", port_filter.parse_arguments),
        ("conversations", lambda arguments: conversations.parse_arguments(["distinct", *arguments])),
    ):
        if script in clause.scripts:
            parse([clause.option, word])
        else:
            with pytest.raises(SystemExit):
                parse([clause.option, word])


@pytest.mark.parametrize(
    ("parse", "arguments"),
    [
        (count_flows.parse_arguments, ["--metric", "bytes,packet"]),
        (count_flows.parse_arguments, ["--ports", "80-22"]),
        (sum_counts.parse_arguments, ["--metric", "bytes,packet"]),
        (port_filter.parse_arguments, ["--ports", "80-22"]),
        (port_filter.parse_arguments, ["--top", "-1"]),
        (port_filter.parse_arguments, ["--metric", "last", "--pairs", "yes"]),
    ],
)
def test_scripts_refuse_values_that_they_do_not_know(
    parse: Callable[[list[str]], object], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the option, and the exit code is that of a wrong usage."""
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert f"error: {arguments[0]}: " in capsys.readouterr().err


@each_clause
def test_the_mapper_takes_every_choice(clause: Clause) -> None:
    """A choice that only some engines know is an answer that only some give."""
    for choice in clause.choices if "mapper" in clause.scripts else ():
        fields = ",".join(("srcaddr", "dstaddr", "dstport", "action", *SUMMED_FIELDS.values()))
        count_flows.parse_arguments([clause.option, choice, "--log-format", fields])


def test_a_clause_that_is_quiet_is_written_only_when_it_is_asked() -> None:
    """So run.json, a JSON answer and a schedule's names are the same as before there was such a clause."""
    quiet = {clause.name for clause in CLAUSES if clause.is_quiet}
    assert quiet == {"count", "pairs", "address"}
    assert not quiet & Query.parse().texts().keys()
    assert not quiet & json.loads(b"".join(format_answer(Answer(Query(), [], Tally()), "json")))["query"].keys()
    asked = Query.parse(count="once", pairs="yes", address="eni")
    assert {name: asked.texts()[name] for name in quiet} == {"count": "once", "pairs": "yes", "address": "eni"}
    assert Query.parse(**asked.texts()) == asked


def test_with_pairs_some_defaults_are_others() -> None:
    """All ports of servers, ranked by bytes; what is given holds."""
    assert Query.parse(pairs="yes").texts() == Query.parse(pairs="yes", ports="all", metric="bytes").texts()
    given = Query.parse(pairs="yes", ports="443", metric="records")
    assert (given.ports, given.metric) == (((443, 443),), ("records",))
    assert Query.parse(pairs="no") == Query()


@click.command()
@query_options
def ask(query: Query, **_: object) -> None:
    """Print the texts of the question."""
    click.echo(json.dumps(query.texts()))


def test_pairs_on_the_command_line_and_in_a_file() -> None:
    """--pairs takes no value; of --metric and --ports, what is given holds, in toptalkers.toml as well."""

    def texts(*words: str, **file: object) -> dict[str, str]:
        asked = CliRunner().invoke(ask, words, default_map=file)
        assert asked.exit_code == 0, asked.output
        found: dict[str, str] = json.loads(asked.stdout)
        return found

    both = {"action": "ACCEPT", "pairs": "yes"}
    assert texts("--pairs") == texts(pairs=True) == {"metric": "bytes", "ports": "all", **both}
    assert texts("--pairs", "--metric", "records") == {"metric": "records", "ports": "all", **both}
    assert texts("--ports", "0-1024", pairs=True) == {"metric": "bytes", "ports": "0-1024", **both}
    assert texts("--pairs", metric="packets", ports="53") == {"metric": "packets", "ports": "53", **both}
    assert texts(pairs=False) == Query.parse().texts()
    assert CliRunner().invoke(ask, ["--pairs", "yes"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (["--pairs", "--where", "dst port 443"], "dstport alone, so one direction may be missing; 'port' and --ports"),
        (["--pairs", "--where", "src net 10.0.0.0/8"], "srcaddr alone, so one direction may be missing; 'host' and"),
        (["--pairs", "--where", "port 443 and host 192.0.2.1 and bytes > 9"], None),
        (["--count", "once", "--where", "dst port 443"], None),
        (["--where", "dst port 443"], None),
    ],
)
def test_a_note_says_that_one_direction_is_asked_for(words: list[str], note: str | None) -> None:
    """Of pairs only, which have both directions."""
    asked = CliRunner().invoke(ask, words)
    assert asked.exit_code == 0
    assert (f"Note: --where looks at {note}" in asked.stderr) if note else ("Note:" not in asked.stderr)


@pytest.mark.parametrize(
    ("words", "is_noted"),
    [
        (["--count", "once", "--where", "host 192.0.2.1"], True),
        (["--count", "once", "--pairs", "--where", "not net 10.0.0.0/8"], True),
        (["--count", "once", "--where", "host 192.0.2.1 or pkt-srcaddr = 192.0.2.1 or pkt-dstaddr = 192.0.2.1"], False),
        (["--count", "once", "--address", "eni", "--where", "host 192.0.2.1"], False),
        (["--pairs", "--where", "host 192.0.2.1"], False),
        (["--count", "once", "--where", "port 443"], False),
    ],
)
def test_a_note_says_that_legs_behind_a_gateway_are_counted_again(words: list[str], is_noted: bool) -> None:
    """With --count once, where the packets' addresses matter and --where looks at those of the interfaces alone."""
    asked = CliRunner().invoke(ask, words)
    assert asked.exit_code == 0
    assert ("NAT gateway" in asked.stderr) == is_noted


@given(queries() | queries(("dstport", "srcaddr", "dstaddr", "action", "bytes", "packets", "start")) | joined_queries())
def test_questions_are_read_as_they_are_written(query: Query) -> None:
    """The texts of a question's clauses give the same question, with fields that exist."""
    assert Query.parse(**query.texts()) == query
    assert set(query.needed_fields) <= set(FIELDS)
    assert set(query.needed_fields) <= set(query.used_fields) <= set(FIELDS)


@given(queries() | joined_queries(), queries() | joined_queries())
def test_questions_that_differ_are_different_everywhere(one: Query, other: Query) -> None:
    """Two questions have the same arguments or texts only when they are the same."""
    arguments = [(query.mapper_arguments(), query.conversation_arguments()) for query in (one, other)]
    assert (one == other) == (arguments[0] == arguments[1])
    assert (one == other) == (one.texts() == other.texts())


def test_a_clause_that_is_not_known_is_refused() -> None:
    """A clause of a later version, in run.json, is refused: the question would be another."""
    with pytest.raises(TypeError, match="'names'"):
        Query.parse(names="dns")


@given(st.integers(0, 9), st.integers(0, 9))
def test_no_more_lines_than_are_kept(top: int, kept: int) -> None:
    """0 means all, on both sides."""
    lines = list(range(10))[: kept or None]
    assert lines[: fewer(top, kept) or None] == lines[: top or None]
