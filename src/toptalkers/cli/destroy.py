"""`toptalkers destroy`: turn flow logs off and delete the stack, and on request the data."""

from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, dry_run_option, stack_name_option, yes_option
from toptalkers.cli.progress import progress_bar
from toptalkers.cli.talk import confirm, say, say_lines, show

if TYPE_CHECKING:
    from toptalkers.aws.account import Account


@click.command()
@stack_name_option
@click.option("--delete-data", is_flag=True, help="Empty the bucket and delete it too.")
@dry_run_option
@yes_option
@account_options
def destroy(*, account: "Account", stack_name: str, delete_data: bool, dry_run: bool, yes: bool) -> None:
    """Turn the stack's flow logs off and delete the stack; the bucket and its data stay.

    Flow logs of others that deliver into the stack are named and left alone, also with --yes. Without the stack's log
    group they deliver nothing any more.

    \b
    Example:
      toptalkers destroy
      toptalkers destroy --delete-data --yes
    """
    from toptalkers.capture.destroy import execute_destroy, flow_logs_of_others, format_destroy, plan_destroy

    plan = plan_destroy(account, stack_name, delete_data=delete_data)
    if plan.is_empty:
        say(f"Nothing to do: there is no stack {stack_name} in {account.region}.")
        return
    (show if dry_run else say_lines)(format_destroy(plan))
    if dry_run:
        return
    broken = f", and break {flow_logs_of_others(len(plan.broken))}" if plan.broken else ""
    confirm(f"Destroy it{broken}?", yes=yes)
    execute_destroy(
        account, plan, say, progress=lambda what, total: progress_bar(what, total, unit="objects")
    )  # fmt: skip
