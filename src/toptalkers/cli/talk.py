"""What is told and asked on standard error, and shown on standard output: the one way from commands to a terminal.

Whatever others chose - names of files, keys, tags, logs - is made visible here. What cannot be told, as standard error
is closed or full, is not worth losing the answer for.
"""

import contextlib
import sys

import click

from toptalkers.cli.signals import last_signal
from toptalkers.errors import UsageError
from toptalkers.visible import visible


def say(text: str) -> None:
    """Tell something, one line."""
    _tell(visible(text) + "\n")


def say_lines(text: str) -> None:
    """Tell lines whose ends are ours: what others chose was made visible when they were made."""
    _tell("".join(visible(line) + "\n" for line in text.split("\n")))


def say_over(text: str) -> None:
    """Tell something that the next line is written over; for a terminal."""
    _tell(f"\r\x1b[K{visible(text)}")


def clear_line() -> None:
    """Take away what `say_over` told."""
    _tell("\r\x1b[K")


def show(text: str) -> None:
    """Show lines on standard output, each with a line end; line ends in the text are ours, as in `say_lines`.

    Raises:
        ToptalkersError: they cannot be written.

    """
    from toptalkers.answer.output import write_stdout

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    lines = "".join(visible(line) + "\n" for line in text.removesuffix("\n").split("\n"))
    write_stdout([lines.encode(encoding, "backslashreplace")])


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `--yes` was given; a no ends the command.

    Raises:
        click.Abort: the answer is no.
        UsageError: nobody is there to answer.

    """
    if yes:
        return
    try:
        agreed = agrees(question)
    except click.Abort:
        if last_signal() or is_terminal(sys.stdin):
            raise
        raise UsageError("nobody is there to answer: standard input has ended", hint="--yes does not ask") from None
    if not agreed:
        raise click.Abort


def agrees(question: str) -> bool:
    """Ask; no is what an empty line says.

    Raises:
        click.Abort: there is no answer: standard input has ended, or a signal came.

    """
    try:
        return click.confirm(visible(question), default=False, err=True)
    except (OSError, ValueError) as error:  # a terminal that is gone
        raise click.Abort from error


def is_terminal(stream: object) -> bool:
    """Whether a standard stream is a terminal; one that is closed is none."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError, OSError):
        return False


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, nl=False, err=True)
