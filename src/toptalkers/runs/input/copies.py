"""Copies of objects that a run reads and that a step cannot name: too many of them, or with odd characters.

S3 makes the copies beside the answer, without a download. They are deleted when the run is over.
"""

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from toptalkers import locations
from toptalkers.aws.account import Say
from toptalkers.aws.failures import AwsError
from toptalkers.aws.storage import StorageGateway
from toptalkers.runs.input.survey import Place

COPIES_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Copy:
    """An object that a run reads under another name, in the stack's bucket."""

    bucket: str
    key: str
    to_key: str


def plan_copies(places: Iterable[Place], folder: str) -> tuple[Copy, ...]:
    """Give each object a new key in a folder: numbered, of plain characters, with the ending that it has."""
    copies = []
    for number, (bucket, key) in enumerate(places):
        # Other characters may have a special meaning in a path.
        plain = re.sub("[^A-Za-z0-9.-]", "-", key.rsplit("/", 1)[-1])[-100:]
        copies.append(Copy(bucket, key, f"{folder}{number:05}-{plain}"))
    return tuple(copies)


def make_copies(storage: StorageGateway, bucket: str, copies: Sequence[Copy], say: Say) -> None:
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


def remove_copies(storage: StorageGateway, bucket: str, run_id: str, say: Say) -> None:
    """Delete a run's copies; if that fails, tell the user."""
    folder = locations.copies_prefix(run_id)
    try:
        keys = [one.key for one in storage.list(bucket, folder)]
        if keys:
            storage.delete_many(bucket, keys, on_deleted=lambda _: None)
    except AwsError as error:
        say(f"the copies at s3://{bucket}/{folder} are still there: {error.message}")
