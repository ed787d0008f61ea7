"""Types of options, which turn text into a checked value."""

import functools
from collections.abc import Sequence
from pathlib import Path

import click


class PairType(click.ParamType[tuple[str, str]]):
    """`key=value`; the value may contain more `=`."""

    name = "k=v"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first `=`."""
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not written as key=value", param, ctx)
        return key, rest


class OutputType(click.ParamType[Path | None]):
    """A file that can be written; `-` is None, for standard output."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path | None:
        """Check the file before there is anything to write."""
        from toptalkers.answer.output import check_output

        if value in ("-", None):
            return None
        path = click.Path(dir_okay=False, path_type=Path).convert(str(value), param, ctx)
        check_output(Path(path))
        return Path(path)


class EngineType(click.Choice[str]):
    """The name of an engine. `toptalkers --help` does not need the names, and so does not import them."""

    def __init__(self) -> None:
        """Take any engine."""
        self.case_sensitive = True

    @functools.cached_property
    def choices(self) -> Sequence[str]:  # type: ignore[override]
        """The names of all engines."""
        from toptalkers.engines import ENGINES

        return tuple(ENGINES)


PAIR = PairType()
OUTPUT = OutputType()
ENGINE = EngineType()
