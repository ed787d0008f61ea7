"""Only unpacks the files, on two threads, and throws the bytes away: what no reader can be below. Usage: FOLDER."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isal import igzip

buffers = [bytearray(1 << 20) for _ in range(2)]


def unpack(path):
    buffer = buffers.pop()
    with igzip.open(path) as file:
        while file.readinto(buffer):
            pass
    buffers.append(buffer)


with ThreadPoolExecutor(2) as pool:
    list(pool.map(unpack, Path(sys.argv[1]).glob("*.gz")))
