"""The question on this machine: the default of `run-local`, and the fastest way to ask.

Each worker thread takes one file after the other, unpacks it piece by piece (`unpack.py`) and counts the pieces
with a counter of its own (`native.py`; the rules are in `kernel/records.c`). At the end the counters' sums are added
up and ranked. Memory holds a piece for each thread and the sums by talker, not the records; sums that are more than
memory holds wait on the disk (`sums.py`).
"""

import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toptalkers.answer import Answer, Tally
from toptalkers.engines.inputs import InputFile, Problem
from toptalkers.engines.native import Counter, keep_freed_memory
from toptalkers.engines.sums import Spill, default_rows_held
from toptalkers.engines.unpack import UnreadableError, read_pieces
from toptalkers.errors import ToptalkersError
from toptalkers.query import Query

if TYPE_CHECKING:
    from toptalkers.engines.cache import CountCache

PIECE_BYTES = 256 << 10
"""Small enough that a piece is still in the core's cache when it is counted, large enough that calls do not show."""

PIECES_AHEAD = 8
"""How many pieces of a file may wait to be counted, when another thread unpacks it."""

MANY_ROWS = 2_000_000
"""From so many sums on it takes seconds to rank them."""

FILES_AHEAD = 8
"""How many files before its turn a file is told to be on its way."""


def count_files(
    query: Query,
    files: Sequence[InputFile],
    *,
    on_read: Callable[[int], None] = lambda _: None,
    on_problem: Callable[[Problem], None] = lambda _: None,
    on_stage: Callable[[str], None] = lambda _: None,
    scratch: Path | None = None,
    cache: "CountCache | None" = None,
    block_bytes: int = PIECE_BYTES,
    rows_held: int | None = None,
) -> Answer:
    """Answer a question from files.

    Args:
        query: the question.
        files: what to read, each to count whole or not at all.
        on_read: called with the number of stored bytes of each read, from any thread, for progress.
        on_problem: called for each file that is left out, and why.
        on_stage: called with a line when all is read and there are so many talkers that ranking them takes a while.
        scratch: the folder for sums that are more than memory holds; None for the system's temporary one.
        cache: what was counted before, and is not read again; what is read is kept there.
        block_bytes: how much of a file is unpacked and counted at a time.
        rows_held: how many sums may be held in memory; None for what memory there is.

    Returns:
        The answer; its tally counts files read and left out.

    Raises:
        ToptalkersError: the sums fit neither memory nor disk.

    """
    keep_freed_memory()
    spill = Spill(scratch)
    try:
        rows_held = rows_held or default_rows_held()
        engine = LocalEngine(query, files, block_bytes, spill, rows_held, cache, on_read)
        engine.count()
        for problem in engine.problems:
            on_problem(problem)
        if engine.rows >= MANY_ROWS:
            on_stage("all is read; adding up and ranking the talkers")
        chunks, talkers = engine.ranked()
        return Answer(query, chunks, engine.tally, talkers)
    except MemoryError as error:
        spill.close()
        raise ToptalkersError(
            "there is not enough memory for the sums",
            hint="leave more memory free, or ask a cluster: toptalkers run-emr",
        ) from error
    except BaseException:
        spill.close()
        raise


class LocalEngine:
    """One question's counting; use it once.

    Attributes:
        tally: of all files, when they are counted.
        problems: files that were left out, and why, in the order of the files.

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
        """Take the question, the files, the bounds of memory, and what was counted before."""
        self.tally = Tally()
        self._query = query
        self._files = files
        self._block_bytes = block_bytes
        self._spill = spill
        self._rows_held = rows_held
        self._cache = cache
        self._on_read = on_read
        self._problems: dict[int, Problem] = {}
        self._counters: list[Counter] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def problems(self) -> list[Problem]:
        """See the class."""
        return [self._problems[number] for number in sorted(self._problems)]

    @property
    def rows(self) -> int:
        """How many sums there are to add up; at least as many when some are on the disk."""
        return sum(counter.rows for counter in self._counters) + self._rows_held * self._spill.is_used

    def count(self) -> None:
        """Count all files, each in one of as many threads as there are cores."""
        cores = os.cpu_count() or 1
        workers = min(cores, len(self._files)) or 1
        todo = itertools.count()
        self._counters = [Counter(self._query) for _ in range(workers)]
        for file in self._files[:FILES_AHEAD]:
            file.prefetch()
        failures: list[BaseException] = []

        def work(counter: Counter, ended: threading.Event) -> None:
            try:
                begin.wait()
                # A counter of itertools gives each number once, to whichever thread.
                while not self._stop.is_set() and (number := next(todo)) < len(self._files):
                    for following in self._files[number + FILES_AHEAD : number + FILES_AHEAD + 1]:
                        following.prefetch()
                    self._count_file(counter, number, unpack_beside=workers < cores)
            except BaseException as error:  # noqa: BLE001 - raised again by who waits for the threads
                failures.append(error)
                self._stop.set()
            finally:
                ended.set()

        begin = threading.Event()  # so that a thread whose start was interrupted touches no file
        ends: list[threading.Event] = []
        try:
            for counter in self._counters:
                ended = threading.Event()
                threading.Thread(target=work, args=[counter, ended], name="count", daemon=True).start()
                ends.append(ended)
            begin.set()
            for ended in ends:
                ended.wait()
        finally:
            self._stop.set()
            begin.set()
            # Not join(): interrupted once, it takes a thread for ended that still writes (bpo-45274, Python 3.11).
            for ended in ends:
                ended.wait()
        if failures:
            raise failures[0]

    def ranked(self) -> tuple[Iterator[bytes], int]:
        """The answer's lines, and how many talkers there are in all."""
        if self._spill.is_used:
            for counter in self._counters:
                self._spill.take(counter)
            self._counters.clear()
            return self._spill.ranked(self._query, self._rows_held)
        first, *others = self._counters
        for other in others:
            first.absorb(other)
        self._counters.clear()
        return first.ranked(self._query.top), first.talkers

    def _count_file(self, counter: Counter, number: int, *, unpack_beside: bool) -> None:
        """Count a file into a counter, unless its counts are known."""
        file = self._files[number]
        if self._cache is None:
            self._count_pieces(counter, number, unpack_beside=unpack_beside)
            return
        version = file.version()
        known = self._cache.load(file, version) if version else None
        if known is None:
            own = Counter(self._query)
            tally = self._count_pieces(own, number, unpack_beside=unpack_beside)
            if tally is not None and not own.has_spilled:
                self._cache.save(file, version, own.pack(), tally)
            counter.absorb(own)
        else:
            rows, tally = known
            counter.add_packed(rows)
            self._on_read(file.size_bytes)
            self._add_tally(tally)
        self._spill_what_is_too_much(counter)

    def _count_pieces(self, counter: Counter, number: int, *, unpack_beside: bool) -> Tally | None:
        """Read a file and count it; None when it is left out, as a whole."""
        file = self._files[number]
        pieces = read_pieces(file, self._block_bytes, self._on_read)
        if unpack_beside:
            pieces = _read_ahead(pieces)
        try:
            for piece in pieces:
                counter.feed(piece)
                self._spill_what_is_too_much(counter)
                if self._stop.is_set():
                    return None
        except UnreadableError as error:
            counter.end_lines()
            counter.end_file(counts=False)
            self._leave_out(number, str(error))
            return None
        tally = counter.end_lines()
        counter.end_file(counts=True)
        if tally.records_read and tally.malformed == tally.records_read:
            self._leave_out(number, f"no flow log: none of its {tally.records_read:,} lines is a record")
            return None
        tally += Tally(files_read=1)
        self._add_tally(tally)
        return tally

    def _spill_what_is_too_much(self, counter: Counter) -> None:
        if counter.rows >= max(1, self._rows_held // len(self._counters)):
            self._spill.take(counter)

    def _add_tally(self, tally: Tally) -> None:
        with self._lock:
            self.tally += tally

    def _leave_out(self, number: int, reason: str) -> None:
        self._add_tally(Tally(files_unreadable=1))
        self._problems[number] = Problem(self._files[number].name, reason)


def _read_ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Have a thread of its own unpack pieces before they are asked for: few files leave cores idle."""
    waiting: queue.Queue[bytes | BaseException | None] = queue.Queue(PIECES_AHEAD)
    stop = threading.Event()

    def put(piece: bytes | BaseException | None) -> None:
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
        except BaseException as error:  # noqa: BLE001 - raised again by who takes the pieces
            put(error)

    thread = threading.Thread(target=unpack, name="unpack", daemon=True)
    thread.start()
    try:
        while (piece := waiting.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        stop.set()
        thread.join()
