"""`toptalkers deploy`: create the capture chain, or bring it up to date."""

from typing import TYPE_CHECKING, Any

import click

from toptalkers.cli.options import account_options, stack_name_option, yes_option
from toptalkers.cli.params import PAIR
from toptalkers.cli.sections import SectionedCommand
from toptalkers.cli.talk import confirm, say, say_lines, show

if TYPE_CHECKING:
    from toptalkers.aws.account import Account
    from toptalkers.capture.stack_plan import StackPlan

_PARAMETERS = {
    "shards": "Shards",
    "retention_days": "RetentionDays",
    "log_format": "LogFormat",
    "keep_days": "RecordsExpireDays",
    "alarm_topic": "AlarmTopicArn",
    "primary_security_group": "ClusterPrimarySecurityGroup",
    "node_security_group": "ClusterNodeSecurityGroup",
    "service_security_group": "ClusterServiceSecurityGroup",
    "permissions_boundary": "PermissionsBoundaryArn",
    "role_path": "RolePath",
}
"""The parameters of the stack whose values are options as they are."""

_SECTIONS = {
    "Capture": ("shards", "stream", "retention_days", "log_format", "alarm_topic"),
    "Storage": ("bucket", "keep_days", "read_buckets", "read_keys", "kms_key"),
    "Cluster": ("subnets", "primary_security_group", "node_security_group", "service_security_group"),
    "Roles": ("permissions_boundary", "role_path", "cloudformation_role"),
    "Where": ("stack_name", "region", "profile", "assume_role", "external_id"),
}


@click.command(cls=SectionedCommand, sections=_SECTIONS)
@stack_name_option
@click.option("--shards", metavar="N|on-demand", help="Shards of the stream.  [default: 1]")
@click.option(
    "--stream/--no-stream",
    default=None,
    help="Whether there is a stream. Without it, AWS delivers flow logs directly to the bucket.  [default: --stream]",
)
@click.option("--retention-days", metavar="D", help="Days that CloudWatch Logs keeps records.  [default: 1]")
@click.option(
    "--log-format",
    metavar="default|rich|'FORMAT'",
    help="The format of all flow logs on the stream.  [default: default]",
)
@click.option("--alarm-topic", metavar="ARN", help="The SNS topic that alarms notify.")
@click.option("--bucket", metavar="NAME", help="Take this bucket of the account over, instead of making one.")
@click.option("--keep-days", metavar="D", help="Days that the bucket keeps records.  [default: 7]")
@click.option(
    "--read-bucket",
    "read_buckets",
    metavar="NAME",
    multiple=True,
    help="Let clusters read this bucket, too, of any account; repeat for more.",
)
@click.option(
    "--read-key",
    "read_keys",
    metavar="ARN",
    multiple=True,
    help="Let clusters decrypt with the KMS key of such a bucket.",
)
@click.option(
    "--kms-key",
    metavar="ARN|make",
    help="Encrypt stream, logs, bucket and the disks of clusters with this key, or with one that the stack makes.",
)
@click.option(
    "--subnet", "subnets", metavar="ID", multiple=True, help="A subnet for clusters; of several, EMR chooses."
)
@click.option("--primary-security-group", metavar="ID", help="Security group of the primary node.")
@click.option("--node-security-group", metavar="ID", help="Security group of the other nodes.")
@click.option("--service-security-group", metavar="ID", help="Security group of EMR's access to a private subnet.")
@click.option("--permissions-boundary", metavar="ARN", help="Permissions boundary of all roles.")
@click.option("--role-path", metavar="PATH", help="Path of all roles, such as /team/.  [default: /]")
@click.option(
    "--cloudformation-role", metavar="ARN", help="The role that CloudFormation takes for this stack from now on."
)
@click.option("--tag", "tags", type=PAIR, multiple=True, metavar="K=V", help="Tag the stack and its resources.")
@click.option("--parameter", "parameters", type=PAIR, multiple=True, metavar="K=V", help="Any parameter of the stack.")
@click.option("--dry-run", is_flag=True, help="Create a change set, show it and delete it; deploy nothing.")
@yes_option
@account_options
def deploy(
    *,
    account: "Account",
    stack_name: str,
    tags: tuple[tuple[str, str], ...],
    parameters: tuple[tuple[str, str], ...],
    cloudformation_role: str | None,
    dry_run: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Create or update the stack that captures flow logs.

    Options that are not given keep the stack's values. The plan is a change set of CloudFormation. After a yes, it
    is executed, and its events and the stack's outputs are shown. After a no, it is deleted.

    \b
    Example:
      toptalkers deploy --region eu-central-1
      toptalkers deploy --no-stream --keep-days 30 --read-bucket central-flow-logs
      toptalkers deploy --shards 4 --tag team=network --yes
    """
    from toptalkers.aws.account import check_role
    from toptalkers.capture import stack, stack_plan
    from toptalkers.capture.bucket import format_statements, reading_statements
    from toptalkers.capture.our_stack import require_own

    given, additions = _chosen(options)
    if cloudformation_role:
        check_role(cloudformation_role, "--cloudformation-role")
    plan = stack_plan.plan_stack(
        account,
        stack_name,
        parameters=dict(parameters) | given,
        tags=dict(tags),
        additions=additions,
        role_arn=cloudformation_role or "",
    )
    if not _carry_out(account, plan, dry_run=dry_run, yes=yes):
        return
    done = require_own(account, stack_name)
    others = reading_statements(account, done, additions.get("ReadBuckets", ()), additions.get("ReadKmsKeyArns", ()))
    if others:
        say_lines(format_statements(others))
    show(stack.format_outputs(done))


def _carry_out(account: "Account", plan: "StackPlan", *, dry_run: bool, yes: bool) -> bool:
    """Show a plan, ask, and carry it out; return whether the stack is now as it is to be."""
    from toptalkers.capture import stack, stack_plan
    from toptalkers.capture.our_stack import require_own

    tell = show if dry_run else say_lines
    if not plan.is_empty:
        if dry_run:
            say("CloudFormation creates a change set, which is deleted again; nothing is deployed.")
        with stack.proposed(account, plan, say) as proposal:
            if not proposal.change_set.is_empty:
                tell(stack_plan.format_plan(plan, proposal.change_set.changes))
                if not dry_run:
                    confirm("Deploy it?", yes=yes)
                    stack.finish(account, plan, proposal.execute(say), say)
                return not dry_run
    if plan.bucket and plan.bucket.changes:
        tell(stack_plan.format_plan(plan, ()))
        if not dry_run:
            confirm("Change the bucket?", yes=yes)
            stack.finish(account, plan, require_own(account, plan.name), say)
        return not dry_run
    if plan.role_arn:
        say(f"Note: CloudFormation takes the role {plan.role_arn} only with a change of the stack")
    if dry_run:
        show("Nothing to do.")
    else:
        say(f"Nothing to do: the stack {plan.name} in {plan.region} is as asked.")
    return not dry_run


def _chosen(options: dict[str, Any]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Turn options into parameters of the stack: values, and what is added to lists.

    Raises:
        UsageError: an option is not understood.

    """
    from toptalkers.capture.bucket import bucket_name
    from toptalkers.capture.flowlogs import flow_log_format

    if options["log_format"] is not None:
        options["log_format"] = flow_log_format(options["log_format"])
    given = {name: options[option] for option, name in _PARAMETERS.items() if options[option] is not None}
    if options["stream"] is not None:
        given["Capture"] = "stream" if options["stream"] else "s3-only"
    if options["bucket"] is not None:
        given["ExistingBucket"] = bucket_name(options["bucket"])
    if options["kms_key"] is not None:
        made = options["kms_key"] == "make"
        given |= {"KmsKeyArn": "" if made else options["kms_key"], "MakeKey": "yes" if made else "no"}
    if options["subnets"]:
        given["ClusterSubnets"] = ",".join(options["subnets"])
    lists = {
        "ReadBuckets": list(dict.fromkeys(bucket_name(one) for one in options["read_buckets"])),
        "ReadKmsKeyArns": list(dict.fromkeys(options["read_keys"])),
    }
    return given, {name: values for name, values in lists.items() if values}
