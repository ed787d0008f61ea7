"""Add features to MiniStack that the commands need, in its process and before it serves.

Tested with MiniStack 1.5.33. Each addition finds its target by name, so that a version without that name stops
the sandbox at its start instead of running wrongly.

- CloudFormation does not know `AWS::EMR::SecurityConfiguration`: the addition makes a name for it, as EMR does.
- CloudFormation refuses an alarm on a query of metrics: the addition makes it as one on a metric with the query's name.
- EC2 drops the tags of a new flow log (they are given for `vpc-flow-log`; it looks for `flow-log`), and
  does not return its log group, format, interval and delivery status.
- EC2 does not know DescribeInstanceTypeOfferings: the answer is that of `offers`.
- The network of the sample's company is in EC2; see `company`.
- CloudFormation asks for capabilities only where IAM is enforced: here it always does.
- CloudFormation's conditions do not know `Fn::Join` of a list parameter, the usual way to ask whether it is empty.
- A change set of CloudFormation lists resources whose condition does not hold: here it decides conditions.
- CloudFormation takes parameters that the template does not declare: here it refuses them.
- The policy of another account's bucket is asked about the caller's account only: here about a role as well.
- Kinesis reshards to any number and forgets the records, and CloudFormation does not reshard: here both reshard, and
  refuse more than double and less than half of the shards, as the API's reference has it (UpdateShardCount).
"""

import importlib
import re
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from toptalkers.sandbox.company import add_company
from toptalkers.sandbox.offers import instance_types, zones_of

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

FLOW_LOG_EXTRAS = {
    "LogGroupName": "logGroupName",
    "DeliverLogsPermissionArn": "deliverLogsPermissionArn",
    "LogFormat": "logFormat",
    "MaxAggregationInterval": "maxAggregationInterval",
}
"""Parameters of CreateFlowLogs that DescribeFlowLogs returns, and their XML elements."""


def add_to_ministack() -> None:
    """Make the additions; KeyError if this version of MiniStack lacks one of the names."""
    provisioners = vars(importlib.import_module("ministack.services.cloudformation.provisioners"))
    provisioners["_RESOURCE_HANDLERS"].setdefault(
        "AWS::EMR::SecurityConfiguration",
        {"create": create_security_configuration, "delete": delete_security_configuration},
    )
    record = provisioners["_cw_metric_alarm_record"]
    provisioners["_cw_metric_alarm_record"] = lambda name, properties: record(name, without_query(properties))
    ec2 = vars(importlib.import_module("ministack.services.ec2"))
    actions = ec2["_ACTION_MAP"]
    extras: dict[str, str] = {}
    actions["CreateFlowLogs"] = _creating(
        actions["CreateFlowLogs"], extras, ec2["_flow_logs"], ec2["_p"], ec2["_parse_tag_specs"]
    )
    actions["DescribeFlowLogs"] = _describing(actions["DescribeFlowLogs"], extras)
    add_company(ec2)
    actions.setdefault("DescribeInstanceTypeOfferings", _offering(ec2["_p"], ec2["_xml"], ec2["get_region"]))
    stacks = vars(importlib.import_module("ministack.services.cloudformation.handlers"))
    assert "_capabilities_enforced" in stacks  # noqa: S101 - see above
    stacks["_capabilities_enforced"] = lambda: True
    engine = vars(importlib.import_module("ministack.services.cloudformation.engine"))
    joined = _joining(engine["_evaluate_conditions"])
    for module in ("engine", "changesets", "drift", "handlers", "provisioners", "stacks"):
        names = vars(importlib.import_module(f"ministack.services.cloudformation.{module}"))
        if "_evaluate_conditions" in names:
            names["_evaluate_conditions"] = joined
    changes = vars(importlib.import_module("ministack.services.cloudformation.changesets"))
    changes["_resolve_props_for_diff"] = _deciding(changes["_resolve_props_for_diff"], joined)
    for module in ("handlers", "changesets"):
        names = vars(importlib.import_module(f"ministack.services.cloudformation.{module}"))
        names["_resolve_parameters"] = _checking_parameters(names["_resolve_parameters"])
    kinesis = vars(importlib.import_module("ministack.services.kinesis"))
    kinesis["_update_shard_count"] = _resharding(kinesis["_resolve_stream"], kinesis)
    handlers = provisioners["_RESOURCE_HANDLERS"]["AWS::Kinesis::Stream"]
    handlers["update"] = _updating_stream(handlers["update"], kinesis["_streams"], kinesis["_build_shards"])
    _name_roles_to_buckets()
    app = vars(importlib.import_module("ministack.app"))
    pin_origin = app["pin_request_origin"]
    app["pin_request_origin"] = lambda client, _: pin_origin(client, True)
    runtime = vars(importlib.import_module("ministack.core.lambda_runtime"))
    functions = vars(importlib.import_module("ministack.services.lambda_svc"))
    sts = vars(importlib.import_module("ministack.services.sts"))
    given = runtime["execution_credentials"]
    runtime["execution_credentials"] = functions["execution_credentials"] = (
        _session_maker(sts["register_session"]) if app["AUTH"] else given
    )


def without_query(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an alarm's properties, with a metric's name in place of a query. MiniStack evaluates neither of ours."""
    queries = properties.get("Metrics")
    if not queries:
        return properties
    plain = {name: value for name, value in properties.items() if name != "Metrics"}
    return plain | {"Namespace": "query", "MetricName": queries[0]["Expression"], "Period": queries[0]["Period"]}


def create_security_configuration(
    logical_id: str, properties: Mapping[str, Any], stack_name: str
) -> tuple[str, dict[str, str]]:
    """Name a security configuration; CloudFormation's `Ref` gives the name."""
    return properties.get("Name") or f"{stack_name}-{logical_id}-{secrets.token_hex(6)}", {}


def delete_security_configuration(physical_id: str, properties: Mapping[str, Any]) -> None:
    """Do nothing: no state is kept for one."""


def _name_roles_to_buckets() -> None:
    """Let the policy of another account's bucket see the role whose session asks, not only its account."""
    s3 = vars(importlib.import_module("ministack.services.s3"))
    evaluator = vars(importlib.import_module("ministack.core.iam_evaluator"))
    allows, evaluate = s3["_foreign_bucket_allows"], evaluator["evaluate_resource_policy"]
    who: ContextVar[str] = ContextVar("caller", default="")
    find_caller: Any = evaluator["request_caller_arn"]

    def foreign_bucket_allows(*positional: Any, **named: Any) -> bool:
        # The last parameter is `headers`.
        headers = named.get("headers", positional[6] if len(positional) > 6 else None)
        token = who.set(find_caller(headers) if headers else "")
        try:
            return bool(allows(*positional, **named))
        finally:
            who.reset(token)

    def evaluate_resource_policy(document: Any, context: Any, *rest: Any, **more: Any) -> Any:
        caller = who.get()
        if ":assumed-role/" in caller and context.principal_type == "Root":
            context = replace(context, principal_arn=caller, principal_type="AssumedRole")
        return evaluate(document, context, *rest, **more)

    s3["_foreign_bucket_allows"], evaluator["evaluate_resource_policy"] = (
        foreign_bucket_allows,
        evaluate_resource_policy,
    )


def _joining(evaluate: Any) -> Callable[..., Any]:
    def evaluate_conditions(template: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
        def join(node: Any) -> Any:
            match node:
                case {"Fn::Join": [separator, {"Ref": name}]} if name in values:
                    return separator.join(one.strip() for one in str(values[name]["Value"]).split(","))
                case dict():
                    return {key: join(value) for key, value in node.items()}
                case list():
                    return [join(one) for one in node]
                case _:
                    return node

        return evaluate({**template, "Conditions": join(template.get("Conditions", {}))}, values)

    return evaluate_conditions


def _deciding(resolve: Callable[..., Any], evaluate: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_for_changes(template: Mapping[str, Any], values: Mapping[str, Any], *rest: Any) -> Any:
        resolved = resolve(template, values, *rest)
        holds = evaluate(template, values) if template else {}
        resources = resolved.get("Resources", {}).items()
        return {"Resources": {name: one for name, one in resources if holds.get(one.get("Condition"), True)}}

    return resolve_for_changes


def _checking_parameters(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_parameters(template: Mapping[str, Any], given: Any, *rest: Any, **more: Any) -> Any:
        declared = template.get("Parameters", {})
        if unknown := [one["Key"] for one in given if one.get("Key") not in declared]:
            raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
        return resolve(template, given, *rest, **more)

    return resolve_parameters


def check_shards(is_open: int, target: int) -> str:
    """Return what Kinesis says to a number of shards that UpdateShardCount refuses; empty if it takes the number."""
    if target > 2 * is_open:
        wrong = "scale up over double"
    elif target < is_open / 2:
        wrong = "scale down below half"
    else:
        return ""
    return (
        f"UpdateShardCount cannot {wrong} your current open shard count."
        f" Current open shard count: {is_open}, Target shard count: {target}"
    )


def _reshard(stream: dict[str, Any], target: int, build: Callable[[int], dict[str, Any]]) -> None:
    """Give a stream another number of shards; the records stay, those of shards that end go to the first one."""
    before, after = stream["shards"], build(target)
    first = next(iter(after))
    for name, shard in before.items():
        after[name if name in after else first]["records"] += shard["records"]
    stream["shards"] = after


def _resharding(find: Callable[[Any], Any], kinesis: Mapping[str, Any]) -> Callable[[Any], Answer]:
    def update_shard_count(request: Any) -> Any:
        name, stream = find(request)
        refuse = kinesis["error_response_json"]
        if not stream:
            return refuse("ResourceNotFoundException", f"Stream {name} not found", 400)
        target, is_open = int(request.get("TargetShardCount", 0)), len(stream["shards"])
        if target < 1:
            return refuse("ValidationException", "TargetShardCount must be at least 1", 400)
        if message := check_shards(is_open, target):
            return refuse("LimitExceededException", message, 400)
        _reshard(stream, target, kinesis["_build_shards"])
        answer = {"CurrentShardCount": is_open, "TargetShardCount": target, "StreamARN": stream["StreamARN"]}
        return kinesis["json_response"]({"StreamName": stream["StreamName"], **answer})

    return update_shard_count


def _updating_stream(
    update: Callable[..., Any], streams: Mapping[str, Any], build: Callable[[int], dict[str, Any]]
) -> Callable[..., Any]:
    def update_stream(physical_id: str, old: Any, new: Mapping[str, Any], stack_name: str) -> Any:
        stream: Any = streams.get(physical_id)
        target = int(new.get("ShardCount", 0))
        is_kept = stream is not None and new.get("Name", physical_id) == physical_id
        if is_kept and target and (message := check_shards(len(stream["shards"]), target)):
            raise ValueError(
                f'Resource handler returned message: "{message} (Service: Kinesis, Status Code: 400, Request ID:'
                f' {secrets.token_hex(8)})"'
                f" (RequestToken: {secrets.token_hex(8)}, HandlerErrorCode: ServiceLimitExceeded)"
            )
        answer = update(physical_id, old, new, stack_name)
        if is_kept and target and target != len(stream["shards"]):
            _reshard(stream, target, build)
        return answer

    return update_stream


def _offering(
    parameter: Callable[..., str], answer: Callable[..., Answer], region: Callable[[], str]
) -> Callable[[Any], Answer]:
    def describe_instance_type_offerings(params: Any) -> Answer:
        kind = parameter(params, "LocationType") or "region"
        wanted = _read_filters(params, parameter)
        found = [
            (name, place)
            for name in instance_types()
            for place in ([region()] if kind == "region" else zones_of(name, region()))
            if any(re.fullmatch(one.replace("*", ".*"), name) for one in wanted.get("instance-type", ["*"]))
            and place in wanted.get("location", [place])
        ]
        items = "".join(
            f"<item><instanceType>{name}</instanceType><locationType>{kind}</locationType>"
            f"<location>{place}</location></item>"
            for name, place in found
        )
        return answer(
            200, "DescribeInstanceTypeOfferingsResponse", f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>"
        )

    return describe_instance_type_offerings


def _read_filters(params: Any, parameter: Callable[..., str]) -> dict[str, list[str]]:
    """Return the filters of a request to EC2, name to values."""
    filters: dict[str, list[str]] = {}
    number = 1
    while name := parameter(params, f"Filter.{number}.Name"):
        at = f"Filter.{number}.Value."
        values = [parameter(params, f"{at}{position}") for position in range(1, 201)]
        filters[name] = [value for value in values if value]
        number += 1
    return filters


def _session_maker(register: Callable[[str, Any], None]) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    sessions: dict[tuple[str, str], dict[str, str]] = {}

    def execution_credentials(config: Mapping[str, Any]) -> dict[str, str]:
        function, role = config["FunctionArn"], config["Role"]
        name, role_name = config["FunctionName"][:64], role.rpartition("/")[2]
        made = {
            "AWS_ACCESS_KEY_ID": f"ASIA{secrets.token_hex(8).upper()}",
            "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
            "AWS_SESSION_TOKEN": secrets.token_hex(32),
        }
        session = sessions.setdefault((function, role), made)
        register(
            session["AWS_ACCESS_KEY_ID"],
            {
                "Arn": f"arn:aws:sts::{function.split(':')[4]}:assumed-role/{role_name}/{name}",
                "UserId": f"{role_name}:{name}",
                "SecretAccessKey": session["AWS_SECRET_ACCESS_KEY"],
                "SessionToken": session["AWS_SESSION_TOKEN"],
            },
        )
        return dict(session)

    return execution_credentials


def _creating(
    create: Callable[[Any], Answer],
    extras: dict[str, str],
    flow_logs: Mapping[str, Any],
    parameter: Callable[..., str],
    store_tags: Callable[[Any, str, str], None],
) -> Callable[[Any], Answer]:
    def create_flow_logs(params: Any) -> Answer:
        before = set(flow_logs)
        answer = create(params)
        # In a local AWS, no delivery can fail.
        elements = "<deliverLogsStatus>SUCCESS</deliverLogsStatus>"
        for name, element in FLOW_LOG_EXTRAS.items():
            if value := parameter(params, name):
                elements += f"<{element}>{escape(value)}</{element}>"
        for flow_log in set(flow_logs) - before:
            extras[flow_log] = elements
            store_tags(params, "vpc-flow-log", flow_log)
        return answer

    return create_flow_logs


def _describing(describe: Callable[[Any], Answer], extras: Mapping[str, str]) -> Callable[[Any], Answer]:
    def describe_flow_logs(params: Any) -> Answer:
        status, headers, body = describe(params)

        def extend(match: re.Match[str]) -> str:
            return match[0] + extras.get(match[1], "")

        text = re.sub(r"<flowLogId>([^<]*)</flowLogId>", extend, body.decode())
        return status, {name: value for name, value in headers.items() if name != "Content-Length"}, text.encode()

    return describe_flow_logs
