"""`--where`: what expressions mean, how they are kept, and errors that point at the place."""

import ipaddress
from collections.abc import Mapping

import pytest
from hypothesis import example, given

from tests.wheres import SERVICE, Drawn, Is, holds, records, service_of, wheres
from toptalkers.errors import UsageError
from toptalkers.question.where import parse_program, parse_where


def run(program: str, record: Mapping[str, str]) -> bool:
    """Evaluate a program as the docstring of `question/where.py` explains it; at most 64 results wait."""
    stack: list[bool] = []
    for word in program.split(","):
        if word == "not":
            stack.append(not stack.pop())
        elif word in ("and", "or"):
            second, first = stack.pop(), stack.pop()
            stack.append((first and second) if word == "and" else (first or second))
        else:
            field, letter, options = word.split(":")
            value = service_of(record)[field] if field in SERVICE else record.get(field, "-")
            stack.append(any(is_in(field, letter, value, option) for option in options.split("+")))
            assert len(stack) <= 64
    (result,) = stack
    return result


def is_in(field: str, letter: str, value: str, option: str) -> bool:
    """Whether a value is in one range or is one text of a program."""
    if letter == "t":
        return value.encode().hex() == option
    low, high = option.split("-")
    if value == "-":
        return False
    if letter == "n":
        number = int(value) // (1000 if field in ("start", "end") and int(value) >= 10**11 else 1)
        return int(low) <= number <= int(high)
    digits = ipaddress.ip_address(value).packed.hex()
    return len(low) == len(digits) and low <= digits <= high


@given(wheres(), records())
def test_a_program_holds_where_the_expression_does(drawn: Drawn, record: dict[str, str]) -> None:
    """For any expression and any record."""
    assert run(parse_where(drawn.text).program, record) == holds(drawn.tree, record)


@given(wheres())
@example(Drawn("vpc-id 'IN'", Is("vpc-id", ("IN",))))
def test_a_kept_expression_is_one_line_and_the_same(drawn: Drawn) -> None:
    """Its text prints in one line, and is read back as the same text and program."""
    where = parse_where(drawn.text)
    assert where.text.isprintable()
    assert parse_where(where.text) == where


@given(wheres(), records())
def test_a_program_is_read_back_as_an_expression(drawn: Drawn, record: dict[str, str]) -> None:
    """From the words of a step comes an expression that holds for the same records."""
    program = parse_where(drawn.text).program
    where = parse_program(program)
    assert parse_where(where.text) == where
    assert run(where.program, record) == run(program, record)


@pytest.mark.parametrize(
    "program",
    ["", "not", "and", "dstport", "dstport:n:", "dstport:n:1", "port:n:1-1", "vpc-id:t:zz", "vpc-id:t:ff", "vpc-id:x:1"]
    + ["dstport:n:1-1,dstport:n:2-2", "dstport:n:1-1,and", "srcaddr:a:x-y", "srcaddr:a:0-1"],
)
def test_what_is_no_program(program: str) -> None:
    """Words of another program are refused in one line."""
    with pytest.raises(UsageError, match="is not the program of an expression"):
        parse_program(program)
