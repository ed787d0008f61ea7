"""The sample's flow records as lines, as many as one wants: the source of its files and of a replay.

The line of a conversation is made once, as a template with holes for the client's port, packets and bytes,
start and end; a record fills the holes with ready-made texts. Nothing is formatted per record but that,
which is what makes the sample fast.

The order is that of a delivery: minute by minute, and within a minute interface by interface.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from toptalkers.flowlog.layout import DEFAULT_LAYOUT, Layout
from toptalkers.sample.company import ACCOUNT_ID, NO_VALUE, REGION, build_company, build_outside_world
from toptalkers.sample.conversations import build_crowds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toptalkers.sample.company import Company
    from toptalkers.sample.conversations import Conversation, Crowd, Service, Sighting, Volume

SampleLayout: TypeAlias = Literal["default", "rich", "aws-s3"]
"""`default`: version 2 without a header, as CloudWatch Logs has it; `rich`: a custom format up to version 5;
`aws-s3`: version 2 as AWS delivers it to a bucket."""

RICH_LAYOUT = Layout(
    (
        *DEFAULT_LAYOUT.columns,
        *("vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr"),
        *("region", "az-id"),
        *("pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path"),
    )
)
"""The custom format recommended for a stack of one's own: the default's columns first, then who, where and how."""

DAY = datetime(2026, 11, 1, tzinfo=UTC)
"""The day every sample is from."""

# One minute less than a day, so that nothing ends on the next one.
_MINUTES_A_DAY = 24 * 60 - 1
# A small sample covers fewer minutes instead of thinner ones.
_FEWEST_RECORDS_A_MINUTE = 250
# How busy each hour is, the quietest about 30.
_LOAD_BY_HOUR = (42, 36, 32, 30, 31, 36, 48, 66, 86, 98, 104, 106, 102, 104, 108, 106, 100, 94, 90, 88, 82, 74, 62, 50)

# The version column is the highest version among the columns.
_VERSIONS: dict[SampleLayout, int] = {"default": 2, "rich": 5, "aws-s3": 2}

_TABLE_SIZE = 1 << 16  # places that the conversations share by how loud they are
_TIMES_A_MINUTE = 64  # different (start, end) within a minute
_RECORDS_AT_ONCE = 20_000  # a minute with more is made in pieces, so that memory does not grow
_NODATA_SHARE = 1 / 64  # at most; no more than there are idle interfaces
_SKIPDATA_SHARE = 1 / 1024

# What one exchange needs: its records, client ports, (request, reply) volumes, and per interface a template.
_Exchange: TypeAlias = tuple[int, tuple[str, ...], tuple[tuple[str, str], ...], tuple[tuple[int, str], ...]]


def columns_of(layout: SampleLayout) -> Layout:
    """The columns of a layout's lines, in order."""
    return RICH_LAYOUT if layout == "rich" else DEFAULT_LAYOUT


def plan_minutes(records: int, *, at_least: int = 1) -> tuple[int, ...]:
    """How many records each minute from midnight has; they add up to `records`.

    A large sample covers the day, busier at daytime; a small one as many minutes as it fills decently, but
    `at_least` that many.
    """
    minutes = min(_MINUTES_A_DAY, max(at_least, records // _FEWEST_RECORDS_A_MINUTE, 1))
    load = [_LOAD_BY_HOUR[minute // 60] for minute in range(minutes)]
    total, so_far, planned = sum(load), 0, [0]
    for minute in load:
        so_far += minute
        planned.append(records * so_far // total)
    return tuple(later - earlier for earlier, later in pairwise(planned))


def sample_lines(records: int, *, seed: int = 1, layout: SampleLayout = "default") -> Iterator[str]:
    """`records` flow records as lines with their line ends, without header lines, minute after minute.

    The same arguments give the same lines on every platform and Python version; another layout gives the
    same records with other columns. Raises ValueError when `records` is below 1.
    """
    return lines_by_minute(plan_minutes(records), seed=seed, layout=layout)


def lines_by_minute(minutes: tuple[int, ...], *, seed: int, layout: SampleLayout) -> Iterator[str]:
    """The lines of a plan made by `plan_minutes`. Raises ValueError when there is nothing to make."""
    if sum(minutes) < 1:
        raise ValueError("a sample needs at least 1 record")
    company = build_company()
    rng = random.Random(seed)  # noqa: S311 - a sample is no secret, and must repeat
    table = _build_table(build_crowds(company, build_outside_world(), rng), company, layout)
    silent = [_format_silent(interface.interface_id, layout) for interface in company.interfaces]
    idle = len(company.having_role("idle-function", "idle-endpoint"))
    midnight = int(DAY.timestamp())
    pieces = (
        _make_minute(midnight + 60 * minute, min(_RECORDS_AT_ONCE, wanted - done), table, silent, idle, rng)
        for minute, wanted in enumerate(minutes)
        for done in range(0, wanted, _RECORDS_AT_ONCE)
    )
    return chain.from_iterable(pieces)


def _make_minute(
    start: int, wanted: int, table: list[_Exchange], silent: list[str], idle: int, rng: random.Random
) -> list[str]:
    """`wanted` lines of the minute from `start`, Unix seconds. The first `idle` of the interfaces have no data."""
    draw = rng.random
    places = len(table)
    times = [_format_start_and_end(start, rng) for _ in range(_TIMES_A_MINUTE)]
    logs: list[list[str]] = [[] for _ in silent]
    nodata = min(idle, int(wanted * _NODATA_SHARE + draw()))
    for turn in range(nodata):
        i = (start // 60 + turn) % idle
        logs[i].append(silent[i] % (start, start + 59, "NODATA"))
    skipdata = int(wanted * _SKIPDATA_SHARE + draw())
    for _ in range(skipdata):
        i = idle + int(draw() * (len(silent) - idle))
        logs[i].append(silent[i] % (start, start + 59, "SKIPDATA"))
    made = nodata + skipdata
    while made < wanted:
        records, ports, volumes, templates = table[int(draw() * places)]
        port = ports[int(draw() * len(ports))]
        request, reply = volumes[int(draw() * len(volumes))]
        time = times[int(draw() * _TIMES_A_MINUTE)]
        holes = (port, request, time, port, reply, time)
        for i, template in templates:
            logs[i].append(template % holes)
        made += records
    # The last exchange may have been one of several records: what is too much falls off the end.
    return "".join(chain.from_iterable(logs)).splitlines(keepends=True)[:wanted]


def _build_table(crowds: tuple[Crowd, ...], company: Company, layout: SampleLayout) -> list[_Exchange]:
    """The conversations, each as often as it is loud: drawing a place at random draws a talker by its weight.

    Within a crowd the weight falls with the rank (Zipf's law), which is where the heavy tail comes from.
    """
    shares = sum(crowd.share for crowd in crowds)
    ports: dict[Sequence[int], tuple[str, ...]] = {}  # most services share one choice of 28,232
    volumes: dict[Service, tuple[tuple[str, str], ...]] = {}
    table: list[_Exchange] = []
    for crowd in crowds:
        # Integers, because sums of floats differ from Python 3.12 on.
        weights = [1_000_000 // rank for rank in range(1, len(crowd.conversations) + 1)]
        all_weights = sum(weights)
        for weight, conversation in zip(weights, crowd.conversations, strict=True):
            service = conversation.service
            if service.client_ports not in ports:
                ports[service.client_ports] = tuple(str(port) for port in service.client_ports)
            if service not in volumes:
                volumes[service] = tuple(_format_volume(volume) for volume in service.volumes)
            places = max(1, _TABLE_SIZE * crowd.share * weight // (shares * all_weights))
            # Only a rich record shows TCP flags, and a quiet talker needs no choice of them.
            choices = service.tcp_flags[:places] if layout == "rich" else service.tcp_flags[:1]
            exchanges: list[_Exchange] = []
            for tcp_flags in choices:
                templates = tuple(
                    (seen.interface.number, _format_template(seen, conversation, tcp_flags, company, layout))
                    for seen in conversation.sightings
                )
                exchanges.append((conversation.records, ports[service.client_ports], volumes[service], templates))
            table.extend(exchanges[i % len(exchanges)] for i in range(places))
    return table


def _format_template(
    seen: Sighting, conversation: Conversation, tcp_flags: tuple[int, int], company: Company, layout: SampleLayout
) -> str:
    """The request's line and the reply's, with six holes.

    The holes: client's port, request's packets and bytes, start and end; client's port, reply's packets and
    bytes, start and end. Without a reply the last three take up no room, so that all templates take six.
    """
    port, protocol = conversation.service.port, conversation.service.protocol
    interface, subnet = seen.interface, seen.interface.subnet
    directions = [(seen.client, seen.server, f"%s {port}", tcp_flags[0], seen.at_client)]
    if conversation.replied:
        directions.append((seen.server, seen.client, f"{port} %s", tcp_flags[1], not seen.at_client))
    template = ""
    for source, destination, ports, flags, leaves in directions:
        template += (
            f"{_VERSIONS[layout]} {ACCOUNT_ID} {interface.interface_id} {source.address} {destination.address}"
            f" {ports} {protocol} %s %s {seen.action} OK"
        )
        if layout == "rich":
            template += (
                f" {company.vpc_id} {subnet.subnet_id} {interface.instance_id}"
                f" {flags} {'IPv6' if ':' in source.address else 'IPv4'}"
                f" {source.packet_address} {destination.packet_address} {REGION} {subnet.az_id}"
                f" {source.aws_service} {destination.aws_service}"
                f" {'egress' if leaves else 'ingress'} {seen.path if leaves else NO_VALUE}"
            )
        template += "\n"
    return template if conversation.replied else template + "%.0s%.0s%.0s"


def _format_silent(interface_id: str, layout: SampleLayout) -> str:
    """A line without a conversation; its holes: start, end, log status."""
    # Documented for version 2. That the later fields are `-` too is taken from their "not applicable" rule.
    more = f" {NO_VALUE}" * (len(columns_of(layout)) - len(DEFAULT_LAYOUT))
    return f"{_VERSIONS[layout]} {ACCOUNT_ID} {interface_id} - - - - - - - %d %d - %s{more}\n"


def _format_start_and_end(minute: int, rng: random.Random) -> str:
    start = minute + int(rng.random() * 58)
    return f"{start} {start + int(rng.random() * (minute + 60 - start))}"


def _format_volume(volume: Volume) -> tuple[str, str]:
    return (f"{volume.request_packets} {volume.request_bytes}", f"{volume.reply_packets} {volume.reply_bytes}")
