"""The counting kernel by itself: any cuts, merging, order, and sanitizers."""

import ipaddress
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import pipeline, reference, sanitized
from tests.sanitized import LESS
from tests.strategies import TOPS, cases
from toptalkers.answer.answer import TooLargeError
from toptalkers.flowlog.fields import FIELDS
from toptalkers.kernel import door as native
from toptalkers.question.query import Query

ROOT = Path(__file__).parents[2]

KERNEL = native.LIBRARY.parent


def count(query: Query, contents: list[bytes], cut: int = 1 << 20) -> native.Counter:
    """Count files, fed in pieces of so many bytes."""
    counter = native.Counter(query)
    for content in contents:
        for start in range(0, len(content), cut):
            counter.feed(content[start : start + cut])
        counter.end_lines()
        counter.end_file(counts=True)
    return counter


def lines(counter: native.Counter, top: int = 0) -> bytes:
    return b"".join(counter.ranked(top))


@settings(max_examples=120 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.integers(1, 130), TOPS)
def test_pieces_may_be_cut_anywhere(case: tuple[Query, list[bytes]], cut: int, top: int) -> None:
    """Cut within a line, a number or a line end: sums and tally are the reference's."""
    query, contents = case
    expected = reference.count(query, contents, set(FIELDS))
    counter = native.Counter(query)
    seen = dict.fromkeys(("records_read", "counted"), 0)
    for content in contents:
        for start in range(0, len(content), cut):
            counter.feed(content[start : start + cut])
        tally = counter.end_lines()
        counter.end_file(counts=True)
        for name, number in {**tally.skipped, "records_read": tally.records_read, "counted": tally.counted}.items():
            seen[name] = seen.get(name, 0) + number
    assert lines(counter, top) == expected.lines(top)
    expected.seen.pop("misfit_files", None)
    assert seen == {"records_read": 0, "counted": 0, **expected.seen}


@settings(max_examples=60 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_absorbed_or_packed_sums_are_the_sums(case: tuple[Query, list[bytes]]) -> None:
    """Counters of a few files each, absorbed or serialised, add up to the sums of one counter of all files."""
    query, contents = case
    expected = lines(count(query, contents))
    absorbing, unpacking = native.Counter(query), native.Counter(query)
    for content in contents:
        part = count(query, [content])
        unpacking.add_packed(part.pack())
        absorbing.absorb(part)
        assert (part.rows, lines(part)) == (0, b"")
    assert lines(absorbing) == lines(unpacking) == expected


@given(cases())
@settings(max_examples=60 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_file_that_does_not_count_leaves_nothing(case: tuple[Query, list[bytes]]) -> None:
    """A damaged file between others changes neither sums nor talkers."""
    query, contents = case
    counter = native.Counter(query)
    for number, content in enumerate(contents):
        counter.feed(content)
        counter.end_lines()
        counter.end_file(counts=number % 2 == 0)
    expected = count(query, contents[::2])
    assert (lines(counter), counter.talkers) == (lines(expected), expected.talkers)


@settings(max_examples=60 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), TOPS, st.booleans())
def test_spilled_sums_are_the_sums(case: tuple[Query, list[bytes]], top: int, last_counts: bool) -> None:
    """Sums of any key, moved to the disk in the middle of files and merged, are ranked like those that stay."""
    query, contents = case
    counts = [last_counts or content is not contents[-1] for content in contents]
    expected = count(query, [content for content, one in zip(contents, counts, strict=True) if one])
    counter, fetched = native.Counter(query), native.Counter(query)
    with tempfile.TemporaryFile(buffering=0) as file:
        spilled = native.SpilledSums(file.fileno())
        for content, one in zip(contents, counts, strict=True):
            for start in range(0, len(content), 200):
                counter.feed(content[start : start + 200])
                spilled.take(counter)
            counter.end_lines()
            counter.end_file(counts=one)
        spilled.take(counter)
        end, rankings = spilled.bytes_, []
        for part in range(native.PARTS):
            if spilled.rows_of_part(part):
                spilled.fetch(part, fetched)
                printed = lines(fetched)
                fetched.clear()
                os.pwrite(file.fileno(), printed, end)
                rankings.append((end, end + len(printed)))
                end += len(printed)
        columns = 1 if query.is_recipe else len(query.lines.columns)
        assert b"".join(native.merge_rankings(file.fileno(), rankings, top, columns)) == lines(expected, top)


IPV4 = st.sampled_from([b"1.1.1.1", b"1.1.1.10", b"1.1.1.100", b"1.1.10.1", b"1.10.1.1", b"10.1.1.1", b"100.0.0.0"])
IPV6 = st.sampled_from([b"::", b"::1", b"::a", b"::A", b"::a1", b"1::", b"1::1", b"a::", b"::ffff:10.0.0.1"]) | (
    st.ip_addresses(v=6).map(lambda address: str(ipaddress.IPv6Address(address)).encode())
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(IPV4 | IPV6, IPV4 | IPV6, st.integers(0, 65535), st.integers(0, 3)), max_size=40))
def test_order_is_that_of_the_printed_bytes(talkers: list[tuple[bytes, bytes, int, int]]) -> None:
    """Addresses of both families, some of which are prefixes of others, likewise ports, and many ties."""
    query = Query.parse(metric="bytes", ports="all", action="ALL", log_format="srcaddr dstaddr dstport bytes")
    sums: dict[bytes, int] = {}
    for src, dst, port, value in talkers:
        printed = b":".join([*(b"[%b]" % one if b":" in one else one for one in (src, dst)), b"%d" % port])
        sums[printed] = sums.get(printed, 0) + value
    content = b"".join(b"%b %b %d %d\n" % talker for talker in talkers)
    order = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
    counter = count(query, [content])
    assert lines(counter).splitlines() == [b"%b\t%d" % one for one in order]
    assert lines(counter, 5).splitlines() == [b"%b\t%d" % one for one in order[:5]]


COLUMNS = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes")
VALUES = [IPV4 | IPV6, IPV4 | IPV6, *[st.integers(0, 65535) | st.integers(0, 20)] * 2, st.integers(0, 255)]
RECORDS = st.lists(st.tuples(*VALUES, st.integers(0, 3), st.integers(0, 10**15 - 1)), max_size=40)
KEYS = st.lists(st.sampled_from(COLUMNS[:5]), min_size=1, max_size=4, unique=True)
SUMS = st.lists(st.sampled_from(["records", "packets", "bytes"]), min_size=1, max_size=3, unique=True)


@settings(max_examples=120 // LESS, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS, KEYS, SUMS, st.integers(0, 5), st.integers(1, 40))
def test_any_key_and_several_sums(
    records: list[tuple[bytes | int, ...]], key: list[str], metrics: list[str], top: int, cut: int
) -> None:
    """Counted at once, or in parts that are absorbed, serialised, or spilled and merged: the sums of a plain count."""
    log_format = " ".join(COLUMNS)
    query = Query.parse(by=",".join(key), metric=",".join(metrics), ports="all", action="ALL", log_format=log_format)
    texts = [[one if isinstance(one, bytes) else b"%d" % one for one in record] for record in records]
    sums: dict[bytes, list[int]] = {}
    for record in texts:
        of = dict(zip(COLUMNS, record, strict=True))
        printed = b"\t".join(of[name] for name in key)
        if query.is_recipe:
            printed = b":".join(b"[%b]" % of[name] if b":" in of[name] else of[name] for name in key)
        values = [int(of.get(name, b"1")) for name in metrics]
        sums[printed] = [one + value for one, value in zip(sums.get(printed, [0] * 4), values, strict=False)]
    order = sorted(sums.items(), key=lambda one: (-one[1][0], one[0]))
    expected = [b"\t".join([one, *(b"%d" % value for value in values)]) for one, values in order[: top or None]]

    def counted(some: list[list[bytes]]) -> native.Counter:
        counter = native.Counter(query)
        for half in (some[::2], some[1::2]):
            counter.feed(b"".join(b" ".join(record) + b"\n" for record in half))
            assert counter.end_lines().counted == len(half)
            counter.end_file(counts=True)
        return counter

    absorbing, unpacking, fetched = (native.Counter(query) for _ in range(3))
    with tempfile.TemporaryFile(buffering=0) as file:
        spilled = native.SpilledSums(file.fileno())
        for start in range(0, len(texts), cut):
            some = texts[start : start + cut]
            unpacking.add_packed(counted(some).pack())
            absorbing.absorb(counted(some))
            spilled.take(counted(some))
        end = spilled.bytes_
        rankings = []
        for part in range(native.PARTS):
            spilled.fetch(part, fetched)
            printed = lines(fetched) if fetched.talkers else b""  # most parts are empty
            fetched.clear()
            os.pwrite(file.fileno(), printed, end)
            rankings.append((end, end + len(printed)))
            end += len(printed)
        merged = b"".join(native.merge_rankings(file.fileno(), rankings, top, 1 if query.is_recipe else len(key)))
    answers = [lines(counted(texts), top), lines(absorbing, top), lines(unpacking, top), merged]
    assert [answer.splitlines() for answer in answers] == [expected] * 4


def test_only_what_the_key_needs_is_looked_at() -> None:
    """Without addresses in the key a bad one does not matter; a bad number in the key, or in any sum, is malformed."""
    asked = {"by": "protocol", "metric": "packets,bytes", "action": "ALL", "log_format": " ".join(COLUMNS)}
    content = b"x y z 443 6 1 2\nx y z x 256 1 2\nx y z x 17 1 x\n- - z - - - -\n"
    counter = native.Counter(Query.parse(ports="all", **asked))
    counter.feed(content)
    assert counter.end_lines().skipped == {"malformed_number": 2, "nodata": 1}
    counter.end_file(counts=True)
    assert lines(counter) == b"6\t1\t2\n"
    only_web = native.Counter(Query.parse(ports="443", **asked))
    only_web.feed(content)
    assert only_web.end_lines().skipped == {"malformed_port": 2, "nodata": 1}


def test_each_sum_may_become_too_large() -> None:
    """So is a bad value of a sum that does not order the answer."""
    for metric in ("packets,bytes", "bytes,packets"):
        query = Query.parse(metric=metric, action="ALL", log_format="srcaddr dstaddr dstport packets bytes")
        counter = native.Counter(query)
        counter.feed(b"10.0.0.1 10.0.0.2 443 1 999999999999999\n" * 9224)
        counter.end_lines()
        counter.end_file(counts=True)
        with pytest.raises(TooLargeError):
            _ = counter.total


def test_the_sums_of_many_files_add_up() -> None:
    """Even after all numbers of files are used, which happens in the build for the sanitizers."""
    counter = count(Query(), [b"2 1 eni-1 10.0.0.1 10.0.0.2 1 443 6 1 1 1793491200 1793491200 ACCEPT OK\n"] * 40)
    assert lines(counter) == b"10.0.0.1:10.0.0.2:443\t40\n"


def test_a_line_has_its_layouts_columns() -> None:
    """A line without only the last column, needed or not, is malformed, and so is one with an additional column."""
    for log_format in ("srcaddr dstaddr dstport log-status", "srcaddr dstaddr dstport version"):
        query = Query.parse(action="ALL", log_format=log_format)
        whole = b"10.0.0.1 10.0.0.2 443 OK"
        content = b"\n".join([whole, whole[:-3], whole, whole + b" more", whole[:-3]])
        ranked, counters = pipeline.run(query, [content])
        counter = native.Counter(query)
        counter.feed(content)
        tally = counter.end_lines()
        counter.end_file(counts=True)
        assert lines(counter) == ranked == b"10.0.0.1:10.0.0.2:443\t2\n"
        assert tally.skipped == {"malformed_columns": 3} == {"malformed_columns": counters["malformed_columns"]}


def test_a_bracket_ends_an_address() -> None:
    """Of two addresses with a common prefix, the longer is first if a digit follows, last if a letter does."""
    query = Query.parse(action="ALL", log_format="srcaddr dstaddr dstport")
    ordered = [b"::11", b"::1", b"::1a"]
    for start in range(3):
        content = b"".join(b"%b 10.0.0.1 443\n" % one for one in ordered[start:] + ordered[:start])
        assert lines(count(query, [content])) == b"".join(b"[%b]:10.0.0.1:443\t1\n" % one for one in ordered)


def test_time_begins_with_since_and_ends_before_until() -> None:
    """A record that starts at --since counts, one that starts at --until does not, in seconds and in milliseconds."""
    query = Query.parse(
        action="ALL",
        log_format="srcaddr dstaddr dstport start",
        since="2026-11-01T00:00:00Z",
        until="2026-11-01T01:00:00Z",
    )
    starts = [1793491199, 1793491200, 1793494799, 1793494800]
    content = b"".join(b"10.0.0.1 10.0.0.2 443 %d\n" % (start * unit) for start in starts for unit in (1, 1000))
    ranked, counters = pipeline.run(query, [content])
    assert lines(count(query, [content])) == ranked == b"10.0.0.1:10.0.0.2:443\t4\n"
    assert counters == {"records_read": 8, "counted": 4, "time": 4}


def test_a_layout_of_many_columns_and_a_line_of_many_megabytes() -> None:
    """Neither a header of a thousand columns nor a line without an end affects the lines around it."""
    many = [b"srcaddr", b"dstaddr", *[b"x%d" % number for number in range(1000)], b"dstport"]
    record = b" ".join([b"10.0.0.1", b"10.0.0.2", *[b"-"] * 1000, b"443"])
    content = b" ".join(many) + b"\n" + record + b"\n" + b" " * (3 << 20) + b"x\n" + record + b"  \n" + record[:-4]
    for cut in (7919, 1 << 22):
        counter = count(Query.parse(action="ALL"), [content], cut)
        assert lines(counter) == b"10.0.0.1:10.0.0.2:443\t2\n"


def test_too_large_a_total_is_not_forgotten() -> None:
    """Neither a file that does not count nor sums kept for another run make wrong sums look right."""
    query = Query.parse(metric="bytes", action="ALL", log_format="srcaddr dstaddr dstport bytes")
    line = b"10.0.0.1 10.0.0.2 443 999999999999999\n"
    for way in ("read", "absorbed"):
        counter = count(query, [line * 9224])
        if way == "absorbed":
            counter, other = count(query, []), counter
            counter.absorb(other)
        counter.feed(line)
        counter.end_lines()
        counter.end_file(counts=False)
        with pytest.raises(TooLargeError):
            _ = counter.total
        with pytest.raises(TooLargeError):
            counter.pack()
    counter = count(query, [line * 9223])
    counter.feed(line)
    counter.end_lines()
    counter.end_file(counts=False)
    assert counter.total == 9223 * 999999999999999


def test_the_binding_knows_the_kernels_numbers() -> None:
    """The number of parts is also in the header."""
    header = (KERNEL / "kernel.h").read_text()
    assert re.findall(r"PARTS = (\d+)", header) == [str(native.PARTS)]


@pytest.mark.slow
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    """The kernel, built with all available sanitizers and warnings as errors, passes the property tests."""
    environment = sanitized.build_watched(tmp_path)
    code = (
        "import sys, pytest, toptalkers\n"
        "assert toptalkers.__file__.startswith(sys.argv[1]), toptalkers.__file__\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-k', 'not sanitizers', *sys.argv[2:]]))"
    )
    tests = [
        "tests/functional/test_kernel.py",
        "tests/functional/test_bigger_than_memory.py",
        "tests/unit/test_kernel_keys.py",
        "tests/unit/test_kernel_where.py",
        "tests/unit/test_columns.py",
        "tests/unit/test_kernel_columns.py",
        "tests/unit/test_kernel_export.py",
        "tests/unit/test_kernel_conversations.py",
        "tests/unit/test_node_kernel.py",
        "tests/unit/test_blocks.py",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)


def test_other_processors_count_the_same(tmp_path: Path) -> None:
    """The code for processors without SSE2 gives the same answer."""
    sanitized.build(tmp_path, [(sanitized.CC, ["-U__SSE2__"]), (sanitized.ZIG, ["-U__SSE2__"])])
    command = [sys.executable, "-m", "toptalkers", "run-local", "--ports", "all", str(ROOT / "tests/flowlogs")]
    done, expected = (
        subprocess.run(command, env={**os.environ, **extra}, cwd=tmp_path, capture_output=True, check=False)
        for extra in ({"PYTHONPATH": str(tmp_path)}, {})
    )
    assert done.stdout == expected.stdout != b""
