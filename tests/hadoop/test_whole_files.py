"""Whole files on the embedded Hadoop: each counts as the local engine counts it, or is left out and can be named."""

import bz2
import gzip
import random
from collections import Counter
from collections.abc import Mapping
from itertools import count

import pytest

from tests.fake_account import BUCKET, FakeAccount
from tests.hadoop.conftest import Embedded
from tests.hadoop.test_conversations import write_dirty
from tests.hadoop.test_steps import default_record, lines
from toptalkers.answer.answer import Answer, Tally
from toptalkers.engines import QUIET, Watch, local
from toptalkers.hadoop.runtime import StreamingResult
from toptalkers.job.bundle import installed_kernels, read_bundle
from toptalkers.job.steps import MIB, SHARED_BYTES, plan_steps
from toptalkers.question.digest import digest_texts
from toptalkers.question.query import Query
from toptalkers.records.files import Problem, find_inputs
from toptalkers.runs.left_out import name_left_out
from toptalkers.sample.writer import write_sample

pytestmark = pytest.mark.hadoop

RECORDS = lines(*map(default_record, range(300)))


def run(embedded: Embedded, query: Query, *, largest_bytes: int | None = None) -> list[StreamingResult]:
    """Run the steps over the folder `in`, with the bundle; the last result is of the step that failed, if one does."""
    embedded.write({f"code/{name}": content for name, content in read_bundle().items()})
    files = [path for path in (embedded.directory / "in").rglob("*") if path.is_file()]
    other = [path.stat().st_size for path in files if path.suffix != ".gz"]
    results = []
    for step in plan_steps(
        query,
        inputs=["in/"],
        is_gzip=not other,
        largest_bytes=max(other, default=0) if largest_bytes is None else largest_bytes,
        bundle="code/",
        kernels=installed_kernels(),
        output="out/",
        between="between/",
        input_bytes=sum(path.stat().st_size for path in files),
        map_slots=2,
    ):
        results.append(embedded.run(*step.arguments, map_slots=2))
        if results[-1].exit_code:
            break
    return results


def answer_of(embedded: Embedded, results: list[StreamingResult]) -> tuple[bytes, Mapping[str, int]]:
    """The lines of the answer, and the counters of all steps but the last."""
    assert not results[-1].exit_code, results[-1].why_failed()
    counters = Counter[str]()
    for result in results[:-1]:
        counters.update(result.counters.get("toptalkers", {}))
    (part,) = embedded.output()
    assert counters["maps_by_kernel"] or not installed_kernels()
    return gzip.decompress(part), counters


def counted_here(embedded: Embedded, query: Query, watch: Watch = QUIET) -> tuple[bytes, Answer]:
    """The local engine's lines, and its answer."""
    answer = local.count_files(query, find_inputs([str(embedded.directory / "in")]).files, watch=watch)
    return b"".join(answer.chunks), answer


@pytest.mark.parametrize(
    "asked",
    [
        {"metric": "bytes"},
        {"by": "hour,srcaddr/24,service-port,side", "metric": "first,bytes,last", "ports": "all"},
        {"count": "once"},
        {"pairs": "yes", "metric": "packets", "address": "eni", "action": "ALL"},
        digest_texts(),
    ],
    ids=["recipe", "by", "once", "pairs", "digest"],
)
def test_every_kind_of_question(embedded: Embedded, asked: dict[str, str | None]) -> None:
    """Over dirty, plain and compressed files, two of them misfits: the lines and the tally of the local engine."""
    (embedded.directory / "in").mkdir()
    write_dirty(embedded.directory / "in")
    cut = gzip.compress(RECORDS)[:-9]
    embedded.write({"in/cut.gz": cut, "in/nameless": gzip.compress((embedded.directory / "in/short.log").read_bytes())})
    query = Query.parse(**asked)
    found, counters = answer_of(embedded, run(embedded, query))
    expected, here = counted_here(embedded, query)
    assert found == expected != b""
    assert Tally.from_counters(counters, files_read=0) == here.tally
    assert here.tally.files_unreadable >= 1


def test_a_dirty_sample(embedded: Embedded) -> None:
    """IPv6, NODATA and malformed records in many files: one answer, one tally."""
    write_sample(embedded.directory / "in", records=8_000, layout="rich", dirty=True, records_per_file=400)
    for path in ("truth.json", "snapshot.json"):
        (embedded.directory / "in" / path).unlink(missing_ok=True)
    query = Query.parse(metric="packets", ports="all", action="ALL")
    found, counters = answer_of(embedded, run(embedded, query))
    expected, here = counted_here(embedded, query)
    assert found == expected != b""
    assert Tally.from_counters(counters, files_read=0) == here.tally


def test_what_is_left_out_can_be_named(embedded: Embedded) -> None:
    """A file that ends early, has a wrong checksum, is not gzip, or is a misfit is left out whole, and named."""
    packed = gzip.compress(RECORDS * 20)
    stored = {
        "good.gz": gzip.compress(RECORDS * 19),
        "also-good.gz": gzip.compress(b""),
        "b/cut.gz": packed[:-5],
        "b/checksum.gz": packed[:-8] + bytes(4) + packed[-4:],
        "plain.gz": RECORDS,
        "misfit.gz": gzip.compress(RECORDS + lines("srcaddr dstaddr", *(["10.0.0.1 -"] * 20))),
    }
    embedded.write({f"in/{name}": content for name, content in stored.items()})
    query = Query.parse()
    found, counters = answer_of(embedded, run(embedded, query))
    problems: list[Problem] = []
    expected, here = counted_here(embedded, query, Watch(on_problem=problems.append))
    assert found == expected != b""
    assert Tally.from_counters(counters, files_read=0) == here.tally
    assert (counters["files_unreadable"], counters["misfit_files"]) == (3, 1)
    account = FakeAccount()
    account.fake_s3.objects |= {f"in/{name}": content for name, content in stored.items()}
    named = name_left_out(account.open().storage, [f"s3://{BUCKET}/in/"], counters, " ".join)
    assert sorted(line.split(" (")[0].removeprefix(f"s3://{BUCKET}/") for line in named) == sorted(
        one.name.removeprefix(f"{embedded.directory}/") for one in problems
    )


def ending_in(end: bytes, *, first: int = 0) -> bytes:
    """A bzip2 file of a record that ends in these bytes; records are tried from the number `first`."""
    packed = (bz2.compress(lines(default_record(number))) for number in count(first))
    return next(one for one in packed if one.endswith(end))


def test_where_the_delimiters_stand(embedded: Embedded) -> None:
    """Files that begin, end or are full of them, or have none, lose nothing; nor do empty ones."""
    stored_as_it_is = gzip.compress(b"KKKKKK\n" + RECORDS + b"KKK KK\n" * 5 + RECORDS, compresslevel=0)
    assert b"KKKKKK" in stored_as_it_is
    ends_in_kk = ending_in(b"KK", first=770_500)
    of_gzip = {
        "a.gz": stored_as_it_is,
        "b.gz": ends_in_kk,
        "c.gz": gzip.compress(b""),
        "d.gz": gzip.compress(lines(default_record(2))),
    }
    of_lines = {"e.log": b"\n\n" + RECORDS + b"\n\n", "f": b"\n", "g": b"", "h": RECORDS[:-1]}
    of_lines["i"] = ending_in(b"\n")
    query = Query.parse(metric="bytes")
    for stored in (of_gzip, of_gzip | of_lines):
        embedded.write({f"in/{name}": content for name, content in stored.items()})
        found, counters = answer_of(embedded, run(embedded, query))
        expected, here = counted_here(embedded, query)
        assert found == expected != b""
        assert Tally.from_counters(counters, files_read=0).counted == here.tally.counted
        assert not counters["files_unreadable"]
        for folder in ("out", "between"):
            (embedded.directory / folder).rename(embedded.directory / f"{folder}-{len(stored)}")


def test_a_large_plain_file_has_a_map_of_its_own(embedded: Embedded) -> None:
    """It is not cut where Hadoop would cut it, and the header applies to all of it; if it is cut, the step fails."""
    chance = random.Random(3)
    header = "srcaddr dstaddr dstport bytes action log-status"
    record = "10.0.{}.{} 10.1.0.1 443 {} ACCEPT OK".format
    many = lines(header, *(record(i % 7, i % 200, chance.randrange(10**6)) for i in range(900_000)))
    assert len(many) > SHARED_BYTES + MIB
    embedded.write({"in/large.log": many, "in/small.gz": gzip.compress(RECORDS), "in/small.log": RECORDS})
    query = Query.parse(metric="bytes")
    found, counters = answer_of(embedded, run(embedded, query))
    assert found == counted_here(embedded, query)[0]
    assert counters["files_read"] == 3
    (embedded.directory / "out").rename(embedded.directory / "whole")
    (embedded.directory / "between").rename(embedded.directory / "whole-between")
    failed = run(embedded, query, largest_bytes=1)[-1]
    assert failed.exit_code
    assert "a file was cut into splits" in (failed.why_failed() or "")
