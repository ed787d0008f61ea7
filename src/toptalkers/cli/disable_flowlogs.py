"""`toptalkers disable-flowlogs`: turn off flow logs that the stack owns."""

from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, dry_run_option, stack_name_option
from toptalkers.cli.talk import say, say_lines, show
from toptalkers.errors import UsageError

if TYPE_CHECKING:
    from toptalkers.aws.account import Account


@click.command("disable-flowlogs")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@stack_name_option
@click.option("--all", "everything", is_flag=True, help="All flow logs that the stack owns.")
@dry_run_option
@account_options
@click.pass_context
def disable_flowlogs(
    ctx: click.Context,
    *,
    account: "Account",
    ids: tuple[str, ...],
    stack_name: str,
    everything: bool,
    dry_run: bool,
) -> None:
    """Turn flow logs off, but only those that this stack made.

    ID is that of a VPC, subnet or network interface, or of a flow log (fl-...).

    \b
    Example:
      toptalkers disable-flowlogs vpc-0a1b2c3d
      toptalkers disable-flowlogs --all
    """
    from toptalkers.capture import flowlogs

    if everything == bool(ids):
        raise UsageError("which flow logs?", hint="name ids, or give --all")
    plan = flowlogs.plan_disable(account, stack_name, None if everything else ids)
    (show if dry_run else say_lines)(flowlogs.format_disable(plan))
    if not dry_run and flowlogs.execute_disable(account, plan, say):
        ctx.exit(1)
