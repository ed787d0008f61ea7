#!/usr/bin/env python3
"""Scripts of the steps between records and conversations: each conversation counted once, servers told from clients.

Self-contained, for Python 3.9 and only its standard library: it travels to cluster nodes by itself. The rules are those
of `docs/conversations.md`. Columns are separated by tabs, and sorted means by bytes, as by `LC_ALL=C sort` or Hadoop's
shuffle. Lines in any other order, or with other columns, end a role with exit code 1 instead of a wrong answer. A tab
that Hadoop adds to a line that is all key does no harm.

`distinct`, a reducer: tells copies from records.
    In: the lines of `count_flows.py` for the question of records, `LongValueSum:` and the 14 columns of RECORD, and how
    many there are. Partitioned by the first 11 columns, sorted by all 14 (all 14 are the key).
    Out: the 14 columns, how many, `-` for a record that stays or `copy`. Malformed records are left out.
`learn-map`, a mapper: what the lines of `distinct` teach.
    Out: lines of three to seven columns that begin with a kind (`Facts`). All of a line is the key.
`learn-reduce`, the only reducer: adds that up.
    In: the lines of `learn-map`, sorted by all columns. Out: the lines of a table, in no order (`Learned`):
    `server` ACTION PROTOCOL ADDRESS PORT; `peers` ACTION PROTOCOL ADDRESS PORT PORTS ENDPOINTS;
    `home` INTERFACE FAMILY ADDRESS; `gateway` GATEWAY ADDRESS.
`fold`, a mapper: finds servers, and adds up what is alike. `--learned` is the table (one file).
    In: the lines of `distinct`. Out, by the question:
    - a digest's: the 13 columns of FOLDED (the key), bytes, packets, records, first, last in seconds since 1970; for
      `sum_counts.py --by hour,interface-id,... --metric bytes,packets,records,first,last`.
    - `--pairs` without `--count once`: client, server, port, protocol (the key), nine sums, how; for
      `sum_counts.py --pairs yes`.
    - `--count once`: the seven columns of a flow (source, destination, server's port, its side, client's port,
      protocol, action: the key), place, hour, bytes, packets, records, first, last, how; for `once`.
`once`, a reducer: counts once what several interfaces have logged.
    In: the lines of `fold`, partitioned and sorted by the seven columns of a flow.
    Out: sums that another step adds up, because a key has many flows, as `count_flows.py` prints them: for Hadoop's
    `aggregate` or `sum_counts.py`. With `--pairs` as `fold` prints them, for `sum_counts.py --pairs yes`.

Counters on standard error, in the group toptalkers: `duplicates`, `moved_malformed_address`, `moved_malformed_port`,
`moved_malformed_number` (distinct); `moved_duplicate` (with `--count once`), `moved_ports` (with `--pairs`),
`oriented_syn`, `oriented_peers`, `oriented_ports`, `oriented_none`, `relayed` (fold); `without_flags` and
`without_packet_addresses` (fold: TCP records without `tcp-flags`, and records without both `pkt-` fields; no copies);
`collapsed` (once); `values_high_read_METRIC`, `values_low_read_METRIC`: the halves of what bytes and packets of all
records add up to, copies included (fold); `values_high_METRIC`, `values_low_METRIC`: of what the sums of the answer add
up to, with `--pairs` of the first metric only (once, or fold for `--pairs` without `--count once`).
"""

from __future__ import annotations

import argparse
import heapq
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Callable, NamedTuple, TextIO

RECORD = (
    b"start", b"end", b"interface-id", b"srcaddr", b"dstaddr", b"srcport", b"dstport", b"protocol", b"packets",
    b"bytes", b"action", b"tcp-flags", b"pkt-srcaddr", b"pkt-dstaddr",
)  # fmt: skip
"""The columns of a record. Those that are alike in the first CORE_COLUMNS are copies of one record."""

CORE_COLUMNS = 11
PACKET_COLUMNS = (12, 13)

FOLDED = (
    b"hour", b"interface-id", b"srcaddr", b"dstaddr", b"server-port", b"server-side", b"peer-port", b"protocol",
    b"action", b"tcp-flags", b"how", b"pkt-srcaddr", b"pkt-dstaddr",
)  # fmt: skip
"""The key of a digest's rows."""

PREFIX = b"LongValueSum:"

LARGEST_SUM = (1 << 63) - 1

MILLISECONDS_FROM = 100_000_000_000
"""A time from here on is in milliseconds."""

LARGEST_TIME = 253_402_300_799
"""The last second of the year 9999."""

HOUR, DAY = 3600, 86400

SLACK = 60
"""AWS may log times up to so many seconds late."""

TCP = b"6"
WITH_PORTS = frozenset((TCP, b"17", b"33", b"132", b"136"))
"""The protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite."""

SYN, ACK = 2, 16

HIGHEST_KNOWN_PORT = 1024
"""The client's port is dropped if it is higher than this."""

CLASSES_FROM = (1024, 32768, 49152)
"""The first ports of the second, third and fourth class of ports."""

HIGH_FROM = 32768
"""Of peers of an endpoint with a port from here on, only those with a port from LOWEST_PEER on count."""

LOWEST_PEER = 1024

HOWS = (b"copy", b"syn", b"peers", b"ports", b"?")
"""How the server was found, the weakest last. Rows of copies have no say in it, so `copy` gives way to all others."""

COPY, SYN_RULE, PEERS_RULE, PORTS_RULE, NO_RULE = range(len(HOWS))

COUNTERS = ("", "oriented_syn", "oriented_peers", "oriented_ports", "oriented_none")

METRICS = (b"bytes", b"packets", b"records")
"""The metrics that add up, in the order of their sums."""

TIME_METRICS = (b"first", b"last")

SUMS = METRICS + TIME_METRICS
"""The first values of a row, in order."""

RECIPE_KEY = (b"srcaddr", b"dstaddr", b"dstport")

FLOW_COLUMNS = 7

ROWS_HELD = 100_000
"""How many sums a role holds until it prints them: at most about 100 MB."""

Flow = tuple[bytes, ...]
"""Source, destination, server's port, its side, client's port, protocol, action."""

Row = list[int]
"""Bytes, packets, records, first, last, and the number of how."""


Key = tuple[Any, ...]
"""The columns of FOLDED without `how`; the hour in seconds since 1970."""


class BadInputError(Exception):
    """The input is not what this role reads."""


class Question(NamedTuple):
    """What the roles need to know of the question. `ports` has ports as bytes; None for all."""

    by: tuple[bytes, ...] = RECIPE_KEY
    metrics: tuple[bytes, ...] = (b"records",)
    ports: frozenset[bytes] | None = None
    once: bool = False
    pairs: bool = False
    packet_addresses: bool = True

    @property
    def is_digest(self) -> bool:
        """Whether the answer is the rows of a digest."""
        return self.by == FOLDED

    @property
    def keeps_ports(self) -> bool:
        """Whether the question asks for clients' ports above 1024."""
        if self.pairs or self.is_digest:
            return False
        wants_high = self.ports is None or any(int(port) > HIGHEST_KNOWN_PORT for port in self.ports)
        return b"srcport" in self.by or (b"dstport" in self.by and wants_high)


class Tally(dict[str, int]):
    """Numbers of records by the name of their counter."""

    def add(self, name: str, number: int) -> None:
        """Add to one of the counters."""
        self[name] = self.get(name, 0) + number


# The stages. `distinct` -------------------------------------------------------------------------------------------


def seconds_of(text: bytes) -> int:
    """A start or an end in seconds since 1970."""
    seconds = int(text)
    return seconds // 1000 if seconds >= MILLISECONDS_FROM else seconds


def format_seconds(seconds: int) -> bytes:
    """Print seconds since 1970 as `2026-11-23T18:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)).encode()


def why_malformed(record: list[bytes], question: Question) -> str:
    """Why a record cannot be joined to a conversation; empty if it can."""
    start, end, _, source, destination, _, port, _, packets, number = record[:10]
    if source == b"-" or destination == b"-":
        return "malformed_address"
    if port == b"-" and question.by == RECIPE_KEY and not question.pairs:
        return "malformed_port"
    if b"-" in (packets, number, start, end) or max(seconds_of(start), seconds_of(end)) > LARGEST_TIME:
        return "malformed_number"
    return ""


def _rank_of_copy(key: bytes) -> tuple[int, bytes]:
    """Of copies, the one for which this is greatest stays."""
    flags = key.split(b"\t")[CORE_COLUMNS]
    return -1 if flags == b"-" else int(flags), flags


def distinct(lines: Iterable[bytes], question: Question, tally: Tally) -> Iterator[bytes]:
    """Yield the lines of sorted records, with copies told from the record that stays; see the module."""
    previous = b""
    core: list[bytes] = []
    copies: dict[bytes, int] = {}
    for line in lines:
        key, _, number = line.rstrip(b"\t\n").rpartition(b"\t")
        key = key.removeprefix(PREFIX)
        record = key.split(b"\t")
        if len(record) != len(RECORD) or not number.isdigit():
            raise BadInputError(f"not a line of a record: {line[:200]!r}")
        if key < previous:
            raise BadInputError(f"not sorted by bytes (use LC_ALL=C sort): {line[:200]!r}")
        previous = key
        if record[:CORE_COLUMNS] != core:
            if copies:
                yield from _told(copies, tally)
            core = record[:CORE_COLUMNS]
            copies = {}
        reason = why_malformed(record, question)
        if reason:
            tally.add("moved_" + reason, int(number))
        else:
            copies[key] = copies.get(key, 0) + int(number)
    if copies:
        yield from _told(copies, tally)


def _told(copies: dict[bytes, int], tally: Tally) -> Iterator[bytes]:
    """Yield the lines of the records that are copies of one, which is among them."""
    if len(copies) > 1:
        copies = _with_joined_addresses(copies)
    stays = max(copies, key=_rank_of_copy) if len(copies) > 1 else next(iter(copies))
    yield b"%b\t1\t-\n" % stays
    copies[stays] -= 1
    for key, number in copies.items():
        if number:
            tally.add("duplicates", number)
            yield b"%b\t%d\tcopy\n" % (key, number)


def _with_joined_addresses(copies: dict[bytes, int]) -> dict[bytes, int]:
    """Give copies the packet's addresses that are the greatest of all; `-` is the least."""
    records = [(key.split(b"\t"), number) for key, number in copies.items()]
    addresses = [
        max((record[at] for record, _ in records), key=lambda text: (text != b"-", text)) for at in PACKET_COLUMNS
    ]
    joined: dict[bytes, int] = {}
    for record, number in records:
        key = b"\t".join([*record[: CORE_COLUMNS + 1], *addresses])
        joined[key] = joined.get(key, 0) + number
    return joined


def read_distinct(line: bytes) -> tuple[list[bytes], int, bool]:
    """A line of `distinct`: the record, how many, and whether these are copies."""
    *record, number, how = line.rstrip(b"\t\n").split(b"\t")
    if len(record) != len(RECORD) or not number.isdigit() or how not in (b"-", b"copy"):
        raise BadInputError(f"not a line of conversations.py distinct: {line[:200]!r}")
    return record, int(number), how == b"copy"


# `learn-map` and `learn-reduce` -----------------------------------------------------------------------------------


NO_ADDRESSES = (b"-", b"-")


class Facts:
    """What records and folded rows teach, each fact once.

    A fact is a line. `s` ENDPOINT: a server, by its flags. `e` ENDPOINT PORT ADDRESS: this port and address sent to
    the endpoint; `=` for both if the endpoint sent to one with the same port. `h` INTERFACE FAMILY ADDRESS ADDRESS: two
    addresses, one (and `-`) or none (`-`, `-`) that are in all rows. `g` GATEWAY ADDRESS. An endpoint is ACTION
    PROTOCOL ADDRESS PORT.
    """

    def __init__(self) -> None:
        self._others: set[bytes] = set()
        self._homes: dict[bytes, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        """How many facts there are."""
        return len(self._others) + len(self._homes)

    def add_record(self, record: list[bytes]) -> None:
        """Learn from a record that is no copy."""
        _, _, interface, source, destination, source_port, port, protocol = record[:8]
        action, flags, packet_source, packet_destination = record[10:]
        self.add_row(interface, source, destination, packet_source, packet_destination)
        if protocol not in WITH_PORTS or source_port == b"-" or port == b"-":
            return
        source, destination = packet_addresses(record)
        sender = b"%b\t%b\t%b\t%b" % (action, protocol, source, source_port)
        receiver = b"%b\t%b\t%b\t%b" % (action, protocol, destination, port)
        self._others.add(b"e\t%b\t%b\t%b" % (receiver, source_port, source))
        if source_port == port:
            self._others.add(b"e\t%b\t=\t=" % sender)
        if protocol == TCP and flags != b"-":
            bits = int(flags)
            if bits & SYN:
                self._others.add(b"s\t" + (sender if bits & ACK else receiver))

    def add_row(
        self, interface: bytes, source: bytes, destination: bytes, packet_source: bytes, packet_destination: bytes
    ) -> None:
        """Learn from a record, or a row of a digest, that is no copy."""
        place = b"%b\t%b" % (interface, family_of(source))
        known = self._homes.get(place)
        both = (source, destination) if source != destination else (source,)
        self._homes[place] = both if known is None else tuple(one for one in known if one in both)
        for address, packet_address in ((destination, packet_destination), (source, packet_source)):
            if packet_address not in (b"-", address):
                self._others.add(b"g\t%b\t%b" % (address, packet_address))

    def lines(self) -> Iterator[bytes]:
        """Yield the facts, in no order."""
        for fact in self._others:
            yield fact + b"\n"
        for place, addresses in self._homes.items():
            yield b"\t".join((b"h", place, *addresses, *NO_ADDRESSES[len(addresses) :])) + b"\n"

    def clear(self) -> None:
        """Forget everything."""
        self._others.clear()
        self._homes.clear()


def packet_addresses(record: list[bytes]) -> tuple[bytes, bytes]:
    """The addresses of a record's endpoints: those of the packet where they are logged, so that all legs agree."""
    source, destination = record[12:]
    return record[3] if source == b"-" else source, record[4] if destination == b"-" else destination


def family_of(address: bytes) -> bytes:
    """`4` or `6`, for IPv4 or IPv6."""
    return b"6" if b":" in address else b"4"


def learn_map(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the lines of `distinct` teach; a fact may come several times."""
    facts = Facts()
    for line in lines:
        record, _, is_copy = read_distinct(line)
        if not is_copy:
            facts.add_record(record)
            if len(facts) >= ROWS_HELD:
                yield from facts.lines()
                facts.clear()
    yield from facts.lines()


def learn_reduce(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of the learned table for sorted lines of `learn-map`."""
    rows = (fact.split(b"\t") for fact in _sorted_distinct(lines))
    for kind, of_kind in groupby(rows, itemgetter(0)):
        if kind == b"s":
            for row in of_kind:
                yield b"\t".join((b"server", *_columns(row, 5))) + b"\n"
        elif kind == b"g":
            for row in of_kind:
                yield b"\t".join((b"gateway", *_columns(row, 3))) + b"\n"
        elif kind == b"e":
            for endpoint, of_endpoint in groupby(of_kind, lambda row: _columns(row, 7)[:4]):
                ports, endpoints = _peers(endpoint[3], of_endpoint)
                # Fewer than two decide nothing, and are as good as none.
                if ports > 1 or endpoints > 1:
                    yield b"peers\t%b\t%d\t%d\n" % (b"\t".join(endpoint), ports, endpoints)
        elif kind == b"h":
            for place, of_place in groupby(of_kind, lambda row: _columns(row, 5)[:2]):
                homes = set.intersection(*(set(row[3:]) for row in of_place)).difference(NO_ADDRESSES)
                if len(homes) == 1:
                    yield b"\t".join((b"home", *place, *homes)) + b"\n"
        else:
            raise BadInputError(f"not a line of conversations.py learn-map: {kind[:200]!r}")


def _columns(row: list[bytes], number: int) -> list[bytes]:
    """The columns of a fact after its kind."""
    if len(row) != number:
        raise BadInputError(f"not a line of conversations.py learn-map: {row!r}"[:200])
    return row[1:]


def _sorted_distinct(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield sorted lines, each once, without what ends them."""
    previous = b""
    for line in lines:
        text = line.rstrip(b"\t\n")
        if text < previous:
            raise BadInputError(f"not sorted by bytes (use LC_ALL=C sort): {line[:200]!r}")
        if text != previous:
            yield text
        previous = text


def _peers(port: bytes, rows: Iterable[list[bytes]]) -> tuple[int, int]:
    """How many ports, and how many endpoints, sent to an endpoint. The latter is 0 if no record has equal ports."""
    least = LOWEST_PEER if port.isdigit() and int(port) >= HIGH_FROM else 0
    ports = endpoints = 0
    is_equal, previous = False, b""
    for *_, peer_port, _ in rows:
        is_equal |= peer_port in (b"=", port)
        if peer_port != b"=" and int(peer_port) >= least:
            endpoints += 1
            ports += peer_port != previous
            previous = peer_port
    return ports, endpoints if is_equal else 0


class Learned:
    """The learned table. An endpoint is action, protocol, address and port, separated by tabs."""

    def __init__(self) -> None:
        self.servers: set[bytes] = set()
        self.peers: dict[bytes, tuple[int, int]] = {}
        self.homes: dict[bytes, bytes] = {}
        self.gateways: set[bytes] = set()

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> Learned:
        """Read the lines of `learn-reduce`."""
        table = cls()
        for line in lines:
            kind, _, rest = line.rstrip(b"\t\n").partition(b"\t")
            try:
                if kind == b"server":
                    table.servers.add(rest)
                elif kind == b"peers":
                    endpoint, ports, endpoints = rest.rsplit(b"\t", 2)
                    table.peers[endpoint] = int(ports), int(endpoints)
                elif kind == b"home":
                    place, _, address = rest.rpartition(b"\t")
                    table.homes[place] = address
                elif kind == b"gateway":
                    table.gateways.add(rest)
                else:
                    kind = b""
            except ValueError:
                kind = b""
            if not kind:
                raise BadInputError(f"not a line of conversations.py learn-reduce: {line[:200]!r}")
        return table

    def server_of(
        self, action: bytes, protocol: bytes, source: bytes, source_port: bytes, destination: bytes, port: bytes
    ) -> tuple[bool, int]:
        """Whether the source of a record is the server, and the number in HOWS of the rule that says so."""
        if protocol not in WITH_PORTS or source_port == b"-" or port == b"-":
            return source > destination, NO_RULE
        sender = b"%b\t%b\t%b\t%b" % (action, protocol, source, source_port)
        receiver = b"%b\t%b\t%b\t%b" % (action, protocol, destination, port)
        is_server = sender in self.servers
        if is_server != (receiver in self.servers):
            return is_server, SYN_RULE
        which = int(source_port == port)
        of_sender = self.peers.get(sender, (0, 0))[which]
        of_receiver = self.peers.get(receiver, (0, 0))[which]
        if max(of_sender, of_receiver) >= 2:
            if of_sender >= 2 * of_receiver:
                return True, PEERS_RULE
            if of_receiver >= 2 * of_sender:
                return False, PEERS_RULE
        if which:
            return source > destination, NO_RULE
        low, high = int(source_port), int(port)
        is_lower = low < high
        return is_lower, PORTS_RULE if class_of(low) != class_of(high) else NO_RULE


def class_of(port: int) -> int:
    """The class of a port: a lower one is rather a server's."""
    return sum(port >= first for first in CLASSES_FROM)


# `fold` -----------------------------------------------------------------------------------------------------------


def plain_side(source_port: bytes, port: bytes, flags: bytes) -> bytes:
    """The side of the service by the rule of `service-port`, which looks at a record alone (`count_flows.py`)."""
    if b"-" in (source_port, port):
        return b"-"
    bits = int(flags) if flags != b"-" else 0
    if bits & SYN:
        return b"src" if bits & ACK else b"dst"
    if source_port == port:
        return b"both"
    return b"src" if int(source_port) < int(port) else b"dst"


class Folding:
    """Adds up records to the rows of a digest, or rows to what the question needs of them.

    Attributes:
        sums: the rows by key, or the sums of pairs: nine, and the number of how.
        read: what bytes and packets of all that was added add up to, copies included. More than LARGEST_SUM is refused.
        hours: the hours of what counts, in seconds.

    """

    def __init__(self, question: Question, learned: Learned, tally: Tally) -> None:
        self._question = question
        self._learned = learned
        self._tally = tally
        self._keeps_ports = question.keeps_ports
        self.sums: dict[bytes, Row] = {}
        self.read = [0, 0]
        self.hours: set[int] = set()
        self._add: Callable[[Key, Row], None]
        if question.is_digest:
            self._add = self._fold
        elif question.once:
            self._add = self._add_once
        else:
            self._add = self._add_pair

    def lines(self) -> Iterator[bytes]:
        """Yield the sums as lines, in no order."""
        if self._question.is_digest:
            return (b"%b\t%b\n" % (key, format_sums(row)) for key, row in self.sums.items())
        if self._question.once:
            return (b"%b\t%b\t%b\n" % (key, format_sums(row), HOWS[row[5]]) for key, row in self.sums.items())
        return (b"%b\t%b\n" % (key, format_pair(row)) for key, row in self.sums.items())

    def add_record(self, record: list[bytes], number: int, *, is_copy: bool) -> None:
        """Add a record, or so many copies."""
        start, end, interface, source, destination, source_port, port, protocol, packets, size, action = record[:11]
        flags, packet_source, packet_destination = record[11:]
        if not is_copy:
            if protocol == TCP and flags == b"-":
                self._tally.add("without_flags", number)
            if packet_source == packet_destination == b"-":
                self._tally.add("without_packet_addresses", number)
        ends = packet_addresses(record)
        is_source, how = self._learned.server_of(action, protocol, ends[0], source_port, ends[1], port)
        if is_source:
            side, server_port, client_port = b"src", source_port, port
        else:
            side, server_port, client_port = b"dst", port, source_port
        if not (
            self._keeps_ports
            or client_port == b"-"
            or int(client_port) <= HIGHEST_KNOWN_PORT
            or plain_side(source_port, port, flags) != side
        ):
            client_port = b"-"
        first = seconds_of(start)
        row = [int(size) * number, int(packets) * number, number, first, seconds_of(end), COPY if is_copy else how]
        self._note(row)
        self._add(
            (
                first - first % HOUR,
                interface,
                source,
                destination,
                server_port,
                side,
                client_port,
                protocol,
                action,
                flags,
                b"-" if packet_source == source else packet_source,
                b"-" if packet_destination == destination else packet_destination,
            ),
            row,
        )

    def add_row(self, key: Key, row: Row) -> None:
        """Add a row of a digest."""
        if row[5] != COPY and key[7] == TCP and key[9] == b"-":
            self._tally.add("without_flags", row[2])
        self._note(row)
        self._add(key, row)

    def _note(self, row: Row) -> None:
        self.read[0] += row[0]
        self.read[1] += row[1]

    def _sum(self, key: bytes, row: Row) -> None:
        known = self.sums.get(key)
        if known is None:
            self.sums[key] = row
            return
        known[0] += row[0]
        known[1] += row[1]
        known[2] += row[2]
        known[3] = min(known[3], row[3])
        known[4] = max(known[4], row[4])
        known[5] = max(known[5], row[5])

    def _fold(self, key: Key, row: Row) -> None:
        hour, *texts, packet_source, packet_destination = key
        self._counts(key, row)
        how = HOWS[row[5]]
        self._sum(b"\t".join((format_seconds(hour), *texts, how, packet_source, packet_destination)), row)

    def _counts(self, key: Key, row: Row) -> bool:
        """Whether a row's server has a wanted port, which is looked at with `--pairs`. Counts the row by its how."""
        ports = self._question.ports
        if self._question.pairs and ports is not None and key[4] not in ports:
            self._tally.add("moved_ports", row[2])
            return False
        if row[5] != COPY:
            self._tally.add(COUNTERS[row[5]], row[2])
        self.hours.add(key[0])
        return True

    def _flow_of(self, key: Key) -> Flow:
        """The flow of a row, with the addresses of the conversation."""
        _, _, source, destination, port, side, client_port, protocol, action, _, packet_source, packet_destination = key
        if self._question.packet_addresses:
            source = source if packet_source == b"-" else packet_source
            destination = destination if packet_destination == b"-" else packet_destination
        # Of an open port above 1024 one interface may log the SYN in all its records, and another one not.
        if not self._keeps_ports and client_port != b"-" and int(client_port) > HIGHEST_KNOWN_PORT:
            client_port = b"-"
        return source, destination, port, side, client_port, protocol, action

    def _add_once(self, key: Key, row: Row) -> None:
        if row[5] == COPY:
            self._tally.add("moved_duplicate", row[2])
            return
        if not self._counts(key, row):
            return
        hour, interface, source, destination = key[:4]
        learned = self._learned
        if (
            self._question.packet_addresses
            and key[10] == key[11] == b"-"
            and (
                b"%b\t%b" % (source, destination) in learned.gateways
                or b"%b\t%b" % (destination, source) in learned.gateways
            )
        ):
            self._tally.add("relayed", row[2])
            return
        flow = self._flow_of(key)
        home = learned.homes.get(b"%b\t%b" % (interface, family_of(source)))
        if home is not None and home == flow[0]:
            place = b"src"
        elif home is not None and home == flow[1]:
            place = b"dst"
        else:
            place = b"eni:" + interface
        self._sum(b"%b\t%b\t%d" % (b"\t".join(flow), place, hour), row)

    def _add_pair(self, key: Key, row: Row) -> None:
        if not self._counts(key, row):
            return
        flow = self._flow_of(key)
        sums = row[:3]
        add_values(self._tally, self._question, dict(zip(METRICS, sums)))
        pair = pair_of(flow)
        known = self.sums.setdefault(pair, [0] * 9 + [COPY])
        add_pair(known, flow, sums, row[5])


def format_sums(row: Row) -> bytes:
    """Print the sums of a row."""
    return b"%d\t%d\t%d\t%d\t%d" % tuple(row[:5])


def pair_of(flow: Flow) -> bytes:
    """Client, server, port and protocol."""
    source, destination, port, side, _, protocol, _ = flow
    client, server = (destination, source) if side == b"src" else (source, destination)
    return b"\t".join((client, server, port, protocol))


def add_pair(known: Row, flow: Flow, sums: Iterable[int], how: int) -> None:
    """Add a flow's bytes, packets and records to the nine sums of its pair, and its how."""
    to_client = int(flow[3] == b"src")
    for at, value in enumerate(sums):
        known[at] += value
        known[3 + 2 * at + to_client] += value
    known[9] = max(known[9], how)


def format_pair(row: Row) -> bytes:
    """Print the sums of a pair and how: `copy` if there are only copies yet."""
    return b"%b\t%b" % (b"\t".join([b"%d" % value for value in row[:9]]), HOWS[row[9]])


def add_values(tally: Tally, question: Question, sums: dict[bytes, int]) -> None:
    """Add to what the sums of the answer add up to, with `--pairs` only of the first metric."""
    for metric in question.metrics[:1] if question.pairs else question.metrics:
        if metric in sums:
            tally.add("values_" + metric.decode(), sums[metric])


def fold(lines: Iterable[bytes], question: Question, learned: Learned, tally: Tally) -> Iterator[bytes]:
    """Yield the rows, nodes or pairs of the lines of `distinct`; see the module."""
    folding = Folding(question, learned, tally)
    for line in lines:
        record, number, is_copy = read_distinct(line)
        folding.add_record(record, number, is_copy=is_copy)
        if len(folding.sums) >= ROWS_HELD:
            yield from folding.lines()
            folding.sums.clear()
    for metric, total in zip(METRICS, folding.read):
        tally.add("values_read_" + metric.decode(), total)
    yield from folding.lines()


# `once` -----------------------------------------------------------------------------------------------------------


class Node(NamedTuple):
    """What was seen of a flow at a place in an hour."""

    first: int
    place: bytes
    hour: int
    row: Row


def rank_of_place(place: bytes) -> bytes:
    """Places sort as src, dst, then others by name."""
    return b"0" if place == b"src" else b"1" if place == b"dst" else b"2" + place


def choose(nodes: list[Node], at: int) -> list[Node]:
    """Those of a flow's nodes, in ascending order of (first, rank of place, hour), that have the largest sum.

    `at` is the number of the value in their rows. Two neighbours in time are of one place, or the later one begins more
    than SLACK seconds after the place of the earlier one has last been seen.
    """
    ends = _ends(nodes)
    best: list[int] = []
    before: list[int] = []  # the node before it in its chain; -1 for none
    last_of_place: dict[bytes, int] = {}
    waiting: list[tuple[int, int]] = []
    over = -1  # the best of the nodes that have ended
    for number, node in enumerate(nodes):
        while waiting and waiting[0][0] + SLACK < node.first:
            one = heapq.heappop(waiting)[1]
            if over < 0 or (best[one], -one) > (best[over], -over):
                over = one
        link = last_of_place.get(node.place, -1)
        if over >= 0 and (link < 0 or best[over] > best[link]):
            link = over
        best.append(node.row[at] + (best[link] if link >= 0 else 0))
        before.append(link)
        last_of_place[node.place] = number
        heapq.heappush(waiting, (ends[number], number))
    chosen = []
    number = best.index(max(best))
    while number >= 0:
        chosen.append(nodes[number])
        number = before[number]
    return chosen


def _ends(nodes: list[Node]) -> list[int]:
    """For each node, the latest end of its place up to its hour. A place's nodes are in the order of their hours."""
    latest: dict[bytes, int] = {}
    ends = []
    for node in nodes:
        latest[node.place] = max(latest.get(node.place, 0), node.row[4])
        ends.append(latest[node.place])
    return ends


class Once:
    """Adds up what is chosen of flows, one flow after the other, by the key of the question.

    Attributes:
        sums: the sums by key, in the order of SUMS; with `--pairs` nine, and the number of how.

    """

    def __init__(self, question: Question, tally: Tally) -> None:
        self._question = question
        self._tally = tally
        self._key_of = key_printer(() if question.pairs else question.by)
        self.sums: dict[bytes, Row] = {}

    def lines(self) -> Iterator[bytes]:
        """Yield the sums as lines, in no order."""
        if self._question.pairs:
            return (b"%b\t%b\n" % (key, format_pair(row)) for key, row in self.sums.items())
        is_long_value_sum = len(self._question.metrics) == 1 and self._question.metrics[0] not in TIME_METRICS
        prefix = PREFIX if is_long_value_sum else b""
        places = [SUMS.index(metric) for metric in self._question.metrics]
        return (
            b"%b%b\t%b\n" % (prefix, key, b"\t".join([b"%d" % row[at] for at in places]))
            for key, row in self.sums.items()
        )

    def add_flow(self, flow: Flow, rows: dict[tuple[bytes, int], Row]) -> None:
        """Add all rows of a flow, by place and hour."""
        nodes = [Node(row[3], place, hour, row) for (place, hour), row in rows.items()]
        if len({node.place for node in nodes}) > 1:
            nodes.sort(key=lambda node: (node.first, rank_of_place(node.place), node.hour))
            chosen = [choose(nodes, at) for at in range(3)]
            self._tally.add("collapsed", sum(node.row[2] for node in nodes) - sum(node.row[2] for node in chosen[2]))
        else:
            chosen = [nodes] * 3
        totals = [sum(node.row[at] for node in those) for at, those in enumerate(chosen)]
        if self._question.pairs:
            known = self.sums.setdefault(pair_of(flow), [0] * 9 + [COPY])
            add_pair(known, flow, totals, max(node.row[5] for node in nodes))
        else:
            self._add_sums(flow, nodes, chosen)
        add_values(self._tally, self._question, dict(zip(METRICS, totals)))

    def _add_sums(self, flow: Flow, nodes: list[Node], chosen: list[list[Node]]) -> None:
        for node in nodes:
            key = self._key_of(flow, node.hour)
            known = self.sums.setdefault(key, [0, 0, 0, node.row[3], node.row[4]])
            known[3] = min(known[3], node.row[3])
            known[4] = max(known[4], node.row[4])
        for at, those in enumerate(chosen):
            for node in those:
                self.sums[self._key_of(flow, node.hour)][at] += node.row[at]


def once(lines: Iterable[bytes], question: Question, tally: Tally) -> Iterator[bytes]:
    """Yield the sums of the sorted lines of `fold`; see the module."""
    answer = Once(question, tally)
    for flow, nodes in flows_of(lines):
        answer.add_flow(flow, nodes)
        if len(answer.sums) >= ROWS_HELD:
            yield from answer.lines()
            answer.sums.clear()
    yield from answer.lines()


def flows_of(lines: Iterable[bytes]) -> Iterator[tuple[Flow, dict[tuple[bytes, int], Row]]]:
    """Yield each flow of sorted lines of `fold`, and its rows by place and hour."""
    current: Flow = ()
    nodes: dict[tuple[bytes, int], Row] = {}
    for line in lines:
        texts = line.rstrip(b"\t\n").split(b"\t")
        try:
            *columns, place, hour, size, packets, records, first, last, how = texts
            row = [int(size), int(packets), int(records), int(first), int(last), HOWS.index(how)]
            node = place, int(hour)
        except ValueError:
            columns = []
        if len(columns) != FLOW_COLUMNS:
            raise BadInputError(f"not a line of conversations.py fold: {line[:200]!r}")
        flow = tuple(columns)
        if flow != current:
            if flow < current:
                raise BadInputError(f"not sorted by bytes (use LC_ALL=C sort): {line[:200]!r}")
            if nodes:
                yield current, nodes
            current, nodes = flow, {}
        known = nodes.get(node)
        if known is None:
            nodes[node] = row
        else:
            nodes[node] = [
                *map(int.__add__, known[:3], row[:3]),
                min(known[3], row[3]),
                max(known[4], row[4]),
                max(known[5], row[5]),
            ]
    if nodes:
        yield current, nodes


# The key of the answer --------------------------------------------------------------------------------------------


class Known(dict[Any, Any]):
    """The results of a function by its argument."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, value: Any) -> Any:
        result = self.function(value)
        if len(self) >= ROWS_HELD:
            self.clear()
        self[value] = result
        return result


def key_printer(by: tuple[bytes, ...]) -> Callable[[Flow, int], bytes]:
    """Return a function that prints the key of a flow in an hour; ValueError if it has a part that no flow has."""
    parts = [part_of(word) for word in by]
    if by == RECIPE_KEY:
        return lambda flow, hour: format_talker([part(flow, hour) for part in parts])
    return lambda flow, hour: b"\t".join([part(flow, hour) for part in parts])


def part_of(word: bytes) -> Callable[[Flow, int], bytes]:
    """Return a function that prints a part of the key of a flow in an hour; ValueError if no flow has it."""
    if word in PARTS:
        return PARTS[word]
    field, *lengths = word.split(b"/")
    if field not in (b"srcaddr", b"dstaddr") or len(lengths) != 2:
        raise ValueError(word)
    short, long = map(int, lengths)
    if short > 32 or long > 128:
        raise ValueError(word)
    networks = Known(lambda address: network_of(address, short, long))
    at = int(field == b"dstaddr")
    return lambda flow, _: networks[flow[at]]


def _client_port(flow: Flow, _: int) -> bytes:
    port = flow[4]
    return port if port != b"-" and int(port) <= HIGHEST_KNOWN_PORT else b"-"


_times = Known(format_seconds)

PARTS: dict[bytes, Callable[[Flow, int], bytes]] = {
    b"hour": lambda _, hour: _times[hour],
    b"day": lambda _, hour: _times[hour - hour % DAY],
    b"srcaddr": lambda flow, _: flow[0],
    b"dstaddr": lambda flow, _: flow[1],
    b"pair": lambda flow, _: min(flow[:2]) + b"\t" + max(flow[:2]),
    b"srcport": lambda flow, _: flow[2] if flow[3] == b"src" else flow[4],
    b"dstport": lambda flow, _: flow[4] if flow[3] == b"src" else flow[2],
    b"service-port": lambda flow, _: flow[2],
    b"side": lambda flow, _: flow[3],
    b"client-port": _client_port,
    b"protocol": lambda flow, _: flow[5],
    b"action": lambda flow, _: flow[6],
}
"""The parts of a key that a flow has, beside networks."""


def format_talker(parts: list[bytes]) -> bytes:
    """Print the parts of the recipe's key as a talker: `192.0.2.1:198.51.100.7:443`, IPv6 in brackets."""
    return b":".join([b"[" + part + b"]" if b":" in part else part for part in parts])


def network_of(address: bytes, short: int, long: int) -> bytes:
    """Cut an address to `short` bits of IPv4 or `long` bits of IPv6: `10.0.0.0/24`; IPv6 as in RFC 5952."""
    if b":" in address:
        from ipaddress import IPv6Address  # rarely needed, and slow to load

        bits = int(IPv6Address(address.decode())) >> (128 - long) << (128 - long)
        return f"{_format_ipv6(bits)}/{long}".encode()
    first, second, third, fourth = map(int, address.split(b"."))
    bits = ((first << 24) | (second << 16) | (third << 8) | fourth) >> (32 - short) << (32 - short)
    return b"%d.%d.%d.%d/%d" % (bits >> 24, bits >> 16 & 255, bits >> 8 & 255, bits & 255, short)


def _format_ipv6(bits: int) -> str:
    """Print an IPv6 address as RFC 5952 has it, but never with a dotted end."""
    groups = [f"{bits >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)]
    longest, at, start = 1, -1, 0
    for number in range(9):
        if number == 8 or groups[number] != "0":
            if number - start > longest:
                longest, at = number - start, start
            start = number + 1
    if at < 0:
        return ":".join(groups)
    return ":".join(groups[:at]) + "::" + ":".join(groups[at + longest :])


# The command line -------------------------------------------------------------------------------------------------


def parse_ports(text: str) -> frozenset[bytes] | None:
    """Read `0-1024`, `22,443,8000-8999` into the set of wanted ports; None for `all`."""
    if text in ("all", "0-65535"):
        return None
    wanted: set[int] = set()
    for item in text.split(","):
        first, _, last = item.partition("-")
        low, high = int(first), int(last or first)
        if not 0 <= low <= high <= 65535:
            raise ValueError(text)
        wanted.update(range(low, high + 1))
    return frozenset(b"%d" % port for port in wanted)


ROLES = ("distinct", "learn-map", "learn-reduce", "fold", "once")


def parse_arguments(arguments: list[str]) -> tuple[str, Question, str | None]:
    """Read the command line: the role, the question and the learned table; a wrong value is a usage error."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="For example: conversations.py fold --learned learned.tsv --count once --by srcaddr,dstaddr",
    )
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--by", default="srcaddr,dstaddr,dstport", help="parts of the key, separated by commas")
    parser.add_argument("--metric", default="records", help="records, packets, bytes, first, last, with commas")
    parser.add_argument("--ports", default="all", help="the server's ports with --pairs: all; 0-1024; 22,443")
    parser.add_argument("--count", choices=("records", "once"), default="records")
    parser.add_argument("--pairs", choices=("yes", "no"), nargs="?", const="yes", default="no")
    parser.add_argument("--address", choices=("eni", "pkt"), default="pkt")
    parser.add_argument("--learned", help="the table that learn-reduce has printed (fold)")
    options = parser.parse_args(arguments)
    by = tuple(options.by.encode().split(b","))
    metrics = tuple(options.metric.encode().split(b","))
    if not all(metric in SUMS for metric in metrics):
        parser.error(f"--metric: {options.metric!r} is not understood")
    try:
        ports = parse_ports(options.ports)
    except ValueError:
        parser.error(f"--ports: {options.ports!r} is not understood")
    is_once, is_pairs = options.count == "once", options.pairs == "yes"
    question = Question(by, metrics, ports, is_once, is_pairs, options.address == "pkt")
    if options.role in ("fold", "once") and not question.is_digest and not question.pairs:
        try:
            key_printer(question.by)
        except ValueError:
            parser.error(f"--by: {options.by!r} is not understood")
    if options.role == "fold" and options.learned is None:
        parser.error("fold needs --learned")
    return options.role, question, options.learned


def run(role: str, lines: Iterable[bytes], question: Question, learned: str | None, tally: Tally) -> Iterator[bytes]:
    """The lines of a role."""
    if role == "distinct":
        return distinct(lines, question, tally)
    if role == "learn-map":
        return learn_map(lines)
    if role == "learn-reduce":
        return learn_reduce(lines)
    if role == "once":
        return once(lines, question, tally)
    with Path(learned or "").open("rb") as file:
        table = Learned.read(file)
    return fold(lines, question, table, tally)


def main(arguments: list[str], stdin: BinaryIO, stdout: BinaryIO, stderr: TextIO) -> int:
    """Run a role over binary streams. Returns the exit code."""
    role, question, learned = parse_arguments(arguments)
    tally = Tally()
    try:
        stdout.writelines(run(role, stdin, question, learned, tally))
    except (BadInputError, OSError) as error:
        stderr.write(f"conversations.py: {error}\n")
        return 1
    except ValueError as error:  # a column is not of its kind
        stderr.write(f"conversations.py: not the input of {role}: {error}\n")
        return 1
    stdout.flush()
    stderr.writelines(f"reporter:counter:toptalkers,{name},{number}\n" for name, number in counters_of(tally).items())
    return 0


def counters_of(tally: Tally) -> dict[str, int]:
    """The counters to report: sums in halves, so that those of all reducers cannot overflow."""
    counters = {}
    for name, number in tally.items():
        if name.startswith("values_"):
            metric = name[len("values_") :]
            counters["values_high_" + metric] = number >> 32
            counters["values_low_" + metric] = number & 0xFFFFFFFF
        else:
            counters[name] = number
    return {name: number for name, number in counters.items() if number}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
