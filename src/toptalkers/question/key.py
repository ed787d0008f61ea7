"""The key of an answer: its parts, and the values that a part can have.

The recipe's key is `srcaddr,dstaddr,dstport`. Any other is a list of parts (`--by`): fields of the record, networks,
times, the two addresses in either order, and the service port. A part has one column in an answer, `pair` has two.

`job/count_flows.py` and `kernel/keys.c` repeat these rules, because they travel without the package or are C.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import FIELDS, FieldType, field_name
from toptalkers.question.conversations import FOLDED_KEY
from toptalkers.question.named import SERVICE, hint_of_named, parse_named
from toptalkers.question.times import TIME_PATTERN, parse_seconds
from toptalkers.visible import quoted

Value = str | int
"""The value of a column: a text as it was logged, or a number; `-` where a record has none."""

HIGHEST_PORT = 65535

RECIPE_KEY = ("srcaddr", "dstaddr", "dstport")
"""The key of the published recipe, and the default. All three parts must have a value."""

MOST_COLUMNS = 16
"""The most columns of a key."""

LONGEST_TEXT_BYTES = 1024
"""A longer text cannot be part of a key."""

ADDRESS_FIELDS = ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr")
PORT_FIELDS = ("srcport", "dstport")
TIME_FIELDS = ("start", "end")
TIME_PARTS = ("minute", "hour", "day")
SERVICE_PARTS = ("service-port", "side", "client-port")
SERVICE_FIELDS = ("srcport", "dstport", "tcp-flags")
"""The fields that tell which port is the service's. Without the last, the ports alone do."""

SYN, ACK = 2, 16
"""The bits of `tcp-flags` that tell who opened the connection."""

HIGHEST_KNOWN_PORT = 1024
"""The client's port is dropped from a service if it is higher than this."""

DEFAULT_IPV6_LENGTH = 64
"""The bits of IPv6 that `srcaddr/24` keeps. `srcaddr/24/56` names another length."""

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4_PATTERN = rf"{_OCTET}(?:[.]{_OCTET}){{3}}"
_ADDRESS_IPV4 = re.compile(IPV4_PATTERN)
_ADDRESS_IPV6_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_NETWORK_WORD = re.compile(r"([a-z0-9-]+)/([0-9]{1,3})(?:/([0-9]{1,3}))?")


def is_ipv4(text: str) -> bool:
    """Whether a text is a dotted IPv4 address (four numbers below 256, no leading zeros)."""
    return _ADDRESS_IPV4.fullmatch(text) is not None


def is_ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address (RFC 4291, section 2.2), without a zone."""
    head, gap, tail = text.partition("::")
    if gap:
        groups = (head.split(":") if head else []) + (tail.split(":") if tail else [])
    else:
        groups = text.split(":")
    width = len(groups)
    if groups and is_ipv4(groups[-1]) and (tail or not gap):
        groups.pop()  # the last 32 bits, written as an IPv4 address, count as two groups
        width += 1
    if not all(_ADDRESS_IPV6_GROUP.fullmatch(group) for group in groups):
        return False
    return width <= 7 if gap else width == 8


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    return is_ipv4(text) or is_ipv6(text)


@lru_cache(maxsize=1 << 16)
def _read_address(text: bytes) -> str:
    """Read an address, with or without brackets."""
    address = text.decode()
    is_bracketed = address.startswith("[")
    if is_bracketed:
        address = address[1:-1]
    if not (is_ipv6(address) or (is_ipv4(address) and not is_bracketed)):
        raise ValueError(f"not an address: {address!r}")
    return address


@lru_cache(maxsize=1 << 16)
def _read_network(text: bytes) -> str:
    address, _, length = text.partition(b"/")
    _read_address(address)
    if int(length) > (32 if b"." in address and b":" not in address else 128):
        raise ValueError(f"not a network: {text!r}")
    return text.decode()


def _read_number(text: bytes) -> Value:
    """A number as an int if it is written like one, else as it was logged: `007`."""
    return int(text) if text == b"0" or text[:1] != b"0" else text.decode()


@lru_cache(maxsize=1 << 16)
def _read_time(text: bytes) -> str:
    parse_seconds(text)
    return text.decode()


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a column's values.

    Attributes:
        name: what the kernel calls it.
        pattern: a regular expression of bytes, without groups, of a printed value other than `-`. It may match more
            than `read` accepts.
        read: reads a printed value that the pattern matches; ValueError if it is not valid.
        is_number: whether values are numbers.

    """

    name: str
    pattern: str
    read: Callable[[bytes], Value]
    is_number: bool = False


ADDRESS = Kind("address", r"[0-9A-Fa-f:.]{2,45}", _read_address)
BRACKETED_ADDRESS = Kind("address", rf"{IPV4_PATTERN}|\[[0-9A-Fa-f:.]{{2,45}}\]", _read_address)
NETWORK = Kind("network", r"[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}", _read_network)
PORT = Kind(
    "port",
    r"[0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]",
    int,
    is_number=True,
)
PROTOCOL = Kind("protocol", r"[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]", int, is_number=True)
NUMBER = Kind("number", r"[0-9]{1,15}", _read_number, is_number=True)
TIME = Kind("time", TIME_PATTERN, _read_time)
TEXT = Kind("text", rf"[^\x00-\x20\x7f]{{1,{LONGEST_TEXT_BYTES}}}", bytes.decode)
SIDE = Kind("side", r"src|dst|both", bytes.decode)
NAME = Kind("name", r"[^\x00-\x1f\x7f]+", bytes.decode)
"""The kind of named parts, of any length: several owners are joined. The kernel does not know it."""


FOLDED_PARTS = {"server-port": PORT, "server-side": TEXT, "peer-port": PORT, "how": TEXT}
"""The parts of `FOLDED_KEY` that no record has: columns of a digest. No other key has them."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a key.

    Attributes:
        name: its name in CSV and JSON, unless a metric has it: see `Lines.names`.
        title: its title in a table.
        kind: what its values are, beside `-`.

    """

    name: str
    title: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a key.

    Attributes:
        word: how `--by` and the scripts' arguments write it: `srcaddr/24/64`.
        fields: the fields of a record that it is made of.
        columns: its columns in an answer.

    """

    word: str
    fields: tuple[str, ...]
    columns: tuple[Column, ...]


RECIPE_COLUMNS = (
    Column("src", "source", BRACKETED_ADDRESS),
    Column("dst", "destination", BRACKETED_ADDRESS),
    Column("port", "port", PORT),
)
"""The columns of the recipe's key, which have names of their own."""

ALIASES = {"src": "srcaddr", "dst": "dstaddr", "proto": "protocol"}
"""Short words for fields."""

_EITHER_SIDE = {
    "port": "dstport, srcport or service-port",
    **dict.fromkeys(("addr", "host", "ip", "address"), "srcaddr, dstaddr or pair"),
    **dict.fromkeys(("net", "network"), "srcaddr/24 or dstaddr/24"),
    "subnet": "srcaddr/24 or dstaddr/24; with --names src.subnet or dst.subnet",
    "vpc": "src.vpc or dst.vpc, with --names; vpc-id is that of the interface",
}
"""What is meant by words of `--where` that are no parts of a key."""

_MEANT = {
    **dict.fromkeys(("source", "src-ip", "srcip", "src-addr", "source-ip", "sourceip", "saddr"), "srcaddr"),
    **dict.fromkeys(("destination", "dst-ip", "dstip", "dst-addr", "dest-ip", "destination-ip", "daddr"), "dstaddr"),
    **dict.fromkeys(("sport", "source-port"), "srcport"),
    **dict.fromkeys(("dport", "dest-port", "destination-port"), "dstport"),
    "time": "hour",
}
"""What is meant by words of other tools."""


@lru_cache
def parse_part(text: str) -> Part:
    """Read one part of a key: a field's name, `srcaddr/24`, `srcaddr/24/56`, `hour`, `pair`, `service-port` ...

    Case does not matter, and `_` is `-`, as Athena writes names. `src`, `dst` and `proto` are short for fields.

    Raises:
        UsageError: it is none, or a network's length is too large.

    """
    if named := parse_named(text):
        return Part(named.word, (f"{named.side}addr",), (Column(named.word, named.word, NAME),))
    if field_name(text) == SERVICE:
        return Part(SERVICE, (*SERVICE_FIELDS, "protocol"), (Column(SERVICE, SERVICE, NAME),))
    name, *lengths = field_name(text).split("/")
    word = "/".join([ALIASES.get(name, name), *lengths])
    if word in FOLDED_PARTS:
        return Part(word, (word,), (Column(word, word, FOLDED_PARTS[word]),))
    if word in TIME_PARTS:
        return Part(word, ("start",), (Column(word, word, TIME),))
    if word == "pair":
        columns = (Column("a", "address a", ADDRESS), Column("b", "address b", ADDRESS))
        return Part(word, ("srcaddr", "dstaddr"), columns)
    if word in SERVICE_PARTS:
        return Part(word, SERVICE_FIELDS, (Column(word, word, SIDE if word == "side" else PORT),))
    if network := _NETWORK_WORD.fullmatch(word):
        field, short, long = network[1], int(network[2]), int(network[3] or DEFAULT_IPV6_LENGTH)
        if field in ADDRESS_FIELDS:
            if short > 32 or long > 128:
                raise UsageError(
                    f"--by: {quoted(text)} is longer than an address",
                    hint="the first length is of IPv4, at most 32; the second of IPv6, at most 128",
                )
            name = f"{field}/{short}" + ("" if long == DEFAULT_IPV6_LENGTH else f"/{long}")
            return Part(f"{field}/{short}/{long}", (field,), (Column(name, name, NETWORK),))
        if field in FIELDS:
            raise UsageError(
                f"--by: {quoted(text)} is not a network", hint=f"networks are those of {', '.join(ADDRESS_FIELDS)}"
            )
    if word in FIELDS:
        return Part(word, (word,), (Column(word, word, kind_of(word)),))
    raise UsageError(f"--by: {quoted(text)} is not a part of a key", hint=_hint(word))


def kind_of(field: str) -> Kind:
    """The kind of a field's values in a key."""
    if field in ADDRESS_FIELDS:
        return ADDRESS
    if field in PORT_FIELDS:
        return PORT
    if field == "protocol":
        return PROTOCOL
    return TEXT if FIELDS[field].type is FieldType.STRING else NUMBER


def _hint(word: str) -> str:
    from difflib import get_close_matches

    if word in _EITHER_SIDE:
        return f"name the side: {_EITHER_SIDE[word]}"
    if hint := hint_of_named(word):
        return hint
    if re.search(r"[\s:;+|]", word):
        return "parts are separated by commas: srcaddr,dstport"
    if meant := _MEANT.get(word.partition("/")[0]):
        return f"did you mean {meant!r}?"
    if close := get_close_matches(word.partition("/")[0], (*FIELDS, *TIME_PARTS, *SERVICE_PARTS, "pair", SERVICE), n=1):
        return f"did you mean {close[0]!r}?"
    return (
        "a part is a field of flow logs, srcaddr/24, hour, day, minute, pair, service-port, side or client-port; with"
        " --names also src.name, dst.sg and the like, and service"
    )


def parse_key(text: str) -> tuple[str, ...]:
    """Read `--by`: parts separated by commas. Returns their words.

    Raises:
        UsageError: there is none, one is unknown or named twice, or they have too many columns.

    """
    if not text.strip():
        raise UsageError("--by names no part", hint="for example srcaddr,dstport or hour,srcaddr/24")
    parts = [parse_part(one) for one in text.split(",")]
    words = tuple(part.word for part in parts)
    for word in words:
        if words.count(word) > 1:
            raise UsageError(f"--by names {word!r} twice")
        if word in FOLDED_PARTS and words != FOLDED_KEY:
            raise UsageError(f"--by: {word!r} is not a part of a key", hint="service-port, side and client-port are")
    if sum(len(part.columns) for part in parts) > MOST_COLUMNS:
        raise UsageError(f"--by: a key has at most {MOST_COLUMNS} columns")
    return words


def columns_of(key: tuple[str, ...]) -> tuple[Column, ...]:
    """The columns of a key, in order."""
    if key == RECIPE_KEY:
        return RECIPE_COLUMNS
    return tuple(column for word in key for column in parse_part(word).columns)
