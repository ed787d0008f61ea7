"""`--where`: an expression that says which records count, in the words of nfdump.

    dst port 443 and src net 10.0.0.0/16 and not host 10.0.0.2 and bytes > 1000000 and proto tcp

`docs/where.md` has the grammar. Every engine evaluates the *program*: the tests and operators of the expression in
postfix order, separated by commas, in letters and signs that Hadoop and a shell leave alone.

    dstport:n:443-443,srcaddr:a:0a000000-0a00ffff,and,vpc-id:t:7670632d3061,and

- `FIELD:n:LOW-HIGH+LOW-HIGH`: whether the number is in one of the ranges (decimal, inclusive, ascending, with gaps).
  `start` and `end` are compared in seconds since 1970. `-` is in none.
- `FIELD:a:LOW-HIGH+...`: whether the address is in one of the ranges, of 8 hexadecimal digits for IPv4, which
  come first, or 32 for IPv6. `-` is in none.
- `FIELD:t:HEX+HEX`: whether the text, as it was logged, is one of these (hexadecimal digits of its UTF-8), also `-`.
- `and`, `or`, `not`: of the results before it. At most 64 results wait at once.

FIELD is a field of flow logs, `service-port`, `client-port` or `side` (`question/key.py`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from toptalkers.question.ranges import Ranges

LONGEST_SHORT = 120
"""How many characters of an expression a plan and a list of runs show."""


class ProgramTest(NamedTuple):
    """A test of a program: its three parts, as the program has them."""

    field: str
    letter: str
    options: str

    def ranges(self) -> Ranges:
        """The ranges of a test of numbers or addresses."""
        base = 16 if self.letter == "a" else 10
        pairs = (one.split("-") for one in self.options.split("+"))
        return tuple((int(low, base), int(high, base)) for low, high in pairs)

    def texts(self) -> list[str]:
        """The texts of a test of texts."""
        return [bytes.fromhex(one).decode() for one in self.options.split("+")]


def split_program(program: str) -> Iterator[str | ProgramTest]:
    """Yield the words of a program. Every word but an operator is taken for a test; `parse_program` checks tests."""
    for word in program.split(","):
        if word in ("and", "or", "not"):
            yield word
        else:
            field, _, rest = word.partition(":")
            letter, _, options = rest.partition(":")
            yield ProgramTest(field, letter, options)


@dataclass(frozen=True, slots=True)
class Where:
    """An expression.

    Attributes:
        text: the expression in one line, as it is shown and kept; `parse_where` reads it back.
        program: what the engines evaluate.

    """

    text: str
    program: str

    @property
    def short(self) -> str:
        """The text for people, of which a long one is cut."""
        return self.text if len(self.text) <= LONGEST_SHORT else self.text[: LONGEST_SHORT - 3] + "..."

    @property
    def fields(self) -> tuple[str, ...]:
        """What the tests look at, each once, in order: fields, or parts of a service."""
        return tuple(dict.fromkeys(test.field for test in self.tests))

    @property
    def tests(self) -> Iterator[ProgramTest]:
        """The tests of the program, in order."""
        return (word for word in split_program(self.program) if isinstance(word, ProgramTest))

    def can_hold(self, field: str, *values: int | str) -> bool:
        """Whether a record can count that has one of these values in a field, whatever it has in others.

        Numbers are given as such; `-` is a text.
        """
        every = frozenset(values)
        stack: list[tuple[frozenset[int | str], frozenset[int | str]]] = []  # with which it can be true, and false
        for word in split_program(self.program):
            if isinstance(word, ProgramTest):
                true = every & frozenset(_matching(word, values)) if word.field == field else every
                stack.append((true, every - true if word.field == field else every))
            elif word == "not":
                stack.append(stack.pop()[::-1])
            else:
                (true, false), (other_true, other_false) = stack.pop(), stack.pop()
                is_and = word == "and"
                stack.append(
                    (true & other_true, false | other_false) if is_and else (true | other_true, false & other_false)
                )
        return bool(stack.pop()[0])

    def can_hold_above(self, field: str, number: int) -> bool:
        """Whether a record can count that has a larger number than this in a field, or none."""
        tests = [test for test in self.tests if (test.field, test.letter) == (field, "n")]
        edges = {edge for test in tests for low, high in test.ranges() for edge in (low, high + 1)}
        return self.can_hold(field, "-", number + 1, *(edge for edge in edges if edge > number))


def _matching(test: ProgramTest, values: Iterable[int | str]) -> Iterator[int | str]:
    """Those of some values for which a test of numbers or texts holds."""
    if test.letter == "t":
        texts = set(test.texts())
        yield from (value for value in values if value in texts)
    else:
        numbers = sorted(value for value in values if isinstance(value, int))
        for low, high in test.ranges():
            yield from numbers[bisect_left(numbers, low) : bisect_right(numbers, high)]


def parse_where(text: str) -> Where:
    """Read an expression.

    Raises:
        UsageError: it is none. The message shows the expression, and a caret below the place.

    """
    from toptalkers.question.where_parser import parse_expression, write_program, write_text

    node = parse_expression(text)
    return Where(write_text(node), write_program(node))


def names_a_file(text: str) -> bool:
    """Whether an expression has `@FILE`, which a kept one never has.

    Raises:
        UsageError: it has no words of an expression.

    """
    from toptalkers.question.where_words import Expression

    return any(token.kind == "file" for token in Expression(text).tokens())


def parse_program(program: str) -> Where:
    """Read an expression from its program, as the steps of a run have it.

    Raises:
        UsageError: it is none.

    """
    from toptalkers.question.where_parser import parse_words, write_program, write_text

    node = parse_words(program)
    return Where(write_text(node), write_program(node))


def format_where(where: Where) -> str:
    """Write an expression so that `parse_where` reads it back."""
    return where.text


def format_program(where: Where) -> str:
    """Write the program, which is what scripts take."""
    return where.program
