"""A small AWS in memory, for tests of whole commands: CloudFormation, EC2's flow logs, S3, Kinesis and CloudWatch.

It knows only the operations that the gateways use: an unknown one is an AttributeError. Every call is recorded, and
any operation can be made to fail. It does not check requests against botocore's models; the tests of the gateways do.
"""

import functools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from botocore.exceptions import ClientError

from toptalkers.aws.account import Account, RoleToAssume
from toptalkers.capture.resolve import Resolver
from toptalkers.cli.options import Opener

NOW = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)
REGION = "eu-west-1"
READING = ("describe_", "get_", "list_", "head_")

Method = TypeVar("Method", bound=Callable[..., Any])


def operation(method: Method) -> Method:
    """Record a call, and fail if the test wants it to fail."""

    @functools.wraps(method)
    def recorded(self: "FakeService", **request: Any) -> Any:
        self.aws.calls.append((method.__name__, request))
        if method.__name__ in self.aws.failing:
            raise refuse(method.__name__, *self.aws.failing[method.__name__])
        return method(self, **request)

    return cast("Method", recorded)


def refuse(name: str, code: str, message: str) -> ClientError:
    """Make an error as botocore raises it."""
    title = "".join(part.capitalize() for part in name.split("_"))
    return ClientError({"Error": {"Code": code, "Message": message}}, title)


class FakeService:
    """The common part of all services."""

    def __init__(self, aws: "FakeAws") -> None:
        self.aws = aws

    def get_paginator(self, name: str) -> "Pages":
        return Pages(getattr(self, name))


class Pages:
    """Returns the whole answer as one page."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method

    def paginate(self, **request: Any) -> Iterator[Any]:
        yield self._method(**request)


class FakeCloudFormation(FakeService):
    """Stacks that take two looks to finish, and fail at a resource that is named.

    `replaces` holds what a change set says of resources that change: True or Conditional. With `fails_after`, that many
    operations are well, and the next one fails.
    """

    def __init__(self, aws: "FakeAws") -> None:
        super().__init__(aws)
        self.stacks: dict[str, dict[str, Any]] = {}
        self.gone: list[dict[str, Any]] = []
        self.templates: dict[str, str] = {}
        self.change_sets: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.fails_at: dict[str, str] = {}
        self.replaces: dict[str, str] = {}
        self.finds_nothing_to_change = False
        self.fails_after: int | None = None
        self._looks = 0

    def add(self, name: str, status: str, **more: Any) -> dict[str, Any]:
        """Add a stack; a deleted one of the same name can still be found by its ARN."""
        if self.stacks.get(name, {}).get("StackStatus") == "DELETE_COMPLETE":
            self.gone.append(self.stacks[name])
        number = 1 + len(self.gone)
        stack = {
            "StackName": name,
            "StackId": f"arn:aws:cloudformation:{REGION}:123456789012:stack/{name}/{number}",
            "StackStatus": status,
            "CreationTime": NOW + timedelta(seconds=number),
            "Parameters": [],
            "Outputs": [],
            "Tags": [],
            **more,
        }
        self.stacks[name] = stack
        return stack

    def parameter(self, key: str, name: str = "toptalkers") -> str:
        """The value of a stack's parameter."""
        return str({one["ParameterKey"]: one["ParameterValue"] for one in self.stacks[name]["Parameters"]}[key])

    def _find(self, name: str) -> dict[str, Any]:
        for one in (*self.stacks.values(), *self.gone):
            if one["StackId"] == name:
                return one
        if name not in self.stacks:
            raise refuse("describe_stacks", "ValidationError", f"Stack with id {name} does not exist")
        return self.stacks[name]

    @operation
    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        stack = self._find(StackName)
        if stack["StackStatus"].endswith("_IN_PROGRESS") and "_then" in stack:
            self._looks += 1
            if self._looks >= 2:
                stack.pop("_then")()
        return {"Stacks": [{key: value for key, value in stack.items() if not key.startswith("_")}]}

    @operation
    def list_stacks(self, *, StackStatusFilter: Any) -> Any:  # noqa: N803
        found = [one for one in (*self.stacks.values(), *self.gone) if one["StackStatus"] in StackStatusFilter]
        return {
            "StackSummaries": [{key: one[key] for key in ("StackName", "StackId", "CreationTime")} for one in found]
        }

    @operation
    def get_template(self, *, StackName: str) -> Any:  # noqa: N803
        return {"TemplateBody": json.loads(self.templates[self._find(StackName)["StackName"]])}

    @operation
    def describe_stack_resource(self, *, StackName: str, LogicalResourceId: str) -> Any:  # noqa: N803
        del LogicalResourceId
        self._find(StackName)
        return {"StackResourceDetail": {"PhysicalResourceId": "toptalkers-bucket"}}

    @operation
    def describe_stack_events(self, *, StackName: str) -> Any:  # noqa: N803
        del StackName
        return {"StackEvents": self.events[::-1]}

    @operation
    def list_change_sets(self, *, StackName: str) -> Any:  # noqa: N803
        name = self._find(StackName)["StackName"]
        found = [one for one in self.change_sets.values() if one["StackName"] == name]
        return {"Summaries": [{"ChangeSetName": one["ChangeSetName"]} for one in found]}

    @operation
    def create_change_set(self, **request: Any) -> Any:
        name = request["StackName"]
        if (
            request["ChangeSetType"] == "CREATE"
            and self.stacks.get(name, {}).get("StackStatus") != "REVIEW_IN_PROGRESS"
        ):
            self.add(name, "REVIEW_IN_PROGRESS")
        stack = self._find(name)
        arn = f"arn:aws:cloudformation:{REGION}:123456789012:changeSet/{request['ChangeSetName']}/1"
        had = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
        values = {
            one["ParameterKey"]: had[one["ParameterKey"]] if one.get("UsePreviousValue") else one["ParameterValue"]
            for one in request["Parameters"]
        }
        self.change_sets[arn] = {**request, "_values": values}
        return {"Id": arn, "StackId": stack["StackId"]}

    @operation
    def describe_change_set(self, *, ChangeSetName: str) -> Any:  # noqa: N803
        if self.finds_nothing_to_change:
            reason = "The submitted information didn't contain changes. Submit different information to create one."
            return {"Status": "FAILED", "StatusReason": reason}
        made = self.change_sets[ChangeSetName]
        old = json.loads(self.templates.get(made["StackName"], "{}")) if made["ChangeSetType"] == "UPDATE" else {}
        had = {one["ParameterKey"]: one["ParameterValue"] for one in self._find(made["StackName"])["Parameters"]}
        changes = changes_between(old, had, json.loads(made["TemplateBody"]), made["_values"])
        for one in changes:
            if one["Action"] == "Modify":
                one["Replacement"] = self.replaces.get(one["LogicalResourceId"], "False")
        return {"Status": "CREATE_COMPLETE", "Changes": [{"ResourceChange": one} for one in changes]}

    @operation
    def delete_change_set(self, *, StackName: str, ChangeSetName: str) -> Any:  # noqa: N803
        asked = (self._find(StackName)["StackName"], ChangeSetName)
        waiting = self.change_sets.items()
        self.change_sets = {arn: one for arn, one in waiting if (one["StackName"], one["ChangeSetName"]) != asked}

    @operation
    def execute_change_set(self, *, ChangeSetName: str, RetainExceptOnCreate: bool) -> Any:  # noqa: N803
        assert RetainExceptOnCreate
        made = self.change_sets.pop(ChangeSetName)
        stack = self._find(made["StackName"])
        verb = "CREATE" if made["ChangeSetType"] == "CREATE" else "UPDATE"
        template = json.loads(made["TemplateBody"])
        self._happen(stack, stack["StackName"], "AWS::CloudFormation::Stack", f"{verb}_IN_PROGRESS")

        had = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}

        def finish() -> None:
            failing = dict(self.fails_at)
            if self.fails_after is not None:
                failing |= {"Function": "no"} if not self.fails_after else {}
                self.fails_after -= 1
            if not failing and "Stream" in resources_made(template, made["_values"]):
                old = json.loads(self.templates.get(stack["StackName"], "{}")) if verb == "UPDATE" else {}
                before = had.get("Shards") if "Stream" in resources_made(old, had) else None
                refusal = self.aws.streams.change(before, made["_values"].get("Shards", "1"))
                failing |= {"Stream": refusal} if refusal else {}
            for name, one in template["Resources"].items():
                reason = failing.get(name)
                self._happen(stack, name, one["Type"], f"{verb}_FAILED" if reason else f"{verb}_COMPLETE", reason or "")
            if failing:
                end = "ROLLBACK_COMPLETE" if verb == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
            else:
                end = f"{verb}_COMPLETE"
                self.bring_up(stack, made["TemplateBody"], made["_values"], made["Tags"])
            stack["StackStatus"] = end
            self._happen(stack, stack["StackName"], "AWS::CloudFormation::Stack", end)

        self._looks = 0
        stack["Description"] = template["Description"]
        stack["StackStatus"], stack["_then"] = f"{verb}_IN_PROGRESS", finish
        return {}

    def bring_up(self, stack: dict[str, Any], template: str, values: dict[str, str], tags: Any) -> None:
        """Give a stack everything that a complete stack has."""
        declared = json.loads(template)
        parameters = {name: str(one.get("Default", "")) for name, one in declared["Parameters"].items()} | values
        known = {
            "BucketName": parameters.get("ExistingBucket") or "toptalkers-bucket",
            "LogGroupName": "flow-records",
            "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/delivery",
            "LogFormat": parameters["LogFormat"],
        }
        outputs = {name: known.get(name, f"the-{name}") for name in _made(declared, declared["Outputs"], parameters)}
        stack["Description"] = declared["Description"]
        stack["Outputs"] = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        stack["Parameters"] = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        stack["Tags"] = tags
        self.templates[stack["StackName"]] = template

    @operation
    def delete_stack(self, *, StackName: str) -> Any:  # noqa: N803
        stack = self._find(StackName)

        def finish() -> None:
            if self.fails_at:
                for name, reason in self.fails_at.items():
                    self._happen(stack, name, "AWS::Some::Thing", "DELETE_FAILED", reason)
                stack["StackStatus"] = "DELETE_FAILED"
                return
            self._happen(stack, stack["StackName"], "AWS::CloudFormation::Stack", "DELETE_COMPLETE")
            stack["StackStatus"] = "DELETE_COMPLETE"

        self._happen(stack, stack["StackName"], "AWS::CloudFormation::Stack", "DELETE_IN_PROGRESS")
        self._looks = 0
        waiting = self.change_sets.items()
        self.change_sets = {arn: one for arn, one in waiting if one["StackName"] != stack["StackName"]}
        stack["StackStatus"], stack["_then"] = "DELETE_IN_PROGRESS", finish

    def _happen(self, stack: dict[str, Any], resource: str, kind: str, status: str, reason: str = "") -> None:
        self.events.append(
            {
                "EventId": str(len(self.events)),
                "StackId": stack["StackId"],
                "Timestamp": NOW,
                "LogicalResourceId": resource,
                "ResourceType": kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )


def changes_between(old: Any, had: dict[str, str], new: Any, values: dict[str, str]) -> list[dict[str, Any]]:
    """Compute a change set: a resource changes with its text, and with any parameter that it or its condition names."""
    before, after = resources_made(old, had), resources_made(new, values)
    changed = {f'"{name}"' for name in new["Parameters"] if name in had and had[name] != values.get(name, had[name])}
    changed |= {f"${{{name[1:-1]}}}" for name in changed}
    changed |= {
        f'"{name}"' for name, one in new["Conditions"].items() if any(word in json.dumps(one) for word in changed)
    }
    actions = {name: "Add" for name in after if name not in before}
    actions |= {
        name: "Modify"
        for name, one in after.items()
        if name in before and (one != before[name] or any(word in json.dumps(one) for word in changed))
    }
    actions |= {name: "Remove" for name in before if name not in after}
    return [
        {"Action": action, "LogicalResourceId": name, "ResourceType": {**before, **after}[name]["Type"]}
        for name, action in actions.items()
    ]


def resources_made(template: Any, given: dict[str, str]) -> dict[str, Any]:
    """Select the resources whose condition holds."""
    return _made(template, template.get("Resources", {}), given)


def _made(template: Any, declared: Any, given: dict[str, str]) -> dict[str, Any]:
    resolver = Resolver(template, {"AWS::Partition": "aws", **given})
    return {name: one for name, one in declared.items() if "Condition" not in one or resolver.holds(one["Condition"])}


class FakeEc2(FakeService):
    """One VPC with two subnets, an interface in the first; flow logs succeed or fail."""

    def __init__(self, aws: "FakeAws") -> None:
        super().__init__(aws)
        self.flow_logs: list[dict[str, Any]] = []
        self.delivery = "SUCCESS"
        self.refuses: dict[str, str] = {}

    def add(self, resource: str, **more: Any) -> str:
        """Add a flow log."""
        own = f"fl-{len(self.flow_logs) + 1}"
        self.flow_logs.append({"FlowLogId": own, "ResourceId": resource, "TrafficType": "ACCEPT", "Tags": [], **more})
        return own

    @operation
    def describe_flow_logs(self, *, Filters: Any = ()) -> Any:  # noqa: N803
        found = self.flow_logs
        for one in Filters:
            key = one["Name"].removeprefix("tag:")
            found = [log for log in found if {"Key": key, "Value": one["Values"][0]} in log["Tags"]]
        return {"FlowLogs": found}

    @operation
    def describe_vpcs(self, *, Filters: Any) -> Any:  # noqa: N803
        ((name, values),) = ((one["Name"], one["Values"]) for one in Filters)
        assert name == "vpc-id" or values == ["123456789012"]
        return {"Vpcs": [{"VpcId": one} for one in ("vpc-1", "vpc-2") if name == "owner-id" or one in values]}

    @operation
    def describe_subnets(self, *, Filters: Any) -> Any:  # noqa: N803
        found = [one for one in ("subnet-1", "subnet-2") if one in Filters[0]["Values"]]
        return {"Subnets": [{"SubnetId": one, "VpcId": "vpc-1"} for one in found]}

    @operation
    def describe_network_interfaces(self, *, Filters: Any) -> Any:  # noqa: N803
        eni = {"NetworkInterfaceId": "eni-1", "SubnetId": "subnet-1", "VpcId": "vpc-1"}
        return {"NetworkInterfaces": [eni] if "eni-1" in Filters[0]["Values"] else []}

    @operation
    def create_flow_logs(self, **request: Any) -> Any:
        made, refused = [], []
        for resource in request["ResourceIds"]:
            if resource in self.refuses:
                error = {"Code": "Client.Some", "Message": self.refuses[resource]}
                refused.append({"ResourceId": resource, "Error": error})
                continue
            kept = {key: request[key] for key in ("TrafficType", "LogFormat", "MaxAggregationInterval")}
            for key in ("LogGroupName", "LogDestination", "LogDestinationType"):
                if key in request:
                    kept[key] = request[key]
            error = {"DeliverLogsErrorMessage": "Access error"} if self.delivery == "FAILED" else {}
            made.append(
                self.add(
                    resource,
                    **kept,
                    **error,
                    **({"DeliverLogsStatus": self.delivery} if self.delivery else {}),
                    Tags=request["TagSpecifications"][0]["Tags"],
                )
            )
        return {"FlowLogIds": made, "Unsuccessful": refused}

    @operation
    def delete_flow_logs(self, *, FlowLogIds: Any) -> Any:  # noqa: N803
        refused = [one for one in FlowLogIds if one in self.refuses]
        self.flow_logs = [
            one for one in self.flow_logs if one["FlowLogId"] not in FlowLogIds or one["FlowLogId"] in refused
        ]
        return {"Unsuccessful": [{"ResourceId": one, "Error": {"Message": self.refuses[one]}} for one in refused]}


class FakeS3(FakeService):
    """One bucket of the account, in the Region; some objects still arrive while it is emptied.

    `settings` holds what the requests for its settings have, each under the name that they have in common.
    """

    def __init__(self, aws: "FakeAws") -> None:
        super().__init__(aws)
        self.settings: dict[str, Any] = {}
        self.bucket_region = REGION
        self.name = "toptalkers-bucket"
        self.objects: dict[str, tuple[int, datetime]] = {}
        self.late: list[str] = []
        self.is_deleted = False

    @operation
    def list_objects_v2(self, *, Bucket: str, Prefix: str, Delimiter: str = "", **_: Any) -> Any:  # noqa: N803
        assert Bucket == self.name
        if self.is_deleted:
            raise refuse("list_objects_v2", "NoSuchBucket", "The specified bucket does not exist")
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        folders: set[str] = set()
        if Delimiter:
            rests = [key[len(Prefix) :] for key in keys]
            folders = {Prefix + rest.split("/")[0] + "/" for rest in rests if "/" in rest}
            keys = [key for key in keys if "/" not in key[len(Prefix) :]]
        return {
            "CommonPrefixes": [{"Prefix": one} for one in sorted(folders)],
            "Contents": [
                {"Key": key, "Size": self.objects[key][0], "LastModified": self.objects[key][1]} for key in keys
            ],
        }

    @operation
    def delete_objects(self, *, Bucket: str, Delete: Any) -> Any:  # noqa: N803
        assert Bucket == self.name
        for one in Delete["Objects"]:
            del self.objects[one["Key"]]
        if self.late:
            self.objects[self.late.pop()] = (1, NOW)
        return {}

    @operation
    def delete_bucket(self, *, Bucket: str) -> Any:  # noqa: N803
        assert Bucket == self.name
        if self.objects:
            raise refuse("delete_bucket", "BucketNotEmpty", "The bucket you tried to delete is not empty")
        self.is_deleted = True

    @operation
    def get_bucket_location(self, *, Bucket: str, ExpectedBucketOwner: str) -> Any:  # noqa: N803
        if Bucket == "central-logs" or ExpectedBucketOwner != "123456789012":
            raise refuse("get_bucket_location", "AccessDenied", "Access Denied")
        if Bucket != self.name:
            raise refuse("get_bucket_location", "NoSuchBucket", "The specified bucket does not exist")
        return {"LocationConstraint": None if self.bucket_region == "us-east-1" else self.bucket_region}

    @operation
    def get_bucket_policy(self, **_: Any) -> Any:
        return self._setting("policy", "NoSuchBucketPolicy")

    @operation
    def get_bucket_lifecycle_configuration(self, **_: Any) -> Any:
        return self._setting("lifecycle", "NoSuchLifecycleConfiguration")

    @operation
    def get_public_access_block(self, **_: Any) -> Any:
        return self._setting("block", "NoSuchPublicAccessBlockConfiguration")

    @operation
    def get_bucket_encryption(self, **_: Any) -> Any:
        return self._setting("encryption", "ServerSideEncryptionConfigurationNotFoundError")

    @operation
    def get_bucket_ownership_controls(self, **_: Any) -> Any:
        return self._setting("ownership", "OwnershipControlsNotFoundError")

    def _setting(self, name: str, missing: str) -> Any:
        if name not in self.settings:
            raise refuse("get_it", missing, "The bucket has none")
        return self.settings[name]

    @operation
    def put_bucket_policy(self, *, Policy: str, **_: Any) -> None:  # noqa: N803
        self.settings["policy"] = {"Policy": Policy}

    @operation
    def put_bucket_lifecycle_configuration(self, *, LifecycleConfiguration: Any, **_: Any) -> None:  # noqa: N803
        rules = LifecycleConfiguration["Rules"]
        assert len({"Filter" in one for one in rules}) == 1, "S3 takes no mixture"
        self.settings["lifecycle"] = LifecycleConfiguration

    @operation
    def put_public_access_block(self, **request: Any) -> None:
        self.settings["block"] = request

    @operation
    def put_bucket_encryption(self, **request: Any) -> None:
        self.settings["encryption"] = request

    @operation
    def put_bucket_ownership_controls(self, **request: Any) -> None:
        self.settings["ownership"] = request


class FakeSts(FakeService):
    """The account of the documentation."""

    @operation
    def get_caller_identity(self) -> Any:
        return {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/u"}


class FakeKinesis(FakeService):
    """One stream, whose shards are at most doubled, and at most halved."""

    def __init__(self, aws: "FakeAws") -> None:
        super().__init__(aws)
        self.shards = 2
        self.is_on_demand = False

    def change(self, old: str | None, new: str) -> str:
        """Do what CloudFormation does when the parameter changes, or return why Kinesis refuses."""
        if old == new:
            return ""
        if new == "on-demand":
            self.is_on_demand, self.shards = True, 4 if old is None else self.shards
            return ""
        if old is not None and int(new) > 2 * self.shards:
            return f"UpdateShardCount cannot scale up over double your current open shard count. {self.shards}, {new}"
        if old is not None and 2 * int(new) < self.shards:
            return f"UpdateShardCount cannot scale down below half your open shard count. {self.shards}, {new}"
        self.is_on_demand, self.shards = False, int(new)
        return ""

    @operation
    def describe_stream_summary(self, *, StreamName: str) -> Any:  # noqa: N803
        del StreamName
        mode = {"StreamMode": "ON_DEMAND" if self.is_on_demand else "PROVISIONED"}
        summary = {"StreamStatus": "ACTIVE", "OpenShardCount": self.shards, "StreamModeDetails": mode}
        return {"StreamDescriptionSummary": summary}


class FakeCloudWatch(FakeService):
    """Metrics with one value each, by their names."""

    def __init__(self, aws: "FakeAws") -> None:
        super().__init__(aws)
        self.values: dict[str, float] = {}

    @operation
    def get_metric_data(self, *, MetricDataQueries: Any, StartTime: datetime, EndTime: datetime) -> Any:  # noqa: N803
        assert timedelta(0) < EndTime - StartTime <= timedelta(days=1)
        names = {
            one["Id"]: one["MetricStat"]["Metric"]["MetricName"]
            if "MetricStat" in one
            else one["Expression"].partition('MetricName="')[2].partition('"')[0]
            for one in MetricDataQueries
        }
        return {
            "MetricDataResults": [
                {"Id": own, "Values": [self.values[name]] if name in self.values else []} for own, name in names.items()
            ]
        }


class FakeAws(Opener):
    """All services; opens them as an account for commands."""

    bucket = "toptalkers-bucket"

    def __init__(self) -> None:
        self.region = REGION
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing: dict[str, tuple[str, str]] = {}
        self.cfn = FakeCloudFormation(self)
        self.compute = FakeEc2(self)
        self.store = FakeS3(self)
        self.streams = FakeKinesis(self)
        self.measures = FakeCloudWatch(self)
        self.identity = FakeSts(self)
        self.slept = 0.0

    @property
    def mutations(self) -> list[str]:
        """The called operations that change something, in order."""
        return [name for name, _ in self.calls if not name.startswith(READING)]

    def request(self, name: str) -> dict[str, Any]:
        """The last request of an operation."""
        return [request for called, request in self.calls if called == name][-1]

    def open(
        self, *, region: str | None = None, profile: str | None = None, role: RoleToAssume | None = None
    ) -> Account:
        """Open the account, for any Region."""
        del region, profile, role

        def sleep(seconds: float) -> None:
            self.slept += seconds

        return Account(self.client, region=self.region, sleep=sleep, now=lambda: NOW)

    def client(self, service: str, *, once: bool = False, slow: bool = False) -> Any:
        """Return the client of a service."""
        del once, slow
        return {
            "cloudformation": self.cfn,
            "cloudwatch": self.measures,
            "ec2": self.compute,
            "kinesis": self.streams,
            "s3": self.store,
            "sts": self.identity,
        }[service]
