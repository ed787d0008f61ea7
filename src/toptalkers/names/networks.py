"""Addresses as numbers, and tables that find the networks around an address.

`ipaddress` takes some 5 microseconds for each address, and a question may have a million of them.
"""

from collections.abc import Iterator
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Address(NamedTuple):
    """An address: how many bits its family has, 32 or 128, and its number."""

    bits: int
    number: int


class Network(NamedTuple):
    """A network: the bits of its family, its first address as a number, and the length of its prefix."""

    bits: int
    number: int
    length: int

    @property
    def last(self) -> int:
        """Its last address, as a number."""
        return self.number | ((1 << (self.bits - self.length)) - 1)


def parse_address(text: str) -> Address | None:
    """Read an IPv4 or IPv6 address in any spelling; None if the text is none."""
    try:
        if ":" in text:
            return Address(128, int.from_bytes(inet_pton(AF_INET6, text)))
        return Address(32, int.from_bytes(inet_pton(AF_INET, text)))
    except (OSError, ValueError):
        return None


def parse_network(text: str) -> Network | None:
    """Read a network such as `10.0.3.16/28`, or an address, which is the smallest network; None if it is neither."""
    first, slash, length = text.partition("/")
    address = parse_address(first)
    if address is None:
        return None
    if not slash:
        return Network(*address, address.bits)
    if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= address.bits):
        return None
    free = address.bits - int(length)
    return Network(address.bits, address.number >> free << free, int(length))


def format_network(network: Network) -> str:
    """Write a network, IPv6 as in RFC 5952; the smallest ones as the address that they are."""
    family = AF_INET if network.bits == 32 else AF_INET6
    text = inet_ntop(family, network.number.to_bytes(network.bits // 8))
    return text if network.length == network.bits else f"{text}/{network.length}"


class Networks(Generic[T]):
    """Values by network. One dictionary per length of prefix: an address is looked up once in each."""

    def __init__(self) -> None:
        """Begin without a network."""
        # By family: the length of a prefix, how far an address is shifted for it, and the values by what is left.
        self._tables: dict[int, list[tuple[int, int, dict[int, list[T]]]]] = {32: [], 128: []}

    def add(self, network: Network, value: T) -> None:
        """Add a value of a network, after those that it has."""
        tables = self._tables[network.bits]
        shift = network.bits - network.length
        table = next((values for length, _, values in tables if length == network.length), None)
        if table is None:
            table = {}
            tables.append((network.length, shift, table))
            tables.sort(key=lambda one: -one[0])
        table.setdefault(network.number >> shift, []).append(value)

    def around(self, address: Address) -> list[tuple[int, T]]:
        """The values of all networks that contain an address, each with the length of its prefix; the longest first."""
        number = address.number
        found: list[tuple[int, T]] = []
        for length, shift, table in self._tables[address.bits]:
            if values := table.get(number >> shift):
                found += [(length, value) for value in values]
        return found

    def __iter__(self) -> Iterator[tuple[Network, list[T]]]:
        """All networks with their values, in the order of their addresses; a larger network before those within it."""
        for bits, tables in sorted(self._tables.items()):
            yield from sorted(
                (
                    (Network(bits, number << shift, length), values)
                    for length, shift, table in tables
                    for number, values in table.items()
                ),
                key=lambda one: one[0],
            )
