"""Answers by addresses become answers by names. The rules are those of `docs/names.md`.

Lines are read a piece at a time and split into columns, which are named and added up column by column: a million lines
take two seconds.
"""

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from operator import itemgetter

from toptalkers.answer.answer import LARGEST_TOTAL, Answer, NameColumns, TooLargeError
from toptalkers.answer.labels import Columns, Labels, Places, ServiceLabels, Words
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.machine.collector import without_collector
from toptalkers.machine.numbers import Numbers
from toptalkers.names.owners import Names, Window
from toptalkers.names.services import Services
from toptalkers.question.conversations import HOWS
from toptalkers.question.key import ADDRESS, BRACKETED_ADDRESS, MOST_COLUMNS, RECIPE_KEY, Value, parse_part
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.named import LOSSLESS_KEY, SERVICE, NamedPart, Side, address_question, needs_names, parse_named
from toptalkers.question.query import Query
from toptalkers.question.times import HOUR_SECONDS, parse_seconds

PIECE_BYTES = 1 << 22
"""So much of an answer is split into its columns at a time."""

LINES_PER_CHUNK = 10_000

_NAME = NamedPart("src", "name")
"""What is shown beside an address. The side does not matter."""

_SIDE_NAMES = {"srcaddr": "src_name", "dstaddr": "dst_name"}

_TALKER = re.compile(rb"\[([^\]]*)\]|([^:]+)")
"""The parts of the recipe's key, without brackets."""


def name_answer(answer: Answer, query: Query, names: Names, services: Services, *, top: int = 0) -> Answer:
    """Name the lines of an answer by addresses, and add up those with the same names.

    Reads the answer's chunks; memory grows with the rows by names, and with the addresses.

    Args:
        answer: all talkers of `address_question(query)`, or of another question whose key has the columns that `query`
            needs: then a row without an hour is of the answer's window.
        query: the question, with named parts.
        names: the names of addresses.
        services: the names of ports.
        top: how many rows are wanted, 0 for all.

    Returns:
        The answer to `query`: ranked as every answer, ties by the key's columns joined by tabs, as bytes. `talkers` is
        None if the given answer is itself cut.

    Raises:
        UsageError: the answer lacks a column that a part needs.
        TooLargeError: sums add up to more than 2^63 - 1.
        ToptalkersError: a line of the answer is wrong.

    """
    collapsed = Collapsed(answer, query, names, services)
    try:
        with without_collector():
            for piece in pieces(answer):
                collapsed.add(piece)
    except (ValueError, KeyError) as error:
        raise ToptalkersError(f"the answer has a wrong line: {error}") from error
    is_cut = bool(answer.top) and (answer.talkers is None or answer.talkers > answer.top)
    talkers = None if is_cut else len(collapsed)
    return replace(answer, query=query, chunks=collapsed.chunks(top), talkers=talkers, top=top, exported=None)


def with_names(answer: Answer, names: Names) -> Answer:
    """The answer with the name of each address beside it; the same answer if its key has no addresses.

    A row is of its hour, else of the answer's window.
    """
    columns = answer.query.lines.columns
    at = tuple(number for number, one in enumerate(columns) if one.kind in (ADDRESS, BRACKETED_ADDRESS))
    if not at:
        return answer
    places = Places(names, _words_of(answer.query), _window_of(answer))
    labels = Labels(names, [_NAME], places)

    def of_row(key: Sequence[Value]) -> list[str]:
        texts = [str(one).encode() for one in key]
        return [labels.text(one, texts).decode() for one in at]

    def appended(chunk: bytes) -> bytes:
        found = _split(chunk, answer.query)
        named = [labels.texts(one, found, places.numbers(found)) for one in at]
        return b"".join(b"\t".join(line) + b"\n" for line in zip(chunk.splitlines(), *named, strict=True))

    called = tuple(_SIDE_NAMES.get(columns[one].name, f"{columns[one].name}_name") for one in at)
    return replace(answer, beside=NameColumns(called, at, of_row, appended))


def question_to_count(query: Query, names: Names) -> Query:
    """The question by addresses that an engine is asked for a question with named parts; others stay as they are.

    Raises:
        UsageError: its key would have too many columns.

    """
    counted = address_question(query, interface=names.shares_addresses)
    if len(counted.lines.columns) > MOST_COLUMNS:
        raise UsageError(
            f"--by {','.join(query.by)}: by addresses it has {len(counted.lines.columns)} columns, and a key has at"
            f" most {MOST_COLUMNS}",
            hint="name fewer parts",
        )
    return counted


_Group = int | ServiceLabels | tuple[Labels, int]
"""A plain column; a service; or the labels of an address, and its column."""


class Collapsed:
    """The sums by names, of the lines that were added."""

    def __init__(self, answer: Answer, query: Query, names: Names, services: Services) -> None:
        self._query = query
        self._counted = answer.query
        words = _words_of(answer.query)
        self._circumstances = Places(names, words, _window_of(answer)) if needs_names(query.by) else None
        groups: dict[str, _Group] = {}
        """What the key is made of: the parts of a side, which are named together; the service; and plain columns."""
        self._places: list[tuple[int, int]] = []
        """The group of each column of the key, and its place within the group."""
        order: list[str] = []
        sides: dict[Side, list[NamedPart]] = {"src": [], "dst": []}
        for word in query.by:
            if part := parse_named(word):
                if part.side not in order:
                    order.append(part.side)
                self._places.append((order.index(part.side), len(sides[part.side])))
                sides[part.side].append(part)
                continue
            if word == SERVICE:
                groups[word] = ServiceLabels(services, *_service_columns(words, answer.query))
                self._places.append((len(order), 0))
                order.append(word)
                continue
            for column in _columns_of(words, word, answer.query, word):
                groups[f"{word} {column}"] = column
                self._places.append((len(order), 0))
                order.append(f"{word} {column}")
        labels: dict[tuple[tuple[str, str], ...], Labels] = {}
        """By their parts: two sides that are named by the same are asked for together."""
        for side, parts in sides.items():
            if parts and self._circumstances:
                [column] = _columns_of(words, f"{side}addr", answer.query, parts[0].word)
                same = tuple((part.by, part.tag) for part in parts)
                groups[side] = labels.setdefault(same, Labels(names, parts, self._circumstances)), column
        self._groups = [groups[one] for one in order]
        self._is_in_order = self._places == sorted(self._places)
        width, has = len(answer.query.lines.columns), answer.query.lines.sums
        if lacking := [one for one in query.lines.sums if one not in has]:
            raise UsageError(f"--metric {lacking[0]}: the answer has only {', '.join(has)}")
        self._sums = [_Sum(name, width + has.index(name)) for name in query.lines.sums]
        if query.pairs:
            self._sums.append(_Sum("how", width + len(has)))
        self._rows: Numbers[tuple[bytes, ...]] = Numbers()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, piece: bytes) -> None:
        """Add whole lines. ValueError or KeyError for a wrong one."""
        columns = _split(piece, self._counted)
        numbers = self._circumstances.numbers(columns) if self._circumstances else ()
        texts: list[Iterable[bytes]] = []
        for group in self._groups:
            if isinstance(group, int):
                texts.append(columns[group])
            elif isinstance(group, ServiceLabels):
                texts.append(group.texts(columns))
            else:
                labels, column = group
                texts.append(labels.texts(column, columns, numbers))
        rows = list(map(self._rows.__getitem__, zip(*texts, strict=True)))
        for one in self._sums:
            one.add(rows, columns[one.column], len(self._rows))

    def chunks(self, top: int) -> Iterator[bytes]:
        """The lines of the answer, the first `top` of them, 0 for all. TooLargeError if a sum is too large."""
        ranks = self._sums[self._query.rank_column - self._query.key_columns - 1].ranks()
        if any(one.is_too_large() for one in self._sums):
            raise TooLargeError
        ranked = zip(ranks, self._keys(), range(len(self._rows)), strict=True)
        ordered = heapq.nsmallest(top, ranked) if 0 < top < len(self._rows) // 4 else sorted(ranked)
        return self._printed(ordered[: top or None])

    def _keys(self) -> Iterator[bytes]:
        if self._is_in_order:
            yield from map(b"\t".join, self._rows)
            return
        for key in self._rows:
            parts = [group.split(b"\t") for group in key]
            yield b"\t".join([parts[group][place] for group, place in self._places])

    def _printed(self, ordered: Sequence[tuple[int, bytes, int]]) -> Iterator[bytes]:
        for start in range(0, len(ordered), LINES_PER_CHUNK):
            some = ordered[start : start + LINES_PER_CHUNK]
            sums = [one.printed(map(itemgetter(2), some)) for one in self._sums]
            yield b"".join(b"\t".join(line) + b"\n" for line in zip(map(itemgetter(1), some), *sums, strict=True))


class _Sum:
    """A column of sums, by the number of their rows."""

    def __init__(self, name: str, column: int) -> None:
        self.column = column
        self._name = name
        self._numbers: list[int] = []
        self._times: list[bytes] = []

    def add(self, rows: Sequence[int], values: Sequence[bytes], size: int) -> None:
        """Add the values of some lines, whose rows are given, to `size` rows in all."""
        if self._name in TIME_METRICS:
            self._add_times(rows, values, size)
            return
        numbers = self._numbers
        numbers.extend(repeat(0, size - len(numbers)))
        if self._name == "how":
            for row, number in zip(rows, map(_STRENGTH.__getitem__, values), strict=True):
                if number > numbers[row]:
                    numbers[row] = number
            return
        for row, number in zip(rows, map(int, values), strict=True):
            numbers[row] += number

    def _add_times(self, rows: Sequence[int], values: Sequence[bytes], size: int) -> None:
        """Keep the earliest or latest times. As they are printed, they sort like text."""
        times = self._times
        is_first = self._name == "first"
        times.extend(repeat(_LAST if is_first else _FIRST, size - len(times)))
        for row, time in zip(rows, values, strict=True):
            if (time < times[row]) if is_first else (time > times[row]):
                times[row] = time

    def is_too_large(self) -> bool:
        return max(self._numbers, default=0) > LARGEST_TOTAL

    def ranks(self) -> Iterator[int]:
        """The negative sums, which sort in the order of an answer."""
        numbers = map(parse_seconds, self._times) if self._name in TIME_METRICS else iter(self._numbers)
        return (-number for number in numbers)

    def printed(self, rows: Iterator[int]) -> Iterator[bytes]:
        """The sums of some rows, as a line has them."""
        if self._name in TIME_METRICS:
            return (self._times[row] for row in rows)
        if self._name == "how":
            return (HOWS[self._numbers[row]].encode() for row in rows)
        return (b"%d" % self._numbers[row] for row in rows)


_STRENGTH = {how.encode(): number for number, how in enumerate(HOWS)}
_FIRST, _LAST = b"", b"\x7f"
"""Before and after every printed time."""


def _window_of(answer: Answer) -> Window | None:
    """The whole hours that a question asks for, so that all engines agree; else those that were found, if they are.

    None if they are not known.
    """
    since, until = answer.query.since, answer.query.until
    if since is None or until is None:
        return answer.quality.window
    start, end = int(since.timestamp()), int(until.timestamp())
    return start // HOUR_SECONDS * HOUR_SECONDS, -(-end // HOUR_SECONDS) * HOUR_SECONDS


def _words_of(query: Query) -> Words:
    """The columns of a question's key, by the words of its parts; `srcaddr` is the client of a pair."""
    if query.pairs and query.by == RECIPE_KEY:
        return {"srcaddr": (0,), "dstaddr": (1,), "service-port": (2,), "protocol": (3,)}
    words, width = {}, 0
    for word in query.by:
        size = len(parse_part(word).columns)
        words[word] = tuple(range(width, width + size))
        width += size
    return words


def _columns_of(words: Words, word: str, counted: Query, asked: str) -> tuple[int, ...]:
    """The columns of a part; UsageError if there are none, for the part that was asked for."""
    if word in words:
        return words[word]
    has = "client, server, port, protocol" if counted.pairs else ", ".join(counted.by)
    what = "it" if word == asked else word
    raise UsageError(
        f"--by {asked}: the answer lacks {what}; it has {has}",
        hint=f"ask with --by {','.join(LOSSLESS_KEY)}, which can be named in every way",
    )


def _service_columns(words: Words, counted: Query) -> tuple[int, int | None]:
    """The columns of the service's port and protocol; without `service-port` the destination's port is taken."""
    word = next((one for one in ("service-port", "dstport") if one in words), "service-port")
    [port] = _columns_of(words, word, counted, SERVICE)
    return port, words["protocol"][0] if "protocol" in words else None


def pieces(answer: Answer) -> Iterator[bytes]:
    """The chunks of an answer, large ones in pieces of whole lines."""
    for chunk in answer.chunks:
        start = 0
        while len(chunk) - start > PIECE_BYTES and (end := chunk.find(b"\n", start + PIECE_BYTES) + 1):
            yield chunk[start:end]
            start = end
        yield chunk[start:]


def _split(piece: bytes, query: Query) -> Columns:
    """The columns of whole lines of an answer. ValueError if a line has too few or too many."""
    width = len(query.lines.columns) + len(query.lines.sums) + query.pairs
    if query.is_recipe:
        if b"[" in piece or not set(TIME_METRICS).isdisjoint(query.metric):
            rows = [_split_talker(line) for line in piece.splitlines()]
            if any(len(row) != width for row in rows):
                raise ValueError("it has too few or too many columns")
            return list(zip(*rows, strict=True)) or [()] * width
        piece = piece.replace(b":", b"\t")
    values = piece.replace(b"\n", b"\t").split(b"\t")
    if values.pop() or len(values) != width * piece.count(b"\n"):
        raise ValueError("it has too few or too many columns")
    return [values[column::width] for column in range(width)]


def _split_talker(line: bytes) -> list[bytes]:
    talker, *sums = line.split(b"\t")
    return [bracketed or plain for bracketed, plain in _TALKER.findall(talker)] + sums
