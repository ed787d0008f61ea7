"""`render roles`: the roles of the stack by themselves."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.cloudformation import computed
from toptalkers.capture.roles import cluster_resources
from toptalkers.capture.template import build_template
from toptalkers.cli.main import cli
from toptalkers.render.roles import build_roles

KEY = "arn:aws:kms:eu-west-1:111122223333:key/1"

CHOICES: list[dict[str, str]] = [
    {},
    {"ReadBuckets": "central-logs,more-logs", "ReadKmsKeyArns": KEY},
    {"KmsKeyArn": KEY, "ClusterSubnets": "subnet-0a1,subnet-0b2", "RolePath": "/team/"},
    {"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary"},
]


def flat(part: Any) -> Any:
    """Without lists of one element, which make no difference to IAM."""
    if isinstance(part, dict):
        return {key: flat(one) for key, one in part.items()}
    if isinstance(part, list):
        return flat(part[0]) if len(part) == 1 else [flat(one) for one in part]
    return part


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: ",".join(choice) or "bucket")
@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
def test_they_are_those_of_the_stack(choice: dict[str, str], partition: str) -> None:
    """With the same choices, the stack makes the same roles, profile and security configuration, and names them."""
    parameters = {"ExistingBucket": "my-bucket", **choice}
    stack = computed(build_template(), parameters, partition=partition)
    path = {"RolePath": {"Type": "String", "Default": choice.get("RolePath", "/")}}  # which an ARN has
    roles = {"Parameters": path, "Conditions": {}, **build_roles(parameters, partition)}
    made = computed(roles, {}, partition=partition)
    for name in cluster_resources():
        expected = {key: value for key, value in stack["Resources"][name].items() if key != "Condition"}
        assert flat(made["Resources"][name]) == flat(expected), name
    assert (
        made["Outputs"]
        .pop("NodesRoleArn")["Value"]
        .endswith(f":role{parameters.get('RolePath', '/')}toptalkers-EmrInstanceRole")
    )
    assert made["Outputs"] == {name: stack["Outputs"][name] for name in made["Outputs"]}


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: ",".join(choice) or "bucket")
def test_cfn_lint_is_content(choice: dict[str, str], tmp_path: Path) -> None:
    """No error, and no warning."""
    path = tmp_path / "roles.json"
    path.write_text(json.dumps(build_roles({"ExistingBucket": "my-bucket", **choice})))
    lint = [str(Path(sys.executable).with_name("cfn-lint")), "--", str(path)]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_command_checks_what_it_is_given() -> None:
    """A value that the stack would not take is one line, and exit code 2."""
    done = CliRunner().invoke(cli, ["render", "roles", "--bucket", "my-bucket", "--read-bucket", "central-logs"])
    assert done.exit_code == 0
    assert "central-logs/*" in done.stdout
    for wrong in (["--bucket", "My_Bucket"], ["--bucket", "my-bucket", "--role-path", "team"]):
        done = CliRunner().invoke(cli, ["render", "roles", *wrong])
        assert done.exit_code == 2
        assert done.stdout == ""
