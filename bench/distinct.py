"""Flow logs with any number of talkers, up to one per record: in the end they exceed the memory of any machine."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from isal import igzip

_RECORDS_PER_FILE = 250_000


def write_distinct(folder: Path, records: int, talkers: int) -> None:
    """Write that many default-format records, gzipped, into a folder; the talkers take turns."""
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_file, folder, records, talkers), range(0, records, _RECORDS_PER_FILE)))


def _write_file(folder: Path, records: int, talkers: int, start: int) -> None:
    lines = []
    for number in range(start, min(records, start + _RECORDS_PER_FILE)):
        # Multiplication by an odd number, modulo 2**32, gives distinct numbers in no visible order.
        talker = number % talkers * 2_654_435_761 & 0xFFFFFFFF
        lines.append(
            "2 123456789012 eni-0a1b2c3d4e5f60718"
            f" 10.{talker >> 24}.{talker >> 16 & 255}.{talker >> 8 & 255} 10.0.0.{talker & 255}"
            " 40000 443 6 10 8400 1793491200 1793491260 ACCEPT OK\n"
        )
    with igzip.open(folder / f"{start:012d}.log.gz", "wb", compresslevel=1) as file:  # type: ignore[no-untyped-call]
        file.write("".join(lines).encode())
