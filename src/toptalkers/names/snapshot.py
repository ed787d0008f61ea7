"""A snapshot: what the addresses of an AWS network belonged to at one time. A file of JSON; see `docs/names.md`.

Everything is kept as AWS calls it. What an interface is for, and which name it gives, is told when the file is read
(`interfaces.py`, `owners.py`), so that a better rule helps with old snapshots, too.
"""

import ipaddress
import json
import socket
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from toptalkers.errors import ToptalkersError
from toptalkers.visible import quoted

Tags = Mapping[str, str]

VERSION = 1
"""The version of the format. Keys that are added do not change it; a key whose meaning changes does."""

LATEST_S = 253_402_300_800
"""The year 10,000, in seconds since 1970: no time and no other number of a snapshot is as large."""


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface.

    Attributes:
        interface_id: such as `eni-0123456789abcdef0`.
        vpc_id: its VPC.
        subnet_id: its subnet.
        zone_id: its Availability Zone's id, such as `use1-az1`; its name if AWS gives no id.
        addresses: its private IPv4 addresses, the primary one first, and its IPv6 addresses, in RFC 5952's form.
        public: its public IPv4 addresses, Elastic ones among them.
        prefixes: the IPv4 and IPv6 prefixes delegated to it, such as `10.0.3.16/28`.
        kind: EC2's `InterfaceType`: `interface`, `nat_gateway`, `lambda` ...
        description: as AWS or its owner wrote it.
        requester: the account or service that made it (`RequesterId`); empty if it has none.
        group_ids: its security groups.
        instance_id: the instance that it is attached to; empty if there is none.
        tags: its tags.
        since_s: when it was attached, in seconds since 1970; 0 if that is not known. Before, its addresses were
            another's.

    """

    interface_id: str
    vpc_id: str = ""
    subnet_id: str = ""
    zone_id: str = ""
    addresses: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    kind: str = "interface"
    description: str = ""
    requester: str = ""
    group_ids: tuple[str, ...] = ()
    instance_id: str = ""
    tags: Tags = field(default_factory=dict)
    since_s: int = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance. Its Auto Scaling group, EKS cluster and the like are tags."""

    instance_id: str
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a security group: its direction, protocol (`-1` for all), ports and the other side.

    The other side is a network, a security group's id or a prefix list's id. Ports are -1 where there are none.
    """

    is_inbound: bool
    protocol: str
    from_port: int
    to_port: int
    other: str


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group and its rules."""

    group_id: str
    name: str
    vpc_id: str = ""
    rules: tuple[Rule, ...] = ()
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet, with its networks of both families."""

    subnet_id: str
    vpc_id: str = ""
    zone_id: str = ""
    networks: tuple[str, ...] = ()
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC, with its networks of both families."""

    vpc_id: str
    networks: tuple[str, ...] = ()
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PrefixList:
    """A prefix list: AWS's own (`com.amazonaws.us-east-1.s3`) or a customer's."""

    list_id: str
    name: str
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """What could not be asked: the API's action, such as `ec2:DescribeInstances`, and why, in one line."""

    action: str
    why: str


EVERYTHING, LISTING = "*", "ec2:DescribeNetworkInterfaces"
"""The actions of holes: of a scope of which nothing could be asked, and of one without, or with a part of, its
interfaces."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one account had in one Region at one time.

    Attributes:
        account_id: the account; empty if it is not known.
        region: the Region.
        taken_s: when it was asked for, in seconds since 1970.
        holes: what is missing.

    """

    account_id: str
    region: str
    taken_s: int
    interfaces: tuple[Interface, ...] = ()
    instances: tuple[Instance, ...] = ()
    groups: tuple[SecurityGroup, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    vpcs: tuple[Vpc, ...] = ()
    prefix_lists: tuple[PrefixList, ...] = ()
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """One of AWS's published ranges (`ip-ranges.json`): a network, its service, such as `S3`, and its Region."""

    network: str
    service: str
    region: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is in one file: one scope or several, and AWS's published ranges if the user gave them."""

    scopes: tuple[Scope, ...]
    ranges: tuple[Range, ...] = ()


def format_snapshot(snapshot: Snapshot) -> Iterator[bytes]:
    """Write a snapshot as JSON: one interface, instance, group or the like per line, so that a diff can be read.

    What has its default value is not written. Texts are written as AWS gave them.
    """
    yield b'{"toptalkers": "snapshot", "version": %d, "scopes": [' % VERSION
    for number, scope in enumerate(snapshot.scopes):
        yield b"%s\n{" % (b"," if number else b"")
        yield b", ".join(
            _json(name)[:-1] + b'": ' + _json(getattr(scope, name)) for name in ("account_id", "region", "taken_s")
        )
        for name in _LISTS:
            if found := getattr(scope, name):
                yield b',\n"%s": [' % name.encode()
                yield from _lines(found)
        yield b"}"
    yield b"]"
    if snapshot.ranges:
        yield b',\n"ranges": ['
        yield from _lines(snapshot.ranges)
    yield b"}\n"


def parse_snapshot(content: bytes, name: str) -> Snapshot:
    """Read a snapshot from JSON, or from gzip of JSON; keys that are not known are ignored.

    Args:
        content: the bytes of the file.
        name: the name of the file, for errors.

    Raises:
        ToptalkersError: it is not a snapshot, is of a later version, or a value is wrong; the error says where.

    """
    found = read_json(content, name)
    if not isinstance(found, dict) or found.get("toptalkers") != "snapshot":
        raise ToptalkersError(f"{name} is not a snapshot", hint="'toptalkers snapshot --output FILE' makes one")
    version = found.get("version")
    if type(version) is not int or version != VERSION:
        is_later = type(version) is int and version > VERSION
        raise ToptalkersError(
            f"{name} is a snapshot of version {quoted(str(version))}, and only {VERSION} is known here",
            hint="update toptalkers" if is_later else "has the file been changed?",
        )
    try:
        snapshot: Snapshot = _object_reader(Snapshot)(found, "")
    except _WrongError as error:
        raise ToptalkersError(
            f"{name}: {error.place.lstrip('.')}: {error.what}", hint="has the file been changed?"
        ) from error
    return snapshot


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot from a file, compressed or not. ToptalkersError if it cannot be read, or is none."""
    return parse_snapshot(read_file(path), str(path))


def read_file(path: Path) -> bytes:
    """Read a whole file. ToptalkersError if that is impossible."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToptalkersError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(content: bytes, name: str) -> object:
    """Read JSON, or gzip of JSON. ToptalkersError if it is neither; the error has the given name of the file."""
    if content.startswith(b"\x1f\x8b"):
        content = _unpacked(content, name)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:  # JSON or UTF-8 that is none
        why = str(error)
        if isinstance(error, json.JSONDecodeError):
            why = f"{error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}"
        elif isinstance(error, UnicodeError):
            why = "it is not UTF-8"
        elif isinstance(error, RecursionError):
            why = "it is nested too deeply"
        raise ToptalkersError(f"{name} is not JSON: {why}") from error


_LISTS = ("holes", "vpcs", "subnets", "prefix_lists", "groups", "instances", "interfaces")
"""The lists of a scope, in the order in which they are written: short ones first."""


def _json(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # a surrogate without its pair can only be written as an escape
        return json.dumps(value).encode()


def _lines(values: Iterable[Any]) -> Iterator[bytes]:
    before = b"\n"
    for value in values:
        yield before + _json(_as_dict(value))
        before = b",\n"
    yield b"]"


def _as_dict(value: Any) -> dict[str, Any]:
    """The attributes of a dataclass that differ from their defaults."""
    made: dict[str, Any] = {}
    kind: Any = type(value)
    for name, default in _defaults(kind):
        found = getattr(value, name)
        if found != default:
            if isinstance(found, tuple):
                found = [one if isinstance(one, str) else _as_dict(one) for one in found]
            made[name] = dict(sorted(found.items())) if isinstance(found, Mapping) else found
    return made


@cache
def _defaults(kind: Any) -> tuple[tuple[str, object], ...]:
    return tuple(
        (one.name, one.default if one.default_factory is MISSING else one.default_factory()) for one in fields(kind)
    )


def _unpacked(content: bytes, name: str) -> bytes:
    parts = []
    try:
        while content:
            unpacker = zlib.decompressobj(wbits=31)
            parts.append(unpacker.decompress(content))
            if not unpacker.eof:
                raise ToptalkersError(f"{name} is cut off: its gzip stream has no end")
            content = unpacker.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise ToptalkersError(f"{name} is damaged: {error}") from error
    return b"".join(parts)


class _WrongError(Exception):
    def __init__(self, place: str, what: str) -> None:
        super().__init__(what)
        self.place, self.what = place, what


_Read = Callable[[Any, str], Any]


@cache
def _object_reader(kind: Any) -> _Read:
    """Make the function that reads a dataclass from an object of JSON; the place is said in errors."""
    hints = get_type_hints(kind)
    readers = [(one.name, _reader(one.name, hints[one.name]), _is_needed(one)) for one in fields(kind)]

    def read(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _WrongError(place, f"{_shown(value)} is not an object")
        made = {}
        for name, reader, is_needed in readers:
            if name in value:
                made[name] = reader(value[name], f"{place}.{name}")
            elif is_needed:
                raise _WrongError(place or "the file", f"{name!r} is missing")
        return kind(**made)

    return read


def _is_needed(one: Any) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _reader(name: str, hint: Any) -> _Read:
    """Make the function that reads an attribute, by its type and its name."""
    if hint is bool:
        return _plain(bool, "true or false")
    if hint is int:
        return _number
    if hint is str:
        return _network if name == "network" else _plain(str, "a text")
    if hint == Tags:
        return _tags
    item = hint.__args__[0]
    if item is not str:
        return _list_of(_object_reader(item))
    is_network = name in ("networks", "prefixes")
    return _list_of(_network if is_network else _address if name in ("addresses", "public") else _plain(str, "a text"))


def _plain(kind: type, what: str) -> _Read:
    def read(value: Any, place: str) -> Any:
        if type(value) is not kind:
            raise _WrongError(place, f"{_shown(value)} is not {what}")
        return value

    return read


def _number(value: Any, place: str) -> int:
    if type(value) is not int or not -1 <= value < LATEST_S:
        raise _WrongError(place, f"{_shown(value)} is not a number from -1 to {LATEST_S - 1}")
    return value


def _list_of(read_one: _Read) -> _Read:
    def read(value: Any, place: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _WrongError(place, f"{_shown(value)} is not a list")
        try:
            return tuple([read_one(one, "") for one in value])
        except _WrongError:
            pass  # again, with the places, which cost more than all else
        return tuple([read_one(one, f"{place}[{number}]") for number, one in enumerate(value)])

    return read


def _tags(value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        raise _WrongError(place, f"{_shown(value)} is not an object")
    for key, one in value.items():
        if type(one) is not str:
            raise _WrongError(f"{place}.{key}", f"{_shown(one)} is not a text")
    return value


def _address(value: Any, place: str) -> str:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in value else socket.AF_INET, value)
    except (OSError, TypeError, ValueError) as error:
        raise _WrongError(place, f"{_shown(value)} is not an address") from error
    return str(value)


def _network(value: Any, place: str) -> str:
    try:
        if isinstance(value, str) and "/" in value:
            ipaddress.ip_network(value)
            return value
    except ValueError:
        pass
    raise _WrongError(place, f"{_shown(value)} is not a network")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return json.dumps(value)
