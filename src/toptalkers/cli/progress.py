"""A progress bar on standard error, if it is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toptalkers.cli.talk import is_terminal, say
from toptalkers.visible import visible


@contextmanager
def progress_bar(what: str, total: int | None, *, unit: str = "bytes") -> Iterator[Callable[[int], None]]:
    """Show progress and the time left. Yields a function to call with each advance.

    Args:
        what: the work, in a few words.
        total: how much there is to do, in `unit`; None or 0 if not known.
        unit: `bytes`, or the name of the things that are counted.

    """
    if not is_terminal(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        amount,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=Console(stderr=True, markup=False, emoji=False, highlight=False),
        transient=True,
        refresh_per_second=5,
    ) as progress:
        task = progress.add_task(visible(what), total=total or None)
        yield lambda advance: progress.advance(task, advance)


def say_on_terminal(line: str) -> None:
    """Print a line if standard error is a terminal."""
    if is_terminal(sys.stderr):
        say(line)
