"""The names that a digest keeps: the part of snapshots that its addresses need, as text for a file's metadata.

Parquet's metadata are texts, so the snapshot, which is JSON, is compressed and written in base64.
"""

import base64
import binascii
import gzip
import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from toptalkers.errors import ToptalkersError
from toptalkers.names.snapshot import Interface, PrefixList, Scope, Snapshot, format_snapshot, parse_snapshot

Item = TypeVar("Item")

NAMES_KEY = b"toptalkers.names"
"""The key of the metadata of a Parquet file."""


def format_kept(snapshot: Snapshot) -> bytes:
    """Write a snapshot as the value of `NAMES_KEY`. The same snapshot gives the same bytes."""
    return base64.b64encode(gzip.compress(b"".join(format_snapshot(snapshot)), 6, mtime=0))


def parse_kept(text: bytes, name: str) -> Snapshot:
    """Read the value of `NAMES_KEY` in the file `name`; ToptalkersError, which names the file, if it is damaged."""
    try:
        return parse_snapshot(gzip.decompress(base64.b64decode(text, validate=True)), "its metadata")
    except (binascii.Error, OSError, EOFError, zlib.error, ToptalkersError) as error:
        raise ToptalkersError(
            f"{name}: the names that this digest keeps cannot be read: {error}", hint="name its addresses with --names"
        ) from error


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """One snapshot with all that some have.

    What one account had in one Region at one time is one scope, also if each snapshot has another part of it: digests
    keep only what their own addresses need.
    """
    ranges = {}
    scopes: dict[tuple[str, str, int], Scope] = {}
    for snapshot in snapshots:
        ranges.update(dict.fromkeys(snapshot.ranges))
        for scope in snapshot.scopes:
            key = scope.account_id, scope.region, scope.taken_s
            scopes[key] = _joined(scopes[key], scope) if key in scopes else scope
    return Snapshot(tuple(scopes[key] for key in sorted(scopes)), tuple(ranges))


def _joined(one: Scope, other: Scope) -> Scope:
    """Both parts of a scope."""
    # Of an interface that only logged records, a digest keeps no more than the VPC; another may know all of it.
    interfaces = sorted((*one.interfaces, *other.interfaces), key=lambda item: not _has_only_vpc(item))
    lists: dict[tuple[str, str], dict[str, None]] = {}
    for item in (*one.prefix_lists, *other.prefix_lists):
        lists.setdefault((item.list_id, item.name), {}).update(dict.fromkeys(item.networks))
    return replace(
        one,
        interfaces=_each_once(interfaces, lambda item: item.interface_id),
        instances=_each_once((*one.instances, *other.instances), lambda item: item.instance_id),
        groups=_each_once((*one.groups, *other.groups), lambda item: item.group_id),
        subnets=_each_once((*one.subnets, *other.subnets), lambda item: item.subnet_id),
        vpcs=_each_once((*one.vpcs, *other.vpcs), lambda item: item.vpc_id),
        prefix_lists=tuple(PrefixList(*key, tuple(networks)) for key, networks in lists.items()),
        holes=_each_once((*one.holes, *other.holes), lambda item: item),
    )


def _has_only_vpc(one: Interface) -> bool:
    return one == Interface(one.interface_id, one.vpc_id)


def _each_once(items: Iterable[Item], identity: Callable[[Item], object]) -> tuple[Item, ...]:
    """The items, each identity once; the last one of it."""
    return tuple({identity(item): item for item in items}.values())
