"""The names that digests keep in their metadata (`names/kept.py`), for questions without `--names`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from toptalkers.answer.digest import METADATA_KEY, SUFFIX, DigestOrigin
from toptalkers.errors import ToptalkersError
from toptalkers.machine.arrow import require_pyarrow
from toptalkers.names.kept import NAMES_KEY, merged, parse_kept
from toptalkers.names.snapshot import Snapshot
from toptalkers.records.files import InputFile
from toptalkers.records.source import UnreadableError
from toptalkers.records.unpack import SeekingReader

_OF_AWS = ".log.parquet"
"""The end of the names of flow logs in Parquet, which are no digests and many."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The names that some digests keep.

    Attributes:
        snapshot: all of them; None if no digest keeps any.
        without: the names of the files that keep none.
        older: the names of the digests whose addresses may lack a name, because others keep newer snapshots of the
            same time.

    """

    snapshot: Snapshot | None
    without: tuple[str, ...] = ()
    older: tuple[str, ...] = ()


def kept_names(files: Iterable[InputFile]) -> Kept:
    """Find the names that digests keep. Other files keep none; of digests in archives they are not found.

    Raises:
        ToptalkersError: the names in a digest are damaged.

    """
    found: list[_Part] = []
    without: list[str] = []
    for file in files:
        part = _read_part(file)
        if part is None:
            without.append(file.name)
        else:
            found.append(part)
    if not found:
        return Kept(None, tuple(without))
    older = tuple(part.name for part in found if any(part.lacks(other) for other in found))
    return Kept(merged(part.snapshot for part in found), tuple(without), older)


class _Part(NamedTuple):
    """The names that a digest keeps, and when its last record ended, in seconds."""

    name: str
    snapshot: Snapshot
    last_s: float

    def lacks(self, other: "_Part") -> bool:
        """Whether the other one has a newer snapshot that counts for records of this one, but lacks their addresses."""
        own = defaultdict[tuple[str, str], set[int]](set)
        for scope in self.snapshot.scopes:
            own[scope.account_id, scope.region].add(scope.taken_s)
        return any(
            scope.taken_s not in times and min(times) < scope.taken_s < self.last_s
            for scope in other.snapshot.scopes
            if (times := own.get((scope.account_id, scope.region)))
        )


def _read_part(file: InputFile) -> _Part | None:
    """What a file keeps. None if it keeps no names, or is damaged, as is said when its records are read."""
    metadata = _metadata(file)
    if NAMES_KEY not in metadata:
        return None
    snapshot = parse_kept(metadata[NAMES_KEY], file.name)
    try:
        last = DigestOrigin.parse(metadata.get(METADATA_KEY, b"")).last
    except ToptalkersError:
        last = None
    return _Part(file.name, snapshot, last.timestamp() if last else 0)


def _metadata(file: InputFile) -> Mapping[bytes, bytes]:
    """The metadata of a Parquet file; empty for other files, and for damaged ones."""
    if not file.name.endswith(SUFFIX) or file.name.endswith(_OF_AWS):
        return {}
    require_pyarrow("reading Parquet")
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with closing(file.open()) as stream:
            reader = SeekingReader(stream, file.name, 0, lambda _: None, lambda: False)
            found: Mapping[bytes, bytes] = parquet.ParquetFile(pa.PythonFile(reader, mode="r")).metadata.metadata or {}
    except (pa.ArrowException, OSError, ValueError, UnreadableError):
        return {}
    return found
