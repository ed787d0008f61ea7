"""The labels of many addresses, column by column. Each is asked for once as long as nothing can change it.

A label depends on the epoch of the row's hour (which snapshots were taken before, in and after it), on whether the
interfaces of the address were attached by then, and on the VPC of the interface that logged the row. So an address has
few labels in millions of rows.
"""

from array import array
from collections.abc import Mapping, Sequence

from toptalkers.answer.columns import Column, Facts, Rows, Texts
from toptalkers.machine.numbers import Numbers
from toptalkers.names.owners import Called, Names, Window
from toptalkers.names.services import Services
from toptalkers.question.named import NamedPart
from toptalkers.question.times import HOUR_SECONDS, parse_seconds

Columns = Mapping[int, Column]
"""The columns of some lines, by their number from 0."""

Words = Mapping[str, tuple[int, ...]]
"""The columns of an answer, from 0, by the word of their part."""

_FOREVER = 1 << 62
"""The end of a window that is not known, in seconds."""


class Places:
    """Tells rows apart whose addresses may have other owners: by their hour, and by the interface that logged them.

    Attributes:
        texts: by its column, what numbers the hours, or the interfaces.
        until_s: by the number of an hour, its end.
        epochs: by the number of an hour, the number of its epoch.
        vpcs: by the number of an interface, the number of its VPC.

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
        self._hour = next((words[word][0] for word in ("hour", "minute") if word in words), None)
        self._interface = words["interface-id"][0] if "interface-id" in words else None
        self.texts = {column: Texts() for column in (self._hour, self._interface) if column is not None}
        self.until_s, self.epochs, self.vpcs = array("q"), array("i"), array("i")
        self._windows: list[Window | None] = []
        self._interfaces: list[str] = []
        self._epochs: Numbers[int] = Numbers()
        self._last_hours: list[int] = []
        """By the number of an epoch, the hour that ends last."""
        self._vpcs: Numbers[str] = Numbers()
        self._loggers: list[int] = []
        """By the number of a VPC, an interface."""
        if self._hour is None:
            self._add_hour(window)
        if self._interface is None:
            self._add_interface("")

    def learn(self) -> None:
        """Take note of the hours and interfaces of lines that were split."""
        if self._hour is not None:
            for text in self.texts[self._hour].texts[len(self._windows) :]:
                self._add_hour(self._window_of(text))
        if self._interface is not None:
            for text in self.texts[self._interface].texts[len(self._interfaces) :]:
                self._add_interface(text.decode())

    def columns(self, columns: Columns) -> "tuple[Column | None, Column | None]":
        """The hours and the interfaces of some lines, by number; None if all have the number 0."""
        hours = None if self._hour is None else columns[self._hour]
        return hours, None if self._interface is None else columns[self._interface]

    def circumstances(self, hour: int, interface: int) -> tuple[Window | None, str]:
        """The window and the interface of rows, by their numbers."""
        return self._windows[hour], self._interfaces[interface]

    def example(self, time: int, vpc: int) -> tuple[Window | None, str]:
        """A window and an interface of a case, by its time and its VPC (`Rows.cases`)."""
        return self.circumstances(-1 - time if time < 0 else self._last_hours[time], self._loggers[vpc])

    def circumstances_of(self, row: Sequence[bytes]) -> tuple[Window | None, str]:
        """The window and the interface of a row, by its values."""
        window = self._window if self._hour is None else self._window_of(row[self._hour])
        return window, "" if self._interface is None else row[self._interface].decode()

    def _add_hour(self, window: Window | None) -> None:
        hour, epoch = len(self._windows), self._epochs[self._names.epoch(window)]
        self._windows.append(window)
        self.until_s.append(window[1] if window else _FOREVER)
        self.epochs.append(epoch)
        if epoch == len(self._last_hours):
            self._last_hours.append(hour)
        elif self.until_s[hour] > self.until_s[self._last_hours[epoch]]:
            self._last_hours[epoch] = hour

    def _add_interface(self, interface_id: str) -> None:
        vpc = self._vpcs[self._names.vpc_of(interface_id)]
        if vpc == len(self._loggers):
            self._loggers.append(len(self._interfaces))
        self._interfaces.append(interface_id)
        self.vpcs.append(vpc)

    def _window_of(self, hour: bytes) -> Window | None:
        if hour == b"-":
            return self._window
        start = parse_seconds(hour) // HOUR_SECONDS * HOUR_SECONDS
        return start, start + HOUR_SECONDS


class _Labels:
    """Labels by what they depend on: the *cases* of lines, by number.

    Attributes:
        texts: the labels by their numbers; equal ones have one number.
        of: the number of its label, by the number of a case.

    """

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.of = array("i")
        self._numbers: Numbers[bytes] = Numbers()

    def _number(self, label: str) -> int:
        """The number of a label. One that cannot be written has `?` in it."""
        text = label.encode(errors="replace")
        number = self._numbers[text]
        if number == len(self.texts):
            self.texts.append(text)
        return number


class Labels(_Labels):
    """The labels of addresses by some parts, joined by tabs.

    Attributes:
        addresses: what numbers the addresses.

    """

    def __init__(self, names: Names, parts: Sequence[NamedPart], places: Places) -> None:
        """Remember what to ask for."""
        super().__init__()
        self.addresses = Texts()
        self._names = names
        self._parts = parts
        self._places = places
        self._facts = Facts(array("q"), array("i"), places.until_s, places.epochs, places.vpcs)
        self._cases = Rows(3)
        self._asked: dict[tuple[int, ...], int] = {}
        """The labels of cases that may come: those in which addresses were first asked for."""
        self._exact: dict[tuple[bytes, Window | None, str], bytes] = {}

    def cases(self, column: int, columns: Columns) -> Column:
        """The cases of the addresses in a column, given the columns of some lines, whose places were learned."""
        hours, interfaces = self._places.columns(columns)
        if len(self._facts.depends) < len(self.addresses.texts):
            self._learn(hours[0] if hours else 0, interfaces[0] if interfaces else 0)
        found = self._cases.cases(columns[column], hours, interfaces, self._facts)
        for case in self._cases.new():
            label = self._asked.pop(case, None)
            if label is None:
                time, vpc, address = case
                label = self._number(
                    _joined(self._ask(self.addresses.texts[address], *self._places.example(time, vpc)))
                )
            self.of.append(label)
        return found

    def text(self, column: int, row: Sequence[bytes]) -> bytes:
        """The labels of an address in one row, given its values."""
        asked = row[column], *self._places.circumstances_of(row)
        label = self._exact.get(asked)
        if label is None:
            label = self._exact[asked] = self.texts[self._number(_joined(self._ask(*asked)))]
        return label

    def _learn(self, hour: int, interface: int) -> None:
        """Ask for what is to be known of each new address, and for its label at an hour of an interface."""
        attached_s, depends, until_s, epochs, vpcs = self._facts
        circumstances = self._places.circumstances(hour, interface)
        for number, address in enumerate(self.addresses.texts[len(depends) :], len(depends)):
            called = self._ask(address, *circumstances)
            attached_s.append(called.attached_s)
            depends.append(called.depends_on_logger)
            time = epochs[hour] if until_s[hour] > called.attached_s else -1 - hour
            vpc = vpcs[interface] if called.depends_on_logger else 0
            self._asked[time, vpc, number] = self._number(_joined(called))

    def _ask(self, address: bytes, window: Window | None, interface_id: str) -> Called:
        return self._names.labels(self._parts, address.decode(), window, interface_id)


class ServiceLabels(_Labels):
    """The labels of ports, with their protocols if these are known."""

    def __init__(self, services: Services, port: tuple[int, Texts], protocol: tuple[int, Texts] | None) -> None:
        """Take the columns of the ports and of the protocols, each with what numbers its texts."""
        super().__init__()
        self._services = services
        self._columns = [port] if protocol is None else [port, protocol]
        self._cases = Rows(len(self._columns))

    def cases(self, columns: Columns) -> Column:
        """The cases of some lines, given their columns."""
        found = self._cases.number([columns[column] for column, _ in self._columns], [None] * len(self._columns))
        for case in self._cases.new():
            port, *protocol = (known.texts[one].decode() for (_, known), one in zip(self._columns, case, strict=True))
            self.of.append(self._number(self._services.label(port, protocol[0] if protocol else None)))
        return found


def _joined(called: Called) -> str:
    return "\t".join(called.labels)
