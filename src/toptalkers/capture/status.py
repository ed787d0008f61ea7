"""The state of the capture chain: stack, flow logs, arrivals, failures, and costs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from toptalkers import locations
from toptalkers.aws.account import Account
from toptalkers.aws.failures import AwsError
from toptalkers.aws.flowlogs import FlowLog
from toptalkers.aws.metrics import Metric
from toptalkers.aws.stream import Stream
from toptalkers.capture.costs import ASSUMPTIONS, GZIP_RATIO, Cost, estimate_costs, format_shards
from toptalkers.capture.flowlogs import explain_delivery, is_into
from toptalkers.capture.our_stack import STACK_TAG, OurStack, find_own, no_stack
from toptalkers.capture.preprocess import METRICS_NAMESPACE
from toptalkers.records.hours import DAY, HOUR, Arrival
from toptalkers.records.stored import Search, newest_object
from toptalkers.records.wanted import Wanted
from toptalkers.visible import visible

QUIET = timedelta(hours=1)
"""A flow log that is on for longer should have brought records: they take up to 15 minutes."""

COUNTED_AT_MOST = 10_000
"""Quarantined objects are counted up to this many."""

GB = 1024**3


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Objects below a prefix: the newest one, and how many arrived lately."""

    newest: datetime | None
    newest_key: str
    objects_hour: int
    objects_day: int
    bytes_day: int
    """As stored, compressed."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What CloudWatch measured. A measure that it does not have is None.

    Attributes:
        records_hour: records that the function wrote in the last hour.
        records_day: the same of the last day.
        skipdata_day: how many of these say that AWS left records out.
        arrived_hour: records that came to the log group in the last hour.
        lag_seconds: how long records waited on the stream at most, in the last hour.
        throttled_day: how many records CloudWatch Logs could not put on the stream at once, in the last day.
        errors_day: how many it could not put there because of an error.
        full_day: how many writes to the stream were refused in the last day, because a shard was full.

    """

    records_hour: float | None = None
    records_day: float | None = None
    skipdata_day: float | None = None
    arrived_hour: float | None = None
    lag_seconds: float | None = None
    throttled_day: float | None = None
    errors_day: float | None = None
    full_day: float | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The content of `status`. What could not be read is None."""

    stack: OurStack
    region: str
    at: datetime
    flow_logs: tuple[FlowLog, ...]
    captured: Arrivals | None = None
    direct: Arrivals | None = None
    measures: Measures = Measures()
    quarantined: int = 0
    failed_batches: int = 0
    stream: Stream | None = None
    costs: tuple[Cost, ...] = ()
    notes: tuple[str, ...] = ()


def read_status(account: Account, stack_name: str) -> StatusReport:
    """Read everything that `status` shows.

    Raises:
        ToptalkersError: the stack does not exist, or belongs to somebody else.

    """
    stack = find_own(account, stack_name)
    if stack is None:
        raise no_stack(account, stack_name)
    now = account.now()
    if not stack.is_up:
        # There is nothing else to read yet.
        own = account.flow_logs.find(tag=(STACK_TAG, stack_name))
        return StatusReport(stack, account.region, now, tuple(own))
    bucket = stack.bucket
    flow_logs = [
        one for one in account.flow_logs.find() if one.tags.get(STACK_TAG) == stack_name or is_into(one, stack)
    ]
    captured = read_arrivals(account, bucket, locations.CAPTURED)
    direct = read_arrivals(account, bucket, f"{locations.DIRECT}{stack.account_id}/vpcflowlogs/{account.region}/")
    measures, logs_bytes, stream, notes = Measures(), None, None, []
    if stack.has_stream:
        stream = account.streams.find(stack.stream)
        try:
            measures, logs_bytes = _read_measures(account, stack, now)
        except AwsError as error:
            notes.append(f"CloudWatch's measures are not read: {error.message}")
    if logs_bytes is None:
        logs_bytes = captured.bytes_day * GZIP_RATIO
    return StatusReport(
        stack=stack,
        region=account.region,
        at=now,
        flow_logs=tuple(flow_logs),
        captured=captured,
        direct=direct,
        measures=measures,
        quarantined=_count(account, bucket, locations.QUARANTINE),
        failed_batches=_count(account, bucket, locations.FAILED_BATCHES),
        stream=stream,
        costs=estimate_costs(
            logs_gb_day=logs_bytes / GB,
            direct_gb_day=direct.bytes_day * GZIP_RATIO / GB,
            stream=stream,
            stored_days=stack.records_expire_days,
        ),
        notes=tuple(notes),
    )


def _read_measures(account: Account, stack: OurStack, now: datetime) -> tuple[Measures, float | None]:
    """Read what CloudWatch measured, and the bytes that came to the log group in the last day.

    AWS's documents differ on the dimensions of the metrics of a subscription: the log group alone, or with the type of
    the destination and the filter's name ("Monitoring CloudWatch Logs metrics"). A search finds both.
    """
    function, group = ("FunctionName", stack.function), ("LogGroupName", stack.log_group)
    kept = Metric(METRICS_NAMESPACE, "RecordsKept", function, "Sum")
    records_hour, arrived_hour, lag_ms = account.metrics.read(
        [
            kept,
            Metric("AWS/Logs", "IncomingLogEvents", group, "Sum"),
            Metric("AWS/Lambda", "IteratorAge", function, "Maximum"),
        ],
        since=now - HOUR,
        until=now,
    )
    records_day, skipdata_day, logs_bytes, throttled_day, errors_day, full_day = account.metrics.read(
        [
            kept,
            Metric(METRICS_NAMESPACE, "RecordsSkipdata", function, "Sum"),
            Metric("AWS/Logs", "IncomingBytes", group, "Sum"),
            Metric("AWS/Logs", "DeliveryThrottling", group, "Sum", has_more_dimensions=True),
            Metric("AWS/Logs", "DeliveryErrors", group, "Sum", has_more_dimensions=True),
            Metric("AWS/Kinesis", "WriteProvisionedThroughputExceeded", ("StreamName", stack.stream), "Sum"),
        ],
        since=now - DAY,
        until=now,
    )
    measures = Measures(
        records_hour=records_hour,
        records_day=records_day,
        skipdata_day=skipdata_day,
        arrived_hour=arrived_hour,
        lag_seconds=None if lag_ms is None else lag_ms / 1000,
        throttled_day=throttled_day,
        errors_day=errors_day,
        full_day=full_day,
    )
    return measures, logs_bytes


def read_arrivals(account: Account, bucket: str, prefix: str) -> Arrivals:
    """Read what arrived in a tree of folders of dates, whose top is `prefix`.

    Only the folders of the last day are listed; if they are empty, the newest object of all is searched for.
    """
    now, storage = account.now(), account.storage
    newest, in_hour, in_day, size = None, 0, 0, 0
    for one in Search(storage, bucket, prefix, Wanted(Arrival.of_last_day(now))):
        if newest is None or one.modified > newest.modified:
            newest = one
        in_hour += one.modified > now - HOUR
        if one.modified > now - DAY:
            in_day += 1
            size += one.size_bytes
    newest = newest or newest_object(storage, bucket, prefix)
    return Arrivals(newest.modified if newest else None, newest.key if newest else "", in_hour, in_day, size)


def _count(account: Account, bucket: str, prefix: str) -> int:
    return sum(1 for _ in islice(account.storage.list(bucket, prefix), COUNTED_AT_MOST))


def format_status(report: StatusReport) -> str:
    """Format a report as lines."""
    stack = report.stack
    made_by = f", toptalkers {stack.version}" if stack.is_up else ""
    lines = [f"stack        {stack.name} in {report.region}: {stack.status}{made_by}"]
    if stack.reason:
        lines.append(f"             {stack.reason}")
    for one in report.flow_logs:
        mine = "" if one.tags.get(STACK_TAG) == stack.name else ", not made by us"
        lines.append(
            f"flow log     {one.id} on {one.resource}: {one.traffic}, to {one.destination_type}{mine}:"
            f" {explain_delivery(one)}"
        )
    if not report.flow_logs:
        lines.append("flow log     none is on")
    if report.captured is None:
        return "\n".join(map(visible, lines))
    measures = report.measures
    if stack.has_stream or report.captured.newest:
        lines.append(f"captured     {_format_arrivals(report.captured, report.at)}")
    if report.direct and (report.direct.newest or not stack.has_stream):
        lines.append(f"direct       {_format_arrivals(report.direct, report.at)}")
    if stack.has_stream:
        lines.append(
            f"records      {_number(measures.records_hour)} in the last hour,"
            f" {_number(measures.records_day)} in the last day"
        )
        if measures.skipdata_day:
            lines.append(
                f"             {measures.skipdata_day:,.0f} of the last day say SKIPDATA: AWS left records out,"
                " sums are a lower bound"
            )
        quarantine = f"{_at_most(report.quarantined)}, batches given up: {_at_most(report.failed_batches)}"
        lines.append(f"quarantine   {quarantine}")
    if report.stream:
        lag = "no record in the last hour"
        if measures.lag_seconds is not None:
            lag = f"lag {measures.lag_seconds:,.0f} s at most"
        lines.append(
            f"stream       {report.stream.name}: {report.stream.status}, {format_shards(report.stream)}, {lag}"
        )
    elif not stack.has_stream:
        lines.append(
            "stream       none: flow logs are delivered directly to the bucket"
            f" ('toptalkers deploy --stack-name {stack.name} --stream' adds one)"
        )
    lines += [f"problem      {one}" for one in find_problems(report)]
    lines += [f"note         {one}" for one in report.notes]
    total = sum(cost.dollars for cost in report.costs)
    items = ", ".join(f"{cost.item} ${cost.dollars:,.2f}" for cost in report.costs)
    lines += [f"costs        about ${total:,.0f} a month: {items}", f"             ({ASSUMPTIONS})"]
    return "\n".join(map(visible, lines))


def find_problems(report: StatusReport) -> list[str]:
    """Find what loses records or soon will; each problem is one line with the command that mends it."""
    return [*_stream_problems(report), *_silence(report)]


def _stream_problems(report: StatusReport) -> Iterator[str]:
    stack, measures, stream = report.stack, report.measures, report.stream
    if stream is None:
        return
    if stream.is_on_demand:
        remedy = "an on-demand stream grows by itself within minutes, up to twice its highest load of the last 30 days"
    else:
        # Kinesis does not do more than double in one step.
        remedy = f"'toptalkers deploy --stack-name {stack.name} --shards {2 * stream.shards}' doubles the shards"
    if measures.throttled_day:
        yield (
            f"{measures.throttled_day:,.0f} records of the last day did not fit on the stream at once; CloudWatch Logs"
            f" tries for 24 hours, and then drops them: {remedy}"
        )
    elif measures.full_day:
        yield f"the stream refused {measures.full_day:,.0f} writes in the last day, as a shard was full: {remedy}"
    if measures.errors_day:
        yield (
            f"{measures.errors_day:,.0f} records of the last day met an error on their way to the stream, and may be"
            f" lost: 'aws cloudformation detect-stack-drift --stack-name {stack.name}' finds what was changed by hand"
            " of the stream, its key, and the role of the subscription"
        )


def _silence(report: StatusReport) -> Iterator[str]:
    """Find flow logs that are on, and bring nothing. One that AWS cannot deliver is shown with its own reason."""
    stack, measures = report.stack, report.measures
    is_settled = [one for one in report.flow_logs if one.created is None or report.at - one.created > QUIET]
    working = [one for one in is_settled if one.delivery != "FAILED"]
    if stack.has_stream and any(is_into(one, stack, "stream") for one in working):
        captured = report.captured.objects_hour if report.captured else 0
        if not captured and measures.arrived_hour:
            yield (
                f"{measures.arrived_hour:,.0f} records came to the log group in the last hour, but none to the bucket:"
                f" 'aws lambda get-function --function-name {stack.function}' says whether the function is active, and"
                " its log says why it fails"
            )
        elif not captured:
            yield (
                "nothing arrived in the last hour, although flow logs are on:"
                f" 'aws logs describe-log-streams --log-group-name {stack.log_group} --order-by LastEventTime"
                " --descending --max-items 1' shows the newest record; without traffic there is none"
            )
    if any(is_into(one, stack, "s3") for one in working) and not (report.direct and report.direct.objects_hour):
        yield (
            "nothing was delivered to the bucket in the last hour, although flow logs are on:"
            f" 'aws s3api get-bucket-policy --bucket {stack.bucket}' shows who may write"
        )


def _format_arrivals(arrivals: Arrivals, now: datetime) -> str:
    if arrivals.newest is None:
        return "nothing yet"
    age = format_age(now - arrivals.newest)
    counts = f"objects: {arrivals.objects_hour:,} in the last hour, {arrivals.objects_day:,} in the last day"
    return f"{counts}; the newest {age} old: {arrivals.newest_key}"


def format_age(age: timedelta) -> str:
    """Format a time in its two largest units: `3 min 20 s`, `2 d 4 h`."""
    seconds = max(0, int(age.total_seconds()))
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // smaller} {small_unit}"
    return f"{seconds} s"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.0f}"


def _at_most(count: int) -> str:
    return f"{count:,}" + (" or more" if count == COUNTED_AT_MOST else "")
