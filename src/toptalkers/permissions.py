"""What the person who types a command must be allowed to do, as IAM policies.

A policy has only what the command calls, on the resources that it touches. tests/commands.py compares each call of each
test with it, so that a new call without a row here fails. Which action an operation needs is from the service
authorization reference; what CloudFormation does in the caller's name is from the handlers of the resource types.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toptalkers import locations

POLICY_CHARACTERS = 6_144
"""The most characters of a managed policy, without white space (IAM user guide, "IAM and AWS STS quotas")."""

Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """The names in the resources of a policy. `*` stands for any.

    Attributes:
        partition: aws, aws-cn or aws-us-gov.
        region: the Region of the commands.
        account: the number of the account.
        stack: the name of the stack.
        bucket: the name of the bucket; by default, those that CloudFormation names after the stack.
        read_buckets: other buckets whose flow logs are read.
        roles: the names of the roles that are passed to EMR; by default, those named after the stack.
        cloudformation_role: the ARN of the role that CloudFormation takes; empty when it acts in the caller's name.

    """

    partition: str = "aws"
    region: str = "*"
    account: str = "*"
    stack: str = "toptalkers"
    bucket: str = ""
    read_buckets: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    cloudformation_role: str = ""

    def arn(self, service: str, resource: str) -> str:
        """A resource of a service in this account and Region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        """A resource of a service that has no Regions."""
        return f"arn:{self.partition}:{service}::{self.account}:{resource}"

    def objects(self, *prefixes: str) -> list[str]:
        """Objects in the bucket, by the beginnings of their keys."""
        return [f"{self.bucket_arn}/{prefix}*" for prefix in prefixes]

    @property
    def bucket_arn(self) -> str:
        """The bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket or f'{self.stack.lower()}-bucket-*'}"

    @property
    def other_bucket_arns(self) -> list[str]:
        """The other buckets."""
        return [f"arn:{self.partition}:s3:::{bucket}" for bucket in self.read_buckets]

    @property
    def stack_arn(self) -> str:
        """The stack."""
        return self.arn("cloudformation", f"stack/{self.stack}/*")

    @property
    def role_arns(self) -> list[str]:
        """The roles that are passed to EMR."""
        return [self.global_arn("iam", f"role/{name}") for name in self.roles or (f"*{self.stack}-*",)]


def allow(
    actions: Iterable[str], resources: str | Sequence[str] = "*", **condition: Mapping[str, str | Sequence[str]]
) -> Statement:
    """A statement that allows actions on resources; many actions have no resources but `*`."""
    statement: Statement = {
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": [resources] if isinstance(resources, str) else list(resources),
    }
    return statement | ({"Condition": condition} if condition else {})


def find_stack(names: Names) -> list[Statement]:
    """Find the stack, and tell whether it is ours."""
    return [allow(["cloudformation:DescribeStacks", "cloudformation:ListChangeSets"], names.stack_arn)]


def read_flow_logs(names: Names) -> list[Statement]:
    """List and read flow logs, in the bucket and in other buckets."""
    other = names.other_bucket_arns
    return [
        allow(["s3:ListBucket"], [names.bucket_arn, *other]),
        allow(
            ["s3:GetObject"],
            [
                *names.objects(locations.CAPTURED, locations.DIRECT),
                *(f"{bucket}/*" for bucket in other),
            ],
        ),
        use_keys(names, ["kms:Decrypt"], other),
    ]


def use_keys(names: Names, actions: Sequence[str], other: Sequence[str] = ()) -> Statement:
    """Use the KMS keys that encrypt the bucket and other buckets, through S3, and for nothing else.

    S3 calls KMS in the caller's name. The encryption context is the ARN of the object, or with a bucket key that of the
    bucket (S3 user guide, "Using server-side encryption with AWS KMS keys"). The key of another account's bucket is
    mostly that account's, too.
    """
    buckets = [names.bucket_arn, *other]
    return allow(
        actions,
        f"arn:{names.partition}:kms:*:*:key/*" if other else names.arn("kms", "key/*"),
        StringLike={
            "kms:ViaService": "s3.*.amazonaws.com*",
            "kms:EncryptionContext:aws:s3:arn": [*buckets, *(f"{bucket}/*" for bucket in buckets)],
        },
    )


def find_format(names: Names) -> list[Statement]:
    """Ask for the format of the flow log that wrote the input: `--log-format auto`."""
    del names
    return [allow(["ec2:DescribeFlowLogs"])]


def read_runs(names: Names) -> list[Statement]:
    """List runs, and read their records, answers and logs; ask EMR about their clusters."""
    return [
        allow(["s3:ListBucket"], names.bucket_arn),
        allow(["s3:GetObject"], names.objects(locations.RUNS, locations.RUN_LOGS)),
        use_keys(names, ["kms:Decrypt"]),
        allow(["elasticmapreduce:ListClusters"]),
        allow(
            ["elasticmapreduce:DescribeCluster", "elasticmapreduce:ListSteps"],
            names.arn("elasticmapreduce", "cluster/*"),
        ),
    ]


def pass_roles(service: str, roles: Sequence[str]) -> Statement:
    """Pass roles to a service."""
    return allow(["iam:PassRole"], roles, StringLike={"iam:PassedToService": f"{service}.amazonaws.com*"})


def run_clusters(names: Names) -> list[Statement]:
    """Start a cluster for a run, watch it, and end it."""
    clusters = names.arn("elasticmapreduce", "cluster/*")
    return [
        # RunJobFlow has no resource: the cluster does not exist yet.
        allow(["elasticmapreduce:ListReleaseLabels", "elasticmapreduce:RunJobFlow"]),
        # A cluster with tags and an idle time needs the two; EMR calls them in the caller's name.
        allow(
            [
                "elasticmapreduce:AddTags",
                "elasticmapreduce:PutAutoTerminationPolicy",
                "elasticmapreduce:TerminateJobFlows",
            ],
            clusters,
        ),
        # The service role, and the nodes' role, which EC2 takes.
        pass_roles("elasticmapreduce", names.role_arns),
        pass_roles("ec2", names.role_arns),
        # The first cluster of an account, and the first Spot instance, make a role of AWS's own.
        *(
            allow(
                ["iam:CreateServiceLinkedRole"],
                # In China, the name of EMR has a suffix.
                names.global_arn("iam", f"role/aws-service-role/{service}.amazonaws.com*/{role}*"),
                StringLike={"iam:AWSServiceName": f"{service}.amazonaws.com*"},
            )
            for service, role in (
                ("elasticmapreduce", "AWSServiceRoleForEMRCleanup"),
                ("spot", "AWSServiceRoleForEC2Spot"),
            )
        ),
        allow(["s3:PutObject"], names.objects(locations.CODE, locations.RUNS)),
        allow(["s3:GetObject"], names.objects(locations.CODE)),
        use_keys(names, ["kms:Decrypt", "kms:GenerateDataKey"]),
    ]


def share_clusters(names: Names) -> list[Statement]:
    """Add a run's steps to a cluster that runs already, and cancel them."""
    return [
        allow(
            [
                "elasticmapreduce:AddJobFlowSteps",
                "elasticmapreduce:CancelSteps",
                "elasticmapreduce:ListInstanceFleets",
                "elasticmapreduce:ListInstanceGroups",
            ],
            names.arn("elasticmapreduce", "cluster/*"),
        )
    ]


def look_ahead(names: Names) -> list[Statement]:
    """Look where a cluster's nodes will be, and whether they can be had there; a run does without what is denied."""
    return [
        allow(["ec2:DescribeInstanceTypeOfferings", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]),
        allow(["elasticmapreduce:ListSupportedInstanceTypes"]),
        allow(["servicequotas:GetServiceQuota"], names.arn("servicequotas", "ec2/*")),
    ]


def remove_copies(names: Names) -> list[Statement]:
    """Remove the copies that a run had of its input."""
    return [allow(["s3:DeleteObject"], f"{names.bucket_arn}/{locations.RUNS}*/input/*")]


FLOW_LOG_READS = (
    "ec2:DescribeFlowLogs",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
"""EC2 describes without resources."""

FLOW_LOG_KINDS = ("vpc", "subnet", "network-interface", "vpc-flow-log")


def enable_flow_logs(names: Names) -> list[Statement]:
    """Make flow logs that deliver through the stack's stream, or straight to its bucket."""
    return [
        allow(FLOW_LOG_READS),
        allow(["ec2:CreateFlowLogs"], [names.arn("ec2", f"{kind}/*") for kind in FLOW_LOG_KINDS]),
        # Of what is made, and of nothing else.
        allow(
            ["ec2:CreateTags"],
            names.arn("ec2", "vpc-flow-log/*"),
            StringEquals={"ec2:CreateAction": "CreateFlowLogs"},
        ),
        pass_roles("vpc-flow-logs", names.role_arns),
        # CreateFlowLogs calls it in the caller's name for a delivery to S3 (VPC user guide, "Create a flow log that
        # publishes to Amazon S3"). It has no resource.
        allow(["logs:CreateLogDelivery"]),
    ]


def disable_flow_logs(names: Names) -> list[Statement]:
    """Delete flow logs."""
    return [
        allow(FLOW_LOG_READS),
        allow(["ec2:DeleteFlowLogs"], names.arn("ec2", "vpc-flow-log/*")),
        # As with CreateLogDelivery.
        allow(["logs:DeleteLogDelivery"]),
    ]


def read_status(names: Names) -> list[Statement]:
    """Read the state of the capture chain."""
    return [
        allow([*FLOW_LOG_READS, "cloudwatch:GetMetricData"]),
        allow(["s3:ListBucket"], names.bucket_arn),
        allow(["kinesis:DescribeStreamSummary"], names.arn("kinesis", f"stream/{names.stack}-*")),
    ]


def change_stack(names: Names) -> list[Statement]:
    """Have CloudFormation make and change the stack."""
    return [
        allow(
            [
                "cloudformation:CreateChangeSet",
                "cloudformation:DeleteChangeSet",
                "cloudformation:DeleteStack",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackEvents",
                "cloudformation:ExecuteChangeSet",
                "cloudformation:GetTemplate",
                "cloudformation:TagResource",
                "cloudformation:UntagResource",
            ],
            names.stack_arn,
        ),
        # Flow logs whose format would no longer fit.
        allow(["ec2:DescribeFlowLogs"]),
        # The steps of a change of its shards.
        allow(["kinesis:DescribeStreamSummary"], names.arn("kinesis", f"stream/{names.stack}-*")),
    ]


def take_over_bucket(names: Names) -> list[Statement]:
    """Look at a bucket that the stack takes over, and at those that clusters may read.

    Its settings are read and written with the actions that make a bucket: see `RESOURCE_ACTIONS`.
    """
    return [
        allow(["s3:GetBucketLocation"], [names.bucket_arn, *names.other_bucket_arns]),
        allow(["s3:ListBucket"], names.bucket_arn),
        # The bucket that a former stack of the name left.
        allow(["cloudformation:ListStacks"]),
        # The key that the stack made, which encrypts the bucket.
        allow(["cloudformation:DescribeStackResource"], names.stack_arn),
    ]


def mend_policy(names: Names) -> list[Statement]:
    """Put back what the policy of the bucket lacks, after AWS wrote its own for direct delivery."""
    return [
        allow(["s3:GetBucketPolicy", "s3:PutBucketPolicy"], names.bucket_arn),
        allow(["cloudformation:DescribeStackResource", "cloudformation:GetTemplate"], names.stack_arn),
    ]


def delete_stack(names: Names) -> list[Statement]:
    """Have CloudFormation delete the stack; delete what it left."""
    return [
        allow(
            [
                "cloudformation:DeleteStack",
                "cloudformation:DescribeStackEvents",
                "cloudformation:DescribeStackResource",
            ],
            names.stack_arn,
        ),
        allow(["cloudformation:ListStacks"]),
        allow(["s3:DeleteBucket", "s3:ListBucket"], names.bucket_arn),
        allow(["s3:DeleteObject"], names.objects("")),
    ]


SNAPSHOT_READS = (
    "ec2:DescribeInstances",
    "ec2:DescribeManagedPrefixLists",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribePrefixLists",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
"""EC2 describes without resources."""


def read_network(names: Names) -> list[Statement]:
    """Describe what addresses belong to. Prefix lists may be another account's, or AWS's."""
    return [
        allow(SNAPSHOT_READS),
        allow(["ec2:GetManagedPrefixListEntries"], f"arn:{names.partition}:ec2:{names.region}:*:prefix-list/*"),
    ]


RESOURCE_ACTIONS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "AWS::CloudWatch::Alarm": (
        [
            "cloudwatch:ListTagsForResource",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
            "cloudwatch:UntagResource",
        ],
        ["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms"],
    ),
    "AWS::EMR::SecurityConfiguration": (
        ["elasticmapreduce:CreateSecurityConfiguration"],
        ["elasticmapreduce:DeleteSecurityConfiguration", "elasticmapreduce:DescribeSecurityConfiguration"],
    ),
    "AWS::IAM::InstanceProfile": (
        ["iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:PassRole"],
        ["iam:DeleteInstanceProfile", "iam:GetInstanceProfile", "iam:RemoveRoleFromInstanceProfile"],
    ),
    "AWS::IAM::Role": (
        [
            "iam:AttachRolePolicy",
            "iam:CreateRole",
            "iam:DeleteRolePermissionsBoundary",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
        ],
        [
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
        ],
    ),
    "AWS::KMS::Key": (
        [
            "kms:CreateKey",
            "kms:EnableKeyRotation",
            "kms:GetKeyPolicy",
            "kms:GetKeyRotationStatus",
            "kms:ListResourceTags",
            "kms:PutKeyPolicy",
            "kms:TagResource",
            "kms:UntagResource",
        ],
        ["kms:DescribeKey"],
    ),
    "AWS::Kinesis::Stream": (
        [
            "kinesis:AddTagsToStream",
            "kinesis:CreateStream",
            "kinesis:ListTagsForResource",
            "kinesis:ListTagsForStream",
            "kinesis:StartStreamEncryption",
            "kinesis:TagResource",
            "kinesis:UpdateShardCount",
            "kinesis:UpdateStreamMode",
        ],
        [
            "kinesis:DeleteStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:RemoveTagsFromStream",
            "kinesis:UntagResource",
        ],
    ),
    "AWS::Lambda::EventSourceMapping": (
        [
            "lambda:CreateEventSourceMapping",
            "lambda:ListTags",
            "lambda:TagResource",
            "lambda:UntagResource",
            "lambda:UpdateEventSourceMapping",
        ],
        ["lambda:DeleteEventSourceMapping", "lambda:GetEventSourceMapping"],
    ),
    "AWS::Lambda::Function": (
        [
            "iam:PassRole",
            "lambda:CreateFunction",
            "lambda:GetFunctionCodeSigningConfig",
            "lambda:GetFunctionRecursionConfig",
            "lambda:GetRuntimeManagementConfig",
            "lambda:TagResource",
            "lambda:UntagResource",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
        ],
        ["lambda:DeleteFunction", "lambda:GetFunction"],
    ),
    "AWS::Logs::LogGroup": (
        [
            "logs:AssociateKmsKey",
            "logs:CreateLogGroup",
            "logs:DisassociateKmsKey",
            "logs:ListTagsForResource",
            "logs:PutRetentionPolicy",
            "logs:TagResource",
            "logs:UntagResource",
        ],
        ["logs:DeleteLogGroup", "logs:DescribeLogGroups"],
    ),
    "AWS::Logs::SubscriptionFilter": (
        ["iam:PassRole", "logs:PutSubscriptionFilter"],
        ["logs:DeleteSubscriptionFilter", "logs:DescribeSubscriptionFilters"],
    ),
    "AWS::S3::Bucket": (
        [
            "s3:CreateBucket",
            "s3:GetBucketOwnershipControls",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketTagging",
            "s3:GetEncryptionConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketTagging",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
        ],
        ["s3:DeleteBucket"],
    ),
    "AWS::S3::BucketPolicy": (["s3:GetBucketPolicy", "s3:PutBucketPolicy"], ["s3:DeleteBucketPolicy"]),
}
"""What CloudFormation calls in the caller's name for each resource type of the template, with the properties that it
uses: to make and change one, and to delete it."""

_PASSED_TO = ("ec2", "lambda", "logs")

BUCKET_SETTINGS = {
    f"s3:{verb}{setting}"
    for verb in ("Get", "Put")
    for setting in (
        *("BucketOwnershipControls", "BucketPolicy", "BucketPublicAccessBlock"),
        *("EncryptionConfiguration", "LifecycleConfiguration"),
    )
}
"""The settings of a bucket that is taken over, which are not CloudFormation's to change."""


def make_resources(names: Names, *, deletes_only: bool = False) -> list[Statement]:
    """Make, change and delete the stack's resources, as CloudFormation does in the caller's name.

    If CloudFormation takes a role, the caller only passes that one; the stack keeps it until it is deleted.
    """
    if names.cloudformation_role:
        passed = pass_roles("cloudformation", [names.cloudformation_role])
        return [] if deletes_only else [passed, allow(BUCKET_SETTINGS, names.bucket_arn)]
    actions = {
        action
        for making, deleting in RESOURCE_ACTIONS.values()
        for action in (*deleting, *(() if deletes_only else making))
    } - {"iam:PassRole"}
    by_service: dict[str, set[str]] = {}
    for action in actions:
        by_service.setdefault(action.partition(":")[0], set()).add(action)
    named = f"{names.stack}-*"
    resources: dict[str, list[str]] = {
        "cloudwatch": [names.arn("cloudwatch", f"alarm:{named}")],
        # Security configurations and keys have no names to go by; see `nameless`.
        "elasticmapreduce": ["*"],
        "kms": ["*"],
        "iam": [names.global_arn("iam", f"{kind}/*{named}") for kind in ("role", "instance-profile")],
        "kinesis": [names.arn("kinesis", f"stream/{named}")],
        # An event source mapping has no name to go by.
        "lambda": [names.arn("lambda", one) for one in (f"function:{named}", "event-source-mapping:*")],
        "logs": [names.arn("logs", f"log-group:{named}")],
        "s3": [names.bucket_arn],
    }
    # These have no resource, or one without a name.
    anywhere = {
        "lambda:CreateEventSourceMapping",
        "lambda:DeleteEventSourceMapping",
        "lambda:GetEventSourceMapping",
        "lambda:UpdateEventSourceMapping",
        "logs:DescribeLogGroups",
        "kinesis:UpdateShardCount",
        "kinesis:UpdateStreamMode",
    } & actions
    # The caller does not use these otherwise than through CloudFormation (IAM user guide, "AWS global condition context
    # keys"), such as to write the policies of other keys.
    nameless = {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}}
    statements = [
        allow(found - anywhere, resources[service], **(nameless if resources[service] == ["*"] else {}))
        for service, found in sorted(by_service.items())
    ]
    statements.append(allow(anywhere))
    if not deletes_only:
        roles = [names.global_arn("iam", f"role/*{named}")]
        statements += [pass_roles(service, roles) for service in _PASSED_TO]
    return statements


COMMANDS: Mapping[str, Sequence[Callable[[Names], list[Statement]]]] = {
    "run-local": (read_flow_logs, find_format),
    "digest": (read_flow_logs, find_format),
    "run-emr": (
        find_stack,
        read_flow_logs,
        find_format,
        read_runs,
        look_ahead,
        run_clusters,
        share_clusters,
        remove_copies,
    ),
    "runs": (find_stack, read_runs),
    "diff": (find_stack, read_runs, read_flow_logs, find_format),
    "fetch-results": (find_stack, read_runs, remove_copies),
    "snapshot": (read_network,),
    "graph": (read_flow_logs, find_format),
    "report": (read_flow_logs, find_format),
    "deploy": (find_stack, change_stack, take_over_bucket, make_resources),
    "enable-flowlogs": (find_stack, enable_flow_logs, mend_policy),
    "disable-flowlogs": (find_stack, disable_flow_logs),
    "status": (find_stack, read_status),
    "destroy": (
        find_stack,
        disable_flow_logs,
        delete_stack,
        lambda names: make_resources(names, deletes_only=True),
    ),
}
"""By command, what it does."""


def policy_of(commands: Iterable[str], names: Names) -> Statement:
    """Make one policy for some commands. Statements on the same resources are joined."""
    joined: dict[str, Statement] = {}
    for command in commands:
        for do in COMMANDS[command]:
            for one in do(names):
                key = json.dumps([one["Resource"], one.get("Condition")])
                known = joined.setdefault(key, one)
                joined[key] = known | {"Action": sorted({*known["Action"], *one["Action"]})}
    return {"Version": "2012-10-17", "Statement": list(joined.values())}


def render_policy(policy: Statement) -> str:
    """Write a policy as JSON, ending in a line feed."""
    return json.dumps(policy, indent=2) + "\n"
