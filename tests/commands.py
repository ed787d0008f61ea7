"""Commands as a user types them, run in this process."""

from itertools import pairwise
from typing import Any

from click.testing import CliRunner, Result

from tests.permitted import Call, check_permitted, recording
from toptalkers.cli.main import cli
from toptalkers.permissions import COMMANDS, Names

NEEDED: dict[str, set[str]] = {}
"""By command, the actions that its calls needed in the tests so far."""


def command(account: Any, *arguments: str, input: str = "") -> Result:  # noqa: A002 - click's own name
    """Run a command in an account, with this standard input; any exception but its exit fails the test.

    Each call that it makes must be allowed by the policy that `render permissions` prints for the command.
    """
    calls: list[Call] = []
    make = getattr(account, "client", None)
    if make:
        account.client = recording(make, calls)
    try:
        result = CliRunner().invoke(cli, arguments, obj=account, input=input)
    finally:
        if make:
            account.client = make
    print(result.stdout, result.stderr)  # pytest shows it if the test fails
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    name = next((one for one in arguments if one in COMMANDS), "")
    if name:
        NEEDED.setdefault(name, set()).update(check_permitted(name, calls, _names(account, arguments)))
    return result


def _names(account: Any, arguments: tuple[str, ...]) -> Names:
    """The names of a fake account, and those that a command line has."""

    def given(option: str) -> list[str]:
        return [after for before, after in pairwise(arguments) if before == option]

    buckets = [one.split("/")[2] for one in arguments if one.startswith("s3://")]
    return Names(
        stack=(given("--stack-name") or ["toptalkers"])[0],
        bucket=(given("--bucket") or [getattr(account, "bucket", "")])[0].removeprefix("s3://").partition("/")[0],
        read_buckets=tuple(buckets),
    )
