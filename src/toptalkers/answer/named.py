"""Answers by addresses become answers by names. The rules are those of `docs/names.md`.

Lines are read a piece at a time and split into columns, which are named and added up column by column: a million lines
take two seconds.
"""

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from operator import itemgetter

from toptalkers.answer.answer import LARGEST_TOTAL, Answer, NameColumns, TooLargeError
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.names.owners import Names, Window
from toptalkers.names.services import Services
from toptalkers.question.conversations import HOWS
from toptalkers.question.key import ADDRESS, BRACKETED_ADDRESS, MOST_COLUMNS, RECIPE_KEY, Value, parse_part
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.named import LOSSLESS_KEY, SERVICE, NamedPart, Side, address_question, parse_named
from toptalkers.question.query import Query
from toptalkers.question.times import parse_seconds

HOUR_SECONDS = 3600

PIECE_BYTES = 1 << 22
"""So much of an answer is split into its columns at a time."""

LINES_PER_CHUNK = 10_000

_NAME = NamedPart("src", "name")
"""What is shown beside an address. The side does not matter."""

_SIDE_NAMES = {"srcaddr": "src_name", "dstaddr": "dst_name"}

_TALKER = re.compile(rb"\[([^\]]*)\]|([^:]+)")
"""The parts of the recipe's key, without brackets."""

_Columns = Sequence[Sequence[bytes]]
"""The values of some lines, column by column."""

_Words = Mapping[str, tuple[int, ...]]
"""The columns of an answer, from 0, by the word of their part."""


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
    words = _words_of(answer.query)
    labels = [_Labels(names, [_NAME], words, one, _window_of(answer)) for one in at]

    def of_row(key: Sequence[Value]) -> list[str]:
        texts = [str(one).encode() for one in key]
        return [one[tuple(texts[column] for column in one.columns)].decode() for one in labels]

    def appended(chunk: bytes) -> bytes:
        found = _split(chunk, answer.query)
        lines = zip(chunk.splitlines(), *(one.texts(found) for one in labels), strict=True)
        return b"".join(b"\t".join(line) + b"\n" for line in lines)

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


class Collapsed:
    """The sums by names, of the lines that were added."""

    def __init__(self, answer: Answer, query: Query, names: Names, services: Services) -> None:
        self._query = query
        self._counted = answer.query
        words, window = _words_of(answer.query), _window_of(answer)
        groups: dict[str, _Labels | _ServiceLabels | int] = {}
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
                port, protocol = _service_columns(words, answer.query)
                groups[word] = _ServiceLabels(services, port, protocol)
                self._places.append((len(order), 0))
                order.append(word)
                continue
            for column in _columns_of(words, word, answer.query, word):
                groups[f"{word} {column}"] = column
                self._places.append((len(order), 0))
                order.append(f"{word} {column}")
        for side, parts in sides.items():
            if parts:
                [column] = _columns_of(words, f"{side}addr", answer.query, parts[0].word)
                groups[side] = _Labels(names, parts, words, column, window)
        self._groups = [groups[one] for one in order]
        self._is_in_order = self._places == sorted(self._places)
        width, has = len(answer.query.lines.columns), answer.query.lines.sums
        if lacking := [one for one in query.lines.sums if one not in has]:
            raise UsageError(f"--metric {lacking[0]}: the answer has only {', '.join(has)}")
        self._sums = [_Sum(name, width + has.index(name)) for name in query.lines.sums]
        if query.pairs:
            self._sums.append(_Sum("how", width + len(has)))
        self._rows = _Numbers()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, piece: bytes) -> None:
        """Add whole lines. ValueError or KeyError for a wrong one."""
        columns = _split(piece, self._counted)
        texts = [columns[one] if isinstance(one, int) else one.texts(columns) for one in self._groups]
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


class _Numbers(dict[tuple[bytes, ...], int]):
    """Numbers its keys, as they come, from 0."""

    def __missing__(self, key: tuple[bytes, ...]) -> int:
        self[key] = number = len(self)
        return number


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


class _Labels(dict[tuple[bytes, ...], bytes]):
    """The labels of one column of addresses, joined by tabs, by the values of `columns`: they are asked for once."""

    def __init__(
        self, names: Names, parts: Sequence[NamedPart], words: _Words, column: int, window: Window | None
    ) -> None:
        super().__init__()
        self._names = names
        self._parts = parts
        self._window = window
        self._hour = next((words[word] for word in ("hour", "minute") if word in words), ())
        self._interface = words.get("interface-id", ())
        self.columns = (column, *self._hour, *self._interface)

    def texts(self, columns: _Columns) -> Iterator[bytes]:
        return map(self.__getitem__, zip(*(columns[one] for one in self.columns), strict=True))

    def __missing__(self, key: tuple[bytes, ...]) -> bytes:
        window = self._window
        if self._hour and key[1] != b"-":
            start = parse_seconds(key[1]) // HOUR_SECONDS * HOUR_SECONDS
            window = (start, start + HOUR_SECONDS)
        address = key[0].decode()
        interface_id = key[-1].decode() if self._interface else ""
        labels = [self._names.label(part, address, window, interface_id) for part in self._parts]
        self[key] = text = "\t".join(labels).encode(errors="replace")
        return text


class _ServiceLabels(dict[tuple[bytes, ...], bytes]):
    """The labels of a port and a protocol, if that is known, by the values of `columns`."""

    def __init__(self, services: Services, port: int, protocol: int | None) -> None:
        super().__init__()
        self._services = services
        self.columns = (port,) if protocol is None else (port, protocol)

    def texts(self, columns: _Columns) -> Iterator[bytes]:
        return map(self.__getitem__, zip(*(columns[one] for one in self.columns), strict=True))

    def __missing__(self, key: tuple[bytes, ...]) -> bytes:
        protocol = key[1].decode() if len(key) > 1 else None
        self[key] = text = self._services.label(key[0].decode(), protocol).encode(errors="replace")
        return text


def _window_of(answer: Answer) -> Window | None:
    """The whole hours that a question asks for, so that all engines agree; else those that were found, if they are.

    None if they are not known.
    """
    since, until = answer.query.since, answer.query.until
    if since is None or until is None:
        return answer.quality.window
    start, end = int(since.timestamp()), int(until.timestamp())
    return start // HOUR_SECONDS * HOUR_SECONDS, -(-end // HOUR_SECONDS) * HOUR_SECONDS


def _words_of(query: Query) -> _Words:
    """The columns of a question's key, by the words of its parts; `srcaddr` is the client of a pair."""
    if query.pairs and query.by == RECIPE_KEY:
        return {"srcaddr": (0,), "dstaddr": (1,), "service-port": (2,), "protocol": (3,)}
    words, width = {}, 0
    for word in query.by:
        size = len(parse_part(word).columns)
        words[word] = tuple(range(width, width + size))
        width += size
    return words


def _columns_of(words: _Words, word: str, counted: Query, asked: str) -> tuple[int, ...]:
    """The columns of a part; UsageError if there are none, for the part that was asked for."""
    if word in words:
        return words[word]
    has = "client, server, port, protocol" if counted.pairs else ", ".join(counted.by)
    what = "it" if word == asked else word
    raise UsageError(
        f"--by {asked}: the answer lacks {what}; it has {has}",
        hint=f"ask with --by {','.join(LOSSLESS_KEY)}, which can be named in every way",
    )


def _service_columns(words: _Words, counted: Query) -> tuple[int, int | None]:
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


def _split(piece: bytes, query: Query) -> _Columns:
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
