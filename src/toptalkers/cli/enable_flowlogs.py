"""`toptalkers enable-flowlogs`: turn flow logs on, through the stream or directly to the bucket."""

from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, dry_run_option, stack_name_option
from toptalkers.cli.params import PAIR
from toptalkers.cli.talk import say, say_lines, show
from toptalkers.errors import UsageError

if TYPE_CHECKING:
    from toptalkers.aws.account import Account
    from toptalkers.aws.flowlogs import Traffic
    from toptalkers.capture.flowlogs import Way


@click.command("enable-flowlogs")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@stack_name_option
@click.option("--all-vpcs", is_flag=True, help="All VPCs of the Region, instead of ids.")
@click.option(
    "--traffic",
    type=click.Choice(["ACCEPT", "REJECT", "ALL"]),
    default="ACCEPT",
    show_default=True,
    help="The records that are logged.",
)
@click.option(
    "--destination",
    type=click.Choice(["stream", "s3"]),
    help="The stack's stream, or directly its bucket, at half the price.  [default: stream, if the stack has one]",
)
@click.option(
    "--interval",
    type=click.Choice(["60", "600"]),
    default="600",
    show_default=True,
    help="The longest time that a record covers, in seconds.",
)
@click.option(
    "--log-format", metavar="default|rich|'FORMAT'", help="Fields of a record.  [default: the stack's format]"
)
@click.option("--format", "old_log_format", hidden=True, help="The former name of --log-format.")
@click.option("--tag", "tags", type=PAIR, multiple=True, metavar="K=V", help="Tag the flow logs.")
@click.option("--no-wait", is_flag=True, help="Do not wait until AWS reports that they deliver.")
@dry_run_option
@account_options
@click.pass_context
def enable_flowlogs(
    ctx: click.Context,
    *,
    account: "Account",
    ids: tuple[str, ...],
    all_vpcs: bool,
    stack_name: str,
    traffic: "Traffic",
    destination: "Way | None",
    interval: str,
    log_format: str | None,
    old_log_format: str | None,
    tags: tuple[tuple[str, str], ...],
    no_wait: bool,
    dry_run: bool,
) -> None:
    """Turn flow logs on for VPCs, subnets or network interfaces.

    ID is one of vpc-..., subnet-... or eni-.... Prints the ids of the new flow logs. They have the tags of the stack.
    The exit code is 1 if one of them is not on, or does not deliver.

    \b
    Example:
      toptalkers enable-flowlogs vpc-0a1b2c3d
      toptalkers enable-flowlogs subnet-0a1b2c3d --destination s3 --log-format rich --traffic ALL
      toptalkers enable-flowlogs --all-vpcs --tag team=network
    """
    from toptalkers.capture import flowlogs

    if all_vpcs and ids:
        raise UsageError("--all-vpcs and ids exclude each other", hint="give one of them")
    if not all_vpcs and not ids:
        raise UsageError("which VPCs, subnets or interfaces?", hint="name ids, or give --all-vpcs")
    if old_log_format is not None:
        if log_format is not None:
            raise UsageError("--format is the former name of --log-format: give one of them")
        say("--format is now called --log-format, and will be removed")
        log_format = old_log_format
    plan = flowlogs.plan_enable(
        account,
        stack_name,
        None if all_vpcs else ids,
        traffic=traffic,
        way=destination,
        interval_seconds=int(interval),
        log_format=None if log_format is None else flowlogs.flow_log_format(log_format),
        tags=dict(tags),
    )
    (show if dry_run else say_lines)(flowlogs.format_enable(plan))
    if dry_run:
        ctx.exit(1 if plan.refused else 0)
    made, refused = flowlogs.execute_enable(account, plan, say)
    if made:
        show("\n".join(made))
    failed = [] if no_wait or not made else flowlogs.await_delivery(account, stack_name, made, say)
    for one in (*plan.refused, *refused):
        say(f"Error: {one.resource} is not on: {one.reason}")
    if plan.refused or refused or failed:
        ctx.exit(1)
