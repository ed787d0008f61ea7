"""`toptalkers sandbox`: a whole AWS on this machine, for trying and testing."""

from pathlib import Path

import click


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
@click.option("--auth", is_flag=True, help="Enforce IAM: roles may do only what their policies allow.")
@click.option(
    "--logs", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Keep the logs of the sandbox in DIR, an empty or new folder.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="Say nothing but what the command says.")
@click.pass_context
def run(ctx: click.Context, *, command: tuple[str, ...], auth: bool, logs: Path | None, quiet: bool) -> None:
    """Run COMMAND with a local AWS around it; all is stopped and forgotten when it ends.

    Ends with COMMAND's exit code. COMMAND finds the local AWS by its environment (AWS_ENDPOINT_URL,
    AWS_ENDPOINT_URL_EMR and credentials that open nothing), as every AWS tool does.

    TOPTALKERS_SANDBOX_FAULT, or a tag `sandbox:fault` on a cluster, makes clusters go wrong: step-failure,
    bootstrap-failure, no-capacity, never-starts, throttling, late-logs.

    \b
    Example:
      toptalkers sandbox run -- bash demo.sh
      toptalkers sandbox run -- bash
    """
    from toptalkers.sandbox.run import run_in_sandbox

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    ctx.exit(run_in_sandbox(command, enforce_iam=auth, logs_dir=logs, say=say))
