"""The same question for Amazon Athena: tables over flow logs in S3, and the question as SQL.

Partitions are projected, so that nothing has to be added for a new day, and the question's time reads only the folders
that can hold its records. All columns are text, so that the question checks what every engine checks.

`record_sql.py` has the rules for one record. SQL does less than the other engines. It takes columns as the table has
them, whatever a header says. It tallies nothing, and does not name files that do not fit. Networks, and tests of IPv6
addresses, are refused: what Trino prints and compares there was not tried against the other engines.

Sources: Athena user guide, "Create and query a table for Amazon VPC flow logs using partition projection", "Supported
types for partition projection", "LazySimpleSerDe for CSV, TSV, and custom-delimited files".
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from toptalkers import locations
from toptalkers.aws.storage import StorageGateway
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.fields import column_name
from toptalkers.flowlog.layout import Layout, parse_header
from toptalkers.question.clauses import Metric
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query
from toptalkers.records.hours import DAY, EVER, Arrival
from toptalkers.render.record_sql import ELSEWHERE, RecordSql, printed_time

Kind = Literal["captured", "plain", "hive"]

HEADER_BYTES = 1 << 16
"""The beginning of an object that is read for its header line."""

MOST_PARTITIONS = 400
"""A condition names at most so many days one by one."""

_ABOVE = r"(?:.*/)?AWSLogs/(?:o-[a-z0-9]{10,32}/)?"
_TREES: dict[Kind, re.Pattern[str]] = {
    "captured": re.compile(r"(?P<above>(?:.*/)?flowlogs/)"),
    "plain": re.compile(rf"(?P<above>{_ABOVE})(?P<account>[0-9]{{12}})/vpcflowlogs/(?P<region>[a-z0-9-]+)/"),
    "hive": re.compile(
        rf"(?P<above>{_ABOVE})aws-account-id=(?P<account>[0-9]{{12}})/aws-service=vpcflowlogs/"
        r"aws-region=(?P<region>[a-z0-9-]+)/"
    ),
}
_ABOVE_TREES = re.compile(
    rf"(?!(?:.*/)?AWSLogs/)(?:.*/)?|{_ABOVE}(?:(?:aws-account-id=)?[0-9]{{12}}/(?:(?:aws-service=)?vpcflowlogs/)?)?"
)
"""A folder that may hold trees; below AWSLogs/, not those of other services."""

_DEEPEST = 5

_PLACE = re.compile(rf"s3://({locations.BUCKET_NAME})/(.*/)?")


@dataclass(frozen=True, slots=True)
class Table:
    """A table over flow logs of one kind.

    Attributes:
        name: the name of the table.
        kind: what the folders below are: those of our Lambda, or of AWS's direct delivery, plain or Hive.
        location: the address of the folder above all accounts, or of the tree; ends in `/`.
        layout: the columns of the records.
        accounts: the accounts of the table; empty for `captured`.
        regions: the Regions of the table; empty for `captured`.
        since: the first date that the table has, as Athena writes it: `NOW-8DAYS`.

    """

    name: str
    kind: Kind
    location: str
    layout: Layout
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    since: str = "NOW-1YEARS"


def find_tables(
    storage: StorageGateway,
    uris: Iterable[str],
    *,
    prefix: str,
    layout: Layout | None = None,
    captured: Layout | None = None,
    since: str = "NOW-1YEARS",
) -> list[Table]:
    """Find the flow logs below addresses of folders, and make a table of those of each kind and place.

    Args:
        storage: S3.
        uris: the addresses of trees, or of folders above trees.
        prefix: the beginning of the tables' names.
        layout: the columns of all records; None for those that the newest object's header line names.
        captured: the columns of what our Lambda writes, for `flowlogs/` without objects.
        since: the first date of the tables, as Athena writes it.

    Raises:
        UsageError: a text is not the address of a folder in S3.
        ToptalkersError: no flow logs are there, or the columns are not known.
        AwsError: a bucket cannot be listed.

    """
    found: dict[tuple[str, Kind], list[re.Match[str]]] = {}
    folders: dict[tuple[str, Kind], tuple[str, str]] = {}
    uris = list(uris)
    for uri in uris:
        place = _PLACE.fullmatch(uri)
        if place is None:
            raise UsageError(f"--input: {uri!r} is not the address of a folder", hint="like s3://bucket/AWSLogs/")
        bucket, root = place[1], place[2] or ""
        for kind, match in _find_trees(storage, bucket, root):
            at = f"s3://{bucket}/{match['above']}", kind
            found.setdefault(at, []).append(match)
            folders.setdefault(at, (bucket, match[0]))
    if not found:
        raise ToptalkersError(f"there are no flow logs in {', '.join(uris)}", hint="--input names another folder")
    tables = []
    for number, ((location, kind), matches) in enumerate(found.items(), 1):
        columns = layout or (captured if kind == "captured" else None) or _layout_of(storage, *folders[location, kind])
        is_one = [one for _, one in found].count(kind) == 1
        tables.append(
            Table(
                name=f"{prefix}_{kind}" + ("" if is_one else f"_{number}"),
                kind=kind,
                location=location,
                layout=columns,
                accounts=tuple(sorted({match.groupdict().get("account") or "" for match in matches} - {""})),
                regions=tuple(sorted({match.groupdict().get("region") or "" for match in matches} - {""})),
                since=since,
            )
        )
    return tables


def _find_trees(storage: StorageGateway, bucket: str, root: str) -> Iterable[tuple[Kind, re.Match[str]]]:
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        for kind, pattern in _TREES.items():
            if match := pattern.match(folder):
                yield kind, match
                break
        else:
            if depth < _DEEPEST and _ABOVE_TREES.fullmatch(folder):
                waiting += reversed([(one, depth + 1) for one in storage.folders(bucket, folder)])


def _layout_of(storage: StorageGateway, bucket: str, tree: str) -> Layout:
    """The columns that the header line of a tree's newest object names."""
    folder = tree
    while further := max(storage.folders(bucket, folder), default=""):
        folder = further
    newest = max(storage.list(bucket, folder), key=lambda one: one.modified, default=None)
    if newest is not None and newest.size_bytes:
        packed = storage.first_bytes(bucket, newest.key, HEADER_BYTES)
        try:
            text = zlib.decompressobj(wbits=31).decompress(packed, HEADER_BYTES)
        except zlib.error:
            text = packed
        if layout := parse_header(text.partition(b"\n")[0].decode("ascii", "replace").rstrip("\r")):
            return layout
    raise ToptalkersError(
        f"the columns of s3://{bucket}/{tree} are not known: its newest object has no header line",
        hint="--log-format names them",
    )


def table_sql(table: Table) -> str:
    """Write the statement that makes a table."""
    columns = [f"  `{column_name(field)}` string" for field in table.layout.columns]
    columns.append("  `beyond_the_last` string")  # to see that a line has too many columns
    dates = {"captured": ["hour"], "plain": ["day"], "hive": ["year", "month", "day"]}[table.kind]
    # A column of a custom format may be named like a partition.
    partitions = [f"of_{name}" for name in [*(["account", "region"] if table.accounts else []), *dates]]
    properties = {"skip.header.line.count": "1", "projection.enabled": "true"}
    for name, values in (("account", table.accounts), ("region", table.regions)):
        if values:
            properties[f"projection.of_{name}.type"] = "enum"
            properties[f"projection.of_{name}.values"] = ",".join(values)
    if table.kind == "hive":
        for name, numbers in (("year", "2020,2035"), ("month", "1,12"), ("day", "1,31")):
            properties[f"projection.of_{name}.type"] = "integer"
            properties[f"projection.of_{name}.range"] = numbers
            properties[f"projection.of_{name}.digits"] = "4" if name == "year" else "2"
        template = (
            "aws-account-id=${of_account}/aws-service=vpcflowlogs/aws-region=${of_region}/"
            "year=${of_year}/month=${of_month}/day=${of_day}/"
        )
    else:
        (name,) = dates
        properties[f"projection.of_{name}.type"] = "date"
        properties[f"projection.of_{name}.format"] = "yyyy/MM/dd/HH" if name == "hour" else "yyyy/MM/dd"
        properties[f"projection.of_{name}.range"] = f"{table.since},NOW"
        properties[f"projection.of_{name}.interval"] = "1"
        properties[f"projection.of_{name}.interval.unit"] = f"{name.upper()}S"
        template = "${of_hour}/" if name == "hour" else "${of_account}/vpcflowlogs/${of_region}/${of_day}/"
    properties["storage.location.template"] = table.location + template
    return "\n".join(
        [
            f"CREATE EXTERNAL TABLE IF NOT EXISTS `{table.name}` (",
            ",\n".join(columns),
            ")",
            "PARTITIONED BY (" + ", ".join(f"`{name}` string" for name in partitions) + ")",
            "ROW FORMAT DELIMITED FIELDS TERMINATED BY ' ' LINES TERMINATED BY '\\n'",
            f"LOCATION '{table.location}'",
            "TBLPROPERTIES (",
            ",\n".join(f"  '{name}' = '{value}'" for name, value in properties.items()),
            ")",
        ]
    )


def check_question(query: Query) -> None:
    """Check that a question can be written as SQL, as far as that does not depend on the tables.

    Raises:
        UsageError: it joins records to conversations.

    """
    if query.joins_records:
        what = "--pairs" if query.pairs else "--count once"
        raise UsageError(f"{what} is not written as SQL: records are joined to conversations", hint=ELSEWHERE)


def question_sql(query: Query, tables: Sequence[Table], *, top: int = 0) -> str:
    """Write a question as one SELECT over tables; `top` is how many talkers it returns, 0 for all.

    The recipe's key is one column, `talker`; any other has a column per part. The sums follow.

    Raises:
        ToptalkersError: a table lacks a field that the question needs.
        UsageError: a part of the key, a test of --where, or the whole question is not written as SQL.

    """
    check_question(query)
    for table in tables:
        if lacking := [field for field in query.needed_fields if field not in table.layout]:
            raise ToptalkersError(f"{table.location} has no {lacking[0]!r}, which the question needs")
    records = "\n  UNION ALL\n".join(_records_sql(query, table) for table in tables)
    names = query.lines.names
    width = len(names) - len(query.metric)
    keys = ["talker"] if query.is_recipe else [f"k{number}" for number in range(1, width + 1)]
    titles = keys if query.is_recipe else [f'{key} AS "{name}"' for key, name in zip(keys, names, strict=False)]
    values = [f"v{number}" for number in range(1, len(query.metric) + 1)]
    sums = [f'{_sum_sql(metric, value)} AS "{metric}"' for metric, value in zip(query.metric, values, strict=True)]
    lines = [
        "WITH records AS (",
        records,
        ")",
        f"SELECT {', '.join([*titles, *sums])}",
        "FROM records",
        f"GROUP BY {', '.join(keys)}",
        f"ORDER BY {len(keys) + 1} DESC, {' || chr(9) || '.join(keys)}",
    ]
    if top:
        lines.append(f"LIMIT {top}")
    return "\n".join(lines)


def _sum_sql(metric: Metric, value: str) -> str:
    if metric in TIME_METRICS:
        return printed_time(f"{'min' if metric == 'first' else 'max'}({value})")
    return f"sum({value})"


def _records_sql(query: Query, table: Table) -> str:
    rules = RecordSql(query, table.layout)
    keys, of_keys = rules.key()
    values = [rules.value(metric) for metric in query.metric]
    conditions = [*_partition_conditions(query, table), *rules.conditions(), *of_keys]
    conditions += [condition for _, of_value in values for condition in of_value]
    conditions.append(f'"{column_name(table.layout.columns[-1])}" IS NOT NULL')
    conditions.append("coalesce(\"beyond_the_last\", '') = ''")
    names = ["talker"] if query.is_recipe else [f"k{number}" for number in range(1, len(keys) + 1)]
    columns = [f"{key} AS {name}" for key, name in zip(keys, names, strict=True)]
    columns += [f"{value} AS v{number}" for number, (value, _) in enumerate(values, 1)]
    return "\n".join(
        [
            "  SELECT " + ",\n    ".join(columns),
            f'  FROM "{table.name}"',
            "  WHERE " + "\n    AND ".join(dict.fromkeys(conditions)),
        ]
    )


def _partition_conditions(query: Query, table: Table) -> Iterable[str]:
    """The partitions in which records of the question's time can have arrived."""
    arrival = Arrival.of_records(query.since, query.until)
    if table.kind == "hive":
        if (
            arrival.start == EVER.start
            or arrival.end == EVER.end
            or arrival.end - arrival.start > DAY * MOST_PARTITIONS
        ):
            return
        days = _days(arrival)
        named = " OR ".join(
            f"(\"of_year\" = '{day:%Y}' AND \"of_month\" = '{day:%m}' AND \"of_day\" = '{day:%d}')" for day in days
        )
        yield f"({named})"
        return
    name, form = ("of_hour", "%Y/%m/%d/%H") if table.kind == "captured" else ("of_day", "%Y/%m/%d")
    if arrival.start != EVER.start:
        yield f"\"{name}\" >= '{arrival.start:{form}}'"
    if arrival.end != EVER.end:
        # The end does not belong to the time.
        yield f"\"{name}\" <= '{arrival.end - timedelta(microseconds=1):{form}}'"


def _days(arrival: Arrival) -> list[datetime]:
    first = arrival.start.replace(hour=0, minute=0, second=0, microsecond=0)
    return [first + timedelta(days=number) for number in range(-((first - arrival.end) // DAY))]


def render_athena(tables: Sequence[Table], query: Query, *, top: int = 0) -> str:
    """Write the statements for the tables, and the question, as one text."""
    parts = [f"-- Run each statement by itself, once for each table.\n{table_sql(table)};" for table in tables]
    return "\n\n".join([*parts, f"-- The question.\n{question_sql(query, tables, top=top)};"]) + "\n"


def stack_places(bucket: str, *, has_stream: bool) -> list[str]:
    """The addresses of the flow logs in a stack's bucket."""
    return [f"s3://{bucket}/{root}" for root in (locations.CAPTURED, locations.DIRECT)[not has_stream :]]


def table_name(stack: str) -> str:
    """The beginning of the names of a stack's tables: Athena takes lower case letters, digits and `_`."""
    return re.sub("[^a-z0-9]", "_", stack.lower())
