"""From records to conversations: the questions behind `--count once`, `--pairs` and a digest.

An engine answers such a question in stages:

1. **records**: the answer to `record_question`: a line per distinct record, with the number of its copies.
2. **folded**: copies are told from the record itself, the server of each record is found (`how`), the client's port is
   dropped, and records of an hour are added up. These are the rows of a digest (`FOLDED_KEY`, `DIGEST_METRICS`).
3. **the answer**: what several interfaces logged is counted once, and what is asked for is added up.

`docs/conversations.md` has the rules; `job/conversations.py` and `kernel/conversations.c` apply them.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from toptalkers.question.query import Query

How = Literal["syn", "peers", "ports", "?", "copy"]
"""Which rule found the server of a record; `copy` for a record that was logged or delivered again."""

HOWS: tuple[How, ...] = ("syn", "peers", "ports", "?")
"""The rules, from the strongest to none."""

RECORD_KEY = (
    "start",
    "end",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "action",
    "tcp-flags",
    "pkt-srcaddr",
    "pkt-dstaddr",
)
"""The key of stage 1. Records that are alike in the first `CORE_COLUMNS` are copies of one record."""

CORE_COLUMNS = 11

RECORD_NEEDS = RECORD_KEY[:10]
"""The fields without which records cannot be joined to conversations; the others may be missing."""

FOLDED_KEY = (
    "hour",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "server-port",
    "server-side",
    "peer-port",
    "protocol",
    "action",
    "tcp-flags",
    "how",
    "pkt-srcaddr",
    "pkt-dstaddr",
)
"""The key of stage 2. `server-side` is `src` or `dst`; `peer-port` is the client's, `-` where it was dropped."""

PAIR_COLUMNS = ("client", "server", "port", "protocol")
PAIR_SUMS = (
    "bytes",
    "packets",
    "records",
    "bytes_to_server",
    "bytes_to_client",
    "packets_to_server",
    "packets_to_client",
    "records_to_server",
    "records_to_client",
)
"""The columns of a line of `--pairs`, which ends with `how`."""

SLACK_SECONDS = 60
"""AWS may log the start and end of a record this much later than they were ("Flow log records", `start`)."""


CONVERSATION_PARTS = (
    *("hour", "day", "srcaddr", "dstaddr", "pair", "srcport", "dstport", "service-port", "side", "client-port"),
    *("protocol", "action"),
)
"""The parts of a key that a conversation has; addresses also as networks."""

_OF_RECORDS = "--count records, the default, adds up records by any field"


def why_no_part(word: str) -> tuple[str, str] | None:
    """Why a part of `--by` cannot be asked for when each conversation is counted once, and what can; None if it can."""
    field = word.partition("/")[0]
    if field in CONVERSATION_PARTS:
        return None
    if field in ("pkt-srcaddr", "pkt-dstaddr"):
        own = word.removeprefix("pkt-")
        return "takes the packets' addresses for srcaddr and dstaddr", f"--by {own} --address pkt"
    if field in ("minute", "start", "end"):
        return "compares what two interfaces logged hour by hour", "--by hour"
    if field == "interface-id":
        return "joins what several interfaces logged, so that no line has one", _OF_RECORDS
    if field == "tcp-flags":
        return "adds up records with different flags", "--where 'tcp-flags = 2' chooses records by their flags"
    if field in ("packets", "bytes"):
        return "adds up the records of a conversation, and has not the values of each", f"--metric {field} sums them"
    return "joins records of both ends of a conversation, which differ in this field", _OF_RECORDS


def needs_records(query: "Query") -> bool:
    """Whether a question is answered by these stages: its records are joined, or folded for a digest."""
    from toptalkers.question.digest import is_digest

    return query.joins_records or is_digest(query)


def counted_question(query: "Query") -> "Query":
    """The question by which the lines of flow logs are counted: that of stage 1, or the question itself."""
    return record_question(query) if needs_records(query) else query


def record_question(query: "Query") -> "Query":
    """The question of stage 1: of the records that count for a question with `--count once` or `--pairs`."""
    from toptalkers.question.clauses import ALL_PORTS

    ports = ALL_PORTS if query.pairs else query.ports
    return replace(query, by=RECORD_KEY, metric=("records",), ports=ports, count="records", pairs=False, address=None)


def folded_question(query: "Query") -> "Query":
    """The question whose answer are the rows of stage 2, as they are read from a digest."""
    from toptalkers.question.digest import DIGEST_METRICS

    return replace(record_question(query), by=FOLDED_KEY, metric=DIGEST_METRICS)
