"""`toptalkers render`: the requests to AWS as files, to read or to use with other tools."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from toptalkers.cli.options import job_query_options, output_option, stack_name_option
from toptalkers.cli.talk import say
from toptalkers.permissions import COMMANDS
from toptalkers.question.query import Query


@click.group()
def render() -> None:
    """Write the requests that other commands send to AWS.

    \b
    Example:
      toptalkers render template > toptalkers.json
    """


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
    from toptalkers.answer.output import write_output
    from toptalkers.capture.template import render_template

    write_output([render_template().encode()], output)


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of an example run."""
    for option in (
        click.option("--bundle", metavar="PREFIX", help="Where the scripts are.  [default: code/<their hash>/]"),
        click.option("--run-id", default="20261123T181500Z-4f2a", show_default=True, metavar="ID", help="The run."),
        click.option("--bucket", default="toptalkers-123456789012", show_default=True, help="The stack's bucket."),
    ):
        command = option(command)
    return command


@render.command()
@job_query_options
@_run_options
@output_option
def steps(*, query: Query, top: int, bucket: str, run_id: str, bundle: str | None, output: Path | None) -> None:
    """Write the steps of a run, as `aws emr create-cluster --steps` takes them.

    \b
    Example:
      toptalkers render steps --ports 443 --bucket my-bucket > steps.json
      aws emr create-cluster --steps file://steps.json ...
    """
    from toptalkers.answer.output import write_output
    from toptalkers.job.steps import render_steps
    from toptalkers.runs.request import example_run

    planned, _ = example_run(query, top=top, bucket=bucket, run_id=run_id, bundle=bundle or _own_bundle())
    write_output([render_steps(planned).encode()], output)


@render.command()
@job_query_options
@_run_options
@output_option
def cluster(*, query: Query, top: int, bucket: str, run_id: str, bundle: str | None, output: Path | None) -> None:
    """Write the whole request for a run's cluster, as boto3's run_job_flow takes it.

    `run-emr --dry-run` writes the real one, with the names of the stack.

    \b
    Example:
      toptalkers render cluster --bucket my-bucket > cluster.json
    """
    from toptalkers.answer.output import write_output
    from toptalkers.runs.request import example_run, render_request

    _, request = example_run(query, top=top, bucket=bucket, run_id=run_id, bundle=bundle or _own_bundle())
    write_output([render_request(request).encode()], output)


@render.command()
@click.argument("commands", nargs=-1, type=click.Choice(COMMANDS), metavar="[COMMAND]...")
@stack_name_option
@click.option("--bucket", default="", metavar="NAME", help="The bucket.  [default: those named after the stack]")
@click.option("--read-bucket", "read_buckets", multiple=True, metavar="NAME", help="Another bucket that is read.")
@click.option("--role", "roles", multiple=True, metavar="NAME", help="A role for EMR.  [default: the stack's]")
@click.option("--account", default="*", metavar="ID", help="The number of the account.  [default: any]")
@click.option("--aws-region", "region", default="*", metavar="NAME", help="The Region.  [default: any]")
@click.option("--partition", default="aws", type=click.Choice(["aws", "aws-cn", "aws-us-gov"]), show_default=True)
@output_option
def permissions(
    *,
    commands: tuple[str, ...],
    stack_name: str,
    bucket: str,
    read_buckets: tuple[str, ...],
    roles: tuple[str, ...],
    account: str,
    region: str,
    partition: str,
    output: Path | None,
) -> None:
    """Write the IAM policy that the person who types the commands needs; of all commands by default.

    \b
    Example:
      toptalkers render permissions run-emr fetch-results --account 123456789012 > analyst.json
      aws iam create-policy --policy-name toptalkers-analyst --policy-document file://analyst.json
    """
    from toptalkers.answer.output import write_output
    from toptalkers.permissions import POLICY_CHARACTERS, Names, policy_of, render_policy

    names = Names(partition, region, account, stack_name, bucket, read_buckets, roles)
    text = render_policy(policy_of(commands or COMMANDS, names))
    write_output([text.encode()], output)
    size = len("".join(text.split()))
    if size > POLICY_CHARACTERS:
        say(f"IAM takes {POLICY_CHARACTERS:,} characters in a policy, and this one has {size:,}: name fewer commands")


def _own_bundle() -> str:
    from toptalkers import locations
    from toptalkers.job.bundle import bundle_sha256

    return locations.code_prefix(bundle_sha256())
