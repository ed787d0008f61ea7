"""The question on a real Hadoop in one JVM: the very steps that EMR gets, on this machine's files.

The same steps, scripts and Hadoop version as on a cluster, with the local disk in the place of HDFS and S3.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copy

from toptalkers.answer.answer import Answer, Tally
from toptalkers.answer.parts import merge_parts
from toptalkers.errors import JobFailedError
from toptalkers.hadoop.logs import HadoopEvent
from toptalkers.hadoop.runtime import StreamingResult, check_work_dir, run_streaming
from toptalkers.job import count_flows
from toptalkers.job.steps import plan_steps
from toptalkers.machine.scratch import ENGINE_PREFIX, scratch_folder
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile, Problem
from toptalkers.records.pack import pack_files


def count_files(
    query: Query,
    files: Sequence[InputFile],
    *,
    top: int = 0,
    on_read: Callable[[int], None] = lambda _: None,
    on_problem: Callable[[Problem], None] = lambda _: None,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Answer:
    """Answer a question from files with the two steps; takes and gives what `engines/local.py` does.

    Args:
        query: the question.
        top: how many talkers to answer with, 0 for all.
        files: what to read; each is packed for Hadoop first, and one that cannot be read is left out.
        on_read: called with the number of stored bytes of each read.
        on_problem: called for each file that is left out.
        on_stage: called with a line whenever it goes on to something: fetching, a step, its progress.

    Raises:
        ToptalkersError: Java or Hadoop's jars cannot be had.
        JobFailedError: a step failed; the message holds Hadoop's reason.

    """
    check_work_dir(Path(tempfile.gettempdir()))
    with scratch_folder(ENGINE_PREFIX) as folder:
        return _count(query, top, files, folder, on_read, on_problem, on_stage)


def _count(
    query: Query,
    top: int,
    files: Sequence[InputFile],
    folder: Path,
    on_read: Callable[[int], None],
    on_problem: Callable[[Problem], None],
    on_stage: Callable[[str], None],
) -> Answer:
    """Answer in a folder that may go before the answer's lines are read."""
    (folder / "input").mkdir()
    (folder / "code").mkdir()
    packed, tally = pack_files(query, files, folder / "input", on_read=on_read, on_problem=on_problem)
    if not packed:
        return Answer(query, [], tally, 0, top)
    for name in ("count_flows.py", "port_filter.py"):
        copy(Path(count_flows.__file__).with_name(name), folder / "code")
    slots = os.cpu_count() or 1
    steps = plan_steps(
        query,
        top=top,
        inputs=["input"],
        gluing="offsets",
        bundle="code/",
        output="toptalkers/",
        between="aggregate/",
        input_bytes=sum(path.stat().st_size for path in packed),
        map_slots=slots,
    )
    results = [_run(step.name, step.arguments, folder, slots, on_stage) for step in steps]
    counters = results[0].counters.get("toptalkers", {})
    tally += Tally.from_counters(counters, files_read=0)
    # Opened now, because the folder may be gone when they are read.
    parts = [(part.name, part.open("rb")) for part in sorted((folder / "toptalkers").glob("part-*.gz"))]
    return Answer(query, merge_parts(parts, top), tally, top=top)


def _run(
    name: str, arguments: Sequence[str], folder: Path, slots: int, on_stage: Callable[[str], None]
) -> StreamingResult:
    def on_event(event: HadoopEvent) -> None:
        on_stage(f"{name}: map {event.map_percent} %, reduce {event.reduce_percent} %")

    def on_fetch(done: int, total: int) -> None:
        on_stage(f"fetching Hadoop: {done} of {total} jars")

    on_stage(f"{name}: starting")
    result = run_streaming(
        arguments,
        work_dir=folder,
        map_slots=slots,
        on_event=on_event,
        log_dir=folder / f"logs-{name}",
        progress=on_fetch,
    )
    if result.exit_code:
        raise JobFailedError(f"step {name} failed: {result.why_failed() or 'Hadoop gave no reason'}")
    return result
