"""The files that a cluster's maps left out, named: counters tell their sizes, and a listing the objects of these sizes.

A map knows neither the names of its files nor, of all counters that Hadoop keeps, more than a few. So it adds the
stored size of each file that it leaves out to one of eight counters, with a number on top that counts them
(`job/count_files.py`, `SLOTS` and `LEFT_OUT`). A counter of one file tells its size.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from toptalkers.answer.answer import maps_of
from toptalkers.aws.failures import AwsError
from toptalkers.aws.storage import StorageGateway
from toptalkers.job.count_files import LEFT_OUT
from toptalkers.records.stored import Search
from toptalkers.runs.input.patterns import matcher

SLOT = re.compile("left_out_[0-9]+")

MOST_LISTED = 200_000
"""How many objects are searched for one of a size; each thousand takes a request."""

NEARLY = (0, 2, 1, -1, 3)
"""By how many bytes an object may be larger than the map saw: Hadoop leaves out the delimiter at a file's end, and a
byte order mark."""

NAMES_SHOWN = 3


def name_left_out(
    storage: StorageGateway, inputs: Iterable[str], counters: Mapping[str, int], command: Callable[[Sequence[str]], str]
) -> list[str]:
    """Name the files that the maps of a run left out, in a line each, and say in one how many have no known name.

    Each line ends with the command that says why, since the maps only count.

    Args:
        storage: S3; what it refuses to list has no names.
        inputs: the input of the run's first step: addresses and patterns.
        counters: the scripts' counters of the run.
        command: writes the `run-local` that asks the run's question of some addresses.

    """
    left_out = counters.get("files_unreadable", 0) + counters.get("misfit_files", 0)
    if not left_out or not maps_of(counters):  # maps of earlier versions counted what fits of a file
        return []
    why = " or ".join(
        words
        for name, words in (
            ("files_unreadable", "could not be read on the cluster"),
            ("misfit_files", "does not fit its layout"),
        )
        if counters.get(name)
    )
    inputs = [uri for uri in inputs if uri.startswith("s3://")]
    try:
        found = _find(storage, inputs, list(_sizes(counters)))
    except AwsError:
        found = []
    lines = [f"{_name(*one)}: {why}; to see why: {command(one[2][:NAMES_SHOWN])}" for one in found]
    if unnamed := left_out - len(lines):
        places = list(dict.fromkeys(matcher(uri)[0] for uri in inputs))
        number = f"{unnamed:,}{' more' if lines else ''} {'file' if unnamed == 1 else 'files'}"
        how = "ask 'toptalkers run-local' the same question" if len(places) > NAMES_SHOWN else command(places)
        lines.append(f"{number} without a known name; to see which: {how}")
    return lines


def _sizes(counters: Mapping[str, int]) -> Iterator[int]:
    """The sizes of the files that have a counter of their own."""
    for name, number in counters.items():
        if SLOT.fullmatch(name) and number // LEFT_OUT == 1:
            yield number % LEFT_OUT


def _find(storage: StorageGateway, inputs: Iterable[str], sizes: Sequence[int]) -> list[tuple[int, int, Sequence[str]]]:
    """For each size that some object has, or nearly has: the size, that of the objects, and their addresses."""
    near: dict[int, list[str]] = {size + more: [] for size in sizes for more in NEARLY}
    objects = (one for uri in inputs for one in _objects(storage, uri))
    for uri, size in islice(objects, MOST_LISTED) if sizes else ():
        if size in near:
            near[size].append(uri)
    found = [(size, next((size + more for more in NEARLY if near[size + more]), None)) for size in sizes]
    return [(size, actual, near[actual]) for size, actual in found if actual is not None]


def _objects(storage: StorageGateway, uri: str) -> Iterator[tuple[str, int]]:
    """The addresses and sizes of the objects that an address, or a pattern, of a step means."""
    folder, matches = matcher(uri)
    search = Search.at(storage, folder)
    for one in search:
        address = f"s3://{search.bucket}/{one.key}"
        if matches(address):
            yield address, one.size_bytes


def _name(size: int, actual: int, uris: Sequence[str]) -> str:
    more = f" and {len(uris) - NAMES_SHOWN:,} more" if len(uris) > NAMES_SHOWN else ""
    which = "probably " * (actual != size) + "one of " * (len(uris) > 1)
    return f"{which}{', '.join(uris[:NAMES_SHOWN])}{more} ({actual:,} bytes)"
