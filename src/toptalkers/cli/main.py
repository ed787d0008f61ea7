"""Assembles the commands."""

import click

from toptalkers import __version__
from toptalkers.cli.failures import FailureGroup
from toptalkers.cli.run_local import run_local
from toptalkers.cli.sample import sample
from toptalkers.cli.sandbox import sandbox


@click.group(cls=FailureGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Top talkers from VPC Flow Logs: who talks to whom, on which port, and how much.

    \b
    Example:
      toptalkers run-local flowlogs/ --metric bytes --top 10
    """


cli.add_command(run_local)
cli.add_command(sample)
cli.add_command(sandbox)
