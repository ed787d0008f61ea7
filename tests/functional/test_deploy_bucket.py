"""`deploy --bucket`: a bucket is taken over, gets the settings of the stack's own, and loses nothing of others."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cloudformation import ACCOUNT, REGION, STACK, computed
from tests.fake_aws import FakeAws
from tests.functional.conftest import Run
from toptalkers.capture.bucket import mend_bucket_policy, merge_policy, merge_rules, plan_bucket
from toptalkers.capture.our_stack import require_own
from toptalkers.capture.resolve import Resolver
from toptalkers.capture.template import build_template

BUCKET = "toptalkers-bucket"
ALL_IDS = {"captured", "direct", "quarantine", "failed-batches", "run-logs", "incomplete-uploads"}
ALL_SIDS = {"TlsOnly", "DirectDeliveryWrites", "DirectDeliveryLooks"}
THEIRS = {
    "Sid": "Theirs",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/*",
}
AWS_OWN = {
    "Sid": "AWSLogDeliveryWrite1",
    "Effect": "Allow",
    "Principal": {"Service": "delivery.logs.amazonaws.com"},
    "Action": "s3:PutObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/AWSLogs/123456789012/*",
}


def policy(aws: FakeAws) -> list[dict[str, Any]]:
    """The statements of the bucket's policy."""
    found: list[dict[str, Any]] = json.loads(aws.store.settings["policy"]["Policy"])["Statement"]
    return found


def test_a_bucket_is_taken_over(aws: FakeAws, run: Run) -> None:
    """F2: the stack makes none, and the one there gets what the template declares; nothing of others goes."""
    aws.store.settings = {
        "policy": {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [THEIRS]})},
        "lifecycle": {"Rules": [{"ID": "old", "Prefix": "x/", "Status": "Enabled", "Expiration": {"Days": 900}}]},
    }
    planned = run("deploy", "--bucket", f"s3://{BUCKET}/flowlogs/", "--keep-days", "30", "--dry-run")
    assert f"  ~ change  s3://{BUCKET}, lifecycle: AWSLogs/ expires after 30 days" in planned.stdout.splitlines()
    assert f"  ~ change  s3://{BUCKET}, policy: statement TlsOnly" in planned.stdout.splitlines()
    assert aws.mutations == ["create_change_set", "delete_change_set", "delete_stack"]
    done = run("deploy", "--bucket", BUCKET, "--keep-days", "30", "--yes")
    assert done.exit_code == 0
    assert f"BucketName                {BUCKET}\n" in done.stdout
    assert {one["Sid"] for one in policy(aws)} == {"Theirs", *ALL_SIDS}
    rules = {one["ID"]: one for one in aws.store.settings["lifecycle"]["Rules"]}
    assert set(rules) == {"old", *ALL_IDS}
    assert rules["old"]["Filter"] == {"Prefix": "x/"}
    assert rules["direct"]["Expiration"] == {"Days": 30}
    assert aws.store.settings["block"]["PublicAccessBlockConfiguration"]["BlockPublicPolicy"]
    assert "- remove" not in done.stderr
    aws.calls.clear()
    again = run("deploy", "--yes")
    assert "Nothing to do" in again.stderr
    assert aws.mutations == []


def test_a_rule_of_the_same_name_is_shown(aws: FakeAws, run: Run) -> None:
    """The plan says which statements and rules are written over; one that S3 words otherwise is not among them."""
    mine = {
        "ID": "incomplete-uploads",
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    other = {"ID": "direct", "Status": "Enabled", "Filter": {"Prefix": "z/"}, "Expiration": {"Days": 1}}
    aws.store.settings["lifecycle"] = {"Rules": [{**mine, "Filter": {}}, other]}
    aws.store.settings["policy"] = {"Policy": json.dumps({"Statement": {**THEIRS, "Sid": "TlsOnly"}})}
    planned = run("deploy", "--bucket", BUCKET, "--dry-run").stdout
    assert "lifecycle: AWSLogs/ expires after 7 days, instead of the one of that name" in planned
    assert "policy: statement TlsOnly, instead of the one of that name" in planned
    assert "policy: statement DirectDeliveryLooks\n" in planned
    assert "incomplete-uploads" not in planned


def test_the_bucket_that_destroy_kept_is_named(deployed: FakeAws, run: Run) -> None:
    """F2: destroy and the next deploy name the command that takes the bucket over; a denied look is no error."""
    assert f"'toptalkers deploy --bucket {BUCKET} --keep-days 7' takes it over" in run("destroy", "--yes").stderr
    note = f"left s3://{BUCKET} with its data: --bucket {BUCKET} takes it over"
    assert note in run("deploy", "--dry-run").stdout
    assert note not in run("deploy", "--bucket", BUCKET, "--dry-run").stdout
    deployed.failing["list_stacks"] = ("AccessDenied", "no")
    assert note not in run("deploy", "--dry-run").stdout


def test_a_bucket_that_changed_is_mended(aws: FakeAws, run: Run) -> None:
    """The next deploy mends what somebody changed, though CloudFormation has nothing to do."""
    run("deploy", "--bucket", BUCKET, "--yes")
    del aws.store.settings["policy"]
    aws.calls.clear()
    assert "policy: statement TlsOnly" in run("deploy", "--dry-run").stdout
    assert aws.mutations == []
    done = run("deploy", "--yes")
    assert (done.exit_code, aws.mutations) == (0, ["put_bucket_policy"])
    assert {one["Sid"] for one in policy(aws)} == ALL_SIDS


@pytest.mark.parametrize(
    ("bucket", "region", "said"),
    [
        ("central-logs", "eu-west-1", "access denied: you are not allowed to call s3:GetBucketLocation"),
        ("no-such-bucket", "eu-west-1", "there is no bucket 'no-such-bucket'"),
        (BUCKET, "us-east-1", "is in us-east-1, and the stack in eu-west-1"),
        ("EU", "eu-west-1", "'EU' is not the name of a bucket"),
        ("arn:aws:s3:::b", "eu-west-1", "is not the name of a bucket"),
    ],
)
def test_a_bucket_that_cannot_be_taken_over(aws: FakeAws, run: Run, bucket: str, region: str, said: str) -> None:
    """One line says why, and nothing is begun."""
    aws.store.bucket_region = region
    done = run("deploy", "--bucket", bucket, "--yes")
    assert done.exit_code in (1, 2)
    [line] = done.stderr.splitlines()
    assert said in line
    assert aws.mutations == []


def test_logs_do_not_expire_by_surprise(aws: FakeAws, run: Run) -> None:
    """A bucket with flow logs of somebody is only taken over when it is said how long they are kept."""
    aws.store.objects = {"AWSLogs/111122223333/vpcflowlogs/a.gz": (1, aws.open().now())}
    done = run("deploy", "--bucket", BUCKET, "--yes")
    assert done.exit_code == 2
    [line] = done.stderr.splitlines()
    assert f"s3://{BUCKET}/AWSLogs/ has objects, and they would expire after 7 days" in line
    assert "--keep-days" in line
    assert aws.mutations == []
    assert run("deploy", "--bucket", BUCKET, "--keep-days", "3650", "--yes").exit_code == 0
    # A longer time deletes nothing.
    assert run("deploy", "--bucket", BUCKET, "--parameter", "RecordsExpireDays=3651", "--yes").exit_code == 0


@pytest.mark.parametrize(("days", "code"), [(6, 0), (7, 0), (8, 2)])
def test_only_a_shorter_time_is_a_surprise(aws: FakeAws, run: Run, days: int, code: int) -> None:
    """Objects that expire after as many days already, or sooner, lose nothing."""
    aws.store.objects = {"AWSLogs/111122223333/vpcflowlogs/a.gz": (1, aws.open().now())}
    rule = {"ID": "own", "Status": "Enabled", "Filter": {"Prefix": "AWSLogs/"}, "Expiration": {"Days": days}}
    aws.store.settings["lifecycle"] = {"Rules": [rule]}
    assert run("deploy", "--bucket", BUCKET, "--yes").exit_code == code


def test_a_key_of_others_is_not_given_up(aws: FakeAws, run: Run) -> None:
    """A bucket with a key keeps it, and the plan says how the stack's roles may use it."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": default}
    aws.store.settings["encryption"] = {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}
    done = run("deploy", "--bucket", BUCKET, "--yes")
    assert f"toptalkers deploy --kms-key {key}" in done.stderr
    assert "put_bucket_encryption" not in aws.mutations
    assert "toptalkers deploy --kms-key" not in run("deploy", "--kms-key", key, "--dry-run").stdout


def test_a_key_that_the_stack_makes(aws: FakeAws, run: Run) -> None:
    """Its ARN is known only when the stack is up: the plan is made again then."""
    planned = run("deploy", "--bucket", BUCKET, "--kms-key", "make", "--dry-run")
    assert "encryption: arn:aws:kms:eu-west-1:123456789012:key/" in planned.stdout
    done = run("deploy", "--bucket", BUCKET, "--kms-key", "make", "--yes")
    assert done.exit_code == 0
    [rule] = aws.store.settings["encryption"]["ServerSideEncryptionConfiguration"]["Rules"]
    # The fake gives every resource this name.
    made = "arn:aws:kms:eu-west-1:123456789012:key/toptalkers-bucket"
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": made}
    assert "Nothing to do" in run("deploy", "--yes").stderr


def test_a_bucket_whose_settings_may_not_be_changed(aws: FakeAws, run: Run) -> None:
    """The stack stays up, the missing action is named, and the same deploy goes on; later looks are optional."""
    aws.failing["put_bucket_lifecycle_configuration"] = ("AccessDenied", "Access Denied")
    done = run("deploy", "--bucket", BUCKET, "--yes")
    assert done.exit_code == 1
    assert f"the stack is up, but s3://{BUCKET} does not have its settings yet" in done.stderr
    assert "not allowed to call s3:PutLifecycleConfiguration" in done.stderr
    aws.failing.clear()
    aws.calls.clear()
    assert run("deploy", "--bucket", BUCKET, "--yes").exit_code == 0
    assert aws.mutations == ["put_bucket_lifecycle_configuration"]
    aws.failing["get_bucket_lifecycle_configuration"] = ("AccessDenied", "Access Denied")
    later = run("deploy", "--retention-days", "3", "--yes")
    assert later.exit_code == 0
    assert f"Note: whether s3://{BUCKET} has its settings is not known" in later.stderr
    assert run("deploy", "--bucket", BUCKET, "--yes").exit_code == 1


def test_the_bucket_that_is_left(deployed: FakeAws, run: Run) -> None:
    """A stack that takes over another bucket keeps its own, and says which flow logs still go there."""
    deployed.compute.add("vpc-1", LogDestinationType="s3", LogDestination=f"arn:aws:s3:::{BUCKET}")
    deployed.store.name = "other-bucket"
    done = run("deploy", "--bucket", "other-bucket", "--dry-run")
    assert "  - remove  Bucket (AWS::S3::Bucket)" in done.stdout.splitlines()
    assert f"Note: the bucket {BUCKET} is kept with its data, and not used any more" in done.stdout.splitlines()
    assert "'toptalkers enable-flowlogs vpc-1 --destination s3'" in done.stdout
    deployed.store.name = BUCKET
    assert f"Note: the bucket {BUCKET} and its policy stay" in run("deploy", "--bucket", BUCKET, "--yes").stderr
    back = run("deploy", "--parameter", "ExistingBucket=", "--dry-run").stdout
    assert "  + add     Bucket (AWS::S3::Bucket)" in back.splitlines()
    assert f"Note: the bucket {BUCKET} is kept with its data, and not used any more" in back.splitlines()


@given(
    chosen=st.fixed_dictionaries(
        {
            "ExistingBucket": st.sampled_from(["", BUCKET]),
            "KmsKeyArn": st.sampled_from(["", "arn:aws:kms:eu-west-1:123456789012:key/1"]),
            "MakeKey": st.sampled_from(["no", "yes"]),
            "RecordsExpireDays": st.sampled_from(["7", "30"]),
            "ReadBuckets": st.sampled_from(["", "a-logs, b-logs"]),
            "Capture": st.sampled_from(["stream", "s3-only"]),
        }
    ),
    partition=st.sampled_from(["aws", "aws-cn"]),
)
@settings(max_examples=30, deadline=None)
def test_the_template_is_worked_out_as_in_the_tests(chosen: dict[str, str], partition: str) -> None:
    """Two programs that work out templates, one for deploy and one for tests, agree on all that is made."""
    template = build_template()
    expected = computed(template, chosen, partition=partition)["Resources"]
    values = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Region": REGION,
        "AWS::StackName": STACK,
        "AWS::Partition": partition,
        "Bucket": BUCKET,
        "Bucket.Arn": f"arn:{partition}:s3:::{BUCKET}",
        "Key.Arn": f"arn:{partition}:kms:{REGION}:{ACCOUNT}:key/{STACK}-Key",
    }
    resolver = Resolver(template, {**chosen, **values})
    declared = template["Resources"].items()
    assert set(expected) == {key for key, one in declared if "Condition" not in one or resolver.holds(one["Condition"])}
    for name in {"Bucket", "BucketPolicy"} & set(expected):
        assert resolver.resolve(template["Resources"][name]["Properties"]) == expected[name]["Properties"]


def test_the_policy_that_aws_overwrote_is_mended(deployed: FakeAws) -> None:
    """I2: after direct delivery is on, the template's statements are put back beside those of AWS."""
    account = deployed.open()
    stack = require_own(account, "toptalkers")
    deployed.store.settings["policy"] = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [AWS_OWN]})}
    assert set(mend_bucket_policy(account, stack)) == ALL_SIDS
    assert {one["Sid"] for one in policy(deployed)} == {AWS_OWN["Sid"], *ALL_SIDS}
    tls = next(one for one in policy(deployed) if one["Sid"] == "TlsOnly")
    assert tls["Resource"] == [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    assert mend_bucket_policy(account, stack) == ()
    assert deployed.mutations == ["put_bucket_policy"]


def test_the_words_of_the_s3_api(deployed: FakeAws) -> None:
    """What S3 gives back for the settings that were made is what was asked for: a second plan changes nothing."""
    account = deployed.open()
    plan = plan_bucket(account, BUCKET, build_template(), {}, None)
    assert len(plan.changes) == len(ALL_SIDS) + len(ALL_IDS) + 3
    deployed.store.settings["policy"] = {"Policy": json.dumps(reworded(plan.after.policy))}
    deployed.store.settings["lifecycle"] = {"Rules": list(plan.after.rules)}
    left = plan_bucket(account, BUCKET, build_template(), {}, None).changes
    assert [one.split(":")[0] for one in left] == ["public access", "encryption", "ownership"]


def reworded(policy: Any) -> Any:
    """A policy as S3 may write it: a list of one as a text, the actions in another case."""
    statements = []
    for one in policy["Statement"]:
        changed = {**one, "Action": [one["Action"].replace("s3:", "S3:")]}
        if changed["Principal"] == "*":
            changed["Principal"] = {"AWS": ["*"]}
        if isinstance(one["Resource"], list):
            changed["Resource"] = one["Resource"][::-1]
        statements.append(changed)
    return {**policy, "Statement": statements}


statement = st.builds(
    lambda sid, action: {"Sid": sid, "Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"},
    st.sampled_from("abcd"),
    st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:*"]),
)
statements = st.lists(statement, max_size=4, unique_by=lambda one: one["Sid"])


@given(have=statements, wanted=statements)
def test_policies_are_merged(have: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """All that is wanted is there, others keep their statements, no Sid is there twice, and twice is once."""
    merged, sids = merge_policy({"Id": "x", "Statement": have}, wanted)
    after = merged["Statement"]
    assert all(one in after for one in wanted)
    assert all(one in after for one in have if one["Sid"] not in sids)
    assert len({one["Sid"] for one in after}) == len(after)
    assert merged["Id"] == "x"
    assert merge_policy(merged, wanted) == (merged, ())


rule = st.builds(
    lambda own, prefix, days: {
        "ID": own,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Expiration": {"Days": days},
    },
    st.sampled_from("abcd"),
    st.sampled_from(["x/", "y/"]),
    st.integers(1, 3),
)
rules = st.lists(rule, max_size=4, unique_by=lambda one: one["ID"])


@given(have=rules, wanted=rules)
def test_lifecycle_rules_are_merged(have: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """All that is wanted is there, others keep their rules, and twice is once."""
    merged, new = merge_rules(have, wanted)
    assert all(one in merged for one in wanted)
    named = {one["ID"] for one in wanted}
    assert [one for one in merged if one["ID"] not in named] == [one for one in have if one["ID"] not in named]
    assert len(merged) == len({one["ID"] for one in merged})
    assert all(one in wanted for one in new)
    assert merge_rules(merged, wanted) == (merged, ())
