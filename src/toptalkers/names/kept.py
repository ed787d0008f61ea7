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
from toptalkers.names.snapshot import Scope, Snapshot, format_snapshot, parse_snapshot

Item = TypeVar("Item")

NAMES_KEY = b"toptalkers.names"
"""The key of the metadata of a Parquet file."""


def format_kept(snapshot: Snapshot) -> bytes:
    """Write a snapshot as the value of `NAMES_KEY`. The same snapshot gives the same bytes."""
    return base64.b64encode(gzip.compress(b"".join(format_snapshot(snapshot)), mtime=0))


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
    return replace(
        one,
        interfaces=_union(one.interfaces, other.interfaces, lambda item: item.interface_id),
        instances=_union(one.instances, other.instances, lambda item: item.instance_id),
        groups=_union(one.groups, other.groups, lambda item: item.group_id),
        subnets=_union(one.subnets, other.subnets, lambda item: item.subnet_id),
        vpcs=_union(one.vpcs, other.vpcs, lambda item: item.vpc_id),
        prefix_lists=_union(one.prefix_lists, other.prefix_lists, lambda item: (item.list_id, item.networks)),
        holes=_union(one.holes, other.holes, lambda item: item),
    )


def _union(some: Iterable[Item], more: Iterable[Item], identity: Callable[[Item], object]) -> tuple[Item, ...]:
    return tuple({identity(item): item for item in (*more, *some)}.values())
