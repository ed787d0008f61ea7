"""Columns of numbers by the compiled library (`kernel/distinct.c`), with the interface of `pure_columns.py`."""

import os
from array import array
from collections.abc import Collection, Mapping, Sequence
from ctypes import POINTER, Structure, c_char_p, c_int, c_size_t, c_uint64, c_void_p
from itertools import chain, pairwise

from toptalkers.answer.pure_columns import Column, Facts
from toptalkers.machine import compiled


class _SplitColumn(Structure):
    _fields_ = (("keys", c_void_p), ("numbers", c_void_p), ("sums", c_void_p))


class _RowColumn(Structure):
    _fields_ = (("numbers", c_void_p), ("of", c_void_p))


class _CaseColumns(Structure):
    _fields_ = tuple(
        (name, c_void_p)
        for name in ("addresses", "hours", "interfaces", "attached", "until", "depends", "epochs", "vpcs")
    )


_library = compiled.load(
    {
        "distinct_new": (c_void_p, (c_uint64,)),
        "distinct_free": (None, (c_void_p,)),
        "distinct_keys": (c_size_t, (c_void_p,)),
        "distinct_untaken": (c_size_t, (c_void_p,)),
        "distinct_take": (None, (c_void_p, c_void_p, c_void_p)),
        "distinct_rows": (c_int, (c_void_p, c_size_t, POINTER(_RowColumn), c_size_t, c_void_p)),
        "distinct_cases": (c_int, (c_void_p, c_size_t, POINTER(_CaseColumns), c_void_p)),
        "columns_split": (c_int, (c_char_p, c_size_t, POINTER(_SplitColumn), c_size_t)),
        "sums_of_rows": (None, (c_void_p, c_size_t, c_void_p, c_void_p)),
        "largest_of_rows": (None, (c_void_p, c_size_t, c_void_p, c_void_p, c_void_p)),
    }
)


class _Distinct:
    """A table of the library.

    Attributes:
        handle: what its functions know it by.

    """

    def __init__(self) -> None:
        self._taken = 0
        self.handle = _library.distinct_new(int.from_bytes(os.urandom(8)))
        if not self.handle:
            raise MemoryError

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            _library.distinct_free(self.handle)

    def __len__(self) -> int:
        return int(_library.distinct_keys(self.handle))

    def _new(self) -> tuple[bytes, Column]:
        """The bytes of the keys that are new since the last call, one after the other, and where each ends."""
        number, self._taken = len(self) - self._taken, len(self)
        data, ends = _zeros("B", _library.distinct_untaken(self.handle)), _zeros("Q", number)
        _library.distinct_take(self.handle, _at(data), _at(ends))
        return data[: ends[-1] if ends else 0].tobytes(), ends


class Texts(_Distinct):
    """Gives distinct texts their numbers: from 0, in the order in which they appear.

    Attributes:
        texts: those that `split` has found, by their numbers.

    """

    texts: list[bytes]

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self.texts = []

    def take(self) -> None:
        """Take over the new texts."""
        data, ends = self._new()
        self.texts += [data[start:end] for start, end in pairwise(chain((0,), ends))]


class Rows(_Distinct):
    """Gives distinct rows of numbers their numbers: from 0, in the order in which they appear."""

    def __init__(self, width: int) -> None:
        """Begin without any; `width` is how many numbers a row has."""
        super().__init__()
        self._width = width

    def new(self) -> list[tuple[int, ...]]:
        """The rows that appeared since they were last asked for, in the order of their numbers."""
        numbers = iter(array("i", self._new()[0]))
        return list(zip(*[numbers] * self._width, strict=True))

    def number(self, columns: Sequence[Column], of: "Sequence[Column | None]") -> Column:
        """Number the rows of some lines.

        Args:
            columns: the columns of which a row is made.
            of: for each column, what a row has for its numbers; None for the numbers themselves.

        """
        numbers = _zeros("i", len(columns[0]))
        given = [_RowColumn(_at(one), _at(table)) for one, table in zip(columns, of, strict=True)]
        made = (_RowColumn * len(given))(*given)
        if _library.distinct_rows(self.handle, len(numbers), made, len(given), _at(numbers)):
            raise MemoryError
        return numbers

    def cases(self, addresses: Column, hours: "Column | None", interfaces: "Column | None", facts: Facts) -> Column:
        """Number what the names of some lines may depend on: rows of a time, a VPC and an address.

        The time is the number of an epoch; -1 - that of the hour, if the hour ends before the address was attached. The
        VPC is 0 for an address that does not depend on it.

        Args:
            addresses: of each line.
            hours: of each line; None if all are of the hour 0.
            interfaces: of each line, the logger; None if all are 0.
            facts: by these numbers.

        """
        numbers = _zeros("i", len(addresses))
        given = (addresses, hours, interfaces, facts.attached_s, facts.until_s, facts.depends, facts.epochs, facts.vpcs)
        if _library.distinct_cases(self.handle, len(numbers), _CaseColumns(*map(_at, given)), _at(numbers)):
            raise MemoryError
        return numbers


def split(piece: bytes, width: int, texts: Mapping[int, Texts], sums: Collection[int]) -> dict[int, Column]:
    """Split whole lines at their tabs.

    Args:
        piece: the lines.
        width: how many columns they have.
        texts: what numbers the texts of a column, by the column, from 0.
        sums: the columns of sums; one that is too large becomes `LARGEST`.

    Returns:
        Those columns.

    Raises:
        ValueError: a line has too few or too many columns, or a sum is no number.

    """
    lines = piece.count(b"\n")
    found = {column: _zeros("i", lines) for column in texts} | {column: _zeros("Q", lines) for column in sums}
    columns = (_SplitColumn * width)()
    for column, known in texts.items():
        columns[column] = _SplitColumn(known.handle, _at(found[column]), None)
    for column in sums:
        columns[column] = _SplitColumn(None, None, _at(found[column]))
    match _library.columns_split(piece, len(piece), columns, width):
        case 1:
            raise MemoryError
        case 2:
            raise ValueError("it has too few or too many columns")
        case 3:
            raise ValueError("it has a sum that is no number")
    for known in texts.values():
        known.take()
    return found


def add(to: Column, rows: Column, values: Column) -> None:
    """Add the value of each line to the sum of its row; no sum grows beyond `LARGEST`."""
    _library.sums_of_rows(_at(to), len(rows), _at(rows), _at(values))


def keep_largest(to: Column, rows: Column, numbers: Column, of: Column) -> None:
    """Keep the largest value of each row; `of` has the value for the number of each line."""
    _library.largest_of_rows(_at(to), len(rows), _at(rows), _at(numbers), _at(of))


def _zeros(kind: str, number: int) -> Column:
    return array(kind, [0]) * number


def _at(column: "Column | None") -> int | None:
    """Where its numbers are in memory, as long as it does not grow."""
    return None if column is None else column.buffer_info()[0]
