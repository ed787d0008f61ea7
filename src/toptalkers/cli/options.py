"""Options that several commands share. Those of the question are rows of `question/clauses.py`."""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from toptalkers.answer.doubts import DOUBTS
from toptalkers.answer.presentation import FORMAT, SHOW, TOP, Presentation
from toptalkers.cli.params import OUTPUT, PAIR
from toptalkers.cli.talk import is_terminal, say
from toptalkers.errors import UsageError
from toptalkers.question.clauses import ALL_PORTS, CLAUSES, PAIRS_DEFAULTS, Clause, format_ports, parse_list
from toptalkers.question.digest import FIXED_CLAUSES, digest_texts
from toptalkers.question.key import PORT_FIELDS, SERVICE_PARTS
from toptalkers.question.query import Query

if TYPE_CHECKING:
    from toptalkers.aws.account import Account, RoleToAssume
    from toptalkers.runs.cluster.request import ClusterOptions
    from toptalkers.runs.site import SiteOptions

_Texts = dict[str, str | None]

_ON_TERMINAL = {"top": "20", "format": "table"}
"""The defaults of options when the answer goes to a terminal."""

output_option = click.option(
    "--output",
    type=OUTPUT,
    metavar="FILE",
    help="Write the answer to FILE, compressed if it ends in .gz; - is standard output.",
)


def query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a question and of its answer; it gets a `query` and a `presentation`."""
    return _with(map(_option, CLAUSES), _asking(answer_options(command)))


def compared_query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a question whose answers are compared; it gets a `query` and a `presentation`."""
    return _with(map(_option, CLAUSES), _asking(answer_options(command, shows=False)))


def job_query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a question whose answer is kept; it gets a `query`, and `top`, 0 for all.

    If it has an option `--digest`, which is given, the question is that of a digest.
    """

    @functools.wraps(command)
    def with_top(*args: Any, top: str, **given: Any) -> Any:
        return command(*args, top=0 if given.get("digest") else TOP.value(top), **given)

    return _with(map(_option, (*CLAUSES, TOP)), _asking(with_top, _job_texts))


def _job_texts(**texts: str | None) -> _Texts:
    """The texts of a question for a cluster: with `--digest`, those of a digest's."""
    context = click.get_current_context()
    if not context.params.get("digest"):
        return texts
    for name in (*FIXED_CLAUSES, TOP.name):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            why = "a digest has a key and sums of its own, and all rows"
            if name in ("count", "pairs", "address"):
                why = "a digest keeps what it needs for this; ask it later"
            raise UsageError(f"--{name}: {why}", hint=f"leave out --{name}")
    is_given = {name: context.get_parameter_source(name) is not ParameterSource.DEFAULT for name in texts}
    return digest_texts(**{name: text for name, text in texts.items() if is_given[name]})


def digest_query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a digest's question, whose key and sums are fixed; it gets a `query`."""
    fixed = digest_texts()
    options = [
        _option(replace(clause, default=fixed.get(clause.name)))
        for clause in CLAUSES
        if clause.name not in FIXED_CLAUSES
    ]
    return _with(options, _asking(command, digest_texts))


PICTURE_DEFAULTS = {"metric": "bytes,records", "ports": "all"}
"""The texts of the clauses that have another default for a picture or a report."""


def picture_query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a question whose key it chooses itself; it gets a `query`."""
    clauses = [clause for clause in CLAUSES if clause.name != "by"]
    options = [
        _option(replace(clause, default=PICTURE_DEFAULTS.get(clause.name, clause.default))) for clause in clauses
    ]
    return _with(options, _asking(command))


def report_query_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a question whose key and sums it chooses itself; it gets a `query`."""
    defaults = {"ports": "all", "action": "ALL"}
    clauses = [clause for clause in CLAUSES if clause.name not in ("by", "metric", "pairs")]
    return _with(
        [_option(replace(clause, default=defaults.get(clause.name, clause.default))) for clause in clauses],
        _asking(command),
    )


def answer_options(command: Callable[..., Any], *, shows: bool = True) -> Callable[..., Any]:
    """Give a command `--top`, `--format`, `--show`; it gets a `presentation`, which depends on who reads the answer.

    Without `shows` there is no `--show`.
    """

    @functools.wraps(command)
    def with_presentation(
        *args: Any,
        top: str | None,
        format: str | None,  # noqa: A002 - as named
        show: str | None = None,
        **given: Any,
    ) -> Any:
        if given.get("output") is None and is_terminal(sys.stdout):
            top = _ON_TERMINAL["top"] if top is None else top
            format = _ON_TERMINAL["format"] if format is None else format  # noqa: A001 - as named
        return command(*args, presentation=Presentation.parse(top=top, format=format, show=show), **given)

    return _with([*map(_answer_option, (TOP, FORMAT)), *([_option(SHOW)] if shows else [])], with_presentation)


def _option(clause: Clause) -> Callable[..., Any]:
    if clause.is_flag:
        # Without the second name, nothing could undo what is set in toptalkers.toml.
        return click.option(f"{clause.option}/--no-{clause.name}", is_flag=True, help=clause.help)
    return click.option(
        clause.option,
        metavar=clause.metavar,
        default=clause.default,
        show_default=clause.default is not None,
        help=clause.help,
    )


def _answer_option(clause: Clause) -> Callable[..., Any]:
    default = f"  [default: {_ON_TERMINAL[clause.name]} on a terminal, else {clause.default}]"
    return click.option(clause.option, metavar=clause.metavar, help=clause.help + default)


def _with(options: Iterable[Callable[..., Any]], command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(list(options)):
        command = option(command)
    return command


def _asking(command: Callable[..., Any], complete: Callable[..., _Texts] = dict) -> Callable[..., Any]:
    """Pass a command the checked `query` instead of its texts, to which `complete` adds those without an option."""

    @functools.wraps(command)
    def with_query(*args: Any, **given: Any) -> Any:
        texts = complete(**_texts_of(given))
        if texts.get("log_format") == "auto":
            window = Query.parse(since=texts.get("since"), until=texts.get("until"))
            texts["log_format"] = _ask_for_log_format(given, window)
        query = Query.parse(**texts)
        if query.is_named:
            _check_named(query)
        for line in (*_notes_of_defaults(query), *_notes_of_directions(query), *_notes_of_legs(query)):
            say(line)
        return command(*args, query=query, **given)

    return with_query


def _check_named(query: Query) -> None:
    """Refuse a question with named parts for a command that has no names."""
    command = click.get_current_context().command
    if any(param.name == "names" for param in command.params):
        return
    from toptalkers.question.named import LOSSLESS_KEY, is_named

    word = next(filter(is_named, query.by))
    key = [one for one in LOSSLESS_KEY if not (query.count == "once" and one == "interface-id")]
    way = "--pairs" if query.pairs else f"--by {','.join(key)}"
    raise UsageError(
        f"--by {word}: names are joined after counting, not by '{command.name}'",
        hint=f"ask with {way}, then 'toptalkers fetch-results --names FILE --by {','.join(query.by)}'",
    )


def _texts_of(given: dict[str, Any]) -> _Texts:
    """Take the texts of a question from a command's parameters, which lose them.

    With `--pairs`, an option that was not given has another default than its own.
    """
    texts = {clause.name: given.pop(clause.name) for clause in CLAUSES if clause.name in given}
    for clause in CLAUSES:
        if clause.is_flag and clause.name in texts:
            texts[clause.name] = "yes" if texts[clause.name] else None
    if texts.get("pairs"):
        texts |= {name: None for name in PAIRS_DEFAULTS if name in texts and _is_default(name)}
    return texts


def _notes_of_defaults(query: Query) -> Iterator[str]:
    """Say that `--ports` or `--action` was not given, if `--where` asks for records that its default leaves out."""
    if query.where is None:
        return
    where, fields = query.where, set(query.where.fields)
    names_ports = bool(fields & {*PORT_FIELDS, *SERVICE_PARTS}) and query.ports != ALL_PORTS
    if names_ports and _is_default("ports") and where.can_hold_above("dstport", query.ports[-1][1]):
        yield f"Note: --ports {format_ports(query.ports)} applies, too (the default); --ports all counts every port"
    others = {"ACCEPT", "REJECT", "-"} - {query.action}
    names_action = "action" in fields and query.action != "ALL"
    if names_action and _is_default("action") and where.can_hold("action", *others):
        yield f"Note: --action {query.action} applies, too (the default); --action ALL counts every action"


def _notes_of_directions(query: Query) -> Iterator[str]:
    """Say that `--where` looks at one side of records, if an answer is asked that has both directions."""
    if query.where is None or not query.pairs:
        return
    fields = set(query.where.fields)
    for field, other, words in _SIDES:
        if len({field, other} & fields) == 1:
            one = field if field in fields else other
            yield f"Note: --where looks at {one} alone, so one direction may be missing; {words} look at both sides"


def _notes_of_legs(query: Query) -> Iterator[str]:
    """Say that `--where` may leave out the records that tell which legs a gateway translated."""
    if query.where is None or query.count != "once" or not query.uses_packet_addresses:
        return
    fields = set(query.where.fields)
    if fields & {"srcaddr", "dstaddr"} and not fields & {"pkt-srcaddr", "pkt-dstaddr"}:
        yield (
            "Note: --where looks at the addresses that interfaces saw: of an address behind a NAT gateway it finds what"
            " the gateway sent on, too, and that is counted again; test pkt-srcaddr and pkt-dstaddr as well, or choose"
            " lines of the whole answer"
        )


_SIDES = (
    ("srcport", "dstport", "'port' and --ports"),
    ("srcaddr", "dstaddr", "'host' and 'net'"),
)


def _is_default(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.DEFAULT


def _ask_for_log_format(given: Mapping[str, Any], query: Query) -> str:
    """Take the format of the flow log that wrote the command's input, of the question's time."""
    from toptalkers.records.files import read_manifest
    from toptalkers.records.wanted import Origin, Wanted
    from toptalkers.runs.input.log_format import find_log_format

    if "region" not in given:
        raise UsageError("--log-format auto asks AWS, which this command does not", hint="name the columns instead")
    account = open_account(region=given["region"], profile=given["profile"])
    paths = [*given.get("inputs", ()), *given.get("paths", ())]
    if given.get("manifest"):
        paths += [file.name for file in read_manifest(given["manifest"])]
    where = None if given.get("hadoop_cluster") or "stack_name" not in given else _where(given)
    origin = Origin.parse(given.get("from_accounts", ()), given.get("from_regions", ()))
    wanted = Wanted.of_records(query.since, query.until, origin)
    log_format, line = find_log_format(account, paths, where, wanted)
    say(line)
    return log_format


# --- of commands that talk to AWS ---

stack_name_option = click.option(
    "--stack-name", default="toptalkers", show_default=True, metavar="NAME", help="The CloudFormation stack."
)

_SITE = (
    click.option(
        "--bucket", metavar="NAME", help="Keep runs in this bucket, without any stack; not with --stack-name."
    ),
)

_CLUSTER_SITE = (
    click.option(
        "--service-role",
        metavar="ROLE",
        help="The role that EMR runs under.  [default: the stack's; needed with --bucket]",
    ),
    click.option(
        "--instance-profile",
        metavar="PROFILE",
        help="The instance profile of the nodes.  [default: the stack's; needed with --bucket]",
    ),
    click.option(
        "--security-configuration",
        metavar="NAME",
        help="EMR's security configuration.  [default: the stack's, or none]",
    ),
    click.option(
        "--primary-security-group",
        metavar="ID",
        help="Security group of the primary node.  [default: the stack's, or EMR's own]",
    ),
    click.option(
        "--node-security-group",
        metavar="ID",
        help="Security group of the other nodes.  [default: the stack's, or EMR's own]",
    ),
    click.option(
        "--service-security-group",
        metavar="ID",
        help="Security group of EMR's access to a private subnet.  [default: the stack's, or EMR's own]",
    ),
)


def site_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--stack-name` and `--bucket`; it gets `where`, what they say about where runs live."""
    return _with((stack_name_option, *_SITE), _placed(command))


def cluster_site_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Like `site_options`, with the roles and the security groups of new clusters."""
    return _with((stack_name_option, *_SITE, *_CLUSTER_SITE), _placed(command))


def _placed(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def with_where(*args: Any, **given: Any) -> Any:
        where = _where(given)
        return command(*args, where=where, **{name: one for name, one in given.items() if name not in SITE_OPTIONS})

    return with_where


SITE_OPTIONS = (
    "stack_name",
    "bucket",
    "service_role",
    "instance_profile",
    "security_configuration",
    "primary_security_group",
    "node_security_group",
    "service_security_group",
)
"""The parameters of `site_options` and `cluster_site_options`, as `SiteOptions` names them."""


def _where(given: Mapping[str, Any]) -> "SiteOptions":
    """Take a command's site from its parameters.

    A bucket means that there is no stack, so the two exclude each other; but one on the command line takes the place of
    the other in toptalkers.toml.
    """
    from toptalkers.runs.site import SiteOptions

    sources = {name: click.get_current_context().get_parameter_source(name) for name in SITE_OPTIONS}
    values = {name: given[name] for name in SITE_OPTIONS if given.get(name)}
    if values.get("bucket") and sources["bucket"] is sources["stack_name"]:
        raise UsageError("--bucket is for runs without a stack, and --stack-name names one", hint="give one of them")
    if sources["stack_name"] is ParameterSource.COMMANDLINE:
        aside = [name for name in values if sources[name] is ParameterSource.DEFAULT_MAP]
        if aside:
            say(f"for --stack-name, put aside: {', '.join(name.replace('_', '-') for name in aside)}")
        values = {name: one for name, one in values.items() if sources[name] is ParameterSource.COMMANDLINE}
    return SiteOptions(**values)


_CLUSTER = (
    click.option("--instance-type", metavar="TYPE", help="Type of core and task nodes.  [default: m7g.xlarge]"),
    click.option(
        "--primary-type", metavar="TYPE", help="Type of the primary node.  [default: xlarge of the same family]"
    ),
    click.option(
        "--core", type=click.IntRange(min=1), metavar="N", help="Number of core nodes.  [default: by the input's size]"
    ),
    click.option("--task", type=click.IntRange(min=0), metavar="N", help="Number of task nodes.  [default: none]"),
    click.option(
        "--vpc-nodes",
        type=click.IntRange(min=1),
        metavar="N",
        help="Task nodes for a VPC of N nodes: 160 vCPUs per 1,000.",
    ),
    click.option(
        "--max-nodes",
        type=click.IntRange(min=1),
        metavar="N",
        help="The most nodes, if their number is computed.  [default: 20]",
    ),
    click.option("--spot", is_flag=True, help="Use Spot instances, of the type or similar ones, as task nodes."),
    click.option("--release", default="emr-7.14.0", show_default=True, metavar="LABEL", help="EMR's release."),
    click.option(
        "--subnet",
        "subnets",
        multiple=True,
        metavar="ID",
        help="Subnet of the cluster; of several, EMR chooses.  [default: the stack's, or EMR's choice]",
    ),
    click.option("--key-name", metavar="NAME", help="EC2 key pair for SSH to the nodes."),
    click.option("--tag", "tags", type=PAIR, multiple=True, metavar="K=V", help="Tag the cluster."),
    click.option(
        "--configurations",
        type=click.File("rb"),
        metavar="FILE",
        help="Settings of the cluster's software: EMR's JSON list of configurations.",
    ),
    click.option("--keep-aggregate", is_flag=True, help="Keep the unsorted sums in S3 as well."),
    click.option("--keep-all-ports", is_flag=True, help="Sum all ports, and apply --ports only in the second step."),
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a new cluster; `read_cluster_options` reads them."""
    return _with(_CLUSTER, command)


def read_cluster_options(given: Mapping[str, Any]) -> "ClusterOptions":
    """Turn the values of `cluster_options`, and perhaps `keep_alive`, into options of a cluster.

    Raises:
        UsageError: the file is not a list of EMR's configurations.

    """
    from toptalkers.runs.cluster.request import ClusterOptions, parse_configurations

    file = given["configurations"]
    configurations = parse_configurations(file.read(), name=file.name) if file else ()
    return ClusterOptions(**{**given, "configurations": configurations})


_STRICT = (
    click.option(
        "--strict",
        is_flag=True,
        help="Exit code 1, after the answer, if its numbers are in doubt: malformed records, records that AWS left out"
        " (skipdata), hours without any (gaps); with --pairs, records whose server nothing tells (servers); with"
        " --count once, records that may be counted again behind a gateway (legs).",
    ),
    click.option("--tolerate", metavar="DOUBTS", help="With --strict: but not for these, such as skipdata,gaps."),
)


def strict_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--strict` and `--tolerate`; it gets `strict`, the doubts that fail it."""

    @functools.wraps(command)
    def with_doubts(*args: Any, strict: bool, tolerate: str | None, **given: Any) -> Any:
        tolerated = parse_list("--tolerate", DOUBTS, tolerate) if tolerate else ()
        if tolerated and not strict:
            raise UsageError("--tolerate is for --strict, which is not given", hint="without --strict no doubt fails")
        return command(*args, strict=tuple(one for one in DOUBTS if strict and one not in tolerated), **given)

    return _with(_STRICT, with_doubts)


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")

dry_run_option = click.option("--dry-run", is_flag=True, help="Show the plan, and change nothing.")


class Opener:
    """Opens the account of a command; a test passes another opener as click's `obj`."""

    def open(self, *, region: str | None, profile: str | None, role: "RoleToAssume | None" = None) -> "Account":
        """Open the named account and Region, or those that the AWS CLI would take; `role` is one to assume there."""
        from toptalkers.aws import account  # imports boto3

        return account.open_account(region=region, profile=profile, role=role, tell=say)


def open_account(*, region: str | None, profile: str | None) -> "Account":
    """Open the account of the options `--region`, `--profile` and `--assume-role`."""
    context = click.get_current_context()
    arn, external_id = context.meta.get(_ROLE, ""), context.meta.get(_EXTERNAL_ID, "")
    role = None
    if arn:
        from toptalkers.aws.account import RoleToAssume

        role = RoleToAssume(arn, external_id)
    elif external_id:
        raise UsageError("--external-id is for a role to assume", hint="name the role with --assume-role")
    return context.ensure_object(Opener).open(region=region, profile=profile, role=role)


_ROLE, _EXTERNAL_ID = "toptalkers.assume_role", "toptalkers.external_id"
"""The keys of the two options' values in click's context: only `open_account` needs them."""


def _keep(key: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        ctx.meta[key] = value or ""

    return keep


def region_options(command: Callable[..., Any], what: str = "AWS") -> Callable[..., Any]:
    """Give a command `--region`, `--profile` and a role to assume; it opens the account itself, with `open_account`."""
    options = [
        click.option(
            f"--{name.lower()}", metavar=name.upper(), help=f"{what} {name}.  [default: as the AWS CLI has it]"
        )
        for name in ("Region", "profile")
    ]
    role_options = [
        click.option(
            "--assume-role", metavar="ARN", expose_value=False, callback=_keep(_ROLE), help="Act as this IAM role."
        ),
        click.option(
            "--external-id",
            metavar="TEXT",
            expose_value=False,
            callback=_keep(_EXTERNAL_ID),
            help="The external id that the role demands.",
        ),
    ]
    return _with([*options, *role_options], command)


def account_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `region_options`, and pass it the `account` instead of their values."""

    @functools.wraps(command)
    def with_account(*args: Any, region: str | None, profile: str | None, **given: Any) -> Any:
        return command(*args, account=open_account(region=region, profile=profile), **given)

    return region_options(with_account)
