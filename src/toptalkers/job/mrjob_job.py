"""The two steps as an mrjob job that drives the bundle's own scripts: `-r local` and `-r hadoop`.

The only import of mrjob. Run as a program it is an ordinary mrjob job:

    python -m toptalkers.job.mrjob_job -r hadoop --ports 0-1024 hdfs:///flowlogs/

mrjob splits a plain file by lines among its mappers, and Hadoop by blocks; a header line reaches only the first
of them. So inputs must be gzip files, which are never split (`engines/mrjob.py` compresses the others).
"""

import shlex
from pathlib import Path

from mrjob.job import MRJob
from mrjob.step import MRStep, StepFailedException

from toptalkers.answer.presentation import TOP
from toptalkers.errors import UsageError
from toptalkers.question.clauses import CLAUSES
from toptalkers.question.query import Query

StepFailedError = StepFailedException
"""What a runner raises when a step failed; its text says no more than which."""

BUNDLE = Path(__file__).parent

SORT_JOBCONF = {
    "stream.num.map.output.key.fields": "2",
    "mapreduce.job.output.key.comparator.class": "org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedComparator",
    "mapreduce.partition.keycomparator.options": "-k2,2nr -k1,1",
    "mapreduce.job.reduces": "1",
}
"""Step 2 in Hadoop's words: sum descending, then talker ascending, by one reducer."""

SORT_REDUCER = "cut -f1,2"
"""Not `cat`: with two key fields streaming ends each line with a tab, which `cat` would keep."""


class TopTalkersJob(MRJob):  # type: ignore[misc]  # mrjob has no types
    """Aggregate, then sort; the options are those of a `Query`, and `--top`."""

    FILES = [str(BUNDLE / name) for name in ("count_flows.py", "port_filter.py", "sum_counts.py")]  # noqa: RUF012 - mrjob's

    def configure_args(self) -> None:
        """Add the query's options to mrjob's own."""
        super().configure_args()
        for clause in (*CLAUSES, TOP):
            self.add_passthru_arg(clause.option)
        self.add_passthru_arg("--remote-python", default="python3", help="runs the scripts, where the tasks run")

    def question(self) -> tuple[Query, int]:
        """The question that the options ask, and how many talkers to keep, 0 for all."""
        try:
            query = Query.parse(**{clause.name: getattr(self.options, clause.name) or None for clause in CLAUSES})
            return query, TOP.value(self.options.top)
        except UsageError as error:
            self.arg_parser.error(str(error))
            raise

    def steps(self) -> list[MRStep]:
        """The two steps. `-r local` knows no comparator, so that `engines/mrjob.py` puts its lines in order."""
        query, top = self.question()
        python = self.options.remote_python
        count = shlex.join([python, "count_flows.py", *query.mapper_arguments()])
        keep = shlex.join([python, "port_filter.py", *query.filter_arguments(), "--top", str(top)])
        return [
            MRStep(mapper_cmd=count, reducer_cmd=f"{python} sum_counts.py"),
            MRStep(mapper_cmd=keep, reducer_cmd=SORT_REDUCER, jobconf=SORT_JOBCONF),
        ]


if __name__ == "__main__":
    TopTalkersJob.run()
