"""Folders where Hadoop can work: an unsuitable one is refused before anything is read or started."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toptalkers.engines.hadoop import count_files
from toptalkers.errors import ToptalkersError
from toptalkers.hadoop.runtime import check_work_dir
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile


@given(odd=st.sampled_from(" ,:;%#?*[]{}$'\"\\é"), before=st.text("ab/", max_size=3))
def test_names_that_hadoop_cannot_take(odd: str, before: str) -> None:
    """Any character with a meaning for Hadoop, a URL or a pattern is refused, at any position."""
    with pytest.raises(ToptalkersError, match="Hadoop cannot work in a directory of this name") as raised:
        check_work_dir(Path(f"/tmp/{before}{odd}/x"))
    assert "TMPDIR" in str(raised.value.hint)
    assert check_work_dir(Path("/tmp/a_b-c.d+e=f@g")).name == "a_b-c.d+e=f@g"


def test_nothing_is_read_for_a_folder_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine refuses before it opens a file."""
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a b"))

    def open_it() -> None:
        raise AssertionError

    with pytest.raises(ToptalkersError, match="a b"):
        count_files(Query.parse(), [InputFile("x", 1, open_it)])  # type: ignore[arg-type]
