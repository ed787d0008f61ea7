"""The digest: the answer to one long question, kept as a Parquet file, from which later questions are answered.

Its rows have the key `FOLDED_KEY` and five sums (`DIGEST_METRICS`). Read for a question about records, a row is a
record that counts for `records` of them: `start` is its first time seen, `end` its last. Read for one about
conversations, it is a row of the second stage (`question/conversations.py`). `docs/digest.md` describes the file.
"""

from datetime import datetime, timedelta

from toptalkers.errors import UsageError
from toptalkers.question.clauses import Metric, format_ports, parse_ports
from toptalkers.question.conversations import FOLDED_KEY
from toptalkers.question.key import ADDRESS_FIELDS, HIGHEST_KNOWN_PORT, HIGHEST_PORT, PORT_FIELDS, SERVICE_PARTS
from toptalkers.question.query import Query
from toptalkers.question.ranges import Ranges
from toptalkers.question.times import format_time
from toptalkers.question.where import ProgramTest

DIGEST_VERSION = 2
"""The version of the schema, in the file's metadata."""

WRAPPING = "a digest"
"""What a file is called whose records are the rows of a digest."""

DIGEST_KEY = FOLDED_KEY
DIGEST_METRICS: tuple[Metric, ...] = ("bytes", "packets", "records", "first", "last")

FIXED_CLAUSES = ("by", "metric", "count", "pairs", "address")
"""The clauses that are the same for all digests."""

_KNOWN = ("interface-id", "srcaddr", "dstaddr", *SERVICE_PARTS, "protocol", "action", "tcp-flags")
"""The parts of a key, and the names in `--where`, that a digest always answers; addresses also as networks."""

_TIMES = ("hour", "day")

_PER_RECORD = ("packets", "bytes", "start", "end")
"""The fields whose values a digest adds up, so that it no longer has those of a single record."""

_PORTS_HINT = f"service-port, side and client-port are known; so are ports up to {HIGHEST_KNOWN_PORT}"


def digest_texts(**texts: str | None) -> dict[str, str | None]:
    """The texts of the clauses of a digest's question: the key and the metrics of digests, all ports, all actions.

    Raises:
        UsageError: the digest would be of ports that it does not tell apart, so that no question could be asked of it.

    """
    given = {name: text for name, text in texts.items() if text is not None}
    _check_ports(parse_ports(given.get("ports", "all")), all_ports="leave out --ports")
    fixed = {**dict.fromkeys(FIXED_CLAUSES), "by": ",".join(DIGEST_KEY), "metric": ",".join(DIGEST_METRICS)}
    return {"ports": "all", "action": "ALL", **given, **fixed}


def is_digest(query: Query) -> bool:
    """Whether the answer to a question is the rows of a digest."""
    return query.by == DIGEST_KEY and query.metric == DIGEST_METRICS


def check_question(query: Query) -> None:
    """Check that a question can be answered from digests with the same answer as from the records themselves.

    A digest has whole hours, and of the two ports the server's; the other is known if it is at most 1024. In pairs only
    the server's port is asked for.

    Raises:
        UsageError: it needs what a digest lacks; the message says what, and what can be asked instead.

    """
    if not (query.pairs or is_digest(query)):
        for word in query.by:
            _check_part(word, query.ports)
        _check_ports(query.ports, all_ports="--ports all")
    for option, time in (("--since", query.since), ("--until", query.until)):
        _check_hour(option, time)
    if query.where:
        for test in query.where.tests:
            _check_test(test)


def _check_ports(ports: Ranges, *, all_ports: str) -> None:
    """Check the destination ports of a question, or of a digest; `all_ports` is how to ask for all of them."""
    if not _are_known(ports):
        raise UsageError(
            f"--ports {format_ports(ports)}: a digest does not tell ports above {HIGHEST_KNOWN_PORT} apart,"
            " except those of services",
            hint=f"--ports 0-{HIGHEST_KNOWN_PORT}, {all_ports}, or"
            f" --ports all --where 'service-port = {_first_high(ports)}'",
        )


def _check_part(word: str, ports: Ranges) -> None:
    """Check a part of the key, of a question for some destination ports."""
    field = word.partition("/")[0]
    if field in (*_KNOWN, *_TIMES, "pair"):
        return
    if field == "dstport":
        if ports[-1][1] <= HIGHEST_KNOWN_PORT:
            return
        raise UsageError(
            f"--by dstport: a digest keeps the port of the service, and the other one up to {HIGHEST_KNOWN_PORT}",
            hint=f"--by service-port, or --ports 0-{HIGHEST_KNOWN_PORT}",
        )
    if field == "srcport":
        raise UsageError(
            f"--by srcport: a digest keeps the port of the service, and the other one up to {HIGHEST_KNOWN_PORT}",
            hint="--by service-port,side",
        )
    if field in ("minute", "start", "end"):
        raise UsageError(f"--by {word}: a digest has one row for a whole hour", hint="--by hour")
    raise _lacks(f"--by {word}", field)


def _check_test(test: ProgramTest) -> None:
    """Check a test of `--where`."""
    field = test.field
    if field in _KNOWN:
        return
    if field in PORT_FIELDS:
        if test.letter == "n" and not _are_known(test.ranges()):  # any other test is whether it is `-`
            raise UsageError(
                f"--where {field}: a digest does not tell ports above {HIGHEST_KNOWN_PORT} apart,"
                " except those of services",
                hint=_PORTS_HINT,
            )
        return
    if field == "start":
        raise UsageError("--where start: a digest has one row for a whole hour", hint="--since and --until, full hours")
    raise _lacks(f"--where {field}", field)


def _lacks(asked: str, field: str) -> UsageError:
    """The error for a field that a digest lacks."""
    if field in ADDRESS_FIELDS:
        why = "a digest has a packet's address only where it is not that of the record"
        return UsageError(f"{asked}: {why}", hint="--by srcaddr,dstaddr --count once counts by the packets' addresses")
    why = "a digest does not have this field"
    if field in _PER_RECORD:
        why = "a digest has sums of many records, not the values of each"
    return UsageError(f"{asked}: {why}", hint=f"a digest has hour, {', '.join(_KNOWN)}")


def _check_hour(option: str, time: datetime | None) -> None:
    if time is None or not (time.minute or time.second):
        return
    before = time.replace(minute=0, second=0)
    after = before + timedelta(hours=1)
    raise UsageError(
        f"{option} {format_time(time)}: a digest has whole hours",
        hint=f"{option} {format_time(before)} or {format_time(after)}",
    )


def _are_known(ports: Ranges) -> bool:
    """Whether a digest knows of each port if it is one of these.

    The ports that it does not tell apart, above 1024, must be all among them, or none.
    """
    low, high = ports[-1] if ports else (0, 0)
    return high <= HIGHEST_KNOWN_PORT or (low <= HIGHEST_KNOWN_PORT + 1 and high == HIGHEST_PORT)


def _first_high(ports: Ranges) -> int:
    return next(max(low, HIGHEST_KNOWN_PORT + 1) for low, high in ports if high > HIGHEST_KNOWN_PORT)
