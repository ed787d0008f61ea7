"""Test cases: a question, files, and how to read them; drawn at random, kept as JSON."""

import ipaddress
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random

from tests import strategies
from toptalkers.flowlog.fields import DEFAULT_FIELDS, FIELDS

Segments = list[tuple[str, int]]
"""A file: pieces of text (Latin-1, one byte per character), mostly one line each, and how often each is repeated."""

WAYS = ("one", "absorbed", "packed", "spilled")
"""How the kernel gets its sums: in one counter, in one counter per file that are then combined, or by the disk."""

LONGEST_SUM = (1 << 63) - 1
LARGEST_NUMBER = 999_999_999_999_999
LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        question: what `Query.parse` is given, and `top`.
        files: what is counted.
        way: one of WAYS.
        cut: how many bytes the kernel is fed at a time.
        read: the most bytes that the mapper reads at a time.
        rows: how many sums are held before they are spilled.

    """

    question: dict[str, str]
    files: list[Segments]
    way: str = "one"
    cut: int = 1 << 20
    read: int = 1 << 20
    rows: int = 1

    @property
    def contents(self) -> list[bytes]:
        """The content of the files."""
        return ["".join(text * times for text, times in file).encode("latin-1") for file in self.files]


def dump(case: Case) -> str:
    """Write a case as JSON."""
    return json.dumps(asdict(case), indent=1) + "\n"


def load(text: str) -> Case:
    """Read a case from the text of `dump`."""
    fields = json.loads(text)
    fields["files"] = [[(text, times) for text, times in file] for file in fields["files"]]
    return Case(**fields)


def draw(random: Random) -> Case:
    """Draw a random case."""
    columns = DEFAULT_FIELDS if random.random() < 0.6 else _columns(random)
    question = {
        "metric": ",".join(random.sample(METRICS, random.choice([1, 1, 1, 2, 3, 5]))),
        "ports": _ports(random),
        "action": random.choice(["ACCEPT", "REJECT", "ALL", "ALL"]),
        "top": random.choice(["0", "0", "0", "1", "2", "1000"]),
    }
    if random.random() < 0.6:
        question["by"] = ",".join(random.sample(PARTS, random.choice([1, 2, 3, 4, 10])))
    if random.random() < 0.3:
        question["where"] = _where(random)
    if random.random() < 0.2:
        question["since"] = random.choice([strategies.SINCE, "2026-11-01"])
    if random.random() < 0.2:
        question["until"] = strategies.UNTIL
    if columns != DEFAULT_FIELDS:
        question["log_format"] = " ".join(columns)
    files = [_file(random, columns, question) for _ in range(random.choice([1, 1, 1, 2, 3, 4]))]
    size = max(sum(len(text) * times for text, times in file) for file in files)
    return Case(
        question,
        files,
        way=random.choice(WAYS),
        # Large files in tiny pieces would take minutes.
        cut=max(size // 3000, random.choice([random.randint(1, 40), random.randint(1, 4000), 1 << 18, 1 << 20])),
        read=max(size // 300, random.choice([random.randint(1, 40), random.randint(1, 4000), 1 << 20, 1 << 20])),
        rows=random.randint(1, 40),
    )


def _ports(random: Random) -> str:
    """Draw ports, mostly few: the scripts take long to make a large set."""
    if random.random() < 0.01:
        return random.choice(["all", "1025-65535", "0-65534", "0,2-65535"])
    return random.choice(["0-1024"] * 3 + ["0-1024,8080"] * 3 + ["22,443,8000-8999", "443", "0", "65535"])


METRICS = ["records", "packets", "bytes", "first", "last"]
PARTS = [
    *("srcaddr", "dstaddr", "srcport", "dstport", "protocol", "pair", "hour", "minute", "day", "service-port", "side"),
    *("client-port", "tcp-flags", "vpc-id", "interface-id", "packets", "start", "dstaddr/24", "srcaddr/31/127"),
    *("srcaddr/0/0", "pkt-srcaddr/9/65", "pkt-dstaddr"),
]
TESTS = [
    *("src net 10.0.0.0/24", "host 10.0.0.2", "ip in (192.0.2.0/24 2001:db8::/32)", "port 443", "dst port < 1024"),
    *(
        "src or dst port in [22, 80-443]",
        "proto tcp",
        "protocol in (6 17 1)",
        "bytes > 40",
        "packets 1-40",
        "start = -",
    ),
    *(
        "interface-id = -,eni-0a1b2c3d4e5f60718",
        "end >= 2026-11-01T00:00:00Z",
        "service-port <= 443",
        "side = dst,both",
    ),
    *("client-port = -", "action = REJECT", "srcport = -", "version 2"),
]
"""Tests of fields that all drawn columns and the default format have."""


def _where(random: Random) -> str:
    text = random.choice(TESTS)
    for _ in range(random.choice([0, 0, 1, 2, 5])):
        test = random.choice(["", "", "not "]) + random.choice(TESTS)
        text = random.choice([f"{text} and {test}", f"{text} or {test}", f"not ({text}) or {test}"])
    return text


def _columns(random: Random) -> tuple[str, ...]:
    """Draw columns that can answer any question, in any order."""
    others = [name for name in FIELDS if name not in (*strategies.ASKED, "interface-id", "version")]
    needed = [
        name for name in (*strategies.ASKED, "interface-id", "version") if name != "log-status" or random.random() < 0.7
    ]
    columns = needed + random.sample(others, random.randint(0, 5))
    random.shuffle(columns)
    return tuple(columns)


def _file(random: Random, columns: tuple[str, ...], question: dict[str, str]) -> Segments:
    dirt = random.choice([0, 0, 0.02, 0.1, 0.3])
    stamps = random.choice([0, 0, 0, 0.5, 1])
    end = random.choice(["\n"] * 8 + ["\r\n", "\r"])
    segments: Segments = []
    if random.random() < 0.05:
        segments.append(("\xef\xbb\xbf", 1))
    if random.random() < 0.4:
        columns = random.choice([columns, _columns(random), DEFAULT_FIELDS])
        segments.append((" ".join(columns) + end, 1))
    talkers = [[_address(random), _address(random), _port(random)] for _ in range(random.randint(1, 8))]
    for _ in range(random.choice([0, 1, 3, 10, 30, 60])):
        if random.random() < dirt / 3:
            columns = random.choice([columns, _columns(random), DEFAULT_FIELDS])
            segments.append((" ".join(_header(random, columns)) + end, 1))
        line = _record(random, columns, random.choice(talkers))
        if random.random() < stamps:
            line = _stamp(random) + line
        while random.random() < dirt:
            line = random.choice(DIRT)(random, line)
        line_end = end if random.random() >= dirt else random.choice(["\n", "\r\n", "\r", "\n\n", "\n\r", "\r\r\n", ""])
        segments.append((line + line_end, 1))
    if segments and random.random() < 0.02:
        # More than the mapper reads at a time.
        text, _ = segments.pop(at := random.randrange(len(segments)))
        segments.insert(at, (text, random.choice([300, 1500, 3000])))
    if random.random() < 0.01:
        segments.append((_long_line(random, columns) + end, 1))
    summed = [metric for metric in question["metric"].split(",") if metric in strategies.SUMMED]
    if summed and random.random() < 0.02:
        segments += _large_sum(random, columns, random.choice(summed))
    if segments and random.random() < 0.3:
        text, times = segments[-1]
        segments[-1] = (text.rstrip("\r\n"), times)
    return segments


def _header(random: Random, columns: tuple[str, ...]) -> list[str]:
    names = list(columns)
    if random.random() < 0.5:
        return names
    at = random.randrange(len(names))
    names[at] = random.choice(["x", "src-addr", "srcaddr", "dstport", "Version", "my_tag", "", "-", "a" * 300, "x9"])
    return names if random.random() < 0.7 else names[at:]


def _record(random: Random, columns: tuple[str, ...], talker: list[str]) -> str:
    values = dict(zip(("srcaddr", "dstaddr", "dstport"), talker, strict=True))
    return " ".join(values.get(name) or _VALUES.get(name, _filler)(random) for name in columns)


def _filler(random: Random) -> str:
    return random.choice(strategies.FILLERS)


def _address(random: Random) -> str:
    kind = random.random() * random.choice([0, 0, 1])
    if kind < 0.5:
        return str(ipaddress.IPv4Address(random.choice([random.getrandbits(32), 0x0A000000 + random.randint(0, 300)])))
    if kind < 0.6:
        return random.choice(strategies.ADDRESSES)
    if kind < 0.7:
        return random.choice(strategies.BAD_ADDRESSES)
    if kind < 0.8:
        return ".".join(str(random.choice([0, 1, 9, 10, 99, 100, 199, 249, 255, 256, 999, "01", ""])) for _ in range(4))
    groups = [f"{random.getrandbits(random.choice([1, 4, 8, 16])):x}" for _ in range(random.choice([8, 8, 7, 6, 9, 3]))]
    for at in range(len(groups)):
        if random.random() < 0.1:
            groups[at] = random.choice(["0000", "FFFF", "00a", "12345", "g", "aB"])
    if random.random() < 0.2:
        groups[-1] = random.choice(["192.0.2.1", "192.0.2.256", "1.2.3", "0.0.0.0"])
    if random.random() < 0.6:
        at = random.randint(0, len(groups))
        return ":".join(groups[:at]) + "::" + ":".join(groups[at + random.randint(0, 4) :])
    return ":".join(groups)


def _port(random: Random) -> str:
    kind = random.random()
    if kind < 0.6:
        return str(random.choice([22, 53, 80, 443, 1024, 1025, 8080]))
    if kind < 0.9:
        return str(random.randint(0, random.choice([9, 1100, 65_535, 70_000, 1_000_000])))
    return random.choice(strategies.BAD_PORTS[:8] + strategies.BAD_PORTS[10:]).encode().decode("latin-1")


def _number(random: Random) -> str:
    kind = random.random()
    if kind < 0.8:
        return str(random.getrandbits(random.choice([1, 6, 12, 20, 40])))
    if kind < 0.9:
        return str(random.randint(0, 9)) * random.randint(1, 17)
    return random.choice(strategies.NUMBERS + strategies.BAD_NUMBERS)


def _latin(text: str) -> str:
    """A text's bytes, each as one character."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


_VALUES: dict[str, Callable[[Random], str]] = {
    "version": lambda random: random.choice(["2", "2", "5", "-"]),
    "srcport": lambda random: random.choice(["-", *strategies.PORTS * 3, _port(random)]),
    "protocol": lambda random: random.choice(strategies.PROTOCOLS * 8 + strategies.BAD_PROTOCOLS),
    "tcp-flags": lambda random: random.choice(strategies.FLAGS * 4 + strategies.BAD_FLAGS),
    "vpc-id": lambda random: _latin(random.choice(strategies.TEXTS[:-1] * 4 + strategies.BAD_TEXTS)),
    "interface-id": lambda random: _latin(
        random.choice([*strategies.FILLERS * 3, *strategies.TEXTS, *strategies.BAD_TEXTS])
    ),
    "pkt-srcaddr": _address,
    "pkt-dstaddr": _address,
    "packets": _number,
    "bytes": _number,
    "start": lambda random: (
        random.choice(strategies.STARTS * 3 + strategies.FAR_TIMES) if random.random() < 0.9 else _number(random)
    ),
    "end": lambda random: random.choice(strategies.STARTS * 3 + strategies.FAR_TIMES),
    "action": lambda random: random.choice(["ACCEPT"] * 6 + ["REJECT"] * 2 + ["-"]),
    "log-status": lambda random: random.choice(["OK"] * 20 + ["NODATA", "SKIPDATA"] + strategies.BAD_STATUSES),
}


def _stamp(random: Random) -> str:
    return random.choice(
        [
            *("2026-11-01T00:00:00Z ", "2026-11-01T00:00:00.123Z ", "2026-11-01T00:00:00.1234567890123456789Z "),
            *("2026-11-01T00:00:00.Z ", "2026-11-01T00:00:00 ", "2026-11-01T00:00:00Z", "2026-11-01t00:00:00Z "),
            *("9999-99-99T99:99:99Z ", "2026-11-01T00:00:00Z  ", "2026-11-01T00:00:00Z\t", "026-11-01T00:00:00Z "),
        ][: random.choice([2, 2, 2, 11])]
    )


def _changed(random: Random, line: str) -> str:
    """Add, remove or replace one character."""
    at = random.randint(0, len(line))
    new: str = random.choice(["", *" \t\r\n\x00\x0b\x0c:.-0aAZT$%[]\"',\xa0\xef\xff", "  ", "\xef\xbb\xbf", "::"])
    return line[:at] + new + line[at + random.randint(0, 1) :]


def _shuffled(random: Random, line: str) -> str:
    words = line.split(" ")
    random.shuffle(words)
    return " ".join(words)


def _noise(random: Random, _line: str) -> str:
    return random.randbytes(random.randint(0, 80)).decode("latin-1")


def _cut(random: Random, line: str) -> str:
    return line[: random.randint(0, len(line))]


DIRT: list[Callable[[Random, str], str]] = [
    *[_changed] * 6,
    *[_cut, _shuffled, _noise],
    lambda random, line: random.choice(["\xef\xbb\xbf", _stamp(random), " ", "\t", "\x00"]) + line,
    lambda random, line: line + random.choice([" ", "  ", " extra", " extra columns here", "\t", "\x00"]),
    lambda random, _: random.choice(["", " ", "   ", "\t", "\x0b", "version", "srcaddr x", "OK", "- -", "\x00" * 40]),
    lambda random, _: " ".join(_header(random, _columns(random))),
    lambda random, _: _record(random, _columns(random), [_address(random), _address(random), _port(random)]),
    lambda _, line: line.replace(" ", ","),
    lambda _, line: '{"message": "' + line + '"}',
    lambda _, line: "[" + line + "]",
    lambda _, line: line.encode("latin-1").upper().decode("latin-1"),
    lambda _, line: line.replace(" ", "  ", 1),
]


def _long_line(random: Random, columns: tuple[str, ...]) -> str:
    """Make a line of about the largest allowed length, including the limit itself and its neighbours."""
    line = _record(random, columns, ["10.0.0.1", "10.0.0.2", "443"])
    missing = LONGEST_LINE + random.choice([-2, -1, 0, 1, 2, 70, 300_000]) - len(line)
    longer: list[Callable[[], str]] = [
        lambda: line + " " + "x" * (missing - 1),
        lambda: line + " " * missing,
        lambda: line + " 1" * (missing // 2),
        lambda: "x" * (missing - 1) + " " + line,
        lambda: " " * missing + line,
        lambda: line + "0" * missing,
        lambda: line.replace(" ", " " + "y" * missing + " ", 1),
    ]
    return random.choice(longer)()


def _large_sum(random: Random, columns: tuple[str, ...], metric: str) -> Segments:
    """Make lines of one talker that add up to about the largest possible sum."""
    total = LONGEST_SUM + random.choice([-1, 0, 1, 2, LARGEST_NUMBER, LONGEST_SUM // 3])
    times, rest = divmod(total, LARGEST_NUMBER)
    values = {"srcaddr": "10.0.0.1", "dstaddr": "10.0.0.2", "dstport": "443", "start": "1793491200"}
    values |= {"action": "ACCEPT", "log-status": "OK", "packets": "1", "bytes": "1", "end": "1793491200"}

    def line(value: int) -> str:
        return " ".join(str(value) if name == metric else values.get(name, "-") for name in columns) + "\n"

    return [(line(LARGEST_NUMBER), times), (line(rest), 1)]
