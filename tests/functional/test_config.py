"""`toptalkers.toml`: options from a file, weaker than those of the command line; a wrong key is one line."""

from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands import command
from tests.fake_account import FakeAccount
from toptalkers.cli.config import ELSEWHERE, NAME, VARIABLE, read_config
from toptalkers.cli.main import COMMANDS, cli
from toptalkers.errors import UsageError

LINE = "2 123456789012 eni-0123456789abcdef0 10.0.0.{0} 10.0.1.1 40000 {0} 6 1 40 1764000000 1764000060 ACCEPT OK\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two talkers in a.log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "a.log").write_text(LINE.format(1) + LINE.format(2))
    return tmp_path


def test_options_of_a_file(folder: Path) -> None:
    """A command takes its options from its table, before those of the top; the command line wins over both."""
    (folder / NAME).write_text('top = 1\nregion = "eu-central-1"\n[run-local]\nformat = "csv"\nports = "2"\n')
    ran = command(None, "run-local", "a.log")
    assert ran.stdout.splitlines()[1:] == ["1,10.0.0.2,10.0.1.1,2,1"], ran.stdout
    assert "options from toptalkers.toml: ports, top, format, region" in ran.stderr
    assert len(command(None, "run-local", "a.log", "--top", "0", "--ports", "all").stdout.splitlines()) == 3


def test_a_word_that_is_a_command_and_an_option(folder: Path) -> None:
    """A value is that of the option for all commands, and a table is that of the command."""
    (folder / "n.json").write_text('{"toptalkers": "snapshot", "version": 1, "scopes": []}')
    (folder / NAME).write_text('names = ["n.json"]\n')
    ran = command(None, "run-local", "a.log", "--by", "src.name", "--ports", "all")
    assert ran.stdout == "10.0.0.1\t1\n10.0.0.2\t1\n", ran.stderr
    (folder / NAME).write_text('[names]\nformat = "json"\n')
    assert command(None, "names", "n.json").stdout == "[]\n"


def test_pairs_of_a_file_can_be_undone(folder: Path) -> None:
    """--no-pairs on the command line wins over `pairs = true`, so that another key can be asked for."""
    (folder / NAME).write_text("[run-local]\npairs = true\n")
    assert command(None, "run-local", "a.log", "--by", "srcaddr").exit_code == 2
    ran = command(None, "run-local", "a.log", "--no-pairs", "--by", "srcaddr")
    assert ran.stdout == "10.0.0.1\t1\n10.0.0.2\t1\n"


@pytest.mark.parametrize("by", ["option", "variable"])
def test_another_file(folder: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """A file that is named takes the place of the one in the folder; one that is missing is an error."""
    (folder / NAME).write_text("no TOML")
    (folder / "mine.toml").write_text("top = 1\n")
    for name, code in (("mine.toml", 0), ("gone.toml", 2)):
        monkeypatch.setenv(VARIABLE, name if by == "variable" else "")
        ran = command(None, *(["--config", name] if by == "option" else []), "run-local", "a.log")
        assert ran.exit_code == code
        assert len(ran.stdout.splitlines()) == (1 if code == 0 else 0)
        assert code == 0 or "gone.toml" in ran.stderr


def test_config_behind_the_command(folder: Path) -> None:
    """It has one place, and the message says which."""
    ran = command(None, "run-local", "--config", "mine.toml", "a.log")
    assert ran.exit_code == 2
    assert "--config goes before the command: toptalkers --config FILE run-local" in ran.stderr
    assert str(folder) not in ran.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('buket = "x"', "'buket' is not the name of an option (did you mean 'bucket'?)"),
        ('[run-emr]\nservice_role = "x"', "[run-emr] 'service_role' is not the name of an option of run-emr"),
        ("[run-emu]\ncore = 1", "'run-emu' is not the name of a command (did you mean 'run-emr'"),
        ("[runs]\ncore = 1", "[runs] 'core' is not the name of an option of runs"),
        ("[sandbox.rn]", "[sandbox] 'rn' is not the name of a command of sandbox (did you mean 'run'?)"),
        ("run-emr = 1", "'run-emr' is a command, and takes a table ([run-emr])"),
        ("yes = true", "'yes' must be in the table of a command"),
        ("strict = 1", "'strict' takes true or false"),
        ("top = [1]", "'top' takes one value, not a list"),
        ('by = ["srcaddr", "hour"]', """'by' takes one value, not a list (write by = "srcaddr,hour")"""),
        ('where = ["port 1", "port 2"]', "'where' takes one value, not a list (write one expression, joined by 'and')"),
        ("top = true", "'top' takes a text or a number"),
        ("[run-emr]\nsubnet = [true]", "[run-emr] 'subnet' takes a text or a number, or a list"),
        ("top = x", "is not TOML: Invalid value (at line 1"),
        ("top = '\udcff'", "is not TOML: "),
    ],
)
def test_wrong_keys(folder: Path, text: str, said: str) -> None:
    """One line names the file, the key and what to write, whatever the command is."""
    (folder / NAME).write_bytes(text.encode(errors="surrogateescape"))
    for name in ("run-local", "runs"):
        ran = command(FakeAccount(), name)
        assert (ran.exit_code, ran.stdout) == (2, "")
        assert ran.stderr.startswith("Error: toptalkers.toml")
        assert said in ran.stderr
        assert ran.stderr.count("\n") == 1


def test_wrong_values(folder: Path) -> None:
    """A value that the command line would refuse is refused with the name of the file."""
    (folder / NAME).write_text("limit = 0\n")
    ran = command(FakeAccount(), "runs")
    assert ran.exit_code == 2
    assert "0 is not in the range x>=1, in toptalkers.toml" in ran.stderr
    assert command(FakeAccount(), "runs", "--limit", "1").exit_code == 0


@pytest.mark.parametrize(
    ("name", "value", "reads", "not_for"),
    [
        ("bucket", "mine", ("runs",), ("deploy",)),
        ("log-format", "auto", ("run-local",), ("deploy", "enable-flowlogs")),
        ("format", "csv", ("run-local",), ("enable-flowlogs",)),
    ],
)
def test_deploys_options_are_others(
    folder: Path, name: str, value: str, reads: tuple[str, ...], not_for: tuple[str, ...]
) -> None:
    """The bucket and format of runs at the top of the file are not what `deploy` would take over, or have written."""
    (folder / NAME).write_text(f'{name} = "{value}"\n')
    values = read_config(folder / NAME, cli, click.Context(cli))
    for one in reads:
        assert value in values[one].values()
    for one in not_for:
        assert not values[one]


def test_options_of_one_name_are_one_option() -> None:
    """A value at the top of the file fits every command that takes it, or the command is an exception.

    An option that takes several in one command, and one in others, takes one there.
    """
    kinds: dict[str, set[bool]] = {}

    def collect(command: click.Command, top: str) -> None:
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                one = command.get_command(click.Context(command), name)
                assert one
                collect(one, top or name)
            return
        for option in command.params:
            for name in option.opts if isinstance(option, click.Option) else ():
                if isinstance(option, click.Option) and (top, name.removeprefix("--")) not in ELSEWHERE:
                    kinds.setdefault(name, set()).add(option.is_flag)

    collect(cli, "")
    assert {name for name, found in kinds.items() if len(found) > 1} == set()


LEAVES = st.booleans() | st.integers() | st.text(max_size=3) | st.floats()


def holding(some: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Lists and tables of something, and that itself."""
    return some | st.lists(some, max_size=2) | st.dictionaries(st.sampled_from(["top", "bucket", "run"]), some)


JSON = holding(holding(LEAVES))


@given(st.dictionaries(st.sampled_from([*COMMANDS, "bucket", "top", "strict", "input", "x"]), JSON, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_file(folder: Path, content: dict[str, object]) -> None:
    """Any TOML is either taken, or one line of error."""
    (folder / NAME).write_text(_toml(content))
    said = f"{NAME} one line"
    try:
        read_config(folder / NAME, cli, click.Context(cli))
    except UsageError as error:
        said = error.message
    assert NAME in said
    assert "\n" not in said


def _toml(value: object) -> str:
    """Write a value as TOML; a dictionary at the top as lines, elsewhere inline."""
    import json

    def inline(one: object) -> str:
        if isinstance(one, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {inline(part)}" for key, part in one.items()) + "}"
        if isinstance(one, list):
            return "[" + ", ".join(map(inline, one)) + "]"
        if isinstance(one, float):
            return repr(one).replace("e", ".0e") if "." not in repr(one) else repr(one)
        return json.dumps(one)

    assert isinstance(value, dict)
    return "".join(f"{json.dumps(key)} = {inline(one)}\n" for key, one in value.items())
