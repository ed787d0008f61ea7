"""Commands as a user types them, run in this process."""

from click.testing import CliRunner, Result

from toptalkers.cli.main import cli


def command(account: object, *arguments: str, input: str = "") -> Result:  # noqa: A002 - click's own name
    """Run a command in an account, with this standard input; any exception but its exit fails the test."""
    result = CliRunner().invoke(cli, arguments, obj=account, input=input)
    print(result.stdout, result.stderr)  # pytest shows it if the test fails
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result
