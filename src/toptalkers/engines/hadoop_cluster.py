"""The question on a Hadoop cluster that already exists, with the mrjob job.

mrjob finds Hadoop by the command `hadoop` on the PATH and HADOOP_HOME, or by the user's own `mrjob.conf`.
"""

import logging
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from toptalkers.answer.answer import Answer, Tally, quality_of, totals_of
from toptalkers.answer.parts import check_lines, first_lines
from toptalkers.engines import QUIET, Watch
from toptalkers.engines.pack import pack_files
from toptalkers.errors import JobFailedError, ToptalkersError, UsageError
from toptalkers.job.steps import UNSPLIT_BYTES
from toptalkers.machine.scratch import ENGINE_PREFIX, scratch_folder
from toptalkers.question.query import Query
from toptalkers.records.files import InputFile

HONOURS: Collection[str] = ()

JOBCONF = {
    # Without this, Hadoop would split a file that is not compressed, and its header would reach only one mapper.
    "mapreduce.input.fileinputformat.split.minsize": str(UNSPLIT_BYTES),
    "mapreduce.input.fileinputformat.input.dir.recursive": "true",
}

_INPUT = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_.:/=@+-]*")


def count_files(query: Query, files: Sequence[InputFile], *, top: int = 0, watch: Watch = QUIET) -> Answer:
    """Answer a question from files of this machine, which mrjob uploads; see `engines.Engine`."""
    _require_hadoop()
    with scratch_folder(ENGINE_PREFIX) as folder:
        packed, tally = pack_files(query, files, folder, watch)
        if not packed:
            return Answer(query, [], tally, 0, top, totals_of(query, {}))
        return _count(query, [str(path) for path in packed], top, tally)


def count_on_cluster(query: Query, inputs: Sequence[str], *, top: int = 0) -> Answer:
    """Answer a question from files that the cluster can read, with one mapper per file and `top` talkers (0 for all).

    The inputs are `hdfs:///flowlogs/`, `s3a://...`, or local files, which mrjob uploads.

    Raises:
        UsageError: an input could be taken for something other than a path.
        JobFailedError: a step failed; Hadoop's own messages went to standard error.
        ToptalkersError: no Hadoop was found.

    """
    for path in inputs:
        if not _INPUT.fullmatch(path):
            raise UsageError(f"--input: {path!r} cannot be given to a step")
    _require_hadoop()
    return _count(query, inputs, top, Tally())


def _require_hadoop() -> None:
    """Fail before files are compressed and uploaded if there is no Hadoop."""
    from toptalkers.job.mrjob_job import TopTalkersJob

    logging.getLogger("mrjob").addHandler(logging.StreamHandler())
    logging.getLogger("mrjob").setLevel(logging.INFO)
    with TopTalkersJob(["-r", "hadoop"]).make_runner() as runner:
        if runner.get_hadoop_streaming_jar() is None:
            raise ToptalkersError(
                "mrjob finds no hadoop-streaming.jar",
                hint="set HADOOP_HOME, or hadoop_streaming_jar for the runner hadoop in ~/.mrjob.conf",
            )
        program = runner.get_hadoop_bin()[0]
        if shutil.which(program) is None:
            raise _no_hadoop(f"{program} is not a program")


def _no_hadoop(reason: object) -> ToptalkersError:
    return ToptalkersError(
        f"there is no Hadoop to run on: {reason}", hint="set HADOOP_HOME, and have `hadoop` on the PATH"
    )


def _count(query: Query, inputs: Sequence[str], top: int, tally: Tally) -> Answer:
    from toptalkers.job.mrjob_job import StepFailedException, run_jobs

    settings = [word for name, value in JOBCONF.items() for word in ("-D", f"{name}={value}")]
    arguments = ["--top", str(top), "-r", "hadoop", *settings]
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(ENGINE_PREFIX))
            runner, counters = run_jobs(query, arguments, inputs, folder, stack)
        except StepFailedException as error:
            raise JobFailedError(f"the job failed: {error}", hint="the lines above say why") from error
        except OSError as error:
            raise _no_hadoop(error) from error
        # The runner's folder on the cluster is cleaned up when the answer has been read.
        chunks = _read_output(query, runner, top, stack.pop_all())
    misfits = counters.get("misfit_files", 0)
    tally += Tally.from_counters(counters, files_read=0, files_unreadable=misfits)
    totals, quality = totals_of(query, counters), quality_of(query, counters)
    return Answer(query, chunks, tally, top=top, totals=totals, quality=quality)


def _read_output(query: Query, runner: Any, top: int, stack: ExitStack) -> Iterator[bytes]:
    with stack:
        yield from first_lines([check_lines(runner.cat_output(), "the job's output", query.lines)], top)
