"""Options of the commands that read flow logs from S3: where these are, and whose."""

import functools
from collections.abc import Callable
from typing import Any

import click

input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="S3-URI",
    help="Read this instead of the bucket's own flow logs; may be repeated.",
)


def origin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--from-account` and `--from-region`; it gets an `origin`.

    `--region` is the Region of the requests to AWS, not of the flow logs.
    """

    @click.option(
        "--from-account",
        "--account",
        "from_accounts",
        multiple=True,
        metavar="ID",
        help="Read only flow logs of this account, by AWS's names in S3; may be repeated.",
    )
    @click.option(
        "--from-region",
        "from_regions",
        multiple=True,
        metavar="REGION",
        help="Read only flow logs of this Region, by AWS's names in S3; may be repeated.",
    )
    @functools.wraps(command)
    def with_origin(*args: Any, from_accounts: tuple[str, ...], from_regions: tuple[str, ...], **given: Any) -> Any:
        from toptalkers.records.wanted import Origin

        return command(*args, origin=Origin.parse(from_accounts, from_regions), **given)

    return with_origin
