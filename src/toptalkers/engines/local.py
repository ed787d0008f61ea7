"""The fastest engine, and the default of `run-local`: threads that count with the kernel.

Each thread takes one file after the other, unpacks it piece by piece (`records/`) and counts the pieces with its own
counter (`kernel/counter.py`). At the end the counters' sums are added up and ranked. Memory holds one piece per thread
and the sums by talker. Sums that memory cannot hold go to the disk (`spill.py`), except those of an archive that is not
read to its end.

A question about conversations, and that of a digest, count whole records first, which are joined or folded at the end
(`question/conversations.py`). These stay in memory.
"""

import itertools
import os
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toptalkers.answer.answer import LARGEST_TOTAL, Answer, Tally, TooLargeError
from toptalkers.answer.presentation import additive
from toptalkers.answer.quality import Quality
from toptalkers.engines import QUIET, Watch
from toptalkers.engines.spill import Spill, default_rows_held
from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.columns import ColumnBatch
from toptalkers.kernel.counter import WHY_PURE, Conversations, Counter, keep_freed_memory
from toptalkers.machine.cores import FETCHES
from toptalkers.machine.memory import explain_no_memory
from toptalkers.question.conversations import counted_question, folded_question, needs_records
from toptalkers.question.digest import is_digest
from toptalkers.question.query import Query
from toptalkers.records.contents import Archive, Begin, Event, Piece
from toptalkers.records.files import InputFile, Problem
from toptalkers.records.misfits import why_left_out
from toptalkers.records.source import UnreadableError
from toptalkers.records.unpack import read_events, read_parts

if TYPE_CHECKING:
    from toptalkers.engines.cache import CountCache

PIECE_BYTES = 256 << 10
"""Small enough to stay in the core's cache until it is counted, large enough that calls do not matter."""

PIECES_AHEAD = 8
"""How many pieces of a file may wait to be counted, if another thread unpacks it."""

MANY_ROWS = 2_000_000
"""Ranking this many sums takes seconds."""

ROWS_PER_RECORD = 2.3
"""How much memory a whole record takes, in talkers of the default question: measured."""

FILES_AHEAD = FETCHES
"""How many files ahead a file is fetched: many are so small that each is one range."""

HONOURS: Collection[str] = ("cache", "scratch")


def count_files(
    query: Query,
    files: Sequence[InputFile],
    *,
    top: int = 0,
    watch: Watch = QUIET,
    scratch: Path | None = None,
    cache: "CountCache | None" = None,
    block_bytes: int = PIECE_BYTES,
    rows_held: int | None = None,
) -> Answer:
    """Answer a question from files; see `engines.Engine`.

    Args:
        query: the question.
        files: the files to read.
        top: how many talkers to answer with, 0 for all.
        watch: `on_stage` gets a line when all files are read and ranking the talkers takes long.
        scratch: the folder for sums that do not fit into memory; None for the system's temporary folder.
        cache: the counts of files that were read before. New counts are added.
        block_bytes: how much of a file is unpacked and counted at a time.
        rows_held: how many sums memory may hold; None to decide it by the memory that is free.

    Raises:
        ToptalkersError: the sums fit neither memory nor disk, whole records do not fit memory, or there is not enough
            memory to read files.

    """
    if WHY_PURE:
        watch.on_note(f"counting in Python, about ten times as slow as the compiled kernel: {WHY_PURE}")
    spill = Spill(scratch)
    try:
        with explain_no_memory():
            keep_freed_memory()
            rows_held = rows_held or default_rows_held()
            engine = LocalEngine(query, files, block_bytes, spill, rows_held, cache, watch.on_read)
            engine.count()
            for problem in engine.problems:
                watch.on_problem(problem)
            for note, names in sorted(engine.lacks.items()):
                others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
                watch.on_note(f"Note: {min(names)}{others}: {note}")
            if engine.rows >= MANY_ROWS:
                joined = "finding who talked to whom" if needs_records(query) else "adding up and ranking the talkers"
                watch.on_stage(f"all is read; {joined}")
            chunks, talkers = engine.ranked(top)
            lacks = sorted(engine.lacks)
            made = engine.totals, lacks, engine.exported, engine.quality
            return Answer(query, chunks, engine.tally, talkers, top, *made)
    except BaseException:
        spill.close()
        raise


class _Tables:
    """What a thread has counted: lines and records for the question, and the rows of digests if they are of another.

    Attributes:
        counter: that of the question by which lines are counted.
        folded: that of the rows of digests, for a question about whole records; None as long as there are none.

    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self.counter = Counter(counted_question(query))
        self.folded: Counter | None = None

    def of(self, part: Begin) -> Counter:
        """The counter of a part's records."""
        if not (part.is_digest and needs_records(self._query)):
            return self.counter
        self.folded = self.folded or Counter(folded_question(self._query))
        return self.folded

    def all(self) -> list[Counter]:
        """The counters that there are."""
        return [self.counter, self.folded] if self.folded else [self.counter]

    @property
    def rows(self) -> int:
        """How much is in memory, in talkers of the default question."""
        return sum(counter.rows for counter in self.all())

    def absorb(self, other: "_Tables") -> None:
        """Take over the sums of others, which are empty afterwards."""
        self.counter.absorb(other.counter)
        if self.folded and other.folded:
            self.folded.absorb(other.folded)
        else:
            self.folded = self.folded or other.folded
        other.folded = None


class LocalEngine:
    """Counts files for one question, once.

    Attributes:
        tally: that of all files, after `count`.
        totals: what the sums add up to, by the metric, after `ranked`; times have none.
        lacks: what digests lack, with their names.
        exported: see `Answer`; None before `ranked`, and of a part of the rows.
        quality: how well the numbers hold, after `ranked`.

    """

    def __init__(
        self,
        query: Query,
        files: Sequence[InputFile],
        block_bytes: int,
        spill: Spill,
        rows_held: int,
        cache: "CountCache | None",
        on_read: Callable[[int], None],
    ) -> None:
        self.tally = Tally()
        self.totals: dict[str, int] = {}
        self.lacks: dict[str, list[str]] = {}
        self.exported: Callable[[Sequence[str], int], Iterator[ColumnBatch] | None] | None = None
        self.quality = Quality()
        self._query = query
        self._files = files
        self._block_bytes = block_bytes
        self._spill = spill
        self._rows_held = rows_held
        self._cache = cache
        self._on_read = on_read
        self._problems: dict[int, list[Problem]] = {}
        self._tables: list[_Tables] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def problems(self) -> list[Problem]:
        """The files that were left out, and why, in the order of the files."""
        return [problem for number in sorted(self._problems) for problem in self._problems[number]]

    @property
    def rows(self) -> int:
        """How many sums there are to add up; a lower bound if some are on the disk."""
        return sum(tables.rows for tables in self._tables) + self._rows_held * self._spill.is_used

    def count(self) -> None:
        """Count all files, in one thread per core."""
        cores = os.cpu_count() or 1
        workers = min(cores, len(self._files)) or 1
        todo = itertools.count()
        self._tables = [_Tables(self._query) for _ in range(workers)]
        for file in self._files[:FILES_AHEAD]:
            file.prefetch()
        failures: list[BaseException] = []

        def work(tables: _Tables, ended: threading.Event) -> None:
            try:
                begin.wait()
                # `itertools.count` gives each number only once, to any thread.
                while not self._stop.is_set() and (number := next(todo)) < len(self._files):
                    for following in self._files[number + FILES_AHEAD : number + FILES_AHEAD + 1]:
                        following.prefetch()
                    self._count_file(tables, number, unpack_beside=workers < cores)
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)
                self._stop.set()
            finally:
                ended.set()

        begin = threading.Event()  # a thread whose start was interrupted must not touch a file
        ends: list[threading.Event] = []
        try:
            for tables in self._tables:
                ended = threading.Event()
                if not _start(threading.Thread(target=work, args=[tables, ended], name="count", daemon=True)):
                    break  # the threads that were started do all the work
                ends.append(ended)
            if not ends:
                raise MemoryError
            begin.set()
            for ended in ends:
                ended.wait()
        finally:
            self._stop.set()
            begin.set()
            # Not join(): after an interrupt it returns though the thread still runs (bpo-45274, Python 3.11).
            for ended in ends:
                ended.wait()
        if failures:
            raise failures[0]

    def ranked(self, top: int) -> tuple[Iterator[bytes], int]:
        """The first `top` lines of the answer (0 for all), and the number of talkers in all."""
        self.quality = sum((counter.quality for tables in self._tables for counter in tables.all()), Quality())
        if needs_records(self._query):
            return self._joined(top)
        counters = [tables.counter for tables in self._tables]
        self._tables.clear()
        sums = zip(*(counter.totals for counter in counters), strict=True)
        totals = dict(zip(self._query.metric, map(sum, sums), strict=True))
        if max(totals.values()) > LARGEST_TOTAL:
            raise TooLargeError
        self.totals = {metric: totals[metric] for metric in additive(self._query)}
        if self._spill.is_used:
            for counter in counters:
                self._spill.take(counter)
            del counters, counter
            return self._spill.ranked(self._query, top, self._rows_held)
        first, *others = counters
        for other in others:
            first.absorb(other)
        del counters, others
        return first.ranked(top), first.talkers

    def _joined(self, top: int) -> tuple[Iterator[bytes], int]:
        """As `ranked`, from whole records and the rows of digests; what the rules leave out moves in the tally."""
        first, *others = self._tables
        for other in others:
            first.absorb(other)
        self._tables.clear()
        conversations = Conversations(self._query)
        conversations.add_records(first.counter)
        if first.folded:
            conversations.add_folded(first.folded)
        del first, others
        conversations.finish()
        moved = conversations.skipped
        self.tally += Tally(counted=-sum(moved.values()), skipped=moved)
        # What the first stage counted is not all that counts, so that hours are known only now.
        self.quality = replace(self.quality, hours=()) + conversations.quality
        if is_digest(self._query):
            rows = conversations.folded()
            del conversations
            self.totals = dict(zip(self._query.metric, rows.totals, strict=True))
            self.totals = {metric: self.totals[metric] for metric in additive(self._query)}
            self.exported = None if top else rows.exported
            return rows.ranked(top), rows.talkers
        self.totals = {
            metric: total
            for metric, total in zip(self._query.metric, conversations.totals, strict=False)
            if metric in additive(self._query)
        }
        return conversations.ranked(top), conversations.talkers

    def _count_file(self, tables: _Tables, number: int, *, unpack_beside: bool) -> None:
        """Count a file into a counter, or add its counts from the cache."""
        file = self._files[number]
        if self._cache is None:
            self._count_parts(tables, number, unpack_beside=unpack_beside)
            return
        version = file.version()
        known = self._cache.load(file, version, tables.counter) if version else None
        if known is None:
            own = _Tables(self._query)
            tally = self._count_parts(own, number, unpack_beside=unpack_beside)
            if tally is not None and not own.counter.has_spilled and not own.folded:
                self._cache.save(file, version, own.counter.pack(), tally, own.counter.quality)
            tables.absorb(own)
        else:
            self._on_read(file.size_bytes)
            self._add_tally(known)
        self._spill_what_is_too_much(tables)

    def _count_parts(self, tables: _Tables, number: int, *, unpack_beside: bool) -> Tally | None:
        """Count a file, or the parts of an archive. Returns the tally; None if anything was left out."""
        file = self._files[number]
        events = read_events(file, self._block_bytes, self._on_read, self._stop.is_set, self._query)
        if unpack_beside:
            events = _read_ahead(events)
        tally = Tally()
        problems: list[Problem] = []
        is_noted = False  # what a digest lacks must be told each time
        into = tables
        try:
            for part, pieces in read_parts(events):
                if isinstance(part, Archive):
                    # Its parts count only when all of them have been read.
                    into = _Tables(self._query) if into is tables else into
                elif isinstance(part, Problem):
                    problems.append(part)
                else:
                    is_noted |= bool(part.note)
                    counted = self._count_pieces(into, pieces, part, may_spill=into is tables)
                    if isinstance(counted, str):
                        problems.append(Problem(part.name, counted))
                    else:
                        tally += counted
                if self._stop.is_set():
                    return None
        except UnreadableError as error:
            for counter in into.all():
                counter.end_lines()
                counter.end_file(counts=False)
            tally, problems = Tally(), [Problem(file.name, str(error))]
        else:
            if into is not tables:
                tables.absorb(into)
                self._spill_what_is_too_much(tables)
        unreadable = sum(problem.is_failure for problem in problems)
        self._add_tally(tally + Tally(files_unreadable=unreadable))
        if problems:
            self._problems[number] = problems
        return None if problems or is_noted else tally

    def _count_pieces(self, tables: _Tables, pieces: Iterator[Piece], part: Begin, *, may_spill: bool) -> Tally | str:
        """Count the records of a file, or of a part of an archive. Returns the tally, or why it is left out."""
        counter = tables.of(part)
        if part.columns:
            counter.begin_columns(part.columns)
        for piece in pieces:
            if isinstance(piece, bytes):
                counter.feed(piece)
            else:
                counter.feed_columns(piece)
            if may_spill:
                self._spill_what_is_too_much(tables)
            if self._stop.is_set():
                break
        tally = counter.end_lines()
        # The records of a digest were judged when it was made.
        reason = None if part.is_digest else why_left_out(counter, tally, self._query, part.wrapping)
        counter.end_file(counts=reason is None)
        if reason is None and part.is_digest:
            counter.quality += part.quality
        if part.note:
            with self._lock:
                self.lacks.setdefault(part.note, []).append(part.name)
        return reason or tally + part.tally + Tally(files_read=1)

    def _spill_what_is_too_much(self, tables: _Tables) -> None:
        """Move sums to the disk if memory holds too many; ToptalkersError for whole records, which must stay."""
        if tables.rows < max(1, self._rows_held // len(self._tables)):
            return
        if not needs_records(self._query):
            self._spill.take(tables.counter)
        elif self.rows >= self._rows_held:
            number = self._rows_held / ROWS_PER_RECORD
            room = f"{number / 1e6:,.1f} million" if number >= 1e6 else f"{number:,.0f}"
            raise ToptalkersError(
                f"{_asked(self._query)} holds every record in memory, and there is room for about {room} of them",
                hint="ask for less time (--since, --until), or ask a cluster: toptalkers run-emr",
            )

    def _add_tally(self, tally: Tally) -> None:
        with self._lock:
            self.tally += tally


def _asked(query: Query) -> str:
    return "a digest" if is_digest(query) else "--count once" if query.count == "once" else "--pairs"


def _start(thread: threading.Thread) -> bool:
    """Start a thread. Returns false if there is no memory for it."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def _read_ahead(pieces: Iterator[Event]) -> Iterator[Event]:
    """Unpack pieces ahead in another thread: with few files, cores are idle."""
    waiting: queue.Queue[Event | BaseException | None] = queue.Queue(PIECES_AHEAD)
    stop = threading.Event()

    def put(piece: Event | BaseException | None) -> None:
        while not stop.is_set():
            try:
                waiting.put(piece, timeout=0.2)
                return
            except queue.Full:
                continue

    def unpack() -> None:
        try:
            for piece in pieces:
                put(piece)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again below
            put(error)

    thread = threading.Thread(target=unpack, name="unpack", daemon=True)
    if not _start(thread):
        yield from pieces
        return
    try:
        while (piece := waiting.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        stop.set()
        thread.join()
