"""Records in columns, for counters that know only lines."""

from ctypes import c_int32, c_int64, string_at
from itertools import pairwise

from toptalkers.flowlog.columns import ColumnBatch, ColumnData, Storage


def header_of(names: tuple[str, ...]) -> bytes:
    """The header line of `lines_of`, with its line end."""
    return " ".join((*names, _LAST)).encode() + b"\n"


def lines_of(batch: ColumnBatch) -> bytes:
    """Write records as lines below `header_of`.

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
