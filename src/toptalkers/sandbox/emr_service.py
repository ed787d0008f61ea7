"""What the operations of EMR's API answer: clusters by id, requests checked as EMR checks them.

Each operation takes a request that already fits botocore's model of it, and returns an answer that does. What
is refused beyond the model are the rules that a request for these clusters can break.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from toptalkers.sandbox.emr_cluster import ENDED, Cluster, Pace, PutLog, RunStep, Step, instance_counts, new_id
from toptalkers.sandbox.emr_faults import TAG, THROTTLED_CALLS, Fault, parse_faults

Json = dict[str, Any]

HADOOP_BY_RELEASE = {
    "emr-7.14.0": "3.4.2",
    "emr-7.13.0": "3.4.2",
    "emr-7.12.0": "3.4.1",
    "emr-7.11.0": "3.4.1",
    "emr-7.10.0": "3.4.1",
    "emr-7.3.0": "3.3.6",
}
"""Releases that can be asked for, and their Hadoop; the steps run on 3.4.2 whichever it is."""

MEMORY_PER_VCPU_GB = {"c": 2, "m": 4, "r": 8}

FAMILIES = ("c6i", "c7i", "m5", "m6i", "m7i", "r6i", "r7i", "c6g", "c7g", "m6g", "m7g", "m8g", "r6g", "r7g", "r8g")

VCPUS = {"xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64}

MAX_STEPS = 256

PAGE = 50
"""Clusters or steps in an answer; the rest comes by Marker."""


class RefusedError(Exception):
    """A request that EMR would refuse, with the error code that it would give."""

    def __init__(self, code: str, message: str) -> None:
        """Take the code and the message."""
        super().__init__(message)
        self.code = code


class EmrService:
    """All clusters of a sandbox. Operations may be called from any thread."""

    def __init__(
        self,
        *,
        state_dir: Path,
        run_step: RunStep,
        put_log: PutLog,
        pace: Pace | None = None,
        faults: frozenset[Fault] = frozenset(),
        account: str = "123456789012",
        region: str = "us-east-1",
        has_instance_profile: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Begin without a cluster.

        Args:
            state_dir: holds a folder for each cluster: its home directory and its logs.
            run_step: runs a step.
            put_log: stores a log file.
            pace: how long state changes take.
            faults: what goes wrong with every cluster.
            account: in ARNs.
            region: in ARNs.
            has_instance_profile: whether IAM knows an instance profile; EMR refuses one that it does not.

        """
        self._state_dir = state_dir
        self._run_step = run_step
        self._put_log = put_log
        self._pace = pace or Pace()
        self._faults = faults
        self._arn = f"arn:aws:elasticmapreduce:{region}:{account}:cluster/"
        self._region = region
        self._has_instance_profile = has_instance_profile
        self._clusters: dict[str, Cluster] = {}
        self._throttled: dict[str, int] = {}
        self._lock = threading.Lock()

    def operations(self) -> dict[str, Callable[[Json], Json]]:
        """What is understood, by its name in the API."""
        return {
            "AddJobFlowSteps": self._add_job_flow_steps,
            "CancelSteps": self._cancel_steps,
            "DescribeCluster": lambda request: {"Cluster": self._describe(self._find(request["ClusterId"]))},
            "DescribeReleaseLabel": self._describe_release_label,
            "DescribeStep": self._describe_step,
            "GetAutoTerminationPolicy": self._get_auto_termination_policy,
            "ListBootstrapActions": self._list_bootstrap_actions,
            "ListClusters": self._list_clusters,
            "ListInstanceFleets": self._list_instance_fleets,
            "ListInstanceGroups": self._list_instance_groups,
            "ListInstances": self._list_instances,
            "ListReleaseLabels": self._list_release_labels,
            "ListSteps": self._list_steps,
            "ListSupportedInstanceTypes": self._list_supported_instance_types,
            "PutAutoTerminationPolicy": self._put_auto_termination_policy,
            "RemoveAutoTerminationPolicy": self._put_auto_termination_policy,
            "RunJobFlow": self._run_job_flow,
            "SetKeepJobFlowAliveWhenNoSteps": self._set_keep_alive,
            "SetTerminationProtection": self._set_termination_protection,
            "TerminateJobFlows": self._terminate_job_flows,
        }

    def stop(self) -> None:
        """End every cluster, and see their steps end."""
        with self._lock:
            clusters = list(self._clusters.values())
        for cluster in clusters:
            cluster.terminate()
        for cluster in clusters:
            cluster.join(20)

    def _run_job_flow(self, request: Json) -> Json:
        self._check_cluster(request)
        _check_steps(request.get("Steps", []), 0)
        try:
            faults = self._faults | parse_faults(
                " ".join(tag.get("Value", "") for tag in request.get("Tags", []) if tag.get("Key") == TAG)
            )
        except ValueError as error:
            raise RefusedError("ValidationException", f"tag {TAG}: {error}") from None
        cluster_id = new_id("j-")
        cluster = Cluster(
            cluster_id,
            request,
            work_dir=self._state_dir / cluster_id,
            run_step=self._run_step,
            put_log=self._put_log,
            pace=self._pace,
            faults=faults,
        )
        with self._lock:
            self._clusters[cluster_id] = cluster
            if Fault.THROTTLING in faults:
                self._throttled[cluster_id] = THROTTLED_CALLS
        cluster.start()
        return {"JobFlowId": cluster_id, "ClusterArn": self._arn + cluster_id}

    def _check_cluster(self, request: Json) -> None:
        instances = request["Instances"]
        groups, fleets = instances.get("InstanceGroups", []), instances.get("InstanceFleets", [])
        if bool(groups) == bool(fleets):
            raise RefusedError("ValidationException", "Give either instance groups or instance fleets.")
        kind, of = ("InstanceFleetType", fleets) if fleets else ("InstanceRole", groups)
        primaries = [group for group in of if group[kind] == "MASTER"]
        if len(primaries) != 1:
            raise RefusedError("ValidationException", "A cluster needs one MASTER instance group or fleet.")
        for name in ("MASTER", "CORE"):
            if sum(group[kind] == name for group in of) > 1:
                raise RefusedError("ValidationException", f"A cluster has at most one {name} group or fleet.")
        if fleets and instances.get("Ec2SubnetId"):
            raise RefusedError("ValidationException", "Instance fleets take Ec2SubnetIds, not Ec2SubnetId.")
        if groups and len(instances.get("Ec2SubnetIds", [])) > 1:
            raise RefusedError("ValidationException", "Instance groups take one subnet; several need fleets.")
        release = request.get("ReleaseLabel")
        if release not in HADOOP_BY_RELEASE:
            raise RefusedError("ValidationException", f"The supplied release label is invalid: {release}.")
        supported = {supported["Type"] for supported in supported_instance_types()}
        asked = [instance_type for instance_type, _ in instance_counts(instances)]
        asked += [config["InstanceType"] for fleet in fleets for config in fleet.get("InstanceTypeConfigs", [])]
        for instance_type in asked:
            if instance_type not in supported:
                raise RefusedError("ValidationException", f"Instance type '{instance_type}' is not supported.")
        for _, count in instance_counts(instances):
            if count < 1:
                raise RefusedError("ValidationException", "An instance group or fleet needs at least one instance.")
        if not request.get("ServiceRole"):
            raise RefusedError("ValidationException", "ServiceRole is required for creating cluster.")
        profile = request.get("JobFlowRole", "")
        if not profile or not self._has_instance_profile(profile):
            raise RefusedError("ValidationException", f"Invalid InstanceProfile: {profile}.")
        if not str(request.get("LogUri", "s3://")).startswith(("s3://", "s3n://")):
            raise RefusedError("ValidationException", "The log URI must be an S3 location.")
        if request.get("StepConcurrencyLevel", 1) != 1:
            raise RefusedError("ValidationException", "The sandbox runs one step at a time: StepConcurrencyLevel.")
        _check_idle_timeout(request.get("AutoTerminationPolicy", {}))

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
        answers = []
        for step_id in request["StepIds"]:
            reason = cluster.cancel_step(step_id)
            answers.append(
                {"StepId": step_id, "Status": "FAILED", "Reason": reason}
                if reason
                else {"StepId": step_id, "Status": "SUBMITTED"}
            )
        return {"CancelStepsInfoList": answers}

    def _terminate_job_flows(self, request: Json) -> Json:
        clusters = [self._find(cluster_id) for cluster_id in request["JobFlowIds"]]
        for cluster in clusters:
            if not cluster.is_protected:
                cluster.terminate()
        if any(cluster.is_protected for cluster in clusters):
            raise RefusedError(
                "ValidationException", "Could not shut down one or more job flows since they are termination protected."
            )
        return {}

    def _set_termination_protection(self, request: Json) -> Json:
        for cluster_id in request["JobFlowIds"]:
            self._find(cluster_id).is_protected = request["TerminationProtected"]
        return {}

    def _set_keep_alive(self, request: Json) -> Json:
        for cluster_id in request["JobFlowIds"]:
            cluster = self._find(cluster_id)
            with cluster.lock:
                cluster.is_kept_alive = request["KeepJobFlowAliveWhenNoSteps"]
        return {}

    def _put_auto_termination_policy(self, request: Json) -> Json:
        policy = request.get("AutoTerminationPolicy", {})
        _check_idle_timeout(policy)
        cluster = self._find(request["ClusterId"])
        with cluster.lock:
            cluster.idle_timeout_s = policy.get("IdleTimeout")
            cluster.lock.notify_all()
        return {}

    def _get_auto_termination_policy(self, request: Json) -> Json:
        timeout_s = self._find(request["ClusterId"]).idle_timeout_s
        return {} if timeout_s is None else {"AutoTerminationPolicy": {"IdleTimeout": timeout_s}}

    def _describe_step(self, request: Json) -> Json:
        cluster = self._find(request["ClusterId"])
        with cluster.lock:
            for step in cluster.steps:
                if step.id == request["StepId"]:
                    return {"Step": _describe_step(step)}
        raise RefusedError("InvalidRequestException", f"Step id '{request['StepId']}' is not valid.")

    def _list_steps(self, request: Json) -> Json:
        cluster = self._find(request["ClusterId"])
        with cluster.lock:
            steps = [
                _describe_step(step)
                for step in reversed(cluster.steps)  # the newest first, as EMR has it
                if step.state in request.get("StepStates", [step.state])
                and step.id in request.get("StepIds", [step.id])
            ]
        return _page("Steps", steps, request.get("Marker"))

    def _list_clusters(self, request: Json) -> Json:
        with self._lock:
            clusters = sorted(self._clusters.values(), key=lambda cluster: cluster.created, reverse=True)
        found = [
            {
                "Id": cluster.id,
                "Name": cluster.request["Name"],
                "Status": _describe_status(cluster),
                "NormalizedInstanceHours": cluster.normalized_instance_hours(),
                "ClusterArn": self._arn + cluster.id,
            }
            for cluster in clusters
            if cluster.state in request.get("ClusterStates", [cluster.state])
            and cluster.created >= _moment(request.get("CreatedAfter", 0))
            and cluster.created < _moment(request.get("CreatedBefore", 1e11))
        ]
        return _page("Clusters", found, request.get("Marker"))

    def _list_bootstrap_actions(self, request: Json) -> Json:
        actions = self._find(request["ClusterId"]).request.get("BootstrapActions", [])
        return {
            "BootstrapActions": [
                {
                    "Name": action["Name"],
                    "ScriptPath": action["ScriptBootstrapAction"]["Path"],
                    "Args": action["ScriptBootstrapAction"].get("Args", []),
                }
                for action in actions
            ]
        }

    def _list_instance_groups(self, request: Json) -> Json:
        cluster = self._find(request["ClusterId"])
        if "InstanceGroups" not in cluster.request["Instances"]:
            raise RefusedError("InvalidRequestException", "The cluster uses instance fleets, not instance groups.")
        running = cluster.ready is not None and cluster.state not in ENDED
        return {
            "InstanceGroups": [
                {
                    "Id": f"ig-{number:013d}",
                    "Name": group.get("Name", ""),
                    "Market": group.get("Market", "ON_DEMAND"),
                    "InstanceGroupType": group["InstanceRole"],
                    "InstanceType": group["InstanceType"],
                    "RequestedInstanceCount": group["InstanceCount"],
                    "RunningInstanceCount": group["InstanceCount"] if running else 0,
                    "Status": {"State": _capacity_state(cluster)},
                }
                for number, group in enumerate(cluster.request["Instances"]["InstanceGroups"])
            ]
        }

    def _list_instance_fleets(self, request: Json) -> Json:
        cluster = self._find(request["ClusterId"])
        if "InstanceFleets" not in cluster.request["Instances"]:
            raise RefusedError("InvalidRequestException", "The cluster uses instance groups, not instance fleets.")
        running = cluster.ready is not None and cluster.state not in ENDED
        return {
            "InstanceFleets": [
                {
                    "Id": f"if-{number:013d}",
                    "Name": fleet.get("Name", ""),
                    "Status": {"State": _capacity_state(cluster)},
                    "InstanceFleetType": fleet["InstanceFleetType"],
                    "TargetOnDemandCapacity": fleet.get("TargetOnDemandCapacity", 0),
                    "TargetSpotCapacity": fleet.get("TargetSpotCapacity", 0),
                    "ProvisionedOnDemandCapacity": fleet.get("TargetOnDemandCapacity", 0) if running else 0,
                    "ProvisionedSpotCapacity": fleet.get("TargetSpotCapacity", 0) if running else 0,
                }
                for number, fleet in enumerate(cluster.request["Instances"]["InstanceFleets"])
            ]
        }

    def _list_instances(self, request: Json) -> Json:
        cluster = self._find(request["ClusterId"])
        for narrowing in ("InstanceGroupId", "InstanceGroupTypes", "InstanceFleetId", "InstanceFleetType"):
            if narrowing in request:
                raise RefusedError("ValidationException", f"The sandbox lists all instances: {narrowing}.")
        state = _capacity_state(cluster).replace("TERMINATING", "TERMINATED")
        instances: list[Json] = []
        for instance_type, count in instance_counts(cluster.request["Instances"]):
            for _ in range(count):
                number = len(instances) + 1
                instances.append(
                    {
                        "Id": f"ci-{number:013d}",
                        "Ec2InstanceId": f"i-{number:017d}",
                        "PrivateIpAddress": f"10.0.{number // 250}.{number % 250 + 4}",
                        "InstanceType": instance_type,
                        "Status": {"State": state},
                    }
                )
        wanted = request.get("InstanceStates", [state])
        return _page("Instances", instances if state in wanted else [], request.get("Marker"))

    def _list_release_labels(self, request: Json) -> Json:
        filters = request.get("Filters", {})
        if "Application" in filters:
            raise RefusedError("ValidationException", "The sandbox filters releases by Prefix alone.")
        return {
            "ReleaseLabels": [label for label in HADOOP_BY_RELEASE if label.startswith(filters.get("Prefix", "emr"))]
        }

    def _describe_release_label(self, request: Json) -> Json:
        label = request.get("ReleaseLabel", "")
        if label not in HADOOP_BY_RELEASE:
            raise RefusedError("InvalidRequestException", f"Release label {label} is not valid.")
        return {"ReleaseLabel": label, "Applications": [{"Name": "Hadoop", "Version": HADOOP_BY_RELEASE[label]}]}

    def _list_supported_instance_types(self, request: Json) -> Json:
        if request["ReleaseLabel"] not in HADOOP_BY_RELEASE:
            raise RefusedError("InvalidRequestException", f"Release label {request['ReleaseLabel']} is not valid.")
        return _page("SupportedInstanceTypes", supported_instance_types(), request.get("Marker"))

    def _describe(self, cluster: Cluster) -> Json:
        request, instances = cluster.request, cluster.request["Instances"]
        kept = (
            "Name", "LogUri", "ReleaseLabel", "ServiceRole", "SecurityConfiguration", "ScaleDownBehavior", "Tags",
            "EbsRootVolumeSize", "Configurations", "OSReleaseLabel", "LogEncryptionKmsKeyId",
        )  # fmt: skip
        subnets = instances.get("Ec2SubnetIds", []) or [instances.get("Ec2SubnetId", "subnet-0123456789abcdef0")]
        with cluster.lock:
            return {
                "Id": cluster.id,
                **{name: request[name] for name in kept if name in request},
                "Status": _describe_status(cluster),
                "ClusterArn": self._arn + cluster.id,
                "AutoTerminate": not cluster.is_kept_alive,
                "TerminationProtected": cluster.is_protected,
                "VisibleToAllUsers": True,
                "Applications": [
                    {"Name": application["Name"], "Version": HADOOP_BY_RELEASE[request["ReleaseLabel"]]}
                    for application in request.get("Applications", [{"Name": "Hadoop"}])
                    if application["Name"] == "Hadoop"
                ],
                "InstanceCollectionType": "INSTANCE_FLEET" if "InstanceFleets" in instances else "INSTANCE_GROUP",
                "NormalizedInstanceHours": cluster.normalized_instance_hours(),
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
        with self._lock:
            if cluster_id not in self._clusters:
                raise RefusedError("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
            if self._throttled.get(cluster_id):
                self._throttled[cluster_id] -= 1
                raise RefusedError("ThrottlingException", "Rate exceeded")
            return self._clusters[cluster_id]


def supported_instance_types() -> list[Json]:
    """The instance types that can be asked for: some of EMR's, sizes from xlarge."""
    return [
        {
            "Type": f"{family}.{size}",
            "VCPU": vcpus,
            "MemoryGB": float(vcpus * MEMORY_PER_VCPU_GB[family[0]]),
            "Architecture": "ARM64" if family.endswith("g") else "X86_64",
            "EbsStorageOnly": True,
            "InstanceFamilyId": family,
        }
        for family in FAMILIES
        for size, vcpus in VCPUS.items()
    ]


def _check_steps(steps: Sequence[Mapping[str, Any]], there_already: int) -> None:
    if there_already + len(steps) > MAX_STEPS:
        raise RefusedError("ValidationException", f"Maximum number of steps for job flow exceeded: {MAX_STEPS}.")
    for step in steps:
        if PurePosixPath(step["HadoopJarStep"]["Jar"]).name != "command-runner.jar":
            raise RefusedError("ValidationException", f"The sandbox runs command-runner.jar alone: {step['Name']}.")


def _check_idle_timeout(policy: Mapping[str, Any]) -> None:
    if not 60 <= policy.get("IdleTimeout", 60) <= 604_800:
        raise RefusedError("ValidationException", "IdleTimeout must be between 60 and 604800 seconds.")


def _describe_status(cluster: Cluster) -> Json:
    timeline: Json = {"CreationDateTime": cluster.created}
    if cluster.ready:
        timeline["ReadyDateTime"] = cluster.ready
    if cluster.ended:
        timeline["EndDateTime"] = cluster.ended
    status: Json = {"State": cluster.state, "StateChangeReason": dict(cluster.reason), "Timeline": timeline}
    if cluster.error_details:
        status["ErrorDetails"] = cluster.error_details
    return status


def _describe_step(step: Step) -> Json:
    timeline: Json = {"CreationDateTime": step.created}
    if step.started:
        timeline["StartDateTime"] = step.started
    if step.ended:
        timeline["EndDateTime"] = step.ended
    status: Json = {"State": step.state, "StateChangeReason": {}, "Timeline": timeline}
    if step.failure:
        status["FailureDetails"] = step.failure
    jar_step = step.config["HadoopJarStep"]
    config: Json = {"Jar": jar_step["Jar"], "Args": jar_step.get("Args", []), "Properties": {}}
    if "MainClass" in jar_step:
        config["MainClass"] = jar_step["MainClass"]
    return {
        "Id": step.id,
        "Name": step.config["Name"],
        "Config": config,
        "ActionOnFailure": step.on_failure,
        "Status": status,
    }


def _capacity_state(cluster: Cluster) -> str:
    return {
        "STARTING": "PROVISIONING",
        "BOOTSTRAPPING": "BOOTSTRAPPING",
        "RUNNING": "RUNNING",
        "WAITING": "RUNNING",
        "TERMINATING": "TERMINATING",
    }.get(cluster.state, "TERMINATED")


def _page(name: str, items: list[Json], marker: str | None) -> Json:
    start = int(marker) if marker and marker.isdigit() else 0
    answer: Json = {name: items[start : start + PAGE]}
    if start + PAGE < len(items):
        answer["Marker"] = str(start + PAGE)
    return answer


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
