"""How large a cluster a run gets, and why."""

import math
import re
from dataclasses import dataclass

from toptalkers.errors import UsageError

DEFAULT_INSTANCE_TYPE = "m7g.xlarge"
"""The smallest Graviton that EMR has; counting wants processors, not memory (docs/benchmarks.md)."""

BYTES_PER_VCPU_SECOND = 5 << 20
"""Bytes of compressed flow logs that one vCPU counts per second, with decompression and Hadoop's own work: cautious."""

WANTED_MINUTES = 15
"""How long the first step should take at most."""

MOST_NODES = 20
"""A run asks for no more nodes by itself. Larger inputs take longer, unless --core and --task ask for more."""

STARTING_MINUTES = 8
STEPS_MINUTES = 3
"""How long it takes to start a cluster, and to start two steps, whatever the input is."""

NODES_PER_TASK_NODE = 100
"""The rule of `--vpc-nodes`: ten task nodes for a thousand nodes in the VPC."""

_TYPE = re.compile(r"[a-z][a-z0-9-]*\.(?:([0-9]*)(xlarge)|[a-z0-9-]+)")

_ALIKE = (("m7g", "m6g", "r7g", "r6g"), ("m7i", "m6i", "r7i", "r6i"))
"""Families of one architecture that can replace each other when Spot instances are scarce."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """How many instances of which type.

    Attributes:
        instance_type: the type of all nodes.
        core: how many on-demand nodes also hold HDFS.
        task: how many nodes only count.
        spot: whether the task nodes are Spot instances.
        minutes: how long the run will take, a guess.
        reason: why there are so many nodes.

    """

    instance_type: str
    core: int
    task: int
    spot: bool
    minutes: int
    reason: str

    @property
    def instances(self) -> int:
        """How many nodes there are, with the primary node."""
        return 1 + self.core + self.task

    @property
    def instance_hours(self) -> float:
        """Instance-hours to pay for: all instances for all of the time."""
        return round(self.instances * self.minutes / 60, 1)

    @property
    def map_slots(self) -> int:
        """How many maps run at a time."""
        return vcpus(self.instance_type) * (self.core + self.task)

    @property
    def spot_types(self) -> tuple[str, ...]:
        """The type, and the types that can replace it."""
        family, _, size = self.instance_type.partition(".")
        for alike in _ALIKE:
            if family in alike:
                return (self.instance_type, *(f"{other}.{size}" for other in alike if other != family))
        return (self.instance_type,)


def vcpus(instance_type: str) -> int:
    """Tell how many vCPUs a type has, by its name: 4 per `xlarge`; also 4 when the name does not tell.

    Raises:
        UsageError: it is not the name of a type.

    """
    match = _TYPE.fullmatch(instance_type)
    if match is None:
        raise UsageError(f"--instance-type: {instance_type!r} is not a type of EC2 instances", hint="like m7g.xlarge")
    if match[2]:
        return 4 * int(match[1] or 1)
    return 2 if instance_type.endswith(".large") else 4


def size_cluster(
    input_bytes: int,
    *,
    instance_type: str = DEFAULT_INSTANCE_TYPE,
    core: int | None = None,
    task: int | None = None,
    vpc_nodes: int | None = None,
    spot: bool = False,
) -> Sizing:
    """Decide how large a cluster is: by the options, by the number of nodes in the VPC, or by the bytes to read.

    `input_bytes` is the compressed size of the input. None for `core` (at least 1) or `task` computes this number of
    nodes. With `spot`, task nodes are Spot instances; then, if computed, all nodes but one are task nodes.

    Raises:
        UsageError: the type is not one, two rules are asked for at once, or there are no task nodes for Spot.

    """
    if task is not None and vpc_nodes is not None:
        raise UsageError("--task and --vpc-nodes both set the number of task nodes", hint="give one of them")
    a_node = vcpus(instance_type) * BYTES_PER_VCPU_SECOND
    needed = max(1, math.ceil(input_bytes / (a_node * WANTED_MINUTES * 60)))
    nodes = min(MOST_NODES, needed)
    if vpc_nodes is not None:
        core, task = core or 1, math.ceil(vpc_nodes / NODES_PER_TASK_NODE)
        reason = f"{task} task nodes for {vpc_nodes:,} nodes in the VPC, 1 per {NODES_PER_TASK_NODE}"
    elif core is not None or task is not None:
        core, task = core or 1, task or 0
        reason = "as asked"
    else:
        core, task = (1, max(1, nodes - 1)) if spot else (nodes, 0)
        reason = (
            f"{input_bytes / (1 << 30):.1f} GiB to read, {a_node >> 20} MiB per second and node,"
            f" within {WANTED_MINUTES} minutes"
        )
        if needed > nodes:
            reason += f"; that would need {needed} nodes; the automatic limit is {MOST_NODES} (or --core, --task)"
    if spot and not task:
        raise UsageError("--spot is for task nodes, and there are none", hint="ask for some with --task")
    counting_s = input_bytes / (a_node * (core + task))
    minutes = STARTING_MINUTES + STEPS_MINUTES + math.ceil(counting_s / 60)
    return Sizing(instance_type, core, task, spot, minutes, reason)
