"""Whether a cluster's nodes may read the buckets of a run's input, and what lets them."""

import json
from collections.abc import Iterable

from toptalkers.errors import ToptalkersError
from toptalkers.runs.site import Site


def check_access(site: Site, uris: Iterable[str]) -> list[str]:
    """Check that the nodes' role may read what is named, as far as that is known; returns notes for the user.

    The role's own policy must allow it; a bucket of another account must allow the role as well (IAM user guide,
    "Cross-account resource access").

    Raises:
        ToptalkersError: the role that the stack made may not read a bucket.

    """
    others = sorted({uri.split("/")[2] for uri in uris} - {site.bucket})
    if site.read_buckets is None:
        return [f"the nodes' role {site.instance_profile} must be allowed to read s3://{other}" for other in others]
    if closed := [other for other in others if other not in site.read_buckets]:
        options = " ".join(f"--read-bucket {one}" for one in closed)
        name = "" if site.name == "toptalkers" else f" --stack-name {site.name}"
        raise ToptalkersError(
            f"the nodes may not read {' or '.join(f's3://{one}' for one in closed)}: the stack {site.name} does not"
            " allow it",
            hint=f"'toptalkers deploy{name} {options}' does",
        )
    return [f"if s3://{other} is another account's, its policy needs: {_statement(site, other)}" for other in others]


def _statement(site: Site, bucket: str) -> str:
    """The statement of a bucket's policy that lets the nodes read it."""
    arn = f"arn:{site.nodes_role.split(':')[1] if site.nodes_role else 'aws'}:s3:::{bucket}"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": site.nodes_role or f"(the ARN of the role {site.instance_profile})"},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [arn, f"{arn}/*"],
    }
    return json.dumps(statement, separators=(",", ":"))
