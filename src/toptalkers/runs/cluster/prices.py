"""What a cluster costs, by a table of prices that is part of the program. AWS has the prices that count."""

from toptalkers.runs.cluster.sizing import Sizing, vcpus

EC2_PER_VCPU_HOUR = {
    "c6g": 0.0340,
    "c6i": 0.0425,
    "c7g": 0.03625,
    "c7i": 0.044625,
    "m5": 0.0480,
    "m6g": 0.0385,
    "m6i": 0.0480,
    "m7g": 0.0408,
    "m7i": 0.0504,
    "r5": 0.0630,
    "r6g": 0.0504,
    "r6i": 0.0630,
    "r7g": 0.05355,
    "r7i": 0.06615,
}
"""Dollars per vCPU and hour of Linux on demand in us-east-1, by family; inside a family they are proportional to size
(public price lists of 2026, such as m7g.xlarge at 0.1632)."""

EMR_SHARE = 0.25
"""EMR's own price, a share of EC2's price on demand (EMR's price list: m5.xlarge 0.048 beside 0.192). It is paid for
Spot instances as well."""

PRICED_IN = "us-east-1"


def dollars(sizing: Sizing) -> float | None:
    """Estimate what a cluster costs in us-east-1, EC2 and EMR, without disks; None for a type without a known price.

    Spot instances count as if they were on demand: their price changes, and is lower.
    """
    prices = [EC2_PER_VCPU_HOUR.get(one.partition(".")[0]) for one in (sizing.primary_type, sizing.instance_type)]
    if prices[0] is None or prices[1] is None:
        return None
    an_hour = prices[0] * vcpus(sizing.primary_type) + prices[1] * sizing.map_slots
    return an_hour * (1 + EMR_SHARE) * sizing.minutes / 60


def describe_cost(sizing: Sizing, region: str) -> str:
    """Write the estimate of a cluster's cost: `about $0.08`, with the Region of the prices if it is another."""
    cost = dollars(sizing)
    if cost is None:
        types = dict.fromkeys((sizing.instance_type, sizing.primary_type))
        return f"not known for {' with '.join(types)}"
    elsewhere = "" if region == PRICED_IN else f", by the prices of {PRICED_IN}"
    return f"{'at most about' if sizing.spot else 'about'} ${max(cost, 0.01):,.2f} for EC2 and EMR{elsewhere}"
