"""What is told and asked on standard error, beside the data on standard output."""

import sys

import click

from toptalkers.errors import UsageError


def say(text: str) -> None:
    """Tell something."""
    click.echo(text, err=True)


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `--yes` was given; a no ends the command.

    Raises:
        click.Abort: the answer is no.
        UsageError: nobody is there to answer.

    """
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise UsageError("nobody is there to answer: standard input has ended", hint="--yes does not ask") from None
    if not agreed:
        raise click.Abort
