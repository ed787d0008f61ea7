"""The names that digests keep in their metadata (`names/kept.py`), for questions without `--names`."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from toptalkers.answer.digest import SUFFIX
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

    """

    snapshot: Snapshot | None
    without: tuple[str, ...]


def kept_names(files: Iterable[InputFile]) -> Kept:
    """Find the names that digests keep. Other files keep none; of digests in archives they are not found.

    Raises:
        ToptalkersError: the names in a digest are damaged.

    """
    found: list[Snapshot] = []
    without: list[str] = []
    for file in files:
        text = _kept_text(file)
        if text is None:
            without.append(file.name)
        else:
            found.append(parse_kept(text, file.name))
    return Kept(merged(found) if found else None, tuple(without))


def _kept_text(file: InputFile) -> bytes | None:
    """The names in a file's metadata. None if it has none, or is damaged, as is said when its records are read."""
    if not file.name.endswith(SUFFIX) or file.name.endswith(_OF_AWS):
        return None
    require_pyarrow("reading Parquet")
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with closing(file.open()) as stream:
            reader = SeekingReader(stream, file.name, 0, lambda _: None, lambda: False)
            metadata = parquet.ParquetFile(pa.PythonFile(reader, mode="r")).metadata.metadata or {}
    except (pa.ArrowException, OSError, ValueError, UnreadableError):
        return None
    text: bytes | None = metadata.get(NAMES_KEY)
    return text
