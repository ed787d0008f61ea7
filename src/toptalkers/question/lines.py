"""The lines of an answer: the key, and the sums.

The recipe's key is printed with colons, each sum after a tab: `192.0.2.1:198.51.100.7:443`, a tab, `12`. An IPv6
address is in brackets there, as in a URI (RFC 3986, section 3.2.2), so that a colon outside of brackets always
separates two parts. Any other key has its columns separated by tabs, and values as they were logged. Times, also the
sums `first` and `last`, are printed as `2026-11-23T18:00:00Z`.

A line of `--pairs` has the columns `PAIR_COLUMNS` and `PAIR_SUMS`, and `how` at its end, separated by tabs.
"""

import re
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

from toptalkers.question.conversations import HOWS, PAIR_COLUMNS, PAIR_SUMS
from toptalkers.question.key import ADDRESS, PORT, PROTOCOL, RECIPE_KEY, Column, Kind, Value, columns_of
from toptalkers.question.times import TIME_PATTERN, parse_seconds

_BRACKETS = re.compile(rb"\[[^\]]*\]")
_PARTS = re.compile(rb"\[[^\]]*\]|[^:]+")
"""The parts of the recipe's key."""

TIME_METRICS = ("first", "last")
"""The metrics that are times: the earliest start and the latest end."""

_SUM = r"0|[1-9][0-9]{0,37}"

_PAIR = tuple(
    Column(name, title, kind)
    for name, title, kind in zip(
        PAIR_COLUMNS,
        ("client", "server", "port", "proto"),  # short titles, for a table of 100 columns
        (ADDRESS, ADDRESS, PORT, PROTOCOL),
        strict=True,
    )
)


def _reader_with_none(kind: Kind) -> Callable[[bytes], Value]:
    """Return a function that reads a value of a kind, or `-`."""
    read = kind.read
    return lambda text: "-" if text == b"-" else read(text)


class Lines:
    """Prints, checks and reads the lines of an answer with a key and some metrics.

    Attributes:
        columns: the columns of the key.
        sums: the names of the sums: the metrics; with `pairs`, `PAIR_SUMS`, of which the metric ranks.
        names: the names of all columns in CSV and JSON. A column of the key with the name of a metric is called
            `by-bytes`.

    """

    def __init__(self, key: tuple[str, ...], metrics: Sequence[str], *, pairs: bool = False) -> None:
        self.columns = _PAIR if pairs and key == RECIPE_KEY else columns_of(key)
        self.sums = PAIR_SUMS if pairs else tuple(metrics)
        names = [f"by-{one.name}" if one.name in self.sums else one.name for one in self.columns]
        self.names = (*names, *self.sums, *(["how"] if pairs else []))
        self._is_recipe = key == RECIPE_KEY and not pairs
        self._has_how = pairs
        if self._is_recipe:
            texts = ":".join(f"(?:{column.kind.pattern})" for column in self.columns)
        else:
            texts = r"\t".join(f"(?:-|{column.kind.pattern})" for column in self.columns)
        sums = [rf"\t(?:{TIME_PATTERN if metric in TIME_METRICS else _SUM})" for metric in self.sums]
        at = self.sums.index(metrics[0])
        after = rf"\t(?:{'|'.join(map(re.escape, HOWS))})" if pairs else ""
        self._text = "".join([texts, *sums, after]).encode()
        sums[at] = sums[at].replace("(?:", "(", 1)
        self._line = re.compile("".join([texts, *sums, after]).encode() + rb"\n?")
        readers = [column.kind.read if self._is_recipe else _reader_with_none(column.kind) for column in self.columns]
        values = [parse_seconds if metric in TIME_METRICS else int for metric in self.sums]
        self._readers: list[Callable[[bytes], Any]] = [*readers, *values]
        self._rank = values[at]

    def format(self, key: Sequence[Value], sums: Sequence[object]) -> bytes:
        """Return a line, with a line feed. A sum that is a time is given as it is printed; `how` is the last sum."""
        if self._is_recipe:
            texts = [":".join(f"[{value}]" if ":" in str(value) else str(value) for value in key)]
        else:
            texts = [str(value) for value in key]
        return "\t".join([*texts, *map(str, sums)]).encode() + b"\n"

    def read(self, line: bytes) -> tuple[tuple[Value, ...], tuple[int, ...]]:
        """The key and the sums of a line, times in seconds since 1970; ValueError if it is no line of this answer.

        `how` has what is left.
        """
        if self._line.fullmatch(line) is None:
            raise _no_line(line)
        texts = line.rstrip(b"\n").split(b"\t")
        if self._has_how:
            texts.pop()
        if self._is_recipe:
            talker = texts[0]
            texts[:1] = _PARTS.findall(talker) if b"[" in talker else talker.split(b":")
        values = [read(text) for read, text in zip(self._readers, texts, strict=True)]
        width = len(self.columns)
        return tuple(values[:width]), tuple(values[width:])

    def check(self, lines: bytes) -> None:
        """Check many whole lines quickly; ValueError for one that has not the form of a line of this answer.

        Unlike `read` it lets pass addresses and times that only look like some.
        """
        if self._lines.fullmatch(lines) is None:
            raise _no_line(next(line for line in lines.split(b"\n") if self._line.fullmatch(line) is None))

    @cached_property
    def _lines(self) -> re.Pattern[bytes]:
        """Any number of lines, which are matched in half the time that they take one by one."""
        return re.compile(rb"(?:" + self._text + rb"\n)*")

    def how(self, line: bytes) -> str:
        """Which rule found the server of a line that `read` has read; empty if lines do not say."""
        return line.rstrip(b"\n").rpartition(b"\t")[2].decode() if self._has_how else ""

    def rank(self, line: bytes) -> int:
        """The sum of a line by which lines are ordered; ValueError if it is no line of this answer."""
        match = self._line.fullmatch(line)
        if match is None:
            raise _no_line(line)
        if not self._is_recipe:
            self.read(line)
        elif b"[" in line:  # everything else that the pattern matches is valid
            for text in _BRACKETS.findall(line):
                self._readers[0](text)
        return int(self._rank(match[1]))


def _no_line(line: bytes) -> ValueError:
    return ValueError(f"not a line of the answer: {line[:100]!r}")


@lru_cache
def lines_of(key: tuple[str, ...], metrics: tuple[str, ...] = ("records",), *, pairs: bool = False) -> Lines:
    """The `Lines` of a key and some metrics; with `pairs`, those of pairs, ranked by the first metric."""
    return Lines(key, metrics, pairs=pairs)
