"""The counting rules again, written as plainly as possible: every engine is compared with this.

Shares no code with the package except the question. It reads whole files at once and is slow, which does not matter.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from toptalkers.question.query import Query

DEFAULT = [
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
]
RECIPE = ("srcaddr", "dstaddr", "dstport")
ADDRESSES = ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr")
PORTS = ("srcport", "dstport")
NUMBERS = (
    *("version", "packets", "bytes", "start", "end", "tcp-flags", "traffic-path", "encryption-status"),
    *("packets-lost-no-route", "packets-lost-blackhole", "packets-lost-mtu-exceeded", "packets-lost-ttl-expired"),
)
JOINED = ("start", "end", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes")
"""A key that begins with these is of whole records, each of which must have them."""
TIMES = {"minute": 60, "hour": 3600, "day": 86400}
SERVICE = ("service-port", "side", "client-port")
SUMMED = {"packets": "packets", "bytes": "bytes", "first": "start", "last": "end"}
LAST_SECOND = 253_402_300_799
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z( |$)")
PACKED = rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|\xfd7zX|1AY&SY|PK\x03\x04"


class SkippedError(Exception):
    """Raised for a record that does not count, with the reason."""


Record = dict[str, str]
"""The values of a record by field, each byte one character (Latin-1)."""


@dataclass
class Reference:
    """Sums by talker, the tally, and which files are misfits.

    Attributes:
        metrics: what is summed.
        sums: the sums of each printed key.
        records: the records that count.
        whole: sums and tally of only the files that fit: the result of an engine that leaves the others out.

    """

    metrics: tuple[str, ...]
    sums: dict[bytes, list[int]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    misfits: list[bool] = field(default_factory=list)
    whole: "Reference | None" = None

    @property
    def verdicts(self) -> dict[str, int]:
        """How many records counted, and how many were skipped for each reason."""
        return {"counted": 0} | {
            name: n for name, n in self.seen.items() if name not in ("records_read", "misfit_files")
        }

    def add(self, key: bytes, values: list[int]) -> None:
        """Add the values of a record, or sums of the same key."""
        old = self.sums.setdefault(key, values)
        if old is not values:
            how: list[Callable[[int, int], int]] = [
                {"first": min, "last": max}.get(metric, int.__add__) for metric in self.metrics
            ]
            self.sums[key] = [join(one, other) for join, one, other in zip(how, old, values, strict=True)]

    def lines(self, top: int = 0) -> bytes:
        """Format the answer as lines of the key and the sums."""
        ranked = sorted(self.sums.items(), key=lambda item: (-item[1][0], item[0]))
        texts = []
        for key, sums in ranked[: top or None]:
            printed = [
                _time(value) if metric in ("first", "last") else str(value)
                for metric, value in zip(self.metrics, sums, strict=True)
            ]
            texts.append(b"\t".join([key, *(one.encode() for one in printed)]) + b"\n")
        return b"".join(texts)


def count(query: Query, files: list[bytes], known_fields: set[str]) -> Reference:
    """Count uncompressed files; of the mapper's `misfit_files`, `seen` has only the number of stretches."""
    answer = Reference(query.metric, whole=Reference(query.metric))
    for content in files:
        one = Reference(query.metric)
        ends_packed = False
        stretches: list[list[str | None]] = [[]]  # for each record: why it is malformed, "odd", or None
        columns = list(query.log_format.columns) if query.log_format else DEFAULT
        for raw in re.split(rb"[\r\n]", content):
            line = raw.removeprefix(b"\xef\xbb\xbf")
            line = STAMP.sub(b"", line, count=1) if STAMP.match(line) else line
            is_too_long = len(raw) > 1 << 20
            if not line.strip() and not is_too_long:
                continue
            values = line.decode("latin-1").rstrip(" ").split(" ")
            if not is_too_long and _is_header(values, known_fields):
                columns = [value.replace("_", "-") for value in values]
                stretches.append([])
                continue
            one.seen["records_read"] += 1
            reason = "malformed_columns" if is_too_long else _examine(query, columns, values, one)
            one.seen[reason or "counted"] += 1
            if reason and reason.startswith("malformed"):
                start = b"" if is_too_long else line.rstrip(b" ")[:4096]
                stretches[-1].append("names columns" if _names_columns(start) else "malformed")
                ends_packed = ends_packed or re.search(PACKED, start) is not None
            else:
                ends_packed = False
                record = dict(reversed(list(zip(columns, values, strict=True))))
                stretches[-1].append("odd" if _is_odd(record) else None)
        bad = sum(_is_misfit(stretch) for stretch in stretches)
        records = [verdict for stretch in stretches for verdict in stretch]
        if not bad and (ends_packed or (records and set(records) <= {"malformed", "names columns"})):
            bad = 1
        if bad:
            one.seen["misfit_files"] = bad
        answer.misfits.append(bool(bad))
        for into in (answer, *([answer.whole] if answer.whole and not bad else [])):
            for key, sums in one.sums.items():
                into.add(key, sums)
            into.records.extend(one.records)
            into.seen.update(one.seen)
    return answer


def _is_header(values: list[str], known_fields: set[str]) -> bool:
    names = [value.replace("_", "-") for value in values]
    shaped = all(re.fullmatch(r"[a-z][a-z0-9_-]*", value) for value in values)
    return shaped and (names[0] in known_fields or sum(name in known_fields for name in names) > len(names) / 2)


def _is_misfit(verdicts: list[str | None]) -> bool:
    if "names columns" in verdicts:
        return True
    malformed = verdicts.count("malformed")
    if malformed > 1 and malformed > len(verdicts) / 4:
        return True
    if _longest_run([verdict == "malformed" for verdict in verdicts]) >= 10:
        return True
    sound = [verdict for verdict in verdicts if verdict != "malformed"]
    samples = [verdict == "odd" for number, verdict in enumerate(sound) if number < 64 or number % 256 == 0]
    odd = sum(samples)
    return odd > len(samples) / 2 or (odd > 1 and odd > len(samples) / 4) or _longest_run(samples) >= 10


def _names_columns(line: bytes) -> bool:
    return re.search(rb"srcaddr|sourceaddr", re.sub(rb"[\0 _-]", b"", line).lower()) is not None


def _longest_run(verdicts: list[bool]) -> int:
    longest = run = 0
    for verdict in verdicts:
        run = run + 1 if verdict else 0
        longest = max(longest, run)
    return longest


def _is_odd(record: dict[str, str]) -> bool:
    tests = {
        "version": lambda text: re.fullmatch(r"[0-9]{1,2}", text) is not None,
        "protocol": lambda text: re.fullmatch(r"0|[1-9][0-9]{0,2}", text) is not None and int(text) <= 255,
        "action": lambda text: text in ("ACCEPT", "REJECT"),
        "log-status": lambda text: text in ("OK", "NODATA", "SKIPDATA"),
        **dict.fromkeys(("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"), is_address),
        **dict.fromkeys(("srcport", "dstport"), _is_port),
        **dict.fromkeys(("packets", "bytes", "start", "end"), _is_number),
    }
    if any(name in record and record[name] != "-" and not test(record[name]) for name, test in tests.items()):
        return True
    times = [int(record[name]) for name in ("start", "end") if record.get(name, "-") != "-"]
    sizes = [record.get(name, "-") for name in ("packets", "bytes")]
    epochs = [size for size in sizes if len(size) == 10 and 10**9 <= int(size) < 4 * 10**9]
    return bool(epochs) and any(time < 10**9 for time in times)


def _examine(query: Query, columns: list[str], values: list[str], answer: Reference) -> str | None:
    """Count a record; return why it does not count, or None."""
    if len(values) != len(columns):
        return "malformed_columns"
    record = dict(reversed(list(zip(columns, values, strict=True))))
    try:
        _look(query, record)
        if query.by == RECIPE:
            key = _recipe_key(record)
        else:
            key = b"\t".join(column for part in query.by for column in _columns(part, record))
        sums = [_summed(metric, record) for metric in query.metric]
    except SkippedError as reason:
        return str(reason)
    answer.add(key, sums)
    answer.records.append(record)
    return None


def _look(query: Query, record: Record) -> None:
    """Look at all that the conditions need, in order; raise SkippedError unless the record is wanted."""
    needed = list(RECIPE) if query.by == RECIPE else []
    needed += JOINED if query.by[: len(JOINED)] == JOINED else ()
    needed += ["action"] * (query.action != "ALL")
    needed += ["start"] * bool(query.since or query.until)
    needed += ["dstport"] * (query.ports != ((0, 65535),))
    needed += [SUMMED[metric] for metric in query.metric if metric in SUMMED]
    tests = query.where.program.split(",") if query.where else []
    named = [test.split(":")[0] for test in tests if ":" in test]
    needed += [one for name in named for one in (PORTS if name in SERVICE else [name])]
    if not set(needed) <= set(record):
        raise SkippedError("malformed_columns")
    if "log-status" not in record and [record.get(name) for name in RECIPE] == ["-", "-", "-"]:
        raise SkippedError("nodata")
    status = record.get("log-status", "OK")
    if status != "OK":
        raise SkippedError({"NODATA": "nodata", "SKIPDATA": "skipdata"}.get(status, "malformed_status"))
    if query.action != "ALL" and record["action"] not in ("ACCEPT", "REJECT"):
        raise SkippedError("malformed_action")
    if (query.since or query.until) and not _is_number(record["start"]):
        raise SkippedError("malformed_number")
    looks_at_port = query.by == RECIPE or query.ports != ((0, 65535),)
    if looks_at_port and not _is_port(record["dstport"]) and (query.by == RECIPE or record["dstport"] != "-"):
        raise SkippedError("malformed_port")
    for name in dict.fromkeys(named):
        if name in SERVICE:
            _service(record)
        elif record[name] != "-" and (name in ADDRESSES or name in PORTS or name == "protocol" or name in NUMBERS):
            _value(name, record)
    if query.action not in ("ALL", record.get("action")):
        raise SkippedError("action")
    if query.since or query.until:
        start = int(record["start"])
        start = start // 1000 if start >= 10**11 else start
        if query.since and start < query.since.timestamp():
            raise SkippedError("time")
        if query.until and start >= query.until.timestamp():
            raise SkippedError("time")
    if looks_at_port:
        port = record["dstport"]
        if port == "-" or not any(low <= int(port) <= high for low, high in query.ports):
            raise SkippedError("ports")
    if tests and not _holds(tests, record):
        raise SkippedError("where")


def _recipe_key(record: Record) -> bytes:
    for name in RECIPE[:2]:
        if not is_address(record[name]):
            raise SkippedError("malformed_address")
    printed = [f"[{text}]" if ":" in text else text for text in (record["srcaddr"], record["dstaddr"])]
    return f"{printed[0]}:{printed[1]}:{record['dstport']}".encode()


def _columns(part: str, record: Record) -> list[bytes]:
    """The printed columns of a part of a key."""
    if part == "pair":
        texts = [_value(name, record).encode() for name in ("srcaddr", "dstaddr")]
        return sorted(texts)
    if part in SERVICE:
        return [_service(record)[part].encode()]
    if part in TIMES:
        if record.get("start", "-") == "-":
            return [b"-"]
        seconds = _seconds(record["start"])
        return [_time(seconds - seconds % TIMES[part]).encode()]
    if "/" in part:
        name, short, long = part.split("/")
        text = _value(name, record)
        return [(text if text == "-" else _network(text, int(short), int(long))).encode()]
    if part in (*ADDRESSES, *PORTS, "protocol"):
        return [_value(part, record).encode()]
    text = record.get(part, "-")
    if part in NUMBERS:
        if text != "-" and not _is_number(text):
            raise SkippedError("malformed_number")
        return [text.encode()]
    return [_text(text.encode("latin-1"))]


def _value(name: str, record: Record) -> str:
    """A value that is no text, or `-`; raises SkippedError if it is not of the field's kind."""
    text = record.get(name, "-")
    if text == "-":
        return text
    if name in ADDRESSES and not is_address(text):
        raise SkippedError("malformed_address")
    if name in PORTS and not _is_port(text):
        raise SkippedError("malformed_port")
    if name == "protocol" and not (re.fullmatch(r"0|[1-9][0-9]{0,2}", text) and int(text) <= 255):
        raise SkippedError("malformed_number")
    if name in NUMBERS and not _is_number(text):
        raise SkippedError("malformed_number")
    if name in ("start", "end"):
        _seconds(text)
    return text


def _text(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise SkippedError("malformed_text") from None
    if not 1 <= len(text) <= 1024 or any(byte <= 0x20 or byte == 0x7F for byte in text):
        raise SkippedError("malformed_text")
    return text


def _seconds(text: str) -> int:
    """A time in seconds, of a text in seconds or milliseconds."""
    if not _is_number(text):
        raise SkippedError("malformed_number")
    seconds = int(text) if int(text) < 10**11 else int(text) // 1000
    if seconds > LAST_SECOND:
        raise SkippedError("malformed_number")
    return seconds


def _time(seconds: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat() + "Z"  # noqa: DTZ001 - UTC throughout


def _network(text: str, short: int, long: int) -> str:
    """The network of an address: cut to so many bits for IPv4, or for IPv6."""
    address = ipaddress.ip_address(text)
    length = short if address.version == 4 else long
    lost = address.max_prefixlen - length
    number = int(address) >> lost << lost
    if address.version == 4:
        return f"{ipaddress.IPv4Address(number)}/{length}"
    groups = [f"{number >> 16 * place & 0xFFFF:x}" for place in range(7, -1, -1)]
    runs = [(width, -at) for at in range(8) for width in range(2, 9 - at) if set(groups[at : at + width]) == {"0"}]
    if not runs:
        return f"{':'.join(groups)}/{length}"
    width, at = max(runs)
    return f"{':'.join(groups[:-at])}::{':'.join(groups[-at + width :])}/{length}"


def _service(record: Record) -> Record:
    """Which port is the service's, which side has it, and the other port if it is a known one."""
    source, destination = _value("srcport", record), _value("dstport", record)
    text = record.get("tcp-flags", "-")
    flags = int(text) if _is_number(text) else 0
    if "-" in (source, destination):
        port, side = (destination, "dst") if destination != "-" else (source, "src")
        return {"service-port": port, "side": "-" if port == "-" else side, "client-port": "-"}
    if flags & 2:
        side = "src" if flags & 16 else "dst"
    elif source == destination:
        return {"service-port": source, "side": "both", "client-port": source}
    else:
        side = "src" if int(source) < int(destination) else "dst"
    port, other = (source, destination) if side == "src" else (destination, source)
    return {"service-port": port, "side": side, "client-port": other if int(other) <= 1024 else "-"}


def _holds(tests: list[str], record: Record) -> bool:
    """Whether the program of an expression holds for a record whose values are of their kinds."""
    stack: list[bool] = []
    for test in tests:
        if test == "not":
            stack.append(not stack.pop())
        elif test in ("and", "or"):
            two = [stack.pop(), stack.pop()]
            stack.append(all(two) if test == "and" else any(two))
        else:
            name, kind, wanted = test.split(":")
            text = _service(record)[name] if name in SERVICE else record[name]
            stack.append(_is_one_of(name, kind, text, wanted.split("+")))
    [holds] = stack
    return holds


def _is_one_of(name: str, kind: str, text: str, wanted: list[str]) -> bool:
    if kind == "t":
        return text.encode("latin-1") in map(bytes.fromhex, wanted)
    if text == "-":
        return False
    ranges = [one.split("-") for one in wanted]
    if kind == "n":
        number = _seconds(text) if name in ("start", "end") else int(text)
        return any(int(low) <= number <= int(high) for low, high in ranges)
    address = ipaddress.ip_address(text)
    return any(
        len(low) == address.max_prefixlen // 4 and int(low, 16) <= int(address) <= int(high, 16) for low, high in ranges
    )


def _summed(metric: str, record: Record) -> int:
    if metric == "records":
        return 1
    text = record[SUMMED[metric]]
    if not _is_number(text):
        raise SkippedError("malformed_number")
    return _seconds(text) if metric in ("first", "last") else int(text)


def _is_port(text: str) -> bool:
    return re.fullmatch(r"0|[1-9][0-9]{0,4}", text) is not None and int(text) <= 65535


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address, without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,15}", text) is not None
