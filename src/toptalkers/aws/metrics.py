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
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef

PERIOD_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, and the statistic that makes one value of its values over a time.

    Attributes:
        namespace: the namespace, such as AWS/Logs.
        name: the name of the metric.
        dimension: the name and the value of its dimension.
        statistic: how values become one.
        has_more_dimensions: whether AWS reports it under further dimensions, too, or only under those. The metric is
            then searched for, and of several that are found, the one with the largest value is taken.

    """

    namespace: str
    name: str
    dimension: tuple[str, str]
    statistic: Literal["Sum", "Maximum"]
    has_more_dimensions: bool = False


class MetricsGateway:
    """CloudWatch's metrics, through the given client."""

    def __init__(self, client: "CloudWatchClient") -> None:
        """Take the client."""
        self._client = client

    @explained("cloudwatch")
    def read(self, metrics: Sequence[Metric], *, since: datetime, until: datetime) -> list[float | None]:
        """Return the sum or maximum of each metric in [since, until); None where there are no values."""
        values: list[dict[str, list[float]]] = [{} for _ in metrics]
        pages = self._client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[_query(metric, f"m{number}") for number, metric in enumerate(metrics)],
            StartTime=since,
            EndTime=until,
        )
        for page in pages:
            for one in page["MetricDataResults"]:
                # A search finds several metrics with the same id, and different labels.
                values[int(one["Id"][1:])].setdefault(one.get("Label", ""), []).extend(one.get("Values", []))
        return [
            max(
                (sum(some) if metric.statistic == "Sum" else max(some) for some in found.values() if some), default=None
            )
            for metric, found in zip(metrics, values, strict=True)
        ]


def _query(metric: Metric, query_id: str) -> "MetricDataQueryTypeDef":
    """Make the query of a metric (CloudWatch user guide, "CloudWatch search expression syntax")."""
    name, value = metric.dimension
    if metric.has_more_dimensions:
        terms = f'Namespace="{metric.namespace}" MetricName="{metric.name}" {name}="{value}"'
        search = f"SEARCH('{terms}', '{metric.statistic}', {PERIOD_SECONDS})"
        return {"Id": query_id, "Expression": search}
    return {
        "Id": query_id,
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value}],
            },
            "Period": PERIOD_SECONDS,
            "Stat": metric.statistic,
        },
    }
