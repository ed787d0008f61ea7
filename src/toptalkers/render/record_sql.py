"""The rules of counting one record, in SQL over columns of text: what counts, the parts of its key, and its values.

The SQL is Trino's, as Athena runs it. A column that is not a number is never an error: it is cast by `try_cast`, and
another condition leaves the record out.
"""

from collections.abc import Iterator

from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import column_name
from toptalkers.flowlog.layout import Layout
from toptalkers.question.clauses import ALL_PORTS, SUMMED_FIELDS, Metric
from toptalkers.question.key import (
    ACK,
    ADDRESS,
    HIGHEST_KNOWN_PORT,
    HIGHEST_PORT,
    IPV4_PATTERN,
    LONGEST_TEXT_BYTES,
    NETWORK,
    NUMBER,
    PORT,
    PROTOCOL,
    RECIPE_KEY,
    SERVICE_FIELDS,
    SERVICE_PARTS,
    SYN,
    TEXT,
    TIME_FIELDS,
    TIME_PARTS,
    Kind,
    kind_of,
    parse_part,
)
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query
from toptalkers.question.ranges import Ranges
from toptalkers.question.times import LARGEST_TIME
from toptalkers.question.where import ProgramTest, split_program

_HEX = "[0-9A-Fa-f]{1,4}"
_FORMS = [
    IPV4_PATTERN,
    rf"(?:{_HEX}:){{7}}{_HEX}",
    rf"(?:{_HEX}:){{6}}{IPV4_PATTERN}",
    rf"::(?:(?:{_HEX}:){{0,6}}{_HEX}|(?:{_HEX}:){{0,5}}{IPV4_PATTERN})?",
    *(
        rf"(?:{_HEX}:){{{left}}}:(?:(?:{_HEX}:){{0,{6 - left}}}{_HEX}|(?:{_HEX}:){{0,{5 - left}}}{IPV4_PATTERN})?"
        for left in range(1, 6)
    ),
    rf"(?:{_HEX}:){{6}}:(?:{_HEX})?",
    rf"(?:{_HEX}:){{7}}:",
]
ADDRESS_PATTERN = f"^(?:{'|'.join(_FORMS)})$"
"""An address as `count_flows.py` knows it: IPv4, or IPv6 with or without `::` and a last part in IPv4's form."""

_PORT = "^(0|[1-9][0-9]{0,4})$"
_PROTOCOL = "^(0|[1-9][0-9]{0,2})$"
_NUMBER = f"^{NUMBER.pattern}$"

_TIME_FORMATS = {"minute": "%Y-%m-%dT%H:%i:00Z", "hour": "%Y-%m-%dT%H:00:00Z", "day": "%Y-%m-%dT00:00:00Z"}
_TIME_FORMAT = "%Y-%m-%dT%H:%i:%sZ"
"""As Trino's `date_format` takes them."""

ELSEWHERE = "ask run-local or run-emr, which can"


class RecordSql:
    """The expressions and conditions of a question about records of a layout.

    Raises:
        UsageError: the question has a part or a test that is not written as SQL; the error names it.

    """

    def __init__(self, query: Query, layout: Layout) -> None:
        self._query = query
        self._layout = layout

    def conditions(self) -> Iterator[str]:
        """Yield the conditions under which a record counts, but for those of the sums, the key and the columns."""
        query = self._query
        if "log-status" in self._layout:
            yield "\"log_status\" = 'OK'"
        elif not query.is_recipe and all(field in self._layout for field in RECIPE_KEY):
            yield "NOT (" + " AND ".join(f"{self._text(field)} = '-'" for field in RECIPE_KEY) + ")"
        if query.action != "ALL":
            yield f"\"action\" = '{query.action}'"
        if query.is_recipe or query.ports != ALL_PORTS:
            port = self._text("dstport")
            ranges = query.ports if query.ports != ALL_PORTS else ((0, HIGHEST_PORT),)
            yield f"regexp_like({port}, '{_PORT}')"
            yield f"({_any_range(f'try_cast({port} AS integer)', ranges)})"
        if query.since or query.until:
            yield f"regexp_like(\"start\", '{_NUMBER}')"
            if query.since:
                yield f"{self._seconds('start')} >= {int(query.since.timestamp())}"
            if query.until:
                yield f"{self._seconds('start')} < {int(query.until.timestamp())}"
        if query.where:
            for field in query.where.fields:
                for one in SERVICE_FIELDS[:2] if field in SERVICE_PARTS else (field,):
                    if kind_of(one) is not TEXT:
                        yield f"({self._text(one)} = '-' OR {self._is_valid(one)})"
            yield self._where(query.where.program)

    def key(self) -> tuple[list[str], list[str]]:
        """The expressions of the key's columns, and the conditions for them; the recipe's key is one column."""
        if self._query.is_recipe:
            sides = [self._text(field) for field in RECIPE_KEY[:2]]
            printed = [f"CASE WHEN strpos({one}, ':') > 0 THEN '[' || {one} || ']' ELSE {one} END" for one in sides]
            talker = " || ':' || ".join([*printed, self._text("dstport")])
            return [talker], [f"regexp_like({one}, '{ADDRESS_PATTERN}')" for one in sides]
        columns: list[str] = []
        conditions: list[str] = []
        for word in self._query.by:
            part = parse_part(word)
            if part.columns[0].kind is NETWORK:
                raise UsageError(f"--by: {part.columns[0].name} is not written as SQL", hint=ELSEWHERE)
            columns += self._columns(word)
            conditions += self._conditions_of(word, part.fields)
        return columns, list(dict.fromkeys(conditions))

    def value(self, metric: Metric) -> tuple[str, list[str]]:
        """The value of a record for a metric, and the conditions for it; times are in seconds."""
        if metric == "records":
            return "1", []
        field = SUMMED_FIELDS[metric]
        if metric in TIME_METRICS:
            return self._seconds(field), [self._is_valid(field)]
        return f"try_cast({self._text(field)} AS bigint)", [f"regexp_like({self._text(field)}, '{_NUMBER}')"]

    def _text(self, field: str) -> str:
        return f'"{column_name(field)}"' if field in self._layout else "'-'"

    def _seconds(self, field: str) -> str:
        number = f"try_cast({self._text(field)} AS double)"
        return f"CASE WHEN {number} >= 1e11 THEN floor({number} / 1000) ELSE {number} END"  # some are in milliseconds

    def _is_valid(self, field: str) -> str:
        """Whether a value that is not `-` is of its field's kind; of a time, whether it can be printed."""
        valid = _is_of_kind(kind_of(field), self._text(field))
        return f"({valid} AND {self._seconds(field)} <= {LARGEST_TIME})" if field in TIME_FIELDS else valid

    def _columns(self, word: str) -> list[str]:
        if word == "pair":
            both = f"({self._text('srcaddr')}, {self._text('dstaddr')})"
            return [f"least{both}", f"greatest{both}"]
        if word in TIME_PARTS:
            moment = f"from_unixtime({self._seconds('start')}, 'UTC')"
            start = self._text("start")
            return [f"CASE WHEN {start} = '-' THEN '-' ELSE date_format({moment}, '{_TIME_FORMATS[word]}') END"]
        if word in SERVICE_PARTS:
            return [self._service(word)]
        return [self._text(word)]

    def _conditions_of(self, word: str, fields: tuple[str, ...]) -> Iterator[str]:
        """Yield when a part of the key is valid; a field that the layout lacks is `-`."""
        for field in fields:
            if field not in self._layout or (word in SERVICE_PARTS and field == "tcp-flags"):
                continue
            text = self._text(field)
            valid = self._is_valid(field) if word in TIME_PARTS else _is_of_kind(kind_of(field), text)
            yield f"({text} = '-' OR {valid})"

    def _service(self, word: str) -> str:
        source, destination = (self._text(field) for field in SERVICE_FIELDS[:2])
        flags = "0"
        if "tcp-flags" in self._layout:
            text = self._text("tcp-flags")
            flags = f"CASE WHEN regexp_like({text}, '{_NUMBER}') THEN try_cast({text} AS bigint) ELSE 0 END"
        low, high = f"try_cast({source} AS integer)", f"try_cast({destination} AS integer)"
        side = (
            f"CASE WHEN {destination} = '-' AND {source} = '-' THEN '-' WHEN {source} = '-' THEN 'dst'"
            f" WHEN {destination} = '-' THEN 'src'"
            f" WHEN ({flags}) % {2 * SYN} >= {SYN} THEN"
            f" CASE WHEN ({flags}) % {2 * ACK} >= {ACK} THEN 'src' ELSE 'dst' END"
            f" WHEN {low} = {high} THEN 'both' WHEN {low} < {high} THEN 'src' ELSE 'dst' END"
        )
        if word == "side":
            return side
        if word == "service-port":
            return f"CASE WHEN ({side}) = 'src' THEN {source} ELSE {destination} END"
        other = f"CASE WHEN ({side}) = 'src' THEN {destination} ELSE {source} END"
        is_known = f"try_cast({other} AS integer) <= {HIGHEST_KNOWN_PORT} OR ({side}) = 'both'"
        return f"CASE WHEN {source} <> '-' AND {destination} <> '-' AND ({is_known}) THEN {other} ELSE '-' END"

    def _where(self, program: str) -> str:
        stack: list[str] = []
        for word in split_program(program):
            if isinstance(word, ProgramTest):
                stack.append(self._test(word))
            elif word == "not":
                stack.append(f"NOT {stack.pop()}")
            else:
                last = stack.pop()
                stack.append(f"({stack.pop()} {word.upper()} {last})")
        return stack.pop()

    def _test(self, test: ProgramTest) -> str:
        field = test.field
        text = self._service(field) if field in SERVICE_PARTS else self._text(field)
        if test.letter == "t":
            texts = ["'" + one.replace("'", "''") + "'" for one in test.texts()]
            return f"({text} IN ({', '.join(texts)}))"
        if test.letter == "n":
            number = self._seconds(field) if field in TIME_FIELDS else f"try_cast({text} AS bigint)"
            return f"coalesce({_any_range(number, test.ranges())}, false)"
        if any(len(one) > len("0a000000-0a00ffff") for one in test.options.split("+")):
            raise UsageError(f"--where: IPv6 addresses of {field} are not written as SQL", hint=ELSEWHERE)
        octets = " + ".join(
            f"try_cast(split_part({text}, '.', {at + 1}) AS bigint) * {256 ** (3 - at)}" for at in range(4)
        )
        number = f"CASE WHEN regexp_like({text}, '^{IPV4_PATTERN}$') THEN {octets} END"
        return f"coalesce({_any_range(number, test.ranges())}, false)"


def printed_time(seconds: str) -> str:
    """The expression of a time as an answer has it, from one in seconds."""
    return f"date_format(from_unixtime({seconds}, 'UTC'), '{_TIME_FORMAT}')"


def _any_range(number: str, ranges: Ranges) -> str:
    return " OR ".join(f"{number} BETWEEN {low} AND {high}" for low, high in ranges)


def _is_of_kind(kind: Kind, text: str) -> str:
    if kind is ADDRESS:
        return f"regexp_like({text}, '{ADDRESS_PATTERN}')"
    if kind is PORT:
        return f"(regexp_like({text}, '{_PORT}') AND try_cast({text} AS integer) <= {HIGHEST_PORT})"
    if kind is PROTOCOL:
        return f"(regexp_like({text}, '{_PROTOCOL}') AND try_cast({text} AS integer) <= 255)"
    if kind is NUMBER:
        return f"regexp_like({text}, '{_NUMBER}')"
    return (
        rf"(length(to_utf8({text})) BETWEEN 1 AND {LONGEST_TEXT_BYTES}"
        rf" AND NOT regexp_like({text}, '[\x00-\x20\x7f]'))"
    )
