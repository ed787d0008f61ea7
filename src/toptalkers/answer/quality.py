"""The quality of an answer: what is known about how well its numbers hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from toptalkers.question.times import HOUR_SECONDS, LARGEST_TIME

UNKNOWN_INTERFACE = "-"
"""The interface of a record with SKIPDATA that does not name it."""


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
        without_packet_addresses: records, without copies, that have neither `pkt-srcaddr` nor `pkt-dstaddr`. Of a
            digest, all that it was made from, whether or not the question counts them.

    """

    duplicates: int | None = None
    collapsed: int | None = None
    relayed: int | None = None
    oriented: Mapping[str, int] = field(default_factory=dict)
    skipdata: Mapping[str, int] = field(default_factory=dict)
    hours: Sequence[int] = ()
    without_flags: int | None = None
    without_packet_addresses: int | None = None

    def __add__(self, other: Self) -> "Quality":
        """The quality of both parts."""
        if self == _NOTHING:
            return other
        return Quality(
            _sum(self.duplicates, other.duplicates),
            _sum(self.collapsed, other.collapsed),
            _sum(self.relayed, other.relayed),
            _added(self.oriented, other.oriented),
            _added(self.skipdata, other.skipdata),
            self.hours if self.hours == other.hours else tuple(sorted({*self.hours, *other.hours})),
            _sum(self.without_flags, other.without_flags),
            _sum(self.without_packet_addresses, other.without_packet_addresses),
        )

    @property
    def window(self) -> tuple[int, int] | None:
        """From the first hour to the end of the last one, in seconds since 1970; None if no hour is known."""
        return (self.hours[0], self.hours[-1] + HOUR_SECONDS) if self.hours else None

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """The hours in between in which no counted record starts, each gap as [from, until) in seconds since 1970."""
        ends = ((before + HOUR_SECONDS, after) for before, after in zip(self.hours, self.hours[1:], strict=False))
        return [(end, start) for end, start in ends if end < start]

    def noted(self) -> dict[str, object]:
        """What was noted of the records themselves, for JSON that `parse` reads back."""
        return {"skipdata": dict(self.skipdata), "hours": list(self.hours)}

    @classmethod
    def parse(cls, given: object) -> Self:
        """Read what `noted` made; ValueError, KeyError or TypeError for anything else."""
        if not isinstance(given, dict):
            raise TypeError("no quality")
        skipdata, hours = dict(given["skipdata"]), list(given["hours"])
        if not all(isinstance(name, str) for name in skipdata):
            raise ValueError("no interfaces")
        if any(type(number) is not int or number < 1 for number in skipdata.values()):
            raise ValueError("no windows")
        if any(type(hour) is not int or not 0 <= hour <= LARGEST_TIME or hour % HOUR_SECONDS for hour in hours):
            raise ValueError("no hours")
        return cls(skipdata=skipdata, hours=tuple(sorted(set(hours))))


_NOTHING = Quality()


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    if not (one and other):
        return one or other
    numbers = dict(one)
    for name, number in other.items():
        numbers[name] = numbers.get(name, 0) + number
    return numbers
