"""Which engine answers: all take the same question and files, and give the same answer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toptalkers.answer.answer import Answer
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile, Problem

if TYPE_CHECKING:
    from toptalkers.engines.cache import CountCache


def count_files(
    engine: str,
    query: Query,
    files: Sequence[InputFile],
    *,
    top: int = 0,
    on_read: Callable[[int], None],
    on_problem: Callable[[Problem], None],
    on_stage: Callable[[str], None] = lambda _: None,
    scratch: Path | None = None,
    cache: "CountCache | None" = None,
) -> Answer:
    """Answer a question from files with the engine of that name; only that engine is imported.

    Args:
        engine: `local`, `mrjob` or `hadoop`.
        query: the question.
        files: what to read, each to count whole or not at all.
        top: how many talkers to answer with, 0 for all.
        on_read: called with the number of stored bytes of each read, for progress.
        on_problem: called for each file that is left out.
        on_stage: called with a line when an engine of several stages goes on to something.
        scratch: for the local engine, the folder for what does not fit into memory; None for the system's own.
        cache: for the local engine, what was counted before.

    """
    if engine == "hadoop":
        from toptalkers.engines import hadoop

        return hadoop.count_files(query, files, top=top, on_read=on_read, on_problem=on_problem, on_stage=on_stage)
    if engine == "mrjob":
        from toptalkers.engines import mrjob

        return mrjob.count_files(query, files, top=top, on_read=on_read, on_problem=on_problem)
    from toptalkers.engines import local

    return local.count_files(
        query, files, top=top, on_read=on_read, on_problem=on_problem, on_stage=on_stage, scratch=scratch, cache=cache
    )
