"""Hypothesis strategies: whole flow-log files as bytes, clean and dirty, and questions to ask of them."""

from hypothesis import strategies as st

from toptalkers.flowlog.fields import DEFAULT_FIELDS, FIELDS
from toptalkers.question.clauses import METRICS
from toptalkers.question.query import Query

ADDRESSES = [
    *("10.0.0.1", "10.0.0.2", "10.0.1.17", "192.0.2.1", "198.51.100.77", "203.0.113.255", "0.0.0.0"),
    *("2001:db8::1", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "::", "::ffff:192.0.2.1", "fe80::1"),
]
BAD_ADDRESSES = [
    *("-", "", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1.2", "10.0.0.1/32", "a.b.c.d", "ACCEPT", "OK"),
    *(
        "2001:db8:::1",
        "2001:db8::1::2",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "fe80::1%eth0",
        "[2001:db8::1]",
        "::12345",
    ),
    *("\u00e9", "10.0.0.1\t", "\t10.0.0.1", '"10.0.0.1"', "10.0.0.1\x00"),
]
PORTS = ["0", "22", "53", "80", "443", "1024", "1025", "8080", "40000", "65535"]
BAD_PORTS = [
    "-",
    "",
    "65536",
    "70000",
    "0443",
    "+80",
    "-1",
    "80.0",
    "8e1",
    "\u0664\u0664",
    "443 ",
    "00",
    "999999999999",
]
NUMBERS = ["0", "1", "7", "40", "1500", "999999999999999", "007"]
BAD_NUMBERS = ["-", "", "+5", "-5", "1000000000000000", "1.5", "1e3", "1_000", "x"]
STARTS = ["1793491199", "1793491200", "1793494799", "1793494800", "1793491200000", "1793494799999", "1793494800000"]
STATUSES = ["OK", "NODATA", "SKIPDATA"]
BAD_STATUSES = ["ok", "-", "", "OK\t", "log-status", "ACCEPT"]
FILLERS = ["2", "eni-0a1b2c3d4e5f60718", "123456789012", "6", "-", "IPv4", "vpc-1", "use1-az1", "OK", "ACCEPT", "Z"]

SINCE, UNTIL = "2026-10-31T00:00:00Z", "2026-11-01T01:00:00Z"  # 1793491200 is 2026-11-01T00:00:00Z


def _mostly(good: list[str], bad: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(good * (1 + 9 * len(bad) // len(good)) + bad)


SUMMED: list[str] = [metric for metric in METRICS if metric != "records"]

_VALUES = {
    "srcaddr": _mostly(ADDRESSES, BAD_ADDRESSES),
    "dstaddr": _mostly(ADDRESSES, BAD_ADDRESSES),
    "dstport": _mostly(PORTS, BAD_PORTS),
    "srcport": st.sampled_from(PORTS),
    **dict.fromkeys(SUMMED, _mostly(NUMBERS, BAD_NUMBERS)),
    "start": _mostly(STARTS, BAD_NUMBERS),
    "action": st.sampled_from(["ACCEPT"] * 6 + ["REJECT"] * 2 + ["-"]),
    "log-status": _mostly(["OK"] * 10 + STATUSES, BAD_STATUSES),
}
_CLEAN = {
    "srcaddr": st.sampled_from(ADDRESSES),
    "dstaddr": st.sampled_from(ADDRESSES),
    "dstport": st.sampled_from(PORTS),
    **dict.fromkeys(SUMMED, st.sampled_from(NUMBERS)),
    "start": st.sampled_from(STARTS),
    "action": st.sampled_from(["ACCEPT", "ACCEPT", "REJECT"]),
    "log-status": st.sampled_from(["OK"] * 5 + ["NODATA", "SKIPDATA"]),
}
_FILLER = st.sampled_from(FILLERS)

NEEDED = ("srcaddr", "dstaddr", "dstport", "action", "log-status", *SUMMED, "start")


@st.composite
def layouts(draw: st.DrawFn) -> tuple[str, ...]:
    """Columns of a custom format that can answer every question, in any order, sometimes without a log status."""
    others = draw(st.lists(st.sampled_from([name for name in FIELDS if name not in NEEDED]), max_size=4, unique=True))
    needed = [name for name in NEEDED if name != "log-status" or draw(st.integers(0, 3))]
    return tuple(draw(st.permutations(needed + others)))


@st.composite
def _records(draw: st.DrawFn, columns: tuple[str, ...], values: dict[str, st.SearchStrategy[str]]) -> bytes:
    return " ".join(draw(values.get(name, _FILLER)) for name in columns).encode()


@st.composite
def _odd_lines(draw: st.DrawFn, columns: tuple[str, ...]) -> bytes:
    kind = draw(st.integers(0, 8))
    record = draw(_records(columns, _CLEAN))
    if kind == 0:
        return record[: draw(st.integers(0, len(record)))]
    if kind == 1:
        return draw(st.binary(max_size=60)).replace(b"\n", b"")
    if kind == 2:
        return draw(st.sampled_from([b"", b" ", b"  ", b"\t", b"\x0b"]))
    if kind == 3:
        return record + draw(st.sampled_from([b" ", b" extra", b" extra columns here"]))
    if kind == 4:
        return record.replace(b" ", b"  ", 1)
    if kind == 5:
        return b"\xef\xbb\xbf" + record
    if kind == 6:
        return draw(st.sampled_from([b" ", b"\t"])) + record
    if kind == 7:
        return b"version"
    return b"version account-id"


@st.composite
def files(draw: st.DrawFn, headerless: tuple[str, ...] = DEFAULT_FIELDS) -> bytes:
    """One uncompressed file: with or without a header, in one layout or several, clean or dirty."""
    dirty = draw(st.booleans())
    values = _VALUES if dirty else _CLEAN
    columns = headerless
    lines = []
    if draw(st.booleans()):
        columns = draw(layouts() | st.just(DEFAULT_FIELDS))
        lines.append(" ".join(columns).encode())
    stamped = draw(st.integers(0, 5)) == 0
    for _ in range(draw(st.integers(0, 12))):
        if dirty and draw(st.integers(0, 9)) == 0:
            columns = draw(layouts() | st.just(DEFAULT_FIELDS))
            lines.append(" ".join(columns).encode())
        if dirty and draw(st.integers(0, 5)) == 0:
            lines.append(draw(_odd_lines(columns)))
        line = draw(_records(columns, values))
        if stamped and (not dirty or draw(st.booleans())):
            line = b"2026-11-01T00:00:00.000Z " + line
        lines.append(line)
    ends = [b"\n"] if not dirty else [b"\n", b"\n", b"\n", b"\r\n", b"\r"]
    content = b"".join(line + draw(st.sampled_from(ends)) for line in lines)
    return content if draw(st.booleans()) else content.rstrip(b"\n")


TOPS = st.sampled_from([0, 0, 1, 3])
"""How many talkers are asked for, 0 for all."""


@st.composite
def queries(draw: st.DrawFn, log_format: tuple[str, ...] | None = None) -> Query:
    """Any question; the caller chooses the log format, because the files depend on it."""
    summed = [metric for metric in SUMMED if metric in (log_format or DEFAULT_FIELDS)]
    return Query.parse(
        metric=draw(st.sampled_from(["records", *summed])),
        ports=draw(st.sampled_from(["0-1024", "all", "22,443,8000-8999", "0", "65535", "1025-65535"])),
        action=draw(st.sampled_from(["ACCEPT", "REJECT", "ALL"])),
        since=draw(st.sampled_from([None, None, SINCE, "2026-11-01"])),
        until=draw(st.sampled_from([None, None, UNTIL])),
        log_format=" ".join(log_format) if log_format else None,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Query, list[bytes]]:
    """A question and the uncompressed files to count for it."""
    log_format = draw(st.none() | layouts())
    query = draw(queries(log_format))
    return query, draw(st.lists(files(log_format or DEFAULT_FIELDS), max_size=4))
