"""Each choice of parameters gives a whole template: no reference to what is not made, and content checkers."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cloudformation import ACCOUNT, computed, reduced
from toptalkers.capture import preprocess
from toptalkers.capture.our_stack import OurStack
from toptalkers.capture.template import build_template
from toptalkers.errors import ToptalkersError

_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
CFN_LINT = shutil.which("cfn-lint", path=_PATH)
CHECKOV = shutil.which("checkov", path=_PATH)

KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

# Parameters on which it depends whether a resource is made.
MAKERS: dict[str, tuple[str, ...]] = {
    "Capture": ("stream", "s3-only"),
    "ExistingBucket": ("", "toptalkers-kept"),
    "MakeKey": ("no", "yes"),
    "EmrSecurityConfiguration": ("", "ours"),
    "SilenceAlarm": ("off", "on"),
}
# Those on which only properties depend.
OTHERS: dict[str, tuple[str, ...]] = {
    "Shards": ("1", "on-demand"),
    "AlarmTopicArn": ("", f"arn:aws:sns:eu-west-1:{ACCOUNT}:alarms"),
    "ReadBuckets": ("", "central-flow-logs", "central-flow-logs, other.flow-logs"),
    "ReadKmsKeyArns": ("", OTHER_KEY),
    "KmsKeyArn": ("", KEY),
    "EmrCertificates": ("", "s3://certificates-of-ours/emr.zip"),
    "ClusterSubnets": ("", "subnet-0a1", "subnet-0a1,subnet-0b2"),
    "ClusterPrimarySecurityGroup": ("", "sg-0a1"),
    "ClusterNodeSecurityGroup": ("", "sg-0b2"),
    "ClusterServiceSecurityGroup": ("", "sg-0c3"),
    "NodesSsm": ("no", "yes"),
    "PermissionsBoundaryArn": ("", f"arn:aws:iam::{ACCOUNT}:policy/boundary"),
    "RolePath": ("/", "/network/analysts/"),
    "FunctionRuntime": ("python3.14", "python3.12"),
    "FunctionArchitecture": ("arm64", "x86_64"),
}
ONE_SIZE = {
    "BatchingWindowSeconds",
    "FunctionMemoryMb",
    "LogFormat",
    "ParallelizationFactor",
    "RecordsExpireDays",
    "RetentionDays",
    "RunLogsExpireDays",
}


def made_sets() -> Iterator[dict[str, str]]:
    """Return each combination of the makers once, with the other parameters taken in turn."""
    turns = {name: itertools.cycle(values) for name, values in OTHERS.items()}
    for values in itertools.product(*MAKERS.values()):
        yield dict(zip(MAKERS, values, strict=True)) | {name: next(turn) for name, turn in turns.items()}


def test_every_parameter_is_a_choice_here() -> None:
    """A new parameter belongs to one of the kinds above."""
    assert {*MAKERS, *OTHERS} | ONE_SIZE == set(build_template()["Parameters"])


@given(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in (MAKERS | OTHERS).items()}))
def test_nothing_refers_to_what_is_not_made(parameters: dict[str, str]) -> None:
    """Each choice is decided and computed to the end, and each output is a text."""
    made = computed(build_template(), parameters)
    assert "Fn::" not in json.dumps(made)
    assert "AWS::NoValue" not in json.dumps(made)
    for name, output in made["Outputs"].items():
        assert isinstance(output["Value"], str), name
        assert output["Value"] or name == "EmrSecurityConfiguration", name


def test_it_depends_on_the_makers_alone_what_is_made() -> None:
    """The lists above are right: no other parameter adds or removes a resource, and each maker does."""

    def made(parameters: dict[str, str]) -> set[str]:
        return set(reduced(build_template(), parameters)["Resources"])

    base = made({})
    for name, values in OTHERS.items():
        assert all(made({name: value}) == base for value in values), name
    for name, values in MAKERS.items():
        assert made({name: values[1]}) != base, name


def test_a_stack_of_the_first_version_keeps_its_roles() -> None:
    """A path that is written for the first time would replace all roles, and with them that of flow logs."""
    for one in reduced(build_template(), {})["Resources"].values():
        assert not {"Path", "PermissionsBoundary"} & one["Properties"].keys()


def test_s3_only_has_no_stream() -> None:  # C1
    """Neither stream nor function, log group, subscription, alarm, nor a role for one of them."""
    made = computed(build_template(), {"Capture": "s3-only", "SilenceAlarm": "on"})
    assert set(made["Resources"]) == {
        "Bucket",
        "BucketPolicy",
        "EmrServiceRole",
        "EmrInstanceRole",
        "EmrInstanceProfile",
        "EmrSecurity",
    }
    absent = {"LogGroupName", "DeliverLogsPermissionArn", "StreamName", "FunctionName"}
    assert set(computed(build_template(), {})["Outputs"]) - set(made["Outputs"]) == absent
    assert made["Outputs"]["S3LogLocation"]["Value"] == "s3://toptalkers-bucket/AWSLogs/"


def test_a_bucket_that_is_taken_over_is_used_everywhere() -> None:
    """Its name stands wherever the stack's own stood, and neither it nor its policy is made."""
    own = computed(build_template(), {})
    for name in ("Bucket", "BucketPolicy"):
        del own["Resources"][name]
    taken = computed(build_template(), {"ExistingBucket": "taken-over"})
    assert json.dumps(own).count("toptalkers-bucket") > 10
    assert json.loads(json.dumps(own).replace("toptalkers-bucket", "taken-over")) == taken


@pytest.mark.parametrize("bucket", ["", "kept"])
def test_the_key_encrypts_all_that_a_given_key_would(bucket: str) -> None:  # I1
    """A key made by the stack stands wherever a given one does, stays, and may be used by the two services."""
    given_one = computed(build_template(), {"KmsKeyArn": KEY, "ExistingBucket": bucket})["Resources"]
    own = computed(build_template(), {"MakeKey": "yes", "ExistingBucket": bucket})["Resources"]
    key = own.pop("Key")
    arn = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/toptalkers-Key"
    assert json.loads(json.dumps(own).replace(arn, KEY)) == given_one
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert key["Properties"]["EnableKeyRotation"] is True
    users = {
        (one["Principal"].get("Service") or one["Principal"]["AWS"]): one.get("Condition")
        for one in key["Properties"]["KeyPolicy"]["Statement"]
    }
    assert users.keys() == {
        f"arn:aws:iam::{ACCOUNT}:root",
        "logs.eu-west-1.amazonaws.com",
        "delivery.logs.amazonaws.com",
    }
    assert all(condition for user, condition in users.items() if not user.startswith("arn:"))
    disks = own["EmrSecurity"]["Properties"]["SecurityConfiguration"]["EncryptionConfiguration"]
    assert disks["AtRestEncryptionConfiguration"]["LocalDiskEncryptionConfiguration"]["EnableEbsEncryption"] is True


def test_a_given_key_is_used_in_place_of_one_that_could_be_made() -> None:
    """With both parameters there is one key, the given one."""
    both = computed(build_template(), {"KmsKeyArn": KEY, "MakeKey": "yes"})
    assert both == computed(build_template(), {"KmsKeyArn": KEY})


def test_without_a_key_the_disks_are_in_the_clear_and_the_description_says_so() -> None:  # I1
    """EMR encrypts disks with a key of the customer only."""
    made = computed(build_template(), {})["Resources"]["EmrSecurity"]["Properties"]["SecurityConfiguration"]
    assert "LocalDiskEncryptionConfiguration" not in json.dumps(made)
    said = build_template()["Parameters"]["KmsKeyArn"]["Description"]
    assert "disks are only encrypted if the account encrypts EBS volumes by default" in said


@pytest.mark.parametrize(
    ("watched", "found"),
    [
        ("DeliveryThrottling", "ThrottledAlarm"),
        ("DeliveryErrors", "UndeliveredAlarm"),
        ("WriteProvisionedThroughputExceeded", "ShardFullAlarm"),
    ],
)
def test_an_alarm_watches_what_the_stream_refuses(watched: str, found: str) -> None:  # S1
    """Each exists with the stream, and none of them takes missing data for a failure."""
    made = computed(build_template(), {})["Resources"]
    [name] = [
        name for name, one in made.items() if one["Type"] == "AWS::CloudWatch::Alarm" and watched in json.dumps(one)
    ]
    assert name == found
    alarm = made[name]["Properties"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
    assert alarm["TreatMissingData"] == "notBreaching"
    filter_name = made["Subscription"]["Properties"]["FilterName"]
    if "Metrics" in alarm:
        [query] = alarm["Metrics"]
        what, where = query["Expression"].split(" WHERE ")
        assert what == f'SELECT SUM({watched}) FROM "AWS/Logs"'  # noqa: S608 - compared, not sent
        assert where == f"LogGroupName = 'toptalkers-FlowLogGroup' AND FilterName = '{filter_name}'"
    else:
        assert alarm["Dimensions"] == [{"Name": "StreamName", "Value": "toptalkers-Stream"}]


def test_silence_is_an_alarm_only_when_asked_for() -> None:  # S2
    """Half an hour without a record, or without the metric at all."""
    assert "SilenceAlarmOn" not in computed(build_template(), {})["Resources"]
    alarm = computed(build_template(), {"SilenceAlarm": "on"})["Resources"]["SilenceAlarmOn"]["Properties"]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["TreatMissingData"]) == (
        "IncomingLogEvents",
        "Sum",
        "breaching",
    )
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 30 * 60


def test_the_function_works_off_a_backlog() -> None:  # S3, F11
    """It has half a gigabyte, and can be several per shard; runtime and architecture are parameters."""
    made = computed(build_template(), {})["Resources"]
    function = made["Function"]["Properties"]
    assert (function["MemorySize"], function["Runtime"], function["Architectures"]) == ("512", "python3.14", ["arm64"])
    chosen = {"ParallelizationFactor": "10", "FunctionRuntime": "python3.13", "FunctionArchitecture": "x86_64"}
    made = computed(build_template(), chosen)["Resources"]
    assert made["EventSource"]["Properties"]["ParallelizationFactor"] == "10"
    function = made["Function"]["Properties"]
    assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["x86_64"])


def test_logs_of_runs_expire() -> None:  # C5
    """As long as a parameter says; runs themselves stay."""
    bucket = computed(build_template(), {"RunLogsExpireDays": "3"})["Resources"]["Bucket"]["Properties"]
    expiring = {one["Prefix"]: one.get("ExpirationInDays") for one in bucket["LifecycleConfiguration"]["Rules"]}
    assert expiring["logs/"] == "3"
    assert "runs/" not in expiring


def test_direct_delivery_is_asked_for_no_acl() -> None:  # F8
    """The bucket has no ACLs; source account and ARN keep other accounts out."""
    policy = computed(build_template(), {})["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    assert "x-amz-acl" not in json.dumps(policy)
    delivery = [one for one in policy["Statement"] if one["Principal"] == {"Service": "delivery.logs.amazonaws.com"}]
    assert len(delivery) == 2
    for one in delivery:
        assert one["Condition"] == {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            "ArnLike": {"aws:SourceArn": f"arn:aws:logs:eu-west-1:{ACCOUNT}:*"},
        }


@pytest.mark.parametrize("capture", ["stream", "s3-only"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_command_that_adds_a_flow_log_is_pasted_as_it_is(tmp_path: Path, capture: str, shell: str) -> None:  # P1
    """It makes a flow log that is known as ours: of the default VPC, or of the one that VPC_ID names."""
    outputs = computed(build_template(), {"Capture": capture})["Outputs"]
    command = outputs["AddFlowLogToVpcCmd"]["Value"]
    assert "\n" not in command
    aws = tmp_path / "aws"
    aws.write_text(
        "#!/bin/sh\n"
        'case $2 in describe-vpcs) [ "$*" = "$ASKED" ] && echo vpc-default ;; *) printf \'%s\\n\' "$@" ;; esac\n'
    )
    aws.chmod(0o755)

    def paste(**variables: str) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return subprocess.run(
            [shell, "-c", command],
            env={"PATH": path, "ASKED": asked, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    asked = (
        "ec2 describe-vpcs --region eu-west-1 --filters Name=is-default,Values=true --query Vpcs[].VpcId --output text"
    )
    arguments = paste(VPC_ID="vpc-0a1").stdout.splitlines()
    assert [one.replace("vpc-default", "vpc-0a1") for one in paste().stdout.splitlines()] == arguments
    assert "vpc-default" in paste().stdout
    assert arguments[:2] == ["ec2", "create-flow-logs"]
    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    where = {
        "stream": {
            "--log-destination-type": "cloud-watch-logs",
            "--log-group-name": outputs["LogGroupName"]["Value"] if capture == "stream" else "",
            "--deliver-logs-permission-arn": f"arn:aws:iam::{ACCOUNT}:role/toptalkers-DeliveryRole",
        },
        "s3-only": {
            "--log-destination-type": "s3",
            "--log-destination": "arn:aws:s3:::toptalkers-bucket",
            "--destination-options": "FileFormat=plain-text,HiveCompatiblePartitions=false,PerHourPartition=true",
        },
    }
    assert options == {
        "--region": "eu-west-1",
        "--resource-type": "VPC",
        "--resource-ids": "vpc-0a1",
        "--traffic-type": "ACCEPT",
        "--tag-specifications": "ResourceType=vpc-flow-log,Tags=[{Key=toptalkers:stack,Value=toptalkers}]",
        "--log-format": outputs["LogFormat"]["Value"],
        **where[capture],
    }


def stack_with(outputs: dict[str, Any]) -> OurStack:
    return OurStack(
        name="ours",
        arn=f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/ours/1",
        status="CREATE_COMPLETE",
        reason="",
        description="",
        parameters={},
        outputs={name: one["Value"] for name, one in outputs.items()},
        tags={},
    )


def test_our_stack_says_that_it_has_no_stream() -> None:
    """An output of the stream that s3-only lacks is not blamed on the version."""
    stack = stack_with(computed(build_template(), {"Capture": "s3-only"})["Outputs"])
    assert not stack.has_stream
    assert stack.bucket == "toptalkers-bucket"
    for name in ("log_group", "delivery_role", "stream", "function"):
        with pytest.raises(ToptalkersError, match="the stack 'ours' captures to S3 only") as raised:
            getattr(stack, name)
        assert raised.value.hint == "'toptalkers deploy --stack-name ours --stream' adds them"
    old = stack_with({"ToptalkersVersion": {"Value": "0"}, "StreamName": {"Value": "s"}})
    with pytest.raises(ToptalkersError, match="has no output LogGroupName"):
        _ = old.log_group


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the templates of all sets of resources to a folder."""
    folder = tmp_path_factory.mktemp("templates")
    for number, parameters in enumerate(made_sets()):
        template = reduced(build_template(), parameters)
        # Each is checked as if its choices were the defaults.
        for name, value in parameters.items():
            template["Parameters"][name]["Default"] = value
        used = json.dumps({part: template[part] for part in ("Resources", "Outputs")})
        template["Parameters"] = {
            name: one
            for name, one in template["Parameters"].items()
            if f'"Ref": "{name}"' in used or f"${{{name}}}" in used
        }
        (folder / f"{number}.json").write_text(json.dumps(template, indent=1))
    return folder


@pytest.mark.slow
def test_cfn_lint_is_content_with_every_set_of_resources(folder: Path) -> None:
    """No error, no warning, no note, whatever is made."""
    command = [str(CFN_LINT), "--include-checks", "I", "--", *sorted(map(str, folder.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
@pytest.mark.skipif(CHECKOV is None and "CI" not in os.environ, reason="scripts/test installs checkov, CI must have it")
def test_checkov_is_content_with_every_set_of_resources(folder: Path) -> None:
    """Every check passes, or the resource says why it does not apply."""
    options = ["--framework", "cloudformation", "--skip-download", "--output", "json", "--quiet", "--compact"]
    # AWS's own key encrypts log groups where no key is given; in the template itself that is a choice.
    options += ["--skip-check", "CKV_AWS_158"]
    done = subprocess.run(
        [str(CHECKOV), "--directory", ".", *options], cwd=folder, capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["results"]["failed_checks"]) == (0, [])
    summary = found["summary"]
    assert (summary["failed"], summary["parsing_errors"]) == (0, 0)
    assert summary["passed"] > 100


def test_no_record_is_lost_between_stream_and_function() -> None:
    """It reads from the stream's beginning, so also what came before it; and has time for each attempt to write."""
    made = computed(build_template(), {})["Resources"]
    assert made["EventSource"]["Properties"]["StartingPosition"] == "TRIM_HORIZON"
    client = preprocess._s3_client().meta.config
    attempts = client.retries["total_max_attempts"] * (client.connect_timeout + client.read_timeout)
    assert made["Function"]["Properties"]["Timeout"] > 2 * attempts


def test_a_key_is_not_asked_for_each_object() -> None:
    """A bucket key stands for it: else each object is a request to KMS, which is billed and limited."""
    bucket = computed(build_template(), {"KmsKeyArn": KEY})["Resources"]["Bucket"]["Properties"]
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True


def test_services_may_use_the_key_as_their_documents_ask() -> None:  # I1
    """CloudWatch Logs' and the delivery service's key policies have these actions (the former writes `Describe*`)."""
    policy = computed(build_template(), {"MakeKey": "yes"})["Resources"]["Key"]["Properties"]["KeyPolicy"]
    asked = {"kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey", "kms:ReEncryptFrom"}
    asked |= {"kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptTo"}
    services = [one for one in policy["Statement"] if "Service" in one["Principal"]]
    assert len(services) == 2
    for one in services:
        assert set(one["Action"]) == asked
