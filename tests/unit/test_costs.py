"""The rule of thumb for costs."""

import pytest

from toptalkers.aws.stream import Stream
from toptalkers.capture.costs import VENDED_TO_LOGS, estimate_costs, tiered


def test_prices_go_down_by_tiers() -> None:
    """Each tier's price applies only to the volume within it."""
    assert tiered(100, VENDED_TO_LOGS) == 50
    assert tiered(10_240 + 20_480 + 20_480 + 100, VENDED_TO_LOGS) == 5120 + 5120 + 2048 + 5


def test_the_direct_way_costs_half() -> None:
    """The docs have the right price of 100 GB per month, over the stream and directly."""
    stream = Stream("s", "ACTIVE", 1, is_on_demand=False)
    ways = (
        estimate_costs(logs_gb_day=100 / 30, direct_gb_day=0, stream=stream, stored_days=7),
        estimate_costs(logs_gb_day=0, direct_gb_day=100 / 30, stream=None, stored_days=7),
    )
    over_stream, direct = (sum(one.dollars for one in way) for way in ways)
    assert 60 < over_stream < 63
    assert 25 < direct < 26


def test_what_is_kept_longer_costs_more() -> None:
    """P5: the days that S3 keeps records are those of the stack, not always 7."""
    (_, week), (_, year) = (
        estimate_costs(logs_gb_day=0, direct_gb_day=8, stream=None, stored_days=days) for days in (7, 365)
    )
    assert (week.item, year.item) == ("S3, 7 days of records", "S3, 365 days of records")
    assert year.dollars == pytest.approx(week.dollars * 365 / 7)
