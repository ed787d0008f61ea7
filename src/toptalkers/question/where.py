"""`--where`: an expression that says which records count, in the words of nfdump.

    dst port 443 and src net 10.0.0.0/16 and not host 10.0.0.2 and bytes > 1000000 and proto tcp

`docs/where.md` has the grammar. Every engine evaluates the *program*: the tests and operators of the expression in
postfix order, separated by commas, in letters and signs that Hadoop and a shell leave alone.

    dstport:n:443-443,srcaddr:a:0a000000-0a00ffff,and,vpc-id:t:7670632d3061,and

- `FIELD:n:LOW-HIGH+LOW-HIGH`: whether the number is in one of the ranges (decimal, inclusive, ascending, with gaps).
  `start` and `end` are compared in seconds since 1970. `-` is in none.
- `FIELD:a:LOW-HIGH+...`: whether the address is in one of the ranges, of 8 hexadecimal digits for IPv4, which
  come first, or 32 for IPv6. `-` is in none.
- `FIELD:t:HEX+HEX`: whether the text, as it was logged, is one of these (the hexadecimal digits of its UTF-8), also `-`.
- `and`, `or`, `not`: of the results before it. At most 64 results wait at once.

FIELD is a field of flow logs, `service-port`, `client-port` or `side` (`question/key.py`).
"""

from dataclasses import dataclass


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
    def fields(self) -> tuple[str, ...]:
        """The words before the first colon of each test, each once, in order: fields, or parts of a service."""
        return tuple(dict.fromkeys(word.partition(":")[0] for word in self.program.split(",") if ":" in word))


def parse_where(text: str) -> Where:
    """Read an expression.

    Raises:
        UsageError: it is none. The message shows the expression, and a caret below the place.

    """
    from toptalkers.question.where_parser import parse_expression, write_program, write_text

    node = parse_expression(text)
    return Where(write_text(node), write_program(node))


def format_where(where: Where) -> str:
    """Write an expression so that `parse_where` reads it back."""
    return where.text


def format_program(where: Where) -> str:
    """Write the program, which is what scripts take."""
    return where.program
