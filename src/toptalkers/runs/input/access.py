"""Whether a cluster's nodes may read the buckets of a run's input, what lets them, and what it costs."""

import json
import re
from collections.abc import Iterable

from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError
from toptalkers.runs.input.content import PARQUET
from toptalkers.runs.site import Site


def check_access(site: Site, uris: Iterable[str]) -> list[str]:
    """Check that the nodes' role may read what is named, as far as that is known; returns notes for the user.

    The role's own policy must allow it; a bucket of another account must allow the role as well (IAM user guide,
    "Cross-account resource access").

    Raises:
        ToptalkersError: the role that the stack made may not read a bucket.

    """
    others = _others(site, uris)
    if site.read_buckets is None:
        return [
            f"{_role(site)} must be allowed to read s3://{other}; if that is another account's, its policy needs"
            f"{_way_to_arn(site)}: {_statement(site, other)}"
            for other in others
        ]
    if closed := [other for other in others if other not in site.read_buckets]:
        options = " ".join(f"--read-bucket {one}" for one in closed)
        name = "" if site.name == "toptalkers" else f" --stack-name {site.name}"
        raise ToptalkersError(
            f"the nodes may not read {' or '.join(f's3://{one}' for one in closed)}: the stack {site.name} does not"
            " allow it",
            hint=f"'toptalkers deploy{name} {options}' does",
        )
    return [f"if s3://{other} is another account's, its policy needs: {_statement(site, other)}" for other in others]


def describe_transfer(storage: StorageGateway, site: Site, uris: Iterable[str], region: str) -> list[str]:
    """Name the buckets in other Regions than the cluster's: reading them works, and costs more.

    From 3.4.2 on, Hadoop's S3A finds a bucket in any Region by itself (HADOOP-19286); EMR has it from 7.13. A bucket
    whose Region cannot be told is passed over.
    """
    found = {bucket: storage.region_of(bucket) for bucket in _others(site, uris)}
    return [
        f"s3://{bucket} is in {place}, and the cluster in {region}: AWS charges for the transfer between Regions"
        for bucket, place in found.items()
        if place and region and place != region
    ]


def explain_refusal(reasons: Iterable[str]) -> str | None:
    """Say what helps with objects that S3 refuses because of their KMS key, or that are Parquet; None for others."""
    reasons = set(reasons)
    if any("kms:" in reason for reason in reasons):
        return (
            "the policy of the KMS key must allow kms:Decrypt to you and to the nodes' role;"
            " 'toptalkers deploy --read-key ARN' allows it to the role"
        )
    if PARQUET in reasons:
        return (
            "Parquet is read on one machine: by 'toptalkers run-local', or once by 'toptalkers digest' for many"
            " questions; for a cluster, have flow logs delivered as text, or leave these objects out with"
            " --skip-unreadable"
        )
    return None


def explain_denied(site: Site, uris: Iterable[str], reason: str) -> str | None:
    """Say what lets the nodes do what S3 refused to them in a step; None if the step failed for another reason.

    Args:
        site: the place of the run.
        uris: the input of the run.
        reason: why the step failed, with the words of Hadoop's S3A ("AccessDeniedException", "Status Code: 403").

    """
    if "Status Code: 403" not in reason and "AccessDeniedException" not in reason:
        return None
    named = next((one for one in _others(site, uris) if re.search(rf"s3://{re.escape(one)}(?![\w.-])", reason)), None)
    if named is None:
        return (
            f"{_role(site)} must be allowed s3:ListBucket on {site.bucket}, s3:GetObject below code/, and"
            " s3:GetObject, s3:PutObject and s3:DeleteObject below runs/ and logs/"
        )
    return (
        f"{_role(site)} must be allowed s3:ListBucket and s3:GetObject on {named}; if the bucket is another"
        f" account's, its policy needs as well: {_statement(site, named)}"
    )


def _others(site: Site, uris: Iterable[str]) -> list[str]:
    """The buckets that are named, other than the site's."""
    return sorted({uri.split("/")[2] for uri in uris} - {site.bucket})


def _role(site: Site) -> str:
    """Name the nodes' role. Of an instance profile of others only its own name is known, and the role's may differ."""
    if site.nodes_role:
        return f"the nodes' role {site.nodes_role.rpartition('/')[2]}"
    return f"the role of the instance profile {site.instance_profile.rpartition('/')[2]}"


def _way_to_arn(site: Site) -> str:
    """The command that shows the role's ARN, where only the instance profile is known."""
    if site.nodes_role:
        return ""
    name = site.instance_profile.rpartition("/")[2]
    query = "--query InstanceProfile.Roles[].Arn --output text"
    return f" this ('aws iam get-instance-profile --instance-profile-name {name} {query}' shows the ARN)"


def _statement(site: Site, bucket: str) -> str:
    """The statement of a bucket's policy that lets the nodes read it."""
    arn = f"arn:{site.nodes_role.split(':')[1] if site.nodes_role else 'aws'}:s3:::{bucket}"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": site.nodes_role or f"(the ARN of {_role(site)})"},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [arn, f"{arn}/*"],
    }
    return json.dumps(statement, separators=(",", ":"))
