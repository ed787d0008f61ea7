"""The question on a real Hadoop in one JVM: the same steps that EMR gets, on this machine's files.

Steps, scripts and the Hadoop version are those of a cluster; the local disk takes the place of HDFS and S3.
"""

import gzip
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from shutil import copy

from toptalkers.answer.answer import Answer, Tally
from toptalkers.engines import QUIET, Watch
from toptalkers.engines.pack import pack_files
from toptalkers.errors import JobFailedError
from toptalkers.hadoop.runtime import HadoopEvent, StreamingResult, check_work_dir, run_streaming
from toptalkers.job import count_flows
from toptalkers.job.steps import plan_steps
from toptalkers.machine.scratch import ENGINE_PREFIX, scratch_folder
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile

_CHUNK_BYTES = 4 << 20


HONOURS: Collection[str] = ()


def count_files(query: Query, files: Sequence[InputFile], *, watch: Watch = QUIET) -> Answer:
    """Answer a question from files with the two steps; see `engines.Engine`.

    `watch.on_stage` gets one line for each part of the work: fetching Hadoop, a step, its progress.

    Raises:
        ToptalkersError: Java or Hadoop's jars cannot be had.
        JobFailedError: a step failed; the message holds Hadoop's reason.

    """
    check_work_dir(Path(tempfile.gettempdir()))
    with scratch_folder(ENGINE_PREFIX) as folder:
        return _count(query, files, folder, watch)


def _count(query: Query, files: Sequence[InputFile], folder: Path, watch: Watch) -> Answer:
    """Answer in a folder that may be removed before the answer's lines are read."""
    (folder / "input").mkdir()
    (folder / "code").mkdir()
    packed, tally = pack_files(query, files, folder / "input", watch)
    if not packed:
        return Answer(query, [], tally, 0)
    for name in ("count_flows.py", "port_filter.py"):
        copy(Path(count_flows.__file__).with_name(name), folder / "code")
    slots = os.cpu_count() or 1
    steps = plan_steps(
        query,
        inputs=["input"],
        gluing="offsets",
        bundle="code/",
        output="toptalkers/",
        between="aggregate/",
        input_bytes=sum(path.stat().st_size for path in packed),
        map_slots=slots,
    )
    results = [_run(step.name, step.arguments, folder, slots, watch.on_stage) for step in steps]
    counters = results[0].counters.get("toptalkers", {})
    tally += Tally.from_counters(counters, files_read=0)
    # Opened now: the folder goes, but open files stay readable.
    parts = [gzip.GzipFile(part) for part in sorted((folder / "toptalkers").glob("part-*.gz"))]
    return Answer(query, _read_parts(parts, query.top), tally)


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


def _read_parts(parts: Sequence[gzip.GzipFile], top: int) -> Iterator[bytes]:
    """The first `top` lines of the one reducer, in chunks; `top` of 0 for all."""
    lines_left = top or None
    for part in parts:
        with part as lines:
            while chunk := lines.readlines(_CHUNK_BYTES):
                if lines_left is not None:
                    chunk = chunk[:lines_left]
                    lines_left -= len(chunk)
                if chunk:
                    yield b"".join(chunk)
