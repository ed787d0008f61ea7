"""The labels of many addresses, column by column. Each is asked for once as long as nothing can change it.

A label depends on the epoch of the row's hour (which snapshots were taken before, in and after it), on whether the
interfaces of the address were attached by then, and on the VPC of the interface that logged the row. So an address has
few labels in millions of rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import getitem
from typing import Generic, TypeVar

from toptalkers.names.owners import Names, Window
from toptalkers.names.services import Services
from toptalkers.question.named import NamedPart
from toptalkers.question.times import parse_seconds

HOUR_SECONDS = 3600

Columns = Sequence[Sequence[bytes]]
"""The values of some lines, column by column."""

Words = Mapping[str, tuple[int, ...]]
"""The columns of an answer, from 0, by the word of their part."""

_Values = tuple[bytes, ...]
"""The values of a row in some columns."""

_Circumstances = tuple[Window | None, str]
"""The window of a row, and the interface that logged it."""

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
        self._places = Memo(self._find)
        self._known: dict[tuple[object, str], int] = {}
        self._examples: list[_Circumstances] = []

    def keys(self, columns: Columns) -> Iterable[_Values]:
        """What tells the place of each line, given the columns of some lines."""
        return zip(*(columns[one] for one in self._columns), strict=True) if self._columns else repeat(())

    def numbers(self, columns: Columns) -> Sequence[int] | Iterable[int]:
        """The place of each line, given the columns of some lines."""
        if not self._columns:
            return repeat(self._places[()])
        if self._has_hour and self._floor_s is None:
            starts = [window[0] for hour in {*columns[self._columns[0]]} if (window := self._windows[hour])]
            self._floor_s = min(starts, default=None)
        return list(map(self._places.__getitem__, self.keys(columns)))

    def key_of(self, row: Sequence[bytes]) -> _Values:
        """What tells the place of one row, given its values."""
        return tuple(row[one] for one in self._columns)

    def circumstances(self, key: _Values) -> _Circumstances:
        """The window and the interface of a row."""
        window = self._windows[key[0]] if self._has_hour else self._window
        return window, key[-1].decode() if self._has_interface else ""

    def example(self, place: int) -> _Circumstances:
        """The window and the interface of a row of a place."""
        return self._examples[place]

    def moves(self, address: str) -> bool:
        """Whether an address may have got an interface between rows of one place."""
        return self._floor_s is not None and self._names.attached_s(address) >= self._floor_s + HOUR_SECONDS

    def _find(self, key: _Values) -> int:
        window, interface_id = self.circumstances(key)
        is_ahead = window is None or self._floor_s is None or window[0] < self._floor_s
        time = window if is_ahead else self._names.epoch(window)
        kind = (time, self._names.vpc_of(interface_id) if interface_id else "")
        place = self._known.setdefault(kind, len(self._known))
        if place == len(self._examples):
            self._examples.append((window, interface_id))
        return place

    def _window_of(self, hour: bytes) -> Window | None:
        if hour == b"-":
            return self._window
        start = parse_seconds(hour) // HOUR_SECONDS * HOUR_SECONDS
        return start, start + HOUR_SECONDS


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
        self._same: dict[bytes, bytes] = {}
        """Equal labels are one object, so that they are compared quickly."""

    def texts(self, column: int, columns: Columns, numbers: Iterable[int]) -> Iterable[bytes]:
        """The labels of a column of addresses, given the columns of some lines, and their places."""
        addresses = columns[column]
        found = list(map(getitem, map(self._tables.__getitem__, numbers), addresses))
        if not self._has_moving:
            return found
        exact = zip(found, addresses, self._places.keys(columns), strict=False)  # keys may be endless
        return [text or self._exact[address, key] for text, address, key in exact]

    def text(self, column: int, row: Sequence[bytes]) -> bytes:
        """The labels of an address in one row, given its values."""
        return self._exact[row[column], self._places.key_of(row)]

    def _table(self, place: int) -> Memo[bytes, bytes]:
        """The labels in one place, by address; empty for an address that moves."""

        def ask(address: bytes) -> bytes:
            if self._places.moves(address.decode()):
                self._has_moving = True
                return b""
            return self._ask(address, *self._places.example(place))

        return Memo(ask)

    def _ask_exactly(self, values: tuple[bytes, _Values]) -> bytes:
        return self._ask(values[0], *self._places.circumstances(values[1]))

    def _ask(self, address: bytes, window: Window | None, interface_id: str) -> bytes:
        text = address.decode()
        labels = [self._names.label(part, text, window, interface_id) for part in self._parts]
        joined = "\t".join(labels).encode(errors="replace")
        return self._same.setdefault(joined, joined)


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
