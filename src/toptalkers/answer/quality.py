"""The quality of an answer: what is known about how well its numbers hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Quality:
    """What was found beside the sums. None and empty where an engine, or the question, does not look at it.

    Attributes:
        duplicates: records that are copies of another one, and were not counted.
        collapsed: records that another interface logged as well, and that were not added up.
        relayed: records of translated legs (of a NAT gateway), which belong to conversations that are counted.
        oriented: records by the rule that found their server (`HOWS`).
        skipdata: windows with SKIPDATA by interface: what these logged is a floor.
        hours: the hours (seconds since 1970, whole hours, ascending) in which counted records start.
        without_flags: TCP records, without copies, that have no `tcp-flags`.
        without_packet_addresses: records, without copies, that have neither `pkt-srcaddr` nor `pkt-dstaddr`. In both
            numbers, rows of a digest are not looked at.

    """

    duplicates: int | None = None
    collapsed: int | None = None
    relayed: int | None = None
    oriented: Mapping[str, int] = field(default_factory=dict)
    skipdata: Mapping[str, int] = field(default_factory=dict)
    hours: Sequence[int] = ()
    without_flags: int | None = None
    without_packet_addresses: int | None = None
