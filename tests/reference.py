"""The counting rules again, written as plainly as possible: every engine is compared with this.

Shares no code with the package except the question. It reads whole files at once and is slow, which does not matter.
"""

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, field

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
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z( |$)")
PACKED = rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|\xfd7zX|1AY&SY|PK\x03\x04"


@dataclass
class Reference:
    """Sums by talker, the tally, and which files are misfits.

    Attributes:
        whole: sums and tally of only the files that fit: the result of an engine that leaves the others out.

    """

    sums: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    misfits: list[bool] = field(default_factory=list)
    whole: "Reference | None" = None

    def lines(self, top: int = 0) -> bytes:
        """Format the answer as `<talker>` TAB `<sum>` lines."""
        ranked = sorted(self.sums.items(), key=lambda item: (-item[1], item[0].encode()))
        return "".join(f"{talker}\t{total}\n" for talker, total in ranked[: top or None]).encode()


def count(query: Query, files: list[bytes], known_fields: set[str]) -> Reference:
    """Count uncompressed files; of the mapper's `misfit_files`, `seen` has only the number of stretches."""
    answer = Reference(whole=Reference())
    for content in files:
        one = Reference()
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
            into.sums.update(one.sums)
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
    wanted = ["srcaddr", "dstaddr", "dstport"]
    wanted += ["action"] * (query.action != "ALL")
    wanted += ["start"] * bool(query.since or query.until)
    wanted += [query.metric] * (query.metric != "records")
    if len(values) != len(columns) or not set(wanted) <= set(columns):
        return "malformed_columns"
    record = dict(reversed(list(zip(columns, values, strict=True))))
    port = record["dstport"]
    if "log-status" not in record and {record["srcaddr"], record["dstaddr"], port} == {"-"}:
        return "nodata"
    status = record.get("log-status", "OK")
    if status != "OK":
        return {"NODATA": "nodata", "SKIPDATA": "skipdata"}.get(status, "malformed_status")
    if query.action != "ALL" and record["action"] not in ("ACCEPT", "REJECT"):
        return "malformed_action"
    if (query.since or query.until) and not _is_number(record["start"]):
        return "malformed_number"
    if not _is_port(port):
        return "malformed_port"
    if query.action not in ("ALL", record.get("action")):
        return "action"
    if query.since or query.until:
        start = int(record["start"])
        start = start // 1000 if start >= 10**11 else start
        if query.since and start < query.since.timestamp():
            return "time"
        if query.until and start >= query.until.timestamp():
            return "time"
    if not any(low <= int(port) <= high for low, high in query.ports):
        return "ports"
    if not (is_address(record["srcaddr"]) and is_address(record["dstaddr"])):
        return "malformed_address"
    value = "1" if query.metric == "records" else record[query.metric]
    if not _is_number(value):
        return "malformed_number"
    printed = [f"[{text}]" if ":" in text else text for text in (record["srcaddr"], record["dstaddr"])]
    answer.sums[f"{printed[0]}:{printed[1]}:{port}"] += int(value)
    return None


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
