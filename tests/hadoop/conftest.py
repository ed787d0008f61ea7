"""Fixtures of the tests that run real Hadoop; they need the `sandbox` extra and, once, the network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hadoop.pseudo_distributed import Hadoop, pseudo_distributed
from toptalkers.hadoop.runtime import StreamingResult, run_streaming


@pytest.fixture(scope="session")
def hadoop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """Start HDFS and YARN as separate daemons, as on a cluster."""
    directory = tmp_path_factory.mktemp("hadoop")
    with pseudo_distributed(directory) as running:
        yield running


@dataclass(frozen=True)
class Embedded:
    """Runs streaming jobs in the embedded Hadoop; input and scripts are first written to a directory."""

    directory: Path

    def write(self, files: Mapping[str, bytes | str]) -> None:
        """Write files, name to content, below the job's working directory."""
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def run(self, *arguments: str, map_slots: int = 1) -> StreamingResult:
        """Run one job."""
        return run_streaming(arguments, work_dir=self.directory, map_slots=map_slots)

    def output(self, name: str = "out") -> list[bytes]:
        """Return the content of each part file of an output directory."""
        return [path.read_bytes() for path in sorted((self.directory / name).glob("part-*"))]


@pytest.fixture
def embedded(tmp_path: Path) -> Embedded:
    """Give each test's jobs their own working directory."""
    return Embedded(tmp_path)
