"""The CloudFormation template of the capture chain and of the roles of a cluster.

Each function returns resources by their logical ids, as plain data, built by `cfn.py`; `parameters.py`
has what can be chosen, `roles.py` the cluster's part, `alarms.py` the alarms.
`render_template()` writes all of it as JSON, the same bytes every time, small enough to be passed inline (51,200 bytes,
CloudFormation quotas). Permissions name their actions and resources; none is granted on `*`.

What is made depends on the parameters: with `Capture=s3-only` nothing of the stream, with `ExistingBucket` no bucket,
with `MakeKey=yes` a key. Where one resource of several needs such a choice, `when()` makes it for all of them.

The stack needs CAPABILITY_NAMED_IAM, because Amazon EMR requires that an instance profile has the name of its role
(EMR management guide, "Customize IAM roles").
"""

import ast
import functools
import json
import re
from importlib import resources
from typing import Any

from toptalkers import __version__, locations
from toptalkers.capture.alarms import alarms, silence_alarm
from toptalkers.capture.cfn import (
    GOES,
    KEPT,
    NOTHING,
    Template,
    allow,
    allow_key,
    allow_list,
    arn,
    bucket_arn,
    bucket_keys,
    bucket_name,
    from_here,
    get_att,
    if_,
    key_arn,
    policy,
    ref,
    role,
    skip,
    trust,
    when,
)
from toptalkers.capture.our_stack import FILTER_NAME, STACK_TAG
from toptalkers.capture.parameters import conditions, parameters
from toptalkers.capture.roles import cluster_resources

STREAM_RETENTION_HOURS = 24
"""The default of Kinesis, and free."""

BATCH_AGE_SECONDS = 20 * 3600
"""How long Lambda retries a failing batch: well within the retention of the stream. Then its payload is kept in S3."""

BATCH_ATTEMPTS = 10_000
"""The most that Lambda allows; it waits between attempts, so that in practice `BATCH_AGE_SECONDS` ends them."""

QUARANTINE_DAYS = 30

CODE_LINES = 100
"""A list of so many parts is the function's code, whose lines remain lines."""

WIDTH = 120
"""The template's lines are no longer than this, except those with one long text."""


def build_template() -> Template:
    """Build the template."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "toptalkers: VPC flow logs from CloudWatch Logs through Kinesis and Lambda to S3, and the roles "
        "of the cluster that counts them",
        "Parameters": parameters(),
        "Conditions": conditions(),
        "Resources": when("MakesKey", _key())
        | when("MakesBucket", _bucket())
        | when("HasStream", _log_group() | _stream() | _function() | alarms())
        | when("WatchesSilence", silence_alarm())
        | cluster_resources(),
        "Outputs": _outputs(),
    }


def render_template() -> str:
    """Write the template as JSON, ending in a line feed."""
    return _write(build_template(), 0) + "\n"


def _write(value: Any, depth: int) -> str:
    """Write a value as JSON, with as much on a line as fits. A line for each part would take twice the bytes."""
    line = json.dumps(value, separators=(", ", ":"))
    # The lines of parameters and resources, which are two levels down, begin at the margin.
    indent = " " * (depth - 2)
    if not isinstance(value, dict | list) or len(indent) + len(line) < WIDTH:
        return line
    is_named = isinstance(value, dict)
    opening, closing = "{}" if is_named else "[]"
    pairs = [(f"{json.dumps(name)}:", value[name]) for name in value] if is_named else [("", one) for one in value]
    if len(pairs) == 1:
        return opening + pairs[0][0] + _write(pairs[0][1], depth) + closing
    if len(pairs) > CODE_LINES:
        return "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
    parts = [name + _write(one, depth + 1) for name, one in pairs]
    lines = [parts[0]]
    for part in parts[1:]:
        if "\n" not in lines[-1] + part and len(indent) + len(lines[-1]) + len(part) + 3 < WIDTH:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    between = "\n" + " " * (depth - 1)
    return opening + between + f",{between}".join(lines) + f"\n{indent}{closing}"


@functools.cache
def inline_code() -> str:
    """Return the source of the pre-processor for the template, without what only its readers need."""
    source = resources.files("toptalkers.capture").joinpath("preprocess.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        body = getattr(node, "body", None)
        if isinstance(body, list):
            stripped = [statement for statement in body if not _is_text(statement)]
            node.body = stripped or [ast.Pass()]  # type: ignore[attr-defined]  # it has one
    # Narrow, too: it is half of the template.
    code = ast.unparse(tree).replace("\n\n", "\n")
    code = re.sub("^ +", lambda spaces: " " * (len(spaces[0]) // 4), code, flags=re.MULTILINE)
    return f"# toptalkers {__version__}, capture/preprocess.py without comments and annotations\n{code}\n"


def _is_text(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _key() -> Template:
    """Build the key; it is kept, because the bucket is."""
    services = [
        # CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS".
        _key_use(
            {"Fn::Sub": "logs.${AWS::Region}.${AWS::URLSuffix}"},
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": arn("logs", "log-group:*")}},
        ),
        # VPC user guide, "Required key policy for use with SSE-KMS".
        _key_use("delivery.logs.amazonaws.com", from_here("logs", "*")),
    ]
    # Everybody else, such as the stack's roles, uses it by an IAM policy.
    account: Template = {
        "Sid": "IamDecides",
        "Effect": "Allow",
        "Principal": {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}},
        "Action": "kms:*",
        "Resource": "*",
    }
    return {
        "Key": {
            "Type": "AWS::KMS::Key",
            **KEPT,
            "Properties": {
                "Description": {"Fn::Sub": "Everything of the stack ${AWS::StackName}"},
                "EnableKeyRotation": True,
                "KeyPolicy": policy(account, *services),
            },
        }
    }


def _key_use(service: str | Template, condition: Template) -> Template:
    """A statement of a key's policy that lets a service encrypt and decrypt."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": [
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        # In a key's policy, this is the key.
        "Resource": "*",
        "Condition": condition,
    }


def _bucket() -> Template:
    """Build the bucket that holds everything; it is kept, with its policy, when the stack is deleted."""
    aws_managed: Template = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    customer_managed: Template = {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn()},
        "BucketKeyEnabled": True,
    }
    return {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            **KEPT,
            "Metadata": skip(
                CKV_AWS_18="Access logs would outgrow the bucket's content; CloudTrail data events do the same",
                CKV_AWS_21="A retry overwrites an object with the same bytes; versions would double what is billed",
            ),
            "Properties": {
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [if_("HasKey", customer_managed, aws_managed)]
                },
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "LifecycleConfiguration": {
                    "Rules": [
                        _expire("captured", locations.CAPTURED, ref("RecordsExpireDays")),
                        _expire("direct", locations.DIRECT, ref("RecordsExpireDays")),
                        _expire("quarantine", locations.QUARANTINE, QUARANTINE_DAYS),
                        _expire("failed-batches", locations.FAILED_BATCHES, QUARANTINE_DAYS),
                        _expire("run-logs", locations.RUN_LOGS, ref("RunLogsExpireDays")),
                        {
                            "Id": "incomplete-uploads",
                            "Status": "Enabled",
                            "Prefix": "",
                            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        },
                    ]
                },
            },
        },
        "BucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            **KEPT,
            "Properties": {
                "Bucket": ref("Bucket"),
                "PolicyDocument": policy(
                    {
                        "Sid": "TlsOnly",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [get_att("Bucket", "Arn"), _own("*")],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                    # The two that direct delivery needs. AWS would else attach them itself when a flow log is
                    # made, and overwrite this whole policy (VPC user guide, "Amazon S3 bucket permissions").
                    {
                        "Sid": "DirectDeliveryWrites",
                        "Effect": "Allow",
                        "Principal": {"Service": "delivery.logs.amazonaws.com"},
                        "Action": "s3:PutObject",
                        "Resource": [
                            _own(f"{locations.DIRECT}${{AWS::AccountId}}/*"),
                            _own(f"{locations.DIRECT}aws-account-id=${{AWS::AccountId}}/*"),
                        ],
                        # AWS's page also asks for the ACL bucket-owner-full-control. A bucket without ACLs belongs to
                        # its owner anyway, and whether the service still sends that header then is not documented.
                        "Condition": from_here("logs", "*"),
                    },
                    {
                        "Sid": "DirectDeliveryLooks",
                        "Effect": "Allow",
                        "Principal": {"Service": "delivery.logs.amazonaws.com"},
                        "Action": "s3:GetBucketAcl",
                        "Resource": get_att("Bucket", "Arn"),
                        "Condition": from_here("logs", "*"),
                    },
                ),
            },
        },
    }


def _own(key: str) -> Template:
    """Keys in the bucket that the stack makes."""
    return {"Fn::Sub": f"${{Bucket.Arn}}/{key}"}


def _log_group() -> Template:
    """Build the log group, and the role under which VPC flow logs are written to it."""
    return {
        "FlowLogGroup": {
            "Type": "AWS::Logs::LogGroup",
            **GOES,
            # Only this class has subscription filters, and it cannot be changed later.
            "Properties": {"LogGroupClass": "STANDARD", **_kept_for(ref("RetentionDays"))},
        },
        "DeliveryRole": role(
            trust("vpc-flow-logs.amazonaws.com", from_here("ec2", "vpc-flow-log/*")),
            allow(
                ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], get_att("FlowLogGroup", "Arn")
            ),
            # It lists groups, so it has no narrower resource.
            allow(["logs:DescribeLogGroups"], arn("logs", "log-group:*")),
        ),
    }


def _stream() -> Template:
    """Build the stream, and the subscription that feeds it."""
    return {
        "Stream": {
            "Type": "AWS::Kinesis::Stream",
            **GOES,
            "Properties": {
                "StreamModeDetails": {"StreamMode": if_("IsOnDemand", "ON_DEMAND", "PROVISIONED")},
                "ShardCount": if_("IsOnDemand", NOTHING, ref("Shards")),
                "RetentionPeriodHours": STREAM_RETENTION_HOURS,
                "StreamEncryption": {
                    "EncryptionType": "KMS",
                    "KeyId": if_("HasKey", key_arn(), "alias/aws/kinesis"),
                },
            },
        },
        "SubscriptionRole": role(
            trust("logs.amazonaws.com", from_here("logs", "*")),
            allow(["kinesis:PutRecord"], get_att("Stream", "Arn")),
            allow_key(["kms:GenerateDataKey"]),
        ),
        "Subscription": {
            "Type": "AWS::Logs::SubscriptionFilter",
            "Properties": {
                "FilterName": FILTER_NAME,
                "LogGroupName": ref("FlowLogGroup"),
                "FilterPattern": "",
                "DestinationArn": get_att("Stream", "Arn"),
                "RoleArn": get_att("SubscriptionRole", "Arn"),
                # By log stream, a busy network interface would be a busy shard.
                "Distribution": "Random",
            },
        },
    }


def _function() -> Template:
    """Build the pre-processor, its role, its log group, and its event source."""
    return {
        "FunctionLogGroup": {
            "Type": "AWS::Logs::LogGroup",
            **GOES,
            "Properties": _kept_for(14),
        },
        "FunctionRole": role(
            # Lambda sends no source account or ARN when it takes a role; the permission to pass the role decides.
            trust("lambda.amazonaws.com"),
            allow(
                [
                    "kinesis:DescribeStream",
                    "kinesis:DescribeStreamSummary",
                    "kinesis:GetRecords",
                    "kinesis:GetShardIterator",
                    "kinesis:ListShards",
                ],
                get_att("Stream", "Arn"),
            ),
            allow(["logs:CreateLogStream", "logs:PutLogEvents"], get_att("FunctionLogGroup", "Arn")),
            allow_list(
                ["s3:PutObject"],
                bucket_keys(f"{locations.CAPTURED}*", f"{locations.QUARANTINE}*", f"{locations.FAILED_BATCHES}*"),
            ),
            # Lambda asks for it of a bucket that keeps failed batches.
            allow(["s3:ListBucket"], bucket_arn()),
            allow_key(["kms:Decrypt", "kms:GenerateDataKey"]),
        ),
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Metadata": skip(
                CKV_AWS_115="ParallelizationFactor limits it; a reservation would take from the account",
                CKV_AWS_116="A dead-letter queue is for asynchronous calls; the event source has its own destination",
                CKV_AWS_117="It only uses Kinesis and S3; in a VPC it would need endpoints for both",
                CKV_AWS_173="Its environment holds a bucket's name and a format, no secret",
            ),
            "Properties": {
                "Description": "Flow records from the stream to one object per batch in S3",
                "Runtime": ref("FunctionRuntime"),
                "Architectures": [ref("FunctionArchitecture")],
                "Handler": "index.handler",
                "Code": {"ZipFile": {"Fn::Join": ["\n", inline_code().split("\n")]}},
                "Role": get_att("FunctionRole", "Arn"),
                "MemorySize": ref("FunctionMemoryMb"),
                # The largest event takes seconds; the rest is for an S3 that answers slowly.
                "Timeout": 300,
                "LoggingConfig": {"LogGroup": ref("FunctionLogGroup")},
                "Environment": {"Variables": {"BUCKET": bucket_name(), "LOG_FORMAT": ref("LogFormat")}},
            },
        },
        "EventSource": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": get_att("Stream", "Arn"),
                "FunctionName": ref("Function"),
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": 10_000,
                "ParallelizationFactor": ref("ParallelizationFactor"),
                "MaximumBatchingWindowInSeconds": ref("BatchingWindowSeconds"),
                # Keys contain a batch's bounds: a retry must have the same bounds.
                "BisectBatchOnFunctionError": False,
                "MaximumRetryAttempts": BATCH_ATTEMPTS,
                "MaximumRecordAgeInSeconds": BATCH_AGE_SECONDS,
                # Of the destinations only S3 gets the payload, below locations.FAILED_BATCHES.
                "DestinationConfig": {"OnFailure": {"Destination": bucket_arn()}},
            },
        },
    }


def _outputs() -> Template:
    # Pasted as it is, it takes the default VPC; the variable VPC_ID chooses another. In Fn::Sub, `!` keeps a variable
    # for the shell, but only outside of other braces.
    command = (
        "aws ec2 create-flow-logs --region ${AWS::Region} --resource-type VPC"
        ' --resource-ids $([ "${!VPC_ID-}" ] && echo $VPC_ID || aws ec2 describe-vpcs --region ${AWS::Region}'
        " --filters Name=is-default,Values=true --query 'Vpcs[].VpcId' --output text) --traffic-type ACCEPT"
        " --tag-specifications"
        f" 'ResourceType=vpc-flow-log,Tags=[{{Key={STACK_TAG},Value=${{AWS::StackName}}}}]'"
        " --log-format '${LogFormat}' --log-destination-type ${To}"
    )
    to_group = "cloud-watch-logs --log-group-name ${FlowLogGroup} --deliver-logs-permission-arn ${DeliveryRole.Arn}"
    to_bucket = (
        "s3 --log-destination ${Arn}"
        " --destination-options FileFormat=plain-text,HiveCompatiblePartitions=false,PerHourPartition=true"
    )
    to = if_("HasStream", {"Fn::Sub": to_group}, {"Fn::Sub": [to_bucket, {"Arn": bucket_arn()}]})
    stream: Template = {
        "LogGroupName": ref("FlowLogGroup"),
        "DeliverLogsPermissionArn": get_att("DeliveryRole", "Arn"),
        "StreamName": ref("Stream"),
        "FunctionName": ref("Function"),
    }
    folder = if_("HasStream", locations.CAPTURED, locations.DIRECT)
    always: Template = {
        "S3LogLocation": {"Fn::Sub": ["s3://${Name}/${Folder}", {"Name": bucket_name(), "Folder": folder}]},
        "AddFlowLogToVpcCmd": {"Fn::Sub": [command, {"To": to}]},
        "LogFormat": ref("LogFormat"),
        "BucketName": bucket_name(),
        # A name says nothing of a path, so that EMR needs the ARN then.
        "EmrServiceRole": if_("HasRolePath", get_att("EmrServiceRole", "Arn"), ref("EmrServiceRole")),
        # The profile's name is its role's; not every implementation of CloudFormation has `Ref` give the name.
        "EmrInstanceProfile": if_("HasRolePath", get_att("EmrInstanceProfile", "Arn"), ref("EmrInstanceRole")),
        "EmrSecurityConfiguration": if_(
            "MakesEmrSecurityConfiguration", ref("EmrSecurity"), ref("EmrSecurityConfiguration")
        ),
        # This output marks a stack as ours.
        "ToptalkersVersion": __version__,
    }
    return {name: {"Condition": "HasStream", "Value": value} for name, value in stream.items()} | {
        name: {"Value": value} for name, value in always.items()
    }


def _kept_for(days: object) -> Template:
    """A log group's retention, and the customer's key, where there is one."""
    return {"RetentionInDays": days, "KmsKeyId": if_("HasKey", key_arn(), NOTHING)}


def _expire(name: str, prefix: str, days: object) -> Template:
    return {"Id": name, "Status": "Enabled", "Prefix": prefix, "ExpirationInDays": days}
