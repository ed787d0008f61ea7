"""Sums by talker that may not fit into memory.

When a counter holds too many sums, they are moved to a temporary file, divided into parts by a hash of the talker, so
that all sums of one talker are in the same part. At the end, as many parts at a time as memory holds are added up and
ranked, and the rankings are written to the same file. They are merged while the answer is printed.

The file has no name, so it disappears with the process, however that ends.
"""

import errno
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from toptalkers.errors import ToptalkersError
from toptalkers.kernel.counter import PARTS, ROW_BYTES, Counter, SpilledSums, merge_rankings
from toptalkers.machine.memory import available_bytes
from toptalkers.question.query import Query

LEAST_ROWS_HELD = 500_000


def default_rows_held() -> int:
    """How many talkers take half of the available memory."""
    return max(LEAST_ROWS_HELD, available_bytes() // 2 // ROW_BYTES)


class Spill:
    """A file for sums in a folder, or in `TMPDIR`, created when first needed. Any number of threads may use it."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._sums: SpilledSums | None = None
        self._lock = threading.Lock()

    @property
    def is_used(self) -> bool:
        """Whether any sums are on the disk."""
        return self._sums is not None

    def take(self, counter: Counter) -> None:
        """Move a counter's sums to the disk; ToptalkersError if it is full, or cannot be written."""
        try:
            with self._lock:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - see close()
                    self._sums = SpilledSums(self._file.fileno())
            assert self._sums is not None  # noqa: S101 - made with the file
            self._sums.take(counter)
        except OSError as error:
            raise self._no_room(error) from error

    def ranked(self, query: Query, top: int, rows_held: int) -> tuple[Iterator[bytes], int]:
        """The first `top` lines of the answer (0 for all) from the sums on the disk, and the number of talkers.

        Raises:
            ToptalkersError: the disk has no room for the rankings, or a single part does not fit into memory.

        """
        if self._file is None or self._sums is None:
            raise ValueError("nothing was written")
        fd = self._file.fileno()
        end = self._sums.bytes_
        talkers = 0
        rankings: list[tuple[int, int]] = []
        counter = Counter(query)
        for parts in self._groups_of_parts(self._sums, rows_held):
            for part in parts:
                self._sums.fetch(part, counter)
            if counter.rows > max(2 * rows_held, LEAST_ROWS_HELD):
                raise ToptalkersError(
                    f"more talkers than this machine can rank: of {PARTS} parts of them one alone has {counter.rows:,}",
                    hint="leave more memory free, or ask a cluster: toptalkers run-emr",
                )
            talkers += counter.talkers
            start = end
            try:
                for lines in counter.ranked(top):
                    end += _write_at(fd, lines, end)
            except OSError as error:
                raise self._no_room(error) from error
            rankings.append((start, end))
            counter.clear()
        del counter
        return self._merged(fd, rankings, top, query.key_columns), talkers

    def close(self) -> None:
        """Free the disk."""
        self._sums = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _merged(self, fd: int, rankings: list[tuple[int, int]], top: int, columns: int) -> Iterator[bytes]:
        try:
            if rankings:  # none if all files that were spilled were left out
                yield from merge_rankings(fd, rankings, top, columns)
        finally:
            self.close()

    def _groups_of_parts(self, sums: SpilledSums, rows_held: int) -> Iterator[list[int]]:
        """Neighbouring parts that fit into memory together."""
        group: list[int] = []
        group_rows = 0
        for part in range(PARTS):
            rows = sums.rows_of_part(part)
            if group and group_rows + rows > rows_held:
                yield group
                group, group_rows = [], 0
            if rows:
                group.append(part)
                group_rows += rows
        if group:
            yield group

    def _no_room(self, error: OSError) -> ToptalkersError:
        folder = self._folder or tempfile.gettempdir()
        so_far = self._sums.bytes_ / 1e9 if self._sums else 0.0
        return ToptalkersError(
            f"more talkers than fit into memory, and {folder} cannot hold their sums"
            f" ({so_far:.1f} GB so far): {error.strerror or error}",
            hint="point TMPDIR, or --output, to a larger disk, or ask a cluster: toptalkers run-emr",
        )


def _write_at(fd: int, lines: bytes, offset: int) -> int:
    rest = memoryview(lines)
    while rest:
        written = os.pwrite(fd, rest, offset)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        offset += written
        rest = rest[written:]
    return len(lines)
