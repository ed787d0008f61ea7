"""Bytes that come in pieces, with lookahead; and the error for bytes that cannot be read."""

from collections import deque
from collections.abc import Iterator
from typing import Protocol


class UnreadableError(Exception):
    """A file cannot be read to its end; the text says why, in one line."""


class Seekable(Protocol):
    """A file that can be read at any place."""

    def read(self, size: int = ..., /) -> bytes:
        """Read from the place on."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Go to a place."""

    def tell(self) -> int:
        """The place."""


class Source:
    """The bytes of a file, or of a part of one, in pieces cut at any byte. Iterate over it once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        """Take the pieces; none of them may be empty."""
        self._pieces = pieces
        self._ahead: deque[bytes] = deque()
        self.is_whole = False

    def peek(self, size: int) -> bytes:
        """Return the first bytes, at least `size` unless there are fewer; the iteration still gives them.

        Afterwards `is_whole` says whether these are all the bytes.
        """
        have = sum(map(len, self._ahead))
        while have < size and not self.is_whole:
            piece = next(self._pieces, None)
            if piece is None:
                self.is_whole = True
            else:
                self._ahead.append(piece)
                have += len(piece)
        return self._ahead[0] if len(self._ahead) == 1 else b"".join(self._ahead)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all pieces."""
        while self._ahead:
            yield self._ahead.popleft()
        yield from self._pieces


class Reader:
    """Reads pieces like a file, forwards, an exact number of bytes at a time."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        """Take the pieces."""
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer than `size` only at the end."""
        taken = []
        while size > 0:
            self._rest = self._rest or memoryview(next(self._pieces, b""))
            if not self._rest:
                break
            taken.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(taken[-1])
        return b"".join(taken)
