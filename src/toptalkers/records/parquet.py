"""Flow records in Parquet files, as AWS delivers them, and as Athena, Spark, DuckDB and others write them.

Only the columns that a question looks at are read. Their names are those of the fields, with `_` or `-`, in small or
capital letters. A null is `-`. Numbers may also be decimals or floats without a fraction, start and end also times; all
else is read as text, and judged by the rules as in lines. Files are decoded by pyarrow (`toptalkers[parquet]`).
"""

from collections.abc import Iterator
from typing import Any

from toptalkers.answer.answer import Tally
from toptalkers.answer.digest import METADATA_KEY
from toptalkers.answer.quality import Quality
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.columns import ColumnBatch, ColumnData, Storage
from toptalkers.flowlog.fields import FIELDS, field_name
from toptalkers.machine.arrow import require_pyarrow
from toptalkers.question.conversations import record_question
from toptalkers.question.digest import WRAPPING, is_digest
from toptalkers.question.key import RECIPE_KEY, TIME_FIELDS
from toptalkers.question.query import Query
from toptalkers.records.digest import DigestRows
from toptalkers.records.source import Seekable, UnreadableError

ROWS = 1 << 16
"""How many records are decoded at a time."""

BUFFER_BYTES = 1 << 20
"""How much of a column is read at a time, as stored."""

_OF_ANY_DIGEST = ("hour", "records", "first", "last")
"""Columns that digests of any version have, and no flow log."""

_LONGEST_REASON = 200


class NoFlowLogError(Exception):
    """A Parquet file is no flow log; the text says why, in one line."""


class NoLibraryError(Exception):
    """Parquet cannot be read on this machine; the text says what to install."""


class ParquetRecords:
    """The records of an open Parquet file, with the columns that a question looks at.

    Attributes:
        names: the fields that are read, in the order of the file's columns.
        wrapping: `Parquet`, or what it is beside that.
        tally: what was left out when a digest was made; empty for other files.
        quality: what was noted of the records when a digest was made; empty for other files.
        note: what of the records a digest lacks; empty for nothing, and for other files.

    """

    def __init__(self, file: Seekable, query: Query, name: str, *, threads: bool = True) -> None:
        """Read the description of the file `name`. `file` can seek; `threads`: whether to decode with several threads.

        Raises:
            NoLibraryError: pyarrow is not installed.
            UnreadableError: the file is damaged, cut off or encrypted.
            NoFlowLogError: it has none of a flow log's fields, or has one in a type that no field has.
            UsageError: it is a digest, which cannot answer the question.

        """
        try:
            require_pyarrow("reading Parquet")
        except ToptalkersError as error:
            raise NoLibraryError(f"{error.message}: {error.hint}") from error
        import pyarrow as pa
        from pyarrow import parquet

        pa.set_memory_pool(pa.system_memory_pool())  # `keep_freed_memory` holds for it: no page is cleared twice
        self._file = pa.PythonFile(file, mode="r")  # whoever opened the file closes it
        self._is_remote = getattr(file, "is_remote", False)
        self._threads = threads
        try:
            metadata = parquet.ParquetFile(self._file).metadata
            schema = metadata.schema.to_arrow_schema()
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(error) from error
        self._metadata = metadata
        self._digest: DigestRows | None = None
        self.wrapping, self.tally, self.quality, self.note = "Parquet", Tally(), Quality(), ""
        if text := (metadata.metadata or {}).get(METADATA_KEY):
            self._take_digest(text, query, name, schema.names)
        else:
            if query.joins_records or is_digest(query):
                query = record_question(query)
            self._fields = _choose(schema.names, query)
            self.names = tuple(self._fields)
            self._columns = list(self._fields.values())
            for field, column in self._fields.items():
                _check_type(schema.field(schema.names.index(column)).type, field, column)
        self._texts = [column for column in self._columns if _is_text(schema.field(schema.names.index(column)).type)]

    def _take_digest(self, text: bytes, query: Query, name: str, columns: list[str]) -> None:
        try:
            self._digest = digest = DigestRows(text, query, name)
        except UsageError:
            raise
        except ToptalkersError as error:
            raise NoFlowLogError(error.message + (f" ({error.hint})" if error.hint else "")) from error
        if lacking := [column for column in digest.columns if column not in columns]:
            raise NoFlowLogError(f"a damaged digest: it has no column {lacking[0]}")
        self.names, self._columns = digest.names, digest.columns
        self.wrapping, self.tally, self.quality, self.note = WRAPPING, digest.tally, digest.quality, digest.note

    def batches(self) -> Iterator[ColumnBatch]:
        """Yield all records, some at a time.

        Raises:
            UnreadableError: the file is damaged.

        """
        import pyarrow as pa
        from pyarrow import parquet

        try:
            opened = parquet.ParquetFile(
                self._file,
                metadata=self._metadata,
                read_dictionary=self._texts,
                buffer_size=0 if self._is_remote else BUFFER_BYTES,
                pre_buffer=self._is_remote,  # few large reads
                page_checksum_verification=True,
            )
            rows = 0
            for number in range(self._metadata.num_row_groups):
                for batch in opened.iter_batches(ROWS, [number], self._columns, use_threads=self._threads):
                    rows += batch.num_rows
                    yield self._to_batch(batch)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise _damaged(error) from error
        if rows != self._metadata.num_rows:
            raise UnreadableError(f"a damaged Parquet file: {rows:,} of its {self._metadata.num_rows:,} records")

    def _to_batch(self, batch: Any) -> ColumnBatch:
        if self._digest:
            arrays = self._digest.arrays(batch)
        else:
            names = batch.schema.names  # if two columns have the same name, the first one is used
            arrays = [batch.column(names.index(column)) for column in self._columns]
        arrays = [_plain(array, field) for array, field in zip(arrays, self.names, strict=True)]
        return ColumnBatch(self.names, tuple(map(describe, arrays)), batch.num_rows, arrays)


def _choose(columns: list[str], query: Query) -> dict[str, str]:
    """The file's columns to read, by field: what the question looks at, and what tells that a record has no data.

    Raises:
        NoFlowLogError: the file has no field of flow logs.

    """
    known: dict[str, str] = {}
    for column in columns:
        field = field_name(column)
        if field in FIELDS:
            known.setdefault(field, column)
    if {*_OF_ANY_DIGEST} <= {*columns}:
        raise NoFlowLogError(
            "a digest without its metadata: another program wrote it; use the file that toptalkers made"
        )
    if not known:
        some = ", ".join(columns[:5]) + (", ..." if len(columns) > 5 else "")
        raise NoFlowLogError(f"not a flow log: a Parquet file with other columns: {some}"[:_LONGEST_REASON])
    wanted = {*query.used_fields, "log-status"}
    if "log-status" not in known:
        wanted |= {*RECIPE_KEY}
    chosen = {field: column for field, column in known.items() if field in wanted}
    if not chosen:  # the rows must be counted
        field = next(iter(known))
        chosen = {field: known[field]}
    return chosen


def _check_type(kind: Any, field: str, column: str) -> None:
    """Check that a column of this type can be read; NoFlowLogError if not."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    is_time = types.is_timestamp(kind) and field in TIME_FIELDS
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if not (is_number or is_time or _is_text(kind) or types.is_null(kind)):
        raise NoFlowLogError(
            f"its column {column} has the type {kind}, and a flow log's {field} is a number or a text"[:_LONGEST_REASON]
        )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    judges = ("is_string", "is_large_string", "is_string_view", "is_binary", "is_large_binary", "is_binary_view")
    return any(getattr(types, judge)(kind) for judge in (*judges, "is_fixed_size_binary"))


def _plain(array: Any, field: str) -> Any:
    """Convert values to int32, int64, texts with int32 offsets, a dictionary of these with int32 indices, or null."""
    import pyarrow as pa
    from pyarrow import types

    kind = array.type
    if types.is_dictionary(kind):
        values = array.dictionary
        if not _is_text(values.type) or values.null_count:
            return _plain(array.dictionary_decode(), field)
        texts = _plain(values, field)
        if texts is values and kind.index_type == pa.int32():
            return array
        return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), texts)
    if kind in (pa.int32(), pa.int64(), pa.string(), pa.binary(), pa.null()):
        return array
    if _is_text(kind):
        is_binary = types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind)
        return array.cast(pa.binary() if is_binary else pa.string())
    if types.is_timestamp(kind):
        return array.cast(pa.timestamp("s", kind.tz), safe=False).cast(pa.int64())
    if types.is_integer(kind) and kind.bit_width < 32:
        return array.cast(pa.int32())
    if types.is_floating(kind):
        from pyarrow import compute

        array = compute.if_else(compute.is_nan(array), pa.scalar(None, kind), array)  # pandas' null
    try:
        return array.cast(pa.int64())
    except pa.ArrowInvalid:  # a fraction, or too large: no number of a flow log
        return array.cast(pa.string())


def describe(array: Any) -> ColumnData:
    """Describe where a column's values are in memory."""
    from pyarrow import types

    if array.null_count == len(array):
        return ColumnData(Storage.MISSING)
    valid, values, *texts = (_address(buffer) for buffer in array.buffers()[:3])
    valid = valid if array.null_count else 0
    if types.is_dictionary(array.type):
        of_texts = array.dictionary
        _, offsets, data = of_texts.buffers()
        return ColumnData(
            Storage.DICTIONARY,
            values,
            valid,
            array.offset,
            _address(offsets) + 4 * of_texts.offset,
            _address(data),
            len(of_texts),
        )
    if texts and _is_text(array.type):
        return ColumnData(Storage.TEXTS, 0, valid, array.offset, values, texts[0], len(array))
    storage = Storage.INT_32 if array.type.bit_width == 32 else Storage.INT_64
    return ColumnData(storage, values, valid, array.offset)


def _address(buffer: Any) -> int:
    return buffer.address if buffer is not None else 0


def _damaged(error: Exception) -> Exception:
    """The error for a file that pyarrow cannot decode."""
    if isinstance(error, MemoryError):
        return MemoryError()
    reason = " ".join(str(error).split())
    if "encrypt" in reason.lower() or "decrypt" in reason.lower():
        return UnreadableError("an encrypted Parquet file; write it again without encryption")
    return UnreadableError(f"a damaged Parquet file: {reason}"[:_LONGEST_REASON])
