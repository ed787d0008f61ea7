"""The words of a CloudFormation template, and of the IAM policies in it, as plain data.

Each function returns a part of a template. Permissions name their actions one by one. The functions below use some
parameters and conditions of `template.py` by their names: the bucket and the key may be the stack's own or given.
"""

from typing import Any

Template = dict[str, Any]

NOTHING = {"Ref": "AWS::NoValue"}
"""As the value of a property, removes the property."""

KEPT = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
GOES = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}


def ref(name: str) -> Template:
    """The value of a parameter, or the name of a resource."""
    return {"Ref": name}


def get_att(name: str, attribute: str) -> Template:
    """An attribute of a resource."""
    return {"Fn::GetAtt": [name, attribute]}


def if_(condition: str, then: Any, otherwise: Any) -> Template:
    """One of two values, by a condition of the template."""
    return {"Fn::If": [condition, then, otherwise]}


def arn(service: str, resource: str) -> Template:
    """Anything of a service in this account and Region."""
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"}


def bucket_name() -> Template:
    """The name of the bucket: the stack's own, or one that it takes over."""
    return if_("MakesBucket", ref("Bucket"), ref("ExistingBucket"))


def bucket_arn() -> Template:
    """The ARN of the bucket."""
    return if_("MakesBucket", get_att("Bucket", "Arn"), {"Fn::Sub": "arn:${AWS::Partition}:s3:::${ExistingBucket}"})


def bucket_keys(*keys: str) -> Template:
    """The ARNs of keys in the bucket (`*` is understood), as a list."""
    joined = ",".join(f"${{Arn}}/{key}" for key in keys)
    return {"Fn::Split": [",", {"Fn::Sub": [joined, {"Arn": bucket_arn()}]}]}


def key_arn() -> Template:
    """The key that encrypts everything, where `HasKey` holds: the stack's own, or one that is given."""
    return if_("MakesKey", get_att("Key", "Arn"), ref("KmsKeyArn"))


def joined_arns(before: str, names: Template | list[Template], after: str = "") -> Template:
    """The ARNs that a list of names makes, with commas between them.

    `before` begins `arn:*:`, and has no other variable part: CloudFormation joins with fixed text only. IAM
    takes `*` for any part of an ARN (IAM user guide, "IAM JSON policy elements: Resource").
    """
    return {"Fn::Join": ["", [before, {"Fn::Join": [f"{after},{before}", names]}, after]]}


def split(*texts: Template) -> Template:
    """A list of what stands between commas in texts."""
    return {"Fn::Split": [",", texts[0] if len(texts) == 1 else {"Fn::Join": [",", list(texts)]}]}


def when(condition: str, resources: Template) -> Template:
    """Resources that are made only when a condition of the template holds."""
    return {name: {"Type": one["Type"], "Condition": condition, **one} for name, one in resources.items()}


def policy(*statements: Template) -> Template:
    """An IAM policy of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: list[Any], *on: Template) -> Template:
    """An IAM statement that allows actions on resources."""
    return {"Effect": "Allow", "Action": actions, "Resource": list(on)}


def allow_list(actions: list[str], resources: Template) -> Template:
    """An IAM statement that allows actions on a list of resources that is known when the stack is made."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def allow_key(actions: list[str], condition: Template | None = None) -> Template:
    """Use of the key that encrypts everything, where there is one."""
    statement = allow(actions, key_arn())
    return if_("HasKey", statement if condition is None else {**statement, "Condition": condition}, NOTHING)


def from_here(service: str, resource: str) -> Template:
    """The condition against the confused deputy: the service acts for this account and such a resource."""
    return {
        "StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")},
        "ArnLike": {"aws:SourceArn": arn(service, resource)},
    }


def trust(service: str | Template, condition: Template | None = None) -> Template:
    """An IAM statement that lets a service take a role."""
    statement: Template = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return statement if condition is None else {**statement, "Condition": condition}


def role_path() -> Template:
    """The path of a role. The default is not written, because a stack that lacks it would get new roles."""
    return if_("HasRolePath", ref("RolePath"), NOTHING)


def role(trusted: Template, *statements: Template) -> Template:
    """A role that is made together with its permissions, so that they exist when it is used."""
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "Path": role_path(),
            "PermissionsBoundary": if_("HasBoundary", ref("PermissionsBoundaryArn"), NOTHING),
            "AssumeRolePolicyDocument": policy(trusted),
            "Policies": [{"PolicyName": "toptalkers", "PolicyDocument": policy(*statements)}],
        },
    }


def skip(**reasons: str) -> Template:
    """Checks of checkov that do not apply to a resource, each with its reason."""
    return {"checkov": {"skip": [{"id": check, "comment": reason} for check, reason in reasons.items()]}}
