"""A jar under its name is always the pinned one, whatever a download returns."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.jars import Jar, embedded_jars, fetch_jars, parse_jar_list

RIGHT = b"the right jar"
JAR = Jar("org.example.more", "name", "1.0", hashlib.sha256(RIGHT).hexdigest())


@given(
    st.sampled_from([None, RIGHT, RIGHT[:5], b"", b"wrong"]),
    st.one_of(st.sampled_from([None, RIGHT, RIGHT[:5], RIGHT + b"x", b""]), st.binary(max_size=9)),
    st.sets(st.sampled_from(["name-1.0.pom", "other.jar", "../evil.jar"])),
)
def test_only_the_pinned_bytes_are_used(there: bytes | None, comes: bytes | None, besides: set[str]) -> None:
    """A right file is used; otherwise a download replaces it only if it is right, and no other file is left."""
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        path = JAR.path_in(repository)
        if there is not None:
            path.parent.mkdir(parents=True)
            path.write_bytes(there)
        asked = []

        def download(jar: Jar, to: Path) -> None:
            asked.append(jar)
            place = jar.path_in(to)
            place.parent.mkdir(parents=True)
            for name in besides:
                (place.parent / name).write_bytes(RIGHT)
            if comes is not None:
                place.write_bytes(comes)

        if RIGHT in (there, comes):
            assert fetch_jars([JAR], repository=repository, download=download) == [path]
            assert path.read_bytes() == RIGHT
        else:
            with pytest.raises(ToptalkersError, match=JAR.sha256) as caught:
                fetch_jars([JAR], repository=repository, download=download)
            assert JAR.coordinates in caught.value.message
        assert asked == [JAR] * (there != RIGHT)
        left = {found.name for found in repository.rglob("*") if found.is_file()}
        assert left <= {path.name, ".toptalkers.lock"}


@pytest.mark.parametrize("kind", ["folder", "pipe", "file"])
def test_a_cache_that_is_none(tmp_path: Path, kind: str) -> None:
    """A folder or a pipe under a jar's name, or a file in place of a folder: one line, and no waiting."""

    def download(jar: Jar, to: Path) -> None:
        jar.path_in(to).parent.mkdir(parents=True)
        jar.path_in(to).write_bytes(RIGHT)

    path = JAR.path_in(tmp_path)
    if kind == "file":
        (tmp_path / "org").touch()
    else:
        path.parent.mkdir(parents=True)
        os.mkfifo(path) if kind == "pipe" else path.mkdir()
    if kind == "pipe":
        assert fetch_jars([JAR], repository=tmp_path, download=download) == [path]
        assert path.read_bytes() == RIGHT
    else:
        with pytest.raises(ToptalkersError, match="cannot be used") as caught:
            fetch_jars([JAR], repository=tmp_path, download=download)
        assert "M2_REPO" in (caught.value.hint or "")


@given(
    st.one_of(
        st.text(max_size=30).filter(lambda text: text.strip() != ""),
        st.sampled_from(["../..", "a/b", "a..b", "", ".", "-:-", "a b", "/etc"]).map(
            lambda word: f"org.example:{word}:1 {JAR.sha256}"
        ),
        st.sampled_from(["", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + " 0"]).map(
            lambda word: f"{JAR.coordinates} {word}"
        ),
    )
)
def test_a_line_that_pins_nothing_is_refused(line: str) -> None:
    """A list refuses paths and incomplete hashes; the list in the package is complete."""
    with pytest.raises(ValueError, match="not `group"):
        parse_jar_list(line)
    assert all(len(jar.sha256) == 64 for jar in embedded_jars())
