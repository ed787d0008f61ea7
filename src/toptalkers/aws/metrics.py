"""CloudWatch: the values of metrics.

API operations: GetMetricData.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from toptalkers.aws.failures import explained

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, and the statistic that makes one value of its values over a time."""

    namespace: str
    name: str
    dimension: tuple[str, str]
    statistic: Literal["Sum", "Maximum"]


class MetricsGateway:
    """CloudWatch's metrics, through the given client."""

    def __init__(self, client: "CloudWatchClient") -> None:
        """Take the client."""
        self._client = client

    @explained("cloudwatch")
    def read(self, metrics: Sequence[Metric], *, since: datetime, until: datetime) -> list[float | None]:
        """Return the sum or maximum of each metric in [since, until); None where there are no values."""
        values: list[list[float]] = [[] for _ in metrics]
        pages = self._client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[
                {
                    "Id": f"m{number}",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": metric.namespace,
                            "MetricName": metric.name,
                            "Dimensions": [{"Name": metric.dimension[0], "Value": metric.dimension[1]}],
                        },
                        "Period": 300,
                        "Stat": metric.statistic,
                    },
                }
                for number, metric in enumerate(metrics)
            ],
            StartTime=since,
            EndTime=until,
        )
        for page in pages:
            for one in page["MetricDataResults"]:
                values[int(one["Id"][1:])] += one.get("Values", [])
        return [
            None if not found else sum(found) if metric.statistic == "Sum" else max(found)
            for metric, found in zip(metrics, values, strict=True)
        ]
