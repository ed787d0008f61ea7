"""`toptalkers deploy`: create the capture chain, or bring it up to date."""

from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, stack_name_option, yes_option
from toptalkers.cli.params import PAIR
from toptalkers.cli.talk import confirm, say, say_lines, show

if TYPE_CHECKING:
    from toptalkers.aws.account import Account


@click.command()
@stack_name_option
@click.option("--shards", metavar="N|on-demand", help="Shards of the stream.  [default: 1]")
@click.option("--retention-days", metavar="D", help="Days that CloudWatch Logs keeps records.  [default: 1]")
@click.option(
    "--log-format",
    metavar="default|rich|'FORMAT'",
    help="The format of all flow logs on the stream.  [default: default]",
)
@click.option("--tag", "tags", type=PAIR, multiple=True, metavar="K=V", help="Tag the stack and its resources.")
@click.option("--parameter", "parameters", type=PAIR, multiple=True, metavar="K=V", help="Any parameter of the stack.")
@click.option("--dry-run", is_flag=True, help="Create a change set, show it and delete it; deploy nothing.")
@yes_option
@account_options
def deploy(
    *,
    account: "Account",
    stack_name: str,
    shards: str | None,
    retention_days: str | None,
    log_format: str | None,
    tags: tuple[tuple[str, str], ...],
    parameters: tuple[tuple[str, str], ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Create or update the stack that captures flow logs.

    Options that are not given keep the stack's values. The plan is a change set of CloudFormation. After a yes, it
    is executed, and its events and the stack's outputs are shown. After a no, it is deleted.

    \b
    Example:
      toptalkers deploy --region eu-central-1
      toptalkers deploy --shards 4 --tag team=network --yes
    """
    from toptalkers.capture import stack
    from toptalkers.capture.flowlogs import flow_log_format
    from toptalkers.capture.our_stack import require_own

    chosen = {"Shards": shards, "RetentionDays": retention_days}
    chosen["LogFormat"] = None if log_format is None else flow_log_format(log_format)
    given = dict(parameters) | {key: value for key, value in chosen.items() if value is not None}
    plan = stack.plan_stack(account, stack_name, parameters=given, tags=dict(tags))
    if not plan.is_empty:
        if dry_run:
            say("CloudFormation creates a change set, which is deleted again; nothing is deployed.")
        with stack.proposed(account, plan, say) as proposal:
            if not proposal.change_set.is_empty:
                (show if dry_run else say_lines)(stack.format_plan(plan, proposal.change_set.changes))
                if not dry_run:
                    confirm("Deploy it?", yes=yes)
                    show(stack.format_outputs(proposal.execute(say)))
                return
    if dry_run:
        show("Nothing to do.")
        return
    say(f"Nothing to do: the stack {stack_name} in {account.region} is as asked.")
    show(stack.format_outputs(require_own(account, stack_name)))
