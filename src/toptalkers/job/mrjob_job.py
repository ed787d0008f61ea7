"""The two steps as an mrjob job that runs the scripts of this folder: `-r local` and `-r hadoop`.

This and `mrjob_local.py` are the only imports of mrjob. Run as a program, it is an ordinary mrjob job:

    python -m toptalkers.job.mrjob_job -r hadoop --ports 0-1024 hdfs:///flowlogs/

mrjob splits a plain file by lines among its mappers, and Hadoop by blocks; a header line reaches only the first
mapper. So inputs must be gzip files, which are never split (`engines/pack.py` compresses files).
"""

import shlex
from pathlib import Path

from mrjob.job import MRJob
from mrjob.step import MRStep, StepFailedException

from toptalkers.answer.presentation import TOP
from toptalkers.errors import UsageError
from toptalkers.job.mrjob_local import LocalRunner
from toptalkers.job.steps import KEY_FIELDS, sort_reducer, sort_settings
from toptalkers.question.clauses import CLAUSES
from toptalkers.question.query import Query

__all__ = ["StepFailedException", "TopTalkersJob"]

BUNDLE = Path(__file__).parent


class TopTalkersJob(MRJob):  # type: ignore[misc]  # mrjob has no types
    """Sum, then sort. The options are those of a `Query`, and `--top`."""

    FILES = [str(BUNDLE / name) for name in ("count_flows.py", "port_filter.py", "sum_counts.py")]  # noqa: RUF012 - mrjob's

    query: Query | None = None
    """The question, if it does not come from the options."""

    @classmethod
    def of(cls, query: Query, arguments: list[str]) -> "TopTalkersJob":
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
        """The two steps. `-r local` knows no comparator, so `engines/mrjob.py` sorts its lines."""
        try:
            texts = {clause.name: getattr(self.options, clause.name) or None for clause in CLAUSES}
            query = self.query or Query.parse(**texts)
            top = TOP.value(self.options.top)
        except UsageError as error:
            self.arg_parser.error(str(error))
            raise
        python = self.options.remote_python
        count = shlex.join([python, "count_flows.py", *query.mapper_arguments()])
        add = shlex.join([python, "sum_counts.py", *query.reducer_arguments()])
        keep = shlex.join([python, "port_filter.py", *query.filter_arguments(), "--top", str(top)])
        add_settings = {KEY_FIELDS: str(query.key_columns)} if query.key_columns > 1 else {}
        settings = {**sort_settings(query), "mapreduce.job.reduces": "1"}
        return [
            MRStep(mapper_cmd=count, reducer_cmd=add, jobconf=add_settings),
            MRStep(mapper_cmd=keep, reducer_cmd=sort_reducer(query), jobconf=settings),
        ]


if __name__ == "__main__":
    TopTalkersJob.run()
