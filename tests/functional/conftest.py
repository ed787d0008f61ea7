"""Fixtures for the tests of commands that call AWS."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from tests.fake_aws import FakeAws
from toptalkers.capture.template import render_template
from toptalkers.cli.main import cli

Run = Callable[..., Result]


@pytest.fixture
def aws() -> FakeAws:
    """An account without a stack."""
    return FakeAws()


@pytest.fixture
def deployed(aws: FakeAws) -> FakeAws:
    """An account where the stack is deployed and no call was made yet."""
    stack = aws.cfn.add("toptalkers", "CREATE_COMPLETE")
    aws.cfn.bring_up(stack, render_template(), {}, [])
    return aws


@pytest.fixture
def run(aws: FakeAws) -> Run:
    """Run a command against the account."""

    def run(*args: str, input: str = "") -> Result:  # noqa: A002 - click's own name
        result = CliRunner().invoke(cli, list(args), obj=aws, input=input)
        print(result.stdout, result.stderr)  # what pytest shows of a failure
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run
