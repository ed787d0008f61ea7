"""Who an address belonged to at a time. The rules are those of `docs/names.md`."""

from collections.abc import Iterable
from pathlib import Path

from toptalkers.names.snapshot import Snapshot
from toptalkers.question.named import NamedPart

DAY_SECONDS = 86_400

Window = tuple[int, int]
"""Seconds since 1970: [from, until)."""


class Names:
    """What addresses are called.

    Attributes:
        snapshots: what it was made from.
        shares_addresses: whether an address belongs to interfaces of several VPCs, so that the interface that logged a
            record tells more.

    """

    snapshots: tuple[Snapshot, ...]
    shares_addresses: bool

    def __init__(self, snapshots: Iterable[Snapshot], *, within_s: int = DAY_SECONDS) -> None:
        raise NotImplementedError

    def label(self, part: NamedPart, address: str, window: Window | None = None, interface_id: str = "") -> str:
        """What one address is called; with `~` before it if the name is of another time.

        Args:
            part: what it is called by; its side does not matter.
            address: as it was logged; `-` stays `-`.
            window: the time of the record; None if it is not known.
            interface_id: the interface that logged it; empty or `-` if that is not known.

        """
        raise NotImplementedError


def read_names(paths: Iterable[Path], *, within_s: int = DAY_SECONDS) -> Names:
    """Read snapshots from files. ToptalkersError for one that cannot be read, or is none."""
    raise NotImplementedError
