"""The small sample inside the package, so that a first run needs no other data.

In a checkout, `python -m toptalkers.sample.bundled` writes its files again; a test compares them.
"""

from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

from toptalkers.sample.writer import SampleReport, write_sample

BUNDLED_RECORDS = 5_000
BUNDLED_RECORDS_PER_FILE = 1_700


def bundled_sample() -> AbstractContextManager[Path]:
    """Give the folder of the sample's three `.log.gz` files, for as long as the context lasts."""
    return as_file(files("toptalkers.sample") / "data")


def write_bundled_sample(out: Path) -> SampleReport:
    """Write the bundled sample into another folder."""
    return write_sample(out, records=BUNDLED_RECORDS, records_per_file=BUNDLED_RECORDS_PER_FILE)


def _renew() -> None:
    with bundled_sample() as folder:
        for path in folder.glob("*.log.gz"):
            path.unlink()
        write_bundled_sample(folder)


if __name__ == "__main__":
    _renew()
