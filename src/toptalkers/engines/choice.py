"""Which engine answers: all take the same question and files, and give the same answer."""

from collections.abc import Callable, Sequence
from pathlib import Path

from toptalkers.answer import Answer
from toptalkers.engines.inputs import InputFile, Problem
from toptalkers.query import Query


def count_files(
    engine: str,
    query: Query,
    files: Sequence[InputFile],
    *,
    on_read: Callable[[int], None],
    on_problem: Callable[[Problem], None],
    scratch: Path | None = None,
) -> Answer:
    """Answer a question from files with the engine of that name; only that engine is imported.

    Args:
        engine: `local` or `mrjob`.
        query: the question.
        files: what to read, each to count whole or not at all.
        on_read: called with the number of stored bytes of each read, for progress.
        on_problem: called for each file that is left out.
        scratch: the folder for what does not fit into memory; None for the system's temporary one.

    """
    if engine == "mrjob":
        from toptalkers.engines import mrjob

        return mrjob.count_files(query, files, on_read=on_read, on_problem=on_problem)
    from toptalkers.engines import local

    return local.count_files(query, files, on_read=on_read, on_problem=on_problem, scratch=scratch)
