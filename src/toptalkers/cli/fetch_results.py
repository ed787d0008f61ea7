"""`toptalkers fetch-results`: the answer of a run."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toptalkers.answer.presentation import Presentation, fewer
from toptalkers.cli.naming import Naming, load_names, names_to_keep, naming_options
from toptalkers.cli.options import account_options, answer_options, output_option, site_options, strict_option
from toptalkers.cli.talk import say, say_lines

if TYPE_CHECKING:
    from collections.abc import Collection

    from toptalkers.answer.doubts import Doubt
    from toptalkers.aws.account import Account
    from toptalkers.question.query import Query
    from toptalkers.runs.site import SiteOptions


@click.command("fetch-results")
@click.argument("run", required=False)
@site_options
@click.option(
    "--by",
    metavar="PARTS",
    help="Add the answer up by names, such as src.asg,dst.sg,service; also by parts that the run was asked for.",
)
@naming_options
@answer_options
@output_option
@strict_option
@account_options
@click.pass_context
def fetch_results(
    ctx: click.Context,
    /,
    *,
    account: "Account",
    run: str | None,
    where: "SiteOptions",
    by: str | None,
    naming: Naming | None,
    presentation: Presentation,
    output: Path | None,
    strict: "Collection[Doubt]",
) -> None:
    """Fetch the answer of RUN, or of the newest run that has one.

    RUN may be the id of a cluster, also of one that others started with the same scripts. The digest of
    'run-emr --digest' is written as Parquet if --output is named *.parquet. The exit code is 1 if something was left
    out.

    With --names the answer has the names of its addresses, and with --by it is added up by names. A run that was asked
    with --by hour,interface-id,srcaddr,dstaddr,service-port,protocol can be added up by all of them, at their time.

    \b
    Example:
      toptalkers fetch-results --top 10
      toptalkers fetch-results --bucket my-bucket
      toptalkers fetch-results j-0123456789ABC
      toptalkers fetch-results 20261123T181500Z-4f2a --format csv --output talkers.csv.gz
      toptalkers fetch-results --output november.parquet
      toptalkers fetch-results --names network.json.gz --by src.sg,dst.sg,service --top 20
    """
    from toptalkers import locations
    from toptalkers.answer.answer import Answer, Tally, quality_of, totals_of
    from toptalkers.answer.digest import format_digest, goes_to_parquet
    from toptalkers.answer.doubts import find_doubts
    from toptalkers.answer.formats import describe_query, format_answer
    from toptalkers.answer.outcome import absent_parts, describe_outcome, exit_code, notes_of_format
    from toptalkers.answer.output import write_output
    from toptalkers.answer.parts import fetch_answer, fetch_in_any_order
    from toptalkers.answer.statement import format_quality, measured
    from toptalkers.cli.again import reason_command
    from toptalkers.runs.input.copies import remove_copies
    from toptalkers.runs.input.quarantine import quarantine_note
    from toptalkers.runs.left_out import name_left_out
    from toptalkers.runs.listing import answer_folder, choose_answer
    from toptalkers.runs.outcome import tally_of
    from toptalkers.runs.site import find_bucket

    bucket = find_bucket(account, where)
    record, notes = choose_answer(account, bucket, run, words=where.words)
    say(f"run {record.run_id}: {describe_query(record.query)}")
    query = by_names(record.query, by) if by else record.query
    presentation.check(query)
    is_parquet = goes_to_parquet(output, query, replace(presentation, top=presentation.top or record.top))
    named = None if is_parquet else load_names(query, naming)
    top = fewer(presentation.top, record.top)
    if query.is_named:
        top = record.top
        if top:
            notes.append(f"the run kept the first {top:,} talkers only, and rows by names have nothing of the others")
    elif top != presentation.top:
        notes.append(f"the run kept the first {top:,} talkers only")
    for note in notes:
        say(note)
    counters = tally_of(account, bucket, record)
    tally = Tally.from_counters(counters, files_read=record.input_objects, files_unreadable=len(record.left_out))
    place = (account.storage, bucket, answer_folder(bucket, record))
    if query.is_named:  # rows are added up, in whatever order they come
        chunks = fetch_in_any_order(*place, record.query.lines)
    else:
        chunks = fetch_answer(*place, top=top, lines=record.query.lines)
    first = next(chunks, b"")
    lines = (one for part in ([first], chunks) for one in part if one)
    totals, quality = totals_of(record.query, counters), quality_of(record.query, counters)
    answer = Answer(record.query, lines, tally, top=top, totals=totals, quality=quality)
    answer, note = absent_parts(answer)
    if named:
        from toptalkers.answer.named import name_answer, with_names

        is_collapsed = query.is_named
        answer = (
            name_answer(answer, query, *named, top=presentation.top) if is_collapsed else with_names(answer, named[0])
        )
    if not query.is_named:
        answer = replace(answer, top=presentation.top)
    answer = measured(answer)
    formatted = (
        format_digest(answer, names_to_keep(naming))
        if is_parquet
        else format_answer(answer, presentation.format, presentation.show)
    )
    write_output(formatted, output)
    named_out = name_left_out(
        account.storage, record.inputs, counters, lambda uris: reason_command(record.query, uris, account.region)
    )
    for one in (*record.left_out, *named_out):
        say(f"left out: {one}")
    if held_back := quarantine_note(account.storage, bucket, record.inputs, record.query):
        say(f"Note: {held_back}")
    for one in (note, *notes_of_format(record.query, answer.quality)):
        if one:
            say(f"Note: {one}")
    say_lines(describe_outcome(counters, tally, is_empty=not first))
    if statement := format_quality(answer):
        say_lines(statement)
    if any(locations.copies_prefix(record.run_id) in uri for uri in record.inputs):
        remove_copies(account.storage, bucket, record.run_id, say)
    doubts = find_doubts(record.query, tally, answer.quality, strict)
    for one in doubts:
        say(f"Error: --strict: {one}")
    ctx.exit(exit_code(tally, doubts))


def by_names(query: "Query", by: str) -> "Query":
    """The question of a run with another key, which has named parts; UsageError if that cannot be."""
    from toptalkers.errors import UsageError
    from toptalkers.question.digest import is_digest
    from toptalkers.question.query import Query

    if is_digest(query):
        raise UsageError(
            f"--by {by}: the run's answer is a digest",
            hint="fetch it with --output november.parquet, and ask it: 'toptalkers run-local november.parquet'",
        )
    named = Query.parse(**{**query.texts(), "by": by})
    if not named.is_named:
        raise UsageError(
            f"--by {by}: none of these parts is a name",
            hint="src.name, dst.sg and service are; 'toptalkers run-emr --by' counts by others",
        )
    return named
