"""The part of the template that Amazon EMR runs under: two roles, an instance profile, a security configuration."""

from toptalkers import locations
from toptalkers.capture.cfn import (
    NOTHING,
    Template,
    allow,
    allow_key,
    allow_list,
    arn,
    bucket_arn,
    bucket_keys,
    from_here,
    get_att,
    if_,
    joined_arns,
    key_arn,
    ref,
    role,
    role_path,
    split,
    trust,
    when,
)

LAUNCH = [
    "ec2:CreateFleet",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateNetworkInterface",
    "ec2:RunInstances",
]
"""What AmazonEMRServicePolicy_v2 allows on tagged subnets and security groups (its `CreateInTaggedNetwork`)."""

RULES = [
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
]
"""What it allows on tagged security groups, whose rules EMR completes (its `ManageSecurityGroups`)."""

ENDPOINT = ["ec2:CreateVpcEndpoint", "ec2:ModifyVpcEndpoint"]
"""In a private subnet, EMR may make an endpoint for itself (its `CreateAndModifyEmrServiceVPCEndpoint`, version 6)."""

SPOT_ROLE = (
    "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
)


def cluster_resources() -> Template:
    """Build the service role, the nodes' instance profile and the security configuration."""
    return {
        "EmrServiceRole": _service_role(),
        "EmrInstanceRole": _instance_role(),
        "EmrInstanceProfile": {
            "Type": "AWS::IAM::InstanceProfile",
            # EMR refuses a profile whose name is not its role's ("invalid instance profile").
            "Properties": {
                "InstanceProfileName": ref("EmrInstanceRole"),
                "Path": role_path(),
                "Roles": [ref("EmrInstanceRole")],
            },
        },
        **when("MakesEmrSecurityConfiguration", {"EmrSecurity": _security_configuration()}),
    }


def _service_role() -> Template:
    # Only China has a suffix there (AWS CDK issue 19867: a cluster there ends with an internal error without it).
    emr = if_("IsChina", "elasticmapreduce.amazonaws.com.cn", "elasticmapreduce.amazonaws.com")
    made = role(
        trust(emr, from_here("elasticmapreduce", "*")),
        # The managed policy passes only roles of the default names.
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": get_att("EmrInstanceRole", "Arn"),
            "Condition": {"StringLike": {"iam:PassedToService": "ec2.amazonaws.com*"}},
        },
        *_network_statements(),
        # The first Spot instance of an account needs a role of EC2's, and it is this role that makes it (EMR management
        # guide, "Use default IAM roles and managed policies"). The managed policy's second version no longer does.
        allow(["iam:CreateServiceLinkedRole"], {"Fn::Sub": SPOT_ROLE})
        | {"Condition": {"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}}},
        # For encrypted disks of the nodes (EMR management guide, "Encryption at rest using AWS KMS").
        allow_key(
            [
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ]
        ),
        allow_key(["kms:CreateGrant"], {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
    )
    made["Properties"]["ManagedPolicyArns"] = [_managed("service-role/AmazonEMRServicePolicy_v2")]
    return made


def _network_statements() -> list[Template]:
    """Allow in an ordinary network what the managed policy allows in one that is tagged for EMR.

    These are the managed policy's own actions, without its condition that subnet, VPC and security groups
    have the tag `for-use-with-amazon-emr-managed-policies`. Only EMR can take the role, and only for this account.
    Subnets and security groups that the stack's parameters name are the only ones; a named subnet may belong to another
    account, which shares its VPC. Without names, they are all of this account and Region. Everything else that a
    launch touches (instances, volumes, launch templates, new security groups) still needs the tag of the cluster.
    """
    subnets = if_(
        "HasClusterSubnets", joined_arns("arn:*:ec2:*:*:subnet/", ref("ClusterSubnets")), arn("ec2", "subnet/*")
    )
    groups = if_(
        "HasClusterGroups",
        joined_arns("arn:*:ec2:*:*:security-group/", _cluster_groups()),
        arn("ec2", "security-group/*"),
    )
    vpc_owner = if_("HasClusterSubnets", "*", ref("AWS::AccountId"))
    vpcs = {"Fn::Sub": ["arn:${AWS::Partition}:ec2:${AWS::Region}:${Owner}:vpc/*", {"Owner": vpc_owner}]}
    return [
        allow_list([*LAUNCH, *RULES, *ENDPOINT], split(subnets, groups)),
        allow([*ENDPOINT, if_("HasClusterGroups", NOTHING, "ec2:CreateSecurityGroup")], vpcs),
    ]


def _cluster_groups() -> list[Template]:
    return [
        ref("ClusterPrimarySecurityGroup"),
        ref("ClusterNodeSecurityGroup"),
        if_("HasServiceGroup", ref("ClusterServiceSecurityGroup"), NOTHING),
    ]


def _instance_role() -> Template:
    certificates = {"Fn::Select": [1, {"Fn::Split": ["s3://", ref("EmrCertificates")]}]}
    made = role(
        # EC2 sends no source account or ARN when it takes a role; the PassRole above decides.
        trust("ec2.amazonaws.com"),
        allow(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], bucket_arn()),
        # All of it: flow logs that somebody put there are input, too.
        allow_list(["s3:GetObject"], bucket_keys("*")),
        # Deleting is what a job does with its temporary folders.
        allow_list(
            ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
            bucket_keys(f"{locations.RUNS}*", f"{locations.RUN_LOGS}*"),
        ),
        allow_key(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]),
        _if_read(["s3:GetBucketLocation", "s3:ListBucket"], ""),
        _if_read(["s3:GetObject"], "/*"),
        if_("HasReadKeys", allow_list(["kms:Decrypt", "kms:DescribeKey"], ref("ReadKmsKeyArns")), NOTHING),
        if_(
            "HasEmrCertificates",
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": {"Fn::Join": ["", ["arn:", ref("AWS::Partition"), ":s3:::", certificates]]},
            },
            NOTHING,
        ),
    )
    made["Properties"]["ManagedPolicyArns"] = if_("HasSsm", [_managed("AmazonSSMManagedInstanceCore")], NOTHING)
    return made


def _if_read(actions: list[str], after: str) -> Template:
    """A statement on the buckets of `ReadBuckets`, where there are any."""
    buckets = split(joined_arns("arn:*:s3:::", ref("ReadBuckets"), after))
    return if_("HasReadBuckets", allow_list(actions, buckets), NOTHING)


def _managed(name: str) -> Template:
    """One of AWS's managed policies."""
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::aws:policy/{name}"}


def _security_configuration() -> Template:
    sse_s3: Template = {"S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"}}
    sse_kms: Template = {
        "S3EncryptionConfiguration": {"EncryptionMode": "SSE-KMS", "AwsKmsKey": key_arn()},
        # Without a key of the customer, EMR encrypts no disks.
        "LocalDiskEncryptionConfiguration": {
            "EncryptionKeyProviderType": "AwsKms",
            "AwsKmsKey": key_arn(),
            "EnableEbsEncryption": True,
        },
    }
    return {
        "Type": "AWS::EMR::SecurityConfiguration",
        "Properties": {
            "SecurityConfiguration": {
                "InstanceMetadataServiceConfiguration": {
                    "MinimumInstanceMetadataServiceVersion": 2,
                    "HttpPutResponseHopLimit": 1,
                },
                "EncryptionConfiguration": {
                    "EnableAtRestEncryption": True,
                    "AtRestEncryptionConfiguration": if_("HasKey", sse_kms, sse_s3),
                    "EnableInTransitEncryption": if_("HasEmrCertificates", True, False),
                    "InTransitEncryptionConfiguration": if_(
                        "HasEmrCertificates",
                        {
                            "TLSCertificateConfiguration": {
                                "CertificateProviderType": "PEM",
                                "S3Object": ref("EmrCertificates"),
                            }
                        },
                        NOTHING,
                    ),
                },
            }
        },
    }
