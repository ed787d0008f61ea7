"""mrjob's local runner, which simulates Hadoop's splits, sort and shuffle with processes.

It is for proof, not for speed: the scripts of a cluster run in several mappers and reducers, each in its own folder.
"""

import logging
from collections.abc import Collection, Sequence
from contextlib import ExitStack

from toptalkers.answer.answer import Answer, Tally, quality_of, totals_of
from toptalkers.engines import QUIET, Watch
from toptalkers.engines.pack import pack_files
from toptalkers.machine.leash import leash_forks
from toptalkers.machine.scratch import ENGINE_PREFIX, scratch_folder
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile

HONOURS: Collection[str] = ()


def count_files(query: Query, files: Sequence[InputFile], *, top: int = 0, watch: Watch = QUIET) -> Answer:
    """Answer a question from files with the mrjob job; see `engines.Engine`."""
    from toptalkers.job.mrjob_job import run_jobs

    with scratch_folder(ENGINE_PREFIX) as folder:
        packed, tally = pack_files(query, files, folder, watch)
        if not packed:
            return Answer(query, [], tally, 0, top, totals_of(query, {}))
        leash_forks()  # mrjob runs its tasks in forked processes
        logging.getLogger("mrjob").addHandler(logging.NullHandler())
        arguments = ["--top", str(top), "-r", "local", "--no-conf", "--local-tmp-dir", str(folder)]
        with ExitStack() as stack:
            runner, counters = run_jobs(query, arguments, [*map(str, packed)], folder, stack)
            lines = b"".join(runner.cat_output()).splitlines(keepends=True)
    rank = query.lines.rank
    lines.sort(key=lambda line: (-rank(line), line))
    talkers = len(lines) if not top else None
    kept = lines[:top] if top else lines
    chunks = [b"".join(kept[start : start + 50_000]) for start in range(0, len(kept), 50_000)]
    tally += Tally.from_counters(counters, files_read=0)
    totals, quality = totals_of(query, counters), quality_of(query, counters)
    return Answer(query, chunks, tally, talkers, top, totals, quality=quality)
