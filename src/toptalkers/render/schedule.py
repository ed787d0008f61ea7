"""A question that is asked every night: a CloudFormation template of a schedule and what it starts."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from toptalkers import __version__, locations
from toptalkers.aws.account import Account
from toptalkers.aws.storage import StorageGateway
from toptalkers.capture import cfn
from toptalkers.capture.cfn import NOTHING, Template, allow, arn, from_here, get_att, if_, ref, trust
from toptalkers.capture.our_stack import STACK_TAG, OurStack
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.question.query import Query
from toptalkers.records.hours import DAY, HOUR, LATEST_ARRIVAL
from toptalkers.render.state_machine import Tree, state_machine
from toptalkers.runs.plan import RunPlan
from toptalkers.runs.record import question_of
from toptalkers.runs.site import Site

_DATED = re.compile(
    r"s3://(?P<bucket>[^/]+)/(?P<tree>(?:[^/]+/)*?)"
    r"(?:[0-9]{4}/[0-9]{2}/[0-9]{2}/|(?P<hive>year=[0-9]{4}/month=[0-9]{2}/day=[0-9]{2}/))(?P<hour>(?:hour=)?[0-9]{2}/)?"
)
"""The address of what lies in a tree of dates."""


@dataclass(frozen=True, slots=True)
class Nightly:
    """The texts and ARNs around the schedule, which become defaults of the template's parameters.

    Attributes:
        at: the time of day, UTC, "02:30".
        topic: the ARN of the SNS topic that is told of a failure; empty for a topic of the stack's own.
        email: an address that is subscribed to the stack's own topic; empty for none.
        kms_key: the ARN of the key that encrypts the bucket; empty for none.
        role_path: the path of the roles.
        boundary: the ARN of the roles' permissions boundary; empty for none.

    """

    at: str = "02:30"
    topic: str = ""
    email: str = ""
    kms_key: str = ""
    role_path: str = "/"
    boundary: str = ""


def parse_at(text: str) -> time:
    """Read a time of day, UTC, like `02:30`.

    Raises:
        UsageError: it is not one, or yesterday's last records may not have arrived by then.

    """
    try:
        at = datetime.strptime(text, "%H:%M").replace(tzinfo=UTC).time()
    except ValueError:
        raise UsageError(f"--at: {text!r} is not a time of day", hint="it is written like 02:30, in UTC") from None
    if timedelta(hours=at.hour) < LATEST_ARRIVAL:
        hours = LATEST_ARRIVAL // HOUR
        raise UsageError(
            f"--at: at {text} UTC the last records of the day before may not have arrived",
            hint=f"choose 0{hours}:00 or later: they take up to {hours} hours",
        )
    return at


def key_of(account: Account, stack: OurStack) -> str:
    """The ARN of the key that encrypts a stack's bucket: one that was given, or the stack's own; empty for none."""
    given = stack.parameters.get("KmsKeyArn", "")
    if given or stack.parameters.get("MakeKey") != "yes":
        return given
    key = account.stacks.physical_id(stack.name, "Key")
    return f"arn:{stack.partition}:kms:{account.region}:{stack.account_id}:key/{key}" if key else ""


def yesterday_of(query: Query, now: datetime) -> Query:
    """The question about the day before `now` (UTC).

    Raises:
        UsageError: the question has a time already.

    """
    if query.since or query.until:
        raise UsageError("--since and --until: the schedule asks about the day before it runs", hint="leave them out")
    end = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return replace(query, since=end - DAY, until=end)


def token_of(site: Site, query: Query, top: int, inputs: Sequence[str]) -> str:
    """Four hexadecimal digits for the names of a schedule's runs, which differ from those of another schedule."""
    what = json.dumps([site.name, question_of(query, top), list(inputs)], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()[:4]


def trees_of(storage: StorageGateway, plan: RunPlan) -> tuple[Tree, ...]:
    """Find the trees of dates that the input of a run lies in.

    Raises:
        ToptalkersError: the input is not in folders of dates, or must be copied first.

    """
    if plan.input.copies:
        raise ToptalkersError(
            "a step cannot name some of the objects, so that they must be copied first, which a schedule cannot do",
            hint="'toptalkers run-emr' can",
        )
    trees: dict[tuple[str, str], Tree] = {}
    for uri in plan.input.uris:
        match = _DATED.match(uri)
        if match is None:
            raise ToptalkersError(
                f"{uri} is not in a folder of a date, so that the schedule cannot tell what tomorrow's will be",
                hint="--input s3://BUCKET/AWSLogs/ has such folders",
            )
        place = match["bucket"], match["tree"]
        has_hours = bool(match["hour"]) or (place in trees and trees[place].has_hours)
        if not has_hours:
            folder = match[0].removeprefix(f"s3://{match['bucket']}/")
            has_hours = next(iter(storage.folders(match["bucket"], folder)), None) is not None
        trees[place] = Tree(*place, is_hive=bool(match["hive"]), has_hours=has_hours)
    return tuple(trees.values())


def plan_schedule(plan: RunPlan, site: Site, trees: Sequence[Tree], nightly: Nightly | None = None) -> Template:
    """Make the template of a schedule that asks a question about the day before, every night.

    Args:
        plan: the run that asks it about one day, `yesterday_of` any.
        site: where the runs live.
        trees: the trees that are read.
        nightly: the schedule, and whom to tell.

    Raises:
        UsageError: the time of day is not one, or too early.

    """
    nightly = nightly or Nightly()
    return _template(site, trees, state_machine(plan, trees), nightly, parse_at(nightly.at))


def _template(site: Site, trees: Iterable[Tree], machine: Template, nightly: Nightly, at: time) -> Template:
    def text(description: str, default: str, **more: Any) -> Template:
        return {"Type": "String", "Description": description, "Default": default, **more}

    machine_arn = get_att("StateMachine", "Arn")
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"toptalkers {__version__}: the top talkers of the day before, every night ({site.name})",
        "Parameters": {
            "Schedule": text("When to run, in UTC.", f"cron({at.minute} {at.hour} * * ? *)"),
            "State": text("Whether it runs.", "ENABLED", AllowedValues=["ENABLED", "DISABLED"]),
            "TopicArn": text("The SNS topic to tell of a failure; empty for one of this stack.", nightly.topic),
            "Email": text("An address to subscribe to this stack's topic; empty for none.", nightly.email),
            "KmsKeyArn": text("The key that encrypts the bucket; empty for none.", nightly.kms_key),
            "RolePath": text("The path of the roles.", nightly.role_path),
            "PermissionsBoundaryArn": text("The boundary of the roles; empty for none.", nightly.boundary),
        },
        "Conditions": {
            "MakesTopic": {"Fn::Equals": [ref("TopicArn"), ""]},
            "HasEmail": {"Fn::And": [{"Condition": "MakesTopic"}, {"Fn::Not": [{"Fn::Equals": [ref("Email"), ""]}]}]},
            "HasKmsKey": {"Fn::Not": [{"Fn::Equals": [ref("KmsKeyArn"), ""]}]},
            "HasRolePath": {"Fn::Not": [{"Fn::Equals": [ref("RolePath"), "/"]}]},
            "HasBoundary": {"Fn::Not": [{"Fn::Equals": [ref("PermissionsBoundaryArn"), ""]}]},
        },
        "Resources": {
            "Topic": {
                "Type": "AWS::SNS::Topic",
                "Condition": "MakesTopic",
                "Properties": {"KmsMasterKeyId": "alias/aws/sns"},
            },
            "Subscription": {
                "Type": "AWS::SNS::Subscription",
                "Condition": "HasEmail",
                "Properties": {"TopicArn": ref("Topic"), "Protocol": "email", "Endpoint": ref("Email")},
            },
            "StateMachineRole": cfn.role(
                trust("states.amazonaws.com", from_here("states", "stateMachine:*")),
                *_permissions(site, trees, nightly.role_path),
            ),
            "StateMachine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Metadata": cfn.skip(
                    CKV_AWS_284="The history of an execution holds every state for 90 days; there is nothing to trace.",
                    CKV_AWS_285="The history of an execution holds every state for 90 days, and failures are told.",
                ),
                "Properties": {
                    "RoleArn": get_att("StateMachineRole", "Arn"),
                    "Definition": machine,
                    "DefinitionSubstitutions": {"Topic": _topic()},
                    "Tags": [{"Key": STACK_TAG, "Value": site.name}],
                },
            },
            "SchedulerRole": cfn.role(
                trust("scheduler.amazonaws.com", from_here("scheduler", "schedule-group/default")),
                allow(["states:StartExecution"], machine_arn),
            ),
            "NightlySchedule": {
                "Type": "AWS::Scheduler::Schedule",
                "Metadata": cfn.skip(
                    CKV_AWS_297="The schedule holds nothing but a time, which AWS encrypts with a key of its own.",
                ),
                "Properties": {
                    "Description": f"Asks {site.name} for the top talkers of the day before",
                    "ScheduleExpression": ref("Schedule"),
                    "ScheduleExpressionTimezone": "UTC",
                    "State": ref("State"),
                    "FlexibleTimeWindow": {"Mode": "OFF"},
                    "Target": {
                        "Arn": machine_arn,
                        "RoleArn": get_att("SchedulerRole", "Arn"),
                        "Input": json.dumps({"time": "<aws.scheduler.scheduled-time>"}),
                        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 10},
                    },
                },
            },
        },
        "Outputs": {
            "StateMachineArn": {"Value": machine_arn},
            "TopicArn": {"Value": _topic()},
            "RunNowCmd": {
                "Description": "Asks about yesterday now",
                "Value": {"Fn::Sub": "aws stepfunctions start-execution --state-machine-arn ${StateMachine.Arn}"},
            },
        },
    }


def _topic() -> Template:
    return if_("MakesTopic", ref("Topic"), ref("TopicArn"))


def _permissions(site: Site, trees: Iterable[Tree], role_path: str) -> list[Template]:
    """What the state machine may do: list its folders, write run.json, and start, look at and end its clusters."""
    listed: dict[str, list[str]] = {site.bucket: [f"{locations.RUNS}*"]}
    for tree in trees:
        listed.setdefault(tree.bucket, []).append(f"{tree.prefix}*")
    clusters = arn("elasticmapreduce", "cluster/*")
    ours = {"StringEquals": {f"elasticmapreduce:ResourceTag/{STACK_TAG}": site.name}}
    requested = {"StringEquals": {f"aws:RequestTag/{STACK_TAG}": site.name}}
    return [
        *(
            allow(["s3:ListBucket"], _s3(bucket)) | {"Condition": {"StringLike": {"s3:prefix": prefixes}}}
            for bucket, prefixes in listed.items()
        ),
        allow(["s3:PutObject"], _s3(f"{site.bucket}/{locations.RUNS}*/run.json")),
        if_("HasKmsKey", allow(["kms:Decrypt", "kms:GenerateDataKey"], ref("KmsKeyArn")), NOTHING),
        # RunJobFlow has no resources (service authorization reference, Amazon Elastic MapReduce).
        allow(["elasticmapreduce:RunJobFlow"]) | {"Resource": "*", "Condition": requested},
        allow(["elasticmapreduce:AddTags"], clusters) | {"Condition": requested},
        allow(["elasticmapreduce:PutAutoTerminationPolicy"], clusters),
        allow(["elasticmapreduce:DescribeCluster", "elasticmapreduce:TerminateJobFlows"], clusters)
        | {"Condition": ours},
        *(
            allow(["iam:PassRole"], _role_arn(name, role_path))
            | {"Condition": {"StringLike": {"iam:PassedToService": service}}}
            for name, service in (
                (site.service_role, "elasticmapreduce.amazonaws.com*"),
                (site.instance_profile, "ec2.amazonaws.com*"),
            )
        ),
        # The first cluster of an account makes this role (EMR management guide, "Using service-linked roles").
        allow(
            ["iam:CreateServiceLinkedRole"],
            {
                "Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/"
                "elasticmapreduce.amazonaws.com*/AWSServiceRoleForEMRCleanup*"
            },
        )
        | {"Condition": {"StringLike": {"iam:AWSServiceName": "elasticmapreduce.amazonaws.com*"}}},
        allow(["sns:Publish"], _topic()),
    ]


def _s3(path: str) -> Template:
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{path}"}


def _role_arn(name: str, path: str) -> Any:
    """The ARN of a role, by its name or ARN, or by the instance profile that has the role's name, as EMR wants it."""
    if name.startswith("arn:"):
        return name.replace(":instance-profile/", ":role/")
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role{path}{name}"}


def render_schedule(template: Template) -> str:
    """Write the template as JSON; it ends in a line feed."""
    return json.dumps(template, indent=1) + "\n"
