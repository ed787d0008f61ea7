"""Add features to MiniStack that the commands need, in its process and before it serves.

Tested with MiniStack 1.5.33. Each addition finds its target by name, so that a version without that name stops
the sandbox at its start instead of running wrongly.

- CloudFormation does not know `AWS::EMR::SecurityConfiguration`: the addition makes a name for it, as EMR does.
- CloudFormation refuses an alarm on a query of metrics: the addition makes it as one on a metric with the query's name.
- EC2 drops the tags of a new flow log (they are given for `vpc-flow-log`; it looks for `flow-log`), and
  does not return its log group, format, interval and delivery status.
"""

import importlib
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

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
