"""The steps as mrjob jobs that run the scripts of this folder: `-r local` and `-r hadoop`.

This and `mrjob_local.py` are the only imports of mrjob. Run as a program, it is an ordinary mrjob job:

    python -m toptalkers.job.mrjob_job -r hadoop --ports 0-1024 hdfs:///flowlogs/

A question about conversations, or that of a digest, takes several jobs, one after the other (`run_jobs`).

mrjob splits a plain file by lines among its mappers, and Hadoop by blocks; a header line reaches only the first
mapper. So inputs must be gzip files, which are never split (`engines/pack.py` compresses files).
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from mrjob.job import MRJob
from mrjob.step import MRStep, StepFailedException

from toptalkers.answer.presentation import TOP
from toptalkers.errors import UsageError
from toptalkers.job.bundle import SCRIPTS
from toptalkers.job.mrjob_local import LocalRunner
from toptalkers.job.steps import (
    FACT_COLUMNS,
    FLOW_COLUMNS,
    KEY_FIELDS,
    LEARNED,
    PARTITIONER,
)
from toptalkers.question.clauses import CLAUSES
from toptalkers.question.conversations import CORE_COLUMNS, needs_records, record_question
from toptalkers.question.lines import TIME_METRICS
from toptalkers.question.query import Query

__all__ = ["StepFailedException", "TopTalkersJob", "run_jobs"]

BUNDLE = Path(__file__).parent

COMPARATOR = "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator"


class Finished(NamedTuple):
    """The runner of the last job, whose output is the answer, and the counters of all that count."""

    runner: Any
    counters: Mapping[str, int]


class TopTalkersJob(MRJob):  # type: ignore[misc]  # mrjob has no types
    """Sum, then sort. The options are those of a `Query`, and `--top`."""

    FILES = [str(BUNDLE / name) for name in SCRIPTS]  # noqa: RUF012 - mrjob's

    query: Query | None = None
    """The question, if it does not come from the options."""

    @classmethod
    def of(cls, query: Query, arguments: list[str]) -> Self:
        """A job for a question; the arguments are mrjob's own and `--top`."""
        job = cls(arguments)
        job.query = query
        return job

    def _runner_class(self) -> type:
        """The class of the runner that `-r` names."""
        runner: type = LocalRunner if self.options.runner == "local" else super()._runner_class()
        return runner

    def configure_args(self) -> None:
        """Add the query's options to mrjob's own."""
        super().configure_args()
        for clause in (*CLAUSES, TOP):
            self.add_passthru_arg(clause.option)
        self.add_passthru_arg("--remote-python", default="python3", help="the program that runs the scripts")

    def steps(self) -> list[MRStep]:
        """The steps. `-r local` knows no comparator, so `engines/mrjob.py` sorts its lines."""
        try:
            texts = {clause.name: getattr(self.options, clause.name) or None for clause in CLAUSES}
            query = self.query or Query.parse(**texts)
            top = TOP.value(self.options.top)
        except UsageError as error:
            self.arg_parser.error(str(error))
            raise
        if self.query is None and needs_records(query):
            self.arg_parser.error("conversations need several jobs: 'toptalkers run-local --engine mrjob' runs them")
        return self.steps_of(query, top)

    def steps_of(self, query: Query, top: int) -> list[MRStep]:
        """The steps for a question."""
        count = self.command("count_flows.py", *query.mapper_arguments())
        return [self.adding(query, count), self.sorting(query, top)]

    def adding(self, query: Query, mapper: str) -> MRStep:
        """The step that adds up the lines of a mapper."""
        add = self.command("sum_counts.py", *query.reducer_arguments())
        return MRStep(mapper_cmd=mapper, reducer_cmd=add, jobconf=_sorted_by(query.key_columns))

    def sorting(self, query: Query, top: int) -> MRStep:
        """The step that sorts the answer."""
        keep = self.command("port_filter.py", *query.filter_arguments(), "--top", str(top))
        settings = {**sort_settings(query), "mapreduce.job.reduces": "1"}
        return MRStep(mapper_cmd=keep, reducer_cmd=sort_reducer(query), jobconf=settings)

    def command(self, script: str, *words: str) -> str:
        """The command of a script."""
        return shlex.join([self.options.remote_python, script, *words])

    def role(self, name: str, *words: str) -> str:
        """The command of a role of the script about conversations."""
        return self.command("conversations.py", name, *words)


class RecordsJob(TopTalkersJob):
    """The first job of a question about conversations: the records, copies marked."""

    PARTITIONER = PARTITIONER

    def steps_of(self, query: Query, top: int) -> list[MRStep]:  # noqa: ARG002 - see the class
        """The step for a question."""
        records = record_question(query)
        settings = _sorted_by(records.key_columns) | {
            "mapreduce.partition.keypartitioner.options": f"-k1,{CORE_COLUMNS}"
        }
        mapper = self.command("count_flows.py", *records.mapper_arguments())
        reducer = self.role("distinct", *query.conversation_arguments())
        return [MRStep(mapper_cmd=mapper, reducer_cmd=reducer, jobconf=settings)]


class LearningJob(TopTalkersJob):
    """The second job: the table of what all records tell."""

    def steps_of(self, query: Query, top: int) -> list[MRStep]:  # noqa: ARG002 - see the class
        """The step for any question."""
        settings = _sorted_by(FACT_COLUMNS) | {"mapreduce.job.reduces": "1"}
        return [MRStep(mapper_cmd=self.role("learn-map"), reducer_cmd=self.role("learn-reduce"), jobconf=settings)]


class ConversationsJob(TopTalkersJob):
    """The third job: from records and the table, which is a file `LEARNED`, to the answer."""

    def steps_of(self, query: Query, top: int) -> list[MRStep]:
        """The steps for a question."""
        asked = query.conversation_arguments()
        fold = self.role("fold", "--learned", LEARNED, *asked)
        if query.count != "once":
            return [self.adding(query, fold), self.sorting(query, top)]
        once = MRStep(mapper_cmd=fold, reducer_cmd=self.role("once", *asked), jobconf=_sorted_by(FLOW_COLUMNS))
        return [once, self.adding(query, "cat"), self.sorting(query, top)]


def run_jobs(query: Query, arguments: list[str], inputs: Sequence[str], folder: Path, stack: ExitStack) -> Finished:
    """Run the jobs that answer a question.

    Args:
        query: the question.
        arguments: mrjob's own and `--top`.
        inputs: the paths to read.
        folder: for what is between the jobs.
        stack: what the jobs wrote is there until it is closed.

    """
    counters = Counter[str]()

    def run(kind: type[TopTalkersJob], *words: str) -> Any:
        runner = stack.enter_context(kind.of(query, [*arguments, *words]).make_runner())
        runner.run()
        for of_step in runner.counters()[: 1 if kind is TopTalkersJob else None]:
            counters.update(of_step.get("toptalkers", {}))
        return runner

    if not needs_records(query):
        return Finished(run(TopTalkersJob, *inputs), counters)
    records = run(RecordsJob, *inputs).get_output_dir()
    learned = folder / LEARNED
    with learned.open("wb") as file:
        file.writelines(run(LearningJob, records).cat_output())
    return Finished(run(ConversationsJob, "--files", f"{learned}#{LEARNED}", records), counters)


def sort_settings(query: Query) -> dict[str, str]:
    """Settings with which Hadoop sorts lines by their first sum, descending, then by the key, ascending."""
    first = query.rank_column
    order = "r" if query.metric[0] in TIME_METRICS else "nr"  # times compare as texts
    return {
        KEY_FIELDS: str(query.line_columns),
        "mapreduce.job.output.key.comparator.class": COMPARATOR,
        "mapreduce.partition.keycomparator.options": f"-k{first},{first}{order} -k1,{query.key_columns}",
    }


def sort_reducer(query: Query) -> str:
    """The reducer of the sort.

    Not `cat`: if all of a line is its key, streaming ends it with a tab, which `cat` would keep.
    """
    return "cut -f1,2" if query.line_columns == 2 else f"cut -f1-{query.line_columns}"


def _sorted_by(columns: int) -> dict[str, str]:
    """Settings with which Hadoop sorts and groups a mapper's lines by their first columns."""
    return {KEY_FIELDS: str(columns)} if columns > 1 else {}


if __name__ == "__main__":
    TopTalkersJob.run()
