"""`toptalkers runs`: the runs on EMR, and how they ended."""

from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, stack_name_option
from toptalkers.cli.talk import say, show

if TYPE_CHECKING:
    from toptalkers.aws.account import Account


@click.command()
@stack_name_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest first.")
@account_options
def runs(*, account: "Account", stack_name: str, limit: int) -> None:
    """List the stack's runs: state, time taken, bytes read, instance-hours, question.

    \b
    Example:
      toptalkers runs --region eu-central-1
    """
    from toptalkers.capture.our_stack import require_own
    from toptalkers.errors import ToptalkersError
    from toptalkers.runs.listing import format_runs, read_runs

    bucket = require_own(account, stack_name).bucket
    found = read_runs(account, bucket, limit)
    if found.records:
        show(format_runs(found.records, account.now()))
    for line in found.unknown:
        say(line)
    if found.unknown:
        raise ToptalkersError(f"{len(found.unknown)} of the runs are not shown, or not completely")
    if not found.records:
        say(f"There are no runs in s3://{bucket}; 'toptalkers run-emr' starts one.")
