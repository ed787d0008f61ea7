"""`toptalkers run-local`: the question, asked of files on this machine."""

from pathlib import Path

import click

from toptalkers.answer.presentation import Presentation
from toptalkers.cli.factory import Factory
from toptalkers.cli.options import output_option, query_options
from toptalkers.cli.progress import progress_bar, say_on_terminal
from toptalkers.cli.talk import say, say_lines
from toptalkers.errors import UsageError
from toptalkers.question.query import Query


@click.command("run-local")
@click.argument("paths", nargs=-1, metavar="PATH...")
@query_options
@output_option
@click.option(
    "--engine",
    type=click.Choice(["local", "mrjob", "hadoop"]),
    default="local",
    show_default=True,
    help="What does the counting.",
)
@click.option(
    "--manifest",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also read the files that FILE names, a path a line, each as often as it stands there.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep each file's counts in DIR, and read only files that are new or have changed.",
)
@click.option("--region", metavar="REGION", help="For s3://: the AWS Region.  [default: as the AWS CLI has it]")
@click.option("--profile", metavar="PROFILE", help="For s3://: the AWS profile.  [default: as the AWS CLI has it]")
@click.option("--strict", is_flag=True, help="Fail, after the answer, when any record is malformed.")
@click.pass_context
def run_local(
    ctx: click.Context,
    *,
    paths: tuple[str, ...],
    query: Query,
    presentation: Presentation,
    output: Path | None,
    engine: str,
    manifest: Path | None,
    cache: Path | None,
    region: str | None,
    profile: str | None,
    strict: bool,
) -> None:
    """Count top talkers in flow-log files on this machine.

    PATH is a file, a folder (with all below it), a glob, s3://bucket/folder/, or - for standard input. Files may
    be plain, packed (gzip, Zstandard, bzip2, xz) or archives (tar, zip); lines may be wrapped in JSON, CSV or time
    stamps, as AWS's tools write them. In S3, --since and --until spare the folders of other hours. Ends with 1 when
    something was left out; what could be read is counted all the same. More talkers than fit into memory wait in a
    temporary file beside --output, or where TMPDIR points.

    \b
    Example:
      toptalkers run-local flowlogs/ --metric bytes --ports all --top 10
      toptalkers run-local s3://my-bucket/flowlogs/ --since 2026-11-23T17:00Z --until 2026-11-23T18:00Z
      zcat *.gz | toptalkers run-local - --output talkers.tsv.gz
    """
    from toptalkers.machine.memory import explain_no_memory

    if not paths and manifest is None:
        raise UsageError("nothing to read", hint="name files, folders or - for standard input, or a --manifest")
    with explain_no_memory():
        _answer(
            ctx,
            paths,
            query,
            presentation,
            output,
            engine=engine,
            manifest=manifest,
            cache=cache,
            region=region,
            profile=profile,
            strict=strict,
        )


def _answer(
    ctx: click.Context,
    paths: tuple[str, ...],
    query: Query,
    presentation: Presentation,
    output: Path | None,
    *,
    engine: str,
    manifest: Path | None,
    cache: Path | None,
    region: str | None,
    profile: str | None,
    strict: bool,
) -> None:
    from toptalkers.answer.formats import format_answer, format_tally
    from toptalkers.answer.output import write_output
    from toptalkers.engines.choice import count_files
    from toptalkers.records.files import Problem, find_inputs, format_problems, read_manifest

    left_out: list[Problem] = []
    inputs = find_inputs(path for path in paths if not path.startswith("s3://"))
    stored = [path for path in paths if path.startswith("s3://")]
    if stored:
        from toptalkers.records.stored import find_stored

        storage = ctx.ensure_object(Factory).gateways(region=region, profile=profile).storage
        inputs += find_stored(storage, stored, since=query.since, until=query.until)
    files = [*inputs.files, *(read_manifest(manifest) if manifest else [])]
    left_out += inputs.problems
    known = None
    if cache is not None:
        if engine != "local":
            raise UsageError(f"--cache: the engine {engine} keeps no counts", hint="leave --engine or --cache out")
        from toptalkers.engines.cache import CountCache

        known = CountCache(cache, query)
    with progress_bar("reading", sum(file.size_bytes for file in files)) as on_read:
        answer = count_files(
            engine,
            query,
            files,
            top=presentation.top,
            on_read=on_read,
            on_problem=left_out.append,
            on_stage=say_on_terminal,
            scratch=output.parent if output else None,
            cache=known,
        )
    write_output(format_answer(answer, presentation.format), output)
    for line in format_problems(left_out):
        say(line)
    if inputs.repeated:
        say(f"named more than once, read once: {inputs.repeated} files")
    if known:
        damaged = f"; {known.damaged:,} damaged entries made anew" if known.damaged else ""
        say(f"counted before, not read: {known.known:,} of {len(files):,} files{damaged}")
    say_lines(format_tally(answer.tally))
    if strict and answer.tally.malformed:
        say(f"Error: --strict: {answer.tally.malformed:,} records are malformed")
        ctx.exit(1)
    if any(problem.is_failure for problem in left_out):
        ctx.exit(1)
