"""Columns of numbers in Python, where the compiled library cannot be loaded; what they are for is in `columns.py`."""

from array import array
from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias

Column: TypeAlias = "array[int]"
"""A number per line, of 32 bits: that of a text, or of a row. Sums have 64 bits, without a sign."""

LARGEST = (1 << 64) - 1
"""What is kept of a larger sum."""


class Facts(NamedTuple):
    """What tells whether lines with one address may have names of several owners.

    Attributes:
        attached_s: by the number of an address, when the last of its interfaces was attached, in seconds since 1970.
        depends: by the number of an address, 1 if its name depends on the VPC of the logger, else 0.
        until_s: by the number of an hour, its end.
        epochs: by the number of an hour, the number of its epoch.
        vpcs: by the number of an interface, the number of its VPC.

    """

    attached_s: "array[int]"
    depends: "array[int]"
    until_s: "array[int]"
    epochs: "array[int]"
    vpcs: "array[int]"


class Texts:
    """Gives distinct texts their numbers: from 0, in the order in which they appear.

    Attributes:
        texts: those that `split` has found, by their numbers.

    """

    texts: list[bytes]

    def __init__(self) -> None:
        """Begin without any."""
        self.numbers = _Numbers()
        self.texts = self.numbers.new


class Rows:
    """Gives distinct rows of numbers their numbers: from 0, in the order in which they appear."""

    def __init__(self, width: int) -> None:
        """Begin without any; `width` is how many numbers a row has."""
        del width
        self._numbers = _Numbers()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def new(self) -> list[tuple[int, ...]]:
        """The rows that appeared since they were last asked for, in the order of their numbers."""
        rows, self._numbers.new = self._numbers.new, []
        return rows

    def number(self, columns: Sequence[Column], of: "Sequence[Column | None]") -> Column:
        """Number the rows of some lines.

        Args:
            columns: the columns of which a row is made.
            of: for each column, what a row has for its numbers; None for the numbers themselves.

        """
        made = (one if table is None else map(table.__getitem__, one) for one, table in zip(columns, of, strict=True))
        return array("i", map(self._numbers.__getitem__, zip(*made, strict=True)))

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
        attached_s, depends, until_s, epochs, vpcs = facts
        lines = zip(addresses, hours or repeat(0), interfaces or repeat(0), strict=False)
        rows = (
            (
                epochs[hour] if until_s[hour] > attached_s[address] else -1 - hour,
                vpcs[interface] if depends[address] else 0,
                address,
            )
            for address, hour, interface in lines
        )
        return array("i", map(self._numbers.__getitem__, rows))


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
    values = piece.replace(b"\n", b"\n\t").split(b"\t")
    last, lines = b"".join(values[width - 1 :: width]).split(b"\n"), piece.count(b"\n")
    if values.pop() or last.pop() or len(values) != width * lines or len(last) != lines:
        raise ValueError("it has too few or too many columns")
    values[width - 1 :: width] = last
    found = {}
    for column, known in texts.items():
        found[column] = array("i", map(known.numbers.__getitem__, values[column::width]))
    for column in sums:
        if not all(map(bytes.isdigit, values[column::width])):
            raise ValueError("it has a sum that is no number")
        found[column] = array("Q", map(_sum, values[column::width]))
    return found


def add(to: Column, rows: Column, values: Column) -> None:
    """Add the value of each line to the sum of its row; no sum grows beyond `LARGEST`."""
    for row, value in zip(rows, values, strict=True):
        to[row] = min(to[row] + value, LARGEST)


def keep_largest(to: Column, rows: Column, numbers: Column, of: Column) -> None:
    """Keep the largest value of each row; `of` has the value for the number of each line."""
    for row, value in zip(rows, map(of.__getitem__, numbers), strict=True):
        if value > to[row]:
            to[row] = value


def _sum(digits: bytes) -> int:
    """Read a sum; one that is too large becomes `LARGEST`. Python itself reads at most 4,300 digits."""
    if len(digits) > 20:
        digits = digits.lstrip(b"0")[:21] or b"0"
    return min(int(digits), LARGEST)


class _Numbers(dict[Hashable, int]):
    """Numbers, by text or row; `new` has the texts or rows, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[Any] = []

    def __missing__(self, key: Hashable) -> int:
        number = self[key] = len(self)
        self.new.append(key)
        return number
