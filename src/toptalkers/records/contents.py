"""From the bytes of a stored file to the plain flow-log lines in it, part by part: an archive has several parts.

A Parquet file has no lines: its records come in columns.
"""

import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from toptalkers.answer.answer import Tally
from toptalkers.answer.quality import Quality
from toptalkers.flowlog.columns import ColumnBatch
from toptalkers.question.digest import WRAPPING
from toptalkers.question.query import Query
from toptalkers.records.files import Problem
from toptalkers.records.packing import unpacked
from toptalkers.records.plain import LOOK_BYTES, is_plain
from toptalkers.records.source import Seekable, Source, UnreadableError

MOST_ARCHIVES = 3
"""How deep archives may be nested."""

MOST_COPIED_BYTES = 8 << 30
"""The largest Parquet file that is copied to a temporary file, because it is compressed, or in an archive or pipe."""

_IN_MEMORY_BYTES = 64 << 20


class Begin(NamedTuple):
    """The start of a part; its lines follow, or batches of its records.

    Attributes:
        name: its name.
        wrapping: what was around its lines; empty for plain ones.
        columns: the fields of its records, if these come in batches; empty for lines.
        tally: what was left out when a digest was made; empty for all other parts.
        quality: what was noted of the records when a digest was made; empty for all other parts.
        note: what of the records a digest lacks; empty for nothing, and for all other parts.

    """

    name: str
    wrapping: str = ""
    columns: tuple[str, ...] = ()
    tally: Tally = Tally()
    quality: Quality = Quality()
    note: str = ""

    @property
    def is_digest(self) -> bool:
        """Whether its records are the rows of a digest."""
        return self.wrapping == WRAPPING


class Archive(NamedTuple):
    """The file is an archive: none of its parts may be counted before all of them were read."""


Piece = bytes | ColumnBatch
"""A piece of a part: of its lines, or some of its records."""

Event = Piece | Begin | Problem | Archive


def read_contents(
    name: str,
    source: Source,
    piece_bytes: int,
    query: Query | None = None,
    *,
    whole: Seekable | None = None,
    archives: int = 0,
) -> Iterator[Event]:
    """Yield the parts of a file, each as `Begin` and pieces of its lines, or as `Problem`.

    Args:
        name: its name.
        source: its bytes as stored.
        piece_bytes: the most bytes of a piece, decompressed.
        query: the question, whose columns are read from Parquet; None if only lines are read.
        whole: the stored file, if one can seek in it.
        archives: how many archives it is in.

    Raises:
        UnreadableError: it ends early, or is damaged; discard what came before.
        UsageError: it is a digest, which cannot answer the question.

    """
    is_empty = not source.peek(1)
    stored = source
    source = unpacked(source, piece_bytes)
    # No variable here keeps the first piece: its memory is reused for the next, while it is in the core's cache.
    if is_plain(source.peek(LOOK_BYTES)[:LOOK_BYTES]):
        yield Begin(name)
        yield from source
    else:
        whole = whole if source is stored else None
        yield from _read_odd(name, source, piece_bytes, query, whole, archives, is_empty=is_empty)


def _read_odd(
    name: str,
    source: Source,
    piece_bytes: int,
    query: Query | None,
    whole: Seekable | None,
    archives: int,
    *,
    is_empty: bool,
) -> Iterator[Event]:
    """Yield the parts of a file, decompressed, that does not begin with plain lines."""
    from toptalkers.flowlog.neighbours import find_neighbour, may_hold_records
    from toptalkers.flowlog.truth import is_beside_sample
    from toptalkers.records.archives import is_marker, is_tar, is_zip, tar_members, zip_members
    from toptalkers.records.kinds import PARQUET_MAGIC, name_kind
    from toptalkers.records.wrapping import unwrapped

    head = source.peek(LOOK_BYTES)
    if is_tar(head) or is_zip(head):
        if archives == MOST_ARCHIVES:
            yield Problem(name, f"an archive inside more than {MOST_ARCHIVES} archives")
            return
        yield Archive()
        files = 0
        for member in tar_members(source) if is_tar(head) else zip_members(source):
            files += 1
            part = f"{name}:{member.name}"
            if is_marker(member.name):
                yield Problem(part, "a name that begins with . or _", is_failure=False)
            elif member.problem:
                yield Problem(part, member.problem)
            else:
                try:
                    yield from read_contents(part, Source(member.pieces), piece_bytes, query, archives=archives + 1)
                except UnreadableError as error:
                    raise UnreadableError(f"{member.name}: {error}") from error
        if not files:
            yield Problem(name, "an archive without files")
        return
    if neighbour := find_neighbour(name, head, is_whole=source.is_whole):
        for piece in source:
            if may_hold_records(piece):
                yield Problem(name, f"looks like {neighbour.what}, but contains flow records as well; separate them")
                return
        # One that a user names is not passed over in silence; in a folder, `find_inputs` leaves it out.
        if not (is_beside_sample(name, head) and (archives or name.startswith("s3://"))):
            yield Problem(name, neighbour.what, is_failure=False)
    elif is_empty:
        yield Problem(name, "empty, 0 bytes")
    elif head.startswith(PARQUET_MAGIC):
        if query is None:
            yield Problem(name, "a Parquet file, which only 'run-local' with --engine local reads")
        else:
            yield from _read_parquet(name, source, query, whole)
    elif kind := name_kind(head):
        yield Problem(name, kind)
    else:
        wrapping, pieces = unwrapped(source)
        yield Begin(name, wrapping)
        yield from pieces


def _read_parquet(name: str, source: Source, query: Query, whole: Seekable | None) -> Iterator[Event]:
    """Yield a Parquet file, whose description is at its end."""
    from toptalkers.records.parquet import NoFlowLogError, NoLibraryError, ParquetRecords

    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as copy:
        if whole is None:
            for piece in source:
                copy.write(piece)
                if copy.tell() > MOST_COPIED_BYTES:
                    raise UnreadableError(f"a Parquet file of more than {MOST_COPIED_BYTES >> 30} GiB; unpack it first")
        try:
            records = ParquetRecords(whole or copy, query, name)
        except (NoFlowLogError, NoLibraryError) as error:
            yield Problem(name, str(error), is_of_machine=isinstance(error, NoLibraryError))
            return
        yield Begin(name, records.wrapping, records.names, records.tally, records.quality, records.note)
        yield from records.batches()
