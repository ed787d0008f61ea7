"""EMR: clusters and their steps.

API operations: ListReleaseLabels, ListSupportedInstanceTypes (a run does without it when it is denied), ListClusters,
DescribeCluster, ListSteps; for a cluster that runs already, ListInstanceGroups, ListInstanceFleets; and, changing
things, RunJobFlow (with iam:PassRole for the service role and the nodes' role, elasticmapreduce:AddTags and
elasticmapreduce:PutAutoTerminationPolicy), TerminateJobFlows, and for a cluster that runs already AddJobFlowSteps,
CancelSteps.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from toptalkers.aws.failures import explained

if TYPE_CHECKING:
    from mypy_boto3_emr import EMRClient

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")

STEP_ENDS = ("COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED")

BEFORE, AFTER = timedelta(minutes=5), timedelta(hours=1)
"""How far EMR's time of creation may be from our time of the request: clocks differ."""

_ID = re.compile(r"j-[0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as EMR describes it.

    Attributes:
        state: one of EMR's ClusterState.
        reason_code: one of EMR's ClusterStateChangeReasonCode; may be empty.
        reason: EMR's reason for the state, one line.
        created: when it was requested.
        ready: when its first step could begin.
        ended: when its instances were gone.
        error_codes: EMR's codes for what went wrong ("Error codes with ErrorDetail information" in the management
            guide), as far as EMR has such codes.
        release: the label of its release; may be empty.
        log_uri: the address of the folder of its logs, which ends in `/`; empty when it keeps none.
        steps_at_a_time: how many steps it runs at a time.
        has_fleets: whether its nodes are in instance fleets, not groups.

    """

    id: str
    name: str
    state: str
    reason_code: str = ""
    reason: str = ""
    created: datetime | None = None
    ready: datetime | None = None
    ended: datetime | None = None
    error_codes: tuple[str, ...] = ()
    release: str = ""
    log_uri: str = ""
    steps_at_a_time: int = 1
    has_fleets: bool = False

    @property
    def is_starting(self) -> bool:
        """Whether no step has begun yet."""
        return self.state in ("STARTING", "BOOTSTRAPPING")

    @property
    def is_ending(self) -> bool:
        """Whether it is ending or has ended, which cannot be undone."""
        return self.state == "TERMINATING" or self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether its instances are gone."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class ClusterStep:
    """A step as EMR describes it."""

    id: str
    name: str
    state: str
    reason: str = ""
    log: str = ""
    """The log that EMR names for a failure."""
    started: datetime | None = None
    ended: datetime | None = None
    arguments: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it does not run any more, and never will."""
        return self.state in STEP_ENDS


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of one role in a cluster.

    Attributes:
        role: MASTER, CORE or TASK.
        instance_type: their type, or one of several in a fleet.
        count: how many there are; for a fleet, its capacity in EMR's units. In our fleets, a unit is a node.

    """

    role: str
    instance_type: str
    count: int


class ClusterGateway:
    """EMR, through the given client."""

    def __init__(self, client: "EMRClient", starter: "EMRClient | None" = None) -> None:
        """Keep the client, and one for RunJobFlow that does not repeat requests by itself."""
        self._client = client
        self._client_once = starter or client

    @explained("elasticmapreduce")
    def releases(self, prefix: str) -> list[str]:
        """List the labels of the releases that the account can use, in EMR's order, the newest first."""
        answer = self._client.list_release_labels(Filters={"Prefix": prefix})
        found = [*answer["ReleaseLabels"]]
        seen: set[str] = set()
        while (token := answer.get("NextToken")) and token not in seen:
            seen.add(token)
            answer = self._client.list_release_labels(Filters={"Prefix": prefix}, NextToken=token)
            found += answer["ReleaseLabels"]
        return found

    @explained("elasticmapreduce")
    def supported_types(self, release: str) -> frozenset[str]:
        """Return the names of the types of instances that a release runs on in this Region."""
        found: set[str] = set()
        pages: set[str] = set()
        answer = self._client.list_supported_instance_types(ReleaseLabel=release)
        while True:
            found |= {one["Type"] for one in answer["SupportedInstanceTypes"]}
            marker = answer.get("Marker")
            if not marker or marker in pages:
                return frozenset(found)
            pages.add(marker)
            answer = self._client.list_supported_instance_types(ReleaseLabel=release, Marker=marker)

    @explained("elasticmapreduce")
    def start(self, request: Mapping[str, Any]) -> str:
        """Start a cluster with its steps, and return its id.

        The request is sent only once: EMR does not recognize a repeated RunJobFlow, so that a repetition after a lost
        answer would make a second cluster.
        """
        started = self._client_once.run_job_flow(**request)["JobFlowId"]
        if not _ID.fullmatch(started):
            raise ValueError(f"{started!r} is not the id of a cluster")
        return started

    @explained("elasticmapreduce")
    def describe(self, cluster_id: str) -> Cluster:
        """Describe a cluster."""
        return _described(self._client.describe_cluster(ClusterId=cluster_id)["Cluster"], cluster_id)

    @explained("elasticmapreduce")
    def steps(self, cluster_id: str) -> list[ClusterStep]:
        """List the steps of a cluster, the first step first."""
        found = []
        for page in self._client.get_paginator("list_steps").paginate(ClusterId=cluster_id):
            for one in page["Steps"]:
                status: Mapping[str, Any] = one["Status"]
                failure, times = status.get("FailureDetails", {}), status.get("Timeline", {})
                said = failure.get("Message") or failure.get("Reason") or ""
                found.append(
                    ClusterStep(
                        id=one["Id"],
                        name=one.get("Name", ""),
                        state=status["State"],
                        reason=said or status.get("StateChangeReason", {}).get("Message", ""),
                        log=failure.get("LogFile", ""),
                        started=times.get("StartDateTime"),
                        ended=times.get("EndDateTime"),
                        arguments=tuple(one.get("Config", {}).get("Args", [])),
                    )
                )
        return found[::-1]

    @explained("elasticmapreduce")
    def find(self, name: str, *, around: datetime) -> list[str]:
        """Find the ids of clusters by name and time of creation, in any state; the newest first."""
        pages = self._client.get_paginator("list_clusters").paginate(
            CreatedAfter=around - BEFORE, CreatedBefore=around + AFTER
        )
        return [one["Id"] for page in pages for one in page["Clusters"] if one.get("Name") == name]

    @explained("elasticmapreduce")
    def terminate(self, cluster_id: str) -> None:
        """End a cluster, in any state."""
        self._client.terminate_job_flows(JobFlowIds=[cluster_id])

    @explained("elasticmapreduce")
    def recent(self, since: datetime) -> list[Cluster]:
        """List clusters that were created since a time, in any state, the newest first; one page of them at most."""
        answer = self._client.list_clusters(CreatedAfter=since)
        return [_described(one, one["Id"]) for one in answer["Clusters"]]

    @explained("elasticmapreduce")
    def add_steps(self, cluster_id: str, steps: Sequence[Mapping[str, Any]]) -> None:
        """Add steps to a cluster. The request is sent only once, as that of `start` and for the same reason."""
        self._client_once.add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)  # type: ignore[arg-type]  # plain dictionaries

    @explained("elasticmapreduce")
    def cancel_steps(self, cluster_id: str, step_ids: Sequence[str]) -> None:
        """Cancel steps that are pending or running; the others of the cluster go on."""
        self._client.cancel_steps(ClusterId=cluster_id, StepIds=list(step_ids))

    @explained("elasticmapreduce")
    def nodes(self, cluster: Cluster) -> list[Nodes]:
        """List the nodes of a cluster that run now, by role and type."""
        if not cluster.has_fleets:
            return [
                Nodes(one["InstanceGroupType"], one["InstanceType"], one["RunningInstanceCount"])
                for page in self._client.get_paginator("list_instance_groups").paginate(ClusterId=cluster.id)
                for one in page["InstanceGroups"]
            ]
        return [
            Nodes(
                one["InstanceFleetType"],
                next((kind["InstanceType"] for kind in one.get("InstanceTypeSpecifications", [])), ""),
                one.get("ProvisionedOnDemandCapacity", 0) + one.get("ProvisionedSpotCapacity", 0),
            )
            for page in self._client.get_paginator("list_instance_fleets").paginate(ClusterId=cluster.id)
            for one in page["InstanceFleets"]
        ]


def _folder(uri: str) -> str:
    """Write the address of a folder of logs as `s3://bucket/folder/`; EMR also has `s3n://`."""
    return uri.replace("s3n://", "s3://", 1).rstrip("/") + "/" if uri else ""


def _described(cluster: Mapping[str, Any], cluster_id: str) -> Cluster:
    """Read what DescribeCluster or, with less in it, ListClusters says of a cluster."""
    status: Mapping[str, Any] = cluster["Status"]
    reason, times = status.get("StateChangeReason", {}), status.get("Timeline", {})
    return Cluster(
        id=cluster.get("Id", cluster_id),
        name=cluster.get("Name", ""),
        state=status["State"],
        reason_code=reason.get("Code", ""),
        reason=" ".join(reason.get("Message", "").split()),
        created=times.get("CreationDateTime"),
        ready=times.get("ReadyDateTime"),
        ended=times.get("EndDateTime"),
        error_codes=tuple(one["ErrorCode"] for one in status.get("ErrorDetails", []) if one.get("ErrorCode")),
        release=cluster.get("ReleaseLabel", ""),
        log_uri=_folder(cluster.get("LogUri", "")),
        steps_at_a_time=cluster.get("StepConcurrencyLevel", 1),
        has_fleets=cluster.get("InstanceCollectionType") == "INSTANCE_FLEET",
    )
