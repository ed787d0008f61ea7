"""The CloudFormation template of the capture chain and of the roles of a cluster.

Each function returns resources by their logical ids, as plain data, built by `cfn.py`; `roles.py` has the cluster's.
`render_template()` writes all of it as JSON, the same bytes every time, small enough to be passed inline (51,200 bytes,
CloudFormation quotas). Permissions name their actions and resources; none is granted on `*`.

The stack needs CAPABILITY_NAMED_IAM, because Amazon EMR requires that an instance profile has the name of its role
(EMR management guide, "Customize IAM roles").
"""

import ast
import functools
import json
from importlib import resources

from toptalkers import __version__, locations
from toptalkers.capture import preprocess
from toptalkers.capture.cfn import (
    GOES,
    KEPT,
    NOTHING,
    Template,
    allow,
    allow_key,
    arn,
    bucket_arn,
    from_here,
    get_att,
    if_,
    policy,
    ref,
    role,
    skip,
    trust,
)
from toptalkers.capture.roles import cluster_resources
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, format_log_format

LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
)  # fmt: skip
"""The values that CloudWatch Logs accepts."""

STREAM_RETENTION_HOURS = 24
"""The default of Kinesis, and free."""

BATCH_AGE_SECONDS = 20 * 3600
"""How long Lambda retries a failing batch: well within the retention of the stream. Then its payload is kept in S3."""

BATCH_ATTEMPTS = 10_000
"""The most that Lambda allows; it waits between attempts, so that in practice `BATCH_AGE_SECONDS` ends them."""

QUARANTINE_DAYS = 30

RUN_LOGS_DAYS = 30

ON_DEMAND = "on-demand"

LOG_FORMAT_PATTERN = r"\$\{[a-z][a-z0-9-]*\}( \$\{[a-z][a-z0-9-]*\})*"


def build_template() -> Template:
    """Build the template."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "toptalkers: VPC flow logs from CloudWatch Logs through Kinesis and Lambda to S3, and the roles "
        "of the cluster that counts them",
        "Parameters": _parameters(),
        "Conditions": _conditions(),
        "Resources": _bucket() | _log_group() | _stream() | _function() | _alarms() | cluster_resources(),
        "Outputs": _outputs(),
    }


def render_template() -> str:
    """Write the template as JSON, ending in a line feed."""
    # A narrow indent leaves room for code below the limit.
    return json.dumps(build_template(), indent=1) + "\n"


@functools.cache
def inline_code() -> str:
    """Return the source of the pre-processor for the template, without comments and docstrings."""
    source = resources.files("toptalkers.capture").joinpath("preprocess.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            stripped = [statement for statement in body if not _is_text(statement)]
            node.body = stripped or [ast.Pass()]  # type: ignore[attr-defined]
    return f"# toptalkers {__version__}, capture/preprocess.py without its comments\n{ast.unparse(tree)}\n"


def _is_text(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _parameters() -> Template:
    def text(description: str, default: str = "", pattern: str = "") -> Template:
        allowed = {"AllowedPattern": pattern} if pattern else {}
        return {"Type": "String", "Default": default, **allowed, "Description": description}

    def number(description: str, default: int, **limits: object) -> Template:
        return {"Type": "Number", "Default": default, **limits, "Description": description}

    return {
        "Shards": text(
            "Shards of the stream (each takes 1 MB or 1,000 envelopes per second), or on-demand",
            "1",
            f"{ON_DEMAND}|[1-9][0-9]{{0,3}}",
        ),
        "RetentionDays": number(
            "Days that CloudWatch Logs keeps flow records; S3 is where they are stored",
            1,
            AllowedValues=list(LOG_RETENTION_DAYS),
        ),
        "LogFormat": text(
            "The format of every flow log on the stream, in the syntax of create-flow-logs",
            format_log_format(DEFAULT_LAYOUT),
            LOG_FORMAT_PATTERN,
        ),
        "BatchingWindowSeconds": number(
            "How long records gather for one object in S3; longer means fewer, larger objects",
            300,
            MinValue=0,
            MaxValue=300,
        ),
        "RecordsExpireDays": number(f"Days that S3 keeps {locations.CAPTURED} and {locations.DIRECT}", 7, MinValue=1),
        "FunctionMemoryMb": number(
            "Memory of the function; its share of a processor grows with it", 256, MinValue=256, MaxValue=10240
        ),
        "AlarmTopicArn": text("SNS topic that the alarms notify; none by default", pattern="(arn:[a-z0-9-]+:sns:.+)?"),
        "KmsKeyArn": text(
            "Your key for stream, log groups, bucket and cluster disks; without it AWS's own keys. Its policy must let "
            "logs.REGION.amazonaws.com and, for direct delivery, delivery.logs.amazonaws.com use it",
            pattern="(arn:[a-z0-9-]+:kms:.+:key/.+)?",
        ),
        "EmrCertificates": text(
            "S3 URI of a zip of PEM certificates; with it, the nodes of a cluster use TLS",
            pattern="(s3://[^/]+/.+[.]zip)?",
        ),
        "EmrSecurityConfiguration": text("Name of an EMR security configuration to use instead of the one made here"),
    }


def _conditions() -> Template:
    return {
        "IsOnDemand": {"Fn::Equals": [ref("Shards"), ON_DEMAND]},
        "HasKmsKey": {"Fn::Not": [{"Fn::Equals": [ref("KmsKeyArn"), ""]}]},
        "HasAlarmTopic": {"Fn::Not": [{"Fn::Equals": [ref("AlarmTopicArn"), ""]}]},
        "HasEmrCertificates": {"Fn::Not": [{"Fn::Equals": [ref("EmrCertificates"), ""]}]},
        "MakesEmrSecurityConfiguration": {"Fn::Equals": [ref("EmrSecurityConfiguration"), ""]},
    }


def _bucket() -> Template:
    """Build the bucket that holds everything; it is kept, with its policy, when the stack is deleted."""
    aws_managed: Template = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    customer_managed: Template = {
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": ref("KmsKeyArn")},
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
                    "ServerSideEncryptionConfiguration": [if_("HasKmsKey", customer_managed, aws_managed)]
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
                        _expire("run-logs", locations.RUN_LOGS, RUN_LOGS_DAYS),
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
                        "Resource": [bucket_arn(), bucket_arn("*")],
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
                            bucket_arn(f"{locations.DIRECT}${{AWS::AccountId}}/*"),
                            bucket_arn(f"{locations.DIRECT}aws-account-id=${{AWS::AccountId}}/*"),
                        ],
                        "Condition": {
                            "StringEquals": {
                                "aws:SourceAccount": ref("AWS::AccountId"),
                                "s3:x-amz-acl": "bucket-owner-full-control",
                            },
                            "ArnLike": {"aws:SourceArn": arn("logs", "*")},
                        },
                    },
                    {
                        "Sid": "DirectDeliveryLooks",
                        "Effect": "Allow",
                        "Principal": {"Service": "delivery.logs.amazonaws.com"},
                        "Action": "s3:GetBucketAcl",
                        "Resource": bucket_arn(),
                        "Condition": from_here("logs", "*"),
                    },
                ),
            },
        },
    }


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
                    "KeyId": if_("HasKmsKey", ref("KmsKeyArn"), "alias/aws/kinesis"),
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
            allow(
                ["s3:PutObject"],
                bucket_arn(f"{locations.CAPTURED}*"),
                bucket_arn(f"{locations.QUARANTINE}*"),
                bucket_arn(f"{locations.FAILED_BATCHES}*"),
            ),
            # Lambda asks for it of a bucket that keeps failed batches.
            allow(["s3:ListBucket"], bucket_arn()),
            allow_key(["kms:Decrypt", "kms:GenerateDataKey"]),
        ),
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Metadata": skip(
                CKV_AWS_115="One invocation per shard runs at a time; a reservation would take from the account",
                CKV_AWS_116="A dead-letter queue is for asynchronous calls; the event source has its own destination",
                CKV_AWS_117="It only uses Kinesis and S3; in a VPC it would need endpoints for both",
                CKV_AWS_173="Its environment holds a bucket's name and a format, no secret",
            ),
            "Properties": {
                "Description": "Flow records from the stream to one object per batch in S3",
                "Runtime": "python3.14",
                "Architectures": ["arm64"],
                "Handler": "index.handler",
                "Code": {"ZipFile": {"Fn::Join": ["\n", inline_code().split("\n")]}},
                "Role": get_att("FunctionRole", "Arn"),
                "MemorySize": ref("FunctionMemoryMb"),
                # The largest event takes seconds; the rest is for an S3 that answers slowly.
                "Timeout": 300,
                "LoggingConfig": {"LogGroup": ref("FunctionLogGroup")},
                "Environment": {"Variables": {"BUCKET": ref("Bucket"), "LOG_FORMAT": ref("LogFormat")}},
            },
        },
        "EventSource": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": get_att("Stream", "Arn"),
                "FunctionName": ref("Function"),
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": 10_000,
                "MaximumBatchingWindowInSeconds": ref("BatchingWindowSeconds"),
                # Keys contain a batch's bounds: a retry must have the same bounds.
                "BisectBatchOnFunctionError": False,
                "MaximumRetryAttempts": BATCH_ATTEMPTS,
                "MaximumRecordAgeInSeconds": BATCH_AGE_SECONDS,
                # Of the destinations only S3 gets the payload, below locations.FAILED_BATCHES.
                "DestinationConfig": {"OnFailure": {"Destination": get_att("Bucket", "Arn")}},
            },
        },
    }


def _alarms() -> Template:
    """Build the alarms for records that are late, fail, or cannot be read."""
    return {
        "LateAlarm": _alarm(
            "Records wait on the stream for more than half an hour",
            namespace="AWS/Lambda",
            metric="IteratorAge",
            statistic="Maximum",
            above=30 * 60 * 1000,
            periods=3,
        ),
        "ErrorsAlarm": _alarm(
            "The function fails; Kinesis sends the same batch again",
            namespace="AWS/Lambda",
            metric="Errors",
            statistic="Sum",
            above=0,
            periods=2,
        ),
        "QuarantineAlarm": _alarm(
            f"Something on the stream could not be read, and is in {locations.QUARANTINE}",
            namespace=preprocess.METRICS_NAMESPACE,
            metric="Quarantined",
            statistic="Sum",
            above=0,
            periods=1,
        ),
    }


def _outputs() -> Template:
    command = (
        "aws ec2 create-flow-logs --region ${AWS::Region} --resource-type VPC --resource-ids <VPC-ID>"
        " --traffic-type ACCEPT --log-destination-type cloud-watch-logs --log-group-name ${FlowLogGroup}"
        " --deliver-logs-permission-arn ${DeliveryRole.Arn} --log-format '${LogFormat}'"
    )
    values: Template = {
        "LogGroupName": ref("FlowLogGroup"),
        "DeliverLogsPermissionArn": get_att("DeliveryRole", "Arn"),
        "S3LogLocation": {"Fn::Sub": f"s3://${{Bucket}}/{locations.CAPTURED}"},
        "AddFlowLogToVpcCmd": {"Fn::Sub": command},
        "LogFormat": ref("LogFormat"),
        "BucketName": ref("Bucket"),
        "StreamName": ref("Stream"),
        "FunctionName": ref("Function"),
        "EmrServiceRole": ref("EmrServiceRole"),
        # The profile's name is its role's; not every implementation of CloudFormation has `Ref` give the name.
        "EmrInstanceProfile": ref("EmrInstanceRole"),
        "EmrSecurityConfiguration": if_(
            "MakesEmrSecurityConfiguration", ref("EmrSecurity"), ref("EmrSecurityConfiguration")
        ),
        # This output marks a stack as ours.
        "ToptalkersVersion": __version__,
    }
    return {name: {"Value": value} for name, value in values.items()}


def _kept_for(days: object) -> Template:
    """A log group's retention, and the customer's key, where there is one."""
    return {"RetentionInDays": days, "KmsKeyId": if_("HasKmsKey", ref("KmsKeyArn"), NOTHING)}


def _expire(name: str, prefix: str, days: object) -> Template:
    return {"Id": name, "Status": "Enabled", "Prefix": prefix, "ExpirationInDays": days}


def _alarm(description: str, *, namespace: str, metric: str, statistic: str, above: int, periods: int) -> Template:
    """An alarm on a metric of the function, checked every five minutes."""
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": description,
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": "FunctionName", "Value": ref("Function")}],
            "Statistic": statistic,
            "Period": 300,
            "EvaluationPeriods": periods,
            "Threshold": above,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": if_("HasAlarmTopic", [ref("AlarmTopicArn")], NOTHING),
        },
    }
