"""The question on this machine, with Polars: the default of `run-local`, and the fastest way to ask.

The way of a file: worker threads unpack it into blocks of whole lines (`unpack.py`); blocks of one layout are
parsed and counted together by Polars, if they are plainly in that layout; what is not plainly so is counted line
by line by `FlowCounter`, the very code of the mapper. So the answer is always the mapper's, and a question about
a rule is answered in one place, `streaming/count_flows.py`.

"Plainly" means that each line, by the columns that the question looks at, is well-formed: any doubt sends the
block the exact way. Memory holds a few blocks for each thread and the sums by talker, not the records; sums that are
more than memory holds wait on the disk (`sums.py`).
"""

import ctypes
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from toptalkers.answer import Answer, Tally
from toptalkers.engines.cache import CountCache
from toptalkers.engines.inputs import InputFile, Problem
from toptalkers.engines.sums import SCHEMA as _SUMS
from toptalkers.engines.sums import PartialSums, Spill, default_rows_held
from toptalkers.engines.unpack import UnreadableError, read_blocks
from toptalkers.query import ALL_PORTS, Query
from toptalkers.streaming import count_flows

BLOCK_BYTES = 16 << 20
"""Large enough that Polars' fixed costs a block do not show, small enough that a dozen of them may wait."""

FILES_AHEAD = 8
"""How many files before its turn a file is told to be on its way."""

_CHUNK_ROWS = 50_000

_IPV4 = count_flows.IPV4.pattern.decode()
_NUMBER = r"^[0-9]{1,15}$"


def count_files(
    query: Query,
    files: Sequence[InputFile],
    *,
    on_read: Callable[[int], None] = lambda _: None,
    on_problem: Callable[[Problem], None] = lambda _: None,
    scratch: Path | None = None,
    cache: CountCache | None = None,
    block_bytes: int = BLOCK_BYTES,
    rows_held: int | None = None,
) -> Answer:
    """Answer a question from files.

    Args:
        query: the question.
        files: what to read, each to count whole or not at all.
        on_read: called with the number of stored bytes of each read, from any thread, for progress.
        on_problem: called for each file that is left out, and why.
        scratch: the folder for sums that are more than memory holds; None for the system's temporary one.
        cache: what was counted before, and is not read again; what is read is kept there.
        block_bytes: how much of a file is unpacked at a time, and how much is parsed together.
        rows_held: how many partial sums may be held in memory; None for what memory there is.

    Returns:
        The answer; its tally counts files read and left out.

    Raises:
        ToptalkersError: the sums fit neither memory nor disk.

    """
    _keep_freed_memory()
    spill = Spill(scratch)
    try:
        engine = LocalEngine(query, on_problem, block_bytes, spill, rows_held or default_rows_held(), cache)
        return engine.answer(files, on_read)
    except BaseException:
        spill.close()
        raise


@dataclass(frozen=True, slots=True)
class _Block:
    """Some lines of a file, in order. The last block of a file says how it ended."""

    number: int
    file: InputFile
    data: bytes
    last: bool
    unreadable: str | None = None


@dataclass(slots=True)
class _FileSoFar:
    """What is known of a file of which some blocks are counted: its layout now, its sums, its tally."""

    fields: list[bytes]
    sums: PartialSums
    tally: Tally = field(default_factory=Tally)


class LocalEngine:
    """One question's counting; use it once."""

    def __init__(
        self,
        query: Query,
        on_problem: Callable[[Problem], None],
        block_bytes: int,
        spill: Spill,
        rows_held: int,
        cache: CountCache | None = None,
    ) -> None:
        """Take the question, the bounds of memory, and what was counted before."""
        self._cache = cache
        self._versions: dict[str, str] = {}
        self._block_bytes = block_bytes
        self._query = query
        self._on_problem = on_problem
        self._question = count_flows.parse_arguments(query.mapper_arguments())
        self._headerless = count_flows.FlowCounter(self._question).headerless
        self._spill = spill
        self._rows_held_by_a_file = rows_held // 4 // _unpacking_threads()
        self._sums = PartialSums(spill, rows_held // 2)
        self._tally = Tally()

    def answer(self, files: Sequence[InputFile], on_read: Callable[[int], None]) -> Answer:
        """Read the files and answer."""
        if self._cache:
            files = list(self._not_counted_before(self._cache, files, on_read))
        unfinished: dict[int, _FileSoFar] = {}
        together: dict[tuple[bytes, ...], list[tuple[InputFile, bytes]]] = {}
        waiting_bytes = 0
        with ThreadPoolExecutor(2, "count") as pool:
            counting: deque[Future[list[tuple[InputFile | int, pl.DataFrame, Tally]]]] = deque()
            for block in _unpack_ahead(files, self._block_bytes, on_read):
                if block.unreadable is not None:
                    unfinished.pop(block.number, None)
                    self._leave_out(block.file, block.unreadable)
                elif block.last and block.number not in unfinished:
                    fields, lines = self._begin(block.data)
                    together.setdefault(tuple(fields), []).append((block.file, lines))
                    waiting_bytes += len(lines)
                    if waiting_bytes >= self._block_bytes:
                        counting.append(pool.submit(self._count_whole_files, together))
                        together, waiting_bytes = {}, 0
                        if len(counting) > 2:
                            self._add_counted(counting.popleft().result())
                else:
                    self._count_part(block, unfinished)
            counting.append(pool.submit(self._count_whole_files, together))
            for counted in counting:
                self._add_counted(counted.result())
        rankings, talkers = self._sums.ranked(self._query.top)
        return Answer(self._query, _format_chunks(rankings), self._tally, talkers)

    def _not_counted_before(
        self, cache: CountCache, files: Sequence[InputFile], on_read: Callable[[int], None]
    ) -> Iterator[InputFile]:
        """Add the counts that are known, and give the files that are left to read."""
        for file in files:
            version = file.version()
            counted = cache.load(file, version) if version else None
            if counted is None:
                self._versions[file.name] = version
                yield file
            else:
                sums, tally = counted
                self._sums.add(sums)
                self._tally += tally
                on_read(file.size_bytes)

    def _count_part(self, block: _Block, unfinished: dict[int, _FileSoFar]) -> None:
        """Count one block of a file that has several; the last one adds the file to the answer."""
        lines = block.data
        so_far = unfinished.pop(block.number, None)
        if so_far is None:
            fields, lines = self._begin(lines)
            so_far = _FileSoFar(fields, PartialSums(self._spill, self._rows_held_by_a_file))
        sums, tally, so_far.fields = self._count([lines], so_far.fields)
        so_far.sums.add(sums)
        so_far.tally += tally
        if block.last:
            self._add_file(block.file, so_far)
        else:
            unfinished[block.number] = so_far

    def _begin(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The layout in which a file begins, and its lines without the header that says so."""
        end = data.find(b"\n")
        first_line = data if end < 0 else data[:end]
        columns = first_line.removeprefix(count_flows.BYTE_ORDER_MARK).split(b" ")
        if count_flows.parse_header(columns):
            return columns, data[len(first_line) + 1 :]
        return self._headerless, data

    def _count_whole_files(
        self, together: dict[tuple[bytes, ...], list[tuple[InputFile, bytes]]]
    ) -> list[tuple[InputFile | int, pl.DataFrame, Tally]]:
        """Count whole files by their layouts: sums and tally of each file, or of so many plain ones together."""
        counted: list[tuple[InputFile | int, pl.DataFrame, Tally]] = []
        for fields, waiting in together.items():
            plain = None if self._cache else self._count_plain([lines for _, lines in waiting], list(fields))
            if plain is not None:
                counted.append((len(waiting), *plain))
                continue
            for file, lines in waiting:
                sums, tally, _ = self._count([lines], list(fields))
                counted.append((file, sums, tally))
        return counted

    def _add_counted(self, counted: list[tuple[InputFile | int, pl.DataFrame, Tally]]) -> None:
        for whose, sums, tally in counted:
            if isinstance(whose, int):
                self._sums.add(sums)
                self._tally += tally + Tally(files_read=whose)
            else:
                so_far = _FileSoFar([], PartialSums(self._spill, self._rows_held_by_a_file), tally)
                so_far.sums.add(sums)
                self._add_file(whose, so_far)

    def _count(self, blocks: list[bytes], fields: list[bytes]) -> tuple[pl.DataFrame, Tally, list[bytes]]:
        """Count lines that begin in a layout: their sums, their tally, and the layout in which they end."""
        plain = self._count_plain(blocks, fields)
        if plain is not None:
            return *plain, fields
        return self._count_exactly(blocks, fields)

    def _count_plain(self, blocks: list[bytes], fields: list[bytes]) -> tuple[pl.DataFrame, Tally] | None:
        """Count lines that are plainly in one layout; None when they may not be.

        Lines need not be looked at for being a header: a header's column of the log status, of the action, or
        of the port holds no value that is plain there.
        """
        names = [name.decode() for name in fields]
        if len(set(names)) < len(names) or any(name not in names for name in self._query.needed_fields):
            return None
        if any(mark in data for data in blocks for mark in (b"Z", b"\xef", b"\0")):
            return None  # a time stamp or byte order mark may stand before a line
        sources = [data for data in blocks if data]
        if not sources:
            return pl.DataFrame(schema=_SUMS), Tally()
        query = self._query
        read = set(query.needed_fields) | {names[-1]} | ({"log-status"} & set(names))
        try:
            records = (
                pl.scan_csv(
                    sources,
                    separator=" ",
                    has_header=False,
                    quote_char=None,
                    schema=dict.fromkeys(names, pl.String),
                    truncate_ragged_lines=True,
                    glob=False,
                )
                .select(sorted(read))
                .collect(engine="streaming")
            )
        except pl.exceptions.PolarsError:
            return None
        if records[names[-1]].null_count():
            return None
        is_ok = pl.col("log-status") == "OK" if "log-status" in names else pl.lit(value=True)
        is_wanted = is_ok
        plain: dict[str, pl.Expr] = {}
        if "log-status" in names:
            plain |= {"nodata": pl.col("log-status") == "NODATA", "skipdata": pl.col("log-status") == "SKIPDATA"}
        if query.action != "ALL":
            other = "REJECT" if query.action == "ACCEPT" else "ACCEPT"
            plain["action"] = is_ok & (pl.col("action") == other)
            is_wanted = is_ok & (pl.col("action") == query.action)
        later = {"srcaddr", "dstaddr", "dstport", *query.needed_fields} - {"action"}
        skipped: dict[str, int] = {}
        if plain:
            skipped = records.select(**{reason: is_it.sum() for reason, is_it in plain.items()}).row(0, named=True)
            kept = records.lazy().filter(is_wanted).select(sorted(later)).collect()
        else:
            kept = records
        if kept.height + sum(skipped.values()) < records.height:
            return None
        if query.since or query.until:
            if not kept.select(pl.col("start").str.contains(_NUMBER).fill_null(value=False).all()).item():
                return None
            start = pl.col("start").cast(pl.Int64)
            seconds = pl.when(start >= count_flows.MILLISECONDS_FROM).then(start // 1000).otherwise(start)
            height = kept.height
            if query.since:
                kept = kept.filter(seconds >= int(query.since.timestamp()))
            if query.until:
                kept = kept.filter(seconds < int(query.until.timestamp()))
            skipped["time"] = height - kept.height
        height = kept.height
        number = kept["dstport"].cast(pl.UInt16, strict=False)
        # What the cast takes and we do not: signs and leading zeros, which make a text longer than its number.
        width = kept["dstport"].str.len_bytes()
        doubtful = (width > 5) | ((width == 5) & (number < 10000)) | ((width == 4) & (number < 1000))
        doubtful |= ((width == 3) & (number < 100)) | ((width == 2) & (number < 10))
        if number.null_count() or doubtful.any():
            return None
        if query.ports != ALL_PORTS:
            is_wanted_port = number.is_between(*query.ports[0])
            for low, high in query.ports[1:]:
                is_wanted_port |= number.is_between(low, high)
            kept = kept.filter(is_wanted_port)
        skipped["ports"] = height - kept.height
        if query.metric == "records":
            value = pl.len().cast(pl.Int64)
        else:
            if not kept.select(pl.col(query.metric).str.contains(_NUMBER).fill_null(value=False).all()).item():
                return None
            value = pl.col(query.metric).cast(pl.Int64).sum()
        sums = kept.group_by(
            pl.col("srcaddr").alias("src"), pl.col("dstaddr").alias("dst"), pl.col("dstport").alias("port")
        ).agg(value.alias("value"))
        if not (_are_addresses(sums["src"]) and _are_addresses(sums["dst"])):
            return None
        return sums, Tally(
            records.height, kept.height, {reason: number for reason, number in skipped.items() if number}
        )

    def _count_exactly(self, blocks: list[bytes], fields: list[bytes]) -> tuple[pl.DataFrame, Tally, list[bytes]]:
        """Count lines one by one, as the mapper does."""
        parts: list[pl.DataFrame] = []

        def flush(counter: count_flows.FlowCounter) -> None:
            keys = [key.decode().split(" ") for key in counter.sums]
            columns = [*(list(column) for column in zip(*keys, strict=True)), list(counter.sums.values())]
            if keys:
                parts.append(pl.DataFrame(dict(zip(_SUMS, columns, strict=True)), schema=_SUMS))
            counter.sums.clear()

        counter = count_flows.FlowCounter(self._question, flush)
        counter.set_layout(fields)
        for data in blocks:
            counter.count_block(data)
        flush(counter)
        counters = {"records_read": counter.records_read, "counted": counter.counted, **counter.skipped}
        sums = pl.concat(parts) if parts else pl.DataFrame(schema=_SUMS)
        return sums, Tally.from_counters(counters, files_read=0), counter.fields

    def _add_file(self, file: InputFile, so_far: _FileSoFar) -> None:
        """Add a whole file's sums, unless none of its lines is a record."""
        tally = so_far.tally
        if tally.records_read and tally.malformed == tally.records_read:
            self._leave_out(file, f"no flow log: none of its {tally.records_read:,} lines is a record")
            return
        tally += Tally(files_read=1)
        if self._cache and not so_far.sums.is_spilled:
            self._cache.save(file, self._versions[file.name], so_far.sums.in_memory(), tally)
        self._sums.absorb(so_far.sums)
        self._tally += tally

    def _leave_out(self, file: InputFile, reason: str) -> None:
        self._tally += Tally(files_unreadable=1)
        self._on_problem(Problem(file.name, reason))


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next block.

    Giving each block back to the system and taking it again, page by page, costs a tenth of the whole time. Other C
    libraries are left as they are.
    """
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (AttributeError, OSError):
            return
        m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
        mallopt(m_mmap_threshold, 1 << 30)
        mallopt(m_trim_threshold, 1 << 30)


def _are_addresses(column: pl.Series) -> bool:
    others = column.unique()
    if others.null_count():
        return False
    others = others.filter(~others.str.contains(f"^{_IPV4}$"))
    return all(count_flows.is_ipv6(text.encode()) for text in others)


def _format_chunks(rankings: Iterator[pl.DataFrame]) -> Iterator[bytes]:
    for rows in (rows for ranked in rankings for rows in ranked.iter_slices(_CHUNK_ROWS)):
        yield rows.write_csv(separator="\t", include_header=False, quote_style="never").encode()


def _unpack_ahead(files: Sequence[InputFile], block_bytes: int, on_read: Callable[[int], None]) -> Iterator[_Block]:
    """Unpack files in threads, ahead of who takes the blocks; a file's blocks come in order.

    No more threads than cores, and no more blocks waiting than threads, so that memory stays bounded.
    """
    workers = min(_unpacking_threads(), len(files))
    todo: queue.SimpleQueue[tuple[int, InputFile]] = queue.SimpleQueue()
    for numbered in enumerate(files):
        todo.put(numbered)
    for file in files[:FILES_AHEAD]:
        file.prefetch()
    blocks: queue.Queue[_Block | BaseException | None] = queue.Queue(maxsize=max(1, 4 * workers))
    stop = threading.Event()

    def put(block: _Block | BaseException | None) -> None:
        while not stop.is_set():
            try:
                blocks.put(block, timeout=0.2)
                return
            except queue.Full:
                continue

    def unpack(number: int, file: InputFile) -> None:
        held: bytes | None = None
        try:
            for data in read_blocks(file, block_bytes, on_read):
                if stop.is_set():
                    return
                if held is not None:
                    put(_Block(number, file, held, last=False))
                held = data
            put(_Block(number, file, held or b"", last=True))
        except UnreadableError as error:
            put(_Block(number, file, b"", last=True, unreadable=str(error)))

    def work() -> None:
        try:
            while not stop.is_set():
                try:
                    number, file = todo.get_nowait()
                except queue.Empty:
                    break
                for following in files[number + FILES_AHEAD : number + FILES_AHEAD + 1]:
                    following.prefetch()
                unpack(number, file)
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again by who takes the blocks
            put(error)

    threads = [threading.Thread(target=work, name="unpack", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        running = workers
        while running:
            block = blocks.get()
            if isinstance(block, BaseException):
                raise block
            if block is None:
                running -= 1
            else:
                yield block
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _unpacking_threads() -> int:
    return os.cpu_count() or 1
