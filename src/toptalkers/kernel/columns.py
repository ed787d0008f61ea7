"""Records in columns, as Parquet keeps them, for `Counter.feed_columns`. The memory is Arrow's; nothing is copied."""

from ctypes import c_int32, c_int64, string_at
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise


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
    """Some records of a file.

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


def header_of(names: tuple[str, ...]) -> bytes:
    """The header line of `lines_of`, with its line end."""
    return " ".join((*names, _LAST)).encode() + b"\n"


def lines_of(batch: ColumnBatch) -> bytes:
    """Write records as lines below `header_of`, for counters that know only lines.

    A byte that would end a column or a line becomes DEL, which no valid value contains either.
    """
    columns = [_texts_of(column, batch.rows) for column in batch.columns]
    lines = [b" ".join(values) for values in zip(*columns, [b"0"] * batch.rows, strict=True)]
    return b"\n".join([*lines, b""])


_LAST = "row"
"""A last column that is never empty: blanks at the end of a line would be removed."""

_BREAKS = bytes(0x7F if byte <= 0x20 else byte for byte in range(256))


def _texts_of(column: ColumnData, rows: int) -> list[bytes]:
    """The text of each row of a column; `-` for none."""
    if column.storage is Storage.MISSING:
        return [b"-"] * rows
    first = column.offset
    if column.storage is Storage.TEXTS:
        texts = _read_texts(column, first, rows)
    elif column.storage is Storage.DICTIONARY:
        words = _read_texts(column, 0, column.texts_length)
        numbers = (c_int32 * (first + rows)).from_address(column.values)[first:]
        texts = [words[number] if 0 <= number < len(words) else b"-" for number in numbers]
    else:
        kind = c_int32 if column.storage is Storage.INT_32 else c_int64
        texts = [b"%d" % number for number in (kind * (first + rows)).from_address(column.values)[first:]]
    if not column.valid:
        return texts
    bits = string_at(column.valid, (first + rows + 7) // 8)
    return [text if bits[at >> 3] >> (at & 7) & 1 else b"-" for at, text in enumerate(texts, first)]


def _read_texts(column: ColumnData, first: int, number: int) -> list[bytes]:
    if not number:
        return []
    ends = (c_int32 * (first + number + 1)).from_address(column.offsets)[first:]
    data = string_at(column.texts + ends[0], ends[-1] - ends[0]).translate(_BREAKS) if column.texts else b""
    return [data[start - ends[0] : end - ends[0]] for start, end in pairwise(ends)]
