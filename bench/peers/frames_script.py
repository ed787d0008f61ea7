#!/usr/bin/env python3
"""A mapper of whole files that stops early, to split the cost of step 1. Its first word says how far it goes.

`drop` reads Hadoop's frames and throws them away; `unpack` throws the unpacked text away; `count` counts, and throws
its sums away. The words after the first are those of count_files.py.
"""

import os
import sys
from pathlib import Path

from toptalkers.job import count_files


def main():
    """Go as far as the first word says."""
    how, *words = sys.argv[1:]
    count_files.widen_pipe(0)
    if how == "count":
        with Path(os.devnull).open("wb") as sink:
            count_files.main(words, read, sink, sys.stderr, os.environ)
        return
    form, _ = count_files.parse_arguments(words)
    delimiter = form.delimiter
    pieces = count_files.stored_pieces(read, delimiter)
    if how == "drop":
        for _ in pieces:
            pass
        return
    more = next(pieces, b"") is None
    while more:
        file = count_files.StoredFile(pieces)
        for _ in count_files.unpacked(file, delimiter):
            pass
        more = file.is_followed


def read(size):
    """Read at most so many bytes of standard input."""
    return os.read(0, size)


if __name__ == "__main__":
    main()
