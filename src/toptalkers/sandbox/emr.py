"""An emulated EMR: what the operations of its API answer, with requests checked as EMR checks them.

It has the operations that `toptalkers` calls, and those that `aws emr create-cluster`, `describe-cluster`,
`list-clusters`, `add-steps`, `describe-step`, `cancel-steps` and `terminate-clusters` call. A request must fit
botocore's model, and must not break EMR's rules for such clusters.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

import botocore.session
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from toptalkers.sandbox.emr_cluster import (
    ENDED,
    CheckStart,
    Clock,
    Cluster,
    Machinery,
    Pace,
    PutLog,
    RunStep,
    Step,
    WallClock,
)
from toptalkers.sandbox.emr_faults import TAG, Fault, parse_faults, parse_quota
from toptalkers.sandbox.offers import architecture_of, instance_types, memory_gib_of, vcpus_of
from toptalkers.sandbox.service_quotas import MANY

Json = dict[str, Any]

HADOOP_BY_RELEASE = {
    "emr-7.14.0": "3.4.2",
    "emr-7.13.0": "3.4.2",
    "emr-7.12.0": "3.4.1",
    "emr-7.11.0": "3.4.1",
    "emr-7.10.0": "3.4.1",
    "emr-7.3.0": "3.3.6",
}
"""The releases, and their Hadoop in the answers; the steps always run on 3.4.2."""

MAX_STEPS = 256

PAGE = 50
"""The most clusters or steps in one answer; its Marker leads to the rest."""

STOP_SECONDS = 20
"""How long to wait for steps to stop."""

CAPACITIES = ("InstanceCount", "TargetOnDemandCapacity", "TargetSpotCapacity")
"""The members that hold the size of an instance group or fleet."""

ID_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class RefusedError(Exception):
    """A request that EMR would refuse, with EMR's error code."""

    def __init__(self, code: str, message: str) -> None:
        """Take the code and the message."""
        super().__init__(message)
        self.code = code


def new_id(prefix: str) -> str:
    """Make an id as EMR does: `j-` or `s-` and letters."""
    return prefix + "".join(secrets.choice(ID_LETTERS) for _ in range(13))


class Emr:
    """All clusters of an account. Operations may be called from any thread.

    Attributes:
        pace: how long the state changes of new clusters take.
        faults: the faults of new clusters.
        operations: the names of all operations.

    """

    def __init__(
        self,
        *,
        state_dir: Path,
        run_step: RunStep,
        put_log: PutLog,
        clock: Clock | None = None,
        pace: Pace | None = None,
        faults: frozenset[Fault] = frozenset(),
        account: str = "123456789012",
        region: str = "us-east-1",
        quota: int = MANY,
        has_instance_profile: Callable[[str], bool] = lambda _: True,
        check_start: CheckStart = lambda _request, _quota: None,
        may_log: Callable[[str, str], bool] = lambda _profile, _address: True,
        new_id: Callable[[str], str] = new_id,
    ) -> None:
        """Begin without a cluster.

        Args:
            state_dir: the folder that holds a folder per cluster, with its home directory and its logs.
            run_step: runs a step.
            put_log: stores a log file.
            clock: the clock of all clusters; by default this machine's.
            pace: see above.
            faults: see above.
            account: the account in ARNs.
            region: the Region in ARNs.
            quota: the vCPUs that the account may run, unless a cluster's tag says otherwise.
            has_instance_profile: whether IAM has an instance profile; EMR refuses one that does not exist.
            check_start: returns why EMR ends a new cluster, by its request and the quota; None if it starts.
            may_log: whether the nodes of an instance profile may put an object at an address.
            new_id: makes an id that begins with `j-` or `s-`.

        """
        self.pace = pace or Pace()
        self.faults = faults
        self._quota = quota
        self._machinery = Machinery(
            clock or WallClock(), run_step, put_log, new_id, state_dir, check_start=check_start, may_log=may_log
        )
        self._arn = f"arn:aws:elasticmapreduce:{region}:{account}:cluster/"
        self._region = region
        self._has_instance_profile = has_instance_profile
        self._clusters: dict[str, Cluster] = {}
        self._operations: dict[str, Callable[[Json], Json]] = {
            "AddJobFlowSteps": self._add_job_flow_steps,
            "AddTags": self._add_tags,
            "CancelSteps": self._cancel_steps,
            "DescribeCluster": lambda request: {"Cluster": self._describe(self._find(request["ClusterId"]))},
            "DescribeStep": self._describe_step,
            "GetBlockPublicAccessConfiguration": self._get_block_public_access,
            "ListBootstrapActions": self._list_bootstrap_actions,
            "ListClusters": self._list_clusters,
            "ListInstanceFleets": self._list_instance_fleets,
            "ListInstanceGroups": self._list_instance_groups,
            "ListReleaseLabels": self._list_release_labels,
            "ListSteps": self._list_steps,
            "ListSupportedInstanceTypes": self._list_supported_instance_types,
            "RemoveTags": self._remove_tags,
            "RunJobFlow": self._run_job_flow,
            "TerminateJobFlows": self._terminate_job_flows,
        }
        self.operations = tuple(self._operations)

    def perform(self, operation: str, request: Json) -> Json:
        """Serve an operation, by its name in the API.

        Raises:
            RefusedError: there is no such operation here, or EMR would refuse the request.

        """
        if operation not in self._operations:
            raise RefusedError("UnknownOperationException", f"the sandbox's EMR does not know {operation!r}")
        _check(request, _model().operation_model(operation).input_shape, "request")
        with self._machinery.lock:
            return self._operations[operation](request)

    def stop(self) -> None:
        """End every cluster, and wait until their steps have stopped."""
        with self._machinery.lock:
            for cluster in self._clusters.values():
                cluster.end()
            steps = [step for cluster in self._clusters.values() for step in cluster.steps]
            self._machinery.lock.wait_for(lambda: not any(step.is_running for step in steps), STOP_SECONDS)

    def _run_job_flow(self, request: Json) -> Json:
        self._check_cluster(request)
        _check_steps(request.get("Steps", []), 0)
        asked = " ".join(tag.get("Value", "") for tag in request.get("Tags", []) if tag.get("Key") == TAG)
        try:
            faults, quota = self.faults | parse_faults(asked), parse_quota(asked)
        except ValueError as error:
            raise RefusedError("ValidationException", f"tag {TAG}: {error}") from None
        quota = self._quota if quota is None else quota
        cluster = Cluster(request, self._machinery, pace=self.pace, faults=faults, quota=quota)
        self._clusters[cluster.id] = cluster
        return {"JobFlowId": cluster.id, "ClusterArn": self._arn + cluster.id}

    def _check_cluster(self, request: Json) -> None:
        instances = request["Instances"]
        groups, fleets = instances.get("InstanceGroups", []), instances.get("InstanceFleets", [])
        subnets = instances.get("Ec2SubnetIds", [])
        roles = [one["InstanceRole"] for one in groups] or [one["InstanceFleetType"] for one in fleets]
        configs = [*groups, *(config for fleet in fleets for config in fleet.get("InstanceTypeConfigs", []))]
        wrong_types = [one["InstanceType"] for one in configs if not _is_instance_type(one["InstanceType"])]
        release, profile = request.get("ReleaseLabel"), request.get("JobFlowRole", "")
        for is_wrong, message in (
            (bool(groups) == bool(fleets), "Give either instance groups or instance fleets."),
            (roles.count("MASTER") != 1, "A cluster needs one MASTER instance group or fleet."),
            (roles.count("CORE") > 1, "A cluster has at most one CORE group or fleet."),
            (fleets and instances.get("Ec2SubnetId"), "Instance fleets take Ec2SubnetIds, not Ec2SubnetId."),
            (
                groups and len(subnets) > 1,
                "Instance groups take one subnet; several need fleets.",
            ),
            (release not in HADOOP_BY_RELEASE, f"The supplied release label is invalid: {release}."),
            (wrong_types, f"Instance type '{next(iter(wrong_types), '')}' is not supported."),
            (
                any(sum(one.get(name, 0) for name in CAPACITIES) < 1 for one in (*groups, *fleets)),
                "An instance group or fleet needs at least one instance.",
            ),
            (not request.get("ServiceRole"), "ServiceRole is required for creating cluster."),
            (not profile or not self._has_instance_profile(profile), f"Invalid InstanceProfile: {profile}."),
            (
                not str(request.get("LogUri", "s3://")).startswith(("s3://", "s3n://")),
                "The log URI must be an S3 location.",
            ),
            (
                request.get("StepConcurrencyLevel", 1) != 1,
                "The sandbox runs one step at a time: StepConcurrencyLevel.",
            ),
            (instances.get("TerminationProtected"), "The sandbox does not protect clusters: TerminationProtected."),
            (
                not 60 <= request.get("AutoTerminationPolicy", {}).get("IdleTimeout", 60) <= 604_800,
                "IdleTimeout must be between 60 and 604800 seconds.",
            ),
        ):
            if is_wrong:
                raise RefusedError("ValidationException", message)

    def _add_job_flow_steps(self, request: Json) -> Json:
        cluster = self._find(request["JobFlowId"])
        if cluster.is_over:
            raise RefusedError(
                "ValidationException", "A job flow that is shutting down, terminated, or finished may not be modified."
            )
        _check_steps(request["Steps"], len(cluster.steps))
        return {"StepIds": cluster.add_steps(request["Steps"])}

    def _cancel_steps(self, request: Json) -> Json:
        cluster = self._find(request["ClusterId"])
        reasons = [(step_id, cluster.cancel_step(step_id)) for step_id in request["StepIds"]]
        return {
            "CancelStepsInfoList": [
                {"StepId": step_id, **({"Status": "FAILED", "Reason": reason} if reason else {"Status": "SUBMITTED"})}
                for step_id, reason in reasons
            ]
        }

    def _terminate_job_flows(self, request: Json) -> Json:
        for cluster in [self._find(cluster_id) for cluster_id in request["JobFlowIds"]]:
            cluster.end()
        return {}

    def _describe_step(self, request: Json) -> Json:
        for step in self._find(request["ClusterId"]).steps:
            if step.id == request["StepId"]:
                return {"Step": _describe_step(step)}
        raise RefusedError("InvalidRequestException", f"Step id '{request['StepId']}' is not valid.")

    def _list_steps(self, request: Json) -> Json:
        steps = [
            _describe_step(step)
            for step in reversed(self._find(request["ClusterId"]).steps)  # the newest first, as EMR has it
            if step.state in request.get("StepStates", [step.state]) and step.id in request.get("StepIds", [step.id])
        ]
        return _page("Steps", steps, request.get("Marker"))

    def _list_clusters(self, request: Json) -> Json:
        found = [
            {
                "Id": cluster.id,
                "Name": cluster.request["Name"],
                "Status": _describe_status(cluster),
                "ClusterArn": self._arn + cluster.id,
            }
            for cluster in reversed(self._clusters.values())  # the newest first, as EMR has it
            if cluster.state in request.get("ClusterStates", [cluster.state])
            and cluster.created >= _moment(request.get("CreatedAfter", 0))
            and cluster.created < _moment(request.get("CreatedBefore", 1e11))
        ]
        return _page("Clusters", found, request.get("Marker"))

    def _list_bootstrap_actions(self, request: Json) -> Json:
        actions = self._find(request["ClusterId"]).request.get("BootstrapActions", [])
        scripts = [(action["Name"], action["ScriptBootstrapAction"]) for action in actions]
        return {
            "BootstrapActions": [
                {"Name": name, "ScriptPath": script["Path"], "Args": script.get("Args", [])} for name, script in scripts
            ]
        }

    def _list_instance_groups(self, request: Json) -> Json:
        cluster, groups, is_running = self._find_instances(request["ClusterId"], "groups")
        return {
            "InstanceGroups": [
                {
                    "Id": f"ig-{number:013d}",
                    "Name": group.get("Name", ""),
                    "Market": group.get("Market", "ON_DEMAND"),
                    "InstanceGroupType": group["InstanceRole"],
                    "InstanceType": group["InstanceType"],
                    "RequestedInstanceCount": group["InstanceCount"],
                    "RunningInstanceCount": group["InstanceCount"] * is_running,
                    "Status": {"State": _capacity_state(cluster)},
                }
                for number, group in enumerate(groups)
            ]
        }

    def _list_instance_fleets(self, request: Json) -> Json:
        cluster, fleets, is_running = self._find_instances(request["ClusterId"], "fleets")
        return {
            "InstanceFleets": [
                {
                    "Id": f"if-{number:013d}",
                    "Name": fleet.get("Name", ""),
                    "Status": {"State": _capacity_state(cluster)},
                    "InstanceFleetType": fleet["InstanceFleetType"],
                    "TargetOnDemandCapacity": fleet.get("TargetOnDemandCapacity", 0),
                    "TargetSpotCapacity": fleet.get("TargetSpotCapacity", 0),
                    "ProvisionedOnDemandCapacity": fleet.get("TargetOnDemandCapacity", 0) * is_running,
                    "ProvisionedSpotCapacity": fleet.get("TargetSpotCapacity", 0) * is_running,
                    "InstanceTypeSpecifications": [
                        {"InstanceType": one["InstanceType"]} for one in fleet.get("InstanceTypeConfigs", [])
                    ],
                }
                for number, fleet in enumerate(fleets)
            ]
        }

    def _find_instances(self, cluster_id: str, kind: Literal["groups", "fleets"]) -> tuple[Cluster, list[Json], bool]:
        """Return a cluster, its instance groups or fleets as requested, and whether they are running."""
        cluster = self._find(cluster_id)
        found = cluster.request["Instances"].get(f"Instance{kind.title()}")
        if found is None:
            other = "fleets" if kind == "groups" else "groups"
            raise RefusedError("InvalidRequestException", f"The cluster uses instance {other}, not instance {kind}.")
        return cluster, found, cluster.ready is not None and cluster.state not in ENDED

    def _list_release_labels(self, request: Json) -> Json:
        filters = request.get("Filters", {})
        if "Application" in filters:
            raise RefusedError("ValidationException", "The sandbox filters releases only by Prefix.")
        prefix = filters.get("Prefix", "emr")
        return {"ReleaseLabels": [label for label in HADOOP_BY_RELEASE if label.startswith(prefix)]}

    def _list_supported_instance_types(self, request: Json) -> Json:
        if request["ReleaseLabel"] not in HADOOP_BY_RELEASE:
            message = f"The supplied release label is invalid: {request['ReleaseLabel']}."
            raise RefusedError("InvalidRequestException", message)
        found = [
            {
                "Type": name,
                "MemoryGB": float(memory_gib_of(name)),
                "StorageGB": 0,
                "VCPU": vcpus_of(name),
                "Is64BitsOnly": True,
                "InstanceFamilyId": name.partition(".")[0],
                "EbsOptimizedAvailable": True,
                "EbsOptimizedByDefault": True,
                "NumberOfDisks": 0,
                "EbsStorageOnly": True,
                "Architecture": architecture_of(name).upper(),
            }
            for name in instance_types()
        ]
        return _page("SupportedInstanceTypes", found, request.get("Marker"))

    def _get_block_public_access(self, request: Json) -> Json:  # noqa: ARG002 - the operation takes no members
        return {
            "BlockPublicAccessConfiguration": {
                "BlockPublicSecurityGroupRules": True,
                "PermittedPublicSecurityGroupRuleRanges": [{"MinRange": 22, "MaxRange": 22}],
            },
            "BlockPublicAccessConfigurationMetadata": {
                "CreationDateTime": datetime(2020, 1, 1, tzinfo=UTC),
                "CreatedByArn": self._arn.partition(":cluster/")[0].replace("elasticmapreduce", "iam") + ":root",
            },
        }

    def _add_tags(self, request: Json) -> Json:
        new = {tag["Key"]: tag.get("Value", "") for tag in request["Tags"]}
        return self._set_tags(request["ResourceId"], lambda tags: tags | new)

    def _remove_tags(self, request: Json) -> Json:
        gone = request["TagKeys"]
        return self._set_tags(
            request["ResourceId"], lambda tags: {key: value for key, value in tags.items() if key not in gone}
        )

    def _set_tags(self, resource: str, change: Callable[[dict[str, str]], dict[str, str]]) -> Json:
        cluster = self._find(resource)
        tags = change({tag["Key"]: tag.get("Value", "") for tag in cluster.request.get("Tags", [])})
        cluster.request = {**cluster.request, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        return {}

    def _describe(self, cluster: Cluster) -> Json:
        request, instances = cluster.request, cluster.request["Instances"]
        kept = (
            "Name", "LogUri", "ReleaseLabel", "ServiceRole", "SecurityConfiguration", "ScaleDownBehavior", "Tags",
            "EbsRootVolumeSize", "Configurations", "OSReleaseLabel", "LogEncryptionKmsKeyId",
        )  # fmt: skip
        subnets = instances.get("Ec2SubnetIds", []) or [instances.get("Ec2SubnetId", "subnet-0123456789abcdef0")]
        return {
            "Id": cluster.id,
            **{name: request[name] for name in kept if name in request},
            "Status": _describe_status(cluster),
            "ClusterArn": self._arn + cluster.id,
            "AutoTerminate": not cluster.is_kept_alive,
            "TerminationProtected": False,
            "VisibleToAllUsers": True,
            "Applications": [
                {"Name": application["Name"], "Version": HADOOP_BY_RELEASE[request["ReleaseLabel"]]}
                for application in request.get("Applications", [{"Name": "Hadoop"}])
                if application["Name"] == "Hadoop"
            ],
            "InstanceCollectionType": "INSTANCE_FLEET" if "InstanceFleets" in instances else "INSTANCE_GROUP",
            "MasterPublicDnsName": "ip-10-0-0-5.ec2.internal" if cluster.ready else "",
            "StepConcurrencyLevel": 1,
            "Ec2InstanceAttributes": {
                "IamInstanceProfile": request["JobFlowRole"],
                "Ec2SubnetId": subnets[0],
                "RequestedEc2SubnetIds": subnets,
                "Ec2AvailabilityZone": f"{self._region}a",
                **({"Ec2KeyName": instances["Ec2KeyName"]} if "Ec2KeyName" in instances else {}),
            },
        }

    def _find(self, cluster_id: str) -> Cluster:
        cluster = self._clusters.get(cluster_id)
        if cluster is None:
            raise RefusedError("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
        if cluster.calls_to_refuse:
            cluster.calls_to_refuse -= 1
            raise RefusedError("ThrottlingException", "Rate exceeded")
        if cluster.calls_to_answer == 0:
            raise RefusedError("ExpiredTokenException", "The security token included in the request is expired")
        if cluster.calls_to_answer:
            cluster.calls_to_answer -= 1
        return cluster


@cache
def _model() -> ServiceModel:
    return botocore.session.Session().get_service_model("emr")


def check_answer(operation: str, answer: Json) -> None:
    """Raise RefusedError for an answer that does not fit botocore's model: clients drop unknown members silently."""
    if shape := _model().operation_model(operation).output_shape:
        _check(answer, shape, "answer")


def _check_steps(steps: Sequence[Mapping[str, Any]], there_already: int) -> None:
    if there_already + len(steps) > MAX_STEPS:
        raise RefusedError("ValidationException", f"Maximum number of steps for job flow exceeded: {MAX_STEPS}.")
    for step in steps:
        if PurePosixPath(step["HadoopJarStep"]["Jar"]).name != "command-runner.jar":
            raise RefusedError("ValidationException", f"The sandbox runs only command-runner.jar: {step['Name']}.")


def _is_instance_type(name: str) -> bool:
    return name in instance_types()


def _describe_status(cluster: Cluster) -> Json:
    times = {"CreationDateTime": cluster.created, "ReadyDateTime": cluster.ready, "EndDateTime": cluster.ended}
    status: Json = {"State": cluster.state, "StateChangeReason": dict(cluster.reason), "Timeline": _given(times)}
    return status | _given({"ErrorDetails": cluster.error_details})


def _describe_step(step: Step) -> Json:
    times = {"CreationDateTime": step.created, "StartDateTime": step.started, "EndDateTime": step.ended}
    status: Json = {"State": step.state, "StateChangeReason": {}, "Timeline": _given(times)}
    jar_step = step.config["HadoopJarStep"]
    config: Json = {"Jar": jar_step["Jar"], "Args": jar_step.get("Args", []), "Properties": {}}
    return {
        "Id": step.id,
        "Name": step.config["Name"],
        "Config": config | _given({"MainClass": jar_step.get("MainClass")}),
        "ActionOnFailure": step.on_failure,
        "Status": status | _given({"FailureDetails": step.failure}),
    }


def _given(members: Json) -> Json:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value}


def _capacity_state(cluster: Cluster) -> str:
    state = {"STARTING": "PROVISIONING", "WAITING": "RUNNING"}.get(cluster.state, cluster.state)
    return "TERMINATED" if state in ENDED else state


def _page(name: str, items: list[Json], marker: str | None) -> Json:
    start = int(marker) if marker and marker.isdigit() else 0
    answer: Json = {name: items[start : start + PAGE]}
    if start + PAGE < len(items):
        answer["Marker"] = str(start + PAGE)
    return answer


def _moment(time: datetime | float) -> datetime:
    return time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)


def _check(value: dict[str, Any], shape: Shape | None, what: str) -> None:
    if shape is None:
        if value:
            raise RefusedError("ValidationException", f"{what}: takes no members")
        return
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        raise RefusedError("ValidationException", f"{what}: {report.generate_report()}")
    for problem in _wrong_enums(value, shape, what):
        raise RefusedError("ValidationException", problem)
    too_long = list(_too_long(value, shape, ""))
    if too_long:
        plural = "s" * (len(too_long) > 1)
        detected = f"{len(too_long)} validation error{plural} detected: {'; '.join(too_long)}"
        raise RefusedError("ValidationException", detected)


def _too_long(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Yield what AWS says to each text that is longer than the model allows; botocore itself does not look."""
    if isinstance(shape, StructureShape):
        for name, member in cast("Mapping[str, Any]", value).items():
            yield from _too_long(member, shape.members[name], f"{path}.{name[0].lower()}{name[1:]}")
    elif isinstance(shape, ListShape):
        for number, member in enumerate(value, start=1):
            yield from _too_long(member, shape.member, f"{path}.{number}.member")
    elif isinstance(shape, MapShape):
        for name, member in value.items():
            yield from _too_long(member, shape.value, f"{path}.{name}.member")
    elif isinstance(shape, StringShape) and len(value) > shape.metadata.get("max", len(value)):
        yield (
            f"Value '{value}' at '{path.lstrip('.')}' failed to satisfy constraint:"
            f" Member must have length less than or equal to {shape.metadata['max']}"
        )


def _wrong_enums(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Yield a problem for each value that the model does not enumerate; botocore itself accepts them."""
    if isinstance(shape, StructureShape):
        for name, member in cast("Mapping[str, Any]", value).items():
            yield from _wrong_enums(member, shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for number, member in enumerate(value):
            yield from _wrong_enums(member, shape.member, f"{path}[{number}]")
    elif isinstance(shape, MapShape):
        for name, member in value.items():
            yield from _wrong_enums(member, shape.value, f"{path}.{name}")
    elif isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is not one of {', '.join(shape.enum)}"
