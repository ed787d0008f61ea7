"""`toptalkers status`: the state of the capture chain."""

from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, stack_name_option
from toptalkers.cli.talk import show

if TYPE_CHECKING:
    from toptalkers.aws.account import Account


@click.command()
@stack_name_option
@account_options
def status(*, account: "Account", stack_name: str) -> None:
    """Show the stack, its flow logs, what arrives and what does not, and what it costs a month.

    \b
    Example:
      toptalkers status --region eu-central-1
    """
    from toptalkers.capture.status import format_status, read_status

    show(format_status(read_status(account, stack_name)))
