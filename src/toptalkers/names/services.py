"""What ports are called: IANA's registry of service names (`services.tsv`), and the user's own file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from toptalkers.errors import ToptalkersError
from toptalkers.flowlog.protocols import PROTOCOL_NAMES, PROTOCOL_NUMBERS
from toptalkers.visible import quoted

REGISTRY = Path(__file__).with_name("services.tsv")
"""IANA's registry; its first lines say where it is from."""

TCP = 6
WITH_PORTS = tuple(PROTOCOL_NUMBERS[name] for name in ("tcp", "udp", "sctp", "dccp", "udplite"))
"""The protocols whose records have ports: another one with port 0 has none."""

LARGEST_PORT = 65_535

_SERVICE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?/([A-Za-z0-9-]+)")
_NAMED = re.compile(r"(\S+)\s+([0-9]+(?:-[0-9]+)?/\S+)")

Port = tuple[int, int]
"""A protocol's number, and a port."""


class Services:
    """The names of ports."""

    def __init__(self, names: Mapping[Port, str]) -> None:
        """Take names by protocol and port."""
        self._names = names
        self._labels: dict[tuple[int | str, int | str | None], str] = {}

    def label(self, port: int | str, protocol: int | str | None) -> str:
        """The name of a service: `https` for TCP, `domain/udp` for another protocol; `8443/tcp` where it has none.

        Args:
            port: the port; `-` for a record without one, whose label is the protocol's name: `icmp`. So is that of
                port 0 with a protocol that has no ports.
            protocol: its number; None, or `-`, if it is not known: TCP is assumed, and no protocol said: `8443`.

        """
        label = self._labels.get((port, protocol))
        if label is None:
            label = self._labels[port, protocol] = self._label(str(port), "-" if protocol is None else str(protocol))
        return label

    def _label(self, port: str, protocol: str) -> str:
        number = int(protocol) if protocol.isdecimal() else TCP
        word = "" if protocol == "-" else PROTOCOL_NAMES.get(number, str(number))
        if not port.isdecimal() or (int(port) == 0 and number not in WITH_PORTS):
            return word or port
        name = self._names.get((number, int(port)))
        if number == TCP and name:
            return name
        return f"{name or port}/{word}" if word else port


def read_services(path: Path | None = None) -> Services:
    """Read the registry of this package, and the user's file before it, whose lines are like `8443/tcp orders-api`.

    `9000-9010/tcp spark` names a range, and `#` begins a comment. A name of fewer ports wins over one of more.

    Raises:
        ToptalkersError: the file cannot be read, or a line is wrong; the error names it.

    """
    return Services({**_read_registry(), **(_read_own(path) if path else {})})


def _read_registry() -> dict[Port, str]:
    names = {}
    for line in REGISTRY.read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            port, protocols, name = line.split("\t")
            for protocol in protocols.split(","):
                names[PROTOCOL_NUMBERS[protocol], int(port)] = name
    return names


def _read_own(path: Path) -> dict[Port, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ToptalkersError(f"{path} is not text in UTF-8") from error
    except OSError as error:
        raise ToptalkersError(f"{path} cannot be read: {error.strerror}") from error
    seen: dict[tuple[int, int, int], int] = {}
    ranges = []
    for number, first, last, protocol, name in _parse_lines(lines, path):
        before = seen.setdefault((protocol, first, last), number)
        if before != number:
            raise ToptalkersError(f"{path}, line {number}: line {before} names the same ports")
        ranges.append((last - first, first, last, protocol, name))
    ranges.sort(key=lambda one: -one[0])
    return {(protocol, port): name for _, first, last, protocol, name in ranges for port in range(first, last + 1)}


def _parse_lines(lines: list[str], path: Path) -> Iterator[tuple[int, int, int, int, str]]:
    """The line's number, the first and the last port, the protocol and the name of each line that names any."""
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                yield number, *_parse_line(text)
            except ValueError as error:
                message = f"{path}, line {number}: {error}"
                raise ToptalkersError(message, hint="a line is PORT/PROTOCOL NAME: 8443/tcp orders-api") from error


def _parse_line(text: str) -> tuple[int, int, int, str]:
    """Read `9000-9010/tcp spark`; ValueError, with what is wrong, for anything else."""
    ports, *names = text.split()
    match = _SERVICE.fullmatch(ports)
    if match is None:
        turned = _NAMED.match(text)
        if turned and not ports[0].isdigit():
            raise ValueError(f"did you mean {quoted(f'{turned[2]} {turned[1]}')}?")
        raise ValueError(f"{quoted(ports)} is not a port with a protocol")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last <= LARGEST_PORT:
        raise ValueError(f"{quoted(ports)} is not a range of ports up to {LARGEST_PORT}")
    word = match[3].lower()
    protocol = int(word) if word.isdigit() and int(word) < 256 else PROTOCOL_NUMBERS.get(word)
    if protocol is None:
        raise ValueError(f"{quoted(match[3])} is not a protocol")
    if len(names) != 1:
        raise ValueError(f"{quoted(ports)} has {len(names) or 'no'} name{'s' if len(names) > 1 else ''}")
    if not names[0].isprintable() or "|" in names[0]:
        raise ValueError(f"{quoted(names[0])} cannot be printed")
    return first, last, protocol, names[0]
