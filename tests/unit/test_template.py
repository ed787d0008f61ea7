"""The template has the right content, equals the one in the repository, and fits CloudFormation's limits."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.cloudformation import ACCOUNT, computed
from toptalkers import locations
from toptalkers.aws.stack import TEMPLATE_BODY_BYTES
from toptalkers.capture import preprocess, template

RENDERED = Path(__file__).parents[2] / "cloudformation" / "toptalkers.json"
# Next to the interpreter that runs the tests, or anywhere on the path.
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
CFN_LINT = shutil.which("cfn-lint", path=_PATH)
CHECKOV = shutil.which("checkov", path=_PATH)
EVENTS = Path(__file__).parents[1] / "events"


def statements(node: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every IAM statement of the template, conditional ones too, with its place."""
    if isinstance(node, dict):
        if "Effect" in node:
            yield path, node
        for name, value in node.items():
            yield from statements(value, f"{path}/{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from statements(value, f"{path}/{number}")


def test_the_repository_holds_what_is_rendered() -> None:
    """`cloudformation/` equals the code's output (write it again with `toptalkers render template`)."""
    assert RENDERED.read_text(encoding="utf-8") == template.render_template() == template.render_template()


def test_it_fits_inline() -> None:
    """CloudFormation takes it as a template body, without an upload."""
    assert len(template.render_template().encode()) <= TEMPLATE_BODY_BYTES


def test_the_inline_code_is_the_pre_processor() -> None:
    """Without its comments it puts the same objects, and has the handler that the function names."""
    code = template.inline_code()
    inline: dict[str, Any] = {"__name__": "index"}
    exec(code, inline)  # noqa: S102 - the code is ours
    event = json.loads((EVENTS / "misfit.json").read_text(encoding="utf-8"))
    put: dict[str, list[dict[str, Any]]] = {"inline": [], "module": []}
    for name, made in (("inline", inline), ("module", vars(preprocess))):
        settings = made["Settings"]("bucket", made["parse_columns"](""))
        made["process"](
            event, SimpleNamespace(put_object=lambda put=put[name], **request: put.append(request)), settings
        )
    assert put["inline"] == put["module"] != []
    function = template.build_template()["Resources"]["Function"]["Properties"]
    assert function["Handler"] == "index.handler"
    assert callable(inline["handler"])
    separator, lines = function["Code"]["ZipFile"]["Fn::Join"]
    assert separator.join(lines) == code


def test_cfn_lint_is_content() -> None:
    """No error, no warning, no note."""
    command = [str(CFN_LINT), "--include-checks", "I", "--", str(RENDERED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_every_skipped_check_has_its_reason() -> None:
    """A skip is a sentence, not a number."""
    for resource in template.build_template()["Resources"].values():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert re.fullmatch(r"CKV_AWS_\d+", skip["id"])
            assert len(skip["comment"].split()) > 5


def test_nothing_is_granted_on_everything() -> None:
    """No allowed action has a wildcard, no allowed resource is everything. In a key's policy, that is the key."""
    for where, statement in statements(template.build_template()):
        if statement["Effect"] != "Allow" or where.startswith("/Resources/Key/"):
            continue
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], where
        found = statement.get("Resource", [])
        assert "*" not in (found if isinstance(found, list) else [found]), where
        assert statement.get("Principal") != "*", where


def test_services_act_for_this_account_alone() -> None:
    """Each service that sends its source account is restricted to this account; EC2 and Lambda send none."""
    trusts = {
        statement["Principal"]["Service"]: statement.get("Condition", {})
        for _, statement in statements(computed(template.build_template(), {}))
        if statement["Effect"] == "Allow" and "Principal" in statement
    }
    guarded = {service for service, condition in trusts.items() if "aws:SourceArn" in condition.get("ArnLike", {})}
    assert guarded == {
        "vpc-flow-logs.amazonaws.com",
        "logs.amazonaws.com",
        "delivery.logs.amazonaws.com",
        "elasticmapreduce.amazonaws.com",
    }
    assert set(trusts) - guarded == {"lambda.amazonaws.com", "ec2.amazonaws.com"}
    for service in guarded:
        assert trusts[service]["StringEquals"]["aws:SourceAccount"] == ACCOUNT


def test_a_batch_ends_while_its_records_are_still_on_the_stream() -> None:
    """Lambda must give up a batch, and keep its payload, before the stream drops it."""
    made = computed(template.build_template(), {})["Resources"]
    mapping, stream = made["EventSource"]["Properties"], made["Stream"]["Properties"]
    assert mapping["MaximumRecordAgeInSeconds"] < stream["RetentionPeriodHours"] * 3600
    assert mapping["BisectBatchOnFunctionError"] is False
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == "arn:aws:s3:::toptalkers-bucket"


def test_what_is_captured_expires_and_what_is_asked_for_stays() -> None:
    """Flow records and quarantine expire; code and runs do not; the bucket survives the stack."""
    bucket = template.build_template()["Resources"]["Bucket"]
    prefixes = {
        rule["Prefix"] for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule
    }
    assert prefixes == {
        locations.CAPTURED,
        locations.DIRECT,
        locations.QUARANTINE,
        locations.FAILED_BATCHES,
        locations.RUN_LOGS,
    }
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_recipes_outputs_are_there() -> None:
    """The four outputs of the published recipe, and those that the commands read."""
    assert set(template.build_template()["Outputs"]) == {
        "LogGroupName",
        "DeliverLogsPermissionArn",
        "S3LogLocation",
        "AddFlowLogToVpcCmd",
        "LogFormat",
        "BucketName",
        "StreamName",
        "FunctionName",
        "EmrServiceRole",
        "EmrInstanceProfile",
        "EmrSecurityConfiguration",
        "ToptalkersVersion",
    }
