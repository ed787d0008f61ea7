"""The request that a run sends to EMR: the cluster, by its options and size, and its two steps."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toptalkers import locations
from toptalkers.capture.our_stack import STACK_TAG
from toptalkers.job.steps import Step, emr_steps, plan_steps
from toptalkers.question.query import Query
from toptalkers.runs.input import RunInput
from toptalkers.runs.record import cluster_name
from toptalkers.runs.shared import share_steps
from toptalkers.runs.site import SecurityGroups, Site
from toptalkers.runs.sizing import Sizing, size_cluster

RELEASE = "emr-7.14.0"
"""Hadoop 3.4.2, Python 3.9 (EMR release guide)."""

IDLE_SECONDS = 3600
"""EMR ends a cluster after this idle time, in case it does not end with its steps."""

SPOT_MINUTES = 20
"""How long to wait for Spot instances, before on-demand ones are taken."""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The user's options for the cluster; `size_cluster` decides those that are None."""

    instance_type: str | None = None
    core: int | None = None
    task: int | None = None
    vpc_nodes: int | None = None
    spot: bool = False
    release: str = RELEASE
    subnets: tuple[str, ...] = ()
    key_name: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    keep_aggregate: bool = False
    keep_all_ports: bool = False
    keep_alive: int | None = None
    """Minutes without a step until the cluster ends; None to end it with its steps."""


def plan_request(
    query: Query,
    *,
    top: int,
    site: Site,
    run_id: str,
    bundle: str,
    read: RunInput,
    sizing: Sizing,
    options: ClusterOptions,
) -> tuple[tuple[Step, ...], dict[str, Any]]:
    """Plan the steps of a run, and the request of RunJobFlow for a cluster that runs them, and ends unless it is kept.

    The cluster has instance groups, or fleets where several subnets or Spot instances leave EMR a choice.
    """
    bucket, subnets = site.bucket, options.subnets or site.subnets
    aggregate = locations.aggregate_prefix(run_id)
    steps = plan_steps(
        query,
        top=top,
        inputs=read.uris,
        gluing=read.gluing,
        bundle=f"s3://{bucket}/{bundle}",
        output=f"s3://{bucket}/{locations.answer_prefix(run_id)}",
        # Without a scheme it is in the cluster's HDFS, and goes with it.
        between=f"s3://{bucket}/{aggregate}" if options.keep_aggregate else f"toptalkers/{run_id}/aggregate/",
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
    tags = dict(options.tags) | {
        STACK_TAG: site.name,
        "toptalkers:run": run_id,
        # EMR's managed policy for its service role demands this tag (AmazonEMRServicePolicy_v2).
        "for-use-with-amazon-emr-managed-policies": "true",
    }
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
    request["AutoTerminationPolicy"] = {
        "IdleTimeout": IDLE_SECONDS if options.keep_alive is None else 60 * options.keep_alive
    }
    request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return steps, request


def example_run(
    query: Query, *, top: int = 0, bucket: str, run_id: str, bundle: str
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
        read=RunInput((f"s3://{bucket}/{locations.CAPTURED}",), 0, 0, "headers"),
        sizing=size_cluster(0),
        options=ClusterOptions(),
    )


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
    groups = (("primary", "MASTER", 1), ("core", "CORE", sizing.core), ("task", "TASK", sizing.task))
    return [
        {
            "Name": name,
            "InstanceRole": role,
            "InstanceType": sizing.instance_type,
            "InstanceCount": count,
            "Market": "ON_DEMAND",
        }
        for name, role, count in groups
        if count
    ]


def _fleets(sizing: Sizing) -> list[dict[str, Any]]:
    own = [{"InstanceType": sizing.instance_type, "WeightedCapacity": 1}]

    def on_demand(name: str, kind: str, capacity: int) -> dict[str, Any]:
        return {
            "Name": name,
            "InstanceFleetType": kind,
            "TargetOnDemandCapacity": capacity,
            "InstanceTypeConfigs": own,
        }

    fleets = [on_demand("primary", "MASTER", 1), on_demand("core", "CORE", sizing.core)]
    if sizing.task and sizing.spot:
        fleets.append(
            {
                "Name": "task",
                "InstanceFleetType": "TASK",
                "TargetSpotCapacity": sizing.task,
                "InstanceTypeConfigs": [{"InstanceType": one, "WeightedCapacity": 1} for one in sizing.spot_types],
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
