"""`render athena`: the SQL gives the answer of every engine, on DuckDB, and the tables find what run-emr finds.

Athena itself was not asked. DuckDB runs the very text, with Trino's `regexp_like` as a macro; `rows_of` stands for
Athena's reader of lines.
"""
# ruff: noqa: S608 - the SQL is ours

import gzip
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.commands import command
from tests.fake_account import BUCKET, OUTPUTS, FakeAccount, gzip_of_size
from tests.reference import count
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.fields import FIELDS, column_name
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, RICH_LAYOUT, Layout
from toptalkers.job.count_flows import is_address
from toptalkers.question.query import Query
from toptalkers.records.hours import DAY, HOUR, Arrival
from toptalkers.render.athena import Kind, Table, question_sql, table_sql
from toptalkers.render.record_sql import ADDRESS_PATTERN


@cache
def database() -> duckdb.DuckDBPyConnection:
    """DuckDB with what Trino calls otherwise."""
    made = duckdb.connect()
    made.execute("SET threads = 1")
    made.execute("CREATE MACRO regexp_like(text, pattern) AS regexp_matches(text, pattern)")
    made.execute("CREATE MACRO to_utf8(text) AS encode(text)")
    made.execute("CREATE MACRO length(one) AS octet_length(one)")  # of bytes, which is the only use
    made.execute("CREATE MACRO from_unixtime(seconds, zone) AS make_timestamp(CAST(seconds AS bigint) * 1000000)")
    strftime = "strftime(moment, replace(replace(form, '%s', '%S'), '%i', '%M'))"
    made.execute(f"CREATE MACRO date_format(moment, form) AS {strftime}")
    return made


def rows_of(content: bytes, width: int) -> list[list[str | None]]:
    """Read lines as LazySimpleSerDe does, without the first: too few columns are NULL, too many are dropped."""
    rows: list[list[str | None]] = []
    for line in content.decode().split("\n")[1:]:
        if line:  # Athena gives a row for an empty line, all of it NULL but an empty first column
            columns: list[str | None] = list(line.split(" ")[: width + 1])
            rows.append(columns + [None] * (width + 1 - len(columns)))
    return rows


def answer_of(query: Query, top: int, *parts: tuple[Layout, bytes]) -> bytes:
    """Ask DuckDB, of one table per part."""
    tables = [Table(f"t{number}", "plain", "s3://b/AWSLogs/", layout) for number, (layout, _) in enumerate(parts)]
    asked = database()
    for table, (layout, content) in zip(tables, parts, strict=True):
        names = [*map(column_name, layout.columns), "beyond_the_last", "of_day"]
        rows = [[*row, "2026/11/01"] for row in rows_of(content, len(layout))] or [[None] * len(names)]
        values = ", ".join("(" + ", ".join(["?::VARCHAR"] * len(names)) + ")" for _ in rows)
        columns = ", ".join(f'"{name}"' for name in names)
        every = [one for row in rows for one in row]
        asked.execute(f"CREATE OR REPLACE TABLE {table.name} AS SELECT * FROM (VALUES {values}) AS t({columns})", every)
    found = asked.execute(question_sql(query, tables, top=top)).fetchall()
    return b"".join("\t".join(map(str, row)).encode() + b"\n" for row in found)


@st.composite
def tables_of_records(draw: st.DrawFn, query: Query) -> tuple[Layout, bytes]:
    """A header line, and records below it, some of them dirty; no other header, no byte order mark, only UTF-8."""
    columns = draw(strategies.any_layouts() | st.just(DEFAULT_LAYOUT.columns))
    if draw(st.integers(0, 19)):
        columns = tuple(dict.fromkeys((*columns, *query.needed_fields)))
    strange = draw(st.sampled_from([strategies._WILD, None]))
    lines = [" ".join(columns).encode()]
    for _ in range(draw(st.integers(0, 16))):
        line = draw(strategies._records(columns, strategies._TAME, strange))
        if draw(st.integers(0, 9)) == 0:
            line = draw(st.sampled_from([line + b" ", line + b" more", line.rpartition(b" ")[0], b"  " + line, b"x"]))
        if b"\n" not in line and b"\r" not in line and line.decode(errors="ignore").encode() == line:
            lines.append(line)
    return Layout(columns), b"\n".join(lines) + b"\n"


IPV6 = re.compile(r":a:[^,]*[0-9a-f]{32}")
"""A test of IPv6 in the program of an expression."""


@st.composite
def questions(draw: st.DrawFn) -> Query:
    """Any question without networks and tests of IPv6."""
    query = draw(strategies.queries() | strategies.recipe_queries())
    if query.where and IPV6.search(query.where.program):
        query = replace(query, where=None)
    by = tuple(word for word in query.by if "/" not in word)
    return replace(query, by=by or ("pair", "action"))


@settings(max_examples=60)
@given(st.data())
def test_the_answer_is_that_of_every_engine(data: st.DataObject) -> None:
    """For any question about any records, the same lines in the same order, unless a table lacks a field."""
    query = data.draw(questions())
    parts = data.draw(st.lists(tables_of_records(query), min_size=1, max_size=2))
    top = data.draw(strategies.TOPS)
    if any(set(query.needed_fields) - set(layout.columns) for layout, _ in parts):
        with pytest.raises(ToptalkersError, match="which the question needs"):
            answer_of(query, top, *parts)
        return
    expected = count(query, [content for _, content in parts], set(FIELDS)).lines(top)
    assert answer_of(query, top, *parts) == expected


def test_equal_ports_are_the_services_on_both_sides() -> None:
    """The client's port is the same one, also above 1024, as in every engine."""
    layout = Layout(("srcaddr", "dstaddr", "srcport", "dstport"))
    content = b"srcaddr dstaddr srcport dstport\n192.0.2.1 192.0.2.2 40000 40000\n"
    query = Query.parse(by="service-port,side,client-port", ports="all", action="ALL")
    expected = count(query, [content], set(FIELDS)).lines(0)
    assert answer_of(query, 0, (layout, content)) == expected == b"40000\tboth\t40000\t1\n"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"by": "hour,srcaddr/24"}, "--by: srcaddr/24 is not written as SQL"),
        ({"where": "src net 2001:db8::/32"}, "--where: IPv6 addresses of srcaddr are not written as SQL"),
        ({"count": "once"}, "--count once is not written as SQL: records are joined to conversations"),
        ({"count": "once", "pairs": "yes"}, "--pairs is not written as SQL: records are joined to conversations"),
    ],
)
def test_what_is_not_written_as_sql(asked: dict[str, str], message: str) -> None:
    """Networks, tests of IPv6, and conversations are refused by name."""
    with pytest.raises(UsageError, match=message):
        question_sql(Query.parse(**asked), [Table("t", "plain", "s3://b/", DEFAULT_LAYOUT)])


PIECES = ["1", "ffff", "12345", ":", "::", "10.0.0.1", "256.0.0.1", "."]
GROUPS = st.lists(st.sampled_from(["0", "abcd"]), max_size=10).map(":".join)


@given(
    st.sampled_from([*strategies.ADDRESSES, *strategies.BAD_ADDRESSES])
    | st.lists(st.sampled_from(PIECES), max_size=16).map("".join)
    | GROUPS.flatmap(lambda one: st.sampled_from([one, f"::{one}", f"{one}::", f"{one}:1.2.3.4", f"::{one}:1.2.3.4"]))
    | GROUPS.map(lambda one: one.replace(":", "::", 1))
)
def test_addresses_are_the_mappers(text: str) -> None:
    """The pattern of the SQL knows the same addresses."""
    assert bool(re.match(ADDRESS_PATTERN.replace("$", r"\Z"), text)) == is_address(text.encode())


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else str(datetime(2026, 10, 25, tzinfo=UTC) + timedelta(seconds=seconds))


HOURS = st.none() | st.integers(0, 250 * 3600)


@pytest.mark.parametrize("kind", ["captured", "plain", "hive"])
@given(data=st.data())
def test_partitions_are_those_that_can_hold_records(kind: Kind, data: st.DataObject) -> None:
    """A question's time reads the folders in which its records can have arrived, and no others."""
    early, late = data.draw(HOURS), data.draw(HOURS)
    if early is not None and late is not None and early >= late:
        return
    query = Query.parse(since=_time(early), until=_time(late))
    unit = HOUR if kind == "captured" else DAY
    begin = datetime(2026, 10, 20, tzinfo=UTC)
    folders = [begin + unit * number for number in range(20 * DAY // unit)]
    arrival = Arrival.of_records(query.since, query.until)
    asked = database()
    sql = question_sql(query, [Table("t", kind, "s3://b/", DEFAULT_LAYOUT)])
    conditions = re.findall(r'(?:WHERE|AND) (\(?(?:\("of_|"of_).*)', sql)
    form, where = "%d" if kind == "hive" else "%Y/%m/%d", " AND ".join(conditions) or "true"
    asked.execute(
        f"""CREATE TABLE IF NOT EXISTS folders_{kind} AS SELECT number, strftime(moment, '%Y') AS of_year,
            strftime(moment, '%m') AS of_month, strftime(moment, '{form}') AS of_day,
            strftime(moment, '%Y/%m/%d/%H') AS of_hour
        FROM (SELECT number, TIMESTAMP '2026-10-20 00:00:00' + number * INTERVAL '{unit // HOUR} hours' AS moment
            FROM range({len(folders)}) AS numbers(number))"""
    )
    numbers = asked.execute(f"SELECT number FROM folders_{kind} WHERE {where}").fetchall()
    found = {folders[number] for (number,) in numbers}
    bounded = kind != "hive" or (query.since and query.until)
    assert found == {at for at in folders if not bounded or (at < arrival.end and arrival.start < at + unit)}


def test_a_table_over_the_stream() -> None:
    """Columns in order, with the reserved words quoted, a column for what is too many, and projected hours."""
    sql = table_sql(Table("toptalkers_captured", "captured", "s3://b/flowlogs/", DEFAULT_LAYOUT, since="NOW-8DAYS"))
    assert "`srcaddr` string" in sql
    assert "`end` string" in sql
    assert "`log_status` string,\n  `beyond_the_last` string\n)" in sql
    assert "PARTITIONED BY (`of_hour` string)" in sql
    assert "'projection.of_hour.range' = 'NOW-8DAYS,NOW'" in sql
    assert "'projection.of_hour.interval.unit' = 'HOURS'" in sql
    assert "'storage.location.template' = 's3://b/flowlogs/${of_hour}/'" in sql
    assert "'skip.header.line.count' = '1'" in sql


def put(account: FakeAccount, key: str, layout: Layout = DEFAULT_LAYOUT) -> None:
    """Put an object of flow logs with a header line, as AWS delivers them."""
    account.fake_s3.objects[key] = gzip.compress(" ".join(layout.columns).encode() + b"\n")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    """An account whose stack captures by a stream."""
    monkeypatch.setitem(OUTPUTS, "StreamName", "stream")
    monkeypatch.setitem(OUTPUTS, "LogFormat", "${srcaddr} ${dstaddr} ${dstport} ${action} ${log-status}")
    return FakeAccount()


def test_the_stacks_tables(account: FakeAccount) -> None:
    """What the stream writes has the stack's columns; what AWS delivers has those of its newest header."""
    done = command(account, "render", "athena", "--top", "5")
    assert done.exit_code == 0
    assert "CREATE EXTERNAL TABLE IF NOT EXISTS `toptalkers_captured`" in done.stdout
    assert "`srcaddr` string,\n  `dstaddr` string,\n  `dstport` string,\n  `action` string" in done.stdout
    assert done.stdout.endswith("LIMIT 5;\n")
    put(account, "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/23/1.log.gz")
    put(account, "AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/11/23/13/1.log.gz", RICH_LAYOUT)
    put(account, "AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/23/1.json.gz")
    put(account, "AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/aws-region=us-east-1/year=2026/1.log.gz")
    every = command(account, "render", "athena").stdout
    assert every.count("CREATE EXTERNAL TABLE") == 3
    assert every.count("UNION ALL") == 2
    assert "'projection.of_region.values' = 'eu-west-1,us-east-1'" in every
    assert "'projection.of_account.values' = '111122223333'" in every
    assert f"'s3://{BUCKET}/AWSLogs/${{of_account}}/vpcflowlogs/${{of_region}}/${{of_day}}/'" in every
    assert "/year=${of_year}/month=${of_month}/day=${of_day}/'" in every


def test_logs_of_another_bucket(account: FakeAccount) -> None:
    """--input names folders above accounts, or one tree; the two statements can be had one by one."""
    put(account, "org/AWSLogs/o-a1b2c3d4e5/111122223333/vpcflowlogs/us-east-1/2026/11/23/1.log.gz")
    put(account, "org/AWSLogs/o-a1b2c3d4e5/123456789012/vpcflowlogs/us-east-1/2026/11/23/1.log.gz")
    options = ["render", "athena", "--input", f"s3://{BUCKET}/org/AWSLogs/"]
    tables = command(account, *options, "--only", "tables").stdout
    assert "'projection.of_account.values' = '111122223333,123456789012'" in tables
    assert "SELECT" not in tables
    question = command(account, *options, "--only", "question").stdout
    assert question.startswith("WITH records AS")
    assert ";" not in question
    one = command(
        account,
        "render",
        "athena",
        "--input",
        f"s3://{BUCKET}/org/AWSLogs/o-a1b2c3d4e5/123456789012/vpcflowlogs/us-east-1/",
    )
    assert "'projection.of_account.values' = '123456789012'" in one.stdout


def test_what_cannot_be_asked_is_refused(account: FakeAccount) -> None:
    """Nothing there, no header, a field that is not there, and no address of a folder: one line each."""
    for options, code, message in (
        (["--input", f"s3://{BUCKET}/nothing/"], 1, "there are no flow logs in"),
        (["--input", "nothing"], 2, "is not the address of a folder"),
        (["--input", f"s3://{BUCKET}/AWSLogs/"], 1, "are not known: its newest object has no header line"),
    ):
        account.fake_s3.objects["AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/23/1.gz"] = gzip_of_size(90)
        done = command(account, "render", "athena", *options)
        assert (done.exit_code, done.stdout) == (code, "")
        assert message in done.stderr
    table = Table("t", "captured", "s3://b/flowlogs/", Layout(("srcaddr", "dstaddr", "dstport")))
    with pytest.raises(ToptalkersError, match="has no 'bytes', which the question needs"):
        question_sql(Query.parse(metric="bytes", action="ALL"), [table])


def test_folders_of_other_services_are_not_listed(account: FakeAccount) -> None:
    """A trail beside the flow logs takes no more requests than none."""

    def listings() -> int:
        account.fake_s3.calls.clear()
        assert command(account, "render", "athena", "--input", f"s3://{BUCKET}/AWSLogs/").exit_code == 0
        return account.fake_s3.calls.count("ListObjectsV2")

    put(account, "AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/23/1.log.gz")
    alone = listings()
    for day in range(1, 29):
        account.fake_s3.objects[f"AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/{day:02}/x.json.gz"] = b"x"
    assert listings() == alone
