"""What AWS leaves beside flow logs in a bucket or folder, told by content: no flow logs, and no fault either."""

import re
from dataclasses import dataclass

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

_JSON: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    (
        "CloudTrail",
        re.compile(
            rb'\s*\{\s*"Records"\s*:\s*\[\s*(?:\]|\{.{0,8000}?"eventSource"\s*:\s*"[a-z0-9.-]+\.amazonaws\.com")',
            re.DOTALL,
        ),
    ),
    ("a CloudTrail digest", re.compile(rb'\s*\{\s*"awsAccountId"[^}]{0,4000}"digestStartTime"')),
    ("CloudTrail Insights", re.compile(rb'\s*\{\s*"Records"\s*:\s*\[\s*\{[^}]{0,4000}"insightDetails"')),
    ("AWS Config", re.compile(rb'\s*\{\s*"fileVersion"\s*:[^}]{0,4000}"config(?:SnapshotId|urationItems)"')),
    ("AWS WAF logs", re.compile(rb'\s*\{\s*"timestamp"\s*:\s*\d+\s*,\s*"formatVersion"\s*:[^\n]{0,4000}"webaclId"')),
    ("Route 53 resolver query logs", re.compile(rb'\s*\{\s*"version"\s*:[^\n]{0,4000}"query_timestamp"')),
    ("GuardDuty findings", re.compile(rb'\s*\{\s*"schemaVersion"\s*:[^\n]{0,4000}"arn:aws[a-z-]*:guardduty:')),
    ("an S3 inventory manifest", re.compile(rb'\s*\{\s*"sourceBucket"\s*:[^}]{0,4000}"destinationBucket"')),
    ("a manifest", re.compile(rb'\s*\{\s*"(?:entries|fileLocations)"\s*:\s*\[\s*(?:\]|\{\s*"(?:url|URIs)"\s*:)')),
    (
        "the manifest of a DynamoDB or CloudWatch export",
        re.compile(
            rb'\s*\{\s*"(?:version|exportArn|manifestFilesS3Key)"\s*:[^}]{0,4000}"(?:manifestFilesS3Key|exportArn)"'
        ),
    ),
)

_EMPTY_NAMES = ("ConfigWritabilityCheckFile", "_SUCCESS")
_RECORD_WORDS = (b" ACCEPT ", b" REJECT ", b" NODATA", b" SKIPDATA", b'-accept"', b"DATA_MESSAGE")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What a file is: in words, and the shape of each of its lines when it has one."""

    what: str
    line: re.Pattern[bytes] | None = None


def find_neighbour(name: str, head: bytes, *, is_whole: bool) -> Neighbour | None:
    """Tell what a file is that AWS leaves beside flow logs; None when it may be a flow log.

    Args:
        name: its name, with or without folders.
        head: its first bytes, unpacked.
        is_whole: whether these are all.

    """
    if is_whole and head.strip() == b"Permission Check Successful":
        return Neighbour("the test of CloudWatch Logs that it may write")
    if is_whole and not head.strip() and name.rpartition("/")[2].partition(".gz")[0] in _EMPTY_NAMES:
        return Neighbour("an empty marker")
    if may_hold_records(head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] == b"{":
        return next((Neighbour(what) for what, shape in _JSON if shape.match(start)), None)
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
    """Whether a piece of a file holds words that flow records have, and such files do not."""
    return any(word in piece for word in _RECORD_WORDS)
