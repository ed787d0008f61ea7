"""The request that a run sends to EMR: the cluster, by its options and size, and its steps."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toptalkers import locations
from toptalkers.capture.our_stack import STACK_TAG
from toptalkers.errors import UsageError
from toptalkers.job.steps import Step, emr_steps, plan_steps
from toptalkers.question.query import Query
from toptalkers.runs.cluster.ahead import MANAGED_TAG
from toptalkers.runs.cluster.shared import share_steps
from toptalkers.runs.cluster.sizing import Sizing, size_cluster
from toptalkers.runs.input.choice import RunInput
from toptalkers.runs.record import cluster_name
from toptalkers.runs.site import SecurityGroups, Site

RELEASE = "emr-7.14.0"
"""Hadoop 3.4.2, Python 3.9 (EMR release guide)."""

IDLE_SECONDS = 3600
"""EMR ends a cluster after this idle time, in case it does not end with its steps."""

SPOT_MINUTES = 20
"""How long to wait for Spot instances, before on-demand ones are taken."""

SPOT_CONFIGURATIONS: tuple[Mapping[str, Any], ...] = (
    {
        "Classification": "yarn-site",
        "Properties": {
            "yarn.node-labels.enabled": "true",
            "yarn.node-labels.am.default-node-label-expression": "CORE",
            "yarn.resourcemanager.am.max-attempts": "4",
        },
    },
    {
        "Classification": "mapred-site",
        "Properties": {
            "mapreduce.am.max-attempts": "4",
            "mapreduce.map.maxattempts": "8",
            "mapreduce.reduce.maxattempts": "8",
        },
    },
)
"""What lets a job survive the loss of Spot task nodes.

Since EMR 6 the application master, with which the whole job ends, may run on any node. With node labels it only runs on
core nodes, which are on demand here. `CORE` is a label in EMR 6 and in EMR 7.0 or higher; EMR 7 has `ON_DEMAND` as well
(EMR management guide, "Understand node types in Amazon EMR" and "Amazon EMR settings to prevent job failure because of
task node Spot Instance termination"). More attempts are for maps whose output is lost with their node: Hadoop counts
"too many fetch failures" as failed attempts, and gives a map 4.
"""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The user's options for the cluster; `size_cluster` decides those that are None."""

    instance_type: str | None = None
    primary_type: str | None = None
    core: int | None = None
    task: int | None = None
    vpc_nodes: int | None = None
    max_nodes: int | None = None
    spot: bool = False
    release: str = RELEASE
    subnets: tuple[str, ...] = ()
    key_name: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    keep_aggregate: bool = False
    keep_all_ports: bool = False
    keep_alive: int | None = None
    """Minutes without a step until the cluster ends; None to end it with its steps."""
    configurations: tuple[Mapping[str, Any], ...] = ()
    """EMR's configurations of the cluster's software, as `parse_configurations` reads them."""


def plan_request(
    query: Query,
    *,
    top: int,
    site: Site,
    run_id: str,
    bundle: str,
    kernels: Sequence[str] = (),
    read: RunInput,
    sizing: Sizing,
    options: ClusterOptions,
) -> tuple[tuple[Step, ...], dict[str, Any]]:
    """Plan the steps of a run, and the request of RunJobFlow for a cluster that runs them, and ends unless it is kept.

    `bundle` is the key of the folder of scripts, and `kernels` are the names of the kernels for nodes there. The
    cluster has instance groups, or fleets where several subnets or Spot instances leave EMR a choice.
    """
    bucket, subnets = site.bucket, options.subnets or site.subnets
    aggregate = locations.aggregate_prefix(run_id)
    steps = plan_steps(
        query,
        top=top,
        inputs=read.uris,
        patterns=read.patterns,
        is_gzip=read.is_gzip,
        largest_bytes=read.largest_bytes,
        bundle=f"s3://{bucket}/{bundle}",
        kernels=kernels,
        output=f"s3://{bucket}/{locations.answer_prefix(run_id)}",
        # Without a scheme it is in the cluster's HDFS, and goes with it.
        between=f"s3://{bucket}/{aggregate}" if options.keep_aggregate else f"toptalkers/{run_id}/aggregate/",
        learned=f"s3://{bucket}/{locations.learned_prefix(run_id)}",
        input_bytes=read.size_bytes,
        map_slots=sizing.map_slots,
        keep_aggregate=options.keep_aggregate,
        keep_all_ports=options.keep_all_ports,
    )
    instances: dict[str, Any] = {
        "KeepJobFlowAliveWhenNoSteps": options.keep_alive is not None,
        "TerminationProtected": False,
    }
    if options.spot or len(subnets) > 1:
        instances["InstanceFleets"] = _fleets(sizing)
        if subnets:
            instances["Ec2SubnetIds"] = list(subnets)
    else:
        instances["InstanceGroups"] = _groups(sizing)
        if subnets:
            instances["Ec2SubnetId"] = subnets[0]
    instances |= _security_groups(site.security_groups)
    if options.key_name:
        instances["Ec2KeyName"] = options.key_name
    tags = (
        dict(site.tags)
        | dict(options.tags)
        | {
            STACK_TAG: site.name,
            "toptalkers:run": run_id,
            # EMR's managed policy for its service role demands this tag (AmazonEMRServicePolicy_v2).
            MANAGED_TAG: "true",
        }
    )
    request: dict[str, Any] = {
        "Name": cluster_name(run_id),
        "LogUri": f"s3://{bucket}/{locations.run_logs_prefix(run_id)}",
        "ReleaseLabel": options.release,
        "Applications": [{"Name": "Hadoop"}],
        "Instances": instances,
        "Steps": emr_steps(steps) if options.keep_alive is None else share_steps(emr_steps(steps), run_id),
        "ServiceRole": site.service_role,
        "JobFlowRole": site.instance_profile,
    }
    if site.security_configuration:
        request["SecurityConfiguration"] = site.security_configuration
    if configurations := merge_configurations(SPOT_CONFIGURATIONS if sizing.spot else (), options.configurations):
        request["Configurations"] = configurations
    request["AutoTerminationPolicy"] = {
        "IdleTimeout": IDLE_SECONDS if options.keep_alive is None else 60 * options.keep_alive
    }
    request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return steps, request


def example_run(
    query: Query, *, top: int = 0, bucket: str, run_id: str, bundle: str, kernels: Sequence[str] = ()
) -> tuple[tuple[Step, ...], dict[str, Any]]:
    """Make the steps and the request of a run over a stack's own flow logs, without reading any."""
    return plan_request(
        query,
        top=top,
        site=Site(
            name="toptalkers",
            bucket=bucket,
            service_role="toptalkers-EmrServiceRole",
            instance_profile="toptalkers-EmrInstanceRole",
            security_configuration="toptalkers-EmrSecurity",
        ),
        run_id=run_id,
        bundle=bundle,
        kernels=kernels,
        read=RunInput((f"s3://{bucket}/{locations.CAPTURED}",), 0, 0, is_gzip=True),
        sizing=size_cluster(0),
        options=ClusterOptions(),
    )


def parse_configurations(content: bytes, *, name: str) -> tuple[Mapping[str, Any], ...]:
    """Read EMR's configurations from JSON, a list like `[{"Classification": "yarn-site", "Properties": {...}}]`.

    Raises:
        UsageError: it is not such a list; the error begins with `name`.

    """
    try:
        return tuple(_configurations(json.loads(content)))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{name} is not a list of EMR's configurations: {error}",
            hint='like [{"Classification": "yarn-site", "Properties": {"NAME": "VALUE"}}]',
        ) from error


def merge_configurations(
    ours: Iterable[Mapping[str, Any]], theirs: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Merge two lists of configurations by their classification. Where both set a property, `theirs` wins."""
    merged: dict[str, dict[str, Any]] = {}
    for one in (*ours, *theirs):
        before = merged.setdefault(one["Classification"], {"Classification": one["Classification"], "Properties": {}})
        before["Properties"] = before["Properties"] | one.get("Properties", {})
        if nested := merge_configurations(before.get("Configurations", ()), one.get("Configurations", ())):
            before["Configurations"] = nested
    return list(merged.values())


def _configurations(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError("a list is missing around it")  # noqa: TRY004 - one kind of error
    for one in value:
        if not isinstance(one, dict):
            raise ValueError(f"{str(one)[:40]!r} is not an object")  # noqa: TRY004
        if unknown := set(one) - {"Classification", "Properties", "Configurations"}:
            raise ValueError(f"{min(unknown)[:40]!r} is none of Classification, Properties, Configurations")
        if not isinstance(one.get("Classification"), str) or not one["Classification"]:
            raise ValueError("a Classification is missing")
        properties = one.get("Properties", {})
        if not isinstance(properties, dict) or not all(isinstance(each, str) for each in properties.values()):
            raise ValueError(f'the Properties of {one["Classification"][:40]!r} are not texts, like "true" or "8"')
        _configurations(one.get("Configurations", []))
    return value


def render_request(request: Mapping[str, Any]) -> str:
    """Write the request as JSON, as boto3's `run_job_flow(**request)` takes it; it ends in a line feed."""
    return json.dumps(request, indent=2) + "\n"


def _security_groups(groups: SecurityGroups) -> dict[str, str]:
    members = {
        "EmrManagedMasterSecurityGroup": groups.primary,
        "EmrManagedSlaveSecurityGroup": groups.nodes,
        "ServiceAccessSecurityGroup": groups.service,
    }
    return {member: group for member, group in members.items() if group}


def _groups(sizing: Sizing) -> list[dict[str, Any]]:
    groups = (
        ("primary", "MASTER", sizing.primary_type, 1),
        ("core", "CORE", sizing.instance_type, sizing.core),
        ("task", "TASK", sizing.instance_type, sizing.task),
    )
    return [
        {
            "Name": name,
            "InstanceRole": role,
            "InstanceType": instance_type,
            "InstanceCount": count,
            "Market": "ON_DEMAND",
        }
        for name, role, instance_type, count in groups
        if count
    ]


def _fleets(sizing: Sizing) -> list[dict[str, Any]]:
    def on_demand(name: str, kind: str, capacity: int, instance_type: str = sizing.instance_type) -> dict[str, Any]:
        return {
            "Name": name,
            "InstanceFleetType": kind,
            "TargetOnDemandCapacity": capacity,
            "InstanceTypeConfigs": [{"InstanceType": instance_type, "WeightedCapacity": 1}],
        }

    fleets = [on_demand("primary", "MASTER", 1, sizing.primary_type), on_demand("core", "CORE", sizing.core)]
    if sizing.task and sizing.spot:
        fleets.append(
            {
                "Name": "task",
                "InstanceFleetType": "TASK",
                "TargetSpotCapacity": sizing.task,
                "InstanceTypeConfigs": [
                    {"InstanceType": one, "WeightedCapacity": 1} for one in (sizing.instance_type, *sizing.substitutes)
                ],
                "LaunchSpecifications": {
                    "SpotSpecification": {
                        "TimeoutDurationMinutes": SPOT_MINUTES,
                        "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                        "AllocationStrategy": "price-capacity-optimized",
                    }
                },
            }
        )
    elif sizing.task:
        fleets.append(on_demand("task", "TASK", sizing.task))
    return fleets
