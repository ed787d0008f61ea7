"""`toptalkers.toml`: values of options that need not be typed again.

A key is the name of an option without its dashes. At the top of the file it is for every command that has the option;
in a table named after a command, `[run-emr]` or `[sandbox.run]`, it is for that command, and wins. Options on the
command line win over both.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from toptalkers.errors import UsageError
from toptalkers.visible import visible

NAME = "toptalkers.toml"
"""The file that is read if it is in the current folder."""

VARIABLE = "TOPTALKERS_CONFIG"
"""The environment variable that names another file."""

IN_TABLES_ONLY = {
    "yes": "at the top of the file it would also answer for 'destroy'",
    "output": "at the top of the file it would be for every command",
}
"""Options that must be in the table of a command, and why."""

ELSEWHERE = {
    ("deploy", "bucket"),
    ("deploy", "log-format"),
    ("enable-flowlogs", "format"),
    ("fetch-results", "by"),
    ("enable-flowlogs", "log-format"),
    ("render", "account"),
    ("sandbox", "stream"),
}
"""Options that mean something else in other commands; the top of the file does not set them."""

_Options = Mapping[str, click.Option]


def read_config(path: Path, group: click.Group, ctx: click.Context) -> dict[str, Any]:
    """Read a file of options, and check every key of it.

    Returns:
        What click takes as the `default_map` of the group: values by parameters, by commands.

    Raises:
        UsageError: the file cannot be read, or a key or the kind of a value is wrong; the error names both.

    """
    import tomllib

    try:
        with path.open("rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML or UTF-8 that is none
        raise UsageError(f"{path} is not TOML: {' '.join(visible(str(error)).split())}") from error
    return _Reader(path, ctx).read(group, given, above={}, table="")


def option_names(command: click.Command, values: Mapping[str, Any]) -> list[str]:
    """The names of a command's options that a default map has values for."""
    return [name for name, option in _options(command).items() if option.name in values]


class _Reader:
    def __init__(self, path: Path, ctx: click.Context) -> None:
        self._path = path
        self._ctx = ctx

    def read(
        self, command: click.Command, given: Mapping[str, Any], *, above: Mapping[str, Any], table: str
    ) -> dict[str, Any]:
        """Read the table of a command; `above` are the values for all commands, by the names of options."""
        commands = dict(self._commands(command))
        options = _merged(self._options(command))
        own = {}
        for key, value in given.items():
            # A word may be both: `names` is a command, and an option of others.
            if key in commands and (isinstance(value, dict) or key not in options):
                if not isinstance(value, dict):
                    raise self._error(table, key, "is a command, and takes a table", hint=f"[{_joined(table, key)}]")
            elif key not in options:
                raise self._unknown(table, key, [*options, *commands], is_table=isinstance(value, dict))
            elif key in IN_TABLES_ONLY and not table:
                raise self._error(
                    table, key, "must be in the table of a command", hint=f"{IN_TABLES_ONLY[key]}; write [run-emr]"
                )
            else:
                own[key] = self._value(table, key, options[key], value)
        values = {**above, **own}
        if not commands:
            return {options[key].name or key: _as_taken(options[key], values[key]) for key in values if key in options}
        return {
            name: self.read(
                one,
                {} if name in own else given.get(name, {}),
                above={key: value for key, value in values.items() if (name, key) not in ELSEWHERE},
                table=_joined(table, name),
            )
            for name, one in commands.items()
        }

    def _commands(self, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            for name in command.list_commands(self._ctx):
                if one := command.get_command(self._ctx, name):
                    yield name, one

    def _options(self, command: click.Command) -> Iterator[_Options]:
        """Yield the options of a command or, for a group, of all commands in it."""
        below = [one for _, one in self._commands(command)]
        if not below:
            yield _options(command)
        for one in below:
            yield from self._options(one)

    def _value(self, table: str, key: str, option: click.Option, value: object) -> object:
        """Check the kind of a value; its text is checked like that of the command line."""
        if option.is_flag:
            if not isinstance(value, bool):
                raise self._error(table, key, "takes true or false")
            return value
        if isinstance(value, list) and not option.multiple:
            raise self._error(table, key, "takes one value, not a list", hint=_hint_of_list(key, value))
        values = value if isinstance(value, list) else [value]
        texts = []
        for one in values:
            if isinstance(one, bool) or not isinstance(one, (str, int, float, datetime, date, time)):
                raise self._error(table, key, "takes a text or a number" + (", or a list" if option.multiple else ""))
            texts.append(one.isoformat() if isinstance(one, (date, time)) else str(one))
        return texts if option.multiple else texts[0]

    def _unknown(self, table: str, key: str, known: Iterable[str], *, is_table: bool) -> UsageError:
        similar = get_close_matches(key.replace("_", "-"), sorted(known), n=1)
        what = "a command" if is_table else "an option"
        of = f" of {table}" if table else ""
        hint = f"did you mean {similar[0]!r}?" if similar else None
        return self._error(table, key, f"is not the name of {what}{of}", hint=hint)

    def _error(self, table: str, key: str, what: str, *, hint: str | None = None) -> UsageError:
        where = f"[{table}] " if table else ""
        return UsageError(f"{self._path}: {where}{visible(repr(key))} {what}", hint=hint)


def _options(command: click.Command) -> _Options:
    """The options of a command by their long names."""
    return {
        name.removeprefix("--"): param
        for param in command.params
        if isinstance(param, click.Option)
        for name in param.opts
        if name.startswith("--")
    }


def _as_taken(option: click.Option, value: object) -> object:
    """A value for an option: of an option that takes several in this command, and one in others, a list of one."""
    return [value] if option.multiple and not isinstance(value, list) else value


def _hint_of_list(key: str, values: list[Any]) -> str | None:
    """How to write a list as one value, for options that take several in one text."""
    if key in ("by", "metric", "ports", "show") and all(isinstance(one, (str, int)) for one in values):
        return f'write {key} = "{",".join(map(str, values))}"'
    return "write one expression, joined by 'and'" if key == "where" else None


def _merged(parts: Iterable[_Options]) -> dict[str, click.Option]:
    """All options by their names; one that takes one value in a command takes one in a file, for all commands."""
    merged: dict[str, click.Option] = {}
    for part in parts:
        merged |= {name: option for name, option in part.items() if name not in merged or not option.multiple}
    return merged


def _joined(table: str, name: str) -> str:
    return f"{table}.{name}" if table else name
