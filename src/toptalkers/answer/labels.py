"""The labels of many addresses, column by column. Each is asked for once as long as nothing can change it.

A label depends on the epoch of the row's hour (which snapshots were taken before, in and after it), on whether the
interfaces of the address were attached by then, and on the VPC of the interface that logged the row. So an address has
few labels in millions of rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from operator import add, getitem
from typing import Generic, TypeVar

from toptalkers.names.owners import Called, Names, Window
from toptalkers.names.services import Services
from toptalkers.question.named import NamedPart
from toptalkers.question.times import HOUR_SECONDS, parse_seconds

Columns = Sequence[Sequence[bytes]]
"""The values of some lines, column by column."""

Words = Mapping[str, tuple[int, ...]]
"""The columns of an answer, from 0, by the word of their part."""

_Values = tuple[bytes, ...]
"""The values of a row in some columns."""

_Circumstances = tuple[Window | None, str]
"""The window of a row, and the interface that logged it."""

_MOST_LOGGERS = 1 << 32
"""More than there are VPCs: the number of a place is that of its time times this, and that of its VPC."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(dict[Key, Value], Generic[Key, Value]):
    """What a function returned. It is asked once for each key."""

    def __init__(self, ask: Callable[[Key], Value]) -> None:
        """Remember the function."""
        super().__init__()
        self._ask = ask

    def __missing__(self, key: Key) -> Value:
        """Ask."""
        self[key] = found = self._ask(key)
        return found


class Places:
    """Tells rows apart whose addresses may have other owners: by their hour, and by the interface that logged them.

    Rows are of one *place*, a number, if nothing can change an owner between them, but for addresses that move.
    """

    def __init__(self, names: Names, words: Words, window: Window | None) -> None:
        """Find the columns of the hour and of the interface.

        Args:
            names: the names of addresses.
            words: the columns of the answer.
            window: the time of rows without an hour; None if it is not known.

        """
        self._names = names
        self._window = window
        hour = next((words[word] for word in ("hour", "minute") if word in words), ())
        interface = words.get("interface-id", ())
        self._columns = (*hour, *interface)
        self._has_hour, self._has_interface = bool(hour), bool(interface)
        self._floor_s: int | None = None
        self._windows = Memo(self._window_of)
        self._times = Memo(self._find_time)
        self._loggers = Memo(self._find_logger)
        self._numbers_of_time: dict[tuple[str, object], int] = {}
        self._numbers_of_vpc: dict[str, int] = {}
        self._examples_of_time: list[Window | None] = []
        self._examples_of_logger: list[str] = []

    def numbers(self, columns: Columns) -> Iterable[int]:
        """The place of each line, given the columns of some lines."""
        times: Iterable[int] = repeat(0)
        if self._has_hour:
            hours = columns[self._columns[0]]
            if self._floor_s is None:
                starts = [window[0] for hour in {*hours} if (window := self._windows[hour])]
                self._floor_s = min(starts, default=None)
            times = map(self._times.__getitem__, hours)
        if not self._has_interface:
            return list(times) if self._has_hour else times
        return list(map(add, times, map(self._loggers.__getitem__, columns[self._columns[-1]])))

    def key_at(self, columns: Columns, line: int) -> _Values:
        """What tells the place of one line, given the columns of some lines."""
        return tuple(columns[one][line] for one in self._columns)

    def key_of(self, row: Sequence[bytes]) -> _Values:
        """What tells the place of one row, given its values."""
        return tuple(row[one] for one in self._columns)

    def circumstances(self, key: _Values) -> _Circumstances:
        """The window and the interface of a row."""
        window = self._windows[key[0]] if self._has_hour else self._window
        return window, key[-1].decode() if self._has_interface else ""

    def example(self, place: int) -> _Circumstances:
        """The window and the interface of a row of a place."""
        time, logger = divmod(place, _MOST_LOGGERS)
        window = self._examples_of_time[time] if self._has_hour else self._window
        return window, self._examples_of_logger[logger] if self._has_interface else ""

    def moves(self, attached_s: int) -> bool:
        """Whether an address may have got its last interface between rows of one place."""
        return self._floor_s is not None and attached_s >= self._floor_s + HOUR_SECONDS

    def _find_time(self, hour: bytes) -> int:
        """The share of an hour in a place: the same for hours of one epoch."""
        window = self._windows[hour]
        is_ahead = window is None or self._floor_s is None or window[0] < self._floor_s
        kind = ("hour", window) if is_ahead else ("epoch", self._names.epoch(window))
        return _number(self._numbers_of_time, kind, self._examples_of_time, window) * _MOST_LOGGERS

    def _find_logger(self, interface_id: bytes) -> int:
        """The share of an interface in a place: the same for interfaces of one VPC."""
        text = interface_id.decode()
        return _number(self._numbers_of_vpc, self._names.vpc_of(text), self._examples_of_logger, text)

    def _window_of(self, hour: bytes) -> Window | None:
        if hour == b"-":
            return self._window
        start = parse_seconds(hour) // HOUR_SECONDS * HOUR_SECONDS
        return start, start + HOUR_SECONDS


def _number(numbers: dict[Key, int], key: Key, examples: list[Value], example: Value) -> int:
    """The number of a key, which gets the next one if it is new; then the example is kept."""
    number = numbers.setdefault(key, len(numbers))
    if number == len(examples):
        examples.append(example)
    return number


class Labels:
    """The labels of addresses by some parts, joined by tabs."""

    def __init__(self, names: Names, parts: Sequence[NamedPart], places: Places) -> None:
        """Remember what to ask for."""
        self._names = names
        self._parts = parts
        self._places = places
        self._tables = Memo(self._table)
        self._exact = Memo(self._ask_exactly)
        self._has_moving = False
        self._everywhere: dict[int, dict[bytes, bytes]] = {}
        """By the time of a place: the labels that are the same whoever logged the record."""
        self._same: dict[bytes, bytes] = {}
        """Equal labels are one object, so that they are compared quickly."""

    def texts(self, column: int, columns: Columns, numbers: Iterable[int]) -> Iterable[bytes]:
        """The labels of a column of addresses, given the columns of some lines, and their places."""
        addresses = columns[column]
        found = list(map(getitem, map(self._tables.__getitem__, numbers), addresses))
        if not self._has_moving:
            return found
        for at in _places_of(b"", found):
            found[at] = self._exact[addresses[at], self._places.key_at(columns, at)]
        return found

    def text(self, column: int, row: Sequence[bytes]) -> bytes:
        """The labels of an address in one row, given its values."""
        return self._exact[row[column], self._places.key_of(row)]

    def _table(self, place: int) -> Memo[bytes, bytes]:
        """The labels in one place, by address; empty for an address that moves."""
        circumstances = self._places.example(place)
        everywhere = self._everywhere.setdefault(place // _MOST_LOGGERS, {})

        def ask(address: bytes) -> bytes:
            if (label := everywhere.get(address)) is not None:
                return label
            called = self._names.labels(self._parts, address.decode(), *circumstances)
            if self._places.moves(called.attached_s):
                self._has_moving = True
                return b""
            label = self._joined(called)
            if not called.depends_on_logger:
                everywhere[address] = label
            return label

        return Memo(ask)

    def _ask_exactly(self, values: tuple[bytes, _Values]) -> bytes:
        address, row = values
        return self._joined(self._names.labels(self._parts, address.decode(), *self._places.circumstances(row)))

    def _joined(self, called: Called) -> bytes:
        joined = "\t".join(called.labels).encode(errors="replace")
        return self._same.setdefault(joined, joined)


def _places_of(text: bytes, texts: Sequence[bytes]) -> Iterator[int]:
    """Where a text stands among others."""
    at = -1
    with suppress(ValueError):
        while True:
            at = texts.index(text, at + 1)
            yield at


class ServiceLabels:
    """The labels of ports, with their protocols if these are known."""

    def __init__(self, services: Services, port: int, protocol: int | None) -> None:
        """Remember the columns of the ports and of the protocols."""
        self._services = services
        self._columns = (port,) if protocol is None else (port, protocol)
        self._asked = Memo(self._ask)

    def texts(self, columns: Columns) -> Iterable[bytes]:
        """The labels of some lines, given their columns."""
        return map(self._asked.__getitem__, zip(*(columns[one] for one in self._columns), strict=True))

    def _ask(self, values: _Values) -> bytes:
        protocol = values[1].decode() if len(values) > 1 else None
        return self._services.label(values[0].decode(), protocol).encode(errors="replace")
