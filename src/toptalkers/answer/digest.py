"""Digests as Parquet: the rows of the answer to a digest's question, and how they were made.

`docs/digest.md` has the schema for users. The writer needs pyarrow (`toptalkers[parquet]`). Memory holds the rows of
one row group.
"""

import io
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toptalkers import __version__
from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.presentation import Presentation
from toptalkers.answer.quality import Quality
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.columns import ColumnBatch, ColumnData, Storage
from toptalkers.flowlog.fields import column_name
from toptalkers.flowlog.reasons import WORDS
from toptalkers.machine.arrow import prepare_pyarrow, require_pyarrow
from toptalkers.question.clauses import ALL_PORTS, format_ports, parse_time
from toptalkers.question.digest import DIGEST_KEY, DIGEST_METRICS, DIGEST_VERSION, check_question, is_digest
from toptalkers.question.query import Query
from toptalkers.question.times import format_time

if TYPE_CHECKING:
    from toptalkers.names.snapshot import Snapshot

METADATA_KEY = b"toptalkers.digest"
"""The key of the file's metadata that makes a Parquet file a digest."""

ROWS_PER_GROUP = 1 << 20
"""The most rows of a row group. A row takes about 150 bytes of memory while its group is sorted."""

BYTES_PER_PARSE = 8 << 20
"""How many bytes of lines are parsed at a time."""

SUFFIX = ".parquet"

_HOUR_MS = 3_600_000

_ADDRESSES = ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr")
_TIMES = ("hour", "first", "last")
_SMALL_NUMBERS = ("server-port", "peer-port", "protocol", "tcp-flags")
_FLAGS = "tcp_flags"
_SUMS = ("bytes", "packets", "records")

COLUMNS: tuple[str, ...] = tuple(column_name(name) for name in (*DIGEST_KEY, *DIGEST_METRICS))
"""The names of the file's columns: hour, interface_id, ..."""

_OFTEN_ALIKE = [name for name in COLUMNS if name not in ("bytes", "first", "last")]
"""The columns whose values are few enough to be written as dictionaries."""


@dataclass(frozen=True, slots=True)
class DigestOrigin:
    """How a digest was made: the content of its metadata.

    Attributes:
        question: the texts of its question, by the names of the clauses.
        tally: of the records that it was made from; None if it is not known.
        first: the earliest start of its records; None if it has none.
        last: the latest end of its records; None if it has none.
        lacks: what the digests lacked that it was made from (their `note`).
        skipdata: windows with SKIPDATA by interface.
        without_packet_addresses: its records that had neither `pkt-srcaddr` nor `pkt-dstaddr`.
        version: the version of its schema.
        made: the program that made it, and its version.

    """

    question: Mapping[str, str]
    tally: Tally | None
    first: datetime | None = None
    last: datetime | None = None
    lacks: Sequence[str] = ()
    skipdata: Mapping[str, int] = field(default_factory=dict)
    without_packet_addresses: int = 0
    version: int = DIGEST_VERSION
    made: str = field(default=f"toptalkers {__version__}")

    def format(self) -> bytes:
        """Write the metadata, as JSON."""
        window = {"first": self.first, "last": self.last}
        content = {
            "version": self.version,
            "question": dict(self.question),
            "tally": self.tally and {**asdict(self.tally), "skipped": dict(self.tally.skipped)},
            "window": {name: time and format_time(time) for name, time in window.items()},
            "skipdata": dict(self.skipdata),
            "without_pkt_addresses": self.without_packet_addresses,
            "lacks": list(self.lacks),
            "made": self.made,
        }
        return json.dumps(content).encode()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the metadata of a digest.

        Raises:
            ToptalkersError: a newer version of the program made it, or the metadata are damaged. The message goes after
                the name of the file.

        """
        try:
            content = json.loads(text)
            version = content["version"]
            if not isinstance(version, int):
                raise TypeError(f"its version is {version!r}")  # noqa: TRY301 - one kind of error
            if version <= DIGEST_VERSION:
                return cls(
                    {str(name): str(one) for name, one in content["question"].items()},
                    _parse_tally(content["tally"]),
                    first=_parse_window(content["window"]["first"]),
                    last=_parse_window(content["window"]["last"]),
                    lacks=[str(one) for one in content.get("lacks", [])],
                    skipdata=Quality.parse({"skipdata": content.get("skipdata", {}), "hours": []}).skipdata,
                    without_packet_addresses=int(content.get("without_pkt_addresses", 0)),
                    version=version,
                    made=str(content["made"]),
                )
        except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
            raise ToptalkersError(f"a digest whose metadata cannot be read: {error}") from error
        raise ToptalkersError(
            f"a digest of version {version}, of which this program knows only up to {DIGEST_VERSION}",
            hint="update: pip install --upgrade toptalkers",
        )

    @property
    def note(self) -> str:
        """What it lacks of the records of its time, in one line; `""` for nothing."""
        where = self.question.get("where")
        notes = [*self.lacks, *([f"only the records of --where {where!r}"] if where else [])]
        if self.tally and (files := self.tally.files_unreadable + self.tally.misfits):
            notes.append(f"made without {files:,} file{'' if files == 1 else 's'} that could not be read")
        return "; ".join(notes)

    def check(self, query: Query, name: str) -> None:
        """Check that the digest `name` has the answer to a question.

        Raises:
            UsageError: digests do not answer such a question, or this one is too old for it, or holds other actions, or
                fewer ports.

        """
        check_question(query)
        if self.version < 2 and (query.joins_records or is_digest(query)):
            asked = "--pairs" if query.pairs else "--count once" if query.joins_records else "a digest"
            raise UsageError(
                f"{asked}: {name} is a digest of version {self.version}, made by an earlier version of toptalkers,"
                " which cannot tell conversations",
                hint="make it again from the logs",
            )
        own = Query.parse(**{name: text for name, text in self.question.items() if name in ("action", "ports")})
        if own.action not in ("ALL", query.action):
            raise UsageError(
                f"--action {query.action}: {name} is a digest of {own.action} records only",
                hint=f"--action {own.action}, or make the digest of all actions",
            )
        if query.pairs and own.ports != ALL_PORTS:
            raise UsageError(
                f"--pairs: {name} is a digest of the ports {format_ports(own.ports)} only",
                hint="pairs have both directions: make the digest of all ports",
            )
        if not all(any(low <= one and other <= high for low, high in own.ports) for one, other in query.ports):
            raise UsageError(
                f"--ports {format_ports(query.ports)}: {name} is a digest of the ports {format_ports(own.ports)} only",
                hint=f"--ports {format_ports(own.ports)}, or make the digest of all ports",
            )


def check_output_name(output: Path | None) -> Path:
    """The file to write a digest to; UsageError if it is standard output (None), or not named like Parquet."""
    if output is None:
        raise UsageError(
            "--output -: a digest is a file, not written to standard output", hint="name it digest.parquet"
        )
    if output.suffix != SUFFIX:
        raise UsageError(f"--output {output}: a digest is a Parquet file", hint=f"name it {output.stem}{SUFFIX}")
    return output


def goes_to_parquet(output: Path | None, query: Query, presentation: Presentation) -> bool:
    """Whether an answer is to be written as Parquet, as the name of the output says.

    Raises:
        UsageError: it is, but the answer is not a digest, or not a whole one.
        ToptalkersError: it is, and pyarrow is missing.

    """
    if output is None or output.suffix != SUFFIX:
        return False
    if not is_digest(query):
        raise UsageError(
            f"--output {output}: only a digest is written as Parquet, and this is another question",
            hint="'toptalkers digest' makes one, on a cluster 'run-emr --digest'; else name the output .tsv or .csv",
        )
    if presentation.top:
        raise UsageError(f"--top {presentation.top}: a digest has all rows", hint="leave out --top")
    if presentation.format != "tsv" or presentation.show:
        raise UsageError(f"--output {output}: a digest in Parquet has a format of its own", hint="leave out --format")
    prepare_pyarrow("writing Parquet")
    return True


def format_digest(
    answer: Answer, names: Callable[[Collection[str], Collection[str]], "Snapshot"] | None = None
) -> Iterator[bytes]:
    """Write the answer to a digest's question as a Parquet file, in chunks. Reads the answer's chunks.

    Args:
        answer: the answer.
        names: returns what names these addresses, and the interfaces with these ids, to be kept in the file; None to
            keep no names.

    Raises:
        ToptalkersError: the answer has a wrong line.

    """
    require_pyarrow("writing Parquet")
    import pyarrow as pa
    from pyarrow import parquet

    sink = _Sink()
    firsts: list[int] = []
    lasts: list[int] = []
    addresses: set[str] = set()
    interfaces: set[str] = set()
    try:
        # Without Arrow's own schema, every reader sees plain texts. Statistics of other columns than times rarely spare
        # a reader a row group, and take a fifth of the time.
        options: dict[str, Any] = {"compression": "zstd", "store_schema": False, "use_dictionary": _OFTEN_ALIKE}
        options |= {"write_statistics": [name.replace("-", "_") for name in _TIMES]}
        with parquet.ParquetWriter(sink, _schema(), **options) as writer:
            for group in _groups(answer):
                firsts += map(min, _milliseconds(group["first"]))
                lasts += map(max, _milliseconds(group["last"]))
                if names:
                    addresses.update(*(_texts(group[name]) for name in _ADDRESSES))
                    interfaces.update(_texts(group["interface_id"]))
                writer.write_table(group, row_group_size=ROWS_PER_GROUP)
                yield from sink.taken()
            first, last = (_time(min(firsts)), _time(max(lasts))) if firsts else (None, None)
            is_told = answer.tally.counted or not firsts  # a cluster's log may be lost
            tally, quality = answer.tally if is_told else None, answer.quality
            without = quality.without_packet_addresses or 0
            made = DigestOrigin(answer.query.texts(), tally, first, last, answer.lacks, quality.skipdata, without)
            writer.add_key_value_metadata({METADATA_KEY: made.format()})
            if names:
                from toptalkers.names.kept import NAMES_KEY, format_kept

                writer.add_key_value_metadata({NAMES_KEY: format_kept(names(addresses, interfaces))})
    except pa.ArrowInvalid as error:
        raise ToptalkersError(f"the answer has a wrong line: {error}") from error
    yield from sink.taken()


def _schema() -> Any:
    """The columns as they are parsed and written. Texts are dictionaries, which are small and quick to sort."""
    import pyarrow as pa

    types = {
        **dict.fromkeys(_TIMES, pa.timestamp("ms", "UTC")),
        **dict.fromkeys(_SMALL_NUMBERS, pa.int32()),
        **dict.fromkeys(_SUMS, pa.int64()),
    }
    texts = pa.dictionary(pa.int32(), pa.string())
    names = (*DIGEST_KEY, *DIGEST_METRICS)
    return pa.schema([(column, types.get(name, texts)) for column, name in zip(COLUMNS, names, strict=True)])


def _parsed(chunks: Iterable[bytes]) -> Iterator[Any]:
    """Parse whole lines of an answer into tables."""
    import pyarrow as pa
    from pyarrow import csv

    read = csv.ReadOptions(column_names=COLUMNS)
    parse = csv.ParseOptions(delimiter="\t", quote_char=False)
    types = {one.name: one.type for one in _schema()} | {_FLAGS: pa.int64()}
    convert = csv.ConvertOptions(column_types=types, null_values=["-"], strings_can_be_null=True)
    for lines in _joined(chunks):
        table = csv.read_csv(pa.BufferReader(lines), read_options=read, parse_options=parse, convert_options=convert)
        at = table.schema.get_field_index(_FLAGS)
        yield table.set_column(at, _FLAGS, _flags(table[_FLAGS]))


def _flags(numbers: Any) -> Any:
    """Flags as 32-bit numbers; null for what is larger, which no TCP flags are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.less(numbers, 1 << 31), numbers, pa.scalar(None, pa.int64())).cast(pa.int32())


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= BYTES_PER_PARSE:
            yield b"".join(held)
            held.clear()
            size = 0
    if size:
        yield b"".join(held)


def _groups(answer: Answer) -> Iterator[Any]:
    """The row groups, sorted. A group of an answer in columns lasts until the next one."""
    batches = answer.exported and answer.exported(COLUMNS, ROWS_PER_GROUP)
    return map(_sorted, _joined_tables(_parsed(answer.chunks))) if batches is None else map(_taken, batches)


def _milliseconds(times: Any) -> Iterator[Any]:
    """The numbers of a column of times, all of which have a value, in each of its chunks.

    Arrow's own functions (`pyarrow.compute`) take as long to import as a whole small answer to count.
    """
    for chunk in times.chunks:
        yield memoryview(chunk.buffers()[1]).cast("q")[chunk.offset : chunk.offset + len(chunk)]


def _texts(column: Any) -> set[str]:
    """The texts of a column, without null."""
    return {text for chunk in column.chunks for text in chunk.dictionary.to_pylist() if text is not None}


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1000, UTC)


def _taken(batch: ColumnBatch) -> Any:
    """A group from columns as the kernel exports them, which is those of Arrow. Nothing is copied."""
    import pyarrow as pa

    def memory(address: int, size: int) -> Any:
        return pa.foreign_buffer(address, size, batch) if size else pa.py_buffer(b"")

    def array(column: ColumnData, of: Any) -> Any:
        size = batch.rows * (8 if column.storage is Storage.INT_64 else 4)
        valid = memory(column.valid, (batch.rows + 7) // 8) if column.valid else None
        if column.storage is not Storage.DICTIONARY:
            return pa.Array.from_buffers(of, batch.rows, [valid, memory(column.values, size)])
        numbers = pa.Array.from_buffers(pa.int32(), batch.rows, [valid, memory(column.values, size)])
        offsets = memory(column.offsets, 4 * (column.texts_length + 1))
        length = int.from_bytes(offsets[-4:], sys.byteorder)
        texts = pa.Array.from_buffers(pa.string(), column.texts_length, [None, offsets, memory(column.texts, length)])
        return pa.DictionaryArray.from_arrays(numbers, texts, safe=False)

    schema = _schema()
    return pa.Table.from_arrays([array(*one) for one in zip(batch.columns, schema.types, strict=True)], schema=schema)


def _joined_tables(tables: Iterable[Any]) -> Iterator[Any]:
    """Join tables to row groups."""
    import pyarrow as pa

    held: list[Any] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += len(table)
        while rows >= ROWS_PER_GROUP:
            joined = pa.concat_tables(held)
            yield joined.slice(0, ROWS_PER_GROUP)
            held = [joined.slice(ROWS_PER_GROUP)]
            rows -= ROWS_PER_GROUP
    if rows:
        yield pa.concat_tables(held)


def _sorted(table: Any) -> Any:
    """Sort the rows of a group by hour, interface, source and destination: neighbours are alike then, and compress.

    The four are made into two numbers, which sort several times as fast.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.unify_dictionaries().combine_chunks()
    hours = pc.divide(table["hour"].cast(pa.int64()), _HOUR_MS)
    interfaces, sources, destinations = (
        _ranks(table[name].chunk(0)) for name in ("interface_id", "srcaddr", "dstaddr")
    )
    keys = {"when": _paired(hours, interfaces), "who": _paired(sources, destinations)}
    return table.take(pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys]))


def _ranks(texts: Any) -> Any:
    """The place of each text among the sorted texts of its column, from 1; 0 for null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ranks = pc.rank(texts.dictionary).cast(pa.int64())
    return pc.fill_null(pc.take(ranks, texts.indices), 0)


def _paired(high: Any, low: Any) -> Any:
    """One number of two, which sorts by the first, then by the second, which is less than 2^32."""
    import pyarrow.compute as pc

    return pc.add(pc.shift_left(high, 32), low)


class _Sink(io.RawIOBase):
    """A file that only grows, whose bytes are taken away while it is written."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held.append(bytes(data))
        self._size += len(self._held[-1])
        return len(self._held[-1])

    def tell(self) -> int:
        return self._size

    def taken(self) -> list[bytes]:
        """The bytes that were written since the last call."""
        held, self._held = self._held, []
        return held


def _parse_window(text: str | None) -> datetime | None:
    return None if text is None else parse_time("window", text)


def _parse_tally(counts: Mapping[str, Any] | None) -> Tally | None:
    if counts is None:
        return None
    names = ("records_read", "counted", "files_read", "files_unreadable", "misfits")
    numbers = {name: int(counts[name]) for name in names}
    skipped = {str(reason): int(number) for reason, number in counts["skipped"].items() if reason in WORDS}
    return Tally(skipped=skipped, **numbers)
