"""`--output`: a file is whole or absent, and nothing that is not a file is ever replaced by one."""

import gzip
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from toptalkers.answer.output import write_output
from toptalkers.cli.main import cli
from toptalkers.errors import ToptalkersError
from toptalkers.machine.whole_file import remove_leftovers, whole_file

FLOWLOGS = Path(__file__).parents[1] / "flowlogs"
DEFAULT = str(FLOWLOGS / "default.log")
ANSWER = (FLOWLOGS / "default.tsv").read_bytes()


def run(output: Path | str) -> Result:
    """Ask, with an --output; there is never a traceback, and no hidden file is left."""
    result = CliRunner().invoke(cli, ["run-local", DEFAULT, "--output", str(output)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    if Path(output).parent.is_dir():
        assert not list(Path(output).parent.glob(".*.toptalkers"))
    return result


def refused(output: Path | str) -> str:
    """Return the one line of the refusal, which comes before anything is read."""
    result = run(output)
    assert result.exit_code in (1, 2)
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ")
    return result.stderr


@settings(max_examples=40)
@given(st.integers(0, 0o777), st.booleans(), st.booleans())
def test_a_file_keeps_its_mode_or_is_refused(mode: int, packed: bool, linked: bool) -> None:
    """A file of any mode is written, and keeps mode, owner and links to it; a read-only file does not change."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.gz" if packed else "a")
        file.write_bytes(b"before")
        file.chmod(mode)
        named = Path(folder, "link.gz" if packed else "link")
        named.symlink_to(file)
        if os.geteuid() == 0:
            os.chown(file, 12345, 23456)
        before = file.stat()
        output = named if linked else file
        if mode & 0o222 and os.access(file, os.W_OK):
            assert run(output).exit_code == 0
            content = file.read_bytes() if os.access(file, os.R_OK) else b""
            assert not content or (gzip.decompress(content) if packed else content) == ANSWER
        else:
            assert "read-only" in refused(output)
        after = file.lstat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
        assert named.is_symlink()


def test_a_new_file_has_the_mode_of_new_files(tmp_path: Path) -> None:
    """A new file gets the mode that the umask allows."""
    mask = os.umask(0o027)
    try:
        run(tmp_path / "a")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_links(tmp_path: Path) -> None:
    """A dangling link creates its target; a circular link is refused."""
    (tmp_path / "dangling").symlink_to("made")
    assert run(tmp_path / "dangling").exit_code == 0
    assert (tmp_path / "made").read_bytes() == ANSWER
    assert (tmp_path / "dangling").is_symlink()
    (tmp_path / "circle").symlink_to("circle")
    refused(tmp_path / "circle")


@pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
def test_a_named_pipe_is_written_through(tmp_path: Path, name: str) -> None:
    """The reader of the pipe gets the answer, and the pipe stays a pipe."""
    os.mkfifo(tmp_path / name)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / name).read_bytes()))
    reader.start()
    result = run(tmp_path / name)
    reader.join()
    assert result.exit_code == 0
    assert (gzip.decompress(got[0]) if name.endswith(".gz") else got[0]) == ANSWER
    assert (tmp_path / name).is_fifo()


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A socket, a folder, a missing folder, a file as a folder, no name, too long a name: one line each."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        assert "not a file, pipe or terminal" in refused(tmp_path / "socket")
        assert (tmp_path / "socket").is_socket()
    (tmp_path / "file").touch()
    for output in (tmp_path, "", tmp_path / "none" / "a", tmp_path / "file" / "a", tmp_path / ("x" * 300)):
        refused(output)
    assert run(tmp_path / ("x" * 250)).exit_code == 0
    assert run(tmp_path / ("é" * 125)).exit_code == 0


@pytest.mark.parametrize("linked", [True, False])
def test_standard_output_by_name(tmp_path: Path, linked: bool) -> None:
    """It is written to a pipe or to the end of a file, as without --output; the file's old content stays."""
    # Our own link, so that a bug cannot replace the system's.
    (tmp_path / "stdout").symlink_to("/dev/fd/1")
    output = str(tmp_path / "stdout") if linked else "-"
    command = [sys.executable, "-m", "toptalkers", "run-local", DEFAULT, "--output", output]
    assert subprocess.run(command, capture_output=True, check=True).stdout == ANSWER
    (tmp_path / "log").write_bytes(b"before\n")
    with (tmp_path / "log").open("ab") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.DEVNULL, check=True)
    assert (tmp_path / "log").read_bytes() == b"before\n" + ANSWER
    assert (tmp_path / "stdout").is_symlink()


@given(st.integers(0, 5), st.booleans())
def test_half_an_answer_is_none(chunks: int, existed: bool) -> None:
    """If the answer breaks off at any chunk, the old file is there, whole, and nothing else."""

    def broken() -> object:
        for _ in range(chunks):
            yield b"line\n" * 10_000
        raise ToptalkersError("broken off")

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "a.tsv")
        if existed:
            output.write_bytes(b"before")
        with pytest.raises(ToptalkersError, match="broken off"):
            write_output(broken(), output)  # type: ignore[arg-type]
        assert [path.read_bytes() for path in Path(folder).iterdir()] == [b"before"] * existed


def test_only_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    """Leftovers of this name go; those of other names or of living writers stay, and so do links and folders."""
    number = f"{os.getpid()}.{'0' * 16}"
    (tmp_path / f".a.{number}.toptalkers").touch()
    stays = {f".b.{number}.toptalkers", ".a.tsv", f".a.{number}", f".a.x.{'0' * 16}.toptalkers", ".toptalkers"}
    for name in stays:
        (tmp_path / name).touch()
    (tmp_path / f".a.2.{'1' * 16}.toptalkers").symlink_to(tmp_path / ".a.tsv")
    (tmp_path / f".a.3.{'1' * 16}.toptalkers").mkdir()
    with whole_file(tmp_path / "a"):
        [living] = tmp_path.glob(f".a.{os.getpid()}.*[1-9a-f]*.toptalkers")
        remove_leftovers(tmp_path, "a")
        left = {path.name for path in tmp_path.iterdir()}
    assert left == stays | {living.name, f".a.2.{'1' * 16}.toptalkers", f".a.3.{'1' * 16}.toptalkers"}
