"""Messages and questions on standard error, and texts on standard output.

Control characters in names of files, keys, tags and logs are made visible here. If standard error is closed or full,
messages are lost, but not the answer.
"""

import contextlib
import sys

import click

from toptalkers.cli.signals import last_signal
from toptalkers.errors import UsageError
from toptalkers.visible import visible


def say(text: str) -> None:
    """Print one line on standard error."""
    _tell(visible(text) + "\n")


def say_lines(text: str) -> None:
    """Print lines on standard error. Names in them must be visible already, because line ends are kept."""
    _tell("".join(visible(line) + "\n" for line in text.split("\n")))


def say_over(text: str) -> None:
    """Print a line on a terminal that the next line replaces."""
    _tell(f"\r\x1b[K{visible(text)}")


def clear_line() -> None:
    """Clear the line of `say_over`."""
    _tell("\r\x1b[K")


def show(text: str) -> None:
    """Print lines on standard output, as `say_lines` does on standard error.

    Raises:
        ToptalkersError: they cannot be written.

    """
    from toptalkers.answer.output import write_stdout

    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    lines = "".join(visible(line) + "\n" for line in text.removesuffix("\n").split("\n"))
    write_stdout([lines.encode(encoding, "backslashreplace")])


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `--yes` was given. A no ends the command.

    Raises:
        click.Abort: the answer is no.
        UsageError: standard input has ended.

    """
    if yes:
        return
    try:
        agreed = agrees(question)
    except click.Abort:
        if last_signal() or is_terminal(sys.stdin):
            raise
        raise UsageError("nobody can answer: standard input has ended", hint="--yes does not ask") from None
    if not agreed:
        raise click.Abort


def agrees(question: str) -> bool:
    """Ask; an empty line is a no. click.Abort if there is no answer: standard input has ended, or a signal came."""
    try:
        return click.confirm(visible(question), default=False, err=True)
    except (OSError, ValueError) as error:  # a terminal that is gone
        raise click.Abort from error


def is_terminal(stream: object) -> bool:
    """Whether a standard stream is an open terminal."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError, OSError):
        return False


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        click.echo(text, nl=False, err=True)
