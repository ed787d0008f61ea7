"""EMR: clusters and their steps.

API operations: ListReleaseLabels, ListClusters, DescribeCluster, ListSteps; and, changing things, RunJobFlow (with
iam:PassRole for the service role and the nodes' role, elasticmapreduce:AddTags and
elasticmapreduce:PutAutoTerminationPolicy), TerminateJobFlows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from toptalkers.aws.failures import explained

if TYPE_CHECKING:
    from mypy_boto3_emr import EMRClient

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
STEP_ENDED = ("COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as EMR describes it; the reason's code is one of EMR's ClusterStateChangeReasonCode."""

    id: str
    name: str
    state: str
    reason_code: str = ""
    reason: str = ""
    created: datetime | None = None
    ready: datetime | None = None
    ended: datetime | None = None

    @property
    def is_starting(self) -> bool:
        """Whether no step has begun yet."""
        return self.state in ("STARTING", "BOOTSTRAPPING")

    @property
    def is_ending(self) -> bool:
        """Whether it ends, or has ended; nothing brings it back."""
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
    """Where EMR says that the reason for a failure is to be found."""
    started: datetime | None = None
    ended: datetime | None = None


class ClusterGateway:
    """EMR through the client given."""

    def __init__(self, client: "EMRClient") -> None:
        """Take the client."""
        self._client = client

    @explained("elasticmapreduce")
    def releases(self, prefix: str) -> list[str]:
        """The labels of the releases that the account can have, in EMR's order, the newest first."""
        found: list[str] = []
        answer = self._client.list_release_labels(Filters={"Prefix": prefix})
        found += answer.get("ReleaseLabels", [])
        while token := answer.get("NextToken"):
            answer = self._client.list_release_labels(Filters={"Prefix": prefix}, NextToken=token)
            found += answer.get("ReleaseLabels", [])
        return found

    @explained("elasticmapreduce")
    def start(self, request: Mapping[str, Any]) -> str:
        """Start a cluster with its steps, and give its id."""
        return self._client.run_job_flow(**request)["JobFlowId"]

    @explained("elasticmapreduce")
    def describe(self, cluster_id: str) -> Cluster:
        """How a cluster is."""
        cluster = self._client.describe_cluster(ClusterId=cluster_id)["Cluster"]
        status: Mapping[str, Any] = cluster.get("Status", {})
        reason, times = status.get("StateChangeReason", {}), status.get("Timeline", {})
        return Cluster(
            id=cluster.get("Id", cluster_id),
            name=cluster.get("Name", ""),
            state=status.get("State", ""),
            reason_code=reason.get("Code", ""),
            reason=reason.get("Message", ""),
            created=times.get("CreationDateTime"),
            ready=times.get("ReadyDateTime"),
            ended=times.get("EndDateTime"),
        )

    @explained("elasticmapreduce")
    def steps(self, cluster_id: str) -> list[ClusterStep]:
        """The steps of a cluster, the first of them first."""
        found = []
        for page in self._client.get_paginator("list_steps").paginate(ClusterId=cluster_id):
            for one in page.get("Steps", []):
                status: Mapping[str, Any] = one.get("Status", {})
                failure, times = status.get("FailureDetails", {}), status.get("Timeline", {})
                said = failure.get("Message") or failure.get("Reason") or ""
                found.append(
                    ClusterStep(
                        id=one.get("Id", ""),
                        name=one.get("Name", ""),
                        state=status.get("State", ""),
                        reason=said or status.get("StateChangeReason", {}).get("Message", ""),
                        log=failure.get("LogFile", ""),
                        started=times.get("StartDateTime"),
                        ended=times.get("EndDateTime"),
                    )
                )
        return found[::-1]

    @explained("elasticmapreduce")
    def find(self, name: str, *, since: datetime) -> list[str]:
        """The ids of clusters of a name that were made since then and have not ended."""
        pages = self._client.get_paginator("list_clusters").paginate(
            CreatedAfter=since, ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
        )
        return [one.get("Id", "") for page in pages for one in page.get("Clusters", []) if one.get("Name") == name]

    @explained("elasticmapreduce")
    def terminate(self, cluster_id: str) -> None:
        """Have a cluster end, whatever it is doing."""
        self._client.terminate_job_flows(JobFlowIds=[cluster_id])
