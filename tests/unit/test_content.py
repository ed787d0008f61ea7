"""The kind of an object is found from its first bytes: any flow-log lines are read correctly, or are named."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.question.query import Query
from toptalkers.runs.input.content import LOOK_BYTES, Content, judge_content, judge_name
from toptalkers.runs.input.survey import cover

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
RECORD = "2 123456789012 eni-0a {src} 10.0.1.1 {port} 443 6 2 100 1795400000 1795400059 {action} {status}"
RECORDS = st.lists(
    st.builds(
        RECORD.format,
        src=st.ip_addresses().map(str),
        port=st.integers(0, 65535),
        action=st.sampled_from(["ACCEPT", "REJECT"]),
        status=st.just("OK"),
    )
    | st.just("2 123456789012 eni-0a - - - - - - - 1795400000 1795400059 - NODATA"),
    min_size=1,
    max_size=400,
)
HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)


def judge(key: str, content: bytes, query: Query | None = None) -> Content:
    head = content[:LOOK_BYTES]
    return judge_content(key, head, query or Query.parse(), is_whole=len(head) == len(content))


def tarred(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("a.log")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.log", content)
    return packed.getvalue()


def enveloped(content: bytes) -> bytes:
    events = [{"id": "1", "timestamp": 1, "message": line} for line in content.decode().splitlines()]
    return json.dumps({"messageType": "DATA_MESSAGE", "logEvents": events}).encode()


def json_lines(content: bytes) -> bytes:
    return "\n".join(json.dumps({"message": line}) for line in content.decode().splitlines()).encode()


def as_csv(content: bytes) -> bytes:
    return b'"@timestamp","@message"\n' + b"".join(
        b'"2026-11-23 17:00:01","%s"\n' % line for line in content.split(b"\n")
    )


def in_athenas_columns(content: bytes) -> bytes:
    return b"version,account_id\n" + content.replace(b" ", b",")


def reversed_columns(content: bytes) -> bytes:
    return b"\n".join(b" ".join(line.split(b" ")[::-1]) for line in content.split(b"\n"))


def packed_times(times: int) -> Callable[[bytes], bytes]:
    def pack(content: bytes) -> bytes:
        for _ in range(times):
            content = gzip.compress(content)
        return content

    return pack


WRAPPED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "five times": (packed_times(5), "4 times"),
    "tar": (tarred, "tar"),
    "tar, packed": (lambda content: gzip.compress(tarred(content)), "tar"),
    "zip": (zipped, "zip"),
    "envelopes": (enveloped, "envelopes"),
    "JSON": (json_lines, "JSON"),
    "CSV": (as_csv, "CSV"),
    "Athena": (in_athenas_columns, "CSV"),
    "UTF-16": (lambda content: content.decode().encode("utf-16"), "UTF-16"),
    "columns": (reversed_columns, "--log-format"),
    "Parquet": (lambda content: b"PAR1" + content, "Parquet"),
    "noise": (lambda content: bytes(range(256)) * 9 + content, ""),
}


@given(records=RECORDS, header=st.booleans(), stamped=st.booleans(), ends=st.booleans())
def test_flow_logs_are_read_by_any_name_that_is_true(
    *, records: list[str], header: bool, stamped: bool, ends: bool
) -> None:
    """Plain or compressed, once or more, with a header or stamps; but what is named .gz or .bz2 must be compressed."""
    lines = [*([HEADER] if header else []), *records]
    if stamped:
        lines = [f"2026-11-23T18:00:00.000Z {line}" for line in lines]
    content = ("\n".join(lines) + "\n" * ends).encode()
    assert judge("a", content) == judge("a.log", b"\xef\xbb\xbf" + content) == Content("right")
    packs: list[tuple[Callable[[bytes], bytes], str]] = [
        *((gzip.compress, ".gz"), (bz2.compress, ".bz2"), (lzma.compress, ".xz"), (packed_times(4), ".gz"))
    ]
    for pack, ending in packs:
        for name in (f"a{ending}", "flows-1-2026-11-23-17-00-00-0a1b", "a.log", "a.gzip", "a.GZ"):
            assert judge(name, pack(content)) == Content("right")
    assert judge("a.gz", bz2.compress(content)) == Content("right")
    for ending, other in ((".gz", content), (".bz2", content), (".bz2", gzip.compress(content))):
        assert judge(f"a{ending}", other) == Content("unreadable", f"named {ending}, but not compressed so")


@pytest.mark.parametrize("ending", [".bz2", ".deflate", ".lz4", ".snappy", ".zst"])
def test_what_hadoop_would_unpack_itself(ending: str) -> None:
    """Plain flow logs are refused under each name at which one of Hadoop's own codecs would fail."""
    key, content = f"a.log{ending}", f"{HEADER}\n".encode()
    assert "unreadable" in {judge_name(key).kind, judge(key, content).kind}


@pytest.mark.parametrize("kind", WRAPPED)
@given(records=RECORDS.filter(lambda records: any("NODATA" not in record for record in records)))
def test_what_a_cluster_would_misread_is_named(kind: str, records: list[str]) -> None:
    """Any wrapping of the flow logs is named, compressed or not, under any name of the object."""
    wrap, word = WRAPPED[kind]
    content = wrap("\n".join(records).encode())
    for name, stored in (("a", content), ("flows", gzip.compress(content)), ("a.log.gz", gzip.compress(content))):
        judged = judge(name, stored)
        assert judged.kind == "unreadable"
        assert word in judged.what


@given(records=RECORDS, cut=st.integers(1, 30))
def test_a_packed_object_that_is_damaged(records: list[str], cut: int) -> None:
    """An object that is cut short, or has only the magic, is damaged."""
    packed = gzip.compress("\n".join(records).encode())
    assert judge("a.gz", packed[:-cut]).kind == "unreadable"
    assert judge("a.gz", b"\x1f\x8b" + b"\xff" * 40).kind == "unreadable"


@pytest.mark.parametrize(
    "name", [path.name for path in FLOWLOGS.glob("*.log") if path.name not in ("malformed.log", "custom.log")]
)
def test_our_own_examples(name: str) -> None:
    """Everything that the engines read without a format is accepted."""
    assert judge(name, (FLOWLOGS / name).read_bytes()) == Content("right")


@pytest.mark.parametrize(
    "content",
    [
        b"Permission Check Successful",
        b'{"Records":[]}',
        b'{"awsAccountId":"123456789012","digestStartTime":"2026-11-23T17:00:00Z"}',
        b'{"fileVersion":"1.0","configSnapshotId":"1"}',
        b'http 2026-11-23T17:00:00.1Z app/my-lb/50dc6c495c0c9188 192.0.2.1:2817 10.0.0.1:80 0 "GET /"\n',
        b"79a59df900b949e5" * 4 + b' bucket [06/Feb/2026:00:00:38 +0000] 192.0.2.1 "GET /"\n',
    ],
)
def test_what_aws_leaves_beside_flow_logs(content: bytes) -> None:
    """It is recognised by its start, compressed or not, like in `run-local`."""
    assert judge("a", content) == judge("a", gzip.compress(content))
    assert judge("a", content).kind == "neighbour"


def test_names_of_neighbours() -> None:
    """Other services of the same tree are recognised by their folders; flow logs are not among them."""
    tree = "AWSLogs/123456789012"
    for service in ("CloudTrail", "CloudTrail-Digest", "elasticloadbalancing", "Config"):
        assert judge_name(f"mine/{tree}/{service}/us-east-1/2026/11/23/x.json.gz") == Content("neighbour", service)
    assert judge_name("AWSLogs/o-abc/123456789012/CloudTrail/x.gz").kind == "neighbour"
    for service in ("vpcflowlogs", "aws-service=vpcflowlogs", "another"):
        assert judge_name(f"{tree}/{service}/x.gz").kind == "right"


def test_a_field_that_the_question_needs() -> None:
    """A header without the column is named, with the remedy; another question reads the file."""
    content = b"srcaddr dstaddr dstport\n10.0.0.1 10.0.0.2 443\n"
    assert "--action ALL" in judge("a", content).what
    assert judge("a", content, Query.parse(action="ALL")).kind == "right"
    assert "no bytes" in judge("a", content, Query.parse(action="ALL", metric="bytes")).what


def test_the_way_to_the_format() -> None:
    """If the name has a flow log's id, the message recommends to ask for the format."""
    content = b"10.0.0.1 10.0.0.2 443 ACCEPT\n"
    assert "auto" not in judge("a.log", content).what
    assert "--log-format" in judge("a.log", content).what
    assert "auto asks AWS" in judge("1_vpcflowlogs_us-east-1_fl-0123456789abcdef0_20261123.log", content).what
    query = Query.parse(log_format="${srcaddr} ${dstaddr} ${dstport} ${action}")
    assert judge("a.log", content, query).kind == "right"


KEYS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), unique=True, max_size=30)


@given(keys=KEYS, data=st.data())
def test_a_cover_holds_all_that_is_taken_and_nothing_else(keys: list[str], data: st.DataObject) -> None:
    """Every accepted key is below exactly one of the locations, and no other key is."""
    keys = [f"x/{key}.gz" for key in keys]
    others = set(data.draw(st.lists(st.sampled_from(keys)))) if keys else set()
    taken = [key for key in keys if key not in others]
    places = cover("x/", taken, others)

    def within(key: str) -> int:
        return sum(key == place or (place.endswith("/") and key.startswith(place)) for place in places)

    assert [within(key) for key in taken] == [1] * len(taken)
    assert not any(within(key) for key in others)
    if not others and taken:
        assert places == ["x/"]
