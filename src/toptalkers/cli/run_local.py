"""`toptalkers run-local`: answer the question from files on this machine."""

import functools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toptalkers.answer.presentation import Presentation
from toptalkers.cli.naming import Naming, load_names, names_to_keep, naming_options, with_kept
from toptalkers.cli.options import open_account, output_option, query_options, region_options, strict_option
from toptalkers.cli.params import ENGINE
from toptalkers.cli.progress import progress_bar, say_on_terminal
from toptalkers.cli.sections import SectionedCommand
from toptalkers.cli.sources import origin_options
from toptalkers.cli.talk import say, say_lines
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.question.query import Query

if TYPE_CHECKING:
    from toptalkers.answer.answer import Answer
    from toptalkers.answer.doubts import Doubt
    from toptalkers.records.files import Inputs
    from toptalkers.records.wanted import Origin


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """The options of a command that counts on this machine, beside the question."""

    paths: tuple[str, ...]
    output: Path | None
    engine: str
    manifest: Path | None
    cache: Path | None
    region: str | None
    profile: str | None
    strict: "Collection[Doubt]"
    origin: "Origin"
    naming: Naming | None = None


_FILES = (
    click.option(
        "--manifest",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Also read the files listed in FILE, one path per line. A path listed twice is counted twice.",
    ),
    click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep the counts of each file in DIR, and read only files that are new or have changed.",
    ),
    origin_options,
    functools.partial(region_options, what="For s3://: the AWS"),
    strict_option,
)


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options about the files that it reads, as `LocalOptions` names them."""
    return functools.reduce(lambda made, option: option(made), reversed(_FILES), command)


@click.command("run-local", cls=SectionedCommand)
@click.argument("paths", nargs=-1, metavar="PATH...")
@query_options
@naming_options
@output_option
@click.option("--engine", type=ENGINE, default="local", show_default=True, help="The engine that counts.")
@file_options
@click.pass_context
def run_local(ctx: click.Context, /, *, query: Query, presentation: Presentation, **given: Any) -> None:
    """Count top talkers in flow-log files on this machine.

    PATH is a file, a folder (with all below it), a glob, s3://bucket/folder/, or - for standard input. Files may
    be plain, compressed (gzip, Zstandard, bzip2, xz) or archives (tar, zip); lines may be wrapped in JSON, CSV or
    time stamps, as AWS's tools write them. In S3, --since and --until skip the folders of other hours. The exit code
    is 1 if something was left out; everything else is counted all the same. Talkers that do not fit into memory are
    kept in a temporary file, next to --output or in TMPDIR.

    \b
    Example:
      toptalkers run-local flowlogs/ --metric bytes --ports all --top 10
      toptalkers run-local flowlogs/ --by hour,srcaddr/24 --metric bytes,records --ports all --show shares
      toptalkers run-local flowlogs/ --count once --pairs --top 20
      toptalkers run-local flowlogs/ --names network.json.gz --by src.asg,dst.sg,service --metric bytes --ports all
      toptalkers run-local flowlogs/ --where 'dst port 443 and not src net 10.0.0.0/8' --by srcaddr
      toptalkers run-local s3://my-bucket/flowlogs/ --since 2026-11-23T17:00Z --until 2026-11-23T18:00Z
      toptalkers run-local s3://central/AWSLogs/ --from-account 111122223333 --from-region eu-central-1
      zcat *.gz | toptalkers run-local - --output talkers.tsv.gz
    """
    from toptalkers.answer.formats import format_answer
    from toptalkers.machine.memory import explain_no_memory

    presentation.check(query)
    formatted: Callable[[Answer], Iterator[bytes]] = functools.partial(
        format_answer, format=presentation.format, show=presentation.show
    )
    if given["output"] and given["output"].suffix == ".parquet":
        from toptalkers.answer.digest import format_digest, goes_to_parquet

        if goes_to_parquet(given["output"], query, presentation):
            formatted = functools.partial(format_digest, names=names_to_keep(given["naming"]))

    with explain_no_memory():
        ctx.exit(answer_from_files(query, LocalOptions(**given), presentation.top, formatted))


def answer_from_files(
    query: Query,
    options: LocalOptions,
    top: int,
    formatted: "Callable[[Answer], Iterator[bytes]]",
    *,
    keeps_file: bool = False,
    on_inputs: "Callable[[Inputs], None] | None" = None,
) -> int:
    """Count, write the answer as `formatted` makes it, and show what was left out. Returns the exit code.

    `on_inputs` gets the files before they are read. It makes the names a matter of `formatted`: then the answer itself
    has none.

    Raises:
        UsageError: no files are named, or the options contradict each other.
        ToptalkersError: with `keeps_file`, no file could be read; the output stays as it was.

    """
    from toptalkers.answer.doubts import find_doubts
    from toptalkers.answer.formats import format_tally
    from toptalkers.answer.outcome import absent_parts, notes_of_format
    from toptalkers.answer.output import write_output
    from toptalkers.answer.statement import format_quality, measured
    from toptalkers.engines import Watch, load_engine
    from toptalkers.records.files import format_problems

    if not options.paths and options.manifest is None:
        raise UsageError("nothing to read", hint="name files, folders or - for standard input, or a --manifest")
    engine = load_engine(options.engine, given=["cache"] if options.cache else [])
    inputs = find_local_inputs(query, options)
    left_out = list(inputs.problems)
    naming = options.naming
    if on_inputs:
        on_inputs(inputs)
        naming = None
    elif query.is_named:
        naming = with_kept(naming, inputs.files)
    named = load_names(query, naming)
    counted, top_counted = query, top
    if named:
        from toptalkers.answer.named import name_answer, question_to_count, with_names

        counted, top_counted = question_to_count(query, named[0]), 0 if query.is_named else top
    beside: dict[str, Any] = {"scratch": options.output.parent if options.output else None, "cache": None}
    if options.cache:
        from toptalkers.engines.cache import CountCache

        beside["cache"] = CountCache(options.cache, counted)
    with progress_bar("reading", sum(file.size_bytes for file in inputs.files)) as on_read:
        watch = Watch(on_read, left_out.append, say_on_terminal, say)
        honoured = {name: beside[name] for name in engine.HONOURS}
        answer = engine.count_files(counted, inputs.files, top=top_counted, watch=watch, **honoured)
    answer, note = absent_parts(answer)
    if named and query.is_named:
        answer = name_answer(answer, query, *named, top=top)
    elif named:
        answer = with_names(answer, named[0])
    if missing := sum(problem.is_failure for problem in inputs.problems):
        tally = replace(answer.tally, files_unreadable=answer.tally.files_unreadable + missing)
        answer = replace(answer, tally=tally)
    answer = measured(answer)
    is_lost = keeps_file and left_out and not answer.tally.files_read
    if not is_lost:
        write_output(formatted(answer), options.output)
    for line in format_problems(left_out):
        say(line)
    if is_lost:
        raise ToptalkersError(f"nothing was read, so {options.output} was not written")
    if inputs.repeated:
        say(f"named more than once, read once: {inputs.repeated} file{'' if inputs.repeated == 1 else 's'}")
    if known := beside["cache"]:
        damaged = f"; {known.damaged:,} damaged entries made anew" if known.damaged else ""
        say(f"counted before, not read: {known.known:,} of {len(inputs.files):,} files{damaged}")
    for one in (note, *notes_of_format(counted, answer.quality)):
        if one:
            say(f"Note: {one}")
    say_lines(format_tally(answer.tally))
    if statement := format_quality(answer):
        say_lines(statement)
    doubts = find_doubts(query, answer.tally, answer.quality, options.strict)
    for one in doubts:
        say(f"Error: --strict: {one}")
    return int(bool(doubts) or any(problem.is_failure for problem in left_out))


def find_local_inputs(query: Query, options: LocalOptions) -> "Inputs":
    """The files of the paths, then those of the manifest."""
    from toptalkers.records.files import Inputs, find_inputs, read_manifest
    from toptalkers.records.wanted import Origin

    inputs = _without_output(find_inputs(path for path in options.paths if not path.startswith("s3://")), options)
    stored = [path for path in options.paths if path.startswith("s3://")]
    if options.origin != Origin() and not stored:
        raise UsageError("--from-account and --from-region are for s3:// addresses", hint="name the folders instead")
    if stored:
        from toptalkers.records.stored import find_stored

        storage = open_account(region=options.region, profile=options.profile).storage
        inputs += find_stored(storage, stored, since=query.since, until=query.until, origin=options.origin)
    listed = read_manifest(options.manifest) if options.manifest else []
    return inputs + Inputs(tuple(listed), ())


def naming_of(query: Query, options: LocalOptions) -> Naming | None:
    """The options' naming; without `--names`, with the names that digests among the inputs keep.

    For commands that need names before they look for their inputs. Of S3, only objects that are named are looked at.
    """
    from toptalkers.records.wanted import Origin

    paths = tuple(path for path in options.paths if not path.startswith("s3://") or path.endswith(".parquet"))
    if (options.naming and options.naming.paths) or not (paths or options.manifest):
        return options.naming
    return with_kept(options.naming, find_local_inputs(query, replace(options, paths=paths, origin=Origin())).files)


def _without_output(inputs: "Inputs", options: LocalOptions) -> "Inputs":
    """The inputs but for the answer of an earlier run, which lies in one of the folders and would be counted again.

    Raises:
        UsageError: the output is itself named as an input.

    """
    from toptalkers.records.files import Problem

    if options.output is None:
        return inputs
    own = [file for file in inputs.files if _is_same(file.name, options.output)]
    if any(_is_same(path, options.output) for path in options.paths):
        raise UsageError(f"{options.output} is named as an input and as --output", hint="give --output another name")
    problems = (Problem(file.name, "the --output of this run", is_failure=False) for file in own)
    files = tuple(file for file in inputs.files if file not in own)
    return replace(inputs, files=files, problems=(*inputs.problems, *problems))


def _is_same(name: str, output: Path) -> bool:
    """Whether a name is that of an output, which is a file already."""
    try:
        return output.is_file() and output.samefile(name)
    except OSError:
        return False
