"""Hypothesis strategies: whole flow-log files as bytes, clean and dirty, and questions to ask of them."""

from dataclasses import replace
from random import Random

from hypothesis import strategies as st

from tests import wheres
from toptalkers.flowlog.fields import DEFAULT_FIELDS, FIELDS, FieldType
from toptalkers.question.clauses import METRICS, SUMMED_FIELDS, Address
from toptalkers.question.key import ADDRESS_FIELDS, MOST_COLUMNS, PORT_FIELDS, RECIPE_KEY, SERVICE_PARTS, TIME_PARTS
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
    *("\u00e9", "10.0.0.1\x1f", "\x1f10.0.0.1", '"10.0.0.1"', "10.0.0.1\x00"),
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
FAR_TIMES = [
    *("0", "59", "86399", "99999999999", "100000000000", "100000000000000", "253402300799", "253402300799999"),
    *("253402300800", "253402300800000", "999999999999999"),
]
"""Times at the edges: of a day, of seconds and milliseconds, and of the year 9999, beyond which none is printed."""
PROTOCOLS = ["6", "6", "17", "1", "58", "0", "255"]
BAD_PROTOCOLS = ["-", "256", "06", "+6", "tcp", "1000", "6\x0b"]
FLAGS = ["0", "1", "2", "3", "18", "19", "16", "4", "022", "-"]
BAD_FLAGS = ["x", "-2", "2.0", "1000000000000000"]
TEXTS = [
    "vpc-0a",
    "vpc-0b",
    "10",
    "-",
    "a:b",
    "\u00e9",
    "\u65e5\u672c",
    "\U0001f600",
    "a\u0085",
    "[x]",
    "--",
    "x" * 1024,
]
BAD_TEXTS = [
    *("a\x00b", "\x7f", "a\x1f", "x" * 1025, "\u00e9" * 513),
    # No UTF-8: a single byte, a long form, half of a pair, beyond the last character, one that is cut off.
    *("\udcff", "\udcc0\udc80", "\udced\udca0\udc80", "\udcf4\udc90\udc80\udc80", "a\udce2\udc82", "\udce9"),
]
"""Texts that are no value of a key. An odd byte is written as Python's `surrogateescape` does.

Here are no blanks: with many of them, a file would look as if a tool had wrapped its lines (`records/wrapping.py`).
"""
STATUSES = ["OK", "NODATA", "SKIPDATA"]
BAD_STATUSES = ["ok", "-", "", "OK\x1f", "log-status", "ACCEPT"]
FILLERS = ["2", "eni-0a1b2c3d4e5f60718", "123456789012", "6", "-", "IPv4", "vpc-1", "use1-az1", "OK", "ACCEPT", "Z"]

SINCE, UNTIL = "2026-10-31T00:00:00Z", "2026-11-01T01:00:00Z"  # 1793491200 is 2026-11-01T00:00:00Z


Pools = dict[str, list[str]]
"""Values for each field; what comes more often is there more often."""


def _one_in(number: int) -> st.SearchStrategy[bool]:
    """True one time in so many. An integer would be at its limits far more often."""
    return st.sampled_from([False] * (number - 1) + [True])


def _mostly(good: list[str], bad: list[str]) -> list[str]:
    """Good values and bad ones, about two to one."""
    return good * (1 + 2 * len(bad) // len(good)) + bad


SUMMED = ["packets", "bytes"]
TEXT_FIELDS = [
    name for name, field in FIELDS.items() if field.type is FieldType.STRING and name not in (*ADDRESS_FIELDS, "action")
]
NUMBER_FIELDS = [
    name
    for name, field in FIELDS.items()
    if field.type is not FieldType.STRING and name not in (*PORT_FIELDS, "protocol")
]

_VALUES: Pools = {
    "srcaddr": _mostly(ADDRESSES, BAD_ADDRESSES),
    "dstaddr": _mostly(ADDRESSES, BAD_ADDRESSES),
    "dstport": _mostly(PORTS, BAD_PORTS),
    "srcport": PORTS,
    **dict.fromkeys(SUMMED, _mostly(NUMBERS, BAD_NUMBERS)),
    "start": _mostly(STARTS, BAD_NUMBERS),
    "action": ["ACCEPT"] * 6 + ["REJECT"] * 2 + ["-"],
    "log-status": _mostly(["OK"] * 10 + STATUSES, BAD_STATUSES),
}
_CLEAN: Pools = {
    "srcaddr": ADDRESSES,
    "dstaddr": ADDRESSES,
    "dstport": PORTS,
    **dict.fromkeys(SUMMED, NUMBERS),
    "start": STARTS,
    "action": ["ACCEPT", "ACCEPT", "REJECT"],
    "log-status": ["OK"] * 10 + ["NODATA", "SKIPDATA"],
}
_ANY_NUMBER = _mostly(NUMBERS, BAD_NUMBERS[:1] + BAD_NUMBERS[2:])
_WILD: Pools = {
    **dict.fromkeys(TEXT_FIELDS, _mostly(TEXTS, BAD_TEXTS)),
    **dict.fromkeys(NUMBER_FIELDS, _ANY_NUMBER),
    **_VALUES,
    "version": _mostly(["2", "5", "-"], ["x", "+5", "1.5"]),
    **dict.fromkeys(ADDRESS_FIELDS, _mostly([*ADDRESSES, "-"], BAD_ADDRESSES)),
    "srcport": _mostly([*PORTS, "-"], BAD_PORTS),
    "dstport": _mostly([*PORTS, "-"], BAD_PORTS),
    "protocol": _mostly(PROTOCOLS, BAD_PROTOCOLS),
    "tcp-flags": _mostly(FLAGS, BAD_FLAGS),
    "start": _mostly(STARTS * 3 + FAR_TIMES, BAD_NUMBERS),
    "end": _mostly(STARTS * 3 + FAR_TIMES, BAD_NUMBERS[2:]),
}
"""Values of dirty records for any question: of every field, some of them none of its kind."""
_TAME: Pools = {
    **dict.fromkeys(TEXT_FIELDS, TEXTS[:-1]),
    **{key: [*NUMBERS, "-"] for key in NUMBER_FIELDS},
    **_CLEAN,
    **{key: [*ADDRESSES, "-"] for key in ADDRESS_FIELDS[2:]},
    "srcport": PORTS,
    "protocol": PROTOCOLS,
    "tcp-flags": FLAGS,
    "start": STARTS,
    "end": STARTS,
    "version": ["2", "5", "11"],
}
"""Values of clean records for any question."""

NEEDED = ("srcaddr", "dstaddr", "dstport", "action", "log-status", *SUMMED, "start")


_OTHERS = [name for name in FIELDS if name not in NEEDED]
ASKED = (*NEEDED, "srcport", "protocol", "end", "tcp-flags")
"""The fields that questions ask for most often."""


@st.composite
def layouts(draw: st.DrawFn) -> tuple[str, ...]:
    """Columns of a custom format that can answer the recipe's questions, sometimes without a log status."""
    others = draw(st.lists(st.sampled_from(_OTHERS), max_size=4, unique=True))
    needed = [name for name in NEEDED if name != "log-status" or not draw(_one_in(4))]
    return tuple(draw(st.permutations(needed + others)))


@st.composite
def any_layouts(draw: st.DrawFn) -> tuple[str, ...]:
    """Columns of a custom format with more fields, sometimes without some that questions need."""
    others = draw(st.lists(st.sampled_from([*_OTHERS, "vpc-id", "interface-id"]), max_size=4, unique=True))
    lacking = draw(st.lists(st.sampled_from([*ASKED, "log-status"]), max_size=2)) if draw(_one_in(6)) else []
    asked = [name for name in ASKED if name not in lacking]
    return tuple(dict.fromkeys(draw(st.permutations(asked + others))))


@st.composite
def _records(draw: st.DrawFn, columns: tuple[str, ...], usual: Pools, strange: Pools | None = None) -> bytes:
    """A record of usual values; some of its columns have strange ones, if there are any."""
    random = Random(draw(st.integers(0, 1 << 20)))  # faster than a draw for each value
    values = [
        random.choice((strange if strange and random.randrange(10) < 3 else usual).get(name, FILLERS))
        for name in columns
    ]
    return " ".join(values).encode("utf-8", "surrogateescape")


@st.composite
def _odd_lines(draw: st.DrawFn, columns: tuple[str, ...]) -> bytes:
    kind = draw(st.sampled_from([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8]))
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
        return draw(st.sampled_from([b" ", b"\x1f"])) + record
    if kind == 7:
        return b"version"
    return b"version account-id"


def _few(values: Pools, most: int, random: Random) -> Pools:
    """Some of the values of each field, so that keys recur."""
    return {
        name: pool if name in ("action", "log-status") else random.sample(pool, min(most, len(pool)))
        for name, pool in values.items()
    }


@st.composite
def files(
    draw: st.DrawFn,
    headerless: tuple[str, ...] = DEFAULT_FIELDS,
    *,
    headers: st.SearchStrategy[tuple[str, ...]] | None = None,
) -> bytes:
    """One uncompressed file: with or without a header, in one layout or several, clean or dirty.

    A dirty one has only a few bad records, since a file with many does not fit its layout, and does not count. With
    layouts for its `headers`, all fields have values of their kinds.
    """
    dirty = draw(st.booleans())
    usual, strange = (_CLEAN, _VALUES) if headers is None else (_TAME, _WILD)
    headers = layouts() if headers is None else headers
    usual = _few(usual, draw(st.sampled_from([1, 2, 3, 99])), Random(draw(st.integers(0, 1 << 20))))
    columns = headerless
    lines = []
    if draw(st.booleans()):
        columns = draw(headers | st.just(DEFAULT_FIELDS))
        lines.append(" ".join(columns).encode())
    stamped = draw(_one_in(6))
    for _ in range(draw(st.sampled_from([1, 2, 4, 8, 16, 16, 0]))):
        if dirty and draw(_one_in(20)):
            columns = draw(headers | st.just(DEFAULT_FIELDS))
            lines.append(" ".join(columns).encode())
        if dirty and draw(_one_in(10)):
            lines.append(draw(_odd_lines(columns)))
        line = draw(_records(columns, usual, strange if dirty and draw(_one_in(3)) else None))
        # A blank behind a stamp would belong to the wrapping.
        if stamped and line[:1] not in (b" ", b"\t") and (not dirty or draw(st.booleans())):
            line = b"2026-11-01T00:00:00.000Z " + line
        lines.append(line)
    ends = [b"\n"] if not dirty else [b"\n", b"\n", b"\n", b"\r\n", b"\r"]
    content = b"".join(line + draw(st.sampled_from(ends)) for line in lines)
    return content if draw(st.booleans()) else content.rstrip(b"\n")


TOPS = st.sampled_from([0, 0, 1, 3])
"""How many talkers are asked for, 0 for all."""


PORT_CLAUSES = ["all"] * 6 + ["0-1024"] * 3 + ["22,443,8000-8999", "0", "65535", "1025-65535"]
_SINCE = st.sampled_from([None] * 5 + [SINCE, "2026-11-01"])
_UNTIL = st.sampled_from([None] * 5 + [UNTIL])


@st.composite
def recipe_queries(draw: st.DrawFn, log_format: tuple[str, ...] | None = None) -> Query:
    """Any question with the recipe's key, one sum and no expression; the files depend on the log format."""
    summed = [metric for metric in SUMMED if metric in (log_format or DEFAULT_FIELDS)]
    return Query.parse(
        metric=draw(st.sampled_from(["records", *summed])),
        ports=draw(st.sampled_from(PORT_CLAUSES)),
        action=draw(st.sampled_from(["ACCEPT", "ACCEPT", "REJECT", "ALL", "ALL"])),
        since=draw(_SINCE),
        until=draw(_UNTIL),
        log_format=" ".join(log_format) if log_format else None,
    )


_LENGTHS = st.sampled_from([0, 1, 8, 16, 23, 24, 31, 32]) | st.integers(0, 32)
_LONG_LENGTHS = st.sampled_from([0, 16, 32, 48, 64, 96, 127, 128]) | st.integers(0, 128)
_NETWORKS = st.one_of(
    st.builds("{}/{}".format, st.sampled_from(ADDRESS_FIELDS), _LENGTHS),
    st.builds("{}/{}/{}".format, st.sampled_from(ADDRESS_FIELDS), _LENGTHS, _LONG_LENGTHS),
)


@st.composite
def keys(draw: st.DrawFn, fields: tuple[str, ...] = DEFAULT_FIELDS) -> str:
    """Any key, as `--by` takes it, mostly of these fields."""
    texts = [name for name in fields if name in TEXT_FIELDS]
    of_kinds = [fields, texts or fields, [*ADDRESS_FIELDS, *PORT_FIELDS, *FIELDS]]
    words = [*TIME_PARTS, *SERVICE_PARTS, "pair", "protocol"]
    # One strategy per kind of part, so that each kind is drawn as often as another.
    part = st.sampled_from(
        [
            *map(st.just, words),
            *map(st.sampled_from, of_kinds * 2),
            *[_NETWORKS] * 2,
        ]
    ).flatmap(lambda kind: kind)
    most = draw(st.sampled_from([1, 2, 3, 4, MOST_COLUMNS - 1]))
    parts = draw(st.lists(part, min_size=1, max_size=most, unique=True))
    return ",".join(dict.fromkeys(part + "/64" if part.count("/") == 1 else part for part in parts))


@st.composite
def queries(draw: st.DrawFn, log_format: tuple[str, ...] | None = None) -> Query:
    """Any question that lines of the log format can answer: any key, sums and expression."""
    fields = log_format or DEFAULT_FIELDS
    can_ask = {
        "by": set(RECIPE_KEY) <= set(fields),
        "ports": "dstport" in fields,
        "action": "action" in fields,
        "time": "start" in fields,
    }
    metrics = [metric for metric in METRICS if SUMMED_FIELDS.get(metric, fields[0]) in fields]
    is_recipe = can_ask["by"] and draw(_one_in(6))
    ports = PORT_CLAUSES if can_ask["ports"] else ["all"]
    actions = ["ALL"] + ["ACCEPT", "ACCEPT", "REJECT", "ALL", "ALL"] * can_ask["action"]
    # Headers may name fields that the default format lacks.
    tested = [*fields, *SERVICE_PARTS * ({"srcport", "dstport"} <= set(fields)), *(() if log_format else ("vpc-id",))]
    where = wheres.wheres(fields=tuple(name for name in wheres.FIELDS if name in tested)).map(lambda one: one.text)
    return Query.parse(
        by=None if is_recipe else draw(keys(fields)),
        metric=",".join(draw(st.lists(st.sampled_from(metrics), min_size=1, max_size=5, unique=True))),
        where=draw(where) if draw(_one_in(3)) else None,
        ports=draw(st.sampled_from(ports)),
        action=draw(st.sampled_from(actions)),
        since=draw(_SINCE) if can_ask["time"] else None,
        until=draw(_UNTIL) if can_ask["time"] else None,
        log_format=" ".join(log_format) if log_format else None,
    )


@st.composite
def recipe_cases(draw: st.DrawFn) -> tuple[Query, list[bytes]]:
    """A question of the recipe, and the uncompressed files to count for it."""
    log_format = draw(st.none() | layouts())
    query = draw(recipe_queries(log_format))
    return query, draw(st.lists(files(log_format or DEFAULT_FIELDS), min_size=1, max_size=3))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Query, list[bytes]]:
    """Any question, and the uncompressed files to count for it."""
    if draw(_one_in(4)):
        return draw(recipe_cases())
    log_format = draw(st.none() | any_layouts())
    query = draw(queries(log_format))
    return query, draw(st.lists(files(log_format or DEFAULT_FIELDS, headers=any_layouts()), min_size=1, max_size=3))


_HOMES = {
    "10.0.0.1": "eni-a",
    "10.0.0.2": "eni-b",
    "10.0.1.9": "eni-nat",
    "2001:db8::1": "eni-a",
    "2001:db8::2": "eni-b",
}
"""Which interface has which address; others are outside."""
_GATEWAY = "10.0.1.9"
_OUTSIDE = ["198.51.100.7", "203.0.113.255", "2001:db8:f::1"]
_SERVERS = ["22", "53", "80", "123", "443", "1023", "1024", "2049", "8080", "32767", "32768", "40000", "50000"]
_CLIENTS = ["20", "53", "123", "700", "1023", "1024", "1025", "32768", "40000", "40001", "49151", "49152", "50001"]
_SECONDS = [0, 1, 59, 60, 61, 119, 120, 121, 600, 3000, 3540, 3599, 3600, 3601, 3660, 3661, 7199, 7200, 10_000, 90_000]
"""Starts after midnight, and durations: some end shortly before another begins."""

JOINED = ("start", "end", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes")
_ALSO_JOINED = ("action", "log-status", "tcp-flags", "pkt-srcaddr", "pkt-dstaddr", "vpc-id")

_JOINED_WILD: Pools = {
    **{name: _mostly([*_HOMES, *_OUTSIDE, "-"], BAD_ADDRESSES[:4]) for name in ADDRESS_FIELDS},
    **{name: _mostly([*_SERVERS, *_CLIENTS, "-"], BAD_PORTS[1:4]) for name in PORT_FIELDS},
    "interface-id": ["eni-a", "eni-b", "eni-c", "-", "src", "dst"],
    "protocol": ["6", "6", "17", "33", "132", "136", "1", "50", "-", "256"],
    "tcp-flags": ["-", "0", "1", "2", "02", "3", "16", "18", "19", "22", "x"],
    "packets": ["0", "1", "7", "-", "+5", "999999999999999"],
    "bytes": ["0", "40", "1500", "-", "+5", "999999999999999"],
    "start": [*STARTS, "-", "253402300799", "253402300800", "0", "x"],
    "end": [*STARTS, "-", "253402300799999", "253402300800", "59"],
    "action": ["ACCEPT", "ACCEPT", "REJECT", "-", "DROP"],
    "log-status": ["OK"] * 8 + STATUSES,
}

Joined = dict[str, str]
"""A record by field."""


def _conversation(random: Random, clients: list[str], servers: list[str]) -> list[Joined]:
    """The records of one conversation in one window, in one or both directions, by some of the interfaces."""
    family = random.choice([list(_HOMES)[:3] + _OUTSIDE[:2]] * 3 + [list(_HOMES)[3:] + _OUTSIDE[2:]])
    client, server = random.sample(family, 2) if random.randrange(12) else random.choices(family, k=2)
    protocol = random.choice(["6", "6", "6", "17", "17", "132", "1"])
    ports = [random.choice(clients), random.choice(servers)] if protocol != "1" else ["0", "0"]
    start = 1793491200 + random.choice(_SECONDS)
    window = {"start": str(start), "end": str(start + random.choice(_SECONDS[:11])), "protocol": protocol}
    has_flags, shake = random.randrange(3), random.randrange(3)
    records = []
    for way in random.choice([(0,), (1,), (0, 1), (0, 1)]):
        names = [client, server] if way == 0 else [server, client]
        size = random.choice([0, 1, 40, 1500, 30_000])
        flow = {
            **window,
            "srcaddr": names[0],
            "dstaddr": names[1],
            "action": random.choice(["ACCEPT"] * 5 + ["REJECT"]),
        }
        flow |= {"srcport": ports[way], "dstport": ports[1 - way]}
        flow["tcp-flags"] = (["2", "18"][way] if shake == 0 else "0") if has_flags and protocol == "6" else "-"
        by = {_HOMES[one] for one in (client, server) if one in _HOMES} | {random.choice(["eni-a", "eni-c"])}
        for interface in random.sample(sorted(by), random.randint(1, len(by))):
            lost = random.choice([0, 0, 0, 1])
            sizes = {"bytes": str(max(size - 10 * lost, 0)), "packets": str(max(size // 40 - lost, 0))}
            records.append(
                {**flow, **sizes, "interface-id": interface, "pkt-srcaddr": names[0], "pkt-dstaddr": names[1]}
            )
    return records


def _translated(random: Random, clients: list[str], servers: list[str]) -> list[Joined]:
    """A conversation through a NAT gateway: each direction on both of its sides, and by the client's interface."""
    outside = random.choice(_OUTSIDE[:2])
    first, *_ = _conversation(random, clients, servers)
    ports = [random.choice(clients), random.choice(servers)]
    common = {**first, "action": "ACCEPT", "protocol": "6", "tcp-flags": random.choice(["-", "2", "0"])}
    legs = []
    for source, destination, packet in (
        ("10.0.0.1", _GATEWAY, ("10.0.0.1", outside)),
        (_GATEWAY, outside, (_GATEWAY, outside)),
        (outside, _GATEWAY, (outside, _GATEWAY)),
        (_GATEWAY, "10.0.0.1", (outside, "10.0.0.1")),
    ):
        is_reply = outside == packet[0]
        leg = {**common, "interface-id": "eni-nat", "srcaddr": source, "dstaddr": destination}
        leg |= {"srcport": ports[is_reply], "dstport": ports[not is_reply]}
        legs.append(leg | {"pkt-srcaddr": packet[0], "pkt-dstaddr": packet[1]})
    inner = {**legs[0], "interface-id": "eni-a", "dstaddr": outside}
    legs.append(inner | {"srcaddr": "10.0.0.1", "pkt-srcaddr": "10.0.0.1", "pkt-dstaddr": outside})
    return random.sample(legs, random.randint(2, len(legs)))


def _handed_over(random: Random, clients: list[str], servers: list[str]) -> list[Joined]:
    """One direction of a conversation in several windows, each logged by another of some interfaces, or by two."""
    first, *_ = _conversation(random, clients, servers)
    start, records = int(first["start"]), []
    for _ in range(random.choice([2, 2, 3, 5])):
        end = start + random.choice([0, 1, 59, 60, 600])
        for interface in random.sample(["eni-a", "eni-b", "eni-c", "eni-d"], random.choice([1, 1, 1, 2])):
            sizes = {"bytes": str(random.choice([40, 41, 1500])), "packets": str(random.choice([1, 2, 3]))}
            records.append({**first, **sizes, "start": str(start), "end": str(end), "interface-id": interface})
        start = end + random.choice([1, 59, 60, 61, 61, 62, 120, 3540, 3600])
    return records


def _copies(random: Random, record: Joined) -> list[Joined]:
    """A record again: as it was, or from a flow log with other optional fields."""
    without = {"tcp-flags": "-", "pkt-srcaddr": "-", "pkt-dstaddr": "-"}
    other = {"tcp-flags": random.choice(["-", "0", "2", "19"]), "pkt-srcaddr": random.choice(list(_HOMES))}
    return [{**record, **random.choice([{}, {}, without, other])} for _ in range(random.choice([1, 1, 2]))]


def joined_line(columns: tuple[str, ...], record: Joined, filler: str = "OK") -> bytes:
    """A record as a line of some columns; another field has a filler."""
    fillers = {"log-status": "OK", "vpc-id": "vpc-1", "version": "2", "account-id": "123456789012"}
    return " ".join(record.get(name, fillers.get(name, filler)) for name in columns).encode()


@st.composite
def joined_layouts(draw: st.DrawFn, action: str) -> tuple[str, ...]:
    """Columns of records that can be joined, in any order; seldom without a field that is needed."""
    others = [name for name in _ALSO_JOINED if not draw(_one_in(4))]
    if action != "ALL" and "action" not in others:
        others.append("action")
    lacking = draw(st.sampled_from(JOINED)) if draw(_one_in(20)) else None
    return tuple(draw(st.permutations([name for name in (*JOINED, *others) if name != lacking])))


@st.composite
def joined_files(draw: st.DrawFn, headerless: tuple[str, ...], action: str) -> list[bytes]:
    """One to three files of records of conversations that know of each other, some lines dirty."""
    records: list[list[Joined]] = []
    few = Random(draw(st.integers(0, 1 << 20)))
    clients, servers = few.sample(_CLIENTS, 4), few.sample(_SERVERS, few.choice([1, 2, 4]))
    for _ in range(draw(st.sampled_from([12, 12, 6, 2, 1]))):
        random = Random(draw(st.integers(0, 1 << 20)))
        kind = random.choice([_translated, _handed_over, *[_conversation] * 4])
        made = kind(random, clients, servers)
        if random.randrange(3) == 0:
            made += _copies(random, random.choice(made))
        if random.randrange(12) == 0:
            random.choice(made)[random.choice([*JOINED[2:], "start", "end"])] = "-"
        records.append(made)
    contents = []
    dirty = draw(st.booleans())
    for _ in range(draw(st.sampled_from([1, 2, 3]))):
        columns = headerless if draw(_one_in(3)) else draw(joined_layouts(action))
        random = Random(draw(st.integers(0, 1 << 20)))
        lines = [joined_line(columns, record) for made in records for record in made if random.randrange(4)]
        random.shuffle(lines)
        if columns is not headerless:
            lines.insert(0, " ".join(columns).encode())
        for _ in range(draw(st.integers(0, max(1, len(lines) // 8)))) if dirty else ():
            wild = {name: random.choice(pool) for name, pool in _JOINED_WILD.items()}
            usual = random.choice(random.choice(records))
            some = {name: wild[name] for name in random.sample(sorted(wild), random.randint(1, 3))}
            line = joined_line(columns, {**usual, **some})
            lines.append(draw(_odd_lines(columns)) if draw(_one_in(8)) else line)
        contents.append(b"\n".join([*lines, b""]))
    return contents


JOINED_PARTS = [
    *("hour", "day", "srcaddr", "dstaddr", "pair", "srcport", "dstport", "service-port", "side", "client-port"),
    *("protocol", "action", "srcaddr/24/64", "dstaddr/8/32"),
]
"""What `--by` takes with `--count once`."""
_JOINED_PORTS = ["all"] * 8 + ["0-1024"] * 4 + ["22,443,8000-8999", "123,1025-65535"]


@st.composite
def joined_queries(draw: st.DrawFn, log_format: tuple[str, ...] | None = None) -> Query:
    """Any question that joins records to conversations."""
    pairs, once = draw(st.sampled_from([(True, True), (True, True), (False, True), (False, True), (True, False)]))
    fields = log_format or DEFAULT_FIELDS
    where = wheres.wheres(fields=tuple(name for name in wheres.FIELDS if name in (*fields, *SERVICE_PARTS)))
    metrics = draw(st.lists(st.sampled_from(METRICS), min_size=1, max_size=5, unique=True))
    parts = draw(st.lists(st.sampled_from(JOINED_PARTS), min_size=1, max_size=5, unique=True))
    query = Query.parse(
        by=None if pairs or draw(_one_in(3)) else ",".join(parts),
        metric=draw(st.sampled_from(["bytes", "bytes", "packets", "records"])) if pairs else ",".join(metrics),
        where=draw(where).text if draw(_one_in(8)) else None,
        ports=draw(st.sampled_from(_JOINED_PORTS)),
        action=draw(st.sampled_from(["ACCEPT"] * 5 + ["ALL"] * 6 + ["REJECT"])) if "action" in fields else "ALL",
        since=draw(_SINCE),
        until=draw(_UNTIL),
        log_format=" ".join(log_format) if log_format else None,
    )
    address: Address | None = draw(st.sampled_from([None, None, "pkt", "eni"]))
    return replace(query, count="once" if once else "records", pairs=pairs, address=address)


@st.composite
def joined_cases(draw: st.DrawFn) -> tuple[Query, list[bytes]]:
    """A question that joins records to conversations, and uncompressed files."""
    log_format = draw(st.none() | joined_layouts(action="ALL").filter(lambda columns: set(JOINED) <= set(columns)))
    query = draw(joined_queries(log_format))
    return query, draw(joined_files(log_format or DEFAULT_FIELDS, query.action))
