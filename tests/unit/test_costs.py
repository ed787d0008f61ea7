"""The rule of thumb for costs."""

from toptalkers.aws.stream import Stream
from toptalkers.capture.costs import VENDED_TO_LOGS, estimate_costs, tiered


def test_prices_go_down_by_tiers() -> None:
    """Each tier's price applies only to the volume within it."""
    assert tiered(100, VENDED_TO_LOGS) == 50
    assert tiered(10_240 + 20_480 + 20_480 + 100, VENDED_TO_LOGS) == 5120 + 5120 + 2048 + 5


def test_the_direct_way_costs_half() -> None:
    """The docs have the right price of 100 GB per month, over the stream and directly."""
    stream = Stream("s", "ACTIVE", 1, is_on_demand=False)
    over_stream = sum(one.dollars for one in estimate_costs(logs_gb_day=100 / 30, direct_gb_day=0, stream=stream))
    direct = sum(one.dollars for one in estimate_costs(logs_gb_day=0, direct_gb_day=100 / 30, stream=None))
    assert 60 < over_stream < 63
    assert 25 < direct < 26
