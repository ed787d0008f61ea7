"""Records in columns, in memory that is laid out as Arrow lays it out, for tests."""

import random
from array import array
from collections.abc import Mapping, Sequence

from toptalkers.flowlog.columns import ColumnBatch, ColumnData, Storage

Values = Sequence[int | str | None]


def column(
    values: Values, storage: Storage, *, before: int = 0, always_valid: bool = False
) -> tuple[ColumnData, object]:
    """Lay out a column, behind so many rows that are passed over; return it, and what keeps its memory.

    A dictionary has as many texts that no row has, so that it may be larger than a batch. A row without a value has
    some other value in memory. Without such rows there is no bitmap, unless `always_valid` is set.
    """
    if storage is Storage.MISSING:
        return ColumnData(storage), None
    rows = [None] * before + list(values)
    valid = array("B", bytes(len(rows) // 8 + 1))
    for number, value in enumerate(rows):
        valid[number // 8] |= (value is not None) << number % 8
    if storage in (Storage.INT_32, Storage.INT_64):
        numbers = array("i" if storage is Storage.INT_32 else "q", [77 if one is None else int(one) for one in rows])
        texts, offsets, length = array("B"), array("i"), 0
    else:
        known = list(dict.fromkeys(one for one in rows if one is not None))
        known += [f"unused-{number}" for number in range(before)]
        random.Random(len(rows)).shuffle(known)
        kept = known if storage is Storage.DICTIONARY else ["gone" if one is None else one for one in rows]
        encoded = [str(one).encode(errors="surrogateescape") for one in kept]
        offsets = array("i", [0])
        for one in encoded:
            offsets.append(offsets[-1] + len(one))
        texts, length = array("B", b"".join(encoded)), len(encoded)
        is_dictionary = storage is Storage.DICTIONARY
        numbers = array("i", [known.index(one) if one is not None else -9 for one in rows] if is_dictionary else [])
    has_bitmap = always_valid or None in values
    data = ColumnData(
        storage,
        values=_address(numbers),
        valid=_address(valid) if has_bitmap else 0,
        offset=before,
        offsets=_address(offsets),
        texts=_address(texts),
        texts_length=length,
    )
    return data, (numbers, valid, offsets, texts)


def _address(numbers: "array[int]") -> int:
    return numbers.buffer_info()[0]


def batch(columns: Mapping[str, Values], storages: Mapping[str, Storage], *, before: int = 0) -> ColumnBatch:
    """Lay out a batch; numbers are INT_64 and texts TEXTS if nothing else is said."""
    laid = []
    for name, values in columns.items():
        are_texts = any(isinstance(value, str) for value in values)
        storage = storages.get(name, Storage.TEXTS if are_texts else Storage.INT_64)
        laid.append(column(values, storage, before=before))
    rows = len(next(iter(columns.values()), ()))
    return ColumnBatch(tuple(columns), tuple(one for one, _ in laid), rows, [owner for _, owner in laid])
