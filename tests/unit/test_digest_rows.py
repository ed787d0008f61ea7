"""The rows of a digest, read again: as records that count for many, and as rows about conversations."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.commands import command
from toptalkers.answer.answer import Tally
from toptalkers.answer.digest import DigestOrigin
from toptalkers.errors import UsageError
from toptalkers.job.count_flows import service_of
from toptalkers.question.digest import digest_texts
from toptalkers.question.query import Query
from toptalkers.records.digest import DigestRows

METADATA = DigestOrigin(Query.parse(**digest_texts()).texts(), Tally(1, 1)).format()
PAST = Path(__file__).parents[1] / "digests/version-1.parquet"
"""A digest of the records `OF_PAST`, made by the last program whose digests had version 1."""
OF_PAST = """\
interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags
eni-0a 198.51.100.17 10.0.0.10 49152 443 6 12 4200 1793491200 1793491259 ACCEPT OK 3
eni-0a 10.0.0.10 198.51.100.17 443 49152 6 14 38100 1793491200 1793491259 ACCEPT OK 19
eni-0a 198.51.100.17 10.0.0.10 49153 443 6 9 3100 1793491260 1793494801 ACCEPT OK 2
eni-0a 203.0.113.9 10.0.0.10 51234 22 6 1 40 1793491200 1793491259 REJECT OK 2
eni-0b 10.0.1.20 10.0.0.2 40001 53 17 1 76 1793491200 1793491259 ACCEPT OK 0
eni-0b 10.0.1.20 10.0.0.2 123 123 17 2 152 1793491200 1793491259 ACCEPT OK -
eni-0b 10.0.1.20 10.0.2.30 700 2049 6 20 9000 1793494800 1793494859 ACCEPT OK 2
eni-0b 10.0.1.20 10.0.2.30 50000 40000 6 20 9000 1793494800 1793494859 ACCEPT OK 16
eni-0b 2001:db8::1 2001:db8::2 33000 33000 17 5 500 1793494800 1793494859 ACCEPT OK 0
eni-0b 10.0.1.20 10.0.2.30 0 0 1 4 336 1793491200 1793491259 ACCEPT OK 0
eni-0b - - - - - - - 1793491200 1793491259 - NODATA -
"""

PORTS = st.sampled_from([None, 0, 53, 443, 1024, 1025, 8080, 40000, 65534, 65535]) | st.integers(0, 65535)
FLAGS = st.sampled_from([None, 0, 2, 16, 18])


def service(src: int | None, dst: int | None, flags: int | None) -> tuple[bytes, bytes, bytes]:
    source, destination, logged = (b"-" if value is None else b"%d" % value for value in (src, dst, flags))
    return service_of((source, destination, logged))


def folded(src: int | None, dst: int | None, flags: int | None, side: str) -> dict[str, int | str | None]:
    """A row of one record whose server was found at a side, as docs/conversations.md has it."""
    _, of_service, _ = service(src, dst, flags)
    server, client = (src, dst) if side == "src" else (dst, src)
    is_kept = client is not None and (
        client <= 1024 or of_service.decode() != side or server is None  # nothing, or the other side, is the service's
    )
    return {"server_port": server, "server_side": side, "peer_port": client if is_kept else None, "tcp_flags": flags}


@given(st.lists(st.tuples(PORTS, PORTS, FLAGS, st.sampled_from(["src", "dst"])), min_size=1, max_size=40))
@example([(None, None, 18, "src"), (443, None, 2, "src"), (None, 443, 18, "dst"), (65535, None, None, "src")])
@example([(443, None, None, "src")])
def test_a_row_has_the_service_of_its_records(records: list[tuple[int | None, int | None, int | None, str]]) -> None:
    """The ports of a row give the service, side and client that the ports of each of its records give."""
    rows = DigestRows(METADATA, Query.parse(by="service-port,side,client-port", ports="all", action="ALL"), "d.parquet")
    types = {"server_port": pa.int32(), "server_side": pa.string(), "peer_port": pa.int32(), "tcp_flags": pa.int32()}
    of_rows = [folded(*record) for record in records]
    columns = {name: pa.array([row[name] for row in of_rows], kind) for name, kind in types.items()}
    columns["first"] = pa.array([0] * len(records), pa.timestamp("ms", "UTC"))
    columns["records"] = pa.array([1] * len(records), pa.int64())
    batch = pa.record_batch([columns[name] for name in rows.columns], names=rows.columns)
    read = dict(zip(rows.names, (array.to_pylist() for array in rows.arrays(batch)), strict=True))
    of_read = zip(read["srcport"], read["dstport"], read["tcp-flags"], strict=True)
    for (src, dst, flags, _), found in zip(records, of_read, strict=True):
        assert service(*found) == service(src, dst, flags)
        for port, was in zip(found, (src, dst), strict=False):
            assert was is None or port == was or (port == 65535 and was > 1024)


JOINING = replace(Query.parse(), count="once")


def test_a_question_about_conversations_gets_the_rows_as_they_are() -> None:
    """The fields are the columns of the key; the ports of a record only where a clause looks at them."""
    rows = DigestRows(METADATA, replace(JOINING, pairs=True), "d.parquet")
    of_key = ("interface-id", "srcaddr", "dstaddr", "server-port", "server-side", "peer-port", "protocol", "action")
    assert rows.names == (
        "start",
        "end",
        *of_key,
        "tcp-flags",
        "how",
        "pkt-srcaddr",
        "pkt-dstaddr",
        "bytes",
        "packets",
        "records",
    )
    assert "hour" not in rows.columns
    assert DigestRows(METADATA, JOINING, "d.parquet").names[-1] == "dstport"
    assert DigestRows(METADATA, Query.parse(**digest_texts()), "d.parquet").names == rows.names


@pytest.mark.parametrize(
    "options",
    [
        ["--by", "service-port,side,client-port,interface-id,hour", "--ports", "all", "--metric", "bytes,last,first"],
        ["--by", "srcaddr,dstaddr,dstport"],
        ["--by", "protocol,tcp-flags,action", "--ports", "22,1025-65535", "--metric", "records,packets"],
        ["--by", "day", "--where", "src port 443 or service-port = 2049", "--ports", "all"],
    ],
)
def test_a_digest_of_the_past_answers_about_records(options: list[str], tmp_path: Path) -> None:
    """A digest of version 1 gives the answers of its records, and the tally."""
    (tmp_path / "a.log").write_text(OF_PAST)
    for action in ("ALL", "ACCEPT"):
        of_logs, of_digest = (
            command(None, "run-local", str(path), *options, "--action", action) for path in (tmp_path / "a.log", PAST)
        )
        assert of_digest.stdout == of_logs.stdout != ""
        assert of_digest.stderr == of_logs.stderr


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (JOINING, "--count once"),
        (replace(JOINING, pairs=True), "--pairs"),
        (Query.parse(**digest_texts()), "a digest"),
    ],
)
def test_a_digest_of_the_past_cannot_tell_conversations(query: Query, asked: str) -> None:
    """A digest of version 1 is refused for conversations, and for a digest made of it, by name."""
    metadata = DigestOrigin(Query.parse(**digest_texts()).texts(), Tally(1, 1), version=1).format()
    with pytest.raises(UsageError) as refused:
        DigestRows(metadata, query, "d.parquet")
    assert refused.value.message == (
        f"{asked}: d.parquet is a digest of version 1, made by an earlier version of toptalkers,"
        " which cannot tell conversations"
    )
    assert refused.value.hint == "make it again from the logs"
