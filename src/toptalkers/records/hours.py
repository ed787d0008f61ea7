"""When the flow logs with the records of a given time arrive, and which hours a dated folder covers."""

from datetime import UTC, datetime, timedelta

EARLIEST_ARRIVAL = timedelta(hours=-1)
LATEST_ARRIVAL = timedelta(hours=2)
"""How long after its start a record can arrive: ten minutes of aggregation, ten of delivery (VPC user guide), five of
batching, and the time of retries. It arrives earlier only as far as clocks differ."""


def span_of_date(date: tuple[int, ...]) -> tuple[datetime, datetime] | None:
    """Return the start and the end of a year, month, day or hour; None if there is no such date."""
    try:
        match date:
            case (year,):
                return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
            case (year, month):
                begin = datetime(year, month, 1, tzinfo=UTC)
                return begin, (begin + timedelta(days=31)).replace(day=1)
            case (year, month, day):
                begin = datetime(year, month, day, tzinfo=UTC)
                return begin, begin + timedelta(days=1)
            case (year, month, day, hour):
                begin = datetime(year, month, day, hour, tzinfo=UTC)
                return begin, begin + timedelta(hours=1)
            case _:
                return None
    except (ValueError, OverflowError):
        return None


def whole_hour(moment: datetime) -> datetime:
    """Return the start of the moment's hour."""
    return moment.replace(minute=0, second=0, microsecond=0)
