"""Estimate what capturing costs per month.

Prices are those of us-east-1 in US dollars, without free tier, discounts and tax; other Regions differ by up to half.
See aws.amazon.com/cloudwatch/pricing (Logs, Vended Logs) and aws.amazon.com/kinesis/data-streams/pricing.
"""

from dataclasses import dataclass

from toptalkers.aws.stream import Stream

Tiers = tuple[tuple[float, float], ...]

VENDED_TO_LOGS: Tiers = ((10_240, 0.50), (30_720, 0.25), (51_200, 0.10), (float("inf"), 0.05))
"""Tiers of (GB per month, dollars per GB): uncompressed flow logs to CloudWatch Logs."""

VENDED_TO_S3: Tiers = ((10_240, 0.25), (30_720, 0.15), (51_200, 0.075), (float("inf"), 0.05))
"""The same for direct delivery to S3."""

SHARD_MONTH = 0.015 * 730
ON_DEMAND_MONTH = 0.04 * 730
ON_DEMAND_GB = 0.12
"""Dollars per GB in and out of an on-demand stream; CloudWatch Logs sends records compressed."""

STORED_GB = 0.023

GZIP_RATIO = 8
"""How many times larger flow logs are than their gzip, within a third."""

DAYS = 30

ASSUMPTIONS = (
    f"us-east-1, {DAYS} times the last day, gzip at 1:{GZIP_RATIO}; Lambda, requests and metrics add a dollar or two;"
    " clusters are extra"
)


@dataclass(frozen=True, slots=True)
class Cost:
    """One item of a monthly bill."""

    item: str
    dollars: float


def estimate_costs(
    *, logs_gb_day: float, direct_gb_day: float, stream: Stream | None, stored_days: int
) -> tuple[Cost, ...]:
    """Estimate a month of capturing.

    Args:
        logs_gb_day: GB of uncompressed flow logs per day, to CloudWatch Logs.
        direct_gb_day: the same, directly to S3.
        stream: the stream; None without one.
        stored_days: how many days S3 keeps them.

    """
    costs = []
    logs_gb, direct_gb = logs_gb_day * DAYS, direct_gb_day * DAYS
    if logs_gb:
        costs.append(Cost("flow logs to CloudWatch Logs", tiered(logs_gb, VENDED_TO_LOGS)))
    if direct_gb:
        costs.append(Cost("flow logs straight to S3", tiered(direct_gb, VENDED_TO_S3)))
    if stream and stream.is_on_demand:
        costs.append(Cost(f"stream, {format_shards(stream)}", ON_DEMAND_MONTH + logs_gb / GZIP_RATIO * ON_DEMAND_GB))
    elif stream:
        costs.append(Cost(f"stream, {format_shards(stream)}", stream.shards * SHARD_MONTH))
    stored_gb = (logs_gb_day + direct_gb_day) / GZIP_RATIO * stored_days
    costs.append(Cost(f"S3, {stored_days} days of records", stored_gb * STORED_GB))
    return tuple(costs)


def format_shards(stream: Stream) -> str:
    """Describe the size of a stream."""
    if stream.is_on_demand:
        return "on demand"
    return f"{stream.shards} shard{'' if stream.shards == 1 else 's'}"


def tiered(gb: float, tiers: Tiers) -> float:
    """Compute the price in dollars of an amount, each tier at its own price."""
    dollars, below = 0.0, 0.0
    for up_to, price in tiers:
        dollars += max(0.0, min(gb, up_to) - below) * price
        below = up_to
    return dollars
