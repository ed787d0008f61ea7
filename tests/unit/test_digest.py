"""The digest: which questions it answers, and the Parquet file that it is."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from toptalkers.answer import digest as answer_digest
from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.digest import COLUMNS, METADATA_KEY, DigestOrigin, format_digest, goes_to_parquet
from toptalkers.answer.presentation import Presentation
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.question.digest import check_question, digest_texts
from toptalkers.question.query import Query
from toptalkers.question.where import Where

DIGEST = Query.parse(**digest_texts())


def asked(program: str = "", **texts: str) -> Query:
    query = Query.parse(**texts)
    return replace(query, where=Where("as asked", program)) if program else query


@pytest.mark.parametrize(
    "query",
    [
        asked(),
        DIGEST,
        asked(ports="22,80-443"),
        asked(by="srcaddr/16,dstaddr/0/48,day", ports="all"),
        asked(by="pair,hour,protocol", ports="1025-65535"),
        asked(by="service-port,side,client-port", ports="22,1000-65535"),
        asked(by="dstport,protocol"),
        asked(metric="last,first,bytes,packets,records"),
        asked(since="2026-11-01T10:00:00Z", until="2026-11-02"),
        asked("srcport:n:0-1024,not,dstport:n:22-22+80-80,or"),
        asked("srcport:n:0-442+444-65535"),
        asked("dstport:n:1025-65535,dstport:n:53-53,or,srcport:t:2d,or"),
        asked("service-port:n:8080-8080,side:t:737263,and,client-port:n:53-53,or"),
        asked(
            "interface-id:t:656e69,srcaddr:a:0a000000-0a00ffff,and,tcp-flags:n:2-2,and,action:t:41,protocol:n:6-6,or,or"
        ),
    ],
)
def test_questions_that_a_digest_answers(query: Query) -> None:
    """A digest answers by whole hours, addresses, and ports that it tells apart, with any metrics."""
    check_question(query)


KNOWN = "service-port, side and client-port are known; so are ports up to 1024"


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        (
            asked(by="srcport,dstaddr"),
            "--by srcport: a digest keeps the port of the service, and the other one up to 1024",
            "--by service-port,side",
        ),
        (
            asked(ports="all"),
            "--by dstport: a digest keeps the port of the service, and the other one up to 1024",
            "--by service-port, or --ports 0-1024",
        ),
        (
            asked(ports="22,443,8000-8999", by="srcaddr"),
            "--ports 22,443,8000-8999: a digest does not tell ports above 1024 apart, except those of services",
            "--ports 0-1024, --ports all, or --ports all --where 'service-port = 8000'",
        ),
        (asked(by="minute"), "--by minute: a digest has one row for a whole hour", "--by hour"),
        (asked(by="start"), "--by start: a digest has one row for a whole hour", "--by hour"),
        (asked(by="bytes"), "--by bytes: a digest has sums of many records, not the values of each", "a digest has "),
        (asked(by="vpc-id"), "--by vpc-id: a digest does not have this field", "a digest has hour, interface-id, "),
        (
            asked(by="pkt-srcaddr/8"),
            "--by pkt-srcaddr/8/64: a digest has a packet's address only where it is not that of the record",
            "--by srcaddr,dstaddr --count once counts by the packets' addresses",
        ),
        (
            asked("pkt-dstaddr:a:0a000000-0a00ffff"),
            "--where pkt-dstaddr: a digest has a packet's address only where it is not that of the record",
            "--by srcaddr,dstaddr --count once counts by the packets' addresses",
        ),
        (
            asked(since="2026-11-01T10:30:00Z"),
            "--since 2026-11-01T10:30:00Z: a digest has whole hours",
            "--since 2026-11-01T10:00:00Z or 2026-11-01T11:00:00Z",
        ),
        (
            asked(until="2026-11-01T23:00:01Z"),
            "--until 2026-11-01T23:00:01Z: a digest has whole hours",
            "--until 2026-11-01T23:00:00Z or 2026-11-02T00:00:00Z",
        ),
        (
            asked("srcport:n:443-443+8080-8080"),
            "--where srcport: a digest does not tell ports above 1024 apart, except those of services",
            KNOWN,
        ),
        (
            asked("protocol:n:6-6,dstport:n:0-1025,and"),
            "--where dstport: a digest does not tell ports above 1024 apart, except those of services",
            KNOWN,
        ),
        (
            asked(ports="1026-65535", by="srcaddr"),
            "--ports 1026-65535: a digest does not tell ports above 1024 apart, except those of services",
            "--ports 0-1024, --ports all, or --ports all --where 'service-port = 1026'",
        ),
        (
            asked("bytes:n:1000-999999999999999"),
            "--where bytes: a digest has sums of many records, not the values of each",
            "a digest has hour, ",
        ),
        (
            asked("start:n:0-5"),
            "--where start: a digest has one row for a whole hour",
            "--since and --until, full hours",
        ),
        (
            asked("end:n:0-5"),
            "--where end: a digest has sums of many records, not the values of each",
            "a digest has hour, ",
        ),
        (asked("vpc-id:t:76"), "--where vpc-id: a digest does not have this field", "a digest has hour, "),
    ],
)
def test_questions_that_need_what_a_digest_lacks(query: Query, message: str, hint: str) -> None:
    """The refusal says what is asked, why a digest cannot answer it, and what to ask instead."""
    with pytest.raises(UsageError) as refused:
        check_question(query)
    assert refused.value.message == message
    assert (refused.value.hint or "").startswith(hint)


ROWS = (
    "2026-11-01T10:00:00Z eni-b 10.0.0.1 10.0.0.2 443 dst - 6 ACCEPT 19 syn - 10.9.0.2"
    " 900 9 4 2026-11-01T10:00:05Z 2026-11-01T11:00:01Z\n"
    "2026-11-01T10:00:00Z eni-a 10.0.0.9 2001:db8::1 53 src 53 17 REJECT - ? - -"
    " 80 2 1 2026-11-01T10:59:59Z 2026-11-01T11:00:09Z\n"
    "2026-11-01T09:00:00Z - 10.0.0.9 10.0.0.2 - src - 1 - - copy - - 7 1 1 2026-11-01T09:00:00Z 2026-11-01T09:00:10Z"
).splitlines()
TALLY = Tally(7, 6, {"nodata": 1}, 1)


def lines(rows: Iterable[str] = ROWS) -> Iterator[bytes]:
    for row in rows:
        yield row.replace(" ", "\t").encode() + b"\n"


def written(chunks: Iterable[bytes], query: Query = DIGEST) -> parquet.ParquetFile:
    return parquet.ParquetFile(BytesIO(b"".join(format_digest(Answer(query, chunks, TALLY)))))


def test_rows_are_sorted_and_a_missing_value_is_null() -> None:
    """The rows of a group stand by hour, interface and addresses, and `-` is null."""
    rows = written(lines()).read().to_pylist()
    assert [row["interface_id"] for row in rows] == [None, "eni-a", "eni-b"]
    assert rows[0] == {
        **dict.fromkeys(
            ("interface_id", "server_port", "peer_port", "action", "tcp_flags", "pkt_srcaddr", "pkt_dstaddr")
        ),
        "server_side": "src",
        "how": "copy",
        "hour": datetime(2026, 11, 1, 9, tzinfo=UTC),
        "srcaddr": "10.0.0.9",
        "dstaddr": "10.0.0.2",
        "protocol": 1,
        "bytes": 7,
        "packets": 1,
        "records": 1,
        "first": datetime(2026, 11, 1, 9, tzinfo=UTC),
        "last": datetime(2026, 11, 1, 9, 0, 10, tzinfo=UTC),
    }
    assert rows[2]["server_port"] == 443
    assert rows[2]["peer_port"] is None
    assert rows[2]["pkt_dstaddr"] == "10.9.0.2"


def test_the_schema_is_that_of_the_documentation() -> None:
    """Names and types of the columns are fixed, for every other reader."""
    schema = written(lines()).schema_arrow
    types = dict(zip(schema.names, map(str, schema.types), strict=True))
    time = "timestamp[ms, tz=UTC]"
    assert types == {
        "hour": time,
        **dict.fromkeys(("interface_id", "srcaddr", "dstaddr"), "string"),
        "server_port": "int32",
        "server_side": "string",
        "peer_port": "int32",
        "protocol": "int32",
        "action": "string",
        "tcp_flags": "int32",
        **dict.fromkeys(("how", "pkt_srcaddr", "pkt_dstaddr"), "string"),
        **dict.fromkeys(("bytes", "packets", "records"), "int64"),
        "first": time,
        "last": time,
    }
    assert tuple(schema.names) == COLUMNS


def test_the_metadata_say_how_it_was_made() -> None:
    """The file carries its version, question, tally and window, and reads them back."""
    query = Query.parse(**digest_texts(action="ACCEPT", since="2026-11-01"))
    text = written(lines(), query).metadata.metadata[METADATA_KEY]
    assert json.loads(text)["window"] == {"first": "2026-11-01T09:00:00Z", "last": "2026-11-01T11:00:09Z"}
    origin = DigestOrigin.parse(text)
    assert origin.question == query.texts()
    assert origin.tally == TALLY
    assert origin.format() == text
    assert not origin.note


def test_a_digest_without_rows() -> None:
    """No record makes a file with the columns and no rows."""
    file = written([])
    assert file.metadata.num_rows == 0
    assert tuple(file.schema_arrow.names) == COLUMNS
    assert DigestOrigin.parse(file.metadata.metadata[METADATA_KEY]).first is None


def test_rows_come_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of more rows than a group holds has several groups, and all rows."""
    monkeypatch.setattr(answer_digest, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(answer_digest, "BYTES_PER_PARSE", 300)
    rows = [ROWS[0].replace("10.0.0.1", f"10.0.{number}.1") for number in range(10)]
    file = written(lines(rows))
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [4, 4, 2]
    assert sorted(file.read()["srcaddr"].to_pylist()) == [f"10.0.{number}.1" for number in range(10)]


@pytest.mark.parametrize(
    ("name", "query", "presentation", "message"),
    [
        ("d.parquet", Query(), Presentation(), "--output d.parquet: only a digest is written as Parquet"),
        ("d.parquet", DIGEST, Presentation(top=5), "--top 5: a digest has all rows"),
        ("d.parquet", DIGEST, Presentation(format="csv"), "--output d.parquet: a digest in Parquet has a format of"),
        ("d.parquet", DIGEST, Presentation(), True),
        ("d.tsv", DIGEST, Presentation(top=5), False),
        (None, Query(), Presentation(), False),
    ],
)
def test_what_is_written_as_parquet(
    name: str | None, query: Query, presentation: Presentation, message: str | bool
) -> None:
    """A whole digest is written as Parquet if the output is named so; other answers are refused such a name."""
    output = Path(name) if name else None
    if isinstance(message, bool):
        assert goes_to_parquet(output, query, presentation) is message
        return
    with pytest.raises(UsageError) as refused:
        goes_to_parquet(output, query, presentation)
    assert refused.value.message.startswith(message)


def test_a_tally_that_is_not_known() -> None:
    """The metadata of a digest whose tally was lost say so."""
    file = parquet.ParquetFile(BytesIO(b"".join(format_digest(Answer(DIGEST, lines(), Tally())))))
    assert DigestOrigin.parse(file.metadata.metadata[METADATA_KEY]).tally is None


def test_a_wrong_line_is_an_error() -> None:
    """A line that has not the digest's columns is named as such."""
    with pytest.raises(ToptalkersError, match="the answer has a wrong line"):
        written([b"10.0.0.1:10.0.0.2:443\t7\n"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "a digest of version 3, of which this program knows only up to 2"),
        ({"version": "1"}, "a digest whose metadata cannot be read: its version is '1'"),
        ({"tally": 7}, "a digest whose metadata cannot be read: "),
        ({"question": []}, "a digest whose metadata cannot be read: "),
        ({"without_pkt_addresses": "many"}, "a digest whose metadata cannot be read: "),
        ({"lacks": 7}, "a digest whose metadata cannot be read: "),
        ({"window": {}}, "a digest whose metadata cannot be read: "),
    ],
)
def test_metadata_that_are_none(change: dict[str, Any], message: str) -> None:
    """A digest of a newer version, or with damaged metadata, is refused with a reason."""
    content = json.loads(DigestOrigin(DIGEST.texts(), TALLY).format()) | change
    with pytest.raises(ToptalkersError) as refused:
        DigestOrigin.parse(json.dumps(content).encode())
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("made", "query", "message"),
    [
        ({}, asked(), None),
        ({"action": "ACCEPT"}, asked(), None),
        ({"action": "ACCEPT"}, asked(action="ALL"), "--action ALL: d.parquet is a digest of ACCEPT records only"),
        ({"action": "ACCEPT"}, asked(action="REJECT"), "--action REJECT: d.parquet is a digest of ACCEPT records only"),
        ({"ports": "0-443"}, asked(ports="22,80"), None),
        ({"ports": "0-443"}, asked(), "--ports 0-1024: d.parquet is a digest of the ports 0-443 only"),
        ({"since": "2026-11-01"}, asked(), None),
    ],
)
def test_a_digest_of_fewer_records_than_are_asked_for(
    made: dict[str, str | None], query: Query, message: str | None
) -> None:
    """A digest of one action, or of some ports, answers no question about others."""
    origin = DigestOrigin(Query.parse(**digest_texts(**made)).texts(), TALLY)
    if message is None:
        origin.check(query, "d.parquet")
        return
    with pytest.raises(UsageError) as refused:
        origin.check(query, "d.parquet")
    assert refused.value.message == message


def test_a_digest_of_ports_that_it_does_not_tell_apart_is_refused() -> None:
    """A digest of some ports above 1024 is not made, because no question about its records could be answered."""
    with pytest.raises(UsageError, match="--ports 22,8080: a digest does not tell ports above 1024 apart"):
        digest_texts(ports="22,8080")
    assert digest_texts(ports="22,1025-65535")["ports"] == "22,1025-65535"


def test_without_pyarrow_one_line_says_what_to_install() -> None:
    """Without pyarrow, the command ends at once and names the extra."""
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from toptalkers.__main__ import main\n"
        "sys.argv[1:] = ['digest', 'tests/flowlogs/default.log', '--output', '/tmp/never-written.parquet']\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'toptalkers[parquet]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
