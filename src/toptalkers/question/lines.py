"""The lines of an answer: the key, and the sums.

The recipe's key is printed with colons, each sum after a tab: `192.0.2.1:198.51.100.7:443`, a tab, `12`. An IPv6
address is in brackets there, as in a URI (RFC 3986, section 3.2.2), so that a colon outside of brackets always
separates two parts. Any other key has its columns separated by tabs, and values as they were logged. Times, also the
sums `first` and `last`, are printed as `2026-11-23T18:00:00Z`.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from toptalkers.question.key import RECIPE_KEY, Kind, Value, columns_of
from toptalkers.question.times import TIME_PATTERN, parse_seconds

_BRACKETS = re.compile(rb"\[[^\]]*\]")
_PARTS = re.compile(rb"\[[^\]]*\]|[^:]+")
"""The parts of the recipe's key."""

TIME_METRICS = ("first", "last")
"""The metrics that are times: the earliest start and the latest end."""

_SUM = r"0|[1-9][0-9]{0,37}"


def _reader_with_none(kind: Kind) -> Callable[[bytes], Value]:
    """Return a function that reads a value of a kind, or `-`."""
    read = kind.read
    return lambda text: "-" if text == b"-" else read(text)


class Lines:
    """Prints, checks and reads the lines of an answer with a key and some metrics.

    Attributes:
        columns: the columns of the key.
        names: the names of the columns and of the metrics in CSV and JSON. A column with the name of a metric is
            called `by-bytes`.

    """

    def __init__(self, key: tuple[str, ...], metrics: Sequence[str]) -> None:
        self.columns = columns_of(key)
        names = [f"by-{one.name}" if one.name in metrics else one.name for one in self.columns]
        self.names = (*names, *metrics)
        self._is_recipe = key == RECIPE_KEY
        sums = [TIME_PATTERN if metric in TIME_METRICS else _SUM for metric in metrics]
        if self._is_recipe:
            texts = ":".join(f"(?:{column.kind.pattern})" for column in self.columns)
        else:
            texts = r"\t".join(f"(?:-|{column.kind.pattern})" for column in self.columns)
        text = texts + rf"\t({sums[0]})" + "".join(rf"\t(?:{one})" for one in sums[1:])
        self._line = re.compile(text.encode() + rb"\n?")
        readers = [column.kind.read if self._is_recipe else _reader_with_none(column.kind) for column in self.columns]
        values = [parse_seconds if metric in TIME_METRICS else int for metric in metrics]
        self._readers: list[Callable[[bytes], Any]] = [*readers, *values]
        self._first = values[0]

    def format(self, key: Sequence[Value], sums: Sequence[object]) -> bytes:
        """Return a line, with a line feed. A sum that is a time is given as it is printed."""
        if self._is_recipe:
            texts = [":".join(f"[{value}]" if ":" in str(value) else str(value) for value in key)]
        else:
            texts = [str(value) for value in key]
        return "\t".join([*texts, *map(str, sums)]).encode() + b"\n"

    def read(self, line: bytes) -> tuple[tuple[Value, ...], tuple[int, ...]]:
        """The key and the sums of a line, times in seconds since 1970; ValueError if it is no line of this answer."""
        if self._line.fullmatch(line) is None:
            raise _no_line(line)
        texts = line.rstrip(b"\n").split(b"\t")
        if self._is_recipe:
            talker = texts[0]
            texts[:1] = _PARTS.findall(talker) if b"[" in talker else talker.split(b":")
        values = [read(text) for read, text in zip(self._readers, texts, strict=True)]
        width = len(self.columns)
        return tuple(values[:width]), tuple(values[width:])

    def rank(self, line: bytes) -> int:
        """The first sum of a line, by which lines are ordered; ValueError if it is no line of this answer."""
        match = self._line.fullmatch(line)
        if match is None:
            raise _no_line(line)
        if not self._is_recipe:
            self.read(line)
        elif b"[" in line:  # everything else that the pattern matches is valid
            for text in _BRACKETS.findall(line):
                self._readers[0](text)
        return int(self._first(match[1]))


def _no_line(line: bytes) -> ValueError:
    return ValueError(f"not a line of the answer: {line[:100]!r}")


@lru_cache
def lines_of(key: tuple[str, ...], metrics: tuple[str, ...] = ("records",)) -> Lines:
    """The `Lines` of a key and some metrics."""
    return Lines(key, metrics)
