"""The embedded Hadoop, mrjob and the local engine give the same bytes."""

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings

from tests import reference
from tests.strategies import TOPS, cases
from toptalkers.engines import hadoop, local, mrjob
from toptalkers.flowlog.fields import FIELDS
from toptalkers.job import steps
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


def test_parts_of_an_answer_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several reducers of the sort write an answer in parts, which come to the same bytes as one part."""
    write_sample(tmp_path / "s", records=6_000, dirty=True, records_per_file=500)
    files = find_inputs([str(tmp_path / "s")]).files
    expected = b"".join(local.count_files(Query(), files).chunks)
    monkeypatch.setattr(steps, "SORTER_BYTES", sum(Path(file.name).stat().st_size for file in files) // 3)
    assert b"".join(hadoop.count_files(Query(), files).chunks) == expected


KEYS = {
    "texts": Query.parse(by="instance-tag,vpc-id", metric="bytes", ports="all"),
    "services": Query.parse(
        by="hour,srcaddr/24/48,pair,service-port,side,client-port", metric="first,bytes,last,records", ports="all"
    ),
    "times": Query.parse(by="protocol,srcaddr", metric="last", ports="all", where="src net 10.0.0.0/8 or bytes < 1k"),
    "one column": Query.parse(
        by="dstaddr", metric="packets,bytes", ports="all", where="not instance-tag in ['*', '-']"
    ),
}
TAGS = [
    "LongValueSum:a:b",
    "gr\u00fcn",
    "\u4e2d\u6587",
    "\U0001f600x",
    "-",
    "${user.name}",
    "*",
    "'q\"",
    "\xa0",
    "x" * 1024,
]


def odd_records(number: int) -> str:
    """Write records with texts that could mean something to Hadoop, addresses of every kind, and missing values."""
    lines = [HEADER]
    for i in range(number):
        src = ("10.0.0.1", "10.0.1.2", "2001:db8::1", "::ffff:10.0.0.1", "-", "10.0.0.300")[i % 6]
        ports = f"{(443, 50000, '-', 22)[i % 4]} {(51000, 443, 22, 80)[i // 3 % 4]}"
        times = f"{1793491200 + i * 100} {1793491260 + i * 100}"
        tag = TAGS[i % len(TAGS)]
        flags = (2, 18, "-", 0)[i % 4]
        lines.append(
            f"vpc-{i % 3} {src} 10.9.0.{i % 4} {ports} {6 + i % 2 * 11} {i} {i * 7} {times} ACCEPT OK {flags} {tag}"
        )
    return "".join(f"{line}\n" for line in lines)


HEADER = (
    "vpc-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags instance-tag"
)


@pytest.mark.parametrize(("question", "top"), [("texts", 0), ("services", 0), ("times", 3), ("one column", 2)])
def test_any_key_and_several_sums(tmp_path: Path, question: str, top: int) -> None:
    """Texts of any signs, networks, services and times: the reference's answer, from Hadoop's reducer and from ours."""
    contents = [odd_records(1200).encode(), odd_records(700).encode()]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.log.gz").write_bytes(gzip.compress(content))
    files = find_inputs([str(tmp_path)]).files
    expected = reference.count(KEYS[question], contents, set(FIELDS))
    assert len(expected.sums) > top
    for engine in (hadoop, mrjob, local):
        answer = engine.count_files(KEYS[question], files, top=top)
        assert b"".join(answer.chunks) == expected.lines(top)
        assert answer.tally.counted == expected.seen["counted"]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), TOPS)
def test_drawn_questions(case: tuple[Query, list[bytes]], top: int) -> None:
    """Any question and any files, clean or dirty: Hadoop gives the reference's answer and tally of the good files."""
    query, contents = case
    expected = reference.count(query, contents, set(FIELDS)).whole
    assert expected is not None
    with TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            (Path(folder) / f"{number}.log").write_bytes(content)
        answer = hadoop.count_files(query, find_inputs([folder]).files if contents else [], top=top)
        assert b"".join(answer.chunks) == expected.lines(top)
        assert {"counted": answer.tally.counted, **answer.tally.skipped} == expected.verdicts
