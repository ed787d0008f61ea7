"""Assembles the commands."""

import importlib

import click

from toptalkers import __version__
from toptalkers.cli.failures import FailureGroup

COMMANDS = (
    "run-local",
    "sample",
    "sandbox",
    "deploy",
    "enable-flowlogs",
    "disable-flowlogs",
    "run-emr",
    "fetch-results",
    "runs",
    "status",
    "destroy",
    "render",
)
"""In the order of `--help`; each is in the file of its name."""


class CommandsByFile(FailureGroup):
    """Imports a command's file when the command is asked for: who counts files need not wait for what deploys."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"toptalkers.cli.{name}"), name)
        return command


@click.group(cls=CommandsByFile, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Top talkers from VPC Flow Logs: who talks to whom, on which port, and how much.

    \b
    Example:
      toptalkers run-local flowlogs/ --metric bytes --top 10

    \b
    Exit codes:
      0  done
      1  failed, or something was left out, as said on standard error
      2  wrong usage; nothing was begun
      3  the job on the cluster failed
      129, 130, 143  stopped by SIGHUP, Ctrl-C, SIGTERM; temporary files are gone

    TOPTALKERS_DEBUG=1 shows the traceback of an error.
    """
