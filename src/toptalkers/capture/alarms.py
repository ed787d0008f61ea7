"""The part of the template that watches over the stream: alarms, which notify a topic if one is given."""

from toptalkers import locations
from toptalkers.capture import preprocess
from toptalkers.capture.cfn import NOTHING, Template, if_, ref
from toptalkers.capture.our_stack import FILTER_NAME


def alarms() -> Template:
    """Build the alarms for records that are late, fail, or cannot be read, and for a stream that does not take them."""
    function, stream = ("FunctionName", ref("Function")), ("StreamName", ref("Stream"))
    throttled = "CloudWatch Logs is throttled by the stream; after 24 hours it drops records. More shards help"
    return {
        "LateAlarm": _alarm(
            "Records wait on the stream for more than half an hour",
            _metric("AWS/Lambda", "IteratorAge", function, "Maximum"),
            above=30 * 60 * 1000,
            periods=3,
        ),
        "ErrorsAlarm": _alarm(
            "The function fails; Kinesis sends the same batch again",
            _metric("AWS/Lambda", "Errors", function),
            periods=2,
        ),
        "QuarantineAlarm": _alarm(
            f"Something on the stream could not be read, and is in {locations.QUARANTINE}",
            _metric(preprocess.METRICS_NAMESPACE, "Quarantined", function),
        ),
        "ThrottledAlarm": _alarm(throttled, _delivery("DeliveryThrottling"), periods=2),
        "UndeliveredAlarm": _alarm(
            "CloudWatch Logs cannot write to the stream: its role, the stream or the key refuses",
            _delivery("DeliveryErrors"),
            periods=2,
        ),
        "ShardFullAlarm": _alarm(
            "A shard of the stream takes no more; more shards help",
            _metric("AWS/Kinesis", "WriteProvisionedThroughputExceeded", stream),
            periods=3,
        ),
    }


def silence_alarm() -> Template:
    """Build the alarm for records that do not arrive at all. Its name is not the parameter's."""
    alarm = _alarm(
        "No flow record has arrived in CloudWatch Logs for half an hour",
        _metric("AWS/Logs", "IncomingLogEvents", ("LogGroupName", ref("FlowLogGroup"))),
        periods=6,
    )
    alarm["Properties"] |= {
        "Threshold": 1,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
    }
    return {"SilenceAlarmOn": alarm}


def _metric(namespace: str, name: str, dimension: tuple[str, Template], statistic: str = "Sum") -> Template:
    """The properties of an alarm on a metric with one dimension, checked every five minutes."""
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}],
        "Statistic": statistic,
        "Period": 300,
    }


def _delivery(name: str) -> Template:
    """The properties of an alarm on a metric of the subscription.

    Its metrics have a third dimension, DestinationType, whose values AWS does not document. An alarm on a
    metric needs all dimensions; a query does not.
    """
    where = f"LogGroupName = '${{FlowLogGroup}}' AND FilterName = '{FILTER_NAME}'"
    query = f'SELECT SUM({name}) FROM "AWS/Logs" WHERE {where}'  # noqa: S608 - no input, and no database
    return {"Metrics": [{"Id": "query", "Expression": {"Fn::Sub": query}, "Period": 300}]}


def _alarm(description: str, watched: Template, *, above: int = 0, periods: int = 1) -> Template:
    """An alarm that goes off when what it watches was above a value in each of the last periods."""
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": description,
            **watched,
            "EvaluationPeriods": periods,
            "Threshold": above,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": if_("HasAlarmTopic", [ref("AlarmTopicArn")], NOTHING),
        },
    }
