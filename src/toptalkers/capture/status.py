"""The state of the capture chain: stack, flow logs, arrivals, failures, and costs."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from toptalkers import locations
from toptalkers.aws.account import Account
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
class StatusReport:
    """The content of `status`. A measure that AWS does not have is None."""

    stack: OurStack
    region: str
    at: datetime
    flow_logs: tuple[FlowLog, ...]
    captured: Arrivals | None = None
    direct: Arrivals | None = None
    records_hour: float | None = None
    records_day: float | None = None
    lag_seconds: float | None = None
    quarantined: int = 0
    failed_batches: int = 0
    stream: Stream | None = None
    costs: tuple[Cost, ...] = ()


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
    bucket, function = stack.bucket, ("FunctionName", stack.function)
    flow_logs = [
        one for one in account.flow_logs.find() if one.tags.get(STACK_TAG) == stack_name or is_into(one, stack)
    ]
    captured = read_arrivals(account, bucket, locations.CAPTURED)
    direct = read_arrivals(account, bucket, f"{locations.DIRECT}{stack.account_id}/vpcflowlogs/{account.region}/")
    kept = Metric(METRICS_NAMESPACE, "RecordsKept", function, "Sum")
    incoming = Metric("AWS/Logs", "IncomingBytes", ("LogGroupName", stack.log_group), "Sum")
    lag = Metric("AWS/Lambda", "IteratorAge", function, "Maximum")
    records_hour, lag_ms = account.metrics.read([kept, lag], since=now - HOUR, until=now)
    records_day, logs_bytes = account.metrics.read([kept, incoming], since=now - DAY, until=now)
    if logs_bytes is None:
        logs_bytes = captured.bytes_day * GZIP_RATIO
    stream = account.streams.find(stack.stream)
    return StatusReport(
        stack=stack,
        region=account.region,
        at=now,
        flow_logs=tuple(flow_logs),
        captured=captured,
        direct=direct,
        records_hour=records_hour,
        records_day=records_day,
        lag_seconds=None if lag_ms is None else lag_ms / 1000,
        quarantined=_count(account, bucket, locations.QUARANTINE),
        failed_batches=_count(account, bucket, locations.FAILED_BATCHES),
        stream=stream,
        costs=estimate_costs(
            logs_gb_day=logs_bytes / GB, direct_gb_day=direct.bytes_day * GZIP_RATIO / GB, stream=stream
        ),
    )


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
    lines.append(f"captured     {_format_arrivals(report.captured, report.at)}")
    if report.direct and report.direct.newest:
        lines.append(f"direct       {_format_arrivals(report.direct, report.at)}")
    lines.append(
        f"records      {_number(report.records_hour)} in the last hour, {_number(report.records_day)} in the last day"
    )
    lines.append(f"quarantine   {_at_most(report.quarantined)}, batches given up: {_at_most(report.failed_batches)}")
    if report.stream:
        lag = "no record in the last hour" if report.lag_seconds is None else f"lag {report.lag_seconds:,.0f} s at most"
        lines.append(
            f"stream       {report.stream.name}: {report.stream.status}, {format_shards(report.stream)}, {lag}"
        )
    total = sum(cost.dollars for cost in report.costs)
    items = ", ".join(f"{cost.item} ${cost.dollars:,.2f}" for cost in report.costs)
    lines += [f"costs        about ${total:,.0f} a month: {items}", f"             ({ASSUMPTIONS})"]
    return "\n".join(map(visible, lines))


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
