"""Records, or rows of an answer, in columns, as Arrow keeps them. Nothing is copied."""

from dataclasses import dataclass
from enum import IntEnum


class Storage(IntEnum):
    """How a column's values are stored, as Arrow's columnar format has them; see `kernel/columns.c`."""

    MISSING = 0
    """No row has a value."""
    INT_32 = 1
    INT_64 = 2
    TEXTS = 3
    """UTF-8 texts, one after the other, with an int32 offset per row, and one more at the end."""
    DICTIONARY = 4
    """An int32 index per row into such texts."""


@dataclass(frozen=True, slots=True)
class ColumnData:
    """One column of a batch. Addresses are of memory, 0 for none.

    Attributes:
        storage: how the values are stored.
        values: of int32 or int64 values, or of a dictionary's indices.
        valid: of a bitmap (least significant bit first) that says which rows have a value; 0 if all have one.
        offset: how many rows to pass over in `values`, `valid` and, of TEXTS, in `offsets`.
        offsets: of the texts' offsets.
        texts: of the texts' bytes.
        texts_length: how many texts there are; of TEXTS, the number of rows.

    """

    storage: Storage
    values: int = 0
    valid: int = 0
    offset: int = 0
    offsets: int = 0
    texts: int = 0
    texts_length: int = 0


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Some records of a file, or rows of an answer.

    Attributes:
        names: the field of each column, as a header line would name it. A column `records` says for how many records
            a row counts, as in a digest.
        columns: their values.
        rows: how many records there are.
        owner: what keeps the memory.

    """

    names: tuple[str, ...]
    columns: tuple[ColumnData, ...]
    rows: int
    owner: object
