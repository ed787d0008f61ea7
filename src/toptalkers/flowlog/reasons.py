"""Why a record is skipped, in the order in which `job/count_flows.py` examines a record."""

REASONS: dict[str, str] = {
    "nodata": "log status NODATA",
    "skipdata": "log status SKIPDATA: AWS left records out, sums are a lower bound",
    "action": "another action than asked for",
    "time": "outside of the time asked for",
    "ports": "destination port not asked for",
    "where": "not asked for by --where",
    "malformed_columns": "malformed: not the columns of its layout",
    "malformed_status": "malformed: not a log status",
    "malformed_action": "malformed: not an action",
    "malformed_number": "malformed: not a number",
    "malformed_port": "malformed: not a port",
    "malformed_address": "malformed: not an IP address",
    "malformed_text": "malformed: not a text of at most 1,024 bytes in UTF-8, without control characters",
}
"""Every reason for which a single record is skipped, by the name of its counter, in words."""

WORDS: dict[str, str] = {**REASONS, "duplicate": "a copy of another record (overlapping flow logs, delivered twice)"}
"""Every reason: also for records that `--count once` leaves out, which others show to be copies."""
