"""Fixtures for the tests of commands that call AWS."""

from collections.abc import Callable
from functools import partial

import pytest
from click.testing import Result

from tests.commands import command
from tests.fake_aws import FakeAws
from toptalkers.capture.template import render_template

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
    return partial(command, aws)
