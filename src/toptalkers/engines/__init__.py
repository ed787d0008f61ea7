"""The engines, which answer a question from files.

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
"""The module of each engine, by its name on the command line. It is imported when the engine is used."""


def _ignore(_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """What an engine reports while it works. It may call from any thread.

    Attributes:
        on_read: called with the number of stored bytes of each read, for progress.
        on_problem: called for each file, or part of an archive, that is left out.
        on_stage: called with one line when a stage of the work begins, for a user at a terminal.
        on_note: called with one line that every user needs to know.

    """

    on_read: Callable[[int], None] = _ignore
    on_problem: "Callable[[Problem], None]" = _ignore
    on_stage: Callable[[str], None] = _ignore
    on_note: Callable[[str], None] = _ignore


QUIET = Watch()


class Engine(Protocol):
    """Each module of `ENGINES`. All give the same bytes for the same question and files."""

    HONOURS: Collection[str]
    """The options, of `cache` and `scratch`, that `count_files` takes as further keyword arguments."""

    def count_files(
        self, query: "Query", files: "Sequence[InputFile]", *, top: int = 0, watch: Watch = ...
    ) -> "Answer":
        """Answer a question from files, each of which counts whole or not at all, with `top` talkers (0 for all).

        The tally counts the files that were read, and those that were left out because they cannot be read or are no
        flow logs. `watch.on_problem` gets the name and the reason of each.

        Raises:
            ToptalkersError: the engine cannot run on this machine, or cannot hold the sums.
            JobFailedError: a step of its job failed.

        """


def load_engine(name: str, *, given: Iterable[str] = ()) -> Engine:
    """Import an engine of `ENGINES`; UsageError if it does not honour one of the `given` options."""
    engine: Any = importlib.import_module(ENGINES[name])
    for option in given:
        if option not in engine.HONOURS:
            raise UsageError(f"--{option}: not possible with --engine {name}", hint=f"leave out --engine or --{option}")
    return engine  # type: ignore[no-any-return]
