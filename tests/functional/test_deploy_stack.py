"""`deploy`: it plans, asks and reports, and one clear line names any obstacle."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.commands import command
from tests.fake_aws import FakeAws
from tests.functional.conftest import Run
from toptalkers.capture.stack import proposed
from toptalkers.capture.stack_plan import plan_stack
from toptalkers.capture.template import render_template
from toptalkers.flowlog.layout import RICH_LAYOUT, format_log_format


def test_a_stack_is_created(aws: FakeAws, run: Run) -> None:
    """Plan and events go to standard error, outputs to standard output; only the change set is made and executed."""
    done = run("deploy", "--shards", "2", "--tag", "team=network", "--yes")
    assert done.exit_code == 0
    assert aws.mutations == ["create_change_set", "execute_change_set"]
    assert "+ add     Stream (AWS::Kinesis::Stream)" in done.stderr
    assert "CREATE_COMPLETE" in done.stderr
    assert "BucketName                toptalkers-bucket\n" in done.stdout
    request = aws.request("create_change_set")
    assert request["Parameters"] == [{"ParameterKey": "Shards", "ParameterValue": "2"}]
    assert request["Tags"] == [{"Key": "team", "Value": "network"}]


def test_twice_is_nothing_to_do(aws: FakeAws, run: Run) -> None:
    """The second deploy changes nothing, exits with 0, and prints the outputs again."""
    first = run("deploy", "--shards", "2", "--yes")
    aws.calls.clear()
    again = run("deploy", "--shards", "2", "--yes")
    assert again.exit_code == 0
    assert "Nothing to do" in again.stderr
    assert again.stdout == first.stdout
    assert aws.mutations == []


def test_cloudformation_finds_nothing_to_do(deployed: FakeAws, run: Run) -> None:
    """A change set without a change is deleted, and that is no failure."""
    deployed.cfn.finds_nothing_to_change = True
    done = run("deploy", "--shards", "3", "--yes")
    assert done.exit_code == 0
    assert "Nothing to do" in done.stderr
    assert deployed.mutations == ["create_change_set", "delete_change_set"]


def test_what_is_not_given_stays(aws: FakeAws, run: Run) -> None:
    """A later deploy does not reset the parameters that an earlier one set."""
    run("deploy", "--shards", "4", "--tag", "a=1", "--yes")
    done = run("deploy", "--retention-days", "3", "--tag", "b=2", "--yes")
    assert done.exit_code == 0
    request = aws.request("create_change_set")
    assert {"ParameterKey": "Shards", "UsePreviousValue": True} in request["Parameters"]
    assert {"ParameterKey": "RetentionDays", "ParameterValue": "3"} in request["Parameters"]
    assert request["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def test_no_leaves_nothing_behind(aws: FakeAws, run: Run) -> None:
    """After a no, the change set and the empty stack are deleted."""
    done = run("deploy", input="n\n")
    assert done.exit_code == 1
    assert aws.mutations == ["create_change_set", "delete_change_set", "delete_stack"]
    assert run("deploy", input="").exit_code == 2


def test_only_an_empty_shell_is_taken_back(aws: FakeAws) -> None:
    """If somebody else completed the stack while the question was open, a no does not delete it."""
    account = aws.open()
    with proposed(account, plan_stack(account, "toptalkers", parameters={}, tags={})):
        aws.cfn.stacks["toptalkers"]["StackStatus"] = "CREATE_COMPLETE"
    assert aws.mutations == ["create_change_set", "delete_change_set"]


def test_no_does_not_touch_a_stack_that_is_up(deployed: FakeAws, run: Run) -> None:
    """After a no to an update, only the change set is deleted."""
    assert run("deploy", "--shards", "9", input="n\n").exit_code == 1
    assert deployed.mutations == ["create_change_set", "delete_change_set"]


def test_a_failed_create_is_explained(aws: FakeAws, run: Run) -> None:
    """The error names the first resource that failed by itself, with its reason, not those cancelled because of it."""
    aws.cfn.fails_at = {
        "Bucket": "Resource creation cancelled",
        "Stream": "Limit exceeded: 500 shards",
        "Function": "also failed",
    }
    done = run("deploy", "--yes")
    assert done.exit_code == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: the stack 'toptalkers' ended as ROLLBACK_COMPLETE: Stream (AWS::Kinesis::Stream)")
    assert "Limit exceeded: 500 shards" in last
    assert "toptalkers destroy" in last
    aws.cfn.fails_at = {}
    again = run("deploy", "--yes")
    assert again.exit_code == 1
    assert "cannot be updated: it is ROLLBACK_COMPLETE" in again.stderr
    assert run("destroy", "--yes").exit_code == 0
    assert run("deploy", "--yes").exit_code == 0


SHARDS = st.sampled_from(["on-demand", *map(str, [*range(1, 20), 31, 64, 100, 500, 1000])])


@given(first=SHARDS, then=st.lists(SHARDS, min_size=1, max_size=3), drift=st.sampled_from([0, 0, 0, 1, 2, 7, 40]))
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_number_of_shards_is_reached(first: str, then: list[str], drift: int) -> None:
    """F3: Kinesis at most doubles or halves a stream at once, so deploy goes there in steps, wherever the stream is."""
    aws = FakeAws()
    assert command(aws, "deploy", "--shards", first, "--yes").exit_code == 0
    for shards in then:
        if drift:  # somebody else changed the stream
            aws.streams.shards = drift
        before = aws.cfn.parameter("Shards")
        was = aws.streams.shards
        done = command(aws, "deploy", "--shards", shards, "--yes")
        if done.exit_code:
            assert "updates, and allows 10" in done.stderr or "aws kinesis update-shard-count" in done.stderr
            assert (aws.cfn.parameter("Shards"), aws.streams.shards) == (before, was)
            continue
        assert aws.cfn.parameter("Shards") == shards
        if shards != "on-demand" and shards != before:
            assert aws.streams.shards == int(shards)


def test_shards_in_steps(deployed: FakeAws, run: Run) -> None:
    """F3: `--shards 8` on two shards is two updates, as the plan says; after a stop, the same deploy goes on."""
    planned = run("deploy", "--shards", "8", "--dry-run")
    said = "at most doubles or halves the shards of a stream in one update; from 2 this takes 2 updates: 4, 8"
    assert f"Note: Kinesis {said}" in planned.stdout.splitlines()
    deployed.calls.clear()
    deployed.cfn.fails_after = 1
    stopped = run("deploy", "--shards", "8", "--yes")
    assert stopped.exit_code == 1
    assert "run the same deploy again, and it goes on from there" in stopped.stderr
    assert deployed.streams.shards == 4
    deployed.cfn.fails_after = None
    again = run("deploy", "--shards", "8", "--yes")
    assert again.exit_code == 0
    assert "steps" not in again.stderr
    assert deployed.streams.shards == 8
    assert "BucketName" in again.stdout


def test_shards_when_the_stream_cannot_be_read(deployed: FakeAws, run: Run) -> None:
    """F3: without the right to look, the stack's own number is where the steps begin."""
    deployed.failing["describe_stream_summary"] = ("AccessDeniedException", "no")
    deployed.streams.shards = 1
    done = run("deploy", "--shards", "4", "--yes")
    assert done.exit_code == 0
    assert "access denied: you are not allowed to call kinesis:DescribeStreamSummary" in done.stderr
    assert "takes 2 updates: 2, 4" in done.stderr
    assert deployed.streams.shards == 4


def test_a_step_that_cloudformation_would_not_see(deployed: FakeAws, run: Run) -> None:
    """F3: somebody made three shards of the stack's two; the only way to one leads over the two that it has already."""
    assert run("deploy", "--shards", "2", "--yes").exit_code == 0
    deployed.streams.shards = 3
    deployed.calls.clear()
    done = run("deploy", "--shards", "1", "--yes")
    assert done.exit_code == 1
    assert "the stream has 3 shards, but the stack 'toptalkers' says 2" in done.stderr
    assert "aws kinesis update-shard-count --region eu-west-1 --stream-name " in done.stderr
    assert "--target-shard-count 2'" in done.stderr
    assert deployed.mutations == []


OPTIONS = [
    (["--no-stream"], {"Capture": "s3-only"}),
    (["--keep-days", "30"], {"RecordsExpireDays": "30"}),
    (
        ["--alarm-topic", "arn:aws:sns:eu-west-1:123456789012:t"],
        {"AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:t"},
    ),
    (["--subnet", "subnet-0a", "--subnet", "subnet-0b"], {"ClusterSubnets": "subnet-0a,subnet-0b"}),
    (
        ["--primary-security-group", "sg-1", "--node-security-group", "sg-2", "--service-security-group", "sg-3"],
        {
            "ClusterPrimarySecurityGroup": "sg-1",
            "ClusterNodeSecurityGroup": "sg-2",
            "ClusterServiceSecurityGroup": "sg-3",
        },
    ),
    (["--permissions-boundary", "arn:aws:iam::1:policy/b"], {"PermissionsBoundaryArn": "arn:aws:iam::1:policy/b"}),
    (["--role-path", "/team/"], {"RolePath": "/team/"}),
    (["--kms-key", "make"], {"KmsKeyArn": "", "MakeKey": "yes"}),
    (["--kms-key", "arn:aws:kms:r:1:key/k"], {"KmsKeyArn": "arn:aws:kms:r:1:key/k", "MakeKey": "no"}),
    (["--read-key", "arn:aws:kms:r:1:key/k"], {"ReadKmsKeyArns": "arn:aws:kms:r:1:key/k"}),
    (
        ["--read-bucket", "s3://own-logs/AWSLogs/", "--read-bucket", "s3://other-logs"],
        {"ReadBuckets": "own-logs,other-logs"},
    ),
]


@pytest.mark.parametrize(("options", "parameters"), OPTIONS, ids=" ".join)
def test_options_set_parameters(aws: FakeAws, run: Run, options: list[str], parameters: dict[str, str]) -> None:
    """Each option has its parameter of the stack, which a later deploy keeps."""
    assert run("deploy", *options, "--yes").exit_code == 0
    assert {key: aws.cfn.parameter(key) for key in parameters} == parameters
    assert run("deploy", "--retention-days", "3", "--yes").exit_code == 0
    assert {key: aws.cfn.parameter(key) for key in parameters} == parameters


def test_read_buckets_are_added(aws: FakeAws, run: Run) -> None:
    """F2: each deploy adds buckets; what their owners must allow is printed, for those that others may have."""
    first = run("deploy", "--read-bucket", "s3://toptalkers-bucket/", "--yes")
    assert "must add this statement" not in first.stderr
    key = "arn:aws:kms:eu-west-1:111122223333:key/k"
    second = run("deploy", "--read-bucket", "s3://central-logs/AWSLogs/", "--read-key", key, "--yes")
    assert aws.cfn.parameter("ReadBuckets") == "toptalkers-bucket,central-logs"
    shown = second.stderr[second.stderr.index("If s3://central-logs is another account's") :]
    bucket, of_key = (
        json.loads("{" + part.split("\n{", 1)[1].split("\n}", 1)[0] + "}") for part in shown.split("If ")[1:]
    )
    assert bucket["Principal"] == {"AWS": "arn:aws:iam::123456789012:role/the-EmrInstanceProfile"}
    assert bucket["Resource"] == ["arn:aws:s3:::central-logs", "arn:aws:s3:::central-logs/*"]
    assert set(bucket["Action"]) == {"s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"}
    assert "kms:Decrypt" in of_key["Action"]
    again = run("deploy", "--read-bucket", "s3://central-logs/", "--yes")
    assert "Nothing to do" in again.stderr
    assert "If s3://central-logs is another account's" in again.stderr
    assert aws.cfn.parameter("ReadBuckets") == "toptalkers-bucket,central-logs"
    assert "there is no bucket 'centrl-logs'" in run("deploy", "--read-bucket", "s3://centrl-logs/", "--dry-run").stdout


@pytest.mark.parametrize("is_ours", [True, False])
def test_no_stream_loses_no_flow_log(deployed: FakeAws, run: Run, is_ours: bool) -> None:
    """C1: the stream goes when nothing delivers to it any more; the refusal names the command that turns it off."""
    tags = [{"Key": "toptalkers:stack", "Value": "toptalkers"}] if is_ours else []
    deployed.compute.add("vpc-1", LogGroupName="flow-records", Tags=tags)
    done = run("deploy", "--no-stream", "--yes")
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert "the flow logs on vpc-1 would lose their records" in line
    assert ("toptalkers disable-flowlogs --stack-name toptalkers fl-1" in line) == is_ours
    assert ("aws ec2 delete-flow-logs --region eu-west-1 --flow-log-ids fl-1" in line) != is_ours
    assert deployed.mutations == []
    deployed.compute.flow_logs.clear()
    gone = run("deploy", "--no-stream", "--yes")
    assert gone.exit_code == 0
    assert "- remove  Stream (AWS::Kinesis::Stream)" in gone.stderr
    assert "StreamName" not in gone.stdout
    back = run("deploy", "--stream", "--shards", "9", "--yes")
    assert back.exit_code == 0
    assert "+ add     Stream (AWS::Kinesis::Stream)" in back.stderr
    assert "in 4 steps" not in back.stderr


def test_the_role_of_cloudformation(aws: FakeAws, run: Run) -> None:
    """It is passed with the change set; CloudFormation keeps it."""
    role = "arn:aws:iam::123456789012:role/cloudformation"
    assert run("deploy", "--cloudformation-role", role, "--yes").exit_code == 0
    assert aws.request("create_change_set")["RoleARN"] == role


@pytest.mark.parametrize(
    "reason",
    [
        "User: arn:aws:iam::123456789012:user/u is not authorized to perform: iam:CreateRole on resource: role x",
        "API: iam:CreateRole User: u is not authorized",
        "API: iam:CreateRole Access Denied",
    ],
)
def test_a_missing_permission_is_named(aws: FakeAws, run: Run, reason: str) -> None:
    """What CloudFormation may not do in the caller's name is named as an action, with the command that prints all."""
    aws.cfn.fails_at = {"EmrServiceRole": reason}
    last = run("deploy", "--yes").stderr.splitlines()[-1]
    assert "grant iam:CreateRole: 'toptalkers render permissions deploy' prints all" in last


def test_a_long_template_goes_without_white_space(aws: FakeAws, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation takes 51,200 bytes in a request: what is longer is packed, without anybody's noticing."""
    monkeypatch.setattr("toptalkers.capture.stack.TEMPLATE_BODY_BYTES", 1000)
    assert run("deploy", "--yes").exit_code == 0
    sent = aws.request("create_change_set")["TemplateBody"]
    assert len(sent) < len(render_template())
    assert json.loads(sent) == json.loads(render_template())
    assert "Nothing to do" in run("deploy", "--yes").stderr


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("UPDATE_IN_PROGRESS", "wait"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("DELETE_FAILED", "destroy"),
    ],
)
def test_a_state_that_cannot_be_updated(deployed: FakeAws, run: Run, status: str, hint: str) -> None:
    """One line names the state and the remedy."""
    deployed.cfn.stacks["toptalkers"]["StackStatus"] = status
    done = run("deploy", "--yes")
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert status in line
    assert hint in line
    assert deployed.mutations == []


@pytest.mark.parametrize("command", [["deploy"], ["enable-flowlogs", "vpc-1"], ["status"], ["destroy", "--yes"]])
def test_a_stack_of_another_owner(aws: FakeAws, run: Run, command: list[str]) -> None:
    """No command touches a stack of our name without our tag."""
    aws.cfn.add("toptalkers", "UPDATE_COMPLETE", Outputs=[{"OutputKey": "Url", "OutputValue": "x"}])
    done = run(*command)
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert "somebody else's" in line
    assert "--stack-name" in line
    assert aws.mutations == []


def test_a_change_set_of_another_owner(aws: FakeAws, run: Run) -> None:
    """A stack that somebody else only reviews is theirs, too, even beside us; one of ours is used again."""
    aws.cfn.add("toptalkers", "REVIEW_IN_PROGRESS")
    aws.cfn.change_sets["x"] = {"StackName": "toptalkers", "ChangeSetName": "theirs"}
    assert "somebody else's" in run("deploy", "--yes").stderr
    aws.cfn.change_sets["y"] = {"StackName": "toptalkers", "ChangeSetName": "toptalkers-20261123"}
    assert "somebody else's" in run("deploy", "--yes").stderr
    del aws.cfn.change_sets["x"]
    assert run("deploy", "--yes").exit_code == 0


def test_an_empty_stack_without_a_change_set(aws: FakeAws, run: Run) -> None:
    """It is used: a dry run that was killed may have left it, and nobody else waits at it."""
    aws.cfn.add("toptalkers", "REVIEW_IN_PROGRESS")
    assert run("deploy", "--yes").exit_code == 0


@pytest.mark.parametrize("exists", [False, True])
def test_a_dry_run_deploys_nothing(aws: FakeAws, run: Run, exists: bool) -> None:
    """The change set goes to standard output and is deleted, and so is the empty new stack."""
    if exists:
        run("deploy", "--yes")
        aws.calls.clear()
    planned = run("deploy", "--shards", "on-demand", "--dry-run")
    assert planned.exit_code == 0
    assert aws.mutations == ["create_change_set", "delete_change_set", *([] if exists else ["delete_stack"])]
    assert "a change set, which is deleted again; nothing is deployed" in planned.stderr
    assert aws.cfn.change_sets == {}
    assert aws.cfn.stacks["toptalkers"]["StackStatus"] == ("CREATE_COMPLETE" if exists else "DELETE_COMPLETE")
    assert "Shards: '1' -> 'on-demand'" in planned.stdout
    if exists:
        assert [line for line in planned.stdout.splitlines() if line.startswith("  ~")] == [
            "  ~ change  Stream (AWS::Kinesis::Stream)"
        ]
    else:
        done = run("deploy", "--shards", "on-demand", "--yes")
        assert planned.stdout in done.stderr


def test_a_dry_run_of_nothing(deployed: FakeAws, run: Run) -> None:
    """If the stack is as requested, no change set is made; if CloudFormation finds no change, it is deleted."""
    assert run("deploy", "--dry-run").stdout == "Nothing to do.\n"
    assert deployed.mutations == []
    deployed.cfn.finds_nothing_to_change = True
    assert run("deploy", "--shards", "3", "--dry-run").stdout == "Nothing to do.\n"
    assert deployed.mutations == ["create_change_set", "delete_change_set"]


@pytest.mark.parametrize(
    ("said_by_aws", "shown"),
    [
        ("True", "  ~ change  Stream (AWS::Kinesis::Stream, REPLACES the old one)"),
        ("Conditional", "  ~ change  Stream (AWS::Kinesis::Stream, perhaps replaces the old one)"),
    ],
)
def test_a_dry_run_says_what_is_replaced(deployed: FakeAws, run: Run, said_by_aws: str, shown: str) -> None:
    """Only CloudFormation knows it, and the change set shows it."""
    deployed.cfn.replaces = {"Stream": said_by_aws}
    assert shown in run("deploy", "--shards", "3", "--dry-run").stdout.splitlines()


def test_a_dry_run_leaves_the_change_set_of_another_deploy(aws: FakeAws, run: Run) -> None:
    """If another deploy waits for its answer, the new empty stack stays."""
    aws.cfn.add("toptalkers", "REVIEW_IN_PROGRESS")
    aws.cfn.change_sets["x"] = {"StackName": "toptalkers", "ChangeSetName": "toptalkers-20261123T181459-000001"}
    assert run("deploy", "--dry-run").exit_code == 0
    assert list(aws.cfn.change_sets) == ["x"]
    assert aws.cfn.stacks["toptalkers"]["StackStatus"] == "REVIEW_IN_PROGRESS"


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        ("1", "a stream of 1 shard costs about $11 a month"),
        ("100", "a stream of 100 shards costs about $1,095 a month"),
        ("on-demand", "an on-demand stream costs about $29 a month"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_the_plan_has_the_price_of_the_stream(run: Run, shards: str, said: str) -> None:
    """Before anybody says yes: a stream is paid for by the hour."""
    assert said in run("deploy", "--shards", shards, "--dry-run").stdout
    assert "a month" not in run("deploy", "--no-stream", "--dry-run").stdout


@pytest.mark.usefixtures("deployed")
def test_a_role_for_cloudformation_needs_a_change(run: Run) -> None:
    """CloudFormation takes a role with an update only: without one, the user is told."""
    done = run("deploy", "--cloudformation-role", "arn:aws:iam::123456789012:role/Cfn", "--yes")
    assert "takes the role arn:aws:iam::123456789012:role/Cfn only with a change of the stack" in done.stderr


@pytest.mark.usefixtures("aws")
def test_a_bucket_named_twice_is_named_once(run: Run) -> None:
    """`--read-bucket` twice with one name adds it, and shows its statement, once."""
    done = run("deploy", "--read-bucket", "central-logs", "--read-bucket", "s3://central-logs/AWSLogs/", "--yes")
    assert done.exit_code == 0
    assert done.stderr.count("If s3://central-logs is another account's") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shards", "0"], "--shards: '0' is not understood"),
        (["--retention-days", "2"], "--retention-days: 2 is none of 1, 3, 5"),
        (["--retention-days", "x"], "'x' is not a whole number"),
        (["--parameter", "Shard=2"], "no parameter 'Shard'"),
        (["--parameter", "BatchingWindowSeconds=301"], "BatchingWindowSeconds: 301 is not from 0 to 300"),
        (["--keep-days", "0"], "--keep-days: 0 is less than 1"),
        (["--tag", "team"], "'team' is not written as key=value"),
        (["--log-format", "${srcadr}"], "unknown field 'srcadr'"),
        (["--log-format", "${srcaddr}"], "the format lacks dstaddr, dstport"),
        (["--node-security-group", "sg-2"], "give both --primary-security-group and --node-security-group"),
        (["--read-bucket", "Logs"], "'Logs' is not the name of a bucket"),
        (["--read-key", "k"], "--read-key: 'k' is not understood"),
        (["--subnet", "subnet-x"], "--subnet: 'subnet-x' is not understood"),
        (["--cloudformation-role", "team"], "--cloudformation-role: 'team' is not the ARN of a role"),
        (["--role-path", "team"], "--role-path: 'team' is not understood"),
        (["--kms-key", "k"], "--kms-key: 'k' is not understood"),
    ],
)
def test_wrong_usage(aws: FakeAws, run: Run, options: list[str], said: str) -> None:
    """Values that the template would refuse are refused before any request, with exit code 2."""
    done = run("deploy", "--yes", *options)
    assert done.exit_code == 2
    assert said in done.stderr
    assert aws.mutations == []


def test_access_denied(aws: FakeAws, run: Run) -> None:
    """One line names the missing action."""
    aws.failing["create_change_set"] = (
        "AccessDenied",
        "User: arn:aws:iam::123456789012:user/u is not authorized to perform: cloudformation:CreateChangeSet on x",
    )
    done = run("deploy", "--yes")
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: access denied: you are not allowed to call cloudformation:CreateChangeSet")


@pytest.mark.usefixtures("deployed")
def test_a_new_format_warns_of_the_flow_logs_that_are_on(run: Run) -> None:
    """Flow logs on the stream keep their format; a change of the stream's is refused with the remedy."""
    run("enable-flowlogs", "vpc-1")
    done = run("deploy", "--log-format", "rich", "--dry-run")
    assert "toptalkers disable-flowlogs vpc-1" in done.stdout
    assert format_log_format(RICH_LAYOUT) in done.stdout
    assert "disable-flowlogs" not in run("deploy", "--shards", "2", "--dry-run").stdout


def test_the_template_rendered_is_the_one_deployed(aws: FakeAws, run: Run, tmp_path: Path) -> None:
    """`render template` writes the same as `deploy` sends, to standard output or a file."""
    run("deploy", "--yes")
    sent = aws.request("create_change_set")["TemplateBody"]
    assert run("render", "template").stdout == sent
    assert run("render", "template", "--output", str(tmp_path / "t.json")).exit_code == 0
    assert (tmp_path / "t.json").read_text(encoding="utf-8") == sent
