"""Buckets that the stack does not make: those that it takes over, and those that clusters may read."""

import re

from toptalkers.errors import UsageError

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def bucket_name(text: str) -> str:
    """Return the name of a bucket, given by its name, or by the S3 URI of anything in it.

    Raises:
        UsageError: it is not the name of a bucket (Amazon S3 user guide, "Bucket naming rules").

    """
    name = text.removeprefix("s3://").partition("/")[0]
    if not _NAME.fullmatch(name) or ("/" in text and not text.startswith("s3://")):
        raise UsageError(f"{text!r} is not the name of a bucket", hint="give NAME or s3://NAME/...")
    return name
