"""Recognize, by content, other files that lie beside flow logs: not flow logs, but not errors either.

AWS writes most of them; others are the truth of `toptalkers sample`, and snapshots.
"""

import re
from dataclasses import dataclass

from toptalkers.flowlog.truth import SNAPSHOT_HEAD, TRUTH_HEAD

_STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?"

_LINES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    (
        "Application Load Balancer access logs",
        re.compile(rb"(?:https?|h2|grpcs|wss?) " + _STAMP + rb" app/\S+ \S+ .*\"[^\"]*\".*"),
    ),
    ("Network Load Balancer access logs", re.compile(rb"tls \d\.\d " + _STAMP + rb" net/\S+ .*")),
    (
        "Classic Load Balancer access logs",
        re.compile(_STAMP + rb" \S+ \S+:\d+ (?:\S+:\d+|-) (?:-?[\d.]+ ){3}.*\"[^\"]*\".*"),
    ),
    (
        "load balancer connection logs",
        re.compile(_STAMP + rb" [0-9A-Fa-f.:]+ \d+ \d+ (?:TLSv[\d.]+|-) \S+ .*TID_\S+"),
    ),
    (
        "S3 access logs",
        re.compile(rb"[0-9a-f]{64} \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] \S+ .*\".*"),
    ),
)

_JSON: tuple[tuple[str, re.Pattern[bytes], tuple[bytes, ...]], ...] = (
    ("the truth of a sample", re.compile(re.escape(TRUTH_HEAD)), ()),
    ("a snapshot of a network", re.compile(re.escape(SNAPSHOT_HEAD)), ()),
    ("CloudTrail", re.compile(rb'\{\s*"Records"\s*:\s*\[\s*\]'), ()),
    ("CloudTrail", re.compile(rb'\{\s*"Records"\s*:'), (b'"eventSource"', b".amazonaws.com")),
    ("CloudTrail Insights", re.compile(rb'\{\s*"Records"\s*:'), (b'"insightDetails"',)),
    ("a CloudTrail digest", re.compile(rb"\{"), (b'"awsAccountId"', b'"digestStartTime"')),
    ("AWS Config", re.compile(rb"\{"), (b'"fileVersion"', b'"configurationItems"')),
    ("AWS Config", re.compile(rb"\{"), (b'"fileVersion"', b'"configSnapshotId"')),
    ("AWS WAF logs", re.compile(rb"\{"), (b'"formatVersion"', b'"webaclId"')),
    ("Route 53 resolver query logs", re.compile(rb"\{"), (b'"query_timestamp"', b'"query_name"')),
    ("GuardDuty findings", re.compile(rb"\{"), (b'"schemaVersion"', b":guardduty:")),
    ("an S3 inventory manifest", re.compile(rb"\{"), (b'"sourceBucket"', b'"destinationBucket"')),
    ("a manifest", re.compile(rb'\{\s*"(?:entries|fileLocations)"\s*:\s*\[\s*(?:\]|\{\s*"(?:url|URIs)"\s*:)'), ()),
    ("the manifest of a DynamoDB or CloudWatch export", re.compile(rb"\{"), (b'"exportArn"',)),
    ("the manifest of a DynamoDB or CloudWatch export", re.compile(rb"\{"), (b'"manifestFilesS3Key"',)),
)
"""How the JSON begins, and words that it contains anywhere, because the keys of JSON have no order."""

_EMPTY_NAMES = ("ConfigWritabilityCheckFile", "_SUCCESS")
_RECORD_WORDS = (b" ACCEPT ", b" REJECT ", b" NODATA", b" SKIPDATA", b'-accept"', b"DATA_MESSAGE")
_RECORD_KEYS = (b'"log-status"', b'"log_status"', b'"logStatus"')


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The kind of a file, in words, and a pattern of its lines if they have one."""

    what: str
    line: re.Pattern[bytes] | None = None


def find_neighbour(name: str, head: bytes, *, is_whole: bool) -> Neighbour | None:
    """Recognize a file that AWS writes beside flow logs; None if it may be a flow log.

    Args:
        name: its name, with or without folders.
        head: its first bytes, decompressed.
        is_whole: whether these are all its bytes.

    """
    if is_whole and head.strip() == b"Permission Check Successful":
        return Neighbour("a write-permission test of CloudWatch Logs")
    if is_whole and re.fullmatch(rb"Enable [A-Za-z]+Log for ELB: [^\n]*\s*", head):
        return Neighbour("a write-permission test of a load balancer")
    if is_whole and not head.strip() and name.rpartition("/")[2].partition(".gz")[0] in _EMPTY_NAMES:
        return Neighbour("an empty marker")
    if may_hold_records(head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] == b"{":
        fits = (what for what, shape, words in _JSON if shape.match(start) and all(word in head for word in words))
        return next(map(Neighbour, fits), None)
    if start.startswith(b"#Version: 1.0") and b"#Fields: " in start[:2000]:
        return Neighbour("CloudFront access logs")
    lines = start.replace(b"\r\n", b"\n").split(b"\n")
    if not is_whole and len(lines) > 1:
        lines.pop()
    for what, shape in _LINES:
        if all(shape.fullmatch(line) for line in lines if line.strip()) and start:
            return Neighbour(what, shape)
    return None


def may_hold_records(piece: bytes) -> bool:
    """Whether a piece of a file contains words that only flow records have, not the files above."""
    return any(word in piece for word in (*_RECORD_WORDS, *_RECORD_KEYS))
