"""Errors as a user sees them: one line that says what happened and what to do, and the exit code."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from toptalkers.cli.signals import last_signal
from toptalkers.cli.streams import flush_or_drop
from toptalkers.cli.talk import is_terminal, say, say_lines
from toptalkers.errors import ToptalkersError

DEBUG = "TOPTALKERS_DEBUG"
"""If this variable is 1, the traceback of an error is shown as well."""


class FailureGroup(click.Group):
    """A group whose commands end with the exit codes of `toptalkers.errors`, without a usage text around errors."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command and exit.

        Exit codes: 0 done, 1 failed or something was left out, 2 wrong usage, 3 the job on the cluster failed; 128
        plus the signal's number if a signal stopped it.
        """
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name, **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            say_lines(error.format_message())
            code = error.exit_code
        except _CarriedError as carried:
            code = _end_of(carried.error, prog_name)
        except BaseException as error:  # noqa: BLE001 - every error is shown here, and nowhere else
            code = _end_of(error, prog_name)
        lost = flush_or_drop(sys.stdout)
        if lost is not None and not isinstance(lost, BrokenPipeError) and code == 0:
            code = _fail(f"cannot write to standard output: {lost.strerror}", None, 1)
        flush_or_drop(sys.stderr)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and carry the errors that click would handle past it."""
        try:
            return super().invoke(ctx)
        except (EOFError, KeyboardInterrupt, OSError) as error:
            raise _CarriedError(error) from error


class _CarriedError(Exception):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _end_of(error: BaseException, prog_name: str | None) -> int:
    """Print what went wrong, and return the exit code."""
    if isinstance(error, SystemExit):  # click raises it for a pipe that nobody reads
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        return 1  # the reader has stopped (`| head`): there is nothing to report
    is_known = isinstance(error, (ToptalkersError, click.ClickException))
    # In some places Python turns an interrupt into another error.
    if isinstance(error, (click.Abort, KeyboardInterrupt)) or (last_signal() and not is_known):
        return _stopped(error)
    if os.environ.get(DEBUG) == "1":
        import traceback

        say_lines("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, ToptalkersError):
        return _fail(error.message, error.hint, error.exit_code, error.excerpt)
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else prog_name
        return _fail(error.format_message().rstrip("."), f"see '{path} --help'", error.exit_code)
    if isinstance(error, click.ClickException):
        return _fail(error.format_message(), None, error.exit_code)
    if isinstance(error, MemoryError):
        return _fail("there is not enough memory", "leave more memory free, or ask a cluster: toptalkers run-emr", 1)
    if isinstance(error, OSError):
        name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        return _fail(f"{name}{error.strerror or error}", None, 1)
    if isinstance(error, RecursionError):
        return _fail("the input is nested too deeply", None, 1)
    explained = _explained_by_aws(error)
    if explained is not None:
        return _fail(explained.message, explained.hint, 1)
    return _fail(
        f"unexpected {type(error).__name__}{_place_of(error)}: {error}",
        f"a bug in toptalkers; please report it to its developers, with the output of {DEBUG}=1",
        1,
    )


def _stopped(error: BaseException) -> int:
    say_lines("\nStopped." if is_terminal(sys.stderr) else "Stopped.")  # a terminal has printed ^C on this line
    by = last_signal() or (signal.SIGINT if isinstance(error, KeyboardInterrupt) else None)
    return 128 + by if by else 1


def _explained_by_aws(error: BaseException) -> ToptalkersError | None:
    if "botocore" not in sys.modules:
        return None
    from toptalkers.aws.failures import explain_known

    return explain_known(error)


def _place_of(error: BaseException) -> str:
    """Return the innermost line of this package that raised an error, as ` at file.py:12`."""
    package = str(Path(__file__).parents[1])
    import traceback

    ours = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith(package)]
    return f" at {os.path.relpath(ours[-1].filename, package)}:{ours[-1].lineno}" if ours else ""


def _fail(message: str, hint: str | None, code: int, excerpt: tuple[str, ...] = ()) -> int:
    say(f"Error: {message}" + (f" ({hint})" if hint else ""))
    for line in excerpt:
        say(line)
    return code
