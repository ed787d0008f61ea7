"""What the pre-processor kept apart in the hours of a question: it is in no answer, and the user should know."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from posixpath import commonpath

from toptalkers import locations
from toptalkers.aws.failures import AwsError
from toptalkers.aws.storage import StorageGateway, StoredObject
from toptalkers.question.query import Query
from toptalkers.records.hours import Arrival

COUNTED_AT_MOST = 1_000
"""Objects are counted up to this many, so that a look takes one request more than there are folders."""


def quarantine_note(storage: StorageGateway, bucket: str, uris: Iterable[str], query: Query) -> str:
    """Say how many objects lie in quarantine that can have records of a question's time.

    Args:
        storage: S3.
        bucket: the bucket that the pre-processor writes to.
        uris: the addresses that are read; without one below `CAPTURED` of the bucket, quarantine has nothing to add.
        query: the question.

    Returns one line with their address; empty if there are none, and if the bucket may not be listed.

    """
    if not any(uri.startswith(f"s3://{bucket}/{locations.CAPTURED}") for uri in uris):
        return ""
    with suppress(AwsError):
        found = list(
            islice(_quarantined(storage, bucket, Arrival.of_records(query.since, query.until)), COUNTED_AT_MOST)
        )
        if found:
            folder = commonpath([one.key.rpartition("/")[0] for one in found])
            count = "1 object is" if len(found) == 1 else f"{len(found):,} objects are"
            more = " at least" if len(found) == COUNTED_AT_MOST else ""
            return (
                f"{count} in quarantine{more}, not in the answer: the records cannot be read, or do not fit the stack's"
                f" format; 'aws s3 ls --recursive s3://{bucket}/{folder}/' lists them"
            )
    return ""


def _quarantined(storage: StorageGateway, bucket: str, arrival: Arrival) -> Iterator[StoredObject]:
    """Yield the objects in quarantine of batches that arrived within a time."""
    waiting = [locations.QUARANTINE]
    while waiting:
        folder = waiting.pop()
        part = arrival.part_of([int(one) for one in folder.split("/")[1:-1]])
        if part == "all":
            yield from storage.list(bucket, folder)
        elif part == "some":
            waiting += [one for one in storage.folders(bucket, folder) if one.split("/")[-2].isdecimal()][::-1]
