"""Flow logs of which nine records in ten have a talker of their own: what no machine holds for long."""

from pathlib import Path

import polars as pl
from isal import igzip

_RECORDS_A_FILE = 500_000


def write_distinct(folder: Path, records: int) -> None:
    """Write that many default-format records (a multiple of half a million), gzipped, into a new folder."""
    folder.mkdir(parents=True)
    number = pl.col("number")
    # Multiplied by an odd number, numbers below 2**32 give each a number of its own, in no order.
    talker = pl.when(number % 10 == 0).then(number % 1000).otherwise(number * 2_654_435_761 % (1 << 32))
    octets = [(talker // (1 << shift)) % 256 for shift in (24, 16, 8, 0)]
    line = pl.format(
        "2 123456789012 eni-0a1b2c3d4e5f60718 10.{}.{}.{} 10.0.0.{} 40000 443 6 10 8400 1793491200 1793491260"
        " ACCEPT OK",
        *octets,
    )
    for start in range(0, records, _RECORDS_A_FILE):
        numbers = pl.int_range(start, start + _RECORDS_A_FILE, eager=True, dtype=pl.UInt64).alias("number")
        lines = numbers.to_frame().select(line).write_csv(include_header=False, quote_style="never")
        with igzip.open(folder / f"{start:012d}.log.gz", "wb", compresslevel=1) as file:  # type: ignore[no-untyped-call]
            file.write(lines.encode())
