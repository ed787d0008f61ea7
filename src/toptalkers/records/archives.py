"""The files in a tar or zip archive, one by one, without extracting any of them to disk.

Memory holds a piece of one file at a time. A tar is read as a stream. A zip has its list of files at its end, so it is
first copied to an unnamed temporary file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from toptalkers.records.files import is_hidden
from toptalkers.records.source import Reader, Source, UnreadableError

MOST_MEMBERS = 100_000
"""The most files that an archive may contain."""

LONGEST_NAME = 300
"""Messages cut the names of files in archives to this many characters."""

_BLOCK = 512
_MOST_EXTENSION_BYTES = 1 << 20
_PIECE_BYTES = 256 << 10
_IN_MEMORY_BYTES = 8 << 20
_ZIP_END_BYTES = 22
_CUT_OFF = "the tar archive ends early: cut off"


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: its name, and its bytes or the reason why they cannot be read."""

    name: str
    pieces: Iterator[bytes] = field(default_factory=lambda: iter(()))
    problem: str = ""


def is_tar(head: bytes) -> bool:
    """Whether data that begins like this is a tar archive, in an old or a new format."""
    if b"\0" not in head[:_BLOCK] or len(head) < _BLOCK:
        return False
    if head[257:262] == b"ustar":
        return True
    stored = re.fullmatch(rb"[ \0]*([0-7]{1,7})[ \0]+", head[148:156])
    return stored is not None and bool(head[0]) and int(stored[1], 8) == sum(head[:148]) + 256 + sum(head[156:_BLOCK])


def is_zip(head: bytes) -> bool:
    """Whether data that begins like this is a zip archive."""
    return head.startswith((b"PK\3\4", b"PK\5\6"))


def tar_members(source: Source) -> Iterator[Member]:
    """Yield the files in a tar, without folders, links and devices. Read each file before the next.

    Raises:
        UnreadableError: the archive is cut off or damaged, or contains too many files.

    """
    import tarfile

    reader = Reader(iter(source))
    name, size, has_holes = "", None, False
    members = 0
    is_ended = False
    while True:
        block = reader.read(_BLOCK)
        if not block.strip(b"\0"):  # two blocks of zeros end an archive; another archive may follow
            is_ended = is_ended or len(block) == _BLOCK
            if len(block) < _BLOCK:
                break
            continue
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise UnreadableError(
                _CUT_OFF if len(block) < _BLOCK else f"the tar archive is damaged: {error}"
            ) from error
        is_ended = False
        stored = info.size
        if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE):
            if not 0 <= stored <= _MOST_EXTENSION_BYTES:
                raise UnreadableError("the tar archive is damaged: an extended header is too long")
            extension = reader.read(_padded(stored))
            if len(extension) < _padded(stored):
                raise UnreadableError(_CUT_OFF)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                name = extension[:stored].rstrip(b"\0").decode(errors="surrogateescape")
            elif info.type == tarfile.XHDTYPE:
                records = _pax_records(extension[:stored])
                name = records.get("GNU.sparse.name") or records.get("path") or name
                size = int(records["size"]) if records.get("size", "").isdecimal() else None
                has_holes = any(key.startswith("GNU.sparse") for key in records)
            continue
        stored = stored if size is None else size
        without_data = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
        if info.type in without_data or (info.isdir() and stored < 0):
            stored = 0
        if stored < 0:
            raise UnreadableError("the tar archive is damaged: a file has a negative size")
        own_name = shown(name or info.name)
        left = [stored]
        if info.type == tarfile.GNUTYPE_SPARSE or has_holes:
            yield Member(own_name, problem="a sparse file; archive it again with tar, without --sparse")
        elif info.isreg():
            members += 1
            if members > MOST_MEMBERS:
                raise UnreadableError(f"an archive of more than {MOST_MEMBERS:,} files")
            yield Member(own_name, _counted(reader, left))
        for _ in _counted(reader, left):
            pass
        if len(reader.read(_padded(stored) - stored)) < _padded(stored) - stored:
            raise UnreadableError(_CUT_OFF)
        name, size, has_holes = "", None, False
    if not is_ended:
        raise UnreadableError(_CUT_OFF)


def zip_members(source: Source) -> Iterator[Member]:
    """Yield the files in a zip, without folders. Read each file before the next.

    Raises:
        UnreadableError: the archive is cut off or damaged, contains too many files, or is an Office document.

    """
    import struct
    import tempfile
    import zipfile

    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as stored:
        for piece in source:
            stored.write(piece)
        size = stored.tell()
        try:
            archive = zipfile.ZipFile(stored)
        except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError, OverflowError) as error:
            raise UnreadableError(f"the zip archive is damaged or cut off: {error}") from error
        infos = archive.infolist()
        if len(infos) > MOST_MEMBERS:
            raise UnreadableError(f"an archive of more than {MOST_MEMBERS:,} files")
        if any(info.filename == "[Content_Types].xml" for info in infos):
            raise UnreadableError("an Office document (xlsx, docx); save the lines as text")
        if sum(info.compress_size for info in infos) > size:
            raise UnreadableError("the zip archive is damaged: its files overlap")
        if _bytes_behind(stored, size, len(archive.comment)):
            raise UnreadableError("the zip archive is damaged: more data after its end")
        for info in infos:
            if info.is_dir():
                continue
            name = shown(info.filename)
            if info.flag_bits & 1:
                yield Member(name, problem="encrypted; extract it with its password first")
            else:
                yield Member(name, _zip_pieces(archive, info))


def is_marker(name: str) -> bool:
    """Whether a file's name, or a folder of its path, begins with `.` or `_`: a marker, or an unfinished file."""
    return any(is_hidden(part) and part not in (".", "..") for part in name.split("/"))


def shown(name: str) -> str:
    """Return a file's name as messages show it."""
    name = name.encode("utf-8", "replace").decode()
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _counted(reader: Reader, left: list[int]) -> Iterator[bytes]:
    """Yield the rest of a file: the `left[0]` bytes that were not read yet."""
    while left[0]:
        piece = reader.read(min(left[0], _PIECE_BYTES))
        if len(piece) < min(left[0], _PIECE_BYTES):
            raise UnreadableError(_CUT_OFF)
        left[0] -= len(piece)
        yield piece


def _pax_records(data: bytes) -> dict[str, str]:
    """Parse the `<length> <key>=<value>` lines of a pax header."""
    records = {}
    at = 0
    while match := re.compile(rb"(\d{1,7}) ([^=]+)=").match(data, at):
        end = at + int(match[1])
        records[match[2].decode(errors="replace")] = data[match.end() : end - 1].decode(errors="surrogateescape")
        if end <= match.end():
            break
        at = end
    return records


def _bytes_behind(stored: IO[bytes], size: int, comment: int) -> int:
    """Return how many bytes follow the end record of a zip."""
    tail_bytes = min(size, _ZIP_END_BYTES + 0xFFFF)
    stored.seek(size - tail_bytes)
    tail = stored.read()
    return len(tail) - tail.rfind(b"PK\5\6") - _ZIP_END_BYTES - comment


def _zip_pieces(archive: "zipfile.ZipFile", info: "zipfile.ZipInfo") -> Iterator[bytes]:  # type: ignore[name-defined] # noqa: F821
    import lzma
    import struct
    import zipfile
    import zlib

    damage = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, OSError, ValueError)
    try:
        with archive.open(info) as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece
    except NotImplementedError as error:
        raise UnreadableError(f"compressed by an unsupported method: {error}") from error
    except damage as error:
        raise UnreadableError(f"the zip archive is damaged: {error}") from error
