"""The cluster's roles by themselves, for somebody else to make: a template of what EMR and its nodes run under.

They are those of the stack, worked out for a bucket that exists.
"""

import json
from collections.abc import Mapping
from typing import Any

from toptalkers.capture.cfn import get_att
from toptalkers.capture.resolve import Resolver
from toptalkers.capture.roles import cluster_resources
from toptalkers.capture.template import build_template

OUTPUTS = ("EmrServiceRole", "EmrInstanceProfile", "EmrSecurityConfiguration")


def build_roles(parameters: Mapping[str, str], partition: str = "aws") -> dict[str, Any]:
    """Build the template of the roles.

    `parameters` are parameters of the stack by their names; ExistingBucket must be among them. `partition` is aws,
    aws-cn or aws-us-gov.
    """
    template = build_template()
    # What only CloudFormation knows stays a hole, for Fn::Sub to fill.
    values = {**parameters, "Capture": "s3-only", "AWS::Partition": partition}
    resolver = Resolver(template, values, lambda name: f"${{{name}}}")

    def made(part: Any) -> Any:
        return _with_holes(resolver.resolve(part))

    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"The roles of the clusters of toptalkers, with runs in s3://{parameters['ExistingBucket']}",
        "Resources": {
            name: made({key: value for key, value in one.items() if key != "Condition"})
            for name, one in cluster_resources().items()
            if "Condition" not in one or resolver.holds(one["Condition"])
        },
        "Outputs": {
            **{name: made(template["Outputs"][name]) for name in OUTPUTS},
            # The policy of another account's bucket must name it.
            "NodesRoleArn": {"Value": get_att("EmrInstanceRole", "Arn")},
        },
    }


def render_roles(parameters: Mapping[str, str], partition: str = "aws") -> str:
    """Write the template of the roles as JSON, ending in a line feed; see `build_roles`."""
    return json.dumps(build_roles(parameters, partition), indent=1) + "\n"


def _with_holes(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _with_holes(one) for key, one in part.items()}
    if isinstance(part, list):
        return [_with_holes(one) for one in part]
    return {"Fn::Sub": part} if isinstance(part, str) and "${" in part else part
