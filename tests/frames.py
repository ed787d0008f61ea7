"""What Hadoop hands to a mapper of whole files: a model of LineReader, LineRecordReader and RawBytesInputWriter.

As Hadoop 3.3.6 and 3.4.2 do it, tried with their own classes on drawn files: a delimiter at the end of a file is lost,
and so is a byte order mark, but not from the offsets.
"""

import struct
from collections.abc import Iterable, Iterator

MARK = b"\xef\xbb\xbf"


def frames_of(files: Iterable[bytes], delimiter: bytes) -> bytes:
    """Return the frames of files that share a map, one after the other."""
    return b"".join(frame(offset, piece) for content in files for offset, piece in records_of(content, delimiter))


def frame(offset: int, piece: bytes) -> bytes:
    """Write one frame, as `stream.map.input=rawbytes` does a LongWritable and a Text."""
    text = _length(len(piece)) + piece
    return struct.pack(">iqi", 8, offset, len(text)) + text


def records_of(content: bytes, delimiter: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut a file's content at its delimiters; yield each piece with its offset."""
    pieces = content.split(delimiter)
    if not pieces[-1]:
        pieces.pop()
    offset = 0
    for piece in pieces:
        if offset or content != MARK:
            yield offset, piece if offset else piece.removeprefix(MARK)
        offset += len(piece) + len(delimiter)


def _length(number: int) -> bytes:
    """`WritableUtils.writeVInt` of a number that is not negative."""
    if number < 128:
        return bytes([number])
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - 112 - len(digits)]) + digits
