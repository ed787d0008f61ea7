"""The values that a test of `--where` compares a field with: numbers, addresses and texts, as sorted sets."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv6Address, ip_address

from toptalkers.flowlog.protocols import PROTOCOL_NAMES, PROTOCOL_NUMBERS
from toptalkers.question.key import (
    ADDRESS,
    HIGHEST_PORT,
    NUMBER,
    PORT,
    PROTOCOL,
    SERVICE_PARTS,
    TEXT,
    TIME_FIELDS,
    is_address,
    kind_of,
)
from toptalkers.question.ranges import merge_ranges
from toptalkers.question.times import FIRST_MILLISECONDS, LARGEST_TIME, format_seconds, read_time
from toptalkers.question.where_words import is_bare, quote
from toptalkers.visible import quoted

NONE = "-"
"""The text of a field that a record does not have."""

LARGEST_NUMBER = 10**15 - 1
"""Numbers of a record have at most 15 digits."""

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_NUMBER = re.compile(r"([0-9]{1,20})([kmgt]?)|0x([0-9a-f]{1,15})", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,20}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RESERVED = ("and", "or", "not", "in")
"""Words that are no values unless they are in quotes."""

Range = tuple[int, int, int]
"""The bits of an address (32 or 128), or 0 for a number; the lowest and the highest value."""

Item = Range | str


class WrongValueError(Exception):
    """A text is not a value.

    Args:
        message: what it is not.
        hint: what is expected.
        at: the place of the wrong part in the text.

    """

    def __init__(self, message: str, *, hint: str | None = None, at: int = 0) -> None:
        """Keep the parts."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.at = at


@dataclass(frozen=True, slots=True)
class Values:
    """A set of values.

    Attributes:
        ranges: of numbers or addresses, ascending, with gaps between them; of IPv4 first.
        texts: each once, in the order of their bytes.

    """

    ranges: tuple[Range, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, items: Iterable[Item]) -> "Values":
        """Make a set of items in any order."""
        ranges: dict[int, list[tuple[int, int]]] = {}
        texts = set()
        for item in items:
            if isinstance(item, str):
                texts.add(item)
            else:
                bits, low, high = item
                ranges.setdefault(bits, []).append((low, high))
        merged = tuple((bits, *one) for bits in sorted(ranges) for one in merge_ranges(ranges[bits]))
        return cls(merged, tuple(sorted(texts, key=str.encode)))


class Syntax(ABC):
    """How the values of a field are read and written.

    Attributes:
        hint: what values look like, for an error.

    """

    hint: str

    @abstractmethod
    def read(self, text: str) -> Item:
        """Read a value or a range; WrongValueError if it is none."""

    def read_quoted(self, text: str) -> Item:
        """Read what quotes hold."""
        return self.read(text)

    @abstractmethod
    def write(self, item: Item) -> str:
        """Write a value or a range so that it is read back."""


@dataclass(frozen=True)
class Numbers(Syntax):
    """Numbers, and what is compared like them.

    Attributes:
        noun: what they are, in the singular.
        highest: the highest one that a record can have.
        hint: what they look like.
        read_one: reads a single one; None if a text is none.
        write_one: writes one.
        names: words that may have been meant.

    """

    noun: str
    highest: int
    hint: str
    read_one: Callable[[str], int | None]
    write_one: Callable[[int], str] = str
    names: Iterable[str] = ()

    def read(self, text: str) -> Item:
        if text == NONE:
            return NONE
        if (one := self._one(text, 0)) is not None:
            return 0, one, one
        for match in re.finditer("-", text):
            low, high = self._one(text[: match.start()], 0), self._one(text[match.end() :], match.end())
            if low is not None and high is not None:
                return _range(0, low, high, text, match.end())
        close = get_close_matches(text.lower(), tuple(self.names), n=1)
        hint = f"did you mean {close[0]!r}?" if close else self.hint
        raise WrongValueError(f"{quoted(text)} is not a {self.noun}", hint=hint)

    def compare(self, sign: str, text: str) -> Range:
        """Read the value after `<`, `<=`, `>` or `>=`, and return the range of all values for which that holds.

        Raises:
            WrongValueError: it is not one value, or nothing can be below or above it.

        """
        one = None if text == NONE else self._one(text, 0)
        if one is None:
            self.read(text)  # it says what is wrong, unless this is a range
            raise WrongValueError(f"expected one {self.noun} after {sign}, not {quoted(text)}", hint=self.hint)
        low = {">": one + 1, ">=": one}.get(sign, 0)
        high = {"<": one - 1, "<=": one}.get(sign, self.highest)
        if low > high:
            side = "below" if sign == "<" else "above"
            raise WrongValueError(f"no {self.noun} is {side} {quoted(text)}")
        return 0, low, high

    def write(self, item: Item) -> str:
        if isinstance(item, str):
            return item
        _, low, high = item
        return self.write_one(low) if low == high else f"{self.write_one(low)}-{self.write_one(high)}"

    def write_comparison(self, item: Item) -> str:
        """Write a range of all values above or below one as a comparison; empty if it is none."""
        if isinstance(item, str):
            return ""
        _, low, high = item
        if low == high or (low > 0 and high < self.highest):
            return ""
        # Of the two ways to write it, the one with the rounder number: `> 1000000`, `>= 1000000`.
        signs = ((">=", low), (">", low - 1)) if high == self.highest else (("<=", high), ("<", high + 1))
        sign, one = min(
            signs if low or high < self.highest else signs[:1], key=lambda way: len(str(way[1]).rstrip("0"))
        )
        return f"{sign} {self.write_one(one)}"

    def _one(self, text: str, at: int) -> int | None:
        one = self.read_one(text)
        if one is not None and one > self.highest:
            highest = self.write_one(self.highest)
            raise WrongValueError(f"{quoted(text)} is above the highest {self.noun}, {highest}", at=at)
        return one


class Addresses(Syntax):
    """Addresses, networks, and ranges of addresses."""

    hint = "for example 10.0.0.1 or 10.0.0.0/16"

    def read(self, text: str) -> Item:
        if text == NONE:
            return NONE
        first, slash, length = text.partition("/")
        if slash:
            bits, low = self._one(first, 0)
            if not _DIGITS.fullmatch(length) or int(length) > bits:
                raise WrongValueError(
                    f"{quoted(text)} is not a network: the length after / is 0 to {bits}", at=len(first) + 1
                )
            rest = (1 << (bits - int(length))) - 1
            return bits, low & ~rest, low | rest
        first, dash, last = text.partition("-")
        if not is_address(first):
            first = text  # a name, which may have a dash
        bits, low = self._one(first, 0)
        if not dash:
            return bits, low, low
        bits_last, high = self._one(last, len(first) + 1)
        if bits != bits_last:
            raise WrongValueError(f"the range {quoted(text)} is of IPv4 and IPv6", at=len(first) + 1)
        return _range(bits, low, high, text, len(first) + 1)

    def write(self, item: Item) -> str:
        if isinstance(item, str):
            return item
        bits, low, high = item
        rest = low ^ high
        if low == high:
            return _address(bits, low)
        if rest & (rest + 1) == 0 and low & rest == 0:
            return f"{_address(bits, low)}/{bits - rest.bit_length()}"
        return f"{_address(bits, low)}-{_address(bits, high)}"

    def _one(self, text: str, at: int) -> tuple[int, int]:
        if not is_address(text):
            raise WrongValueError(f"{quoted(text)} is not an address or a network", hint=self.hint, at=at)
        address = ip_address(text)
        return address.max_prefixlen, int(address)


@dataclass(frozen=True)
class Texts(Syntax):
    """Texts, compared as they were logged.

    Attributes:
        words: texts that are read in any case, because AWS writes them in one way only.
        is_all: whether there are no other texts.

    """

    words: tuple[str, ...] = ()
    is_all: bool = False
    hint: str = "for example vpc-0a1b2c3d, or 'a text in quotes'"

    def read_quoted(self, text: str) -> Item:
        if not text:
            raise WrongValueError("an empty text matches nothing", hint="a record without the field has -")
        return text

    def read(self, text: str) -> Item:
        for word in self.words:
            if word.lower() == text.lower():
                return word
        if self.is_all and text != NONE:
            raise WrongValueError(f"{quoted(text)} is not one of {', '.join(self.words)}")
        return text

    def write(self, item: Item) -> str:
        text = str(item)
        if is_bare(text) and text.lower() not in RESERVED and self._is_itself(text):
            return text
        return quote(text)

    def _is_itself(self, text: str) -> bool:
        try:
            return self.read(text) == text
        except WrongValueError:
            return False


def _range(bits: int, low: int, high: int, text: str, at: int) -> Range:
    if low > high:
        raise WrongValueError(f"the range {quoted(text)} ends before it begins", at=at)
    return bits, low, high


def _address(bits: int, number: int) -> str:
    if bits == 32:
        return str(IPv4Address(number))
    if number >> 32 == 0xFFFF:  # newer versions of Python write the last 32 bits as an IPv4 address
        return f"::ffff:{number >> 16 & 0xFFFF:x}:{number & 0xFFFF:x}"
    return str(IPv6Address(number))


def _read_digits(text: str) -> int | None:
    return int(text) if _DIGITS.fullmatch(text) else None


def _read_number(text: str) -> int | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    return int(match[3], 16) if match[3] else int(match[1]) * _SUFFIXES[match[2].lower()]


def _read_protocol(text: str) -> int | None:
    return PROTOCOL_NUMBERS.get(text.lower(), _read_digits(text))


def _read_time(text: str) -> int | None:
    if (number := _read_digits(text)) is not None:
        return number if number < FIRST_MILLISECONDS else number // 1000
    if not _TIME.match(text):
        return None
    time = read_time(text)
    if time is None:
        return None
    if time.microsecond:
        raise WrongValueError(f"{quoted(text)} is finer than a second", hint="flow logs count in seconds")
    if time < _EPOCH:
        raise WrongValueError(f"{quoted(text)} is before 1970", hint="flow logs count from 1970 on")
    return int((time - _EPOCH).total_seconds())


_PORT = Numbers("port", HIGHEST_PORT, "for example 443 or 8000-8999", _read_digits)
_TIME_SYNTAX = Numbers("time", LARGEST_TIME, "for example 2026-11-23T18:00:00Z", _read_time, format_seconds)

_OF_KIND = {
    ADDRESS: Addresses(),
    PORT: _PORT,
    PROTOCOL: Numbers(
        "protocol",
        255,
        "for example tcp, udp, icmp or 47",
        _read_protocol,
        lambda number: PROTOCOL_NAMES.get(number, str(number)),
        ("tcp", "udp", "icmp", "icmp6", "igmp", "gre", "esp", "ah", "sctp"),
    ),
    NUMBER: Numbers("number", LARGEST_NUMBER, "for example 1000000, 1m or 1k-2k", _read_number),
    TEXT: Texts(),
}

_OF_FIELD: dict[str, Syntax] = {
    **dict.fromkeys(TIME_FIELDS, _TIME_SYNTAX),
    **dict.fromkeys(SERVICE_PARTS, _PORT),
    "action": Texts(("ACCEPT", "REJECT"), is_all=True, hint="ACCEPT or REJECT"),
    "side": Texts(("src", "dst", "both"), is_all=True, hint="src, dst or both"),
    "log-status": Texts(("OK", "NODATA", "SKIPDATA")),
    "flow-direction": Texts(("ingress", "egress")),
    "type": Texts(("IPv4", "IPv6", "EFA")),
}
"""The fields whose values have other words than those of their kind, and the parts of a service."""


def syntax_of(field: str) -> Syntax:
    """How the values of a field, or of a part of a service, are written; KeyError if it is none."""
    return _OF_FIELD.get(field) or _OF_KIND[kind_of(field)]
