"""The group of all commands."""

import importlib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from toptalkers import __version__
from toptalkers.cli.config import NAME, VARIABLE, option_names, read_config
from toptalkers.cli.failures import FailureGroup
from toptalkers.cli.talk import say

SECTIONS = {
    "Count": ("run-local", "digest", "run-emr", "runs", "fetch-results", "diff"),
    "Name and draw": (
        "snapshot",
        "names",
        "graph",
        "report",
    ),
    "Capture": ("deploy", "enable-flowlogs", "disable-flowlogs", "status", "destroy"),
    "Try": ("sample", "sandbox", "render"),
}
"""The commands in the order of `--help`; each is in the file of its name."""

COMMANDS = tuple(name for names in SECTIONS.values() for name in names)


class CommandsByFile(FailureGroup):
    """Imports the file of a command when it is used, so that counting files does not load AWS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        del ctx
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown name is answered with similar ones."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            similar = " or ".join(repr(one) for one in get_close_matches(name, COMMANDS))
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {similar}?" if similar else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error in a value says so if the value comes from a file."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if error.option_name == "--config":
                said = "--config goes before the command: toptalkers --config FILE " + (ctx.invoked_subcommand or "")
                raise click.UsageError(said, error.ctx) from error
            raise
        except click.BadParameter as error:
            if error.ctx and error.param and error.param.name:
                source = error.ctx.get_parameter_source(error.param.name)
                if source is ParameterSource.DEFAULT_MAP:
                    said = f"{error.message.rstrip('.')}, in {ctx.meta[VARIABLE]}"
                    raise click.BadParameter(said, error.ctx, error.param, error.param_hint) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section, each with its whole first sentence."""
        width = max(map(len, COMMANDS))
        for section, names in SECTIONS.items():
            with formatter.section(section):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name.ljust(width), one.get_short_help_str(1000)) for name, one in commands if one])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"toptalkers.cli.{name}"), name)
        return command


@click.group(cls=CommandsByFile, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar=VARIABLE,
    metavar="FILE",
    help=f"Take options from FILE.  [default: {NAME} in the current folder, if there is one]",
)
@click.pass_context
def cli(ctx: click.Context, /, *, config: Path | None) -> None:
    """Top talkers from VPC Flow Logs: who talks to whom, on which port, and how much.

    \b
    Example:
      toptalkers run-local flowlogs/ --metric bytes --top 10

    \b
    Exit codes:
      0  done
      1  failed, or something was left out, as standard error says
      2  wrong usage; nothing was done
      3  the job on the cluster failed
      129, 130, 143  stopped by SIGHUP, Ctrl-C, SIGTERM; temporary files are gone

    \b
    Options that need not be typed, in toptalkers.toml (options on the command line win):
      region = "eu-central-1"        # for every command that has --region
      [run-emr]                      # for this command
      subnet = ["subnet-0123456789abcdef0"]

    \b
    Environment:
      TOPTALKERS_CONFIG=FILE  like --config FILE
      TOPTALKERS_DEBUG=1      show the traceback of an error
      TOPTALKERS_PURE=1       count in Python, without the compiled kernel (slow)

    \b
    Completion in bash (in zsh and fish: zsh_source, fish_source):
      eval "$(_TOPTALKERS_COMPLETE=bash_source toptalkers)"
    """
    path = config or Path(NAME)
    if config is None and not path.is_file():
        return
    ctx.meta[VARIABLE] = path
    ctx.default_map = read_config(path, cli, ctx)
    name = ctx.invoked_subcommand or ""
    command = cli.get_command(ctx, name)
    if command and (taken := option_names(command, ctx.default_map[name])):
        say(f"options from {path}: {', '.join(taken)}")
