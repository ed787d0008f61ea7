#!/usr/bin/env python3
"""A mapper of whole files that stops early, to split the cost of step 1. Its first word says how far it goes.

`drop` reads Hadoop's frames (docs/decisions/0026) and throws them away; `unpack` also unpacks them, and throws the text
away; `count` runs count_files.py, with the words that follow, and throws its sums away.
"""

import os
import runpy
import struct
import sys
import zlib

DELIMITER = b"Kq"
PIECE_BYTES = 128 << 10
HEAD = struct.Struct(">iqi")


def records():
    """Read each record of standard input: the offset in its file, and the bytes."""
    read = sys.stdin.buffer.read
    while head := read(HEAD.size):
        _, offset, size = HEAD.unpack(head)
        data = read(size)
        # A Text begins with its length, in one byte or in as many as the first byte tells (WritableUtils.readVInt).
        first = data[0]
        width = 1 if first < 128 or first >= 144 else 145 - first
        yield offset, memoryview(data)[width:]


def unpack():
    """Unpack all files."""
    stream = None
    for offset, record in records():
        if offset:
            stream = _unpack_piece(stream, DELIMITER)
        else:
            stream = None
        stream = _unpack_piece(stream, record)


def _unpack_piece(stream, piece):
    while piece:
        stream = stream or zlib.decompressobj(wbits=31)
        stream.decompress(piece, PIECE_BYTES)
        while stream.unconsumed_tail:
            stream.decompress(stream.unconsumed_tail, PIECE_BYTES)
        piece = stream.unused_data
        if stream.eof:
            stream = None
    return stream


def main():
    """Go as far as the first word says."""
    how, *words = sys.argv[1:]
    if how == "drop":
        for _ in records():
            pass
    elif how == "unpack":
        unpack()
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["count_files.py", *words]
        runpy.run_path("count_files.py", run_name="__main__")


if __name__ == "__main__":
    main()
