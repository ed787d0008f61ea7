"""The state machine that asks a question about the day before.

It sends the very request that `run-emr` sends. What depends on the day is replaced by JSONata expressions: the run's
name, the question's time and the input. Of the folders that can hold records of that day, those that have objects are
read; Hadoop fails on a folder that does not exist.

Step Functions has an integration of its own for EMR, `createCluster.sync`. It refuses `Steps` and demands
KeepJobFlowAliveWhenNoSteps, and a stopped execution leaves such a cluster running (Step Functions developer guide,
"Create and manage Amazon EMR clusters"). So RunJobFlow is called as it is, by the SDK integration, and the state
machine asks for the cluster's state every minute. Whatever becomes of the state machine, the cluster ends by itself.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from toptalkers import locations
from toptalkers.question.times import format_time
from toptalkers.records.hours import DAY, EARLIEST_ARRIVAL, HOUR, LATEST_ARRIVAL
from toptalkers.runs.plan import RunPlan
from toptalkers.runs.record import format_record
from toptalkers.runs.watch import MOST_STARTING

State = dict[str, Any]

POLL_SECONDS = 60
"""An execution may have 25,000 events; a poll makes about ten."""

LONGEST = timedelta(hours=23)
"""A run that takes longer is ended: the next one is due."""

LISTED = 500
"""Objects per listing: the result of a state may have 256 KiB (Step Functions quotas)."""

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


def _machine(bucket: str, day: str, record: State, request: State) -> dict[str, Any]:
    def key(place: str) -> str:
        return f'{{% "{locations.RUNS}" & $run.id & "/{place}" %}}'

    def list_one(place: str, **rest: Any) -> State:
        return _task("s3:listObjectsV2", {"Bucket": bucket, "Prefix": key(place), "MaxKeys": 1}, **rest)

    def write(changes: str, **rest: Any) -> State:
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
        "Look for flow logs": _find_folders(then="Is there anything"),
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


def _find_folders(then: str) -> State:
    """Make the state that counts the objects of each folder, and keeps the folders that have some as `$read`."""
    return {
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
        "Next": then,
    }


def _seconds(duration: timedelta) -> int:
    return duration // timedelta(seconds=1)


def _catch(then: str) -> list[State]:
    reason = '{% $states.errorOutput.Error & ": " & $states.errorOutput.Cause %}'
    return [{"ErrorEquals": ["States.ALL"], "Assign": {"reason": reason}, "Next": then}]


def _task(
    call: str,
    arguments: State | str,
    *,
    then: str,
    assign: State | None = None,
    output: str | None = None,
    catch: str | bool = True,
    retry: Sequence[str] = ("States.ALL",),
) -> State:
    """Make a state that calls an operation of AWS; an error leads to `catch`, by default to the message."""
    # CloudFormation puts in the partition, which Step Functions checks.
    integration = {"Fn::Sub": f"arn:${{AWS::Partition}}:states:::aws-sdk:{call}"}
    state: State = {"Type": "Task", "Resource": integration, "Arguments": arguments}
    if assign:
        state["Assign"] = assign
    if output:
        state["Output"] = output
    state["Retry"] = [{"ErrorEquals": list(retry), "IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 6}]
    if catch:
        state["Catch"] = _catch("Tell" if catch is True else str(catch))
    return {**state, "Next": then}


def _choice(*choices: tuple[str, str], default: str) -> State:
    return {
        "Type": "Choice",
        "Choices": [{"Condition": f"{{% {condition} %}}", "Next": then} for condition, then in choices],
        "Default": default,
    }
