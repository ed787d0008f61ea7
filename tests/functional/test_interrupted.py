"""`deploy` and `destroy` that fail at any call: all leftovers are named, and another run completes the work."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import EndpointConnectionError
from click.testing import Result

from tests.breaking import Fault, FaultyAws
from tests.commands import command
from tests.fake_aws import NOW, refuse
from toptalkers.capture.template import render_template

BREAKS = [
    KeyboardInterrupt(),
    EndpointConnectionError(endpoint_url="https://x"),
    refuse("describe_stacks", "ExpiredToken", "The security token included in the request is expired"),
]
pytestmark = [
    pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"]),
    pytest.mark.parametrize("after", [False, True], ids=["before", "after"]),
    pytest.mark.parametrize("error", BREAKS, ids=["interrupted", "unheard", "refused"]),
]


def broken_off(
    line: str, error: BaseException, after: bool, lasting: bool, *, up: bool
) -> Iterator[tuple[FaultyAws, Result]]:
    """Run a command that fails at its first call, its second, and so on; yield each result and the account."""
    for number in range(1000):
        aws = FaultyAws(Fault(number, error, after=after, lasting=lasting))
        if up:
            stack = aws.cfn.add("toptalkers", "CREATE_COMPLETE")
            aws.cfn.bring_up(stack, render_template(), {}, [])
            aws.compute.add("vpc-1", Tags=[{"Key": "toptalkers:stack", "Value": "toptalkers"}], LogGroupName="g")
            aws.store.objects = {"flowlogs/x.gz": (1, NOW)}
        done = command(aws, *line.split())
        if aws.fault.calls <= number:
            assert done.exit_code == 0
            return
        aws.fault.is_armed = False
        yield aws, done
    raise AssertionError("it never came to its end")


def again(aws: FaultyAws, line: str) -> Result:
    """Repeat the command until the stack is no longer busy."""
    for _ in range(5):
        done = command(aws, *line.split())
        if "wait until that is over" not in done.stderr:
            break
    return done


@pytest.mark.parametrize("kind", ["create", "update"])
def test_deploy(error: BaseException, after: bool, lasting: bool, kind: str) -> None:
    """A change set or a busy CloudFormation that is left behind is named; another deploy completes."""
    if after and "ExpiredToken" in str(error):
        return  # a refused request is never served
    line = "deploy --yes --shards 2"
    for aws, done in broken_off(line, error, after, lasting, up=kind == "update"):
        for change_set in aws.cfn.change_sets.values():
            assert change_set["ChangeSetName"] in done.stderr
        stack = aws.cfn.stacks.get("toptalkers", {"StackStatus": "none"})
        if stack["StackStatus"].endswith("_IN_PROGRESS"):
            said = "may be left" if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else "toptalkers status"
            assert said in done.stderr or stack["StackStatus"] == "DELETE_IN_PROGRESS"
        assert again(aws, line).exit_code == 0
        stack = aws.cfn.stacks["toptalkers"]
        assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        assert {"ParameterKey": "Shards", "ParameterValue": "2"} in stack["Parameters"]


@pytest.mark.parametrize("kind", ["create", "update"])
def test_dry_run_of_deploy(error: BaseException, after: bool, lasting: bool, kind: str) -> None:
    """One failure leaves no change set and no empty stack; lasting ones name the rest; the stack does not change."""
    if after and "ExpiredToken" in str(error):
        return  # a refused request is never served
    line = "deploy --dry-run --shards 2"
    for aws, done in broken_off(line, error, after, lasting, up=kind == "update"):
        assert "execute_change_set" not in aws.mutations
        assert done.exit_code == 130 or not isinstance(error, KeyboardInterrupt)
        stack = aws.cfn.stacks.get("toptalkers", {"StackStatus": "none"})
        for change_set in aws.cfn.change_sets.values():
            assert lasting
            assert change_set["ChangeSetName"] in done.stderr
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            assert lasting
            assert "may be left" in done.stderr
            assert "'toptalkers destroy --stack-name toptalkers' takes the stack's empty shell away" in done.stderr
            assert again(aws, "destroy --yes").exit_code == 0
        elif kind == "update":
            assert stack["StackStatus"] == "CREATE_COMPLETE"
        else:
            assert stack["StackStatus"] in ("none", "DELETE_IN_PROGRESS", "DELETE_COMPLETE")
        if aws.cfn.change_sets:
            assert "'aws cloudformation delete-change-set --region eu-west-1 --stack-name toptalkers" in done.stderr
            aws.cfn.change_sets.clear()
        assert again(aws, line).exit_code == 0
        assert aws.cfn.change_sets == {}
        assert aws.cfn.stacks["toptalkers"]["StackStatus"] == (
            "CREATE_COMPLETE" if kind == "update" else "DELETE_COMPLETE"
        )


def test_destroy(error: BaseException, after: bool, lasting: bool) -> None:
    """Another destroy completes, even for the bucket of a deleted stack; until then the bucket is named."""
    if after and "ExpiredToken" in str(error):
        return  # a refused request is never served
    line = "destroy --yes --delete-data"
    for aws, done in broken_off(line, error, after, lasting, up=True):
        assert done.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
        if aws.cfn.stacks["toptalkers"]["StackStatus"].startswith("DELETE") and not aws.store.is_deleted:
            assert "aws s3 rb --force s3://toptalkers-bucket" in done.stderr
        assert again(aws, line).exit_code == 0
        assert aws.cfn.stacks["toptalkers"]["StackStatus"] == "DELETE_COMPLETE"
        assert not aws.compute.flow_logs
        assert aws.store.is_deleted
        assert "Nothing to do" in command(aws, *line.split()).stderr
