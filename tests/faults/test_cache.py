"""`--cache` under attack: nothing in its folder can put a sum into an answer or cause a traceback."""

import hashlib
import hmac
import json
import os
import stat
import struct
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from toptalkers.cli.main import cli
from toptalkers.engines.cache import KEY_BYTES, key_path

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
ANSWER = (FLOWLOGS / "default.tsv").read_text()


def ask(folder: Path) -> Result:
    """Ask with the cache of a folder; the answer is right, whatever is in the cache."""
    result = CliRunner().invoke(cli, ["run-local", str(folder / "a.log"), "--cache", str(folder / "cache")])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code != 0 or result.stdout == ANSWER
    return result


def entry_of(folder: Path) -> Path:
    """Ask once, and return the one entry that this creates."""
    (folder / "a.log").write_bytes((FLOWLOGS / "default.log").read_bytes())
    os.utime(folder / "a.log", (1, 1))
    ask(folder)
    [entry] = [path for path in (folder / "cache").rglob("*") if path.is_file()]
    return entry


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new files count as old enough."""
    monkeypatch.setattr("toptalkers.records.files.YOUNGEST_S", -3600.0)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


def _forged(data: st.DataObject, content: bytes) -> bytes:
    """Make an entry with other sums or another head, and a check value as made by an attacker who knows the code."""
    _, head, packed = content.split(b"\n", 2)
    match data.draw(st.integers(0, 3)):
        case 0:
            packed = data.draw(st.one_of(st.binary(max_size=60), st.just(packed + packed)))
        case 1:
            head = json.dumps(data.draw(json_values)).encode()
        case 2:
            head = json.dumps({**json.loads(head), "tally": data.draw(json_values)}).encode()
        case _:
            head = data.draw(st.sampled_from([b"[" * 100_000, b"{", b"\xff", b'{"tally": {"records_read": -1}}']))
    rest = head + b"\n" + packed
    key = data.draw(st.sampled_from([b"", b"\0" * KEY_BYTES, b"toptalkers"]))
    values = [hashlib.sha256(rest).hexdigest(), hmac.new(key, rest, hashlib.sha256).hexdigest()]
    return data.draw(st.sampled_from(values)).encode() + b"\n" + rest


@settings(max_examples=60)
@given(st.data())
def test_a_forged_entry_counts_for_nothing(data: st.DataObject) -> None:
    """An entry without the user's key is not trusted: the file is read, and the entry is replaced."""
    with tempfile.TemporaryDirectory() as name:
        entry = entry_of(Path(name))
        entry.write_bytes(_forged(data, entry.read_bytes()))
        assert "not read: 0 of 1 files; 1 damaged entries made anew" in ask(Path(name)).stderr
        assert "not read: 1 of 1 files" in ask(Path(name)).stderr


@settings(max_examples=60)
@given(st.data())
def test_an_odd_head_is_no_traceback_even_when_signed(data: st.DataObject) -> None:
    """A head that is not a tally is damage, even with a correct check value."""
    with tempfile.TemporaryDirectory() as name:
        entry = entry_of(Path(name))
        _, head, packed = entry.read_bytes().split(b"\n", 2)
        whose = {**json.loads(head), "tally": data.draw(json_values)}
        odd = data.draw(st.sampled_from([json.dumps(whose), json.dumps(data.draw(json_values)), "[" * 100_000]))
        rest = odd.encode() + b"\n" + packed
        signature = hmac.new(key_path().read_bytes(), rest, hashlib.sha256).hexdigest().encode()
        entry.write_bytes(signature + b"\n" + rest)
        assert "1 damaged entries made anew" in ask(Path(name)).stderr


@settings(max_examples=100)
@given(st.data())
def test_odd_sums_count_for_nothing_even_when_signed(data: st.DataObject) -> None:
    """Rows that are cut off, without an address, or below 0 are damage, even with a correct check value."""
    address = b"\x0b2001:db8::1"
    rows = data.draw(
        st.one_of(
            st.binary(min_size=1, max_size=18),
            st.builds(lambda cut: b"\0" + b"\1" * cut, st.integers(0, 17)),
            st.builds(lambda kinds: bytes([kinds]) + b"\1" * 18, st.integers(4, 255)),
            st.builds(lambda value: b"\0" + b"\1" * 10 + struct.pack("=q", value), st.integers(-(2**63), -1)),
            st.just((b"\0" + b"\1" * 10 + struct.pack("=q", 2**62)) * 2),
            st.builds(
                lambda text: b"\1" + bytes([len(text)]) + text + address + b"\1" * 14,
                st.one_of(
                    st.binary(max_size=255), st.sampled_from([b"10.0.0.1", b"::1\n", b"\x1b]0;x\x07", b"::1%eth0"])
                ),
            ),
        )
    )
    with tempfile.TemporaryDirectory() as name:
        entry = entry_of(Path(name))
        _, head, _ = entry.read_bytes().split(b"\n", 2)
        rest = head + b"\n" + rows
        signature = hmac.new(key_path().read_bytes(), rest, hashlib.sha256).hexdigest().encode()
        entry.write_bytes(signature + b"\n" + rest)
        assert "1 damaged entries made anew" in ask(Path(name)).stderr


def test_entries_that_are_no_files(tmp_path: Path) -> None:
    """A pipe, a link or a folder in the place of an entry is not read or followed, and nothing hangs."""
    entry = entry_of(tmp_path)
    kept = tmp_path / "kept"
    entry.rename(kept)
    entry.symlink_to(kept)
    assert "1 damaged entries made anew" in ask(tmp_path).stderr
    assert not entry.is_symlink()
    entry.unlink()
    os.mkfifo(entry)
    assert "1 damaged entries made anew" in ask(tmp_path).stderr
    entry.unlink()
    entry.mkdir()
    result = ask(tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: --cache: cannot write ")


def test_all_is_private(tmp_path: Path) -> None:
    """Folders have mode 0700, entries and the key 0600, and nothing else is there."""
    entry = entry_of(tmp_path)
    cache = tmp_path / "cache"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cache, entry.parent, entry)] == [0o700, 0o700, 0o600]
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    assert {path for path in cache.rglob("*") if path.is_file()} == {entry}


@given(st.integers(0, 0o777))
def test_a_folder_that_others_may_write_is_refused(mode: int) -> None:
    """The folder is used if only its owner may write to it, and otherwise refused in one line."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "a.log").write_bytes((FLOWLOGS / "default.log").read_bytes())
        (Path(name) / "cache").mkdir()
        (Path(name) / "cache").chmod(mode)
        result = ask(Path(name))
        (Path(name) / "cache").chmod(0o700)
        if mode & 0o022:
            assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
            assert "others than you may write to" in result.stderr
        elif mode & 0o700 == 0o700:
            assert result.exit_code == 0


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that cannot be created is refused likewise; a key that is cut off is replaced, and so are the entries."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    entry_of(tmp_path)
    key_path().write_bytes(b"short")
    assert "1 damaged entries made anew" in ask(tmp_path).stderr
    key_path().chmod(0o644)
    result = ask(tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "you alone may read" in result.stderr
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    result = ask(tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "XDG_STATE_HOME" in result.stderr
