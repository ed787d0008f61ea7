"""A question that is asked every night: a CloudFormation template of a schedule and the state machine that it starts.

The state machine sends the very request that `run-emr` sends, for the day before its start (UTC). What depends on the
day is replaced by JSONata expressions: the run's name, the question's time and the input. Of the folders that can hold
records of that day, those that have objects are read; Hadoop fails on a folder that does not exist.

Step Functions has an integration of its own for EMR, `createCluster.sync`. It refuses `Steps` and demands
KeepJobFlowAliveWhenNoSteps, and a stopped execution leaves such a cluster running (Step Functions developer guide,
"Create and manage Amazon EMR clusters"). So RunJobFlow is called as it is, by the SDK integration, and the state
machine asks for the cluster's state every minute. Whatever becomes of the state machine, the cluster ends by itself.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
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
from toptalkers.question.clauses import format_time
from toptalkers.question.query import Query
from toptalkers.records.hours import DAY, EARLIEST_ARRIVAL, HOUR, LATEST_ARRIVAL
from toptalkers.runs.plan import RunPlan
from toptalkers.runs.record import format_record, question_of
from toptalkers.runs.site import Site
from toptalkers.runs.watch import MOST_STARTING

POLL_SECONDS = 60
"""An execution may have 25,000 events; a poll makes about ten."""

LONGEST = timedelta(hours=23)
"""A run that takes longer is ended: the next one is due."""

LISTED = 500
"""Objects per listing: the result of a state may have 256 KiB (Step Functions quotas)."""

_DATED = re.compile(
    r"s3://(?P<bucket>[^/]+)/(?P<tree>(?:[^/]+/)*?)"
    r"(?:[0-9]{4}/[0-9]{2}/[0-9]{2}/|(?P<hive>year=[0-9]{4}/month=[0-9]{2}/day=[0-9]{2}/))(?P<hour>(?:hour=)?[0-9]{2}/)?"
)
"""The address of what lies in a tree of dates."""

_DAY_PICTURE = {False: "[Y0001]/[M01]/[D01]/", True: "year=[Y0001]/month=[M01]/day=[D01]/"}
_HOUR_PICTURE = {False: "[H01]/", True: "hour=[H01]/"}
_TIME_PICTURE = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01]Z"
_RUN_PICTURE = "[Y0001][M01][D01]T[H01][m01][s01]Z"


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder in S3 with flow logs in folders of dates.

    Attributes:
        bucket: the name of its bucket.
        prefix: its key, ending in `/`.
        is_hive: whether folders are named `year=2026/month=11/day=23/`, and not `2026/11/23/`.
        has_hours: whether a day has a folder for each hour.

    """

    bucket: str
    prefix: str
    is_hive: bool = False
    has_hours: bool = True

    def __str__(self) -> str:
        """Its address."""
        return f"s3://{self.bucket}/{self.prefix}"

    def folders(self) -> list[tuple[timedelta, str]]:
        """The folders that can hold records of a day: the distance from its beginning, and JSONata's picture.

        They are those of `Arrival.of_records`, as large as possible.
        """
        day, hour = _DAY_PICTURE[self.is_hive], _DAY_PICTURE[self.is_hive] + _HOUR_PICTURE[self.is_hive]
        if not self.has_hours:
            return [(distance, day) for distance in (-DAY, timedelta(), DAY)]
        before = [(HOUR * number, hour) for number in range(EARLIEST_ARRIVAL // HOUR, 0)]
        after = [(DAY + HOUR * number, hour) for number in range(LATEST_ARRIVAL // HOUR)]
        return [*before, (timedelta(), day), *after]


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
    return f"arn:{stack.arn.split(':')[1]}:kms:{account.region}:{stack.account_id}:key/{key}" if key else ""


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
            "some objects must be copied to other names before a cluster can read them, which a schedule cannot do",
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


def state_machine(plan: RunPlan, trees: Sequence[Tree]) -> dict[str, Any]:
    """Make the state machine, in the Amazon States Language with JSONata.

    Its input is `{"time": "2026-11-24T02:30:00Z"}`, the time of the run; without it, the run's time is now. `${Topic}`
    stands for the ARN of the topic.
    """
    record, query = plan.record, plan.record.query
    if query.since is None or query.until is None:
        raise ValueError("the plan is of no day")
    names = {
        record.run_id: "$run.id",
        format_time(query.since): "$run.since",
        format_time(query.until): "$run.until",
    }
    recorded = _expression(json.loads(format_record(record)), names, ()) | {
        "created": "{% $fromMillis($millis(), " + json.dumps(_TIME_PICTURE) + ") %}",
        "inputs": "{% [$read.uri] %}",
        "input_objects": "{% $sum($read.objects) %}",
        "input_bytes": "{% $sum($read.bytes) %}",
    }
    request = _expression(plan.request, names, plan.input.patterns or plan.input.uris)
    return _machine(plan.bucket, _day(trees, record.run_id.rpartition("-")[2]), recorded, request)


def _expression(value: Any, names: Mapping[str, str], inputs: Sequence[str]) -> Any:
    """Replace texts by variables, and the arguments for the inputs by those of the night, anywhere in a JSON value."""
    if isinstance(value, Mapping):
        return {key: _expression(one, names, inputs) for key, one in value.items()}
    if isinstance(value, list) and inputs and inputs[0] in value:
        begin, end = value.index(inputs[0]) - 1, value.index(inputs[-1]) + 1  # from the first "-input"
        before, after = (f"[{', '.join(_text(one, names) for one in part)}]" for part in (value[:begin], value[end:]))
        return f"{{% $append($append({before}, $inputs), {after}) %}}"
    if isinstance(value, list):
        return [_expression(one, names, inputs) for one in value]
    if isinstance(value, str):
        text = _text(value, names)
        return value if text == json.dumps(value) and not value.startswith("{%") else f"{{% {text} %}}"
    return value


def _text(text: str, names: Mapping[str, str]) -> str:
    """A text as a JSONata expression, with variables in the place of some of its parts."""
    parts = re.split("(" + "|".join(map(re.escape, names)) + ")", text)
    return " & ".join([names.get(part) or json.dumps(part) for part in parts if part]) or '""'


def _day(trees: Iterable[Tree], token: str) -> str:
    """The expression of what depends on the day: the run's name, the question's time and the folders."""

    def millis(distance: timedelta) -> int:
        return distance // timedelta(milliseconds=1)

    places = [
        f'{{"bucket": {json.dumps(tree.bucket)}, "prefix": {json.dumps(tree.prefix)}'
        f" & $fromMillis($begin + ({millis(distance)}), {json.dumps(picture)})}}"
        for tree in trees
        for distance, picture in tree.folders()
    ]
    day = millis(DAY)
    return (
        "{% ("
        "$at := $toMillis($exists($states.input.time) ? $states.input.time : $states.context.Execution.StartTime); "
        f"$begin := $floor($at / {day}) * {day} - {day}; "
        f'{{"id": $fromMillis($at, {json.dumps(_RUN_PICTURE)}) & "-{token}", '
        f'"since": $fromMillis($begin, {json.dumps(_TIME_PICTURE)}), '
        f'"until": $fromMillis($begin + {day}, {json.dumps(_TIME_PICTURE)}), '
        f'"places": [{", ".join(places)}]}}'
        ") %}"
    )


def _machine(bucket: str, day: str, record: Template, request: Template) -> dict[str, Any]:
    def key(place: str) -> str:
        return f'{{% "{locations.RUNS}" & $run.id & "/{place}" %}}'

    def list_one(place: str, **rest: Any) -> Template:
        return _task("s3:listObjectsV2", {"Bucket": bucket, "Prefix": key(place), "MaxKeys": 1}, **rest)

    def write(changes: str, **rest: Any) -> Template:
        body = f"{{% $merge([$record, {changes}]) %}}"
        arguments = {"Bucket": bucket, "Key": key("run.json"), "ContentType": "application/json", "Body": body}
        return _task("s3:putObject", arguments, **rest)

    ended = f'"ended": $fromMillis($millis(), {json.dumps(_TIME_PICTURE)})'
    late = (
        f'$millis() - $begun > (($state in ["STARTING", "BOOTSTRAPPING"]) ? {_seconds(MOST_STARTING) * 1000}'
        f" : {_seconds(LONGEST) * 1000})"
    )
    states: dict[str, Any] = {
        # A variable must have a value before an expression names it.
        "Which day": {
            "Type": "Pass",
            "Assign": {"run": day, "cluster": "", "state": "", "begun": 0, "reason": ""},
            "Next": "Look for the run",
        },
        # The schedule may start this twice.
        "Look for the run": list_one(
            "run.json", assign={"isThere": "{% $exists($states.result.Contents) %}"}, then="Is it there"
        ),
        "Is it there": _choice(("$isThere", "Asked already"), default="Look for flow logs"),
        "Asked already": {"Type": "Succeed"},
        "Look for flow logs": {
            "Type": "Map",
            "Items": "{% $run.places %}",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Begin",
                "States": {
                    "Begin": {
                        "Type": "Pass",
                        "Assign": {"objects": 0, "bytes": 0, "further": ""},
                        "Next": "List",
                    },
                    "List": _task(
                        "s3:listObjectsV2",
                        '{% $merge([{"Bucket": $states.input.bucket, "Prefix": $states.input.prefix,'
                        f' "MaxKeys": {LISTED}}}, $further = "" ? {{}} : {{"ContinuationToken": $further}}]) %}}',
                        assign={
                            "objects": "{% $objects + $count($states.result.Contents) %}",
                            "bytes": "{% $bytes + $sum([0, $states.result.Contents.$number(Size)]) %}",
                            "further": "{% $exists($states.result.NextContinuationToken)"
                            ' ? $states.result.NextContinuationToken : "" %}',
                        },
                        output="{% $states.input %}",
                        then="Is there more",
                        catch=False,
                    ),
                    "Is there more": _choice(('$further != ""', "List"), default="Listed"),
                    "Listed": {
                        "Type": "Pass",
                        "Output": {
                            "uri": '{% "s3://" & $states.input.bucket & "/" & $states.input.prefix %}',
                            "objects": "{% $objects %}",
                            "bytes": "{% $bytes %}",
                        },
                        "End": True,
                    },
                },
            },
            "Assign": {"read": "{% [$states.result[objects > 0]] %}"},
            "Catch": _catch("Tell"),
            "Next": "Is there anything",
        },
        "Is there anything": _choice(("$count($read) > 0", "Plan"), default="Nothing"),
        "Nothing": {
            "Type": "Pass",
            "Assign": {"reason": '{% "there are no flow logs of " & $substring($run.since, 0, 10) %}'},
            "Next": "Tell",
        },
        "Plan": {
            "Type": "Pass",
            "Assign": {
                "record": record,
                "inputs": '{% $reduce($read, function($all, $one) {$append($all, ["-input", $one.uri])}, []) %}',
            },
            "Next": "Write run.json",
        },
        # Before the cluster, so that a missing right to write is found before anything costs.
        "Write run.json": write("{}", then="Start the cluster"),
        "Start the cluster": _task(
            "emr:runJobFlow",
            request,
            assign={"cluster": "{% $states.result.JobFlowId %}", "begun": "{% $millis() %}"},
            then="Write the cluster",
            catch="Write the failure",
            # EMR does not recognize a repeated request: only one that it refused for its rate is sent again.
            retry=["Emr.ThrottlingException"],
        ),
        "Write the cluster": write('{"state": "RUNNING", "cluster": $cluster}', then="Wait", catch="Wait"),
        "Wait": {"Type": "Wait", "Seconds": POLL_SECONDS, "Next": "Ask EMR"},
        "Ask EMR": _task(
            "emr:describeCluster",
            {"ClusterId": "{% $cluster %}"},
            assign={
                "state": "{% $states.result.Cluster.Status.State %}",
                "reason": '{% "the cluster " & $cluster & " ended with "'
                ' & $states.result.Cluster.Status.StateChangeReason.Code & ": "'
                " & $states.result.Cluster.Status.StateChangeReason.Message %}",
            },
            then="Has it ended",
        ),
        "Has it ended": _choice(
            ('$state in ["TERMINATED", "TERMINATED_WITH_ERRORS"]', "Look for the answer"),
            (f'$state != "TERMINATING" and {late}', "Give up"),
            default="Wait",
        ),
        "Give up": _task("emr:terminateJobFlows", {"JobFlowIds": ["{% $cluster %}"]}, then="Wait"),
        "Look for the answer": list_one(
            "toptalkers/_SUCCESS",
            assign={"isThere": "{% $exists($states.result.Contents) %}"},
            then="Is there an answer",
        ),
        "Is there an answer": _choice(("$isThere", "Write the end"), default="Write the failure"),
        "Write the end": write(f'{{"state": "COMPLETED", "cluster": $cluster, {ended}}}', then="Done", catch="Done"),
        "Done": {"Type": "Succeed", "Output": {"run": "{% $run.id %}"}},
        "Write the failure": write(
            '{"state": "FAILED", "cluster": $cluster, "reason": $reason, ' + ended + "}",
            then="Tell",
            catch="Tell",
        ),
        "Tell": _task(
            "sns:publish",
            {
                "TopicArn": "${Topic}",
                "Subject": '{% "toptalkers: no answer for " & $substring($run.since, 0, 10) %}',
                "Message": '{% "The run " & $run.id & " has no answer: " & $reason & "\\n\\n"'
                f' & "Its record and its logs are in s3://{bucket}/{locations.RUNS}" & $run.id'
                f' & "/ and s3://{bucket}/{locations.RUN_LOGS}" & $run.id & "/.\\n"'
                ' & "The execution: " & $states.context.Execution.Id & "\\n" %}',
            },
            then="Failed",
            catch=False,
        ),
        "Failed": {"Type": "Fail", "Error": "NoAnswer", "Cause": "{% $reason %}"},
    }
    return {
        "Comment": "Asks EMR for the top talkers of the day before, and tells a topic when there is no answer",
        "QueryLanguage": "JSONata",
        "StartAt": "Which day",
        "States": states,
    }


def _seconds(duration: timedelta) -> int:
    return duration // timedelta(seconds=1)


def _catch(then: str) -> list[Template]:
    reason = '{% $states.errorOutput.Error & ": " & $states.errorOutput.Cause %}'
    return [{"ErrorEquals": ["States.ALL"], "Assign": {"reason": reason}, "Next": then}]


def _task(
    call: str,
    arguments: Template | str,
    *,
    then: str,
    assign: Template | None = None,
    output: str | None = None,
    catch: str | bool = True,
    retry: Sequence[str] = ("States.ALL",),
) -> Template:
    """Make a state that calls an operation of AWS; an error leads to `catch`, by default to the message."""
    integration = {"Fn::Sub": f"arn:${{AWS::Partition}}:states:::aws-sdk:{call}"}
    state: Template = {"Type": "Task", "Resource": integration, "Arguments": arguments}
    if assign:
        state["Assign"] = assign
    if output:
        state["Output"] = output
    state["Retry"] = [{"ErrorEquals": list(retry), "IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 6}]
    if catch:
        state["Catch"] = _catch("Tell" if catch is True else str(catch))
    return {**state, "Next": then}


def _choice(*choices: tuple[str, str], default: str) -> Template:
    return {
        "Type": "Choice",
        "Choices": [{"Condition": f"{{% {condition} %}}", "Next": then} for condition, then in choices],
        "Default": default,
    }


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
            "StateMachineRole": _role(
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
            "SchedulerRole": _role(
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


def _role(trusted: Template, *statements: Template) -> Template:
    role = cfn.role(trusted, *statements)
    role["Properties"] |= {
        "Path": ref("RolePath"),
        "PermissionsBoundary": if_("HasBoundary", ref("PermissionsBoundaryArn"), NOTHING),
    }
    return role


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
