"""The command that gives the figures of a picture or a report again, to be pasted into a shell."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from toptalkers.question.clauses import PAIRS_DEFAULTS
from toptalkers.question.digest import digest_texts, is_digest
from toptalkers.question.key import RECIPE_KEY
from toptalkers.records.wanted import ANYWHERE, Origin

if TYPE_CHECKING:
    from toptalkers.cli.run_local import LocalOptions
    from toptalkers.question.query import Query


def command_again(query: "Query", options: "LocalOptions", *, top: int = 0, output: str = "") -> str:
    """The command that answers a question from the same files: `run-local`, or `digest` for the question of one.

    Args:
        query: the question. What is the default is left out.
        options: where the files are, and where names come from; these are left out if the key has no named part. Its
            output is that of another command.
        top: how many lines it prints, 0 for all.
        output: the name of the file for the answer; empty to print it.

    """
    defaults: Mapping[str, str | None] = PAIRS_DEFAULTS if query.pairs else {}
    if is_digest(query):
        defaults = digest_texts()
    words = ["toptalkers", "digest" if is_digest(query) else "run-local", *options.paths]
    if options.manifest:
        words += ["--manifest", str(options.manifest)]
    if options.origin != Origin():
        words += [word for one in sorted(options.origin.accounts) for word in ("--from-account", one)]
        words += [word for one in sorted(options.origin.regions) for word in ("--from-region", one)]
    for name, value in (("--region", options.region), ("--profile", options.profile)):
        if value and any(path.startswith("s3://") for path in options.paths):
            words += [name, value]
    if options.naming and query.is_named:
        words += options.naming.words()
    for clause, value in query.clauses():
        usual = clause.value(defaults.get(clause.name))
        if clause.name == "by" and query.pairs and value == RECIPE_KEY:
            continue
        if value != usual:
            words += [clause.option] if clause.is_flag else [clause.option, clause.format(value)]
    if output:
        words += ["--output", output]
    if top or not output:
        words += ["--top", str(top)]
    return shlex.join(words)


def local_command(
    query: "Query",
    paths: Sequence[str],
    region: str,
    *,
    profile: str | None = None,
    origin: Origin = ANYWHERE,
    top: int = 0,
    output: str = "",
) -> str:
    """The command that asks objects in S3, on one machine, what a cluster was asked; `top` and `output` as above."""
    from toptalkers.cli.run_local import LocalOptions

    options = LocalOptions(
        tuple(paths),
        output=None,
        engine="local",
        manifest=None,
        cache=None,
        region=region,
        profile=profile,
        strict=(),
        origin=origin,
    )
    return command_again(query, options, top=top, output=output)


def reason_command(query: "Query", paths: Sequence[str], region: str) -> str:
    """The command that says why a cluster left out objects: it asks the same question, with this command's profile."""
    context = click.get_current_context(silent=True)
    profile = context.params.get("profile") if context else None
    if is_digest(query):
        return local_command(query, paths, region, profile=profile, output="digest.parquet")
    return local_command(query, paths, region, profile=profile, top=1)


def commands_of_view(query: "Query", options: "LocalOptions", by: str, *, top: int = 0) -> str:
    """The command that gives the figures of one view of a network, a line for each if there are two.

    With `--count once --pairs --action ALL` there are two, for accepted and for rejected records.
    """
    from toptalkers.picture.network import ADDRESS_VIEW, key_of_view, picture_question

    key = RECIPE_KEY if query.pairs and by == ADDRESS_VIEW else key_of_view(by, query)
    queries = [replace(query, by=key)]
    if query.pairs and query.action == "ALL" and not picture_question(query).pairs:
        queries = [replace(queries[0], action="ACCEPT"), replace(queries[0], action="REJECT")]
    return "\n".join(command_again(one, options, top=top) for one in queries)
