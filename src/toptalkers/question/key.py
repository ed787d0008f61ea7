"""The key of an answer, whose parts are fields of the record; and the lines of an answer.

A line has the parts of the key, separated by colons, and the sums, each after a tab: `192.0.2.1:198.51.100.7:443`, a
tab, `12`. An IPv6 address is in brackets, as in a URI (RFC 3986, section 3.2.2), so that a colon outside of brackets
always separates two parts. `job/count_flows.py` and `job/port_filter.py` repeat this grammar, because they travel
without the package; a test holds them equal.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Value = str | int
"""The value of a part: an address as it was logged, or a number."""

HIGHEST_PORT = 65535

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_ADDRESS_IPV4 = re.compile(_IPV4)
_ADDRESS_IPV6_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}")
_BRACKETS = re.compile(rb"\[[^\]]*\]")
_WORDS = re.compile(rb"\[[^\]]*\]|[^:\t\n]+")
"""The parts and the sums of a line."""

_SUM = r"0|[1-9][0-9]{0,37}"


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
    address = text.decode()
    if not address.startswith("["):
        return address
    if not is_ipv6(address[1:-1]):
        raise ValueError(f"not a talker's address: {address!r}")
    return address[1:-1]


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of a part's values.

    Attributes:
        pattern: a regular expression, without groups, of a printed value. It may match more than `read` accepts.
        read: reads a printed value that the pattern matches; ValueError if it is not valid.
        is_number: whether values are numbers.

    """

    pattern: str
    read: Callable[[bytes], Value]
    is_number: bool


ADDRESS = Kind(rf"{_IPV4}|\[[0-9A-Fa-f:.]{{2,45}}\]", _read_address, is_number=False)
PORT = Kind(
    r"[0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]", int, is_number=True
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a key.

    Attributes:
        field: the field of the record.
        name: the name of its column in CSV and JSON.
        title: the title of its column in a table.
        kind: what its values are.

    """

    field: str
    name: str
    title: str
    kind: Kind


PARTS: dict[str, Part] = {
    part.field: part
    for part in (
        Part("srcaddr", "src", "source", ADDRESS),
        Part("dstaddr", "dst", "destination", ADDRESS),
        Part("dstport", "port", "port", PORT),
    )
}
"""Every field that can be a part of a key."""


class Lines:
    """Prints, checks and reads the lines of an answer with a key and a number of sums per line."""

    def __init__(self, key: Sequence[str], sums: int) -> None:
        self.parts = tuple(PARTS[field] for field in key)
        text = (
            ":".join(f"(?:{part.kind.pattern})" for part in self.parts) + rf"\t({_SUM})" + rf"\t(?:{_SUM})" * (sums - 1)
        )
        self._line = re.compile(text.encode() + rb"\n?")
        self._readers: list[Callable[[bytes], Any]] = [*(part.kind.read for part in self.parts), *[int] * sums]

    def format(self, key: Sequence[Value], sums: Sequence[int]) -> bytes:
        """Return a line, with a line feed."""
        texts = [f"[{value}]" if ":" in str(value) else str(value) for value in key]
        return "\t".join([":".join(texts), *map(str, sums)]).encode() + b"\n"

    def read(self, line: bytes) -> tuple[tuple[Value, ...], tuple[int, ...]]:
        """The key and the sums of a line; ValueError if it is no line of this answer."""
        if self._line.fullmatch(line) is None:
            raise _no_line(line)
        texts = _WORDS.findall(line) if b"[" in line else line.replace(b"\t", b":").split(b":")
        values = [read(text) for read, text in zip(self._readers, texts, strict=True)]
        width = len(self.parts)
        return tuple(values[:width]), tuple(values[width:])

    def rank(self, line: bytes) -> int:
        """The first sum of a line, by which lines are ordered; ValueError if it is no line of this answer."""
        match = self._line.fullmatch(line)
        if match is None:
            raise _no_line(line)
        if b"[" in line:  # everything else that the pattern matches is valid
            for text in _BRACKETS.findall(line):
                _read_address(text)
        return int(match[1])


def _no_line(line: bytes) -> ValueError:
    return ValueError(f"not a talker and sum: {line[:100]!r}")


@lru_cache
def lines_of(key: tuple[str, ...], sums: int = 1) -> Lines:
    """The `Lines` of a key and a number of sums."""
    return Lines(key, sums)
