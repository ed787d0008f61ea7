"""Options that several commands share, each once. Their texts are checked by `Query.parse`, in one place."""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from toptalkers.cli.params import OUTPUT
from toptalkers.cli.talk import is_terminal, say
from toptalkers.errors import UsageError
from toptalkers.question.query import Query

if TYPE_CHECKING:
    from toptalkers.aws.account import Account

_QUESTION_OPTIONS = [
    click.option("--metric", default="records", show_default=True, help="What is summed: records, packets or bytes."),
    click.option(
        "--ports",
        default="0-1024",
        show_default=True,
        metavar="SPEC",
        help="Destination ports kept: 0-1024; 22,443,8000-8999; all.",
    ),
    click.option("--action", default="ACCEPT", show_default=True, help="ACCEPT, REJECT or ALL."),
    click.option("--since", metavar="T", help="Records that start at T or later (ISO 8601, UTC)."),
    click.option("--until", metavar="T", help="Records that start before T (ISO 8601, UTC)."),
    click.option(
        "--log-format",
        metavar="'FORMAT'",
        help="Columns of lines without a header: AWS's ${field} syntax, or names alone, as Vector, Athena and Terraform"
        " write them too; auto takes them from the flow log that wrote the files.  [default: AWS's default format]",
    ),
]  # fmt: skip

_ANSWER_OPTIONS = [
    click.option("--top", metavar="N", help="How many talkers, 0 for all.  [default: 20 on a terminal, else 0]"),
    click.option(
        "--format", help="table, tsv, csv, json or ndjson.  [default: table on a terminal, else tsv]"
    ),
]  # fmt: skip

output_option = click.option(
    "--output",
    type=OUTPUT,
    metavar="FILE",
    help="Write the answer to FILE, gzipped when so named; - is standard output.",
)


def query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the question's options, and hand it the checked `query` instead of their texts."""
    return _with([*_QUESTION_OPTIONS, *_ANSWER_OPTIONS], _settling(_asking(command, (*_QUESTION, "top", "format"))))


def job_query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The question's options for a job whose answer is kept: all talkers, on a terminal too, and no format."""
    top = click.option("--top", default="0", show_default=True, metavar="N", help="How many talkers, 0 for all.")
    return _with([*_QUESTION_OPTIONS, top], _asking(command, (*_QUESTION, "top")))


def answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--top` and `--format`, and hand it their texts; what is not given is settled."""
    return _with(_ANSWER_OPTIONS, _settling(command))


def _with(options: Sequence[Callable[..., Any]], command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def _asking(command: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_query(*args: Any, **given: Any) -> Any:
        texts = {name: given.pop(name) for name in names}
        if texts["log_format"] == "auto":
            texts["log_format"] = _ask_for_log_format(given)
        return command(*args, query=Query.parse(**texts), **given)

    return with_query


def _ask_for_log_format(given: Mapping[str, Any]) -> str:
    """Take the format from the flow log that wrote what a command is to read, and say so."""
    from toptalkers.records.files import read_manifest
    from toptalkers.runs.log_format import find_log_format

    if "region" not in given:
        raise UsageError("--log-format auto asks AWS, which this command does not", hint="name the columns instead")
    account = open_account(region=given["region"], profile=given["profile"])
    paths = [*given.get("inputs", ()), *given.get("paths", ())]
    if given.get("manifest"):
        paths += [file.name for file in read_manifest(given["manifest"])]
    stack_name = None if given.get("hadoop_cluster") else given.get("stack_name")
    log_format, line = find_log_format(account, paths, stack_name=stack_name)
    say(line)
    return log_format


def _settling(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def settled(*args: Any, **given: Any) -> Any:
        interactive = given.get("output") is None and is_terminal(sys.stdout)
        if given["top"] is None:
            given["top"] = "20" if interactive else "0"
        if given["format"] is None:
            given["format"] = "table" if interactive else "tsv"
        return command(*args, **given)

    return settled


_QUESTION = ("metric", "ports", "action", "since", "until", "log_format")


# --- of commands that talk to AWS ---

stack_name_option = click.option(
    "--stack-name", default="toptalkers", show_default=True, metavar="NAME", help="The CloudFormation stack."
)

strict_option = click.option("--strict", is_flag=True, help="Fail, after the answer, when any record is malformed.")

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")

dry_run_option = click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing.")


class Opener:
    """Opens the account that a command asks for; a test passes another opener as click's `obj`."""

    def open(self, *, region: str | None, profile: str | None) -> "Account":
        """Open the account and Region that are named, or else those that the AWS CLI would take."""
        from toptalkers.aws import account  # imports boto3

        return account.open_account(region=region, profile=profile, tell=say)


def open_account(*, region: str | None, profile: str | None) -> "Account":
    """Open the account of the options `--region` and `--profile`."""
    return click.get_current_context().ensure_object(Opener).open(region=region, profile=profile)


def region_options(command: Callable[..., Any], what: str = "AWS") -> Callable[..., Any]:
    """Give a command `--region` and `--profile`; it opens the account itself, with `open_account`."""
    options = [
        click.option(
            f"--{name.lower()}", metavar=name.upper(), help=f"{what} {name}.  [default: as the AWS CLI has it]"
        )
        for name in ("Region", "profile")
    ]
    return _with(options, command)


def stored_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that may read S3 `--region` and `--profile`, as `region_options` does."""
    return region_options(command, "For s3://: the AWS")


def account_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--region` and `--profile`, and pass it the `account` instead of their values."""

    @functools.wraps(command)
    def with_account(*args: Any, region: str | None, profile: str | None, **given: Any) -> Any:
        return command(*args, account=open_account(region=region, profile=profile), **given)

    return region_options(with_account)
