"""Which folders of dates can hold the flow logs of a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

EARLIEST_ARRIVAL = timedelta(hours=-1)
LATEST_ARRIVAL = timedelta(hours=2)
"""How far from its start a record can arrive: ten minutes of aggregation, ten of delivery (VPC user guide), five of
batching, and the time of retries. It arrives earlier only as far as clocks differ. AWS promises nothing ("best
effort"); published samples have a record that arrived an hour after its start."""

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

Part = Literal["all", "some", "none"]
"""How much of a folder is wanted."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A time in which flow logs arrived: from `start` to before `end`."""

    start: datetime
    end: datetime

    @classmethod
    def of_records(cls, since: datetime | None, until: datetime | None) -> Self:
        """The time in which records can have arrived that started in [since, until); None for no bound."""
        return cls(
            _shifted(since, EARLIEST_ARRIVAL, EVER.start) if since else EVER.start,
            _shifted(until, LATEST_ARRIVAL, EVER.end) if until else EVER.end,
        )

    @classmethod
    def of_last_day(cls, now: datetime) -> Self:
        """The whole hours that overlap the 24 hours before now."""
        return cls(_whole_hour(now) - DAY, _whole_hour(now) + HOUR)

    def part_of(self, date: Sequence[int]) -> Part | None:
        """How much of the folder of a date is wanted; None when there is no such date.

        A date is a year, month, day and hour, as many of them as the folder's name has.
        """
        span = _span_of(date)
        if span is None:
            return None
        if span.end <= self.start or span.start >= self.end:
            return "none"
        is_whole = self.start <= span.start and span.end <= self.end
        return "all" if is_whole or len(date) == 4 else "some"


EVER = Arrival(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def _span_of(date: Sequence[int]) -> Arrival | None:
    try:
        match date:
            case ():
                return EVER
            case (year,):
                return Arrival(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
            case (year, month):
                begin = datetime(year, month, 1, tzinfo=UTC)
                return Arrival(begin, (begin + timedelta(days=31)).replace(day=1))
            case (year, month, day):
                begin = datetime(year, month, day, tzinfo=UTC)
                return Arrival(begin, begin + DAY)
            case (year, month, day, hour):
                begin = datetime(year, month, day, hour, tzinfo=UTC)
                return Arrival(begin, begin + HOUR)
            case _:
                return None
    except (ValueError, OverflowError):
        return None


def _whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _shifted(moment: datetime, by: timedelta, bound: datetime) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return bound
