"""Answers by addresses become answers by names. The rules are those of `docs/names.md`.

Lines are read a piece at a time and split into columns of numbers (`columns.py`), which are named and added up.
"""

import heapq
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import getitem, itemgetter, neg

from toptalkers.answer.answer import LARGEST_TOTAL, Answer, NameColumns, TooLargeError
from toptalkers.answer.columns import Column, Rows, Texts, add, keep_largest, split
from toptalkers.answer.labels import Columns, Labels, Places, ServiceLabels, Words
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.machine.collector import without_collector
from toptalkers.names.owners import Names, Window
from toptalkers.names.services import Services
from toptalkers.question.conversations import HOWS
from toptalkers.question.key import ADDRESS, BRACKETED_ADDRESS, MOST_COLUMNS, RECIPE_KEY, Value, parse_part
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.named import LOSSLESS_KEY, SERVICE, NamedPart, Side, address_question, needs_names, parse_named
from toptalkers.question.query import Query
from toptalkers.question.times import HOUR_SECONDS, format_seconds, parse_seconds

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
    texts = {**places.texts, **dict.fromkeys(at, labels.addresses)}

    def of_row(key: Sequence[Value]) -> list[str]:
        texts = [str(one).encode() for one in key]
        return [labels.text(one, texts).decode() for one in at]

    def appended(chunk: bytes) -> bytes:
        found = split(_with_tabs(chunk, answer.query), _width(answer.query), texts, ())
        places.learn()
        named = [[labels.texts[labels.of[case]] for case in labels.cases(one, found)] for one in at]
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


class _Plain:
    """A plain column of the key."""

    of: "Column | None" = None

    def __init__(self, column: int, texts: Texts) -> None:
        self._column, self.texts = column, texts.texts

    def cases(self, columns: Columns) -> Column:
        """The numbers of the texts of some lines."""
        return columns[self._column]


class _Side:
    """The parts of the key that name one side, which are named together."""

    def __init__(self, labels: Labels, column: int) -> None:
        self._labels, self._column = labels, column
        self.of, self.texts = labels.of, labels.texts

    def cases(self, columns: Columns) -> Column:
        """The cases of the addresses of some lines."""
        return self._labels.cases(self._column, columns)


class Collapsed:
    """The sums by names, of the lines that were added."""

    def __init__(self, answer: Answer, query: Query, names: Names, services: Services) -> None:
        self._query = query
        self._counted = answer.query
        words = _words_of(answer.query)
        self._circumstances = Places(names, words, _window_of(answer)) if needs_names(query.by) else None
        self._texts: dict[int, Texts] = dict(self._circumstances.texts) if self._circumstances else {}
        """What numbers the texts of a column of the answer."""
        groups: dict[str, _Plain | _Side | ServiceLabels] = {}
        """What the key is made of: the parts of a side, which are named together; the service; and plain columns."""
        self._places: list[tuple[int, int]] = []
        """The group of each column of the key, and its place within the group."""
        order: list[str] = []
        plain: dict[str, int] = {}
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
                groups[word] = ServiceLabels(
                    services,
                    (port, self._texts_of(port)),
                    None if protocol is None else (protocol, self._texts_of(protocol)),
                )
                self._places.append((len(order), 0))
                order.append(word)
                continue
            for column in _columns_of(words, word, answer.query, word):
                plain[f"{word} {column}"] = column
                self._places.append((len(order), 0))
                order.append(f"{word} {column}")
        labels: dict[tuple[tuple[str, str], ...], Labels] = {}
        """By their parts: two sides that are named by the same are asked for together."""
        for side, parts in sides.items():
            if parts and self._circumstances:
                [column] = _columns_of(words, f"{side}addr", answer.query, parts[0].word)
                same = tuple((part.by, part.tag) for part in parts)
                named = labels.setdefault(same, Labels(names, parts, self._circumstances))
                self._texts[column] = named.addresses
                groups[side] = _Side(named, column)
        for name, column in plain.items():
            groups[name] = _Plain(column, self._texts_of(column))
        self._groups = [groups[one] for one in order]
        self._is_in_order = self._places == sorted(self._places)
        width, has = len(answer.query.lines.columns), answer.query.lines.sums
        if lacking := [one for one in query.lines.sums if one not in has]:
            raise UsageError(f"--metric {lacking[0]}: the answer has only {', '.join(has)}")
        self._sums: list[_Added | _Largest] = []
        for name in query.lines.sums:
            column = width + has.index(name)
            self._sums.append(
                _Largest(name, column, self._texts_of(column)) if name in TIME_METRICS else _Added(column)
            )
        if query.pairs:
            self._sums.append(_Largest("how", width + len(has), self._texts_of(width + len(has))))
        self._rows = Rows(len(self._groups))
        self._keys: list[tuple[int, ...]] = []
        """The rows, by their numbers: the numbers of labels, or of texts, in each group."""

    def __len__(self) -> int:
        return len(self._rows)

    def _texts_of(self, column: int) -> Texts:
        return self._texts.setdefault(column, Texts())

    def add(self, piece: bytes) -> None:
        """Add whole lines. ValueError or KeyError for a wrong one."""
        added = [one.column for one in self._sums if isinstance(one, _Added)]
        columns = split(_with_tabs(piece, self._counted), _width(self._counted), self._texts, added)
        if self._circumstances:
            self._circumstances.learn()
        rows = self._rows.number([one.cases(columns) for one in self._groups], [one.of for one in self._groups])
        self._keys += self._rows.new()
        for one in self._sums:
            one.add(rows, columns[one.column], len(self._rows))

    def chunks(self, top: int) -> Iterator[bytes]:
        """The lines of the answer, the first `top` of them, 0 for all. TooLargeError if a sum is too large."""
        ranks = self._sums[self._query.rank_column - self._query.key_columns - 1].ranks()
        if any(one.is_too_large() for one in self._sums):
            raise TooLargeError
        ranked = zip(ranks, self._printed_keys(), range(len(self._rows)), strict=True)
        ordered = heapq.nsmallest(top, ranked) if 0 < top < len(self._rows) // 4 else sorted(ranked)
        return self._printed(ordered[: top or None])

    def _printed_keys(self) -> Iterator[bytes]:
        texts = [one.texts for one in self._groups]
        for key in self._keys:
            groups = list(map(getitem, texts, key))
            if not self._is_in_order:
                parts = [group.split(b"\t") for group in groups]
                groups = [parts[group][place] for group, place in self._places]
            yield b"\t".join(groups)

    def _printed(self, ordered: Sequence[tuple[int, bytes, int]]) -> Iterator[bytes]:
        for start in range(0, len(ordered), LINES_PER_CHUNK):
            some = ordered[start : start + LINES_PER_CHUNK]
            sums = [one.printed(map(itemgetter(2), some)) for one in self._sums]
            yield b"".join(b"\t".join(line) + b"\n" for line in zip(map(itemgetter(1), some), *sums, strict=True))


class _Added:
    """A sum of values, by the number of its row."""

    def __init__(self, column: int) -> None:
        self.column = column
        self._sums = array("Q")

    def add(self, rows: Column, values: Column, size: int) -> None:
        """Add the values of some lines, whose rows are given, to `size` rows in all."""
        _grow(self._sums, size)
        add(self._sums, rows, values)

    def is_too_large(self) -> bool:
        return max(self._sums, default=0) > LARGEST_TOTAL

    def ranks(self) -> Iterator[int]:
        """The negative sums, which sort in the order of an answer."""
        return map(neg, self._sums)

    def printed(self, rows: Iterator[int]) -> Iterator[bytes]:
        """The sums of some rows, as a line has them."""
        return (b"%d" % self._sums[row] for row in rows)


class _Largest:
    """The latest or earliest time, or the weakest `how`, by the number of its row."""

    def __init__(self, name: str, column: int, texts: Texts) -> None:
        self.column = column
        self._name = name
        self._texts = texts.texts
        self._values = array("Q")
        """What is kept for each text: the larger wins, and 0 is less than all."""
        self._kept = array("Q")

    def add(self, rows: Column, texts: Column, size: int) -> None:
        """Keep the largest of some lines, whose rows and texts are given, for `size` rows in all."""
        self._values.extend(map(self._value, self._texts[len(self._values) :]))
        _grow(self._kept, size)
        keep_largest(self._kept, rows, texts, self._values)

    def is_too_large(self) -> bool:
        return False

    def ranks(self) -> Iterator[int]:
        """The negative times, which sort in the order of an answer."""
        return (-self._seconds(value) for value in self._kept)

    def printed(self, rows: Iterator[int]) -> Iterator[bytes]:
        """What was kept for some rows, as a line has it."""
        if self._name == "how":
            return (HOWS[self._kept[row]].encode() for row in rows)
        return (format_seconds(self._seconds(self._kept[row])).encode() for row in rows)

    def _value(self, text: bytes) -> int:
        if self._name == "how":
            return _STRENGTH[text]
        return _MIDDLE + parse_seconds(text) * (-1 if self._name == "first" else 1)

    def _seconds(self, value: int) -> int:
        return (value - _MIDDLE) * (-1 if self._name == "first" else 1)


def _grow(sums: Column, size: int) -> None:
    sums.extend(array("Q", [0]) * (size - len(sums)))


_STRENGTH = {how.encode(): number for number, how in enumerate(HOWS)}

_MIDDLE = 1 << 62
"""More than all seconds of times, so that a time that is kept is above 0."""


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


def _width(query: Query) -> int:
    """How many columns a line has, with those of the recipe's key apart."""
    return len(query.lines.columns) + len(query.lines.sums) + query.pairs


def _with_tabs(piece: bytes, query: Query) -> bytes:
    """Whole lines, with tabs between all columns."""
    if not query.is_recipe:
        return piece
    if b"[" not in piece and set(TIME_METRICS).isdisjoint(query.metric):
        return piece.replace(b":", b"\t")
    return b"".join(b"\t".join(_split_talker(line)) + b"\n" for line in piece.splitlines())


def _split_talker(line: bytes) -> list[bytes]:
    talker, *sums = line.split(b"\t")
    return [bracketed or plain for bracketed, plain in _TALKER.findall(talker)] + sums
