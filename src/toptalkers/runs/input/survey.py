"""Inspect the objects that a run may read, and choose the addresses, and the copies, that a step can name."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from toptalkers import locations
from toptalkers.aws.storage import ObjectRefusedError, StorageGateway, describe_archive
from toptalkers.errors import ToptalkersError
from toptalkers.question.query import Query
from toptalkers.records.stored import Search
from toptalkers.runs.input.content import LOOK_BYTES, PACKED, Content, judge_content, judge_name
from toptalkers.runs.input.patterns import group_addresses

MOST_INSPECTED = 5_000
"""The most objects to inspect whose names do not tell their compression; each takes a request."""

SAMPLED = 200
"""How many of the others are inspected."""

INSPECTED_AT_A_TIME = 8

MOST_COPIED_BYTES = 5 << 30
"""The largest object that S3 copies in one request (S3 API reference, CopyObject)."""

LONGEST_URIS = 8_000
"""The most characters of addresses in a step, which takes about 10,000 for all of its arguments."""

NAMES_SHOWN = 3

_PACKED = tuple(PACKED)

GIVEN = re.compile(rf"s3://({locations.BUCKET_NAME})(?:/([A-Za-z0-9_.:/=@+-]*))?")
"""An address that can be given to a step: a bucket and a key without characters that have a meaning to Hadoop."""

Place = tuple[str, str]
"""A bucket and a key."""


def _uri(place: Place) -> str:
    return "s3://{}/{}".format(*place)


def _is_long(words: Iterable[str]) -> bool:
    return sum(len(word) + len(" -input ") for word in words) > LONGEST_URIS


def format_reasons(found: Mapping[str, str]) -> str:
    """Format objects and what is wrong with them: grouped by reason, the first few by name, and how many more."""
    by_reason: dict[str, list[str]] = {}
    for uri, reason in found.items():
        by_reason.setdefault(reason, []).append(uri)
    lines = []
    for reason, uris in by_reason.items():
        more = f" and {len(uris) - NAMES_SHOWN:,} more" if len(uris) > NAMES_SHOWN else ""
        lines.append(f"{reason}: {', '.join(uris[:NAMES_SHOWN])}{more}")
    return "; ".join(lines)


class Survey:
    """Listed objects, and the kind of each.

    Attributes:
        taken: the objects that are read, with their stored sizes.
        unreadable: the addresses of objects that a cluster cannot read, with the reasons.
        neighbours: the addresses of objects that are not flow logs, with the names of what they are.

    """

    def __init__(self, storage: StorageGateway, query: Query) -> None:
        """Take S3 and the question."""
        self._storage = storage
        self._query = query
        self._roots: list[tuple[Search, list[Place]]] = []
        self._seen: set[Place] = set()
        self.taken: dict[Place, int] = {}
        self.unreadable: dict[str, str] = {}
        self.neighbours: dict[str, str] = {}

    @property
    def objects(self) -> int:
        """The number of objects that Hadoop would read."""
        return len(self._seen)

    def add(self, search: Search) -> bool:
        """Add the objects that a search finds; whether Hadoop would read any."""
        found: list[Place] = []
        for one in search:
            if not (one.size_bytes or one.key.endswith(_PACKED)):
                continue
            place = (search.bucket, one.key)
            found.append(place)
            if place in self._seen:
                continue
            self._seen.add(place)
            named = judge_name(one.key)
            if named.kind == "neighbour":
                self.neighbours[_uri(place)] = named.what
            elif one.archive:
                self.unreadable[_uri(place)] = describe_archive(one.archive)
            elif named.kind == "unreadable" or not one.size_bytes:
                self.unreadable[_uri(place)] = named.what or "0 bytes, which is not a compressed file"
            else:
                self.taken[place] = one.size_bytes
        self._roots.append((search, found))
        self.neighbours |= {_uri((search.bucket, folder)): service for folder, service in search.services.items()}
        return bool(found)

    def inspect(self, on_look: Callable[[int, int], None], *, needs_all: bool) -> None:
        """Inspect all objects whose names do not tell their compression, and a sample of the others.

        If one of the sample is not right, the rest of the others is inspected, too. `on_look` is called with
        the number of objects inspected, and the number to inspect.

        Raises:
            ToptalkersError: with `needs_all`, some objects are not right, and there are too many to inspect them all.

        """
        named = [place for place in self.taken if place[1].endswith(_PACKED)]
        silent = [place for place in self.taken if not place[1].endswith(_PACKED)]
        for places, few in ((silent, MOST_INSPECTED), (named, SAMPLED)):
            inspected = _spread(places, few)
            odd = self._inspect_all(inspected, on_look)
            if odd and len(inspected) < len(places):
                rest = sorted(set(places) - set(inspected))
                if len(rest) > MOST_INSPECTED and needs_all:
                    raise ToptalkersError(
                        f"of {len(places):,} objects some cannot be read on a cluster, and at most"
                        f" {MOST_INSPECTED:,} are inspected; one is {_uri(odd[0])}",
                        hint="name fewer with --input",
                    )
                self._inspect_all(_spread(rest, MOST_INSPECTED), on_look)

    def _inspect_all(self, places: Sequence[Place], on_look: Callable[[int, int], None]) -> list[Place]:
        """Inspect objects, some at a time; returns those that a cluster does not read."""
        odd = []
        with ThreadPoolExecutor(INSPECTED_AT_A_TIME, "inspect") as pool:
            try:
                for number, (place, content) in enumerate(zip(places, pool.map(self._inspect, places), strict=True), 1):
                    if content.kind != "right":
                        odd.append(place)
                        self._judge(place, content)
                    on_look(number, len(places))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return odd

    def places(self) -> tuple[list[str], list[str], list[Place]]:
        """Choose the addresses of folders and files that hold only objects to read, and the objects to copy.

        Returns the addresses; as few patterns that match the same objects if these are too long for a step, else
        nothing; and the copies. An object is copied if a step cannot have its name, or if naming each of such objects
        makes the step too long.

        Raises:
            ToptalkersError: the step is too long all the same, or too many objects would have to be copied.

        """
        uris: dict[str, None] = {}
        files: dict[str, Place] = {}
        named: set[Place] = set()
        refused: set[str] = set()
        for search, found in self._roots:
            taken = [place[1] for place in found if place in self.taken and place not in named]
            others = [*search.cut, *(place[1] for place in found if place not in self.taken or place in named)]
            named.update(found)
            refused.update(_uri((search.bucket, key)) for key in others)
            for key in cover(search.folder, taken, others) if search.folder or len(found) != 1 else taken:
                uri = _uri((search.bucket, key))
                uris[uri] = None
                if key and not key.endswith("/"):
                    files[uri] = (search.bucket, key)
        copied = {uri for uri in files if not GIVEN.fullmatch(uri)}
        patterns = self._patterns([uri for uri in uris if uri not in copied], refused)
        if _is_long(patterns) and (self.unreadable or self.neighbours):
            copied = set(files)
        copied = {uri for uri in copied if self.taken[files[uri]] <= MOST_COPIED_BYTES}
        uris = {uri: None for uri in uris if uri not in copied}
        patterns = self._patterns(list(uris), refused)
        if _is_long(patterns) or len(copied) > MOST_INSPECTED:
            among = format_reasons({**self.unreadable, **self.neighbours})
            raise ToptalkersError(
                "the objects to read are in too many places for a step"
                + (f", among others that are not read: {among}" if among else f": {len(uris):,}"),
                hint="name the folders to read with --input, some at a time, or fewer accounts and Regions with"
                " --from-account and --from-region",
            )
        copies = [place for place in self.taken if _uri(place) in copied]
        return list(uris), patterns if patterns != list(uris) else [], copies

    def _patterns(self, uris: list[str], refused: set[str]) -> list[str]:
        """The addresses themselves, or patterns for them if they are too long for a step."""
        if not _is_long(uris):
            return uris
        origins = [search.wanted.origin for search, _ in self._roots]
        return group_addresses(
            uris,
            refused,
            all_accounts=not any(one.accounts for one in origins),
            all_regions=not any(one.regions for one in origins),
        )

    def _inspect(self, place: Place) -> Content:
        bucket, key = place
        try:
            head = self._storage.first_bytes(bucket, key, LOOK_BYTES)
        except ObjectRefusedError as error:
            return Content("unreadable", error.message)
        return judge_content(key, head, self._query, is_whole=len(head) == self.taken[place])

    def _judge(self, place: Place, content: Content) -> None:
        (self.neighbours if content.kind == "neighbour" else self.unreadable)[_uri(place)] = content.what
        del self.taken[place]


def cover(folder: str, taken: Iterable[str], others: Iterable[str]) -> list[str]:
    """Find the fewest folders and files that hold all keys that are taken and none of the others.

    All keys are below `folder`, which ends in `/`, or is empty for a whole bucket.
    """
    split = set()
    for key in others:
        end = len(folder)
        while end >= 0:
            split.add(key[:end])
            end = key.find("/", end) + 1 or -1
    found: dict[str, None] = {}
    for key in taken:
        end = len(folder)
        while key[:end] in split:
            end = key.find("/", end) + 1 or len(key)
        found[key[:end]] = None
    return list(found)


def _spread(places: list[Place], most: int) -> list[Place]:
    """At most so many of them, evenly spaced from the first to the last."""
    if len(places) <= most:
        return places
    return [places[number * (len(places) - 1) // (most - 1)] for number in range(most)]
