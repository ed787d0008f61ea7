"""`enable-flowlogs` and `disable-flowlogs`: the requests to EC2, and the messages about its answers."""

import json

import pytest

from tests.fake_aws import FakeAws
from tests.functional.conftest import Run
from tests.functional.test_deploy_status_destroy import without_stream
from toptalkers.capture.flowlogs import DELIVERY_SECONDS
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, RICH_LAYOUT, format_log_format

pytestmark = pytest.mark.usefixtures("deployed")


def test_over_the_stream(aws: FakeAws, run: Run) -> None:
    """A VPC's flow log goes to the stack's log group with its role, in its format, with our tag."""
    done = run("enable-flowlogs", "vpc-1")
    assert (done.exit_code, done.stdout) == (0, "fl-1\n")
    assert aws.request("create_flow_logs") == {
        "ResourceIds": ["vpc-1"],
        "ResourceType": "VPC",
        "TrafficType": "ACCEPT",
        "LogFormat": format_log_format(DEFAULT_LAYOUT),
        "MaxAggregationInterval": 600,
        "TagSpecifications": [
            {"ResourceType": "vpc-flow-log", "Tags": [{"Key": "toptalkers:stack", "Value": "toptalkers"}]}
        ],
        "LogDestinationType": "cloud-watch-logs",
        "LogGroupName": "flow-records",
        "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/delivery",
    }
    assert "fl-1 on vpc-1: delivered" in done.stderr


def test_straight_to_the_bucket(aws: FakeAws, run: Run) -> None:
    """Direct delivery accepts any format, and writes folders per hour."""
    done = run(
        "enable-flowlogs", "subnet-1", "eni-1", "--destination", "s3", "--log-format", "rich", "--interval", "60"
    )
    assert done.exit_code == 0
    request = aws.request("create_flow_logs")
    assert request["ResourceType"] == "NetworkInterface"
    assert request["LogDestination"] == "arn:aws:s3:::toptalkers-bucket"
    assert request["DestinationOptions"]["PerHourPartition"]
    assert request["LogFormat"] == format_log_format(RICH_LAYOUT)
    assert request["MaxAggregationInterval"] == 60
    assert "eni-1 is inside subnet-1" in done.stderr


def test_the_former_name_of_log_format_still_works(aws: FakeAws, run: Run) -> None:
    """`--format` works like `--log-format`, and a message calls it the former name; both together are wrong usage."""
    command = ("enable-flowlogs", "vpc-1", "--destination", "s3", "--format", "rich")
    assert run(*command, "--log-format", "rich").exit_code == 2
    done = run(*command)
    assert (done.exit_code, aws.request("create_flow_logs")["LogFormat"]) == (0, format_log_format(RICH_LAYOUT))
    assert "--format is now called --log-format" in done.stderr
    assert "--format " not in run("enable-flowlogs", "--help").stdout.replace("--log-format ", "")


def test_another_format_on_the_stream_is_refused(aws: FakeAws, run: Run) -> None:
    """For another format, the error names the `deploy` command that changes the stream's."""
    done = run("enable-flowlogs", "vpc-1", "--log-format", "rich")
    assert done.exit_code == 2
    assert "'toptalkers deploy --stack-name toptalkers --log-format rich' changes it" in done.stderr
    own = run("enable-flowlogs", "vpc-1", "--log-format", "srcaddr dstaddr dstport")
    assert r"""--log-format "\${srcaddr} \${dstaddr} \${dstport}"' changes it""" in own.stderr
    assert aws.mutations == []


def test_all_vpcs_or_ids(aws: FakeAws, run: Run) -> None:
    """Both together are refused, with words that say so."""
    done = run("enable-flowlogs", "vpc-1", "--all-vpcs")
    assert done.exit_code == 2
    assert "--all-vpcs and ids exclude each other" in done.stderr
    assert aws.calls == []


def test_already_on(aws: FakeAws, run: Run) -> None:
    """The second call changes nothing and exits with 0; other settings are not taken for the same."""
    run("enable-flowlogs", "vpc-1")
    aws.calls.clear()
    done = run("enable-flowlogs", "vpc-1")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "= already  vpc-1 (fl-1)" in done.stderr
    other = run("enable-flowlogs", "vpc-1", "--traffic", "ALL")
    assert other.exit_code == 1
    assert "other settings" in other.stderr
    assert aws.mutations == []
    # Rejected records are not among the accepted ones.
    assert run("enable-flowlogs", "vpc-1", "--traffic", "REJECT").stdout == "fl-2\n"


def test_unknown_ids(aws: FakeAws, run: Run) -> None:
    """Resources that do not exist are named, and do not stop the others."""
    done = run("enable-flowlogs", "vpc-9", "subnet-2")
    assert (done.exit_code, done.stdout) == (1, "fl-1\n")
    assert done.stderr.splitlines()[-1] == "Error: vpc-9 is not on: there is no such VPC in eu-west-1"
    assert run("enable-flowlogs", "i-1").exit_code == 2
    assert run("enable-flowlogs", "vpc-").exit_code == 2
    assert aws.mutations == ["create_flow_logs"]


def test_refusals_of_single_resources(aws: FakeAws, run: Run) -> None:
    """Each resource that AWS refuses is named with AWS's reason; the others are enabled."""
    aws.compute.refuses["vpc-2"] = "the limit is reached"
    done = run("enable-flowlogs", "vpc-1", "vpc-2")
    assert (done.exit_code, done.stdout) == (1, "fl-1\n")
    assert "Error: vpc-2 is not on: the limit is reached" in done.stderr


def test_delivery_that_fails(aws: FakeAws, run: Run) -> None:
    """AWS's message is shown with its meaning, and the command fails."""
    aws.compute.delivery = "FAILED"
    done = run("enable-flowlogs", "vpc-1")
    assert done.exit_code == 1
    assert "not delivered: Access error (the delivery role" in done.stderr


def test_delivery_that_aws_does_not_report(aws: FakeAws, run: Run) -> None:
    """The wait is limited, and --no-wait skips it."""
    aws.compute.delivery = ""
    done = run("enable-flowlogs", "vpc-1")
    assert done.exit_code == 0
    assert "does not say yet" in done.stderr
    assert aws.slept == DELIVERY_SECONDS
    assert run("enable-flowlogs", "vpc-2", "--no-wait").exit_code == 0
    assert aws.slept == DELIVERY_SECONDS


@pytest.mark.parametrize(("on", "asked"), [("vpc-1", "eni-1"), ("eni-1", "vpc-1"), ("subnet-1", "eni-1")])
def test_double_counting_is_warned_of(run: Run, on: str, asked: str) -> None:
    """A flow log on an enclosing or an enclosed resource brings the same records."""
    run("enable-flowlogs", on)
    assert f"{asked}: fl-1 on {on} delivers the same records here" in run("enable-flowlogs", asked).stderr


def test_apart_is_not_warned_of(aws: FakeAws, run: Run) -> None:
    """Neighbours, and flow logs to other destinations, are not reported as double counting."""
    run("enable-flowlogs", "subnet-2")
    assert "Warning" not in run("enable-flowlogs", "eni-1").stderr
    aws.compute.add("vpc-2", LogDestination="arn:aws:s3:::elsewhere", LogDestinationType="s3")
    said = run("enable-flowlogs", "vpc-2").stderr
    assert "delivers the same records elsewhere: billed twice" in said
    assert "count twice" not in said


@pytest.mark.parametrize("command", [["enable-flowlogs", "vpc-2"], ["disable-flowlogs", "--all"]])
def test_a_dry_run_changes_nothing(aws: FakeAws, run: Run, command: list[str]) -> None:
    """The plan goes to standard output, and no request changes anything."""
    run("enable-flowlogs", "vpc-1")
    aws.calls.clear()
    done = run(*command, "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.startswith("Plan: ")
    assert aws.mutations == []


def test_only_our_own_are_turned_off(aws: FakeAws, run: Run) -> None:
    """Flow logs of others stay, even on the same resource and if they are named."""
    theirs = aws.compute.add("vpc-1", Tags=[{"Key": "toptalkers:stack", "Value": "another"}])
    run("enable-flowlogs", "vpc-1", "subnet-1")
    named = run("disable-flowlogs", theirs)
    assert named.exit_code == 0
    assert "no flow log of stack toptalkers" in named.stderr
    done = run("disable-flowlogs", "vpc-1")
    assert done.exit_code == 0
    assert "no flow log of stack" not in done.stderr
    assert aws.request("delete_flow_logs") == {"FlowLogIds": ["fl-2"]}
    assert run("disable-flowlogs", "--all").exit_code == 0
    assert [one["FlowLogId"] for one in aws.compute.flow_logs] == [theirs]
    assert run("disable-flowlogs").exit_code == 2
    assert run("disable-flowlogs", "--all", "vpc-1").exit_code == 2


def test_what_stays_on_is_a_failure(aws: FakeAws, run: Run) -> None:
    """A flow log that AWS does not delete is named."""
    run("enable-flowlogs", "vpc-1")
    aws.compute.refuses["fl-1"] = "not now"
    done = run("disable-flowlogs", "vpc-1")
    assert done.exit_code == 1
    assert "Error: fl-1 stays on: not now" in done.stderr


def test_without_a_stack(aws: FakeAws, run: Run) -> None:
    """There is no destination, and the message names `deploy`."""
    del aws.cfn.stacks["toptalkers"]
    done = run("enable-flowlogs", "vpc-1")
    assert done.exit_code == 1
    assert "toptalkers deploy" in done.stderr


def test_without_a_stream_the_bucket_is_the_destination(aws: FakeAws, run: Run) -> None:
    """C1: a stack without a stream takes direct delivery; asking for the stream names the command that adds one."""
    without_stream(aws)
    refused = run("enable-flowlogs", "vpc-1", "--destination", "stream")
    assert refused.exit_code == 2
    assert "has no stream" in refused.stderr
    assert "toptalkers deploy --stack-name toptalkers --stream" in refused.stderr
    assert aws.mutations == []
    assert run("enable-flowlogs", "vpc-1").exit_code == 0
    request = aws.request("create_flow_logs")
    assert (request["LogDestinationType"], request["LogDestination"]) == ("s3", "arn:aws:s3:::toptalkers-bucket")
    assert "= already  vpc-1 (fl-1)" in run("enable-flowlogs", "vpc-1").stderr
    assert run("disable-flowlogs", "--all").exit_code == 0
    assert aws.compute.flow_logs == []


@pytest.mark.parametrize("days", [1, 7, 365])
def test_direct_delivery_says_when_objects_expire(aws: FakeAws, run: Run, days: int) -> None:
    """S9: whoever points logs here learns from the plan how long they stay, and how to change it."""
    stack = aws.cfn.stacks["toptalkers"]
    stack["Parameters"] = [{"ParameterKey": "RecordsExpireDays", "ParameterValue": str(days)}]
    said = run("enable-flowlogs", "vpc-1", "--destination", "s3", "--dry-run").stdout
    assert f"AWSLogs/ expire after {days} day{'s' * (days > 1)};" in said
    assert "'toptalkers deploy --stack-name toptalkers --keep-days N' changes it" in said


def test_an_interval_of_ten_minutes_is_an_upper_limit(run: Run) -> None:
    """P2: instances on Nitro make records more often, and the plan says so."""
    assert "Nitro" in run("enable-flowlogs", "vpc-1", "--dry-run").stdout
    assert "Nitro" not in run("enable-flowlogs", "vpc-1", "--interval", "60", "--dry-run").stdout


def test_flow_logs_have_tags(aws: FakeAws, run: Run) -> None:
    """Flow logs have the tags of the stack and those of the command; ours cannot be overwritten."""
    aws.cfn.stacks["toptalkers"]["Tags"] = [{"Key": "team", "Value": "network"}, {"Key": "cost", "Value": "1"}]
    assert run("enable-flowlogs", "vpc-1", "--tag", "team=edge", "--tag", "env=").exit_code == 0
    tags = {one["Key"]: one["Value"] for one in aws.request("create_flow_logs")["TagSpecifications"][0]["Tags"]}
    assert tags == {"team": "edge", "cost": "1", "env": "", "toptalkers:stack": "toptalkers"}
    for key in ("toptalkers:stack", "aws:x"):
        assert run("enable-flowlogs", "vpc-2", "--tag", f"{key}=other").exit_code == 2


def test_all_vpcs(run: Run) -> None:
    """One command turns flow logs on for every VPC of the account in the Region."""
    done = run("enable-flowlogs", "--all-vpcs")
    assert (done.exit_code, done.stdout) == (0, "fl-1\nfl-2\n")
    assert run("enable-flowlogs").exit_code == 2
    assert run("enable-flowlogs", "vpc-1", "--all-vpcs").exit_code == 2


def policy_sids(aws: FakeAws) -> list[str]:
    """The statements of the bucket's policy, by their names."""
    return [one["Sid"] for one in json.loads(aws.store.settings["policy"]["Policy"])["Statement"]]


def test_the_bucket_policy_is_mended(aws: FakeAws, run: Run) -> None:
    """I2: what AWS took from the bucket's policy is put back, its own statement stays, and once is enough."""
    own = {"Sid": "AWSLogDeliveryWrite1", "Effect": "Allow", "Principal": "*", "Action": "s3:PutObject"}
    aws.store.settings["policy"] = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [own]})}
    done = run("enable-flowlogs", "vpc-1", "--destination", "s3")
    assert done.exit_code == 0
    assert "put back into the policy of s3://toptalkers-bucket: TlsOnly, " in done.stderr
    assert {"TlsOnly", "AWSLogDeliveryWrite1"} < set(policy_sids(aws))
    aws.calls.clear()
    again = run("enable-flowlogs", "vpc-1", "--destination", "s3")
    assert aws.mutations == []
    assert "put back" not in again.stderr


def test_a_bucket_policy_that_may_not_be_read(aws: FakeAws, run: Run) -> None:
    """I2: without the right to look, the flow log is on, and what is not known is said."""
    aws.failing["get_bucket_policy"] = ("AccessDenied", "Access Denied")
    done = run("enable-flowlogs", "vpc-1", "--destination", "s3")
    assert (done.exit_code, done.stdout) == (0, "fl-1\n")
    assert "AWS may have replaced the policy of s3://toptalkers-bucket" in done.stderr


def test_the_stream_leaves_the_bucket_policy_alone(aws: FakeAws, run: Run) -> None:
    """I2: only direct delivery touches it."""
    run("enable-flowlogs", "vpc-1")
    assert "get_bucket_policy" not in [name for name, _ in aws.calls]


def test_a_stream_that_nothing_delivers_to_is_named(aws: FakeAws, run: Run) -> None:
    """C1: with direct delivery alone, the shard is paid for nothing, and the plan says how to do without."""
    said = "'toptalkers deploy --stack-name toptalkers --no-stream' removes it"
    assert said in run("enable-flowlogs", "vpc-1", "--destination", "s3", "--dry-run").stdout
    run("enable-flowlogs", "vpc-2")
    assert said not in run("enable-flowlogs", "vpc-1", "--destination", "s3", "--dry-run").stdout
    without_stream(aws)
    assert said not in run("enable-flowlogs", "vpc-1", "--dry-run").stdout
