"""`toptalkers render`: what else would be sent to AWS, as a file to look at or to use without us."""

from pathlib import Path

import click

from toptalkers.cli.options import output_option


@click.group()
def render() -> None:
    """Write what the other commands send to AWS."""


@render.command()
@output_option
def template(*, output: Path | None) -> None:
    """Write the CloudFormation template of the capture chain.

    \b
    Example:
      toptalkers render template > toptalkers.json
      aws cloudformation create-stack --stack-name toptalkers --template-body file://toptalkers.json \\
          --capabilities CAPABILITY_NAMED_IAM
    """
    from toptalkers.capture.template import render_template
    from toptalkers.results.output import write_output

    write_output([render_template().encode()], output)
