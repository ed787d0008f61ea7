"""Answers by addresses become answers by names. The rules are those of `docs/names.md`."""

from toptalkers.answer.answer import Answer
from toptalkers.names.owners import Names
from toptalkers.names.services import Services
from toptalkers.question.query import Query


def name_answer(answer: Answer, query: Query, names: Names, services: Services, *, top: int = 0) -> Answer:
    """Name the lines of an answer by addresses, and add up those with the same names.

    Reads the answer's chunks; memory grows with the rows by names, and with the addresses.

    Args:
        answer: all talkers of `address_question(query)`, or of another question whose key has the columns that `query`
            needs: then a row without an hour is of the answer's window.
        query: the question, with named parts.
        names: the names of addresses.
        services: the names of ports.
        top: how many rows are wanted, 0 for all.

    Returns:
        The answer to `query`: ranked as every answer, ties by the key's columns joined by tabs, as bytes.

    Raises:
        UsageError: the answer lacks a column that a part needs.
        TooLargeError: sums add up to more than 2^63 - 1.

    """
    raise NotImplementedError
