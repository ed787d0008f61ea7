"""The part of the template that Amazon EMR runs under: two roles, an instance profile, a security configuration."""

from toptalkers import locations
from toptalkers.capture.cfn import (
    NOTHING,
    Template,
    allow,
    allow_key,
    bucket_arn,
    from_here,
    get_att,
    if_,
    ref,
    role,
    trust,
)


def cluster_resources() -> Template:
    """Build the service role, the nodes' instance profile and the security configuration."""
    certificates = {"Fn::Select": [1, {"Fn::Split": ["s3://", ref("EmrCertificates")]}]}
    sse_s3: Template = {"S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"}}
    sse_kms: Template = {
        "S3EncryptionConfiguration": {"EncryptionMode": "SSE-KMS", "AwsKmsKey": ref("KmsKeyArn")},
        "LocalDiskEncryptionConfiguration": {
            "EncryptionKeyProviderType": "AwsKms",
            "AwsKmsKey": ref("KmsKeyArn"),
            "EnableEbsEncryption": True,
        },
    }
    service_role = role(
        trust("elasticmapreduce.amazonaws.com", from_here("elasticmapreduce", "*")),
        # The managed policy passes only roles of the default names.
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": get_att("EmrInstanceRole", "Arn"),
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        },
        # For encrypted disks of the nodes (EMR management guide, "Encryption at rest using AWS KMS").
        allow_key(
            [
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DescribeKey",
                "kms:Encrypt",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ]
        ),
    )
    # It reaches only what is tagged for-use-with-amazon-emr-managed-policies=true: cluster, subnet, VPC.
    service_role["Properties"]["ManagedPolicyArns"] = [
        {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonEMRServicePolicy_v2"}
    ]
    return {
        "EmrServiceRole": service_role,
        "EmrInstanceRole": role(
            # EC2 sends no source account or ARN when it takes a role; the PassRole above decides.
            trust("ec2.amazonaws.com"),
            allow(["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"], bucket_arn()),
            allow(
                ["s3:GetObject"],
                *[
                    bucket_arn(f"{prefix}*")
                    for prefix in (
                        locations.CAPTURED,
                        locations.DIRECT,
                        locations.CODE,
                        locations.RUNS,
                        locations.RUN_LOGS,
                    )
                ],
            ),
            # Deleting is what a job does with its temporary folders.
            allow(
                ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
                bucket_arn(f"{locations.RUNS}*"),
                bucket_arn(f"{locations.RUN_LOGS}*"),
            ),
            allow_key(["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]),
            if_(
                "HasEmrCertificates",
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObject",
                    "Resource": {"Fn::Join": ["", ["arn:", ref("AWS::Partition"), ":s3:::", certificates]]},
                },
                NOTHING,
            ),
        ),
        "EmrInstanceProfile": {
            "Type": "AWS::IAM::InstanceProfile",
            # EMR refuses a profile whose name is not its role's ("invalid instance profile").
            "Properties": {"InstanceProfileName": ref("EmrInstanceRole"), "Roles": [ref("EmrInstanceRole")]},
        },
        "EmrSecurity": {
            "Type": "AWS::EMR::SecurityConfiguration",
            "Condition": "MakesEmrSecurityConfiguration",
            "Properties": {
                "SecurityConfiguration": {
                    "InstanceMetadataServiceConfiguration": {
                        "MinimumInstanceMetadataServiceVersion": 2,
                        "HttpPutResponseHopLimit": 1,
                    },
                    "EncryptionConfiguration": {
                        "EnableAtRestEncryption": True,
                        "AtRestEncryptionConfiguration": if_("HasKmsKey", sse_kms, sse_s3),
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
        },
    }
