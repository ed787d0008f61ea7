"""`toptalkers render`: the requests to AWS as files, to read or to use with other tools."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toptalkers.cli.options import (
    cluster_options,
    cluster_site_options,
    job_query_options,
    open_account,
    output_option,
    read_cluster_options,
    region_options,
    stack_name_option,
)
from toptalkers.cli.sections import SectionedCommand
from toptalkers.cli.sources import input_option, origin_options
from toptalkers.cli.talk import say, say_lines
from toptalkers.permissions import COMMANDS
from toptalkers.question.query import Query

if TYPE_CHECKING:
    from toptalkers.records.wanted import Origin
    from toptalkers.runs.site import SiteOptions


@click.group()
def render() -> None:
    """Write the requests that other commands send to AWS.

    \b
    Example:
      toptalkers render template > toptalkers.json
    """


@render.command()
@output_option
def template(*, output: Path | None) -> None:
    """Write the CloudFormation template of the capture chain.

    \b
    Example:
      toptalkers render template > toptalkers.json
      aws cloudformation create-stack --stack-name toptalkers --template-body file://toptalkers.json \\
          --capabilities CAPABILITY_NAMED_IAM --retain-except-on-create
    """
    from toptalkers.answer.output import write_output
    from toptalkers.capture.template import render_template

    write_output([render_template().encode()], output)


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of an example run."""
    for option in (
        click.option("--bundle", metavar="PREFIX", help="Where the scripts are.  [default: code/<their hash>/]"),
        click.option("--run-id", default="20261123T181500Z-4f2a", show_default=True, metavar="ID", help="The run."),
        click.option(
            "--bucket", default="toptalkers-123456789012", show_default=True, metavar="NAME", help="The stack's bucket."
        ),
    ):
        command = option(command)
    return command


@render.command(cls=SectionedCommand)
@job_query_options
@_run_options
@output_option
def steps(*, query: Query, top: int, bucket: str, run_id: str, bundle: str | None, output: Path | None) -> None:
    """Write the steps of a run, as `aws emr create-cluster --steps` takes them.

    \b
    Example:
      toptalkers render steps --ports 443 --bucket my-bucket > steps.json
      aws emr create-cluster --steps file://steps.json ...
    """
    from toptalkers.answer.output import write_output
    from toptalkers.job.steps import render_steps
    from toptalkers.runs.cluster.request import example_run

    folder, kernels = (bundle, ()) if bundle else _own_bundle()
    planned, _ = example_run(query, top=top, bucket=bucket, run_id=run_id, bundle=folder, kernels=kernels)
    write_output([render_steps(planned).encode()], output)


@render.command(cls=SectionedCommand)
@job_query_options
@_run_options
@output_option
def cluster(*, query: Query, top: int, bucket: str, run_id: str, bundle: str | None, output: Path | None) -> None:
    """Write the whole request for a run's cluster, as boto3's run_job_flow takes it.

    `run-emr --dry-run` writes the real one, with the names of the stack.

    \b
    Example:
      toptalkers render cluster --bucket my-bucket > cluster.json
    """
    from toptalkers.answer.output import write_output
    from toptalkers.runs.cluster.request import example_run, render_request

    folder, kernels = (bundle, ()) if bundle else _own_bundle()
    _, request = example_run(query, top=top, bucket=bucket, run_id=run_id, bundle=folder, kernels=kernels)
    write_output([render_request(request).encode()], output)


@render.command(cls=SectionedCommand)
@job_query_options
@input_option
@origin_options
@click.option("--at", default="02:30", show_default=True, metavar="HH:MM", help="When to run, in UTC.")
@click.option("--topic", metavar="ARN", help="The SNS topic to tell of a failure.  [default: the schedule's own]")
@click.option("--email", metavar="ADDRESS", help="Subscribe this address to the schedule's own topic.")
@click.option("--upload", is_flag=True, help="Upload the scripts, which every run needs.")
@click.option("--kms-key", metavar="ARN", help="The key that encrypts the bucket.  [default: the stack's]")
@cluster_site_options
@cluster_options
@region_options
@output_option
def schedule(
    *,
    query: Query,
    top: int,
    inputs: tuple[str, ...],
    at: str,
    topic: str | None,
    email: str | None,
    upload: bool,
    kms_key: str | None,
    where: "SiteOptions",
    origin: "Origin",
    region: str | None,
    profile: str | None,
    output: Path | None,
    **cluster: Any,
) -> None:
    """Write a CloudFormation template that asks the question about yesterday, every night.

    It has a schedule, a state machine that sends the request of `run-emr`, and an SNS topic that is told when there
    is no answer. The cluster is as large as yesterday's flow logs need, so there must be some: render it again when
    they have grown, or when there are flow logs of another account or Region.

    \b
    Example:
      toptalkers render schedule --metric bytes --email ops@example.com --upload > nightly.json
      aws cloudformation deploy --template-file nightly.json --stack-name toptalkers-nightly \\
          --capabilities CAPABILITY_IAM
    """
    from toptalkers.answer.output import write_output
    from toptalkers.capture.our_stack import require_own
    from toptalkers.errors import UsageError
    from toptalkers.render.schedule import (
        Nightly,
        key_of,
        parse_at,
        plan_schedule,
        render_schedule,
        token_of,
        trees_of,
        yesterday_of,
    )
    from toptalkers.runs.plan import format_plan, plan_run
    from toptalkers.runs.site import find_site
    from toptalkers.runs.watch import is_uploaded, upload_bundle

    if topic and email:
        raise UsageError("--topic and --email both say who is told", hint="subscribe the address to your topic")
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise UsageError(f"--email: {email!r} is not an address", hint="like ops@example.com")
    parse_at(at)
    account = open_account(region=region, profile=profile)
    question = yesterday_of(query, account.now())
    site = find_site(account, where)
    stack = None if where.bucket else require_own(account, where.stack_name)
    parameters = stack.parameters if stack else {}
    plan = plan_run(
        account,
        site,
        question,
        top=top,
        inputs=inputs,
        origin=origin,
        options=read_cluster_options(cluster),
        token=token_of(site, query, top, (*inputs, str(origin))),
    )
    trees = trees_of(account.storage, plan)
    nightly = Nightly(
        at=at,
        topic=topic or "",
        email=email or "",
        kms_key=kms_key or (key_of(account, stack) if stack else ""),
        role_path=parameters.get("RolePath") or "/",
        boundary=parameters.get("PermissionsBoundaryArn", ""),
    )
    template = plan_schedule(plan, site, trees, nightly)
    say("Every night it does what 'toptalkers run-emr' would do today:")
    say_lines(format_plan(plan))
    for note in site.notes:
        say(f"Note: {note}")
    for tree in trees:
        say(f"Note: it reads the folders of dates in {tree}, and no others")
    if not (topic or email):
        say("Note: nobody is told of a failure until somebody subscribes to its topic; --email ADDRESS does that")
    if upload:
        upload_bundle(account.storage, plan.bucket, plan.bundle, say)
    elif not is_uploaded(account.storage, plan.bucket, plan.bundle):
        say(f"Note: the scripts are not yet in s3://{plan.bucket}/{plan.bundle}; --upload puts them there")
    write_output([render_schedule(template).encode()], output)
    region_words = f" --region {region}" if region else ""
    say(
        f"Deploy it: aws cloudformation deploy{region_words} --template-file {output or 'FILE'}"
        f" --stack-name {where.stack_name}-nightly --capabilities CAPABILITY_IAM"
    )


@render.command(cls=SectionedCommand)
@job_query_options
@input_option
@click.option(
    "--only", type=click.Choice(["tables", "question"]), help="Write one of the two, for a program that runs it."
)
@stack_name_option
@region_options
@output_option
def athena(
    *,
    query: Query,
    top: int,
    inputs: tuple[str, ...],
    only: str | None,
    stack_name: str,
    region: str | None,
    profile: str | None,
    output: Path | None,
) -> None:
    """Write the question as SQL for Amazon Athena, with the tables that it needs.

    The tables are over the stack's flow logs, or over those below --input. Accounts and Regions are those that have
    flow logs there now. The answer is that of the other commands: the key, then the sums. Networks in --by, IPv6
    addresses in --where, --count once and --pairs are refused.

    \b
    Example:
      toptalkers render athena --metric bytes --top 20 --since 2026-11-23T00:00:00Z
      toptalkers render athena --by hour,dstaddr --metric bytes,records --where 'not src net 10.0.0.0/8'
      toptalkers render athena --input s3://central-logs/AWSLogs/ --only tables
      aws athena start-query-execution --query-execution-context Database=default \\
          --query-string "$(toptalkers render athena --top 20 --only question)" --work-group primary
    """
    from toptalkers.answer.output import write_output
    from toptalkers.capture.our_stack import require_own
    from toptalkers.flowlog.layout import parse_log_format
    from toptalkers.render.athena import (
        check_question,
        find_tables,
        question_sql,
        render_athena,
        stack_places,
        table_name,
        table_sql,
    )

    check_question(query)
    account = open_account(region=region, profile=profile)
    if inputs:
        tables = find_tables(account.storage, inputs, prefix="toptalkers", layout=query.log_format)
    else:
        stack = require_own(account, stack_name)
        days = stack.records_expire_days
        tables = find_tables(
            account.storage,
            stack_places(stack.bucket, has_stream=stack.has_stream),
            prefix=table_name(stack_name),
            layout=query.log_format,
            captured=parse_log_format(stack.log_format) if stack.has_stream else None,
            since=f"NOW-{days + 1}DAYS",
        )
    texts = {
        "tables": ";\n\n".join(map(table_sql, tables)) + ";\n",
        "question": question_sql(query, tables, top=top) + "\n",
        None: render_athena(tables, query, top=top),
    }
    write_output([texts[only].encode()], output)


partition_option = click.option(
    "--partition",
    default="aws",
    type=click.Choice(["aws", "aws-cn", "aws-us-gov"]),
    show_default=True,
    help="The part of AWS.",
)


@render.command()
@click.argument("commands", nargs=-1, type=click.Choice(COMMANDS), metavar="[COMMAND]...")
@stack_name_option
@click.option("--bucket", default="", metavar="NAME", help="The bucket.  [default: those named after the stack]")
@click.option("--read-bucket", "read_buckets", multiple=True, metavar="NAME", help="Another bucket that is read.")
@click.option("--role", "roles", multiple=True, metavar="NAME", help="A role for EMR.  [default: the stack's]")
@click.option("--cloudformation-role", default="", metavar="ARN", help="The role that CloudFormation takes, if any.")
@click.option("--account", default="*", metavar="ID", help="The number of the account.  [default: any]")
@click.option("--aws-region", "region", default="*", metavar="NAME", help="The Region.  [default: any]")
@partition_option
@output_option
def permissions(
    *,
    commands: tuple[str, ...],
    stack_name: str,
    bucket: str,
    read_buckets: tuple[str, ...],
    roles: tuple[str, ...],
    cloudformation_role: str,
    account: str,
    region: str,
    partition: str,
    output: Path | None,
) -> None:
    """Write the IAM policy that the person who types the commands needs; of all commands by default.

    With --cloudformation-role, that role makes the stack's resources, and the person only passes it.

    \b
    Example:
      toptalkers render permissions run-emr fetch-results --account 123456789012 > analyst.json
      aws iam create-policy --policy-name toptalkers-analyst --policy-document file://analyst.json
    """
    from toptalkers.answer.output import write_output
    from toptalkers.permissions import POLICY_CHARACTERS, Names, policy_of, render_policy

    names = Names(partition, region, account, stack_name, bucket, read_buckets, roles, cloudformation_role)
    text = render_policy(policy_of(commands or COMMANDS, names))
    write_output([text.encode()], output)
    size = len("".join(text.split()))
    if size > POLICY_CHARACTERS:
        say(f"IAM takes {POLICY_CHARACTERS:,} characters in a policy, and this one has {size:,}: name fewer commands")


@render.command()
@click.option("--bucket", required=True, metavar="NAME", help="The bucket that holds runs; it exists.")
@click.option("--read-bucket", "read_buckets", multiple=True, metavar="NAME", help="Another bucket that is read.")
@click.option("--read-key", "read_keys", multiple=True, metavar="ARN", help="The KMS key of such a bucket.")
@click.option("--subnet", "subnets", multiple=True, metavar="ID", help="A subnet for clusters.  [default: any]")
@click.option("--kms-key", default="", metavar="ARN", help="The key that encrypts the bucket and the nodes' disks.")
@click.option("--permissions-boundary", default="", metavar="ARN", help="Permissions boundary of the roles.")
@click.option("--role-path", default="/", metavar="PATH", help="Path of the roles.", show_default=True)
@partition_option
@output_option
def roles(
    *,
    bucket: str,
    read_buckets: tuple[str, ...],
    read_keys: tuple[str, ...],
    subnets: tuple[str, ...],
    kms_key: str,
    permissions_boundary: str,
    role_path: str,
    partition: str,
    output: Path | None,
) -> None:
    """Write a CloudFormation template of only the cluster's roles, for a security team to make.

    Its outputs are what `run-emr --service-role`, `--instance-profile` and `--security-configuration` take.

    \b
    Example:
      toptalkers render roles --bucket my-bucket --read-bucket central-logs > roles.json
      aws cloudformation deploy --stack-name toptalkers-roles --template-file roles.json \\
          --capabilities CAPABILITY_NAMED_IAM
    """
    from toptalkers.answer.output import write_output
    from toptalkers.capture.stack_plan import check_parameters
    from toptalkers.capture.template import build_template
    from toptalkers.render.roles import render_roles

    parameters = {
        "ExistingBucket": bucket,
        "ReadBuckets": ",".join(read_buckets),
        "ReadKmsKeyArns": ",".join(read_keys),
        "ClusterSubnets": ",".join(subnets),
        "KmsKeyArn": kms_key,
        "PermissionsBoundaryArn": permissions_boundary,
        "RolePath": role_path,
    }
    check_parameters(build_template()["Parameters"], parameters)
    write_output([render_roles(parameters, partition).encode()], output)


def _own_bundle() -> tuple[str, tuple[str, ...]]:
    """The folder of this installation's bundle, and the names of its kernels for nodes."""
    from toptalkers import locations
    from toptalkers.job.bundle import bundle_sha256, installed_kernels

    return locations.code_prefix(bundle_sha256()), installed_kernels()
