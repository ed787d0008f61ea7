"""The embedded Hadoop, mrjob and the local engine give the same bytes."""

import gzip
from pathlib import Path

import pytest

from toptalkers.engines import hadoop, local, mrjob
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs
from toptalkers.sample.writer import SampleLayout, write_sample

pytestmark = pytest.mark.hadoop

QUESTIONS = {
    "default": Query.parse(),
    "bytes": Query.parse(metric="bytes", ports="all", action="ALL"),
    "packets-top": Query.parse(metric="packets", ports="22,443,8000-8999"),
    "window": Query.parse(since="2026-11-01T00:05:00Z", until="2026-11-01T18:00:00Z", action="REJECT", ports="all"),
}


@pytest.mark.parametrize(
    ("layout", "dirty", "question"),
    [
        ("default", False, "default"),
        ("default", True, "bytes"),
        ("rich", True, "packets-top"),
        ("aws-s3", False, "window"),
        ("aws-s3", True, "default"),
    ],
)
def test_clean_and_dirty_samples(tmp_path: Path, layout: SampleLayout, dirty: bool, question: str) -> None:
    """Clean and dirty samples of each layout, IPv6 among them: one answer and one tally from all three engines."""
    query, top = QUESTIONS[question], 25 if question == "packets-top" else 0
    write_sample(tmp_path / "s", records=6_000, layout=layout, dirty=dirty, records_per_file=500)
    files = find_inputs([str(tmp_path / "s")]).files
    answers = [engine.count_files(query, files, top=top) for engine in (hadoop, mrjob, local)]
    first, *others = [b"".join(answer.chunks) for answer in answers]
    assert first
    assert [first] * 2 == others
    assert answers[0].tally == answers[1].tally == answers[2].tally


def test_many_small_files_and_one_big(tmp_path: Path) -> None:
    """However the records are spread over files, Hadoop's answer is the same."""
    write_sample(tmp_path / "s", records=10_000, records_per_file=250)
    small = find_inputs([str(tmp_path / "s")]).files
    big = tmp_path / "big.log.gz"
    big.write_bytes(gzip.compress(b"".join(gzip.decompress(Path(file.name).read_bytes()) for file in small)))
    together = hadoop.count_files(Query(), find_inputs([str(big)]).files)
    assert b"".join(together.chunks) == b"".join(hadoop.count_files(Query(), small).chunks)
