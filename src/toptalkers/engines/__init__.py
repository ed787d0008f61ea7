"""Where a question runs on this machine: files in, an answer out, whichever the engine.

A new engine is one file that follows the protocol `Engine`, and one line in `ENGINES`.
"""

import importlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from toptalkers.errors import UsageError

if TYPE_CHECKING:
    from toptalkers.answer.answer import Answer
    from toptalkers.question.query import Query
    from toptalkers.records.files import InputFile, Problem

ENGINES = {
    "local": "toptalkers.engines.local",
    "mrjob": "toptalkers.engines.mrjob",
    "hadoop": "toptalkers.engines.hadoop",
    "hadoop-cluster": "toptalkers.engines.hadoop_cluster",
}
"""The module of each engine, by its name on the command line. It is imported when the engine is asked for."""


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """What an engine reports while it works. It may call from any thread.

    Attributes:
        on_read: called with the number of stored bytes of each read, for progress.
        on_problem: called for each file, or part of an archive, that is left out.
        on_stage: called with one line when an engine of several stages begins the next, for a user who watches.
        on_note: called with one line that the user needs to know.

    """

    on_read: Callable[[int], None] = _ignore
    on_problem: "Callable[[Problem], None]" = _ignore
    on_stage: Callable[[str], None] = _ignore
    on_note: Callable[[str], None] = _ignore


QUIET = Watch()


class Engine(Protocol):
    """What counts files: each module of `ENGINES`. All give the same bytes for the same question and files."""

    HONOURS: Collection[str]
    """Which of the options `cache` and `scratch` its `count_files` takes as further keyword arguments."""

    def count_files(
        self, query: "Query", files: "Sequence[InputFile]", *, top: int = 0, watch: Watch = ...
    ) -> "Answer":
        """Answer a question from files, each of which counts whole or not at all, with `top` talkers (0 for all).

        The answer's tally says how many files were read, and how many were left out because they cannot be read or
        are no flow logs; `watch.on_problem` gets the name and the reason of each.

        Raises:
            ToptalkersError: the engine cannot run on this machine, or the sums are more than it can hold.
            JobFailedError: a step of its job failed.

        """


def load_engine(name: str, *, given: Iterable[str] = ()) -> Engine:
    """Import the engine of that name, one of `ENGINES`.

    Args:
        name: the engine's.
        given: the names of the options that the user gave, and that not every engine honours.

    Raises:
        UsageError: the engine does not honour one of them.

    """
    engine: Any = importlib.import_module(ENGINES[name])
    for option in given:
        if option not in engine.HONOURS:
            raise UsageError(f"--{option}: not possible with --engine {name}", hint=f"leave out --engine or --{option}")
    return engine  # type: ignore[no-any-return]
