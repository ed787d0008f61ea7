"""A real Hadoop in one JVM, which runs the steps of EMR on this machine's files.

Steps, scripts and Hadoop's version are those of a cluster. The local disk takes the place of HDFS and S3.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from toptalkers.answer.answer import Answer, Tally, quality_of, totals_of
from toptalkers.answer.parts import merge_parts
from toptalkers.engines import QUIET, Watch
from toptalkers.engines.pack import pack_files
from toptalkers.errors import JobFailedError
from toptalkers.hadoop.logs import HadoopEvent
from toptalkers.hadoop.runtime import StreamingResult, check_work_dir, run_streaming
from toptalkers.job.bundle import installed_kernels, read_bundle
from toptalkers.job.steps import plan_steps
from toptalkers.machine.scratch import ENGINE_PREFIX, scratch_folder
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile

HONOURS: Collection[str] = ()


def count_files(query: Query, files: Sequence[InputFile], *, top: int = 0, watch: Watch = QUIET) -> Answer:
    """Answer a question from files with the steps of EMR; see `engines.Engine`. Fetches Hadoop if needed."""
    check_work_dir(Path(tempfile.gettempdir()))
    with scratch_folder(ENGINE_PREFIX) as folder:
        return _count(query, files, top, folder, watch)


def _count(query: Query, files: Sequence[InputFile], top: int, folder: Path, watch: Watch) -> Answer:
    (folder / "input").mkdir()
    (folder / "code").mkdir()
    packed, given = pack_files(query, files, folder / "input", watch)
    if not packed:
        return Answer(query, [], given, 0, top)
    for name, content in read_bundle().items():
        (folder / "code" / name).write_bytes(content)
    slots = os.cpu_count() or 1
    steps = plan_steps(
        query,
        top=top,
        inputs=["input"],
        is_gzip=True,
        bundle="code/",
        kernels=installed_kernels(),
        output="toptalkers/",
        between="aggregate/",
        input_bytes=sum(path.stat().st_size for path in packed),
        map_slots=slots,
    )
    results = [_run(step.name, step.arguments, folder, slots, watch.on_stage) for step in steps]
    counters = Counter[str]()
    for result in results[:-1]:  # the last one sorts
        counters.update(result.counters.get("toptalkers", {}))
    tally = Tally.from_counters(counters, files_read=given.files_read, files_unreadable=given.files_unreadable)
    # Opened now, because the folder is removed before the lines are read.
    parts = [(part.name, part.open("rb")) for part in sorted((folder / "toptalkers").glob("part-*.gz"))]
    found = totals_of(query, counters)
    quality = quality_of(query, counters)
    return Answer(query, merge_parts(parts, top, query.lines), tally, top=top, totals=found, quality=quality)


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
