"""The words of an expression of `--where`, and errors that point at one of them."""

import re
from dataclasses import dataclass
from typing import Literal

from toptalkers.errors import UsageError
from toptalkers.visible import quoted, visible, width

SHOWN_WIDTH = 78
"""Columns of an expression that an error shows: those of a usual terminal without the indentation."""

_INDENTATION = "  "

_WORD = r"""[^\s()\[\],=<>!&|'"\\]"""
_TOKEN = re.compile(
    rf"""(?P<space>\s+|\#[^\n]*)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[()\[\],=<>!])
    |(?P<file>@)
    |(?P<quote>['"])
    |(?P<word>{_WORD}+)""",
    re.VERBOSE,
)
_TYPOGRAPHIC_QUOTES = "\u2018\u2019\u201a\u201c\u201d\u201e"
"""Quotes that a word processor or a web page makes of the plain ones."""

_NOT_FIRST = "@#" + _TYPOGRAPHIC_QUOTES
_IN_QUOTES = {quote: re.compile(rf"[^\\{quote}]+") for quote in "'\""}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))?", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


@dataclass(frozen=True, slots=True)
class Token:
    """A word or sign of an expression.

    Attributes:
        kind: `word` is as it is written; `quoted` is what the quotes hold; `file` is the name after `@`; `end` follows
            the last one.
        text: the word, sign, text or name.
        at: its place in the expression, counted in characters.

    """

    kind: Literal["word", "quoted", "file", "sign", "end"]
    text: str
    at: int

    @property
    def word(self) -> str:
        """A word in lower case, or a sign; empty for anything else."""
        return self.text.lower() if self.kind == "word" else self.text if self.kind == "sign" else ""

    def __str__(self) -> str:
        """As an error names it."""
        if self.kind == "end":
            return "the end"
        return quoted(("@" if self.kind == "file" else "") + self.text)


@dataclass(frozen=True, slots=True)
class Expression:
    """The text of an expression."""

    text: str

    def error(self, at: int, message: str, hint: str | None = None) -> UsageError:
        """The error of a place in the expression."""
        return UsageError(f"--where: {message}", hint=hint, excerpt=_point_at(self.text, at))

    def tokens(self) -> list[Token]:
        """Split the expression; the last token is of the kind `end`.

        Raises:
            UsageError: a sign is unknown, a quote is never closed, or an escape is unknown.

        """
        found = []
        at, end = 0, len(self.text.rstrip())
        for place, one in enumerate(self.text):
            if "\ud800" <= one <= "\udfff":
                raise self.error(place, "this is not UTF-8")
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise self._error_of_sign(at)
            kind, text, start = match.lastgroup, match[0], at
            at = match.end()
            if kind == "file":
                text, at = self._name(at)
                found.append(Token("file", text, start))
            elif kind == "quote":
                text, at = self._quoted(text, at)
                found.append(Token("quoted", text, start))
            elif kind == "word":
                if text[0] in _TYPOGRAPHIC_QUOTES:
                    raise self.error(start, f"{text[0]} does not quote a text", "quotes are ' and \"")
                for place, one in enumerate(text, start):
                    if not one.isprintable():
                        raise self.error(
                            place, f"{visible(one)} is a control character", "in quotes it is part of a text"
                        )
                found.append(Token("word", text, start))
            elif kind == "sign":
                found.append(Token("sign", text, start))
        found.append(Token("end", "", end))
        return found

    def _error_of_sign(self, at: int) -> UsageError:
        sign = self.text[at]
        if sign in "&|":
            return self.error(at, f"{sign!r} alone means nothing", "'and' is &&, 'or' is ||")
        return self.error(at, "a backslash is for texts in quotes", r"'a\tb' has a tab")

    def _name(self, at: int) -> tuple[str, int]:
        """Read a file's name, in quotes or not; `at` is the place after `@`."""
        if self.text[at : at + 1] in ("'", '"'):
            text, end = self._quoted(self.text[at], at + 1)
        else:
            match = re.compile(rf"{_WORD}*").match(self.text, at)
            text, end = (match[0], match.end()) if match else ("", at)
        if not text or "\0" in text:
            raise self.error(at, "expected the name of a file after @", "for example: src host in @hosts.txt")
        return text, end

    def _quoted(self, quote: str, at: int) -> tuple[str, int]:
        """Read a text in quotes; `at` is the place after the first quote."""
        start = at - 1
        parts: list[str] = []
        while at < len(self.text):
            if self.text[at] == quote:
                return "".join(parts), at + 1
            if match := _IN_QUOTES[quote].match(self.text, at):
                parts.append(match[0])
            elif match := _ESCAPE.match(self.text, at):
                parts.append(self._escaped(match))
            else:  # never: one of the two matches any character but the quote
                break
            at = match.end()
        raise self.error(start, f"the quote {quote} is never closed")

    def _escaped(self, match: re.Match[str]) -> str:
        if digits := match[1] or match[2]:
            code = int(digits, 16)
            if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF:
                return chr(code)
        elif match[3] in _ESCAPES:
            return _ESCAPES[match[3]]
        raise self.error(
            match.start(),
            f"'{visible(match[0])}' is not an escape",
            r"escapes are \\ \' " + r"\" \n \r \t \u0000 \U00000000",
        )


def quote(text: str) -> str:
    """Write a text in quotes, so that it is one line and is read back."""
    parts = []
    for one in text:
        if one in "'\\":
            parts.append("\\" + one)
        elif one.isprintable():
            parts.append(one)
        else:
            code = ord(one)
            parts.append(f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")
    return f"'{''.join(parts)}'"


def is_bare(text: str) -> bool:
    """Whether a text can be written without quotes."""
    return (
        bool(text)
        and text[0] not in "@#" + _TYPOGRAPHIC_QUOTES
        and text.isprintable()
        and re.fullmatch(f"{_WORD}+", text) is not None
    )


def _point_at(text: str, at: int) -> tuple[str, str]:
    """The part of a text around a place, with every character visible, and a caret under the place."""
    shown = [visible(one) for one in text]
    widths = [width(one) for one in shown]
    first, last = 0, len(text)
    if sum(widths) + 1 > SHOWN_WIDTH:
        room = SHOWN_WIDTH - len("...") * 2 - 1
        first = last = at
        while last < len(text) and sum(widths[at : last + 1]) <= room // 2:
            last += 1
        while first > 0 and sum(widths[first - 1 : last]) <= room:
            first -= 1
        while last < len(text) and sum(widths[first : last + 1]) <= room:
            last += 1
    before = "..." if first else ""
    after = "..." if last < len(text) else ""
    line = f"{_INDENTATION}{before}{''.join(shown[first:last])}{after}"
    return line, " " * (len(_INDENTATION) + len(before) + sum(widths[first:at])) + "^"
