"""The question: accepted values, and one clear line for any other."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import recipe_queries
from toptalkers.answer.presentation import Presentation
from toptalkers.errors import UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT
from toptalkers.job import count_flows, port_filter
from toptalkers.question.clauses import ALL_PORTS, format_ports, parse_ports
from toptalkers.question.conversations import CONVERSATION_PARTS
from toptalkers.question.key import parse_part
from toptalkers.question.query import Query


def ask(*, top: str | None = None, format: str | None = None, **texts: str) -> tuple[Query, Presentation]:  # noqa: A002
    """Parse the options of the question and those of its answer."""
    return Query.parse(**texts), Presentation.parse(top=top, format=format)


def test_defaults_are_the_recipes() -> None:
    """Without options: records, ports up to 1024, ACCEPT, all time, the default format."""
    query = Query.parse()
    assert query == Query()
    assert Presentation.parse() == Presentation()
    assert (query.by, query.metric) == (("srcaddr", "dstaddr", "dstport"), ("records",))
    assert (query.where, query.ports, query.action) == (None, ((0, 1024),), "ACCEPT")
    assert query.layout is DEFAULT_LAYOUT


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "flows"}, "--metric: 'flows' is not one of records, packets, bytes, first, last"),
        ({"ports": "70000"}, "--ports: '70000' is above the highest port, 65535"),
        ({"ports": "9-1"}, "--ports: the range '9-1' ends before it begins"),
        ({"ports": ""}, "--ports: '' is not a port or a range of ports"),
        ({"ports": "22,"}, "--ports: '' is not a port or a range of ports"),
        ({"ports": "ssh"}, "--ports: 'ssh' is not a port or a range of ports"),
        ({"action": "DROP"}, "--action: 'DROP' is not one of ACCEPT, REJECT, ALL"),
        ({"since": "yesterday"}, "--since: 'yesterday' is not a time"),
        ({"until": "2026-11-01T00:00:00.5Z"}, "--until: '2026-11-01T00:00:00.5Z' is finer than a second"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "--since: '0001-01-01T00:00:00+14:00' is not a time"),
        (
            {"since": "2026-11-02", "until": "2026-11-01"},
            "--since 2026-11-02T00:00:00Z is not before --until 2026-11-01T00:00:00Z",
        ),
        ({"log_format": "${srcaddr} ${nonsense}"}, "the log format has an unknown field 'nonsense'"),
        ({"log_format": "srcaddr srcaddr"}, "the log format names the field 'srcaddr' twice"),
        ({"log_format": " "}, "the log format names no field"),
        (
            {"log_format": "${srcaddr} ${dstaddr} ${action}"},
            "--log-format: the question needs the field 'dstport', which the format lacks",
        ),
        (
            {"log_format": "${srcaddr} ${dstaddr} ${dstport}"},
            "--log-format: the question needs the field 'action', which the format lacks",
        ),
        (
            {"log_format": "${srcaddr} ${dstaddr} ${dstport}", "action": "ALL", "metric": "bytes"},
            "--log-format: the question needs the field 'bytes', which the format lacks",
        ),
        *(
            (
                {"log_format": "${srcaddr} ${dstaddr} ${dstport}", "action": "ALL", bound: "2026-11-23"},
                "--log-format: the question needs the field 'start', which the format lacks",
            )
            for bound in ("since", "until")
        ),
        ({"top": "-1"}, "--top: '-1' is not a number of talkers"),
        ({"format": "xml"}, "--format: 'xml' is not one of table, tsv, csv, json, ndjson"),
    ],
)
def test_bad_values_give_one_clear_line(options: dict[str, str], message: str) -> None:
    """Each wrong value is named with its option, on one line, and ends in exit code 2."""
    with pytest.raises(UsageError) as caught:
        ask(**options)
    assert caught.value.message == message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


ADDS_UP = "--count records, the default, adds up records by any field"


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"count": "one"}, "--count: 'one' is not one of records, once", "did you mean 'once'?"),
        ({"pairs": "true"}, "--pairs: 'true' is not one of yes, no", None),
        (
            {"address": "eni"},
            "--address eni: only --count once and --pairs have addresses to choose from",
            "--by pkt-srcaddr,pkt-dstaddr,dstport adds up records by the packets' addresses",
        ),
        ({"count": "once", "address": "nat"}, "--address: 'nat' is not one of eni, pkt", None),
        (
            {"pairs": "yes", "by": "srcaddr"},
            "--by srcaddr: --pairs has a key of its own: client, server, port, protocol",
            "src.name names the client; --count once without --pairs takes any key",
        ),
        (
            {"pairs": "yes", "metric": "bytes,records"},
            "--metric bytes,records: with --pairs it names the one that ranks",
            "bytes, packets and records are shown all the same",
        ),
        (
            {"pairs": "yes", "metric": "last"},
            "--metric last: a line of --pairs has no times",
            "--metric bytes, packets or records ranks; --count once without --pairs has times",
        ),
        (
            {"count": "once", "by": "hour,interface-id"},
            "--by interface-id: --count once joins what several interfaces logged, so that no line has one",
            ADDS_UP,
        ),
        (
            {"count": "once", "by": "tcp-flags"},
            "--by tcp-flags: --count once adds up records with different flags",
            "--where 'tcp-flags = 2' chooses records by their flags",
        ),
        *(
            (
                {"count": "once", "by": word},
                f"--by {word}: --count once compares what two interfaces logged hour by hour",
                "--by hour",
            )
            for word in ("minute", "start", "end")
        ),
        (
            {"count": "once", "by": "pkt-srcaddr"},
            "--by pkt-srcaddr: --count once takes the packets' addresses for srcaddr and dstaddr",
            "--by srcaddr --address pkt",
        ),
        (
            {"count": "once", "by": "pkt-dstaddr/16"},
            "--by pkt-dstaddr/16/64: --count once takes the packets' addresses for srcaddr and dstaddr",
            "--by dstaddr/16/64 --address pkt",
        ),
        (
            {"count": "once", "by": "bytes"},
            "--by bytes: --count once adds up the records of a conversation, and has not the values of each",
            "--metric bytes sums them",
        ),
        *(
            (
                {"count": "once", "by": word},
                f"--by {word}: --count once joins records of both ends of a conversation, which differ in this field",
                ADDS_UP,
            )
            for word in ("vpc-id", "subnet-id", "flow-direction", "log-status", "pkt-src-aws-service")
        ),
        (
            {"count": "once", "action": "ALL", "log_format": "srcaddr dstaddr dstport"},
            "--log-format: the question needs the field 'start', which the format lacks",
            "without --count once all records are added up, for which the format is enough",
        ),
        (
            {"pairs": "yes", "count": "once", "action": "ALL", "log_format": "srcaddr dstaddr dstport bytes"},
            "--log-format: the question needs the field 'start', which the format lacks",
            "without --count once and --pairs all records are added up, for which the format is enough",
        ),
        (
            {"pairs": "yes", "log_format": "srcaddr dstaddr"},
            "--log-format: the question needs the field 'dstport', which the format lacks",
            None,
        ),
    ],
)
def test_conversations_refuse_what_they_cannot_tell(options: dict[str, str], message: str, hint: str | None) -> None:
    """The line says why, and the hint what can be asked instead; both are short."""
    with pytest.raises(UsageError) as caught:
        Query.parse(**options)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("word", CONVERSATION_PARTS)
def test_what_conversations_can_be_asked_by(word: str) -> None:
    """Each part of a key that docs/conversations.md names, addresses also as networks."""
    assert Query.parse(count="once", by=word).by == (parse_part(word).word,)
    if word in ("srcaddr", "dstaddr"):
        assert Query.parse(count="once", by=f"{word}/16/48").by == (f"{word}/16/48",)


def test_the_key_of_pairs_is_not_the_recipes() -> None:
    """A line has fourteen columns, of which the key is four, and the metric's is the one that ranks."""
    asked = [Query.parse(pairs="yes", metric=metric) for metric in ("bytes", "packets", "records")]
    assert [query.rank_column for query in asked] == [5, 6, 7]
    assert {(query.is_recipe, query.key_columns, query.line_columns) for query in asked} == {(False, 4, 14)}
    plain = Query.parse(count="once")
    assert (plain.is_recipe, plain.key_columns, plain.line_columns, plain.rank_column) == (True, 1, 2, 2)


def test_times_without_an_offset_are_utc() -> None:
    """A date is its midnight in UTC, and an offset is taken into account."""
    query = Query.parse(since="2026-11-01", until="2026-11-01T02:00:00+01:00")
    assert query.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert query.until == datetime(2026, 11, 1, 1, tzinfo=UTC)


def test_a_format_without_log_status_is_enough_when_action_is_not_asked() -> None:
    """Three columns are enough for all actions."""
    assert Query.parse(log_format="${dstport} ${srcaddr} ${dstaddr}", action="ALL").needed_fields == (
        "srcaddr",
        "dstaddr",
        "dstport",
    )


RANGES = st.builds(lambda low, more: [low, min(low + more, 65535)], st.integers(0, 65535), st.integers(0, 2000))


@example([[0, 65535]])
@example([[1, 40000], [0, 0], [39999, 65535]])
@given(st.lists(RANGES, min_size=1, max_size=6))
def test_ports_survive_the_way_to_the_mapper(ranges: list[list[int]]) -> None:
    """Ranges in any order, overlapping or not, mean the same to the query, the mapper and the port filter."""
    text = ",".join(f"{low}-{high}" for low, high in ranges)
    ports = parse_ports(text)
    assert parse_ports(format_ports(ports)) == ports
    wanted = {b"%d" % port for low, high in ranges for port in range(low, high + 1)}
    assert count_flows.parse_ports(format_ports(ports)) == wanted
    assert port_filter.parse_ports(format_ports(ports)) == wanted
    assert {b"%d" % port for low, high in ports for port in range(low, high + 1)} == wanted


def test_all_ports_are_called_all() -> None:
    """The whole range has its own name, in both directions."""
    assert parse_ports("all") == ALL_PORTS == parse_ports("0-1024,1025-65535")
    assert format_ports(ALL_PORTS) == "all"


@given(recipe_queries() | recipe_queries(("dstport", "srcaddr", "dstaddr", "action", "bytes", "packets", "start")))
def test_mapper_understands_every_question(query: Query) -> None:
    """The mapper's arguments have no space and nothing that a shell or Hadoop expands, and mean the same."""
    arguments = query.mapper_arguments()
    assert not set("".join(arguments)) & set(" \t\n$`'\"\\;&|<>(){}*?[]~#!")
    question = count_flows.parse_arguments(arguments)
    counter = count_flows.FlowCounter(question)
    assert tuple(metric.decode() for metric in counter.metrics) == query.metric
    assert {field.decode() for field in counter.needed} == set(query.needed_fields)
    assert counter.action.decode() == query.action
    assert counter.since == (query.since.timestamp() if query.since else None)
    assert counter.until == (query.until.timestamp() if query.until else None)
    assert tuple(name.decode() for name in counter.headerless) == query.layout.columns


@given(
    option=st.sampled_from(["ports", "since", "until", "metric", "action", "format", "log_format", "top"]),
    text=st.builds(
        lambda text, times: text * times, st.sampled_from(["9", "x", "${x}", "1-", "-"]), st.integers(50, 5000)
    ),
)
def test_what_is_wrong_is_told_in_short(option: str, text: str) -> None:
    """For any length of an option's text, its error is a short line."""
    with pytest.raises(UsageError) as raised:
        ask(**{option: text})
    assert len(str(raised.value)) < 200


@given(st.one_of(st.integers(), st.integers(2**63, 10**40)))
def test_top_is_what_engines_can_count_to(top: int) -> None:
    """Each number of talkers from 0 to 2^63 - 1 is accepted; any other is wrong usage, and a short line."""
    if 0 <= top < 2**63:
        assert Presentation.parse(top=str(top)).top == top
        return
    with pytest.raises(UsageError) as raised:
        Presentation.parse(top=str(top))
    assert len(str(raised.value)) < 100


@pytest.mark.parametrize("text", ["9" * 5000, "0" * 5000, "\u0663", "1_0", "+1", " 1", "1.0", "", "1\n"])
def test_top_is_plain_digits(text: str) -> None:
    """Digits of other scripts, signs, spaces and thousands of digits are wrong usage, and a short line."""
    with pytest.raises(UsageError) as raised:
        Presentation.parse(top=text)
    assert len(str(raised.value)) < 100
