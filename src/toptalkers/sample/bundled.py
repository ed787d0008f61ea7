"""The small sample in the package, for a first run.

In a checkout, `python -m toptalkers.sample.bundled` writes its files again; a test compares them.
"""

from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

from toptalkers.sample.writer import SampleReport, write_sample

BUNDLED_RECORDS = 5_000
BUNDLED_RECORDS_PER_FILE = 1_700


def bundled_sample() -> AbstractContextManager[Path]:
    """Return a context with the folder of the sample's three `.log.gz` files."""
    return as_file(files("toptalkers.sample") / "data")


def write_bundled_sample(out: Path) -> SampleReport:
    """Write the bundled sample into another folder."""
    return write_sample(out, records=BUNDLED_RECORDS, records_per_file=BUNDLED_RECORDS_PER_FILE)


if __name__ == "__main__":
    with bundled_sample() as sample:
        for old in sample.glob("*.log.gz"):
            old.unlink()
        report = write_bundled_sample(sample)
        report.truth.unlink()
        report.snapshot.unlink()
