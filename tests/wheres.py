"""Drawn expressions of `--where`, and whether they hold for a record: decided from the tree, not from the text.

`wheres()` draws a text as a user would write it, and what it means. Nothing here shares code with `question/where.py`.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import strategies as st

Option = None | tuple[int, int] | tuple[str, str] | str
"""None: the record has no value. Two numbers: the least and the largest. Two addresses: likewise. Else a text."""


@dataclass(frozen=True)
class Is:
    """The value of a field is one of several."""

    field: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class No:
    """The opposite."""

    of: "Tree"


@dataclass(frozen=True)
class All:
    """Each of several."""

    of: tuple["Tree", ...]


@dataclass(frozen=True)
class Some:
    """At least one of several."""

    of: tuple["Tree", ...]


Tree = Is | No | All | Some


@dataclass(frozen=True)
class Drawn:
    """An expression.

    Attributes:
        text: as a user writes it.
        tree: what it means.

    """

    text: str
    tree: Tree


def holds(tree: Tree, record: Mapping[str, str]) -> bool:
    """Whether an expression holds for a record of valid values, by the names of fields; a field not in it is `-`."""
    if isinstance(tree, All):
        return all(holds(one, record) for one in tree.of)
    if isinstance(tree, Some):
        return any(holds(one, record) for one in tree.of)
    if isinstance(tree, No):
        return not holds(tree.of, record)
    value = service_of(record)[tree.field] if tree.field in SERVICE else record.get(tree.field, "-")
    return any(_is(tree.field, value, option) for option in tree.options)


def _is(field: str, value: str, option: Option) -> bool:
    if option is None or value == "-":
        return option is None and value == "-"
    if isinstance(option, str):
        return value == option
    low, high = option
    if isinstance(low, int) and isinstance(high, int):
        number = int(value)
        if field in ("start", "end") and number >= 100_000_000_000:
            number //= 1000
        return low <= number <= high
    address, first, last = (ipaddress.ip_address(one) for one in (value, low, high))
    return address.version == first.version and int(first) <= int(address) <= int(last)


SERVICE = ("service-port", "side", "client-port")


def service_of(record: Mapping[str, str]) -> dict[str, str]:
    """The service of a record: the port that is the server's, its side, and the client's port if it is well known.

    Of two equal ports without evidence, both are the service's and the client's.
    """
    source, destination, flags = (record.get(name, "-") for name in ("srcport", "dstport", "tcp-flags"))
    if "-" in (source, destination):
        port, side = (destination, "dst") if destination != "-" else (source, "src")
        return {"service-port": port, "side": side if port != "-" else "-", "client-port": "-"}
    evidence = int(flags) if flags.isascii() and flags.isdigit() and len(flags) <= 15 else 0
    if evidence & 2:
        side = "src" if evidence & 16 else "dst"
    elif source == destination:
        return {"service-port": source, "side": "both", "client-port": source}
    else:
        side = "src" if int(source) < int(destination) else "dst"
    port, other = (source, destination) if side == "src" else (destination, source)
    return {"service-port": port, "side": side, "client-port": other if int(other) <= 1024 else "-"}


# --- drawing ---

_V4 = ["10.0.0.1", "10.0.0.2", "10.0.1.17", "192.0.2.1", "198.51.100.77", "203.0.113.255", "0.0.0.0"]
_V6 = ["2001:db8::1", "2001:DB8::2", "2001:db8:0:0:0:0:0:1", "::", "::ffff:192.0.2.1", "fe80::1"]
_NETWORKS = [
    *("10.0.0.0/8", "10.0.0.0/24", "10.0.0.77/16", "192.0.2.1/32", "0.0.0.0/0", "198.51.100.0/25"),
    *("2001:db8::/32", "2001:db8::1/128", "fe80::1/64", "::/0"),
]
_NUMBERS = [0, 1, 6, 7, 17, 40, 53, 58, 80, 255, 443, 1024, 1025, 1500, 8080, 40000, 65535]
_LARGE = [1_000_000, 2_000_000_000, 999_999_999_999_999]
_TIMES = [0, 1793491199, 1793491200, 1793494799, 1793494800, 99_999_999_999]
_TEXTS = ["eni-0a1b2c3d4e5f60718", "123456789012", "vpc-1", "use1-az1", "-", "or", "a b", "it's", "\u00e9", 'q"', "@x"]
_PROTOCOLS = {6: "tcp", 17: "UDP", 1: "icmp", 58: "ipv6-icmp", 47: "gre"}

_ADDRESS_FIELDS = ["srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"]
_PORT_FIELDS = ["srcport", "dstport", "service-port", "client-port"]
_TEXT_FIELDS = ["interface-id", "account-id", "vpc-id", "az-id", "instance-id"]
_NUMBER_FIELDS = ["bytes", "packets", "tcp-flags", "version", "traffic-path"]

HIGHEST = {"port": 65535, "protocol": 255, "number": 999_999_999_999_999, "time": 253_402_300_799}

FIELDS: tuple[str, ...] = (
    *(*_ADDRESS_FIELDS, *_PORT_FIELDS, *_TEXT_FIELDS, *_NUMBER_FIELDS),
    *("protocol", "start", "end", "action", "side"),
)
"""The fields that drawn expressions test."""

_Spelled = tuple[str, Option]


@st.composite
def wheres(draw: st.DrawFn, *, fields: tuple[str, ...] = FIELDS, most_tests: int = 6) -> Drawn:
    """Draw an expression about some fields, also by `src`, `host` and other words that stand for them."""
    text, tree, _ = draw(_trees(fields, most_tests))
    return Drawn(draw(st.sampled_from(["", " ", "\n"])) + text, tree)


def _trees(fields: tuple[str, ...], most_tests: int) -> st.SearchStrategy[tuple[str, Tree, str]]:
    """Texts, trees, and how a text binds: `test`, `not`, `and` or `or`."""
    return st.recursive(_tests(fields), _compound, max_leaves=most_tests)


@st.composite
def _compound(draw: st.DrawFn, parts: st.SearchStrategy[tuple[str, Tree, str]]) -> tuple[str, Tree, str]:
    word = draw(st.sampled_from(["and", "or", "not"]))
    if word == "not":
        text, tree, binds = draw(parts)
        is_bare = binds in ("test", "not") and draw(st.booleans())
        sign = draw(st.sampled_from(["not ", "NOT ", "!", "! "]))
        return f"{sign}{text}" if is_bare else f"{sign}({text})", No(tree), "not"
    drawn = draw(st.lists(parts, min_size=2, max_size=3))
    texts = []
    for text, _, binds in drawn:
        needs_brackets = word == "and" and binds == "or"
        texts.append(f"({text})" if needs_brackets or draw(st.booleans()) else text)
    sign = draw(st.sampled_from([" and ", " AND ", "&&", "\n&& "] if word == "and" else [" or ", " Or ", "||"]))
    trees = tuple(tree for _, tree, _ in drawn)
    return sign.join(texts), All(trees) if word == "and" else Some(trees), word


@st.composite
def _tests(draw: st.DrawFn, fields: tuple[str, ...]) -> tuple[str, Tree, str]:
    subjects = _subjects(fields)
    kind = draw(st.sampled_from(sorted({_kind_of(tested[0]) for _, tested, _ in subjects})))
    subject, tested, is_all = draw(st.sampled_from([one for one in subjects if _kind_of(one[1][0]) == kind]))
    spelled, sign, is_negated = draw(_conditions(kind))
    if draw(st.booleans()):
        subject = subject.upper()
    trees = tuple(Is(field, spelled[1]) for field in tested)
    tree: Tree = trees[0] if len(trees) == 1 else All(trees) if is_all else Some(trees)
    return f"{subject}{sign}{spelled[0]}", No(tree) if is_negated else tree, "test"


def _kind_of(field: str) -> str:
    kinds = {
        "address": _ADDRESS_FIELDS,
        "port": _PORT_FIELDS,
        "text": _TEXT_FIELDS,
        "number": _NUMBER_FIELDS,
        "time": ["start", "end"],
        "protocol": ["protocol"],
        "action": ["action"],
        "side": ["side"],
    }
    return next(kind for kind, names in kinds.items() if field in names)


def _subjects(fields: tuple[str, ...]) -> list[tuple[str, tuple[str, ...], bool]]:
    """Words, the fields that they mean, and whether all of these must match."""
    found: list[tuple[str, tuple[str, ...], bool]] = [(field, (field,), False) for field in fields]
    found += [(field.replace("-", "_"), (field,), False) for field in fields if "-" in field]
    if "protocol" in fields:
        found.append(("proto", ("protocol",), False))
    for words, of in ((("host", "ip", "net"), ("srcaddr", "dstaddr")), (("port",), ("srcport", "dstport"))):
        for word in words:
            found += [
                (f"{side} {word}", (field,), False)
                for side, field in zip(("src", "dst"), of, strict=True)
                if field in fields
            ]
            if set(of) <= set(fields):
                found += [(word, of, False), (f"src or dst {word}", of, False), (f"dst and src {word}", of, True)]
    found += [(side, (f"{side}addr",), False) for side in ("src", "dst") if f"{side}addr" in fields]
    return found


@st.composite
def _conditions(draw: st.DrawFn, kind: str) -> tuple[tuple[str, tuple[Option, ...]], str, bool]:
    """A text of values with what it means, the operator before it, and whether that is a `not`."""
    if kind in HIGHEST and draw(st.booleans()):
        return draw(_comparisons(kind))
    options = draw(st.lists(_option(kind), min_size=1, max_size=3))
    meant = tuple(option for _, option in options)
    is_negated = draw(st.booleans())
    style = draw(st.sampled_from(["commas", "square", "round"]))
    texts = [text for text, _ in options]
    if style == "commas":
        signs = ["!=", " != ", " ne ", " not in "] if is_negated else ["=", " == ", " EQ ", " in ", " "]
        text = draw(st.sampled_from([",", ", "])).join(texts)
    else:
        signs = [" not in ", " NOT IN"] if is_negated else [" in ", " IN"]
        text = draw(st.sampled_from([", ", ","] if "-" in texts else [" ", ", ", "\n"])).join(texts)
        text = f"[ {text}]" if style == "square" else f"({text} )"
    return (text, meant), draw(st.sampled_from(signs)), is_negated


@st.composite
def _comparisons(draw: st.DrawFn, kind: str) -> tuple[tuple[str, tuple[Option, ...]], str, bool]:
    sign, word = draw(st.sampled_from([("<", "lt"), ("<=", "LE"), (">", "gt"), (">=", "ge")]))
    number = draw(st.sampled_from(_numbers(kind)))
    if (sign, number) in (("<", 0), (">", HIGHEST[kind])):
        sign, word = "<=", "le"
    low = {">": number + 1, ">=": number}.get(sign, 0)
    high = {"<": number - 1, "<=": number}.get(sign, HIGHEST[kind])
    text = draw(st.sampled_from(_spellings(kind, number)))
    return (text, ((low, high),)), draw(st.sampled_from([sign, f" {sign} ", f" {word} "])), False


def _numbers(kind: str) -> list[int]:
    numbers = _TIMES if kind == "time" else _NUMBERS + _LARGE
    return [number for number in numbers if number <= HIGHEST[kind]]


def _spellings(kind: str, number: int) -> list[str]:
    if kind == "protocol":
        return [str(number), _PROTOCOLS.get(number, str(number))]
    if kind == "number" and number % 1000 == 0 and number:
        return [str(number), f"{number // 1000}k", f"{number // 1000}K", hex(number)]
    if kind == "time":
        time = datetime.fromtimestamp(number, UTC)
        return [str(number), time.strftime("%Y-%m-%dT%H:%M:%SZ"), time.isoformat(), f"{number}000"][
            : 4 if number >= 100_000_000 else 3
        ]
    return [str(number)]


def _quoted(text: str) -> list[str]:
    escaped = text.replace("\\", "\\\\")
    return ["'" + escaped.replace("'", "\\'") + "'", '"' + escaped.replace('"', '\\"') + '"']


def _option(kind: str) -> st.SearchStrategy[_Spelled]:
    none: st.SearchStrategy[_Spelled] = st.just(("-", None))
    if kind == "address":
        return st.one_of(
            st.sampled_from(_V4 + _V6).map(_one_address),
            st.sampled_from(_NETWORKS).map(_network),
            st.sampled_from([_V4, _V6]).flatmap(_address_range),
            none,
        )
    if kind == "text":
        return st.sampled_from(_TEXTS).flatmap(_text)
    if kind == "action":
        return st.one_of(st.sampled_from(["ACCEPT", "accept", "Reject"]).map(lambda text: (text, text.upper())), none)
    if kind == "side":
        return st.one_of(st.sampled_from(["src", "DST", "both"]).map(lambda text: (text, text.lower())), none)
    return st.one_of(_number_option(kind), none)


@st.composite
def _number_option(draw: st.DrawFn, kind: str) -> _Spelled:
    low, high = sorted(draw(st.lists(st.sampled_from(_numbers(kind)), min_size=2, max_size=2)))
    if draw(st.booleans()):
        return draw(st.sampled_from(_spellings(kind, low))), (low, low)
    first, last = (draw(st.sampled_from(_spellings(kind, one))) for one in (low, high))
    if kind == "protocol":
        first, last = str(low), str(high)
    return f"{first}-{last}", (low, high)


@st.composite
def _text(draw: st.DrawFn, text: str) -> _Spelled:
    is_plain = text.replace("-", "").isalnum() and text not in ("or", "-")
    return draw(st.sampled_from([*_quoted(text), *[text] * (2 if is_plain else 0)])), None if text == "-" else text


def _one_address(text: str) -> _Spelled:
    return text, (text, text)


def _network(text: str) -> _Spelled:
    network = ipaddress.ip_network(text, strict=False)
    return text, (str(network[0]), str(network[-1]))


@st.composite
def _address_range(draw: st.DrawFn, among: list[str]) -> _Spelled:
    pair = draw(st.lists(st.sampled_from(among), min_size=2, max_size=2))
    low, high = sorted(pair, key=lambda one: int(ipaddress.ip_address(one)))
    return f"{low}-{high}", (low, high)


_VALUES = {
    "address": [*_V4, *_V6, "10.0.0.255", "10.1.2.3", "2001:db8:1::9", "-"],
    "port": [*map(str, (number for number in _NUMBERS if number <= 65535)), "-"],
    "protocol": ["0", "1", "6", "17", "47", "58", "255", "-"],
    "number": [*map(str, _NUMBERS + _LARGE), "007", "2", "18", "-"],
    "time": [*map(str, _TIMES), "1793491200000", "1793494799999", "-"],
    "text": [*_TEXTS, "-"],
    "action": ["ACCEPT", "REJECT", "-"],
}


def records(fields: tuple[str, ...] = FIELDS) -> st.SearchStrategy[dict[str, str]]:
    """Draw records of valid values, by the names of fields."""
    return st.fixed_dictionaries(
        {}, optional={field: st.sampled_from(_VALUES[_kind_of(field)]) for field in fields if field not in SERVICE}
    )
