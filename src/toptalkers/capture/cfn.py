"""The words of a CloudFormation template, and of the IAM policies in it, as plain data.

Each function returns a part of a template. Permissions name their actions one by one.
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


def bucket_arn(key: str | None = None) -> Template:
    """The bucket, or keys in it (`*` and pseudo parameters are understood)."""
    return get_att("Bucket", "Arn") if key is None else {"Fn::Sub": f"${{Bucket.Arn}}/{key}"}


def policy(*statements: Template) -> Template:
    """An IAM policy of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: list[str], *on: Template) -> Template:
    """An IAM statement that allows actions on resources."""
    return {"Effect": "Allow", "Action": actions, "Resource": list(on)}


def allow_key(actions: list[str]) -> Template:
    """Use of the customer's key, where there is one."""
    return if_("HasKmsKey", allow(actions, ref("KmsKeyArn")), NOTHING)


def from_here(service: str, resource: str) -> Template:
    """The condition against the confused deputy: the service acts for this account and such a resource."""
    return {
        "StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")},
        "ArnLike": {"aws:SourceArn": arn(service, resource)},
    }


def trust(service: str, condition: Template | None = None) -> Template:
    """An IAM statement that lets a service take a role."""
    statement: Template = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return statement if condition is None else {**statement, "Condition": condition}


def role(trusted: Template, *statements: Template) -> Template:
    """A role that is made together with its permissions, so that they exist when it is used."""
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": policy(trusted),
            "Policies": [{"PolicyName": "toptalkers", "PolicyDocument": policy(*statements)}],
        },
    }


def skip(**reasons: str) -> Template:
    """Checks of checkov that do not apply to a resource, each with its reason."""
    return {"checkov": {"skip": [{"id": check, "comment": reason} for check, reason in reasons.items()]}}
