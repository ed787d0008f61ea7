"""What can be chosen of the stack: the parameters of its template, and the conditions that decide by them."""

from toptalkers import locations
from toptalkers.capture.cfn import Template, ref
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, format_log_format

LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
)  # fmt: skip
"""The values that CloudWatch Logs accepts."""

ON_DEMAND = "on-demand"

KEY_PATTERN = "arn:[a-z0-9-]+:kms:.+:key/.+"
GROUP_PATTERN = "(sg-[0-9a-f]+)?"
LOG_FORMAT_PATTERN = r"\$\{[a-z][a-z0-9-]*\}( \$\{[a-z][a-z0-9-]*\})*"


def parameters() -> Template:
    """Build the parameters."""

    def text(description: str, default: str = "", pattern: str = "", kind: str = "String") -> Template:
        allowed = {"AllowedPattern": pattern} if pattern else {}
        return {"Type": kind, "Default": default, **allowed, "Description": description}

    def texts(description: str, pattern: str) -> Template:
        return text(description, "", f"({pattern})?", "CommaDelimitedList")

    def choice(description: str, *values: str) -> Template:
        return {"Type": "String", "Default": values[0], "AllowedValues": list(values), "Description": description}

    def number(description: str, default: int, **limits: object) -> Template:
        return {"Type": "Number", "Default": default, **limits, "Description": description}

    return {
        "Capture": choice(
            "stream: flow logs go through CloudWatch Logs, Kinesis and a function. s3-only: AWS delivers them directly "
            "to the bucket, and none of those is made",
            "stream",
            "s3-only",
        ),
        "Shards": text(
            "Shards of the stream (each takes 1 MB per second), or on-demand",
            "1",
            f"{ON_DEMAND}|[1-9][0-9]{{0,3}}",
        ),
        "RetentionDays": number(
            "Days that CloudWatch Logs keeps flow records",
            1,
            AllowedValues=list(LOG_RETENTION_DAYS),
        ),
        "LogFormat": text(
            "The format of flow logs, in the syntax of create-flow-logs",
            format_log_format(DEFAULT_LAYOUT),
            LOG_FORMAT_PATTERN,
        ),
        "BatchingWindowSeconds": number(
            "How long records gather for one object in S3",
            300,
            MinValue=0,
            MaxValue=300,
        ),
        "FunctionMemoryMb": number(
            "Memory of the function, and with it its share of a processor", 512, MinValue=256, MaxValue=10240
        ),
        "FunctionRuntime": text("Runtime of the function", "python3.14", "python3[.]1[2-9]"),
        "FunctionArchitecture": choice("Architecture of the function", "arm64", "x86_64"),
        "ParallelizationFactor": number(
            "Functions that read one shard at the same time",
            1,
            MinValue=1,
            MaxValue=10,
        ),
        "AlarmTopicArn": text("SNS topic that the alarms notify", pattern="(arn:[a-z0-9-]+:sns:.+)?"),
        "SilenceAlarm": choice("An alarm when no record has arrived for 30 minutes", "off", "on"),
        "ExistingBucket": text(
            "A bucket to take over, such as one that a deleted stack left; CloudFormation does not change it",
            pattern=f"({locations.BUCKET_NAME})?",
        ),
        "RecordsExpireDays": number(f"Days that S3 keeps {locations.CAPTURED} and {locations.DIRECT}", 7, MinValue=1),
        "RunLogsExpireDays": number(f"Days that S3 keeps {locations.RUN_LOGS}, the logs of clusters", 30, MinValue=1),
        "ReadBuckets": texts(
            "Names of other buckets that a cluster may read; another account's bucket policy must allow it, too",
            locations.BUCKET_NAME,
        ),
        "ReadKmsKeyArns": texts(
            "Keys that encrypt those buckets; another account's key policy must allow it, too",
            KEY_PATTERN,
        ),
        "KmsKeyArn": text(
            "Your key for stream, log groups, bucket and cluster disks. Its policy must let logs.REGION.amazonaws.com "
            "and, for direct delivery, delivery.logs.amazonaws.com use it. Without a key, AWS's own encrypt the first "
            "three, and disks are only encrypted if the account encrypts EBS volumes by default",
            pattern=f"({KEY_PATTERN})?",
        ),
        "MakeKey": choice("Make such a key ($1 per month), which stays when the stack is deleted", "no", "yes"),
        "EmrCertificates": text(
            "S3 URI of a zip of PEM certificates, for TLS between the nodes of a cluster",
            pattern="(s3://[^/]+/.+[.]zip)?",
        ),
        "EmrSecurityConfiguration": text("EMR security configuration instead of the one made here"),
        "ClusterSubnets": texts(
            "Subnets of clusters, of which EMR chooses one; its role reaches no others that are not tagged",
            "subnet-[0-9a-f]+",
        ),
        "ClusterPrimarySecurityGroup": text(
            "Security group of the primary node; without it, EMR makes its own groups", pattern=GROUP_PATTERN
        ),
        "ClusterNodeSecurityGroup": text("Security group of the other nodes", pattern=GROUP_PATTERN),
        "ClusterServiceSecurityGroup": text(
            "Security group of EMR's access to a private subnet", pattern=GROUP_PATTERN
        ),
        "NodesSsm": choice("Let Session Manager connect to the nodes of a cluster", "no", "yes"),
        "PermissionsBoundaryArn": text(
            "Permissions boundary of every role", pattern="(arn:[a-z0-9-]+:iam::.+:policy/.+)?"
        ),
        "RolePath": text("Path of every role; with another one, all roles are made anew", "/", "/([!-~]+/)?"),
    }


def conditions() -> Template:
    """Build the conditions."""

    def equals(parameter: str, value: str) -> Template:
        return {"Fn::Equals": [ref(parameter), value]}

    def given(parameter: str) -> Template:
        return {"Fn::Not": [equals(parameter, "")]}

    def listed(parameter: str) -> Template:
        return {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", ref(parameter)]}, ""]}]}

    return {
        "IsChina": equals("AWS::Partition", "aws-cn"),
        "HasStream": equals("Capture", "stream"),
        "IsOnDemand": equals("Shards", ON_DEMAND),
        "WatchesSilence": {"Fn::And": [{"Condition": "HasStream"}, equals("SilenceAlarm", "on")]},
        "HasAlarmTopic": given("AlarmTopicArn"),
        "MakesBucket": equals("ExistingBucket", ""),
        "HasReadBuckets": listed("ReadBuckets"),
        "HasReadKeys": listed("ReadKmsKeyArns"),
        "MakesKey": {"Fn::And": [equals("MakeKey", "yes"), equals("KmsKeyArn", "")]},
        "HasKey": {"Fn::Or": [{"Condition": "MakesKey"}, given("KmsKeyArn")]},
        "HasEmrCertificates": given("EmrCertificates"),
        "MakesEmrSecurityConfiguration": equals("EmrSecurityConfiguration", ""),
        "HasClusterSubnets": listed("ClusterSubnets"),
        "HasClusterGroups": {"Fn::And": [given("ClusterPrimarySecurityGroup"), given("ClusterNodeSecurityGroup")]},
        "HasServiceGroup": given("ClusterServiceSecurityGroup"),
        "HasSsm": equals("NodesSsm", "yes"),
        "HasBoundary": given("PermissionsBoundaryArn"),
        "HasRolePath": {"Fn::Not": [equals("RolePath", "/")]},
    }
