"""From the bytes of a stored file to the plain flow-log lines in it, part by part: an archive has several parts."""

from collections.abc import Iterator
from typing import NamedTuple

from toptalkers.records.files import Problem
from toptalkers.records.packing import unpacked
from toptalkers.records.plain import LOOK_BYTES, is_plain
from toptalkers.records.source import Source, UnreadableError

MOST_ARCHIVES = 3
"""How deep archives may be nested."""


class Begin(NamedTuple):
    """The start of a part, with its name; its lines follow. `wrapping` names what was around them."""

    name: str
    wrapping: str = ""


class Archive(NamedTuple):
    """The file is an archive: none of its parts may be counted before all of them were read."""


Event = bytes | Begin | Problem | Archive


def read_contents(name: str, source: Source, piece_bytes: int, *, archives: int = 0) -> Iterator[Event]:
    """Yield the parts of a file, each as `Begin` and pieces of its lines, or as `Problem`.

    `source` has its bytes as stored. A piece has at most `piece_bytes`, decompressed. `archives` counts those it is in.

    Raises:
        UnreadableError: it ends early, or is damaged; discard what came before.

    """
    is_empty = not source.peek(1)
    source = unpacked(source, piece_bytes)
    # No variable here keeps the first piece: its memory is reused for the next, while it is in the core's cache.
    if is_plain(source.peek(LOOK_BYTES)[:LOOK_BYTES]):
        yield Begin(name)
        yield from source
    else:
        yield from _read_odd(name, source, piece_bytes, archives, is_empty=is_empty)


def _read_odd(name: str, source: Source, piece_bytes: int, archives: int, *, is_empty: bool) -> Iterator[Event]:
    """Yield the parts of a file, decompressed, that does not begin with plain lines."""
    from toptalkers.flowlog.neighbours import find_neighbour, may_hold_records
    from toptalkers.records.archives import is_marker, is_tar, is_zip, tar_members, zip_members
    from toptalkers.records.kinds import name_kind
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
                    yield from read_contents(part, Source(member.pieces), piece_bytes, archives=archives + 1)
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
        yield Problem(name, neighbour.what, is_failure=False)
    elif is_empty:
        yield Problem(name, "empty, 0 bytes")
    elif kind := name_kind(head):
        yield Problem(name, kind)
    else:
        wrapping, pieces = unwrapped(source)
        yield Begin(name, wrapping)
        yield from pieces
