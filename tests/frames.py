"""What Hadoop hands to a mapper of whole files: a model of LineReader, LineRecordReader and RawBytesInputWriter.

Read from Hadoop 3.4.2, oddities included: a delimiter at the end of a file is lost, and so is the first byte of
another that begins behind it; an offset is one too small behind a delimiter that stands across the end of the reader's
buffer; a byte order mark is left out.
"""

import struct
from collections.abc import Iterable, Iterator

BUFFER_BYTES = 128 << 10
"""`io.file.buffer.size` of the steps."""

MARK = b"\xef\xbb\xbf"


def frames_of(files: Iterable[bytes], delimiter: bytes, buffer_bytes: int = BUFFER_BYTES) -> bytes:
    """Return the frames of files that share a map, one after the other."""
    return b"".join(
        frame(offset, piece) for content in files for offset, piece in records_of(content, delimiter, buffer_bytes)
    )


def frame(offset: int, piece: bytes) -> bytes:
    """Write one frame, as `stream.map.input=rawbytes` does a LongWritable and a Text."""
    text = _length(len(piece)) + piece
    return struct.pack(">iqi", 8, offset, len(text)) + text


def records_of(content: bytes, delimiter: bytes, buffer_bytes: int = BUFFER_BYTES) -> Iterator[tuple[int, bytes]]:
    """Cut a file's content at its delimiters; yield each piece with its offset, as LineRecordReader does."""
    reader = _LineReader(content, delimiter, buffer_bytes)
    position = 0
    while True:
        piece, size = reader.read_line()
        offset, position = position, position + size
        if offset == 0 and piece.startswith(MARK):
            piece, size = piece[len(MARK) :], size - len(MARK)
        if size == 0:
            return
        yield offset, piece


class _LineReader:
    """`LineReader.readCustomLine`, step by step."""

    def __init__(self, content: bytes, delimiter: bytes, buffer_bytes: int) -> None:
        self._buffers = iter([content[at : at + buffer_bytes] for at in range(0, len(content), buffer_bytes)])
        self._delimiter = delimiter
        self._buffer = b""
        self._at = 0

    def read_line(self) -> tuple[bytes, int]:
        """The next piece without its delimiter, and how many bytes Hadoop believes to have read."""
        piece, consumed, matched, ambiguous = b"", 0, 0, 0
        while matched < len(self._delimiter):
            if self._at >= len(self._buffer):
                self._buffer, self._at = next(self._buffers, b""), 0
                if not self._buffer:
                    return piece + self._delimiter[:ambiguous], consumed
            start = self._at
            while self._at < len(self._buffer):
                if self._buffer[self._at] == self._delimiter[matched]:
                    matched += 1
                    if matched == len(self._delimiter):
                        self._at += 1
                        break
                elif matched:
                    self._at -= 1
                    matched = 0
                self._at += 1
            consumed += self._at - start
            length = self._at - start - matched
            if length > 0:
                piece += self._delimiter[:ambiguous]
                consumed += ambiguous
                ambiguous = 0
                piece += self._buffer[start : start + length]
            if self._at >= len(self._buffer) and 0 < matched < len(self._delimiter):
                ambiguous = matched
                consumed -= ambiguous
        return piece, consumed


def _length(number: int) -> bytes:
    """`WritableUtils.writeVInt` of a number that is not negative."""
    if number < 128:
        return bytes([number])
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([256 - 112 - len(digits)]) + digits
