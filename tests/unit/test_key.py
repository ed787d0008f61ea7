"""The parts of a key: how they are written, what they are made of, and one clear line for any other text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import FIELDS
from toptalkers.question import key as keys
from toptalkers.question.key import MOST_COLUMNS, RECIPE_KEY, columns_of, kind_of, parse_key, parse_part
from toptalkers.question.query import Query

OTHER_PARTS = ["hour", "day", "minute", "pair", "service-port", "side", "client-port"]
PARTS = [*FIELDS, *OTHER_PARTS, "srcaddr/24", "dstaddr/0/0", "pkt-srcaddr/32/128", "pkt-dstaddr/8/56"]


@pytest.mark.parametrize(
    ("text", "word", "fields", "names"),
    [
        ("srcaddr", "srcaddr", ("srcaddr",), ["srcaddr"]),
        ("src", "srcaddr", ("srcaddr",), ["srcaddr"]),
        ("dst", "dstaddr", ("dstaddr",), ["dstaddr"]),
        ("proto", "protocol", ("protocol",), ["protocol"]),
        (" Vpc_ID ", "vpc-id", ("vpc-id",), ["vpc-id"]),
        ("srcaddr/24", "srcaddr/24/64", ("srcaddr",), ["srcaddr/24"]),
        ("src/24", "srcaddr/24/64", ("srcaddr",), ["srcaddr/24"]),
        ("srcaddr/24/64", "srcaddr/24/64", ("srcaddr",), ["srcaddr/24"]),
        ("dstaddr/016/056", "dstaddr/16/56", ("dstaddr",), ["dstaddr/16/56"]),
        ("pkt-dstaddr/0/0", "pkt-dstaddr/0/0", ("pkt-dstaddr",), ["pkt-dstaddr/0/0"]),
        ("hour", "hour", ("start",), ["hour"]),
        ("pair", "pair", ("srcaddr", "dstaddr"), ["a", "b"]),
        ("service_port", "service-port", ("srcport", "dstport", "tcp-flags"), ["service-port"]),
        ("side", "side", ("srcport", "dstport", "tcp-flags"), ["side"]),
        ("SRC.Name", "src.name", ("srcaddr",), ["src.name"]),
        ("dst.TAG:App", "dst.tag:App", ("dstaddr",), ["dst.tag:App"]),
        ("Service", "service", ("srcport", "dstport", "tcp-flags", "protocol"), ["service"]),
    ],
)
def test_parts_are_written_in_several_ways(text: str, word: str, fields: tuple[str, ...], names: list[str]) -> None:
    """A part has one word, which the scripts take, and the columns and fields of that word."""
    part = parse_part(text)
    assert (part.word, part.fields, [column.name for column in part.columns]) == (word, fields, names)
    assert parse_part(word) == part


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("srcadr", "--by: 'srcadr' is not a part of a key", "did you mean 'srcaddr'?"),
        ("srcadr/24", "--by: 'srcadr/24' is not a part of a key", "did you mean 'srcaddr'?"),
        ("hours", "--by: 'hours' is not a part of a key", "did you mean 'hour'?"),
        ("src_ip/24", "--by: 'src_ip/24' is not a part of a key", "did you mean 'srcaddr'?"),
        ("srcaddr dstport", "--by: 'srcaddr dstport' is not a part of a key", "parts are separated by commas"),
        ("port", "--by: 'port' is not a part of a key", "name the side: dstport, srcport or service-port"),
        ("net", "--by: 'net' is not a part of a key", "name the side: srcaddr/24 or dstaddr/24"),
        ("subnet", "--by: 'subnet' is not a part of a key", "name the side: srcaddr/24 or dstaddr/24"),
        ("src.nme", "--by: 'src.nme' is not a part of a key", "did you mean 'src.name'?"),
        ("srcasg", "--by: 'srcasg' is not a part of a key", "did you mean 'src.asg'?"),
        ("client.sg", "--by: 'client.sg' is not a part of a key", "did you mean 'src.sg'?"),
        ("asg", "--by: 'asg' is not a part of a key", "name the side: src.asg or dst.asg"),
        ("tag:app", "--by: 'tag:app' is not a part of a key", "name the side: src.tag:app or dst.tag:app"),
        ("src.tag", "--by: 'src.tag' is not a part of a key", "a tag has a key: 'src.tag:app'"),
        ("srcaddr/", "--by: 'srcaddr/' is not a part of a key", "did you mean 'srcaddr'?"),
        ("srcaddr/24/64/8", "--by: 'srcaddr/24/64/8' is not a part of a key", "did you mean 'srcaddr'?"),
        ("", "--by names no part", "for example srcaddr,dstport or hour,srcaddr/24"),
        (" ", "--by names no part", "for example srcaddr,dstport or hour,srcaddr/24"),
        ("srcaddr,,dstport", "--by: '' is not a part of a key", "a part is a field of flow logs, srcaddr/24, hour,"),
        ("!", "--by: '!' is not a part of a key", "a part is a field of flow logs, srcaddr/24, hour,"),
        ("srcaddr,src", "--by names 'srcaddr' twice", None),
        ("srcaddr/24,src/24/64", "--by names 'srcaddr/24/64' twice", None),
        ("srcaddr/33", "--by: 'srcaddr/33' is longer than an address", "the first length is of IPv4, at most 32;"),
        ("srcaddr/240", "--by: 'srcaddr/240' is longer than an address", "the first length is of IPv4, at most 32;"),
        ("dstaddr/8/129", "--by: 'dstaddr/8/129' is longer than an address", "the first length is of IPv4"),
        ("vpc-id/24", "--by: 'vpc-id/24' is not a network", "networks are those of srcaddr, dstaddr, pkt-srcaddr"),
        ("hour/24", "--by: 'hour/24' is not a part of a key", "did you mean 'hour'?"),
        (",".join(list(FIELDS)[:17]), "--by: a key has at most 16 columns", None),
        (",".join(["pair", *list(FIELDS)[5:20]]), "--by: a key has at most 16 columns", None),
    ],
)
def test_what_is_no_key(text: str, message: str, hint: str | None) -> None:
    """The part that is wrong is named, with what was probably meant."""
    with pytest.raises(UsageError) as raised:
        parse_key(text)
    assert raised.value.message == message
    assert raised.value.hint == hint or (hint and (raised.value.hint or "").startswith(hint))


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6, unique=True))
def test_keys_are_read_as_they_are_written(parts: list[str]) -> None:
    """The words of a key give the same key, and one column each, two for `pair`."""
    key = parse_key(",".join(parts))
    assert parse_key(",".join(key)) == key
    assert len(columns_of(key)) == len(parts) + ("pair" in parts) <= MOST_COLUMNS
    query = Query.parse(by=",".join(parts))
    assert set(query.used_fields) <= set(FIELDS)


def test_the_recipes_key_has_names_of_its_own() -> None:
    """However it is written, it is the default key, and in another order it is not."""
    assert Query.parse(by="src,dst,DSTPORT") == Query.parse() == Query()
    assert [column.name for column in columns_of(RECIPE_KEY)] == ["src", "dst", "port"]
    other = Query.parse(by="dstaddr,srcaddr,dstport")
    assert not other.is_recipe
    assert [column.name for column in other.lines.columns] == ["dstaddr", "srcaddr", "dstport"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (["srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"], keys.ADDRESS),
        (["srcport", "dstport"], keys.PORT),
        (["protocol"], keys.PROTOCOL),
        (["version", "packets", "bytes", "start", "end", "tcp-flags", "traffic-path"], keys.NUMBER),
        (["account-id", "interface-id", "action", "log-status", "vpc-id", "flow-direction", "type"], keys.TEXT),
    ],
)
def test_the_kind_of_a_field(fields: list[str], kind: keys.Kind) -> None:
    """By its name, or else by AWS's type: a text or a number."""
    assert [kind_of(field) for field in fields] == [kind] * len(fields)


def test_a_field_that_is_part_of_a_key_is_not_needed() -> None:
    """A layout that lacks it can be counted: its value is `-`. What is summed or asked for is needed."""
    query = Query.parse(by="vpc-id,srcaddr", metric="bytes", action="ALL", ports="all", log_format="bytes srcaddr")
    assert query.needed_fields == ("bytes",)
    assert query.used_fields == ("bytes", "vpc-id", "srcaddr")
