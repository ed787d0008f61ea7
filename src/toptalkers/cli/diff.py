"""`toptalkers diff`: what changed between two answers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toptalkers.answer.presentation import Presentation
from toptalkers.cli.naming import Naming, load_names, naming_options, with_kept
from toptalkers.cli.options import compared_query_options, open_account, output_option, site_options
from toptalkers.cli.progress import progress_bar, say_on_terminal
from toptalkers.cli.run_local import LocalOptions, file_options, find_local_inputs
from toptalkers.cli.sections import SectionedCommand
from toptalkers.cli.talk import say, say_lines
from toptalkers.errors import ToptalkersError
from toptalkers.question.named import is_named
from toptalkers.question.query import Query

if TYPE_CHECKING:
    from toptalkers.answer.saved import Talkers
    from toptalkers.names.owners import Names
    from toptalkers.names.services import Services
    from toptalkers.records.files import InputFile
    from toptalkers.runs.site import SiteOptions


@click.command(cls=SectionedCommand)
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@compared_query_options
@click.option(
    "--factor",
    default="2",
    show_default=True,
    metavar="X",
    help="A talker with X times as much has grown; the other way round, it has shrunk.",
)
@click.option(
    "--min",
    "least",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Leave out talkers with less than N both before and after.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="KINDS",
    help="Exit code 1 if there are such changes: new, gone, grown, shrunk, any; several are separated by commas.",
)
@naming_options
@output_option
@site_options
@file_options
@click.pass_context
def diff(
    ctx: click.Context,
    /,
    *,
    before: str,
    after: str,
    query: Query,
    presentation: Presentation,
    where: "SiteOptions",
    factor: str,
    least: int,
    fail_on: tuple[str, ...],
    **given: Any,
) -> None:
    """Show what changed between two answers: talkers that are new or gone, and those that grew or shrank.

    BEFORE and AFTER are each an answer that run-local or fetch-results wrote (CSV, TSV, JSON, NDJSON), the name of a
    run, or what run-local reads: a folder, a file, a digest, s3://bucket/folder/. Of those, the question is asked
    first, and both must be answers to one question. The first metric that adds up is compared. With names in --by,
    each side is named for its own time; a name with ~ is the same name. With --fail-on, cron learns of a change by the
    exit code.

    \b
    Example:
      toptalkers diff monday.csv tuesday.csv --top 20
      toptalkers diff october.parquet november.parquet --by dstaddr,service-port --metric bytes --factor 10
      toptalkers diff yesterday.json flowlogs/ --fail-on new --min 1000
      toptalkers diff october/ november/ --names network.json.gz --by src.asg,dst.sg,service --metric bytes
      toptalkers diff 20261122T010000Z-4f2a 20261123T010000Z-77c1 --fail-on new,grown
    """
    from toptalkers.answer.diff import compare, format_diff, parse_factor, parse_kinds
    from toptalkers.answer.output import write_output
    from toptalkers.machine.memory import explain_no_memory

    options = LocalOptions(engine="local", paths=(before, after), **given)
    times, failing = parse_factor(factor), parse_kinds(fail_on)
    names = _Loaded(options.naming)
    with explain_no_memory():
        sides = [_open_side(name, query, replace(options, paths=(name,)), where, names) for name in options.paths]
        talkers = [side for side, _ in sides]
        found = compare(*talkers, factor=times, least=least, top=presentation.top)
    write_output(format_diff(found, presentation.format), options.output)
    say(f"{found.summary}, by a factor of {factor}")
    if Path(before).resolve() == Path(after).resolve():
        say(f"Note: BEFORE and AFTER are both {before}")
    if options.naming and options.naming.has_names and not any(map(is_named, found.columns)):
        say("Note: --names is not used, because --by has no names: --by src.name,dst.name,service has")
    for side in talkers:
        if side.is_cut:
            say(f"Note: {side.name} has not all talkers (--top): some may be new or gone only in it")
    failed = [f"{found.counts[kind]:,} {kind}" for kind in found.counts if kind in failing]
    if failed:
        say(f"Error: --fail-on: {', '.join(sorted(failed))}")
    ctx.exit(int(bool(failed) or any(left_out for _, left_out in sides)))


class _Loaded:
    """The names for a side. Those of `--names` are read once; without, each side has those that its digests keep."""

    def __init__(self, naming: Naming | None) -> None:
        self._naming = naming
        self._read: tuple[Names, Services] | None = None

    def of(self, query: Query, files: "Sequence[InputFile]" = ()) -> "tuple[Names, Services] | None":
        """What a question with names needs; None for another one. Errors as `load_names`."""
        if not query.is_named:
            return None
        if self._read is None:
            naming = with_kept(self._naming, files)
            found = load_names(query, naming)
            if naming is not self._naming:
                return found
            self._read = found
        return self._read


def _open_side(
    name: str, query: Query, options: LocalOptions, where: "SiteOptions", names: _Loaded
) -> "tuple[Talkers, bool]":
    """Open an answer, by its name. Returns its talkers, and whether something was left out of them."""
    from toptalkers import locations
    from toptalkers.answer.saved import read_saved
    from toptalkers.runs.listing import CLUSTER_ID

    path = Path(name)
    metric = query.metric[0] if _is_given("metric") else None
    if path.is_file() and (saved := read_saved(path, query, metric)):
        return saved, False
    if not path.exists() and (locations.is_run_id(name) or CLUSTER_ID.fullmatch(name)):
        return _fetch(name, query, options, where, metric, names)
    return _count(query, options, names)


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _fetch(
    run: str, query: Query, options: LocalOptions, where: "SiteOptions", metric: str | None, names: _Loaded
) -> "tuple[Talkers, bool]":
    """Open the answer of a run, by names if the question has some."""
    from toptalkers.answer.answer import Answer, Tally
    from toptalkers.answer.formats import describe_query
    from toptalkers.answer.parts import fetch_answer
    from toptalkers.answer.saved import talkers_of
    from toptalkers.cli.fetch_results import by_names
    from toptalkers.runs.listing import answer_folder, choose_answer
    from toptalkers.runs.site import find_bucket

    account = open_account(region=options.region, profile=options.profile)
    bucket = find_bucket(account, where)
    record, notes = choose_answer(account, bucket, run, words=where.words)
    for note in notes:
        say(note)
    say(f"run {record.run_id}: {describe_query(record.query)}")
    chunks = fetch_answer(account.storage, bucket, answer_folder(bucket, record), lines=record.query.lines)
    answer = Answer(record.query, chunks, Tally(), top=record.top)
    if named := names.of(query):
        from toptalkers.answer.named import name_answer

        answer = name_answer(answer, by_names(record.query, ",".join(query.by)), *named)
    talkers = talkers_of(answer, run, metric)
    return replace(talkers, is_cut=bool(record.top)), bool(record.left_out)


def _count(query: Query, options: LocalOptions, names: _Loaded) -> "tuple[Talkers, bool]":
    """Ask the question of files on this machine or in S3."""
    from toptalkers.answer.doubts import find_doubts
    from toptalkers.answer.formats import format_tally
    from toptalkers.answer.outcome import notes_of_format
    from toptalkers.answer.saved import talkers_of
    from toptalkers.answer.statement import format_quality
    from toptalkers.engines import Watch, load_engine
    from toptalkers.engines.cache import CountCache
    from toptalkers.records.files import format_problems

    [name] = options.paths
    inputs = find_local_inputs(query, options)
    left_out = list(inputs.problems)
    engine = load_engine("local", given=[])
    named, counted = names.of(query, inputs.files), query
    if named:
        from toptalkers.answer.named import name_answer, question_to_count

        counted = question_to_count(query, named[0])
    beside: dict[str, Any] = {"cache": CountCache(options.cache, counted)} if options.cache else {}
    with progress_bar(f"reading {name}", sum(file.size_bytes for file in inputs.files)) as on_read:
        watch = Watch(on_read, left_out.append, say_on_terminal, say)
        answer = engine.count_files(counted, inputs.files, watch=watch, **beside)
    if named:
        answer = name_answer(answer, query, *named)
    for line in format_problems(left_out):
        say(line)
    if not answer.tally.files_read:
        raise ToptalkersError(f"nothing was read of {name}, so there is nothing to compare")
    for note in notes_of_format(counted, answer.quality):
        say(f"Note: {name}: {note}")
    say_lines(f"{name}: {format_tally(answer.tally)}")
    if statement := format_quality(answer):
        say_lines(statement)
    doubts = find_doubts(query, answer.tally, answer.quality, options.strict)
    for one in doubts:
        say(f"Error: --strict: {name}: {one}")
    return talkers_of(answer, name), bool(doubts) or any(problem.is_failure for problem in left_out)
