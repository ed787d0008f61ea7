"""What a user sees of an error: one line of what happened, one of what to do, and the exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from toptalkers.errors import ToptalkersError


class FailureGroup(click.Group):
    """A group whose commands end in the exit codes of `toptalkers.errors`, without usage texts around a line."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command and exit: 0 done, 1 failed, 2 wrong usage, 3 the job on the cluster failed."""
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name, **extra)
        except ToptalkersError as error:
            _say(error.message, error.hint)
            code = error.exit_code
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            code = error.exit_code
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else prog_name
            _say(error.format_message().rstrip("."), f"see '{path} --help'")
            code = error.exit_code
        except click.ClickException as error:
            _say(error.format_message(), None)
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("\nStopped.", err=True)
            code = 1
        except BrokenPipeError:
            # Who reads us has enough (`| head`): nothing more to say, and nothing to flush at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, hint: str | None) -> None:
    click.echo(f"Error: {message}" + (f" ({hint})" if hint else ""), err=True)
