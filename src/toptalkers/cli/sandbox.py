"""`toptalkers sandbox`: a whole AWS on this machine, for trials and tests."""

from pathlib import Path

import click

from toptalkers.cli.talk import say


@click.group()
def sandbox() -> None:
    """Run commands against an AWS on this machine instead of the real one.

    Needs `pip install 'toptalkers[sandbox]'`.

    \b
    Example:
      toptalkers sandbox run -- toptalkers deploy --yes
    """


@sandbox.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option(
    "--auth", is_flag=True, help="Enforce IAM for all roles and users; without it, for the roles of clusters only."
)
@click.option(
    "--logs", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Keep the logs of the sandbox in DIR, an empty or new folder, which only you can read.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Show only what the command prints.")
@click.pass_context
def run(ctx: click.Context, *, command: tuple[str, ...], auth: bool, logs: Path | None, quiet: bool) -> None:
    """Run COMMAND with a local AWS around it, which is stopped and deleted when COMMAND ends.

    The exit code is that of COMMAND. Like every AWS tool, COMMAND finds the local AWS through its environment
    (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_EMR and credentials made for this run). Requests without these
    credentials are refused: other users of this machine and web pages are kept out.

    It refuses what AWS would refuse: a stack without its capability, more than twice the shards, clusters whose
    service role may not use their network, steps whose nodes may not use a bucket. An account's ID as access key,
    with the secret of this run, is the root user of that account.

    TOPTALKERS_SANDBOX_FAULT, or a tag `sandbox:fault` on a cluster, makes clusters fail: step-failure,
    bootstrap-failure, no-capacity, no-permission, invalid-subnet, no-spot-role, never-starts, throttling,
    expired-credentials, late-logs; quota:8 lets the account run only 8 vCPUs.

    \b
    Example:
      toptalkers sandbox run -- bash demo.sh
      toptalkers sandbox run -- bash
    """
    from toptalkers.sandbox.run import run_in_sandbox

    ctx.exit(run_in_sandbox(command, enforce_iam=auth, logs_dir=logs, say=(lambda _: None) if quiet else say))


@sandbox.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--stream", metavar="NAME", help="The stream; by default, that of the stack.")
@click.option(
    "--stack-name", default="toptalkers", show_default=True, metavar="NAME", help="The stack whose stream to use."
)
@click.option("--wait", is_flag=True, help="Wait until every record is in S3.")
@click.option(
    "--retry", is_flag=True,
    help="Send every batch to the function a second time, as Kinesis does when an answer was lost; implies --wait.",
)  # fmt: skip
@click.option("--poison", type=click.IntRange(min=0), default=0, metavar="N", help="Add N unreadable records.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=120, show_default=True, metavar="S", help="Seconds to wait."
)
def replay(
    *, paths: tuple[str, ...], stream: str | None, stack_name: str, wait: bool, retry: bool, poison: int, timeout: float
) -> None:
    """Put flow-log files on the stack's stream, as CloudWatch Logs would.

    PATH is a file, a folder or a glob. Records must be in the stack's format, the only one on its stream.

    \b
    Example:
      toptalkers sandbox replay sample/ --wait
    """
    from toptalkers.cli.progress import progress_bar
    from toptalkers.sandbox import replay as replaying

    clients = replaying.sandbox_clients()
    target = replaying.find_target(clients, stream or replaying.find_stream(stack_name))
    with progress_bar("putting", None, unit="records") as on_records:
        report = replaying.replay(
            paths, clients, target, poison=poison, retry=retry, wait=wait, timeout_s=timeout, on_records=on_records
        )
    say(
        f"{report.records:,} records from {report.files:,} files in {report.envelopes:,} envelopes,"
        f" {report.probes:,} probes, {len(report.poison):,} unreadable"
    )
    if wait or retry:
        say(f"{len(report.objects):,} objects in s3://{target.bucket}/")
    if retry:
        say(f"{report.retried:,} batches sent a second time")
