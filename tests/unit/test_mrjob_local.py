"""The tasks of mrjob's local runner: each ends, and its error is heard, whatever becomes of it."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from toptalkers.job.mrjob_job import TopTalkersJob
from toptalkers.job.mrjob_local import LocalRunner


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """What runs functions as tasks, two at a time."""
    path = tmp_path / "input.gz"
    path.touch()
    with TopTalkersJob(["-r", "local", "--no-conf", str(path)]).make_runner() as runner:
        assert isinstance(runner, LocalRunner)
        yield partial(runner._run_multiple, num_processes=2)


def fail(error: Exception) -> None:
    raise error


def leave(path: Path) -> None:
    """A long task, which tells its process, and at its end that it was not ended before."""
    path.write_text(str(os.getpid()))
    time.sleep(20)
    path.with_name("done").touch()


def test_every_task_runs(tmp_path: Path, run: Any) -> None:
    """More tasks than processes are all done."""
    run([partial((tmp_path / str(number)).touch) for number in range(5)])
    assert {path.name for path in tmp_path.iterdir()} >= set("01234")


@pytest.mark.parametrize("length", [1, 1_000_000])
def test_an_error_is_raised(run: Any, length: int) -> None:
    """Of any length: the pipe holds only a part of a long one."""
    with pytest.raises(ValueError, match=r"^x+$") as caught:
        run([partial(fail, ValueError("x" * length))])
    assert len(str(caught.value)) == length


def test_a_task_that_is_killed_is_an_error(run: Any) -> None:
    """It sends nothing, and is not taken for one that is done."""
    with pytest.raises(RuntimeError, match="a task was killed"):
        run([die])


def die() -> None:
    os.kill(os.getpid(), 9)


def test_the_first_error_ends_the_others(tmp_path: Path, run: Any) -> None:
    """They do not come to their end, and their processes are gone."""
    path = tmp_path / "pid"

    def wait_and_fail() -> None:
        while not (path.exists() and path.read_text()):
            time.sleep(0.01)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        run([partial(leave, path), wait_and_fail])
    assert not path.with_name("done").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.read_text()), 0)
