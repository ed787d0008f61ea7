"""A failure of AWS is reported in one line, with the remedy."""

import time
from pathlib import Path
from typing import Any

import botocore.exceptions as boto
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from toptalkers.aws.failures import AwsError, explain, explained
from toptalkers.cli.main import cli


def refused(code: str, message: str, operation: str = "CreateFlowLogs") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (boto.NoCredentialsError(), "no AWS credentials found", "aws sso login"),
        (boto.PartialCredentialsError(provider="env", cred_var="x"), "credentials are incomplete", "aws configure"),
        (boto.NoRegionError(), "you must specify a region", "--region"),
        (boto.InvalidRegionError(region_name="eu west"), "eu west", "--region"),
        (boto.ProfileNotFound(profile="p"), "(p) could not be found", "list-profiles"),
        (boto.SSOTokenLoadError(error_msg="none"), "single sign-on session has expired", "aws sso login"),
        (boto.TokenRetrievalError(provider="sso", error_msg="gone"), "single sign-on session has expired", "sso login"),
        (boto.CredentialRetrievalError(provider="p", error_msg="x"), "no AWS credentials", "AWS_PROFILE"),
        # A Region that does not exist, or that lacks the service, has no such host.
        (
            boto.EndpointConnectionError(endpoint_url="https://elasticmapreduce.eu-nowhere-1.amazonaws.com/"),
            "cannot reach https://elasticmapreduce.eu-nowhere-1.amazonaws.com/",
            "does it offer the service",
        ),
        (boto.ConnectTimeoutError(endpoint_url="https://x/"), "cannot reach https://x/", "can this machine reach it"),
        (boto.ReadTimeoutError(endpoint_url="https://x/"), "https://x/ does not answer", "can this machine reach it"),
        (
            refused("UnauthorizedOperation", "User: u is not authorized to perform: iam:PassRole on resource: r"),
            "access denied: you are not allowed to call iam:PassRole",
            "ask your administrator",
        ),
        (
            refused("UnauthorizedOperation", "You are not authorized to perform this operation."),
            "access denied: you are not allowed to call ec2:CreateFlowLogs",
            "ask your administrator",
        ),
        (refused("RequestExpired", "x"), "credentials have expired", "aws sso login"),
        (refused("AuthFailure", "not able to validate"), "does not accept the credentials", "Region enabled"),
        (refused("OptInRequired", "subscribe"), "may not use ec2 in this Region: subscribe", None),
        (refused("RequestLimitExceeded", "too much"), "throttles ec2 CreateFlowLogs", "later"),
        (refused("InvalidParameter", "no\n such  thing"), "ec2 CreateFlowLogs: no such thing", None),
    ],
)
def test_errors_are_explained(error: Any, message: str, hint: str | None) -> None:
    """Each kind of error has a cause and, if known, a remedy, without a line end or a full stop."""
    told = explain(error, "ec2")
    assert message in told.message
    assert "\n" not in told.message
    assert (hint is None and told.hint is None) or (hint and told.hint and hint in told.hint)


@pytest.mark.parametrize(
    ("operation", "action"),
    [("ListObjectsV2", "s3:ListBucket"), ("HeadObject", "s3:GetObject"), ("PutObject", "s3:PutObject")],
)
def test_s3_names_the_action_to_grant(operation: str, action: str) -> None:
    """The action that a policy needs is named, which for S3 is often not the operation's name."""
    assert action in explain(refused("AccessDenied", "Access Denied", operation), "s3").message


def test_only_what_botocore_raises_is_turned() -> None:
    """A programming error keeps its traceback, and an explained error is not explained again."""
    with pytest.raises(ZeroDivisionError), explained("ec2"):
        raise ZeroDivisionError
    inner = AwsError("x", code="c")
    with pytest.raises(AwsError) as found, explained("ec2"):
        raise inner
    assert found.value is inner


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without any AWS settings, where no service offers credentials."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "no AWS Region (name one with --region or AWS_REGION)"),
        ({"AWS_REGION": "eu-west-1"}, "no AWS credentials found"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "no AWS credentials found"),
        ({"AWS_PROFILE": "nobody"}, "the config profile (nobody) could not be found"),
        ({"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x"}, "the AWS credentials are incomplete"),
    ],
)
def test_commands_on_a_machine_without_settings(
    bare: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    """No Region, no credentials, no such profile: one line and 1, before any request."""
    for name, value in environment.items():
        bare.setenv(name, value)
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: {said}")


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[::1"])
def test_an_endpoint_that_is_none(bare: pytest.MonkeyPatch, url: str) -> None:
    """The error says that the endpoint is mistyped, and does not take its answer for one."""
    settings = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    for name, value in (settings | {"AWS_ENDPOINT_URL": url}).items():
        bare.setenv(name, value)
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 1
    assert "no client of cloudformation can be made" in done.stderr


def test_an_endpoint_that_does_not_answer(bare: pytest.MonkeyPatch) -> None:
    """For a Region without the service, or without a network, the endpoint is named, after the retries."""
    for name, value in {
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }.items():
        bare.setenv(name, value)
    bare.setattr(time, "sleep", lambda _: None)
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 1
    assert "cannot reach http://127.0.0.1:1/" in done.stderr
