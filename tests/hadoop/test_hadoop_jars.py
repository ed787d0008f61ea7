"""Fetching pinned jars: every jar is the pinned one, and is fetched once."""

from dataclasses import replace
from pathlib import Path

import pytest

from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.jars import Jar, embedded_jars, fetch_jars, parse_jar_list

pytestmark = pytest.mark.hadoop

SMALL = next(jar for jar in embedded_jars() if jar.artifact == "reactive-streams")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of jgo's requests go to a proxy that does not exist."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")


def test_a_damaged_file_is_fetched_again(tmp_path: Path) -> None:
    """A missing jar is fetched, a damaged one again, and progress is reported only for fetched ones."""
    progress: list[tuple[int, int]] = []
    for content in (None, b"damaged"):
        if content is not None:
            SMALL.path_in(tmp_path).write_bytes(content)
        (path,) = fetch_jars([SMALL], repository=tmp_path, progress=lambda *at: progress.append(at))
        assert path.stat().st_size > 10_000
        assert fetch_jars([SMALL], repository=tmp_path, progress=lambda *at: progress.append(at)) == [path]
    assert progress == [(1, 1), (1, 1)]
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {path.name, ".toptalkers.lock"}  # no POM, because it is not pinned


@pytest.mark.usefixtures("no_network")
def test_the_network_is_needed_once(tmp_path: Path) -> None:
    """Jars in the cache need no network; for others the error names the jar and the remedy."""
    with pytest.raises(ToptalkersError, match=SMALL.coordinates) as caught:
        fetch_jars([SMALL], repository=tmp_path)
    assert "network" in (caught.value.hint or "")
    in_cache = Jar("org.example", "empty", "1", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    in_cache.path_in(tmp_path).parent.mkdir(parents=True)
    in_cache.path_in(tmp_path).touch()
    assert fetch_jars([in_cache], repository=tmp_path) == [in_cache.path_in(tmp_path)]


def test_a_wrong_hash_names_the_artifact(tmp_path: Path) -> None:
    """A jar that differs from the pinned one is not used and not kept."""
    wrong = replace(SMALL, sha256="0" * 64)
    with pytest.raises(ToptalkersError, match="was fetched, but its SHA-256") as caught:
        fetch_jars([wrong], repository=tmp_path)
    assert SMALL.coordinates in str(caught.value)
    assert not SMALL.path_in(tmp_path).exists()


def test_a_line_that_pins_nothing() -> None:
    """A list without hashes is refused, and the line is named."""
    with pytest.raises(ValueError, match=r"'org\.example:name:1'"):
        parse_jar_list("org.example:name:1\n")
