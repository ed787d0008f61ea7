"""The counting rules once more, as plainly as they can be written: what every engine is compared with.

Shares no code with the package but the question. Reads whole files at once and is slow, which nobody minds here.
"""

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, field

from toptalkers.query import Query

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


@dataclass
class Reference:
    """Sums by talker, and the tally."""

    sums: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)

    def lines(self, top: int = 0) -> bytes:
        """The answer as `<talker>` TAB `<sum>` lines."""
        ranked = sorted(self.sums.items(), key=lambda item: (-item[1], item[0].encode()))
        return "".join(f"{talker}\t{total}\n" for talker, total in ranked[: top or None]).encode()


def count(query: Query, files: list[bytes], known_fields: set[str]) -> Reference:
    """Count unpacked files."""
    answer = Reference()
    for content in files:
        columns = list(query.log_format.columns) if query.log_format else DEFAULT
        for raw in re.split(rb"[\r\n]", content):
            line = raw.removeprefix(b"\xef\xbb\xbf")
            line = STAMP.sub(b"", line, count=1) if STAMP.match(line) else line
            if not line.strip():
                continue
            values = line.decode("latin-1").split(" ")
            if values[0] in known_fields and all(re.fullmatch(r"[a-z][a-z0-9-]*", value) for value in values):
                columns = values
                continue
            answer.seen["records_read"] += 1
            reason = _examine(query, columns, values, answer)
            answer.seen[reason or "counted"] += 1
    return answer


def _examine(query: Query, columns: list[str], values: list[str], answer: Reference) -> str | None:
    wanted = ["srcaddr", "dstaddr", "dstport"]
    wanted += ["action"] * (query.action != "ALL")
    wanted += ["start"] * bool(query.since or query.until)
    wanted += [query.metric] * (query.metric != "records")
    if len(values) < len(columns) or not set(wanted) <= set(columns):
        return "malformed_columns"
    record = dict(reversed(list(zip(columns, values, strict=False))))
    status = record.get("log-status", "OK")
    if status != "OK":
        return {"NODATA": "nodata", "SKIPDATA": "skipdata"}.get(status, "other_status")
    if query.action not in ("ALL", record.get("action")):
        return "action"
    if query.since or query.until:
        if not _is_number(record["start"]):
            return "malformed_number"
        start = int(record["start"])
        start = start // 1000 if start >= 10**11 else start
        if query.since and start < query.since.timestamp():
            return "time"
        if query.until and start >= query.until.timestamp():
            return "time"
    port = record["dstport"]
    if not re.fullmatch(r"0|[1-9][0-9]{0,4}", port) or int(port) > 65535:
        return "malformed_port"
    if not any(low <= int(port) <= high for low, high in query.ports):
        return "ports"
    printed = []
    for address in (record["srcaddr"], record["dstaddr"]):
        try:
            family = ipaddress.ip_address(address).version
        except ValueError:
            return "malformed_address"
        if "%" in address:
            return "malformed_address"
        printed.append(address if family == 4 else f"[{address}]")
    value = "1" if query.metric == "records" else record[query.metric]
    if not _is_number(value):
        return "malformed_number"
    answer.sums[f"{printed[0]}:{printed[1]}:{port}"] += int(value)
    return None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,15}", text) is not None
