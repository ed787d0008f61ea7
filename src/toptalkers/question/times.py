"""Times, in UTC and to the second, as questions and answers write them: `2026-11-23T18:00:00Z`."""

import re
from datetime import UTC, datetime

HOUR_SECONDS, DAY_SECONDS = 3600, 86_400

LARGEST_TIME = 253_402_300_799
"""The last second of the year 9999. No later time can be printed."""

FIRST_MILLISECONDS = 10**11
"""A time in a record from here on is in milliseconds: in seconds it would be in the year 5138."""

TIME_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
"""What `format_time` writes; it also matches times that do not exist."""

_TIME = re.compile(TIME_PATTERN.encode())


def read_time(text: str) -> datetime | None:
    """Read a point in time, ISO 8601; without an offset it is UTC. None if it is no time."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_time(time: datetime) -> str:
    """Write a time as `2026-11-23T18:00:00Z`, without a space or a sign that a shell expands."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_seconds(text: bytes) -> int:
    """Read `2026-11-23T18:00:00Z` into seconds since 1970; ValueError if it is no time."""
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"not a time: {text!r}")
    return int(datetime.fromisoformat(text.decode()).timestamp())


def format_seconds(seconds: int) -> str:
    """Write seconds since 1970, at most `LARGEST_TIME`, as `2026-11-23T18:00:00Z`."""
    return format_time(datetime.fromtimestamp(seconds, UTC))
