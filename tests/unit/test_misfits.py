"""A file whose lines do not fit their layout is skipped, and its message has the apparent layout and the option."""

import bz2
import gzip
import lzma
import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import pipeline
from toptalkers.answer.answer import Tally
from toptalkers.flowlog.fields import DEFAULT_FIELDS, TRANSIT_GATEWAY_FIELDS
from toptalkers.job import count_flows
from toptalkers.kernel.door import Counter, Misfit
from toptalkers.question.digest import digest_texts
from toptalkers.question.query import Query
from toptalkers.records.misfits import describe_misfit

GOOD = "2 123456789012 eni-0a1b 10.0.0.1 10.0.0.2 40000 443 6 10 840 1793491200 1793491260 ACCEPT OK"
BAD = GOOD.replace(" ACCEPT ", " ACCEPTED ")
EVERYTHING = Query.parse(action="ALL", ports="all")


def judge(query: Query, content: str) -> tuple[Misfit | None, Tally]:
    """Return the kernel's verdict on one file, and its tally; the mapper's must be equal."""
    counter = Counter(query)
    counter.feed(content.encode())
    tally = counter.end_lines()
    found = counter.misfit()
    counter.end_file(counts=found is None)
    _, counters = pipeline.run(query, [content.encode()])
    assert bool(counters.get("misfit_files")) == (found is not None)
    return found, tally


def describe(query: Query, content: str) -> str:
    """Return the message about a file that does not fit."""
    found, tally = judge(query, content)
    assert found
    return describe_misfit(found, tally, query)


@pytest.mark.parametrize(
    ("lines", "is_misfit"),
    [
        ([GOOD] * 5, False),
        ([BAD], True),
        ([GOOD, BAD], False),
        ([GOOD] * 3 + [BAD], False),
        ([GOOD] * 6 + [BAD] * 2, False),
        ([GOOD] * 5 + [BAD] * 2, True),
        ([GOOD] * 1000 + [BAD] * 9 + [GOOD] * 1000, False),
        ([GOOD] * 1000 + [BAD] * 10 + [GOOD] * 1000, True),
        ([GOOD] * 1000 + [BAD] * 9 + [GOOD] + [BAD] * 9, False),
        (([GOOD] * 3 + [BAD]) * 500, False),
        (([GOOD] * 2 + [BAD]) * 500, True),
        ([" ".join(DEFAULT_FIELDS), *[GOOD] * 100, "srcaddr dstaddr dstport", "10.0.0.1 10.0.0.2 443"], False),
        ([" ".join(DEFAULT_FIELDS), *[GOOD] * 100, "srcaddr dstaddr dstport", *["10.0.0.1 10.0.0.2 443"] * 2], True),
    ],
)
def test_how_many_malformed_lines_make_a_misfit(lines: list[str], is_misfit: bool) -> None:
    """More than a quarter of a stretch, ten in a row, or all: a misfit; fewer are tallied lines of a good file."""
    found, _ = judge(Query(), "\n".join(lines))
    assert (found is not None) == is_misfit


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("version", "two"),
        ("version", "123"),
        ("protocol", "256"),
        ("protocol", "tcp"),
        ("srcport", "70000"),
        ("packets", "10.0.0.9"),
        ("bytes", "1e9"),
        ("start", "2026-11-01"),
        ("end", "ACCEPT"),
        ("action", "OK"),
    ],
)
@pytest.mark.parametrize("others", [0, 4000])
def test_odd_samples_make_a_misfit(column: str, text: str, others: int) -> None:
    """Lines that could be counted, but have nonsense in a telling column, are of another layout; `-` is no nonsense."""
    values = GOOD.split(" ")
    values[DEFAULT_FIELDS.index(column)] = text
    odd = " ".join(values)
    content = "\n".join([GOOD] * others + [odd] * 3000)
    found, _ = judge(EVERYTHING, content)
    assert found
    assert (found.line, found.is_odd) == (odd.encode(), True)
    assert "right number of columns" in describe(EVERYTHING, content)
    values[DEFAULT_FIELDS.index(column)] = "-"
    assert judge(EVERYTHING, content.replace(odd, " ".join(values)))[0] is None


WRITINGS = {
    "behind a mark": "# {}".format,
    "as AWS asks for them": lambda names: " ".join(f"${{{name}}}" for name in names.split()),
    "in capitals": str.upper,
    "between commas": lambda names: names.replace(" ", ","),
    "as Insights writes them": lambda names: names.replace("srcaddr", "srcAddr").replace("log-status", "logStatus"),
    "in quotes": lambda names: " ".join(f'"{name}"' for name in names.split()),
    "as Athena's tables write them": lambda names: names.replace("srcaddr", "Source_Address,"),
}


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
@pytest.mark.parametrize("before", [0, 1, 2000])
def test_names_that_are_no_header(write: Callable[[str], str], before: int) -> None:
    """Names of columns that cannot be read as a header make a misfit, because later columns may be in any order."""
    names = "version srcaddr dstaddr srcport dstport bytes action log-status"
    content = "\n".join([GOOD] * before + [write(names)] + [GOOD] * 2000)
    assert "names columns" in describe(Query(), content)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
@pytest.mark.parametrize("end", ["\n", ""])
def test_packed_bytes_among_lines(pack: Callable[[bytes], bytes], end: str) -> None:
    """Compressed bytes after plain lines are never a few malformed lines: they contain records that would not count."""
    counter = Counter(Query())
    counter.feed((GOOD + "\n").encode() * 500 + (GOOD + end).encode() + pack(GOOD.encode() * 3))
    tally = counter.end_lines()
    found = counter.misfit()
    assert found
    assert "compressed data" in describe_misfit(found, tally, Query())


def test_a_broken_line_that_begins_as_packed_bytes_do() -> None:
    """Sound lines after it show that nothing is compressed there: it is one malformed line of a good file."""
    counter = Counter(Query())
    good = f"{GOOD}\n".encode() * 20
    counter.feed(good + b"\x1f\x8b\x08 junk\n" + good)
    assert counter.end_lines().malformed == 1
    assert counter.misfit() is None


def test_a_quarter_of_odd_samples() -> None:
    """A column with impossible values in only some lines is of another layout, for example a port as a protocol."""
    odd = GOOD.replace(" 6 10 ", " 443 10 ")
    assert judge(Query(), "\n".join([GOOD, GOOD, odd] * 9))[0]
    assert judge(Query(), "\n".join([GOOD] * 9 + [odd]))[0] is None


def test_sizes_that_are_times() -> None:
    """Packets that look like seconds since 1970 next to a start that does not are columns in another order."""
    swapped = GOOD.replace(" 10 840 1793491200 1793491260 ", " 1793491200 1793491260 10 840 ")
    assert judge(EVERYTHING, "\n".join([swapped] * 20))[0]
    large = GOOD.replace(" 10 840 ", " 1793491 1793491200 ")
    assert judge(EVERYTHING, "\n".join([large] * 20))[0] is None
    early = GOOD.replace(" 1793491200 1793491260 ", " 1 61 ")
    assert judge(EVERYTHING, "\n".join([early] * 20))[0] is None


def test_records_without_data_in_a_layout_without_log_status() -> None:
    """Idle interfaces write `-` for everything: that is no data, even without a log status."""
    query = Query.parse(log_format="srcaddr dstaddr dstport action")
    found, tally = judge(query, "- - - -\n" * 50)
    assert found is None
    assert tally.skipped == {"nodata": 50}
    assert judge(query, "- - 443 -\n" * 50)[0]


@settings(max_examples=80, deadline=None)
@given(st.permutations(DEFAULT_FIELDS), st.integers(1, 120), st.integers(0, 1000))
def test_another_order_of_columns(order: list[str], lines: int, seed: int) -> None:
    """The default's columns in any other order are counted correctly, because it makes no difference, or are named."""
    chance = random.Random(seed)
    records = []
    for _ in range(lines):
        start = 1_793_491_200 + chance.randrange(3600)
        record = {
            "version": "2",
            "account-id": "123456789012",
            "interface-id": f"eni-0{chance.randrange(5)}",
            "srcaddr": f"10.0.0.{chance.randrange(9)}",
            "dstaddr": f"192.0.2.{chance.randrange(9)}",
            "srcport": str(40_000 + chance.randrange(9)),
            "dstport": chance.choice(["22", "443", "8080"]),
            "protocol": chance.choice(["6", "17"]),
            "packets": str(chance.randrange(1, 300)),
            "bytes": str(chance.randrange(300, 90_000)),
            "start": str(start),
            "end": str(start + 59),
            "action": chance.choice(["ACCEPT", "REJECT"]),
            "log-status": "OK",
        }
        records.append(" ".join(record[name] for name in order))
    query = Query.parse(metric="bytes", ports="all")
    found, _ = judge(query, "\n".join(records))
    telling = ("srcaddr", "dstaddr", "dstport", "bytes", "action", "log-status")
    # Two swapped columns of the same kind cannot be noticed.
    alike = [{"version", "protocol", "packets", "bytes", "srcport", "dstport"}, {"srcaddr", "dstaddr"}]
    alike += [{"start", "end", "packets", "bytes", "account-id"}, {"account-id", "interface-id"}]
    for name in telling:
        stands = order[DEFAULT_FIELDS.index(name)]
        if stands != name and not any(name in kind and stands in kind for kind in alike):
            assert found, (name, stands)


def test_what_is_said() -> None:
    """The message has the file's apparent format, and the option for it."""
    header = " ".join(name for name in DEFAULT_FIELDS if name != "action")
    no_action = header + "\n" + GOOD.replace(" ACCEPT", "")
    assert describe(Query(), no_action).endswith("the question is for ACCEPT: ask with --action ALL")
    assert judge(EVERYTHING, no_action)[0] is None
    assert "its header names no dstport" in describe(Query(), header.replace(" dstport", "") + "\n1 2 3")
    assert "15 columns, and the default format has 14" in describe(Query(), (GOOD + " vpc-1\n") * 3)
    assert "--log-format '${field}" in describe(Query(), (GOOD + " vpc-1\n") * 3)
    gateway = dict.fromkeys(TRANSIT_GATEWAY_FIELDS, "-") | {"srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2"}
    gateway |= {"dstport": "443", "srcport": "40000", "protocol": "6", "version": "6", "log-status": "OK"}
    line = " ".join(gateway[name] for name in TRANSIT_GATEWAY_FIELDS)
    assert "--log-format transit-gateway --action ALL" in describe(Query(), line)
    query = Query.parse(log_format="transit-gateway", action="ALL")
    assert judge(query, line)[0] is None
    said = describe(Query(), " ".join(TRANSIT_GATEWAY_FIELDS) + "\n" + line)
    assert "transit gateway records have none" in said
    assert "default format: ask with --log-format default" in describe(
        Query.parse(log_format="srcaddr dstaddr dstport action"), GOOD
    )
    header = " ".join(DEFAULT_FIELDS)
    assert "the column bytes cannot be '8,4'" in describe(
        Query.parse(metric="bytes"), f"{header}\n" + (GOOD + "\n").replace("840", "8,4") * 3
    )
    assert r"it begins with 'hello\x1b world'" in describe(Query(), "hello\x1b world\n" * 3)


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ({"metric": "packets"}, "no packets, which --metric needs: ask without, or of other files"),
        ({"since": "2026-11-01"}, "no start, which --since needs: ask without, or of other files"),
        ({"metric": "packets", "since": "2026-11-01"}, "no packets, start, which --metric and --since need: ask"),
        ({}, "no dstport, which the question needs"),
        (digest_texts(), "no start, end, interface-id, srcport, protocol, packets, bytes, which a digest needs"),
    ],
)
def test_what_a_header_lacks_is_named_with_the_option(texts: dict[str, str], what: str) -> None:
    """A field that only an option needs is named with the option, in the order of the options."""
    header = "srcaddr dstaddr action" + (" dstport" if texts else "")
    assert f"its header names {what}" in describe(Query.parse(**texts), f"{header}\n10.0.0.1 10.0.0.2 ACCEPT 1\n")


def test_transit_gateway_records_are_told_what_works() -> None:
    """Records without interface and action are told first to ask without --pairs, then with --action ALL."""
    records = "tgw-id srcaddr dstaddr srcport dstport protocol packets bytes start end\ntgw-1" + " 1" * 9 + "\n"
    asked = describe(Query.parse(pairs="yes"), records)
    assert asked == "its header names no interface-id, which --pairs needs: ask without, or of other files"
    assert describe(Query(), records).endswith("ask with --action ALL")


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([Query(), EVERYTHING, Query.parse(log_format=" ".join(DEFAULT_FIELDS[1:]))]),
)
def test_anything_is_described_in_one_line(content: bytes, query: Query) -> None:
    """Any file fits, or is described in one line."""
    counter = Counter(query)
    counter.feed(content)
    tally = counter.end_lines()
    found = counter.misfit()
    if found:
        assert describe_misfit(found, tally, query).isprintable()


def test_the_mappers_quick_look_knows_every_telling_column() -> None:
    """A record that passes the check of whole lines would also pass the check of each column."""
    assert set(count_flows.USUAL) == {name for name, _ in count_flows.TELLING}
    judges = dict(count_flows.TELLING)
    texts = [b"", b"0", b"00", b"9", b"99", b"099", b"100", b"255", b"256", b"9999", b"59999", b"60000", b"65536", b"x"]
    texts += [
        b"1" * 15,
        b"1" * 16,
        b"10.0.0.1",
        b"10.0.0.256",
        b"10.0.0",
        b"::1",
        b"ACCEPT",
        b"OK",
        b"NODATA",
        b"accept",
    ]
    for name, pattern in count_flows.USUAL.items():
        assert re.fullmatch(pattern, b"-")
        for text in texts:
            assert judges[name](text) or not re.fullmatch(pattern, text), (name, text)


@pytest.mark.parametrize("offset", [0, 64, 255, 256])
def test_which_records_are_samples(offset: int) -> None:
    """Kernel and mapper check the same records: after the first 64, those whose number is a multiple of 256."""
    odd = GOOD.replace(" 6 10 ", " 999 10 ")
    lines = [odd if number >= 64 and number % 256 == offset % 256 else GOOD for number in range(256 * 14)]
    assert (judge(Query(), "\n".join(lines))[0] is not None) == (offset % 256 == 0)
