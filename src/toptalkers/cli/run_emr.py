"""`toptalkers run-emr`: answer the question on a cluster."""

import secrets
import signal
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal

import click

from toptalkers import locations
from toptalkers.cli.options import (
    SITE_OPTIONS,
    cluster_options,
    cluster_site_options,
    dry_run_option,
    job_query_options,
    open_account,
    read_cluster_options,
    region_options,
    strict_option,
    yes_option,
)
from toptalkers.cli.sections import SectionedCommand
from toptalkers.cli.signals import last_signal
from toptalkers.cli.sources import input_option, origin_options
from toptalkers.cli.talk import agrees, clear_line, confirm, is_terminal, say, say_lines, say_over, show
from toptalkers.question.query import Query

if TYPE_CHECKING:
    from toptalkers.answer.answer import Answer
    from toptalkers.answer.doubts import Doubt
    from toptalkers.aws.account import Account
    from toptalkers.records.wanted import Origin
    from toptalkers.runs.cluster.one_instance import OneInstance
    from toptalkers.runs.plan import RunPlan
    from toptalkers.runs.record import RunRecord
    from toptalkers.runs.site import SiteOptions


@click.command("run-emr", cls=SectionedCommand)
@job_query_options
@click.option(
    "--digest", is_flag=True, help="Ask for a digest, which 'fetch-results --output d.parquet' writes as Parquet."
)
@input_option
@origin_options
@click.option(
    "--skip-unreadable", is_flag=True, help="Leave out objects that a cluster cannot read; the exit code is 1 then."
)
@cluster_site_options
@cluster_options
@click.option(
    "--cluster",
    "cluster_id",
    metavar="ID",
    help="Add the steps to this cluster, which runs already, and leave it running.",
)
@click.option(
    "--keep-alive",
    type=click.IntRange(1, 7 * 24 * 60),
    metavar="MINUTES",
    help="Keep the cluster for more questions; it ends after so many minutes without a step.",
)
@click.option("--no-wait", is_flag=True, help="Return when the cluster is starting.")
@click.option(
    "--hadoop-cluster",
    is_flag=True,
    help="Run on the Hadoop cluster that `hadoop` on the PATH belongs to, and write the answer; needs --input.",
)
@strict_option
@dry_run_option
@yes_option
@region_options
@click.pass_context
def run_emr(
    ctx: click.Context,
    /,
    *,
    query: Query,
    top: int,
    digest: bool,
    inputs: tuple[str, ...],
    origin: "Origin",
    skip_unreadable: bool,
    where: "SiteOptions",
    cluster_id: str | None,
    no_wait: bool,
    hadoop_cluster: bool,
    strict: "Collection[Doubt]",
    dry_run: bool,
    yes: bool,
    region: str | None,
    profile: str | None,
    **cluster: Any,
) -> None:
    """Count top talkers on an EMR cluster, which is started for the run and ends with it.

    Shows the plan, asks, and follows the run to its end; the run's name goes to standard output. Ctrl-C asks
    whether to leave the cluster running. The exit code is 3 if the job failed, and 1 if something was left out.

    If one instance with 'toptalkers run-local' is cheaper than the cluster and not slower, the plan says so, with the
    commands for it; --dry-run only shows the plan.

    Bucket and roles are those of the stack. Without a stack, give them with --bucket, --service-role and
    --instance-profile: you and the nodes must be allowed to write code/, logs/ and runs/ in the bucket
    ('toptalkers render roles' and 'render permissions' write the policies).

    One cluster can answer many questions: start it with --keep-alive, and ask it with --cluster. Its nodes are paid
    for until it ends. Ctrl-C then cancels the question, not the cluster.

    \b
    Example:
      toptalkers run-emr --since 2026-11-23T18:00:00Z --until 2026-11-23T19:00:00Z
      toptalkers run-emr --metric bytes --ports all --vpc-nodes 1000 --spot --yes
      toptalkers run-emr --by vpc-id,service-port --metric bytes,records --ports all --where 'proto tcp'
      toptalkers run-emr --count once --pairs --since 2026-11-23T18:00:00Z --until 2026-11-23T19:00:00Z
      toptalkers run-emr --bucket my-bucket --service-role EmrRole --instance-profile EmrNodes \\
          --input s3://central-logs/AWSLogs/123456789012/
      toptalkers run-emr --keep-alive 60 --core 4
      toptalkers run-emr --cluster j-0123456789ABC --metric bytes
      toptalkers run-emr --input s3://central/AWSLogs/ --from-account 111122223333 --since 2026-11-23T18:00Z
      toptalkers run-emr --digest --since 2026-11-01 --until 2026-11-02
      toptalkers run-emr --dry-run > request.json
    """
    if hadoop_cluster:
        _refuse_given(ctx, {*cluster, *_ONLY_FOR_EMR}, "only for EMR", "--hadoop-cluster")
        ctx.exit(_run_on_hadoop(query, top, inputs, strict=strict))
    from toptalkers.runs.cluster.request import render_request
    from toptalkers.runs.cluster.shared import find_running
    from toptalkers.runs.plan import format_plan, plan_run
    from toptalkers.runs.site import find_site
    from toptalkers.runs.watch import execute_run, way_to_end

    if cluster_id:
        new_only = {*cluster, *_SITE_OF_NEW} - {"keep_aggregate", "keep_all_ports"}
        _refuse_given(ctx, new_only, "only for a new cluster", "--cluster")
    account = open_account(region=region, profile=profile)
    options = read_cluster_options(cluster)
    site = find_site(account, where, is_cluster_new=not cluster_id)
    running = find_running(account, cluster_id) if cluster_id else None
    line = _LiveLine()
    plan = plan_run(
        account,
        site,
        query,
        top=top,
        inputs=inputs,
        origin=origin,
        options=options,
        skips=skip_unreadable,
        on_look=lambda done, total: line.look(f"looked into {done:,} of {total:,} objects"),
        running=running,
        token=secrets.token_hex(2),
    )
    line.clear()
    place = "".join(f" --{name} {value}" for name, value in (("region", region), ("profile", profile)) if value)
    say_lines(format_plan(plan))
    for note in site.notes:
        say(f"Note: {note}")
    if plan.better:
        say_lines(_tell_better(plan, plan.better, query, top, inputs, origin))
    if dry_run:
        show(render_request(plan.request))
        return
    confirm("Add the steps to the cluster?" if running else "Start the cluster?", yes=yes)
    record = execute_run(account, plan, say=line.say, look=line.look, ask=_ask, wait=not no_wait)
    show(record.run_id)
    into = " --output digest.parquet" if digest else ""
    fetch = f"'toptalkers fetch-results{where.words}{place} {record.run_id}{into}' fetches the answer"
    if record.is_over:
        code = _tell_outcome(account, plan.bucket, record, strict=strict)
        say(f"{record.instance_hours(account.now()):.2f} instance-hours; {fetch}")
    else:
        say(f"'toptalkers runs{where.words}{place}' shows its state; {fetch}")
        code = int(bool(record.left_out))
    if record.is_shared:
        same = "".join(f" --input {one}" for one in inputs)
        say(
            f"the cluster {record.cluster} goes on: 'toptalkers run-emr{where.words} --region {account.region}{same}"
            f" --cluster {record.cluster}' asks it another question; {way_to_end(account.region, record.cluster)}"
            " ends it now"
        )
    ctx.exit(code)


def _tell_better(
    plan: "RunPlan", one: "OneInstance", query: Query, top: int, inputs: tuple[str, ...], origin: "Origin"
) -> str:
    """Write that one instance is the better way, and the commands for it."""
    from toptalkers.cli.again import local_command
    from toptalkers.question.digest import is_digest
    from toptalkers.runs.cluster.sizing import format_minutes
    from toptalkers.visible import visible

    paths = inputs or tuple(
        f"s3://{plan.bucket}/{root}"
        for root in (locations.CAPTURED, locations.DIRECT)
        if any(uri.startswith(f"s3://{plan.bucket}/{root}") for uri in plan.input.uris)
    )
    package, output = "toptalkers", "talkers.tsv.gz"
    if is_digest(query):
        package, output = "'toptalkers[parquet]'", "digest.parquet"
    command = local_command(query, paths, plan.region, origin=origin, top=top, output=output)
    profile = plan.site.instance_profile.rpartition("/")[2]
    return (
        f"One instance is the better way: {one.instance_type} takes about {format_minutes(one.minutes)}"
        f" and ${one.dollars:,.2f} for the same answer. Start it in {plan.region} with Amazon Linux 2023 and the"
        f" instance profile {visible(profile)}, and on it:\n"
        "  cd && sudo dnf install -y python3.11-pip\n"
        f"  python3.11 -m pip install {package}\n"
        f"  python3.11 -m {visible(command)}\n"
        f"  aws s3 cp {output} s3://{plan.bucket}/{locations.RUNS}"
    )


def _tell_outcome(account: "Account", bucket: str, record: "RunRecord", *, strict: "Collection[Doubt]") -> int:
    """Show what a run counted and left out. Returns the exit code."""
    from toptalkers.answer.answer import Answer, Tally, quality_of
    from toptalkers.answer.outcome import describe_outcome, notes_of_format
    from toptalkers.answer.parts import fetch_answer
    from toptalkers.cli.again import reason_command
    from toptalkers.runs.left_out import name_left_out
    from toptalkers.runs.outcome import tally_of

    counters = tally_of(account, bucket, record)
    tally = Tally.from_counters(counters, files_read=record.input_objects, files_unreadable=len(record.left_out))
    prefix, lines = locations.answer_prefix(record.run_id), record.query.lines
    first = next(fetch_answer(account.storage, bucket, prefix, top=1, lines=lines), b"")
    answer = Answer(record.query, (), tally, quality=quality_of(record.query, counters))
    for one in name_left_out(
        account.storage, record.inputs, counters, lambda uris: reason_command(record.query, uris, account.region)
    ):
        say(f"left out: {one}")
    for note in notes_of_format(record.query, answer.quality):
        say(f"Note: {note}")
    say_lines(describe_outcome(counters, tally, is_empty=not first))
    return _tell_quality(answer, strict)


def _tell_quality(answer: "Answer", strict: "Collection[Doubt]") -> int:
    """Show how well the numbers of an answer hold, and name the doubts that fail it. Returns the exit code."""
    from toptalkers.answer.doubts import find_doubts
    from toptalkers.answer.outcome import exit_code
    from toptalkers.answer.statement import format_quality

    if statement := format_quality(answer):
        say_lines(statement)
    doubts = find_doubts(answer.query, answer.tally, answer.quality, strict)
    for one in doubts:
        say(f"Error: --strict: {one}")
    return exit_code(answer.tally, doubts)


class _LiveLine:
    """Prints lines, and on a terminal below them one that is replaced."""

    def __init__(self) -> None:
        self._is_live = is_terminal(sys.stderr)

    def clear(self) -> None:
        if self._is_live:
            clear_line()

    def say(self, text: str) -> None:
        self.clear()
        say(text)

    def look(self, text: str) -> None:
        if self._is_live:
            say_over(text)


def _ask(what: str) -> Literal["leave", "terminate"]:
    """Ask whether to leave a run alone, which is described; it is terminated without an answer or a terminal."""
    if last_signal() not in (None, signal.SIGINT) or not is_terminal(sys.stdin):
        return "terminate"
    say(what)
    try:
        leave = agrees("Leave it running?")
    except click.Abort:
        leave = False
    return "leave" if leave else "terminate"


_SITE_OF_NEW = tuple(name for name in SITE_OPTIONS if name not in ("stack_name", "bucket"))

_OF_ACCOUNT = ("region", "profile", "assume_role", "external_id")

_ONLY_FOR_EMR = (
    *SITE_OPTIONS,
    "from_accounts",
    "from_regions",
    "skip_unreadable",
    "cluster_id",
    "no_wait",
    "dry_run",
    *_OF_ACCOUNT,
)


def _refuse_given(ctx: click.Context, names: Collection[str], why: str, other: str) -> None:
    """Raise UsageError for parameters on the command line that do not go with another option."""
    from toptalkers.errors import UsageError

    asks_aws = ctx.params.get("log_format") == "auto"  # which needs the account
    for param in ctx.command.params:
        name = param.name or ""
        is_given = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if is_given and name in names and not (asks_aws and name in _OF_ACCOUNT):
            raise UsageError(f"{param.opts[0]}: {why}, not with {other}", hint=f"leave out {param.opts[0]} or {other}")


def _run_on_hadoop(query: Query, top: int, inputs: tuple[str, ...], *, strict: "Collection[Doubt]") -> int:
    from toptalkers.answer.formats import format_answer, format_tally
    from toptalkers.answer.outcome import describe_misfits
    from toptalkers.answer.output import write_output
    from toptalkers.engines.hadoop_cluster import count_on_cluster
    from toptalkers.errors import UsageError

    if not inputs:
        raise UsageError("--hadoop-cluster needs an --input", hint="for example --input hdfs:///flowlogs/")
    answer = count_on_cluster(query, inputs, top=top)
    write_output(format_answer(answer), None)
    if answer.tally.misfits:
        say(describe_misfits(answer.tally))
    say_lines(format_tally(answer.tally))
    return _tell_quality(answer, strict)
