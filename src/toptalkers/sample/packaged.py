"""The small sample that travels in the package, so that the first run needs nothing but the package.

Its files are made by this module and checked in. After a change to the sample, make them again from the
repository's root, into the emptied folder:

    python -m toptalkers.sample.packaged src/toptalkers/sample/data
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from toptalkers.sample.writer import SampleReport, write_sample

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def packaged_sample() -> Iterator[Path]:
    """The folder with the packaged sample: 5,000 records of the default layout in three `.gz` files."""
    with as_file(files("toptalkers.sample") / "data") as folder:
        yield folder


def write_packaged_sample(out: Path) -> SampleReport:
    """Writes the files of the packaged sample into the folder `out`. Raises FileExistsError as `write_sample`."""
    return write_sample(out, records=5_000, seed=1, records_a_file=2_000)


if __name__ == "__main__":
    write_packaged_sample(Path(sys.argv[1]))
