"""Assembles the commands."""

import click

from toptalkers import __version__
from toptalkers.cli.deploy import deploy
from toptalkers.cli.destroy import destroy
from toptalkers.cli.disable_flowlogs import disable_flowlogs
from toptalkers.cli.enable_flowlogs import enable_flowlogs
from toptalkers.cli.failures import FailureGroup
from toptalkers.cli.fetch_results import fetch_results
from toptalkers.cli.render import render
from toptalkers.cli.run_emr import run_emr
from toptalkers.cli.run_local import run_local
from toptalkers.cli.runs import runs
from toptalkers.cli.sample import sample
from toptalkers.cli.sandbox import sandbox
from toptalkers.cli.status import status


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
cli.add_command(deploy)
cli.add_command(enable_flowlogs)
cli.add_command(disable_flowlogs)
cli.add_command(run_emr)
cli.add_command(fetch_results)
cli.add_command(runs)
cli.add_command(status)
cli.add_command(destroy)
cli.add_command(render)
