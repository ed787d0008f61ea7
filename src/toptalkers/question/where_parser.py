"""The grammar of `--where`: from the words of an expression to its tree, and from there to its text and its program.

    or      and ("or" and)*             also ||
    and     not ("and" not)*            also &&
    not     ("not")* test               also !; also brackets around an `or`
    test    SUBJECT [OPERATOR] VALUES   without an operator: equality

`docs/where.md` explains subjects, operators and values.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import FIELDS, field_name
from toptalkers.flowlog.protocols import PROTOCOL_NUMBERS
from toptalkers.question.key import ALIASES, SERVICE_PARTS, is_address
from toptalkers.question.where import ProgramTest, split_program
from toptalkers.question.where_values import (
    NONE,
    RESERVED,
    Addresses,
    Item,
    Numbers,
    Syntax,
    Texts,
    Values,
    WrongValueError,
    syntax_of,
)
from toptalkers.question.where_words import Expression, Token
from toptalkers.visible import quoted, visible

MOST_NESTED = 25
"""The most brackets around a test. With so few, at most 64 results wait for an operator at once."""

LARGEST_LIST_BYTES = 16 << 20
"""A larger file is no list for `in @FILE`."""

_COMPARISONS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_EQUALITIES = {"=", "==", "eq"}
_INEQUALITIES = {"!=", "ne"}

_SIDES = {
    "host": ("srcaddr", "dstaddr"),
    "ip": ("srcaddr", "dstaddr"),
    "net": ("srcaddr", "dstaddr"),
    "port": ("srcport", "dstport"),
}
"""Words that stand for a field of either side."""

_FAMILIES = {"ipv4": (32, 0, (1 << 32) - 1), "ipv6": (128, 0, (1 << 128) - 1)}
"""nfdump's words for records whose addresses are of one version, and the addresses."""

_WORDS = (*FIELDS, *SERVICE_PARTS, *_SIDES, *_FAMILIES, *ALIASES, "not")
"""What a test can begin with."""

_MEANT = {
    **dict.fromkeys(("sport", "source-port"), "src port"),
    **dict.fromkeys(("dport", "dest-port"), "dst port"),
    **dict.fromkeys(("saddr", "sip", "srcip", "src-ip", "src-addr", "source"), "src host"),
    **dict.fromkeys(("daddr", "dip", "dstip", "dst-ip", "dst-addr", "destination"), "dst host"),
    "ip6": "ipv6",
    "inet6": "ipv6",
    "inet": "ipv4",
}
"""Words of other tools, and those that are meant."""

_HINTS = {
    **dict.fromkeys(
        ("hour", "day", "minute", "date", "time"),
        "a time is written start >= 2026-11-23T18:00:00Z and start < 2026-11-23T19:00:00Z",
    ),
    **dict.fromkeys(("duration", "pps", "bps", "bpp", "as", "geo"), "flow logs do not have it"),
    "flags": "tcp-flags is the sum of FIN 1, SYN 2, RST 4, ACK 16: tcp-flags = 2 is SYN alone",
}
"""What to write instead of words of other tools and of `--by`."""

_OPERATORS_MEANT = {"<>": "!=", "=>": ">=", "=<": "<=", "=!": "!="}
_SQL_HINTS = {
    "is": "a record without a value has -, as in dstport = -",
    "between": "a range is written 1-100",
    "like": "a network is written 10.0.0.0/16, and a range 1-100",
}
_QUOTES_HINT = "put the whole expression in quotes: --where 'dst port 443'"

_IN_FILE = re.compile(r"#.*|[^\s,#][^\s,]*")


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison.

    Attributes:
        fields: one, or the source's and the destination's.
        both: whether both fields must have one of the values, and not only one of them.
        values: what is looked for.

    """

    fields: tuple[str, ...]
    both: bool
    values: Values


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a test, or of several."""

    one: "Test | Joined"


@dataclass(frozen=True, slots=True)
class Joined:
    """Several, of which all (`and`) or one (`or`) must hold."""

    word: str
    parts: "tuple[Node, ...]"


Node = Test | Not | Joined


def parse_expression(text: str) -> Node:
    """Read an expression.

    Raises:
        UsageError: it is none, or a list's file cannot be read.

    """
    return _Parser(Expression(text)).parse()


def parse_words(program: str) -> Node:
    """Read the words of a program; they may come out in another order, which means the same.

    Raises:
        UsageError: it is none.

    """
    stack: list[Node] = []
    try:
        for word in split_program(program):
            if isinstance(word, ProgramTest):
                stack.append(_read_test(word))
            elif word == "not":
                stack.append(_negated(stack.pop()))
            else:
                last = stack.pop()
                stack.append(_joined(word, [stack.pop(), last]))
        (node,) = stack
    except (ValueError, KeyError, IndexError):
        raise UsageError(f"--where: {quoted(program)} is not the program of an expression") from None
    return node


def _read_test(test: ProgramTest) -> Test:
    """Check a test of a program, and make it a node; ValueError or KeyError if it is none."""
    field, letter, options = test
    syntax = syntax_of(field)
    if letter == "t" and (isinstance(syntax, Texts) or options == NONE.encode().hex()):
        if "" in test.texts():
            raise ValueError(test)
        return Test((field,), False, Values.of(test.texts()))
    ranges = []
    for low, high in (one.split("-") for one in options.split("+")):
        if letter == "n" and isinstance(syntax, Numbers) and int(low) <= int(high) <= syntax.highest:
            ranges.append((0, int(low), int(high)))
        elif letter == "a" and isinstance(syntax, Addresses) and low <= high and len(low) == len(high) in (8, 32):
            ranges.append((4 * len(low), int(low, 16), int(high, 16)))
        else:
            raise ValueError(test)
    return Test((field,), False, Values.of(ranges))


def write_text(node: Node, within: str = "") -> str:
    """Write a tree in one line, as `parse_expression` reads it back; `within` is the word that joins it with others."""
    if isinstance(node, Joined):
        joined = f" {node.word} ".join(write_text(part, node.word) for part in node.parts)
        return f"({joined})" if within == "not" or (within, node.word) == ("and", "or") else joined
    if isinstance(node, Test):
        return _write_test(node, "=", "in")
    if isinstance(node.one, Test):
        return _write_test(node.one, "!=", "not in")
    return f"not {write_text(node.one, 'not')}"


def write_program(node: Node) -> str:
    """Write a tree as the words of a program; see `where.py`."""
    return ",".join(_program(node))


def _write_test(test: Test, sign: str, word: str) -> str:
    """Write a test with the sign for one value, or the word for several."""
    if len(test.fields) == 1:
        subject = test.fields[0]
    else:
        subject = ("src and dst " if test.both else "") + ("host" if test.fields[0] == "srcaddr" else "port")
    syntax = syntax_of(test.fields[0])
    items: tuple[Item, ...] = (*test.values.ranges, *test.values.texts)
    if len(items) > 1:
        return f"{subject} {word} [{', '.join(map(syntax.write, items))}]"
    if sign == "=" and isinstance(syntax, Numbers) and (comparison := syntax.write_comparison(items[0])):
        return f"{subject} {comparison}"
    return f"{subject} {sign} {syntax.write(items[0])}"


def _program(node: Node) -> Iterator[str]:
    if isinstance(node, Test):
        for number, field in enumerate(node.fields):
            yield from _program_of_field(field, node.values)
            if number:
                yield "and" if node.both else "or"
    elif isinstance(node, Not):
        yield from _program(node.one)
        yield "not"
    else:
        for number, part in enumerate(node.parts):
            yield from _program(part)
            if number:
                yield node.word


def _program_of_field(field: str, values: Values) -> Iterator[str]:
    if values.ranges:
        if values.ranges[0][0]:
            ranges = [f"{low:0{bits // 4}x}-{high:0{bits // 4}x}" for bits, low, high in values.ranges]
        else:
            ranges = [f"{low}-{high}" for _, low, high in values.ranges]
        yield f"{field}:{'a' if values.ranges[0][0] else 'n'}:{'+'.join(ranges)}"
    if values.texts:
        yield f"{field}:t:{'+'.join(text.encode().hex() for text in values.texts)}"
        if values.ranges:
            yield "or"


def _negated(node: Node) -> Node:
    return node.one if isinstance(node, Not) else Not(node)


def _joined(word: str, parts: list[Node]) -> Node:
    if len(parts) == 1:
        return parts[0]
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, Joined) and part.word == word else [part]
    return Joined(word, tuple(flat))


class _Parser:
    """Reads an expression from left to right."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self._tokens = expression.tokens()
        self._next = 0
        self._nested = 0

    def parse(self) -> Node:
        if self._is_at_end():
            raise self._error(
                self._token, "the expression is empty", "for example 'dst port 443 and src net 10.0.0.0/16'"
            )
        node = self._or()
        if self._is_at_end():
            return node
        if self._token.word == ")":
            raise self._error(self._token, "')' closes a bracket that is not open")
        raise self._error_after_test()

    # --- the words ---

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _is_at_end(self) -> bool:
        return self._token.kind == "end"

    def _after(self, number: int) -> Token:
        return self._tokens[min(self._next + number, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._token
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _error(self, token: Token, message: str, hint: str | None = None) -> UsageError:
        return self._expression.error(token.at, message, hint)

    # --- operators ---

    def _or(self) -> Node:
        parts = [self._and()]
        while self._token.word in ("or", "||"):
            self._take()
            parts.append(self._and())
        return _joined("or", parts)

    def _and(self) -> Node:
        parts = [self._not()]
        while self._token.word in ("and", "&&"):
            self._take()
            parts.append(self._not())
        return _joined("and", parts)

    def _not(self) -> Node:
        is_negated = False
        while self._token.word in ("not", "!"):
            self._take()
            is_negated = not is_negated
        node = self._brackets() if self._token.word == "(" else self._test()
        return _negated(node) if is_negated else node

    def _brackets(self) -> Node:
        opening = self._take()
        self._nested += 1
        if self._nested > MOST_NESTED:
            raise self._error(opening, f"brackets are nested more than {MOST_NESTED} deep")
        node = self._or()
        self._nested -= 1
        if self._is_at_end():
            raise self._error(opening, "this bracket is never closed")
        if self._token.word != ")":
            raise self._error_after_test()
        self._take()
        return node

    def _error_after_test(self) -> UsageError:
        token, before = self._token, self._tokens[self._next - 1]
        hint = None
        if token.word == ",":
            hint = "only values are separated by commas"
        elif token.word in _COMPARISONS or token.word in _EQUALITIES | _INEQUALITIES:
            hint = "a test has one operator, and ends with its values"
        elif "." in token.text and "." in before.text and token.kind == before.kind == "word":
            hint = "a network is written 10.0.0.0/16, and a list 10.0.0.1,10.0.0.2"
        elif token.kind == before.kind == "word":
            hint = "a list is written 22,443 or in [22 443]; a text with spaces is in quotes"
        return self._error(token, f"expected 'and' or 'or' before {token}", hint)

    # --- tests ---

    def _test(self) -> Node:
        token = self._token
        if token.word in ("src", "dst"):
            return self._test_of_side()
        if token.word in _SIDES:
            self._take()
            return self._comparison(token, _SIDES[token.word])
        if token.word in _FAMILIES:
            self._take()
            return Test(_SIDES["host"], True, Values.of([_FAMILIES[token.word]]))
        field = field_name(token.word)
        field = ALIASES.get(field, field)
        if field in FIELDS or field in SERVICE_PARTS:
            self._take()
            return self._comparison(token, (field,))
        raise self._error_of_subject(token)

    def _error_of_subject(self, token: Token) -> UsageError:
        if token.kind != "word" or token.word in RESERVED:
            hint = _QUOTES_HINT if token.kind == "end" and self._next == 1 else "for example: dst port 443"
            return self._error(token, f"expected a test, not {token}", hint)
        word = field_name(token.word)
        if token.word in PROTOCOL_NUMBERS:
            meant: str | None = f"proto {token.text}"
        elif is_address(token.text.partition("/")[0]):
            meant = f"host {token.text}"
        else:
            meant = _MEANT.get(word) or next(iter(get_close_matches(word, _WORDS, n=1)), None)
        hint = f"did you mean {meant!r}?" if meant else "a test begins with host, net, port, proto, src, dst or a field"
        if word in _HINTS:
            hint = _HINTS[word]
        elif not meant and self._next and self._tokens[self._next - 1].word in ("or", "||", "and", "&&", ","):
            hint = "each test has its own subject; several values are a list: dst port in [80, 443]"
        return self._error(token, f"{token} is not a field of flow logs, nor another word of an expression", hint)

    def _test_of_side(self) -> Node:
        """`src`, `dst`, `src or dst`, `src and dst`, and what follows."""
        side = self._take()
        joint = self._token.word
        both = False
        number: int | None = ("src", "dst").index(side.word)
        if joint in ("or", "and", "||", "&&") and {side.word, self._after(1).word} == {"src", "dst"}:
            self._take()
            self._take()
            number, both = None, joint in ("and", "&&")
        token = self._token
        if token.word in _SIDES:
            self._take()
        elif (
            token.word.isalpha()
            and token.word not in {*RESERVED, *_COMPARISONS, *_EQUALITIES, *_INEQUALITIES}
            and (close := get_close_matches(token.word, _SIDES, n=1))
        ):
            raise self._error(token, f"{token} is not an address or a network", f"did you mean {close[0]!r}?")
        fields = _SIDES.get(token.word, _SIDES["host"])
        return self._comparison(
            token if token.word in _SIDES else side, fields if number is None else (fields[number],), both=both
        )

    def _comparison(self, subject: Token, fields: tuple[str, ...], *, both: bool = False) -> Node:
        """The operator and the values of a test."""
        syntax = syntax_of(fields[0])
        token, word = self._token, self._token.word
        if word in _COMPARISONS:
            self._take()
            if not isinstance(syntax, Numbers):
                raise self._error(token, f"{subject} cannot be compared with {token}", "it takes =, != and in")
            value = self._value(subject, syntax, "")
            if value.kind == "file" or self._token.word == ",":
                raise self._error(value, f"expected one value after {token}, not a list")
            sign = _COMPARISONS[word]
            return Test(fields, both, Values.of([self._read(value, lambda text: syntax.compare(sign, text))]))
        is_negated = word in _INEQUALITIES
        if word == "not" and self._after(1).word == "in":
            self._take()
            is_negated = True
        if is_negated or word in _EQUALITIES or word == "in":
            self._take()
        node = Test(fields, both, Values.of(self._values(subject, syntax, is_in=word in ("in", "not"))))
        return Not(node) if is_negated else node

    # --- values ---

    def _values(self, subject: Token, syntax: Syntax, *, is_in: bool) -> Iterator[Item]:
        """A value, some separated by commas, or a list in brackets."""
        if self._token.word == "[" or (is_in and self._token.word == "("):
            yield from self._list(subject, syntax)
            return
        yield from self._items(syntax, self._value(subject, syntax, ""))
        while self._token.word == ",":
            self._take()
            yield from self._items(syntax, self._value(subject, syntax, " after the comma"))

    def _list(self, subject: Token, syntax: Syntax) -> Iterator[Item]:
        opening = self._take()
        closing = "]" if opening.word == "[" else ")"
        if self._token.word == closing:
            raise self._error(self._token, "the list is empty")
        while True:
            if self._is_at_end():
                raise self._error(opening, "this list is never closed")
            value = self._value(subject, syntax, " of the list")
            yield from self._items(syntax, value)
            if self._token.word == closing:
                break
            if self._token.word == ",":
                self._take()
            elif self._token.word == "-" and self._after(1).word not in (",", closing):
                raise self._error(
                    self._token, "a range has no spaces, as in 8000-8999", "a value - has commas around it"
                )
        self._take()

    def _value(self, subject: Token, syntax: Syntax, where: str) -> Token:
        token = self._token
        if token.kind in ("sign", "end") or token.word in RESERVED:
            hint = syntax.hint
            before = self._tokens[self._next - 1]
            if token.kind == "end" and self._next == 1:
                hint = _QUOTES_HINT
            elif meant := _OPERATORS_MEANT.get(before.word + token.word):
                hint = f"did you mean {meant!r}?"
            raise self._error(token, f"expected a value of {subject}{where}, not {token}", hint)
        if token.word in _SQL_HINTS and not isinstance(syntax, Texts):
            raise self._error(token, f"expected a value of {subject}{where}, not {token}", _SQL_HINTS[token.word])
        return self._take()

    def _items(self, syntax: Syntax, token: Token) -> Iterator[Item]:
        if token.kind == "file":
            yield from self._items_in_file(syntax, token)
        else:
            yield self._read(token, syntax.read if token.kind == "word" else syntax.read_quoted)

    def _read(self, token: Token, read: Callable[[str], Item]) -> Item:
        try:
            return read(token.text)
        except WrongValueError as error:
            at = token.at + (error.at if token.kind == "word" else 0)
            raise self._expression.error(at, error.message, error.hint) from None

    def _items_in_file(self, syntax: Syntax, token: Token) -> Iterator[Item]:
        """The values in a file, separated by spaces, commas and line ends; `#` begins a comment."""
        name = visible(token.text)
        try:
            with Path(token.text).expanduser().open("rb") as file:
                content = file.read(LARGEST_LIST_BYTES + 1)
        except (OSError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise self._error(token, f"{name} cannot be read: {reason}") from None
        if len(content) > LARGEST_LIST_BYTES:
            raise self._error(
                token, f"{name} is too large for a list", f"a list has at most {LARGEST_LIST_BYTES >> 20} MiB"
            )
        try:
            lines = content.decode("utf-8-sig").split("\n")
        except UnicodeDecodeError:
            raise self._error(token, f"{name} is not text in UTF-8", "write one value per line") from None
        is_empty = True
        for number, line in enumerate(lines, 1):
            for match in _IN_FILE.finditer(line):
                if match[0].startswith("#"):
                    break
                try:
                    yield syntax.read(match[0])
                except WrongValueError as error:
                    raise self._error(token, f"{name}, line {number}: {error.message}", error.hint) from None
                is_empty = False
        if is_empty:
            raise self._error(token, f"{name} has no values", "write one value per line")
