"""A cluster that goes on after a run, and may run the steps of others: what a run may ask of it, and how large it is.

The names of a run's steps contain its name, which tells them from the cluster's other steps. A step that fails must not
touch those: its ActionOnFailure is CONTINUE, because CANCEL_AND_WAIT would cancel whatever others have queued (EMR API
reference, StepConfig). Then the second step fails as well, because its input is missing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toptalkers.aws.account import Account
from toptalkers.aws.emr import Cluster, Nodes
from toptalkers.aws.failures import AwsError
from toptalkers.errors import ToptalkersError, UsageError
from toptalkers.runs.cluster.sizing import STARTING_MINUTES, Sizing, size_cluster, vcpus
from toptalkers.runs.record import step_name

OLDEST_MAJOR = 7
"""The first major release of EMR with Python 3.9, which the scripts need, and with PassthroughCodec, which came with
Hadoop 3.3.2 (EMR release guide)."""

_ID = re.compile(r"j-[0-9A-Z]+")


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A cluster that runs already; `nodes` is empty if they could not be listed, for the reason in `unknown`."""

    cluster: Cluster
    nodes: Sequence[Nodes] = ()
    unknown: str = ""


def find_running(account: Account, cluster_id: str) -> RunningCluster:
    """Find a cluster for a run, and check that it can take one.

    Raises:
        UsageError: this is no id of a cluster.
        ToptalkersError: there is no such cluster, or it cannot run our steps; the error says why.

    """
    if not _ID.fullmatch(cluster_id):
        raise UsageError(f"--cluster: {cluster_id!r} is not the id of a cluster", hint="like j-0123456789ABC")
    others = f"'aws emr list-clusters --region {account.region} --active' lists others"
    try:
        cluster = account.clusters.describe(cluster_id)
    except AwsError as error:
        if error.code not in ("InvalidRequestException", "ValidationException"):
            raise
        raise ToptalkersError(f"there is no cluster {cluster_id} in {account.region}", hint=others) from error
    if cluster.state not in ("WAITING", "RUNNING"):
        raise ToptalkersError(f"the cluster {cluster_id} takes no steps: it is {cluster.state}", hint=others)
    if cluster.steps_at_a_time > 1:
        raise ToptalkersError(
            f"the cluster {cluster_id} runs {cluster.steps_at_a_time} steps at a time, and the second of ours would not"
            " wait for the first",
            hint=f"'aws emr modify-cluster --region {account.region} --cluster-id {cluster_id}"
            " --step-concurrency-level 1' changes that",
        )
    if is_too_old(cluster.release):
        raise ToptalkersError(
            f"the cluster {cluster_id} has {cluster.release}, and the steps need emr-{OLDEST_MAJOR}.0.0 or later",
            hint=others,
        )
    try:
        return RunningCluster(cluster, account.clusters.nodes(cluster))
    except AwsError as error:
        if error.is_silent:
            raise
        return RunningCluster(cluster, unknown=error.message)


def is_too_old(release: str) -> bool:
    """Whether a release of EMR, like `emr-6.15.0`, lacks what the steps need."""
    major = re.match(r"emr-([0-9]+)\.", release)
    return major is not None and int(major[1]) < OLDEST_MAJOR


def size_running(
    input_bytes: int, running: RunningCluster, *, is_joined: bool = False, has_kernel: bool = True
) -> Sizing:
    """Tell how large a cluster is, and how long a run takes on it if it has nothing else to do.

    Where its nodes are not known, the sizing is that of a new cluster for the input.
    """
    counts: Counter[str] = Counter()
    for one in running.nodes:
        counts[one.role] += one.count
    core_type = next((one.instance_type for one in running.nodes if one.role == "CORE"), "")
    if not core_type:
        core_type = next((one.instance_type for one in running.nodes), "")
    try:
        vcpus(core_type)
    except UsageError:
        sizing = size_cluster(input_bytes, is_joined=is_joined, has_kernel=has_kernel)
        reason = f"its nodes are not known: {running.unknown}" if running.unknown else "its nodes are not known"
    else:
        core, task = counts["CORE"], counts["TASK"]
        primary = next((one.instance_type for one in running.nodes if one.role == "MASTER"), "") or core_type
        sizing = size_cluster(
            input_bytes,
            is_joined=is_joined,
            has_kernel=has_kernel,
            instance_type=core_type,
            primary_type=primary,
            core=max(1, core),
            task=task,
        )
        reason = "as it is"
    return replace(sizing, minutes=max(1, sizing.minutes - STARTING_MINUTES), reason=reason)


def share_steps(steps: Iterable[Mapping[str, Any]], run_id: str) -> list[dict[str, Any]]:
    """Make the steps of RunJobFlow fit for a cluster that runs other steps, too."""
    return [{**one, "Name": step_name(one["Name"], run_id), "ActionOnFailure": "CONTINUE"} for one in steps]
