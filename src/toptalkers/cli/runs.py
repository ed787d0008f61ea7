"""`toptalkers runs`: the runs on EMR, and how they ended."""

from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, site_options
from toptalkers.cli.talk import say, show

if TYPE_CHECKING:
    from toptalkers.aws.account import Account
    from toptalkers.aws.emr import Cluster
    from toptalkers.runs.record import RunRecord
    from toptalkers.runs.site import SiteOptions


@click.command()
@site_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many, the newest first.",
)
@account_options
def runs(*, account: "Account", where: "SiteOptions", limit: int) -> None:
    """List the runs: state, time taken, bytes read, instance-hours, question.

    Below them are runs that others started with the same scripts, such as by hand with the AWS CLI, on clusters of
    the last two weeks. They have the names of their clusters.

    \b
    Example:
      toptalkers runs --region eu-central-1
      toptalkers runs --bucket my-bucket
    """
    from toptalkers.aws.failures import AwsError
    from toptalkers.errors import ToptalkersError
    from toptalkers.runs.listing import format_runs, read_runs
    from toptalkers.runs.others import find_others, kept_clusters, recent_clusters
    from toptalkers.runs.site import find_bucket
    from toptalkers.runs.watch import way_to_end

    bucket = find_bucket(account, where)
    found = read_runs(account, bucket, limit)
    others: list[RunRecord] = []
    kept: list[Cluster] = []
    if not found.unknown:  # otherwise EMR may be out of reach
        try:
            clusters = recent_clusters(account)
            kept = kept_clusters(clusters, found.records)
            others = find_others(account, bucket, found.records, clusters)
        except AwsError as error:
            say(f"runs that others started are not shown: {error.message}")
    if found.records or others:
        show(format_runs([*found.records, *others], account.now()))
    for one in kept:
        say(f"the cluster {one.id} is {one.state}, and paid for: {way_to_end(account.region, one.id)} ends it now")
    for line in found.unknown:
        say(line)
    if found.unknown:
        raise ToptalkersError(f"{len(found.unknown)} of the runs are not shown, or not completely")
    if not found.records and not others:
        say(f"There are no runs in s3://{bucket}; 'toptalkers run-emr{where.words}' starts one.")
