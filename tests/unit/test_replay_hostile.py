"""Any files, replayed: each is read or refused in one line, and all records fit on the stream."""

import gzip
import itertools
import json
import os
import random
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toptalkers.cli.main import cli
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.flowlog.layout import DEFAULT_LAYOUT, format_header
from toptalkers.sandbox.envelopes import EVENT_BYTES, RECORD_BYTES, pack_records
from toptalkers.sandbox.replay import Clients, Target, replay

RECORD = b"2 123456789012 eni-1 10.0.1.5 192.0.2.10 1 443 6 12 5840 1795457940 1795458000 ACCEPT OK"
TARGET = Target("stream", "function", "bucket", DEFAULT_LAYOUT)


class FakeKinesis:
    """Accepts and refuses the same records as a stream."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._numbers = itertools.count(1)

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        assert StreamName == TARGET.stream
        assert len(Records) <= 500
        assert sum(len(record["Data"]) for record in Records) <= 5 << 20
        for record in Records:
            assert len(record["Data"]) + len(record["PartitionKey"]) <= 1 << 20
            envelope = json.loads(gzip.decompress(record["Data"]))
            if envelope["messageType"] == "DATA_MESSAGE":
                self.messages += [event["message"] for event in envelope["logEvents"]]
        return {"Records": [{"ShardId": "s", "SequenceNumber": str(next(self._numbers))} for _ in Records]}


class FakeS3:
    """A bucket in which everything has already arrived."""

    def get_paginator(self, _: str) -> "FakeS3":
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        del Bucket
        return [{"Contents": [{"Key": f"{Prefix}s-1-999999999.gz".replace("/s-", "/shardId-0-")}]}]


def replayed(*paths: Path) -> list[str]:
    """Return the messages that a replay puts on the stream."""
    kinesis = FakeKinesis()
    clients = Clients(cast("Any", kinesis), cast("Any", None), cast("Any", FakeS3()))
    report = replay([str(path) for path in paths], clients, TARGET)
    assert report.records == len(kinesis.messages)
    return kinesis.messages


LINES = st.one_of(
    st.just(RECORD),
    st.just(format_header(DEFAULT_LAYOUT).encode()),
    st.binary(max_size=30),
    st.text(max_size=30).map(str.encode),
    st.sampled_from([b"", b"\0" * 14, b" " * 13, b"\xff \xfe" * 9, b"version", b"version version", b"2 " * 5000]),
    st.builds(
        lambda byte, size: bytes([byte]) * size, st.integers(0, 255), st.sampled_from([70_000, 300_000, 5 << 20])
    ),
    st.builds(lambda size: b"a " * size + b"!", st.sampled_from([1000, 40_000])),
)
TEXTS = st.lists(LINES, max_size=6).flatmap(
    lambda lines: st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"]).map(lambda end: end.join(lines))
)
WRAPS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: text,
    "gzip": gzip.compress,
    "twice": lambda text: gzip.compress(text) + gzip.compress(text),
    "cut": lambda text: gzip.compress(text)[:-5],
    "torn": lambda text: gzip.compress(text)[:12],
    "flipped": lambda text: gzip.compress(text)[:-8] + b"\1\2\3\4\5\6\7\x08",
    "tailed": lambda text: gzip.compress(text) + b"tail",
    "magic": lambda text: b"\x1f\x8b" + text,
    "zstd": lambda text: b"\x28\xb5\x2f\xfd" + text,
    "parquet": lambda text: b"PAR1" + text,
}


@given(
    TEXTS, st.sampled_from(sorted(WRAPS)), st.sampled_from(["flow.log", "flow.log.gz", "a\nb", "\udcff.log", "[x]*"])
)
@settings(max_examples=150)
def test_any_file_is_read_or_refused(text: bytes, wrap: str, name: str) -> None:
    """Odd bytes, long lines, damaged compression, odd names: the lines are put, or one line says why not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(WRAPS[wrap](text))
        said = ""
        try:
            messages = replayed(path)
        except ToptalkersError as error:
            messages, said = [], error.message
    assert "\n" not in said.replace(name, "")
    if said:
        return
    text *= 2 if wrap == "twice" else 1
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert set(messages) <= {line.decode(errors="replace") for line in lines}
    assert all(len(message.encode()) <= EVENT_BYTES for message in messages)
    if wrap in ("plain", "gzip"):
        assert messages.count(RECORD.decode()) == lines.count(RECORD)


@pytest.mark.parametrize("first", [0, 0x3400])
def test_what_packs_badly_fits_all_the_same(first: int) -> None:
    """Random characters, six each in JSON: more envelopes, none too large, nothing lost."""
    chance = random.Random(1)
    size = EVENT_BYTES // len(chr(first + 31).encode())
    lines = ["".join(chr(first + byte % 32) for byte in chance.randbytes(size)) for _ in range(5)]
    packed = list(pack_records(lines, DEFAULT_LAYOUT))
    assert len(packed) >= 2
    assert sum(envelope.records for envelope in packed) == len(lines)
    assert max(len(envelope.data) for envelope in packed) <= RECORD_BYTES


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    """A pipe, also in a folder or behind a link, and standard input are refused immediately."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "flow.log").write_bytes(RECORD)
    done = []

    def try_all() -> None:
        for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("-")):
            with pytest.raises(UsageError):
                replayed(path)
            done.append(path)

    thread = threading.Thread(target=try_all, daemon=True)
    thread.start()
    thread.join(20)
    assert len(done) == 4


def test_odd_folders(tmp_path: Path) -> None:
    """Circular and dangling links do no harm; readable files beside them are named or read."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "flow.log").write_bytes(RECORD)
    (tmp_path / "a" / "loop").symlink_to("..")
    assert replayed(tmp_path) == [RECORD.decode()]
    for name, target in (("gone", "nowhere"), ("self", "self")):
        (tmp_path / "a" / name).symlink_to(target)
        with pytest.raises(UsageError, match=name):
            replayed(tmp_path)
        (tmp_path / "a" / name).unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no files"):
        replayed(tmp_path / "empty")


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    """A file that can no longer be read the second time is an error of one line with its name."""
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    chance = random.Random(1)
    first.write_bytes(b"".join(RECORD + chance.randbytes(400).hex().encode() + b"\n" for _ in range(12_000)))
    second.write_bytes(RECORD)
    clients = Clients(cast("Any", FakeKinesis()), cast("Any", None), cast("Any", FakeS3()))
    with pytest.raises(ToptalkersError, match=r"second\.log changed while it was read"):
        replay([str(first), str(second)], clients, TARGET, on_records=lambda _: second.unlink(missing_ok=True))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "http://127.0.0.1:abc", "http://127.0.0.1", "x"])
def test_a_sandbox_that_is_not_there(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong or unreachable address: one line, no traceback."""
    (tmp_path / "flow.log").write_bytes(RECORD)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SystemExit) as ended:
        cli(["sandbox", "replay", str(tmp_path / "flow.log")])
    assert ended.value.code in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_timeout_is_a_number(tmp_path: Path) -> None:
    """Not-a-number would never end."""
    (tmp_path / "flow.log").write_bytes(RECORD)
    clients = Clients(cast("Any", FakeKinesis()), cast("Any", None), cast("Any", FakeS3()))
    with pytest.raises(UsageError, match="--timeout"):
        replay([str(tmp_path / "flow.log")], clients, TARGET, timeout_s=float("nan"))
