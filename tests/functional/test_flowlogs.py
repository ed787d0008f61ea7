"""The hand-made flow logs of tests/flowlogs, whose README explains each, through every engine."""

from pathlib import Path

import pytest

from tests import pipeline
from toptalkers.engines import local, mrjob
from toptalkers.question.query import Query
from toptalkers.records.files import find_inputs

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
LOGS = sorted(FLOWLOGS.glob("*.log"))


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_answer_is_the_one_beside_the_file(log: Path) -> None:
    """The pipe and the local engine give the answer in the file beside it."""
    expected = log.with_suffix(".tsv").read_bytes()
    assert pipeline.run(Query(), [log.read_bytes()])[0] == expected
    assert b"".join(local.count_files(Query(), find_inputs([str(log)]).files).chunks) == expected


def test_mrjob_counts_them_all_together() -> None:
    """One mrjob run over all files gives the same as the local engine."""
    files = find_inputs([str(log) for log in LOGS]).files
    together = b"".join(mrjob.count_files(Query(), files).chunks)
    assert together == b"".join(local.count_files(Query(), files).chunks)
    assert b"198.51.100.17:10.0.0.10:443\t24\n" in together


def test_every_reason_has_its_number() -> None:
    """The tally of default.log has the reason of each record that does not count."""
    _, counters = pipeline.run(Query(), [(FLOWLOGS / "default.log").read_bytes()])
    assert counters == {"records_read": 10, "counted": 5, "nodata": 1, "skipdata": 1, "action": 1, "ports": 2}
