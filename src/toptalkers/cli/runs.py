"""`toptalkers runs`: what was asked on EMR, and what became of it."""

from itertools import islice
from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, stack_name_option
from toptalkers.cli.talk import say, show

if TYPE_CHECKING:
    from toptalkers.aws.gateways import Gateways


@click.command()
@stack_name_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest first.")
@account_options
def runs(*, gateways: "Gateways", stack_name: str, limit: int) -> None:
    """List the stack's runs: state, time taken, bytes read, instance-hours, question.

    \b
    Example:
      toptalkers runs --region eu-central-1
    """
    from toptalkers.deploy.cluster import bucket_of
    from toptalkers.deploy.ownership import require_own
    from toptalkers.deploy.runs import current_record, format_runs, list_runs, load_record

    bucket = bucket_of(require_own(gateways, stack_name))
    found = [
        load_record(gateways.storage, bucket, run_id) for run_id in islice(list_runs(gateways.storage, bucket), limit)
    ]
    records = [current_record(gateways, bucket, one) for one in found if one]
    if not records:
        say(f"There are no runs in s3://{bucket}; 'toptalkers run-emr' makes one.")
        return
    show(format_runs(records, gateways.now()))
