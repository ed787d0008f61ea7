"""Commands with many options: their help has sections, each for one purpose."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from toptalkers.errors import UsageError

QUESTION_SECTIONS: Mapping[str, Sequence[str]] = {
    "Question": (
        "by",
        "metric",
        "count",
        "pairs",
        "address",
        "where",
        "ports",
        "action",
        "since",
        "until",
        "log_format",
        "top",
        "format",
        "show",
    ),
    "Input": ("inputs", "manifest", "from_accounts", "from_regions", "skip_unreadable", "cache"),
    "Schedule": ("at", "topic", "email", "upload", "kms_key"),
    "Where": ("stack_name", "bucket", "region", "profile", "assume_role", "external_id"),
    "Cluster": (
        "instance_type",
        "primary_type",
        "core",
        "task",
        "vpc_nodes",
        "max_nodes",
        "spot",
        "release",
        "configurations",
        "tags",
        "keep_alive",
        "cluster_id",
        "hadoop_cluster",
    ),
    "Roles and network": (
        "service_role",
        "instance_profile",
        "security_configuration",
        "subnets",
        "primary_security_group",
        "node_security_group",
        "service_security_group",
        "key_name",
    ),
    "Run": ("engine", "keep_aggregate", "keep_all_ports", "no_wait", "strict", "tolerate"),
}
"""The sections of all commands that ask a question, with the parameters in each; a command has some of them."""


class SectionedCommand(click.Command):
    """A command whose help has its options in sections."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]] = QUESTION_SECTIONS, **rest: Any) -> None:
        """Take the names of parameters by the titles of their sections."""
        super().__init__(*args, **rest)
        self._sections = sections

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; UsageError for a second --where: of other options the last one counts, as usual."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        if [one.name for one in given].count("where") > 1:
            raise UsageError("--where is given twice", hint="join the expressions: --where '(...) and (...)'")
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that have options, and at the end the options that no section has."""
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        records = {one.name: record for one in options if (record := one.get_help_record(ctx))}
        sections = {
            title: [records.pop(name) for name in names if name in records] for title, names in self._sections.items()
        }
        for title, found in {**sections, "Options": list(records.values())}.items():
            if found:
                with formatter.section(title):
                    formatter.write_dl(found)
