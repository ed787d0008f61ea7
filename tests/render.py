"""Files that are generated from the code and checked in: `python -m tests.render` writes them, tests compare them."""

from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]


def cli_reference() -> str:
    """Render docs/cli.md: the help of every command."""
    from toptalkers.cli.main import cli

    parts = ["# Commands\n\nWritten by `python -m tests.render` from the commands' own help.\n"]

    def add(command: click.Command, path: str, parent: click.Context | None) -> None:
        # A terminal of 100 columns, of which click leaves two free.
        settings: dict[str, Any] = {**command.context_settings, "terminal_width": 98}
        ctx = click.Context(command, info_name=path.rsplit(maxsplit=1)[-1], parent=parent, **settings)
        parts.append(f"## {path}\n\n```text\n{command.get_help(ctx).rstrip()}\n```\n")
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                subcommand = command.get_command(ctx, name)
                assert subcommand is not None
                add(subcommand, f"{path} {name}", ctx)

    add(cli, "toptalkers", None)
    return "\n".join(parts)


_PERMISSIONS = """# What the person who types needs

`toptalkers render permissions [COMMAND]` prints these as IAM policies, ready for `aws iam create-policy`, with the
names of your account. The tests compare each call of each command with its policy. Resources are of the stack
`toptalkers`; Region and account are `*`.
"""


def permissions() -> str:
    """Render docs/permissions.md: the policy of each command, as a table of actions and resources."""
    from toptalkers.permissions import COMMANDS, Names, policy_of

    parts = [_PERMISSIONS]
    for name in COMMANDS:
        parts += [f"## {name}\n", "| actions | on |", "|---|---|"]
        for one in policy_of([name], Names())["Statement"]:
            condition = "".join(
                f", only for `{'` and `'.join([value] if isinstance(value, str) else value)}`"
                for test in one.get("Condition", {}).values()
                for value in test.values()
            )
            on = "<br>".join(f"`{resource}`" for resource in one["Resource"])
            parts.append(f"| {', '.join(f'`{action}`' for action in one['Action'])} | {on}{condition} |")
        parts.append("")
    return "\n".join(parts)


def emr_examples() -> dict[Path, str]:
    """Render emr/: the steps and the request of an example run, with its scripts in `code/example/`."""
    from toptalkers.job.steps import render_steps
    from toptalkers.question.query import Query
    from toptalkers.runs.cluster.request import example_run, render_request

    steps, request = example_run(
        Query(), bucket="toptalkers-123456789012", run_id="20261123T181500Z-4f2a", bundle="code/example/"
    )
    return {ROOT / "emr/steps.json": render_steps(steps), ROOT / "emr/cluster.json": render_request(request)}


def rendered() -> dict[Path, str]:
    """Return every generated file of the repository, by its path."""
    from toptalkers.capture.template import render_template

    return {
        ROOT / "docs/cli.md": cli_reference(),
        ROOT / "docs/permissions.md": permissions(),
        ROOT / "cloudformation/toptalkers.json": render_template(),
        **emr_examples(),
    }


if __name__ == "__main__":
    for path, text in rendered().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
