"""Copies of what a run reads, by names that tell Hadoop how they are packed.

Hadoop unpacks by the end of a name alone. S3 makes the copies by itself, beside the answer; they are taken away when
the run is over.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from toptalkers import locations
from toptalkers.aws.account import Say
from toptalkers.aws.failures import AwsError
from toptalkers.aws.storage import StorageGateway
from toptalkers.runs.input import Copy

COPIES_AT_A_TIME = 8


def copy_renamed(storage: StorageGateway, bucket: str, copies: Sequence[Copy], say: Say) -> None:
    """Copy objects into the stack's bucket, some at a time.

    Raises:
        AwsError: one of them cannot be copied.

    """
    if not copies:
        return
    with ThreadPoolExecutor(COPIES_AT_A_TIME, "copy") as pool:
        try:
            for _ in pool.map(lambda one: storage.copy(one.bucket, one.key, bucket, one.to_key), copies):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    say(f"copied {len(copies):,} objects to s3://{bucket}/{copies[0].to_key.rpartition('/')[0]}/")


def remove_renamed(storage: StorageGateway, bucket: str, run_id: str, say: Say) -> None:
    """Take a run's copies away; where that fails, say so."""
    folder = locations.renamed_prefix(run_id)
    try:
        keys = [one.key for one in storage.list(bucket, folder)]
        if keys:
            storage.delete_many(bucket, keys, on_deleted=lambda _: None)
    except AwsError as error:
        say(f"the copies at s3://{bucket}/{folder} are still there: {error.message}")
