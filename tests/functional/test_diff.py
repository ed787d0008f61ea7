"""`toptalkers diff`: what changed between two answers."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.answer.diff import compare
from toptalkers.answer.saved import Talkers, read_saved
from toptalkers.cli.main import cli
from toptalkers.question.query import Query


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def record(src: str, octets: int, port: int = 443, start: int = 1700000000) -> str:
    return f"2 123456789012 eni-1 {src} 198.51.100.7 50000 {port} 6 1 {octets} {start} {start} ACCEPT OK\n"


BEFORE = {"192.0.2.1": 100, "192.0.2.2": 100, "192.0.2.3": 100, "192.0.2.4": 100, "192.0.2.5": 7}
AFTER = {"192.0.2.1": 200, "192.0.2.2": 50, "192.0.2.3": 199, "2001:db8::1": 400, "192.0.2.5": 7}

CHANGES = [
    {"change": "new", "src": "2001:db8::1", "dst": "198.51.100.7", "port": 443, "before": None, "after": 400},
    {"change": "grown", "src": "192.0.2.1", "dst": "198.51.100.7", "port": 443, "before": 100, "after": 200},
    {"change": "shrunk", "src": "192.0.2.2", "dst": "198.51.100.7", "port": 443, "before": 100, "after": 50},
    {"change": "gone", "src": "192.0.2.4", "dst": "198.51.100.7", "port": 443, "before": 100, "after": None},
]


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of logs."""
    for name, octets in (("before", BEFORE), ("after", AFTER)):
        (tmp_path / name).mkdir()
        lines = [record(src, number) for src, number in octets.items()]
        (tmp_path / name / "a.log").write_text("".join(lines))
    return tmp_path / "before", tmp_path / "after"


def saved(logs: Path, name: str, *options: str) -> str:
    """The answer of logs, in a file beside them."""
    path = logs.parent / f"{logs.name}-{name}"
    result = run("run-local", str(logs), "--metric", "bytes", *options, "--output", str(path))
    assert result.exit_code == 0
    return str(path)


def changes(*arguments: str) -> list[dict[str, object]]:
    result = run("diff", *arguments, "--format", "ndjson")
    assert result.exit_code == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [{name: value for name, value in one.items() if name != "factor"} for one in found]


FORMS: dict[str, Callable[[Path], str]] = {
    "logs": str,
    "csv": lambda logs: saved(logs, "a.csv", "--format", "csv"),
    "csv with shares": lambda logs: saved(logs, "s.csv", "--format", "csv", "--show", "shares"),
    "gzip": lambda logs: saved(logs, "a.csv.gz", "--format", "csv"),
    "json": lambda logs: saved(logs, "a.json", "--format", "json"),
    "ndjson": lambda logs: saved(logs, "a.ndjson", "--format", "ndjson"),
    "tsv": lambda logs: saved(logs, "a.tsv"),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_an_answer_can_be_compared(sides: tuple[Path, Path], form: str) -> None:
    """Saved answers of any format, and logs, show the same changes, also against another form."""
    before, after = sides
    assert changes(FORMS[form](before), FORMS[form](after), "--metric", "bytes") == CHANGES
    assert changes(FORMS[form](before), str(after), "--metric", "bytes") == CHANGES


@pytest.mark.parametrize("form", FORMS)
def test_pairs_are_compared_by_the_metric_that_ranks(sides: tuple[Path, Path], form: str) -> None:
    """Conversations can be compared by packets, from any form of the answer; each has one packet on both sides."""
    before, after = sides
    options = ["--count", "once", "--pairs", "--metric", "packets"]
    if form == "csv with shares":
        options += ["--top", "0"]
    made = FORMS[form]
    path = made(before) if form == "logs" else saved(before, "p.out", *options, "--format", form_of(form))
    found = changes(path, str(after), *options)
    assert [(one["client"], one["change"]) for one in found] == [("192.0.2.4", "gone"), ("2001:db8::1", "new")]


def form_of(form: str) -> str:
    return form if form in ("json", "ndjson", "tsv") else "csv"


def test_digests_are_asked_the_question(sides: tuple[Path, Path]) -> None:
    """Two digests show the changes of a question about services."""
    pytest.importorskip("pyarrow")
    files = [str(side.with_suffix(".parquet")) for side in sides]
    for side, file in zip(sides, files, strict=True):
        assert run("digest", str(side), "--output", file).exit_code == 0
    found = changes(*files, "--by", "dstaddr,service-port", "--metric", "bytes", "--factor", "1.5")
    assert found == [
        {"change": "grown", "dstaddr": "198.51.100.7", "service-port": 443, "before": 407, "after": 856},
    ]


@pytest.mark.parametrize("head", [b"PAR1\x15\x04\x15\x80\xe2\t\x15\xee\n", b"\x28\xb5\x2f\xfd\t\x80\n"])
def test_a_tab_makes_no_answer_of_what_is_no_text(tmp_path: Path, head: bytes) -> None:
    """A digest, or a compressed file, is not taken for a TSV because one of its first bytes is a tab."""
    path = tmp_path / "november.parquet"
    path.write_bytes(head)
    assert read_saved(path, Query.parse()) is None
    path.write_bytes(b"192.0.2.1:198.51.100.7:443\t7\n")
    assert read_saved(path, Query.parse())


def test_every_format_has_the_same_columns(sides: tuple[Path, Path]) -> None:
    """CSV has names, TSV none, JSON the numbers of all changes, and a table is for people."""
    paths = [str(side) for side in sides]
    options = [*paths, "--metric", "bytes", "--top", "2", "--format"]
    [names, *rows] = csv.reader(io.StringIO(run("diff", *options, "csv").stdout))
    assert names == ["change", "src", "dst", "port", "before", "after", "factor"]
    assert rows[1] == ["grown", "192.0.2.1", "198.51.100.7", "443", "100", "200", "2.0"]
    assert run("diff", *options, "tsv").stdout.splitlines() == ["\t".join(row) for row in rows]
    content = json.loads(run("diff", *options, "json").stdout)
    assert content["counts"] == {"new": 1, "gone": 1, "grown": 1, "shrunk": 1}
    assert [one["factor"] for one in content["changes"]] == [None, 2.0]
    assert run("diff", *options, "table").stdout.splitlines()[0].split() == [
        *("change", "src", "dst", "port", "bytes", "before", "after", "factor")
    ]


def test_nothing_changes_between_an_answer_and_itself(sides: tuple[Path, Path]) -> None:
    """An answer compared with itself has no changes, and fails on none."""
    result = run("diff", str(sides[0]), str(sides[0]), "--fail-on", "any", "--format", "table")
    assert (result.exit_code, result.stdout) == (0, "no changes\n")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-on", "new"], 1),
        (["--fail-on", "shrunk,gone"], 1),
        (["--fail-on", "any"], 1),
        (["--fail-on", "shrunk", "--min", "101"], 0),
        (["--fail-on", "grown", "--factor", "2.5"], 0),
        (["--fail-on", "new", "--min", "401"], 0),
        (["--fail-on", "new", "--top", "1"], 1),
        (["--fail-on", "shrunk", "--top", "1"], 1),
        ([], 0),
    ],
)
def test_fail_on_decides_the_exit_code(sides: tuple[Path, Path], options: list[str], code: int) -> None:
    """Cron gets exit code 1 only for a change of a kind that was named, shown or not, and standard error names it."""
    result = run("diff", *map(str, sides), "--metric", "bytes", *options)
    assert result.exit_code == code
    assert ("Error: --fail-on: 1 " in result.stderr) == bool(code)


def test_min_counts_on_either_side(sides: tuple[Path, Path]) -> None:
    """A talker that is large on one side is shown, however small it is on the other."""
    found = changes(*map(str, sides), "--metric", "bytes", "--min", "200")
    assert [one["change"] for one in found] == ["new", "grown"]


@pytest.mark.parametrize(
    ("one", "other", "option"),
    [
        (["--ports", "all"], [], "--ports is all in"),
        (["--where", "dst port 443"], [], "--where is dstport = 443 in"),
        (["--by", "srcaddr"], [], "--by is srcaddr in"),
        (["--pairs"], [], "--pairs is yes in"),
        (["--count", "once"], [], "--count is once in"),
        (["--metric", "packets"], [], "--metric is packets in"),
    ],
)
def test_answers_to_different_questions_are_refused(
    sides: tuple[Path, Path], one: list[str], other: list[str], option: str
) -> None:
    """Answers in JSON to questions that differ in more than their time are refused, and the clause is named."""
    files = [
        saved(side, "a.json", "--format", "json", *options) for side, options in zip(sides, (one, other), strict=True)
    ]
    result = run("diff", *files)
    assert result.exit_code == 2
    assert option in result.stderr
    assert " - in" not in result.stderr


def test_pairs_and_other_lines_are_told_apart_by_their_columns(sides: tuple[Path, Path]) -> None:
    """An answer in CSV of --pairs is not compared with logs that are asked without; the way out is named, and works."""
    pairs = saved(sides[0], "a.csv", "--format", "csv", "--pairs")
    result = run("diff", pairs, str(sides[1]))
    assert result.exit_code == 2
    assert f"--pairs is yes in {pairs}, no in {sides[1]} (ask both with --pairs, or both without)" in result.stderr
    assert run("diff", pairs, str(sides[1]), "--pairs").exit_code == 0


def test_a_table_has_protocols_by_name(sides: tuple[Path, Path]) -> None:
    """A table has protocols by name, as that of run-local; other formats have their numbers."""
    assert "  443   tcp  " in run("diff", *map(str, sides), "--pairs", "--format", "table").stdout
    assert "\t443\t6\t" in run("diff", *map(str, sides), "--pairs", "--format", "tsv").stdout


def test_the_same_file_on_both_sides_is_noted(sides: tuple[Path, Path]) -> None:
    """Nothing changes between a file and itself, and a note says why."""
    result = run("diff", str(sides[0]), f"{sides[0]}/.", "--fail-on", "any")
    assert result.exit_code == 0
    assert f"Note: BEFORE and AFTER are both {sides[0]}" in result.stderr


def test_other_columns_are_refused(sides: tuple[Path, Path]) -> None:
    """Answers in CSV with other columns are refused by the names of the columns."""
    before, after = sides
    files = saved(before, "a.csv", "--format", "csv"), saved(after, "a.csv", "--format", "csv", "--by", "srcaddr")
    result = run("diff", *files)
    assert result.exit_code == 2
    assert "--by is src,dst,port in" in result.stderr


def test_other_times_are_compared(sides: tuple[Path, Path]) -> None:
    """Answers that differ in --since and --until only are compared."""
    before, after = sides
    files = [
        saved(before, "a.json", "--format", "json", "--until", "2026-11-01"),
        saved(after, "a.json", "--format", "json", "--since", "2020-11-01"),
    ]
    assert run("diff", *files).exit_code == 0


def test_a_cut_answer_is_noted(sides: tuple[Path, Path]) -> None:
    """An answer in JSON that --top has cut brings a note that talkers may be missing only there."""
    before, after = sides
    cut = saved(before, "a.json", "--format", "json", "--top", "2")
    assert "has not all talkers (--top)" in run("diff", cut, str(after), "--metric", "bytes").stderr
    whole = saved(before, "b.json", "--format", "json")
    assert "has not all talkers" not in run("diff", whole, str(after), "--metric", "bytes").stderr


BROKEN = {
    "columns.csv": b"rank,src,dst,port,bytes\n1,192.0.2.1,198.51.100.7,443\n",
    "number.csv": b"rank,src,dst,port,bytes\n1,192.0.2.1,198.51.100.7,443,many\n",
    "none.csv": b"rank,src,dst,port\n1,192.0.2.1,198.51.100.7,443\n",
    "twice.csv": b"rank,src,bytes\n1,192.0.2.1,4\n2,192.0.2.1,3\n",
    "a.json": b'{"query": {"by": "srcaddr"}, "talkers": [{"rank": 1, "srcaddr"',
    "b.json": b'{"query": {"by": "nonsense!"}, "talkers": []}',
    "c.json": b'{"query": {"by": "srcaddr"}, "talkers": [3]}',
    "a.ndjson": b'{"rank": 1, "src": "192.0.2.1", "bytes": "x"}\n',
    "b.ndjson": b'{"rank": 1, "src": "192.0.2.1", "bytes": 1}\nnonsense\n',
    "a.csv.gz": gzip.compress(b"rank,src,bytes\n" + b"1,192.0.2.1,4\n" * 9)[:-6],
    "binary.csv": b"rank,src,bytes\n1,\xff\xfe,4\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_answer_is_named(tmp_path: Path, name: str) -> None:
    """A damaged answer ends in one line that names it, without a traceback."""
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    result = run("diff", str(path), str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert str(path) in line
    assert "bug" not in line


def test_a_tsv_of_another_key_asks_for_its_question(sides: tuple[Path, Path]) -> None:
    """A TSV that is no answer to the question of the command line is refused with what to do."""
    before, after = sides
    tsv = saved(before, "a.tsv", "--by", "srcaddr")
    result = run("diff", tsv, str(after))
    assert result.exit_code == 2
    assert "give the --by and --metric it was asked with" in result.stderr
    assert changes(tsv, str(after), "--by", "srcaddr", "--metric", "bytes")[0]["change"] == "new"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--factor", "1"], "--factor: '1' is not a number above 1"),
        (["--factor", "x"], "--factor: 'x' is not a number above 1"),
        (["third.csv"], "unexpected extra argument"),
        (["--fail-on", "newer"], "did you mean 'new'?"),
        (["--metric", "first"], "has only times"),
    ],
)
def test_wrong_options_are_refused(sides: tuple[Path, Path], options: list[str], message: str) -> None:
    """A factor that is none, an unknown kind of change and a time as the sum are wrong usage."""
    result = run("diff", *map(str, sides), *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_cannot_be_read_fails(tmp_path: Path, sides: tuple[Path, Path]) -> None:
    """A side of which nothing was read is an error, not an answer in which all are new."""
    result = run("diff", str(tmp_path / "none"), str(sides[1]))
    assert result.exit_code == 1
    assert "nothing was read of" in result.stderr
    assert result.stdout == ""


SUMS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 12))


@given(SUMS, SUMS, st.sampled_from(["2", "1.5", "3.25"]), st.integers(0, 8), st.integers(0, 4))
def test_each_talker_changes_in_one_way(
    before: dict[str, int], after: dict[str, int], factor: str, least: int, top: int
) -> None:
    """Every talker is new, gone, grown, shrunk or none of these, as its two sums say, and the largest come first."""
    times = Fraction(factor)

    def kind(key: str) -> str | None:
        old, new = before.get(key), after.get(key)
        if max(old or 0, new or 0) < least or old == new:
            return None
        if old is None or new is None:
            return "new" if old is None else "gone"
        return "grown" if new >= times * old else "shrunk" if old >= times * new else None

    def side(name: str, sums: dict[str, int]) -> Talkers:
        return Talkers(name, ("srcaddr",), "bytes", iter(sums.items()))

    expected = [(kind(key), key) for key in {*before, *after} if kind(key)]
    expected.sort(key=lambda one: (-max(before.get(one[1], 0), after.get(one[1], 0)), one[1]))
    found = compare(side("before", before), side("after", after), factor=times, least=least, top=top)
    assert [(one.kind, one.key) for one in found.changes] == expected[: top or None]
    assert found.counts == Counter(one for one, _ in expected)
    assert (found.before, found.after) == (len(before), len(after))
