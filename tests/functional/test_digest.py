"""Digests from end to end: made here and on a cluster, and asked later."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.commands import command
from tests.fake_account import FakeAccount
from tests.strategies import (
    ADDRESSES,
    FLAGS,
    JOINED,
    NUMBERS,
    PORTS,
    PROTOCOLS,
    SINCE,
    STARTS,
    UNTIL,
    joined_files,
    joined_line,
    joined_queries,
)
from tests.wheres import wheres
from toptalkers.answer.answer import Tally
from toptalkers.answer.digest import METADATA_KEY, DigestOrigin, format_digest
from toptalkers.answer.quality import Quality
from toptalkers.engines import Watch
from toptalkers.engines.local import count_files
from toptalkers.errors import UsageError
from toptalkers.flowlog.fields import DEFAULT_FIELDS
from toptalkers.names.snapshot import Interface, Scope, Snapshot, format_snapshot
from toptalkers.question.clauses import METRICS, format_ports, parse_time
from toptalkers.question.digest import check_question, digest_texts, is_digest
from toptalkers.question.query import Query
from toptalkers.question.where import parse_program, parse_where
from toptalkers.records.files import find_inputs
from toptalkers.runs.record import load_record
from toptalkers.sample.writer import write_sample

OF_CLUSTER = (
    b"2026-11-23T18:00:00Z\teni-a\t10.0.0.1\t10.0.0.2\t443\tdst\t-\t6\tACCEPT\t3\tsyn\t-\t-\t9000\t11\t6"
    b"\t2026-11-23T18:00:01Z\t2026-11-23T18:59:59Z\n"
    b"2026-11-23T18:00:00Z\teni-a\t10.0.0.2\t10.0.0.1\t443\tsrc\t-\t6\tREJECT\t18\tpeers\t-\t10.0.0.9\t40\t1\t1"
    b"\t2026-11-23T18:00:02Z\t2026-11-23T18:00:12Z\n"
)


@pytest.fixture
def account() -> FakeAccount:
    """An account with a stack and one captured object; a job that succeeds leaves a digest."""
    account = FakeAccount()
    account.capture("2026/11/23/18")
    account.fake_emr.on_done = lambda: account.leave(OF_CLUSTER)
    return account


def test_a_digest_of_a_cluster(account: FakeAccount, tmp_path: Path) -> None:
    """run-emr --digest asks the digest's question, of all ports and actions; fetch-results writes it as Parquet."""
    ran = command(account, "run-emr", "--digest", "--yes")
    assert ran.exit_code == 0
    assert "question  digest, all ports, all actions" in ran.stderr
    run_id = ran.stdout.strip()
    assert f"fetch-results {run_id} --output digest.parquet' fetches the answer" in ran.stderr
    bucket = account.open().storage
    record = load_record(bucket, account.bucket, run_id)
    assert record
    assert is_digest(record.query)
    output = tmp_path / "d.parquet"
    fetched = command(account, "fetch-results", "--output", str(output))
    assert fetched.exit_code == 0
    table = parquet.read_table(output)
    assert table["records"].to_pylist() == [6, 1]
    assert table["server_side"].to_pylist() == ["dst", "src"]
    assert table["pkt_dstaddr"].to_pylist() == [None, "10.0.0.9"]
    origin = DigestOrigin.parse(table.schema.metadata[METADATA_KEY])
    assert Query.parse(**origin.question) == record.query
    assert origin.tally
    assert origin.tally.counted == 7
    assert command(account, "fetch-results").stdout.encode() == OF_CLUSTER


def test_a_digest_of_a_cluster_keeps_names(account: FakeAccount, tmp_path: Path) -> None:
    """fetch-results --names keeps in the digest what its addresses belong to; here and in S3 it answers by names."""
    owner = Interface("eni-a", addresses=("10.0.0.1",), tags={"Name": "web"})
    snapshot = Snapshot((Scope("123456789012", "us-east-1", int(STARTS[0]), interfaces=(owner,)),))
    names, output = tmp_path / "network.json", tmp_path / "d.parquet"
    names.write_bytes(b"".join(format_snapshot(snapshot)))
    command(account, "run-emr", "--digest", "--yes")
    assert command(account, "fetch-results", "--names", str(names), "--output", str(output)).exit_code == 0
    asked = command(
        account, "run-local", str(output), "--by", "src.name,service", "--metric", "bytes", "--ports", "all"
    )
    assert asked.stdout == "~web\thttps\t9000\n"


def test_a_digest_of_one_action_on_a_cluster(account: FakeAccount) -> None:
    """Other clauses narrow a cluster's digest; its key, sums and number of rows are fixed."""
    ran = command(account, "run-emr", "--digest", "--yes", "--action", "ACCEPT", "--ports", "22")
    assert "question  digest, ports 22, ACCEPT" in ran.stderr
    for option, value in (("--by", "srcaddr"), ("--metric", "bytes"), ("--top", "5")):
        refused = command(account, "run-emr", "--digest", "--yes", option, value)
        assert refused.exit_code == 2
        assert refused.stderr.startswith(f"Error: {option}: a digest has a key and sums of its own, and all rows")


def test_another_answer_of_a_cluster_is_not_written_as_parquet(account: FakeAccount, tmp_path: Path) -> None:
    """fetch-results refuses a name of Parquet for the answer to another question, and writes nothing."""
    account.fake_emr.on_done = lambda: account.leave(b"10.0.0.1:10.0.0.2:443\t7\n")
    command(account, "run-emr", "--yes")
    refused = command(account, "fetch-results", "--output", str(tmp_path / "d.parquet"))
    assert refused.exit_code == 2
    assert "only a digest is written as Parquet" in refused.stderr
    assert not list(tmp_path.iterdir())


COLUMNS = (*DEFAULT_FIELDS, "tcp-flags")
TIMES = [*STARTS, "0", "99999999999", "253402300799999"]
CLEAN = {
    **dict.fromkeys(("srcaddr", "dstaddr"), ADDRESSES),
    **dict.fromkeys(("srcport", "dstport"), PORTS),
    **dict.fromkeys(("packets", "bytes"), NUMBERS),
    "start": TIMES,
    "end": TIMES,
    "interface-id": ["eni-0a", "eni-0b"],
    "protocol": PROTOCOLS,
    "tcp-flags": [flags for flags in FLAGS if not flags.startswith("02")],
    "action": ["ACCEPT", "ACCEPT", "REJECT"],
    "log-status": ["OK"] * 8 + ["NODATA", "SKIPDATA"],
    "version": ["5"],
    "account-id": ["123456789012"],
}
PARTS = [
    *("hour", "day", "interface-id", "srcaddr", "dstaddr", "pair", "srcaddr/24/64", "dstaddr/0/128", "srcaddr/8/32"),
    *("service-port", "side", "client-port", "protocol", "action", "tcp-flags"),
]
TESTED = (
    *("interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "service-port", "client-port", "side"),
    *("protocol", "action", "tcp-flags"),
)
KNOWN_TO_ALL = [((0, 65535),), ((0, 1024),), ((22, 22), (1000, 65535))]
KNOWN_PORTS = ["0-1024", "22-22", "80-443", "53-53+1025-65535", "0-442+444-65535", "0-22+1000-65535"]


@st.composite
def logs(draw: st.DrawFn) -> bytes:
    """A file of clean records with a header."""
    rows = [[draw(st.sampled_from(CLEAN[name])) for name in COLUMNS] for _ in range(draw(st.integers(1, 15)))]
    return "\n".join(map(" ".join, [COLUMNS, *rows, []])).encode()


@st.composite
def questions(draw: st.DrawFn) -> Query:
    """Any question that a digest answers."""
    ports = draw(st.sampled_from(["all", "all", "0-1024", "22,80", "1025-65535", "0-22,1000-65535"]))
    parts = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4, unique=True))
    if ports in ("0-1024", "22,80"):
        parts = draw(st.sampled_from([["srcaddr", "dstaddr", "dstport"], [*parts, "dstport"], parts]))
    query = Query.parse(
        by=",".join(parts),
        metric=",".join(draw(st.lists(st.sampled_from(METRICS), min_size=1, unique=True))),
        ports=ports,
        action=draw(st.sampled_from(["ACCEPT", "REJECT", "ALL", "ALL"])),
        since=draw(st.sampled_from([None, None, SINCE, "2026-11-01"])),
        until=draw(st.sampled_from([None, None, UNTIL])),
    )
    if draw(st.booleans()):
        return query
    words = parse_where(draw(wheres(fields=TESTED)).text).program.split(",")
    for at, word in enumerate(words):
        if word.startswith(("srcport:n:", "dstport:n:")):
            words[at] = word[:10] + draw(st.sampled_from(KNOWN_PORTS))
    return replace(query, where=parse_program(",".join(words)))


def ask(query: Query, files: Sequence[Path]) -> tuple[bytes, Tally, Quality]:
    """The answer of the local engine, the tally of the records, and the quality; no file may be left out."""
    left_out: list[object] = []
    answer = count_files(query, find_inputs(map(str, files)).files, watch=Watch(on_problem=left_out.append))
    assert not left_out
    quality = replace(answer.quality, without_packet_addresses=None)  # a digest cannot tell
    return b"".join(answer.chunks), replace(answer.tally, files_read=0), quality


def left_out(query: Query, file: Path) -> bool:
    """Whether a file has too many lines that do not fit, or lacks a field."""
    problems: list[object] = []
    count_files(query, find_inputs([str(file)]).files, watch=Watch(on_problem=problems.append))
    return bool(problems)


def make_digest(files: Sequence[Path], output: Path, **texts: str) -> Path:
    """Write the digest of some files."""
    answer = count_files(Query.parse(**digest_texts(**texts)), find_inputs(map(str, files)).files)
    output.write_bytes(b"".join(format_digest(answer)))
    return output


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(logs(), min_size=1, max_size=4), questions())
def test_a_digest_answers_as_its_records_do(contents: list[bytes], query: Query) -> None:
    """Digests give the answer and the tally of the records: one or several, with records, and a digest of digests."""
    check_question(query)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{number}.log" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        expected = ask(query, files)
        each = [make_digest([file], file.with_suffix(".parquet")) for file in files]
        assert ask(query, [make_digest(files, folder / "all.parquet")]) == expected
        assert ask(query, each) == expected
        assert ask(query, [*files[:1], *each[1:]]) == expected
        assert ask(query, [make_digest(each, folder / "again.parquet")]) == expected


@st.composite
def questions_about_conversations(draw: st.DrawFn) -> Query:
    """Any question about conversations that a digest answers, and that asks for all times."""
    query = draw(joined_queries())
    if not query.pairs:
        query = replace(query, ports=draw(st.sampled_from([*KNOWN_TO_ALL, query.ports])))
    query = replace(query, since=None, until=None, where=None)
    try:
        check_question(query)
    except UsageError:
        reject()
    return query


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(joined_files(DEFAULT_FIELDS, "ACCEPT"), questions_about_conversations())
def test_a_digest_answers_about_conversations_as_its_records_do(contents: list[bytes], query: Query) -> None:
    """A digest of the ports of the question gives the answer of the records; of its action, the tally, too."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{number}.log" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        ports = "all" if query.pairs else format_ports(query.ports)
        fitting = [file for file in files if not left_out(query, file)]
        expected = ask(query, fitting)
        assert ask(query, [make_digest(fitting, folder / "of.parquet", ports=ports, action=query.action)]) == expected
        assert ask(query, [make_digest(fitting, folder / "all.parquet", ports=ports)])[0] == expected[0]


TELLING = (*JOINED, "action", "log-status", "tcp-flags", "pkt-srcaddr", "pkt-dstaddr")


@st.composite
def telling_hours(draw: st.DrawFn) -> list[bytes]:
    """One file per hour, in which each record itself tells by its flags who the server is."""
    random = draw(st.randoms(use_true_random=False))
    hours = []
    for hour in range(draw(st.integers(1, 3))):
        lines = [" ".join(TELLING)]
        for _ in range(draw(st.integers(1, 12))):
            client, server = f"10.0.0.{random.randrange(3)}", random.choice(["10.0.1.1", "10.0.1.2", "203.0.113.9"])
            here = {"protocol": "6", "packets": random.choice("1279"), "bytes": random.choice(["40", "99", "1500"])}
            here |= {"action": random.choice(["ACCEPT", "ACCEPT", "REJECT"])}
            start = 1793491200 + 3600 * hour + random.randrange(3600)
            here |= {"start": str(start), "end": str(start + random.choice([0, 59, 600]))}
            ports = [random.choice(["700", "40000", "50000"]), random.choice(["22", "443", "2049", "45000"])]
            is_reply = random.random() < 0.5
            ends = [client, server][:: -1 if is_reply else 1]
            ports = ports[:: -1 if is_reply else 1]
            here |= {"srcaddr": ends[0], "dstaddr": ends[1], "srcport": ports[0], "dstport": ports[1]}
            here |= {"tcp-flags": "18" if is_reply else "2", "pkt-srcaddr": ends[0], "pkt-dstaddr": ends[1]}
            for interface in random.sample(["eni-a", "eni-b", "eni-c"], random.choice([1, 2])):
                packet = {"pkt-dstaddr": "198.51.100.1"} if random.random() < 0.1 else {}
                line = joined_line(TELLING, here | {"interface-id": interface} | packet).decode()
                lines += [line] * random.choice([1, 1, 1, 2])
        hours.append("\n".join([*lines, ""]).encode())
    return hours


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(telling_hours(), joined_queries(), st.sampled_from([None, None, "2026-11-01T01:00:00Z"]))
def test_digests_of_several_hours_answer_together(contents: list[bytes], query: Query, since: str | None) -> None:
    """Where each record tells its server, digests of hours, a digest of them, and logs beside one answer alike."""
    query = replace(query, where=None, since=parse_time("--since", since) if since else None, until=None)
    try:
        check_question(query)
    except UsageError:
        reject()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{number}.log" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        expected = ask(query, files)
        each = [make_digest([file], file.with_suffix(".parquet")) for file in files]
        assert ask(query, [make_digest(files, folder / "all.parquet")]) == expected
        assert ask(query, each) == expected
        assert ask(query, [*files[:1], *each[1:]]) == expected
        assert ask(query, [make_digest(each, folder / "again.parquet")]) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs())
def test_columns_and_lines_make_the_same_digest(content: bytes) -> None:
    """A digest that is made from the kernel's columns has the rows, in their order, that one made from lines has."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "a.log"
        file.write_bytes(content)
        answer = count_files(Query.parse(**digest_texts()), find_inputs([str(file)]).files)
        assert answer.exported
        tables = [
            parquet.read_table(BytesIO(b"".join(format_digest(one))))
            for one in (answer, replace(answer, exported=None))
        ]
    assert tables[0].equals(tables[1], check_metadata=True)


PAGE = (Path(__file__).parents[2] / "docs/digest.md").read_text()


def test_the_page_has_the_columns_of_the_file(tmp_path: Path) -> None:
    """The table of docs/digest.md has the names and types of the columns, in their order."""
    log = tmp_path / "a.log"
    log.write_text("\n".join([" ".join(COLUMNS), " ".join(CLEAN[name][0] for name in COLUMNS), ""]))
    schema = parquet.read_schema(make_digest([log], tmp_path / "d.parquet"))
    types = [str(kind).replace("tz=", "") for kind in schema.types]
    assert re.findall(r"^\| `(\w+)` \| (string|int[0-9]+|timestamp\[ms, UTC\]) \|", PAGE, re.MULTILINE) == list(
        zip(schema.names, types, strict=True)
    )


def test_the_query_for_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SQL of docs/digest.md gives the talkers that run-local gives from the same digest."""
    monkeypatch.chdir(tmp_path)
    logs = Path(__file__).parents[1] / "flowlogs/default.log"
    assert command(None, "digest", str(logs), "--output", "november.parquet").exit_code == 0
    sql = re.findall(r"DuckDB:\n\n```sql\n(.*?)```", PAGE, re.DOTALL)[0]
    day = ["--since", "2026-11-01", "--until", "2026-11-02"]
    key = ["--by", "srcaddr,dstaddr,service-port", "--metric", "bytes", "--ports", "all", "--top", "10"]
    asked = command(None, "run-local", "november.parquet", *key, *day, "--format", "tsv")
    rows = duckdb.sql(sql).fetchall()
    assert rows
    assert ["\t".join(map(str, row)) for row in rows] == asked.stdout.splitlines()


def test_what_a_digest_lacks_is_said_and_kept(tmp_path: Path) -> None:
    """A note says that --where narrowed a digest, or that files were left out, also of a digest made of it."""
    logs = str(Path(__file__).parents[1] / "flowlogs/default.log")
    (tmp_path / "b.log").write_bytes(b"\0\1\2 no flow log")
    narrow, without, both = (str(tmp_path / f"{name}.parquet") for name in ("narrow", "without", "both"))
    assert command(None, "digest", logs, "--output", narrow, "--where", "dst port 443").exit_code == 0
    assert command(None, "digest", logs, str(tmp_path / "b.log"), "--output", without).exit_code == 1
    made = command(None, "digest", narrow, without, "--output", both)
    notes = [
        f"Note: {without}: made without 1 file that could not be read",
        f"Note: {narrow}: only the records of --where 'dstport = 443'",
    ]
    assert made.stderr.splitlines()[:2] == notes
    asked = command(None, "run-local", both, both, "--cache", str(tmp_path / "cache"))
    again = command(None, "run-local", both, "--cache", str(tmp_path / "cache"))
    for one in (asked, again):
        assert one.stderr.splitlines()[0] == (
            f"Note: {both}: made without 1 file that could not be read; only the records of --where 'dstport = 443'"
        )


def test_a_digest_that_another_program_wrote_again(tmp_path: Path) -> None:
    """Rows without the metadata are not taken for single records, nor is a digest without a column that is needed."""
    logs = Path(__file__).parents[1] / "flowlogs/default.log"
    digest = make_digest([logs], tmp_path / "d.parquet")
    copy = tmp_path / "copy.parquet"
    duckdb.sql(f"COPY (FROM '{digest}') TO '{copy}'")
    refused = command(None, "run-local", str(copy))
    assert refused.exit_code == 1
    assert "a digest without its metadata" in refused.stderr
    table = parquet.read_table(digest)
    parquet.write_table(table.drop_columns(["server_side"]), copy)
    assert "a damaged digest: it has no column server_side" in command(None, "run-local", str(copy)).stderr
    assert command(None, "run-local", str(copy), "--ports", "all", "--by", "srcaddr").exit_code == 0


def test_a_question_that_a_digest_cannot_answer_is_refused(tmp_path: Path) -> None:
    """One digest among raw logs is enough: nothing is printed, and the exit code is 2."""
    logs = Path(__file__).parents[1] / "flowlogs/default.log"
    digest = make_digest([logs], tmp_path / "d.parquet")
    refused = command(None, "run-local", str(logs), str(digest), "--by", "srcport")
    assert refused.exit_code == 2
    assert not refused.stdout
    assert refused.stderr == (
        "Error: --by srcport: a digest keeps the port of the service, and the other one up to 1024"
        " (--by service-port,side)\n"
    )


def test_a_digest_among_its_records_is_not_counted_again(tmp_path: Path) -> None:
    """In a folder it is passed over, and named as an input it is refused."""
    (tmp_path / "default.log").write_bytes(Path("tests/flowlogs/default.log").read_bytes())
    output = tmp_path / "digest.parquet"
    results = [command(None, "digest", str(tmp_path), "--output", str(output)) for _ in range(2)]
    assert [result.exit_code for result in results] == [0, 0]
    assert f"the --output of this run): {output}" in results[1].stderr
    assert "10 records read from 1 file" in results[1].stderr
    named = command(None, "digest", str(output), "--output", str(output))
    assert (named.exit_code, "is named as an input and as --output" in named.stderr) == (2, True)


def test_a_digest_of_nothing_replaces_none(tmp_path: Path) -> None:
    """Where no file can be read, the file stays as it was."""
    output = tmp_path / "digest.parquet"
    output.write_bytes(b"as it was")
    result = command(None, "digest", str(tmp_path / "missing"), "--output", str(output))
    assert (result.exit_code, output.read_bytes()) == (1, b"as it was")
    assert "nothing was read" in result.stderr


def test_flags_that_are_none_cost_no_digest(tmp_path: Path) -> None:
    """A number that is too large for flags is null, and its record counts."""
    fields = "srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags interface-id"
    record = "10.0.0.1 10.0.0.2 40000 443 6 1 100 1793491200 1793491260 ACCEPT OK"
    lines = [fields, *(f"{record} {flags} eni-1" for flags in ("99999999999", "2147483648", "2"))]
    (tmp_path / "a.log").write_text("\n".join(lines))
    result = command(None, "digest", str(tmp_path), "--output", str(tmp_path / "d.parquet"))
    assert result.exit_code == 0
    rows = parquet.read_table(tmp_path / "d.parquet", columns=["tcp_flags", "records"]).to_pylist()
    assert sum(row["records"] for row in rows) == 3
    assert {row["tcp_flags"] for row in rows} == {None, 2}


def test_times_before_1973_stay_what_they_are(tmp_path: Path) -> None:
    """So early, a time in milliseconds has fewer digits than one in seconds of today, and is not taken for one."""
    fields = "srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status interface-id"
    (tmp_path / "a.log").write_text(f"{fields}\n10.0.0.1 10.0.0.2 40000 443 6 1 100 7205 7261 ACCEPT OK eni-1\n")
    assert command(None, "digest", str(tmp_path), "--output", str(tmp_path / "d.parquet")).exit_code == 0
    answered = command(None, "run-local", str(tmp_path / "d.parquet"), "--by", "hour", "--metric", "first,last")
    assert answered.stdout == "1970-01-01T02:00:00Z\t1970-01-01T02:00:05Z\t1970-01-01T02:01:01Z\n"


def test_a_digest_tells_that_its_records_had_no_packet_addresses(tmp_path: Path) -> None:
    """What was counted of a format without pkt- fields stays in doubt when it is asked of a digest of it."""
    write_sample(tmp_path / "logs", records=2000)
    digest = tmp_path / "digest.parquet"
    made = Query.parse(**digest_texts())
    answer = count_files(made, find_inputs([str(tmp_path / "logs")]).files)
    digest.write_bytes(b"".join(format_digest(answer)))
    query = Query.parse(count="once", pairs="yes", action="ALL")

    of_logs = count_files(query, find_inputs([str(tmp_path / "logs")]).files).quality
    of_digest = count_files(query, find_inputs([str(digest)]).files).quality

    assert of_digest.without_packet_addresses == of_logs.without_packet_addresses
    assert of_digest.without_packet_addresses
