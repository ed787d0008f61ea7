"""`toptalkers fetch-results`: the answer of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toptalkers.cli.options import account_options, answer_options, output_option, stack_name_option
from toptalkers.cli.talk import say, say_lines

if TYPE_CHECKING:
    from toptalkers.aws.gateways import Gateways


@click.command("fetch-results")
@click.argument("run", required=False)
@stack_name_option
@answer_options
@output_option
@account_options
def fetch_results(
    *,
    gateways: "Gateways",
    run: str | None,
    stack_name: str,
    top: str,
    format: str,  # noqa: A002 - the option is called so, and keeps its name
    output: Path | None,
) -> None:
    """Fetch the answer of RUN, or of the newest run that has one.

    \b
    Example:
      toptalkers fetch-results --top 10
      toptalkers fetch-results 20261123T181500Z-4f2a --format csv --output talkers.csv.gz
    """
    from toptalkers import locations
    from toptalkers.answer import Answer, Tally
    from toptalkers.deploy.cluster import bucket_of, tally_of
    from toptalkers.deploy.ownership import require_own
    from toptalkers.deploy.runs import choose_answer
    from toptalkers.query import Query
    from toptalkers.results.fetch import fetch_answer
    from toptalkers.results.formats import describe_query, format_answer, format_tally
    from toptalkers.results.output import write_output

    bucket = bucket_of(require_own(gateways, stack_name))
    record, notes = choose_answer(gateways, bucket, run)
    kept = record.query.top
    query = Query.parse(**{**record.question, "top": top, "format": format})  # type: ignore[arg-type]
    say(f"run {record.run_id}: {describe_query(query)}")
    if kept and not 0 < query.top <= kept:
        notes.append(f"the run kept the first {kept:,} talkers alone")
    for note in notes:
        say(note)
    counters = tally_of(gateways, bucket, record)
    tally = Tally.from_counters(counters, files_read=record.input_objects)
    limit = min(query.top or kept, kept or query.top)
    chunks = fetch_answer(gateways.storage, bucket, locations.answer_prefix(record.run_id), top=limit)
    first = next(chunks, b"")
    answer = Answer(query, (one for part in ([first], chunks) for one in part if one), tally)
    write_output(format_answer(answer), output)
    if not first:
        say("The answer is empty: no record counts for the question.")
    say_lines(format_tally(tally) if counters else "What was skipped is not known: the log of the run is not there.")
